/* Recovery: RACK-TLP (RFC 8985) with PRR where the peer has SACK, NewReno (RFC 6582) where it has not;
 * timeouts with F-RTO (RFC 5682); and going back when nothing was lost (RFC 3522, 4015, 3708). */
#include "transport/net/tcp_parts.h"

/* ---- windows ---- */

uint32_t ewi_net_conn_limit(struct ewi_net *net, const struct net_conn *conn)
{
    const struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);

    if (trouble == NULL)
        return conn->cc.cwnd;
    if (conn->recovery == NET_RECOVERY && (conn->flags & NET_CONN_SACK))
        return trouble->prr.window;
    return conn->cc.cwnd + trouble->inflate;
}

/* ---- in and out of recovery ---- */

static void look_back_no_more(struct net_conn *conn, struct net_trouble *trouble)
{
    trouble->undo_until = 0;
    if (conn->aux != NET_AUX_LOOK_BACK)
        return;
    conn->aux = NET_AUX_NONE;
    conn->aux_at = 0;
}

/* A tail loss probe under way is a copy too: what answers it does not say that the original arrived. */
static void count_probe(struct ewi_net *net, const struct net_conn *conn, struct net_undo *undo)
{
    uint64_t sent_ns;
    uint32_t bytes;

    if ((conn->flags & NET_CONN_SACK) &&
        ewi_net_tlp_copy(&conn->u.rack, &net->tcp.runs, &conn->runs, &sent_ns, &bytes))
        ewi_net_undo_on_retransmit(undo, bytes, (conn->flags & NET_CONN_TIMES) != 0,
                                   ewi_net_tcp_ms(sent_ns) + conn->ts_offset);
}

static void arm_undo(struct ewi_net *net, struct net_conn *conn, struct net_trouble *trouble,
                     bool again)
{
    ewi_net_undo_arm(&trouble->undo, &conn->cc, ewi_net_seq_wrap(conn->runs.una),
                     ewi_net_seq_wrap(conn->runs.nxt), again);
    if (!again)
        count_probe(net, conn, &trouble->undo);
    look_back_no_more(conn, trouble);
}

static void reduce(struct net_conn *conn, uint64_t una_before)
{
    ewi_net_cc_on_congestion(&conn->cc, NET_CC_LOSS, (uint32_t)(conn->runs.nxt - una_before));
    if (conn->flags & NET_CONN_ECN)
        conn->flags |= NET_CONN_CWR;
    conn->ecn_end = ewi_net_seq_wrap(conn->runs.nxt);
}

static void enter(struct ewi_net *net, struct net_conn *conn, const struct net_acked *acked,
                  uint64_t una_before)
{
    struct net_trouble *trouble = ewi_net_conn_need_trouble(net, conn);
    bool reduced_already = conn->recovery == NET_CWR;
    struct net_prr_entry entry = {.flight = (uint32_t)(conn->runs.nxt - conn->runs.una),
                                  .sacked = conn->runs.sacked_bytes,
                                  .newly_sacked = acked->sacked_bytes,
                                  .newly_acked = acked->acked_bytes,
                                  .smss = conn->mss};

    conn->flags |= NET_CONN_FORCE;
    if (trouble == NULL) { /* no record: reduce at once, and be done with it when this is acknowledged */
        if (!reduced_already)
            reduce(conn, una_before);
        conn->recovery = NET_CWR;
        return;
    }
    arm_undo(net, conn, trouble, false);
    if (!reduced_already) /* once per window of data, whatever the sign: RFC 3168 section 6.1.2 */
        reduce(conn, una_before);
    entry.ssthresh = conn->cc.ssthresh;
    ewi_net_prr_enter(&trouble->prr, &entry);
    conn->recovery = NET_RECOVERY;
    trouble->recovery_end = conn->runs.nxt;
    trouble->resent_ns = 0;
    if (conn->flags & NET_CONN_SACK)
        ewi_net_tlp_reset(&conn->u.rack);
}

/* Duplicates of what was sent again are reported up to a round trip from now: until what is in flight is
 * acknowledged; where nothing is, until the next byte is, or for as long as a timeout would wait, if there are
 * records enough for others. */
