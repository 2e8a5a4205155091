/* Which segment is next, and its frame. */
#include "transport/net/sum.h"
#include "transport/net/tcp_parts.h"

#define HOLD_NS      UINT64_C(200000000) /* RFC 9293 section 3.8.6.2.1: 0.1 to 1 s */
#define NO_RUN_NS    UINT64_C(5000000)   /* look again when the pool of runs was empty */

enum { ECT0 = 2, SACK_ROOM = 28, SACK_ROOM_PLAIN = 36 };

enum what { NOTHING, A_SYN, AGAIN, NEW, A_PROBE, AN_ACK };

struct next {
    enum what what;
    uint64_t from;
    uint32_t bytes; /* of text */
    bool fin;
    bool is_tlp;
};

struct turn { /* of one connection */
    struct ewi_net *net;
    struct net_conn *conn;
    const struct net_tuple *known; /* way and addresses are of it; NULL: of nobody */
    const struct net_settings *settings;
    struct net_way way;
    uint32_t addresses;
    uint32_t full; /* text of the longest segment now: less than mss beside SACK blocks */
};

/* ---- choosing ---- */

static bool has_blocks(const struct turn *turn)
{
    const struct net_trouble *trouble;

    if (turn->conn->trouble == NET_NONE || !(turn->conn->flags & NET_CONN_SACK))
        return false;
    trouble = ewi_net_conn_trouble(turn->net, turn->conn);
    return !ewi_net_reorder_is_empty(&trouble->reorder) ||
           ewi_net_reorder_has_dsack(&trouble->reorder);
}

static uint32_t full_now(const struct turn *turn)
{
    const struct net_conn *conn = turn->conn;

    if (!has_blocks(turn))
        return conn->mss;
    return conn->mss - ((conn->flags & NET_CONN_TIMES) ? SACK_ROOM + 0u : SACK_ROOM_PLAIN + 0u);
}

static bool fin_is_due(const struct net_conn *conn)
{
    return (conn->flags & NET_CONN_FIN_QUEUED) && !ewi_net_conn_fin_sent(conn);
}

/* A stretch [from, from + bytes) of positions: what of it is text, is the FIN in it? */
static void set_text(const struct net_conn *conn, struct next *next, uint64_t from, uint32_t bytes)
{
    next->from = from;
    next->fin = (conn->flags & NET_CONN_FIN_QUEUED) && from + bytes > conn->queue.end;
    next->bytes = bytes - (next->fin ? 1 : 0);
}

static bool choose_again(struct turn *turn, struct next *next)
{
    struct net_conn *conn = turn->conn;
    uint64_t from;
    uint32_t bytes, limit;

    if (conn->runs.lost_bytes == 0 || (conn->flags & NET_CONN_SEND_NEW))
        return false;
    if (!(conn->flags & NET_CONN_FORCE)) {
        limit = ewi_net_conn_limit(turn->net, conn);
        if (ewi_net_runs_in_flight(&conn->runs) >= limit)
            return false;
    }
    if (!ewi_net_runs_next_lost(&turn->net->tcp.runs, &conn->runs, &from, &bytes))
        return false;
    next->what = AGAIN;
    set_text(conn, next, from, bytes);
    if (next->bytes > turn->full) {
        next->bytes = turn->full;
        next->fin = false;
    }
    return true;
}

static void hold(struct turn *turn)
{
    if (turn->conn->hold_at == 0)
        turn->conn->hold_at = ewi_net_tcp_tick_of(turn->net->now + HOLD_NS);
}

/* RFC 9293 section 3.7.4 (Nagle) as Minshall changed it: only a small segment that is not acknowledged
 * holds back the next small one. Behind full ones the tail of an answer does not wait for an ACK that the
 * peer delays (40 ms where the answer is an odd number of segments long). */
static bool nagle_lets(const struct net_conn *conn)
{
    return ewi_net_seq_unwrap(conn->runs.una, conn->small_end) <= conn->runs.una;
}

/* RFC 9293 section 3.8.6.2.1 (SWS). text: what could leave; unsent: all there is. */
static bool is_worth_it(struct turn *turn, uint32_t text, uint32_t unsent)
{
    struct net_conn *conn = turn->conn;
    bool idle = conn->runs.una == conn->runs.nxt;

    if (text >= turn->full || (conn->flags & NET_CONN_PUSH))
        return true;
    if (text == unsent && fin_is_due(conn))
        return true;
    if (turn->settings->cork) {
        hold(turn);
        return false;
    }
    if (text == unsent && (turn->settings->nodelay || nagle_lets(conn)))
        return true;
    if (text != 0 && text >= ewi_net_conn_widest(conn) / 2 && (turn->settings->nodelay || idle))
        return true;
    if (idle)
        hold(turn);
    return false;
}

