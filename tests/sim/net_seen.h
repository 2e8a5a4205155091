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

static struct {
    struct watch_flow *head[WATCH_HEADS];
    uint64_t flows, segments, bytes, resets, not_tcp;
    bool traces;
    bool may_shrink; /* somebody else than our stack offers windows */
} watch;

static inline void watch_clear(void)
{
    for (int i = 0; i < WATCH_HEADS; i++) {
        while (watch.head[i] != NULL) {
            struct watch_flow *flow = watch.head[i];

            watch.head[i] = flow->next;
            free(flow);
        }
    }
    memset(&watch, 0, sizeof(watch));
    watch.traces = getenv("SIM_TRACE") != NULL;
}

static inline uint32_t watch_hash(const struct watch_name *name)
{
    const uint8_t *bytes = (const uint8_t *)name;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < sizeof(*name); i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash % WATCH_HEADS;
}

/* The flow of a name given as source and destination; *from: which side the source is. */
static inline struct watch_flow *watch_flow(struct watch_name name, int *from)
{
    int order = memcmp(name.ip[0], name.ip[1], 16);
    struct watch_flow *flow;
    uint32_t head;

    *from = order > 0 || (order == 0 && name.port[0] > name.port[1]);
    if (*from == 1) {
        struct watch_name turned = {.port = {name.port[1], name.port[0]}, .family = name.family};

        memcpy(turned.ip[0], name.ip[1], 16);
        memcpy(turned.ip[1], name.ip[0], 16);
        name = turned;
    }
    head = watch_hash(&name);
    for (flow = watch.head[head]; flow != NULL; flow = flow->next)
        if (memcmp(&flow->name, &name, sizeof(name)) == 0)
            return flow;
    flow = calloc(1, sizeof(*flow));
    CHECK(flow != NULL);
    flow->name = name;
    flow->next = watch.head[head];
    watch.head[head] = flow;
    watch.flows += 1;
    return flow;
}

/* ---- from bytes to a segment ---- */

/* The IP header at ip; NET_OK and what TCP needs, or NET_UNKNOWN: it is not TCP. */
static inline enum net_code watch_ip(const uint8_t *ip, uint32_t bytes, struct watch_name *name,
                                     uint32_t *addresses, uint32_t *header, uint32_t *payload,
                                     uint8_t *ecn)
{
    struct net_ip6_chain chain;
    struct net_ip4 four;
    struct net_ip6 six;
    enum net_code code;

    memset(name, 0, sizeof(*name));
    if (ip[0] >> 4 == 4) {
        code = ewi_net_ip4_parse(ip, bytes, &four);
        if (code != NET_OK)
            return code;
        memcpy(name->ip[0], ip + 12, 4);
        memcpy(name->ip[1], ip + 16, 4);
        name->family = 4;
        *addresses = ewi_net_sum_ip4(four.source, four.destination);
        *header = four.header_bytes;
        *payload = four.payload_bytes;
        *ecn = four.traffic_class & 3;
        return four.protocol == NET_TCP && !four.more_fragments && four.fragment_at == 0
                   ? NET_OK
                   : NET_UNKNOWN;
    }
    code = ewi_net_ip6_parse(ip, bytes, &six);
    if (code == NET_OK)
        code = ewi_net_ip6_walk(ip, bytes, &six, &chain);
    if (code != NET_OK)
        return code;
    memcpy(name->ip[0], six.source, 16);
    memcpy(name->ip[1], six.destination, 16);
    name->family = 6;
    *addresses = ewi_net_sum_ip6(six.source, six.destination);
    *header = chain.header_bytes;
    *payload = chain.payload_bytes;
    *ecn = six.traffic_class & 3;
    return chain.protocol == NET_TCP && !chain.is_fragment ? NET_OK : NET_UNKNOWN;
}

/* False: no TCP segment. blank: do not look at its checksum. */
static inline bool watch_parse(const uint8_t *ip, uint32_t bytes, bool blank,
                               struct watch_segment *out)
{
    uint32_t addresses = 0, header = 0, payload = 0;
    struct watch_name name;
    enum net_code code = watch_ip(ip, bytes, &name, &addresses, &header, &payload, &out->ecn);

    if (code == NET_UNKNOWN)
        return false;
    SIM_CHECK(code == NET_OK, "IP header: %s", ewi_net_code_name(code));
    code = ewi_net_tcp_parse(ip + header, payload, blank ? NET_SUM_BY_DEVICE : addresses,
                             &out->tcp);
    SIM_CHECK(code == NET_OK, "TCP header: %s", ewi_net_code_name(code));
    name.port[0] = out->tcp.source_port;
    name.port[1] = out->tcp.destination_port;
    out->payload = ip + header + out->tcp.header_bytes;
    out->payload_bytes = payload - out->tcp.header_bytes;
    out->flow = watch_flow(name, &out->from);
    return true;
}

#endif
