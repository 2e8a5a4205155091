/* Segment arrival: RFC 9293 section 3.10.7. */
#include "transport/net/tcp_parts.h"

/* RFC 7323 section 5.5: a timestamp of the peer is believed for 24 days. */
#define PAWS_NS (24 * 86400 * NET_S)

enum { SECOND_BITS = 10 }; /* of slow ticks: about a second */

/* ---- SYN_SENT: section 3.10.7.3 ---- */

static void become_established(struct ewi_net *net, struct net_conn *conn)
{
    const struct net_settings *settings = ewi_net_conn_settings(net, conn);

    ewi_net_conn_move(conn, NET_TCP_ESTABLISHED);
    ewi_net_conn_set_mtu(net, conn, conn->path_mtu);
    ewi_net_cc_init(&conn->cc, (enum net_cc_kind)settings->congestion, conn->mss,
                    ewi_net_seq_wrap(conn->runs.una), (conn->flags & NET_CONN_SYN_RESENT) != 0,
                    settings->hystart);
    if (conn->flags & NET_CONN_SYN_RESENT)
        ewi_net_rtt_on_syn_lost(&conn->rtt); /* RFC 6298 section 5.7 */
    conn->retries = 0;
    conn->life_at = 0;
    conn->flags &= ~(uint32_t)NET_CONN_SYN; /* it was to be sent again */
    ewi_net_conn_start_keepalive(net, conn);
    if (conn->flags & NET_CONN_FIN_QUEUED)
        ewi_net_conn_move(conn, NET_TCP_FIN_WAIT_1);
    ewi_net_conn_raise(net, conn, STACK_CONNECTED | STACK_WRITABLE);
}

/* The peer's SYN: where its bytes begin. */
static void take_syn(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment)
{
    ewi_net_conn_agree(net, conn, &segment->tcp);
    conn->rcv_nxt = NET_SEQ_FIRST + segment->tcp.sequence + 1;
    conn->rcv_edge = ewi_net_seq_wrap(conn->rcv_nxt + ewi_net_conn_first_window(net, conn));
    conn->irs = segment->tcp.sequence;
    conn->acked_to = ewi_net_seq_wrap(conn->rcv_nxt);
    conn->snd_wnd = segment->tcp.window; /* never scaled in a SYN: RFC 7323 section 2.2 */
    ewi_net_conn_note_window(conn, segment->tcp.window, true);
    conn->snd_wl1 = segment->tcp.sequence;
}

static bool agree_ecn(struct net_conn *conn, const struct net_tcp *tcp, bool answered)
{
    uint8_t both = NET_TCP_ECE | NET_TCP_CWR;

    /* RFC 3168 section 6.1.1: a SYN-ACK has ECE alone, a SYN has both. */
    if (!(conn->flags & NET_CONN_ECE_SYN))
        return false;
    return (tcp->flags & both) == (answered ? NET_TCP_ECE : both);
}

