/* Do the wires of the simulator do what they say, and does the watcher notice what it should? */
#include <sys/wait.h>

#include "tests/sim/net_watch.h"

enum { COUNT = 20000, BYTES = 1000 };

static uint32_t arrived, order_kept;
static uint64_t first_at, last_at, last_number;

static void begin(uint64_t seed)
{
    free(sim.heap);
    memset(&sim, 0, sizeof(sim));
    watch_clear();
    sim.random.state = seed;
    arrived = order_kept = 0;
    last_number = 0;
}

static void drain(void)
{
    while (sim.happenings > 0) {
        struct happening next = take_next();
        uint64_t number;

        CHECK(next.at >= sim.now);
        sim.now = next.at;
        memcpy(&number, next.frame->data, sizeof(number));
        order_kept += number > last_number;
        last_number = number;
        first_at = arrived == 0 ? sim.now : first_at;
        last_at = sim.now;
        arrived += 1;
        free(next.frame);
    }
}

static void send(struct wire *wire, uint32_t count)
{
    for (uint64_t i = 1; i <= count; i++) {
        struct frame *frame = frame_new(NULL, BYTES);

        memset(frame->data, 0, BYTES);
        memcpy(frame->data, &i, sizeof(i));
        wire_send(wire, 0, frame, (struct happening){.kind = AT_NODE});
    }
}

static void frames_leave_at_the_rate_and_arrive_behind_the_delay(void)
{
    struct wire wire = {.plan = {.rate = 8 * MBIT, .delay = 5 * MS}};

    begin(1);
    send(&wire, 100);
    drain();
    CHECK_EQ(arrived, 100);
    CHECK_EQ(order_kept, 100);
    CHECK_EQ(first_at, 6 * MS); /* 1000 bytes at 1 byte a us */
    CHECK_EQ(last_at, 105 * MS);
}

static void full_queue_drops_its_tail(void)
{
    struct wire wire = {.plan = {.rate = 8 * MBIT, .queue = 10 * BYTES}};

    begin(1);
    send(&wire, 100);
    drain();
    CHECK_EQ(arrived, 10);
    CHECK_EQ(wire.dropped, 90);
    CHECK_EQ(last_number, 10);
    send(&wire, 5); /* it is empty again */
    drain();
    CHECK_EQ(arrived, 15);
}

static void losses_and_copies_are_as_many_as_planned(void)
{
    struct wire wire = {.plan = {.loss = 10 * SIM_PERCENT, .twice = 5 * SIM_PERCENT}};

    begin(harness.seed);
    send(&wire, COUNT);
    drain();
    CHECK(wire.lost > COUNT / 10 * 9 / 10 && wire.lost < COUNT / 10 * 11 / 10);
    CHECK_EQ(arrived, COUNT - wire.lost + wire.doubled);
    CHECK(wire.doubled > COUNT / 20 * 8 / 10 && wire.doubled < COUNT / 20 * 12 / 10);
}

static void late_frames_are_overtaken(void)
{
    struct wire wire = {.plan = {.rate = 80 * MBIT, .late = 10 * SIM_PERCENT, .late_by = 5 * MS}};

    begin(harness.seed);
    send(&wire, 1000);
    drain();
    CHECK_EQ(arrived, 1000);
    CHECK(order_kept < 1000 && order_kept > 500);
}

static void dark_wire_swallows_everything(void)
{
    struct wire wire = {.dark_from = 10, .dark_to = 20};

    begin(1);
    send(&wire, 3);
    sim.now = 10;
    send(&wire, 4);
    sim.now = 19;
    send(&wire, 5);
    CHECK_EQ(wire.lost, 9);
    sim.now = 20;
    for (uint32_t i = 0; i < sim.happenings; i++)
        sim.heap[i].at = 20; /* those from before */
    send(&wire, 2);
    drain();
    CHECK_EQ(arrived, 5);
}

