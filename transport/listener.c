#include "transport/listener.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/channel/channel.h"
#include "transport/control/control.h"
#include "transport/error.h"
#include "transport/hello.h"
#include "transport/process.h"

enum { MAX_CHANNELS_DEFAULT = 1024, NS_PER_S = 1000 * 1000 * 1000 };

/* ---- shares ---- */

void ewi_listener_take(ew_listener *listener)
{
    atomic_fetch_add_explicit(&listener->shares, 1, memory_order_relaxed); /* whoever calls has one */
}

void ewi_listener_give(ew_listener *listener)
{
    if (atomic_fetch_sub_explicit(&listener->shares, 1, memory_order_acq_rel) != 1) /* last one frees */
        return;
    ewi_process_close_fd(listener->event_fd);
    ewi_context_give(listener->context);
    free(listener);
}

void ewi_listener_give_channel(ew_listener *listener)
{
    ewi_lock_enter(&listener->lock);
    listener->channels -= 1;
    ewi_lock_give(&listener->lock);
    ewi_listener_give(listener);
}

/* ---- judging a hello ---- */

void ewi_listener_count_refused(ew_listener *listener)
{
    ewi_lock_enter(&listener->lock);
    listener->refused += 1;
    ewi_lock_give(&listener->lock);
    atomic_fetch_add_explicit(&listener->context->refused, 1, memory_order_relaxed);
}

static bool serves(const ew_listener *listener, const struct hello *hello)
{
    static const uint8_t any[16];

    return !listener->closed && strcmp(listener->service, hello->service) == 0 &&
           (memcmp(hello->instance, any, sizeof(any)) == 0 ||
            memcmp(hello->instance, listener->instance, sizeof(any)) == 0);
}

/* Of the context's listeners, the one that serves this; with a share, NULL: none. */
static ew_listener *find(const struct context_stack *on, const struct hello *hello)
{
    ew_context *context = on->context;
    ew_listener *listener;

    ewi_lock_enter(&context->lock);
    for (listener = context->listeners; listener != NULL; listener = listener->next)
        if (listener->ports[on - context->stacks] != NULL && serves(listener, hello))
            break;
    if (listener != NULL)
        ewi_listener_take(listener);
    ewi_lock_give(&context->lock);
    return listener;
}

/* Count one more channel, if the listener takes one. */
static int count_channel(ew_listener *listener, char text[WIRE_TEXT_BYTES_MAX])
{
    int code = EW_OK;

    ewi_lock_enter(&listener->lock);
    if (listener->closed || listener->draining)
        code = EW_EDRAINING;
    else if (listener->channels >= listener->max_channels)
        code = EW_EFULL;
    else
        listener->channels += 1;
    ewi_lock_give(&listener->lock);
    if (code == EW_EDRAINING)
        snprintf(text, WIRE_TEXT_BYTES_MAX, "the listener is going away");
    if (code == EW_EFULL)
        snprintf(text, WIRE_TEXT_BYTES_MAX, "the listener has %u channels, its max_channels",
                 listener->max_channels);
    return code;
}

static int judge(ew_context *context, ew_listener *listener, const struct hello *hello,
                 char text[WIRE_TEXT_BYTES_MAX])
{
    if (strcmp(context->namespace_name, hello->namespace_name) != 0) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "this is namespace \"%s\", you asked for \"%s\"",
                 context->namespace_name, hello->namespace_name);
        return EW_ENOTFOUND;
    }
    if (listener == NULL) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "no such service or instance here");
        return EW_ENOTFOUND;
    }
    if (strcmp(listener->protocol, hello->protocol) != 0) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "the service speaks protocol \"%s\", you asked for "
                                            "\"%s\"",
                 listener->protocol, hello->protocol);
        return EW_EAPPLICATION;
    }
    if (hello->generation == 0 || hello->message_bytes_max == 0 || hello->start != 0 ||
        hello->taken != 0) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "a hello that cannot be");
        return EW_EPROTO;
    }
    return count_channel(listener, text);
}

