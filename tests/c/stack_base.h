/* tests/c/stack_base.h - what the tests of every stack share.
 *
 * Purpose    The user words of a pair of streams, and looks at descriptors.
 * Shape      functions
 * Owner      none
 * Threads    any
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_STACK_BASE_H
#define TESTS_C_STACK_BASE_H

#include <dirent.h>
#include <errno.h>
#include <poll.h>

#include "tests/c/harness.h"
#include "transport/stack.h"

enum { USER_LISTENER = 11, USER_OPENER = 22, USER_ACCEPTED = 33, WAIT_MS = 10000 };

static inline bool is_readable(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};

    return poll(&look, 1, 0) == 1;
}

/* To be compared at the end of a test program. */
static inline int open_descriptors(void)
{
    DIR *list = opendir("/proc/self/fd");
    int count = 0;

    CHECK(list != NULL);
    while (readdir(list) != NULL)
        count += 1;
    closedir(list);
    return count;
}

#endif
