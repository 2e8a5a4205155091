/* Comparing what came with what a script expects. */
#include <string.h>

#include "tests/pkt/pkt_segment.h"

static char why[200];

#define DIFFERS(...) (snprintf(why, sizeof(why), __VA_ARGS__), (const char *)why)

static struct pkt_symbol *symbol_of(const char *name, bool make)
{
    for (int i = 0; i < PKT_SYMBOLS; i++) {
        struct pkt_symbol *symbol = &pkt_world.symbol[i];

        if (symbol->name[0] == '\0') {
            if (make)
                snprintf(symbol->name, sizeof(symbol->name), "%s", name);
            return make ? symbol : NULL;
        }
        if (strcmp(symbol->name, name) == 0)
            return symbol;
    }
    pkt_fail("script: more than %d names", PKT_SYMBOLS);
}

/* The peer's clock for timestamps: milliseconds. */
static uint32_t peer_clock(void)
{
    return (uint32_t)((pkt_world.now - PKT_START) / PKT_MS) + 1000;
}

static uint32_t value_of(const struct pkt_flow *flow, const struct pkt_value *value)
{
    struct pkt_symbol *symbol;

    if (value->name[0] == '\0')
        return (uint32_t)value->add;
    if (strcmp(value->name, "now") == 0)
        return peer_clock() + (uint32_t)value->add;
    if (strcmp(value->name, "last") == 0)
        return flow->last_time + (uint32_t)value->add;
    symbol = symbol_of(value->name, false);
    if (symbol == NULL)
        pkt_fail("script: '%s' has no value yet", value->name);
    return symbol->value + (uint32_t)value->add;
}

static bool value_matches(const struct pkt_flow *flow, const struct pkt_value *value, uint32_t have)
{
    if (strcmp(value->name, "any") == 0)
        return true;
    if (value->name[0] != '\0' && value->add == 0 && !value->newer &&
        strcmp(value->name, "now") != 0 && strcmp(value->name, "last") != 0 &&
        symbol_of(value->name, false) == NULL) {
        symbol_of(value->name, true)->value = have;
        return true;
    }
    if (value->newer)
        return (int32_t)(have - value_of(flow, value)) > 0;
    return have == value_of(flow, value);
}

static uint32_t iss_of(const struct pkt_flow *flow, bool stack)
{
    return stack ? flow->stack_iss : flow->peer_iss;
}

/* ------------------------------------------------------------------ options */

static const char *item_name(enum pkt_item_kind kind)
{
    static const char *const names[] = {"nop", "eol", "mss", "scale", "sack_ok", "ts", "no_ts",
                                        "sack", "raw"};

    return names[kind];
}

static int item_kind(enum pkt_item_kind kind)
{
    static const int kinds[] = {
        [PKT_ITEM_NOP] = PKT_OPTION_NOP,     [PKT_ITEM_EOL] = PKT_OPTION_EOL,
        [PKT_ITEM_MSS] = PKT_OPTION_MSS,     [PKT_ITEM_SCALE] = PKT_OPTION_SCALE,
        [PKT_ITEM_SACK_OK] = PKT_OPTION_SACK_OK, [PKT_ITEM_TIMES] = PKT_OPTION_TIMES,
        [PKT_ITEM_NO_TIMES] = -1,            [PKT_ITEM_SACK] = PKT_OPTION_SACK,
        [PKT_ITEM_RAW] = -1,
    };

    return kinds[kind];
}

static const char *sack_mismatch(const struct pkt_flow *flow, const struct pkt_item *item,
                                 const struct pkt_option *option)
{
    if (option->length != 2 + 8 * item->count)
        return DIFFERS("%d SACK blocks, want %d", (option->length - 2) / 8, item->count);
    for (int i = 0; i < item->count; i++) {
        int32_t left = (int32_t)(pkt_get32(option->data + 8 * i) - flow->peer_iss);
        int32_t right = (int32_t)(pkt_get32(option->data + 8 * i + 4) - flow->peer_iss);

        if (left != item->left[i] || right != item->right[i])
            return DIFFERS("SACK block %d is %d-%d, want %d-%d", i + 1, left, right,
                           (int)item->left[i], (int)item->right[i]);
    }
    return NULL;
}

