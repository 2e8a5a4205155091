/* Does the receiver's queue deliver each byte once, report what RFC 2018 and 2883 say, and hold no more
 * memory than the window? */
#include "tests/c/harness.h"
#include "transport/net/reorder.h"

#define START (2 * NET_SEQ_FIRST - 700)

enum { RECORDS = 256, BUFFER_BYTES = 2048, WINDOW = 65536 };

struct receiver {
    union net_reorder_record memory[RECORDS + 1];
    struct net_reorder_pool pool;
    struct net_reorder queue;
    uint32_t charge_max, buffers;
    struct net_taken taken;
};

static void begin(struct receiver *r, uint32_t records, uint32_t islands)
{
    memset(r, 0xa5, sizeof(*r));
    CHECK(ewi_net_reorder_pool_bytes(records) <= sizeof(r->memory));
    ewi_net_reorder_pool_init(&r->pool, r->memory, records, islands);
    ewi_net_reorder_init(&r->queue, START);
    r->charge_max = WINDOW;
    r->buffers = 0;
}

static enum net_reorder_code arrives_with(struct receiver *r, uint32_t from, uint32_t bytes,
                                          uint32_t room)
{
    struct net_arrival arrival = {.from = START + from,
                                  .bytes = bytes,
                                  .window_end = r->queue.next + WINDOW,
                                  .buffer = ++r->buffers,
                                  .offset = 54,
                                  .room = room,
                                  .charge = BUFFER_BYTES,
                                  .charge_max = r->charge_max};
    enum net_reorder_code code =
        ewi_net_reorder_arrive(&r->pool, &r->queue, &arrival, &r->taken);

    CHECK_EQ(ewi_net_reorder_check(&r->pool, &r->queue), 0);
    return code;
}

static enum net_reorder_code arrives(struct receiver *r, uint32_t from, uint32_t bytes)
{
    return arrives_with(r, from, bytes, 0);
}

static bool takes(struct receiver *r)
{
    bool has = ewi_net_reorder_take(&r->pool, &r->queue, &r->taken);

    CHECK_EQ(ewi_net_reorder_check(&r->pool, &r->queue), 0);
    return has;
}

/* The next ACK: position and blocks, as text. */
static const char *says(struct receiver *r, uint32_t max)
{
    static char text[256];
    struct net_sack sacks[NET_SACKS_MAX];
    uint32_t count = ewi_net_reorder_sacks(&r->pool, &r->queue, sacks, max);
    int at = snprintf(text, sizeof(text), "%u", (unsigned)(r->queue.next - START));

    for (uint32_t i = 0; i < count; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %u-%u",
                       sacks[i].left - (uint32_t)START, sacks[i].right - (uint32_t)START);
    return text;
}

#define SAYS(r, max, want)                                                                         \
    do {                                                                                           \
        const char *have_ = says((r), (max));                                                      \
        if (strcmp(have_, (want)) != 0)                                                            \
            fprintf(stderr, "    have \"%s\"\n    want \"%s\"\n", have_, (want));                  \
        CHECK(strcmp(have_, (want)) == 0);                                                         \
    } while (0)

/* ---- RFC 2018 section 7; 5000 in the RFC is 0 here ---- */

static void rfc2018_7_case_1_in_order_makes_no_block(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    for (uint32_t from = 0; from < 2000; from += 500) {
        CHECK_EQ(arrives(&r, from, 500), NET_REORDER_IN_ORDER);
        CHECK(r.taken.skip == 0 && r.taken.bytes == 500 && r.taken.from == START + from);
    }
    SAYS(&r, 4, "2000");
    CHECK(ewi_net_reorder_is_empty(&r.queue));
}

static void rfc2018_7_case_2_one_block_grows(void)
{
    char want[32];
    struct receiver r;

    begin(&r, RECORDS, 16);
    for (uint32_t from = 500; from < 4000; from += 500) {
        CHECK_EQ(arrives(&r, from, 500), NET_REORDER_HELD);
        snprintf(want, sizeof(want), "0 500-%u", from + 500);
        SAYS(&r, 4, want);
    }
}

