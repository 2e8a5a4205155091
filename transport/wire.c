#include "transport/wire.h"

#include <string.h>

/* ---- fields ---- */

static void put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, (uint16_t)value);
    put_u16(at + 2, (uint16_t)(value >> 16));
}

static void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)value);
    put_u32(at + 4, (uint32_t)(value >> 32));
}

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)get_u16(at) | (uint32_t)get_u16(at + 2) << 16;
}

uint64_t ewi_wire_get_u64(const uint8_t *bytes)
{
    return (uint64_t)get_u32(bytes) | (uint64_t)get_u32(bytes + 4) << 32;
}

uint64_t ewi_wire_get_header(const uint8_t *bytes)
{
    return ewi_wire_get_u64(bytes);
}

static void put_text(uint8_t *at, size_t room, const char *text)
{
    size_t length = strnlen(text, room - 1);

    memset(at, 0, room);
    memcpy(at, text, length);
}

static bool is_control(uint8_t byte)
{
    return byte < 0x20 || byte == 0x7f;
}

/* A string field: zero-terminated, zeros behind it, printable ASCII or UTF-8 (no controls). */
static int get_text(const uint8_t *at, size_t room, char *out)
{
    size_t length = strnlen((const char *)at, room);

    if (length == room)
        return EW_EPROTO;
    for (size_t i = 0; i < room; i++)
        if (i < length ? is_control(at[i]) : at[i] != 0)
            return EW_EPROTO;
    memcpy(out, at, room);
    return EW_OK;
}

static void put_record(uint8_t *out, uint32_t bytes, enum record_kind kind)
{
    put_u64(out, ewi_record_encode(bytes, kind, 0));
}

/* ---- encoders ---- */

uint32_t ewi_wire_put_hello(uint8_t out[WIRE_HELLO_BYTES], enum record_kind kind,
                            const struct hello *hello)
{
    memset(out, 0, WIRE_HELLO_BYTES);
    put_record(out, WIRE_HELLO_BYTES, kind);
    put_u32(out + WIRE_AT_MAGIC, WIRE_MAGIC);
    put_u16(out + WIRE_AT_VERSION, hello->version);
    put_u16(out + WIRE_AT_VERSION_MIN, hello->version_min);
    put_u64(out + WIRE_AT_FEATURES, hello->features);
    put_u64(out + WIRE_AT_REQUIRED, hello->required);
    out[WIRE_AT_INTENT] = hello->intent;
    put_u64(out + WIRE_AT_GENERATION, hello->generation);
    memcpy(out + WIRE_AT_CHANNEL, hello->channel, 16);
    memcpy(out + WIRE_AT_INSTANCE, hello->instance, 16);
    memcpy(out + WIRE_AT_SECRET, hello->secret, 16);
    memcpy(out + WIRE_AT_NONCE, hello->nonce, 16);
    memcpy(out + WIRE_AT_MAC, hello->mac, 16);
    put_u64(out + WIRE_AT_START, hello->start);
    put_u64(out + WIRE_AT_TAKEN, hello->taken);
    put_u64(out + WIRE_AT_OUTBOX, hello->outbox_bytes);
    put_u32(out + WIRE_AT_OFFSET, hello->offset);
    put_u32(out + WIRE_AT_PID, hello->pid);
    put_u64(out + WIRE_AT_MESSAGE_MAX, hello->message_bytes_max);
    put_u64(out + WIRE_AT_LIMIT, hello->limit);
    put_u64(out + WIRE_AT_CHANNELS, hello->channels);
    put_text(out + WIRE_AT_NAMESPACE, WIRE_NAMESPACE_BYTES, hello->namespace_name);
    put_text(out + WIRE_AT_SERVICE, WIRE_SERVICE_BYTES, hello->service);
    put_text(out + WIRE_AT_PROTOCOL, WIRE_PROTOCOL_BYTES, hello->protocol);
    return WIRE_HELLO_BYTES;
}

uint32_t ewi_wire_put_welcome_facts(uint8_t out[WIRE_MESSAGE_BYTES_MAX], const struct hello *hello,
                                    const char *facts)
{
    size_t length = strnlen(facts, WIRE_FACTS_BYTES_MAX);
    uint32_t span = ewi_record_span(WIRE_HELLO_BYTES + (uint32_t)length);

    ewi_wire_put_hello(out, RECORD_WELCOME, hello);
    memset(out + WIRE_HELLO_BYTES, 0, span - WIRE_HELLO_BYTES);
    memcpy(out + WIRE_HELLO_BYTES, facts, length);
    put_record(out, span, RECORD_WELCOME);
    return span;
}

