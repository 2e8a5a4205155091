/* tests/c/test_net_udp_memory.c - what UDP keeps: where, how much, and how it is given back. */
#include "tests/c/net_udp_base.h"

/* ---- memory ---- */

static uint8_t *arrives_kept(uint32_t charge)
{
    uint8_t *memory = malloc(packet.length + 100);

    CHECK(memory != NULL);
    memcpy(memory, packet.bytes, packet.length);
    base_rx = (struct net_rx){.data = memory,
                              .ref = memory,
                              .bytes = packet.length,
                              .room = 100,
                              .charge = charge};
    net->count.rx_packets += 1;
    ewi_net_ip_input(net, &base_rx, memory, packet.length, 4, false);
    base_check();
    return memory;
}

static void a_packet_with_a_reference_stays_where_it_is(void)
{
    struct net_tuple tuple = base_tuple(4);
    struct net_datagram got;
    ewi_stream stream;
    uint8_t *memory;
    void *refs[4];

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    make_udp(&packet, &tuple, 1400);
    memory = arrives_kept(2176);
    CHECK(base_rx.flags & NET_RX_KEPT);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK(got.data == memory + 28);
    CHECK_EQ(net->packets.charged, 2176);
    CHECK_EQ(ewi_net_reclaim(net, refs, 4), 0);
    ewi_net_udp_release(net, &got);
    CHECK_EQ(ewi_net_reclaim(net, refs, 4), 1);
    CHECK(refs[0] == memory);
    CHECK_EQ(net->packets.charged, 0);
    free(memory);
}

static void what_is_not_taken_stays_the_shells(void)
{
    struct net_tuple tuple = base_tuple(4);
    void *refs[4];

    base_begin();
    make_udp(&packet, &tuple, 1400);
    free(arrives_kept(2176)); /* nobody has the port */
    CHECK_EQ(base_rx.flags & NET_RX_KEPT, 0);
    CHECK_EQ(ewi_net_reclaim(net, refs, 4), 0);
}

static void an_endpoint_pins_at_most_its_limit(void)
{
    struct net_tuple tuple = base_tuple(4);
    uint8_t *memory[8];
    struct net_datagram got[2];
    ewi_stream stream;
    void *refs[8];
    uint32_t i;

    base_begin();
    net->packets.charge_max = UINT64_C(1) << 40;
    stream = open_bound(NULL, 4, 80, 1);
    make_udp(&packet, &tuple, 10);
    for (i = 0; i < 4; i++)
        memory[i] = arrives_kept(NET_UDP_QUEUE_BYTES / 4);
    free(arrives_kept(1));
    CHECK_EQ(net->count.drop_udp_memory, 1);
    CHECK_EQ(ewi_net_udp_at(net, ewi_net_udp_find(net, stream))->dropped, 1);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got[0]), 0);
    free(arrives_kept(1)); /* what the user has counts, until release */
    CHECK_EQ(net->count.drop_udp_memory, 2);
    ewi_net_udp_release(net, &got[0]);
    memory[4] = arrives_kept(NET_UDP_QUEUE_BYTES / 4);
    CHECK_EQ(net->count.accepted, 5);
    free(arrives_kept(UINT32_MAX));
    CHECK_EQ(net->count.drop_udp_memory, 3);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    CHECK_EQ(ewi_net_reclaim(net, refs, 8), 5);
    CHECK_EQ(net->packets.charged, 0);
    for (i = 0; i < 5; i++)
        free(memory[i]);
}

static void all_memory_together_is_limited(void)
{
    struct net_config config = base_config();

    config.rx_bytes_max = 3 * NET_COPY_BYTES;
    base_start(&config);
    open_bound(NULL, 4, 53, 1);
    for (int i = 0; i < 5; i++)
        datagram(4, 4000, 53, 10);
    CHECK_EQ(net->count.accepted, 3);
    CHECK_EQ(net->count.drop_udp_memory, 2);
}

static void a_released_one_after_close_is_forgotten(void)
{
    struct net_datagram got;
    ewi_stream stream, again;

    base_begin();
    stream = open_bound(NULL, 4, 53, 1);
    datagram(4, 4000, 53, 10);
    datagram(4, 4000, 53, 11);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    again = open_bound(NULL, 4, 53, 2);
    CHECK((uint32_t)again == (uint32_t)stream && again != stream);
    CHECK_EQ(got.data[9], 63);
    ewi_net_udp_release(net, &got);
    CHECK_EQ(ewi_net_udp_at(net, ewi_net_udp_find(net, again))->charged, 0);
    CHECK_EQ(net->packets.charged, 0);
    base_check();
}

/* ---- long ones ---- */

static void arrives_cut(uint32_t bytes, uint16_t id)
{
    static struct made whole;
    struct net_tuple tuple = base_tuple(4);

    make_udp(&whole, &tuple, bytes);
    bytes += NET_UDP_BYTES;
    for (uint32_t at = 0; at < bytes; at += 1480) {
        uint32_t some = bytes - at < 1480 ? bytes - at : 1480;

        memcpy(packet.bytes, whole.bytes, 20);
        memcpy(packet.bytes + 20, whole.bytes + 20 + at, some);
        ewi_net_put_u16(packet.bytes + 2, (uint16_t)(20 + some));
        ewi_net_put_u16(packet.bytes + 4, id);
        ewi_net_put_u16(packet.bytes + 6,
                        (uint16_t)(at / 8 | (at + some < bytes ? 0x2000 : 0)));
        mend_header4(packet.bytes);
        packet.length = 20 + some;
        arrives_made(&packet, 4);
    }
}

