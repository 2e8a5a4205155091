#include "transport/net/run_list.h"

enum { RESERVE_PART = 4 }; /* this part of the pool is for connections without a run */

size_t ewi_net_run_pool_bytes(uint32_t runs_all)
{
    return ((size_t)runs_all + 1) * sizeof(struct net_run);
}

void ewi_net_run_pool_init(struct net_run_pool *pool, void *memory, uint32_t runs_all,
                           uint32_t runs_each_max)
{
    EWI_ASSERT(runs_all > 0 && runs_all < UINT32_MAX && runs_each_max >= 4);
    *pool = (struct net_run_pool){.run = memory,
                                  .runs_all = runs_all,
                                  .runs_each_max = runs_each_max,
                                  .free = runs_all,
                                  .fresh = 1,
                                  .reserve = runs_all / RESERVE_PART};
}

/* ---- allocation ---- */

static uint32_t take(struct net_run_pool *pool, struct net_runs *runs)
{
    uint32_t keep = runs->runs > 0 ? pool->reserve : 0;
    uint32_t index = pool->free_first;

    if (pool->free <= keep || runs->runs >= pool->runs_each_max)
        return 0;
    if (index != 0)
        pool->free_first = pool->run[index].next;
    else
        index = pool->fresh++;
    pool->free -= 1;
    runs->runs += 1;
    return index;
}

static void give_back(struct net_run_pool *pool, struct net_runs *runs, uint32_t index)
{
    pool->run[index].next = pool->free_first;
    pool->free_first = index;
    pool->free += 1;
    runs->runs -= 1;
}

/* ---- sums ---- */

static void add_to_sums(struct net_runs *runs, const struct net_run *run)
{
    if (run->flags & NET_RUN_SACKED) {
        runs->sacked_bytes += run->bytes;
        runs->sacked_segments += run->segments;
    } else if (run->flags & NET_RUN_LOST) {
        runs->lost_bytes += run->bytes;
    } else if (run->flags & NET_RUN_RESENT) {
        runs->resent_bytes += run->bytes;
    }
}

static void take_from_sums(struct net_runs *runs, const struct net_run *run)
{
    if (run->flags & NET_RUN_SACKED) {
        runs->sacked_bytes -= run->bytes;
        runs->sacked_segments -= run->segments;
    } else if (run->flags & NET_RUN_LOST) {
        runs->lost_bytes -= run->bytes;
    } else if (run->flags & NET_RUN_RESENT) {
        runs->resent_bytes -= run->bytes;
    }
}

/* ---- the two lists ---- */

static void link_behind(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                        uint32_t prev)
{
    struct net_run *run = ewi_net_run(pool, index);

    run->prev = prev;
    run->next = prev != 0 ? pool->run[prev].next : runs->head;
    *(prev != 0 ? &pool->run[prev].next : &runs->head) = index;
    *(run->next != 0 ? &pool->run[run->next].prev : &runs->tail) = index;
}

static void unlink_run(struct net_run_pool *pool, struct net_runs *runs, uint32_t index)
{
    struct net_run *run = ewi_net_run(pool, index);

    *(run->prev != 0 ? &pool->run[run->prev].next : &runs->head) = run->next;
    *(run->next != 0 ? &pool->run[run->next].prev : &runs->tail) = run->prev;
    if (runs->lost_hint == index)
        runs->lost_hint = run->next;
}

static void age_behind(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                       uint32_t older)
{
    struct net_run *run = ewi_net_run(pool, index);

    run->older = older;
    run->newer = older != 0 ? pool->run[older].newer : runs->oldest;
    *(older != 0 ? &pool->run[older].newer : &runs->oldest) = index;
    *(run->newer != 0 ? &pool->run[run->newer].older : &runs->newest) = index;
}

static void age_remove(struct net_run_pool *pool, struct net_runs *runs, uint32_t index)
{
    struct net_run *run = ewi_net_run(pool, index);

    *(run->older != 0 ? &pool->run[run->older].newer : &runs->oldest) = run->newer;
    *(run->newer != 0 ? &pool->run[run->newer].older : &runs->newest) = run->older;
}

