#include "transport/dpdk/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/dpdk/eal.h"

enum {
    ROOM_MIN = 2048,
    ROOM_UNIT = 1024, /* network cards count buffers in KiB */
    XDP_ROOM = 4096 - 64 - 128, /* a page, less a mempool's and an mbuf's header */
    SLACK = 2 * DEVICE_BURST, /* in hand while a burst runs, and armed */
    SMALL_ROOM = ROOM_MIN + RTE_PKTMBUF_HEADROOM,
    LARGE_ROOM = UINT16_MAX, /* as long as an mbuf may be */
    LARGE_PAYLOAD = 63 * 1024, /* LARGE_ROOM less headroom and the longest headers, rounded down */
    LARGE_RING = 32, /* few, so that they stay in the cache */
    LARGE_KEPT = 192,
    POOL_HEADER = 64, /* of each object */
};

static_assert(LARGE_PAYLOAD + DPDK_LINK_BYTES + 100 <= LARGE_ROOM - RTE_PKTMBUF_HEADROOM, "a frame fits");
static_assert(LARGE_ROOM - RTE_PKTMBUF_HEADROOM + 2 * sizeof(struct rte_mbuf_ext_shared_info) <= UINT16_MAX,
              "a copy of any packet fits");

static bool has(const struct dpdk_text *text, uint32_t quirk)
{
    return (text->kind->quirks & quirk) != 0;
}

/* ---- numbers ---- */

static uint16_t round_up(uint32_t bytes, uint32_t unit)
{
    return (uint16_t)((bytes + unit - 1) / unit * unit);
}

static void plan_large(uint32_t packets, struct device_facts *facts, struct dpdk_memory *memory)
{
    const uint32_t headers = DPDK_LINK_BYTES + 40 + 60; /* IPv6, TCP with options */

    facts->tso_max = LARGE_PAYLOAD;
    facts->frame_bytes = LARGE_PAYLOAD + headers;
    memory->rx_ring = memory->tx_ring = LARGE_RING;
    memory->rx_room = memory->tx_room = LARGE_ROOM;
    memory->tx_buffers = LARGE_RING + SLACK;
    memory->rx_buffers = LARGE_RING + LARGE_KEPT + SLACK;
    memory->small_buffers = packets + SLACK;
}

/* The driver copies a slot of its ring unchecked. */
static uint16_t af_packet_room(uint32_t frame)
{
    uint16_t room;

    for (room = ROOM_MIN; room < frame + 128;)
        room = (uint16_t)(room * 2);
    return (uint16_t)(room + RTE_PKTMBUF_HEADROOM);
}

struct dpdk_memory ewi_dpdk_memory_plan(const struct dpdk_text *text, uint32_t packets,
                                        struct device_facts *facts)
{
    const struct dpdk_kind *kind = text->kind;
    uint32_t frame = facts->mtu + (uint32_t)DPDK_LINK_BYTES;
    uint16_t room = frame > ROOM_MIN ? round_up(frame, ROOM_UNIT) : (uint16_t)ROOM_MIN;
    struct dpdk_memory memory = {.rx_ring = kind->rx_ring, .tx_ring = kind->tx_ring};

    facts->frame_bytes = frame;
    memory.tx_room = (uint16_t)(room + RTE_PKTMBUF_HEADROOM);
    memory.rx_room = memory.tx_room;
    memory.tx_buffers = kind->tx_ring + (uint32_t)SLACK;
    memory.rx_buffers = packets + kind->rx_ring + (uint32_t)SLACK;
    if (strcmp(kind->name, "af_packet") == 0)
        memory.rx_room = af_packet_room(frame);
    if (has(text, DPDK_UMEM)) {
        /* One object fills a page, to the byte. The driver registers so many objects as one area without
         * gaps; where a page has a rest, the area ends before the last objects, and the kernel drops what
         * is in them: a connection hung for good when it came to one. */
        memory.rx_room = XDP_ROOM;
        memory.rx_buffers += kind->rx_ring + kind->tx_ring; /* the fill ring is twice as long */
    }
    if (ewi_dpdk_text_flag(text, "tso"))
        plan_large(packets, facts, &memory);
    facts->packet_charge = memory.rx_room + (uint32_t)sizeof(struct rte_mbuf);
    return memory;
}

static uint64_t pool_bytes(uint32_t buffers, uint32_t room)
{
    return (uint64_t)buffers * (room + sizeof(struct rte_mbuf) + POOL_HEADER);
}

uint64_t ewi_dpdk_memory_bytes(const struct dpdk_memory *memory)
{
    return pool_bytes(memory->rx_buffers, memory->rx_room) +
           pool_bytes(memory->tx_buffers, memory->tx_room) +
           pool_bytes(memory->small_buffers, SMALL_ROOM);
}

/* ---- pools ---- */

