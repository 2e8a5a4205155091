#include "transport/stream/grow.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/stream/link.h"
#include "transport/stream/pump.h"
#include "transport/stream/window.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum { LOOK_NS = 1000 * 1000 };

static void on_due(void *object, uint32_t events, uint64_t now_ns);

/* Under the reactor's lock, which a change of either needs. */
static uint64_t next_bytes(const ew_channel *channel, enum grow_side side)
{
    uint64_t bytes = side == GROW_OUTBOX ? channel->outbox_region.bytes : channel->session.inbox_bytes;

    return ewi_window_next(bytes, channel->context->stream_bytes_max);
}

/* ---- with the drive lock ---- */

void ewi_grow_ask(ew_channel *channel, enum grow_side side)
{
    struct stream_growth *growth = &channel->growth;
    struct reactor *reactor = channel->context->reactor;

    ewi_reactor_lock(reactor);
    if (!growth->stopped && next_bytes(channel, side) != 0 && ewi_now_ns() >= growth->pause_ns &&
        (growth->source != NULL ||
         ewi_reactor_add(reactor, -1, 0, on_due, channel, &growth->source) == EW_OK)) {
        growth->asked[side] = true;
        ewi_reactor_set_deadline(reactor, growth->source, 0);
    }
    ewi_reactor_unlock(reactor);
}

static struct window_received received(const ew_channel *channel)
{
    return (struct window_received){
        .inbox_bytes = channel->session.inbox_bytes,
        .taken = channel->session.taken,
        .consumed = atomic_load_explicit(&channel->consumed, memory_order_relaxed)}; /* the value */
}

uint64_t ewi_grow_ping(ew_channel *channel)
{
    struct window_receiving *window = &channel->link->stream.receiving;
    const struct window_received now = received(channel);

    if (now.inbox_bytes >= channel->context->stream_bytes_max)
        return 0;
    if (window->measuring && ewi_window_judge(window, &now, ewi_now_ns()))
        ewi_grow_ask(channel, GROW_INBOX);
    return ewi_window_is_due(window, &now) ? ewi_window_ask(window, &now, ewi_now_ns()) : 0;
}

void ewi_grow_pong(ew_channel *channel, uint64_t token)
{
    ewi_window_answered(&channel->link->stream.receiving, token, ewi_now_ns());
}

void ewi_grow_look(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    const struct session *session = &channel->session;
    const struct window_sent now = {
        .ring_bytes = link->out.ring_bytes,
        .sent = link->out.position,
        .released = atomic_load_explicit(&channel->released, memory_order_relaxed), /* our own */
        .peer_consumed = session->peer_consumed,
        .limit = session->limit};

    if (ewi_stream_link_is_blocked(channel) || atomic_load_explicit(&link->lost, memory_order_relaxed))
        return; /* not all of it is on its way */
    atomic_store_explicit(&channel->growth.no_room, false, memory_order_relaxed); /* a hint */
    if (ewi_window_full(&link->sending, &now))
        ewi_grow_ask(channel, GROW_OUTBOX);
}

/* ---- at rest: with facts_lock and the drive lock ---- */

/* Our records go on in `region`, from the first that the peer may not have (pump.h I2). */
static struct region grow_outbox(ew_channel *channel, const struct region *region)
{
    struct stream_link *link = &channel->link->stream;
    struct region old = channel->outbox_region;
    struct ring_writer writer;

    ewi_channel_refresh_room(channel);
    channel->outbox = ewi_outbox_init(region->base, region->bytes);
    ewi_ring_writer_init(&writer, channel->outbox->ring, ewi_outbox_ring_bytes(region->bytes),
                         channel->writer.freed);
    ewi_ring_copy(&writer, &channel->writer, channel->writer.freed);
    writer.record_bytes_max = channel->record_bytes_max; /* on every link */
    ewi_ring_reader_init(&link->out, writer.bytes, writer.ring_bytes,
                         ewi_ring_offset_of(&writer, link->out.position), link->out.position);
    link->out.record_bytes_max = writer.record_bytes_max;
    if (link->run_left > 0) /* the records of a run lie behind each other: from offset 0 nothing wraps */
        link->run = writer.bytes + ewi_ring_offset_of(&writer, link->run_position) +
                    (link->out.position - link->run_position - link->run_left);
    channel->writer = writer;
    channel->outbox_region = *region;
    return old;
}

