/* tests/c/test_net_icmp_errors.c - errors believed or not, errors sent within limits. */
#include "tests/c/net_golden.h"
#include "tests/c/net_ip_packets.h"
#include "transport/net/icmp.h"

#include <errno.h>

static struct made packet;

/* ---- errors that arrive ---- */

struct error {
    uint8_t family, type, code, protocol;
    uint32_t rest;
    uint16_t quoted_bytes; /* what its header says: of the packet we sent */
    uint32_t cut;          /* bytes of the quote; 0: 28 or 48 */
};

/* A quote of what we sent from `from` (10.0.0.1 or 2001:db8::1 if NULL), in an error to `to`. */
static void make_error(const struct error *e, const uint8_t *from, const uint8_t *to)
{
    struct net_tuple outer = base_tuple(e->family), quoted = {.family = e->family};
    uint8_t quote[48] = {0};
    uint32_t header;

    memcpy(quoted.remote, from != NULL ? from : outer.local, 16); /* source */
    memcpy(quoted.local, outer.remote, 16);
    if (to != NULL)
        memcpy(outer.local, to, 16);
    header = ewi_net_ip_header_bytes(e->family);
    make_header(quote, &quoted, e->protocol, e->quoted_bytes - header);
    ewi_net_put_u16(quote + header, 80);
    ewi_net_put_u16(quote + header + 2, 4000);
    ewi_net_put_u32(quote + header + 4, 0xfeedface);
    make_icmp(&packet, &outer, e->type, e->code, e->rest, quote, e->cut != 0 ? e->cut : header + 8);
}

static void arrives_error(const struct error *e)
{
    make_error(e, NULL, NULL);
    arrives_made(&packet, e->family);
}

static void told(uint8_t family, uint8_t type, uint8_t code, enum net_icmp_news news, int error)
{
    struct error e = {family, type, code, NET_TCP, 0, 1500, 0};
    struct net_tuple want = base_tuple(family);
    uint32_t count = base.told_count;

    arrives_error(&e);
    CHECK_EQ(base.told_count, count + 1);
    CHECK_EQ(base.told.news, news);
    CHECK_EQ(base.told.error, error);
    CHECK_EQ(base.told.sequence, 0xfeedface);
    CHECK(ewi_net_tuple_equals(&base.told_tuple, &want));
}

static void not_told(const struct error *e)
{
    uint64_t before = net->count.drop_icmp;
    uint32_t count = base.told_count;

    arrives_error(e);
    CHECK_EQ(base.told_count, count);
    CHECK_EQ(net->count.drop_icmp, before + 1);
}

static void rfc_1122_section_4_2_3_9_soft_and_hard_errors(void)
{
    base_begin();
    told(4, 3, 0, NET_NEWS_SOFT, ENETUNREACH);
    told(4, 3, 1, NET_NEWS_SOFT, EHOSTUNREACH);
    told(4, 3, 2, NET_NEWS_HARD, EPROTO);
    told(4, 3, 3, NET_NEWS_HARD, ECONNREFUSED);
    told(4, 3, 5, NET_NEWS_SOFT, EHOSTUNREACH);
    told(4, 3, 6, NET_NEWS_SOFT, ENETUNREACH);
    told(4, 3, 7, NET_NEWS_SOFT, EHOSTUNREACH);
    told(4, 3, 9, NET_NEWS_HARD, ENETUNREACH);
    told(4, 3, 10, NET_NEWS_HARD, EHOSTUNREACH);
    told(4, 3, 13, NET_NEWS_HARD, EHOSTUNREACH);
    told(4, 3, 15, NET_NEWS_SOFT, EHOSTUNREACH);
    told(4, 11, 0, NET_NEWS_SOFT, EHOSTUNREACH);
    told(4, 11, 1, NET_NEWS_SOFT, EHOSTUNREACH);
    told(4, 12, 0, NET_NEWS_SOFT, EPROTO);
    CHECK_EQ(net->count.accepted, 14);
}

