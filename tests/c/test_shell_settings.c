/* tests/c/test_shell_settings.c - transport/shell/settings.h: each key, each wrong value and what is said. */
#include <errno.h>

#include "tests/c/harness.h"
#include "transport/shell/settings.h"

#define LEAST "device=wire:name=a\naddress=10.0.0.1/24\n"

static struct shell_settings settings;

static void accept(const char *text)
{
    char reason[STACK_REASON_BYTES] = "";

    if (ewi_shell_parse(text, &settings, reason) != 0)
        fprintf(stderr, "    %s\n", reason);
    CHECK_EQ(ewi_shell_parse(text, &settings, reason), 0);
}

/* The reason has the key, and what would be right. */
static void refuse(const char *text, const char *key, const char *way_out)
{
    char reason[STACK_REASON_BYTES] = "";

    if (ewi_shell_parse(text, &settings, reason) == 0 || strstr(reason, key) == NULL ||
        strstr(reason, way_out) == NULL)
        fprintf(stderr, "    %s -> %s\n", text, reason);
    CHECK_EQ(ewi_shell_parse(text, &settings, reason), -EINVAL);
    CHECK(strstr(reason, key) != NULL);
    CHECK(strstr(reason, way_out) != NULL);
}

static void least_text_has_the_documented_defaults(void)
{
    accept("device=wire:name=a\naddress=10.0.0.1/24");
    CHECK(strcmp(settings.device, "wire:name=a") == 0);
    CHECK_EQ(settings.addresses_count, 1);
    CHECK_EQ(settings.addresses[0].prefix, 24);
    CHECK_EQ(settings.addresses[0].at.family, 4);
    CHECK(memcmp(settings.addresses[0].at.ip, (uint8_t[]){10, 0, 0, 1}, 4) == 0);
    CHECK_EQ(settings.streams, 16384);
    CHECK_EQ(settings.send_bytes, 1 << 21);
    CHECK_EQ(settings.recv_bytes, 1 << 21);
    CHECK_EQ(settings.send_pool_bytes, 1 << 26);
    CHECK_EQ(settings.packets, 8192);
    CHECK_EQ(settings.mtu, 0);
    CHECK(settings.detect && !settings.mac_given);
    CHECK_EQ(settings.gateways[0].family, 0);
}

static void every_key_is_read(void)
{
    accept("\n\n" LEAST "address=fd00::1/64\ngateway=10.0.0.9\ngateway=fd00::9\nmtu=1400\n"
           "mac=02:00:00:00:ab:01\ndetect=off\nstreams=100\nsend_bytes=20000\nrecv_bytes=30000\n"
           "send_pool_bytes=2000000\npackets=2048\n\n");
    CHECK_EQ(settings.addresses_count, 2);
    CHECK_EQ(settings.addresses[1].prefix, 64);
    CHECK_EQ(settings.addresses[1].at.ip[0], 0xfd);
    CHECK_EQ(settings.gateways[0].ip[3], 9);
    CHECK_EQ(settings.gateways[1].ip[15], 9);
    CHECK_EQ(settings.mtu, 1400);
    CHECK(settings.mac_given && settings.mac[4] == 0xab);
    CHECK(!settings.detect);
    CHECK_EQ(settings.streams, 100);
    CHECK_EQ(settings.send_bytes, 20000);
    CHECK_EQ(settings.recv_bytes, 30000);
    CHECK_EQ(settings.send_pool_bytes, 2000000);
    CHECK_EQ(settings.packets, 2048);
    accept(LEAST "detect=on\n");
    CHECK(settings.detect);
}

/* catches: a limit that is off by one, a sign or a tail that passes */
static void numbers_have_limits(void)
{
    static const struct {
        const char *key;
        uint64_t least, most;
    } keys[] = {{"streams", 16, 1 << 20},
                {"send_bytes", 1 << 14, 1 << 26},
                {"recv_bytes", 1 << 14, 1 << 26},
                {"send_pool_bytes", 1 << 20, UINT64_C(1) << 31},
                {"packets", 1024, 1 << 18},
                {"mtu", 576, 9216}};
    static const char *const wrong[] = {"", "x", "-1", "1000k", " ", "99999999999999999999", "4294967296",
                                        "4294968320", "+2000", " 2000", "2000 ", "0x800"};
    char text[256], limits[64];

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        snprintf(limits, sizeof(limits), "%" PRIu64 "..%" PRIu64, keys[i].least, keys[i].most);
        snprintf(text, sizeof(text), LEAST "%s=%" PRIu64, keys[i].key, keys[i].least);
        accept(text);
        snprintf(text, sizeof(text), LEAST "%s=%" PRIu64, keys[i].key, keys[i].most);
        accept(text);
        snprintf(text, sizeof(text), LEAST "%s=%" PRIu64, keys[i].key, keys[i].least - 1);
        refuse(text, keys[i].key, limits);
        snprintf(text, sizeof(text), LEAST "%s=%" PRIu64, keys[i].key, keys[i].most + 1);
        refuse(text, keys[i].key, limits);
        for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
            snprintf(text, sizeof(text), LEAST "%s=%s", keys[i].key, wrong[k]);
            refuse(text, keys[i].key, limits);
        }
    }
}

