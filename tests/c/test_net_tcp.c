/* tests/c/test_net_tcp.c - the TCP header and its options, against golden bytes and a slow parser. */
#include "tests/c/harness.h"
#include "tests/c/net_dissect.h"
#include "tests/c/net_golden.h"
#include "transport/net/order.h"

enum { RANDOM_RUNS = 20000, L4 = NET_ETHER_BYTES + NET_IP4_BYTES };

static struct net_tcp golden_tcp(const uint8_t *bytes, size_t length)
{
    struct dissected d;

    CHECK_EQ(dissect(bytes, length, &d), NET_OK);
    CHECK(d.found & FOUND_TCP);
    return d.tcp;
}

#define GOLDEN_TCP(name) golden_tcp(golden_##name, sizeof(golden_##name))

/* Parse a header with these options; the checksum is not the question. The memory ends with it. */
static enum net_code parse_options(uint8_t flags, const uint8_t *options, size_t bytes,
                                   struct net_tcp *out)
{
    size_t header_bytes = NET_TCP_BYTES + (bytes + 3) / 4 * 4;
    uint8_t *header = calloc(1, header_bytes);
    enum net_code code;

    CHECK(header != NULL && bytes <= NET_TCP_BYTES_MAX - NET_TCP_BYTES);
    header[12] = (uint8_t)(header_bytes / 4 << 4);
    header[13] = flags;
    if (bytes > 0)
        memcpy(header + NET_TCP_BYTES, options, bytes);
    memset(out, 0xa5, sizeof(*out)); /* what is not written, is seen */
    code = ewi_net_tcp_parse(header, header_bytes, NET_SUM_BY_DEVICE, out);
    free(header);
    return code;
}

#define PARSE(flags, out, ...)                                                                     \
    parse_options((flags), (const uint8_t[]){__VA_ARGS__},                                         \
                  sizeof((const uint8_t[]){__VA_ARGS__}), (out))

/* ---- golden bytes ---- */

static void rfc_9293_section_3_1_fields(void)
{
    struct net_tcp tcp = GOLDEN_TCP(tcp_sack);

    CHECK_EQ(tcp.source_port, 40000);
    CHECK_EQ(tcp.destination_port, 443);
    CHECK_EQ(tcp.sequence, 0x10203041);
    CHECK_EQ(tcp.acknowledgment, 0x50607081);
    CHECK_EQ(tcp.flags, NET_TCP_ACK | NET_TCP_PSH);
    CHECK_EQ(tcp.window, 501);
    CHECK_EQ(tcp.urgent, 0);
    CHECK_EQ(tcp.header_bytes, 60);
    CHECK_EQ(tcp.notes, 0);
}

static void syn_options_are_read_in_both_orders(void)
{
    struct net_tcp a = GOLDEN_TCP(tcp_syn_linux), b = GOLDEN_TCP(tcp_syn_plain);

    CHECK_EQ(a.has, NET_TCP_HAS_MSS | NET_TCP_HAS_SCALE | NET_TCP_HAS_SACK_PERMITTED |
                        NET_TCP_HAS_TIMES);
    CHECK_EQ(a.has, b.has);
    CHECK_EQ(a.mss, 1460);
    CHECK_EQ(b.mss, 1460);
    CHECK_EQ(a.scale, 7);
    CHECK_EQ(b.scale, 6);
    CHECK_EQ(a.time, 0x01020304);
    CHECK_EQ(b.time, 0x01020304);
    CHECK_EQ(a.time_echo, 0);
    CHECK_EQ(a.sacks, 0);
}

static void rfc_2018_section_3_blocks(void)
{
    struct net_tcp tcp = GOLDEN_TCP(tcp_sack);

    CHECK_EQ(tcp.has, NET_TCP_HAS_TIMES);
    CHECK_EQ(tcp.time, 0x01020305);
    CHECK_EQ(tcp.time_echo, 0xa0b0c0d0);
    CHECK_EQ(tcp.sacks, 3);
    CHECK_EQ(tcp.sack[0].left, 0x50607100);
    CHECK_EQ(tcp.sack[0].right, 0x50607200);
    CHECK_EQ(tcp.sack[2].left, 0x50607500);
    CHECK_EQ(tcp.sack[2].right, 0x50607600);
}