static void rfc_4443_section_3_soft_and_hard_errors(void)
{
    base_begin();
    told(6, 1, 0, NET_NEWS_SOFT, ENETUNREACH);
    told(6, 1, 1, NET_NEWS_HARD, EHOSTUNREACH);
    told(6, 1, 2, NET_NEWS_SOFT, EHOSTUNREACH);
    told(6, 1, 3, NET_NEWS_SOFT, EHOSTUNREACH);
    told(6, 1, 4, NET_NEWS_HARD, ECONNREFUSED);
    told(6, 1, 5, NET_NEWS_HARD, EHOSTUNREACH);
    told(6, 1, 6, NET_NEWS_HARD, EHOSTUNREACH);
    told(6, 3, 0, NET_NEWS_SOFT, EHOSTUNREACH);
    told(6, 4, 0, NET_NEWS_SOFT, EPROTO);
    told(6, 4, 1, NET_NEWS_HARD, EPROTO);
    CHECK_EQ(net->count.accepted, 10);
}

static void rfc_6633_source_quench_redirects_and_unknown_codes_are_ignored(void)
{
    base_begin();
    not_told(&(struct error){4, NET_ICMP4_SOURCE_QUENCH, 0, NET_TCP, 0, 1500, 0});
    not_told(&(struct error){4, NET_ICMP4_REDIRECT, 1, NET_TCP, 0x0a000003, 1500, 0});
    not_told(&(struct error){4, 3, 16, NET_TCP, 0, 1500, 0});
    not_told(&(struct error){4, 3, 255, NET_TCP, 0, 1500, 0});
    not_told(&(struct error){4, 11, 2, NET_TCP, 0, 1500, 0});
    not_told(&(struct error){6, 1, 7, NET_TCP, 0, 1500, 0});
    not_told(&(struct error){6, 3, 2, NET_TCP, 0, 1500, 0});
    not_told(&(struct error){6, 5, 0, NET_TCP, 0, 1500, 0});
    not_told(&(struct error){6, 127, 0, NET_TCP, 0, 1500, 0});
}

static void errors_about_other_protocols_are_ignored(void)
{
    base_begin();
    not_told(&(struct error){4, 3, 3, NET_ICMP4, 0, 1500, 0});
    not_told(&(struct error){4, 3, 3, 50, 0, 1500, 0});
    not_told(&(struct error){6, 1, 4, NET_ICMP6, 0, 1500, 0});
}

static void short_quotes_are_ignored(void)
{
    base_begin();
    for (uint32_t cut = 1; cut < 28; cut++)
        not_told(&(struct error){4, 3, 3, NET_TCP, 0, 1500, cut});
    for (uint32_t cut = 1; cut < 48; cut++)
        not_told(&(struct error){6, 1, 4, NET_TCP, 0, 1500, cut});
}

static void rfc_5927_a_quote_of_what_another_host_sent_is_ignored(void)
{
    struct error e = {4, 3, 3, NET_TCP, 0, 1500, 0}, e6 = {6, 1, 4, NET_TCP, 0, 1500, 0};

    base_begin();
    make_error(&e, peer4, NULL);
    arrives_made(&packet, 4);
    make_error(&e6, peer6, NULL);
    arrives_made(&packet, 6);
    make_error(&e6, link6, NULL); /* ours too, but it was not sent to that address */
    arrives_made(&packet, 6);
    make_error(&e6, NULL, group6);
    arrives_made(&packet, 6);
    make_error(&e6, group6, group6);
    arrives_made(&packet, 6);
    CHECK_EQ(base.told_count, 0);
    CHECK_EQ(net->count.drop_icmp, 5);
}

