/* tests/c/test_net_time_wait_segment.c - transport/net/time_wait.h: what is over answers to what it
 * must, and others can neither keep nor end it. */
#include "tests/c/net_time_wait_base.h"

/* ---- segments ---- */

static enum net_time_wait_verdict give(struct net_tcp segment, uint32_t payload)
{
    enum net_time_wait_verdict verdict = give_at(1, &segment, payload);

    CHECK((verdict == NET_TW_OPEN) == (least != 0xa5a5a5a5));
    return verdict;
}

/* One record that is 10 s old. */
static void begin(void)
{
    start();
    CHECK_EQ(add(1), EW_OK);
    now += 10 * SECOND;
}

static bool was_started_again(void)
{
    return ewi_net_time_wait_next(&waits) > START + TWO_MSL + 5 * SECOND;
}

/* RFC 9293 section 3.10.7.4, eighth step: acknowledge it, and restart the 2 MSL */
static void a_fin_that_comes_again_is_acknowledged_and_starts_the_time_again(void)
{
    begin();
    CHECK_EQ(give(fin_again(), 0), NET_TW_ACK);
    CHECK(was_started_again());
    CHECK(ewi_net_time_wait_next(&waits) >= now + TWO_MSL);
}

static void a_fin_behind_data_that_comes_again_counts_too(void)
{
    struct net_tcp segment = fin_again();

    begin();
    segment.sequence = 8999 - 500;
    CHECK_EQ(give(segment, 500), NET_TW_ACK);
    CHECK(was_started_again());
}

static void a_record_that_started_again_is_the_last_to_go(void)
{
    struct net_tcp segment = fin_again();

    start();
    for (uint32_t n = 1; n <= 3; n++)
        CHECK_EQ(add(n), EW_OK);
    now += 30 * SECOND;
    CHECK_EQ(give_at(2, &segment, 0), NET_TW_ACK);
    now += 31 * SECOND;
    CHECK_EQ(expire_all(), 2);
    CHECK(find(2) != NET_NONE);
    now += 30 * SECOND;
    CHECK_EQ(expire_all(), 1);
}

/* catches: a guess that keeps the record for ever */
static void another_fin_does_not_start_the_time_again(void)
{
    static const uint32_t wrong[] = {9000, 8998, 9001, 0, 8999 + (1u << 31)};

    begin();
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct net_tcp segment = fin_again();

        segment.sequence = wrong[i];
        CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    }
    CHECK_EQ(give(fin_again(), 1), NET_TW_CHALLENGE); /* one byte too far */
    CHECK(!was_started_again());
}

/* RFC 5961 section 5 */
static void a_fin_with_an_impossible_ack_does_not_count(void)
{
    struct net_tcp segment = fin_again();

    begin();
    segment.acknowledgment = 5001; /* never sent */
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    segment.acknowledgment = 5000 - NET_WINDOW_BYTES_MAX - 1;
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    segment = fin_again();
    segment.flags = NET_TCP_FIN;
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    CHECK(!was_started_again());
    segment = fin_again();
    segment.acknowledgment = 4999; /* sent before our FIN reached the peer */
    CHECK_EQ(give(segment, 0), NET_TW_ACK);
}

static void the_last_ack_that_comes_again_is_nothing(void)
{
    begin();
    CHECK_EQ(give(last_ack(), 0), NET_TW_IGNORE);
    CHECK(!was_started_again());
}

/* RFC 5961 section 7. catches: a war of ACKs between two ends that do not know each other */
static void challenges_are_limited_for_each_record(void)
{
    struct net_time_wait other = values_of(2);
    struct net_tcp segment = last_ack();
    uint32_t challenges = 0;

    begin();
    now = ewi_align_up(now, UINT64_C(1) << 30);
    other.challenges = NET_TIME_WAIT_CHALLENGES; /* not the caller's */
    other.challenged = (uint16_t)(now >> 30);
    CHECK_EQ(ewi_net_time_wait_add(&waits, hash_of(2), &other, now), EW_OK);
    segment.sequence = 1;
    for (int i = 0; i < 1000; i++) {
        now += TICK / 1000;
        challenges += give(segment, 0) == NET_TW_CHALLENGE;
    }
    CHECK_EQ(challenges, NET_TIME_WAIT_CHALLENGES);
    CHECK_EQ(waits.limited, 1000 - NET_TIME_WAIT_CHALLENGES);
    CHECK_EQ(give_at(2, &segment, 0), NET_TW_CHALLENGE); /* another one's limit is its own */
    CHECK_EQ(give(fin_again(), 0), NET_TW_ACK);          /* not under the limit */
    now += 2 * SECOND;
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
}

