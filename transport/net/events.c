#include "transport/net/events.h"

#include <string.h>

static const uint32_t queued = 1u << NET_EVENT_BITS;

size_t ewi_net_events_bytes(uint32_t objects)
{
    if (objects == 0 || objects > NET_ROWS_MAX)
        return 0;
    return 2 * objects * sizeof(uint32_t);
}

void ewi_net_events_init(struct net_events *events, void *memory, uint32_t objects)
{
    EWI_ASSERT(ewi_net_events_bytes(objects) != 0);
    EWI_ASSERT(((uintptr_t)memory & (NET_ALIGN - 1)) == 0);
    *events = (struct net_events){.bits = memory, .objects = objects};
    events->queue = events->bits + objects;
    memset(events->bits, 0, objects * sizeof(uint32_t));
}

static void enqueue(struct net_events *events, uint32_t index)
{
    uint32_t place = events->first + events->places;

    EWI_ASSERT(events->places < events->objects); /* I1 */
    if (place >= events->objects)
        place -= events->objects;
    events->queue[place] = index;
    events->places += 1;
}

static uint32_t dequeue(struct net_events *events)
{
    uint32_t index = events->queue[events->first];

    events->first += 1;
    if (events->first == events->objects)
        events->first = 0;
    events->places -= 1;
    return index;
}

void ewi_net_events_raise(struct net_events *events, uint32_t index, uint32_t bits)
{
    uint32_t had;

    EWI_ASSERT(index < events->objects && (bits & queued) == 0);
    if (bits == 0)
        return;
    had = events->bits[index];
    events->bits[index] = had | bits | queued;
    if ((had & queued) == 0)
        enqueue(events, index);
    if ((had & ~queued) == 0)
        events->pending += 1;
}

void ewi_net_events_clear(struct net_events *events, uint32_t index, uint32_t bits)
{
    uint32_t had;

    EWI_ASSERT(index < events->objects);
    had = events->bits[index] & ~queued;
    events->bits[index] &= ~bits | queued;
    if (had != 0 && (had & ~bits) == 0)
        events->pending -= 1;
}

uint32_t ewi_net_events_of(const struct net_events *events, uint32_t index)
{
    EWI_ASSERT(index < events->objects);
    return events->bits[index] & ~queued;
}

uint32_t ewi_net_events_take(struct net_events *events, struct net_event *out, uint32_t count)
{
    uint32_t found = 0;

    while (found < count && events->pending > 0) {
        uint32_t index = dequeue(events);
        uint32_t bits = events->bits[index] & ~queued;

        events->bits[index] = 0;
        if (bits == 0)
            continue; /* was cleared */
        out[found++] = (struct net_event){.index = index, .bits = bits};
        events->pending -= 1;
    }
    return found;
}
