/* RFC 6582 and RFC 3042: what duplicate ACKs mean without SACK. */
#include "tests/c/harness.h"
#include "transport/net/dupack.h"
#include "transport/net/seq.h"

#define ISS (NET_SEQ_FIRST - 3)

static struct net_dupack begin(void)
{
    struct net_dupack d;

    ewi_net_dupack_init(&d, ISS);
    return d;
}

/* Segments of 1000 bytes; una and position count from the first data byte. */
static enum net_dupack_verdict ack(struct net_dupack *d, uint64_t una, uint64_t nxt,
                                   uint64_t position)
{
    return ewi_net_dupack_ack(d, ISS + 1 + una, ISS + 1 + nxt, ISS + 1 + position,
                              una == position);
}

static void enter(struct net_dupack *d, uint64_t una, uint64_t nxt)
{
    CHECK_EQ(ack(d, una, nxt, una), NET_DUPACK_LIMITED);
    CHECK_EQ(ack(d, una, nxt, una), NET_DUPACK_LIMITED);
    CHECK_EQ(ack(d, una, nxt, una), NET_DUPACK_ENTER);
}

static void rfc3042_the_first_two_duplicates_send_one_segment_each(void)
{
    struct net_dupack d = begin();

    CHECK_EQ(ack(&d, 0, 5000, 0), NET_DUPACK_LIMITED);
    CHECK_EQ(ack(&d, 0, 6000, 0), NET_DUPACK_LIMITED);
    CHECK_EQ(ack(&d, 0, 7000, 0), NET_DUPACK_ENTER);
}

static void the_first_segment_of_a_connection_may_be_repaired(void)
{
    struct net_dupack d = begin();

    enter(&d, 0, 5000);
}

static void an_ack_that_is_no_duplicate_counts_for_nothing(void)
{
    struct net_dupack d = begin();

    for (int i = 0; i < 9; i++) /* a window update, or text */
        CHECK_EQ(ewi_net_dupack_ack(&d, ISS + 1, ISS + 5001, ISS + 1, false), NET_DUPACK_NOTHING);
    CHECK_EQ(d.duplicates, 0);
}

static void rfc5681_an_advance_starts_the_count_again(void)
{
    struct net_dupack d = begin();

    CHECK_EQ(ack(&d, 0, 5000, 0), NET_DUPACK_LIMITED);
    CHECK_EQ(ack(&d, 0, 5000, 0), NET_DUPACK_LIMITED);
    CHECK_EQ(ack(&d, 0, 5000, 1000), NET_DUPACK_NOTHING);
    enter(&d, 1000, 5000);
}

static void rfc6582_3_2_step_3_partial_then_full(void)
{
    struct net_dupack d = begin();

    enter(&d, 0, 8000);
    CHECK_EQ(ack(&d, 0, 9000, 0), NET_DUPACK_INFLATE);
    CHECK_EQ(ack(&d, 0, 9000, 3000), NET_DUPACK_PARTIAL_FIRST);
    CHECK_EQ(ack(&d, 3000, 9000, 3000), NET_DUPACK_INFLATE);
    CHECK_EQ(ack(&d, 3000, 9000, 5000), NET_DUPACK_PARTIAL);
    CHECK_EQ(ack(&d, 5000, 9000, 7999), NET_DUPACK_PARTIAL);
    CHECK_EQ(ack(&d, 7999, 9000, 8000), NET_DUPACK_FULL);
    CHECK(!d.in_recovery);
    CHECK_EQ(ack(&d, 8000, 9000, 9000), NET_DUPACK_NOTHING);
}

static void each_recovery_has_its_own_first_partial_ack(void)
{
    struct net_dupack d = begin();

    enter(&d, 0, 4000);
    CHECK_EQ(ack(&d, 0, 4000, 1000), NET_DUPACK_PARTIAL_FIRST);
    CHECK_EQ(ack(&d, 1000, 9000, 5000), NET_DUPACK_FULL);
    enter(&d, 5000, 9000);
    CHECK_EQ(ack(&d, 5000, 9000, 6000), NET_DUPACK_PARTIAL_FIRST);
}

/* RFC 6582 section 3.2 step 2: never twice in a window. */
static void rfc6582_3_2_step_2_duplicates_below_recover_do_not_enter(void)
{
    struct net_dupack d = begin();

    ewi_net_dupack_timeout(&d, ISS + 1 + 8000);
    for (int i = 0; i < 10; i++)
        CHECK(ack(&d, 2000, 8000, 2000) != NET_DUPACK_ENTER);
    CHECK_EQ(ack(&d, 2000, 8000, 8000), NET_DUPACK_NOTHING);
    for (int i = 0; i < 10; i++) /* at recover: still not beyond */
        CHECK(ack(&d, 8000, 12000, 8000) != NET_DUPACK_ENTER);
    CHECK_EQ(ack(&d, 8000, 12000, 9000), NET_DUPACK_NOTHING);
    enter(&d, 9000, 12000);
}

static void rfc6582_3_2_step_4_a_timeout_ends_recovery(void)
{
    struct net_dupack d = begin();

    enter(&d, 0, 8000);
    ewi_net_dupack_timeout(&d, ISS + 1 + 9000);
    CHECK(!d.in_recovery);
    CHECK_EQ(ack(&d, 0, 9000, 5000), NET_DUPACK_NOTHING);
}

static void a_flood_of_duplicates_enters_once(void)
{
    struct net_dupack d = begin();
    uint32_t entered = 0, limited = 0;

    for (int i = 0; i < 100000; i++) {
        enum net_dupack_verdict verdict = ack(&d, 0, 8000, 0);

        entered += verdict == NET_DUPACK_ENTER;
        limited += verdict == NET_DUPACK_LIMITED;
    }
    CHECK_EQ(entered, 1);
    CHECK_EQ(limited, 2);
}

int main(void)
{
    RUN(rfc3042_the_first_two_duplicates_send_one_segment_each);
    RUN(the_first_segment_of_a_connection_may_be_repaired);
    RUN(an_ack_that_is_no_duplicate_counts_for_nothing);
    RUN(rfc5681_an_advance_starts_the_count_again);
    RUN(rfc6582_3_2_step_3_partial_then_full);
    RUN(each_recovery_has_its_own_first_partial_ack);
    RUN(rfc6582_3_2_step_2_duplicates_below_recover_do_not_enter);
    RUN(rfc6582_3_2_step_4_a_timeout_ends_recovery);
    RUN(a_flood_of_duplicates_enters_once);
    return 0;
}
