/* transport/siphash_round.h - what every SipHash-c-d is made of.
 *
 * Purpose    One round, one start and one end for the hashes of this family that the library has:
 *            2-4 (siphash.h) for what others see, 1-3 (net/tuple.c) for tables on a hot path.
 * Shape      four words; how many rounds a word and the end take is the caller's
 * Owner      values
 * Threads    any
 * Trust      words may be hostile; the key is not
 * Errors     none
 * Invariants none
 * Ordering   none
 * Source     Aumasson, Bernstein: "SipHash: a fast short-input PRF" (2012), section 2, figure 2.1
 */
#ifndef EWI_TRANSPORT_SIPHASH_ROUND_H
#define EWI_TRANSPORT_SIPHASH_ROUND_H

#include "shm/base.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline struct sip ewi_sip_begin(uint64_t k0, uint64_t k1)
{
    return (struct sip){
        k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
        k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573),
    };
}

static inline uint64_t ewi_sip_rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline void ewi_sip_rounds(struct sip *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = ewi_sip_rotate(s->v1, 13) ^ s->v0;
        s->v3 = ewi_sip_rotate(s->v3, 16) ^ s->v2;
        s->v0 = ewi_sip_rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = ewi_sip_rotate(s->v1, 17) ^ s->v2;
        s->v3 = ewi_sip_rotate(s->v3, 21) ^ s->v0;
        s->v2 = ewi_sip_rotate(s->v2, 32);
    }
}

static inline void ewi_sip_absorb(struct sip *s, uint64_t word, int rounds)
{
    s->v3 ^= word;
    ewi_sip_rounds(s, rounds);
    s->v0 ^= word;
}

static inline uint64_t ewi_sip_end(struct sip *s, int rounds)
{
    s->v2 ^= 0xff;
    ewi_sip_rounds(s, rounds);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