static void what_tcp_does_not_believe_is_dropped(void)
{
    base_begin();
    base.believes = false;
    arrives_error(&(struct error){4, 3, 3, NET_TCP, 0, 1500, 0});
    CHECK_EQ(base.told_count, 1);
    CHECK_EQ(net->count.drop_icmp, 1);
    CHECK_EQ(net->count.accepted, 0);
}

static void a_later_fragment_is_of_no_connection(void)
{
    struct error e = {4, 3, 3, NET_TCP, 0, 1500, 0};

    base_begin();
    make_error(&e, NULL, NULL);
    packet.bytes[28 + 7] = 1; /* the quote's fragment offset; the sum of the message must fit */
    ewi_net_put_u16(packet.bytes + 22, 0);
    ewi_net_put_u16(packet.bytes + 22,
                    ewi_net_sum_finish(ewi_net_sum(packet.bytes + 20, packet.length - 20)));
    arrives_made(&packet, 4);
    CHECK_EQ(base.told_count, 0);
    CHECK_EQ(net->count.drop_icmp, 1);
}

/* ---- too big ---- */

static uint16_t path4(void)
{
    struct net_tuple tuple = base_tuple(4);

    return ewi_net_path_mtu(net, &tuple, 1500);
}

static uint16_t path6(void)
{
    struct net_tuple tuple = base_tuple(6);

    return ewi_net_path_mtu(net, &tuple, 1500);
}

static void rfc_1191_section_4_a_router_says_how_long_packets_may_be(void)
{
    base_begin();
    arrives_error(&(struct error){4, 3, 4, NET_TCP, 1400, 1500, 0});
    CHECK_EQ(base.told.news, NET_NEWS_TOO_BIG);
    CHECK_EQ(base.told.error, EMSGSIZE);
    CHECK_EQ(base.told.mtu, 1400);
    CHECK_EQ(path4(), 1400);
    CHECK_EQ(path6(), 1500);
    arrives_error(&(struct error){6, 2, 0, NET_TCP, 1300, 1500, 0});
    CHECK_EQ(base.told.mtu, 1300);
    CHECK_EQ(path6(), 1300);
    CHECK_EQ(net->count.accepted, 2);
}

static void golden_too_big_messages_are_understood(void)
{
    struct net_icmp icmp;
    const uint8_t *four = golden_icmp4_too_big + NET_ETHER_BYTES + NET_IP4_BYTES;

    CHECK_EQ(ewi_net_icmp4_parse(four, sizeof(golden_icmp4_too_big) - NET_ETHER_BYTES - NET_IP4_BYTES,
                                 &icmp),
             NET_OK);
    CHECK_EQ(icmp.type, NET_ICMP4_UNREACHABLE);
    CHECK_EQ(icmp.code, NET_ICMP4_FRAGMENTATION_NEEDED);
}

static void a_path_that_tcp_does_not_believe_stays_as_it_is(void)
{
    base_begin();
    base.believes = false;
    arrives_error(&(struct error){4, 3, 4, NET_TCP, 1400, 1500, 0});
    arrives_error(&(struct error){6, 2, 0, NET_TCP, 1400, 1500, 0});
    CHECK_EQ(base.told_count, 2);
    CHECK_EQ(path4(), 1500);
    CHECK_EQ(path6(), 1500);
}

static void rfc_1191_section_7_an_old_router_means_the_next_plateau(void)
{
    base_begin();
    arrives_error(&(struct error){4, 3, 4, NET_TCP, 0, 1500, 0});
    CHECK_EQ(base.told.mtu, 1492);
    arrives_error(&(struct error){4, 3, 4, NET_TCP, 0, 1492, 0});
    CHECK_EQ(base.told.mtu, 1006);
    arrives_error(&(struct error){4, 3, 4, NET_TCP, 0, 9000, 0});
    CHECK_EQ(base.told.mtu, 8166);
    CHECK_EQ(path4(), 1006);
}

