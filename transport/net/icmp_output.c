#include <errno.h>
#include <string.h>

#include "transport/net/icmp.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"
#include "transport/siphash.h"

#define SECOND UINT64_C(1000000000)

enum {
    HOP_LIMIT = 64,
    ERROR4_BYTES_MAX = 576,  /* RFC 1812 section 4.3.2.3 */
    ERROR6_BYTES_MAX = 1280, /* RFC 4443 section 2.4 (c) */
    FRAGMENT_AT = 0x1fff,
    PROTOCOL_UNKNOWN6 = 1, /* code of parameter problem */
    COSTS = 3,
};

/* ---- limits ---- */

/* First the destination's, then the total. What one error costs of the total is drawn, so nobody can
 * count on our silence what others have made us say (CVE-2020-25705). */
static bool may_report(struct ewi_net *net, const struct net_tuple *tuple)
{
    struct net_icmp_limits *limits = &net->ip.limits;
    uint64_t hash = ewi_siphash(limits->key, tuple->remote, sizeof(tuple->remote));
    uint32_t cost = 1 + (uint32_t)ewi_net_random_below(&net->random, COSTS);

    if (ewi_net_limit_take(&limits->to[hash % NET_ICMP_LIMITS], net->now,
                           SECOND / NET_ICMP_ERRORS_TO, NET_ICMP_ERRORS_TO_BURST, 1) &&
        ewi_net_limit_take(&limits->errors, net->now, SECOND / NET_ICMP_ERRORS,
                           NET_ICMP_ERRORS_BURST, cost))
        return true;
    net->count.icmp_limited += 1;
    return false;
}

/* ---- sending ---- */

/* payload_bytes of payload follow the 8 of the header, and have this sum. */
static int send_icmp(struct ewi_net *net, uint32_t slot, const struct net_tuple *tuple,
                     const struct net_icmp *icmp, uint32_t payload_sum, uint32_t payload_bytes,
                     uint8_t traffic_class)
{
    struct net_ip_out how = {.traffic_class = traffic_class, .hop_limit = HOP_LIMIT};
    uint8_t *out = ewi_net_slot(net, slot)->packet + ewi_net_ip_header_bytes(tuple->family);

    if (tuple->family == 4) {
        how.protocol = NET_ICMP4;
        ewi_net_icmp4_build(out, icmp, payload_sum);
    } else {
        how.protocol = NET_ICMP6;
        ewi_net_icmp6_build(out, icmp, ewi_net_ip_addresses(tuple), payload_sum, payload_bytes);
    }
    ewi_net_slot(net, slot)->finish_sum = false;
    ewi_net_slot(net, slot)->transport_bytes = NET_ICMP_BYTES;
    return ewi_net_ip_send(net, slot, tuple, &how, NET_ICMP_BYTES + payload_bytes, true);
}

/* From whom the answer comes: from the address that was asked, or from one of ours for a group. */
static bool answering(struct ewi_net *net, const struct net_arrived *arrived,
                      struct net_tuple *tuple)
{
    *tuple = arrived->tuple;
    tuple->scope = ewi_net_scope_of(arrived->port, tuple->family, tuple->remote);
    if (!arrived->is_multicast) {
        if (tuple->scope == 0)
            tuple->scope = ewi_net_scope_of(arrived->port, tuple->family, tuple->local);
        return true;
    }
    memset(tuple->local, 0, sizeof(tuple->local));
    return ewi_net_way_source(net, tuple);
}

/* ---- echo: RFC 792, RFC 1122 section 3.2.2.6, RFC 4443 section 4.2 ---- */

void ewi_net_icmp_echo(struct ewi_net *net, const struct net_arrived *arrived, uint32_t rest)
{
    bool is_ip6 = arrived->tuple.family == 6;
    struct net_icmp reply = {.type = is_ip6 ? NET_ICMP6_ECHO_REPLY : NET_ICMP4_ECHO_REPLY,
                             .rest = rest};
    uint32_t headers = ewi_net_ip_header_bytes(arrived->tuple.family) + NET_ICMP_BYTES;
    uint32_t bytes = arrived->length - NET_ICMP_BYTES;
    struct net_tuple tuple;
    uint32_t slot, sum;

    if (!ewi_net_limit_take(&net->ip.limits.echoes, net->now, SECOND / NET_ICMP_ECHOES,
                            NET_ICMP_ECHOES_BURST, 1)) {
        net->count.icmp_limited += 1;
        return;
    }
    if (bytes > net->config.slot_bytes - headers) /* as long as we can */
        bytes = net->config.slot_bytes - headers;
    if (!answering(net, arrived, &tuple))
        return;
    slot = ewi_net_slot_take(net);
    if (slot == NET_NONE)
        return;
    sum = ewi_net_copy_sum(ewi_net_slot(net, slot)->packet + headers,
                           arrived->bytes + NET_ICMP_BYTES, bytes);
    (void)send_icmp(net, slot, &tuple, &reply, sum, bytes,
              (uint8_t)(arrived->traffic_class & ~3)); /* RFC 1349 section 5.1; ECN is not echoed */
}

