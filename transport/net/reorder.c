#include "transport/net/reorder.h"

#include <string.h>

/* A segment is tiny, and worth a copy, when its buffer is so many times what it holds. */
enum { TINY_PART = 4 };

/* ---- the pool ---- */

size_t ewi_net_reorder_pool_bytes(uint32_t records_all)
{
    return ((size_t)records_all + 1) * sizeof(union net_reorder_record);
}

void ewi_net_reorder_pool_init(struct net_reorder_pool *pool, void *memory, uint32_t records_all,
                               uint32_t islands_each_max)
{
    EWI_ASSERT(records_all < UINT32_MAX && islands_each_max > 0);
    *pool = (struct net_reorder_pool){.record = memory,
                                      .records_all = records_all,
                                      .islands_each_max = islands_each_max,
                                      .free = records_all,
                                      .fresh = 1};
}

static uint32_t take_record(struct net_reorder_pool *pool)
{
    uint32_t index = pool->free_first;

    if (pool->free == 0)
        return 0;
    pool->free -= 1;
    if (index == 0)
        return pool->fresh++;
    pool->free_first = pool->record[index].free_next;
    return index;
}

static void give_back(struct net_reorder_pool *pool, uint32_t index)
{
    pool->record[index].free_next = pool->free_first;
    pool->free_first = index;
    pool->free += 1;
}

static struct net_island *island_at(const struct net_reorder_pool *pool, uint32_t index)
{
    return &pool->record[index].island;
}

static struct net_piece *piece_at(const struct net_reorder_pool *pool, uint32_t index)
{
    return &pool->record[index].piece;
}

void ewi_net_reorder_init(struct net_reorder *queue, uint64_t next)
{
    *queue = (struct net_reorder){.next = next};
}

/* ---- which island changed last: RFC 2018 section 4 ---- */

static void recent_remove(struct net_reorder *queue, uint32_t island)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < NET_SACKS_MAX; i++)
        if (queue->recent[i] != island)
            queue->recent[kept++] = queue->recent[i];
    while (kept < NET_SACKS_MAX)
        queue->recent[kept++] = 0;
}

static void recent_touch(struct net_reorder *queue, uint32_t island)
{
    recent_remove(queue, island);
    memmove(&queue->recent[1], &queue->recent[0], (NET_SACKS_MAX - 1) * sizeof(uint32_t));
    queue->recent[0] = island;
}

/* RFC 2883 section 4: one contiguous duplicate part of a segment; the first is kept. */
static void note_duplicate(struct net_reorder *queue, uint64_t from, uint64_t end, bool *noted)
{
    if (*noted || from >= end)
        return;
    *noted = true;
    queue->dsack_left = ewi_net_seq_wrap(from);
    queue->dsack_right = ewi_net_seq_wrap(end);
}

/* ---- islands ---- */

/* The last island that begins at or before a position, 0: none. */
static uint32_t island_before(const struct net_reorder_pool *pool, const struct net_reorder *queue,
                              uint64_t position)
{
    uint32_t index = queue->tail;

    while (index != 0 && island_at(pool, index)->from > position)
        index = island_at(pool, index)->prev;
    return index;
}

static void island_remove(struct net_reorder_pool *pool, struct net_reorder *queue, uint32_t index)
{
    struct net_island *island = island_at(pool, index);

    *(island->prev != 0 ? &island_at(pool, island->prev)->next : &queue->head) = island->next;
    *(island->next != 0 ? &island_at(pool, island->next)->prev : &queue->tail) = island->prev;
    recent_remove(queue, index);
    queue->islands -= 1;
    give_back(pool, index);
}

static void island_add(struct net_reorder_pool *pool, struct net_reorder *queue, uint32_t index,
                       uint32_t prev, struct net_island values)
{
    values.prev = prev;
    values.next = prev != 0 ? island_at(pool, prev)->next : queue->head;
    *(prev != 0 ? &island_at(pool, prev)->next : &queue->head) = index;
    *(values.next != 0 ? &island_at(pool, values.next)->prev : &queue->tail) = index;
    *island_at(pool, index) = values;
    queue->islands += 1;
}

