#include "transport/net/table.h"

#include <string.h>

static const uint64_t empty = UINT64_MAX;

static uint64_t homes_for(uint32_t capacity)
{
    return (uint64_t)capacity + (capacity + 1) / 2;
}

static uint64_t entries_for(uint32_t capacity)
{
    return homes_for(capacity) + NET_TABLE_REACH + 1;
}

size_t ewi_net_table_bytes(uint32_t capacity)
{
    if (capacity == 0 || capacity > NET_ROWS_MAX)
        return 0;
    return entries_for(capacity) * sizeof(uint64_t);
}

void ewi_net_table_init(struct net_table *table, void *memory, uint32_t capacity,
                        struct net_rows tuples)
{
    EWI_ASSERT(ewi_net_table_bytes(capacity) != 0);
    EWI_ASSERT(((uintptr_t)memory & (NET_ALIGN - 1)) == 0);
    *table = (struct net_table){
        .entry = memory,
        .tuples = tuples,
        .capacity = capacity,
        .homes = (uint32_t)homes_for(capacity),
    };
    memset(memory, 0xff, ewi_net_table_bytes(capacity));
}

static uint32_t tag_of(uint64_t entry)
{
    return (uint32_t)(entry >> 32);
}

static uint32_t home_of(const struct net_table *table, uint64_t entry)
{
    return ewi_net_table_home(table, tag_of(entry));
}

static bool has_tag(uint64_t entry, uint32_t tag)
{
    return entry != empty && tag_of(entry) == tag;
}

/* The first entry with this tag or a larger one, or the gap where it would be. A gap reads as the
 * largest tag of all. */
static uint32_t place_of(const struct net_table *table, uint32_t tag)
{
    uint32_t at = ewi_net_table_home(table, tag);

    while (tag_of(table->entry[at]) < tag)
        at += 1;
    return at;
}

static bool is_tuple(const struct net_table *table, uint64_t entry, const struct net_tuple *tuple)
{
    return ewi_net_tuple_equals(ewi_net_row(table->tuples, (uint32_t)entry), tuple);
}

uint32_t ewi_net_table_find(const struct net_table *table, uint64_t hash,
                            const struct net_tuple *tuple)
{
    uint32_t tag = (uint32_t)(hash >> 32);

    for (uint32_t at = place_of(table, tag); has_tag(table->entry[at], tag); at++)
        if (is_tuple(table, table->entry[at], tuple))
            return (uint32_t)table->entry[at];
    return NET_NONE;
}

/* Move the entries from `at` to the next gap one place up. false: one would be out of reach. */
static bool make_room(struct net_table *table, uint32_t at)
{
    uint32_t gap = at;

    while (table->entry[gap] != empty) {
        if (gap + 1 - home_of(table, table->entry[gap]) >= NET_TABLE_REACH)
            return false;
        if (gap - at == NET_TABLE_MOVES)
            return false;
        gap += 1;
    }
    memmove(&table->entry[at + 1], &table->entry[at], (gap - at) * sizeof(table->entry[0]));
    return true;
}

int ewi_net_table_insert(struct net_table *table, uint64_t hash, uint32_t index)
{
    const struct net_tuple *tuple = ewi_net_row(table->tuples, index);
    uint32_t tag = (uint32_t)(hash >> 32);
    uint32_t at = place_of(table, tag);

    EWI_ASSERT(index < NET_ROWS_MAX);
    for (; has_tag(table->entry[at], tag); at++)
        if (is_tuple(table, table->entry[at], tuple))
            return EW_EINUSE;
    if (table->used == table->capacity) {
        table->refused_full += 1;
        return EW_EFULL;
    }
    if (at - ewi_net_table_home(table, tag) >= NET_TABLE_REACH || !make_room(table, at)) {
        table->refused_crowded += 1;
        return EW_EFULL;
    }
    table->entry[at] = (uint64_t)tag << 32 | index;
    table->used += 1;
    if (table->used > table->used_max)
        table->used_max = table->used;
    return EW_OK;
}

/* I2: entries that are not at home come one place nearer, up to the first that is. */
static void close_gap(struct net_table *table, uint32_t gap)
{
    uint32_t end = gap + 1;

    while (table->entry[end] != empty && home_of(table, table->entry[end]) != end)
        end += 1;
    memmove(&table->entry[gap], &table->entry[gap + 1],
            (end - gap - 1) * sizeof(table->entry[0]));
    table->entry[end - 1] = empty;
}

bool ewi_net_table_remove(struct net_table *table, uint64_t hash, uint32_t index)
{
    uint32_t tag = (uint32_t)(hash >> 32);

    for (uint32_t at = place_of(table, tag); has_tag(table->entry[at], tag); at++) {
        if ((uint32_t)table->entry[at] == index) {
            close_gap(table, at);
            table->used -= 1;
            return true;
        }
    }
    return false;
}
