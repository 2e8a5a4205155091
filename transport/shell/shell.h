/* transport/shell/shell.h - our TCP/IP on one device, behind transport/stack.h.
 *
 * Purpose    Threads, clock, descriptors and memory around transport/net: who drives the stack, who sleeps
 *            on the device, whose stream an event is for.
 * Shape      guard     one lock. A drive under it is: packets in, what is due, events out, frames out.
 *            stream    a record for each connection and listener; its handle is slot and generation
 *            poll      the reactor's list of streams with events; level, as epoll's
 *            sleeping  a thread on its stream's descriptor, the reactor on wait_fd; one of them, the
 *                      watcher, has the device's descriptor in its set
 *            reopen    a device that is lost for good gives way to another, opened from the same text
 * Owner      one mapping: this struct, the streams, the chunks, the stack's block
 * Threads    send and recv_into try the guard for GUARD_TRIES and then say -EAGAIN: whoever has it drives
 *            for all. Everything else waits for it; it is held for SHELL_ROUNDS bursts at most.
 * Trust      see transport/net/net.h
 * Errors     negative errno; -ENETDOWN: the device has no carrier
 * Invariants I1  who goes to sleep has looked under the guard, and is signalled by whoever drives after.
 *            I2  an application that leaves is covered by the reactor's tick of SHELL_TICK_NS; without drives
 *                there is no tick. The reactor is whoever polled last: it arms before it sleeps.
 *            I3  every drive ends with ACKs and frames on their way.
 * Ordering   the guard; wants_room is a hint, looked at under the guard before any sleep (I1);
 *            kick.h's N1 and N2
 * Source     design, section 6; reference/stack-interface.md, section 3; docs/adr/0019-shell.md
 */
#ifndef EWI_TRANSPORT_SHELL_SHELL_H
#define EWI_TRANSPORT_SHELL_SHELL_H

#include <pthread.h>
#include <stdatomic.h>

#include "shm/lock.h"
#include "transport/shell/capture.h"
#include "transport/shell/chunks.h"
#include "transport/shell/device.h"
#include "transport/shell/kick.h"
#include "transport/shell/settings.h"

enum {
    SHELL_FRAMES = 32, /* kept armed */
    SHELL_TICK_NS = 1000 * 1000,
    SHELL_LOOK_NS = 250 * 1000 * 1000,   /* at the carrier, while something happens */
    SHELL_SLEEP_LOOK_NS = 1000 * 1000 * 1000, /* ... and while nothing does: a look costs 0.2 ms of CPU */
    SHELL_DOWN_NS = 50 * 1000 * 1000,    /* a carrier that is away for so long is lost */
    SHELL_MEET_NS = 2000 * 1000 * 1000,  /* ... and so long if it was never there */
    SHELL_RETRY_NS = 20 * 1000,          /* a device that is full is tried again */
    SHELL_STUCK_NS = 200 * 1000 * 1000,  /* ... and what it did not take for so long is lost */
    SHELL_ROUNDS = 4,                    /* bursts in one drive */
    SHELL_DRAWS = 4096,                  /* of ports, until none is free */
    SHELL_NOBODY = 0,
};

enum shell_kind { SHELL_FREE, SHELL_CONNECTION, SHELL_LISTENER };

struct shell_stream {
    uint32_t generation; /* 1 .. */
    uint32_t next_free;
    uint32_t next_event; /* slot + 1 */
    uint32_t pending;    /* events that poll reports once */
    uint64_t user;
    ewi_stream inner;    /* of struct ewi_net; 0: it is over there */
    uint64_t accepted;   /* bytes, since open */
    uint64_t since_ns;   /* when it was claimed */
    struct chunk_queue out;
    int bell_fd, sleep_fd; /* an eventfd and the set that it lies in; -1: nobody asked */
    struct stack_addr local;  /* of a listener, or of who waits for an address */
    struct stack_addr remote; /* of the latter */
    uint32_t next_waiting;    /* slot + 1 */
    int error;             /* ours; 0: ask the stack */
    uint8_t kind;          /* enum shell_kind */
    uint8_t watch;         /* READABLE, WRITABLE: for poll */
    bool aside, listed, finished;
    bool told_failed;      /* poll has said so */
    bool is_waiting;       /* its connection is not begun yet: waiting.c */
    bool is_broken;        /* not even what has arrived is read any more */
    bool sleeping;         /* signal it */
    bool signalled;        /* the bell is readable */
    uintptr_t sleeper;     /* the thread that armed last; 0: it has been back */
    /* The thread whose send was refused, and whether another was told that there is room. Last: claim */
    _Atomic uintptr_t wants_room;
};

