/* tests/c/shell_threads.h - threads around two stacks of ours on a wire: reactors, sleepers, a watchdog.
 *
 * Purpose    What the tests of transport/shell with threads share.
 * Shape      struct reactor: poll, arm, sleep on wait_fd, as the library's does. sleep_on_stream(): one
 *            sleep of an application. Whoever waits for longer than WATCHDOG_MS fails with the state of
 *            the stack.
 * Owner      reactor_stop() joins.
 * Threads    see each
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants none
 * Ordering   stop is a flag, read again after each kick
 * Source     transport/stack.h
 */
#ifndef TESTS_C_SHELL_THREADS_H
#define TESTS_C_SHELL_THREADS_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/c/stack_pair.h"

enum { WATCHDOG_MS = 8000 };

struct reactor {
    struct side *side;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic uint64_t loops, events, event_at;
    ewi_stream reads; /* a stream whose bytes it takes */
};

static inline void print_stack(const char *name, struct ewi_stack *stack)
{
    const struct shell_counts *counts = &stack->counts;

    ewi_shell_enter(stack);
    fprintf(stderr,
            "%s: drives %" PRIu64 " ticks %" PRIu64 " covers %" PRIu64 " signals %" PRIu64 " arms %" PRIu64
            " lost %" PRIu64 "; armed %d watcher %u home %d driven %d kicked %d left %u short %d free %u "
            "timer in %" PRId64 " us, deadline in %" PRId64 " us\n",
            name, counts->drives, counts->ticks, counts->covers, counts->signals, counts->arms,
            counts->frames_lost, stack->is_armed, stack->watcher, stack->home_fd, stack->is_driven,
            stack->kick.marked, stack->frames_left, stack->is_short, stack->chunks.free,
            (int64_t)(stack->timer_at - ewi_now_ns()) / 1000,
            (int64_t)(stack->deadline - ewi_now_ns()) / 1000);
    for (uint32_t i = 0; i < stack->streams_used; i++) {
        struct shell_stream *stream = &stack->stream[i];

        if (stream->kind == SHELL_FREE)
            continue;
        fprintf(stderr, "    %u: kind %d levels %#x sleeping %d signalled %d wants_room %#" PRIxPTR " held %" PRIu64
                        " error %d finished %d\n", i, stream->kind, ewi_shell_levels(stack, stream),
                stream->sleeping, stream->signalled, stream->wants_room,
                stream->out.end - stream->out.start, stream->error, stream->finished);
    }
    ewi_lock_give(&stack->guard);
}

/* One step of a reactor: not later than in 100 ms. */
static inline void reactor_turn(struct reactor *reactor)
{
    struct side *side = reactor->side;
    struct stack_event events[16];
    struct pollfd look = {.fd = side->ops->wait_fd(side->stack), .events = POLLIN};
    uint64_t deadline;
    char block[4096];
    int count = side->ops->poll(side->stack, ewi_now_ns(), events, 16, &deadline);

    atomic_fetch_add(&reactor->loops, 1);
    for (int i = 0; i < count; i++) {
        atomic_fetch_add(&reactor->events, 1);
        if (events[i].stream == reactor->reads &&
            side->ops->recv_into(side->stack, events[i].stream, &(struct stack_room){block, 4096}, 1) > 0)
            atomic_store(&reactor->event_at, ewi_now_ns());
    }
    if (side->ops->arm(side->stack, ewi_now_ns()) == 0)
        CHECK(poll(&look, 1, WATCHDOG_MS) == 1); /* there is always a timer */
}

static inline void *reactor_run(void *context)
{
    struct reactor *reactor = context;

    while (!atomic_load(&reactor->stop))
        reactor_turn(reactor);
    return NULL;
}

static inline void reactor_start(struct reactor *reactor, struct side *side)
{
    *reactor = (struct reactor){.side = side, .reads = reactor->reads};
    CHECK_EQ(pthread_create(&reactor->thread, NULL, reactor_run, reactor), 0);
}

static inline void reactor_stop(struct reactor *reactor)
{
    atomic_store(&reactor->stop, true);
    reactor->side->ops->kick(reactor->side->stack);
    CHECK_EQ(pthread_join(reactor->thread, NULL), 0);
}

/* As an application: false, there was no need to. */
static inline bool sleep_on_stream(struct duo *duo, int which, ewi_stream stream)
{
    struct side *side = &duo->side[which];
    struct pollfd look = {.fd = side->ops->stream_fd(side->stack, stream), .events = POLLIN};
    int ready = side->ops->stream_arm(side->stack, stream, ewi_now_ns());

    CHECK(ready == 0 || ready == 1);
    if (ready == 1)
        return false;
    if (poll(&look, 1, WATCHDOG_MS) == 1)
        return true;
    fprintf(stderr, "\nstream %#" PRIx64 " of side %d is never woken\n", stream, which);
    print_stack("side 0", duo->side[0].stack);
    print_stack("side 1", duo->side[1].stack);
    CHECK(!"woken");
    return true;
}

static inline bool is_asleep(struct duo *duo, int which, ewi_stream stream)
{
    struct ewi_stack *stack = duo->side[which].stack;
    bool asleep;

    ewi_shell_enter(stack);
    asleep = stack->stream[(uint32_t)stream].sleeping;
    ewi_lock_give(&stack->guard);
    return asleep;
}

/* Another thread has armed it: from then on it may be woken. */
static inline void until_asleep(struct duo *duo, int which, ewi_stream stream)
{
    const struct timespec moment = {.tv_nsec = 100000};
    uint64_t end = ewi_now_ns() + WAIT_NS;

    while (!is_asleep(duo, which, stream)) {
        CHECK(ewi_now_ns() < end);
        nanosleep(&moment, NULL);
    }
}

/* One more connection. */
static inline void connect_more(struct duo *duo, ewi_stream *opener, ewi_stream *accepted)
{
    *opener = connect_to(duo);
    await_event(duo, 0, *opener, STACK_CONNECTED, USER_OPENER);
    *accepted = accept_one(duo);
    forget_events(duo);
    turn(duo);
    forget_events(duo);
}

#endif
