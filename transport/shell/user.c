/* The calls of transport/stack.h on streams. */
#include <errno.h>
#include <string.h>

#include "transport/shell/ask.h"
#include "transport/shell/shell.h"

enum { SPANS_MAX = 8 };

/* ---- listen, connect, accept ---- */

/* One that was down is looked at now. */
static bool is_down(struct ewi_stack *stack, uint64_t now)
{
    if (!stack->is_down)
        return false;
    stack->carrier_at = 0;
    (void)ewi_shell_turn(stack, now);
    return stack->is_down;
}

static int listen_anywhere(struct ewi_stack *stack, struct stack_addr *local, uint32_t backlog,
                           uint64_t user, ewi_stream *out)
{
    int code = -EADDRINUSE;

    for (int draw = 0; draw < SHELL_DRAWS && code == -EADDRINUSE; draw++) {
        local->port = ewi_shell_draw_port(stack);
        code = ewi_net_listen(stack->net, local, backlog, user, out);
    }
    return code;
}

static int listen_here(struct ewi_stack *stack, const struct stack_addr *local, uint32_t backlog,
                       uint64_t user, ewi_stream *out)
{
    struct shell_stream *stream = ewi_shell_claim(stack, SHELL_LISTENER, user);
    struct stack_addr at = *local;
    uint64_t slot;
    int code;

    if (stream == NULL)
        return -EMFILE;
    slot = (uint64_t)(stream - stack->stream);
    code = at.port == 0 ? listen_anywhere(stack, &at, backlog, slot, &stream->inner)
                        : ewi_net_listen(stack->net, &at, backlog, slot, &stream->inner);
    if (code != 0) {
        ewi_shell_free(stack, stream);
        return code;
    }
    stream->local = at;
    *out = ewi_shell_handle(stack, stream);
    return 0;
}

static int shell_listen(struct ewi_stack *stack, const struct stack_addr *local, uint32_t backlog,
                        uint64_t user, ewi_stream *out)
{
    const uint64_t now = ewi_now_ns();
    int code;

    ewi_shell_enter(stack);
    code = is_down(stack, now) ? -ENETDOWN : listen_here(stack, local, backlog, user, out);
    ewi_shell_leave(stack, now);
    return code;
}

static int connect_from(struct ewi_stack *stack, const struct stack_addr *local,
                        const struct stack_addr *remote, uint64_t user, uint64_t now,
                        ewi_stream *out)
{
    struct shell_stream *stream;
    int code;

    if (is_down(stack, now))
        return -ENETDOWN;
    stream = ewi_shell_claim(stack, SHELL_CONNECTION, user);
    if (stream == NULL)
        return -EMFILE;
    code = ewi_shell_begin(stack, stream, local, remote, now);
    if (code == -ENETUNREACH && ewi_shell_is_settling(stack)) {
        ewi_shell_wait(stack, stream, local, remote);
        code = 0;
    }
    if (code != 0) {
        ewi_shell_free(stack, stream);
        return code;
    }
    ewi_shell_want_room(stream); /* it waits to be open */
    *out = ewi_shell_handle(stack, stream);
    return 0;
}

static int shell_connect(struct ewi_stack *stack, const struct stack_addr *local,
                         const struct stack_addr *remote, uint64_t user, uint64_t now,
                         ewi_stream *out)
{
    int code;

    ewi_shell_enter(stack);
    code = connect_from(stack, local, remote, user, now, out);
    ewi_shell_leave(stack, now);
    return code;
}

static int accept_from(struct ewi_stack *stack, ewi_stream listener, uint64_t user, ewi_stream *out)
{
    struct shell_stream *from = ewi_shell_find(stack, listener), *stream;
    int code;

    if (from == NULL || from->kind != SHELL_LISTENER)
        return -ESTALE;
    stream = ewi_shell_claim(stack, SHELL_CONNECTION, user);
    if (stream == NULL)
        return -EMFILE;
    code = ewi_net_accept(stack->net, from->inner, (uint64_t)(stream - stack->stream),
                          &stream->inner);
    if (code != 0) {
        ewi_shell_free(stack, stream);
        return code;
    }
    *out = ewi_shell_handle(stack, stream);
    return 0;
}