/* If no gap is left behind this island, it takes the next one. */
static void island_bridge(struct net_reorder_pool *pool, struct net_reorder *queue, uint32_t index)
{
    struct net_island *island = island_at(pool, index);
    struct net_island *next = island_at(pool, island->next);

    if (island->next == 0 || next->from != island->end)
        return;
    piece_at(pool, island->last)->next = next->first;
    island->last = next->last;
    island->end = next->end;
    island_remove(pool, queue, island->next);
}

/* ---- arrival ---- */

struct gap { /* the first part of an arrival that is new */
    uint64_t from, end;
    uint32_t prev; /* the island before it */
    uint32_t next;
};

/* What is new in [from, end)? Left to right, the first gap only: what lies beyond the next island
 * would need the same buffer twice, and the peer sends it again. */
static bool find_gap(const struct net_reorder_pool *pool, struct net_reorder *queue,
                     const struct net_arrival *arrival, struct gap *gap)
{
    uint64_t from = arrival->from, end = arrival->from + arrival->bytes;
    const struct net_island *prev, *next;
    bool noted = false;

    note_duplicate(queue, from, ewi_min_u64(end, queue->next), &noted);
    from = ewi_max_u64(from, queue->next);
    if (from >= end)
        return false;
    gap->prev = island_before(pool, queue, from);
    prev = island_at(pool, gap->prev);
    gap->next = gap->prev != 0 ? prev->next : queue->head;
    if (gap->prev != 0 && prev->end > from) {
        note_duplicate(queue, from, ewi_min_u64(end, prev->end), &noted);
        recent_touch(queue, gap->prev);
        from = prev->end;
    }
    next = island_at(pool, gap->next);
    if (gap->next != 0 && next->from < end) {
        if (from < end)
            note_duplicate(queue, next->from, ewi_min_u64(end, next->end), &noted);
        end = next->from;
    }
    gap->from = from;
    gap->end = end;
    return from < end;
}

/* Many tiny segments share the buffer of the first: the caller copies them there. */
static bool fits_behind(const struct net_reorder_pool *pool, const struct net_arrival *arrival,
                        const struct gap *gap, struct net_taken *taken)
{
    const struct net_island *prev = island_at(pool, gap->prev);
    struct net_piece *last;
    uint32_t bytes = (uint32_t)(gap->end - gap->from);

    if (gap->prev == 0 || prev->end != gap->from || bytes > arrival->charge / TINY_PART)
        return false;
    last = piece_at(pool, prev->last);
    if (last->room < bytes)
        return false;
    taken->buffer = last->buffer;
    taken->offset = last->offset + last->bytes;
    last->bytes += bytes;
    last->room -= bytes;
    return true;
}

static void add_piece(struct net_reorder_pool *pool, struct net_reorder *queue, uint32_t piece,
                      const struct net_arrival *arrival, const struct gap *gap)
{
    uint32_t skip = (uint32_t)(gap->from - arrival->from);
    uint32_t bytes = (uint32_t)(gap->end - gap->from);

    *piece_at(pool, piece) =
        (struct net_piece){.buffer = arrival->buffer,
                           .offset = arrival->offset + skip,
                           .bytes = bytes,
                           .room = arrival->room + (arrival->bytes - skip - bytes),
                           .charge = arrival->charge};
    queue->pieces += 1;
    queue->charged_bytes += arrival->charge;
}

