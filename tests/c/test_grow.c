/* tests/c/test_grow.c - does a stream whose ring and inbox are replaced lose, repeat or change a byte?
 *
 * Growth is asked for here, whatever the round trip; when it is needed is test_window.c's question. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/c/pair_base.h"
#include "tests/c/raw_peer.h"
#include "transport/channel/channel.h"
#include "transport/context.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    OUTBOX = 16 * KIB,
    INBOX = 64 * KIB,
    CAP = 4 * MIB,
    CAP_MOVING = 256 * KIB, /* a move has a second, and a sanitizer copies slowly */
    OUTBOX_STEPS = 8, /* from OUTBOX to CAP */
    INBOX_STEPS = 6,
    PAIRS = IS_SLOW ? 3 : 12,
    MESSAGE_MAX = 100 * KIB,
    RECORD = 60 * KIB,
};

static ew_context_options options_of(uint64_t cap)
{
    return (ew_context_options){
        .outbox_bytes = OUTBOX, .inbox_bytes = INBOX, .stream_bytes_max = cap, .grace_ns = -1};
}

static void open_contexts_of(struct pair *pair, const ew_context_options *options)
{
    *pair = (struct pair){0};
    CHECK_EQ(ew_context_open(options, &pair->server), EW_OK);
    CHECK_EQ(ew_context_open(options, &pair->client), EW_OK);
    open_listener(pair, true);
}

static struct pair open_streams(uint64_t cap)
{
    const ew_context_options options = options_of(cap);
    struct pair pair;

    open_contexts_of(&pair, &options);
    CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, PATIENCE_MS * MS, NULL, &pair.end[1]), EW_OK);
    return pair;
}

static ew_channel_info info_of(ew_channel *channel)
{
    ew_channel_info info;

    CHECK_EQ(ew_channel_get_info(channel, &info), EW_OK);
    return info;
}

static uint64_t growths(ew_channel *channel, enum grow_side side)
{
    ew_channel_info info = info_of(channel);

    return side == GROW_OUTBOX ? info.outbox_growths : info.inbox_growths;
}

static bool is_asked(ew_channel *channel, enum grow_side side)
{
    bool asked;

    ewi_reactor_lock(channel->context->reactor);
    asked = channel->growth.asked[side];
    ewi_reactor_unlock(channel->context->reactor);
    return asked;
}

/* After an attempt that came to nothing there is a pause, which tests do not wait for. */
static void ask_now(ew_channel *channel, enum grow_side side)
{
    ewi_reactor_lock(channel->context->reactor);
    channel->growth.pause_ns = 0;
    ewi_grow_ask(channel, side);
    ewi_reactor_unlock(channel->context->reactor);
}

static uint64_t bytes_of(ew_channel *channel, enum grow_side side)
{
    ew_channel_info info = info_of(channel);

    return side == GROW_OUTBOX ? info.outbox_bytes : info.inbox_bytes;
}

/* A step at least: under load the rule may ask, too. */
static void grow(ew_channel *channel, enum grow_side side)
{
    uint64_t before = bytes_of(channel, side);

    CHECK(before < CAP);
    while (bytes_of(channel, side) == before) {
        ask_now(channel, side);
        while (is_asked(channel, side))
            usleep(100);
    }
}

/* ---- a peer made by hand ---- */

struct raw { /* its socket is `fd`, our end pair.end[1] */
    struct pair pair;
    int fd;
};

static struct raw open_raw(int receive_bytes)
{
    const ew_context_options options = options_of(CAP);
    struct raw raw;

    open_contexts_of(&raw.pair, &options);
    raw.fd = raw_connect(raw.pair.info.tcp_address, "storm", receive_bytes);
    CHECK_EQ(ew_listener_accept(raw.pair.listener, PATIENCE_MS * MS, NULL, &raw.pair.end[1]), EW_OK);
    return raw;
}

static void close_raw(struct raw *raw)
{
    ew_channel_free(raw->pair.end[1]);
    raw->pair.end[1] = NULL;
    close(raw->fd);
    close_both(&raw->pair);
}

static void pattern(uint8_t *bytes, size_t length, unsigned from)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)((from + i) * 2654435761u >> 24);
}

static void check_pattern(const uint8_t *bytes, size_t length, unsigned from)
{
    for (size_t i = 0; i < length; i++)
        CHECK_EQ(bytes[i], (uint8_t)((from + i) * 2654435761u >> 24));
}

/* What is left of the record that is being received, and goes straight into the inbox. */
static uint32_t left_of_record(ew_channel *channel)
{
    struct stream_link *link = &channel->link->stream;
    uint32_t left;

    ewi_lock_enter(&link->drive_lock);
    left = link->record_rest != NULL ? link->record_left : 0;
    ewi_lock_give(&link->drive_lock);
    return left;
}

