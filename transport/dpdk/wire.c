#include "transport/dpdk/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>

#include "transport/dpdk/eal.h"

struct dpdk_wire {
    struct dpdk_wire *next;
    char name[32];
    struct rte_ring *rings[2]; /* rings[i]: towards end i */
    struct device *ends[2];
    struct rte_mempool *pools[2];
    _Atomic int open_ends;
    bool was_closed;
};

static struct dpdk_wire *wires; /* under EAL's lock */

static struct dpdk_wire *find(const char *name)
{
    struct dpdk_wire *wire = wires;

    while (wire != NULL && strcmp(wire->name, name) != 0)
        wire = wire->next;
    return wire;
}

static void destroy(struct dpdk_wire *wire)
{
    struct dpdk_wire **at = &wires;

    while (*at != NULL && *at != wire)
        at = &(*at)->next;
    if (*at == wire)
        *at = wire->next;
    for (int i = 0; i < 2; i++) {
        rte_ring_free(wire->rings[i]);
        rte_mempool_free(wire->pools[i]);
    }
    free(wire);
}

static struct dpdk_wire *create(const char *name, unsigned ring_slots)
{
    struct dpdk_wire *wire = calloc(1, sizeof(*wire));

    if (wire == NULL)
        return NULL;
    snprintf(wire->name, sizeof(wire->name), "%s", name);
    for (int i = 0; i < 2; i++) {
        char label[RTE_RING_NAMESIZE];

        snprintf(label, sizeof(label), "ewr%u", ewi_dpdk_next_number());
        wire->rings[i] = rte_ring_create(label, ring_slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (wire->rings[i] == NULL) {
            destroy(wire);
            return NULL;
        }
    }
    wire->next = wires;
    wires = wire;
    return wire;
}

static int attach(struct dpdk_wire *wire, int end, struct device *device, uint32_t buffers,
                  uint16_t room)
{
    char label[RTE_MEMPOOL_NAMESIZE];
    int port;

    snprintf(label, sizeof(label), "ewp%u", ewi_dpdk_next_number());
    wire->pools[end] = rte_pktmbuf_pool_create_by_ops(label, buffers, 0, 0, room, SOCKET_ID_ANY,
                                                      "ring_mp_mc");
    if (wire->pools[end] == NULL)
        return -ENOMEM;
    port = rte_eth_from_rings(device->vdev, &wire->rings[end], 1, &wire->rings[1 - end], 1,
                              (unsigned)SOCKET_ID_ANY);
    if (port < 0)
        return rte_errno != 0 ? -rte_errno : -EIO;
    device->port = (uint16_t)port;
    device->has_port = true;
    device->wire = wire;
    device->rx_pool = device->tx_pool = wire->pools[end];
    wire->ends[end] = device;
    atomic_fetch_add_explicit(&wire->open_ends, 1, memory_order_relaxed);
    return 0;
}

int ewi_dpdk_wire_open(struct device *device, uint32_t buffers, uint16_t room, char *reason)
{
    const char *name = ewi_dpdk_text_value(&device->text, "name");
    struct dpdk_wire *wire = find(name);
    int end, code;

    if (wire != NULL && (wire->was_closed || (wire->ends[0] != NULL && wire->ends[1] != NULL)))
        return ewi_dpdk_refuse(reason, -EBUSY, "ring:name=%s: %s; choose another name", name,
                               wire->was_closed ? "one end was closed, and the other not yet"
                                                : "both ends are open");
    if (wire == NULL && (wire = create(name, device->text.kind->rx_ring)) == NULL)
        return ewi_dpdk_refuse(reason, -ENOMEM, "ring:name=%s: no memory for rings", name);
    end = wire->ends[0] == NULL ? 0 : 1;
    code = attach(wire, end, device, buffers, room);
    if (code == 0)
        return 0;
    rte_mempool_free(wire->pools[end]);
    wire->pools[end] = NULL;
    if (end == 0)
        destroy(wire);
    return ewi_dpdk_refuse(reason, code, "ring:name=%s: no memory for %u packets: %s", name, buffers,
                           rte_strerror(-code));
}

void ewi_dpdk_wire_close(struct device *device)
{
    struct dpdk_wire *wire = device->wire;

    if (wire == NULL)
        return;
    for (int i = 0; i < 2; i++)
        if (wire->ends[i] == device)
            wire->ends[i] = NULL;
    atomic_fetch_sub_explicit(&wire->open_ends, 1, memory_order_relaxed);
    wire->was_closed = true;
    if (wire->ends[0] == NULL && wire->ends[1] == NULL)
        destroy(wire);
}

bool ewi_dpdk_wire_is_whole(const struct device *device)
{
    return atomic_load_explicit(&device->wire->open_ends, memory_order_relaxed) == 2; /* a hint */
}
