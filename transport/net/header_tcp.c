#include "transport/net/header_tcp.h"

#include <string.h>

#include "shm/base.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"

enum { /* kinds and lengths: RFC 9293 section 3.2, RFC 7323 sections 2.2, 3.2, RFC 2018 */
    KIND_END = 0,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_SCALE = 3,
    KIND_SACK_PERMITTED = 4,
    KIND_SACK = 5,
    KIND_TIMES = 8,
    MSS_BYTES = 4,
    SCALE_BYTES = 3,
    SACK_PERMITTED_BYTES = 2,
    SACK_BLOCK_BYTES = 8,
    TIMES_BYTES = 10,
};

/* ---- parse ---- */

/* RFC 9293 section 3.7.1: only in a SYN. 0 would mean that nothing may ever be sent. */
static bool take_mss(const uint8_t *at, size_t bytes, struct net_tcp *out)
{
    if (bytes != MSS_BYTES || (out->flags & NET_TCP_SYN) == 0 || ewi_net_get_u16(at + 2) == 0)
        return false;
    out->mss = ewi_net_get_u16(at + 2);
    out->has |= NET_TCP_HAS_MSS;
    return true;
}

/* RFC 7323 sections 2.2, 2.3 */
static bool take_scale(const uint8_t *at, size_t bytes, struct net_tcp *out)
{
    if (bytes != SCALE_BYTES || (out->flags & NET_TCP_SYN) == 0)
        return false;
    out->scale = at[2];
    out->has |= NET_TCP_HAS_SCALE;
    if (out->scale > NET_TCP_SCALE_MAX) {
        out->scale = NET_TCP_SCALE_MAX;
        out->notes |= NET_TCP_NOTE_SCALE_CLAMPED;
    }
    return true;
}

/* RFC 2018 section 2 */
static bool take_sack_permitted(size_t bytes, struct net_tcp *out)
{
    if (bytes != SACK_PERMITTED_BYTES || (out->flags & NET_TCP_SYN) == 0)
        return false;
    out->has |= NET_TCP_HAS_SACK_PERMITTED;
    return true;
}

/* RFC 2018 section 3; whether the blocks make sense, the connection knows. */
static bool take_sack(const uint8_t *at, size_t bytes, struct net_tcp *out)
{
    size_t blocks = (bytes - 2) / SACK_BLOCK_BYTES;

    if ((bytes - 2) % SACK_BLOCK_BYTES != 0 || blocks == 0 || (out->flags & NET_TCP_SYN) != 0)
        return false;
    out->sacks = (uint8_t)blocks; /* at most 4: 40 bytes of options */
    for (size_t i = 0; i < blocks; i++) {
        out->sack[i].left = ewi_net_get_u32(at + 2 + i * SACK_BLOCK_BYTES);
        out->sack[i].right = ewi_net_get_u32(at + 6 + i * SACK_BLOCK_BYTES);
    }
    return true;
}

static void put_times(const uint8_t *at, struct net_tcp *out)
{
    out->time = ewi_net_get_u32(at);
    out->time_echo = (out->flags & NET_TCP_ACK) != 0 ? ewi_net_get_u32(at + 4) : 0;
    out->has |= NET_TCP_HAS_TIMES;
}

/* RFC 7323 section 3.2 */
static bool take_times(const uint8_t *at, size_t bytes, struct net_tcp *out)
{
    if (bytes != TIMES_BYTES)
        return false;
    put_times(at + 2, out);
    return true;
}

static bool take_option(const uint8_t *at, size_t bytes, struct net_tcp *out)
{
    switch (at[0]) {
    case KIND_MSS:
        return take_mss(at, bytes, out);
    case KIND_SCALE:
        return take_scale(at, bytes, out);
    case KIND_SACK_PERMITTED:
        return take_sack_permitted(bytes, out);
    case KIND_SACK:
        return take_sack(at, bytes, out);
    case KIND_TIMES:
        return take_times(at, bytes, out);
    default:
        return false;
    }
}

