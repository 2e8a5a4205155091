#include "tests/c/harness.h"

#include <time.h>
#include <unistd.h>

struct harness harness;

void harness_begin(const char *name)
{
    harness.claim = name;
    for (const char *c = name; *c != '\0'; c++)
        putchar(*c == '_' ? ' ' : *c);
    fflush(stdout); /* a child made by fork must not print this again */
}

void harness_end(void)
{
    printf(": ok\n");
    fflush(stdout);
    harness.claim = NULL;
}

_Noreturn void harness_fail(const char *file, int line, const char *expression)
{
    fprintf(stderr, "\n%s:%d: %s: not so: %s\n", file, line,
            harness.claim != NULL ? harness.claim : "main", expression);
    if (harness.has_seed)
        fprintf(stderr, "    repeat with --seed %" PRIu64 "\n", harness.seed);
    fflush(NULL);
    _exit(1);
}

_Noreturn void harness_skip(const char *reason)
{
    printf("SKIP: %s\n", reason);
    fflush(stdout);
    _exit(HARNESS_EXIT_SKIPPED);
}

void harness_use_seed(uint64_t seed)
{
    harness.seed = seed;
    harness.has_seed = true;
    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
}

bool harness_asked_seed(int argc, char **argv, uint64_t *seed)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) {
            *seed = strtoull(argv[i + 1], NULL, 0);
            return true;
        }
    }
    return false;
}

uint64_t harness_asked_number(int argc, char **argv, const char *option)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], option) == 0)
            return strtoull(argv[i + 1], NULL, 0);
    return 0;
}

uint64_t harness_fresh_seed(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec * 1000003u ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid()) &
           UINT32_MAX; /* short enough to type */
}

uint64_t harness_seed(int argc, char **argv)
{
    uint64_t seed;

    if (!harness_asked_seed(argc, argv, &seed))
        seed = harness_fresh_seed();
    harness_use_seed(seed);
    return seed;
}

static bool harness_seeds_end(void)
{
    harness.seeds_done = 0; /* for the next loop of the same program */
    return false;
}

static int harness_fixed_seeds(void)
{
    const char *most = getenv("EW_TEST_SEEDS");
    int count = most == NULL ? HARNESS_SEEDS_FIXED : atoi(most);

    return count > 0 && count < HARNESS_SEEDS_FIXED ? count : HARNESS_SEEDS_FIXED;
}

bool harness_next_seed(int argc, char **argv, uint64_t *seed)
{
    int fixed = harness_fixed_seeds(), done = harness.seeds_done++;

    if (harness_asked_seed(argc, argv, seed)) {
        if (done > 0)
            return harness_seeds_end();
    } else if (done < fixed) {
        *seed = (uint64_t)done + 1;
    } else if (done == fixed) {
        *seed = harness_fresh_seed();
    } else {
        return harness_seeds_end();
    }
    harness_use_seed(*seed);
    return true;
}
