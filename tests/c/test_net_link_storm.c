/* tests/c/test_net_link_storm.c - three stations, a bad wire and a hostile fourth, from one seed.
 *
 * After every event: the cache and the lists hold together, each slot is somewhere, each packet that was
 * sent has left, waits or is counted, and each connection that was parked is told once. */
#include "tests/c/net_link_base.h"

enum { EVENTS = 6000, IN_FLIGHT = 64, HOSTS = 7, CONNECTIONS = 4000 };

struct wire {
    struct frame frame[IN_FLIGHT];
    uint32_t count;
};

static struct wire wire;
static uint64_t sent[STATIONS], left[STATIONS], received[STATIONS];
static uint32_t parked[STATIONS], told[STATIONS];
static uint8_t waits[STATIONS][CONNECTIONS];

static struct ewi_net *net_of(uint32_t i)
{
    return &stations[i].net;
}

static uint32_t leaving_packets(struct ewi_net *net)
{
    uint32_t count = 0;

    for (uint32_t at = net->link.leaving.first; at != NET_NONE; at = ewi_net_slot(net, at)->next)
        count += ewi_net_slot(net, at)->packet[0] == 'x';
    return count;
}

static void check_slots(uint32_t i)
{
    const struct net_links *link = &net_of(i)->link;
    const struct net_counters *count = &net_of(i)->count;
    uint64_t lost = count->no_route + count->neighbour_queue_full + count->neighbour_unreachable;

    CHECK_EQ(link->slots.used, link->leaving.count + link->waiting);
    CHECK(sent[i] <= left[i] + lost + link->waiting + leaving_packets(net_of(i)));
}

/* Lists of one: the head is the connection's number, and the next one waits its turn. */
static void check_told(uint32_t i)
{
    struct station *s = &stations[i];

    for (; told[i] < s->changes; told[i]++) {
        CHECK(waits[i][s->change[told[i]].parked] == 1);
        waits[i][s->change[told[i]].parked] = 2;
    }
}

static void check(uint32_t i)
{
    const char *fault = ewi_net_link_check(net_of(i));

    if (fault != NULL)
        fprintf(stderr, "    %s\n", fault);
    CHECK(fault == NULL);
    check_slots(i);
    check_told(i);
}

/* ---- events ---- */

static struct stack_addr some_host(struct harness_random *random)
{
    uint8_t host = (uint8_t)harness_below(random, HOSTS); /* 0 .. 2 are there */
    uint64_t kind = harness_below(random, 3);

    return kind == 0 ? ip4(10, 0, 0, host) : kind == 1 ? ip6(0, host) : link6(host);
}

static void send_one(struct harness_random *random, uint32_t i)
{
    sent[i] += send_to(net_of(i), some_host(random), 60 + (uint32_t)harness_below(random, 100)) !=
               NET_NONE;
}

static void park_one(struct harness_random *random, uint32_t i)
{
    struct net_tuple tuple = tuple_to(some_host(random));
    struct net_way way;

    if (ewi_net_way(net_of(i), &tuple, &way) != NET_WAY_PENDING ||
        *ewi_net_way_parked(net_of(i), way.hop) != NET_NONE || parked[i] == CONNECTIONS)
        return;
    waits[i][parked[i]] = 1;
    *ewi_net_way_parked(net_of(i), way.hop) = parked[i]++;
}

static void confirm_one(struct harness_random *random, uint32_t i)
{
    struct net_tuple tuple = tuple_to(some_host(random));

    ewi_net_way_confirm(net_of(i), &tuple);
}

static void put_on_wire(struct harness_random *random, const struct frame *frame)
{
    uint32_t at = wire.count < IN_FLIGHT ? wire.count++ : (uint32_t)harness_below(random, IN_FLIGHT);

    wire.frame[at] = *frame;
}

static void depart_some(struct harness_random *random, uint32_t i, uint64_t most)
{
    struct frame frame;

    for (; most > 0 && depart(net_of(i), &frame); most--) {
        left[i] += frame.bytes[NET_ETHER_BYTES] == 'x';
        put_on_wire(random, &frame);
    }
}

static void damage(struct harness_random *random, struct frame *frame)
{
    for (uint64_t n = harness_below(random, 4); n > 0; n--)
        frame->bytes[harness_below(random, frame->out.bytes)] ^= (uint8_t)harness_next(random);
    if (harness_below(random, 3) == 0)
        frame->out.bytes = (uint32_t)harness_below(random, frame->out.bytes + 1);
}

/* To everybody, as on a hub; the switch is not ours to trust. */
static void arrive_one(struct harness_random *random)
{
    uint32_t at;
    struct frame frame;

    if (wire.count == 0)
        return;
    at = (uint32_t)harness_below(random, wire.count);
    frame = wire.frame[at];
    if (harness_below(random, 8) != 0) /* else it comes again */
        wire.frame[at] = wire.frame[--wire.count];
    if (harness_below(random, 6) == 0)
        return;
    if (harness_below(random, 6) == 0)
        damage(random, &frame);
    for (uint32_t i = 0; i < STATIONS; i++) {
        uint32_t before = stations[i].packets;

        arrive(net_of(i), frame.bytes, frame.out.bytes);
        received[i] += stations[i].packets - before;
        check(i);
    }
}

