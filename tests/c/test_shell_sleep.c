/* tests/c/test_shell_sleep.c - transport/shell: who sleeps where is woken (shell.h, I1 and I2). */
#include "tests/c/shell_threads.h"

enum { MS = 1000 * 1000, TRIES = 5 };

static void pass(uint64_t ns)
{
    const struct timespec moment = {.tv_nsec = (long)ns};

    nanosleep(&moment, NULL);
}

struct sleeper {
    struct duo *duo;
    int which;
    ewi_stream stream;
    uint64_t woken_at, sleeps;
    pthread_t thread;
    _Atomic bool is_done;
};

/* One byte, sleeping for it. */
static void *sleep_for_byte(void *context)
{
    struct sleeper *sleeper = context;
    struct side *side = &sleeper->duo->side[sleeper->which];
    char byte;

    while (side->ops->recv_into(side->stack, sleeper->stream, &(struct stack_room){&byte, 1}, 1) != 1)
        sleeper->sleeps += sleep_on_stream(sleeper->duo, sleeper->which, sleeper->stream);
    sleeper->woken_at = ewi_now_ns();
    return NULL;
}

static void start_sleeper(struct sleeper *sleeper, struct duo *duo, int which, ewi_stream stream)
{
    *sleeper = (struct sleeper){.duo = duo, .which = which, .stream = stream};
    CHECK_EQ(pthread_create(&sleeper->thread, NULL, sleep_for_byte, sleeper), 0);
    until_asleep(duo, which, stream);
}

static void send_on(struct duo *duo, int which, ewi_stream stream)
{
    struct side *side = &duo->side[which];

    CHECK_EQ(side->ops->send(side->stack, stream, &(struct stack_span){"x", 1}, 1), 1);
}

/* Nobody else drives that stack.
 * catches: a device that is not armed for the sleeper, or is in no set of its */
static void sleeper_is_woken_by_the_device(void)
{
    struct duo duo = duo_open();

    for (int i = 0; i < 20; i++) {
        struct sleeper sleeper;

        start_sleeper(&sleeper, &duo, 1, duo.accepted);
        CHECK(wire_is_armed(WIRE, 1));
        send_on(&duo, 0, duo.opener);
        CHECK_EQ(pthread_join(sleeper.thread, NULL), 0);
        CHECK_EQ(sleeper.sleeps, 1);
    }
    duo_close(&duo);
}

static uint32_t watcher_of(struct ewi_stack *stack)
{
    uint32_t watcher;

    ewi_shell_enter(stack);
    watcher = stack->watcher;
    ewi_lock_give(&stack->guard);
    return watcher;
}

/* The one who watches the device drives for the other.
 * catches: a drive that does not ring, a second sleeper that takes the device */
static void sleeper_is_woken_by_the_drive_of_another_thread(void)
{
    struct duo duo = duo_open();
    struct sleeper first, watcher;
    ewi_stream opener, accepted;

    connect_more(&duo, &opener, &accepted);
    start_sleeper(&first, &duo, 1, duo.accepted);
    start_sleeper(&watcher, &duo, 1, accepted); /* whose look takes the device from the first */
    CHECK_EQ(watcher_of(duo.side[1].stack), (uint32_t)accepted + 1);
    send_on(&duo, 0, duo.opener);
    CHECK_EQ(pthread_join(first.thread, NULL), 0);
    until_asleep(&duo, 1, accepted); /* or nobody is woken by the next */
    send_on(&duo, 0, opener);
    CHECK_EQ(pthread_join(watcher.thread, NULL), 0);
    duo_close(&duo);
}

static uint64_t woken_when_the_watcher_went(struct duo *duo, ewi_stream opener, ewi_stream accepted,
                                           bool says)
{
    struct side *b = &duo->side[1];
    struct sleeper other;
    uint64_t sent_at;

    CHECK(b->ops->stream_fd(b->stack, duo->accepted) >= 0);
    start_sleeper(&other, duo, 1, accepted);
    b->ops->ready(b->stack, duo->accepted); /* takes the device from the other */
    CHECK_EQ(b->ops->stream_arm(b->stack, duo->accepted, ewi_now_ns()), 0);
    if (says)
        b->ops->ready(b->stack, duo->accepted); /* what who stops sleeping is to call */
    pass(20 * MS); /* no tick is left */
    sent_at = ewi_now_ns();
    send_on(duo, 0, opener);
    CHECK_EQ(pthread_join(other.thread, NULL), 0);
    b->ops->ready(b->stack, duo->accepted);
    return other.woken_at - sent_at;
}

/* The machine may be busy once.
 * catches: a reactor that does not take the device when nobody has it */