static const char *item_mismatch(struct pkt_flow *flow, const struct pkt_item *item,
                                 const struct pkt_option *option)
{
    uint32_t number;

    switch (item->kind) {
    case PKT_ITEM_MSS:
    case PKT_ITEM_SCALE:
        number = item->kind == PKT_ITEM_MSS ? pkt_get16(option->data) : option->data[0];
        if (!pkt_in(item->number, number))
            return DIFFERS("%s %u, want %lld..%lld", item_name(item->kind), number,
                           (long long)item->number.low, (long long)item->number.high);
        return NULL;
    case PKT_ITEM_TIMES:
        if (!value_matches(flow, &item->time, pkt_get32(option->data)))
            return DIFFERS("TSval %u", pkt_get32(option->data));
        if (!value_matches(flow, &item->echo, pkt_get32(option->data + 4)))
            return DIFFERS("TSecr %u", pkt_get32(option->data + 4));
        return NULL;
    case PKT_ITEM_SACK:
        return sack_mismatch(flow, item, option);
    default:
        return NULL;
    }
}

/* Every option that came is one of the list; every one of the list came. */
static const char *set_mismatch(struct pkt_flow *flow, const struct pkt_spec *spec,
                                const struct pkt_packet *packet, bool times_wanted)
{
    struct pkt_option option;
    uint32_t at = 0;
    bool wrong, found;

    for (int i = 0; i < spec->items; i++) {
        const char *differs;

        if (item_kind(spec->item[i].kind) < 0)
            continue;
        if (!pkt_option_find(packet, (uint8_t)item_kind(spec->item[i].kind), &option))
            return DIFFERS("no option %s", item_name(spec->item[i].kind));
        if ((differs = item_mismatch(flow, &spec->item[i], &option)) != NULL)
            return differs;
    }
    while (pkt_option_next(packet, &at, &option, &wrong)) {
        found = option.kind <= PKT_OPTION_NOP || (times_wanted && option.kind == PKT_OPTION_TIMES);
        for (int i = 0; i < spec->items; i++)
            found |= item_kind(spec->item[i].kind) == option.kind;
        if (!found)
            return DIFFERS("an option of kind %u, which is not in the list", option.kind);
    }
    return NULL;
}

static const char *list_mismatch(struct pkt_flow *flow, const struct pkt_spec *spec,
                                 const struct pkt_packet *packet)
{
    struct pkt_option option;
    uint32_t at = 0;
    bool wrong;

    for (int i = 0; i < spec->items; i++) {
        const char *differs;

        if (!pkt_option_next(packet, &at, &option, &wrong))
            return DIFFERS("the options end before %s", item_name(spec->item[i].kind));
        if (item_kind(spec->item[i].kind) != option.kind)
            return DIFFERS("option %d is of kind %u, want %s", i + 1, option.kind,
                           item_name(spec->item[i].kind));
        if ((differs = item_mismatch(flow, &spec->item[i], &option)) != NULL)
            return differs;
    }
    return at == packet->option_bytes ? NULL : "more options than in the list";
}

/* RFC 7323 section 3.2: once negotiated, every segment but RST carries timestamps. */
static const char *options_mismatch(struct pkt_flow *flow, const struct pkt_spec *spec,
                                    const struct pkt_packet *packet)
{
    bool negotiated = flow->stack_times && flow->peer_times && (packet->flags & PKT_RST) == 0;
    struct pkt_option option;

    for (int i = 0; i < spec->items; i++)
        if (spec->item[i].kind == PKT_ITEM_NO_TIMES)
            negotiated = false;
    if (negotiated && !pkt_option_find(packet, PKT_OPTION_TIMES, &option))
        return "no timestamps, though they were agreed on";
    if (!spec->has_items)
        return NULL;
    return spec->exact ? list_mismatch(flow, spec, packet)
                       : set_mismatch(flow, spec, packet, negotiated);
}

/* ------------------------------------------------------------------ the segment */

static const char *number_mismatch(const char *what, const struct pkt_number *want, uint32_t have,
                                   uint32_t iss)
{
    if (!want->given)
        return NULL;
    if (want->absolute)
        return have == (uint32_t)want->value
                   ? NULL
                   : DIFFERS("%s =%u, want =%u", what, have, (uint32_t)want->value);
    if (have - iss != (uint32_t)want->value)
        return DIFFERS("%s %d, want %d", what, (int32_t)(have - iss), (int)want->value);
    return NULL;
}

