/* transport/net/pool.h - a fixed number of equal objects, and handles that outlive them safely.
 *
 * Purpose    Take and give back connections, segment runs, neighbours ... in constant time from
 *            memory that was there at start.
 * Shape      objects   slots * object_bytes, from the start of the memory (NET_ALIGN)
 *            generation: odd while taken, even while free. A free object begins with the index of the
 *                      next one in the free list, so a slot costs four bytes.
 *            handle    slot in the low half, generation in the high half of a u64
 *            The object given back last is taken first: it is still in the cache.
 * Owner      the caller owns memory and objects; a new object has the bytes of the last life, but for
 *            the first four
 * Threads    one caller at a time; nothing blocks or allocates
 * Trust      a handle may be anything, an index is our own
 * Errors     NET_NONE  take: none left, counted in `refused`. find: no such object now.
 * Invariants I1  a handle finds its object or nothing: 0 never, and after give nothing until the
 *                slot has had 2^31 lives. A slot that has had them goes to the end of the free
 *                list, so it comes back only when no younger one is left.
 *            I2  taken + free slots == slots; a slot is in the free list at most once.
 * Ordering   single threaded
 * Source     transport/stack.h (handles)
 */
#ifndef EWI_TRANSPORT_NET_POOL_H
#define EWI_TRANSPORT_NET_POOL_H

#include "transport/net/rows.h"

struct net_pool {
    struct net_rows objects;
    uint32_t *generation;
    uint32_t slots;
    uint32_t fresh;       /* slots from here on were never taken; their memory is untouched */
    uint32_t first, last; /* free list */
    uint32_t used, used_max;
    uint64_t taken;   /* how often, since init */
    uint64_t refused;
};

/* 0: out of range. object_bytes is a sizeof, 4 .. NET_ROW_BYTES_MAX; slots 1 .. NET_ROWS_MAX. */
size_t ewi_net_pool_bytes(uint32_t slots, uint32_t object_bytes);
/* memory: ewi_net_pool_bytes() of it, aligned to NET_ALIGN. */
void ewi_net_pool_init(struct net_pool *pool, void *memory, uint32_t slots, uint32_t object_bytes);

uint32_t ewi_net_pool_take(struct net_pool *pool);
void ewi_net_pool_give(struct net_pool *pool, uint32_t index); /* must be taken */
uint32_t ewi_net_pool_find(const struct net_pool *pool, uint64_t handle);

static inline void *ewi_net_pool_at(const struct net_pool *pool, uint32_t index)
{
    return ewi_net_row(pool->objects, index);
}

static inline bool ewi_net_pool_is_taken(const struct net_pool *pool, uint32_t index)
{
    return index < pool->fresh && (pool->generation[index] & 1) != 0;
}

static inline uint64_t ewi_net_pool_handle(const struct net_pool *pool, uint32_t index)
{
    return (uint64_t)pool->generation[index] << 32 | index;
}

#endif
