/* tests/pkt/pkt_world.h - the stack under test with a clock of its own, and both ends of its wire.
 *
 * Purpose    Run one stack in virtual time: give it packets, keep what it sends until the script
 *            asks, remember what is needed to write sequence numbers as small numbers.
 * Shape      flow: one connection and its peer, named by a letter; 'a' if the script names none.
 *            relative numbers: the stack's own count from its SYN, the peer's from the peer's SYN.
 *            frames wait in the queue of their flow, with the time at which they left.
 * Owner      one struct pkt_world for a process, which runs one script
 * Threads    one
 * Trust      every frame is judged by pkt_judge() when it leaves, whatever the script expects
 * Errors     pkt_fail()
 * Invariants I1  time goes from deadline to deadline: a timer that deadline() forgets is late.
 *            I2  after every event ewi_net_check() is asked.
 *            I3  every reference given is counted; at the end of the script none is missing.
 * Ordering   single threaded
 * Source     transport/net/net.h; tests/pkt/README.md
 */
#ifndef TESTS_PKT_WORLD_H
#define TESTS_PKT_WORLD_H

#include "tests/pkt/pkt_wire.h"
#include "tests/pkt/pkt_words.h"
#include "transport/net/net.h"

#define PKT_LATE UINT64_C(1001024)         /* what a timer may be late: one tick and 1 ms */
#define PKT_START UINT64_C(100000000000)   /* the clock when the script begins */
#define PKT_MS UINT64_C(1000000)

enum {
    PKT_FLOWS = 26, PKT_LOG = 10, PKT_SENDS = 4096, PKT_TOKENS = 256, PKT_SYMBOLS = 32,
    PKT_LISTEN_PORT = 8080, PKT_LISTENER = 1000,
};

struct pkt_frame {
    struct pkt_frame *next;
    uint64_t at;
    uint32_t bytes;
    uint8_t data[]; /* exactly `bytes`, so that a sanitizer sees every byte too many */
};

struct pkt_send { /* memory that the stack may read until released */
    uint64_t from, end;
    uint8_t *data;
};

struct pkt_flow {
    char name;
    bool used, active;
    uint16_t stack_port, peer_port;
    uint16_t other_port; /* of the last `from`: what is sent to it belongs to the flow too */
    ewi_stream stream; /* 0: none yet */
    ewi_stream finished; /* the handle that finish() made stale */
    uint32_t events;   /* seen and not asked for */
    bool closed;

    bool has_stack_iss, has_peer_iss;
    uint32_t stack_iss, peer_iss, stack_iss_before;
    bool stack_syn, peer_syn; /* seen with these: */
    bool stack_times, peer_times;
    int stack_scale, peer_scale; /* -1: no such option */

    uint64_t sent, received; /* stream bytes that send took, that recv gave */
    bool stack_fin;          /* shutdown or finish was called */
    uint32_t stack_end;      /* behind the highest number the stack used, relative */
    uint32_t peer_end, peer_fin; /* the same of the peer; 0: no FIN */
    bool has_edge;
    uint32_t edge, ack;      /* what the stack advertised last, absolute */
    uint32_t last_time;      /* TSval */
    uint16_t window;         /* of what is injected, unless a line says it */

    struct pkt_frame *first, *last; /* left and not yet expected */
    struct pkt_frame *history;      /* expected, the latest first: to be quoted by ICMP */
    struct pkt_send sends[PKT_SENDS];
    int send_first, send_count;
    struct net_token tokens[PKT_TOKENS];
    int token_count;
};

struct pkt_symbol {
    char name[16];
    uint32_t value;
};

struct pkt_how {
    bool copies; /* packets are given without a reference */
    bool steps;  /* no segment goes the short way */
};

struct pkt_world {
    const char *file;
    int line, family;
    struct pkt_how how;
    struct net_config config;
    uint32_t mss;          /* of the port: its MTU without the two headers */
    void *memory;
    struct ewi_net *net;   /* NULL: not started */
    int port;
    struct stack_addr stack_address, peer_address;
    uint64_t now;
    uint32_t peer_iss;
    ewi_stream listener;
    uint32_t listener_events;
    struct pkt_flow flow[PKT_FLOWS];
    uint64_t refs_given, refs_back, refs_kept;
    struct pkt_symbol symbol[PKT_SYMBOLS];
    char log[PKT_LOG][256];
    unsigned logged;
    int icmp_out;          /* ICMP messages of the stack, counted only */
};

extern struct pkt_world pkt_world;
extern int *pkt_line_seen; /* the line that runs, for the parent of a process that dies */
extern bool pkt_trace;

static inline struct pkt_flow *pkt_flow(char name)
{
    return &pkt_world.flow[name - 'a'];
}

void pkt_world_begin(const char *file, int family, struct pkt_how how);
/* The first line that needs the stack starts it. */
void pkt_world_start(void);
void pkt_flow_use(struct pkt_flow *flow, bool active);
struct pkt_flow *pkt_flow_of(uint64_t user);
/* The same ports once more: sequence numbers begin anew, the peer's `above` the old end. */
void pkt_flow_again(struct pkt_flow *flow, int64_t above);

/* Everything that can happen now; then nothing is due. */
void pkt_pump(void);
/* Virtual time goes on to `until`; stops early when a frame waits and `until_frame`. */
void pkt_advance(uint64_t until, bool until_frame);
void pkt_inject(const uint8_t *bytes, uint32_t length);
/* Nothing of this flow, or of any, may wait for an expectation. */
void pkt_no_frames_of(const struct pkt_flow *flow, const char *because);
void pkt_no_frames(const char *because);
struct pkt_frame *pkt_frame_take(struct pkt_flow *flow);
void pkt_forget_frames(void);
void pkt_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The last lines of the script's wire, for a failure. */
void pkt_print_log(char *out, size_t room);

/* At the end: everything is given back. */
void pkt_world_end(void);

/* pkt_judge.c: what must be true of every segment that leaves. */
void pkt_judge(struct pkt_flow *flow, const struct pkt_packet *packet);

/* Memory for a send, and freeing what was released. */
const uint8_t *pkt_send_memory(struct pkt_flow *flow, uint32_t bytes);
void pkt_send_cut(struct pkt_flow *flow, uint32_t taken);
void pkt_released(struct pkt_flow *flow);
static inline unsigned pkt_side(const struct pkt_flow *flow, bool stack)
{
    return (unsigned)(flow->name - 'a') * 2 + stack;
}

#endif
