#include "transport/stream/pump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shm/copy.h"
#include "transport/channel/move.h"
#include "transport/error.h"
#include "transport/fabric.h"

enum { DIRECT_BYTES_MIN = 4096 }; /* a rest of this length is received into the inbox itself */

static bool is_lost(const struct stream_link *link)
{
    return atomic_load_explicit(&link->lost, memory_order_relaxed); /* by the lock */
}

/* ---- out ---- */

static uint64_t consumed_by(const ew_channel *channel)
{
    if (channel->link->stream.discarding)
        return channel->session.taken;
    return atomic_load_explicit(&channel->consumed, memory_order_acquire); /* T2, pairs with T1 */
}

static void put_ping(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    uint64_t token = ewi_grow_ping(channel);

    if (token != 0)
        link->control_to +=
            ewi_wire_put_u64(link->control + link->control_to, RECORD_PING, token);
}

static void put_controls(ew_channel *channel, bool with_data)
{
    struct stream_link *link = &channel->link->stream;
    uint64_t consumed = consumed_by(channel);
    bool wanted = atomic_exchange_explicit(&link->ack_wanted, 0, memory_order_relaxed) != 0;

    if (link->ack_now || ewi_session_ack_urgent(&channel->session, consumed) ||
        ((wanted || with_data) && ewi_session_ack_differs(&channel->session, consumed))) {
        struct wire_ack ack = ewi_session_make_ack(&channel->session, consumed);

        link->control_to += ewi_wire_put_ack(link->control + link->control_to, &ack);
        link->ack_now = false;
        put_ping(channel);
    }
    if (atomic_exchange_explicit(&link->drain_wanted, false, memory_order_relaxed)) /* by the lock */
        link->control_to += ewi_wire_put_drain(link->control + link->control_to);
    if (link->pong != 0) {
        link->control_to +=
            ewi_wire_put_u64(link->control + link->control_to, RECORD_PONG, link->pong);
        link->pong = 0;
    }
}

/* Choose what goes next; false: nothing. */
static bool prepare(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;

    if (link->run_left == 0) { /* at a record boundary: control frames may pass (I2) */
        int64_t run;

        link->run_position = link->out.position;
        run = ewi_ring_take_run(&link->out, channel->session.limit, STREAM_RUN_BYTES_MAX, &link->run);
        EWI_ASSERT(run >= 0); /* our own ring */
        if (link->control_from == link->control_to)
            link->control_from = link->control_to = 0;
        if (link->control_from == 0 && link->control_to <= WIRE_START_BYTES)
            put_controls(channel, run > 0);
        link->run_left = (uint32_t)run;
    }
    return link->control_from < link->control_to || link->run_left > 0;
}

static void advance(ew_channel *channel, uint32_t sent)
{
    struct stream_link *link = &channel->link->stream;
    uint32_t control = (uint32_t)ewi_min_u64(sent, link->control_to - link->control_from);

    link->control_from += control;
    link->run += sent - control;
    link->run_left -= sent - control;
    ewi_session_on_sent(&channel->session, link->out.position - link->run_left);
}

static void set_blocked(struct stream_link *link, bool blocked)
{
    atomic_store_explicit(&link->blocked, blocked, memory_order_relaxed); /* a hint outside the lock */
}

void ewi_pump_out(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;

    for (int round = 0; round < PUMP_ROUNDS; round++) {
        struct stack_span spans[2];
        uint32_t wanted;
        int64_t sent;

        if (ewi_channel_link_state(channel) != LINK_UP || is_lost(link) || !prepare(channel)) {
            set_blocked(link, false);
            return;
        }
        spans[0] = (struct stack_span){link->control + link->control_from,
                                       link->control_to - link->control_from};
        spans[1] = (struct stack_span){link->run, link->run_left};
        wanted = (uint32_t)(spans[0].bytes + spans[1].bytes);
        if (spans[0].bytes == 0)
            sent = link->ops->send(link->stack, link->stream, spans + 1, 1);
        else
            sent = link->ops->send(link->stack, link->stream, spans, spans[1].bytes == 0 ? 1 : 2);
        EWI_CRASH_POINT("stream.after_send");
        if (sent == -EAGAIN)
            break;
        if (sent < 0) { /* reset: what has arrived before it is read first, by the other direction */
            set_blocked(link, false);
            return;
        }
        advance(channel, (uint32_t)sent);
        if (sent < wanted)
            break;
    }
    set_blocked(link, true); /* the stack takes no more, or it had its share of our time (I1) */
}

