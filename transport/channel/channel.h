/* transport/channel/channel.h - one end of a channel: two rings, two positions, and a link.
 *
 * Purpose    Messages in order, whole, once; the same on every path. Sending and receiving know
 *            rings only; what moves the bytes is the link (transport/link.h).
 * Shape      send.c, recv.c: messages <-> records. wait.c: spin and sleep. end.c: close, abort,
 *            why it ended. info.c: what people see. arm.c: what event loops need.
 * Owner      made by transport/open/, freed by ew_channel_free; the link and its memory belong
 *            to the channel.
 * Threads    any. send_lock covers the writer, recv_lock the reader; each is held by one thread
 *            for one message. Who drives the link may write into a receiver's buffer while that
 *            receiver waits (sink_open, transport/stream/sink.h). Lock order: send or recv, then
 *            the link's drive lock, then the reactor's.
 * Trust      records come from the peer: fragment.c judges flags and lengths of messages.
 * Errors     see bindings/c/eastwest.h; a code below LOST stays (end_code).
 * Invariants I1  a message is either completely committed, or not at all, or ended by ABORT.
 *            I2  taken_word is published before any wait.
 *            I3  a message that was begun to be received survives an interrupted call.
 * Ordering   C1/C2 link_state (transport/link.h), T1/T2 taken (shm/outbox.h), C3 release-store of
 *            shut  pairs with  C4 acquire-load. F1 release-store of peer_taken, released,
 *            peer_consumed and peer_ended  pairs with  F2 acquire-load. D3 release-store of note_fd  pairs with  D4
 *            acquire-load before it is written or read.
 * Source     design, sections 4 and 5; docs/adr/0001-session-and-links.md
 */
#ifndef EWI_TRANSPORT_CHANNEL_H
#define EWI_TRANSPORT_CHANNEL_H

#include <pthread.h>

#include "shm/outbox.h"
#include "shm/region.h"
#include "shm/waitroom.h"
#include "transport/channel/fragment.h"
#include "transport/channel/freeze.h"
#include "transport/channel/spin_rule.h"
#include "transport/channel/stores.h"
#include "transport/link.h"
#include "transport/local/link.h"
#include "transport/stream/grow.h"
#include "transport/stream/link.h"

enum channel_wants { /* of a wait; the low bits are enum bell_wants */
    WANT_DATA = BELL_DATA,
    WANT_SPACE = BELL_SPACE,
    WANT_HELD = 4,     /* the peer's process has our bytes up to `amount` */
    WANT_CONSUMED = 8, /* the peer's application has */
};

enum { CHANNEL_SPACE_LOOK_NS = 5 * 1000 * 1000, CHANNEL_END_TEXT_BYTES = 256 };

enum channel_shut { CHANNEL_OPEN = 0, CHANNEL_CLOSING = 1, CHANNEL_CLOSED = 2 };

struct channel_head { /* the message at the front, once begin has found it */
    bool known;
    bool whole;             /* it is this one record */
    struct record record;
    const uint8_t *payload; /* behind the extension block and the total */
    uint32_t payload_bytes;
    uint64_t total;
};

struct channel_spin { /* of one direction; only its lock's holder uses it, others read counters */
    struct spin_rule rule;
    uint64_t sent_seen;   /* messages sent, at the last wait for data */
    uint64_t woke_seen;   /* wake-ups that we made, at the last wait */
    uint32_t hold_pauses; /* before the next look at an empty ring: wait.c */
    _Atomic bool has_cpus; /* one for each end, when it was looked at last */
    _Atomic uint64_t paid, lost, lost_ns;
};

struct incoming;
struct retired;
struct channel_kept;

struct channel_link {
    union {
        struct local_link local;
        struct stream_link stream;
    };
};

struct channel_spare { /* what only a channel that moves needs; made for the first move, then kept */
    struct channel_link link;
    ew_path_change changes[EW_PATH_CHANGES_KEPT];
};

struct channel_inbox { /* where a stream's records wait; made for the first stream, then kept */
    struct region region;
    struct ring_writer writer;
};

struct ew_channel {
    ew_context *context;
    ew_channel *next, **previous; /* the context's list, newest first */
    uint64_t number;               /* in it: 1, 2 ...; for transport/control */
    const struct link_ops *ops;    /* of the link; changed by a move only (move.h) */
    struct channel_link *link;     /* first_link, or the one in spare */
    _Atomic uint32_t link_state; /* enum link_state */
    _Atomic uint32_t shut;       /* enum channel_shut */
    _Atomic uint32_t pins;       /* held by ew_context_close */

