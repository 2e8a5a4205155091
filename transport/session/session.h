/* transport/session/session.h - what survives when a link dies: who we are, and how far each side is.
 *
 * Purpose    The rules by which a channel is attached to a link, resumed on the next one, and never
 *            loses, repeats or reorders a record. Pure: no I/O, clock, memory or randomness.
 * Shape      One per stream-capable channel end. Positions are u64 record bytes (design, section 1):
 *              sending    freed <= peer_taken <= sent;  limit: up to which the peer takes
 *              receiving  consumed <= taken <= limit_said
 *            generation: of the current link, strictly rising, 0: never attached.
 * Owner      the channel; plain memory, may be copied
 * Threads    one caller at a time (the link's drive lock)
 * Trust      every number given to an on_ function comes from the peer and is judged here
 * Errors     EW_EPROTO  the peer said what a correct one cannot say: kill the link.
 *            EW_EAGAIN  from an older link: ignore it.
 * Invariants I1  a record is taken exactly once and in order: taken only grows by the record that
 *                begins there.
 *            I2  peer_taken, peer_consumed and limit only grow; peer_taken <= sent.
 *            I3  only the opener dials; a link is accepted only with a higher generation.
 *            I4  the peer never sends beyond limit_said, so an inbox of that size never overflows.
 * Ordering   single threaded
 * Source     design, section 5; docs/adr/0007-session.md; tests/sim/test_session.c
 */
#ifndef EWI_TRANSPORT_SESSION_H
#define EWI_TRANSPORT_SESSION_H

#include "shm/record.h"
#include "transport/wire.h"

struct session {
    bool opener;
    bool attached;           /* a link of this generation is up */
    bool started;            /* its START has arrived */
    bool peer_eof, peer_closed; /* taken from the peer's records */
    uint8_t channel[16], secret[16];
    uint64_t generation;
    uint64_t dialled;        /* the last one that was put into a hello */
    /* sending */
    uint64_t sent;           /* handed to the current link, and all earlier ones */
    uint64_t peer_taken, peer_consumed, limit;
    /* receiving */
    uint64_t inbox_bytes;    /* what can be taken beyond consumed */
    uint64_t link_position;  /* of the next record on the current link */
    uint64_t taken;
    uint64_t limit_said;     /* in hello or the last ACK */
    struct wire_ack said;    /* the last ACK made */
};

void ewi_session_init(struct session *session, bool opener, const uint8_t channel[16],
                      const uint8_t secret[16], uint64_t inbox_bytes);

/* ---- attach: both ends go through dial or accept, then attached ---- */

/* What happened on a link that needs no session: shared memory. Positions only grow. */
struct session_facts {
    uint64_t sent, peer_taken, peer_consumed; /* of what we send */
    uint64_t taken;                           /* of what we receive */
    bool peer_eof, peer_closed;
};
void ewi_session_learn(struct session *session, const struct session_facts *facts);
/* Opener: the generation to put into the next hello. The current link goes on. */
uint64_t ewi_session_dial(struct session *session);
/* Acceptor: a hello with this generation and the opener's `taken`. Replaces the current link. */
int ewi_session_accept(struct session *session, uint64_t generation, uint64_t peer_taken,
                       uint64_t committed);
/* Opener: the welcome to dial's hello. Replaces the current link. */
int ewi_session_welcomed(struct session *session, uint64_t generation, uint64_t peer_taken,
                         uint64_t committed);
/* The link is up; limit is what the peer's hello said. Returns where our records start on it. */
uint64_t ewi_session_attach(struct session *session, uint64_t freed, uint64_t limit);
void ewi_session_detach(struct session *session, uint64_t generation);

/* ---- what arrives on a link of a generation ---- */

int ewi_session_on_start(struct session *session, uint64_t generation, uint64_t position);
/* A record whose header was checked. *take: store it, else it was taken before: drop it. */
int ewi_session_on_record(struct session *session, uint64_t generation, struct record record,
                          bool *take);
/* May the record that begins now be stored before it is complete? on_record follows when it is. */
bool ewi_session_may_store(const struct session *session, struct record record);
int ewi_session_on_ack(struct session *session, uint64_t generation, const struct wire_ack *ack);
/* The peer is gone, and that is how far it got: of any generation, it gets no further. */
int ewi_session_on_final(struct session *session, uint64_t peer_taken);

/* ---- what leaves ---- */

/* Bytes up to this position were accepted by the link. */
void ewi_session_on_sent(struct session *session, uint64_t position);
/* Is there anything in an ACK that the peer does not know? */
bool ewi_session_ack_differs(const struct session *session, uint64_t consumed);
/* ... that it should know at once: a quarter of the inbox is free again. */
bool ewi_session_ack_urgent(const struct session *session, uint64_t consumed);
struct wire_ack ewi_session_make_ack(struct session *session, uint64_t consumed);
/* The same for a hello or welcome, which may be lost while the current link goes on. */
struct wire_ack ewi_session_greeting(struct session *session, uint64_t consumed);

#endif
