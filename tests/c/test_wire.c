/* tests/c/test_wire.c - are these the documented bytes, and is everything else refused? */
#include "transport/wire.h"
#include "tests/c/harness.h"

/* A hello with another value in every field. */
static struct hello sample(void)
{
    struct hello hello = {
        .version = 1,
        .version_min = 1,
        .features = UINT64_C(0x0102030405060708),
        .intent = WIRE_RESUME,
        .generation = UINT64_C(0x1112131415161718),
        .start = UINT64_C(0x2122232425262728),
        .taken = UINT64_C(0x3132333435363738),
        .outbox_bytes = UINT64_C(0x4142434445464748),
        .offset = 0x51525358,
        .pid = 0x61626364,
        .message_bytes_max = UINT64_C(0x7172737475767778),
        .limit = UINT64_C(0x8182838485868788),
        .channels = UINT64_C(0x9192939495969798),
        .namespace_name = "default",
        .service = "pricing.eu",
        .protocol = "json/1",
    };

    for (int i = 0; i < 16; i++) {
        hello.channel[i] = (uint8_t)(0xa0 + i);
        hello.instance[i] = (uint8_t)(0xb0 + i);
        hello.secret[i] = (uint8_t)(0xc0 + i);
        hello.nonce[i] = (uint8_t)(0xd0 + i);
        hello.mac[i] = (uint8_t)(0xe0 + i);
    }
    return hello;
}

/* Decode from a copy of exactly this length, so that ASan sees one byte too far. */
static int get_hello(const uint8_t *bytes, uint32_t length, enum record_kind kind,
                     struct hello *out, char *facts)
{
    uint8_t *exact = malloc(length != 0 ? length : 1);
    int code;

    CHECK(exact != NULL);
    memcpy(exact, bytes, length);
    code = ewi_wire_get_hello(exact, length, kind, out, facts);
    free(exact);
    return code;
}

static int get_refuse(const uint8_t *bytes, uint32_t length, char *text)
{
    uint8_t *exact = malloc(length != 0 ? length : 1);
    int code;

    CHECK(exact != NULL);
    memcpy(exact, bytes, length);
    code = ewi_wire_get_refuse(exact, length, text);
    free(exact);
    return code;
}

/* What a good hello gives when these bytes lie at this offset. */
static int with(uint32_t at, const char *bytes, uint32_t count)
{
    uint8_t out[WIRE_HELLO_BYTES];
    const struct hello hello = sample();
    struct hello back;

    ewi_wire_put_hello(out, RECORD_HELLO, &hello);
    memcpy(out + at, bytes, count);
    return get_hello(out, sizeof(out), RECORD_HELLO, &back, NULL);
}

/* ---- golden bytes ---- */

/* The layout of docs/reference/wire.md, written by hand: offset, bytes. The rest is zero. */
static const struct golden {
    uint32_t at, count;
    const char *bytes;
} hello_golden[] = {
    {0, 8, "\x10\x02\x00\x00\x20\x00\x00\x00"},
    {8, 4, "EWH1"},
    {12, 2, "\x01\x00"},
    {14, 2, "\x01\x00"},
    {16, 8, "\x08\x07\x06\x05\x04\x03\x02\x01"},
    {24, 8, "\xf8\xf7\xf6\xf5\xf4\xf3\xf2\xf1"},
    {32, 8, "\x02\x00\x00\x00\x00\x00\x00\x00"},
    {40, 8, "\x18\x17\x16\x15\x14\x13\x12\x11"},
    {48, 16, "\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf"},
    {64, 16, "\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xbb\xbc\xbd\xbe\xbf"},
    {80, 16, "\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xcb\xcc\xcd\xce\xcf"},
    {96, 16, "\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xdb\xdc\xdd\xde\xdf"},
    {112, 16, "\xe0\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xeb\xec\xed\xee\xef"},
    {128, 8, "\x28\x27\x26\x25\x24\x23\x22\x21"},
    {136, 8, "\x38\x37\x36\x35\x34\x33\x32\x31"},
    {144, 8, "\x48\x47\x46\x45\x44\x43\x42\x41"},
    {152, 4, "\x58\x53\x52\x51"},
    {156, 4, "\x64\x63\x62\x61"},
    {160, 8, "\x78\x77\x76\x75\x74\x73\x72\x71"},
    {168, 8, "\x88\x87\x86\x85\x84\x83\x82\x81"},
    {176, 8, "\x98\x97\x96\x95\x94\x93\x92\x91"},
    {192, 7, "default"},
    {256, 10, "pricing.eu"},
    {464, 6, "json/1"},
};

