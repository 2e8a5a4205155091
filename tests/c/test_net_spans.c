/* The pool of spans is empty: who waits for one is told, and what holds them all still leaves. */
#include <errno.h>

#include "tests/c/harness.h"
#include "transport/net/net.h"
#include "transport/net/rows.h"

enum { SPANS = 4, APART = 64, PIECE = 10, STREAMS = 2, ROOM = 2048, FRAMES = 16, STEPS = 4000 };

#define SECOND UINT64_C(1000000000)

static struct ewi_net *net[2]; /* client, server */
static void *memory[2];
static uint64_t now;
static ewi_stream client[STREAMS], server[STREAMS];
static uint8_t bytes[(SPANS + 1) * APART]; /* with gaps, so that no two pieces become one span */
static uint32_t told[STREAMS]; /* events of the clients */

static struct stack_addr address(int side, uint16_t port)
{
    return (struct stack_addr){.family = 4, .port = port, .ip = {10, 0, 0, (uint8_t)(1 + side)}};
}

static void open_end(int side)
{
    static const uint8_t seed[32] = "spans";
    const struct net_port_config port = {.mtu = 1500};
    const struct stack_addr own = address(side, 0);
    struct net_config config;
    size_t size;

    ewi_net_config_for(&config, 4);
    config.spans_max = SPANS;
    size = (size_t)ewi_align_up(ewi_net_bytes(&config), NET_ALIGN);
    memory[side] = aligned_alloc(NET_ALIGN, size);
    CHECK(size != 0 && memory[side] != NULL);
    memset(memory[side], 0, size);
    net[side] = ewi_net_init(memory[side], &config, seed, now);
    CHECK(net[side] != NULL && ewi_net_port_add(net[side], &port) == 0);
    CHECK_EQ(ewi_net_address_add(net[side], 0, &own, 24, NET_ADDRESS_SURE), 0);
}

static void move(int from)
{
    static uint8_t room[FRAMES][ROOM];
    struct net_frame frame = {.room = room[0], .room_bytes = ROOM};

    while (ewi_net_output(net[from], now, &frame, 1) == 1) {
        struct net_rx rx = {.data = room[0], .bytes = frame.bytes, .charge = frame.bytes};

        ewi_net_input(net[!from], now, &rx, 1);
        frame = (struct net_frame){.room = room[0], .room_bytes = ROOM};
    }
}

static void take_events(void)
{
    struct stack_event event;

    while (ewi_net_events(net[0], &event, 1) == 1)
        if (event.user >= 1 && event.user <= STREAMS)
            told[event.user - 1] |= event.bits;
    while (ewi_net_events(net[1], &event, 1) == 1)
        continue;
}

/* Everything that happens within so long. */
static void pass(uint64_t ns)
{
    uint64_t until = now + ns;

    for (int i = 0; i < STEPS && now < until; i++) {
        uint64_t next = ewi_min_u64(ewi_net_deadline(net[0]), ewi_net_deadline(net[1]));

        now = ewi_min_u64(until, ewi_max_u64(next, now + 1000));
        for (int side = 0; side < 2; side++) {
            ewi_net_tick(net[side], now);
            move(side);
        }
        take_events();
        CHECK(ewi_net_check(net[0]) == NULL && ewi_net_check(net[1]) == NULL);
    }
    CHECK(now == until);
}

static void begin(void)
{
    const struct stack_addr local = address(1, 80);
    ewi_stream listener;

    now = SECOND;
    memset(told, 0, sizeof(told));
    open_end(0);
    open_end(1);
    CHECK_EQ(ewi_net_listen(net[1], &local, STREAMS, 0, &listener), 0);
    for (uint64_t i = 0; i < STREAMS; i++) {
        CHECK_EQ(ewi_net_connect(net[0], NULL, &local, i + 1, now, &client[i]), 0);
        pass(SECOND);
        CHECK_EQ(ewi_net_accept(net[1], listener, 0, &server[i]), 0);
    }
}

static void end(void)
{
    free(memory[0]);
    free(memory[1]);
}

static int64_t send_piece(uint32_t stream, uint32_t which)
{
    const struct stack_span span = {bytes + which * APART, PIECE};

    return ewi_net_send(net[0], client[stream], &span, 1);
}

static void take_all_spans(uint32_t stream)
{
    for (uint32_t i = 0; i < SPANS; i++)
        CHECK_EQ(send_piece(stream, i), PIECE);
}

static int64_t arrived(uint32_t stream)
{
    uint8_t into[SPANS * PIECE * 2];
    const struct stack_room room = {into, sizeof(into)};

    return ewi_net_recv_into(net[1], server[stream], &room, 1);
}

static void stream_that_found_no_span_is_told_when_another_one_gives_it_back(void)
{
    begin();
    take_all_spans(0);
    CHECK_EQ(send_piece(1, SPANS), -EAGAIN);
    CHECK_EQ(ewi_net_ready(net[0], client[1]) & STACK_WRITABLE, 0);
    told[1] = 0;
    pass(SECOND);
    CHECK_EQ(arrived(0), SPANS * PIECE);
    CHECK((told[1] & STACK_WRITABLE) != 0);
    CHECK((ewi_net_ready(net[0], client[1]) & STACK_WRITABLE) != 0);
    CHECK_EQ(send_piece(1, SPANS), PIECE);
    end();
}

static void corked_bytes_that_hold_all_spans_leave_all_the_same(void)
{
    begin();
    CHECK_EQ(ewi_net_set(net[0], client[0], NET_OPTION_CORK, 1), 0);
    take_all_spans(0);
    CHECK_EQ(send_piece(0, SPANS), -EAGAIN);
    pass(SECOND); /* a cork lasts 200 ms at most */
    CHECK_EQ(arrived(0), SPANS * PIECE);
    CHECK_EQ(send_piece(0, SPANS), PIECE);
    end();
}

static void corked_bytes_do_not_starve_another_stream(void)
{
    begin();
    CHECK_EQ(ewi_net_set(net[0], client[0], NET_OPTION_CORK, 1), 0);
    take_all_spans(0);
    CHECK_EQ(send_piece(1, SPANS), -EAGAIN);
    pass(SECOND);
    CHECK_EQ(send_piece(1, SPANS), PIECE);
    end();
}

int main(void)
{
    RUN(stream_that_found_no_span_is_told_when_another_one_gives_it_back);
    RUN(corked_bytes_that_hold_all_spans_leave_all_the_same);
    RUN(corked_bytes_do_not_starve_another_stream);
    return 0;
}
