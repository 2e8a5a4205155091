#include "transport/machine.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "shm/sleep.h"
#include "transport/quota.h"

enum { ROUNDS = 7, WAKE_NS_MIN = 5 * 1000, WAKE_NS_MAX = 100 * 1000 };

uint32_t ewi_machine_cpus(void)
{
    cpu_set_t allowed;
    uint32_t cpus = 1, quota = ewi_quota_cpus(QUOTA_ROOT, QUOTA_MEMBERSHIP);

    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
        cpus = (uint32_t)CPU_COUNT(&allowed);
    if (quota != 0 && quota < cpus)
        cpus = quota;
    return cpus > 0 ? cpus : 1;
}

struct probe {
    _Atomic uint32_t turn; /* odd: the thread's, even: ours */
    uint64_t woken_ns;     /* whose turn it is */
};

static void *answer(void *argument)
{
    struct probe *probe = argument;
    const struct wait forever = {.deadline_ns = EWI_NEVER};

    for (uint32_t round = 0; round < ROUNDS; round++) {
        while (atomic_load_explicit(&probe->turn, memory_order_acquire) != 2 * round + 1)
            ewi_futex_wait(&probe->turn, 2 * round, forever);
        probe->woken_ns = ewi_now_ns();
        atomic_store_explicit(&probe->turn, 2 * round + 2, memory_order_release);
        ewi_futex_wake(&probe->turn, 1);
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

uint64_t ewi_machine_wake_ns(void)
{
    const struct timespec settle = {.tv_nsec = 50 * 1000}; /* so that the other really sleeps */
    const struct wait forever = {.deadline_ns = EWI_NEVER};
    struct probe probe = {0};
    uint64_t cost[ROUNDS];
    sigset_t all, before;
    pthread_t thread;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, NULL, answer, &probe);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return WAKE_NS_MAX / 2;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t start;

        nanosleep(&settle, NULL);
        start = ewi_now_ns();
        atomic_store_explicit(&probe.turn, 2 * round + 1, memory_order_release);
        ewi_futex_wake(&probe.turn, 1);
        while (atomic_load_explicit(&probe.turn, memory_order_acquire) != 2 * round + 2)
            ewi_futex_wait(&probe.turn, 2 * round + 1, forever);
        cost[round] = probe.woken_ns - start;
    }
    pthread_join(thread, NULL);
    qsort(cost, ROUNDS, sizeof(cost[0]), by_value);
    return ewi_min_u64(ewi_max_u64(cost[ROUNDS / 2], WAKE_NS_MIN), WAKE_NS_MAX);
}
