#include <string.h>

#include "transport/net/link_parts.h"
#include "transport/net/sum.h"

/* Neighbour Discovery of a host whose addresses and routes are configured: solicitations and
 * advertisements of neighbours. Router advertisements and redirects (RFC 4861 sections 6.3, 8.3) are
 * counted and change nothing; groups are not reported by MLD (RFC 4862 section 5.4.2 asks for it):
 * ports take all groups. */

static const uint8_t unspecified[16];
static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};

static void solicited_node(uint8_t out[16], const uint8_t address[16])
{
    static const uint8_t prefix[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

    memcpy(out, prefix, sizeof(prefix));
    memcpy(out + 13, address + 13, 3);
}

/* ---- out ---- */

static void put_message(struct net_slot *slot, const uint8_t source[16],
                        const uint8_t destination[16], const struct net_ndp *ndp)
{
    struct net_ip6 ip = {.hop_limit = NET_NDP_HOP_LIMIT, .next = NET_ICMP6};
    size_t bytes = ewi_net_ndp_build(slot->packet + NET_IP6_BYTES, ndp,
                                     ewi_net_sum_ip6(source, destination));

    memcpy(ip.source, source, 16);
    memcpy(ip.destination, destination, 16);
    ip.payload_bytes = (uint16_t)bytes;
    ewi_net_ip6_build(slot->packet, &ip);
    slot->bytes = (uint32_t)(NET_IP6_BYTES + bytes);
    slot->network_bytes = NET_IP6_BYTES;
}

/* mac NULL: that of the group. */
static uint32_t take_slot(struct ewi_net *net, uint16_t port, const uint8_t *mac,
                          const uint8_t destination[16], bool is_answer)
{
    uint8_t group[6];

    ewi_net_group_mac(group, 6, destination);
    return ewi_net_message_take(net, port, mac != NULL ? mac : group, NET_ETHER_IP6, is_answer);
}

static bool send_ndp(struct ewi_net *net, uint32_t index, const uint8_t source[16],
                     const uint8_t destination[16], const struct net_ndp *ndp)
{
    if (index == NET_NONE)
        return false;
    put_message(ewi_net_slot(net, index), source, destination, ndp);
    ewi_net_slot_leave(net, index);
    return true;
}

/* RFC 4861 sections 4.3, 7.2.2 */
bool ewi_net_ndp_ask(struct ewi_net *net, uint16_t port, const uint8_t address[16],
                     const uint8_t *mac)
{
    const uint8_t *source = ewi_net_source_at(net, port, 6, address), *to = address;
    struct net_ndp ndp = {.type = NET_NDP_NS, .has = NET_NDP_HAS_SOURCE_LINK};
    uint8_t group[16];

    EWI_ASSERT(source != NULL);
    memcpy(ndp.target, address, 16);
    memcpy(ndp.source_link, net->link.port[port].mac, 6);
    if (mac == NULL) {
        solicited_node(group, address);
        to = group;
    }
    return send_ndp(net, take_slot(net, port, mac, to, false), source, to, &ndp);
}

static struct net_ndp advertisement(const struct ewi_net *net, uint16_t port,
                                    const uint8_t address[16], uint8_t flags)
{
    struct net_ndp ndp = {
        .type = NET_NDP_NA,
        .flags = flags,
        .has = NET_NDP_HAS_TARGET_LINK,
    };

    memcpy(ndp.target, address, 16);
    memcpy(ndp.target_link, net->link.port[port].mac, 6);
    return ndp;
}

/* RFC 4862 section 5.4.2: from nobody, without an option. */
static bool probe(struct ewi_net *net, const struct net_address *address)
{
    struct net_ndp ndp = {.type = NET_NDP_NS};
    uint8_t group[16];

    memcpy(ndp.target, address->ip, 16);
    solicited_node(group, address->ip);
    return send_ndp(net, take_slot(net, address->port, NULL, group, false), unspecified, group, &ndp);
}

/* RFC 4861 section 7.2.6 */
static bool announce(struct ewi_net *net, const struct net_address *address)
{
    struct net_ndp ndp = advertisement(net, address->port, address->ip, NET_NA_OVERRIDE);
    bool said = send_ndp(net, take_slot(net, address->port, NULL, all_nodes, false), address->ip,
                         all_nodes, &ndp);

    net->count.address_announced += said;
    return said;
}

bool ewi_net_ndp_say(struct ewi_net *net, const struct net_address *address,
                     enum net_address_message message)
{
    return message == NET_SAY_PROBE ? probe(net, address) : announce(net, address);
}

/* To one whose hardware address has to be found out first. */
static void send_by_way(struct ewi_net *net, uint16_t port, const uint8_t destination[16],
                        const struct net_ndp *ndp)
{
    uint32_t index = ewi_net_slot_take(net);
    struct net_slot *slot;

    if (index == NET_NONE)
        return;
    slot = ewi_net_slot(net, index);
    put_message(slot, ndp->target, destination, ndp);
    slot->tuple.family = 6;
    slot->tuple.scope = ewi_net_scope_of(port, 6, destination);
    memcpy(slot->tuple.local, ndp->target, 16);
    memcpy(slot->tuple.remote, destination, 16);
    ewi_net_slot_send(net, index);
}

/* RFC 4861 section 7.2.4 */
static void answer(struct ewi_net *net, uint16_t port, const uint8_t source[16],
                   const struct net_ndp *asked)
{
    bool is_nobody = ewi_net_is_zero(source, 16);
    struct net_ndp ndp = advertisement(net, port, asked->target,
                                       is_nobody ? NET_NA_OVERRIDE
                                                 : NET_NA_OVERRIDE | NET_NA_SOLICITED);

    if (is_nobody)
        send_ndp(net, take_slot(net, port, NULL, all_nodes, true), asked->target, all_nodes, &ndp);
    else if ((asked->has & NET_NDP_HAS_SOURCE_LINK) != 0)
        send_ndp(net, take_slot(net, port, asked->source_link, source, true), asked->target, source,
                 &ndp);
    else
        send_by_way(net, port, source, &ndp);
}

/* ---- in ---- */

enum taken { TAKEN, NOT_FOR_US, IMPLAUSIBLE };

static struct net_address *own(struct ewi_net *net, uint16_t port, const uint8_t ip[16])
{
    struct net_addresses *addresses = &net->link.addresses;
    uint32_t index = ewi_net_addresses_find(addresses, port, 6, ip);

    if (index == NET_NONE || addresses->address[index].state == NET_ADDRESS_TWICE)
        return NULL;
    return &addresses->address[index];
}

static void conflict(struct ewi_net *net, struct net_address *address,
                     const struct net_arrived *arrived)
{
    struct net_addresses *addresses = &net->link.addresses;

    net->count.address_conflicts += 1;
    memcpy(address->other, arrived->rx->data + 6, 6); /* who sent the frame: a probe says nothing else */
    ewi_net_address_conflict(addresses, (uint32_t)(address - addresses->address), net->now);
}

/* Of another station, which may be asked for or spoken to. */
static bool is_good_mac(const struct ewi_net *net, uint16_t port, const uint8_t mac[6])
{
    return !ewi_net_mac_is_group(mac) && !ewi_net_is_zero(mac, 6) &&
           memcmp(mac, net->link.port[port].mac, 6) != 0;
}

/* RFC 4861 section 7.2.3. A sender that is not on the link gets no answer, or he could put himself
 * into the cache for an address behind a router (CVE-2008-2476). */
static enum taken take_solicitation(struct ewi_net *net, const struct net_arrived *arrived,
                                    const uint8_t source[16], const struct net_ndp *ndp)
{
    const uint16_t port = arrived->port;
    struct net_address *target = own(net, port, ndp->target);
    bool has_mac = (ndp->has & NET_NDP_HAS_SOURCE_LINK) != 0;
    struct net_heard heard = {.mac = has_mac ? ndp->source_link : NULL, .overrides = true};

    if (has_mac && !is_good_mac(net, port, ndp->source_link))
        return IMPLAUSIBLE;
    if (ewi_net_is_zero(source, 16)) {
        if (target != NULL && target->state == NET_ADDRESS_TENTATIVE)
            conflict(net, target, arrived); /* RFC 4862 section 5.4.3: he wants it too */
        else if (target != NULL)
            answer(net, port, source, ndp);
        return target != NULL ? TAKEN : NOT_FOR_US;
    }
    if (own(net, port, source) != NULL || !ewi_net_is_on_link(net, port, 6, source))
        return IMPLAUSIBLE;
    if (target == NULL || target->state == NET_ADDRESS_TENTATIVE)
        return NOT_FOR_US; /* RFC 4862 section 5.4.3 */
    ewi_net_heard(net, port, 6, source, &heard, true);
    answer(net, port, source, ndp);
    return TAKEN;
}

/* RFC 4861 section 7.2.5, RFC 4862 section 5.4.4 */
static enum taken take_advertisement(struct ewi_net *net, const struct net_arrived *arrived,
                                     const struct net_ndp *ndp)
{
    const uint16_t port = arrived->port;
    struct net_address *target = own(net, port, ndp->target);
    bool has_mac = (ndp->has & NET_NDP_HAS_TARGET_LINK) != 0;
    struct net_heard heard = {
        .mac = has_mac ? ndp->target_link : NULL,
        .is_answer = (ndp->flags & NET_NA_SOLICITED) != 0,
        .overrides = (ndp->flags & NET_NA_OVERRIDE) != 0,
    };

    if (has_mac && !is_good_mac(net, port, ndp->target_link))
        return IMPLAUSIBLE;
    if (target != NULL) {
        conflict(net, target, arrived);
        return TAKEN;
    }
    return ewi_net_heard(net, port, 6, ndp->target, &heard, false) ? TAKEN : NOT_FOR_US;
}

static enum taken take(struct ewi_net *net, const struct net_arrived *arrived,
                       const uint8_t source[16], const struct net_ndp *ndp)
{
    if (ndp->type == NET_NDP_NS)
        return take_solicitation(net, arrived, source, ndp);
    if (ndp->type == NET_NDP_NA)
        return take_advertisement(net, arrived, ndp);
    net->count.neighbour_ignored += ndp->type != NET_NDP_RS;
    return NOT_FOR_US;
}

/* RFC 6980 section 5: never from fragments. */
static bool parse(const struct net_arrived *arrived, struct net_ip6 *ip, struct net_ndp *ndp)
{
    struct net_ip6_chain chain;

    if (arrived->rx == NULL ||
        ewi_net_ip6_parse(arrived->packet, arrived->packet_bytes, ip) != NET_OK ||
        ewi_net_ip6_walk(arrived->packet, arrived->packet_bytes, ip, &chain) != NET_OK ||
        chain.has_fragment_header)
        return false;
    return ewi_net_ndp_parse(arrived->bytes, arrived->length, ip, ndp) == NET_OK;
}

void ewi_net_ndp_input(struct ewi_net *net, const struct net_arrived *arrived)
{
    struct net_ip6 ip;
    struct net_ndp ndp;
    enum taken taken;

    if (!parse(arrived, &ip, &ndp))
        taken = IMPLAUSIBLE;
    else if (!ewi_net_is_ethernet(net, arrived->port))
        taken = NOT_FOR_US;
    else
        taken = take(net, arrived, ip.source, &ndp);
    net->count.accepted += taken == TAKEN;
    net->count.drop_neighbour += taken == IMPLAUSIBLE;
    net->count.drop_neighbour_other += taken == NOT_FOR_US;
}
