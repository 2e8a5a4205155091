#include "transport/net/settings.h"

#include <errno.h>
#include <string.h>

#include "transport/net/cc.h"

enum { NO_SET = -1 };

/* ---- what there is: where it lies, what it may be, what it is at first ---- */

struct rule {
    uint64_t low, high, standard;
    uint8_t offset, bytes; /* bytes 0: an option of the stack */
    uint8_t unit;          /* of which it is a multiple; 0: any number */
    bool or_zero;          /* 0 is allowed below `low` */
};

#define AT(name)                                                                                   \
    .offset = offsetof(struct net_settings, name),                                                 \
    .bytes = sizeof(((struct net_settings *)0)->name)
#define MS(ms) (UINT64_C(1000000) * (ms))
#define S(s)   (UINT64_C(1000000000) * (s))

static const struct rule rules[NET_OPTIONS] = {
    [NET_OPTION_NODELAY] = {AT(nodelay), .high = 1},
    [NET_OPTION_CORK] = {AT(cork), .high = 1},
    [NET_OPTION_QUICK_ACK] = {AT(quick_ack), .high = 1},
    [NET_OPTION_RECV_BYTES] = {AT(recv_bytes), .low = NET_SETTINGS_BYTES_MIN,
                               .high = NET_SETTINGS_BYTES_MAX, .standard = 1 << 20},
    [NET_OPTION_SEND_BYTES] = {AT(send_bytes), .low = 1, .high = NET_SETTINGS_BYTES_MAX,
                               .standard = 4 << 20},
    [NET_OPTION_CONGESTION] = {AT(congestion), .high = NET_CC_KINDS - 1, .standard = NET_CC_CUBIC},
    [NET_OPTION_TIMEOUTS] = {AT(timeouts), .high = NET_TIMEOUTS_RFC,
                             .standard = NET_TIMEOUTS_FABRIC},
    [NET_OPTION_ECN] = {AT(ecn), .high = 2},
    [NET_OPTION_TIMESTAMPS] = {AT(timestamps), .high = 1, .standard = 1},
    [NET_OPTION_SACK] = {AT(sack), .high = 1, .standard = 1},
    [NET_OPTION_SCALE] = {AT(scale), .high = 1, .standard = 1},
    [NET_OPTION_MSS] = {AT(mss), .low = NET_SETTINGS_MSS_MIN, .high = UINT16_MAX, .or_zero = true},
    [NET_OPTION_KEEPALIVE_NS] = {AT(keepalive_ns), .low = NET_SETTINGS_PROBE_NS_MIN,
                                 .high = NET_SETTINGS_NS_MAX, .or_zero = true},
    [NET_OPTION_KEEPALIVE_INTERVAL_NS] = {AT(keepalive_interval_ns),
                                          .low = NET_SETTINGS_PROBE_NS_MIN,
                                          .high = NET_SETTINGS_PROBE_NS_MAX, .standard = S(75)},
    [NET_OPTION_KEEPALIVE_COUNT] = {AT(keepalive_count), .low = 1, .high = UINT8_MAX,
                                    .standard = 9},
    [NET_OPTION_USER_TIMEOUT_NS] = {AT(user_timeout_ns), .high = NET_SETTINGS_NS_MAX},
    [NET_OPTION_SYN_RETRIES] = {AT(syn_retries), .high = 127, .standard = 7},
    [NET_OPTION_FIN_WAIT_NS] = {AT(fin_wait_ns), .high = NET_SETTINGS_NS_MAX, .standard = S(60)},
    [NET_OPTION_DELAY_ACK_NS] = {AT(delay_ack_ns), .high = NET_SETTINGS_DELAY_ACK_NS_END - 1,
                                 .standard = MS(40)},
    [NET_OPTION_SYN_ORDER] = {AT(syn_order), .high = NET_TCP_ORDER_PLAIN,
                              .standard = NET_TCP_ORDER_LINUX},
    [NET_OPTION_HYSTART] = {AT(hystart), .high = 1, .standard = 1},
    [NET_OPTION_CLASS] = {AT(traffic_class), .high = 0xfc, .unit = 4},
    [NET_OPTION_HOP_LIMIT] = {AT(hop_limit), .low = 1, .high = UINT8_MAX, .standard = 64},
    /* of the stack */
    [NET_OPTION_TIME_WAIT_NS] = {.low = NET_SETTINGS_TIME_WAIT_NS_MIN,
                                 .high = NET_SETTINGS_TIME_WAIT_NS_MAX, .standard = S(60)},
    [NET_OPTION_SYN_COOKIES] = {.high = 2, .standard = 1},
};

/* NULL: there is no such option. */
static const struct rule *rule_of(enum net_option option)
{
    return (uint32_t)option < NET_OPTIONS ? &rules[option] : NULL;
}

static bool is_allowed(const struct rule *rule, uint64_t value)
{
    if (value == 0 && rule->or_zero)
        return true;
    if (rule->unit != 0 && value % rule->unit != 0)
        return false;
    return value >= rule->low && value <= rule->high;
}

