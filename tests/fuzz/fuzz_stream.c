/* tests/fuzz/fuzz_stream.c - can a hostile peer of a stream hurt us by its frames, ACKs and bytes?
 *
 * A channel over a stack that is a list of bytes. The input is a list of moves: bytes as they are, or
 * frames that are nearly right (so that what lies behind the first check is reached), and what our
 * application does meanwhile. ASan watches ring, inbox and staging: each is allocated at its size.
 */
#include "tests/fuzz/fuzz_base.h"

#include <sys/eventfd.h>
#include <errno.h>

#include "transport/stream/link.c" /* ring and its like are its own */

enum {
    MOVES_MAX = 600,
    RING = RING_BYTES_MIN,
    INBOX = RECORD_BYTES_MAX,
    INBOX_RING = INBOX + STREAM_INBOX_SLACK_BYTES,
    FEED_MAX = 256 * 1024,
    MESSAGE_MAX = 128 * 1024,
};

static struct { /* the stack */
    uint8_t bytes[FEED_MAX];
    size_t from, to, room; /* room: bytes that send takes */
    size_t step;           /* bytes that one receive gives, 0: all */
    bool fin;
} wire;

static ew_channel *channel;
static struct stream_link *stream;
static uint8_t message[MESSAGE_MAX];
static int wake_fd = -1; /* one for all runs */

static int64_t feed(struct ewi_stack *stack, ewi_stream handle, const struct stack_room *rooms,
                    uint32_t count)
{
    size_t left = wire.step == 0 ? wire.to - wire.from
                                 : ewi_min_u64(wire.step, wire.to - wire.from);
    size_t fed = 0;

    (void)stack, (void)handle;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = ewi_min_u64(rooms[i].bytes, left - fed);

        if (rooms[i].bytes == 0)
            abort(); /* the reader never stops for lack of room */
        memcpy(rooms[i].base, wire.bytes + wire.from, bytes);
        wire.from += bytes;
        fed += bytes;
    }
    if (wire.from == wire.to)
        wire.from = wire.to = 0;
    return fed > 0 ? (int64_t)fed : wire.fin ? 0 : -EAGAIN;
}

static int64_t swallow(struct ewi_stack *stack, ewi_stream handle, const struct stack_span *spans,
                       uint32_t count)
{
    static volatile uint8_t seen; /* every byte is looked at */
    size_t taken = 0;

    (void)stack, (void)handle;
    for (uint32_t i = 0; i < count; i++)
        for (size_t at = 0; at < spans[i].bytes && taken < wire.room; at++, taken++)
            seen = ((const uint8_t *)spans[i].base)[at];
    (void)seen;
    wire.room -= taken;
    return taken == 0 ? -EAGAIN : (int64_t)taken;
}

static int nothing(struct ewi_stack *stack, ewi_stream handle)
{
    (void)stack, (void)handle;
    return 0;
}

static const struct stack_ops stack_of_bytes = {
    .recv_into = feed, .send = swallow, .break_off = nothing};

/* ---- a channel without a context's reactor ---- */

static void begin(void)
{
    static const uint8_t id[16], secret[16];
    uint64_t start;

    memset(&wire, 0, sizeof(wire));
    if (wake_fd < 0)
        wake_fd = eventfd(0, EFD_NONBLOCK);
    channel = take_channel(&ewi_stream_link, MESSAGE_MAX);
    stream = &channel->link->stream;
    stream->channel = channel;
    ewi_ring_writer_init(&channel->writer, take(64, RING), RING, 0);
    channel->record_bytes_max = channel->writer.record_bytes_max;
    ewi_ring_writer_init(&channel->inbox.writer, take(64, INBOX_RING), INBOX_RING, 0);
    ewi_ring_reader_init(&channel->reader, channel->inbox.writer.bytes, INBOX_RING, 0, 0);
    channel->inbox.writer.record_bytes_max = channel->reader.record_bytes_max = RECORD_BYTES_MAX;
    stream->staging = take(64, STREAM_STAGING_BYTES);
    stream->ops = &stack_of_bytes;
    stream->cover = COVER_TICK; /* nobody asks the reactor */
    stream->wake_fd = wake_fd;
    stream->fd = -1; /* poll passes it over */
    channel->freed_word = &channel->released;
    channel->ended_word = &channel->peer_ended;
    channel->taken_word = &channel->consumed;
    ewi_session_init(&channel->session, false, id, secret, INBOX);
    if (ewi_session_accept(&channel->session, 1, 0, 0) != EW_OK)
        abort();
    start = ewi_session_attach(&channel->session, 0, INBOX);
    ewi_ring_reader_init(&stream->out, channel->writer.bytes, RING, 0, start);
    stream->control_to = ewi_wire_put_u64(stream->control, RECORD_START, start);
}

