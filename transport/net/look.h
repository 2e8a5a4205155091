/* transport/net/look.h - everything that the stack knows, for tools.
 *
 * Purpose    What `ss`, `ip addr`, `ip neigh`, `ip route` and `nstat` show of a kernel, of our own stack.
 * Shape      Tables are read by a cursor that starts with 0:
 *                uint32_t at = 0;
 *                while (at != NET_NONE)
 *                    if (ewi_net_look_conn(net, &at, &row)) ... row
 *            A call looks at NET_LOOK_SLOTS slots at most; false with a cursor that is not NET_NONE means that
 *            they were empty. Between two calls anything may change: a row that is there all the time is
 *            seen once, one that comes or goes may be missed.
 * Owner      rows are copies; text in them is constant
 * Threads    one caller at a time
 * Trust      a cursor may be any number: at worst there is nothing behind it
 * Errors     none
 * Invariants I1  nothing changes but the clock, by ewi_net_look_at.
 *            I2  a call takes a bounded time, whatever the size of the table.
 * Ordering   single threaded
 * Source     RFC 4022, 4293 (what is worth telling); ss(8)
 */
#ifndef EWI_TRANSPORT_NET_LOOK_H
#define EWI_TRANSPORT_NET_LOOK_H

#include "transport/net/neighbour.h"
#include "transport/net/net.h"

enum { NET_LOOK_SLOTS = 256 };

/* Ages in rows are counted from here: the last time that the stack was given may be long ago. */
void ewi_net_look_at(struct ewi_net *net, uint64_t now);

struct net_look_conn {
    struct stack_addr local, remote;
    struct net_tcp_info info;
    uint64_t user;     /* of connect or accept; 0 while is_pending */
    ewi_stream stream;
    bool is_pending;   /* not accepted yet */
    bool is_finished;  /* the user is gone */
    bool is_passive;   /* opened by the peer */
};
bool ewi_net_look_conn(struct ewi_net *net, uint32_t *at, struct net_look_conn *out);

struct net_look_listener {
    struct stack_addr local; /* family 0: both, with any address */
    uint32_t waiting, backlog; /* to be accepted, and how many may wait */
    uint32_t half_open;
};
bool ewi_net_look_listener(struct ewi_net *net, uint32_t *at, struct net_look_listener *out);

struct net_look_neighbour {
    struct stack_addr at;
    uint8_t mac[6];
    uint16_t port;
    enum net_neighbour_state state; /* now: an answer that is too old is STALE */
    bool is_static, is_known;       /* known: there is a mac */
    uint8_t asked;
    uint32_t waiting;               /* packets that wait for its address */
};
bool ewi_net_look_neighbour(struct ewi_net *net, uint32_t *at, struct net_look_neighbour *out);
/* "reachable", as `ip neigh` says it. */
const char *ewi_net_look_neighbour_state(const struct net_look_neighbour *neighbour);

struct net_look_route {
    struct stack_addr to, via; /* via.family 0: on the link */
    unsigned prefix;
    uint16_t port;
};
bool ewi_net_look_route(struct ewi_net *net, uint32_t *at, struct net_look_route *out);

struct net_look_address {
    struct stack_addr at;
    unsigned prefix;
    uint16_t port;
    enum net_address_state state;
    bool has_other;   /* somebody else has it, or wanted it, too: */
    uint8_t other[6];
};
bool ewi_net_look_address(struct ewi_net *net, uint32_t *at, struct net_look_address *out);

struct net_look_port {
    struct net_port_config config;
    uint16_t port;
};
bool ewi_net_look_port(struct ewi_net *net, uint32_t *at, struct net_look_port *out);

struct net_look_path {
    struct stack_addr to;
    uint16_t mtu;
    uint64_t age_ns; /* since it was learned; after NET_PATH_NS it counts no more */
};
bool ewi_net_look_path(struct ewi_net *net, uint32_t *at, struct net_look_path *out);

struct net_look_limit {
    const char *name, *text;
    uint64_t used, max;
    uint64_t used_max; /* the most there ever were; 0: not counted */
    uint64_t refused;  /* how often there was none left; UINT64_MAX: not counted */
};
bool ewi_net_look_limit(struct ewi_net *net, uint32_t *at, struct net_look_limit *out);

#endif
