/* tests/c/test_net_counters.c - transport/net/counters.h: one list, no name twice. */
#include "tests/c/harness.h"
#include "transport/net/counters.h"

static void the_table_of_names_has_every_counter_once(void)
{
    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++) {
        const struct net_counters_name *name = ewi_net_counters_name(i);

        CHECK(name != NULL && name->name[0] != '\0' && name->text[0] != '\0');
        for (uint32_t k = 0; k < i; k++)
            CHECK(strcmp(name->name, ewi_net_counters_name(k)->name) != 0);
    }
    CHECK(ewi_net_counters_name(NET_COUNTERS_COUNT) == NULL);
    CHECK(ewi_net_counters_name(UINT32_MAX) == NULL);
}

/* catches: names and values that are off by one */
static void a_value_is_found_under_its_name(void)
{
    struct net_counters counters = {.rx_packets = 1, .drop_tcp_paws = 2, .full_ports = UINT64_MAX};
    int seen = 0;

    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++) {
        const char *name = ewi_net_counters_name(i)->name;
        uint64_t want = strcmp(name, "rx_packets") == 0      ? 1
                        : strcmp(name, "drop_tcp_paws") == 0 ? 2
                        : strcmp(name, "full_ports") == 0    ? UINT64_MAX
                                                             : 0;

        CHECK(ewi_net_counters_value(&counters, i) == want);
        seen += want != 0;
    }
    CHECK_EQ(seen, 3);
}

int main(void)
{
    RUN(the_table_of_names_has_every_counter_once);
    RUN(a_value_is_found_under_its_name);
    return 0;
}
