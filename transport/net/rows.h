/* transport/net/rows.h - equal objects in a row, named by a 32-bit index.
 *
 * Purpose    Let wheel and table keep their part of a connection inside the connection, without
 *            knowing it and without pointers: 4 bytes instead of 8, and a fork or a copy of the
 *            block of memory stays valid.
 * Shape      row i is at base + i * stride. NET_NONE: no index; never a valid one.
 * Owner      the caller owns the memory; a struct net_rows is a view and may be copied
 * Threads    any; plain memory
 * Trust      an index comes from our own tables, never from the network
 * Errors     none
 * Invariants I1  index < NET_ROWS_MAX, so that sizes of tables never overflow.
 * Ordering   single threaded
 * Source     none
 */
#ifndef EWI_TRANSPORT_NET_ROWS_H
#define EWI_TRANSPORT_NET_ROWS_H

#include <assert.h>

#include "shm/base.h"

#define NET_NONE UINT32_MAX

enum {
    NET_ROWS_MAX = 1 << 24,
    NET_ROW_BYTES_MAX = 1 << 16,
    NET_ALIGN = 64, /* of every table that a module is given memory for */
};

struct net_rows {
    uint8_t *base;   /* where this member lies in object 0 */
    uint32_t stride; /* bytes from one object to the next */
};

static inline void *ewi_net_row(struct net_rows rows, uint32_t index)
{
    return rows.base + (size_t)index * rows.stride;
}

#endif
