/* Deadlines of connections: five each, the nearest in the wheel. */
#include "transport/net/tcp_parts.h"

#define PROBE_WAIT_MAX UINT64_C(60000000000)

enum { RETRIES_MAX = 15, DUE = 64, BLACK_HOLE_EARLY = 3, BLACK_HOLE_LATE = 7 };

void ewi_net_conn_rearm(struct ewi_net *net, struct net_conn *conn)
{
    const uint32_t at[] = {conn->rto_at, conn->aux_at, conn->ack_at, conn->hold_at};
    uint64_t now = net->now >> NET_TICK_BITS, nearest = NET_NEVER;
    int64_t least = INT64_MAX; /* ticks from now */

    for (uint32_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        int64_t ahead = (int32_t)(at[i] - (uint32_t)now);

        if (at[i] != 0 && ahead < least)
            least = ahead;
    }
    if (least != INT64_MAX)
        nearest = (now + (uint64_t)least) << NET_TICK_BITS;
    if (conn->life_at != 0)
        nearest = ewi_min_u64(nearest, ewi_net_tcp_slow_ns(conn->life_at, net->now));
    ewi_net_wheel_arm(&net->tcp.conn_wheel, ewi_net_conn_index(net, conn), nearest);
}

#define SLOW_AROUND (UINT64_C(1) << (32 + NET_SLOW_BITS)) /* 52 days */

static_assert(NET_SETTINGS_NS_MAX < SLOW_AROUND / 2, "a deadline does not look as if it had passed");
static_assert(NET_SETTINGS_NS_MAX + UINT8_MAX * NET_SETTINGS_PROBE_NS_MAX < SLOW_AROUND,
              "keepalive gives up before heard_at has come around");

uint64_t ewi_net_conn_unheard(const struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t heard = ewi_net_tcp_slow_ns(conn->heard_at, net->now);

    if (heard > net->now + NET_S) /* more than 26 days ago */
        return SLOW_AROUND / 2;
    return net->now > heard ? net->now - heard : 0;
}

uint64_t ewi_net_conn_stuck_for(const struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t since = ewi_net_tcp_slow_ns(conn->progress_at, net->now);

    return net->now > since ? net->now - since : 0;
}

/* ---- keepalive: RFC 9293 section 3.8.4; and FIN_WAIT_2 of a finished stream ---- */

void ewi_net_conn_start_keepalive(struct ewi_net *net, struct net_conn *conn)
{
    uint64_t idle = ewi_net_conn_settings(net, conn)->keepalive_ns;

    if (conn->state == NET_TCP_FIN_WAIT_2 && (conn->flags & NET_CONN_FINISHED))
        return;
    conn->life_at = idle == 0 ? 0 : ewi_net_tcp_slow_of(net->now + idle);
}

static void keep_alive(struct ewi_net *net, struct net_conn *conn)
{
    const struct net_settings *settings = ewi_net_conn_settings(net, conn);
    uint64_t quiet = ewi_net_conn_unheard(net, conn);
    bool is_busy = conn->runs.una != conn->runs.nxt || conn->rto_at != 0;

    if (settings->keepalive_ns == 0)
        return;
    if (!is_busy && quiet < ewi_max_u64(settings->keepalive_ns, settings->keepalive_interval_ns))
        conn->retries = 0; /* the last probe, an interval ago, was answered */
    if (is_busy || quiet < settings->keepalive_ns) {
        /* Not idle: the retransmission timer looks after it, and may do so for longer than this. */
        conn->life_at = ewi_net_tcp_slow_of(net->now + settings->keepalive_ns - (is_busy ? 0 : quiet));
        return;
    }
    if (conn->retries >= settings->keepalive_count) { /* of probes that were sent, not of time */
        ewi_net_conn_reset(net, conn, -ETIMEDOUT);
        return;
    }
    conn->retries += 1;
    conn->flags |= NET_CONN_PROBE;
    conn->life_at = ewi_net_tcp_slow_of(net->now + settings->keepalive_interval_ns);
}

static void life_due(struct ewi_net *net, struct net_conn *conn)
{
    conn->life_at = 0;
    if (conn->state == NET_TCP_FIN_WAIT_2 && (conn->flags & NET_CONN_FINISHED)) {
        ewi_net_conn_close(net, conn, 0);
        return;
    }
    keep_alive(net, conn);
}

