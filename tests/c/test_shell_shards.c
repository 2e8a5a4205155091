/* Stacks that share one device: connections both ways, each driven by its own thread, closed in any order. */
#include "tests/c/shell_threads.h"
#include "transport/shell/steer.h"

enum { SHARDS = 2, PEER = SHARDS, AGENTS, CONNS = 64, PIECE = 20000, PORT = 7000, BLOCK = 4096, LISTENS = 1000 };

struct conn {
    ewi_stream stream;
    uint32_t got;
};

/* One stack and its thread: sends a piece on each of its connections, which comes back; and sends back what
 * others send. */
struct agent {
    struct side side;
    uint32_t number;
    struct stack_addr to;
    ewi_stream listener;
    struct conn conn[CONNS];
    uint32_t conns, open, accepted;
    pthread_t thread;
};

static struct agent agents[AGENTS];
static _Atomic uint32_t busy;

static struct stack_addr address(uint8_t family, uint8_t last)
{
    struct stack_addr addr = {.family = family, .port = PORT, .ip = {10, 0, 0, last}};

    if (family == 6)
        addr = (struct stack_addr){.family = 6, .port = PORT, .ip = {0xfd, [15] = last}};
    return addr;
}

static const char *text_of(uint8_t last, const char *device, const char *more)
{
    static char text[256];

    snprintf(text, sizeof(text), "device=wire:name=" WIRE "%s\naddress=10.0.0.%u/24\naddress=fd00::%u/64\n%s\n",
             device, last, last, more);
    return text;
}

static void open_shards(const char *device, const char *more)
{
    const uint8_t seed[32] = {7};
    char reason[STACK_REASON_BYTES] = "";
    struct stack_options options = {
        .streams_max = 256, .seed = seed, .text = text_of(1, device, more), .reason = reason};
    struct ewi_stack *stacks[SHARDS];

    CHECK_EQ(ewi_shell_open_shards(&wire_device, &options, SHARDS, stacks), 0);
    for (uint32_t i = 0; i < SHARDS; i++)
        agents[i] = (struct agent){.side = {.ops = wire_stack(), .stack = stacks[i]}, .number = i};
}

static void open_all(const char *device, const char *more)
{
    open_shards(device, more);
    agents[PEER] = (struct agent){.number = PEER, .side = open_side(text_of(2, device, more), 256, 0, 2)};
}

static void close_all(void)
{
    struct wire_look look;

    for (int i = 0; i < AGENTS; i++)
        if (agents[i].side.stack != NULL)
            agents[i].side.ops->close(agents[i].side.stack);
    CHECK(!wire_look_at(WIRE, &look));
}

/* ---- an agent ---- */

static uint8_t byte_at(const struct agent *agent, uint32_t conn, uint32_t position)
{
    return (uint8_t)(agent->number * 50 + conn * 3 + position * 7 + (position >> 8));
}

static void send_piece(struct agent *agent, uint32_t number)
{
    struct stack_span span = {.bytes = PIECE};
    uint8_t piece[PIECE];

    for (uint32_t i = 0; i < PIECE; i++)
        piece[i] = byte_at(agent, number, i);
    span.base = piece;
    CHECK_EQ(agent->side.ops->send(agent->side.stack, agent->conn[number].stream, &span, 1), PIECE);
    CHECK_EQ(agent->side.ops->watch(agent->side.stack, agent->conn[number].stream, STACK_READABLE), 0);
}

static int64_t take(struct agent *agent, ewi_stream stream, uint8_t *block)
{
    return agent->side.ops->recv_into(agent->side.stack, stream, &(struct stack_room){block, BLOCK}, 1);
}

static void compare(struct agent *agent, uint32_t number)
{
    struct conn *conn = &agent->conn[number];
    uint8_t block[BLOCK];
    int64_t got;

    while (conn->got < PIECE && (got = take(agent, conn->stream, block)) != -EAGAIN) {
        CHECK(got > 0);
        for (int64_t i = 0; i < got; i++)
            CHECK_EQ(block[i], byte_at(agent, number, conn->got + (uint32_t)i));
        conn->got += (uint32_t)got;
    }
    if (conn->got != PIECE)
        return;
    CHECK_EQ(agent->side.ops->finish(agent->side.stack, conn->stream, false, ewi_now_ns()), 0);
    conn->stream = 0;
    agent->open -= 1;
    if (agent->open == 0)
        atomic_fetch_sub(&busy, 1);
}

