/* tests/c/test_net_packets.c - transport/net/packets.h: each reference comes back once, and what is
 * charged is what is held. */
#include "tests/c/harness.h"
#include "transport/net/whole.h"

enum { PACKETS = 8, COPIES = 3, CHARGE = 2304, ROUNDS = 5000, MEMORY = 1 << 16 };

static _Alignas(NET_BLOCK_ALIGN_MAX) uint8_t memory[MEMORY];
static struct ewi_net net;
static uint8_t bytes[4096];
static int marks[64]; /* what references point to */

static void start_with(uint32_t packets, uint32_t copies, uint64_t charge_max)
{
    struct net_packets_places places;
    struct net_block block;
    size_t size;

    memset(&net, 0, sizeof(net));
    net.config.packets_max = packets;
    net.config.copies_max = copies;
    net.config.rx_bytes_max = charge_max;
    ewi_net_block_layout(&block);
    ewi_net_packets_place(&block, &net.config, &places);
    size = ewi_net_block_bytes(&block);
    CHECK(size > 0 && size <= sizeof(memory));
    memset(memory, 0xa5, sizeof(memory)); /* init must not rely on zeros */
    ewi_net_block_fill(&block, memory, size);
    ewi_net_packets_place(&block, &net.config, &places);
    CHECK_EQ(ewi_net_block_bytes(&block), size);
    ewi_net_packets_init(&net, &places);
    for (uint32_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
}

static void start(void)
{
    start_with(PACKETS, COPIES, 1 << 20);
}

/* A packet of 1000 bytes that begins at bytes + 100, in a buffer with 200 bytes behind it. */
static struct net_rx rx_of(void *ref)
{
    return (struct net_rx){
        .data = bytes + 100, .ref = ref, .bytes = 1000, .room = 200, .charge = CHARGE};
}

static struct net_arrived arrived_of(struct net_rx *rx)
{
    return (struct net_arrived){.rx = rx, .bytes = bytes + 134, .length = 966};
}

static uint32_t keep(struct net_rx *rx, uint32_t at, uint32_t count)
{
    struct net_arrived arrived = arrived_of(rx);

    return ewi_net_packet_keep(&net, &arrived, bytes + at, count);
}

/* The k-th mark comes out next, or (k < 0) nothing. */
static void reclaims(int k)
{
    void *ref = NULL;

    CHECK_EQ(ewi_net_reclaim(&net, &ref, 1), k >= 0);
    CHECK(k < 0 || ref == &marks[k]);
}

static void layout_without_packets_is_refused(void)
{
    struct net_config config = {.packets_max = 0, .copies_max = 1};
    struct net_packets_places places;
    struct net_block block;

    ewi_net_block_layout(&block);
    ewi_net_packets_place(&block, &config, &places);
    CHECK_EQ(ewi_net_block_bytes(&block), 0);
}

static void a_packet_with_a_reference_stays_where_it_is(void)
{
    struct net_rx rx = rx_of(&marks[0]);
    struct net_arrived arrived = arrived_of(&rx);
    const struct net_packet *packet;
    uint32_t index;

    start();
    CHECK_EQ(ewi_net_packet_charge(&arrived, 900), CHARGE);
    CHECK_EQ(ewi_net_packet_charge(&arrived, 1), CHARGE);
    index = keep(&rx, 150, 900);
    packet = ewi_net_packet(&net, index);
    CHECK(packet->data == bytes + 150);
    CHECK_EQ(packet->bytes, 900);
    CHECK_EQ(packet->room, 50 + 200); /* padding, and the rest of the buffer */
    CHECK_EQ(packet->charge, CHARGE);
    CHECK_EQ(packet->users, 1);
    CHECK(packet->next == NET_NONE && packet->copy == NET_NONE && packet->owner == 0);
    CHECK_EQ(rx.flags, NET_RX_KEPT);
    CHECK_EQ(net.packets.charged, CHARGE);
    reclaims(-1);
    ewi_net_packet_give(&net, index);
    CHECK_EQ(net.packets.charged, 0);
    reclaims(0);
    reclaims(-1);
    CHECK_EQ(net.packets.packets.used, 0);
}

/* other flags of the packet stay */
static void kept_is_one_flag_among_others(void)
{
    struct net_rx rx = rx_of(&marks[0]);

    start();
    rx.flags = NET_RX_SUM_GOOD;
    CHECK(keep(&rx, 150, 10) != NET_NONE);
    CHECK_EQ(rx.flags, NET_RX_SUM_GOOD | NET_RX_KEPT);
}

static void is_copied(struct net_rx *rx)
{
    struct net_arrived arrived = arrived_of(rx);
    const struct net_packet *packet;
    uint32_t index;

    CHECK_EQ(ewi_net_packet_charge(&arrived, 1), NET_COPY_BYTES);
    CHECK_EQ(ewi_net_packet_charge(&arrived, NET_COPY_BYTES), NET_COPY_BYTES);
    CHECK_EQ(ewi_net_packet_charge(&arrived, NET_COPY_BYTES + 1), 2 * NET_COPY_BYTES);
    CHECK_EQ(ewi_net_packet_charge(&arrived, 0), 0);
    index = keep(rx, 150, 900);
    packet = ewi_net_packet(&net, index);
    CHECK(packet->data >= memory && packet->data < memory + sizeof(memory));
    CHECK(packet->ref == NULL && packet->copy != NET_NONE);
    CHECK_EQ(packet->room, NET_COPY_BYTES - 900);
    memset(packet->data + 900, 0x11, packet->room); /* it may be written */
    memset(bytes + 100, 0, 1000);                   /* the shell's again */
    for (uint32_t i = 0; i < 900; i++)
        CHECK_EQ(packet->data[i], (uint8_t)((150 + i) * 7));
    CHECK_EQ(net.packets.charged, NET_COPY_BYTES);
    ewi_net_packet_give(&net, index);
    reclaims(-1);
    CHECK_EQ(net.packets.charged, 0);
    CHECK_EQ(net.packets.packets.used + net.packets.copies.used, 0);
}

static void a_packet_without_a_reference_is_copied(void)
{
    struct net_rx rx = rx_of(NULL);

    start();
    is_copied(&rx);
    CHECK_EQ(rx.flags, 0);
}

static void a_reassembled_packet_is_copied(void)
{
    start();
    is_copied(NULL);
}

static void a_copy_takes_as_much_as_it_says(void)
{
    uint32_t index;

    start();
    index = keep(NULL, 0, NET_COPY_BYTES);
    CHECK_EQ(ewi_net_packet(&net, index)->bytes, NET_COPY_BYTES);
    CHECK_EQ(ewi_net_packet(&net, index)->room, 0);
    CHECK(memcmp(ewi_net_packet(&net, index)->data, bytes, NET_COPY_BYTES) == 0);
}

static void tokens_hold_a_packet_after_its_queue(void)
{
    struct net_rx rx = rx_of(&marks[3]);
    uint32_t index;

    start();
    index = keep(&rx, 150, 900);
    ewi_net_packet(&net, index)->users += 2; /* two tokens */
    ewi_net_packet_give(&net, index);        /* the queue */
    ewi_net_packet_give(&net, index);
    reclaims(-1);
    CHECK_EQ(net.packets.charged, CHARGE);
    ewi_net_packet_give(&net, index);
    CHECK_EQ(net.packets.charged, 0);
    reclaims(3);
}

static void references_come_back_in_the_order_they_were_given(void)
{
    uint32_t index[PACKETS];
    void *refs[PACKETS];

    start();
    for (int i = 0; i < PACKETS; i++) {
        struct net_rx rx = rx_of(&marks[i]);

        index[i] = keep(&rx, 150, 10);
        ewi_net_packet(&net, index[i])->next = index[0]; /* some queue of its owner's */
    }
    for (int i = 0; i < PACKETS; i++)
        ewi_net_packet_give(&net, index[(i * 3) % PACKETS]);
    CHECK_EQ(ewi_net_reclaim(&net, refs, 0), 0);
    CHECK_EQ(ewi_net_reclaim(&net, refs, 3), 3);
    CHECK_EQ(ewi_net_reclaim(&net, refs + 3, PACKETS), PACKETS - 3);
    for (int i = 0; i < PACKETS; i++)
        CHECK(refs[i] == &marks[(i * 3) % PACKETS]);
    reclaims(-1);
    CHECK_EQ(net.packets.packets.used, 0);
}

/* I2. catches: a record that is used again while its reference still waits for the shell */
static void a_record_is_taken_until_its_reference_has_left(void)
{
    struct net_rx rx = rx_of(&marks[1]), other = rx_of(&marks[2]);
    uint32_t index;

    start_with(1, 1, 1 << 20);
    index = keep(&rx, 150, 10);
    ewi_net_packet_give(&net, index);
    CHECK(keep(&other, 150, 10) == NET_NONE);
    CHECK_EQ(other.flags, 0); /* it is the shell's */
    reclaims(1);
    CHECK(keep(&other, 150, 10) != NET_NONE);
}

/* ---- what there is too little of; each time nothing changes but the counter ---- */

static void is_refused(struct net_rx *rx)
{
    struct net_packets before = net.packets;
    uint64_t counted = net.count.full_packets;

    CHECK(keep(rx, 150, 10) == NET_NONE);
    CHECK_EQ(net.count.full_packets, counted + 1);
    CHECK_EQ(net.packets.charged, before.charged);
    CHECK_EQ(net.packets.packets.used, before.packets.used);
    CHECK_EQ(net.packets.copies.used, before.copies.used);
    CHECK(rx == NULL || rx->flags == 0);
}

static void without_records_nothing_is_kept(void)
{
    struct net_rx rx = rx_of(&marks[0]), more = rx_of(&marks[1]);

    start_with(2, 2, 1 << 20);
    CHECK(keep(NULL, 150, 10) != NET_NONE);
    CHECK(keep(&rx, 150, 10) != NET_NONE);
    is_refused(&more);
    is_refused(NULL);
}

static void without_copies_references_are_still_kept(void)
{
    struct net_rx rx = rx_of(&marks[0]);
    uint32_t index;

    start_with(PACKETS, 1, 1 << 20);
    index = keep(NULL, 150, 10);
    CHECK(index != NET_NONE);
    is_refused(NULL);
    CHECK(keep(&rx, 150, 10) != NET_NONE);
    ewi_net_packet_give(&net, index);
    CHECK(keep(NULL, 150, 10) != NET_NONE);
}

static void a_shell_that_always_gives_references_needs_no_copies(void)
{
    struct net_rx rx = rx_of(&marks[0]);

    start_with(PACKETS, 0, 1 << 20);
    CHECK(keep(&rx, 150, 10) != NET_NONE);
}

/* picotcp#47: small segments that pin more memory than their bytes */
static void charges_stay_below_the_limit(void)
{
    struct net_rx rx[4];
    uint32_t first = NET_NONE;

    start_with(PACKETS, COPIES, 3 * CHARGE - 1);
    for (int i = 0; i < 3; i++)
        rx[i] = rx_of(&marks[i]);
    first = keep(&rx[0], 150, 1);
    CHECK(keep(&rx[1], 150, 1) != NET_NONE);
    is_refused(&rx[2]);
    CHECK(keep(NULL, 150, 1) != NET_NONE); /* it pins less */
    is_refused(NULL);
    ewi_net_packet_give(&net, first);
    CHECK(keep(&rx[2], 150, 1) != NET_NONE);
    CHECK_EQ(net.packets.charged, 2 * CHARGE + NET_COPY_BYTES);
    start_with(PACKETS, COPIES, 2 * CHARGE); /* just enough */
    rx[0] = rx_of(&marks[0]);
    rx[1] = rx_of(&marks[1]);
    CHECK(keep(&rx[0], 150, 1) != NET_NONE && keep(&rx[1], 150, 1) != NET_NONE);
}

/* ---- against a list of who holds what ---- */

struct held {
    uint32_t index, users, charge;
    int mark; /* -1: copied */
    uint8_t first;
};

static struct held held[PACKETS];
static uint32_t holds, outside; /* references with the stack, or waiting for reclaim */
static bool is_inside[64];

static int free_mark(struct harness_random *random)
{
    int mark = (int)harness_below(random, 64);

    while (is_inside[mark])
        mark = (mark + 1) % 64;
    return mark;
}

static void random_keep(struct harness_random *random)
{
    int mark = harness_below(random, 2) == 0 ? free_mark(random) : -1;
    uint32_t at = (uint32_t)harness_between(random, 134, 1000);
    struct net_rx rx = rx_of(mark >= 0 ? &marks[mark] : NULL);
    uint32_t index;

    rx.charge = (uint32_t)harness_between(random, 1000, 5000);
    index = keep(&rx, at, (uint32_t)harness_between(random, 1, 1100 - at));
    CHECK(((rx.flags & NET_RX_KEPT) != 0) == (index != NET_NONE && mark >= 0));
    if (index == NET_NONE)
        return;
    if (mark >= 0)
        is_inside[mark] = true;
    held[holds++] = (struct held){.index = index,
                                  .users = 1,
                                  .charge = mark >= 0 ? rx.charge : NET_COPY_BYTES,
                                  .mark = mark,
                                  .first = bytes[at]};
}

static void random_give(struct harness_random *random)
{
    struct held *one = &held[harness_below(random, holds)];

    if (harness_below(random, 3) == 0) {
        ewi_net_packet(&net, one->index)->users += 1;
        one->users += 1;
        return;
    }
    CHECK_EQ(ewi_net_packet(&net, one->index)->data[0], one->first);
    ewi_net_packet_give(&net, one->index);
    one->users -= 1;
    if (one->users > 0)
        return;
    outside += one->mark >= 0;
    *one = held[--holds];
}

static void random_reclaim(struct harness_random *random)
{
    void *refs[PACKETS];
    uint32_t room = (uint32_t)harness_below(random, PACKETS + 1);
    uint32_t count = ewi_net_reclaim(&net, refs, room);

    CHECK_EQ(count, ewi_min_u64(room, outside));
    outside -= count;
    for (uint32_t i = 0; i < count; i++) {
        long mark = (int *)refs[i] - marks;

        CHECK(is_inside[mark]);
        is_inside[mark] = false;
    }
}

static void random_use_loses_nothing(uint64_t seed)
{
    struct harness_random random = {seed};

    start_with(PACKETS, COPIES, harness_between(&random, 6000, 30000));
    memset(is_inside, 0, sizeof(is_inside));
    holds = outside = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t charged = 0, what = harness_below(&random, 4);

        if (what < 2)
            random_keep(&random);
        else if (what == 2 && holds > 0)
            random_give(&random);
        else
            random_reclaim(&random);
        for (uint32_t k = 0; k < holds; k++)
            charged += held[k].charge;
        CHECK_EQ(net.packets.charged, charged); /* I1 */
        CHECK(charged <= net.packets.charge_max);
        CHECK_EQ(net.packets.packets.used, holds + outside);
    }
}

int main(int argc, char **argv)
{
    RUN(layout_without_packets_is_refused);
    RUN(a_packet_with_a_reference_stays_where_it_is);
    RUN(kept_is_one_flag_among_others);
    RUN(a_packet_without_a_reference_is_copied);
    RUN(a_reassembled_packet_is_copied);
    RUN(a_copy_takes_as_much_as_it_says);
    RUN(tokens_hold_a_packet_after_its_queue);
    RUN(references_come_back_in_the_order_they_were_given);
    RUN(a_record_is_taken_until_its_reference_has_left);
    RUN(without_records_nothing_is_kept);
    RUN(without_copies_references_are_still_kept);
    RUN(a_shell_that_always_gives_references_needs_no_copies);
    RUN(charges_stay_below_the_limit);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_use_loses_nothing(seed);
    return 0;
}
