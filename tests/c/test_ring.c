/* tests/c/test_ring.c - what does the ring do at its edges: full, wrapped, empty, lied to? */
#include "shm/outbox.h"
#include "tests/c/harness.h"

enum { BYTES = RING_BYTES_MIN, MOST = BYTES / 8 - RECORD_HEADER_BYTES };

static _Alignas(64) uint8_t memory[BYTES];
static _Alignas(64) uint8_t other[BYTES];

static struct ring_writer writer;
static struct ring_reader reader;

static void start_at(uint64_t position)
{
    memset(memory, 0, sizeof(memory));
    ewi_ring_writer_init(&writer, memory, BYTES, position);
    ewi_ring_reader_init(&reader, memory, BYTES, 0, position);
}

static void put(uint32_t payload_bytes, uint8_t fill)
{
    uint8_t *room = ewi_ring_reserve(&writer, payload_bytes);

    CHECK(room != NULL);
    memset(room, fill, payload_bytes);
    ewi_ring_commit(&writer, payload_bytes, 0);
}

static int peeked(struct record *record)
{
    const uint8_t *payload;

    return ewi_ring_peek(&reader, record, &payload);
}

/* Take everything and tell the writer. */
static void drain(void)
{
    struct record record;

    while (peeked(&record) == EW_OK)
        ewi_ring_consume(&reader, record);
    CHECK_EQ(ewi_ring_free(&writer, reader.position), EW_OK);
}

static void fill_up(void)
{
    while (ewi_ring_reserve(&writer, MOST) != NULL)
        ewi_ring_commit(&writer, MOST, 0);
    while (ewi_ring_reserve(&writer, 0) != NULL)
        ewi_ring_commit(&writer, 0, 0);
}

/* Leave `left` bytes between the writer's offset and the end; everything is taken. */
static void go_near_the_end(uint32_t left)
{
    start_at(0);
    while (BYTES - writer.offset - left > BYTES / 8) {
        put(MOST, 1);
        drain();
    }
    if (BYTES - writer.offset != left)
        put(BYTES - writer.offset - left - RECORD_HEADER_BYTES, 1);
    drain();
}

static void forge(uint32_t offset, uint64_t header)
{
    memcpy(memory + offset, &header, sizeof(header));
}

/* ---- happy ---- */

static void a_new_ring_is_empty(void)
{
    struct record record;

    start_at(0);
    CHECK_EQ(peeked(&record), EW_EAGAIN);
}

static void a_reserved_record_is_invisible_before_commit(void)
{
    struct record record;

    start_at(0);
    memset(ewi_ring_reserve(&writer, 100), 0xff, 100);
    CHECK_EQ(peeked(&record), EW_EAGAIN);
}

static void a_commit_may_be_shorter_than_what_was_reserved(void)
{
    struct record record;

    start_at(0);
    memset(ewi_ring_reserve(&writer, 100), 0xff, 100);
    ewi_ring_commit(&writer, 9, 0);
    CHECK_EQ(peeked(&record), EW_OK);
    CHECK_EQ(record.bytes, 17);
    ewi_ring_consume(&reader, record);
    CHECK_EQ(peeked(&record), EW_EAGAIN); /* the rest of the reserve is not a header */
}

static void reserving_again_forgets_the_first(void)
{
    struct record record;

    start_at(0);
    memset(ewi_ring_reserve(&writer, MOST), 0xff, MOST);
    put(1, 7);
    CHECK_EQ(peeked(&record), EW_OK);
    CHECK_EQ(record.bytes, 9);
    ewi_ring_consume(&reader, record);
    CHECK_EQ(peeked(&record), EW_EAGAIN);
}

static void flags_travel_with_the_record(void)
{
    struct record record;

    start_at(0);
    CHECK(ewi_ring_reserve(&writer, 8) != NULL);
    ewi_ring_commit(&writer, 8, RECORD_MORE | RECORD_TOTAL);
    CHECK_EQ(peeked(&record), EW_OK);
    CHECK_EQ(record.flags, RECORD_MORE | RECORD_TOTAL);
}

/* catches: commit without the loop that zeroes the gap */
static void the_gap_behind_a_payload_is_zero(void)
{
    start_at(0);
    memset(memory + 8, 0xff, 64);
    put(13, 7);
    for (uint32_t i = 8 + 13; i < 24; i++)
        CHECK_EQ(memory[i], 0);
}

