/* What only a mistake of ours can do ends the process, and says where: each mistake in a child of its own. */
#include <signal.h>
#include <stdalign.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/c/harness.h"
#include "transport/net/addresses.h"
#include "transport/net/cc.h"
#include "transport/net/cookie.h"
#include "transport/net/events.h"
#include "transport/net/header_tcp.h"
#include "transport/net/listeners.h"
#include "transport/net/net.h"
#include "transport/net/ports.h"
#include "transport/net/route.h"
#include "transport/net/runs.h"
#include "transport/net/send_queue.h"
#include "transport/net/settings.h"
#include "transport/net/sum.h"
#include "transport/net/time_wait.h"

static alignas(NET_ALIGN) uint8_t memory[1 << 16];
static uint8_t out[256];
static const uint8_t seed[32];

/* ---- memory: NULL or crooked, none, too much ---- */

static void pool_crooked(void) { ewi_net_pool_init(&(struct net_pool){0}, memory + 8, 4, 64); }
static void pool_of_none(void) { ewi_net_pool_init(&(struct net_pool){0}, memory, 0, 64); }
static void table_crooked(void)
{
    ewi_net_table_init(&(struct net_table){0}, memory + 8, 4, (struct net_rows){0});
}
static void table_of_none(void)
{
    ewi_net_table_init(&(struct net_table){0}, memory, 0, (struct net_rows){0});
}
static void events_crooked(void) { ewi_net_events_init(&(struct net_events){0}, memory + 8, 4); }
static void events_of_none(void) { ewi_net_events_init(&(struct net_events){0}, memory, 0); }
static void addresses_of_none(void)
{
    ewi_net_addresses_init(&(struct net_addresses){0}, memory, 0);
}
static void listeners_of_none(void)
{
    ewi_net_listeners_init(&(struct net_listeners){0}, memory, 0, (struct net_rows){0});
}
static void routes_of_none(void) { ewi_net_routes_init(&(struct net_routes){0}, memory, 0); }
static void spans_of_none(void) { ewi_net_span_pool_init(&(struct net_span_pool){0}, memory, 0); }
static void runs_of_three(void) { ewi_net_run_pool_init(&(struct net_run_pool){0}, memory, 64, 3); }
static void time_waits_of_none(void)
{
    ewi_net_time_waits_init(&(struct net_time_waits){0}, memory, 0, 1);
}

/* ---- numbers that nobody has ---- */

static void pool_gives_twice(void)
{
    struct net_pool pool;
    uint32_t index;

    ewi_net_pool_init(&pool, memory, 4, 64);
    index = ewi_net_pool_take(&pool);
    ewi_net_pool_give(&pool, index);
    ewi_net_pool_give(&pool, index);
}

static void event_of_nobody(void)
{
    struct net_events events;

    ewi_net_events_init(&events, memory, 4);
    ewi_net_events_raise(&events, 4, 1);
}

static void row_of_nobody(void)
{
    struct net_table table;

    ewi_net_table_init(&table, memory, 4, (struct net_rows){memory, 64});
    (void)ewi_net_table_insert(&table, 1, NET_ROWS_MAX);
}

static void settings_of_nobody(void)
{
    static struct net_settings_table table;

    ewi_net_settings_init(&table);
    ewi_net_settings_hold(&table, 7);
}

static void settings_that_all_need(void)
{
    static struct net_settings_table table;

    ewi_net_settings_init(&table);
    ewi_net_settings_drop(&table, 0);
}

static void counter_that_is_none(void)
{
    (void)ewi_net_counters_value(&(struct net_counters){0}, NET_COUNTERS_COUNT);
}

static void congestion_that_is_none(void) { (void)ewi_net_cc_name(NET_CC_KINDS); }

static void congestion_begun_that_is_none(void)
{
    ewi_net_cc_init(&(struct net_cc){0}, NET_CC_KINDS, 1000, 0, false, false);
}

/* ---- fields that do not fit their headers ---- */