static void receive_all(int fd, uint8_t *bytes, size_t length)
{
    for (size_t have = 0; have < length;) {
        ssize_t more = recv(fd, bytes + have, length - have, 0);

        CHECK(more > 0);
        have += (size_t)more;
    }
}

/* The next frames of our end's stream, up to an ACK that allows this. */
static void expect_limit(int fd, uint64_t limit)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    struct wire_ack ack = {0};

    while (ack.limit != limit) {
        struct record record;

        receive_all(fd, bytes, RECORD_HEADER_BYTES);
        record = ewi_record_decode(ewi_wire_get_header(bytes));
        receive_all(fd, bytes, ewi_record_span(record.bytes) - RECORD_HEADER_BYTES);
        if (record.kind == RECORD_ACK)
            ack = ewi_wire_get_ack(bytes);
        CHECK(ack.limit <= limit);
    }
}

/* catches: the half that has arrived left behind; the rest received into memory that is gone; a
 * limit that the peer hears of only when something is consumed */
static void a_record_of_which_a_half_has_arrived_is_completed(void)
{
    static uint8_t bytes[RECORD], got[RECORD + 8];
    struct raw raw = open_raw(0);
    ew_channel *channel = raw.pair.end[1];
    size_t length;

    pattern(bytes, RECORD, 1);
    say_start(raw.fd);
    for (unsigned turn = 0; turn < INBOX_STEPS; turn++) {
        uint32_t half = RECORD / 8 * (turn + 1), payload = RECORD - 3 * (turn % 2); /* padded */
        const uint64_t header = ewi_record_encode(RECORD_HEADER_BYTES + payload, RECORD_DATA, 0);

        say(raw.fd, &header, sizeof(header));
        say(raw.fd, bytes, half);
        while (left_of_record(channel) != payload - half)
            CHECK_EQ(ew_channel_recv(channel, got, sizeof(got), &length, 0, NULL), EW_EAGAIN);
        grow(channel, GROW_INBOX);
        CHECK_EQ(left_of_record(channel), payload - half);
        expect_limit(raw.fd, turn * (RECORD + RECORD_HEADER_BYTES) + (INBOX << (turn + 1)));
        say(raw.fd, bytes + half, RECORD - half);
        CHECK_EQ(ew_channel_recv(channel, got, sizeof(got), &length, PATIENCE_MS * MS, NULL), EW_OK);
        CHECK_EQ(length, payload);
        check_pattern(got, length, 1);
    }
    CHECK_EQ(info_of(channel).inbox_bytes, CAP);
    close_raw(&raw);
}

/* The next DATA record of our end's stream; its payload's length. */
static uint32_t next_record(int fd, uint8_t *payload)
{
    for (;;) {
        uint8_t header[RECORD_HEADER_BYTES];
        struct record record;

        receive_all(fd, header, sizeof(header));
        record = ewi_record_decode(ewi_wire_get_header(header));
        receive_all(fd, payload, ewi_record_span(record.bytes) - RECORD_HEADER_BYTES);
        if (record.kind == RECORD_DATA)
            return record.bytes - RECORD_HEADER_BYTES;
    }
}

/* catches: a run that goes on in memory that is gone, or at another byte; records that a peer may ask
 * for again not copied; `out` left on the old ring */
static void a_run_of_which_a_half_was_sent_is_continued(void)
{
    enum { PAYLOAD = 1900 };
    static uint8_t bytes[PAYLOAD], got[RECORD_BYTES_MAX];
    struct raw raw = open_raw(4 * KIB);
    ew_channel *channel = raw.pair.end[1];
    struct stream_link *link = &channel->link->stream;
    unsigned sent = 0;

    for (unsigned step = 0; step < OUTBOX_STEPS; step++) { /* nobody reads: each ring is full */
        for (;; sent++) {
            pattern(bytes, PAYLOAD, sent);
            if (ew_channel_send(channel, bytes, PAYLOAD - sent % 7, 0, NULL) != EW_OK)
                break;
        }
        grow(channel, GROW_OUTBOX);
    }
    ewi_lock_enter(&link->drive_lock);
    CHECK(link->run_left > 0 && link->run != link->out.bytes); /* the stack is full */
    CHECK_EQ(channel->released, 0);
    CHECK_EQ(channel->writer.freed, 0);
    ewi_lock_give(&link->drive_lock);
    for (unsigned number = 0; number < sent; number++) {
        CHECK_EQ(next_record(raw.fd, got), PAYLOAD - number % 7);
        check_pattern(got, PAYLOAD - number % 7, number);
    }
    CHECK_EQ(info_of(channel).outbox_bytes, CAP);
    close_raw(&raw);
}

