/* tests/c/test_net_table.c - transport/net/table.h against a plain array, and against bad luck. */
#include "tests/c/harness.h"
#include "transport/net/table.h"

enum { CAPACITY = 500, CROWD = 3000, MILLION = 1 << 20 };

struct object {
    uint32_t before;
    struct net_tuple tuple;
};

static struct object object[CROWD];
static _Alignas(NET_ALIGN) uint8_t memory[40960];
static struct net_table table;
static const uint8_t key[16] = "0123456789abcde";

static void start(uint32_t capacity)
{
    struct net_rows rows = {(uint8_t *)&object[0].tuple, sizeof(object[0])};

    CHECK(ewi_net_table_bytes(capacity) <= sizeof(memory));
    memset(memory, 0, sizeof(memory)); /* init must not rely on what was there */
    ewi_net_table_init(&table, memory, capacity, rows);
    memset(object, 0, sizeof(object));
    for (uint32_t i = 0; i < sizeof(object) / sizeof(object[0]); i++)
        object[i].tuple = (struct net_tuple){
            .local = {10, 0, 0, 1},
            .remote = {10, 0, (uint8_t)(i >> 8), (uint8_t)i},
            .local_port = 80,
            .family = 4,
        };
}

static uint64_t hash_of(uint32_t index)
{
    return ewi_net_tuple_hash(key, &object[index].tuple);
}

static uint32_t find(uint64_t hash, uint32_t index)
{
    struct net_tuple tuple = object[index].tuple; /* equal, not the same */

    return ewi_net_table_find(&table, hash, &tuple);
}

/* I1 for the whole table, and the number of entries. */
static void check_order(void)
{
    uint32_t entries = table.homes + NET_TABLE_REACH + 1, used = 0, gap_before = 0;
    uint64_t last = 0;

    CHECK(table.entry[entries - 1] == UINT64_MAX);
    for (uint32_t at = 0; at < entries; at++) {
        uint64_t entry = table.entry[at];
        uint32_t home;

        if (entry == UINT64_MAX) {
            gap_before = at + 1;
            continue;
        }
        home = ewi_net_table_home(&table, (uint32_t)(entry >> 32));
        CHECK(home <= at && at < home + NET_TABLE_REACH);
        CHECK(home >= gap_before); /* no gap between home and place */
        CHECK(last >> 32 <= entry >> 32);
        last = entry;
        used += 1;
    }
    CHECK_EQ(used, table.used);
}

static void sizes_are_at_most_sixteen_bytes_each(void)
{
    CHECK_EQ(ewi_net_table_bytes(0), 0);
    CHECK_EQ(ewi_net_table_bytes(NET_ROWS_MAX + 1), 0);
    CHECK(ewi_net_table_bytes(MILLION) <= 16 * (size_t)MILLION);
    CHECK(ewi_net_table_bytes(MILLION) <= 12 * (size_t)MILLION + 2048);
    CHECK(ewi_net_table_bytes(NET_ROWS_MAX) <= 16 * (size_t)NET_ROWS_MAX);
    CHECK(ewi_net_table_bytes(1) > 0);
}

static void what_was_inserted_is_found_until_it_is_removed(void)
{
    start(4);
    CHECK(find(hash_of(1), 1) == NET_NONE);
    CHECK_EQ(ewi_net_table_insert(&table, hash_of(1), 1), EW_OK);
    CHECK_EQ(ewi_net_table_insert(&table, hash_of(2), 2), EW_OK);
    CHECK(find(hash_of(1), 1) == 1);
    CHECK(find(hash_of(2), 2) == 2);
    CHECK(find(hash_of(3), 3) == NET_NONE);
    CHECK(ewi_net_table_remove(&table, hash_of(1), 1));
    CHECK(find(hash_of(1), 1) == NET_NONE);
    CHECK(find(hash_of(2), 2) == 2);
    CHECK(!ewi_net_table_remove(&table, hash_of(1), 1));
    CHECK_EQ(table.used, 1);
}

