/* Sending: messages become records in our own ring. */
#include "transport/channel/channel.h"

#include "shm/copy.h"
#include "transport/context.h"
#include "transport/error.h"

struct cursor { /* where in the caller's parts the next byte is */
    const ew_part *parts;
    size_t parts_count, part, at;
    enum stores_way way;
};

static void gather(struct cursor *cursor, uint8_t *to, uint64_t bytes)
{
    while (bytes > 0) {
        const ew_part *part = &cursor->parts[cursor->part];
        uint64_t length = ewi_min_u64(part->bytes - cursor->at, bytes);

        if (cursor->way == STORES_PAST)
            ewi_copy_past(to, (const uint8_t *)part->data + cursor->at, length);
        else
            ewi_copy(to, (const uint8_t *)part->data + cursor->at, length);
        to += length;
        bytes -= length;
        cursor->at += length;
        if (cursor->at == part->bytes) {
            cursor->part += 1;
            cursor->at = 0;
        }
        EWI_ASSERT(bytes == 0 || cursor->part < cursor->parts_count);
    }
}

/* The sum of the parts, or UINT64_MAX if it overflows. */
static uint64_t total_bytes(const ew_part *parts, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(total, parts[i].bytes, &total))
            return UINT64_MAX;
    return total;
}

void ewi_channel_refresh_room(ew_channel *channel)
{
    uint64_t taken = atomic_load_explicit(channel->freed_word, memory_order_acquire); /* T2 / F2 */

    if (taken < channel->moved_at) /* it reads what came over the link before */
        return;
    if (ewi_ring_free(&channel->writer, taken) != EW_OK)
        ewi_channel_break(channel, EW_EPROTO, "the peer announced a position it cannot have");
}

static int check_can_send(ew_channel *channel)
{
    uint32_t ended;
    int code = ewi_channel_usable(channel);

    if (code != EW_OK)
        return code;
    if (channel->eof_sent)
        return ewi_fail(EW_ECLOSED, "send after send_eof");
    ended = atomic_load_explicit(channel->ended_word, memory_order_acquire); /* E2 / F2 */
    if (__builtin_expect(ended == OUTBOX_OPEN && ewi_channel_link_state(channel) == LINK_UP, 1))
        return EW_OK;
    if (ended == OUTBOX_CLOSED)
        return ewi_fail(EW_EEND, "the peer has closed the channel");
    return ewi_channel_end_reason(channel);
}

static uint8_t *reserve(ew_channel *channel, uint32_t payload_bytes)
{
    uint8_t *room = ewi_ring_reserve(&channel->writer, payload_bytes);

    if (__builtin_expect(room != NULL, 1))
        return room;
    ewi_channel_refresh_room(channel);
    return ewi_ring_reserve(&channel->writer, payload_bytes);
}

/* Until so much payload fits, or the reason why it will not. */
static int wait_for_room(ew_channel *channel, uint32_t payload_bytes, struct wait wait)
{
    uint64_t before;
    int code;

    atomic_store_explicit(&channel->growth.no_room, true, memory_order_relaxed); /* a hint */
    if (wait.deadline_ns == 0)
        return EW_EAGAIN;
    before = ewi_now_ns();
    atomic_store_explicit(&channel->send_waiting, 1, memory_order_relaxed); /* for stats */
    code = ewi_channel_wait(channel, WANT_SPACE, payload_bytes, wait);
    atomic_store_explicit(&channel->send_waiting, 0, memory_order_relaxed); /* for stats */
    atomic_fetch_add_explicit(&channel->send_blocked_ns, ewi_now_ns() - before,
                              memory_order_relaxed);
    return code == EW_OK ? check_can_send(channel) : code;
}

static void count_sent(ew_channel *channel, uint64_t messages, uint64_t bytes)
{
    /* Only the lock's holder writes them; others may read. */
    uint64_t sent = atomic_load_explicit(&channel->messages_sent, memory_order_relaxed);
    uint64_t total = atomic_load_explicit(&channel->bytes_sent, memory_order_relaxed);

    atomic_store_explicit(&channel->messages_sent, sent + messages, memory_order_relaxed);
    atomic_store_explicit(&channel->bytes_sent, total + bytes, memory_order_relaxed);
    atomic_store_explicit(&channel->position_sent, channel->writer.position, memory_order_relaxed);
}

static int send_whole(ew_channel *channel, struct cursor *cursor, uint32_t bytes, struct wait wait)
{
    uint8_t *room;
    int code;

    while ((room = reserve(channel, bytes)) == NULL) {
        code = wait_for_room(channel, bytes, wait);
        if (code != EW_OK)
            return code;
    }
    gather(cursor, room, bytes);
    EWI_CRASH_POINT("send.before_commit");
    ewi_ring_commit(&channel->writer, bytes, 0);
    EWI_CRASH_POINT("send.after_commit");
    return EW_OK;
}

