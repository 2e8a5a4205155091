#include "transport/net/link_parts.h"

/* link.h I1, and that every slot is in the list that it says. Slots that are neither waiting nor
 * leaving are in the hands of a layer above. */

static const char *check_leaving(struct ewi_net *net)
{
    const struct net_slot_list *leaving = &net->link.leaving;
    uint32_t count = 0, answers = 0, last = NET_NONE;

    for (uint32_t i = leaving->first; i != NET_NONE && count <= leaving->count; count++) {
        const struct net_slot *slot = ewi_net_slot(net, i);

        if (!ewi_net_pool_is_taken(&net->link.slots, i) || slot->port >= net->link.ports)
            return "slot: leaving, but free or by no port";
        answers += slot->kind == NET_SLOT_ANSWER;
        last = i;
        i = slot->next;
    }
    if (count != leaving->count || last != leaving->last)
        return "slot: the list of those that leave is broken";
    return answers == net->link.answers ? NULL : "slot: answers are miscounted";
}

static uint32_t waiting_for(struct ewi_net *net, const struct net_neighbour *neighbour)
{
    uint32_t count = 0, last = NET_NONE;

    for (uint32_t i = neighbour->first; i != NET_NONE && count <= neighbour->waiting; count++) {
        if (!ewi_net_pool_is_taken(&net->link.slots, i))
            return NET_NONE;
        last = i;
        i = ewi_net_slot(net, i)->next;
    }
    return last == neighbour->last ? count : NET_NONE;
}

static const char *check_waiting(struct ewi_net *net)
{
    const struct net_neighbours *neighbours = &net->link.neighbours;
    uint32_t all = 0;

    for (uint32_t i = 0; i < neighbours->pool.fresh; i++) {
        const struct net_neighbour *neighbour = ewi_net_neighbour_at(neighbours, i);

        if (!ewi_net_pool_is_taken(&neighbours->pool, i))
            continue;
        if (waiting_for(net, neighbour) != neighbour->waiting)
            return "slot: a neighbour's queue is broken";
        if (neighbour->waiting > NET_NEIGHBOUR_QUEUE)
            return "slot: too many wait for one neighbour";
        all += neighbour->waiting;
    }
    return all == net->link.waiting ? NULL : "slot: those that wait are miscounted";
}

const char *ewi_net_link_check(struct ewi_net *net)
{
    const struct net_links *link = &net->link;
    const char *broken = ewi_net_neighbours_check(&link->neighbours);

    if (broken == NULL)
        broken = check_leaving(net);
    if (broken == NULL)
        broken = check_waiting(net);
    if (broken == NULL && link->waiting > link->slots.slots - link->slots.slots / 4)
        broken = "slot: too many wait for neighbours";
    if (broken == NULL && link->answers > link->slots.slots / 8)
        broken = "slot: too many answers";
    if (broken == NULL && link->slots.used < link->leaving.count + link->waiting)
        broken = "slot: one is in two lists";
    return broken;
}