static void arm_persist(struct turn *turn)
{
    struct net_conn *conn = turn->conn;
    uint64_t wait = ewi_max_u64(ewi_net_conn_rto(turn->net, conn), NET_PERSIST_NS);

    if (conn->runs.una == conn->runs.nxt && conn->rto_at == 0) {
        conn->retries = 0;
        conn->progress_at = ewi_net_tcp_slow_of(turn->net->now);
        ewi_net_conn_arm_timeout(turn->net, conn, wait);
    }
}

/* How much the congestion window lets go, in bytes; whole segments where there is that much. */
static uint32_t cwnd_room(struct turn *turn)
{
    struct net_conn *conn = turn->conn;
    uint32_t limit = ewi_net_conn_limit(turn->net, conn);
    uint32_t flight = ewi_net_runs_in_flight(&conn->runs);

    if (conn->flags & NET_CONN_SEND_NEW) /* F-RTO: two, whatever cwnd says */
        return turn->full;
    return limit > flight ? limit - flight : 0;
}

static bool choose_new(struct turn *turn, struct next *next, bool is_tlp)
{
    struct net_conn *conn = turn->conn;
    uint64_t right = conn->runs.una + conn->snd_wnd;
    uint32_t unsent, text, room, most = turn->full;

    if (conn->state < NET_TCP_ESTABLISHED || ewi_net_conn_fin_sent(conn))
        return false;
    unsent = (uint32_t)(conn->queue.end - conn->runs.nxt);
    if (unsent == 0 && !fin_is_due(conn))
        return false;
    if (right <= conn->runs.nxt) {
        arm_persist(turn);
        return false;
    }
    if (turn->way.port_caps & NET_PORT_TX_TSO)
        most = ewi_max_u32(turn->way.tso_max / turn->full, 1) * turn->full;
    room = is_tlp ? turn->full : cwnd_room(turn);
    if (room < ewi_min_u32(turn->full, ewi_max_u32(unsent, 1)) &&
        (room == 0 || ewi_net_runs_in_flight(&conn->runs) != 0)) {
        conn->flags |= NET_CONN_CWND_LIMITED;
        return false;
    }
    text = ewi_min_u32(ewi_min_u32(unsent, most), ewi_max_u32(room, turn->full));
    text = (uint32_t)ewi_min_u64(text, right - conn->runs.nxt);
    if (text > turn->full && text < unsent)
        text -= text % turn->full;
    if (!is_tlp && !is_worth_it(turn, text, unsent))
        return false;
    next->what = NEW;
    next->from = conn->runs.nxt;
    next->bytes = text;
    next->fin = text == unsent && fin_is_due(conn) && right > conn->runs.nxt + text;
    next->is_tlp = is_tlp;
    return next->bytes != 0 || next->fin;
}

/* RFC 8985 section 7.3 */
static bool choose_tlp(struct turn *turn, struct next *next)
{
    struct net_conn *conn = turn->conn;
    bool has_new = (conn->queue.end > conn->runs.nxt || fin_is_due(conn)) &&
                   conn->runs.una + conn->snd_wnd > conn->runs.nxt;
    enum net_tlp_probe probe =
        ewi_net_tlp_choose(&conn->u.rack, &turn->net->tcp.runs, &conn->runs, has_new);
    uint64_t from;
    uint32_t bytes;

    conn->flags &= ~(uint32_t)NET_CONN_TLP;
    if (probe == NET_TLP_NEW && choose_new(turn, next, true))
        return true;
    if (probe == NET_TLP_NONE ||
        !ewi_net_runs_last_segment(&turn->net->tcp.runs, &conn->runs, &from, &bytes))
        return false;
    next->what = AGAIN;
    next->is_tlp = true;
    set_text(conn, next, from, bytes);
    if (next->bytes > turn->full) { /* the end of it */
        next->from += next->bytes - turn->full;
        next->bytes = turn->full;
    }
    return true;
}

