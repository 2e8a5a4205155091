/* tests/c/test_bell.c - one kick for each sleep, and no waiter left behind. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include "shm/bell.h"
#include "shm/waitroom.h"
#include "tests/c/harness.h"

enum { MS = 1000 * 1000, ROUNDS = 20000, STUCK_MS = 5000 };

/* Two ends in one process: what one says in its word, the other reads. */
static struct end {
    _Atomic uint32_t word;
    struct bell bell;
} west, east;

static void connect_ends(void)
{
    int sockets[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    west = (struct end){.bell = {.fd = sockets[0], .mine = &west.word, .peers = &east.word}};
    east = (struct end){.bell = {.fd = sockets[1], .mine = &east.word, .peers = &west.word}};
}

static void disconnect_ends(void)
{
    close(west.bell.fd);
    close(east.bell.fd);
}

/* Read all kicks that are there. */
static int drain(int fd)
{
    char byte;
    int kicks = 0;

    while (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
        kicks++;
    return kicks;
}

static void ring(struct end *end, uint32_t wants)
{
    if (ewi_bell_is_wanted(&end->bell, wants))
        ewi_bell_kick(&end->bell);
}

/* ---- the bell ---- */

static void nobody_is_kicked_who_does_not_sleep(void)
{
    connect_ends();
    CHECK(!ewi_bell_is_wanted(&west.bell, BELL_BITS));
    ring(&west, BELL_DATA);
    CHECK_EQ(drain(east.bell.fd), 0);
    disconnect_ends();
}

static void a_sleeper_is_kicked_for_what_it_wants_only(void)
{
    connect_ends();
    ewi_bell_announce(&east.bell, BELL_SPACE);
    ring(&west, BELL_DATA);
    CHECK_EQ(drain(east.bell.fd), 0);
    ring(&west, BELL_SPACE);
    CHECK_EQ(drain(east.bell.fd), 1);
    disconnect_ends();
}

/* catches: kick without `before == (word | 1)` */
static void a_burst_costs_one_kick(void)
{
    connect_ends();
    ewi_bell_announce(&east.bell, BELL_DATA);
    for (int i = 0; i < 1000; i++)
        ring(&west, BELL_DATA);
    CHECK_EQ(drain(east.bell.fd), 1);
    CHECK_EQ(atomic_load(&west.bell.kicks), 1);
    disconnect_ends();
}

/* catches: announce without BELL_EPOCH */
static void each_announcement_may_be_answered_once(void)
{
    connect_ends();
    for (int i = 0; i < 1000; i++) {
        ewi_bell_announce(&east.bell, BELL_DATA);
        ring(&west, BELL_DATA);
        ring(&west, BELL_DATA);
        CHECK_EQ(drain(east.bell.fd), 1);
    }
    disconnect_ends();
}

static void what_was_retracted_is_not_kicked_for(void)
{
    connect_ends();
    ewi_bell_announce(&east.bell, BELL_DATA | BELL_SPACE);
    ewi_bell_retract(&east.bell, BELL_DATA);
    ring(&west, BELL_DATA);
    CHECK_EQ(drain(east.bell.fd), 0);
    ring(&west, BELL_SPACE);
    CHECK_EQ(drain(east.bell.fd), 1);
    disconnect_ends();
}

static void announcing_for_one_keeps_what_the_other_wants(void)
{
    connect_ends();
    ewi_bell_announce(&east.bell, BELL_DATA);
    ewi_bell_announce(&east.bell, BELL_SPACE);
    CHECK_EQ(atomic_load(&east.word) & BELL_BITS, BELL_DATA | BELL_SPACE);
    disconnect_ends();
}

static void the_epoch_may_wrap_around(void)
{
    connect_ends();
    atomic_store(&east.word, UINT32_MAX - BELL_EPOCH + 1);
    for (int i = 0; i < 5; i++) {
        ewi_bell_announce(&east.bell, BELL_DATA);
        ring(&west, BELL_DATA);
        CHECK_EQ(drain(east.bell.fd), 1);
    }
    disconnect_ends();
}

static void the_first_epoch_0_can_be_answered(void)
{
    connect_ends();
    atomic_store(&east.word, BELL_DATA); /* a hostile or wrapped word; kicked is still 0 */
    ring(&west, BELL_DATA);
    CHECK_EQ(drain(east.bell.fd), 1);
    disconnect_ends();
}

/* catches: send without MSG_DONTWAIT (it never returns) */
static void a_hostile_sleeper_cannot_make_a_kick_block(void)
{
    connect_ends();
    for (int i = 0; i < 100000; i++) {
        ewi_bell_announce(&east.bell, BELL_DATA);
        ring(&west, BELL_DATA);
    }
    CHECK(drain(east.bell.fd) < 100000);
    disconnect_ends();
}

/* MSG_NOSIGNAL is a second belt: a seqpacket socket raises no SIGPIPE (net/unix/af_unix.c) */
static void a_kick_to_a_dead_peer_does_no_harm(void)
{
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR); /* whoever started us may have ignored it */
    connect_ends();
    ewi_bell_announce(&east.bell, BELL_DATA);
    close(east.bell.fd);
    ring(&west, BELL_DATA);
    close(west.bell.fd);
}

/* ---- a sleeper and a kicker that race ---- */

/* A few nanoseconds, other ones each time, so that the two meet at every step. */
static void hesitate(struct harness_random *random)
{
    for (uint64_t spin = harness_below(random, 64); spin > 0; spin--)
        ewi_relax();
}

enum { LITMUS_ROUNDS = 200000 };

static _Atomic uint32_t litmus_round[2], litmus_data;
static bool kicker_saw, sleeper_saw;

/* Wait for the other thread, so that both start within a few nanoseconds. */
static void meet(int who, uint32_t round)
{
    atomic_store(&litmus_round[who], round);
    while (atomic_load(&litmus_round[1 - who]) < round)
        ewi_relax();
}

static void *kick_once_a_round(void *unused)
{
    (void)unused;
    for (uint32_t i = 1; i <= LITMUS_ROUNDS; i++) {
        meet(0, 2 * i);
        atomic_store_explicit(&litmus_data, i, memory_order_release);
        kicker_saw = ewi_bell_is_wanted(&west.bell, BELL_DATA);
        meet(0, 2 * i + 1);
    }
    return NULL;
}

/* catches: is_wanted without its fence (on x86 announce without its fence is hidden by the
 * compare-exchange: tests/model/bell.pml finds that one) */
static void the_kicker_sees_the_sleeper_or_the_sleeper_sees_the_data(void)
{
    pthread_t kicker;

    connect_ends();
    CHECK_EQ(pthread_create(&kicker, NULL, kick_once_a_round, NULL), 0);
    for (uint32_t i = 1; i <= LITMUS_ROUNDS; i++) {
        ewi_bell_retract(&east.bell, BELL_DATA);
        meet(1, 2 * i);
        ewi_bell_announce(&east.bell, BELL_DATA);
        sleeper_saw = atomic_load_explicit(&litmus_data, memory_order_relaxed) == i;
        meet(1, 2 * i + 1);
        CHECK(kicker_saw || sleeper_saw);
    }
    CHECK_EQ(pthread_join(kicker, NULL), 0);
    disconnect_ends();
}

/* ---- the waitroom ---- */

static struct waitroom the_room;

static void seen(void *context, const struct pollfd *fds, nfds_t count)
{
    (void)context;
    CHECK_EQ(count, 1);
    drain(fds[0].fd);
}

static const struct waitroom_poller drains = {.seen = seen};

static int sleep_in_room(uint32_t events, struct wait wait)
{
    struct pollfd fd = {.fd = east.bell.fd, .events = POLLIN};

    return ewi_waitroom_sleep(&the_room, events, &fd, 1, wait, &drains);
}

static struct wait for_ms(int64_t ms)
{
    return ewi_wait_from(ms * MS, NULL);
}

static void the_only_waiter_polls_and_times_out(void)
{
    uint64_t start = ewi_now_ns();

    connect_ends();
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&the_room), for_ms(20)), EW_ETIMEOUT);
    CHECK(ewi_now_ns() - start >= 20 * MS);
    CHECK(!ewi_waitroom_has_poller(&the_room));
    disconnect_ends();
}