/* RFC 9293 section 3.1, "Options": MUST-5 to MUST-7. */
static enum net_code take_options(const uint8_t *at, size_t bytes, struct net_tcp *out)
{
    while (bytes > 0 && at[0] != KIND_END) {
        size_t option_bytes = 1;

        if (at[0] != KIND_NOP) {
            if (bytes < 2 || at[1] < 2 || at[1] > bytes)
                return NET_BAD_OPTION;
            option_bytes = at[1];
            if (!take_option(at, option_bytes, out))
                out->notes |= NET_TCP_NOTE_SKIPPED;
        }
        at += option_bytes;
        bytes -= option_bytes;
    }
    return NET_OK;
}

/* NOP, NOP, timestamps and nothing else: nearly every segment of nearly every connection. */
static bool is_times_alone(const uint8_t *options, size_t bytes)
{
    static const uint8_t usual[4] = {KIND_NOP, KIND_NOP, KIND_TIMES, TIMES_BYTES};

    return bytes == 12 && memcmp(options, usual, sizeof(usual)) == 0;
}

static bool is_checksum_good(const uint8_t *bytes, size_t length, uint32_t addresses)
{
    uint32_t sum;

    if (addresses == NET_SUM_BY_DEVICE)
        return true;
    sum = ewi_net_sum_pseudo(addresses, NET_TCP, (uint32_t)length);
    return ewi_net_sum_is_good(ewi_net_sum_add(sum, ewi_net_sum(bytes, length)));
}

enum net_code ewi_net_tcp_parse(const uint8_t *bytes, size_t length, uint32_t addresses,
                                struct net_tcp *out)
{
    size_t option_bytes;

    if (length < NET_TCP_BYTES)
        return NET_TOO_SHORT;
    out->header_bytes = (uint8_t)((bytes[12] >> 4) * 4);
    if (out->header_bytes < NET_TCP_BYTES)
        return NET_BAD_LENGTH;
    if (out->header_bytes > length)
        return NET_TOO_SHORT;
    if (!is_checksum_good(bytes, length, addresses)) /* RFC 9293 section 3.1: MUST-3 */
        return NET_BAD_CHECKSUM;
    out->source_port = ewi_net_get_u16(bytes);
    out->destination_port = ewi_net_get_u16(bytes + 2);
    out->sequence = ewi_net_get_u32(bytes + 4);
    out->acknowledgment = ewi_net_get_u32(bytes + 8);
    out->flags = bytes[13]; /* the reserved bits before it are ignored: RFC 9293 section 3.1 */
    out->window = ewi_net_get_u16(bytes + 14);
    out->urgent = ewi_net_get_u16(bytes + 18);
    out->has = out->notes = out->sacks = out->scale = 0;
    out->mss = 0;
    out->time = out->time_echo = 0;
    option_bytes = (size_t)out->header_bytes - NET_TCP_BYTES;
    if (is_times_alone(bytes + NET_TCP_BYTES, option_bytes)) {
        put_times(bytes + NET_TCP_BYTES + 4, out);
        return NET_OK;
    }
    return take_options(bytes + NET_TCP_BYTES, option_bytes, out);
}

/* ---- build ---- */

static bool has(const struct net_tcp *tcp, enum net_tcp_has what)
{
    return (tcp->has & what) != 0;
}

static uint8_t *put_bytes(uint8_t *at, uint8_t first, uint8_t second)
{
    at[0] = first;
    at[1] = second;
    return at + 2;
}

static uint8_t *put_mss(uint8_t *at, const struct net_tcp *tcp)
{
    at = put_bytes(at, KIND_MSS, MSS_BYTES);
    ewi_net_put_u16(at, tcp->mss);
    return at + 2;
}

static uint8_t *put_scale(uint8_t *at, const struct net_tcp *tcp)
{
    EWI_ASSERT(tcp->scale <= NET_TCP_SCALE_MAX);
    at = put_bytes(at, KIND_NOP, KIND_SCALE);
    return put_bytes(at, SCALE_BYTES, tcp->scale);
}

/* RFC 7323 section 3.2: without ACK the echo is 0. */
static uint8_t *put_times_option(uint8_t *at, const struct net_tcp *tcp)
{
    at = put_bytes(at, KIND_TIMES, TIMES_BYTES);
    ewi_net_put_u32(at, tcp->time);
    ewi_net_put_u32(at + 4, (tcp->flags & NET_TCP_ACK) != 0 ? tcp->time_echo : 0);
    return at + 8;
}

