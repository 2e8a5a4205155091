/* tests/fuzz/fuzz_shell_settings.c - can a configuration text hurt the stack, or be read as what it is not?
 *
 * The text lies in memory of its very size. What is accepted is within all limits; what is refused has a
 * sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "transport/shell/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_accepted(const struct shell_settings *settings)
{
    check(settings->device[0] != '\0' && memchr(settings->device, '\0', SHELL_DEVICE_BYTES) != NULL);
    check(settings->addresses_count >= 1 && settings->addresses_count <= SHELL_ADDRESSES_MAX);
    for (uint32_t i = 0; i < settings->addresses_count; i++) {
        unsigned most = settings->addresses[i].at.family == 4 ? 32 : 128;

        check(most == 32 || settings->addresses[i].at.family == 6);
        check(settings->addresses[i].prefix >= 1 && settings->addresses[i].prefix <= most);
    }
    check(settings->streams >= 16 && settings->streams <= 1 << 20);
    check(settings->send_bytes >= 1 << 14 && settings->send_bytes <= 1 << 26);
    check(settings->recv_bytes >= 1 << 14 && settings->recv_bytes <= 1 << 26);
    check(settings->send_pool_bytes >= 1 << 20 && settings->send_pool_bytes <= UINT32_C(1) << 31);
    check(settings->packets >= 1024 && settings->packets <= 1 << 18);
    check(settings->mtu == 0 || (settings->mtu >= SHELL_MTU_MIN && settings->mtu <= SHELL_MTU_MAX));
    check(!settings->mac_given || (settings->mac[0] & 1) == 0);
}

/* Most texts would end at what is missing. */
static const char least[] = "device=a\naddress=10.0.0.1/8\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = size != 0 && (data[0] & 1) ? sizeof(least) - 1 : 0;
    char *text = malloc(before + size + 1), *reason = malloc(STACK_REASON_BYTES);
    struct shell_settings settings;

    memcpy(text, least, before);
    if (size != 0)
        memcpy(text + before, data, size);
    text[before + size] = '\0';
    reason[0] = '\0';
    if (ewi_shell_parse(text, &settings, reason) == 0)
        check_accepted(&settings);
    else
        check(reason[0] != '\0' && memchr(reason, '\0', STACK_REASON_BYTES) != NULL);
    free(text);
    free(reason);
    return 0;
}
