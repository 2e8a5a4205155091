/* tests/c/test_net_wheel.c - transport/net/wheel.h against a plain list of deadlines. */
#include "tests/c/harness.h"
#include "transport/net/wheel.h"

enum { TIMERS = 200, DUE = 64, MILLION = 1000000 };

static const uint64_t tick_ns = UINT64_C(1) << NET_TICK_BITS;

struct object { /* the timer is not at the start, as in a connection */
    uint64_t before;
    struct net_timer timer;
    uint64_t behind;
};

static struct object object[TIMERS];
static struct net_wheel wheel;
static uint32_t due[DUE];

static void start_at(uint64_t now_ns)
{
    struct net_rows rows = {(uint8_t *)&object[0].timer, sizeof(object[0])};

    ewi_net_wheel_init(&wheel, rows, now_ns);
    for (int i = 0; i < TIMERS; i++)
        ewi_net_timer_init(&object[i].timer);
}

static uint32_t advance(uint64_t now_ns)
{
    return ewi_net_wheel_advance(&wheel, now_ns, due, DUE);
}

/* Sleep as a shell does, to each deadline in turn; the time at which something is due. */
static uint64_t sleep_until_due(uint32_t *looks)
{
    uint64_t now;

    for (*looks = 1;; *looks += 1) {
        now = ewi_net_wheel_next(&wheel);
        CHECK(now != NET_NEVER && *looks <= NET_WHEEL_LEVELS + 1);
        if (advance(now) > 0)
            return now;
    }
}

static void an_empty_wheel_never_has_to_be_looked_at(void)
{
    start_at(123456789);
    CHECK(ewi_net_wheel_next(&wheel) == NET_NEVER);
    CHECK_EQ(advance(UINT64_C(1) << 60), 0);
    CHECK(ewi_net_wheel_next(&wheel) == NET_NEVER);
}

static void a_timer_is_late_by_less_than_a_tick_and_never_early(void)
{
    start_at(0);
    ewi_net_wheel_arm(&wheel, 5, 10 * tick_ns + 1);
    CHECK(ewi_net_wheel_deadline(&wheel, 5) == 11 * tick_ns);
    CHECK_EQ(advance(10 * tick_ns + 1), 0);
    CHECK_EQ(advance(11 * tick_ns - 1), 0);
    CHECK_EQ(advance(11 * tick_ns), 1);
    CHECK_EQ(due[0], 5);
    CHECK(ewi_net_wheel_deadline(&wheel, 5) == NET_NEVER);
    CHECK_EQ(advance(12 * tick_ns), 0);
}

/* catches: rounding up a deadline that is on the tick */
static void a_deadline_on_a_tick_is_that_tick(void)
{
    start_at(0);
    ewi_net_wheel_arm(&wheel, 0, 7 * tick_ns);
    CHECK_EQ(advance(7 * tick_ns - 1), 0);
    CHECK_EQ(advance(7 * tick_ns), 1);
}

static void a_deadline_that_has_passed_is_due_at_once(void)
{
    start_at(UINT64_C(1) << 40);
    ewi_net_wheel_arm(&wheel, 1, 0);
    ewi_net_wheel_arm(&wheel, 2, UINT64_C(1) << 40);
    CHECK(ewi_net_wheel_next(&wheel) <= UINT64_C(1) << 40);
    CHECK_EQ(advance(UINT64_C(1) << 40), 2); /* time need not move */
    CHECK_EQ(due[0], 1);
    CHECK_EQ(due[1], 2);
    CHECK(ewi_net_wheel_next(&wheel) == NET_NEVER);
}

static void never_is_no_deadline(void)
{
    start_at(0);
    ewi_net_wheel_arm(&wheel, 1, NET_NEVER);
    CHECK(ewi_net_wheel_next(&wheel) == NET_NEVER);
    CHECK_EQ(advance(UINT64_MAX), 0);
    CHECK_EQ(advance(UINT64_MAX), 0);
}

