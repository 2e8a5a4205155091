/* Receiving: records of the peer's ring, or of the inbox, become messages. While a receiver with a
 * buffer waits, a stream brings long ones straight there (transport/stream/sink.h). */
#include "transport/channel/channel.h"

#include <stdlib.h>

#include "shm/copy.h"
#include "transport/channel/kept.h"
#include "transport/context.h"
#include "transport/error.h"

enum { GIVEN_UP_MAX = 64 };

void ewi_channel_publish(ew_channel *channel)
{
    atomic_store_explicit(channel->taken_word, channel->reader.position,
                          memory_order_release); /* T1, pairs with T2 */
    if (__builtin_expect(channel->has_after, 0) &&
        channel->reader.position == channel->after.position) { /* the inbox is empty */
        channel->reader = channel->after;
        channel->has_after = false;
    }
    if (channel->ops->published != NULL)
        channel->ops->published(channel);
    if (channel->reader.position - channel->space_looked >= channel->reader.ring_bytes / 8) {
        channel->space_looked = channel->reader.position;
        channel->ops->taken(channel);
    }
}

static void drop_partial(ew_channel *channel)
{
    free(channel->partial.bytes);
    channel->partial = (struct channel_partial){0};
    channel->head.known = false;
}

static int broken(ew_channel *channel, const char *text)
{
    return ewi_channel_break(channel, EW_EPROTO, text);
}

/* A DATA record that is a message: there is nothing to judge but its length. */
static bool is_plain(const ew_channel *channel, struct record record)
{
    return record.flags == 0 && !channel->partial.begun &&
           record.bytes - RECORD_HEADER_BYTES <= channel->message_bytes_max;
}

/* A DATA record: what of it belongs to the message, and how long the message is. */
static int read_head(ew_channel *channel, struct record record, const uint8_t *payload)
{
    uint32_t bytes = record.bytes - RECORD_HEADER_BYTES;
    struct fragment fragment;
    const char *wrong;

    if (__builtin_expect(is_plain(channel, record), 1)) {
        channel->head = (struct channel_head){.known = true,
                                              .whole = true,
                                              .record = record,
                                              .payload = payload,
                                              .payload_bytes = bytes,
                                              .total = bytes};
        return EW_OK;
    }
    wrong = ewi_fragment_judge(&channel->partial, channel->message_bytes_max, record, payload,
                               &fragment);
    if (wrong != NULL)
        return broken(channel, wrong);
    channel->head = (struct channel_head){.known = true,
                                          .whole = fragment.whole,
                                          .record = record,
                                          .payload = payload + fragment.skip,
                                          .payload_bytes = fragment.payload_bytes,
                                          .total = fragment.total};
    return EW_OK;
}

/* A control record at the front is dealt with: EW_OK, look at the next one. */
static int take_control(ew_channel *channel, struct record record)
{
    if (channel->got_close || (channel->got_eof && record.kind != RECORD_CLOSE))
        return broken(channel, "a record after the end");
    ewi_ring_consume(&channel->reader, record);
    ewi_channel_publish(channel);
    if (record.kind == RECORD_ABORT) {
        if (!channel->partial.begun)
            return broken(channel, "an ABORT without a message");
        drop_partial(channel);
        return EW_EAGAIN;
    }
    if (channel->partial.begun)
        return broken(channel, "an end in the middle of a message");
    channel->got_eof = true;
    channel->got_close |= record.kind == RECORD_CLOSE;
    return EW_OK;
}

/* Find the next DATA record: EW_OK and head.known; EW_EAGAIN nothing yet; EW_EEND ... the end.
 * *aborted: the message that was begun is gone. */
static int find_head(ew_channel *channel, bool *aborted)
{
    *aborted = false;
    for (;;) {
        struct record record;
        const uint8_t *payload;
        int code = ewi_ring_peek(&channel->reader, &record, &payload);

        if (code == EW_EAGAIN)
            return code;
        if (code != EW_OK)
            return broken(channel, "a record that cannot be");
        if (record.kind == RECORD_DATA) {
            if (channel->got_eof)
                return broken(channel, "a message after the end");
            return read_head(channel, record, payload);
        }
        code = take_control(channel, record);
        if (code == EW_EAGAIN) {
            *aborted = true;
            return EW_EAGAIN;
        }
        if (code != EW_OK)
            return code;
    }
}

