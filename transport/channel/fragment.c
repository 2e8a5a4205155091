#include "transport/channel/fragment.h"

#include <string.h>

/* The peer may change its memory at any time: the block is copied, then judged. */
static int skip_ext(const uint8_t *payload, uint32_t payload_bytes, uint32_t *skip)
{
    uint8_t block[RECORD_EXT_BYTES_MAX];
    uint32_t bytes = (uint32_t)ewi_min_u64(payload_bytes, sizeof(block));

    memcpy(block, payload, bytes);
    return ewi_record_skip_ext(block, bytes, skip);
}

const char *ewi_fragment_judge(const struct channel_partial *partial, uint64_t message_bytes_max,
                               struct record record, const uint8_t *payload, struct fragment *out)
{
    struct fragment fragment = {.payload_bytes = record.bytes - RECORD_HEADER_BYTES};
    bool more = (record.flags & RECORD_MORE) != 0;
    bool first = !partial->begun;

    if ((record.flags & RECORD_EXT) &&
        skip_ext(payload, fragment.payload_bytes, &fragment.skip) != EW_OK)
        return "an extension block that is malformed or not known here";
    if (((record.flags & RECORD_TOTAL) != 0) != (first && more))
        return "a fragment where none can be";
    if (record.flags & RECORD_TOTAL) {
        if (fragment.payload_bytes - fragment.skip < RECORD_TOTAL_BYTES)
            return "a first fragment without the message's length";
        memcpy(&fragment.total, payload + fragment.skip, RECORD_TOTAL_BYTES);
        fragment.skip += RECORD_TOTAL_BYTES;
    }
    fragment.payload_bytes -= fragment.skip;
    fragment.whole = first && !more;
    if (fragment.whole)
        fragment.total = fragment.payload_bytes;
    if (!first)
        fragment.total = partial->total;
    if (fragment.total > message_bytes_max)
        return "a message longer than our message_bytes_max";
    if ((!fragment.whole && fragment.payload_bytes == 0) || /* or it could go on for ever */
        fragment.payload_bytes > fragment.total - partial->have ||
        more != (partial->have + fragment.payload_bytes < fragment.total))
        return "fragments that do not add up to the message's length";
    *out = fragment;
    return NULL;
}
