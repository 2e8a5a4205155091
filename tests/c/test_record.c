/* tests/c/test_record.c - is every header that a correct peer cannot write refused? */
#include "shm/record.h"
#include "tests/c/harness.h"

enum { LIMIT = 1024 };

static int judge(uint32_t bytes, unsigned kind, unsigned flags, unsigned reserved)
{
    uint64_t header = (uint64_t)bytes | (uint64_t)kind << 32 | (uint64_t)flags << 40 |
                      (uint64_t)reserved << 48;
    return ewi_record_check(ewi_record_decode(header), LIMIT);
}

/* catches: encode with the kind at bit 40 */
static void a_header_has_its_fields_at_the_documented_bits(void)
{
    CHECK(ewi_record_encode(0x11223344, RECORD_DATA, RECORD_TOTAL) ==
          UINT64_C(0x0000020111223344));
}

static void decode_gives_back_what_encode_was_given(void)
{
    struct record record = ewi_record_decode(ewi_record_encode(77, RECORD_CLOSE, RECORD_EXT));

    CHECK_EQ(record.bytes, 77);
    CHECK_EQ(record.kind, RECORD_CLOSE);
    CHECK_EQ(record.flags, RECORD_EXT);
    CHECK_EQ(record.reserved, 0);
}

static void a_span_is_the_next_multiple_of_eight(void)
{
    for (uint32_t bytes = 8; bytes <= RECORD_BYTES_MAX; bytes++) {
        uint32_t span = ewi_record_span(bytes);

        CHECK(span >= bytes && span - bytes < 8 && span % 8 == 0);
    }
}

static void only_the_four_kinds_of_a_channel_have_a_position(void)
{
    for (unsigned kind = 0; kind < 256; kind++)
        CHECK_EQ(ewi_record_has_position((uint8_t)kind), kind >= 1 && kind <= 4);
}

static void data_of_any_length_up_to_the_limit_is_accepted(void)
{
    for (uint32_t bytes = 8; bytes <= LIMIT; bytes++)
        CHECK_EQ(judge(bytes, RECORD_DATA, 0, 0), EW_OK);
}

/* catches: `bytes > bytes_max + 8` in check */
static void data_longer_than_the_limit_is_refused(void)
{
    CHECK_EQ(judge(LIMIT + 1, RECORD_DATA, 0, 0), EW_EPROTO);
    CHECK_EQ(judge(UINT32_MAX, RECORD_DATA, 0, 0), EW_EPROTO);
}

static void a_record_shorter_than_its_header_is_refused(void)
{
    for (uint32_t bytes = 0; bytes < 8; bytes++)
        CHECK_EQ(judge(bytes, RECORD_DATA, 0, 0), EW_EPROTO);
}

static void data_with_an_unknown_flag_is_refused(void)
{
    for (unsigned flags = 0; flags < 256; flags++)
        CHECK_EQ(judge(64, RECORD_DATA, flags, 0), flags < 8 ? EW_OK : EW_EPROTO);
}

/* catches: check without `record.reserved != 0` */
static void each_reserved_bit_is_refused(void)
{
    for (unsigned bit = 0; bit < 16; bit++)
        CHECK_EQ(judge(64, RECORD_DATA, 0, 1u << bit), EW_EPROTO);
}

static void abort_eof_and_close_are_header_only(void)
{
    for (unsigned kind = RECORD_ABORT; kind <= RECORD_CLOSE; kind++) {
        CHECK_EQ(judge(8, kind, 0, 0), EW_OK);
        CHECK_EQ(judge(9, kind, 0, 0), EW_EPROTO);
        CHECK_EQ(judge(16, kind, 0, 0), EW_EPROTO);
    }
}

static void abort_eof_and_close_have_no_flags(void)
{
    for (unsigned kind = RECORD_ABORT; kind <= RECORD_CLOSE; kind++)
        for (unsigned flags = 1; flags < 256; flags++)
            CHECK_EQ(judge(8, kind, flags, 0), EW_EPROTO);
}

static void a_kind_without_a_position_is_refused(void)
{
    for (unsigned kind = 0; kind < 256; kind++)
        if (kind < RECORD_DATA || kind > RECORD_CLOSE)
            CHECK_EQ(judge(8, kind, 0, 0), EW_EPROTO);
}

/* ---- the extension block ---- */

