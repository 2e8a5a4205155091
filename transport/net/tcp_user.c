/* User calls: RFC 9293 section 3.10.1 to 3.10.6, in the words of transport/stack.h. */
#include "transport/net/tcp_parts.h"

/* ---- handles ---- */

static uint64_t handle_of(const struct ewi_net *net, const struct net_conn *conn)
{
    return ewi_net_pool_handle(&net->tcp.conns, ewi_net_conn_index(net, conn));
}

struct net_conn *ewi_net_conn_find(struct ewi_net *net, ewi_stream stream)
{
    uint32_t index = ewi_net_pool_find(&net->tcp.conns, stream);
    struct net_conn *conn;

    if (index == NET_NONE)
        return NULL;
    conn = ewi_net_conn(net, index);
    return (conn->flags & (NET_CONN_FINISHED | NET_CONN_PENDING)) ? NULL : conn;
}

struct net_listener *ewi_net_listener_find(struct ewi_net *net, ewi_stream stream,
                                           uint32_t *index)
{
    if (((uint32_t)stream & NET_SLOT_KIND) != NET_SLOT_LISTENER)
        return NULL;
    *index = ewi_net_pool_find(&net->tcp.listeners, stream & ~(uint64_t)NET_SLOT_KIND);
    return *index == NET_NONE ? NULL : ewi_net_pool_at(&net->tcp.listeners, *index);
}

static bool is_udp(ewi_stream stream)
{
    return ((uint32_t)stream & NET_SLOT_KIND) == 2u << 30;
}

/* ---- OPEN ---- */

static bool is_any(const uint8_t address[16])
{
    static const uint8_t zeros[16];

    return memcmp(address, zeros, sizeof(zeros)) == 0;
}

int ewi_net_listen(struct ewi_net *net, const struct stack_addr *local, uint32_t backlog,
                   uint64_t user, ewi_stream *out)
{
    struct net_tcp_all *tcp = &net->tcp;
    struct net_listener *listener;
    uint32_t index;
    int code;

    if (local->port == 0 || (local->family != 4 && local->family != 6))
        return -EINVAL;
    if (!is_any(local->ip) && !ewi_net_link_is_local(net, local->family, local->ip))
        return -EADDRNOTAVAIL;
    index = ewi_net_pool_take(&tcp->listeners);
    if (index == NET_NONE)
        return -ENOBUFS;
    listener = ewi_net_pool_at(&tcp->listeners, index);
    *listener = (struct net_listener){.listen = {.port = local->port,
                                                 .scope = (uint16_t)local->scope,
                                                 .family = local->family},
                                      .first = NET_NONE,
                                      .last = NET_NONE,
                                      .backlog = ewi_max_u32(backlog, 1),
                                      .user = user};
    memcpy(listener->listen.address, local->ip, local->family == 4 ? 4 : 16);
    code = ewi_net_listeners_add(&tcp->listening, index);
    if (code != EW_OK) {
        ewi_net_pool_give(&tcp->listeners, index);
        return code == EW_EINUSE ? -EADDRINUSE : -EINVAL;
    }
    listener->settings = ewi_net_settings_default(&tcp->settings);
    *out = ewi_net_pool_handle(&tcp->listeners, index) | NET_SLOT_LISTENER;
    return 0;
}

int ewi_net_source(struct ewi_net *net, const struct stack_addr *remote, struct stack_addr *local)
{
    struct net_tuple tuple = {.family = remote->family, .scope = (uint16_t)remote->scope};

    memcpy(tuple.remote, remote->ip, remote->family == 4 ? 4 : 16);
    if (!ewi_net_way_source(net, &tuple))
        return -ENETUNREACH;
    local->family = remote->family;
    local->scope = tuple.scope;
    memcpy(local->ip, tuple.local, remote->family == 4 ? 4 : 16);
    return 0;
}

