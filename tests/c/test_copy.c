/* tests/c/test_copy.c - does the copy of long payloads copy exactly what it is told? */
#include "shm/copy.h"
#include "tests/c/harness.h"

enum { ROOM = 4096, EDGE = 64, GUARD = 0xA5 };

static uint8_t source[ROOM + 2 * EDGE], target[ROOM + 2 * EDGE];

static void copy_plain(uint8_t *to, const uint8_t *from, size_t bytes)
{
    ewi_copy(to, from, bytes);
}

static void check_with(void (*copy)(uint8_t *, const uint8_t *, size_t), size_t to, size_t from,
                       size_t bytes)
{
    bool whole, untouched = true;

    memset(target, GUARD, sizeof(target));
    copy(target + EDGE + to, source + from, bytes);
    whole = memcmp(target + EDGE + to, source + from, bytes) == 0;
    for (size_t at = 0; at < sizeof(target); at++)
        if (at < EDGE + to || at >= EDGE + to + bytes)
            untouched &= target[at] == GUARD;
    CHECK(whole && untouched);
}

static void check_one(size_t to, size_t from, size_t bytes)
{
    check_with(copy_plain, to, from, bytes);
    check_with(ewi_copy_past, to, from, bytes);
}

/* catches: the last memcpy left out; head without the modulo; >= LINE_BYTES written as > 0 */
static void every_length_and_alignment_is_exact(void)
{
    for (size_t at = 0; at < sizeof(source); at++)
        source[at] = (uint8_t)(at * 7 + at / 256);
    for (size_t to = 0; to < EDGE; to += 7)
        for (size_t from = 0; from < EDGE; from += 9)
            for (size_t bytes = 0; bytes <= ROOM - EDGE; bytes += bytes < 700 ? 13 : 171)
                check_one(to, from, bytes);
}

static void around_the_limit_of_short_copies(void)
{
    for (size_t bytes = COPY_SHORT_BYTES - 2; bytes <= COPY_SHORT_BYTES + 130; bytes++)
        check_one(8, 0, bytes);
}

int main(void)
{
    RUN(every_length_and_alignment_is_exact);
    RUN(around_the_limit_of_short_copies);
    return 0;
}
