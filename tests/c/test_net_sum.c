/* tests/c/test_net_sum.c - the Internet checksum against one 16-bit word at a time. */
#include "tests/c/harness.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"

enum { BYTES_MAX = 9000, MARGIN = 16, RANDOM_RUNS = 4000 };

/* ---- the model: RFC 1071 section 4.1, as slowly as possible ---- */

static uint32_t slow_sum(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < length; i++) {
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        if (sum > 0xffff)
            sum -= 0xffff;
    }
    return sum;
}

static void fill(struct harness_random *random, uint8_t *bytes, size_t length)
{
    uint64_t kind = harness_below(random, 8);

    for (size_t i = 0; i < length; i++) {
        if (kind == 0)
            bytes[i] = 0xff; /* every addition carries */
        else if (kind == 1)
            bytes[i] = 0;
        else
            bytes[i] = (uint8_t)harness_next(random);
    }
}

/* ---- known answers ---- */

static void rfc_1071_section_3_example(void)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    CHECK_EQ(ewi_net_sum(bytes, sizeof(bytes)), 0xddf2);
    CHECK_EQ(ewi_net_sum_finish(0xddf2), 0x220d);
}

static void an_odd_byte_is_padded_with_zero_behind_it(void)
{
    static const uint8_t bytes[] = {0x12, 0x34, 0x56};

    CHECK_EQ(ewi_net_sum(bytes, 0), 0);
    CHECK_EQ(ewi_net_sum(bytes, 1), 0x1200);
    CHECK_EQ(ewi_net_sum(bytes, 3), 0x1234 + 0x5600);
}

static void only_zeros_sum_to_zero(void) /* sum.h, I1 */
{
    static uint8_t bytes[200];

    for (size_t length = 0; length <= sizeof(bytes); length++) {
        CHECK_EQ(ewi_net_sum(bytes, length), 0);
        for (size_t at = 0; at < length; at += 7) {
            bytes[at] = 0xff; /* 0xff00 or 0x00ff */
            CHECK(ewi_net_sum(bytes, length) != 0);
            bytes[at] = 0;
        }
    }
    memset(bytes, 0xff, sizeof(bytes));
    for (size_t length = 2; length <= sizeof(bytes); length += 2)
        CHECK_EQ(ewi_net_sum(bytes, length), 0xffff);
}

static void rfc_791_header_example(void) /* a header known from textbooks */
{
    static const uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                     0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    uint32_t sum = ewi_net_sum(header, sizeof(header));

    CHECK(ewi_net_sum_is_good(sum));
    CHECK_EQ(ewi_net_sum_finish(ewi_net_sum_add(sum, (uint16_t)~0xb861)), 0xb861);
}

static void pseudo_headers_are_sums_of_their_bytes(void)
{
    static const uint8_t ip4[] = {192, 0, 2, 1, 192, 0, 2, 2, 0, 6, 0x12, 0x34};
    static const uint8_t ip6[40] = {0x20, 1, 0x0d, 0xb8, [15] = 1, [16] = 0xff, 2, [31] = 0xfe,
                                    /* length, zeros, next header */ 0, 1, 0, 2, 0, 0, 0, 58};
    uint32_t addresses = ewi_net_sum_ip4(0xc0000201, 0xc0000202);

    CHECK_EQ(ewi_net_sum_pseudo(addresses, 6, 0x1234), slow_sum(ip4, sizeof(ip4)));
    addresses = ewi_net_sum_ip6(ip6, ip6 + 16);
    CHECK_EQ(ewi_net_sum_pseudo(addresses, 58, 0x10002), slow_sum(ip6, sizeof(ip6)));
}

static void rfc_768_zero_is_sent_as_all_ones(void)
{
    CHECK_EQ(ewi_net_sum_finish(0xffff), 0);
    CHECK_EQ(ewi_net_sum_finish_udp(0xffff), 0xffff);
    for (uint32_t sum = 0; sum < 0xffff; sum++) {
        CHECK(ewi_net_sum_finish_udp(sum) != 0);
        CHECK_EQ(ewi_net_sum_finish_udp(sum), ewi_net_sum_finish(sum));
    }
}

