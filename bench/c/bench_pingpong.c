/* What does a 64-byte round trip between two spinning processes cost, beside the bare cache line?
 *
 *   line     each side stores a counter to a line of its own and waits for the other's: the least
 *            that any protocol through memory pays. How far a line is from both cores depends on
 *            its address, by a fifth, so blocks take turns with 64 pairs of lines, as a ring does.
 *   lines    the least that a record of 72 bytes in a ring pays: a word in each of the two lines on
 *            which it lies, in memory that is walked through as a ring is
 *   ring     64 bytes copied into a ring of shm/ring.h and out of it, both ways
 *   channel  ew_channel_send and ew_channel_recv, wait policy spin
 *
 * Value of a round: nanoseconds for each round trip, the median of blocks of 16 trips between two
 * time stamps: other processes disturb some blocks, and the stamps hardly count. Percentiles come
 * from a second pass with a time stamp for each round trip.
 */
#include "bench/c/duo.h"
#include "shm/outbox.h"

enum {
    MESSAGE_BYTES = 64,
    TRIPS = 20000,
    TRIPS_WARM = 2000,
    BLOCKS = 2000,
    BLOCK_TRIPS = 16,
    LINE_PAIRS = 64,
    OUTBOX_BYTES = 256 * 1024,
    WALK_SLOTS = OUTBOX_BYTES / 128,
};

struct half { /* one side's view of a pair of rings */
    struct ring_writer writer;
    struct ring_reader reader;
    _Atomic uint64_t *taken;             /* where we say how far we have read */
    const _Atomic uint64_t *taken_there; /* where the other side says it */
};

struct line_walk { /* where a record would lie */
    alignas(64) _Atomic uint64_t first;
    alignas(64) uint64_t second;
};

struct bench {
    struct duo duo;
    struct half rings;
    ew_channel *channel;
    struct duo_word *lines;   /* LINE_PAIRS of ours and theirs */
    uint64_t trips;           /* of the lines, ever */
    struct line_walk *walk;   /* WALK_SLOTS of ours and as many of theirs */
    uint64_t steps;           /* through the walk, ever */
    uint8_t message[MESSAGE_BYTES];
};

/* ---- one message each way ---- */

static void line_trip(struct bench *bench)
{
    uint64_t trip = ++bench->trips;
    struct duo_word *pair = &bench->lines[trip / BLOCK_TRIPS % LINE_PAIRS * 2];

    if (!bench->duo.is_peer) {
        atomic_store_explicit(&pair[0].value, trip, memory_order_release);
        duo_await(&pair[1].value, trip);
    } else {
        duo_await(&pair[0].value, trip);
        atomic_store_explicit(&pair[1].value, trip, memory_order_release);
    }
}

static void lines_send(struct line_walk *slot, uint64_t step)
{
    slot->second = step;
    atomic_store_explicit(&slot->first, step, memory_order_release);
}

static void lines_recv(struct line_walk *slot, uint64_t step)
{
    duo_await(&slot->first, step);
    DUO_CHECK(slot->second == step);
}

static void lines_trip(struct bench *bench)
{
    uint64_t step = ++bench->steps;
    struct line_walk *there = &bench->walk[step % WALK_SLOTS], *back = there + WALK_SLOTS;

    if (bench->duo.is_peer) {
        lines_recv(there, step);
        lines_send(back, step);
    } else {
        lines_send(there, step);
        lines_recv(back, step);
    }
}

static void ring_send(struct half *half, const uint8_t *message)
{
    uint8_t *room = ewi_ring_reserve(&half->writer, MESSAGE_BYTES);

    if (room == NULL) {
        uint64_t taken = atomic_load_explicit(half->taken_there, memory_order_acquire); /* T2 */

        DUO_CHECK(ewi_ring_free(&half->writer, taken) == EW_OK);
        room = ewi_ring_reserve(&half->writer, MESSAGE_BYTES);
        DUO_CHECK(room != NULL); /* one message is in flight */
    }
    memcpy(room, message, MESSAGE_BYTES);
    ewi_ring_commit(&half->writer, MESSAGE_BYTES, 0);
}

static void ring_recv(struct half *half, uint8_t *message)
{
    const uint8_t *payload;
    struct record record;
    uint64_t looks = 0;

    while (!ewi_ring_has_record(&half->reader) ||
           ewi_ring_peek(&half->reader, &record, &payload) != EW_OK) { /* a PAD alone */
        ewi_relax();
        DUO_CHECK(++looks < UINT64_C(1) << 32);
    }
    memcpy(message, payload, MESSAGE_BYTES);
    ewi_ring_consume(&half->reader, record);
    atomic_store_explicit(half->taken, half->reader.position, memory_order_release); /* T1 */
}