static void an_mtu_below_the_floor_is_the_floor(void)
{
    base_begin();
    arrives_error(&(struct error){4, 3, 4, NET_TCP, 68, 1500, 0});
    CHECK_EQ(base.told.mtu, NET_PATH_MIN4);
    CHECK_EQ(path4(), NET_PATH_MIN4);
    arrives_error(&(struct error){4, 3, 4, NET_TCP, 0, 600, 0}); /* plateau 508 */
    CHECK_EQ(base.told.mtu, NET_PATH_MIN4);
}

static void rfc_8201_section_4_less_than_1280_is_no_message(void)
{
    base_begin();
    not_told(&(struct error){6, 2, 0, NET_TCP, 1279, 1500, 0});
    not_told(&(struct error){6, 2, 0, NET_TCP, 0, 1500, 0});
    CHECK_EQ(path6(), 1500);
}

static void rfc_5927_section_7_whoever_says_it_was_longer_than_it_was_is_ignored(void)
{
    base_begin();
    not_told(&(struct error){4, 3, 4, NET_TCP, 1400, 1400, 0});
    not_told(&(struct error){4, 3, 4, NET_TCP, 9000, 1500, 0});
    not_told(&(struct error){6, 2, 0, NET_TCP, 1400, 1400, 0});
    not_told(&(struct error){6, 2, 0, NET_TCP, 65536 + 1300, 1500, 0});
    CHECK_EQ(path4(), 1500);
    CHECK_EQ(path6(), 1500);
}

/* ---- errors that leave ---- */

static void unreachable_port(const struct net_tuple *tuple, uint32_t payload_bytes)
{
    make_udp(&packet, tuple, payload_bytes);
    arrives_made(&packet, tuple->family);
}

static void rfc_1812_section_4_3_2_3_as_much_is_quoted_as_fits(void)
{
    struct net_tuple four = base_tuple(4), six = base_tuple(6);

    base_begin();
    unreachable_port(&four, 1000);
    CHECK_EQ(base.out[0].length, 576);
    CHECK_EQ(sent_at(0, 4).icmp.type, NET_ICMP4_UNREACHABLE);
    CHECK_EQ(sent_at(0, 4).icmp.code, NET_ICMP4_PORT_UNREACHABLE);
    CHECK(memcmp(sent_at(0, 4).payload, packet.bytes, 548) == 0);
    unreachable_port(&six, 1400);
    CHECK_EQ(base.out[1].length, 1280);
    CHECK_EQ(sent_at(1, 6).icmp.type, NET_ICMP6_UNREACHABLE);
    CHECK_EQ(sent_at(1, 6).icmp.code, 4);
    CHECK(memcmp(sent_at(1, 6).payload, packet.bytes, 1232) == 0);
    unreachable_port(&four, 1);
    CHECK_EQ(sent_at(2, 4).payload_bytes, packet.length);
    CHECK_EQ(sent_at(2, 4).traffic_class, 0);
}

static void no_error_about_groups_errors_or_nobody(void)
{
    struct net_tuple tuple = base_tuple(4);
    struct net_arrived arrived = {.packet = packet.bytes, .bytes = packet.bytes + 20};

    base_begin();
    ewi_net_put_u32(tuple.local, 0x0a0000ff);
    unreachable_port(&tuple, 10);
    CHECK_EQ(net->count.drop_udp_port, 1);
    tuple = base_tuple(4);
    make_icmp(&packet, &tuple, NET_ICMP4_UNREACHABLE, 0, 0, NULL, 0);
    arrived.packet_bytes = packet.length;
    arrived.length = packet.length - 20;
    arrived.protocol = NET_ICMP4;
    arrived.tuple = tuple;
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_TIME, 1, 0); /* about an error */
    arrived.length = 0;
    packet.bytes[20] = NET_ICMP4_ECHO; /* behind the end */
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_TIME, 1, 0); /* about who knows what */
    make_udp(&packet, &tuple, 10);
    packet.bytes[7] = 3;
    arrived.protocol = NET_UDP;
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_TIME, 1, 0); /* about a later fragment */
    packet.bytes[7] = 0;
    memset(arrived.tuple.remote, 0, 16);
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_TIME, 1, 0); /* to nobody */
    CHECK_EQ(base.sent_count, 0);
    arrived.tuple = tuple;
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_TIME, 1, 0);
    CHECK_EQ(base.sent_count, 1);
    CHECK_EQ(sent_at(0, 4).icmp.type, NET_ICMP4_TIME_EXCEEDED);
    CHECK_EQ(sent_at(0, 4).icmp.code, 1);
}

