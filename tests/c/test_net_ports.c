/* tests/c/test_net_ports.c - transport/net/ports.h: free, unpredictable, and late to come back. */
#include "tests/c/harness.h"
#include "transport/net/ports.h"

enum { LOW = 40000, PORTS = 100, CONNECTIONS = 4 * PORTS };

static const uint8_t seed_a[32] = "a", seed_b[32] = "b", table_key[16] = "k";

static struct net_tuple open_tuple[CONNECTIONS], waiting_tuple[CONNECTIONS];
static _Alignas(NET_ALIGN) uint8_t open_memory[8192], waiting_memory[8192], listen_memory[1024];
static struct net_table open, waiting;
static struct net_listen listen[8];
static struct net_listeners listeners;
static struct net_ports ports;
static struct net_ports_taken taken;

static void init(const uint8_t seed[32], uint16_t low, uint16_t high)
{
    struct net_random random;

    ewi_net_random_init(&random, seed);
    ewi_net_ports_init(&ports, seed, &random, low, high);
}

static void start(void)
{
    CHECK(ewi_net_table_bytes(CONNECTIONS) <= sizeof(open_memory));
    ewi_net_table_init(&open, open_memory, CONNECTIONS,
                       (struct net_rows){(uint8_t *)open_tuple, sizeof(open_tuple[0])});
    ewi_net_table_init(&waiting, waiting_memory, CONNECTIONS,
                       (struct net_rows){(uint8_t *)waiting_tuple, sizeof(waiting_tuple[0])});
    ewi_net_listeners_init(&listeners, listen_memory, 8,
                           (struct net_rows){(uint8_t *)listen, sizeof(listen[0])});
    taken = (struct net_ports_taken){table_key, &listeners, {&open, &waiting}};
    init(seed_a, LOW, LOW + PORTS - 1);
}

static struct net_tuple to(uint8_t host, uint16_t port)
{
    return (struct net_tuple){.local = {10, 0, 0, 1}, .remote = {10, 0, 1, host},
                              .remote_port = port, .family = 4};
}

/* One more connection of the table, with the port that is chosen for it. */
static int connect_to(struct net_table *table, struct net_tuple *tuples, uint8_t host, uint16_t port)
{
    struct net_tuple tuple = to(host, port);
    uint64_t hash;
    int got = ewi_net_ports_choose(&ports, &taken, &tuple, &hash);

    if (got != EW_OK) {
        CHECK_EQ(tuple.local_port, 0);
        return got;
    }
    CHECK(tuple.local_port >= ports.low && tuple.local_port <= ports.high);
    CHECK(hash == ewi_net_tuple_hash(table_key, &tuple));
    tuples[table->used] = tuple;
    CHECK_EQ(ewi_net_table_insert(table, hash, table->used), EW_OK); /* the name was free */
    return EW_OK;
}

/* mtcp#45, F-Stack#725. catches: a search that gives up before it has seen every port */
static void every_port_is_used_for_one_peer_and_then_none_is_left(void)
{
    start();
    for (int i = 0; i < PORTS; i++)
        CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_OK);
    CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_EINUSE);
    CHECK_EQ(ports.refused, 1);
}

static void another_peer_or_port_has_all_ports_again(void)
{
    start();
    for (int i = 0; i < PORTS; i++) {
        CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_OK);
        CHECK_EQ(connect_to(&open, open_tuple, 1, 81), EW_OK);
        CHECK_EQ(connect_to(&open, open_tuple, 2, 80), EW_OK);
    }
    CHECK_EQ(ports.refused, 0);
}

static void the_only_free_port_is_found(void)
{
    start();
    for (int i = 0; i < PORTS; i++)
        CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_OK);
    for (uint32_t i = 0; i < PORTS; i++) {
        struct net_tuple gone = open_tuple[i], tuple = to(1, 80);
        uint64_t hash = ewi_net_tuple_hash(table_key, &gone);

        CHECK(ewi_net_table_remove(&open, hash, i));
        CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_OK);
        CHECK_EQ(tuple.local_port, gone.local_port);
        CHECK_EQ(ewi_net_table_insert(&open, hash, i), EW_OK);
    }
}

/* F-Stack#725: a port in TIME_WAIT is taken, wherever that state is kept. */
static void a_port_in_time_wait_is_not_given(void)
{
    start();
    for (int i = 0; i < PORTS / 2; i++) {
        CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_OK);
        CHECK_EQ(connect_to(&waiting, waiting_tuple, 1, 80), EW_OK);
    }
    CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_EINUSE);
}

/* RFC 6191: the caller may look again without the connections in TIME_WAIT. */
static void rfc_6191_a_port_in_time_wait_is_found_when_that_is_allowed(void)
{
    struct net_tuple tuple = to(1, 80);
    uint64_t hash;

    start();
    for (int i = 0; i < PORTS; i++)
        CHECK_EQ(connect_to(&waiting, waiting_tuple, 1, 80), EW_OK);
    CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_EINUSE);
    taken.tables[1] = NULL;
    CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_OK);
    CHECK(ewi_net_table_find(&waiting, hash, &tuple) != NET_NONE);
}

