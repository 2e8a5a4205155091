/* tests/c/test_net_reassembly.c - every order, repetition, overlap and lie, against a slow model. */
#include "tests/c/harness.h"
#include "tests/c/net_pieces.h"
#include "transport/net/wheel.h"

enum { CAPACITY = 16, BYTES_MAX = 65535 };
#define SECONDS UINT64_C(1000000000)

static const uint8_t key[16] = {9, 8, 7};
static struct net_reassemblies all;
static void *memory;
static uint8_t source[65536], header[NET_REASSEMBLY_HEADER_ROOM];

static void begin_with(uint32_t capacity)
{
    struct net_reassembly_places places;
    struct net_block block;
    size_t bytes;

    free(memory);
    ewi_net_block_layout(&block);
    ewi_net_reassembly_place(&block, capacity, &places);
    bytes = ewi_net_block_bytes(&block);
    CHECK(bytes != 0);
    memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    CHECK(memory != NULL);
    ewi_net_block_fill(&block, memory, bytes);
    ewi_net_reassembly_place(&block, capacity, &places);
    CHECK_EQ(ewi_net_block_bytes(&block), bytes);
    ewi_net_reassembly_init(&all, capacity, &places, key);
}

static void begin(void)
{
    begin_with(CAPACITY);
}

static void sound(void)
{
    const char *wrong = ewi_net_reassembly_check(&all);

    if (wrong != NULL)
        fprintf(stderr, "    %s\n", wrong);
    CHECK(wrong == NULL);
}

/* ---- pieces ---- */

static struct net_fragment piece_of(uint32_t at, uint32_t bytes, bool more)
{
    struct net_fragment piece = {
        .header = header,
        .payload = source + at,
        .header_bytes = 20,
        .at = at,
        .bytes = bytes,
        .protocol = NET_UDP,
        .more = more,
    };

    piece.name = (struct net_tuple){
        .local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2}, .remote_port = 77, .family = 4};
    return piece;
}

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
    CHECK_EQ(ewi_net_reassembly_deadline(&all), 5 + 30 * SECONDS);
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
    CHECK_EQ(ewi_net_reassembly_expire(&all, 30 * SECONDS - 1), NET_NONE);
    ewi_net_reassembly_give(&all, ewi_net_reassembly_expire(&all, 30 * SECONDS));
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
        CHECK(all.pool.used <= CAPACITY);
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
    uint32_t held[CAPACITY], count = 0;
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
    CHECK_EQ(count, CAPACITY / 2);
    for (uint32_t host = 0; host < 50; host++) {
        piece = from(host * 2654435761u, 1);
        CHECK_EQ(add(&piece), NET_FRAGMENT_HELD);
    }
    CHECK_EQ(all.pool.used, CAPACITY);
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

/* ---- against the model ---- */

static struct slow slow;

/* Both say the same of this fragment, and when it is whole, of all bytes. */
static enum net_reassembly_code both(const struct net_fragment *piece)
{
    uint32_t slot, total, bytes;
    enum net_reassembly_code code = slow_add(&slow, piece, &total);
    const uint8_t *packet;

    CHECK_EQ(ewi_net_reassembly_add(&all, piece, 0, &slot), code);
    sound();
    if (code != NET_FRAGMENT_WHOLE)
        return code;
    packet = ewi_net_reassembly_packet(&all, slot, &bytes);
    CHECK(memcmp(packet + bytes - total, slow.payload, total) == 0);
    ewi_net_reassembly_give(&all, slot);
    slow.count = 0;
    return code;
}

