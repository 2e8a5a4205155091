/* shm/outbox.h - the only memory that one end of a channel writes: control words and a ring.
 *
 * Purpose    Fix the layout that two processes share, and the words by which a reader tells the
 *            writer how far it is.
 * Shape      offset    0  constants: magic, version, ring_bytes (the peer trusts its hello, not these)
 *            offset  128  taken   position in the peer's stream up to which I have its bytes
 *            offset  256  sleep   my sleep word (shm/bell.h);  ended: why I stopped, outbox_ended;
 *                       draining: go elsewhere
 *            offset  512  ring    outbox bytes - 512, a multiple of 64
 * Owner      shm/region.h owns the bytes. My outbox is mapped read-write here and read-only in the
 *            peer; the kernel enforces that.
 * Threads    taken: stored by the receiving thread (under the channel's receive lock). sleep: see
 *            shm/bell.h. ended: stored once, at the end.
 * Trust      Everything in a peer's outbox is hostile: a position is checked by ewi_ring_free, a
 *            record by ewi_ring_peek, the sleep word can only cause a kick too many or too few.
 * Errors     none here
 * Invariants I1  one writer for each word, on lines of its own.
 * Ordering   T1 release-store taken  pairs with  T2 acquire-load of it by the peer: the reader's
 *            loads of the payload happen before the writer uses the bytes again.
 *            E1 release-store ended  pairs with  E2 acquire-load: the last records are visible.
 * Source     docs/adr/0003-ring.md
 */
#ifndef EWI_SHM_OUTBOX_H
#define EWI_SHM_OUTBOX_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "shm/ring.h"

enum {
    OUTBOX_MAGIC = 0x4f425745, /* "EWBO" */
    OUTBOX_HEAD_BYTES = 512,
    OUTBOX_BYTES_MIN = 16 * 1024,
    OUTBOX_BYTES_MAX = 1 << 30,
};

enum outbox_ended { OUTBOX_OPEN = 0, OUTBOX_CLOSED = 1, OUTBOX_ABORTED = 2 };

struct outbox_shared { /* layout is part of the protocol */
    alignas(EWI_CACHE_LINE) uint32_t magic;
    uint32_t version;
    uint64_t ring_bytes;
    alignas(EWI_CACHE_LINE) _Atomic uint64_t taken;
    alignas(EWI_CACHE_LINE) _Atomic uint32_t sleep;
    _Atomic uint32_t ended;
    _Atomic uint32_t draining; /* 1: I ask my peer to go elsewhere; a hint */
    alignas(OUTBOX_HEAD_BYTES) uint8_t ring[];
};
static_assert(offsetof(struct outbox_shared, taken) == 128, "shared layout");
static_assert(offsetof(struct outbox_shared, sleep) == 256, "shared layout");
static_assert(offsetof(struct outbox_shared, ended) == 260, "shared layout");
static_assert(offsetof(struct outbox_shared, draining) == 264, "shared layout");
static_assert(offsetof(struct outbox_shared, ring) == OUTBOX_HEAD_BYTES, "shared layout");

/* Bytes of the ring in an outbox of so many bytes. */
static inline uint32_t ewi_outbox_ring_bytes(uint64_t outbox_bytes)
{
    EWI_ASSERT(outbox_bytes >= OUTBOX_BYTES_MIN && outbox_bytes <= OUTBOX_BYTES_MAX);
    return ((uint32_t)outbox_bytes - OUTBOX_HEAD_BYTES) & ~63u;
}

/* Is this a size that an outbox may have? */
static inline bool ewi_outbox_bytes_valid(uint64_t outbox_bytes)
{
    return outbox_bytes >= OUTBOX_BYTES_MIN && outbox_bytes <= OUTBOX_BYTES_MAX &&
           outbox_bytes % 4096 == 0;
}

/* Zeroed memory becomes an outbox. */
static inline struct outbox_shared *ewi_outbox_init(void *memory, uint64_t outbox_bytes)
{
    struct outbox_shared *outbox = memory;

    outbox->magic = OUTBOX_MAGIC;
    outbox->version = 1;
    outbox->ring_bytes = ewi_outbox_ring_bytes(outbox_bytes);
    return outbox;
}

#endif
