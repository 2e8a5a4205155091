/* How a channel ends: closed here, aborted, or for a reason that came from the other side. */
#include "transport/channel/channel.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "transport/channel/kept.h"
#include "transport/channel/move.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/listener.h"
#include "transport/retired.h"

int ewi_channel_usable(ew_channel *channel)
{
    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_fail(EW_EFORKED, "this channel belongs to the parent process: connect again "
                                    "after fork");
    if (__builtin_expect(
            atomic_load_explicit(&channel->shut, memory_order_acquire) != CHANNEL_OPEN, /* C4 */
            0))
        return ewi_fail(EW_ECLOSED, "the channel was closed here");
    return EW_OK;
}

int ewi_channel_break(ew_channel *channel, int code, const char *text)
{
    ewi_lock_enter(&channel->end_lock);
    if (channel->end_code == EW_OK) {
        channel->end_code = code;
        channel->end_text = strdup(text);
    }
    code = channel->end_code;
    ewi_lock_give(&channel->end_lock);
    ewi_channel_link_down(channel, LINK_BROKEN);
    return ewi_fail(code, "%s", ewi_channel_end_text(channel));
}

void ewi_channel_link_down(ew_channel *channel, enum link_state state)
{
    uint32_t up = LINK_UP;

    if (!atomic_compare_exchange_strong_explicit(&channel->link_state, &up, state,
                                                 memory_order_release,  /* C1, pairs with C2 */
                                                 memory_order_relaxed)) /* it was down already */
        return;
    channel->ops->wake(channel);
    ewi_channel_wake(channel);
}

void ewi_channel_drained(ew_channel *channel)
{
    if (atomic_exchange_explicit(&channel->draining, true, memory_order_relaxed)) /* for people */
        return;
    ewi_channel_note(channel);
    ewi_context_tell(channel);
}

bool ewi_channel_is_lost(const ew_channel *channel)
{
    return channel->ops == &ewi_stream_link &&
           atomic_load_explicit(&channel->link->stream.lost, memory_order_relaxed); /* a hint */
}

static const char *how_lost(const ew_channel *channel, uint32_t ended)
{
    if (ended == OUTBOX_ABORTED)
        return "aborted the channel";
    return ewi_channel_is_lost(channel) ? "was not found again" : "died or vanished";
}

int ewi_channel_end_reason(ew_channel *channel)
{
    char lost[CHANNEL_END_TEXT_BYTES];
    uint32_t ended = atomic_load_explicit(channel->ended_word, memory_order_acquire); /* E2 / F2 */
    int code;

    ewi_lock_enter(&channel->end_lock);
    if (channel->end_code == EW_OK) {
        snprintf(lost, sizeof(lost), "the peer of service %s at %s %s", channel->service,
                 channel->peer_address, how_lost(channel, ended));
        channel->end_code = EW_ELOST;
        channel->end_text = strdup(lost);
    }
    code = channel->end_code;
    ewi_lock_give(&channel->end_lock);
    return ewi_fail(code, "%s", ewi_channel_end_text(channel));
}

/* A send of this thread that a signal interrupted and that its handler now closes under it. */
static void cancel_own_send(ew_channel *channel)
{
    const ew_part *parts = atomic_load_explicit(&channel->suspended.parts, memory_order_relaxed);

    if (parts != NULL && pthread_equal(channel->suspended.thread, pthread_self()))
        ew_channel_send_cancel(channel, parts);
}

static bool is_closed(ew_channel *channel)
{
    return atomic_load_explicit(&channel->shut, memory_order_acquire) == CHANNEL_CLOSED; /* C4 */
}

/* Threads that wait here leave with EW_ECLOSED. Another thread may abort beside us: under the lock
 * the link is not released. */
static void begin_closing(ew_channel *channel)
{
    ewi_lock_enter(&channel->facts_lock);
    if (!is_closed(channel))
        channel->ops->closing(channel);
    ewi_lock_give(&channel->facts_lock);
    ewi_channel_wake(channel);
}

/* Commit CLOSE behind everything that was sent; the position behind it. */
static uint64_t commit_close(ew_channel *channel)
{
    uint64_t position;
    int code;

    ewi_lock_enter(&channel->send_lock);
    if (channel->close_position == 0 && !is_closed(channel)) {
        code = ewi_ring_commit_control(&channel->writer, RECORD_CLOSE);
        EWI_ASSERT(code == EW_OK); /* shm/ring.h I3 */
        channel->close_position = channel->writer.position;
        channel->ops->committed(channel);
        EWI_CRASH_POINT("close.after_commit");
    }
    position = channel->close_position;
    ewi_lock_give(&channel->send_lock);
    return position;
}

/* The peer's process holds everything up to `position`, is gone, or the time is up. */
static int linger(ew_channel *channel, uint64_t position, struct wait wait)
{
    int code = ewi_channel_take(channel, &channel->drain_lock, wait);

    if (code != EW_OK)
        return code;
    while (code == EW_OK && channel->ops->peer_held(channel) < position &&
           ewi_channel_link_state(channel) == LINK_UP)
        code = wait.deadline_ns == 0 ? EW_ETIMEOUT
                                     : ewi_channel_wait(channel, WANT_HELD, position, wait);
    ewi_lock_give(&channel->drain_lock);
    return code;
}

