/* For event loops: look without sleeping, and ask for a wake-up through fileno(). */
#include "transport/channel/channel.h"

#include "transport/context.h"

enum { SPIN_CLOCK_EVERY = 16 }; /* looks between two looks at the clock */

/* Under the receive lock. The end and a link that went down are something to receive, too. */
static bool can_receive(const ew_channel *channel)
{
    return ewi_ring_has_record(&channel->reader) || channel->got_eof ||
           ewi_channel_link_state(channel) != LINK_UP;
}

static bool spin_until_received(ew_channel *channel, int64_t spin_ns)
{
    const bool drives = channel->ops->drives;
    uint64_t end_ns = 0;

    if (can_receive(channel))
        return true;
    channel->ops->settle(channel);
    for (uint32_t looks = 1; !can_receive(channel); looks++) {
        uint64_t now_ns;

        if (spin_ns <= 0)
            return false;
        ewi_relax();
        if (drives)
            channel->ops->drive(channel);
        else if (looks % SPIN_CLOCK_EVERY != 0)
            continue;
        now_ns = ewi_now_ns();
        if (end_ns == 0)
            end_ns = now_ns + (uint64_t)spin_ns;
        if (now_ns >= end_ns)
            return can_receive(channel);
    }
    return true;
}

int ew_channel_spin(ew_channel *channel, int64_t spin_ns)
{
    const struct wait none = {.deadline_ns = 0};
    int code;

    if (__builtin_expect(ewi_context_is_forked(channel->context), 0))
        return ewi_context_forked_error(); /* before a lock that nobody in a child gives back */
    if (ewi_lock_take(&channel->recv_lock, none) != EW_OK)
        return 0;
    code = ewi_channel_usable(channel);
    if (code == EW_OK)
        code = spin_until_received(channel, spin_ns);
    ewi_lock_give(&channel->recv_lock);
    return code;
}

/* Take the kicks so that the descriptor is quiet, then look: what comes later makes it readable. */
static bool arm_recv(ew_channel *channel)
{
    const struct wait none = {.deadline_ns = 0};
    bool found;

    if (ewi_lock_take(&channel->recv_lock, none) != EW_OK)
        return false; /* a thread receives */
    channel->ops->rearm(channel);
    found = can_receive(channel);
    ewi_lock_give(&channel->recv_lock);
    return found;
}

/* Would a send fail at once? That is no reason to wait, either. */
static bool cannot_send(const ew_channel *channel)
{
    return channel->eof_sent || ewi_channel_link_state(channel) != LINK_UP ||
           atomic_load_explicit(channel->ended_word, memory_order_relaxed) != OUTBOX_OPEN; /* a value */
}

/* Under the send lock. */
static bool has_room(ew_channel *channel, uint64_t bytes)
{
    if (bytes > channel->record_bytes_max - RECORD_HEADER_BYTES)
        return ewi_channel_fits_now(channel, bytes);
    ewi_channel_refresh_room(channel);
    return ewi_ring_fits(&channel->writer, (uint32_t)bytes);
}

static bool arm_send(ew_channel *channel, uint64_t bytes)
{
    const struct wait none = {.deadline_ns = 0};
    bool own = ewi_channel_is_suspended_here(channel); /* then we have the lock */
    bool found;

    channel->ops->announce(channel, BELL_SPACE);
    if (own ? !ewi_freeze_try_reclaim(channel, FREEZE_SEND)
            : ewi_lock_take(&channel->send_lock, none) != EW_OK)
        return false; /* a thread sends, or the link is being replaced: then fileno() will tell */
    found = cannot_send(channel) || has_room(channel, bytes);
    if (own)
        ewi_freeze_offer(channel, FREEZE_SEND);
    else
        ewi_lock_give(&channel->send_lock);
    return found;
}

/* The link is not released meanwhile: facts_lock is held. */
static int arm(ew_channel *channel, uint32_t wants, size_t send_bytes)
{
    int found = 0;

    if (wants == 0) {
        channel->ops->retract(channel, BELL_SPACE);
        return 0;
    }
    channel->ops->settle(channel);
    if (arm_recv(channel) && (wants & EW_ARM_RECV) != 0)
        found = EW_ARM_RECV;
    if ((wants & EW_ARM_SEND) != 0 && arm_send(channel, send_bytes))
        found |= EW_ARM_SEND;
    return found;
}

int ew_channel_arm(ew_channel *channel, uint32_t wants, size_t send_bytes)
{
    int code = ew_channel_fileno(channel); /* made at its first use */

    if (code < 0)
        return code;
    ewi_lock_enter(&channel->facts_lock);
    code = ewi_channel_usable(channel);
    if (code == EW_OK)
        code = arm(channel, wants, send_bytes);
    ewi_lock_give(&channel->facts_lock);
    return code;
}
