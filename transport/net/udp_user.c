#include <errno.h>
#include <string.h>

#include "transport/net/ports.h"
#include "transport/net/sum.h"
#include "transport/net/whole.h"

enum { HOP_LIMIT = 64 };

/* ---- addresses ---- */

static const uint8_t zeros[16];

static bool is_any(const struct stack_addr *address)
{
    return address == NULL || memcmp(address->ip, zeros, sizeof(zeros)) == 0;
}

static bool is_family(const struct stack_addr *address)
{
    return address->family == 4 || address->family == 6;
}

static void put_address(uint8_t to[16], const struct stack_addr *address)
{
    memset(to, 0, 16);
    memcpy(to, address->ip, address->family == 4 ? 4 : 16);
}

static bool is_link_address(const struct stack_addr *address)
{
    return address->family == 6 && ewi_net_is_link_local(6, address->ip);
}

static uint16_t scope_of(const struct stack_addr *local, const struct stack_addr *remote)
{
    if (remote != NULL && is_link_address(remote))
        return (uint16_t)remote->scope;
    return local != NULL && is_link_address(local) ? (uint16_t)local->scope : 0;
}

/* ---- names of endpoints ---- */

/* RFC 6056 section 3.3.1: from a random place on, the first that no endpoint has. 0: none */
static uint16_t choose_port(struct ewi_net *net)
{
    uint32_t count = NET_PORTS_HIGH - NET_PORTS_LOW + 1;
    uint32_t from = (uint32_t)ewi_net_random_below(&net->random, count);

    for (uint32_t i = 0; i < count; i++)
        if (net->udp.users[(from + i) % count] == 0)
            return (uint16_t)(NET_PORTS_LOW + (from + i) % count);
    net->count.full_ports += 1;
    return 0;
}

static void use_port(struct ewi_net *net, uint16_t port, bool begins)
{
    uint32_t change = begins ? 1 : UINT32_MAX;

    if (port < NET_PORTS_LOW)
        return;
    net->udp.users[port - NET_PORTS_LOW] += change;
    net->udp.users_all += change;
}

static int choose_local_port(struct ewi_net *net, const struct stack_addr *local, uint16_t *port)
{
    *port = local != NULL && local->port != 0 ? local->port : choose_port(net);
    return *port != 0 ? 0 : -EADDRINUSE;
}

static int as_errno(int code)
{
    return code == EW_EINUSE ? -EADDRINUSE : code == EW_EINVAL ? -EINVAL : -ENOBUFS;
}

static int bind_endpoint(struct ewi_net *net, uint32_t index, const struct stack_addr *local)
{
    struct net_udp_endpoint *endpoint = ewi_net_udp_at(net, index);
    struct net_listen *listen = &endpoint->listen;
    uint16_t port;
    int code;

    if (local != NULL && !is_family(local) && (local->family != 0 || !is_any(local)))
        return -EINVAL;
    if (local != NULL && local->family != 0) {
        listen->family = local->family;
        listen->scope = scope_of(local, NULL);
        put_address(listen->address, local);
    }
    if (!is_any(local) && !ewi_net_link_is_local(net, listen->family, listen->address))
        return -EADDRNOTAVAIL;
    code = choose_local_port(net, local, &port);
    if (code != 0)
        return code;
    listen->port = port;
    code = ewi_net_listeners_add(&net->udp.bound, index);
    return code == EW_OK ? 0 : as_errno(code);
}

static int connect_endpoint(struct ewi_net *net, uint32_t index, const struct stack_addr *local,
                            const struct stack_addr *remote)
{
    struct net_udp_endpoint *endpoint = ewi_net_udp_at(net, index);
    struct net_tuple *tuple = &endpoint->tuple;
    int code;

    if (!is_family(remote) || is_any(remote) || remote->port == 0 ||
        (local != NULL && local->family != 0 && local->family != remote->family))
        return -EINVAL;
    *tuple = (struct net_tuple){.family = remote->family, .remote_port = remote->port};
    tuple->scope = scope_of(local, remote);
    put_address(tuple->remote, remote);
    if (is_any(local)) {
        if (!ewi_net_way_source(net, tuple))
            return -EHOSTUNREACH;
    } else {
        put_address(tuple->local, &(struct stack_addr){.family = remote->family});
        memcpy(tuple->local, local->ip, remote->family == 4 ? 4 : 16);
        if (!ewi_net_link_is_local(net, tuple->family, tuple->local))
            return -EADDRNOTAVAIL;
    }
    code = choose_local_port(net, local, &tuple->local_port);
    if (code != 0)
        return code;
    code = ewi_net_table_insert(&net->udp.connected, ewi_net_tuple_hash(net->udp.key, tuple), index);
    if (code != EW_OK)
        return as_errno(code);
    endpoint->is_connected = true;
    endpoint->listen.port = tuple->local_port;
    endpoint->listen.family = tuple->family;
    endpoint->listen.scope = tuple->scope;
    memcpy(endpoint->listen.address, tuple->local, 16);
    return 0;
}

