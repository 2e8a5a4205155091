/* transport/net/addresses.h - our addresses, and whether one is free on its link.
 *
 * Purpose    Say for each packet in a few ns whose address it carries, and decide by the clock when an
 *            address that is looked for elsewhere on the link (duplicate detection) may be used.
 * Shape      address  one of ours, of one port, with its prefix and its state
 *            name     what whose() finds: the address itself, the directed broadcast of its network
 *                     (IPv4), its solicited-node group (IPv6)
 *            index    open addressing over the names, at most half full
 *            Duplicate detection is a number of steps with a time for each; due() says which message
 *            the next one is. With `at` in the future nothing is due.
 *              IPv4  0 .. 1 s, probe, 1 .. 2 s, probe, 1 .. 2 s, probe, 2 s, use and announce, 2 s,
 *                    announce; afterwards a conflict is answered by an announcement, one in 10 s
 *              IPv6  0 .. 1 s, solicitation, 1 s, use and announce, 2 s, announce
 *            One that is not looked for, and one whose link came back, begins with the announcements.
 * Owner      the caller owns the memory
 * Threads    one caller at a time
 * Trust      addresses are configuration. whose() is asked about hostile ones: they cannot make a
 *            search longer than our own names do, because only those are in the index.
 * Errors     -EEXIST  the port has this address, or it is the broadcast of a network there.
 *            -ENOSPC  as many as there may be.
 * Invariants I1  whose() == a walk over all names.
 *            I2  one that is looked for becomes GOOD only after its last probe, TWICE only while
 *                TENTATIVE; neither is left again.
 *            I3  next is at most the earliest time at which something is due.
 * Ordering   single threaded
 * Source     RFC 5227 sections 1.1 (times), 2.1.1, 2.3, 2.4; RFC 4862 section 5.4; RFC 4861 sections
 *            7.2.6, 10; RFC 4291 section 2.7.1 (groups); RFC 1122 section 3.2.1.3 (broadcasts)
 */
#ifndef EWI_TRANSPORT_NET_ADDRESSES_H
#define EWI_TRANSPORT_NET_ADDRESSES_H

#include "transport/net/random.h"
#include "transport/net/rows.h"

enum { NET_ADDRESSES_MAX = 1 << 16 };

struct net_address {
    uint64_t at;       /* of the next step; NET_NEVER: none */
    uint64_t defended; /* when a conflict may be answered again */
    uint64_t quiet_until; /* it is not announced again before */
    uint8_t ip[16];
    uint16_t port;
    uint8_t family, bits;
    uint8_t state; /* enum net_address_state */
    uint8_t step;  /* messages that were due: of duplicate detection, then announcements */
    uint8_t hurry; /* the waits of the standards are divided by so much; 0: by 1 */
    uint8_t other[6]; /* who had or wanted it, too, the last time; zeros: nobody */
};

enum net_name_kind { NET_NAME_OWN, NET_NAME_GROUP, NET_NAME_BROADCAST };

struct net_name {
    uint8_t ip[16];
    uint32_t address; /* whose name it is */
    uint16_t port;
    uint8_t family, kind;
};

struct net_addresses {
    struct net_address *address;
    struct net_name *name;
    uint32_t *index; /* NET_NONE: empty */
    uint32_t count, count_max, names, mask;
    uint64_t next;
};

enum net_address_message { NET_SAY_PROBE, NET_SAY_ANNOUNCE };

/* For small tables of our own, not keyed: the upper half of the last product depends on every bit. */
static inline uint32_t ewi_net_address_mix(const uint8_t ip[16], uint32_t more)
{
    uint64_t a, b, mixed;

    memcpy(&a, ip, sizeof(a));
    memcpy(&b, ip + sizeof(a), sizeof(b));
    mixed = a * UINT64_C(0x9e3779b97f4a7c15) + b + more; /* 2^64 / golden ratio */
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mixed >> 32);
}

/* 0: out of range. */
size_t ewi_net_addresses_bytes(uint32_t count_max);
/* memory: aligned to NET_ALIGN. */
void ewi_net_addresses_init(struct net_addresses *addresses, void *memory, uint32_t count_max);
/* is_sure: GOOD at once, and nothing is sent for it unless announce() says so. Else random draws the first
 * delay. */
int ewi_net_addresses_add(struct net_addresses *addresses, const struct net_address *new, bool is_sure,
                          struct net_random *random, uint64_t now);
/* Our address at this port, or NET_NONE. */
uint32_t ewi_net_addresses_find(const struct net_addresses *addresses, uint16_t port, uint8_t family,
                                const uint8_t ip[16]);
/* Any name at this port; NULL: none. */
const struct net_name *ewi_net_addresses_name(const struct net_addresses *addresses, uint16_t port,
                                              uint8_t family, const uint8_t ip[16]);
/* An own address at any port; NET_NONE: none. */
uint32_t ewi_net_addresses_find_any(const struct net_addresses *addresses, uint8_t family,
                                    const uint8_t ip[16]);

/* The next address with a step that is due, from `from` on; NET_NONE: none, and `next` is up to date
 * if from was 0. */
uint32_t ewi_net_addresses_due(struct net_addresses *addresses, uint32_t from, uint64_t now);
/* Takes that step. The message is to be sent. */
enum net_address_message ewi_net_address_step(struct net_addresses *addresses, uint32_t index,
                                              struct net_random *random, uint64_t now);
/* If it is GOOD: announcements from then on, but not sooner after the last one than they follow each other. */
void ewi_net_address_announce(struct net_addresses *addresses, uint32_t index, uint64_t at);
/* The message could not be sent: the same step again, soon. */
void ewi_net_address_again(struct net_addresses *addresses, uint32_t index, uint64_t now);
/* Somebody else has it, or wants it. True: defend it by an announcement. */
bool ewi_net_address_conflict(struct net_addresses *addresses, uint32_t index, uint64_t now);

#endif
