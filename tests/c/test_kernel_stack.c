/* tests/c/test_kernel_stack.c - transport/kernel: connecting, bytes, ends, limits. */
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/c/kernel_pair.h"

/* ---- connecting ---- */

static void check_both_ways(const char *address)
{
    struct pair pair = pair_on(address);
    struct stack_addr local, remote, other;

    CHECK_EQ(send_text(&pair, pair.opener, "ping"), 4);
    expect_text(&pair, pair.accepted, "ping");
    CHECK_EQ(send_text(&pair, pair.accepted, "pong!"), 5);
    expect_text(&pair, pair.opener, "pong!");
    CHECK_EQ(ops->addresses(pair.stack, pair.opener, &local, &remote), 0);
    CHECK(memcmp(&remote, &pair.address, sizeof(remote)) == 0);
    CHECK_EQ(ops->addresses(pair.stack, pair.accepted, NULL, &other), 0);
    CHECK(memcmp(&local, &other, sizeof(local)) == 0);
    pair_close(&pair);
}

static void bytes_go_both_ways_over_ipv4(void)
{
    check_both_ways("127.0.0.1:0");
}

static void bytes_go_both_ways_over_ipv6(void)
{
    check_both_ways("[::1]:0");
}

/* catches: a listener on [::] that also takes the IPv4 port */
static void ipv6_listener_leaves_the_ipv4_port_alone(void)
{
    struct pair pair = {.stack = open_stack(8)};
    struct stack_addr local;
    ewi_stream second;

    listen_on(&pair, "[::]:0");
    CHECK_EQ(ewi_addr_parse("0.0.0.0:0", &local), EW_OK);
    local.port = pair.address.port;
    CHECK_EQ(ops->listen(pair.stack, &local, 16, 0, &second), 0);
    pair_close(&pair);
}

static void address_in_use_is_said(void)
{
    struct pair pair = {.stack = open_stack(8)};
    ewi_stream second;

    listen_on(&pair, "127.0.0.1:0");
    CHECK_EQ(ops->listen(pair.stack, &pair.address, 16, 0, &second), -EADDRINUSE);
    pair_close(&pair);
}

/* A port on which nobody listens, because its listener was finished. */
static struct stack_addr silent_address(struct pair *pair)
{
    listen_on(pair, "127.0.0.1:0");
    CHECK_EQ(ops->finish(pair->stack, pair->listener, false, 0), 0);
    expect_event(pair->stack, USER_LISTENER, pair->listener, STACK_CLOSED);
    return pair->address;
}

/* catches: CONNECTED for a refused connect; an error that is gone after the first look */
static void refused_connect_fails_and_stays_failed(void)
{
    struct pair pair = {.stack = open_stack(8)};
    struct stack_addr remote = silent_address(&pair);
    char byte;
    int result = ops->connect(pair.stack, NULL, &remote, USER_OPENER, 0, &pair.opener);

    if (result == 0) {
        sleep_on(ops->stream_fd(pair.stack, pair.opener), POLLOUT);
        CHECK_EQ(ops->ready(pair.stack, pair.opener), STACK_FAILED);
        expect_event(pair.stack, USER_OPENER, pair.opener, STACK_FAILED);
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(ops->error(pair.stack, pair.opener), -ECONNREFUSED);
            CHECK_EQ(send_text(&pair, pair.opener, "x"), -ECONNREFUSED);
            CHECK_EQ(recv_once(pair.stack, pair.opener, &byte, 1), -ECONNREFUSED);
            CHECK_EQ(ops->ready(pair.stack, pair.opener) & STACK_FAILED, STACK_FAILED);
        }
    } else {
        CHECK_EQ(result, -ECONNREFUSED);
    }
    pair_close(&pair);
}

/* catches: redialling an ephemeral port ending in a channel with oneself */
static void socket_connected_to_itself_is_refused(void)
{
    struct pair pair = {.stack = open_stack(8)};
    struct stack_addr remote = silent_address(&pair);

    CHECK_EQ(ops->connect(pair.stack, &remote, &remote, USER_OPENER, 0, &pair.opener), 0);
    expect_event(pair.stack, USER_OPENER, pair.opener, STACK_FAILED);
    CHECK_EQ(ops->error(pair.stack, pair.opener), -ECONNREFUSED);
    pair_close(&pair);
}