static void syn_sent(struct ewi_net *net, struct net_conn *conn, struct net_segment *segment)
{
    uint8_t flags = segment->tcp.flags;
    uint64_t ack = ewi_net_seq_unwrap(conn->runs.nxt, segment->tcp.acknowledgment);
    bool acceptable = (flags & NET_TCP_ACK) != 0 && ack > conn->runs.una && ack <= conn->runs.nxt;

    if ((flags & NET_TCP_ACK) && !acceptable) { /* first */
        net->count.drop_tcp_sequence += 1;
        ewi_net_tcp_refuse(net, segment);
        return;
    }
    if (flags & NET_TCP_RST) { /* second */
        if (!acceptable) {
            net->count.drop_tcp_sequence += 1;
            return;
        }
        net->count.accepted += 1;
        ewi_net_conn_close(net, conn, -ECONNREFUSED);
        return;
    }
    if (!(flags & NET_TCP_SYN)) { /* fifth */
        net->count.drop_tcp_sequence += 1;
        return;
    }
    net->count.accepted += 1; /* fourth */
    take_syn(net, conn, segment);
    if (agree_ecn(conn, &segment->tcp, (flags & NET_TCP_ACK) != 0))
        conn->flags |= NET_CONN_ECN;
    segment->seq = conn->rcv_nxt;
    if (acceptable) {
        segment->ack = ack;
        become_established(net, conn);
        ewi_net_conn_ack_now(conn);
        if (!ewi_net_conn_ack(net, conn, segment))
            return;
    } else { /* simultaneous open: section 3.5, figure 7 */
        ewi_net_conn_move(conn, NET_TCP_SYN_RECEIVED);
        conn->flags |= NET_CONN_SYN;
        conn->flags &= ~(uint32_t)NET_CONN_ACK_NOW;
    }
    segment->tcp.flags &= (uint8_t)~NET_TCP_SYN;
    if (segment->bytes != 0 || (segment->tcp.flags & NET_TCP_FIN)) {
        /* Text and FIN of a SYN wait for the connection, section 3.10.7.3: the peer sends them again. */
        if (!acceptable)
            segment->bytes = 0;
        else if (!ewi_net_conn_text(net, conn, segment))
            return;
    }
    ewi_net_conn_settle(net, conn);
}

/* ---- steps 1 to 4 in the other states: section 3.10.7.4 ---- */

/* Nothing was heard for so long that the peer's clock may have come around. More than 26 days look like
 * the future. */
static bool is_stale(const struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t heard = ewi_net_tcp_slow_ns(conn->heard_at, net->now);

    return heard > net->now + NET_S || net->now > heard + PAWS_NS;
}

/* RFC 7323 section 5.3, R1. True: dropped. */
static bool paws_drops(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment)
{
    const struct net_tcp *tcp = &segment->tcp;

    if (!(conn->flags & NET_CONN_TIMES) || (tcp->flags & NET_TCP_RST))
        return false;
    if (!(tcp->has & NET_TCP_HAS_TIMES)) { /* RFC 7323 section 3.2: SHOULD drop */
        net->count.drop_tcp_paws += 1;
        return true;
    }
    if (!ewi_net_seq_before(tcp->time, conn->ts_recent))
        return false;
    if (is_stale(net, conn))
        return false;
    net->count.drop_tcp_paws += 1;
    if (segment->bytes != 0 && ewi_net_segment_end(segment) <= conn->rcv_nxt)
        ewi_net_conn_duplicate(net, conn, segment);
    ewi_net_conn_challenge(net, conn, segment->bytes != 0);
    return true;
}

/* RFC 7323 section 4.3 (2) */
static void take_time(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment)
{
    if (!(conn->flags & NET_CONN_TIMES) || !(segment->tcp.has & NET_TCP_HAS_TIMES))
        return;
    if (ewi_net_seq_before(segment->tcp.time, conn->ts_recent) &&
        !is_stale(net, conn))
        return;
    if (segment->seq > ewi_net_seq_unwrap(conn->rcv_nxt, conn->acked_to))
        return;
    conn->ts_recent = segment->tcp.time;
}

/* Table 6 of section 3.10.7.4. A segment without text may lie just behind the window: a peer that has
 * filled it sends its ACKs from there. Zero window: text is cut off, the ACK counts. */
static bool is_acceptable(const struct net_conn *conn, const struct net_segment *segment)
{
    uint64_t end = ewi_net_segment_end(segment);
    uint64_t edge = ewi_net_seq_unwrap(conn->rcv_nxt, conn->rcv_edge);

    if (end == segment->seq)
        return segment->seq >= conn->rcv_nxt && segment->seq <= edge;
    if (edge == conn->rcv_nxt)
        return segment->seq == conn->rcv_nxt;
    return segment->seq < edge && end > conn->rcv_nxt;
}

