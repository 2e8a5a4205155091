#include "transport/net/path.h"

#include <string.h>

void ewi_net_paths_init(struct net_paths *paths, void *pool, void *table, uint32_t capacity,
                        const uint8_t key[16])
{
    struct net_rows names;

    ewi_net_pool_init(&paths->pool, pool, capacity, sizeof(struct net_path));
    names = paths->pool.objects;
    names.base += offsetof(struct net_path, to);
    ewi_net_table_init(&paths->table, table, capacity, names);
    memcpy(paths->key, key, sizeof(paths->key));
    paths->oldest = paths->youngest = NET_NONE;
}

static struct net_path *path_at(const struct net_paths *paths, uint32_t index)
{
    return ewi_net_pool_at(&paths->pool, index);
}

static struct net_tuple destination_of(const struct net_tuple *tuple)
{
    struct net_tuple to = {.family = tuple->family, .scope = tuple->scope};

    memcpy(to.remote, tuple->remote, sizeof(to.remote));
    return to;
}

static uint32_t find(const struct net_paths *paths, const struct net_tuple *to)
{
    return ewi_net_table_find(&paths->table, ewi_net_tuple_hash(paths->key, to), to);
}

static bool is_old(const struct net_path *path, uint64_t now)
{
    return now - path->learned >= NET_PATH_NS;
}

uint16_t ewi_net_paths_find(const struct net_paths *paths, const struct net_tuple *tuple,
                            uint64_t now)
{
    struct net_tuple to;
    uint32_t index;

    if (paths->table.used == 0) /* as nearly always */
        return UINT16_MAX;
    to = destination_of(tuple);
    index = find(paths, &to);
    if (index == NET_NONE || is_old(path_at(paths, index), now))
        return UINT16_MAX;
    return path_at(paths, index)->mtu;
}

/* ---- by age ---- */

static void unlink_path(struct net_paths *paths, uint32_t index)
{
    struct net_path *path = path_at(paths, index);

    if (path->older == NET_NONE)
        paths->oldest = path->younger;
    else
        path_at(paths, path->older)->younger = path->younger;
    if (path->younger == NET_NONE)
        paths->youngest = path->older;
    else
        path_at(paths, path->younger)->older = path->older;
}

static void link_youngest(struct net_paths *paths, uint32_t index)
{
    struct net_path *path = path_at(paths, index);

    path->older = paths->youngest;
    path->younger = NET_NONE;
    if (paths->youngest == NET_NONE)
        paths->oldest = index;
    else
        path_at(paths, paths->youngest)->younger = index;
    paths->youngest = index;
}

static void forget(struct net_paths *paths, uint32_t index)
{
    struct net_path *path = path_at(paths, index);

    ewi_net_table_remove(&paths->table, ewi_net_tuple_hash(paths->key, &path->to), index);
    unlink_path(paths, index);
    ewi_net_pool_give(&paths->pool, index);
}

/* NET_NONE: the table is crowded around this hash, which without the key nobody brings about. */
static uint32_t add(struct net_paths *paths, const struct net_tuple *to)
{
    uint32_t index = ewi_net_pool_take(&paths->pool);

    if (index == NET_NONE) {
        forget(paths, paths->oldest);
        index = ewi_net_pool_take(&paths->pool);
    }
    path_at(paths, index)->to = *to;
    if (ewi_net_table_insert(&paths->table, ewi_net_tuple_hash(paths->key, to), index) != EW_OK) {
        ewi_net_pool_give(&paths->pool, index);
        return NET_NONE;
    }
    link_youngest(paths, index);
    return index;
}

bool ewi_net_paths_learn(struct net_paths *paths, const struct net_tuple *tuple, uint16_t mtu,
                         uint64_t now)
{
    struct net_tuple to = destination_of(tuple);
    uint32_t index = find(paths, &to);
    uint16_t least = ewi_net_path_least(tuple->family);
    struct net_path *path;

    if (mtu < least)
        mtu = least;
    if (index == NET_NONE) {
        index = add(paths, &to);
        if (index == NET_NONE)
            return false;
    } else {
        path = path_at(paths, index);
        if (mtu >= path->mtu && !is_old(path, now))
            return false;
        unlink_path(paths, index);
        link_youngest(paths, index);
    }
    path = path_at(paths, index);
    path->mtu = mtu;
    path->learned = now;
    return true;
}

uint16_t ewi_net_path_plateau(uint16_t packet_bytes)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};
    size_t i = 0;

    while (i < sizeof(plateaus) / sizeof(plateaus[0]) - 1 && plateaus[i] >= packet_bytes)
        i++;
    return plateaus[i];
}
