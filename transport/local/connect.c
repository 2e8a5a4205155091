/* Dialling a listener on this host. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "transport/error.h"
#include "transport/hello.h"
#include "transport/local/open.h"
#include "transport/local/rundir.h"
#include "transport/process.h"
#include "transport/retired.h"

enum { BUSY_PAUSE_NS = 2 * 1000 * 1000 };

struct call { /* one attempt */
    ew_context *context;
    const struct dial *dial;
    int socket;
    struct local_peer peer;
    struct hello said;
    uint8_t reply[WIRE_MESSAGE_BYTES_MAX];
    uint32_t reply_bytes;
    int reply_fd;
};

/* The listener's queue of connections is full: look again soon. */
static int pause_a_little(const struct dial *dial)
{
    struct dial soon = *dial;
    uint64_t now = ewi_now_ns();
    int code;

    if (ewi_wait_left(dial->wait, now) == 0)
        return ewi_fail(EW_ETIMEOUT, "%s takes no connections now: its queue is full",
                        dial->address);
    soon.wait.deadline_ns = ewi_min_u64(dial->wait.deadline_ns, now + BUSY_PAUSE_NS);
    code = ewi_hello_await(-1, 0, &soon); /* nothing but the end of the channel */
    return code == EW_ETIMEOUT ? EW_OK : code;
}

static int open_socket(struct call *call, const char *directory, const char *name)
{
    char error[RUNDIR_ERROR_BYTES];
    bool busy;
    int fd;
    int code = ewi_rundir_open(directory, false, &fd, error);

    if (code != EW_OK)
        return ewi_fail(code, "%s", error);
    do {
        code = ewi_rundir_connect(fd, name, &call->socket);
        busy = code == EW_EAGAIN;
        if (busy)
            code = pause_a_little(call->dial);
    } while (busy && code == EW_OK);
    close(fd);
    if (code == EW_ENOTFOUND || code == EW_EUNREACHABLE)
        return ewi_fail(EW_EUNREACHABLE, "%s: no process listens there any more",
                        call->dial->address);
    if (code == EW_ETIMEOUT || code == EW_EINTR)
        return code;
    if (code != EW_OK)
        return ewi_fail(code, "%s: connect failed: %s", call->dial->address, ewi_error_name(code));
    if (ewi_process_add_fd(call->socket) != EW_OK) {
        close(call->socket);
        return ewi_fail(EW_EMEMORY, "no memory for a connection");
    }
    return EW_OK;
}

static int check_server(struct call *call)
{
    int code = ewi_access_peer_of(call->socket, &call->peer);

    if (code != EW_OK)
        return ewi_fail_os(code, "%s: SO_PEERCRED", call->dial->address);
    if (ewi_access_trusts(call->context, &call->peer))
        return EW_OK;
    return ewi_fail(EW_EACCESS, "%s belongs to uid %u, which is neither root, ourselves nor on the "
                                "allow list",
                    call->dial->address, call->peer.uid);
}

/* Say an encoded hello and wait for the answer. */
static int talk(struct call *call, const uint8_t bytes[WIRE_HELLO_BYTES], int memory_fd)
{
    int64_t length;
    int code;

    code = ewi_local_send(call->socket, bytes, WIRE_HELLO_BYTES, memory_fd);
    if (code < 0 && code != -EPIPE && code != -ECONNRESET) /* then its refusal is still to be read */
        return ewi_fail_os(code, "%s: hello", call->dial->address);
    EWI_CRASH_POINT("hello.after_send");
    do {
        code = ewi_hello_await(call->socket, POLLIN, call->dial);
        if (code != EW_OK)
            return code;
        length = ewi_local_receive(call->socket, call->reply, sizeof(call->reply), &call->reply_fd);
    } while (length == -EAGAIN || length == -EINTR || length == -ECONNRESET); /* reported once, and
        before the refusal that was sent ahead of the hang-up */
    if (length == 0)
        return ewi_fail(EW_EUNREACHABLE, "%s hung up without an answer", call->dial->address);
    if (length < 0)
        return ewi_fail(EW_EPROTO, "%s did not answer as an Eastwest listener does",
                        call->dial->address);
    EWI_CRASH_POINT("hello.after_welcome");
    call->reply_bytes = (uint32_t)length;
    return EW_OK;
}

static int start(struct call *call, ew_channel *channel, const struct hello *welcome)
{
    struct local_link_parts parts = {.fd = call->socket, .peer = call->peer};
    int code = ewi_local_attach(call->context, &call->peer, welcome, call->reply_fd, &parts.peers);

    if (code != EW_OK)
        return code;
    memcpy(channel->instance, welcome->instance, sizeof(channel->instance));
    channel->peer_message_bytes_max = welcome->message_bytes_max;
    channel->peer_uid = call->peer.uid;
    parts.offset = welcome->offset;
    code = ewi_local_link_prepare(channel, channel->link, &parts);
    if (code != EW_OK) {
        ewi_local_detach(call->context, &call->peer, &parts.peers);
        return code;
    }
    (void)ewi_session_dial(&channel->session); /* the hello's; a later link has a higher one */
    (void)ewi_session_welcomed(&channel->session, welcome->generation, 0, 0);
    ewi_reactor_lock(call->context->reactor); /* the peer dies before all of it, or after */
    ewi_local_link_open(channel);
    ewi_channel_open(channel);
    ewi_reactor_unlock(call->context->reactor);
    return EW_OK;
}

