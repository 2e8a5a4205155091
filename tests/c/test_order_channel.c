/* Is every release paired with its acquire, in a channel? As test_order_shm.c: for the thread
 * sanitizer, and for tests/weaken. The link is one that does nothing. */
#include "tests/c/order_base.h"
#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/reactor.h"

enum { RING_BYTES = RING_BYTES_MIN };

static alignas(EWI_CACHE_LINE) uint8_t ring[RING_BYTES];
static ew_context *context;
static ew_channel channel, other;
static struct outbox_shared *outbox;
static alignas(OUTBOX_HEAD_BYTES) uint8_t outbox_bytes[OUTBOX_HEAD_BYTES + 64];

static void nothing(ew_channel *unused)
{
    (void)unused;
}

static void nothing_to_release(ew_channel *unused, struct channel_link *link)
{
    (void)unused, (void)link;
}

static void nothing_to_tell(ew_channel *unused, uint32_t wants)
{
    (void)unused, (void)wants;
}

static void nothing_to_say(ew_channel *unused, bool clean)
{
    (void)unused, (void)clean;
}

static void nothing_known(ew_channel *unused, ew_channel_info *out)
{
    (void)unused, (void)out;
}

static int nothing_to_watch(ew_channel *unused)
{
    (void)unused;
    return -1;
}

static uint64_t all_held(ew_channel *unused)
{
    (void)unused;
    return UINT64_MAX;
}

static const struct link_ops no_link = {
    .committed = nothing,
    .taken = nothing,
    .wake = nothing,
    .closing = nothing,
    .hang_up = nothing_to_say,
    .release = nothing_to_release,
    .watch_fd = nothing_to_watch,
    .peer_held = all_held,
};

static void begin_end(ew_channel *end)
{
    free(end->end_text);
    *end = (ew_channel){.context = context,
                        .ops = &no_link,
                        .epoll_fd = -1,
                        .note_fd = -1,
                        .resume.cancel_fd = -1,
                        .outbox = outbox};
    end->link = &end->first_link;
}

/* `channel` writes what `other` reads; the words between them lie in an outbox. */
static void begin(void)
{
    memset(ring, 0, sizeof(ring));
    memset(outbox_bytes, 0, sizeof(outbox_bytes));
    outbox = (struct outbox_shared *)(void *)outbox_bytes;
    begin_end(&channel);
    channel.freed_word = &outbox->taken;
    channel.ended_word = &outbox->ended;
    channel.peer_message_bytes_max = 100;
    ewi_ring_writer_init(&channel.writer, ring, RING_BYTES, 0);
    ewi_ring_reader_init(&channel.reader, ring, RING_BYTES, 0, 0);
    begin_end(&other);
    other.taken_word = &outbox->taken;
    ewi_ring_reader_init(&other.reader, ring, RING_BYTES, 0, 0);
}

/* ---- how far the reader is: T1, T2 ---- */

static void send_one(void)
{
    memcpy(ewi_ring_reserve(&channel.writer, 8), "eastwest", 8);
    ewi_ring_commit(&channel.writer, 8, 0);
}

static void take_one(void)
{
    const uint8_t *payload = NULL;
    struct record record;
    char text[8];

    CHECK_EQ(ewi_ring_peek(&other.reader, &record, &payload), EW_OK);
    memcpy(text, payload, 8);
    CHECK(memcmp(text, "eastwest", 8) == 0);
    plain = 1;
    ewi_ring_consume(&other.reader, record);
    ewi_channel_publish(&other);
}

static void write_again(void)
{
    while (channel.writer.freed == 0) {
        ewi_channel_refresh_room(&channel);
        ewi_relax();
    }
    memset(ring + RECORD_HEADER_BYTES, 0, 8);
}

/* catches: T1 in publish or T2 in refresh_room relaxed */
static void what_was_read_is_written_again_only_after_it(void)
{
    begin();
    send_one();
    beside(take_one, write_again);
}

static void await_consumed(void)
{
    while (ewi_local_link.peer_consumed(&channel) == 0)
        ewi_relax();
    CHECK_EQ(plain, 1);
}

/* catches: T2 in the local link's peer_consumed relaxed: flush */
static void what_was_done_with_a_message_is_done_when_flush_says_so(void)
{
    begin();
    send_one();
    beside(take_one, await_consumed);
}

/* ---- the link goes down: C1, C2 ---- */

static void go_down(void)
{
    plain = 1;
    ewi_channel_link_down(&channel, LINK_HUNG_UP);
}

static void await_down(void)
{
    while (ewi_channel_link_state(&channel) == LINK_UP)
        ewi_relax();
    CHECK_EQ(plain, 1);
}

/* catches: C1 or C2 relaxed */
static void what_came_before_a_link_went_down_is_seen_after_it(void)
{
    begin();
    beside(go_down, await_down);
}

/* ---- the peer says that it has ended: E1, E2 ---- */

