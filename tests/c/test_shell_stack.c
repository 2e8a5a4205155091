/* tests/c/test_shell_stack.c - transport/shell: limits, the device's moods, opening and ending. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/c/stack_pair.h"
#include "transport/net/whole.h"

enum { MS = 1000 * 1000, BLOCK = 1 << 16 };

static char block[BLOCK];

/* ---- limits ---- */

/* catches: chunks that come back and are told to nobody; a stream that takes what it cannot keep */
static void streams_share_the_pool_and_hear_of_what_comes_back(void)
{
    struct duo duo = duo_with("send_pool_bytes=1048576", "recv_bytes=65536");
    struct side *a = &duo.side[0];
    ewi_stream hungry = connect_to(&duo), hungry_there;
    const struct stack_span span = {block, BLOCK};
    int64_t step = 1;

    await_event(&duo, 0, hungry, STACK_CONNECTED, USER_OPENER);
    hungry_there = accept_one(&duo);
    for (uint64_t end = ewi_now_ns() + 100 * MS; ewi_now_ns() < end;) { /* the peer's window, then the pool */
        step = send_bytes(&duo, 0, block, BLOCK);
        forget_events(&duo);
        turn(&duo);
    }
    CHECK_EQ(step, -EAGAIN);
    CHECK_EQ(a->stack->chunks.free, 0);
    CHECK_EQ(a->ops->send(a->stack, hungry, &span, 1), -EAGAIN);
    CHECK_EQ(a->ops->ready(a->stack, hungry) & STACK_WRITABLE, 0);
    CHECK_EQ(a->ops->watch(a->stack, hungry, STACK_WRITABLE), 0);
    CHECK(a->ops->stream_fd(a->stack, hungry) >= 0);
    CHECK_EQ(a->ops->stream_arm(a->stack, hungry, ewi_now_ns()), 0);
    expect_quiet(&duo, 0);
    CHECK(!is_readable(a->ops->stream_fd(a->stack, hungry)));
    while (!is_readable(a->ops->stream_fd(a->stack, hungry)))
        CHECK(receive(&duo, 1, block, BLOCK) > 0);
    await_event(&duo, 0, hungry, STACK_WRITABLE, USER_OPENER);
    CHECK(a->ops->send(a->stack, hungry, &span, 1) > 0);
    (void)hungry_there;
    duo_close(&duo);
}

/* catches: a pool that is not whole again when the streams are gone */
static void chunks_come_back_with_their_stream(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    uint32_t all = a->stack->chunks.free;

    CHECK(send_bytes(&duo, 0, block, BLOCK) > 0);
    CHECK(a->stack->chunks.free < all);
    CHECK_EQ(a->ops->finish(a->stack, duo.opener, true, ewi_now_ns()), 0);
    await_event(&duo, 0, duo.opener, STACK_CLOSED, USER_OPENER);
    CHECK_EQ(a->stack->chunks.free, all);
    duo_close(&duo);
}

/* catches: a limit that is no limit, a slot lost with each refusal */
static void more_streams_than_there_may_be_are_refused(void)
{
    struct duo duo = duo_on("", "", 16, 0);
    struct side *a = &duo.side[0];
    ewi_stream stream[64];
    struct stack_info info;
    int open = 0, code = 0;

    listen_on(&duo);
    for (int round = 0; round < 3; round++) {
        for (open = 0; open < 64; open++) {
            code = a->ops->connect(a->stack, NULL, &duo.address, (uint64_t)open, ewi_now_ns(), &stream[open]);
            if (code != 0)
                break;
        }
        CHECK(code == -EMFILE || code == -ENOBUFS);
        CHECK_EQ(open, 16);
        CHECK_EQ(a->ops->info(a->stack, &info), 0);
        CHECK_EQ(info.streams, 16);
        for (int i = 0; i < open; i++) {
            CHECK_EQ(a->ops->finish(a->stack, stream[i], true, ewi_now_ns()), 0);
            await_event(&duo, 0, stream[i], STACK_CLOSED, (uint64_t)i);
        }
    }
    duo_close(&duo);
}

/* ---- the device ---- */

