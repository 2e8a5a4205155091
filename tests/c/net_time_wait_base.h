/* tests/c/net_time_wait_base.h - a table of connections in TIME-WAIT, and what arrives for them.
 *
 * Purpose    Shared by test_net_time_wait.c and test_net_time_wait_segment.c.
 * Shape      connection n is (10.0.0.1, 80) to (10.0.(n >> 16).2, n); its FINs were 4999 and 8999.
 * Owner      file-scope variables: one program, one table
 * Threads    one
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants none
 * Ordering   none
 * Source     transport/net/time_wait.h
 */
#ifndef TESTS_C_NET_TIME_WAIT_BASE_H
#define TESTS_C_NET_TIME_WAIT_BASE_H

#include "tests/c/harness.h"
#include "transport/net/random.h"
#include "transport/net/seq.h"
#include "transport/net/time_wait.h"
#include "transport/net/wheel.h"

enum { CAPACITY = 256 };

#define SECOND  UINT64_C(1000000000)
#define TWO_MSL (60 * SECOND)
#define TICK    (UINT64_C(1) << NET_TIME_WAIT_TICK_BITS)
#define START   (1000 * SECOND)

static const uint8_t key[16] = {1, 2, 3};
static _Alignas(NET_ALIGN) uint8_t memory[1 << 15];
static struct net_time_waits waits;
static uint64_t now;

static inline void start_with(uint32_t capacity, uint64_t at)
{
    CHECK(ewi_net_time_waits_bytes(capacity) <= sizeof(memory));
    memset(memory, 0xa5, sizeof(memory)); /* init must not rely on zeros */
    ewi_net_time_waits_init(&waits, memory, capacity, TWO_MSL);
    now = at;
}

static inline void start(void)
{
    start_with(CAPACITY, START);
}

/* A connection whose FINs were 4999 (ours) and 8999 (the peer's). */
static inline struct net_time_wait values_of(uint32_t n)
{
    return (struct net_time_wait){
        .tuple = {.local = {10, 0, 0, 1}, .remote = {10, 0, (uint8_t)(n >> 16), 2},
                  .local_port = 80, .remote_port = (uint16_t)n, .family = 4},
        .snd_nxt = 5000, .rcv_nxt = 9000, .ts_recent = 700, .ts_offset = 123456 + n, .window = 501,
        .has_times = 1, .traffic_class = 8, .hop_limit = 64,
    };
}

static inline uint64_t hash_of(uint32_t n)
{
    struct net_time_wait values = values_of(n);

    return ewi_net_tuple_hash(key, &values.tuple);
}

static inline uint32_t find(uint32_t n)
{
    struct net_time_wait values = values_of(n);

    return ewi_net_time_wait_find(&waits, hash_of(n), &values.tuple);
}

static inline int add(uint32_t n)
{
    struct net_time_wait values = values_of(n);

    return ewi_net_time_wait_add(&waits, hash_of(n), &values, now);
}

static inline uint32_t expire_all(void)
{
    return ewi_net_time_wait_expire(&waits, now, UINT32_MAX);
}

/* What the peer's last ACK looked like. */
static inline struct net_tcp last_ack(void)
{
    return (struct net_tcp){.source_port = 7, .destination_port = 80, .sequence = 9000,
                            .acknowledgment = 5000, .window = 1000, .flags = NET_TCP_ACK,
                            .has = NET_TCP_HAS_TIMES, .time = 700, .time_echo = 1};
}

static inline struct net_tcp fin_again(void)
{
    struct net_tcp segment = last_ack();

    segment.sequence = 8999;
    segment.flags = NET_TCP_FIN | NET_TCP_ACK;
    return segment;
}

static uint32_t least;

static inline enum net_time_wait_verdict give_at(uint32_t n, const struct net_tcp *segment,
                                                 uint32_t payload)
{
    least = 0xa5a5a5a5;
    return ewi_net_time_wait_segment(&waits, find(n), segment, payload, now, &least);
}

#endif
