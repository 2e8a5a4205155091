/* Reading a segment's notation, and writing it. */
#include <stdlib.h>
#include <string.h>

#include "tests/pkt/pkt_segment.h"

static const char letters[] = "FSRPAUEW"; /* in the order of the bits */

/* P is free unless it is written. */
static void read_flags(const char *word, struct pkt_spec *spec)
{
    spec->flags_free = PKT_PSH;
    if (strcmp(word, "-") == 0)
        return;
    for (const char *c = word; *c != '\0'; c++) {
        bool small = *c >= 'a' && *c <= 'z';
        const char *letter = strchr(letters, small ? *c - 'a' + 'A' : *c);
        uint8_t flag;

        if (letter == NULL)
            pkt_fail("script: '%s' is not made of flags (%s)", word, letters);
        flag = (uint8_t)(1u << (letter - letters));
        spec->flags |= small ? 0 : flag;
        spec->flags_free = (uint8_t)(small ? spec->flags_free | flag : spec->flags_free & ~flag);
    }
}

static struct pkt_number read_number(const char *word)
{
    bool absolute = word[0] == '=';

    return (struct pkt_number){pkt_number(word + absolute), true, absolute};
}

static void read_sequence(const char *word, struct pkt_spec *spec)
{
    char text[64];
    const char *plus = strchr(word, '+');

    if (plus == NULL) {
        spec->sequence = read_number(word);
        return;
    }
    if ((size_t)(plus - word) >= sizeof(text))
        pkt_fail("script: '%s' is too long", word);
    memcpy(text, word, (size_t)(plus - word));
    text[plus - word] = '\0';
    spec->sequence = read_number(text);
    spec->length = (uint32_t)pkt_number(plus + 1);
}

/* ------------------------------------------------------------------ options */

static void read_value(const char *word, struct pkt_value *value)
{
    size_t length;

    *value = (struct pkt_value){.newer = word[0] == '>'};
    word += value->newer;
    if (pkt_is_number(word)) {
        value->add = pkt_number(word);
        return;
    }
    length = strcspn(word, "+-");
    if (length >= sizeof(value->name))
        pkt_fail("script: the name '%s' is too long", word);
    memcpy(value->name, word, length);
    if (word[length] != '\0')
        value->add = pkt_number(word + length);
}

static void read_sack(struct pkt_words *words, struct pkt_item *item)
{
    while (pkt_peek(words) != NULL && pkt_is_number(pkt_peek(words))) {
        const char *word = pkt_next(words, "a block");
        const char *dash = strchr(word + 1, '-');
        char left[32];

        if (dash == NULL || item->count == 4 || (size_t)(dash - word) >= sizeof(left))
            pkt_fail("script: '%s' is no SACK block, or the fifth", word);
        memcpy(left, word, (size_t)(dash - word));
        left[dash - word] = '\0';
        item->left[item->count] = pkt_number(left);
        item->right[item->count++] = pkt_number(dash + 1);
    }
}

static void read_raw(struct pkt_words *words, struct pkt_item *item)
{
    while (pkt_peek(words) != NULL && strlen(pkt_peek(words)) == 2 && *pkt_peek(words) != ')' &&
           *pkt_peek(words) != ',') {
        if (item->count == PKT_RAW)
            pkt_fail("script: too many raw bytes");
        item->raw[item->count++] = (uint8_t)strtoul(pkt_next(words, "a byte"), NULL, 16);
    }
}