/* Nothing in the ring: is that for good? */
static int nothing_there(ew_channel *channel, bool *aborted)
{
    if (channel->got_eof)
        return ewi_fail(EW_EEND, "the peer has ended the channel and everything was received");
    if (ewi_channel_link_state(channel) == LINK_UP)
        return EW_EAGAIN;
    if (find_head(channel, aborted) == EW_OK) /* it came just before the link went down */
        return EW_OK;
    if (!*aborted && !channel->got_eof && ewi_kept_resort(channel) &&
        find_head(channel, aborted) == EW_OK)
        return EW_OK;
    if (channel->got_eof)
        return ewi_fail(EW_EEND, "the peer has ended the channel and everything was received");
    if (*aborted || channel->head.known)
        return EW_EAGAIN;
    return ewi_channel_end_reason(channel);
}

void ewi_channel_close_sink(ew_channel *channel)
{
    uint64_t position = channel->reader.position;

    if (!channel->sink_open)
        return;
    channel->sink_open = false;
    channel->ops->close_sink(channel);
    if (channel->reader.position != position)
        ewi_channel_publish(channel);
}

struct buffer { /* of the caller, for the message that it waits for; NULL: not known yet */
    uint8_t *bytes;
    uint64_t room;
};

/* What comes meanwhile may go straight into the buffer: then partial says how much. */
static int await_data(ew_channel *channel, struct buffer buffer, struct wait wait)
{
    int code;

    if (buffer.bytes != NULL && channel->ops->open_sink != NULL) {
        channel->ops->open_sink(channel, buffer.bytes, buffer.room);
        channel->sink_open = true;
    }
    atomic_store_explicit(&channel->recv_waiting, 1, memory_order_relaxed); /* for stats */
    code = ewi_channel_wait(channel, WANT_DATA, 0, wait);
    atomic_store_explicit(&channel->recv_waiting, 0, memory_order_relaxed); /* for stats */
    ewi_channel_close_sink(channel);
    return code == EW_OK ? ewi_channel_usable(channel) : code;
}

static bool is_complete(const struct channel_partial *partial)
{
    return partial->begun && partial->have == partial->total;
}

/* Until a DATA record is at the front, or all of the message in the buffer. EW_EAGAIN with *aborted,
 * or without waiting. */
static int await_head(ew_channel *channel, struct buffer buffer, struct wait wait, bool *aborted)
{
    int code = channel->head.known ? EW_OK : find_head(channel, aborted);

    while (code == EW_EAGAIN && !*aborted) {
        code = ewi_channel_usable(channel);
        if (code == EW_OK && (buffer.bytes == NULL || wait.deadline_ns == 0)) {
            channel->ops->drive(channel); /* else a wait does, when it is known where to */
            code = find_head(channel, aborted);
        } else if (code == EW_OK) {
            code = EW_EAGAIN;
        }
        if (code == EW_EAGAIN && !*aborted)
            code = nothing_there(channel, aborted);
        if (code != EW_EAGAIN || *aborted)
            break;
        ewi_kept_look(channel);
        if (wait.deadline_ns == 0) {
            channel->ops->rearm(channel);
            code = find_head(channel, aborted);
            break;
        }
        code = await_data(channel, buffer, wait);
        if (is_complete(&channel->partial))
            return EW_OK;
        if (code == EW_OK)
            code = find_head(channel, aborted);
    }
    return code;
}

static void consume_head(ew_channel *channel)
{
    ewi_ring_consume(&channel->reader, channel->head.record);
    channel->head.known = false;
}

static void count_received(ew_channel *channel, uint64_t bytes)
{
    uint64_t received = atomic_load_explicit(&channel->messages_received, memory_order_relaxed);
    uint64_t total = atomic_load_explicit(&channel->bytes_received, memory_order_relaxed);

    atomic_store_explicit(&channel->messages_received, received + 1, memory_order_relaxed);
    atomic_store_explicit(&channel->bytes_received, total + bytes, memory_order_relaxed);
    channel->recv_long = bytes >= SINK_BYTES_MIN;
}

static int timed_out(int code)
{
    if (code == EW_ETIMEOUT)
        return ewi_fail(code, "recv: no message before the timeout");
    return code;
}

/* Did the sender give up the message whose first fragment is at the front? */
static bool is_given_up(const ew_channel *channel)
{
    struct ring_reader ahead = channel->reader;
    struct record record;
    const uint8_t *payload;

    while (ewi_ring_peek(&ahead, &record, &payload) == EW_OK &&
           ahead.position - channel->reader.position < ahead.ring_bytes) {
        if (record.kind == RECORD_ABORT)
            return true;
        if (record.kind != RECORD_DATA || !(record.flags & RECORD_MORE))
            return false;
        ewi_ring_consume(&ahead, record);
    }
    return false;
}

