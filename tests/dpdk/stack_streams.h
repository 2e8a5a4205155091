/* tests/dpdk/stack_streams.h - what the streams of stack_peer do: sources, sinks, echoes, questions, talk.
 *
 * Purpose    Small applications over transport/stack.h, driven by its events.
 * Shape      roles and lines are those of tests/net/peer_streams.h; TOLD tells what comes, too.
 * Owner      one array; a slot is used once, its index is the user word of the stack
 * Threads    one
 * Trust      none: test code only
 * Errors     of the stack, by name, in the line "end"
 * Invariants I1  the stack copies what it is sent (no STACK_TX_REF): an echo has one buffer.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_DPDK_STACK_STREAMS_H
#define TESTS_DPDK_STACK_STREAMS_H

#include "tests/net/peer_streams.h"

/* ---- lines ---- */

static inline void print_stream(const struct streams *all, const char *event,
                                const struct stream *stream)
{
    printf("{\"event\":\"%s\",\"id\":%u,\"sent\":%" PRIu64 ",\"sent_crc\":%u,\"received\":%" PRIu64
           ",\"received_crc\":%u,\"peer_ended\":%s,\"error\":\"%s\"}\n",
           event, stream_id(all, stream), stream->sent, stream->sent_crc, stream->received,
           stream->received_crc, stream->peer_ended ? "true" : "false", name_of(stream->error));
}

static inline void print_opened(const struct streams *all, const char *event,
                                const struct stream *stream)
{
    struct stack_addr local, remote;

    if (all->ops->addresses(all->stack, stream->handle, &local, &remote) == 0)
        print_addresses(all, event, stream, &local, &remote);
}

static inline void print_bytes(const struct streams *all, const struct stream *stream,
                               const uint8_t *bytes, size_t count)
{
    printf("{\"event\":\"said\",\"id\":%u,\"hex\":\"", stream_id(all, stream));
    for (size_t i = 0; i < count; i++)
        printf("%02x", bytes[i]);
    printf("\"}\n");
}

/* ---- the end ---- */

/* The handle is stale afterwards; CLOSED comes with it. */
static inline void stream_finish(struct streams *all, struct stream *stream, bool reset)
{
    if (stream->is_over || stream->handle == 0)
        return;
    stream->is_over = true;
    CHECK_EQ(all->ops->finish(all->stack, stream->handle, reset, all->now), 0);
}

static inline void stream_closed(struct streams *all, struct stream *stream)
{
    stream_over(stream);
    print_stream(all, "end", stream);
}

static inline void stream_failed(struct streams *all, struct stream *stream, int error)
{
    stream->error = error;
    stream_finish(all, stream, false);
}

/* ---- writing ---- */

/* All of it, or -EAGAIN, or the stream's error. `stream->sent` is where it goes on. */
static inline int64_t put(struct streams *all, struct stream *stream, const uint8_t *from, size_t bytes)
{
    const struct stack_span span = {from, bytes};
    int64_t taken = all->ops->send(all->stack, stream->handle, &span, 1);

    if (taken <= 0)
        return taken;
    stream->sent_crc = crc_add(all, stream->sent_crc, from, (size_t)taken);
    stream->sent += (uint64_t)taken;
    return taken;
}

static inline int64_t write_echo(struct streams *all, struct stream *stream)
{
    while (stream->from < stream->to) {
        int64_t taken = put(all, stream, stream->echo + stream->from, stream->to - stream->from);

        if (taken < 0)
            return taken;
        stream->from += (uint32_t)taken;
    }
    return 0;
}

static inline int64_t stream_write(struct streams *all, struct stream *stream)
{
    if (stream->role == ECHO)
        return write_echo(all, stream);
    while (stream->role != TOLD && stream->sent < wanted(stream)) {
        uint64_t at = stream->sent % PATTERN_BYTES;
        int64_t taken = put(all, stream, all->pattern + at,
                            ewi_min_u64(wanted(stream) - stream->sent, PATTERN_BYTES - at));

        if (taken < 0)
            return taken;
    }
    return 0;
}

/* ---- reading ---- */

