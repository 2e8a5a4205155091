/* TCP's part of look.h. */
#include "transport/net/look_parts.h"
#include "transport/net/tcp_parts.h"

bool ewi_net_look_conn(struct ewi_net *net, uint32_t *at, struct net_look_conn *out)
{
    uint32_t slot = ewi_net_look_slot(&net->tcp.conns, at);
    const struct net_conn *conn;
    const struct net_tuple *tuple;

    if (slot == NET_NONE)
        return false;
    conn = ewi_net_conn(net, slot);
    tuple = &conn->tuple;
    *out = (struct net_look_conn){
        .local = ewi_net_look_named(tuple->family, tuple->local, tuple->local_port, tuple->scope),
        .remote = ewi_net_look_named(tuple->family, tuple->remote, tuple->remote_port, tuple->scope),
        .stream = ewi_net_pool_handle(&net->tcp.conns, slot),
        .is_pending = (conn->flags & NET_CONN_PENDING) != 0,
        .is_finished = (conn->flags & NET_CONN_FINISHED) != 0,
        .is_passive = (conn->flags & NET_CONN_PASSIVE) != 0};
    out->user = out->is_pending ? 0 : conn->user;
    ewi_net_conn_info(net, conn, &out->info);
    return true;
}

bool ewi_net_look_listener(struct ewi_net *net, uint32_t *at, struct net_look_listener *out)
{
    uint32_t slot = ewi_net_look_slot(&net->tcp.listeners, at);
    const struct net_listener *listener;

    if (slot == NET_NONE)
        return false;
    listener = ewi_net_pool_at(&net->tcp.listeners, slot);
    *out = (struct net_look_listener){.local = ewi_net_look_named(listener->listen.family, listener->listen.address,
                                                     listener->listen.port, listener->listen.scope),
                                      .waiting = listener->waiting,
                                      .backlog = listener->backlog,
                                      .half_open = listener->halves};
    return true;
}

/* ---- limits ---- */

/* [0] of these two is never used. */
static struct net_look_limit of_runs(const struct net_run_pool *pool)
{
    return (struct net_look_limit){.name = "runs",
                                   .text = "runs of segments in flight",
                                   .used = pool->runs_all - pool->free,
                                   .max = pool->runs_all,
                                   .refused = pool->refused};
}

static struct net_look_limit of_spans(const struct net_span_pool *pool)
{
    return (struct net_look_limit){.name = "spans",
                                   .text = "pieces of memory that were sent and not acknowledged",
                                   .used = pool->spans_all - pool->free,
                                   .max = pool->spans_all,
                                   .refused = pool->refused};
}

bool ewi_net_tcp_limit(const struct ewi_net *net, uint32_t i, struct net_look_limit *out)
{
    const struct net_look_limit rows[] = {
        ewi_net_look_pool("connections", "open connections", &net->tcp.conns),
        ewi_net_look_pool("listeners", "listeners", &net->tcp.listeners),
        ewi_net_look_pool("half_open", "connections whose SYN was answered", &net->tcp.halves),
        ewi_net_look_pool("time_wait", "connections in TIME-WAIT", &net->tcp.time_waits.pool),
        ewi_net_look_pool("troubles", "connections with loss or disorder", &net->tcp.troubles),
        of_runs(&net->tcp.runs),
        of_spans(&net->tcp.spans)};

    return ewi_net_look_limit_at(rows, sizeof(rows) / sizeof(rows[0]), i, out);
}