/* Its fragments are passed over, so that nobody needs room for them; ABORT ends it as usual. */
static void pass_over(ew_channel *channel)
{
    const uint64_t begin = channel->reader.position;
    struct record record;
    const uint8_t *payload;

    channel->partial = (struct channel_partial){.begun = true, .total = channel->head.total};
    channel->head.known = false;
    while (channel->reader.position - begin < channel->reader.ring_bytes && /* whatever is written */
           ewi_ring_peek(&channel->reader, &record, &payload) == EW_OK &&
           record.kind == RECORD_DATA)
        ewi_ring_consume(&channel->reader, record);
    ewi_channel_publish(channel);
}

static int begin_locked(ew_channel *channel, size_t *bytes, struct wait wait)
{
    const struct buffer unknown = {0};
    unsigned given_up = 0;
    bool aborted;
    int code;

    do {
        aborted = false;
        if (given_up++ == GIVEN_UP_MAX) /* a peer that sends nothing else shall not keep us */
            return wait.deadline_ns == 0 ? EW_EAGAIN : EW_EINTR;
        if (channel->partial.begun) {
            *bytes = (size_t)channel->partial.total;
            return ewi_channel_usable(channel);
        }
        code = await_head(channel, unknown, wait, &aborted);
        if (code == EW_OK && !channel->head.whole && is_given_up(channel)) {
            pass_over(channel);
            code = find_head(channel, &aborted);
        }
    } while (aborted);
    if (code == EW_OK)
        *bytes = (size_t)channel->head.total;
    return code;
}

int ew_channel_recv_begin(ew_channel *channel, size_t *bytes, int64_t timeout_ns,
                          const void *sigmask)
{
    struct wait wait = ewi_wait_from(timeout_ns, sigmask);
    int code;

    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_context_forked_error(); /* before a lock that nobody in a child gives back */
    code = ewi_channel_take(channel, &channel->recv_lock, wait);
    if (code != EW_OK)
        return timed_out(code);
    code = ewi_channel_usable(channel);
    if (code == EW_OK)
        code = begin_locked(channel, bytes, wait);
    if (code != EW_OK)
        ewi_lock_give(&channel->recv_lock);
    return timed_out(code);
}

void ew_channel_recv_cancel(ew_channel *channel)
{
    ewi_lock_give(&channel->recv_lock);
}

/* What was copied so far goes to our own memory: the message survives this call. */
static int keep_partial(ew_channel *channel, const uint8_t *copied, int why)
{
    struct channel_partial *partial = &channel->partial;

    if (partial->have == 0) {
        *partial = (struct channel_partial){0};
        return why;
    }
    if (partial->bytes == NULL) {
        partial->bytes = malloc((size_t)partial->total);
        if (partial->bytes == NULL)
            return ewi_channel_break(channel, EW_EMEMORY, "no memory to keep a half message");
        memcpy(partial->bytes, copied, (size_t)partial->have);
    }
    return why;
}

/* Where fragments go now: a kept message is completed where it is, then copied. */
static int copy_fragments(ew_channel *channel, uint8_t *to, struct wait wait)
{
    struct channel_partial *partial = &channel->partial;
    uint8_t *into = partial->bytes != NULL ? partial->bytes : to;
    int code;

    if (!partial->begun)
        *partial = (struct channel_partial){.begun = true, .total = channel->head.total};
    while (partial->have < partial->total) {
        bool aborted = false;

        code = await_head(channel, (struct buffer){into, partial->total}, wait, &aborted);
        if (aborted)
            return EW_EAGAIN;
        if (code != EW_OK)
            return keep_partial(channel, into, code == EW_EAGAIN ? EW_ETIMEOUT : code);
        if (!channel->head.known)
            break; /* the rest came straight into the buffer */
        ewi_copy(into + partial->have, channel->head.payload, channel->head.payload_bytes);
        partial->have += channel->head.payload_bytes;
        consume_head(channel);
        ewi_channel_publish(channel);
    }
    if (into != to)
        ewi_copy(to, into, (size_t)partial->total);
    return EW_OK;
}