static void heap_gives_the_soonest_and_the_oldest_of_equals(void)
{
    uint64_t at = 0, order = 0;

    begin(harness.seed);
    for (int i = 0; i < 3000; i++)
        post((struct happening){.at = sim_below(500), .kind = CALL});
    for (int i = 0; i < 3000; i++) {
        struct happening next = take_next();

        CHECK(next.at > at || (next.at == at && next.order > order));
        at = next.at;
        order = next.order;
    }
    CHECK_EQ(sim.happenings, 0);
}

static void pattern_tells_every_position(void)
{
    uint8_t all[300], part[300];

    begin(harness.seed);
    pattern_fill(all, 7, 1000, sizeof(all));
    for (int i = 0; i < 500; i++) {
        uint64_t from = sim_below(300), bytes = sim_below(301 - from), wrong;

        pattern_fill(part, 7, 1000 + from, bytes);
        CHECK(memcmp(part, all + from, bytes) == 0);
        CHECK_EQ(pattern_wrong(part, 7, 1000 + from, bytes), bytes);
        if (bytes == 0)
            continue;
        wrong = sim_below(bytes);
        part[wrong] ^= 1;
        CHECK_EQ(pattern_wrong(part, 7, 1000 + from, bytes), wrong);
    }
    CHECK(pattern_wrong(all, 8, 1000, 300) < 8);
    CHECK(pattern_wrong(all, 7, 1001, 300) < 8);
}

/* ---- segments by hand ---- */

struct made {
    uint32_t sequence, acknowledgment;
    uint16_t window;
    uint8_t flags, has, scale;
    uint32_t time;
    uint32_t payload;
    bool from_b, wrong_sum, is_ip6;
    uint8_t ecn;
};

static uint32_t make(uint8_t *out, const struct made *made)
{
    uint8_t payload[2000];
    uint32_t addresses = ewi_net_sum_ip4(1, 2), ip_bytes;
    struct net_tcp tcp = {.source_port = made->from_b ? 80 : 5000,
                          .destination_port = made->from_b ? 5000 : 80,
                          .sequence = made->sequence,
                          .acknowledgment = made->acknowledgment,
                          .window = made->window,
                          .flags = made->flags,
                          .has = made->has,
                          .scale = made->scale,
                          .mss = 1460,
                          .time = made->time};
    size_t header = ewi_net_tcp_header_bytes(&tcp);
    struct net_ip4 ip = {.source = made->from_b ? 2 : 1,
                         .destination = made->from_b ? 1 : 2,
                         .payload_bytes = (uint16_t)(header + made->payload),
                         .traffic_class = made->ecn,
                         .hop_limit = 64,
                         .dont_fragment = true,
                         .protocol = NET_TCP};
    struct net_ip6 ip6 = {.payload_bytes = ip.payload_bytes,
                          .traffic_class = made->ecn,
                          .hop_limit = 64,
                          .next = NET_TCP};

    ip6.source[15] = made->from_b ? 2 : 1;
    ip6.destination[15] = made->from_b ? 1 : 2;
    pattern_fill(payload, 99, made->sequence - 1001, made->payload);
    ip_bytes = (uint32_t)(made->is_ip6 ? ewi_net_ip6_build(out, &ip6)
                                       : ewi_net_ip4_build(out, &ip));
    ewi_net_tcp_build(out + ip_bytes, &tcp, NET_TCP_ORDER_LINUX, addresses,
                      ewi_net_sum(payload, made->payload), made->payload);
    memcpy(out + ip_bytes + header, payload, made->payload);
    out[ip_bytes + 16] ^= made->wrong_sum;
    return ip_bytes + (uint32_t)header + made->payload;
}

static void sent(const struct made *made)
{
    uint8_t packet[2200];
    uint32_t bytes = make(packet, made);

    watch_sent(packet, bytes, false);
}

static void given(const struct made *made)
{
    uint8_t packet[2200];
    uint32_t bytes = make(packet, made);

    watch_given(packet, bytes, false);
}

static void both(const struct made *made)
{
    sent(made);
    given(made);
}

static const uint64_t accepted = 3000;

