/* The adaptive rule: by table, and two ends that wait for each other in simulated time. */
#include "tests/c/harness.h"
#include "transport/channel/spin_rule.h"

enum { US = 1000, CAP = 20 * US, MS = 1000 * US };

/* A direction that has found out that spinning pays. */
static struct spin_rule paying(void)
{
    return (struct spin_rule){.budget_ns = CAP, .credit_ns = SPIN_CREDIT_NS, .settled_ns = MS};
}

/* ... and one whose last sleep was short. */
static struct spin_rule trying(uint32_t slept_ns)
{
    return (struct spin_rule){.trial = true, .slept_ns = slept_ns, .credit_ns = SPIN_CREDIT_NS,
                              .settled_ns = MS};
}

/* ---- how long ---- */

static void it_begins_with_a_sleep(void)
{
    const struct spin_rule rule = {0};

    CHECK_EQ(ewi_spin_limit(&rule, CAP, false), 0);
    CHECK_EQ(ewi_spin_limit(&rule, CAP, true), 0);
}

static void the_cap_bounds_a_spin_and_twice_the_cap_one_that_woke_the_peer(void)
{
    const struct spin_rule rule = paying();

    CHECK_EQ(ewi_spin_limit(&rule, CAP, false), CAP);
    CHECK_EQ(ewi_spin_limit(&rule, CAP, true), 2 * CAP);
    CHECK_EQ(ewi_spin_limit(&rule, CAP / 4, false), CAP / 4);
}

static void with_a_cap_of_0_nothing_spins(void)
{
    struct spin_rule rule = paying();

    CHECK_EQ(ewi_spin_limit(&rule, 0, true), 0);
    rule = trying(50 * US);
    CHECK_EQ(ewi_spin_limit(&rule, 0, true), 0);
}

static void a_trial_lasts_as_long_as_the_sleep_did(void)
{
    struct spin_rule rule = trying(70 * US);

    CHECK_EQ(ewi_spin_limit(&rule, CAP, false), 70 * US);
    CHECK_EQ(ewi_spin_limit(&rule, CAP, true), 70 * US);
    rule = trying(10 * US);
    CHECK_EQ(ewi_spin_limit(&rule, CAP, false), CAP);
    CHECK_EQ(ewi_spin_limit(&rule, CAP, true), 2 * CAP);
    CHECK_EQ(ewi_spin_limit(&rule, SPIN_TRIAL_NS_MAX, true), SPIN_TRIAL_NS_MAX);
}

static void without_credit_nothing_spins(void)
{
    struct spin_rule rule = paying();

    rule.credit_ns = -1;
    CHECK_EQ(ewi_spin_limit(&rule, CAP, true), 0);
    rule.trial = true;
    CHECK_EQ(ewi_spin_limit(&rule, CAP, true), 0);
}

/* ---- what is learnt ---- */

static void what_pays_doubles_up_to_the_cap(void)
{
    struct spin_rule rule = paying();

    rule.budget_ns = 8 * US;
    CHECK_EQ(ewi_spin_paid(&rule, CAP, false, 0), CAP);
    CHECK_EQ(rule.budget_ns, 16 * US);
    ewi_spin_paid(&rule, CAP, false, 0);
    CHECK_EQ(rule.budget_ns, CAP);
    CHECK_EQ(rule.credit_ns, SPIN_CREDIT_NS);
}

static void what_is_lost_is_halved_down_to_nothing(void)
{
    struct spin_rule rule = paying();

    ewi_spin_lost(&rule, CAP, MS);
    CHECK_EQ(rule.budget_ns, CAP / 2);
    CHECK_EQ(rule.credit_ns, SPIN_CREDIT_NS - CAP);
    ewi_spin_lost(&rule, CAP / 2, MS);
    ewi_spin_lost(&rule, CAP / 4, MS);
    CHECK_EQ(rule.budget_ns, 2500);
    ewi_spin_lost(&rule, CAP / 8, MS);
    CHECK_EQ(rule.budget_ns, 0);
}

static void a_short_sleep_makes_a_trial_due_and_a_long_one_does_not(void)
{
    struct spin_rule rule = {0};

    CHECK(!ewi_spin_slept(&rule, SPIN_TRIAL_NS_MAX + 1, MS));
    CHECK(ewi_spin_slept(&rule, SPIN_TRIAL_NS_MAX, MS));
    CHECK(ewi_spin_limit(&rule, CAP, false) == 0); /* as long as nobody tries */
    ewi_spin_try(&rule, true);
    CHECK_EQ(ewi_spin_limit(&rule, CAP, false), SPIN_TRIAL_NS_MAX);
}

static void a_trial_that_paid_brings_the_whole_budget(void)
{
    struct spin_rule rule = trying(60 * US);

    CHECK_EQ(ewi_spin_paid(&rule, CAP, true, 40 * US), CAP); /* it saved 20 us */
    CHECK(!rule.trial);
    CHECK_EQ(rule.budget_ns, CAP);
    CHECK_EQ(rule.backoff, 0);
}

