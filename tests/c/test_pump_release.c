/* tests/c/test_pump_release.c - what a link has still to send stays in the ring, whatever the peer has.
 *
 * A link may begin before what the peer has: its hello was overtaken by an ACK on the link before.
 * Found by ten thousand switches between two namespaces: "a frame that cannot be". */
#include <errno.h>
#include <stdlib.h>

#include "tests/c/harness.h"
#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/stream/pump.h"

enum { RING = 16 * 1024, INBOX = RECORD_BYTES_MAX, RECORDS = 20, PAYLOAD = 100 };

static struct { /* a stack that gives what the peer said and takes what it is told to */
    uint8_t bytes[64];
    uint32_t have, takes;
} wire;

static int64_t take(struct ewi_stack *stack, ewi_stream stream, const struct stack_span *spans,
                    uint32_t count)
{
    uint64_t offered = 0;
    uint32_t taken;

    (void)stack, (void)stream;
    for (uint32_t i = 0; i < count; i++)
        offered += spans[i].bytes;
    taken = (uint32_t)ewi_min_u64(offered, wire.takes);
    wire.takes -= taken;
    return taken > 0 ? (int64_t)taken : -EAGAIN;
}

static int64_t give(struct ewi_stack *stack, ewi_stream stream, const struct stack_room *rooms,
                    uint32_t count)
{
    uint32_t have = (uint32_t)ewi_min_u64(wire.have, rooms[0].bytes);

    (void)stack, (void)stream, (void)count;
    memcpy(rooms[0].base, wire.bytes, have);
    wire.have -= have;
    return have > 0 ? (int64_t)have : -EAGAIN;
}

static const struct stack_ops ops = {.send = take, .recv_into = give};

static ew_channel *begin(ew_context *context)
{
    static const uint8_t id[16];
    ew_channel *channel = aligned_alloc(EWI_CACHE_LINE, sizeof(*channel));
    struct stream_link *link;

    CHECK(channel != NULL);
    memset(channel, 0, sizeof(*channel));
    channel->context = context;
    channel->link = &channel->first_link;
    channel->ops = &ewi_stream_link;
    link = &channel->link->stream;
    link->channel = channel;
    link->ops = &ops;
    link->cover = COVER_TICK; /* nobody asks the reactor */
    link->staging = calloc(1, STREAM_STAGING_BYTES);
    channel->note_fd = link->wake_fd = -1;
    ewi_ring_writer_init(&channel->writer, calloc(1, RING), RING, 0);
    ewi_ring_writer_init(&channel->inbox.writer, calloc(1, INBOX), INBOX, 0);
    ewi_session_init(&channel->session, false, id, id, INBOX);
    return channel;
}

/* catches: space that is free as soon as the peer has it; a run that is released before its end */
static void an_ack_ahead_of_the_link_frees_nothing_that_is_still_to_be_sent(void)
{
    static ew_context context;
    ew_channel *channel = begin(&context);
    struct stream_link *link = &channel->link->stream;
    struct wire_ack ack;
    uint64_t all;

    for (int i = 0; i < RECORDS; i++) {
        CHECK(ewi_ring_reserve(&channel->writer, PAYLOAD) != NULL);
        ewi_ring_commit(&channel->writer, PAYLOAD, 0);
    }
    all = channel->writer.position;
    ewi_session_on_sent(&channel->session, all); /* on the link before */
    CHECK_EQ(ewi_session_accept(&channel->session, 1, 0, all), EW_OK);
    CHECK_EQ(ewi_session_attach(&channel->session, 0, INBOX), 0);
    ewi_ring_reader_init(&link->out, channel->writer.bytes, RING, 0, 0);
    ack = (struct wire_ack){.taken = all, .consumed = all, .limit = all + INBOX};
    wire.have = ewi_wire_put_u64(wire.bytes, RECORD_START, 0);
    wire.have += ewi_wire_put_ack(wire.bytes + wire.have, &ack);
    wire.takes = PAYLOAD; /* in the middle of the first record */
    channel->ops->drive(channel);
    CHECK_EQ(channel->peer_taken, all);
    CHECK_EQ(channel->released, 0);
    wire.takes = 1 << 20;
    channel->ops->drive(channel);
    CHECK_EQ(channel->released, all);
    free(channel->writer.bytes);
    free(channel->inbox.writer.bytes);
    free(link->staging);
    free(channel);
}

int main(void)
{
    RUN(an_ack_ahead_of_the_link_frees_nothing_that_is_still_to_be_sent);
    return 0;
}
