#include "transport/net/tuple.h"

/* Why SipHash-1-3: a sum, CRC, Toeplitz or multiply hash is linear or nearly so; whoever can time a
 * few thousand lookups can solve for its key and then send segments that all fall into one bucket.
 * SipHash mixes the key into every round, and no attack on 1-3 finds key or collisions; it has half
 * the rounds of 2-4, which stays for numbers that others see (sequence numbers, MACs). Nobody sees
 * this one. An IPv4 name is 16 bytes and takes 6 rounds, an IPv6 name 40 bytes and 9. */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t load(const void *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value)); /* little-endian, as all hosts that we run on */
    return value;
}

static inline uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t ewi_net_tuple_hash(const uint8_t key[16], const struct net_tuple *tuple)
{
    uint64_t k0 = load(key), k1 = load(key + 8);
    uint64_t bytes = tuple->family == 4 ? 16 : 40;
    struct sip s = {
        k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
        k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573),
    };

    absorb(&s, load(&tuple->local_port));
    if (tuple->family == 4) {
        absorb(&s, load(tuple->local) | load(tuple->remote) << 32);
    } else {
        absorb(&s, load(tuple->local));
        absorb(&s, load(tuple->local + 8));
        absorb(&s, load(tuple->remote));
        absorb(&s, load(tuple->remote + 8));
    }
    absorb(&s, bytes << 56); /* the length, as in the paper */
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