/* catches: store_header without zero_next */
static void the_header_behind_a_commit_is_zero(void)
{
    start_at(0);
    memset(memory + 8, 0xff, sizeof(memory) - 8);
    for (int i = 0; i < 50; i++) {
        uint64_t next;

        put((uint32_t)i, 0xff);
        memcpy(&next, memory + writer.offset, sizeof(next));
        CHECK(next == 0);
    }
}

static void a_ring_may_start_at_any_position(void)
{
    struct record record;
    const uint64_t position = (UINT64_C(1) << 63) + 8;

    start_at(position);
    for (int i = 0; i < 100; i++) {
        put(MOST, 3);
        CHECK_EQ(peeked(&record), EW_OK);
        drain();
    }
    CHECK(writer.position == position + 100u * (BYTES / 8) && reader.position == writer.position);
}

/* ---- full ---- */

/* catches: reserve without RING_RESERVE_BYTES */
static void abort_eof_and_close_fit_into_a_full_ring(void)
{
    start_at(0);
    fill_up();
    CHECK_EQ(ewi_ring_commit_control(&writer, RECORD_ABORT), EW_OK);
    CHECK_EQ(ewi_ring_commit_control(&writer, RECORD_EOF), EW_OK);
    CHECK_EQ(ewi_ring_commit_control(&writer, RECORD_CLOSE), EW_OK);
}

static void a_full_ring_is_read_to_its_last_control_record(void)
{
    struct record record = {0};
    uint8_t last = 0;

    start_at(0);
    fill_up();
    CHECK_EQ(ewi_ring_commit_control(&writer, RECORD_CLOSE), EW_OK);
    while (peeked(&record) == EW_OK) {
        last = record.kind;
        ewi_ring_consume(&reader, record);
    }
    CHECK_EQ(last, RECORD_CLOSE);
    CHECK(reader.position == writer.position);
}

/* catches: commit_control without its check */
static void control_records_end_when_even_the_reserve_is_used(void)
{
    int fitted = 0;

    start_at(0);
    fill_up();
    while (ewi_ring_commit_control(&writer, RECORD_ABORT) == EW_OK)
        CHECK(++fitted <= RING_RESERVE_BYTES / RECORD_HEADER_BYTES + 1);
    CHECK(fitted >= 4);
}

static void a_full_ring_has_no_room_and_changes_nothing(void)
{
    struct ring_writer before;

    start_at(0);
    fill_up();
    before = writer;
    CHECK(ewi_ring_reserve(&writer, 0) == NULL);
    CHECK_EQ(ewi_ring_room(&writer), 0);
    CHECK(memcmp(&before, &writer, sizeof(before)) == 0);
}

static void taking_one_record_makes_room_for_one(void)
{
    struct record record;

    start_at(0);
    while (ewi_ring_reserve(&writer, MOST) != NULL)
        ewi_ring_commit(&writer, MOST, 0);
    CHECK_EQ(peeked(&record), EW_OK);
    ewi_ring_consume(&reader, record);
    CHECK_EQ(ewi_ring_free(&writer, reader.position), EW_OK);
    CHECK(ewi_ring_reserve(&writer, MOST) != NULL);
}

/* ---- wrap ---- */

static void a_record_that_ends_at_the_end_needs_no_pad(void)
{
    go_near_the_end(64);
    put(56, 1);
    CHECK_EQ(writer.offset, 0);
    CHECK_EQ(writer.pad_bytes, 0);
}

static void a_record_one_byte_too_long_is_preceded_by_a_pad(void)
{
    struct record record;

    go_near_the_end(64);
    put(57, 1);
    CHECK_EQ(writer.pad_bytes, 64);
    CHECK_EQ(peeked(&record), EW_OK);
    CHECK_EQ(record.bytes, 65);
    CHECK_EQ(reader.offset, 0);
}

static void a_pad_does_not_count_in_the_position(void)
{
    uint64_t before;

    go_near_the_end(64);
    before = writer.position;
    put(100, 1);
    CHECK(writer.position == before + ewi_record_span(108));
}

static void a_pad_of_a_header_only_fits(void)
{
    struct record record;

    go_near_the_end(8);
    put(1, 1);
    CHECK_EQ(writer.pad_bytes, 8);
    CHECK_EQ(peeked(&record), EW_OK);
    CHECK_EQ(record.bytes, 9);
}

static void a_control_record_fits_into_the_last_eight_bytes(void)
{
    struct record record;

    go_near_the_end(8);
    CHECK_EQ(ewi_ring_commit_control(&writer, RECORD_EOF), EW_OK);
    CHECK_EQ(writer.offset, 0);
    CHECK_EQ(peeked(&record), EW_OK);
    CHECK_EQ(record.kind, RECORD_EOF);
}

