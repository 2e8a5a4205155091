#include "tests/sim/net_node.h"

struct world world;

/* ---- buffers ---- */

static struct buffer *buffer_free(struct node *node)
{
    for (uint32_t i = 0; i < node->buffers_room; i++) {
        struct buffer *buffer = &node->buffers[node->search++ % node->buffers_room];

        if (!buffer->kept && buffer->data == NULL)
            return buffer;
    }
    node->search = node->buffers_room;
    node->buffers_room = node->buffers_room * 2 + 64;
    node->buffers = realloc(node->buffers, node->buffers_room * sizeof(*node->buffers));
    CHECK(node->buffers != NULL);
    memset(node->buffers + node->search, 0,
           (node->buffers_room - node->search) * sizeof(*node->buffers));
    return &node->buffers[node->search++];
}

static void *buffer_name(const struct node *node, const struct buffer *buffer)
{
    uintptr_t index = (uintptr_t)(buffer - node->buffers) + 1;

    return (void *)(index | (uintptr_t)buffer->life << 32); /* not an address, on purpose */
}

void node_reclaim(struct node *node)
{
    void *refs[7];
    uint32_t count;

    do {
        count = ewi_net_reclaim(node->net, refs, 7);
        CHECK(count <= 7);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t index = (uint32_t)(uintptr_t)refs[i] - 1;
            struct buffer *buffer = &node->buffers[index];

            SIM_CHECK(index < node->buffers_room, "a reference that never was");
            SIM_CHECK(buffer->kept && buffer->life == (uint32_t)((uintptr_t)refs[i] >> 32),
                      "a reference that came back before");
            free(buffer->data);
            buffer->data = NULL;
            buffer->kept = false;
            buffer->life += 1;
            node->kept -= 1;
        }
    } while (count == 7);
}

/* ---- in ---- */

/* A device that judges checksums: is the transport's right? */
static bool sum_is_good(const uint8_t *ip, uint32_t bytes)
{
    uint32_t addresses, header, payload;
    struct watch_name name;
    struct net_tcp tcp;
    uint8_t ecn;

    return watch_ip(ip, bytes, &name, &addresses, &header, &payload, &ecn) == NET_OK &&
           ewi_net_tcp_parse(ip + header, payload, addresses, &tcp) == NET_OK;
}

static uint16_t rx_flags(const struct node *node, const struct frame *frame)
{
    const uint8_t *ip = frame->data + NET_ETHER_BYTES;
    uint32_t bytes = frame->bytes - NET_ETHER_BYTES;

    if (frame->blank)
        return NET_RX_SUM_BLANK;
    if ((node->plan.device & SIM_RX_GOOD) != 0 && frame_is_ip(frame) && bytes >= 20 &&
        sum_is_good(ip, bytes))
        return NET_RX_SUM_GOOD;
    return 0;
}

static void rx_make(struct node *node, const struct frame *frame, struct net_rx *rx,
                    struct buffer *holder)
{
    uint32_t skip = (node->plan.device & SIM_BARE_IP) != 0 ? NET_ETHER_BYTES : 0;
    uint32_t room = (node->plan.device & SIM_TIGHT) != 0 ? 0 : (uint32_t)sim_below(256);
    uint32_t bytes = frame->bytes - skip;
    bool has_reference = (node->plan.device & SIM_NO_REFERENCES) == 0 &&
                         ((node->plan.device & SIM_SOME_REFERENCES) == 0 || chance(SIM_CHANCE / 2));

    holder->data = malloc(bytes + room);
    CHECK(holder->data != NULL);
    memcpy(holder->data, frame->data + skip, bytes);
    *rx = (struct net_rx){.data = holder->data,
                          .ref = has_reference ? buffer_name(node, holder) : NULL,
                          .bytes = bytes,
                          .room = room,
                          .charge = (node->plan.device & SIM_TIGHT) != 0 ? bytes : 2048,
                          .port = (uint16_t)node->port,
                          .flags = rx_flags(node, frame)};
    if (rx->charge < bytes + room)
        rx->charge = bytes + room;
}

void node_put(struct node *node, struct frame *frame)
{
    if (node->inbox_count == node->inbox_room) {
        node->inbox_room = node->inbox_room * 2 + SIM_BATCH;
        node->inbox = realloc(node->inbox, node->inbox_room * sizeof(struct frame *));
        CHECK(node->inbox != NULL);
    }
    node->inbox[node->inbox_count++] = frame;
}

/* The stack will see a packet that somebody sent: at most bits were flipped that nobody looks at. */
static bool is_given(const struct node *node, const struct frame *frame)
{
    if (!frame->corrupt)
        return frame_is_ip(frame);
    if ((node->plan.device & SIM_BARE_IP) == 0 && !frame_is_ip(frame))
        return false;
    return frame->bytes >= NET_ETHER_BYTES + NET_IP4_BYTES &&
           sum_is_good(frame->data + NET_ETHER_BYTES, frame->bytes - NET_ETHER_BYTES);
}

static void node_input_some(struct node *node, struct frame **frames, uint32_t count)
{
    struct net_rx rx[SIM_BATCH];
    struct buffer *holder; /* the row of them may move: numbers stay */
    uint32_t index[SIM_BATCH];

    for (uint32_t i = 0; i < count; i++) {
        struct frame *frame = frames[i];

        holder = buffer_free(node);
        index[i] = (uint32_t)(holder - node->buffers);
        rx_make(node, frame, &rx[i], holder);
        if (is_given(node, frame))
            watch_given(frame->data + NET_ETHER_BYTES, frame->bytes - NET_ETHER_BYTES,
                        frame->blank);
        free(frame);
    }
    ewi_net_input(node->net, sim.now, rx, count);
    for (uint32_t i = 0; i < count; i++) {
        holder = &node->buffers[index[i]];
        if ((rx[i].flags & NET_RX_KEPT) != 0) {
            SIM_CHECK(rx[i].ref != NULL, "kept without a reference");
            holder->kept = true;
            node->kept += 1;
            continue;
        }
        memset(holder->data, 0xdd, rx[i].bytes + rx[i].room);
        free(holder->data);
        holder->data = NULL;
        holder->life += 1;
    }
    if (node->kept > node->kept_most)
        node->kept_most = node->kept;
}

void node_input(struct node *node)
{
    uint32_t done = 0, count = node->inbox_count;

    while (done < count) {
        uint32_t some = 1 + (uint32_t)sim_below(SIM_BATCH);

        some = some < count - done ? some : count - done;
        node_input_some(node, node->inbox + done, some);
        done += some;
    }
    node->inbox_count = 0;
}
