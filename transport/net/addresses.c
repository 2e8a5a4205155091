#include "transport/net/addresses.h"

#include <errno.h>
#include <string.h>

#include "transport/net/net.h"

#define MILLISECOND UINT64_C(1000000)
#define SECOND      (1000 * MILLISECOND)

enum { /* RFC 5227 section 1.1, RFC 4862 section 5.1 */
    PROBES4 = 3,
    PROBES6 = 1,
    ANNOUNCEMENTS = 2, /* RFC 5227; RFC 4861 section 10 allows three */
    ANNOUNCE_SECONDS = 2,
    DEFEND_SECONDS = 10,
    AGAIN_MILLISECONDS = 10, /* ours: after there was no slot */
};

/* ---- memory ---- */

static uint32_t homes_for(uint32_t count_max)
{
    uint32_t homes = 8;

    while (homes < 4 * count_max) /* two names each, half of it empty */
        homes *= 2;
    return homes;
}

static size_t addresses_part(uint32_t count_max)
{
    return (size_t)ewi_align_up(count_max * sizeof(struct net_address), NET_ALIGN);
}

static size_t names_part(uint32_t count_max)
{
    return (size_t)ewi_align_up(2 * count_max * sizeof(struct net_name), NET_ALIGN);
}

size_t ewi_net_addresses_bytes(uint32_t count_max)
{
    if (count_max == 0 || count_max > NET_ADDRESSES_MAX)
        return 0;
    return addresses_part(count_max) + names_part(count_max) +
           homes_for(count_max) * sizeof(uint32_t);
}

void ewi_net_addresses_init(struct net_addresses *addresses, void *memory, uint32_t count_max)
{
    uint8_t *bytes = memory;

    EWI_ASSERT(ewi_net_addresses_bytes(count_max) != 0);
    EWI_ASSERT(((uintptr_t)memory & (NET_ALIGN - 1)) == 0);
    *addresses = (struct net_addresses){
        .address = (void *)bytes,
        .name = (void *)(bytes + addresses_part(count_max)),
        .index = (void *)(bytes + addresses_part(count_max) + names_part(count_max)),
        .count_max = count_max,
        .mask = homes_for(count_max) - 1,
        .next = NET_NEVER,
    };
    memset(addresses->index, 0xff, homes_for(count_max) * sizeof(uint32_t));
}

/* ---- names ---- */

/* The port is left out for find_any(). */
static uint32_t home_of(const struct net_addresses *addresses, uint8_t family, const uint8_t ip[16])
{
    return ewi_net_address_mix(ip, family) & addresses->mask;
}

static bool is_named(const struct net_name *name, uint8_t family, const uint8_t ip[16])
{
    return name->family == family && memcmp(name->ip, ip, 16) == 0;
}

const struct net_name *ewi_net_addresses_name(const struct net_addresses *addresses, uint16_t port,
                                              uint8_t family, const uint8_t ip[16])
{
    for (uint32_t at = home_of(addresses, family, ip);; at = (at + 1) & addresses->mask) {
        const struct net_name *name;

        if (addresses->index[at] == NET_NONE)
            return NULL;
        name = &addresses->name[addresses->index[at]];
        if (name->port == port && is_named(name, family, ip))
            return name;
    }
}

uint32_t ewi_net_addresses_find(const struct net_addresses *addresses, uint16_t port, uint8_t family,
                                const uint8_t ip[16])
{
    const struct net_name *name = ewi_net_addresses_name(addresses, port, family, ip);

    return name != NULL && name->kind == NET_NAME_OWN ? name->address : NET_NONE;
}

uint32_t ewi_net_addresses_find_any(const struct net_addresses *addresses, uint8_t family,
                                    const uint8_t ip[16])
{
    for (uint32_t at = home_of(addresses, family, ip);; at = (at + 1) & addresses->mask) {
        const struct net_name *name;

        if (addresses->index[at] == NET_NONE)
            return NET_NONE;
        name = &addresses->name[addresses->index[at]];
        if (name->kind == NET_NAME_OWN && is_named(name, family, ip))
            return name->address;
    }
}

static void add_name(struct net_addresses *addresses, const struct net_name *new)
{
    uint32_t at = home_of(addresses, new->family, new->ip);

    if (ewi_net_addresses_name(addresses, new->port, new->family, new->ip) != NULL)
        return; /* the group or broadcast of two addresses */
    while (addresses->index[at] != NET_NONE)
        at = (at + 1) & addresses->mask;
    EWI_ASSERT(addresses->names < 2 * addresses->count_max);
    addresses->index[at] = addresses->names;
    addresses->name[addresses->names++] = *new;
}

static struct net_name name_of(const struct net_addresses *addresses, uint32_t index)
{
    const struct net_address *address = &addresses->address[index];
    struct net_name name = {
        .address = index,
        .port = address->port,
        .family = address->family,
        .kind = NET_NAME_OWN,
    };

    memcpy(name.ip, address->ip, 16);
    return name;
}

/* RFC 1122 section 3.2.1.3; a prefix of 31 bits has none: RFC 3021. */
static void add_broadcast(struct net_addresses *addresses, uint32_t index)
{
    struct net_name name = name_of(addresses, index);
    unsigned bits = addresses->address[index].bits;

    if (bits > 30)
        return;
    name.kind = NET_NAME_BROADCAST;
    for (unsigned i = bits; i < 32; i++)
        name.ip[i / 8] |= (uint8_t)(0x80 >> i % 8);
    add_name(addresses, &name);
}

