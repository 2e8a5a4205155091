/* tests/sim/test_hostile_ack.c - ACKs that lie, in every state that a conversation comes to.
 *
 * While two ends talk and their links are cut, a copy of a session is given ACKs that were changed:
 * each is believed only if it says what an honest peer could say, and changes nothing if not.
 *
 * --seed N: that run only. */
#include "tests/sim/steps.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RUNS = 20 };
#else
enum { RUNS = 200 };
#endif

static struct {
    uint64_t believed, refused, stale;
} seen;

/* A value near one that matters, or far from all. */
static uint64_t lie_about(const struct session *session, uint64_t truth)
{
    const uint64_t near[] = {0, truth, session->sent, session->peer_taken, session->peer_consumed,
                             session->limit, session->taken, UINT64_MAX, UINT64_C(1) << 63};
    static const int64_t off[] = {0, 0, 8, -8, 1, 4, -1, 65536};

    return near[below(sizeof(near) / sizeof(near[0]))] +
           (uint64_t)off[below(sizeof(off) / sizeof(off[0]))];
}

static bool could_be_said(const struct session *session, const struct wire_ack *ack)
{
    bool there = ack->taken % 8 == 0 && ack->taken <= session->sent && ack->consumed <= ack->taken;
    bool onwards = ack->taken >= session->peer_taken && ack->consumed >= session->peer_consumed &&
                   ack->limit >= session->limit;

    return there && onwards && ack->limit >= ack->consumed;
}

/* catches: any comparison of ewi_session_on_ack left out, or the other way round; a part of an ACK
 * that is stored although the rest is refused; an ACK of a link that was replaced */
static void lie_to(int who)
{
    const struct session *before = &sim.end[who].session;
    struct session after = *before;
    bool current = before->attached && !chance(8);
    struct wire_ack ack = {.taken = before->peer_taken,
                           .consumed = before->peer_consumed,
                           .limit = before->limit};
    int code;

    ack.taken = chance(2) ? ack.taken : lie_about(before, ack.taken);
    ack.consumed = chance(2) ? ack.consumed : lie_about(before, ack.consumed);
    ack.limit = chance(2) ? ack.limit : lie_about(before, ack.limit);
    code = ewi_session_on_ack(&after, before->generation - !current, &ack);
    if (before->attached && !current)
        CHECK_EQ(code, EW_EAGAIN);
    else if (before->attached)
        CHECK_EQ(code, could_be_said(before, &ack) ? EW_OK : EW_EPROTO);
    else
        CHECK_EQ(code, EW_EAGAIN);
    seen.believed += code == EW_OK, seen.refused += code == EW_EPROTO, seen.stale += code == EW_EAGAIN;
    if (code == EW_OK) {
        CHECK(after.peer_taken == ack.taken && after.peer_consumed == ack.consumed);
        CHECK_EQ(after.limit, ack.limit);
        after.peer_taken = before->peer_taken;
        after.peer_consumed = before->peer_consumed;
        after.limit = before->limit;
    }
    CHECK(memcmp(&after, before, sizeof(after)) == 0);
}

static void run_seed(uint64_t seed)
{
    uint64_t restless;

    start_run(seed);
    sim.records = harness_between(&sim.random, 30, 100);
    sim.cut_every = (uint32_t)harness_between(&sim.random, 5, 300);
    sim.dial_every = (uint32_t)harness_between(&sim.random, 50, 3000);
    restless = harness_between(&sim.random, 300, 3000);
    start_end(OPENER);
    start_end(ACCEPTOR);
    while (sim.steps < restless && !is_done()) {
        step();
        for (int lies = 0; lies < 4; lies++)
            lie_to((int)below(2));
    }
}

int main(int argc, char **argv)
{
    uint64_t fresh = harness_fresh_seed(), seed;

    printf("an ACK is believed if an honest peer could say it");
    if (harness_asked_seed(argc, argv, &seed)) {
        run_seed(seed);
    } else {
        for (seed = 1; seed <= RUNS; seed++)
            run_seed(seed);
        for (seed = fresh; seed < fresh + RUNS / 10; seed++)
            run_seed(seed);
        CHECK(seen.believed > RUNS && seen.refused > RUNS && seen.stale > RUNS);
    }
    printf(": ok\n%" PRIu64 " believed, %" PRIu64 " refused, %" PRIu64
           " stale; fresh seeds from %" PRIu64 "\n",
           seen.believed, seen.refused, seen.stale, fresh);
    return 0;
}