/* catches: any two lines of put_hello swapped, put_u16 in big-endian */
static void hello_has_the_golden_bytes(void)
{
    struct hello hello = sample();
    uint8_t out[WIRE_HELLO_BYTES], expected[WIRE_HELLO_BYTES] = {0};

    hello.required = UINT64_C(0xf1f2f3f4f5f6f7f8);
    for (size_t i = 0; i < sizeof(hello_golden) / sizeof(hello_golden[0]); i++)
        memcpy(expected + hello_golden[i].at, hello_golden[i].bytes, hello_golden[i].count);
    memset(out, 0xff, sizeof(out));
    CHECK_EQ(ewi_wire_put_hello(out, RECORD_HELLO, &hello), 528);
    CHECK(memcmp(out, expected, sizeof(out)) == 0);
}

static void welcome_differs_from_hello_in_its_kind_only(void)
{
    const struct hello hello = sample();
    uint8_t one[WIRE_HELLO_BYTES], two[WIRE_HELLO_BYTES];

    ewi_wire_put_hello(one, RECORD_HELLO, &hello);
    ewi_wire_put_hello(two, RECORD_WELCOME, &hello);
    CHECK_EQ(two[4], 33);
    two[4] = 32;
    CHECK(memcmp(one, two, sizeof(one)) == 0);
}

static void facts_follow_the_welcome_padded_with_zeros(void)
{
    const struct hello hello = sample();
    uint8_t out[WIRE_MESSAGE_BYTES_MAX];

    memset(out, 0xff, sizeof(out));
    CHECK_EQ(ewi_wire_put_welcome_facts(out, &hello, "zone=a"), 536);
    CHECK(memcmp(out, "\x18\x02\x00\x00\x21\x00\x00\x00", 8) == 0);
    CHECK(memcmp(out + 528, "zone=a\0\0", 8) == 0);
}

static void refuse_has_the_golden_bytes(void)
{
    uint8_t out[WIRE_REFUSE_BYTES_MAX];

    memset(out, 0xff, sizeof(out));
    CHECK_EQ(ewi_wire_put_refuse(out, EW_EFULL, "no room"), 24);
    CHECK(memcmp(out, "\x18\0\0\0\x22\0\0\0\x0a\xfc\xff\xff\0\0\0\0no room\0", 24) == 0);
}

static void ack_has_the_golden_bytes(void)
{
    uint8_t out[WIRE_ACK_BYTES];
    const struct wire_ack ack = {.taken = 0x0102, .consumed = 0x0304, .limit = UINT64_MAX - 1};

    CHECK_EQ(ewi_wire_put_ack(out, &ack), 32);
    CHECK(memcmp(out,
                 "\x20\0\0\0\x11\0\0\0\x02\x01\0\0\0\0\0\0"
                 "\x04\x03\0\0\0\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff",
                 32) == 0);
}

static void start_ping_pong_and_final_have_the_golden_bytes(void)
{
    static const struct {
        enum record_kind kind;
        const char *bytes;
    } golden[] = {{RECORD_START, "\x10\0\0\0\x10\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01"},
                  {RECORD_PING, "\x10\0\0\0\x12\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01"},
                  {RECORD_PONG, "\x10\0\0\0\x13\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01"},
                  {RECORD_FINAL, "\x10\0\0\0\x23\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01"}};

    for (size_t i = 0; i < 4; i++) {
        uint8_t out[16];

        CHECK_EQ(ewi_wire_put_u64(out, golden[i].kind, UINT64_C(0x0102030405060708)), 16);
        CHECK(memcmp(out, golden[i].bytes, 16) == 0);
        CHECK(ewi_wire_get_u64(out + 8) == UINT64_C(0x0102030405060708));
    }
}