/* catches: head.known left true; a message that was begun, and its fragments */
static void a_message_that_was_looked_at_or_begun_stays(void)
{
    struct pair pair = open_streams(CAP);
    static uint8_t bytes[MESSAGE_MAX], got[MESSAGE_MAX];
    size_t length;

    pattern(bytes, sizeof(bytes), 3);
    for (unsigned turn = 0; turn < INBOX_STEPS; turn++) {
        CHECK_EQ(ew_channel_send(pair.end[0], bytes, 1000 + turn, PATIENCE_MS * MS, NULL), EW_OK);
        CHECK_EQ(ew_channel_send(pair.end[0], bytes, 9000 + turn, PATIENCE_MS * MS, NULL), EW_OK);
        CHECK_EQ(ew_channel_recv(pair.end[1], got, 4, &length, PATIENCE_MS * MS, NULL), EW_ETOOBIG);
        grow(pair.end[1], GROW_INBOX);
        memset(got, 0, sizeof(got));
        for (unsigned base = 1000; base <= 9000; base += 8000) {
            CHECK_EQ(ew_channel_recv(pair.end[1], got, sizeof(got), &length, PATIENCE_MS * MS, NULL),
                     EW_OK);
            CHECK_EQ(length, base + turn);
            check_pattern(got, length, 3);
        }
    }
    close_both(&pair);
}

/* ---- refusals ---- */

static void wait_until_answered(ew_channel *channel, enum grow_side side)
{
    while (is_asked(channel, side))
        usleep(100);
}

static void a_cap_below_the_beginning_is_refused(void)
{
    ew_context_options options = options_of(INBOX - 1);
    ew_context *context;

    CHECK_EQ(ew_context_open(&options, &context), EW_OK); /* pages are whole */
    ew_context_close(context);
    options.stream_bytes_max = INBOX - 4 * KIB;
    CHECK_EQ(ew_context_open(&options, &context), EW_EINVAL);
    CHECK(strstr(ew_error_text(), "stream_bytes_max = 61440: must be 65536") != NULL);
    options = (ew_context_options){.outbox_bytes = 8 * MIB};
    CHECK_EQ(ew_context_open(&options, &context), EW_OK);
    CHECK_EQ(context->stream_bytes_max, 8 * MIB);
    ew_context_close(context);
    options = (ew_context_options){0};
    CHECK_EQ(ew_context_open(&options, &context), EW_OK);
    CHECK_EQ(context->stream_bytes_max, 4 * MIB);
    ew_context_close(context);
}

static void at_the_cap_nothing_grows(void)
{
    struct pair pair = open_streams(INBOX);

    for (int i = 0; i < 2; i++)
        grow(pair.end[0], GROW_OUTBOX); /* 16 to 64 KiB */
    ask_now(pair.end[0], GROW_OUTBOX);
    ask_now(pair.end[0], GROW_INBOX);
    CHECK(!is_asked(pair.end[0], GROW_OUTBOX) && !is_asked(pair.end[0], GROW_INBOX));
    CHECK_EQ(growths(pair.end[0], GROW_OUTBOX), 2);
    CHECK_EQ(growths(pair.end[0], GROW_INBOX), 0);
    CHECK_EQ(info_of(pair.end[0]).outbox_bytes, INBOX);
    CHECK_EQ(info_of(pair.end[0]).inbox_bytes, INBOX);
    close_both(&pair);
}

/* catches: a refusal that breaks the channel, or is asked for again with every ACK */
static void a_budget_that_is_used_up_means_no_growth_and_a_pause(void)
{
    ew_context_options options = options_of(CAP);
    struct pair pair;
    ew_context_stats stats;
    uint8_t byte;
    size_t length;

    options.memory_bytes_max = MIB;
    open_contexts_of(&pair, &options);
    CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, PATIENCE_MS * MS, NULL, &pair.end[1]), EW_OK);
    while (info_of(pair.end[0]).inbox_bytes < 256 * KIB)
        grow(pair.end[0], GROW_INBOX);
    for (int side = 0; side < 2; side++)
        while (info_of(pair.end[0]).outbox_bytes < 128 * KIB)
            grow(pair.end[0], GROW_OUTBOX);
    ask_now(pair.end[0], GROW_INBOX); /* 512 KiB and the 500 KiB that are in use */
    wait_until_answered(pair.end[0], GROW_INBOX);
    CHECK_EQ(info_of(pair.end[0]).inbox_bytes, 256 * KIB);
    ewi_grow_ask(pair.end[0], GROW_OUTBOX);
    CHECK(!is_asked(pair.end[0], GROW_OUTBOX));
    CHECK_EQ(ew_context_get_stats(pair.client, &stats), EW_OK);
    CHECK(stats.memory_bytes < 700 * KIB);
    CHECK_EQ(ew_channel_send(pair.end[1], "x", 1, PATIENCE_MS * MS, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(pair.end[0], &byte, 1, &length, PATIENCE_MS * MS, NULL), EW_OK);
    close_both(&pair);
}

