/* Do the invariants of connections hold? */
#include "transport/net/tcp_parts.h"

static const char *check_queue(struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t charged = 0, readable = 0;

    for (uint32_t i = conn->first; i != NET_NONE; i = ewi_net_packet(net, i)->next) {
        charged += ewi_net_packet(net, i)->charge;
        readable += ewi_net_packet(net, i)->bytes;
        if (ewi_net_packet(net, i)->next == NET_NONE && i != conn->last)
            return "received: last is not the end of the queue";
    }
    if (conn->readable != readable - conn->first_skip)
        return "received: readable is not the sum over the queue";
    return charged > conn->charged ? "received: the queue pins more than is charged" : NULL;
}

static const char *check_send(struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t first = ewi_max_u64(conn->runs.una, NET_SEQ_FIRST + conn->iss + 1);

    if (ewi_net_runs_check(&net->tcp.runs, &conn->runs) != 0)
        return "sent: the list of runs is broken";
    if (conn->runs.nxt > conn->queue.end + 1)
        return "sent: more than was given";
    if (conn->runs.nxt > conn->queue.end && !(conn->flags & NET_CONN_FIN_QUEUED) &&
        conn->state >= NET_TCP_ESTABLISHED)
        return "sent: a FIN that nobody asked for";
    if (conn->state >= NET_TCP_ESTABLISHED && conn->runs.una != conn->runs.nxt && conn->rto_at == 0)
        return "sent: data in flight and no retransmission timer";
    if (first > conn->queue.end + 1)
        return "sent: SND.UNA is beyond everything";
    first = ewi_min_u64(first, conn->queue.end); /* the FIN has no span */
    if (ewi_net_send_queue_check(&net->tcp.spans, &conn->queue, first) != EW_OK)
        return "sent: the queue of spans is broken";
    return NULL;
}

static const char *check_state(const struct net_conn *conn)
{
    bool fin_queued = (conn->flags & NET_CONN_FIN_QUEUED) != 0;
    bool fin_seen = (conn->flags & NET_CONN_FIN_SEEN) != 0;

    switch (conn->state) {
    case NET_TCP_ESTABLISHED:
        return fin_queued || fin_seen ? "ESTABLISHED with a FIN" : NULL;
    case NET_TCP_FIN_WAIT_1:
    case NET_TCP_FIN_WAIT_2:
        return !fin_queued || fin_seen ? "FIN_WAIT with the wrong FINs" : NULL;
    case NET_TCP_CLOSE_WAIT:
        return fin_queued || !fin_seen ? "CLOSE_WAIT with the wrong FINs" : NULL;
    case NET_TCP_CLOSING:
    case NET_TCP_LAST_ACK:
        return !fin_queued || !fin_seen ? "CLOSING or LAST_ACK without both FINs" : NULL;
    default:
        return NULL;
    }
}

static const char *check_timer(struct ewi_net *net, const struct net_conn *conn, uint32_t index)
{
    const uint32_t at[] = {conn->rto_at, conn->aux_at, conn->ack_at, conn->hold_at};
    uint64_t armed = ewi_net_wheel_deadline(&net->tcp.conn_wheel, index);

    if (conn->flags & NET_CONN_READY) /* output() comes first, and then it is armed */
        return NULL;
    for (uint32_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        if (at[i] != 0 && armed > ewi_net_tcp_tick_ns(at[i], net->now) + 1024 &&
            ewi_net_tcp_tick_ns(at[i], net->now) > net->now)
            return "timer: a deadline that the wheel does not know";
    return NULL;
}

static const char *check_open(struct ewi_net *net, struct net_conn *conn, uint32_t index)
{
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);
    uint64_t hash = ewi_net_tuple_hash(net->tcp.table_key, &conn->tuple);
    const char *broken = check_send(net, conn);

    if (broken == NULL)
        broken = check_state(conn);
    if (broken == NULL)
        broken = check_timer(net, conn, index);
    if (broken != NULL)
        return broken;
    if (ewi_net_table_find(&net->tcp.conn_table, hash, &conn->tuple) != index)
        return "table: a connection is not there";
    if (trouble != NULL && ewi_net_reorder_check(&net->tcp.reorder, &trouble->reorder) != 0)
        return "received: the reorder queue is broken";
    if (trouble != NULL && !(conn->flags & NET_CONN_FIN_SEEN) &&
        trouble->reorder.next != conn->rcv_nxt)
        return "received: two RCV.NXT";
    if (conn->state >= NET_TCP_ESTABLISHED &&
        ewi_net_seq_before(conn->rcv_edge, ewi_net_seq_wrap(conn->rcv_nxt)))
        return "received: beyond the window";
    if (conn->state >= NET_TCP_ESTABLISHED && conn->cc.cwnd < conn->cc.smss)
        return "congestion: cwnd is below a segment";
    return NULL;
}

static const char *check_conn(struct ewi_net *net, uint32_t index)
{
    struct net_conn *conn = ewi_net_conn(net, index);
    const char *broken = check_queue(net, conn);

    if (broken != NULL)
        return broken;
    if (conn->state != NET_TCP_CLOSED && conn->state != NET_TCP_TIME_WAIT)
        return check_open(net, conn, index);
    if (conn->flags & (NET_CONN_IN_TABLE | NET_CONN_READY | NET_CONN_PARKED))
        return "closed: still in a table or list";
    return conn->trouble != NET_NONE ? "closed: with a record of trouble" : NULL;
}

static const char *check_lists(struct ewi_net *net)
{
    uint32_t last = NET_NONE, count = 0;

    for (uint32_t i = net->tcp.ready_first; i != NET_NONE; i = ewi_net_conn(net, i)->next) {
        struct net_conn *conn = ewi_net_conn(net, i);

        if (!ewi_net_pool_is_taken(&net->tcp.conns, i) || !(conn->flags & NET_CONN_READY) ||
            conn->prev != last || ++count > net->config.conns_max)
            return "list: of ready connections";
        last = i;
    }
    return last == net->tcp.ready_last ? NULL : "list: end of ready connections";
}

const char *ewi_net_tcp_check(struct ewi_net *net)
{
    const char *broken = check_lists(net);

    for (uint32_t i = 0; broken == NULL && i < net->tcp.conns.fresh; i++)
        if (ewi_net_pool_is_taken(&net->tcp.conns, i))
            broken = check_conn(net, i);
    return broken;
}
