#include "transport/net/udp.h"

#include <string.h>

#include "transport/net/ports.h"
#include "transport/net/whole.h"

/* ---- memory ---- */

enum { PORTS = NET_PORTS_HIGH - NET_PORTS_LOW + 1 };

void ewi_net_udp_place(struct net_block *block, const struct net_config *config,
                       struct net_udp_places *places)
{
    uint32_t slots = config->udp_max;
    size_t endpoints = ewi_net_block_add(
        block, ewi_net_pool_bytes(slots, sizeof(struct net_udp_endpoint)), NET_ALIGN);
    size_t connected = ewi_net_block_add(block, ewi_net_table_bytes(slots), NET_ALIGN);
    size_t bound = ewi_net_block_add(block, ewi_net_listeners_bytes(slots), NET_ALIGN);
    size_t events = ewi_net_block_add(block, ewi_net_events_bytes(slots), NET_ALIGN);
    size_t users = ewi_net_block_array(block, PORTS, sizeof(uint32_t), NET_ALIGN);

    places->endpoints = ewi_net_block_at(block, endpoints);
    places->connected = ewi_net_block_at(block, connected);
    places->bound = ewi_net_block_at(block, bound);
    places->events = ewi_net_block_at(block, events);
    places->users = ewi_net_block_at(block, users);
}

static struct net_rows rows_at(const struct net_pool *pool, size_t offset)
{
    struct net_rows rows = pool->objects;

    rows.base += offset;
    return rows;
}

void ewi_net_udp_init(struct ewi_net *net, const struct net_udp_places *places)
{
    struct net_udp_all *udp = &net->udp;
    uint32_t slots = net->config.udp_max;

    *udp = (struct net_udp_all){0};
    ewi_net_pool_init(&udp->endpoints, places->endpoints, slots, sizeof(struct net_udp_endpoint));
    ewi_net_table_init(&udp->connected, places->connected, slots,
                       rows_at(&udp->endpoints, offsetof(struct net_udp_endpoint, tuple)));
    ewi_net_listeners_init(&udp->bound, places->bound, slots,
                           rows_at(&udp->endpoints, offsetof(struct net_udp_endpoint, listen)));
    ewi_net_events_init(&udp->events, places->events, slots);
    udp->users = places->users;
    memset(udp->users, 0, PORTS * sizeof(uint32_t));
    udp->users_all = 0;
    ewi_net_key(udp->key, net->seed, NET_KEY_UDP);
}

/* ---- handles ---- */

#define KIND_BITS ((ewi_stream)NET_UDP_KIND << NET_UDP_KIND_SHIFT)

static_assert(NET_ROWS_MAX <= 1u << NET_UDP_KIND_SHIFT, "room for the kind");

uint32_t ewi_net_udp_find(const struct ewi_net *net, ewi_stream stream)
{
    if (!ewi_net_udp_is_handle(stream))
        return NET_NONE;
    return ewi_net_pool_find(&net->udp.endpoints, stream & ~KIND_BITS);
}

struct net_udp_endpoint *ewi_net_udp_at(const struct ewi_net *net, uint32_t index)
{
    return ewi_net_pool_at(&net->udp.endpoints, index);
}

ewi_stream ewi_net_udp_handle(const struct ewi_net *net, uint32_t index)
{
    return ewi_net_pool_handle(&net->udp.endpoints, index) | KIND_BITS;
}

/* ---- datagrams that are kept ---- */

enum {
    NOTE_BYTES = 8, /* family, traffic class, hop limit, 0, remote port, scope; then the addresses */
    NOTE4_BYTES = NOTE_BYTES + 2 * 4,
    NOTE6_BYTES = NOTE_BYTES + 2 * 16,
};
static_assert(NOTE4_BYTES <= NET_IP4_BYTES + NET_UDP_BYTES, "fits over the headers");
static_assert(NOTE6_BYTES <= NET_IP6_BYTES + NET_UDP_BYTES, "fits over the headers");

#define HELD (1u << 31) /* an id of reassembly, not of packets.h */

static uint32_t note_bytes(uint8_t family)
{
    return family == 4 ? NOTE4_BYTES : NOTE6_BYTES;
}

