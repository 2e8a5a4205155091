#include "tests/net/peer_streams.h"

/* ---- bytes ---- */

void streams_open(struct streams *all, uint64_t seed)
{
    struct harness_random random = {seed};

    all->pattern = malloc(PATTERN_BYTES);
    CHECK(all->pattern != NULL);
    for (uint32_t i = 0; i < PATTERN_BYTES; i++)
        all->pattern[i] = (uint8_t)harness_next(&random);
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        all->crc_table[i] = crc;
    }
}

void streams_close(struct streams *all)
{
    for (uint32_t i = 0; i < all->count; i++)
        free(all->stream[i].echo);
    free(all->pattern);
}

uint32_t crc_add(const struct streams *all, uint32_t crc, const uint8_t *from, size_t bytes)
{
    if (all->is_quiet)
        return 0;
    crc = ~crc;
    for (size_t i = 0; i < bytes; i++)
        crc = crc >> 8 ^ all->crc_table[(crc ^ from[i]) & 0xff];
    return ~crc;
}

/* ---- slots ---- */

struct stream *stream_new(struct streams *all, enum role role)
{
    struct stream *stream = &all->stream[all->count];

    CHECK(all->count < STREAMS_MAX);
    all->count += 1;
    *stream = (struct stream){.role = role};
    return stream;
}

struct stream *stream_accepted(struct streams *all, const struct stream *listener, ewi_stream handle)
{
    struct stream *stream = stream_new(all, listener->role);

    stream->handle = handle;
    stream->total = listener->total;
    stream->unit = listener->unit;
    stream->listener = stream_id(all, listener);
    stream->is_connected = true;
    return stream;
}

uint32_t stream_id(const struct streams *all, const struct stream *stream)
{
    return (uint32_t)(stream - all->stream);
}

void stream_over(struct stream *stream)
{
    stream->is_over = true;
    stream->handle = 0;
    free(stream->echo);
    stream->echo = NULL;
}

/* ---- roles ---- */

uint64_t wanted(const struct stream *stream)
{
    switch (stream->role) {
    case ECHO:
        return stream->received;
    case SINK:
        return stream->peer_ended ? stream->total : 0;
    case ASK:
        return ewi_min_u64(stream->total,
                           stream->received / stream->unit * stream->unit + stream->unit);
    default:
        return stream->total;
    }
}

bool is_done(const struct stream *stream)
{
    if (stream->sent < wanted(stream))
        return false;
    switch (stream->role) {
    case ECHO:
    case SINK:
        return stream->peer_ended;
    case ASK:
        return stream->received >= stream->total && stream->sent == stream->total;
    case SOURCE:
        return stream->sent == stream->total;
    default:
        return false;
    }
}

/* ---- lines ---- */

const char *name_of(int error)
{
    const char *name = error == 0 ? "" : strerrorname_np(-error);

    return name != NULL ? name : "?";
}

void print_addresses(const struct streams *all, const char *event, const struct stream *stream,
                     const struct stack_addr *local, const struct stack_addr *remote)
{
    char here[72], there[72];

    ewi_addr_format(local, here, sizeof(here));
    ewi_addr_format(remote, there, sizeof(there));
    printf("{\"event\":\"%s\",\"id\":%u,\"listener\":%u,\"local\":\"%s\",\"remote\":\"%s\"}\n", event,
           stream_id(all, stream), stream->listener, here, there);
}

void answer(const char *command, uint32_t id, int code)
{
    printf("{\"event\":\"done\",\"command\":\"%s\",\"id\":%u,\"error\":\"%s\"}\n", command, id,
           name_of(code));
}

void answer_opened(struct streams *all, const char *command, const struct stream *stream, int code)
{
    answer(command, stream_id(all, stream), code);
    if (code != 0) /* nothing refers to it: the last slot is free again */
        all->count -= 1;
}
