#include "transport/channel/spin_rule.h"

uint64_t ewi_spin_limit(const struct spin_rule *rule, uint64_t cap_ns, bool woke)
{
    const uint64_t times = woke ? 2 : 1;
    uint64_t limit_ns = ewi_min_u64(rule->budget_ns, cap_ns) * times;

    if (cap_ns == 0 || rule->credit_ns < 0)
        return 0;
    if (rule->trial) /* the peer may have slept as well, and that for longer than the cap says */
        limit_ns = ewi_min_u64(ewi_max_u64(cap_ns * times, rule->slept_ns), SPIN_TRIAL_NS_MAX);
    return limit_ns;
}

void ewi_spin_spend(struct spin_rule *rule, uint64_t spun_ns, uint64_t now_ns)
{
    uint64_t earned_ns = (now_ns - rule->settled_ns) / SPIN_SHARE;
    int64_t credit_ns = rule->credit_ns + (int64_t)ewi_min_u64(earned_ns, 2 * SPIN_CREDIT_NS);

    rule->settled_ns = now_ns;
    if (credit_ns > SPIN_CREDIT_NS)
        credit_ns = SPIN_CREDIT_NS;
    rule->credit_ns = (int32_t)(credit_ns - (int64_t)ewi_min_u64(spun_ns, SPIN_CREDIT_NS));
}

static void fail(struct spin_rule *rule)
{
    rule->trial = false;
    rule->backoff = (uint16_t)ewi_min_u64(2 * (uint64_t)rule->backoff + 1, SPIN_PAUSE_MAX);
    rule->pause = rule->backoff;
}

/* By a quarter of the way at most, so that one odd sleep does not count for much. */
static uint64_t learn(uint64_t cap_ns, uint64_t saved_ns)
{
    saved_ns = ewi_min_u64(ewi_max_u64(saved_ns, cap_ns / 2), cap_ns * 2);
    cap_ns = (3 * cap_ns + saved_ns) / 4;
    return ewi_min_u64(ewi_max_u64(cap_ns, SPIN_CAP_NS_MIN), SPIN_CAP_NS_MAX);
}

uint64_t ewi_spin_paid(struct spin_rule *rule, uint64_t cap_ns, bool woke, uint64_t spun_ns)
{
    const uint64_t times = woke ? 2 : 1;

    if (!rule->trial) {
        rule->budget_ns = (uint32_t)ewi_min_u64(cap_ns, 2 * (uint64_t)rule->budget_ns);
        rule->backoff /= 2;
        return cap_ns;
    }
    if (spun_ns > times * cap_ns && spun_ns < rule->slept_ns)
        cap_ns = learn(cap_ns, rule->slept_ns - spun_ns);
    if (spun_ns > times * cap_ns) { /* it ended, but a sleep is the better choice */
        ewi_spin_spend(rule, spun_ns, rule->settled_ns + spun_ns);
        fail(rule);
        return cap_ns;
    }
    rule->trial = false;
    rule->backoff /= 2;
    rule->budget_ns = (uint32_t)cap_ns;
    return cap_ns;
}

void ewi_spin_lost(struct spin_rule *rule, uint64_t spun_ns, uint64_t now_ns)
{
    ewi_spin_spend(rule, spun_ns, now_ns);
    if (rule->trial)
        fail(rule);
    rule->budget_ns /= 2;
    if (rule->budget_ns < SPIN_NS_MIN)
        rule->budget_ns = 0;
}

bool ewi_spin_slept(struct spin_rule *rule, uint64_t waited_ns, uint64_t now_ns)
{
    ewi_spin_spend(rule, 0, now_ns);
    if (waited_ns > SPIN_TRIAL_NS_MAX)
        return false;
    rule->slept_ns = (uint32_t)waited_ns;
    if (rule->pause == 0)
        return true;
    rule->pause -= 1;
    return false;
}

void ewi_spin_try(struct spin_rule *rule, bool has_cpus)
{
    if (has_cpus)
        rule->trial = true;
    else
        fail(rule);
}
