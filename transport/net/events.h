/* transport/net/events.h - which objects have news, oldest first.
 *
 * Purpose    What happened to a connection is told once, however often it happened, and a slow
 *            reader loses nothing: events are bits that gather until they are taken.
 * Shape      bits    for each object, bit 31: it has a place in the queue
 *            queue   ring of indices, one place for each object
 *            8 bytes for each object, apart from the objects, so clearing one does no harm here.
 * Owner      the caller owns the memory
 * Threads    one caller at a time; nothing blocks or allocates
 * Trust      indices and bits are our own
 * Errors     none: there is a place for every object
 * Invariants I1  an object has at most one place, and has one while it has bits.
 *            I2  objects are taken in the order in which they got their places; one that is
 *                cleared keeps its place, and its next life takes it over.
 * Ordering   single threaded
 * Source     transport/stack.h (poll)
 */
#ifndef EWI_TRANSPORT_NET_EVENTS_H
#define EWI_TRANSPORT_NET_EVENTS_H

#include "transport/net/rows.h"

struct net_event {
    uint32_t index;
    uint32_t bits;
};

struct net_events {
    uint32_t *bits;
    uint32_t *queue;
    uint32_t objects;
    uint32_t first, places; /* of the queue: the oldest, how many are in use */
    uint32_t pending;       /* objects that have bits */
};

enum { NET_EVENT_BITS = 31 }; /* bits 0 .. 30 are the caller's */

/* 0: out of range. objects 1 .. NET_ROWS_MAX */
size_t ewi_net_events_bytes(uint32_t objects);
void ewi_net_events_init(struct net_events *events, void *memory, uint32_t objects);

void ewi_net_events_raise(struct net_events *events, uint32_t index, uint32_t bits);
/* Forget what an object has: its life is over, or its owner looked by other means. */
void ewi_net_events_clear(struct net_events *events, uint32_t index, uint32_t bits);
uint32_t ewi_net_events_of(const struct net_events *events, uint32_t index);
/* At most count objects with all their bits, which are cleared. Less than count: there is no more. */
uint32_t ewi_net_events_take(struct net_events *events, struct net_event *out, uint32_t count);

#endif
