#include "transport/net/prr.h"

/* RFC 9937 6.1: what was selectively acknowledged before cannot be delivered any more, what this ACK
 * brought counts as delivered. */
void ewi_net_prr_enter(struct net_prr *prr, const struct net_prr_entry *entry)
{
    uint64_t fs = (uint64_t)entry->flight + entry->newly_sacked + entry->newly_acked;

    fs -= ewi_min_u64(entry->sacked, fs);
    fs = ewi_min_u64(ewi_max_u64(fs, 1), UINT32_MAX);
    *prr = (struct net_prr){.recover_fs = (uint32_t)fs,
                            .ssthresh = entry->ssthresh,
                            .smss = entry->smss};
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* delivered * ssthresh / recover_fs, rounded up; the product may be more than 64 bits. */
static uint64_t share(const struct net_prr *prr)
{
    uint64_t fs = prr->recover_fs;
    uint64_t rest = prr->delivered % fs * prr->ssthresh;

    return prr->delivered / fs * prr->ssthresh + (rest + fs - 1) / fs;
}

/* RFC 9937 6.2: at most what was delivered (CRB); one segment more per ACK when recovery goes well
 * (SSRB); never above ssthresh. */
static uint64_t refill(const struct net_prr *prr, uint32_t delivered, uint32_t in_flight, bool good)
{
    uint64_t may = ewi_max_u64(above(prr->delivered, prr->out), delivered);

    if (good)
        may += prr->smss;
    return ewi_min_u64(may, prr->ssthresh - in_flight);
}

uint32_t ewi_net_prr_on_ack(struct net_prr *prr, uint32_t delivered, uint32_t in_flight, bool good)
{
    uint64_t may;

    if (delivered == 0)
        return prr->window;
    prr->delivered += delivered;
    if (in_flight > prr->ssthresh)
        may = above(share(prr), prr->out);
    else
        may = refill(prr, delivered, in_flight, good);
    if (prr->out == 0 && may == 0) /* the retransmission that recovery begins with */
        may = prr->smss;
    prr->window = (uint32_t)ewi_min_u64(in_flight + may, UINT32_MAX);
    return prr->window;
}

void ewi_net_prr_on_sent(struct net_prr *prr, uint32_t bytes)
{
    prr->out += bytes;
}
