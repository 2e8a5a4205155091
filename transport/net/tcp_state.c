#include "transport/net/tcp_parts.h"

#define TO(state) (1u << (state))

/* RFC 9293 section 3.3.2, figure 5, and CLOSED from everywhere (abort, RST, timeout). LISTEN and the
 * peer's half of SYN_RECEIVED live in struct net_listener and struct net_half. */
static const uint16_t moves[NET_TCP_STATES] = {
    [NET_TCP_CLOSED] = TO(NET_TCP_SYN_SENT) | TO(NET_TCP_SYN_RECEIVED),
    [NET_TCP_SYN_SENT] = TO(NET_TCP_SYN_RECEIVED) | TO(NET_TCP_ESTABLISHED) | TO(NET_TCP_CLOSED),
    [NET_TCP_SYN_RECEIVED] = TO(NET_TCP_ESTABLISHED) | TO(NET_TCP_CLOSED),
    [NET_TCP_ESTABLISHED] =
        TO(NET_TCP_FIN_WAIT_1) | TO(NET_TCP_CLOSE_WAIT) | TO(NET_TCP_CLOSED),
    [NET_TCP_FIN_WAIT_1] = TO(NET_TCP_FIN_WAIT_2) | TO(NET_TCP_CLOSING) |
                           TO(NET_TCP_TIME_WAIT) | TO(NET_TCP_CLOSED),
    [NET_TCP_FIN_WAIT_2] = TO(NET_TCP_TIME_WAIT) | TO(NET_TCP_CLOSED),
    [NET_TCP_CLOSE_WAIT] = TO(NET_TCP_LAST_ACK) | TO(NET_TCP_CLOSED),
    [NET_TCP_CLOSING] = TO(NET_TCP_TIME_WAIT) | TO(NET_TCP_CLOSED),
    [NET_TCP_LAST_ACK] = TO(NET_TCP_CLOSED),
    [NET_TCP_TIME_WAIT] = TO(NET_TCP_CLOSED),
};

const char *ewi_net_tcp_state_name(enum net_tcp_state state)
{
    static const char *const names[NET_TCP_STATES] = {
        "CLOSED",     "LISTEN",     "SYN_SENT",   "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1",
        "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING",    "LAST_ACK",     "TIME_WAIT"};

    return state < NET_TCP_STATES ? names[state] : "?";
}

void ewi_net_conn_move(struct net_conn *conn, enum net_tcp_state to)
{
    EWI_ASSERT((moves[conn->state] & TO(to)) != 0);
    conn->state = (uint8_t)to;
}

/* ---- birth ---- */

struct net_conn *ewi_net_conn_new(struct ewi_net *net, const struct net_conn_birth *birth)
{
    uint32_t index = ewi_net_pool_take(&net->tcp.conns);
    struct net_conn *conn;

    if (index == NET_NONE) {
        net->count.full_connections += 1;
        return NULL;
    }
    conn = ewi_net_conn(net, index);
    memset(conn, 0, sizeof(*conn));
    conn->tuple = *birth->tuple;
    ewi_net_timer_init(&conn->timer);
    conn->settings = birth->settings;
    conn->iss = conn->small_end = conn->ecn_end = birth->iss;
    conn->ts_offset = birth->ts_offset;
    conn->first = conn->last = conn->next = conn->prev = NET_NONE;
    conn->hop = conn->trouble = NET_NONE;
    conn->mss_peer = conn->tuple.family == 4 ? NET_MSS_DEFAULT4 : NET_MSS_DEFAULT6;
    conn->rcv_mss = NET_MSS_DEFAULT4;
    conn->receive_scale = ewi_net_tcp_scale_for(ewi_net_conn_settings(net, conn));
    conn->heard_at = ewi_net_tcp_slow_of(net->now);
    conn->watch = STACK_READABLE | STACK_WRITABLE;
    ewi_net_runs_init(&conn->runs, NET_SEQ_FIRST + birth->iss);
    ewi_net_send_queue_init(&conn->queue, NET_SEQ_FIRST + birth->iss + 1);
    ewi_net_rtt_init(&conn->rtt);
    if (ewi_net_table_insert(&net->tcp.conn_table, birth->hash, index) != EW_OK) {
        ewi_net_pool_give(&net->tcp.conns, index);
        net->count.full_connections += 1;
        return NULL;
    }
    conn->flags = NET_CONN_IN_TABLE;
    ewi_net_conn_move(conn, birth->state);
    return conn;
}