/* ---- random ---- */

static void check_one(struct harness_random *random, uint8_t *from, uint8_t *to)
{
    size_t length = harness_below(random, harness_below(random, 2) != 0 ? 200 : BYTES_MAX);
    size_t at = harness_below(random, MARGIN), there = harness_below(random, MARGIN);
    uint32_t sum;

    fill(random, from + at, length);
    sum = slow_sum(from + at, length);
    CHECK_EQ(ewi_net_sum(from + at, length), sum);
    memset(to, 0xa5, BYTES_MAX + 2 * MARGIN);
    CHECK_EQ(ewi_net_copy_sum(to + there, from + at, length), sum); /* I3 */
    CHECK(memcmp(to + there, from + at, length) == 0);
    for (size_t i = 0; i < there; i++)
        CHECK_EQ(to[i], 0xa5);
    for (size_t i = there + length; i < BYTES_MAX + 2 * MARGIN; i++)
        CHECK_EQ(to[i], 0xa5);
}

/* Cut a span into pieces of any length and join them: I2. */
static void check_joins(struct harness_random *random, uint8_t *bytes)
{
    size_t length = harness_below(random, 600), at = 0;
    uint32_t sum = 0;

    fill(random, bytes, length);
    while (at < length) {
        size_t piece = harness_between(random, 0, length - at);

        sum = ewi_net_sum_join(sum, ewi_net_sum(bytes + at, piece), at);
        at += piece;
    }
    CHECK_EQ(sum, slow_sum(bytes, length));
}

/* Exact sizes, so that ASan sees one byte too far. */
static void check_exact(struct harness_random *random)
{
    for (size_t length = 1; length < 200; length++) {
        uint8_t *from = malloc(length), *to = malloc(length);

        CHECK(from != NULL && to != NULL);
        fill(random, from, length);
        CHECK_EQ(ewi_net_copy_sum(to, from, length), slow_sum(from, length));
        CHECK_EQ(ewi_net_sum(to, length), slow_sum(from, length));
        free(from);
        free(to);
    }
}

static void check_fold(struct harness_random *random)
{
    uint64_t value = harness_next(random) >> harness_below(random, 64);
    uint64_t have = ewi_net_sum_fold(value);

    CHECK(have <= 0xffff);
    CHECK_EQ(have % 0xffff, value % 0xffff);
    CHECK_EQ(have == 0, value == 0);
    CHECK_EQ(ewi_net_sum_fold(UINT64_MAX), 0xffff);
}

static void long_spans_lose_no_carry(void)
{
    enum { LONG = 8 << 20 };
    uint8_t *bytes = malloc(LONG);

    CHECK(bytes != NULL);
    memset(bytes, 0xff, LONG);
    bytes[LONG - 1] = 0xfe;
    CHECK_EQ(ewi_net_sum(bytes, LONG), 0xfffe);
    free(bytes);
}

int main(int argc, char **argv)
{
    static uint8_t from[BYTES_MAX + 2 * MARGIN], to[BYTES_MAX + 2 * MARGIN];

    RUN(rfc_1071_section_3_example);
    RUN(an_odd_byte_is_padded_with_zero_behind_it);
    RUN(only_zeros_sum_to_zero);
    RUN(rfc_791_header_example);
    RUN(pseudo_headers_are_sums_of_their_bytes);
    RUN(rfc_768_zero_is_sent_as_all_ones);
    RUN(long_spans_lose_no_carry);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        check_exact(&random);
        for (int i = 0; i < RANDOM_RUNS; i++) {
            if (i % 8 == 0)
                check_one(&random, from, to);
            check_joins(&random, from);
            check_fold(&random);
        }
    }
    return 0;
}