static bool choose(struct turn *turn, struct next *next)
{
    struct net_conn *conn = turn->conn;

    *next = (struct next){.what = NOTHING, .from = conn->runs.nxt};
    if (conn->state == NET_TCP_CLOSED || conn->state == NET_TCP_TIME_WAIT)
        return false;
    if (conn->flags & NET_CONN_SYN) {
        next->what = A_SYN;
        return true;
    }
    if (conn->state == NET_TCP_SYN_SENT)
        return false;
    turn->full = full_now(turn);
    if (conn->state >= NET_TCP_ESTABLISHED) {
        if ((conn->flags & NET_CONN_TLP) && choose_tlp(turn, next))
            return true;
        if (choose_again(turn, next) || choose_new(turn, next, false))
            return true;
    }
    if (conn->flags & NET_CONN_PROBE)
        next->what = A_PROBE;
    else if (conn->flags & NET_CONN_ACK_NOW)
        next->what = AN_ACK;
    return next->what != NOTHING;
}

/* ---- books: before the frame is written ---- */

static void start_timeout(struct turn *turn, bool restart)
{
    struct net_conn *conn = turn->conn;

    if (conn->rto_at == 0 || restart)
        ewi_net_conn_arm_timeout(turn->net, conn, ewi_net_conn_rto(turn->net, conn));
}

/* With its second segment a flight is acknowledged at once: the timer need not wait for an ACK that is
 * delayed. It is not started anew: RFC 6298 section 5.1. */
static void shorten_timeout(struct turn *turn, uint64_t rto_before, uint64_t rto)
{
    struct net_conn *conn = turn->conn;
    uint64_t at;

    if (rto >= rto_before)
        return;
    at = ewi_net_tcp_tick_ns(conn->rto_at, turn->net->now) - (rto_before - rto);
    conn->rto_at = ewi_net_tcp_tick_of(ewi_max_u64(at, turn->net->now));
}

/* RFC 5681 section 4.1, RFC 7661 */
static void look_at_idle(struct turn *turn, uint64_t rto)
{
    struct net_conn *conn = turn->conn;
    uint64_t since;

    if (conn->runs.una != conn->runs.nxt || conn->sent_at == 0)
        return;
    since = ewi_net_tcp_slow_ns(conn->sent_at, turn->net->now);
    if (since + rto < turn->net->now)
        ewi_net_cc_on_idle(&conn->cc, turn->net->now - since, rto, turn->net->now);
}

static bool book_new(struct turn *turn, const struct next *next)
{
    struct net_conn *conn = turn->conn;
    uint32_t bytes = next->bytes + (next->fin ? 1 : 0);
    struct net_sent sent = {.now_ns = turn->net->now,
                            .bytes = bytes,
                            .segment_bytes = (uint16_t)(next->bytes > turn->full ? turn->full : bytes),
                            .flags = conn->recovery >= NET_RECOVERY ? NET_RUN_RECOVERY : 0};
    uint64_t rto_before = ewi_net_conn_rto(turn->net, conn), rto;
    struct net_trouble *trouble;

    look_at_idle(turn, rto_before);
    if (conn->runs.una == conn->runs.nxt) {
        conn->progress_at = ewi_net_tcp_slow_of(turn->net->now);
        conn->retries = 0; /* of keepalive */
    }
    if (conn->queue.end - conn->runs.nxt <= next->bytes && !(conn->flags & NET_CONN_CWND_LIMITED))
        sent.flags |= NET_RUN_APP_LIMITED;
    if (ewi_net_runs_sent(&turn->net->tcp.runs, &conn->runs, &sent) != EW_OK) {
        if (conn->hold_at == 0)
            conn->hold_at = ewi_net_tcp_tick_of(turn->net->now + NO_RUN_NS);
        return false;
    }
    conn->sent_at = ewi_net_tcp_slow_of(turn->net->now);
    if ((next->bytes < turn->full ? next->bytes : next->bytes % turn->full) != 0)
        conn->small_end = ewi_net_seq_wrap(conn->runs.nxt);
    trouble = ewi_net_conn_trouble(turn->net, conn);
    if ((conn->flags & NET_CONN_SEND_NEW) && (trouble == NULL || --trouble->frto_rounds == 0))
        conn->flags &= ~(uint32_t)NET_CONN_SEND_NEW;
    if (trouble != NULL)
        ewi_net_prr_on_sent(&trouble->prr, bytes);
    rto = ewi_net_conn_rto(turn->net, conn);
    if (conn->rto_at != 0)
        shorten_timeout(turn, rto_before, rto);
    else
        ewi_net_conn_arm_timeout(turn->net, conn, rto);
    return true;
}

