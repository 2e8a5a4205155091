/* The listening side on this host: guests, their hello, and the channels they become. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/channel/move.h"
#include "transport/error.h"
#include "transport/listener.h"
#include "transport/local/open.h"
#include "transport/process.h"

enum { ACCEPT_MAX = 16, BACKLOG = 256 };

struct guest { /* connected, has not said hello */
    ew_listener *listener;
    struct source *source;
    struct local_peer peer;
    int socket;
};

static void count_dropped(ew_listener *listener)
{
    ewi_lock_enter(&listener->lock);
    listener->dropped += 1;
    ewi_lock_give(&listener->lock);
    atomic_fetch_add_explicit(&listener->context->dropped, 1, memory_order_relaxed);
}

/* keep_socket: it belongs to a channel now. */
static void forget_guest(struct guest *guest, bool keep_socket)
{
    ew_context *context = guest->listener->context;

    ewi_reactor_remove(context->reactor, guest->source);
    ewi_access_half_done(context, guest->peer.uid);
    if (!keep_socket)
        ewi_process_close_fd(guest->socket);
    ewi_listener_give(guest->listener);
    free(guest);
}

static void refuse(int socket, int code, const char *text)
{
    uint8_t bytes[WIRE_REFUSE_BYTES_MAX];
    uint32_t length = ewi_wire_put_refuse(bytes, code, text);

    (void)ewi_local_send(socket, bytes, length, -1); /* whether it hears it or not, it is out */
}

static int start_channel(struct guest *guest, ew_listener *listener, const struct hello *hello,
                         int memory_fd, ew_channel **out)
{
    struct local_link_parts parts = {
        .fd = guest->socket, .peer = guest->peer, .offset = hello->offset};
    struct channel_options options = {.outbox = REGION_SHARED,
                                      .peer = hello,
                                      .service = hello->service,
                                      .protocol = hello->protocol};
    char address[64];
    ew_channel *channel;
    int code;

    snprintf(address, sizeof(address), "pid:%u", guest->peer.pid);
    options.peer_address = address;
    memcpy(options.instance, listener->instance, sizeof(options.instance));
    memcpy(options.id, hello->channel, sizeof(options.id));
    memcpy(options.secret, hello->secret, sizeof(options.secret));
    code = ewi_local_attach(listener->context, &guest->peer, hello, memory_fd, &parts.peers);
    if (code != EW_OK)
        return code;
    code = ewi_channel_create(listener->context, &options, &channel);
    if (code != EW_OK)
        goto fail_attach;
    ewi_reactor_remove(listener->context->reactor, guest->source); /* the link watches it now */
    guest->source = NULL;
    code = ewi_local_link_prepare(channel, channel->link, &parts);
    if (code != EW_OK)
        goto fail_create;
    (void)ewi_session_accept(&channel->session, hello->generation, 0, 0); /* judged: it is not 0 */
    channel->peer_uid = guest->peer.uid;
    ewi_local_link_open(channel);
    *out = channel;
    return EW_OK;

fail_create:
    ewi_channel_discard(channel);
fail_attach:
    ewi_local_detach(listener->context, &guest->peer, &parts.peers);
    return code;
}

/* A good hello: channel, welcome, queue. */
static int admit(struct guest *guest, ew_listener *listener, const struct hello *hello,
                 int memory_fd)
{
    uint8_t bytes[WIRE_HELLO_BYTES];
    struct hello welcome;
    ew_channel *channel;
    int code = start_channel(guest, listener, hello, memory_fd, &channel);

    if (code != EW_OK)
        return code;
    ewi_listener_welcome(listener, hello, &welcome, NULL);
    welcome.outbox_bytes = channel->outbox_region.bytes;
    ewi_wire_put_hello(bytes, RECORD_WELCOME, &welcome);
    EWI_CRASH_POINT("accept.before_welcome");
    (void)ewi_local_send(guest->socket, bytes, sizeof(bytes), channel->outbox_region.fd);
    EWI_CRASH_POINT("accept.after_welcome"); /* a failed send is a hang-up that the link will see */
    channel->listener = listener;
    ewi_channel_open(channel);
    ewi_listener_queue(listener, channel);
    return EW_OK;
}