static void ready_alone_can_drive_a_connect(void)
{
    struct pair pair = {.stack = open_stack(8)};

    listen_on(&pair, "127.0.0.1:0");
    pair.opener = connect_to(&pair);
    sleep_on(ops->stream_fd(pair.stack, pair.opener), POLLOUT);
    CHECK_EQ(ops->ready(pair.stack, pair.opener), STACK_CONNECTED | STACK_WRITABLE);
    CHECK_EQ(ops->ready(pair.stack, pair.listener), STACK_ACCEPT);
    pair_close(&pair);
}

static void mixed_address_families_are_refused(void)
{
    struct pair pair = {.stack = open_stack(8)};
    struct stack_addr local;

    listen_on(&pair, "127.0.0.1:0");
    CHECK_EQ(ewi_addr_parse("[::1]:0", &local), EW_OK);
    CHECK_EQ(ops->connect(pair.stack, &local, &pair.address, 0, 0, &pair.opener), -EINVAL);
    local.family = 9;
    CHECK_EQ(ops->connect(pair.stack, NULL, &local, 0, 0, &pair.opener), -EAFNOSUPPORT);
    CHECK_EQ(ops->listen(pair.stack, &local, 1, 0, &pair.opener), -EAFNOSUPPORT);
    pair_close(&pair);
}

/* ---- data ---- */

enum { SPAN = 60001, SPANS = 8, PATTERN = SPAN * SPANS };

/* Eight spans over the endless repetition of a pattern, from a position in it. */
static void spans_from(const uint8_t *pattern, uint64_t position, struct stack_span spans[SPANS])
{
    for (int i = 0; i < SPANS; i++) {
        uint64_t at = position % PATTERN;

        spans[i] = (struct stack_span){pattern + at, SPAN - at % SPAN};
        position += spans[i].bytes;
    }
}

/* catches: spans sent in the wrong order, a wrong count of a send that was cut in the middle */
static void sends_are_cut_and_every_byte_arrives_in_order(void)
{
    struct pair pair = pair_open();
    uint8_t *pattern = malloc(PATTERN), *sink = malloc(SPAN);
    struct stack_span spans[SPANS];
    uint64_t sent = 0, released, got = 0;
    bool was_cut = false;
    int64_t step;

    CHECK(pattern != NULL && sink != NULL);
    for (uint32_t i = 0; i < PATTERN; i++)
        pattern[i] = (uint8_t)(i * 2654435761u >> 24);
    while (spans_from(pattern, sent, spans),
           (step = ops->send(pair.stack, pair.opener, spans, SPANS)) > 0) {
        was_cut |= (sent + (uint64_t)step) % SPAN != 0;
        sent += (uint64_t)step;
    }
    CHECK_EQ(step, -EAGAIN);
    CHECK(was_cut); /* or this tests nothing */
    CHECK_EQ(ops->released(pair.stack, pair.opener, &released), 0);
    CHECK(released == sent);
    for (; got < sent; got += (uint64_t)step) {
        step = receive(&pair, pair.accepted, sink, SPAN);
        CHECK(step > 0);
        for (int64_t i = 0; i < step; i++)
            CHECK(sink[i] == pattern[(got + (uint64_t)i) % PATTERN]);
    }
    CHECK(got == sent);
    free(pattern);
    free(sink);
    pair_close(&pair);
}

/* catches: reading past the eight spans of the stack's own array */
static void only_eight_spans_are_taken(void)
{
    struct pair pair = pair_open();
    struct stack_span spans[9];

    for (int i = 0; i < 9; i++)
        spans[i] = (struct stack_span){"ab", 2};
    CHECK_EQ(ops->send(pair.stack, pair.opener, spans, 9), 16);
    CHECK_EQ(ops->send(pair.stack, pair.opener, spans, 0), 0);
    expect_text(&pair, pair.accepted, "abababababababab");
    pair_close(&pair);
}