/* ---- life ---- */

static void pass_time(struct ewi_net *net, uint64_t now)
{
    net->now = ewi_max_u64(net->now, now);
}

int ewi_net_udp_open(struct ewi_net *net, const struct stack_addr *local,
                     const struct stack_addr *remote, uint64_t user, uint64_t now, ewi_stream *out)
{
    struct net_pool *pool = &net->udp.endpoints;
    uint32_t index = ewi_net_pool_take(pool);
    int code;

    pass_time(net, now);
    if (index == NET_NONE)
        return -ENOBUFS;
    *ewi_net_udp_at(net, index) = (struct net_udp_endpoint){
        .user = user, .first = NET_NONE, .last = NET_NONE, .watch = STACK_READABLE};
    code = remote != NULL ? connect_endpoint(net, index, local, remote)
                          : bind_endpoint(net, index, local);
    if (code != 0) {
        ewi_net_pool_give(pool, index);
        return code;
    }
    use_port(net, ewi_net_udp_at(net, index)->listen.port, true);
    *out = ewi_net_udp_handle(net, index);
    return 0;
}

int ewi_net_udp_close(struct ewi_net *net, ewi_stream stream)
{
    uint32_t index = ewi_net_udp_find(net, stream);
    struct net_udp_endpoint *endpoint;

    if (index == NET_NONE)
        return -ESTALE;
    endpoint = ewi_net_udp_at(net, index);
    while (endpoint->first != NET_NONE) {
        uint32_t id = endpoint->first;

        endpoint->first = ewi_net_udp_packet(net, id)->next;
        ewi_net_udp_give(net, id);
    }
    if (endpoint->is_connected)
        ewi_net_table_remove(&net->udp.connected,
                             ewi_net_tuple_hash(net->udp.key, &endpoint->tuple), index);
    else
        ewi_net_listeners_remove(&net->udp.bound, index);
    use_port(net, endpoint->listen.port, false);
    ewi_net_events_clear(&net->udp.events, index, UINT32_MAX >> 1);
    ewi_net_pool_give(&net->udp.endpoints, index);
    return 0;
}

/* ---- send ---- */

/* From whom: the datagram says so, or the endpoint, or the way. */
static int name_source(struct ewi_net *net, const struct net_udp_endpoint *endpoint,
                       const struct net_datagram *datagram, struct net_tuple *tuple)
{
    bool is_bound = memcmp(endpoint->listen.address, zeros, sizeof(zeros)) != 0;

    if (!is_any(&datagram->local)) {
        memcpy(tuple->local, datagram->local.ip, tuple->family == 4 ? 4 : 16);
        if (is_bound && memcmp(tuple->local, endpoint->listen.address, 16) != 0)
            return -EINVAL;
        return ewi_net_link_is_local(net, tuple->family, tuple->local) ? 0 : -EADDRNOTAVAIL;
    }
    if (!is_bound)
        return ewi_net_way_source(net, tuple) ? 0 : -EHOSTUNREACH;
    memcpy(tuple->local, endpoint->listen.address, 16);
    return 0;
}

static bool is_peer(const struct net_tuple *tuple, const struct stack_addr *remote)
{
    return remote->family == 0 ||
           (remote->family == tuple->family && remote->port == tuple->remote_port &&
            memcmp(remote->ip, tuple->remote, tuple->family == 4 ? 4 : 16) == 0);
}

static int name_datagram(struct ewi_net *net, const struct net_udp_endpoint *endpoint,
                         const struct net_datagram *datagram, struct net_tuple *tuple)
{
    const struct stack_addr *remote = &datagram->remote;

    if (endpoint->is_connected) {
        *tuple = endpoint->tuple;
        return is_peer(tuple, remote) ? 0 : -EISCONN;
    }
    if (!is_family(remote) || is_any(remote) || remote->port == 0 ||
        (endpoint->listen.family != 0 && endpoint->listen.family != remote->family))
        return -EINVAL;
    *tuple = (struct net_tuple){
        .family = remote->family,
        .local_port = endpoint->listen.port,
        .remote_port = remote->port,
        .scope = scope_of(&datagram->local, remote),
    };
    put_address(tuple->remote, remote);
    return name_source(net, endpoint, datagram, tuple);
}

