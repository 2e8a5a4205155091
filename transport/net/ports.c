#include "transport/net/ports.h"

#include <string.h>

#include "transport/siphash.h"

static uint32_t count_of(const struct net_ports *ports)
{
    return (uint32_t)ports->high - ports->low + 1u;
}

/* RFC 6056 section 3.3.4: the counters begin at random numbers. */
void ewi_net_ports_init(struct net_ports *ports, const uint8_t seed[32], struct net_random *random,
                        uint16_t low, uint16_t high)
{
    uint32_t count;

    EWI_ASSERT(0 < low && low <= high);
    *ports = (struct net_ports){.low = low, .high = high};
    count = count_of(ports);
    ewi_net_key(ports->key, seed, NET_KEY_PORTS);
    for (uint32_t i = 0; i < NET_PORTS_COUNTERS; i++)
        ports->counter[i] = (uint16_t)ewi_net_random_below(random, count);
}

static bool is_listening(const struct net_listeners *listeners, const struct net_tuple *tuple)
{
    struct net_listen local = {
        .port = tuple->local_port,
        .scope = tuple->scope,
        .family = tuple->family,
    };

    memcpy(local.address, tuple->local, sizeof(local.address));
    return listeners != NULL && ewi_net_listeners_find(listeners, &local) != NET_NONE;
}

static bool is_free(const struct net_ports_taken *taken, const struct net_tuple *tuple,
                    uint64_t *hash)
{
    *hash = ewi_net_tuple_hash(taken->table_key, tuple);
    for (uint32_t i = 0; i < NET_PORTS_TABLES_MAX && taken->tables[i] != NULL; i++)
        if (ewi_net_table_find(taken->tables[i], *hash, tuple) != NET_NONE)
            return false;
    return !is_listening(taken->listeners, tuple);
}

/* RFC 6056 section 3.3.4, "double-hash port selection". */
int ewi_net_ports_choose(struct net_ports *ports, const struct net_ports_taken *taken,
                         struct net_tuple *tuple, uint64_t *hash)
{
    uint32_t count = count_of(ports);
    uint64_t fg;
    uint16_t *counter;

    tuple->local_port = 0; /* no part of F and G */
    fg = ewi_siphash(ports->key, tuple, sizeof(*tuple));
    counter = &ports->counter[(fg >> 32) % NET_PORTS_COUNTERS];
    for (uint32_t tries = 0; tries < count; tries++) {
        uint32_t offset = ((uint32_t)fg % count + *counter) % count;

        *counter = (uint16_t)((*counter + 1u) % count); /* no jump where a u16 would wrap */
        tuple->local_port = (uint16_t)(ports->low + offset);
        if (is_free(taken, tuple, hash))
            return EW_OK;
    }
    tuple->local_port = 0;
    ports->refused += 1;
    return EW_EINUSE;
}
