/* tests/sim/net_seen.h - segments as somebody beside the wire sees them.
 *
 * Purpose    From the bytes of a packet to its flow, and what has been seen of the flow's two ends.
 * Shape      flow   two ends, found by addresses and ports; side[s]: what end s has sent and been
 *                   given. Positions are u64 as in transport/net/seq.h.
 * Owner      flows are malloc'ed; watch_clear() frees them all
 * Threads    one
 * Trust      what the stacks send has to be perfect
 * Errors     SIM_CHECK fails: a header or a checksum is wrong
 * Invariants I1  both directions of a connection have one flow.
 * Ordering   none
 * Source     RFC 9293 section 3.1
 */
#ifndef TESTS_SIM_NET_SEEN_H
#define TESTS_SIM_NET_SEEN_H

#include "tests/sim/net_wire.h"
#include "transport/net/seq.h"

enum { WATCH_HEADS = 1024 };

struct watch_name { /* both ends; the one that compares less first */
    uint8_t ip[2][16];
    uint16_t port[2];
    uint16_t family;
};

/* What an application says about one direction. */
struct watch_source {
    uint64_t seed;
    const uint64_t *accepted; /* bytes that send() took */
};

struct watch_side {
    bool syn_sent, fin_sent, has_edge, reset, scaled, times, sack, has_acked;
    uint8_t scale;
    uint16_t mss; /* that it wants */
    uint32_t time;
    uint64_t first;      /* position of the SYN */
    uint64_t next;       /* behind the last that was sent */
    uint64_t fin;        /* its position */
    uint64_t acked;      /* the highest it has acknowledged */
    uint64_t edge;       /* of the window that it has offered */
    uint64_t edge_given; /* that it has been told of */
    uint64_t una;        /* the highest that it has been told was acknowledged */
    uint64_t segments, data_segments, data_bytes, resent_segments, pure_acks, probes;
    uint64_t ce_given, ece_sent, cwr_sent;
};

struct watch_flow {
    struct watch_name name;
    struct watch_side side[2];
    struct watch_source source[2]; /* of each side's bytes */
    struct watch_flow *next;
};

struct watch_segment {
    struct watch_flow *flow;
    int from; /* which side of the flow sent it */
    struct net_tcp tcp;
    const uint8_t *payload;
    uint32_t payload_bytes;
    uint8_t ecn;
};

extern struct watch {
    struct watch_flow *head[WATCH_HEADS];
    uint64_t flows, segments, bytes, resets, not_tcp;
    bool traces;
    bool may_shrink; /* somebody else than our stack offers windows */
} watch;

void watch_clear(void);
/* The flow of a name given as source and destination; *from: which side the source is. */
struct watch_flow *watch_flow(struct watch_name name, int *from);

/* ---- from bytes to a segment ---- */

/* The IP header at ip; NET_OK and what TCP needs, or NET_UNKNOWN: it is not TCP. */
enum net_code watch_ip(const uint8_t *ip, uint32_t bytes, struct watch_name *name,
                       uint32_t *addresses, uint32_t *header, uint32_t *payload, uint8_t *ecn);
/* False: no TCP segment. blank: do not look at its checksum. */
bool watch_parse(const uint8_t *ip, uint32_t bytes, bool blank, struct watch_segment *out);

#endif
