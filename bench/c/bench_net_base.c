/* What does one operation of the base of transport/net cost, with one entry and with a million?
 *
 *   wheel   arm, move away, move nearer, stop, and a second of a million timers from arming to due
 *   table   hash, find (there, not there), insert, remove; in batches of 64 with prefetch
 *   pool    take and give; find by handle
 *   others  events, ports, random, ISN
 *
 * Value of a round: ns for one operation. "far": objects in random order, so that the cache misses;
 * "near": objects in a row of 64.
 */
#include "bench/c/duo.h"
#include "transport/net/events.h"
#include "transport/net/pool.h"
#include "transport/net/ports.h"
#include "transport/net/wheel.h"

enum { MILLION = 1 << 20, CONNECTION_BYTES = 512, NEAR = 64 };

struct connection { /* as large as one may be, with what this folder needs in the first line */
    struct net_timer timer;
    struct net_tuple tuple;
    uint8_t rest[CONNECTION_BYTES - sizeof(struct net_timer) - sizeof(struct net_tuple)];
};

static struct connection *connection;
static uint32_t *order; /* a random permutation */
static uint64_t *hash;
static struct net_wheel wheel;
static struct net_table table;
static struct net_pool pool;
static struct net_events events;
static struct net_ports ports;
static struct net_random numbers;
static volatile uint64_t sink;
static uint32_t due[64];
static const uint8_t seed[32] = "bench", key[16] = "key";

static void *memory_of(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    DUO_CHECK(memory != MAP_FAILED && bytes != 0);
    return memory;
}

static uint32_t far_index(uint32_t i)
{
    return order[i % MILLION];
}

static void set_up(void)
{
    connection = memory_of(sizeof(struct connection) * (size_t)MILLION);
    order = memory_of(sizeof(uint32_t) * (size_t)MILLION);
    hash = memory_of(sizeof(uint64_t) * (size_t)MILLION);
    ewi_net_random_init(&numbers, seed);
    for (uint32_t i = 0; i < MILLION; i++) {
        uint32_t k = (uint32_t)ewi_net_random_below(&numbers, i + 1);

        order[i] = order[k];
        order[k] = i;
        connection[i].tuple = (struct net_tuple){
            .local = {10, 0, 0, 1},
            .remote = {10, 1, (uint8_t)(i >> 16), 2},
            .local_port = 80,
            .remote_port = (uint16_t)i,
            .family = 4,
        };
        hash[i] = ewi_net_tuple_hash(key, &connection[i].tuple);
        ewi_net_timer_init(&connection[i].timer);
    }
    ewi_net_table_init(&table, memory_of(ewi_net_table_bytes(MILLION)), MILLION,
                       (struct net_rows){(uint8_t *)&connection[0].tuple, CONNECTION_BYTES});
    ewi_net_pool_init(&pool, memory_of(ewi_net_pool_bytes(MILLION, 64)), MILLION, 64);
    ewi_net_events_init(&events, memory_of(ewi_net_events_bytes(MILLION)), MILLION);
    ewi_net_ports_init(&ports, seed, &numbers, NET_PORTS_LOW, NET_PORTS_HIGH);
}

static void start_wheel(void)
{
    for (uint32_t i = 0; i < MILLION; i++)
        ewi_net_timer_init(&connection[i].timer);
    ewi_net_wheel_init(&wheel, (struct net_rows){(uint8_t *)&connection[0].timer, CONNECTION_BYTES},
                       0);
}

#define MEASURE(duo, name, round, count, statement)                                                \
    do {                                                                                           \
        uint64_t measure_from = duo_ns();                                                          \
        for (uint32_t i = 0; i < (count); i++)                                                     \
            statement;                                                                             \
        duo_case((duo), (name))->value[round] =                                                    \
            (double)(duo_ns() - measure_from) / (double)(count);                                   \
    } while (0)

static uint64_t rto(uint32_t i) /* 200 ms, spread by what the connections do */
{
    return 200000000 + (uint64_t)i * 1000;
}

static void measure_wheel_near(struct duo *duo, int round, uint32_t count)
{
    start_wheel();
    MEASURE(duo, "wheel arm, remove; near", round, count, {
        ewi_net_wheel_arm(&wheel, i % NEAR, rto(i));
        ewi_net_wheel_remove(&wheel, i % NEAR);
    });
    MEASURE(duo, "wheel move away; near", round, count,
            ewi_net_wheel_arm(&wheel, i % NEAR, rto(i)));
    MEASURE(duo, "wheel stop, start; near", round, count, {
        ewi_net_wheel_arm(&wheel, i % NEAR, NET_NEVER);
        ewi_net_wheel_arm(&wheel, i % NEAR, rto(count));
    });
    MEASURE(duo, "wheel move nearer; near", round, count,
            ewi_net_wheel_arm(&wheel, i % NEAR, rto(count - i)));
    MEASURE(duo, "wheel next, advance: nothing due", round, count, {
        sink = ewi_net_wheel_next(&wheel);
        sink = ewi_net_wheel_advance(&wheel, 1000 + i, due, 64);
    });
}

