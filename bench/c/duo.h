/* bench/c/duo.h - two processes that measure the same things side by side.
 *
 * Purpose    Every benchmark compares cases in one run: rounds are interleaved, so that whatever the
 *            machine does meanwhile hits all of them, and the ratio of a round means something.
 * Shape      duo_start forks the peer. Both sides then run the same schedule, case by case, round
 *            by round. struct duo_case: one number for each round, and samples for percentiles.
 *            duo_print writes everything as one JSON object to stdout.
 * Owner      each program has one struct duo; shared memory is anonymous and dies with both
 * Threads    one in each process
 * Trust      none: measures only our own processes
 * Errors     DUO_CHECK prints and ends the process; the other one ends within DUO_LIFE_S.
 * Invariants I1  nobody is left behind: the peer dies with its parent (PR_SET_PDEATHSIG), both die
 *                of SIGALRM after DUO_LIFE_S, and every spin is bounded by DUO_SPIN_S.
 * Ordering   duo_meet is a release/acquire barrier on two words, both spinning.
 * Source     none
 */
#ifndef BENCH_C_DUO_H
#define BENCH_C_DUO_H

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bindings/c/eastwest.h"
#include "shm/base.h"

enum {
    DUO_LIFE_S = 300,
    DUO_SPIN_S = 20,
    DUO_SPIN_LOOKS = 1 << 16, /* between two looks at the clock */
    DUO_ROUNDS_MAX = 64,
    DUO_CASES_MAX = 64,
    DUO_NAME_BYTES = 48,
};

struct duo_word { /* alone on its line */
    alignas(EWI_CACHE_LINE) _Atomic uint64_t value;
};

struct duo_shared {
    struct duo_word here, there; /* how often each side has come to duo_meet */
    struct duo_word a, b;        /* for the program */
    char text[4352];             /* for the program: an address */
};

struct duo_case {
    char name[DUO_NAME_BYTES];
    double value[DUO_ROUNDS_MAX]; /* one for each round */
    uint32_t *ticks;              /* samples of all rounds, NULL: none */
    size_t ticks_count;
};

struct duo {
    struct duo_shared *shared;
    bool is_peer;
    pid_t peer;
    int rounds;
    bool quick;
    uint64_t meetings;
    char dir[64]; /* a runtime directory, gone at the end */
    uint64_t started_ns, started_ticks;
    int cases;
    struct duo_case cases_of[DUO_CASES_MAX];
};

#define DUO_CHECK(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            duo_fail(__FILE__, __LINE__, #condition);                                              \
    } while (0)

_Noreturn static inline void duo_fail(const char *file, int line, const char *expression)
{
    fprintf(stderr, "%s:%d: not so: %s (errno %s; %s)\n", file, line, expression,
            strerrorname_np(errno), ew_error_text());
    _exit(1);
}

static inline uint64_t duo_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The cheapest clock: the time stamp counter, else nanoseconds. */
static inline uint64_t duo_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return duo_ns();
#endif
}

static inline double duo_ns_per_tick(const struct duo *duo)
{
    uint64_t ns = duo_ns() - duo->started_ns;
    uint64_t ticks = duo_ticks() - duo->started_ticks;

    return (double)ns / (double)ticks;
}

/* Spin until the word, which only grows, has come to the value; ends after DUO_SPIN_S. */
static inline void duo_await(const _Atomic uint64_t *word, uint64_t value)
{
    uint64_t until_ns = 0;

    for (;;) {
        for (int looks = 0; looks < DUO_SPIN_LOOKS; looks++) {
            if (atomic_load_explicit(word, memory_order_acquire) >= value)
                return;
            ewi_relax();
        }
        if (until_ns == 0)
            until_ns = duo_ns() + DUO_SPIN_S * UINT64_C(1000000000);
        DUO_CHECK(duo_ns() < until_ns);
    }
}

/* Both sides come here before either goes on. */
static inline void duo_meet(struct duo *duo)
{
    struct duo_shared *shared = duo->shared;
    struct duo_word *mine = duo->is_peer ? &shared->there : &shared->here;
    struct duo_word *other = duo->is_peer ? &shared->here : &shared->there;

    duo->meetings += 1;
    atomic_store_explicit(&mine->value, duo->meetings, memory_order_release);
    duo_await(&other->value, duo->meetings);
}

/* Take a CPU for each side: the first and the second that this process may use. An adaptive wait
 * does not spin with one CPU; what has such a context is not pinned. */
static inline void duo_pin(const struct duo *duo)
{
    int nth = duo->is_peer ? 1 : 0;
    cpu_set_t all, one;

    CPU_ZERO(&one);
    DUO_CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && nth >= 0; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        nth -= 1;
    }
    DUO_CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static inline void *duo_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    DUO_CHECK(memory != MAP_FAILED);
    return memory;
}

/* Fork the peer; both return, and end after so many seconds, the peer also when its parent does.
 * Contexts are opened after this, since they do not survive a fork. */
static inline void duo_fork(struct duo *duo, unsigned life_s)
{
    pid_t parent = getpid();

    duo->shared = duo_memory(sizeof(*duo->shared));
    duo->peer = fork();
    DUO_CHECK(duo->peer >= 0);
    duo->is_peer = duo->peer == 0;
    alarm(life_s);
    if (duo->is_peer) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    duo->started_ns = duo_ns();
    duo->started_ticks = duo_ticks();
}

