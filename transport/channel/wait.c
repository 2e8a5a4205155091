/* Waiting: spin while that is likely to pay, then sleep.
 *
 * A receiver that found the ring empty and has sent nothing since it last did so holds back for a
 * moment before it looks again: otherwise it takes the line that the sender is writing, for each
 * message, and both get slower. The moment doubles while messages are there at its end, and starts
 * again when they are not. Who has sent something waits for the answer, and looks at once.
 *
 * How long the policy "adaptive" spins before it sleeps says spin_rule.h; here it gets its facts.
 */
#include "transport/channel/channel.h"

#include "transport/context.h"
#include "transport/machine.h"

enum {
    SPIN_CLOCK_EVERY = 64,                    /* looks between two looks at the clock */
    SPIN_HOLD_PAUSES_MIN = 16,                /* some 0.2 us */
    SPIN_HOLD_PAUSES_MAX = 256,
    SPIN_SPACE_PAUSES = 16,                   /* between two looks at a full ring */
    SPIN_SLICE_NS = 20 * 1000 * 1000,         /* then signals get their turn */
};

static bool is_ready(ew_channel *channel, enum channel_wants wants, uint64_t amount)
{
    uint32_t shut = atomic_load_explicit(&channel->shut, memory_order_acquire); /* C4, with C3 */
    bool ready = false;

    switch (wants) {
    case WANT_DATA:
        ready = ewi_ring_has_record(&channel->reader) ||
                atomic_load_explicit(&channel->sink_full, memory_order_relaxed); /* a hint */
        break;
    case WANT_SPACE:
        ewi_channel_refresh_room(channel);
        ready = ewi_ring_fits(&channel->writer, (uint32_t)amount);
        break;
    case WANT_HELD:
        ready = channel->ops->peer_held(channel) >= amount;
        break;
    case WANT_CONSUMED:
        ready = channel->ops->peer_consumed(channel) >= amount;
        break;
    }
    return ready || ewi_channel_link_state(channel) != LINK_UP ||
           ewi_freeze_is_wanted(&channel->freeze) ||
           (wants == WANT_HELD ? shut == CHANNEL_CLOSED : shut != CHANNEL_OPEN);
}

static struct channel_spin *spin_of(ew_channel *channel, enum channel_wants wants)
{
    if (wants == WANT_DATA)
        return &channel->recv_spin;
    return wants == WANT_SPACE ? &channel->send_spin : NULL;
}

/* ---- what the rule is told ---- */

static int32_t peer_pid(const ew_channel *channel)
{
    return channel->ops->drives ? 0 : (int32_t)channel->link->local.pid;
}

/* Did our last message have to wake the peer? A stream cannot tell: then whatever was sent did. */
static bool woke_peer(const ew_channel *channel, struct channel_spin *state)
{
    uint64_t woke = channel->ops->drives
                        ? atomic_load_explicit(&channel->messages_sent,
                                               memory_order_relaxed) /* a hint */
                        : atomic_load_explicit(&channel->link->local.bell.kicks,
                                               memory_order_relaxed); /* a hint */
    bool is_new = woke != state->woke_seen;

    state->woke_seen = woke;
    return is_new;
}

static uint64_t cap_of(const ew_channel *channel, const struct channel_spin *state)
{
    if (!atomic_load_explicit(&state->has_cpus, memory_order_relaxed)) /* ours */
        return 0;
    return atomic_load_explicit(&channel->context->spin_ns, memory_order_relaxed); /* a value */
}

/* Affinity may change at any time: it is looked at before each trial. */
bool ewi_channel_has_cpus(const ew_channel *channel)
{
    return channel->context->quota_cpus != 1 && ewi_machine_runs_beside(peer_pid(channel));
}

/* ---- spinning ---- */

static void pause_for(uint32_t pauses)
{
    while (pauses-- > 0)
        ewi_relax();
}

/* Leave the sender its line: see above. True: messages are there now. */
static bool hold_back(ew_channel *channel)
{
    struct channel_spin *state = &channel->recv_spin;
    uint64_t sent = atomic_load_explicit(&channel->messages_sent, memory_order_relaxed); /* a hint */
    bool streams = sent == state->sent_seen;

    state->sent_seen = sent;
    if (!streams)
        return false;
    pause_for(state->hold_pauses);
    streams = ewi_ring_has_record(&channel->reader);
    state->hold_pauses = streams ? (uint32_t)ewi_min_u64(2 * state->hold_pauses, SPIN_HOLD_PAUSES_MAX)
                                 : SPIN_HOLD_PAUSES_MIN;
    return streams;
}