static void read_item(struct pkt_words *words, struct pkt_item *item)
{
    static const struct pkt_name kinds[] = {
        {"nop", PKT_ITEM_NOP}, {"eol", PKT_ITEM_EOL}, {"mss", PKT_ITEM_MSS},
        {"scale", PKT_ITEM_SCALE}, {"sack_ok", PKT_ITEM_SACK_OK}, {"ts", PKT_ITEM_TIMES},
        {"no_ts", PKT_ITEM_NO_TIMES}, {"sack", PKT_ITEM_SACK}, {"raw", PKT_ITEM_RAW}, {NULL, 0},
    };
    const char *word = pkt_next(words, "an option");
    int64_t kind;

    if (!pkt_lookup(kinds, word, &kind))
        pkt_fail("script: '%s' is no option", word);
    *item = (struct pkt_item){.kind = (enum pkt_item_kind)kind};
    if (kind == PKT_ITEM_MSS || kind == PKT_ITEM_SCALE) {
        item->number = pkt_range(pkt_next(words, "a number"));
    } else if (kind == PKT_ITEM_TIMES) {
        read_value(pkt_next(words, "TSval"), &item->time);
        if (!pkt_take(words, "ecr"))
            pkt_fail("script: 'ecr' is missing");
        read_value(pkt_next(words, "TSecr"), &item->echo);
    } else if (kind == PKT_ITEM_SACK) {
        read_sack(words, item);
    } else if (kind == PKT_ITEM_RAW) {
        read_raw(words, item);
    }
}

static void read_items(struct pkt_words *words, struct pkt_spec *spec, const char *end)
{
    spec->has_items = true;
    spec->exact = *end == ']';
    while (!pkt_take(words, end)) {
        if (spec->items == PKT_ITEMS)
            pkt_fail("script: too many options");
        read_item(words, &spec->item[spec->items++]);
        pkt_take(words, ",");
    }
}

/* ------------------------------------------------------------------ the rest of the line */

static bool read_word(struct pkt_words *words, struct pkt_spec *spec)
{
    const struct {
        const char *name;
        int *number;
    } numbers[] = {
        {"class", &spec->traffic_class}, {"hops", &spec->hop_limit}, {"urg", &spec->urgent},
        {"offset", &spec->data_offset},  {"cut", &spec->cut},        {"from", &spec->source_port},
        {"to", &spec->destination_port}, {"source", &spec->source_address},
    };
    static const struct pkt_name marks[] = {{"not_ect", 0}, {"ect1", 1}, {"ect0", 2}, {"ce", 3},
                                            {NULL, 0}};
    const char *word = pkt_next(words, "a word");
    int64_t mark;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(word, numbers[i].name) == 0) {
            *numbers[i].number = (int)pkt_number(pkt_next(words, "a number"));
            return true;
        }
    }
    if (pkt_lookup(marks, word, &mark)) {
        spec->ecn = (int)mark;
        return true;
    }
    if (word[0] == 'x' && pkt_is_number(word + 1))
        spec->repeat = (int)pkt_number(word + 1);
    else if (strcmp(word, "badsum") == 0)
        spec->bad_sum = true;
    else if (strcmp(word, "inverted") == 0)
        spec->inverted = true;
    else
        return false;
    return true;
}

void pkt_spec_read(struct pkt_words *words, struct pkt_spec *spec)
{
    *spec = (struct pkt_spec){
        .repeat = 1, .ecn = PKT_ANY_ECN, .traffic_class = -1, .hop_limit = -1, .urgent = -1,
        .data_offset = -1, .cut = -1, .source_port = -1, .destination_port = -1,
        .source_address = -1,
    };
    if (pkt_take(words, "*")) {
        spec->any = true;
        pkt_end(words);
        return;
    }
    read_flags(pkt_next(words, "flags"), spec);
    read_sequence(pkt_next(words, "a sequence number"), spec);
    while (pkt_peek(words) != NULL) {
        if (pkt_take(words, "ack")) {
            spec->acknowledgment = read_number(pkt_next(words, "a number"));
        } else if (pkt_take(words, "win")) {
            spec->has_window = true;
            spec->window = pkt_range(pkt_next(words, "a window"));
        } else if (pkt_take(words, "(")) {
            read_items(words, spec, ")");
        } else if (pkt_take(words, "[")) {
            read_items(words, spec, "]");
        } else if (!read_word(words, spec)) {
            words->at--;
            pkt_end(words);
        }
    }
}

/* ------------------------------------------------------------------ writing */

bool pkt_option_next(const struct pkt_packet *packet, uint32_t *at, struct pkt_option *option,
                     bool *wrong)
{
    const uint8_t *bytes = packet->options + *at;
    uint32_t left = packet->option_bytes - *at;

    *wrong = false;
    if (left == 0)
        return false;
    option->kind = bytes[0];
    option->length = 1;
    option->data = bytes;
    if (option->kind > PKT_OPTION_NOP) {
        if (left < 2 || bytes[1] < 2 || bytes[1] > left) {
            *wrong = true;
            return false;
        }
        option->length = bytes[1];
        option->data = bytes + 2;
    }
    *at += option->length;
    return true;
}

