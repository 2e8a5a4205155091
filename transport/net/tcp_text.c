/* Steps 6 to 8 of RFC 9293 section 3.10.7.4: text and FIN; the window we offer, the ACKs we owe. */
#include "transport/net/tcp_parts.h"

enum {
    TINY_BYTES = 256,           /* copied to the end of the packet before, when there is room */
    CHALLENGES_PER_SECOND = 10, /* RFC 5961 section 7 */
    SQUEEZE_STEPS = 64,       /* connections looked at */
    ANSWERS_PER_SECOND = 200,   /* to text that is out of the window */
};

/* ---- the window: RFC 9293 section 3.8.6 ---- */

/* Half of the free memory: a packet pins at most about twice its text, since tiny ones are copied
 * together, so what is offered fits. */
static uint64_t free_window(const struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t limit = ewi_net_conn_settings(net, conn)->recv_bytes, used = conn->charged;

    if (conn->trouble != NET_NONE)
        used += ((struct net_trouble *)ewi_net_pool_at(&net->tcp.troubles, conn->trouble))
                    ->reorder.charged_bytes;
    return limit > used ? (limit - used) / 2 : 0;
}

uint32_t ewi_net_conn_first_window(const struct ewi_net *net, const struct net_conn *conn)
{
    return (uint32_t)ewi_min_u64(free_window(net, conn), UINT16_MAX);
}

/* Section 3.8.6.2.2: the edge moves by a segment or a quarter of the buffer, or not at all. */
uint64_t ewi_net_conn_edge(const struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t edge = ewi_net_seq_unwrap(conn->rcv_nxt, conn->rcv_edge);
    uint8_t scale = (conn->flags & NET_CONN_SCALED) ? conn->receive_scale : 0;
    uint64_t offered = edge - conn->rcv_nxt;
    uint64_t window = ewi_min_u64(free_window(net, conn), (uint64_t)UINT16_MAX << scale);
    uint64_t step = ewi_min_u64(ewi_net_tcp_mss_of(conn->tuple.family, conn->path_mtu),
                                ewi_net_conn_settings(net, conn)->recv_bytes / 4);

    if (window < offered + step)
        return edge;
    return conn->rcv_nxt + ewi_min_u64(window, NET_WINDOW_BYTES_MAX);
}

uint16_t ewi_net_conn_window(struct ewi_net *net, struct net_conn *conn)
{
    uint8_t scale = (conn->flags & NET_CONN_SCALED) ? conn->receive_scale : 0;
    uint64_t old = ewi_net_seq_unwrap(conn->rcv_nxt, conn->rcv_edge);
    uint64_t edge = ewi_net_conn_edge(net, conn), window = edge - conn->rcv_nxt;

    /* RFC 7323 section 2.4: what is rounded must not take back what was offered. */
    if (edge == old)
        window += (UINT64_C(1) << scale) - 1;
    window = ewi_min_u64(window >> scale, UINT16_MAX);
    edge = conn->rcv_nxt + (window << scale);
    if (edge > old)
        conn->rcv_edge = ewi_net_seq_wrap(edge);
    return (uint16_t)window;
}

void ewi_net_conn_was_read(struct ewi_net *net, struct net_conn *conn)
{
    uint64_t offered = ewi_net_seq_unwrap(conn->rcv_nxt, conn->rcv_edge) - conn->rcv_nxt;
    uint64_t window = ewi_net_conn_edge(net, conn) - conn->rcv_nxt;

    if (conn->state < NET_TCP_ESTABLISHED || (conn->flags & NET_CONN_FIN_SEEN) ||
        conn->state == NET_TCP_TIME_WAIT)
        return;
    if (window > offered && window >= 2 * offered) {
        ewi_net_conn_ack_now(conn);
        ewi_net_conn_settle(net, conn);
    }
}

/* ---- ACKs ---- */

void ewi_net_conn_ack_now(struct net_conn *conn)
{
    conn->flags |= NET_CONN_ACK_NOW;
}

