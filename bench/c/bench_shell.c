/* What does the shell around our TCP/IP cost? Two stacks on a wire in memory (tests/shell/wire.h).
 *
 *   rtt, one thread       64 bytes there and back, ns; one thread is both ends. Less what `./dev bench
 *                         net-wire` says for one connection, it is guard, clock and device
 *   rtt, two threads      the same, a thread for each end, both spin
 *   rtt, two sleepers     the same, both sleep by stream_arm between messages
 *   bulk, one thread      one stream, copied in and out, bit/s; MTU 1500
 *   bulk, two threads     the same, a thread for each end
 */
#include <poll.h>
#include <pthread.h>

#include "bench/c/duo.h"
#include "tests/shell/wire.h"
#include "transport/stack.h"

enum { MESSAGE = 64, SPAN_BYTES = 64 * 1024 };

struct end {
    struct ewi_stack *stack;
    ewi_stream stream;
    bool sleeps;
    uint64_t count;
};

static const struct stack_ops *ops;
static struct end ends[2];
static uint8_t span[2][SPAN_BYTES];

static void turn(struct end *end)
{
    struct stack_event events[8];
    uint64_t deadline;

    DUO_CHECK(ops->poll(end->stack, duo_ns(), events, 8, &deadline) >= 0);
}

static void open_end(int which)
{
    uint8_t seed[32] = {(uint8_t)(which + 1)};
    char text[256], reason[STACK_REASON_BYTES] = "";
    const struct stack_options options = {
        .streams_max = 64, .seed = seed, .text = text, .reason = reason};

    snprintf(text, sizeof(text), "device=wire:name=bench\naddress=10.0.0.%d/24\ndetect=off", which + 1);
    DUO_CHECK(ops->open(&options, &ends[which].stack) == 0);
}

static void open_ends(bool sleeps)
{
    struct stack_addr at = {.family = 4, .port = 80, .ip = {10, 0, 0, 2}};
    uint64_t until = duo_ns() + UINT64_C(10000000000);
    ewi_stream listener;

    for (int which = 0; which < 2; which++)
        open_end(which);
    DUO_CHECK(ops->listen(ends[1].stack, &at, 1, 0, &listener) == 0);
    DUO_CHECK(ops->connect(ends[0].stack, NULL, &at, 0, duo_ns(), &ends[0].stream) == 0);
    while (ops->accept(ends[1].stack, listener, 0, &ends[1].stream) != 0) {
        DUO_CHECK(duo_ns() < until);
        turn(&ends[0]);
        turn(&ends[1]);
    }
    for (int which = 0; which < 2; which++) {
        turn(&ends[which]);
        ends[which].sleeps = sleeps;
        DUO_CHECK(!sleeps || ops->stream_fd(ends[which].stack, ends[which].stream) >= 0);
    }
}

static void close_ends(void)
{
    for (int which = 0; which < 2; which++)
        ops->close(ends[which].stack);
}

/* ---- round trips ---- */

static void send_message(struct end *end, const uint8_t *bytes)
{
    const struct stack_span one = {bytes, MESSAGE};

    while (ops->send(end->stack, end->stream, &one, 1) != MESSAGE)
        continue; /* there is room: the reactor or nobody has the guard */
}

static int64_t take(struct end *end, uint8_t *into, size_t bytes)
{
    int64_t got = ops->recv_into(end->stack, end->stream, &(struct stack_room){into, bytes}, 1);

    DUO_CHECK(got > 0 || got == -EAGAIN);
    return got;
}

static void rest(struct end *end)
{
    struct pollfd look = {.events = POLLIN};

    if (!end->sleeps || ops->stream_arm(end->stack, end->stream, duo_ns()) == 1)
        return;
    look.fd = ops->stream_fd(end->stack, end->stream);
    DUO_CHECK(poll(&look, 1, 1000 * DUO_SPIN_S) == 1);
}

static void await_message(struct end *end, uint8_t *into)
{
    uint64_t looks = 0, until = 0;

    while (take(end, into, MESSAGE) != MESSAGE) {
        rest(end);
        if (++looks % DUO_SPIN_LOOKS == 0) {
            until = until != 0 ? until : duo_ns() + DUO_SPIN_S * UINT64_C(1000000000);
            DUO_CHECK(duo_ns() < until);
        }
    }
}

