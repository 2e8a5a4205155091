/* tests/sim/test_net_sim_short.c - is the short way of a segment the same as the steps of RFC 9293?
 *
 * Two ends talk over a wire that loses, doubles, delays and marks, as the seed says. Each end is there
 * twice, from one seed, and gets the same calls and packets; one of the two has no short way. After
 * every call both must have answered the same, sent the same frames and hold the same connections, byte
 * by byte: transport/net/tcp_input.c, is_expected(). */
#include "tests/c/harness.h"
#include "transport/net/tcp_parts.h"

#define US UINT64_C(1000)
#define MS (1000 * US)

enum { ENDS = 2, TWINS = 2, ROOM = 9216, FRAMES = 8, FLYING = 512, STREAMS = 3, STEPS = 4000 };
enum { PORT = 80, EVENTS = 16, TOKENS = 4, SPAN = 1 << 16 };

struct flying {
    uint64_t at;
    int to;
    uint32_t bytes;
    uint8_t frame[ROOM];
};

struct buffer { /* of the driver */
    struct buffer *prev, *next;
    uint8_t bytes[ROOM];
};

struct end {
    struct ewi_net *net[TWINS];
    void *memory[TWINS];
    ewi_stream stream[STREAMS];
    bool is_finished[STREAMS];
    struct net_token token[TWINS][STREAMS][TOKENS];
    uint32_t tokens[STREAMS];
};

static struct {
    struct harness_random random;
    struct end end[ENDS];
    struct flying flying[FLYING];
    uint32_t flyings;
    uint64_t now;
    uint32_t loss, twice, marks, late; /* of 1000 */
    uint32_t busy, lazy;               /* users do something; and do not read */
    uint64_t delay;
    uint16_t mtu;
    bool few_runs;
    bool copies; /* packets without a reference */
    ewi_stream listener;
    struct buffer *buffers; /* that stacks hold */
} world;

static uint8_t text[SPAN];

static bool chance(uint32_t of_thousand)
{
    return harness_below(&world.random, 1000) < of_thousand;
}

/* ---- the same? ---- */

static void compare_events(struct ewi_net *net[TWINS])
{
    struct stack_event events[TWINS][EVENTS];
    uint32_t count[TWINS];

    memset(events, 0, sizeof(events));
    do {
        for (int i = 0; i < TWINS; i++)
            count[i] = ewi_net_events(net[i], events[i], EVENTS);
        CHECK_EQ(count[0], count[1]);
        for (uint32_t i = 0; i < count[0]; i++) {
            CHECK_EQ(events[0][i].user, events[1][i].user);
            CHECK_EQ(events[0][i].stream, events[1][i].stream);
            CHECK_EQ(events[0][i].bits, events[1][i].bits);
        }
    } while (count[0] == EVENTS);
}

static void compare(const struct end *end)
{
    struct ewi_net *a = end->net[0], *b = end->net[1];

    CHECK_EQ(ewi_net_deadline(a), ewi_net_deadline(b));
    CHECK(memcmp(&a->count, &b->count, sizeof(a->count)) == 0);
    CHECK_EQ(a->tcp.conns.used, b->tcp.conns.used);
    CHECK_EQ(a->tcp.runs.free, b->tcp.runs.free);
    CHECK_EQ(a->tcp.spans.free, b->tcp.spans.free);
    CHECK_EQ(a->packets.charged, b->packets.charged);
    for (uint32_t i = 0; i < a->tcp.conns.fresh; i++) {
        if (!ewi_net_pool_is_taken(&a->tcp.conns, i))
            continue;
        CHECK(ewi_net_pool_is_taken(&b->tcp.conns, i));
        CHECK_EQ(ewi_net_events_of(&a->tcp.events, i), ewi_net_events_of(&b->tcp.events, i));
        CHECK(memcmp(ewi_net_conn(a, i), ewi_net_conn(b, i), sizeof(struct net_conn)) == 0);
    }
}

/* ---- buffers ---- */

static struct buffer *take_buffer(void)
{
    struct buffer *buffer = malloc(sizeof(*buffer));

    CHECK(buffer != NULL);
    buffer->prev = NULL;
    buffer->next = world.buffers;
    if (buffer->next != NULL)
        buffer->next->prev = buffer;
    world.buffers = buffer;
    return buffer;
}

static void give_buffer(struct buffer *buffer)
{
    if (buffer->prev != NULL)
        buffer->prev->next = buffer->next;
    else
        world.buffers = buffer->next;
    if (buffer->next != NULL)
        buffer->next->prev = buffer->prev;
    free(buffer);
}

/* ---- the wire ---- */