const char *pkt_mismatch(struct pkt_flow *flow, const struct pkt_spec *spec,
                         const struct pkt_packet *packet)
{
    const char *differs;

    if (spec->any)
        return NULL;
    if (((packet->flags ^ spec->flags) & ~spec->flags_free) != 0)
        return "other flags";
    if ((differs = number_mismatch("seq", &spec->sequence, packet->sequence,
                                   iss_of(flow, true))) != NULL)
        return differs;
    if (packet->payload_bytes != spec->length)
        return DIFFERS("%u bytes, want %u", packet->payload_bytes, spec->length);
    if ((differs = number_mismatch("ack", &spec->acknowledgment, packet->acknowledgment,
                                   iss_of(flow, false))) != NULL)
        return differs;
    if (spec->has_window && !pkt_in(spec->window, packet->window))
        return DIFFERS("win %u, want %lld..%lld", packet->window, (long long)spec->window.low,
                       (long long)spec->window.high);
    if (spec->ecn != PKT_ANY_ECN && (packet->traffic_class & 3) != spec->ecn)
        return DIFFERS("the ECN bits are %d, want %d", packet->traffic_class & 3, spec->ecn);
    if (spec->traffic_class >= 0 && packet->traffic_class != spec->traffic_class)
        return DIFFERS("class %u, want %d", packet->traffic_class, spec->traffic_class);
    if (spec->hop_limit >= 0 && packet->hop_limit != spec->hop_limit)
        return DIFFERS("hop limit %u, want %d", packet->hop_limit, spec->hop_limit);
    return options_mismatch(flow, spec, packet);
}

/* ------------------------------------------------------------------ making */

static uint32_t put_item(struct pkt_flow *flow, const struct pkt_item *item, uint8_t *out)
{
    switch (item->kind) {
    case PKT_ITEM_NOP:
    case PKT_ITEM_EOL:
        out[0] = item->kind == PKT_ITEM_NOP ? PKT_OPTION_NOP : PKT_OPTION_EOL;
        return 1;
    case PKT_ITEM_MSS:
        out[0] = PKT_OPTION_MSS;
        out[1] = 4;
        pkt_put16(out + 2, (uint32_t)item->number.low);
        return 4;
    case PKT_ITEM_SCALE:
        out[0] = PKT_OPTION_SCALE;
        out[1] = 3;
        out[2] = (uint8_t)item->number.low;
        return 3;
    case PKT_ITEM_SACK_OK:
        out[0] = PKT_OPTION_SACK_OK;
        out[1] = 2;
        return 2;
    case PKT_ITEM_TIMES:
        out[0] = PKT_OPTION_TIMES;
        out[1] = 10;
        pkt_put32(out + 2, value_of(flow, &item->time));
        pkt_put32(out + 6, value_of(flow, &item->echo));
        return 10;
    case PKT_ITEM_SACK:
        out[0] = PKT_OPTION_SACK;
        out[1] = (uint8_t)(2 + 8 * item->count);
        for (int i = 0; i < item->count; i++) {
            pkt_put32(out + 2 + 8 * i, flow->stack_iss + (uint32_t)item->left[i]);
            pkt_put32(out + 6 + 8 * i, flow->stack_iss + (uint32_t)item->right[i]);
        }
        return 2 + 8 * (uint32_t)item->count;
    case PKT_ITEM_RAW:
        memcpy(out, item->raw, (size_t)item->count);
        return (uint32_t)item->count;
    case PKT_ITEM_NO_TIMES:
        break;
    }
    return 0;
}

static uint32_t put_options(struct pkt_flow *flow, const struct pkt_spec *spec, uint8_t *out)
{
    static const struct pkt_item times = {
        .kind = PKT_ITEM_TIMES, .time = {.name = "now"}, .echo = {.name = "last"}};
    bool own = spec->exact || (spec->flags & (PKT_SYN | PKT_RST)) != 0 ||
               !(flow->stack_times && flow->peer_times);
    uint32_t at = 0;

    for (int i = 0; i < spec->items; i++)
        own |= spec->item[i].kind == PKT_ITEM_TIMES || spec->item[i].kind == PKT_ITEM_NO_TIMES;
    if (!own)
        at += put_item(flow, &times, out);
    for (int i = 0; i < spec->items; i++) {
        if (at + 34 > 80)
            pkt_fail("script: more options than a header has room for");
        at += put_item(flow, &spec->item[i], out + at);
    }
    while (at % 4 != 0)
        out[at++] = PKT_OPTION_EOL;
    if (at > 40)
        pkt_fail("script: %u bytes of options", at);
    return at;
}

static uint32_t number_of(const struct pkt_number *number, uint32_t iss)
{
    return number->absolute ? (uint32_t)number->value : iss + (uint32_t)number->value;
}

