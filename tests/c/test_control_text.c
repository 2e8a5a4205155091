/* transport/control: JSON of bounded size, and requests that may be anything. */
#include "tests/c/harness.h"
#include "transport/control/control.h"
#include "transport/control/text.h"

static char buffer[256];

static struct text fresh(size_t room)
{
    memset(buffer, '?', sizeof(buffer));
    return (struct text){.bytes = buffer, .room = room};
}

static void expect(const struct text *text, const char *want)
{
    CHECK(!text->full);
    CHECK_EQ(text->used, strlen(want));
    CHECK(memcmp(text->bytes, want, text->used) == 0);
}

/* catches: put_key without the comma, or with one after '{' */
static void an_object_has_commas_between_its_fields(void)
{
    const uint8_t id[2] = {0x0a, 0xff};
    struct text text = fresh(sizeof(buffer));

    ewi_text_begin(&text);
    ewi_text_u64(&text, "a", UINT64_MAX);
    ewi_text_i64(&text, "b", INT64_MIN);
    ewi_text_bool(&text, "c", false);
    ewi_text_hex(&text, "d", id, sizeof(id));
    ewi_text_string(&text, "e", "abcdef", 3);
    ewi_text_end(&text);
    expect(&text, "{\"a\":18446744073709551615,\"b\":-9223372036854775808,\"c\":false,"
                  "\"d\":\"0aff\",\"e\":\"abc\"}\n");
}

/* catches: value < 0x20 as a comparison of signed chars, or 0x1f; a quote that ends the string */
static void what_would_break_a_line_is_escaped(void)
{
    struct text text = fresh(sizeof(buffer));

    ewi_text_begin(&text);
    ewi_text_string(&text, "s", "\"\\\n\x1b\x1f\x7f \xc3\xa9", SIZE_MAX);
    ewi_text_end(&text);
    expect(&text, "{\"s\":\"\\\"\\\\\\u000a\\u001b\\u001f\\u007f \xc3\xa9\"}\n");
}

/* catches: count > room instead of > room - used; writing on after something did not fit */
static void nothing_is_written_beyond_the_room_or_after_a_hole(void)
{
    for (size_t room = 0; room < 40; room++) {
        struct text text = fresh(room);

        ewi_text_begin(&text);
        ewi_text_string(&text, "long", "0123456789012345678901234567890", SIZE_MAX);
        ewi_text_end(&text);
        CHECK(text.full);
        CHECK(text.used <= room);
        CHECK(text.used == 0 || buffer[text.used - 1] != '\n');
        for (size_t i = text.used; i < sizeof(buffer); i++)
            CHECK_EQ(buffer[i], '?');
        ewi_text_back(&text, 0);
        CHECK(!text.full && text.used == 0);
    }
}

static int parse(const char *text, struct control_request *out)
{
    return ewi_control_parse(text, strlen(text), out);
}

static void good_requests_are_understood(void)
{
    struct control_request request;

    CHECK_EQ(parse("eastwest/1 context", &request), EW_OK);
    CHECK_EQ(request.verb, CONTROL_CONTEXT);
    CHECK_EQ(request.number, 0);
    CHECK_EQ(parse("eastwest/1 channels", &request), EW_OK);
    CHECK_EQ(request.verb, CONTROL_CHANNELS);
    CHECK_EQ(parse("eastwest/1 channels 18446744073709551615", &request), EW_OK);
    CHECK(request.number == UINT64_MAX);
    CHECK_EQ(parse("eastwest/1 channel 7", &request), EW_OK);
    CHECK_EQ(request.verb, CONTROL_CHANNEL);
    CHECK_EQ(request.number, 7);
}