/* RFC 9293 section 3.10.7.4, first step */
static void what_is_not_acceptable_is_challenged(void)
{
    struct net_tcp segment = last_ack();

    begin();
    segment.sequence = 8999; /* a keepalive probe */
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    CHECK_EQ(give(segment, 1), NET_TW_CHALLENGE);
    segment.sequence = 4000; /* old data */
    CHECK_EQ(give(segment, 1000), NET_TW_CHALLENGE);
    segment.sequence = 9000; /* data behind the FIN */
    CHECK_EQ(give(segment, 1), NET_TW_CHALLENGE);
    segment.sequence = 9001;
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    segment = last_ack();
    segment.acknowledgment = 5001; /* RFC 9293 section 3.10.7.4, fifth step */
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    CHECK(!was_started_again());
}

static void a_segment_without_ack_is_dropped(void)
{
    struct net_tcp segment = last_ack();

    begin();
    segment.flags = 0;
    CHECK_EQ(give(segment, 0), NET_TW_IGNORE);
    segment.flags = NET_TCP_PSH | NET_TCP_URG;
    CHECK_EQ(give(segment, 0), NET_TW_IGNORE);
}

/* RFC 1337 section 3, fix F1: an old segment makes us send an ACK, the peer answers it with a RST of
 * exactly the right number, and the record would be gone while old segments are still about. */
static void no_rst_ends_a_record(void)
{
    struct net_tcp segment = last_ack();

    begin();
    for (uint32_t sequence = 8990; sequence < 9010; sequence++)
        for (uint32_t flags = 0; flags < 256; flags++) {
            segment.sequence = sequence;
            segment.flags = (uint8_t)(flags | NET_TCP_RST);
            segment.time = flags * 10;
            CHECK_EQ(give(segment, 0), NET_TW_IGNORE);
        }
    CHECK(find(1) != NET_NONE);
    CHECK(!was_started_again());
}

/* RFC 7323 section 5.3 R1 */
static void an_old_timestamp_is_not_acceptable(void)
{
    struct net_tcp segment = fin_again();

    begin();
    segment.time = 699;
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    segment.time = 700 + (1u << 31);
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    segment = last_ack();
    segment.time = 699;
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    CHECK(!was_started_again());
    CHECK_EQ(ewi_net_time_wait_at(&waits, find(1))->ts_recent, 700);
}

/* RFC 7323 section 3.2 */
static void a_segment_that_lost_its_timestamp_is_dropped(void)
{
    struct net_tcp segment = fin_again();

    begin();
    segment.has = 0;
    CHECK_EQ(give(segment, 0), NET_TW_IGNORE);
    segment.sequence = 1;
    CHECK_EQ(give(segment, 100), NET_TW_IGNORE);
    CHECK(!was_started_again());
}

/* RFC 7323 section 4.3: the echo is that of the FIN which is acknowledged now */
static void a_newer_timestamp_is_echoed(void)
{
    struct net_tcp segment = fin_again();

    begin();
    segment.time = 900;
    CHECK_EQ(give(segment, 0), NET_TW_ACK);
    CHECK_EQ(ewi_net_time_wait_at(&waits, find(1))->ts_recent, 900);
    segment = last_ack();
    segment.time = 950;
    CHECK_EQ(give(segment, 0), NET_TW_IGNORE);
    CHECK_EQ(ewi_net_time_wait_at(&waits, find(1))->ts_recent, 950);
    segment.time = 960;
    segment.sequence = 9001; /* not acceptable */
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    CHECK_EQ(ewi_net_time_wait_at(&waits, find(1))->ts_recent, 950);
}

