/* shm/record.h - the record: what lies in a ring and, byte for byte, what crosses a stream.
 *
 * Purpose    One framing for every path, so that a span of ring bytes goes to a stream as it is
 *            and a message can be resumed on another path at any record boundary.
 * Shape      u64 header | payload | zeros up to the next multiple of 8. The header, little-endian:
 *              bits  0..31  bytes: header and payload, 8 .. RECORD_BYTES_MAX; 0: not committed
 *              bits 32..39  kind, enum record_kind
 *              bits 40..47  flags, enum record_flags
 *              bits 48..63  reserved: written 0, a peer's other value is an error
 *            A message of one record is DATA without MORE and TOTAL. A longer one is several DATA
 *            records: all but the last have MORE, the first has TOTAL and begins with the u64
 *            length of the message. ABORT ends a message given up half way. With EXT the payload
 *            begins with an extension block (struct record_ext).
 * Owner      values; nothing is owned
 * Threads    pure functions
 * Trust      ewi_record_check() judges a header that came from a peer; nobody looks at the fields
 *            of an unchecked one.
 * Errors     EW_EPROTO  the header cannot have been written by a correct peer.
 * Invariants I1  a checked record's bytes are within 8 .. limit, its kind and flags are known.
 *            I2  ABORT, EOF and CLOSE are header only: they fit wherever 8 bytes are free.
 * Ordering   none: see shm/ring.h for when a header may be read
 * Source     docs/adr/0002-record-is-the-frame.md
 */
#ifndef EWI_SHM_RECORD_H
#define EWI_SHM_RECORD_H

#include "shm/base.h"

enum {
    RECORD_HEADER_BYTES = 8,
    RECORD_ALIGN = 8,
    RECORD_BYTES_MAX = 65536, /* header included; on every path, so that a record can change paths */
    RECORD_TOTAL_BYTES = 8,
    RECORD_EXT_BYTES_MAX = 512, /* of an extension block, so that it can be copied and then judged */
};

enum record_kind {
    /* with a position: part of the channel's byte sequence, resumed on a new link */
    RECORD_DATA = 1,
    RECORD_ABORT = 2, /* the message that the last fragments belong to is given up */
    RECORD_EOF = 3,   /* no more messages from this end */
    RECORD_CLOSE = 4, /* this end is gone for good */
    /* private to one ring */
    RECORD_PAD = 5,
    /* without a position: they live on one link (transport/wire.h) */
    RECORD_START = 16,
    RECORD_ACK = 17,
    RECORD_PING = 18,
    RECORD_PONG = 19,
    RECORD_DRAIN = 20,
    RECORD_HELLO = 32,
    RECORD_WELCOME = 33,
    RECORD_REFUSE = 34,
    RECORD_FINAL = 35,
};

enum record_flags {
    RECORD_MORE = 1,  /* another fragment of this message follows */
    RECORD_TOTAL = 2, /* first fragment: the payload begins with the message's length */
    RECORD_EXT = 4,   /* an extension block comes first */
};

struct record { /* a header in our own memory */
    uint32_t bytes; /* header and payload, not aligned */
    uint8_t kind, flags;
    uint16_t reserved;
};

static inline uint64_t ewi_record_encode(uint32_t bytes, enum record_kind kind, uint8_t flags)
{
    return (uint64_t)bytes | (uint64_t)kind << 32 | (uint64_t)flags << 40;
}

static inline struct record ewi_record_decode(uint64_t header)
{
    return (struct record){.bytes = (uint32_t)header,
                           .kind = (uint8_t)(header >> 32),
                           .flags = (uint8_t)(header >> 40),
                           .reserved = (uint16_t)(header >> 48)};
}

/* What the record takes in a ring, on a stream and in positions. */
static inline uint32_t ewi_record_span(uint32_t bytes)
{
    return (bytes + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
}

static inline bool ewi_record_has_position(uint8_t kind)
{
    return kind >= RECORD_DATA && kind <= RECORD_CLOSE;
}

/* Judge a record with a position; bytes_max includes the header. */
static inline int ewi_record_check(struct record record, uint32_t bytes_max)
{
    const uint32_t head_bytes = RECORD_HEADER_BYTES;

    if (record.reserved != 0 || record.bytes < head_bytes || record.bytes > bytes_max)
        return EW_EPROTO;
    if (record.kind == RECORD_DATA) {
        if (record.flags & ~(RECORD_MORE | RECORD_TOTAL | RECORD_EXT))
            return EW_EPROTO;
        return EW_OK;
    }
    if (!ewi_record_has_position(record.kind) || record.flags != 0 || record.bytes != head_bytes)
        return EW_EPROTO; /* I2 */
    return EW_OK;
}

/* Skip an extension block, at most RECORD_EXT_BYTES_MAX, in our own memory (it is read more than
 * once): u16 bytes of the whole block (a multiple of 8), u16 0, then entries of
 * { u8 type, u8 0, u16 bytes of the value, value, zeros up to 4 }. A type with the top bit is
 * mandatory. *skip: bytes before the message's own. EW_EPROTO: malformed, or mandatory and unknown. */
int ewi_record_skip_ext(const uint8_t *payload, uint32_t payload_bytes, uint32_t *skip);

#endif