static void book_again(struct turn *turn, const struct next *next)
{
    struct net_conn *conn = turn->conn;
    uint32_t bytes = next->bytes + (next->fin ? 1 : 0);
    struct net_sent sent = {.now_ns = turn->net->now,
                            .bytes = bytes,
                            .segment_bytes = (uint16_t)bytes,
                            .flags = conn->recovery >= NET_RECOVERY ? NET_RUN_RECOVERY : 0};
    struct net_trouble *trouble = ewi_net_conn_trouble(turn->net, conn);

    ewi_net_runs_resent(&turn->net->tcp.runs, &conn->runs, next->from, &sent);
    conn->resent += 1;
    conn->sent_at = ewi_net_tcp_slow_of(turn->net->now);
    if (!next->is_tlp)
        conn->flags &= ~(uint32_t)NET_CONN_FORCE;
    if (trouble != NULL) {
        ewi_net_prr_on_sent(&trouble->prr, bytes);
        if (trouble->resent_ns == 0)
            trouble->resent_ns = turn->net->now;
        if (!next->is_tlp)
            ewi_net_undo_on_retransmit(&trouble->undo, bytes, (conn->flags & NET_CONN_TIMES) != 0,
                                       ewi_net_conn_time(turn->net, conn));
    }
    /* RFC 6675 section 5 lets the timer start anew when the first segment is sent again. */
    start_timeout(turn, next->from == conn->runs.una);
}

static void book_syn(struct turn *turn)
{
    struct net_conn *conn = turn->conn;
    struct net_sent sent = {.now_ns = turn->net->now, .bytes = 1, .segment_bytes = 1};

    conn->flags &= ~(uint32_t)NET_CONN_SYN;
    if (conn->runs.nxt == conn->runs.una) {
        conn->progress_at = ewi_net_tcp_slow_of(turn->net->now);
        (void)ewi_net_runs_sent(&turn->net->tcp.runs, &conn->runs, &sent);
    } else
        ewi_net_runs_resent(&turn->net->tcp.runs, &conn->runs, conn->runs.una, &sent);
    start_timeout(turn, true);
}

static bool book(struct turn *turn, const struct next *next)
{
    struct net_conn *conn = turn->conn;

    switch (next->what) {
    case A_SYN:
        book_syn(turn);
        return conn->runs.nxt != conn->runs.una; /* no run: the timer tries again */
    case NEW:
        if (!book_new(turn, next))
            return false;
        break;
    case AGAIN:
        book_again(turn, next);
        break;
    case A_PROBE:
        conn->flags &= ~(uint32_t)NET_CONN_PROBE;
        break;
    default:
        break;
    }
    if (next->is_tlp) {
        ewi_net_tlp_sent(&conn->u.rack, &conn->runs, next->what == NEW ? NET_TLP_NEW : NET_TLP_LAST);
        start_timeout(turn, true);
    }
    if (next->what == NEW || next->is_tlp)
        ewi_net_conn_arm_probe(turn->net, conn);
    return true;
}

/* ---- the frame ---- */

static void fill_ack(struct turn *turn, struct net_tcp *tcp)
{
    struct net_conn *conn = turn->conn;

    tcp->flags |= NET_TCP_ACK;
    tcp->acknowledgment = ewi_net_seq_wrap(conn->rcv_nxt);
    tcp->window = ewi_net_conn_window(turn->net, conn);
    if (conn->flags & NET_CONN_ECE)
        tcp->flags |= NET_TCP_ECE;
    if (has_blocks(turn)) {
        struct net_sack blocks[NET_SACKS_MAX];
        struct net_trouble *trouble = ewi_net_conn_trouble(turn->net, conn);

        tcp->sacks = (uint8_t)ewi_net_reorder_sacks(&turn->net->tcp.reorder, &trouble->reorder, blocks,
                                                    (conn->flags & NET_CONN_TIMES) ? 3 : 4);
        for (uint32_t i = 0; i < tcp->sacks; i++)
            tcp->sack[i] = (struct net_tcp_sack){blocks[i].left, blocks[i].right};
        ewi_net_conn_drop_trouble(turn->net, conn);
    }
    conn->acked_to = tcp->acknowledgment;
}

