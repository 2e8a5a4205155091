#include "transport/net/tcp.h"

#include "transport/net/tcp_parts.h"

static_assert(sizeof(struct net_conn) <= 488, "an idle connection");

enum { ALIGN = NET_ALIGN, ISLANDS_EACH = 64, RUNS_EACH = 4096 };

static void *place(struct net_block *block, size_t bytes)
{
    return ewi_net_block_at(block, ewi_net_block_add(block, bytes, ALIGN));
}

void ewi_net_tcp_place(struct net_block *block, const struct net_config *config,
                       struct net_tcp_places *places)
{
    uint32_t reorder = config->packets_max * 2;

    places->conns =
        place(block, ewi_net_pool_bytes(config->conns_max, sizeof(struct net_conn)));
    places->listeners =
        place(block, ewi_net_pool_bytes(config->listeners_max, sizeof(struct net_listener)));
    places->halves =
        place(block, ewi_net_pool_bytes(config->half_open_max, sizeof(struct net_half)));
    places->troubles =
        place(block, ewi_net_pool_bytes(config->troubles_max, sizeof(struct net_trouble)));
    places->conn_table = place(block, ewi_net_table_bytes(config->conns_max));
    places->half_table = place(block, ewi_net_table_bytes(config->half_open_max));
    places->time_waits = place(block, ewi_net_time_waits_bytes(config->time_waits_max));
    places->listening = place(block, ewi_net_listeners_bytes(config->listeners_max));
    places->events =
        place(block, ewi_net_events_bytes(config->conns_max + config->listeners_max));
    places->runs = place(block, ewi_net_run_pool_bytes(config->runs_max));
    places->spans = place(block, ewi_net_span_pool_bytes(config->spans_max));
    places->reorder = place(block, ewi_net_reorder_pool_bytes(reorder));
}

static struct net_rows member(const struct net_pool *pool, size_t offset)
{
    return (struct net_rows){.base = pool->objects.base + offset, .stride = pool->objects.stride};
}

static void init_pools(struct ewi_net *net, const struct net_tcp_places *places)
{
    const struct net_config *config = &net->config;
    struct net_tcp_all *tcp = &net->tcp;

    ewi_net_pool_init(&tcp->conns, places->conns, config->conns_max, sizeof(struct net_conn));
    ewi_net_pool_init(&tcp->listeners, places->listeners, config->listeners_max,
                      sizeof(struct net_listener));
    ewi_net_pool_init(&tcp->halves, places->halves, config->half_open_max, sizeof(struct net_half));
    ewi_net_pool_init(&tcp->troubles, places->troubles, config->troubles_max,
                      sizeof(struct net_trouble));
    ewi_net_run_pool_init(&tcp->runs, places->runs, config->runs_max, RUNS_EACH);
    ewi_net_span_pool_init(&tcp->spans, places->spans, config->spans_max);
    ewi_net_reorder_pool_init(&tcp->reorder, places->reorder, config->packets_max * 2, ISLANDS_EACH);
}

static void init_tables(struct ewi_net *net, const struct net_tcp_places *places)
{
    const struct net_config *config = &net->config;
    struct net_tcp_all *tcp = &net->tcp;

    ewi_net_table_init(&tcp->conn_table, places->conn_table, config->conns_max,
                       member(&tcp->conns, offsetof(struct net_conn, tuple)));
    ewi_net_table_init(&tcp->half_table, places->half_table, config->half_open_max,
                       member(&tcp->halves, offsetof(struct net_half, tuple)));
    ewi_net_listeners_init(&tcp->listening, places->listening, config->listeners_max,
                           member(&tcp->listeners, offsetof(struct net_listener, listen)));
    ewi_net_events_init(&tcp->events, places->events, config->conns_max + config->listeners_max);
    ewi_net_wheel_init(&tcp->conn_wheel, member(&tcp->conns, offsetof(struct net_conn, timer)),
                       net->now);
    ewi_net_wheel_init(&tcp->half_wheel, member(&tcp->halves, offsetof(struct net_half, timer)),
                       net->now);
}

void ewi_net_tcp_init(struct ewi_net *net, const struct net_tcp_places *places)
{
    struct net_tcp_all *tcp = &net->tcp;

    ewi_net_settings_init(&tcp->settings);
    init_pools(net, places);
    init_tables(net, places);
    ewi_net_time_waits_init(&tcp->time_waits, places->time_waits, net->config.time_waits_max,
                            tcp->settings.time_wait_ns);
    tcp->ready_first = tcp->ready_last = NET_NONE;
    ewi_net_key(tcp->table_key, net->seed, NET_KEY_TABLE);
    ewi_net_key(tcp->isn_key, net->seed, NET_KEY_ISN);
    ewi_net_key(tcp->cookie_key, net->seed, NET_KEY_COOKIES);
    ewi_net_key(tcp->times_key, net->seed, NET_KEY_TIMESTAMPS);
    ewi_net_ports_init(&tcp->ports, net->seed, &net->random, NET_PORTS_LOW, NET_PORTS_HIGH);
}
