#include "transport/dpdk/wrap.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

struct rte_eth_dev;

/* Bursts read, the unmapping writes and is let in first. */
static pthread_rwlock_t memif_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static _Thread_local bool in_burst;

int __real_sigaction(int number, const struct sigaction *new, struct sigaction *old);
int __wrap_sigaction(int number, const struct sigaction *new, struct sigaction *old);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
void __wrap_openlog(const char *name, int option, int facility);
void __real_memif_free_regions(struct rte_eth_dev *device);
void __wrap_memif_free_regions(struct rte_eth_dev *device);

int __wrap_sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
    if (number >= SIGRTMIN) {
        errno = EBUSY;
        return -1;
    }
    return __real_sigaction(number, new, old);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return __real_poll(fds, count, in_burst ? 0 : timeout);
}

void __wrap_openlog(const char *name, int option, int facility)
{
    (void)name;
    (void)option;
    (void)facility;
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
