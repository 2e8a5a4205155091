/* tests/fuzz/fuzz_net_reassembly.c - can any fragments make a datagram that nobody sent?
 *
 * Two parts, by the first byte. Moves: fragments of eight datagrams against the slow model of
 * tests/c/net_pieces.h, with time that passes and slots that are held. Packets: raw IPv4 and IPv6
 * packets are taken apart by transport/net/header.h as IP's input does it, and put together; what
 * becomes whole is taken apart again.
 */
#include <stdlib.h>

#include "tests/c/net_pieces.h"
#include "transport/net/order.h"
#include "transport/net/sum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAMES = 8, CAPACITY = 64, MOVE_BYTES = 8 };

static const uint8_t key[16] = {3, 1, 4};
static struct net_reassemblies all;
static struct slow slow[NAMES];
static uint32_t held[CAPACITY], held_count;

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void begin(void)
{
    static void *memory;
    static size_t bytes;
    struct net_reassembly_places places;
    struct net_block block;

    if (memory == NULL) {
        ewi_net_block_layout(&block);
        ewi_net_reassembly_place(&block, CAPACITY, &places);
        bytes = ewi_net_block_bytes(&block);
        memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
        check(memory != NULL);
    }
    ewi_net_block_fill(&block, memory, bytes);
    ewi_net_reassembly_place(&block, CAPACITY, &places);
    ewi_net_reassembly_init(&all, CAPACITY, &places, key);
    held_count = 0;
    for (int i = 0; i < NAMES; i++) {
        slow[i].count = 0;
        slow[i].is_spoilt = false;
    }
}

static void hold_or_give(uint32_t slot, uint8_t *at, uint32_t bytes, bool is_held)
{
    if (is_held && ewi_net_reassembly_hold(&all, &at, bytes) == slot)
        held[held_count++] = slot;
    else
        ewi_net_reassembly_give(&all, slot);
}

/* ---- moves ---- */