static void look_back_for_a_while(struct ewi_net *net, struct net_conn *conn,
                                  struct net_trouble *trouble)
{
    if (conn->runs.una != conn->runs.nxt) {
        trouble->undo_until = conn->runs.nxt;
        return;
    }
    if (net->tcp.troubles.used > net->tcp.troubles.slots / 2) {
        ewi_net_undo_drop(&trouble->undo);
        return;
    }
    trouble->undo_until = conn->runs.nxt + 1;
    conn->aux = NET_AUX_LOOK_BACK; /* no other: nothing is in flight */
    conn->aux_at = ewi_net_tcp_tick_of(net->now + ewi_net_conn_rto(net, conn));
}

void ewi_net_conn_stay(struct ewi_net *net, struct net_conn *conn)
{
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);

    if (trouble == NULL || trouble->undo_until == 0)
        return;
    ewi_net_undo_drop(&trouble->undo);
    look_back_no_more(conn, trouble);
    ewi_net_conn_drop_trouble(net, conn);
}

static void leave(struct ewi_net *net, struct net_conn *conn, struct net_trouble *trouble,
                  bool has_dsack)
{
    if (conn->recovery == NET_RECOVERY)
        ewi_net_cc_on_recovery_exit(&conn->cc);
    if ((conn->flags & NET_CONN_SACK) && !has_dsack)
        ewi_net_rack_recovery_ended(&conn->u.rack);
    conn->recovery = NET_OPEN;
    conn->flags &= ~(uint32_t)(NET_CONN_FORCE | NET_CONN_SEND_NEW);
    trouble->inflate = 0;
    trouble->frto.step = NET_FRTO_OFF;
    if (trouble->undo.armed && (conn->flags & NET_CONN_SACK))
        look_back_for_a_while(net, conn, trouble);
    else
        ewi_net_undo_drop(&trouble->undo);
    ewi_net_conn_drop_trouble(net, conn);
}

/* acked_bytes: of the ACK that told. */
static void undo(struct ewi_net *net, struct net_conn *conn, struct net_trouble *trouble,
                 uint32_t acked_bytes)
{
    uint32_t flight = (uint32_t)(conn->runs.nxt - conn->runs.una);

    if (!ewi_net_undo_apply(&trouble->undo, &conn->cc))
        return;
    conn->undone += 1;
    if (conn->recovery == NET_LOSS) /* RFC 4015 section 3.2: not the whole window in one burst */
        conn->cc.cwnd = ewi_min_u32(conn->cc.cwnd,
                                    ewi_max_u32(ewi_net_undo_burst(flight, acked_bytes, conn->mss),
                                                conn->mss));
    if (conn->recovery >= NET_RECOVERY) {
        conn->recovery = NET_OPEN;
        conn->flags &= ~(uint32_t)(NET_CONN_FORCE | NET_CONN_SEND_NEW);
        trouble->inflate = 0;
        trouble->frto.step = NET_FRTO_OFF;
    }
    look_back_no_more(conn, trouble);
    ewi_net_conn_drop_trouble(net, conn);
}

/* RFC 4015 section 3.3: the timeout came before the ACK of the original. One that reports a duplicate
 * answers what was sent again, so it does not say how long the original took. */
static void learn_from_early(struct ewi_net *net, struct net_conn *conn, const struct net_tcp *tcp,
                             const struct net_acked *acked)
{
    uint64_t sample;

    if (conn->recovery == NET_LOSS && acked->dsack_end == 0 && tcp->time_echo != 0 &&
        ewi_net_rtt_of_timestamp(ewi_net_conn_time(net, conn), tcp->time_echo, NET_MS, &sample))
        ewi_net_rtt_on_spurious(&conn->rtt, sample);
}

/* True: it was needless, and everything is as before. */
static bool look_back(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment,
                      const struct net_acked *acked)
{
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);
    bool times = (conn->flags & NET_CONN_TIMES) && (segment->tcp.has & NET_TCP_HAS_TIMES);
    bool needless = false;

    if (trouble == NULL || !trouble->undo.armed)
        return false;
    if (acked->acked_bytes != 0)
        needless = ewi_net_undo_on_ack(&trouble->undo, ewi_net_seq_wrap(conn->runs.una), times,
                                       segment->tcp.time_echo);
    if (!needless && acked->dsack_end != 0)
        needless = ewi_net_undo_on_dsack(&trouble->undo, ewi_net_seq_wrap(acked->dsack_from),
                                         ewi_net_seq_wrap(acked->dsack_end));
    if (needless) {
        if (times)
            learn_from_early(net, conn, &segment->tcp, acked);
        undo(net, conn, trouble, acked->acked_bytes);
        return true;
    }
    if (conn->runs.una >= trouble->undo_until)
        ewi_net_conn_stay(net, conn);
    return false;
}

