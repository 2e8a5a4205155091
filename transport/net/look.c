#include "transport/net/look_parts.h"
#include "transport/net/whole.h"

void ewi_net_look_at(struct ewi_net *net, uint64_t now)
{
    net->now = ewi_max_u64(net->now, now);
}

bool ewi_net_look_limit(struct ewi_net *net, uint32_t *at, struct net_look_limit *out)
{
    static net_look_limit_of *const layers[] = {ewi_net_tcp_limit, ewi_net_packets_limit,
                                                ewi_net_udp_limit, ewi_net_ip_limit,
                                                ewi_net_link_limit};
    uint32_t i = *at, row = 0;

    for (size_t layer = 0; layer < sizeof(layers) / sizeof(layers[0]); layer++)
        for (uint32_t each = 0; layers[layer](net, each, out); each++)
            if (row++ == i) {
                *at = i + 1;
                return true;
            }
    *at = NET_NONE;
    return false;
}