static void a_pad_without_a_record_behind_it_is_passed_and_empty(void)
{
    struct record record;

    go_near_the_end(64);
    CHECK(ewi_ring_reserve(&writer, 100) != NULL); /* never committed */
    CHECK_EQ(peeked(&record), EW_EAGAIN);
    CHECK_EQ(ewi_ring_commit_control(&writer, RECORD_CLOSE), EW_OK);
    CHECK_EQ(peeked(&record), EW_OK);
    CHECK_EQ(record.kind, RECORD_CLOSE);
}

/* catches: pad_is_live with `<` for `<=` */
static void a_pad_counts_until_the_record_behind_it_is_taken(void)
{
    uint32_t room_bytes = 0;

    go_near_the_end(1016);
    put(MOST, 1); /* behind a PAD of 1016 bytes */
    CHECK_EQ(ewi_ring_free(&writer, writer.pad_position), EW_OK);
    while (ewi_ring_reserve(&writer, 0) != NULL) {
        ewi_ring_commit(&writer, 0, 0);
        room_bytes += 8;
    }
    CHECK_EQ(room_bytes, BYTES - 1016 - 1024 - 8 - RING_RESERVE_BYTES);
}

/* ---- room ---- */

static void room_is_what_reserve_grants_and_no_more(void)
{
    for (uint32_t left = 8; left <= 2048; left += 8) {
        uint32_t room;

        go_near_the_end(left);
        for (;;) {
            struct ring_writer probe = writer;

            room = ewi_ring_room(&writer);
            if (room == 0)
                break;
            if (room < MOST)
                CHECK(ewi_ring_reserve(&probe, room + 8 < MOST ? room + 8 : MOST) == NULL);
            put(room, 1);
        }
    }
}

/* ---- freeing ---- */

/* catches: ewi_ring_free without one of its three checks */
static void a_position_that_was_never_sent_is_a_lie(void)
{
    start_at(800);
    put(8, 1);
    CHECK_EQ(ewi_ring_free(&writer, 800 + 24), EW_EPROTO);
    CHECK_EQ(ewi_ring_free(&writer, UINT64_MAX - 7), EW_EPROTO);
    CHECK(writer.freed == 800);
}

static void a_position_that_goes_back_is_a_lie(void)
{
    start_at(800);
    put(8, 1);
    put(8, 1);
    CHECK_EQ(ewi_ring_free(&writer, 816), EW_OK);
    CHECK_EQ(ewi_ring_free(&writer, 808), EW_EPROTO);
    CHECK_EQ(ewi_ring_free(&writer, 0), EW_EPROTO);
}

static void a_position_that_is_not_aligned_is_a_lie(void)
{
    start_at(0);
    put(8, 1);
    for (uint64_t position = 1; position < 16; position++)
        if (position % 8 != 0)
            CHECK_EQ(ewi_ring_free(&writer, position), EW_EPROTO);
}

static void positions_inside_records_hurt_nobody_but_the_liar(void)
{
    uint64_t lie = 0;

    start_at(0);
    for (int i = 0; i < 5000; i++) {
        uint32_t room = ewi_ring_room(&writer);

        put(room < 333 ? room : 333, 1); /* the assertion of I2 must hold */
        lie += 8 * (uint64_t)(1 + i % 50);
        if (lie > writer.position)
            lie = writer.position;
        CHECK_EQ(ewi_ring_free(&writer, lie), EW_OK);
        CHECK(ewi_ring_offset_of(&writer, lie) < BYTES);
    }
}

/* ---- a hostile writer ---- */

static int forged(uint32_t bytes, unsigned kind, uint64_t above)
{
    struct record record;

    start_at(0);
    forge(0, (uint64_t)bytes | (uint64_t)kind << 32 | above << 40);
    return peeked(&record);
}

/* catches: peek without `offset == 0` (it never ends) */
static void a_pad_at_offset_0_is_refused(void)
{
    CHECK_EQ(forged(BYTES, RECORD_PAD, 0), EW_EPROTO);
}

static void a_record_longer_than_an_eighth_is_refused(void)
{
    CHECK_EQ(forged(BYTES / 8, RECORD_DATA, 0), EW_OK);
    CHECK_EQ(forged(BYTES / 8 + 1, RECORD_DATA, 0), EW_EPROTO);
}

