/* Step 5 of RFC 9293 section 3.10.7.4: what an acknowledgment says. */
#include "transport/net/tcp_parts.h"

/* With timestamps: no segment that this one echoes left after the end of that tick. RFC 3522 */
static uint64_t sent_by(const struct ewi_net *net, const struct net_conn *conn,
                        const struct net_tcp *tcp)
{
    uint32_t age;

    if (!(conn->flags & NET_CONN_TIMES) || !(tcp->has & NET_TCP_HAS_TIMES))
        return UINT64_MAX;
    age = ewi_net_conn_time(net, conn) - tcp->time_echo;
    if (age > net->now / NET_MS || age > INT32_MAX)
        return UINT64_MAX;
    return (net->now / NET_MS - age + 1) * NET_MS - 1;
}

static int take_ack(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment,
                    struct net_acked *acked)
{
    struct net_sack sacks[NET_TCP_SACK_MAX];
    uint64_t least = ewi_net_rtt_least(&conn->rtt);
    struct net_ack ack = {.position = segment->ack,
                          .now_ns = net->now,
                          .min_rtt_ns = least == UINT64_MAX ? 0 : least,
                          .sent_by_ns = sent_by(net, conn, &segment->tcp),
                          .sacks = sacks};

    if (conn->flags & NET_CONN_SACK) {
        ack.sacks_count = segment->tcp.sacks;
        for (uint32_t i = 0; i < ack.sacks_count; i++)
            sacks[i] = (struct net_sack){segment->tcp.sack[i].left, segment->tcp.sack[i].right};
    }
    return ewi_net_runs_ack(&net->tcp.runs, &conn->runs, &ack, acked);
}

/* RFC 9293 section 3.10.7.4, fifth; SND.WL2 needs no place: an ACK that comes here is not below SND.UNA,
 * which is not below SND.WL2. One that moves SND.UNA is newer than what we know, though it may come with
 * bytes that were sent again: without its window ours would move to the right by itself. */
static void take_window(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment,
                        bool advanced)
{
    uint32_t seq = ewi_net_seq_wrap(segment->seq);
    bool was_closed = conn->snd_wnd == 0, is_older = ewi_net_seq_before(seq, conn->snd_wl1);

    if (is_older && !advanced)
        return;
    if (!is_older)
        conn->snd_wl1 = seq;
    conn->snd_wnd = segment->tcp.window; /* in a SYN never scaled: RFC 7323 section 2.2 */
    if (!(segment->tcp.flags & NET_TCP_SYN))
        conn->snd_wnd <<= conn->send_scale;
    ewi_net_conn_note_window(conn, segment->tcp.window, (segment->tcp.flags & NET_TCP_SYN) != 0);
    if (conn->snd_wnd == 0)
        return;
    if (conn->runs.una == conn->runs.nxt) { /* the persist timer's time is over */
        conn->rto_at = 0;
        conn->retries = 0;
        conn->progress_at = ewi_net_tcp_slow_of(net->now);
    } else if (was_closed && conn->snd_wnd != 0 && conn->retries != 0) {
        /* It was taken back with data in flight: what was sent meanwhile had no chance. */
        conn->retries = 0;
        conn->progress_at = ewi_net_tcp_slow_of(net->now);
        ewi_net_runs_lose_first(&net->tcp.runs, &conn->runs);
        conn->flags |= NET_CONN_FORCE;
    }
}

/* RFC 7323 section 4.1, for what was sent again: the echo has to be of the last copy. Else the first one
 * had arrived, and the ACK that said so was lost: that is how long we waited, not a round trip. */
static uint64_t rtt_by_echo(const struct ewi_net *net, const struct net_conn *conn,
                            const struct net_tcp *tcp, const struct net_acked *acked)
{
    uint64_t rtt;

    if (!(conn->flags & NET_CONN_TIMES) || tcp->time_echo == 0 ||
        !(acked->newest_flags & NET_RUN_RESENT))
        return 0;
    if (!ewi_net_rtt_of_timestamp(ewi_net_conn_time(net, conn), tcp->time_echo, NET_MS, &rtt))
        return 0;
    return rtt > net->now - acked->newest_tx_ns + NET_MS ? 0 : rtt;
}

/* RFC 6298 section 3: by the segment's own time, else by its timestamp. An ACK for something that was
 * sent again says nothing about what was sent once with it: those ACKs were lost. */
