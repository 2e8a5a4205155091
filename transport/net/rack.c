#include "transport/net/rack.h"

#include "transport/net/run_list.h"

void ewi_net_rack_init(struct net_rack *rack)
{
    *rack = (struct net_rack){.reo_wnd_mult = 1};
}

/* RFC 8985 section 6.2 step 2, RACK_sent_after(). */
static bool sent_after(uint64_t a_ns, uint64_t a_end, uint64_t b_ns, uint64_t b_end)
{
    return a_ns > b_ns || (a_ns == b_ns && a_end > b_end);
}

/* ---- on an ACK ---- */

void ewi_net_rack_rtt(struct net_rack *rack)
{
    rack->tlp_has_rtt = true;
}

/* RFC 8985 section 6.2, step 4: at most once a round trip, duplicates widen the window. */
static void count_duplicates(struct net_rack *rack, const struct net_runs *runs, bool is_dsack)
{
    if (rack->dsack_round != 0 && runs->una >= rack->dsack_round)
        rack->dsack_round = 0;
    if (rack->dsack_round != 0 || !is_dsack)
        return;
    rack->dsack_round = runs->nxt;
    if (rack->reo_wnd_mult < UINT8_MAX)
        rack->reo_wnd_mult += 1;
    rack->reo_wnd_persist = NET_RACK_PERSIST;
}

void ewi_net_rack_ack(struct net_rack *rack, const struct net_runs *runs,
                      const struct net_acked *acked, uint64_t now_ns)
{
    if (acked->newest_end != 0) { /* step 2; the rules about samples are in runs_ack.c */
        rack->rtt_ns = now_ns - acked->newest_tx_ns;
        if (sent_after(acked->newest_tx_ns, acked->newest_end, rack->xmit_ns, rack->end)) {
            rack->xmit_ns = acked->newest_tx_ns;
            rack->end = acked->newest_end;
        }
    }
    rack->reordering_seen |= acked->reordered; /* step 3 */
    count_duplicates(rack, runs, acked->dsack_end != 0);
}

void ewi_net_rack_recovery_ended(struct net_rack *rack)
{
    if (rack->reo_wnd_persist > 0)
        rack->reo_wnd_persist -= 1;
    if (rack->reo_wnd_persist == 0)
        rack->reo_wnd_mult = 1;
}

uint64_t ewi_net_rack_reo_wnd(const struct net_rack *rack, const struct net_runs *runs,
                              bool in_recovery, uint64_t min_rtt_ns, uint64_t srtt_ns)
{
    if (!rack->reordering_seen &&
        (in_recovery || runs->sacked_segments >= NET_RACK_DUP_THRESH))
        return 0;
    return ewi_min_u64(rack->reo_wnd_mult * min_rtt_ns / 4,
                       srtt_ns != 0 ? srtt_ns : min_rtt_ns);
}

uint64_t ewi_net_rack_detect(const struct net_rack *rack, struct net_run_pool *pool,
                             struct net_runs *runs, uint64_t reo_wnd_ns, uint64_t now_ns,
                             uint32_t *lost_bytes)
{
    uint32_t index = runs->oldest, newer, lost_before = runs->lost_bytes;
    uint64_t again_ns = 0;

    for (; index != 0; index = newer) {
        const struct net_run *run = ewi_net_run(pool, index);
        uint64_t lost_ns = run->tx_ns + rack->rtt_ns + reo_wnd_ns;

        newer = run->newer;
        if (run->tx_ns > rack->xmit_ns)
            break; /* and so are all that follow */
        if (!sent_after(rack->xmit_ns, rack->end, run->tx_ns, ewi_net_run_end(run)))
            continue;
        if (lost_ns <= now_ns)
            ewi_net_runs_lose(pool, runs, index);
        else
            again_ns = ewi_max_u64(again_ns, lost_ns);
    }
    *lost_bytes = runs->lost_bytes - lost_before;
    return again_ns != 0 ? again_ns : UINT64_MAX;
}

