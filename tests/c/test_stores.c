/* tests/c/test_stores.c - does a sender find out when to write past its caches, and when no more? */
#include "tests/c/harness.h"
#include "transport/channel/stores.h"

enum { FRAGMENT = 64 * 1024, FRAGMENTS = 40000 };

struct machine { /* what a fragment takes, in ns */
    uint64_t through_ns, past_ns;
};

/* So many fragments; how many of them went past the caches. */
static uint32_t send(struct stores *stores, const struct machine *machine, uint32_t fragments)
{
    uint32_t past = 0;

    for (uint32_t i = 0; i < fragments; i++) {
        bool timed;
        enum stores_way way = ewi_stores_next(stores, &timed);

        past += way == STORES_PAST;
        if (timed)
            ewi_stores_took(stores, way, FRAGMENT,
                            way == STORES_PAST ? machine->past_ns : machine->through_ns);
    }
    return past;
}

/* catches: a limit on the ratio alone: past a cache is always fast for who writes */
static void cores_with_a_common_cache_write_through_it(void)
{
    const struct machine near = {2000, 1400}, cold = {8000, 1500};
    struct stores stores = {0};

    CHECK(send(&stores, &near, FRAGMENTS) < FRAGMENTS / 50);
    CHECK(send(&stores, &cold, FRAGMENTS) < FRAGMENTS / 50);
}

/* catches: a hold that does not grow; trials that eat what they win */
static void cores_without_write_past_it(void)
{
    const struct machine far = {27000, 3500};
    struct stores stores = {0};

    (void)send(&stores, &far, FRAGMENTS);
    CHECK(send(&stores, &far, FRAGMENTS) > FRAGMENTS / 100 * 98);
}

/* catches: STORES_FAR_TIMES left out: memory may be as slow */
static void slow_memory_is_not_better(void)
{
    const struct machine slow = {27000, 20000};
    struct stores stores = {0};

    CHECK(send(&stores, &slow, FRAGMENTS) < FRAGMENTS / 50);
}

/* catches: a way that is kept for ever; a hold that is kept when the way changes */
static void a_change_is_noticed_in_both_directions(void)
{
    const struct machine near = {2000, 1400}, far = {27000, 3500};
    const uint32_t round = STORES_WARM + 2 * STORES_TIMED + STORES_HOLD_MIN;
    struct stores stores = {0};

    (void)send(&stores, &near, FRAGMENTS);
    (void)send(&stores, &far, 2 * round);
    CHECK(send(&stores, &far, round) > round / 2);
    (void)send(&stores, &far, FRAGMENTS);
    (void)send(&stores, &near, STORES_HOLD_MAX + round);
    CHECK(send(&stores, &near, FRAGMENTS) < FRAGMENTS / 50);
}

/* catches: the mean or the last one in the place of the fastest */
static void a_thread_that_lost_its_cpu_proves_nothing(void)
{
    struct stores stores = {0};
    uint32_t past = 0, turns = 0;

    for (uint32_t i = 0; i < FRAGMENTS; i++) {
        bool timed;
        enum stores_way way = ewi_stores_next(&stores, &timed);

        past += way == STORES_PAST;
        if (timed)
            ewi_stores_took(&stores, way, FRAGMENT, turns++ % STORES_TIMED == 1 ? 2000 : 4000000);
    }
    CHECK(past < FRAGMENTS / 50);
}

static void a_short_fragment_counts_by_its_length(void)
{
    struct stores stores = {0};

    ewi_stores_took(&stores, STORES_THROUGH, FRAGMENT / 4, 1000);
    ewi_stores_took(&stores, STORES_PAST, FRAGMENT / 2, 1000);
    CHECK_EQ(stores.through_ns, 4000);
    CHECK_EQ(stores.past_ns, 2000);
}

int main(void)
{
    RUN(cores_with_a_common_cache_write_through_it);
    RUN(cores_without_write_past_it);
    RUN(slow_memory_is_not_better);
    RUN(a_change_is_noticed_in_both_directions);
    RUN(a_thread_that_lost_its_cpu_proves_nothing);
    RUN(a_short_fragment_counts_by_its_length);
    return 0;
}
