/* Segments that no open connection sends: RST, SYN-ACK of the SYN queue, the ACK of TIME_WAIT. */
#include "transport/net/tcp_parts.h"

enum { RESETS_PER_SECOND = 1000 };

bool ewi_net_tcp_reply(struct ewi_net *net, const struct net_tuple *tuple, struct net_tcp *tcp,
                       uint8_t settings, uint8_t traffic_class)
{
    const struct net_settings *set = ewi_net_settings_at(&net->tcp.settings, settings);
    struct net_ip_out how = {.protocol = NET_TCP,
                             .traffic_class = (uint8_t)(set->traffic_class | traffic_class),
                             .hop_limit = set->hop_limit};
    uint32_t index = ewi_net_slot_take(net);
    struct net_slot *slot;
    size_t bytes;

    if (index == NET_NONE)
        return false;
    slot = ewi_net_slot(net, index);
    tcp->source_port = tuple->local_port;
    tcp->destination_port = tuple->remote_port;
    bytes = ewi_net_tcp_build(slot->packet + ewi_net_ip_header_bytes(tuple->family), tcp,
                              (enum net_tcp_order)set->syn_order, ewi_net_ip_addresses(tuple), 0, 0);
    slot->transport_bytes = (uint8_t)bytes;
    return ewi_net_ip_send(net, index, tuple, &how, (uint32_t)bytes, false) == 0;
}

/* At most so many a second, of all: a flood is not answered by a flood. */
static bool reset_allowed(struct ewi_net *net)
{
    if (net->now - net->tcp.resets_at >= NET_S) {
        net->tcp.resets_at = net->now;
        net->tcp.resets = 0;
    }
    if (net->tcp.resets >= RESETS_PER_SECOND) {
        net->count.tcp_reset_limited += 1;
        return false;
    }
    net->tcp.resets += 1;
    return true;
}

/* RFC 9293 section 3.10.7.1 */
void ewi_net_tcp_refuse(struct ewi_net *net, const struct net_segment *segment)
{
    const struct net_tcp *in = &segment->tcp;
    struct net_tcp tcp = {.flags = NET_TCP_RST};
    uint8_t settings = net->tcp.settings.standard;

    if ((in->flags & NET_TCP_RST) || segment->arrived->is_multicast || !reset_allowed(net))
        return;
    if (in->flags & NET_TCP_ACK) {
        tcp.sequence = in->acknowledgment;
    } else {
        tcp.flags |= NET_TCP_ACK;
        tcp.acknowledgment = in->sequence + segment->bytes + ((in->flags & NET_TCP_SYN) ? 1 : 0) +
                             ((in->flags & NET_TCP_FIN) ? 1 : 0);
    }
    if (ewi_net_tcp_reply(net, &segment->arrived->tuple, &tcp, settings, 0))
        net->count.tcp_reset_sent += 1;
}

void ewi_net_conn_ack_by_slot(struct ewi_net *net, struct net_conn *conn)
{
    struct net_tcp tcp = {.sequence = ewi_net_seq_wrap(conn->runs.nxt),
                          .acknowledgment = ewi_net_seq_wrap(conn->rcv_nxt),
                          .flags = NET_TCP_ACK,
                          .window = ewi_net_conn_window(net, conn)};

    ewi_net_conn_put_times(net, conn, &tcp);
    if (conn->flags & NET_CONN_ECE)
        tcp.flags |= NET_TCP_ECE;
    ewi_net_tcp_reply(net, &conn->tuple, &tcp, conn->settings, 0);
    conn->acked_to = tcp.acknowledgment;
}