static inline void duo_start(struct duo *duo, int argc, char **argv, int rounds, int rounds_quick)
{
    *duo = (struct duo){.rounds = rounds};
    for (int i = 1; i < argc; i++)
        duo->quick |= strcmp(argv[i], "--quick") == 0;
    if (duo->quick)
        duo->rounds = rounds_quick;
    DUO_CHECK(duo->rounds <= DUO_ROUNDS_MAX);
    snprintf(duo->dir, sizeof(duo->dir), "/tmp/eastwest-bench-XXXXXX");
    DUO_CHECK(mkdtemp(duo->dir) != NULL);
    duo_fork(duo, DUO_LIFE_S);
    duo_meet(duo);
}

static inline void duo_remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        unlinkat(dirfd(dir), entry->d_name, 0); /* the directory's lock; "." and ".." refuse */
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

/* The peer ends here; the parent waits for it and comes back. */
static inline void duo_stop(struct duo *duo)
{
    int status = 0;

    duo_meet(duo);
    if (duo->is_peer)
        _exit(0);
    DUO_CHECK(waitpid(duo->peer, &status, 0) == duo->peer && status == 0);
    duo_remove_dir(duo->dir);
}

/* ---- channels ---- */

static inline ew_context *duo_context(ew_wait_policy wait)
{
    const ew_context_options options = {.wait = wait};
    ew_context *context;

    DUO_CHECK(ew_context_open(&options, &context) == EW_OK);
    return context;
}

/* A channel between the two: the peer listens. bind: NULL for shared memory, else a TCP address. */
static inline ew_channel *duo_channel(struct duo *duo, ew_context *context, const char *bind)
{
    const int64_t timeout_ns = INT64_C(10000000000);
    const ew_listen_options listen = {
        .service = "bench", .runtime_dir = bind == NULL ? duo->dir : NULL, .bind = bind};
    ew_connect_options connect = {
        .service = "bench", .address = duo->shared->text, .timeout_ns = timeout_ns};
    ew_listener *listener;
    ew_listener_info info;
    ew_channel *channel;

    if (!duo->is_peer) {
        duo_meet(duo);
        DUO_CHECK(ew_connect(context, &connect, &channel) == EW_OK);
        duo_meet(duo);
        return channel;
    }
    DUO_CHECK(ew_listen(context, &listen, &listener) == EW_OK);
    DUO_CHECK(ew_listener_get_info(listener, &info) == EW_OK);
    snprintf(duo->shared->text, sizeof(duo->shared->text), "%s",
             bind == NULL ? info.local_address : info.tcp_address);
    duo_meet(duo);
    DUO_CHECK(ew_listener_accept(listener, timeout_ns, NULL, &channel) == EW_OK);
    duo_meet(duo);
    ew_listener_free(listener);
    return channel;
}

/* ---- results ---- */

/* The case of that name, made at its first use. */
static inline struct duo_case *duo_case(struct duo *duo, const char *name)
{
    for (int i = 0; i < duo->cases; i++)
        if (strcmp(duo->cases_of[i].name, name) == 0)
            return &duo->cases_of[i];
    DUO_CHECK(duo->cases < DUO_CASES_MAX);
    snprintf(duo->cases_of[duo->cases].name, DUO_NAME_BYTES, "%s", name);
    return &duo->cases_of[duo->cases++];
}

/* Room for so many more samples, zeroed pages touched. */
static inline uint32_t *duo_samples(struct duo_case *of, size_t count)
{
    of->ticks = realloc(of->ticks, (of->ticks_count + count) * sizeof(*of->ticks));
    DUO_CHECK(of->ticks != NULL);
    memset(of->ticks + of->ticks_count, 0, count * sizeof(*of->ticks));
    of->ticks_count += count;
    return of->ticks + of->ticks_count - count;
}

static inline int duo_compare_ticks(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

/* The median of so many ticks, which are sorted by it, in nanoseconds. */
static inline double duo_median_ns(const struct duo *duo, uint32_t *ticks, size_t count)
{
    qsort(ticks, count, sizeof(*ticks), duo_compare_ticks);
    return ticks[count / 2] * duo_ns_per_tick(duo);
}

static inline void duo_print_case(const struct duo *duo, struct duo_case *of)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}};
    double ns_per_tick = duo_ns_per_tick(duo);

    printf("{\"case\":\"%s\",\"values\":[", of->name);
    for (int round = 0; round < duo->rounds; round++)
        printf("%s%.6g", round == 0 ? "" : ",", of->value[round]);
    printf("]");
    if (of->ticks_count > 0) {
        qsort(of->ticks, of->ticks_count, sizeof(*of->ticks), duo_compare_ticks);
        for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
            size_t at = (size_t)((double)(of->ticks_count - 1) * quantiles[i].share);
            printf(",\"%s\":%.6g", quantiles[i].name, of->ticks[at] * ns_per_tick);
        }
        printf(",\"samples\":%zu", of->ticks_count);
    }
    printf("}");
}

static inline void duo_print(struct duo *duo, const char *name, const char *unit)
{
    printf("{\"schema\":\"eastwest-bench-1\",\"name\":\"%s\",\"unit\":\"%s\",\"rounds\":%d,"
           "\"cases\":[",
           name, unit, duo->rounds);
    for (int i = 0; i < duo->cases; i++) {
        printf("%s", i == 0 ? "" : ",\n");
        duo_print_case(duo, &duo->cases_of[i]);
    }
    printf("]}\n");
}

#endif
