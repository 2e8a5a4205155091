#include "transport/net/ping.h"

#include <errno.h>
#include <string.h>

#include "transport/net/icmp.h"

#define SECOND UINT64_C(1000000000)

/* ---- asking ---- */

/* RFC 1122 section 3.2.1.3: nobody answers for a group, for everybody, or for himself by the wire. */
static bool is_somebody_else(const struct ewi_net *net, const struct net_tuple *tuple)
{
    const uint8_t *ip = tuple->remote;
    bool is_group = tuple->family == 4 ? ip[0] >= 224 : ip[0] == 0xff;

    return !is_group && !ewi_net_link_is_local(net, tuple->family, ip);
}

static int name(struct ewi_net *net, const struct stack_addr *remote, struct net_tuple *tuple)
{
    *tuple = (struct net_tuple){.family = remote->family};
    if (remote->family != 4 && remote->family != 6)
        return -EINVAL;
    memcpy(tuple->remote, remote->ip, remote->family == 4 ? 4 : 16);
    if (ewi_net_is_link_local(tuple->family, tuple->remote))
        tuple->scope = (uint16_t)remote->scope;
    if (!is_somebody_else(net, tuple))
        return -EINVAL;
    return ewi_net_way_source(net, tuple) ? 0 : -EHOSTUNREACH;
}

/* A free one, or the oldest that nobody asked for in time. */
static struct net_ping *place_for(struct ewi_net *net)
{
    struct net_ping *oldest = &net->ping.ping[0];

    for (uint32_t i = 0; i < NET_PINGS_MAX; i++) {
        struct net_ping *each = &net->ping.ping[i];

        if (each->state == NET_PING_FREE)
            return each;
        if (each->sent_ns < oldest->sent_ns)
            oldest = each;
    }
    return net->now - oldest->sent_ns >= NET_PING_NS ? oldest : NULL;
}

static uint32_t next_rest(struct ewi_net *net)
{
    struct net_pings *pings = &net->ping;

    if (pings->identifier == 0)
        pings->identifier = (uint16_t)(1 + ewi_net_random_below(&net->random, UINT16_MAX));
    pings->sequence = (uint16_t)(pings->sequence + 1);
    return (uint32_t)pings->identifier << 16 | pings->sequence;
}

static int ask(struct ewi_net *net, const struct net_ping *ping)
{
    uint8_t payload[NET_PING_BYTES_MAX];

    for (uint32_t i = 0; i < ping->bytes; i++)
        payload[i] = (uint8_t)i;
    memcpy(payload, &ping->secret, sizeof(ping->secret));
    return ewi_net_icmp_ask(net, &ping->tuple, ping->rest, payload, ping->bytes);
}

int ewi_net_ping(struct ewi_net *net, const struct stack_addr *remote, uint32_t bytes, uint64_t now,
                 uint64_t *out)
{
    struct net_ping ping = {.state = NET_PING_WAITS, .bytes = bytes};
    struct net_ping *place;
    int code;

    net->now = ewi_max_u64(net->now, now);
    if (bytes < NET_PING_BYTES_MIN || bytes > NET_PING_BYTES_MAX)
        return -EINVAL;
    code = name(net, remote, &ping.tuple);
    place = place_for(net);
    if (code != 0 || place == NULL)
        return code != 0 ? code : -ENOBUFS;
    if (!ewi_net_limit_take(&net->ping.limit, net->now, SECOND / NET_PING_EACH_SECOND,
                            NET_PING_BURST, 1))
        return -EAGAIN;
    ping.generation = place->generation + 1;
    ping.sent_ns = net->now;
    ping.secret = ewi_net_random_next(&net->random);
    ping.rest = next_rest(net);
    code = ask(net, &ping);
    if (code != 0)
        return code;
    net->count.ping_sent += 1;
    *place = ping;
    *out = (uint64_t)ping.generation << 32 | (uint64_t)(place - net->ping.ping);
    return 0;
}

/* ---- answers ---- */

static bool is_answer(const struct net_ping *ping, const struct net_arrived *arrived, uint32_t rest)
{
    return ping->state == NET_PING_WAITS && ping->rest == rest &&
           ping->tuple.family == arrived->tuple.family &&
           memcmp(ping->tuple.remote, arrived->tuple.remote, 16) == 0 &&
           memcmp(ping->tuple.local, arrived->tuple.local, 16) == 0 &&
           arrived->length == NET_ICMP_BYTES + ping->bytes &&
           memcmp(arrived->bytes + NET_ICMP_BYTES, &ping->secret, sizeof(ping->secret)) == 0;
}

bool ewi_net_ping_input(struct ewi_net *net, const struct net_arrived *arrived, uint32_t rest)
{
    for (uint32_t i = 0; i < NET_PINGS_MAX; i++) {
        struct net_ping *each = &net->ping.ping[i];

        if (!is_answer(each, arrived, rest))
            continue;
        each->state = NET_PING_ANSWERED;
        each->rtt_ns = net->now - each->sent_ns;
        each->hop_limit = arrived->hop_limit;
        net->count.ping_answered += 1;
        return true;
    }
    return false;
}

int ewi_net_ping_answer(struct ewi_net *net, uint64_t handle, struct net_ping_answer *out)
{
    uint32_t index = (uint32_t)handle;
    struct net_ping *ping = &net->ping.ping[index % NET_PINGS_MAX];

    if (index >= NET_PINGS_MAX || ping->generation != (uint32_t)(handle >> 32) ||
        ping->state == NET_PING_FREE)
        return -ESTALE;
    if (ping->state == NET_PING_WAITS)
        return -EAGAIN;
    *out = (struct net_ping_answer){.rtt_ns = ping->rtt_ns, .hop_limit = ping->hop_limit};
    ping->state = NET_PING_FREE;
    return 0;
}
