/* What a user asks of a stream beside its bytes: addresses and options. */
#include "transport/net/tcp_parts.h"

int ewi_net_addresses(struct ewi_net *net, ewi_stream stream, struct stack_addr *local,
                      struct stack_addr *remote)
{
    struct net_listener *listener;
    struct net_conn *conn;
    uint32_t index;

    if (ewi_net_udp_is_handle(stream))
        return ewi_net_udp_addresses(net, stream, local, remote);
    listener = ewi_net_listener_find(net, stream, &index);
    *remote = (struct stack_addr){0};
    if (listener != NULL) {
        *local = (struct stack_addr){.family = listener->listen.family,
                                     .port = listener->listen.port,
                                     .scope = listener->listen.scope};
        memcpy(local->ip, listener->listen.address, sizeof(local->ip));
        return 0;
    }
    conn = ewi_net_conn_find(net, stream);
    if (conn == NULL)
        return -ESTALE;
    *local = (struct stack_addr){.family = conn->tuple.family,
                                 .port = conn->tuple.local_port,
                                 .scope = conn->tuple.scope};
    *remote = *local;
    remote->port = conn->tuple.remote_port;
    memcpy(local->ip, conn->tuple.local, sizeof(local->ip));
    memcpy(remote->ip, conn->tuple.remote, sizeof(remote->ip));
    return 0;
}

static bool is_early(enum net_option option)
{
    return option == NET_OPTION_TIMESTAMPS || option == NET_OPTION_SACK ||
           option == NET_OPTION_SCALE || option == NET_OPTION_CONGESTION ||
           option == NET_OPTION_HYSTART || option == NET_OPTION_ECN;
}

int ewi_net_set(struct ewi_net *net, ewi_stream stream, enum net_option option, uint64_t value)
{
    struct net_settings_table *table = &net->tcp.settings;
    struct net_listener *listener;
    struct net_conn *conn;
    uint32_t index;
    int code;

    if (stream == 0) {
        code = ewi_net_settings_change_default(table, option, value);
        net->tcp.time_waits.duration_ns = table->time_wait_ns;
        return code;
    }
    listener = ewi_net_listener_find(net, stream, &index);
    if (listener != NULL)
        return ewi_net_settings_change(table, &listener->settings, option, value);
    conn = ewi_net_conn_find(net, stream);
    if (conn == NULL)
        return -ESTALE;
    if (is_early(option)) /* agreed in the SYN, or begun with: of the listener or of stream 0 */
        return -EISCONN;
    code = ewi_net_settings_change(table, &conn->settings, option, value);
    if (code != 0 || conn->state == NET_TCP_CLOSED || conn->state == NET_TCP_TIME_WAIT)
        return code;
    if (option == NET_OPTION_KEEPALIVE_NS && conn->state >= NET_TCP_ESTABLISHED)
        ewi_net_conn_start_keepalive(net, conn);
    if (option == NET_OPTION_MSS)
        ewi_net_conn_set_mtu(net, conn, conn->path_mtu);
    ewi_net_conn_settle(net, conn);
    return 0;
}

int ewi_net_get(struct ewi_net *net, ewi_stream stream, enum net_option option, uint64_t *value)
{
    struct net_settings_table *table = &net->tcp.settings;
    struct net_listener *listener;
    struct net_conn *conn;
    uint32_t index;

    if (stream == 0)
        return ewi_net_settings_get(table, table->standard, option, value);
    listener = ewi_net_listener_find(net, stream, &index);
    if (listener != NULL)
        return ewi_net_settings_get(table, listener->settings, option, value);
    conn = ewi_net_conn_find(net, stream);
    return conn == NULL ? -ESTALE : ewi_net_settings_get(table, conn->settings, option, value);
}
