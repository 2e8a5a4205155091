/* transport/net/reorder.h - what arrived out of order: the receiver's queue, and its SACK blocks.
 *
 * Purpose    Keep packets that came too early until the bytes before them come, without copying, and
 *            without letting anybody pin more memory than the window that was advertised.
 * Shape      next (RCV.NXT) < island 0 < gap < island 1 < ...   An island is bytes without a gap; it
 *            is a chain of pieces, each the part of one packet buffer that is used.
 *            charge: bytes of memory that a buffer pins, whatever it holds.
 *            positions: transport/net/seq.h
 * Owner      the caller gives the memory of the pool, which connections share. A buffer belongs to
 *            the queue from NET_REORDER_HELD until ewi_net_reorder_take or _drop gives it back.
 * Threads    one caller at a time for a pool and all its queues
 * Trust      from and bytes of an arrival are the peer's and judged here; the offset and charge of a
 *            buffer are the shell's.
 * Errors     codes of ewi_net_reorder_arrive; each but HELD leaves the buffer with the caller.
 * Invariants I1  islands are sorted, not empty, apart by one byte or more; the pieces of an island
 *                add up to it; next <= the first.
 *            I2  charged_bytes is the sum over the pieces and never above what arrive allowed.
 *            I3  a byte is delivered once: of bytes that are held already the first arrival stays.
 *            I4  bytes in order need no memory: a full pool or window cannot stop the stream.
 * Ordering   single threaded
 * Source     RFC 9293 section 3.10.7.4 (seventh), RFC 2018 section 4, RFC 2883 section 4
 */
#ifndef EWI_TRANSPORT_NET_REORDER_H
#define EWI_TRANSPORT_NET_REORDER_H

#include <assert.h>

#include "shm/base.h"
#include "transport/net/runs.h" /* struct net_sack */

struct net_island {
    uint64_t from, end;
    uint32_t first, last; /* pieces */
    uint32_t prev, next;  /* islands */
};

struct net_piece {
    uint32_t buffer; /* the shell's number for it */
    uint32_t offset; /* of the first byte, in the buffer */
    uint32_t bytes;
    uint32_t room;   /* bytes of the buffer behind them that may be written */
    uint32_t charge;
    uint32_t next;
};

union net_reorder_record {
    struct net_island island;
    struct net_piece piece;
    uint32_t free_next;
};
static_assert(sizeof(union net_reorder_record) == 32, "an island or a piece");

struct net_reorder_pool {
    union net_reorder_record *record; /* [0] is never used */
    uint32_t records_all, islands_each_max;
    uint32_t free_first, free;
    uint32_t fresh;
};

struct net_reorder { /* per connection */
    uint64_t next;            /* RCV.NXT */
    uint32_t head, tail;      /* islands */
    uint32_t islands, pieces;
    uint32_t held_bytes, charged_bytes;
    uint32_t recent[NET_SACKS_MAX]; /* islands, the one that changed last first; 0: no more */
    uint32_t dsack_left, dsack_right; /* equal: none to report */
};
static_assert(sizeof(struct net_reorder) == 56, "in every connection");

enum net_reorder_code {
    NET_REORDER_IN_ORDER,  /* deliver now; next moved over it. Then take(). */
    NET_REORDER_HELD,      /* the queue has the buffer */
    NET_REORDER_COPY,      /* copy now, to `into`, and keep the buffer: a tiny segment */
    NET_REORDER_DUPLICATE, /* nothing new in it */
    NET_REORDER_OUTSIDE,   /* beyond the window, or empty */
    NET_REORDER_FULL,      /* dropped: its charge is more than may be held */
    NET_REORDER_MANY,      /* dropped: as many islands as a connection may have */
    NET_REORDER_POOL       /* dropped: no record left in the pool */
};

struct net_arrival {
    uint64_t from;
    uint64_t window_end;  /* nothing at or beyond it was allowed */
    uint32_t bytes;
    uint32_t buffer, offset, room, charge; /* as in struct net_piece, of all the bytes */
    uint32_t charge_max;  /* bytes of memory that the queue may hold in all */
};

struct net_taken { /* what is to be delivered or copied */
    uint64_t from;
    uint32_t skip;   /* bytes of the arrival before it: of no use */
    uint32_t bytes;
    uint32_t buffer, offset; /* of an earlier packet; COPY: where to */
    uint32_t charge;
};

size_t ewi_net_reorder_pool_bytes(uint32_t records_all);
/* memory: aligned for u64; not touched before it is needed. */
void ewi_net_reorder_pool_init(struct net_reorder_pool *pool, void *memory, uint32_t records_all,
                               uint32_t islands_each_max);

void ewi_net_reorder_init(struct net_reorder *queue, uint64_t next);

static inline bool ewi_net_reorder_is_empty(const struct net_reorder *queue)
{
    return queue->head == 0;
}

/* Without a queue: so many bytes arrived in order. Also the SYN and the FIN, of one byte each. */
static inline void ewi_net_reorder_advance(struct net_reorder *queue, uint32_t bytes)
{
    EWI_ASSERT(queue->head == 0);
    queue->next += bytes;
}

/* A segment with text arrived. IN_ORDER and COPY fill *taken. */
enum net_reorder_code ewi_net_reorder_arrive(struct net_reorder_pool *pool,
                                             struct net_reorder *queue,
                                             const struct net_arrival *arrival,
                                             struct net_taken *taken);
/* The next piece in order leaves the queue; false: there is a gap, or nothing. */
bool ewi_net_reorder_take(struct net_reorder_pool *pool, struct net_reorder *queue,
                          struct net_taken *taken);
/* A piece of the highest island leaves, undelivered: the connection is over, or memory is short (RFC
 * 2018 section 8 allows it). An island goes piece by piece from its front. False: it is empty. */
bool ewi_net_reorder_drop(struct net_reorder_pool *pool, struct net_reorder *queue,
                          struct net_taken *taken);

/* The blocks for an ACK, at most `max`; the one about a duplicate, if any, is reported once. */
uint32_t ewi_net_reorder_sacks(const struct net_reorder_pool *pool, struct net_reorder *queue,
                               struct net_sack *sacks, uint32_t max);
/* Is there a duplicate to report? Then an ACK is due now: RFC 2883 section 4. */
static inline bool ewi_net_reorder_has_dsack(const struct net_reorder *queue)
{
    return queue->dsack_left != queue->dsack_right;
}

/* 0, or the number of the invariant (1 or 2) that does not hold. For tests and the simulator. */
int ewi_net_reorder_check(const struct net_reorder_pool *pool, const struct net_reorder *queue);

#endif