/* catches: a word that begins with net; control characters in what is shown; limits of the others */
static void questions_to_the_stack_are_understood(void)
{
    char long_one[CONTROL_REQUEST_BYTES_MAX + 2] = "eastwest/1 net capture start 1 1 /";
    struct control_request request;

    CHECK_EQ(parse("eastwest/1 net conn 7", &request), EW_OK);
    CHECK_EQ(request.verb, CONTROL_NET);
    CHECK(strcmp(request.question, "conn 7") == 0);
    CHECK_EQ(parse("eastwest/1 net", &request), EW_EPROTO);
    CHECK_EQ(parse("eastwest/1 net ", &request), EW_EPROTO);
    CHECK_EQ(parse("eastwest/1 nets conn", &request), EW_EPROTO);
    CHECK_EQ(parse("eastwest/1 net a\nb", &request), EW_EPROTO);
    CHECK_EQ(ewi_control_parse("eastwest/1 net a\0b", 18, &request), EW_EPROTO);
    memset(long_one + strlen(long_one), 'a', sizeof(long_one) - strlen(long_one));
    CHECK_EQ(ewi_control_parse(long_one, CONTROL_REQUEST_BYTES_MAX, &request), EW_OK);
    CHECK_EQ(strlen(request.question), CONTROL_REQUEST_BYTES_MAX - 15);
    CHECK_EQ(ewi_control_parse(long_one, CONTROL_REQUEST_BYTES_MAX + 1, &request), EW_EPROTO);
    memset(long_one, '0', sizeof(long_one));
    memcpy(long_one, "eastwest/1 channel 1", 20);
    CHECK_EQ(ewi_control_parse(long_one, CONTROL_PLAIN_BYTES_MAX + 1, &request), EW_EPROTO);
}

/* catches: no overflow check in take_number; a prefix taken for the word; strncmp of the word */
static void bad_requests_are_refused(void)
{
    static const char *const bad[] = {
        "",
        "eastwest/1",
        "eastwest/1 ",
        "eastwest/1  channels",
        "eastwest/1 channel",
        "eastwest/1 channel ",
        "eastwest/1 chan",
        "eastwest/1 channelss",
        "eastwest/1 channels x",
        "eastwest/1 channels 1 ",
        "eastwest/1 channels 01",
        "eastwest/1 channels -1",
        "eastwest/1 channels 18446744073709551616",
        "eastwest/1 channels 99999999999999999999999",
        "eastwest/1 channels\n",
        "Eastwest/1 channels",
        "GET / HTTP/1.1\r\n\r\n",
    };
    struct control_request request;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int code = parse(bad[i], &request);

        if (code != EW_EPROTO)
            fprintf(stderr, "\n    of '%s'\n", bad[i]);
        CHECK_EQ(code, EW_EPROTO);
    }
    CHECK_EQ(parse("eastwest/2 channels", &request), EW_EVERSION);
    CHECK_EQ(parse("eastwest/10 channels", &request), EW_EVERSION);
    CHECK_EQ(ewi_control_parse("eastwest/1 context\0x", 20, &request), EW_EPROTO);
}

/* Under ASan each request ends at the end of its allocation.
 * catches: memcmp of the greeting before the check of the length */
static void random_requests_are_only_read_where_they_are(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        static const char good[] = "eastwest/1 channels 1234";
        struct harness_random random = {seed};
        struct control_request request;

        for (int i = 0; i < 20000; i++) {
            size_t length = (size_t)harness_below(&random, sizeof(good));
            char *bytes = malloc(length + 1), *exact = malloc(length > 0 ? length : 1);

            memcpy(bytes, good, length);
            if (length > 0 && harness_below(&random, 4) > 0)
                bytes[harness_below(&random, length)] = (char)harness_next(&random);
            memcpy(exact, bytes, length);
            (void)ewi_control_parse(exact, length, &request);
            free(bytes);
            free(exact);
        }
    }
}

int main(int argc, char **argv)
{
    RUN(an_object_has_commas_between_its_fields);
    RUN(what_would_break_a_line_is_escaped);
    RUN(nothing_is_written_beyond_the_room_or_after_a_hole);
    RUN(good_requests_are_understood);
    RUN(questions_to_the_stack_are_understood);
    RUN(bad_requests_are_refused);
    random_requests_are_only_read_where_they_are(argc, argv);
    return 0;
}
