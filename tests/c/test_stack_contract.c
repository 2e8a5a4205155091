/* tests/c/test_stack_contract.c - transport/stack.h as tests, over our stack on a wire and over the kernel's. */
#include "tests/c/stack_pair.h"

static void bytes_go_both_ways_and_ends_agree_on_addresses(void)
{
    struct duo duo = duo_open();
    const struct side *a = &duo.side[0], *b = &duo.side[1];
    struct stack_addr local, remote, other, there;

    CHECK_EQ(send_text(&duo, 0, "ping"), 4);
    expect_text(&duo, 1, "ping");
    CHECK_EQ(send_text(&duo, 1, "pong!"), 5);
    expect_text(&duo, 0, "pong!");
    CHECK_EQ(a->ops->addresses(a->stack, duo.opener, &local, &remote), 0);
    CHECK_EQ(b->ops->addresses(b->stack, duo.accepted, &other, &there), 0);
    CHECK(memcmp(&remote, &duo.address, sizeof(remote)) == 0);
    CHECK(memcmp(&remote, &other, sizeof(remote)) == 0);
    CHECK(memcmp(&local, &there, sizeof(local)) == 0);
    CHECK_EQ(a->ops->addresses(a->stack, duo.opener, NULL, &other), 0);
    CHECK_EQ(b->ops->addresses(b->stack, duo.listener, NULL, &other), -ENOTCONN);
    duo_close(&duo);
}

static void reset_and_close(struct duo *duo, int which)
{
    struct side *side = &duo->side[which];
    ewi_stream stream = stream_of(duo, which);

    CHECK_EQ(side->ops->finish(side->stack, stream, true, ewi_now_ns()), 0);
    await_event(duo, which, stream, STACK_CLOSED, which == 0 ? USER_OPENER : USER_ACCEPTED);
}

/* catches: a call that forgot the generation, a handle that means the next user of its slot */
static void stale_handle_is_never_another_stream(void)
{
    struct duo duo = duo_open();
    const struct stack_ops *ops = duo.side[0].ops;
    struct ewi_stack *stack = duo.side[0].stack;
    ewi_stream stale = duo.opener, again;
    struct stack_room room = {&again, 1};
    struct stack_span span = {"x", 1};
    uint64_t released;

    reset_and_close(&duo, 0);
    again = connect_to(&duo);
    CHECK_EQ((uint32_t)again, (uint32_t)stale); /* the same slot, or this tests nothing */
    CHECK(again != stale);
    CHECK_EQ(ops->accept(stack, stale, 0, &duo.accepted), -ESTALE);
    CHECK_EQ(ops->send(stack, stale, &span, 1), -ESTALE);
    CHECK_EQ(ops->released(stack, stale, &released), -ESTALE);
    CHECK_EQ(ops->recv_into(stack, stale, &room, 1), -ESTALE);
    CHECK_EQ(ops->ready(stack, stale), STACK_FAILED);
    CHECK_EQ(ops->error(stack, stale), -ESTALE);
    CHECK_EQ(ops->shutdown(stack, stale), -ESTALE);
    CHECK_EQ(ops->break_off(stack, stale), -ESTALE);
    CHECK_EQ(ops->watch(stack, stale, STACK_READABLE), -ESTALE);
    CHECK_EQ(ops->stream_fd(stack, stale), -ESTALE);
    CHECK_EQ(ops->addresses(stack, stale, NULL, NULL), -ESTALE);
    CHECK_EQ(ops->finish(stack, stale, true, ewi_now_ns()), -ESTALE);
    CHECK(ops->stream_arm == NULL || ops->stream_arm(stack, stale, ewi_now_ns()) == 1);
    CHECK_EQ(ops->error(stack, 0), -ESTALE);
    CHECK_EQ(ops->error(stack, UINT64_MAX), -ESTALE);
    CHECK_EQ(ops->error(stack, again), 0);
    duo_close(&duo);
}

static void refused_connect_fails_and_stays_failed(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0], *b = &duo.side[1];
    char byte;

    CHECK_EQ(b->ops->finish(b->stack, duo.listener, true, ewi_now_ns()), 0);
    await_event(&duo, 1, duo.listener, STACK_CLOSED, USER_LISTENER);
    duo.opener = connect_to(&duo);
    await_event(&duo, 0, duo.opener, STACK_FAILED, USER_OPENER);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(a->ops->error(a->stack, duo.opener), -ECONNREFUSED);
        CHECK_EQ(recv_once(&duo, 0, &byte, 1), -ECONNREFUSED);
        CHECK_EQ(send_text(&duo, 0, "x"), -ECONNREFUSED);
        CHECK(a->ops->ready(a->stack, duo.opener) & STACK_FAILED);
    }
    reset_and_close(&duo, 0);
    duo_close(&duo);
}

