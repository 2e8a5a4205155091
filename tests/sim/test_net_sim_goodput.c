/* How much gets through, over loss, round trip and buffer?
 *
 * As a test: a few cells, against limits that are far below what they are.
 * With --table: docs/reference/net-goodput.md on standard output, the same at every run:
 *     build/dev/tests/sim_test_net_sim_goodput --table > docs/reference/net-goodput.md */
#include "tests/sim/net_scene.h"
#include "transport/net/cc.h"

#define RATE (50 * MBIT)

enum { TABLE_SEEDS = 3, SECONDS = 10 };

static const uint32_t losses[] = {0, 1000, 10000, 30000, 100000}; /* of a million */
static const uint64_t trips[] = {100 * US, MS, 10 * MS, 100 * MS};
static const uint32_t quarters[] = {1, 4, 16}; /* of the rate times the round trip */

struct cell {
    uint32_t loss, quarters;
    uint64_t rtt;
    enum net_cc_kind kind;
};

static uint32_t buffer_of(const struct cell *cell)
{
    uint64_t bytes = RATE / 8 * cell->rtt / SEC * cell->quarters / 4;

    return (uint32_t)(bytes < 15000 ? 15000 : bytes); /* ten packets at least */
}

/* Mbit/s that the application reads in SECONDS from the connect on. */
static double goodput(const struct cell *cell, uint64_t seed)
{
    struct wire_plan there = {.rate = RATE, .delay = cell->rtt / 2, .queue = buffer_of(cell),
                              .loss = cell->loss};
    struct wire_plan back = {.rate = RATE, .delay = cell->rtt / 2, .loss = cell->loss};
    struct app_plan plan = {.bytes = UINT64_C(1) << 40, .ring = 4 << 20, .span = 1 << 16};
    struct app *app;
    double bits;

    apps_begin(seed);
    node_add(NULL, &back);
    node_add(NULL, &there);
    world_join();
    world.check_every = 64;
    set_all(NET_OPTION_CONGESTION, cell->kind);
    set_all(NET_OPTION_RECV_BYTES, 16 << 20);
    app_listen(SERVER, 4, SERVER_PORT, 8);
    app = pair_open(CLIENT, SERVER, 4, SERVER_PORT, &plan, NULL);
    world_run(sim.now + SECONDS * SEC, NULL);
    bits = (double)app->peer->got * 8;
    apps_end();
    return bits / SECONDS / 1e6;
}

static double mean_goodput(const struct cell *cell)
{
    double sum = 0;

    for (uint64_t seed = 1; seed <= TABLE_SEEDS; seed++)
        sum += goodput(cell, seed);
    return sum / TABLE_SEEDS;
}

static void table_row(uint32_t loss, enum net_cc_kind kind)
{
    printf("| %s | %g %% |", ewi_net_cc_name(kind), loss / 1e4);
    for (size_t r = 0; r < sizeof(trips) / sizeof(trips[0]); r++) {
        for (size_t b = 0; b < sizeof(quarters) / sizeof(quarters[0]); b++) {
            struct cell cell = {loss, quarters[b], trips[r], kind};

            printf(" %.2f |", mean_goodput(&cell));
            fflush(stdout);
        }
    }
    printf("\n");
}

static void table(void)
{
    printf("# Goodput of one TCP stream, simulated\n\n"
           "Two stacks of `transport/net` over a wire of 50 Mbit/s in `tests/sim`, virtual time: "
           "Mbit/s that the\nreader got in the first %d s, connect and slow start included, mean "
           "of %d seeds. IPv4, MTU 1500 (47.8\nMbit/s at most), 4 MiB of send memory, timeouts of "
           "the fabric. Loss is drawn for each frame, both ways.\nBuffer: bytes of the queue in "
           "front of the wire, as a part of rate times round trip, at least ten packets.\n\n"
           "Made by `build/dev/tests/sim_test_net_sim_goodput --table > "
           "docs/reference/net-goodput.md`.\n\n",
           SECONDS, TABLE_SEEDS);
    printf("| | loss |");
    for (size_t r = 0; r < sizeof(trips) / sizeof(trips[0]); r++)
        for (size_t b = 0; b < sizeof(quarters) / sizeof(quarters[0]); b++)
            printf(" %g ms, %g |", (double)trips[r] / 1e6, quarters[b] / 4.0);
    printf("\n| --- | --- |");
    for (size_t r = 0; r < sizeof(trips) / sizeof(trips[0]); r++)
        printf(" ---: | ---: | ---: |"); /* as many as quarters */
    printf("\n");
    for (int kind = NET_CC_NEWRENO; kind <= NET_CC_CUBIC; kind++)
        for (size_t l = 0; l < sizeof(losses) / sizeof(losses[0]); l++)
            table_row(losses[l], (enum net_cc_kind)kind);
}

static void clean_wire_is_filled(void)
{
    CHECK(goodput(&(struct cell){0, 4, 10 * MS, NET_CC_CUBIC}, scene_seed()) > 42);
    CHECK(goodput(&(struct cell){0, 4, 100 * US, NET_CC_NEWRENO}, scene_seed()) > 42);
}

/* Mathis et al. 1997: MSS / RTT * 1.22 / sqrt(loss) is 14 Mbit/s for Reno. */
static void one_percent_of_loss_at_10_ms_leaves_enough(void)
{
    CHECK(goodput(&(struct cell){10000, 4, 10 * MS, NET_CC_CUBIC}, scene_seed()) > 8);
    CHECK(goodput(&(struct cell){10000, 4, 10 * MS, NET_CC_NEWRENO}, scene_seed()) > 8);
}

static void ten_percent_of_loss_is_survived(void)
{
    CHECK(goodput(&(struct cell){100000, 4, 10 * MS, NET_CC_CUBIC}, scene_seed()) > 0.5);
    CHECK(goodput(&(struct cell){100000, 4, MS, NET_CC_CUBIC}, scene_seed()) > 2);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--table") == 0) {
        table();
        return 0;
    }
    harness_seed(argc, argv);
    RUN(clean_wire_is_filled);
    RUN(one_percent_of_loss_at_10_ms_leaves_enough);
    RUN(ten_percent_of_loss_is_survived);
    return 0;
}