static void a_segment_without_options_has_none(void)
{
    struct net_tcp tcp = GOLDEN_TCP(tcp_reset);

    CHECK_EQ(tcp.flags, NET_TCP_RST | NET_TCP_ACK);
    CHECK_EQ(tcp.has, 0);
    CHECK_EQ(tcp.sacks, 0);
    CHECK_EQ(tcp.mss, 0);
    CHECK_EQ(tcp.scale, 0);
    CHECK_EQ(tcp.time, 0);
}

/* ---- judged ---- */

static void rfc_9293_section_3_1_data_offset_is_judged(void)
{
    uint8_t header[NET_TCP_BYTES] = {0};
    struct net_tcp tcp;

    for (unsigned words = 0; words < 16; words++) {
        header[12] = (uint8_t)(words << 4);
        CHECK_EQ(ewi_net_tcp_parse(header, sizeof(header), NET_SUM_BY_DEVICE, &tcp),
                 words < 5 ? NET_BAD_LENGTH : words == 5 ? NET_OK : NET_TOO_SHORT);
    }
}

static void rfc_9293_must_3_checksum_is_verified(void)
{
    uint32_t addresses = ewi_net_sum_ip4(0xc0000201, 0xc0000202);
    uint8_t copy[sizeof(golden_tcp_sack) - L4];
    struct net_tcp tcp;

    memcpy(copy, golden_tcp_sack + L4, sizeof(copy));
    CHECK_EQ(ewi_net_tcp_parse(copy, sizeof(copy), addresses, &tcp), NET_OK);
    CHECK_EQ(ewi_net_tcp_parse(copy, sizeof(copy), addresses + 1, &tcp), NET_BAD_CHECKSUM);
    copy[sizeof(copy) - 1] ^= 1; /* the odd last byte counts */
    CHECK_EQ(ewi_net_tcp_parse(copy, sizeof(copy), addresses, &tcp), NET_BAD_CHECKSUM);
    CHECK_EQ(ewi_net_tcp_parse(copy, sizeof(copy), NET_SUM_BY_DEVICE, &tcp), NET_OK);
}

static void rfc_9293_section_3_1_reserved_bits_are_ignored(void)
{
    uint8_t header[NET_TCP_BYTES] = {[12] = 0x5f, [13] = 0xff};
    struct net_tcp tcp;

    CHECK_EQ(ewi_net_tcp_parse(header, sizeof(header), NET_SUM_BY_DEVICE, &tcp), NET_OK);
    CHECK_EQ(tcp.flags, 0xff);
    CHECK_EQ(tcp.header_bytes, 20);
}

static void rfc_9293_must_7_illegal_option_lengths_are_bad(void)
{
    struct net_tcp tcp;

    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 2, 0, 0, 0), NET_BAD_OPTION);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 2, 1, 0, 0), NET_BAD_OPTION);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 2, 5, 5, 0), NET_BAD_OPTION);   /* one beyond the header */
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 99, 0, 0, 0), NET_BAD_OPTION);  /* unknown, and zero */
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 1, 1, 1, 2), NET_BAD_OPTION);   /* no room for a length */
    CHECK_EQ(PARSE(NET_TCP_ACK, &tcp, 8, 255, 0, 0), NET_BAD_OPTION);
    CHECK_EQ(PARSE(NET_TCP_ACK, &tcp, 5, 10, 0, 0, 0, 0, 0, 0), NET_BAD_OPTION);
}

