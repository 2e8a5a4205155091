/* tests/sim/test_session.c - do two session ends lose, repeat or reorder a record, whatever happens
 * to their links?
 *
 * One seed is one run: two ends with an outbox ring and an inbox each, an application on both sides
 * that sends numbered records and receives at its own speed, and links that are two byte pipes.
 * Links deliver late and in pieces, are cut anywhere (inside a record too) and unnoticed for a
 * while, and are replaced while bytes, ACKs, hellos and welcomes of the old ones are still under
 * way. Nothing but transport/session/session.c decides what counts. After a while nothing is cut any
 * more: then everything has to arrive, and both ends have to know it.
 *
 * --seed N: that run only. --runs N: so many, from a fresh seed on. */
#include "tests/sim/steps.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RUNS = 100 };
#else
enum { RUNS = 3000 };
#endif

static void run_seed(uint64_t seed)
{
    uint64_t restless;

    start_run(seed);
    sim.records = harness_between(&sim.random, 30, RECORDS_MAX);
    sim.cut_every = (uint32_t)harness_between(&sim.random, 5, 300);
    sim.dial_every = (uint32_t)harness_between(&sim.random, 50, 3000);
    restless = harness_between(&sim.random, 300, 5000);
    start_end(OPENER);
    start_end(ACCEPTOR);
    while (sim.steps < restless && !is_done())
        step();
    run_to_the_end();
}

/* catches, each alone in session.c: START = sent (the naive way, with or without a receiver that
 * believes it); START that sets taken; START, record or ACK of an old link believed; repetitions
 * taken; accept or welcomed with any generation, or without detaching; dial that does not raise it, or
 * that detaches; a greeting that sets `said`;
 * detach of any link, or of none; `sent` without max; `started` not reset; limit from taken; limit of
 * a new link ignored; limit_said not kept; consumed not compared in ack_differs; `said` kept by attach
 * (the ACK of `consumed` was lost with its link: flush hangs); an ACK of which a part is not stored;
 * may_store for repetitions. The others are caught by tests/c/test_session.c. */
int main(int argc, char **argv)
{
    uint64_t fresh = harness_fresh_seed(), runs = harness_asked_number(argc, argv, "--runs"), seed;

    printf("records arrive once and in order, whatever happens to links");
    if (harness_asked_seed(argc, argv, &seed)) {
        run_seed(seed);
    } else {
        for (seed = 1; runs == 0 && seed <= RUNS; seed++)
            run_seed(seed);
        for (seed = fresh; seed < fresh + (runs != 0 ? runs : RUNS / 10); seed++)
            run_seed(seed);
    }
    printf(": ok\n%" PRIu64 " links up, %" PRIu64 " cuts, %" PRIu64 " stale frames, %" PRIu64
           " repeated records; fresh seeds from %" PRIu64 "\n",
           sim.links_up, sim.cuts, sim.stale_frames, sim.repeated, fresh);
    return 0;
}