void ewi_net_rack_timeout(struct net_rack *rack, struct net_run_pool *pool, struct net_runs *runs,
                          uint64_t reo_wnd_ns, uint64_t now_ns)
{
    if (runs->head != 0 && (ewi_net_run(pool, runs->head)->flags & NET_RUN_SACKED))
        ewi_net_runs_forget_sacks(pool, runs); /* RFC 2018 section 8: it was thrown away */
    ewi_net_runs_lose_first(pool, runs);
    while (runs->oldest != 0 &&
           ewi_net_run(pool, runs->oldest)->tx_ns + rack->rtt_ns + reo_wnd_ns <= now_ns)
        ewi_net_runs_lose(pool, runs, runs->oldest);
    ewi_net_tlp_reset(rack);
}

/* ---- tail loss probe ---- */

void ewi_net_tlp_reset(struct net_rack *rack)
{
    rack->tlp_end = 0;
    rack->tlp_is_resent = false;
}

bool ewi_net_tlp_may_arm(const struct net_runs *runs, bool in_recovery)
{
    return runs->head != 0 && !in_recovery && runs->sacked_segments == 0;
}

uint64_t ewi_net_tlp_due(const struct net_run_pool *pool, const struct net_runs *runs,
                         uint64_t srtt_ns, uint64_t max_ack_delay_ns, uint64_t rto_at_ns,
                         uint64_t now_ns)
{
    uint64_t pto_ns = NET_TLP_PTO_FIRST_NS;

    if (srtt_ns != 0) {
        pto_ns = 2 * srtt_ns;
        if (ewi_net_runs_is_one_segment(pool, runs))
            pto_ns += max_ack_delay_ns;
    }
    return ewi_min_u64(now_ns + pto_ns, ewi_max_u64(rto_at_ns, now_ns));
}

enum net_tlp_probe ewi_net_tlp_choose(const struct net_rack *rack, const struct net_run_pool *pool,
                                      const struct net_runs *runs, bool has_new)
{
    uint64_t from;
    uint32_t bytes;

    if (rack->tlp_end != 0 || !rack->tlp_has_rtt || runs->head == 0)
        return NET_TLP_NONE;
    if (has_new)
        return NET_TLP_NEW;
    return ewi_net_runs_last_segment(pool, runs, &from, &bytes) ? NET_TLP_LAST : NET_TLP_NONE;
}

void ewi_net_tlp_sent(struct net_rack *rack, const struct net_runs *runs, enum net_tlp_probe probe)
{
    EWI_ASSERT(probe != NET_TLP_NONE && rack->tlp_end == 0);
    rack->tlp_end = runs->nxt;
    rack->tlp_is_resent = probe == NET_TLP_LAST;
    rack->tlp_has_rtt = false;
}

bool ewi_net_tlp_copy(const struct net_rack *rack, const struct net_run_pool *pool,
                      const struct net_runs *runs, uint64_t *sent_ns, uint32_t *bytes)
{
    const struct net_run *run;

    if (rack->tlp_end <= runs->una || !rack->tlp_is_resent)
        return false;
    run = ewi_net_run(pool, runs->tail);
    while (run->from >= rack->tlp_end)
        run = ewi_net_run(pool, run->prev);
    *sent_ns = run->tx_ns;
    *bytes = run->segment_bytes;
    return true;
}

enum net_tlp_verdict ewi_net_tlp_ack(struct net_rack *rack, uint64_t position,
                                     const struct net_acked *acked, bool is_bare_duplicate)
{
    bool was_duplicate = acked->dsack_end == rack->tlp_end;

    if (rack->tlp_end == 0 || position < rack->tlp_end)
        return NET_TLP_NOTHING;
    if (rack->tlp_is_resent && !was_duplicate) {
        if (position > rack->tlp_end) {
            ewi_net_tlp_reset(rack);
            return NET_TLP_REPAIRED;
        }
        if (!is_bare_duplicate)
            return NET_TLP_NOTHING; /* of the original, or of the probe: the next ACK tells */
    }
    ewi_net_tlp_reset(rack);
    return NET_TLP_OVER;
}