static void a_header_with_reserved_bits_is_refused(void)
{
    CHECK_EQ(forged(16, RECORD_DATA, 1 << 8), EW_EPROTO);
}

static void a_header_of_length_0_that_is_not_0_is_refused(void)
{
    CHECK_EQ(forged(0, RECORD_DATA, 0), EW_EPROTO);
    CHECK_EQ(forged(0, 0, 1), EW_EPROTO);
}

static void control_kinds_of_a_link_are_refused_in_a_ring(void)
{
    for (unsigned kind = 0; kind < 256; kind++)
        if (kind == 0 || kind > RECORD_CLOSE)
            CHECK_EQ(forged(8, kind, 0), EW_EPROTO);
}

static void a_pad_that_does_not_fill_to_the_end_is_refused(void)
{
    struct record record;

    go_near_the_end(64);
    forge(BYTES - 64, ewi_record_encode(56, RECORD_PAD, 0));
    CHECK_EQ(peeked(&record), EW_EPROTO);
    forge(BYTES - 64, ewi_record_encode(72, RECORD_PAD, 0));
    CHECK_EQ(peeked(&record), EW_EPROTO);
    forge(BYTES - 64, ewi_record_encode(64, RECORD_PAD, RECORD_MORE));
    CHECK_EQ(peeked(&record), EW_EPROTO);
}

/* catches: peek without `span > to_end` */
static void a_record_that_runs_over_the_end_is_refused(void)
{
    struct record record;

    go_near_the_end(64);
    forge(BYTES - 64, ewi_record_encode(65, RECORD_DATA, 0));
    CHECK_EQ(peeked(&record), EW_EPROTO);
    forge(BYTES - 64, ewi_record_encode(64, RECORD_DATA, 0));
    CHECK_EQ(peeked(&record), EW_OK);
}

/* ---- runs and new links ---- */

static void a_run_ends_at_a_position_and_within_room(void)
{
    const uint8_t *at = NULL;

    start_at(0);
    for (int i = 0; i < 4; i++)
        put(8, (uint8_t)i);
    CHECK_EQ(ewi_ring_take_run(&reader, 8, 1000, &at), 0);
    CHECK_EQ(ewi_ring_take_run(&reader, 64, 15, &at), 0);
    CHECK_EQ(ewi_ring_take_run(&reader, 47, 1000, &at), 32);
    CHECK(at == memory);
    CHECK_EQ(ewi_ring_take_run(&reader, 64, 16, &at), 16);
    CHECK(at == memory + 32);
    CHECK_EQ(ewi_ring_take_run(&reader, 0, 1000, &at), 0); /* below where it is */
    CHECK_EQ(ewi_ring_take_run(&reader, UINT64_MAX, UINT32_MAX, &at), 16);
}

static void a_run_stops_at_the_wrap_and_never_contains_a_pad(void)
{
    const uint8_t *at = NULL;

    go_near_the_end(64);
    put(8, 1);
    put(100, 2);
    CHECK_EQ(ewi_ring_take_run(&reader, UINT64_MAX, BYTES, &at), 16);
    CHECK(at == memory + BYTES - 64);
    CHECK_EQ(ewi_ring_take_run(&reader, UINT64_MAX, BYTES, &at), 112);
    CHECK(at == memory);
}

static void a_run_stops_at_the_wrap_without_a_pad_too(void)
{
    const uint8_t *at = NULL;

    go_near_the_end(64);
    put(56, 1);
    put(8, 2);
    CHECK_EQ(ewi_ring_take_run(&reader, UINT64_MAX, BYTES, &at), 64);
    CHECK_EQ(ewi_ring_take_run(&reader, UINT64_MAX, BYTES, &at), 16);
    CHECK(at == memory);
}

static void append_copies_data_and_control_as_they_are(void)
{
    struct ring_writer copy;
    struct record record;
    const uint8_t *payload;

    start_at(0);
    memset(other, 0, sizeof(other));
    ewi_ring_writer_init(&copy, other, BYTES, 0);
    put(21, 9);
    CHECK_EQ(ewi_ring_commit_control(&writer, RECORD_EOF), EW_OK);
    while (ewi_ring_peek(&reader, &record, &payload) == EW_OK) {
        CHECK_EQ(ewi_ring_append(&copy, record, payload), EW_OK);
        ewi_ring_consume(&reader, record);
    }
    CHECK(memcmp(memory, other, sizeof(memory)) == 0);
}

