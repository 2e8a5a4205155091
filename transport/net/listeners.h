/* transport/net/listeners.h - which listener a SYN is for.
 *
 * Purpose    Local address and port -> listener, most specific first.
 * Shape      A listener listens on one port and on
 *              one address of one link         (family, address, scope)     looked up first
 *              one address                     (family, address)
 *              every address of a family       (family, any)
 *              every address                   (any family, any)            looked up last
 *            Chains by index from a table of at least as many heads as listeners.
 * Owner      the caller owns the memory, and each struct net_listen inside its listener
 * Threads    one caller at a time; nothing blocks or allocates
 * Trust      the address looked up is one of our own, the port is the peer's. Chains are made by
 *            the local user, so the hash needs no key.
 * Errors     EW_EINUSE  somebody listens on exactly that. A listener on every address and one on a
 *                       single address go together.
 *            EW_EINVAL  not a family, no port, or an address that belongs to no family
 * Invariants I1  no two listeners have the same five fields.
 * Ordering   single threaded
 * Source     RFC 9293 section 3.9.1.1 (OPEN: the local address may be left out)
 */
#ifndef EWI_TRANSPORT_NET_LISTENERS_H
#define EWI_TRANSPORT_NET_LISTENERS_H

#include "transport/net/rows.h"

struct net_listen {
    uint8_t address[16]; /* as in struct net_tuple; zeros: any */
    uint16_t port;
    uint16_t scope; /* 0: every link */
    uint8_t family; /* 4, 6, or 0: both, with any address */
    uint8_t unused[3];
    uint32_t next; /* the table's */
};
static_assert(sizeof(struct net_listen) == 28, "no padding");

struct net_listeners {
    uint32_t *head;
    uint32_t mask; /* heads - 1 */
    struct net_rows listens;
    uint32_t used;
};

/* 0: out of range. capacity 1 .. NET_ROWS_MAX */
size_t ewi_net_listeners_bytes(uint32_t capacity);
void ewi_net_listeners_init(struct net_listeners *listeners, void *memory, uint32_t capacity,
                            struct net_rows listens);

int ewi_net_listeners_add(struct net_listeners *listeners, uint32_t index);
bool ewi_net_listeners_remove(struct net_listeners *listeners, uint32_t index);
/* For a segment to this address (all five fields given; family 4 or 6). NET_NONE: nobody. */
uint32_t ewi_net_listeners_find(const struct net_listeners *listeners,
                                const struct net_listen *local);

#endif