/* RFC 4291 section 2.7.1 */
static void add_group(struct net_addresses *addresses, uint32_t index)
{
    static const uint8_t prefix[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
    struct net_name name = name_of(addresses, index);

    name.kind = NET_NAME_GROUP;
    memcpy(name.ip, prefix, sizeof(prefix));
    add_name(addresses, &name);
}

/* A wait of the standards, or a part of it. */
static uint64_t paced(const struct net_address *address, uint64_t wait)
{
    return address->hurry == 0 ? wait : wait / address->hurry;
}

static void start(struct net_addresses *addresses, struct net_address *address,
                  struct net_random *random, uint64_t now)
{
    address->state = NET_ADDRESS_TENTATIVE;
    address->at = now + paced(address, ewi_net_random_below(random, SECOND + 1));
    addresses->next = ewi_min_u64(addresses->next, address->at);
}

int ewi_net_addresses_add(struct net_addresses *addresses, const struct net_address *new, bool is_sure,
                          struct net_random *random, uint64_t now)
{
    uint32_t index = addresses->count;
    struct net_address *address;
    struct net_name name;

    if (ewi_net_addresses_name(addresses, new->port, new->family, new->ip) != NULL)
        return -EEXIST;
    if (index == addresses->count_max)
        return -ENOSPC;
    address = &addresses->address[addresses->count++];
    *address = *new;
    address->at = NET_NEVER;
    address->state = NET_ADDRESS_GOOD;
    if (!is_sure)
        start(addresses, address, random, now);
    name = name_of(addresses, index);
    add_name(addresses, &name);
    if (new->family == 4)
        add_broadcast(addresses, index);
    else
        add_group(addresses, index);
    return 0;
}

/* ---- is it free? ---- */

uint32_t ewi_net_addresses_due(struct net_addresses *addresses, uint32_t from, uint64_t now)
{
    uint64_t next = NET_NEVER;

    for (uint32_t i = from; i < addresses->count; i++) {
        if (addresses->address[i].at <= now)
            return i;
        next = ewi_min_u64(next, addresses->address[i].at);
    }
    if (from == 0)
        addresses->next = next;
    return NET_NONE;
}

static uint8_t probes_of(const struct net_address *address)
{
    return address->family == 4 ? PROBES4 : PROBES6;
}

static uint64_t wait_after_probe(const struct net_address *address, struct net_random *random)
{
    if (address->family == 6)
        return SECOND;
    return address->step + 1 < PROBES4 ? SECOND + ewi_net_random_below(random, SECOND + 1)
                                       : 2 * SECOND;
}

/* RFC 4861 section 7.2.6 has no other pace than a second at least. */
static uint64_t wait_after_announcement(const struct net_address *address)
{
    return address->family == 6 ? ANNOUNCE_SECONDS * SECOND
                                : paced(address, ANNOUNCE_SECONDS * SECOND);
}

/* RFC 5227 sections 2.1.1 and 2.3; RFC 4862 section 5.4, RFC 4861 section 7.2.6 */
enum net_address_message ewi_net_address_step(struct net_addresses *addresses, uint32_t index,
                                              struct net_random *random, uint64_t now)
{
    struct net_address *address = &addresses->address[index];
    uint8_t probes = probes_of(address), step = address->step;

    EWI_ASSERT(address->at <= now);
    if (step < probes) {
        address->at = now + paced(address, wait_after_probe(address, random));
        address->step += 1;
        return NET_SAY_PROBE;
    }
    address->state = NET_ADDRESS_GOOD;
    address->quiet_until = now + wait_after_announcement(address);
    address->at = step + 1 < probes + ANNOUNCEMENTS ? address->quiet_until : NET_NEVER;
    address->step += 1;
    return NET_SAY_ANNOUNCE;
}

void ewi_net_address_announce(struct net_addresses *addresses, uint32_t index, uint64_t at)
{
    struct net_address *address = &addresses->address[index];

    if (address->state != NET_ADDRESS_GOOD)
        return;
    address->step = probes_of(address);
    address->at = ewi_max_u64(at, address->quiet_until);
    addresses->next = ewi_min_u64(addresses->next, address->at);
}

void ewi_net_address_again(struct net_addresses *addresses, uint32_t index, uint64_t now)
{
    struct net_address *address = &addresses->address[index];

    EWI_ASSERT(address->step > 0);
    address->step -= 1;
    address->at = now + AGAIN_MILLISECONDS * MILLISECOND;
    addresses->next = ewi_min_u64(addresses->next, address->at);
}

/* RFC 5227 section 2.4 (c): it is kept, and defended once in so many seconds. RFC 4862 section 5.4.4
 * leaves open what happens to an address that is in use: it is counted and stays. */
bool ewi_net_address_conflict(struct net_addresses *addresses, uint32_t index, uint64_t now)
{
    struct net_address *address = &addresses->address[index];

    if (address->state == NET_ADDRESS_TENTATIVE) {
        address->state = NET_ADDRESS_TWICE;
        address->at = NET_NEVER;
        return false;
    }
    if (address->state != NET_ADDRESS_GOOD || address->family != 4 || now < address->defended)
        return false;
    address->defended = now + DEFEND_SECONDS * SECOND;
    return true;
}
