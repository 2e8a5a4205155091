/* One device, several ends: which packet goes where, as copies or not, and who is woken for it. */
#include <poll.h>

#include "tests/c/steer_base.h"

enum { SPREAD = 20000, TUPLES = 2000 };

/* ---- flows ---- */

static struct harness_random random_now;

static void both_directions_of_a_flow_have_one_shard(void)
{
    for (uint32_t shards = 2; shards <= STEER_SHARDS_MAX; shards++) {
        open_ends(shards);
        for (uint32_t i = 0; i < TUPLES / 2; i++) {
            uint8_t family = i % 2 == 0 ? 4 : 6;
            struct stack_addr a = draw(&random_now, family), b = draw(&random_now, family);
            uint32_t shard = ewi_steer_shard(&a, &b, shards), have[STEER_SHARDS_MAX], copies;

            CHECK(shard < shards);
            CHECK_EQ(ewi_steer_shard(&b, &a, shards), shard);
            put_flow(&a, &b, i % 3 == 0 ? 17 : 6);
            put_flow(&b, &a, i % 3 == 0 ? 17 : 6);
            collect(shards, i % shards, have, &copies);
            CHECK_EQ(have[shard], 2);
            CHECK_EQ(copies, 0);
        }
        close_ends(0, shards);
    }
}

static void spread_over(uint32_t shards, uint8_t family, bool only_ports)
{
    struct stack_addr a = draw(&random_now, family), b = draw(&random_now, family);
    uint32_t have[STEER_SHARDS_MAX] = {0}, fair = SPREAD / shards;

    for (uint32_t i = 0; i < SPREAD; i++) {
        a = only_ports ? a : draw(&random_now, family);
        b.port = (uint16_t)(i + 1);
        have[ewi_steer_shard(&a, &b, shards)] += 1;
    }
    for (uint32_t i = 0; i < shards; i++)
        CHECK(have[i] > fair * 85 / 100 && have[i] < fair * 115 / 100);
}

static void flows_are_spread_evenly(void)
{
    for (uint32_t shards = 2; shards <= STEER_SHARDS_MAX; shards++)
        for (int variant = 0; variant < 4; variant++)
            spread_over(shards, variant % 2 == 0 ? 4 : 6, variant < 2);
}

/* ---- the others ---- */

static void requests_fragments_and_what_cannot_be_read_go_to_the_first(void)
{
    open_ends(3);
    put_arp(1, 1, 2), expect_lead();
    put_ip4(1, 40)[20] = 8, expect_lead();       /* echo request */
    put_ip6(58)[40] = 128, expect_lead();
    put_ip6(58)[40] = 135, expect_lead();        /* solicitation */
    for (uint8_t high = 0; high < 4; high++) {   /* fragments, the first, a later one and the last */
        for (uint8_t protocol = 0; protocol < 20; protocol++) {
            uint8_t *ip = put_ip4(protocol, 40);

            ip[6] = (uint8_t)(high << 4 & 0x20);
            ip[7] = (uint8_t)(high == 0 ? 1 : high * 3);
            ip[20] = 3; /* looks like an ICMP error */
            expect_lead();
        }
    }
    put_ip6(44), expect_lead();                  /* a fragment */
    put_ip6(0), expect_lead();                   /* hop by hop */
    put_ip4(47, 40), expect_lead();
    put(14 + 40, 0x88cc), expect_lead();         /* LLDP */
    put(60, 0x8100)[0] = 0x45, expect_lead();    /* VLAN */
    put_ip4(6, 40)[0] = 0x44, expect_lead();     /* a header of 16 bytes */
    put_ip4(6, 22)[0] = 0x45, expect_lead();     /* half a port */
    put_ip4(6, 40)[0] = 0x4f, expect_lead();     /* a header longer than the packet */
    put_ip4(6, 40)[0] = 0x65, expect_lead();     /* IPv6 in a frame for IPv4 */
    put_ip6(6)[0] = 0x45, expect_lead();
    for (uint32_t bytes = 0; bytes < 14 + 20; bytes++) {
        put(bytes, 0x0800)[0] = 0x45, expect_lead();
        put(bytes, 0x0806)[7] = 2, expect_lead();
        put(bytes, 0x86dd)[0] = 0x60, expect_lead();
    }
    close_ends(0, 3);
}

