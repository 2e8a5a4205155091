#include "transport/channel/move.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "transport/channel/kept.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/local/open.h"
#include "transport/local/process_watch.h"
#include "transport/stream/link.h"

int ewi_move_begin(ew_channel *channel, bool local, const char *reason, struct move *out)
{
    *out = (struct move){.channel = channel, .local = local, .began_ns = ewi_now_ns()};
    snprintf(out->reason, sizeof(out->reason), "%s", reason);
    if (channel->spare == NULL)
        channel->spare = calloc(1, sizeof(*channel->spare));
    if (channel->spare == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a channel that moves");
    out->link = channel->link == &channel->first_link ? &channel->spare->link
                                                      : &channel->first_link;
    return EW_OK;
}

struct lock *ewi_move_session_lock(ew_channel *channel)
{
    return channel->ops == &ewi_stream_link ? &channel->link->stream.drive_lock : NULL;
}

/* Up to where we have the peer's records. */
static uint64_t taken_by(const ew_channel *channel)
{
    if (channel->ops == &ewi_stream_link)
        return channel->session.taken;
    return channel->has_after ? channel->after.position : channel->reader.position;
}

int ewi_move_settle(ew_channel *channel)
{
    struct session_facts facts;
    uint64_t read; /* by the peer's application: less than taken while it reads its inbox */

    ewi_channel_refresh_room(channel);
    if (!ewi_ring_is_boundary(&channel->writer, channel->writer.position)) /* from `freed` on */
        return ewi_channel_break(channel, EW_EPROTO, "the peer took half a record");
    if (channel->ops != &ewi_local_link)
        return EW_OK;
    read = atomic_load_explicit(channel->freed_word, memory_order_relaxed); /* only the value counts */
    facts = (struct session_facts){.sent = channel->writer.position,
                                   .peer_taken = channel->writer.freed,
                                   .peer_consumed = ewi_min_u64(read, channel->writer.freed),
                                   .taken = taken_by(channel),
                                   .peer_eof = channel->got_eof,
                                   .peer_closed = channel->got_close};
    ewi_session_learn(&channel->session, &facts);
    return EW_OK;
}

int ewi_move_fill(struct move *move, uint64_t from)
{
    ew_channel *channel = move->channel;
    char error[160];
    int code = ewi_region_create(&ewi_os_default, &channel->context->budget, REGION_SHARED,
                                 channel->outbox_region.bytes, channel->context->pages,
                                 &move->outbox, error);

    if (code != EW_OK)
        return ewi_fail(code, "a channel's outbox: %s", error);
    ewi_ring_writer_init(&move->writer, ewi_outbox_init(move->outbox.base, move->outbox.bytes)->ring,
                         ewi_outbox_ring_bytes(move->outbox.bytes), from);
    ewi_ring_copy(&move->writer, &channel->writer, from);
    EWI_CRASH_POINT("move.after_fill");
    move->filled = true;
    return EW_OK;
}

void ewi_move_say(const struct move *move, uint64_t start, struct hello *hello)
{
    ew_channel *channel = move->channel;
    uint64_t consumed = channel->reader.position;
    struct wire_ack ack = ewi_session_greeting(&channel->session, consumed);

    hello->taken = ack.taken;
    hello->limit = ack.limit;
    hello->start = start;
    if (move->local)
        hello->outbox_bytes = move->outbox.bytes; /* its ring begins with the record at start */
}

uint64_t ewi_move_start(const struct move *move, const struct hello *hello)
{
    const ew_channel *channel = move->channel;

    /* An ACK may have overtaken it. */
    return ewi_max_u64(hello->taken, ewi_max_u64(channel->session.peer_taken, channel->writer.freed));
}

int ewi_move_judge(const struct move *move, const struct hello *hello)
{
    ew_channel *channel = move->channel;

    if (!ewi_ring_is_boundary(&channel->writer, ewi_move_start(move, hello)) ||
        (move->local && (hello->start > channel->session.taken || hello->offset != 0)))
        return ewi_fail(EW_EPROTO, "the peer says that it is where it cannot be");
    return EW_OK;
}

/* ---- adopt ---- */

/* Our records lie in other memory from now on. */
static void take_outbox(struct move *move)
{
    ew_channel *channel = move->channel;
    uint64_t taken = channel->reader.position;

    channel->outbox_region = move->outbox;
    channel->outbox = move->outbox.base;
    channel->writer = move->writer;
    channel->writer.record_bytes_max = channel->record_bytes_max; /* the new ring is not smaller */
    atomic_store_explicit(&channel->outbox->taken, taken, memory_order_relaxed); /* nothing was read */
    ewi_region_forget_fd(&ewi_os_default, &channel->outbox_region);
    move->filled = false;
}

/* Where the peer's records begin on the new link, up to what we have. */
static int reader_at(const struct channel_link *link, uint64_t taken, struct ring_reader *out)
{
    struct record record;
    const uint8_t *payload;

    ewi_local_link_reader(link, out);
    if (out->position > taken || taken - out->position > out->ring_bytes)
        return EW_EPROTO;
    while (out->position < taken) {
        if (ewi_ring_peek(out, &record, &payload) != EW_OK)
            return EW_EPROTO;
        ewi_ring_consume(out, record);
    }
    return out->position == taken ? EW_OK : EW_EPROTO;
}

static int adopt_local(struct move *move)
{
    ew_channel *channel = move->channel;
    uint64_t taken = taken_by(channel);
    struct ring_reader reader;

    if (reader_at(move->link, taken, &reader) != EW_OK)
        return ewi_fail(EW_EPROTO, "the peer's ring does not begin where it says");
    take_outbox(move);
    ewi_kept_drop(channel);
    ewi_local_link_adopt(channel, move->link);
    channel->has_after = channel->reader.position != taken; /* first what is in the inbox */
    if (channel->has_after)
        channel->after = reader;
    else
        channel->reader = reader;
    return EW_OK;
}

static void adopt_stream(struct move *move, const struct hello *peer)
{
    ew_channel *channel = move->channel;
    struct ring_writer *inbox = &channel->inbox.writer;
    uint64_t taken = channel->session.taken;
    bool closing = /* at rest: the value counts */
        atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_OPEN;

    if (channel->ops == &ewi_local_link && !closing)
        ewi_kept_keep(channel, channel->link, channel->has_after ? &channel->after : &channel->reader);
    /* The inbox is empty, or nobody reads it any more: a closing end dropped what arrived. */
    if (closing || (channel->ops == &ewi_local_link && !channel->has_after)) {
        ewi_ring_rebase(inbox, taken);
        ewi_ring_reader_init(&channel->reader, inbox->bytes, inbox->ring_bytes, inbox->offset,
                             taken);
        channel->reader.record_bytes_max = RECORD_BYTES_MAX;
    }
    channel->has_after = false; /* the peer sends it again on the stream */
    EWI_ASSERT(inbox->position == taken);
    /* at rest: the locks order all of this */
    atomic_store_explicit(&channel->consumed, channel->reader.position, memory_order_relaxed);
    atomic_store_explicit(&channel->peer_taken, channel->session.peer_taken, memory_order_relaxed);
    atomic_store_explicit(&channel->released, channel->writer.freed, memory_order_relaxed);
    atomic_store_explicit(&channel->peer_consumed, channel->session.peer_consumed,
                          memory_order_relaxed);
    ewi_stream_link_adopt(channel, move->link, peer->limit);
}

static void note_change(struct move *move, ew_path from, bool lost)
{
    ew_channel *channel = move->channel;
    uint64_t now = ewi_now_ns(), since = channel->lost_ns != 0 ? channel->lost_ns : move->began_ns;
    ew_path_change *changes = channel->spare->changes;
    ew_path_change *change = &changes[channel->changes_count++ % EW_PATH_CHANGES_KEPT];

    *change = (ew_path_change){.generation = channel->session.generation,
                               .from = (int32_t)from,
                               .to = (int32_t)ewi_channel_path(channel),
                               .lost = lost,
                               .at_ns = (int64_t)now,
                               .took_ns = (int64_t)(now - since)};
    snprintf(change->reason, sizeof(change->reason), "%s", move->reason);
}

static void take_address(struct move *move)
{
    if (move->address == NULL)
        return;
    free(move->channel->peer_address);
    move->channel->peer_address = move->address;
    move->address = NULL;
}

/* The descriptor of fileno() stays; what it watches does not. */
static void watch_new_link(ew_channel *channel, int old_fd)
{
    int epoll_fd = atomic_load_explicit(&channel->epoll_fd, memory_order_relaxed); /* facts_lock */
    struct epoll_event event = {.events = EPOLLIN};

    if (epoll_fd < 0)
        return;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, old_fd, NULL);
    (void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, channel->ops->watch_fd(channel), &event);
}

