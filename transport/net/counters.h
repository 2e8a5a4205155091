/* transport/net/counters.h - everything that is counted, with names.
 *
 * Purpose    A dropped packet is never silent: each reason has its own counter, and `explain`, tests
 *            and tools print them all from one list.
 * Shape      NET_COUNTERS(ROW) has a line ROW(name, what it counts) for each; it makes the struct
 *            and the table of names. Add lines to the group of your layer; order is no interface.
 * Owner      one struct in the stack
 * Threads    one writer; a reader on another thread may see any of the last values
 * Trust      hostile packets decide how fast these grow; a u64 does not wrap in a lifetime
 * Errors     none
 * Invariants I1  a packet that arrives is counted in rx_packets, and in accepted or in exactly one
 *                drop_ counter, so they add up; nothing else counts in a drop_ counter.
 * Ordering   single threaded
 * Source     RFC 2863 section 3.1.15 (discards apart from errors)
 */
#ifndef EWI_TRANSPORT_NET_COUNTERS_H
#define EWI_TRANSPORT_NET_COUNTERS_H

#include <string.h>

#include "transport/net/rows.h"

/* clang-format off */
#define NET_COUNTERS(ROW)                                                                          \
    /* the shell's side */                                                                         \
    ROW(rx_packets,            "packets given to the stack")                                       \
    ROW(rx_bytes,              "their bytes")                                                      \
    ROW(tx_frames,             "frames given to the shell")                                        \
    ROW(tx_bytes,              "their bytes")                                                      \
    ROW(accepted,              "packets that some layer used")                                     \
    /* link */                                                                                     \
    ROW(drop_link_short,       "frame ends inside its link header")                                \
    ROW(drop_link_address,     "frame for another station")                                        \
    ROW(drop_link_type,        "no such network protocol here")                                    \
    ROW(drop_neighbour,        "malformed or implausible ARP or NDP message")                      \
    ROW(drop_neighbour_other,  "ARP or NDP message that concerns nobody here")                     \
    ROW(neighbour_queue_full,  "packets not sent: pushed out while an address was resolved")       \
    ROW(neighbour_unreachable, "packets not sent: nobody answered for the address")                \
    ROW(neighbour_limited,     "answers of ARP and NDP not sent: enough were on their way")        \
    ROW(neighbour_ignored,     "router advertisements and redirects: routes are configured")       \
    ROW(address_conflicts,     "messages of others who have or want an address of ours")           \
    ROW(address_announced,     "announcements of addresses of ours: ARP, NDP")                     \
    ROW(frame_too_small,       "packets not sent: longer than the shell's frame or the MTU now")   \
    /* network */                                                                                  \
    ROW(drop_ip_header,        "malformed IPv4 or IPv6 header")                                    \
    ROW(drop_ip_checksum,      "IPv4 header checksum is wrong")                                    \
    ROW(drop_ip_length,        "shorter than its header says")                                     \
    ROW(drop_ip_address,       "impossible source, or a destination that is not ours")             \
    ROW(drop_ip_options,       "options or extension headers that are not taken")                  \
    ROW(drop_ip_protocol,      "no such transport protocol here")                                  \
    ROW(drop_fragment,         "malformed or overlapping fragment")                                \
    ROW(drop_fragment_memory,  "fragment beyond the limits of reassembly")                         \
    ROW(fragments_late,        "fragments given up: their datagram never became whole")            \
    ROW(drop_icmp,             "malformed ICMP message, or an error about nothing of ours")        \
    ROW(ping_sent,             "echo requests of ours")                                            \
    ROW(ping_answered,         "answers to them")                                                  \
    ROW(icmp_limited,          "ICMP messages not sent: rate limit")                               \
    ROW(no_route,              "packets not sent: no route")                                       \
    /* transport */                                                                                \
    ROW(drop_udp_header,       "malformed UDP header")                                             \
    ROW(drop_udp_checksum,     "UDP checksum is wrong")                                            \
    ROW(drop_udp_port,         "UDP datagram to a port that nobody has")                           \
    ROW(drop_udp_memory,       "UDP datagram to a full endpoint")                                  \
    ROW(drop_tcp_header,       "malformed TCP header or options")                                  \
    ROW(drop_tcp_checksum,     "TCP checksum is wrong")                                            \
    ROW(drop_tcp_connection,   "segment for no connection and no listener")                        \
    ROW(drop_tcp_sequence,     "segment outside the window")                                       \
    ROW(drop_tcp_paws,         "segment with an old timestamp")                                    \
    ROW(drop_tcp_backlog,      "SYN to a listener with a full queue")                              \
    ROW(drop_tcp_memory,       "segment without room to keep it")                                  \
    ROW(tcp_memory_dropped,    "segments of a connection without room to keep them")                  \
    ROW(tcp_squeezed,          "packets out of order given up for some in order")                   \
    ROW(tcp_reset_sent,        "RST segments sent")                                                \
    ROW(tcp_reset_limited,     "RST segments not sent: rate limit")                                \
    ROW(tcp_challenge_sent,    "challenge ACKs sent (RFC 5961)")                                   \
    ROW(tcp_challenge_limited, "challenge ACKs not sent: rate limit")                              \
    ROW(tcp_cookies_sent,      "SYN cookies sent (RFC 4987)")                                      \
    ROW(tcp_cookies_taken,     "connections opened by a cookie")                                   \
    ROW(tcp_cookies_bad,       "ACKs with a cookie that is not ours")                              \
    /* tables */                                                                                   \
    ROW(full_connections,      "connections refused: as many as there may be")                     \
    ROW(full_packets,          "packets refused: no descriptor left")                              \
    ROW(full_slots,            "packets not sent: no slot left")                                   \
    ROW(full_ports,            "connects refused: no local port left")
/* clang-format on */

#define NET_COUNTERS_FIELD(name, text) uint64_t name;
#define NET_COUNTERS_ROW(name, text) {#name, text},
#define NET_COUNTERS_ONE(name, text) +1

struct net_counters {
    NET_COUNTERS(NET_COUNTERS_FIELD)
};

struct net_counters_name {
    const char *name, *text;
};

enum { NET_COUNTERS_COUNT = 0 NET_COUNTERS(NET_COUNTERS_ONE) };
static_assert(sizeof(struct net_counters) == NET_COUNTERS_COUNT * sizeof(uint64_t), "no padding");

/* NULL: there are not so many. */
static inline const struct net_counters_name *ewi_net_counters_name(uint32_t i)
{
    static const struct net_counters_name names[] = {NET_COUNTERS(NET_COUNTERS_ROW)};

    return i < NET_COUNTERS_COUNT ? &names[i] : NULL;
}

static inline uint64_t ewi_net_counters_value(const struct net_counters *counters, uint32_t i)
{
    uint64_t value;

    EWI_ASSERT(i < NET_COUNTERS_COUNT);
    memcpy(&value, (const uint8_t *)counters + i * sizeof(value), sizeof(value));
    return value;
}

#undef NET_COUNTERS_FIELD
#undef NET_COUNTERS_ROW
#undef NET_COUNTERS_ONE

#endif