static int skip_of(const uint8_t *payload, uint32_t bytes, uint32_t *skip)
{
    uint8_t *exact = malloc(bytes != 0 ? bytes : 1); /* so that ASan sees one byte too far */
    int code;

    CHECK(exact != NULL);
    memcpy(exact, payload, bytes);
    *skip = 12345;
    code = ewi_record_skip_ext(exact, bytes, skip);
    free(exact);
    return code;
}

static void an_unknown_optional_extension_is_skipped(void)
{
    const uint8_t payload[] = {16, 0, 0, 0, 0x05, 0, 6, 0, 1, 2, 3, 4, 5, 6, 0, 0, 'x'};
    uint32_t skip;

    CHECK_EQ(skip_of(payload, sizeof(payload), &skip), EW_OK);
    CHECK_EQ(skip, 16);
}

static void several_optional_extensions_are_skipped(void)
{
    const uint8_t payload[16] = {16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 4, 0, 1, 2, 3, 4};
    uint32_t skip;

    CHECK_EQ(skip_of(payload, sizeof(payload), &skip), EW_OK);
    CHECK_EQ(skip, 16);
}

static void an_unknown_mandatory_extension_ends_the_channel(void)
{
    const uint8_t payload[] = {8, 0, 0, 0, 0x85, 0, 0, 0};
    uint32_t skip;

    CHECK_EQ(skip_of(payload, sizeof(payload), &skip), EW_EPROTO);
}

static void a_mandatory_extension_behind_an_optional_one_is_found(void)
{
    const uint8_t payload[16] = {16, 0, 0, 0, 1, 0, 4, 0, 1, 2, 3, 4, 0x80, 0, 0, 0};
    uint32_t skip;

    CHECK_EQ(skip_of(payload, sizeof(payload), &skip), EW_EPROTO);
}

static void a_payload_too_short_for_a_block_is_refused(void)
{
    const uint8_t payload[] = {8, 0, 0};
    uint32_t skip;

    for (uint32_t bytes = 0; bytes <= sizeof(payload); bytes++)
        CHECK_EQ(skip_of(payload, bytes, &skip), EW_EPROTO);
}

/* catches: skip_ext without `block > payload_bytes` (ASan) */
static void a_block_longer_than_the_payload_is_refused(void)
{
    const uint8_t payload[8] = {16};
    uint32_t skip;

    CHECK_EQ(skip_of(payload, sizeof(payload), &skip), EW_EPROTO);
}

static void a_block_that_is_no_multiple_of_eight_is_refused(void)
{
    uint8_t payload[32] = {0};
    uint32_t skip;

    for (uint8_t bytes = 0; bytes < 32; bytes++) {
        payload[0] = bytes;
        CHECK_EQ(skip_of(payload, sizeof(payload), &skip),
                 bytes > 0 && bytes % 8 == 0 ? EW_OK : EW_EPROTO);
    }
}

/* catches: skip_ext without both of its checks against value_bytes */
static void a_value_that_leaves_its_block_is_refused(void)
{
    uint8_t payload[16] = {8, 0, 0, 0, 1, 0, 1, 0};
    uint32_t skip;

    CHECK_EQ(skip_of(payload, sizeof(payload), &skip), EW_EPROTO);
    payload[6] = payload[7] = 0xff;
    CHECK_EQ(skip_of(payload, sizeof(payload), &skip), EW_EPROTO);
}

int main(void)
{
    RUN(a_header_has_its_fields_at_the_documented_bits);
    RUN(decode_gives_back_what_encode_was_given);
    RUN(a_span_is_the_next_multiple_of_eight);
    RUN(only_the_four_kinds_of_a_channel_have_a_position);
    RUN(data_of_any_length_up_to_the_limit_is_accepted);
    RUN(data_longer_than_the_limit_is_refused);
    RUN(a_record_shorter_than_its_header_is_refused);
    RUN(data_with_an_unknown_flag_is_refused);
    RUN(each_reserved_bit_is_refused);
    RUN(abort_eof_and_close_are_header_only);
    RUN(abort_eof_and_close_have_no_flags);
    RUN(a_kind_without_a_position_is_refused);
    RUN(an_unknown_optional_extension_is_skipped);
    RUN(several_optional_extensions_are_skipped);
    RUN(an_unknown_mandatory_extension_ends_the_channel);
    RUN(a_mandatory_extension_behind_an_optional_one_is_found);
    RUN(a_payload_too_short_for_a_block_is_refused);
    RUN(a_block_longer_than_the_payload_is_refused);
    RUN(a_block_that_is_no_multiple_of_eight_is_refused);
    RUN(a_value_that_leaves_its_block_is_refused);
    return 0;
}
