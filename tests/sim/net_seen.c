#include "tests/sim/net_seen.h"

struct watch watch;

void watch_clear(void)
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

static uint32_t watch_hash(const struct watch_name *name)
{
    const uint8_t *bytes = (const uint8_t *)name;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < sizeof(*name); i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash % WATCH_HEADS;
}

struct watch_flow *watch_flow(struct watch_name name, int *from)
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

enum net_code watch_ip(const uint8_t *ip, uint32_t bytes, struct watch_name *name,
                       uint32_t *addresses, uint32_t *header, uint32_t *payload, uint8_t *ecn)
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

bool watch_parse(const uint8_t *ip, uint32_t bytes, bool blank, struct watch_segment *out)
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
