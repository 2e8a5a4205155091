/* The listening side of streams: one port for all services of a context. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/channel/move.h"
#include "transport/error.h"
#include "transport/fabric.h"
#include "transport/listener.h"

enum { ACCEPT_MAX = 16, BACKLOG = 256 };

struct door { /* one address of a port */
    struct tcp_port *port;
    struct stream_user *user; /* NULL: it is closed */
    ewi_stream stream;
    struct stack_addr address; /* its port: 0 until the stack has chosen one */
    bool was_open;             /* once, and is again when the port is */
};

struct tcp_port {
    struct tcp_port *next;
    struct context_stack *on;
    uint32_t users;
    char wanted[80]; /* as configured, "" on the fabric */
    uint32_t doors_count;
    struct door doors[FABRIC_ADDRESSES_MAX];
};

struct guest {
    ew_context *context;
    struct context_stack *on;
    struct stream_user *user;
    struct source *deadline;
    ewi_stream stream;
    uint32_t have;
    uint8_t bytes[WIRE_HELLO_BYTES];
};

static void count_dropped(ew_context *context)
{
    atomic_fetch_add_explicit(&context->dropped, 1, memory_order_relaxed);
}

/* keep_stream: it belongs to a channel now, with its user. */
static void forget_guest(struct guest *guest, bool keep_stream, bool reset)
{
    ew_context *context = guest->context;

    ewi_reactor_remove(context->reactor, guest->deadline);
    ewi_access_half_done(context, STRANGER_UID);
    if (!keep_stream)
        ewi_stream_finish(guest->on, guest->stream, guest->user, reset);
    free(guest);
    ewi_context_give(context);
}

static void say(struct guest *guest, const uint8_t *bytes, uint32_t length)
{
    struct stack_span span = {bytes, length};

    /* The send buffer of a new connection holds it whole; if not, the peer will time out. */
    (void)guest->on->ops->send(guest->on->stack, guest->stream, &span, 1);
}

static void refuse(struct guest *guest, int code, const char *text)
{
    uint8_t bytes[WIRE_REFUSE_BYTES_MAX];

    say(guest, bytes, ewi_wire_put_refuse(bytes, code, text));
    atomic_fetch_add_explicit(&guest->context->refused, 1, memory_order_relaxed);
}

static int start_channel(struct guest *guest, ew_listener *listener, const struct hello *hello,
                         ew_channel **out)
{
    struct channel_options options = {.outbox = REGION_PRIVATE,
                                      .peer = hello,
                                      .service = hello->service,
                                      .protocol = hello->protocol};
    struct stream_link_parts parts = {.on = guest->on,
                                      .stream = guest->stream,
                                      .user = guest->user,
                                      .early = guest->bytes};
    struct stack_addr remote = {0};
    char address[STREAM_ADDRESS_BYTES];
    ew_channel *channel;
    int code;

    (void)guest->on->ops->addresses(guest->on->stack, guest->stream, NULL, &remote);
    ewi_fabric_format(guest->on, &remote, address);
    options.peer_address = address;
    memcpy(options.instance, listener->instance, sizeof(options.instance));
    memcpy(options.id, hello->channel, sizeof(options.id));
    memcpy(options.secret, hello->secret, sizeof(options.secret));
    code = ewi_channel_create(guest->context, &options, &channel);
    if (code != EW_OK)
        return code;
    code = ewi_session_accept(&channel->session, hello->generation, hello->taken, 0);
    if (code == EW_OK)
        code = ewi_stream_link_prepare(channel, channel->link, &parts);
    if (code != EW_OK) {
        ewi_channel_discard(channel);
        return code;
    }
    ewi_stream_link_open(channel, hello->limit);
    *out = channel;
    return EW_OK;
}

