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
} left, right;

static void connect_ends(void)
{
    int sockets[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    left = (struct end){.bell = {.fd = sockets[0], .mine = &left.word, .peers = &right.word}};
    right = (struct end){.bell = {.fd = sockets[1], .mine = &right.word, .peers = &left.word}};
}

static void disconnect_ends(void)
{
    close(left.bell.fd);
    close(right.bell.fd);
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
    CHECK(!ewi_bell_is_wanted(&left.bell, BELL_BITS));
    ring(&left, BELL_DATA);
    CHECK_EQ(drain(right.bell.fd), 0);
    disconnect_ends();
}

static void a_sleeper_is_kicked_for_what_it_wants_only(void)
{
    connect_ends();
    ewi_bell_announce(&right.bell, BELL_SPACE);
    ring(&left, BELL_DATA);
    CHECK_EQ(drain(right.bell.fd), 0);
    ring(&left, BELL_SPACE);
    CHECK_EQ(drain(right.bell.fd), 1);
    disconnect_ends();
}

/* catches: kick without `before == (word | 1)` */
static void a_burst_costs_one_kick(void)
{
    connect_ends();
    ewi_bell_announce(&right.bell, BELL_DATA);
    for (int i = 0; i < 1000; i++)
        ring(&left, BELL_DATA);
    CHECK_EQ(drain(right.bell.fd), 1);
    CHECK_EQ(atomic_load(&left.bell.kicks), 1);
    disconnect_ends();
}

/* catches: announce without BELL_EPOCH */
static void each_announcement_may_be_answered_once(void)
{
    connect_ends();
    for (int i = 0; i < 1000; i++) {
        ewi_bell_announce(&right.bell, BELL_DATA);
        ring(&left, BELL_DATA);
        ring(&left, BELL_DATA);
        CHECK_EQ(drain(right.bell.fd), 1);
    }
    disconnect_ends();
}

static void what_was_retracted_is_not_kicked_for(void)
{
    connect_ends();
    ewi_bell_announce(&right.bell, BELL_DATA | BELL_SPACE);
    ewi_bell_retract(&right.bell, BELL_DATA);
    ring(&left, BELL_DATA);
    CHECK_EQ(drain(right.bell.fd), 0);
    ring(&left, BELL_SPACE);
    CHECK_EQ(drain(right.bell.fd), 1);
    disconnect_ends();
}

static void announcing_for_one_keeps_what_the_other_wants(void)
{
    connect_ends();
    ewi_bell_announce(&right.bell, BELL_DATA);
    ewi_bell_announce(&right.bell, BELL_SPACE);
    CHECK_EQ(atomic_load(&right.word) & BELL_BITS, BELL_DATA | BELL_SPACE);
    disconnect_ends();
}

static void the_epoch_may_wrap_around(void)
{
    connect_ends();
    atomic_store(&right.word, UINT32_MAX - BELL_EPOCH + 1);
    for (int i = 0; i < 5; i++) {
        ewi_bell_announce(&right.bell, BELL_DATA);
        ring(&left, BELL_DATA);
        CHECK_EQ(drain(right.bell.fd), 1);
    }
    disconnect_ends();
}

static void the_first_epoch_0_can_be_answered(void)
{
    connect_ends();
    atomic_store(&right.word, BELL_DATA); /* a hostile or wrapped word; kicked is still 0 */
    ring(&left, BELL_DATA);
    CHECK_EQ(drain(right.bell.fd), 1);
    disconnect_ends();
}

/* catches: send without MSG_DONTWAIT (it never returns) */
static void a_hostile_sleeper_cannot_make_a_kick_block(void)
{
    connect_ends();
    for (int i = 0; i < 100000; i++) {
        ewi_bell_announce(&right.bell, BELL_DATA);
        ring(&left, BELL_DATA);
    }
    CHECK(drain(right.bell.fd) < 100000);
    disconnect_ends();
}

/* catches: send without MSG_NOSIGNAL (SIGPIPE) */
static void a_kick_to_a_dead_peer_does_no_harm(void)
{
    connect_ends();
    ewi_bell_announce(&right.bell, BELL_DATA);
    close(right.bell.fd);
    ring(&left, BELL_DATA);
    close(left.bell.fd);
}

/* ---- a sleeper and a kicker that race ---- */

static _Atomic uint32_t made, used; /* relaxed: the fences of the bell have to do it */

static void sleep_on_bell(struct end *end)
{
    struct pollfd fd = {.fd = end->bell.fd, .events = POLLIN};

    CHECK_EQ(poll(&fd, 1, STUCK_MS), 1); /* else a wake-up was lost */
    drain(end->bell.fd);
}

static void *make(void *unused)
{
    (void)unused;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        while (atomic_load_explicit(&used, memory_order_acquire) != i - 1) {
            ewi_bell_announce(&left.bell, BELL_SPACE);
            if (atomic_load_explicit(&used, memory_order_relaxed) != i - 1)
                sleep_on_bell(&left);
            ewi_bell_retract(&left.bell, BELL_SPACE);
        }
        atomic_store_explicit(&made, i, memory_order_release);
        ring(&left, BELL_DATA);
    }
    return NULL;
}

static void use_all(void)
{
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        while (atomic_load_explicit(&made, memory_order_acquire) < i) {
            ewi_bell_announce(&right.bell, BELL_DATA);
            if (atomic_load_explicit(&made, memory_order_relaxed) < i)
                sleep_on_bell(&right);
            ewi_bell_retract(&right.bell, BELL_DATA);
        }
        atomic_store_explicit(&used, i, memory_order_release);
        ring(&right, BELL_SPACE);
    }
}