/* The next fragment's payload: as much as fits, but not crumbs. 0: wait. */
static uint32_t fragment_bytes(ew_channel *channel, uint64_t left)
{
    uint32_t most = channel->writer.record_bytes_max - RECORD_HEADER_BYTES;
    uint64_t wanted = ewi_min_u64(left, most);
    uint32_t room = ewi_ring_room(&channel->writer);

    if (room < wanted) {
        ewi_channel_refresh_room(channel);
        room = ewi_ring_room(&channel->writer);
    }
    if (room >= wanted)
        return (uint32_t)wanted;
    return room >= most / 2 ? room : 0;
}

/* In the way that is faster now: stores.h. */
static void gather_fragment(ew_channel *channel, struct cursor *cursor, uint8_t *to, uint32_t bytes)
{
    bool timed = false;
    uint64_t begin;

    cursor->way = STORES_THROUGH;
    if (bytes >= STORES_BYTES_MIN)
        cursor->way = ewi_stores_next(&channel->stores, &timed);
    begin = timed ? ewi_now_ns() : 0;
    gather(cursor, to, bytes);
    if (timed)
        ewi_stores_took(&channel->stores, cursor->way, bytes, ewi_now_ns() - begin);
}

static void give_up_message(ew_channel *channel)
{
    int code = ewi_ring_commit_control(&channel->writer, RECORD_ABORT);

    EWI_ASSERT(code == EW_OK); /* shm/ring.h I3: the reserve has room for it */
    channel->ops->committed(channel);
}

/* From the cursor's place on. EW_EINTR half way leaves `left` and the cursor for the next call. */
static int send_fragments(ew_channel *channel, struct cursor *cursor, uint64_t total,
                          uint64_t *left, struct wait wait)
{
    while (*left > 0) {
        bool first = *left == total;
        uint32_t prefix = first ? RECORD_TOTAL_BYTES : 0;
        uint32_t bytes = fragment_bytes(channel, *left + prefix);
        uint8_t *room;
        uint8_t flags;
        int code;

        if (bytes <= prefix) {
            uint32_t most = channel->writer.record_bytes_max - RECORD_HEADER_BYTES;

            code = wait_for_room(channel, (uint32_t)ewi_min_u64(*left + prefix, most / 2), wait);
            if (code != EW_OK)
                return code;
            continue;
        }
        room = ewi_ring_reserve(&channel->writer, bytes);
        EWI_ASSERT(room != NULL);
        if (first)
            memcpy(room, &total, RECORD_TOTAL_BYTES);
        gather_fragment(channel, cursor, room + prefix, bytes - prefix);
        *left -= bytes - prefix;
        flags = (uint8_t)((first ? RECORD_TOTAL : 0) | (*left > 0 ? RECORD_MORE : 0));
        EWI_CRASH_POINT("send.before_fragment");
        ewi_ring_commit(&channel->writer, bytes, flags);
        channel->ops->committed(channel);
    }
    return EW_OK;
}

/* The send that was interrupted half way; its thread keeps the lock. NULL: none. */
static const ew_part *suspended(const ew_channel *channel)
{
    return atomic_load_explicit(&channel->suspended.parts, memory_order_relaxed);
}

static void suspend(ew_channel *channel, const ew_part *parts)
{
    atomic_store_explicit(&channel->suspended.parts, parts, memory_order_relaxed);
}

/* Without waiting, a long message is begun only if all of it fits: it cannot be sent by halves. */
bool ewi_channel_fits_now(ew_channel *channel, uint64_t total)
{
    uint32_t most = channel->writer.record_bytes_max - RECORD_HEADER_BYTES;
    uint64_t records = total / (most / 2) + 2;

    ewi_channel_refresh_room(channel);
    return total + records * 2 * RECORD_HEADER_BYTES + channel->writer.record_bytes_max <=
           ewi_ring_bytes_free(&channel->writer);
}

/* by_steps: the caller calls again, as after a signal. */
static int send_long(ew_channel *channel, struct cursor *cursor, uint64_t total, uint64_t left,
                     struct wait wait, bool by_steps)
{
    int code = send_fragments(channel, cursor, total, &left, wait);
    bool later = code == EW_EINTR || (by_steps && (code == EW_EAGAIN || code == EW_ETIMEOUT));

    suspend(channel, NULL);
    if (code == EW_OK || left == total)
        return code;
    if (later) { /* or ew_channel_send_cancel */
        suspend(channel, cursor->parts);
        channel->suspended.parts_count = cursor->parts_count;
        channel->suspended.part = cursor->part;
        channel->suspended.part_at = cursor->at;
        channel->suspended.left = left;
        channel->suspended.thread = pthread_self();
        ewi_freeze_offer(channel, FREEZE_SEND); /* the link may change while it is away */
        return code;
    }
    if (ewi_channel_link_state(channel) == LINK_UP)
        give_up_message(channel);
    return code;
}