/* ---- after a timeout: F-RTO ---- */

static bool can_send_new(const struct net_conn *conn)
{
    return conn->queue.end > conn->runs.nxt && conn->runs.una + conn->snd_wnd > conn->runs.nxt;
}

/* What was sent since the timeout is on its way. */
static void lose_the_rest(struct ewi_net *net, struct net_conn *conn,
                          const struct net_trouble *trouble)
{
    uint64_t resent_ns = trouble->resent_ns;

    if (!(conn->flags & NET_CONN_SACK))
        ewi_net_runs_lose_older(&net->tcp.runs, &conn->runs, resent_ns != 0 ? resent_ns : UINT64_MAX);
}

static void after_timeout(struct ewi_net *net, struct net_conn *conn, struct net_trouble *trouble,
                          const struct net_acked *acked, bool is_duplicate)
{
    struct net_frto_ack ack = {
        .una = ewi_net_seq_wrap(conn->runs.una),
        .advanced = acked->acked_bytes != 0,
        .duplicate = is_duplicate || acked->sacked_bytes != 0,
        .sack = (conn->flags & NET_CONN_SACK) != 0,
        .original = acked->newest_end != 0 && !(acked->newest_flags & NET_RUN_RESENT) &&
                    acked->newest_end <= trouble->recovery_end,
        .above = acked->newest_end > trouble->recovery_end,
        .can_send_new = can_send_new(conn)};

    switch (ewi_net_frto_on_ack(&trouble->frto, &ack)) {
    case NET_FRTO_SEND_NEW:
        conn->flags |= NET_CONN_SEND_NEW;
        trouble->frto_rounds = 2;
        break;
    case NET_FRTO_SPURIOUS:
        undo(net, conn, trouble, acked->acked_bytes);
        break;
    case NET_FRTO_LOST_LATE:
        conn->cc.cwnd = 3u * conn->mss; /* two are under way: RFC 5682 section 2.1, step 3a */
        /* fall through */
    case NET_FRTO_LOST:
        conn->flags &= ~(uint32_t)NET_CONN_SEND_NEW;
        lose_the_rest(net, conn, trouble);
        break;
    default:
        break;
    }
}

/* ---- with SACK: RACK-TLP ---- */

static uint64_t reo_wnd(const struct net_conn *conn)
{
    uint64_t least = ewi_net_rtt_least(&conn->rtt);

    return ewi_net_rack_reo_wnd(&conn->u.rack, &conn->runs, conn->recovery >= NET_RECOVERY,
                                least == UINT64_MAX ? 0 : least,
                                ewi_net_rtt_smoothed(&conn->rtt));
}

/* RFC 8985 section 6.2 step 5. */
static uint32_t detect(struct ewi_net *net, struct net_conn *conn)
{
    uint32_t lost;
    uint64_t again = ewi_net_rack_detect(&conn->u.rack, &net->tcp.runs, &conn->runs, reo_wnd(conn),
                                         net->now, &lost);

    if (again != UINT64_MAX) {
        conn->aux = NET_AUX_REORDER;
        conn->aux_at = ewi_net_tcp_tick_of(again);
    } else if (conn->aux == NET_AUX_REORDER) {
        conn->aux_at = 0;
        conn->aux = NET_AUX_NONE;
    }
    return lost;
}

/* RFC 8985 section 7.2 */
void ewi_net_conn_arm_probe(struct ewi_net *net, struct net_conn *conn)
{
    uint64_t rto_at, due;

    if (!(conn->flags & NET_CONN_SACK) || conn->aux == NET_AUX_REORDER)
        return;
    if (conn->aux == NET_AUX_PROBE) {
        conn->aux = NET_AUX_NONE;
        conn->aux_at = 0;
    }
    if (conn->rto_at == 0 || conn->u.rack.tlp_end != 0 || conn->state < NET_TCP_ESTABLISHED ||
        !ewi_net_tlp_may_arm(&conn->runs, conn->recovery >= NET_RECOVERY))
        return;
    rto_at = ewi_net_tcp_tick_ns(conn->rto_at, net->now);
    due = ewi_net_tlp_due(&net->tcp.runs, &conn->runs, ewi_net_rtt_smoothed(&conn->rtt),
                          NET_TLP_WC_DELAYED_ACK_NS, rto_at, net->now);
    conn->aux = NET_AUX_PROBE;
    conn->aux_at = ewi_net_tcp_tick_of(due);
}

