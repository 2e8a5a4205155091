/* transport/channel/move.h - put another link under a channel that is in use.
 *
 * Purpose    One operation for a planned switch and for a link that was lost: the channel comes to
 *            rest, both ends say how far they are, the new link takes the old one's place.
 * Shape      struct move: one attempt, at either end. The opener dials (ewi_move_dial, also
 *            resume.c); the acceptor's side is incoming.c.
 * Owner      who began it; what was prepared belongs to the channel after adopt
 * Threads    begin: any. fill, say, judge, adopt: who has frozen the channel (freeze.h); adopt with
 *            facts_lock and the reactor's lock.
 * Trust      positions and geometry of the peer's hello are judged here
 * Errors     those of connect; EW_EPROTO: positions that cannot be
 * Invariants I1  every record that the peer had not taken is on the new link, once and in order.
 *            I2  a channel is frozen for MOVE_NS by the acceptor, MOVE_NS + MOVE_ANSWER_NS by the
 *                dialler, at most.
 *            I3  until adopt nothing of the channel has changed but the session's knowledge.
 * Ordering   as freeze.h
 * Source     design, section 5 (Session); docs/adr/0012-moving.md
 */
#ifndef EWI_TRANSPORT_CHANNEL_MOVE_H
#define EWI_TRANSPORT_CHANNEL_MOVE_H

#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/wire.h"

struct dial;

enum { MOVE_NS = 1000 * 1000 * 1000 };
#define MOVE_ANSWER_NS (UINT64_C(2) * MOVE_NS)

struct move {
    ew_channel *channel;
    struct channel_link *link; /* the free one */
    bool local;
    bool said;                 /* our hello is out: the peer may have moved, whatever we hear ... */
    uint64_t answer_by_ns;     /* ... so its answer is waited for, longer than it takes a peer to give up */
    bool filled, prepared;
    struct region outbox;      /* over shared memory: new memory, with the records not yet taken */
    struct ring_writer writer;
    uint64_t final_taken;      /* EW_EEND: the peer has ended the channel, and got so far */
    uint64_t began_ns;
    char *address;             /* of the peer from then on, NULL: as before */
    char reason[sizeof(((ew_path_change *)0)->reason)];
};

/* EW_EMEMORY: nothing has begun; *out may be abandoned all the same. */
int ewi_move_begin(ew_channel *channel, bool local, const char *reason, struct move *out);
/* The lock under which the current link uses the session, NULL: it does not. Taken around everything
 * here that names the session: the reactor may drive a stream for a channel that is at rest. */
struct lock *ewi_move_session_lock(ew_channel *channel);
/* The session knows what the current link was used for. EW_EPROTO: the peer says that it took half a
 * record; the channel is broken. */
int ewi_move_settle(ew_channel *channel);
/* New memory for our records from that position on; text set on failure. */
int ewi_move_fill(struct move *move, uint64_t from);
/* Our positions and geometry, for HELLO or WELCOME. */
void ewi_move_say(const struct move *move, uint64_t start, struct hello *hello);
/* Where our records begin on the new link. */
uint64_t ewi_move_start(const struct move *move, const struct hello *hello);
/* May a link begin where the peer says that it is? */
int ewi_move_judge(const struct move *move, const struct hello *hello);
/* The prepared link takes over. dialled: we close the old one, else the peer does. */
int ewi_move_adopt(struct move *move, const struct hello *peer, bool dialled);
/* By the dialler, after the welcome. */
int ewi_move_finish(struct move *move, const struct hello *welcome);
/* What was prepared is given back, but for the peer's socket or stream. */
void ewi_move_abandon(struct move *move);

/* ---- dialling: by the opener ---- */

struct move_wish {
    const char *address, *reason;
    struct wait wait;
    bool ask; /* first, whether somebody is awake there: the link is in use meanwhile */
    bool only_if_lost; /* or in doubt: nothing to do when another mover has found the peer */
};

/* Find the peer at an address and move there; EW_EAGAIN: somebody moves the channel already, and
 * there is no time to wait for the end of that. The end
 * of the channel cancels it. *doubtful: the peer may have left the current link. */
int ewi_move_dial(ew_channel *channel, const struct move_wish *wish, bool *doubtful);

/* ---- incoming.c: a dialler at the acceptor's door; under the reactor's lock ---- */

struct incoming_link { /* a Unix socket with the peer's memory, or a stream */
    int fd; /* -1: a stream */
    struct local_peer peer;
    struct region peers;
    struct context_stack *on;
    ewi_stream stream;
    struct stream_user *user;
};

struct incoming_found {
    ew_channel *channel;
    uint64_t taken; /* of a channel that has ended here */
};

/* The channel that a RESUME is for: EW_OK; EW_EEND: it has ended, say FINAL(taken); else the code and
 * text of a refusal. */
int ewi_incoming_find(ew_context *context, const struct hello *hello, const uint8_t *bytes,
                      struct incoming_found *out, char text[WIRE_TEXT_BYTES_MAX]);
/* On EW_OK the link is ours, and will be answered and adopted or dropped soon. */
int ewi_incoming_start(ew_channel *channel, const struct hello *hello,
                       const struct incoming_link *link, char text[WIRE_TEXT_BYTES_MAX]);
/* A lock was lent: look at once. */
void ewi_move_knock(ew_channel *channel);
/* The channel ends: nobody moves it any more. */
void ewi_incoming_stop(ew_channel *channel);

/* ---- resume.c: a link that was lost ---- */

/* May a channel whose stream has ended wait for another? Then it does. */
bool ewi_resume_lost(ew_channel *channel);
/* Nobody knows whether the peer left the current link: dial until it is known. */
void ewi_resume_doubt(ew_channel *channel);
/* A link was adopted. */
void ewi_resume_found(ew_channel *channel);
/* The channel ends. */
void ewi_resume_stop(ew_channel *channel);
/* A dial of who has claimed the channel: *fd becomes readable when it is to give up; not any more. */
int ewi_resume_may_cancel(ew_channel *channel, int *fd);
void ewi_resume_may_not_cancel(ew_channel *channel);

#endif
