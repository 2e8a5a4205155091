/* tests/sim/net_apps.h - applications that know each byte they write and read.
 *
 * Purpose    Use streams as users do, in all the ways there are, and notice at once when a byte is
 *            lost, repeated, out of order, read after it was released or made up.
 * Shape      app    one end of a connection: writes plan.bytes bytes, says FIN, reads until FIN,
 *                   finishes. Its peer is another app.
 *            ring   the memory that spans point to: bytes are made when they are sent, and
 *                   overwritten as soon as `released` passes them
 *            Byte p of a direction is byte p of the pattern of its seed.
 * Owner      apps are malloc'ed; apps_clear() frees them
 * Threads    one
 * Trust      the stacks are under test
 * Errors     SIM_CHECK fails
 * Invariants I1  an app only acts when an event or its own clock wakes it: a lost event stops it.
 *            I2  behind finish() nothing but CLOSED comes, once; tokens outlive it.
 * Ordering   none
 * Source     transport/net/net.h, transport/stack.h
 */
#ifndef TESTS_SIM_NET_APPS_H
#define TESTS_SIM_NET_APPS_H

#include <errno.h>
#include "tests/sim/net_loop.h"

enum { APPS_MAX = 4096, APP_SCRATCH = 1 << 16, APP_HELD = 32, APP_SPANS = 8 };

#define USER_LISTENER (UINT64_C(1) << 40)
#define USER_ACCEPTED (UINT64_C(1) << 41)
#define USER_CLIENT   (UINT64_C(1) << 42)

struct app_plan {
    uint64_t bytes;      /* that it writes */
    uint32_t ring;       /* 0: 64 KiB */
    uint32_t span;       /* the longest send; 0: 16 KiB */
    uint32_t read;       /* the most that it reads at once; 0: all */
    uint64_t read_every; /* time between reads */
    uint64_t read_from;  /* reads nothing before, counted from its opening */
    uint64_t write_from, write_every;
    uint32_t hold;       /* reads by tokens and keeps up to so many; 0: recv_into */
    uint64_t hold_ns;
    uint32_t ask, answer; /* the client's next `ask` bytes leave behind `answer` of the server */
    uint64_t abort_at;   /* resets when it has read or written so much; 0: never */
    bool may_fail;
    bool lingers;        /* finishes only when all it wrote is released */
    bool late_close;     /* says FIN only behind the peer's */
};

enum app_state { APP_WAITS, APP_OPENS, APP_OPEN, APP_FINISHED, APP_CLOSED };

struct app_held {
    struct net_token token;
    uint64_t at; /* its place in the stream */
};

struct app {
    int index, node;
    bool is_client;
    struct app *peer;
    struct app_plan plan;
    enum app_state state;
    ewi_stream stream;
    uint64_t user;
    struct stack_addr local, remote;
    int error;
    /* writes */
    uint64_t seed, accepted, released;
    uint8_t *ring;
    bool shut, aborted;
    /* reads */
    uint64_t got, read_at, write_at;
    bool fin;
    uint64_t wake_at; /* the clock that is set */
    struct app_held held[APP_HELD];
    uint32_t held_count;
    uint64_t opened_at, fin_at, closed_at;
    struct net_tcp_info last; /* before it finished */
};

extern struct apps {
    struct app *all[APPS_MAX];
    int count, left; /* left: not CLOSED yet */
    int accepted[APPS_MAX]; /* by number of accept: app, or -1 */
    int accepts;
    struct {
        int node;
        ewi_stream stream;
    } listener[SIM_NODES_MAX * 4];
    int listeners;
    uint64_t strangers; /* accepted, but nobody knows them */
    uint64_t failures;
    uint8_t *scratch;
    void (*on_closed)(struct app *app);
} apps;

struct ewi_net *net_of(const struct app *app);
void app_about(const struct app *app, const char *what);

#define APP_CHECK(app, condition, what)                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            app_about(app, what);                                                                  \
            harness_fail(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

/* May its calls fail now, though it was not told yet? */
bool may_fail(const struct app *app);
void app_wake(int index); /* net_users.c */

/* ---- writing ---- */

void ring_check(const struct app *app, uint64_t from, uint64_t to);
void app_write(struct app *app);

/* ---- reading ---- */

void app_release(struct app *app, uint32_t i);
void app_read(struct app *app);

#endif