static int shell_accept(struct ewi_stack *stack, ewi_stream listener, uint64_t user,
                        ewi_stream *out)
{
    int code;

    ewi_shell_enter(stack);
    code = accept_from(stack, listener, user, out);
    ewi_shell_leave(stack, ewi_now_ns());
    return code;
}

/* ---- data ---- */

/* One piece; what the stack did not take is not kept. */
static int64_t send_piece(struct ewi_stack *stack, struct shell_stream *stream,
                          const struct stack_span *piece)
{
    uint32_t room = 0;
    uint8_t *to = ewi_chunks_room(&stack->chunks, &stream->out, &room);
    struct stack_span copy = {to, ewi_min_u64(piece->bytes, room)};
    int64_t taken;

    if (to == NULL) {
        stack->is_short = true;
        return -EAGAIN;
    }
    memcpy(to, piece->base, copy.bytes);
    taken = ewi_net_send(stack->net, stream->inner, &copy, 1);
    if (taken > 0)
        ewi_chunks_add(&stream->out, (uint32_t)taken);
    else if (stream->out.end == stream->out.start)
        (void)ewi_chunks_release(&stack->chunks, &stream->out, UINT64_MAX);
    return taken;
}

static int64_t send_spans(struct ewi_stack *stack, struct shell_stream *stream,
                          const struct stack_span *spans, uint32_t count)
{
    int64_t done = 0, taken = 1;

    if (stream->is_waiting)
        return -EAGAIN;
    for (uint32_t i = 0; i < count; i++) {
        struct stack_span rest = spans[i];

        while (rest.bytes != 0 && taken > 0) {
            uint64_t held = stream->out.end - stream->out.start;

            if (held >= stack->settings.send_bytes)
                return done != 0 ? done : -EAGAIN;
            rest.bytes = ewi_min_u64(rest.bytes, stack->settings.send_bytes - held);
            taken = send_piece(stack, stream, &rest);
            if (taken <= 0)
                return done != 0 ? done : taken;
            done += taken;
            rest = (struct stack_span){(const uint8_t *)rest.base + taken,
                                       spans[i].bytes - (size_t)((const uint8_t *)rest.base + taken -
                                                                 (const uint8_t *)spans[i].base)};
        }
    }
    return done;
}

static size_t bytes_of(const struct stack_span *spans, uint32_t count)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        bytes += spans[i].bytes;
    return bytes;
}

static int64_t send_now(struct ewi_stack *stack, struct shell_stream *stream,
                        const struct stack_span *spans, uint32_t count, uint64_t now)
{
    int64_t done;

    if (stream->error != 0)
        return stream->error;
    done = send_spans(stack, stream, spans, count);
    if (done == -EAGAIN && ewi_shell_turn(stack, now)) /* an ACK may lie there */
        done = send_spans(stack, stream, spans, count);
    if (done > 0)
        stream->accepted += (uint64_t)done;
    if (done < (int64_t)bytes_of(spans, count))
        ewi_shell_want_room(stream);
    else
        atomic_store_explicit(&stream->wants_room, 0, memory_order_relaxed); /* a hint */
    return done;
}

/* Somebody else drives; the caller finds room when it looks before it sleeps (shell.h I1). */
static int64_t send_later(struct ewi_stack *stack, ewi_stream handle)
{
    if ((uint32_t)handle < stack->streams_max)
        ewi_shell_want_room(&stack->stream[(uint32_t)handle]);
    return -EAGAIN;
}