    alignas(EWI_CACHE_LINE) struct lock send_lock;
    struct ring_writer writer;
    const _Atomic uint64_t *freed_word;  /* how far the peer is */
    const _Atomic uint32_t *ended_word;  /* enum outbox_ended, as the peer says */
    uint64_t peer_message_bytes_max;
    uint64_t moved_at;         /* where our records began on this link: `taken` may lag behind it */
    bool eof_sent;
    struct {
        _Atomic(const ew_part *) parts; /* the send that a signal interrupted half way, or NULL */
        size_t parts_count, part, part_at;
        uint64_t left;
        pthread_t thread;
    } suspended;
    uint64_t close_position; /* behind CLOSE, 0: not committed */
    _Atomic uint64_t messages_sent, bytes_sent, send_blocked_ns, position_sent;
    struct channel_spin send_spin;
    struct stores stores; /* of long messages */

    alignas(EWI_CACHE_LINE) struct lock recv_lock;
    struct ring_reader reader;
    _Atomic uint64_t *taken_word; /* where we publish how far we are */
    uint64_t space_looked;        /* position at the last look at the peer's wants-space */
    bool has_after;           /* the reader is on the inbox still, then on this: */
    struct ring_reader after;
    struct channel_kept *kept; /* the ring that the peer had before, or NULL: kept.h */
    bool got_eof, got_close;
    struct channel_head head;
    struct channel_partial partial;
    bool recv_long;           /* the last message was worth a sink */
    bool sink_open;           /* who waits has lent its buffer to the link */
    _Atomic bool sink_full;   /* ... and it has the message */
    _Atomic uint64_t messages_received, bytes_received;
    struct channel_spin recv_spin;

    alignas(EWI_CACHE_LINE) struct waitroom room;
    _Atomic uint64_t sleeps, wakeups;
    _Atomic uint32_t send_waiting, recv_waiting;
    struct lock drain_lock; /* flush and close wait for positions */
    struct lock facts_lock; /* fileno, info, stats against release and moves */
    _Atomic int epoll_fd; /* fileno(), -1: not asked for */
    _Atomic int note_fd;  /* in its set: readable when there is something to look at; -1 */

    struct lock end_lock; /* end_code and end_text, written once */
    int end_code;
    char *end_text; /* NULL: not ended, or no memory for it */

    /* facts, fixed when it is made */
    bool opener;
    uint64_t message_bytes_max;
    uint32_t record_bytes_max; /* of what we send, on every link */
    ew_listener *listener; /* that accepted it: counts against its max_channels */
    uint8_t instance[16], id[16];
    char *service, *protocol; /* in one piece */
    char *peer_address; /* of any length: a path may be in it */
    char *note;         /* for who looks in, or NULL; under facts_lock */
    ew_channel *queued; /* the next one that waits to be accepted */
    struct region outbox_region;
    struct outbox_shared *outbox;

    struct channel_freeze freeze; /* moving: freeze.h, move.h */
    struct incoming *incoming;    /* under the reactor's lock, as is the next */
    struct retired *retired;      /* links that were replaced, newest first: transport/retired.h */
    struct channel_resume {       /* under the reactor's lock */
        struct source *source;
        uint32_t attempts;
        bool dialling, stopped;
        bool doubt; /* the link is there; does the peer still use it? */
        int cancel_fd; /* -1: nobody dials */
    } resume;
    _Atomic uint64_t lost_ns;     /* when the link was lost, 0: it is there */
    _Atomic uint64_t changes_count; /* above 0: the last ones are in spare */
    _Atomic bool has_news;        /* for ew_context_news */
    _Atomic bool draining;        /* the peer asked us to go elsewhere */
    bool began_local;             /* it was opened over shared memory */
    uint32_t peer_uid;            /* ... by or to this user */
    struct channel_link first_link;
    struct channel_spare *spare; /* NULL until the first move; by whoever has claimed the freeze */

    /* what survives a link: see transport/session/session.h */
    struct session session; /* with a stream's drive lock; in a move by who has frozen the channel */
    struct channel_inbox inbox;
    struct stream_growth growth;
    alignas(EWI_CACHE_LINE) _Atomic uint64_t consumed; /* over a stream: published by the receiver */
    alignas(EWI_CACHE_LINE) _Atomic uint64_t peer_taken; /* over a stream: as the peer's ACKs say */
    _Atomic uint64_t released; /* ... and not to be sent on this link any more: space to use again */
    _Atomic uint64_t peer_consumed;
    _Atomic uint32_t peer_ended; /* enum outbox_ended */
};

/* ---- create.c ---- */