/* ---- lists: ready, parked ---- */

static uint32_t *list_head(struct ewi_net *net, const struct net_conn *conn)
{
    if (conn->flags & NET_CONN_PARKED)
        return ewi_net_way_parked(net, conn->hop);
    return &net->tcp.ready_first;
}

void ewi_net_conn_unready(struct ewi_net *net, struct net_conn *conn)
{
    if ((conn->flags & (NET_CONN_READY | NET_CONN_PARKED)) == 0)
        return;
    if (conn->prev == NET_NONE)
        *list_head(net, conn) = conn->next;
    else
        ewi_net_conn(net, conn->prev)->next = conn->next;
    if (conn->next != NET_NONE)
        ewi_net_conn(net, conn->next)->prev = conn->prev;
    else if (conn->flags & NET_CONN_READY)
        net->tcp.ready_last = conn->prev;
    conn->next = conn->prev = NET_NONE;
    conn->flags &= ~(uint32_t)(NET_CONN_READY | NET_CONN_PARKED);
}

void ewi_net_conn_readyup(struct ewi_net *net, struct net_conn *conn)
{
    uint32_t index = ewi_net_conn_index(net, conn);

    if (conn->flags & (NET_CONN_READY | NET_CONN_PARKED))
        return;
    conn->flags |= NET_CONN_READY;
    conn->next = NET_NONE;
    conn->prev = net->tcp.ready_last;
    if (conn->prev == NET_NONE)
        net->tcp.ready_first = index;
    else
        ewi_net_conn(net, conn->prev)->next = index;
    net->tcp.ready_last = index;
}

void ewi_net_conn_park(struct ewi_net *net, struct net_conn *conn, uint32_t hop)
{
    uint32_t *head = ewi_net_way_parked(net, hop);
    uint32_t index = ewi_net_conn_index(net, conn);

    ewi_net_conn_unready(net, conn);
    conn->flags |= NET_CONN_PARKED;
    conn->hop = hop;
    conn->prev = NET_NONE;
    conn->next = *head;
    if (*head != NET_NONE)
        ewi_net_conn(net, *head)->prev = index;
    *head = index;
}

void ewi_net_tcp_way_changed(struct ewi_net *net, uint32_t parked, bool is_ready)
{
    uint32_t next;

    for (uint32_t index = parked; index != NET_NONE; index = next) {
        struct net_conn *conn = ewi_net_conn(net, index);

        next = conn->next;
        conn->next = conn->prev = NET_NONE;
        conn->flags &= ~(uint32_t)NET_CONN_PARKED;
        if (is_ready)
            ewi_net_conn_settle(net, conn);
        else if (ewi_net_conn_no_way(net, conn))
            ewi_net_conn_rearm(net, conn);
    }
}

/* ---- events ---- */

void ewi_net_conn_raise(struct ewi_net *net, struct net_conn *conn, uint32_t bits)
{
    uint32_t always = STACK_CONNECTED | STACK_RELEASED | STACK_PEER_FIN | STACK_FAILED |
                      STACK_CLOSED;

    if (conn->flags & NET_CONN_PENDING)
        return;
    if (conn->flags & NET_CONN_FINISHED)
        bits &= STACK_CLOSED;
    bits &= always | conn->watch;
    if (bits != 0)
        ewi_net_events_raise(&net->tcp.events, ewi_net_conn_index(net, conn), bits);
}

/* ---- trouble ---- */

struct net_trouble *ewi_net_conn_need_trouble(struct ewi_net *net, struct net_conn *conn)
{
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);

    if (trouble != NULL)
        return trouble;
    conn->trouble = ewi_net_pool_take(&net->tcp.troubles);
    trouble = ewi_net_conn_trouble(net, conn);
    if (trouble == NULL)
        return NULL;
    memset(trouble, 0, sizeof(*trouble));
    ewi_net_reorder_init(&trouble->reorder, conn->rcv_nxt);
    return trouble;
}