int ewi_listener_judge(struct context_stack *on, ew_listener *local, const struct hello *hello,
                       ew_listener **out, char text[WIRE_TEXT_BYTES_MAX])
{
    ew_listener *listener;
    int code;

    EWI_ASSERT(hello->intent != WIRE_RESUME); /* transport/channel/incoming.c */
    if (hello->intent == WIRE_QUERY && local != NULL) { /* whoever it is, it asks this socket */
        *out = local;
        return EW_OK;
    }
    if (local != NULL && serves(local, hello)) {
        listener = local;
        ewi_listener_take(listener);
    } else {
        listener = local == NULL ? find(on, hello) : NULL;
    }
    if (hello->intent == WIRE_QUERY) {
        if (listener == NULL) {
            snprintf(text, WIRE_TEXT_BYTES_MAX, "no such service here");
            return EW_ENOTFOUND;
        }
        ewi_listener_give(listener); /* it cannot go away under the reactor's lock */
        *out = listener;
        return EW_OK;
    }
    code = judge(on->context, listener, hello, text);
    if (code != EW_OK && listener != NULL)
        ewi_listener_give(listener);
    if (code == EW_OK)
        *out = listener; /* its share goes to the channel */
    return code;
}

void ewi_listener_welcome(ew_listener *listener, const struct hello *hello, struct hello *out,
                          char facts[WIRE_FACTS_BYTES_MAX + 8])
{
    *out = *hello;
    out->version = out->version_min = WIRE_VERSION;
    out->features = WIRE_FEATURES_KNOWN;
    out->required = 0;
    out->pid = (uint32_t)getpid();
    out->start = out->taken = 0;
    out->offset = 0;
    out->outbox_bytes = 0;
    out->message_bytes_max = listener->context->message_bytes_max;
    out->limit = listener->context->inbox_bytes;
    memset(out->secret, 0, sizeof(out->secret)); /* never said back */
    memcpy(out->instance, listener->instance, sizeof(out->instance));
    snprintf(out->namespace_name, sizeof(out->namespace_name), "%s",
             listener->context->namespace_name);
    snprintf(out->service, sizeof(out->service), "%s", listener->service);
    snprintf(out->protocol, sizeof(out->protocol), "%s", listener->protocol);
    ewi_lock_enter(&listener->lock);
    out->channels = listener->channels;
    if (facts != NULL)
        memcpy(facts, listener->facts, sizeof(listener->facts));
    ewi_lock_give(&listener->lock);
}

/* ---- the queue ---- */

static void signal_event(ew_listener *listener)
{
    const uint64_t one = 1;

    if (write(listener->event_fd, &one, sizeof(one)) < 0)
        EWI_ASSERT(errno == EAGAIN);
}

void ewi_listener_queue(ew_listener *listener, ew_channel *channel)
{
    bool closed;

    ewi_lock_enter(&listener->lock);
    closed = listener->closed;
    if (!closed) {
        channel->queued = NULL;
        *listener->last = channel;
        listener->last = &channel->queued;
        listener->waiting += 1;
        listener->accepted += 1;
        signal_event(listener);
    }
    ewi_lock_give(&listener->lock);
    if (closed)
        ew_channel_free(channel);
    else
        atomic_fetch_add_explicit(&listener->context->accepted, 1, memory_order_relaxed);
}

static ew_channel *take_first(ew_listener *listener)
{
    ew_channel *channel = listener->first;
    uint64_t ignored;

    if (channel != NULL) {
        listener->first = channel->queued;
        if (listener->first == NULL)
            listener->last = &listener->first;
        listener->waiting -= 1;
    }
    if (listener->first == NULL && !listener->closed &&
        read(listener->event_fd, &ignored, sizeof(ignored)) < 0)
        EWI_ASSERT(errno == EAGAIN);
    return channel;
}

static int await_queue(ew_listener *listener, struct wait wait)
{
    struct pollfd wanted = {.fd = listener->event_fd, .events = POLLIN};
    uint64_t left = ewi_wait_left(wait, ewi_now_ns());
    struct timespec timeout = {.tv_sec = (time_t)(left / NS_PER_S),
                               .tv_nsec = (long)(left % NS_PER_S)};
    int ready;

    if (wait.deadline_ns == 0)
        return EW_EAGAIN;
    ready = ppoll(&wanted, 1, left == EWI_NEVER ? NULL : &timeout, wait.sigmask);
    if (ready > 0)
        return EW_OK;
    return ready == 0 ? ewi_fail(EW_ETIMEOUT, "accept: nobody connected before the timeout")
                      : EW_EINTR;
}