static int send_datagram(struct ewi_net *net, const struct net_tuple *tuple,
                         const struct net_datagram *datagram)
{
    struct net_ip_out how = {.protocol = NET_UDP,
                             .traffic_class = datagram->traffic_class,
                             .hop_limit = datagram->hop_limit != 0 ? datagram->hop_limit : HOP_LIMIT};
    struct net_udp udp = {.source_port = tuple->local_port,
                          .destination_port = tuple->remote_port,
                          .payload_bytes = (uint16_t)datagram->bytes,
                          .has_checksum = true};
    uint32_t index = ewi_net_slot_take(net), sum = 0;
    struct net_slot *slot;
    uint8_t *out;

    if (index == NET_NONE)
        return -EAGAIN;
    slot = ewi_net_slot(net, index);
    out = slot->packet + ewi_net_ip_header_bytes(tuple->family);
    if (datagram->bytes != 0)
        sum = ewi_net_copy_sum(out + NET_UDP_BYTES, datagram->data, datagram->bytes);
    ewi_net_udp_build(out, &udp, ewi_net_ip_addresses(tuple), sum);
    slot->finish_sum = false;
    slot->transport_bytes = NET_UDP_BYTES;
    return ewi_net_ip_send(net, index, tuple, &how, NET_UDP_BYTES + datagram->bytes, true);
}

int ewi_net_udp_send(struct ewi_net *net, ewi_stream stream, const struct net_datagram *datagram,
                     uint64_t now)
{
    uint32_t index = ewi_net_udp_find(net, stream), most;
    struct net_tuple tuple;
    int code;

    pass_time(net, now);
    if (index == NET_NONE)
        return -ESTALE;
    code = name_datagram(net, ewi_net_udp_at(net, index), datagram, &tuple);
    if (code != 0)
        return code;
    most = net->config.slot_bytes - ewi_net_ip_header_bytes(tuple.family) - NET_UDP_BYTES;
    if (datagram->bytes > most) /* slots are at most as long as an IPv4 packet can be */
        return -EMSGSIZE;
    ewi_net_udp_at(net, index)->sent_to = tuple;
    return send_datagram(net, &tuple, datagram);
}

/* ---- receive ---- */

int ewi_net_udp_recv(struct ewi_net *net, ewi_stream stream, struct net_datagram *out)
{
    uint32_t index = ewi_net_udp_find(net, stream), id;
    struct net_udp_endpoint *endpoint;

    if (index == NET_NONE)
        return -ESTALE;
    endpoint = ewi_net_udp_at(net, index);
    id = endpoint->first;
    if (id == NET_NONE)
        return -EAGAIN;
    endpoint->first = ewi_net_udp_packet(net, id)->next;
    if (endpoint->first == NET_NONE) {
        endpoint->last = NET_NONE;
        ewi_net_events_clear(&net->udp.events, index, STACK_READABLE);
    }
    ewi_net_udp_describe(net, id, out);
    out->local.port = endpoint->listen.port;
    return 0;
}

void ewi_net_udp_release(struct ewi_net *net, const struct net_datagram *datagram)
{
    ewi_net_udp_give(net, datagram->id);
}

/* ---- look ---- */

int ewi_net_udp_watch(struct ewi_net *net, ewi_stream stream, uint32_t bits)
{
    uint32_t index = ewi_net_udp_find(net, stream);
    struct net_udp_endpoint *endpoint;

    if (index == NET_NONE)
        return -ESTALE;
    endpoint = ewi_net_udp_at(net, index);
    endpoint->watch = bits;
    if ((bits & STACK_READABLE) == 0)
        ewi_net_events_clear(&net->udp.events, index, STACK_READABLE);
    else if (endpoint->first != NET_NONE)
        ewi_net_events_raise(&net->udp.events, index, STACK_READABLE);
    return 0;
}

uint32_t ewi_net_udp_ready(struct ewi_net *net, ewi_stream stream)
{
    uint32_t index = ewi_net_udp_find(net, stream), bits = STACK_WRITABLE;
    const struct net_udp_endpoint *endpoint;

    if (index == NET_NONE)
        return STACK_FAILED;
    endpoint = ewi_net_udp_at(net, index);
    if (endpoint->first != NET_NONE)
        bits |= STACK_READABLE;
    if (endpoint->error != 0)
        bits |= STACK_FAILED;
    return bits;
}

