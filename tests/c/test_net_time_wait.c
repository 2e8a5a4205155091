/* tests/c/test_net_time_wait.c - transport/net/time_wait.h: what is over stays for as long as it
 * must, and no longer. */
#include "tests/c/net_time_wait_base.h"

enum { MODELS = 400, ROUNDS = 8000 };

/* ---- records ---- */

static void sizes_out_of_range_are_refused(void)
{
    CHECK_EQ(ewi_net_time_waits_bytes(0), 0);
    CHECK_EQ(ewi_net_time_waits_bytes(NET_ROWS_MAX + 1), 0);
    CHECK_EQ(ewi_net_time_waits_bytes(UINT32_MAX), 0);
    CHECK(ewi_net_time_waits_bytes(1) > 0);
    CHECK(ewi_net_time_waits_bytes(1000000) <= 1000000 * 100 + 4096); /* each: 100 bytes all in */
    CHECK(ewi_net_time_waits_bytes(NET_ROWS_MAX) > (size_t)NET_ROWS_MAX * 64);
}

static void a_record_is_found_as_it_was_added(void)
{
    struct net_time_wait want = values_of(7);
    const struct net_time_wait *have;

    start();
    CHECK(find(7) == NET_NONE);
    CHECK_EQ(add(7), EW_OK);
    CHECK_EQ(add(8), EW_OK);
    have = ewi_net_time_wait_at(&waits, find(7));
    CHECK(memcmp(have, &want, sizeof(want)) == 0);
    CHECK_EQ(add(7), EW_EINUSE);
    CHECK_EQ(waits.pool.used, 2);
    ewi_net_time_wait_remove(&waits, find(7));
    CHECK(find(7) == NET_NONE && find(8) != NET_NONE);
    CHECK_EQ(waits.pool.used, 1);
    CHECK_EQ(waits.table.used, 1);
    CHECK_EQ(add(7), EW_OK);
}

/* F-Stack#702, #753: what is full goes on with the newest, and says so */
static void a_full_pool_lets_the_oldest_go(void)
{
    start_with(3, START);
    for (uint32_t n = 0; n < 5; n++)
        CHECK_EQ(add(n), EW_OK);
    CHECK_EQ(waits.early, 2);
    CHECK_EQ(waits.pool.used, 3);
    CHECK(find(0) == NET_NONE && find(1) == NET_NONE);
    CHECK(find(2) != NET_NONE && find(4) != NET_NONE);
    CHECK_EQ(add(4), EW_EINUSE); /* costs nobody's place */
    CHECK_EQ(waits.early, 2);
}

static void a_crowded_table_refuses(void)
{
    struct net_time_wait values;
    uint32_t in = 0;

    start();
    for (uint32_t n = 0; n < 200; n++) {
        int code;

        values = values_of(n);
        code = ewi_net_time_wait_add(&waits, UINT64_C(5) << 32, &values, now);
        CHECK_EQ(code, in < NET_TABLE_REACH ? EW_OK : EW_EFULL);
        in += code == EW_OK;
    }
    CHECK_EQ(waits.pool.used, NET_TABLE_REACH);
    now += TWO_MSL + 2 * TICK;
    CHECK_EQ(expire_all(), NET_TABLE_REACH);
}

/* ---- time ---- */

/* RFC 9293 section 3.6.1 (MUST-13): 2 MSL, not less */
static void a_record_lives_two_segment_lifetimes(void)
{
    for (uint64_t offset = 0; offset < 2 * TICK; offset += TICK / 5) {
        start_with(CAPACITY, START + offset);
        CHECK(ewi_net_time_wait_next(&waits) == NET_NEVER);
        CHECK_EQ(add(1), EW_OK);
        CHECK(ewi_net_time_wait_next(&waits) >= now + TWO_MSL);
        CHECK(ewi_net_time_wait_next(&waits) <= now + TWO_MSL + 2 * TICK);
        now += TWO_MSL - 1;
        CHECK_EQ(expire_all(), 0);
        now = ewi_net_time_wait_next(&waits);
        ewi_net_time_wait_expire(&waits, now - 1, 9);
        CHECK_EQ(waits.pool.used, 1);
        CHECK_EQ(expire_all(), 1);
        CHECK(find(1) == NET_NONE);
        CHECK(ewi_net_time_wait_next(&waits) == NET_NEVER);
    }
}

static void records_go_in_the_order_they_came(void)
{
    start();
    for (uint32_t n = 0; n < 10; n++) {
        CHECK_EQ(add(n), EW_OK);
        now += SECOND;
    }
    ewi_net_time_wait_remove(&waits, find(0)); /* the oldest, one between, the newest */
    ewi_net_time_wait_remove(&waits, find(5));
    ewi_net_time_wait_remove(&waits, find(9));
    for (uint32_t n = 1; n < 9; n++) {
        if (n == 5)
            continue;
        now = ewi_net_time_wait_next(&waits);
        CHECK(now >= START + n * SECOND + TWO_MSL);
        CHECK(now <= START + n * SECOND + TWO_MSL + 2 * TICK);
        CHECK_EQ(expire_all(), 1);
        CHECK(find(n) == NET_NONE);
    }
    CHECK_EQ(waits.pool.used, 0);
}