/* The local end: given, or chosen. */
static int bind_address(struct ewi_net *net, const struct stack_addr *local, struct net_tuple *tuple)
{
    if (local == NULL || is_any(local->ip))
        return ewi_net_way_source(net, tuple) ? 0 : -ENETUNREACH;
    if (local->family != tuple->family || !ewi_net_link_is_local(net, local->family, local->ip))
        return -EADDRNOTAVAIL;
    memcpy(tuple->local, local->ip, local->family == 4 ? 4 : 16);
    return 0;
}

/* A record in TIME_WAIT may give way: RFC 6191 section 2. */
static bool give_way(struct ewi_net *net, const struct net_tuple *tuple, uint64_t hash,
                     uint32_t *least_iss)
{
    uint32_t index = ewi_net_time_wait_find(&net->tcp.time_waits, hash, tuple);
    bool times = ewi_net_settings_at(&net->tcp.settings, net->tcp.settings.standard)->timestamps;

    if (index == NET_NONE)
        return true;
    if (!ewi_net_time_wait_may_reuse(&net->tcp.time_waits, index, times, net->now, least_iss))
        return false;
    ewi_net_time_wait_remove(&net->tcp.time_waits, index);
    return true;
}

static int bind_port(struct ewi_net *net, uint16_t wanted, struct net_tuple *tuple, uint64_t *hash,
                     uint32_t *least_iss)
{
    struct net_tcp_all *tcp = &net->tcp;
    struct net_ports_taken taken = {.table_key = tcp->table_key,
                                    .listeners = &tcp->listening,
                                    .tables = {&tcp->conn_table, &tcp->half_table,
                                               &tcp->time_waits.table, NULL}};

    if (wanted != 0) {
        tuple->local_port = wanted;
        *hash = ewi_net_tuple_hash(tcp->table_key, tuple);
        if (ewi_net_table_find(&tcp->conn_table, *hash, tuple) != NET_NONE ||
            ewi_net_table_find(&tcp->half_table, *hash, tuple) != NET_NONE ||
            !give_way(net, tuple, *hash, least_iss))
            return -EADDRINUSE;
        return 0;
    }
    if (ewi_net_ports_choose(&tcp->ports, &taken, tuple, hash) == EW_OK)
        return 0;
    taken.tables[2] = NULL;
    if (ewi_net_ports_choose(&tcp->ports, &taken, tuple, hash) == EW_OK &&
        give_way(net, tuple, *hash, least_iss))
        return 0;
    net->count.full_ports += 1;
    return -EADDRNOTAVAIL;
}

static int start(struct ewi_net *net, const struct net_tuple *tuple, uint64_t hash,
                 uint32_t least_iss, uint16_t mtu, uint64_t user, ewi_stream *out)
{
    struct net_tcp_all *tcp = &net->tcp;
    struct net_conn_birth birth = {.tuple = tuple,
                                   .hash = hash,
                                   .iss = ewi_net_isn(tcp->isn_key, tuple, net->now),
                                   .ts_offset = (uint32_t)ewi_net_tuple_hash(tcp->times_key, tuple),
                                   .settings = tcp->settings.standard,
                                   .state = NET_TCP_SYN_SENT};
    struct net_conn *conn;

    if (least_iss != 0 && ewi_net_seq_before(birth.iss, least_iss))
        birth.iss = least_iss;
    conn = ewi_net_conn_new(net, &birth);
    if (conn == NULL)
        return -ENOBUFS;
    ewi_net_settings_default(&tcp->settings);
    conn->user = user;
    conn->flags |= NET_CONN_SYN;
    if (ewi_net_conn_settings(net, conn)->ecn == 1)
        conn->flags |= NET_CONN_ECE_SYN;
    ewi_net_conn_set_mtu(net, conn, mtu);
    *out = handle_of(net, conn);
    ewi_net_conn_settle(net, conn);
    return 0;
}