static void rfc_9293_must_6_unknown_options_are_skipped(void)
{
    struct net_tcp tcp;

    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 99, 2, 254, 5, 1, 2, 3, 2, 4, 5, 0xb4), NET_OK);
    CHECK_EQ(tcp.has, NET_TCP_HAS_MSS);
    CHECK_EQ(tcp.mss, 0x5b4);
    CHECK_EQ(tcp.notes, NET_TCP_NOTE_SKIPPED);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 34, 2, 2, 4, 5, 0xb4), NET_OK); /* fast open, RFC 7413 */
    CHECK_EQ(tcp.mss, 0x5b4);
}

static void rfc_9293_section_3_2_nothing_counts_behind_the_end(void)
{
    struct net_tcp tcp;

    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 0, 2, 4, 5, 0xb4, 2, 0, 0), NET_OK);
    CHECK_EQ(tcp.has, 0);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 1, 1, 1, 1), NET_OK);
    CHECK_EQ(tcp.has, 0);
    CHECK_EQ(tcp.notes, 0);
}

static void known_options_of_a_wrong_length_are_skipped(void)
{
    struct net_tcp tcp;

    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 2, 3, 5, 2, 5, 5, 5, 5), NET_OK);
    CHECK_EQ(tcp.has, 0);
    CHECK_EQ(tcp.notes, NET_TCP_NOTE_SKIPPED);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 3, 2, 3, 4, 1, 1, 4, 3, 0, 1), NET_OK);
    CHECK_EQ(tcp.has, 0);
    CHECK_EQ(PARSE(NET_TCP_ACK, &tcp, 8, 8, 1, 2, 3, 4, 5, 6), NET_OK);
    CHECK_EQ(tcp.has, 0);
    CHECK_EQ(PARSE(NET_TCP_ACK, &tcp, 5, 2, 5, 9, 1, 2, 3, 4, 5, 6, 7), NET_OK);
    CHECK_EQ(tcp.sacks, 0);
    CHECK_EQ(tcp.notes, NET_TCP_NOTE_SKIPPED);
}

static void options_of_a_syn_count_in_a_syn_only(void) /* RFC 9293 3.7.1, RFC 7323 2.2, RFC 2018 2 */
{
    struct net_tcp tcp;

    CHECK_EQ(PARSE(NET_TCP_ACK, &tcp, 2, 4, 5, 0xb4, 3, 3, 7, 4, 2, 0), NET_OK);
    CHECK_EQ(tcp.has, 0);
    CHECK_EQ(tcp.mss, 0);
    CHECK_EQ(tcp.scale, 0);
    CHECK_EQ(tcp.notes, NET_TCP_NOTE_SKIPPED);
    CHECK_EQ(PARSE(NET_TCP_SYN | NET_TCP_ACK, &tcp, 2, 4, 5, 0xb4, 3, 3, 7, 4, 2, 0), NET_OK);
    CHECK_EQ(tcp.has, NET_TCP_HAS_MSS | NET_TCP_HAS_SCALE | NET_TCP_HAS_SACK_PERMITTED);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2), NET_OK);
    CHECK_EQ(tcp.sacks, 0);
}

static void rfc_7323_section_2_3_scale_above_14_is_14(void)
{
    struct net_tcp tcp;

    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 3, 3, 14), NET_OK);
    CHECK_EQ(tcp.scale, 14);
    CHECK_EQ(tcp.notes, 0);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 3, 3, 15), NET_OK);
    CHECK_EQ(tcp.scale, 14);
    CHECK_EQ(tcp.notes, NET_TCP_NOTE_SCALE_CLAMPED);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 3, 3, 255), NET_OK);
    CHECK_EQ(tcp.scale, 14);
}

