/* transport/net/run_list.h - the moves on the list of runs that keep its invariants.
 *
 * Purpose    Allocation, linking, splitting, merging and changes of state, each of which leaves sums
 *            and both lists right, so that runs.c and runs_ack.c only decide.
 * Shape      index: of a run in the pool, 0: none
 * Owner      as transport/net/runs.h; only runs.c, runs_ack.c and rack.c include this
 * Threads    as runs.h
 * Trust      none of the arguments come from outside
 * Errors     0 for an index: there is no free run for this connection; nothing changed.
 * Invariants those of runs.h
 * Ordering   single threaded
 * Source     transport/net/runs.h
 */
#ifndef EWI_TRANSPORT_NET_RUN_LIST_H
#define EWI_TRANSPORT_NET_RUN_LIST_H

#include "transport/net/runs.h"

enum { NET_RUN_AWAY = NET_RUN_SACKED | NET_RUN_LOST }; /* either: not in flight */

static inline struct net_run *ewi_net_run(const struct net_run_pool *pool, uint32_t index)
{
    return &pool->run[index];
}

static inline uint64_t ewi_net_run_end(const struct net_run *run)
{
    return run->from + run->bytes;
}

static inline uint32_t ewi_net_segments(uint32_t bytes, uint32_t segment_bytes)
{
    if (bytes <= segment_bytes) /* bytes > 0; a division less for what is one segment */
        return 1;
    return (bytes + segment_bytes - 1) / segment_bytes;
}

/* A new run in flight behind `prev` (0: first) by position and newest by age. */
uint32_t ewi_net_run_add(struct net_run_pool *pool, struct net_runs *runs, uint32_t prev,
                         const struct net_run *values);
void ewi_net_run_remove(struct net_run_pool *pool, struct net_runs *runs, uint32_t index);
/* The same for one that is in flight, was sent once and has no neighbour. */
void ewi_net_run_remove_only(struct net_run_pool *pool, struct net_runs *runs);
/* Cut at a position inside the run; returns the right part, the left one keeps the index. */
uint32_t ewi_net_run_split(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                           uint64_t at);
/* Give the first `bytes`, fewer than all, of a run to nobody (una moved over them). */
void ewi_net_run_trim(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                      uint32_t bytes);
/* Give the first `bytes`, fewer than all, of a run to the run before it, whose state they take. */
void ewi_net_run_give_left(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                           uint32_t bytes);
/* Merge with the neighbours, where states allow; returns the index of the run that holds it now. */
uint32_t ewi_net_run_merge(struct net_run_pool *pool, struct net_runs *runs, uint32_t index);
/* Change the flags of a run; it enters or leaves the list by age as they say. */
void ewi_net_run_change(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                        uint8_t flags);
/* Sent (again) now: in flight, newest by age. */
void ewi_net_run_send(struct net_run_pool *pool, struct net_runs *runs, uint32_t index,
                      const struct net_sent *sent, uint8_t flags);

/* The run that holds a position inside [una, nxt). */
uint32_t ewi_net_run_find(const struct net_run_pool *pool, const struct net_runs *runs,
                          uint64_t position);

#endif