/* RFC 9293 section 3.9.2.3 (MUST-46): TCP talks to single hosts. Ourselves we do not reach by a wire. */
static int judge_remote(const struct ewi_net *net, const struct net_tuple *tuple, uint16_t port)
{
    switch (ewi_net_link_whose(net, port, tuple->family, tuple->remote)) {
    case NET_MULTICAST:
    case NET_BROADCAST:
        return -EINVAL;
    case NET_OURS:
    case NET_OURS_TENTATIVE:
        return -EADDRNOTAVAIL;
    default:
        return 0;
    }
}

int ewi_net_connect(struct ewi_net *net, const struct stack_addr *local,
                    const struct stack_addr *remote, uint64_t user, uint64_t now, ewi_stream *out)
{
    struct net_tuple tuple = {.remote_port = remote->port,
                              .family = remote->family,
                              .scope = (uint16_t)remote->scope};
    uint32_t least_iss = 0;
    struct net_way way;
    uint64_t hash;
    int code;

    net->now = ewi_max_u64(net->now, now);
    if (remote->port == 0 || (remote->family != 4 && remote->family != 6) || is_any(remote->ip) ||
        (remote->family == 4 ? remote->ip[0] >= 224 : remote->ip[0] == 0xff))
        return -EINVAL;
    memcpy(tuple.remote, remote->ip, remote->family == 4 ? 4 : 16);
    code = bind_address(net, local, &tuple);
    if (code != 0)
        return code;
    if (ewi_net_way(net, &tuple, &way) == NET_WAY_NONE)
        return -ENETUNREACH;
    code = judge_remote(net, &tuple, way.port);
    if (code != 0)
        return code;
    code = bind_port(net, local == NULL ? 0 : local->port, &tuple, &hash, &least_iss);
    if (code != 0)
        return code;
    return start(net, &tuple, hash, least_iss, ewi_net_path_mtu(net, &tuple, way.mtu), user, out);
}

int ewi_net_accept(struct ewi_net *net, ewi_stream stream, uint64_t user, ewi_stream *out)
{
    uint32_t index;
    struct net_listener *listener = ewi_net_listener_find(net, stream, &index);
    struct net_conn *conn;

    if (listener == NULL)
        return -ESTALE;
    if (listener->first == NET_NONE)
        return -EAGAIN;
    conn = ewi_net_conn(net, listener->first);
    listener->first = conn->accept_next;
    if (listener->first == NET_NONE)
        listener->last = NET_NONE;
    listener->waiting -= 1;
    conn->flags &= ~(uint32_t)NET_CONN_PENDING;
    conn->user = user;
    *out = handle_of(net, conn);
    ewi_net_conn_raise(net, conn, ewi_net_ready(net, *out) & ~(uint32_t)STACK_CONNECTED);
    return 0;
}

/* ---- SEND ---- */

static uint64_t first_held(const struct net_conn *conn)
{
    return ewi_min_u64(ewi_max_u64(conn->runs.una, NET_SEQ_FIRST + conn->iss + 1), conn->queue.end);
}

static uint32_t send_room(const struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t held = conn->queue.end - first_held(conn);
    uint32_t most = ewi_net_conn_settings(net, conn)->send_bytes;

    return held < most ? (uint32_t)(most - held) : 0;
}

static int may_write(const struct net_conn *conn)
{
    if (conn->error != 0)
        return -(int)conn->error;
    if ((conn->flags & NET_CONN_FIN_QUEUED) || conn->state == NET_TCP_CLOSED)
        return -EPIPE;
    return 0;
}

/* Others have them all, and what they release does not tell us. */
static void wait_for_span(struct ewi_net *net, struct net_conn *conn)
{
    conn->flags |= NET_CONN_SPAN_WAIT;
    if (conn->hold_at == 0)
        conn->hold_at = ewi_net_tcp_tick_of(net->now + NET_NO_SPAN_NS);
}