static void rfc_7323_section_3_2_echo_without_ack_is_ignored(void)
{
    struct net_tcp tcp;

    for (unsigned nops = 1; nops <= 2; nops++) { /* both ways through the parser */
        uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 9, 1, 2, 3, 4};

        CHECK_EQ(parse_options(NET_TCP_RST, options + 2 - nops, 10 + nops, &tcp), NET_OK);
        CHECK_EQ(tcp.time, 9);
        CHECK_EQ(tcp.time_echo, 0);
        CHECK_EQ(parse_options(NET_TCP_ACK, options + 2 - nops, 10 + nops, &tcp), NET_OK);
        CHECK_EQ(tcp.time_echo, 0x01020304);
        CHECK_EQ(tcp.has, NET_TCP_HAS_TIMES);
        CHECK_EQ(tcp.sacks, 0);
    }
}

static void an_mss_of_zero_is_none(void)
{
    struct net_tcp tcp;

    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 2, 4, 0, 0), NET_OK);
    CHECK_EQ(tcp.has, 0);
    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 2, 4, 0, 1), NET_OK); /* silly; the connection has a floor */
    CHECK_EQ(tcp.mss, 1);
}

static void of_two_of_a_kind_the_last_counts(void)
{
    struct net_tcp tcp;

    CHECK_EQ(PARSE(NET_TCP_SYN, &tcp, 2, 4, 1, 1, 2, 4, 2, 2), NET_OK);
    CHECK_EQ(tcp.mss, 0x202);
    CHECK_EQ(PARSE(NET_TCP_ACK, &tcp, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 5, 10,
                   0, 0, 0, 5, 0, 0, 0, 6),
             NET_OK);
    CHECK_EQ(tcp.sacks, 1);
    CHECK_EQ(tcp.sack[0].left, 5);
    CHECK_EQ(PARSE(NET_TCP_ACK, &tcp, 5, 10, 0, 0, 0, 5, 0, 0, 0, 6, 5, 2), NET_OK);
    CHECK_EQ(tcp.sacks, 1); /* one without blocks is none */
    CHECK_EQ(tcp.notes, NET_TCP_NOTE_SKIPPED);
}

/* ---- built ---- */

static size_t build(uint8_t *out, const struct net_tcp *tcp, enum net_tcp_order order)
{
    size_t bytes = ewi_net_tcp_build(out, tcp, order, 0, 0, 0);

    CHECK_EQ(bytes, ewi_net_tcp_header_bytes(tcp));
    CHECK_EQ(bytes % 4, 0);
    CHECK_EQ(out[12] >> 4, bytes / 4);
    return bytes;
}

static void check_syn(uint8_t has, enum net_tcp_order order, const uint8_t *want, size_t bytes)
{
    struct net_tcp syn = {.flags = NET_TCP_SYN, .has = has, .mss = 0x1234, .scale = 5, .time = 7};
    uint8_t out[NET_TCP_BYTES_MAX];

    CHECK_EQ(build(out, &syn, order), NET_TCP_BYTES + bytes);
    CHECK(memcmp(out + NET_TCP_BYTES, want, bytes) == 0);
}

#define SYN_IS(has, order, ...)                                                                    \
    check_syn((has), (order), (const uint8_t[]){__VA_ARGS__},                                      \
              sizeof((const uint8_t[]){__VA_ARGS__}))

static void syn_options_in_the_order_of_linux(void)
{
    enum net_tcp_order order = NET_TCP_ORDER_LINUX;

    check_syn(0, order, (const uint8_t[]){0}, 0);
    SYN_IS(NET_TCP_HAS_MSS, order, 2, 4, 0x12, 0x34);
    SYN_IS(NET_TCP_HAS_SACK_PERMITTED, order, 1, 1, 4, 2);
    SYN_IS(NET_TCP_HAS_TIMES, order, 1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0);
    SYN_IS(NET_TCP_HAS_SCALE, order, 1, 3, 3, 5);
    SYN_IS(NET_TCP_HAS_MSS | NET_TCP_HAS_SACK_PERMITTED | NET_TCP_HAS_TIMES, order, 2, 4, 0x12,
           0x34, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0);
    SYN_IS(NET_TCP_HAS_MSS | NET_TCP_HAS_SACK_PERMITTED | NET_TCP_HAS_SCALE, order, 2, 4, 0x12,
           0x34, 1, 1, 4, 2, 1, 3, 3, 5);
}

