/* tests/c/test_net_cookie.c - transport/net/cookie.h: what a SYN said comes back, and only that. */
#include "tests/c/harness.h"
#include "transport/net/cookie.h"

#define STEP NET_COOKIE_STEP_NS
#define NOW  (1000 * STEP + STEP / 3)

enum { BITS_OF_A_TUPLE = 8 * sizeof(struct net_tuple), GUESSES = 300000 };

static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const struct net_tuple v4 = {.local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2},
                                    .local_port = 80, .remote_port = 4000, .family = 4};
static const struct net_tuple v6 = {
    .local = {0xfe, 0x80, [15] = 1}, .remote = {0xfe, 0x80, [15] = 2},
    .local_port = 80, .remote_port = 4000, .scope = 3, .family = 6};

static uint16_t mss_after(const struct net_tuple *tuple, uint16_t offered)
{
    uint32_t cookie = ewi_net_cookie_make(key, tuple, 77, offered, NOW);
    uint16_t mss = 0;

    CHECK(ewi_net_cookie_judge(key, tuple, 77, cookie, NOW, &mss));
    return mss;
}

static bool judge(const struct net_tuple *tuple, uint32_t peer_isn, uint32_t cookie, uint64_t now)
{
    uint16_t mss = 0xa5a5;
    bool is_good = ewi_net_cookie_judge(key, tuple, peer_isn, cookie, now, &mss);

    CHECK(is_good || mss == 0xa5a5);
    return is_good;
}

/* I1. RFC 9293 section 3.7.1: never more than the peer said it takes. */
static void the_mss_that_comes_back_is_the_next_below(const struct net_tuple *tuple)
{
    uint16_t last = 0;
    uint32_t values = 0;

    for (uint32_t offered = NET_COOKIE_MSS_MIN; offered <= UINT16_MAX; offered++) {
        uint16_t mss = mss_after(tuple, (uint16_t)offered);

        CHECK(mss == offered || mss == last);
        values += mss != last;
        last = mss;
    }
    CHECK(values >= 4 && values <= 8);
    CHECK_EQ(mss_after(tuple, 0), NET_COOKIE_MSS_MIN);
    CHECK_EQ(mss_after(tuple, NET_COOKIE_MSS_MIN - 1), NET_COOKIE_MSS_MIN);
}

static void common_mss_come_back_as_they_are(void)
{
    static const uint16_t common4[] = {536, 1460, 8960}, common6[] = {1220, 1440, 8940};

    for (int i = 0; i < 3; i++) {
        CHECK_EQ(mss_after(&v4, common4[i]), common4[i]);
        CHECK_EQ(mss_after(&v6, common6[i]), common6[i]);
    }
    CHECK_EQ(mss_after(&v4, 1459), 1440);
    CHECK_EQ(mss_after(&v6, 1439), 1420);
    CHECK_EQ(mss_after(&v4, UINT16_MAX), 8960);
    the_mss_that_comes_back_is_the_next_below(&v4);
    the_mss_that_comes_back_is_the_next_below(&v6);
}

static void a_cookie_lives_two_to_three_steps(void)
{
    uint32_t cookie = ewi_net_cookie_make(key, &v4, 77, 1460, 1000 * STEP);

    CHECK(judge(&v4, 77, cookie, 1000 * STEP));
    CHECK(judge(&v4, 77, cookie, 1001 * STEP));
    CHECK(judge(&v4, 77, cookie, 1003 * STEP - 1));
    for (uint64_t step = 1003; step < 1200; step++) /* also when the two bits of time come again */
        CHECK(!judge(&v4, 77, cookie, step * STEP));
    CHECK(!judge(&v4, 77, cookie, 999 * STEP)); /* from the future */
}

static void a_cookie_of_the_first_second_is_good(void)
{
    uint32_t cookie = ewi_net_cookie_make(key, &v4, 77, 1460, 0);

    CHECK(judge(&v4, 77, cookie, 0));
    CHECK(judge(&v4, 77, cookie, 2 * STEP));
    CHECK(!judge(&v4, 77, cookie, 3 * STEP));
}