/* Link a piece to the island at its left or right, or to a new one; returns which, 0: no record. */
static uint32_t join_island(struct net_reorder_pool *pool, struct net_reorder *queue,
                            const struct gap *gap, uint32_t piece)
{
    struct net_island *prev = island_at(pool, gap->prev), *next = island_at(pool, gap->next);
    uint32_t index;

    if (gap->prev != 0 && prev->end == gap->from) {
        piece_at(pool, prev->last)->next = piece;
        prev->last = piece;
        prev->end = gap->end;
        return gap->prev;
    }
    if (gap->next != 0 && next->from == gap->end) {
        piece_at(pool, piece)->next = next->first;
        next->first = piece;
        next->from = gap->from;
        return gap->next;
    }
    index = take_record(pool);
    if (index != 0)
        island_add(pool, queue, index, gap->prev,
                   (struct net_island){
                       .from = gap->from, .end = gap->end, .first = piece, .last = piece});
    return index;
}

static bool touches(const struct net_reorder_pool *pool, const struct gap *gap)
{
    return (gap->prev != 0 && island_at(pool, gap->prev)->end == gap->from) ||
           (gap->next != 0 && island_at(pool, gap->next)->from == gap->end);
}

static enum net_reorder_code hold(struct net_reorder_pool *pool, struct net_reorder *queue,
                                  const struct net_arrival *arrival, const struct gap *gap)
{
    uint32_t piece, island;

    if (arrival->charge > arrival->charge_max ||
        queue->charged_bytes > arrival->charge_max - arrival->charge)
        return NET_REORDER_FULL;
    if (queue->islands >= pool->islands_each_max && !touches(pool, gap))
        return NET_REORDER_MANY;
    if (pool->free < 2 && (pool->free == 0 || !touches(pool, gap)))
        return NET_REORDER_POOL;
    piece = take_record(pool);
    add_piece(pool, queue, piece, arrival, gap);
    island = join_island(pool, queue, gap, piece);
    island_bridge(pool, queue, island);
    recent_touch(queue, island);
    queue->held_bytes += (uint32_t)(gap->end - gap->from);
    return NET_REORDER_HELD;
}

enum net_reorder_code ewi_net_reorder_arrive(struct net_reorder_pool *pool,
                                             struct net_reorder *queue,
                                             const struct net_arrival *arrival,
                                             struct net_taken *taken)
{
    struct gap gap;

    if (arrival->bytes == 0 || arrival->from + arrival->bytes > arrival->window_end)
        return NET_REORDER_OUTSIDE;
    if (!find_gap(pool, queue, arrival, &gap))
        return NET_REORDER_DUPLICATE;
    *taken = (struct net_taken){.from = gap.from,
                                .skip = (uint32_t)(gap.from - arrival->from),
                                .bytes = (uint32_t)(gap.end - gap.from),
                                .buffer = arrival->buffer,
                                .offset = arrival->offset + (uint32_t)(gap.from - arrival->from),
                                .charge = arrival->charge};
    if (gap.from == queue->next) {
        queue->next = gap.end;
        return NET_REORDER_IN_ORDER;
    }
    if (fits_behind(pool, arrival, &gap, taken)) {
        taken->charge = 0;
        island_at(pool, gap.prev)->end = gap.end;
        island_bridge(pool, queue, gap.prev);
        recent_touch(queue, gap.prev);
        queue->held_bytes += taken->bytes;
        return NET_REORDER_COPY;
    }
    return hold(pool, queue, arrival, &gap);
}

/* ---- leaving ---- */

/* The first piece of an island leaves, and with the last one the island. */
static void pop(struct net_reorder_pool *pool, struct net_reorder *queue, uint32_t index,
                struct net_taken *taken)
{
    struct net_island *island = island_at(pool, index);
    uint32_t first = island->first;
    const struct net_piece *piece = piece_at(pool, first);

    *taken = (struct net_taken){.from = island->from,
                                .bytes = piece->bytes,
                                .buffer = piece->buffer,
                                .offset = piece->offset,
                                .charge = piece->charge};
    island->from += piece->bytes;
    island->first = piece->next;
    queue->held_bytes -= piece->bytes;
    queue->charged_bytes -= piece->charge;
    queue->pieces -= 1;
    give_back(pool, first);
    if (island->from == island->end)
        island_remove(pool, queue, index);
}

