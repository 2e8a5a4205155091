#include "transport/stream/sink.h"

#include <string.h>

#include "shm/copy.h"
#include "transport/channel/channel.h"
#include "transport/stream/pump.h"

bool ewi_sink_wants(const ew_channel *channel, struct record record, const uint8_t *payload,
                    uint32_t have, struct fragment *out)
{
    const struct stream_sink *sink = &channel->link->stream.sink;

    if (sink->into == NULL || sink->over || record.kind != RECORD_DATA ||
        record.flags & RECORD_EXT || /* what is not the message's own goes the long way */
        have < ewi_fragment_head_bytes(record) ||
        ewi_fragment_judge(&sink->message, channel->message_bytes_max, record, payload, out) != NULL)
        return false;
    return sink->message.begun || (out->total >= SINK_BYTES_MIN && out->total <= sink->room);
}

uint8_t *ewi_sink_at(const ew_channel *channel)
{
    const struct stream_sink *sink = &channel->link->stream.sink;

    return sink->into + sink->message.have;
}

void ewi_sink_passed(ew_channel *channel, struct record record, const struct fragment *fragment)
{
    struct stream_sink *sink = &channel->link->stream.sink;

    sink->message.begun = true;
    sink->message.total = fragment->total;
    sink->message.have += fragment->payload_bytes;
    sink->passed += ewi_record_span(record.bytes);
    sink->over = sink->message.have == sink->message.total;
    ewi_ring_rebase(&channel->inbox.writer, channel->session.taken);
    atomic_store_explicit(&channel->consumed, channel->session.taken,
                          memory_order_relaxed); /* T1: nothing of the inbox was read for it */
    if (sink->over)
        atomic_store_explicit(&channel->sink_full, true, memory_order_relaxed); /* a hint */
}

/* The record that is being received into the inbox goes on in the sink, if it belongs there. */
static void take_over(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    struct ring_writer *inbox = &channel->inbox.writer;
    uint32_t payload_bytes = link->record.bytes - RECORD_HEADER_BYTES;
    const uint8_t *payload = inbox->bytes + inbox->offset + RECORD_HEADER_BYTES;
    uint32_t have = payload_bytes - link->record_left;

    link->sunk = ewi_sink_wants(channel, link->record, payload, have, &link->fragment);
    if (!link->sunk) {
        link->sink.over = true;
        return;
    }
    have -= link->fragment.skip;
    ewi_copy(ewi_sink_at(channel), payload + link->fragment.skip, have);
    link->record_rest = ewi_sink_at(channel) + have;
}

void ewi_sink_open(ew_channel *channel, uint8_t *into, uint64_t room)
{
    struct stream_link *link = &channel->link->stream;
    struct record record;
    const uint8_t *payload;

    EWI_ASSERT(link->sink.into == NULL);
    /* peek passes a PAD as well: then both are at the same offset (I1) */
    if (link->discarding || ewi_ring_peek(&channel->reader, &record, &payload) != EW_EAGAIN ||
        channel->reader.position != channel->inbox.writer.position)
        return;
    EWI_ASSERT(channel->reader.offset == channel->inbox.writer.offset);
    link->sink = (struct stream_sink){.into = into, .room = room, .message = channel->partial};
    if (link->record_rest != NULL)
        take_over(channel);
}

/* What has come of an unfinished record lies in the inbox from now on, its header excepted. */
static void give_back(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    const struct fragment *fragment = &link->fragment;
    uint32_t have = fragment->payload_bytes - link->record_left;
    uint8_t *room = ewi_pump_reserve(channel, link->record);

    if (link->record.flags & RECORD_TOTAL)
        memcpy(room, &fragment->total, RECORD_TOTAL_BYTES);
    ewi_copy(room + fragment->skip, ewi_sink_at(channel), have);
    link->record_rest = room + fragment->skip + have;
    link->sunk = false;
    link->counts.stored += have;
}

void ewi_sink_close(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    struct stream_sink *sink = &link->sink;

    if (sink->into == NULL)
        return;
    if (link->sunk)
        give_back(channel);
    channel->partial.begun = sink->message.begun;
    channel->partial.total = sink->message.total;
    channel->partial.have = sink->message.have;
    channel->reader.position += sink->passed;
    atomic_store_explicit(&channel->sink_full, false, memory_order_relaxed); /* a hint */
    sink->into = NULL;
}
