/* tests/fuzz/fuzz_hello.c - can what a stranger says before the welcome hurt us?
 *
 * The first byte chooses the decoder; the rest is a copy of exactly its size, so that ASan sees one
 * byte too far. A hello that is accepted must come out again as the same bytes (wire.h, I1 and I2).
 */
#include <stdlib.h>
#include <string.h>

#include "transport/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* Most inputs would die at the header: put a right one in, the fuzzer has the rest. */
static void put_header(uint8_t *bytes, uint32_t length, enum record_kind kind)
{
    uint64_t header = ewi_record_encode(length, kind, 0);

    if (length >= RECORD_HEADER_BYTES)
        memcpy(bytes, &header, sizeof(header));
}

static void try_hello(uint8_t *bytes, uint32_t length, enum record_kind kind)
{
    static char facts[WIRE_FACTS_BYTES_MAX + 1];
    static uint8_t again[WIRE_HELLO_BYTES];
    struct hello hello;

    if (ewi_wire_get_hello(bytes, length, kind, &hello, facts) != EW_OK)
        return;
    check(strlen(facts) <= WIRE_FACTS_BYTES_MAX);
    check(strlen(hello.namespace_name) < WIRE_NAMESPACE_BYTES);
    check(strlen(hello.service) < WIRE_SERVICE_BYTES);
    check(strlen(hello.protocol) < WIRE_PROTOCOL_BYTES);
    ewi_wire_put_hello(again, kind, &hello);
    check(memcmp(again + 8, bytes + 8, WIRE_HELLO_BYTES - 8) == 0);
}

static void try_refuse(const uint8_t *bytes, uint32_t length)
{
    char text[WIRE_TEXT_BYTES_MAX + 1];
    int code = ewi_wire_get_refuse(bytes, length, text);

    check(code < 0);
    check(strlen(text) <= WIRE_TEXT_BYTES_MAX);
    for (const char *c = text; *c != '\0'; c++)
        check((uint8_t)*c >= 0x20 && *c != 0x7f);
}

static void try_headers(const uint8_t *bytes, uint32_t length)
{
    struct record record;

    if (length < RECORD_HEADER_BYTES)
        return;
    record = ewi_record_decode(ewi_wire_get_header(bytes));
    if (ewi_wire_check_greeting(record) == EW_OK)
        check(record.bytes <= WIRE_MESSAGE_BYTES_MAX);
    if (ewi_wire_check_control(record) == EW_OK)
        check(record.bytes <= WIRE_CONTROL_BYTES_MAX);
    if (ewi_record_check(record, RECORD_BYTES_MAX) == EW_OK)
        check(record.bytes >= 8 && record.bytes <= RECORD_BYTES_MAX &&
              ewi_record_has_position(record.kind));
}

static void try_ext(const uint8_t *bytes, uint32_t length)
{
    uint32_t skip = 0;

    if (ewi_record_skip_ext(bytes, length, &skip) == EW_OK)
        check(skip >= 8 && skip <= length && skip % 8 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t length = size > 0 ? (uint32_t)size - 1 : 0;
    uint8_t *exact = malloc(length != 0 ? length : 1);

    check(exact != NULL);
    if (length != 0)
        memcpy(exact, data + 1, length);
    switch (size > 0 ? data[0] & 7 : 0) {
    case 0:
        try_headers(exact, length);
        try_hello(exact, length, RECORD_HELLO);
        try_refuse(exact, length);
        break;
    case 1:
        put_header(exact, length, RECORD_HELLO);
        try_hello(exact, length, RECORD_HELLO);
        break;
    case 2:
        put_header(exact, length, RECORD_WELCOME);
        try_hello(exact, length, RECORD_WELCOME);
        break;
    case 3:
        put_header(exact, length, RECORD_REFUSE);
        try_refuse(exact, length);
        break;
    default:
        try_ext(exact, length);
    }
    free(exact);
    return 0;
}
