/* tests/c/kernel_pair.h - two connected streams of the kernel stack, and how to wait for things.
 *
 * Purpose    What the tests of transport/kernel share: a stack, a listener, both ends of one
 *            connection over loopback, and waiting that fails instead of hanging.
 * Shape      struct pair; ports are ephemeral; no wait is longer than WAIT_MS milliseconds.
 * Owner      pair_close() closes all streams of the stack.
 * Threads    as transport/stack.h says
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants I1  after pair_open the stack is quiet: connected, reported, nothing watched.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_KERNEL_PAIR_H
#define TESTS_C_KERNEL_PAIR_H

#include "tests/c/stack_base.h"

static const struct stack_ops *const ops = &ewi_kernel_stack;

struct pair {
    struct ewi_stack *stack;
    ewi_stream listener, opener, accepted;
    struct stack_addr address; /* of the listener */
};

static inline struct ewi_stack *open_stack(uint32_t streams_max)
{
    struct stack_options options = {.streams_max = streams_max, .text = ""};
    struct ewi_stack *stack;

    CHECK_EQ(ops->open(&options, &stack), 0);
    return stack;
}

/* Sleep on a descriptor until it is ready; a test that waits in vain fails. */
static inline void sleep_on(int fd, short events)
{
    struct pollfd look = {.fd = fd, .events = events};

    CHECK_EQ(poll(&look, 1, WAIT_MS), 1);
}

static inline int poll_now(struct ewi_stack *stack, struct stack_event *events, uint32_t count)
{
    uint64_t deadline;
    int found = ops->poll(stack, 0, events, count, &deadline);

    CHECK(deadline == UINT64_MAX);
    return found;
}

/* The next event of the stack. */
static inline struct stack_event next_event(struct ewi_stack *stack)
{
    struct stack_event event;

    do
        sleep_on(ops->wait_fd(stack), POLLIN);
    while (poll_now(stack, &event, 1) == 0);
    return event;
}

static inline void expect_event(struct ewi_stack *stack, uint64_t user, ewi_stream stream,
                                uint32_t bits)
{
    struct stack_event event = next_event(stack);

    CHECK_EQ(event.user, user);
    CHECK_EQ(event.stream, stream);
    CHECK_EQ(event.bits, bits);
}

/* Nothing is left to report: wait_fd is quiet, and stays so. */
static inline void expect_quiet(struct ewi_stack *stack)
{
    struct stack_event events[64];

    for (int i = 0; i < 4; i++)
        CHECK_EQ(poll_now(stack, events, 64), 0);
    CHECK(!is_readable(ops->wait_fd(stack)));
}

/* Up to four polls for what has to be said about an end, no event but these bits. */
static inline void expect_end_then_quiet(struct ewi_stack *stack, ewi_stream stream, uint32_t bits)
{
    struct stack_event events[64];

    expect_event(stack, USER_ACCEPTED, stream, bits);
    for (int i = 0; i < 4; i++)
        for (int found = poll_now(stack, events, 64); found > 0; found--)
            CHECK_EQ(events[found - 1].bits, bits);
    expect_quiet(stack);
}

/* POLLHUP needs no asking for, and nothing else is asked for. */
static inline void until_hangup(struct pair *pair, ewi_stream stream)
{
    sleep_on(ops->stream_fd(pair->stack, stream), 0);
}

static inline void listen_on(struct pair *pair, const char *text)
{
    struct stack_addr local;

    CHECK_EQ(ewi_addr_parse(text, &local), EW_OK);
    CHECK_EQ(ops->listen(pair->stack, &local, 16, USER_LISTENER, &pair->listener), 0);
    CHECK_EQ(ops->addresses(pair->stack, pair->listener, &pair->address, NULL), 0);
    CHECK(pair->address.port != 0);
}

static inline ewi_stream connect_to(struct pair *pair)
{
    ewi_stream opener;

    CHECK_EQ(ops->connect(pair->stack, NULL, &pair->address, USER_OPENER, 0, &opener), 0);
    return opener;
}

static inline ewi_stream accept_one(struct pair *pair)
{
    ewi_stream accepted;

    sleep_on(ops->stream_fd(pair->stack, pair->listener), POLLIN);
    CHECK_EQ(ops->accept(pair->stack, pair->listener, USER_ACCEPTED, &accepted), 0);
    return accepted;
}

/* Connected, nothing watched, CONNECTED reported: expect_quiet would pass. */
static inline struct pair pair_on(const char *text)
{
    struct pair pair = {.stack = open_stack(64)};
    struct stack_event event;

    listen_on(&pair, text);
    pair.opener = connect_to(&pair);
    pair.accepted = accept_one(&pair);
    do
        event = next_event(pair.stack);
    while (event.stream == pair.listener);
    CHECK_EQ(event.user, USER_OPENER);
    CHECK_EQ(event.stream, pair.opener);
    CHECK_EQ(event.bits, STACK_CONNECTED);
    return pair;
}

static inline struct pair pair_open(void)
{
    return pair_on("127.0.0.1:0");
}

static inline void pair_close(struct pair *pair)
{
    ops->close(pair->stack);
}

static inline int64_t send_text(struct pair *pair, ewi_stream stream, const char *text)
{
    return ops->send(pair->stack, stream, &(struct stack_span){text, strlen(text)}, 1);
}

static inline int64_t recv_once(struct ewi_stack *stack, ewi_stream stream, void *into, size_t bytes)
{
    return ops->recv_into(stack, stream, &(struct stack_room){into, bytes}, 1);
}

/* Receive, sleeping on the stream's own descriptor. */
static inline int64_t receive(struct pair *pair, ewi_stream stream, void *into, size_t room)
{
    int64_t got;

    while ((got = recv_once(pair->stack, stream, into, room)) == -EAGAIN)
        sleep_on(ops->stream_fd(pair->stack, stream), POLLIN);
    return got;
}

static inline void expect_text(struct pair *pair, ewi_stream stream, const char *text)
{
    char got[64] = "";

    for (size_t have = 0; have < strlen(text);) {
        int64_t more = receive(pair, stream, got + have, strlen(text) - have);

        CHECK(more > 0);
        have += (size_t)more;
    }
    CHECK(strcmp(got, text) == 0);
}

static inline void reset_from_peer(struct pair *pair)
{
    CHECK_EQ(ops->finish(pair->stack, pair->opener, true, 0), 0);
    expect_event(pair->stack, USER_OPENER, pair->opener, STACK_CLOSED);
}

#endif
