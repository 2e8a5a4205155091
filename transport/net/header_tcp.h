/* transport/net/header_tcp.h - the TCP header and its options: bytes to a struct and back.
 *
 * Purpose    Everything that is known about a segment before its connection is.
 * Shape      20 bytes, then 0 .. 40 bytes of options, then the payload up to the end of the packet.
 *            Numbers are in host order.
 * Owner      values; nothing points into the packet
 * Threads    any
 * Trust      every byte is hostile; a parser never reads at or beyond `length`. What build() gets
 *            is ours, and asserted.
 * Errors     NET_TOO_SHORT, NET_BAD_LENGTH (data offset below 5 words), NET_BAD_CHECKSUM,
 *            NET_BAD_OPTION: a length of 0 or 1, or beyond the header; RFC 9293 section 3.1 (MUST-7)
 *            lets us reset the connection or, as here, drop the segment. An option that we know, of
 *            a length that it cannot have, is skipped like one that we do not know (MUST-6).
 * Invariants I1  parse(build(x)) == x for every x that parse() returns, `notes` and the length of
 *                the header aside.
 *            I2  options that do not count are absent: MSS, window scale and SACK permitted
 *                without SYN, SACK blocks with SYN, an MSS of 0. Of two of a kind the last counts.
 * Ordering   none
 * Source     RFC 9293 sections 3.1, 3.2; RFC 7323 sections 2, 3; RFC 2018 sections 2, 3
 */
#ifndef EWI_TRANSPORT_NET_HEADER_TCP_H
#define EWI_TRANSPORT_NET_HEADER_TCP_H

#include "transport/net/header.h"

enum {
    NET_TCP_BYTES = 20,
    NET_TCP_BYTES_MAX = 60,
    NET_TCP_SACK_MAX = 4,
    NET_TCP_SCALE_MAX = 14, /* RFC 7323 section 2.3 */
};

enum net_tcp_flags {
    NET_TCP_FIN = 1,
    NET_TCP_SYN = 2,
    NET_TCP_RST = 4,
    NET_TCP_PSH = 8,
    NET_TCP_ACK = 16,
    NET_TCP_URG = 32,
    NET_TCP_ECE = 64,
    NET_TCP_CWR = 128,
};

enum net_tcp_has { /* which options there are */
    NET_TCP_HAS_MSS = 1,
    NET_TCP_HAS_SCALE = 2,
    NET_TCP_HAS_SACK_PERMITTED = 4,
    NET_TCP_HAS_TIMES = 8,
};

enum net_tcp_notes { /* for counters; nothing else depends on them */
    NET_TCP_NOTE_SKIPPED = 1,       /* an unknown option, or one of a wrong length or in a wrong place */
    NET_TCP_NOTE_SCALE_CLAMPED = 2, /* RFC 7323 section 2.3: above 14 counts as 14 */
};

struct net_tcp_sack {
    uint32_t left, right; /* the first byte, the one behind the last: RFC 2018 section 3 */
};

struct net_tcp {
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledgment;
    uint16_t window, urgent;
    uint8_t flags;
    uint8_t header_bytes;
    uint8_t has, notes;
    uint32_t time, time_echo; /* TSval, TSecr; the echo is 0 without ACK: RFC 7323 section 3.2 */
    uint16_t mss;
    uint8_t scale;
    uint8_t sacks;
    struct net_tcp_sack sack[NET_TCP_SACK_MAX];
};

enum net_tcp_order { /* of the options of a SYN; other segments have but one */
    NET_TCP_ORDER_LINUX, /* MSS, SACK permitted, timestamps, NOP, window scale */
    NET_TCP_ORDER_PLAIN, /* MSS, NOP, window scale, SACK permitted, timestamps: 4.4BSD's */
};

/* length: of the IP payload. addresses: ewi_net_sum_ip4 or _ip6, or NET_SUM_BY_DEVICE. */
enum net_code ewi_net_tcp_parse(const uint8_t *bytes, size_t length, uint32_t addresses,
                                struct net_tcp *out);

/* How long build() will make the header. With timestamps only three SACK blocks find room; those
 * behind are left out. */
size_t ewi_net_tcp_header_bytes(const struct net_tcp *tcp);

/* payload: partial sum of payload_bytes bytes, or NET_SUM_BY_DEVICE. Only options that may be in the
 * segment are written; header_bytes and notes do not count. */
size_t ewi_net_tcp_build(uint8_t out[NET_TCP_BYTES_MAX], const struct net_tcp *tcp,
                         enum net_tcp_order order, uint32_t addresses, uint32_t payload,
                         size_t payload_bytes);

#endif