bool ewi_pump_release(ew_channel *channel)
{
    const struct stream_link *link = &channel->link->stream;
    uint64_t needed = link->run_left > 0 ? link->run_position : link->out.position;
    uint64_t released = ewi_min_u64(channel->session.peer_taken, needed); /* I2 */

    if (released <= atomic_load_explicit(&channel->released, memory_order_relaxed)) /* our own */
        return false;
    atomic_store_explicit(&channel->released, released, memory_order_release); /* F1, with F2 */
    return true;
}

void ewi_pump_last_word(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    uint8_t bytes[WIRE_FINAL_BYTES];
    struct stack_span span = {bytes, sizeof(bytes)};

    ewi_pump_out(channel);
    if (is_lost(link) || link->run_left > 0 || link->control_from < link->control_to)
        return;
    ewi_wire_put_u64(bytes, RECORD_FINAL, channel->session.taken);
    if (link->ops->send(link->stack, link->stream, &span, 1) == sizeof(bytes))
        link->clean = true; /* a reset would overtake it */
}

/* ---- in ---- */

static bool violated(ew_channel *channel, const char *what)
{
    ewi_channel_break(channel, EW_EPROTO, what);
    return false;
}

void ewi_pump_tell_positions(ew_channel *channel)
{
    const struct session *session = &channel->session;

    atomic_store_explicit(&channel->peer_taken, session->peer_taken, memory_order_release); /* F1, with F2 */
    atomic_store_explicit(&channel->peer_consumed, session->peer_consumed,
                          memory_order_release); /* F1, with F2 */
}

static bool on_ack(ew_channel *channel, const uint8_t *payload)
{
    struct wire_ack ack = ewi_wire_get_ack(payload);

    if (ewi_session_on_ack(&channel->session, channel->session.generation, &ack) != EW_OK)
        return violated(channel, "an ACK that cannot be");
    ewi_pump_tell_positions(channel);
    return true;
}

/* The last word of a link. Without CLOSE before it the channel was aborted there. */
static bool on_final(ew_channel *channel, const uint8_t *payload)
{
    struct session *session = &channel->session;

    if (ewi_session_on_final(session, ewi_wire_get_u64(payload)) != EW_OK)
        return violated(channel, "a FINAL that cannot be");
    if (!session->peer_closed)
        atomic_store_explicit(&channel->peer_ended, OUTBOX_ABORTED, memory_order_relaxed); /* C1 follows */
    ewi_pump_tell_positions(channel);
    ewi_channel_link_down(channel, LINK_HUNG_UP);
    return false;
}

static bool on_control(ew_channel *channel, struct record record, const uint8_t *payload)
{
    struct stream_link *link = &channel->link->stream;

    switch (record.kind) {
    case RECORD_START:
        if (ewi_session_on_start(&channel->session, channel->session.generation,
                                 ewi_wire_get_u64(payload)) != EW_OK)
            return violated(channel, "a START that cannot be");
        return true;
    case RECORD_ACK:
        return on_ack(channel, payload);
    case RECORD_PING:
        link->pong = ewi_wire_get_u64(payload);
        return true;
    case RECORD_PONG:
        ewi_grow_pong(channel, ewi_wire_get_u64(payload));
        return true;
    case RECORD_DRAIN:
        ewi_channel_drained(channel);
        return true;
    case RECORD_FINAL:
        return on_final(channel, payload);
    default:
        return violated(channel, "a frame that does not belong on an open link");
    }
}

static void on_taken(ew_channel *channel, struct record record)
{
    struct stream_link *link = &channel->link->stream;

    if (record.kind != RECORD_CLOSE)
        return;
    atomic_store_explicit(&channel->peer_ended, OUTBOX_CLOSED, memory_order_release); /* F1, pairs with F2 */
    link->ack_now = true; /* the peer lingers for it */
}

