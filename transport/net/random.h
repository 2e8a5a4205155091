/* transport/net/random.h - numbers that others cannot guess and that a seed repeats.
 *
 * Purpose    Keys, initial sequence numbers, jitter and identifications from one seed of 32 bytes:
 *            the same seed and the same calls give the same run.
 * Shape      seed + purpose -> key of 16 bytes; numbers are SipHash-2-4 of a counter under a key
 *            of their own, so what is seen on the wire tells nothing about what comes next.
 * Owner      the caller owns each struct
 * Threads    one caller at a time for each struct
 * Trust      the seed is secret and from the system, or a test's
 * Errors     none
 * Invariants I1  keys for different purposes are independent.
 *            I2  numbers of one destination's identifications differ for 2^32 (IPv6) or 2^16
 *                (IPv4) packets.
 * Ordering   single threaded
 * Source     RFC 6528 section 3; RFC 7739 section 5.3; RFC 6864 section 4;
 *            Aumasson, Bernstein: "SipHash: a fast short-input PRF" (2012);
 *            Lemire: "Fast random integer generation in an interval" (2019)
 */
#ifndef EWI_TRANSPORT_NET_RANDOM_H
#define EWI_TRANSPORT_NET_RANDOM_H

#include "transport/net/tuple.h"

enum net_purpose { /* of a key; others add theirs at the end */
    NET_KEY_RANDOM = 1,
    NET_KEY_TABLE = 2,
    NET_KEY_ISN = 3,
    NET_KEY_PORTS = 4,
    NET_KEY_IDS = 5,
    NET_KEY_COOKIES = 6,
    NET_KEY_TIMESTAMPS = 7,
    NET_KEY_NEIGHBOURS = 8,
    NET_KEY_PATHS = 9,
    NET_KEY_REASSEMBLY = 10,
    NET_KEY_LIMITS = 11,
    NET_KEY_UDP = 12,
};

void ewi_net_key(uint8_t key[16], const uint8_t seed[32], enum net_purpose purpose);

struct net_random {
    uint8_t key[16];
    uint64_t drawn;
};

void ewi_net_random_init(struct net_random *random, const uint8_t seed[32]);
uint64_t ewi_net_random_next(struct net_random *random);
/* 0 .. bound - 1, each equally likely; bound > 0. */
uint64_t ewi_net_random_below(struct net_random *random, uint64_t bound);
/* A time in ns - ns / part .. ns + ns / part, part >= 1; never above UINT64_MAX. */
uint64_t ewi_net_random_jitter(struct net_random *random, uint64_t ns, uint64_t part);

/* RFC 6528 3: ISN = M + F(the four-tuple, key), M a clock of 4 us. key: NET_KEY_ISN. */
uint32_t ewi_net_isn(const uint8_t key[16], const struct net_tuple *tuple, uint64_t now_ns);

enum { NET_IDS_COUNTERS = 1024 };

/* Identifications of fragments; a packet that must not be fragmented needs none (RFC 6864 4.1). */
struct net_ids {
    uint8_t key[16];
    uint32_t counter[NET_IDS_COUNTERS];
};

void ewi_net_ids_init(struct net_ids *ids, const uint8_t seed[32], struct net_random *random);
/* For the next datagram from local to remote (as in struct net_tuple; ports do not matter);
 * protocol as in the header. IPv4 takes the low half. */
uint32_t ewi_net_ids_next(struct net_ids *ids, const struct net_tuple *tuple, uint8_t protocol);

#endif
