/* tests/c/harness.h - the few lines that every C test needs.
 *
 * Purpose    Name what is tested, stop at the first broken claim, make random tests repeatable.
 * Shape      RUN(sentence_of_the_claim); CHECK(condition); CHECK_EQ(have, want);
 *            HARNESS_FOR_EACH_SEED(argc, argv, seed) { struct harness_random r = {seed}; ... }
 *            A test program exits 0 passed, 1 failed, 77 skipped.
 * Owner      harness.c, with which every test program is linked: one variable of each.
 * Threads    CHECK from any thread or child process; RUN and the seeds from the main thread.
 * Trust      none: test code only, never part of the library.
 * Errors     CHECK prints file, line, expression and seed to stderr and ends the process with 1.
 * Invariants I1  The same seed gives the same numbers on every machine.
 * Ordering   none
 * Source     splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
 *            OOPSLA 2014, figure 17
 */
#ifndef TESTS_C_HARNESS_H
#define TESTS_C_HARNESS_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HARNESS_SEEDS_FIXED = 5, HARNESS_EXIT_SKIPPED = 77 };

struct harness_random {
    uint64_t state;
};

extern struct harness {
    uint64_t seed;      /* printed by a failing CHECK */
    bool has_seed;      /* some seed was drawn */
    const char *claim;  /* what RUN is running */
    int seeds_done;     /* of HARNESS_FOR_EACH_SEED */
} harness;

/* Run one test function, whose name is the claim it checks. */
#define RUN(function)                                                                              \
    do {                                                                                           \
        harness_begin(#function);                                                                  \
        function();                                                                                \
        harness_end();                                                                             \
    } while (0)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            harness_fail(__FILE__, __LINE__, #condition);                                          \
    } while (0)

#define CHECK_EQ(have, want)                                                                       \
    do {                                                                                           \
        long long harness_have = (long long)(have);                                                \
        long long harness_want = (long long)(want);                                                \
        if (harness_have != harness_want) {                                                        \
            fprintf(stderr, "    have %lld, want %lld\n", harness_have, harness_want);             \
            harness_fail(__FILE__, __LINE__, #have " == " #want);                                  \
        }                                                                                          \
    } while (0)

/* Run the block for each seed: only N with --seed N, else a fixed list (of EW_TEST_SEEDS at most) and
 * one fresh seed. */
#define HARNESS_FOR_EACH_SEED(argc, argv, seed)                                                    \
    for (uint64_t seed; harness_next_seed((argc), (argv), &seed);)

void harness_begin(const char *name);
void harness_end(void);
_Noreturn void harness_fail(const char *file, int line, const char *expression);
/* Skip the whole program: the machine lacks what it needs. The reason begins with "needs". */
_Noreturn void harness_skip(const char *reason);
void harness_use_seed(uint64_t seed);
bool harness_asked_seed(int argc, char **argv, uint64_t *seed);
/* The number behind an option of the command line, 0: it is not there. */
uint64_t harness_asked_number(int argc, char **argv, const char *option);
uint64_t harness_fresh_seed(void);
/* The seed of --seed N, else a fresh one. Printed, and again by a failing CHECK. */
uint64_t harness_seed(int argc, char **argv);
bool harness_next_seed(int argc, char **argv, uint64_t *seed);

static inline uint64_t harness_next(struct harness_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number in 0 .. bound - 1. The bias, below bound / 2^64, does not matter to a test. */
static inline uint64_t harness_below(struct harness_random *random, uint64_t bound)
{
    CHECK(bound > 0);
    return harness_next(random) % bound;
}

/* A number in low .. high. */
static inline uint64_t harness_between(struct harness_random *random, uint64_t low, uint64_t high)
{
    return low + harness_below(random, high - low + 1);
}

#endif
