/* transport/net/ip.h - IPv4 and IPv6 in and out, ICMP, path MTUs, datagrams in pieces.
 *
 * Purpose    Between the link and the transports: whose packet, which transport, how long a packet may
 *            be, and what the network says about packets of ours.
 * Shape      in    ewi_net_ip_input -> reassembly -> ICMP, TCP or UDP
 *            out   TCP asks for a header in front of its segment; everything else goes by slots
 * Owner      the stack
 * Threads    one caller at a time
 * Trust      packets are hostile. An ICMP error is believed only by the transport whose packet it
 *            quotes, and never lowers a path MTU below the least of its family.
 * Errors     counters
 * Invariants I1  every packet is counted once: accepted, or a drop_ counter.
 *            I2  reassembly holds at most reassemblies_max datagrams, each for at most 60 s.
 *            I3  never more than a bounded number of ICMP messages per second leaves.
 * Ordering   single threaded
 * Source     RFC 791, 792, 815, 1122 section 3, 1191, 4443, 5722, 5927, 6864, 6946, 8200, 8201
 */
#ifndef EWI_TRANSPORT_NET_IP_H
#define EWI_TRANSPORT_NET_IP_H

#include "transport/net/arrived.h"
#include "transport/net/block.h"
#include "transport/net/header_icmp.h"
#include "transport/net/limit.h"
#include "transport/net/path.h"
#include "transport/net/random.h"
#include "transport/net/reassembly.h"

struct net_config;

enum { NET_ICMP_LIMITS = 256 };

struct net_icmp_limits {
    uint8_t key[16];
    struct net_limit errors, echoes;
    struct net_limit to[NET_ICMP_LIMITS]; /* by keyed hash of the destination */
};

struct net_internet {
    struct net_ids ids;
    struct net_icmp_limits limits;
    struct net_paths paths;
    struct net_reassemblies reassemblies;
};

struct net_internet_places {
    void *paths, *path_table;
    struct net_reassembly_places reassembly;
};

void ewi_net_ip_place(struct net_block *block, const struct net_config *config,
                      struct net_internet_places *places);
void ewi_net_ip_init(struct ewi_net *net, const struct net_internet_places *places);
/* bytes, length: behind the link header; to_all: the frame was for a group or everybody. */
void ewi_net_ip_input(struct ewi_net *net, struct net_rx *rx, uint8_t *bytes, uint32_t length,
                      uint8_t family, bool to_all);
void ewi_net_ip_tick(struct ewi_net *net);
uint64_t ewi_net_ip_deadline(const struct ewi_net *net);

/* ---- out ---- */

struct net_ip_out {
    uint8_t protocol, traffic_class, hop_limit;
    uint32_t flow; /* IPv6 */
};

static inline uint32_t ewi_net_ip_header_bytes(uint8_t family)
{
    return family == 4 ? NET_IP4_BYTES : NET_IP6_BYTES;
}

/* The header of a packet that is never cut (IPv4: DF, identification 0), in front of payload_bytes;
 * returns its length. Hot: every segment of TCP. */
uint32_t ewi_net_ip_header(uint8_t *out, const struct net_tuple *tuple, const struct net_ip_out *how,
                           uint32_t payload_bytes);
/* The partial sum of both addresses. */
uint32_t ewi_net_ip_addresses(const struct net_tuple *tuple);
/* A slot whose packet has payload_bytes at packet + header_bytes: writes the header and sends it, in
 * fragments where the path needs them. may_cut false: too long for the path -> -EMSGSIZE, and the
 * slot is given back. */
int ewi_net_ip_send(struct ewi_net *net, uint32_t slot, const struct net_tuple *tuple,
                    const struct net_ip_out *how, uint32_t payload_bytes, bool may_cut);

/* ---- long datagrams that outlive their input ---- */

struct net_packet;

/* `bytes` at *at, in one piece until give: where they are if they were just put together, else a copy.
 * *at: where. NET_NONE: no room. The record is the holder's to fill in. */
uint32_t ewi_net_ip_hold(struct ewi_net *net, uint8_t **at, uint32_t bytes);
struct net_packet *ewi_net_ip_held(struct ewi_net *net, uint32_t index);
void ewi_net_ip_hold_give(struct ewi_net *net, uint32_t index);
/* As ewi_net_check. */
const char *ewi_net_ip_check(struct ewi_net *net);

/* ---- path MTU: RFC 1191, RFC 8201 ---- */

/* Of packets to tuple->remote by a port with this MTU: at most that. */
uint16_t ewi_net_path_mtu(const struct ewi_net *net, const struct net_tuple *tuple, uint16_t port_mtu);
/* A router or a black hole says so; lower than what is known, or it is ignored. False: ignored. */
bool ewi_net_path_learn(struct ewi_net *net, const struct net_tuple *tuple, uint16_t mtu);

/* ---- ICMP ---- */

enum net_icmp_why { NET_ICMP_WHY_PORT, NET_ICMP_WHY_PROTOCOL, NET_ICMP_WHY_HEADER, NET_ICMP_WHY_TIME };
/* An error about what arrived; not for groups, errors, fragments behind the first; rate limited. */
void ewi_net_icmp_report(struct ewi_net *net, const struct net_arrived *arrived,
                         enum net_icmp_why why, uint8_t code, uint32_t pointer);

enum net_icmp_news { /* what a transport is told; its return value says whether it believed it */
    NET_NEWS_SOFT,      /* unreachable network or host, time exceeded: may pass. error: EHOSTUNREACH .. */
    NET_NEWS_HARD,      /* protocol or port unreachable, administratively prohibited */
    NET_NEWS_TOO_BIG,   /* mtu */
};
struct net_icmp_told {
    enum net_icmp_news news;
    int error;    /* EHOSTUNREACH, ENETUNREACH, ECONNREFUSED, EMSGSIZE, EPROTO */
    uint16_t mtu; /* TOO_BIG: at least the least of the family; 0 when an old router did not say:
                   * the plateau below the length of what is quoted was taken */
    uint32_t sequence; /* TCP: of the segment that is quoted */
};

#endif
