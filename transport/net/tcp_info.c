/* What a user sees of a connection. */
#include "transport/net/tcp_parts.h"

static void windows(const struct net_conn *conn, struct net_tcp_info *out)
{
    out->send_mss = conn->mss;
    out->receive_mss = conn->rcv_mss;
    out->path_mtu = conn->path_mtu;
    out->cwnd = conn->cc.cwnd;
    out->ssthresh = conn->cc.ssthresh;
    out->send_window = conn->snd_wnd;
    out->receive_window = conn->rcv_edge - ewi_net_seq_wrap(conn->rcv_nxt);
    out->in_flight = ewi_net_runs_in_flight(&conn->runs);
    out->lost = conn->runs.lost_bytes;
    out->sacked = conn->runs.sacked_bytes;
    out->unsent = conn->queue.end > conn->runs.nxt ? (uint32_t)(conn->queue.end - conn->runs.nxt) : 0;
    out->readable = conn->readable;
    out->charged = conn->charged;
}

static void times(const struct ewi_net *net, const struct net_conn *conn, struct net_tcp_info *out)
{
    out->rto = ewi_net_conn_rto(net, conn);
    out->srtt = ewi_net_rtt_smoothed(&conn->rtt);
    out->rttvar = ewi_net_rtt_variation(&conn->rtt);
    out->min_rtt = ewi_net_rtt_least(&conn->rtt);
    out->since_heard = ewi_net_conn_unheard(net, conn);
    out->backoff = conn->rtt.backoff;
    out->probes = conn->retries;
}

/* Between the SYN and the FIN. */
static uint64_t bytes_received(const struct net_conn *conn)
{
    if (conn->rcv_nxt == 0) /* no SYN came */
        return 0;
    return conn->rcv_nxt - (NET_SEQ_FIRST + conn->irs + 1) -
           ((conn->flags & NET_CONN_FIN_SEEN) ? 1 : 0);
}

int ewi_net_tcp_info(struct ewi_net *net, ewi_stream stream, struct net_tcp_info *out)
{
    struct net_conn *conn = ewi_net_conn_find(net, stream);
    uint64_t first;

    if (conn == NULL)
        return -ESTALE;
    first = NET_SEQ_FIRST + conn->iss + 1;
    *out = (struct net_tcp_info){
        .state = (enum net_tcp_state)conn->state,
        .recovery = (enum net_tcp_recovery)conn->recovery,
        .congestion = ewi_net_cc_name(
            (enum net_cc_kind)ewi_net_conn_settings(net, conn)->congestion),
        .timestamps = (conn->flags & NET_CONN_TIMES) != 0,
        .sack = (conn->flags & NET_CONN_SACK) != 0,
        .ecn = (conn->flags & NET_CONN_ECN) != 0,
        .scaled = (conn->flags & NET_CONN_SCALED) != 0,
        .send_scale = conn->send_scale,
        .receive_scale = conn->receive_scale,
        .bytes_sent = ewi_min_u64(ewi_max_u64(conn->runs.nxt, first), conn->queue.end) - first,
        .bytes_acked = ewi_min_u64(ewi_max_u64(conn->runs.una, first), conn->queue.end) - first,
        .bytes_received = bytes_received(conn),
        .segments_resent = conn->resent,
        .timeouts = conn->timeouts,
        .undone = conn->undone,
        .soft_error = -(int)conn->soft_error};
    if (conn->recovery == NET_OPEN && conn->runs.sacked_bytes != 0)
        out->recovery = NET_DISORDER;
    windows(conn, out);
    times(net, conn, out);
    return 0;
}

/* transport/stack.h: does the peer's host answer? */
enum stack_silence ewi_net_silence(struct ewi_net *net, ewi_stream stream, uint64_t *since)
{
    struct net_conn *conn = ewi_net_conn_find(net, stream);

    *since = 0;
    if (conn == NULL)
        return STACK_QUIET;
    *since = ewi_net_conn_unheard(net, conn);
    if (conn->retries != 0)
        return STACK_REPEATS;
    return conn->runs.una != conn->runs.nxt || conn->queue.end > conn->runs.nxt ? STACK_WAITS
                                                                               : STACK_QUIET;
}