static void drain_has_the_golden_bytes(void)
{
    uint8_t out[WIRE_DRAIN_BYTES];

    CHECK_EQ(ewi_wire_put_drain(out), 8);
    CHECK(memcmp(out, "\x08\0\0\0\x14\0\0\0", 8) == 0);
}

/* ---- round trips (I1) ---- */

static void check_same(const struct hello *a, const struct hello *b)
{
    uint8_t one[WIRE_HELLO_BYTES], two[WIRE_HELLO_BYTES];

    ewi_wire_put_hello(one, RECORD_HELLO, a);
    ewi_wire_put_hello(two, RECORD_HELLO, b);
    CHECK(memcmp(one, two, sizeof(one)) == 0);
}

/* catches: a line of get_hello that is missing or reads another offset */
static void a_hello_survives_the_round_trip(void)
{
    const struct hello hello = sample();
    struct hello back;
    uint8_t out[WIRE_HELLO_BYTES];

    ewi_wire_put_hello(out, RECORD_HELLO, &hello);
    memset(&back, 0xee, sizeof(back));
    CHECK_EQ(get_hello(out, sizeof(out), RECORD_HELLO, &back, NULL), EW_OK);
    check_same(&hello, &back);
    CHECK(back.offset == hello.offset && back.pid == hello.pid && back.limit == hello.limit);
}

static void the_longest_names_survive_the_round_trip(void)
{
    struct hello hello = sample(), back;
    uint8_t out[WIRE_HELLO_BYTES];

    memset(hello.namespace_name, 'n', WIRE_NAMESPACE_BYTES - 1);
    memset(hello.service, 's', WIRE_SERVICE_BYTES - 1);
    memset(hello.protocol, 'p', WIRE_PROTOCOL_BYTES - 1);
    ewi_wire_put_hello(out, RECORD_HELLO, &hello);
    CHECK_EQ(get_hello(out, sizeof(out), RECORD_HELLO, &back, NULL), EW_OK);
    CHECK_EQ(strlen(back.service), WIRE_SERVICE_BYTES - 1);
    check_same(&hello, &back);
}

static void facts_of_every_length_survive_the_round_trip(void)
{
    const struct hello hello = sample();
    struct hello back;
    static uint8_t out[WIRE_MESSAGE_BYTES_MAX];
    char facts[3000], got[WIRE_FACTS_BYTES_MAX + 1];

    for (uint32_t length = 0; length <= WIRE_FACTS_BYTES_MAX; length++) {
        uint32_t bytes;

        memset(facts, 'f', length);
        facts[length] = '\0';
        bytes = ewi_wire_put_welcome_facts(out, &hello, facts);
        CHECK_EQ(get_hello(out, bytes, RECORD_WELCOME, &back, got), EW_OK);
        CHECK(strcmp(facts, got) == 0);
    }
    memset(facts, 'f', sizeof(facts) - 1); /* longer ones are cut */
    facts[sizeof(facts) - 1] = '\0';
    CHECK_EQ(ewi_wire_put_welcome_facts(out, &hello, facts), WIRE_MESSAGE_BYTES_MAX);
}

static void a_refusal_survives_the_round_trip_with_every_code(void)
{
    uint8_t out[WIRE_REFUSE_BYTES_MAX];
    char text[WIRE_TEXT_BYTES_MAX + 1];

    for (int code = EW_EBUG; code <= EW_EAGAIN; code++) {
        uint32_t bytes = ewi_wire_put_refuse(out, code, "why");

        CHECK_EQ(get_refuse(out, bytes, text), code);
        CHECK(strcmp(text, "why") == 0);
    }
}

