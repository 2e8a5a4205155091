/* tests/c/test_lock.c - does the lock exclude, wake, time out, and let a signal in? */
#include <pthread.h>
#include <signal.h>

#include "shm/lock.h"
#include "tests/c/harness.h"

enum { THREADS = 4, ROUNDS = 20000, MS = 1000 * 1000 };

static struct lock lock;
static uint64_t counter; /* guarded by the lock and by nothing else: TSan watches */

static struct wait for_ms(int64_t ms)
{
    return ewi_wait_from(ms < 0 ? -1 : ms * MS, NULL);
}

static void *count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_EQ(ewi_lock_take(&lock, for_ms(-1)), EW_OK);
        counter++;
        ewi_lock_give(&lock);
    }
    return NULL;
}

static void in_threads(void *(*function)(void *), int threads)
{
    pthread_t ids[THREADS];

    for (int i = 0; i < threads; i++)
        CHECK_EQ(pthread_create(&ids[i], NULL, function, NULL), 0);
    for (int i = 0; i < threads; i++)
        CHECK_EQ(pthread_join(ids[i], NULL), 0);
}

/* catches: take_slow that stores and expects 1, not 2 (a sleeper is forgotten); L1 or L2 relaxed
 * (tsan) */
static void threads_exclude_each_other_and_none_is_forgotten(void)
{
    counter = 0;
    in_threads(count_up, THREADS);
    CHECK_EQ(counter, (uint64_t)THREADS * ROUNDS);
    CHECK_EQ(atomic_load(&lock.state), 0);
}

static void *count_up_impatiently(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS / 4;) {
        if (ewi_lock_take(&lock, (struct wait){.deadline_ns = ewi_now_ns() + 1000}) != EW_OK)
            continue;
        counter++;
        ewi_lock_give(&lock);
        i++;
    }
    return NULL;
}

static void waiters_that_give_up_take_no_wake_up_with_them(void)
{
    pthread_t impatient[2];

    counter = 0;
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&impatient[i], NULL, count_up_impatiently, NULL), 0);
    in_threads(count_up, 2);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(impatient[i], NULL), 0);
    CHECK_EQ(counter, 2 * ROUNDS + 2 * (ROUNDS / 4));
}

static void a_free_lock_is_taken_even_without_time(void)
{
    CHECK_EQ(ewi_lock_take(&lock, for_ms(0)), EW_OK);
    ewi_lock_give(&lock);
}

static void a_held_lock_cannot_be_tried(void)
{
    CHECK(ewi_lock_try(&lock));
    CHECK(!ewi_lock_try(&lock));
    ewi_lock_give(&lock);
    CHECK(ewi_lock_try(&lock));
    ewi_lock_give(&lock);
}

static void without_time_a_held_lock_says_again_at_once(void)
{
    CHECK(ewi_lock_try(&lock));
    CHECK_EQ(ewi_lock_take(&lock, for_ms(0)), EW_EAGAIN);
    CHECK_EQ(atomic_load(&lock.state), 1); /* no trace of it */
    ewi_lock_give(&lock);
}

static void a_held_lock_times_out_not_before_its_time(void)
{
    uint64_t start = ewi_now_ns();

    CHECK(ewi_lock_try(&lock));
    CHECK_EQ(ewi_lock_take(&lock, for_ms(20)), EW_ETIMEOUT);
    CHECK(ewi_now_ns() - start >= 20 * MS);
    ewi_lock_give(&lock);
    CHECK_EQ(ewi_lock_take(&lock, for_ms(0)), EW_OK); /* and it is not held by who gave up */
    ewi_lock_give(&lock);
}

static void a_wait_with_a_mask_times_out_although_it_is_cut_in_slices(void)
{
    sigset_t mask;
    uint64_t start = ewi_now_ns();

    sigemptyset(&mask);
    CHECK(ewi_lock_try(&lock));
    CHECK_EQ(ewi_lock_take(&lock, ewi_wait_from(120 * MS, &mask)), EW_ETIMEOUT);
    CHECK(ewi_now_ns() - start >= 120 * MS);
    ewi_lock_give(&lock);
}

/* ---- signals ---- */

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    (void)number;
    handled++;
}

static sigset_t block_usr1(void)
{
    sigset_t blocked, before;
    struct sigaction action = {.sa_handler = on_signal};

    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
    handled = 0;
    return before;
}

/* Unblock; the pending one is handled now. */
static void let_in(const sigset_t *before)
{
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, before, NULL), 0);
    CHECK_EQ(handled, 1);
}

static pthread_t waiting;

static void *send_signal(void *unused)
{
    (void)unused;
    usleep(30 * 1000);
    CHECK_EQ(pthread_kill(waiting, SIGUSR1), 0);
    return NULL;
}