/* catches: an edge where a level is needed */
static void events_are_told_again_until_they_are_taken(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0], *b = &duo.side[1];
    ewi_stream accepted;

    CHECK_EQ(b->ops->watch(b->stack, duo.accepted, STACK_READABLE), 0);
    CHECK_EQ(send_text(&duo, 0, "xy"), 2);
    for (int i = 0; i < 3; i++) {
        await_event(&duo, 1, duo.accepted, STACK_READABLE, USER_ACCEPTED);
        forget_events(&duo);
    }
    expect_text(&duo, 1, "x");
    await_event(&duo, 1, duo.accepted, STACK_READABLE, USER_ACCEPTED);
    expect_text(&duo, 1, "y");
    connect_to(&duo);
    for (int i = 0; i < 3; i++)
        await_event(&duo, 1, duo.listener, STACK_ACCEPT, USER_LISTENER);
    CHECK_EQ(b->ops->accept(b->stack, duo.listener, 77, &accepted), 0);
    CHECK_EQ(b->ops->accept(b->stack, duo.listener, 77, &accepted), -EAGAIN);
    CHECK_EQ(b->ops->watch(b->stack, accepted, STACK_WRITABLE), 0);
    for (int i = 0; i < 3; i++)
        await_event(&duo, 1, accepted, STACK_WRITABLE, 77);
    CHECK_EQ(a->ops->watch(a->stack, duo.opener, 0), 0);
    expect_quiet(&duo, 0);
    duo_close(&duo);
}

/* catches: events of bytes and ends that nobody watches */
static void unwatched_stream_is_not_reported(void)
{
    struct duo duo = duo_open();

    CHECK_EQ(send_text(&duo, 0, "x"), 1);
    CHECK_EQ(duo.side[0].ops->shutdown(duo.side[0].stack, duo.opener), 0);
    until_ready(&duo, 1, STACK_PEER_FIN);
    expect_quiet(&duo, 1);
    CHECK_EQ(duo.side[1].ops->watch(duo.side[1].stack, duo.accepted, STACK_READABLE), 0);
    await_event(&duo, 1, duo.accepted, STACK_READABLE | STACK_PEER_FIN, USER_ACCEPTED);
    duo_close(&duo);
}

/* catches: a failure nobody hears of, or one that keeps the reactor awake */
static void failure_is_told_once_for_each_watch(void)
{
    for (uint32_t watched = 0; watched <= STACK_READABLE; watched += STACK_READABLE) {
        struct duo duo = duo_open();
        struct side *b = &duo.side[1];

        CHECK_EQ(b->ops->watch(b->stack, duo.accepted, watched), 0);
        reset_and_close(&duo, 0);
        await_event(&duo, 1, duo.accepted, STACK_FAILED | watched, USER_ACCEPTED);
        expect_quiet(&duo, 1);
        CHECK_EQ(b->ops->error(b->stack, duo.accepted), -ECONNRESET);
        duo_close(&duo);
    }
}

/* catches: a failure while aside that is forgotten, or told */
static void stream_set_aside_is_not_reported_until_it_is_watched(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];

    CHECK_EQ(b->ops->watch(b->stack, duo.accepted, STACK_READABLE), 0);
    CHECK_EQ(b->ops->watch(b->stack, duo.accepted, STACK_ASIDE), 0);
    reset_and_close(&duo, 0);
    until_ready(&duo, 1, STACK_FAILED);
    expect_quiet(&duo, 1);
    CHECK_EQ(b->ops->watch(b->stack, duo.accepted, STACK_READABLE), 0);
    await_event(&duo, 1, duo.accepted, STACK_READABLE | STACK_FAILED, USER_ACCEPTED);
    duo_close(&duo);
}

static void reset_is_an_error_that_stays_behind_the_bytes(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];
    char byte;

    CHECK_EQ(send_text(&duo, 0, "last words"), 10);
    until_ready(&duo, 1, STACK_READABLE);
    CHECK_EQ(duo.side[0].ops->finish(duo.side[0].stack, duo.opener, true, ewi_now_ns()), 0);
    until_ready(&duo, 1, STACK_FAILED);
    expect_text(&duo, 1, "last words");
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(recv_once(&duo, 1, &byte, 1), -ECONNRESET);
        CHECK_EQ(send_text(&duo, 1, "x"), -ECONNRESET);
        CHECK_EQ(b->ops->error(b->stack, duo.accepted), -ECONNRESET);
    }
    duo_close(&duo);
}