static inline void got_bytes(struct streams *all, struct stream *stream, const uint8_t *bytes,
                             size_t count)
{
    stream->received_crc = crc_add(all, stream->received_crc, bytes, count);
    stream->received += count;
    if (stream->role == TOLD)
        print_bytes(all, stream, bytes, count);
}

/* One piece; 0: the peer's FIN. An echo reads when all that it had is on its way. */
static inline int64_t stream_read(struct streams *all, struct stream *stream)
{
    static uint8_t piece[PIECE_BYTES];
    struct stack_room room = {piece, sizeof(piece)};
    int64_t got;

    if (stream->role == ECHO) {
        if (stream->from < stream->to)
            return -EAGAIN;
        if (stream->echo == NULL)
            CHECK((stream->echo = malloc(ECHO_BYTES)) != NULL);
        room = (struct stack_room){stream->echo, ECHO_BYTES};
    }
    got = all->ops->recv_into(all->stack, stream->handle, &room, 1);
    if (got > 0) {
        got_bytes(all, stream, room.base, (size_t)got);
        stream->from = 0;
        stream->to = stream->role == ECHO ? (uint32_t)got : 0;
    }
    return got;
}

/* ---- one step ---- */

static inline void stream_shut(struct streams *all, struct stream *stream)
{
    int code = stream->was_shut ? 0 : all->ops->shutdown(all->stack, stream->handle);

    stream->was_shut = true;
    if (code != 0)
        stream_failed(all, stream, code);
}

static inline void stream_watch(struct streams *all, struct stream *stream, bool wants_room)
{
    uint32_t bits = wants_room ? STACK_WRITABLE : 0;

    if (!stream->stands_still && !stream->peer_ended && !(stream->role == ECHO && wants_room))
        bits |= STACK_READABLE;
    CHECK_EQ(all->ops->watch(all->stack, stream->handle, bits), 0);
}

/* Reads and writes until nothing goes on; 0 or -EAGAIN: it has no room, or the stream's error. */
static inline int64_t stream_exchange(struct streams *all, struct stream *stream)
{
    int64_t got, put_code;

    do {
        got = stream->stands_still || stream->peer_ended ? -EAGAIN : stream_read(all, stream);
        if (got < 0 && got != -EAGAIN)
            return got;
        stream->peer_ended |= got == 0;
        put_code = stream->was_shut ? 0 : stream_write(all, stream);
        if (put_code < 0 && put_code != -EAGAIN)
            return put_code;
    } while (got > 0);
    return put_code;
}

static inline void stream_drive(struct streams *all, struct stream *stream)
{
    int64_t code;

    if (stream->is_over || stream->is_listener || !stream->is_connected)
        return;
    code = stream_exchange(all, stream);
    if (code < 0 && code != -EAGAIN) {
        stream_failed(all, stream, (int)code);
        return;
    }
    if (is_done(stream))
        stream_shut(all, stream);
    if (stream->is_over)
        return;
    if (stream->peer_ended && stream->was_shut)
        stream_finish(all, stream, false);
    else
        stream_watch(all, stream, code == -EAGAIN);
}

static inline void stream_accept(struct streams *all, struct stream *listener)
{
    ewi_stream handle;

    while (!listener->is_over && !listener->stands_still &&
           all->ops->accept(all->stack, listener->handle, all->count, &handle) == 0) {
        struct stream *stream = stream_accepted(all, listener, handle);

        print_opened(all, "accepted", stream);
        stream_drive(all, stream);
    }
}

static inline void stream_event(struct streams *all, const struct stack_event *event)
{
    struct stream *stream = &all->stream[event->user];

    if (event->bits & STACK_CLOSED) {
        stream_closed(all, stream);
        return;
    }
    if (stream->is_over || event->stream != stream->handle)
        return;
    if (event->bits & STACK_ACCEPT)
        stream_accept(all, stream);
    if ((event->bits & STACK_CONNECTED) && !stream->is_connected) {
        stream->is_connected = true;
        print_opened(all, "connected", stream);
    }
    if (stream->is_listener)
        return; /* a carrier that is lost is no end of it */
    stream_drive(all, stream); /* what had arrived is read first */
    if ((event->bits & STACK_FAILED) && !stream->is_over)
        stream_failed(all, stream, all->ops->error(all->stack, stream->handle));
}

#endif