static void rfc_4443_section_2_4_e_no_error_about_errors_or_redirects(void)
{
    struct net_tuple tuple = base_tuple(6);
    struct net_arrived arrived = {.packet = packet.bytes, .bytes = packet.bytes + 40};
    static const uint8_t types[] = {0, 1, 4, 127, NET_NDP_REDIRECT};

    base_begin();
    arrived.tuple = tuple;
    arrived.protocol = NET_ICMP6;
    for (size_t i = 0; i < sizeof(types); i++) {
        make_icmp(&packet, &tuple, types[i], 0, 0, NULL, 0);
        arrived.packet_bytes = packet.length;
        arrived.length = NET_ICMP_BYTES;
        ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_HEADER, 0, 40);
    }
    CHECK_EQ(base.sent_count, 0);
    make_icmp(&packet, &tuple, NET_ICMP6_ECHO, 0, 0, NULL, 0);
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_HEADER, 3, 40);
    CHECK_EQ(sent_at(0, 6).icmp.type, NET_ICMP6_PARAMETER);
    CHECK_EQ(sent_at(0, 6).icmp.code, 3);
    CHECK_EQ(sent_at(0, 6).icmp.rest, 40);
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_TIME, 1, 0);
    CHECK_EQ(sent_at(1, 6).icmp.type, NET_ICMP6_TIME_EXCEEDED);
    CHECK_EQ(sent_at(1, 6).icmp.code, 1);
}

static void a_parameter_problem_of_ip4_points(void)
{
    struct net_tuple tuple = base_tuple(4);
    struct net_arrived arrived = {
        .packet = packet.bytes, .packet_bytes = 40, .tuple = tuple, .protocol = NET_TCP};

    base_begin();
    make_udp(&packet, &tuple, 12);
    ewi_net_icmp_report(net, &arrived, NET_ICMP_WHY_HEADER, 0, 21);
    CHECK_EQ(sent_at(0, 4).icmp.type, NET_ICMP4_PARAMETER);
    CHECK_EQ(sent_at(0, 4).icmp.rest >> 24, 21);
}

/* ---- limits ---- */

static void one_destination_gets_few_errors(void)
{
    struct net_tuple tuple = base_tuple(4);

    base_begin();
    for (int i = 0; i < 100; i++)
        unreachable_port(&tuple, 1);
    CHECK_EQ(base.sent_count, NET_ICMP_ERRORS_TO_BURST);
    CHECK_EQ(net->count.icmp_limited, 100 - NET_ICMP_ERRORS_TO_BURST);
    base.sent_count = 0;
    for (int i = 0; i < 1000; i++) {
        net->now += SECONDS / 100;
        unreachable_port(&tuple, 1);
    }
    CHECK(base.sent_count <= 10 * NET_ICMP_ERRORS_TO + NET_ICMP_ERRORS_TO_BURST);
    CHECK(base.sent_count >= 10 * NET_ICMP_ERRORS_TO - 1);
}

