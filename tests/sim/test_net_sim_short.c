/* tests/sim/test_net_sim_short.c - is the short way of a segment the same as the steps of RFC 9293?
 *
 * Two ends talk over a wire that loses, doubles, delays and marks, as the seed says. Each end is there
 * twice, from one seed, and gets the same calls and packets; one of the two has no short way. After
 * every call both must have answered the same, sent the same frames and hold the same connections, byte
 * by byte: transport/net/tcp_input.c, is_expected(). */
#include "tests/sim/net_twins.h"

/* ---- users ---- */

static void do_send(struct end *end, ewi_stream stream)
{
    uint32_t bytes = chance(700) ? 64 : 1 + (uint32_t)harness_below(&world.random, 15000);
    struct stack_span span = {text + harness_below(&world.random, SPAN - bytes), bytes};
    int64_t got[TWINS];

    for (int i = 0; i < TWINS; i++)
        got[i] = ewi_net_send(end->net[i], stream, &span, 1);
    CHECK_EQ(got[0], got[1]);
}

static void do_receive(struct end *end, ewi_stream stream)
{
    static uint8_t into[TWINS][SPAN];
    uint32_t bytes = chance(700) ? SPAN : 1 + (uint32_t)harness_below(&world.random, 200);
    int64_t got[TWINS];

    for (int i = 0; i < TWINS; i++) {
        struct stack_room room = {into[i], bytes};

        got[i] = ewi_net_recv_into(end->net[i], stream, &room, 1);
    }
    CHECK_EQ(got[0], got[1]);
    if (got[0] > 0)
        CHECK(memcmp(into[0], into[1], (size_t)got[0]) == 0);
}

static void do_tokens(struct end *end, int which)
{
    int got[TWINS];

    if (end->tokens[which] != 0) {
        for (int i = 0; i < TWINS; i++)
            ewi_net_release(end->net[i], end->token[i][which], end->tokens[which]);
        end->tokens[which] = 0;
        return;
    }
    for (int i = 0; i < TWINS; i++)
        got[i] = ewi_net_recv(end->net[i], end->stream[which], end->token[i][which], TOKENS);
    CHECK_EQ(got[0], got[1]);
    end->tokens[which] = got[0] > 0 ? (uint32_t)got[0] : 0;
}

static void do_end(struct end *end, int which, bool whole)
{
    for (int i = 0; i < TWINS; i++) {
        if (whole)
            CHECK(ewi_net_finish(end->net[i], end->stream[which], false, world.now) == 0);
        else
            (void)ewi_net_shutdown(end->net[i], end->stream[which]);
    }
    end->is_finished[which] = whole;
}

/* As an ICMP message that quotes the stream would; or it forgets the peer's window and sends beyond. */
static void upset(struct end *end, int which)
{
    bool is_greedy = chance(500);

    for (int i = 0; i < TWINS; i++) {
        struct net_conn *conn = ewi_net_conn_find(end->net[i], end->stream[which]);

        if (conn != NULL && is_greedy)
            conn->snd_wnd = ewi_max_u32(conn->snd_wnd, 1 << 20);
        else if (conn != NULL)
            conn->soft_error = EHOSTUNREACH;
    }
}

static void user(struct end *end)
{
    int which = (int)harness_below(&world.random, STREAMS);
    uint64_t what = harness_below(&world.random, 1000);

    if (end->stream[which] == 0 || end->is_finished[which] || !chance(world.busy))
        return;
    if (what < 450)
        do_send(end, end->stream[which]);
    else if (what < 850 && !chance(world.lazy))
        do_receive(end, end->stream[which]);
    else if (what < 900)
        do_tokens(end, which);
    else if (what > 990)
        upset(end, which);
    else if (what < 902)
        do_end(end, which, what == 900);
    compare(end);
}

/* ---- a world ---- */

static struct stack_addr address(int end, uint16_t port)
{
    return (struct stack_addr){.family = 4, .port = port, .ip = {10, 0, 0, (uint8_t)(1 + end)}};
}

static void set(struct end *end, enum net_option option, uint64_t value)
{
    for (int i = 0; i < TWINS; i++)
        CHECK_EQ(ewi_net_set(end->net[i], 0, option, value), 0);
}

static void set_some(struct end *end)
{
    set(end, NET_OPTION_TIMESTAMPS, chance(800));
    set(end, NET_OPTION_SACK, chance(900));
    set(end, NET_OPTION_NODELAY, chance(700));
    set(end, NET_OPTION_QUICK_ACK, chance(100));
    set(end, NET_OPTION_ECN, chance(400));
    set(end, NET_OPTION_CONGESTION, harness_below(&world.random, NET_CC_KINDS));
    set(end, NET_OPTION_KEEPALIVE_NS, chance(300) ? 50 * MS : 0);
    if (chance(300))
        set(end, NET_OPTION_RECV_BYTES, 16384);
}

