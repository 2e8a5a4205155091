#include "transport/kernel/interest.h"

#include <errno.h>
#include <sys/epoll.h>

#include "transport/kernel/socket.h"

uint32_t ewi_interest_epoll(uint32_t interest)
{
    uint32_t bits = 0;

    if (interest & (STACK_READABLE | STACK_ACCEPT))
        bits |= EPOLLIN | EPOLLRDHUP;
    if (interest & (STACK_WRITABLE | STACK_CONNECTED))
        bits |= EPOLLOUT;
    if (bits == 0 || interest & (INTEREST_EDGE | STACK_CONNECTED))
        bits |= EPOLLET;
    return bits;
}

static int apply_once(int epoll_fd, ewi_stream stream, int fd, uint32_t wanted)
{
    struct epoll_event event = {.events = ewi_interest_epoll(wanted), .data.u64 = stream};

    if (wanted & INTEREST_ASIDE)
        return epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL) == 0 || errno == ENOENT ? 0 : -errno;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    if (errno == ENOENT && (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST))
        return 0; /* EEXIST: another thread put it back, and looks again as we do */
    return -errno;
}

/* Any number of threads: the last epoll_ctl of all is followed by a look that found nothing
 * newer. Only the value counts; the kernel's lock of the epoll instance puts one epoll_ctl, and the look
 * behind it, after another. */
int ewi_interest_apply(int epoll_fd, ewi_stream stream, struct slot *slot)
{
    uint32_t wanted = atomic_load_explicit(&slot->interest, memory_order_relaxed); /* K8 */
    uint32_t applied;

    do {
        int result = apply_once(epoll_fd, stream, ewi_socket_fd(slot), wanted);

        if (result != 0)
            return result;
        applied = wanted;
        wanted = atomic_load_explicit(&slot->interest, memory_order_relaxed); /* K8 */
    } while (wanted != applied);
    return 0;
}

int ewi_interest_set(int epoll_fd, ewi_stream stream, struct slot *slot, uint32_t add,
                     uint32_t drop)
{
    uint32_t before = atomic_load_explicit(&slot->interest, memory_order_relaxed); /* K7 */

    do {
        if (((before & ~drop) | add) == before)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&slot->interest, &before, (before & ~drop) | add,
                                                    memory_order_relaxed,    /* K7: see K8 */
                                                    memory_order_relaxed)); /* K7 */
    return ewi_interest_apply(epoll_fd, stream, slot);
}

/* ---- events ---- */

/* The stream ended or failed. ERR and HUP stay: tell it on an edge from now on. False: another
 * thread was told why and has not stored it yet; the event was re-armed. */
static bool look_at_end(int epoll_fd, ewi_stream stream, struct slot *slot)
{
    ewi_socket_fetch_error(slot);
    if (!ewi_socket_may_believe(slot)) {
        ewi_interest_apply(epoll_fd, stream, slot);
        return false;
    }
    ewi_interest_set(epoll_fd, stream, slot, INTEREST_EDGE, 0);
    return true;
}

static uint32_t connecting_event(int epoll_fd, ewi_stream stream, struct slot *slot)
{
    int settled = ewi_socket_settle(slot);

    if (settled == 0) {
        ewi_interest_apply(epoll_fd, stream, slot);
        return 0;
    }
    ewi_interest_set(epoll_fd, stream, slot, settled < 0 ? INTEREST_EDGE : 0, STACK_CONNECTED);
    return settled < 0 ? STACK_FAILED : STACK_CONNECTED;
}

uint32_t ewi_interest_event(int epoll_fd, ewi_stream stream, struct slot *slot, uint32_t got)
{
    uint32_t interest = atomic_load_explicit(&slot->interest, memory_order_relaxed); /* K8 */
    uint32_t bits = 0;

    if (interest & INTEREST_ASIDE)
        return 0; /* set aside after epoll_wait had it */
    if (interest & STACK_CONNECTED) { /* what else there is comes with the next poll */
        if ((got & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0)
            return 0;
        return connecting_event(epoll_fd, stream, slot);
    }
    if (interest & STACK_ACCEPT && got & EPOLLIN)
        bits |= STACK_ACCEPT;
    if (interest & STACK_READABLE && got & EPOLLIN)
        bits |= STACK_READABLE;
    if (interest & STACK_WRITABLE && got & EPOLLOUT)
        bits |= STACK_WRITABLE;
    if (got & (EPOLLERR | EPOLLHUP)) {
        if (!look_at_end(epoll_fd, stream, slot))
            return 0;
        if (ewi_socket_error(slot) != 0)
            return (bits & STACK_READABLE) | STACK_FAILED;
    }
    if (interest & STACK_READABLE && got & (EPOLLRDHUP | EPOLLHUP))
        bits |= STACK_PEER_FIN;
    return bits;
}