static void expire_takes_at_most_what_it_may(void)
{
    start();
    for (uint32_t n = 0; n < 100; n++)
        CHECK_EQ(add(n), EW_OK);
    now += TWO_MSL + 2 * TICK;
    CHECK_EQ(ewi_net_time_wait_expire(&waits, now, 0), 0);
    CHECK_EQ(ewi_net_time_wait_expire(&waits, now, 30), 30);
    CHECK(ewi_net_time_wait_next(&waits) <= now);
    CHECK_EQ(ewi_net_time_wait_expire(&waits, now, 1000), 70);
}

static void a_new_duration_holds_for_all(void)
{
    start();
    CHECK_EQ(add(1), EW_OK);
    now += 10 * SECOND;
    CHECK_EQ(add(2), EW_OK);
    waits.duration_ns = 5 * SECOND;
    CHECK(ewi_net_time_wait_next(&waits) <= now);
    CHECK_EQ(expire_all(), 1);
    CHECK(find(1) == NET_NONE && find(2) != NET_NONE);
    waits.duration_ns = 3600 * SECOND;
    now += 3599 * SECOND;
    CHECK_EQ(expire_all(), 0);
}

/* catches: ages that are wrong where 32 bits of ticks begin again, every 13 days */
static void ages_survive_the_wrap_of_their_clock(void)
{
    start_with(CAPACITY, (UINT64_C(1) << (32 + NET_TIME_WAIT_TICK_BITS)) - 30 * SECOND);
    CHECK_EQ(add(1), EW_OK);
    now += 40 * SECOND;
    CHECK_EQ(add(2), EW_OK);
    CHECK_EQ(expire_all(), 0);
    CHECK(ewi_net_time_wait_next(&waits) >= now + 20 * SECOND);
    CHECK(ewi_net_time_wait_next(&waits) <= now + 20 * SECOND + 2 * TICK);
    now += 21 * SECOND;
    CHECK_EQ(expire_all(), 1);
    CHECK(find(2) != NET_NONE);
}

/* ---- against a list of what was added when ---- */

struct model {
    bool is_in;
    uint64_t since;
};

static struct model model[MODELS];

static uint32_t model_oldest(void)
{
    uint32_t oldest = NET_NONE;

    for (uint32_t n = 0; n < MODELS; n++)
        if (model[n].is_in && (oldest == NET_NONE || model[n].since < model[oldest].since))
            oldest = n;
    return oldest;
}

static void random_step(struct harness_random *random, uint32_t capacity)
{
    uint32_t n = (uint32_t)harness_below(random, MODELS);
    struct net_tcp segment = fin_again();

    now += 1 + harness_below(random, SECOND / 2); /* no two at one time */
    if (!model[n].is_in) {
        if (waits.pool.used == capacity)
            model[model_oldest()].is_in = false;
        CHECK_EQ(add(n), EW_OK);
        model[n] = (struct model){true, now};
    } else if (harness_below(random, 2) == 0) {
        CHECK_EQ(give_at(n, &segment, 0), NET_TW_ACK);
        model[n].since = now;
    } else {
        ewi_net_time_wait_remove(&waits, find(n));
        model[n].is_in = false;
    }
}

static void random_expire(struct harness_random *random)
{
    uint32_t oldest = model_oldest(), gone = 0;
    uint64_t next = ewi_net_time_wait_next(&waits);

    CHECK((next == NET_NEVER) == (oldest == NET_NONE));
    if (oldest != NET_NONE) {
        CHECK(next >= model[oldest].since + TWO_MSL);
        CHECK(next <= model[oldest].since + TWO_MSL + 2 * TICK);
        if (harness_below(random, 8) == 0)
            now = ewi_max_u64(now, next + harness_below(random, 3 * SECOND));
    }
    expire_all();
    for (uint32_t n = 0; n < MODELS; n++) {
        if (!model[n].is_in)
            continue;
        if (find(n) != NET_NONE) {
            CHECK(now < model[n].since + TWO_MSL + 2 * TICK);
            continue;
        }
        CHECK(now >= model[n].since + TWO_MSL);
        model[n].is_in = false;
        gone += 1;
    }
    CHECK(gone == 0 || now >= next);
}

static void random_lives_agree_with_a_model(uint64_t seed)
{
    struct harness_random random = {seed};
    uint32_t capacity = (uint32_t)harness_between(&random, 1, CAPACITY), used;

    start_with(capacity, harness_next(&random) >> harness_between(&random, 2, 30));
    memset(model, 0, sizeof(model));
    for (int i = 0; i < ROUNDS; i++) {
        random_step(&random, capacity);
        if (i % 16 == 0)
            random_expire(&random);
    }
    used = 0;
    for (uint32_t n = 0; n < MODELS; n++) {
        CHECK((find(n) != NET_NONE) == model[n].is_in);
        used += model[n].is_in;
    }
    CHECK_EQ(waits.pool.used, used);
    CHECK_EQ(waits.table.used, used);
}

int main(int argc, char **argv)
{
    RUN(sizes_out_of_range_are_refused);
    RUN(a_record_is_found_as_it_was_added);
    RUN(a_full_pool_lets_the_oldest_go);
    RUN(a_crowded_table_refuses);
    RUN(a_record_lives_two_segment_lifetimes);
    RUN(records_go_in_the_order_they_came);
    RUN(expire_takes_at_most_what_it_may);
    RUN(a_new_duration_holds_for_all);
    RUN(ages_survive_the_wrap_of_their_clock);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_lives_agree_with_a_model(seed);
    return 0;
}
