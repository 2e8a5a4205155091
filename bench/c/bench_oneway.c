/* How many messages, and how many bytes, go one way in a second, for messages of 64 B to 16 MiB?
 *
 *   channel    ew_channel_send for each message, ew_channel_recv at the other end; spin
 *   many       ew_channel_send_many, up to 64 messages at a time; ew_channel_recv_next
 *   ring       shm/ring.h alone, where a message is one record
 *   unix       a blocking Unix stream socket, one write and one read for each message
 *   memcpy     one process copies the message from one buffer to another, over and over
 *   memcpy2    as memcpy, but through a buffer of the outbox's size and out of it again: what a
 *              path through memory has to do at least, by one core
 *
 * Value of a round: messages a second, from the median time between two looks at the clock, a chunk
 * of messages apart, at the receiver: a chunk that another process disturbed does not count. A
 * chunk is longer than what lies in the ring or in the socket's buffer.
 */
#include <sys/socket.h>

#include "bench/c/duo.h"
#include "shm/copy.h"
#include "shm/outbox.h"

enum {
    OUTBOX_BYTES = 256 * 1024,
    MESSAGE_BYTES_MAX = 16 << 20,
    BATCH = 64,
    FULL_PAUSES = 128, /* some 0.5 us; without it 20 % fewer messages */
    EMPTY_PAUSES = 64,
    SIZES = 8,
    CHUNKS = 20,
    CHUNKS_QUICK = 8,
    CHUNK_BYTES = 512 * 1024,
    CHUNK_MESSAGES_MAX = 5000,
    CHUNK_MESSAGES_MAX_UNIX = 500, /* of the kernel's accounting 270 fit: unix(7), SO_SNDBUF */
};

static const size_t sizes[SIZES] = {64,        512,         4 * 1024, 32 * 1024,
                                    256 * 1024, 1024 * 1024, 4 << 20,  16 << 20};

struct bench {
    struct duo duo;
    ew_channel *channel;
    int sock;
    uint8_t *source, *sink; /* MESSAGE_BYTES_MAX each */
    uint8_t *through;       /* OUTBOX_BYTES */
    struct ring_writer writer;
    struct ring_reader reader;
    struct outbox_shared *outbox; /* of the sender */
    struct outbox_shared *back;   /* of the receiver: its taken word */
};

struct flow { /* one case: how one side sends and the other receives so many messages */
    const char *name;
    void (*send)(struct bench *bench, size_t bytes, uint64_t count);
    void (*recv)(struct bench *bench, size_t bytes, uint64_t count); /* NULL: nobody */
    size_t bytes_max;
};

/* ---- channel ---- */

static void channel_send(struct bench *bench, size_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        DUO_CHECK(ew_channel_send(bench->channel, bench->source, bytes, -1, NULL) == EW_OK);
}

static void channel_send_many(struct bench *bench, size_t bytes, uint64_t count)
{
    ew_part parts[BATCH];

    for (int i = 0; i < BATCH; i++)
        parts[i] = (ew_part){.data = bench->source, .bytes = bytes};
    for (uint64_t sent = 0; sent < count;) {
        int64_t now = ew_channel_send_many(bench->channel, parts,
                                           (size_t)ewi_min_u64(BATCH, count - sent), -1, NULL);

        DUO_CHECK(now > 0);
        sent += (uint64_t)now;
    }
}

static void channel_recv(struct bench *bench, size_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        size_t got;

        DUO_CHECK(ew_channel_recv(bench->channel, bench->sink, MESSAGE_BYTES_MAX, &got, -1, NULL) ==
                  EW_OK);
        DUO_CHECK(got == bytes);
    }
}

static void channel_recv_many(struct bench *bench, size_t bytes, uint64_t count)
{
    int more = 0;

    for (uint64_t taken = 0; taken < count; taken++) {
        size_t got;

        if (more == 0)
            DUO_CHECK(ew_channel_recv_begin(bench->channel, &got, -1, NULL) == EW_OK);
        more = ew_channel_recv_next(bench->channel, bench->sink, &got);
        DUO_CHECK(more == 0 || (more == 1 && got == bytes));
    }
    if (more == 1)
        ew_channel_recv_cancel(bench->channel);
}

/* ---- ring ---- */

static void ring_send(struct bench *bench, size_t bytes, uint64_t count)
{
    for (uint64_t sent = 0; sent < count; sent++) {
        uint8_t *room;

        while ((room = ewi_ring_reserve(&bench->writer, (uint32_t)bytes)) == NULL) {
            for (int i = 0; i < FULL_PAUSES; i++) /* leave the reader its line for a while */
                ewi_relax();
            DUO_CHECK(ewi_ring_free(&bench->writer,
                                    atomic_load_explicit(&bench->back->taken,
                                                         memory_order_acquire)) == EW_OK); /* T2 */
        }
        ewi_copy(room, bench->source, bytes);
        ewi_ring_commit(&bench->writer, (uint32_t)bytes, 0);
    }
}

static void ring_recv(struct bench *bench, size_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *payload;
        struct record record;

        while (ewi_ring_peek(&bench->reader, &record, &payload) != EW_OK)
            for (int pause = 0; pause < EMPTY_PAUSES; pause++) /* leave the writer its line */
                ewi_relax();
        ewi_copy(bench->sink, payload, bytes);
        ewi_ring_consume(&bench->reader, record);
        atomic_store_explicit(&bench->back->taken, bench->reader.position,
                              memory_order_release); /* T1 */
    }
}

/* ---- socket ---- */