static void store(struct net_settings *set, const struct rule *rule, uint64_t value)
{
    uint8_t *at = (uint8_t *)set + rule->offset;
    uint32_t value32 = (uint32_t)value;
    uint16_t value16 = (uint16_t)value;

    if (rule->bytes == 8)
        memcpy(at, &value, 8);
    else if (rule->bytes == 4)
        memcpy(at, &value32, 4);
    else if (rule->bytes == 2)
        memcpy(at, &value16, 2);
    else
        *at = (uint8_t)value;
}

static uint64_t load(const struct net_settings *set, const struct rule *rule)
{
    const uint8_t *at = (const uint8_t *)set + rule->offset;
    uint64_t value;
    uint32_t value32;
    uint16_t value16;

    if (rule->bytes == 8)
        return memcpy(&value, at, 8), value;
    if (rule->bytes == 4)
        return memcpy(&value32, at, 4), value32;
    if (rule->bytes == 2)
        return memcpy(&value16, at, 2), value16;
    return *at;
}

/* ---- sets and their users ---- */

void ewi_net_settings_init(struct net_settings_table *table)
{
    memset(table, 0, sizeof(*table));
    for (uint32_t i = 0; i < NET_OPTIONS; i++)
        if (rules[i].bytes != 0)
            store(&table->set[0], &rules[i], rules[i].standard);
    table->users[0] = 1;
    table->high = 1;
    table->time_wait_ns = rules[NET_OPTION_TIME_WAIT_NS].standard;
    table->syn_cookies = (uint8_t)rules[NET_OPTION_SYN_COOKIES].standard;
}

void ewi_net_settings_hold(struct net_settings_table *table, uint8_t id)
{
    EWI_ASSERT(table->users[id] > 0 && table->users[id] < UINT32_MAX);
    table->users[id] += 1;
}

void ewi_net_settings_drop(struct net_settings_table *table, uint8_t id)
{
    EWI_ASSERT(table->users[id] > (id == table->standard)); /* I1: the default keeps its own */
    table->users[id] -= 1;
}

uint8_t ewi_net_settings_default(struct net_settings_table *table)
{
    ewi_net_settings_hold(table, table->standard);
    return table->standard;
}

/* Without users too: it lives again. So no two sets below `high` are ever equal. */
static int find_equal(const struct net_settings_table *table, const struct net_settings *wanted)
{
    for (int id = 0; id < table->high; id++)
        if (memcmp(&table->set[id], wanted, sizeof(*wanted)) == 0)
            return id;
    return NO_SET;
}

static int find_free(struct net_settings_table *table)
{
    for (int id = 0; id < table->high; id++)
        if (table->users[id] == 0)
            return id;
    return table->high < NET_SETTINGS_MAX ? table->high++ : NO_SET;
}

/* A set that nobody else uses is changed where it is, so the last one is never in the way. */
static int find_or_make(struct net_settings_table *table, uint8_t old,
                        const struct net_settings *wanted)
{
    int id = find_equal(table, wanted);

    if (id != NO_SET)
        return id;
    id = table->users[old] == 1 ? old : find_free(table);
    if (id != NO_SET)
        table->set[id] = *wanted;
    return id;
}

static int move_user(struct net_settings_table *table, uint8_t *id,
                     const struct net_settings *wanted)
{
    int to = find_or_make(table, *id, wanted);

    if (to == NO_SET)
        return -ENOBUFS;
    table->users[to] += 1;
    table->users[*id] -= 1;
    *id = (uint8_t)to;
    return 0;
}

/* ---- by option ---- */

int ewi_net_settings_change(struct net_settings_table *table, uint8_t *id, enum net_option option,
                            uint64_t value)
{
    const struct rule *rule = rule_of(option);
    struct net_settings wanted = table->set[*id];

    EWI_ASSERT(table->users[*id] > 0);
    if (rule == NULL || rule->bytes == 0)
        return -ENOPROTOOPT;
    if (!is_allowed(rule, value))
        return -EINVAL;
    store(&wanted, rule, value);
    return move_user(table, id, &wanted);
}

int ewi_net_settings_change_default(struct net_settings_table *table, enum net_option option,
                                    uint64_t value)
{
    const struct rule *rule = rule_of(option);

    if (rule == NULL || rule->bytes != 0)
        return ewi_net_settings_change(table, &table->standard, option, value);
    if (!is_allowed(rule, value))
        return -EINVAL;
    if (option == NET_OPTION_TIME_WAIT_NS)
        table->time_wait_ns = value;
    else
        table->syn_cookies = (uint8_t)value;
    return 0;
}

int ewi_net_settings_get(const struct net_settings_table *table, uint8_t id, enum net_option option,
                         uint64_t *value)
{
    const struct rule *rule = rule_of(option);

    if (rule == NULL)
        return -ENOPROTOOPT;
    if (option == NET_OPTION_TIME_WAIT_NS)
        *value = table->time_wait_ns;
    else if (option == NET_OPTION_SYN_COOKIES)
        *value = table->syn_cookies;
    else
        *value = load(&table->set[id], rule);
    return 0;
}