static bool is_claimed(ew_channel *channel)
{
    bool claimed;

    ewi_reactor_lock(channel->context->reactor);
    claimed = channel->growth.claimed;
    ewi_reactor_unlock(channel->context->reactor);
    return claimed;
}

/* Memory is made, and not in use yet. */
static bool is_made(ew_channel *channel)
{
    bool made;

    ewi_reactor_lock(channel->context->reactor);
    made = channel->growth.region.base != NULL;
    ewi_reactor_unlock(channel->context->reactor);
    return made;
}

/* catches: a switch that fails because memory grows; a growth that goes on beside a move */
static void a_move_has_precedence(void)
{
    struct pair pair = open_streams(CAP);
    ew_channel *channel = pair.end[0];

    ewi_lock_enter(&channel->facts_lock); /* the channel cannot come to rest */
    ask_now(channel, GROW_OUTBOX);
    while (!is_claimed(channel))
        usleep(100);
    CHECK_EQ(ewi_grow_claim(channel), EW_OK);
    CHECK(!is_claimed(channel));
    CHECK_EQ(ewi_grow_claim(channel), EW_EAGAIN); /* of another move it does not take it */
    ewi_lock_give(&channel->facts_lock);
    wait_until_answered(channel, GROW_OUTBOX);
    CHECK_EQ(growths(channel, GROW_OUTBOX), 0);
    ewi_freeze_thaw(channel);
    grow(channel, GROW_OUTBOX);
    close_both(&pair);
}

/* catches: memory that was made and is not in use yet */
static void a_channel_may_end_before_it_grows(void)
{
    struct pair pair = open_streams(CAP);

    CHECK_EQ(ewi_freeze_claim(pair.end[0]), EW_OK); /* a move is on its way */
    do
        ask_now(pair.end[0], GROW_INBOX);
    while (!is_made(pair.end[0]));
    close_both(&pair);
}

/* catches: a lender that waits for ever */
static void a_channel_may_end_while_it_grows(void)
{
    for (int turn = 0; turn < 20; turn++) {
        struct pair pair = open_streams(CAP);

        for (int end = 0; end < 2; end++)
            ask_now(pair.end[end], (enum grow_side)(turn % 2));
        if (turn % 3 == 0)
            CHECK_EQ(ew_channel_close(pair.end[0], PATIENCE_MS * MS, NULL), EW_OK);
        close_both(&pair);
    }
}

/* ---- under load ---- */

struct flow {
    pthread_t thread;
    ew_channel *channel;
    uint64_t count;
    _Atomic bool *stop;
};

static size_t length_of(uint64_t number)
{
    struct harness_random random = {the_seed + number * 977};

    return 8 + (size_t)harness_below(&random, harness_below(&random, 4) == 0 ? MESSAGE_MAX - 8 : 2000);
}

static void *send_numbers(void *object)
{
    static _Thread_local uint8_t bytes[MESSAGE_MAX];
    struct flow *flow = object;
    int code;

    for (; !atomic_load(flow->stop); flow->count++) {
        size_t length = length_of(flow->count);

        memset(bytes, (int)(flow->count % 251), length);
        memcpy(bytes, &flow->count, sizeof(flow->count));
        code = ew_channel_send(flow->channel, bytes, length, PATIENCE_MS * MS, NULL);
        if (code != EW_OK)
            printf("(%s) ", ew_error_text());
        CHECK_EQ(code, EW_OK);
    }
    CHECK_EQ(ew_channel_send_eof(flow->channel), EW_OK);
    return NULL;
}

static void *receive_numbers(void *object)
{
    static _Thread_local uint8_t bytes[MESSAGE_MAX];
    struct flow *flow = object;
    size_t length;
    int code;

    while ((code = ew_channel_recv(flow->channel, bytes, sizeof(bytes), &length, PATIENCE_MS * MS,
                                   NULL)) == EW_OK) {
        uint64_t number;

        memcpy(&number, bytes, sizeof(number));
        CHECK_EQ(number, flow->count);
        CHECK_EQ(length, length_of(number));
        for (size_t i = sizeof(number); i < length; i++)
            CHECK_EQ(bytes[i], number % 251);
        flow->count += 1;
    }
    if (code != EW_EEND)
        printf("(%s) ", ew_error_text());
    CHECK_EQ(code, EW_EEND);
    return NULL;
}

