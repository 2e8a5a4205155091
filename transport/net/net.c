#include "transport/net/net.h"

#include <errno.h>

#include "transport/net/whole.h"

enum { SLOT_BYTES_MIN = 1280, SLOT_BYTES_MAX = 65535, CONNS_MAX = 1 << 22, PORTS_MAX = 64 };

/* ---- start ---- */

void ewi_net_config_for(struct net_config *config, uint32_t conns)
{
    uint32_t some = ewi_max_u32(conns / 16, 64);

    *config = (struct net_config){.conns_max = conns,
                                  .listeners_max = 64,
                                  .half_open_max = ewi_max_u32(ewi_min_u32(conns, 16384), 64),
                                  .time_waits_max = ewi_max_u32(conns, 1024),
                                  .packets_max = ewi_max_u32(ewi_min_u32(4 * conns, 65536), 4096),
                                  .runs_max = ewi_max_u32(2 * conns, 8192),
                                  .spans_max = ewi_max_u32(2 * conns, 16384),
                                  .troubles_max = some,
                                  .copies_max = 1024,
                                  .udp_max = 64,
                                  .ports_max = 8,
                                  .addresses_max = 32,
                                  .routes_max = 64,
                                  .neighbours_max = 1024,
                                  .paths_max = 1024,
                                  .slots_max = 512,
                                  .slot_bytes = 2048,
                                  .reassemblies_max = 16,
                                  .rx_bytes_max = UINT64_C(1) << 28};
}

static bool within(uint32_t value, uint32_t least, uint32_t most)
{
    return value >= least && value <= most;
}

static bool is_sane(const struct net_config *config)
{
    return within(config->conns_max, 1, CONNS_MAX) && within(config->listeners_max, 1, 65536) &&
           within(config->half_open_max, 1, NET_ROWS_MAX) &&
           within(config->time_waits_max, 1, NET_ROWS_MAX) &&
           within(config->packets_max, 1, NET_ROWS_MAX) &&
           within(config->runs_max, 4, NET_ROWS_MAX) && within(config->spans_max, 1, NET_ROWS_MAX) &&
           within(config->troubles_max, 1, NET_ROWS_MAX) &&
           within(config->copies_max, 1, NET_ROWS_MAX) && within(config->udp_max, 1, 65536) &&
           within(config->ports_max, 1, PORTS_MAX) &&
           within(config->addresses_max, 1, NET_ADDRESSES_MAX) &&
           within(config->routes_max, 1, NET_ROUTES_MAX) &&
           within(config->neighbours_max, 1, NET_NEIGHBOURS_MAX) &&
           within(config->paths_max, 1, NET_ROWS_MAX) &&
           within(config->slots_max, NET_SLOTS_MIN, 1 << 20) &&
           within(config->slot_bytes, SLOT_BYTES_MIN, SLOT_BYTES_MAX) &&
           within(config->reassemblies_max, 1, 65536) && config->rx_bytes_max != 0;
}

struct places {
    struct ewi_net *net;
    struct net_links_places link;
    struct net_internet_places ip;
    struct net_packets_places packets;
    struct net_tcp_places tcp;
    struct net_udp_places udp;
};

static void place(struct net_block *block, const struct net_config *config, struct places *places)
{
    places->net =
        ewi_net_block_at(block, ewi_net_block_add(block, sizeof(struct ewi_net), NET_ALIGN));
    ewi_net_link_place(block, config, &places->link);
    ewi_net_ip_place(block, config, &places->ip);
    ewi_net_packets_place(block, config, &places->packets);
    ewi_net_tcp_place(block, config, &places->tcp);
    ewi_net_udp_place(block, config, &places->udp);
}

size_t ewi_net_bytes(const struct net_config *config)
{
    struct net_block block;
    struct places places;

    if (!is_sane(config))
        return 0;
    ewi_net_block_layout(&block);
    place(&block, config, &places);
    return ewi_net_block_bytes(&block);
}

struct ewi_net *ewi_net_init(void *memory, const struct net_config *config, const uint8_t seed[32],
                             uint64_t now)
{
    size_t bytes = ewi_net_bytes(config);
    struct net_block block;
    struct places places;
    struct ewi_net *net;

    if (bytes == 0)
        return NULL;
    ewi_net_block_fill(&block, memory, bytes);
    place(&block, config, &places);
    if (ewi_net_block_bytes(&block) == 0)
        return NULL;
    net = places.net;
    memset(net, 0, sizeof(*net));
    net->now = now;
    memcpy(net->seed, seed, sizeof(net->seed));
    net->config = *config;
    ewi_net_random_init(&net->random, seed);
    ewi_net_link_init(net, &places.link);
    ewi_net_ip_init(net, &places.ip);
    ewi_net_packets_init(net, &places.packets);
    ewi_net_tcp_init(net, &places.tcp);
    ewi_net_udp_init(net, &places.udp);
    return net;
}

/* ---- the shell ---- */

void ewi_net_input(struct ewi_net *net, uint64_t now, struct net_rx *packets, uint32_t count)
{
    net->now = ewi_max_u64(net->now, now);
    for (uint32_t i = 0; i < count; i++) {
        packets[i].flags &= (uint16_t)~NET_RX_KEPT;
        net->count.rx_packets += 1;
        net->count.rx_bytes += packets[i].bytes;
        ewi_net_link_input(net, &packets[i]);
    }
}

void ewi_net_tick(struct ewi_net *net, uint64_t now)
{
    net->now = ewi_max_u64(net->now, now);
    ewi_net_link_tick(net);
    ewi_net_ip_tick(net);
    ewi_net_tcp_tick(net);
}

static uint32_t link_output(struct ewi_net *net, struct net_frame *frames, uint32_t count)
{
    uint32_t filled = ewi_net_link_output(net, frames, count);

    net->count.tx_frames += filled; /* TCP counts its own */
    for (uint32_t i = 0; i < filled; i++)
        net->count.tx_bytes += frames[i].bytes;
    return filled;
}

/* What has no connection goes first: answers, resets, and what resolves the addresses of the rest. */
uint32_t ewi_net_output(struct ewi_net *net, uint64_t now, struct net_frame *frames, uint32_t count)
{
    uint32_t filled;

    net->now = ewi_max_u64(net->now, now);
    filled = link_output(net, frames, count);
    if (filled < count)
        filled += ewi_net_tcp_output(net, frames + filled, count - filled);
    if (filled < count) /* a connection may just have asked for a neighbour */
        filled += link_output(net, frames + filled, count - filled);
    return filled;
}

uint64_t ewi_net_deadline(const struct ewi_net *net)
{
    return ewi_min_u64(ewi_net_tcp_deadline(net),
                       ewi_min_u64(ewi_net_link_deadline(net), ewi_net_ip_deadline(net)));
}

uint32_t ewi_net_events(struct ewi_net *net, struct stack_event *events, uint32_t count)
{
    uint32_t done = ewi_net_tcp_events(net, events, count);

    return done + ewi_net_udp_events(net, events + done, count - done);
}

const struct net_counters *ewi_net_counters(const struct ewi_net *net)
{
    return &net->count;
}