static int admit(struct guest *guest, ew_listener *listener, const struct hello *hello)
{
    uint8_t bytes[WIRE_HELLO_BYTES];
    struct hello welcome;
    ew_channel *channel;
    int code;

    ewi_listener_welcome(listener, hello, &welcome, NULL);
    ewi_wire_put_hello(bytes, RECORD_WELCOME, &welcome);
    guest->on->ops->watch(guest->on->stack, guest->stream, 0);
    code = start_channel(guest, listener, hello, &channel);
    if (code != EW_OK)
        return code;
    EWI_CRASH_POINT("accept.before_welcome");
    say(guest, bytes, sizeof(bytes)); /* before anything that the channel sends */
    EWI_CRASH_POINT("accept.after_welcome");
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

    ewi_listener_welcome(listener, hello, &welcome, facts);
    say(guest, bytes, ewi_wire_put_welcome_facts(bytes, &welcome, facts));
}

/* A channel of ours goes over to this stream. */
static int resume(struct guest *guest, const struct hello *hello, char text[WIRE_TEXT_BYTES_MAX])
{
    const struct incoming_link link = {.fd = -1,
                                       .on = guest->on,
                                       .stream = guest->stream,
                                       .user = guest->user};
    struct incoming_found found;
    uint8_t bytes[WIRE_FINAL_BYTES];
    int code = ewi_incoming_find(guest->context, hello, guest->bytes, &found, text);

    guest->on->ops->watch(guest->on->stack, guest->stream, 0);
    ewi_stream_user_set(guest->on, guest->user, NULL, NULL);
    if (code == EW_EEND)
        say(guest, bytes, ewi_wire_put_u64(bytes, RECORD_FINAL, found.taken));
    return code == EW_OK ? ewi_incoming_start(found.channel, hello, &link, text) : code;
}

/* True when the stream has become a channel's. */
static bool on_hello(struct guest *guest)
{
    char text[WIRE_TEXT_BYTES_MAX] = "";
    ew_listener *listener = NULL;
    struct hello hello;
    int code = ewi_wire_get_hello(guest->bytes, guest->have, RECORD_HELLO, &hello, NULL);

    if (code == EW_EPROTO) {
        count_dropped(guest->context);
        return false;
    }
    if (code == EW_EVERSION)
        snprintf(text, sizeof(text), "this listener speaks version %d, you speak %u to %u",
                 WIRE_VERSION, hello.version_min, hello.version);
    else if (hello.intent == WIRE_RESUME) {
        code = resume(guest, &hello, text);
        if (code == EW_OK || code == EW_EEND)
            return code == EW_OK;
    } else {
        code = ewi_listener_judge(guest->on, NULL, &hello, &listener, text);
    }
    if (code == EW_OK && hello.intent == WIRE_QUERY) {
        answer_query(guest, listener, &hello);
        return false;
    }
    if (code == EW_OK) {
        code = admit(guest, listener, &hello);
        if (code == EW_OK)
            return true;
        ewi_listener_give_channel(listener);
        snprintf(text, sizeof(text), "%s", ewi_error_text());
    }
    refuse(guest, code <= EW_EAGAIN ? code : EW_EMEMORY, text);
    return false;
}

/* Is what has come so far the beginning of a hello? Junk is dropped at its eighth byte. */
static bool begins_well(const struct guest *guest)
{
    struct record record;

    if (guest->have < RECORD_HEADER_BYTES)
        return true;
    record = ewi_record_decode(ewi_wire_get_header(guest->bytes));
    return record.kind == RECORD_HELLO && ewi_wire_check_greeting(record) == EW_OK;
}

static void on_guest(void *object, uint32_t bits, uint64_t now_ns)
{
    struct guest *guest = object;
    const struct stack_ops *ops = guest->on->ops;

    (void)bits, (void)now_ns;
    while (guest->have < sizeof(guest->bytes)) {
        const struct stack_room room = {guest->bytes + guest->have,
                                        sizeof(guest->bytes) - guest->have};
        int64_t length = ops->recv_into(guest->on->stack, guest->stream, &room, 1);

        if (length == -EAGAIN)
            return;
        if (length > 0)
            guest->have += (uint32_t)length;
        if (length <= 0 || !begins_well(guest)) {
            count_dropped(guest->context);
            forget_guest(guest, false, true);
            return;
        }
    }
    forget_guest(guest, on_hello(guest), false);
}

