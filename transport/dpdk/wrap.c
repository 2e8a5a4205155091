#include "transport/dpdk/wrap.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/if_packet.h>
#include <xdp/xsk.h>

struct rte_eth_dev;

/* Bursts read, the unmapping writes and is let in first. */
static pthread_rwlock_t memif_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static _Thread_local bool in_burst, in_open, timed_out;
static _Thread_local struct xsk_umem *umem_left;

int __real_sigaction(int number, const struct sigaction *new, struct sigaction *old);
int __wrap_sigaction(int number, const struct sigaction *new, struct sigaction *old);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_accept(int fd, struct sockaddr *address, socklen_t *bytes);
int __wrap_accept(int fd, struct sockaddr *address, socklen_t *bytes);
int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t bytes);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t bytes);
int __real_xsk_umem__create(struct xsk_umem **umem, void *area, uint64_t bytes,
                            struct xsk_ring_prod *fill, struct xsk_ring_cons *completion,
                            const struct xsk_umem_config *config);
int __wrap_xsk_umem__create(struct xsk_umem **umem, void *area, uint64_t bytes,
                            struct xsk_ring_prod *fill, struct xsk_ring_cons *completion,
                            const struct xsk_umem_config *config);
int __real_xsk_umem__delete(struct xsk_umem *umem);
int __wrap_xsk_umem__delete(struct xsk_umem *umem);
void __wrap_openlog(const char *name, int option, int facility);
void __real_memif_free_regions(struct rte_eth_dev *device);
void __wrap_memif_free_regions(struct rte_eth_dev *device);

int __wrap_sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
    int code;

    if (number < SIGRTMIN)
        return __real_sigaction(number, new, old);
    if (new != NULL) {
        errno = EBUSY;
        return -1;
    }
    code = __real_sigaction(number, NULL, old);
    if (code == 0 && old->sa_handler == SIG_DFL)
        old->sa_handler = SIG_IGN; /* "in use": net_tap goes on to the next, and in the end without */
    return code;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return __real_poll(fds, count, in_burst ? 0 : timeout);
}

/* net_virtio_user as a server waits in open() until its client is there. */
int __wrap_accept(int fd, struct sockaddr *address, socklen_t *bytes)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};

    if (in_open && __real_poll(&pollfd, 1, DPDK_ACCEPT_MS) == 0) {
        timed_out = true;
        errno = ETIMEDOUT;
        return -1;
    }
    return __real_accept(fd, address, bytes);
}

/* EAL's thread ends the process (rte_panic) when a descriptor of its list was closed meanwhile, which a
 * memif peer that connects and leaves can bring about. */
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    int code = __real_epoll_ctl(epoll, operation, fd, event);

    return code != 0 && operation == EPOLL_CTL_ADD && errno == EBADF ? 0 : code;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t bytes)
{
    if (level == SOL_PACKET && option == PACKET_FANOUT)
        return 0;
    return __real_setsockopt(fd, level, option, value, bytes);
}

void __wrap_openlog(const char *name, int option, int facility)
{
    (void)name;
    (void)option;
    (void)facility;
}

int __wrap_xsk_umem__create(struct xsk_umem **umem, void *area, uint64_t bytes,
                            struct xsk_ring_prod *fill, struct xsk_ring_cons *completion,
                            const struct xsk_umem_config *config)
{
    int code = __real_xsk_umem__create(umem, area, bytes, fill, completion, config);

    if (code == 0)
        umem_left = *umem;
    return code;
}

int __wrap_xsk_umem__delete(struct xsk_umem *umem)
{
    int code = __real_xsk_umem__delete(umem);

    if (code == 0 && umem == umem_left)
        umem_left = NULL;
    return code;
}

void ewi_dpdk_umem_watch(struct xsk_umem *umem)
{
    umem_left = umem;
}

struct xsk_umem *ewi_dpdk_umem_left(void)
{
    return umem_left;
}

void __wrap_memif_free_regions(struct rte_eth_dev *device)
{
    pthread_rwlock_wrlock(&memif_lock);
    __real_memif_free_regions(device);
    pthread_rwlock_unlock(&memif_lock);
}

void ewi_dpdk_memif_enter(void)
{
    pthread_rwlock_rdlock(&memif_lock);
}

void ewi_dpdk_memif_leave(void)
{
    pthread_rwlock_unlock(&memif_lock);
}

void ewi_dpdk_burst_enter(void)
{
    in_burst = true;
}

void ewi_dpdk_burst_leave(void)
{
    in_burst = false;
}

void ewi_dpdk_open_enter(void)
{
    in_open = true;
    timed_out = false;
}

void ewi_dpdk_open_leave(void)
{
    in_open = false;
}

bool ewi_dpdk_accept_timed_out(void)
{
    return timed_out;
}