static void end_as_peer(void)
{
    plain = 1;
    ewi_local_link.hang_up(&other, true);
}

static void await_ended(void)
{
    while (atomic_load_explicit(&outbox->ended, memory_order_relaxed) == OUTBOX_OPEN) /* O1 */
        ewi_relax();
}

static void ask_for_the_reason(void)
{
    await_ended();
    CHECK_EQ(ewi_channel_end_reason(&channel), EW_ELOST);
    CHECK_EQ(plain, 1);
}

static void send_to_ended(void)
{
    await_ended();
    CHECK_EQ(ew_channel_send(&channel, "x", 1, 0, NULL), EW_EEND);
    CHECK_EQ(plain, 1);
}

/* catches: E1 in the local link or E2 in end_reason relaxed */
static void what_a_peer_did_before_it_ended_is_seen_with_the_reason(void)
{
    begin();
    beside(end_as_peer, ask_for_the_reason);
}

/* catches: E1 in the local link or E2 in send relaxed */
static void what_a_peer_did_before_it_ended_is_seen_by_a_sender(void)
{
    begin();
    beside(end_as_peer, send_to_ended);
}

/* ---- this end is closed: C3, C4 ---- */

static void abort_it(void)
{
    plain = 1;
    ew_channel_abort(&channel);
}

static void await_shut(void)
{
    while (atomic_load_explicit(&channel.shut, memory_order_relaxed) == CHANNEL_OPEN) /* O1 */
        ewi_relax();
}

static void use_it(void)
{
    await_shut();
    CHECK_EQ(ewi_channel_usable(&channel), EW_ECLOSED);
    CHECK_EQ(plain, 1);
}

static void close_it_late(void)
{
    await_shut();
    CHECK_EQ(ew_channel_close(&channel, 0, NULL), EW_OK);
    CHECK_EQ(plain, 1);
}

/* catches: the release of C3 in end_link, or C4 in usable relaxed */
static void what_was_done_before_abort_is_seen_by_who_is_refused(void)
{
    begin();
    beside(abort_it, use_it);
}

/* catches: C4 in close relaxed, where it finds the channel closed */
static void what_was_done_before_abort_is_seen_by_a_later_close(void)
{
    begin();
    beside(abort_it, close_it_late);
}

static void write_then_abort(void)
{
    plain += 1;
    ew_channel_abort(&channel);
    tell_left_is_done();
}

static void abort_after_abort(void)
{
    await_left();
    ew_channel_abort(&channel);
    CHECK_EQ(plain, 1);
}

static void close_after_link_loss(void)
{
    await_left();
    CHECK_EQ(ew_channel_close(&channel, 0, NULL), EW_OK);
    CHECK_EQ(plain, 1);
}

/* catches: the acquire of C3 in end_link: who comes second sees what the first did before */
static void who_ends_second_sees_what_the_first_did(void)
{
    begin();
    beside(write_then_abort, abort_after_abort);
    begin();
    beside(write_then_abort, close_after_link_loss);
}

/* ---- one ends it and is not through, another one finds that out: C3, C4 ---- */

enum { LEFT_HAS_ENDED = 1, RIGHT_HAS_LOOKED = 2, RIGHT_HAS_THE_REACTOR = 1 };

static void stay_in_hang_up(ew_channel *unused, bool clean)
{
    (void)unused, (void)clean;
    tell_step(LEFT_HAS_ENDED);
    await_step(RIGHT_HAS_LOOKED); /* before any lock that the other one takes */
}

static void wait_in_hang_up(ew_channel *unused, bool clean)
{
    (void)unused, (void)clean;
    await_step(RIGHT_HAS_LOOKED);
}

static uint64_t look_how_far(ew_channel *unused)
{
    (void)unused;
    CHECK_EQ(plain, 1);
    tell_step(RIGHT_HAS_LOOKED);
    return UINT64_MAX;
}

static struct link_ops slow_link;

static void begin_slow(void)
{
    begin();
    slow_link = no_link;
    slow_link.hang_up = stay_in_hang_up;
    slow_link.describe = nothing_known;
    slow_link.announce = slow_link.retract = nothing_to_tell;
    slow_link.settle = slow_link.drive = nothing;
    channel.ops = &slow_link;
    channel.peer_address = "";
}

static void abort_behind_the_reactor(void)
{
    await_step(RIGHT_HAS_THE_REACTOR);
    abort_it();
}

/* Who ends it needs the reactor's lock before the one that is taken here: none orders the two. */
static void ask_what_is_known(void)
{
    ew_channel_info info;

    ewi_reactor_lock(context->reactor);
    tell_step(RIGHT_HAS_THE_REACTOR);
    await_shut();
    CHECK_EQ(ew_channel_get_info(&channel, &info), EW_OK);
    CHECK_EQ(info.end_code, EW_ECLOSED);
    CHECK_EQ(plain, 1);
    ewi_reactor_unlock(context->reactor);
}