uint32_t ewi_wire_put_refuse(uint8_t out[WIRE_REFUSE_BYTES_MAX], int code, const char *text)
{
    size_t length = strnlen(text, WIRE_TEXT_BYTES_MAX - 8);
    uint32_t span = ewi_record_span(16 + (uint32_t)length);

    memset(out, 0, span);
    put_record(out, span, RECORD_REFUSE);
    put_u32(out + 8, (uint32_t)code);
    memcpy(out + 16, text, length);
    return span;
}

uint32_t ewi_wire_put_ack(uint8_t out[WIRE_ACK_BYTES], const struct wire_ack *ack)
{
    put_record(out, WIRE_ACK_BYTES, RECORD_ACK);
    put_u64(out + 8, ack->taken);
    put_u64(out + 16, ack->consumed);
    put_u64(out + 24, ack->limit);
    return WIRE_ACK_BYTES;
}

uint32_t ewi_wire_put_u64(uint8_t out[WIRE_PING_BYTES], enum record_kind kind, uint64_t value)
{
    put_record(out, WIRE_PING_BYTES, kind);
    put_u64(out + 8, value);
    return WIRE_PING_BYTES;
}

uint32_t ewi_wire_put_drain(uint8_t out[WIRE_DRAIN_BYTES])
{
    put_record(out, WIRE_DRAIN_BYTES, RECORD_DRAIN);
    return WIRE_DRAIN_BYTES;
}

/* ---- decoders ---- */

int ewi_wire_check_greeting(struct record record)
{
    if (record.flags != 0 || record.reserved != 0 || record.bytes % RECORD_ALIGN != 0)
        return EW_EPROTO;
    switch (record.kind) {
    case RECORD_HELLO:
        return record.bytes == WIRE_HELLO_BYTES ? EW_OK : EW_EPROTO;
    case RECORD_WELCOME:
        return record.bytes >= WIRE_HELLO_BYTES && record.bytes <= WIRE_MESSAGE_BYTES_MAX
                   ? EW_OK
                   : EW_EPROTO;
    case RECORD_REFUSE:
        return record.bytes >= 16 && record.bytes <= WIRE_REFUSE_BYTES_MAX ? EW_OK : EW_EPROTO;
    case RECORD_FINAL: /* to a RESUME */
        return record.bytes == WIRE_FINAL_BYTES ? EW_OK : EW_EPROTO;
    default:
        return EW_EPROTO;
    }
}

int ewi_wire_check_control(struct record record)
{
    uint32_t expected;

    switch (record.kind) {
    case RECORD_START:
    case RECORD_PING:
    case RECORD_PONG:
    case RECORD_FINAL:
        expected = WIRE_PING_BYTES;
        break;
    case RECORD_ACK:
        expected = WIRE_ACK_BYTES;
        break;
    case RECORD_DRAIN:
        expected = WIRE_DRAIN_BYTES;
        break;
    default:
        return EW_EPROTO;
    }
    if (record.flags != 0 || record.reserved != 0 || record.bytes != expected)
        return EW_EPROTO;
    return EW_OK;
}

static int check_version(const struct hello *hello)
{
    if (hello->version < hello->version_min)
        return EW_EPROTO;
    if (hello->version_min > WIRE_VERSION || hello->version < WIRE_VERSION)
        return EW_EVERSION;
    if (hello->required & ~WIRE_FEATURES_KNOWN)
        return EW_EVERSION;
    return EW_OK;
}

static bool zero_between(const uint8_t *bytes, uint32_t from, uint32_t to)
{
    while (from < to)
        if (bytes[from++] != 0)
            return false;
    return true;
}

int ewi_wire_get_hello(const uint8_t *bytes, uint32_t length, enum record_kind kind,
                       struct hello *out, char *facts)
{
    struct record record;
    int code;