void ewi_net_conn_challenge(struct ewi_net *net, struct net_conn *conn, bool has_text)
{
    uint16_t second = (uint16_t)(net->now / NET_S);

    if (second != conn->challenge_at) {
        conn->challenge_at = second;
        conn->challenges = 0;
    }
    if (conn->challenges >= (has_text ? ANSWERS_PER_SECOND : CHALLENGES_PER_SECOND)) {
        net->count.tcp_challenge_limited += 1;
        return;
    }
    conn->challenges += 1;
    net->count.tcp_challenge_sent += 1;
    ewi_net_conn_ack_now(conn);
}

/* Where both ends spin, the peer's timer may go off after 5 ms. */
static uint64_t ack_delay(const struct net_settings *settings)
{
    return settings->timeouts == NET_TIMEOUTS_SPIN ? ewi_min_u64(settings->delay_ack_ns, NET_MS)
                                                   : settings->delay_ack_ns;
}

/* RFC 9293 section 3.8.6.3: for every second full segment, and never later than the delay. */
static void ack_in_order(struct ewi_net *net, struct net_conn *conn, uint32_t bytes)
{
    const struct net_settings *settings = ewi_net_conn_settings(net, conn);

    conn->rcv_mss = (uint16_t)ewi_max_u32( /* one that a device joined counts as many */
        conn->rcv_mss,
        ewi_min_u32(bytes, ewi_net_tcp_mss_of(conn->tuple.family, conn->path_mtu)));
    if (settings->quick_ack || settings->delay_ack_ns == 0 ||
        ewi_net_seq_wrap(conn->rcv_nxt) - conn->acked_to >= 2u * conn->rcv_mss) {
        ewi_net_conn_ack_now(conn);
        return;
    }
    conn->flags |= NET_CONN_ACK_LATER;
    if (conn->ack_at == 0)
        conn->ack_at = ewi_net_tcp_tick_of(net->now + ack_delay(settings));
}

/* RFC 2883 section 4: nothing new in it. */
void ewi_net_conn_duplicate(struct ewi_net *net, struct net_conn *conn,
                            const struct net_segment *segment)
{
    struct net_arrival arrival = {.from = segment->seq,
                                  .bytes = segment->bytes,
                                  .window_end = ewi_net_seq_unwrap(conn->rcv_nxt, conn->rcv_edge)};
    struct net_trouble *trouble;
    struct net_taken taken;

    if (!(conn->flags & NET_CONN_SACK) || (conn->flags & NET_CONN_FIN_SEEN) ||
        segment->seq >= conn->rcv_nxt)
        return;
    arrival.bytes = (uint32_t)ewi_min_u64(arrival.bytes, conn->rcv_nxt - segment->seq);
    trouble = ewi_net_conn_need_trouble(net, conn);
    if (trouble != NULL)
        ewi_net_reorder_arrive(&net->tcp.reorder, &trouble->reorder, &arrival, &taken);
}

/* ---- marks: RFC 3168 section 6.1.3, RFC 8257 section 3.2 ---- */

static void take_mark(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment)
{
    bool is_marked = (segment->arrived->traffic_class & 3) == 3;
    bool was_marked = (conn->flags & NET_CONN_CE) != 0;

    if (!(conn->flags & NET_CONN_ECN) || segment->bytes == 0)
        return;
    if (ewi_net_conn_settings(net, conn)->congestion == NET_CC_DCTCP) {
        if (is_marked != was_marked && (conn->flags & NET_CONN_ACK_LATER))
            ewi_net_conn_ack_by_slot(net, conn); /* what came before, with its own mark */
        conn->flags &= ~(uint32_t)(NET_CONN_CE | NET_CONN_ECE);
        if (is_marked)
            conn->flags |= NET_CONN_CE | NET_CONN_ECE;
        return;
    }
    if (segment->tcp.flags & NET_TCP_CWR)
        conn->flags &= ~(uint32_t)NET_CONN_ECE;
    if (is_marked)
        conn->flags |= NET_CONN_ECE;
}

/* ---- text ---- */

