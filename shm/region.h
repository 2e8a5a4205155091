/* shm/region.h - a piece of memory that can be handed to another process and never has to be
 * cleaned up.
 *
 * Purpose    Anonymous shared memory: a sealed memfd whose creator writes and whose receivers can
 *            only read. The kernel frees it with its last holder, however that holder ends.
 * Shape      2 MiB huge pages while the budget and the system's pool allow, else 4 KiB pages; what
 *            was got, and why not better, is in `why`.
 * Owner      struct region owns its mapping and, until ewi_region_forget_fd, its descriptor. The
 *            budget must outlive it.
 * Threads    a region belongs to one thread at a time; a budget may be shared.
 * Trust      ewi_region_attach gets a descriptor from a peer: seals, size, holes and kind of file
 *            are checked, and every page is made present before anything reads it.
 * Errors     EW_EMEMORY  budget, pool or system memory used up; the text says which.
 *            EW_EPROTO   the descriptor is not what a correct peer sends.
 *            -errno      another call failed. In every case nothing is left behind.
 * Invariants I1  an own region's pages exist before create returns: no SIGBUS later.
 *            I2  SEAL_SHRINK, SEAL_GROW, SEAL_FUTURE_WRITE and SEAL_SEAL are set before a
 *                descriptor leaves.
 *            I3  what is charged to the budget is given back by ewi_region_release, once.
 * Ordering   budget counters are relaxed: they bound, they order nothing.
 * Source     memfd_create(2), fcntl(2) F_SEAL_FUTURE_WRITE, madvise(2) MADV_POPULATE_READ;
 *            docs/adr/0004-memory.md
 */
#ifndef EWI_SHM_REGION_H
#define EWI_SHM_REGION_H

#include <stdatomic.h>

#include "shm/base.h"
#include "shm/os.h"

enum { REGION_HUGE_BYTES = 2 << 20, REGION_WHY_BYTES = 96 };

struct budget { /* bytes */
    _Atomic uint64_t used, huge_used;
    uint64_t bytes_max, huge_bytes_max;
    bool huge_sealable; /* this kernel enforces FUTURE_WRITE on huge pages */
};

enum region_kind {
    REGION_SHARED, /* memfd, to be handed over */
    REGION_PRIVATE /* plain memory of this process: a stream's outbox and inbox */
};

struct region {
    void *base;
    size_t bytes;
    int fd; /* -1: none or forgotten */
    bool huge;
    bool peers; /* attached, read-only */
    struct budget *budget;
    char why[REGION_WHY_BYTES]; /* "2 MiB pages", "4 KiB pages: no huge page is free" */
};

/* Does this kernel keep a peer from writing to sealed huge pages? Tried, not guessed. */
bool ewi_region_probe_huge_seals(const struct ewi_os *os);

/* bytes: a multiple of 4096; the region may be larger (one huge page). error: 160 bytes. */
int ewi_region_create(const struct ewi_os *os, struct budget *budget, enum region_kind kind,
                      uint64_t bytes, ew_pages pages, struct region *out, char error[160]);
/* Map what a peer sent, read-only. The descriptor stays the caller's. */
int ewi_region_attach(const struct ewi_os *os, struct budget *budget, int fd, uint64_t bytes,
                      struct region *out, char error[160]);
/* The mapping stays; the descriptor has been sent or will not be. */
void ewi_region_forget_fd(const struct ewi_os *os, struct region *region);
void ewi_region_release(const struct ewi_os *os, struct region *region);

#endif