/* catches: frames that a full device did not take, and nobody tries again */
static void full_device_loses_nothing(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    struct stack_event event;
    uint64_t deadline, now;

    for (int i = 0; i < 5; i++) {
        uint64_t began = ewi_now_ns();

        wire_set_full(WIRE, 0, true);
        CHECK_EQ(send_text(&duo, 0, "patience"), 8);
        now = ewi_now_ns();
        (void)a->ops->poll(a->stack, now, &event, 1, &deadline);
        if (a->stack->frames_left != 0)
            CHECK(deadline <= now + SHELL_RETRY_NS);
        if (a->stack->frames_left != 0 && ewi_net_deadline(a->stack->net) != 0) {
            deadline = a->stack->deadline;
            ewi_shell_enter(a->stack);
            ewi_shell_settle(a->stack, deadline - 1); /* calls in between do not put it off */
            CHECK_EQ(a->stack->deadline, deadline);
            ewi_lock_give(&a->stack->guard);
        }
        wire_set_full(WIRE, 0, false);
        if (ewi_now_ns() - began < SHELL_STUCK_NS) /* else we were away for so long, and they are lost */
            CHECK(a->stack->frames_left != 0 && a->stack->counts.frames_lost == 0);
        a->stack->counts.frames_lost = 0;
        for (uint64_t start = ewi_now_ns(), calls = 0; a->stack->frames_left != 0; calls++) {
            CHECK_EQ(recv_once(&duo, 0, block, 1), -EAGAIN); /* faster than RETRY: it is tried all the same */
            CHECK(calls < 100000 || ewi_now_ns() - start < WAIT_NS);
        }
        expect_text(&duo, 1, "patience");
        forget_events(&duo);
    }
    duo_close(&duo);
}

/* Who waited for the guard comes with an older now than whoever had it.
 * catches: a difference of times that wraps, and frames that are lost by it */
static void an_older_now_loses_no_frames(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    uint64_t older = ewi_now_ns() - MS;

    wire_set_full(WIRE, 0, true);
    CHECK_EQ(send_text(&duo, 0, "now"), 3);
    CHECK(a->stack->frames_left != 0);
    ewi_shell_enter(a->stack);
    ewi_shell_flush(a->stack, older);
    ewi_lock_give(&a->stack->guard);
    CHECK_EQ(a->stack->counts.frames_lost, 0);
    wire_set_full(WIRE, 0, false);
    expect_text(&duo, 1, "now");
    duo_close(&duo);
}

/* catches: a round trip that ends before it has begun, and is taken for a nanosecond */
static void an_older_now_measures_no_round_trip_of_nothing(void)
{
    struct duo duo = duo_on("", "", 64, 0);
    struct side *a = &duo.side[0];
    uint64_t older = ewi_now_ns(), deadline;
    struct stack_event event;
    struct net_tcp_info info;

    listen_on(&duo);
    duo.opener = connect_to(&duo);
    for (int i = 0; i < 3; i++) { /* the neighbour is asked for first */
        turn_side(&duo.side[1]);
        nanosleep(&(struct timespec){.tv_nsec = 5 * MS}, NULL); /* what is measured */
        (void)a->ops->poll(a->stack, older, &event, 1, &deadline);
    }
    CHECK((a->ops->ready(a->stack, duo.opener) & STACK_WRITABLE) != 0);
    CHECK_EQ(ewi_net_tcp_info(a->stack->net, a->stack->stream[(uint32_t)duo.opener].inner, &info), 0);
    CHECK(info.min_rtt >= 5 * MS);
    duo_close(&duo);
}

/* catches: a device that is never given up, or frames that are lost for good */
static void device_that_is_full_for_long_loses_frames_and_tcp_repairs_it(void)
{
    struct duo duo = duo_open();
    uint64_t until_ns;

    wire_set_full(WIRE, 0, true);
    CHECK_EQ(send_text(&duo, 0, "later"), 5);
    until_ns = ewi_now_ns() + UINT64_C(100) * SHELL_STUCK_NS;
    while (duo.side[0].stack->counts.frames_lost == 0) {
        CHECK(ewi_now_ns() < until_ns);
        run_for(&duo, MS);
    }
    wire_set_full(WIRE, 0, false);
    expect_text(&duo, 1, "later");
    duo_close(&duo);
}