static int open_channel(struct call *call, ew_channel **out)
{
    struct channel_options options = {.outbox = REGION_SHARED,
                                      .opener = true,
                                      .service = call->dial->service,
                                      .protocol = call->dial->protocol,
                                      .peer_address = call->dial->address};
    uint8_t bytes[WIRE_HELLO_BYTES];
    struct hello welcome;
    ew_channel *channel;
    int code;

    memcpy(options.id, call->said.channel, sizeof(options.id));
    memcpy(options.secret, call->said.secret, sizeof(options.secret));
    code = ewi_channel_create(call->context, &options, &channel);
    if (code != EW_OK)
        return code;
    call->said.outbox_bytes = channel->outbox_region.bytes;
    ewi_wire_put_hello(bytes, RECORD_HELLO, &call->said);
    code = talk(call, bytes, channel->outbox_region.fd);
    if (code == EW_OK)
        code = ewi_hello_judge(call->dial, &call->said, call->reply, call->reply_bytes, &welcome,
                               NULL);
    if (code == EW_OK)
        code = start(call, channel, &welcome);
    if (code != EW_OK)
        ewi_channel_discard(channel);
    else
        *out = channel;
    return code;
}

static int prepare(struct call *call, const struct hello *welcome)
{
    struct local_link_parts parts = {.fd = call->socket,
                                     .peer = call->peer,
                                     .start = welcome->start,
                                     .offset = welcome->offset};
    struct move *move = call->dial->move;
    int code = ewi_local_attach(call->context, &call->peer, welcome, call->reply_fd, &parts.peers);

    if (code != EW_OK)
        return code;
    code = ewi_local_link_prepare(move->channel, move->link, &parts);
    move->prepared = code == EW_OK;
    if (code != EW_OK)
        ewi_local_detach(call->context, &call->peer, &parts.peers);
    return code;
}

/* The channel comes to rest, says where it is, and goes over. */
static int move_channel(struct call *call)
{
    struct move *move = call->dial->move;
    uint8_t bytes[WIRE_HELLO_BYTES];
    struct hello welcome;
    int code = ewi_hello_resume(call->dial, &call->said, bytes);

    if (code == EW_OK)
        code = talk(call, bytes, move->outbox.fd);
    if (code == EW_OK)
        code = ewi_hello_judge(call->dial, &call->said, call->reply, call->reply_bytes, &welcome,
                               NULL);
    if (code == EW_OK)
        code = prepare(call, &welcome);
    if (code != EW_OK)
        return code;
    code = ewi_hello_resumed(call->dial, &call->said, call->reply);
    if (code == EW_OK)
        code = ewi_move_finish(move, &welcome);
    if (code != EW_OK)
        ewi_local_detach(call->context, &call->peer, &move->link->local.peers_region);
    return code;
}

static int ask(struct call *call, ew_query_info *query)
{
    char facts[WIRE_FACTS_BYTES_MAX + 8];
    uint64_t began = ewi_now_ns();
    uint8_t bytes[WIRE_HELLO_BYTES];
    struct hello welcome;
    int code;

    ewi_wire_put_hello(bytes, RECORD_HELLO, &call->said);
    code = talk(call, bytes, -1);
    if (code == EW_OK)
        code = ewi_hello_judge(call->dial, &call->said, call->reply, call->reply_bytes, &welcome,
                               facts);
    if (code != EW_OK)
        return code;
    ewi_query_fill(&welcome, facts, began, query);
    query->pid = call->peer.pid;
    query->uid = call->peer.uid;
    return EW_OK;
}

static int converse(struct call *call, ew_channel **out, ew_query_info *query)
{
    switch (call->dial->intent) {
    case WIRE_OPEN:
        return open_channel(call, out);
    case WIRE_RESUME:
        return move_channel(call);
    case WIRE_QUERY:
        break;
    }
    return ask(call, query);
}

int ewi_local_connect(ew_context *context, const char *directory, const char *name,
                      const struct dial *dial, ew_channel **out, ew_query_info *query)
{
    struct call call = {.context = context, .dial = dial, .socket = -1, .reply_fd = -1};
    int code = ewi_hello_fill(context, dial, &call.said);

    if (code == EW_OK)
        code = open_socket(&call, directory, name);
    if (code != EW_OK)
        return code;
    code = check_server(&call);
    if (code == EW_OK)
        code = converse(&call, out, query);
    if (call.reply_fd >= 0)
        close(call.reply_fd);
    if (code != EW_OK && dial->move != NULL && dial->move->said)
        ewi_retire_socket(dial->move->channel, call.socket); /* the peer may be on it: no hang-up */
    else if (code != EW_OK || dial->intent == WIRE_QUERY)
        ewi_process_close_fd(call.socket);
    return code;
}