static void long_datagrams_are_read_in_one_piece(void)
{
    static const uint32_t sizes[] = {1500, 2024, 2025, 9000, 65507};
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    for (uint16_t i = 0; i < 5; i++) {
        arrives_cut(sizes[i], i);
        CHECK_EQ(net->ip.reassemblies.held, sizes[i] + 16 > NET_COPY_BYTES);
        expect_next(stream, sizes[i]);
        CHECK_EQ(net->ip.reassemblies.held, 0);
        CHECK_EQ(net->ip.reassemblies.pool.used, 0);
    }
}

static void long_datagrams_hold_at_most_half_of_reassembly(void)
{
    struct net_datagram got;
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    for (uint16_t i = 0; i < 6; i++)
        arrives_cut(9000, i);
    CHECK_EQ(net->ip.reassemblies.held, 4);
    CHECK_EQ(net->count.drop_udp_memory, 2);
    arrives_cut(1600, 10); /* short ones go on */
    for (int i = 0; i < 4; i++)
        expect_next(stream, 9000);
    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK_EQ(got.bytes, 1600);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    ewi_net_udp_release(net, &got);
    CHECK_EQ(net->ip.reassemblies.held, 0);
    base_check();
}

static void a_long_packet_without_a_reference_is_copied_in_one_piece(void)
{
    struct net_tuple tuple = base_tuple(6);
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 6, 80, 1);
    make_udp(&packet, &tuple, 8000);
    arrives_made(&packet, 6);
    make_udp(&packet, &tuple, 10);
    arrives_made(&packet, 6);
    CHECK_EQ(net->ip.reassemblies.held, 1);
    expect_next(stream, 8000);
    expect_next(stream, 10);
}

static void closing_gives_everything_back(void)
{
    ewi_stream stream;

    base_begin();
    stream = open_bound(NULL, 4, 80, 1);
    arrives_cut(9000, 1);
    arrives_cut(1000, 2);
    arrives_cut(9000, 3);
    CHECK_EQ(ewi_net_udp_close(net, stream), 0);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
    CHECK_EQ(net->packets.packets.used, 0);
    CHECK_EQ(net->udp.endpoints.used, 0);
    base_check();
}

/* ---- anything ---- */

/* Endpoints come and go, datagrams of all kinds arrive, some are held: nothing is lost or kept. */
static void any_life_gives_everything_back(struct harness_random *random)
{
    ewi_stream stream[6] = {0};
    struct net_datagram held[6];
    uint32_t held_count = 0;

    base_begin();
    for (int i = 0; i < 3000; i++) {
        uint32_t which = (uint32_t)harness_below(random, 6);

        net->now += SECONDS / 10;
        base.sent_count = 0;
        switch (harness_below(random, 6)) {
        case 0:
            if (stream[which] != 0) {
                CHECK_EQ(ewi_net_udp_close(net, stream[which]), 0);
                stream[which] = 0;
            } else {
                stream[which] = open_bound(NULL, 0, (uint16_t)(100 + which), which);
            }
            break;
        case 1:
            datagram(harness_below(random, 2) ? 4 : 6, 9, (uint16_t)(100 + which),
                     (uint32_t)harness_below(random, 4000));
            break;
        case 2:
            arrives_cut((uint32_t)harness_below(random, 9000), (uint16_t)i);
            break;
        case 3:
        case 4:
            if (stream[which] != 0 && held_count < 6 &&
                ewi_net_udp_recv(net, stream[which], &held[held_count]) == 0)
                held_count++;
            break;
        default:
            if (held_count > 0)
                ewi_net_udp_release(net, &held[--held_count]);
        }
        ewi_net_ip_tick(net);
        base_check();
    }
    while (held_count > 0)
        ewi_net_udp_release(net, &held[--held_count]);
    for (int i = 0; i < 6; i++)
        if (stream[i] != 0)
            CHECK_EQ(ewi_net_udp_close(net, stream[i]), 0);
    net->now += NET_REASSEMBLY_NS;
    ewi_net_ip_tick(net);
    CHECK_EQ(net->packets.packets.used, 0);
    CHECK_EQ(net->packets.copies.used, 0);
    CHECK_EQ(net->packets.charged, 0);
    CHECK_EQ(net->ip.reassemblies.pool.used, 0);
    base_check();
}

int main(int argc, char **argv)
{
    RUN(a_packet_with_a_reference_stays_where_it_is);
    RUN(what_is_not_taken_stays_the_shells);
    RUN(an_endpoint_pins_at_most_its_limit);
    RUN(all_memory_together_is_limited);
    RUN(a_released_one_after_close_is_forgotten);
    RUN(long_datagrams_are_read_in_one_piece);
    RUN(long_datagrams_hold_at_most_half_of_reassembly);
    RUN(a_long_packet_without_a_reference_is_copied_in_one_piece);
    RUN(closing_gives_everything_back);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        any_life_gives_everything_back(&random);
    }
    return 0;
}