static void link_packet(struct ewi_net *net, struct net_conn *conn, uint32_t index)
{
    struct net_packet *packet = ewi_net_packet(net, index);

    packet->next = NET_NONE;
    if (conn->last == NET_NONE)
        conn->first = index;
    else
        ewi_net_packet(net, conn->last)->next = index;
    conn->last = index;
    conn->charged += packet->charge;
    conn->readable += packet->bytes;
}

/* Tiny segments share a buffer, so that they cannot pin more than the window: picotcp#47. */
static bool join_last(struct ewi_net *net, struct net_conn *conn, const uint8_t *at, uint32_t bytes,
                      uint32_t charge)
{
    struct net_packet *last;

    if (conn->last == NET_NONE || (bytes > TINY_BYTES && 2 * bytes >= charge))
        return false;
    last = ewi_net_packet(net, conn->last);
    if (last->room < bytes)
        return false;
    memcpy(last->data + last->bytes, at, bytes);
    last->bytes += bytes;
    last->room -= bytes;
    conn->readable += bytes;
    return true;
}

/* Bytes that came too early make room for those that can be read: RFC 2018 section 8 allows it, and else
 * all of the memory could wait for holes that nobody can fill. The own ones first. */
static void squeeze(struct ewi_net *net, struct net_conn *conn)
{
    struct net_pool *troubles = &net->tcp.troubles;
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);
    struct net_taken taken;

    for (uint32_t i = 0; i <= SQUEEZE_STEPS; i++) {
        if (trouble != NULL &&
            ewi_net_reorder_drop(&net->tcp.reorder, &trouble->reorder, &taken)) {
            ewi_net_packet_give(net, taken.buffer);
            net->count.tcp_squeezed += 1;
            return;
        }
        net->tcp.squeeze_next = (net->tcp.squeeze_next + 1) % troubles->slots;
        trouble = ewi_net_pool_is_taken(troubles, net->tcp.squeeze_next)
                      ? ewi_net_pool_at(troubles, net->tcp.squeeze_next)
                      : NULL;
    }
}

static uint32_t keep(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment,
                     uint8_t *at, uint32_t bytes, bool in_order)
{
    uint32_t index = ewi_net_packet_keep(net, segment->arrived, at, bytes);

    if (index != NET_NONE || !in_order)
        return index;
    squeeze(net, conn); /* a reference comes free with the next reclaim only: then it is sent again */
    return ewi_net_packet_keep(net, segment->arrived, at, bytes);
}

/* True: taken; rcv_nxt is the caller's. */
static bool append(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment,
                   uint8_t *at, uint32_t bytes)
{
    uint32_t charge = ewi_net_packet_charge(segment->arrived, bytes), index;

    if (join_last(net, conn, at, bytes, charge))
        return true;
    if (conn->charged + (uint64_t)charge >
        2 * (uint64_t)ewi_net_conn_settings(net, conn)->recv_bytes + UINT16_MAX)
        return false;
    index = keep(net, conn, segment, at, bytes, true);
    if (index == NET_NONE)
        return false;
    link_packet(net, conn, index);
    return true;
}

static void link_taken(struct ewi_net *net, struct net_conn *conn, const struct net_taken *taken)
{
    struct net_packet *packet = ewi_net_packet(net, taken->buffer);

    /* tiny segments may have been copied behind the packet's own bytes, into its room */
    EWI_ASSERT(taken->offset + taken->bytes <= packet->bytes + packet->room);
    packet->data += taken->offset;
    packet->room = packet->bytes + packet->room - taken->offset - taken->bytes;
    packet->bytes = taken->bytes;
    link_packet(net, conn, taken->buffer);
}

static void drop_for_memory(struct ewi_net *net, struct net_conn *conn)
{
    net->count.tcp_memory_dropped += 1;
    ewi_net_conn_ack_now(conn);
}