static void refresh_inbox(ew_channel *channel)
{
    int code = ewi_ring_free(&channel->inbox.writer,
                             atomic_load_explicit(&channel->consumed, memory_order_acquire)); /* T2 */
    EWI_ASSERT(code == EW_OK); /* our own reader */
}

uint8_t *ewi_pump_reserve(ew_channel *channel, struct record record)
{
    uint32_t payload_bytes = record.bytes - RECORD_HEADER_BYTES;
    uint8_t *room = ewi_ring_reserve(&channel->inbox.writer, payload_bytes);

    if (room == NULL) {
        refresh_inbox(channel);
        room = ewi_ring_reserve(&channel->inbox.writer, payload_bytes);
        EWI_ASSERT(room != NULL); /* I1 of the link */
    }
    return room;
}

/* Long records come in streaks, and with the rest of a long message. */
static void note_length(struct stream_link *link, struct record record)
{
    bool more = (record.flags & RECORD_MORE) != 0;

    link->streak = record.bytes >= STREAM_LONG_BYTES || (link->streak && link->more && !more);
    link->more = more;
}

/* What to receive of the next record into the staging, if it is likely to be long, 0: no limit. */
static uint32_t head_bytes(const struct stream_link *link)
{
    if (!link->streak)
        return 0;
    return link->more ? RECORD_HEADER_BYTES : RECORD_HEADER_BYTES + RECORD_TOTAL_BYTES;
}

/* A record went into the inbox: what follows does, too. */
static void on_stored(ew_channel *channel, struct record record)
{
    struct stream_link *link = &channel->link->stream;

    link->sink.over = true;
    link->counts.stored += record.bytes - RECORD_HEADER_BYTES;
    if (record.flags & RECORD_TOTAL && /* and nothing is in front of it: I4 */
        atomic_load_explicit(&channel->consumed, memory_order_relaxed) + /* a hint */
                ewi_record_span(record.bytes) == channel->session.taken)
        link->enough = true;
}

/* A complete record lies in the staging. */
static void keep(ew_channel *channel, struct record record, const uint8_t *payload)
{
    struct stream_link *link = &channel->link->stream;
    struct fragment fragment;

    if (ewi_sink_wants(channel, record, payload, record.bytes - RECORD_HEADER_BYTES, &fragment)) {
        ewi_copy(ewi_sink_at(channel), payload + fragment.skip, fragment.payload_bytes);
        ewi_sink_passed(channel, record, &fragment);
        link->enough |= link->sink.over;
        return;
    }
    if (ewi_ring_append(&channel->inbox.writer, record, payload) != EW_OK) {
        refresh_inbox(channel);
        EWI_ASSERT(ewi_ring_append(&channel->inbox.writer, record, payload) == EW_OK); /* I1 */
    }
    on_stored(channel, record);
}

static bool store(ew_channel *channel, struct record record, const uint8_t *payload)
{
    struct stream_link *link = &channel->link->stream;
    bool take = false;

    if (ewi_session_on_record(&channel->session, channel->session.generation, record, &take) != EW_OK)
        return violated(channel, "a record where none can be");
    note_length(link, record);
    if (take && !link->discarding)
        keep(channel, record, payload);
    EWI_CRASH_POINT("stream.after_store");
    if (take)
        on_taken(channel, record);
    return true;
}

/* The front of a DATA record lies in the staging: the rest of its payload is received where it goes. */
static void begin_direct(ew_channel *channel, struct record record, const uint8_t *payload,
                         uint32_t have)
{
    struct stream_link *link = &channel->link->stream;
    uint32_t skip = 0;
    uint8_t *room;

    link->sunk = ewi_sink_wants(channel, record, payload, have, &link->fragment);
    if (link->sunk) {
        skip = link->fragment.skip;
        room = ewi_sink_at(channel);
    } else {
        link->sink.over = true;
        room = ewi_pump_reserve(channel, record);
    }
    memcpy(room, payload + skip, have - skip);
    link->record = record;
    link->record_rest = room + have - skip;
    link->record_left = record.bytes - RECORD_HEADER_BYTES - have;
    link->staged_from = link->staged_to = 0;
    note_length(link, record);
}