uint32_t pkt_make(struct pkt_flow *flow, const struct pkt_spec *spec, uint8_t *out)
{
    uint8_t options[120] = {0}, payload[PKT_ROOM];
    struct pkt_packet packet = {
        .family = pkt_world.family,
        .hop_limit = (uint8_t)(spec->hop_limit >= 0 ? spec->hop_limit : 64),
        .traffic_class = (uint8_t)(spec->traffic_class >= 0 ? spec->traffic_class
                                   : spec->ecn >= 0         ? spec->ecn
                                                            : 0),
        .source_port = (uint16_t)(spec->source_port >= 0 ? spec->source_port : flow->peer_port),
        .destination_port =
            (uint16_t)(spec->destination_port >= 0 ? spec->destination_port : flow->stack_port),
        .sequence = number_of(&spec->sequence, iss_of(flow, false)),
        .flags = spec->flags,
        .urgent = (uint16_t)(spec->urgent >= 0 ? spec->urgent : 0),
        .bad_sum = spec->bad_sum, .data_offset = spec->data_offset >= 0 ? spec->data_offset : 0,
        .options = options, .payload = payload, .payload_bytes = spec->length,
    };
    uint32_t length;

    if (spec->length > sizeof(payload) - 200)
        pkt_fail("script: a segment of %u bytes", spec->length);
    if (spec->has_window)
        flow->window = (uint16_t)spec->window.low;
    packet.window = flow->window;
    if (spec->acknowledgment.given)
        packet.acknowledgment = number_of(&spec->acknowledgment, iss_of(flow, true));
    else if ((spec->flags & PKT_ACK) != 0)
        packet.acknowledgment = flow->stack_iss + flow->stack_end;
    memcpy(packet.source, pkt_world.peer_address.ip, 16);
    memcpy(packet.destination, pkt_world.stack_address.ip, 16);
    if (spec->source_address >= 0)
        packet.source[packet.family == 4 ? 3 : 15] = (uint8_t)spec->source_address;
    packet.option_bytes = put_options(flow, spec, options);
    for (uint32_t i = 0; i < spec->length; i++) {
        uint64_t position = (uint32_t)(packet.sequence + i - flow->peer_iss - 1);
        uint8_t byte = pkt_byte(pkt_side(flow, false), position);

        payload[i] = spec->inverted ? (uint8_t)~byte : byte;
    }
    if ((spec->flags & PKT_SYN) != 0 && spec->length > 0) /* the SYN has the first number */
        for (uint32_t i = 0; i < spec->length; i++)
            payload[i] = pkt_byte(pkt_side(flow, false), i);
    length = pkt_build(out, &packet);
    if (spec->source_port >= 0)
        flow->other_port = packet.source_port;
    if (spec->source_port < 0 && spec->destination_port < 0)
        pkt_learn(flow, &packet, false);
    return spec->cut >= 0 && (uint32_t)spec->cut < length ? (uint32_t)spec->cut : length;
}

uint32_t pkt_make_quote(struct pkt_flow *flow, uint32_t sequence, uint8_t *out)
{
    struct pkt_packet packet = {
        .family = pkt_world.family, .hop_limit = 63, .source_port = flow->stack_port,
        .destination_port = flow->peer_port, .sequence = flow->stack_iss + sequence,
        .acknowledgment = flow->ack, .flags = PKT_ACK, .window = 1000,
    };

    memcpy(packet.source, pkt_world.stack_address.ip, 16);
    memcpy(packet.destination, pkt_world.peer_address.ip, 16);
    return pkt_build(out, &packet);
}

/* ------------------------------------------------------------------ learning */

void pkt_learn(struct pkt_flow *flow, const struct pkt_packet *packet, bool from_stack)
{
    struct pkt_option option;
    bool times = pkt_option_find(packet, PKT_OPTION_TIMES, &option);
    uint32_t end;

    if (from_stack && times)
        flow->last_time = pkt_get32(option.data);
    if (from_stack && (packet->flags & PKT_SYN) != 0 && (packet->flags & PKT_RST) == 0) {
        if (!flow->has_stack_iss)
            flow->stack_iss = packet->sequence;
        flow->has_stack_iss = flow->stack_syn = true;
        flow->stack_times = times;
        flow->stack_scale =
            pkt_option_find(packet, PKT_OPTION_SCALE, &option) ? option.data[0] : -1;
    }
    if (!from_stack && (packet->flags & PKT_SYN) != 0 && !flow->peer_syn) {
        flow->peer_syn = true;
        flow->peer_times = times;
        flow->peer_scale = pkt_option_find(packet, PKT_OPTION_SCALE, &option) ? option.data[0] : -1;
    }
    end = packet->sequence + packet->payload_bytes + ((packet->flags & PKT_SYN) != 0) +
          ((packet->flags & PKT_FIN) != 0);
    end -= from_stack ? flow->stack_iss : flow->peer_iss;
    if ((packet->flags & PKT_RST) != 0 || end > 0x40000000)
        return;
    if (from_stack && end > flow->stack_end)
        flow->stack_end = end;
    if (!from_stack && end > flow->peer_end) /* what an ACK of the stack may cover at most */
        flow->peer_end = end;
    if (!from_stack && (packet->flags & PKT_FIN) != 0)
        flow->peer_fin = end;
}
