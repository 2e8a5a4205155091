/* transport/net/send_queue.h - what was accepted by send and is not yet acknowledged.
 *
 * Purpose    The sender's memory, and the only store for retransmissions: bytes stay where the user
 *            put them, here is where they are.
 * Shape      A list of spans, of a pool that all connections share:
 *              head                                   cursor                        tail
 *              | released | held ...    | ...       | ... read next ...  | ...     |
 *              ^base       ^una                                                     end^
 *              |<------ cursor_skip ------------->|
 *            Positions are those of transport/net/seq.h without SYN and FIN: `una` is the first byte
 *            held. It is the connection's SND.UNA and is passed in, and so it is not kept twice.
 *            Two cursors, so that new data and what is sent again do not pull each other about: `cursor`
 *            only goes forward, `again` goes back to the head when it must. 0: at the head.
 *            A span may have any length; one send may be gathered from any number of them.
 * Owner      the pool's memory is the caller's, the bytes are the user's until release. struct
 *            net_send_queue is 40 bytes in the connection.
 * Threads    one caller at a time for a pool and all its connections
 * Trust      positions were judged: una and to come out of net_runs, which refuses an ACK of what was
 *            not sent
 * Errors     false: no span left, counted in `refused`; nothing changed.
 * Invariants I1  the spans hold exactly [una, end): their bytes are head_skip + end - una.
 *            I2  no span is empty, or all released.
 *            I3  cursor and again name a span of the list, and its distance from the head's first byte.
 *            I4  used + free spans are all of the pool.
 *            ewi_net_send_queue_check checks I1 to I3.
 * Ordering   single threaded
 * Source     RFC 9293 section 3.3.1 (the retransmission queue)
 */
#ifndef EWI_TRANSPORT_NET_SEND_QUEUE_H
#define EWI_TRANSPORT_NET_SEND_QUEUE_H

#include <assert.h>

#include "shm/base.h"

/* Bytes in a queue, and in a span: less than this. */
#define NET_SEND_BYTES_END (UINT32_C(1) << 31)

struct net_span {
    const uint8_t *base;
    uint32_t bytes;
    uint32_t next; /* in its queue, or in the free list; 0: none */
};
static_assert(sizeof(struct net_span) == 16, "one for each piece of memory");

struct net_span_pool {
    struct net_span *span; /* [0] is never used */
    uint32_t spans_all;
    uint32_t free_first, free;
    uint32_t fresh; /* spans from here on were never used; their memory is untouched */
    uint64_t refused;
};

struct net_send_queue {
    uint32_t head, tail;        /* 0: empty */
    uint32_t cursor, cursor_skip; /* bytes from the head's first byte to the cursor's first byte */
    uint32_t again, again_skip;
    uint32_t head_skip;         /* bytes of the head that are released */
    uint32_t spans;
    uint64_t end;               /* position behind the last byte accepted */
};
static_assert(sizeof(struct net_send_queue) == 40, "in every connection");

/* 0: out of range. spans_all: 1 .. UINT32_MAX - 1 */
size_t ewi_net_span_pool_bytes(uint32_t spans_all);
/* memory: aligned for u64; may be untouched zero pages. */
void ewi_net_span_pool_init(struct net_span_pool *pool, void *memory, uint32_t spans_all);

void ewi_net_send_queue_init(struct net_send_queue *queue, uint64_t position);
/* Gives all spans back, without a word about their bytes: the connection is over. */
void ewi_net_send_queue_fini(struct net_span_pool *pool, struct net_send_queue *queue);

/* bytes > 0, and all that is held stays below NET_SEND_BYTES_END: the caller's limit is lower. Memory
 * that follows the last span directly becomes part of it. */
bool ewi_net_send_queue_push(struct net_span_pool *pool, struct net_send_queue *queue,
                             const void *base, uint32_t bytes);
/* The bytes una .. to are the caller's again: una <= to <= end; una is the first byte held so far. */
void ewi_net_send_queue_release(struct net_span_pool *pool, struct net_send_queue *queue,
                                uint64_t una, uint64_t to);
/* Copy [from, from + bytes), which lies in [una, end). summed: returns a partial sum as of sum.h, else 0.
 * Reads in order cost no search, nor do those of a second place that also go forward. */
uint32_t ewi_net_send_queue_copy(const struct net_span_pool *pool, struct net_send_queue *queue,
                                 uint64_t una, uint64_t from, uint8_t *to, uint32_t bytes,
                                 bool summed);

/* For tests: EW_OK or EW_EPROTO. Walks the list. */
int ewi_net_send_queue_check(const struct net_span_pool *pool, const struct net_send_queue *queue,
                             uint64_t una);

#endif
