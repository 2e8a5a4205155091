#include "shm/ring.h"

#include <string.h>

static _Atomic uint64_t *header_at(uint8_t *bytes, uint32_t offset)
{
    return (_Atomic uint64_t *)(void *)(bytes + offset);
}

static const _Atomic uint64_t *header_in(const uint8_t *bytes, uint32_t offset)
{
    return (const _Atomic uint64_t *)(const void *)(bytes + offset);
}

uint32_t ewi_ring_record_bytes_max(uint32_t ring_bytes)
{
    uint64_t eighth = ring_bytes / 8 & ~(uint32_t)(RECORD_ALIGN - 1);
    return (uint32_t)ewi_min_u64(eighth, RECORD_BYTES_MAX);
}

void ewi_ring_writer_init(struct ring_writer *writer, void *bytes, uint32_t ring_bytes,
                          uint64_t position)
{
    EWI_ASSERT(ring_bytes >= RING_BYTES_MIN && ring_bytes % 64 == 0);
    EWI_ASSERT(position % RECORD_ALIGN == 0);
    *writer = (struct ring_writer){.bytes = bytes,
                                   .ring_bytes = ring_bytes,
                                   .record_bytes_max = ewi_ring_record_bytes_max(ring_bytes),
                                   .position = position,
                                   .freed = position};
}

void ewi_ring_reader_init(struct ring_reader *reader, const void *bytes, uint32_t ring_bytes,
                          uint32_t offset, uint64_t position)
{
    EWI_ASSERT(ring_bytes >= RING_BYTES_MIN && ring_bytes % 64 == 0);
    EWI_ASSERT(offset < ring_bytes && offset % RECORD_ALIGN == 0);
    *reader = (struct ring_reader){.bytes = bytes,
                                   .ring_bytes = ring_bytes,
                                   .record_bytes_max = ewi_ring_record_bytes_max(ring_bytes),
                                   .offset = offset,
                                   .position = position};
}

/* Is the last PAD still in front of the reader? It is passed together with the record behind it. */
static bool pad_is_live(const struct ring_writer *writer)
{
    return writer->pad_bytes != 0 && writer->freed <= writer->pad_position;
}

static uint32_t bytes_free(const struct ring_writer *writer)
{
    uint64_t used = writer->position - writer->freed;

    if (pad_is_live(writer))
        used += writer->pad_bytes;
    EWI_ASSERT(used + RECORD_HEADER_BYTES <= writer->ring_bytes); /* I2 */
    return writer->ring_bytes - (uint32_t)used - RECORD_HEADER_BYTES;
}

/* PAD bytes that a record of this span needs in front of it. */
static uint32_t pad_for(const struct ring_writer *writer, uint32_t span)
{
    uint32_t to_end = writer->ring_bytes - writer->offset;
    return span <= to_end ? 0 : to_end;
}

/* Zero the header behind a record, so that the reader stops there (I1). */
static void zero_next(struct ring_writer *writer, uint32_t next)
{
    atomic_store_explicit(header_at(writer->bytes, next == writer->ring_bytes ? 0 : next), 0,
                          memory_order_relaxed); /* ordered by R1, the commit that follows */
}

static void store_header(struct ring_writer *writer, uint32_t bytes, enum record_kind kind,
                         uint8_t flags)
{
    uint32_t span = ewi_record_span(bytes);
    uint32_t next = writer->offset + span;

    zero_next(writer, next);
    EWI_CRASH_POINT("ring.commit.before_header");
    atomic_store_explicit(header_at(writer->bytes, writer->offset),
                          ewi_record_encode(bytes, kind, flags),
                          memory_order_release); /* R1, pairs with R2 */
    EWI_CRASH_POINT("ring.commit.after_header");
    writer->offset = next == writer->ring_bytes ? 0 : next;
    if (kind != RECORD_PAD)
        writer->position += span;
}

static void commit_pad(struct ring_writer *writer, uint32_t pad)
{
    writer->pad_bytes = pad;
    writer->pad_position = writer->position;
    store_header(writer, pad, RECORD_PAD, 0);
    EWI_ASSERT(writer->offset == 0);
}

bool ewi_ring_fits(const struct ring_writer *writer, uint32_t payload_bytes)
{
    uint32_t span = ewi_record_span(RECORD_HEADER_BYTES + payload_bytes);

    return bytes_free(writer) >= pad_for(writer, span) + span + RING_RESERVE_BYTES; /* I3 */
}

uint8_t *ewi_ring_reserve(struct ring_writer *writer, uint32_t payload_bytes)
{
    uint32_t pad = pad_for(writer, ewi_record_span(RECORD_HEADER_BYTES + payload_bytes));

    EWI_ASSERT(payload_bytes <= writer->record_bytes_max - RECORD_HEADER_BYTES);
    if (!ewi_ring_fits(writer, payload_bytes))
        return NULL;
    if (pad != 0)
        commit_pad(writer, pad);
    return writer->bytes + writer->offset + RECORD_HEADER_BYTES;
}

void ewi_ring_commit(struct ring_writer *writer, uint32_t payload_bytes, uint8_t flags)
{
    uint8_t *end = writer->bytes + writer->offset + RECORD_HEADER_BYTES + payload_bytes;

    for (uint32_t gap = -payload_bytes % RECORD_ALIGN; gap > 0; gap--)
        *end++ = 0; /* record.h: zeros up to the next multiple of 8, on a wire too */
    store_header(writer, RECORD_HEADER_BYTES + payload_bytes, RECORD_DATA, flags);
}