bool ewi_net_reorder_take(struct net_reorder_pool *pool, struct net_reorder *queue,
                          struct net_taken *taken)
{
    if (queue->head == 0 || island_at(pool, queue->head)->from != queue->next)
        return false;
    pop(pool, queue, queue->head, taken);
    queue->next += taken->bytes;
    return true;
}

bool ewi_net_reorder_drop(struct net_reorder_pool *pool, struct net_reorder *queue,
                          struct net_taken *taken)
{
    if (queue->tail == 0)
        return false;
    pop(pool, queue, queue->tail, taken);
    return true;
}

/* ---- SACK blocks ---- */

static bool was_listed(const struct net_reorder *queue, uint32_t island)
{
    for (uint32_t i = 0; i < NET_SACKS_MAX; i++)
        if (queue->recent[i] == island)
            return true;
    return false;
}

static struct net_sack block_of(const struct net_reorder_pool *pool, uint32_t index)
{
    const struct net_island *island = island_at(pool, index);

    return (struct net_sack){ewi_net_seq_wrap(island->from), ewi_net_seq_wrap(island->end)};
}

uint32_t ewi_net_reorder_sacks(const struct net_reorder_pool *pool, struct net_reorder *queue,
                               struct net_sack *sacks, uint32_t max)
{
    uint32_t count = 0;

    if (ewi_net_reorder_has_dsack(queue) && max > 0) { /* RFC 2883 section 4: first, and once */
        sacks[count++] = (struct net_sack){queue->dsack_left, queue->dsack_right};
        queue->dsack_left = queue->dsack_right;
    }
    for (uint32_t i = 0; i < NET_SACKS_MAX && count < max && queue->recent[i] != 0; i++)
        sacks[count++] = block_of(pool, queue->recent[i]);
    for (uint32_t i = queue->head; i != 0 && count < max; i = island_at(pool, i)->next)
        if (!was_listed(queue, i)) /* RFC 2018 section 4: as many blocks as fit */
            sacks[count++] = block_of(pool, i);
    return count;
}

/* ---- invariants ---- */

int ewi_net_reorder_check(const struct net_reorder_pool *pool, const struct net_reorder *queue)
{
    uint64_t end = queue->next, bytes_all = 0, charge_all = 0;
    uint32_t islands = 0, pieces = 0, prev = 0;

    for (uint32_t i = queue->head; i != 0; i = island_at(pool, i)->next) {
        const struct net_island *island = island_at(pool, i);
        uint64_t bytes = 0;
        uint32_t last = 0;

        if (island->prev != prev || island->from >= island->end || islands > queue->islands ||
            (prev != 0 ? island->from <= end : island->from < end))
            return 1;
        for (uint32_t p = island->first; p != 0 && pieces <= queue->pieces; pieces++) {
            bytes += piece_at(pool, p)->bytes;
            charge_all += piece_at(pool, p)->charge;
            last = p;
            p = p == island->last ? 0 : piece_at(pool, p)->next;
        }
        if (last != island->last || bytes != island->end - island->from)
            return 1;
        bytes_all += bytes;
        end = island->end;
        prev = i;
        islands += 1;
    }
    if (queue->tail != prev || islands != queue->islands || pieces != queue->pieces)
        return 1;
    if (bytes_all != queue->held_bytes || charge_all != queue->charged_bytes)
        return 2;
    if (islands > pool->islands_each_max)
        return 1;
    for (uint32_t i = 0; i < NET_SACKS_MAX; i++) {
        uint32_t index = queue->head;

        while (index != 0 && index != queue->recent[i])
            index = island_at(pool, index)->next;
        if (index != queue->recent[i])
            return 1;
    }
    return 0;
}
