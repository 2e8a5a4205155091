/* What is true of every segment that leaves, whatever the script is about. */
#include "tests/pkt/pkt_segment.h"

/* RFC 9293 section 3.2: options have the lengths of their RFCs and are where they may be. */
static void judge_options(const struct pkt_flow *flow, const struct pkt_packet *packet)
{
    static const uint8_t lengths[] = {[PKT_OPTION_MSS] = 4, [PKT_OPTION_SCALE] = 3,
                                      [PKT_OPTION_SACK_OK] = 2, [PKT_OPTION_TIMES] = 10};
    bool syn = (packet->flags & PKT_SYN) != 0, wrong;
    struct pkt_option option;
    uint32_t at = 0, seen = 0;

    while (pkt_option_next(packet, &at, &option, &wrong)) {
        if (option.kind <= PKT_OPTION_NOP)
            continue;
        if (option.kind > PKT_OPTION_TIMES)
            pkt_fail("judge: option of kind %u", option.kind);
        if ((seen >> option.kind & 1) != 0)
            pkt_fail("judge: option of kind %u twice", option.kind);
        seen |= 1u << option.kind;
        if (option.kind < sizeof(lengths) && lengths[option.kind] != 0 &&
            option.length != lengths[option.kind])
            pkt_fail("judge: option of kind %u has length %u", option.kind, option.length);
        if (!syn && (option.kind == PKT_OPTION_MSS || option.kind == PKT_OPTION_SCALE ||
                     option.kind == PKT_OPTION_SACK_OK))
            pkt_fail("judge: option of kind %u without SYN", option.kind);
        if (option.kind == PKT_OPTION_SCALE && option.data[0] > 14)
            pkt_fail("judge: window scale %u, at most 14: RFC 7323 section 2.3", option.data[0]);
        if (option.kind == PKT_OPTION_TIMES && (packet->flags & PKT_ACK) == 0 &&
            (packet->flags & PKT_RST) == 0 && pkt_get32(option.data + 4) != 0)
            pkt_fail("judge: TSecr without ACK is not 0: RFC 7323 section 3.2");
        if (option.kind == PKT_OPTION_SCALE && !flow->active && flow->peer_syn &&
            flow->peer_scale < 0)
            pkt_fail("judge: window scale, though the peer's SYN had none: RFC 7323 section 2.2");
    }
    if (wrong)
        pkt_fail("judge: malformed options");
}

/* RFC 2018 section 3, RFC 2883 section 4: blocks lie above the ACK and below what arrived; only the
 * first may be about a duplicate. */
static void judge_sack(const struct pkt_flow *flow, const struct pkt_packet *packet)
{
    struct pkt_option option;
    uint32_t left[4], right[4], blocks;

    if (!pkt_option_find(packet, PKT_OPTION_SACK, &option))
        return;
    blocks = (option.length - 2u) / 8;
    if (option.length != 2 + 8 * blocks || blocks == 0 || blocks > 4)
        pkt_fail("judge: a SACK option of %u bytes", option.length);
    for (uint32_t i = 0; i < blocks; i++) {
        left[i] = pkt_get32(option.data + 8 * i) - flow->peer_iss;
        right[i] = pkt_get32(option.data + 8 * i + 4) - flow->peer_iss;
        if (left[i] >= right[i] || right[i] > flow->peer_end)
            pkt_fail("judge: SACK block %u-%u of what never arrived", left[i], right[i]);
        if (i > 0 && (int32_t)(left[i] + flow->peer_iss - packet->acknowledgment) <= 0)
            pkt_fail("judge: SACK block %u-%u is not above the ACK", left[i], right[i]);
    }
}

/* The acknowledgement never goes back, the window never shrinks: RFC 9293 section 3.8.6. */
static void judge_ack(struct pkt_flow *flow, const struct pkt_packet *packet)
{
    bool syn = (packet->flags & PKT_SYN) != 0;
    bool scaled = !syn && flow->stack_scale >= 0 && flow->peer_scale >= 0;
    uint32_t window = (uint32_t)packet->window << (scaled ? flow->stack_scale : 0);
    uint32_t edge = packet->acknowledgment + window;

    if (packet->acknowledgment - flow->peer_iss > flow->peer_end)
        pkt_fail("judge: the stack acknowledges %u, which was never sent",
                 packet->acknowledgment - flow->peer_iss);
    if (flow->has_edge && !syn) {
        if ((int32_t)(packet->acknowledgment - flow->ack) < 0)
            pkt_fail("judge: the acknowledgement goes back by %d",
                     (int32_t)(flow->ack - packet->acknowledgment));
        if (flow->peer_fin == 0 && (int32_t)(edge - flow->edge) < 0)
            pkt_fail("judge: the window shrinks by %d", (int32_t)(flow->edge - edge));
    }
    flow->has_edge = true;
    flow->edge = edge;
    flow->ack = packet->acknowledgment;
}

static void judge_payload(const struct pkt_flow *flow, const struct pkt_packet *packet)
{
    uint32_t from = packet->sequence - flow->stack_iss - 1;
    unsigned side = pkt_side(flow, true);

    if (packet->payload_bytes == 0)
        return;
    if ((packet->flags & (PKT_SYN | PKT_RST)) != 0)
        pkt_fail("judge: payload in a SYN or RST");
    if ((uint64_t)from + packet->payload_bytes > flow->sent)
        pkt_fail("judge: bytes %u..%u were never given to send", from,
                 from + packet->payload_bytes);
    for (uint32_t i = 0; i < packet->payload_bytes; i++)
        if (packet->payload[i] != pkt_byte(side, from + i))
            pkt_fail("judge: byte %u of the stream has another value than send gave", from + i);
}

void pkt_judge(struct pkt_flow *flow, const struct pkt_packet *packet)
{
    uint8_t flags = packet->flags;

    if ((flags & PKT_SYN) != 0 && (flags & (PKT_RST | PKT_FIN)) != 0)
        pkt_fail("judge: SYN with RST or FIN");
    if ((flags & (PKT_SYN | PKT_RST | PKT_ACK)) == 0)
        pkt_fail("judge: neither SYN, RST nor ACK");
    if ((flags & PKT_URG) != 0)
        pkt_fail("judge: URG, which this stack never sends");
    if (packet->hop_limit == 0)
        pkt_fail("judge: hop limit 0");
    judge_options(flow, packet);
    if ((flags & PKT_RST) != 0) {
        if (packet->payload_bytes != 0)
            pkt_fail("judge: RST with payload");
        return;
    }
    if ((packet->traffic_class & 3) != 0 && packet->payload_bytes == 0)
        pkt_fail("judge: an ECN codepoint on a segment without data: RFC 3168 section 6.1.4");
    if ((flags & PKT_SYN) == 0)
        judge_payload(flow, packet);
    if ((flags & PKT_FIN) != 0 &&
        (!flow->stack_fin || packet->sequence + packet->payload_bytes - flow->stack_iss - 1 !=
                                 (uint32_t)flow->sent))
        pkt_fail("judge: a FIN that is not behind the last byte, or that nobody asked for");
    if ((flags & PKT_ACK) != 0) {
        judge_ack(flow, packet);
        judge_sack(flow, packet);
    }
}