static void rfc2018_7_case_3_every_second_is_dropped(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 0, 500), NET_REORDER_IN_ORDER);
    CHECK_EQ(arrives(&r, 1000, 500), NET_REORDER_HELD);
    SAYS(&r, 4, "500 1000-1500");
    CHECK_EQ(arrives(&r, 2000, 500), NET_REORDER_HELD);
    SAYS(&r, 4, "500 2000-2500 1000-1500");
    CHECK_EQ(arrives(&r, 3000, 500), NET_REORDER_HELD);
    SAYS(&r, 4, "500 3000-3500 2000-2500 1000-1500");
    CHECK_EQ(arrives(&r, 1500, 500), NET_REORDER_HELD);
    SAYS(&r, 4, "500 1000-2500 3000-3500");
    CHECK_EQ(arrives(&r, 500, 500), NET_REORDER_IN_ORDER);
    for (uint32_t from = 1000; from < 2500; from += 500) {
        CHECK(takes(&r));
        CHECK(r.taken.from == START + from && r.taken.bytes == 500);
    }
    CHECK(!takes(&r));
    SAYS(&r, 4, "2500 3000-3500");
}

static void rfc2018_4_only_as_many_blocks_as_fit_the_newest_first(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    for (uint32_t from = 1000; from <= 6000; from += 1000)
        CHECK_EQ(arrives(&r, from, 100), NET_REORDER_HELD);
    SAYS(&r, 3, "0 6000-6100 5000-5100 4000-4100");
    CHECK_EQ(arrives(&r, 1100, 100), NET_REORDER_HELD);
    SAYS(&r, 4, "0 1000-1200 6000-6100 5000-5100 4000-4100");
    SAYS(&r, 0, "0");
}

static void rfc2018_4_blocks_that_were_not_recent_fill_the_option(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    for (uint32_t from = 7000; from >= 1000; from -= 1000)
        CHECK_EQ(arrives(&r, from, 100), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 0, 4100), NET_REORDER_IN_ORDER); /* up to the first island only */
    CHECK_EQ(r.taken.bytes, 1000);
    CHECK(takes(&r));
    SAYS(&r, 4, "1100 1000-1100 2000-2100 3000-3100 4000-4100"); /* RFC 2883: what came twice */
    SAYS(&r, 4, "1100 2000-2100 3000-3100 4000-4100 5000-5100");
}

/* ---- RFC 2883 section 4 ---- */

static void rfc2883_4_1_1_a_full_duplicate_is_reported_once(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 0, 500), NET_REORDER_IN_ORDER);
    CHECK_EQ(arrives(&r, 500, 500), NET_REORDER_IN_ORDER);
    CHECK(!ewi_net_reorder_has_dsack(&r.queue));
    CHECK_EQ(arrives(&r, 0, 500), NET_REORDER_DUPLICATE);
    CHECK(ewi_net_reorder_has_dsack(&r.queue));
    SAYS(&r, 4, "1000 0-500");
    SAYS(&r, 4, "1000");
}

static void rfc2883_4_1_2_before_the_block_of_a_hole(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 0, 1000), NET_REORDER_IN_ORDER);
    CHECK_EQ(arrives(&r, 1500, 500), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 500, 500), NET_REORDER_DUPLICATE);
    SAYS(&r, 3, "1000 500-1000 1500-2000");
}

static void rfc2883_4_1_3_before_the_block_that_holds_it(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 500, 500), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 1000, 500), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 2000, 500), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 500, 500), NET_REORDER_DUPLICATE);
    SAYS(&r, 4, "0 500-1000 500-1500 2000-2500");
}

static void rfc2883_4_2_of_a_partial_duplicate_only_the_part(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 0, 1000), NET_REORDER_IN_ORDER);
    CHECK_EQ(arrives(&r, 1500, 500), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 500, 1500), NET_REORDER_IN_ORDER);
    CHECK(r.taken.skip == 500 && r.taken.bytes == 500 && r.taken.offset == 554);
    CHECK(takes(&r));
    SAYS(&r, 3, "2000 500-1000"); /* the first of the two duplicate parts */
}

/* ---- overlap: the first arrival stays ---- */

static void bytes_that_are_held_are_not_replaced(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 1000, 1000), NET_REORDER_HELD); /* buffer 1 */
    CHECK_EQ(arrives(&r, 500, 1000), NET_REORDER_HELD);  /* 2: 500-1000 */
    CHECK_EQ(arrives(&r, 1500, 1000), NET_REORDER_HELD); /* 3: 2000-2500 */
    CHECK_EQ(arrives(&r, 0, 5000), NET_REORDER_IN_ORDER);
    CHECK_EQ(r.taken.bytes, 500);
    CHECK(takes(&r) && r.taken.buffer == 2 && r.taken.bytes == 500 && r.taken.offset == 54);
    CHECK(takes(&r) && r.taken.buffer == 1 && r.taken.bytes == 1000 && r.taken.offset == 54);
    CHECK(takes(&r) && r.taken.buffer == 3 && r.taken.bytes == 500 && r.taken.offset == 554);
    CHECK(!takes(&r));
    CHECK_EQ(r.pool.free, RECORDS);
}

