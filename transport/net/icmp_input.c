#include <errno.h>
#include <string.h>

#include "transport/net/icmp.h"
#include "transport/net/order.h"

/* ---- what an error means: RFC 1122 sections 3.2.2.1 and 4.2.3.9, RFC 5461, RFC 4443 section 3 ---- */

struct meaning {
    enum net_icmp_news news;
    int error; /* 0: nothing that is known */
};

static struct meaning unreachable4(uint8_t code)
{
    static const struct meaning meanings[16] = {
        [0] = {NET_NEWS_SOFT, ENETUNREACH},  /* network */
        [1] = {NET_NEWS_SOFT, EHOSTUNREACH}, /* host */
        [2] = {NET_NEWS_HARD, EPROTO},       /* protocol */
        [3] = {NET_NEWS_HARD, ECONNREFUSED}, /* port */
        [4] = {NET_NEWS_TOO_BIG, EMSGSIZE},
        [5] = {NET_NEWS_SOFT, EHOSTUNREACH},  /* source route failed */
        [6] = {NET_NEWS_SOFT, ENETUNREACH},   /* network unknown */
        [7] = {NET_NEWS_SOFT, EHOSTUNREACH},  /* host unknown */
        [8] = {NET_NEWS_SOFT, EHOSTUNREACH},  /* source host isolated */
        [9] = {NET_NEWS_HARD, ENETUNREACH},   /* network prohibited */
        [10] = {NET_NEWS_HARD, EHOSTUNREACH}, /* host prohibited */
        [11] = {NET_NEWS_SOFT, ENETUNREACH},  /* for this type of service */
        [12] = {NET_NEWS_SOFT, EHOSTUNREACH},
        [13] = {NET_NEWS_HARD, EHOSTUNREACH}, /* prohibited: RFC 1812 section 5.2.7.1 */
        [14] = {NET_NEWS_SOFT, EHOSTUNREACH}, /* precedence */
        [15] = {NET_NEWS_SOFT, EHOSTUNREACH},
    };

    return code < 16 ? meanings[code] : (struct meaning){NET_NEWS_SOFT, 0};
}

static struct meaning meaning4(const struct net_icmp *icmp)
{
    switch (icmp->type) {
    case NET_ICMP4_UNREACHABLE:
        return unreachable4(icmp->code);
    case NET_ICMP4_TIME_EXCEEDED:
        return (struct meaning){NET_NEWS_SOFT, icmp->code <= 1 ? EHOSTUNREACH : 0};
    case NET_ICMP4_PARAMETER:
        return (struct meaning){NET_NEWS_SOFT, EPROTO};
    default: /* source quench: RFC 6633; redirect: routes are configured */
        return (struct meaning){NET_NEWS_SOFT, 0};
    }
}

static struct meaning unreachable6(uint8_t code)
{
    static const struct meaning meanings[7] = {
        [0] = {NET_NEWS_SOFT, ENETUNREACH},  /* no route */
        [1] = {NET_NEWS_HARD, EHOSTUNREACH}, /* prohibited */
        [2] = {NET_NEWS_SOFT, EHOSTUNREACH}, /* beyond the scope of the source */
        [3] = {NET_NEWS_SOFT, EHOSTUNREACH}, /* address */
        [4] = {NET_NEWS_HARD, ECONNREFUSED}, /* port */
        [5] = {NET_NEWS_HARD, EHOSTUNREACH}, /* policy */
        [6] = {NET_NEWS_HARD, EHOSTUNREACH}, /* rejected route */
    };

    return code < 7 ? meanings[code] : (struct meaning){NET_NEWS_SOFT, 0};
}

static struct meaning meaning6(const struct net_icmp *icmp)
{
    switch (icmp->type) {
    case NET_ICMP6_UNREACHABLE:
        return unreachable6(icmp->code);
    case NET_ICMP6_TOO_BIG:
        return (struct meaning){NET_NEWS_TOO_BIG, EMSGSIZE};
    case NET_ICMP6_TIME_EXCEEDED:
        return (struct meaning){NET_NEWS_SOFT, icmp->code <= 1 ? EHOSTUNREACH : 0};
    case NET_ICMP6_PARAMETER: /* code 1: nobody there speaks our protocol */
        return (struct meaning){icmp->code == 1 ? NET_NEWS_HARD : NET_NEWS_SOFT, EPROTO};
    default:
        return (struct meaning){NET_NEWS_SOFT, 0};
    }
}

/* ---- too big ---- */

/* RFC 1191 section 4 and 7. Whoever says that a packet was longer than it was never saw it: RFC 5927
 * section 7. 0: not believed. */
static uint16_t mtu4(const struct net_icmp *icmp, const uint8_t *quote)
{
    uint16_t quoted_bytes = ewi_net_get_u16(quote + 2), mtu = ewi_net_icmp4_mtu(icmp->rest);

    if (mtu == 0)
        mtu = ewi_net_path_plateau(quoted_bytes);
    if (mtu >= quoted_bytes)
        return 0;
    return mtu < NET_PATH_MIN4 ? NET_PATH_MIN4 : mtu;
}

/* RFC 8201 section 4: less than 1280 is no message. */
static uint16_t mtu6(const struct net_icmp *icmp, const uint8_t *quote)
{
    uint32_t quoted_bytes = NET_IP6_BYTES + (uint32_t)ewi_net_get_u16(quote + 4);

    return icmp->rest < NET_PATH_MIN6 || icmp->rest >= quoted_bytes ? 0 : (uint16_t)icmp->rest;
}