static void answer_query(struct guest *guest, ew_listener *listener, const struct hello *hello)
{
    uint8_t bytes[WIRE_MESSAGE_BYTES_MAX];
    char facts[WIRE_FACTS_BYTES_MAX + 8];
    struct hello welcome;
    uint32_t length;

    ewi_listener_welcome(listener, hello, &welcome, facts);
    length = ewi_wire_put_welcome_facts(bytes, &welcome, facts);
    (void)ewi_local_send(guest->socket, bytes, length, -1);
}

/* A channel of ours goes over to this socket. */
static int resume(struct guest *guest, const struct hello *hello, const uint8_t *bytes,
                  int memory_fd, char text[WIRE_TEXT_BYTES_MAX])
{
    ew_context *context = guest->listener->context;
    struct incoming_link link = {.fd = guest->socket, .peer = guest->peer};
    uint8_t last_word[WIRE_FINAL_BYTES];
    struct incoming_found found;
    ew_channel *channel;
    int code = ewi_incoming_find(context, hello, bytes, &found, text);

    if (code == EW_EEND)
        (void)ewi_local_send(guest->socket, last_word,
                             ewi_wire_put_u64(last_word, RECORD_FINAL, found.taken), -1);
    if (code != EW_OK)
        return code;
    channel = found.channel;
    if (channel->began_local && channel->peer_uid != guest->peer.uid) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "the channel belongs to another user");
        return EW_EACCESS;
    }
    code = ewi_local_attach(context, &guest->peer, hello, memory_fd, &link.peers);
    if (code != EW_OK) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "%s", ewi_error_text());
        return code;
    }
    ewi_reactor_remove(context->reactor, guest->source); /* the link will watch it */
    guest->source = NULL;
    code = ewi_incoming_start(channel, hello, &link, text);
    if (code != EW_OK)
        ewi_local_detach(context, &guest->peer, &link.peers);
    return code;
}

/* Returns true when the socket has become a channel's. */
static bool on_hello(struct guest *guest, const uint8_t *bytes, uint32_t length, int memory_fd)
{
    char text[WIRE_TEXT_BYTES_MAX] = "";
    ew_listener *listener = NULL;
    struct hello hello;
    int code = ewi_wire_get_hello(bytes, length, RECORD_HELLO, &hello, NULL);

    if (code == EW_EPROTO) { /* not one of us: say nothing */
        count_dropped(guest->listener);
        return false;
    }
    if (code == EW_EVERSION)
        snprintf(text, sizeof(text), "this listener speaks version %d, you speak %u to %u",
                 WIRE_VERSION, hello.version_min, hello.version);
    else if (hello.intent == WIRE_RESUME) {
        code = resume(guest, &hello, bytes, memory_fd, text);
        if (code == EW_OK || code == EW_EEND)
            return code == EW_OK;
    } else {
        code = ewi_listener_judge(guest->listener->context->stacks, guest->listener, &hello, &listener,
                                  text);
    }
    if (code == EW_OK && hello.intent == WIRE_QUERY) {
        answer_query(guest, listener, &hello);
        return false;
    }
    if (code == EW_OK) {
        code = admit(guest, listener, &hello, memory_fd);
        if (code == EW_OK)
            return true;
        ewi_listener_give_channel(listener);
        snprintf(text, sizeof(text), "%s", ewi_error_text());
    }
    refuse(guest->socket, code <= EW_EAGAIN ? code : EW_EMEMORY, text);
    ewi_listener_count_refused(guest->listener);
    return false;
}

static void on_guest(void *object, uint32_t events, uint64_t now_ns)
{
    struct guest *guest = object;
    uint8_t bytes[WIRE_HELLO_BYTES + 8];
    bool kept = false;
    int memory_fd;
    int64_t length;

    (void)now_ns;
    if (events == 0) { /* silent for too long */
        count_dropped(guest->listener);
        forget_guest(guest, false);
        return;
    }
    length = ewi_local_receive(guest->socket, bytes, sizeof(bytes), &memory_fd);
    if (length == -EAGAIN || length == -EINTR)
        return;
    if (length > 0)
        kept = on_hello(guest, bytes, (uint32_t)length, memory_fd);
    else
        count_dropped(guest->listener);
    if (memory_fd >= 0)
        close(memory_fd);
    forget_guest(guest, kept);
}