static void a_refusal_with_too_long_a_text_is_cut(void)
{
    uint8_t out[WIRE_REFUSE_BYTES_MAX];
    char text[WIRE_TEXT_BYTES_MAX + 1], longer[1000];
    uint32_t bytes;

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    bytes = ewi_wire_put_refuse(out, EW_EACCESS, longer);
    CHECK(bytes <= sizeof(out));
    CHECK_EQ(get_refuse(out, bytes, text), EW_EACCESS);
    CHECK(strlen(text) > 200 && strlen(text) <= WIRE_TEXT_BYTES_MAX);
}

static void an_ack_survives_the_round_trip(void)
{
    const struct wire_ack ack = {.taken = 8, .consumed = 16, .limit = UINT64_MAX};
    uint8_t out[WIRE_ACK_BYTES];
    struct wire_ack back;

    ewi_wire_put_ack(out, &ack);
    back = ewi_wire_get_ack(out + 8);
    CHECK(back.taken == 8 && back.consumed == 16 && back.limit == UINT64_MAX);
}

/* ---- malformed hellos ---- */

/* catches: get_hello without `length < WIRE_HELLO_BYTES` (ASan) */
static void a_hello_of_any_other_length_is_refused(void)
{
    const struct hello hello = sample();
    struct hello back;
    uint8_t out[WIRE_HELLO_BYTES + 64] = {0};

    ewi_wire_put_hello(out, RECORD_HELLO, &hello);
    for (uint32_t length = 0; length < sizeof(out); length++)
        if (length != WIRE_HELLO_BYTES)
            CHECK_EQ(get_hello(out, length, RECORD_HELLO, &back, NULL), EW_EPROTO);
}

static void a_hello_whose_header_says_another_length_is_refused(void)
{
    CHECK_EQ(with(0, "\x18", 1), EW_EPROTO);
    CHECK_EQ(with(0, "\x08", 1), EW_EPROTO);
    CHECK_EQ(with(3, "\x80", 1), EW_EPROTO);
}

static void a_hello_of_another_kind_is_refused(void)
{
    const struct hello hello = sample();
    struct hello back;
    uint8_t out[WIRE_HELLO_BYTES];

    ewi_wire_put_hello(out, RECORD_WELCOME, &hello);
    CHECK_EQ(get_hello(out, sizeof(out), RECORD_HELLO, &back, NULL), EW_EPROTO);
    ewi_wire_put_hello(out, RECORD_HELLO, &hello);
    CHECK_EQ(get_hello(out, sizeof(out), RECORD_WELCOME, &back, NULL), EW_EPROTO);
}

static void a_hello_with_flags_or_reserved_header_bits_is_refused(void)
{
    CHECK_EQ(with(5, "\x01", 1), EW_EPROTO);
    CHECK_EQ(with(6, "\x01", 1), EW_EPROTO);
    CHECK_EQ(with(7, "\x80", 1), EW_EPROTO);
}

static void a_hello_with_another_magic_is_refused(void)
{
    CHECK_EQ(with(WIRE_AT_MAGIC, "EWH2", 4), EW_EPROTO);
}

static void a_hello_whose_versions_are_in_the_wrong_order_is_refused(void)
{
    CHECK_EQ(with(WIRE_AT_VERSION, "\x01\x00\x02\x00", 4), EW_EPROTO);
}

static void a_newer_peer_that_speaks_our_version_is_welcome(void)
{
    CHECK_EQ(with(WIRE_AT_VERSION, "\x09\x00\x01\x00", 4), EW_OK);
    CHECK_EQ(with(WIRE_AT_VERSION, "\xff\xff\x00\x00", 4), EW_OK);
}

static void a_peer_without_a_common_version_is_told_so(void)
{
    CHECK_EQ(with(WIRE_AT_VERSION, "\x09\x00\x02\x00", 4), EW_EVERSION);
    CHECK_EQ(with(WIRE_AT_VERSION, "\x00\x00\x00\x00", 4), EW_EVERSION);
}

/* catches: check_version without `required` */
static void each_unknown_required_feature_is_refused(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        char required[8] = {0};
        bool is_known = (WIRE_FEATURES_KNOWN >> bit & 1) != 0;

        required[bit / 8] = (char)(1u << bit % 8);
        CHECK_EQ(with(WIRE_AT_REQUIRED, required, 8), is_known ? EW_OK : EW_EVERSION);
    }
}