static void without_timestamps_none_are_looked_at(void)
{
    struct net_time_wait values = values_of(1);
    struct net_tcp segment = fin_again();

    start();
    values.has_times = 0;
    CHECK_EQ(ewi_net_time_wait_add(&waits, hash_of(1), &values, now), EW_OK);
    now += 10 * SECOND;
    segment.has = 0;
    CHECK_EQ(give(segment, 0), NET_TW_ACK);
    segment.has = NET_TCP_HAS_TIMES;
    segment.time = 1;
    CHECK_EQ(give(segment, 0), NET_TW_ACK);
    CHECK_EQ(ewi_net_time_wait_at(&waits, find(1))->ts_recent, 700);
}

/* ---- a SYN: RFC 6191 section 2, its list line by line ---- */

/* Are both true of a SYN, by how its numbers compare with the last ones seen? -1, 0, 1. */
static bool is_honoured(bool had_times, bool has_times, int time, int sequence)
{
    if (had_times && has_times)
        return time > 0 || (time == 0 && sequence > 0);
    if (!had_times && has_times)
        return true;
    return sequence > 0;
}

static void a_syn_arrives(bool had_times, bool has_times, int time, int sequence)
{
    struct net_time_wait values = values_of(1);
    struct net_tcp syn = {.flags = NET_TCP_SYN, .has = NET_TCP_HAS_MSS};
    bool want = is_honoured(had_times, has_times, time, sequence);

    start();
    values.has_times = had_times;
    values.ts_recent = time < 0 ? 5 : UINT32_MAX - 5; /* across the wrap in either direction */
    values.rcv_nxt = sequence < 0 ? 5 : UINT32_MAX - 5;
    CHECK_EQ(ewi_net_time_wait_add(&waits, hash_of(1), &values, now), EW_OK);
    syn.has = (uint8_t)(NET_TCP_HAS_MSS | (has_times ? NET_TCP_HAS_TIMES : 0));
    syn.time = values.ts_recent + (uint32_t)(time * 10);
    syn.sequence = values.rcv_nxt - 1 + (uint32_t)(sequence * 10);
    CHECK_EQ(give(syn, 0), want ? NET_TW_OPEN : NET_TW_IGNORE);
    if (want) /* MAY-2: above the largest number that we used, 4999 */
        CHECK_EQ(least, 5000);
    CHECK(find(1) != NET_NONE);
    CHECK(!was_started_again());
}

static void a_syn_opens_anew_when_the_numbers_say_that_it_is_new(void)
{
    for (int had_times = 0; had_times < 2; had_times++)
        for (int has_times = 0; has_times < 2; has_times++)
            for (int time = -1; time <= 1; time++)
                for (int sequence = -1; sequence <= 1; sequence++)
                    a_syn_arrives(had_times, has_times, time, sequence);
}

static void the_number_behind_the_last_fin_is_new(void)
{
    struct net_tcp syn = {.flags = NET_TCP_SYN, .sequence = 9000};

    begin();
    CHECK_EQ(give(syn, 0), NET_TW_OPEN);
    syn.sequence = 8999; /* the FIN's own */
    CHECK_EQ(give(syn, 0), NET_TW_IGNORE);
}

/* RFC 5961 section 4 */
static void a_syn_with_ack_is_challenged(void)
{
    struct net_tcp segment = last_ack();

    begin();
    segment.flags = NET_TCP_SYN | NET_TCP_ACK;
    segment.time = 10000;
    segment.sequence = 20000;
    CHECK_EQ(give(segment, 0), NET_TW_CHALLENGE);
    CHECK_EQ(ewi_net_time_wait_at(&waits, find(1))->ts_recent, 700);
}

/* ---- a connect ---- */

static bool may_reuse(bool with_times)
{
    least = 0;
    return ewi_net_time_wait_may_reuse(&waits, find(1), with_times, now, &least);
}