/* ---- errors ---- */

/* An error goes to the source of what it quotes, so the two must be the same address of ours: RFC
 * 5927 section 4.1 names the checks that follow in the transports. */
static bool is_about_ours(const struct net_arrived *arrived, const struct net_quote *quote)
{
    return !arrived->is_multicast && quote->has_ports &&
           memcmp(quote->source, arrived->tuple.local, 16) == 0;
}

static struct net_tuple tuple_of(const struct net_arrived *arrived, const struct net_quote *quote)
{
    struct net_tuple tuple = {
        .local_port = quote->source_port,
        .remote_port = quote->destination_port,
        .family = arrived->tuple.family,
    };

    memcpy(tuple.local, quote->source, 16);
    memcpy(tuple.remote, quote->destination, 16);
    tuple.scope = ewi_net_scope_of(arrived->port, tuple.family, tuple.remote);
    if (tuple.scope == 0)
        tuple.scope = ewi_net_scope_of(arrived->port, tuple.family, tuple.local);
    return tuple;
}

static bool tell_transport(struct ewi_net *net, const struct net_arrived *arrived,
                           const struct net_quote *quote, const struct net_icmp_told *told)
{
    struct net_tuple tuple = tuple_of(arrived, quote);
    bool is_believed = quote->protocol == NET_TCP ? ewi_net_tcp_icmp(net, &tuple, told)
                                                  : ewi_net_udp_icmp(net, &tuple, told);

    if (is_believed && told->news == NET_NEWS_TOO_BIG)
        ewi_net_path_learn(net, &tuple, told->mtu);
    return is_believed;
}

/* True: some transport believed it. */
static bool take_error(struct ewi_net *net, const struct net_arrived *arrived,
                       const struct net_icmp *icmp)
{
    bool is_ip6 = arrived->tuple.family == 6;
    struct meaning meaning = is_ip6 ? meaning6(icmp) : meaning4(icmp);
    const uint8_t *bytes = arrived->bytes + NET_ICMP_BYTES;
    uint32_t length = arrived->length - NET_ICMP_BYTES;
    struct net_icmp_told told = {.news = meaning.news, .error = meaning.error};
    struct net_quote quote;
    enum net_code code =
        is_ip6 ? ewi_net_quote6_parse(bytes, length, &quote) : ewi_net_quote4_parse(bytes, length, &quote);

    if (meaning.error == 0 || code != NET_OK || !is_about_ours(arrived, &quote))
        return false;
    told.sequence = quote.sequence;
    if (told.news == NET_NEWS_TOO_BIG) {
        told.mtu = is_ip6 ? mtu6(icmp, bytes) : mtu4(icmp, bytes);
        if (told.mtu == 0)
            return false;
    }
    return tell_transport(net, arrived, &quote, &told);
}

static void count_error(struct ewi_net *net, const struct net_arrived *arrived,
                        const struct net_icmp *icmp)
{
    if (take_error(net, arrived, icmp))
        net->count.accepted += 1;
    else
        net->count.drop_icmp += 1;
}

static void count_reply(struct ewi_net *net, const struct net_arrived *arrived, uint32_t rest)
{
    if (ewi_net_ping_input(net, arrived, rest))
        net->count.accepted += 1;
    else
        net->count.drop_icmp += 1;
}

/* ---- messages ---- */

/* RFC 1122 section 3.2.2: what is not known is dropped silently; section 3.2.2.6: an echo to everybody
 * may be, and is. */
void ewi_net_icmp4_input(struct ewi_net *net, struct net_arrived *arrived)
{
    struct net_icmp icmp;

    if (ewi_net_icmp4_parse(arrived->bytes, arrived->length, &icmp) != NET_OK) {
        net->count.drop_icmp += 1;
    } else if (icmp.type == NET_ICMP4_ECHO && !arrived->is_multicast) {
        net->count.accepted += 1;
        ewi_net_icmp_echo(net, arrived, icmp.rest);
    } else if (icmp.type == NET_ICMP4_ECHO_REPLY && !arrived->is_multicast) {
        count_reply(net, arrived, icmp.rest);
    } else if (ewi_net_icmp4_is_error(icmp.type)) {
        count_error(net, arrived, &icmp);
    } else {
        net->count.drop_icmp += 1;
    }
}

/* RFC 4443 section 2.4 (a), (b), section 4.2 */
void ewi_net_icmp6_input(struct ewi_net *net, struct net_arrived *arrived)
{
    struct net_icmp icmp;

    if (ewi_net_icmp6_parse(arrived->bytes, arrived->length, arrived->addresses, &icmp) != NET_OK) {
        net->count.drop_icmp += 1;
    } else if (icmp.type == NET_ICMP6_ECHO) {
        net->count.accepted += 1;
        ewi_net_icmp_echo(net, arrived, icmp.rest);
    } else if (icmp.type == NET_ICMP6_ECHO_REPLY && !arrived->is_multicast) {
        count_reply(net, arrived, icmp.rest);
    } else if (ewi_net_icmp6_is_ndp(icmp.type)) {
        ewi_net_ndp_input(net, arrived);
    } else if (ewi_net_icmp6_is_error(icmp.type)) {
        count_error(net, arrived, &icmp);
    } else {
        net->count.drop_icmp += 1;
    }
}
