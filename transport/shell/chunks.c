#include "transport/shell/chunks.h"

static uint32_t *next_of(struct chunks *chunks, uint32_t chunk)
{
    return &chunks->next[chunk - 1];
}

size_t ewi_chunks_bytes(uint32_t chunks)
{
    return (size_t)chunks * (CHUNK_BYTES + sizeof(uint32_t));
}

void ewi_chunks_init(struct chunks *chunks, void *memory, uint32_t count)
{
    uint8_t *bytes = memory;

    *chunks = (struct chunks){.memory = bytes,
                              .next = (uint32_t *)(void *)(bytes + (size_t)count * CHUNK_BYTES),
                              .all = count,
                              .fresh = 1,
                              .free = count};
}

static uint32_t take(struct chunks *chunks)
{
    uint32_t chunk = chunks->free_first;

    if (chunks->free == 0)
        return 0;
    if (chunk != 0)
        chunks->free_first = *next_of(chunks, chunk);
    else
        chunk = chunks->fresh++;
    chunks->free -= 1;
    *next_of(chunks, chunk) = 0;
    return chunk;
}

static void give_first(struct chunks *chunks, struct chunk_queue *queue)
{
    uint32_t chunk = queue->first;

    queue->first = *next_of(chunks, chunk);
    queue->start += CHUNK_BYTES;
    *next_of(chunks, chunk) = chunks->free_first;
    chunks->free_first = chunk;
    chunks->free += 1;
}

uint8_t *ewi_chunks_room(struct chunks *chunks, struct chunk_queue *queue, uint32_t *room)
{
    uint32_t chunk;

    if (queue->last == 0 || queue->used == CHUNK_BYTES) {
        chunk = take(chunks);
        if (chunk == 0)
            return NULL;
        if (queue->last == 0) {
            queue->first = chunk;
            queue->start = queue->end;
        } else {
            *next_of(chunks, queue->last) = chunk;
        }
        queue->last = chunk;
        queue->used = 0;
    }
    *room = CHUNK_BYTES - queue->used;
    return chunks->memory + (size_t)(queue->last - 1) * CHUNK_BYTES + queue->used;
}

bool ewi_chunks_release(struct chunks *chunks, struct chunk_queue *queue, uint64_t position)
{
    uint32_t before = chunks->free;

    if (position >= queue->end) {
        while (queue->first != 0)
            give_first(chunks, queue);
        queue->last = queue->used = 0;
        queue->start = queue->end;
    }
    while (queue->first != queue->last && position >= queue->start + CHUNK_BYTES)
        give_first(chunks, queue);
    return chunks->free != before;
}