/* catches: a carrier that nobody looks at, one that stays lost, a blink that ends streams */
static void lost_carrier_fails_all_streams_and_comes_back(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    struct net_address *own = a->stack->net->link.addresses.address;
    ewi_stream stream;
    char byte;

    own->at = NET_NEVER;
    own->quiet_until = UINT64_MAX / 2;
    wire_set_carrier(WIRE, false);
    run_for(&duo, 20 * MS);
    wire_set_carrier(WIRE, true);
    run_for(&duo, 300 * MS);
    CHECK_EQ(a->ops->error(a->stack, duo.opener), 0);

    CHECK_EQ(send_text(&duo, 1, "before"), 6);
    until_ready(&duo, 0, STACK_READABLE);
    wire_set_carrier(WIRE, false);
    await_event(&duo, 0, duo.opener, STACK_FAILED, USER_OPENER);
    CHECK_EQ(a->ops->error(a->stack, duo.opener), -ENETDOWN);
    expect_text(&duo, 0, "before");
    CHECK_EQ(recv_once(&duo, 0, &byte, 1), -ENETDOWN);
    CHECK_EQ(send_text(&duo, 0, "x"), -ENETDOWN);
    CHECK_EQ(a->ops->connect(a->stack, NULL, &duo.address, 0, ewi_now_ns(), &stream), -ENETDOWN);

    wire_set_carrier(WIRE, true);
    CHECK_EQ(a->ops->error(a->stack, duo.opener), -ENETDOWN); /* it stays */
    CHECK_EQ(a->ops->finish(a->stack, duo.opener, false, ewi_now_ns()), 0);
    await_event(&duo, 0, duo.opener, STACK_CLOSED, USER_OPENER);
    duo.opener = connect_to(&duo); /* at once: connect looks itself */
    await_event(&duo, 0, duo.opener, STACK_CONNECTED, USER_OPENER);
    duo.accepted = accept_one(&duo);
    CHECK_EQ(own->at, own->quiet_until); /* it will be announced: net.h, ewi_net_port_is_back */
    CHECK_EQ(send_text(&duo, 0, "again"), 5);
    expect_text(&duo, 1, "again");
    duo_close(&duo);
}

static void device_without_sleep_is_polled_by_the_reactor(void)
{
    struct duo duo = duo_on("", "", 64, 0);
    struct side *b = &duo.side[1];
    struct stack_info info;
    uint64_t deadline, now;
    struct stack_event event;

    b->ops->close(b->stack);
    *b = open_side("device=wire:name=" WIRE ",sleep=off\naddress=10.0.0.2/24\ndetect=off", 64, 0, 3);
    listen_on(&duo);
    CHECK_EQ(b->ops->info(b->stack, &info), 0);
    CHECK(info.poll_interval_ns != 0 && info.reason[0] != '\0');
    CHECK(strcmp(info.name, "wire") == 0 && strstr(info.device, WIRE) != NULL);
    duo.opener = connect_to(&duo);
    await_event(&duo, 0, duo.opener, STACK_CONNECTED, USER_OPENER);
    duo.accepted = accept_one(&duo);
    now = ewi_now_ns();
    (void)b->ops->poll(b->stack, now, &event, 1, &deadline);
    CHECK(deadline <= now + info.poll_interval_ns);
    duo_close(&duo);
}

/* ---- addresses, silence ---- */

static void unreachable_and_foreign_addresses_are_refused(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    struct stack_addr at = {.family = 4, .port = 80, .ip = {192, 0, 2, 1}};
    const struct stack_addr foreign = {.family = 4, .port = 80, .ip = {10, 0, 0, 9}};
    const struct stack_addr six = {.family = 6, .port = 80, .ip = {0xfd}};
    ewi_stream stream;

    CHECK_EQ(a->ops->connect(a->stack, NULL, &at, 0, ewi_now_ns(), &stream), -ENETUNREACH);
    CHECK_EQ(a->ops->connect(a->stack, &foreign, &duo.address, 0, ewi_now_ns(), &stream), -EADDRNOTAVAIL);
    CHECK(a->ops->connect(a->stack, NULL, &six, 0, ewi_now_ns(), &stream) < 0);
    CHECK_EQ(a->ops->listen(a->stack, &foreign, 1, 0, &stream), -EADDRNOTAVAIL);
    at.port = 0;
    CHECK_EQ(a->ops->connect(a->stack, NULL, &at, 0, ewi_now_ns(), &stream), -EINVAL);
    /* Nobody there: ARP has no answer. */
    CHECK_EQ(a->ops->connect(a->stack, NULL, &foreign, USER_OPENER, ewi_now_ns(), &stream), 0);
    await_event(&duo, 0, stream, STACK_FAILED, USER_OPENER);
    CHECK_EQ(a->ops->error(a->stack, stream), -EHOSTUNREACH);
    duo_close(&duo);
}