/* One piece beside others that came too early, or too early itself. */
static bool queue_piece(struct ewi_net *net, struct net_conn *conn, struct net_trouble *trouble,
                        const struct net_segment *segment, uint64_t from, uint8_t *at, uint32_t bytes)
{
    struct net_packet *packet;
    struct net_taken taken;
    uint64_t limit = ewi_net_conn_settings(net, conn)->recv_bytes;
    uint32_t index = keep(net, conn, segment, at, bytes, from == conn->rcv_nxt);
    struct net_arrival arrival = {.from = from,
                                  .bytes = bytes,
                                  .buffer = index,
                                  .window_end = ewi_net_seq_unwrap(conn->rcv_nxt, conn->rcv_edge),
                                  .charge_max = (uint32_t)(limit > conn->charged
                                                               ? limit - conn->charged
                                                               : 0)};
    enum net_reorder_code code;

    if (index == NET_NONE)
        return false;
    packet = ewi_net_packet(net, index);
    arrival.room = packet->room;
    arrival.charge = packet->charge;
    code = ewi_net_reorder_arrive(&net->tcp.reorder, &trouble->reorder, &arrival, &taken);
    if (code == NET_REORDER_IN_ORDER) {
        taken.buffer = index;
        taken.offset = taken.skip;
        link_taken(net, conn, &taken);
        while (ewi_net_reorder_take(&net->tcp.reorder, &trouble->reorder, &taken))
            link_taken(net, conn, &taken);
        conn->rcv_nxt = trouble->reorder.next;
        return true;
    }
    if (code == NET_REORDER_HELD)
        return true;
    if (code == NET_REORDER_COPY)
        memcpy(ewi_net_packet(net, taken.buffer)->data + taken.offset, at + taken.skip, taken.bytes);
    ewi_net_packet_give(net, index);
    return code == NET_REORDER_COPY || code == NET_REORDER_DUPLICATE || code == NET_REORDER_OUTSIDE;
}

static bool take_piece(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment,
                       uint64_t from, uint8_t *at, uint32_t bytes)
{
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);

    if (from == conn->rcv_nxt &&
        (trouble == NULL || ewi_net_reorder_is_empty(&trouble->reorder))) {
        if (!append(net, conn, segment, at, bytes))
            return false;
        conn->rcv_nxt += bytes;
        if (trouble != NULL)
            ewi_net_reorder_advance(&trouble->reorder, bytes);
        return true;
    }
    trouble = ewi_net_conn_need_trouble(net, conn);
    return trouble != NULL && queue_piece(net, conn, trouble, segment, from, at, bytes);
}

/* The part that is new and within the window. */
static void take_text(struct ewi_net *net, struct net_conn *conn, struct net_segment *segment)
{
    uint64_t edge = ewi_net_seq_unwrap(conn->rcv_nxt, conn->rcv_edge), nxt = conn->rcv_nxt;
    uint64_t from = ewi_max_u64(segment->seq, nxt), end = segment->seq + segment->bytes;
    bool is_copied = segment->arrived->rx == NULL || segment->arrived->rx->ref == NULL, taken = true;
    uint32_t most = is_copied ? NET_COPY_BYTES : UINT32_MAX;
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);
    bool was_whole = trouble == NULL || ewi_net_reorder_is_empty(&trouble->reorder);

    if (segment->seq < nxt && was_whole) { /* RFC 2883 section 4.2; beside islands arrive() sees it */
        ewi_net_conn_duplicate(net, conn, segment);
        ewi_net_conn_ack_now(conn);
    }
    if (end > edge) { /* the rest comes again, and so does a FIN behind it */
        end = edge;
        segment->tcp.flags &= (uint8_t)~NET_TCP_FIN;
        ewi_net_conn_ack_now(conn);
    }
    while (taken && from < end) {
        uint32_t bytes = (uint32_t)ewi_min_u64(end - from, most);

        taken = take_piece(net, conn, segment, from, segment->text + (from - segment->seq), bytes);
        from += bytes;
    }
    if (!taken) {
        segment->tcp.flags &= (uint8_t)~NET_TCP_FIN;
        drop_for_memory(net, conn);
    }
    if (conn->rcv_nxt == nxt) { /* a hole is before it, or it was all old: RFC 5681 section 4.2 */
        ewi_net_conn_ack_now(conn);
        return;
    }
    ewi_net_conn_raise(net, conn, STACK_READABLE);
    if (was_whole)
        ack_in_order(net, conn, (uint32_t)(conn->rcv_nxt - nxt));
    else
        ewi_net_conn_ack_now(conn); /* it filled a hole */
}