static int64_t shell_send(struct ewi_stack *stack, ewi_stream handle, const struct stack_span *spans,
                          uint32_t count)
{
    struct shell_stream *stream;
    int64_t done = -ESTALE;
    uint64_t now;

    EWI_ASSERT(count <= SPANS_MAX);
    if (!ewi_shell_try(stack))
        return send_later(stack, handle);
    now = ewi_now_ns();
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL && stream->kind == SHELL_CONNECTION)
        done = send_now(stack, stream, spans, count, now);
    ewi_shell_leave(stack, now);
    return done;
}

static int shell_released(struct ewi_stack *stack, ewi_stream handle, uint64_t *out)
{
    struct shell_stream *stream;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL)
        *out = stream->accepted; /* it was copied */
    ewi_lock_give(&stack->guard);
    return stream == NULL ? -ESTALE : 0;
}

static int64_t receive_now(struct ewi_stack *stack, struct shell_stream *stream,
                           const struct stack_room *rooms, uint32_t count)
{
    int64_t got;

    if (stream->is_broken || (stream->inner == 0 && stream->error != 0))
        return stream->error;
    if (stream->is_waiting)
        return -EAGAIN;
    got = ewi_net_recv_into(stack->net, stream->inner, rooms, count);
    return got == -EAGAIN && stream->error != 0 ? stream->error : got;
}

static int64_t shell_recv_into(struct ewi_stack *stack, ewi_stream handle,
                               const struct stack_room *rooms, uint32_t count)
{
    struct shell_stream *stream;
    int64_t got = -ESTALE;
    uint64_t now;

    if (!ewi_shell_try(stack))
        return -EAGAIN; /* whoever drives brings it */
    now = ewi_now_ns();
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL && stream->kind == SHELL_CONNECTION) {
        ewi_shell_hush(stack, stream);
        got = receive_now(stack, stream, rooms, count);
        if (got == -EAGAIN && ewi_shell_turn(stack, now))
            got = receive_now(stack, stream, rooms, count);
    }
    ewi_shell_leave(stack, now);
    return got;
}

static uint32_t shell_ready(struct ewi_stack *stack, ewi_stream handle)
{
    struct shell_stream *stream;
    uint32_t bits = STACK_FAILED; /* error() says -ESTALE */
    uint64_t now = ewi_now_ns();

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL) {
        ewi_shell_hush(stack, stream);
        (void)ewi_shell_turn(stack, now);
        bits = ewi_shell_levels(stack, stream);
    }
    ewi_shell_leave(stack, now);
    return bits;
}

static int shell_error(struct ewi_stack *stack, ewi_stream handle)
{
    struct shell_stream *stream;
    int code = -ESTALE;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL)
        code = stream->error != 0 || stream->is_waiting ? stream->error
                                                        : ewi_net_error(stack->net, stream->inner);
    ewi_lock_give(&stack->guard);
    return code;
}

/* ---- end ---- */

static int shell_shutdown(struct ewi_stack *stack, ewi_stream handle)
{
    struct shell_stream *stream;
    int code = -ESTALE;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL && stream->is_waiting)
        code = -ENOTCONN;
    else if (stream != NULL)
        code = stream->error != 0 ? stream->error : ewi_net_shutdown(stack->net, stream->inner);
    ewi_shell_leave(stack, ewi_now_ns());
    return code;
}

static int shell_break_off(struct ewi_stack *stack, ewi_stream handle)
{
    struct shell_stream *stream;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL && stream->error == 0) {
        stream->error = -ECONNABORTED;
        stream->is_broken = true;
        ewi_shell_tell(stack, stream, STACK_FAILED);
    }
    ewi_shell_leave(stack, ewi_now_ns());
    return stream == NULL ? -ESTALE : 0;
}

