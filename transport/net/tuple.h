/* transport/net/tuple.h - who talks to whom: the name of a connection, and its keyed hash.
 *
 * Purpose    One key for IPv4 and IPv6, so that there is one table, one lookup and one of
 *            everything that is kept for each connection or derived from its name.
 * Shape      40 bytes without padding. IPv4 addresses are the first four bytes, the rest is 0.
 *            local is this host's end, whichever side opened. Ports in host order.
 * Owner      values
 * Threads    any
 * Trust      addresses and ports come from the network: nobody may be able to choose two tuples
 *            with the same hash, so it is keyed, and never leaves this host.
 * Errors     none
 * Invariants I1  equal tuples are equal bytes: unused address bytes and `zero` are 0.
 *            I2  an IPv4 connection never equals an IPv6 one (an IPv4-mapped address on the wire
 *                must not reach an IPv4 connection): family is part of the name.
 * Ordering   single threaded
 * Source     RFC 9293 section 3.4 (a connection is named by its pair of sockets); RFC 4007 section 6
 *            (scope); Aumasson, Bernstein: "SipHash: a fast short-input PRF" (2012), section 2
 */
#ifndef EWI_TRANSPORT_NET_TUPLE_H
#define EWI_TRANSPORT_NET_TUPLE_H

#include <assert.h>
#include <string.h>

#include "shm/base.h"

struct net_tuple {
    uint8_t local[16], remote[16];
    uint16_t local_port, remote_port;
    uint16_t scope; /* our number of the link, for IPv6 link-local addresses, else 0 */
    uint8_t family; /* 4 or 6 */
    uint8_t zero;
};
static_assert(sizeof(struct net_tuple) == 40, "bytes of every connection; hashed as five words");

static inline bool ewi_net_tuple_equals(const struct net_tuple *a, const struct net_tuple *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* For tables: SipHash-1-3 of the last eight bytes and of the addresses without their padding. */
uint64_t ewi_net_tuple_hash(const uint8_t key[16], const struct net_tuple *tuple);

#endif
