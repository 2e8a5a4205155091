/* The works of the pair program: the same loops for every system.
 *
 * A sample is the difference of two time stamps of one CPU's counter (duo_ticks), which is read in
 * half the time of clock_gettime: beside a cache line that goes to and fro in 100 ns the clock
 * would be seen. It becomes nanoseconds when it is written. How long a work took is the clock's.
 */
#include <sys/resource.h>

#include "bench/c/pair/pair.h"

enum {
    COUNT_LEAST = 3,
    TRIAL_PARTS = 10, /* of the seconds: a trial that takes one says how often the work fits */
    COUNT_MAX = 1 << 30,
    WARM_UP = 50, /* trips, before those at a fixed rate */
    NAP_NS = 100000, /* before a message is due a client looks at the clock all the time */
};

#define NS_PER_S 1e9
#define TRIAL_GAIN 1.1

static struct pair_spent spent_now(void)
{
    struct timespec now;
    struct rusage usage;

    DUO_CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    DUO_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (struct pair_spent){
        .cpu_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
        .switches = (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw)};
}

/* ---- the client ---- */

static void trip(struct pair *pair, uint64_t count)
{
    const struct pair_system *system = pair->system;
    const size_t bytes = pair->order.bytes;
    uint64_t before = duo_ticks();

    for (uint64_t i = 0; i < count; i++) {
        uint64_t now;

        system->send(pair, 0, pair->source, bytes);
        system->recv(pair, 0, pair->sink, bytes);
        now = duo_ticks();
        pair->ticks[i] = now - before;
        before = now;
        pair->progress += 1;
    }
}

static void nap_until(uint64_t due, double ns_per_tick)
{
    uint64_t now = duo_ticks();
    double early_ns = now < due ? (double)(due - now) * ns_per_tick : 0;

    if (early_ns > NAP_NS) {
        uint64_t ns = (uint64_t)early_ns - NAP_NS;
        const struct timespec nap = {.tv_sec = (time_t)(ns / 1000000000u),
                                     .tv_nsec = (long)(ns % 1000000000u)};

        clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL); /* the timer of I1 may cut it short */
    }
    while (duo_ticks() < due)
        ewi_relax();
}

static void paced(struct pair *pair, uint64_t count)
{
    const struct pair_system *system = pair->system;
    const struct pair_order order = pair->order;
    const double ns_per_tick = duo_ns_per_tick(&pair->duo);
    const double step = NS_PER_S / order.rate / ns_per_tick;
    uint64_t begin = duo_ticks();

    for (uint64_t i = 0; i < count; i++) {
        uint64_t due = begin + (uint64_t)((double)i * step);

        nap_until(due, ns_per_tick);
        system->send(pair, 0, pair->source, order.bytes);
        system->recv(pair, 0, pair->sink, order.bytes);
        pair->ticks[i] = duo_ticks() - due;
        pair->progress += 1;
    }
}

static void send_all(struct pair *pair)
{
    for (uint32_t link = 0; link < pair->links; link++) {
        pair->system->send(pair, link, pair->source, pair->order.bytes);
        pair->progress += 1;
    }
}

static void recv_all(struct pair *pair, bool is_answered)
{
    const struct pair_system *system = pair->system;
    const size_t bytes = pair->order.bytes;

    if (system->recv_each != NULL && pair->links > 1) {
        system->recv_each(pair, bytes, is_answered);
        return;
    }
    for (uint32_t link = 0; link < pair->links; link++) {
        system->recv(pair, link, pair->sink, bytes);
        if (is_answered)
            system->send(pair, link, pair->source, bytes);
        pair->progress += 1;
    }
}

static void fan(struct pair *pair, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        send_all(pair);
        recv_all(pair, false);
    }
}

static void flow(struct pair *pair, uint64_t count)
{
    const struct pair_system *system = pair->system;
    const size_t bytes = pair->order.bytes;

    for (uint64_t i = 0; i < count; i++) {
        system->send(pair, 0, pair->source, bytes);
        pair->progress += 1;
    }
}

static void window(struct pair *pair, uint64_t count)
{
    const struct pair_system *system = pair->system;
    const size_t bytes = pair->order.bytes;
    const uint64_t ahead = ewi_min_u64(pair->order.in_flight, count);

    for (uint64_t i = 0; i < ahead; i++)
        system->send(pair, 0, pair->source, bytes);
    for (uint64_t i = 0; i < count; i++) {
        system->recv(pair, 0, pair->sink, bytes);
        if (i + ahead < count)
            system->send(pair, 0, pair->source, bytes);
        pair->progress += 1;
    }
}

/* ---- the server ---- */

static void echo(struct pair *pair, uint64_t count)
{
    const struct pair_system *system = pair->system;
    const size_t bytes = pair->order.bytes;

    for (uint64_t i = 0; i < count; i++) {
        system->recv(pair, 0, pair->sink, bytes);
        system->send(pair, 0, pair->source, bytes);
        pair->progress += 1;
    }
}

static void echo_all(struct pair *pair, uint64_t count)
{
    const bool at_once = pair->order.bytes <= PAIR_ANSWER_AT_ONCE;

    for (uint64_t i = 0; i < count; i++) {
        recv_all(pair, at_once);
        if (!at_once)
            send_all(pair);
    }
}