static void over_several_islands_the_first_gap_is_taken(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 1000, 100), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 2000, 100), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 900, 2000), NET_REORDER_HELD);
    SAYS(&r, 4, "0 1000-1100 900-1100 2000-2100");
    CHECK_EQ(arrives(&r, 1050, 2000), NET_REORDER_HELD);
    SAYS(&r, 4, "0 1050-1100 900-2100");
}

/* F-Stack PR#565: overlapping segments with the same sequence number. */
static void the_same_start_with_more_bytes_adds_the_rest(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 1000, 100), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 1000, 300), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 1000, 200), NET_REORDER_DUPLICATE);
    CHECK_EQ(r.queue.held_bytes, 300);
    CHECK_EQ(arrives(&r, 0, 1000), NET_REORDER_IN_ORDER);
    CHECK(takes(&r) && r.taken.buffer == 1 && r.taken.bytes == 100);
    CHECK(takes(&r) && r.taken.buffer == 2 && r.taken.bytes == 200 && r.taken.offset == 154);
}

static void what_is_outside_changes_nothing(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives(&r, 100, 0), NET_REORDER_OUTSIDE);
    CHECK_EQ(arrives(&r, WINDOW - 10, 11), NET_REORDER_OUTSIDE);
    CHECK_EQ(arrives(&r, WINDOW - 10, 10), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 0u - 100, 100), NET_REORDER_OUTSIDE); /* 4 GB ahead, not behind */
    CHECK_EQ(r.queue.pieces, 1);
}

/* ---- memory ---- */

/* picotcp#47: one-byte segments must not pin more than the window. */
static void one_byte_segments_pin_no_more_than_the_window(void)
{
    uint32_t held = 0, full = 0;
    struct receiver r;

    begin(&r, RECORDS, 64);
    r.charge_max = 16 * BUFFER_BYTES;
    for (uint32_t from = 2; from < 400; from += 2) {
        enum net_reorder_code code = arrives(&r, from, 1);

        held += code == NET_REORDER_HELD;
        full += code == NET_REORDER_FULL;
        CHECK(r.queue.charged_bytes <= r.charge_max);
    }
    CHECK_EQ(held, 16);
    CHECK_EQ(full, 199 - 16);
    CHECK_EQ(arrives(&r, 0, 1), NET_REORDER_IN_ORDER); /* I4 */
}

static void a_buffer_larger_than_the_window_is_dropped(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    r.charge_max = BUFFER_BYTES - 1;
    CHECK_EQ(arrives(&r, 100, 10), NET_REORDER_FULL);
    r.charge_max = BUFFER_BYTES;
    CHECK_EQ(arrives(&r, 100, 10), NET_REORDER_HELD);
}

static void tiny_segments_share_a_buffer(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives_with(&r, 100, 1, 9), NET_REORDER_HELD);
    for (uint32_t i = 0; i < 9; i++) {
        CHECK_EQ(arrives_with(&r, 101 + i, 1, 1900), NET_REORDER_COPY);
        CHECK(r.taken.buffer == 1 && r.taken.offset == 55 + i && r.taken.bytes == 1);
        CHECK(r.taken.skip == 0 && r.taken.charge == 0);
    }
    CHECK_EQ(r.queue.charged_bytes, BUFFER_BYTES);
    CHECK_EQ(arrives_with(&r, 110, 1, 1900), NET_REORDER_HELD); /* no room behind */
    CHECK_EQ(arrives_with(&r, 111, BUFFER_BYTES / 4 + 1, 0), NET_REORDER_HELD); /* not tiny */
    CHECK_EQ(r.queue.charged_bytes, 3 * BUFFER_BYTES);
    CHECK_EQ(arrives(&r, 0, 100), NET_REORDER_IN_ORDER);
    CHECK(takes(&r) && r.taken.bytes == 10 && r.taken.buffer == 1);
    CHECK(takes(&r) && r.taken.bytes == 1);
    CHECK(takes(&r) && r.taken.bytes == BUFFER_BYTES / 4 + 1);
    CHECK_EQ(r.queue.charged_bytes, 0);
}

