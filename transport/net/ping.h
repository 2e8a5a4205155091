/* transport/net/ping.h - echo requests of ours that wait for their answers.
 *
 * Purpose    `eastwest net ping`: is somebody there, and how long does it take.
 * Shape      A handful of requests; the answer to one is known by its identifier, its sequence number, its
 *            address and a random number in front of its payload. net.h has the calls.
 *            No timers: a request that had NET_PING_NS without being asked for gives way to a new one.
 * Owner      the stack
 * Threads    one caller at a time
 * Trust      answers are hostile: who did not see the request cannot make one
 * Errors     net.h's
 * Invariants I1  at most NET_PINGS_MAX are outstanding, and NET_PING_EACH_SECOND leave in a second.
 *            I2  an answer counts once.
 * Ordering   single threaded
 * Source     RFC 792; RFC 4443 section 4.1
 */
#ifndef EWI_TRANSPORT_NET_PING_H
#define EWI_TRANSPORT_NET_PING_H

#include "transport/net/limit.h"
#include "transport/net/tuple.h"

struct ewi_net;
struct net_arrived;

enum { NET_PINGS_MAX = 64, NET_PING_EACH_SECOND = 200, NET_PING_BURST = 16 };
#define NET_PING_NS UINT64_C(10000000000)

enum net_ping_state { NET_PING_FREE, NET_PING_WAITS, NET_PING_ANSWERED };

struct net_ping {
    struct net_tuple tuple; /* without ports */
    uint64_t sent_ns, rtt_ns;
    uint64_t secret; /* in front of the payload, as it lies there */
    uint32_t generation;
    uint32_t bytes;  /* of payload */
    uint32_t rest;   /* identifier, sequence number */
    uint8_t state, hop_limit;
};

struct net_pings {
    struct net_ping ping[NET_PINGS_MAX];
    struct net_limit limit;
    uint16_t identifier, sequence; /* 0: no identifier was drawn yet */
};

/* True: it answers a request of ours. */
bool ewi_net_ping_input(struct ewi_net *net, const struct net_arrived *arrived, uint32_t rest);

#endif