static void echo(struct agent *agent, ewi_stream stream)
{
    uint8_t block[BLOCK];
    int64_t got;

    while ((got = take(agent, stream, block)) > 0)
        CHECK_EQ(agent->side.ops->send(agent->side.stack, stream,
                                       &(struct stack_span){block, (size_t)got}, 1), got);
    if (got != -EAGAIN)
        CHECK_EQ(agent->side.ops->finish(agent->side.stack, stream, got < 0, ewi_now_ns()), 0);
}

/* The other half of the flows is somebody else's. */
static void check_place(const struct agent *agent, ewi_stream stream)
{
    struct stack_addr local, remote;

    CHECK_EQ(agent->side.ops->addresses(agent->side.stack, stream, &local, &remote), 0);
    if (agent->number < SHARDS)
        CHECK_EQ(ewi_steer_shard(&local, &remote, SHARDS), agent->number);
}

static void welcome(struct agent *agent)
{
    ewi_stream stream;

    while (agent->side.ops->accept(agent->side.stack, agent->listener, LISTENS, &stream) == 0) {
        check_place(agent, stream);
        agent->accepted += 1;
        CHECK_EQ(agent->side.ops->watch(agent->side.stack, stream, STACK_READABLE), 0);
    }
}

static void hear(struct agent *agent, const struct stack_event *event)
{
    if (event->stream == agent->listener) {
        welcome(agent);
    } else if (event->bits & STACK_CLOSED) {
        return;
    } else if (event->user == LISTENS) {
        echo(agent, event->stream);
    } else {
        CHECK(!(event->bits & STACK_FAILED));
        if (event->bits & STACK_CONNECTED)
            send_piece(agent, (uint32_t)event->user);
        if (event->bits & STACK_READABLE)
            compare(agent, (uint32_t)event->user);
    }
}

static void begin(struct agent *agent, uint32_t conns, const struct stack_addr *to)
{
    struct side *side = &agent->side;

    agent->conns = agent->open = conns;
    agent->accepted = 0;
    for (uint32_t i = 0; i < conns; i++) {
        agent->conn[i] = (struct conn){0};
        CHECK_EQ(side->ops->connect(side->stack, NULL, to, i, ewi_now_ns(), &agent->conn[i].stream), 0);
        check_place(agent, agent->conn[i].stream);
    }
}

static void *run(void *context)
{
    struct agent *agent = context;
    struct side *side = &agent->side;
    struct stack_event events[16];
    struct pollfd look = {.fd = side->ops->wait_fd(side->stack), .events = POLLIN};
    uint64_t deadline, end = ewi_now_ns() + 3 * WAIT_NS;

    begin(agent, agent->number == PEER ? CONNS : CONNS / 4, &agent->to);
    while (atomic_load(&busy) != 0) {
        int count = side->ops->poll(side->stack, ewi_now_ns(), events, 16, &deadline);

        CHECK(ewi_now_ns() < end);
        for (int i = 0; i < count; i++)
            hear(agent, &events[i]);
        if (side->ops->arm(side->stack, ewi_now_ns()) == 0 && atomic_load(&busy) != 0)
            CHECK(poll(&look, 1, WATCHDOG_MS) == 1); /* there is always a timer */
    }
    for (int i = 0; i < AGENTS; i++)
        agents[i].side.ops->kick(agents[i].side.stack);
    return NULL;
}

static void listen_all(uint8_t family)
{
    for (int i = 0; i < AGENTS; i++) {
        struct side *side = &agents[i].side;
        struct stack_addr at = address(family, i == PEER ? 2 : 1);

        CHECK_EQ(side->ops->listen(side->stack, &at, CONNS, LISTENS, &agents[i].listener), 0);
        agents[i].to = address(family, i == PEER ? 1 : 2);
    }
}

