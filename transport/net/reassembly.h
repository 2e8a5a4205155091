/* transport/net/reassembly.h - fragments become the datagram that they were cut from.
 *
 * Purpose    Put datagrams together again, with memory that nobody can exhaust and without the tricks
 *            that fragments were used for: overlaps, holes, tiny first ones, lengths beyond the end.
 * Shape      slot    what is known about one datagram, and a map of its 8-byte units:
 *              got     the unit is there
 *              begun   a fragment begins with it, so an exact repetition can be told from an overlap
 *            buffer  header room | payload at its offset. The first fragment's header lies directly in
 *                    front of the payload, so whole datagram and quote are contiguous.
 *            Slots that gather are in two lists by age: of all, and of those with the same hash of the
 *            source, of which each has at most its share.
 *            A slot may be held: its datagram waits in the queue of a UDP endpoint.
 * Owner      the caller owns the memory; a slot is the caller's from whole or hold until give
 * Threads    one caller at a time
 * Trust      header and offset of a fragment were judged alone by transport/net/header.h; here they
 *            are judged against each other.
 * Errors     enum net_reassembly_code
 * Invariants I1  bytes of a whole datagram come from fragments that never contradicted each other:
 *                after an overlap the slot is spoilt and swallows what else arrives for it.
 *            I2  a slot gathers for at most NET_REASSEMBLY_NS after its first fragment.
 *            I3  one source (one hash of it) gathers in at most `share` slots; when it or all are in
 *                use the oldest gives way: a sender whose fragments get lost is not locked out.
 * Ordering   single threaded
 * Source     RFC 791 section 3.2; RFC 815; RFC 1858 section 3; RFC 3168 section 5.3; RFC 5722
 *            section 4; RFC 8200 section 4.5
 */
#ifndef EWI_TRANSPORT_NET_REASSEMBLY_H
#define EWI_TRANSPORT_NET_REASSEMBLY_H

#include "transport/net/block.h"
#include "transport/net/packets.h"
#include "transport/net/table.h"

enum {
    NET_REASSEMBLY_UNIT = 8,
    NET_REASSEMBLY_WORDS = 65536 / NET_REASSEMBLY_UNIT / 64,
    NET_REASSEMBLY_HEADER_ROOM = 640, /* IPv6 with all the extensions that header.h accepts: 560 */
    NET_REASSEMBLY_BUFFER_BYTES = NET_REASSEMBLY_HEADER_ROOM + 65536,
    NET_REASSEMBLY_SHARE = 4, /* a source may have one of so many slots */
};
#define NET_REASSEMBLY_NS (UINT64_C(60) * 1000000000) /* RFC 1122 section 3.3.2, RFC 8200 section 4.5 */

enum net_reassembly_code {
    NET_FRAGMENT_HELD,  /* or it was there already */
    NET_FRAGMENT_WHOLE, /* the slot is the caller's: read, then hold or give */
    NET_FRAGMENT_BAD,   /* it contradicts what is there, or itself */
    NET_FRAGMENT_FULL,  /* no slot */
};

struct net_fragment { /* one fragment */
    struct net_tuple name; /* ours is local. Ports: the identification; zero: IPv4's protocol */
    const uint8_t *header, *payload;
    uint32_t header_bytes;      /* all in front of payload, IPv6's fragment header too */
    uint32_t at, bytes;         /* of the payload, in the whole one */
    uint16_t fragment_header;   /* IPv6: where it lies */
    uint16_t fragment_named_at; /* IPv6: the field that names it */
    uint16_t port;
    uint8_t traffic_class, protocol;
    bool more, is_multicast;
};

enum net_reassembly_state {
    NET_REASSEMBLY_GATHERS,
    NET_REASSEMBLY_SPOILT,
    NET_REASSEMBLY_WHOLE,
    NET_REASSEMBLY_HELD,
};

struct net_reassembly {
    struct net_tuple name;
    uint64_t deadline;
    struct net_packet held; /* for the one who holds it */
    uint32_t older, younger;
    uint32_t bucket, bucket_older, bucket_younger;
    uint32_t total;        /* bytes of payload; 0: the last fragment is not there */
    uint32_t units, units_end; /* how many are there; behind the last one of them */
    uint32_t pieces;
    uint32_t header_bytes; /* 0: the first fragment is not there */
    uint32_t first_bytes;  /* of payload in the first fragment */
    uint16_t fragment_header, fragment_named_at, port;
    uint8_t protocol;      /* as the first fragment says */
    uint8_t state;
    uint8_t marks;         /* a bit for each ECN codepoint that was seen */
    bool is_multicast;
    uint64_t got[NET_REASSEMBLY_WORDS], begun[NET_REASSEMBLY_WORDS];
};

struct net_reassembly_bucket {
    uint32_t oldest, youngest, used;
};

struct net_reassemblies {
    struct net_pool pool;
    struct net_table table;
    uint8_t key[16];
    uint8_t *buffers;
    struct net_reassembly_bucket *bucket;
    uint32_t bucket_mask;
    uint32_t capacity, share; /* 0: nothing is put together */
    uint32_t oldest, youngest;
    uint32_t held;
    uint64_t late; /* fragments given up */
};

struct net_reassembly_places {
    void *slots, *table, *buckets, *buffers;
};

void ewi_net_reassembly_place(struct net_block *block, uint32_t capacity,
                              struct net_reassembly_places *places);
void ewi_net_reassembly_init(struct net_reassemblies *all, uint32_t capacity,
                             const struct net_reassembly_places *places, const uint8_t key[16]);

/* *slot: of WHOLE. */
enum net_reassembly_code ewi_net_reassembly_add(struct net_reassemblies *all,
                                                const struct net_fragment *piece, uint64_t now,
                                                uint32_t *slot);
/* The packet in a WHOLE slot, its header made right: *bytes of it, the header first. */
uint8_t *ewi_net_reassembly_packet(struct net_reassemblies *all, uint32_t slot, uint32_t *bytes);
/* The first fragment as it came, for a quote; NULL: it is not there. */
const uint8_t *ewi_net_reassembly_first(const struct net_reassemblies *all, uint32_t slot,
                                        uint32_t *bytes);
uint8_t *ewi_net_reassembly_payload(const struct net_reassemblies *all, uint32_t slot);
/* The oldest one that is overdue; it is the caller's and must be given. NET_NONE. */
uint32_t ewi_net_reassembly_expire(struct net_reassemblies *all, uint64_t now);
uint64_t ewi_net_reassembly_deadline(const struct net_reassemblies *all);
/* Keep it beyond the call: a WHOLE one that lies at `at` as it is, else a free slot and a copy. At most
 * half of all slots. *at: where the bytes are from now on. */
uint32_t ewi_net_reassembly_hold(struct net_reassemblies *all, uint8_t **at, uint32_t bytes);
void ewi_net_reassembly_give(struct net_reassemblies *all, uint32_t slot);
/* As ewi_net_check. */
const char *ewi_net_reassembly_check(const struct net_reassemblies *all);

static inline struct net_reassembly *ewi_net_reassembly_at(const struct net_reassemblies *all,
                                                           uint32_t slot)
{
    return ewi_net_pool_at(&all->pool, slot);
}

#endif