static void open_end(int which)
{
    struct end *end = &world.end[which];
    struct net_port_config port = {
        .mac = {2, 0, 0, 0, 0, (uint8_t)(1 + which)}, .mtu = world.mtu, .caps = NET_PORT_ETHERNET};
    struct stack_addr own = address(which, 0), other = address(!which, 0);
    const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(2 - which)};
    uint8_t seed[32] = {(uint8_t)(7 + which)};
    struct net_config config;

    ewi_net_config_for(&config, 16);
    if (world.few_runs) /* so that segments share them */
        config.runs_max = 8;
    for (int i = 0; i < TWINS; i++) {
        end->memory[i] = aligned_alloc(64, (ewi_net_bytes(&config) + 63) / 64 * 64);
        CHECK(end->memory[i] != NULL);
        end->net[i] = ewi_net_init(end->memory[i], &config, seed, world.now);
        CHECK(end->net[i] != NULL);
        CHECK(ewi_net_port_add(end->net[i], &port) == 0);
        CHECK(ewi_net_address_add(end->net[i], 0, &own, 8, NET_ADDRESS_SURE) == 0);
        CHECK(ewi_net_neighbour_add(end->net[i], 0, &other, mac) == 0);
    }
    end->net[1]->tcp.no_short_way = true;
    set_some(end);
}

static void open_world(bool is_clean)
{
    memset(&world, 0, sizeof(world));
    world.random.state = harness.seed;
    world.now = 1000 * MS;
    world.delay = 10 * US + harness_below(&world.random, chance(300) ? 5 * MS : 200 * US);
    world.mtu = chance(300) ? 9000 : 1500;
    world.few_runs = chance(200);
    world.lazy = chance(300) ? 950 : 0;
    world.busy = 20 + (uint32_t)harness_below(&world.random, is_clean ? 200 : 900);
    if (!is_clean) {
        world.loss = (uint32_t)harness_below(&world.random, 60);
        world.twice = (uint32_t)harness_below(&world.random, 40);
        world.marks = (uint32_t)harness_below(&world.random, 200);
        world.late = (uint32_t)harness_below(&world.random, 100);
        world.copies = chance(300);
    }
    for (int i = 0; i < ENDS; i++)
        open_end(i);
}

static void connect_all(void)
{
    struct stack_addr local = address(1, PORT);
    ewi_stream stream;

    for (int i = 0; i < TWINS; i++)
        CHECK(ewi_net_listen(world.end[1].net[i], &local, 16, 0, &world.listener) == 0);
    for (int k = 0; k < STREAMS; k++)
        for (int i = 0; i < TWINS; i++) {
            CHECK(ewi_net_connect(world.end[0].net[i], NULL, &local, (uint64_t)k, world.now,
                                  &stream) == 0);
            CHECK(i == 0 || stream == world.end[0].stream[k]);
            world.end[0].stream[k] = stream;
        }
}

static void accept_some(void)
{
    ewi_stream stream[TWINS];
    int code[TWINS];

    for (int k = 0; k < STREAMS; k++) {
        if (world.end[1].stream[k] != 0)
            continue;
        for (int i = 0; i < TWINS; i++)
            code[i] = ewi_net_accept(world.end[1].net[i], world.listener, (uint64_t)k, &stream[i]);
        CHECK_EQ(code[0], code[1]);
        if (code[0] != 0)
            return;
        CHECK_EQ(stream[0], stream[1]);
        world.end[1].stream[k] = stream[0];
    }
}

static void step(void)
{
    world.now += chance(950) ? harness_below(&world.random, 20 * US + world.delay / 4)
                             : harness_below(&world.random, chance(100) ? 400 * MS : 3 * MS);
    arrive_all();
    accept_some();
    for (int e = 0; e < ENDS; e++) {
        struct end *end = &world.end[e];

        for (int i = 0; i < TWINS; i++)
            ewi_net_tick(end->net[i], world.now);
        compare(end);
        for (int i = 0; i < 3; i++)
            user(end);
        leave(e);
        give_back(end);
        if (chance(500))
            compare_events(end->net);
    }
}

static void close_world(void)
{
    for (int e = 0; e < ENDS; e++) {
        struct end *end = &world.end[e];

        for (int i = 0; i < TWINS; i++) {
            CHECK(ewi_net_check(end->net[i]) == NULL);
            for (int k = 0; k < STREAMS; k++) {
                if (end->tokens[k] != 0)
                    ewi_net_release(end->net[i], end->token[i][k], end->tokens[k]);
                if (end->stream[k] != 0 && !end->is_finished[k])
                    (void)ewi_net_finish(end->net[i], end->stream[k], true, world.now);
            }
        }
        compare(end);
        compare_events(end->net);
        give_back(end);
        for (int i = 0; i < TWINS; i++)
            free(end->memory[i]);
    }
    while (world.buffers != NULL) /* of streams that nobody accepted */
        give_buffer(world.buffers);
}