    if (length < WIRE_HELLO_BYTES)
        return EW_EPROTO;
    record = ewi_record_decode(ewi_wire_get_header(bytes));
    if (ewi_wire_check_greeting(record) != EW_OK || record.kind != kind || record.bytes != length ||
        get_u32(bytes + WIRE_AT_MAGIC) != WIRE_MAGIC)
        return EW_EPROTO;
    *out = (struct hello){
        .version = get_u16(bytes + WIRE_AT_VERSION),
        .version_min = get_u16(bytes + WIRE_AT_VERSION_MIN),
        .features = ewi_wire_get_u64(bytes + WIRE_AT_FEATURES),
        .required = ewi_wire_get_u64(bytes + WIRE_AT_REQUIRED),
        .intent = bytes[WIRE_AT_INTENT],
        .generation = ewi_wire_get_u64(bytes + WIRE_AT_GENERATION),
        .start = ewi_wire_get_u64(bytes + WIRE_AT_START),
        .taken = ewi_wire_get_u64(bytes + WIRE_AT_TAKEN),
        .outbox_bytes = ewi_wire_get_u64(bytes + WIRE_AT_OUTBOX),
        .offset = get_u32(bytes + WIRE_AT_OFFSET),
        .pid = get_u32(bytes + WIRE_AT_PID),
        .message_bytes_max = ewi_wire_get_u64(bytes + WIRE_AT_MESSAGE_MAX),
        .limit = ewi_wire_get_u64(bytes + WIRE_AT_LIMIT),
        .channels = ewi_wire_get_u64(bytes + WIRE_AT_CHANNELS),
    };
    code = check_version(out); /* before anything that a later version may use differently */
    if (code != EW_OK)
        return code;
    memcpy(out->channel, bytes + WIRE_AT_CHANNEL, 16);
    memcpy(out->instance, bytes + WIRE_AT_INSTANCE, 16);
    memcpy(out->secret, bytes + WIRE_AT_SECRET, 16);
    memcpy(out->nonce, bytes + WIRE_AT_NONCE, 16);
    memcpy(out->mac, bytes + WIRE_AT_MAC, 16);
    if (out->intent < WIRE_OPEN || out->intent > WIRE_QUERY ||
        !zero_between(bytes, WIRE_AT_INTENT + 1, WIRE_AT_GENERATION) ||
        !zero_between(bytes, WIRE_AT_RESERVED, WIRE_AT_NAMESPACE) || /* I2 */
        out->start % RECORD_ALIGN != 0 || out->taken % RECORD_ALIGN != 0 ||
        out->offset % RECORD_ALIGN != 0)
        return EW_EPROTO;
    if (get_text(bytes + WIRE_AT_NAMESPACE, WIRE_NAMESPACE_BYTES, out->namespace_name) != EW_OK ||
        get_text(bytes + WIRE_AT_SERVICE, WIRE_SERVICE_BYTES, out->service) != EW_OK ||
        get_text(bytes + WIRE_AT_PROTOCOL, WIRE_PROTOCOL_BYTES, out->protocol) != EW_OK)
        return EW_EPROTO;
    if (facts != NULL) {
        memcpy(facts, bytes + WIRE_HELLO_BYTES, length - WIRE_HELLO_BYTES);
        facts[length - WIRE_HELLO_BYTES] = '\0';
    }
    return EW_OK;
}

int ewi_wire_get_refuse(const uint8_t *bytes, uint32_t length, char *text)
{
    struct record record;
    int32_t code;
    uint32_t text_bytes;

    text[0] = '\0';
    if (length < 16)
        return EW_EPROTO;
    record = ewi_record_decode(ewi_wire_get_header(bytes));
    code = (int32_t)get_u32(bytes + 8);
    if (record.kind != RECORD_REFUSE || ewi_wire_check_greeting(record) != EW_OK ||
        record.bytes != length || get_u32(bytes + 12) != 0 || /* I2 */
        code > EW_EAGAIN || code < EW_EBUG)
        return EW_EPROTO;
    text_bytes = length - 16;
    for (uint32_t i = 0; i < text_bytes; i++) /* shown to people: no escape sequences */
        text[i] = (char)(is_control(bytes[16 + i]) && bytes[16 + i] != 0 ? '?' : bytes[16 + i]);
    text[text_bytes] = '\0';
    return code;
}

struct wire_ack ewi_wire_get_ack(const uint8_t *payload)
{
    return (struct wire_ack){.taken = ewi_wire_get_u64(payload),
                             .consumed = ewi_wire_get_u64(payload + 8),
                             .limit = ewi_wire_get_u64(payload + 16)};
}