/* catches: ticks near the end of time that wrap to 0. The last tick of all counts as never. */
static void the_end_of_time_is_reached_without_wrapping(void)
{
    start_at(0);
    ewi_net_wheel_arm(&wheel, 1, UINT64_MAX - 1);
    ewi_net_wheel_arm(&wheel, 2, UINT64_MAX - 2 * tick_ns);
    CHECK_EQ(advance(UINT64_MAX - 3 * tick_ns), 0);
    CHECK_EQ(advance(UINT64_MAX), 1);
    CHECK_EQ(due[0], 2);
    CHECK(ewi_net_wheel_next(&wheel) == NET_NEVER);
    ewi_net_wheel_arm(&wheel, 3, 0);
    CHECK_EQ(advance(UINT64_MAX), 1);
    start_at(UINT64_MAX);
    ewi_net_wheel_arm(&wheel, 3, 5);
    CHECK_EQ(advance(UINT64_MAX), 1);
}

/* A deadline in each level, and at both edges of it, from a cursor with all digits in use. */
static void every_level_hands_down_to_the_next(void)
{
    for (uint32_t level = 0; level < NET_WHEEL_LEVELS; level++) {
        uint64_t span = UINT64_C(1) << level * NET_WHEEL_LEVEL_BITS; /* ticks */
        uint64_t start = UINT64_C(0x0123456789abcdef) & ~(tick_ns - 1);
        uint64_t delay[] = {1, span - 1, span, span + 1, 3 * span, 3 * span + 1};

        for (size_t i = 0; i < sizeof(delay) / sizeof(delay[0]); i++) {
            uint64_t at = start + delay[i] * tick_ns;
            uint32_t looks;

            start_at(start);
            CHECK_EQ(advance(start), 0);
            ewi_net_wheel_arm(&wheel, 9, at);
            CHECK(ewi_net_wheel_next(&wheel) <= at);
            if (at > start)
                CHECK_EQ(advance(at - 1), 0);
            CHECK_EQ(advance(at), 1);
            start_at(start);
            ewi_net_wheel_arm(&wheel, 9, at);
            CHECK(sleep_until_due(&looks) == at);
        }
    }
}

/* catches: levels that are emptied out of order when one jump of time passes them all */
static void one_jump_over_all_levels_reports_in_order(void)
{
    start_at(tick_ns * 63);
    for (uint32_t level = 0; level < NET_WHEEL_LEVELS; level++)
        ewi_net_wheel_arm(&wheel, NET_WHEEL_LEVELS - level,
                          tick_ns * (64 + (UINT64_C(1) << level * NET_WHEEL_LEVEL_BITS)));
    CHECK_EQ(advance(UINT64_MAX), NET_WHEEL_LEVELS);
    for (uint32_t level = 0; level < NET_WHEEL_LEVELS; level++)
        CHECK_EQ(due[level], NET_WHEEL_LEVELS - level);
}

static void a_day_of_two_hour_keepalives_takes_few_looks(void)
{
    const uint64_t two_hours = UINT64_C(7200) * 1000000000;
    uint64_t now = 1700000000u;
    uint32_t looks, most = 0;

    start_at(now);
    for (int i = 0; i < 12; i++) {
        ewi_net_wheel_arm(&wheel, 0, now + two_hours);
        CHECK(now + two_hours <= sleep_until_due(&looks));
        now = ewi_net_wheel_next(&wheel) == NET_NEVER ? now + two_hours : 0;
        most = looks > most ? looks : most;
    }
    CHECK(most <= 7); /* 7.2e12 ns are six digits of ticks */
}

