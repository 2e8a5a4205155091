/* tests/c/test_net_pool.c - transport/net/pool.h: handles find their object or nothing. */
#include "tests/c/harness.h"
#include "transport/net/pool.h"

enum { SLOTS = 7, MILLION = 1000000 };

static _Alignas(NET_ALIGN) uint8_t memory[4096];

static struct net_pool pool_of(uint32_t slots, uint32_t object_bytes)
{
    struct net_pool pool;

    CHECK(ewi_net_pool_bytes(slots, object_bytes) <= sizeof(memory));
    memset(memory, 0xa5, sizeof(memory)); /* init must not rely on zeros */
    ewi_net_pool_init(&pool, memory, slots, object_bytes);
    return pool;
}

static void sizes_out_of_range_are_refused(void)
{
    CHECK_EQ(ewi_net_pool_bytes(0, 8), 0);
    CHECK_EQ(ewi_net_pool_bytes(8, 0), 0);
    CHECK_EQ(ewi_net_pool_bytes(8, 3), 0); /* no place for the index of the next free one */
    CHECK_EQ(ewi_net_pool_bytes(NET_ROWS_MAX + 1, 8), 0);
    CHECK_EQ(ewi_net_pool_bytes(8, NET_ROW_BYTES_MAX + 1), 0);
    CHECK_EQ(ewi_net_pool_bytes(UINT32_MAX, UINT32_MAX), 0);
    CHECK_EQ(ewi_net_pool_bytes(NET_ROWS_MAX, NET_ROW_BYTES_MAX),
             ((UINT64_C(1) << 40) + (UINT64_C(4) << 24)));
    CHECK_EQ(ewi_net_pool_bytes(3, 24), 128 + 3 * 4);
}

/* catches: objects that overlap each other or the table behind them */
static void objects_have_their_bytes_to_themselves(void)
{
    struct net_pool pool = pool_of(SLOTS, 24);

    for (uint32_t i = 0; i < SLOTS; i++)
        memset(ewi_net_pool_at(&pool, ewi_net_pool_take(&pool)), (int)i, 24);
    for (uint32_t i = 0; i < SLOTS; i++) {
        const uint8_t *object = ewi_net_pool_at(&pool, i);

        CHECK(ewi_net_pool_find(&pool, ewi_net_pool_handle(&pool, i)) == i);
        for (int at = 0; at < 24; at++)
            CHECK_EQ(object[at], i);
    }
}

static void an_empty_pool_refuses_and_counts(void)
{
    struct net_pool pool = pool_of(SLOTS, 8);

    for (uint32_t i = 0; i < SLOTS; i++)
        CHECK(ewi_net_pool_take(&pool) != NET_NONE);
    CHECK(ewi_net_pool_take(&pool) == NET_NONE);
    CHECK(ewi_net_pool_take(&pool) == NET_NONE);
    CHECK_EQ(pool.refused, 2);
    CHECK_EQ(pool.used, SLOTS);
    ewi_net_pool_give(&pool, 3);
    CHECK(ewi_net_pool_take(&pool) == 3);
    CHECK_EQ(pool.used_max, SLOTS);
    CHECK_EQ(pool.taken, SLOTS + 1);
}

static void the_last_one_given_back_is_taken_first(void)
{
    struct net_pool pool = pool_of(SLOTS, 8);

    for (uint32_t i = 0; i < 4; i++)
        CHECK(ewi_net_pool_take(&pool) == i);
    ewi_net_pool_give(&pool, 1);
    ewi_net_pool_give(&pool, 2);
    CHECK(ewi_net_pool_take(&pool) == 2);
    CHECK(ewi_net_pool_take(&pool) == 1);
    CHECK(ewi_net_pool_take(&pool) == 4);
}

/* catches: a handle that is only a slot, or that survives give and take */
static void a_stale_handle_finds_nothing(void)
{
    struct net_pool pool = pool_of(SLOTS, 8);
    uint32_t index = ewi_net_pool_take(&pool);
    uint64_t handle = ewi_net_pool_handle(&pool, index);

    CHECK(ewi_net_pool_find(&pool, handle) == index);
    ewi_net_pool_give(&pool, index);
    CHECK(ewi_net_pool_find(&pool, handle) == NET_NONE);
    CHECK(ewi_net_pool_take(&pool) == index);
    CHECK(ewi_net_pool_find(&pool, handle) == NET_NONE);
    CHECK(ewi_net_pool_handle(&pool, index) != handle);
}

/* catches: the generation of a free slot taken for one of an object */
static void no_invented_handle_finds_a_free_slot(void)
{
    struct net_pool pool = pool_of(SLOTS, 8);

    ewi_net_pool_give(&pool, ewi_net_pool_take(&pool));
    for (uint64_t generation = 0; generation < 8; generation++)
        for (uint64_t slot = 0; slot < SLOTS + 2; slot++)
            CHECK(ewi_net_pool_find(&pool, generation << 32 | slot) == NET_NONE);
    CHECK(ewi_net_pool_find(&pool, UINT64_MAX) == NET_NONE);
    CHECK(ewi_net_pool_find(&pool, 0xa5a5a5a500000003) == NET_NONE); /* untouched memory */
}

static void zero_is_never_valid(void)
{
    struct net_pool pool = pool_of(1, 8);

    CHECK(ewi_net_pool_find(&pool, 0) == NET_NONE);
    CHECK(ewi_net_pool_take(&pool) == 0);
    CHECK(ewi_net_pool_find(&pool, 0) == NET_NONE);
    CHECK(ewi_net_pool_handle(&pool, 0) != 0);
    ewi_net_pool_give(&pool, 0);
    CHECK(ewi_net_pool_find(&pool, 0) == NET_NONE);
}

