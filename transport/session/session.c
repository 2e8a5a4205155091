#include "transport/session/session.h"

#include <string.h>

void ewi_session_init(struct session *session, bool opener, const uint8_t channel[16],
                      const uint8_t secret[16], uint64_t inbox_bytes)
{
    EWI_ASSERT(inbox_bytes >= RECORD_BYTES_MAX);
    *session = (struct session){
        .opener = opener, .inbox_bytes = inbox_bytes, .limit_said = inbox_bytes};
    memcpy(session->channel, channel, sizeof(session->channel));
    memcpy(session->secret, secret, sizeof(session->secret));
}

void ewi_session_learn(struct session *session, const struct session_facts *facts)
{
    EWI_ASSERT(facts->sent >= session->sent && facts->taken >= session->taken);
    session->sent = facts->sent;
    session->peer_taken = ewi_max_u64(session->peer_taken, facts->peer_taken);
    session->peer_consumed = ewi_max_u64(session->peer_consumed, facts->peer_consumed);
    session->taken = facts->taken;
    session->peer_eof |= facts->peer_eof;
    session->peer_closed |= facts->peer_closed;
}

uint64_t ewi_session_dial(struct session *session)
{
    EWI_ASSERT(session->opener); /* I3 */
    session->dialled += 1;
    return session->dialled;
}

/* The peer's taken as its hello or welcome says it: never beyond what we have committed and sent. It
 * may be less than an ACK has told since, on the link that goes on until the new one is there. */
static int learn_taken(struct session *session, uint64_t peer_taken, uint64_t committed)
{
    if (peer_taken % RECORD_ALIGN != 0 || peer_taken > session->sent || peer_taken > committed)
        return EW_EPROTO;
    session->peer_taken = ewi_max_u64(session->peer_taken, peer_taken); /* I2 */
    return EW_OK;
}

int ewi_session_accept(struct session *session, uint64_t generation, uint64_t peer_taken,
                       uint64_t committed)
{
    EWI_ASSERT(!session->opener);
    if (generation <= session->generation) /* I3 */
        return EW_EAGAIN;
    if (learn_taken(session, peer_taken, committed) != EW_OK)
        return EW_EPROTO;
    session->attached = false;
    session->generation = generation;
    return EW_OK;
}

int ewi_session_welcomed(struct session *session, uint64_t generation, uint64_t peer_taken,
                         uint64_t committed)
{
    EWI_ASSERT(session->opener);
    if (generation != session->dialled || generation <= session->generation)
        return generation < session->dialled ? EW_EAGAIN : EW_EPROTO;
    if (learn_taken(session, peer_taken, committed) != EW_OK)
        return EW_EPROTO;
    session->attached = false;
    session->generation = generation;
    return EW_OK;
}

uint64_t ewi_session_attach(struct session *session, uint64_t freed, uint64_t limit)
{
    uint64_t start = ewi_max_u64(session->peer_taken, freed);

    EWI_ASSERT(session->generation > 0 && freed <= session->peer_taken);
    session->attached = true;
    session->started = false;
    session->said = (struct wire_ack){0}; /* the last ACK may be lost with its link: say it again */
    session->limit = ewi_max_u64(session->limit, limit); /* I2 */
    return start;
}

void ewi_session_detach(struct session *session, uint64_t generation)
{
    if (generation == session->generation)
        session->attached = false;
}

static bool is_current(const struct session *session, uint64_t generation)
{
    return session->attached && generation == session->generation;
}

int ewi_session_on_start(struct session *session, uint64_t generation, uint64_t position)
{
    if (!is_current(session, generation))
        return EW_EAGAIN;
    if (session->started || position % RECORD_ALIGN != 0 || position > session->taken)
        return EW_EPROTO; /* above taken: records in between would be lost */
    session->started = true;
    session->link_position = position;
    return EW_OK;
}

int ewi_session_on_record(struct session *session, uint64_t generation, struct record record,
                          bool *take)
{
    uint64_t end = session->link_position + ewi_record_span(record.bytes);

    if (!is_current(session, generation))
        return EW_EAGAIN;
    if (!session->started || end > session->limit_said) /* I4 */
        return EW_EPROTO;
    if (session->link_position < session->taken) { /* a repetition: it must end by taken */
        if (end > session->taken)
            return EW_EPROTO;
        session->link_position = end;
        *take = false;
        return EW_OK;
    }
    if (session->peer_closed || (session->peer_eof && record.kind != RECORD_CLOSE))
        return EW_EPROTO; /* nothing follows CLOSE, only CLOSE follows EOF */
    session->peer_eof |= record.kind == RECORD_EOF;
    session->peer_closed |= record.kind == RECORD_CLOSE;
    session->link_position = end;
    session->taken = end; /* I1 */
    *take = true;
    return EW_OK;
}

bool ewi_session_may_store(const struct session *session, struct record record)
{
    return session->attached && session->started && !session->peer_eof && !session->peer_closed &&
           session->link_position == session->taken &&
           session->taken + ewi_record_span(record.bytes) <= session->limit_said;
}

int ewi_session_on_ack(struct session *session, uint64_t generation, const struct wire_ack *ack)
{
    if (!is_current(session, generation))
        return EW_EAGAIN;
    if (ack->taken > session->sent || ack->consumed > ack->taken || ack->limit < ack->consumed ||
        ack->taken % RECORD_ALIGN != 0)
        return EW_EPROTO;
    if (ack->taken < session->peer_taken || ack->consumed < session->peer_consumed ||
        ack->limit < session->limit)
        return EW_EPROTO; /* on one link they arrive in order */
    session->peer_taken = ack->taken; /* I2 */
    session->peer_consumed = ack->consumed;
    session->limit = ack->limit;
    return EW_OK;
}

int ewi_session_on_final(struct session *session, uint64_t peer_taken)
{
    if (peer_taken > session->sent || peer_taken < session->peer_taken ||
        peer_taken % RECORD_ALIGN != 0)
        return EW_EPROTO;
    session->peer_taken = peer_taken; /* I2 */
    return EW_OK;
}

void ewi_session_on_sent(struct session *session, uint64_t position)
{
    session->sent = ewi_max_u64(session->sent, position);
}

bool ewi_session_ack_differs(const struct session *session, uint64_t consumed)
{
    return session->taken != session->said.taken || consumed != session->said.consumed;
}

bool ewi_session_ack_urgent(const struct session *session, uint64_t consumed)
{
    return consumed - session->said.consumed >= session->inbox_bytes / 4;
}

struct wire_ack ewi_session_greeting(struct session *session, uint64_t consumed)
{
    EWI_ASSERT(consumed <= session->taken);
    session->limit_said = ewi_max_u64(session->limit_said, consumed + session->inbox_bytes);
    return (struct wire_ack){.taken = session->taken,
                             .consumed = consumed,
                             .limit = consumed + session->inbox_bytes};
}

struct wire_ack ewi_session_make_ack(struct session *session, uint64_t consumed)
{
    session->said = ewi_session_greeting(session, consumed);
    return session->said;
}