/* The peer closed, and may not know yet that we have all of it: it comes back and asks. */
static void bury(ew_channel *channel)
{
    ew_context *context = channel->context;
    struct tomb tomb = {.taken = channel->session.taken,
                        .until_ns = ewi_now_ns() + context->grace_ns};

    if (channel->opener || channel->ops != &ewi_stream_link || !channel->session.peer_closed)
        return;
    memcpy(tomb.channel, channel->session.channel, sizeof(tomb.channel));
    memcpy(tomb.secret, channel->session.secret, sizeof(tomb.secret));
    ewi_reactor_lock(context->reactor);
    ewi_tombs_add(&context->tombs, &tomb);
    ewi_reactor_unlock(context->reactor);
}

/* The thread that moves the state ends the link; whoever comes later finds it done. */
static void end_link(ew_channel *channel, bool clean)
{
    uint32_t before = atomic_exchange_explicit(&channel->shut, CHANNEL_CLOSED,
                                               memory_order_acq_rel); /* C3, pairs with C4 */

    if (before == CHANNEL_CLOSED)
        return;
    cancel_own_send(channel);
    ewi_resume_stop(channel);
    ewi_incoming_stop(channel);
    ewi_retired_leave(channel);
    ewi_grow_stop(channel);
    ewi_lock_enter(&channel->facts_lock); /* no move replaces the link meanwhile, or after */
    channel->ops->hang_up(channel, clean);
    ewi_channel_link_down(channel, LINK_SHUT);
    ewi_lock_give(&channel->facts_lock);
    ewi_channel_wake(channel);
    /* Who waits has been woken and leaves; then nobody touches what is freed now. */
    ewi_lock_enter(&channel->send_lock);
    ewi_lock_enter(&channel->recv_lock);
    ewi_lock_enter(&channel->drain_lock);
    ewi_lock_enter(&channel->facts_lock);
    bury(channel);
    channel->ops->release(channel, channel->link);
    ewi_region_release(&ewi_os_default, &channel->outbox_region); /* a peer keeps what it mapped */
    ewi_region_release(&ewi_os_default, &channel->inbox.region);
    ewi_kept_drop(channel);
    ewi_channel_release_fileno(channel);
    ewi_lock_give(&channel->facts_lock);
    ewi_lock_give(&channel->drain_lock);
    ewi_lock_give(&channel->recv_lock);
    ewi_lock_give(&channel->send_lock);
    ewi_context_forget_channel(channel->context, channel);
    if (channel->listener != NULL)
        ewi_listener_give_channel(channel->listener); /* another one may come in its place */
    channel->listener = NULL;
}

/* The link is down. Has the peer got what was sent? Who closed its end itself wanted no more. */
static int verdict(ew_channel *channel)
{
    uint32_t ended = atomic_load_explicit(channel->ended_word, memory_order_relaxed); /* C2 was before */
    uint64_t sent = atomic_load_explicit(&channel->position_sent, memory_order_relaxed); /* a value */

    if (ended == OUTBOX_CLOSED || channel->ops->peer_held(channel) >= sent)
        return EW_OK;
    return ewi_channel_end_reason(channel);
}

int ew_channel_close(ew_channel *channel, int64_t linger_ns, const void *sigmask)
{
    struct wait wait = ewi_wait_from(linger_ns, sigmask);
    uint32_t open_state = CHANNEL_OPEN;
    uint64_t position;
    int code, lost = EW_OK;
    bool clean;

    if (ewi_context_is_forked(channel->context))
        return ewi_fail(EW_EFORKED, "this channel belongs to the parent process");
    if (!atomic_compare_exchange_strong_explicit(&channel->shut, &open_state, CHANNEL_CLOSING,
                                                 memory_order_release,  /* C3, pairs with C4 */
                                                 memory_order_acquire) && /* C4 */
        open_state == CHANNEL_CLOSED)
        return EW_OK;
    if (ewi_channel_link_state(channel) != LINK_UP) { /* nobody is there to hold anything */
        ewi_lock_enter(&channel->facts_lock);
        if (!is_closed(channel))
            lost = verdict(channel);
        ewi_lock_give(&channel->facts_lock);
        end_link(channel, false);
        return lost;
    }
    cancel_own_send(channel);
    begin_closing(channel);
    position = commit_close(channel);
    code = linger(channel, position, wait);
    if (code == EW_EINTR)
        return code; /* call again: CLOSE is committed once */
    ewi_lock_enter(&channel->facts_lock); /* another thread may abort: the link is not released */
    clean = is_closed(channel) || channel->ops->peer_held(channel) >= position;
    if (!clean && code == EW_OK)
        lost = verdict(channel);
    ewi_lock_give(&channel->facts_lock);
    end_link(channel, clean);
    if (clean || code == EW_OK)
        return lost;
    return ewi_fail(EW_ETIMEOUT, "close: the peer did not hold everything within the linger time; "
                                 "the channel was aborted");
}

void ew_channel_abort(ew_channel *channel)
{
    if (!ewi_context_is_forked(channel->context))
        end_link(channel, false);
}

void ew_channel_free(ew_channel *channel)
{
    if (channel == NULL || ewi_context_is_forked(channel->context))
        return; /* in a child: the parent's memory is not mapped here, its locks are not ours */
    end_link(channel, false);
    while (atomic_load_explicit(&channel->pins, memory_order_acquire) != 0) /* P2, pairs with P1 */
        sched_yield();
    ewi_channel_discard(channel);
}
