/* Sends that follow one another closely leave together: transport/stream/burst.h. What a send costs is
 * made up, so that it does not matter how busy the machine is. */
#include <pthread.h>
#include <sched.h>

#include "tests/c/pair_base.h"
#include "transport/channel/channel.h"
#include "transport/context.h"

enum { US = 1000, TEXT_BYTES = 64, LONG = 30 * SECOND_MS };

static struct pair pair;
static ew_channel *channel;
static struct stream_burst *burst;
static struct stack_ops counting;
static _Atomic uint32_t system_calls;

static int64_t counted_send(struct ewi_stack *stack, ewi_stream stream, const struct stack_span *spans,
                            uint32_t count)
{
    atomic_fetch_add(&system_calls, 1);
    return ewi_kernel_stack.send(stack, stream, spans, count);
}

static void begin(void)
{
    open_pair(&pair, true);
    channel = pair.end[0];
    burst = &channel->link->stream.burst;
    counting = *channel->link->stream.ops;
    counting.send = counted_send;
    ewi_lock_enter(&channel->link->stream.drive_lock); /* the reactor may be at it */
    channel->link->stream.ops = &counting;
    ewi_lock_give(&channel->link->stream.drive_lock);
    CHECK(burst->possible);
}

/* From now on every sender is bound by what a send costs. */
static void begin_in_a_burst(void)
{
    begin();
    burst->ended_ns = ewi_now_ns();
    burst->cost_ns = UINT64_C(3600) * 1000 * 1000 * 1000;
    burst->position = burst->rung = channel->writer.position;
    atomic_store(&burst->in_a_row, BURST_DIRECT);
    atomic_store(&system_calls, 0);
}

/* From now on nobody but the test sends. */
static void stop_the_reactor(void)
{
    ewi_reactor_lock(channel->context->reactor);
    atomic_store(&system_calls, 0);
}

static bool all_has_left(void)
{
    struct stream_link *link = &channel->link->stream;
    uint64_t left;

    ewi_lock_enter(&link->drive_lock);
    left = link->out.position;
    ewi_lock_give(&link->drive_lock);
    return left == channel->writer.position;
}

static void end(void)
{
    close_both(&pair);
}

static void send_numbers(uint32_t from, uint32_t to)
{
    uint8_t message[TEXT_BYTES] = {0};

    for (; from < to; from++) {
        memcpy(message, &from, sizeof(from));
        CHECK_EQ(ew_channel_send(channel, message, sizeof(message), LONG * MS, NULL), EW_OK);
    }
}

static void expect_numbers(uint32_t from, uint32_t to)
{
    uint8_t message[TEXT_BYTES];
    uint32_t number;
    size_t bytes;

    for (; from < to; from++) {
        CHECK_EQ(ew_channel_recv(pair.end[1], message, sizeof(message), &bytes, LONG * MS, NULL), EW_OK);
        memcpy(&number, message, sizeof(number));
        CHECK_EQ(number, from);
    }
}

/* ---- the rule ---- */

/* A send that begins `think` after the last one and takes `cost`. True: it was held. */
static bool pretend(uint64_t *now_ns, uint64_t think, uint64_t cost, uint32_t bytes)
{
    bool held;

    *now_ns += think;
    channel->writer.position += bytes;
    ewi_reactor_lock(channel->context->reactor); /* so that no other thread has it: that is another test */
    held = ewi_burst_holds(channel, *now_ns);
    ewi_reactor_unlock(channel->context->reactor);
    if (!held) {
        ewi_burst_rung(channel, *now_ns, *now_ns + cost);
        *now_ns += cost;
    }
    return held;
}

static uint32_t sends_until_held(uint64_t think, uint64_t cost, uint32_t bytes)
{
    uint64_t now = ewi_now_ns(), position = channel->writer.position;
    uint32_t count = 0;

    (void)ewi_burst_over(channel);
    burst->ended_ns = now;
    while (!pretend(&now, think, cost, bytes) && count < 1000)
        count++;
    channel->writer.position = burst->position = burst->rung = position;
    return count;
}