static void ring_trip(struct bench *bench)
{
    if (bench->duo.is_peer)
        ring_recv(&bench->rings, bench->message);
    ring_send(&bench->rings, bench->message);
    if (!bench->duo.is_peer)
        ring_recv(&bench->rings, bench->message);
}

static void channel_recv(struct bench *bench)
{
    size_t bytes;

    DUO_CHECK(ew_channel_recv(bench->channel, bench->message, MESSAGE_BYTES, &bytes, -1, NULL) ==
              EW_OK); /* no limit: a limit reads the clock; DUO_LIFE_S is the bound */
}

static void channel_trip(struct bench *bench)
{
    if (bench->duo.is_peer)
        channel_recv(bench);
    DUO_CHECK(ew_channel_send(bench->channel, bench->message, MESSAGE_BYTES, -1, NULL) == EW_OK);
    if (!bench->duo.is_peer)
        channel_recv(bench);
}

/* ---- rounds ---- */

static void half_init(struct half *half, uint8_t *mine, uint8_t *theirs)
{
    struct outbox_shared *here = ewi_outbox_init(mine, OUTBOX_BYTES);
    struct outbox_shared *there = (struct outbox_shared *)(void *)theirs;
    uint32_t ring_bytes = ewi_outbox_ring_bytes(OUTBOX_BYTES);

    ewi_ring_writer_init(&half->writer, here->ring, ring_bytes, 0);
    ewi_ring_reader_init(&half->reader, there->ring, ring_bytes, 0, 0);
    half->taken = &here->taken;
    half->taken_there = &there->taken;
}

static void time_blocks(struct bench *bench, void (*trip)(struct bench *bench), uint32_t *samples)
{
    uint64_t before = duo_ticks();

    for (int block = 0; block < BLOCKS; block++) {
        uint64_t now;

        for (int i = 0; i < BLOCK_TRIPS; i++)
            trip(bench);
        now = duo_ticks();
        samples[block] = (uint32_t)(now - before);
        before = now;
    }
}

static void time_trips(struct bench *bench, void (*trip)(struct bench *bench), uint32_t *samples)
{
    uint64_t before = duo_ticks();

    for (int i = 0; i < TRIPS; i++) {
        uint64_t now;

        trip(bench);
        now = duo_ticks();
        samples[i] = (uint32_t)(now - before);
        before = now;
    }
}

static void measure(struct bench *bench, const char *name, int round,
                    void (*trip)(struct bench *bench))
{
    static uint32_t blocks[BLOCKS];
    struct duo_case *of = duo_case(&bench->duo, name);
    uint32_t *samples = duo_samples(of, TRIPS);

    duo_meet(&bench->duo);
    for (int i = 0; i < TRIPS_WARM; i++)
        trip(bench);
    time_blocks(bench, trip, blocks);
    time_trips(bench, trip, samples);
    of->value[round] = duo_median_ns(&bench->duo, blocks, BLOCKS) / BLOCK_TRIPS;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    uint8_t *memory = duo_memory(2 * OUTBOX_BYTES);
    ew_context *context;
    bool first;

    bench.lines = duo_memory(2 * LINE_PAIRS * sizeof(*bench.lines));
    bench.walk = duo_memory(2 * WALK_SLOTS * sizeof(*bench.walk));
    duo_start(&bench.duo, argc, argv, 21, 7);
    duo_pin(&bench.duo);
    first = !bench.duo.is_peer;
    half_init(&bench.rings, memory + (first ? 0 : OUTBOX_BYTES),
              memory + (first ? OUTBOX_BYTES : 0));
    context = duo_context(EW_WAIT_SPIN);
    bench.channel = duo_channel(&bench.duo, context, NULL);
    for (int round = 0; round < bench.duo.rounds; round++) {
        measure(&bench, "line", round, line_trip);
        measure(&bench, "lines", round, lines_trip);
        measure(&bench, "ring", round, ring_trip);
        measure(&bench, "channel", round, channel_trip);
    }
    duo_meet(&bench.duo);
    ew_channel_abort(bench.channel);
    ew_channel_free(bench.channel);
    ew_context_close(context);
    duo_stop(&bench.duo);
    duo_print(&bench.duo, "pingpong", "ns");
    return 0;
}
