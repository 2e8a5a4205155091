/* transport/kernel/slots.h - which descriptor a stream handle means, without a lock on the way.
 *
 * Purpose    Turn a 64-bit handle into a socket, so that a stale handle finds nothing, and a socket
 *            is closed only when the last call that uses it has left.
 * Shape      slot: 128 bytes.   word: generation << 32 | open << 31 | users inside (31 bits)
 *            handle: generation << 32 | slot index. Generations start at 1, so 0 is no handle.
 *            A slot goes  free -> claimed -> published -> retired -> closed -> free.
 *            closed: the stream is over, and poll has not reported it yet.
 * Owner      the caller's zeroed memory; only slots that were claimed once are ever touched.
 * Threads    enter and leave from any thread, no lock. The rest takes a short lock.
 * Trust      handles are checked, because stale ones are normal.
 * Errors     NULL or false: stale, or nothing left.
 * Invariants I1  a slot whose word has users above 0 keeps its descriptor and its generation.
 *            I2  exactly one leave answers true for each retire.
 *            I3  a generation means one stream (until 2^32 streams have used its slot).
 * Ordering   K1 acquire CAS (enter)        pairs with  K2 release store (publish).
 *            K3 acq_rel fetch_sub (leave)  pairs with  K3: the last one out sees all of the others,
 *                                          and with  K4 acquire load (is_alone).
 * Source     fdget(), Linux Documentation/filesystems/files.rst
 */
#ifndef EWI_TRANSPORT_KERNEL_SLOTS_H
#define EWI_TRANSPORT_KERNEL_SLOTS_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "shm/lock.h"
#include "transport/stack.h"

enum slot_phase { SLOT_CONNECTING, SLOT_CONNECTED, SLOT_LISTENING };

struct slot {
    alignas(EWI_CACHE_LINE) _Atomic uint64_t word;
    _Atomic uint64_t sent;     /* bytes accepted by the kernel */
    _Atomic int fd;            /* -1: none */
    _Atomic int error;         /* the first one, -errno; 0: none */
    _Atomic uint32_t phase;    /* enum slot_phase */
    _Atomic uint32_t interest; /* kernel.c */
    _Atomic bool is_broken;    /* break_off: not even what has arrived is read any more */
    bool with_reset;           /* written before retire, read by the last one out */
    bool is_silent;            /* never shown to the caller: no CLOSED */
    uint64_t user;             /* written before publish */
    uint32_t next;             /* in the free or the closed list, under the lock */
};
static_assert(sizeof(struct slot) == EWI_CACHE_LINE, "distinct streams share no line");

struct slots {
    struct slot *slot;
    uint32_t slots_max;
    struct lock lock;     /* of the rest */
    uint32_t slots_used;  /* claimed at least once */
    uint32_t slots_open;  /* claimed and not free again */
    uint32_t first_free;  /* index + 1, 0: none */
    uint32_t first_closed;
};

/* memory: zeroed, slots_max * sizeof(struct slot). */
void ewi_slots_init(struct slots *slots, struct slot *memory, uint32_t slots_max);

/* A slot of the caller's own, zeroed but for its generation; NULL: all are in use. */
struct slot *ewi_slots_claim(struct slots *slots);
/* From now on the handle works. The caller is inside, and has to leave. */
ewi_stream ewi_slots_publish(struct slots *slots, struct slot *slot);

/* NULL: stale. Else the slot stays what it is until leave. */
struct slot *ewi_slots_enter(struct slots *slots, ewi_stream stream);
/* True: the slot is retired and you were the last: close the socket, then release the slot. */
bool ewi_slots_leave(struct slot *slot);
/* While inside: the handle works no more. False: somebody was faster. */
bool ewi_slots_retire(struct slot *slot);
/* While inside: is no other thread inside? What it did before it left is visible then. */
bool ewi_slots_is_alone(struct slot *slot);

/* The socket is closed. Unless the slot is silent, next_closed() will give it once more. */
void ewi_slots_release(struct slots *slots, struct slot *slot);
/* The next stream whose end has to be reported; its slot is free again. */
bool ewi_slots_next_closed(struct slots *slots, ewi_stream *stream, uint64_t *user);

#endif