static void syn_options_in_the_plain_order(void)
{
    enum net_tcp_order order = NET_TCP_ORDER_PLAIN;

    check_syn(0, order, (const uint8_t[]){0}, 0);
    SYN_IS(NET_TCP_HAS_MSS, order, 2, 4, 0x12, 0x34);
    SYN_IS(NET_TCP_HAS_SACK_PERMITTED, order, 4, 2, 0, 0);
    SYN_IS(NET_TCP_HAS_TIMES, order, 1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0);
    SYN_IS(NET_TCP_HAS_MSS | NET_TCP_HAS_SCALE | NET_TCP_HAS_SACK_PERMITTED, order, 2, 4, 0x12,
           0x34, 1, 3, 3, 5, 4, 2, 0, 0);
    SYN_IS(NET_TCP_HAS_SCALE | NET_TCP_HAS_TIMES, order, 1, 3, 3, 5, 1, 1, 8, 10, 0, 0, 0, 7, 0, 0,
           0, 0);
}

static void rfc_2018_section_3_as_many_blocks_as_fit(void)
{
    struct net_tcp tcp = {.flags = NET_TCP_ACK, .sacks = 4, .time_echo = 3};
    uint8_t out[NET_TCP_BYTES_MAX];

    for (uint32_t i = 0; i < 4; i++)
        tcp.sack[i] = (struct net_tcp_sack){i * 10, i * 10 + 5};
    CHECK_EQ(build(out, &tcp, NET_TCP_ORDER_LINUX), 56);
    CHECK_EQ(out[23], 34);
    CHECK_EQ(out[55], 35);
    tcp.has = NET_TCP_HAS_TIMES;
    CHECK_EQ(build(out, &tcp, NET_TCP_ORDER_LINUX), 60);
    CHECK_EQ(out[35], 26);
    tcp.sacks = 1;
    CHECK_EQ(build(out, &tcp, NET_TCP_ORDER_PLAIN), 44);
}

static void options_of_a_syn_are_not_built_elsewhere(void)
{
    struct net_tcp tcp = {.flags = NET_TCP_ACK, .has = 7, .mss = 9, .scale = 3};
    uint8_t out[NET_TCP_BYTES_MAX];

    CHECK_EQ(build(out, &tcp, NET_TCP_ORDER_LINUX), 20);
    tcp.flags = NET_TCP_SYN | NET_TCP_ACK;
    tcp.sacks = 2;
    CHECK_EQ(build(out, &tcp, NET_TCP_ORDER_LINUX), 32); /* without its blocks */
}

static void rfc_7323_section_3_2_echo_without_ack_is_sent_as_zero(void)
{
    struct net_tcp tcp = {.flags = NET_TCP_SYN, .has = NET_TCP_HAS_TIMES, .time_echo = 77};
    uint8_t out[NET_TCP_BYTES_MAX];

    build(out, &tcp, NET_TCP_ORDER_LINUX);
    CHECK_EQ(ewi_net_get_u32(out + 28), 0);
    tcp.flags |= NET_TCP_ACK;
    build(out, &tcp, NET_TCP_ORDER_LINUX);
    CHECK_EQ(ewi_net_get_u32(out + 28), 77);
}

static void a_device_gets_the_sum_of_the_pseudo_header(void)
{
    struct net_tcp tcp = GOLDEN_TCP(tcp_sack);
    uint32_t addresses = ewi_net_sum_ip4(0xc0000201, 0xc0000202);
    uint8_t out[NET_TCP_BYTES_MAX + 5];

    ewi_net_tcp_build(out, &tcp, NET_TCP_ORDER_LINUX, addresses, NET_SUM_BY_DEVICE, 5);
    CHECK_EQ(ewi_net_get_u16(out + 16), ewi_net_sum_pseudo(addresses, NET_TCP, 65));
    memcpy(out + 60, "hello", 5);
    ewi_net_put_u16(out + 16, ewi_net_sum_finish(ewi_net_sum(out, 65))); /* what devices do */
    CHECK(memcmp(out, golden_tcp_sack + L4, 65) == 0);
}