/* catches: rooms filled out of order, more rooms than the stack's own array, a byte too far */
static void what_arrives_fills_the_rooms_one_after_the_other(void)
{
    struct pair pair = pair_open();
    char parts[9][3] = {0};
    struct stack_room rooms[9];

    for (int i = 0; i < 9; i++)
        rooms[i] = (struct stack_room){parts[i], 2};
    CHECK_EQ(send_text(&pair, pair.opener, "abcde"), 5);
    sleep_on(ops->stream_fd(pair.stack, pair.accepted), POLLIN);
    CHECK_EQ(ops->recv_into(pair.stack, pair.accepted, rooms, 9), 5);
    CHECK(strcmp(parts[0], "ab") == 0 && strcmp(parts[1], "cd") == 0 && strcmp(parts[2], "e") == 0);
    CHECK_EQ(ops->recv_into(pair.stack, pair.accepted, rooms, 2), -EAGAIN);
    CHECK_EQ(send_text(&pair, pair.opener, "0123456789abcdefgh"), 18);
    sleep_on(ops->stream_fd(pair.stack, pair.accepted), POLLIN);
    CHECK_EQ(ops->recv_into(pair.stack, pair.accepted, rooms, 9), 16);
    CHECK(strcmp(parts[7], "ef") == 0 && parts[8][0] == 0);
    expect_text(&pair, pair.accepted, "gh");
    CHECK_EQ(ops->shutdown(pair.stack, pair.opener), 0);
    sleep_on(ops->stream_fd(pair.stack, pair.accepted), POLLIN);
    CHECK_EQ(ops->recv_into(pair.stack, pair.accepted, rooms, 2), 0);
    pair_close(&pair);
}

/* ---- ends ---- */

/* catches: shutdown of both directions, FIN ahead of the bytes */
static void fin_comes_behind_the_bytes_and_leaves_the_other_way_open(void)
{
    struct pair pair = pair_open();
    char byte;

    CHECK_EQ(send_text(&pair, pair.opener, "last"), 4);
    CHECK_EQ(ops->shutdown(pair.stack, pair.opener), 0);
    expect_text(&pair, pair.accepted, "last");
    CHECK_EQ(receive(&pair, pair.accepted, &byte, 1), 0);
    CHECK_EQ(receive(&pair, pair.accepted, &byte, 1), 0);
    CHECK_EQ(ops->ready(pair.stack, pair.accepted),
             STACK_CONNECTED | STACK_READABLE | STACK_WRITABLE | STACK_PEER_FIN);
    CHECK_EQ(send_text(&pair, pair.accepted, "answer"), 6);
    expect_text(&pair, pair.opener, "answer");
    pair_close(&pair);
}

/* catches: FAILED for an orderly end; a HUP that spins; PEER_FIN of a stream nobody watches */
static void end_in_both_directions_is_no_failure_and_does_not_spin(void)
{
    struct pair pair = pair_open();
    char byte;

    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    CHECK_EQ(ops->shutdown(pair.stack, pair.accepted), 0);
    CHECK_EQ(ops->shutdown(pair.stack, pair.opener), 0);
    until_hangup(&pair, pair.accepted);
    until_hangup(&pair, pair.opener);
    expect_end_then_quiet(pair.stack, pair.accepted, STACK_READABLE | STACK_PEER_FIN);
    CHECK_EQ(receive(&pair, pair.accepted, &byte, 1), 0);
    CHECK_EQ(ops->error(pair.stack, pair.accepted), 0);
    CHECK_EQ(ops->ready(pair.stack, pair.accepted) & STACK_FAILED, 0);
    pair_close(&pair);
}

/* catches: a reset taken for FIN once somebody has asked SO_ERROR; bytes before it thrown away */
static void reset_is_an_error_that_stays_behind_the_bytes(void)
{
    struct pair pair = pair_open();
    char byte;

    CHECK_EQ(send_text(&pair, pair.opener, "early"), 5);
    reset_from_peer(&pair);
    until_hangup(&pair, pair.accepted);
    CHECK_EQ(ops->ready(pair.stack, pair.accepted), STACK_FAILED | STACK_READABLE);
    expect_text(&pair, pair.accepted, "early");
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(recv_once(pair.stack, pair.accepted, &byte, 1), -ECONNRESET);
        CHECK_EQ(send_text(&pair, pair.accepted, "x"), -ECONNRESET);
        CHECK_EQ(ops->shutdown(pair.stack, pair.accepted), -ECONNRESET);
        CHECK_EQ(ops->error(pair.stack, pair.accepted), -ECONNRESET);
    }
    pair_close(&pair);
}

/* catches: a plain close where a reset was asked, and the other way round */
static void finish_without_reset_is_a_fin(void)
{
    struct pair pair = pair_open();
    char byte;

    CHECK_EQ(ops->finish(pair.stack, pair.opener, false, 0), 0);
    CHECK_EQ(receive(&pair, pair.accepted, &byte, 1), 0);
    CHECK_EQ(ops->error(pair.stack, pair.accepted), 0);
    pair_close(&pair);
}