/* catches: is_wanted without its fence (now and then; tests/model/bell.pml always) */
static void two_that_wait_for_each_other_never_both_sleep(void)
{
    pthread_t maker;

    connect_ends();
    atomic_store(&made, 0);
    atomic_store(&used, 0);
    CHECK_EQ(pthread_create(&maker, NULL, make, NULL), 0);
    use_all();
    CHECK_EQ(pthread_join(maker, NULL), 0);
    disconnect_ends();
}

/* ---- the waitroom ---- */

static struct waitroom room;

static void seen(void *context, const struct pollfd *fds, nfds_t count)
{
    (void)context;
    CHECK_EQ(count, 1);
    drain(fds[0].fd);
}

static const struct waitroom_poller poller = {.seen = seen};

static int sleep_in_room(uint32_t events, struct wait wait)
{
    struct pollfd fd = {.fd = right.bell.fd, .events = POLLIN};

    return ewi_waitroom_sleep(&room, events, &fd, 1, wait, &poller);
}

static struct wait for_ms(int64_t ms)
{
    return ewi_wait_from(ms * MS, NULL);
}

static void the_only_waiter_polls_and_times_out(void)
{
    uint64_t start = ewi_now_ns();

    connect_ends();
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&room), for_ms(20)), EW_ETIMEOUT);
    CHECK(ewi_now_ns() - start >= 20 * MS);
    CHECK(!ewi_waitroom_has_poller(&room));
    disconnect_ends();
}

static void a_wait_without_time_sees_what_is_there(void)
{
    connect_ends();
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&room), for_ms(0)), EW_ETIMEOUT);
    CHECK_EQ(send(left.bell.fd, "", 1, 0), 1);
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&room), for_ms(0)), EW_OK);
    CHECK_EQ(drain(right.bell.fd), 0);
    disconnect_ends();
}

/* catches: sleep without `events == seen_events` */
static void what_was_told_before_the_sleep_is_not_slept_over(void)
{
    uint32_t events = ewi_waitroom_events(&room);

    connect_ends();
    ewi_waitroom_tell(&room);
    CHECK_EQ(sleep_in_room(events, for_ms(STUCK_MS)), EW_OK);
    disconnect_ends();
}

static bool look_finds(void *context)
{
    (void)context;
    CHECK(ewi_waitroom_has_poller(&room));
    return true;
}

static void a_last_look_that_finds_something_prevents_the_sleep(void)
{
    const struct waitroom_poller looking = {.look = look_finds, .seen = seen};
    struct pollfd fd = {.events = POLLIN};

    connect_ends();
    fd.fd = right.bell.fd;
    CHECK_EQ(ewi_waitroom_sleep(&room, ewi_waitroom_events(&room), &fd, 1, for_ms(STUCK_MS),
                                &looking),
             EW_OK);
    disconnect_ends();
}

static void a_hang_up_wakes_the_poller(void)
{
    connect_ends();
    close(left.bell.fd);
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&room), for_ms(STUCK_MS)), EW_OK);
    close(right.bell.fd);
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
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&room), ewi_wait_from(-1, &before)), EW_EINTR);
    CHECK_EQ(handled, 1); /* ppoll let it in */
    CHECK(!ewi_waitroom_has_poller(&room));
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    disconnect_ends();
}

static _Atomic int second_result;

static void *wait_second(void *unused)
{
    uint32_t events = ewi_waitroom_events(&room);

    (void)unused;
    while (!ewi_waitroom_has_poller(&room))
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
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&room), for_ms(50)), EW_ETIMEOUT);
    CHECK_EQ(pthread_join(second, NULL), 0);
    CHECK_EQ(atomic_load(&second_result), EW_OK);
    disconnect_ends();
}

static void *wait_then_kick(void *unused)
{
    (void)unused;
    while (atomic_load(&room.sleepers) == 0)
        sched_yield();
    CHECK_EQ(send(left.bell.fd, "", 1, 0), 1);
    return NULL;
}

static void an_event_is_passed_on_to_who_sleeps_on_the_futex(void)
{
    pthread_t second, third;

    connect_ends();
    CHECK_EQ(pthread_create(&second, NULL, wait_second, NULL), 0);
    CHECK_EQ(pthread_create(&third, NULL, wait_then_kick, NULL), 0);
    CHECK_EQ(sleep_in_room(ewi_waitroom_events(&room), for_ms(STUCK_MS)), EW_OK);
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
            uint32_t events = ewi_waitroom_events(&room);
            int code = EW_OK;

            ewi_bell_announce(&right.bell, wants);
            if (atomic_load_explicit(&things[which], memory_order_relaxed) < i)
                code = sleep_in_room(events, for_ms(STUCK_MS));
            ewi_bell_retract(&right.bell, wants);
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
        for (uint64_t spin = harness_below(&random, 64); spin > 0; spin--)
            ewi_relax();
        atomic_store_explicit(&things[which], i, memory_order_release);
        ring(&left, 1u << which);
    }
    return NULL;
}

/* catches: the poller that raises events only after giving the role back (as it was), or only
 * before (now and then; tests/model/waitroom.pml always) */
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
    RUN(two_that_wait_for_each_other_never_both_sleep);
    RUN(the_only_waiter_polls_and_times_out);
    RUN(a_wait_without_time_sees_what_is_there);
    RUN(what_was_told_before_the_sleep_is_not_slept_over);
    RUN(a_last_look_that_finds_something_prevents_the_sleep);
    RUN(a_hang_up_wakes_the_poller);
    RUN(a_pending_blocked_signal_interrupts_the_poller_at_once);
    RUN(a_poller_that_leaves_wakes_the_others);
    RUN(an_event_is_passed_on_to_who_sleeps_on_the_futex);
    RUN(two_sleepers_and_two_kickers_lose_no_wake_up);
    return 0;
}