static void a_name_is_there_once(void)
{
    start(4);
    object[2].tuple = object[1].tuple;
    CHECK_EQ(ewi_net_table_insert(&table, hash_of(1), 1), EW_OK);
    CHECK_EQ(ewi_net_table_insert(&table, hash_of(2), 2), EW_EINUSE);
    CHECK_EQ(ewi_net_table_insert(&table, hash_of(1), 1), EW_EINUSE);
    CHECK_EQ(table.used, 1);
    CHECK_EQ(table.refused_full, 0);
}

static void a_full_table_refuses_and_recovers(void)
{
    start(4);
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(ewi_net_table_insert(&table, hash_of(i), i), EW_OK);
    CHECK_EQ(ewi_net_table_insert(&table, hash_of(4), 4), EW_EFULL);
    CHECK_EQ(ewi_net_table_insert(&table, hash_of(2), 2), EW_EINUSE); /* still known */
    CHECK_EQ(table.refused_full, 1);
    CHECK(ewi_net_table_remove(&table, hash_of(0), 0));
    CHECK_EQ(ewi_net_table_insert(&table, hash_of(4), 4), EW_OK);
    CHECK_EQ(table.used_max, 4);
}

/* catches: the tag alone taken for the name, or a run of equal tags left too early */
static void equal_hashes_are_told_apart_by_name(void)
{
    start(CAPACITY);
    for (uint32_t i = 0; i < 100; i++)
        CHECK_EQ(ewi_net_table_insert(&table, UINT64_C(77) << 32, i), EW_OK);
    check_order();
    for (uint32_t i = 0; i < 100; i++)
        CHECK(find(UINT64_C(77) << 32, i) == i);
    CHECK(find(UINT64_C(77) << 32, 100) == NET_NONE);
    for (uint32_t i = 0; i < 100; i += 2)
        CHECK(ewi_net_table_remove(&table, UINT64_C(77) << 32, i));
    check_order();
    for (uint32_t i = 0; i < 100; i++)
        CHECK(find(UINT64_C(77) << 32, i) == (i % 2 == 0 ? NET_NONE : i));
}

/* Somebody who knows the key. catches: a probe without bound, or one past the end of the table */
static void a_crowd_of_equal_hashes_is_refused_not_served_slowly(void)
{
    static const uint64_t tags[] = {0, 77, 0x80000000, 0xfffffffe, 0xffffffff};

    for (size_t t = 0; t < sizeof(tags) / sizeof(tags[0]); t++) {
        start(CAPACITY);
        for (uint32_t i = 0; i < NET_TABLE_REACH; i++)
            CHECK_EQ(ewi_net_table_insert(&table, tags[t] << 32, i), EW_OK);
        CHECK_EQ(ewi_net_table_insert(&table, tags[t] << 32, 300), EW_EFULL);
        CHECK_EQ(table.refused_crowded, 1);
        check_order();
        for (uint32_t i = 0; i < NET_TABLE_REACH; i++)
            CHECK(find(tags[t] << 32, i) == i);
        CHECK(find(tags[t] << 32, 300) == NET_NONE);
        CHECK(ewi_net_table_remove(&table, tags[t] << 32, 5));
        CHECK_EQ(ewi_net_table_insert(&table, tags[t] << 32, 300), EW_OK);
    }
}

/* catches: an entry pushed out of reach by one that lands before it */
static void pushing_another_out_of_reach_is_refused(void)
{
    start(CAPACITY);
    for (uint32_t i = 0; i < NET_TABLE_REACH; i++)
        CHECK_EQ(ewi_net_table_insert(&table, UINT64_C(0x80000000) << 32, i), EW_OK);
    CHECK_EQ(ewi_net_table_insert(&table, UINT64_C(0x7fffffff) << 32, 200), EW_OK); /* home before */
    CHECK_EQ(ewi_net_table_insert(&table, UINT64_C(0x7ffffffe) << 32, 201), EW_EFULL);
    CHECK_EQ(table.refused_crowded, 1);
    CHECK(find(UINT64_C(0x80000000) << 32, NET_TABLE_REACH - 1) == NET_TABLE_REACH - 1);
    check_order();
}