/* at, length and contents from eight bytes; contents repeat, so that repetitions happen. */
static void move_fragment(const uint8_t *move, uint64_t now)
{
    static uint8_t bytes[65536], header[64] = {0x45};
    static bool is_filled;
    uint32_t which = move[1] % NAMES, slot, total, packet_bytes;
    struct net_fragment fragment = {
        .header = header,
        .header_bytes = which < 4 ? 20 + (move[2] & 3) * 4u : 48,
        .at = (uint32_t)(ewi_net_get_u16(move + 3) & 0x1fff) * 8,
        .bytes = move[5] * (move[2] & 4 ? 256u : 8u) + (move[2] >> 3 & 7),
        .fragment_header = which < 4 ? 0 : 40,
        .fragment_named_at = which < 4 ? 0 : 6,
        .protocol = move[2] & 64 ? NET_TCP : NET_UDP,
        .traffic_class = move[6],
        .more = (move[2] & 128) != 0,
    };
    enum net_reassembly_code code;

    for (uint32_t i = 0; !is_filled && i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    is_filled = true;
    fragment.at = move[7] & 1 ? fragment.at : fragment.at % 256;
    fragment.payload = bytes + (fragment.at + (move[7] & 2)) % 256;
    if (fragment.bytes > 65000)
        return;
    fragment.name = (struct net_tuple){.family = which < 4 ? 4 : 6, .local_port = (uint16_t)which};
    fragment.name.remote[0] = (uint8_t)(which & 1);
    if (slow[which].count == PIECES_MAX)
        return;
    code = slow_add(&slow[which], &fragment, &total);
    check(ewi_net_reassembly_add(&all, &fragment, now, &slot) == code);
    if (code == NET_FRAGMENT_WHOLE) {
        uint8_t *packet = ewi_net_reassembly_packet(&all, slot, &packet_bytes);

        check(memcmp(packet + packet_bytes - total, slow[which].payload, total) == 0);
        slow[which].count = 0;
        hold_or_give(slot, packet, packet_bytes, (move[7] & 4) != 0);
    }
}

static void pass_time(uint64_t now)
{
    uint32_t slot, bytes;

    while ((slot = ewi_net_reassembly_expire(&all, now)) != NET_NONE) {
        struct slow *model = &slow[ewi_net_reassembly_at(&all, slot)->name.local_port];
        bool has_first = false;

        for (uint32_t i = 0; i < model->count; i++)
            has_first = has_first || model->piece[i].at == 0;
        check((ewi_net_reassembly_first(&all, slot, &bytes) != NULL) ==
              (has_first && !model->is_spoilt));
        model->count = 0;
        model->is_spoilt = false;
        ewi_net_reassembly_give(&all, slot);
    }
}

static void play_moves(const uint8_t *data, size_t size)
{
    uint64_t now = 0;

    for (; size >= MOVE_BYTES; data += MOVE_BYTES, size -= MOVE_BYTES) {
        if (data[0] < 8)
            now += NET_REASSEMBLY_NS / 4;
        pass_time(now);
        if (data[0] >= 8 && data[0] < 16 && held_count > 0)
            ewi_net_reassembly_give(&all, held[--held_count]);
        move_fragment(data, now);
        check(ewi_net_reassembly_check(&all) == NULL);
    }
}

/* ---- packets ---- */

static bool take4(const uint8_t *bytes, size_t length, struct net_fragment *out)
{
    struct net_ip4 ip;

    if (ewi_net_ip4_parse(bytes, length, &ip) != NET_OK || (!ip.more_fragments && ip.fragment_at == 0))
        return false;
    *out = (struct net_fragment){.header = bytes,
                                 .payload = bytes + ip.header_bytes,
                                 .header_bytes = ip.header_bytes,
                                 .at = ip.fragment_at,
                                 .bytes = ip.payload_bytes,
                                 .protocol = ip.protocol,
                                 .traffic_class = ip.traffic_class,
                                 .more = ip.more_fragments};
    out->name = (struct net_tuple){.family = 4, .remote_port = ip.id & 1};
    return true;
}

static bool take6(const uint8_t *bytes, size_t length, struct net_fragment *out)
{
    struct net_ip6_chain chain;
    struct net_ip6 ip;

    if (ewi_net_ip6_parse(bytes, length, &ip) != NET_OK ||
        ewi_net_ip6_walk(bytes, length, &ip, &chain) != NET_OK || !chain.is_fragment)
        return false;
    *out = (struct net_fragment){.header = bytes,
                                 .payload = bytes + chain.header_bytes,
                                 .header_bytes = chain.header_bytes,
                                 .at = chain.fragment_at,
                                 .bytes = chain.payload_bytes,
                                 .fragment_header = chain.fragment_header,
                                 .fragment_named_at = chain.fragment_named_at,
                                 .protocol = chain.protocol,
                                 .traffic_class = ip.traffic_class,
                                 .more = chain.more_fragments};
    out->name = (struct net_tuple){.family = 6, .remote_port = chain.id & 1};
    return true;
}

/* A whole one is no fragment, and as long as it says. */
static void judge_whole(uint32_t slot, uint8_t family)
{
    uint32_t bytes;
    uint8_t *packet = ewi_net_reassembly_packet(&all, slot, &bytes);
    struct net_ip6_chain chain;
    struct net_ip4 ip4;
    struct net_ip6 ip6;

    if (family == 4) {
        check(ewi_net_ip4_parse(packet, bytes, &ip4) == NET_OK);
        check(!ip4.more_fragments && ip4.fragment_at == 0);
        check((uint32_t)ip4.header_bytes + ip4.payload_bytes == bytes);
    } else {
        check(ewi_net_ip6_parse(packet, bytes, &ip6) == NET_OK);
        check(NET_IP6_BYTES + (uint32_t)ip6.payload_bytes == bytes);
        (void)ewi_net_ip6_walk(packet, bytes, &ip6, &chain); /* may find anything, but in bounds */
    }
    hold_or_give(slot, packet, bytes, (packet[0] & 1) != 0);
}

/* Version, lengths and sum are put right; if asked for, it is a fragment near the beginning, so that
 * some meet. */
static void mend(uint8_t *packet, size_t length, bool is_ip6, bool is_near)
{
    packet[0] = (uint8_t)((packet[0] & 15) | (is_ip6 ? 0x60 : 0x40));
    if (is_ip6) {
        ewi_net_put_u16(packet + 4, (uint16_t)(length - NET_IP6_BYTES));
        if (is_near && length >= NET_IP6_BYTES + NET_IP6_FRAGMENT_BYTES) {
            packet[6] = NET_IP6_FRAGMENT;
            packet[40] = NET_IP6_NONE;
            packet[42] = 0;
            packet[43] &= 0x39;
        }
        return;
    }
    if (is_near) {
        packet[0] = 0x45;
        packet[6] &= 0x20;
        packet[7] &= 7;
    }
    if ((packet[0] & 15) * 4u > length || (packet[0] & 15) < 5)
        return;
    ewi_net_put_u16(packet + 2, (uint16_t)length);
    ewi_net_put_u16(packet + 10, 0);
    ewi_net_put_u16(packet + 10, (uint16_t)~ewi_net_sum(packet, (size_t)(packet[0] & 15) * 4));
}

/* Each: two bytes of version and length, then the packet. */
static void play_packets(const uint8_t *data, size_t size)
{
    while (size >= 2) {
        bool is_ip6 = (data[0] & 128) != 0, is_near = (data[0] & 64) != 0, is_fragment;
        size_t length = (data[0] & 32) != 0 ? ewi_net_get_u16(data) % 2048 : 44u + data[1] % 32 * 4;
        struct net_fragment fragment;
        uint8_t *packet;
        uint32_t slot;

        data += 2;
        size -= 2;
        length = length < size ? length : size;
        if (length < NET_IP6_BYTES)
            return;
        packet = malloc(length);
        check(packet != NULL);
        memcpy(packet, data, length);
        data += length;
        size -= length;
        mend(packet, length, is_ip6, is_near);
        is_fragment = is_ip6 ? take6(packet, length, &fragment) : take4(packet, length, &fragment);
        if (is_fragment &&
            ewi_net_reassembly_add(&all, &fragment, 0, &slot) == NET_FRAGMENT_WHOLE)
            judge_whole(slot, fragment.name.family);
        free(packet);
        check(ewi_net_reassembly_check(&all) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    if (size == 0)
        return 0;
    if ((data[0] & 1) != 0)
        play_moves(data + 1, size - 1);
    else
        play_packets(data + 1, size - 1);
    while (held_count > 0)
        ewi_net_reassembly_give(&all, held[--held_count]);
    check(ewi_net_reassembly_check(&all) == NULL);
    return 0;
}