static void open_by_hand(void)
{
    struct made syn = {.sequence = 1000, .window = 65535, .flags = NET_TCP_SYN, .scale = 2,
                       .has = NET_TCP_HAS_MSS | NET_TCP_HAS_SCALE | NET_TCP_HAS_TIMES, .time = 50};
    struct watch_flow *flow;

    begin(1);
    both(&syn);
    syn.from_b = true;
    syn.sequence = 9000;
    syn.acknowledgment = 1001;
    syn.window = 4000;
    syn.flags |= NET_TCP_ACK;
    both(&syn);
    both(&(struct made){.sequence = 1001, .acknowledgment = 9001, .window = 1000, .flags = 16,
                        .has = NET_TCP_HAS_TIMES, .time = 51});
    CHECK_EQ(watch.flows, 1);
    for (int i = 0; i < WATCH_HEADS; i++)
        for (flow = watch.head[i]; flow != NULL; flow = flow->next)
            flow->source[0] = (struct watch_source){99, &accepted};
}

/* Does the watcher end the program? In a child, because it does. */
static bool is_noticed(const struct made *made)
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        sent(made);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 2);
    return WEXITSTATUS(status) == 1;
}

static const struct made good = {.sequence = 1001, .acknowledgment = 9001, .window = 1000,
                                 .flags = 16, .has = NET_TCP_HAS_TIMES, .time = 51,
                                 .payload = 1448};

static void good_segments_pass(void)
{
    struct made made = good;

    open_by_hand();
    CHECK(!is_noticed(&made));
    sent(&made);
    made.sequence += 1448;
    made.payload = 1000;
    sent(&made);
    CHECK(!is_noticed(&good)); /* again */
    made.flags |= NET_TCP_FIN; /* sent with the last bytes when they are sent again */
    CHECK(!is_noticed(&made));
    made.flags = NET_TCP_RST;
    made.has = 0;
    made.payload = 0;
    CHECK(!is_noticed(&made));
}

static void watcher_notices_wrong_headers(void)
{
    struct made made = good;

    open_by_hand();
    made.wrong_sum = true;
    CHECK(is_noticed(&made));
    made = good;
    made.payload = 1449;
    CHECK(is_noticed(&made)); /* the MSS is less the options */
    made = good;
    made.has = 0;
    CHECK(is_noticed(&made));
    made = good;
    made.time = 49;
    sent(&good);
    CHECK(is_noticed(&made));
    made = good;
    made.flags = 0;
    CHECK(is_noticed(&made));
    made = good;
    made.ecn = 3;
    CHECK(is_noticed(&made));
}

static void watcher_notices_windows_and_acks_that_go_back(void)
{
    struct made made = good;

    open_by_hand();
    made.window = 999;
    CHECK(is_noticed(&made)); /* 4 bytes less */
    made = good;
    made.acknowledgment = 9000;
    CHECK(is_noticed(&made));
    made.acknowledgment = 9002;
    CHECK(is_noticed(&made)); /* nobody sent that */
}

static void watcher_notices_bytes_that_may_not_leave(void)
{
    struct made made = good;

    open_by_hand();
    made.sequence += 1;
    CHECK(is_noticed(&made)); /* a gap; and not the window */
    sent(&good);
    made = good;
    made.sequence += 1448;
    made.payload = 1448;
    sent(&made);
    made.sequence += 1448;
    made.payload = 105;
    CHECK(is_noticed(&made)); /* 3001 bytes of 3000 */
    made.payload = 104;
    CHECK(!is_noticed(&made));
}

static void watcher_notices_bytes_beyond_the_window(void)
{
    struct made made = good;

    open_by_hand();
    given(&(struct made){.from_b = true, .sequence = 9001, .acknowledgment = 1001, .window = 250,
                         .flags = 16, .has = NET_TCP_HAS_TIMES, .time = 51}); /* less: ignored */
    sent(&made);
    made.sequence += 1448;
    sent(&made);
    both(&(struct made){.from_b = true, .sequence = 9001, .acknowledgment = 1001 + 2896,
                        .window = 276, .flags = 16, .has = NET_TCP_HAS_TIMES, .time = 52});
    made.sequence += 1448;
    made.payload = 104;
    CHECK(!is_noticed(&made));
    made.sequence = 1001 + 2999;
    made.payload = 1;
    CHECK(is_noticed(&made)); /* a gap */
}

