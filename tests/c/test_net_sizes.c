/* tests/c/test_net_sizes.c - what one more of something costs, as README, CHANGELOG and docs say it. */
#include "tests/c/harness.h"
#include "transport/net/net.h"
#include "transport/net/tcp.h"

enum { MORE = 1 << 16 };

/* For MORE more of what this field counts; a table's spare places, a page at most, are not counted. */
static double bytes_of_one_more(size_t offset)
{
    struct net_config config;
    uint32_t many;
    size_t before;

    ewi_net_config_for(&config, MORE);
    before = ewi_net_bytes(&config);
    memcpy(&many, (uint8_t *)&config + offset, sizeof(many));
    many += MORE;
    memcpy((uint8_t *)&config + offset, &many, sizeof(many));
    CHECK(before != 0 && ewi_net_bytes(&config) != 0);
    return (double)(ewi_net_bytes(&config) - before) / MORE;
}

#define COSTS(field, bytes)                                                                        \
    CHECK((bytes_of_one_more(offsetof(struct net_config, field)) - (bytes)) *                      \
              (bytes_of_one_more(offsetof(struct net_config, field)) - (bytes)) <                  \
          0.01)

/* docs/adr/0017, docs/reference/performance.md */
static void an_idle_connection_takes_512_bytes(void)
{
    COSTS(conns_max, 512);
    CHECK_EQ(sizeof(struct net_conn), 488);
}

/* docs/reference/performance.md: behind it is what ACKs of new data touch. */
static void text_in_order_touches_328_bytes(void)
{
    CHECK_EQ(offsetof(struct net_conn, rtt), 328);
}

/* CHANGELOG.md: 64 for the record, 16 for its place in the queue, 12 in the table, 4 in the pool */
static void a_connection_in_time_wait_takes_96_bytes(void)
{
    COSTS(time_waits_max, 96);
}

/* net.h */
static void a_run_takes_56_bytes(void)
{
    COSTS(runs_max, 56);
}

int main(void)
{
    RUN(an_idle_connection_takes_512_bytes);
    RUN(text_in_order_touches_328_bytes);
    RUN(a_connection_in_time_wait_takes_96_bytes);
    RUN(a_run_takes_56_bytes);
    return 0;
}