static void a_connect_may_take_the_tuple_when_timestamps_protect_it(void)
{
    start();
    CHECK_EQ(add(1), EW_OK);
    CHECK(!may_reuse(true));
    now += SECOND - 1; /* our clock may not have ticked */
    CHECK(!may_reuse(true));
    now += 1 + 2 * TICK;
    CHECK(may_reuse(true));
    CHECK_EQ(least, 5000);
    CHECK(!may_reuse(false));
}

static void a_connect_may_not_take_it_without_timestamps(void)
{
    struct net_time_wait values = values_of(1);

    start();
    values.has_times = 0;
    CHECK_EQ(ewi_net_time_wait_add(&waits, hash_of(1), &values, now), EW_OK);
    now += 50 * SECOND;
    CHECK(!may_reuse(true) && !may_reuse(false));
}

static void a_fin_that_came_again_counts_from_then(void)
{
    begin();
    CHECK_EQ(give(fin_again(), 0), NET_TW_ACK);
    CHECK(!may_reuse(true));
    now += 2 * SECOND;
    CHECK(may_reuse(true));
}

/* Whatever arrives, only a FIN with the right numbers touches the time, and nothing removes a record. */
static void random_segments_do_no_harm(uint64_t seed)
{
    struct harness_random random = {seed};

    begin();
    for (int i = 0; i < 100000; i++) {
        uint32_t recent = ewi_net_time_wait_at(&waits, find(1))->ts_recent;
        struct net_tcp segment = {
            .sequence = 9000 + (uint32_t)harness_below(&random, 16) - 8,
            .acknowledgment = 5000 + (uint32_t)harness_below(&random, 16) - 8,
            .flags = (uint8_t)harness_next(&random),
            .has = (uint8_t)harness_below(&random, 16),
            .time = recent + (uint32_t)harness_below(&random, 4) - 2,
        };
        uint32_t payload = (uint32_t)(harness_below(&random, 4) * harness_below(&random, 8));
        uint64_t before = ewi_net_time_wait_next(&waits);
        enum net_time_wait_verdict verdict;
        uint32_t kind = segment.flags & (NET_TCP_SYN | NET_TCP_RST | NET_TCP_FIN | NET_TCP_ACK);

        now += TICK;
        verdict = give(segment, payload);
        CHECK(verdict == NET_TW_ACK || ewi_net_time_wait_next(&waits) == before);
        if (verdict == NET_TW_ACK) {
            CHECK_EQ(kind, NET_TCP_FIN | NET_TCP_ACK);
            CHECK_EQ(segment.sequence + payload, 8999);
            CHECK(segment.acknowledgment <= 5000);
        }
        if (verdict == NET_TW_OPEN)
            CHECK_EQ(kind & ~(uint32_t)NET_TCP_FIN, NET_TCP_SYN);
    }
    CHECK(find(1) != NET_NONE);
}

int main(int argc, char **argv)
{
    RUN(a_fin_that_comes_again_is_acknowledged_and_starts_the_time_again);
    RUN(a_fin_behind_data_that_comes_again_counts_too);
    RUN(a_record_that_started_again_is_the_last_to_go);
    RUN(another_fin_does_not_start_the_time_again);
    RUN(a_fin_with_an_impossible_ack_does_not_count);
    RUN(the_last_ack_that_comes_again_is_nothing);
    RUN(challenges_are_limited_for_each_record);
    RUN(what_is_not_acceptable_is_challenged);
    RUN(a_segment_without_ack_is_dropped);
    RUN(no_rst_ends_a_record);
    RUN(an_old_timestamp_is_not_acceptable);
    RUN(a_segment_that_lost_its_timestamp_is_dropped);
    RUN(a_newer_timestamp_is_echoed);
    RUN(without_timestamps_none_are_looked_at);
    RUN(a_syn_opens_anew_when_the_numbers_say_that_it_is_new);
    RUN(the_number_behind_the_last_fin_is_new);
    RUN(a_syn_with_ack_is_challenged);
    RUN(a_connect_may_take_the_tuple_when_timestamps_protect_it);
    RUN(a_connect_may_not_take_it_without_timestamps);
    RUN(a_fin_that_came_again_counts_from_then);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_segments_do_no_harm(seed);
    return 0;
}
