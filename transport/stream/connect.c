/* Dialling over a byte stream. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/error.h"
#include "transport/fabric.h"
#include "transport/hello.h"

struct call { /* one attempt */
    ew_context *context;
    struct context_stack *on;
    const struct stack_ops *ops; /* its */
    struct ewi_stack *stack;
    ewi_stream stream;
    const struct dial *dial;
    struct hello said;
    uint8_t bytes[WIRE_MESSAGE_BYTES_MAX + 4096]; /* the reply and what came behind it */
    uint32_t have, reply_bytes;
};

static int await(struct call *call, short events)
{
    const struct stack_ops *ops = call->ops;
    int fd = ops->stream_fd(call->stack, call->stream); /* there is one before it is armed */

    if (ops->stream_arm != NULL) {
        if (ops->stream_arm(call->stack, call->stream, ewi_now_ns()) == 1)
            return EW_OK; /* look again */
        events = POLLIN;
    }
    return ewi_hello_await(fd, events, call->dial);
}

static int unreachable(const struct call *call, int negative_errno)
{
    if (negative_errno == 0)
        negative_errno = -ECONNRESET;
    if (negative_errno == -ENETDOWN)
        ewi_fabric_lost(call->on);
    ewi_fail_os(negative_errno, "%s", call->dial->address);
    return EW_EUNREACHABLE;
}

static int await_connected(struct call *call)
{
    for (;;) {
        uint32_t ready = call->ops->ready(call->stack, call->stream);
        int code;

        if (ready & STACK_FAILED)
            return unreachable(call, call->ops->error(call->stack, call->stream));
        if (ready & (STACK_CONNECTED | STACK_WRITABLE))
            return EW_OK;
        code = await(call, POLLOUT);
        if (code != EW_OK)
            return code;
    }
}

static int say_hello(struct call *call)
{
    uint8_t bytes[WIRE_HELLO_BYTES];
    size_t sent = 0;

    if (call->dial->intent == WIRE_RESUME) {
        int code = ewi_hello_resume(call->dial, &call->said, bytes);

        if (code != EW_OK)
            return code;
    } else {
        ewi_wire_put_hello(bytes, RECORD_HELLO, &call->said);
    }
    while (sent < sizeof(bytes)) {
        struct stack_span span = {bytes + sent, sizeof(bytes) - sent};
        int64_t length = call->ops->send(call->stack, call->stream, &span, 1);
        int code = EW_OK;

        if (length == -EAGAIN)
            code = await(call, POLLOUT);
        else if (length < 0)
            return unreachable(call, (int)length);
        else
            sent += (size_t)length;
        if (code != EW_OK)
            return code;
    }
    return EW_OK;
}

static int64_t take(struct call *call)
{
    struct stack_room room = {call->bytes + call->have, sizeof(call->bytes) - call->have};
    int64_t length = call->ops->recv_into(call->stack, call->stream, &room, 1);

    if (length > 0)
        call->have += (uint32_t)length;
    return length;
}

/* EW_EAGAIN: the reply is not whole yet; the rest of what was read stays behind it. */
static int look(struct call *call)
{
    struct record record;

    if (call->have < RECORD_HEADER_BYTES)
        return EW_EAGAIN;
    record = ewi_record_decode(ewi_wire_get_header(call->bytes));
    if (ewi_wire_check_greeting(record) != EW_OK || record.kind == RECORD_HELLO)
        return ewi_fail(EW_EPROTO, "%s did not answer as an Eastwest listener does",
                        call->dial->address);
    call->reply_bytes = record.bytes;
    return call->have >= record.bytes ? EW_OK : EW_EAGAIN;
}

static int hear(struct call *call)
{
    for (;;) {
        int code = look(call);
        int64_t length;

        if (code != EW_EAGAIN)
            return code;
        length = take(call);
        if (length == 0)
            return ewi_fail(EW_EUNREACHABLE, "%s hung up without an answer", call->dial->address);
        if (length > 0)
            continue;
        if (length != -EAGAIN)
            return unreachable(call, (int)length);
        code = await(call, POLLIN);
        if (code != EW_OK)
            return code;
    }
}

/* A listener that has too many guests says so and closes, and the reset for our hello, which it did not
 * read, may be here before we look: what it said is there still (stack.h, Errors). */
static bool was_told_why(struct call *call)
{
    while (look(call) == EW_EAGAIN)
        if (take(call) <= 0)
            return false;
    return look(call) == EW_OK;
}

