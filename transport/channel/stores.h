/* transport/channel/stores.h - does a sender of long messages write through its caches or past them?
 *
 * Purpose    Two cores that share a cache pass a ring's lines there, at 30 GB/s. Two that share none
 *            fetch each line from the other's cache before they write it, at 2 GB/s; then it is better
 *            to write past the caches, to memory, from where the reader gets 7 to 15 GB/s. Which of
 *            the two it is, nobody tells: a virtual machine's CPUs move, threads too.
 * Shape      rounds of fragments: a trial that goes through the caches (STORES_WARM, then STORES_TIMED
 *            of which the fastest counts), STORES_TIMED past them, then the better way for a while:
 *            past them twice as long each time that it is found better again. Times in ns for 64 KiB.
 * Owner      the channel; zero-initialised is at the beginning of a trial
 * Threads    the holder of the channel's send lock
 * Trust      none of it comes from a peer
 * Errors     none
 * Invariants I1  what a preempted thread measures is no measurement: the fastest of several counts.
 * Ordering   none
 * Source     docs/adr/0011-copy.md
 */
#ifndef EWI_TRANSPORT_CHANNEL_STORES_H
#define EWI_TRANSPORT_CHANNEL_STORES_H

#include "shm/base.h"

enum {
    STORES_BYTES_MIN = 16 * 1024, /* shorter fragments are neither timed nor counted */
    STORES_WARM = 40,             /* more than a ring of 2 MiB holds: the lines are where they stay */
    STORES_TIMED = 4,
    STORES_HOLD_MIN = 200,        /* 13 MiB: 6 ms at 2 GB/s until a change for the worse is seen */
    STORES_HOLD_MAX = 6400,       /* a trial costs as much as 300 past the caches: 5 % */
    STORES_FAR_NS = 12000,        /* 5.5 GB/s: from memory a reader gets more; cold lines take 8000 */
    STORES_FAR_TIMES = 2,         /* ... and through takes more than twice as long as past */
};

enum stores_way {
    STORES_THROUGH = 0,
    STORES_PAST = 1,
};

struct stores {
    uint32_t at;         /* fragments of this round so far */
    uint32_t through_ns; /* the fastest of the trial, 0: none */
    uint32_t past_ns;
    uint32_t hold;       /* fragments after the trial */
    enum stores_way way; /* of these */
};

/* How the next fragment goes; *timed: tell how long it took. */
enum stores_way ewi_stores_next(struct stores *stores, bool *timed);
void ewi_stores_took(struct stores *stores, enum stores_way way, uint32_t bytes, uint64_t ns);

#endif