struct channel_options {
    enum region_kind outbox;
    bool opener;
    const struct hello *peer; /* what it said; NULL: not known yet (opener) */
    const char *service, *protocol, *peer_address;
    uint8_t instance[16], id[16], secret[16];
};

/* Without a link yet: ewi_channel_discard until a link has been started, ew_channel_free after. */
int ewi_channel_create(ew_context *context, const struct channel_options *options,
                       ew_channel **out);
void ewi_channel_discard(ew_channel *channel);
/* The link is up: the channel is on its context's list from now on. */
void ewi_channel_open(ew_channel *channel);

/* ---- wait.c ---- */

/* Until `wants` is possible, the link went down or the channel was shut: look again on EW_OK.
 * amount: payload bytes of room (WANT_SPACE) or a position. Call with that direction's lock. */
int ewi_channel_wait(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                     struct wait wait);
/* Can both ends run at the same time? Looked at anew: two system calls. */
bool ewi_channel_has_cpus(const ew_channel *channel);
/* Everybody who waits on this channel looks again. */
void ewi_channel_wake(ew_channel *channel);

/* ---- send.c ---- */

void ewi_channel_refresh_room(ew_channel *channel);
/* Call with the send lock. */
bool ewi_channel_fits_now(ew_channel *channel, uint64_t total);
/* Does this thread have a send that is half done, and with it the send lock? */
bool ewi_channel_is_suspended_here(const ew_channel *channel);

/* ---- recv.c ---- */

void ewi_channel_publish(ew_channel *channel);
/* With the receive lock: what is in the buffer of who waits stays, and no more comes there. */
void ewi_channel_close_sink(ew_channel *channel);

/* ---- info.c ---- */

enum { CHANNEL_NOTE_BYTES_MAX = 4096, CHANNEL_LOOK_RECORDS_MAX = 1024 };

struct channel_look {
    ew_channel_info info;
    ew_channel_stats stats;
    char note[CHANNEL_NOTE_BYTES_MAX + 1]; /* only of a whole look */
};

/* For the reactor: EW_EAGAIN instead of waiting for facts_lock (its holder may wait for the
 * reactor). whole: also what needs the send and the receive lock for a moment; a try_send or
 * try_recv beside it may find them taken, so nobody does that every second. */
int ewi_channel_look(ew_channel *channel, bool whole, struct channel_look *out);
void ewi_channel_release_fileno(ew_channel *channel);
/* fileno() becomes readable, if it is in use; and not any more. */
void ewi_channel_note(ew_channel *channel);
void ewi_channel_quieten(ew_channel *channel);
/* It does not watch this descriptor of a link any more. With the receive lock. */
void ewi_channel_unwatch(ew_channel *channel, int fd);
static inline int ewi_channel_note_fd(const ew_channel *channel)
{
    return atomic_load_explicit(&channel->note_fd, memory_order_acquire); /* D4, pairs with D3 */
}

/* ---- end.c ---- */

static inline uint32_t ewi_channel_link_state(const ew_channel *channel)
{
    return atomic_load_explicit(&channel->link_state, memory_order_acquire); /* C2, pairs with C1 */
}

static inline ew_path ewi_channel_path(const ew_channel *channel)
{
    return channel->ops->drives ? channel->link->stream.on->path : EW_PATH_SHM;
}

/* A direction's lock, for one call; steps aside while a move wants it. */
static inline int ewi_channel_take(ew_channel *channel, struct lock *lock, struct wait wait)
{
    int code = EW_OK;

    if (ewi_freeze_is_wanted(&channel->freeze))
        code = ewi_freeze_pass(channel, wait);
    return code == EW_OK ? ewi_lock_take(lock, wait) : code;
}

/* Why it ended, "" while it has not. Under end_lock, or once end_code is known. */
static inline const char *ewi_channel_end_text(const ew_channel *channel)
{
    if (channel->end_text != NULL)
        return channel->end_text;
    return channel->end_code == EW_OK ? "" : "no memory was left to say why";
}

/* 0, or why no call can work: shut here, forked. Sets the error text. */
int ewi_channel_usable(ew_channel *channel);
/* The link is a stream that has ended; the channel waits for another. */
bool ewi_channel_is_lost(const ew_channel *channel);
/* The peer said DRAIN. */
void ewi_channel_drained(ew_channel *channel);
/* The first reason wins and stays. Takes the link down when it is up. */
int ewi_channel_break(ew_channel *channel, int code, const char *text);
void ewi_channel_link_down(ew_channel *channel, enum link_state state);
/* The reason why there will be no more records: EW_EEND, EW_ELOST or EW_EPROTO, text set. */
int ewi_channel_end_reason(ew_channel *channel);

#endif
