/* tests/net/tun_streams.h - what the streams of tun_peer do: sources, sinks, echoes, questions.
 *
 * Purpose    Small applications over struct ewi_net, driven by its events.
 * Shape      role   ECHO   sends back what comes
 *                   SINK   reads; after the peer's FIN it sends `total` bytes, then its own FIN
 *                   SOURCE sends `total` bytes and a FIN at once, and reads meanwhile
 *                   ASK    sends `unit` bytes, waits for as many, `total` bytes in all, then a FIN
 *                   HOLD   reads; sends what a command adds; no FIN by itself
 *            What is sent is a part of `pattern`, whose length is a prime: a shifted stream differs.
 *            Each end of a stream is told as a line of JSON with CRC-32 of both directions.
 * Owner      one array; a slot is used once, its index is the user word of the stack
 * Threads    one
 * Trust      none: test code only
 * Errors     of the stack, by name, in the line "end"
 * Invariants I1  memory that was sent is unchanged until it was released: the pattern is constant,
 *                an echo's ring is written behind `released` only.
 * Ordering   none
 * Source     CRC-32: ISO/IEC 13239, as zlib's
 */
#ifndef TESTS_NET_TUN_STREAMS_H
#define TESTS_NET_TUN_STREAMS_H

#include <errno.h>

#include "tests/c/harness.h"
#include "transport/net/net.h"

enum { PATTERN_BYTES = 1048583, RING_BYTES = 1 << 16, PIECE_BYTES = 1 << 16, STREAMS_MAX = 4096 };
enum role { ECHO, SINK, SOURCE, ASK, HOLD, ROLES };

struct stream {
    ewi_stream handle;
    enum role role;
    uint64_t total, unit;
    uint64_t sent, received;
    uint32_t sent_crc, received_crc;
    uint32_t listener;     /* index, of an accepted stream */
    bool is_used, is_listener, is_udp;
    bool stands_still;     /* does not read, does not accept */
    bool is_connected, was_shut, is_over;
    uint8_t *ring;         /* of an echo */
    int error;
    uint64_t opened_at, ended_at; /* of ended_at: the peer's FIN and all of ours were seen */
    struct net_tcp_info info;
};

struct streams {
    struct ewi_net *net;
    uint64_t now;
    bool is_quiet;         /* no crc, no line for accepted and connected streams */
    uint8_t *pattern;
    uint32_t crc_table[256];
    struct stream stream[STREAMS_MAX];
    uint32_t count;
};

/* ---- start ---- */

static inline void streams_open(struct streams *all, struct ewi_net *net, uint64_t seed)
{
    struct harness_random random = {seed};

    all->net = net;
    all->pattern = malloc(PATTERN_BYTES);
    CHECK(all->pattern != NULL);
    for (uint32_t i = 0; i < PATTERN_BYTES; i++)
        all->pattern[i] = (uint8_t)harness_next(&random);
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        all->crc_table[i] = crc;
    }
}

static inline uint32_t crc_add(const struct streams *all, uint32_t crc, const uint8_t *from,
                               size_t bytes)
{
    if (all->is_quiet)
        return 0;
    crc = ~crc;
    for (size_t i = 0; i < bytes; i++)
        crc = crc >> 8 ^ all->crc_table[(crc ^ from[i]) & 0xff];
    return ~crc;
}

/* A fresh slot; its number is how commands and lines name it. */
static inline struct stream *stream_new(struct streams *all, enum role role)
{
    struct stream *stream = &all->stream[all->count];

    CHECK(all->count < STREAMS_MAX);
    all->count += 1;
    *stream = (struct stream){.is_used = true, .role = role, .opened_at = all->now};
    return stream;
}

static inline uint32_t stream_id(const struct streams *all, const struct stream *stream)
{
    return (uint32_t)(stream - all->stream);
}

/* ---- lines ---- */

static inline const char *name_of(int error)
{
    const char *name = error == 0 ? "" : strerrorname_np(-error);

    return name != NULL ? name : "?";
}

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
        (void)ewi_net_tcp_info(all->net, stream->handle, &stream->info);
    printf("{\"event\":\"%s\",\"id\":%u,\"sent\":%" PRIu64 ",\"sent_crc\":%u,\"received\":%" PRIu64
           ",\"received_crc\":%u,\"error\":\"%s\",\"ns\":%" PRIu64 ",\"info\":",
           event, stream_id(all, stream), stream->sent, stream->sent_crc, stream->received,
           stream->received_crc, name_of(stream->error),
           (stream->ended_at != 0 ? stream->ended_at : all->now) - stream->opened_at);
    print_info(&stream->info);
    printf("}\n");
}