static void wait_for_data(void)
{
    const struct wait never = {.deadline_ns = EWI_NEVER};

    await_step(LEFT_HAS_ENDED);
    CHECK_EQ(ewi_channel_wait(&channel, WANT_DATA, 0, never), EW_OK);
    CHECK_EQ(plain, 1);
    tell_step(RIGHT_HAS_LOOKED);
}

static void stay_in_closing(ew_channel *unused)
{
    stay_in_hang_up(unused, true); /* CLOSED would release as well: it comes after that */
}

static void close_it(void)
{
    plain = 1;
    CHECK_EQ(ew_channel_close(&channel, 0, NULL), EW_OK);
}

static void use_it_beside_close(void)
{
    await_step(LEFT_HAS_ENDED);
    CHECK_EQ(ewi_channel_usable(&channel), EW_ECLOSED);
    CHECK_EQ(plain, 1);
    tell_step(RIGHT_HAS_LOOKED);
}

/* catches: the release of C3 in close, which says CLOSING */
static void what_was_done_before_close_is_seen_by_who_is_refused(void)
{
    begin_slow();
    slow_link.closing = stay_in_closing;
    slow_link.hang_up = nothing_to_say;
    beside(close_it, use_it_beside_close);
}

static _Atomic bool is_closing;

static void tell_closing(ew_channel *unused)
{
    (void)unused;
    atomic_store_explicit(&is_closing, true, memory_order_relaxed); /* O1 */
    while (atomic_load_explicit(&channel.shut, memory_order_relaxed) != CHANNEL_CLOSED) /* O1 */
        ewi_relax(); /* it wants the lock that is held here, and nothing has ordered the two */
}

static void abort_while_it_closes(void)
{
    while (!atomic_load_explicit(&is_closing, memory_order_relaxed)) /* O1 */
        ewi_relax();
    abort_it();
}

static void close_while_it_is_aborted(void)
{
    CHECK_EQ(ew_channel_close(&channel, 0, NULL), EW_OK);
}

/* catches: C4 in get_info relaxed */
static void what_was_done_before_abort_is_seen_by_who_asks(void)
{
    begin_slow();
    slow_link.hang_up = nothing_to_say;
    beside(abort_behind_the_reactor, ask_what_is_known);
}

/* catches: C4 in is_ready relaxed */
static void what_was_done_before_abort_is_seen_by_who_waits(void)
{
    begin_slow();
    beside(abort_it, wait_for_data);
}

/* catches: C4 in is_closed relaxed */
static void what_was_done_before_abort_is_seen_by_who_is_closing(void)
{
    begin_slow();
    slow_link.closing = tell_closing;
    slow_link.hang_up = wait_in_hang_up;
    slow_link.peer_held = look_how_far;
    atomic_store(&is_closing, false);
    beside(abort_while_it_closes, close_while_it_is_aborted);
}

/* ---- fileno(): D3, D4 ---- */

static void make_note(void)
{
    CHECK(ew_channel_fileno(&channel) >= 0);
}

static void await_note(void)
{
    while (atomic_load_explicit(&channel.note_fd, memory_order_relaxed) < 0) /* O1 */
        ewi_relax();
}

static void note_beside_it(void)
{
    await_note();
    ewi_channel_note(&channel);
}

static void quieten_beside_it(void)
{
    await_note();
    ewi_channel_quieten(&channel);
}

/* catches: D3 or D4 relaxed: the sanitizer knows when a descriptor was made */
static void a_descriptor_is_used_after_it_was_made(void)
{
    begin();
    beside(make_note, note_beside_it);
    ewi_channel_release_fileno(&channel);
    begin();
    beside(make_note, quieten_beside_it);
    ewi_channel_release_fileno(&channel);
}

int main(void)
{
    alarm(100);
    CHECK_EQ(ew_context_open(NULL, &context), EW_OK);
    RUN(what_was_read_is_written_again_only_after_it);
    RUN(what_was_done_with_a_message_is_done_when_flush_says_so);
    RUN(what_came_before_a_link_went_down_is_seen_after_it);
    RUN(what_a_peer_did_before_it_ended_is_seen_with_the_reason);
    RUN(what_a_peer_did_before_it_ended_is_seen_by_a_sender);
    RUN(what_was_done_before_abort_is_seen_by_who_is_refused);
    RUN(what_was_done_before_abort_is_seen_by_a_later_close);
    RUN(what_was_done_before_close_is_seen_by_who_is_refused);
    RUN(who_ends_second_sees_what_the_first_did);
    RUN(what_was_done_before_abort_is_seen_by_who_asks);
    RUN(what_was_done_before_abort_is_seen_by_who_waits);
    RUN(what_was_done_before_abort_is_seen_by_who_is_closing);
    RUN(a_descriptor_is_used_after_it_was_made);
    ew_context_close(context);
    return 0;
}