static void on_tlp(struct net_conn *conn, const struct net_segment *segment,
                   const struct net_acked *acked, uint64_t una_before)
{
    bool is_bare = acked->acked_bytes == 0 && segment->tcp.sacks == 0 && segment->bytes == 0;

    if (ewi_net_tlp_ack(&conn->u.rack, segment->ack, acked, is_bare) == NET_TLP_REPAIRED &&
        conn->recovery < NET_CWR) { /* section 7.4.2: as for a fast recovery, which is over already */
        reduce(conn, una_before);
        ewi_net_cc_on_recovery_exit(&conn->cc);
    }
}

static void with_sack(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment,
                      const struct net_acked *acked, uint64_t una_before)
{
    struct net_trouble *trouble;
    uint32_t lost;

    ewi_net_rack_ack(&conn->u.rack, &conn->runs, acked, net->now);
    on_tlp(conn, segment, acked, una_before);
    lost = detect(net, conn);
    if (lost != 0 && conn->recovery < NET_RECOVERY && conn->runs.lost_bytes != 0)
        enter(net, conn, acked, una_before);
    trouble = ewi_net_conn_trouble(net, conn);
    if (trouble != NULL && conn->recovery == NET_RECOVERY)
        ewi_net_prr_on_ack(&trouble->prr, acked->delivered_bytes,
                           ewi_net_runs_in_flight(&conn->runs), acked->acked_bytes != 0 && lost == 0);
}

/* ---- without SACK: NewReno ---- */

static void without_sack(struct ewi_net *net, struct net_conn *conn, const struct net_acked *acked,
                         uint64_t una_before, bool is_duplicate)
{
    enum net_dupack_verdict verdict =
        ewi_net_dupack_ack(&conn->u.dupack, una_before, conn->runs.nxt, conn->runs.una, is_duplicate);
    struct net_trouble *trouble;

    if (verdict == NET_DUPACK_LIMITED && conn->recovery >= NET_RECOVERY)
        return; /* RFC 3042 is about new data before a recovery */
    if (verdict == NET_DUPACK_LIMITED || verdict == NET_DUPACK_ENTER) {
        if (verdict == NET_DUPACK_ENTER) {
            ewi_net_runs_lose_first(&net->tcp.runs, &conn->runs);
            enter(net, conn, acked, una_before);
        }
        trouble = ewi_net_conn_need_trouble(net, conn);
        if (trouble == NULL)
            return;
        /* RFC 3042: a segment has left the network. Section 3.2 of RFC 6582: three have; the first
         * one, lost, is not counted in flight here. */
        trouble->inflate = verdict == NET_DUPACK_ENTER ? 2u * conn->mss
                                                       : trouble->inflate + conn->mss;
        return;
    }
    if (verdict == NET_DUPACK_PARTIAL_FIRST || verdict == NET_DUPACK_PARTIAL) {
        ewi_net_runs_lose_first(&net->tcp.runs, &conn->runs);
        conn->flags |= NET_CONN_FORCE;
    }
    trouble = ewi_net_conn_trouble(net, conn);
    if (trouble == NULL)
        return;
    switch (verdict) {
    case NET_DUPACK_INFLATE:
        trouble->inflate += conn->mss;
        break;
    case NET_DUPACK_PARTIAL_FIRST:
    case NET_DUPACK_PARTIAL:
        trouble->inflate -= ewi_min_u32(trouble->inflate, acked->acked_bytes);
        break;
    case NET_DUPACK_FULL:
        leave(net, conn, trouble, false);
        break;
    default:
        if (acked->acked_bytes != 0 && conn->recovery < NET_RECOVERY) {
            trouble->inflate = 0;
            ewi_net_conn_drop_trouble(net, conn);
        }
    }
}

/* ---- the two entries ---- */