static int finish_now(struct ewi_stack *stack, struct shell_stream *stream, bool reset, uint64_t now)
{
    ewi_shell_close_fds(stack, stream);
    stream->finished = true;
    stream->pending = 0;
    ewi_shell_forget_waiting(stack, stream);
    if (stream->inner == 0) { /* it was never begun, or could not be */
        ewi_shell_tell(stack, stream, STACK_CLOSED);
        return 0;
    }
    return ewi_net_finish(stack->net, stream->inner, reset || stream->error != 0, now);
}

static int shell_finish(struct ewi_stack *stack, ewi_stream handle, bool reset, uint64_t now)
{
    struct shell_stream *stream;
    int code = -ESTALE;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL)
        code = finish_now(stack, stream, reset, now);
    (void)ewi_shell_turn(stack, now); /* CLOSED may be there at once */
    ewi_shell_leave(stack, now);
    return code;
}

/* ---- progress, looks ---- */

static int shell_watch(struct ewi_stack *stack, ewi_stream handle, uint32_t bits)
{
    struct shell_stream *stream;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL) {
        stream->watch = (uint8_t)(bits & (STACK_READABLE | STACK_WRITABLE));
        stream->aside = (bits & STACK_ASIDE) != 0;
        stream->told_failed = false;
        ewi_shell_tell(stack, stream, 0);
    }
    ewi_shell_leave(stack, ewi_now_ns());
    return stream == NULL ? -ESTALE : 0;
}

static void shell_flush(struct ewi_stack *stack, uint64_t now)
{
    ewi_shell_enter(stack);
    ewi_shell_leave(stack, now);
}

static int shell_wait_fd(struct ewi_stack *stack)
{
    return stack->wait_fd;
}

static int shell_addresses(struct ewi_stack *stack, ewi_stream handle, struct stack_addr *local,
                           struct stack_addr *remote)
{
    struct stack_addr here = {0}, there = {0};
    struct shell_stream *stream;
    int code = -ESTALE;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL && stream->kind == SHELL_LISTENER) {
        here = stream->local;
        code = remote == NULL ? 0 : -ENOTCONN;
    } else if (stream != NULL && stream->inner == 0) { /* it waits, or could not be begun */
        code = -ENOTCONN;
    } else if (stream != NULL) {
        code = ewi_net_addresses(stack->net, stream->inner, &here, &there);
    }
    ewi_lock_give(&stack->guard);
    if (code == 0 && local != NULL)
        *local = here;
    if (code == 0 && remote != NULL)
        *remote = there;
    return code;
}

static enum stack_silence shell_silence(struct ewi_stack *stack, ewi_stream handle,
                                        uint64_t *since_ns)
{
    enum stack_silence silence = STACK_QUIET;
    struct shell_stream *stream;

    *since_ns = 0;
    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL && stream->kind == SHELL_CONNECTION)
        silence = ewi_net_silence(stack->net, stream->inner, since_ns);
    ewi_lock_give(&stack->guard);
    return silence;
}

const struct stack_ops ewi_shell_ops = {
    .abi = STACK_ABI,
    .bytes = sizeof(struct stack_ops),
    .name = "net",
    .close = ewi_shell_close,
    .listen = shell_listen,
    .connect = shell_connect,
    .accept = shell_accept,
    .send = shell_send,
    .released = shell_released,
    .recv_into = shell_recv_into,
    .ready = shell_ready,
    .error = shell_error,
    .shutdown = shell_shutdown,
    .break_off = shell_break_off,
    .finish = shell_finish,
    .watch = shell_watch,
    .poll = ewi_shell_poll,
    .flush = shell_flush,
    .wait_fd = shell_wait_fd,
    .stream_fd = ewi_shell_stream_fd,
    .arm = ewi_shell_arm,
    .disarm = ewi_shell_disarm,
    .kick = ewi_shell_kick,
    .addresses = shell_addresses,
    .info = ewi_shell_info,
    .silence = shell_silence,
    .forked = ewi_shell_forked,
    .stream_arm = ewi_shell_stream_arm,
    .ask = ewi_shell_ask,
    .reopen = ewi_shell_reopen,
};
