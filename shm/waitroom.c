#include "shm/waitroom.h"

#include <errno.h>
#include <limits.h>

enum { NS_PER_S = 1000 * 1000 * 1000 };

void ewi_waitroom_tell(struct waitroom *room)
{
    atomic_fetch_add_explicit(&room->events, 1, memory_order_seq_cst); /* V1, pairs with V2 */
    if (atomic_load_explicit(&room->sleepers, memory_order_seq_cst) != 0) /* V1: after the add */
        ewi_futex_wake(&room->events, INT_MAX);
}

static int poll_until(struct pollfd *fds, nfds_t count, struct wait wait)
{
    uint64_t left = ewi_wait_left(wait, ewi_now_ns());
    struct timespec timeout = {.tv_sec = (time_t)(left / NS_PER_S),
                               .tv_nsec = (long)(left % NS_PER_S)};
    int ready = ppoll(fds, count, left == EWI_NEVER ? NULL : &timeout, wait.sigmask);

    if (ready > 0)
        return EW_OK;
    if (ready == 0)
        return EW_ETIMEOUT;
    return EW_EINTR; /* EINTR; ENOMEM is looked at again in the same way */
}

int ewi_waitroom_sleep(struct waitroom *room, uint32_t seen_events, struct pollfd *fds,
                       nfds_t count, struct wait wait, const struct waitroom_poller *poller)
{
    bool found;
    int code = EW_OK;

    if (atomic_exchange_explicit(&room->poller, 1, memory_order_acquire) != 0) { /* V3 */
        atomic_fetch_add_explicit(&room->sleepers, 1, memory_order_seq_cst); /* V1: before the compare */
        code = ewi_futex_wait(&room->events, seen_events, wait);
        atomic_fetch_sub_explicit(&room->sleepers, 1, memory_order_relaxed); /* V1: late is harmless */
        return code;
    }
    found = poller->look != NULL && poller->look(poller->context, fds);
    if (!found && ewi_waitroom_events(room) == seen_events) {
        code = poll_until(fds, count, wait);
        poller->seen(poller->context, fds, count); /* after a timeout, too: a stack was told that we sleep */
    }
    /* I2. Raise events before: who takes the role over right now must not sleep on what we have
     * drained. Tell after: who looked in between found the role taken and sleeps on the futex. */
    atomic_fetch_add_explicit(&room->events, 1, memory_order_release); /* V1, pairs with V2 */
    atomic_store_explicit(&room->poller, 0, memory_order_release);     /* V3 */
    ewi_waitroom_tell(room);
    return code;
}