/* The heart of it: a retransmission timer that every segment moves away. */
static void moving_a_deadline_away_moves_no_entry(void)
{
    struct net_timer was;

    start_at(0);
    ewi_net_wheel_arm(&wheel, 3, 200 * tick_ns);
    was = object[3].timer;
    ewi_net_wheel_arm(&wheel, 4, 200 * tick_ns);
    ewi_net_wheel_arm(&wheel, 3, 5000 * tick_ns);
    CHECK_EQ(was.key & 1023, object[3].timer.key & 1023); /* same bucket */
    ewi_net_wheel_arm(&wheel, 3, 4000 * tick_ns);         /* nearer, but behind its bucket */
    CHECK_EQ(was.key & 1023, object[3].timer.key & 1023);
    ewi_net_wheel_arm(&wheel, 3, 5000 * tick_ns);
    CHECK_EQ(wheel.linked, 2);
    CHECK_EQ(advance(4999 * tick_ns), 1);
    CHECK_EQ(due[0], 4);
    CHECK_EQ(advance(5000 * tick_ns), 1);
    CHECK_EQ(due[0], 3);
}

static void moving_a_deadline_nearer_is_obeyed(void)
{
    start_at(0);
    ewi_net_wheel_arm(&wheel, 3, UINT64_C(1) << 50);
    ewi_net_wheel_arm(&wheel, 3, 70 * tick_ns);
    ewi_net_wheel_arm(&wheel, 3, 5 * tick_ns);
    CHECK(ewi_net_wheel_next(&wheel) == 5 * tick_ns);
    CHECK_EQ(advance(5 * tick_ns), 1);
    CHECK_EQ(wheel.linked, 0);
}

/* catches: away, then back nearer than the bucket it still lies in, or inside that bucket */
static void away_and_back_again_is_obeyed(void)
{
    static const uint64_t back[] = {63, 64, 65, 100, 127, 128, 4095, 4096};

    for (size_t i = 0; i < sizeof(back) / sizeof(back[0]); i++) {
        uint64_t at = back[i] * tick_ns;

        start_at(0);
        ewi_net_wheel_arm(&wheel, 3, 100 * tick_ns); /* in the bucket 64..127 */
        ewi_net_wheel_arm(&wheel, 3, UINT64_C(1) << 45);
        ewi_net_wheel_arm(&wheel, 3, at);
        CHECK_EQ(advance(at - 1), 0);
        CHECK_EQ(advance(at), 1);
    }
}

static void a_stopped_timer_is_not_reported_and_can_start_again(void)
{
    start_at(0);
    ewi_net_wheel_arm(&wheel, 3, 100 * tick_ns);
    ewi_net_wheel_arm(&wheel, 3, NET_NEVER);
    CHECK(ewi_net_wheel_deadline(&wheel, 3) == NET_NEVER);
    ewi_net_wheel_arm(&wheel, 3, 120 * tick_ns);
    CHECK_EQ(advance(119 * tick_ns), 0);
    CHECK_EQ(advance(120 * tick_ns), 1);
    ewi_net_wheel_arm(&wheel, 3, 200 * tick_ns);
    ewi_net_wheel_arm(&wheel, 3, NET_NEVER);
    CHECK_EQ(advance(10000 * tick_ns), 0);
    CHECK_EQ(wheel.linked, 0); /* it was met, and left */
    CHECK(ewi_net_wheel_next(&wheel) == NET_NEVER);
}

/* catches: a neighbour lost when the first, a middle or the last of a bucket leaves */
static void removing_leaves_the_others(void)
{
    for (uint32_t gone = 0; gone < 3; gone++) {
        start_at(0);
        for (uint32_t i = 0; i < 3; i++)
            ewi_net_wheel_arm(&wheel, i, 100 * tick_ns);
        ewi_net_wheel_remove(&wheel, gone);
        ewi_net_wheel_remove(&wheel, gone); /* twice is once */
        memset(&object[gone].timer, 0x5a, sizeof(object[gone].timer)); /* another use */
        CHECK_EQ(advance(100 * tick_ns), 2);
        CHECK_EQ(due[0], gone == 0 ? 1 : 0);
        CHECK_EQ(due[1], gone == 2 ? 1 : 2);
    }
}