static void *answer(void *context)
{
    struct end *end = context;

    for (uint64_t i = 0; i < end->count; i++) {
        await_message(end, span[1]);
        send_message(end, span[1]);
    }
    return NULL;
}

static void ask(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        send_message(&ends[0], span[0]);
        await_message(&ends[0], span[0]);
    }
}

/* Both ends in this thread. */
static void ask_and_answer(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        send_message(&ends[0], span[0]);
        await_message(&ends[1], span[1]);
        send_message(&ends[1], span[1]);
        await_message(&ends[0], span[0]);
    }
}

/* One thread: in CPU time, the cost to a core that does nothing else. Two: on the wall. */
static uint64_t clock_of(int threads)
{
    struct timespec now;

    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void measure_round_trips(struct duo *duo, const char *name, int round, int threads, bool sleeps,
                                uint64_t count)
{
    pthread_t thread;
    uint64_t since;

    open_ends(sleeps);
    ends[1].count = count;
    if (threads == 2)
        DUO_CHECK(pthread_create(&thread, NULL, answer, &ends[1]) == 0);
    since = clock_of(threads);
    if (threads == 2)
        ask(count);
    else
        ask_and_answer(count);
    duo_case(duo, name)->value[round] = (double)(clock_of(threads) - since) / (double)count;
    if (threads == 2)
        DUO_CHECK(pthread_join(thread, NULL) == 0);
    close_ends();
}

/* ---- bulk ---- */

static uint64_t send_some(struct end *end, uint64_t left)
{
    const struct stack_span one = {span[0], ewi_min_u64(left, SPAN_BYTES)};
    int64_t step = ops->send(end->stack, end->stream, &one, 1);

    DUO_CHECK(step > 0 || step == -EAGAIN);
    return step > 0 ? (uint64_t)step : 0;
}

static uint64_t take_some(struct end *end)
{
    int64_t got = take(end, span[1], SPAN_BYTES);

    return got > 0 ? (uint64_t)got : 0;
}

static void *take_all(void *context)
{
    struct end *end = context;

    for (uint64_t got = 0; got < end->count;)
        got += take_some(end);
    return NULL;
}

static void measure_bulk(struct duo *duo, const char *name, int round, int threads, uint64_t bytes)
{
    uint64_t since, sent = 0, got = 0;
    pthread_t thread;

    open_ends(false);
    ends[1].count = bytes;
    if (threads == 2)
        DUO_CHECK(pthread_create(&thread, NULL, take_all, &ends[1]) == 0);
    since = clock_of(threads);
    while (sent < bytes || (threads == 1 && got < bytes)) {
        sent += sent < bytes ? send_some(&ends[0], bytes - sent) : 0;
        got += threads == 1 ? take_some(&ends[1]) : 0;
        if (sent == bytes)
            ops->ready(ends[0].stack, ends[0].stream); /* the last ACKs, and what they let go */
    }
    while (threads == 2 && (ops->ready(ends[0].stack, ends[0].stream) & STACK_FAILED) == 0 &&
           pthread_tryjoin_np(thread, NULL) != 0)
        continue;
    duo_case(duo, name)->value[round] = (double)bytes * 8e9 / (double)(clock_of(threads) - since);
    close_ends();
}

int main(int argc, char **argv)
{
    static struct duo duo;
    uint64_t scale;

    ops = wire_stack();
    duo_start(&duo, argc, argv, 7, 3);
    duo_stop(&duo); /* one process is enough */
    scale = duo.quick ? 1 : 4;
    for (int round = 0; round < duo.rounds; round++) {
        measure_round_trips(&duo, "rtt, one thread", round, 1, false, 50000 * scale);
        measure_round_trips(&duo, "rtt, two threads", round, 2, false, 50000 * scale);
        measure_round_trips(&duo, "rtt, two sleepers", round, 2, true, 5000 * scale);
        measure_bulk(&duo, "bulk, one thread", round, 1, (UINT64_C(64) << 20) * scale);
        measure_bulk(&duo, "bulk, two threads", round, 2, (UINT64_C(64) << 20) * scale);
    }
    duo_print(&duo, "shell", "rtt: ns; bulk: bit/s");
    return 0;
}
