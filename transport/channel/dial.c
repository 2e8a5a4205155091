/* The opener's side of a move: claim the channel, dial, and tell what became of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/address.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/hello.h"
#include "transport/stream/pump.h"

static int go_over(struct move *move, const struct hello *welcome)
{
    ew_channel *channel = move->channel;

    if (ewi_move_judge(move, welcome) != EW_OK ||
        ewi_session_welcomed(&channel->session, welcome->generation, welcome->taken,
                             channel->writer.position) != EW_OK)
        return ewi_fail(EW_EPROTO, "the peer says that it is where it cannot be");
    return ewi_move_adopt(move, welcome, true);
}

/* The link and the reactor are ours for the moment that it takes. */
int ewi_move_finish(struct move *move, const struct hello *welcome)
{
    ew_channel *channel = move->channel;
    struct lock *session_lock;
    int code;

    ewi_lock_enter(&channel->facts_lock);
    session_lock = ewi_move_session_lock(channel);
    if (session_lock != NULL)
        ewi_lock_enter(session_lock);
    ewi_reactor_lock(channel->context->reactor);
    code = go_over(move, welcome);
    ewi_reactor_unlock(channel->context->reactor);
    if (session_lock != NULL)
        ewi_lock_give(session_lock);
    ewi_lock_give(&channel->facts_lock);
    return code;
}

/* Is somebody awake there? The channel does not come to rest for a process that is stopped. EW_OK: yes,
 * or the move itself will tell what is wrong. */
static int ask(ew_channel *channel, const struct dial *wanted)
{
    struct dial question = *wanted;
    ew_query_info unused;
    int code;

    question.intent = WIRE_QUERY;
    question.move = NULL;
    code = ewi_address_dial(channel->context, &question, NULL, &unused);
    return code == EW_ETIMEOUT || code == EW_EINTR || code == EW_ECLOSED ? code : EW_OK;
}

/* The peer has ended the channel: what it said last. The channel is at rest. */
static void take_final(const struct move *move)
{
    ew_channel *channel = move->channel;
    struct lock *session_lock;

    ewi_lock_enter(&channel->facts_lock); /* the link is not released meanwhile */
    session_lock = ewi_move_session_lock(channel);
    if (session_lock != NULL)
        ewi_lock_enter(session_lock);
    if (ewi_session_on_final(&channel->session, move->final_taken) == EW_OK)
        ewi_pump_tell_positions(channel);
    if (session_lock != NULL)
        ewi_lock_give(session_lock);
    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_CLOSED) /* the lock */
        ewi_channel_link_down(channel, LINK_HUNG_UP);
    ewi_lock_give(&channel->facts_lock);
}

static int dial(ew_channel *channel, const struct move_wish *wish, int cancel_fd, bool *doubtful)
{
    struct move move;
    const struct dial wanted = {.address = wish->address,
                                .service = channel->service,
                                .protocol = channel->protocol,
                                .instance = channel->instance,
                                .intent = WIRE_RESUME,
                                .wait = wish->wait,
                                .cancel_fd = cancel_fd,
                                .move = &move};
    int code = wish->ask ? ask(channel, &wanted) : EW_OK;

    if (code != EW_OK)
        return code;
    code = ewi_move_begin(channel, ewi_address_is_local(wish->address), wish->reason, &move);
    if (code != EW_OK)
        return code;
    move.address = strdup(wish->address); /* NULL: the old one stays */
    code = ewi_address_dial(channel->context, &wanted, NULL, NULL);
    if (code != EW_OK)
        ewi_move_abandon(&move);
    if (code == EW_EEND)
        take_final(&move);
    *doubtful = code != EW_OK && move.said;
    return code;
}

/* The channel is claimed, so nobody else finds the peer meanwhile. */
static bool is_needed(const ew_channel *channel, const struct move_wish *wish)
{
    return !wish->only_if_lost ||
           atomic_load_explicit(&channel->lost_ns, memory_order_relaxed) != 0; /* Z5 orders it */
}

int ewi_move_dial(ew_channel *channel, const struct move_wish *wish, bool *doubtful)
{
    int code = ewi_freeze_claim_by(channel, wish->wait);
    int cancel_fd;

    *doubtful = false;
    if (code != EW_OK)
        return ewi_fail(code, "the channel is moving already");
    if (!is_needed(channel, wish)) {
        ewi_freeze_thaw(channel);
        return EW_OK;
    }
    code = ewi_resume_may_cancel(channel, &cancel_fd);
    if (code == EW_OK) {
        code = dial(channel, wish, cancel_fd, doubtful);
        ewi_resume_may_not_cancel(channel);
    }
    ewi_freeze_thaw(channel);
    ewi_lock_enter(&channel->facts_lock); /* its descriptor is not closed meanwhile */
    ewi_channel_note(channel);
    ewi_lock_give(&channel->facts_lock);
    return code;
}

static int check(ew_channel *channel, const char *address)
{
    int code;

    if (ewi_context_is_forked(channel->context))
        return ewi_context_forked_error();
    if (!channel->opener)
        return ewi_fail(EW_EINVAL, "switch: only the end that connected can dial");
    if (channel->began_local && channel->context->shm_stays && !ewi_address_is_local(address))
        return ewi_fail(EW_EACCESS, "switch to %s: a channel opened over shared memory stays there",
                        address);
    ewi_lock_enter(&channel->facts_lock); /* the reason lies on the link: it is not released meanwhile */
    code = ewi_channel_usable(channel);
    if (code == EW_OK && ewi_channel_link_state(channel) != LINK_UP)
        code = ewi_channel_end_reason(channel);
    ewi_lock_give(&channel->facts_lock);
    return code;
}

static int move_to(ew_channel *channel, const struct move_wish *wish)
{
    bool doubtful;
    int code = check(channel, wish->address);

    if (code != EW_OK)
        return code;
    code = ewi_move_dial(channel, wish, &doubtful);
    if (doubtful)
        ewi_resume_doubt(channel);
    return code;
}

int ew_channel_switch(ew_channel *channel, const char *address, int64_t timeout_ns,
                      const void *sigmask)
{
    const struct move_wish wish = {.address = address,
                                   .reason = "asked for",
                                   .wait = ewi_wait_from(timeout_ns, sigmask),
                                   .ask = true};

    return move_to(channel, &wish);
}

int ew_channel_move(ew_channel *channel, const ew_move_options *options)
{
    const struct move_wish wish = {.address = options->address,
                                   .reason = options->reason != NULL ? options->reason : "asked for",
                                   .wait = ewi_wait_from(options->timeout_ns, options->sigmask),
                                   .ask = true,
                                   .only_if_lost = options->only_if_lost != 0};

    return move_to(channel, &wish);
}