void ewi_net_conn_loss_ack(struct ewi_net *net, struct net_conn *conn,
                           const struct net_segment *segment, const struct net_acked *acked,
                           uint64_t una_before, bool is_duplicate)
{
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);

    if (conn->state < NET_TCP_ESTABLISHED)
        return;
    if (acked->reneged)
        ewi_net_runs_forget_sacks(&net->tcp.runs, &conn->runs);
    if (!look_back(net, conn, segment, acked) && conn->recovery == NET_LOSS && trouble != NULL &&
        trouble->frto.step != NET_FRTO_OFF)
        after_timeout(net, conn, trouble, acked, is_duplicate);
    trouble = ewi_net_conn_trouble(net, conn);
    if (trouble != NULL && conn->recovery >= NET_RECOVERY &&
        conn->runs.una >= trouble->recovery_end &&
        ((conn->flags & NET_CONN_SACK) || conn->recovery == NET_LOSS))
        leave(net, conn, trouble, acked->dsack_end != 0);
    if (conn->flags & NET_CONN_SACK)
        with_sack(net, conn, segment, acked, una_before);
    else
        without_sack(net, conn, acked, una_before, is_duplicate);
    ewi_net_conn_arm_probe(net, conn);
}

/* The reordering timer: RFC 8985 section 6.2 step 5. */
void ewi_net_conn_loss_timer(struct ewi_net *net, struct net_conn *conn)
{
    static const struct net_acked none;

    conn->aux = NET_AUX_NONE;
    conn->aux_at = 0;
    if (detect(net, conn) != 0 && conn->recovery < NET_RECOVERY) {
        struct net_trouble *trouble;

        enter(net, conn, &none, conn->runs.una);
        trouble = ewi_net_conn_trouble(net, conn);
        if (trouble != NULL && conn->recovery == NET_RECOVERY)
            ewi_net_prr_on_ack(&trouble->prr, 0, ewi_net_runs_in_flight(&conn->runs), false);
    }
    ewi_net_conn_arm_probe(net, conn);
}

/* RFC 6298 section 5 (5.4) to (5.7), RFC 5681 section 3.1, RFC 5682 section 2.1, RFC 8985 section 6.3. */
void ewi_net_conn_loss_timeout(struct ewi_net *net, struct net_conn *conn)
{
    struct net_trouble *trouble = ewi_net_conn_need_trouble(net, conn);
    uint32_t flight = (uint32_t)(conn->runs.nxt - conn->runs.una);
    bool repeated = conn->retries > 1;
    bool may_frto;

    conn->timeouts += 1;
    conn->aux = NET_AUX_NONE;
    conn->aux_at = 0;
    may_frto = trouble != NULL && !repeated && conn->recovery != NET_LOSS;
    if (trouble != NULL)
        arm_undo(net, conn, trouble, conn->recovery == NET_LOSS && trouble->undo.armed);
    ewi_net_cc_on_rto(&conn->cc, flight, repeated);
    ewi_net_rtt_on_timeout(&conn->rtt);
    if ((conn->flags & NET_CONN_SACK) && !may_frto)
        ewi_net_rack_timeout(&conn->u.rack, &net->tcp.runs, &conn->runs, reo_wnd(conn), net->now);
    else if (conn->flags & NET_CONN_SACK)
        ewi_net_rack_timeout(&conn->u.rack, &net->tcp.runs, &conn->runs, UINT64_MAX / 2, net->now);
    else if (may_frto)
        ewi_net_runs_lose_first(&net->tcp.runs, &conn->runs);
    else
        ewi_net_runs_lose_all(&net->tcp.runs, &conn->runs);
    if (!(conn->flags & NET_CONN_SACK))
        ewi_net_dupack_timeout(&conn->u.dupack, conn->runs.nxt);
    conn->flags = (conn->flags & ~(uint32_t)NET_CONN_SEND_NEW) | NET_CONN_FORCE;
    if (conn->flags & NET_CONN_ECN)
        conn->flags |= NET_CONN_CWR;
    conn->ecn_end = ewi_net_seq_wrap(conn->runs.nxt);
    if (trouble == NULL) {
        conn->recovery = NET_CWR;
        return;
    }
    conn->recovery = NET_LOSS;
    trouble->recovery_end = conn->runs.nxt;
    trouble->inflate = 0;
    trouble->resent_ns = 0;
    ewi_net_frto_begin(&trouble->frto, ewi_net_seq_wrap(conn->runs.nxt),
                       ewi_net_seq_wrap(ewi_min_u64(conn->runs.una + conn->mss, conn->runs.nxt)),
                       may_frto);
}