static void reactor_covers_for_sleepers_when_the_watcher_went(void)
{
    struct duo duo = duo_open();
    struct reactor reactor = {0};
    ewi_stream opener, accepted;

    connect_more(&duo, &opener, &accepted);
    reactor_start(&reactor, &duo.side[1]);
    for (int says = 0; says < 2; says++) {
        uint64_t least = UINT64_MAX, limit = (uint64_t)(says ? 100 : 1000) * MS;

        for (int i = 0; i < TRIES && least >= limit; i++)
            least = ewi_min_u64(least, woken_when_the_watcher_went(&duo, opener, accepted, says));
        printf("\n  after %.1f ms when the watcher %s", (double)least / MS,
               says ? "said that it went" : "just went");
        CHECK(least < limit);
    }
    reactor_stop(&reactor);
    duo_close(&duo);
}

static int never_quiet(struct device *device)
{
    (void)device;
    return 1;
}

/* catches: "sleep" when the device was not armed */
static void nobody_sleeps_on_a_device_that_is_never_quiet(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    struct device_ops busy = wire_device;

    CHECK(a->ops->stream_fd(a->stack, duo.opener) >= 0);
    arm_stream(&duo, 0, duo.opener);
    busy.sleep_arm = never_quiet;
    a->stack->ops = &busy;
    CHECK_EQ(a->ops->stream_arm(a->stack, duo.opener, ewi_now_ns()), 1);
    turn_side(a);
    (void)a->ops->arm(a->stack, ewi_now_ns()); /* after calls of an application it ticks */
    CHECK_EQ(a->ops->arm(a->stack, ewi_now_ns()), 1);
    a->stack->ops = &wire_device;
    duo_close(&duo);
}

static char block[1 << 16], sink[1 << 16];

static uint64_t fill(struct duo *duo)
{
    uint64_t sent = 0, quiet_since = ewi_now_ns();

    while (ewi_now_ns() - quiet_since < 50 * MS) {
        int64_t step = send_bytes(duo, 0, block, sizeof(block));

        if (step > 0) {
            sent += (uint64_t)step;
            quiet_since = ewi_now_ns();
        }
        forget_events(duo);
        turn(duo);
    }
    forget_events(duo);
    return sent;
}

static void *sleep_for_room(void *context)
{
    struct sleeper *sleeper = context;

    while (send_bytes(sleeper->duo, 0, block, 1) != 1)
        sleeper->sleeps += sleep_on_stream(sleeper->duo, 0, sleeper->stream);
    atomic_store(&sleeper->is_done, true);
    return NULL;
}

/* False: there was room at once, an acknowledgment came late. */
static bool falls_asleep(struct sleeper *sleeper)
{
    *sleeper = (struct sleeper){.duo = sleeper->duo, .stream = sleeper->stream};
    CHECK_EQ(pthread_create(&sleeper->thread, NULL, sleep_for_room, sleeper), 0);
    while (!is_asleep(sleeper->duo, 0, sleeper->stream)) {
        if (atomic_load(&sleeper->is_done)) {
            CHECK_EQ(pthread_join(sleeper->thread, NULL), 0);
            return false;
        }
        pass(MS / 10);
    }
    return true;
}

/* catches: room that rings no bell, one that rings it for a reader */
static void room_after_a_refused_send_wakes(void)
{
    struct duo duo = duo_open();
    struct sleeper sleeper = {.duo = &duo, .stream = duo.opener};

    CHECK(fill(&duo) > sizeof(block));
    while (!falls_asleep(&sleeper))
        fill(&duo);
    while (!atomic_load(&sleeper.is_done)) {
        int64_t step = recv_once(&duo, 1, sink, sizeof(sink));

        CHECK(step > 0 || step == -EAGAIN);
    }
    CHECK_EQ(pthread_join(sleeper.thread, NULL), 0);
    CHECK(sleeper.sleeps > 0);
    duo_close(&duo);
}

/* catches: wants_room that stays, and keeps a reader awake */
static void reader_sleeps_though_there_is_room(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    int64_t refused;
    int busy = 0;

    CHECK(a->ops->stream_fd(a->stack, duo.opener) >= 0);
    fill(&duo);
    while ((refused = send_bytes(&duo, 0, block, 1)) == 1) /* an acknowledgment came late */
        continue;
    CHECK_EQ(refused, -EAGAIN);
    while (recv_once(&duo, 1, sink, sizeof(sink)) > 0)
        turn(&duo);
    until_ready(&duo, 0, STACK_WRITABLE);
    while (a->ops->stream_arm(a->stack, duo.opener, ewi_now_ns()) == 1)
        CHECK(++busy < 3);
    CHECK(!is_readable(a->ops->stream_fd(a->stack, duo.opener)));
    duo_close(&duo);
}

