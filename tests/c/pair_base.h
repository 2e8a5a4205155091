/* tests/c/pair_base.h - two contexts of one process, a listener and a channel between them.
 *
 * Purpose    What the tests under threads begin with, over shared memory or TCP.
 * Shape      struct pair: end[0] was opened by `client`, end[1] accepted by `server`.
 * Owner      the test; whatever it has freed itself it sets to NULL
 * Threads    set up by one thread; the handles in it from any
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants I1  a context whose channels and listeners are freed holds no memory.
 * Ordering   none
 * Source     bindings/c/eastwest.h
 */
#ifndef TESTS_C_PAIR_BASE_H
#define TESTS_C_PAIR_BASE_H

#include "bindings/c/eastwest.h"
#include "tests/c/harness.h"

#define MS INT64_C(1000000)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { IS_SLOW = 1 };
#else
enum { IS_SLOW = 0 };
#endif

enum { STUCK_S = 110, SECOND_MS = 1000, PATIENCE_MS = 20 * SECOND_MS };

static uint64_t the_seed;
static char directory[64]; /* in $TMPDIR: whoever expects the test to fail cleans up behind it */

struct pair {
    ew_context *server, *client;
    ew_listener *listener;
    ew_channel *end[2]; /* 0 opened, 1 accepted */
    ew_connect_options connect;
    ew_listener_info info;
};

static inline void open_listener(struct pair *pair, bool tcp)
{
    const ew_listen_options listen = {.service = "storm",
                                      .runtime_dir = directory,
                                      .bind = tcp ? "tcp://127.0.0.1:0" : NULL};

    CHECK_EQ(ew_listen(pair->server, &listen, &pair->listener), EW_OK);
    CHECK_EQ(ew_listener_get_info(pair->listener, &pair->info), EW_OK);
    pair->connect = (ew_connect_options){.service = "storm",
                                         .address = tcp ? pair->info.tcp_address
                                                        : pair->info.local_address,
                                         .timeout_ns = 20000 * MS};
}

/* Contexts and listener, no channel yet. */
static inline void open_contexts(struct pair *pair, bool tcp)
{
    const ew_context_options options = {.grace_ns = -1}; /* a lost stream ends its channel at once */

    *pair = (struct pair){0};
    CHECK_EQ(ew_context_open(&options, &pair->server), EW_OK);
    CHECK_EQ(ew_context_open(&options, &pair->client), EW_OK);
    open_listener(pair, tcp);
}

static inline void open_pair(struct pair *pair, bool tcp)
{
    open_contexts(pair, tcp);
    CHECK_EQ(ew_connect(pair->client, &pair->connect, &pair->end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair->listener, 20000 * MS, NULL, &pair->end[1]), EW_OK);
}

static inline void check_empty(ew_context *context)
{
    ew_context_stats stats;

    CHECK_EQ(ew_context_get_stats(context, &stats), EW_OK);
    CHECK_EQ(stats.memory_bytes, 0);
    CHECK_EQ(stats.channels, 0);
}

/* A channel over shared memory that may move to TCP, and back. grace_ns: -1, none. */
static inline struct pair open_both(int64_t grace_ns)
{
    const ew_context_options options = {.grace_ns = grace_ns};
    struct pair pair = {0};

    CHECK_EQ(ew_context_open(&options, &pair.server), EW_OK);
    CHECK_EQ(ew_context_open(&options, &pair.client), EW_OK);
    open_listener(&pair, true);
    pair.connect.address = pair.info.local_address;
    CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, PATIENCE_MS * MS, NULL, &pair.end[1]), EW_OK);
    return pair;
}

static inline void close_both(struct pair *pair)
{
    ew_channel_free(pair->end[0]);
    ew_channel_free(pair->end[1]);
    ew_listener_free(pair->listener);
    check_empty(pair->server);
    check_empty(pair->client);
    ew_context_close(pair->server);
    ew_context_close(pair->client);
}

static inline void begin_stress(int argc, char **argv)
{
    const char *parent = getenv("TMPDIR");

    the_seed = harness_seed(argc, argv);
    snprintf(directory, sizeof(directory), "%s/ew-test-XXXXXX", parent != NULL ? parent : "/tmp");
    alarm(STUCK_S); /* a lost wake-up ends here */
    CHECK(mkdtemp(directory) != NULL);
}

/* A claim is a function of `tcp`; this makes one test for each path. */
#define BOTH(claim)                                                                                \
    static void over_shm_##claim(void) { claim(false); }                                           \
    static void over_tcp_##claim(void) { claim(true); }

#endif
