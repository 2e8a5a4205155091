#include "shm/ring.h"

#include "shm/copy.h"

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

void ewi_ring_commit_pad(struct ring_writer *writer, uint32_t pad)
{
    writer->pad_bytes = pad;
    writer->pad_position = writer->position;
    ewi_ring_store_header(writer, pad, RECORD_PAD, 0);
    EWI_ASSERT(writer->offset == 0);
}

int ewi_ring_commit_control(struct ring_writer *writer, enum record_kind kind)
{
    EWI_ASSERT(kind == RECORD_ABORT || kind == RECORD_EOF || kind == RECORD_CLOSE);
    if (ewi_ring_available(writer) < RECORD_HEADER_BYTES)
        return EW_EAGAIN;
    ewi_ring_store_header(writer, RECORD_HEADER_BYTES, kind, 0);
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
    ewi_copy(room, payload, payload_bytes);
    ewi_ring_commit(writer, payload_bytes, record.flags);
    return EW_OK;
}

uint32_t ewi_ring_bytes_free(const struct ring_writer *writer)
{
    uint32_t available = ewi_ring_available(writer);

    return available > RING_RESERVE_BYTES ? available - RING_RESERVE_BYTES : 0;
}

uint32_t ewi_ring_room(const struct ring_writer *writer)
{
    uint32_t most = writer->record_bytes_max - RECORD_HEADER_BYTES;
    uint32_t to_end = writer->ring_bytes - writer->offset;
    uint32_t need = RING_RESERVE_BYTES + RECORD_HEADER_BYTES;
    uint32_t available = ewi_ring_available(writer);
    uint32_t here, behind;

    if (available < need)
        return 0;
    here = (uint32_t)ewi_min_u64(available - need, to_end - RECORD_HEADER_BYTES);
    behind = available > need + to_end ? available - need - to_end : 0;
    return (uint32_t)ewi_min_u64(ewi_max_u64(here, behind), most) & ~(uint32_t)(RECORD_ALIGN - 1);
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

void ewi_ring_copy(struct ring_writer *to, const struct ring_writer *from, uint64_t position)
{
    struct ring_reader reader;
    struct record record;
    const uint8_t *payload;

    EWI_ASSERT(to->position == position);
    ewi_ring_reader_init(&reader, from->bytes, from->ring_bytes,
                         ewi_ring_offset_of(from, position), position);
    reader.record_bytes_max = from->record_bytes_max;
    while (ewi_ring_peek(&reader, &record, &payload) == EW_OK) {
        int code = ewi_ring_append(to, record, payload);

        EWI_ASSERT(code == EW_OK); /* it is not smaller, and begins empty */
        ewi_ring_consume(&reader, record);
    }
    EWI_ASSERT(to->position == from->position);
}

bool ewi_ring_is_boundary(const struct ring_writer *writer, uint64_t position)
{
    struct ring_reader reader;
    struct record record;
    const uint8_t *payload;

    if (position < writer->freed || position > writer->position)
        return false;
    ewi_ring_reader_init(&reader, writer->bytes, writer->ring_bytes,
                         ewi_ring_offset_of(writer, writer->freed), writer->freed);
    reader.record_bytes_max = writer->record_bytes_max;
    while (reader.position < position && ewi_ring_peek(&reader, &record, &payload) == EW_OK)
        ewi_ring_consume(&reader, record);
    return reader.position == position;
}

void ewi_ring_rebase(struct ring_writer *writer, uint64_t position)
{
    EWI_ASSERT(position >= writer->position && position % RECORD_ALIGN == 0);
    writer->position = writer->freed = position;
    writer->pad_bytes = 0;
}
