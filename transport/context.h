/* transport/context.h - configuration, budgets and lists that channels and listeners share.
 *
 * Purpose    One place for what a program configures once; independent contexts share nothing but
 *            the process's reactor.
 * Shape      fixed at open, except counters, lists and the streams of the stacks
 * Owner      counted: the caller's handle, every channel and every listener hold one share
 * Threads    any; lists under `lock`. Lock order: reactor, then context.
 * Trust      allow lists decide who may connect locally; uids come from the kernel
 * Errors     EW_EINVAL with the argument's name, value and limit
 * Invariants I1  after the last share is given back nothing of the context is left.
 * Ordering   Q1 relaxed load of forked: it is stored in the child before any other code runs there.
 * Source     docs/adr/0008-two-globals.md
 */
#ifndef EWI_TRANSPORT_CONTEXT_H
#define EWI_TRANSPORT_CONTEXT_H

#include <stdatomic.h>

#include "shm/lock.h"
#include "shm/region.h"
#include "transport/context_stack.h"
#include "transport/reactor.h"
#include "transport/stream/burst.h"
#include "transport/stream/cover.h"
#include "transport/stream/silence.h"
#include "transport/tombs.h"
#include "transport/wire.h"

enum {
    CONTEXT_ALLOW_MAX = 64,
    CONTEXT_UIDS_MAX = 64, /* distinct foreign uids with a memory account */
    HALF_OPEN_MAX = 256,
    HALF_OPEN_PER_UID_MAX = 64,
};

#define STRANGER_UID UINT32_MAX /* guests over a stream */

struct control_socket; /* transport/control/control.h */
struct fabric;         /* transport/fabric.h */

enum context_stack_index { CONTEXT_KERNEL = 0, CONTEXT_FABRIC = 1, CONTEXT_STACKS = 2 };

struct uid_account {
    uint32_t uid;
    uint64_t bytes;
    uint32_t half_open;
};

struct ew_context {
    _Atomic uint32_t shares;
    _Atomic uint32_t forked;
    ew_context *next; /* transport/process.h */

    char namespace_name[WIRE_NAMESPACE_BYTES];
    uint64_t outbox_bytes, inbox_bytes, stream_bytes_max, message_bytes_max, peer_bytes_max;
    ew_pages pages;
    ew_wait_policy wait;
    _Atomic uint64_t spin_ns; /* what a sleep costs more than a spin; learnt (spin_rule.h) */
    uint32_t quota_cpus;      /* 0: no limit */
    uint64_t hello_ns, grace_ns;
    uint64_t retired_ns; /* RETIRED_NS; a test has less */
    bool shm_stays;
    uint32_t allow_uids[CONTEXT_ALLOW_MAX], allow_gids[CONTEXT_ALLOW_MAX];
    uint32_t allow_uids_count, allow_gids_count;
    bool allow_any;
    struct budget budget;

    int news_fd;  /* readable: look at ew_context_news */
    int nudge_fd; /* readable: whoever sleeps on a local link looks whether it is to move */
    struct reactor *reactor;
    struct context_stack stacks[CONTEXT_STACKS];
    struct fabric *fabric; /* NULL: none is configured */
    struct stream_cover_list cover;
    struct stream_burst_list bursts;
    struct stream_silence silence;
    struct control_socket *control; /* NULL: nobody looks in */
    struct tombs tombs;             /* under the reactor's lock */

    struct lock lock; /* the lists below */
    ew_channel *channels;
    ew_listener *listeners;
    struct tcp_port *ports;
    struct peer_process *processes;
    struct uid_account accounts[CONTEXT_UIDS_MAX];
    uint32_t half_open;
    uint64_t channels_made, listeners_made;
    _Atomic uint64_t channels_count, accepted, refused, dropped;
};

static inline bool ewi_context_is_forked(const ew_context *context)
{
    return atomic_load_explicit(&context->forked, memory_order_relaxed) != 0; /* Q1 */
}

int ewi_context_forked_error(void);
void ewi_context_take(ew_context *context);
/* For who has no share: false, the last one is gone. */
bool ewi_context_take_if_alive(ew_context *context);
void ewi_context_give(ew_context *context);
void ewi_context_add_channel(ew_context *context, ew_channel *channel);
void ewi_context_forget_channel(ew_context *context, ew_channel *channel); /* twice is fine */
/* The acceptor's end of a channel, pinned, or NULL. */
ew_channel *ewi_context_find_channel(ew_context *context, const uint8_t id[16]);
/* Say DRAIN on the channels of a listener. */
void ewi_context_drain(ew_context *context, const ew_listener *listener);
/* The channel has news for ew_context_news. Any thread, under any lock. */
void ewi_context_tell(ew_channel *channel);
/* Wake the sleepers of all local links for a look; and no more of it. */
void ewi_context_nudge(ew_context *context);
void ewi_context_calm(ew_context *context);
/* Channels with a number below `below`, highest first; they are not freed before unpin. For code
 * that does not wait: whoever frees one waits for us. */
size_t ewi_context_pin_channels(ew_context *context, uint64_t below, ew_channel **out, size_t max);
void ewi_context_unpin_channel(ew_channel *channel);

/* ---- transport/local/access.c ---- */

struct local_peer { /* as the kernel says */
    uint32_t pid, uid, gid;
};

int ewi_access_peer_of(int fd, struct local_peer *out);
/* May this peer use us? gids: its supplementary groups are asked from the socket. */
bool ewi_access_allows(const ew_context *context, int fd, const struct local_peer *peer);
/* May a server with this uid be trusted with our connection? */
bool ewi_access_trusts(const ew_context *context, const struct local_peer *server);
int ewi_access_charge(ew_context *context, uint32_t uid, uint64_t bytes);
void ewi_access_discharge(ew_context *context, uint32_t uid, uint64_t bytes);
/* A new connection that has not said hello. */
bool ewi_access_half_open(ew_context *context, uint32_t uid);
void ewi_access_half_done(ew_context *context, uint32_t uid);

#endif