static void what_concerns_all_comes_to_all_as_copies(void)
{
    open_ends(3);
    put_arp(2, 1, 2), expect_all();              /* an answer */
    put_arp(1, 0, 2), expect_all();              /* a probe: who has this address too? */
    put_arp(1, 2, 2), expect_all();              /* an announcement: it has moved */
    put_ip4(1, 40)[20] = 3, expect_all();        /* unreachable */
    put_ip4(1, 40)[20] = 0, expect_all();        /* an echo comes back */
    put_ip6(58)[40] = 2, expect_all();           /* too big */
    put_ip6(58)[40] = 136, expect_all();         /* advertisement */
    put_ip6(58)[40] = 134, expect_all();         /* router advertisement */
    put_ip6(58)[40] = 135;
    fake.memory[fake.tail - 1][14 + 8] = 0;      /* from nobody: a probe */
    expect_all();
    close_ends(0, 3);
}

/* A copy is not overwritten before the end has asked for the next packets. */
static void copies_are_whole_and_never_overrun(void)
{
    struct net_rx packets[DEVICE_BURST];
    struct device_counts counts;
    uint32_t next = 0, lost;

    open_ends(2);
    for (uint32_t round = 0; round < 12; round++) {
        uint32_t more = round % 3 == 2 ? 90 : 20, count, lent = 0, done = 0;
        uint8_t first[DEVICE_BURST];

        for (uint32_t i = 0; i < more; i++)
            put_ip4(1, 500)[20] = 3, fake.memory[fake.tail - 1][300] = (uint8_t)next++;
        count = steer->receive(ends[1], packets, round % 2 == 0 ? 7 : DEVICE_BURST);
        for (uint32_t i = 0; i < count; i++)
            if (packets[i].ref == NULL)
                first[lent++] = packets[i].data[300];
        while ((done = steer->receive(ends[0], (struct net_rx[DEVICE_BURST]){0}, 1)) != 0)
            ; /* fills the ring of end 1 */
        for (uint32_t i = 0, at = 0; i < count; i++) {
            if (packets[i].ref != NULL)
                continue;
            CHECK_EQ(packets[i].bytes, 514);
            CHECK_EQ(packets[i].room, STEER_COPY_BYTES - 514);
            CHECK_EQ(packets[i].data[300], first[at++]);
        }
    }
    steer->counts(ends[1], &counts);
    lost = (uint32_t)counts.rx_missed;
    CHECK(lost != 0); /* 90 do not fit */
    fake.returned_count = fake.head; /* this test keeps them all */
    close_ends(0, 2);
}

static void a_frame_that_is_too_long_for_a_copy_is_counted(void)
{
    struct device_counts counts;
    uint32_t have[2], copies;

    open_ends(2);
    put_ip4(1, STEER_COPY_BYTES - 14)[20] = 3;
    collect(2, 0, have, &copies);
    CHECK_EQ(have[0] + have[1], 2);
    put_ip4(1, STEER_COPY_BYTES - 13)[20] = 3;
    collect(2, 0, have, &copies);
    CHECK_EQ(have[0], 1);
    CHECK_EQ(have[1], 0);
    steer->counts(ends[1], &counts);
    CHECK_EQ(counts.rx_missed, 1);
    close_ends(0, 2);
}

/* ---- queues ---- */

static struct stack_addr flow[STEER_SHARDS_MAX][2]; /* of two shards */

static void find_flows(void)
{
    for (uint32_t found = 0; found != 3;) {
        struct stack_addr a = draw(&random_now, 4), b = draw(&random_now, 4);
        uint32_t shard = ewi_steer_shard(&a, &b, 2);

        flow[shard][0] = a;
        flow[shard][1] = b;
        found |= 1u << shard;
    }
}

static void put_for(uint32_t shard)
{
    put_flow(&flow[shard][0], &flow[shard][1], 6);
}

