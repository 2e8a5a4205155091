#include "transport/net/cookie.h"

#include "transport/siphash.h"

enum {
    MSS_BITS = 3,
    MSS_COUNT = 1 << MSS_BITS,
    STEP_SHIFT = 30,
    MSS_SHIFT = STEP_SHIFT - MSS_BITS,
    SCALE_NONE = 15,
    SCALE_MAX = 14, /* RFC 7323 section 2.3 */
    HAS_SACK = 1 << 4,
    HAS_ECN = 1 << 5,
    TIME_MASK = (1 << NET_COOKIE_TIME_BITS) - 1,
};

/* RFC 4987 appendix A. What SYNs really say: Ethernet, jumbo frames, tunnels, the family's least. */
static const uint16_t sizes4[MSS_COUNT] = {
    NET_COOKIE_MSS_MIN, 536, 1200, 1360, 1400, 1440, 1460, 8960};
static const uint16_t sizes6[MSS_COUNT] = {
    NET_COOKIE_MSS_MIN, 536, 1220, 1340, 1380, 1420, 1440, 8940};

static const uint16_t *sizes_of(const struct net_tuple *tuple)
{
    return tuple->family == 4 ? sizes4 : sizes6;
}

struct input {
    struct net_tuple tuple;
    uint64_t step;
    uint32_t peer_isn, size;
};
static_assert(sizeof(struct input) == 56, "no padding: all of it is hashed");

static uint32_t cookie_of(const uint8_t key[16], const struct input *input)
{
    uint32_t hash = (uint32_t)ewi_siphash(key, input, sizeof(*input));

    return (uint32_t)(input->step << STEP_SHIFT) | input->size << MSS_SHIFT |
           (hash & ((1u << MSS_SHIFT) - 1));
}

uint32_t ewi_net_cookie_make(const uint8_t key[16], const struct net_tuple *tuple,
                             uint32_t peer_isn, uint16_t mss, uint64_t now)
{
    const uint16_t *sizes = sizes_of(tuple);
    struct input input = {*tuple, now / NET_COOKIE_STEP_NS, peer_isn, 0};

    while (input.size + 1 < MSS_COUNT && sizes[input.size + 1] <= mss)
        input.size += 1;
    return cookie_of(key, &input);
}

bool ewi_net_cookie_judge(const uint8_t key[16], const struct net_tuple *tuple, uint32_t peer_isn,
                          uint32_t cookie, uint64_t now, uint16_t *mss)
{
    uint64_t step = now / NET_COOKIE_STEP_NS;
    uint32_t age = ((uint32_t)step - (cookie >> STEP_SHIFT)) & 3;
    struct input input = {*tuple, step - age, peer_isn, cookie >> MSS_SHIFT & (MSS_COUNT - 1)};

    if (age > NET_COOKIE_AGE_MAX || cookie_of(key, &input) != cookie)
        return false;
    *mss = sizes_of(tuple)[input.size];
    return true;
}

/* ---- options ---- */

uint32_t ewi_net_cookie_time_make(uint32_t ticks, const struct net_cookie_options *options)
{
    uint32_t low = options->has_scale ? options->scale : SCALE_NONE;

    EWI_ASSERT(!options->has_scale || options->scale <= SCALE_MAX);
    low |= options->sack ? HAS_SACK : 0;
    low |= options->ecn ? HAS_ECN : 0;
    return ticks - ((ticks - low) & TIME_MASK); /* the last number up to ticks that ends in low */
}

void ewi_net_cookie_time_read(uint32_t tsecr, struct net_cookie_options *out)
{
    uint8_t scale = tsecr & 15;

    *out = (struct net_cookie_options){
        .has_scale = scale != SCALE_NONE,
        .scale = scale != SCALE_NONE ? scale : 0,
        .sack = (tsecr & HAS_SACK) != 0,
        .ecn = (tsecr & HAS_ECN) != 0,
    };
}