int64_t ewi_net_send(struct ewi_net *net, ewi_stream stream, const struct stack_span *spans,
                     uint32_t count)
{
    struct net_conn *conn = ewi_net_conn_find(net, stream);
    uint32_t room, bytes;
    int64_t taken = 0;
    int code;

    if (conn == NULL)
        return -ESTALE;
    code = may_write(conn);
    if (code != 0)
        return code;
    room = send_room(net, conn);
    for (uint32_t i = 0; i < count && room != 0; i++) {
        bytes = (uint32_t)ewi_min_u64(spans[i].bytes, room);
        if (bytes == 0)
            continue;
        if (!ewi_net_send_queue_push(&net->tcp.spans, &conn->queue, spans[i].base, bytes)) {
            wait_for_span(net, conn);
            break;
        }
        taken += bytes;
        room -= bytes;
    }
    if (taken == 0) {
        conn->flags |= NET_CONN_WRITE_WAIT;
        ewi_net_conn_settle(net, conn);
        return -EAGAIN;
    }
    if (room == 0)
        conn->flags |= NET_CONN_WRITE_WAIT;
    ewi_net_conn_settle(net, conn);
    return taken;
}

int ewi_net_released(struct ewi_net *net, ewi_stream stream, uint64_t *out)
{
    struct net_conn *conn = ewi_net_conn_find(net, stream);

    if (conn == NULL)
        return -ESTALE;
    *out = first_held(conn) - (NET_SEQ_FIRST + conn->iss + 1);
    return 0;
}

/* ---- RECEIVE ---- */

/* Nothing is readable: why? */
static int nothing(const struct net_conn *conn)
{
    if (conn->flags & NET_CONN_FIN_SEEN)
        return 0;
    if (conn->error != 0)
        return -(int)conn->error;
    return conn->state == NET_TCP_CLOSED ? 0 : -EAGAIN;
}

static void unlink_first(struct ewi_net *net, struct net_conn *conn)
{
    struct net_packet *packet = ewi_net_packet(net, conn->first);

    conn->first = packet->next;
    if (conn->first == NET_NONE)
        conn->last = NET_NONE;
    conn->first_skip = 0;
}

static uint32_t copy_out(struct ewi_net *net, struct net_conn *conn, uint8_t *to, uint32_t room)
{
    uint32_t done = 0;

    while (done < room && conn->first != NET_NONE) {
        struct net_packet *packet = ewi_net_packet(net, conn->first);
        uint32_t index = conn->first, bytes = packet->bytes - conn->first_skip;

        bytes = ewi_min_u32(bytes, room - done);
        memcpy(to + done, packet->data + conn->first_skip, bytes);
        done += bytes;
        conn->first_skip += bytes;
        if (conn->first_skip == packet->bytes) {
            conn->charged -= packet->charge;
            unlink_first(net, conn);
            ewi_net_packet_give(net, index);
        }
    }
    conn->readable -= done;
    return done;
}

int64_t ewi_net_recv_into(struct ewi_net *net, ewi_stream stream, const struct stack_room *rooms,
                          uint32_t count)
{
    struct net_conn *conn = ewi_net_conn_find(net, stream);
    int64_t done = 0;

    if (conn == NULL)
        return -ESTALE;
    if (conn->readable == 0)
        return nothing(conn);
    for (uint32_t i = 0; i < count && conn->readable != 0; i++)
        done += copy_out(net, conn, rooms[i].base,
                         (uint32_t)ewi_min_u64(rooms[i].bytes, INT32_MAX));
    ewi_net_conn_was_read(net, conn);
    return done;
}

int ewi_net_recv(struct ewi_net *net, ewi_stream stream, struct net_token *tokens, uint32_t count)
{
    struct net_conn *conn = ewi_net_conn_find(net, stream);
    uint32_t done = 0;

    if (conn == NULL)
        return -ESTALE;
    if (conn->readable == 0)
        return nothing(conn);
    while (done < count && done < INT32_MAX && conn->first != NET_NONE) {
        struct net_packet *packet = ewi_net_packet(net, conn->first);

        packet->owner = stream; /* its charge stays with the connection until release */
        tokens[done++] = (struct net_token){.data = packet->data + conn->first_skip,
                                            .bytes = packet->bytes - conn->first_skip,
                                            .id = conn->first};
        conn->readable -= packet->bytes - conn->first_skip;
        unlink_first(net, conn);
    }
    return (int)done;
}