/* catches: a call that forgot the generation, a handle that means the next user of its slot */
static void stale_handle_is_never_another_stream(void)
{
    struct pair pair = pair_open();
    ewi_stream stale = pair.opener, again;
    uint64_t released;
    char byte;

    reset_from_peer(&pair);
    again = connect_to(&pair);
    CHECK_EQ((uint32_t)again, (uint32_t)stale); /* the same slot, or this tests nothing */
    CHECK(again != stale);
    CHECK_EQ(ops->accept(pair.stack, stale, 0, &pair.accepted), -ESTALE);
    CHECK_EQ(send_text(&pair, stale, "x"), -ESTALE);
    CHECK_EQ(ops->released(pair.stack, stale, &released), -ESTALE);
    CHECK_EQ(recv_once(pair.stack, stale, &byte, 1), -ESTALE);
    CHECK_EQ(ops->ready(pair.stack, stale), STACK_FAILED);
    CHECK_EQ(ops->error(pair.stack, stale), -ESTALE);
    CHECK_EQ(ops->shutdown(pair.stack, stale), -ESTALE);
    CHECK_EQ(ops->break_off(pair.stack, stale), -ESTALE);
    CHECK_EQ(ops->watch(pair.stack, stale, STACK_READABLE), -ESTALE);
    CHECK_EQ(ops->stream_fd(pair.stack, stale), -ESTALE);
    CHECK_EQ(ops->addresses(pair.stack, stale, NULL, NULL), -ESTALE);
    CHECK_EQ(ops->finish(pair.stack, stale, true, 0), -ESTALE);
    CHECK_EQ(ops->error(pair.stack, 0), -ESTALE);
    CHECK_EQ(ops->error(pair.stack, UINT64_MAX), -ESTALE);
    CHECK_EQ(ops->error(pair.stack, again), 0);
    pair_close(&pair);
}

/* catches: CLOSED forgotten or told twice, events of a stream behind its CLOSED */
static void closed_is_the_last_event(void)
{
    struct pair pair = pair_open();

    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    CHECK_EQ(send_text(&pair, pair.opener, "unread"), 6);
    sleep_on(ops->stream_fd(pair.stack, pair.accepted), POLLIN);
    CHECK_EQ(ops->finish(pair.stack, pair.accepted, false, 0), 0);
    expect_event(pair.stack, USER_ACCEPTED, pair.accepted, STACK_CLOSED);
    until_hangup(&pair, pair.opener); /* unread bytes: RST */
    expect_event(pair.stack, USER_OPENER, pair.opener, STACK_FAILED);
    pair_close(&pair);
}

/* ---- limits ---- */

/* From now on, no new descriptor. */
static struct rlimit take_all_descriptors(void)
{
    struct rlimit before, none;
    int next = fcntl(0, F_DUPFD_CLOEXEC, 0);

    CHECK(next >= 0);
    close(next);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)next;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    return before;
}

/* catches: a listener that stays readable for ever, a spare that is not taken back */
static void connections_without_descriptors_are_dropped_one_by_one(void)
{
    struct pair pair = {.stack = open_stack(16)};
    ewi_stream first, second, accepted;
    struct rlimit before;
    char byte;

    listen_on(&pair, "127.0.0.1:0");
    first = connect_to(&pair);
    second = connect_to(&pair);
    sleep_on(ops->stream_fd(pair.stack, first), POLLOUT);
    sleep_on(ops->stream_fd(pair.stack, second), POLLOUT);
    before = take_all_descriptors();
    CHECK_EQ(ops->accept(pair.stack, pair.listener, 0, &accepted), -EMFILE);
    CHECK_EQ(ops->accept(pair.stack, pair.listener, 0, &accepted), -EMFILE);
    CHECK_EQ(ops->accept(pair.stack, pair.listener, 0, &accepted), -EAGAIN);
    CHECK(!is_readable(ops->stream_fd(pair.stack, pair.listener)));
    CHECK_EQ(receive(&pair, first, &byte, 1), 0);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    connect_to(&pair);
    accept_one(&pair);
    pair_close(&pair);
}

