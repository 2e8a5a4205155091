/* shm/ring.h - one-writer, one-reader ring of variable-size records.
 *
 * Purpose    Carry records from one process to another without a system call, and keep what the
 *            peer has not taken, so that another link can start from it.
 * Shape      `bytes` bytes, a multiple of 64: records (shm/record.h), contiguous and 8-aligned. A
 *            record that does not fit before the end is preceded by a PAD record that fills it.
 *            position  u64, record bytes since the channel opened; PAD is not counted.
 *            offset    where in this ring; private to the ring, so a ring can be replaced.
 * Owner      The memory belongs to shm/region.h or to the channel. struct ring_writer and struct
 *            ring_reader are one process's private views: never in shared memory.
 * Threads    One writer thread and one reader thread, in the same or different processes. Nothing
 *            blocks, allocates or reads a clock.
 * Trust      The reader reads a header once, as a unit, and checks it before use. Payload may
 *            change while it is copied: that hurts the message, not us. The writer checks the
 *            reader's position.
 * Errors     EW_EAGAIN  nothing committed (reader), no room (writer); nothing changed.
 *            EW_EPROTO  the other side stored what a correct one cannot; drop the ring.
 * Invariants I1  the header at the writer's offset is 0 until a record is committed there: the
 *                writer zeroes the next header before it commits, since the reader cannot write.
 *            I2  position - freed, plus the live PAD, plus 8 for that header, <= bytes.
 *            I3  RING_RESERVE_BYTES stay free of DATA: ABORT, EOF and CLOSE always fit.
 *            I4  at most one PAD is live: a second cannot fit while the first is not freed.
 * Ordering   R1 release-store of a header (commit)  pairs with  R2 acquire-load of it (peek).
 *            The reader publishes `taken` elsewhere (T1 in shm/outbox.h, pairs with T2).
 * Source     docs/adr/0003-ring.md
 */
#ifndef EWI_SHM_RING_H
#define EWI_SHM_RING_H

#include <stdatomic.h>

#include "shm/record.h"

enum {
    RING_BYTES_MIN = 8192,
    RING_RESERVE_BYTES = 4 * RECORD_HEADER_BYTES, /* ABORT, EOF, CLOSE and one to spare */
};

struct ring_writer {
    uint8_t *bytes;
    uint32_t ring_bytes;
    uint32_t record_bytes_max; /* header included */
    uint32_t offset;           /* of the next record */
    uint32_t pad_bytes;        /* of the last PAD, 0: none yet */
    uint64_t pad_position;     /* position of the record behind it */
    uint64_t position;         /* committed so far */
    uint64_t freed;            /* the reader's position when last asked */
};

struct ring_reader {
    const uint8_t *bytes;
    uint32_t ring_bytes;
    uint32_t record_bytes_max;
    uint32_t offset;
    uint64_t position; /* of the record at offset */
};

/* min(ring / 8, 64 KiB), a multiple of 8: the longest record that a ring of this size carries. */
uint32_t ewi_ring_record_bytes_max(uint32_t ring_bytes);

/* Memory is zero at offset (I1). Both views of a new ring start at offset 0. */
void ewi_ring_writer_init(struct ring_writer *writer, void *bytes, uint32_t ring_bytes,
                          uint64_t position);
void ewi_ring_reader_init(struct ring_reader *reader, const void *bytes, uint32_t ring_bytes,
                          uint32_t offset, uint64_t position);

/* Would ewi_ring_reserve succeed? */
static inline bool ewi_ring_fits(const struct ring_writer *writer, uint32_t payload_bytes);
/* Where the payload of a DATA record of so many payload bytes goes, or NULL: no room.
 * Nothing is visible to the reader before commit; reserving again forgets the first. */
static inline uint8_t *ewi_ring_reserve(struct ring_writer *writer, uint32_t payload_bytes);
/* Make the reserved record visible; payload_bytes <= what was reserved. */
static inline void ewi_ring_commit(struct ring_writer *writer, uint32_t payload_bytes, uint8_t flags);
/* The end of the ring is too short for the next record: fill it. */
void ewi_ring_commit_pad(struct ring_writer *writer, uint32_t pad);
/* Commit ABORT, EOF or CLOSE from the reserve. EW_EAGAIN: even that is used up. */
int ewi_ring_commit_control(struct ring_writer *writer, enum record_kind kind);
/* Copy a whole record that another ring or stream brought (header checked by the caller). */
int ewi_ring_append(struct ring_writer *writer, struct record record, const uint8_t *payload);
/* The reader's position, as it says. */
static inline int ewi_ring_free(struct ring_writer *writer, uint64_t taken);
/* Bytes that records, their headers and a PAD can have now, the reserve not counted. */
uint32_t ewi_ring_bytes_free(const struct ring_writer *writer);
/* Payload bytes that a DATA record may have now, 0: none fits (a record of no payload may). */
uint32_t ewi_ring_room(const struct ring_writer *writer);

/* The record at the front, checked; *payload points into the ring. Skips a PAD. */
static inline int ewi_ring_peek(struct ring_reader *reader, struct record *out, const uint8_t **payload);
static inline void ewi_ring_consume(struct ring_reader *reader, struct record record);

/* Whole records at the front, contiguous, without PAD, that end at or below position `until` and
 * total at most room bytes: consumed and returned as one span, to be sent as they lie. 0: none. */
int64_t ewi_ring_take_run(struct ring_reader *reader, uint64_t until, uint32_t room,
                          const uint8_t **at);
/* Offset of the record at a position in freed..position: where a new link starts to read. */
uint32_t ewi_ring_offset_of(const struct ring_writer *writer, uint64_t position);

/* The records from that position on, into a ring that begins empty there and is not smaller. */
void ewi_ring_copy(struct ring_writer *to, const struct ring_writer *from, uint64_t position);
/* Does a record begin, or the next one, at this position? */
bool ewi_ring_is_boundary(const struct ring_writer *writer, uint64_t position);
/* A ring whose reader has passed everything goes on at a later position. */
void ewi_ring_rebase(struct ring_writer *writer, uint64_t position);

#include "shm/ring_inline.h"

#endif
