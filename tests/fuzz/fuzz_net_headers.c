/* tests/fuzz/fuzz_net_headers.c - can any bytes from the wire hurt the parsers of transport/net/?
 *
 * The first byte chooses the parser and whether checksums are put right first (else nothing would
 * get behind them); the rest is a copy of exactly its size, so that ASan sees one byte too far. What
 * is accepted is built and parsed again: the same, and no shorter or longer on the second round.
 */
#include <stdlib.h>

#include "tests/c/net_dissect.h"
#include "transport/net/order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAME_BYTES_MAX = 4096, SPARE_BYTES = 256 };

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* Store what makes the sum over `bytes` and what comes with it come out right. */
static void put_right(uint8_t *bytes, size_t length, size_t at, uint32_t pseudo)
{
    if (length < at + 2)
        return;
    ewi_net_put_u16(bytes + at, 0);
    ewi_net_put_u16(bytes + at,
                    ewi_net_sum_finish_udp(ewi_net_sum_add(pseudo, ewi_net_sum(bytes, length))));
}

static size_t checksum_at(uint8_t protocol)
{
    switch (protocol) {
    case NET_TCP:
        return 16;
    case NET_UDP:
        return 6;
    default: /* ICMP of both */
        return 2;
    }
}

static void mend_l4(uint8_t *bytes, size_t length, uint8_t protocol, uint32_t addresses)
{
    uint32_t pseudo = ewi_net_sum_pseudo(addresses, protocol, (uint32_t)length);

    if (protocol != NET_TCP && protocol != NET_UDP && protocol != NET_ICMP4 && protocol != NET_ICMP6)
        return;
    if (protocol == NET_UDP && length >= NET_UDP_BYTES)
        ewi_net_put_u16(bytes + 4, (uint16_t)length);
    put_right(bytes, length, checksum_at(protocol), protocol == NET_ICMP4 ? 0 : pseudo);
}

static void mend_ip4(uint8_t *bytes, size_t length)
{
    struct net_ip4 ip;

    if (length < NET_IP4_BYTES || (size_t)(bytes[0] & 15) * 4 > length)
        return;
    bytes[0] = (uint8_t)(0x40 | (bytes[0] & 15));
    ewi_net_put_u16(bytes + 2, (uint16_t)length);
    put_right(bytes, (size_t)(bytes[0] & 15) * 4, 10, 0);
    if (ewi_net_ip4_parse(bytes, length, &ip) == NET_OK)
        mend_l4(bytes + ip.header_bytes, ip.payload_bytes, ip.protocol,
                ewi_net_sum_ip4(ip.source, ip.destination));
}

static void mend_ip6(uint8_t *bytes, size_t length)
{
    struct net_ip6_chain chain;
    struct net_ip6 ip;

    if (length < NET_IP6_BYTES)
        return;
    bytes[0] = (uint8_t)(0x60 | (bytes[0] & 15));
    ewi_net_put_u16(bytes + 4, (uint16_t)(length - NET_IP6_BYTES));
    if (ewi_net_ip6_parse(bytes, length, &ip) == NET_OK &&
        ewi_net_ip6_walk(bytes, length, &ip, &chain) == NET_OK && !chain.is_fragment)
        mend_l4(bytes + chain.header_bytes, chain.payload_bytes, chain.protocol,
                ewi_net_sum_ip6(ip.source, ip.destination));
}

static void mend(uint8_t *bytes, size_t length)
{
    struct net_ether ether;

    if (ewi_net_ether_parse(bytes, length, &ether) != NET_OK)
        return;
    if (ether.type == NET_ETHER_IP4)
        mend_ip4(bytes + ether.header_bytes, length - ether.header_bytes);
    else if (ether.type == NET_ETHER_IP6)
        mend_ip6(bytes + ether.header_bytes, length - ether.header_bytes);
}

