/* transport/net/icmp.h - between IP's input and ICMP, for both versions.
 *
 * Purpose    Answer echoes, tell the transports what routers say about packets of theirs, tell senders
 *            what became of theirs.
 * Shape      icmp_input.c: what arrives; icmp_output.c: what leaves, within limits
 * Owner      the stack
 * Threads    one caller at a time
 * Trust      messages are hostile: an error counts only if it quotes a packet that we could have sent
 *            and the transport finds that it did
 * Errors     counters
 * Invariants I1  no error about an error, a group, an unspecified source, a later fragment.
 *            I2  errors: NET_ICMP_ERRORS a second in total, fewer for one destination; echoes:
 *                NET_ICMP_ECHOES a second.
 *            I3  an echo reply counts only if ping.h asked for it.
 * Ordering   single threaded
 * Source     RFC 792, 1122 section 3.2.2, 1812 section 4.3, 4443, 5927 section 4
 */
#ifndef EWI_TRANSPORT_NET_ICMP_H
#define EWI_TRANSPORT_NET_ICMP_H

#include "transport/net/whole.h"

enum { /* per second, and at once */
    NET_ICMP_ERRORS = 1000,
    NET_ICMP_ERRORS_BURST = 50,
    NET_ICMP_ERRORS_TO = 10,
    NET_ICMP_ERRORS_TO_BURST = 5,
    NET_ICMP_ECHOES = 10000,
    NET_ICMP_ECHOES_BURST = 1000,
};

void ewi_net_icmp4_input(struct ewi_net *net, struct net_arrived *arrived);
void ewi_net_icmp6_input(struct ewi_net *net, struct net_arrived *arrived);
/* The answer to an echo request that arrived. */
void ewi_net_icmp_echo(struct ewi_net *net, const struct net_arrived *arrived, uint32_t rest);
/* An echo request with this payload. 0, -ENOBUFS (no slot), -EHOSTUNREACH. */
int ewi_net_icmp_ask(struct ewi_net *net, const struct net_tuple *tuple, uint32_t rest,
                     const uint8_t *payload, uint32_t bytes);
/* ICMPv6 parameter problem; even_to_group: RFC 4443 section 2.4 (e.3). */
void ewi_net_icmp6_problem(struct ewi_net *net, const struct net_arrived *arrived, uint8_t code,
                           uint32_t pointer, bool even_to_group);

static inline bool ewi_net_icmp6_is_ndp(uint8_t type)
{
    return type >= NET_NDP_RS && type <= NET_NDP_REDIRECT;
}

#endif