static void removing_the_last_one_leaves_nothing_to_wait_for(void)
{
    start_at(0);
    ewi_net_wheel_arm(&wheel, 3, UINT64_C(1) << 40);
    ewi_net_wheel_remove(&wheel, 3);
    CHECK(ewi_net_wheel_next(&wheel) == NET_NEVER);
    CHECK_EQ(wheel.levels, 0);
}

static void timers_of_one_tick_are_reported_as_they_were_armed(void)
{
    start_at(0);
    for (uint32_t i = 0; i < 10; i++)
        ewi_net_wheel_arm(&wheel, 10 - i, 5000 * tick_ns);
    CHECK_EQ(advance(5000 * tick_ns), 10);
    for (uint32_t i = 0; i < 10; i++)
        CHECK_EQ(due[i], 10 - i);
}

static void a_small_room_is_filled_again_and_again(void)
{
    uint32_t one;

    start_at(0);
    for (uint32_t i = 0; i < 20; i++)
        ewi_net_wheel_arm(&wheel, i, (4096 + i / 4) * tick_ns);
    CHECK_EQ(ewi_net_wheel_advance(&wheel, UINT64_MAX, &one, 0), 0);
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(ewi_net_wheel_next(&wheel) <= 5000 * tick_ns);
        CHECK_EQ(ewi_net_wheel_advance(&wheel, 5000 * tick_ns, &one, 1), 1);
        CHECK_EQ(one, i);
    }
    CHECK(ewi_net_wheel_next(&wheel) == NET_NEVER);
    CHECK_EQ(ewi_net_wheel_advance(&wheel, 5000 * tick_ns, &one, 1), 0);
}

/* catches: a bucket above level 0, cut short in the middle, that is passed over or met twice */
static void what_happens_in_the_middle_of_a_bucket_is_obeyed(void)
{
    uint32_t one;

    start_at(0);
    for (uint32_t i = 0; i < 6; i++) /* one bucket of level 2, due at its first tick and later */
        ewi_net_wheel_arm(&wheel, i, (4096 + 100 * i) * tick_ns);
    CHECK_EQ(ewi_net_wheel_advance(&wheel, 4096 * tick_ns, &one, 1), 1);
    CHECK_EQ(one, 0);
    CHECK(wheel.moving != NET_NONE);
    ewi_net_wheel_remove(&wheel, 2);              /* not moved yet */
    ewi_net_wheel_arm(&wheel, 3, 4097 * tick_ns); /* nearer, in the same bucket */
    ewi_net_wheel_arm(&wheel, 4, 0);              /* passed */
    ewi_net_wheel_arm(&wheel, 0, 4098 * tick_ns);
    CHECK(ewi_net_wheel_next(&wheel) <= 4096 * tick_ns);
    CHECK_EQ(advance(4096 * tick_ns), 1);
    CHECK_EQ(due[0], 4);
    CHECK(wheel.moving == NET_NONE);
    CHECK_EQ(advance(4600 * tick_ns), 4);
    CHECK_EQ(due[0], 3);
    CHECK_EQ(due[1], 0);
    CHECK_EQ(due[2], 1);
    CHECK_EQ(due[3], 5);
}

static void removing_all_that_is_left_of_a_bucket_ends_its_move(void)
{
    uint32_t one;

    start_at(0);
    ewi_net_wheel_arm(&wheel, 0, 4096 * tick_ns);
    ewi_net_wheel_arm(&wheel, 1, 4200 * tick_ns);
    ewi_net_wheel_arm(&wheel, 2, 9000 * tick_ns);
    CHECK_EQ(ewi_net_wheel_advance(&wheel, 4096 * tick_ns, &one, 1), 1);
    ewi_net_wheel_remove(&wheel, 1);
    CHECK(wheel.moving == NET_NONE);
    CHECK(ewi_net_wheel_next(&wheel) > 4096 * tick_ns);
    CHECK_EQ(advance(8999 * tick_ns), 0);
    CHECK_EQ(advance(9000 * tick_ns), 1);
}