static int too_big(const ew_channel *channel, uint64_t total)
{
    return ewi_fail(EW_ETOOBIG, "message of %llu bytes: the peer takes at most %llu (its "
                                "message_bytes_max)",
                    (unsigned long long)total, (unsigned long long)channel->peer_message_bytes_max);
}

static bool fits_one_record(const ew_channel *channel, uint64_t total)
{
    return total <= channel->record_bytes_max - RECORD_HEADER_BYTES;
}

static int timed_out(int code, const char *what)
{
    if (code == EW_ETIMEOUT)
        return ewi_fail(code, "%s: no room before the timeout; nothing was sent", what);
    return code;
}

static int send_parts(ew_channel *channel, const ew_part *parts, size_t parts_count,
                      struct wait wait, bool by_steps)
{
    struct cursor cursor = {.parts = parts, .parts_count = parts_count};
    uint64_t total = total_bytes(parts, parts_count);
    uint64_t left = total;
    int code;

    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_context_forked_error(); /* before a lock that nobody in a child gives back */
    if (parts != NULL && suspended(channel) == parts) { /* our thread holds the lock */
        bool may_wait = !by_steps || wait.deadline_ns != 0;

        if (!may_wait && !ewi_freeze_try_reclaim(channel, FREEZE_SEND))
            return EW_EAGAIN; /* its end makes fileno() readable */
        if (may_wait)
            ewi_freeze_reclaim(channel, FREEZE_SEND);
        EWI_ASSERT(channel->suspended.parts_count == parts_count);
        cursor.part = channel->suspended.part;
        cursor.at = channel->suspended.part_at;
        left = channel->suspended.left;
    } else {
        if (total > channel->peer_message_bytes_max)
            return too_big(channel, total);
        code = ewi_channel_take(channel, &channel->send_lock, wait);
        if (code != EW_OK)
            return timed_out(code, "send");
    }
    code = check_can_send(channel);
    if (code == EW_OK && fits_one_record(channel, total)) {
        code = send_whole(channel, &cursor, (uint32_t)total, wait);
        if (code == EW_OK)
            channel->ops->committed(channel);
    } else if (code == EW_OK && wait.deadline_ns == 0 && !by_steps &&
               !ewi_channel_fits_now(channel, total)) {
        code = EW_EAGAIN;
    } else if (code == EW_OK) {
        code = send_long(channel, &cursor, total, left, wait, by_steps);
    } else {
        suspend(channel, NULL);
    }
    if (code == EW_OK)
        count_sent(channel, 1, total);
    if (suspended(channel) == NULL)
        ewi_lock_give(&channel->send_lock);
    return timed_out(code, "send");
}

int ew_channel_send_parts(ew_channel *channel, const ew_part *parts, size_t parts_count,
                          int64_t timeout_ns, const void *sigmask)
{
    return send_parts(channel, parts, parts_count, ewi_wait_from(timeout_ns, sigmask), false);
}

int ew_channel_send_step(ew_channel *channel, const ew_part *parts, size_t parts_count,
                         int64_t timeout_ns, const void *sigmask)
{
    struct wait wait = ewi_wait_from(timeout_ns, sigmask);
    int code = send_parts(channel, parts, parts_count, wait, true);

    return code == EW_ETIMEOUT ? EW_EAGAIN : code;
}

bool ewi_channel_is_suspended_here(const ew_channel *channel)
{
    return suspended(channel) != NULL && pthread_equal(channel->suspended.thread, pthread_self());
}

void ew_channel_send_cancel(ew_channel *channel, const ew_part *parts)
{
    if (parts == NULL || ewi_context_is_forked(channel->context) || suspended(channel) != parts)
        return;
    ewi_freeze_reclaim(channel, FREEZE_SEND);
    suspend(channel, NULL);
    if (ewi_channel_link_state(channel) == LINK_UP)
        give_up_message(channel);
    ewi_lock_give(&channel->send_lock);
}