static int open_channel(struct call *call, struct stream_user *user, const struct hello *welcome,
                        ew_channel **out)
{
    struct channel_options options = {.outbox = REGION_PRIVATE,
                                      .opener = true,
                                      .peer = welcome,
                                      .service = call->dial->service,
                                      .protocol = call->dial->protocol,
                                      .peer_address = call->dial->address};
    struct stream_link_parts parts = {.on = call->on,
                                      .stream = call->stream,
                                      .user = user,
                                      .early = call->bytes + call->reply_bytes,
                                      .early_bytes = call->have - call->reply_bytes};
    ew_channel *channel;
    int code;

    memcpy(options.instance, welcome->instance, sizeof(options.instance));
    memcpy(options.id, call->said.channel, sizeof(options.id));
    memcpy(options.secret, call->said.secret, sizeof(options.secret));
    code = ewi_channel_create(call->context, &options, &channel);
    if (code != EW_OK)
        return code;
    if (ewi_session_dial(&channel->session) != call->said.generation ||
        ewi_session_welcomed(&channel->session, welcome->generation, welcome->taken, 0) != EW_OK)
        code = ewi_fail(EW_EPROTO, "%s answered with impossible positions", call->dial->address);
    if (code == EW_OK)
        code = ewi_stream_link_prepare(channel, channel->link, &parts);
    if (code != EW_OK) {
        ewi_channel_discard(channel);
        return code;
    }
    ewi_stream_link_open(channel, welcome->limit);
    ewi_channel_open(channel);
    *out = channel;
    return EW_OK;
}

/* The channel is at rest, the peer has answered: go over. */
static int move_channel(struct call *call, struct stream_user *user, const struct hello *welcome)
{
    const struct stream_link_parts parts = {.on = call->on,
                                            .stream = call->stream,
                                            .user = user,
                                            .early = call->bytes + call->reply_bytes,
                                            .early_bytes = call->have - call->reply_bytes};
    struct move *move = call->dial->move;
    int code = ewi_stream_link_prepare(move->channel, move->link, &parts);

    move->prepared = code == EW_OK;
    if (code == EW_OK)
        code = ewi_hello_resumed(call->dial, &call->said, call->bytes);
    return code == EW_OK ? ewi_move_finish(move, welcome) : code;
}

static int ask(struct call *call, const struct hello *welcome, const char *facts, uint64_t began_ns,
               ew_query_info *query)
{
    (void)call;
    ewi_query_fill(welcome, facts, began_ns, query);
    query->pid = 0; /* its own word, of another host: no use */
    return EW_OK;
}

static int talk(struct call *call, struct stream_user *user, ew_channel **out,
                ew_query_info *query)
{
    char facts[WIRE_FACTS_BYTES_MAX + 8];
    uint64_t began = ewi_now_ns();
    struct hello welcome;
    int code = await_connected(call);

    if (code == EW_OK)
        code = say_hello(call);
    EWI_CRASH_POINT("hello.after_send");
    if (code == EW_OK)
        code = hear(call);
    EWI_CRASH_POINT("hello.after_welcome");
    if (code == EW_OK || (code == EW_EUNREACHABLE && was_told_why(call)))
        code = ewi_hello_judge(call->dial, &call->said, call->bytes, call->reply_bytes, &welcome,
                               facts);
    if (code != EW_OK)
        return code;
    if (call->dial->intent == WIRE_OPEN)
        return open_channel(call, user, &welcome, out);
    if (call->dial->intent == WIRE_RESUME)
        return move_channel(call, user, &welcome);
    return ask(call, &welcome, facts, began, query);
}

int ewi_stream_connect(struct context_stack *on, const struct stack_addr *address,
                       const struct dial *dial, ew_channel **out, ew_query_info *query)
{
    ew_context *context = on->context;
    struct call call = {
        .context = context, .on = on, .ops = on->ops, .stack = on->stack, .dial = dial};
    struct stream_user *user = ewi_stream_user_create(on, NULL, NULL); /* not watched yet */
    int code;

    if (user == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a connection");
    code = ewi_hello_fill(context, dial, &call.said);
    if (code == EW_OK) {
        code = call.ops->connect(call.stack, NULL, address, (uint64_t)(uintptr_t)user, ewi_now_ns(),
                                 &call.stream);
        if (code != 0) {
            ewi_stream_user_free(on, user);
            return unreachable(&call, code);
        }
        ewi_context_stack_stir(on);
        code = talk(&call, user, out, query);
        if (code == EW_OK && dial->intent != WIRE_QUERY)
            return EW_OK;
        ewi_stream_finish(on, call.stream, user, true);
        return code;
    }
    ewi_stream_user_free(on, user);
    return code;
}
