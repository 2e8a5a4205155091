/* tests/c/test_net_send_queue.c - transport/net/send_queue.h: bytes come out as they were accepted,
 * however they are cut, as often as they are asked for. */
#include "tests/c/harness.h"
#include "transport/net/send_queue.h"
#include "transport/net/seq.h"
#include "transport/net/sum.h"

enum { SPANS = 64, TEXT = 1 << 16, ROUNDS = 6000 };

static struct net_span memory[SPANS + 1];
static struct net_span_pool pool;
static struct net_send_queue queue;
static uint64_t una;
static uint8_t text[TEXT], out[TEXT];

static void start_with(uint32_t spans, uint64_t position)
{
    CHECK(ewi_net_span_pool_bytes(spans) <= sizeof(memory));
    memset(memory, 0xa5, sizeof(memory)); /* init must not rely on zeros */
    ewi_net_span_pool_init(&pool, memory, spans);
    ewi_net_send_queue_init(&queue, position);
    una = position;
    for (uint32_t i = 0; i < TEXT; i++)
        text[i] = (uint8_t)(i * 31 + i / 251);
}

static void start(void)
{
    start_with(SPANS, NET_SEQ_FIRST + 1000);
}

static bool push(uint32_t at, uint32_t bytes)
{
    bool is_in = ewi_net_send_queue_push(&pool, &queue, text + at, bytes);

    CHECK_EQ(ewi_net_send_queue_check(&pool, &queue, una), EW_OK);
    return is_in;
}

static void release(uint32_t bytes)
{
    ewi_net_send_queue_release(&pool, &queue, una, una + bytes);
    una += bytes;
    CHECK_EQ(ewi_net_send_queue_check(&pool, &queue, una), EW_OK);
}

/* `bytes` bytes that are `offset` behind una must be `want`. */
static void reads(uint32_t offset, uint32_t bytes, const uint8_t *want)
{
    uint32_t sum;

    memset(out, 0, bytes + 1);
    out[bytes] = 0x77;
    sum = ewi_net_send_queue_copy(&pool, &queue, una, una + offset, out, bytes, true);
    CHECK(memcmp(out, want, bytes) == 0);
    CHECK_EQ(out[bytes], 0x77);
    CHECK_EQ(sum, ewi_net_sum(want, bytes));
    memset(out, 0, bytes);
    sum = ewi_net_send_queue_copy(&pool, &queue, una, una + offset, out, bytes, false);
    CHECK(memcmp(out, want, bytes) == 0);
    CHECK_EQ(out[bytes], 0x77);
    CHECK_EQ(sum, 0);
    CHECK_EQ(ewi_net_send_queue_check(&pool, &queue, una), EW_OK);
}

static uint32_t held(void)
{
    return (uint32_t)(queue.end - una);
}

static void sizes_out_of_range_are_refused(void)
{
    CHECK_EQ(ewi_net_span_pool_bytes(0), 0);
    CHECK_EQ(ewi_net_span_pool_bytes(UINT32_MAX), 0);
    CHECK_EQ(ewi_net_span_pool_bytes(1), 32);
    CHECK_EQ(ewi_net_span_pool_bytes(UINT32_MAX - 1), (UINT64_C(1) << 36) - 16);
}

static void an_empty_queue_holds_nothing(void)
{
    start();
    CHECK_EQ(ewi_net_send_queue_check(&pool, &queue, una), EW_OK);
    CHECK(ewi_net_send_queue_check(&pool, &queue, una - 1) != EW_OK);
    CHECK_EQ(ewi_net_send_queue_copy(&pool, &queue, una, una, out, 0, true), 0);
    release(0);
    CHECK_EQ(held(), 0);
}

static void memory_that_follows_becomes_part_of_the_last_span(void)
{
    start();
    CHECK(push(0, 10));
    CHECK(push(10, 20));
    CHECK_EQ(queue.spans, 1);
    CHECK(push(40, 5)); /* a hole */
    CHECK(push(39, 1)); /* before it */
    CHECK(push(39, 1)); /* the same again */
    CHECK_EQ(queue.spans, 4);
    CHECK_EQ(held(), 37);
    CHECK_EQ(pool.free, SPANS - 4);
    reads(0, 30, text);
    reads(30, 5, text + 40);
    reads(35, 1, text + 39);
    reads(36, 1, text + 39);
}

static void a_span_that_was_released_is_not_continued(void)
{
    start();
    memory[0] = (struct net_span){.base = text, .bytes = 0}; /* of nobody: it may be anything */
    CHECK(push(0, 10));
    CHECK_EQ(queue.spans, 1);
    release(10);
    CHECK_EQ(queue.spans, 0);
    CHECK_EQ(pool.free, SPANS);
    CHECK(push(10, 10));
    reads(0, 10, text + 10);
    release(3);
    CHECK(push(20, 10)); /* one of which a part is released is */
    CHECK_EQ(queue.spans, 1);
    reads(0, 17, text + 13);
    release(17);
    CHECK_EQ(pool.free, SPANS);
}

