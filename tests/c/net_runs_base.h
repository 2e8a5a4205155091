/* tests/c/net_runs_base.h - a sender's runs, with the verbs that a trace is written in.
 *
 * Purpose    Write the traces of the RFCs as they are printed: segments of 500 or 1000 bytes.
 * Shape      struct sender: a pool and one connection. Positions in verbs are relative to START, which
 *            lies below a wrap of the sequence number.
 * Owner      the test's stack
 * Threads    none
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants I1  ewi_net_runs_check holds after each verb.
 * Ordering   none
 * Source     RFC 2018, RFC 2883, RFC 8985
 */
#ifndef TESTS_C_NET_RUNS_BASE_H
#define TESTS_C_NET_RUNS_BASE_H

#include "tests/c/harness.h"
#include "transport/net/rack.h"
#include "transport/net/run_list.h"

#define START (3 * NET_SEQ_FIRST - 5200)
#define MS UINT64_C(1000000)

enum { SENDER_RUNS = 64 };

struct sender {
    struct net_run memory[SENDER_RUNS + 1];
    struct net_run_pool pool;
    struct net_runs runs;
    uint64_t now_ns;
    uint16_t mss;
    uint64_t sent_by_ns, min_rtt_ns; /* for the next ACKs */
    struct net_acked acked;
};

static inline void sender_init(struct sender *s, uint32_t runs_all, uint32_t runs_each_max)
{
    memset(s, 0x5a, sizeof(*s));
    s->now_ns = 1000 * MS;
    s->mss = 1000;
    s->sent_by_ns = UINT64_MAX;
    s->min_rtt_ns = 0;
    CHECK(runs_all <= SENDER_RUNS);
    CHECK(ewi_net_run_pool_bytes(runs_all) <= sizeof(s->memory));
    ewi_net_run_pool_init(&s->pool, s->memory, runs_all, runs_each_max);
    ewi_net_runs_init(&s->runs, START);
}

static inline void sound(const struct sender *s)
{
    CHECK_EQ(ewi_net_runs_check(&s->pool, &s->runs), 0);
}

static inline int try_send(struct sender *s, uint32_t bytes)
{
    int code = ewi_net_runs_sent(&s->pool, &s->runs,
                                 &(struct net_sent){.now_ns = s->now_ns,
                                                    .bytes = bytes,
                                                    .segment_bytes = s->mss});
    sound(s);
    return code;
}

static inline void departs(struct sender *s, uint32_t bytes)
{
    CHECK_EQ(try_send(s, bytes), EW_OK);
}

static inline void departs_again(struct sender *s, uint32_t from, uint32_t bytes)
{
    ewi_net_runs_resent(&s->pool, &s->runs, START + from,
                        &(struct net_sent){.now_ns = s->now_ns,
                                           .bytes = bytes,
                                           .segment_bytes = s->mss,
                                           .flags = NET_RUN_RECOVERY});
    sound(s);
}

/* An ACK with up to four blocks, left and right in turn; a block with left == right ends them. */
static inline int arrives(struct sender *s, uint32_t position, const uint32_t blocks[8])
{
    struct net_sack sacks[NET_SACKS_MAX];
    struct net_ack ack = {.position = START + position,
                          .now_ns = s->now_ns,
                          .min_rtt_ns = s->min_rtt_ns,
                          .sent_by_ns = s->sent_by_ns,
                          .sacks = sacks};
    int code;

    for (uint32_t i = 0; blocks != NULL && i < NET_SACKS_MAX; i++) {
        if (blocks[2 * i] == blocks[2 * i + 1])
            break;
        sacks[i].left = ewi_net_seq_wrap(START + blocks[2 * i]);
        sacks[i].right = ewi_net_seq_wrap(START + blocks[2 * i + 1]);
        ack.sacks_count = i + 1;
    }
    code = ewi_net_runs_ack(&s->pool, &s->runs, &ack, &s->acked);
    sound(s);
    return code;
}

#define ARRIVES(s, position, ...)                                                                  \
    CHECK_EQ(arrives((s), (position), (const uint32_t[8]){__VA_ARGS__}), EW_OK)

/* What state the runs have, as text: "lost 0+1000, sacked 1000+500". For a trace's expectations. */
static inline const char *shown(const struct sender *s)
{
    static char text[1024];
    int at = 0;

    text[0] = '\0';
    for (uint32_t i = s->runs.head; i != 0; i = s->pool.run[i].next) {
        const struct net_run *run = &s->pool.run[i];
        const char *state = run->flags & NET_RUN_SACKED   ? "sacked"
                            : run->flags & NET_RUN_LOST   ? "lost"
                            : run->flags & NET_RUN_RESENT ? "again"
                                                          : "sent";

        at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%s %u+%u", at > 0 ? ", " : "",
                       state, (unsigned)(run->from - START), run->bytes);
    }
    return text;
}

#define SHOWS(s, want)                                                                             \
    do {                                                                                           \
        if (strcmp(shown(s), (want)) != 0)                                                         \
            fprintf(stderr, "    have \"%s\"\n    want \"%s\"\n", shown(s), (want));               \
        CHECK(strcmp(shown(s), (want)) == 0);                                                      \
    } while (0)

#endif
