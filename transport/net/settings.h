/* transport/net/settings.h - sets of options, shared by all connections that have the same.
 *
 * Purpose    A connection holds one byte for everything that can be set on it.
 * Shape      set[id], counted by users[id]; 0 users: free. No two sets are equal. `standard` is
 *            the id of the set that new streams get; it is set 0 until somebody changes it.
 *            Changing an option of a connection moves it to the set that differs from its own in that
 *            option alone; one is made when there is none.
 *            What belongs to the stack and not to a stream is beside the sets.
 * Owner      one table in the stack; each connection and listener is a user of one set
 * Threads    one caller at a time
 * Trust      values are the local user's, and judged
 * Errors     -EINVAL       a value out of the range that the field's comment gives; nothing changed
 *            -ENOBUFS      no set left: NET_SETTINGS_MAX different ones are in use; nothing changed
 *            -ENOPROTOOPT  no such option, or one of the whole stack asked of a stream
 * Invariants I1  users[id] is the number of holders, and one for `standard`.
 *            I2  the bytes of equal sets are equal, padding included.
 * Ordering   single threaded
 * Source     transport/net/net.h; RFC 9293 sections 3.7, 3.8; RFC 7323 section 2.3
 */
#ifndef EWI_TRANSPORT_NET_SETTINGS_H
#define EWI_TRANSPORT_NET_SETTINGS_H

#include <assert.h>

#include "shm/base.h"
#include "transport/net/net.h"

enum {
    NET_SETTINGS_MAX = 256, /* an id is a byte */
    NET_SETTINGS_BYTES_MIN = 1024,   /* of RECV_BYTES */
    NET_SETTINGS_BYTES_MAX = 1 << 30, /* of RECV_BYTES and SEND_BYTES: the widest window */
    NET_SETTINGS_MSS_MIN = 88, /* what a full header of options leaves room beside */
};

/* Of every time: 20 days. Slow ticks (tcp_parts.h) tell past from future up to 26 days away. */
#define NET_SETTINGS_NS_MAX           UINT64_C(1728000000000000)
#define NET_SETTINGS_PROBE_NS_MAX     UINT64_C(7200000000000) /* between two keepalives: 2 hours */
#define NET_SETTINGS_PROBE_NS_MIN     UINT64_C(1000000)           /* of keepalives: 1 ms */
#define NET_SETTINGS_DELAY_ACK_NS_END UINT64_C(500000000) /* RFC 9293 section 3.8.6.3: less than 0.5 s */
#define NET_SETTINGS_TIME_WAIT_NS_MIN UINT64_C(1000000)
#define NET_SETTINGS_TIME_WAIT_NS_MAX UINT64_C(3600000000000) /* 1 hour: time_wait.h's clock is short */

struct net_settings {
    uint64_t keepalive_ns;          /* 0: off, else 1 ms .. 20 days */
    uint64_t keepalive_interval_ns; /* 1 ms .. 2 hours */
    uint64_t user_timeout_ns;       /* 0: by count, .. 20 days */
    uint64_t fin_wait_ns;           /* .. 20 days */
    uint64_t delay_ack_ns;    /* 0 .. below 500 ms */
    uint32_t recv_bytes;      /* 1 KiB .. 1 GiB */
    uint32_t send_bytes;      /* 1 .. 1 GiB */
    uint16_t mss;             /* 0: what the path allows, else 88 .. 65535 */
    uint8_t nodelay, cork, quick_ack; /* 0, 1 */
    uint8_t congestion;       /* enum net_cc_kind */
    uint8_t timeouts;         /* enum net_timeouts */
    uint8_t ecn;              /* 0: accept, 1: ask and accept, 2: never */
    uint8_t timestamps, sack, scale; /* 0, 1 */
    uint8_t keepalive_count;  /* 1 .. 255 */
    uint8_t syn_retries;      /* 0 .. 127 */
    uint8_t syn_order;        /* enum net_tcp_order */
    uint8_t hystart;          /* 0, 1 */
    uint8_t traffic_class;    /* the two bits of ECN are 0 */
    uint8_t hop_limit;        /* 1 .. 255 */
    uint8_t zero[7];
};
static_assert(sizeof(struct net_settings) == 72, "no padding, I2");

struct net_settings_table {
    struct net_settings set[NET_SETTINGS_MAX];
    uint32_t users[NET_SETTINGS_MAX];
    uint64_t time_wait_ns; /* 1 ms .. 1 hour */
    uint8_t syn_cookies;   /* 0: never, 1: when the SYN queue is full, 2: always */
    uint8_t standard;      /* id */
    uint16_t high;         /* sets from here on were never used */
};

/* The defaults of net.h. */
void ewi_net_settings_init(struct net_settings_table *table);

static inline const struct net_settings *ewi_net_settings_at(const struct net_settings_table *table,
                                                             uint8_t id)
{
    return &table->set[id];
}

/* The id of the current default, with one user more. */
uint8_t ewi_net_settings_default(struct net_settings_table *table);
void ewi_net_settings_hold(struct net_settings_table *table, uint8_t id);
void ewi_net_settings_drop(struct net_settings_table *table, uint8_t id);

/* Move one user of *id to the set with this value. */
int ewi_net_settings_change(struct net_settings_table *table, uint8_t *id, enum net_option option,
                            uint64_t value);
/* Of new streams, and of the stack. Streams that are there keep what they have. */
int ewi_net_settings_change_default(struct net_settings_table *table, enum net_option option,
                                    uint64_t value);
/* Options of the stack have the same value for every id. */
int ewi_net_settings_get(const struct net_settings_table *table, uint8_t id, enum net_option option,
                         uint64_t *value);

#endif