static uint64_t take_rtt(struct ewi_net *net, struct net_conn *conn, const struct net_tcp *tcp,
                         const struct net_acked *acked, uint32_t flight)
{
    uint64_t rtt = acked->resent ? 0 : acked->rtt_ns;

    if (rtt == 0 && acked->acked_bytes != 0)
        rtt = rtt_by_echo(net, conn, tcp, acked);
    if (rtt == 0) {
        if (acked->acked_bytes != 0 && acked->dsack_end != 0)
            ewi_net_rtt_on_duplicate(&conn->rtt);
        return 0;
    }
    ewi_net_rtt_sample(&conn->rtt, rtt, ewi_net_rtt_expected(flight, ewi_max_u32(conn->mss, 1)),
                       net->now);
    if (conn->flags & NET_CONN_SACK)
        ewi_net_rack_rtt(&conn->u.rack);
    return rtt;
}

/* Returns what the user is to be told. */
static uint32_t release(struct ewi_net *net, struct net_conn *conn, uint64_t una_before)
{
    uint64_t first = ewi_max_u64(una_before, NET_SEQ_FIRST + conn->iss + 1);
    uint64_t to = ewi_min_u64(conn->runs.una, conn->queue.end);
    uint32_t bits = STACK_RELEASED;

    if (to <= first)
        return 0;
    ewi_net_send_queue_release(&net->tcp.spans, &conn->queue, first, to);
    if (conn->flags & NET_CONN_WRITE_WAIT) {
        conn->flags &= ~(uint32_t)NET_CONN_WRITE_WAIT;
        bits |= STACK_WRITABLE;
    }
    return bits;
}

/* RFC 4861 section 7.3.1 */
static void tell_way(struct ewi_net *net, struct net_conn *conn)
{
    if ((conn->flags & NET_CONN_TELL_WAY) == 0)
        return;
    conn->flags &= ~(uint32_t)NET_CONN_TELL_WAY;
    ewi_net_way_confirm(net, &conn->tuple);
}

/* RFC 6298 section 5: (5.2), (5.3). */
static void restart_timeout(struct ewi_net *net, struct net_conn *conn)
{
    tell_way(net, conn);
    conn->retries = 0;
    conn->progress_at = ewi_net_tcp_slow_of(net->now);
    conn->rto_at = 0;
    if (conn->runs.una != conn->runs.nxt)
        ewi_net_conn_arm_timeout(net, conn, ewi_net_conn_rto(net, conn));
}

/* RFC 3168 section 6.1.2 */
void ewi_net_conn_marked(struct net_conn *conn, uint64_t una_before)
{
    uint64_t end = ewi_net_seq_unwrap(una_before, conn->ecn_end);

    if (conn->runs.una < end || conn->recovery >= NET_RECOVERY)
        return;
    ewi_net_cc_on_congestion(&conn->cc, NET_CC_ECE, (uint32_t)(conn->runs.nxt - una_before));
    conn->ecn_end = ewi_net_seq_wrap(conn->runs.nxt);
    conn->flags |= NET_CONN_CWR;
    conn->recovery = NET_CWR;
}

static void grow(struct ewi_net *net, struct net_conn *conn, const struct net_acked *acked,
                 uint64_t rtt, bool was_in_recovery, bool ece)
{
    struct net_cc_ack ack = {
        .now = net->now,
        .rtt = rtt,
        .srtt = ewi_net_rtt_smoothed(&conn->rtt),
        .acked = acked->acked_bytes,
        .una = ewi_net_seq_wrap(conn->runs.una),
        .nxt = ewi_net_seq_wrap(conn->runs.nxt),
        /* after a timeout what is lost waits for the window, whether or not there is new data */
        .cwnd_limited = (conn->flags & NET_CONN_CWND_LIMITED) != 0 || conn->recovery == NET_LOSS,
        .in_recovery = was_in_recovery || conn->recovery == NET_RECOVERY || conn->recovery == NET_CWR,
        .ece = ece};

    ewi_net_cc_on_ack(&conn->cc, &ack);
}

/* Our FIN may have been acknowledged: sections 3.10.7.4, fifth, FIN_WAIT_1 and below. */
static bool after_fin(struct ewi_net *net, struct net_conn *conn)
{
    if (!ewi_net_conn_fin_acked(conn))
        return true;
    switch (conn->state) {
    case NET_TCP_FIN_WAIT_1:
        ewi_net_conn_move(conn, NET_TCP_FIN_WAIT_2);
        if (conn->flags & NET_CONN_FINISHED)
            conn->life_at = ewi_net_tcp_slow_of(net->now +
                                                ewi_net_conn_settings(net, conn)->fin_wait_ns);
        return true;
    case NET_TCP_CLOSING:
        ewi_net_conn_time_wait(net, conn);
        return false;
    case NET_TCP_LAST_ACK:
        ewi_net_conn_close(net, conn, 0);
        return false;
    default:
        return true;
    }
}

