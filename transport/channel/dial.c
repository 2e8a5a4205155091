/* The opener's side of a move: claim the channel, dial, and tell what became of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/address.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/hello.h"

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

int ewi_move_dial(ew_channel *channel, const char *address, struct wait wait, int cancel_fd,
                  const char *reason, bool *doubtful)
{
    struct move move;
    struct dial wanted = {.address = address,
                          .service = channel->service,
                          .protocol = channel->protocol,
                          .instance = channel->instance,
                          .intent = WIRE_RESUME,
                          .wait = wait,
                          .cancel_fd = cancel_fd,
                          .move = &move};
    int code = ewi_grow_claim(channel);

    *doubtful = false;
    if (code != EW_OK)
        return ewi_fail(code, "the channel is moving already");
    ewi_move_begin(channel, ewi_address_is_local(address), reason, &move);
    move.address = strdup(address); /* NULL: the old one stays */
    code = ewi_address_dial(channel->context, &wanted, NULL, NULL);
    if (code != EW_OK)
        ewi_move_abandon(&move);
    *doubtful = code != EW_OK && move.said;
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

int ew_channel_switch(ew_channel *channel, const char *address, int64_t timeout_ns,
                      const void *sigmask)
{
    struct wait wait = ewi_wait_from(timeout_ns, sigmask);
    bool doubtful;
    int code = check(channel, address);

    if (code != EW_OK)
        return code;
    code = ewi_move_dial(channel, address, wait, -1, "asked for", &doubtful);
    if (doubtful)
        ewi_resume_doubt(channel);
    return code;
}