static void put_note(uint8_t *note, const struct net_arrived *arrived)
{
    const struct net_tuple *tuple = &arrived->tuple;
    size_t address_bytes = tuple->family == 4 ? 4 : 16;

    note[0] = tuple->family;
    note[1] = arrived->traffic_class;
    note[2] = arrived->hop_limit;
    note[3] = 0;
    memcpy(note + 4, &tuple->remote_port, 2);
    memcpy(note + 6, &tuple->scope, 2);
    memcpy(note + NOTE_BYTES, tuple->local, address_bytes);
    memcpy(note + NOTE_BYTES + address_bytes, tuple->remote, address_bytes);
}

struct net_packet *ewi_net_udp_packet(struct ewi_net *net, uint32_t id)
{
    if ((id & HELD) != 0)
        return ewi_net_ip_held(net, id & ~HELD);
    return ewi_net_packet(net, id);
}

void ewi_net_udp_give(struct ewi_net *net, uint32_t id)
{
    const struct net_packet *packet = ewi_net_udp_packet(net, id);
    uint32_t index = ewi_net_udp_find(net, packet->owner);

    if (index != NET_NONE)
        ewi_net_udp_at(net, index)->charged -= packet->charge;
    if ((id & HELD) != 0)
        ewi_net_ip_hold_give(net, id & ~HELD);
    else
        ewi_net_packet_give(net, id);
}

void ewi_net_udp_describe(struct ewi_net *net, uint32_t id, struct net_datagram *out)
{
    const struct net_packet *packet = ewi_net_udp_packet(net, id);
    const uint8_t *note = packet->data;
    size_t address_bytes = note[0] == 4 ? 4 : 16;
    uint16_t scope;

    *out = (struct net_datagram){
        .local = {.family = note[0]},
        .remote = {.family = note[0]},
        .data = note + note_bytes(note[0]),
        .bytes = packet->bytes - note_bytes(note[0]),
        .id = id,
        .traffic_class = note[1],
        .hop_limit = note[2],
    };
    memcpy(&out->remote.port, note + 4, 2);
    memcpy(&scope, note + 6, 2);
    out->local.scope = out->remote.scope = scope;
    memcpy(out->local.ip, note + NOTE_BYTES, address_bytes);
    memcpy(out->remote.ip, note + NOTE_BYTES + address_bytes, address_bytes);
}

/* The payload, with room for the note in front of it. Bytes that are nobody's for long, and too many
 * for a copy, are held where datagrams are put together. */
static uint32_t keep(struct ewi_net *net, const struct net_arrived *arrived, uint8_t *payload,
                     uint32_t payload_bytes)
{
    uint32_t front = note_bytes(arrived->tuple.family), bytes = front + payload_bytes, id;
    struct net_arrived kept = *arrived;
    uint8_t *note = payload - front;
    struct net_packet *packet;

    kept.bytes = note;
    kept.length = bytes;
    if ((arrived->rx == NULL || arrived->rx->ref == NULL) && bytes > NET_COPY_BYTES) {
        id = ewi_net_ip_hold(net, &note, bytes);
        if (id == NET_NONE)
            return NET_NONE;
        packet = ewi_net_ip_held(net, id);
        *packet = (struct net_packet){
            .data = note, .bytes = bytes, .charge = NET_REASSEMBLY_BUFFER_BYTES};
        id |= HELD;
    } else {
        id = ewi_net_packet_keep(net, &kept, note, bytes);
        if (id == NET_NONE)
            return NET_NONE;
        packet = ewi_net_packet(net, id);
    }
    put_note(packet->data, arrived);
    return id;
}

/* ---- whose ---- */

static uint32_t find_bound(const struct net_udp_all *udp, const struct net_tuple *tuple)
{
    struct net_listen local = {
        .port = tuple->local_port,
        .scope = tuple->scope,
        .family = tuple->family,
    };

    memcpy(local.address, tuple->local, sizeof(local.address));
    return ewi_net_listeners_find(&udp->bound, &local);
}

static uint32_t find_connected(const struct net_udp_all *udp, const struct net_tuple *tuple)
{
    if (udp->connected.used == 0)
        return NET_NONE;
    return ewi_net_table_find(&udp->connected, ewi_net_tuple_hash(udp->key, tuple), tuple);
}

/* ---- in ---- */

