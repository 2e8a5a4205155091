/* Payload that goes straight into a waiting receiver's buffer. What needs two ends and threads is in
 * test_sink_threads.c. */
#include "tests/c/sink_base.h"

/* ---- one copy ---- */

enum { LONG_TOTAL = 16 << 20 };

static uint64_t records_of(uint64_t total)
{
    return (total + RECORD_TOTAL_BYTES + PIECE_MAX - 1) / PIECE_MAX;
}

/* catches: a staging that takes more than headers, a sink that is opened too late or not again */
static void all_but_the_first_record_of_16_mib_goes_straight_to_the_buffer(void)
{
    begin(false);
    wire.from = wire.to = 0;
    channel->session.started = true; /* so that the first record fills the staging */
    say_message(LONG_TOTAL, PIECE_MAX, false);
    expect_message(LONG_TOTAL);
    CHECK_EQ(stream->counts.stored, PIECE_MAX);
    CHECK_EQ(stream->counts.sunk, LONG_TOTAL + RECORD_TOTAL_BYTES - PIECE_MAX);
    CHECK(stream->counts.staged <=
          RECORD_BYTES_MAX + records_of(LONG_TOTAL) * 2 * RECORD_HEADER_BYTES);
    check_rest();
    end();
}

/* catches: a first record that goes the long way although a long message was to be expected */
static void after_a_long_message_the_next_one_goes_straight_from_its_first_byte(void)
{
    struct stream_counts before;

    begin(false);
    say_message(MESSAGE_MAX / 32, PIECE_MAX, false);
    expect_message(MESSAGE_MAX / 32);
    before = stream->counts;
    say_message(LONG_TOTAL, PIECE_MAX, true);
    say_message(60000, PIECE_MAX, false); /* one record, and here before it is asked for */
    expect_message(LONG_TOTAL);
    expect_message(60000);
    CHECK_EQ(stream->counts.stored, before.stored);
    CHECK_EQ(stream->counts.sunk - before.sunk, LONG_TOTAL + 60000 - RECORD_TOTAL_BYTES); /* a length? */
    CHECK(stream->counts.staged - before.staged <=
          (records_of(LONG_TOTAL) + 2) * (2 * RECORD_HEADER_BYTES + WIRE_CONTROL_BYTES_MAX));
    check_rest();
    end();
}

/* catches: a record that goes on into the inbox although its receiver has come meanwhile */
static void a_record_on_its_way_into_the_inbox_is_taken_over(void)
{
    const uint32_t piece = 40000;
    const size_t total = 5 * piece;

    begin(false);
    say_message(total, piece, false);
    expect_message(total); /* the second record began to come together with the first */
    CHECK_EQ(stream->counts.stored, piece);
    check_rest();
    end();
}

/* catches: a peer that waits for room in its ring until the whole message is here, and cannot send it */
static void what_came_into_the_buffer_is_told_while_more_is_awaited(void)
{
    static uint8_t into[64 * 1024 + GUARD];
    size_t bytes;

    begin(true);
    wire.step = 5000;
    say_first(40000, 12000);
    CHECK_EQ(receive_within(into, 40000, &bytes, 200 * MS), EW_ETIMEOUT);
    CHECK_EQ(channel->session.said.taken, ewi_record_span(RECORD_HEADER_BYTES + 12000));
    CHECK_EQ(channel->session.said.consumed, channel->session.said.taken);
    end();
}

/* catches: a peer that has to wait until the drive is over, although there is room for more */
static void what_the_peer_may_send_grows_while_it_is_received(void)
{
    begin(true);
    channel->session.limit_said = INBOX; /* a byte above it would be an error */
    say_message(8 * INBOX, PIECE_MAX, false);
    expect_message(8 * INBOX);
    end();
}

/* catches: an extension block in the message, or one that is lost with the record that is given back */
static void a_record_with_an_extension_goes_the_long_way(void)
{
    static const uint8_t block[8] = {8, 0, 0, 0, 1, 0, 0, 0}; /* optional, of no bytes */
    static uint8_t payload[12016];

    begin(true);
    wire.step = 1000;
    say_first(24000, 12000);
    memcpy(payload, block, sizeof(block));
    memcpy(payload + sizeof(block), message + 11992, 12008);
    say_record(payload, sizeof(payload), RECORD_EXT);
    expect_message(24000);
    CHECK_EQ(stream->counts.stored, sizeof(payload));
    check_rest();
    end();
}

