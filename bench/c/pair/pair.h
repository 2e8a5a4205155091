/* bench/c/pair/pair.h - the pair program in C: two processes that do one work on request.
 *
 * Purpose    bench/compare/pair/__init__.py, whose protocol this is, for what is used from C: the
 *            same works for every system, so that only the system differs.
 * Shape      main.c: options and protocol. guard.c: meeting, ending. works.c: the loops. A struct
 *            pair_system says how one side of a system's links sends and receives; there is a file
 *            for each kind: limits.c, fds.c (sockets and pipes), mq.c, channels.c (Eastwest).
 * Owner      the one struct pair of each process; systems keep theirs behind `ends`
 * Threads    one in each process, and what a system brings along
 * Trust      none: measures only our own processes
 * Errors     pair_fail and DUO_CHECK print a line and end the process; the other one ends with it
 *            (SIGCHLD, PR_SET_PDEATHSIG). pair_refuse: wrong arguments, status 2.
 * Invariants I1  nobody is left behind, and nobody waits or spins for ever: a timer ends a process
 *                that made no progress for PAIR_STUCK_S, and every one after PAIR_LIFE_S.
 *            I2  whoever waits for the other process between two works sleeps.
 * Ordering   pair_meet is a release/acquire barrier.
 * Source     bench/compare/pair/__init__.py
 */
#ifndef BENCH_C_PAIR_PAIR_H
#define BENCH_C_PAIR_PAIR_H

#include <inttypes.h>

#include "bench/c/duo.h"

enum {
    PAIR_LIFE_S = 3600,
    PAIR_TICK_S = 10,
    PAIR_STUCK_S = 2 * PAIR_TICK_S, /* to three ticks */
    PAIR_WHY_BYTES = 256,
    PAIR_OPTIONS_MAX = 24,
    PAIR_LINKS_MAX = 1 << 16,
    PAIR_SAMPLES_MAX = 1 << 22,
    PAIR_ANSWER_AT_ONCE = 16 << 10, /* bytes: a longer answer need not fit into a link's buffer; a
                                       server that gave it while the client still sends on other
                                       links would wait for the client, and that for the server */
};

enum pair_wait { PAIR_ADAPTIVE, PAIR_SPIN, PAIR_BLOCK, PAIR_EPOLL, PAIR_WAITS };
enum pair_work { PAIR_TRIP, PAIR_PACED, PAIR_FAN, PAIR_FLOW, PAIR_WINDOW, PAIR_END };

struct pair_order { /* what to do next */
    enum pair_work work;
    size_t bytes;
    double seconds;
    double rate;        /* of paced */
    uint64_t in_flight; /* of window */
};

struct pair_spent {
    uint64_t cpu_ns, switches;
};

struct pair_done { /* what a work took; whole in the client only */
    uint64_t count, ns;
    struct pair_spent spent;
};

struct pair_come { /* how often one of them came to pair_meet; a futex */
    alignas(EWI_CACHE_LINE) _Atomic uint32_t value;
};

struct pair_shared {
    struct pair_come come[2]; /* client, server */
    struct pair_order order; /* the next one */
    struct pair_spent spent; /* by the server */
    uint64_t count;          /* of the work, or of the next trial; the client's word */
    bool is_counted;         /* no more trials */
    char why[2][PAIR_WHY_BYTES];
};

struct pair_option {
    const char *name, *value;
};

struct pair;

struct pair_system {
    const char *name;
    const char *options; /* its own, each between two spaces; "fabric_*" */
    uint32_t waits;      /* 1 << enum pair_wait */
    uint32_t works;      /* 1 << enum pair_work */
    const char *(*version)(void);
    /* Before the fork, may be NULL: what both inherit. */
    void (*create)(struct pair *pair);
    /* After it, both sides at once. Returns NULL, or why the system cannot be had here. */
    const char *(*open)(struct pair *pair);
    /* Both sides at once: be ready for messages of this size. NULL, or, both sides, why not. */
    const char *(*prepare)(struct pair *pair, size_t bytes);
    /* The same, for as many answers of this size as order.in_flight: have room for them, though the
     * client sends before it takes them. NULL: there may be none, and so no window. */
    const char *(*hold)(struct pair *pair, size_t bytes);
    /* One message, waited for as `wait` says. */
    void (*send)(struct pair *pair, uint32_t link, const uint8_t *data, size_t bytes);
    void (*recv)(struct pair *pair, uint32_t link, uint8_t *data, size_t bytes);
    /* One message of each link, in the order in which they come, answered at once if so asked.
     * NULL: one link after the other, which is as good for who spins. */
    void (*recv_each)(struct pair *pair, size_t bytes, bool is_answered);
    void (*close)(struct pair *pair);
};

struct pair {
    struct duo duo; /* is_peer: the server */
    struct pair_shared *shared;
    struct pair_order order;
    const struct pair_system *system;
    enum pair_wait wait;
    uint32_t links;
    struct pair_option option[PAIR_OPTIONS_MAX];
    int options;
    void *ends;               /* the system's */
    char detail[128];         /* the system's, for the reader of a report */
    const char *fix;          /* what would help, if it cannot be had */
    uint8_t *source, *sink;   /* a message to send, room for one; `room` bytes each */
    size_t room;
    uint64_t *ticks;          /* samples, of the client */
    size_t samples;
    uint32_t meetings;
    volatile uint64_t progress; /* messages; what the timer looks at */
};

extern const struct pair_system pair_line, pair_memcpy, pair_memcpy2;
extern const struct pair_system pair_unix_stream, pair_unix_seqpacket, pair_pipe, pair_tcp;
extern const struct pair_system pair_posix_mq;
extern const struct pair_system pair_eastwest_shm, pair_eastwest_tcp, pair_eastwest_dpdk;

/* One line on stderr, then the end: status 2 for what was asked wrongly, 1 for what went wrong. */
_Noreturn void pair_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void pair_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The value of an option; `otherwise` if it was not given. */
const char *pair_option(const struct pair *pair, const char *name, const char *otherwise);
/* A whole number in these bounds, or pair_refuse. */
unsigned long pair_number(const char *what, const char *text, unsigned long least,
                          unsigned long most);
/* Both sides come here before either goes on; who comes first spins a moment, then sleeps. */
void pair_meet(struct pair *pair);
/* Both come to the same: NULL, or what was wrong at either side ("": nothing). */
const char *pair_agree(struct pair *pair, const char *why);
/* After the fork: begin to look after this process. Then name what it does, NULL for nothing; what
 * has a name must make progress. */
void pair_guard(const struct pair *pair);
void pair_watch(const struct pair *pair, const char *what);
/* Formatted into a buffer of the process; valid until the next call. */
const char *pair_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "Linux 6.1.0": the version of what the kernel does. */
const char *pair_kernel(void);

/* works.c: both sides do the work of pair->order. Returns NULL, or why it cannot be done. */
const char *pair_do(struct pair *pair, struct pair_done *done);

#endif
