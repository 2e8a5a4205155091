#include "transport/shell/settings.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 32, VALUE_BYTES = SHELL_DEVICE_BYTES };

struct line {
    char key[KEY_BYTES], value[VALUE_BYTES];
};

__attribute__((format(printf, 2, 3))) static int wrong(char *reason, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, STACK_REASON_BYTES, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- values ---- */

static int take_number(const struct line *line, uint32_t least, uint32_t most, uint32_t *out,
                       char *reason)
{
    size_t digits = strspn(line->value, "0123456789");
    unsigned long long value = strtoull(line->value, NULL, 10); /* too large: the largest there is */

    if (digits == 0 || line->value[digits] != '\0' || value < least || value > most)
        return wrong(reason, "%s=%.60s: want a number of %u..%u", line->key, line->value, least, most);
    *out = (uint32_t)value;
    return 0;
}

static bool take_ip(const char *text, struct stack_addr *out)
{
    *out = (struct stack_addr){.family = 4};
    if (inet_pton(AF_INET, text, out->ip) == 1)
        return true;
    out->family = 6;
    return inet_pton(AF_INET6, text, out->ip) == 1;
}

static int take_address(struct shell_settings *out, const struct line *line, char *reason)
{
    struct shell_address *address = &out->addresses[out->addresses_count];
    struct line host = *line;
    char *slash = strchr(host.value, '/');
    uint32_t prefix;

    if (out->addresses_count == SHELL_ADDRESSES_MAX)
        return wrong(reason, "address=%.60s: a port has at most %d addresses", line->value,
                     SHELL_ADDRESSES_MAX);
    if (slash != NULL)
        *slash = '\0';
    if (slash == NULL || !take_ip(host.value, &address->at))
        return wrong(reason, "address=%.60s: want IP/PREFIX, as 10.77.0.1/24 or fd00::1/64", line->value);
    memmove(host.value, slash + 1, strlen(slash + 1) + 1);
    if (take_number(&host, 1, address->at.family == 4 ? 32 : 128, &prefix, reason) != 0)
        return wrong(reason, "address=%.60s: the prefix is not a number of 1..%d", line->value,
                     address->at.family == 4 ? 32 : 128);
    address->prefix = prefix;
    out->addresses_count += 1;
    return 0;
}

static int take_gateway(struct shell_settings *out, const struct line *line, char *reason)
{
    struct stack_addr gateway;

    if (!take_ip(line->value, &gateway))
        return wrong(reason, "gateway=%.60s: want an IP address", line->value);
    out->gateways[gateway.family == 6] = gateway;
    return 0;
}

static bool is_mac(const char *text)
{
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
            return false;
    return text[17] == '\0';
}

static int take_mac(struct shell_settings *out, const struct line *line, char *reason)
{
    static const uint8_t nobody[6];

    if (!is_mac(line->value))
        return wrong(reason, "mac=%.60s: want six bytes, as 02:00:00:00:00:01", line->value);
    for (size_t i = 0; i < 6; i++)
        out->mac[i] = (uint8_t)strtoul(line->value + 3 * i, NULL, 16);
    if (out->mac[0] & 1)
        return wrong(reason, "mac=%s is a group address: want an even first byte, 02 for a local one",
                     line->value);
    if (memcmp(out->mac, nobody, sizeof(nobody)) == 0)
        return wrong(reason, "mac=%s is no address: want one as 02:00:00:00:00:01", line->value);
    out->mac_given = true;
    return 0;
}

static int take_device(struct shell_settings *out, const struct line *line, char *reason)
{
    if (line->value[0] == '\0')
        return wrong(reason, "device= is empty: want KIND:key=value,... as af_packet:iface=eth1");
    memcpy(out->device, line->value, strlen(line->value) + 1);
    return 0;
}

/* ---- keys ---- */

struct number_key {
    const char *key;
    uint32_t least, most;
    size_t offset;
};

static const struct number_key numbers[] = {
    {"streams", 16, 1 << 20, offsetof(struct shell_settings, streams)},
    {"send_bytes", 1 << 14, 1 << 26, offsetof(struct shell_settings, send_bytes)},
    {"recv_bytes", 1 << 14, 1 << 26, offsetof(struct shell_settings, recv_bytes)},
    {"send_pool_bytes", 1 << 20, UINT32_C(1) << 31, offsetof(struct shell_settings, send_pool_bytes)},
    {"packets", 1024, 1 << 18, offsetof(struct shell_settings, packets)},
};

static int take_switch(const struct line *line, bool *out, char *reason)
{
    *out = strcmp(line->value, "on") == 0;
    if (!*out && strcmp(line->value, "off") != 0)
        return wrong(reason, "%s=%.60s: want on or off", line->key, line->value);
    return 0;
}

static int take_line(struct shell_settings *out, const struct line *line, char *reason)
{
    uint32_t mtu = 0;
    int code;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strcmp(line->key, numbers[i].key) == 0)
            return take_number(line, numbers[i].least, numbers[i].most,
                               (uint32_t *)(void *)((char *)out + numbers[i].offset), reason);
    if (strcmp(line->key, "device") == 0)
        return take_device(out, line, reason);
    if (strcmp(line->key, "address") == 0)
        return take_address(out, line, reason);
    if (strcmp(line->key, "gateway") == 0)
        return take_gateway(out, line, reason);
    if (strcmp(line->key, "mac") == 0)
        return take_mac(out, line, reason);
    if (strcmp(line->key, "detect") == 0)
        return take_switch(line, &out->detect, reason);
    if (strcmp(line->key, "mtu") == 0) {
        code = take_number(line, SHELL_MTU_MIN, SHELL_MTU_MAX, &mtu, reason);
        out->mtu = (uint16_t)mtu;
        return code;
    }
    return wrong(reason,
                 "%s=%.60s: no such key; there are device, address, gateway, mtu, mac, detect, streams, "
                 "send_bytes, recv_bytes, send_pool_bytes, packets",
                 line->key, line->value);
}

