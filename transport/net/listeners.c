#include "transport/net/listeners.h"

#include <string.h>

static uint32_t heads_for(uint32_t capacity)
{
    uint32_t heads = 8;

    while (heads < capacity)
        heads *= 2;
    return heads;
}

size_t ewi_net_listeners_bytes(uint32_t capacity)
{
    if (capacity == 0 || capacity > NET_ROWS_MAX)
        return 0;
    return heads_for(capacity) * sizeof(uint32_t);
}

void ewi_net_listeners_init(struct net_listeners *listeners, void *memory, uint32_t capacity,
                            struct net_rows listens)
{
    EWI_ASSERT(ewi_net_listeners_bytes(capacity) != 0);
    EWI_ASSERT(((uintptr_t)memory & (NET_ALIGN - 1)) == 0);
    *listeners = (struct net_listeners){
        .head = memory,
        .mask = heads_for(capacity) - 1,
        .listens = listens,
    };
    memset(memory, 0xff, ewi_net_listeners_bytes(capacity));
}

static struct net_listen *listen_at(const struct net_listeners *listeners, uint32_t index)
{
    return ewi_net_row(listeners->listens, index);
}

static uint32_t *head_of(const struct net_listeners *listeners, const struct net_listen *listen)
{
    uint64_t a, b, mixed;

    memcpy(&a, listen->address, sizeof(a));
    memcpy(&b, listen->address + sizeof(a), sizeof(b));
    mixed = (a ^ b * 3 ^ listen->port ^ (uint64_t)listen->family << 32) *
            UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */
    return &listeners->head[mixed >> 32 & listeners->mask];
}

static bool is_any(const struct net_listen *listen)
{
    static const uint8_t zeros[16];

    return memcmp(listen->address, zeros, sizeof(zeros)) == 0;
}

static bool same(const struct net_listen *a, const struct net_listen *b)
{
    return a->port == b->port && a->scope == b->scope && a->family == b->family &&
           memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static uint32_t find_exactly(const struct net_listeners *listeners, const struct net_listen *want)
{
    uint32_t index = *head_of(listeners, want);

    while (index != NET_NONE && !same(listen_at(listeners, index), want))
        index = listen_at(listeners, index)->next;
    return index;
}

static bool is_valid(const struct net_listen *listen)
{
    static const uint8_t zeros[12];

    if (listen->port == 0)
        return false;
    if (listen->family == 0)
        return is_any(listen) && listen->scope == 0;
    if (listen->family == 4) /* what is behind the four bytes would never be found */
        return memcmp(listen->address + 4, zeros, sizeof(zeros)) == 0 && listen->scope == 0;
    return listen->family == 6 && (listen->scope == 0 || !is_any(listen));
}

int ewi_net_listeners_add(struct net_listeners *listeners, uint32_t index)
{
    struct net_listen *listen = listen_at(listeners, index);
    uint32_t *head = head_of(listeners, listen);

    if (!is_valid(listen))
        return EW_EINVAL;
    if (find_exactly(listeners, listen) != NET_NONE)
        return EW_EINUSE;
    listen->next = *head;
    *head = index;
    listeners->used += 1;
    return EW_OK;
}

bool ewi_net_listeners_remove(struct net_listeners *listeners, uint32_t index)
{
    uint32_t *link = head_of(listeners, listen_at(listeners, index));

    while (*link != NET_NONE && *link != index)
        link = &listen_at(listeners, *link)->next;
    if (*link == NET_NONE)
        return false;
    *link = listen_at(listeners, index)->next;
    listeners->used -= 1;
    return true;
}

uint32_t ewi_net_listeners_find(const struct net_listeners *listeners,
                                const struct net_listen *local)
{
    struct net_listen want = *local;
    uint32_t index = find_exactly(listeners, &want);

    if (index == NET_NONE && want.scope != 0) {
        want.scope = 0;
        index = find_exactly(listeners, &want);
    }
    if (index == NET_NONE) {
        memset(want.address, 0, sizeof(want.address));
        index = find_exactly(listeners, &want);
    }
    if (index == NET_NONE) {
        want.family = 0;
        index = find_exactly(listeners, &want);
    }
    return index;
}