int ew_listener_accept(ew_listener *listener, int64_t timeout_ns, const void *sigmask,
                       ew_channel **out)
{
    struct wait wait = ewi_wait_from(timeout_ns, sigmask);

    for (;;) {
        bool closed;
        int code;

        if (ewi_context_is_forked(listener->context))
            return ewi_context_forked_error();
        ewi_lock_enter(&listener->lock);
        *out = take_first(listener);
        closed = listener->closed;
        ewi_lock_give(&listener->lock);
        if (*out != NULL)
            return EW_OK;
        if (closed)
            return ewi_fail(EW_ECLOSED, "the listener was closed");
        code = await_queue(listener, wait);
        if (code != EW_OK)
            return code;
    }
}

int ew_listener_fileno(ew_listener *listener)
{
    if (ewi_context_is_forked(listener->context))
        return ewi_context_forked_error();
    return listener->event_fd;
}

/* ---- life ---- */

static int set_facts(ew_listener *listener, const char *facts)
{
    size_t length = facts == NULL ? 0 : strlen(facts);

    if (length > WIRE_FACTS_BYTES_MAX)
        return ewi_fail(EW_EINVAL, "facts of %zu bytes, at most %d", length, WIRE_FACTS_BYTES_MAX);
    ewi_lock_enter(&listener->lock);
    memset(listener->facts, 0, sizeof(listener->facts));
    if (length > 0)
        memcpy(listener->facts, facts, length);
    ewi_lock_give(&listener->lock);
    return EW_OK;
}

int ew_listener_set_facts(ew_listener *listener, const char *facts)
{
    if (ewi_context_is_forked(listener->context))
        return ewi_context_forked_error();
    return set_facts(listener, facts);
}

static int fill(ew_listener *listener, const ew_listen_options *options)
{
    int code = ewi_random(listener->instance, sizeof(listener->instance));

    listener->directory = listener->socket = -1;
    listener->last = &listener->first;
    listener->max_channels = options->max_channels != 0 ? options->max_channels
                                                        : MAX_CHANNELS_DEFAULT;
    if (code != EW_OK)
        return code;
    if (snprintf(listener->service, sizeof(listener->service), "%s", options->service) > 200 ||
        options->service[0] == '\0')
        return ewi_fail(EW_EINVAL, "service name of %zu bytes, must be 1 to 200",
                        strlen(options->service));
    if (options->protocol != NULL && snprintf(listener->protocol, sizeof(listener->protocol), "%s",
                                              options->protocol) >= WIRE_PROTOCOL_BYTES)
        return ewi_fail(EW_EINVAL, "protocol name of %zu bytes, at most 63",
                        strlen(options->protocol));
    code = set_facts(listener, options->facts);
    if (code != EW_OK)
        return code;
    listener->event_fd = ewi_process_eventfd();
    if (listener->event_fd < 0)
        return ewi_fail(listener->event_fd, "no descriptor for a listener: %s",
                        ewi_error_name(listener->event_fd));
    return EW_OK;
}

static void add_to_context(ew_listener *listener)
{
    ew_context *context = listener->context;

    ewi_lock_enter(&context->lock);
    listener->next = context->listeners;
    context->listeners = listener;
    ewi_lock_give(&context->lock);
}

/* From now on it is seen by who looks in. */
static void show(ew_listener *listener)
{
    ew_context *context = listener->context;

    ewi_lock_enter(&context->lock);
    listener->number = ++context->listeners_made;
    ewi_lock_give(&context->lock);
    ewi_control_ensure(context);
}

static void remove_from_context(ew_listener *listener)
{
    ew_context *context = listener->context;
    ew_listener **at;

    ewi_lock_enter(&context->lock);
    for (at = &context->listeners; *at != NULL; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    }
    ewi_lock_give(&context->lock);
}

static int share_port(ew_listener *listener, enum context_stack_index index, const char *bind)
{
    return ewi_port_share(&listener->context->stacks[index], bind, &listener->ports[index]);
}