/* I4 */
static void one_call_looks_at_a_bounded_number(void)
{
    static struct net_timer timer[3 * NET_WHEEL_VISITS];
    struct net_rows rows = {(uint8_t *)timer, sizeof(timer[0])};
    uint32_t calls = 0;

    ewi_net_wheel_init(&wheel, rows, 0);
    for (uint32_t i = 0; i < 3 * NET_WHEEL_VISITS; i++) {
        ewi_net_timer_init(&timer[i]);
        ewi_net_wheel_arm(&wheel, i, 70 * tick_ns);
        ewi_net_wheel_arm(&wheel, i, UINT64_C(1) << 40); /* all lie in one bucket, none is due */
    }
    while (ewi_net_wheel_next(&wheel) <= 70 * tick_ns) {
        CHECK_EQ(advance(70 * tick_ns), 0);
        calls += 1;
        CHECK(calls < 10);
    }
    CHECK_EQ(calls, 3);
    CHECK_EQ(wheel.linked, 3 * NET_WHEEL_VISITS);
}

static void time_that_goes_backwards_stands_still(void)
{
    start_at(1000 * tick_ns);
    ewi_net_wheel_arm(&wheel, 0, 1500 * tick_ns);
    CHECK_EQ(advance(1200 * tick_ns), 0);
    CHECK_EQ(advance(5), 0);
    CHECK_EQ(advance(0), 0);
    ewi_net_wheel_arm(&wheel, 1, 1100 * tick_ns); /* passed, whatever the clock says now */
    CHECK_EQ(advance(3), 1);
    CHECK_EQ(due[0], 1);
    CHECK_EQ(advance(1499 * tick_ns), 0);
    CHECK_EQ(advance(1500 * tick_ns), 1);
}

struct wheel_model { /* due tick of each timer; 0: stopped */
    uint64_t tick[TIMERS];
    uint64_t now_tick;
};

/* Any scale, so that every level is used; sometimes in the past. */
static uint64_t some_time(struct harness_random *random, uint64_t now)
{
    uint64_t delta = harness_next(random) >> harness_between(random, 14, 63);

    if (harness_below(random, 16) == 0)
        return delta < now ? now - delta : 0;
    return delta < UINT64_MAX - now ? now + delta : UINT64_MAX - 5000;
}

static void model_change(struct wheel_model *model, struct harness_random *random, uint64_t now)
{
    uint32_t index = (uint32_t)harness_below(random, TIMERS);
    uint64_t deadline = some_time(random, now), tick;

    switch (harness_below(random, 8)) {
    case 0:
        ewi_net_wheel_remove(&wheel, index);
        model->tick[index] = 0;
        return;
    case 1:
        ewi_net_wheel_arm(&wheel, index, NET_NEVER);
        model->tick[index] = 0;
        return;
    default:
        ewi_net_wheel_arm(&wheel, index, deadline);
        tick = deadline / tick_ns + (deadline % tick_ns != 0);
        model->tick[index] = tick > model->now_tick ? tick : model->now_tick;
    }
}

static void model_advance(struct wheel_model *model, uint64_t now, uint32_t room)
{
    uint64_t last = 0, earliest = UINT64_MAX;
    uint32_t found;

    model->now_tick = now / tick_ns;
    do {
        found = ewi_net_wheel_advance(&wheel, now, due, room);
        for (uint32_t i = 0; i < found; i++) {
            uint64_t tick = model->tick[due[i]];

            CHECK(tick != 0 && tick <= model->now_tick); /* armed, and not early */
            CHECK(tick >= last);                         /* in order */
            last = tick;
            model->tick[due[i]] = 0;
        }
    } while (ewi_net_wheel_next(&wheel) <= now);
    for (uint32_t i = 0; i < TIMERS; i++) {
        if (model->tick[i] == 0)
            continue;
        CHECK(model->tick[i] > model->now_tick); /* none was missed */
        earliest = model->tick[i] < earliest ? model->tick[i] : earliest;
    }
    if (earliest != UINT64_MAX)
        CHECK(ewi_net_wheel_next(&wheel) <= earliest * tick_ns);
    for (uint32_t i = 0; i < TIMERS; i++)
        CHECK(ewi_net_wheel_deadline(&wheel, i) ==
              (model->tick[i] == 0 ? NET_NEVER : model->tick[i] * tick_ns));
}

