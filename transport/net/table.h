/* transport/net/table.h - from the name of a connection to its index.
 *
 * Purpose    Find one of a million connections for each segment that arrives, with one miss of the
 *            cache before the connection itself. The same code serves open connections, half-open
 *            ones and those in TIME_WAIT: one table each, one hash for all.
 * Shape      entry: u64, tag (32 bits of the hash) << 32 | index; all ones: empty.
 *            home of a tag: tag * homes / 2^32, so tags and homes have the same order, and the
 *            entries are a sorted list with gaps:  home(tag) <= place < home(tag) + NET_TABLE_REACH.
 *            homes = capacity * 3 / 2: 12 bytes for each connection, and 1 KiB.
 *            The name itself stays in the connection, where its headers are made from it.
 * Owner      the caller owns the memory, and the tuples while they are in the table
 * Threads    one caller at a time; nothing blocks or allocates
 * Trust      tuples are hostile. Without the key nobody can aim at a bucket. Somebody who had it
 *            would be refused (crowded), not slow us down: a lookup reads at most NET_TABLE_REACH
 *            entries and an insert moves at most NET_TABLE_MOVES.
 * Errors     EW_EINUSE  the tuple is there.
 *            EW_EFULL   as many as the capacity, or crowded: counted apart.
 * Invariants I1  entries are in the order of their tags, and from home to place all are in use; so
 *                a lookup ends at the first larger tag or gap.
 *            I2  removal closes the gap: there are no marks of the dead, and the table is the same
 *                (but for the order of equal tags) as if the removed one had never been there.
 * Ordering   single threaded
 * Source     Celis: "Robin Hood hashing" (1986); Amble, Knuth: "Ordered hash tables" (1974)
 */
#ifndef EWI_TRANSPORT_NET_TABLE_H
#define EWI_TRANSPORT_NET_TABLE_H

#include "transport/net/rows.h"
#include "transport/net/tuple.h"

enum { NET_TABLE_REACH = 128, NET_TABLE_MOVES = 2048 };

struct net_table {
    uint64_t *entry;        /* homes + NET_TABLE_REACH + 1, the last one always empty */
    struct net_rows tuples; /* of the objects that indices name */
    uint32_t capacity;
    uint32_t homes;
    uint32_t used, used_max;
    uint64_t refused_full, refused_crowded;
};

/* 0: out of range. capacity 1 .. NET_ROWS_MAX */
size_t ewi_net_table_bytes(uint32_t capacity);
/* memory: ewi_net_table_bytes() of it, aligned to NET_ALIGN; tuples: as in wheel.h. */
void ewi_net_table_init(struct net_table *table, void *memory, uint32_t capacity,
                        struct net_rows tuples);

/* hash is ewi_net_tuple_hash of the tuple; the table uses its upper half. NET_NONE: not there. */
uint32_t ewi_net_table_find(const struct net_table *table, uint64_t hash,
                            const struct net_tuple *tuple);
/* The tuple of object `index` must not change while it is in the table. */
int ewi_net_table_insert(struct net_table *table, uint64_t hash, uint32_t index);
/* false: it is not there. */
bool ewi_net_table_remove(struct net_table *table, uint64_t hash, uint32_t index);

static inline uint32_t ewi_net_table_home(const struct net_table *table, uint32_t tag)
{
    return (uint32_t)((uint64_t)tag * table->homes >> 32);
}

#endif