/* The moment may be the one between a question of keep-alive and its answer. */
static void await_quiet(struct duo *duo, int i, ewi_stream stream)
{
    struct side *side = &duo->side[i];
    uint64_t since;

    for (uint64_t end = ewi_now_ns() + WAIT_NS;
         side->ops->silence(side->stack, stream, &since) != STACK_QUIET;) {
        CHECK(ewi_now_ns() < end);
        forget_events(duo);
        turn(duo);
    }
}

/* catches: keep-alive that is not set, or not by silence_ns */
static void silent_peer_is_asked_and_given_up(void)
{
    struct duo duo = duo_on("", "", 64, UINT64_C(400) * MS);
    struct side *a = &duo.side[0];
    uint64_t began;

    listen_on(&duo);
    duo.opener = connect_to(&duo);
    await_event(&duo, 0, duo.opener, STACK_CONNECTED, USER_OPENER);
    duo.accepted = accept_one(&duo);
    run_for(&duo, 1000 * (uint64_t)MS);
    CHECK_EQ(a->ops->error(a->stack, duo.opener), 0); /* it answered */
    await_quiet(&duo, 0, duo.opener);
    wire_set_loss(WIRE, 1, 1000000);
    began = ewi_now_ns();
    await_event(&duo, 0, duo.opener, STACK_FAILED, USER_OPENER);
    printf("\n  given up after %.0f ms", (double)(ewi_now_ns() - began) / MS);
    CHECK_EQ(a->ops->error(a->stack, duo.opener), -ETIMEDOUT);
    CHECK(ewi_now_ns() - began < UINT64_C(2000) * MS);
    duo_close(&duo);
}

/* Two stacks with one address on a wire: the second finds the first.
 * catches: detect=on that does not detect */
static void second_stack_with_an_address_does_not_get_it(void)
{
    struct duo duo = duo_of_wire("", "", 64, 0);
    struct side *b = &duo.side[1];
    struct stack_addr twice = {.family = 4, .port = 90, .ip = {10, 0, 0, 1}};
    ewi_stream stream;

    b->ops->close(b->stack);
    *b = open_side("device=wire:name=" WIRE "\naddress=10.0.0.1/24\ndetect=on", 64, 0, 4);
    CHECK_EQ(ewi_net_address_state(b->stack->net, b->stack->port, &twice), NET_ADDRESS_TENTATIVE);
    for (uint64_t end = ewi_now_ns() + WAIT_NS;
         ewi_net_address_state(b->stack->net, b->stack->port, &twice) == NET_ADDRESS_TENTATIVE;) {
        CHECK(ewi_now_ns() < end);
        turn(&duo);
    }
    CHECK_EQ(ewi_net_address_state(b->stack->net, b->stack->port, &twice), NET_ADDRESS_TWICE);
    CHECK(b->ops->connect(b->stack, NULL, &duo.address, 0, ewi_now_ns(), &stream) < 0);
    CHECK_EQ(ewi_net_address_state(duo.side[0].stack->net, duo.side[0].stack->port, &twice),
             NET_ADDRESS_GOOD);
    duo_close(&duo);
}

static uint16_t port_of(uint8_t seed)
{
    struct side side = open_side("device=wire:name=free\naddress=10.0.0.1/24\ndetect=off", 64, 0, seed);
    struct stack_addr at = {.family = 4};
    ewi_stream listener;

    CHECK_EQ(side.ops->listen(side.stack, &at, 1, 0, &listener), 0);
    CHECK_EQ(side.ops->addresses(side.stack, listener, &at, NULL), 0);
    side.ops->close(side.stack);
    CHECK(at.port >= 49152);
    return at.port;
}

/* catches: a port that comes from the clock (stack.h: same seed, same run) */
static void listeners_anywhere_have_ports_from_the_seed(void)
{
    CHECK_EQ(port_of(1), port_of(1));
    CHECK(port_of(1) != port_of(2));
}

/* ---- connections that wait until an address is known to be free ---- */

static ewi_stream connect_too_early(struct duo *duo)
{
    ewi_stream stream;

    *duo = duo_of_wire("detect=on", "", 64, 0);
    listen_on(duo);
    stream = duo->opener = connect_to(duo);
    CHECK(duo->side[0].stack->stream[(uint32_t)stream].is_waiting);
    return stream;
}

static void until_settled(struct duo *duo)
{
    uint64_t end = ewi_now_ns() + WAIT_NS;

    while (ewi_shell_is_settling(duo->side[0].stack)) {
        CHECK(ewi_now_ns() < end);
        forget_events(duo);
        turn(duo);
    }
}

