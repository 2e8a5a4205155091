/* What people and event loops see of a channel. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/process.h"

static void copy_text(char *to, size_t room, const char *from)
{
    snprintf(to, room, "%s", from);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Under facts_lock: the link is neither released nor replaced meanwhile. */
static void fill_info(ew_channel *channel, ew_channel_info *out)
{
    *out = (ew_channel_info){
        .path = (int32_t)ewi_channel_path(channel),
        .wait = (int32_t)channel->context->wait,
        .opener = channel->opener,
        .message_bytes_max = channel->peer_message_bytes_max,
        .outbox_bytes = channel->outbox_region.bytes,
        .record_bytes_max = channel->record_bytes_max,
        .inbox_bytes = channel->inbox.region.base != NULL ? channel->session.inbox_bytes : 0,
        .outbox_growths = channel->growth.count[GROW_OUTBOX],
        .inbox_growths = channel->growth.count[GROW_INBOX],
    };
    memcpy(out->instance, channel->instance, sizeof(out->instance));
    memcpy(out->channel_id, channel->id, sizeof(out->channel_id));
    copy_text(out->service, sizeof(out->service), channel->service);
    copy_text(out->protocol, sizeof(out->protocol), channel->protocol);
    copy_text(out->peer_address, sizeof(out->peer_address), channel->peer_address);
    copy_text(out->pages, sizeof(out->pages), channel->outbox_region.why);
    channel->ops->describe(channel, out);
    if (channel->context->wait != EW_WAIT_BLOCK && ewi_channel_has_cpus(channel))
        out->spin_ns_max = (int64_t)load(&channel->context->spin_ns);
    out->draining = atomic_load_explicit(&channel->draining, memory_order_relaxed); /* a hint */
    out->number = channel->number;
    out->lost_ns = ewi_channel_is_lost(channel) ? (int64_t)load(&channel->lost_ns) : 0;
    if (out->lost_ns != 0)
        out->lost_ns = (int64_t)ewi_now_ns() - out->lost_ns;
    ewi_lock_enter(&channel->end_lock);
    out->end_code = channel->end_code;
    copy_text(out->end, sizeof(out->end), ewi_channel_end_text(channel));
    ewi_lock_give(&channel->end_lock);
    if (out->end_code == EW_OK &&
        atomic_load_explicit(&channel->shut, memory_order_acquire) != CHANNEL_OPEN) { /* C4 */
        out->end_code = EW_ECLOSED;
        copy_text(out->end, sizeof(out->end), "closed here");
    }
}

int ew_channel_get_info(ew_channel *channel, ew_channel_info *out)
{
    if (ewi_context_is_forked(channel->context))
        return ewi_context_forked_error();
    ewi_lock_enter(&channel->facts_lock);
    fill_info(channel, out);
    ewi_lock_give(&channel->facts_lock);
    return EW_OK;
}

/* Bytes of records that are here and not received. Bounded by the ring, whatever a peer writes,
 * and by records_max. */
static uint64_t unread_bytes(const ew_channel *channel, uint64_t records_max)
{
    struct ring_reader reader = channel->reader; /* a view of its own: nothing is taken */
    uint64_t begin = reader.position;
    struct record record;
    const uint8_t *payload;

    while (records_max-- > 0 && reader.position - begin < reader.ring_bytes &&
           ewi_ring_peek(&reader, &record, &payload) == EW_OK)
        ewi_ring_consume(&reader, record);
    return reader.position - begin;
}

/* The last links' changes are few and small: a copy under the lock. */
int ew_channel_get_path_changes(ew_channel *channel, ew_path_change *out, uint32_t room)
{
    uint64_t count, first;
    uint32_t given = 0;

    if (ewi_context_is_forked(channel->context))
        return ewi_context_forked_error();
    ewi_lock_enter(&channel->facts_lock);
    count = load(&channel->changes_count);
    first = count - ewi_min_u64(ewi_min_u64(count, EW_PATH_CHANGES_KEPT), room);
    for (uint64_t at = first; at < count; at++)
        out[given++] = channel->spare->changes[at % EW_PATH_CHANGES_KEPT];
    ewi_lock_give(&channel->facts_lock);
    return (int)given;
}

