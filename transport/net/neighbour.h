/* transport/net/neighbour.h - the hardware addresses of those on the link, and how sure we are.
 *
 * Purpose    One cache for ARP and NDP with the states of RFC 4861, as a value: it sends nothing, its
 *            caller does what due() and use() say.
 * Shape      INCOMPLETE  asked everybody, no answer yet; slots wait in its queue
 *            REACHABLE   it answered, or TCP heard from behind it, within reachable_ns
 *            STALE       has an address; nobody knows whether it is still there
 *            DELAY       used since: 5 s for TCP to hear from it
 *            PROBE       asked itself, once a second; three times in vain and it is forgotten
 *            FAILED      nobody answered three requests; not asked again for a second
 *            A static entry is always good, and no message changes it.
 *            Time passes only where it matters: REACHABLE, STALE and FAILED have no timer and are
 *            looked at when they are used, so idle neighbours wake nobody.
 *            Lists, oldest use last: `sure` (has an address, and we have sent to it), `guests` (told us
 *            its address in a request, we have not sent to it), `unknown` (INCOMPLETE, FAILED), `dead`
 *            (pushed out, but connections are parked on it that have to be told: it cannot be found
 *            any more, and its index stays valid until bury()).
 * Owner      the caller owns the memory; waiting slots and parked connections are the caller's too
 * Threads    one caller at a time
 * Trust      names and hardware addresses come from the network
 * Errors     NET_NONE  make: no room for that kind of entry
 * Invariants I1  guests are at most a quarter of the table and only ever push out guests.
 *            I2  unknown ones are at most half of the table; at that limit they push out only each
 *                other, those with parked connections last (among the sixteen oldest). So whatever
 *                addresses others make us send to, entries in use stay as long as they fit into the
 *                other half.
 *            I3  a static entry is never pushed out.
 *            I4  an entry that is not static is in exactly one list; a state is in one of `unknown`, or
 *                in one of `sure` and `guests`.
 *            I5  live entries are at most count_max, dead ones at most a quarter of that and one.
 * Ordering   single threaded
 * Source     RFC 4861 sections 7.2, 7.3, 10, appendix C; RFC 1122 sections 2.3.2.1, 2.3.2.2; RFC 6583
 *            section 7.1 (the unknown must not crowd out the known)
 */
#ifndef EWI_TRANSPORT_NET_NEIGHBOUR_H
#define EWI_TRANSPORT_NET_NEIGHBOUR_H

#include "transport/net/random.h"
#include "transport/net/table.h"
#include "transport/net/pool.h"
#include "transport/net/wheel.h"

enum { NET_NEIGHBOURS_MAX = 1 << 20 };

enum net_neighbour_state {
    NET_NEIGHBOUR_INCOMPLETE,
    NET_NEIGHBOUR_REACHABLE,
    NET_NEIGHBOUR_STALE,
    NET_NEIGHBOUR_DELAY,
    NET_NEIGHBOUR_PROBE,
    NET_NEIGHBOUR_FAILED,
    NET_NEIGHBOUR_STATES
};

enum net_neighbour_list {
    NET_LIST_SURE,
    NET_LIST_GUESTS,
    NET_LIST_UNKNOWN,
    NET_LIST_DEAD,
    NET_LISTS,
    NET_LIST_STATIC
};

struct net_neighbour {
    uint64_t until;        /* REACHABLE, FAILED: how long */
    uint64_t reachable_ns; /* how long it is REACHABLE after an answer */
    uint64_t moved;        /* when it went to the front of its list */
    uint8_t mac[6];
    uint8_t state, list;
    uint8_t asked;         /* requests since the state began */
    uint32_t parked;       /* connections that wait: TCP's */
    uint32_t newer, older; /* in its list */
    uint32_t first, last, waiting; /* slots */
    struct net_timer timer;
    struct net_tuple name; /* remote, family; local_port: the port */
};

struct net_neighbour_list_ends {
    uint32_t newest, oldest, count;
};

struct net_neighbours {
    struct net_pool pool;
    struct net_table table;
    struct net_wheel wheel;
    struct net_neighbour_list_ends list[NET_LISTS];
    struct net_random *random;
    uint32_t count_max; /* of live entries */
    uint8_t key[16];
};

size_t ewi_net_neighbours_bytes(uint32_t count_max);
/* memory: aligned to NET_ALIGN. random is kept, for the time that a neighbour counts as reachable. */
void ewi_net_neighbours_init(struct net_neighbours *neighbours, void *memory, uint32_t count_max,
                             const uint8_t seed[32], struct net_random *random, uint64_t now);

static inline struct net_neighbour *ewi_net_neighbour_at(const struct net_neighbours *neighbours,
                                                         uint32_t index)
{
    return ewi_net_pool_at(&neighbours->pool, index);
}

