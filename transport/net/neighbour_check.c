#include "transport/net/neighbour.h"

/* For tests and ewi_net_check(): every invariant that can be seen from outside. */

static bool list_fits_state(const struct net_neighbour *neighbour)
{
    switch (neighbour->list) {
    case NET_LIST_SURE:
    case NET_LIST_GUESTS:
        return ewi_net_neighbour_is_known(neighbour);
    case NET_LIST_UNKNOWN:
        return !ewi_net_neighbour_is_known(neighbour);
    case NET_LIST_DEAD:
        return neighbour->parked != NET_NONE && neighbour->waiting == 0;
    default:
        return neighbour->state == NET_NEIGHBOUR_REACHABLE;
    }
}

static bool has_timer(const struct net_neighbour *neighbour)
{
    return neighbour->state == NET_NEIGHBOUR_INCOMPLETE || neighbour->state == NET_NEIGHBOUR_DELAY ||
           neighbour->state == NET_NEIGHBOUR_PROBE;
}

static const char *check_one(const struct net_neighbours *neighbours, uint32_t index)
{
    const struct net_neighbour *neighbour = ewi_net_neighbour_at(neighbours, index);
    bool is_dead = ewi_net_neighbour_is_dead(neighbour);
    uint64_t hash = ewi_net_tuple_hash(neighbours->key, &neighbour->name);
    uint32_t found = ewi_net_table_find(&neighbours->table, hash, &neighbour->name);

    if (!list_fits_state(neighbour))
        return "neighbour: list does not fit the state";
    if ((found == index) == is_dead)
        return "neighbour: dead and found, or alive and not found";
    if (!is_dead && has_timer(neighbour) !=
                        (ewi_net_wheel_deadline(&neighbours->wheel, index) != NET_NEVER))
        return "neighbour: timer does not fit the state";
    if (neighbour->waiting > 0 && neighbour->state != NET_NEIGHBOUR_INCOMPLETE)
        return "neighbour: slots wait for one who is not being asked for";
    return NULL;
}

static uint32_t length_of(const struct net_neighbours *neighbours, enum net_neighbour_list which)
{
    uint32_t length = 0, newer = NET_NONE, at = neighbours->list[which].newest;

    while (at != NET_NONE && length <= neighbours->pool.used) {
        const struct net_neighbour *neighbour = ewi_net_neighbour_at(neighbours, at);

        if (neighbour->list != which || neighbour->newer != newer)
            return NET_NONE;
        newer = at;
        at = neighbour->older;
        length += 1;
    }
    return newer == neighbours->list[which].oldest ? length : NET_NONE;
}

static const char *check_lists(const struct net_neighbours *neighbours)
{
    const struct net_neighbour_list_ends *list = neighbours->list;

    for (int i = 0; i < NET_LISTS; i++)
        if (length_of(neighbours, (enum net_neighbour_list)i) != list[i].count)
            return "neighbour: a list is broken";
    if (list[NET_LIST_GUESTS].count > neighbours->count_max / 4)
        return "neighbour: too many guests";
    if (neighbours->count_max > 1 && list[NET_LIST_UNKNOWN].count > neighbours->count_max / 2)
        return "neighbour: too many unknown";
    if (neighbours->pool.used - list[NET_LIST_DEAD].count > neighbours->count_max)
        return "neighbour: too many alive";
    if (list[NET_LIST_DEAD].count > neighbours->count_max / 4 + 1)
        return "neighbour: too many dead";
    return NULL;
}

const char *ewi_net_neighbours_check(const struct net_neighbours *neighbours)
{
    const char *fault = check_lists(neighbours);

    for (uint32_t i = 0; fault == NULL && i < neighbours->pool.fresh; i++)
        if (ewi_net_pool_is_taken(&neighbours->pool, i))
            fault = check_one(neighbours, i);
    return fault;
}