/* catches: lengths of a stream from one huge buffer that wrap (nothing here is read) */
static void a_span_stays_below_two_gigabytes(void)
{
    const uint8_t *far = (const uint8_t *)(uintptr_t)0x10000000;
    uint32_t most = NET_SEND_BYTES_END - 1;

    start();
    CHECK(ewi_net_send_queue_push(&pool, &queue, far, most));
    release(most - 1);
    CHECK(ewi_net_send_queue_push(&pool, &queue, far + most, most - 1));
    CHECK_EQ(queue.spans, 2);
    CHECK_EQ(held(), most);
    release(1);
    CHECK_EQ(queue.spans, 1);
    release(most - 2);
    CHECK_EQ(held(), 1);
}

/* demikernel#198: a retransmission that stops at the end of the application's buffer. mbed-os#4140: a
 * sum that does not fit the bytes when they are cut at odd places. */
static void a_segment_is_gathered_across_spans_of_odd_lengths(void)
{
    uint32_t bytes = 0;

    start();
    for (uint32_t i = 0; i < SPANS; i++) {
        CHECK(push(i * 100, i % 7 + 1)); /* never adjacent */
        memcpy(out + TEXT / 2 + bytes, text + i * 100, i % 7 + 1);
        bytes += i % 7 + 1;
    }
    CHECK_EQ(held(), bytes);
    for (uint32_t from = 0; from < bytes; from++)
        for (uint32_t count = 0; from + count <= bytes; count += 1 + count / 4)
            reads(from, count, out + TEXT / 2 + from);
}

/* demikernel#195: data that is gone after its first retransmission */
static void what_was_read_stays_until_it_is_released(void)
{
    start();
    CHECK(push(0, 100));
    CHECK(push(200, 100));
    for (int again = 0; again < 3; again++) {
        reads(0, 100, text);
        reads(100, 100, text + 200);
    }
    release(50);
    reads(0, 50, text + 50);
    reads(50, 100, text + 200);
}

/* catches: a walk from the head for every segment of new data, and new data that walks again after
 * each retransmission */
static void reads_in_order_do_not_search(void)
{
    uint32_t at;

    start();
    for (uint32_t i = 0; i < SPANS; i++)
        CHECK(push(i * 100, 10));
    for (uint32_t i = 0; i < 40; i++) {
        reads(i * 10, 10, text + i * 100);
        CHECK_EQ(queue.cursor_skip, i * 10);
        CHECK_EQ(queue.again, 0);
    }
    at = queue.cursor;
    for (uint32_t i = 0; i < 20; i++) { /* lost segments */
        reads(i * 10, 10, text + i * 100);
        CHECK_EQ(queue.again_skip, i * 10);
        CHECK(queue.cursor == at);
    }
    reads(400, 10, text + 4000);
    CHECK_EQ(queue.cursor_skip, 400);
    CHECK_EQ(queue.again_skip, 190);
}

static void cursors_survive_the_release_of_what_they_are_on(void)
{
    start();
    for (uint32_t i = 0; i < 8; i++)
        CHECK(push(i * 100, 10));
    reads(50, 10, text + 500);
    reads(20, 10, text + 200);
    release(15); /* one span whole */
    CHECK_EQ(queue.cursor_skip, 40);
    CHECK_EQ(queue.again_skip, 10);
    release(15);
    CHECK_EQ(queue.again, 0); /* it was on the third, which is gone */
    CHECK_EQ(queue.cursor_skip, 20);
    reads(0, 10, text + 300);
    release(45);
    CHECK_EQ(queue.cursor, 0);
    reads(0, 5, text + 705);
    release(5);
    CHECK_EQ(pool.free, SPANS);
    CHECK(push(0, 10));
    reads(0, 10, text);
}

static void a_pool_without_spans_refuses_and_recovers(void)
{
    struct net_send_queue before;

    start_with(3, NET_SEQ_FIRST);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(push(i * 100, 10));
    before = queue;
    CHECK(!push(1000, 10));
    CHECK(memcmp(&before, &queue, sizeof(queue)) == 0);
    CHECK_EQ(pool.refused, 1);
    CHECK(push(210, 10)); /* needs none */
    release(10);
    CHECK(push(1000, 10));
    CHECK(!push(2000, 10));
    reads(30, 10, text + 1000);
}