/* ---- a slow parser: all options into a list first, then one question after the other ---- */

struct slow_option {
    uint8_t kind, bytes, data[38];
};

static int slow_list(const uint8_t *options, size_t bytes, struct slow_option list[40])
{
    int count = 0;

    for (size_t at = 0; at < bytes;) {
        struct slow_option *option = &list[count];

        if (options[at] == 0)
            break;
        if (options[at] == 1) {
            at += 1;
            continue;
        }
        option->kind = options[at];
        if (at + 1 >= bytes)
            return -1;
        option->bytes = options[at + 1];
        if (option->bytes < 2 || at + option->bytes > bytes)
            return -1;
        for (size_t i = 2; i < option->bytes; i++)
            option->data[i - 2] = options[at + i];
        at += option->bytes;
        count += 1;
    }
    return count;
}

static uint32_t slow_u32(const uint8_t *at)
{
    return at[0] * 16777216u + at[1] * 65536u + at[2] * 256u + at[3];
}

static const struct slow_option *slow_last(const struct slow_option *list, int count, uint8_t kind,
                                           uint8_t bytes)
{
    while (count-- > 0)
        if (list[count].kind == kind && (bytes == 0 || list[count].bytes == bytes))
            return &list[count];
    return NULL;
}

static void slow_syn(const struct slow_option *list, int count, struct net_tcp *out)
{
    const struct slow_option *option = NULL;

    for (int i = 0; i < count; i++)
        if (list[i].kind == 2 && list[i].bytes == 4 && (list[i].data[0] | list[i].data[1]) != 0)
            option = &list[i];
    if (option != NULL) {
        out->has |= NET_TCP_HAS_MSS;
        out->mss = (uint16_t)(option->data[0] * 256 + option->data[1]);
    }
    if ((option = slow_last(list, count, 3, 3)) != NULL) {
        out->has |= NET_TCP_HAS_SCALE;
        out->scale = option->data[0] > 14 ? 14 : option->data[0];
    }
    if (slow_last(list, count, 4, 2) != NULL)
        out->has |= NET_TCP_HAS_SACK_PERMITTED;
}

static void slow_segment(const struct slow_option *list, int count, struct net_tcp *out)
{
    for (int i = 0; i < count; i++) {
        if (list[i].kind != 5 || list[i].bytes < 10 || (list[i].bytes - 2) % 8 != 0)
            continue;
        out->sacks = 0;
        for (const uint8_t *at = list[i].data; at < list[i].data + list[i].bytes - 2; at += 8)
            out->sack[out->sacks++] = (struct net_tcp_sack){slow_u32(at), slow_u32(at + 4)};
    }
}

static bool slow_parse(uint8_t flags, const uint8_t *options, size_t bytes, struct net_tcp *out)
{
    struct slow_option list[40];
    const struct slow_option *times;
    int count = slow_list(options, bytes, list);

    *out = (struct net_tcp){.flags = flags};
    if (count < 0)
        return false;
    if ((flags & NET_TCP_SYN) != 0)
        slow_syn(list, count, out);
    else
        slow_segment(list, count, out);
    if ((times = slow_last(list, count, 8, 10)) != NULL) {
        out->has |= NET_TCP_HAS_TIMES;
        out->time = slow_u32(times->data);
        out->time_echo = (flags & NET_TCP_ACK) != 0 ? slow_u32(times->data + 4) : 0;
    }
    return true;
}

