/* A peer dials us with RESUME: bring the channel to rest, answer, and go over to the new link. All of
 * it under the reactor's lock, which never waits: what is not at rest yet is looked at again. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/channel/move.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/hello.h"
#include "transport/listener.h"
#include "transport/local/open.h"
#include "transport/process.h"
#include "transport/proof.h"
#include "transport/stream/link.h"

enum { LOOK_NS = 1000 * 1000 };

struct incoming {
    ew_channel *channel;
    struct source *source; /* the next look */
    uint64_t until_ns;
    struct hello hello;
    struct incoming_link link;
    bool claimed;
};

static bool is_local(const struct incoming *incoming)
{
    return incoming->link.fd >= 0;
}

static void say(struct incoming *incoming, const uint8_t *bytes, uint32_t length, int memory_fd)
{
    const struct incoming_link *link = &incoming->link;
    struct stack_span span = {bytes, length};

    /* It fits the buffer of a new connection. If not, the peer times out, and so does the link. */
    if (is_local(incoming))
        (void)ewi_local_send(link->fd, bytes, length, memory_fd);
    else
        (void)link->on->ops->send(link->on->stack, link->stream, &span, 1);
}

static void drop_link(ew_context *context, struct incoming_link *link)
{
    if (link->fd < 0) {
        ewi_stream_finish(link->on, link->stream, link->user, false);
        return;
    }
    ewi_process_close_fd(link->fd);
    ewi_local_detach(context, &link->peer, &link->peers);
}

/* The channel goes on without this attempt. */
static void let_go(struct incoming *incoming)
{
    ew_channel *channel = incoming->channel;

    channel->incoming = NULL;
    ewi_reactor_remove(channel->context->reactor, incoming->source);
    if (incoming->claimed) {
        ewi_freeze_thaw(channel);
        ewi_channel_note(channel); /* its end waits for us: ewi_incoming_stop */
    }
}

/* The attempt is over; its link was adopted, or is dropped here. */
static void end(struct incoming *incoming, bool adopted)
{
    ew_context *context = incoming->channel->context;

    let_go(incoming);
    if (!adopted)
        drop_link(context, &incoming->link);
    free(incoming);
}

/* The channel is thawed first: who hears the refusal may count on it. */
static void refuse(struct incoming *incoming, int code, const char *text)
{
    ew_context *context = incoming->channel->context;
    uint8_t bytes[WIRE_REFUSE_BYTES_MAX];
    uint32_t length = ewi_wire_put_refuse(bytes, code <= EW_EAGAIN ? code : EW_EMEMORY, text);

    let_go(incoming);
    say(incoming, bytes, length, -1);
    drop_link(context, &incoming->link);
    free(incoming);
}

static int prepare(struct incoming *incoming, struct move *move)
{
    const struct local_link_parts local = {.fd = incoming->link.fd,
                                           .peer = incoming->link.peer,
                                           .peers = incoming->link.peers,
                                           .start = incoming->hello.start,
                                           .offset = incoming->hello.offset};
    const struct stream_link_parts stream = {.on = incoming->link.on,
                                             .stream = incoming->link.stream,
                                             .user = incoming->link.user,
                                             .early = (const uint8_t *)""};
    int code = move->local ? ewi_local_link_prepare(move->channel, move->link, &local)
                           : ewi_stream_link_prepare(move->channel, move->link, &stream);

    move->prepared = code == EW_OK;
    return code;
}

static void put_welcome(struct incoming *incoming, const struct move *move,
                        uint8_t bytes[WIRE_HELLO_BYTES])
{
    ew_channel *channel = incoming->channel;
    struct hello welcome;

    ewi_listener_welcome(channel->listener, &incoming->hello, &welcome, NULL);
    ewi_move_say(move, ewi_move_start(move, &incoming->hello), &welcome);
    if (ewi_random(welcome.nonce, sizeof(welcome.nonce)) != EW_OK)
        memset(welcome.nonce, 0, sizeof(welcome.nonce)); /* the dialler's nonce is fresh */
    ewi_wire_put_hello(bytes, RECORD_WELCOME, &welcome);
    ewi_proof_put(bytes, channel->session.secret, incoming->hello.nonce);
}

/* Going over to a local link whose other end is closed would be death; the dialler dials again. */
static bool has_left(const struct incoming_link *link)
{
    struct pollfd look = {.fd = link->fd, .events = POLLRDHUP};

    return link->fd >= 0 && poll(&look, 1, 0) > 0;
}

/* The channel is at rest. */
static int go_over(struct incoming *incoming, struct move *move)
{
    ew_channel *channel = incoming->channel;
    const struct hello *hello = &incoming->hello;
    uint8_t welcome[WIRE_HELLO_BYTES];
    int code;

    if (has_left(&incoming->link))
        return ewi_fail(EW_EUNREACHABLE, "the dialler has left");
    code = ewi_move_settle(channel);
    if (code == EW_OK)
        code = ewi_move_judge(move, hello);
    if (code == EW_OK && move->local)
        code = ewi_move_fill(move, ewi_move_start(move, hello));
    if (code == EW_OK)
        code = prepare(incoming, move);
    if (code != EW_OK)
        return code;
    code = ewi_session_accept(&channel->session, hello->generation, hello->taken,
                              channel->writer.position);
    if (code != EW_OK)
        return ewi_fail(EW_EPROTO, "a resume that is older than the link");
    put_welcome(incoming, move, welcome);
    EWI_CRASH_POINT("resume.before_welcome");
    say(incoming, welcome, sizeof(welcome), move->local ? move->outbox.fd : -1);
    EWI_CRASH_POINT("resume.after_welcome");
    code = ewi_move_adopt(move, hello, false);
    if (code == EW_OK && ewi_listener_is_draining(channel->listener))
        channel->ops->drain(channel); /* it may not have been heard on the link before */
    return code;
}