static void the_end_of_a_connection_gives_all_back(void)
{
    struct net_send_queue other;

    start();
    ewi_net_send_queue_init(&other, 77);
    for (uint32_t i = 0; i < 10; i++) {
        CHECK(push(i * 100, 10));
        CHECK(ewi_net_send_queue_push(&pool, &other, text + i * 50, 5));
    }
    reads(42, 8, text + 402);
    ewi_net_send_queue_fini(&pool, &queue);
    CHECK_EQ(queue.spans, 0);
    CHECK_EQ(ewi_net_send_queue_check(&pool, &queue, queue.end), EW_OK);
    CHECK_EQ(ewi_net_send_queue_check(&pool, &other, 77), EW_OK);
    ewi_net_send_queue_fini(&pool, &other);
    CHECK_EQ(pool.free, SPANS);
    ewi_net_send_queue_fini(&pool, &queue); /* twice does no harm */
    CHECK_EQ(pool.free, SPANS);
}

static void the_check_finds_what_is_wrong(void)
{
    start();
    CHECK(push(0, 10) && push(100, 10) && push(200, 10));
    reads(15, 1, text + 105);
    queue.cursor_skip += 1;
    CHECK(ewi_net_send_queue_check(&pool, &queue, una) != EW_OK);
    queue.cursor_skip -= 1;
    queue.again = 60; /* no span of the list */
    CHECK(ewi_net_send_queue_check(&pool, &queue, una) != EW_OK);
    queue.again = 0;
    queue.head_skip = 10;
    CHECK(ewi_net_send_queue_check(&pool, &queue, una - 10) != EW_OK);
    queue.head_skip = 0;
    queue.tail = queue.head;
    CHECK(ewi_net_send_queue_check(&pool, &queue, una) != EW_OK);
}

/* ---- against a flat copy of what was accepted ---- */

static uint8_t flat[TEXT];
static uint32_t flat_bytes;

static void random_push(struct harness_random *random)
{
    uint32_t at = (uint32_t)harness_below(random, TEXT - 600);
    uint32_t bytes = (uint32_t)harness_between(random, 1, 1u << harness_below(random, 10));
    const struct net_span *tail = &pool.span[queue.tail];

    if (flat_bytes + bytes > TEXT - 600)
        return;
    if (queue.tail != 0 && harness_below(random, 3) == 0) {
        size_t behind = (size_t)(tail->base - text) + tail->bytes;

        at = behind + bytes <= TEXT ? (uint32_t)behind : at;
    }
    if (!push(at, bytes)) {
        CHECK_EQ(pool.free, 0);
        return;
    }
    memcpy(flat + flat_bytes, text + at, bytes);
    flat_bytes += bytes;
}

static void random_release(struct harness_random *random)
{
    uint32_t bytes = (uint32_t)harness_below(random, flat_bytes + 1);

    if (harness_below(random, 2) == 0)
        bytes = (uint32_t)ewi_min_u64(bytes, 100);
    release(bytes);
    memmove(flat, flat + bytes, flat_bytes - bytes);
    flat_bytes -= bytes;
}

static void random_read(struct harness_random *random)
{
    uint32_t from = (uint32_t)harness_below(random, flat_bytes + 1);
    uint32_t most = (uint32_t)ewi_min_u64(flat_bytes - from, 2000);

    reads(from, (uint32_t)harness_below(random, most + 1), flat + from);
}

static void random_use_agrees_with_a_flat_copy(uint64_t seed)
{
    struct harness_random random = {seed};

    start_with((uint32_t)harness_between(&random, 1, SPANS), NET_SEQ_FIRST + UINT32_MAX - 5000);
    flat_bytes = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t what = harness_below(&random, 8);

        if (what < 3)
            random_push(&random);
        else if (what == 3)
            random_release(&random);
        else
            random_read(&random);
        CHECK_EQ(held(), flat_bytes);
        CHECK_EQ(pool.free + queue.spans, pool.spans_all);
    }
    release(flat_bytes);
    CHECK_EQ(pool.free, pool.spans_all);
}

int main(int argc, char **argv)
{
    RUN(sizes_out_of_range_are_refused);
    RUN(an_empty_queue_holds_nothing);
    RUN(memory_that_follows_becomes_part_of_the_last_span);
    RUN(a_span_that_was_released_is_not_continued);
    RUN(a_span_stays_below_two_gigabytes);
    RUN(a_segment_is_gathered_across_spans_of_odd_lengths);
    RUN(what_was_read_stays_until_it_is_released);
    RUN(reads_in_order_do_not_search);
    RUN(cursors_survive_the_release_of_what_they_are_on);
    RUN(a_pool_without_spans_refuses_and_recovers);
    RUN(the_end_of_a_connection_gives_all_back);
    RUN(the_check_finds_what_is_wrong);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_use_agrees_with_a_flat_copy(seed);
    return 0;
}