/* catches: a first answer that is held, a sender with time on its hands that is held */
static void only_who_is_bound_by_sending_is_held(void)
{
    begin();
    CHECK_EQ(sends_until_held(1 * US, 5 * US, TEXT_BYTES), BURST_DIRECT);
    CHECK_EQ(sends_until_held(2 * US + 499, 5 * US, TEXT_BYTES), BURST_DIRECT);
    CHECK_EQ(sends_until_held(2 * US + 500, 5 * US, TEXT_BYTES), 1000);
    CHECK_EQ(sends_until_held(0, 999, TEXT_BYTES), 1000);        /* sending is cheap */
    CHECK_EQ(sends_until_held(1, 5 * US, BURST_RECORD_BYTES_MAX), BURST_DIRECT);
    CHECK_EQ(sends_until_held(1, 5 * US, BURST_RECORD_BYTES_MAX + 1), 1000);
    CHECK_EQ(sends_until_held(6 * US, 1000 * US, TEXT_BYTES), 1000); /* one that was interrupted */
    end();
}

static void who_asks_for_something_else_begins_anew(void)
{
    uint64_t now;

    begin();
    now = ewi_now_ns();
    for (int i = 0; i < BURST_DIRECT; i++)
        CHECK(!pretend(&now, 1, 5 * US, 0));
    CHECK(pretend(&now, 1, 5 * US, 0));
    (void)ewi_burst_over(channel);
    for (int i = 0; i < BURST_DIRECT; i++)
        CHECK(!pretend(&now, 1, 5 * US, 0));
    CHECK(pretend(&now, 1, 5 * US, 0));
    end();
}

/* catches: a receiver that does not end the burst, and waits for the answer to what lies in its own ring */
static void a_receiver_sends_what_is_held(void)
{
    uint8_t byte;
    size_t bytes;

    begin_in_a_burst();
    send_numbers(0, 3);
    CHECK_EQ(ew_channel_recv(channel, &byte, 1, &bytes, 0, NULL), EW_EAGAIN);
    CHECK(all_has_left());
    CHECK_EQ(atomic_load(&burst->in_a_row), 0);
    expect_numbers(0, 3);
    end();
}