static void forget_disorder(struct ewi_net *net, struct net_trouble *trouble)
{
    struct net_taken taken;

    while (ewi_net_reorder_drop(&net->tcp.reorder, &trouble->reorder, &taken))
        ewi_net_packet_give(net, taken.buffer);
}

void ewi_net_conn_drop_trouble(struct ewi_net *net, struct net_conn *conn)
{
    struct net_trouble *trouble = ewi_net_conn_trouble(net, conn);

    if (trouble == NULL)
        return;
    if (conn->state != NET_TCP_CLOSED && conn->state != NET_TCP_TIME_WAIT) {
        if (conn->recovery >= NET_RECOVERY || trouble->undo.armed || trouble->fin_at != 0 ||
            trouble->frto.step != NET_FRTO_OFF || trouble->inflate != 0)
            return;
        if (!ewi_net_reorder_is_empty(&trouble->reorder) ||
            ewi_net_reorder_has_dsack(&trouble->reorder))
            return;
    }
    forget_disorder(net, trouble);
    ewi_net_pool_give(&net->tcp.troubles, conn->trouble);
    conn->trouble = NET_NONE;
}

/* ---- the end ---- */

void ewi_net_conn_free_received(struct ewi_net *net, struct net_conn *conn)
{
    uint32_t next;

    for (uint32_t index = conn->first; index != NET_NONE; index = next) {
        next = ewi_net_packet(net, index)->next;
        ewi_net_packet_give(net, index);
    }
    conn->first = conn->last = NET_NONE;
    conn->readable = conn->first_skip = 0;
}

static void leave_table(struct ewi_net *net, struct net_conn *conn)
{
    if ((conn->flags & NET_CONN_IN_TABLE) == 0)
        return;
    ewi_net_table_remove(&net->tcp.conn_table, ewi_net_tuple_hash(net->tcp.table_key, &conn->tuple),
                         ewi_net_conn_index(net, conn));
    conn->flags &= ~(uint32_t)NET_CONN_IN_TABLE;
}

/* Everything but what was received: it may still be read. */
static void let_go(struct ewi_net *net, struct net_conn *conn)
{
    leave_table(net, conn);
    ewi_net_conn_unready(net, conn);
    ewi_net_wheel_remove(&net->tcp.conn_wheel, ewi_net_conn_index(net, conn));
    conn->rto_at = conn->aux_at = conn->ack_at = conn->hold_at = conn->life_at = 0;
    ewi_net_runs_fini(&net->tcp.runs, &conn->runs);
    ewi_net_send_queue_fini(&net->tcp.spans, &conn->queue);
    ewi_net_conn_drop_trouble(net, conn);
    conn->flags &= ~(uint32_t)(NET_CONN_ACK_NOW | NET_CONN_ACK_LATER | NET_CONN_PROBE |
                               NET_CONN_TLP | NET_CONN_SYN | NET_CONN_FORCE);
}

static void tell_the_end(struct ewi_net *net, struct net_conn *conn)
{
    if (conn->flags & NET_CONN_FINISHED) {
        ewi_net_conn_free_received(net, conn);
        ewi_net_conn_raise(net, conn, STACK_CLOSED);
    } else {
        ewi_net_conn_raise(net, conn,
                           STACK_READABLE | STACK_RELEASED |
                               (conn->error != 0 ? STACK_FAILED : 0u));
    }
}

void ewi_net_conn_close(struct ewi_net *net, struct net_conn *conn, int error)
{
    if (conn->state != NET_TCP_CLOSED)
        ewi_net_conn_move(conn, NET_TCP_CLOSED);
    conn->error = (uint8_t)-error;
    let_go(net, conn);
    tell_the_end(net, conn);
}

/* RFC 9293 section 3.10.5: <SEQ=SND.NXT><CTL=RST>; with an ACK, as everybody sends it. */
void ewi_net_conn_reset(struct ewi_net *net, struct net_conn *conn, int error)
{
    struct net_tcp tcp = {.sequence = ewi_net_seq_wrap(conn->runs.nxt), .flags = NET_TCP_RST};

    if (conn->state != NET_TCP_SYN_SENT && conn->state != NET_TCP_CLOSED &&
        conn->state != NET_TCP_TIME_WAIT) {
        tcp.flags |= NET_TCP_ACK;
        tcp.acknowledgment = ewi_net_seq_wrap(conn->rcv_nxt);
        ewi_net_conn_put_times(net, conn, &tcp); /* RFC 7323 section 3.2 (SHOULD) */
        if (ewi_net_tcp_reply(net, &conn->tuple, &tcp, conn->settings, 0))
            net->count.tcp_reset_sent += 1;
    }
    ewi_net_conn_close(net, conn, error);
}