static void finish_without_reset_is_a_fin(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];
    char byte;

    CHECK_EQ(send_text(&duo, 0, "end"), 3);
    CHECK_EQ(duo.side[0].ops->finish(duo.side[0].stack, duo.opener, false, ewi_now_ns()), 0);
    expect_text(&duo, 1, "end");
    CHECK_EQ(receive(&duo, 1, &byte, 1), 0);
    CHECK_EQ(recv_once(&duo, 1, &byte, 1), 0);
    CHECK_EQ(b->ops->error(b->stack, duo.accepted), 0);
    CHECK_EQ(b->ops->finish(b->stack, duo.accepted, false, ewi_now_ns()), 0);
    await_event(&duo, 1, duo.accepted, STACK_CLOSED, USER_ACCEPTED);
    await_event(&duo, 0, duo.opener, STACK_CLOSED, USER_OPENER);
    duo_close(&duo);
}

static void fin_leaves_the_other_way_open(void)
{
    struct duo duo = duo_open();
    char byte;

    CHECK_EQ(send_text(&duo, 0, "question"), 8);
    CHECK_EQ(duo.side[0].ops->shutdown(duo.side[0].stack, duo.opener), 0);
    CHECK_EQ(send_text(&duo, 0, "x"), -EPIPE);
    expect_text(&duo, 1, "question");
    CHECK_EQ(receive(&duo, 1, &byte, 1), 0);
    CHECK_EQ(send_text(&duo, 1, "answer"), 6);
    expect_text(&duo, 0, "answer");
    duo_close(&duo);
}

/* catches: CLOSED forgotten or told twice, events of a stream behind its CLOSED */
static void closed_is_the_last_event_and_comes_once(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];
    int closed = 0;

    CHECK_EQ(b->ops->watch(b->stack, duo.accepted, STACK_READABLE | STACK_WRITABLE), 0);
    CHECK_EQ(send_text(&duo, 0, "unread"), 6);
    until_ready(&duo, 1, STACK_READABLE);
    CHECK_EQ(b->ops->finish(b->stack, duo.accepted, false, ewi_now_ns()), 0);
    await_event(&duo, 0, duo.opener, STACK_FAILED, USER_OPENER); /* unread bytes: RST */
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < b->kept_count; k++) {
            CHECK_EQ(b->kept[k].stream, duo.accepted);
            CHECK_EQ(b->kept[k].bits, STACK_CLOSED);
            closed += 1;
        }
        b->kept_count = 0;
        turn_side(b);
    }
    CHECK_EQ(closed, 1);
    duo_close(&duo);
}

/* catches: break_off that only sets a flag; one after which old bytes are still delivered */
static void break_off_wakes_the_sleeper_and_fails_every_later_call(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];
    int fd = b->ops->stream_fd(b->stack, duo.accepted);
    char byte;

    CHECK(fd >= 0);
    if (b->ops->stream_arm != NULL)
        CHECK_EQ(b->ops->stream_arm(b->stack, duo.accepted, ewi_now_ns()), 0);
    CHECK(!is_readable(fd));
    CHECK_EQ(send_text(&duo, 0, "arrived"), 7);
    CHECK_EQ(b->ops->break_off(b->stack, duo.accepted), 0);
    CHECK(is_readable(fd));
    CHECK_EQ(recv_once(&duo, 1, &byte, 1), -ECONNABORTED);
    CHECK_EQ(send_text(&duo, 1, "x"), -ECONNABORTED);
    CHECK_EQ(b->ops->ready(b->stack, duo.accepted), STACK_FAILED);
    CHECK_EQ(b->ops->error(b->stack, duo.accepted), -ECONNABORTED);
    duo_close(&duo);
}

static void what_arrives_fills_the_rooms_and_spans_are_sent_in_order(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0], *b = &duo.side[1];
    const struct stack_span spans[] = {{"ab", 2}, {"", 0}, {"cdef", 4}, {"g", 1}};
    char first[3], second[3], third[3];
    const struct stack_room rooms[] = {{first, 3}, {second, 3}, {third, 3}};
    int64_t got;

    CHECK_EQ(a->ops->send(a->stack, duo.opener, spans, 4), 7);
    until_ready(&duo, 1, STACK_READABLE);
    got = b->ops->recv_into(b->stack, duo.accepted, rooms, 3);
    CHECK_EQ(got, 7);
    CHECK(memcmp(first, "abc", 3) == 0 && memcmp(second, "def", 3) == 0 && third[0] == 'g');
    duo_close(&duo);
}

