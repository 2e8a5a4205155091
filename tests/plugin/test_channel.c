/* tests/plugin/test_channel.c - channels over a stack from a plug-in: the same contract, another path. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "tests/plugin/base.h"

enum { ROUNDS = IS_SLOW ? 300 : 3000, LONG = 3 * 1024 * 1024, TURNS = IS_SLOW ? 6 : 20, LOOKS = 1000 };

static void close_pair(struct pair *pair)
{
    close_both(pair);
}

static void send_u64(ew_channel *channel, uint64_t number)
{
    CHECK_EQ(ew_channel_send(channel, &number, sizeof(number), PATIENCE_MS * MS, NULL), EW_OK);
}

static uint64_t receive_u64(ew_channel *channel)
{
    uint64_t number = 0;
    size_t length;
    int code = ew_channel_recv(channel, &number, sizeof(number), &length, PATIENCE_MS * MS, NULL);

    if (code != EW_OK)
        printf("(%s) ", ew_error_text());
    CHECK_EQ(code, EW_OK);
    CHECK_EQ(length, sizeof(number));
    return number;
}

static void *echo(void *channel)
{
    for (uint64_t number = 0; number < ROUNDS; number++) {
        CHECK_EQ(receive_u64(channel), number);
        send_u64(channel, number);
    }
    return NULL;
}

/* catches: a sleeper that is not woken because the stream was not armed; a path that is not shown */
static void both_ends_sleep_and_wake(void)
{
    struct pair pair = open_fabric_pair(-1);
    ew_channel_info info;
    pthread_t thread;

    connect_pair(&pair, pair.info.fabric_address);
    CHECK_EQ(path_of(pair.end[0]), EW_PATH_DPDK);
    CHECK_EQ(path_of(pair.end[1]), EW_PATH_DPDK);
    CHECK_EQ(ew_channel_get_info(pair.end[1], &info), EW_OK);
    CHECK_EQ(strncmp(info.peer_address, "dpdk://rack/127.0.0.1:", 22), 0);
    CHECK_EQ(pthread_create(&thread, NULL, echo, pair.end[1]), 0);
    for (uint64_t number = 0; number < ROUNDS; number++) {
        send_u64(pair.end[0], number);
        CHECK_EQ(receive_u64(pair.end[0]), number);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    close_pair(&pair);
}

static void *receive_long(void *channel)
{
    uint8_t *bytes = malloc(LONG);
    size_t length;

    CHECK(bytes != NULL);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(ew_channel_recv(channel, bytes, LONG, &length, PATIENCE_MS * MS, NULL), EW_OK);
        CHECK_EQ(length, LONG);
        for (size_t at = 0; at < LONG; at++)
            CHECK(bytes[at] == (uint8_t)(i + (int)(at >> 10)));
    }
    free(bytes);
    return NULL;
}