int ewi_net_udp_error(struct ewi_net *net, ewi_stream stream)
{
    uint32_t index = ewi_net_udp_find(net, stream);
    int error;

    if (index == NET_NONE)
        return -ESTALE;
    error = ewi_net_udp_at(net, index)->error;
    ewi_net_udp_at(net, index)->error = 0;
    ewi_net_events_clear(&net->udp.events, index, STACK_FAILED);
    return error;
}

int ewi_net_udp_addresses(struct ewi_net *net, ewi_stream stream, struct stack_addr *local,
                          struct stack_addr *remote)
{
    uint32_t index = ewi_net_udp_find(net, stream);
    const struct net_udp_endpoint *endpoint;

    if (index == NET_NONE)
        return -ESTALE;
    endpoint = ewi_net_udp_at(net, index);
    *local = (struct stack_addr){.family = endpoint->listen.family,
                                 .port = endpoint->listen.port,
                                 .scope = endpoint->listen.scope};
    memcpy(local->ip, endpoint->listen.address, sizeof(local->ip));
    *remote = (struct stack_addr){0};
    if (!endpoint->is_connected)
        return 0;
    remote->family = endpoint->tuple.family;
    remote->port = endpoint->tuple.remote_port;
    remote->scope = endpoint->tuple.scope;
    memcpy(remote->ip, endpoint->tuple.remote, sizeof(remote->ip));
    return 0;
}

uint32_t ewi_net_udp_events(struct ewi_net *net, struct stack_event *events, uint32_t count)
{
    struct net_event one;
    uint32_t found = 0;

    while (found < count && ewi_net_events_take(&net->udp.events, &one, 1) == 1) {
        events[found++] = (struct stack_event){
            .user = ewi_net_udp_at(net, one.index)->user,
            .stream = ewi_net_udp_handle(net, one.index),
            .bits = one.bits,
        };
    }
    return found;
}

/* ---- for tests ---- */

static const char *check_queue(struct ewi_net *net, uint32_t index)
{
    const struct net_udp_endpoint *endpoint = ewi_net_udp_at(net, index);
    uint32_t charged = 0, last = NET_NONE;

    for (uint32_t id = endpoint->first; id != NET_NONE; id = ewi_net_udp_packet(net, id)->next) {
        charged += ewi_net_udp_packet(net, id)->charge;
        if (charged > endpoint->charged)
            return "a UDP endpoint's queue pins more than is charged";
        if (ewi_net_udp_packet(net, id)->owner != ewi_net_udp_handle(net, index))
            return "a datagram is in the queue of another endpoint";
        last = id;
    }
    if (last != endpoint->last)
        return "a UDP endpoint's queue has another end";
    return endpoint->charged > NET_UDP_QUEUE_BYTES ? "a UDP endpoint pins more than its limit" : NULL;
}

const char *ewi_net_udp_check(struct ewi_net *net)
{
    const struct net_udp_all *udp = &net->udp;
    uint32_t connected = 0, users = 0;

    for (uint32_t i = 0; i < udp->endpoints.fresh; i++) {
        const struct net_udp_endpoint *endpoint = ewi_net_udp_at(net, i);
        const char *broken;

        if (!ewi_net_pool_is_taken(&udp->endpoints, i))
            continue;
        broken = check_queue(net, i);
        if (broken != NULL)
            return broken;
        connected += endpoint->is_connected;
        if (endpoint->listen.port < NET_PORTS_LOW)
            continue;
        if (udp->users[endpoint->listen.port - NET_PORTS_LOW] == 0)
            return "the port of a UDP endpoint is nobody's";
        users += 1;
    }
    if (users != udp->users_all)
        return "the ports of UDP endpoints do not add up";
    if (connected != udp->connected.used || connected + udp->bound.used != udp->endpoints.used)
        return "the names of UDP endpoints do not add up";
    return NULL;
}

const char *ewi_net_udp_check_ports(const struct ewi_net *net)
{
    uint32_t users = 0;

    for (uint32_t i = 0; i <= NET_PORTS_HIGH - NET_PORTS_LOW; i++)
        users += net->udp.users[i];
    return users == net->udp.users_all ? NULL : "the ports of UDP endpoints do not add up";
}
