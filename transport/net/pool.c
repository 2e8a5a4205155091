#include "transport/net/pool.h"

#include <string.h>

static size_t objects_bytes(uint32_t slots, uint32_t object_bytes)
{
    return (size_t)ewi_align_up((uint64_t)slots * object_bytes, NET_ALIGN);
}

size_t ewi_net_pool_bytes(uint32_t slots, uint32_t object_bytes)
{
    if (slots == 0 || slots > NET_ROWS_MAX || object_bytes < sizeof(uint32_t) ||
        object_bytes > NET_ROW_BYTES_MAX)
        return 0;
    return objects_bytes(slots, object_bytes) + slots * sizeof(uint32_t);
}

void ewi_net_pool_init(struct net_pool *pool, void *memory, uint32_t slots, uint32_t object_bytes)
{
    EWI_ASSERT(ewi_net_pool_bytes(slots, object_bytes) != 0);
    EWI_ASSERT(((uintptr_t)memory & (NET_ALIGN - 1)) == 0);
    *pool = (struct net_pool){
        .objects = {.base = memory, .stride = object_bytes},
        .generation = (void *)((uint8_t *)memory + objects_bytes(slots, object_bytes)),
        .slots = slots,
        .first = NET_NONE,
        .last = NET_NONE,
    };
}

static uint32_t get_next(const struct net_pool *pool, uint32_t index)
{
    uint32_t next;

    memcpy(&next, ewi_net_pool_at(pool, index), sizeof(next));
    return next;
}

static void set_next(struct net_pool *pool, uint32_t index, uint32_t next)
{
    memcpy(ewi_net_pool_at(pool, index), &next, sizeof(next));
}

static uint32_t pop(struct net_pool *pool)
{
    uint32_t index = pool->first;

    if (index == NET_NONE) {
        if (pool->fresh == pool->slots)
            return NET_NONE;
        pool->generation[pool->fresh] = 0;
        return pool->fresh++;
    }
    pool->first = get_next(pool, index);
    if (pool->first == NET_NONE)
        pool->last = NET_NONE;
    return index;
}

uint32_t ewi_net_pool_take(struct net_pool *pool)
{
    uint32_t index = pop(pool);

    if (index == NET_NONE) {
        pool->refused += 1;
        return NET_NONE;
    }
    pool->generation[index] += 1; /* odd: taken */
    pool->taken += 1;
    pool->used += 1;
    if (pool->used > pool->used_max)
        pool->used_max = pool->used;
    return index;
}

static void push_first(struct net_pool *pool, uint32_t index)
{
    set_next(pool, index, pool->first);
    pool->first = index;
    if (pool->last == NET_NONE)
        pool->last = index;
}

static void push_last(struct net_pool *pool, uint32_t index)
{
    set_next(pool, index, NET_NONE);
    if (pool->last == NET_NONE)
        pool->first = index;
    else
        set_next(pool, pool->last, index);
    pool->last = index;
}

void ewi_net_pool_give(struct net_pool *pool, uint32_t index)
{
    EWI_ASSERT(ewi_net_pool_is_taken(pool, index));
    pool->generation[index] += 1; /* even: free */
    pool->used -= 1;
    if (pool->generation[index] == 0) /* I1: its handles begin again */
        push_last(pool, index);
    else
        push_first(pool, index);
}

uint32_t ewi_net_pool_find(const struct net_pool *pool, uint64_t handle)
{
    uint32_t index = (uint32_t)handle;

    if (!ewi_net_pool_is_taken(pool, index) || ewi_net_pool_handle(pool, index) != handle)
        return NET_NONE;
    return index;
}