static void a_full_queue_drops_counts_and_gives_back(void)
{
    struct net_rx packet;
    struct device_counts counts;
    uint32_t have[2], copies;

    open_ends(2);
    for (uint32_t i = 0; i < STEER_QUEUE + 100; i++)
        put_for(1);
    while (fake.head < fake.tail)
        CHECK_EQ(steer->receive(ends[0], &packet, 1), 0);
    CHECK_EQ(fake.returned_count, 100);
    steer->counts(ends[1], &counts);
    CHECK_EQ(counts.rx_missed, 100);
    collect(2, 1, have, &copies);
    CHECK_EQ(have[1], STEER_QUEUE);
    close_ends(0, 2);
}

static void what_another_end_brought_comes_before_what_is_new(void)
{
    struct net_rx packets[4];

    open_ends(2);
    put_for(1), fake.memory[0][14 + 39] = 1;
    CHECK_EQ(steer->receive(ends[0], packets, 4), 0);
    put_for(1), fake.memory[1][14 + 39] = 2;
    CHECK_EQ(steer->receive(ends[1], packets, 4), 2);
    CHECK_EQ(packets[0].data[14 + 39], 1);
    CHECK_EQ(packets[1].data[14 + 39], 2);
    for (int i = 0; i < 2; i++)
        steer->give_back(ends[1], &packets[i].ref, 1);
    close_ends(0, 2);
}

static void ends_close_in_any_order(void)
{
    struct net_rx packet;

    for (uint32_t first = 0; first < 2; first++) {
        uint32_t other = 1 - first;

        open_ends(2);
        put_for(first), put_for(first);
        CHECK_EQ(steer->receive(ends[other], &packet, 1), 0);
        CHECK_EQ(steer->receive(ends[other], &packet, 1), 0);
        steer->close(ends[first]);
        CHECK_EQ(fake.returned_count, 2); /* what lay there */
        put_for(first);
        CHECK_EQ(steer->receive(ends[other], &packet, 1), 0);
        CHECK_EQ(fake.returned_count, 3); /* and what comes later */
        put_arp(1, 1, 2);                 /* the other one is the first that is open */
        CHECK_EQ(steer->receive(ends[other], &packet, 1), 1);
        steer->give_back(ends[other], &packet.ref, 1);
        put_for(other);
        CHECK_EQ(fake.is_open, true);
        steer->close(ends[other]);
        CHECK(!fake.is_open);
        CHECK_EQ(fake.returned_count, fake.head);
    }
}

/* ---- sleeping ---- */

static bool is_woken(uint32_t shard)
{
    struct pollfd look = {.fd = steer->sleep_fd(ends[shard]), .events = POLLIN};

    return poll(&look, 1, 0) == 1;
}

static void arrive(uint32_t shard)
{
    put_for(shard);
    if (fake.is_armed)
        ring(fake.fd);
    fake.is_armed = false;
}

static void drain(void)
{
    uint32_t have[2], copies;

    collect(2, 0, have, &copies);
}

static void a_sleeper_is_woken_by_what_another_end_brings(void)
{
    struct net_rx packet;

    open_ends(2);
    CHECK_EQ(steer->sleep_arm(ends[1]), 0);
    CHECK(!is_woken(1));
    put_for(1); /* end 0 polls and is first: the device says nothing */
    CHECK_EQ(steer->receive(ends[0], &packet, 1), 0);
    CHECK(is_woken(1));
    CHECK_EQ(steer->sleep_arm(ends[1]), 1);
    steer->sleep_disarm(ends[1]);
    CHECK(!is_woken(1));
    CHECK_EQ(steer->sleep_arm(ends[1]), 1); /* it lies there */
    drain();
    CHECK_EQ(steer->sleep_arm(ends[1]), 0);
    CHECK(!is_woken(1));
    close_ends(0, 2);
}