void ewi_net_release(struct ewi_net *net, const struct net_token *tokens, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct net_packet *packet = ewi_net_packet(net, tokens[i].id);
        uint64_t owner = packet->owner;
        uint32_t charge = packet->charge, index;

        ewi_net_packet_give(net, tokens[i].id);
        index = ewi_net_pool_find(&net->tcp.conns, owner);
        if (index == NET_NONE)
            continue;
        ewi_net_conn(net, index)->charged -= charge;
        ewi_net_conn_was_read(net, ewi_net_conn(net, index));
    }
}

/* ---- CLOSE, ABORT ---- */

static void send_fin(struct ewi_net *net, struct net_conn *conn)
{
    if (conn->flags & NET_CONN_FIN_QUEUED)
        return;
    conn->flags |= NET_CONN_FIN_QUEUED;
    if (conn->state == NET_TCP_ESTABLISHED)
        ewi_net_conn_move(conn, NET_TCP_FIN_WAIT_1);
    else if (conn->state == NET_TCP_CLOSE_WAIT)
        ewi_net_conn_move(conn, NET_TCP_LAST_ACK);
    ewi_net_conn_settle(net, conn); /* before ESTABLISHED the flag waits */
}

int ewi_net_shutdown(struct ewi_net *net, ewi_stream stream)
{
    struct net_conn *conn = ewi_net_conn_find(net, stream);

    if (conn == NULL)
        return -ESTALE;
    if (conn->error != 0)
        return -(int)conn->error;
    if (conn->state == NET_TCP_CLOSED && !(conn->flags & NET_CONN_FIN_QUEUED))
        return -ENOTCONN;
    if (conn->state != NET_TCP_CLOSED && conn->state != NET_TCP_TIME_WAIT)
        send_fin(net, conn);
    return 0;
}

static void finish_conn(struct ewi_net *net, struct net_conn *conn, bool reset)
{
    ewi_net_events_clear(&net->tcp.events, ewi_net_conn_index(net, conn), UINT32_MAX >> 1);
    conn->flags |= NET_CONN_FINISHED;
    if (conn->state == NET_TCP_CLOSED || conn->state == NET_TCP_TIME_WAIT) {
        ewi_net_conn_free_received(net, conn);
        ewi_net_conn_raise(net, conn, STACK_CLOSED);
    } else if (reset || conn->readable != 0) { /* RFC 2525 section 2.17: the peer must not think that
                                                * it was read */
        ewi_net_conn_reset(net, conn, -ECONNABORTED);
    } else if (conn->state == NET_TCP_SYN_SENT &&
               conn->queue.end == NET_SEQ_FIRST + conn->iss + 1) {
        ewi_net_conn_close(net, conn, 0);
    } else {
        send_fin(net, conn);
        if (conn->state == NET_TCP_FIN_WAIT_2) {
            conn->life_at = ewi_net_tcp_slow_of(net->now +
                                                ewi_net_conn_settings(net, conn)->fin_wait_ns);
            ewi_net_conn_settle(net, conn);
        }
    }
}

static int finish_listener(struct ewi_net *net, uint32_t index)
{
    struct net_listener *listener = ewi_net_pool_at(&net->tcp.listeners, index);

    ewi_net_listen_end(net, index);
    ewi_net_listeners_remove(&net->tcp.listening, index);
    ewi_net_settings_drop(&net->tcp.settings, listener->settings);
    ewi_net_events_clear(&net->tcp.events, net->config.conns_max + index, UINT32_MAX >> 1);
    listener->backlog = 0; /* CLOSED is all that is left to tell */
    ewi_net_events_raise(&net->tcp.events, net->config.conns_max + index, STACK_CLOSED);
    return 0;
}