/* ---- FIN: eighth ---- */

/* Text behind the FIN, which an honest peer has not: the first end that is reached is the end. */
static void forget_behind_fin(struct ewi_net *net, struct net_trouble *trouble)
{
    struct net_taken taken;

    while (ewi_net_reorder_drop(&net->tcp.reorder, &trouble->reorder, &taken))
        ewi_net_packet_give(net, taken.buffer);
}

static bool take_fin(struct ewi_net *net, struct net_conn *conn)
{
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);

    conn->rcv_nxt += 1;
    if (trouble != NULL) {
        forget_behind_fin(net, trouble);
        ewi_net_reorder_advance(&trouble->reorder, 1);
        trouble->fin_at = 0;
    }
    if (ewi_net_seq_before(conn->rcv_edge, ewi_net_seq_wrap(conn->rcv_nxt)))
        conn->rcv_edge = ewi_net_seq_wrap(conn->rcv_nxt);
    conn->flags |= NET_CONN_FIN_SEEN;
    ewi_net_conn_ack_now(conn);
    ewi_net_conn_raise(net, conn, STACK_PEER_FIN | STACK_READABLE);
    switch (conn->state) {
    case NET_TCP_ESTABLISHED:
        ewi_net_conn_move(conn, NET_TCP_CLOSE_WAIT);
        return true;
    case NET_TCP_FIN_WAIT_1:
        ewi_net_conn_move(conn, NET_TCP_CLOSING);
        return true;
    default: /* FIN_WAIT_2 */
        ewi_net_conn_time_wait(net, conn);
        return false;
    }
}

static bool look_for_fin(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment)
{
    uint64_t fin = segment->seq + segment->bytes;
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);

    if (trouble != NULL && trouble->fin_at != 0 && conn->rcv_nxt == trouble->fin_at)
        return take_fin(net, conn);
    if (!(segment->tcp.flags & NET_TCP_FIN) || fin < conn->rcv_nxt)
        return true;
    if (fin == conn->rcv_nxt)
        return take_fin(net, conn);
    ewi_net_conn_ack_now(conn);
    trouble = ewi_net_conn_need_trouble(net, conn);
    if (trouble != NULL)
        trouble->fin_at = fin;
    return true;
}

bool ewi_net_conn_text(struct ewi_net *net, struct net_conn *conn, struct net_segment *segment)
{
    if (conn->state != NET_TCP_ESTABLISHED && conn->state != NET_TCP_FIN_WAIT_1 &&
        conn->state != NET_TCP_FIN_WAIT_2)
        return true; /* behind the peer's FIN there is nothing */
    take_mark(net, conn, segment);
    if (segment->bytes != 0) {
        if ((conn->flags & NET_CONN_FINISHED) &&
            segment->seq + segment->bytes > conn->rcv_nxt) { /* section 3.6.1 (SHLD-3): nobody reads */
            ewi_net_conn_reset(net, conn, -ECONNRESET);
            return false;
        }
        take_text(net, conn, segment);
    }
    if (!look_for_fin(net, conn, segment))
        return false;
    ewi_net_conn_drop_trouble(net, conn);
    return true;
}

/* ---- the short way ---- */

void ewi_net_conn_text_in_order(struct ewi_net *net, struct net_conn *conn,
                                const struct net_segment *segment, uint32_t events)
{
    if (segment->bytes == 0) {
        ewi_net_conn_raise(net, conn, events);
        return;
    }
    if (!append(net, conn, segment, segment->text, segment->bytes)) {
        drop_for_memory(net, conn);
        ewi_net_conn_raise(net, conn, events);
        return;
    }
    conn->rcv_nxt += segment->bytes;
    ewi_net_conn_raise(net, conn, events | STACK_READABLE);
    ack_in_order(net, conn, segment->bytes);
}