/* ---- retransmission and persist ---- */

/* RFC 9293 section 3.8.3 (R2), RFC 5482. */
static bool gives_up(struct ewi_net *net, struct net_conn *conn)
{
    const struct net_settings *settings = ewi_net_conn_settings(net, conn);

    if (settings->user_timeout_ns != 0 &&
        ewi_net_conn_stuck_for(net, conn) >= settings->user_timeout_ns)
        return true;
    if (conn->state < NET_TCP_ESTABLISHED)
        return conn->retries > settings->syn_retries;
    return settings->user_timeout_ns == 0 && conn->retries > RETRIES_MAX;
}

void ewi_net_conn_arm_timeout(struct ewi_net *net, struct net_conn *conn, uint64_t wait)
{
    uint64_t patience = ewi_net_conn_settings(net, conn)->user_timeout_ns, at = net->now + wait;

    if (patience != 0)
        at = ewi_min_u64(at, ewi_net_tcp_slow_ns(conn->progress_at, net->now) + patience);
    conn->rto_at = ewi_net_tcp_tick_of(ewi_max_u64(at, net->now));
}

static void syn_due(struct ewi_net *net, struct net_conn *conn)
{
    conn->flags |= NET_CONN_SYN | NET_CONN_SYN_RESENT;
    if (conn->retries >= 2) /* RFC 3168 section 6.1.1.1: something on the path may not like it */
        conn->flags &= ~(uint32_t)NET_CONN_ECE_SYN;
    ewi_net_rtt_on_timeout(&conn->rtt);
    ewi_net_conn_arm_timeout(net, conn, ewi_net_conn_rto(net, conn));
}

/* The window is closed: RFC 9293 section 3.8.6.1; the waits double, and it never gives up while the
 * peer answers (MUST-37). */
static void persist_due(struct ewi_net *net, struct net_conn *conn)
{
    uint64_t wait = ewi_max_u64(ewi_net_conn_rto(net, conn), NET_PERSIST_NS);

    conn->flags |= NET_CONN_PROBE;
    wait = ewi_min_u64(wait << ewi_min_u32(conn->retries, 16), PROBE_WAIT_MAX);
    ewi_net_conn_arm_timeout(net, conn, wait);
}

/* RFC 4821 in its simplest form: full segments vanish, so try smaller ones; later where they got
 * through before, since loss alone can look the same. */
static void black_hole(struct ewi_net *net, struct net_conn *conn)
{
    uint16_t least = conn->tuple.family == 4 ? 576 : 1280;
    uint16_t mtu = (uint16_t)ewi_max_u32(conn->path_mtu / 2u, least);

    uint8_t patience = (conn->flags & NET_CONN_FULL_GOOD) ? BLACK_HOLE_LATE : BLACK_HOLE_EARLY;

    if (conn->retries % patience != 0 || conn->path_mtu <= least ||
        conn->runs.nxt - conn->runs.una < conn->mss || conn->snd_wnd == 0) /* closed: the peer drops it */
        return;
    if (conn->path_mtu > 1500)
        mtu = 1500;
    if (ewi_net_path_learn(net, &conn->tuple, mtu)) /* retries go on: R2 is R2 */
        ewi_net_conn_set_mtu(net, conn, mtu);
}

static void rto_due(struct ewi_net *net, struct net_conn *conn)
{
    bool outstanding = conn->runs.una != conn->runs.nxt;
    int error = conn->soft_error != 0 ? -(int)conn->soft_error : -ETIMEDOUT;

    conn->rto_at = 0;
    if (!outstanding && conn->queue.end == conn->runs.nxt &&
        !((conn->flags & NET_CONN_FIN_QUEUED) && !ewi_net_conn_fin_sent(conn)) &&
        conn->state >= NET_TCP_ESTABLISHED)
        return;
    if (conn->snd_wnd == 0 && conn->state >= NET_TCP_ESTABLISHED &&
        ewi_net_conn_unheard(net, conn) < 2 * PROBE_WAIT_MAX)
        conn->retries = (uint8_t)ewi_min_u32(conn->retries, RETRIES_MAX - 1u); /* it answers: SHLD-17 */
    conn->retries = (uint8_t)ewi_min_u32(conn->retries + 1u, UINT8_MAX);
    if (!outstanding && conn->state >= NET_TCP_ESTABLISHED) {
        if (ewi_net_conn_settings(net, conn)->user_timeout_ns != 0 && gives_up(net, conn))
            ewi_net_conn_reset(net, conn, error);
        else if (conn->retries > RETRIES_MAX && ewi_net_conn_unheard(net, conn) > 2 * PROBE_WAIT_MAX)
            ewi_net_conn_reset(net, conn, error);
        else
            persist_due(net, conn);
        return;
    }
    if (gives_up(net, conn)) {
        ewi_net_conn_reset(net, conn, error);
        return;
    }
    if (conn->state < NET_TCP_ESTABLISHED) {
        syn_due(net, conn);
        return;
    }
    ewi_net_conn_loss_timeout(net, conn);
    black_hole(net, conn);
    ewi_net_conn_arm_timeout(net, conn, ewi_net_conn_rto(net, conn));
}