/* catches: room that is told too early or never, a byte lost or twice when the window was shut */
static void full_stream_is_writable_again_when_the_peer_reads(void)
{
    enum { BLOCK = 1 << 16 };
    static uint8_t block[BLOCK];
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    uint64_t sent = 0, got = 0, quiet_since;
    int64_t step;

    quiet_since = ewi_now_ns();
    while (ewi_now_ns() - quiet_since < 50000000) { /* refused for so long: it is full on both sides */
        for (int i = 0; i < BLOCK; i++)
            block[i] = (uint8_t)((sent + (uint64_t)i) * 31 >> 3);
        step = send_bytes(&duo, 0, block, BLOCK);
        if (step > 0) {
            sent += (uint64_t)step;
            quiet_since = ewi_now_ns();
        } else {
            CHECK_EQ(step, -EAGAIN);
            forget_events(&duo);
            turn(&duo);
        }
    }
    CHECK_EQ(a->ops->ready(a->stack, duo.opener) & STACK_WRITABLE, 0);
    CHECK_EQ(a->ops->watch(a->stack, duo.opener, STACK_WRITABLE), 0);
    forget_events(&duo);
    expect_quiet(&duo, 0);
    while (got < sent) {
        step = receive(&duo, 1, block, BLOCK);
        CHECK(step > 0);
        for (int64_t i = 0; i < step; i++)
            CHECK_EQ(block[i], (uint8_t)((got + (uint64_t)i) * 31 >> 3));
        got += (uint64_t)step;
    }
    await_event(&duo, 0, duo.opener, STACK_WRITABLE, USER_OPENER);
    duo_close(&duo);
}

static void many_connections_are_accepted_in_one_go(void)
{
    enum { MANY = 12 };
    struct duo duo = duo_open();
    ewi_stream opener[MANY], accepted[MANY];

    for (int i = 0; i < MANY; i++)
        opener[i] = connect_to(&duo);
    for (int i = 0; i < MANY; i++)
        accepted[i] = accept_one(&duo);
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < i; k++)
            CHECK(opener[i] != opener[k] && accepted[i] != accepted[k]);
    duo_close(&duo);
}

/* catches: one port for two, a listener that is not one */
static void listeners_have_ports_of_their_own(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];
    struct stack_addr any = duo.address, at;
    ewi_stream more, twice;

    any.port = 0;
    CHECK_EQ(b->ops->listen(b->stack, &any, 4, 5, &more), 0);
    CHECK_EQ(b->ops->addresses(b->stack, more, &at, NULL), 0);
    CHECK(at.port != 0 && at.port != duo.address.port);
    CHECK_EQ(b->ops->listen(b->stack, &at, 4, 5, &twice), -EADDRINUSE);
    CHECK(b->ops->accept(b->stack, more, 0, &twice) == -EAGAIN);
    duo_close(&duo);
}

/* catches: a kick that stays, one that is lost */
static void kick_wakes_once(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];

    for (int i = 0; i < 3; i++) {
        expect_quiet(&duo, 0);
        a->ops->kick(a->stack);
        a->ops->kick(a->stack);
        CHECK(is_readable(a->ops->wait_fd(a->stack)));
    }
    expect_quiet(&duo, 0);
    duo_close(&duo);
}

static void contract(void)
{
    RUN(bytes_go_both_ways_and_ends_agree_on_addresses);
    RUN(stale_handle_is_never_another_stream);
    RUN(refused_connect_fails_and_stays_failed);
    RUN(events_are_told_again_until_they_are_taken);
    RUN(unwatched_stream_is_not_reported);
    RUN(failure_is_told_once_for_each_watch);
    RUN(stream_set_aside_is_not_reported_until_it_is_watched);
    RUN(reset_is_an_error_that_stays_behind_the_bytes);
    RUN(finish_without_reset_is_a_fin);
    RUN(fin_leaves_the_other_way_open);
    RUN(closed_is_the_last_event_and_comes_once);
    RUN(break_off_wakes_the_sleeper_and_fails_every_later_call);
    RUN(what_arrives_fills_the_rooms_and_spans_are_sent_in_order);
    RUN(full_stream_is_writable_again_when_the_peer_reads);
    RUN(many_connections_are_accepted_in_one_go);
    RUN(listeners_have_ports_of_their_own);
    RUN(kick_wakes_once);
}

int main(void)
{
    int before = open_descriptors();

    for (int kernel = 0; kernel < 2; kernel++) {
        duo_is_kernel = kernel != 0;
        printf("-- %s\n", duo_is_kernel ? "the kernel's stack" : "ours, on a wire");
        contract();
    }
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