/* catches: -ESTALE for a stream that is not stale */
static void a_connection_that_waits_has_nothing_yet(void)
{
    struct duo duo;
    ewi_stream stream = connect_too_early(&duo);
    struct side *a = &duo.side[0];
    struct stack_addr local;
    char byte;

    CHECK_EQ(a->ops->ready(a->stack, stream), 0);
    CHECK_EQ(a->ops->error(a->stack, stream), 0);
    CHECK_EQ(recv_once(&duo, 0, &byte, 1), -EAGAIN);
    CHECK_EQ(send_text(&duo, 0, "x"), -EAGAIN);
    CHECK_EQ(a->ops->shutdown(a->stack, stream), -ENOTCONN);
    CHECK_EQ(a->ops->addresses(a->stack, stream, &local, NULL), -ENOTCONN);
    await_event(&duo, 0, stream, STACK_CONNECTED, USER_OPENER);
    duo.accepted = accept_one(&duo);
    CHECK_EQ(send_text(&duo, 0, "x"), 1);
    expect_text(&duo, 1, "x");
    duo_close(&duo);
}

/* catches: a connection that is begun for nobody, an error that changes */
static void a_connection_that_failed_while_it_waited_is_not_begun(void)
{
    struct duo duo;
    ewi_stream stream = connect_too_early(&duo), none;
    struct side *a = &duo.side[0], *b = &duo.side[1];
    char byte;

    CHECK_EQ(a->ops->break_off(a->stack, stream), 0);
    until_settled(&duo);
    run_for(&duo, 20 * MS);
    CHECK_EQ(a->stack->stream[(uint32_t)stream].inner, 0);
    CHECK_EQ(b->ops->accept(b->stack, duo.listener, 0, &none), -EAGAIN);
    CHECK_EQ(a->ops->error(a->stack, stream), -ECONNABORTED);
    CHECK_EQ(a->ops->finish(a->stack, stream, true, ewi_now_ns()), 0);
    await_event(&duo, 0, stream, STACK_CLOSED, USER_OPENER);
    duo_close(&duo);

    stream = connect_too_early(&duo);
    wire_set_carrier(WIRE, false);
    duo.side[0].stack->patient_until = 0;
    await_event(&duo, 0, stream, STACK_FAILED, USER_OPENER);
    CHECK_EQ(recv_once(&duo, 0, &byte, 1), -ENETDOWN);
    CHECK_EQ(send_text(&duo, 0, "x"), -ENETDOWN);
    duo_close(&duo);
}

/* ---- opening and ending ---- */

static long mappings(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages;

    CHECK(file != NULL && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages;
}

static void expect_refused(const char *text, uint32_t streams, int code, const char *why)
{
    char reason[STACK_REASON_BYTES] = "";
    struct ewi_stack *stack = NULL;

    CHECK_EQ(try_open(text, streams, 0, 1, reason, &stack), code);
    if (strstr(reason, why) == NULL)
        fprintf(stderr, "    reason: %s\n", reason);
    CHECK(strstr(reason, why) != NULL);
    CHECK(stack == NULL);
}

/* catches: what a failed open leaves behind */
static void failed_open_says_why_and_leaves_nothing_behind(void)
{
    const char *good = "device=wire:name=free\naddress=10.0.0.1/24";
    struct duo duo = duo_open();
    int fds = open_descriptors();
    struct rlimit before, none;
    struct wire_look look;
    long pages;

    expect_refused("device=wire:name=" WIRE "\naddress=10.0.0.3/24", 64, -EBUSY, "two ends");
    pages = mappings(); /* what the first failure allocated for good is not counted */
    for (int i = 0; i < 20; i++) {
        expect_refused("device=wire:name=" WIRE "\naddress=10.0.0.3/24", 64, -EBUSY, "two ends");
        expect_refused("device=wire:name=free,sleep=off,what\naddress=10.0.0.3/24", 64, -EINVAL, "want");
        expect_refused("device=wire:name=free\naddress=224.0.0.1/24", 64, -EINVAL, "address number 1");
        expect_refused("device=wire:name=free\naddress=10.0.0.1/24\ngateway=192.0.2.9", 64, -EINVAL,
                       "gateway");
        expect_refused(good, 0, -EINVAL, "0 streams");
        expect_refused(good, (1 << 20) + 1, -EINVAL, "streams");
        expect_refused("", 64, -EINVAL, "device");
    }
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int more = 0; more < 4; more++) { /* one descriptor after the other is missing */
        int next = fcntl(0, F_DUPFD_CLOEXEC, 0);

        close(next);
        none = before;
        none.rlim_cur = (rlim_t)(next + more);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
        expect_refused(good, 64, -EMFILE, "descriptor");
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    }
    CHECK(!wire_look_at("free", &look));
    CHECK(mappings() - pages < 256);
    CHECK_EQ(open_descriptors(), fds);
    duo_close(&duo);
}