static void a_tiny_copy_may_close_a_gap(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    CHECK_EQ(arrives_with(&r, 100, 10, 100), NET_REORDER_HELD);
    CHECK_EQ(arrives_with(&r, 115, 10, 100), NET_REORDER_HELD);
    CHECK_EQ(arrives_with(&r, 105, 20, 100), NET_REORDER_COPY); /* five of its bytes are new */
    CHECK(r.taken.skip == 5 && r.taken.bytes == 5 && r.taken.offset == 64);
    SAYS(&r, 4, "0 105-110 100-125");
}

static void too_many_islands_are_refused(void)
{
    struct receiver r;

    begin(&r, RECORDS, 3);
    CHECK_EQ(arrives(&r, 100, 10), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 200, 10), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 300, 10), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 400, 10), NET_REORDER_MANY);
    CHECK_EQ(arrives(&r, 210, 10), NET_REORDER_HELD); /* no new one */
    CHECK_EQ(arrives(&r, 90, 10), NET_REORDER_HELD);
}

static void an_empty_pool_refuses_but_the_stream_goes_on(void)
{
    struct receiver r;

    begin(&r, 3, 16);
    CHECK_EQ(arrives(&r, 100, 10), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 200, 10), NET_REORDER_POOL); /* a piece, but no island */
    CHECK_EQ(arrives(&r, 110, 10), NET_REORDER_HELD);
    CHECK_EQ(arrives(&r, 120, 10), NET_REORDER_POOL);
    CHECK_EQ(arrives(&r, 0, 100), NET_REORDER_IN_ORDER);
    CHECK(takes(&r) && takes(&r) && !takes(&r));
    CHECK_EQ(r.pool.free, 3);
}

static void dropping_gives_every_buffer_back(void)
{
    uint32_t dropped = 0;
    struct receiver r;

    begin(&r, RECORDS, 16);
    for (uint32_t from = 100; from < 1000; from += 50)
        CHECK_EQ(arrives(&r, from, from % 100 == 0 ? 50 : 40), NET_REORDER_HELD);
    while (ewi_net_reorder_drop(&r.pool, &r.queue, &r.taken)) {
        dropped += 1;
        CHECK_EQ(ewi_net_reorder_check(&r.pool, &r.queue), 0);
    }
    CHECK_EQ(dropped, 18);
    CHECK_EQ(r.pool.free, RECORDS);
    CHECK_EQ(r.queue.charged_bytes, 0);
    SAYS(&r, 4, "0");
}

static void syn_and_fin_move_the_edge(void)
{
    struct receiver r;

    begin(&r, RECORDS, 16);
    ewi_net_reorder_advance(&r.queue, 1);
    SAYS(&r, 4, "1");
}

int main(void)
{
    RUN(rfc2018_7_case_1_in_order_makes_no_block);
    RUN(rfc2018_7_case_2_one_block_grows);
    RUN(rfc2018_7_case_3_every_second_is_dropped);
    RUN(rfc2018_4_only_as_many_blocks_as_fit_the_newest_first);
    RUN(rfc2018_4_blocks_that_were_not_recent_fill_the_option);
    RUN(rfc2883_4_1_1_a_full_duplicate_is_reported_once);
    RUN(rfc2883_4_1_2_before_the_block_of_a_hole);
    RUN(rfc2883_4_1_3_before_the_block_that_holds_it);
    RUN(rfc2883_4_2_of_a_partial_duplicate_only_the_part);
    RUN(bytes_that_are_held_are_not_replaced);
    RUN(over_several_islands_the_first_gap_is_taken);
    RUN(the_same_start_with_more_bytes_adds_the_rest);
    RUN(what_is_outside_changes_nothing);
    RUN(one_byte_segments_pin_no_more_than_the_window);
    RUN(a_buffer_larger_than_the_window_is_dropped);
    RUN(tiny_segments_share_a_buffer);
    RUN(a_tiny_copy_may_close_a_gap);
    RUN(too_many_islands_are_refused);
    RUN(an_empty_pool_refuses_but_the_stream_goes_on);
    RUN(dropping_gives_every_buffer_back);
    RUN(syn_and_fin_move_the_edge);
    return 0;
}