/* RFC 3168 section 6.1.1: a SYN that asks has ECE and CWR; asked twice in vain it asks no more. */
static void fill_syn(struct turn *turn, struct net_tcp *tcp)
{
    struct net_conn *conn = turn->conn;
    bool answers = conn->state == NET_TCP_SYN_RECEIVED;

    tcp->flags = NET_TCP_SYN | (answers ? NET_TCP_ACK : 0);
    tcp->sequence = conn->iss;
    tcp->window = (uint16_t)ewi_net_conn_first_window(turn->net, conn);
    if (answers) {
        tcp->acknowledgment = ewi_net_seq_wrap(conn->rcv_nxt);
        conn->flags &= ~(uint32_t)(NET_CONN_ACK_NOW | NET_CONN_ACK_LATER);
        if (conn->flags & NET_CONN_ECN)
            tcp->flags |= NET_TCP_ECE;
    } else if (conn->flags & NET_CONN_ECE_SYN) {
        tcp->flags |= NET_TCP_ECE | NET_TCP_CWR;
    }
    ewi_net_conn_offer(turn->net, conn, tcp);
}

static void fill(struct turn *turn, const struct next *next, struct net_tcp *tcp)
{
    struct net_conn *conn = turn->conn;

    memset(tcp, 0, sizeof(*tcp));
    tcp->source_port = conn->tuple.local_port;
    tcp->destination_port = conn->tuple.remote_port;
    if (next->what == A_SYN) {
        fill_syn(turn, tcp);
        return;
    }
    tcp->sequence = ewi_net_seq_wrap(next->from);
    if (next->what == A_PROBE) /* RFC 9293 sections 3.8.4, 3.8.6.1: out of the window, so it is answered */
        tcp->sequence = ewi_net_seq_wrap(conn->runs.una - 1);
    fill_ack(turn, tcp);
    if (next->what != A_PROBE) { /* which the peer drops before it looks at the ACK */
        conn->flags &= ~(uint32_t)(NET_CONN_ACK_NOW | NET_CONN_ACK_LATER);
        conn->ack_at = 0;
    }
    ewi_net_conn_put_times(turn->net, conn, tcp);
    if (next->fin)
        tcp->flags |= NET_TCP_FIN;
    if (next->bytes != 0 && next->from + next->bytes == conn->queue.end)
        tcp->flags |= NET_TCP_PSH;
    if (next->what == NEW && next->bytes != 0 && (conn->flags & NET_CONN_CWR)) {
        tcp->flags |= NET_TCP_CWR;
        conn->flags &= ~(uint32_t)NET_CONN_CWR;
    }
}

static void write_frame(struct turn *turn, const struct next *next, struct net_frame *frame)
{
    struct net_conn *conn = turn->conn;
    struct net_ip_out how = {.protocol = NET_TCP,
                             .traffic_class = turn->settings->traffic_class,
                             .hop_limit = turn->settings->hop_limit};
    uint32_t link = turn->way.header_bytes, ip = ewi_net_ip_header_bytes(conn->tuple.family);
    uint8_t *at = frame->room + link + ip;
    uint32_t header, sum = 0;
    bool by_device = (turn->way.port_caps & NET_PORT_TX_SUM) != 0;
    struct net_tcp tcp;

    fill(turn, next, &tcp);
    header = (uint32_t)ewi_net_tcp_header_bytes(&tcp);
    if (next->bytes != 0)
        sum = ewi_net_send_queue_copy(&turn->net->tcp.spans, &conn->queue, ewi_max_u64(
                                          conn->runs.una, NET_SEQ_FIRST + conn->iss + 1),
                                      next->from, at + header, next->bytes, !by_device);
    ewi_net_tcp_build(at, &tcp, (enum net_tcp_order)turn->settings->syn_order, turn->addresses,
                      by_device ? NET_SUM_BY_DEVICE : sum, next->bytes);
    /* RFC 3168 sections 6.1.4 to 6.1.6: not on what is sent again, nor on what has no text */
    if (next->what == NEW && next->bytes != 0 && !next->is_tlp && (conn->flags & NET_CONN_ECN))
        how.traffic_class |= ECT0;
    ewi_net_ip_header(frame->room + link, &conn->tuple, &how, header + next->bytes);
    EWI_ASSERT(link == 0 || link == NET_ETHER_BYTES);
    if (link != 0) /* a copy of a known length costs nothing */
        memcpy(frame->room, turn->way.header, NET_ETHER_BYTES);
    frame->bytes = link + ip + header + next->bytes;
    frame->port = turn->way.port;
    frame->tso_mss = next->bytes > turn->full ? (uint16_t)turn->full : 0;
    frame->link_bytes = (uint8_t)link;
    frame->network_bytes = (uint8_t)ip;
    frame->transport_bytes = (uint8_t)header;
    frame->finish_sum = by_device;
}

