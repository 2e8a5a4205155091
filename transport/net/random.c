#include "transport/net/random.h"

#include <string.h>

#include "transport/siphash.h"

void ewi_net_key(uint8_t key[16], const uint8_t seed[32], enum net_purpose purpose)
{
    uint8_t input[18];
    uint64_t half;

    memcpy(input, seed + 16, 16);
    input[16] = (uint8_t)purpose;
    for (uint8_t i = 0; i < 2; i++) {
        input[17] = i;
        half = ewi_siphash(seed, input, sizeof(input));
        memcpy(key + 8 * i, &half, sizeof(half));
    }
}

void ewi_net_random_init(struct net_random *random, const uint8_t seed[32])
{
    random->drawn = 0;
    ewi_net_key(random->key, seed, NET_KEY_RANDOM);
}

uint64_t ewi_net_random_next(struct net_random *random)
{
    uint64_t number = random->drawn++;

    return ewi_siphash(random->key, &number, sizeof(number));
}

uint64_t ewi_net_random_below(struct net_random *random, uint64_t bound)
{
    uint64_t refuse, low;
    unsigned __int128 product;

    EWI_ASSERT(bound > 0);
    refuse = (0 - bound) % bound; /* 2^64 mod bound: so many would be too many */
    do {
        product = (unsigned __int128)ewi_net_random_next(random) * bound;
        low = (uint64_t)product;
    } while (low < refuse);
    return (uint64_t)(product >> 64);
}

uint64_t ewi_net_random_jitter(struct net_random *random, uint64_t ns, uint64_t part)
{
    uint64_t spread, low, more;

    EWI_ASSERT(part > 0);
    spread = ns / part;
    low = ns - spread;
    if (spread > (UINT64_MAX - 1) / 2)
        spread = (UINT64_MAX - 1) / 2;
    more = ewi_net_random_below(random, 2 * spread + 1);
    return more > UINT64_MAX - low ? UINT64_MAX : low + more;
}

/* RFC 6528 section 3. The whole tuple goes in: family and scope make no two names equal. */
uint32_t ewi_net_isn(const uint8_t key[16], const struct net_tuple *tuple, uint64_t now_ns)
{
    return (uint32_t)ewi_siphash(key, tuple, sizeof(*tuple)) + (uint32_t)(now_ns / 4000);
}

void ewi_net_ids_init(struct net_ids *ids, const uint8_t seed[32], struct net_random *random)
{
    ewi_net_key(ids->key, seed, NET_KEY_IDS);
    for (uint32_t i = 0; i < NET_IDS_COUNTERS; i++)
        ids->counter[i] = (uint32_t)ewi_net_random_next(random);
}

/* RFC 7739 section 5.3: F gives the destination's offset, G its counter; the two are different bits
 * of one keyed hash, which is as good as two keys. Destinations that share a counter only skip. */
uint32_t ewi_net_ids_next(struct net_ids *ids, const struct net_tuple *tuple, uint8_t protocol)
{
    uint8_t input[34];
    uint64_t hash;

    memcpy(input, tuple->local, 16);
    memcpy(input + 16, tuple->remote, 16);
    input[32] = tuple->family;
    input[33] = protocol;
    hash = ewi_siphash(ids->key, input, sizeof(input));
    return (uint32_t)hash + ids->counter[(hash >> 32) % NET_IDS_COUNTERS]++;
}