static void a_wait_without_time_sees_what_is_there(void)
{
    connect_ends();
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&the_room), for_ms(0)), EW_ETIMEOUT);
    CHECK_EQ(send(west.bell.fd, "", 1, 0), 1);
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&the_room), for_ms(0)), EW_OK);
    CHECK_EQ(drain(east.bell.fd), 0);
    disconnect_ends();
}

/* catches: sleep without `events == seen_events` */
static void what_was_told_before_the_sleep_is_not_slept_over(void)
{
    uint32_t events = ewi_waitroom_events(&the_room);

    connect_ends();
    ewi_waitroom_tell(&the_room);
    CHECK_EQ(sleep_in_room(events, for_ms(STUCK_MS)), EW_OK);
    disconnect_ends();
}

static bool look_finds(void *context, struct pollfd *fds)
{
    (void)context, (void)fds;
    CHECK(ewi_waitroom_has_poller(&the_room));
    return true;
}

static void a_last_look_that_finds_something_prevents_the_sleep(void)
{
    const struct waitroom_poller looking = {.look = look_finds, .seen = seen};
    struct pollfd fd = {.events = POLLIN};

    connect_ends();
    fd.fd = east.bell.fd;
    CHECK_EQ(ewi_waitroom_sleep(&the_room, ewi_waitroom_events(&the_room), &fd, 1, for_ms(STUCK_MS),
                                &looking),
             EW_OK);
    disconnect_ends();
}

