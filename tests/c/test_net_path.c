/* tests/c/test_net_path.c - how long packets may be: learned, forgotten, bounded. */
#include "tests/c/harness.h"
#include "transport/net/path.h"

enum { CAPACITY = 8, HOSTS = 24 };
#define SECONDS UINT64_C(1000000000)

static const uint8_t key[16] = {1, 2, 3};
static struct net_paths paths;
static _Alignas(NET_ALIGN) uint8_t pool_memory[8192], table_memory[8192];

static void begin(void)
{
    CHECK(ewi_net_pool_bytes(CAPACITY, sizeof(struct net_path)) <= sizeof(pool_memory));
    CHECK(ewi_net_table_bytes(CAPACITY) <= sizeof(table_memory));
    ewi_net_paths_init(&paths, pool_memory, table_memory, CAPACITY, key);
}

static struct net_tuple to(uint8_t family, uint8_t host)
{
    struct net_tuple tuple = {
        .local = {10, 0, 0, 1}, .local_port = 5, .remote_port = 80, .family = family};

    tuple.remote[0] = family == 4 ? 10 : 0x20;
    tuple.remote[3] = host;
    return tuple;
}

static void nothing_is_known_at_first(void)
{
    struct net_tuple tuple = to(4, 1);

    begin();
    CHECK_EQ(ewi_net_paths_find(&paths, &tuple, 0), UINT16_MAX);
}

static void what_was_learned_holds_for_every_port_and_source(void)
{
    struct net_tuple tuple = to(4, 1), other = to(4, 1);

    begin();
    CHECK(ewi_net_paths_learn(&paths, &tuple, 1400, 7));
    other.local[3] = 77;
    other.local_port = 99;
    other.remote_port = 9999;
    CHECK_EQ(ewi_net_paths_find(&paths, &other, 8), 1400);
    other.remote[3] = 2;
    CHECK_EQ(ewi_net_paths_find(&paths, &other, 8), UINT16_MAX);
}

static void families_and_links_are_different_destinations(void)
{
    struct net_tuple four = to(4, 1), six = to(6, 1), scoped = to(6, 1);

    begin();
    memcpy(six.remote, four.remote, 16);
    memcpy(scoped.remote, four.remote, 16);
    scoped.scope = 1;
    CHECK(ewi_net_paths_learn(&paths, &six, 1300, 7));
    CHECK_EQ(ewi_net_paths_find(&paths, &four, 8), UINT16_MAX);
    CHECK_EQ(ewi_net_paths_find(&paths, &scoped, 8), UINT16_MAX);
    CHECK_EQ(ewi_net_paths_find(&paths, &six, 8), 1300);
}

static void rfc_1191_section_3_only_lower_is_news(void)
{
    struct net_tuple tuple = to(4, 1);

    begin();
    CHECK(ewi_net_paths_learn(&paths, &tuple, 1400, 7));
    CHECK(!ewi_net_paths_learn(&paths, &tuple, 1400, 8));
    CHECK(!ewi_net_paths_learn(&paths, &tuple, 1450, 8));
    CHECK_EQ(ewi_net_paths_find(&paths, &tuple, 8), 1400);
    CHECK(ewi_net_paths_learn(&paths, &tuple, 1006, 8));
    CHECK_EQ(ewi_net_paths_find(&paths, &tuple, 8), 1006);
}

static void never_below_the_least_of_the_family(void)
{
    struct net_tuple four = to(4, 1), six = to(6, 1);

    begin();
    CHECK(ewi_net_paths_learn(&paths, &four, 1, 7));
    CHECK_EQ(ewi_net_paths_find(&paths, &four, 7), NET_PATH_MIN4);
    CHECK(!ewi_net_paths_learn(&paths, &four, 0, 7));
    CHECK(ewi_net_paths_learn(&paths, &six, 1, 7));
    CHECK_EQ(ewi_net_paths_find(&paths, &six, 7), NET_PATH_MIN6);
}

static void rfc_1191_section_6_3_after_ten_minutes_longer_is_tried(void)
{
    struct net_tuple tuple = to(4, 1);

    begin();
    CHECK(ewi_net_paths_learn(&paths, &tuple, 1000, 5));
    CHECK_EQ(ewi_net_paths_find(&paths, &tuple, 5 + 600 * SECONDS - 1), 1000);
    CHECK_EQ(ewi_net_paths_find(&paths, &tuple, 5 + 600 * SECONDS), UINT16_MAX);
    CHECK(!ewi_net_paths_learn(&paths, &tuple, 1400, 5 + 600 * SECONDS - 1));
    CHECK(ewi_net_paths_learn(&paths, &tuple, 1400, 5 + 600 * SECONDS));
    CHECK_EQ(ewi_net_paths_find(&paths, &tuple, 5 + 601 * SECONDS), 1400);
}

