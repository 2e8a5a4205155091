/* transport/shell/chunks.h - memory for what streams send until the peer has it.
 *
 * Purpose    A caller of send() has its memory back on return, as with kernel sockets: control frames lie
 *            on stacks, and a ring may be gone before the last segment is sent again.
 * Shape      a pool of chunks of CHUNK_BYTES, shared by all streams; a stream has a list of them:
 *              first | released | held      | ... |  last | held | free |
 *              ^start                                            ^end
 *            Positions are stream bytes from 0.
 * Owner      the pool's memory is the caller's: zero pages, touched when used for the first time
 * Threads    one caller at a time (the guard)
 * Trust      none: lengths are our own
 * Errors     NULL: no chunk is left
 * Invariants I1  a byte stays where it is until it is released.
 *            I2  a stream that has nothing held has no chunk.
 * Ordering   single threaded
 * Source     docs/adr/0019-shell.md
 */
#ifndef EWI_TRANSPORT_SHELL_CHUNKS_H
#define EWI_TRANSPORT_SHELL_CHUNKS_H

#include "shm/base.h"

enum { CHUNK_BYTES = 16 * 1024 };

struct chunks {
    uint8_t *memory;
    uint32_t *next;      /* of chunk i + 1: in its stream or in the free list; 0: none */
    uint32_t all, fresh; /* chunks from `fresh` on were never used */
    uint32_t free_first, free;
};

struct chunk_queue {
    uint64_t start, end;
    uint32_t first, last; /* number of a chunk + 1; 0: none */
    uint32_t used;        /* bytes of the last */
};

/* Bytes of memory for so many chunks. */
size_t ewi_chunks_bytes(uint32_t chunks);
void ewi_chunks_init(struct chunks *chunks, void *memory, uint32_t count);
/* Where the next bytes of the queue may be written, and how many. NULL: the pool is empty. */
uint8_t *ewi_chunks_room(struct chunks *chunks, struct chunk_queue *queue, uint32_t *room);
/* So many were written there. */
static inline void ewi_chunks_add(struct chunk_queue *queue, uint32_t bytes)
{
    queue->end += bytes;
    queue->used += bytes;
}
/* Everything before `position` is not read any more. True: chunks came back. */
bool ewi_chunks_release(struct chunks *chunks, struct chunk_queue *queue, uint64_t position);

#endif