static bool first_sequence(struct ewi_net *net, struct net_conn *conn, struct net_segment *segment)
{
    bool is_old;

    if (is_acceptable(conn, segment))
        return true;
    net->count.drop_tcp_sequence += 1;
    if (segment->tcp.flags & NET_TCP_RST)
        return false;
    is_old = ewi_net_segment_end(segment) <= conn->rcv_nxt;
    if (is_old && segment->bytes != 0)
        ewi_net_conn_duplicate(net, conn, segment);
    ewi_net_conn_challenge(net, conn, segment->bytes != 0);
    return false;
}

/* RFC 5961 section 3.2; what a valid one means is section 3.10.7.4, second. */
static void second_reset(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment)
{
    int error = -ECONNRESET;

    if (segment->seq != conn->rcv_nxt) {
        net->count.drop_tcp_sequence += 1;
        ewi_net_conn_challenge(net, conn, false);
        return;
    }
    net->count.accepted += 1;
    if (conn->state == NET_TCP_SYN_RECEIVED)
        error = -ECONNREFUSED;
    /* In CLOSING and LAST_ACK nobody need be told, unless bytes of the user never arrived. */
    if ((conn->state == NET_TCP_CLOSING || conn->state == NET_TCP_LAST_ACK) &&
        conn->runs.una >= conn->queue.end)
        error = 0;
    ewi_net_conn_close(net, conn, error);
}

/* Fifth. False: dropped, or the connection is over. */
static bool fifth_ack(struct ewi_net *net, struct net_conn *conn, struct net_segment *segment)
{
    if (!(segment->tcp.flags & NET_TCP_ACK)) {
        net->count.drop_tcp_sequence += 1;
        return false;
    }
    if (conn->state == NET_TCP_SYN_RECEIVED) {
        if (segment->ack <= conn->runs.una || segment->ack > conn->runs.nxt) {
            net->count.drop_tcp_sequence += 1;
            ewi_net_tcp_refuse(net, segment);
            return false;
        }
        become_established(net, conn);
    }
    /* RFC 5961 section 5.2: not before what the peer could have acknowledged long ago. */
    if (segment->ack > conn->runs.nxt || segment->ack + ewi_net_conn_widest(conn) < conn->runs.una) {
        net->count.drop_tcp_sequence += 1;
        ewi_net_conn_challenge(net, conn, segment->bytes != 0);
        return false;
    }
    net->count.accepted += 1;
    return ewi_net_conn_ack(net, conn, segment);
}

static void note_heard(struct ewi_net *net, struct net_conn *conn)
{
    uint32_t now = ewi_net_tcp_slow_of(net->now);

    if (now >> SECOND_BITS != conn->heard_at >> SECOND_BITS)
        conn->flags |= NET_CONN_TELL_WAY;
    conn->heard_at = now;
}

/* ---- the short way: header prediction ---- */

/* The next segment of a connection on which nothing is lost, late, marked or at its end: an ACK of
 * everything in flight, with or without text. Van Jacobson, "4BSD TCP header prediction" (1990). */
static bool is_expected(const struct net_conn *conn, const struct net_segment *segment)
{
    const uint32_t unusual = NET_CONN_CE | NET_CONN_ECE | NET_CONN_FIN_QUEUED | NET_CONN_FINISHED;
    const struct net_tcp *tcp = &segment->tcp;

    if (segment->seq != conn->rcv_nxt || segment->ack != conn->runs.nxt ||
        (tcp->flags & ~NET_TCP_PSH) != NET_TCP_ACK || tcp->sacks != 0 || tcp->window == 0 ||
        (segment->arrived->traffic_class & 3) == 3)
        return false;
    if (conn->state != NET_TCP_ESTABLISHED || conn->recovery != NET_OPEN ||
        conn->trouble != NET_NONE || conn->u.rack.tlp_end != 0 ||
        (conn->flags & (unusual | NET_CONN_SACK)) != NET_CONN_SACK ||
        ewi_net_seq_before(tcp->sequence, conn->snd_wl1))
        return false;
    if ((conn->flags & NET_CONN_TIMES) && (!(tcp->has & NET_TCP_HAS_TIMES) ||
                                           ewi_net_seq_before(tcp->time, conn->ts_recent)))
        return false;
    return segment->bytes == 0 ||
           (segment->bytes <= conn->rcv_edge - ewi_net_seq_wrap(conn->rcv_nxt) &&
            segment->arrived->rx != NULL && segment->arrived->rx->ref != NULL);
}

