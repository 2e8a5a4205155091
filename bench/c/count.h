/* bench/c/count.h - works that bench/instructions.py counts the instructions of.
 *
 * Purpose    How many instructions one operation takes: unlike time, the same on a busy machine.
 * Shape      PROGRAM --count WORK N [WORK N...]: each work is set up, done N / COUNT_WARM_SHARE
 *            times to warm up, and N times between two calls of count_mark, where valgrind's
 *            callgrind writes what it has counted since the last one.
 * Owner      none
 * Threads    any
 * Trust      none
 * Errors     none
 * Invariants none
 * Ordering   none
 * Source     bench/instructions.py
 */
#ifndef BENCH_C_COUNT_H
#define BENCH_C_COUNT_H

#include <stdint.h>
#include <unistd.h>

enum { COUNT_WARM_SHARE = 5 };

/* A function that nobody calls otherwise, with a name that callgrind finds in every program. */
static inline void count_mark(void)
{
    (void)getppid();
}

#endif
