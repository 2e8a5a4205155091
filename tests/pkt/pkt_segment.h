/* tests/pkt/pkt_segment.h - how a script writes a segment: read, described, compared, made.
 *
 * Purpose    One notation in both directions: FLAGS SEQ[+LEN] [ack N] [win N] [(options)] [word ..]
 * Shape      FLAGS: letters of S F R P A U E W, '-' for none, small: may be there. Numbers are
 *            relative (struct pkt_flow), =N absolute. (options): a set; [options]: exactly these, in
 *            this order, padding too.
 * Owner      values
 * Threads    one
 * Trust      scripts are ours
 * Errors     pkt_fail()
 * Invariants none
 * Ordering   single threaded
 * Source     tests/pkt/README.md
 */
#ifndef TESTS_PKT_SEGMENT_H
#define TESTS_PKT_SEGMENT_H

#include "tests/pkt/pkt_world.h"

enum { PKT_ITEMS = 24, PKT_RAW = 40, PKT_ANY_ECN = -1 };

/* A timestamp: a number, a name that is bound when it is first expected, with something added. */
struct pkt_value {
    char name[16]; /* "": a number; "any" */
    int64_t add;
    bool newer;    /* >: strictly after it */
};

enum pkt_item_kind {
    PKT_ITEM_NOP, PKT_ITEM_EOL, PKT_ITEM_MSS, PKT_ITEM_SCALE, PKT_ITEM_SACK_OK, PKT_ITEM_TIMES,
    PKT_ITEM_NO_TIMES, PKT_ITEM_SACK, PKT_ITEM_RAW,
};

struct pkt_item {
    enum pkt_item_kind kind;
    struct pkt_range number;
    struct pkt_value time, echo;
    int64_t left[4], right[4];
    int count;
    uint8_t raw[PKT_RAW];
};

struct pkt_number {
    int64_t value;
    bool given, absolute;
};

struct pkt_spec {
    bool any;            /* '*' */
    uint8_t flags, flags_free; /* free: not looked at */
    struct pkt_number sequence, acknowledgment;
    uint32_t length;
    int repeat;          /* xN */
    bool has_window;
    struct pkt_range window;
    bool has_items, exact;
    struct pkt_item item[PKT_ITEMS];
    int items;
    int ecn;             /* two bits, or PKT_ANY_ECN */
    int traffic_class, hop_limit; /* -1: not given */
    bool bad_sum, inverted;
    int urgent, data_offset, cut, source_port, destination_port, source_address; /* -1: not given */
};

void pkt_spec_read(struct pkt_words *words, struct pkt_spec *spec);
/* A line that describes the segment as a script would write it. */
void pkt_describe(const struct pkt_flow *flow, const struct pkt_packet *packet, bool from_stack,
                  char *out, size_t room);
/* Initial numbers and options of a SYN. */
void pkt_learn(struct pkt_flow *flow, const struct pkt_packet *packet, bool from_stack);
/* NULL: it matches; else what does not. Valid until the next call. */
const char *pkt_mismatch(struct pkt_flow *flow, const struct pkt_spec *spec,
                         const struct pkt_packet *packet);
/* The packet that a '<' line means; returns its length. out: PKT_ROOM. */
uint32_t pkt_make(struct pkt_flow *flow, const struct pkt_spec *spec, uint8_t *out);
/* A segment as the stack would have sent it, to be quoted; payload of zeros. */
uint32_t pkt_make_quote(struct pkt_flow *flow, uint32_t sequence, uint8_t *out);

/* Options of a packet, one after the other; false: no more, or (*wrong) malformed. */
struct pkt_option {
    uint8_t kind, length;
    const uint8_t *data;
};
bool pkt_option_next(const struct pkt_packet *packet, uint32_t *at, struct pkt_option *option,
                     bool *wrong);
bool pkt_option_find(const struct pkt_packet *packet, uint8_t kind, struct pkt_option *option);

#endif
