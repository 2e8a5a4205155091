/* What memory and cores allow at best: nothing here is a way to send a message.
 *
 *   line      each side stores a counter to a line of its own and waits for the other's: the least
 *             that any protocol through memory pays for a round trip. How far a line is from both
 *             cores depends on its address, by a fifth, so 64 pairs of lines take turns.
 *   memcpy    one process copies a message once, into a buffer that is used again, over and over
 *   memcpy2   as memcpy, but through a buffer of an outbox's size and out of it again: what a path
 *             through memory does at least, by one core
 *
 * wait= means nothing here. The second process of the copies sleeps.
 */
#include "bench/c/pair/pair.h"

enum {
    LINE_BYTES = 64,
    LINE_PAIRS = 64,
    LINE_TRIPS = 16, /* before the next pair's turn */
    THROUGH_BYTES = 256 * 1024,
    PIECE_BYTES_MAX = THROUGH_BYTES / 8,
};

struct limits {
    struct duo_word *lines; /* LINE_PAIRS of client and server */
    uint64_t sent, received;
    uint8_t *through; /* THROUGH_BYTES */
    size_t at;
};

static struct limits limits;

static const char *no_version(void)
{
    return "";
}

/* ---- line ---- */

static void create_lines(struct pair *pair)
{
    (void)pair;
    limits.lines = duo_memory(2 * LINE_PAIRS * sizeof(*limits.lines));
}

static const char *open_lines(struct pair *pair)
{
    snprintf(pair->detail, sizeof(pair->detail), "a counter in a cache line; both spin");
    return NULL;
}

static const char *prepare_lines(struct pair *pair, size_t bytes)
{
    (void)pair;
    return bytes > LINE_BYTES ? pair_text("a line has %d B, not %zu", LINE_BYTES, bytes) : NULL;
}

static _Atomic uint64_t *line_of(const struct pair *pair, uint64_t trip, bool is_own)
{
    size_t server = pair->duo.is_peer == is_own ? 1 : 0;

    return &limits.lines[trip / LINE_TRIPS % LINE_PAIRS * 2 + server].value;
}

static void store_line(struct pair *pair, uint32_t link, const uint8_t *data, size_t bytes)
{
    (void)link, (void)data, (void)bytes;
    limits.sent += 1;
    atomic_store_explicit(line_of(pair, limits.sent, true), limits.sent, memory_order_release);
}

static void await_line(struct pair *pair, uint32_t link, uint8_t *data, size_t bytes)
{
    (void)link, (void)data, (void)bytes;
    limits.received += 1;
    duo_await(line_of(pair, limits.received, false), limits.received);
}

const struct pair_system pair_line = {
    .name = "line",
    .options = "",
    .waits = UINT32_MAX,
    .works = 1u << PAIR_TRIP | 1u << PAIR_PACED,
    .version = no_version,
    .create = create_lines,
    .open = open_lines,
    .prepare = prepare_lines,
    .send = store_line,
    .recv = await_line,
};

/* ---- memcpy ---- */

static void *(*volatile copy)(void *, const void *, size_t) = memcpy; /* may not be left out */

static const char *open_copies(struct pair *pair)
{
    limits.through = duo_memory(THROUGH_BYTES);
    snprintf(pair->detail, sizeof(pair->detail), "one process copies, into the same buffer");
    return NULL;
}

static void copy_once(struct pair *pair, uint32_t link, const uint8_t *data, size_t bytes)
{
    (void)link;
    copy(pair->sink, data, bytes);
}

static void copy_twice(struct pair *pair, uint32_t link, const uint8_t *data, size_t bytes)
{
    (void)link;
    for (size_t done = 0; done < bytes;) {
        size_t piece = ewi_min_u64(bytes - done, PIECE_BYTES_MAX);

        copy(limits.through + limits.at, data + done, piece);
        copy(pair->sink + done, limits.through + limits.at, piece);
        done += piece;
        limits.at = limits.at + piece + PIECE_BYTES_MAX > THROUGH_BYTES ? 0 : limits.at + piece;
    }
}

#define COPIES(title, how)                                                                         \
    {                                                                                              \
        .name = (title), .options = "", .waits = UINT32_MAX, .works = 1u << PAIR_FLOW,             \
        .version = no_version, .open = open_copies, .send = (how)                                  \
    }

const struct pair_system pair_memcpy = COPIES("memcpy", copy_once);
const struct pair_system pair_memcpy2 = COPIES("memcpy2", copy_twice);
