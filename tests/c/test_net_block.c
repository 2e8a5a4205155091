/* tests/c/test_net_block.c - transport/net/block.h: the two passes agree and nothing overflows. */
#include "tests/c/harness.h"
#include "transport/net/block.h"

static _Alignas(NET_BLOCK_ALIGN_MAX) uint8_t memory[1 << 16];

/* catches: padding behind instead of before, or a wrong first offset */
static void pieces_follow_each_other_with_gaps_for_alignment_only(void)
{
    struct net_block block;

    ewi_net_block_layout(&block);
    CHECK_EQ(ewi_net_block_add(&block, 1, 64), 0);
    CHECK_EQ(ewi_net_block_add(&block, 3, 1), 1);
    CHECK_EQ(ewi_net_block_add(&block, 8, 4), 4);
    CHECK_EQ(ewi_net_block_array(&block, 3, 8, 64), 64);
    CHECK_EQ(ewi_net_block_bytes(&block), 128);
    CHECK_EQ(block.align, 64);
}

static void the_layout_pass_has_no_memory(void)
{
    struct net_block block;

    ewi_net_block_layout(&block);
    CHECK(ewi_net_block_at(&block, ewi_net_block_add(&block, 8, 8)) == NULL);
}

static void a_piece_that_fits_to_the_last_byte_is_given(void)
{
    struct net_block block;

    ewi_net_block_fill(&block, memory, 100);
    CHECK_EQ(ewi_net_block_add(&block, 36, 4), 0);
    CHECK_EQ(ewi_net_block_add(&block, 64, 4), 36);
    CHECK(ewi_net_block_at(&block, 36) == memory + 36);
    CHECK(ewi_net_block_add(&block, 1, 1) == NET_BLOCK_NONE);
}

/* catches: the gap not counted, as in used + bytes <= room */
static void a_piece_that_fits_only_without_its_gap_is_refused(void)
{
    struct net_block block;

    ewi_net_block_fill(&block, memory, 100);
    CHECK_EQ(ewi_net_block_add(&block, 1, 1), 0);
    CHECK(ewi_net_block_add(&block, 99, 2) == NET_BLOCK_NONE);
}

static void a_gap_that_does_not_fit_is_refused(void)
{
    struct net_block block;

    ewi_net_block_fill(&block, memory, 100);
    CHECK_EQ(ewi_net_block_add(&block, 70, 1), 0);
    CHECK(ewi_net_block_add(&block, 1, 64) == NET_BLOCK_NONE); /* 128 > 100 */
}

static void sums_that_overflow_are_refused(void)
{
    struct net_block block;

    ewi_net_block_layout(&block);
    CHECK_EQ(ewi_net_block_add(&block, 1, 1), 0);
    CHECK(ewi_net_block_add(&block, SIZE_MAX - 1, 1) == 1); /* the last byte of all */
    CHECK(ewi_net_block_add(&block, 1, 1) == NET_BLOCK_NONE);
    ewi_net_block_layout(&block);
    CHECK_EQ(ewi_net_block_add(&block, 1, 1), 0);
    CHECK(ewi_net_block_add(&block, SIZE_MAX - 1, 2) == NET_BLOCK_NONE);
}

static void products_that_overflow_are_refused(void)
{
    struct net_block block;

    ewi_net_block_layout(&block);
    CHECK(ewi_net_block_array(&block, SIZE_MAX / 8 + 1, 8, 8) == NET_BLOCK_NONE); /* is 0 */
    ewi_net_block_layout(&block);
    CHECK(ewi_net_block_array(&block, SIZE_MAX / 8 + 2, 8, 8) == NET_BLOCK_NONE); /* is 8 */
}

/* catches: bytes() rounding up past the end of a size_t */
static void a_total_that_overflows_is_refused(void)
{
    struct net_block block;

    ewi_net_block_layout(&block);
    CHECK_EQ(ewi_net_block_add(&block, 64, 64), 0);
    CHECK_EQ(ewi_net_block_add(&block, SIZE_MAX - 64, 1), 64);
    CHECK_EQ(ewi_net_block_bytes(&block), 0);
}

static void no_bytes_are_refused_because_that_is_how_sizes_refuse(void)
{
    struct net_block block;

    ewi_net_block_layout(&block);
    CHECK(ewi_net_block_add(&block, 0, 1) == NET_BLOCK_NONE);
    ewi_net_block_layout(&block);
    CHECK(ewi_net_block_array(&block, 0, 8, 8) == NET_BLOCK_NONE);
    ewi_net_block_layout(&block);
    CHECK(ewi_net_block_array(&block, 8, 0, 8) == NET_BLOCK_NONE);
}

