#include "transport/net/reassembly.h"

#include <string.h>

#include "transport/net/header.h"
#include "transport/net/wheel.h" /* NET_NEVER */
#include "transport/siphash.h"

enum {
    ECN_MASK = 3,
    ECN_CE = 3,
    SAW_NOT = 1 << 0, /* not capable */
    SAW_CE = 1 << ECN_CE,
    TINY_TCP = 20,
};

static uint32_t slots_for(uint32_t capacity) /* memory for none at all would be refused */
{
    return capacity != 0 ? capacity : 1;
}

static uint32_t buckets_for(uint32_t capacity)
{
    uint32_t buckets = 8;

    while (buckets < capacity)
        buckets *= 2;
    return buckets;
}

void ewi_net_reassembly_place(struct net_block *block, uint32_t capacity,
                              struct net_reassembly_places *places)
{
    uint32_t slots = slots_for(capacity);
    size_t pool = ewi_net_block_add(block, ewi_net_pool_bytes(slots, sizeof(struct net_reassembly)),
                                    NET_ALIGN);
    size_t table = ewi_net_block_add(block, ewi_net_table_bytes(slots), NET_ALIGN);
    size_t buckets = slots > NET_ROWS_MAX
                         ? NET_BLOCK_NONE
                         : ewi_net_block_array(block, buckets_for(slots),
                                               sizeof(struct net_reassembly_bucket), NET_ALIGN);
    size_t buffers = ewi_net_block_array(block, slots, NET_REASSEMBLY_BUFFER_BYTES, NET_ALIGN);

    places->slots = ewi_net_block_at(block, pool);
    places->table = ewi_net_block_at(block, table);
    places->buckets = ewi_net_block_at(block, buckets);
    places->buffers = ewi_net_block_at(block, buffers);
}

void ewi_net_reassembly_init(struct net_reassemblies *all, uint32_t capacity,
                             const struct net_reassembly_places *places, const uint8_t key[16])
{
    uint32_t slots = slots_for(capacity);
    struct net_rows names;

    *all = (struct net_reassemblies){
        .buffers = places->buffers,
        .bucket = places->buckets,
        .bucket_mask = buckets_for(slots) - 1,
        .capacity = capacity,
        .share = (capacity + NET_REASSEMBLY_SHARE - 1) / NET_REASSEMBLY_SHARE,
        .oldest = NET_NONE,
        .youngest = NET_NONE,
    };
    memcpy(all->key, key, sizeof(all->key));
    ewi_net_pool_init(&all->pool, places->slots, slots, sizeof(struct net_reassembly));
    names = all->pool.objects;
    names.base += offsetof(struct net_reassembly, name);
    ewi_net_table_init(&all->table, places->table, slots, names);
    for (uint32_t i = 0; i <= all->bucket_mask; i++)
        all->bucket[i] = (struct net_reassembly_bucket){.oldest = NET_NONE, .youngest = NET_NONE};
}

uint8_t *ewi_net_reassembly_payload(const struct net_reassemblies *all, uint32_t slot)
{
    return all->buffers + (size_t)slot * NET_REASSEMBLY_BUFFER_BYTES + NET_REASSEMBLY_HEADER_ROOM;
}

/* ---- the two lists ---- */

static struct net_reassembly *at_or(const struct net_reassemblies *all, uint32_t slot)
{
    return slot == NET_NONE ? NULL : ewi_net_reassembly_at(all, slot);
}

static void link_slot(struct net_reassemblies *all, uint32_t slot)
{
    struct net_reassembly *one = ewi_net_reassembly_at(all, slot);
    struct net_reassembly_bucket *bucket = &all->bucket[one->bucket];
    struct net_reassembly *older = at_or(all, all->youngest);
    struct net_reassembly *bucket_older = at_or(all, bucket->youngest);

    one->older = all->youngest;
    one->bucket_older = bucket->youngest;
    one->younger = one->bucket_younger = NET_NONE;
    *(older != NULL ? &older->younger : &all->oldest) = slot;
    *(bucket_older != NULL ? &bucket_older->bucket_younger : &bucket->oldest) = slot;
    all->youngest = bucket->youngest = slot;
    bucket->used += 1;
}