struct shell_counts {
    uint64_t drives, ticks, covers, signals, arms, downs, frames_lost, reopens;
};

struct ewi_stack {
    struct lock guard;
    _Atomic uint64_t tries_lost; /* beside the guard */
    struct shell_settings settings;
    struct shell_counts counts;
    const char *name; /* of the kind of device, whether it is shared or not */
    const struct device_ops *ops; /* of device; between two devices, of none: reopen.c */
    struct device *device;
    struct device_facts facts;
    const struct device_ops *opener; /* has open; NULL: the device is a share of another */
    uint64_t device_seed;
    uint32_t packets_kept; /* of the device's, by the net */
    bool is_reopening;
    struct ewi_net *net;
    size_t bytes; /* of the mapping */
    uint64_t silence_ns;
    uint8_t port_key[16];  /* of ports that shards.c draws */
    uint64_t ports_drawn;
    uint64_t deadline; /* of the net, after the last drive */
    uint64_t latest;   /* of all times that the net was told */
    int port;
    struct net_frame frames[SHELL_FRAMES];
    uint32_t frames_armed, frames_left; /* filled, and not taken by the device */
    uint64_t frames_since;
    struct chunks chunks;
    struct capture capture;

    struct shell_stream *stream;
    uint32_t streams_max, streams_used, streams_open;
    uint32_t first_free;              /* slot + 1 */
    uint32_t first_event, last_event; /* slot + 1 */
    uint32_t first_waiting;           /* slot + 1 */

    int wait_fd, timer_fd;
    struct kick kick;
    int home_fd;          /* the set that has the device's descriptor; -1: none */
    uint64_t timer_at;    /* NET_NEVER: it is not set */
    uint64_t carrier_at;  /* when to look at the carrier */
    uint64_t away_since;  /* it was away then; 0: it is there */
    uint64_t patient_until; /* a new device may need a moment until both ends have met */
    uint32_t watcher;     /* slot + 1 of the thread that watches the device */
    bool is_armed, is_driven, is_down;
    uintptr_t reactor;    /* who polled last: its own calls need no tick, for it arms before it sleeps */
    bool is_short;        /* somebody was refused for want of a chunk */
};

int ewi_shell_open(const struct device_ops *ops, const struct stack_options *options,
                   struct ewi_stack **out);
/* One device, and 1 .. STEER_SHARDS_MAX stacks with the same addresses: out[0 .. shards - 1]. Each is one
 * thread's, and closed by itself. Every one listens where one does; each looks for others who have its
 * addresses; only the first that is open answers for them. */
int ewi_shell_open_shards(const struct device_ops *ops, const struct stack_options *options,
                          uint32_t shards, struct ewi_stack **out);
/* All of a stack but open: the plug-in adds that with its device. */
extern const struct stack_ops ewi_shell_ops;

void ewi_shell_close(struct ewi_stack *stack);
int ewi_shell_info(struct ewi_stack *stack, struct stack_info *out);
void ewi_shell_forked(struct ewi_stack *stack);

/* ---- parts ---- */

/* shards.c: a dynamic port; nobody outside can tell the next one (RFC 6056 section 3.3.1). */
uint16_t ewi_shell_draw_port(struct ewi_stack *stack);
/* A connection whose packets come to this stack. -EADDRNOTAVAIL: not with this port, or no port. */
int ewi_shell_begin(struct ewi_stack *stack, struct shell_stream *stream,
                    const struct stack_addr *local, const struct stack_addr *remote, uint64_t now);
/* What the settings say of the device. */
struct device_options ewi_shell_device_options(const struct shell_settings *settings, uint64_t seed,
                                               char *reason);
/* A sentence in reason, STACK_REASON_BYTES; returns code. */
__attribute__((format(printf, 3, 4))) int ewi_shell_refuse(char *reason, int code,
                                                           const char *format, ...);