static void greet(ew_listener *listener, int socket)
{
    ew_context *context = listener->context;
    struct guest *guest = calloc(1, sizeof(*guest));

    if (guest == NULL || ewi_process_add_fd(socket) != EW_OK) {
        free(guest);
        close(socket);
        return;
    }
    guest->socket = socket;
    guest->listener = listener;
    if (ewi_access_peer_of(socket, &guest->peer) != EW_OK)
        goto drop;
    if (!ewi_access_allows(context, socket, &guest->peer)) {
        refuse(socket, EW_EACCESS, "your uid is not on the access list of this listener");
        ewi_listener_count_refused(listener);
        goto drop;
    }
    if (!ewi_access_half_open(context, guest->peer.uid)) {
        refuse(socket, EW_EFULL, "too many connections that have not said hello");
        ewi_listener_count_refused(listener);
        goto drop;
    }
    if (ewi_reactor_add(context->reactor, socket, EPOLLIN, on_guest, guest, &guest->source) != 0) {
        ewi_access_half_done(context, guest->peer.uid);
        goto drop;
    }
    ewi_listener_take(listener);
    ewi_reactor_set_deadline(context->reactor, guest->source, ewi_now_ns() + context->hello_ns);
    return;

drop:
    ewi_process_close_fd(socket);
    free(guest);
}

/* No descriptor is left for another connection: take a rest instead of spinning. */
static void rest(ew_listener *listener, uint64_t now_ns)
{
    count_dropped(listener);
    ewi_reactor_set_deadline(listener->context->reactor, listener->source,
                             now_ns + listener->context->hello_ns / 10);
    ewi_reactor_change(listener->context->reactor, listener->source, 0);
}

static void on_connection(void *object, uint32_t events, uint64_t now_ns)
{
    ew_listener *listener = object;

    if (events == 0) /* rested */
        ewi_reactor_change(listener->context->reactor, listener->source, EPOLLIN);
    for (int i = 0; i < ACCEPT_MAX; i++) {
        int socket = accept4(listener->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (socket >= 0) {
            greet(listener, socket);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            rest(listener, now_ns);
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

int ewi_local_listen(ew_listener *listener, const char *directory)
{
    char error[RUNDIR_ERROR_BYTES];
    int code = ewi_rundir_open(directory, true, &listener->directory, error);

    if (code != EW_OK)
        return ewi_fail(code, "%s", error);
    if (ewi_process_add_fd(listener->directory) != EW_OK)
        return ewi_fail(EW_EMEMORY, "no memory for a listener");
    ewi_rundir_sweep(listener->directory);
    code = ewi_rundir_name(listener->context->namespace_name, listener->service,
                           listener->instance, listener->name);
    if (code != EW_OK)
        return ewi_fail(code, "service name \"%s\" is not valid", listener->service);
    code = ewi_rundir_bind(listener->directory, listener->name, BACKLOG, &listener->socket, error);
    if (code != EW_OK)
        return ewi_fail(code, "%s", error);
    if (ewi_process_add_fd(listener->socket) != EW_OK)
        return ewi_fail(EW_EMEMORY, "no memory for a listener");
    snprintf(listener->local_address, sizeof(listener->local_address), "shm:%s/%s", directory,
             listener->name);
    code = ewi_reactor_add(listener->context->reactor, listener->socket, EPOLLIN, on_connection,
                           listener, &listener->source);
    return code == EW_OK ? EW_OK : ewi_fail(code, "the reactor takes no more descriptors");
}

void ewi_local_unlisten(ew_listener *listener)
{
    ewi_reactor_remove(listener->context->reactor, listener->source);
    listener->source = NULL;
    if (listener->socket >= 0)
        ewi_rundir_unlink(listener->directory, listener->name);
    ewi_process_close_fd(listener->socket);
    ewi_process_close_fd(listener->directory);
    listener->socket = listener->directory = -1;
}