/* ---- moves ---- */

uint32_t ewi_net_run_add(struct net_run_pool *pool, struct net_runs *runs, uint32_t prev,
                         const struct net_run *values)
{
    uint32_t index = take(pool, runs);

    if (index == 0)
        return 0;
    pool->run[index] = *values;
    if (runs->runs == 1) { /* the first, as it is for every request */
        pool->run[index].prev = pool->run[index].next = 0;
        pool->run[index].older = pool->run[index].newer = 0;
        runs->head = runs->tail = runs->oldest = runs->newest = index;
        add_to_sums(runs, values);
        return index;
    }
    link_behind(pool, runs, index, prev);
    age_behind(pool, runs, index, runs->newest);
    add_to_sums(runs, values);
    return index;
}

void ewi_net_run_remove(struct net_run_pool *pool, struct net_runs *runs, uint32_t index)
{
    struct net_run *run = ewi_net_run(pool, index);

    take_from_sums(runs, run);
    if (!(run->flags & NET_RUN_AWAY))
        age_remove(pool, runs, index);
    unlink_run(pool, runs, index);
    give_back(pool, runs, index);
}

void ewi_net_run_remove_only(struct net_run_pool *pool, struct net_runs *runs)
{
    uint32_t index = runs->head;

    if (runs->lost_hint == index)
        runs->lost_hint = 0;
    runs->head = runs->tail = runs->oldest = runs->newest = 0;
    give_back(pool, runs, index);
}

/* `bytes` less at one side: how many segments go with them. At least one stays. */
static void shrink(struct net_run *run, uint32_t bytes)
{
    uint32_t gone = ewi_net_segments(bytes, run->segment_bytes);

    EWI_ASSERT(bytes < run->bytes);
    run->bytes -= bytes;
    run->segments = run->segments > gone ? run->segments - gone : 1;
}

uint32_t ewi_net_run_split(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                           uint64_t at)
{
    uint32_t right_index = take(pool, runs);
    struct net_run *left = ewi_net_run(pool, index), *right = ewi_net_run(pool, right_index);
    uint32_t left_bytes = (uint32_t)(at - left->from);

    EWI_ASSERT(at > left->from && at < ewi_net_run_end(left));
    if (right_index == 0)
        return 0;
    take_from_sums(runs, left);
    *right = *left;
    right->from = at;
    shrink(right, left_bytes);
    left->segments = ewi_net_segments(left_bytes, left->segment_bytes);
    left->bytes = left_bytes;
    if (left->flags & NET_RUN_MIXED) /* the segment that tx_ns belongs to is in the right part */
        left->flags = (uint8_t)((left->flags & ~NET_RUN_MIXED) | NET_RUN_LATE);
    link_behind(pool, runs, right_index, index);
    if (!(left->flags & NET_RUN_AWAY))
        age_behind(pool, runs, right_index, index);
    add_to_sums(runs, left);
    add_to_sums(runs, right);
    return right_index;
}

void ewi_net_run_trim(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                      uint32_t bytes)
{
    struct net_run *run = ewi_net_run(pool, index);

    take_from_sums(runs, run);
    shrink(run, bytes);
    run->from += bytes;
    add_to_sums(runs, run);
}

void ewi_net_run_give_left(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                           uint32_t bytes)
{
    struct net_run *run = ewi_net_run(pool, index);
    struct net_run *left = ewi_net_run(pool, run->prev);

    EWI_ASSERT(run->prev != 0);
    take_from_sums(runs, left);
    left->segments += ewi_net_segments(bytes, run->segment_bytes);
    left->bytes += bytes;
    add_to_sums(runs, left);
    ewi_net_run_trim(pool, runs, index, bytes);
}