static bool end_direct(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    bool take = false;

    link->record_rest = NULL;
    link->pad = ewi_record_span(link->record.bytes) - link->record.bytes;
    if (ewi_session_on_record(&channel->session, channel->session.generation, link->record, &take) !=
        EW_OK)
        return violated(channel, "a record where none can be");
    EWI_ASSERT(take);
    if (link->sunk) {
        link->sunk = false;
        ewi_sink_passed(channel, link->record, &link->fragment);
        link->enough |= link->sink.over;
        return true;
    }
    ewi_ring_commit(&channel->inbox.writer, link->record.bytes - RECORD_HEADER_BYTES, link->record.flags);
    on_stored(channel, link->record);
    return true;
}

/* The front of a record lies in the staging: receive the rest there, or where it goes. */
static void await_rest(ew_channel *channel, struct record record, const uint8_t *payload,
                       uint32_t have)
{
    struct stream_link *link = &channel->link->stream;
    uint32_t left = record.bytes - RECORD_HEADER_BYTES - (uint32_t)ewi_min_u64(have, record.bytes - 8);
    struct fragment fragment;

    link->staged_wanted = 0;
    if (link->discarding || !ewi_session_may_store(&channel->session, record))
        return;
    if (have < ewi_fragment_head_bytes(record))
        link->staged_wanted = link->streak ? RECORD_HEADER_BYTES + ewi_fragment_head_bytes(record) : 0;
    else if (left >= DIRECT_BYTES_MIN ||
             (left > 0 && link->streak && ewi_sink_wants(channel, record, payload, have, &fragment)))
        begin_direct(channel, record, payload, have);
}

/* The end of the record before, in the staging. False: not all of it is here. */
static bool drop_pad(struct stream_link *link)
{
    uint32_t have = (uint32_t)ewi_min_u64(link->staged_to - link->staged_from, link->pad);

    link->staged_from += have;
    link->pad -= have;
    return link->pad == 0;
}

/* One frame or record at the front of the staging. False: stop (incomplete, or the link broke). */
static bool parse_one(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    bool begins = drop_pad(link);
    const uint8_t *at = link->staging + link->staged_from;
    uint32_t have = link->staged_to - link->staged_from;
    struct record record;
    uint32_t span;
    bool control, good;

    if (!begins || have < RECORD_HEADER_BYTES) {
        link->staged_wanted = link->streak ? link->pad + head_bytes(link) : 0;
        return false;
    }
    record = ewi_record_decode(ewi_wire_get_header(at));
    control = !ewi_record_has_position(record.kind);
    if ((control ? ewi_wire_check_control(record) : ewi_record_check(record, RECORD_BYTES_MAX)) !=
        EW_OK)
        return violated(channel, "a frame that cannot be");
    span = ewi_record_span(record.bytes);
    if (have < span) {
        if (control)
            link->staged_wanted = link->streak ? span + head_bytes(link) : 0;
        else
            await_rest(channel, record, at + RECORD_HEADER_BYTES, have - RECORD_HEADER_BYTES);
        return false;
    }
    good = control ? on_control(channel, record, at + RECORD_HEADER_BYTES)
                   : store(channel, record, at + RECORD_HEADER_BYTES);
    link->staged_from += span;
    return good;
}

static bool parse_all(ew_channel *channel)
{
    bool progress = false;

    while (parse_one(channel))
        progress = true;
    return progress;
}

static void compact(struct stream_link *link)
{
    uint32_t have = link->staged_to - link->staged_from;

    if (link->staged_from == 0)
        return;
    memmove(link->staging, link->staging + link->staged_from, have);
    link->staged_from = 0;
    link->staged_to = have;
}

/* A FIN or an error without FINAL: the link is gone. The channel may wait for another, even behind the
 * peer's CLOSE: perhaps our ACK of that was lost, and the peer waits for it. */
