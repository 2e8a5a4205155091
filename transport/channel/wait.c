/* Waiting: spin while that is likely to pay, then sleep.
 *
 * A receiver that found the ring empty and has sent nothing since it last did so holds back for a
 * moment before it looks again: otherwise it takes the line that the sender is writing, for each
 * message, and both get slower. The moment doubles while messages are there at its end, and starts
 * again when they are not. Who has sent something waits for the answer, and looks at once.
 *
 * The adaptive rule. A spin is worth at most what a wake-up costs here (spin_ns_max, measured when
 * the context is opened): that is the ski-rental bound, never more than twice the best choice.
 * Each direction of a channel keeps a budget. A spin that paid raises it, one that did not halves
 * it, down to SPIN_NS_MIN; a sleep shorter than the cap shows that spinning would have paid and
 * restores it. With one CPU, or little CPU quota, the cap is 0.
 */
#include "transport/channel/channel.h"

#include "transport/context.h"

enum {
    SPIN_NS_MIN = 1000,
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

static uint64_t spin_budget(const ew_channel *channel, const struct channel_spin *spin)
{
    switch (channel->context->wait) {
    case EW_WAIT_SPIN:
        return EWI_NEVER;
    case EW_WAIT_BLOCK:
        return 0;
    case EW_WAIT_ADAPTIVE:
        break;
    }
    return spin != NULL ? ewi_min_u64(spin->budget_ns, channel->context->spin_ns_max) : 0;
}

static struct channel_spin *spin_of(ew_channel *channel, enum channel_wants wants)
{
    if (wants == WANT_DATA)
        return &channel->recv_spin;
    return wants == WANT_SPACE ? &channel->send_spin : NULL;
}

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

/* EW_OK: ready. EW_EAGAIN: the budget is spent. EW_ETIMEOUT, EW_EINTR. */
static int spin(ew_channel *channel, enum channel_wants wants, uint64_t amount, struct wait wait,
                uint64_t budget_ns)
{
    const bool drives = channel->ops->path != EW_PATH_SHM;
    uint64_t start_ns = 0; /* the clock is not read before it may matter */
    uint64_t come = come_so_far(channel, wants);

    if (!drives && wants == WANT_DATA && hold_back(channel))
        return EW_OK;
    for (uint32_t looks = 1;; looks++) {
        uint64_t now;

        if (drives && wants == WANT_DATA)
            channel->ops->drive(channel);
        else if (drives)
            channel->ops->settle(channel); /* what other threads receive meanwhile is told */
        if (is_ready(channel, wants, amount))
            return EW_OK;
        pause_for(!drives && wants == WANT_SPACE ? SPIN_SPACE_PAUSES : 1);
        if (!drives && looks % SPIN_CLOCK_EVERY != 0)
            continue;
        now = ewi_now_ns();
        if (start_ns == 0 || come != come_so_far(channel, wants))
            start_ns = now;
        come = come_so_far(channel, wants);
        if (now >= wait.deadline_ns)
            return EW_ETIMEOUT;
        if (budget_ns != EWI_NEVER && now - start_ns >= budget_ns)
            return EW_EAGAIN;
        if (wait.sigmask != NULL && now - start_ns >= SPIN_SLICE_NS)
            return EW_EINTR; /* one may be pending: the caller lets it in and calls again */
    }
}

/* Only the holder of the direction's lock counts; others may read. */
static void count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void learn_from_spin(struct channel_spin *state, uint64_t cap_ns, bool paid)
{
    if (paid) {
        count(&state->paid);
        state->budget_ns = ewi_min_u64(cap_ns, state->budget_ns * 2);
    } else {
        count(&state->lost);
        state->budget_ns = ewi_max_u64(SPIN_NS_MIN, state->budget_ns / 2);
    }
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

/* Spin, then sleep. EW_EAGAIN: some of a message has come. */
static int wait_once(ew_channel *channel, enum channel_wants wants, uint64_t amount,
                     struct wait wait)
{
    struct channel_spin *state = spin_of(channel, wants);
    uint64_t cap_ns = channel->context->spin_ns_max;
    uint64_t budget_ns = spin_budget(channel, state);
    uint64_t start_ns, slept_ns;
    int code;

    if (budget_ns > 0) {
        code = spin(channel, wants, amount, wait, budget_ns);
        if (state != NULL && budget_ns != EWI_NEVER && code != EW_ETIMEOUT)
            learn_from_spin(state, cap_ns, code == EW_OK);
        if (code != EW_EAGAIN)
            return code;
    }
    start_ns = ewi_now_ns();
    code = sleep_until_ready(channel, wants, amount, wait);
    slept_ns = ewi_now_ns() - start_ns;
    if (state != NULL && (code == EW_OK || code == EW_EAGAIN) && slept_ns < cap_ns)
        state->budget_ns = cap_ns;
    return code;
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