static void wrong_addresses_are_refused(void)
{
    refuse("device=a\naddress=10.0.0.1", "address=10.0.0.1", "IP/PREFIX");
    refuse("device=a\naddress=10.0.0/24", "address=10.0.0/24", "IP/PREFIX");
    refuse("device=a\naddress=host/24", "address=host/24", "IP/PREFIX");
    refuse("device=a\naddress=", "address=", "IP/PREFIX");
    refuse("device=a\naddress=10.0.0.1/0", "10.0.0.1/0", "1..32");
    refuse("device=a\naddress=10.0.0.1/33", "10.0.0.1/33", "1..32");
    refuse("device=a\naddress=10.0.0.1/", "10.0.0.1/", "1..32");
    refuse("device=a\naddress=fd00::1/129", "fd00::1/129", "1..128");
    refuse("device=a\naddress=10.0.0.1/24/8", "10.0.0.1/24/8", "1..32");
    refuse(LEAST "gateway=nowhere", "gateway=nowhere", "IP address");
    refuse(LEAST "gateway=fd00::1", "IPv6 gateway", "IPv6 address");
    refuse("device=a\n", "no address", "address=IP/PREFIX");
    refuse("address=10.0.0.1/24", "no device", "device=");
    refuse("", "no device", "device=");
    refuse("device=\n", "device=", "KIND:key=value");
}

static void ninth_address_is_refused(void)
{
    char text[1024] = "device=a\n";

    for (int i = 1; i <= SHELL_ADDRESSES_MAX; i++)
        snprintf(text + strlen(text), 64, "address=10.0.%d.1/24\n", i);
    accept(text);
    CHECK_EQ(settings.addresses_count, SHELL_ADDRESSES_MAX);
    snprintf(text + strlen(text), 64, "address=10.0.99.1/24\n");
    refuse(text, "10.0.99.1/24", "at most 8");
}

static void wrong_switches_macs_keys_and_lines_are_refused(void)
{
    char text[SHELL_DEVICE_BYTES + 256];

    refuse(LEAST "detect=yes", "detect=yes", "on or off");
    refuse(LEAST "mac=02:00:00:00:00", "mac=02", "six bytes");
    refuse(LEAST "mac=02:00:00:00:00:01:02", "mac=02", "six bytes");
    refuse(LEAST "mac=gg:00:00:00:00:01", "mac=gg", "six bytes");
    refuse(LEAST "mac=+2:00:00:00:00:01", "mac=+2", "six bytes");
    refuse(LEAST "mac= 2:00:00:00:00:01", "mac= 2", "six bytes");
    refuse(LEAST "mac=03:00:00:00:00:01", "mac=03", "group address");
    refuse(LEAST "mac=00:00:00:00:00:00", "mac=00", "no address");
    refuse(LEAST "colour=red", "colour=red", "there are device");
    refuse(LEAST "streams", "streams", "key=value");
    refuse(LEAST "=16", "=16", "key=value");
    refuse(LEAST "a_key_that_is_longer_than_any_key_there_is=1", "a_key_that", "key=value");
    memset(text, 'x', sizeof(text));
    memcpy(text, "device=", 7);
    text[7 + SHELL_DEVICE_BYTES] = '\0';
    refuse(text, "device=xxx", "at most 1023 bytes");
    text[7 + SHELL_DEVICE_BYTES - 1] = '\0';
    snprintf(text + strlen(text), 64, "\naddress=10.0.0.1/8");
    accept(text);
}

/* catches: a value that does not fit into the sentence */
static void long_values_are_cut_in_the_sentence(void)
{
    char text[2048] = LEAST "mtu=", reason[STACK_REASON_BYTES + 1];

    memset(text + strlen(text), '7', 1000);
    reason[STACK_REASON_BYTES] = '!';
    CHECK_EQ(ewi_shell_parse(text, &settings, reason), -EINVAL);
    CHECK(memchr(reason, '\0', STACK_REASON_BYTES) != NULL);
    CHECK_EQ(reason[STACK_REASON_BYTES], '!');
    CHECK(strstr(reason, "576..9216") != NULL);
}

int main(void)
{
    RUN(least_text_has_the_documented_defaults);
    RUN(every_key_is_read);
    RUN(numbers_have_limits);
    RUN(wrong_addresses_are_refused);
    RUN(ninth_address_is_refused);
    RUN(wrong_switches_macs_keys_and_lines_are_refused);
    RUN(long_values_are_cut_in_the_sentence);
    return 0;
}
