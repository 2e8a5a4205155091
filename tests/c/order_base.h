/* tests/c/order_base.h - two threads that nothing orders but the code under test.
 *
 * Purpose    Let the thread sanitizer see whether a release and its acquire are both there.
 * Shape      beside(left, right) runs both at the same time and waits for both. `plain` is 0 before;
 *            left stores it, right loads it.
 * Owner      file-scope variables of the one test program
 * Threads    left and right have a thread each
 * Trust      none: test code only
 * Errors     CHECK; a race ends the program in a build with the thread sanitizer
 * Invariants I1  between begin and end the two threads share no lock, no thread call and no ordered
 *                atomic of ours: tell_left_is_done and await_left are relaxed.
 * Ordering   O1 relaxed on purpose: it says when, and orders nothing.
 * Source     docs/reference/memory-order.md
 */
#ifndef TESTS_C_ORDER_BASE_H
#define TESTS_C_ORDER_BASE_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "shm/base.h"
#include "tests/c/harness.h"

static int plain;
static _Atomic int steps; /* how far left and right are */

static inline void tell_step(int step)
{
    atomic_store_explicit(&steps, step, memory_order_relaxed); /* O1 */
}

static inline void await_step(int step)
{
    while (atomic_load_explicit(&steps, memory_order_relaxed) < step) /* O1 */
        ewi_relax();
}

static inline void tell_left_is_done(void)
{
    tell_step(1);
}

static inline void await_left(void)
{
    await_step(1);
}

static void (*beside_right)(void);

static inline void *run_right(void *unused)
{
    (void)unused;
    beside_right();
    return NULL;
}

static inline void beside(void (*left)(void), void (*right)(void))
{
    pthread_t thread;

    plain = 0;
    atomic_store_explicit(&steps, 0, memory_order_relaxed); /* O1 */
    beside_right = right;
    CHECK_EQ(pthread_create(&thread, NULL, run_right, NULL), 0);
    left();
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

#endif