int ewi_ring_commit_control(struct ring_writer *writer, enum record_kind kind)
{
    EWI_ASSERT(kind == RECORD_ABORT || kind == RECORD_EOF || kind == RECORD_CLOSE);
    if (bytes_free(writer) < RECORD_HEADER_BYTES)
        return EW_EAGAIN;
    store_header(writer, RECORD_HEADER_BYTES, kind, 0);
    return EW_OK;
}

int ewi_ring_append(struct ring_writer *writer, struct record record, const uint8_t *payload)
{
    uint32_t payload_bytes = record.bytes - RECORD_HEADER_BYTES;
    uint8_t *room;

    if (record.kind != RECORD_DATA)
        return ewi_ring_commit_control(writer, (enum record_kind)record.kind);
    room = ewi_ring_reserve(writer, payload_bytes);
    if (room == NULL)
        return EW_EAGAIN;
    memcpy(room, payload, payload_bytes);
    ewi_ring_commit(writer, payload_bytes, record.flags);
    return EW_OK;
}

int ewi_ring_free(struct ring_writer *writer, uint64_t taken)
{
    if (taken < writer->freed || taken > writer->position || taken % RECORD_ALIGN != 0)
        return EW_EPROTO;
    writer->freed = taken;
    return EW_OK;
}

uint32_t ewi_ring_bytes_free(const struct ring_writer *writer)
{
    uint32_t available = bytes_free(writer);

    return available > RING_RESERVE_BYTES ? available - RING_RESERVE_BYTES : 0;
}

uint32_t ewi_ring_room(const struct ring_writer *writer)
{
    uint32_t most = writer->record_bytes_max - RECORD_HEADER_BYTES;
    uint32_t to_end = writer->ring_bytes - writer->offset;
    uint32_t need = RING_RESERVE_BYTES + RECORD_HEADER_BYTES;
    uint32_t available = bytes_free(writer);
    uint32_t here, behind;

    if (available < need)
        return 0;
    here = (uint32_t)ewi_min_u64(available - need, to_end - RECORD_HEADER_BYTES);
    behind = available > need + to_end ? available - need - to_end : 0;
    return (uint32_t)ewi_min_u64(ewi_max_u64(here, behind), most) & ~(uint32_t)(RECORD_ALIGN - 1);
}

int ewi_ring_peek(struct ring_reader *reader, struct record *out, const uint8_t **payload)
{
    for (;;) {
        uint64_t header = atomic_load_explicit(header_in(reader->bytes, reader->offset),
                                               memory_order_acquire); /* R2, pairs with R1 */
        struct record record = ewi_record_decode(header);
        uint32_t to_end = reader->ring_bytes - reader->offset;

        if (header == 0)
            return EW_EAGAIN;
        /* A 64-byte message lies on two lines: fetch the second while the header is judged. */
        __builtin_prefetch(reader->bytes + reader->offset + 64);
        if (record.kind == RECORD_PAD) {
            if (record.bytes != to_end || reader->offset == 0 || header >> 40 != 0)
                return EW_EPROTO;
            reader->offset = 0;
            continue; /* at most once: a PAD at offset 0 is refused */
        }
        if (ewi_record_check(record, reader->record_bytes_max) != EW_OK ||
            ewi_record_span(record.bytes) > to_end)
            return EW_EPROTO;
        *out = record;
        *payload = reader->bytes + reader->offset + RECORD_HEADER_BYTES;
        return EW_OK;
    }
}

void ewi_ring_consume(struct ring_reader *reader, struct record record)
{
    uint32_t span = ewi_record_span(record.bytes);

    reader->offset += span;
    if (reader->offset == reader->ring_bytes)
        reader->offset = 0;
    reader->position += span;
}

int64_t ewi_ring_take_run(struct ring_reader *reader, uint64_t until, uint32_t room,
                          const uint8_t **at)
{
    uint32_t run = 0;

    for (;;) {
        struct record record;
        const uint8_t *payload;
        int code = ewi_ring_peek(reader, &record, &payload);
        uint32_t span;

        if (code == EW_EPROTO)
            return code;
        if (code != EW_OK)
            return run;
        span = ewi_record_span(record.bytes);
        if (run != 0 && payload - RECORD_HEADER_BYTES != *at + run) /* behind the wrap */
            return run;
        if (span > room - run || span > until - ewi_min_u64(until, reader->position))
            return run;
        if (run == 0)
            *at = payload - RECORD_HEADER_BYTES;
        ewi_ring_consume(reader, record);
        run += span;
    }
}

uint32_t ewi_ring_offset_of(const struct ring_writer *writer, uint64_t position)
{
    uint64_t behind = writer->position - position; /* record bytes up to the writer's offset */
    uint32_t pad = 0;

    EWI_ASSERT(position <= writer->position && position >= writer->freed);
    if (behind <= writer->offset)
        return writer->offset - (uint32_t)behind;
    if (writer->pad_bytes != 0 && writer->position - writer->pad_position == writer->offset)
        pad = writer->pad_bytes;
    return writer->ring_bytes - pad - (uint32_t)(behind - writer->offset);
}