static void what_is_no_alignment_is_refused(void)
{
    static const size_t bad[] = {0, 3, 24, 8192, SIZE_MAX};
    struct net_block block;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ewi_net_block_layout(&block);
        CHECK(ewi_net_block_add(&block, 8, bad[i]) == NET_BLOCK_NONE);
    }
}

static void memory_that_is_not_aligned_is_refused(void)
{
    struct net_block block;

    ewi_net_block_fill(&block, memory + 32, 1024);
    CHECK_EQ(ewi_net_block_add(&block, 8, 32), 0);
    CHECK(ewi_net_block_add(&block, 8, 64) == NET_BLOCK_NONE);
}

static void no_memory_at_all_is_refused(void)
{
    struct net_block block;

    ewi_net_block_fill(&block, NULL, 1024);
    CHECK(ewi_net_block_add(&block, 8, 8) == NET_BLOCK_NONE);
}

static void a_failure_sticks(void)
{
    struct net_block block;

    ewi_net_block_fill(&block, memory, 64);
    CHECK(ewi_net_block_add(&block, 65, 1) == NET_BLOCK_NONE);
    CHECK(ewi_net_block_add(&block, 1, 1) == NET_BLOCK_NONE);
    CHECK(ewi_net_block_at(&block, 0) == NULL);
    CHECK_EQ(ewi_net_block_bytes(&block), 0);
}

static void offsets_outside_have_no_address(void)
{
    struct net_block block;

    ewi_net_block_fill(&block, memory, 1024);
    CHECK_EQ(ewi_net_block_add(&block, 8, 8), 0);
    CHECK(ewi_net_block_at(&block, 8) == NULL);
    CHECK(ewi_net_block_at(&block, NET_BLOCK_NONE) == NULL);
}

/* I1, I2: the same random pieces in both passes; each is filled with its own number. */
static void random_pieces_agree_in_both_passes(uint64_t seed)
{
    enum { PIECES = 40 };
    struct harness_random random = {seed};
    struct net_block layout, block;
    size_t bytes[PIECES], align[PIECES], offset[PIECES];

    ewi_net_block_layout(&layout);
    for (int i = 0; i < PIECES; i++) {
        bytes[i] = harness_between(&random, 1, 300);
        align[i] = (size_t)1 << harness_below(&random, 9);
        offset[i] = ewi_net_block_add(&layout, bytes[i], align[i]);
        CHECK_EQ(offset[i] % align[i], 0);
    }
    CHECK(ewi_net_block_bytes(&layout) <= sizeof(memory));
    ewi_net_block_fill(&block, memory, ewi_net_block_bytes(&layout));
    for (int i = 0; i < PIECES; i++) {
        CHECK(ewi_net_block_add(&block, bytes[i], align[i]) == offset[i]);
        memset(ewi_net_block_at(&block, offset[i]), i, bytes[i]);
    }
    for (int i = 0; i < PIECES; i++)
        for (size_t at = 0; at < bytes[i]; at++)
            CHECK_EQ(memory[offset[i] + at], i);
    ewi_net_block_fill(&block, memory, layout.used - 1); /* one byte less is too little */
    for (int i = 0; i < PIECES; i++)
        (void)ewi_net_block_add(&block, bytes[i], align[i]);
    CHECK_EQ(ewi_net_block_bytes(&block), 0);
}

int main(int argc, char **argv)
{
    RUN(pieces_follow_each_other_with_gaps_for_alignment_only);
    RUN(the_layout_pass_has_no_memory);
    RUN(a_piece_that_fits_to_the_last_byte_is_given);
    RUN(a_piece_that_fits_only_without_its_gap_is_refused);
    RUN(a_gap_that_does_not_fit_is_refused);
    RUN(sums_that_overflow_are_refused);
    RUN(products_that_overflow_are_refused);
    RUN(a_total_that_overflows_is_refused);
    RUN(no_bytes_are_refused_because_that_is_how_sizes_refuse);
    RUN(what_is_no_alignment_is_refused);
    RUN(memory_that_is_not_aligned_is_refused);
    RUN(no_memory_at_all_is_refused);
    RUN(a_failure_sticks);
    RUN(offsets_outside_have_no_address);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_pieces_agree_in_both_passes(seed);
    return 0;
}