/* Changes while a message comes straight into the buffer of who waits: then the wait pays. */
static uint64_t come_so_far(const ew_channel *channel, enum channel_wants wants)
{
    if (wants != WANT_DATA || !channel->sink_open)
        return 0;
    return atomic_load_explicit(&channel->consumed, memory_order_relaxed); /* a hint */
}

struct spin {
    uint64_t limit_ns; /* EWI_NEVER: none */
    bool is_timed;     /* from its beginning; else from the first look at the clock */
    uint64_t spun_ns, end_ns; /* at the last one */
};

/* EW_OK: ready. EW_EAGAIN: the limit is reached. EW_ETIMEOUT, EW_EINTR. */
static int spin(ew_channel *channel, enum channel_wants wants, uint64_t amount, struct wait wait,
                struct spin *spin)
{
    const bool drives = channel->ops->drives;
    uint64_t start_ns = spin->is_timed ? ewi_now_ns() : 0; /* not read before it may matter */
    uint64_t come = come_so_far(channel, wants);

    if (!drives && wants == WANT_DATA && hold_back(channel))
        return EW_OK;
    for (uint32_t looks = 1;; looks++) {
        uint64_t now;

        if (drives && wants == WANT_DATA)
            channel->ops->drive(channel);
        else if (drives)
            channel->ops->settle(channel); /* what other threads receive meanwhile is told */
        if (is_ready(channel, wants, amount)) {
            if (spin->is_timed)
                spin->spun_ns = ewi_now_ns() - start_ns;
            return EW_OK;
        }
        pause_for(!drives && wants == WANT_SPACE ? SPIN_SPACE_PAUSES : 1);
        if (!drives && looks % SPIN_CLOCK_EVERY != 0)
            continue;
        now = ewi_now_ns();
        if (start_ns == 0 || come != come_so_far(channel, wants))
            start_ns = now;
        come = come_so_far(channel, wants);
        spin->end_ns = now;
        spin->spun_ns = now - start_ns;
        if (now >= wait.deadline_ns)
            return EW_ETIMEOUT;
        if (spin->limit_ns != EWI_NEVER && spin->spun_ns >= spin->limit_ns)
            return EW_EAGAIN;
        if (wait.sigmask != NULL && spin->spun_ns >= SPIN_SLICE_NS)
            return EW_EINTR; /* one may be pending: the caller lets it in and calls again */
    }
}

/* Only the holder of the direction's lock counts; others may read. */
static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static int sleep_once(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                      struct wait wait)
{
    const uint32_t bell_wants = wants == WANT_DATA ? BELL_DATA : BELL_SPACE;
    const struct waitroom_poller poller = {
        .context = channel, .look = channel->ops->look, .seen = channel->ops->seen};
    struct pollfd fds[LINK_FDS_MAX];
    uint32_t seen_events = ewi_waitroom_events(&channel->room);
    nfds_t count;
    int code = EW_OK;

    channel->ops->announce(channel, bell_wants);
    if (!is_ready(channel, wants, amount)) {
        count = channel->ops->sleep_fds(channel, fds);
        atomic_fetch_add_explicit(&channel->sleeps, 1, memory_order_relaxed);
        code = ewi_waitroom_sleep(&channel->room, seen_events, fds, count, wait, &poller);
        atomic_fetch_add_explicit(&channel->wakeups, 1, memory_order_relaxed);
    }
    channel->ops->retract(channel, bell_wants);
    return code;
}

/* EW_EAGAIN: some of a message has come, and more is likely to.
 * A sender looks again now and then: the reader tells of space only every eighth of the ring. */