/* As Linux does: SACK permitted takes the place of the two NOPs before the timestamps. */
static uint8_t *put_syn_linux(uint8_t *at, const struct net_tcp *tcp)
{
    if (has(tcp, NET_TCP_HAS_MSS))
        at = put_mss(at, tcp);
    if (has(tcp, NET_TCP_HAS_SACK_PERMITTED) && !has(tcp, NET_TCP_HAS_TIMES))
        at = put_bytes(at, KIND_NOP, KIND_NOP);
    if (has(tcp, NET_TCP_HAS_SACK_PERMITTED))
        at = put_bytes(at, KIND_SACK_PERMITTED, SACK_PERMITTED_BYTES);
    else if (has(tcp, NET_TCP_HAS_TIMES))
        at = put_bytes(at, KIND_NOP, KIND_NOP);
    if (has(tcp, NET_TCP_HAS_TIMES))
        at = put_times_option(at, tcp);
    return has(tcp, NET_TCP_HAS_SCALE) ? put_scale(at, tcp) : at;
}

/* As 4.4BSD and its children do: timestamps are aligned by NOPs, the rest is padded with zeros. */
static uint8_t *put_syn_plain(uint8_t *at, const struct net_tcp *tcp)
{
    if (has(tcp, NET_TCP_HAS_MSS))
        at = put_mss(at, tcp);
    if (has(tcp, NET_TCP_HAS_SCALE))
        at = put_scale(at, tcp);
    if (has(tcp, NET_TCP_HAS_SACK_PERMITTED))
        at = put_bytes(at, KIND_SACK_PERMITTED, SACK_PERMITTED_BYTES);
    if (has(tcp, NET_TCP_HAS_TIMES)) {
        if (!has(tcp, NET_TCP_HAS_SACK_PERMITTED))
            at = put_bytes(at, KIND_NOP, KIND_NOP);
        return put_times_option(at, tcp);
    }
    return has(tcp, NET_TCP_HAS_SACK_PERMITTED) ? put_bytes(at, KIND_END, KIND_END) : at;
}

static size_t sacks_that_fit(const struct net_tcp *tcp)
{
    size_t most = has(tcp, NET_TCP_HAS_TIMES) ? NET_TCP_SACK_MAX - 1 : NET_TCP_SACK_MAX;

    return tcp->sacks < most ? tcp->sacks : most;
}

/* RFC 7323 appendix A; RFC 2018 section 3 */
static uint8_t *put_segment_options(uint8_t *at, const struct net_tcp *tcp)
{
    size_t sacks = sacks_that_fit(tcp);

    if (has(tcp, NET_TCP_HAS_TIMES)) {
        at = put_bytes(at, KIND_NOP, KIND_NOP);
        at = put_times_option(at, tcp);
    }
    if (sacks == 0)
        return at;
    at = put_bytes(at, KIND_NOP, KIND_NOP);
    at = put_bytes(at, KIND_SACK, (uint8_t)(2 + sacks * SACK_BLOCK_BYTES));
    for (size_t i = 0; i < sacks; i++, at += SACK_BLOCK_BYTES) {
        ewi_net_put_u32(at, tcp->sack[i].left);
        ewi_net_put_u32(at + 4, tcp->sack[i].right);
    }
    return at;
}

size_t ewi_net_tcp_header_bytes(const struct net_tcp *tcp)
{
    bool is_syn = (tcp->flags & NET_TCP_SYN) != 0;
    bool times = has(tcp, NET_TCP_HAS_TIMES);
    size_t bytes = NET_TCP_BYTES + (times ? 12 : 0);

    if (!is_syn)
        return bytes + (tcp->sacks > 0 ? 4 + sacks_that_fit(tcp) * SACK_BLOCK_BYTES : 0);
    bytes += has(tcp, NET_TCP_HAS_MSS) ? 4 : 0;
    bytes += has(tcp, NET_TCP_HAS_SCALE) ? 4 : 0;
    return bytes + (has(tcp, NET_TCP_HAS_SACK_PERMITTED) && !times ? 4 : 0);
}

