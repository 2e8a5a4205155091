/* transport/dpdk/kind.h - the kinds of device that a text can name, and what is known of their drivers.
 *
 * Purpose    One row for each driver: its text form, its limits, what is trusted of what it says and what
 *            is taken away, and why. Everything here was measured (docs/reference/network.md).
 * Shape      "KIND:key=value,..." -> struct dpdk_text -> the driver's own arguments
 * Owner      the table is constant; a struct dpdk_text is the caller's
 * Threads    any
 * Trust      the text comes from configuration: each value is checked
 * Errors     -EINVAL and a sentence that names the value, what is allowed, the form
 * Invariants I1  a value that is accepted contains no comma, so it cannot become another argument.
 * Ordering   none
 * Source     reference/tcp-stacks.md, section 6
 */
#ifndef EWI_TRANSPORT_DPDK_KIND_H
#define EWI_TRANSPORT_DPDK_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DPDK_KEYS = 4, DPDK_VALUE_BYTES = 108, DPDK_DEVARGS_BYTES = 384 };

enum dpdk_key_type { DPDK_TEXT, DPDK_SOCKET, DPDK_IFACE, DPDK_NUMBER, DPDK_FLAG, DPDK_ROLE };

struct dpdk_key {
    const char *name; /* NULL: the last was before this */
    enum dpdk_key_type type;
    bool needed;
};

enum dpdk_sleep {
    DPDK_SLEEP_NEVER,
    DPDK_SLEEP_QUEUE,  /* a descriptor of the receive queue, to be enabled */
    DPDK_SLEEP_SOCKET, /* the driver's own socket, found among ours */
    DPDK_SLEEP_KICK,   /* the eventfd that vhost's guest kicks */
};

enum dpdk_quirks {
    DPDK_OWN_MAC = 1u << 0,   /* a wire between two programs: the address is only ours to know */
    DPDK_ON_IFACE = 1u << 1,  /* a kernel interface that exists: its address and MTU */
    DPDK_SUMS = 1u << 2,      /* checksum offload is trusted */
    DPDK_TRUST = 1u << 3,     /* NET_PORT_RX_TRUST */
    DPDK_REMOTE = 1u << 4,    /* the other end is a program */
    DPDK_UMEM = 1u << 5,      /* the driver copies what is sent into buffers of the receive pool */
    DPDK_UNMAPS = 1u << 6,    /* it unmaps rings from EAL's thread: ewi_dpdk_memif_enter */
    DPDK_JOINS_ONCE = 1u << 7, /* as a client; when its server has ended, it stays alone */
};

struct dpdk_kind {
    const char *name, *driver;
    const char *form; /* for error texts and documents */
    struct dpdk_key keys[DPDK_KEYS + 1];
    enum dpdk_sleep sleep;
    uint32_t quirks;
    uint16_t mtu_max, rx_ring, tx_ring;
    const char *why; /* in facts; at most 127 bytes */
};

struct dpdk_text {
    const struct dpdk_kind *kind;
    char value[DPDK_KEYS][DPDK_VALUE_BYTES]; /* "" when not given */
};

int ewi_dpdk_text_read(const char *text, struct dpdk_text *out, char *reason);
/* NULL: no such key, or not given. */
const char *ewi_dpdk_text_value(const struct dpdk_text *text, const char *key);
/* Of memif, virtio_user and vhost: does it join the socket of another? */
bool ewi_dpdk_is_client(const struct dpdk_text *text);
bool ewi_dpdk_text_flag(const struct dpdk_text *text, const char *key);

#endif