static bool may_merge(const struct net_run *left, const struct net_run *right)
{
    if (left->flags & right->flags & NET_RUN_SACKED)
        return true; /* only a renege asks for its times again, and then all of it is lost */
    if ((left->flags ^ right->flags) & (NET_RUN_AWAY | NET_RUN_RESENT))
        return false;
    if (left->flags & NET_RUN_LOST)
        return true;
    return left->flags == right->flags && !(left->flags & NET_RUN_MIXED) &&
           left->tx_ns == right->tx_ns && left->delivered == right->delivered &&
           left->segment_bytes == right->segment_bytes &&
           left->bytes % left->segment_bytes == 0;
}

/* The left run takes the right one, which is gone then. */
static void join(struct net_run_pool *pool, struct net_runs *runs, uint32_t left_index)
{
    struct net_run *left = ewi_net_run(pool, left_index);
    uint32_t right_index = left->next;
    struct net_run right = pool->run[right_index];
    uint8_t resent = (uint8_t)((left->flags | right.flags) & NET_RUN_RESENT);

    ewi_net_run_remove(pool, runs, right_index);
    take_from_sums(runs, left);
    left->bytes += right.bytes;
    left->segments += right.segments;
    left->flags |= resent;
    if (left->tx_ns != right.tx_ns || (right.flags & (NET_RUN_MIXED | NET_RUN_LATE)))
        left->flags |= NET_RUN_LATE;
    if (right.tx_ns > left->tx_ns)
        left->tx_ns = right.tx_ns;
    add_to_sums(runs, left);
}

uint32_t ewi_net_run_merge(struct net_run_pool *pool, struct net_runs *runs, uint32_t index)
{
    struct net_run *run = ewi_net_run(pool, index);

    if (run->next != 0 && may_merge(run, ewi_net_run(pool, run->next)))
        join(pool, runs, index);
    if (run->prev != 0 && may_merge(ewi_net_run(pool, run->prev), run)) {
        index = run->prev;
        join(pool, runs, index);
    }
    return index;
}

void ewi_net_run_change(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                        uint8_t flags)
{
    struct net_run *run = ewi_net_run(pool, index);
    bool was_in_flight = !(run->flags & NET_RUN_AWAY), is_in_flight = !(flags & NET_RUN_AWAY);

    take_from_sums(runs, run);
    run->flags = flags;
    add_to_sums(runs, run);
    if (was_in_flight && !is_in_flight)
        age_remove(pool, runs, index);
    if (is_in_flight && !was_in_flight)
        age_behind(pool, runs, index, runs->newest);
    if ((flags & NET_RUN_LOST) && runs->lost_hint != 0 &&
        run->from < pool->run[runs->lost_hint].from)
        runs->lost_hint = index;
}

void ewi_net_run_send(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                      const struct net_sent *sent, uint8_t flags)
{
    struct net_run *run = ewi_net_run(pool, index);

    if (!(run->flags & NET_RUN_AWAY)) {
        age_remove(pool, runs, index);
        age_behind(pool, runs, index, runs->newest);
    }
    EWI_ASSERT(!(run->flags & NET_RUN_SACKED)); /* so segments are in no sum */
    run->tx_ns = sent->now_ns;
    run->delivered = runs->delivered;
    run->segment_bytes = sent->segment_bytes;
    run->segments = ewi_net_segments(run->bytes, sent->segment_bytes);
    ewi_net_run_change(pool, runs, index, flags);
}

uint32_t ewi_net_run_find(const struct net_run_pool *pool, const struct net_runs *runs,
                          uint64_t position)
{
    uint32_t index = runs->head;

    EWI_ASSERT(position >= runs->una && position < runs->nxt);
    if (runs->lost_hint != 0 && pool->run[runs->lost_hint].from <= position)
        index = runs->lost_hint;
    if (pool->run[runs->tail].from <= position)
        index = runs->tail;
    while (ewi_net_run_end(ewi_net_run(pool, index)) <= position)
        index = pool->run[index].next;
    return index;
}
