/* transport/shell/kick.h - wake the reactor from anywhere, with one system call for many.
 *
 * Purpose    kick() of transport/stack.h: whoever has left something for the reactor makes a descriptor
 *            readable, unless somebody else's wake-up is on its way already.
 * Shape      an eventfd and a mark: marked, written, read, taken.
 * Owner      the stack; the descriptor is closed by it
 * Threads    ring: any; take: one at a time
 * Trust      none
 * Errors     none
 * Invariants I1  while marked, the descriptor is readable or will be.
 *            I2  unmarked, it is not readable: nobody spins on it.
 * Ordering   N1 release marking, then the write  pairs with  N2 the read, then the acquire taking of the mark:
 *            who finds it marked leaves the wake-up to whoever marked it, and what it left for the
 *            reactor is seen behind the taking. Taking before the read would lose a kick in between, which
 *            marks and is read, and is never taken: no later one is written (tests/model/kick.pml).
 * Source     eventfd(2)
 */
#ifndef EWI_TRANSPORT_SHELL_KICK_H
#define EWI_TRANSPORT_SHELL_KICK_H

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "shm/base.h"

struct kick {
    int fd;
    _Atomic bool marked;
};

static inline void ewi_kick_write(int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) < 0)
        EWI_ASSERT(errno == EAGAIN); /* readable already */
}

/* False: it was not readable. */
static inline bool ewi_kick_read(int fd)
{
    uint64_t ignored;

    if (read(fd, &ignored, sizeof(ignored)) >= 0)
        return true;
    EWI_ASSERT(errno == EAGAIN);
    return false;
}

static inline void ewi_kick_ring(struct kick *kick)
{
    if (!atomic_exchange_explicit(&kick->marked, true, memory_order_release)) /* N1, pairs with N2 */
        ewi_kick_write(kick->fd);
}

static inline void ewi_kick_take(struct kick *kick)
{
    if (!atomic_load_explicit(&kick->marked, memory_order_relaxed)) /* a hint: it wakes us again */
        return;
    if (ewi_kick_read(kick->fd)) /* else it is still to be written */
        atomic_exchange_explicit(&kick->marked, false, memory_order_acquire); /* N2, pairs with N1 */
}

#endif