static void the_oldest_gives_way(void)
{
    struct net_tuple tuple;

    begin();
    for (uint8_t host = 0; host < CAPACITY; host++) {
        tuple = to(4, host);
        CHECK(ewi_net_paths_learn(&paths, &tuple, 1400, host));
    }
    tuple = to(4, 0);
    CHECK(ewi_net_paths_learn(&paths, &tuple, 1300, 50)); /* 0 is the youngest now */
    tuple = to(4, 100);
    CHECK(ewi_net_paths_learn(&paths, &tuple, 1400, 51));
    tuple = to(4, 1);
    CHECK_EQ(ewi_net_paths_find(&paths, &tuple, 52), UINT16_MAX);
    tuple = to(4, 0);
    CHECK_EQ(ewi_net_paths_find(&paths, &tuple, 52), 1300);
    CHECK_EQ(paths.pool.used, CAPACITY);
}

static void rfc_1191_section_7_plateaus(void)
{
    CHECK_EQ(ewi_net_path_plateau(65535), 32000);
    CHECK_EQ(ewi_net_path_plateau(32000), 17914);
    CHECK_EQ(ewi_net_path_plateau(9000), 8166);
    CHECK_EQ(ewi_net_path_plateau(1500), 1492);
    CHECK_EQ(ewi_net_path_plateau(1493), 1492);
    CHECK_EQ(ewi_net_path_plateau(1492), 1006);
    CHECK_EQ(ewi_net_path_plateau(509), 508);
    CHECK_EQ(ewi_net_path_plateau(100), 296);
    CHECK_EQ(ewi_net_path_plateau(0), 296);
}

/* ---- against a slow model ---- */

struct model {
    bool is_known;
    uint16_t mtu;
    uint64_t learned, order;
};

static void model_learn(struct model *model, uint32_t host, uint16_t mtu, uint64_t now,
                        uint64_t order)
{
    uint32_t known = 0, oldest = HOSTS;

    if (!model[host].is_known) {
        for (uint32_t i = 0; i < HOSTS; i++) {
            known += model[i].is_known;
            if (model[i].is_known && (oldest == HOSTS || model[i].order < model[oldest].order))
                oldest = i;
        }
        if (known == CAPACITY)
            model[oldest].is_known = false;
    }
    model[host] = (struct model){true, mtu < 576 ? 576 : mtu, now, order};
}

static void any_sequence_agrees_with_the_model(struct harness_random *random)
{
    struct model model[HOSTS] = {{0}};
    uint64_t now = 0;

    begin();
    for (uint64_t i = 1; i < 5000; i++) {
        uint32_t host = (uint32_t)harness_below(random, HOSTS);
        struct net_tuple tuple = to(4, (uint8_t)host);
        uint16_t mtu = (uint16_t)harness_between(random, 500, 1500), known;
        bool is_known = model[host].is_known && now - model[host].learned < NET_PATH_NS;

        now += harness_below(random, 60) * SECONDS;
        is_known = model[host].is_known && now - model[host].learned < NET_PATH_NS;
        known = is_known ? model[host].mtu : UINT16_MAX;
        CHECK_EQ(ewi_net_paths_find(&paths, &tuple, now), known);
        if (harness_below(random, 2) == 0)
            continue;
        CHECK_EQ(ewi_net_paths_learn(&paths, &tuple, mtu, now), (mtu < 576 ? 576 : mtu) < known);
        if ((mtu < 576 ? 576 : mtu) < known)
            model_learn(model, host, mtu, now, i);
    }
}

int main(int argc, char **argv)
{
    RUN(nothing_is_known_at_first);
    RUN(what_was_learned_holds_for_every_port_and_source);
    RUN(families_and_links_are_different_destinations);
    RUN(rfc_1191_section_3_only_lower_is_news);
    RUN(never_below_the_least_of_the_family);
    RUN(rfc_1191_section_6_3_after_ten_minutes_longer_is_tried);
    RUN(the_oldest_gives_way);
    RUN(rfc_1191_section_7_plateaus);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        any_sequence_agrees_with_the_model(&random);
    }
    return 0;
}