/* As rte_pktmbuf_pool_create_by_ops, but the buffer that came back last goes out first: it is in the cache,
 * the oldest of thousands is not (a request took a fifth less, docs/reference/performance.md). And objects
 * are not spread over memory channels: the padding would push a frame of AF_XDP over the end of its page. */
static struct rte_mempool *create_pool(const char *name, uint32_t buffers, uint16_t room)
{
    struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = room};
    struct rte_mempool *pool =
        rte_mempool_create_empty(name, buffers, (unsigned)sizeof(struct rte_mbuf) + room, 0,
                                 sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_SPREAD);

    if (pool == NULL)
        return NULL;
    if (rte_mempool_set_ops_byname(pool, "stack", NULL) != 0)
        goto fail;
    rte_pktmbuf_pool_init(pool, &private);
    if (rte_mempool_populate_default(pool) < 0)
        goto fail;
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return pool;
fail:
    rte_mempool_free(pool);
    return NULL;
}

static int make_pool(const char *what, uint32_t buffers, uint16_t room, char *reason,
                     struct rte_mempool **out)
{
    char name[RTE_MEMPOOL_NAMESIZE];

    if (buffers == 0)
        return 0;
    snprintf(name, sizeof(name), "ew%s%u", what, ewi_dpdk_next_number());
    *out = create_pool(name, buffers, room);
    if (*out != NULL)
        return 0;
    return ewi_dpdk_refuse(reason, -ENOMEM, "no memory for %u buffers of %u bytes: %s", buffers, room,
                           ewi_dpdk_has_huge_pages()
                               ? "raise sysctl vm.nr_hugepages, or ask for fewer packets"
                               : "small pages are fixed at the start: open the largest device first, "
                                 "or ask for fewer packets");
}

int ewi_dpdk_memory_make(struct device *device, const struct dpdk_memory *memory, char *reason)
{
    int code = make_pool("rx", memory->rx_buffers, memory->rx_room, reason, &device->rx_pool);

    if (code == 0)
        code = make_pool("tx", memory->tx_buffers, memory->tx_room, reason, &device->tx_pool);
    if (code == 0)
        code = make_pool("small", memory->small_buffers, SMALL_ROOM, reason, &device->small_pool);
    return code;
}

void ewi_dpdk_memory_free(struct device *device)
{
    rte_mempool_free(device->rx_pool);
    rte_mempool_free(device->tx_pool);
    rte_mempool_free(device->small_pool);
}

/* ---- long and short packets ---- */

static struct rte_mbuf *copy_short(struct device *device, struct rte_mbuf *packet)
{
    struct rte_mbuf *copy = rte_pktmbuf_alloc(device->small_pool);

    if (copy == NULL)
        return NULL;
    copy->data_len = packet->data_len;
    copy->pkt_len = packet->data_len;
    copy->ol_flags = packet->ol_flags;
    memcpy(rte_pktmbuf_mtod(copy, void *), rte_pktmbuf_mtod(packet, void *), packet->data_len);
    return copy;
}

static void free_memory(void *memory, void *unused)
{
    (void)unused;
    free(memory);
}

/* Many streams that nobody reads have all long ones. */
static struct rte_mbuf *copy_long(struct device *device, struct rte_mbuf *packet)
{
    uint16_t bytes = (uint16_t)(packet->data_len + 2 * sizeof(struct rte_mbuf_ext_shared_info));
    struct rte_mbuf *copy = rte_pktmbuf_alloc(device->small_pool);
    void *memory = malloc(bytes);
    struct rte_mbuf_ext_shared_info *shared;

    if (copy == NULL || memory == NULL) {
        rte_pktmbuf_free(copy);
        free(memory);
        return NULL;
    }
    shared = rte_pktmbuf_ext_shinfo_init_helper(memory, &bytes, free_memory, NULL);
    rte_pktmbuf_attach_extbuf(copy, memory, RTE_BAD_IOVA, bytes, shared);
    copy->data_len = packet->data_len;
    copy->pkt_len = packet->data_len;
    copy->ol_flags |= packet->ol_flags;
    memcpy(memory, rte_pktmbuf_mtod(packet, void *), packet->data_len);
    return copy;
}

uint16_t ewi_dpdk_memory_sort(struct device *device, struct rte_mbuf **packets, uint16_t count)
{
    uint16_t left = 0;

    for (uint16_t i = 0; i < count; i++) {
        struct rte_mbuf *packet = packets[i], *copy;

        if (packet->data_len > ROOM_MIN && device->large_kept < LARGE_KEPT) {
            device->large_kept += 1;
            packets[left++] = packet;
            continue;
        }
        copy = packet->data_len <= ROOM_MIN ? copy_short(device, packet) : copy_long(device, packet);
        rte_pktmbuf_free(packet);
        if (copy != NULL)
            packets[left++] = copy;
        else
            device->counts.rx_no_buffer += 1;
    }
    return left;
}

void ewi_dpdk_memory_count(struct device *device, struct rte_mbuf *const *packets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        device->large_kept -= packets[i]->pool == device->rx_pool;
}
