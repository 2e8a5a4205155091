/* HyStart++: leave slow start before the queue overflows. RFC 9406 4.2, 4.3. */
#include <string.h>

#include "transport/net/cc_kinds.h"

enum {
    MIN_RTT_THRESH = 4000000,
    MAX_RTT_THRESH = 16000000,
    MIN_RTT_DIVISOR = 8,
    N_RTT_SAMPLE = 8,
    CSS_ROUNDS = 5,
};
#define NONE UINT32_MAX

void ewi_net_hystart_begin(struct net_cc *cc)
{
    cc->hystart = NET_HYSTART_SLOW_START;
    cc->u.rounds = (struct net_cc_rounds){0, NONE, NONE, NONE};
}

/* What comes next begins with zeros in the same place. */
void ewi_net_hystart_end(struct net_cc *cc)
{
    if (cc->hystart != NET_HYSTART_OFF)
        memset(&cc->u, 0, sizeof(cc->u));
    cc->hystart = NET_HYSTART_OFF;
}

static void take_sample(struct net_cc *cc, uint64_t rtt)
{
    if (rtt == 0)
        return;
    cc->u.rounds.now_min = (uint32_t)ewi_min_u64(cc->u.rounds.now_min, ewi_min_u64(rtt, NONE - 1));
    if (cc->samples < UINT8_MAX)
        cc->samples += 1;
}

/* The delay grew since the last round: conservative slow start. Without a last round NONE is a delay
 * that nothing exceeds. */
static void judge_delay(struct net_cc *cc)
{
    struct net_cc_rounds *rounds = &cc->u.rounds;
    uint64_t threshold;

    threshold = ewi_min_u64(rounds->last_min / MIN_RTT_DIVISOR, MAX_RTT_THRESH);
    threshold = ewi_max_u64(threshold, MIN_RTT_THRESH);
    if (rounds->now_min >= rounds->last_min + threshold) {
        rounds->baseline = rounds->now_min;
        cc->hystart = NET_HYSTART_CSS;
        cc->css_rounds = 0;
    }
}

/* ... and fell below it again: that was jitter, go on as before. */
static void judge_baseline(struct net_cc *cc)
{
    if (cc->u.rounds.now_min < cc->u.rounds.baseline) {
        cc->u.rounds.baseline = NONE;
        cc->hystart = NET_HYSTART_SLOW_START;
    }
}

static void begin_round(struct net_cc *cc, uint32_t end)
{
    cc->u.rounds.last_min = cc->u.rounds.now_min;
    cc->u.rounds.now_min = NONE;
    cc->u.rounds.end = end;
    cc->samples = 0;
}

/* A round in which CSS began counts as one of its five. */
static bool end_round(struct net_cc *cc, uint32_t nxt)
{
    begin_round(cc, nxt);
    if (cc->hystart != NET_HYSTART_CSS || ++cc->css_rounds < CSS_ROUNDS)
        return false;
    ewi_net_hystart_end(cc);
    cc->ssthresh = cc->cwnd;
    return true;
}

/* RFC 9406 4.2 */
bool ewi_net_hystart_on_ack(struct net_cc *cc, const struct net_cc_ack *ack)
{
    if (!cc->round_begun) {
        begin_round(cc, ack->nxt);
        cc->round_begun = true;
    }
    take_sample(cc, ack->rtt);
    if (cc->samples >= N_RTT_SAMPLE) {
        if (cc->hystart == NET_HYSTART_SLOW_START)
            judge_delay(cc);
        else
            judge_baseline(cc);
    }
    if ((int32_t)(ack->una - cc->u.rounds.end) < 0)
        return false;
    return end_round(cc, ack->nxt);
}