static void watcher_notices_wrong_bytes_and_ends(void)
{
    struct made made = good;

    open_by_hand();
    made.sequence += 0;
    made.flags |= NET_TCP_FIN;
    sent(&made);
    made.flags = 16;
    made.sequence += 1448;
    made.payload = 1;
    CHECK(is_noticed(&made)); /* behind the FIN */
    made.payload = 0;
    made.flags |= NET_TCP_FIN;
    CHECK(!is_noticed(&made));
    made.sequence += 1;
    CHECK(is_noticed(&made)); /* a FIN elsewhere */
}

/* ---- marks and flips ---- */

static struct frame *frame_made(const struct made *made)
{
    uint8_t data[2200] = {0};
    uint32_t bytes = make(data + NET_ETHER_BYTES, made);

    put16(data + 12, made->is_ip6 ? NET_ETHER_IP6 : NET_ETHER_IP4);
    return frame_new(data, bytes + NET_ETHER_BYTES);
}

static void mark_needs_ect_and_keeps_the_checksum(void)
{
    struct made made = good;
    struct net_ip4 ip;
    struct net_ip6 ip6;

    for (int family = 0; family < 2; family++) {
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            struct frame *frame;

            made.ecn = ecn;
            made.is_ip6 = family == 1;
            frame = frame_made(&made);
            CHECK_EQ(frame_mark(frame), ecn != 0);
            if (made.is_ip6) {
                CHECK_EQ(ewi_net_ip6_parse(frame->data + 14, frame->bytes - 14, &ip6), NET_OK);
                CHECK_EQ(ip6.traffic_class, ecn != 0 ? 3 : 0);
            } else {
                CHECK_EQ(ewi_net_ip4_parse(frame->data + 14, frame->bytes - 14, &ip), NET_OK);
                CHECK_EQ(ip.traffic_class, ecn != 0 ? 3 : 0);
            }
            free(frame);
        }
    }
}

/* What is left of a corrupt packet and still passes all checksums has its bytes as they were. */
static void flips_are_found_by_checksums(void)
{
    struct made made = good;
    uint32_t found = 0;

    begin(harness.seed);
    for (int i = 0; i < COUNT; i++) {
        struct watch_segment segment = {0};
        struct watch_name name;
        uint32_t addresses, header, payload;
        struct frame *frame;
        struct net_tcp tcp;

        made.is_ip6 = (i & 1) != 0;
        frame = frame_made(&made);
        frame_corrupt(frame);
        CHECK(frame->corrupt);
        if (watch_ip(frame->data + 14, frame->bytes - 14, &name, &addresses, &header, &payload,
                     &segment.ecn) != NET_OK ||
            ewi_net_tcp_parse(frame->data + 14 + header, payload, addresses, &tcp) != NET_OK) {
            found += 1;
        } else {
            uint32_t bytes = payload - tcp.header_bytes;

            CHECK_EQ(pattern_wrong(frame->data + 14 + header + tcp.header_bytes, 99, 0, bytes),
                     bytes);
        }
        free(frame);
    }
    CHECK(found > COUNT * 9 / 10);
}

int main(int argc, char **argv)
{
    RUN(frames_leave_at_the_rate_and_arrive_behind_the_delay);
    RUN(full_queue_drops_its_tail);
    RUN(dark_wire_swallows_everything);
    RUN(mark_needs_ect_and_keeps_the_checksum);
    RUN(good_segments_pass);
    RUN(watcher_notices_wrong_headers);
    RUN(watcher_notices_windows_and_acks_that_go_back);
    RUN(watcher_notices_bytes_that_may_not_leave);
    RUN(watcher_notices_bytes_beyond_the_window);
    RUN(watcher_notices_wrong_bytes_and_ends);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        RUN(losses_and_copies_are_as_many_as_planned);
        RUN(late_frames_are_overtaken);
        RUN(heap_gives_the_soonest_and_the_oldest_of_equals);
        RUN(pattern_tells_every_position);
        RUN(flips_are_found_by_checksums);
    }
    watch_clear();
    free(sim.heap);
    return 0;
}
