/* Is every release paired with its acquire, on a stream link? As test_order_shm.c. The files are
 * included, so that the very functions can be called without the locks that hide what they order. */
#include "tests/c/order_base.h"
#include "tests/c/pair_base.h"
#include "transport/stream/burst.c"
#include "transport/stream/link.c"
#include "transport/stream/pump.c"

static struct pair pair;
static ew_channel *channel; /* the opener's end; nobody but the test drives it */
static struct stream_link *stream;

static void open_driven(void)
{
    open_pair(&pair, true);
    channel = pair.end[0];
    stream = &channel->link->stream;
}

/* From now on what arrives is read by the test, and by nobody else. */
static void take_over(void)
{
    ewi_lock_enter(&stream->drive_lock);
}

static void close_driven(void)
{
    ewi_lock_give(&stream->drive_lock);
    ew_channel_free(pair.end[0]);
    ew_channel_free(pair.end[1]);
    ew_listener_free(pair.listener);
    ew_context_close(pair.client);
    ew_context_close(pair.server);
}

/* ---- how far the peer is: F1, F2 ---- */

static uint64_t far(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed); /* O1 */
}

static void pump_until_acknowledged(void)
{
    plain = 1;
    while (far(&channel->peer_taken) == 0 || far(&channel->peer_consumed) == 0)
        ewi_pump_in(channel);
}

static void ask_what_is_held(void)
{
    while (far(&channel->peer_taken) == 0)
        ewi_relax();
    CHECK(ewi_stream_link.peer_held(channel) > 0);
    CHECK_EQ(plain, 1);
}

static void ask_what_is_consumed(void)
{
    while (far(&channel->peer_consumed) == 0)
        ewi_relax();
    CHECK(ewi_stream_link.peer_consumed(channel) > 0);
    CHECK_EQ(plain, 1);
}

static void acknowledge_beside(void (*ask)(void))
{
    uint64_t number;
    size_t length;

    open_driven();
    CHECK_EQ(ew_channel_send(channel, "12345678", 8, -1, NULL), EW_OK);
    take_over();
    CHECK_EQ(ew_channel_recv(pair.end[1], &number, 8, &length, -1, NULL), EW_OK);
    beside(pump_until_acknowledged, ask);
    close_driven();
}

/* catches: F1 of peer_taken, or F2 in peer_held relaxed */
static void what_came_before_an_ack_is_seen_by_who_asks_what_is_held(void)
{
    acknowledge_beside(ask_what_is_held);
}

/* catches: F1 of peer_consumed, or F2 in peer_consumed relaxed */
static void what_came_before_an_ack_is_seen_by_who_asks_what_is_consumed(void)
{
    acknowledge_beside(ask_what_is_consumed);
}

/* ---- what the link has no use for any more: F1, T2 ---- */

static void pump_until_released(void)
{
    plain = 1;
    do
        ewi_pump_in(channel);
    while (!ewi_pump_release(channel));
}

static void write_behind_the_link(void)
{
    while (far(&channel->released) == 0)
        ewi_relax();
    ewi_channel_refresh_room(channel);
    CHECK(channel->writer.freed > 0);
    CHECK_EQ(plain, 1);
}

/* catches: F1 of released relaxed */
static void a_record_is_written_over_after_the_link_let_go_of_it(void)
{
    uint64_t number;
    size_t length;

    open_driven();
    take_over();
    CHECK_EQ(ew_channel_send(channel, "12345678", 8, -1, NULL), EW_OK);
    ewi_pump_out(channel);
    CHECK_EQ(ew_channel_recv(pair.end[1], &number, 8, &length, -1, NULL), EW_OK);
    beside(pump_until_released, write_behind_the_link);
    close_driven();
}

/* ---- the peer has closed: F1, F2 ---- */

static void take_close(void)
{
    plain = 1;
    on_taken(channel, (struct record){.kind = RECORD_CLOSE});
}

static void send_to_closed(void)
{
    while (atomic_load_explicit(&channel->peer_ended, memory_order_relaxed) == OUTBOX_OPEN) /* O1 */
        ewi_relax();
    CHECK_EQ(ew_channel_send(channel, "x", 1, 0, NULL), EW_EEND);
    CHECK_EQ(plain, 1);
}

/* catches: F1 of peer_ended relaxed */
static void what_came_before_close_is_seen_by_a_sender(void)
{
    open_driven();
    take_over();
    beside(take_close, send_to_closed);
    close_driven();
}

/* ---- how far we are: T1, T2 ---- */

static void read_and_publish(void)
{
    plain = 1;
    channel->reader.position = 8;
    ewi_channel_publish(channel);
}

static void write_to_the_inbox_again(void)
{
    while (channel->inbox.writer.freed == 0) {
        refresh_inbox(channel);
        ewi_relax();
    }
    CHECK_EQ(plain, 1);
}