static void an_unknown_feature_that_is_not_required_is_fine(void)
{
    CHECK_EQ(with(WIRE_AT_FEATURES, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), EW_OK);
}

static void only_three_intents_are_known(void)
{
    for (unsigned intent = 0; intent < 256; intent++) {
        const char byte = (char)intent;

        CHECK_EQ(with(WIRE_AT_INTENT, &byte, 1), intent >= 1 && intent <= 3 ? EW_OK : EW_EPROTO);
    }
}

/* catches: either zero_between removed */
static void each_unused_byte_of_a_hello_has_to_be_zero(void)
{
    for (uint32_t at = WIRE_AT_INTENT + 1; at < WIRE_AT_GENERATION; at++)
        CHECK_EQ(with(at, "\x01", 1), EW_EPROTO);
    for (uint32_t at = WIRE_AT_RESERVED; at < WIRE_AT_NAMESPACE; at++)
        CHECK_EQ(with(at, "\x01", 1), EW_EPROTO);
}

static void positions_in_a_hello_have_to_be_aligned(void)
{
    for (char low = 1; low < 8; low++) {
        CHECK_EQ(with(WIRE_AT_START, &low, 1), EW_EPROTO);
        CHECK_EQ(with(WIRE_AT_TAKEN, &low, 1), EW_EPROTO);
        CHECK_EQ(with(WIRE_AT_OFFSET, &low, 1), EW_EPROTO);
    }
}

/* catches: get_text without `length == room` (ASan in strlen of a caller) */
static void a_string_that_fills_its_field_is_refused(void)
{
    char text[WIRE_SERVICE_BYTES];

    memset(text, 'a', sizeof(text));
    CHECK_EQ(with(WIRE_AT_NAMESPACE, text, WIRE_NAMESPACE_BYTES), EW_EPROTO);
    CHECK_EQ(with(WIRE_AT_SERVICE, text, WIRE_SERVICE_BYTES), EW_EPROTO);
    CHECK_EQ(with(WIRE_AT_PROTOCOL, text, WIRE_PROTOCOL_BYTES), EW_EPROTO);
}

static void a_byte_behind_the_end_of_a_string_is_refused(void)
{
    CHECK_EQ(with(WIRE_AT_NAMESPACE + WIRE_NAMESPACE_BYTES - 1, "x", 1), EW_EPROTO);
    CHECK_EQ(with(WIRE_AT_SERVICE + WIRE_SERVICE_BYTES - 1, "x", 1), EW_EPROTO);
    CHECK_EQ(with(WIRE_AT_PROTOCOL + WIRE_PROTOCOL_BYTES - 1, "x", 1), EW_EPROTO);
}

static void a_control_character_in_a_string_is_refused(void)
{
    for (unsigned value = 1; value < 256; value++) {
        const char byte = (char)value;
        int expected = value < 0x20 || value == 0x7f ? EW_EPROTO : EW_OK;

        CHECK_EQ(with(WIRE_AT_NAMESPACE + 1, &byte, 1), expected);
        CHECK_EQ(with(WIRE_AT_SERVICE + 1, &byte, 1), expected);
        CHECK_EQ(with(WIRE_AT_PROTOCOL + 1, &byte, 1), expected);
    }
}

/* ---- malformed refusals ---- */

static int refused_with(uint32_t at, const char *bytes, uint32_t count)
{
    uint8_t out[WIRE_REFUSE_BYTES_MAX];
    char text[WIRE_TEXT_BYTES_MAX + 1];
    uint32_t length = ewi_wire_put_refuse(out, EW_EFULL, "no room");

    memcpy(out + at, bytes, count);
    return get_refuse(out, length, text);
}