static void take(struct pair *pair, uint64_t count)
{
    const struct pair_system *system = pair->system;
    const size_t bytes = pair->order.bytes;

    if (system->recv == NULL) /* one process does it all */
        return;
    for (uint64_t i = 0; i < count; i++) {
        system->recv(pair, 0, pair->sink, bytes);
        pair->progress += 1;
    }
}

/* ---- a work ---- */

typedef void run(struct pair *pair, uint64_t count);

static run *const asks[] = {trip, paced, fan, flow, window};
static run *const answers[] = {echo, echo, echo_all, take, echo};
static const char *const names[] = {"trip", "paced", "fan", "flow", "window"};

static bool has_samples(enum pair_work work)
{
    return work == PAIR_TRIP || work == PAIR_PACED;
}

static double within(double value, double most)
{
    return value < COUNT_LEAST ? COUNT_LEAST : value > most ? most : value;
}

/* Do it so often; how long both took, and on request what this process spent. */
static uint64_t time_of(struct pair *pair, uint64_t count, struct pair_spent *spent)
{
    run *const work = (pair->duo.is_peer ? answers : asks)[pair->order.work];
    struct pair_spent before, after;
    uint64_t began, took;

    pair_meet(pair);
    before = spent_now();
    began = duo_ns();
    work(pair, count);
    pair_meet(pair);
    took = duo_ns() - began;
    after = spent_now();
    *spent = (struct pair_spent){.cpu_ns = after.cpu_ns - before.cpu_ns,
                                 .switches = after.switches - before.switches};
    return took;
}

/* How often the work fits into its seconds, by trials that warm up as well; both get the same.
 * A trial that another process disturbed looks long enough, but is not: what decides is the best
 * speed so far, and a trial is made again while that still rises. */
static uint64_t count_of(struct pair *pair)
{
    const struct pair_order order = pair->order;
    const double most = has_samples(order.work) ? PAIR_SAMPLES_MAX : COUNT_MAX;
    const double enough_ns = order.seconds * NS_PER_S / TRIAL_PARTS;
    double best = 0; /* a nanosecond; the client's counts */

    if (order.work == PAIR_PACED) {
        struct pair_spent unused;

        (void)time_of(pair, WARM_UP, &unused);
        return (uint64_t)within(order.rate * order.seconds, most);
    }
    pair->shared->count = 1;
    pair->shared->is_counted = false;
    pair_meet(pair);
    while (!pair->shared->is_counted) {
        const double count = (double)pair->shared->count;
        struct pair_spent spent;
        const double speed = count / (double)time_of(pair, (uint64_t)count, &spent);
        const bool is_rising = speed > best * TRIAL_GAIN;

        best = speed > best ? speed : best;
        if (!pair->duo.is_peer) {
            bool is_short = count < best * enough_ns && count * 2 <= most;

            pair->shared->is_counted = !is_short && (!is_rising || count * 2 > most);
            if (is_short)
                pair->shared->count *= 2;
            else if (pair->shared->is_counted)
                pair->shared->count = (uint64_t)within(best * order.seconds * NS_PER_S, most);
        }
        pair_meet(pair);
    }
    return pair->shared->count;
}

/* Memory that is not touched for the first time while the clock runs. */
static uint8_t *written(size_t bytes)
{
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        pair_fail("%zu bytes of memory: %s", bytes, strerror(errno));
    for (size_t i = 0; i < bytes; i++)
        memory[i] = (uint8_t)i;
    return memory;
}

static void make_room(struct pair *pair, size_t bytes)
{
    if (pair->ticks == NULL && !pair->duo.is_peer)
        pair->ticks = (uint64_t *)(void *)written(PAIR_SAMPLES_MAX * sizeof(*pair->ticks));
    if (bytes <= pair->room)
        return;
    if (pair->room > 0)
        DUO_CHECK(munmap(pair->source, pair->room) == 0 && munmap(pair->sink, pair->room) == 0);
    pair->source = written(bytes);
    pair->sink = written(bytes);
    pair->room = bytes;
}

const char *pair_do(struct pair *pair, struct pair_done *done)
{
    const struct pair_system *system = pair->system;
    const struct pair_order order = pair->order;
    const char *why;

    pair->samples = 0;
    if ((system->works & (1u << order.work)) == 0 ||
        (order.work == PAIR_WINDOW && system->hold == NULL))
        return pair_text("%s has no %s", system->name, names[order.work]);
    make_room(pair, order.bytes);
    if (system->prepare != NULL && (why = system->prepare(pair, order.bytes)) != NULL)
        return why;
    if (order.work == PAIR_WINDOW && (why = system->hold(pair, order.bytes)) != NULL)
        return why;
    done->count = count_of(pair);
    done->ns = time_of(pair, done->count, &done->spent);
    if (pair->duo.is_peer)
        pair->shared->spent = done->spent;
    pair_meet(pair);
    done->spent.cpu_ns += pair->shared->spent.cpu_ns;
    done->spent.switches += pair->shared->spent.switches;
    pair->samples = has_samples(order.work) ? done->count : 0;
    if (order.work == PAIR_FAN)
        done->count *= pair->links;
    return NULL;
}