/* One entry in each home, all near, and one more at the front of the run.
 * catches: an insert that moves the whole table, however near everybody is */
static void a_long_run_is_not_moved(void)
{
    uint64_t behind;

    start(CROWD);
    for (uint64_t home = 1; home < NET_TABLE_MOVES + 1; home++)
        CHECK_EQ(ewi_net_table_insert(&table, ((home << 32) / table.homes + 1) << 32,
                                      (uint32_t)home), EW_OK);
    CHECK_EQ(ewi_net_table_insert(&table, 0, 0), EW_OK);
    check_order();
    behind = (UINT64_C(1) << 32) / table.homes << 32; /* home 0, behind the one that is there */
    CHECK_EQ(ewi_net_table_insert(&table, behind, CROWD - 1), EW_OK); /* moves just so many */
    behind -= UINT64_C(1) << 32; /* before that one: one move more */
    CHECK_EQ(ewi_net_table_insert(&table, behind, CROWD - 2), EW_EFULL);
    CHECK_EQ(table.refused_crowded, 1);
    check_order();
    behind += UINT64_C(1) << 32;
    CHECK(find(behind, CROWD - 1) == CROWD - 1);
    CHECK(ewi_net_table_remove(&table, behind, CROWD - 1));
    check_order();
}

/* catches: the gap marker (all ones) mistaken for an entry with the largest tag */
static void the_largest_tag_is_a_tag_like_others(void)
{
    start(4);
    CHECK(find(UINT64_MAX, 1) == NET_NONE);
    CHECK_EQ(ewi_net_table_insert(&table, UINT64_MAX, 1), EW_OK);
    CHECK_EQ(ewi_net_table_insert(&table, 0, 2), EW_OK);
    CHECK(find(UINT64_MAX, 1) == 1);
    CHECK(find(0, 2) == 2);
    CHECK(find(UINT64_MAX, 3) == NET_NONE);
    CHECK(!ewi_net_table_remove(&table, UINT64_MAX, 3));
    CHECK(ewi_net_table_remove(&table, UINT64_MAX, 1));
    check_order();
}

/* I2. catches: marks of the dead, that make lookups slower with every connection that ends */
static void a_table_that_was_used_for_long_is_as_good_as_new(void)
{
    static uint64_t fresh[sizeof(memory) / 8];

    start(CAPACITY);
    for (uint32_t i = 0; i < 200; i++)
        CHECK_EQ(ewi_net_table_insert(&table, hash_of(i), i), EW_OK);
    memcpy(fresh, memory, sizeof(memory));
    for (int lap = 0; lap < 1000; lap++) {
        for (uint32_t i = 200; i < 500; i++)
            CHECK_EQ(ewi_net_table_insert(&table, hash_of(i), i), EW_OK);
        for (uint32_t i = 200; i < 500; i++)
            CHECK(ewi_net_table_remove(&table, hash_of(lap % 2 == 0 ? i : 699 - i),
                                       lap % 2 == 0 ? i : 699 - i));
    }
    CHECK(memcmp(fresh, memory, ewi_net_table_bytes(CAPACITY)) == 0);
}