static void the_device_wakes_all_and_is_armed_as_long_as_one_sleeps(void)
{
    open_ends(2);
    CHECK_EQ(steer->sleep_arm(ends[0]), 0);
    CHECK_EQ(steer->sleep_arm(ends[1]), 0);
    CHECK_EQ(fake.arms, 1);
    arrive(0);
    CHECK(is_woken(0) && is_woken(1));
    steer->sleep_disarm(ends[0]); /* and has not looked yet: it may be busy for long */
    CHECK(is_woken(1));
    drain();
    steer->sleep_disarm(ends[1]);
    CHECK(!fake.is_armed);
    CHECK(!is_woken(0) && !is_woken(1));

    CHECK_EQ(steer->sleep_arm(ends[0]), 0);
    CHECK_EQ(steer->sleep_arm(ends[1]), 0);
    arrive(1);
    drain();
    steer->sleep_disarm(ends[0]);
    CHECK(fake.is_armed); /* anew, for end 1 */
    steer->sleep_disarm(ends[0]); /* twice */
    CHECK(fake.is_armed);
    CHECK_EQ(steer->sleep_arm(ends[0]), 0);
    CHECK(!is_woken(0)); /* an event that is over wakes nobody again */
    arrive(1);
    CHECK(is_woken(0) && is_woken(1));
    steer->sleep_disarm(ends[1]);
    steer->sleep_disarm(ends[0]);
    CHECK(!fake.is_armed);
    drain();
    close_ends(0, 2);
}

static void who_finds_the_device_busy_is_not_armed(void)
{
    struct net_rx packet;

    open_ends(2);
    put_for(0);
    CHECK_EQ(steer->sleep_arm(ends[0]), 1);
    CHECK_EQ(steer->receive(ends[1], &packet, 1), 0);
    CHECK(!is_woken(0));
    drain();
    CHECK_EQ(steer->sleep_arm(ends[0]), 0);
    steer->close(ends[1]);
    CHECK(fake.is_armed);
    arrive(0);
    CHECK(is_woken(0));
    steer->sleep_disarm(ends[0]);
    close_ends(0, 1);
}

static void a_sleeper_stays_armed_when_another_closes(void)
{
    open_ends(2);
    CHECK_EQ(steer->sleep_arm(ends[0]), 0);
    CHECK_EQ(steer->sleep_arm(ends[1]), 0);
    steer->close(ends[0]);
    CHECK(fake.is_armed);
    arrive(1);
    CHECK(is_woken(1));
    steer->close(ends[1]);
    CHECK(!fake.is_open && !fake.is_armed);
}

/* ---- the rest ---- */

static void frames_carrier_counts_and_forks_are_the_devices(void)
{
    struct net_frame frames[4] = {{0}};
    struct device_counts counts;

    open_ends(3);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(steer->arm(ends[i], frames, 4), 4);
        CHECK_EQ(steer->transmit(ends[i], frames, 3), 3);
        CHECK_EQ(steer->carrier(ends[i]), true);
        steer->counts(ends[i], &counts);
        CHECK_EQ(counts.rx_missed, i == 0 ? 7 : 0); /* counted once */
    }
    CHECK_EQ(fake.transmitted, 9);
    fake.is_up = false;
    CHECK_EQ(steer->carrier(ends[2]), false);
    steer->close(ends[0]);
    steer->counts(ends[1], &counts);
    CHECK_EQ(counts.rx_missed, 7);
    steer->forked(ends[1]);
    steer->forked(ends[2]);
    CHECK_EQ(fake.forks, 1);
    close_ends(1, 3);
}

static void a_device_that_cannot_be_opened_says_so(void)
{
    char reason[DEVICE_REASON_BYTES];

    CHECK_EQ(ewi_steer_open(&fake_device, &(struct device_options){.text = "none", .reason = reason}, 2,
                            ends), -ENODEV);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        random_now.state = seed;
        RUN(both_directions_of_a_flow_have_one_shard);
        RUN(flows_are_spread_evenly);
        find_flows();
        RUN(a_full_queue_drops_counts_and_gives_back);
    }
    RUN(requests_fragments_and_what_cannot_be_read_go_to_the_first);
    RUN(what_concerns_all_comes_to_all_as_copies);
    RUN(copies_are_whole_and_never_overrun);
    RUN(a_frame_that_is_too_long_for_a_copy_is_counted);
    RUN(what_another_end_brought_comes_before_what_is_new);
    RUN(ends_close_in_any_order);
    RUN(a_sleeper_is_woken_by_what_another_end_brings);
    RUN(the_device_wakes_all_and_is_armed_as_long_as_one_sleeps);
    RUN(who_finds_the_device_busy_is_not_armed);
    RUN(a_sleeper_stays_armed_when_another_closes);
    RUN(frames_carrier_counts_and_forks_are_the_devices);
    RUN(a_device_that_cannot_be_opened_says_so);
    return 0;
}