static void a_hang_up_wakes_the_poller(void)
{
    connect_ends();
    close(west.bell.fd);
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&the_room), for_ms(STUCK_MS)), EW_OK);
    close(east.bell.fd);
}

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    (void)number;
    handled++;
}

static void a_pending_blocked_signal_interrupts_the_poller_at_once(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked, before;

    connect_ends();
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&the_room), ewi_wait_from(-1, &before)), EW_EINTR);
    CHECK_EQ(handled, 1); /* ppoll let it in */
    CHECK(!ewi_waitroom_has_poller(&the_room));
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    disconnect_ends();
}

static _Atomic int second_result;

static void *wait_second(void *unused)
{
    uint32_t events = ewi_waitroom_events(&the_room);

    (void)unused;
    while (!ewi_waitroom_has_poller(&the_room))
        sched_yield();
    atomic_store(&second_result, sleep_in_room(events, for_ms(STUCK_MS)));
    return NULL;
}

/* catches: the poller leaves without ewi_waitroom_tell */
static void a_poller_that_leaves_wakes_the_others(void)
{
    pthread_t second;

    connect_ends();
    CHECK_EQ(pthread_create(&second, NULL, wait_second, NULL), 0);
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&the_room), for_ms(50)), EW_ETIMEOUT);
    CHECK_EQ(pthread_join(second, NULL), 0);
    CHECK_EQ(atomic_load(&second_result), EW_OK);
    disconnect_ends();
}

static void *wait_then_kick(void *unused)
{
    (void)unused;
    while (atomic_load(&the_room.sleepers) == 0)
        sched_yield();
    CHECK_EQ(send(west.bell.fd, "", 1, 0), 1);
    return NULL;
}

static void an_event_is_passed_on_to_who_sleeps_on_the_futex(void)
{
    pthread_t second, third;

    connect_ends();
    CHECK_EQ(pthread_create(&second, NULL, wait_second, NULL), 0);
    CHECK_EQ(pthread_create(&third, NULL, wait_then_kick, NULL), 0);
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&the_room), for_ms(STUCK_MS)), EW_OK);
    CHECK_EQ(pthread_join(second, NULL), 0);
    CHECK_EQ(pthread_join(third, NULL), 0);
    CHECK_EQ(atomic_load(&second_result), EW_OK);
    disconnect_ends();
}