int ew_channel_send(ew_channel *channel, const void *data, size_t bytes, int64_t timeout_ns,
                    const void *sigmask)
{
    struct wait wait = ewi_wait_from(timeout_ns, sigmask);
    uint8_t *room;
    int code;

    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_context_forked_error(); /* before a lock that nobody in a child gives back */
    if (!fits_one_record(channel, bytes) || bytes > channel->peer_message_bytes_max) {
        const ew_part part = {.data = data, .bytes = bytes};

        wait.sigmask = NULL; /* a part on our stack cannot be suspended: signals wait */
        return ew_channel_send_parts(channel, &part, 1, timeout_ns, NULL);
    }
    code = ewi_channel_take(channel, &channel->send_lock, wait);
    if (code != EW_OK)
        return timed_out(code, "send");
    code = check_can_send(channel);
    while (code == EW_OK && (room = reserve(channel, (uint32_t)bytes)) == NULL)
        code = wait_for_room(channel, (uint32_t)bytes, wait);
    if (code == EW_OK) {
        if (bytes > 0)
            ewi_copy(room, data, bytes);
        EWI_CRASH_POINT("send.before_commit");
        ewi_ring_commit(&channel->writer, (uint32_t)bytes, 0);
        EWI_CRASH_POINT("send.after_commit");
        channel->ops->committed(channel);
        count_sent(channel, 1, bytes);
    }
    ewi_lock_give(&channel->send_lock);
    return timed_out(code, "send");
}

int64_t ew_channel_send_many(ew_channel *channel, const ew_part *messages, size_t count,
                             int64_t timeout_ns, const void *sigmask)
{
    struct wait wait = ewi_wait_from(timeout_ns, sigmask);
    const struct wait none = {.deadline_ns = 0};
    uint64_t bytes = 0;
    size_t sent = 0;
    int code;

    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_context_forked_error(); /* before a lock that nobody in a child gives back */
    if (count == 0)
        return 0;
    if (!fits_one_record(channel, messages[0].bytes)) { /* a long one goes alone */
        code = ew_channel_send_parts(channel, messages, 1, timeout_ns, sigmask);
        return code == EW_OK ? 1 : code;
    }
    code = ewi_channel_take(channel, &channel->send_lock, wait);
    if (code != EW_OK)
        return timed_out(code, "send_many");
    code = check_can_send(channel);
    while (code == EW_OK && sent < count && fits_one_record(channel, messages[sent].bytes)) {
        struct cursor cursor = {.parts = &messages[sent], .parts_count = 1};

        if (messages[sent].bytes > channel->peer_message_bytes_max) {
            code = sent == 0 ? too_big(channel, messages[sent].bytes) : EW_OK;
            break;
        }
        code = send_whole(channel, &cursor, (uint32_t)messages[sent].bytes, sent == 0 ? wait : none);
        if (code != EW_OK)
            break;
        bytes += messages[sent++].bytes;
    }
    if (sent > 0) {
        channel->ops->committed(channel);
        count_sent(channel, sent, bytes);
    }
    ewi_lock_give(&channel->send_lock);
    return sent > 0 ? (int64_t)sent : timed_out(code, "send_many");
}

int ew_channel_send_eof(ew_channel *channel)
{
    int code;

    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_context_forked_error(); /* before a lock that nobody in a child gives back */
    ewi_lock_enter(&channel->send_lock);
    code = ewi_channel_usable(channel);
    if (code == EW_OK && !channel->eof_sent) {
        code = ewi_ring_commit_control(&channel->writer, RECORD_EOF);
        EWI_ASSERT(code == EW_OK); /* shm/ring.h I3 */
        channel->eof_sent = true;
        channel->ops->committed(channel);
        channel->ops->settle(channel); /* no more follows that it could wait for */
    }
    ewi_lock_give(&channel->send_lock);
    return code;
}

static int await_consumed(ew_channel *channel, uint64_t position, struct wait wait)
{
    for (;;) {
        int code = ewi_channel_usable(channel);

        if (code != EW_OK || channel->ops->peer_consumed(channel) >= position)
            return code;
        if (ewi_channel_link_state(channel) != LINK_UP)
            return ewi_channel_end_reason(channel);
        if (wait.deadline_ns == 0)
            return EW_EAGAIN;
        code = ewi_channel_wait(channel, WANT_CONSUMED, position, wait);
        if (code == EW_ETIMEOUT)
            return ewi_fail(code, "flush: the peer has not taken everything yet");
        if (code != EW_OK)
            return code;
    }
}

int ew_channel_flush(ew_channel *channel, int64_t timeout_ns, const void *sigmask)
{
    struct wait wait = ewi_wait_from(timeout_ns, sigmask);
    uint64_t position;
    int code;

    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_context_forked_error(); /* before a lock that nobody in a child gives back */
    code = ewi_channel_take(channel, &channel->send_lock, wait);
    if (code != EW_OK)
        return timed_out(code, "flush");
    position = channel->writer.position;
    code = ewi_channel_usable(channel);
    if (code == EW_OK)
        channel->ops->settle(channel); /* whoever waits in another flush */
    ewi_lock_give(&channel->send_lock);
    if (code != EW_OK)
        return code;
    code = ewi_channel_take(channel, &channel->drain_lock, wait);
    if (code != EW_OK)
        return timed_out(code, "flush");
    code = await_consumed(channel, position, wait);
    ewi_lock_give(&channel->drain_lock);
    return code;
}
