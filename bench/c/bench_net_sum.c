/* What does a checksum cost on top of the copy that is made anyway?
 *
 *   copy   memcpy of 64, 1448 or 8948 bytes: a small message, a segment at MTU 1500 and at 9000
 *   sum    ewi_net_sum of as many
 *   fused  ewi_net_copy_sum of as many: what every frame of ours pays
 *   split  memcpy, then ewi_net_sum of the copy: what fusing saves
 *
 * Value of a round: nanoseconds for each call, the median of blocks of calls between two time
 * stamps. Everything is in the first-level cache; source and target are not aligned, as payload
 * behind headers is not. The peer process does the same, on the other processor.
 */
#include "bench/c/duo.h"
#include "transport/net/sum.h"

enum {
    BYTES_MAX = 8948,
    BLOCKS = 400,
    BLOCK_BYTES = 64 * 1024, /* so many go through in a block */
    SOURCE_AT = 2,
    TARGET_AT = 54 - 48, /* behind Ethernet, IPv4 and TCP, modulo 16 */
};

struct spans {
    uint8_t *from, *to;
    volatile uint32_t last; /* so that the work is not thrown away */
};

typedef uint32_t (*work_fn)(const struct spans *spans, size_t bytes);

static uint32_t copy(const struct spans *spans, size_t bytes)
{
    memcpy(spans->to, spans->from, bytes);
    return spans->to[0];
}

static uint32_t sum(const struct spans *spans, size_t bytes)
{
    return ewi_net_sum(spans->from, bytes);
}

static uint32_t fused(const struct spans *spans, size_t bytes)
{
    return ewi_net_copy_sum(spans->to, spans->from, bytes);
}

static uint32_t split(const struct spans *spans, size_t bytes)
{
    memcpy(spans->to, spans->from, bytes);
    return ewi_net_sum(spans->to, bytes);
}

static void measure(struct duo *duo, const char *name, int round, work_fn work,
                    struct spans *spans, size_t bytes)
{
    static uint32_t blocks[BLOCKS];
    char named[DUO_NAME_BYTES];
    struct duo_case *of;
    size_t calls = BLOCK_BYTES / bytes + 1;

    snprintf(named, sizeof(named), "%s %zu", name, bytes);
    of = duo_case(duo, named);
    duo_meet(duo);
    for (int block = 0; block < BLOCKS; block++) {
        uint64_t before = duo_ticks();

        for (size_t i = 0; i < calls; i++) {
            spans->from[0] = (uint8_t)i; /* nothing can be kept from the last time */
            spans->last = work(spans, bytes);
        }
        blocks[block] = (uint32_t)(duo_ticks() - before);
    }
    of->value[round] = duo_median_ns(duo, blocks, BLOCKS) / (double)calls;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {64, 1448, BYTES_MAX};
    static uint8_t source[BYTES_MAX + 64], target[BYTES_MAX + 64];
    struct spans spans = {source + SOURCE_AT, target + TARGET_AT, 0};
    static struct duo duo;

    for (size_t i = 0; i < sizeof(source); i++)
        source[i] = (uint8_t)(i * 7);
    duo_start(&duo, argc, argv, 21, 7);
    duo_pin(&duo);
    for (int round = 0; round < duo.rounds; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            measure(&duo, "copy", round, copy, &spans, sizes[i]);
            measure(&duo, "sum", round, sum, &spans, sizes[i]);
            measure(&duo, "fused", round, fused, &spans, sizes[i]);
            measure(&duo, "split", round, split, &spans, sizes[i]);
        }
    }
    duo_stop(&duo);
    duo_print(&duo, "net_sum", "ns");
    return 0;
}
