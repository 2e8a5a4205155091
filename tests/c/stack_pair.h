/* tests/c/stack_pair.h - two stacks, and both ends of a connection between them.
 *
 * Purpose    What tests of transport/stack.h share: our TCP/IP as 10.0.0.1 and 10.0.0.2 on a wire in
 *            memory, or the kernel's on loopback, driven by the test itself; waiting fails instead of
 *            hanging.
 * Shape      struct duo: side 0 opens, side 1 listens. Time is the real one. duo_is_kernel chooses.
 * Owner      duo_close() closes both; the wire goes with them.
 * Threads    as transport/stack.h says
 * Trust      none: test code only
 * Errors     a CHECK fails; no wait is longer than WAIT_NS
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_STACK_PAIR_H
#define TESTS_C_STACK_PAIR_H

#include "tests/c/stack_base.h"
#include "tests/shell/wire.h"
#include "transport/shell/shell.h"

enum { EVENTS_KEPT = 64 };

#define WAIT_NS UINT64_C(10000000000)
#define WIRE "pair"

static bool duo_is_kernel;

struct side {
    const struct stack_ops *ops;
    struct ewi_stack *stack;
    struct stack_event kept[EVENTS_KEPT]; /* polled, and not yet expected by the test */
    int kept_count;
};

struct duo {
    struct side side[2];
    struct stack_addr address; /* of the listener */
    ewi_stream listener, opener, accepted;
};

static inline int try_open(const char *text, uint32_t streams_max, uint64_t silence_ns, uint8_t seed,
                           char *reason, struct ewi_stack **out)
{
    uint8_t seeds[32] = {seed};
    struct stack_options options = {.streams_max = streams_max,
                                    .seed = seeds,
                                    .text = text,
                                    .silence_ns = silence_ns,
                                    .reason = reason};

    return wire_stack()->open(&options, out);
}

static inline struct side open_side(const char *text, uint32_t streams_max, uint64_t silence_ns,
                                    uint8_t seed)
{
    struct side side = {.ops = wire_stack()};
    char reason[STACK_REASON_BYTES] = "";
    int code = try_open(text, streams_max, silence_ns, seed, reason, &side.stack);

    if (code != 0)
        fprintf(stderr, "open: %d, %s\n", code, reason);
    CHECK_EQ(code, 0);
    return side;
}

/* One look at each stack; events are kept. */
static inline void turn_side(struct side *side)
{
    uint64_t deadline;

    if (side->stack == NULL)
        return;
    CHECK(side->kept_count < EVENTS_KEPT / 2);
    side->kept_count += side->ops->poll(side->stack, ewi_now_ns(), side->kept + side->kept_count,
                                        EVENTS_KEPT / 2, &deadline);
}

static inline void turn(struct duo *duo)
{
    turn_side(&duo->side[0]);
    turn_side(&duo->side[1]);
}

/* Levels go away when they are taken: keep only what the test has not seen. */
static inline bool take_event(struct side *side, ewi_stream stream, uint32_t bits, uint64_t user)
{
    for (int i = 0; i < side->kept_count; i++) {
        struct stack_event *event = &side->kept[i];

        if (event->stream != stream || (event->bits & bits) != bits)
            continue;
        CHECK_EQ(event->user, user);
        memmove(event, event + 1, (size_t)(side->kept_count - i - 1) * sizeof(*event));
        side->kept_count -= 1;
        return true;
    }
    return false;
}

static inline void forget_events(struct duo *duo)
{
    duo->side[0].kept_count = duo->side[1].kept_count = 0;
}

static inline void await_event(struct duo *duo, int which, ewi_stream stream, uint32_t bits,
                               uint64_t user)
{
    uint64_t end = ewi_now_ns() + WAIT_NS;

    while (!take_event(&duo->side[which], stream, bits, user)) {
        CHECK(ewi_now_ns() < end);
        duo->side[0].kept_count = which == 0 ? duo->side[0].kept_count : 0;
        duo->side[1].kept_count = which == 1 ? duo->side[1].kept_count : 0;
        if (duo->side[which].kept_count > EVENTS_KEPT / 4)
            duo->side[which].kept_count = 0;
        turn(duo);
    }
}

/* So long both are driven. */
static inline void run_for(struct duo *duo, uint64_t ns)
{
    for (uint64_t end = ewi_now_ns() + ns; ewi_now_ns() < end;) {
        forget_events(duo);
        turn(duo);
    }
    forget_events(duo);
}

static inline struct duo duo_of_kernel(uint32_t streams_max, uint64_t silence_ns)
{
    struct duo duo = {.address = {.family = 4, .ip = {127, 0, 0, 1}}};
    const struct stack_options options = {
        .streams_max = streams_max, .text = "", .silence_ns = silence_ns};

    for (int i = 0; i < 2; i++) {
        duo.side[i].ops = &ewi_kernel_stack;
        CHECK_EQ(ewi_kernel_stack.open(&options, &duo.side[i].stack), 0);
    }
    return duo;
}

/* More lines for the text of each. */
static inline struct duo duo_of_wire(const char *more0, const char *more1, uint32_t streams_max,
                                     uint64_t silence_ns)
{
    struct duo duo = {.address = {.family = 4, .ip = {10, 0, 0, 2}}};
    char text[512];

    snprintf(text, sizeof(text), "device=wire:name=" WIRE "\naddress=10.0.0.1/24\ndetect=off\n%s", more0);
    duo.side[0] = open_side(text, streams_max, silence_ns, 1);
    snprintf(text, sizeof(text), "device=wire:name=" WIRE "\naddress=10.0.0.2/24\ndetect=off\n%s", more1);
    duo.side[1] = open_side(text, streams_max, silence_ns, 2);
    return duo;
}