/* ---- two sleepers in one process, two kickers in the other ---- */

static _Atomic uint32_t things[2], taken[2];

static void *take_things(void *argument)
{
    const uint32_t which = *(const uint32_t *)argument; /* 0 data, 1 space */
    const uint32_t wants = 1u << which;

    for (uint32_t i = 1; i <= ROUNDS; i++) {
        while (atomic_load_explicit(&things[which], memory_order_acquire) < i) {
            uint32_t events = ewi_waitroom_events(&the_room);
            int code = EW_OK;

            ewi_bell_announce(&east.bell, wants);
            if (atomic_load_explicit(&things[which], memory_order_relaxed) < i)
                code = sleep_in_room(events, for_ms(STUCK_MS));
            ewi_bell_retract(&east.bell, wants);
            CHECK_EQ(code, EW_OK); /* else a wake-up was lost */
        }
        atomic_store_explicit(&taken[which], i, memory_order_release);
    }
    return NULL;
}

static void *make_things(void *argument)
{
    const uint32_t which = *(const uint32_t *)argument;
    struct harness_random random = {which};

    for (uint32_t i = 1; i <= ROUNDS; i++) {
        while (atomic_load_explicit(&taken[which], memory_order_acquire) != i - 1)
            sched_yield();
        hesitate(&random);
        atomic_store_explicit(&things[which], i, memory_order_release);
        ring(&west, 1u << which);
    }
    return NULL;
}

/* catches: the poller that raises events only before it gives the role back (now and then;
 * tests/model/waitroom.pml always) */