static size_t random_options(struct harness_random *random, uint8_t options[40])
{
    static const uint8_t sizes[] = {0, 0, 4, 3, 2, 10, 2, 0, 10};
    size_t bytes = harness_below(random, 11) * 4, at = 0;

    for (size_t i = 0; i < 40; i++)
        options[i] = (uint8_t)harness_next(random);
    while (at + 1 < bytes && harness_below(random, 12) != 0) {
        uint8_t kind = (uint8_t)harness_below(random, 9);
        uint8_t size = sizes[kind];

        if (kind == 5)
            size = (uint8_t)(2 + 8 * harness_between(random, 1, 4));
        if (harness_below(random, 16) == 0)
            size = (uint8_t)harness_below(random, 12);
        options[at] = kind == 0 && harness_below(random, 4) != 0 ? 1 : kind;
        if (kind >= 2)
            options[at + 1] = size;
        at += kind < 2 ? 1 : size > 2 ? size : 2;
    }
    if (at < bytes && harness_below(random, 8) != 0)
        options[at] = 0; /* the end, or else what was there */
    return bytes;
}

static int check_random_options(struct harness_random *random)
{
    uint8_t options[40], built[NET_TCP_BYTES_MAX];
    uint8_t flags = (uint8_t)harness_next(random);
    size_t bytes = random_options(random, options);
    struct net_tcp want, have, again;
    enum net_tcp_order order = harness_below(random, 2) != 0 ? NET_TCP_ORDER_LINUX
                                                             : NET_TCP_ORDER_PLAIN;
    bool is_good = slow_parse(flags, options, bytes, &want);

    CHECK_EQ(parse_options(flags, options, bytes, &have), is_good ? NET_OK : NET_BAD_OPTION);
    if (!is_good)
        return 0;
    have.urgent = have.window = 0;
    CHECK(same_tcp(&have, &want));
    bytes = ewi_net_tcp_build(built, &have, order, 0, 0, 0);
    CHECK_EQ(ewi_net_tcp_parse(built, bytes, 0, &again), NET_OK);
    CHECK(same_tcp(&have, &again)); /* I1 */
    CHECK_EQ(bytes, ewi_net_tcp_header_bytes(&have));
    CHECK_EQ(bytes, again.header_bytes);
    return 1;
}

int main(int argc, char **argv)
{
    RUN(rfc_9293_section_3_1_fields);
    RUN(syn_options_are_read_in_both_orders);
    RUN(rfc_2018_section_3_blocks);
    RUN(a_segment_without_options_has_none);
    RUN(rfc_9293_section_3_1_data_offset_is_judged);
    RUN(rfc_9293_must_3_checksum_is_verified);
    RUN(rfc_9293_section_3_1_reserved_bits_are_ignored);
    RUN(rfc_9293_must_7_illegal_option_lengths_are_bad);
    RUN(rfc_9293_must_6_unknown_options_are_skipped);
    RUN(rfc_9293_section_3_2_nothing_counts_behind_the_end);
    RUN(known_options_of_a_wrong_length_are_skipped);
    RUN(options_of_a_syn_count_in_a_syn_only);
    RUN(rfc_7323_section_2_3_scale_above_14_is_14);
    RUN(rfc_7323_section_3_2_echo_without_ack_is_ignored);
    RUN(an_mss_of_zero_is_none);
    RUN(of_two_of_a_kind_the_last_counts);
    RUN(syn_options_in_the_order_of_linux);
    RUN(syn_options_in_the_plain_order);
    RUN(rfc_2018_section_3_as_many_blocks_as_fit);
    RUN(options_of_a_syn_are_not_built_elsewhere);
    RUN(rfc_7323_section_3_2_echo_without_ack_is_sent_as_zero);
    RUN(a_device_gets_the_sum_of_the_pseudo_header);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};
        int good = 0;

        for (int i = 0; i < RANDOM_RUNS; i++)
            good += check_random_options(&random);
        CHECK(good > RANDOM_RUNS / 4 && good < RANDOM_RUNS); /* both ways were tried */
    }
    return 0;
}