static void a_late_trial_teaches_what_a_sleep_costs_more(void)
{
    struct spin_rule rule = trying(80 * US);

    CHECK_EQ(ewi_spin_paid(&rule, CAP, true, 41 * US), 24750); /* 39 us: a quarter of the way */
    CHECK_EQ(rule.budget_ns, 24750); /* and by the new cap it paid */
    rule = trying(180 * US);
    CHECK_EQ(ewi_spin_paid(&rule, CAP, true, 60 * US), 25 * US); /* one odd sleep */
    CHECK_EQ(rule.budget_ns, 0);
    rule = trying(51 * US);
    CHECK_EQ(ewi_spin_paid(&rule, CAP, true, 50 * US), 17500);
    rule = trying(180 * US);
    CHECK_EQ(ewi_spin_paid(&rule, CAP, true, 1 * US), CAP); /* it was not late */
    rule = trying(16 * US);
    CHECK_EQ(ewi_spin_paid(&rule, SPIN_CAP_NS_MIN, true, 15 * US), SPIN_CAP_NS_MIN);
    rule = trying(199 * US);
    CHECK_EQ(ewi_spin_paid(&rule, SPIN_CAP_NS_MAX, false, 190 * US), 87500);
}

static void a_trial_that_ended_after_the_cap_failed_and_was_spent(void)
{
    struct spin_rule rule = trying(80 * US);

    CHECK_EQ(ewi_spin_paid(&rule, CAP, false, 60 * US), CAP);
    CHECK_EQ(rule.budget_ns, 0);
    CHECK_EQ(rule.backoff, 1);
    CHECK(rule.credit_ns < SPIN_CREDIT_NS - 50 * US);
}

static void each_trial_that_fails_doubles_the_sleeps_until_the_next(void)
{
    struct spin_rule rule = {.credit_ns = SPIN_CREDIT_NS, .settled_ns = MS};

    for (int trials = 0; trials < 12; trials++) {
        int sleeps = 1;

        while (!ewi_spin_slept(&rule, 10 * US, MS))
            sleeps++;
        CHECK_EQ(sleeps, trials < 10 ? 1 << trials : SPIN_PAUSE_MAX + 1);
        ewi_spin_try(&rule, trials % 2 == 0); /* without a second CPU it fails at once */
        if (rule.trial)
            ewi_spin_lost(&rule, 10 * US, MS);
        CHECK(!rule.trial);
    }
    CHECK(!ewi_spin_slept(&rule, 10 * US, MS));
    for (int i = 0; i < 10; i++)
        ewi_spin_paid(&rule, CAP, false, 0); /* who is paid again may soon try again */
    CHECK_EQ(rule.backoff, 0);
}

static void credit_comes_with_time_and_is_not_saved_up_for_ever(void)
{
    struct spin_rule rule = {.settled_ns = MS};

    ewi_spin_spend(&rule, 100 * US, MS);
    CHECK_EQ(rule.credit_ns, -100 * US);
    ewi_spin_spend(&rule, 0, MS + 50 * US * SPIN_SHARE);
    CHECK_EQ(rule.credit_ns, -50 * US);
    ewi_spin_spend(&rule, 0, UINT64_C(3600) * 1000 * MS);
    CHECK_EQ(rule.credit_ns, SPIN_CREDIT_NS);
}

/* ---- the share, whatever the peer does ---- */

static void lost_spins_never_cost_more_than_their_share(uint64_t seed)
{
    struct harness_random random = {seed};
    struct spin_rule rule = {0};
    uint64_t now = MS, begin = MS, spent = 0, cap = CAP;

    for (int waits = 0; waits < 200000; waits++) {
        bool woke = harness_below(&random, 2) == 0;
        uint64_t limit = ewi_spin_limit(&rule, cap, woke);
        uint64_t comes = harness_below(&random, 3) == 0 ? limit + 1 /* the worst: just too late */
                                                        : harness_below(&random, 150 * US);

        if (comes <= limit) {
            bool trial = rule.trial;

            cap = ewi_spin_paid(&rule, cap, woke, comes);
            if (trial && rule.pause != 0) /* too late for the cap */
                spent += comes;
            now += comes;
            continue;
        }
        if (limit > 0) {
            spent += limit;
            ewi_spin_lost(&rule, limit, now + limit);
        }
        now += comes + 1;
        if (ewi_spin_slept(&rule, comes + 1, now))
            ewi_spin_try(&rule, true);
        CHECK(spent <= (now - begin) / SPIN_SHARE + SPIN_CREDIT_NS + SPIN_TRIAL_NS_MAX);
    }
}

/* ---- two ends ---- */

struct world {
    uint64_t wake_ns;   /* of a sleeper */
    uint64_t work_ns;   /* between a message and its answer */
    uint64_t cap_ns;    /* where it begins */
    bool one_core;      /* both ends run on it: who spins keeps the other away */
    int blocks;         /* this end sleeps always; -1: none */
};

struct outcome {
    uint64_t elapsed_ns, spun_ns, sleeps, ns_a_trip; /* the last: of the second half */
};


