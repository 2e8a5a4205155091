/* Is every release paired with its acquire, where a channel goes over to another link? As
 * test_order_shm.c: who asks how far the peer is does so beside the move. */
#include "tests/c/order_base.h"
#include "tests/c/pair_base.h"
#include "transport/channel/move.c" /* take_outbox is its own */

enum { ROUNDS = 10 }; /* an ACK of the new link may come before the look, and hide it */

static struct pair pair;
static ew_channel *channel;
static struct move move;
static struct outbox_shared *outbox;

/* Over shared memory, each end has received and taken a message. */
static void open_used(void)
{
    uint64_t number;
    size_t length;

    open_contexts(&pair, true);
    pair.connect.address = pair.info.local_address;
    CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, 20000 * MS, NULL, &pair.end[1]), EW_OK);
    for (int end = 0; end < 2; end++) {
        CHECK_EQ(ew_channel_send(pair.end[end], "12345678", 8, -1, NULL), EW_OK);
        CHECK_EQ(ew_channel_recv(pair.end[!end], &number, 8, &length, -1, NULL), EW_OK);
    }
    channel = pair.end[0];
}

static void close_used(void)
{
    ew_channel_free(pair.end[0]);
    ew_channel_free(pair.end[1]);
    ew_listener_free(pair.listener);
    ew_context_close(pair.client);
    ew_context_close(pair.server);
}

static void await_word(const _Atomic uint64_t *word)
{
    while (atomic_load_explicit(word, memory_order_relaxed) == 0) /* O1 */
        ewi_relax();
}

/* ---- to a stream: T1, F1 ---- */

static void go_to_tcp(void)
{
    plain = 1;
    CHECK_EQ(ew_channel_switch(channel, pair.info.tcp_address, 20000 * MS, NULL), EW_OK);
}

static void ask_for_consumed(void)
{
    await_word(&channel->consumed);
    CHECK(atomic_load_explicit(&channel->consumed, memory_order_acquire) > 0); /* T2: the drive's */
    CHECK_EQ(plain, 1);
}

static void ask_what_is_held(void)
{
    await_word(&channel->peer_taken);
    CHECK(ewi_stream_link.peer_held(channel) > 0);
    CHECK_EQ(plain, 1);
}

static void ask_what_is_released(void)
{
    await_word(&channel->released);
    CHECK(atomic_load_explicit(&channel->released, memory_order_acquire) > 0); /* T2: refresh_room's */
    CHECK_EQ(plain, 1);
}

static void ask_what_is_consumed(void)
{
    await_word(&channel->peer_consumed);
    CHECK(ewi_stream_link.peer_consumed(channel) > 0);
    CHECK_EQ(plain, 1);
}

/* catches: T1 or one of the three F1 of adopt_stream relaxed */
static void what_came_before_a_move_is_seen_by_who_asks_how_far_the_peer_is(void)
{
    void (*const asks[])(void) = {ask_for_consumed, ask_what_is_held, ask_what_is_released,
                                  ask_what_is_consumed};

    for (int round = 0; round < 4 * ROUNDS; round++) {
        open_used();
        beside(go_to_tcp, asks[round % 4]);
        close_used();
    }
}

/* ---- to shared memory: T1 ---- */

static void take_new_outbox(void)
{
    plain = 1;
    take_outbox(&move);
}

static void ask_as_the_peer(void)
{
    static ew_channel peer;

    await_word(&outbox->taken);
    peer.freed_word = &outbox->taken;
    CHECK(ewi_local_link.peer_consumed(&peer) > 0);
    CHECK_EQ(plain, 1);
}

/* catches: T1 of take_outbox relaxed */
static void what_was_read_before_a_move_is_read_when_the_new_outbox_says_so(void)
{
    struct region old;

    open_used();
    old = channel->outbox_region;
    ewi_move_begin(channel, true, "a test", &move);
    CHECK_EQ(ewi_move_fill(&move, channel->writer.position), EW_OK);
    outbox = move.outbox.base;
    beside(take_new_outbox, ask_as_the_peer);
    ewi_region_release(&ewi_os_default, &old);
    close_used();
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(what_came_before_a_move_is_seen_by_who_asks_how_far_the_peer_is);
    RUN(what_was_read_before_a_move_is_read_when_the_new_outbox_says_so);
    rmdir(directory);
    return 0;
}
