/* Records of streams: handles, levels, and the list that poll reports from. */
#include <errno.h>
#include <string.h>

#include "transport/shell/shell.h"

static uint32_t slot_of(const struct ewi_stack *stack, const struct shell_stream *stream)
{
    return (uint32_t)(stream - stack->stream);
}

ewi_stream ewi_shell_handle(const struct ewi_stack *stack, const struct shell_stream *stream)
{
    return (ewi_stream)stream->generation << 32 | slot_of(stack, stream);
}

struct shell_stream *ewi_shell_find(struct ewi_stack *stack, ewi_stream handle)
{
    uint32_t slot = (uint32_t)handle;
    struct shell_stream *stream;

    if (slot >= stack->streams_used)
        return NULL;
    stream = &stack->stream[slot];
    if (stream->kind == SHELL_FREE || stream->finished || stream->generation != handle >> 32)
        return NULL;
    return stream;
}

struct shell_stream *ewi_shell_claim(struct ewi_stack *stack, enum shell_kind kind, uint64_t user)
{
    struct shell_stream *stream;
    uint32_t generation;

    if (stack->first_free != 0) {
        stream = &stack->stream[stack->first_free - 1];
        stack->first_free = stream->next_free;
    } else if (stack->streams_used < stack->streams_max) {
        stream = &stack->stream[stack->streams_used++];
    } else {
        return NULL;
    }
    generation = stream->generation + 1;
    memset(stream, 0, offsetof(struct shell_stream, wants_room));
    atomic_store_explicit(&stream->wants_room, 0, memory_order_relaxed); /* a hint */
    stream->generation = generation == 0 ? 1 : generation;
    stream->kind = (uint8_t)kind;
    stream->user = user;
    stream->since_ns = ewi_now_ns();
    stream->bell_fd = stream->sleep_fd = -1;
    stack->streams_open += 1;
    return stream;
}

void ewi_shell_free(struct ewi_stack *stack, struct shell_stream *stream)
{
    ewi_shell_close_fds(stack, stream);
    stack->streams_open -= 1;
    stream->kind = SHELL_FREE;
    stream->next_free = stack->first_free;
    stack->first_free = slot_of(stack, stream) + 1;
}

static bool has_room(const struct ewi_stack *stack, const struct shell_stream *stream)
{
    return stream->out.end - stream->out.start < stack->settings.send_bytes && stack->chunks.free != 0;
}

uint32_t ewi_shell_levels(struct ewi_stack *stack, struct shell_stream *stream)
{
    uint32_t bits = stream->inner == 0 ? 0 : ewi_net_ready(stack->net, stream->inner);

    if ((bits & STACK_WRITABLE) && !has_room(stack, stream)) {
        bits &= ~(uint32_t)STACK_WRITABLE;
        stack->is_short |= stack->chunks.free == 0;
    }
    if (stream->is_broken)
        return STACK_FAILED;
    if (stream->error != 0)
        bits = (bits | STACK_FAILED | STACK_READABLE) & ~(uint32_t)STACK_WRITABLE;
    return bits;
}

/* A failure is told once, until somebody watches again: who cannot end the stream yet must not spin. */
uint32_t ewi_shell_news(struct ewi_stack *stack, struct shell_stream *stream)
{
    uint32_t levels, wanted = stream->watch | STACK_FAILED;

    if (stream->finished)
        return stream->pending & STACK_CLOSED;
    if (stream->aside)
        return 0;
    levels = ewi_shell_levels(stack, stream);
    if (stream->kind == SHELL_LISTENER)
        return (levels & STACK_ACCEPT) | stream->pending;
    if ((levels & STACK_FAILED) && stream->told_failed)
        return 0;
    if (stream->watch & STACK_READABLE)
        wanted |= STACK_PEER_FIN;
    return (levels & wanted) | stream->pending;
}

void ewi_shell_list(struct ewi_stack *stack, struct shell_stream *stream)
{
    uint32_t number = slot_of(stack, stream) + 1;

    if (stream->listed)
        return;
    stream->listed = true;
    stream->next_event = 0;
    if (stack->last_event != 0)
        stack->stream[stack->last_event - 1].next_event = number;
    else
        stack->first_event = number;
    stack->last_event = number;
}

void ewi_shell_tell(struct ewi_stack *stack, struct shell_stream *stream, uint32_t once)
{
    if (once & STACK_CLOSED) {
        stream->pending = STACK_CLOSED;
        ewi_shell_list(stack, stream);
        return;
    }
    if (stream->finished)
        return;
    ewi_shell_rouse(stack, stream);
    stream->pending |= once & (stream->kind == SHELL_LISTENER ? STACK_FAILED : STACK_CONNECTED);
    if (ewi_shell_news(stack, stream) != 0)
        ewi_shell_list(stack, stream);
}
