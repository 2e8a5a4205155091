/* What routers and hosts say about our segments: RFC 5927, 1191, 8201; RFC 9293 section 3.9.2.2. */
#include "transport/net/tcp_parts.h"

static bool is_in_flight(const struct net_conn *conn, uint32_t sequence)
{
    uint64_t position = ewi_net_seq_unwrap(conn->runs.una, sequence);

    return position >= conn->runs.una && position < conn->runs.nxt;
}

/* What is in flight and longer is lost, and it is not congestion: RFC 1191 section 6.4 */
static bool too_big(struct ewi_net *net, struct net_conn *conn, uint16_t mtu)
{
    if (mtu >= conn->path_mtu)
        return false;
    ewi_net_path_learn(net, &conn->tuple, mtu); /* another connection may have told it already */
    ewi_net_conn_set_mtu(net, conn, mtu);
    if (conn->state >= NET_TCP_ESTABLISHED) {
        ewi_net_runs_lose_all(&net->tcp.runs, &conn->runs);
        conn->flags |= NET_CONN_FORCE;
    }
    return true;
}

bool ewi_net_tcp_icmp(struct ewi_net *net, const struct net_tuple *tuple,
                      const struct net_icmp_told *told)
{
    uint32_t index = ewi_net_table_find(&net->tcp.conn_table,
                                        ewi_net_tuple_hash(net->tcp.table_key, tuple), tuple);
    struct net_conn *conn;
    bool believed = true;

    if (index == NET_NONE)
        return false;
    conn = ewi_net_conn(net, index);
    if (!is_in_flight(conn, told->sequence)) /* RFC 5927 section 4.1 */
        return false;
    if (told->news == NET_NEWS_TOO_BIG)
        believed = too_big(net, conn, told->mtu);
    else if (told->news == NET_NEWS_HARD && conn->state == NET_TCP_SYN_SENT)
        ewi_net_conn_close(net, conn, told->error < 0 ? told->error : -told->error);
    else /* RFC 5927 section 5.2: hard errors are soft once there is a connection (SHLD-25, MUST-56) */
        conn->soft_error = (uint8_t)(told->error < 0 ? -told->error : told->error);
    if (conn->state != NET_TCP_CLOSED)
        ewi_net_conn_settle(net, conn);
    return believed;
}