static inline struct duo duo_on(const char *more0, const char *more1, uint32_t streams_max,
                                uint64_t silence_ns)
{
    if (duo_is_kernel)
        return duo_of_kernel(streams_max, silence_ns);
    return duo_of_wire(more0, more1, streams_max, silence_ns);
}
static inline void listen_on(struct duo *duo)
{
    struct side *side = &duo->side[1];

    CHECK_EQ(side->ops->listen(side->stack, &duo->address, 16, USER_LISTENER, &duo->listener), 0);
    CHECK_EQ(side->ops->addresses(side->stack, duo->listener, &duo->address, NULL), 0);
    CHECK(duo->address.port != 0);
}

static inline ewi_stream connect_to(struct duo *duo)
{
    struct side *side = &duo->side[0];
    ewi_stream opener;

    CHECK_EQ(side->ops->connect(side->stack, NULL, &duo->address, USER_OPENER, ewi_now_ns(), &opener),
             0);
    return opener;
}

static inline ewi_stream accept_one(struct duo *duo)
{
    struct side *side = &duo->side[1];
    uint64_t end = ewi_now_ns() + WAIT_NS;
    ewi_stream accepted;
    int code;

    while ((code = side->ops->accept(side->stack, duo->listener, USER_ACCEPTED, &accepted)) == -EAGAIN) {
        CHECK(ewi_now_ns() < end);
        forget_events(duo);
        turn(duo);
    }
    CHECK_EQ(code, 0);
    return accepted;
}

/* Connected, and all of that reported. */
static inline struct duo duo_with(const char *more0, const char *more1)
{
    struct duo duo = duo_on(more0, more1, 64, 0);

    listen_on(&duo);
    duo.opener = connect_to(&duo);
    await_event(&duo, 0, duo.opener, STACK_CONNECTED, USER_OPENER);
    duo.accepted = accept_one(&duo);
    forget_events(&duo);
    turn(&duo);
    forget_events(&duo);
    return duo;
}

static inline struct duo duo_open(void)
{
    return duo_with("", "");
}

static inline void duo_close(struct duo *duo)
{
    struct wire_look look;

    for (int i = 0; i < 2; i++)
        if (duo->side[i].stack != NULL)
            duo->side[i].ops->close(duo->side[i].stack);
    CHECK(!wire_look_at(WIRE, &look));
}

static inline ewi_stream stream_of(const struct duo *duo, int which)
{
    return which == 0 ? duo->opener : duo->accepted;
}

static inline int64_t send_bytes(struct duo *duo, int which, const void *bytes, size_t count)
{
    struct side *side = &duo->side[which];

    return side->ops->send(side->stack, stream_of(duo, which), &(struct stack_span){bytes, count}, 1);
}

static inline int64_t send_text(struct duo *duo, int which, const char *text)
{
    return send_bytes(duo, which, text, strlen(text));
}

static inline int64_t recv_once(struct duo *duo, int which, void *into, size_t bytes)
{
    struct side *side = &duo->side[which];

    return side->ops->recv_into(side->stack, stream_of(duo, which), &(struct stack_room){into, bytes},
                                1);
}

/* Receive, driving both. */
static inline int64_t receive(struct duo *duo, int which, void *into, size_t room)
{
    uint64_t end = ewi_now_ns() + WAIT_NS;
    int64_t got;

    while ((got = recv_once(duo, which, into, room)) == -EAGAIN) {
        CHECK(ewi_now_ns() < end);
        duo->side[!which].kept_count = 0;
        turn_side(&duo->side[!which]);
    }
    return got;
}

static inline void expect_text(struct duo *duo, int which, const char *text)
{
    char got[64] = "";

    for (size_t have = 0; have < strlen(text);) {
        int64_t more = receive(duo, which, got + have, strlen(text) - have);

        CHECK(more > 0);
        have += (size_t)more;
    }
    CHECK(strcmp(got, text) == 0);
}

/* Until ready() says so, both driven. */
static inline void until_ready(struct duo *duo, int which, uint32_t bits)
{
    struct side *side = &duo->side[which];
    uint64_t end = ewi_now_ns() + WAIT_NS;

    while ((side->ops->ready(side->stack, stream_of(duo, which)) & bits) != bits) {
        CHECK(ewi_now_ns() < end);
        duo->side[!which].kept_count = 0;
        turn_side(&duo->side[!which]);
    }
}

/* Nothing is left to report: armed, wait_fd is quiet but for the timer's looks, which have no event. */
static inline void expect_quiet(struct duo *duo, int which)
{
    struct side *side = &duo->side[which];

    side->kept_count = 0;
    for (int i = 0; i < 4; i++) {
        turn_side(side);
        CHECK(duo_is_kernel || side->kept_count == 0);
        side->kept_count = 0; /* the kernel tells an end once more on each wake-up */
    }
    for (int tries = 0;; tries++) {
        turn_side(side);
        CHECK_EQ(side->kept_count, 0);
        if (side->ops->arm(side->stack, ewi_now_ns()) == 0 &&
            !is_readable(side->ops->wait_fd(side->stack)))
            return;
        CHECK(tries < 100);
    }
}

/* Armed: what is told once is told. */
static inline void arm_stream(struct duo *duo, int which, ewi_stream stream)
{
    struct side *side = &duo->side[which];

    for (int tries = 0; side->ops->stream_arm(side->stack, stream, ewi_now_ns()) != 0; tries++)
        CHECK(tries < 10);
}

#endif