/* catches: only one that finds nothing does */
static void who_receives_what_is_there_sends_what_is_held(void)
{
    uint32_t number;
    size_t bytes;

    begin_in_a_burst();
    stop_the_reactor();
    for (int i = 0; i < 2; i++)
        CHECK_EQ(ew_channel_send(pair.end[1], "1234", 4, LONG * MS, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(channel, &number, 4, &bytes, LONG * MS, NULL), EW_OK);
    atomic_store(&burst->in_a_row, BURST_DIRECT);
    burst->ended_ns = ewi_now_ns();
    send_numbers(0, 3);
    CHECK(!all_has_left());
    CHECK_EQ(ew_channel_recv(channel, &number, 4, &bytes, LONG * MS, NULL), EW_OK);
    CHECK(all_has_left());
    expect_numbers(0, 3);
    ewi_reactor_unlock(channel->context->reactor);
    end();
}

/* ---- who cannot be asked ---- */

static _Atomic int steps;

static void *occupy_the_reactor(void *unused)
{
    (void)unused;
    ewi_reactor_lock(channel->context->reactor);
    ewi_cover_activate(channel); /* else the first send does, and waits */
    atomic_store(&steps, 1);
    while (atomic_load(&steps) == 1)
        sched_yield();
    ewi_reactor_unlock(channel->context->reactor);
    return NULL;
}

/* catches: a send that waits for the reactor's mutex, one that is held although nobody will come (I1) */
static void a_send_does_not_wait_for_a_reactor_that_is_busy(void)
{
    pthread_t thread;

    begin_in_a_burst();
    atomic_store(&steps, 0);
    CHECK_EQ(pthread_create(&thread, NULL, occupy_the_reactor, NULL), 0);
    while (atomic_load(&steps) == 0)
        sched_yield();
    send_numbers(0, 3);
    CHECK(all_has_left());
    CHECK(!atomic_load(&burst->asked));
    atomic_store(&steps, 2);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    burst->ended_ns = ewi_now_ns();
    send_numbers(3, 6); /* now it may be held again, and leaves by itself */
    expect_numbers(0, 6);
    end();
}

/* ---- what is held leaves ---- */

/* catches: a reactor that is not asked (I1), asked once only, or forgets one of two links */
static void what_is_held_leaves_although_the_sender_does_nothing(void)
{
    begin_in_a_burst();
    for (uint32_t i = 0; i < 50; i++) {
        send_numbers(3 * i, 3 * i + 3);
        expect_numbers(3 * i, 3 * i + 3);
    }
    end();
}

static void many_sends_are_few_system_calls(void)
{
    enum { COUNT = 20000 };
    uint32_t calls;

    begin_in_a_burst();
    send_numbers(0, 100); /* of which the peer's inbox holds all */
    expect_numbers(0, 100);
    calls = atomic_load(&system_calls);
    printf("\n  %u system calls for 100 messages", calls);
    CHECK(calls > 0 && calls < 100);
    end();
}

/* With so many bytes the sender goes by itself: the reactor may be busy. */
static void so_many_bytes_leave_at_once(void)
{
    uint32_t each = RECORD_HEADER_BYTES + TEXT_BYTES, fit = BURST_BYTES_MAX / each;

    begin_in_a_burst();
    stop_the_reactor();
    send_numbers(0, fit);
    CHECK_EQ(atomic_load(&system_calls), 0);
    send_numbers(fit, fit + 1);
    CHECK(atomic_load(&system_calls) != 0);
    expect_numbers(0, fit + 1);
    ewi_reactor_unlock(channel->context->reactor);
    end();
}

/* catches: a link in the list that is gone; a close that leaves behind what is held */
static void who_closes_leaves_nothing_behind(void)
{
    begin_in_a_burst();
    send_numbers(0, 5);
    CHECK_EQ(ew_channel_close(channel, LONG * MS, NULL), EW_OK);
    expect_numbers(0, 5);
    end();
    begin_in_a_burst();
    send_numbers(0, 5);
    ew_channel_free(pair.end[0]);
    pair.end[0] = NULL;
    end();
}

/* catches: a flush without time that only looks */
static void flush_sends_what_is_held_and_waits_for_it(void)
{
    begin_in_a_burst();
    stop_the_reactor();
    send_numbers(0, 5);
    CHECK_EQ(atomic_load(&system_calls), 0);
    CHECK_EQ(ew_channel_flush(channel, 0, NULL), EW_EAGAIN);
    CHECK(atomic_load(&system_calls) != 0);
    expect_numbers(0, 5);
    ewi_reactor_unlock(channel->context->reactor);
    CHECK_EQ(ew_channel_flush(channel, LONG * MS, NULL), EW_OK);
    end();
}

/* catches: an end of the messages that is held as if more could follow */
static void the_end_of_the_messages_leaves_at_once(void)
{
    begin_in_a_burst();
    stop_the_reactor();
    send_numbers(0, 5);
    CHECK_EQ(ew_channel_send_eof(channel), EW_OK);
    CHECK(atomic_load(&system_calls) != 0);
    CHECK(all_has_left());
    expect_numbers(0, 5);
    ewi_reactor_unlock(channel->context->reactor);
    end();
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(only_who_is_bound_by_sending_is_held);
    RUN(who_asks_for_something_else_begins_anew);
    RUN(a_receiver_sends_what_is_held);
    RUN(who_receives_what_is_there_sends_what_is_held);
    RUN(a_send_does_not_wait_for_a_reactor_that_is_busy);
    RUN(what_is_held_leaves_although_the_sender_does_nothing);
    RUN(many_sends_are_few_system_calls);
    RUN(so_many_bytes_leave_at_once);
    RUN(who_closes_leaves_nothing_behind);
    RUN(flush_sends_what_is_held_and_waits_for_it);
    RUN(the_end_of_the_messages_leaves_at_once);
    rmdir(directory);
    return 0;
}
