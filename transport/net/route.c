#include "transport/net/route.h"

#include <errno.h>
#include <string.h>

static unsigned family_bits(uint8_t family)
{
    return family == 4 ? 32 : 128;
}

size_t ewi_net_routes_bytes(uint32_t count_max)
{
    if (count_max == 0 || count_max > NET_ROUTES_MAX)
        return 0;
    return count_max * sizeof(struct net_route);
}

void ewi_net_routes_init(struct net_routes *routes, void *memory, uint32_t count_max)
{
    EWI_ASSERT(ewi_net_routes_bytes(count_max) != 0);
    *routes = (struct net_routes){.route = memory, .count_max = count_max};
}

static void load(uint64_t words[2], const uint8_t bytes[16])
{
    memcpy(words, bytes, 16);
}

static void mask_of(uint64_t mask[2], unsigned bits)
{
    uint8_t bytes[16] = {0};

    for (unsigned i = 0; i < bits; i++)
        bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
    load(mask, bytes);
}

static bool covers(const struct net_route *route, const uint64_t address[2])
{
    return ((address[0] ^ route->to[0]) & route->mask[0]) == 0 &&
           ((address[1] ^ route->to[1]) & route->mask[1]) == 0;
}

static bool same_prefix(const struct net_route *a, const struct net_route *b)
{
    return a->family == b->family && a->bits == b->bits && memcmp(a->to, b->to, sizeof(a->to)) == 0;
}

static uint32_t begin_of(const struct net_routes *routes, uint8_t family)
{
    return family == 4 ? 0 : routes->first6;
}

static uint32_t end_of(const struct net_routes *routes, uint8_t family)
{
    return family == 4 ? routes->first6 : routes->count;
}

static uint32_t place_for(const struct net_routes *routes, const struct net_route *new)
{
    uint32_t at = begin_of(routes, new->family), end = end_of(routes, new->family);

    while (at < end && routes->route[at].bits >= new->bits)
        at++;
    return at;
}

static bool is_there(const struct net_routes *routes, const struct net_route *new)
{
    for (uint32_t i = 0; i < routes->count; i++)
        if (routes->route[i].port == new->port && same_prefix(&routes->route[i], new))
            return true;
    return false;
}

static void tie(struct net_routes *routes, struct net_route *new)
{
    for (uint32_t i = 0; i < routes->count; i++) {
        if (same_prefix(&routes->route[i], new)) {
            routes->route[i].is_tied = true;
            new->is_tied = true;
        }
    }
}

int ewi_net_routes_add(struct net_routes *routes, uint8_t family, const uint8_t to[16],
                       unsigned bits, uint16_t port, const uint8_t *via)
{
    struct net_route new = {.port = port, .family = family, .bits = (uint8_t)bits};
    uint32_t at;

    if (bits > family_bits(family))
        return -EINVAL;
    load(new.to, to);
    mask_of(new.mask, bits);
    if ((new.to[0] & ~new.mask[0]) != 0 || (new.to[1] & ~new.mask[1]) != 0)
        return -EINVAL;
    if (is_there(routes, &new))
        return -EEXIST;
    if (routes->count == routes->count_max)
        return -ENOSPC;
    if (via != NULL) {
        memcpy(new.via, via, 16);
        new.has_via = true;
    }
    tie(routes, &new);
    at = place_for(routes, &new);
    memmove(&routes->route[at + 1], &routes->route[at], (routes->count - at) * sizeof(new));
    routes->route[at] = new;
    routes->count += 1;
    routes->first6 += family == 4;
    return 0;
}

const struct net_route *ewi_net_routes_find(const struct net_routes *routes, uint8_t family,
                                            const uint8_t address[16])
{
    uint32_t end = end_of(routes, family);
    uint64_t words[2];

    load(words, address);
    for (uint32_t i = begin_of(routes, family); i < end; i++)
        if (covers(&routes->route[i], words))
            return &routes->route[i];
    return NULL;
}

const struct net_route *ewi_net_routes_find_by(const struct net_routes *routes, uint8_t family,
                                               const uint8_t address[16], uint16_t port)
{
    const struct net_route *first = ewi_net_routes_find(routes, family, address);
    const struct net_route *end = routes->route + end_of(routes, family);

    if (first == NULL || !first->is_tied)
        return first;
    for (const struct net_route *route = first; route < end && route->bits == first->bits; route++)
        if (route->port == port && same_prefix(route, first))
            return route;
    return first;
}

bool ewi_net_routes_on_link(const struct net_routes *routes, uint8_t family,
                            const uint8_t address[16], uint16_t port)
{
    uint32_t end = end_of(routes, family);
    uint64_t words[2];

    load(words, address);
    for (uint32_t i = begin_of(routes, family); i < end; i++) {
        const struct net_route *route = &routes->route[i];

        if (route->port == port && !route->has_via && covers(route, words))
            return true;
    }
    return false;
}

unsigned ewi_net_bits_in_common(uint8_t family, const uint8_t a[16], const uint8_t b[16])
{
    unsigned bytes = 0, bits_max = family_bits(family);

    while (bytes < bits_max / 8 && a[bytes] == b[bytes])
        bytes++;
    if (bytes == bits_max / 8)
        return bits_max;
    return bytes * 8 + (unsigned)__builtin_clz((unsigned)(a[bytes] ^ b[bytes])) - 24;
}