/* RFC 6056 section 3.2: a port on which somebody listens is no ephemeral port. */
static void rfc_6056_a_port_with_a_listener_is_not_given(void)
{
    start();
    listen[0] = (struct net_listen){.port = LOW + 7};
    CHECK_EQ(ewi_net_listeners_add(&listeners, 0), EW_OK);
    for (int i = 0; i < PORTS - 1; i++)
        CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_OK);
    for (int i = 0; i < PORTS - 1; i++)
        CHECK(open_tuple[i].local_port != LOW + 7);
    CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_EINUSE);
    taken.listeners = NULL;
    CHECK_EQ(connect_to(&open, open_tuple, 1, 80), EW_OK);
}

/* RFC 6056 section 3.3.4: for one peer a port comes back after all others. catches: a counter that
 * jumps where its 16 bits wrap, so that a search around there misses ports */
static void rfc_6056_a_port_comes_back_to_its_peer_last(void)
{
    uint16_t first[PORTS];
    struct net_tuple tuple = to(1, 80);
    uint64_t hash;

    start();
    for (int i = 0; i < 70000; i++) { /* nothing is ever taken */
        CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_OK);
        if (i < PORTS)
            first[i] = tuple.local_port;
        CHECK_EQ(tuple.local_port, first[i % PORTS]);
        CHECK_EQ(tuple.local_port, LOW + (first[0] - LOW + i) % PORTS);
    }
}

/* RFC 6056 section 3.3.4: where the sequence of one peer stands says nothing about another's. */
static void rfc_6056_peers_have_sequences_of_their_own(void)
{
    uint32_t seen[PORTS] = {0}, most = 0;
    uint64_t hash;

    start();
    for (int host = 0; host < 200; host++) {
        struct net_tuple tuple = to((uint8_t)host, 80);

        CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_OK);
        seen[tuple.local_port - LOW] += 1;
    }
    for (int i = 0; i < PORTS; i++)
        most = seen[i] > most ? seen[i] : most;
    CHECK(most < 12); /* two are expected of each */
}

/* RFC 6056 section 3.3.4: F. catches: peers that share a counter and so see each other's ports */
static void rfc_6056_peers_that_share_a_counter_have_other_offsets(void)
{
    int equal = 0;
    uint64_t hash;

    start();
    for (uint8_t host = 0; host < 100; host++) {
        struct net_tuple one = to(host, 80), other = to(host, 81);

        memset(ports.counter, 0, sizeof(ports.counter)); /* as if all shared one */
        CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &one, &hash), EW_OK);
        memset(ports.counter, 0, sizeof(ports.counter));
        CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &other, &hash), EW_OK);
        equal += one.local_port == other.local_port;
    }
    CHECK(equal < 10); /* one is expected */
}

static void another_seed_chooses_other_ports(void)
{
    uint16_t a[16];
    int same = 0;
    uint64_t hash;

    start();
    for (uint8_t i = 0; i < 16; i++) {
        struct net_tuple tuple = to(i, 80);

        CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_OK);
        a[i] = tuple.local_port;
    }
    for (int again = 0; again < 2; again++) {
        init(again == 0 ? seed_a : seed_b, LOW, LOW + PORTS - 1);
        same = 0;
        for (uint8_t i = 0; i < 16; i++) {
            struct net_tuple tuple = to(i, 80);

            CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_OK);
            same += tuple.local_port == a[i];
        }
        CHECK(again == 0 ? same == 16 : same < 6);
    }
}

/* catches: a count of ports that does not fit 16 bits, or that misses the last */
static void ranges_of_one_port_and_of_all_ports_work(void)
{
    static bool seen[1 << 16];
    struct net_tuple tuple = to(1, 80);
    uint64_t hash;

    start();
    init(seed_a, 65535, 65535);
    CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_OK);
    CHECK_EQ(tuple.local_port, 65535);
    init(seed_a, 1, 65535);
    for (int i = 0; i < 65535; i++) {
        CHECK_EQ(ewi_net_ports_choose(&ports, &taken, &tuple, &hash), EW_OK);
        CHECK(tuple.local_port != 0);
        seen[tuple.local_port] = true;
    }
    for (int i = 1; i < 65536; i++)
        CHECK(seen[i]);
}

int main(void)
{
    RUN(every_port_is_used_for_one_peer_and_then_none_is_left);
    RUN(another_peer_or_port_has_all_ports_again);
    RUN(the_only_free_port_is_found);
    RUN(a_port_in_time_wait_is_not_given);
    RUN(rfc_6191_a_port_in_time_wait_is_found_when_that_is_allowed);
    RUN(rfc_6056_a_port_with_a_listener_is_not_given);
    RUN(rfc_6056_a_port_comes_back_to_its_peer_last);
    RUN(rfc_6056_peers_have_sequences_of_their_own);
    RUN(rfc_6056_peers_that_share_a_counter_have_other_offsets);
    RUN(another_seed_chooses_other_ports);
    RUN(ranges_of_one_port_and_of_all_ports_work);
    return 0;
}