static void unlink_slot(struct net_reassemblies *all, uint32_t slot)
{
    struct net_reassembly *one = ewi_net_reassembly_at(all, slot);
    struct net_reassembly_bucket *bucket = &all->bucket[one->bucket];
    struct net_reassembly *older = at_or(all, one->older);
    struct net_reassembly *younger = at_or(all, one->younger);
    struct net_reassembly *bucket_older = at_or(all, one->bucket_older);
    struct net_reassembly *bucket_younger = at_or(all, one->bucket_younger);

    *(older != NULL ? &older->younger : &all->oldest) = one->younger;
    *(younger != NULL ? &younger->older : &all->youngest) = one->older;
    *(bucket_older != NULL ? &bucket_older->bucket_younger : &bucket->oldest) = one->bucket_younger;
    *(bucket_younger != NULL ? &bucket_younger->bucket_older : &bucket->youngest) =
        one->bucket_older;
    bucket->used -= 1;
}

static bool is_listed(const struct net_reassembly *one)
{
    return one->state == NET_REASSEMBLY_GATHERS || one->state == NET_REASSEMBLY_SPOILT;
}

/* Out of the lists and the table, so that no fragment finds it any more. */
static void detach(struct net_reassemblies *all, uint32_t slot)
{
    struct net_reassembly *one = ewi_net_reassembly_at(all, slot);

    ewi_net_table_remove(&all->table, ewi_net_tuple_hash(all->key, &one->name), slot);
    unlink_slot(all, slot);
}

void ewi_net_reassembly_give(struct net_reassemblies *all, uint32_t slot)
{
    struct net_reassembly *one = ewi_net_reassembly_at(all, slot);

    if (is_listed(one))
        detach(all, slot);
    if (one->state == NET_REASSEMBLY_GATHERS)
        all->late += one->pieces;
    if (one->state == NET_REASSEMBLY_HELD)
        all->held -= 1;
    ewi_net_pool_give(&all->pool, slot);
}

/* ---- a slot for a datagram ---- */

static uint32_t bucket_of(const struct net_reassemblies *all, const struct net_tuple *name)
{
    uint64_t hash = ewi_siphash(all->key, name->remote, sizeof(name->remote));

    return (uint32_t)hash & all->bucket_mask;
}

/* The oldest of this source when it has its share, or of all when there is no other. */
static uint32_t free_slot(struct net_reassemblies *all, uint32_t bucket)
{
    uint32_t slot;

    if (all->bucket[bucket].used >= all->share)
        ewi_net_reassembly_give(all, all->bucket[bucket].oldest);
    slot = ewi_net_pool_take(&all->pool);
    if (slot == NET_NONE && all->oldest != NET_NONE) {
        ewi_net_reassembly_give(all, all->oldest);
        slot = ewi_net_pool_take(&all->pool);
    }
    return slot;
}

static uint32_t begin(struct net_reassemblies *all, const struct net_fragment *piece, uint64_t hash,
                      uint64_t now)
{
    uint32_t bucket = bucket_of(all, &piece->name), slot;
    struct net_reassembly *one;

    if (all->capacity == 0)
        return NET_NONE;
    slot = free_slot(all, bucket);
    if (slot == NET_NONE) /* all are held */
        return NET_NONE;
    one = ewi_net_reassembly_at(all, slot);
    *one = (struct net_reassembly){
        .name = piece->name,
        .deadline = now + NET_REASSEMBLY_NS,
        .bucket = bucket,
        .port = piece->port,
        .state = NET_REASSEMBLY_HELD,
    };
    if (ewi_net_table_insert(&all->table, hash, slot) != EW_OK) {
        ewi_net_pool_give(&all->pool, slot);
        return NET_NONE;
    }
    one->state = NET_REASSEMBLY_GATHERS;
    link_slot(all, slot);
    return slot;
}

/* ---- the map of units ---- */

static uint64_t word_mask(uint32_t word, uint32_t from, uint32_t to)
{
    uint64_t mask = UINT64_MAX;

    if (word == from / 64)
        mask &= UINT64_MAX << from % 64;
    if (word == (to - 1) / 64)
        mask &= UINT64_MAX >> (63 - (to - 1) % 64);
    return mask;
}

