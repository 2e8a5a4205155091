/* tests/c/test_net_reassembly.c - fragments against each other, one rule at a time. */
#include "tests/c/net_reassembly_base.h"

static enum net_reassembly_code add(const struct net_fragment *piece)
{
    struct net_fragment exact = *piece;
    uint8_t *payload = malloc(piece->bytes != 0 ? piece->bytes : 1); /* ASan sees one too far */
    enum net_reassembly_code code;
    uint32_t slot;

    CHECK(payload != NULL);
    memcpy(payload, piece->payload, piece->bytes);
    exact.payload = payload;
    code = ewi_net_reassembly_add(&all, &exact, 0, &slot);
    free(payload);
    sound();
    if (code == NET_FRAGMENT_WHOLE)
        ewi_net_reassembly_give(&all, slot);
    return code;
}

static enum net_reassembly_code add_simple(uint32_t at, uint32_t bytes, bool more)
{
    struct net_fragment piece = piece_of(at, bytes, more);

    return add(&piece);
}

/* ---- single rules ---- */

static void two_halves_are_one_datagram(void)
{
    struct net_fragment first = piece_of(0, 16, true), second = piece_of(16, 5, false);
    const uint8_t *packet;
    uint32_t slot, bytes;

    begin();
    header[0] = 0x45;
    header[1] = 0xa4;
    header[4] = 0xbe;
    CHECK_EQ(ewi_net_reassembly_add(&all, &second, 5, &slot), NET_FRAGMENT_HELD);
    CHECK_EQ(ewi_net_reassembly_deadline(&all), 5 + NET_REASSEMBLY_NS);
    CHECK_EQ(ewi_net_reassembly_add(&all, &first, 6, &slot), NET_FRAGMENT_WHOLE);
    packet = ewi_net_reassembly_packet(&all, slot, &bytes);
    CHECK_EQ(bytes, 41);
    CHECK_EQ(packet[2] << 8 | packet[3], 41);
    CHECK_EQ(packet[6] | packet[7], 0);
    CHECK_EQ(packet[4], 0xbe);
    CHECK(memcmp(packet + 20, source, 21) == 0);
    CHECK_EQ(ewi_net_reassembly_deadline(&all), NET_NEVER);
    ewi_net_reassembly_give(&all, slot);
    CHECK_EQ(all.pool.used, 0);
    CHECK_EQ(all.late, 0);
}

static void names_are_kept_apart(void) /* RFC 791 section 3.2: source, destination, protocol, id */
{
    struct net_fragment piece[6], second = piece_of(8, 8, false);
    uint32_t slot;

    begin_with(32);
    for (int i = 0; i < 6; i++)
        piece[i] = piece_of(0, 8, true);
    piece[1].name.remote[3] = 3;
    piece[2].name.local[3] = 3;
    piece[3].name.zero = 6;
    piece[4].name.remote_port = 78;
    piece[5].name.local_port = 1; /* the upper half of an IPv6 id */
    for (int i = 0; i < 6; i++)
        CHECK_EQ(ewi_net_reassembly_add(&all, &piece[i], 0, &slot), NET_FRAGMENT_HELD);
    CHECK_EQ(all.pool.used, 6);
    CHECK_EQ(add(&second), NET_FRAGMENT_WHOLE);
    CHECK_EQ(all.pool.used, 5);
}

static void rfc_5722_section_4_an_overlap_spoils_all(void)
{
    begin();
    CHECK_EQ(add_simple(0, 16, true), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(8, 16, true), NET_FRAGMENT_BAD);
    CHECK_EQ(all.late, 1);
    CHECK_EQ(add_simple(16, 8, false), NET_FRAGMENT_BAD); /* and what was not yet there */
    CHECK_EQ(add_simple(0, 16, true), NET_FRAGMENT_BAD);
    CHECK_EQ(all.pool.used, 1);
    CHECK_EQ(ewi_net_reassembly_expire(&all, NET_REASSEMBLY_NS - 1), NET_NONE);
    ewi_net_reassembly_give(&all, ewi_net_reassembly_expire(&all, NET_REASSEMBLY_NS));
    CHECK_EQ(all.late, 1);
    CHECK_EQ(all.pool.used, 0);
}

