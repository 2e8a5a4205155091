/* transport/net/block.h - one block of memory, laid out once and sized at start.
 *
 * Purpose    All memory that the stack will ever have is one block from its caller. The same pass
 *            over the tables first counts the bytes, then hands them out, so size and layout can
 *            never disagree.
 * Shape      offsets from the start of the block, each a multiple of its alignment
 *            (1, 2, 4 .. NET_BLOCK_ALIGN_MAX); gaps only where an alignment asks for one.
 * Owner      the caller owns the memory; the block only counts
 * Threads    one caller; at start only
 * Trust      sizes come from the configuration: every sum and product is checked
 * Errors     NET_BLOCK_NONE  too large, no bytes at all, not that alignment, or the memory is too
 *                            small or badly aligned. It sticks: bytes() is 0 from then on, and only
 *                            the last step of the pass has to be looked at.
 * Invariants I1  pieces never overlap and never leave the block.
 *            I2  the pass with memory gives the offsets of the pass without.
 * Ordering   single threaded
 * Source     none
 */
#ifndef EWI_TRANSPORT_NET_BLOCK_H
#define EWI_TRANSPORT_NET_BLOCK_H

#include "transport/net/rows.h"

#define NET_BLOCK_NONE SIZE_MAX

enum { NET_BLOCK_ALIGN_MAX = 4096 };

struct net_block {
    uint8_t *memory; /* NULL: layout only */
    size_t room;     /* bytes of memory; SIZE_MAX for layout */
    size_t used;
    size_t align; /* the strictest so far: what the memory needs */
    bool failed;
};

void ewi_net_block_layout(struct net_block *block);
void ewi_net_block_fill(struct net_block *block, void *memory, size_t bytes);
/* The next piece; bytes == 0 fails, because that is how a ..._bytes() function refuses. */
size_t ewi_net_block_add(struct net_block *block, size_t bytes, size_t align);
size_t ewi_net_block_array(struct net_block *block, size_t count, size_t each, size_t align);
/* NULL: layout only, or the offset is NET_BLOCK_NONE. */
void *ewi_net_block_at(const struct net_block *block, size_t offset);
/* Of everything so far, a multiple of `align`; 0: some step failed. */
size_t ewi_net_block_bytes(const struct net_block *block);

#endif
