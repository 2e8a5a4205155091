#include "transport/channel/freeze.h"

#include <limits.h>

#include "transport/channel/channel.h"
#include "transport/channel/move.h"
#include "transport/context.h"
#include "transport/stream/grow.h"

enum freeze_lent { LENT_NOT = 0, LENT_FREE = 1, LENT_TAKEN = 2 };

enum { LOOK_AGAIN_NS = 1000 * 1000 }; /* a lock that is given back does not knock */

static struct lock *lock_of(ew_channel *channel, int which)
{
    struct lock *const locks[FREEZE_LOCKS] = {&channel->send_lock, &channel->recv_lock,
                                              &channel->drain_lock};

    return locks[which];
}

/* ---- the mover ---- */

/* Sleepers look at `wanted` again. The link may be on its way out: not under our feet. */
static void nudge(ew_channel *channel)
{
    const struct wait none = {.deadline_ns = 0};

    if (ewi_lock_take(&channel->facts_lock, none) == EW_OK) { /* else the next look nudges */
        if (atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_CLOSED) /* the lock */
            channel->ops->nudge(channel);
        ewi_lock_give(&channel->facts_lock);
    }
    ewi_channel_wake(channel);
}

int ewi_freeze_claim(ew_channel *channel)
{
    struct channel_freeze *freeze = &channel->freeze;
    uint32_t nobody = FREEZE_NOBODY;

    if (!atomic_compare_exchange_strong_explicit(&freeze->wanted, &nobody, FREEZE_CLAIMED,
                                                 memory_order_acquire,  /* Z5, pairs with Z6 */
                                                 memory_order_relaxed)) /* nothing taken */
        return EW_EAGAIN;
    return EW_OK;
}

int ewi_freeze_claim_by(ew_channel *channel, struct wait wait)
{
    _Atomic uint32_t *wanted = &channel->freeze.wanted;
    int code = EW_OK;

    while (code == EW_OK && ewi_grow_claim(channel) != EW_OK) {
        uint32_t seen = atomic_load_explicit(wanted, memory_order_relaxed); /* Z7 */

        if (wait.deadline_ns == 0)
            return EW_EAGAIN;
        if (seen != FREEZE_NOBODY)
            code = ewi_futex_wait(wanted, seen, wait);
    }
    return code;
}

int ewi_freeze_try(ew_channel *channel)
{
    struct channel_freeze *freeze = &channel->freeze;
    bool whole = true;

    atomic_store_explicit(&freeze->wanted, FREEZE_WANTED, memory_order_relaxed); /* Z7 */
    for (int which = 0; which < FREEZE_LOCKS; which++) {
        uint32_t is_free = LENT_FREE;

        if (freeze->taken[which] || freeze->borrowed[which])
            continue;
        freeze->taken[which] = ewi_lock_try(lock_of(channel, which));
        if (!freeze->taken[which])
            freeze->borrowed[which] = atomic_compare_exchange_strong_explicit(
                &freeze->lent[which], &is_free, LENT_TAKEN, memory_order_acquire, /* Z2, with Z1 */
                memory_order_relaxed); /* not lent */
        whole &= freeze->taken[which] || freeze->borrowed[which];
    }
    if (whole)
        ewi_context_calm(channel->context); /* sleepers of other channels go round until then */
    else
        nudge(channel);
    return whole ? EW_OK : EW_EAGAIN;
}

int ewi_freeze_await(ew_channel *channel, struct wait wait)
{
    struct channel_freeze *freeze = &channel->freeze;

    for (;;) {
        uint32_t seen = atomic_load_explicit(&freeze->knocks, memory_order_relaxed); /* a hint */
        struct wait once = wait;
        uint64_t now;
        int code;

        if (ewi_freeze_try(channel) == EW_OK)
            return EW_OK;
        now = ewi_now_ns();
        if (ewi_wait_left(wait, now) == 0)
            return EW_ETIMEOUT;
        once.deadline_ns = ewi_min_u64(wait.deadline_ns, now + LOOK_AGAIN_NS);
        code = ewi_futex_wait(&freeze->knocks, seen, once);
        if (code == EW_EINTR)
            return code;
    }
}

void ewi_freeze_thaw(ew_channel *channel)
{
    struct channel_freeze *freeze = &channel->freeze;

    for (int which = 0; which < FREEZE_LOCKS; which++) {
        if (freeze->taken[which])
            ewi_lock_give(lock_of(channel, which));
        if (freeze->borrowed[which]) {
            atomic_store_explicit(&freeze->lent[which], LENT_FREE, memory_order_release); /* Z3 */
            ewi_futex_wake(&freeze->lent[which], INT_MAX);
        }
        freeze->taken[which] = freeze->borrowed[which] = false;
    }
    atomic_store_explicit(&freeze->wanted, FREEZE_NOBODY, memory_order_release); /* Z6, pairs with Z5 */
    ewi_futex_wake(&freeze->wanted, INT_MAX);
    ewi_context_calm(channel->context);
}

/* ---- the others ---- */

void ewi_freeze_offer(ew_channel *channel, enum freeze_lock which)
{
    struct channel_freeze *freeze = &channel->freeze;

    atomic_store_explicit(&freeze->lent[which], LENT_FREE, memory_order_release); /* Z1, with Z2 */
    atomic_fetch_add_explicit(&freeze->knocks, 1, memory_order_relaxed); /* a hint */
    ewi_futex_wake(&freeze->knocks, INT_MAX);
}

bool ewi_freeze_try_reclaim(ew_channel *channel, enum freeze_lock which)
{
    uint32_t is_free = LENT_FREE;

    return atomic_compare_exchange_strong_explicit(&channel->freeze.lent[which], &is_free, LENT_NOT,
                                                   memory_order_acquire, /* Z4, pairs with Z3 */
                                                   memory_order_relaxed); /* the mover has it */
}

void ewi_freeze_reclaim(ew_channel *channel, enum freeze_lock which)
{
    const struct wait forever = {.deadline_ns = EWI_NEVER};

    while (!ewi_freeze_try_reclaim(channel, which))
        ewi_futex_wait(&channel->freeze.lent[which], LENT_TAKEN, forever); /* move.h I2: not long */
}

/* Until nobody wants it. */
static int stand_by(ew_channel *channel, struct wait wait)
{
    struct channel_freeze *freeze = &channel->freeze;
    int code = EW_OK;

    while (code == EW_OK && ewi_freeze_is_wanted(freeze))
        code = ewi_futex_wait(&freeze->wanted, FREEZE_WANTED, wait);
    return code;
}

int ewi_freeze_lend(ew_channel *channel, enum freeze_lock which, struct wait wait)
{
    int code;

    ewi_freeze_offer(channel, which);
    ewi_move_knock(channel);
    ewi_grow_knock(channel);
    code = stand_by(channel, wait);
    ewi_freeze_reclaim(channel, which);
    return code;
}

int ewi_freeze_pass(ew_channel *channel, struct wait wait)
{
    return wait.deadline_ns == 0 ? EW_EAGAIN : stand_by(channel, wait);
}