static void end(void)
{
    free(channel->partial.bytes);
    free(channel->end_text);
    free(channel->writer.bytes);
    free(channel->inbox.writer.bytes);
    free(stream->staging);
    free(channel);
}

/* ---- moves ---- */

static void put(const void *bytes, size_t count)
{
    if (count > FEED_MAX - wire.to)
        return;
    memcpy(wire.bytes + wire.to, bytes, count);
    wire.to += count;
}

/* A control frame; an ACK is nearly what it should be. */
static void put_control(const uint8_t *move)
{
    uint8_t bytes[WIRE_CONTROL_BYTES_MAX];
    const struct wire_ack ack = {.taken = channel->session.sent - (move[2] & 15u) * 8,
                                 .consumed = channel->session.sent - (move[3] & 31u) * 8,
                                 .limit = channel->session.limit + u32_at(move + 4) % RING - 64};

    switch (move[1] % 5) {
    case 0:
        put(bytes, ewi_wire_put_u64(bytes, RECORD_START, move[2] & 8));
        break;
    case 1:
    case 2:
        put(bytes, ewi_wire_put_ack(bytes, &ack));
        break;
    case 3:
        put(bytes, ewi_wire_put_u64(bytes, RECORD_PING, u32_at(move + 2)));
        break;
    default:
        put(bytes, ewi_wire_put_u64(bytes, (enum record_kind)(16 + move[2] % 8), u32_at(move + 3)));
    }
}

static void put_record(const uint8_t *move)
{
    static const uint8_t zeros[RECORD_BYTES_MAX];
    uint32_t bytes = 8 + u32_at(move + 2) % (move[1] & 1 ? RECORD_BYTES_MAX : 600);
    enum record_kind kind = move[1] & 0x70 ? RECORD_DATA : (enum record_kind)(1 + move[1] % 5);
    uint64_t total = u32_at(move + 4) % (move[3] & 1 ? MESSAGE_MAX : 2000);
    uint64_t header;

    if (kind != RECORD_DATA)
        bytes = 8;
    header = ewi_record_encode(bytes, kind, (uint8_t)(move[1] & 8 ? 0 : move[6] & 3));
    put(&header, sizeof(header));
    put(&total, bytes >= 16 ? sizeof(total) : 0); /* where a first fragment has it */
    put(zeros, ((bytes + 7) & ~7u) - 8 - (bytes >= 16 ? 8 : 0));
}

static void check(void)
{
    if (channel->writer.freed > channel->writer.position ||
        stream->out.position > channel->writer.position)
        abort();
    if (channel->reader.position > channel->inbox.writer.position ||
        channel->inbox.writer.position - channel->reader.position > INBOX)
        abort(); /* more was stored than we allowed */
}

/* patience: 0, or so little that it is over as soon as the receiver has waited once: then what came
 * meanwhile went straight into the buffer. */
static void receive_patiently(size_t room, int64_t patience_ns)
{
    int code = receive(channel, room, patience_ns);

    if (stream->sink.into != NULL || channel->reader.position != channel->consumed)
        abort();
    if (code != EW_OK && code != EW_EAGAIN && code != EW_ETIMEOUT && code != EW_EINTR &&
        code != EW_ETOOBIG && code != EW_EEND &&
        code != EW_ELOST && code != EW_EPROTO)
        abort();
}

static void play(const uint8_t *move)
{
    switch (move[0] & 7) {
    case 0:
        put(move + 1, 1 + move[1] % 7);
        break;
    case 1:
        put_control(move);
        break;
    case 2:
    case 3:
        put_record(move);
        break;
    case 4:
        wire.step = move[1] & 4 ? 1 + u32_at(move + 4) % 9000 : 0;
        channel->recv_long |= (move[1] & 8) != 0;
        receive_patiently(move[1] & 1 ? sizeof(message) : u32_at(move + 2) % 60000, move[1] >> 1 & 1);
        break;
    case 5:
        (void)ew_channel_send(channel, message, u32_at(move + 1) % 3000, 0, NULL);
        break;
    case 6:
        wire.room += u32_at(move + 1) % 5000;
        channel->ops->drive(channel);
        break;
    default:
        channel->ops->settle(channel);
        wire.fin = wire.fin || move[1] == 0xff;
    }
    check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t moves = size / MOVE_BYTES < MOVES_MAX ? size / MOVE_BYTES : MOVES_MAX;

    begin();
    for (size_t i = 0; i < moves; i++)
        play(data + i * MOVE_BYTES);
    channel->ops->drive(channel);
    check();
    end();
    return 0;
}