static void on_deadline(void *object, uint32_t events, uint64_t now_ns)
{
    struct guest *guest = object;

    (void)events, (void)now_ns;
    count_dropped(guest->context);
    forget_guest(guest, false, true);
}

static void drop(struct context_stack *on, ewi_stream stream, struct guest *guest,
                 struct stream_user *user)
{
    count_dropped(on->context);
    ewi_stream_finish(on, stream, user, true);
    free(guest);
}

/* False: nobody is at the door any more. */
static bool greet(const struct door *door, uint64_t now_ns)
{
    struct context_stack *on = door->port->on;
    ew_context *context = on->context;
    struct stream_user *user = ewi_stream_user_create(on, on_guest, NULL);
    struct guest *guest = calloc(1, sizeof(*guest));
    ewi_stream stream;

    if (user == NULL || guest == NULL ||
        on->ops->accept(on->stack, door->stream, (uint64_t)(uintptr_t)user, &stream) != 0) {
        ewi_stream_user_free(on, user);
        free(guest);
        return false;
    }
    user->object = guest;
    guest->context = context;
    guest->on = on;
    guest->user = user;
    guest->stream = stream;
    if (!ewi_access_half_open(context, STRANGER_UID)) {
        refuse(guest, EW_EFULL, "too many connections that have not said hello");
        ewi_stream_finish(on, stream, user, false);
        free(guest);
        return true;
    }
    if (ewi_reactor_add(context->reactor, -1, 0, on_deadline, guest, &guest->deadline) != EW_OK) {
        ewi_access_half_done(context, STRANGER_UID);
        drop(on, stream, guest, user);
        return true;
    }
    ewi_context_take(context);
    ewi_reactor_set_deadline(context->reactor, guest->deadline, now_ns + context->hello_ns);
    on->ops->watch(on->stack, stream, STACK_READABLE);
    return true;
}

/* ---- the port ---- */

static void close_door(struct door *door)
{
    if (door->user != NULL)
        ewi_stream_finish(door->port->on, door->stream, door->user, false);
    door->user = NULL;
}

static void on_door(void *object, uint32_t bits, uint64_t now_ns)
{
    struct door *door = object;

    if (bits & STACK_FAILED) { /* the fabric's port was lost: fabric.c opens it again */
        close_door(door);
        ewi_fabric_lost(door->port->on);
        return;
    }
    for (int i = 0; i < ACCEPT_MAX && greet(door, now_ns); i++)
        ;
}

static int open_door(struct door *door)
{
    struct context_stack *on = door->port->on;
    int code;

    door->user = ewi_stream_user_create(on, on_door, door);
    if (door->user == NULL)
        return EW_EMEMORY;
    code = on->ops->listen(on->stack, &door->address, BACKLOG, (uint64_t)(uintptr_t)door->user,
                           &door->stream);
    if (code != 0) {
        ewi_stream_user_free(on, door->user);
        door->user = NULL;
        return code;
    }
    ewi_context_stack_stir(on);
    code = on->ops->addresses(on->stack, door->stream, &door->address, NULL);
    if (code != 0)
        close_door(door);
    door->was_open |= code == 0;
    return code;
}

static int open_doors(struct tcp_port *port)
{
    int code = EW_OK;

    for (uint32_t i = 0; i < port->doors_count && code == EW_OK; i++) {
        struct door *door = &port->doors[i];

        if (door->address.port == 0)
            door->address.port = port->doors[0].address.port; /* one port on all addresses */
        if (door->user == NULL)
            code = open_door(door);
    }
    return code;
}

static struct tcp_port *find_port(struct context_stack *on, const char *wanted)
{
    struct tcp_port *port;

