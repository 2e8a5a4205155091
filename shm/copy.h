/* shm/copy.h - copy a payload into a ring or out of it.
 *
 * Purpose    memcpy for memory that another core has just written or will read next. The C
 *            library's picks `rep movsb` for long blocks on many machines, which is slow when the
 *            ring's side is not aligned, and a payload lies 8 bytes behind a line.
 * Shape      up to COPY_SHORT_BYTES it is memcpy; above, whole lines of the destination by 16-byte
 *            vectors, the source fetched COPY_AHEAD_BYTES before it is needed. past: the same with
 *            stores that go to memory and leave no line of the target in this core's caches.
 * Owner      none
 * Threads    any
 * Trust      the source may change while it is copied: that hurts the copy only
 * Errors     none
 * Invariants I1  exactly [from, from + bytes) is read, except by prefetch, which cannot fail.
 * Ordering   plain accesses; the ring's R1 and R2 order them. past ends with a fence of stores, which
 *            a release does not order on x86 when they go past the caches.
 * Source     docs/adr/0011-copy.md
 */
#ifndef EWI_SHM_COPY_H
#define EWI_SHM_COPY_H

#include <string.h>

#include "shm/base.h"

enum { COPY_SHORT_BYTES = 512, COPY_AHEAD_BYTES = 1024 };

void ewi_copy_long(uint8_t *to, const uint8_t *from, size_t bytes);

/* Past the caches, where the CPU can; else as ewi_copy_long. */
void ewi_copy_past(uint8_t *to, const uint8_t *from, size_t bytes);

static inline void ewi_copy(void *to, const void *from, size_t bytes)
{
    if (bytes <= COPY_SHORT_BYTES)
        memcpy(to, from, bytes);
    else
        ewi_copy_long(to, from, bytes);
}

#endif