/* What was passed long ago must not seem to be ahead 2^31 bytes later. */
static void follow(uint32_t *end, uint64_t una)
{
    if (una > ewi_net_seq_unwrap(una, *end))
        *end = ewi_net_seq_wrap(una);
}

bool ewi_net_conn_ack(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment)
{
    uint64_t una_before = conn->runs.una, rtt;
    uint32_t flight = (uint32_t)(conn->runs.nxt - una_before), window_before = conn->snd_wnd;
    bool was_in_recovery = conn->recovery == NET_RECOVERY;
    bool ece = (conn->flags & NET_CONN_ECN) && /* in a SYN-ACK it answers, and marks nothing */
               (segment->tcp.flags & (NET_TCP_ECE | NET_TCP_SYN)) == NET_TCP_ECE;
    struct net_acked acked;
    bool is_duplicate;

    if (segment->ack < conn->runs.una) /* an old one says nothing new */
        return true;
    if (take_ack(net, conn, segment, &acked) != EW_OK)
        return true;
    take_window(net, conn, segment, acked.acked_bytes != 0);
    conn->soft_error = 0;
    /* RFC 5681 section 2 */
    is_duplicate = acked.acked_bytes == 0 && flight != 0 && segment->bytes == 0 &&
                   !(segment->tcp.flags & (NET_TCP_FIN | NET_TCP_SYN)) &&
                   conn->snd_wnd == window_before;
    rtt = take_rtt(net, conn, &segment->tcp, &acked, flight);
    if (acked.acked_bytes != 0) {
        if (acked.acked_bytes >= conn->mss)
            conn->flags |= NET_CONN_FULL_GOOD;
        ewi_net_conn_raise(net, conn, release(net, conn, una_before));
        restart_timeout(net, conn);
        follow(&conn->ecn_end, una_before);
        follow(&conn->small_end, una_before);
    }
    if (conn->recovery == NET_CWR &&
        conn->runs.una >= ewi_net_seq_unwrap(conn->runs.una, conn->ecn_end))
        conn->recovery = NET_OPEN;
    if (ece)
        ewi_net_conn_marked(conn, una_before);
    /* Reports of duplicates, and what ends a tail loss probe, may come when all is acknowledged. */
    if (flight != 0 || acked.dsack_end != 0 ||
        ((conn->flags & NET_CONN_SACK) && conn->u.rack.tlp_end != 0))
        ewi_net_conn_loss_ack(net, conn, segment, &acked, una_before, is_duplicate);
    if (acked.acked_bytes != 0)
        grow(net, conn, &acked, rtt, was_in_recovery, ece);
    return after_fin(net, conn);
}

/* ---- the short way ---- */

/* Nothing is in flight any more: the branches of take_window and restart_timeout for that. */
static void rest(struct ewi_net *net, struct net_conn *conn, const struct net_tcp *tcp)
{
    conn->snd_wl1 = tcp->sequence;
    conn->snd_wnd = (uint32_t)tcp->window << conn->send_scale;
    ewi_net_conn_note_window(conn, tcp->window, false);
    conn->rto_at = 0;
    conn->retries = 0;
    conn->progress_at = ewi_net_tcp_slow_of(net->now);
    conn->soft_error = 0;
}

static void learn(struct ewi_net *net, struct net_conn *conn, const struct net_acked *acked)
{
    ewi_net_rtt_sample(&conn->rtt, acked->rtt_ns,
                       ewi_net_rtt_expected(acked->acked_bytes, ewi_max_u32(conn->mss, 1)), net->now);
    ewi_net_rack_rtt(&conn->u.rack);
    ewi_net_rack_ack(&conn->u.rack, &conn->runs, acked, net->now);
    conn->aux = NET_AUX_NONE; /* no probe, no waiting for what may be late */
    conn->aux_at = 0;
}

bool ewi_net_conn_ack_all(struct ewi_net *net, struct net_conn *conn, const struct net_tcp *tcp,
                          uint32_t *events)
{
    uint64_t una_before = conn->runs.una;
    struct net_acked acked = {0};

    *events = 0;
    if (conn->runs.una == conn->runs.nxt) {
        rest(net, conn, tcp);
        return true;
    }
    if (!ewi_net_runs_ack_all(&net->tcp.runs, &conn->runs, net->now, &acked))
        return false;
    rest(net, conn, tcp);
    if (acked.acked_bytes >= conn->mss)
        conn->flags |= NET_CONN_FULL_GOOD;
    *events = release(net, conn, una_before);
    tell_way(net, conn);
    follow(&conn->ecn_end, una_before);
    follow(&conn->small_end, una_before);
    learn(net, conn, &acked);
    grow(net, conn, &acked, acked.rtt_ns, false, false);
    return true;
}
