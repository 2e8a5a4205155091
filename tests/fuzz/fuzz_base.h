/* tests/fuzz/fuzz_base.h - what fuzz targets begin with: memory of its very size, and a bare channel.
 *
 * Purpose    What the targets share that play a list of moves against a ring or a channel.
 * Shape      an input is a list of moves of MOVE_BYTES; a channel has neither link nor rings yet.
 * Owner      the target frees what it took
 * Threads    one
 * Trust      none: test code only
 * Errors     abort(), which the fuzzer reports
 * Invariants I1  memory is allocated at exactly its size and zero, so that ASan sees one byte too far.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_FUZZ_BASE_H
#define TESTS_FUZZ_BASE_H

#include <stdlib.h>
#include <string.h>

#include "transport/channel/channel.h"
#include "transport/context.h"

enum { MOVE_BYTES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void *take(size_t alignment, size_t bytes) /* a multiple of the alignment */
{
    void *memory = aligned_alloc(alignment, bytes);

    if (memory == NULL)
        abort();
    memset(memory, 0, bytes);
    return memory;
}

static inline uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline ew_channel *take_channel(const struct link_ops *ops, uint64_t message_bytes_max)
{
    static ew_context context;
    ew_channel *channel = take(EWI_CACHE_LINE, sizeof(*channel));

    channel->context = &context;
    channel->link = &channel->first_link;
    channel->ops = ops;
    channel->peer_address = (char *)(uintptr_t)"fuzz";
    channel->message_bytes_max = channel->peer_message_bytes_max = message_bytes_max;
    channel->note_fd = -1;
    return channel;
}

static inline int receive(ew_channel *channel, size_t room, int64_t patience_ns) /* returns the code */
{
    uint8_t *into = malloc(room);
    size_t length = 0;
    int code = ew_channel_recv(channel, into, room, &length, patience_ns, NULL);

    free(into);
    if (code == EW_OK && length > room)
        abort();
    return code;
}

#endif