uint32_t ewi_net_neighbours_find(const struct net_neighbours *neighbours, uint16_t port,
                                 uint8_t family, const uint8_t ip[16]);

/* Who has to go (retire) before make() for that list can succeed. NET_NONE: nobody. False: there can
 * be no such entry now. */
bool ewi_net_neighbours_victim(const struct net_neighbours *neighbours, enum net_neighbour_list list,
                               uint32_t *victim);
/* UNKNOWN: INCOMPLETE, with a request to send. GUESTS: STALE. STATIC: REACHABLE. mac NULL: UNKNOWN. */
uint32_t ewi_net_neighbours_make(struct net_neighbours *neighbours, enum net_neighbour_list list,
                                 const struct net_tuple *name, const uint8_t *mac, uint64_t now);
/* Without slots. It is not found any more; with parked connections it is dead, else forgotten. */
void ewi_net_neighbours_retire(struct net_neighbours *neighbours, uint32_t index);
/* The dead one that waits longest, or NET_NONE; and an end of it, when its connections were told. */
static inline uint32_t ewi_net_neighbours_dead(const struct net_neighbours *neighbours)
{
    return neighbours->list[NET_LIST_DEAD].oldest;
}
void ewi_net_neighbours_bury(struct net_neighbours *neighbours, uint32_t index);
/* For configuration: from now on it is static. */
void ewi_net_neighbour_fix(struct net_neighbours *neighbours, uint32_t index, const uint8_t mac[6]);

/* ---- sending to it ---- */

static inline bool ewi_net_neighbour_is_dead(const struct net_neighbour *neighbour)
{
    return neighbour->list == NET_LIST_DEAD;
}

static inline bool ewi_net_neighbour_is_known(const struct net_neighbour *neighbour)
{
    return neighbour->state != NET_NEIGHBOUR_INCOMPLETE && neighbour->state != NET_NEIGHBOUR_FAILED;
}

enum { NET_NEIGHBOUR_MOVE_NS = 1000000000 }; /* it goes to the front of its list at most this often */

/* Nothing to do or to write down before a packet goes there: the common case, for the hot path. */
static inline bool ewi_net_neighbour_is_fresh(const struct net_neighbour *neighbour, uint64_t now)
{
    if (neighbour->list == NET_LIST_STATIC)
        return true;
    return neighbour->state == NET_NEIGHBOUR_REACHABLE && now < neighbour->until &&
           neighbour->list == NET_LIST_SURE && now - neighbour->moved < NET_NEIGHBOUR_MOVE_NS;
}

enum net_neighbour_action {
    NET_DO_NOTHING,
    NET_DO_ASK_ALL, /* a request to everybody */
    NET_DO_ASK_IT,  /* to its own hardware address */
    NET_DO_GIVE_UP, /* it is FAILED now: tell those who wait */
    NET_DO_FORGET,  /* it does not answer any more: retire() it */
};

/* A packet is about to go there. ASK_ALL: it was FAILED for long enough, and is INCOMPLETE again. */
enum net_neighbour_action ewi_net_neighbour_use(struct net_neighbours *neighbours, uint32_t index,
                                                uint64_t now);
/* TCP heard from behind it: RFC 4861 section 7.3.1. */
void ewi_net_neighbour_confirm(struct net_neighbours *neighbours, uint32_t index, uint64_t now);

/* ---- timers ---- */

/* At most `room` that are due; call again while next() <= now, even after 0. */
static inline uint32_t ewi_net_neighbours_due(struct net_neighbours *neighbours, uint64_t now,
                                              uint32_t *due, uint32_t room)
{
    return ewi_net_wheel_advance(&neighbours->wheel, now, due, room);
}

enum net_neighbour_action ewi_net_neighbour_step(struct net_neighbours *neighbours, uint32_t index,
                                                 uint64_t now);
/* The request that a step or make() asked for could not be sent: again soon, it does not count. */
void ewi_net_neighbour_again(struct net_neighbours *neighbours, uint32_t index, uint64_t now);

static inline uint64_t ewi_net_neighbours_next(const struct net_neighbours *neighbours)
{
    return ewi_net_wheel_next(&neighbours->wheel);
}

/* ---- hearing from it ---- */

struct net_heard {
    const uint8_t *mac; /* NULL: the message had none (NDP: a sender without the option) */
    bool is_answer;     /* to a request of ours: it is reachable */
    bool overrides;     /* may change an address that is known */
};

/* RFC 4861 section 7.2.5 and appendix C. True: what waits can go now. */
bool ewi_net_neighbour_hear(struct net_neighbours *neighbours, uint32_t index,
                            const struct net_heard *heard, uint64_t now);

/* NULL, or the first invariant that does not hold. */
const char *ewi_net_neighbours_check(const struct net_neighbours *neighbours);

#endif