/* A plain array of who is in; hashes with few different bits, so that runs are long. */
static void random_changes_agree_with_an_array(uint64_t seed)
{
    struct harness_random random = {seed};
    uint32_t capacity = (uint32_t)harness_between(&random, 1, CAPACITY), used = 0;
    uint64_t mask = (UINT64_C(1) << harness_between(&random, 4, 33)) - 1;
    bool is_in[CAPACITY + 100] = {false};
    uint64_t hash[CAPACITY + 100];

    start(capacity);
    for (uint32_t i = 0; i < CAPACITY + 100; i++)
        hash[i] = (hash_of(i) & mask) << (harness_below(&random, 2) * 31);
    for (int step = 0; step < 20000; step++) {
        uint32_t i = (uint32_t)harness_below(&random, CAPACITY + 100);
        bool growing = step / 2000 % 2 == 0;

        CHECK(find(hash[i], i) == (is_in[i] ? i : NET_NONE));
        if (harness_below(&random, 10) < (growing ? 8u : 2u)) {
            int got = ewi_net_table_insert(&table, hash[i], i);

            CHECK(is_in[i] ? got == EW_EINUSE : got == EW_OK || got == EW_EFULL);
            CHECK(got != EW_EFULL || used == capacity || table.refused_crowded > 0);
            used += got == EW_OK;
            is_in[i] = is_in[i] || got == EW_OK;
        } else {
            CHECK(ewi_net_table_remove(&table, hash[i], i) == is_in[i]);
            used -= is_in[i];
            is_in[i] = false;
        }
        CHECK_EQ(table.used, used);
        if (step % 64 == 0)
            check_order();
    }
    for (uint32_t i = 0; i < CAPACITY + 100; i++)
        CHECK(find(hash[i], i) == (is_in[i] ? i : NET_NONE));
}

static struct net_tuple one_of_a_million(uint32_t i)
{
    return (struct net_tuple){
        .local = {10, 0, 0, 1},
        .remote = {10, 1, (uint8_t)(i >> 16), 2},
        .local_port = 80,
        .remote_port = (uint16_t)i,
        .family = 4,
    };
}

/* Full to the brim with names as alike as those of real clients: all fit, and near their homes. */
static void a_million_connections(void)
{
    struct net_tuple *tuples = malloc(MILLION * sizeof(*tuples));
    size_t bytes = ewi_align_up(ewi_net_table_bytes(MILLION), NET_ALIGN);
    void *million = aligned_alloc(NET_ALIGN, bytes);
    uint64_t far = 0, sum = 0;

    CHECK(tuples != NULL && million != NULL);
    ewi_net_table_init(&table, million, MILLION,
                       (struct net_rows){(uint8_t *)tuples, sizeof(*tuples)});
    for (uint32_t i = 0; i < MILLION; i++) {
        tuples[i] = one_of_a_million(i);
        CHECK_EQ(ewi_net_table_insert(&table, ewi_net_tuple_hash(key, &tuples[i]), i), EW_OK);
    }
    for (uint32_t at = 0; at < table.homes + NET_TABLE_REACH; at++) {
        uint64_t entry = table.entry[at], away;

        if (entry == UINT64_MAX)
            continue;
        away = at - ewi_net_table_home(&table, (uint32_t)(entry >> 32));
        far = away > far ? away : far;
        sum += away;
    }
    CHECK(far < NET_TABLE_REACH / 2);
    CHECK(sum < UINT64_C(3) * MILLION / 2); /* 1.0 on average: half of a cache line */
    for (uint32_t i = 0; i < MILLION; i++) {
        struct net_tuple tuple = one_of_a_million(i);

        CHECK(ewi_net_table_find(&table, ewi_net_tuple_hash(key, &tuple), &tuple) == i);
    }
    for (uint32_t i = 0; i < MILLION; i++)
        CHECK(ewi_net_table_remove(&table, ewi_net_tuple_hash(key, &tuples[i]), i));
    CHECK_EQ(table.used, 0);
    check_order();
    free(million);
    free(tuples);
}

int main(int argc, char **argv)
{
    RUN(sizes_are_at_most_sixteen_bytes_each);
    RUN(what_was_inserted_is_found_until_it_is_removed);
    RUN(a_name_is_there_once);
    RUN(a_full_table_refuses_and_recovers);
    RUN(equal_hashes_are_told_apart_by_name);
    RUN(a_crowd_of_equal_hashes_is_refused_not_served_slowly);
    RUN(pushing_another_out_of_reach_is_refused);
    RUN(a_long_run_is_not_moved);
    RUN(the_largest_tag_is_a_tag_like_others);
    RUN(a_table_that_was_used_for_long_is_as_good_as_new);
    RUN(a_million_connections);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_changes_agree_with_an_array(seed);
    return 0;
}