/* What the steps below do with such a segment, without the questions whose answers are known. A test
 * (tests/sim/test_net_sim_short.c) runs both and compares. */
static bool short_way(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment)
{
    uint32_t events;

    if (net->tcp.no_short_way || !is_expected(conn, segment))
        return false;
    /* RFC 7323 section 4.3 (2) */
    if ((conn->flags & NET_CONN_TIMES) && !ewi_net_seq_before(conn->acked_to, segment->tcp.sequence))
        conn->ts_recent = segment->tcp.time;
    note_heard(net, conn);
    if (!ewi_net_conn_ack_all(net, conn, &segment->tcp, &events))
        return false; /* the steps do again what was done so far: it is the same */
    net->count.accepted += 1;
    net->tcp.short_ways += 1;
    ewi_net_conn_text_in_order(net, conn, segment, events);
    ewi_net_conn_settle(net, conn);
    return true;
}

void ewi_net_conn_input(struct ewi_net *net, struct net_conn *conn, struct net_segment *segment)
{
    const uint8_t both = NET_TCP_SYN | NET_TCP_ACK;
    bool crossed;

    segment->seq = ewi_net_seq_unwrap(conn->rcv_nxt, segment->tcp.sequence);
    segment->ack = ewi_net_seq_unwrap(conn->runs.una, segment->tcp.acknowledgment);
    if (short_way(net, conn, segment))
        return;
    if (conn->state == NET_TCP_SYN_SENT) {
        syn_sent(net, conn, segment);
        return;
    }
    crossed = conn->state == NET_TCP_SYN_RECEIVED && segment->seq + 1 == conn->rcv_nxt &&
              (segment->tcp.flags & both) == both;
    if (crossed) {
        /* Simultaneous open, RFC 9293 section 3.5, figure 7, line 6: its SYN is known, the ACK is new. */
        segment->seq += 1;
        ewi_net_conn_ack_now(conn);
    }
    if (paws_drops(net, conn, segment) || !first_sequence(net, conn, segment)) {
        ewi_net_conn_settle(net, conn);
        return;
    }
    if (segment->tcp.flags & NET_TCP_RST) {
        second_reset(net, conn, segment);
        if (conn->state != NET_TCP_CLOSED)
            ewi_net_conn_settle(net, conn);
        return;
    }
    take_time(net, conn, segment);
    note_heard(net, conn);
    if ((segment->tcp.flags & NET_TCP_SYN) && !crossed) { /* fourth: RFC 5961 section 4.2 */
        net->count.drop_tcp_sequence += 1;
        ewi_net_conn_challenge(net, conn, false);
        ewi_net_conn_settle(net, conn);
        return;
    }
    if (fifth_ack(net, conn, segment) && !ewi_net_conn_text(net, conn, segment))
        return;
    if (conn->state != NET_TCP_CLOSED && conn->state != NET_TCP_TIME_WAIT)
        ewi_net_conn_settle(net, conn);
}

/* ---- whom is it for? ---- */

/* RFC 6191 section 2 asks what the new incarnation would have: a listener may refuse timestamps. */
static struct net_tcp as_taken(struct ewi_net *net, uint32_t listener,
                               const struct net_segment *segment)
{
    struct net_tcp tcp = segment->tcp;

    if (listener != NET_NONE && !ewi_net_listener_settings(net, listener)->timestamps)
        tcp.has &= (uint8_t)~NET_TCP_HAS_TIMES;
    return tcp;
}