static void put_some_ip(struct harness_random *random, uint8_t out[16])
{
    memcpy(out, ip6(0, (uint8_t)harness_below(random, HOSTS)).ip, 16);
    if (harness_below(random, 2) == 0)
        memcpy(out, link6((uint8_t)harness_below(random, HOSTS)).ip, 16);
}

static void hostile_ndp(struct harness_random *random, struct frame *frame)
{
    struct net_ip6 ip = {.hop_limit = 255, .next = NET_ICMP6};
    struct net_ndp ndp = {
        .type = (uint8_t)harness_between(random, NET_NDP_NS, NET_NDP_NA),
        .flags = (uint8_t)harness_next(random) & 0xe0,
        .has = (uint8_t)harness_below(random, 4),
    };
    size_t bytes;

    put_some_ip(random, ndp.target);
    put_some_ip(random, ip.source);
    put_some_ip(random, ip.destination);
    ndp.source_link[0] = ndp.target_link[0] = 2;
    ndp.source_link[5] = ndp.target_link[5] = (uint8_t)harness_below(random, 20);
    bytes = ewi_net_ndp_build(frame->bytes + 54, &ndp, ewi_net_sum_ip6(ip.source, ip.destination));
    ip.payload_bytes = (uint16_t)bytes;
    ewi_net_ip6_build(frame->bytes + 14, &ip);
    ewi_net_ether_header(frame->bytes, net_everybody, (const uint8_t[6]){2, 9, 9, 9, 9, 9},
                         NET_ETHER_IP6);
    frame->out.bytes = (uint32_t)(54 + bytes);
}

static void hostile_arp(struct harness_random *random, struct frame *frame)
{
    struct net_arp arp = {
        .operation = (uint16_t)harness_between(random, 1, 2),
        .sender_mac = {2, [5] = (uint8_t)harness_below(random, 20)},
        .sender = 0x0a000000u + (uint32_t)harness_below(random, HOSTS),
        .target = 0x0a000000u + (uint32_t)harness_below(random, HOSTS),
    };

    ewi_net_arp_build(frame->bytes + 14, &arp);
    ewi_net_ether_header(frame->bytes, net_everybody, (const uint8_t[6]){2, 9, 9, 9, 9, 9},
                         NET_ETHER_ARP);
    frame->out.bytes = 42;
}

static void hostile_one(struct harness_random *random)
{
    struct frame frame = {.bytes = {0}};

    if (harness_below(random, 2) == 0)
        hostile_arp(random, &frame);
    else
        hostile_ndp(random, &frame);
    put_on_wire(random, &frame);
}

static void time_passes(struct harness_random *random)
{
    uint64_t ns = harness_below(random, harness_below(random, 10) == 0 ? 20 * SEC : 300 * MS);

    for (uint32_t i = 0; i < STATIONS; i++) {
        net_of(i)->now += ns;
        if (harness_below(random, 4) != 0) /* some shells are late */
            ewi_net_link_tick(net_of(i));
        check(i);
    }
}

static void do_one(struct harness_random *random)
{
    uint32_t i = (uint32_t)harness_below(random, STATIONS);
    uint64_t what = harness_below(random, 100);

    if (what < 25)
        send_one(random, i);
    else if (what < 40)
        park_one(random, i);
    else if (what < 45)
        confirm_one(random, i);
    else if (what < 60)
        depart_some(random, i, harness_below(random, 20));
    else if (what < 85)
        for (uint64_t n = harness_below(random, 10); n > 0; n--)
            arrive_one(random);
    else if (what < 92)
        hostile_one(random);
    else
        time_passes(random);
    check(i);
}

/* ---- a run ---- */

static void begin(void)
{
    memset(&wire, 0, sizeof(wire));
    memset(waits, 0, sizeof(waits));
    for (uint32_t i = 0; i < STATIONS; i++)
        addressed(i);
}

static void settle(struct harness_random *random)
{
    for (uint32_t i = 0; i < STATIONS; i++) {
        const struct net_links *link = &net_of(i)->link;

        depart_some(random, i, UINT64_MAX);
        pass(net_of(i), 100 * SEC);
        check(i);
        CHECK_EQ(link->slots.used, 0);
        CHECK_EQ(link->waiting, 0);
        CHECK_EQ(link->answers, 0);
        CHECK_EQ(link->neighbours.list[NET_LIST_DEAD].count, 0);
        for (uint32_t n = 0; n < parked[i]; n++)
            CHECK_EQ(waits[i][n], 2);
        CHECK_EQ(ewi_net_link_deadline(net_of(i)), NET_NEVER);
    }
}

static void storm(uint64_t seed)
{
    struct harness_random random = {seed};
    uint64_t all = 0;

    begin();
    for (uint32_t i = 0; i < STATIONS; i++)
        sent[i] = left[i] = received[i] = parked[i] = told[i] = 0;
    for (int n = 0; n < EVENTS; n++)
        do_one(&random);
    settle(&random);
    for (uint32_t i = 0; i < STATIONS; i++) {
        CHECK(parked[i] > 10 && left[i] > 10);
        all += received[i];
    }
    CHECK(all > 100);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        storm(seed);
    }
    return 0;
}
