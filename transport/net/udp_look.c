/* UDP's part of look.h. */
#include "transport/net/look_parts.h"
#include "transport/net/whole.h"

bool ewi_net_udp_limit(const struct ewi_net *net, uint32_t i, struct net_look_limit *out)
{
    const struct net_look_limit rows[] = {
        ewi_net_look_pool("udp", "UDP endpoints", &net->udp.endpoints)};

    return ewi_net_look_limit_at(rows, sizeof(rows) / sizeof(rows[0]), i, out);
}
