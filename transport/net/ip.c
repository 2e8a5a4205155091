#include "transport/net/ip.h"

#include "transport/net/whole.h"

void ewi_net_ip_place(struct net_block *block, const struct net_config *config,
                      struct net_internet_places *places)
{
    size_t paths = ewi_net_block_add(
        block, ewi_net_pool_bytes(config->paths_max, sizeof(struct net_path)), NET_ALIGN);
    size_t table = ewi_net_block_add(block, ewi_net_table_bytes(config->paths_max), NET_ALIGN);

    places->paths = ewi_net_block_at(block, paths);
    places->path_table = ewi_net_block_at(block, table);
    ewi_net_reassembly_place(block, config->reassemblies_max, &places->reassembly);
}

void ewi_net_ip_init(struct ewi_net *net, const struct net_internet_places *places)
{
    struct net_internet *ip = &net->ip;
    uint8_t key[16];

    *ip = (struct net_internet){0};
    ewi_net_ids_init(&ip->ids, net->seed, &net->random);
    ewi_net_key(ip->limits.key, net->seed, NET_KEY_LIMITS);
    ewi_net_key(key, net->seed, NET_KEY_PATHS);
    ewi_net_paths_init(&ip->paths, places->paths, places->path_table, net->config.paths_max, key);
    ewi_net_key(key, net->seed, NET_KEY_REASSEMBLY);
    ewi_net_reassembly_init(&ip->reassemblies, net->config.reassemblies_max, &places->reassembly,
                            key);
}

/* ---- what never became whole ---- */

/* RFC 1122 section 3.3.2, RFC 8200 section 4.5: the sender is told if the first fragment is there. */
static void tell_late(struct ewi_net *net, uint32_t slot)
{
    const struct net_reassembly *late = ewi_net_reassembly_at(&net->ip.reassemblies, slot);
    struct net_arrived arrived = {.port = late->port, .is_multicast = late->is_multicast};

    arrived.packet = ewi_net_reassembly_first(&net->ip.reassemblies, slot, &arrived.packet_bytes);
    if (arrived.packet == NULL)
        return;
    arrived.tuple = late->name;
    arrived.tuple.local_port = arrived.tuple.remote_port = 0;
    arrived.tuple.zero = 0;
    arrived.bytes = ewi_net_reassembly_payload(&net->ip.reassemblies, slot);
    arrived.length = late->first_bytes;
    arrived.protocol = late->protocol;
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_TIME, 1, 0);
}

void ewi_net_ip_tick(struct ewi_net *net)
{
    struct net_reassemblies *all = &net->ip.reassemblies;
    uint32_t slot;

    while ((slot = ewi_net_reassembly_expire(all, net->now)) != NET_NONE) {
        tell_late(net, slot);
        ewi_net_reassembly_give(all, slot);
    }
    net->count.fragments_late = all->late;
}

uint64_t ewi_net_ip_deadline(const struct ewi_net *net)
{
    return ewi_net_reassembly_deadline(&net->ip.reassemblies);
}

/* ---- long datagrams that outlive their input ---- */

uint32_t ewi_net_ip_hold(struct ewi_net *net, uint8_t **at, uint32_t bytes)
{
    return ewi_net_reassembly_hold(&net->ip.reassemblies, at, bytes);
}

struct net_packet *ewi_net_ip_held(struct ewi_net *net, uint32_t index)
{
    return &ewi_net_reassembly_at(&net->ip.reassemblies, index)->held;
}

void ewi_net_ip_hold_give(struct ewi_net *net, uint32_t index)
{
    ewi_net_reassembly_give(&net->ip.reassemblies, index);
}

const char *ewi_net_ip_check(struct ewi_net *net)
{
    return ewi_net_reassembly_check(&net->ip.reassemblies);
}

/* ---- path MTU ---- */

uint16_t ewi_net_path_mtu(const struct ewi_net *net, const struct net_tuple *tuple, uint16_t port_mtu)
{
    uint16_t known = ewi_net_paths_find(&net->ip.paths, tuple, net->now);

    return known < port_mtu ? known : port_mtu;
}

bool ewi_net_path_learn(struct ewi_net *net, const struct net_tuple *tuple, uint16_t mtu)
{
    struct net_way way;

    if (ewi_net_way(net, tuple, &way) == NET_WAY_NONE || mtu >= way.mtu ||
        ewi_net_path_least(tuple->family) >= way.mtu)
        return false;
    return ewi_net_paths_learn(&net->ip.paths, tuple, mtu, net->now);
}