/* The front of a long record, that is being received into the inbox, moves along. */
static void move_half_record(struct stream_link *link, const struct ring_writer *from,
                             struct ring_writer *to)
{
    uint32_t payload_bytes = link->record.bytes - RECORD_HEADER_BYTES;
    uint32_t have = payload_bytes - link->record_left;
    uint8_t *room;

    if (link->record_rest == NULL)
        return;
    room = ewi_ring_reserve(to, payload_bytes);
    EWI_ASSERT(room != NULL); /* the inbox holds all that the limit allows */
    memcpy(room, link->record_rest - have, have);
    EWI_ASSERT(link->record_rest - have == from->bytes + from->offset + RECORD_HEADER_BYTES);
    link->record_rest = room + have;
}

/* What arrives goes on in `region`, and the peer may send more. */
static struct region grow_inbox(ew_channel *channel, const struct region *region, uint64_t bytes)
{
    struct stream_link *link = &channel->link->stream;
    struct channel_inbox *inbox = &channel->inbox;
    struct region old = inbox->region;
    uint64_t from = channel->reader.position;
    struct ring_writer writer;

    EWI_ASSERT(!channel->has_after); /* of a stream: never */
    ewi_ring_writer_init(&writer, region->base, (uint32_t)region->bytes, from);
    writer.record_bytes_max = RECORD_BYTES_MAX;
    inbox->writer.freed = from;
    atomic_store_explicit(&channel->consumed, from, memory_order_relaxed); /* at rest */
    ewi_ring_copy(&writer, &inbox->writer, from);
    move_half_record(link, &inbox->writer, &writer);
    ewi_ring_reader_init(&channel->reader, writer.bytes, writer.ring_bytes, 0, from);
    channel->reader.record_bytes_max = RECORD_BYTES_MAX;
    channel->head.known = false; /* it points to where the record was */
    inbox->writer = writer;
    inbox->region = *region;
    channel->session.inbox_bytes = bytes;
    link->ack_now = true;
    return old;
}

static bool may_grow(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;

    return channel->ops == &ewi_stream_link && ewi_channel_link_state(channel) == LINK_UP &&
           atomic_load_explicit(&channel->shut, memory_order_relaxed) == CHANNEL_OPEN && /* the locks */
           !atomic_load_explicit(&link->lost, memory_order_relaxed) && /* by the lock */
           (channel->growth.side == GROW_INBOX || /* or a move has brought a larger one meanwhile */
            channel->growth.region.bytes > channel->outbox_region.bytes);
}

/* ---- under the reactor's lock ---- */

/* A stack that keeps references reads the ring after send has returned (I2). */
static bool keeps_references(const ew_channel *channel)
{
    const struct stream_link *link = &channel->link->stream;
    struct stack_info info = {0};

    return link->ops->info(link->stack, &info) == 0 && (info.caps & STACK_TX_REF);
}

static int make_region(ew_channel *channel, enum grow_side side, struct region *out)
{
    uint64_t bytes = next_bytes(channel, side);
    char error[160];
    int code;

    if (side == GROW_INBOX)
        bytes = ewi_align_up(bytes + STREAM_INBOX_SLACK_BYTES, 4096);
    code = ewi_region_create(&ewi_os_default, &channel->context->budget, REGION_PRIVATE, bytes,
                             side == GROW_INBOX ? EW_PAGES_SMALL : channel->context->pages, out, error);
    if (code != EW_OK || madvise(out->base, out->bytes, MADV_POPULATE_WRITE) == 0 || errno == EINVAL)
        return code; /* a kernel that does not know it: page by page, later */
    ewi_region_release(&ewi_os_default, out);
    return EW_EMEMORY;
}

static void let_go(ew_channel *channel)
{
    if (!channel->growth.claimed)
        return;
    channel->growth.claimed = false;
    ewi_freeze_thaw(channel);
    ewi_channel_note(channel); /* its end waits for us: ewi_grow_stop */
}

static void give_up(ew_channel *channel, uint64_t now_ns)
{
    struct stream_growth *growth = &channel->growth;

    let_go(channel);
    ewi_region_release(&ewi_os_default, &growth->region);
    growth->asked[GROW_OUTBOX] = growth->asked[GROW_INBOX] = false;
    growth->pause_ns = now_ns + GROW_PAUSE_NS;
}

