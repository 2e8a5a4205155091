#include "transport/net/tuple.h"

#include "transport/siphash_round.h"

/* Why SipHash-1-3: a sum, CRC, Toeplitz or multiply hash is linear or nearly so; whoever can time a
 * few thousand lookups can solve for its key and then send segments that all fall into one bucket.
 * SipHash mixes the key into every round, and no attack on 1-3 finds key or collisions; it has half
 * the rounds of 2-4, which stays for numbers that others see (sequence numbers, MACs). Nobody sees
 * this one. An IPv4 name is 16 bytes and takes 6 rounds, an IPv6 name 40 bytes and 9. */

enum { C_ROUNDS = 1, D_ROUNDS = 3 };

static inline uint64_t load(const void *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value)); /* little-endian, as all hosts that we run on */
    return value;
}

uint64_t ewi_net_tuple_hash(const uint8_t key[16], const struct net_tuple *tuple)
{
    uint64_t bytes = tuple->family == 4 ? 16 : 40;
    struct sip s = ewi_sip_begin(load(key), load(key + 8));

    ewi_sip_absorb(&s, load(&tuple->local_port), C_ROUNDS);
    if (tuple->family == 4) {
        ewi_sip_absorb(&s, load(tuple->local) | load(tuple->remote) << 32, C_ROUNDS);
    } else {
        ewi_sip_absorb(&s, load(tuple->local), C_ROUNDS);
        ewi_sip_absorb(&s, load(tuple->local + 8), C_ROUNDS);
        ewi_sip_absorb(&s, load(tuple->remote), C_ROUNDS);
        ewi_sip_absorb(&s, load(tuple->remote + 8), C_ROUNDS);
    }
    ewi_sip_absorb(&s, bytes << 56, C_ROUNDS); /* the length, as in the paper */
    return ewi_sip_end(&s, D_ROUNDS);
}
