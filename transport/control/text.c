#include "transport/control/text.h"

#include <stdio.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static void put(struct text *text, const char *bytes, size_t count)
{
    if (text->full || count > text->room - text->used) {
        text->full = true; /* and nothing after it is written: no line with a hole */
        return;
    }
    memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
}

static void put_word(struct text *text, const char *word)
{
    put(text, word, strlen(word));
}

static void put_key(struct text *text, const char *key)
{
    if (text->used > 0 && text->bytes[text->used - 1] != '{')
        put(text, ",", 1);
    put(text, "\"", 1);
    put_word(text, key);
    put(text, "\":", 2);
}

static void put_escaped(struct text *text, char byte)
{
    unsigned char value = (unsigned char)byte;
    char escaped[6] = {'\\', 'u', '0', '0', digits[value >> 4], digits[value & 15]};

    if (byte == '"' || byte == '\\') {
        escaped[1] = byte;
        put(text, escaped, 2);
    } else if (value < 0x20 || value == 0x7f) {
        put(text, escaped, sizeof(escaped));
    } else {
        put(text, &byte, 1);
    }
}

void ewi_text_begin(struct text *text)
{
    put(text, "{", 1);
}

void ewi_text_end(struct text *text)
{
    put(text, "}\n", 2);
}

void ewi_text_string(struct text *text, const char *key, const char *value, size_t bytes_max)
{
    put_key(text, key);
    put(text, "\"", 1);
    for (size_t i = 0; i < bytes_max && value[i] != '\0'; i++)
        put_escaped(text, value[i]);
    put(text, "\"", 1);
}

void ewi_text_u64(struct text *text, const char *key, uint64_t value)
{
    char number[24];

    snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
    put_key(text, key);
    put_word(text, number);
}

void ewi_text_i64(struct text *text, const char *key, int64_t value)
{
    char number[24];

    snprintf(number, sizeof(number), "%lld", (long long)value);
    put_key(text, key);
    put_word(text, number);
}

void ewi_text_bool(struct text *text, const char *key, bool value)
{
    put_key(text, key);
    put_word(text, value ? "true" : "false");
}

void ewi_text_hex(struct text *text, const char *key, const uint8_t *bytes, size_t count)
{
    put_key(text, key);
    put(text, "\"", 1);
    for (size_t i = 0; i < count; i++) {
        const char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};

        put(text, pair, sizeof(pair));
    }
    put(text, "\"", 1);
}