/* catches: a long message that nobody waits for, and whose payload passes the staging */
static void without_a_receiver_only_headers_of_a_streak_pass_the_staging(void)
{
    const uint64_t total = 3 * PIECE_MAX;

    begin(false);
    say_message(total, PIECE_MAX, false);
    for (int i = 0; i < 10; i++)
        channel->ops->drive(channel);
    CHECK_EQ(stream->counts.sunk, 0);
    CHECK_EQ(stream->counts.stored, total + RECORD_TOTAL_BYTES);
    CHECK(stream->counts.staged <= STREAM_STAGING_BYTES + 4 * 2 * RECORD_HEADER_BYTES);
    expect_message(total);
    check_rest();
    end();
}

/* ---- every cut ---- */

static void bytes_one_at_a_time(bool after_long, bool with_pings)
{
    begin(after_long);
    wire.step = 1;
    say_message(40003, 12001, with_pings);
    expect_message(40003);
    check_rest();
    say_message(20000, 32000, with_pings);
    expect_message(20000);
    say_message(5, 32000, with_pings);
    expect_message(5);
    check_rest();
    end();
}

static void what_comes_one_byte_at_a_time_arrives(void)
{
    bytes_one_at_a_time(false, false);
    bytes_one_at_a_time(true, false);
    bytes_one_at_a_time(true, true);
}

/* The wait is over when `cut` bytes have come; the next receive, elsewhere, gets the message. */
static void cut_at(size_t cut, bool after_long, size_t total, uint32_t piece)
{
    static uint8_t first[64 * 1024 + GUARD];
    size_t bytes, all;
    int code;

    begin(after_long);
    say_message(total, piece, false);
    all = wire.to;
    wire.to = cut;
    code = receive_within(first, total, &bytes, AT_ONCE);
    CHECK(code == EW_ETIMEOUT || (code == EW_OK && cut + RECORD_ALIGN > all)); /* less the padding */
    memset(first, 0xEE, sizeof(first)); /* it is ours again */
    wire.to = all;
    if (code == EW_ETIMEOUT)
        expect_message(total);
    channel->ops->drive(channel); /* the padding */
    check_rest();
    end();
}

static void every_cut(bool after_long, size_t total, uint32_t piece)
{
    begin(after_long);
    say_message(total, piece, false);
    end();
    for (size_t cut = 0, all = wire.to; cut <= all; cut++) {
        size_t in_record = (cut - WIRE_START_BYTES) % ewi_record_span(RECORD_HEADER_BYTES + piece);

        if (in_record < 40 || in_record > piece - 16u || cut % 97 == 0 || cut + 40 > all)
            cut_at(cut, after_long, total, piece);
    }
}

/* catches: bytes lost or doubled when the unfinished record moves to the inbox, a total that is not
 * written there, a part of the message that stays in a buffer that is not ours any more */
static void a_receive_that_ends_at_any_byte_keeps_the_message(void)
{
    every_cut(false, 40003, 12001);
    every_cut(true, 40003, 12001);
    every_cut(true, 30000, 32000); /* one record */
    every_cut(true, 24001, 9000);
}

/* catches: a kept message whose rest comes straight into the assembly buffer, and is copied wrongly */
static void a_receive_that_ends_again_and_again_keeps_the_message(void)
{
    static uint8_t into[64 * 1024 + GUARD];
    const size_t total = 50000;
    size_t all, bytes;
    int code = EW_ETIMEOUT;

    begin(true);
    say_message(total, 12000, false);
    all = wire.to;
    wire.to = 0;
    while (code == EW_ETIMEOUT) {
        wire.to = ewi_min_u64(wire.to + 1237, all);
        code = receive_within(into, total, &bytes, AT_ONCE);
    }
    CHECK_EQ(code, EW_OK);
    CHECK(memcmp(into, message, total) == 0);
    check_rest();
    end();
}

/* ---- two messages, and whose buffer it is ---- */

/* catches: a sink that goes on behind the end of its message */
static void what_follows_the_message_is_the_next_one(void)
{
    begin(true);
    say_message(40000, 12000, false);
    say_message(17, 12000, false);
    say_message(30000, 12000, false);
    say_message(20000, 32000, false);
    expect_message(40000);
    expect_message(17);
    expect_message(30000);
    expect_message(20000);
    check_rest();
    end();
}

/* catches: payload that lands before the room was looked at */
static void a_message_that_does_not_fit_is_kept_and_leaves_the_buffer_alone(size_t total,
                                                                            uint32_t piece)
{
    static uint8_t into[64 * 1024 + GUARD];
    size_t bytes;

    begin(true);
    say_message(total, piece, false);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(receive_within(into, total - 1, &bytes, 5000 * MS), EW_ETOOBIG);
        CHECK_EQ(bytes, total);
        for (size_t at = 0; at < total - 1; at++)
            CHECK_EQ(into[at], 0);
    }
    expect_message(total);
    check_rest();
    end();
}