static void unix_send(struct bench *bench, size_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        for (size_t done = 0; done < bytes;) {
            ssize_t now = write(bench->sock, bench->source + done, bytes - done);

            DUO_CHECK(now > 0);
            done += (size_t)now;
        }
}

static void unix_recv(struct bench *bench, size_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        DUO_CHECK(recv(bench->sock, bench->sink, bytes, MSG_WAITALL) == (ssize_t)bytes);
}

/* ---- memcpy ---- */

static void *(*volatile copy)(void *, const void *, size_t) = memcpy; /* may not be left out */

static void copy_send(struct bench *bench, size_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        copy(bench->sink, bench->source, bytes);
}

static void copy_twice_send(struct bench *bench, size_t bytes, uint64_t count)
{
    size_t piece_max = bytes < OUTBOX_BYTES / 8 ? bytes : OUTBOX_BYTES / 8;
    size_t at = 0;

    for (uint64_t i = 0; i < count; i++)
        for (size_t done = 0; done < bytes; done += piece_max) {
            copy(bench->through + at, bench->source + done, piece_max);
            copy(bench->sink + done, bench->through + at, piece_max);
            at = at + 2 * piece_max > OUTBOX_BYTES ? 0 : at + piece_max;
        }
}

/* ---- rounds ---- */

static const struct flow flows[] = {
    {"channel", channel_send, channel_recv, MESSAGE_BYTES_MAX},
    {"many", channel_send_many, channel_recv_many, 4 * 1024},
    {"ring", ring_send, ring_recv, 32 * 1024 - 8},
    {"unix", unix_send, unix_recv, MESSAGE_BYTES_MAX},
    {"memcpy", copy_send, NULL, MESSAGE_BYTES_MAX},
    {"memcpy2", copy_twice_send, NULL, MESSAGE_BYTES_MAX},
};

static uint64_t chunk_messages(const struct flow *flow, size_t bytes)
{
    uint64_t most = flow->send == unix_send ? CHUNK_MESSAGES_MAX_UNIX : CHUNK_MESSAGES_MAX;

    return ewi_max_u64(ewi_min_u64(CHUNK_BYTES / bytes, most), 1);
}

static void measure(struct bench *bench, const struct flow *flow, size_t bytes, int round)
{
    int chunks = bench->duo.quick ? CHUNKS_QUICK : CHUNKS;
    void (*run)(struct bench *, size_t, uint64_t) =
        bench->duo.is_peer ? flow->recv : flow->send;
    bool timed = bench->duo.is_peer || flow->recv == NULL;
    _Atomic uint64_t *result = &bench->duo.shared->a.value; /* ns of the median chunk */
    uint64_t count = chunk_messages(flow, bytes);
    uint32_t ticks[CHUNKS];
    char name[DUO_NAME_BYTES];
    uint64_t before;

    duo_meet(&bench->duo);
    before = duo_ticks();
    for (int i = 0; i < chunks && run != NULL; i++) {
        uint64_t now;

        run(bench, bytes, count);
        now = duo_ticks();
        ticks[i] = (uint32_t)ewi_min_u64(now - before, UINT32_MAX);
        before = now;
    }
    if (timed && run != NULL)
        atomic_store_explicit(
            result, (uint64_t)duo_median_ns(&bench->duo, ticks, (size_t)chunks),
            memory_order_release);
    duo_meet(&bench->duo);
    snprintf(name, sizeof(name), "%s/%zu", flow->name, bytes);
    duo_case(&bench->duo, name)->value[round] =
        (double)count * 1e9 /
        (double)ewi_max_u64(atomic_load_explicit(result, memory_order_acquire), 1);
}

static void open_all(struct bench *bench, int argc, char **argv)
{
    uint8_t *outboxes = duo_memory(2 * OUTBOX_BYTES);
    int socks[2];

    DUO_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, socks) == 0);
    bench->source = duo_memory(MESSAGE_BYTES_MAX);
    bench->sink = duo_memory(MESSAGE_BYTES_MAX);
    bench->through = duo_memory(OUTBOX_BYTES);
    memset(bench->source, 'x', MESSAGE_BYTES_MAX);
    bench->outbox = ewi_outbox_init(outboxes, OUTBOX_BYTES);
    bench->back = ewi_outbox_init(outboxes + OUTBOX_BYTES, OUTBOX_BYTES);
    ewi_ring_writer_init(&bench->writer, bench->outbox->ring, ewi_outbox_ring_bytes(OUTBOX_BYTES),
                         0);
    ewi_ring_reader_init(&bench->reader, bench->outbox->ring, ewi_outbox_ring_bytes(OUTBOX_BYTES),
                         0, 0);
    duo_start(&bench->duo, argc, argv, 15, 5);
    duo_pin(&bench->duo);
    bench->sock = socks[bench->duo.is_peer ? 1 : 0];
    close(socks[bench->duo.is_peer ? 0 : 1]);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    ew_context *context;

    open_all(&bench, argc, argv);
    context = duo_context(EW_WAIT_SPIN);
    bench.channel = duo_channel(&bench.duo, context, NULL);
    for (int round = 0; round < bench.duo.rounds; round++)
        for (int size = 0; size < SIZES; size++)
            for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++)
                if (sizes[size] <= flows[i].bytes_max)
                    measure(&bench, &flows[i], sizes[size], round);
    duo_meet(&bench.duo);
    ew_channel_abort(bench.channel);
    ew_channel_free(bench.channel);
    ew_context_close(context);
    duo_stop(&bench.duo);
    duo_print(&bench.duo, "oneway", "messages/s");
    return 0;
}