/* How many of from .. to - 1 (from < to) are there? */
static uint32_t units_there(const uint64_t *map, uint32_t from, uint32_t to)
{
    uint32_t there = 0;

    for (uint32_t word = from / 64; word <= (to - 1) / 64; word++)
        there += (uint32_t)__builtin_popcountll(map[word] & word_mask(word, from, to));
    return there;
}

static void mark_units(uint64_t *map, uint32_t from, uint32_t to)
{
    for (uint32_t word = from / 64; word <= (to - 1) / 64; word++)
        map[word] |= word_mask(word, from, to);
}

static bool has_unit(const uint64_t *map, uint32_t unit)
{
    return unit < NET_REASSEMBLY_WORDS * 64 && (map[unit / 64] >> unit % 64 & 1) != 0;
}

/* ---- one fragment against the others ---- */

enum fit { FITS, REPEATS, CONTRADICTS };

static uint32_t units_to(const struct net_fragment *piece)
{
    return (piece->at + piece->bytes + NET_REASSEMBLY_UNIT - 1) / NET_REASSEMBLY_UNIT;
}

/* The very fragment that came before: RFC 8200 section 4.5 lets it be dropped alone. */
static bool is_repetition(const struct net_reassemblies *all, uint32_t slot,
                          const struct net_fragment *piece)
{
    const struct net_reassembly *one = ewi_net_reassembly_at(all, slot);
    uint32_t from = piece->at / NET_REASSEMBLY_UNIT, to = units_to(piece);
    bool is_last = one->total != 0 && to * NET_REASSEMBLY_UNIT >= one->total;

    if (is_last && piece->at + piece->bytes != one->total)
        return false;
    return piece->more == !is_last && units_there(one->got, from, to) == to - from &&
           has_unit(one->begun, from) && units_there(one->begun, from, to) == 1 &&
           (!has_unit(one->got, to) || has_unit(one->begun, to)) &&
           memcmp(ewi_net_reassembly_payload(all, slot) + piece->at, piece->payload,
                  piece->bytes) == 0;
}

static enum fit judge(const struct net_reassemblies *all, uint32_t slot,
                      const struct net_fragment *piece)
{
    const struct net_reassembly *one = ewi_net_reassembly_at(all, slot);
    uint32_t from = piece->at / NET_REASSEMBLY_UNIT, to = units_to(piece);

    if (units_there(one->got, from, to) != 0)
        return is_repetition(all, slot, piece) ? REPEATS : CONTRADICTS;
    if (one->total != 0 && piece->at + piece->bytes > one->total)
        return CONTRADICTS; /* behind the end */
    if (!piece->more && one->units_end > from)
        return CONTRADICTS; /* an end before what is there, be that another end */
    return FITS;
}

static void store(struct net_reassemblies *all, uint32_t slot, const struct net_fragment *piece)
{
    struct net_reassembly *one = ewi_net_reassembly_at(all, slot);
    uint32_t from = piece->at / NET_REASSEMBLY_UNIT, to = units_to(piece);
    uint8_t *payload = ewi_net_reassembly_payload(all, slot);

    memcpy(payload + piece->at, piece->payload, piece->bytes);
    mark_units(one->got, from, to);
    mark_units(one->begun, from, from + 1);
    one->units += to - from;
    if (one->units_end < to)
        one->units_end = to;
    one->pieces += 1;
    one->marks |= (uint8_t)(1u << (piece->traffic_class & ECN_MASK));
    one->is_multicast |= piece->is_multicast;
    if (!piece->more)
        one->total = piece->at + piece->bytes;
    if (piece->at != 0)
        return;
    memcpy(payload - piece->header_bytes, piece->header, piece->header_bytes);
    one->header_bytes = piece->header_bytes;
    one->first_bytes = piece->bytes;
    one->fragment_header = piece->fragment_header;
    one->fragment_named_at = piece->fragment_named_at;
    one->protocol = piece->protocol;
}