static void measure_wheel_far(struct duo *duo, int round)
{
    uint64_t from, now = 0;
    uint32_t found = 0;

    start_wheel();
    MEASURE(duo, "wheel arm; a million", round, MILLION,
            ewi_net_wheel_arm(&wheel, far_index(i), rto(i)));
    MEASURE(duo, "wheel move away; a million", round, MILLION,
            ewi_net_wheel_arm(&wheel, far_index(i), rto(i) + 50000000));
    from = duo_ns();
    while (found < MILLION) { /* a poll each 100 us; each entry goes to its new place once */
        now += 100000;
        do
            found += ewi_net_wheel_advance(&wheel, now, due, 64);
        while (ewi_net_wheel_next(&wheel) <= now);
    }
    duo_case(duo, "wheel from arming to due; a million")->value[round] =
        (double)(duo_ns() - from) / MILLION;
}

static void measure_hash(struct duo *duo, int round, uint32_t count)
{
    struct net_tuple four = connection[1].tuple, six = four;

    six.family = 6;
    MEASURE(duo, "hash IPv4", round, count, {
        four.remote_port = (uint16_t)sink;
        sink = ewi_net_tuple_hash(key, &four);
    });
    MEASURE(duo, "hash IPv6", round, count, {
        six.remote_port = (uint16_t)sink;
        sink = ewi_net_tuple_hash(key, &six);
    });
}

static void find_batch(uint32_t from)
{
    for (uint32_t k = from; k < from + 64; k++)
        __builtin_prefetch(&table.entry[ewi_net_table_home(&table, (uint32_t)(hash[order[k]] >> 32))]);
    for (uint32_t k = from; k < from + 64; k++)
        __builtin_prefetch(&connection[order[k]]); /* as a stack would, from a first look */
    for (uint32_t k = from; k < from + 64; k++)
        sink = ewi_net_table_find(&table, hash[order[k]], &connection[order[k]].tuple);
}

static void measure_table(struct duo *duo, int round, uint32_t count)
{
    struct net_tuple other = connection[7].tuple;

    MEASURE(duo, "table insert; to a million", round, MILLION,
            DUO_CHECK(ewi_net_table_insert(&table, hash[far_index(i)], far_index(i)) == EW_OK));
    MEASURE(duo, "table find; near", round, count,
            sink = ewi_net_table_find(&table, hash[i % NEAR], &connection[i % NEAR].tuple));
    MEASURE(duo, "table find; a million", round, MILLION,
            sink = ewi_net_table_find(&table, hash[far_index(i)], &connection[far_index(i)].tuple));
    MEASURE(duo, "table find in batches; a million", round, MILLION / 64, find_batch(i * 64));
    duo_case(duo, "table find in batches; a million")->value[round] /= 64;
    other.scope = 1;
    MEASURE(duo, "table find what is not there; a million", round, MILLION,
            sink = ewi_net_table_find(&table, hash[far_index(i)] ^ 1u << 31, &other));
    MEASURE(duo, "table remove; from a million", round, MILLION,
            DUO_CHECK(ewi_net_table_remove(&table, hash[far_index(i)], far_index(i))));
    MEASURE(duo, "table insert, remove; near", round, count, {
        (void)ewi_net_table_insert(&table, hash[i % NEAR], i % NEAR);
        (void)ewi_net_table_remove(&table, hash[i % NEAR], i % NEAR);
    });
}

static void measure_others(struct duo *duo, int round, uint32_t count)
{
    struct net_ports_taken taken = {.table_key = key, .tables = {&table}};
    struct net_tuple tuple = {.local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2}, .remote_port = 80,
                              .family = 4};
    struct net_event event;
    uint64_t handle, chosen;

    MEASURE(duo, "pool take, give", round, count,
            ewi_net_pool_give(&pool, ewi_net_pool_take(&pool)));
    handle = ewi_net_pool_handle(&pool, ewi_net_pool_take(&pool));
    MEASURE(duo, "pool find", round, count, sink = ewi_net_pool_find(&pool, handle));
    ewi_net_pool_give(&pool, (uint32_t)handle);
    MEASURE(duo, "events raise, take", round, count, {
        ewi_net_events_raise(&events, i % NEAR, 1);
        sink = ewi_net_events_take(&events, &event, 1);
    });
    MEASURE(duo, "ports choose", round, count,
            DUO_CHECK(ewi_net_ports_choose(&ports, &taken, &tuple, &chosen) == EW_OK));
    MEASURE(duo, "random next", round, count, sink = ewi_net_random_next(&numbers));
    MEASURE(duo, "isn", round, count, sink = ewi_net_isn(key, &tuple, i));
}

int main(int argc, char **argv)
{
    static struct duo duo;
    uint32_t count;

    duo_start(&duo, argc, argv, 5, 2);
    duo_stop(&duo); /* one process is enough */
    count = duo.quick ? 100000 : 2000000;
    set_up();
    for (int round = 0; round < duo.rounds; round++) {
        measure_wheel_near(&duo, round, count);
        measure_wheel_far(&duo, round);
        measure_hash(&duo, round, count);
        measure_table(&duo, round, count);
        measure_others(&duo, round, count);
    }
    duo_print(&duo, "net-base", "ns");
    return 0;
}
