#include "shm/base.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Async-signal-safe on purpose: an assertion may fail anywhere. */
static void complain(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

void ewi_assert_failed(const char *file, int line, const char *what)
{
    char digits[12];
    size_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + line % 10);
        line /= 10;
    } while (line > 0);
    complain("eastwest: this is our bug, please report it: ");
    complain(file);
    complain(":");
    complain(digits + at);
    complain(": ");
    complain(what);
    complain("\n");
    abort();
}

#ifdef EWI_CRASH_POINTS
/* EWI_CRASH_AT="label" or "label#N": kill -9 ourselves at the N-th visit (from 1). */
void ewi_crash_point(const char *label)
{
    static _Thread_local unsigned visits;
    const char *wanted = getenv("EWI_CRASH_AT");
    size_t length = strlen(label);
    unsigned at = 1;

    if (wanted == NULL || strncmp(wanted, label, length) != 0)
        return;
    if (wanted[length] == '#')
        at = (unsigned)strtoul(wanted + length + 1, NULL, 10);
    else if (wanted[length] != '\0')
        return;
    if (++visits == at)
        kill(getpid(), SIGKILL);
}
#endif