int ewi_move_adopt(struct move *move, const struct hello *peer, bool dialled)
{
    ew_channel *channel = move->channel;
    struct channel_link *old = channel->link;
    const struct link_ops *old_ops = channel->ops;
    struct region old_outbox = channel->outbox_region;
    const ew_path from = ewi_channel_path(channel);
    bool lost = ewi_channel_is_lost(channel);
    int old_fd;

    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) == CHANNEL_CLOSED || /* facts_lock */
        ewi_channel_link_state(channel) != LINK_UP)
        return ewi_fail(EW_ECLOSED, "the channel ended while it moved");
    old_fd = old_ops->watch_fd(channel);
    if (move->local) {
        int code = adopt_local(move);

        if (code != EW_OK)
            return code;
        ewi_region_release(&ewi_os_default, &old_outbox);
    } else {
        adopt_stream(move, peer);
    }
    move->prepared = false;
    channel->head.known = false; /* it points to where the peer's records were */
    channel->space_looked = channel->reader.position;
    channel->moved_at = channel->writer.freed;
    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_OPEN) /* facts_lock */
        channel->ops->closing(channel);
    watch_new_link(channel, old_fd);
    take_address(move);
    note_change(move, from, lost);
    ewi_resume_found(channel);
    ewi_context_tell(channel);
    if (dialled)
        old_ops->release(channel, old);
    else
        old_ops->retire(channel, old);
    if (move->local)
        ewi_local_link_look(channel);
    EWI_CRASH_POINT("move.after_adopt");
    return EW_OK;
}

void ewi_move_abandon(struct move *move)
{
    if (move->prepared && move->local)
        ewi_local_link_abandon(move->channel, move->link);
    else if (move->prepared)
        ewi_stream_link_abandon(move->link);
    if (move->filled)
        ewi_region_release(&ewi_os_default, &move->outbox);
    free(move->address);
    move->address = NULL;
    move->prepared = move->filled = false;
}