static void every_order_of_four_with_every_repetition_and_every_overlap(void)
{
    static const uint32_t ends[5] = {0, 16, 24, 48, 53};
    static const struct {
        uint32_t at, bytes;
        bool more;
    } extras[] = {{0, 16, true},  {24, 24, true}, {48, 5, false}, {0, 8, true},
                  {8, 8, true},   {16, 16, true}, {40, 16, true}, {48, 8, true},
                  {56, 8, false}, {40, 8, false}, {0, 53, false}, {48, 4, false}};
    uint32_t orders = 0, wholes = 0;

    for (uint32_t order = 0; order < 256; order++) {
        uint32_t place[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};

        if ((1u << place[0] | 1u << place[1] | 1u << place[2] | 1u << place[3]) != 15)
            continue;
        orders++;
        for (size_t extra = 0; extra < sizeof(extras) / sizeof(extras[0]); extra++) {
            for (uint32_t when = 0; when < 5; when++) {
                begin();
                slow.count = 0;
                slow.is_spoilt = false;
                for (uint32_t i = 0; i < 5; i++) {
                    uint32_t p = i > when ? place[i - 1] : place[i & 3];
                    struct net_fragment piece =
                        i == when ? piece_of(extras[extra].at, extras[extra].bytes,
                                             extras[extra].more)
                                  : piece_of(ends[p], ends[p + 1] - ends[p], p != 3);

                    wholes += both(&piece) == NET_FRAGMENT_WHOLE;
                }
            }
        }
    }
    CHECK_EQ(orders, 24);
    CHECK(wholes >= 24 * 5 * 3); /* the repetitions at least */
}

/* Cut `bytes` at random places, mix, repeat, and sometimes lie. */
static void any_fragments_agree_with_the_model(struct harness_random *random)
{
    static struct net_fragment piece[PIECES_MAX];
    uint32_t wholes = 0, spoilt = 0;

    begin();
    for (int run = 0; run < 300; run++) {
        uint32_t bytes = (uint32_t)harness_between(random, 1, harness_below(random, 4) ? 400 : 65515);
        uint32_t longest = bytes < 500 ? 5 : 2000, count = 0, at = 0;
        uint8_t ecn = (uint8_t)harness_below(random, 4);

        slow.count = 0;
        slow.is_spoilt = false;
        while (at < bytes) {
            uint32_t units = (uint32_t)harness_between(random, 1, longest) * 8;

            units = units > bytes - at ? bytes - at : units;
            piece[count] = piece_of(at, units, at + units < bytes);
            piece[count].name.remote_port = (uint16_t)run;
            piece[count++].traffic_class = ecn;
            at += units;
        }
        for (uint32_t extra = (uint32_t)harness_below(random, 4); extra > 0; extra--) {
            piece[count] = piece[harness_below(random, count)];
            if (harness_below(random, 4) == 0)
                piece[count].at = (uint32_t)harness_below(random, bytes / 8 + 2) * 8;
            if (harness_below(random, 6) == 0)
                piece[count].bytes = (uint32_t)harness_below(random, 64);
            if (harness_below(random, 8) == 0)
                piece[count].more = !piece[count].more;
            if (harness_below(random, 8) == 0)
                piece[count].traffic_class ^= (uint8_t)harness_below(random, 4);
            piece[count].payload = source + piece[count].at % 65000;
            if (piece[count].at + piece[count].bytes > sizeof(source) ||
                piece[count].at % 65000 + piece[count].bytes > sizeof(source))
                continue;
            count++;
        }
        for (uint32_t i = count; i > 1; i--) {
            uint32_t other = (uint32_t)harness_below(random, i);
            struct net_fragment keep = piece[i - 1];

            piece[i - 1] = piece[other];
            piece[other] = keep;
        }
        for (uint32_t i = 0; i < count; i++)
            wholes += both(&piece[i]) == NET_FRAGMENT_WHOLE;
        spoilt += slow.is_spoilt;
    }
    CHECK(wholes > 50 && spoilt > 20);
}

int main(int argc, char **argv)
{
    for (uint32_t i = 0; i < sizeof(source); i++)
        source[i] = (uint8_t)(i * 7 + i / 256 * 3);
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
    RUN(every_order_of_four_with_every_repetition_and_every_overlap);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        any_fragments_agree_with_the_model(&random);
    }
    free(memory);
    return 0;
}