static void time_wait_ack(struct ewi_net *net, const struct net_time_wait *record)
{
    struct net_tcp tcp = {.sequence = record->snd_nxt,
                          .acknowledgment = record->rcv_nxt,
                          .flags = NET_TCP_ACK,
                          .window = record->window};

    if (record->has_times)
        ewi_net_tcp_put_times(&tcp, ewi_net_tcp_ms(net->now) + record->ts_offset, record->ts_recent);
    ewi_net_tcp_reply(net, &record->tuple, &tcp, net->tcp.settings.standard, record->traffic_class);
}

static void time_wait_input(struct ewi_net *net, uint32_t index, struct net_segment *segment)
{
    const struct net_time_wait *record = ewi_net_time_wait_at(&net->tcp.time_waits, index);
    uint32_t least_iss = 0, listener = NET_NONE;
    enum net_time_wait_verdict verdict;
    struct net_tcp tcp;

    if (segment->tcp.flags & NET_TCP_SYN)
        listener = ewi_net_listener_for(net, segment->arrived, segment->arrived->tuple.local_port);
    tcp = as_taken(net, listener, segment);
    verdict = ewi_net_time_wait_segment(&net->tcp.time_waits, index, &tcp, segment->bytes, net->now,
                                        &least_iss);
    if (verdict == NET_TW_OPEN && listener != NET_NONE) {
        ewi_net_time_wait_remove(&net->tcp.time_waits, index);
        ewi_net_listen_input(net, listener, segment, least_iss);
        return;
    }
    if (verdict == NET_TW_ACK)
        net->count.accepted += 1;
    else
        net->count.drop_tcp_sequence += 1;
    if (verdict == NET_TW_CHALLENGE)
        net->count.tcp_challenge_sent += 1;
    if (verdict == NET_TW_ACK || verdict == NET_TW_CHALLENGE)
        time_wait_ack(net, record);
}

static bool parse(struct ewi_net *net, struct net_arrived *arrived, struct net_segment *segment)
{
    enum net_code code = ewi_net_tcp_parse(arrived->bytes, arrived->length, arrived->addresses,
                                           &segment->tcp);

    if (code == NET_BAD_CHECKSUM) {
        net->count.drop_tcp_checksum += 1;
        return false;
    }
    if (code != NET_OK || segment->tcp.source_port == 0 || segment->tcp.destination_port == 0) {
        net->count.drop_tcp_header += 1;
        return false;
    }
    if (arrived->is_multicast) { /* RFC 9293 section 3.9.2.3 (MUST-57): silently */
        net->count.drop_tcp_connection += 1;
        return false;
    }
    arrived->tuple.local_port = segment->tcp.destination_port;
    arrived->tuple.remote_port = segment->tcp.source_port;
    segment->arrived = arrived;
    segment->text = arrived->bytes + segment->tcp.header_bytes;
    segment->bytes = arrived->length - segment->tcp.header_bytes;
    return true;
}

void ewi_net_tcp_input(struct ewi_net *net, struct net_arrived *arrived)
{
    struct net_tcp_all *tcp = &net->tcp;
    struct net_segment segment;
    uint32_t index;

    if (!parse(net, arrived, &segment))
        return;
    segment.hash = ewi_net_tuple_hash(tcp->table_key, &arrived->tuple);
    index = ewi_net_table_find(&tcp->conn_table, segment.hash, &arrived->tuple);
    if (index != NET_NONE) {
        ewi_net_conn_input(net, ewi_net_conn(net, index), &segment);
        return;
    }
    index = ewi_net_time_wait_find(&tcp->time_waits, segment.hash, &arrived->tuple);
    if (index != NET_NONE) {
        time_wait_input(net, index, &segment);
        return;
    }
    index = ewi_net_table_find(&tcp->half_table, segment.hash, &arrived->tuple);
    if (index != NET_NONE) {
        ewi_net_half_input(net, index, &segment);
        return;
    }
    index = ewi_net_listener_for(net, arrived, arrived->tuple.local_port);
    if (index != NET_NONE) {
        ewi_net_listen_input(net, index, &segment, 0);
        return;
    }
    net->count.drop_tcp_connection += 1;
    ewi_net_tcp_refuse(net, &segment);
}