static void rfc_8200_section_4_5_exact_repetitions_are_harmless(void)
{
    begin();
    CHECK_EQ(add_simple(16, 7, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(16, 7, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(0, 8, true), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(0, 8, true), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(8, 8, true), NET_FRAGMENT_WHOLE);
}

static void a_repetition_with_other_bytes_is_an_overlap(void)
{
    struct net_fragment piece = piece_of(0, 8, true);

    begin();
    CHECK_EQ(add(&piece), NET_FRAGMENT_HELD);
    piece.payload = source + 1;
    CHECK_EQ(add(&piece), NET_FRAGMENT_BAD);
    CHECK_EQ(add_simple(8, 8, false), NET_FRAGMENT_BAD);
}

static void the_same_bytes_cut_otherwise_are_an_overlap(void)
{
    static const uint32_t cuts[][2] = {{0, 8}, {8, 8}, {0, 24}, {8, 16}, {0, 32}};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        begin();
        CHECK_EQ(add_simple(0, 16, true), NET_FRAGMENT_HELD);
        CHECK_EQ(add_simple(16, 8, true), NET_FRAGMENT_HELD);
        CHECK_EQ(add_simple(cuts[i][0], cuts[i][1], true), NET_FRAGMENT_BAD);
    }
}

static void two_joined_are_no_repetition(void)
{
    begin();
    CHECK_EQ(add_simple(0, 8, true), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(8, 8, true), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(0, 16, true), NET_FRAGMENT_BAD);
}

static void ends_that_contradict_spoil_all(void)
{
    begin();
    CHECK_EQ(add_simple(24, 8, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(40, 8, false), NET_FRAGMENT_BAD); /* two ends */
    begin();
    CHECK_EQ(add_simple(24, 8, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(16, 7, false), NET_FRAGMENT_BAD); /* two ends, the other way */
    begin();
    CHECK_EQ(add_simple(24, 8, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(32, 8, true), NET_FRAGMENT_BAD); /* behind the end */
    begin();
    CHECK_EQ(add_simple(32, 8, true), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(16, 8, false), NET_FRAGMENT_BAD); /* the end before what is there */
    begin();
    CHECK_EQ(add_simple(16, 5, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(16, 8, true), NET_FRAGMENT_BAD);
    begin();
    CHECK_EQ(add_simple(16, 8, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(16, 8, true), NET_FRAGMENT_BAD); /* the same bytes, but not the end */
    begin(); /* one that had those bytes lay in the same buffer */
    CHECK_EQ(add_simple(0, 16, true), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(16, 8, false), NET_FRAGMENT_WHOLE);
    CHECK_EQ(add_simple(16, 7, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(16, 8, true), NET_FRAGMENT_BAD);
}

static void odd_fragments_are_refused_alone(void)
{
    struct net_fragment tiny = piece_of(0, 16, true);

    begin();
    CHECK_EQ(add_simple(0, 0, false), NET_FRAGMENT_BAD);
    CHECK_EQ(add_simple(8, 0, false), NET_FRAGMENT_BAD);
    CHECK_EQ(add_simple(0, 12, true), NET_FRAGMENT_BAD);
    CHECK_EQ(add_simple(65528, 8, false), NET_FRAGMENT_BAD);
    tiny.protocol = NET_TCP; /* RFC 1858 section 3 */
    CHECK_EQ(add(&tiny), NET_FRAGMENT_BAD);
    CHECK_EQ(all.pool.used, 0);
    tiny.bytes = 24;
    CHECK_EQ(add(&tiny), NET_FRAGMENT_HELD);
}

static void the_ping_of_death_is_refused(void) /* each alone is short enough, all are not */
{
    struct net_fragment first = piece_of(0, 65512, true);

    begin();
    first.header_bytes = 20;
    CHECK_EQ(add_simple(65512, 3, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add(&first), NET_FRAGMENT_WHOLE); /* 65535 with its header */
    first.header_bytes = 24;
    CHECK_EQ(add_simple(65512, 3, false), NET_FRAGMENT_HELD);
    CHECK_EQ(add(&first), NET_FRAGMENT_BAD);
    CHECK_EQ(all.late, 1);
}

static void rfc_8200_section_4_5_unfragmentable_headers_count(void)
{
    struct net_fragment first = piece_of(0, 65520, true), last = piece_of(65520, 7, false);

    begin();
    first.name.family = last.name.family = 6;
    first.header_bytes = last.header_bytes = 56;
    first.fragment_header = last.fragment_header = 48; /* eight bytes before it count */
    CHECK_EQ(add(&last), NET_FRAGMENT_HELD);
    CHECK_EQ(add(&first), NET_FRAGMENT_WHOLE);
    last.bytes = 8;
    CHECK_EQ(add(&last), NET_FRAGMENT_HELD);
    CHECK_EQ(add(&first), NET_FRAGMENT_BAD);
}

static void rfc_3168_section_5_3_marks(void)
{
    static const struct {
        uint8_t first, second;
        enum net_reassembly_code code;
        uint8_t result;
    } cases[] = {
        {0, 0, NET_FRAGMENT_WHOLE, 0}, {2, 2, NET_FRAGMENT_WHOLE, 2}, {2, 3, NET_FRAGMENT_WHOLE, 3},
        {3, 2, NET_FRAGMENT_WHOLE, 3}, {1, 3, NET_FRAGMENT_WHOLE, 3}, {3, 3, NET_FRAGMENT_WHOLE, 3},
        {0, 3, NET_FRAGMENT_BAD, 0},   {3, 0, NET_FRAGMENT_BAD, 0},   {1, 2, NET_FRAGMENT_WHOLE, 1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct net_fragment first = piece_of(0, 8, true), second = piece_of(8, 8, false);
        uint32_t slot, bytes;

        for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
            uint8_t traffic_class;
            const uint8_t *packet;

            begin();
            memset(header, 0, 48);
            first.traffic_class = (uint8_t)(0xa0 | cases[i].first);
            second.traffic_class = (uint8_t)(0xa0 | cases[i].second);
            first.name.family = second.name.family = is_ip6 ? 6 : 4;
            first.header_bytes = is_ip6 ? 48 : 20;
            first.fragment_header = is_ip6 ? 40 : 0;
            first.fragment_named_at = is_ip6 ? 6 : 0;
            header[0] = is_ip6 ? (uint8_t)(0x60 | first.traffic_class >> 4) : 0x45;
            header[1] = (uint8_t)(is_ip6 ? first.traffic_class << 4 : first.traffic_class);
            CHECK_EQ(ewi_net_reassembly_add(&all, &second, 0, &slot), NET_FRAGMENT_HELD);
            CHECK_EQ(ewi_net_reassembly_add(&all, &first, 0, &slot), cases[i].code);
            if (cases[i].code != NET_FRAGMENT_WHOLE)
                continue;
            packet = ewi_net_reassembly_packet(&all, slot, &bytes);
            traffic_class = (uint8_t)(is_ip6 ? packet[0] << 4 | packet[1] >> 4 : packet[1]);
            CHECK_EQ(traffic_class, 0xa0 | cases[i].result);
            ewi_net_reassembly_give(&all, slot);
        }
    }
}

static void the_fragment_header_goes_and_who_named_it_names_what_it_named(void)
{
    struct net_fragment first = piece_of(0, 8, true), second = piece_of(8, 9, false);
    uint32_t slot, bytes;
    const uint8_t *packet;

    begin();
    memset(header, 0, 64);
    header[0] = 0x60;
    header[6] = NET_IP6_DESTINATION;
    header[40] = NET_IP6_FRAGMENT;
    header[41] = 0;
    header[47] = 0x5a;
    first.name.family = second.name.family = 6;
    first.header_bytes = 56;
    first.fragment_header = 48;
    first.fragment_named_at = 40;
    CHECK_EQ(ewi_net_reassembly_add(&all, &second, 0, &slot), NET_FRAGMENT_HELD);
    CHECK_EQ(ewi_net_reassembly_add(&all, &first, 0, &slot), NET_FRAGMENT_WHOLE);
    packet = ewi_net_reassembly_packet(&all, slot, &bytes);
    CHECK_EQ(bytes, 48 + 17);
    CHECK_EQ(packet[0], 0x60);
    CHECK_EQ(packet[6], NET_IP6_DESTINATION);
    CHECK_EQ(packet[40], NET_UDP);
    CHECK_EQ(packet[47], 0x5a);
    CHECK_EQ(packet[4] << 8 | packet[5], 8 + 17);
    CHECK(memcmp(packet + 48, source, 17) == 0);
    ewi_net_reassembly_give(&all, slot);
}

/* ---- limits ---- */

static struct net_fragment from(uint32_t host, uint16_t id)
{
    struct net_fragment piece = piece_of(0, 8, true);

    memcpy(piece.name.remote, &host, 4);
    piece.name.remote_port = id;
    return piece;
}

static bool is_there(uint32_t host, uint16_t id)
{
    struct net_fragment piece = from(host, id);

    return ewi_net_table_find(&all.table, ewi_net_tuple_hash(all.key, &piece.name), &piece.name) !=
           NET_NONE;
}

static void one_source_has_its_share_only(void)
{
    struct net_fragment piece;

    begin();
    for (uint32_t host = 100; host < 108; host++) {
        piece = from(host, 1);
        CHECK_EQ(add(&piece), NET_FRAGMENT_HELD);
    }
    for (uint16_t id = 0; id < 100; id++) {
        piece = from(7, id);
        CHECK_EQ(add(&piece), NET_FRAGMENT_HELD);
    }
    for (uint16_t id = 96; id < 100; id++) /* its last ones: a quarter of all */
        CHECK(is_there(7, id));
    CHECK(!is_there(7, 95));
    for (uint32_t host = 100; host < 108; host++)
        CHECK(is_there(host, 1));
    CHECK_EQ(all.late, 96);
}

static void the_oldest_of_all_gives_way(void)
{
    struct net_fragment piece;

    begin();
    for (uint32_t host = 0; host < 1000; host++) {
        piece = from(host * 2654435761u, 1);
        CHECK_EQ(add(&piece), NET_FRAGMENT_HELD);
        CHECK(all.pool.used <= PIECES_CAPACITY);
        CHECK(is_there(host * 2654435761u, 1));
    }
    CHECK_EQ(all.late + all.pool.used, 1000);
}

static void without_slots_nothing_is_put_together(void)
{
    begin_with(0);
    CHECK_EQ(add_simple(0, 8, true), NET_FRAGMENT_FULL);
    CHECK_EQ(ewi_net_reassembly_deadline(&all), NET_NEVER);
    begin_with(1);
    CHECK_EQ(add_simple(0, 8, true), NET_FRAGMENT_HELD);
    CHECK_EQ(add_simple(8, 8, false), NET_FRAGMENT_WHOLE);
}

static void half_of_the_slots_may_be_held(void)
{
    uint32_t held[PIECES_CAPACITY], count = 0;
    uint8_t bytes[100] = {1, 2, 3}, *at;
    struct net_fragment piece = piece_of(0, 8, true);

    begin();
    for (;;) {
        at = bytes;
        held[count] = ewi_net_reassembly_hold(&all, &at, sizeof(bytes));
        if (held[count] == NET_NONE)
            break;
        CHECK(at != bytes && memcmp(at, bytes, sizeof(bytes)) == 0);
        count++;
        sound();
    }
    CHECK_EQ(count, PIECES_CAPACITY / 2);
    for (uint32_t host = 0; host < 50; host++) {
        piece = from(host * 2654435761u, 1);
        CHECK_EQ(add(&piece), NET_FRAGMENT_HELD);
    }
    CHECK_EQ(all.pool.used, PIECES_CAPACITY);
    at = bytes;
    ewi_net_reassembly_give(&all, held[0]);
    CHECK(ewi_net_reassembly_hold(&all, &at, sizeof(bytes)) != NET_NONE);
    sound();
    at = bytes;
    CHECK_EQ(ewi_net_reassembly_hold(&all, &at, NET_REASSEMBLY_BUFFER_BYTES + 1), NET_NONE);
}

static void a_whole_one_is_held_where_it_is(void)
{
    struct net_fragment first = piece_of(0, 8, true), second = piece_of(8, 8, false);
    uint32_t slot, bytes;
    uint8_t *packet, *at;

    begin();
    CHECK_EQ(ewi_net_reassembly_add(&all, &first, 0, &slot), NET_FRAGMENT_HELD);
    CHECK_EQ(ewi_net_reassembly_add(&all, &second, 0, &slot), NET_FRAGMENT_WHOLE);
    packet = ewi_net_reassembly_packet(&all, slot, &bytes);
    at = packet + 20;
    CHECK_EQ(ewi_net_reassembly_hold(&all, &at, 16), slot);
    CHECK(at == packet + 20);
    CHECK_EQ(ewi_net_reassembly_at(&all, slot)->state, NET_REASSEMBLY_HELD);
    sound();
    ewi_net_reassembly_give(&all, slot);
    CHECK_EQ(all.held, 0);
    CHECK_EQ(all.pool.used, 0);
}

static void the_oldest_is_overdue_first(void)
{
    struct net_fragment piece = from(1, 1);
    uint32_t slot, bytes;

    begin();
    CHECK_EQ(ewi_net_reassembly_add(&all, &piece, 10, &slot), NET_FRAGMENT_HELD);
    piece = from(2, 2);
    piece.at = 8;
    CHECK_EQ(ewi_net_reassembly_add(&all, &piece, 20, &slot), NET_FRAGMENT_HELD);
    piece = from(1, 1);
    piece.at = 16;
    CHECK_EQ(ewi_net_reassembly_add(&all, &piece, 30, &slot), NET_FRAGMENT_HELD); /* from the first on */
    CHECK_EQ(ewi_net_reassembly_deadline(&all), 10 + NET_REASSEMBLY_NS);
    CHECK_EQ(ewi_net_reassembly_expire(&all, 9 + NET_REASSEMBLY_NS), NET_NONE);
    slot = ewi_net_reassembly_expire(&all, 10 + NET_REASSEMBLY_NS);
    CHECK(slot != NET_NONE);
    CHECK(ewi_net_reassembly_first(&all, slot, &bytes) != NULL);
    CHECK_EQ(bytes, 28);
    ewi_net_reassembly_give(&all, slot);
    CHECK_EQ(ewi_net_reassembly_expire(&all, 10 + NET_REASSEMBLY_NS), NET_NONE);
    slot = ewi_net_reassembly_expire(&all, 20 + NET_REASSEMBLY_NS);
    CHECK(ewi_net_reassembly_first(&all, slot, &bytes) == NULL); /* the first is not there */
    ewi_net_reassembly_give(&all, slot);
    CHECK_EQ(all.late, 3);
}

int main(void)
{
    RUN(two_halves_are_one_datagram);
    RUN(names_are_kept_apart);
    RUN(rfc_5722_section_4_an_overlap_spoils_all);
    RUN(rfc_8200_section_4_5_exact_repetitions_are_harmless);
    RUN(a_repetition_with_other_bytes_is_an_overlap);
    RUN(the_same_bytes_cut_otherwise_are_an_overlap);
    RUN(two_joined_are_no_repetition);
    RUN(ends_that_contradict_spoil_all);
    RUN(odd_fragments_are_refused_alone);
    RUN(the_ping_of_death_is_refused);
    RUN(rfc_8200_section_4_5_unfragmentable_headers_count);
    RUN(rfc_3168_section_5_3_marks);
    RUN(the_fragment_header_goes_and_who_named_it_names_what_it_named);
    RUN(one_source_has_its_share_only);
    RUN(the_oldest_of_all_gives_way);
    RUN(without_slots_nothing_is_put_together);
    RUN(half_of_the_slots_may_be_held);
    RUN(a_whole_one_is_held_where_it_is);
    RUN(the_oldest_is_overdue_first);
    free(memory);
    return 0;
}