/* RFC 9293 section 3.6.1: our FIN and the peer's are acknowledged; only a record of 64 bytes waits. */
void ewi_net_conn_time_wait(struct ewi_net *net, struct net_conn *conn)
{
    const struct net_settings *settings = ewi_net_conn_settings(net, conn);
    struct net_time_wait values = {.tuple = conn->tuple,
                                   .snd_nxt = ewi_net_seq_wrap(conn->runs.nxt),
                                   .rcv_nxt = ewi_net_seq_wrap(conn->rcv_nxt),
                                   .ts_recent = conn->ts_recent,
                                   .ts_offset = conn->ts_offset,
                                   .has_times = (conn->flags & NET_CONN_TIMES) != 0,
                                   .traffic_class = settings->traffic_class,
                                   .hop_limit = settings->hop_limit};
    uint64_t hash = ewi_net_tuple_hash(net->tcp.table_key, &conn->tuple);

    ewi_net_conn_move(conn, NET_TCP_TIME_WAIT);
    values.window = ewi_net_conn_window(net, conn);
    if (conn->flags & NET_CONN_ACK_NOW) /* of the FIN: nobody will be there to send it */
        ewi_net_conn_ack_by_slot(net, conn);
    let_go(net, conn);
    ewi_net_time_wait_add(&net->tcp.time_waits, hash, &values, net->now);
    tell_the_end(net, conn);
}

void ewi_net_conn_free(struct ewi_net *net, struct net_conn *conn)
{
    uint32_t index = ewi_net_conn_index(net, conn);

    EWI_ASSERT((conn->flags & (NET_CONN_IN_TABLE | NET_CONN_READY | NET_CONN_PARKED)) == 0);
    ewi_net_conn_free_received(net, conn);
    ewi_net_events_clear(&net->tcp.events, index, UINT32_MAX >> 1);
    ewi_net_settings_drop(&net->tcp.settings, conn->settings);
    ewi_net_pool_give(&net->tcp.conns, index);
}

/* ---- after anything happened ---- */

static bool may_send(const struct net_conn *conn)
{
    if (conn->state == NET_TCP_CLOSED || conn->state == NET_TCP_TIME_WAIT)
        return false;
    if (conn->flags & (NET_CONN_ACK_NOW | NET_CONN_SYN | NET_CONN_PROBE | NET_CONN_TLP))
        return true;
    if (conn->state < NET_TCP_ESTABLISHED)
        return false;
    return conn->runs.lost_bytes != 0 || conn->queue.end > conn->runs.nxt ||
           ((conn->flags & NET_CONN_FIN_QUEUED) && !ewi_net_conn_fin_sent(conn));
}

bool ewi_net_conn_no_way(struct ewi_net *net, struct net_conn *conn)
{
    conn->soft_error = EHOSTUNREACH;
    if (conn->state == NET_TCP_SYN_SENT) { /* RFC 1122 section 4.2.3.9 lets it go on; a neighbour that is
                                            * not there will not come */
        ewi_net_conn_close(net, conn, -EHOSTUNREACH);
        return false;
    }
    conn->flags &= ~(uint32_t)(NET_CONN_ACK_NOW | NET_CONN_PROBE);
    if (conn->rto_at == 0 && may_send(conn)) {
        conn->progress_at = ewi_net_tcp_slow_of(net->now);
        ewi_net_conn_arm_timeout(net, conn, ewi_net_conn_rto(net, conn));
    }
    return true;
}

void ewi_net_conn_settle(struct ewi_net *net, struct net_conn *conn)
{
    if (may_send(conn))
        ewi_net_conn_readyup(net, conn);
    if (!(conn->flags & NET_CONN_READY)) /* else after its turn, which comes before any deadline */
        ewi_net_conn_rearm(net, conn);
}