    for (port = on->context->ports; port != NULL; port = port->next)
        if (port->on == on && strcmp(port->wanted, wanted) == 0)
            return port;
    return NULL;
}

static void add_door(struct tcp_port *port, const struct stack_addr *address)
{
    port->doors[port->doors_count++] = (struct door){.port = port, .address = *address};
}

static void free_port(struct tcp_port *port)
{
    for (uint32_t i = 0; i < port->doors_count; i++)
        close_door(&port->doors[i]);
    free(port);
}

static int open_bind(struct tcp_port *port, const char *bind)
{
    struct stack_addr wanted;
    int code;

    if (strncmp(bind, "tcp://", 6) != 0 || strlen(bind) >= sizeof(port->wanted) ||
        ewi_addr_parse(bind + 6, &wanted) != EW_OK)
        return ewi_fail(EW_EINVAL, "bind \"%s\": must be tcp://A.B.C.D:PORT or tcp://[A::B]:PORT",
                        bind);
    snprintf(port->wanted, sizeof(port->wanted), "%s", bind);
    add_door(port, &wanted);
    code = open_doors(port);
    if (code == -EADDRINUSE)
        return ewi_fail(EW_EINUSE, "bind \"%s\": the address is in use", bind);
    return code == EW_OK ? code : ewi_fail_os(code, "bind \"%s\"", bind);
}

/* A device that is not there (any more) is no error: the port opens when it is. */
static int open_on_fabric(struct tcp_port *port)
{
    struct stack_addr addresses[FABRIC_ADDRESSES_MAX];
    uint32_t count = ewi_fabric_addresses(port->on->context, addresses);
    int code;

    for (uint32_t i = 0; i < count; i++)
        add_door(port, &addresses[i]);
    if (port->on->stack == NULL)
        return EW_OK;
    code = open_doors(port);
    if (code == EW_OK || code == -ENETDOWN || code == -ENODEV) {
        if (code != EW_OK)
            ewi_fabric_lost(port->on);
        return EW_OK;
    }
    return ewi_fail_os(code, "fabric port %u", port->doors[0].address.port);
}

int ewi_port_share(struct context_stack *on, const char *bind, struct tcp_port **out)
{
    ew_context *context = on->context;
    const char *wanted = bind != NULL ? bind : "";
    struct tcp_port *port;
    int code = EW_OK;

    ewi_reactor_lock(context->reactor);
    port = find_port(on, wanted);
    if (port == NULL) {
        port = calloc(1, sizeof(*port));
        if (port == NULL) {
            code = ewi_fail(EW_EMEMORY, "no memory for a TCP port");
        } else {
            port->on = on;
            code = bind != NULL ? open_bind(port, bind) : open_on_fabric(port);
        }
        if (code == EW_OK) {
            port->next = context->ports;
            context->ports = port;
        } else if (port != NULL) {
            free_port(port);
        }
    }
    if (code == EW_OK) {
        port->users += 1;
        *out = port;
    }
    ewi_reactor_unlock(context->reactor);
    return code;
}

void ewi_port_give(struct tcp_port *port)
{
    ew_context *context = port->on->context;
    struct tcp_port **at;

    ewi_reactor_lock(context->reactor);
    if (--port->users == 0) {
        for (at = &context->ports; *at != port; at = &(*at)->next)
            ;
        *at = port->next;
        free_port(port);
    }
    ewi_reactor_unlock(context->reactor);
}

int ewi_port_open_all(struct context_stack *on)
{
    struct tcp_port *port = find_port(on, "");

    return port == NULL ? EW_OK : open_doors(port);
}

void ewi_port_address(struct tcp_port *port, char out[STREAM_ADDRESS_BYTES])
{
    struct reactor *reactor = port->on->context->reactor;

    out[0] = '\0';
    ewi_reactor_lock(reactor);
    if (port->doors[0].was_open)
        ewi_fabric_format(port->on, &port->doors[0].address, out);
    ewi_reactor_unlock(reactor);
}
