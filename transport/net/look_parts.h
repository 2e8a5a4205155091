/* transport/net/look_parts.h - what the layers' parts of look.h share.
 *
 * Purpose    A layer tells what is in its own struct; here are the cursors, and the rows of limits.
 * Shape      tcp_look.c, link_look.c, ip_look.c, udp_look.c, packets.c: a layer's rows; look.c: all limits
 * Owner      none
 * Threads    one caller at a time
 * Trust      cursors may be any number
 * Errors     NET_NONE, false: nothing there
 * Invariants none
 * Ordering   single threaded
 * Source     transport/net/look.h
 */
#ifndef EWI_TRANSPORT_NET_LOOK_PARTS_H
#define EWI_TRANSPORT_NET_LOOK_PARTS_H

#include <string.h>

#include "transport/net/look.h"
#include "transport/net/pool.h"

static inline struct stack_addr ewi_net_look_named(uint8_t family, const uint8_t ip[16], uint16_t port, uint16_t scope)
{
    struct stack_addr address = {.family = family, .port = port, .scope = scope};

    memcpy(address.ip, ip, 16);
    return address;
}

/* A row of a table without holes. NET_NONE: there is none. */
static inline uint32_t ewi_net_look_row(uint32_t *at, uint32_t count)
{
    uint32_t row = *at;

    *at = row < count ? row + 1 : NET_NONE;
    return row < count ? row : NET_NONE;
}

/* The next object of a pool. NET_NONE: not among the slots that were looked at. */
static inline uint32_t ewi_net_look_slot(const struct net_pool *pool, uint32_t *at)
{
    for (uint32_t i = 0; i < NET_LOOK_SLOTS; i++) {
        uint32_t slot = ewi_net_look_row(at, pool->fresh);

        if (slot == NET_NONE || ewi_net_pool_is_taken(pool, slot))
            return slot;
    }
    return NET_NONE;
}

static inline struct net_look_limit ewi_net_look_pool(const char *name, const char *text, const struct net_pool *pool)
{
    return (struct net_look_limit){.name = name,
                                   .text = text,
                                   .used = pool->used,
                                   .max = pool->slots,
                                   .used_max = pool->used_max,
                                   .refused = pool->refused};
}

static inline struct net_look_limit ewi_net_look_count(const char *name, const char *text, uint64_t used, uint64_t max)
{
    return (struct net_look_limit){
        .name = name, .text = text, .used = used, .max = max, .refused = UINT64_MAX};
}

/* The limits of a layer, counted from 0. False: there are not so many. */
typedef bool net_look_limit_of(const struct ewi_net *net, uint32_t i, struct net_look_limit *out);

net_look_limit_of ewi_net_tcp_limit, ewi_net_packets_limit, ewi_net_udp_limit, ewi_net_link_limit,
    ewi_net_ip_limit;

/* Of a layer whose limits are these. */
static inline bool ewi_net_look_limit_at(const struct net_look_limit *rows, uint32_t count, uint32_t i,
                                         struct net_look_limit *out)
{
    if (i >= count)
        return false;
    *out = rows[i];
    return true;
}

#endif
