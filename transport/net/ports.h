/* transport/net/ports.h - a local port for an outgoing connection.
 *
 * Purpose    Ports that an observer of other connections cannot predict (off-path attacks need the
 *            four-tuple) and that come back to the same peer as late as possible (TIME_WAIT).
 * Shape      RFC 6056 algorithm 4: port = low + (F(addresses, remote port) + counter[G(same)]++)
 *            mod count, walked until a tuple is free. F, G: halves of one keyed hash.
 * Owner      the caller
 * Threads    one caller at a time; nothing blocks or allocates
 * Trust      whom we connect to may be chosen by an attacker (he can make us connect to him): a
 *            counter is shared with 1 / NET_PORTS_COUNTERS of all destinations only
 * Errors     EW_EINUSE  every port of the range is taken for that peer: counted in `refused`.
 *                       Without the table of TIME_WAIT connections among the tables the search
 *                       can be repeated, and RFC 6191 applied to what it gives.
 * Invariants I1  the tuple is in none of the tables, and nobody listens on the port.
 * Ordering   single threaded
 * Source     RFC 6056 sections 3.2, 3.3.4
 */
#ifndef EWI_TRANSPORT_NET_PORTS_H
#define EWI_TRANSPORT_NET_PORTS_H

#include "transport/net/listeners.h"
#include "transport/net/random.h"
#include "transport/net/table.h"

enum {
    NET_PORTS_COUNTERS = 8192,
    NET_PORTS_LOW = 32768, /* of the whole range 1024..65535 the upper half: services live below */
    NET_PORTS_HIGH = 65535,
    NET_PORTS_TABLES_MAX = 4,
};

struct net_ports {
    uint8_t key[16];
    uint16_t low, high;
    uint64_t refused;
    uint16_t counter[NET_PORTS_COUNTERS]; /* below the number of ports */
};

struct net_ports_taken { /* what a port must not collide with */
    const uint8_t *table_key;                /* of ewi_net_tuple_hash */
    const struct net_listeners *listeners;   /* may be NULL */
    const struct net_table *tables[NET_PORTS_TABLES_MAX]; /* NULL from the first unused one */
};

/* 0 < low <= high; shards that share an address take disjoint ranges. */
void ewi_net_ports_init(struct net_ports *ports, const uint8_t seed[32], struct net_random *random,
                        uint16_t low, uint16_t high);
/* Sets tuple->local_port; the other fields are given. *hash: of the tuple, for insert. */
int ewi_net_ports_choose(struct net_ports *ports, const struct net_ports_taken *taken,
                         struct net_tuple *tuple, uint64_t *hash);

#endif