static void fly(int to, const uint8_t *frame, uint32_t bytes)
{
    struct flying *flying = &world.flying[world.flyings];

    if (world.flyings == FLYING)
        return;
    world.flyings += 1;
    flying->at = world.now + world.delay;
    if (chance(world.late))
        flying->at += harness_below(&world.random, 3 * world.delay);
    flying->to = to;
    flying->bytes = bytes;
    memcpy(flying->frame, frame, bytes);
    if ((frame[15] & 3) == 2 && chance(world.marks)) { /* RFC 3168 section 5: CE; the sum as in RFC 1624 */
        uint32_t sum = (uint32_t)(frame[24] << 8 | frame[25]);

        flying->frame[15] |= 3;
        sum = sum == 0 ? 0xfffe : sum - 1;
        flying->frame[24] = (uint8_t)(sum >> 8);
        flying->frame[25] = (uint8_t)sum;
    }
}

static void leave(int from)
{
    static uint8_t rooms[TWINS][FRAMES][ROOM];
    struct net_frame frames[TWINS][FRAMES];
    uint32_t count[TWINS], room = 1 + (uint32_t)harness_below(&world.random, FRAMES);
    struct end *end = &world.end[from];

    do {
        for (int i = 0; i < TWINS; i++) {
            for (int k = 0; k < FRAMES; k++)
                frames[i][k] = (struct net_frame){.room = rooms[i][k], .room_bytes = ROOM};
            count[i] = ewi_net_output(end->net[i], world.now, frames[i], room);
        }
        CHECK_EQ(count[0], count[1]);
        for (uint32_t k = 0; k < count[0]; k++) {
            CHECK_EQ(frames[0][k].bytes, frames[1][k].bytes);
            CHECK(memcmp(rooms[0][k], rooms[1][k], frames[0][k].bytes) == 0);
            if (chance(world.loss))
                continue;
            fly(!from, rooms[0][k], frames[0][k].bytes);
            if (chance(world.twice))
                fly(!from, rooms[0][k], frames[0][k].bytes);
        }
        compare(end);
    } while (count[0] == room);
}

static void give_back(struct end *end)
{
    void *refs[FRAMES];
    uint32_t count[TWINS];

    do {
        for (int i = 0; i < TWINS; i++) {
            count[i] = ewi_net_reclaim(end->net[i], refs, FRAMES);
            for (uint32_t k = 0; k < count[i]; k++)
                give_buffer(refs[k]);
        }
        CHECK_EQ(count[0], count[1]);
    } while (count[0] == FRAMES);
}

/* A segment of long ago, as RFC 7323 section 5.2 fears it. True: the sum is not to be looked at. */
static bool make_old(uint8_t *frame, uint32_t bytes)
{
    enum { TIMES_AT = 14 + 20 + 20 };
    static const uint8_t times[4] = {1, 1, 8, 10};

    if (bytes < TIMES_AT + 12 || memcmp(frame + TIMES_AT, times, sizeof(times)) != 0)
        return false;
    frame[TIMES_AT + 5] ^= 0x40; /* of TSval: half an hour or so */
    return true;
}

static void arrive(struct flying *flying)
{
    struct end *end = &world.end[flying->to];
    bool is_old = chance(world.late / 4) && make_old(flying->frame, flying->bytes);
    struct net_rx rx[TWINS];

    for (int i = 0; i < TWINS; i++) {
        struct buffer *buffer = take_buffer();

        memcpy(buffer->bytes, flying->frame, flying->bytes);
        rx[i] = (struct net_rx){.data = buffer->bytes,
                                .ref = world.copies ? NULL : buffer,
                                .bytes = flying->bytes,
                                .room = ROOM - flying->bytes,
                                .flags = is_old ? NET_RX_SUM_GOOD : 0,
                                .charge = ROOM};
        ewi_net_input(end->net[i], world.now, &rx[i], 1);
        if ((rx[i].flags & NET_RX_KEPT) == 0)
            give_buffer(buffer);
    }
    CHECK_EQ(rx[0].flags, rx[1].flags);
    compare(end);
}

static void arrive_all(void)
{
    for (uint32_t i = 0; i < world.flyings;) {
        if (world.flying[i].at > world.now) {
            i += 1;
            continue;
        }
        arrive(&world.flying[i]);
        world.flyings -= 1;
        memmove(&world.flying[i], &world.flying[i + 1],
                (world.flyings - i) * sizeof(world.flying[0]));
    }
}

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

/* As an ICMP message that quotes the stream would. */
static void say_unreachable(struct end *end, int which)
{
    for (int i = 0; i < TWINS; i++) {
        struct net_conn *conn = ewi_net_conn_find(end->net[i], end->stream[which]);

        if (conn != NULL)
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
        say_unreachable(end, which);
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
    CHECK(accepted > 100);
}

static void both_ways_do_the_same_on_a_clean_wire(void)
{
    uint64_t accepted = 0, expected = 0;

    play(true, &accepted, &expected);
    CHECK(accepted > 100);
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
        RUN(many_segments_go_the_short_way);
    }
    return 0;
}
