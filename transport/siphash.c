#include "transport/siphash.h"

#include "transport/siphash_round.h"

enum { C_ROUNDS = 2, D_ROUNDS = 4 };

/* The last 1..8 bytes of the input, or a whole word: little-endian, zeros above. */
static uint64_t load(const uint8_t *from, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

uint64_t ewi_siphash(const uint8_t key[16], const void *data, size_t bytes)
{
    struct sip s = ewi_sip_begin(load(key, 8), load(key + 8, 8));
    const uint8_t *at = data;
    size_t left = bytes;

    for (; left >= 8; left -= 8, at += 8)
        ewi_sip_absorb(&s, load(at, 8), C_ROUNDS);
    ewi_sip_absorb(&s, load(at, left) | (uint64_t)bytes << 56, C_ROUNDS); /* the length modulo 256 */
    return ewi_sip_end(&s, D_ROUNDS);
}