static void exchange(uint8_t family, const char *device)
{
    open_all(device, "detect=off");
    listen_all(family);
    atomic_store(&busy, AGENTS);
    for (int i = 0; i < AGENTS; i++)
        CHECK_EQ(pthread_create(&agents[i].thread, NULL, run, &agents[i]), 0);
    for (int i = 0; i < AGENTS; i++)
        CHECK_EQ(pthread_join(agents[i].thread, NULL), 0);
    CHECK_EQ(agents[PEER].accepted, SHARDS * (CONNS / 4));
    CHECK_EQ(agents[0].accepted + agents[1].accepted, CONNS);
    CHECK(agents[0].accepted != 0 && agents[1].accepted != 0);
    close_all();
}

static void connections_both_ways_over_two_shards_and_three_threads(void)
{
    exchange(4, "");
    exchange(6, "");
}

static void the_same_without_a_device_that_wakes(void)
{
    exchange(4, ",sleep=off");
}

/* ---- one thread ---- */

static void turn_all(void)
{
    for (int i = 0; i < AGENTS; i++) {
        turn_side(&agents[i].side);
        for (int each = 0; each < agents[i].side.kept_count; each++)
            hear(&agents[i], &agents[i].side.kept[each]);
        agents[i].side.kept_count = 0;
    }
}

static void turn_quietly(struct side *side)
{
    turn_side(side);
    side->kept_count = 0;
}

static void until_done(void)
{
    for (uint64_t end = ewi_now_ns() + WAIT_NS; atomic_load(&busy) != 0;) {
        CHECK(ewi_now_ns() < end);
        turn_all();
    }
}

static void peer_goes_on(uint32_t conns)
{
    atomic_store(&busy, 1);
    begin(&agents[PEER], conns, &agents[PEER].to);
    until_done();
}

/* The connections of a shard that is gone are over; those of the other go on, and it answers for the
 * address. */
static void a_shard_closes_and_the_other_goes_on(void)
{
    for (uint32_t first = 0; first < SHARDS; first++) {
        struct agent *left = &agents[1 - first], *gone = &agents[first];
        struct stack_addr from = address(4, 2);

        open_all("", "detect=off");
        listen_all(4);
        peer_goes_on(32);
        atomic_store(&busy, 1);
        begin(&agents[PEER], 32, &agents[PEER].to);
        for (int i = 0; i < 50; i++) { /* packets lie in the other's queue */
            turn_quietly(&agents[PEER].side);
            turn_quietly(&left->side);
        }
        gone->side.ops->close(gone->side.stack);
        gone->side.stack = NULL;
        agents[PEER].side.ops->close(agents[PEER].side.stack);
        for (int i = 0; i < 50; i++)
            turn_quietly(&left->side);
        CHECK_EQ(wire_held_by(WIRE, 0), 0); /* nothing of it stays behind */
        agents[PEER] = (struct agent){.number = PEER,
                                      .side = open_side(text_of(2, "", "detect=off"), 256, 0, 3)};
        agents[PEER].to = address(4, 1);
        do
            from.port += 1;
        while (ewi_steer_shard(&from, &agents[PEER].to, SHARDS) != left->number);
        atomic_store(&busy, 1);
        agents[PEER].open = 1;
        CHECK_EQ(left->side.ops->connect(agents[PEER].side.stack, &from, &agents[PEER].to, 0, ewi_now_ns(),
                                         &agents[PEER].conn[0].stream), 0);
        until_done();
        close_all();
    }
}

static int connect_on(struct agent *agent, uint16_t port, ewi_stream *out)
{
    struct stack_addr local = address(4, 1);

    local.port = port;
    return agent->side.ops->connect(agent->side.stack, &local, &agents[0].to, 0, ewi_now_ns(), out);
}

static void a_port_whose_answers_go_elsewhere_is_refused(void)
{
    open_all("", "detect=off");
    listen_all(4);
    for (uint16_t port = 50000; port < 50064; port++) {
        struct stack_addr local = address(4, 1);
        ewi_stream stream;

        local.port = port;
        for (uint32_t i = 0; i < SHARDS; i++)
            CHECK_EQ(connect_on(&agents[i], port, &stream),
                     ewi_steer_shard(&local, &agents[0].to, SHARDS) == i ? 0 : -EADDRNOTAVAIL);
    }
    close_all();
}