static void try_frame(uint8_t *bytes, size_t length, enum net_tcp_order order)
{
    static uint8_t built[FRAME_BYTES_MAX + SPARE_BYTES], twice[FRAME_BYTES_MAX + SPARE_BYTES];
    struct dissected first, second;
    size_t built_bytes;

    if (dissect(bytes, length, &first) != NET_OK)
        return;
    check(first.l4_at <= length && first.payload_bytes <= length);
    built_bytes = assemble(built, &first, order);
    check(built_bytes <= length + SPARE_BYTES);
    check(dissect(built, built_bytes, &second) == NET_OK);
    check(same(&first, &second));
    check(assemble(twice, &second, order) == built_bytes);
    check(memcmp(built, twice, built_bytes) == 0);
}

static void try_tcp(const uint8_t *bytes, size_t length, enum net_tcp_order order)
{
    uint8_t built[NET_TCP_BYTES_MAX];
    struct net_tcp first, second;
    size_t built_bytes;

    if (ewi_net_tcp_parse(bytes, length, NET_SUM_BY_DEVICE, &first) != NET_OK)
        return;
    check(first.header_bytes <= length);
    built_bytes = ewi_net_tcp_build(built, &first, order, 0, 0, 0);
    check(built_bytes == ewi_net_tcp_header_bytes(&first));
    check(ewi_net_tcp_parse(built, built_bytes, 0, &second) == NET_OK);
    check(same_tcp(&first, &second));
}

static void try_ndp(const uint8_t *bytes, size_t length)
{
    uint8_t built[NET_NDP_BYTES_MAX];
    struct net_ndp first, second;
    struct net_ip6 ip;

    if (ewi_net_ip6_parse(bytes, length, &ip) != NET_OK ||
        ewi_net_ndp_parse(bytes + NET_IP6_BYTES, ip.payload_bytes, &ip, &first) != NET_OK)
        return;
    check(ewi_net_ndp_parse(built, ewi_net_ndp_build(built, &first, 0), &ip, &second) == NET_OK);
    check(same_ndp(&first, &second));
}

static void try_quotes(const uint8_t *bytes, size_t length)
{
    struct net_quote quote;

    if (ewi_net_quote4_parse(bytes, length, &quote) == NET_OK)
        check(!quote.is_ip6 && length >= NET_IP4_BYTES);
    if (ewi_net_quote6_parse(bytes, length, &quote) == NET_OK)
        check(quote.is_ip6 && length >= NET_IP6_BYTES);
}

static void try_sum(const uint8_t *bytes, size_t length, size_t cut)
{
    static uint8_t copy[FRAME_BYTES_MAX];
    uint32_t whole = ewi_net_sum(bytes, length), first;

    cut = length != 0 ? cut % length : 0;
    first = ewi_net_copy_sum(copy, bytes, cut);
    check(whole == ewi_net_sum_join(first, ewi_net_sum(bytes + cut, length - cut), cut));
    check(memcmp(copy, bytes, cut) == 0);
    check(whole <= 0xffff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t given = size > 0 ? size - 1 : 0;
    size_t length = given < FRAME_BYTES_MAX ? given : FRAME_BYTES_MAX;
    uint8_t chosen = size > 0 ? data[0] : 0;
    enum net_tcp_order order = (chosen & 16) != 0 ? NET_TCP_ORDER_PLAIN : NET_TCP_ORDER_LINUX;
    uint8_t *exact = malloc(length != 0 ? length : 1);

    check(exact != NULL);
    if (length != 0)
        memcpy(exact, data + 1, length);
    switch (chosen & 7) {
    case 0:
        try_frame(exact, length, order);
        break;
    case 1:
        try_tcp(exact, length, order);
        break;
    case 2:
        try_ndp(exact, length);
        break;
    case 3:
        try_quotes(exact, length);
        break;
    case 4:
        try_sum(exact, length, chosen >> 3);
        break;
    default:
        mend(exact, length);
        try_frame(exact, length, order);
    }
    free(exact);
    return 0;
}