/* Each end in turn receives, works, sends; the other waits meanwhile. */
static struct outcome play(struct world world, int trips)
{
    struct spin_rule rule[2] = {{0}};
    uint64_t now = MS, since[2] = {MS, MS}, half = MS, cap = world.cap_ns;
    struct outcome outcome = {0};
    bool woke[2] = {false, false};

    for (int hop = 0; hop < 2 * trips; hop++) {
        const int end = hop % 2; /* gets the message, which is there at `now` */
        const uint64_t comes = now - since[end];
        uint64_t limit = end == world.blocks ? 0 : ewi_spin_limit(&rule[end], cap, woke[end]);
        bool caught = comes <= limit && !(world.one_core && limit > 0 && comes > 0);

        if (hop == trips)
            half = now;
        if (caught) {
            cap = ewi_spin_paid(&rule[end], cap, woke[end], comes);
            outcome.spun_ns += comes;
        } else {
            if (world.one_core)
                now += limit; /* the peer did not run meanwhile */
            outcome.spun_ns += limit;
            if (limit > 0)
                ewi_spin_lost(&rule[end], limit, since[end] + limit);
            now += world.wake_ns;
            outcome.sleeps += 1;
            if (ewi_spin_slept(&rule[end], now - since[end], now))
                ewi_spin_try(&rule[end], true);
        }
        now += world.work_ns;
        since[end] = now;
        woke[end] = now - since[1 - end] >
                    (1 - end == world.blocks ? 0
                                             : ewi_spin_limit(&rule[1 - end], cap, woke[1 - end]));
    }
    outcome.elapsed_ns = now - MS;
    outcome.ns_a_trip = (now - half) * 2 / (uint64_t)trips;
    return outcome;
}

static void two_ends_that_both_slept_find_out_that_spinning_pays(void)
{
    const struct world world = {.wake_ns = 18 * US, .work_ns = 500, .cap_ns = CAP, .blocks = -1};
    const struct outcome outcome = play(world, 1000);

    CHECK_EQ(outcome.ns_a_trip, 1000);
    CHECK(outcome.sleeps < 20);
}

/* The probe took 5 us for what costs 18: the trials put it right. */
static void a_cap_that_is_too_low_is_no_trap(void)
{
    const struct world world = {
        .wake_ns = 18 * US, .work_ns = 500, .cap_ns = SPIN_CAP_NS_MIN, .blocks = -1};
    const struct outcome outcome = play(world, 1000);

    CHECK_EQ(outcome.ns_a_trip, 1000);
    CHECK(outcome.sleeps < 100);
}

static void beside_an_end_that_blocks_the_other_one_still_spins(void)
{
    const struct world world = {.wake_ns = 18 * US, .work_ns = 500, .cap_ns = CAP, .blocks = 1};

    CHECK_EQ(play(world, 1000).ns_a_trip, 19 * US);
}

static void on_one_core_spinning_costs_hardly_more_than_blocking(void)
{
    struct world world = {
        .wake_ns = 5 * US, .work_ns = 1 * US, .cap_ns = CAP, .one_core = true, .blocks = -1};
    const struct outcome outcome = play(world, 20000);

    CHECK(outcome.ns_a_trip < 12 * US * 103 / 100);
    CHECK(outcome.spun_ns < outcome.elapsed_ns / 50);
}

static void answers_that_take_longer_than_a_wake_up_are_slept_for(void)
{
    const struct world world = {.wake_ns = 10 * US, .work_ns = 60 * US, .cap_ns = CAP, .blocks = -1};
    const struct outcome outcome = play(world, 20000);

    CHECK(outcome.spun_ns < outcome.elapsed_ns / 50);
    CHECK(outcome.ns_a_trip <= 140 * US); /* what blocking takes; a late trial saves a wake-up */
}

int main(int argc, char **argv)
{
    RUN(it_begins_with_a_sleep);
    RUN(the_cap_bounds_a_spin_and_twice_the_cap_one_that_woke_the_peer);
    RUN(with_a_cap_of_0_nothing_spins);
    RUN(a_trial_lasts_as_long_as_the_sleep_did);
    RUN(without_credit_nothing_spins);
    RUN(what_pays_doubles_up_to_the_cap);
    RUN(what_is_lost_is_halved_down_to_nothing);
    RUN(a_short_sleep_makes_a_trial_due_and_a_long_one_does_not);
    RUN(a_trial_that_paid_brings_the_whole_budget);
    RUN(a_late_trial_teaches_what_a_sleep_costs_more);
    RUN(a_trial_that_ended_after_the_cap_failed_and_was_spent);
    RUN(each_trial_that_fails_doubles_the_sleeps_until_the_next);
    RUN(credit_comes_with_time_and_is_not_saved_up_for_ever);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        lost_spins_never_cost_more_than_their_share(seed);
    }
    RUN(two_ends_that_both_slept_find_out_that_spinning_pays);
    RUN(a_cap_that_is_too_low_is_no_trap);
    RUN(beside_an_end_that_blocks_the_other_one_still_spins);
    RUN(on_one_core_spinning_costs_hardly_more_than_blocking);
    RUN(answers_that_take_longer_than_a_wake_up_are_slept_for);
    return 0;
}