/* Memory for a side that asks for it, before the channel is brought to rest. False: nothing to do. */
static bool begin(ew_channel *channel, uint64_t now_ns)
{
    struct stream_growth *growth = &channel->growth;

    growth->side = growth->asked[GROW_OUTBOX] ? GROW_OUTBOX : GROW_INBOX;
    if (!growth->asked[growth->side])
        return false;
    if (channel->ops != &ewi_stream_link || next_bytes(channel, growth->side) == 0 ||
        (growth->side == GROW_OUTBOX && keeps_references(channel)) ||
        make_region(channel, growth->side, &growth->region) != EW_OK) {
        give_up(channel, now_ns);
        return false;
    }
    growth->until_ns = ewi_now_ns() + GROW_NS;
    return true;
}

/* Those that others hold for a moment only, without waiting. */
static bool take_locks(ew_channel *channel)
{
    if (!ewi_lock_try(&channel->facts_lock))
        return false;
    if (channel->ops == &ewi_stream_link && ewi_lock_try(&channel->link->stream.drive_lock))
        return true;
    ewi_lock_give(&channel->facts_lock);
    return false;
}

/* The channel is at rest. */
static void go_over(ew_channel *channel, uint64_t now_ns)
{
    struct stream_growth *growth = &channel->growth;
    struct stream_link *link = &channel->link->stream;
    bool grows = may_grow(channel);

    if (grows) {
        uint64_t bytes = next_bytes(channel, growth->side);

        growth->region = growth->side == GROW_OUTBOX
                             ? grow_outbox(channel, &growth->region)
                             : grow_inbox(channel, &growth->region, bytes);
        growth->count[growth->side] += 1;
        growth->asked[growth->side] = false;
    }
    ewi_lock_give(&link->drive_lock);
    ewi_lock_give(&channel->facts_lock);
    if (!grows) {
        give_up(channel, now_ns);
        return;
    }
    let_go(channel);
    ewi_region_release(&ewi_os_default, &growth->region); /* the old one: nobody waits for that */
    ewi_stream_link_poke(channel);
}

static void on_due(void *object, uint32_t events, uint64_t now_ns)
{
    ew_channel *channel = object;
    struct stream_growth *growth = &channel->growth;

    (void)events;
    if (growth->region.base == NULL && !begin(channel, now_ns))
        return;
    if (!growth->claimed)
        growth->claimed = ewi_freeze_claim(channel) == EW_OK;
    if (growth->claimed && ewi_freeze_try(channel) == EW_OK && take_locks(channel))
        go_over(channel, now_ns);
    else if (now_ns >= growth->until_ns)
        give_up(channel, now_ns);
    if (growth->region.base != NULL)
        ewi_reactor_set_deadline(channel->context->reactor, growth->source, now_ns + LOOK_NS);
    else if (growth->asked[GROW_OUTBOX] || growth->asked[GROW_INBOX])
        ewi_reactor_set_deadline(channel->context->reactor, growth->source, 0);
}

/* ---- what the channel calls ---- */

void ewi_grow_knock(ew_channel *channel)
{
    struct reactor *reactor = channel->context->reactor;

    ewi_reactor_lock(reactor);
    if (channel->growth.claimed)
        ewi_reactor_set_deadline(reactor, channel->growth.source, 0);
    ewi_reactor_unlock(reactor);
}

int ewi_grow_claim(ew_channel *channel)
{
    struct reactor *reactor = channel->context->reactor;
    int code;

    ewi_reactor_lock(reactor);
    let_go(channel);
    code = ewi_freeze_claim(channel);
    ewi_reactor_unlock(reactor);
    return code;
}

void ewi_grow_stop(ew_channel *channel)
{
    struct stream_growth *growth = &channel->growth;

    ewi_reactor_lock(channel->context->reactor);
    growth->stopped = true;
    ewi_reactor_remove(channel->context->reactor, growth->source);
    growth->source = NULL;
    let_go(channel);
    ewi_region_release(&ewi_os_default, &growth->region);
    ewi_reactor_unlock(channel->context->reactor);
}