/* Without the fragment header of IPv6; IPv4's length counts its own header, IPv6's does not. */
static bool is_too_long(const struct net_reassembly *one)
{
    uint32_t before = one->name.family == 4 ? one->header_bytes
                                            : (uint32_t)one->fragment_header - NET_IP6_BYTES;

    return before + one->total > UINT16_MAX;
}

/* RFC 3168 section 5.3: congestion was experienced, but some fragment says that nobody would care. */
static bool has_odd_marks(const struct net_reassembly *one)
{
    return (one->marks & SAW_CE) != 0 && (one->marks & SAW_NOT) != 0;
}

static bool is_whole(const struct net_reassembly *one)
{
    return one->total != 0 && one->units * NET_REASSEMBLY_UNIT >= one->total; /* none lies behind */
}

/* Keep the slot, so that what is still on its way does not begin a new datagram. RFC 5722 section 4 */
static enum net_reassembly_code spoil(struct net_reassemblies *all, uint32_t slot)
{
    struct net_reassembly *one = ewi_net_reassembly_at(all, slot);

    if (one->state == NET_REASSEMBLY_GATHERS)
        all->late += one->pieces;
    one->state = NET_REASSEMBLY_SPOILT;
    return NET_FRAGMENT_BAD;
}

static enum net_reassembly_code gather(struct net_reassemblies *all, uint32_t slot,
                                       const struct net_fragment *piece)
{
    struct net_reassembly *one = ewi_net_reassembly_at(all, slot);
    enum fit fit = judge(all, slot, piece);

    if (fit == CONTRADICTS)
        return spoil(all, slot);
    if (fit == REPEATS)
        return NET_FRAGMENT_HELD;
    store(all, slot, piece);
    if (!is_whole(one))
        return NET_FRAGMENT_HELD;
    if (is_too_long(one) || has_odd_marks(one)) {
        one->pieces -= 1; /* this one is counted by the caller */
        return spoil(all, slot);
    }
    detach(all, slot);
    one->state = NET_REASSEMBLY_WHOLE;
    return NET_FRAGMENT_WHOLE;
}

/* RFC 1858 section 3: a first fragment in which TCP's flags are not yet said is made to pass filters. */
static bool is_odd(const struct net_fragment *piece)
{
    return piece->bytes == 0 || piece->at + piece->bytes > UINT16_MAX ||
           (piece->more && piece->bytes % NET_REASSEMBLY_UNIT != 0) ||
           (piece->at == 0 && piece->protocol == NET_TCP && piece->bytes < TINY_TCP);
}

enum net_reassembly_code ewi_net_reassembly_add(struct net_reassemblies *all,
                                                const struct net_fragment *piece, uint64_t now,
                                                uint32_t *slot)
{
    uint64_t hash;

    EWI_ASSERT(piece->header_bytes <= NET_REASSEMBLY_HEADER_ROOM && piece->at % 8 == 0);
    if (is_odd(piece))
        return NET_FRAGMENT_BAD;
    hash = ewi_net_tuple_hash(all->key, &piece->name);
    *slot = ewi_net_table_find(&all->table, hash, &piece->name);
    if (*slot == NET_NONE)
        *slot = begin(all, piece, hash, now);
    if (*slot == NET_NONE)
        return NET_FRAGMENT_FULL;
    if (ewi_net_reassembly_at(all, *slot)->state == NET_REASSEMBLY_SPOILT)
        return NET_FRAGMENT_BAD;
    return gather(all, *slot, piece);
}

/* ---- the whole one ---- */

uint8_t *ewi_net_reassembly_packet(struct net_reassemblies *all, uint32_t slot, uint32_t *bytes)
{
    const struct net_reassembly *one = ewi_net_reassembly_at(all, slot);
    uint8_t *payload = ewi_net_reassembly_payload(all, slot);
    uint8_t *header = payload - one->header_bytes, marks = (one->marks & SAW_CE) != 0 ? ECN_CE : 0;
    struct net_ip6_chain first = {.protocol = one->protocol,
                                  .fragment_header = one->fragment_header,
                                  .fragment_named_at = one->fragment_named_at};

    EWI_ASSERT(one->state == NET_REASSEMBLY_WHOLE);
    if (one->name.family == 4)
        ewi_net_ip4_make_whole(header, one->header_bytes, one->total, marks);
    else
        header = ewi_net_ip6_make_whole(header, &first, one->total, marks);
    *bytes = (uint32_t)(payload - header) + one->total;
    return header;
}