int ewi_net_icmp_ask(struct ewi_net *net, const struct net_tuple *tuple, uint32_t rest,
                     const uint8_t *payload, uint32_t bytes)
{
    struct net_icmp icmp = {.type = tuple->family == 6 ? NET_ICMP6_ECHO : NET_ICMP4_ECHO,
                            .rest = rest};
    uint32_t slot = ewi_net_slot_take(net), sum;

    if (slot == NET_NONE)
        return -ENOBUFS;
    sum = ewi_net_copy_sum(ewi_net_slot(net, slot)->packet +
                               ewi_net_ip_header_bytes(tuple->family) + NET_ICMP_BYTES,
                           payload, bytes);
    return send_icmp(net, slot, tuple, &icmp, sum, bytes, 0);
}

/* ---- errors ---- */

static bool is_nobody(const struct net_tuple *tuple)
{
    static const uint8_t zeros[16];

    return memcmp(tuple->remote, zeros, sizeof(zeros)) == 0;
}

/* RFC 4443 section 2.4 (e.1), (e.2): an error, or a redirect */
static bool is_error_message(const struct net_arrived *arrived)
{
    if (arrived->protocol == NET_ICMP4 && arrived->tuple.family == 4)
        return arrived->length == 0 || ewi_net_icmp4_is_error(arrived->bytes[0]);
    if (arrived->protocol == NET_ICMP6 && arrived->tuple.family == 6)
        return arrived->length == 0 || ewi_net_icmp6_is_error(arrived->bytes[0]) ||
               arrived->bytes[0] == NET_NDP_REDIRECT;
    return false;
}

/* RFC 1122 section 3.2.2 */
static bool is_later_fragment4(const struct net_arrived *arrived)
{
    return arrived->tuple.family == 4 &&
           (ewi_net_get_u16(arrived->packet + 6) & FRAGMENT_AT) != 0;
}

static void send_error(struct ewi_net *net, const struct net_arrived *arrived,
                       const struct net_icmp *error, bool even_to_group)
{
    uint32_t most = arrived->tuple.family == 4 ? ERROR4_BYTES_MAX : ERROR6_BYTES_MAX;
    uint32_t headers = ewi_net_ip_header_bytes(arrived->tuple.family) + NET_ICMP_BYTES;
    uint32_t bytes = (uint32_t)ewi_min_u64(arrived->packet_bytes, most - headers);
    struct net_tuple tuple;
    uint32_t slot, sum;

    if ((arrived->is_multicast && !even_to_group) || is_nobody(&arrived->tuple) ||
        is_error_message(arrived) || is_later_fragment4(arrived))
        return;
    if (!may_report(net, &arrived->tuple) || !answering(net, arrived, &tuple))
        return;
    slot = ewi_net_slot_take(net);
    if (slot == NET_NONE)
        return;
    sum = ewi_net_copy_sum(ewi_net_slot(net, slot)->packet + headers, arrived->packet, bytes);
    (void)send_icmp(net, slot, &tuple, error, sum, bytes, 0);
}

static struct net_icmp error4(enum net_icmp_why why, uint8_t code, uint32_t pointer)
{
    switch (why) {
    case NET_ICMP_WHY_PORT:
        return (struct net_icmp){NET_ICMP4_UNREACHABLE, NET_ICMP4_PORT_UNREACHABLE, 0};
    case NET_ICMP_WHY_PROTOCOL:
        return (struct net_icmp){NET_ICMP4_UNREACHABLE, NET_ICMP4_PROTOCOL_UNREACHABLE, 0};
    case NET_ICMP_WHY_HEADER:
        return (struct net_icmp){NET_ICMP4_PARAMETER, code, pointer << 24};
    case NET_ICMP_WHY_TIME:
        break;
    }
    return (struct net_icmp){NET_ICMP4_TIME_EXCEEDED, code, 0};
}

static struct net_icmp error6(enum net_icmp_why why, uint8_t code, uint32_t pointer)
{
    switch (why) {
    case NET_ICMP_WHY_PORT:
        return (struct net_icmp){NET_ICMP6_UNREACHABLE, 4, 0};
    case NET_ICMP_WHY_PROTOCOL:
        return (struct net_icmp){NET_ICMP6_PARAMETER, PROTOCOL_UNKNOWN6, pointer};
    case NET_ICMP_WHY_HEADER:
        return (struct net_icmp){NET_ICMP6_PARAMETER, code, pointer};
    case NET_ICMP_WHY_TIME:
        break;
    }
    return (struct net_icmp){NET_ICMP6_TIME_EXCEEDED, code, 0};
}

void ewi_net_icmp_report(struct ewi_net *net, const struct net_arrived *arrived,
                         enum net_icmp_why why, uint8_t code, uint32_t pointer)
{
    struct net_icmp error = arrived->tuple.family == 4 ? error4(why, code, pointer)
                                                       : error6(why, code, pointer);

    send_error(net, arrived, &error, false);
}

void ewi_net_icmp6_problem(struct ewi_net *net, const struct net_arrived *arrived, uint8_t code,
                           uint32_t pointer, bool even_to_group)
{
    struct net_icmp error = {NET_ICMP6_PARAMETER, code, pointer};

    send_error(net, arrived, &error, even_to_group);
}