/* The thread that waits for the link, and those that wait behind it for the lock. */
static uint32_t waiting(const _Atomic uint32_t *first, const struct lock *lock)
{
    return atomic_load_explicit(first, memory_order_relaxed) +
           atomic_load_explicit(&lock->waiters, memory_order_relaxed);
}

/* What needs the lock of a direction; a thread at work there: unknown. Under facts_lock. */
static void fill_unread(ew_channel *channel, uint64_t records_max, ew_channel_stats *out)
{
    const struct wait none = {.deadline_ns = 0};

    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) == CHANNEL_CLOSED) /* facts_lock */
        return;
    if (ewi_lock_take(&channel->send_lock, none) == EW_OK) {
        ewi_channel_refresh_room(channel);
        out->send_free_bytes = ewi_ring_bytes_free(&channel->writer);
        ewi_lock_give(&channel->send_lock);
    }
    if (ewi_lock_take(&channel->recv_lock, none) == EW_OK) {
        out->recv_unread_bytes = unread_bytes(channel, records_max);
        ewi_lock_give(&channel->recv_lock);
    }
}

static bool has_cpus(const struct channel_spin *spin)
{
    return atomic_load_explicit(&spin->has_cpus, memory_order_relaxed); /* a value */
}

/* Under facts_lock: the link is not released meanwhile. */
static void fill_stats(ew_channel *channel, ew_channel_stats *out)
{
    *out = (ew_channel_stats){
        .messages_sent = load(&channel->messages_sent),
        .messages_received = load(&channel->messages_received),
        .bytes_sent = load(&channel->bytes_sent),
        .bytes_received = load(&channel->bytes_received),
        .send_blocked_ns = (int64_t)load(&channel->send_blocked_ns),
        .sleeps = load(&channel->sleeps),
        .wakeups = load(&channel->wakeups),
        .send_waiting = waiting(&channel->send_waiting, &channel->send_lock),
        .recv_waiting = waiting(&channel->recv_waiting, &channel->recv_lock),
        .spins_paid = load(&channel->recv_spin.paid) + load(&channel->send_spin.paid),
        .spins_lost = load(&channel->recv_spin.lost) + load(&channel->send_spin.lost),
        .spin_lost_ns = (int64_t)(load(&channel->recv_spin.lost_ns) + load(&channel->send_spin.lost_ns)),
        .spin_ns_max = has_cpus(&channel->recv_spin) || has_cpus(&channel->send_spin)
                           ? (int64_t)load(&channel->context->spin_ns)
                           : 0,
        .position_sent = load(&channel->position_sent),
        .path_changes = load(&channel->changes_count),
    };
    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_CLOSED) { /* facts_lock */
        out->position_peer_consumed = channel->ops->peer_consumed(channel); /* before taken: F2 */
        out->position_peer_taken =
            ewi_min_u64(channel->ops->peer_held(channel), out->position_sent);
        out->position_taken = load(channel->taken_word);
        out->kicks = channel->ops->drives ? 0 : load(&channel->link->local.bell.kicks);
        if (out->position_sent >= out->position_peer_consumed)
            out->send_unread_bytes = out->position_sent - out->position_peer_consumed;
    }
}

int ew_channel_get_stats(ew_channel *channel, ew_channel_stats *out)
{
    if (ewi_context_is_forked(channel->context))
        return ewi_context_forked_error();
    ewi_lock_enter(&channel->facts_lock);
    fill_stats(channel, out);
    fill_unread(channel, UINT64_MAX, out);
    ewi_lock_give(&channel->facts_lock);
    return EW_OK;
}

int ewi_channel_look(ew_channel *channel, bool whole, struct channel_look *out)
{
    int code = ewi_lock_take(&channel->facts_lock, (struct wait){.deadline_ns = 0});

    if (code != EW_OK)
        return code;
    fill_info(channel, &out->info);
    fill_stats(channel, &out->stats);
    out->note[0] = '\0';
    if (whole) {
        fill_unread(channel, CHANNEL_LOOK_RECORDS_MAX, &out->stats);
        copy_text(out->note, sizeof(out->note), channel->note != NULL ? channel->note : "");
    }
    ewi_lock_give(&channel->facts_lock);
    return EW_OK;
}

static int check_note(const char *json, size_t length)
{
    if (length > CHANNEL_NOTE_BYTES_MAX)
        return ewi_fail(EW_EINVAL, "a note of %zu bytes, at most %d; the old one stays", length,
                        CHANNEL_NOTE_BYTES_MAX);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)json[i] < 0x20 || json[i] == 0x7f)
            return ewi_fail(EW_EINVAL, "a note with a control character at byte %zu", i);
    return EW_OK;
}