static void a_refusal_that_is_cut_or_longer_than_it_says_is_malformed(void)
{
    uint8_t out[WIRE_REFUSE_BYTES_MAX + 64] = {0};
    char text[WIRE_TEXT_BYTES_MAX + 1];
    uint32_t bytes = ewi_wire_put_refuse(out, EW_EFULL, "no room");

    for (uint32_t length = 0; length < sizeof(out); length++)
        if (length != bytes)
            CHECK_EQ(get_refuse(out, length, text), EW_EPROTO);
    CHECK_EQ(text[0], '\0');
}

static void a_refusal_with_a_success_or_unknown_code_is_malformed(void)
{
    CHECK_EQ(refused_with(8, "\x00\x00\x00\x00", 4), EW_EPROTO);
    CHECK_EQ(refused_with(8, "\x01\x00\x00\x00", 4), EW_EPROTO);
    CHECK_EQ(refused_with(8, "\x19\xfc\xff\xff", 4), EW_EPROTO); /* -999 */
    CHECK_EQ(refused_with(8, "\x04\xfc\xff\xff", 4), EW_EPROTO); /* -1020 */
    CHECK_EQ(refused_with(8, "\x00\x00\x00\x80", 4), EW_EPROTO);
}

/* catches: get_refuse without the check of bytes 12..15 (as it was) */
static void a_refusal_with_unused_bytes_set_is_malformed(void)
{
    for (uint32_t at = 12; at < 16; at++)
        CHECK_EQ(refused_with(at, "\x01", 1), EW_EPROTO);
}

static void a_refusal_of_another_kind_or_with_flags_is_malformed(void)
{
    CHECK_EQ(refused_with(4, "\x21", 1), EW_EPROTO);
    CHECK_EQ(refused_with(5, "\x01", 1), EW_EPROTO);
    CHECK_EQ(refused_with(6, "\x01", 1), EW_EPROTO);
}

/* catches: 0x7f let through (as it was) */
static void control_characters_of_a_refusal_are_not_shown(void)
{
    uint8_t out[WIRE_REFUSE_BYTES_MAX];
    char text[WIRE_TEXT_BYTES_MAX + 1];
    uint32_t length = ewi_wire_put_refuse(out, EW_EFULL, "a\x1b[2J\x7f\n");

    CHECK_EQ(get_refuse(out, length, text), EW_EFULL);
    CHECK(strcmp(text, "a?[2J??") == 0);
}

static void the_longest_text_that_a_refusal_may_have_is_read_whole(void)
{
    uint8_t out[WIRE_REFUSE_BYTES_MAX] = {0};
    char text[WIRE_TEXT_BYTES_MAX + 1];

    ewi_wire_put_refuse(out, EW_EFULL, "");
    memset(out + 16, 'x', WIRE_TEXT_BYTES_MAX);
    out[0] = (uint8_t)(WIRE_REFUSE_BYTES_MAX & 0xff);
    out[1] = WIRE_REFUSE_BYTES_MAX >> 8;
    CHECK_EQ(get_refuse(out, sizeof(out), text), EW_EFULL);
    CHECK_EQ(strlen(text), WIRE_TEXT_BYTES_MAX);
}

/* ---- headers ---- */

static int greeting(uint32_t bytes, unsigned kind)
{
    return ewi_wire_check_greeting((struct record){.bytes = bytes, .kind = (uint8_t)kind});
}

static void a_greeting_has_a_length_of_its_kind(void)
{
    for (uint32_t bytes = 0; bytes < 2000; bytes++) {
        bool aligned = bytes % 8 == 0;

        CHECK_EQ(greeting(bytes, RECORD_HELLO) == EW_OK, bytes == 528);
        CHECK_EQ(greeting(bytes, RECORD_WELCOME) == EW_OK,
                 aligned && bytes >= 528 && bytes <= 1552);
        CHECK_EQ(greeting(bytes, RECORD_REFUSE) == EW_OK, aligned && bytes >= 16 && bytes <= 256);
        CHECK_EQ(greeting(bytes, RECORD_FINAL) == EW_OK, bytes == 16);
    }
}

