/* tests/sim/test_cut_anywhere.c - a link is cut behind each byte of it, in either direction.
 *
 * A short conversation that is always the same: all kinds of records, hello, welcome, START and ACKs.
 * What test_session.c hits by chance is enumerated here: every byte of every record of the first link. */
#include "tests/sim/steps.h"

enum {
    RECORDS = 12, /* the eighth is an ABORT, the last two are EOF and CLOSE */
    SEED = 3,
    NOTICED_LATE = 300, /* steps */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    STRIDE = 61,
#else
    STRIDE = 1,
#endif
};

static void talk(int from, uint64_t after, uint64_t opener_blind, uint64_t acceptor_blind)
{
    start_run(SEED);
    sim.records = RECORDS;
    start_end(OPENER);
    start_end(ACCEPTOR);
    sim.plan_from = from;
    sim.plan_after = after;
    sim.plan_blind[OPENER] = opener_blind;
    sim.plan_blind[ACCEPTOR] = acceptor_blind;
    run_to_the_end();
}

/* catches: what test_session.c catches, where only one byte is the wrong one: half a header believed, a
 * record that was all but there counted as taken, a START or an ACK that is acted on in part */
static void a_cut_behind_any_byte_loses_nothing(void)
{
    static const uint64_t late[][2] = {{0, 0}, {NOTICED_LATE, 0}, {0, NOTICED_LATE}};
    uint64_t bytes[2], links_before;

    talk(NONE, 0, 0, 0);
    for (int from = 0; from < 2; from++)
        bytes[from] = sim.link[0].pipe[from].put;
    for (int from = 0; from < 2; from++)
        for (uint64_t after = 0; after <= bytes[from]; after += STRIDE)
            for (int who = 0; who < 3; who++) {
                links_before = sim.links_up;
                talk(from, after, late[who][0], late[who][1]);
                CHECK_EQ(sim.plan_from, NONE); /* it was cut */
                CHECK(sim.links_up > links_before);
            }
    printf("(%llu and %llu bytes) ", (unsigned long long)bytes[0], (unsigned long long)bytes[1]);
}

int main(void)
{
    RUN(a_cut_behind_any_byte_loses_nothing);
    return 0;
}