/* ---- what is due ---- */

static void aux_due(struct ewi_net *net, struct net_conn *conn)
{
    uint8_t aux = conn->aux;

    conn->aux = NET_AUX_NONE;
    conn->aux_at = 0;
    if (aux == NET_AUX_REORDER)
        ewi_net_conn_loss_timer(net, conn);
    else if (aux == NET_AUX_LOOK_BACK)
        ewi_net_conn_stay(net, conn);
    else if (aux == NET_AUX_PROBE) {
        conn->flags |= NET_CONN_TLP;
        if (ewi_net_tcp_is_due(conn->rto_at, net->now)) /* the probe goes first, once */
            conn->rto_at = ewi_net_tcp_tick_of(net->now + ewi_net_conn_rto(net, conn));
    }
}

static void hold_due(struct ewi_net *net, struct net_conn *conn)
{
    conn->flags |= NET_CONN_PUSH;
    ewi_net_conn_readyup(net, conn);
    if (!(conn->flags & NET_CONN_SPAN_WAIT))
        return;
    if (net->tcp.spans.free == 0) {
        conn->hold_at = ewi_net_tcp_tick_of(net->now + NET_NO_SPAN_NS);
        return;
    }
    conn->flags &= ~(uint32_t)(NET_CONN_SPAN_WAIT | NET_CONN_WRITE_WAIT);
    ewi_net_conn_raise(net, conn, STACK_WRITABLE);
}

static void conn_due(struct ewi_net *net, struct net_conn *conn)
{
    uint64_t now = net->now;

    if (ewi_net_tcp_is_due(conn->ack_at, now)) {
        conn->ack_at = 0;
        ewi_net_conn_ack_now(conn);
    }
    if (ewi_net_tcp_is_due(conn->hold_at, now)) {
        conn->hold_at = 0;
        hold_due(net, conn);
    }
    if (ewi_net_tcp_is_due(conn->aux_at, now))
        aux_due(net, conn);
    if (ewi_net_tcp_is_due(conn->rto_at, now))
        rto_due(net, conn);
    if (conn->state != NET_TCP_CLOSED && conn->life_at != 0 &&
        ewi_net_tcp_slow_ns(conn->life_at, now) <= now)
        life_due(net, conn);
    if (conn->state != NET_TCP_CLOSED && conn->state != NET_TCP_TIME_WAIT)
        ewi_net_conn_settle(net, conn);
}

void ewi_net_tcp_tick(struct ewi_net *net)
{
    uint32_t due[DUE], count;

    do {
        count = ewi_net_wheel_advance(&net->tcp.conn_wheel, net->now, due, DUE);
        for (uint32_t i = 0; i < count; i++)
            conn_due(net, ewi_net_conn(net, due[i]));
    } while (count == DUE);
    ewi_net_half_timers(net);
    ewi_net_time_wait_expire(&net->tcp.time_waits, net->now, DUE);
}

uint64_t ewi_net_tcp_deadline(const struct ewi_net *net)
{
    uint64_t due = ewi_min_u64(ewi_net_wheel_next(&net->tcp.conn_wheel),
                               ewi_net_wheel_next(&net->tcp.half_wheel));

    if (net->tcp.ready_first != NET_NONE)
        return 0;
    return ewi_min_u64(due, ewi_net_time_wait_next(&net->tcp.time_waits));
}
