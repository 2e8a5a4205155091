/* tests/c/sink_base.h - a channel over a stream that is a list of bytes, in one thread.
 *
 * Purpose    What the tests of transport/stream/sink.h begin with: bytes that come all at once, one at a
 *            time or up to a place, and what a peer says.
 * Shape      begin, say_*, receive_within or expect_message, check_rest, end. The stream's descriptor
 *            is always readable, so that a receiver that sleeps looks again at once.
 * Owner      file-scope variables of the one test program; begin allocates, end frees
 * Threads    one
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants I1  no receive writes behind its buffer, and none leaves a sink open: receive_within.
 * Ordering   none
 * Source     transport/stack.h
 */
#ifndef TESTS_C_SINK_BASE_H
#define TESTS_C_SINK_BASE_H

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/c/harness.h"
#include "transport/channel/channel.h"
#include "transport/context.h"

#define MS INT64_C(1000000)

enum {
    RING = 16 * 1024,
    INBOX = 256 * 1024,
    INBOX_RING = INBOX + STREAM_INBOX_SLACK_BYTES,
    MESSAGE_MAX = 32 << 20,
    PIECE_MAX = RECORD_BYTES_MAX - RECORD_HEADER_BYTES,
    GUARD = 64,
    GUARD_BYTE = 0xA5,
    AT_ONCE = 1, /* a timeout: one look, which may wait */
};

static struct {
    uint8_t *bytes;
    size_t from, to; /* of the bytes that were said */
    size_t step;     /* so many in one call, and then none for one call */
    bool dry;
    bool fin;
} wire;

static ew_context context; /* wait: adaptive with nothing to spin: it sleeps */
static ew_channel *channel;
static struct stream_link *stream;
static uint8_t *message; /* what is sent, MESSAGE_MAX */

/* ---- the stack ---- */

static inline int64_t give(struct ewi_stack *stack, ewi_stream handle, const struct stack_room *rooms,
                           uint32_t count)
{
    size_t left = ewi_min_u64(wire.to - wire.from, wire.step), given = 0;

    (void)stack, (void)handle;
    wire.dry = wire.step != SIZE_MAX && !wire.dry;
    if (wire.dry || left == 0)
        return left == 0 && wire.fin ? 0 : -EAGAIN;
    for (uint32_t i = 0; i < count && left > 0; i++) {
        size_t bytes = ewi_min_u64(rooms[i].bytes, left);

        CHECK(rooms[i].bytes > 0);
        memcpy(rooms[i].base, wire.bytes + wire.from, bytes);
        wire.from += bytes;
        given += bytes;
        left -= bytes;
    }
    return (int64_t)given;
}

static inline int64_t swallow(struct ewi_stack *stack, ewi_stream handle, const struct stack_span *spans,
                              uint32_t count)
{
    int64_t taken = 0;

    (void)stack, (void)handle;
    for (uint32_t i = 0; i < count; i++)
        taken += (int64_t)spans[i].bytes;
    return taken;
}

static inline int nothing(struct ewi_stack *stack, ewi_stream handle)
{
    (void)stack, (void)handle;
    return 0;
}

static const struct stack_ops ops = {.recv_into = give, .send = swallow, .break_off = nothing};

/* ---- what the peer says ---- */

static inline void say(const void *bytes, size_t count)
{
    memcpy(wire.bytes + wire.to, bytes, count);
    wire.to += count;
}

static inline void say_header(uint32_t payload_bytes, enum record_kind kind, uint8_t flags)
{
    uint64_t header = ewi_record_encode(RECORD_HEADER_BYTES + payload_bytes, kind, flags);

    say(&header, sizeof(header));
}

static inline void say_record(const void *payload, uint32_t bytes, uint8_t flags)
{
    static const uint8_t zeros[RECORD_ALIGN];

    say_header(bytes, RECORD_DATA, flags);
    say(payload, bytes);
    say(zeros, -bytes % RECORD_ALIGN);
}

static inline void say_ping(void)
{
    uint8_t bytes[WIRE_CONTROL_BYTES_MAX];

    say(bytes, ewi_wire_put_u64(bytes, RECORD_PING, 7));
}

/* A first fragment of so many payload bytes, its length in front. */
static inline void say_first(uint64_t total, uint32_t bytes)
{
    static uint8_t payload[RECORD_BYTES_MAX];

    memcpy(payload, &total, sizeof(total));
    memcpy(payload + sizeof(total), message, bytes - sizeof(total));
    say_record(payload, bytes, RECORD_MORE | RECORD_TOTAL);
}

