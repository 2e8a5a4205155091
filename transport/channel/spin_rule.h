/* transport/channel/spin_rule.h - the adaptive rule: how long may a wait spin before it sleeps?
 *
 * Purpose    Spin where that pays, and cost hardly more than sleeping where it does not.
 * Shape      A spin that found nothing is lost. The cap is what a sleep costs more than a spin, so
 *            a spin that long is never more than twice as dear as the better choice (ski rental).
 *            The budget is what the next wait may spin: up to the cap while that pays, halved by
 *            each loss, and 0 below SPIN_NS_MIN. If our last message had to wake the peer, a wait
 *            may last as long again: the peer has a wake-up before it, and the next time it has not.
 *            A budget gets up again by a trial: one long spin after a sleep so short that
 *            spinning might have ended it. Each trial that fails doubles the sleeps until the next.
 *            Credit bounds it all: lost spins get a SPIN_SHARE-th of one CPU.
 * Owner      values; zero-initialised is a direction that sleeps first, then tries
 * Threads    who has the direction's lock
 * Trust      none of it comes from a peer, but a peer times its messages as it likes: the credit
 *            is all that it can make us spend
 * Errors     none
 * Invariants I1  between two points in time that lie T apart, spins that were lost and late trials
 *                cost at most T / SPIN_SHARE + SPIN_CREDIT_NS + one spin of SPIN_TRIAL_NS_MAX.
 *            I2  with a cap of 0 nothing spins.
 * Ordering   none
 * Source     docs/adr/0015-spin-rule.md; docs/guide/waiting.md
 */
#ifndef EWI_TRANSPORT_CHANNEL_SPIN_RULE_H
#define EWI_TRANSPORT_CHANNEL_SPIN_RULE_H

#include "shm/base.h"

enum {
    SPIN_NS_MIN = 2 * 1000,
    SPIN_CAP_NS_MIN = 5 * 1000,
    SPIN_CAP_NS_MAX = 100 * 1000,
    SPIN_TRIAL_NS_MAX = 2 * SPIN_CAP_NS_MAX, /* the longest sleep that is worth a trial, too */
    SPIN_SHARE = 16,                         /* of one CPU, for each direction */
    SPIN_CREDIT_NS = 1000 * 1000,            /* saved up at most */
    SPIN_PAUSE_MAX = 1023,                   /* short sleeps between two trials that fail */
};

struct spin_rule {
    uint64_t settled_ns; /* when the credit was reckoned last, 0: never */
    int32_t credit_ns;   /* below 0 by one spin at most */
    uint32_t budget_ns;
    uint32_t slept_ns;   /* the last wait that slept, from its beginning to its end */
    uint16_t pause;      /* short sleeps until the next trial */
    uint16_t backoff;    /* the pause after the last trial that failed */
    bool trial;          /* the next spin is one */
};

/* How long the wait that begins may spin. woke: our last message had to wake the peer. */
uint64_t ewi_spin_limit(const struct spin_rule *rule, uint64_t cap_ns, bool woke);
/* The spin was ended by what it waited for, after spun_ns (used of a trial only). Returns the cap
 * to go on with: a trial that ended after the cap shows what the sleep before it cost more. One
 * that ended before teaches nothing: that sleep may have been long for another reason. */
uint64_t ewi_spin_paid(struct spin_rule *rule, uint64_t cap_ns, bool woke, uint64_t spun_ns);
/* It was not: a sleep follows. */
void ewi_spin_lost(struct spin_rule *rule, uint64_t spun_ns, uint64_t now_ns);
/* The caller's time was over meanwhile: that says nothing, but it was spent. */
void ewi_spin_spend(struct spin_rule *rule, uint64_t spun_ns, uint64_t now_ns);
/* A wait ended by a sleep, waited_ns after it began. True: a trial is due; say whether two CPUs
 * are there for it. */
bool ewi_spin_slept(struct spin_rule *rule, uint64_t waited_ns, uint64_t now_ns);
void ewi_spin_try(struct spin_rule *rule, bool has_cpus);

#endif