static void acknowledge(void)
{
    while (consumed_by(channel) == 0)
        ewi_relax();
    CHECK_EQ(plain, 1);
}

static void publish_beside(void (*other)(void))
{
    open_driven();
    take_over();
    channel->inbox.writer.position = channel->session.taken = 8; /* a record that was stored */
    beside(read_and_publish, other);
    close_driven();
}

/* catches: T2 in refresh_inbox relaxed */
static void the_inbox_is_written_again_after_it_was_read(void)
{
    publish_beside(write_to_the_inbox_again);
}

/* catches: T2 in consumed_by relaxed */
static void an_ack_leaves_after_what_the_application_did(void)
{
    publish_beside(acknowledge);
}

/* ---- who finds that the reactor was asked is sent for: B1, B2 ---- */

static struct stream_burst_list bursts;

static void hold(void)
{
    plain = 1;
    CHECK(ewi_burst_holds(channel, 1));
    tell_left_is_done();
}

static void send_what_is_held(void)
{
    await_left();
    on_time(&bursts, 0, 1);
    CHECK_EQ(plain, 1);
}

/* catches: B1 or B2 relaxed */
static void what_is_held_is_seen_by_the_reactor_that_was_asked_before(void)
{
    open_driven();
    take_over();
    stream->burst = (struct stream_burst){.possible = true, .cost_ns = BURST_COST_NS_MAX, .listed = true};
    stream->burst.position = channel->writer.position;
    stream->burst.rung = channel->writer.position;
    atomic_init(&stream->burst.in_a_row, BURST_DIRECT);
    atomic_init(&stream->burst.asked, true);
    bursts.first = stream;
    beside(hold, send_what_is_held);
    stream->burst.listed = false;
    close_driven();
}

/* ---- who finds the lock taken is driven for: D1, D2 ---- */

enum { RIGHT_HAS_THE_LOCK = 1, LEFT_HAS_RUNG = 2 };

static struct stack_ops watched;

static int64_t look_at_plain(struct ewi_stack *stack, ewi_stream handle,
                             const struct stack_room *rooms, uint32_t count)
{
    (void)stack, (void)handle, (void)rooms, (void)count;
    CHECK_EQ(plain, 1);
    return -EAGAIN;
}

static int64_t wait_then_look(struct ewi_stack *stack, ewi_stream handle,
                              const struct stack_room *rooms, uint32_t count)
{
    watched.recv_into = look_at_plain; /* the next time; now nothing has rung */
    (void)stack, (void)handle, (void)rooms, (void)count;
    tell_step(RIGHT_HAS_THE_LOCK);
    await_step(LEFT_HAS_RUNG);
    return -EAGAIN;
}

static void ring_at_a_taken_lock(void)
{
    await_step(RIGHT_HAS_THE_LOCK);
    plain = 1;
    ring(channel, BELL_IN | BELL_OUT);
    tell_step(LEFT_HAS_RUNG);
}

static void poll_after_it_rang(void)
{
    take_over();
    tell_step(RIGHT_HAS_THE_LOCK);
    await_step(LEFT_HAS_RUNG);
    ewi_lock_give(&stream->drive_lock);
    drive_as_poller(channel);
    take_over();
}

static void drive_while_it_rings(void)
{
    ring(channel, BELL_IN);
    take_over();
}

static void ring_beside(void (*right)(void), int64_t (*receive)(struct ewi_stack *, ewi_stream,
                                                                const struct stack_room *,
                                                                uint32_t))
{
    open_driven();
    ewi_cover_forget(stream); /* the reactor drives no more */
    watched = *stream->ops;
    watched.recv_into = receive;
    stream->ops = &watched;
    beside(ring_at_a_taken_lock, right);
    stream->ops = &ewi_kernel_stack;
    close_driven();
}

/* catches: the release of D1, or the acquire of D2 in drive_as_poller */
static void what_was_done_before_a_bell_is_seen_by_the_poller(void)
{
    ring_beside(poll_after_it_rang, look_at_plain);
}

/* catches: the release of D1, or the acquire of D2 in ring */
static void what_was_done_before_a_bell_is_seen_by_who_drives(void)
{
    ring_beside(drive_while_it_rings, wait_then_look);
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(what_came_before_an_ack_is_seen_by_who_asks_what_is_held);
    RUN(what_came_before_an_ack_is_seen_by_who_asks_what_is_consumed);
    RUN(a_record_is_written_over_after_the_link_let_go_of_it);
    RUN(what_came_before_close_is_seen_by_a_sender);
    RUN(the_inbox_is_written_again_after_it_was_read);
    RUN(what_is_held_is_seen_by_the_reactor_that_was_asked_before);
    RUN(an_ack_leaves_after_what_the_application_did);
    RUN(what_was_done_before_a_bell_is_seen_by_the_poller);
    RUN(what_was_done_before_a_bell_is_seen_by_who_drives);
    rmdir(directory);
    return 0;
}