static void two_sleepers_and_two_kickers_lose_no_wake_up(void)
{
    static const uint32_t which[2] = {0, 1};
    pthread_t takers[2], makers[2];

    connect_ends();
    for (int i = 0; i < 2; i++) {
        atomic_store(&things[i], 0);
        atomic_store(&taken[i], 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_create(&takers[i], NULL, take_things, (void *)(uintptr_t)&which[i]), 0);
        CHECK_EQ(pthread_create(&makers[i], NULL, make_things, (void *)(uintptr_t)&which[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_join(takers[i], NULL), 0);
        CHECK_EQ(pthread_join(makers[i], NULL), 0);
    }
    disconnect_ends();
}

/* The code of the waitroom once more, with stops around the moment the role is given back. */
static void before_the_role_is_free(void);
static void after_the_role_is_free(void);

#define ewi_waitroom_tell tell_with_stops
#define ewi_waitroom_sleep sleep_with_stops
#undef atomic_store_explicit
#define atomic_store_explicit(at, value, order)                                                    \
    (before_the_role_is_free(), (void)atomic_exchange_explicit(at, value, order),                  \
     after_the_role_is_free())
#include "shm/waitroom.c"
#undef atomic_store_explicit
#undef ewi_waitroom_tell
#undef ewi_waitroom_sleep

enum stop { BEFORE = 1, AFTER = 2 };

static _Thread_local enum stop my_stop; /* 0: this thread does not stop */
static _Atomic uint32_t stopped;        /* where the first thread is */

static void stop_at(enum stop stop)
{
    if (my_stop != stop)
        return;
    atomic_exchange(&stopped, 1);
    usleep(50 * 1000); /* the second thread sleeps by now, or has returned */
}

static void before_the_role_is_free(void)
{
    stop_at(BEFORE);
}

static void after_the_role_is_free(void)
{
    stop_at(AFTER);
}

static int sleep_and_stop(uint32_t events, struct wait wait)
{
    struct pollfd fd = {.fd = east.bell.fd, .events = POLLIN};

    return sleep_with_stops(&the_room, events, &fd, 1, wait, &drains);
}

/* It looked before the kick and arrives when the first thread has drained it. */
static void *arrive_with_old_events(void *unused)
{
    uint32_t events = ewi_waitroom_events(&the_room);

    (void)unused;
    atomic_exchange(&second_result, 1); /* it looked */
    while (atomic_load(&stopped) == 0)
        sched_yield();
    atomic_exchange(&second_result, sleep_and_stop(events, for_ms(500)));
    return NULL;
}

static void *arrive_with_new_events(void *unused)
{
    (void)unused;
    while (atomic_load(&stopped) == 0)
        sched_yield();
    atomic_exchange(&second_result, sleep_and_stop(ewi_waitroom_events(&the_room), for_ms(500)));
    return NULL;
}

/* catches: the poller that raises events only after it gave the role back (as it was) */
static void who_takes_over_does_not_sleep_on_what_the_other_has_drained(void)
{
    pthread_t second;

    connect_ends();
    atomic_exchange(&stopped, 0);
    atomic_exchange(&second_result, 0);
    CHECK_EQ(pthread_create(&second, NULL, arrive_with_old_events, NULL), 0);
    while (atomic_load(&second_result) != 1)
        sched_yield();
    CHECK_EQ(send(west.bell.fd, "", 1, 0), 1);
    my_stop = AFTER;
    CHECK_EQ(sleep_and_stop(ewi_waitroom_events(&the_room), for_ms(STUCK_MS)), EW_OK);
    my_stop = 0;
    CHECK_EQ(pthread_join(second, NULL), 0);
    CHECK_EQ(atomic_load(&second_result), EW_OK);
    disconnect_ends();
}

/* catches: the poller that raises events only before it gives the role back */
static void who_finds_the_role_taken_at_the_last_moment_is_woken(void)
{
    pthread_t second;

    connect_ends();
    atomic_exchange(&stopped, 0);
    CHECK_EQ(pthread_create(&second, NULL, arrive_with_new_events, NULL), 0);
    CHECK_EQ(send(west.bell.fd, "", 1, 0), 1);
    my_stop = BEFORE;
    CHECK_EQ(sleep_and_stop(ewi_waitroom_events(&the_room), for_ms(STUCK_MS)), EW_OK);
    my_stop = 0;
    CHECK_EQ(pthread_join(second, NULL), 0);
    CHECK_EQ(atomic_load(&second_result), EW_OK);
    disconnect_ends();
}

int main(void)
{
    RUN(nobody_is_kicked_who_does_not_sleep);
    RUN(a_sleeper_is_kicked_for_what_it_wants_only);
    RUN(a_burst_costs_one_kick);
    RUN(each_announcement_may_be_answered_once);
    RUN(what_was_retracted_is_not_kicked_for);
    RUN(announcing_for_one_keeps_what_the_other_wants);
    RUN(the_epoch_may_wrap_around);
    RUN(the_first_epoch_0_can_be_answered);
    RUN(a_hostile_sleeper_cannot_make_a_kick_block);
    RUN(a_kick_to_a_dead_peer_does_no_harm);
    RUN(the_kicker_sees_the_sleeper_or_the_sleeper_sees_the_data);
    RUN(the_only_waiter_polls_and_times_out);
    RUN(a_wait_without_time_sees_what_is_there);
    RUN(what_was_told_before_the_sleep_is_not_slept_over);
    RUN(a_last_look_that_finds_something_prevents_the_sleep);
    RUN(a_hang_up_wakes_the_poller);
    RUN(a_pending_blocked_signal_interrupts_the_poller_at_once);
    RUN(a_poller_that_leaves_wakes_the_others);
    RUN(an_event_is_passed_on_to_who_sleeps_on_the_futex);
    RUN(two_sleepers_and_two_kickers_lose_no_wake_up);
    RUN(who_takes_over_does_not_sleep_on_what_the_other_has_drained);
    RUN(who_finds_the_role_taken_at_the_last_moment_is_woken);
    return 0;
}