/* ---- turns ---- */

/* Many connections to one peer have their turns one after the other. */
static bool is_known(const struct turn *turn)
{
    const struct net_tuple *known = turn->known, *tuple = &turn->conn->tuple;

    return known != NULL && known->family == tuple->family && known->scope == tuple->scope &&
           memcmp(known->remote, tuple->remote, sizeof(tuple->remote)) == 0 &&
           memcmp(known->local, tuple->local, sizeof(tuple->local)) == 0;
}

/* True: the way is known, and the connection is ready for it. */
static bool find_way(struct turn *turn)
{
    struct net_conn *conn = turn->conn;
    enum net_way_code code = NET_WAY_READY;
    uint16_t mtu;

    if (!is_known(turn)) {
        turn->known = NULL;
        code = ewi_net_way(turn->net, &conn->tuple, &turn->way);
    }
    if (code == NET_WAY_PENDING) {
        ewi_net_conn_park(turn->net, conn, turn->way.hop);
        return false;
    }
    if (code == NET_WAY_NONE) {
        turn->net->count.no_route += 1;
        (void)ewi_net_conn_no_way(turn->net, conn);
        return false;
    }
    mtu = ewi_net_path_mtu(turn->net, &conn->tuple, turn->way.mtu);
    if (mtu != conn->path_mtu)
        ewi_net_conn_set_mtu(turn->net, conn, mtu);
    turn->settings = ewi_net_conn_settings(turn->net, conn);
    if (turn->known == NULL)
        turn->addresses = ewi_net_ip_addresses(&conn->tuple);
    turn->known = &conn->tuple;
    return true;
}

static bool fits(const struct turn *turn, const struct net_frame *frame, const struct next *next)
{
    return frame->room_bytes >= turn->way.header_bytes +
                                    ewi_net_ip_header_bytes(turn->conn->tuple.family) +
                                    NET_TCP_BYTES_MAX + next->bytes ||
           frame->room_bytes >= (uint32_t)turn->way.mtu + turn->way.header_bytes;
}

/* False: choose() would find nothing. */
static bool may_have_more(const struct net_conn *conn)
{
    const uint32_t wanted = NET_CONN_ACK_NOW | NET_CONN_SYN | NET_CONN_PROBE | NET_CONN_TLP |
                            NET_CONN_FIN_QUEUED;

    return (conn->flags & wanted) != 0 || conn->queue.end > conn->runs.nxt ||
           conn->runs.lost_bytes != 0;
}

static uint32_t take_turn(struct turn *turn, struct net_frame *frames, uint32_t count)
{
    struct ewi_net *net = turn->net;
    struct net_conn *conn = turn->conn;
    struct next next = {.what = NOTHING};
    uint32_t filled = 0;

    if (conn->state == NET_TCP_CLOSED || !find_way(turn))
        return 0;
    conn->flags &= ~(uint32_t)NET_CONN_CWND_LIMITED;
    count = ewi_min_u32(count, NET_TURN_FRAMES);
    while (filled < count && may_have_more(conn) && choose(turn, &next)) {
        if (!fits(turn, &frames[filled], &next) || !book(turn, &next))
            break;
        write_frame(turn, &next, &frames[filled]);
        net->count.tx_frames += 1;
        net->count.tx_bytes += frames[filled].bytes;
        filled += 1;
    }
    if (filled == count)
        ewi_net_conn_readyup(net, conn); /* it may have more, behind the others */
    conn->flags &= ~(uint32_t)NET_CONN_PUSH;
    return filled;
}

uint32_t ewi_net_tcp_output(struct ewi_net *net, struct net_frame *frames, uint32_t count)
{
    struct turn turn = {.net = net};
    uint32_t filled = 0;

    while (filled < count && net->tcp.ready_first != NET_NONE) {
        struct net_conn *conn = ewi_net_conn(net, net->tcp.ready_first);

        ewi_net_conn_unready(net, conn);
        turn.conn = conn;
        filled += take_turn(&turn, frames + filled, count - filled);
        if (conn->state != NET_TCP_CLOSED && conn->state != NET_TCP_TIME_WAIT)
            ewi_net_conn_rearm(net, conn);
    }
    return filled;
}