static void stream_ended(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;

    if (!ewi_resume_lost(channel)) {
        ewi_channel_link_down(channel, LINK_HUNG_UP);
        return;
    }
    ewi_session_detach(&channel->session, channel->session.generation);
    atomic_store_explicit(&link->lost, true, memory_order_relaxed); /* by the lock; a hint outside */
    ewi_context_tell(channel);
}

/* Where the next bytes go; how many rooms. */
static uint32_t choose_rooms(struct stream_link *link, struct stack_room rooms[2])
{
    uint32_t wanted = link->staged_wanted, count = 0;

    if (link->record_rest != NULL) { /* nothing is staged, and what is staged now lies behind it */
        rooms[count++] = (struct stack_room){link->record_rest, link->record_left};
        wanted = head_bytes(link);
        if (wanted > 0)
            wanted += ewi_record_span(link->record.bytes) - link->record.bytes;
    }
    compact(link);
    if (wanted == 0)
        wanted = STREAM_STAGING_BYTES;
    EWI_ASSERT(wanted > link->staged_to && wanted <= STREAM_STAGING_BYTES);
    rooms[count++] = (struct stack_room){link->staging + link->staged_to, wanted - link->staged_to};
    return count;
}

/* So many bytes of the record that goes elsewhere have come. False: the link broke. */
static bool on_rest(ew_channel *channel, uint32_t got)
{
    struct stream_link *link = &channel->link->stream;

    link->record_rest += got;
    link->record_left -= got;
    if (link->sunk)
        link->counts.sunk += got;
    return link->record_left > 0 || end_direct(channel);
}

enum read { READ_END, READ_SHORT, READ_FULL }; /* SHORT: most likely there is no more for now */

static enum read read_once(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    struct stack_room rooms[2];
    uint32_t count = choose_rooms(link, rooms), rest = count == 2 ? link->record_left : 0;
    uint64_t offered = rest + rooms[count - 1].bytes;
    int64_t got = link->ops->recv_into(link->stack, link->stream, rooms, count);

    if (got == -EAGAIN)
        return READ_END;
    if (got == -ENETDOWN)
        ewi_fabric_lost(link->on);
    if (got <= 0) {
        stream_ended(channel);
        return READ_END;
    }
    rest = (uint32_t)ewi_min_u64(rest, (uint64_t)got);
    link->staged_to += (uint32_t)got - rest;
    link->counts.staged += (uint64_t)got - rest;
    if (rest > 0 && !on_rest(channel, rest))
        return READ_END;
    return (uint64_t)got == offered || (count == 1 && link->staged_to >= STREAM_STAGING_BYTES / 2)
               ? READ_FULL
               : READ_SHORT;
}

/* Does the receiver wait for more of what came, and nobody for anything else? */
static bool is_no_news(const struct stream_link *link)
{
    return link->sink.into != NULL && !link->sink.over;
}

/* What the peer may send depends on what was received meanwhile: tell it in good time. */
static void tell_urgently(ew_channel *channel)
{
    if (ewi_session_ack_urgent(&channel->session, consumed_by(channel)))
        ewi_pump_out(channel);
}

bool ewi_pump_in(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    const uint64_t passed = link->sink.passed;
    enum read read = READ_FULL;
    bool progress;

    if (is_lost(link))
        return false;
    link->enough = false;
    progress = parse_all(channel); /* what came with the hello */
    for (int round = 0; round < PUMP_ROUNDS && read == READ_FULL && !link->enough; round++) {
        bool direct = link->record_rest != NULL;

        if (ewi_channel_link_state(channel) != LINK_UP)
            return true;
        read = read_once(channel);
        progress |= direct && link->record_rest == NULL && !is_no_news(link);
        progress |= parse_all(channel); /* at once: I3 */
        tell_urgently(channel);
    }
    if (is_no_news(link) && link->sink.passed != passed) /* the receiver goes on waiting */
        atomic_store_explicit(&link->ack_wanted, 1, memory_order_relaxed); /* by the lock */
    return progress || ewi_channel_link_state(channel) != LINK_UP;
}