static void ip4_too_long(void)
{
    (void)ewi_net_ip4_build(out, &(struct net_ip4){.payload_bytes = UINT16_MAX - NET_IP4_BYTES + 1});
}
static void ip4_cut_anywhere(void)
{
    (void)ewi_net_ip4_build(out, &(struct net_ip4){.fragment_at = 12});
}
static void ip6_flow_too_wide(void) { (void)ewi_net_ip6_build(out, &(struct net_ip6){.flow = 1 << 20}); }
static void ip6_cut_anywhere(void) { (void)ewi_net_ip6_fragment_build(out, 6, 12, false, 1); }
static void udp_too_long(void)
{
    (void)ewi_net_udp_build(out, &(struct net_udp){.payload_bytes = UINT16_MAX - NET_UDP_BYTES + 1}, 0, 0);
}
static void tcp_scale_too_wide(void)
{
    (void)ewi_net_tcp_build(out, &(struct net_tcp){.flags = NET_TCP_SYN,
                                             .has = NET_TCP_HAS_SCALE,
                                             .scale = NET_TCP_SCALE_MAX + 1},
                            NET_TCP_ORDER_LINUX, 0, 0, 0);
}
static void tcp_too_long(void)
{
    (void)ewi_net_tcp_build(out, &(struct net_tcp){0}, NET_TCP_ORDER_LINUX, 0, 0,
                            UINT16_MAX - NET_TCP_BYTES + 1);
}
static void cookie_scale_too_wide(void)
{
    (void)ewi_net_cookie_time_make(0, &(struct net_cookie_options){.has_scale = true, .scale = 15});
}

/* ---- empty ranges, and order ---- */

static void random_below_nothing(void)
{
    struct net_random random;

    ewi_net_random_init(&random, seed);
    (void)ewi_net_random_below(&random, 0);
}

static void jitter_of_nothing(void)
{
    struct net_random random;

    ewi_net_random_init(&random, seed);
    (void)ewi_net_random_jitter(&random, 1000, 0);
}

static void ports_from_high_to_low(void)
{
    static struct net_ports ports;
    struct net_random random;

    ewi_net_random_init(&random, seed);
    ewi_net_ports_init(&ports, seed, &random, 2, 1);
}

static void span_of_nothing(void)
{
    struct net_span_pool pool;
    struct net_send_queue queue;

    ewi_net_span_pool_init(&pool, memory, 4);
    ewi_net_send_queue_init(&queue, 1);
    (void)ewi_net_send_queue_push(&pool, &queue, memory, 0);
}

static void release_of_what_was_never_sent(void)
{
    struct net_span_pool pool;
    struct net_send_queue queue;

    ewi_net_span_pool_init(&pool, memory, 4);
    ewi_net_send_queue_init(&queue, 1);
    (void)ewi_net_send_queue_push(&pool, &queue, out, 10);
    ewi_net_send_queue_release(&pool, &queue, 1, 12);
}

static void run_of_nothing(void)
{
    struct net_run_pool pool;
    struct net_runs runs;

    ewi_net_run_pool_init(&pool, memory, 64, 4);
    ewi_net_runs_init(&runs, 1);
    (void)ewi_net_runs_sent(&pool, &runs, &(struct net_sent){.segment_bytes = 1});
}

static void run_before_the_last(void)
{
    struct net_run_pool pool;
    struct net_runs runs;

    ewi_net_run_pool_init(&pool, memory, 64, 4);
    ewi_net_runs_init(&runs, 1);
    (void)ewi_net_runs_sent(&pool, &runs, &(struct net_sent){.now_ns = 9, .bytes = 1, .segment_bytes = 1});
    (void)ewi_net_runs_sent(&pool, &runs, &(struct net_sent){.now_ns = 8, .bytes = 1, .segment_bytes = 1});
}

static void time_goes_backwards(void)
{
    struct net_time_waits waits;

    ewi_net_time_waits_init(&waits, memory, 4, 1);
    (void)ewi_net_time_wait_expire(&waits, 1000, 1);
    (void)ewi_net_time_wait_expire(&waits, 999, 1);
}

static void packet_of_no_port(void)
{
    struct net_rx rx = {.data = out, .bytes = 64, .charge = 64};
    struct net_config config;
    struct ewi_net *net;
    size_t bytes;

    ewi_net_config_for(&config, 1);
    bytes = ewi_align_up(ewi_net_bytes(&config), NET_ALIGN);
    net = ewi_net_init(aligned_alloc(NET_ALIGN, bytes), &config, seed, 0);
    ewi_net_input(net, 0, &rx, 1);
}

/* ---- each in a child ---- */

