/* transport/shell/settings.h - what the stack is told as text: stack_options.text.
 *
 * Purpose    One place that knows the keys, their limits, and what to say about a wrong one.
 * Shape      lines "key=value"; a key that may be given several times is a list
 * Owner      the struct holds copies
 * Threads    any
 * Trust      the text comes from a configuration file: every value is checked
 * Errors     -EINVAL and a sentence with key, value, limit and way out
 * Invariants none
 * Ordering   none
 * Source     docs/reference/network.md
 */
#ifndef EWI_TRANSPORT_SHELL_SETTINGS_H
#define EWI_TRANSPORT_SHELL_SETTINGS_H

#include "transport/stack.h"

enum {
    SHELL_ADDRESSES_MAX = 8,
    SHELL_DEVICE_BYTES = 1024,
    SHELL_MTU_MIN = 576,
    SHELL_MTU_MAX = 9216,
};

struct shell_address {
    struct stack_addr at;
    unsigned prefix;
};

struct shell_settings {
    char device[SHELL_DEVICE_BYTES];
    struct shell_address addresses[SHELL_ADDRESSES_MAX];
    struct stack_addr gateways[2]; /* of IPv4, of IPv6; family 0: none */
    uint32_t addresses_count;
    uint32_t streams;    /* open at one time, 16 .. 2^20; 16384 */
    uint32_t send_bytes; /* that one stream may have on its way, 16 KiB .. 64 MiB; 2 MiB */
    uint32_t recv_bytes; /* memory that what it received may pin, likewise; 2 MiB */
    uint32_t send_pool_bytes; /* of all streams, 1 MiB .. 2 GiB; 64 MiB */
    uint32_t packets;    /* that may be kept, 1024 .. 2^18; 8192 */
    uint16_t mtu;        /* 0: the device's */
    bool mac_given, detect; /* look for others who have our addresses before using them; true */
    uint8_t mac[6];
};

/* reason: STACK_REASON_BYTES. */
int ewi_shell_parse(const char *text, struct shell_settings *out, char *reason);

#endif