const uint8_t *ewi_net_reassembly_first(const struct net_reassemblies *all, uint32_t slot,
                                        uint32_t *bytes)
{
    const struct net_reassembly *one = ewi_net_reassembly_at(all, slot);

    *bytes = one->header_bytes + one->first_bytes;
    if (one->header_bytes == 0 || one->state != NET_REASSEMBLY_GATHERS)
        return NULL;
    return ewi_net_reassembly_payload(all, slot) - one->header_bytes;
}

/* ---- time ---- */

uint64_t ewi_net_reassembly_deadline(const struct net_reassemblies *all)
{
    return all->oldest == NET_NONE ? NET_NEVER : ewi_net_reassembly_at(all, all->oldest)->deadline;
}

uint32_t ewi_net_reassembly_expire(struct net_reassemblies *all, uint64_t now)
{
    return ewi_net_reassembly_deadline(all) <= now ? all->oldest : NET_NONE;
}

/* ---- beyond the call ---- */

static bool lies_in(const struct net_reassemblies *all, const uint8_t *at, uint32_t *slot)
{
    uintptr_t from = (uintptr_t)all->buffers, here = (uintptr_t)at;

    if (here < from || here - from >= (size_t)all->pool.slots * NET_REASSEMBLY_BUFFER_BYTES)
        return false;
    *slot = (uint32_t)((here - from) / NET_REASSEMBLY_BUFFER_BYTES);
    return true;
}

uint32_t ewi_net_reassembly_hold(struct net_reassemblies *all, uint8_t **at, uint32_t bytes)
{
    uint32_t slot;

    if (all->held >= (all->capacity + 1) / 2 || bytes > NET_REASSEMBLY_BUFFER_BYTES)
        return NET_NONE;
    if (!lies_in(all, *at, &slot)) {
        slot = ewi_net_pool_take(&all->pool);
        if (slot == NET_NONE)
            return NET_NONE;
        *at = memcpy(all->buffers + (size_t)slot * NET_REASSEMBLY_BUFFER_BYTES, *at, bytes);
    }
    ewi_net_reassembly_at(all, slot)->state = NET_REASSEMBLY_HELD;
    all->held += 1;
    return slot;
}

/* ---- for tests ---- */

static const char *check_slot(const struct net_reassemblies *all, uint32_t slot)
{
    const struct net_reassembly *one = ewi_net_reassembly_at(all, slot);
    uint32_t units = units_there(one->got, 0, NET_REASSEMBLY_WORDS * 64);

    if (!ewi_net_pool_is_taken(&all->pool, slot) || !is_listed(one))
        return "a reassembly in a list is not gathering";
    if (ewi_net_table_find(&all->table, ewi_net_tuple_hash(all->key, &one->name), &one->name) != slot)
        return "a reassembly is not found by its name";
    if (units != one->units || units_there(one->begun, 0, NET_REASSEMBLY_WORDS * 64) > units)
        return "a reassembly's map does not add up";
    if (all->bucket[one->bucket].used > all->share)
        return "a source has more reassemblies than its share";
    return NULL;
}

const char *ewi_net_reassembly_check(const struct net_reassemblies *all)
{
    uint32_t listed = 0, gathering = 0;
    uint64_t deadline = 0;

    for (uint32_t slot = all->oldest; slot != NET_NONE;
         slot = ewi_net_reassembly_at(all, slot)->younger, listed++) {
        const char *wrong = check_slot(all, slot);

        if (wrong != NULL)
            return wrong;
        if (ewi_net_reassembly_at(all, slot)->deadline < deadline)
            return "reassemblies are not in the order of their deadlines";
        deadline = ewi_net_reassembly_at(all, slot)->deadline;
    }
    for (uint32_t i = 0; i <= all->bucket_mask; i++)
        gathering += all->bucket[i].used;
    if (listed != gathering || listed != all->table.used || listed + all->held > all->pool.used ||
        all->pool.used > all->capacity)
        return "the lists of reassemblies do not add up";
    return NULL;
}