static const struct misuse {
    const char *name, *file, *condition;
    void (*commit)(void);
} misuses[] = {
#define MISUSE(function, file, condition)                                                          \
    {                                                                                              \
        #function, "transport/net/" file ":", condition, function                                  \
    }
    MISUSE(pool_crooked, "pool.c", "NET_ALIGN"),
    MISUSE(pool_of_none, "pool.c", "ewi_net_pool_bytes"),
    MISUSE(table_crooked, "table.c", "NET_ALIGN"),
    MISUSE(table_of_none, "table.c", "ewi_net_table_bytes"),
    MISUSE(events_crooked, "events.c", "NET_ALIGN"),
    MISUSE(events_of_none, "events.c", "ewi_net_events_bytes"),
    MISUSE(addresses_of_none, "addresses.c", "ewi_net_addresses_bytes"),
    MISUSE(listeners_of_none, "listeners.c", "ewi_net_listeners_bytes"),
    MISUSE(routes_of_none, "route.c", "ewi_net_routes_bytes"),
    MISUSE(spans_of_none, "send_queue.c", "ewi_net_span_pool_bytes"),
    MISUSE(runs_of_three, "run_list.c", "runs_each_max >= 4"),
    MISUSE(time_waits_of_none, "time_wait.c", "ewi_net_time_waits_bytes"),
    MISUSE(pool_gives_twice, "pool.c", "ewi_net_pool_is_taken"),
    MISUSE(event_of_nobody, "events.c", "index < events->objects"),
    MISUSE(row_of_nobody, "table.c", "index < NET_ROWS_MAX"),
    MISUSE(settings_of_nobody, "settings.c", "table->users[id] > 0"),
    MISUSE(settings_that_all_need, "settings.c", "table->standard"),
    MISUSE(counter_that_is_none, "counters.h", "NET_COUNTERS_COUNT"),
    MISUSE(congestion_that_is_none, "cc.c", "NET_CC_KINDS"),
    MISUSE(congestion_begun_that_is_none, "cc.c", "NET_CC_KINDS"),
    MISUSE(ip4_too_long, "header.c", "ip->payload_bytes"),
    MISUSE(ip4_cut_anywhere, "header.c", "ip->fragment_at"),
    MISUSE(ip6_flow_too_wide, "header_ip6.c", "ip->flow"),
    MISUSE(ip6_cut_anywhere, "header_ip6.c", "fragment_at % 8"),
    MISUSE(udp_too_long, "header.c", "udp->payload_bytes"),
    MISUSE(tcp_scale_too_wide, "header_tcp.c", "tcp->scale"),
    MISUSE(tcp_too_long, "header_tcp.c", "payload_bytes <= UINT16_MAX"),
    MISUSE(cookie_scale_too_wide, "cookie.c", "options->scale"),
    MISUSE(random_below_nothing, "random.c", "bound > 0"),
    MISUSE(jitter_of_nothing, "random.c", "part > 0"),
    MISUSE(ports_from_high_to_low, "ports.c", "low <= high"),
    MISUSE(span_of_nothing, "send_queue.c", "bytes > 0"),
    MISUSE(release_of_what_was_never_sent, "send_queue.c", "to <= queue->end"),
    MISUSE(run_of_nothing, "runs.c", "sent->bytes > 0"),
    MISUSE(run_before_the_last, "runs.c", "tx_ns"),
    MISUSE(time_goes_backwards, "time_wait.c", "now >= waits->now"),
    MISUSE(packet_of_no_port, "link.c", "rx->port < net->link.ports"),
};

/* What the child says, and how it ended. */
static int end_of(void (*commit)(void), char *said, size_t room)
{
    int ends[2], status;
    size_t have = 0;
    ssize_t got;
    pid_t child;

    CHECK_EQ(pipe(ends), 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        (void)dup2(ends[1], STDERR_FILENO);
        commit();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], said + have, room - 1 - have)) > 0)
        have += (size_t)got;
    said[have] = '\0';
    close(ends[0]);
    CHECK_EQ(waitpid(child, &status, 0), child);
    return status;
}

static void nothing_wrong(void)
{
    (void)ewi_net_ip4_build(out, &(struct net_ip4){.payload_bytes = UINT16_MAX - NET_IP4_BYTES});
}

static void what_is_right_ends_quietly(void)
{
    char said[2048];

    CHECK_EQ(end_of(nothing_wrong, said, sizeof(said)), 0);
    CHECK_EQ(said[0], '\0');
}

static void each_misuse_aborts_and_says_where(void)
{
    char said[2048];

    for (size_t i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
        int status = end_of(misuses[i].commit, said, sizeof(said));
        bool is_good = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
                       strstr(said, "this is our bug") != NULL &&
                       strstr(said, misuses[i].file) != NULL &&
                       strstr(said, misuses[i].condition) != NULL;

        if (!is_good)
            fprintf(stderr, "    %s: status %x, said: %s\n", misuses[i].name, (unsigned)status, said);
        CHECK(is_good);
    }
}

int main(void)
{
    RUN(what_is_right_ends_quietly);
    RUN(each_misuse_aborts_and_says_where);
    return 0;
}
