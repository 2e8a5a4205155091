/* tests/c/net_pieces.h - reassembly the slow and obvious way.
 *
 * Purpose    What transport/net/reassembly.h must answer to a sequence of fragments of one datagram.
 * Shape      all fragments that were taken, as they came; every new one is compared with each of them.
 * Owner      the caller's struct
 * Threads    one
 * Trust      none: test code only
 * Errors     none
 * Invariants none
 * Ordering   none
 * Source     RFC 8200 section 4.5, RFC 5722 section 4
 */
#ifndef TESTS_C_NET_PIECES_H
#define TESTS_C_NET_PIECES_H

#include <stdlib.h>

#include "transport/net/header.h"
#include "transport/net/reassembly.h"

enum { PIECES_MAX = 512 };

struct slow_piece {
    uint32_t at, bytes;
    bool more;
    uint8_t ecn;
    uint32_t header_before; /* what counts towards 65535 beside the payload, of the first */
};

struct slow {
    struct slow_piece piece[PIECES_MAX];
    uint32_t count;
    bool is_spoilt;
    uint8_t payload[65536];
};

static inline uint32_t slow_round(uint32_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

static inline bool slow_overlaps(const struct slow_piece *a, const struct slow_piece *b)
{
    return a->at < slow_round(b->at + b->bytes) && b->at < slow_round(a->at + a->bytes);
}

static inline bool slow_repeats(const struct slow *slow, const struct slow_piece *have,
                                const struct slow_piece *new, const uint8_t *payload)
{
    return have->at == new->at && have->bytes == new->bytes && have->more == new->more &&
           memcmp(slow->payload + new->at, payload, new->bytes) == 0;
}

/* Behind the end, two ends, or an end before what is there. */
static inline bool slow_ends_badly(const struct slow_piece *have, const struct slow_piece *new)
{
    if (!have->more && (!new->more || new->at + new->bytes > have->at + have->bytes))
        return true;
    return !new->more && have->at + have->bytes > new->at + new->bytes;
}

static inline bool slow_is_odd(const struct net_fragment *piece)
{
    return piece->bytes == 0 || piece->at + piece->bytes > 65535 ||
           (piece->more && piece->bytes % 8 != 0) ||
           (piece->at == 0 && piece->protocol == NET_TCP && piece->bytes < 20);
}

/* Is every byte there? total: where the last one ends. */
static inline bool slow_is_whole(const struct slow *slow, uint32_t *total)
{
    uint32_t bytes = 0;

    *total = 0;
    for (uint32_t i = 0; i < slow->count; i++) {
        bytes += slow->piece[i].bytes;
        if (!slow->piece[i].more)
            *total = slow->piece[i].at + slow->piece[i].bytes;
    }
    return *total != 0 && bytes == *total;
}

static inline bool slow_is_refused(const struct slow *slow, uint32_t total)
{
    bool not_capable = false, congested = false;
    uint32_t before = 0;

    for (uint32_t i = 0; i < slow->count; i++) {
        not_capable |= slow->piece[i].ecn == 0;
        congested |= slow->piece[i].ecn == 3;
        if (slow->piece[i].at == 0)
            before = slow->piece[i].header_before;
    }
    return (not_capable && congested) || before + total > 65535;
}

static inline enum net_reassembly_code slow_spoil(struct slow *slow)
{
    slow->is_spoilt = true;
    return NET_FRAGMENT_BAD;
}

/* After WHOLE the payload is slow->payload, *total long, and the next fragment begins anew: the caller
 * clears slow->count. */
static inline enum net_reassembly_code slow_add(struct slow *slow, const struct net_fragment *piece,
                                                uint32_t *total)
{
    struct slow_piece new = {
        .at = piece->at,
        .bytes = piece->bytes,
        .more = piece->more,
        .ecn = piece->traffic_class & 3,
        .header_before = piece->name.family == 4 ? piece->header_bytes : piece->header_bytes - 48,
    };

    if (slow_is_odd(piece) || slow->is_spoilt)
        return NET_FRAGMENT_BAD;
    for (uint32_t i = 0; i < slow->count; i++)
        if (slow_overlaps(&slow->piece[i], &new))
            return slow_repeats(slow, &slow->piece[i], &new, piece->payload) ? NET_FRAGMENT_HELD
                                                                             : slow_spoil(slow);
    for (uint32_t i = 0; i < slow->count; i++)
        if (slow_ends_badly(&slow->piece[i], &new))
            return slow_spoil(slow);
    if (slow->count == PIECES_MAX)
        abort();
    slow->piece[slow->count++] = new;
    memcpy(slow->payload + piece->at, piece->payload, piece->bytes);
    if (!slow_is_whole(slow, total))
        return NET_FRAGMENT_HELD;
    return slow_is_refused(slow, *total) ? slow_spoil(slow) : NET_FRAGMENT_WHOLE;
}

#endif
