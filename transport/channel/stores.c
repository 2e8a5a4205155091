#include "transport/channel/stores.h"

enum { TRIAL = STORES_WARM + 2 * STORES_TIMED, UNIT_BYTES = 64 * 1024 };

static void choose(struct stores *stores)
{
    bool was_past = stores->way == STORES_PAST;

    stores->way = STORES_THROUGH;
    if (stores->past_ns != 0 && stores->through_ns >= STORES_FAR_NS &&
        stores->through_ns / STORES_FAR_TIMES > stores->past_ns)
        stores->way = STORES_PAST;
    if (was_past && stores->way == STORES_PAST)
        stores->hold = (uint32_t)ewi_min_u64(2 * stores->hold, STORES_HOLD_MAX);
    else
        stores->hold = STORES_HOLD_MIN;
}

enum stores_way ewi_stores_next(struct stores *stores, bool *timed)
{
    if (stores->at == TRIAL)
        choose(stores);
    if (stores->at > TRIAL && stores->at - TRIAL >= stores->hold)
        stores->at = stores->through_ns = stores->past_ns = 0;
    *timed = stores->at >= STORES_WARM && stores->at < TRIAL;
    stores->at += 1;
    if (stores->at > TRIAL)
        return stores->way;
    return stores->at > STORES_WARM + STORES_TIMED ? STORES_PAST : STORES_THROUGH;
}

void ewi_stores_took(struct stores *stores, enum stores_way way, uint32_t bytes, uint64_t ns)
{
    uint32_t *fastest = way == STORES_PAST ? &stores->past_ns : &stores->through_ns;
    uint32_t took = (uint32_t)ewi_min_u64(ewi_max_u64(ns * UNIT_BYTES / bytes, 1), UINT32_MAX);

    if (*fastest == 0 || took < *fastest)
        *fastest = took;
}