/* reopen.c */
int ewi_shell_reopen(struct ewi_stack *stack, char *reason);
/* waiting.c: is an address of ours still looked for elsewhere? */
bool ewi_shell_is_settling(const struct ewi_stack *stack);
/* The number, from 1, of an address that somebody else has; 0: none. */
uint32_t ewi_shell_lost_address(const struct ewi_stack *stack);
void ewi_shell_wait(struct ewi_stack *stack, struct shell_stream *stream,
                    const struct stack_addr *local, const struct stack_addr *remote);
void ewi_shell_forget_waiting(struct ewi_stack *stack, struct shell_stream *stream);
/* Those who wait, once that is known. True: some were started. */
bool ewi_shell_start_waiting(struct ewi_stack *stack, uint64_t now);

enum { SHELL_OTHER_TOLD = 1 }; /* of wants_room */

/* Another number for each thread that lives, with a low bit to spare. */
static inline uintptr_t ewi_shell_self(void)
{
    return (uintptr_t)pthread_self();
}
/* Any thread: its send was refused. */
static inline void ewi_shell_want_room(struct shell_stream *stream)
{
    atomic_store_explicit(&stream->wants_room, ewi_shell_self(), memory_order_relaxed); /* a hint */
}

static inline void ewi_shell_enter(struct ewi_stack *stack)
{
    ewi_lock_enter(&stack->guard);
}
/* True: it is ours. */
bool ewi_shell_try(struct ewi_stack *stack);
/* As an application: what is to be sent goes, and the reactor covers from now on. */
void ewi_shell_leave(struct ewi_stack *stack, uint64_t now);
/* As an application, in between. */
bool ewi_shell_turn(struct ewi_stack *stack, uint64_t now);

/* NULL: stale. */
struct shell_stream *ewi_shell_find(struct ewi_stack *stack, ewi_stream handle);
ewi_stream ewi_shell_handle(const struct ewi_stack *stack, const struct shell_stream *stream);
struct shell_stream *ewi_shell_claim(struct ewi_stack *stack, enum shell_kind kind, uint64_t user);
void ewi_shell_free(struct ewi_stack *stack, struct shell_stream *stream);
/* Levels now. */
uint32_t ewi_shell_levels(struct ewi_stack *stack, struct shell_stream *stream);
/* What poll has to say of it. */
uint32_t ewi_shell_news(struct ewi_stack *stack, struct shell_stream *stream);
/* poll looks at it. */
void ewi_shell_list(struct ewi_stack *stack, struct shell_stream *stream);
/* It may have something for poll, or for who sleeps on it. */
void ewi_shell_tell(struct ewi_stack *stack, struct shell_stream *stream, uint32_t once);

/* True: something arrived or was due. */
bool ewi_shell_drive(struct ewi_stack *stack, uint64_t now);
void ewi_shell_flush(struct ewi_stack *stack, uint64_t now);
/* Calls may have left something to send, and another deadline. */
void ewi_shell_settle(struct ewi_stack *stack, uint64_t now);

/* sleep.c */
int ewi_shell_sleep_open(struct ewi_stack *stack);
/* Nobody sleeps on the device any more; it is about to go. */
void ewi_shell_sleep_detach(struct ewi_stack *stack);
void ewi_shell_sleep_close(struct ewi_stack *stack);
/* Somebody drives: the device need not wake anybody for a while. */
void ewi_shell_awake(struct ewi_stack *stack);
/* If it sleeps, and has something to wake for. */
void ewi_shell_rouse(struct ewi_stack *stack, struct shell_stream *stream);
void ewi_shell_signal(struct ewi_stack *stack, struct shell_stream *stream);
/* This thread is awake. Another that sleeps on the stream is left alone. */
void ewi_shell_hush(struct ewi_stack *stack, struct shell_stream *stream);
/* Not later than at `at`, the reactor is to look. */
void ewi_shell_timer(struct ewi_stack *stack, uint64_t at);
void ewi_shell_close_fds(struct ewi_stack *stack, struct shell_stream *stream);
int ewi_shell_stream_fd(struct ewi_stack *stack, ewi_stream handle);
int ewi_shell_stream_arm(struct ewi_stack *stack, ewi_stream handle, uint64_t now);
int ewi_shell_poll(struct ewi_stack *stack, uint64_t now, struct stack_event *events, uint32_t count,
                   uint64_t *deadline);
int ewi_shell_arm(struct ewi_stack *stack, uint64_t now);
void ewi_shell_disarm(struct ewi_stack *stack);
void ewi_shell_kick(struct ewi_stack *stack);

#endif