/* The message in records of so many payload bytes, from a place in it on. Pings in between. */
static inline void say_message(size_t total, uint32_t piece, bool with_pings)
{
    size_t at = total <= piece ? 0 : piece - RECORD_TOTAL_BYTES;

    if (at > 0)
        say_first(total, piece);
    while (at < total) {
        uint32_t bytes = (uint32_t)ewi_min_u64(total - at, piece);

        if (with_pings)
            say_ping();
        say_record(message + at, bytes, at + bytes < total ? RECORD_MORE : 0);
        at += bytes;
    }
}

/* ---- a channel without a context's reactor ---- */

static inline void begin(bool after_long)
{
    static const uint8_t id[16];
    uint8_t start[WIRE_START_BYTES];

    wire.from = wire.to = 0;
    wire.step = SIZE_MAX;
    wire.dry = wire.fin = false;
    channel = aligned_alloc(EWI_CACHE_LINE, sizeof(*channel));
    CHECK(channel != NULL);
    memset(channel, 0, sizeof(*channel));
    channel->context = &context;
    channel->link = &channel->first_link;
    channel->ops = &ewi_stream_link;
    channel->peer_address = (char *)(uintptr_t)"test";
    channel->message_bytes_max = channel->peer_message_bytes_max = MESSAGE_MAX;
    channel->freed_word = &channel->released;
    channel->ended_word = &channel->peer_ended;
    channel->taken_word = &channel->consumed;
    channel->recv_long = after_long;
    channel->note_fd = channel->epoll_fd = -1;
    stream = &channel->link->stream;
    stream->channel = channel;
    stream->ops = &ops;
    stream->cover = COVER_TICK; /* nobody asks the reactor */
    stream->staging = malloc(STREAM_STAGING_BYTES);
    stream->wake_fd = eventfd(0, EFD_NONBLOCK);
    stream->fd = eventfd(1, EFD_NONBLOCK); /* readable for ever */
    ewi_ring_writer_init(&channel->writer, calloc(1, RING), RING, 0);
    ewi_ring_writer_init(&channel->inbox.writer, calloc(1, INBOX_RING), INBOX_RING, 0);
    ewi_ring_reader_init(&channel->reader, channel->inbox.writer.bytes, INBOX_RING, 0, 0);
    channel->inbox.writer.record_bytes_max = channel->reader.record_bytes_max = RECORD_BYTES_MAX;
    ewi_session_init(&channel->session, false, id, id, INBOX);
    CHECK_EQ(ewi_session_accept(&channel->session, 1, 0, 0), EW_OK);
    CHECK_EQ(ewi_session_attach(&channel->session, 0, INBOX), 0);
    ewi_ring_reader_init(&stream->out, channel->writer.bytes, RING, 0, 0);
    channel->session.limit_said = UINT64_C(1) << 40; /* the peer here hears no ACK */
    say(start, ewi_wire_put_u64(start, RECORD_START, 0));
}

static inline void end(void)
{
    free(channel->partial.bytes);
    free(channel->writer.bytes);
    free(channel->inbox.writer.bytes);
    free(stream->staging);
    close(stream->wake_fd);
    close(stream->fd);
    free(channel);
}

/* With nothing under way, everything that came was taken and consumed, wherever it went. */
static inline void check_rest(void)
{
    CHECK_EQ(channel->reader.position, channel->session.taken);
    CHECK_EQ(channel->inbox.writer.position, channel->session.taken);
    CHECK_EQ(channel->consumed, channel->session.taken);
    CHECK(stream->sink.into == NULL && !channel->sink_open && !channel->sink_full);
    CHECK(!channel->partial.begun);
    CHECK_EQ(wire.from, wire.to);
}

static inline int receive_within(uint8_t *into, size_t room, size_t *bytes, int64_t timeout_ns)
{
    int code;

    memset(into, 0, room);
    memset(into + room, GUARD_BYTE, GUARD);
    code = ew_channel_recv(channel, into, room, bytes, timeout_ns, NULL);
    for (int i = 0; i < GUARD; i++)
        CHECK_EQ(into[room + (size_t)i], GUARD_BYTE);
    CHECK(stream->sink.into == NULL); /* nobody writes there any more */
    return code;
}

static inline void expect_message(size_t total)
{
    uint8_t *into = malloc(total + GUARD);
    size_t bytes = 0;

    CHECK_EQ(receive_within(into, total, &bytes, 60000 * MS), EW_OK);
    CHECK_EQ(bytes, total);
    CHECK(memcmp(into, message, total) == 0);
    free(into);
}

static inline void begin_messages(void)
{
    wire.bytes = malloc(2 * (size_t)MESSAGE_MAX);
    message = malloc(MESSAGE_MAX);
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        message[i] = (uint8_t)(i * 131 + (i >> 8) * 7 + (i >> 16));
}

static inline void end_messages(void)
{
    free(wire.bytes);
    free(message);
}

#endif
