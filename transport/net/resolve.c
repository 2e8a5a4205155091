#include <errno.h>
#include <string.h>

#include "transport/net/link_parts.h"

/* ---- connections that wait ---- */

static void tell(struct ewi_net *net, uint32_t index, bool is_ready)
{
    struct net_neighbour *neighbour = ewi_net_neighbour_at(&net->link.neighbours, index);
    uint32_t parked = neighbour->parked;

    neighbour->parked = NET_NONE;
    if (parked != NET_NONE)
        ewi_net_tcp_way_changed(net, parked, is_ready);
}

/* Only so many as there are now: what they do may push out others. */
void ewi_net_tell_dead(struct ewi_net *net)
{
    struct net_neighbours *neighbours = &net->link.neighbours;

    for (uint32_t left = neighbours->list[NET_LIST_DEAD].count; left > 0; left--) {
        uint32_t index = ewi_net_neighbours_dead(neighbours);

        tell(net, index, false);
        ewi_net_neighbours_bury(neighbours, index);
    }
}

void ewi_net_let_go(struct ewi_net *net, uint32_t index)
{
    ewi_net_slots_release(net, index);
    tell(net, index, true);
}

/* ---- entries come and go ---- */

/* A connection may be in the middle of asking for its way, so TCP is not called from here. */
static void push_out(struct ewi_net *net, uint32_t index)
{
    ewi_net_slots_drop(net, index);
    ewi_net_neighbours_retire(&net->link.neighbours, index);
}

static void forget(struct ewi_net *net, enum net_neighbour_list list, uint16_t port)
{
    struct net_neighbours *neighbours = &net->link.neighbours;
    uint32_t index = neighbours->list[list].oldest;

    while (index != NET_NONE) {
        const struct net_neighbour *neighbour = ewi_net_neighbour_at(neighbours, index);
        uint32_t newer = neighbour->newer;

        if (neighbour->name.local_port == port)
            push_out(net, index);
        index = newer;
    }
}

void ewi_net_forget_neighbours(struct ewi_net *net, uint16_t port)
{
    forget(net, NET_LIST_SURE, port);
    forget(net, NET_LIST_GUESTS, port);
    ewi_net_forget_hops(net);
}

static bool make_room(struct ewi_net *net, enum net_neighbour_list list)
{
    uint32_t victim;

    if (!ewi_net_neighbours_victim(&net->link.neighbours, list, &victim))
        return false;
    if (victim != NET_NONE)
        push_out(net, victim);
    return true;
}

static uint32_t make(struct ewi_net *net, enum net_neighbour_list list, uint16_t port,
                     uint8_t family, const uint8_t address[16], const uint8_t *mac)
{
    struct net_tuple name = {.local_port = port, .family = family};

    memcpy(name.remote, address, 16);
    if (!make_room(net, list))
        return NET_NONE;
    return ewi_net_neighbours_make(&net->link.neighbours, list, &name, mac, net->now);
}

/* ---- asking ---- */

static void ask(struct ewi_net *net, uint32_t index, bool is_to_all)
{
    const struct net_neighbour *neighbour = ewi_net_neighbour_at(&net->link.neighbours, index);
    const struct net_tuple *name = &neighbour->name;
    const uint8_t *mac = is_to_all ? NULL : neighbour->mac;
    bool asked = name->family == 4 ? ewi_net_arp_ask(net, name->local_port, name->remote, mac)
                                   : ewi_net_ndp_ask(net, name->local_port, name->remote, mac);

    if (!asked)
        ewi_net_neighbour_again(&net->link.neighbours, index, net->now);
}

uint32_t ewi_net_resolve(struct ewi_net *net, uint16_t port, uint8_t family,
                         const uint8_t address[16])
{
    uint32_t index = ewi_net_neighbours_find(&net->link.neighbours, port, family, address);

    if (index != NET_NONE)
        return index;
    if (ewi_net_link_is_local(net, family, address) ||
        ewi_net_source_at(net, port, family, address) == NULL)
        return NET_NONE; /* nobody else would answer; nobody could be answered */
    index = make(net, NET_LIST_UNKNOWN, port, family, address, NULL);
    if (index != NET_NONE)
        ask(net, index, true);
    return index;
}

void ewi_net_use(struct ewi_net *net, uint32_t index)
{
    if (ewi_net_neighbour_use(&net->link.neighbours, index, net->now) == NET_DO_ASK_ALL)
        ask(net, index, true);
}

/* ---- hearing ---- */

bool ewi_net_heard(struct ewi_net *net, uint16_t port, uint8_t family, const uint8_t address[16],
                   const struct net_heard *heard, bool is_guest)
{
    uint32_t index = ewi_net_neighbours_find(&net->link.neighbours, port, family, address);

    if (index == NET_NONE) {
        if (is_guest && heard->mac != NULL)
            make(net, NET_LIST_GUESTS, port, family, address, heard->mac);
        return false;
    }
    if (ewi_net_neighbour_hear(&net->link.neighbours, index, heard, net->now))
        ewi_net_let_go(net, index);
    return true;
}

int ewi_net_fix_neighbour(struct ewi_net *net, uint16_t port, uint8_t family,
                          const uint8_t address[16], const uint8_t mac[6])
{
    uint32_t index = ewi_net_neighbours_find(&net->link.neighbours, port, family, address);

    if (index == NET_NONE) {
        index = make(net, NET_LIST_STATIC, port, family, address, mac);
        return index == NET_NONE ? -ENOSPC : 0;
    }
    ewi_net_neighbour_fix(&net->link.neighbours, index, mac);
    ewi_net_let_go(net, index);
    return 0;
}

/* ---- timers ---- */

static void do_step(struct ewi_net *net, uint32_t index)
{
    enum net_neighbour_action action =
        ewi_net_neighbour_step(&net->link.neighbours, index, net->now);

    if (action == NET_DO_ASK_ALL || action == NET_DO_ASK_IT)
        ask(net, index, action == NET_DO_ASK_ALL);
    if (action == NET_DO_GIVE_UP) {
        ewi_net_slots_drop(net, index);
        tell(net, index, false);
    }
    if (action == NET_DO_FORGET)
        push_out(net, index);
}

/* One at a time: what a step tells TCP may push out the next one that is due. */
void ewi_net_neighbours_tick(struct ewi_net *net)
{
    uint32_t index;

    while (ewi_net_neighbours_next(&net->link.neighbours) <= net->now)
        if (ewi_net_neighbours_due(&net->link.neighbours, net->now, &index, 1) == 1)
            do_step(net, index);
}