static void enqueue(struct ewi_net *net, uint32_t index, uint32_t id)
{
    struct net_udp_endpoint *endpoint = ewi_net_udp_at(net, index);
    struct net_packet *packet = ewi_net_udp_packet(net, id);

    packet->next = NET_NONE;
    packet->owner = ewi_net_udp_handle(net, index);
    endpoint->charged += packet->charge;
    if (endpoint->last == NET_NONE)
        endpoint->first = id;
    else
        ewi_net_udp_packet(net, endpoint->last)->next = id;
    endpoint->last = id;
    ewi_net_events_raise(&net->udp.events, index, endpoint->watch & STACK_READABLE);
}

/* What keep() would pin at most. */
static uint32_t charge_of(const struct net_arrived *arrived, uint32_t payload_bytes)
{
    uint32_t bytes = note_bytes(arrived->tuple.family) + payload_bytes;

    if ((arrived->rx == NULL || arrived->rx->ref == NULL) && bytes > NET_COPY_BYTES)
        return NET_REASSEMBLY_BUFFER_BYTES;
    return ewi_net_packet_charge(arrived, bytes);
}

static void take(struct ewi_net *net, uint32_t index, const struct net_arrived *arrived,
                 uint32_t payload_bytes)
{
    struct net_udp_endpoint *endpoint = ewi_net_udp_at(net, index);
    uint32_t charge = charge_of(arrived, payload_bytes), id = NET_NONE;

    if (charge <= NET_UDP_QUEUE_BYTES && endpoint->charged <= NET_UDP_QUEUE_BYTES - charge)
        id = keep(net, arrived, arrived->bytes + NET_UDP_BYTES, payload_bytes);
    if (id == NET_NONE) {
        net->count.drop_udp_memory += 1;
        endpoint->dropped += 1;
        return;
    }
    net->count.accepted += 1;
    enqueue(net, index, id);
}

/* RFC 768; RFC 1122 section 4.1.3.1: nobody there is told to the sender. */
void ewi_net_udp_input(struct ewi_net *net, struct net_arrived *arrived)
{
    struct net_tuple *tuple = &arrived->tuple;
    struct net_udp udp;
    enum net_code code = ewi_net_udp_parse(arrived->bytes, arrived->length, arrived->addresses,
                                           tuple->family == 6, &udp);
    uint32_t index;

    if (code != NET_OK) {
        *(code == NET_BAD_CHECKSUM ? &net->count.drop_udp_checksum : &net->count.drop_udp_header) +=
            1;
        return;
    }
    tuple->local_port = udp.destination_port;
    tuple->remote_port = udp.source_port;
    index = find_connected(&net->udp, tuple);
    if (index == NET_NONE)
        index = find_bound(&net->udp, tuple);
    if (index == NET_NONE) {
        net->count.drop_udp_port += 1;
        ewi_net_icmp_report(net, arrived, NET_ICMP_WHY_PORT, 0, 0);
        return;
    }
    take(net, index, arrived, udp.payload_bytes);
}

/* A path is TCP's too, so nobody may narrow it by quoting a port that is open: only for where we sent to
 * last. RFC 8201 section 4 (validate). */
static bool bound_believes(struct ewi_net *net, const struct net_tuple *tuple,
                           const struct net_icmp_told *told)
{
    uint32_t index = find_bound(&net->udp, tuple);

    if (index == NET_NONE)
        return false;
    return told->news != NET_NEWS_TOO_BIG ||
           ewi_net_tuple_equals(&ewi_net_udp_at(net, index)->sent_to, tuple);
}

/* RFC 1122 section 4.1.3.3. Who is not connected has no peer whose fate this could be; but the path's
 * MTU serves everybody. */
bool ewi_net_udp_icmp(struct ewi_net *net, const struct net_tuple *tuple,
                      const struct net_icmp_told *told)
{
    uint32_t index = find_connected(&net->udp, tuple);
    struct net_udp_endpoint *endpoint;

    if (index == NET_NONE)
        return bound_believes(net, tuple, told);
    if (told->news == NET_NEWS_TOO_BIG) /* the next one is cut */
        return true;
    endpoint = ewi_net_udp_at(net, index);
    endpoint->error = -told->error;
    if ((endpoint->watch & STACK_ASIDE) == 0)
        ewi_net_events_raise(&net->udp.events, index, STACK_FAILED);
    return true;
}