/* I1. catches: a slot whose generation begins again and that is taken at once */
static void a_worn_slot_comes_back_last(void)
{
    struct net_pool pool = pool_of(3, 8);
    uint64_t old;

    for (uint32_t i = 0; i < 3; i++)
        CHECK(ewi_net_pool_take(&pool) == i);
    ewi_net_pool_give(&pool, 2);
    pool.generation[1] = UINT32_MAX; /* in its last life */
    old = ewi_net_pool_handle(&pool, 1);
    CHECK(ewi_net_pool_find(&pool, old) == 1);
    ewi_net_pool_give(&pool, 1);
    ewi_net_pool_give(&pool, 0);
    CHECK(ewi_net_pool_take(&pool) == 0);
    CHECK(ewi_net_pool_take(&pool) == 2);
    CHECK(ewi_net_pool_find(&pool, old) == NET_NONE);
    CHECK(ewi_net_pool_take(&pool) == 1);
    CHECK(ewi_net_pool_find(&pool, old) == NET_NONE);
    CHECK(ewi_net_pool_handle(&pool, 1) == (UINT64_C(1) << 32 | 1));
    CHECK(ewi_net_pool_take(&pool) == NET_NONE);
}

/* catches: a wrong end of the list when the only free slot is worn */
static void a_worn_slot_alone_is_the_whole_list(void)
{
    struct net_pool pool = pool_of(1, 8);

    for (int life = 0; life < 3; life++) {
        CHECK(ewi_net_pool_take(&pool) == 0);
        pool.generation[0] = UINT32_MAX;
        ewi_net_pool_give(&pool, 0);
    }
    CHECK(ewi_net_pool_take(&pool) == 0);
    CHECK(ewi_net_pool_take(&pool) == NET_NONE);
}

struct pool_model {
    bool taken[64];
    uint64_t handle[64];
    uint64_t dead[256]; /* some handles of the past */
    uint32_t deaths, used, refused;
};

static void model_take(struct pool_model *model, struct net_pool *pool, uint32_t slots)
{
    uint32_t index = ewi_net_pool_take(pool);

    if (index == NET_NONE) {
        CHECK_EQ(model->used, slots);
        model->refused += 1;
        return;
    }
    CHECK(index < slots && !model->taken[index]);
    model->taken[index] = true;
    model->handle[index] = ewi_net_pool_handle(pool, index);
    model->used += 1;
}

static void model_give(struct pool_model *model, struct net_pool *pool, uint32_t index)
{
    if (!model->taken[index])
        return;
    model->taken[index] = false;
    model->dead[model->deaths++ % 256] = model->handle[index];
    model->used -= 1;
    ewi_net_pool_give(pool, index);
}

static void model_agrees(const struct pool_model *model, const struct net_pool *pool, uint32_t slots)
{
    uint32_t deaths = model->deaths < 256 ? model->deaths : 256;

    for (uint32_t i = 0; i < slots; i++) {
        CHECK(ewi_net_pool_is_taken(pool, i) == model->taken[i]);
        if (model->taken[i])
            CHECK(ewi_net_pool_find(pool, model->handle[i]) == i);
    }
    for (uint32_t i = 0; i < deaths; i++)
        CHECK(ewi_net_pool_find(pool, model->dead[i]) == NET_NONE);
    CHECK_EQ(pool->used, model->used);
    CHECK_EQ(pool->refused, model->refused);
}

static void random_lives_agree_with_a_model(uint64_t seed)
{
    struct harness_random random = {seed};
    uint32_t slots = (uint32_t)harness_between(&random, 1, 64);
    struct net_pool pool = pool_of(slots, 40);
    struct pool_model model = {0};

    for (int step = 0; step < 4000; step++) {
        if (harness_below(&random, 2) == 0)
            model_take(&model, &pool, slots);
        else
            model_give(&model, &pool, (uint32_t)harness_below(&random, slots));
        if (step % 16 == 0)
            model_agrees(&model, &pool, slots);
    }
}

static void a_million_objects(void)
{
    void *million = aligned_alloc(NET_ALIGN, ewi_align_up(ewi_net_pool_bytes(MILLION, 16), 64));
    struct net_pool pool;

    CHECK(million != NULL);
    ewi_net_pool_init(&pool, million, MILLION, 16);
    for (uint32_t i = 0; i < MILLION; i++)
        CHECK(ewi_net_pool_take(&pool) == i);
    CHECK(ewi_net_pool_take(&pool) == NET_NONE);
    for (uint32_t i = 0; i < MILLION; i++)
        ewi_net_pool_give(&pool, i);
    CHECK_EQ(pool.used, 0);
    CHECK_EQ(pool.used_max, MILLION);
    free(million);
}

int main(int argc, char **argv)
{
    RUN(sizes_out_of_range_are_refused);
    RUN(objects_have_their_bytes_to_themselves);
    RUN(an_empty_pool_refuses_and_counts);
    RUN(the_last_one_given_back_is_taken_first);
    RUN(a_stale_handle_finds_nothing);
    RUN(no_invented_handle_finds_a_free_slot);
    RUN(zero_is_never_valid);
    RUN(a_worn_slot_comes_back_last);
    RUN(a_worn_slot_alone_is_the_whole_list);
    RUN(a_million_objects);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_lives_agree_with_a_model(seed);
    return 0;
}
