/* IP's part of look.h. */
#include "transport/net/look_parts.h"
#include "transport/net/whole.h"

bool ewi_net_look_path(struct ewi_net *net, uint32_t *at, struct net_look_path *out)
{
    uint32_t slot = ewi_net_look_slot(&net->ip.paths.pool, at);
    const struct net_path *path;

    if (slot == NET_NONE)
        return false;
    path = ewi_net_pool_at(&net->ip.paths.pool, slot);
    *out = (struct net_look_path){
        .to = ewi_net_look_named(path->to.family, path->to.remote, 0, path->to.scope),
        .mtu = path->mtu,
        .age_ns = net->now > path->learned ? net->now - path->learned : 0};
    return true;
}

bool ewi_net_ip_limit(const struct ewi_net *net, uint32_t i, struct net_look_limit *out)
{
    const struct net_look_limit rows[] = {
        ewi_net_look_pool("paths", "destinations with a path MTU of their own", &net->ip.paths.pool),
        ewi_net_look_pool("reassemblies", "datagrams in pieces", &net->ip.reassemblies.pool)};

    return ewi_net_look_limit_at(rows, sizeof(rows) / sizeof(rows[0]), i, out);
}