static int split(const char *text, size_t length, struct line *out, char *reason)
{
    const char *equals = memchr(text, '=', length);
    size_t key = equals == NULL ? length : (size_t)(equals - text);
    size_t value = equals == NULL ? 0 : length - key - 1;

    if (equals == NULL || key == 0 || key >= KEY_BYTES || value >= VALUE_BYTES)
        return wrong(reason, "\"%.*s\": want key=value, with a value of at most %d bytes",
                     (int)ewi_min_u64(length, 60), text, VALUE_BYTES - 1);
    memcpy(out->key, text, key);
    out->key[key] = '\0';
    memcpy(out->value, equals + 1, value);
    out->value[value] = '\0';
    return 0;
}

/* A gateway that is in none of the networks is never reached. */
static int check_gateways(const struct shell_settings *settings, char *reason)
{
    for (int i = 0; i < 2; i++) {
        const struct stack_addr *gateway = &settings->gateways[i];
        bool has_family = gateway->family == 0;

        for (uint32_t each = 0; each < settings->addresses_count; each++)
            has_family |= settings->addresses[each].at.family == gateway->family;
        if (!has_family)
            return wrong(reason, "the IPv%u gateway needs an IPv%u address of this port",
                         gateway->family, gateway->family);
    }
    return 0;
}

int ewi_shell_parse(const char *text, struct shell_settings *out, char *reason)
{
    *out = (struct shell_settings){.streams = 16384,
                                   .send_bytes = 1 << 21,
                                   .recv_bytes = 1 << 21,
                                   .send_pool_bytes = 1 << 26,
                                   .packets = 8192,
                                   .detect = true};
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        struct line line;
        int code = length == 0 ? 0 : split(text, length, &line, reason);

        if (code == 0 && length != 0)
            code = take_line(out, &line, reason);
        if (code != 0)
            return code;
        text += length + (text[length] == '\n');
    }
    if (out->device[0] == '\0')
        return wrong(reason, "no device: want a line device=KIND:key=value,...");
    if (out->addresses_count == 0)
        return wrong(reason, "no address: want a line address=IP/PREFIX");
    return check_gateways(out, reason);
}
