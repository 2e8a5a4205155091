/* transport/net/path.h - how long packets to a destination may be, where that is less than the link's.
 *
 * Purpose    Remember what routers (or black holes) said about paths, for as long as it is worth it.
 * Shape      entry: destination, MTU, when it was learned; in a table by destination, and in a list by
 *            age. After NET_PATH_NS it counts no more, so a longer packet is tried again.
 * Owner      the caller owns the memory
 * Threads    one caller at a time
 * Trust      who calls learn() has checked that the message quotes what we sent; still the MTU is
 *            never below the least of the family, and the table never grows: the oldest gives way.
 * Errors     false: not lower than what is known
 * Invariants I1  at most `capacity` entries; the list is in the order of `learned`.
 * Ordering   single threaded
 * Source     RFC 1191 sections 3, 6.3 and 7; RFC 8201 sections 4 and 5.2
 */
#ifndef EWI_TRANSPORT_NET_PATH_H
#define EWI_TRANSPORT_NET_PATH_H

#include "transport/net/pool.h"
#include "transport/net/table.h"

enum {
    NET_PATH_MIN4 = 576, /* RFC 1191 knows less, but who says so is lying or wants tiny packets */
    NET_PATH_MIN6 = 1280,
};
#define NET_PATH_NS (UINT64_C(600) * 1000000000) /* RFC 1191 section 6.3: 10 minutes */

struct net_path {
    struct net_tuple to; /* remote, family and scope only */
    uint64_t learned;
    uint32_t older, younger;
    uint16_t mtu;
};

struct net_paths {
    struct net_pool pool;
    struct net_table table;
    uint8_t key[16];
    uint32_t oldest, youngest;
};

static inline uint16_t ewi_net_path_least(uint8_t family)
{
    return family == 4 ? NET_PATH_MIN4 : NET_PATH_MIN6;
}

/* capacity 1 .. NET_ROWS_MAX; memory as ewi_net_pool_bytes and ewi_net_table_bytes say. */
void ewi_net_paths_init(struct net_paths *paths, void *pool, void *table, uint32_t capacity,
                        const uint8_t key[16]);
/* UINT16_MAX: nothing is known. */
uint16_t ewi_net_paths_find(const struct net_paths *paths, const struct net_tuple *tuple,
                            uint64_t now);
/* mtu below the least of the family counts as that. */
bool ewi_net_paths_learn(struct net_paths *paths, const struct net_tuple *tuple, uint16_t mtu,
                         uint64_t now);
/* RFC 1191 section 7: the plateau below the length of a packet that was too long. */
uint16_t ewi_net_path_plateau(uint16_t packet_bytes);

#endif
