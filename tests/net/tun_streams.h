/* tests/net/tun_streams.h - what the streams of tun_peer do: sources, sinks, echoes, questions.
 *
 * Purpose    Small applications over struct ewi_net, driven by its events.
 * Shape      roles and lines are those of tests/net/peer_streams.h; TOLD is "hold".
 * Owner      one array; a slot is used once, its index is the user word of the stack
 * Threads    one
 * Trust      none: test code only
 * Errors     of the stack, by name, in the line "end"
 * Invariants I1  memory that was sent is unchanged until it was released: the pattern is constant,
 *                an echo's memory, a ring, is written behind `released` only.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_NET_TUN_STREAMS_H
#define TESTS_NET_TUN_STREAMS_H

#include "tests/net/peer_streams.h"
#include "transport/net/net.h"

static struct net_tcp_info tun_info[STREAMS_MAX]; /* the last that was asked for */

static inline struct net_tcp_info *info_of(const struct streams *all, const struct stream *stream)
{
    return &tun_info[stream_id(all, stream)];
}

static inline struct stream *stream_begins(struct streams *all, struct stream *stream)
{
    *info_of(all, stream) = (struct net_tcp_info){0};
    stream->opened_at = all->now;
    return stream;
}

/* ---- lines ---- */

static inline void print_info(const struct net_tcp_info *info)
{
    printf("{\"state\":\"%s\",\"recovery\":%d,\"congestion\":\"%s\",\"timestamps\":%d,\"sack\":%d,"
           "\"ecn\":%d,\"scaled\":%d,",
           ewi_net_tcp_state_name(info->state), (int)info->recovery,
           info->congestion != NULL ? info->congestion : "", info->timestamps, info->sack,
           info->ecn, info->scaled);
    printf("\"backoff\":%u,\"probes\":%u,\"send_mss\":%u,\"receive_mss\":%u,\"path_mtu\":%u,",
           info->backoff, info->probes, info->send_mss, info->receive_mss, info->path_mtu);
    printf("\"cwnd\":%u,\"ssthresh\":%u,\"send_window\":%u,\"receive_window\":%u,", info->cwnd,
           info->ssthresh, info->send_window, info->receive_window);
    printf("\"in_flight\":%u,\"lost\":%u,\"sacked\":%u,\"unsent\":%u,\"readable\":%u,\"charged\":%u,",
           info->in_flight, info->lost, info->sacked, info->unsent, info->readable, info->charged);
    printf("\"rto\":%" PRIu64 ",\"srtt\":%" PRIu64 ",\"rttvar\":%" PRIu64 ",\"min_rtt\":%" PRIu64 ",",
           info->rto, info->srtt, info->rttvar, info->min_rtt);
    printf("\"bytes_sent\":%" PRIu64 ",\"bytes_acked\":%" PRIu64 ",\"bytes_received\":%" PRIu64 ",",
           info->bytes_sent, info->bytes_acked, info->bytes_received);
    printf("\"segments_resent\":%" PRIu64 ",\"timeouts\":%" PRIu64 ",\"undone\":%" PRIu64
           ",\"spurious\":%" PRIu64 ",\"since_heard\":%" PRIu64 "}",
           info->segments_resent, info->timeouts, info->undone, info->spurious, info->since_heard);
}

static inline void print_stream(struct streams *all, const char *event, struct stream *stream)
{
    if (stream->handle != 0 && !stream->is_over)
        (void)ewi_net_tcp_info(all->net, stream->handle, info_of(all, stream));
    printf("{\"event\":\"%s\",\"id\":%u,\"sent\":%" PRIu64 ",\"sent_crc\":%u,\"received\":%" PRIu64
           ",\"received_crc\":%u,\"error\":\"%s\",\"ns\":%" PRIu64 ",\"info\":",
           event, stream_id(all, stream), stream->sent, stream->sent_crc, stream->received,
           stream->received_crc, name_of(stream->error),
           (stream->ended_at != 0 ? stream->ended_at : all->now) - stream->opened_at);
    print_info(info_of(all, stream));
    printf("}\n");
}

static inline void print_opened(struct streams *all, const char *event, const struct stream *stream)
{
    struct stack_addr local, remote;

    if (!all->is_quiet && ewi_net_addresses(all->net, stream->handle, &local, &remote) == 0)
        print_addresses(all, event, stream, &local, &remote);
}

/* ---- the end ---- */

/* The handle is stale afterwards; CLOSED comes with it. */
static inline void stream_finish(struct streams *all, struct stream *stream, bool reset)
{
    if (stream->is_over || stream->handle == 0)
        return;
    if (!stream->is_listener)
        (void)ewi_net_tcp_info(all->net, stream->handle, info_of(all, stream));
    if (stream->ended_at == 0)
        stream->ended_at = all->now;
    stream->is_over = true;
    CHECK_EQ(ewi_net_finish(all->net, stream->handle, reset, all->now), 0);
}

static inline void stream_closed(struct streams *all, struct stream *stream)
{
    stream_over(stream); /* I2 of net.h: nothing refers to an echo's memory */
    print_stream(all, "end", stream);
}

static inline void stream_failed(struct streams *all, struct stream *stream, int error)
{
    stream->error = error;
    stream_finish(all, stream, false);
}

/* ---- reading ---- */

static inline uint64_t released_of(struct streams *all, const struct stream *stream)
{
    uint64_t released = 0;

    CHECK_EQ(ewi_net_released(all->net, stream->handle, &released), 0);
    return released;
}

