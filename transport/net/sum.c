#include "transport/net/sum.h"

#include <string.h>

/* Two words side by side; gcc and clang make SSE2, NEON or plain code of it. */
typedef uint64_t pair __attribute__((vector_size(16)));

enum { BLOCK_BYTES = 64, PAIRS = BLOCK_BYTES / sizeof(pair) };

/* What is left of a sum of 64-bit words: `all` lost its carries, `high` counted what would carry.
 * low halves = all - high * 2^32, exact below 2^32 words. RFC 1071 section 2 (C): wide words will do. */
static uint64_t add_halves(uint64_t all, uint64_t high)
{
    return all - (high << 32) + high;
}

/* Three operations for 16 bytes; two pairs of counters, so that they do not wait for each other.
 * `to` is a constant NULL for a sum alone. */
static inline __attribute__((always_inline)) uint64_t
sum_words(uint8_t *to, const uint8_t *from, size_t bytes)
{
    pair all0 = {0}, all1 = {0}, high0 = {0}, high1 = {0};
    uint64_t all, high, word;

    for (; bytes >= BLOCK_BYTES; bytes -= BLOCK_BYTES, from += BLOCK_BYTES) {
        pair words[PAIRS];

        memcpy(words, from, BLOCK_BYTES);
        if (to != NULL) {
            memcpy(to, words, BLOCK_BYTES);
            to += BLOCK_BYTES;
        }
        all0 += words[0];
        high0 += words[0] >> 32;
        all1 += words[1];
        high1 += words[1] >> 32;
        all0 += words[2];
        high0 += words[2] >> 32;
        all1 += words[3];
        high1 += words[3] >> 32;
    }
    all = all0[0] + all0[1] + all1[0] + all1[1];
    high = high0[0] + high0[1] + high1[0] + high1[1];
    for (; bytes >= sizeof(word); bytes -= sizeof(word), from += sizeof(word)) {
        memcpy(&word, from, sizeof(word));
        if (to != NULL) {
            memcpy(to, &word, sizeof(word));
            to += sizeof(word);
        }
        all += word;
        high += word >> 32;
    }
    if (bytes > 0) { /* padded with zero: RFC 1071 section 1 */
        word = 0;
        memcpy(&word, from, bytes);
        if (to != NULL)
            memcpy(to, &word, bytes);
        all += word;
        high += word >> 32;
    }
    return add_halves(all, high);
}

/* Words were read in the machine's order: RFC 1071 section 2 (B). */
static uint32_t to_big_endian(uint32_t sum)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (sum & 0xff) << 8 | sum >> 8;
#else
    return sum;
#endif
}

uint32_t ewi_net_sum(const void *bytes, size_t length)
{
    return to_big_endian(ewi_net_sum_fold(sum_words(NULL, bytes, length)));
}

uint32_t ewi_net_copy_sum(void *to, const void *from, size_t bytes)
{
    return to_big_endian(ewi_net_sum_fold(sum_words(to, from, bytes)));
}