/* catches: a sender that waits for room and is never told of it: POLLOUT does not come from here */
static void long_messages_wait_for_room(void)
{
    struct pair pair = open_fabric_pair(-1);
    uint8_t *bytes = malloc(LONG);
    pthread_t thread;

    connect_pair(&pair, pair.info.fabric_address);
    CHECK(bytes != NULL);
    CHECK_EQ(pthread_create(&thread, NULL, receive_long, pair.end[1]), 0);
    for (int i = 0; i < 4; i++) {
        for (size_t at = 0; at < LONG; at++)
            bytes[at] = (uint8_t)(i + (int)(at >> 10));
        CHECK_EQ(ew_channel_send(pair.end[0], bytes, LONG, PATIENCE_MS * MS, NULL), EW_OK);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(ew_channel_close(pair.end[0], PATIENCE_MS * MS, NULL), EW_OK);
    free(bytes);
    close_pair(&pair);
}

/* catches: fileno() of a stream that has to be armed, and was not, or only the first time */
static void an_event_loop_is_woken(void)
{
    struct pair pair = open_fabric_pair(-1);
    struct pollfd wanted;

    connect_pair(&pair, pair.info.fabric_address);
    wanted = (struct pollfd){.fd = ew_channel_fileno(pair.end[1]), .events = POLLIN};
    for (uint64_t number = 0; number < ROUNDS / 3; number++) {
        uint64_t got;
        size_t length;
        int code;

        send_u64(pair.end[0], number);
        if (number % 3 == 0) { /* what it sends itself does not make it deaf */
            send_u64(pair.end[1], number);
            CHECK_EQ(receive_u64(pair.end[0]), number);
        }
        for (;;) {
            code = ew_channel_recv(pair.end[1], &got, sizeof(got), &length, 0, NULL);
            if (code == EW_OK)
                break;
            CHECK_EQ(code, EW_EAGAIN);
            if ((ew_channel_arm(pair.end[1], EW_ARM_RECV, 0) & EW_ARM_RECV) == 0)
                CHECK_EQ(poll(&wanted, 1, PATIENCE_MS), 1);
        }
        CHECK_EQ(got, number);
    }
    close_pair(&pair);
}

/* catches: fileno() that says nothing although nothing but a look of the application has been since */
static void a_sleeping_loop_hears_at_once(void)
{
    struct pair pair = open_fabric_pair(-1);
    uint64_t got, numbers = IS_SLOW ? 30 : 100, arms;
    struct pollfd wanted;
    size_t length;

    connect_pair(&pair, pair.info.fabric_address);
    wanted = (struct pollfd){.fd = ew_channel_fileno(pair.end[1]), .events = POLLIN};
    for (uint64_t number = 0; number < numbers; number++) {
        arms = arms_of(pair.server);
        while (ew_channel_arm(pair.end[1], EW_ARM_RECV, 0) != 0 || poll(&wanted, 1, 20) != 0)
            CHECK_EQ(ew_channel_recv(pair.end[1], &got, sizeof(got), &length, 0, NULL), EW_EAGAIN);
        CHECK_EQ(arms_of(pair.server) > arms, strcmp(kind->plugin, "ew_stack_arms") == 0);
        send_u64(pair.end[0], number);
        CHECK_EQ(poll(&wanted, 1, PATIENCE_MS), 1);
        while (ew_channel_recv(pair.end[1], &got, sizeof(got), &length, 0, NULL) == EW_EAGAIN)
            CHECK(ew_channel_arm(pair.end[1], EW_ARM_RECV, 0) != 0 ||
                  poll(&wanted, 1, PATIENCE_MS) == 1);
        CHECK_EQ(got, number);
    }
    close_pair(&pair);
}

/* catches: a look that arms for a fileno() which nobody has asked for; the reactor arms now and then */
static void who_looks_without_waiting_arms_nothing(void)
{
    struct pair pair = open_fabric_pair(-1);
    uint64_t arms, byte;
    size_t length;

    connect_pair(&pair, pair.info.fabric_address);
    arms = arms_of(pair.client);
    for (int look = 0; look < LOOKS; look++)
        CHECK_EQ(ew_channel_recv(pair.end[0], &byte, sizeof(byte), &length, 0, NULL), EW_EAGAIN);
    CHECK(arms_of(pair.client) - arms < LOOKS / 10);
    close_pair(&pair);
}

/* catches: a fabric's listener that only its own kind can talk to; a path that both ends must share */
static void a_kernel_socket_may_dial_the_fabric(void)
{
    struct pair pair = open_fabric_pair(-1);
    char address[96];
    ew_context *plain;

    CHECK_EQ(ew_context_open(NULL, &plain), EW_OK);
    snprintf(address, sizeof(address), "tcp://%s", strchr(pair.info.fabric_address + 7, '/') + 1);
    pair.connect =
        (ew_connect_options){.service = "storm", .address = address, .timeout_ns = PATIENCE_MS * MS};
    CHECK_EQ(ew_connect(plain, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, PATIENCE_MS * MS, NULL, &pair.end[1]), EW_OK);
    CHECK_EQ(path_of(pair.end[0]), EW_PATH_TCP);
    CHECK_EQ(path_of(pair.end[1]), EW_PATH_DPDK);
    send_u64(pair.end[0], 7);
    CHECK_EQ(receive_u64(pair.end[1]), 7);
    ew_channel_free(pair.end[0]);
    pair.end[0] = NULL;
    CHECK_EQ(ew_channel_recv(pair.end[1], address, sizeof(address), &(size_t){0}, PATIENCE_MS * MS,
                             NULL),
             EW_ELOST);
    ew_context_close(plain);
    close_pair(&pair);
}

/* ---- loss ---- */

struct flow {
    ew_channel *channel;
    _Atomic bool stop;
    _Atomic uint64_t passed;
};

/* Until 0 comes, which is the last. */
static void *count_up(void *object)
{
    struct flow *flow = object;
    uint64_t got;

    while ((got = receive_u64(flow->channel)) != 0) {
        CHECK_EQ(got, atomic_load(&flow->passed) + 1);
        atomic_store(&flow->passed, got);
    }
    return NULL;
}

static void *send_up(void *object)
{
    struct flow *flow = object;

    for (uint64_t number = 1; !atomic_load(&flow->stop); number++)
        send_u64(flow->channel, number);
    send_u64(flow->channel, 0);
    return NULL;
}

/* Both directions at once, while `disturb` does what it does. */
static void under_load(struct pair *pair, void (*disturb)(struct pair *, struct flow *))
{
    struct flow flows[4] = {{.channel = pair->end[0]}, {.channel = pair->end[1]},
                            {.channel = pair->end[1]}, {.channel = pair->end[0]}};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, i < 2 ? send_up : count_up, &flows[i]), 0);
    disturb(pair, &flows[2]);
    atomic_store(&flows[0].stop, true);
    atomic_store(&flows[1].stop, true);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void await_flow(struct flow *receiving)
{
    for (int i = 0; i < 2; i++) {
        uint64_t until = atomic_load(&receiving[i].passed) + 10;

        while (atomic_load(&receiving[i].passed) < until)
            nanosleep(&(struct timespec){.tv_nsec = 100 * 1000}, NULL);
    }
}

