#include "transport/net/sum.h"

#include <string.h>

/* Two words side by side; gcc and clang make SSE2, NEON or plain code of it. */
typedef uint64_t pair __attribute__((vector_size(16)));

enum { BLOCK_BYTES = 4 * sizeof(pair) };

/* What is left of a sum of 64-bit words: `all` lost its carries, `high` counted what would carry.
 * low halves = all - high * 2^32, exact below 2^32 words. RFC 1071 section 2 (C): wide words will do. */
static uint64_t add_halves(uint64_t all, uint64_t high)
{
    return all - (high << 32) + high;
}

/* An array of pairs would go through memory (gcc 12), hence one variable each. */
static inline __attribute__((always_inline)) pair
take(bool copies, uint8_t *to, const uint8_t *from, size_t at)
{
    pair words;

    memcpy(&words, from + at, sizeof(words));
    if (copies)
        memcpy(to + at, &words, sizeof(words));
    return words;
}

/* Three operations for 16 bytes; two pairs of counters, so that they do not wait for each other.
 * `copies` is a constant: false for a sum alone. */
static inline __attribute__((always_inline)) uint64_t
sum_words(bool copies, uint8_t *to, const uint8_t *from, size_t bytes)
{
    pair all0 = {0}, all1 = {0}, high0 = {0}, high1 = {0};
    uint64_t all, high, word;

    for (; bytes >= BLOCK_BYTES; bytes -= BLOCK_BYTES, from += BLOCK_BYTES) {
        pair a = take(copies, to, from, 0), b = take(copies, to, from, 16);
        pair c = take(copies, to, from, 32), d = take(copies, to, from, 48);

        all0 += a + c;
        high0 += (a >> 32) + (c >> 32);
        all1 += b + d;
        high1 += (b >> 32) + (d >> 32);
        if (copies)
            to += BLOCK_BYTES;
    }
    all = all0[0] + all0[1] + all1[0] + all1[1];
    high = high0[0] + high0[1] + high1[0] + high1[1];
    for (; bytes >= sizeof(word); bytes -= sizeof(word), from += sizeof(word)) {
        memcpy(&word, from, sizeof(word));
        if (copies) {
            memcpy(to, &word, sizeof(word));
            to += sizeof(word);
        }
        all += word;
        high += word >> 32;
    }
    if (bytes > 0) { /* padded with zero: RFC 1071 section 1 */
        word = 0;
        memcpy(&word, from, bytes);
        if (copies)
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
    return to_big_endian(ewi_net_sum_fold(sum_words(false, NULL, bytes, length)));
}

uint32_t ewi_net_copy_sum(void *to, const void *from, size_t bytes)
{
    return to_big_endian(ewi_net_sum_fold(sum_words(true, to, from, bytes)));
}
