/* tests/c/test_shell_chunks.c - transport/shell/chunks.h: the queue against a plain array. */
#include "tests/c/harness.h"
#include "transport/shell/chunks.h"

enum { CHUNKS = 9, QUEUES = 3, MOVES = 4000 };

static struct chunks chunks;
static uint8_t *memory;

struct twin { /* a queue, and where each of its bytes lies */
    struct chunk_queue queue;
    uint64_t released;
    const uint8_t *at[CHUNKS * CHUNK_BYTES];
};

static struct twin twins[QUEUES];

static uint8_t value_of(const struct twin *twin, uint64_t position)
{
    return (uint8_t)(position * 37 + (uint64_t)(twin - twins) * 101 + (position >> 9));
}

static void begin(void)
{
    memory = calloc(1, ewi_chunks_bytes(CHUNKS));
    CHECK(memory != NULL);
    memset(twins, 0, sizeof(twins));
    ewi_chunks_init(&chunks, memory, CHUNKS);
    CHECK_EQ(chunks.free, CHUNKS);
}

static uint32_t chunks_of(const struct twin *twin)
{
    uint32_t count = 0;

    for (uint32_t chunk = twin->queue.first; chunk != 0; chunk = chunks.next[chunk - 1])
        count += 1;
    return count;
}

/* I1, I2, and that no chunk is lost or in two places. */
static void check_all(void)
{
    bool seen[CHUNKS + 1] = {false};
    uint32_t used = 0;

    for (int q = 0; q < QUEUES; q++) {
        struct twin *twin = &twins[q];
        uint32_t last = 0;

        for (uint32_t chunk = twin->queue.first; chunk != 0; chunk = chunks.next[chunk - 1]) {
            CHECK(!seen[chunk]);
            seen[chunk] = true;
            last = chunk;
        }
        CHECK_EQ(last, twin->queue.last);
        used += chunks_of(twin);
        CHECK(twin->queue.start <= twin->released || twin->released == twin->queue.end);
        if (twin->released == twin->queue.end)
            CHECK_EQ(twin->queue.first, 0);
        for (uint64_t i = twin->released; i < twin->queue.end; i += 97)
            CHECK_EQ(*twin->at[i % (CHUNKS * CHUNK_BYTES)], value_of(twin, i));
    }
    CHECK_EQ(used + chunks.free, CHUNKS);
}

static void write_some(struct twin *twin, struct harness_random *random)
{
    uint32_t room = 0, bytes;
    uint8_t *to = ewi_chunks_room(&chunks, &twin->queue, &room);

    if (to == NULL) {
        CHECK_EQ(chunks.free, 0);
        return;
    }
    CHECK(room > 0 && room <= CHUNK_BYTES);
    CHECK(to >= memory && to + room <= memory + CHUNKS * CHUNK_BYTES);
    bytes = (uint32_t)harness_between(random, 1, harness_below(random, 3) == 0 ? room : ewi_min_u32(room, 900));
    for (uint32_t i = 0; i < bytes; i++) {
        uint64_t position = twin->queue.end + i;

        to[i] = value_of(twin, position);
        twin->at[position % (CHUNKS * CHUNK_BYTES)] = to + i;
    }
    ewi_chunks_add(&twin->queue, bytes);
}

static void release_some(struct twin *twin, struct harness_random *random)
{
    uint32_t before = chunks.free;
    uint64_t to = harness_between(random, twin->released, twin->queue.end);
    bool came;

    if (harness_below(random, 4) == 0)
        to = twin->queue.end;
    came = ewi_chunks_release(&chunks, &twin->queue, to);
    twin->released = to;
    CHECK_EQ(came, chunks.free != before);
}

static uint64_t seed_now;

static void queues_share_a_pool_and_every_byte_stays_where_it_is(void)
{
    struct harness_random random = {seed_now};

    begin();
    for (int i = 0; i < MOVES; i++) {
        struct twin *twin = &twins[harness_below(&random, QUEUES)];

        if (harness_below(&random, 3) != 0)
            write_some(twin, &random);
        else
            release_some(twin, &random);
        check_all();
    }
    for (int q = 0; q < QUEUES; q++) {
        ewi_chunks_release(&chunks, &twins[q].queue, UINT64_MAX);
        CHECK_EQ(twins[q].queue.start, twins[q].queue.end);
    }
    CHECK_EQ(chunks.free, CHUNKS);
    free(memory);
}

/* catches: a room that was asked for and not written, which keeps its chunk for ever */
static void room_that_is_not_used_goes_back(void)
{
    struct chunk_queue queue = {0};
    uint32_t room;

    begin();
    CHECK(ewi_chunks_room(&chunks, &queue, &room) != NULL);
    CHECK_EQ(chunks.free, CHUNKS - 1);
    CHECK(ewi_chunks_release(&chunks, &queue, UINT64_MAX));
    CHECK_EQ(chunks.free, CHUNKS);
    CHECK_EQ(queue.end, 0);
    free(memory);
}

/* Refused by the stack just when the last chunk was full. catches: an empty chunk that is taken for a full one */
static void empty_chunk_behind_a_full_one_is_used_next(void)
{
    struct chunk_queue queue = {0};
    uint8_t *empty, *again;
    uint32_t room;

    begin();
    CHECK(ewi_chunks_room(&chunks, &queue, &room) != NULL);
    ewi_chunks_add(&queue, CHUNK_BYTES);
    empty = ewi_chunks_room(&chunks, &queue, &room);
    CHECK(empty != NULL);
    again = ewi_chunks_room(&chunks, &queue, &room);
    CHECK(again == empty);
    CHECK_EQ(room, CHUNK_BYTES);
    CHECK_EQ(chunks.free, CHUNKS - 2);
    CHECK(ewi_chunks_release(&chunks, &queue, CHUNK_BYTES));
    CHECK_EQ(chunks.free, CHUNKS);
    free(memory);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        seed_now = seed;
        RUN(queues_share_a_pool_and_every_byte_stays_where_it_is);
    }
    RUN(room_that_is_not_used_goes_back);
    RUN(empty_chunk_behind_a_full_one_is_used_next);
    return 0;
}