static void a_message_longer_than_the_buffer_is_kept(void)
{
    a_message_that_does_not_fit_is_kept_and_leaves_the_buffer_alone(40000, 12000);
    a_message_that_does_not_fit_is_kept_and_leaves_the_buffer_alone(30000, 32000);
}

/* ---- a peer that changes its mind ---- */

static void say_abort(void)
{
    say_header(0, RECORD_ABORT, 0);
}

static void say_eof(void)
{
    say_header(0, RECORD_EOF, 0);
}

static void say_whole(void)
{
    say_record(message, 100, 0);
}

static void say_first_again(void)
{
    say_first(40000, 12000);
}

static void say_too_much(void)
{
    say_record(message, 30000, 0);
}

static void say_too_little(void)
{
    say_record(message, 9000, 0);
}

static void say_no_bytes(void)
{
    say_record(message, 0, RECORD_MORE);
}

static void say_bad_extension(void)
{
    say_record(message, 9000, RECORD_MORE | RECORD_EXT);
}

/* In the middle of a message, with a sink or without one. */
static int mind_changed(void (*change)(void), bool with_sink, char text[CHANNEL_END_TEXT_BYTES])
{
    static uint8_t into[64 * 1024 + GUARD];
    size_t bytes = 0;
    int code;

    begin(with_sink);
    say_first(40000, 12000);
    say_record(message + 11992, 12000, RECORD_MORE);
    change();
    if (!with_sink)
        for (int i = 0; i < 20; i++)
            channel->ops->drive(channel); /* all of it is in the inbox before anybody asks */
    code = receive_within(into, 40000, &bytes, AT_ONCE);
    snprintf(text, CHANNEL_END_TEXT_BYTES, "%s", ewi_channel_end_text(channel));
    end();
    return code;
}

/* catches: a second judgement, that differs */
static void a_peer_that_changes_its_mind_ends_as_without_a_sink(void)
{
    void (*const changes[])(void) = {say_eof,        say_whole,    say_first_again,  say_too_much,
                                     say_too_little, say_no_bytes, say_bad_extension};

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char with[CHANNEL_END_TEXT_BYTES], without[CHANNEL_END_TEXT_BYTES];

        CHECK_EQ(mind_changed(changes[i], true, with), EW_EPROTO);
        CHECK_EQ(mind_changed(changes[i], false, without), EW_EPROTO);
        CHECK(strcmp(with, without) == 0);
        CHECK(with[0] != '\0');
    }
}

static void an_abort_half_way_drops_the_message_and_the_next_one_comes(void)
{
    for (int whole_records = 1; whole_records <= 3; whole_records++) {
        begin(true);
        say_first(60000, 12000);
        for (int i = 1; i < whole_records; i++)
            say_record(message, 12000, RECORD_MORE);
        say_abort();
        say_message(50000, 12000, false);
        expect_message(50000);
        check_rest();
        end();
    }
}

/* catches: a record that counts before its last byte, when the link is gone */
static void what_a_dead_link_brought_of_a_record_does_not_count(void)
{
    static uint8_t into[64 * 1024 + GUARD];
    size_t bytes;

    begin(true);
    say_first(40000, 12000);
    say_record(message, 12000, RECORD_MORE);
    wire.to -= 1;
    wire.fin = true;
    CHECK_EQ(receive_within(into, 40000, &bytes, 5000 * MS), EW_ELOST);
    CHECK_EQ(channel->session.taken, ewi_record_span(RECORD_HEADER_BYTES + 12000));
    CHECK_EQ(channel->consumed, channel->session.taken);
    CHECK_EQ(channel->inbox.writer.position, channel->session.taken);
    end();
}

int main(void)
{
    begin_messages();
    RUN(all_but_the_first_record_of_16_mib_goes_straight_to_the_buffer);
    RUN(after_a_long_message_the_next_one_goes_straight_from_its_first_byte);
    RUN(a_record_on_its_way_into_the_inbox_is_taken_over);
    RUN(what_came_into_the_buffer_is_told_while_more_is_awaited);
    RUN(what_the_peer_may_send_grows_while_it_is_received);
    RUN(a_record_with_an_extension_goes_the_long_way);
    RUN(without_a_receiver_only_headers_of_a_streak_pass_the_staging);
    RUN(what_comes_one_byte_at_a_time_arrives);
    RUN(a_receive_that_ends_at_any_byte_keeps_the_message);
    RUN(a_receive_that_ends_again_and_again_keeps_the_message);
    RUN(what_follows_the_message_is_the_next_one);
    RUN(a_message_longer_than_the_buffer_is_kept);
    RUN(a_peer_that_changes_its_mind_ends_as_without_a_sink);
    RUN(an_abort_half_way_drops_the_message_and_the_next_one_comes);
    RUN(what_a_dead_link_brought_of_a_record_does_not_count);
    end_messages();
    return 0;
}