int ewi_net_finish(struct ewi_net *net, ewi_stream stream, bool reset, uint64_t now)
{
    struct net_conn *conn;
    struct net_listener *listener;
    uint32_t index;

    net->now = ewi_max_u64(net->now, now);
    listener = ewi_net_listener_find(net, stream, &index);
    if (listener != NULL)
        return listener->backlog == 0 ? -ESTALE : finish_listener(net, index);
    conn = ewi_net_conn_find(net, stream);
    if (conn == NULL)
        return -ESTALE;
    finish_conn(net, conn, reset);
    return 0;
}

/* ---- events ---- */

uint32_t ewi_net_ready(struct ewi_net *net, ewi_stream stream)
{
    struct net_conn *conn;
    struct net_listener *listener;
    uint32_t index, bits = 0;

    if (is_udp(stream))
        return ewi_net_udp_ready(net, stream);
    listener = ewi_net_listener_find(net, stream, &index);
    if (listener != NULL)
        return listener->first != NET_NONE ? STACK_ACCEPT : 0;
    conn = ewi_net_conn_find(net, stream);
    if (conn == NULL)
        return 0;
    if (conn->state >= NET_TCP_ESTABLISHED)
        bits |= STACK_CONNECTED;
    if (conn->readable != 0 || nothing(conn) != -EAGAIN)
        bits |= STACK_READABLE;
    if (conn->state >= NET_TCP_ESTABLISHED && may_write(conn) == 0 && send_room(net, conn) != 0 &&
        net->tcp.spans.free != 0)
        bits |= STACK_WRITABLE;
    if (conn->flags & NET_CONN_FIN_SEEN)
        bits |= STACK_PEER_FIN;
    if (conn->error != 0)
        bits |= STACK_FAILED;
    return bits;
}

int ewi_net_error(struct ewi_net *net, ewi_stream stream)
{
    struct net_conn *conn;
    uint32_t index;

    if (is_udp(stream))
        return ewi_net_udp_error(net, stream);
    if (ewi_net_listener_find(net, stream, &index) != NULL)
        return 0;
    conn = ewi_net_conn_find(net, stream);
    return conn == NULL ? -ESTALE : -(int)conn->error;
}

int ewi_net_watch(struct ewi_net *net, ewi_stream stream, uint32_t bits)
{
    struct net_conn *conn;
    uint32_t index;

    if (is_udp(stream))
        return ewi_net_udp_watch(net, stream, bits);
    if (ewi_net_listener_find(net, stream, &index) != NULL)
        return 0;
    conn = ewi_net_conn_find(net, stream);
    if (conn == NULL)
        return -ESTALE;
    conn->watch = (uint8_t)(bits & (STACK_READABLE | STACK_WRITABLE));
    ewi_net_conn_raise(net, conn, ewi_net_ready(net, stream) & conn->watch);
    return 0;
}

static void listener_event(struct ewi_net *net, uint32_t index, struct stack_event *event)
{
    struct net_listener *listener = ewi_net_pool_at(&net->tcp.listeners, index);

    event->user = listener->user;
    event->stream = ewi_net_pool_handle(&net->tcp.listeners, index) | NET_SLOT_LISTENER;
    if (event->bits & STACK_CLOSED)
        ewi_net_pool_give(&net->tcp.listeners, index);
}

uint32_t ewi_net_tcp_events(struct ewi_net *net, struct stack_event *events, uint32_t count)
{
    struct net_event event;
    uint32_t done = 0;

    while (done < count && ewi_net_events_take(&net->tcp.events, &event, 1) == 1) {
        struct stack_event *out = &events[done++];

        out->bits = event.bits;
        if (event.index >= net->config.conns_max) {
            listener_event(net, event.index - net->config.conns_max, out);
            continue;
        }
        out->user = ewi_net_conn(net, event.index)->user;
        out->stream = ewi_net_pool_handle(&net->tcp.conns, event.index);
        if (event.bits & STACK_CLOSED)
            ewi_net_conn_free(net, ewi_net_conn(net, event.index));
    }
    return done;
}