static void move_to(struct pair *pair, const char *address, int32_t path)
{
    int code;

    do { /* in doubt, or being moved: again */
        code = ew_channel_switch(pair->end[0], address, PATIENCE_MS * MS, NULL);
    } while (code == EW_EAGAIN);
    if (code != EW_OK)
        printf("(%s) ", ew_error_text());
    CHECK_EQ(code, EW_OK);
    CHECK_EQ(path_of(pair->end[0]), path);
}

static void lose_and_move(struct pair *pair, struct flow *receiving)
{
    for (int turn = 0; turn < TURNS; turn++) {
        ew_context *victim = turn % 2 == 0 ? pair->client : pair->server;
        bool to_shm = turn % 4 < 2;

        await_flow(receiving);
        ask(victim, "test lost");
        await_state(victim, EW_FABRIC_LOST);
        move_to(pair, to_shm ? pair->info.local_address : pair->info.tcp_address,
                to_shm ? EW_PATH_SHM : EW_PATH_TCP);
        await_flow(receiving);
        ask(victim, "test back");
        await_state(victim, EW_FABRIC_UP);
        move_to(pair, pair->info.fabric_address, EW_PATH_DPDK);
    }
}

/* catches: what was given to a stack that is gone and is not sent again; a move that waits for it */
static void a_lost_port_loses_no_message(void)
{
    struct pair pair = open_fabric_pair(PATIENCE_MS * MS);

    connect_pair(&pair, pair.info.fabric_address);
    under_load(&pair, lose_and_move);
    close_pair(&pair);
}

static void lose_and_wait(struct pair *pair, struct flow *receiving)
{
    for (int turn = 0; turn < TURNS / 2; turn++) {
        ew_context *victim = turn % 2 == 0 ? pair->client : pair->server;

        await_flow(receiving);
        ask(victim, "test lost");
        await_state(victim, EW_FABRIC_LOST);
        ask(victim, "test back");
        await_state(victim, EW_FABRIC_UP);
    }
    await_flow(receiving);
}

/* catches: a channel that does not dial the port that is back; a listener that opens elsewhere */
static void a_port_that_comes_back_is_dialled_again(void)
{
    struct pair pair = open_fabric_pair(PATIENCE_MS * MS);

    connect_pair(&pair, pair.info.fabric_address);
    under_load(&pair, lose_and_wait);
    CHECK_EQ(path_of(pair.end[0]), EW_PATH_DPDK);
    close_pair(&pair);
}

/* catches: a change that names the path of the other link */
static void changes_of_the_path_are_told(void)
{
    struct pair pair = open_fabric_pair(-1);
    ew_path_change changes[8];

    connect_pair(&pair, pair.info.fabric_address);
    move_to(&pair, pair.info.tcp_address, EW_PATH_TCP);
    move_to(&pair, pair.info.fabric_address, EW_PATH_DPDK);
    move_to(&pair, pair.info.local_address, EW_PATH_SHM);
    for (int end = 0; end < 2; end++) {
        CHECK_EQ(ew_channel_get_path_changes(pair.end[end], changes, 8), 3);
        CHECK(changes[0].from == EW_PATH_DPDK && changes[0].to == EW_PATH_TCP);
        CHECK(changes[1].from == EW_PATH_TCP && changes[1].to == EW_PATH_DPDK);
        CHECK(changes[2].from == EW_PATH_DPDK && changes[2].to == EW_PATH_SHM);
    }
    close_pair(&pair);
}

/* catches: what the events of a stream name, and nobody frees (with the address sanitizer) */
static void a_stack_may_go_before_its_streams_have_ended(void)
{
    const struct fabric_kind late = {"ew_stack_plain", "test,late"};
    struct pair pair;

    kind = &late;
    pair = open_fabric_pair(-1);
    connect_pair(&pair, pair.info.fabric_address);
    CHECK_EQ(ew_channel_close(pair.end[0], PATIENCE_MS * MS, NULL), EW_OK);
    close_pair(&pair);
    kind = kinds;
}

int main(int argc, char **argv)
{
    begin_plugin(argc, argv);
    RUN(a_stack_may_go_before_its_streams_have_ended);
    EACH_KIND(both_ends_sleep_and_wake);
    EACH_KIND(long_messages_wait_for_room);
    EACH_KIND(an_event_loop_is_woken);
    EACH_KIND(a_sleeping_loop_hears_at_once);
    EACH_KIND(who_looks_without_waiting_arms_nothing);
    RUN(a_kernel_socket_may_dial_the_fabric);
    RUN(changes_of_the_path_are_told);
    EACH_KIND(a_lost_port_loses_no_message);
    EACH_KIND(a_port_that_comes_back_is_dialled_again);
    return rmdir(directory);
}