/* catches: a field that the hash leaves out */
static void a_cookie_is_for_one_connection_and_one_syn(const struct net_tuple *tuple)
{
    uint32_t cookie = ewi_net_cookie_make(key, tuple, 77, 1460, NOW);
    uint8_t other_key[16];

    for (uint32_t bit = 0; bit < BITS_OF_A_TUPLE; bit++) {
        struct net_tuple other = *tuple;

        ((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(!judge(&other, 77, cookie, NOW));
    }
    for (uint32_t bit = 0; bit < 32; bit++) {
        CHECK(!judge(tuple, 77 ^ 1u << bit, cookie, NOW));
        CHECK(!judge(tuple, 77, cookie ^ 1u << bit, NOW));
    }
    for (uint32_t bit = 0; bit < 128; bit++) {
        memcpy(other_key, key, 16);
        other_key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(ewi_net_cookie_make(other_key, tuple, 77, 1460, NOW) != cookie);
    }
}

static void cookies_of_both_families_are_for_one_connection(void)
{
    a_cookie_is_for_one_connection_and_one_syn(&v4);
    a_cookie_is_for_one_connection_and_one_syn(&v6);
}

/* catches: a hash of which only some bits count: then a few are enough to see */
static void all_bits_but_time_and_mss_are_hash(void)
{
    uint32_t ones = 0, zeros = 0;

    for (uint32_t peer_isn = 0; peer_isn < 64; peer_isn++) {
        uint32_t cookie = ewi_net_cookie_make(key, &v4, peer_isn, 1460, NOW);

        ones |= cookie;
        zeros |= ~cookie;
    }
    CHECK_EQ(ones & zeros, 0x07ffffff);
}

/* 3 * 8 of 2^32 numbers are good: among so many guesses not even one, but for a seed in 600. The seed
 * is fixed. */
static void guesses_do_not_succeed(void)
{
    struct harness_random random = {42};
    uint32_t hits = 0;

    for (int i = 0; i < GUESSES; i++)
        hits += judge(&v4, (uint32_t)harness_next(&random), (uint32_t)harness_next(&random), NOW);
    CHECK_EQ(hits, 0);
}

/* How many numbers are taken for one connection, by looking at the low bits of each of the 32 kinds.
 * Here the hash is not guessed: 24 cookies are made, and nothing else that has their low bits passes. */
static void exactly_three_times_eight_numbers_are_good(void)
{
    static const uint16_t offers[8] = {64, 536, 1200, 1360, 1400, 1440, 1460, 8960};
    uint32_t good = 0;

    for (uint32_t steps = 0; steps < 5; steps++)
        for (uint32_t i = 0; i < 8; i++) {
            uint64_t then = (1000 + steps) * STEP; /* judged at 1003 */
            uint32_t cookie = ewi_net_cookie_make(key, &v4, 5, offers[i], then);

            for (uint32_t kind = 0; kind < 32; kind++)
                good += judge(&v4, 5, (cookie & 0x07ffffff) | kind << 27, 1003 * STEP);
        }
    CHECK_EQ(good, 24);
}

/* ---- options in the timestamp ---- */

static struct net_cookie_options some_options(uint32_t n)
{
    struct net_cookie_options options = {.sack = (n & 1) != 0, .ecn = (n & 2) != 0};

    options.has_scale = n >> 2 <= 14;
    options.scale = (uint8_t)(options.has_scale ? n >> 2 : 0);
    return options;
}

static void options_come_back(uint32_t ticks, uint32_t n)
{
    struct net_cookie_options options = some_options(n), back;
    uint32_t time = ewi_net_cookie_time_make(ticks, &options);

    CHECK(ticks - time < 64); /* RFC 7323: not ahead of the clock, and hardly behind */
    memset(&back, 0xa5, sizeof(back));
    ewi_net_cookie_time_read(time, &back);
    CHECK(back.has_scale == options.has_scale && back.scale == options.scale);
    CHECK(back.sack == options.sack && back.ecn == options.ecn);
}

static void all_options_come_back_at_all_times(void)
{
    for (uint32_t n = 0; n < 64; n++)
        for (uint32_t tick = 0; tick < 200; tick++) {
            options_come_back(tick - 100, n); /* around the wrap */
            options_come_back(0x7fffff9c + tick, n);
        }
}

/* I2: a SYN that comes again gets a SYN-ACK whose timestamp is not older, and what follows is not older
 * than either. */
static void the_clock_that_the_peer_sees_does_not_run_back(void)
{
    for (uint32_t n = 0; n < 64; n++) {
        struct net_cookie_options options = some_options(n);
        uint32_t last = ewi_net_cookie_time_make(UINT32_MAX - 500, &options);

        for (uint32_t ticks = UINT32_MAX - 499; ticks != 500; ticks++) {
            uint32_t time = ewi_net_cookie_time_make(ticks, &options);

            CHECK((int32_t)(time - last) >= 0);
            last = time;
        }
    }
}

static void every_echo_can_be_read(void)
{
    struct net_cookie_options out;

    for (uint32_t low = 0; low < 64; low++) {
        ewi_net_cookie_time_read(0xdeadbe00 + low, &out);
        CHECK(out.scale <= 14 && (out.has_scale || out.scale == 0));
    }
}

static void random_cookies_come_back(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int i = 0; i < 5000; i++) {
        struct net_tuple tuple = harness_below(&random, 2) == 0 ? v4 : v6;
        uint32_t peer_isn = (uint32_t)harness_next(&random);
        uint16_t offered = (uint16_t)harness_next(&random), mss = 0;
        uint64_t now = harness_next(&random) >> harness_between(&random, 1, 40);
        uint64_t later = now + harness_below(&random, 5 * STEP);
        uint32_t cookie;
        bool is_young = later / STEP - now / STEP <= NET_COOKIE_AGE_MAX;

        tuple.remote_port = (uint16_t)harness_next(&random);
        cookie = ewi_net_cookie_make(key, &tuple, peer_isn, offered, now);
        CHECK(ewi_net_cookie_judge(key, &tuple, peer_isn, cookie, later, &mss) == is_young);
        if (is_young)
            CHECK_EQ(mss, mss_after(&tuple, offered));
    }
}

int main(int argc, char **argv)
{
    RUN(common_mss_come_back_as_they_are);
    RUN(a_cookie_lives_two_to_three_steps);
    RUN(a_cookie_of_the_first_second_is_good);
    RUN(cookies_of_both_families_are_for_one_connection);
    RUN(all_bits_but_time_and_mss_are_hash);
    RUN(guesses_do_not_succeed);
    RUN(exactly_three_times_eight_numbers_are_good);
    RUN(all_options_come_back_at_all_times);
    RUN(the_clock_that_the_peer_sees_does_not_run_back);
    RUN(every_echo_can_be_read);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_cookies_come_back(seed);
    return 0;
}