int ew_channel_set_note(ew_channel *channel, const char *json)
{
    char *copy = NULL, *old;
    int code;

    if (ewi_context_is_forked(channel->context))
        return ewi_context_forked_error();
    code = json != NULL ? check_note(json, strlen(json)) : EW_OK;
    if (code != EW_OK)
        return code;
    if (json != NULL && (copy = strdup(json)) == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a note");
    ewi_lock_enter(&channel->facts_lock);
    old = channel->note;
    channel->note = copy;
    ewi_lock_give(&channel->facts_lock);
    free(old);
    return EW_OK;
}

/* What came before the descriptor was armed is not announced any more. A receiver at work: unknown,
 * and readable without reason is allowed. */
static bool may_have_data(ew_channel *channel)
{
    const struct wait none = {.deadline_ns = 0};
    bool unread = true;

    if (ewi_lock_take(&channel->recv_lock, none) == EW_OK) {
        unread = channel->partial.begun || unread_bytes(channel, 1) > 0;
        ewi_lock_give(&channel->recv_lock);
    }
    return unread || ewi_channel_link_state(channel) != LINK_UP;
}

static int watch(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? EW_OK : -errno;
}

static int make_epoll(ew_channel *channel)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int note_fd = ewi_process_eventfd();
    int code = note_fd;

    if (epoll_fd >= 0 && note_fd >= 0)
        code = watch(epoll_fd, note_fd);
    if (epoll_fd >= 0 && code == EW_OK)
        code = ewi_process_add_fd(epoll_fd);
    if (epoll_fd < 0 || code != EW_OK) {
        if (epoll_fd >= 0)
            close(epoll_fd);
        ewi_process_close_fd(note_fd);
        return ewi_fail(epoll_fd < 0 || code >= 0 ? EW_EMEMORY : code,
                        "no descriptor for the channel");
    }
    atomic_store_explicit(&channel->note_fd, note_fd, memory_order_release); /* D3, pairs with D4 */
    atomic_store_explicit(&channel->epoll_fd, epoll_fd, memory_order_relaxed);
    (void)watch(epoll_fd, channel->ops->watch_fd(channel)); /* of a lost link: nothing to watch */
    if (may_have_data(channel))
        ewi_channel_note(channel);
    return epoll_fd;
}

void ewi_channel_note(ew_channel *channel)
{
    int note_fd = ewi_channel_note_fd(channel);
    const uint64_t one = 1;

    if (note_fd >= 0 && write(note_fd, &one, sizeof(one)) < 0)
        EWI_ASSERT(errno == EAGAIN); /* readable already */
}

void ewi_channel_quieten(ew_channel *channel)
{
    int note_fd = ewi_channel_note_fd(channel);
    uint64_t ignored;

    if (note_fd >= 0 && read(note_fd, &ignored, sizeof(ignored)) < 0)
        EWI_ASSERT(errno == EAGAIN);
}

void ewi_channel_unwatch(ew_channel *channel, int fd)
{
    int epoll_fd = atomic_load_explicit(&channel->epoll_fd, memory_order_relaxed); /* or the next look */

    if (epoll_fd >= 0)
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int ew_channel_fileno(ew_channel *channel)
{
    int fd;

    if (ewi_context_is_forked(channel->context))
        return ewi_context_forked_error();
    ewi_lock_enter(&channel->facts_lock);
    fd = ewi_channel_usable(channel);
    if (fd == EW_OK)
        fd = atomic_load_explicit(&channel->epoll_fd, memory_order_relaxed);
    if (fd == -1)
        fd = make_epoll(channel);
    ewi_lock_give(&channel->facts_lock);
    return fd;
}

void ewi_channel_release_fileno(ew_channel *channel)
{
    ewi_process_close_fd(atomic_load_explicit(&channel->epoll_fd, memory_order_relaxed));
    ewi_process_close_fd(ewi_channel_note_fd(channel));
    atomic_store_explicit(&channel->note_fd, -1, memory_order_relaxed); /* nobody is here any more */
    atomic_store_explicit(&channel->epoll_fd, -1, memory_order_relaxed);
}
