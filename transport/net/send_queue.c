#include "transport/net/send_queue.h"

#include <string.h>

#include "transport/net/sum.h"

size_t ewi_net_span_pool_bytes(uint32_t spans_all)
{
    if (spans_all == 0 || spans_all == UINT32_MAX)
        return 0;
    return ((size_t)spans_all + 1) * sizeof(struct net_span);
}

void ewi_net_span_pool_init(struct net_span_pool *pool, void *memory, uint32_t spans_all)
{
    EWI_ASSERT(ewi_net_span_pool_bytes(spans_all) != 0);
    *pool = (struct net_span_pool){
        .span = memory, .spans_all = spans_all, .free = spans_all, .fresh = 1};
}

/* ---- allocation ---- */

static uint32_t take(struct net_span_pool *pool)
{
    uint32_t index = pool->free_first;

    if (pool->free == 0) {
        pool->refused += 1;
        return 0;
    }
    if (index != 0)
        pool->free_first = pool->span[index].next;
    else
        index = pool->fresh++;
    pool->free -= 1;
    return index;
}

static void give_back(struct net_span_pool *pool, uint32_t index)
{
    pool->span[index].next = pool->free_first;
    pool->free_first = index;
    pool->free += 1;
}

/* ---- the list ---- */

void ewi_net_send_queue_init(struct net_send_queue *queue, uint64_t position)
{
    *queue = (struct net_send_queue){.end = position};
}

static bool follows_directly(const struct net_span *tail, const uint8_t *base, uint32_t bytes)
{
    return tail->base + tail->bytes == base && tail->bytes + bytes < NET_SEND_BYTES_END;
}

bool ewi_net_send_queue_push(struct net_span_pool *pool, struct net_send_queue *queue,
                             const void *base, uint32_t bytes)
{
    struct net_span *tail = &pool->span[queue->tail];
    uint32_t index;

    EWI_ASSERT(bytes > 0 && bytes < NET_SEND_BYTES_END);
    if (queue->tail != 0 && follows_directly(tail, base, bytes)) {
        tail->bytes += bytes;
        queue->end += bytes;
        return true;
    }
    index = take(pool);
    if (index == 0)
        return false;
    pool->span[index] = (struct net_span){.base = base, .bytes = bytes};
    *(queue->tail != 0 ? &tail->next : &queue->head) = index;
    queue->tail = index;
    queue->end += bytes;
    queue->spans += 1;
    return true;
}

/* The head goes: a cursor that is on it is at the new head, the others come nearer to it. */
static void cursor_loses_head(uint32_t *cursor, uint32_t *skip, uint32_t head, uint32_t bytes)
{
    if (*cursor == head)
        *cursor = 0;
    else if (*cursor != 0)
        *skip -= bytes;
}

static void pop_head(struct net_span_pool *pool, struct net_send_queue *queue)
{
    uint32_t head = queue->head;
    const struct net_span *span = &pool->span[head];

    cursor_loses_head(&queue->cursor, &queue->cursor_skip, head, span->bytes);
    cursor_loses_head(&queue->again, &queue->again_skip, head, span->bytes);
    queue->head = span->next;
    if (queue->head == 0)
        queue->tail = 0;
    queue->spans -= 1;
    give_back(pool, head);
}

void ewi_net_send_queue_release(struct net_span_pool *pool, struct net_send_queue *queue,
                                uint64_t una, uint64_t to)
{
    uint32_t skip;

    EWI_ASSERT(una <= to && to <= queue->end && queue->end - una < NET_SEND_BYTES_END);
    skip = queue->head_skip + (uint32_t)(to - una);
    while (queue->head != 0 && skip >= pool->span[queue->head].bytes) {
        skip -= pool->span[queue->head].bytes;
        pop_head(pool, queue);
    }
    EWI_ASSERT(queue->head != 0 || skip == 0);
    queue->head_skip = skip;
}

void ewi_net_send_queue_fini(struct net_span_pool *pool, struct net_send_queue *queue)
{
    while (queue->head != 0)
        pop_head(pool, queue);
    ewi_net_send_queue_init(queue, queue->end);
}

/* ---- reading ---- */

struct place {
    uint32_t *span, *skip;
};

/* What goes forward uses the cursor. Behind it are retransmissions: they leave it where new data is. */
static struct place place_for(struct net_send_queue *queue, uint32_t offset)
{
    if (queue->cursor == 0 || offset >= queue->cursor_skip)
        return (struct place){&queue->cursor, &queue->cursor_skip};
    return (struct place){&queue->again, &queue->again_skip};
}

static void step(const struct net_span_pool *pool, struct place place)
{
    *place.skip += pool->span[*place.span].bytes;
    *place.span = pool->span[*place.span].next;
}

static void seek(const struct net_span_pool *pool, const struct net_send_queue *queue,
                 struct place place, uint32_t offset)
{
    if (*place.span == 0 || offset < *place.skip) {
        *place.span = queue->head;
        *place.skip = 0;
    }
    while (offset - *place.skip >= pool->span[*place.span].bytes)
        step(pool, place);
}

uint32_t ewi_net_send_queue_copy(const struct net_span_pool *pool, struct net_send_queue *queue,
                                 uint64_t una, uint64_t from, uint8_t *to, uint32_t bytes,
                                 bool summed)
{
    uint32_t offset = queue->head_skip + (uint32_t)(from - una), sum = 0, done = 0;
    struct place place = place_for(queue, offset);

    EWI_ASSERT(una <= from && from <= queue->end && bytes <= queue->end - from);
    if (bytes == 0)
        return 0;
    seek(pool, queue, place, offset);
    for (;;) {
        const struct net_span *span = &pool->span[*place.span];
        uint32_t inside = offset + done - *place.skip;
        uint32_t part = (uint32_t)ewi_min_u64(bytes - done, span->bytes - inside);

        if (summed)
            sum = ewi_net_sum_join(sum, ewi_net_copy_sum(to + done, span->base + inside, part), done);
        else
            memcpy(to + done, span->base + inside, part);
        done += part;
        if (done == bytes)
            return sum;
        step(pool, place);
    }
}

/* ---- for tests ---- */

static bool is_cursor_good(uint32_t cursor, uint32_t skip, uint32_t index, uint32_t before)
{
    return cursor != index || skip == before;
}

int ewi_net_send_queue_check(const struct net_span_pool *pool, const struct net_send_queue *queue,
                             uint64_t una)
{
    uint32_t spans = 0, bytes = 0, last = 0, cursors = 0;

    for (uint32_t i = queue->head; i != 0; i = pool->span[i].next) {
        if (i >= pool->fresh || spans++ == pool->spans_all || pool->span[i].bytes == 0) /* I2 */
            return EW_EPROTO;
        if (!is_cursor_good(queue->cursor, queue->cursor_skip, i, bytes) || /* I3 */
            !is_cursor_good(queue->again, queue->again_skip, i, bytes))
            return EW_EPROTO;
        cursors += (uint32_t)(queue->cursor == i) + (queue->again == i);
        bytes += pool->span[i].bytes;
        last = i;
    }
    if (cursors != (uint32_t)(queue->cursor != 0) + (queue->again != 0))
        return EW_EPROTO;
    if (queue->head != 0 && queue->head_skip >= pool->span[queue->head].bytes) /* I2 */
        return EW_EPROTO;
    if (spans != queue->spans || last != queue->tail)
        return EW_EPROTO;
    if (bytes != queue->head_skip + queue->end - una) /* I1 */
        return EW_EPROTO;
    return EW_OK;
}
