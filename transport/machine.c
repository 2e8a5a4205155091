#include "transport/machine.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "shm/sleep.h"

enum { ROUNDS = 12, WAKE_NS_GUESS = 20 * 1000 };

uint32_t ewi_machine_cpus(void)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return 1;
    return (uint32_t)ewi_max_u64((uint64_t)CPU_COUNT(&allowed), 1);
}

bool ewi_machine_runs_beside(int32_t pid)
{
    cpu_set_t ours, theirs;

    if (sched_getaffinity(0, sizeof(ours), &ours) != 0)
        return false;
    if (sched_getaffinity(pid, sizeof(theirs), &theirs) == 0)
        CPU_OR(&ours, &ours, &theirs);
    return CPU_COUNT(&ours) > 1;
}

struct probe {
    _Atomic uint32_t turn; /* odd: the thread's, even: ours */
    uint64_t woken_ns;     /* whose turn it is */
    int away_from;         /* the CPU of who asks */
};

/* Some other CPU, so that a real wake-up is measured, across CPUs. */
static void go_away_from(int cpu)
{
    cpu_set_t allowed;

    if (cpu < 0 || sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return;
    CPU_CLR((size_t)cpu, &allowed);
    if (CPU_COUNT(&allowed) > 0)
        sched_setaffinity(0, sizeof(allowed), &allowed); /* of this thread, for its short life */
}

static void *answer(void *argument)
{
    struct probe *probe = argument;
    const struct wait forever = {.deadline_ns = EWI_NEVER};

    go_away_from(probe->away_from);
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
    struct probe probe = {.away_from = sched_getcpu()};
    uint64_t cost[ROUNDS];
    sigset_t all, before;
    pthread_t thread;
    int failed;

    if (ewi_machine_cpus() < 2)
        return WAKE_NS_GUESS;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, NULL, answer, &probe);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return WAKE_NS_GUESS;
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
    return cost[ROUNDS * 3 / 4];
}