static int copy_locked(ew_channel *channel, void *data, struct wait wait)
{
    uint64_t total;
    int code;

    if (!channel->partial.begun && channel->head.known && channel->head.whole) {
        total = channel->head.payload_bytes;
        if (total > 0)
            ewi_copy(data, channel->head.payload, total);
        EWI_CRASH_POINT("recv.before_publish");
        consume_head(channel);
        ewi_channel_publish(channel);
        EWI_CRASH_POINT("recv.after_publish");
    } else {
        total = channel->partial.begun ? channel->partial.total : channel->head.total;
        code = copy_fragments(channel, data, wait);
        if (code != EW_OK)
            return code;
        drop_partial(channel);
    }
    count_received(channel, total);
    return EW_OK;
}

int ew_channel_recv_copy(ew_channel *channel, void *data, int64_t timeout_ns, const void *sigmask)
{
    int code = copy_locked(channel, data, ewi_wait_from(timeout_ns, sigmask));

    ewi_lock_give(&channel->recv_lock);
    return timed_out(code);
}

int ew_channel_recv_next(ew_channel *channel, void *data, size_t *bytes)
{
    const struct wait none = {.deadline_ns = 0};
    int code;

    if (channel->partial.begun || !channel->head.known || !channel->head.whole)
        return EW_EAGAIN;
    code = copy_locked(channel, data, none);
    EWI_ASSERT(code == EW_OK);
    if (begin_locked(channel, bytes, none) == EW_OK)
        return 1;
    ewi_lock_give(&channel->recv_lock);
    return 0;
}

enum { NOT_PLAIN = 1 };

/* The common case in one step: a message of one plain record is at the front. EW_EAGAIN: nothing is
 * there; NOT_PLAIN: find_head and copy_locked deal with it. */
static int take_plain(ew_channel *channel, void *data, size_t room, size_t *bytes)
{
    struct record record;
    const uint8_t *payload;
    uint32_t length;
    int code;

    if (channel->head.known || channel->partial.begun || channel->got_eof)
        return NOT_PLAIN;
    code = ewi_ring_peek(&channel->reader, &record, &payload);
    if (code != EW_OK)
        return code == EW_EAGAIN ? code : NOT_PLAIN;
    length = record.bytes - RECORD_HEADER_BYTES;
    if (record.kind != RECORD_DATA || !is_plain(channel, record) || length > room)
        return NOT_PLAIN;
    if (length > 0)
        ewi_copy(data, payload, length);
    EWI_CRASH_POINT("recv.before_publish");
    ewi_ring_consume(&channel->reader, record);
    ewi_channel_publish(channel);
    EWI_CRASH_POINT("recv.after_publish");
    count_received(channel, length);
    *bytes = length;
    return EW_OK;
}

/* Nothing is there. After long messages another long one is likely: it goes straight to data. */
static int await_message(ew_channel *channel, void *data, size_t room, struct wait wait)
{
    const struct buffer buffer = {channel->recv_long && room >= SINK_BYTES_MIN ? data : NULL, room};
    int code = await_data(channel, buffer, wait);

    return code != EW_OK && channel->partial.begun ? keep_partial(channel, data, code) : code;
}

/* Anything that take_plain leaves alone. */
static int take_any(ew_channel *channel, void *data, size_t room, size_t *bytes, struct wait wait)
{
    int code = begin_locked(channel, bytes, wait);

    if (code == EW_OK && *bytes > room)
        return ewi_fail(EW_ETOOBIG, "the message has %zu bytes, the buffer %zu; it was kept",
                        *bytes, room);
    return code == EW_OK ? copy_locked(channel, data, wait) : code;
}

int ew_channel_recv(ew_channel *channel, void *data, size_t room, size_t *bytes,
                    int64_t timeout_ns, const void *sigmask)
{
    struct wait wait = ewi_wait_from(timeout_ns, sigmask);
    int code;

    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_context_forked_error(); /* before a lock that nobody in a child gives back */
    code = ewi_channel_take(channel, &channel->recv_lock, wait);
    if (code != EW_OK)
        return timed_out(code);
    code = ewi_channel_usable(channel);
    while (code == EW_OK) {
        int plain = take_plain(channel, data, room, bytes);

        if (plain == EW_OK)
            break;
        if (plain == EW_EAGAIN && timeout_ns != 0 && ewi_channel_link_state(channel) == LINK_UP) {
            ewi_kept_look(channel);
            code = await_message(channel, data, room, wait);
            continue;
        }
        code = take_any(channel, data, room, bytes, wait);
        if (code != EW_EAGAIN || timeout_ns == 0)
            break;
        code = EW_OK; /* the sender gave the message up: the next one */
    }
    if (code == EW_ETIMEOUT && timeout_ns == 0)
        code = EW_EAGAIN;
    ewi_lock_give(&channel->recv_lock);
    return timed_out(code);
}