static void a_signal_pending_before_the_wait_interrupts_it_at_once(void)
{
    sigset_t before = block_usr1();
    uint64_t start = ewi_now_ns();

    CHECK(ewi_lock_try(&lock));
    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    CHECK_EQ(ewi_lock_take(&lock, ewi_wait_from(-1, &before)), EW_EINTR);
    CHECK(ewi_now_ns() - start < SLEEP_SLICE_NS);
    ewi_lock_give(&lock);
    let_in(&before);
}

/* catches: ewi_futex_wait that is not sliced (it never returns) */
static void a_blocked_signal_during_the_wait_interrupts_it_within_a_slice(void)
{
    sigset_t before = block_usr1();
    pthread_t sender;

    waiting = pthread_self();
    CHECK(ewi_lock_try(&lock));
    CHECK_EQ(pthread_create(&sender, NULL, send_signal, NULL), 0);
    CHECK_EQ(ewi_lock_take(&lock, ewi_wait_from(-1, &before)), EW_EINTR);
    CHECK_EQ(pthread_join(sender, NULL), 0);
    ewi_lock_give(&lock);
    let_in(&before);
}

static void a_signal_that_stays_blocked_in_the_wait_does_not_interrupt(void)
{
    sigset_t before = block_usr1(), during = before;

    sigaddset(&during, SIGUSR1);
    CHECK(ewi_lock_try(&lock));
    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    CHECK_EQ(ewi_lock_take(&lock, ewi_wait_from(20 * MS, &during)), EW_ETIMEOUT);
    ewi_lock_give(&lock);
    let_in(&before);
}

static void *hold_for_a_while(void *unused)
{
    (void)unused;
    CHECK(ewi_lock_try(&lock));
    CHECK_EQ(pthread_kill(waiting, SIGUSR1), 0);
    usleep(30 * 1000);
    ewi_lock_give(&lock);
    return NULL;
}

static void enter_goes_in_whatever_signals_come(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    pthread_t holder;

    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    waiting = pthread_self();
    handled = 0;
    CHECK_EQ(pthread_create(&holder, NULL, hold_for_a_while, NULL), 0);
    while (handled == 0)
        usleep(100);
    ewi_lock_enter(&lock);
    ewi_lock_give(&lock);
    CHECK_EQ(pthread_join(holder, NULL), 0);
}

/* ---- the time ---- */

static void a_timeout_too_long_for_the_clock_is_never(void)
{
    CHECK(ewi_wait_from(-1, NULL).deadline_ns == EWI_NEVER);
    CHECK(ewi_wait_from(INT64_MIN, NULL).deadline_ns == EWI_NEVER);
    CHECK(ewi_wait_from(INT64_MAX, NULL).deadline_ns > (uint64_t)INT64_MAX);
    CHECK(ewi_wait_from(0, NULL).deadline_ns == 0);
}

static void the_time_left_never_goes_below_zero(void)
{
    CHECK(ewi_wait_left((struct wait){.deadline_ns = 10}, 11) == 0);
    CHECK(ewi_wait_left((struct wait){.deadline_ns = 10}, 4) == 6);
    CHECK(ewi_wait_left((struct wait){.deadline_ns = EWI_NEVER}, UINT64_MAX - 1) == EWI_NEVER);
}

static void a_word_that_changed_is_not_waited_for(void)
{
    _Atomic uint32_t word = 5;

    CHECK_EQ(ewi_futex_wait(&word, 4, for_ms(-1)), EW_OK);
    CHECK_EQ(ewi_futex_wait(&word, 4, for_ms(10000)), EW_OK);
}

int main(void)
{
    RUN(threads_exclude_each_other_and_none_is_forgotten);
    RUN(waiters_that_give_up_take_no_wake_up_with_them);
    RUN(a_free_lock_is_taken_even_without_time);
    RUN(a_held_lock_cannot_be_tried);
    RUN(without_time_a_held_lock_says_again_at_once);
    RUN(a_held_lock_times_out_not_before_its_time);
    RUN(a_wait_with_a_mask_times_out_although_it_is_cut_in_slices);
    RUN(a_signal_pending_before_the_wait_interrupts_it_at_once);
    RUN(a_blocked_signal_during_the_wait_interrupts_it_within_a_slice);
    RUN(a_signal_that_stays_blocked_in_the_wait_does_not_interrupt);
    RUN(enter_goes_in_whatever_signals_come);
    RUN(a_timeout_too_long_for_the_clock_is_never);
    RUN(the_time_left_never_goes_below_zero);
    RUN(a_word_that_changed_is_not_waited_for);
    return 0;
}