static void random_timers_agree_with_a_list(uint64_t seed)
{
    struct harness_random random = {seed};
    struct wheel_model model = {0};
    uint64_t now = harness_next(&random) >> harness_between(&random, 1, 40) | tick_ns;

    start_at(now);
    model.now_tick = now / tick_ns;
    for (int step = 0; step < 20000; step++) {
        if (harness_below(&random, 8) != 0) {
            model_change(&model, &random, now);
            continue;
        }
        switch (harness_below(&random, 4)) {
        case 0: /* sleep to the deadline */
            if (ewi_net_wheel_next(&wheel) != NET_NEVER)
                now = ewi_net_wheel_next(&wheel) > now ? ewi_net_wheel_next(&wheel) : now;
            break;
        case 1:
            now += harness_below(&random, 3 * tick_ns);
            break;
        default:
            now += harness_next(&random) >> harness_between(&random, 24, 63);
        }
        if (now > UINT64_MAX / 2)
            break; /* the end of time has a test of its own */
        model_advance(&model, now, (uint32_t)harness_between(&random, 1, DUE));
    }
}

/* One second of a million connections with deadlines all over it: each once, none early. */
static void a_million_timers(void)
{
    struct net_timer *timer = malloc(MILLION * sizeof(*timer));
    struct net_rows rows = {(uint8_t *)timer, sizeof(*timer)};
    struct harness_random random = {1};
    uint64_t now = 0, reported = 0, last = 0;

    CHECK(timer != NULL);
    ewi_net_wheel_init(&wheel, rows, now);
    for (uint32_t i = 0; i < MILLION; i++) {
        ewi_net_timer_init(&timer[i]);
        ewi_net_wheel_arm(&wheel, i, harness_below(&random, 1000000000));
    }
    while ((now = ewi_net_wheel_next(&wheel)) != NET_NEVER) {
        uint32_t found = advance(now);

        CHECK(now >= last);
        last = now;
        reported += found;
    }
    CHECK_EQ(reported, MILLION);
    CHECK_EQ(wheel.linked, 0);
    free(timer);
}

int main(int argc, char **argv)
{
    RUN(an_empty_wheel_never_has_to_be_looked_at);
    RUN(a_timer_is_late_by_less_than_a_tick_and_never_early);
    RUN(a_deadline_on_a_tick_is_that_tick);
    RUN(a_deadline_that_has_passed_is_due_at_once);
    RUN(never_is_no_deadline);
    RUN(the_end_of_time_is_reached_without_wrapping);
    RUN(every_level_hands_down_to_the_next);
    RUN(one_jump_over_all_levels_reports_in_order);
    RUN(a_day_of_two_hour_keepalives_takes_few_looks);
    RUN(moving_a_deadline_away_moves_no_entry);
    RUN(moving_a_deadline_nearer_is_obeyed);
    RUN(away_and_back_again_is_obeyed);
    RUN(a_stopped_timer_is_not_reported_and_can_start_again);
    RUN(removing_leaves_the_others);
    RUN(removing_the_last_one_leaves_nothing_to_wait_for);
    RUN(timers_of_one_tick_are_reported_as_they_were_armed);
    RUN(a_small_room_is_filled_again_and_again);
    RUN(what_happens_in_the_middle_of_a_bucket_is_obeyed);
    RUN(removing_all_that_is_left_of_a_bucket_ends_its_move);
    RUN(one_call_looks_at_a_bounded_number);
    RUN(time_that_goes_backwards_stands_still);
    RUN(a_million_timers);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_timers_agree_with_a_list(seed);
    return 0;
}