bool pkt_option_find(const struct pkt_packet *packet, uint8_t kind, struct pkt_option *option)
{
    uint32_t at = 0;
    bool wrong;

    while (pkt_option_next(packet, &at, option, &wrong) && option->kind != PKT_OPTION_EOL)
        if (option->kind == kind)
            return true;
    return false;
}

static size_t describe_option(const struct pkt_option *option, uint32_t iss, char *out, size_t room)
{
    size_t at = 0;

    switch (option->kind) {
    case PKT_OPTION_NOP:
        return (size_t)snprintf(out, room, "nop, ");
    case PKT_OPTION_EOL:
        return (size_t)snprintf(out, room, "eol, ");
    case PKT_OPTION_MSS:
        return (size_t)snprintf(out, room, "mss %u, ", pkt_get16(option->data));
    case PKT_OPTION_SCALE:
        return (size_t)snprintf(out, room, "scale %u, ", option->data[0]);
    case PKT_OPTION_SACK_OK:
        return (size_t)snprintf(out, room, "sack_ok, ");
    case PKT_OPTION_TIMES:
        return (size_t)snprintf(out, room, "ts %u ecr %u, ", pkt_get32(option->data),
                                pkt_get32(option->data + 4));
    case PKT_OPTION_SACK:
        at = (size_t)snprintf(out, room, "sack");
        for (uint32_t i = 0; i + 8 <= option->length - 2u && at < room; i += 8)
            at += (size_t)snprintf(out + at, room - at, " %d-%d",
                                   (int32_t)(pkt_get32(option->data + i) - iss),
                                   (int32_t)(pkt_get32(option->data + i + 4) - iss));
        return at + (size_t)snprintf(out + at, room - at, ", ");
    default:
        return (size_t)snprintf(out, room, "kind %u, ", option->kind);
    }
}

static size_t describe_options(const struct pkt_packet *packet, uint32_t iss, char *out,
                               size_t room)
{
    struct pkt_option option;
    uint32_t at = 0;
    size_t to;
    bool wrong;

    if (packet->option_bytes == 0 || room < 200)
        return 0;
    to = (size_t)snprintf(out, room, " [");
    while (to + 64 < room && pkt_option_next(packet, &at, &option, &wrong))
        to += describe_option(&option, iss, out + to, room - to);
    if (to > 2)
        to -= 2; /* the last comma */
    return to + (size_t)snprintf(out + to, room - to, "]");
}

void pkt_describe(const struct pkt_flow *flow, const struct pkt_packet *packet, bool from_stack,
                  char *out, size_t room)
{
    static const char *const marks[] = {"", " ect1", " ect0", " ce"};
    uint32_t own = from_stack ? flow->stack_iss : flow->peer_iss;
    uint32_t other = from_stack ? flow->peer_iss : flow->stack_iss;
    size_t at = 0;

    if (flow->name != 'a')
        at += (size_t)snprintf(out, room, "%c: ", flow->name);
    at += (size_t)snprintf(out + at, room - at, "%s ", from_stack ? ">" : "<");
    for (unsigned i = 0; i < 8; i++)
        if ((packet->flags >> i & 1) != 0)
            out[at++] = letters[i];
    if (packet->flags == 0)
        out[at++] = '-';
    at += (size_t)snprintf(out + at, room - at, " %d", (int32_t)(packet->sequence - own));
    if (packet->payload_bytes > 0)
        at += (size_t)snprintf(out + at, room - at, "+%u", packet->payload_bytes);
    if ((packet->flags & PKT_ACK) != 0)
        at += (size_t)snprintf(out + at, room - at, " ack %d",
                               (int32_t)(packet->acknowledgment - other));
    at += (size_t)snprintf(out + at, room - at, " win %u", packet->window);
    /* SACK blocks speak about what the other side sent. */
    at += describe_options(packet, other, out + at, room - at);
    snprintf(out + at, room - at, "%s", marks[packet->traffic_class & 3]);
}