struct load {
    struct flow senders[2], receivers[2];
    _Atomic bool stop;
};

static void begin_load(struct load *load, struct pair *pair)
{
    *load = (struct load){0};
    for (int end = 0; end < 2; end++) {
        load->senders[end] = (struct flow){.channel = pair->end[end], .stop = &load->stop};
        load->receivers[end] = (struct flow){.channel = pair->end[!end], .stop = &load->stop};
        CHECK_EQ(pthread_create(&load->senders[end].thread, NULL, send_numbers, &load->senders[end]), 0);
        CHECK_EQ(pthread_create(&load->receivers[end].thread, NULL, receive_numbers,
                                &load->receivers[end]), 0);
    }
}

static void end_load(struct load *load)
{
    atomic_store(&load->stop, true);
    for (int end = 0; end < 2; end++) {
        pthread_join(load->senders[end].thread, NULL);
        pthread_join(load->receivers[end].thread, NULL);
        CHECK_EQ(load->receivers[end].count, load->senders[end].count);
    }
}

/* catches: any of the above with threads that sleep, lend and go on in the middle of a message */
static void nothing_is_lost_while_both_ends_grow_under_four_threads(void)
{
    struct harness_random random = {the_seed};
    uint64_t messages = 0;

    for (int turn = 0; turn < PAIRS; turn++) {
        struct pair pair = open_streams(CAP);
        struct load load;

        begin_load(&load, &pair);
        for (int full = 0; full < 4;) {
            int end = (int)harness_below(&random, 2);
            enum grow_side side = (enum grow_side)harness_below(&random, 2);

            if (bytes_of(pair.end[end], side) < CAP)
                grow(pair.end[end], side);
            full = 0;
            for (int each = 0; each < 4; each++)
                full += bytes_of(pair.end[each / 2], (enum grow_side)(each % 2)) == CAP;
        }
        end_load(&load);
        messages += load.senders[0].count + load.senders[1].count;
        for (int end = 0; end < 2; end++) {
            CHECK_EQ(growths(pair.end[end], GROW_OUTBOX), OUTBOX_STEPS);
            CHECK_EQ(growths(pair.end[end], GROW_INBOX), INBOX_STEPS);
        }
        close_both(&pair);
    }
    printf("(%llu messages) ", (unsigned long long)messages);
}

/* catches: a grown ring that does not fit the next link; a growth on a link that is being left */
static void grown_memory_moves_along(void)
{
    ew_context_options options = options_of(CAP_MOVING);
    struct pair pair;
    struct load load;

    options.pages = EW_PAGES_SMALL;
    open_contexts_of(&pair, &options);
    pair.connect.address = pair.info.local_address;
    CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, PATIENCE_MS * MS, NULL, &pair.end[1]), EW_OK);
    begin_load(&load, &pair);
    for (int turn = 0; turn < 40; turn++) {
        const char *address = turn % 4 == 1 ? pair.info.local_address : pair.info.tcp_address;

        CHECK_EQ(ew_channel_switch(pair.end[0], address, PATIENCE_MS * MS, NULL), EW_OK);
        for (int end = 0; end < 2; end++)
            ask_now(pair.end[end], (enum grow_side)(turn / 2 % 2)); /* whatever becomes of it */
        if (turn % 4 != 1 && bytes_of(pair.end[turn % 2], GROW_OUTBOX) < CAP_MOVING)
            grow(pair.end[turn % 2], GROW_OUTBOX);
    }
    end_load(&load);
    CHECK(info_of(pair.end[0]).outbox_bytes == CAP_MOVING && growths(pair.end[0], GROW_INBOX) > 0);
    close_both(&pair);
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(a_record_of_which_a_half_has_arrived_is_completed);
    RUN(a_run_of_which_a_half_was_sent_is_continued);
    RUN(a_message_that_was_looked_at_or_begun_stays);
    RUN(a_cap_below_the_beginning_is_refused);
    RUN(at_the_cap_nothing_grows);
    RUN(a_budget_that_is_used_up_means_no_growth_and_a_pause);
    RUN(a_move_has_precedence);
    RUN(a_channel_may_end_before_it_grows);
    RUN(a_channel_may_end_while_it_grows);
    RUN(nothing_is_lost_while_both_ends_grow_under_four_threads);
    RUN(grown_memory_moves_along);
    rmdir(directory);
    return 0;
}