/* catches: a peer that is left to find out */
static void close_resets_open_streams(void)
{
    struct duo duo = duo_open();
    int fd = duo.side[0].ops->stream_fd(duo.side[0].stack, duo.opener);

    CHECK(fd >= 0);
    CHECK(send_bytes(&duo, 0, block, BLOCK) > 0);
    duo.side[0].ops->close(duo.side[0].stack);
    duo.side[0].stack = NULL;
    await_event(&duo, 1, duo.accepted, STACK_FAILED, USER_ACCEPTED);
    CHECK_EQ(duo.side[1].ops->error(duo.side[1].stack, duo.accepted), -ECONNRESET);
    duo_close(&duo);
}

/* catches: no more resets than fit one flush */
static void close_resets_all_of_many_streams(void)
{
    enum { MANY = 300 };
    struct duo duo = duo_on("", "", 512, 0);
    struct side *b = &duo.side[1];
    ewi_stream accepted[MANY];

    listen_on(&duo);
    for (int i = 0; i < MANY; i++) {
        (void)connect_to(&duo);
        accepted[i] = accept_one(&duo);
        forget_events(&duo);
    }
    duo.side[0].ops->close(duo.side[0].stack);
    duo.side[0].stack = NULL;
    for (int turns = 0; turns < MANY; turns++) {
        forget_events(&duo);
        turn(&duo);
    }
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(b->ops->error(b->stack, accepted[i]), -ECONNRESET);
    duo_close(&duo);
}

/* catches: packets that stay with the stack when all was read */
static void buffers_come_back_when_they_were_read(void)
{
    struct duo duo = duo_open();

    for (int i = 0; i < 50; i++) {
        const int64_t bytes = i % 2 == 0 ? 5000 : 50; /* with a new window to tell, and without */

        CHECK_EQ(send_bytes(&duo, 0, block, (size_t)bytes), bytes);
        for (int64_t got = 0; got < bytes;)
            got += receive(&duo, 1, block, BLOCK);
        CHECK_EQ(wire_held_by(WIRE, 1), 0);
    }
    duo_close(&duo);
}

/* catches: a child whose clean-up disturbs the parent */
static void forked_child_closes_only_its_own(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    int wait_fd = a->ops->wait_fd(a->stack), fd = a->ops->stream_fd(a->stack, duo.opener), status;
    int bell = a->stack->stream[(uint32_t)duo.opener].bell_fd;
    pid_t child = fork();

    if (child == 0) {
        a->ops->forked(a->stack);
        _exit(fcntl(fd, F_GETFD) < 0 && fcntl(wait_fd, F_GETFD) < 0 && fcntl(bell, F_GETFD) < 0 ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    arm_stream(&duo, 0, duo.opener);
    CHECK_EQ(send_text(&duo, 1, "still here"), 10);
    CHECK(is_readable(fd));
    expect_text(&duo, 0, "still here");
    duo_close(&duo);
}

int main(void)
{
    int before = open_descriptors();

    RUN(streams_share_the_pool_and_hear_of_what_comes_back);
    RUN(chunks_come_back_with_their_stream);
    RUN(more_streams_than_there_may_be_are_refused);
    RUN(full_device_loses_nothing);
    RUN(an_older_now_loses_no_frames);
    RUN(an_older_now_measures_no_round_trip_of_nothing);
    RUN(device_that_is_full_for_long_loses_frames_and_tcp_repairs_it);
    RUN(lost_carrier_fails_all_streams_and_comes_back);
    RUN(device_without_sleep_is_polled_by_the_reactor);
    RUN(unreachable_and_foreign_addresses_are_refused);
    RUN(silent_peer_is_asked_and_given_up);
    RUN(second_stack_with_an_address_does_not_get_it);
    RUN(listeners_anywhere_have_ports_from_the_seed);
    RUN(a_connection_that_waits_has_nothing_yet);
    RUN(a_connection_that_failed_while_it_waited_is_not_begun);
    RUN(failed_open_says_why_and_leaves_nothing_behind);
    RUN(close_resets_open_streams);
    RUN(close_resets_all_of_many_streams);
    RUN(buffers_come_back_when_they_were_read);
    RUN(forked_child_closes_only_its_own);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