/* Segments that the ends accepted, and those of them that went the short way. */
static void play(bool is_clean, uint64_t *accepted, uint64_t *expected)
{
    open_world(is_clean);
    connect_all();
    for (int i = 0; i < STEPS; i++)
        step();
    for (int e = 0; e < ENDS; e++) {
        *accepted += world.end[e].net[0]->count.accepted;
        *expected += world.end[e].net[0]->tcp.short_ways;
        CHECK_EQ(world.end[e].net[1]->tcp.short_ways, 0);
    }
    close_world();
}

static void both_ways_do_the_same_on_any_wire(void)
{
    uint64_t accepted = 0, expected = 0;

    play(false, &accepted, &expected);
    CHECK(accepted != 0);
}

static void both_ways_do_the_same_on_a_clean_wire(void)
{
    uint64_t accepted = 0, expected = 0;

    play(true, &accepted, &expected);
    CHECK(accepted != 0);
}

static void many_segments_go_the_short_way(void)
{
    uint64_t accepted = 0, expected = 0, seed = harness.seed;

    for (uint64_t i = 0; i < 16; i++) {
        harness.seed = seed + i * UINT64_C(1000000007);
        play(i % 4 != 0, &accepted, &expected);
    }
    harness.seed = seed;
    CHECK(expected > accepted / 10);
}

/* ---- what is touched ---- */

/* Everything of the connection but NET_CONN_HOT_BYTES becomes other bytes; again: as it was. */
static void spoil(struct net_conn *conn, uint8_t mask)
{
    const size_t from = offsetof(struct net_conn, queue.end), to = from + NET_CONN_HOT_BYTES;
    uint8_t *bytes = (uint8_t *)conn;

    for (size_t i = 0; i < sizeof(*conn); i++)
        if (i < from || i >= to)
            bytes[i] ^= mask;
}

static void carry(int from)
{
    leave(from);
    world.now += world.delay;
    arrive_all();
}

static struct net_conn *server_conn(int twin)
{
    return ewi_net_conn_find(world.end[1].net[twin], world.end[1].stream[0]);
}

static void open_quiet_world(void)
{
    open_world(true);
    for (int e = 0; e < ENDS; e++) {
        set(&world.end[e], NET_OPTION_SACK, 1);
        set(&world.end[e], NET_OPTION_NODELAY, 1);
        set(&world.end[e], NET_OPTION_KEEPALIVE_NS, 0);
        for (int i = 0; i < TWINS; i++)
            world.end[e].net[i]->tcp.no_short_way = false;
    }
    connect_all();
    for (int i = 0; i < 8; i++)
        carry(i % ENDS);
    accept_some();
}

static void text_in_order_needs_no_more_than_the_hot_bytes(void)
{
    const struct stack_span span = {text, 64};
    uint64_t before;
    uint8_t mask;

    open_quiet_world();
    before = world.end[1].net[1]->tcp.short_ways;
    for (int i = 0; i < 20; i++) {
        for (int twin = 0; twin < TWINS; twin++)
            CHECK_EQ(ewi_net_send(world.end[0].net[twin], world.end[0].stream[0], &span, 1), 64);
        leave(0);
        world.now += world.delay;
        CHECK_EQ(world.flyings, 1);
        mask = (uint8_t)harness_between(&world.random, 1, UINT8_MAX);
        spoil(server_conn(1), mask);
        world.is_spoilt = true; /* compare() would see it */
        arrive_all();
        world.is_spoilt = false;
        spoil(server_conn(1), mask);
        compare(&world.end[1]);
        do_receive(&world.end[1], world.end[1].stream[0]);
        world.now += 50 * MS; /* the ACK */
        for (int twin = 0; twin < TWINS; twin++)
            ewi_net_tick(world.end[1].net[twin], world.now);
        carry(1);
    }
    CHECK_EQ(world.end[1].net[1]->tcp.short_ways - before, 20);
    close_world();
}

int main(int argc, char **argv)
{
    for (uint32_t i = 0; i < SPAN; i++)
        text[i] = (uint8_t)(i * 7 ^ i >> 8);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        for (int i = 0; i < 4; i++) {
            harness.seed = seed + (uint64_t)i * UINT64_C(1000000007);
            RUN(both_ways_do_the_same_on_any_wire);
            RUN(both_ways_do_the_same_on_a_clean_wire);
        }
        harness.seed = seed;
        RUN(text_in_order_needs_no_more_than_the_hot_bytes);
        RUN(many_segments_go_the_short_way);
    }
    return 0;
}