static uint8_t *put_options(uint8_t *at, const struct net_tcp *tcp, enum net_tcp_order order)
{
    if ((tcp->flags & NET_TCP_SYN) == 0)
        return put_segment_options(at, tcp);
    return order == NET_TCP_ORDER_LINUX ? put_syn_linux(at, tcp) : put_syn_plain(at, tcp);
}

/* Timestamps and nothing else, as is_times_alone() finds them: summed while it is in registers. */
static size_t build_with_times(uint8_t *out, const struct net_tcp *tcp, uint32_t addresses,
                               uint32_t payload, size_t payload_bytes)
{
    const uint32_t bytes = NET_TCP_BYTES + 12, length = bytes + (uint32_t)payload_bytes;
    const uint32_t usual = KIND_NOP << 24 | KIND_NOP << 16 | KIND_TIMES << 8 | TIMES_BYTES;
    uint32_t ports = (uint32_t)tcp->source_port << 16 | tcp->destination_port;
    uint32_t fourth = bytes / 4 << 28 | (uint32_t)tcp->flags << 16 | tcp->window;
    uint32_t echo = (tcp->flags & NET_TCP_ACK) != 0 ? tcp->time_echo : 0;
    uint32_t check = ewi_net_sum_pseudo(addresses, NET_TCP, length);

    EWI_ASSERT(payload_bytes <= UINT16_MAX - bytes);
    if (payload != NET_SUM_BY_DEVICE)
        check = ewi_net_sum_finish(ewi_net_sum_fold((uint64_t)check + payload + ports + tcp->sequence +
                                                    tcp->acknowledgment + fourth + tcp->urgent +
                                                    usual + tcp->time + echo));
    ewi_net_put_u32(out, ports);
    ewi_net_put_u32(out + 4, tcp->sequence);
    ewi_net_put_u32(out + 8, tcp->acknowledgment);
    ewi_net_put_u32(out + 12, fourth);
    ewi_net_put_u32(out + 16, (check & 0xffff) << 16 | tcp->urgent);
    ewi_net_put_u32(out + 20, usual);
    ewi_net_put_u32(out + 24, tcp->time);
    ewi_net_put_u32(out + 28, echo);
    return bytes;
}

static size_t build(uint8_t out[NET_TCP_BYTES_MAX], const struct net_tcp *tcp,
                    enum net_tcp_order order, uint32_t addresses, uint32_t payload,
                    size_t payload_bytes)
{
    size_t bytes = (size_t)(put_options(out + NET_TCP_BYTES, tcp, order) - out);
    uint32_t pseudo = ewi_net_sum_pseudo(addresses, NET_TCP, (uint32_t)(bytes + payload_bytes));

    EWI_ASSERT(payload_bytes <= UINT16_MAX - bytes);
    ewi_net_put_u16(out, tcp->source_port);
    ewi_net_put_u16(out + 2, tcp->destination_port);
    ewi_net_put_u32(out + 4, tcp->sequence);
    ewi_net_put_u32(out + 8, tcp->acknowledgment);
    out[12] = (uint8_t)(bytes / 4 << 4);
    out[13] = tcp->flags;
    ewi_net_put_u16(out + 14, tcp->window);
    ewi_net_put_u16(out + 16, (uint16_t)pseudo);
    ewi_net_put_u16(out + 18, tcp->urgent);
    if (payload == NET_SUM_BY_DEVICE)
        return bytes;
    /* the pseudo-header's sum is already where the checksum goes */
    ewi_net_put_u16(out + 16, ewi_net_sum_finish(ewi_net_sum_add(ewi_net_sum(out, bytes), payload)));
    return bytes;
}

size_t ewi_net_tcp_build(uint8_t out[NET_TCP_BYTES_MAX], const struct net_tcp *tcp,
                         enum net_tcp_order order, uint32_t addresses, uint32_t payload,
                         size_t payload_bytes)
{
    if (tcp->has == NET_TCP_HAS_TIMES && tcp->sacks == 0 && (tcp->flags & NET_TCP_SYN) == 0)
        return build_with_times(out, tcp, addresses, payload, payload_bytes);
    return build(out, tcp, order, addresses, payload, payload_bytes);
}
