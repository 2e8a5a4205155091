/* transport/net/packets.h - packets that are kept after input, until somebody has read them.
 *
 * Purpose    Received bytes stay where the device put them; the shell gets its references back when
 *            the last byte was read. What came without a reference is copied to memory of our own.
 * Shape      struct net_packet: one reference. `data`, `bytes`: the part that is of use; `room`: bytes
 *            behind it that may be written; `charge`: what it pins, in each limit.
 *            next: in the queue of its owner, or in the list that reclaim takes from.
 * Owner      the index belongs to whoever kept it, until give
 * Threads    one caller at a time
 * Trust      sizes are the shell's
 * Errors     NET_NONE  no record, no memory of our own, or rx_bytes_max: counted in full_packets
 * Invariants I1  charged is the sum of the charges of all packets taken and not given back, and at
 *                most rx_bytes_max.
 *            I2  a reference is in exactly one record until reclaim has handed it out.
 * Ordering   single threaded
 * Source     transport/net/net.h
 */
#ifndef EWI_TRANSPORT_NET_PACKETS_H
#define EWI_TRANSPORT_NET_PACKETS_H

#include "transport/net/arrived.h"
#include "transport/net/block.h"
#include "transport/net/pool.h"

struct net_config;

struct net_packet {
    uint8_t *data;
    void *ref;      /* NULL: `copy` is used */
    uint32_t bytes, room, charge;
    uint32_t next;
    uint32_t copy;  /* of copies, or NET_NONE */
    uint32_t users; /* tokens that point into it, and 1 for the queue that holds it */
    uint64_t owner; /* handle of the stream or endpoint, when a token is out */
};

struct net_packets {
    struct net_pool packets, copies;
    uint64_t charged, charge_max;
    uint32_t done_first, done_last; /* for reclaim */
};

struct net_packets_places {
    void *packets, *copies;
};

void ewi_net_packets_place(struct net_block *block, const struct net_config *config,
                           struct net_packets_places *places);
void ewi_net_packets_init(struct ewi_net *net, const struct net_packets_places *places);

/* Keep `bytes` bytes from `at` on, which lie in arrived->bytes. Without a reference they are copied:
 * at most NET_COPY_BYTES, the caller asks in pieces. A packet with a reference is kept once. */
uint32_t ewi_net_packet_keep(struct ewi_net *net, const struct net_arrived *arrived, uint8_t *at,
                             uint32_t bytes);
/* The memory that keeping it would pin. */
uint32_t ewi_net_packet_charge(const struct net_arrived *arrived, uint32_t bytes);
void ewi_net_packet_give(struct ewi_net *net, uint32_t index);
struct net_packet *ewi_net_packet(struct ewi_net *net, uint32_t index);
/* As ewi_net_check. */
const char *ewi_net_packets_check(struct ewi_net *net);

#endif
