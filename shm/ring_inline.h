/* shm/ring_inline.h - the part of shm/ring.h that every message passes, inlined.
 *
 * Purpose    Reserve, commit, peek and consume without a call: between two cores a small message
 *            costs about as much as five calls.
 * Shape      included by shm/ring.h, at its end; not to be included alone
 * Owner      as shm/ring.h
 * Threads    as shm/ring.h
 * Trust      as shm/ring.h
 * Errors     as shm/ring.h
 * Invariants I1 to I4 of shm/ring.h
 * Ordering   R1 release-store of a header (commit)  pairs with  R2 acquire-load of it (peek).
 * Source     docs/adr/0003-ring.md
 */
#ifndef EWI_SHM_RING_INLINE_H
#define EWI_SHM_RING_INLINE_H

/* ---- writer ---- */

static inline _Atomic uint64_t *ewi_ring_header_at(uint8_t *bytes, uint32_t offset)
{
    return (_Atomic uint64_t *)(void *)(bytes + offset);
}

/* Is the last PAD still in front of the reader? It is passed together with the record behind it. */
static inline bool ewi_ring_pad_is_live(const struct ring_writer *writer)
{
    return writer->pad_bytes != 0 && writer->freed <= writer->pad_position;
}

/* Bytes that records and PADs may have; the header that ends them is not counted (I2). */
static inline uint32_t ewi_ring_available(const struct ring_writer *writer)
{
    uint64_t used = writer->position - writer->freed;

    if (ewi_ring_pad_is_live(writer))
        used += writer->pad_bytes;
    EWI_ASSERT(used + RECORD_HEADER_BYTES <= writer->ring_bytes); /* I2 */
    return writer->ring_bytes - (uint32_t)used - RECORD_HEADER_BYTES;
}

/* PAD bytes that a record of this span needs in front of it. */
static inline uint32_t ewi_ring_pad_for(const struct ring_writer *writer, uint32_t span)
{
    uint32_t to_end = writer->ring_bytes - writer->offset;
    return span <= to_end ? 0 : to_end;
}

static inline void ewi_ring_store_header(struct ring_writer *writer, uint32_t bytes,
                                         enum record_kind kind, uint8_t flags)
{
    uint32_t span = ewi_record_span(bytes);
    uint32_t next = writer->offset + span;

    if (next == writer->ring_bytes)
        next = 0;
    /* Zero the header behind the record, so that the reader stops there (I1). */
    atomic_store_explicit(ewi_ring_header_at(writer->bytes, next), 0,
                          memory_order_relaxed); /* ordered by R1, the commit that follows */
    EWI_CRASH_POINT("ring.commit.before_header");
    atomic_store_explicit(ewi_ring_header_at(writer->bytes, writer->offset),
                          ewi_record_encode(bytes, kind, flags),
                          memory_order_release); /* R1, pairs with R2 */
    EWI_CRASH_POINT("ring.commit.after_header");
    writer->offset = next;
    if (kind != RECORD_PAD)
        writer->position += span;
}

static inline bool ewi_ring_fits(const struct ring_writer *writer, uint32_t payload_bytes)
{
    uint32_t span = ewi_record_span(RECORD_HEADER_BYTES + payload_bytes);

    return ewi_ring_available(writer) >=
           ewi_ring_pad_for(writer, span) + span + RING_RESERVE_BYTES; /* I3 */
}

static inline uint8_t *ewi_ring_reserve(struct ring_writer *writer, uint32_t payload_bytes)
{
    uint32_t pad = ewi_ring_pad_for(writer, ewi_record_span(RECORD_HEADER_BYTES + payload_bytes));

    EWI_ASSERT(payload_bytes <= writer->record_bytes_max - RECORD_HEADER_BYTES);
    if (!ewi_ring_fits(writer, payload_bytes))
        return NULL;
    if (__builtin_expect(pad != 0, 0))
        ewi_ring_commit_pad(writer, pad);
    return writer->bytes + writer->offset + RECORD_HEADER_BYTES;
}

static inline void ewi_ring_commit(struct ring_writer *writer, uint32_t payload_bytes,
                                   uint8_t flags)
{
    uint8_t *end = writer->bytes + writer->offset + RECORD_HEADER_BYTES + payload_bytes;

    for (uint32_t gap = -payload_bytes % RECORD_ALIGN; gap > 0; gap--)
        *end++ = 0; /* record.h: zeros up to the next multiple of 8, on a wire too */
    ewi_ring_store_header(writer, RECORD_HEADER_BYTES + payload_bytes, RECORD_DATA, flags);
}

static inline int ewi_ring_free(struct ring_writer *writer, uint64_t taken)
{
    if (taken < writer->freed || taken > writer->position || taken % RECORD_ALIGN != 0)
        return EW_EPROTO;
    writer->freed = taken;
    return EW_OK;
}

/* ---- reader ---- */

static inline uint64_t ewi_ring_load_header(const struct ring_reader *reader)
{
    return atomic_load_explicit(
        (const _Atomic uint64_t *)(const void *)(reader->bytes + reader->offset),
        memory_order_acquire); /* R2, pairs with R1 */
}

/* Is anything at the front, good or bad? For loops that wait: a 64-byte message lies on two lines,
 * and the second one is fetched together with the header's. */
static inline bool ewi_ring_has_record(const struct ring_reader *reader)
{
    __builtin_prefetch(reader->bytes + reader->offset + 64);
    return ewi_ring_load_header(reader) != 0;
}

static inline int ewi_ring_peek(struct ring_reader *reader, struct record *out,
                                const uint8_t **payload)
{
    for (;;) {
        uint64_t header = ewi_ring_load_header(reader);
        struct record record = ewi_record_decode(header);
        uint32_t to_end = reader->ring_bytes - reader->offset;

        if (header == 0)
            return EW_EAGAIN;
        /* A 64-byte message lies on two lines: fetch the second while the header is judged. */
        __builtin_prefetch(reader->bytes + reader->offset + 64);
        if (__builtin_expect(record.kind == RECORD_PAD, 0)) {
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

static inline void ewi_ring_consume(struct ring_reader *reader, struct record record)
{
    uint32_t span = ewi_record_span(record.bytes);

    reader->offset += span;
    if (reader->offset == reader->ring_bytes)
        reader->offset = 0;
    reader->position += span;
}

#endif