static int sleep_until_ready(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                             struct wait wait)
{
    const uint64_t come = come_so_far(channel, wants);

    for (;;) {
        struct wait once = wait;
        int code;

        if (wants != WANT_DATA)
            once.deadline_ns = ewi_min_u64(wait.deadline_ns, ewi_now_ns() + CHANNEL_SPACE_LOOK_NS);
        code = sleep_once(channel, wants, amount, once);
        if (is_ready(channel, wants, amount))
            return EW_OK;
        if (code == EW_EINTR)
            return code;
        if (wait.deadline_ns != EWI_NEVER && ewi_now_ns() >= wait.deadline_ns)
            return EW_ETIMEOUT;
        if (come != come_so_far(channel, wants))
            return EW_EAGAIN;
        if (wants != WANT_DATA)
            channel->ops->settle(channel); /* what other threads received meanwhile is told */
    }
}

static enum freeze_lock lock_of(enum channel_wants wants)
{
    if (wants == WANT_DATA)
        return FREEZE_RECV;
    return wants == WANT_SPACE ? FREEZE_SEND : FREEZE_DRAIN;
}

/* Each spins, then sleeps; EW_EAGAIN: some of a message has come.
 * By a policy that does not learn, or for what is not learnt about. */
static int wait_plainly(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                        struct wait wait)
{
    struct spin endless = {.limit_ns = EWI_NEVER};

    if (channel->context->wait == EW_WAIT_SPIN)
        return spin(channel, wants, amount, wait, &endless);
    return sleep_until_ready(channel, wants, amount, wait);
}

/* The spin of an adaptive wait. EW_EAGAIN: sleep. */
static int spin_adaptively(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                           struct wait wait, struct spin *spun)
{
    struct channel_spin *state = spin_of(channel, wants);
    const uint64_t cap_ns = cap_of(channel, state);
    const bool woke = woke_peer(channel, state);
    uint64_t learnt_ns;
    int code;

    *spun = (struct spin){.limit_ns = ewi_spin_limit(&state->rule, cap_ns, woke),
                          .is_timed = state->rule.trial};
    if (spun->limit_ns == 0)
        return EW_EAGAIN;
    code = spin(channel, wants, amount, wait, spun);
    if (code == EW_OK) {
        count(&state->paid, 1);
        learnt_ns = ewi_spin_paid(&state->rule, cap_ns, woke, spun->spun_ns);
        if (learnt_ns != cap_ns)
            atomic_store_explicit(&channel->context->spin_ns, learnt_ns,
                                  memory_order_relaxed); /* a value */
    } else if (code == EW_EAGAIN) {
        count(&state->lost, 1);
        count(&state->lost_ns, spun->spun_ns);
        ewi_spin_lost(&state->rule, spun->spun_ns, spun->end_ns);
    } else if (spun->end_ns != 0) {
        ewi_spin_spend(&state->rule, spun->spun_ns, spun->end_ns);
    }
    return code;
}

static int wait_adaptively(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                           struct wait wait)
{
    struct channel_spin *state = spin_of(channel, wants);
    struct spin spun;
    uint64_t start_ns, now_ns;
    bool can;
    int code = spin_adaptively(channel, wants, amount, wait, &spun);

    if (code != EW_EAGAIN)
        return code;
    start_ns = ewi_now_ns();
    code = sleep_until_ready(channel, wants, amount, wait);
    now_ns = ewi_now_ns();
    if ((code == EW_OK || code == EW_EAGAIN) &&
        ewi_spin_slept(&state->rule, spun.spun_ns + now_ns - start_ns, now_ns)) {
        can = ewi_channel_has_cpus(channel);
        atomic_store_explicit(&state->has_cpus, can, memory_order_relaxed); /* a value */
        ewi_spin_try(&state->rule, can);
    }
    return code;
}

static int wait_once(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                     struct wait wait)
{
    if (channel->context->wait != EW_WAIT_ADAPTIVE || spin_of(channel, wants) == NULL)
        return wait_plainly(channel, wants, amount, wait);
    return wait_adaptively(channel, wants, amount, wait);
}

int ewi_channel_wait(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                     struct wait wait)
{
    int code;

    if (ewi_freeze_is_wanted(&channel->freeze)) {
        if (wants == WANT_DATA)
            ewi_channel_close_sink(channel); /* the link may be replaced meanwhile */
        return ewi_freeze_lend(channel, lock_of(wants), wait);
    }
    channel->ops->settle(channel);
    do {
        code = wait_once(channel, wants, amount, wait);
    } while (code == EW_EAGAIN);
    return code;
}

void ewi_channel_wake(ew_channel *channel)
{
    ewi_waitroom_tell(&channel->room);
}