static void nothing_else_is_a_greeting(void)
{
    for (unsigned kind = 0; kind < 256; kind++)
        if (kind != RECORD_HELLO && kind != RECORD_WELCOME && kind != RECORD_REFUSE &&
            kind != RECORD_FINAL)
            for (uint32_t bytes = 8; bytes <= 528; bytes += 8)
                CHECK_EQ(greeting(bytes, kind), EW_EPROTO);
}

static const uint8_t control_bytes[256] = {
    [RECORD_START] = 16, [RECORD_ACK] = 32,  [RECORD_PING] = 16,
    [RECORD_PONG] = 16,  [RECORD_DRAIN] = 8, [RECORD_FINAL] = 16};

static void a_control_record_has_exactly_the_length_of_its_kind(void)
{
    for (unsigned kind = 0; kind < 256; kind++)
        for (uint32_t bytes = 0; bytes < 64; bytes++)
            CHECK_EQ(ewi_wire_check_control((struct record){.bytes = bytes, .kind = (uint8_t)kind}),
                     bytes != 0 && bytes == control_bytes[kind] ? EW_OK : EW_EPROTO);
}

static void a_control_record_has_no_flags_and_no_reserved_bits(void)
{
    struct record record = {.bytes = 16, .kind = RECORD_PING, .flags = RECORD_MORE};

    CHECK_EQ(ewi_wire_check_control(record), EW_EPROTO);
    record = (struct record){.bytes = 16, .kind = RECORD_PING, .reserved = 1};
    CHECK_EQ(ewi_wire_check_control(record), EW_EPROTO);
}

static void run_malformed(void)
{
    RUN(a_hello_of_any_other_length_is_refused);
    RUN(a_hello_whose_header_says_another_length_is_refused);
    RUN(a_hello_of_another_kind_is_refused);
    RUN(a_hello_with_flags_or_reserved_header_bits_is_refused);
    RUN(a_hello_with_another_magic_is_refused);
    RUN(a_hello_whose_versions_are_in_the_wrong_order_is_refused);
    RUN(a_newer_peer_that_speaks_our_version_is_welcome);
    RUN(a_peer_without_a_common_version_is_told_so);
    RUN(each_unknown_required_feature_is_refused);
    RUN(an_unknown_feature_that_is_not_required_is_fine);
    RUN(only_three_intents_are_known);
    RUN(each_unused_byte_of_a_hello_has_to_be_zero);
    RUN(positions_in_a_hello_have_to_be_aligned);
    RUN(a_string_that_fills_its_field_is_refused);
    RUN(a_byte_behind_the_end_of_a_string_is_refused);
    RUN(a_control_character_in_a_string_is_refused);
    RUN(a_refusal_that_is_cut_or_longer_than_it_says_is_malformed);
    RUN(a_refusal_with_a_success_or_unknown_code_is_malformed);
    RUN(a_refusal_with_unused_bytes_set_is_malformed);
    RUN(a_refusal_of_another_kind_or_with_flags_is_malformed);
    RUN(control_characters_of_a_refusal_are_not_shown);
    RUN(the_longest_text_that_a_refusal_may_have_is_read_whole);
}

int main(void)
{
    RUN(hello_has_the_golden_bytes);
    RUN(welcome_differs_from_hello_in_its_kind_only);
    RUN(facts_follow_the_welcome_padded_with_zeros);
    RUN(refuse_has_the_golden_bytes);
    RUN(ack_has_the_golden_bytes);
    RUN(start_ping_pong_and_final_have_the_golden_bytes);
    RUN(drain_has_the_golden_bytes);
    RUN(a_hello_survives_the_round_trip);
    RUN(the_longest_names_survive_the_round_trip);
    RUN(facts_of_every_length_survive_the_round_trip);
    RUN(a_refusal_survives_the_round_trip_with_every_code);
    RUN(a_refusal_with_too_long_a_text_is_cut);
    RUN(an_ack_survives_the_round_trip);
    run_malformed();
    RUN(a_greeting_has_a_length_of_its_kind);
    RUN(nothing_else_is_a_greeting);
    RUN(a_control_record_has_exactly_the_length_of_its_kind);
    RUN(a_control_record_has_no_flags_and_no_reserved_bits);
    return 0;
}
