/* transport/channel/fragment.h - what a DATA record is to the message that it belongs to.
 *
 * Purpose    Judge a peer's flags and lengths in one place, whoever takes the record: the receiver
 *            from a ring, or the pump on its way to a receiver's buffer (transport/stream/sink.h).
 * Shape      struct channel_partial: the message so far. judge: a record and what is known -> which of
 *            its bytes belong to the message, and how long the message is.
 * Owner      channel_partial.bytes belongs to the channel; nothing else is owned
 * Threads    pure
 * Trust      the record's header was checked (shm/record.h); everything else is judged here.
 * Errors     a text: what the peer did wrong
 * Invariants I1  have + payload_bytes <= total <= message_bytes_max, and it is reached by the record
 *                without MORE: what is written never passes a buffer of `total` bytes.
 * Ordering   none
 * Source     docs/adr/0002-record-is-the-frame.md
 */
#ifndef EWI_TRANSPORT_CHANNEL_FRAGMENT_H
#define EWI_TRANSPORT_CHANNEL_FRAGMENT_H

#include "shm/record.h"

struct channel_partial { /* a message whose fragments we have begun to take */
    bool begun;
    uint64_t total, have;
    uint8_t *bytes; /* NULL while they go straight to the caller */
};

struct fragment {
    bool whole;             /* the message is this one record */
    uint32_t skip;          /* bytes of the payload before the message's own */
    uint32_t payload_bytes; /* of the message */
    uint64_t total;         /* of the message; the record is its first, or partial says so, too */
};

/* How much of the payload has to be there to be judged. */
static inline uint32_t ewi_fragment_head_bytes(struct record record)
{
    uint32_t payload_bytes = record.bytes - RECORD_HEADER_BYTES;
    uint32_t head_bytes = (record.flags & RECORD_TOTAL ? RECORD_TOTAL_BYTES : 0u) +
                          (record.flags & RECORD_EXT ? RECORD_EXT_BYTES_MAX : 0u);

    return payload_bytes < head_bytes ? payload_bytes : head_bytes;
}

/* NULL: it goes on with this message, or begins one. The peer may change its memory meanwhile. */
const char *ewi_fragment_judge(const struct channel_partial *partial, uint64_t message_bytes_max,
                               struct record record, const uint8_t *payload, struct fragment *out);

#endif