/* Where the next bytes go, and how many. An echo reads into what its peer has acknowledged. */
static inline struct stack_room room_for(struct streams *all, struct stream *stream)
{
    static uint8_t piece[PIECE_BYTES];
    uint64_t held, at;

    if (stream->role != ECHO)
        return (struct stack_room){piece, sizeof(piece)};
    if (stream->echo == NULL) {
        stream->echo = malloc(ECHO_BYTES);
        CHECK(stream->echo != NULL);
    }
    held = stream->received - released_of(all, stream);
    at = stream->received % ECHO_BYTES;
    return (struct stack_room){stream->echo + at,
                               (size_t)ewi_min_u64(ECHO_BYTES - held, ECHO_BYTES - at)};
}

/* The peer's FIN was read, or -EAGAIN, or the stream's error. */
static inline int64_t stream_read(struct streams *all, struct stream *stream)
{
    int64_t got = -EAGAIN;

    while (!stream->stands_still) {
        struct stack_room room = room_for(all, stream);

        if (room.bytes == 0)
            return -EAGAIN;
        got = ewi_net_recv_into(all->net, stream->handle, &room, 1);
        if (got <= 0)
            return got;
        stream->received_crc = crc_add(all, stream->received_crc, room.base, (size_t)got);
        stream->received += (uint64_t)got;
    }
    return got;
}

/* ---- writing ---- */

static inline int64_t stream_write(struct streams *all, struct stream *stream, uint64_t until)
{
    const uint8_t *memory = stream->role == ECHO ? stream->echo : all->pattern;
    uint64_t length = stream->role == ECHO ? ECHO_BYTES : PATTERN_BYTES;

    while (stream->sent < until) {
        uint64_t at = stream->sent % length;
        struct stack_span span = {memory + at, ewi_min_u64(until - stream->sent, length - at)};
        int64_t taken = ewi_net_send(all->net, stream->handle, &span, 1);

        if (taken < 0)
            return taken;
        stream->sent_crc = crc_add(all, stream->sent_crc, span.base, (size_t)taken);
        stream->sent += (uint64_t)taken;
    }
    return 0;
}

static inline void stream_shut(struct streams *all, struct stream *stream)
{
    int code = stream->was_shut ? 0 : ewi_net_shutdown(all->net, stream->handle);

    stream->was_shut = true;
    if (code != 0)
        stream_failed(all, stream, code);
}

/* ---- one step ---- */

static inline void stream_drive(struct streams *all, struct stream *stream)
{
    int64_t got, put;

    if (stream->is_over || stream->is_listener || stream->is_udp || !stream->is_connected)
        return;
    got = stream_read(all, stream);
    if (got < 0 && got != -EAGAIN) {
        stream_failed(all, stream, (int)got);
        return;
    }
    stream->peer_ended = got == 0;
    put = stream->was_shut ? 0 : stream_write(all, stream, wanted(stream));
    if (put < 0 && put != -EAGAIN) {
        stream_failed(all, stream, (int)put);
        return;
    }
    if (is_done(stream))
        stream_shut(all, stream);
    if (!stream->is_over && stream->peer_ended && stream->was_shut &&
        released_of(all, stream) == stream->sent)
        stream_finish(all, stream, false);
}

static inline void stream_accept(struct streams *all, struct stream *listener)
{
    while (!listener->is_over && !listener->stands_still) {
        struct stream *stream;
        ewi_stream handle;

        if (ewi_net_accept(all->net, listener->handle, all->count, &handle) != 0)
            return;
        stream = stream_begins(all, stream_accepted(all, listener, handle));
        print_opened(all, "accepted", stream);
        stream_drive(all, stream);
    }
}

static inline void datagrams(struct streams *all, struct stream *stream)
{
    struct net_datagram datagram;
    char from[72];

    while (ewi_net_udp_recv(all->net, stream->handle, &datagram) == 0) {
        ewi_addr_format(&datagram.remote, from, sizeof(from));
        printf("{\"event\":\"datagram\",\"id\":%u,\"bytes\":%u,\"crc\":%u,\"from\":\"%s\","
               "\"hop_limit\":%u}\n",
               stream_id(all, stream), datagram.bytes,
               crc_add(all, 0, datagram.data, datagram.bytes), from, datagram.hop_limit);
        if (stream->role == ECHO) {
            struct net_datagram answer = datagram;

            answer.hop_limit = 0;
            CHECK_EQ(ewi_net_udp_send(all->net, stream->handle, &answer, all->now), 0);
        }
        ewi_net_udp_release(all->net, &datagram);
    }
}

static inline void stream_event(struct streams *all, const struct stack_event *event)
{
    struct stream *stream = &all->stream[event->user];

    if (event->bits & STACK_CLOSED) {
        stream_closed(all, stream);
        return;
    }
    if (stream->is_udp) {
        datagrams(all, stream);
        if (event->bits & STACK_FAILED)
            printf("{\"event\":\"udp-error\",\"id\":%u,\"error\":\"%s\"}\n", stream_id(all, stream),
                   name_of(ewi_net_error(all->net, stream->handle)));
        return;
    }
    if (event->bits & STACK_ACCEPT)
        stream_accept(all, stream);
    if ((event->bits & STACK_CONNECTED) && !stream->is_connected) {
        stream->is_connected = true;
        print_opened(all, "connected", stream);
    }
    stream_drive(all, stream); /* what had arrived is read first */
    if ((event->bits & STACK_FAILED) && !stream->is_over)
        stream_failed(all, stream, ewi_net_error(all->net, stream->handle));
}

#endif