static inline void print_opened(struct streams *all, const char *event, const struct stream *stream)
{
    struct stack_addr local, remote;
    char here[72], there[72];

    if (all->is_quiet || ewi_net_addresses(all->net, stream->handle, &local, &remote) != 0)
        return;
    ewi_addr_format(&local, here, sizeof(here));
    ewi_addr_format(&remote, there, sizeof(there));
    printf("{\"event\":\"%s\",\"id\":%u,\"listener\":%u,\"local\":\"%s\",\"remote\":\"%s\"}\n", event,
           stream_id(all, stream), stream->listener, here, there);
}

/* ---- the end ---- */

/* The handle is stale afterwards; CLOSED comes with it. */
static inline void stream_finish(struct streams *all, struct stream *stream, bool reset)
{
    if (stream->is_over || stream->handle == 0)
        return;
    if (!stream->is_listener)
        (void)ewi_net_tcp_info(all->net, stream->handle, &stream->info);
    if (stream->ended_at == 0)
        stream->ended_at = all->now;
    stream->is_over = true;
    CHECK_EQ(ewi_net_finish(all->net, stream->handle, reset, all->now), 0);
}

static inline void stream_closed(struct streams *all, struct stream *stream)
{
    stream->is_over = true;
    stream->handle = 0;
    free(stream->ring); /* I2 of net.h: nothing refers to it */
    stream->ring = NULL;
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
    if (stream->ring == NULL) {
        stream->ring = malloc(RING_BYTES);
        CHECK(stream->ring != NULL);
    }
    held = stream->received - released_of(all, stream);
    at = stream->received % RING_BYTES;
    return (struct stack_room){stream->ring + at,
                               (size_t)ewi_min_u64(RING_BYTES - held, RING_BYTES - at)};
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

/* How many bytes may have been sent by now. */
static inline uint64_t wanted(const struct stream *stream, bool peer_ended)
{
    switch (stream->role) {
    case ECHO:
        return stream->received;
    case SINK:
        return peer_ended ? stream->total : 0;
    case ASK:
        return ewi_min_u64(stream->total, stream->received / stream->unit * stream->unit +
                                              stream->unit);
    default:
        return stream->total;
    }
}

static inline bool is_done(const struct stream *stream, bool peer_ended)
{
    switch (stream->role) {
    case ECHO:
    case SINK:
        return peer_ended;
    case ASK:
        return stream->received >= stream->total && stream->sent == stream->total;
    case SOURCE:
        return stream->sent == stream->total;
    default:
        return false;
    }
}

static inline int64_t stream_write(struct streams *all, struct stream *stream, uint64_t until)
{
    const uint8_t *memory = stream->role == ECHO ? stream->ring : all->pattern;
    uint64_t length = stream->role == ECHO ? RING_BYTES : PATTERN_BYTES;

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
    bool ended;

    if (stream->is_over || stream->is_listener || stream->is_udp || !stream->is_connected)
        return;
    got = stream_read(all, stream);
    if (got < 0 && got != -EAGAIN) {
        stream_failed(all, stream, (int)got);
        return;
    }
    ended = got == 0;
    put = stream->was_shut ? 0 : stream_write(all, stream, wanted(stream, ended));
    if (put < 0 && put != -EAGAIN) {
        stream_failed(all, stream, (int)put);
        return;
    }
    if (is_done(stream, ended) && stream->sent >= wanted(stream, ended))
        stream_shut(all, stream);
    if (!stream->is_over && ended && stream->was_shut && released_of(all, stream) == stream->sent)
        stream_finish(all, stream, false);
}

static inline void stream_accept(struct streams *all, struct stream *listener)
{
    while (!listener->is_over && !listener->stands_still) {
        struct stream *stream;
        ewi_stream handle;

        if (ewi_net_accept(all->net, listener->handle, all->count, &handle) != 0)
            return;
        stream = stream_new(all, listener->role);
        stream->handle = handle;
        stream->total = listener->total;
        stream->unit = listener->unit;
        stream->listener = stream_id(all, listener);
        stream->is_connected = true;
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
