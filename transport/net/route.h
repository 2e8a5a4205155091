/* transport/net/route.h - by which port, and to which neighbour, an address is reached.
 *
 * Purpose    Longest prefix first, for both families, from a table that is filled at start.
 * Shape      A list: IPv4 before IPv6, in each longer prefixes before shorter ones, and equal ones in
 *            the order in which they came. The first that matches is the answer. 1 .. 1024 routes; a
 *            step of the search costs about a nanosecond, and ewi_net_way() remembers answers.
 *            Addresses as in struct net_tuple. Link-local ones (fe80::/10) need no route: their scope
 *            names the link.
 * Owner      the caller owns the memory
 * Threads    one caller at a time
 * Trust      routes are configuration; addresses that are looked up may be hostile
 * Errors     -EINVAL  bits beyond the prefix are set, or it is too long.
 *            -EEXIST  that prefix has a route by that port.
 *            -ENOSPC  as many as there may be.
 * Invariants I1  find() returns what a walk over all routes in the order they came would: the longest
 *                prefix that covers the address, the first of several.
 * Ordering   single threaded
 * Source     RFC 1122 section 3.3.1, 1812 section 5.2.4.3 (longest match), 4861 section 5.2
 */
#ifndef EWI_TRANSPORT_NET_ROUTE_H
#define EWI_TRANSPORT_NET_ROUTE_H

#include "transport/net/rows.h"

enum { NET_ROUTES_MAX = 1024 };

struct net_route {
    uint64_t to[2], mask[2]; /* as the bytes lie in memory */
    uint8_t via[16];
    uint16_t port;
    uint8_t family, bits;
    bool has_via; /* else it is on the link */
    bool is_tied; /* the same prefix is reached by another port too: the local address decides */
};

struct net_routes {
    struct net_route *route;
    uint32_t count, count_max;
    uint32_t first6; /* where IPv6 begins */
};

/* 0: out of range. */
size_t ewi_net_routes_bytes(uint32_t count_max);
void ewi_net_routes_init(struct net_routes *routes, void *memory, uint32_t count_max);
/* via NULL: on the link. */
int ewi_net_routes_add(struct net_routes *routes, uint8_t family, const uint8_t to[16],
                       unsigned bits, uint16_t port, const uint8_t *via);
/* NULL: none. */
const struct net_route *ewi_net_routes_find(const struct net_routes *routes, uint8_t family,
                                            const uint8_t address[16]);
/* Among those with the longest prefix one by this port, if there is one. */
const struct net_route *ewi_net_routes_find_by(const struct net_routes *routes, uint8_t family,
                                               const uint8_t address[16], uint16_t port);
/* Does some route of this port say that the address is on its link? */
bool ewi_net_routes_on_link(const struct net_routes *routes, uint8_t family,
                            const uint8_t address[16], uint16_t port);
/* How many leading bits a and b have in common, at most those of an address. */
unsigned ewi_net_bits_in_common(uint8_t family, const uint8_t a[16], const uint8_t b[16]);

#endif