/* catches: a bell for each ACK */
static void reader_is_not_woken_by_acknowledgments(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    int fd = a->ops->stream_fd(a->stack, duo.opener);
    uint64_t position = 0;

    send_on(&duo, 0, duo.opener);
    arm_stream(&duo, 0, duo.opener);
    expect_text(&duo, 1, "x");
    for (uint64_t end = ewi_now_ns() + 100 * MS; ewi_now_ns() < end;)
        turn_side(&duo.side[1]);
    turn_side(&duo.side[0]);
    CHECK_EQ(ewi_net_released(a->stack->net, a->stack->stream[(uint32_t)duo.opener].inner, &position), 0);
    CHECK_EQ(position, 1); /* it has come */
    CHECK(!a->stack->stream[(uint32_t)duo.opener].signalled);
    a->ops->ready(a->stack, duo.opener);
    CHECK(!is_readable(fd));
    duo_close(&duo);
}

/* catches: a tick that goes on, a carrier that is looked at all the time */
static void idle_stack_does_next_to_nothing(void)
{
    struct duo duo = duo_open();
    struct reactor reactor[2] = {{0}};
    uint64_t loops, ticks, arms;

    for (int i = 0; i < 2; i++)
        reactor_start(&reactor[i], &duo.side[i]);
    pass(300 * MS);
    loops = atomic_load(&reactor[0].loops);
    ewi_shell_enter(duo.side[0].stack);
    ticks = duo.side[0].stack->counts.ticks;
    arms = duo.side[0].stack->counts.arms;
    ewi_lock_give(&duo.side[0].stack->guard);
    for (int i = 0; i < 4; i++)
        pass(500 * MS);
    loops = atomic_load(&reactor[0].loops) - loops;
    ewi_shell_enter(duo.side[0].stack);
    CHECK_EQ(duo.side[0].stack->counts.ticks, ticks);
    arms = duo.side[0].stack->counts.arms - arms;
    ewi_lock_give(&duo.side[0].stack->guard);
    printf("\n  %" PRIu64 " wake-ups and %" PRIu64 " armings in 2 s", loops, arms);
    CHECK(loops <= 10);
    for (int i = 0; i < 2; i++)
        reactor_stop(&reactor[i]);
    duo_close(&duo);
}

/* An application drives for a while and goes away without a word: what comes then is the reactor's.
 * catches: no tick behind the last drive, a tick that does not take the device */
static void application_that_went_is_covered(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];
    struct reactor reactor = {.reads = duo.accepted};
    uint64_t sent_at, worst = 0;
    char byte;

    CHECK_EQ(b->ops->watch(b->stack, duo.accepted, STACK_READABLE), 0);
    reactor_start(&reactor, b);
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 100; k++)
            CHECK_EQ(recv_once(&duo, 1, &byte, 0), -EAGAIN);
        sent_at = ewi_now_ns();
        send_on(&duo, 0, duo.opener);
        while (atomic_load(&reactor.event_at) < sent_at)
            CHECK(ewi_now_ns() - sent_at < WAIT_NS);
        worst = ewi_max_u64(worst, atomic_load(&reactor.event_at) - sent_at);
        pass(5 * MS);
    }
    printf("\n  at worst after %.1f ms", (double)worst / MS);
    CHECK(worst < 200 * MS); /* of a machine that may be busy; without a tick it is 250 and more */
    reactor_stop(&reactor);
    duo_close(&duo);
}

/* The reactor serves requests itself, and nobody else drives: its own calls are no reason to tick.
 * catches: a reactor that takes itself for an application */
static void reactor_that_serves_by_itself_is_woken_by_the_device(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];
    struct reactor reactor = {.reads = duo.accepted};
    uint64_t ticks;

    CHECK_EQ(b->ops->watch(b->stack, duo.accepted, STACK_READABLE), 0);
    reactor_start(&reactor, b);
    pass(20 * MS);
    ewi_shell_enter(b->stack);
    ticks = b->stack->counts.ticks;
    ewi_lock_give(&b->stack->guard);
    for (int i = 0; i < 50; i++) {
        uint64_t sent_at = ewi_now_ns();

        send_on(&duo, 0, duo.opener);
        while (atomic_load(&reactor.event_at) < sent_at)
            CHECK(ewi_now_ns() - sent_at < WAIT_NS);
    }
    reactor_stop(&reactor);
    CHECK_EQ(b->stack->counts.ticks, ticks);
    duo_close(&duo);
}

int main(void)
{
    int before = open_descriptors();

    RUN(sleeper_is_woken_by_the_device);
    RUN(sleeper_is_woken_by_the_drive_of_another_thread);
    RUN(reactor_covers_for_sleepers_when_the_watcher_went);
    RUN(nobody_sleeps_on_a_device_that_is_never_quiet);
    RUN(room_after_a_refused_send_wakes);
    RUN(reader_sleeps_though_there_is_room);
    RUN(reader_is_not_woken_by_acknowledgments);
    RUN(idle_stack_does_next_to_nothing);
    RUN(application_that_went_is_covered);
    RUN(reactor_that_serves_by_itself_is_woken_by_the_device);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
