/* tests/pkt/pkt_wire.h - packets as bytes: built and judged without any code of the stack.
 *
 * Purpose    The scripts' own view of the wire, so that a mistake in the stack's formats shows.
 * Shape      struct pkt_packet: one TCP segment with what matters of its IP header.
 *            options: as they lie in the header, kinds in PKT_OPTION_...
 * Owner      values; options and payload point into the packet that was parsed
 * Threads    one
 * Trust      what the stack wrote is judged to the last bit: a sentence says what is wrong
 * Errors     pkt_parse returns the sentence, NULL: well formed
 * Invariants none
 * Ordering   single threaded
 * Source     RFC 791, 8200, 9293 section 3.1, 792, 4443
 */
#ifndef TESTS_PKT_WIRE_H
#define TESTS_PKT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PKT_FIN = 1, PKT_SYN = 2, PKT_RST = 4, PKT_PSH = 8, PKT_ACK = 16, PKT_URG = 32, PKT_ECE = 64,
    PKT_CWR = 128,
    PKT_OPTION_EOL = 0, PKT_OPTION_NOP = 1, PKT_OPTION_MSS = 2, PKT_OPTION_SCALE = 3,
    PKT_OPTION_SACK_OK = 4, PKT_OPTION_SACK = 5, PKT_OPTION_TIMES = 8,
    PKT_ROOM = 9300 + 100,
};

struct pkt_packet {
    int family;
    uint8_t source[16], destination[16];
    uint8_t hop_limit, traffic_class;
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledgment;
    uint16_t window, urgent;
    uint8_t flags;
    const uint8_t *options;
    uint32_t option_bytes;
    const uint8_t *payload;
    uint32_t payload_bytes;
    bool bad_sum;         /* build: make the checksum wrong */
    int data_offset;      /* build: write this one, in words; 0: the right one */
};

/* out: PKT_ROOM. Returns the length. */
uint32_t pkt_build(uint8_t *out, const struct pkt_packet *packet);
/* NULL: a well-formed TCP segment. */
const char *pkt_parse(const uint8_t *bytes, uint32_t length, struct pkt_packet *out);

enum pkt_icmp {
    PKT_ICMP_NET, PKT_ICMP_HOST, PKT_ICMP_PORT, PKT_ICMP_PROTOCOL, PKT_ICMP_PROHIBITED,
    PKT_ICMP_TOO_BIG, PKT_ICMP_TIME, PKT_ICMP_PARAMETER, PKT_ICMP_QUENCH,
};
/* An error from `from` to the source of what is quoted. quoted: a whole packet, of which at most
 * quote_bytes go in. */
uint32_t pkt_build_icmp(uint8_t *out, int family, const uint8_t from[16], enum pkt_icmp what,
                        uint32_t mtu, const uint8_t *quoted, uint32_t quote_bytes);

/* The byte of stream `side` at a position: depends on both, without a period. */
static inline uint8_t pkt_byte(unsigned side, uint64_t position)
{
    uint64_t z = (position + 1) * UINT64_C(0x9e3779b97f4a7c15);

    z += side * UINT64_C(0xbf58476d1ce4e5b9);
    z ^= z >> 31;
    return (uint8_t)((z * UINT64_C(0x94d049bb133111eb)) >> 56);
}

static inline uint32_t pkt_get16(const uint8_t *at)
{
    return (uint32_t)(at[0] << 8 | at[1]);
}

static inline uint32_t pkt_get32(const uint8_t *at)
{
    return pkt_get16(at) << 16 | pkt_get16(at + 2);
}

static inline void pkt_put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void pkt_put32(uint8_t *at, uint32_t value)
{
    pkt_put16(at, value >> 16);
    pkt_put16(at + 2, value);
}

#endif
