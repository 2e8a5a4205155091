/* Do the invariants hold? For tests, the simulator and the fuzzers: slow, and never called otherwise. */
#include <string.h>

#include "transport/net/whole.h"

static uint64_t drops(const struct net_counters *count)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++)
        if (strncmp(ewi_net_counters_name(i)->name, "drop_", 5) == 0)
            sum += ewi_net_counters_value(count, i);
    return sum;
}

const char *ewi_net_check(struct ewi_net *net)
{
    const char *(*const checks[])(struct ewi_net *) = {ewi_net_tcp_check, ewi_net_udp_check,
                                                       ewi_net_packets_check, ewi_net_ip_check,
                                                       ewi_net_link_check};

    for (uint32_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        const char *broken = checks[i](net);

        if (broken != NULL)
            return broken;
    }
    if (net->count.rx_packets != net->count.accepted + drops(&net->count))
        return "counters: a packet was counted never or twice";
    return NULL;
}