/* catches: the same, when the spare cannot be had back: level-triggered, it would spin */
static void listener_without_a_spare_descriptor_does_not_spin(void)
{
    struct pair pair = {.stack = open_stack(16)};
    struct stack_event events[8];
    struct rlimit before, none;
    ewi_stream opener, accepted;

    listen_on(&pair, "127.0.0.1:0");
    opener = connect_to(&pair);
    sleep_on(ops->stream_fd(pair.stack, opener), POLLOUT);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_EQ(ops->accept(pair.stack, pair.listener, 0, &accepted), -EMFILE);
    for (int i = 0; i < 4; i++)
        poll_now(pair.stack, events, 8);
    CHECK_EQ(poll_now(pair.stack, events, 8), 0);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    connect_to(&pair); /* the next arrival wakes it */
    for (bool seen = false; !seen;)
        seen = next_event(pair.stack).stream == pair.listener;
    CHECK_EQ(ops->accept(pair.stack, pair.listener, 0, &accepted), 0);
    CHECK_EQ(ops->accept(pair.stack, pair.listener, 0, &accepted), 0);
    pair_close(&pair);
}

/* catches: a full slot table that leaves the connection in the queue, or leaks its descriptor */
static void connections_without_slots_are_dropped(void)
{
    struct pair pair = {.stack = open_stack(2)};
    struct stack_info info;
    ewi_stream extra;

    listen_on(&pair, "127.0.0.1:0");
    pair.opener = connect_to(&pair);
    sleep_on(ops->stream_fd(pair.stack, pair.listener), POLLIN);
    CHECK_EQ(ops->accept(pair.stack, pair.listener, 0, &extra), -EMFILE);
    CHECK_EQ(ops->accept(pair.stack, pair.listener, 0, &extra), -EAGAIN);
    CHECK_EQ(ops->connect(pair.stack, NULL, &pair.address, 0, 0, &extra), -EMFILE);
    CHECK_EQ(ops->info(pair.stack, &info), 0);
    CHECK_EQ(info.streams, 2);
    CHECK_EQ(info.streams_max, 2);
    CHECK_EQ(info.caps, STACK_PARALLEL | STACK_STREAM_FD | STACK_WAKE);
    pair_close(&pair);
}

static long resident_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long total, resident;

    CHECK(file != NULL && fscanf(file, "%ld %ld", &total, &resident) == 2);
    fclose(file);
    return resident;
}

/* catches: slots initialised in a loop */
static void unused_slots_cost_nothing(void)
{
    long before = resident_pages();
    struct ewi_stack *stack = open_stack(1 << 20); /* 128 MiB of addresses */

    CHECK(resident_pages() - before < 1024);
    ops->close(stack);
}

static void wrong_options_are_refused(void)
{
    struct stack_options options = {.streams_max = 0, .text = ""};
    struct ewi_stack *stack;

    CHECK_EQ(ops->open(&options, &stack), -EINVAL);
    options.streams_max = (1 << 20) + 1;
    CHECK_EQ(ops->open(&options, &stack), -EINVAL);
    options = (struct stack_options){.streams_max = 1, .text = "no such option"};
    CHECK_EQ(ops->open(&options, &stack), -EINVAL);
}

int main(void)
{
    int before = open_descriptors();

    RUN(bytes_go_both_ways_over_ipv4);
    RUN(bytes_go_both_ways_over_ipv6);
    RUN(ipv6_listener_leaves_the_ipv4_port_alone);
    RUN(address_in_use_is_said);
    RUN(refused_connect_fails_and_stays_failed);
    RUN(socket_connected_to_itself_is_refused);
    RUN(ready_alone_can_drive_a_connect);
    RUN(mixed_address_families_are_refused);
    RUN(sends_are_cut_and_every_byte_arrives_in_order);
    RUN(only_eight_spans_are_taken);
    RUN(what_arrives_fills_the_rooms_one_after_the_other);
    RUN(fin_comes_behind_the_bytes_and_leaves_the_other_way_open);
    RUN(end_in_both_directions_is_no_failure_and_does_not_spin);
    RUN(reset_is_an_error_that_stays_behind_the_bytes);
    RUN(finish_without_reset_is_a_fin);
    RUN(stale_handle_is_never_another_stream);
    RUN(closed_is_the_last_event);
    RUN(connections_without_descriptors_are_dropped_one_by_one);
    RUN(listener_without_a_spare_descriptor_does_not_spin);
    RUN(connections_without_slots_are_dropped);
    RUN(unused_slots_cost_nothing);
    RUN(wrong_options_are_refused);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