static void all_destinations_together_get_a_bounded_number(void)
{
    struct net_tuple tuple = base_tuple(4);
    uint64_t sent = 0;

    base_begin();
    for (uint32_t i = 0; i < 20000; i++) {
        ewi_net_put_u32(tuple.remote, 0x0b000000 + i * 7919);
        net->now += SECONDS / 10000; /* for two seconds */
        base.sent_count = 0;
        unreachable_port(&tuple, 1);
        sent += base.sent_count;
    }
    CHECK(sent <= 2 * NET_ICMP_ERRORS + NET_ICMP_ERRORS_BURST + 2);
    CHECK(sent >= 2 * NET_ICMP_ERRORS / 3 - 20); /* each costs one to three */
}

static void cve_2020_25705_nobody_can_count_what_others_used(void)
{
    uint32_t least = UINT32_MAX, most = 0;

    for (uint8_t run = 0; run < 20; run++) { /* a burst from many addresses: how many get an answer? */
        struct net_tuple tuple = base_tuple(4);

        base_begin();
        net->seed[0] = run;
        ewi_net_random_init(&net->random, net->seed);
        for (uint32_t i = 0; i < 100; i++) {
            ewi_net_put_u32(tuple.remote, 0x0b000000 + i * 7919);
            unreachable_port(&tuple, 1);
        }
        least = base.sent_count < least ? base.sent_count : least;
        most = base.sent_count > most ? base.sent_count : most;
    }
    CHECK(most <= NET_ICMP_ERRORS_BURST);
    CHECK(most > least + 2);
}

static void a_limit_lets_through_what_it_says(void)
{
    struct net_limit limit = {0};

    for (int i = 0; i < 3; i++)
        CHECK(ewi_net_limit_take(&limit, 1000, 100, 3, 1));
    CHECK(!ewi_net_limit_take(&limit, 1000, 100, 3, 1));
    CHECK(!ewi_net_limit_take(&limit, 1099, 100, 3, 1));
    CHECK(ewi_net_limit_take(&limit, 1100, 100, 3, 1));
    CHECK(!ewi_net_limit_take(&limit, 1100, 100, 3, 1));
    CHECK(ewi_net_limit_take(&limit, 5000, 100, 3, 3)); /* a rest does not add up beyond the burst */
    CHECK(!ewi_net_limit_take(&limit, 5099, 100, 3, 1));
    CHECK(ewi_net_limit_take(&limit, 5100, 100, 3, 1));
}

int main(void)
{
    RUN(rfc_1122_section_4_2_3_9_soft_and_hard_errors);
    RUN(rfc_4443_section_3_soft_and_hard_errors);
    RUN(rfc_6633_source_quench_redirects_and_unknown_codes_are_ignored);
    RUN(errors_about_other_protocols_are_ignored);
    RUN(short_quotes_are_ignored);
    RUN(rfc_5927_a_quote_of_what_another_host_sent_is_ignored);
    RUN(what_tcp_does_not_believe_is_dropped);
    RUN(a_later_fragment_is_of_no_connection);
    RUN(rfc_1191_section_4_a_router_says_how_long_packets_may_be);
    RUN(golden_too_big_messages_are_understood);
    RUN(a_path_that_tcp_does_not_believe_stays_as_it_is);
    RUN(rfc_1191_section_7_an_old_router_means_the_next_plateau);
    RUN(an_mtu_below_the_floor_is_the_floor);
    RUN(rfc_8201_section_4_less_than_1280_is_no_message);
    RUN(rfc_5927_section_7_whoever_says_it_was_longer_than_it_was_is_ignored);
    RUN(rfc_1812_section_4_3_2_3_as_much_is_quoted_as_fits);
    RUN(no_error_about_groups_errors_or_nobody);
    RUN(rfc_4443_section_2_4_e_no_error_about_errors_or_redirects);
    RUN(a_parameter_problem_of_ip4_points);
    RUN(one_destination_gets_few_errors);
    RUN(all_destinations_together_get_a_bounded_number);
    RUN(cve_2020_25705_nobody_can_count_what_others_used);
    RUN(a_limit_lets_through_what_it_says);
    return 0;
}