int ew_listen(ew_context *context, const ew_listen_options *options, ew_listener **out)
{
    ew_listener *listener;
    int code = EW_OK;

    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    if (options->service == NULL ||
        (options->runtime_dir == NULL && options->bind == NULL && options->fabric == 0))
        return ewi_fail(EW_EINVAL, "a listener needs a service, and a runtime_dir, a bind or a fabric");
    if (options->fabric != 0 && context->fabric == NULL)
        return ewi_fail(EW_EINVAL, "fabric = 1, and the context has no fabric network");
    listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a listener");
    listener->context = context;
    listener->shares = 1;
    listener->event_fd = -1;
    ewi_context_take(context);
    code = fill(listener, options);
    if (code == EW_OK)
        add_to_context(listener);
    if (code == EW_OK && options->bind != NULL)
        code = share_port(listener, CONTEXT_KERNEL, options->bind);
    if (code == EW_OK && options->fabric != 0)
        code = share_port(listener, CONTEXT_FABRIC, NULL);
    if (code == EW_OK && options->runtime_dir != NULL)
        code = ewi_local_listen(listener, options->runtime_dir);
    if (code != EW_OK) {
        ew_listener_free(listener);
        return code;
    }
    show(listener);
    *out = listener;
    return EW_OK;
}

int ew_listener_get_info(ew_listener *listener, ew_listener_info *out)
{
    char address[STREAM_ADDRESS_BYTES] = "";

    if (ewi_context_is_forked(listener->context))
        return ewi_context_forked_error();
    *out = (ew_listener_info){0};
    memcpy(out->instance, listener->instance, sizeof(out->instance));
    memcpy(out->local_address, listener->local_address, sizeof(out->local_address));
    ewi_reactor_lock(listener->context->reactor); /* nobody closes it meanwhile */
    if (listener->ports[CONTEXT_KERNEL] != NULL)
        ewi_port_address(listener->ports[CONTEXT_KERNEL], address);
    snprintf(out->tcp_address, sizeof(out->tcp_address), "%.79s", address);
    address[0] = '\0';
    if (listener->ports[CONTEXT_FABRIC] != NULL)
        ewi_port_address(listener->ports[CONTEXT_FABRIC], address);
    snprintf(out->fabric_address, sizeof(out->fabric_address), "%s", address);
    ewi_reactor_unlock(listener->context->reactor);
    ewi_lock_enter(&listener->lock);
    out->accepted = listener->accepted;
    out->refused = listener->refused;
    out->dropped = listener->dropped;
    out->channels = listener->channels;
    out->waiting = listener->waiting;
    ewi_lock_give(&listener->lock);
    return EW_OK;
}

bool ewi_listener_is_draining(ew_listener *listener)
{
    bool draining;

    ewi_lock_enter(&listener->lock);
    draining = listener->draining;
    ewi_lock_give(&listener->lock);
    return draining;
}

int ew_listener_drain(ew_listener *listener)
{
    if (ewi_context_is_forked(listener->context))
        return ewi_context_forked_error();
    ewi_lock_enter(&listener->lock);
    listener->draining = true;
    ewi_lock_give(&listener->lock);
    ewi_context_drain(listener->context, listener);
    return EW_OK;
}

void ew_listener_close(ew_listener *listener)
{
    struct tcp_port *ports[CONTEXT_STACKS];
    ew_channel *waiting;
    bool closed;

    if (ewi_context_is_forked(listener->context))
        return;
    ewi_reactor_lock(listener->context->reactor); /* no hello is being judged meanwhile */
    ewi_lock_enter(&listener->lock);
    closed = listener->closed;
    listener->closed = true;
    waiting = listener->first;
    listener->first = NULL;
    listener->last = &listener->first;
    listener->waiting = 0;
    memcpy(ports, listener->ports, sizeof(ports));
    memset(listener->ports, 0, sizeof(ports));
    ewi_lock_give(&listener->lock);
    ewi_reactor_unlock(listener->context->reactor);
    if (closed)
        return;
    remove_from_context(listener);
    ewi_local_unlisten(listener);
    for (int i = 0; i < CONTEXT_STACKS; i++)
        if (ports[i] != NULL)
            ewi_port_give(ports[i]);
    if (listener->event_fd >= 0)
        signal_event(listener);
    while (waiting != NULL) {
        ew_channel *next = waiting->queued;

        ew_channel_free(waiting);
        waiting = next;
    }
}

void ew_listener_free(ew_listener *listener)
{
    if (listener == NULL || ewi_context_is_forked(listener->context))
        return;
    ew_listener_close(listener);
    ewi_listener_give(listener);
}