static void each_says_which_it_is(void)
{
    char answer[65536], want[64];
    struct stack_info info;

    open_all("", "detect=off");
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct side *side = &agents[i].side;
        int64_t bytes = side->ops->ask(side->stack, "port", answer, sizeof(answer) - 1);

        CHECK(bytes > 0);
        answer[bytes] = '\0';
        snprintf(want, sizeof(want), "\"shard\":%u,\"shards\":%d", i, SHARDS);
        CHECK(strstr(answer, want) != NULL);
        bytes = side->ops->ask(side->stack, "stats", answer, sizeof(answer) - 1);
        CHECK(bytes > 0);
        answer[bytes] = '\0';
        snprintf(want, sizeof(want), "\"name\":\"shard\",\"value\":%u", i);
        CHECK(strstr(answer, want) != NULL);
        CHECK_EQ(side->ops->info(side->stack, &info), 0);
        CHECK(strcmp(info.name, "wire") == 0); /* not who shares it */
    }
    close_all();
}

/* Connections that wait begin when the address is good; with an owner elsewhere every shard knows. */
static void all_look_for_another_owner_of_the_address(void)
{
    const struct stack_addr to = address(4, 3);
    ewi_stream stream[SHARDS];

    open_all("", "detect=on");
    listen_all(4);
    for (uint32_t i = 0; i < SHARDS; i++)
        CHECK_EQ(agents[i].side.ops->connect(agents[i].side.stack, NULL, &agents[i].to, 0, ewi_now_ns(),
                                             &agents[i].conn[0].stream), 0);
    atomic_store(&busy, SHARDS);
    agents[0].open = agents[1].open = 1;
    until_done();
    close_all();

    agents[PEER] = (struct agent){.number = PEER, .side = open_side(text_of(1, "", "detect=off"), 256, 0, 2)};
    open_shards("", "detect=on");
    for (uint32_t i = 0; i < SHARDS; i++)
        CHECK_EQ(agents[i].side.ops->connect(agents[i].side.stack, NULL, &to, 0, ewi_now_ns(), &stream[i]), 0);
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct side *side = &agents[i].side;

        for (uint64_t end = ewi_now_ns() + WAIT_NS; side->ops->error(side->stack, stream[i]) == 0;) {
            CHECK(ewi_now_ns() < end);
            for (int each = 0; each < AGENTS; each++)
                turn_quietly(&agents[each].side);
        }
        CHECK_EQ(side->ops->error(side->stack, stream[i]), -EADDRINUSE);
    }
    close_all();
}

static void a_number_of_shards_that_cannot_be_is_refused(void)
{
    const uint8_t seed[32] = {7};
    char reason[STACK_REASON_BYTES];
    struct stack_options options = {
        .streams_max = 64, .seed = seed, .text = text_of(1, "", ""), .reason = reason};
    struct ewi_stack *stacks[STEER_SHARDS_MAX];
    int before = open_descriptors();

    CHECK_EQ(ewi_shell_open_shards(&wire_device, &options, 0, stacks), -EINVAL);
    CHECK_EQ(ewi_shell_open_shards(&wire_device, &options, STEER_SHARDS_MAX + 1, stacks), -EINVAL);
    CHECK(strstr(reason, "9 shards") != NULL);
    options.text = text_of(1, ",ring=1", "");
    CHECK_EQ(ewi_shell_open_shards(&wire_device, &options, 2, stacks), -EINVAL);
    options.text = text_of(1, "", "gateway=10.9.9.9"); /* the stacks are there, and go with the device */
    CHECK_EQ(ewi_shell_open_shards(&wire_device, &options, 2, stacks), -EINVAL);
    CHECK_EQ(open_descriptors(), before);
}

int main(void)
{
    int before = open_descriptors();

    RUN(connections_both_ways_over_two_shards_and_three_threads);
    RUN(the_same_without_a_device_that_wakes);
    RUN(a_shard_closes_and_the_other_goes_on);
    RUN(a_port_whose_answers_go_elsewhere_is_refused);
    RUN(each_says_which_it_is);
    RUN(all_look_for_another_owner_of_the_address);
    RUN(a_number_of_shards_that_cannot_be_is_refused);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
