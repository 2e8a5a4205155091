/* Proportional rate reduction: by hand, against the pseudo-code of RFC 9937 6.2 in wide signed numbers,
 * and a recovery from beginning to end. */
#include "tests/c/harness.h"
#include "transport/net/prr.h"

enum { MSS = 1000 };

static struct net_prr entered(uint32_t flight, uint32_t ssthresh)
{
    struct net_prr_entry entry = {.flight = flight, .ssthresh = ssthresh, .smss = MSS};
    struct net_prr prr;

    ewi_net_prr_enter(&prr, &entry);
    return prr;
}

/* ------------------------------------------------------------------ by hand */

static void rfc9937_6_2_recover_fs_leaves_out_what_was_sacked_before(void)
{
    struct net_prr_entry entry = {20000, 5000, 1000, 500, 10000, MSS};
    struct net_prr prr;

    ewi_net_prr_enter(&prr, &entry);
    CHECK_EQ(prr.recover_fs, 20000 - 5000 + 1000 + 500);
    CHECK_EQ(prr.window, 0);
}

static void nonsense_at_entry_is_bounded(void)
{
    struct net_prr_entry more_sacked = {1000, 5000, 0, 0, 10000, MSS};
    struct net_prr_entry huge = {UINT32_MAX, 0, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    struct net_prr prr;

    ewi_net_prr_enter(&prr, &more_sacked);
    CHECK_EQ(prr.recover_fs, 1);
    CHECK(ewi_net_prr_on_ack(&prr, 1000, 0, false) <= 10000);
    ewi_net_prr_enter(&prr, &huge);
    CHECK_EQ(prr.recover_fs, UINT32_MAX);
    ewi_net_prr_on_ack(&prr, UINT32_MAX, UINT32_MAX, true);
    ewi_net_prr_on_ack(&prr, UINT32_MAX, UINT32_MAX, true);
}

/* 20 in flight, to 14: for each segment delivered 0.7 may leave. */
static void rfc9937_6_2_above_ssthresh_sending_is_proportional(void)
{
    struct net_prr prr = entered(20 * MSS, 14 * MSS);

    CHECK_EQ(ewi_net_prr_on_ack(&prr, MSS, 19 * MSS, false), 19 * MSS + 700);
    ewi_net_prr_on_sent(&prr, MSS); /* a whole segment, all the same */
    CHECK_EQ(ewi_net_prr_on_ack(&prr, MSS, 19 * MSS, false), 19 * MSS + 400);
    CHECK_EQ(ewi_net_prr_on_ack(&prr, MSS, 18 * MSS, false), 18 * MSS + 1100);
}

static void rfc9937_6_2_the_share_is_rounded_up(void)
{
    struct net_prr prr = entered(3 * MSS, 2 * MSS);

    CHECK_EQ(ewi_net_prr_on_ack(&prr, 1, 2 * MSS + 1, false), 2 * MSS + 2);
    CHECK_EQ(ewi_net_prr_on_ack(&prr, 1, 2 * MSS + 1, false), 2 * MSS + 3); /* 4/3 */
    CHECK_EQ(ewi_net_prr_on_ack(&prr, 1, 2 * MSS + 1, false), 2 * MSS + 3); /* 6/3 */
}

static void rfc9937_6_2_below_ssthresh_what_was_delivered_may_leave(void)
{
    struct net_prr prr = entered(20 * MSS, 14 * MSS);

    CHECK_EQ(ewi_net_prr_on_ack(&prr, MSS, 5 * MSS, false), 6 * MSS); /* CRB: half were lost */
    ewi_net_prr_on_sent(&prr, MSS);
    CHECK_EQ(ewi_net_prr_on_ack(&prr, 2 * MSS, 4 * MSS, false), 6 * MSS);
}

static void rfc9937_6_2_when_recovery_goes_well_a_segment_more_may_leave(void)
{
    struct net_prr prr = entered(20 * MSS, 14 * MSS);

    CHECK_EQ(ewi_net_prr_on_ack(&prr, MSS, 5 * MSS, true), 7 * MSS);
}

static void rfc9937_6_2_what_was_not_used_may_be_used_later(void)
{
    struct net_prr prr = entered(20 * MSS, 14 * MSS);

    ewi_net_prr_on_ack(&prr, 3 * MSS, 5 * MSS, false);
    CHECK_EQ(ewi_net_prr_on_ack(&prr, MSS, 5 * MSS, false), 9 * MSS);
}

static void rfc9937_6_2_never_above_ssthresh(void)
{
    struct net_prr prr = entered(20 * MSS, 14 * MSS);

    CHECK_EQ(ewi_net_prr_on_ack(&prr, 10 * MSS, 13500, true), 14 * MSS);
    ewi_net_prr_on_sent(&prr, 500);
    CHECK_EQ(ewi_net_prr_on_ack(&prr, 10 * MSS, 14 * MSS, true), 14 * MSS);
}

/* 1 of 20 delivered, ssthresh tiny: nothing would leave, but recovery begins with a retransmission. */
static void rfc9937_6_2_the_first_retransmission_always_leaves(void)
{
    struct net_prr prr = entered(20 * MSS, 14 * MSS);

    CHECK_EQ(ewi_net_prr_on_ack(&prr, 1, 14 * MSS, false), 15 * MSS);
    ewi_net_prr_on_sent(&prr, MSS);
    CHECK_EQ(ewi_net_prr_on_ack(&prr, 1, 14 * MSS, false), 14 * MSS);
}

static void rfc9937_6_2_an_ack_that_delivers_nothing_changes_nothing(void)
{
    struct net_prr prr = entered(20 * MSS, 14 * MSS);
    struct net_prr before;

    CHECK_EQ(ewi_net_prr_on_ack(&prr, 0, 3 * MSS, true), 0);
    ewi_net_prr_on_ack(&prr, MSS, 19 * MSS, false);
    before = prr;
    CHECK_EQ(ewi_net_prr_on_ack(&prr, 0, 3 * MSS, true), before.window);
    CHECK(memcmp(&prr, &before, sizeof(prr)) == 0);
}

/* ns-3 issue 1282: 32 bits are not enough for the product, and the difference went below zero. */
static void large_windows_do_not_overflow(void)
{
    struct net_prr prr = entered(1u << 30, 700000000);

    CHECK_EQ(ewi_net_prr_on_ack(&prr, 1u << 29, 1u << 30, false), (1u << 30) + 350000000);
}

static void more_sent_than_delivered_is_not_a_debt_below_zero(void)
{
    struct net_prr prr = entered(20 * MSS, 14 * MSS);

    ewi_net_prr_on_sent(&prr, 30 * MSS);
    CHECK_EQ(ewi_net_prr_on_ack(&prr, MSS, 18 * MSS, false), 18 * MSS);
    CHECK_EQ(ewi_net_prr_on_ack(&prr, MSS, 10 * MSS, false), 11 * MSS);
}

/* ------------------------------------------------------------------ against the RFC's own words */

struct model {
    __int128 delivered, out, recover_fs;
};

static __int128 model_ack(struct model *model, const struct net_prr *prr, uint32_t delivered,
                          uint32_t in_flight, bool good)
{
    __int128 sndcnt;

    model->delivered += delivered;
    if (in_flight > prr->ssthresh) {
        sndcnt = (model->delivered * prr->ssthresh + model->recover_fs - 1) / model->recover_fs -
                 model->out;
    } else {
        sndcnt = model->delivered - model->out;
        sndcnt = sndcnt < delivered ? delivered : sndcnt;
        sndcnt += good ? prr->smss : 0;
        sndcnt = sndcnt > prr->ssthresh - in_flight ? prr->ssthresh - in_flight : sndcnt;
    }
    sndcnt = sndcnt < 0 ? 0 : sndcnt;
    if (model->out == 0 && sndcnt == 0)
        sndcnt = prr->smss;
    return in_flight + sndcnt;
}

static void it_agrees_with_the_pseudo_code(uint64_t seed)
{
    struct harness_random random = {seed};

    for (int run = 0; run < 500; run++) {
        unsigned shift = (unsigned)harness_between(&random, 34, 50);
        uint32_t flight = (uint32_t)(harness_next(&random) >> shift);
        struct net_prr prr = entered(flight, (uint32_t)(harness_next(&random) >> shift));
        struct model model = {.recover_fs = flight == 0 ? 1 : flight};

        for (int i = 0; i < 200; i++) {
            uint32_t delivered = (uint32_t)(harness_next(&random) >> shift) + 1;
            uint32_t in_flight = (uint32_t)(harness_next(&random) >> shift);
            bool good = harness_below(&random, 2) == 0;
            __int128 want = model_ack(&model, &prr, delivered, in_flight, good);
            uint32_t sent = (uint32_t)(harness_next(&random) >> shift);

            want = want > UINT32_MAX ? UINT32_MAX : want;
            CHECK_EQ(ewi_net_prr_on_ack(&prr, delivered, in_flight, good), want);
            ewi_net_prr_on_sent(&prr, sent);
            model.out += sent;
        }
    }
}

/* ------------------------------------------------------------------ a whole recovery */

/* `lost` of 100 segments are gone; each ACK tells of one that arrived. What is sent arrives one window
 * later, so that nothing of it is acknowledged here. Returns what is in flight in the end. */
static uint32_t recovery(uint32_t lost, uint32_t ssthresh, bool rescue)
{
    struct net_prr prr = entered(100 * MSS, ssthresh);
    uint32_t in_flight = (100 - lost) * MSS, sent = 0;

    for (uint32_t i = 0; i < 100 - lost; i++) {
        uint32_t window;

        in_flight -= MSS;
        window = ewi_net_prr_on_ack(&prr, MSS, in_flight, rescue && i % 2 == 1);
        while (in_flight + MSS <= window || (i == 0 && sent == 0)) {
            in_flight += MSS;
            sent += MSS;
            ewi_net_prr_on_sent(&prr, MSS);
        }
        CHECK(in_flight <= ewi_max_u64(ssthresh, (100 - lost) * MSS));
        if (!rescue)
            CHECK(sent <= (i + 1) * MSS); /* packet conservation */
    }
    return in_flight;
}

static void rfc9937_recovery_ends_at_ssthresh(void)
{
    CHECK_EQ(recovery(1, 50 * MSS, false), 50 * MSS);
    CHECK_EQ(recovery(1, 70 * MSS, false), 70 * MSS);
    CHECK_EQ(recovery(10, 70 * MSS, true), 70 * MSS);
}

static void rfc9937_heavy_loss_is_not_answered_with_a_burst(void)
{
    CHECK_EQ(recovery(80, 50 * MSS, false), 20 * MSS); /* what arrived, no more */
    CHECK_EQ(recovery(80, 50 * MSS, true), 30 * MSS);  /* grows by one for each good ACK */
}

int main(int argc, char **argv)
{
    RUN(rfc9937_6_2_recover_fs_leaves_out_what_was_sacked_before);
    RUN(nonsense_at_entry_is_bounded);
    RUN(rfc9937_6_2_above_ssthresh_sending_is_proportional);
    RUN(rfc9937_6_2_the_share_is_rounded_up);
    RUN(rfc9937_6_2_below_ssthresh_what_was_delivered_may_leave);
    RUN(rfc9937_6_2_when_recovery_goes_well_a_segment_more_may_leave);
    RUN(rfc9937_6_2_what_was_not_used_may_be_used_later);
    RUN(rfc9937_6_2_never_above_ssthresh);
    RUN(rfc9937_6_2_the_first_retransmission_always_leaves);
    RUN(rfc9937_6_2_an_ack_that_delivers_nothing_changes_nothing);
    RUN(large_windows_do_not_overflow);
    RUN(more_sent_than_delivered_is_not_a_debt_below_zero);
    RUN(rfc9937_recovery_ends_at_ssthresh);
    RUN(rfc9937_heavy_loss_is_not_answered_with_a_burst);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        it_agrees_with_the_pseudo_code(seed);
    }
    return 0;
}