static void append_to_a_full_ring_changes_nothing(void)
{
    const uint8_t payload[16] = {0};
    struct ring_writer before;

    start_at(0);
    fill_up();
    before = writer;
    CHECK_EQ(ewi_ring_append(&writer, (struct record){.bytes = 24, .kind = RECORD_DATA}, payload),
             EW_EAGAIN);
    CHECK(memcmp(&before, &writer, sizeof(before)) == 0);
}

static void the_record_limit_is_an_eighth_and_at_most_64_kib(void)
{
    CHECK_EQ(ewi_ring_record_bytes_max(RING_BYTES_MIN), 1024);
    CHECK_EQ(ewi_ring_record_bytes_max(8192 + 64), 1032);
    CHECK_EQ(ewi_ring_record_bytes_max(1 << 30), RECORD_BYTES_MAX);
}

/* ---- the outbox around it ---- */

static void an_outbox_of_any_valid_size_holds_a_ring(void)
{
    CHECK(!ewi_outbox_bytes_valid(0) && !ewi_outbox_bytes_valid(OUTBOX_BYTES_MIN - 4096));
    CHECK(!ewi_outbox_bytes_valid(OUTBOX_BYTES_MIN + 8));
    CHECK(!ewi_outbox_bytes_valid((uint64_t)OUTBOX_BYTES_MAX + 4096));
    CHECK(!ewi_outbox_bytes_valid(UINT64_MAX - 4095));
    for (uint64_t bytes = OUTBOX_BYTES_MIN; bytes <= OUTBOX_BYTES_MAX; bytes *= 2) {
        CHECK(ewi_outbox_bytes_valid(bytes));
        CHECK_EQ(ewi_outbox_ring_bytes(bytes), bytes - OUTBOX_HEAD_BYTES);
        CHECK(ewi_outbox_ring_bytes(bytes) >= RING_BYTES_MIN);
    }
}

static void run_hostile(void)
{
    RUN(a_position_that_was_never_sent_is_a_lie);
    RUN(a_position_that_goes_back_is_a_lie);
    RUN(a_position_that_is_not_aligned_is_a_lie);
    RUN(positions_inside_records_hurt_nobody_but_the_liar);
    RUN(a_pad_at_offset_0_is_refused);
    RUN(a_record_longer_than_an_eighth_is_refused);
    RUN(a_header_with_reserved_bits_is_refused);
    RUN(a_header_of_length_0_that_is_not_0_is_refused);
    RUN(control_kinds_of_a_link_are_refused_in_a_ring);
    RUN(a_pad_that_does_not_fill_to_the_end_is_refused);
    RUN(a_record_that_runs_over_the_end_is_refused);
}

static void run_wrap(void)
{
    RUN(a_record_that_ends_at_the_end_needs_no_pad);
    RUN(a_record_one_byte_too_long_is_preceded_by_a_pad);
    RUN(a_pad_does_not_count_in_the_position);
    RUN(a_pad_of_a_header_only_fits);
    RUN(a_control_record_fits_into_the_last_eight_bytes);
    RUN(a_pad_without_a_record_behind_it_is_passed_and_empty);
    RUN(a_pad_counts_until_the_record_behind_it_is_taken);
    RUN(room_is_what_reserve_grants_and_no_more);
    RUN(a_run_ends_at_a_position_and_within_room);
    RUN(a_run_stops_at_the_wrap_and_never_contains_a_pad);
    RUN(a_run_stops_at_the_wrap_without_a_pad_too);
}

int main(void)
{
    RUN(a_new_ring_is_empty);
    RUN(a_reserved_record_is_invisible_before_commit);
    RUN(a_commit_may_be_shorter_than_what_was_reserved);
    RUN(reserving_again_forgets_the_first);
    RUN(flags_travel_with_the_record);
    RUN(the_gap_behind_a_payload_is_zero);
    RUN(the_header_behind_a_commit_is_zero);
    RUN(a_ring_may_start_at_any_position);
    RUN(abort_eof_and_close_fit_into_a_full_ring);
    RUN(a_full_ring_is_read_to_its_last_control_record);
    RUN(control_records_end_when_even_the_reserve_is_used);
    RUN(a_full_ring_has_no_room_and_changes_nothing);
    RUN(taking_one_record_makes_room_for_one);
    RUN(append_copies_data_and_control_as_they_are);
    RUN(append_to_a_full_ring_changes_nothing);
    RUN(the_record_limit_is_an_eighth_and_at_most_64_kib);
    RUN(an_outbox_of_any_valid_size_holds_a_ring);
    run_wrap();
    run_hostile();
    return 0;
}