/* Those that others hold for a moment only, without waiting. */
static bool take_locks(ew_channel *channel, struct lock **session_lock)
{
    if (!ewi_lock_try(&channel->facts_lock))
        return false;
    *session_lock = ewi_move_session_lock(channel);
    if (*session_lock == NULL || ewi_lock_try(*session_lock))
        return true;
    ewi_lock_give(&channel->facts_lock);
    return false;
}

static void look(struct incoming *incoming, uint64_t now_ns)
{
    ew_channel *channel = incoming->channel;
    struct lock *session_lock = NULL;
    struct move move;
    int code;

    if (!incoming->claimed)
        incoming->claimed = ewi_grow_claim(channel) == EW_OK;
    if (!incoming->claimed || ewi_freeze_try(channel) != EW_OK ||
        !take_locks(channel, &session_lock)) {
        if (now_ns >= incoming->until_ns)
            refuse(incoming, EW_EAGAIN, "the channel is in use and did not come to rest");
        else
            ewi_reactor_set_deadline(channel->context->reactor, incoming->source, now_ns + LOOK_NS);
        return;
    }
    code = ewi_move_begin(channel, is_local(incoming),
                          atomic_load_explicit(&channel->lost_ns, memory_order_relaxed) != 0
                              ? "the link was lost"
                              : "the peer asked for it",
                          &move);
    if (code == EW_OK)
        code = go_over(incoming, &move);
    if (code != EW_OK)
        ewi_move_abandon(&move);
    if (session_lock != NULL)
        ewi_lock_give(session_lock);
    ewi_lock_give(&channel->facts_lock);
    if (code != EW_OK && code != EW_ECLOSED && /* it ended, and knows why */
        channel->session.generation == incoming->hello.generation)
        ewi_channel_break(channel, EW_EPROTO, ewi_error_text()); /* it has left the old link */
    if (code == EW_OK)
        end(incoming, true);
    else
        refuse(incoming, code, ewi_error_text());
}

static void on_look(void *object, uint32_t events, uint64_t now_ns)
{
    (void)events;
    look(object, now_ns);
}

/* ---- what the doors call ---- */

static bool is_buried(const ew_context *context, const struct hello *hello, const uint8_t *bytes,
                      uint64_t *taken)
{
    static const uint8_t none[16];
    const struct tomb *tomb = ewi_tombs_find(&context->tombs, hello->channel, ewi_now_ns());

    if (tomb == NULL || !ewi_proof_holds(bytes, tomb->secret, none))
        return false;
    *taken = tomb->taken;
    return true;
}

int ewi_incoming_find(ew_context *context, const struct hello *hello, const uint8_t *bytes,
                      struct incoming_found *out, char text[WIRE_TEXT_BYTES_MAX])
{
    static const uint8_t none[16];
    ew_channel *channel = ewi_context_find_channel(context, hello->channel);
    int code = EW_OK;

    if (channel == NULL && is_buried(context, hello, bytes, &out->taken)) {
        code = EW_EEND;
    } else if (channel == NULL || !ewi_proof_holds(bytes, channel->session.secret, none) ||
        strcmp(channel->service, hello->service) != 0 ||
        atomic_load_explicit(&channel->shut, memory_order_relaxed) == CHANNEL_CLOSED || /* a value */
        ewi_channel_link_state(channel) != LINK_UP) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "this channel is not known here");
        code = EW_ELOST;
    } else if (hello->outbox_bytes == 0 && channel->began_local && context->shm_stays) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "a channel opened over shared memory stays there");
        code = EW_EACCESS;
    }
    if (channel != NULL) /* under the reactor's lock its end waits for us: ewi_incoming_stop */
        ewi_context_unpin_channel(channel);
    out->channel = channel;
    return code;
}

int ewi_incoming_start(ew_channel *channel, const struct hello *hello,
                       const struct incoming_link *link, char text[WIRE_TEXT_BYTES_MAX])
{
    struct reactor *reactor = channel->context->reactor;
    struct incoming *incoming;

    /* A replay does not even bring it to rest. Who accepts learns of a generation here only. */
    if (hello->generation <= channel->session.generation ||
        (channel->incoming != NULL && hello->generation <= channel->incoming->hello.generation)) {
        snprintf(text, WIRE_TEXT_BYTES_MAX, "a resume that is older than another one");
        return EW_EPROTO;
    }
    incoming = calloc(1, sizeof(*incoming));
    if (incoming == NULL || ewi_reactor_add(reactor, -1, 0, on_look, incoming, &incoming->source) != 0) {
        free(incoming);
        snprintf(text, WIRE_TEXT_BYTES_MAX, "no memory for a link");
        return EW_EMEMORY;
    }
    if (channel->incoming != NULL)
        end(channel->incoming, false);
    incoming->channel = channel;
    incoming->hello = *hello;
    incoming->link = *link;
    incoming->until_ns = ewi_now_ns() + MOVE_NS;
    channel->incoming = incoming;
    look(incoming, ewi_now_ns());
    return EW_OK;
}

void ewi_move_knock(ew_channel *channel)
{
    struct reactor *reactor = channel->context->reactor;

    ewi_reactor_lock(reactor);
    if (channel->incoming != NULL)
        ewi_reactor_set_deadline(reactor, channel->incoming->source, 0);
    ewi_reactor_unlock(reactor);
}

void ewi_incoming_stop(ew_channel *channel)
{
    ewi_reactor_lock(channel->context->reactor);
    if (channel->incoming != NULL)
        end(channel->incoming, false);
    ewi_reactor_unlock(channel->context->reactor);
}
