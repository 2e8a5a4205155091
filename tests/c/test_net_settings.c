/* tests/c/test_net_settings.c - transport/net/settings.h: equal options are one set, and each
 * connection has its own as far as it can tell. */
#include <errno.h>

#include "tests/c/harness.h"
#include "transport/net/cc.h"
#include "transport/net/settings.h"

enum { STREAMS = 300, ROUNDS = 4000 };

#define SECOND UINT64_C(1000000000)
#define DAY    (24 * 3600 * SECOND)

static struct net_settings_table table;

static void start(void)
{
    memset(&table, 0xa5, sizeof(table)); /* init must not rely on zeros */
    ewi_net_settings_init(&table);
}

static uint64_t value_of(uint8_t id, enum net_option option)
{
    uint64_t value = 0;

    CHECK_EQ(ewi_net_settings_get(&table, id, option, &value), 0);
    return value;
}

static int change(uint8_t *id, enum net_option option, uint64_t value)
{
    return ewi_net_settings_change(&table, id, option, value);
}

static uint32_t sets_in_use(void)
{
    uint32_t sets = 0;

    for (uint32_t id = 0; id < NET_SETTINGS_MAX; id++)
        sets += table.users[id] > 0;
    return sets;
}

/* As the comments in net.h have them. */
static const uint64_t standards[NET_OPTIONS] = {
    [NET_OPTION_RECV_BYTES] = 1 << 20,
    [NET_OPTION_SEND_BYTES] = 4 << 20,
    [NET_OPTION_CONGESTION] = NET_CC_CUBIC,
    [NET_OPTION_TIMEOUTS] = NET_TIMEOUTS_FABRIC,
    [NET_OPTION_TIMESTAMPS] = 1,
    [NET_OPTION_SACK] = 1,
    [NET_OPTION_SCALE] = 1,
    [NET_OPTION_KEEPALIVE_INTERVAL_NS] = 75 * SECOND,
    [NET_OPTION_KEEPALIVE_COUNT] = 9,
    [NET_OPTION_SYN_RETRIES] = 7,
    [NET_OPTION_FIN_WAIT_NS] = 60 * SECOND,
    [NET_OPTION_TIME_WAIT_NS] = 60 * SECOND,
    [NET_OPTION_DELAY_ACK_NS] = SECOND / 25,
    [NET_OPTION_SYN_ORDER] = NET_TCP_ORDER_LINUX,
    [NET_OPTION_SYN_COOKIES] = 1,
    [NET_OPTION_HYSTART] = 1,
    [NET_OPTION_HOP_LIMIT] = 64,
};

static void defaults_are_those_of_the_interface(void)
{
    const struct net_settings *set;

    start();
    for (enum net_option option = 0; option < NET_OPTIONS; option++)
        CHECK_EQ(value_of(0, option), standards[option]);
    CHECK_EQ(ewi_net_settings_default(&table), 0);
    CHECK_EQ(table.users[0], 2);
    set = ewi_net_settings_at(&table, 0);
    CHECK_EQ(set->recv_bytes, 1 << 20);
    CHECK_EQ(set->send_bytes, 4 << 20);
    CHECK_EQ(set->delay_ack_ns, 40000000);
    CHECK_EQ(set->hop_limit, 64);
    CHECK_EQ(set->timestamps + set->sack + set->scale + set->hystart, 4);
    CHECK_EQ(set->nodelay + set->cork + set->quick_ack + set->ecn + set->mss, 0);
}

/* ---- ranges: each option with its least and largest value, and what lies outside ---- */

struct range {
    enum net_option option;
    uint64_t low, high;
    bool or_zero;
};

static const struct range ranges[] = {
    {NET_OPTION_NODELAY, 0, 1, false},
    {NET_OPTION_CORK, 0, 1, false},
    {NET_OPTION_QUICK_ACK, 0, 1, false},
    {NET_OPTION_RECV_BYTES, 1024, 1 << 30, false},
    {NET_OPTION_SEND_BYTES, 1, 1 << 30, false},
    {NET_OPTION_CONGESTION, 0, NET_CC_KINDS - 1, false},
    {NET_OPTION_TIMEOUTS, 0, 2, false},
    {NET_OPTION_ECN, 0, 2, false},
    {NET_OPTION_TIMESTAMPS, 0, 1, false},
    {NET_OPTION_SACK, 0, 1, false},
    {NET_OPTION_SCALE, 0, 1, false},
    {NET_OPTION_MSS, 88, 65535, true},
    {NET_OPTION_KEEPALIVE_NS, 1000000, 20 * DAY, true},
    {NET_OPTION_KEEPALIVE_INTERVAL_NS, 1000000, DAY / 12, false},
    {NET_OPTION_KEEPALIVE_COUNT, 1, 255, false},
    {NET_OPTION_USER_TIMEOUT_NS, 0, 20 * DAY, false},
    {NET_OPTION_SYN_RETRIES, 0, 127, false},
    {NET_OPTION_FIN_WAIT_NS, 0, 20 * DAY, false},
    {NET_OPTION_TIME_WAIT_NS, 1000000, 3600 * SECOND, false},
    {NET_OPTION_DELAY_ACK_NS, 0, SECOND / 2 - 1, false}, /* RFC 9293 section 3.8.6.3: less than 0.5 s */
    {NET_OPTION_SYN_ORDER, 0, NET_TCP_ORDER_PLAIN, false},
    {NET_OPTION_SYN_COOKIES, 0, 2, false},
    {NET_OPTION_HYSTART, 0, 1, false},
    {NET_OPTION_CLASS, 0, 0xfc, false},
    {NET_OPTION_HOP_LIMIT, 1, 255, false},
};

static void takes(enum net_option option, uint64_t value)
{
    CHECK_EQ(ewi_net_settings_change_default(&table, option, value), 0);
    CHECK(value_of(table.standard, option) == value);
}

static void refuses(enum net_option option, uint64_t value)
{
    uint64_t before = value_of(table.standard, option);

    CHECK_EQ(ewi_net_settings_change_default(&table, option, value), -EINVAL);
    CHECK(value_of(table.standard, option) == before);
}

/* catches: an option without a rule, a field that is too narrow for its values, fields that overlap */
static void every_option_takes_its_range_and_nothing_else(void)
{
    CHECK_EQ(sizeof(ranges) / sizeof(ranges[0]), NET_OPTIONS);
    for (uint32_t i = 0; i < NET_OPTIONS; i++) {
        const struct range *range = &ranges[i];

        start();
        CHECK_EQ(range->option, i);
        takes(range->option, range->high);
        takes(range->option, range->low);
        refuses(range->option, range->high + 1);
        refuses(range->option, UINT64_MAX);
        refuses(range->option, range->high + (UINT64_C(1) << 32)); /* what is cut off counts */
        if (range->low > 0)
            refuses(range->option, range->low - 1);
        if (range->or_zero)
            takes(range->option, 0);
        for (enum net_option other = 0; other < NET_OPTIONS; other++)
            if (other != range->option)
                CHECK_EQ(value_of(table.standard, other), standards[other]);
    }
}

/* RFC 3168 section 5: the lower two bits of the traffic class are ECN's. */
static void the_bits_of_ecn_are_not_in_the_class(void)
{
    start();
    takes(NET_OPTION_CLASS, 0xb8);
    for (uint64_t ecn = 1; ecn < 4; ecn++)
        refuses(NET_OPTION_CLASS, 0xb8 + ecn);
}

static void unknown_options_are_refused(void)
{
    uint8_t id;
    uint64_t value;

    start();
    id = ewi_net_settings_default(&table);
    CHECK_EQ(change(&id, NET_OPTIONS, 1), -ENOPROTOOPT);
    CHECK_EQ(change(&id, (enum net_option)UINT32_MAX, 1), -ENOPROTOOPT);
    CHECK_EQ(ewi_net_settings_change_default(&table, NET_OPTIONS, 1), -ENOPROTOOPT);
    CHECK_EQ(ewi_net_settings_get(&table, id, NET_OPTIONS, &value), -ENOPROTOOPT);
    CHECK_EQ(ewi_net_settings_get(&table, id, (enum net_option)UINT32_MAX, &value), -ENOPROTOOPT);
}

static void options_of_the_stack_are_not_of_a_stream(void)
{
    uint8_t id;

    start();
    id = ewi_net_settings_default(&table);
    CHECK_EQ(change(&id, NET_OPTION_TIME_WAIT_NS, SECOND), -ENOPROTOOPT);
    CHECK_EQ(change(&id, NET_OPTION_SYN_COOKIES, 2), -ENOPROTOOPT);
    takes(NET_OPTION_TIME_WAIT_NS, SECOND);
    takes(NET_OPTION_SYN_COOKIES, 2);
    CHECK_EQ(table.time_wait_ns, SECOND);
    CHECK_EQ(table.syn_cookies, 2);
    CHECK_EQ(value_of(id, NET_OPTION_SYN_COOKIES), 2);
    CHECK_EQ(table.standard, 0);
    CHECK_EQ(sets_in_use(), 1);
}

/* ---- sharing ---- */

static void one_stream_changes_and_the_others_do_not(void)
{
    uint8_t a, b;

    start();
    a = ewi_net_settings_default(&table);
    b = ewi_net_settings_default(&table);
    CHECK_EQ(change(&a, NET_OPTION_NODELAY, 1), 0);
    CHECK(a != b);
    CHECK_EQ(value_of(a, NET_OPTION_NODELAY), 1);
    CHECK_EQ(value_of(b, NET_OPTION_NODELAY), 0);
    CHECK_EQ(change(&b, NET_OPTION_NODELAY, 1), 0);
    CHECK_EQ(a, b);
    CHECK_EQ(table.users[a], 2);
    CHECK_EQ(change(&b, NET_OPTION_NODELAY, 0), 0);
    CHECK_EQ(b, 0);
    CHECK_EQ(change(&b, NET_OPTION_NODELAY, 0), 0); /* what it has already */
    CHECK_EQ(table.users[0], 2);
    CHECK_EQ(sets_in_use(), 2);
}

/* catches: a second set of the same values, reached in another order */
static void the_way_to_a_set_does_not_matter(void)
{
    uint8_t a, b;

    start();
    a = ewi_net_settings_default(&table);
    b = ewi_net_settings_default(&table);
    CHECK_EQ(change(&a, NET_OPTION_MSS, 1000), 0);
    CHECK_EQ(change(&a, NET_OPTION_CORK, 1), 0);
    CHECK_EQ(change(&b, NET_OPTION_CORK, 1), 0);
    CHECK_EQ(change(&b, NET_OPTION_MSS, 1000), 0);
    CHECK_EQ(a, b);
    CHECK_EQ(sets_in_use(), 2);
}

static void a_set_without_users_is_used_again(void)
{
    uint8_t a, b;

    start();
    a = ewi_net_settings_default(&table);
    CHECK_EQ(change(&a, NET_OPTION_MSS, 1000), 0);
    CHECK_EQ(change(&a, NET_OPTION_MSS, 1001), 0); /* its own: changed where it is */
    CHECK_EQ(a, 1);
    ewi_net_settings_hold(&table, a);
    ewi_net_settings_drop(&table, a);
    ewi_net_settings_drop(&table, a);
    CHECK_EQ(table.users[1], 0);
    b = ewi_net_settings_default(&table);
    CHECK_EQ(change(&b, NET_OPTION_CORK, 1), 0);
    CHECK_EQ(b, 1);
    CHECK_EQ(value_of(b, NET_OPTION_MSS), 0); /* nothing of the dead one is left */
    CHECK_EQ(table.high, 2);
}

/* catches: a dead set that is found because its bytes are still there, and given away again */
static void a_set_without_users_may_live_again(void)
{
    uint8_t a, b, c;

    start();
    a = ewi_net_settings_default(&table);
    CHECK_EQ(change(&a, NET_OPTION_CORK, 1), 0);
    ewi_net_settings_drop(&table, a);
    b = ewi_net_settings_default(&table);
    c = ewi_net_settings_default(&table);
    CHECK_EQ(change(&b, NET_OPTION_CORK, 1), 0);
    CHECK_EQ(change(&c, NET_OPTION_MSS, 99), 0);
    CHECK(b != c);
    CHECK_EQ(value_of(b, NET_OPTION_CORK), 1);
    CHECK_EQ(table.users[b], 1);
}

static void a_new_default_is_of_new_streams_only(void)
{
    uint8_t old, new, listener;

    start();
    old = ewi_net_settings_default(&table);
    listener = old;
    ewi_net_settings_hold(&table, listener);
    CHECK_EQ(ewi_net_settings_change_default(&table, NET_OPTION_NODELAY, 1), 0);
    new = ewi_net_settings_default(&table);
    CHECK(new != old);
    CHECK_EQ(value_of(old, NET_OPTION_NODELAY), 0);
    CHECK_EQ(value_of(new, NET_OPTION_NODELAY), 1);
    ewi_net_settings_drop(&table, new);
    CHECK_EQ(table.users[new], 1); /* the default's own */
    ewi_net_settings_drop(&table, old);
    ewi_net_settings_drop(&table, listener);
    CHECK_EQ(sets_in_use(), 1);
}

static void a_full_table_refuses_and_recovers(void)
{
    uint8_t id[NET_SETTINGS_MAX], last, twin;

    start();
    for (uint32_t i = 0; i < NET_SETTINGS_MAX - 1; i++) {
        id[i] = ewi_net_settings_default(&table);
        CHECK_EQ(change(&id[i], NET_OPTION_MSS, 1000 + i), 0);
    }
    CHECK_EQ(sets_in_use(), NET_SETTINGS_MAX);
    last = ewi_net_settings_default(&table);
    CHECK_EQ(change(&last, NET_OPTION_MSS, 2000), -ENOBUFS);
    CHECK_EQ(last, table.standard);
    CHECK_EQ(table.users[last], 2);
    CHECK_EQ(value_of(last, NET_OPTION_MSS), 0);
    CHECK_EQ(change(&last, NET_OPTION_MSS, 1007), 0); /* there is one */
    CHECK_EQ(last, id[7]);
    CHECK_EQ(change(&id[9], NET_OPTION_CORK, 1), 0); /* nobody else has its set */
    twin = id[20];
    ewi_net_settings_hold(&table, twin);
    CHECK_EQ(change(&twin, NET_OPTION_CORK, 1), -ENOBUFS);
    ewi_net_settings_drop(&table, id[30]);
    CHECK_EQ(change(&twin, NET_OPTION_CORK, 1), 0);
    CHECK_EQ(value_of(twin, NET_OPTION_MSS), 1020);
    CHECK_EQ(value_of(id[20], NET_OPTION_CORK), 0);
}

/* ---- against streams that each keep all values themselves ---- */

struct stream {
    bool is_open;
    uint8_t id;
    uint64_t value[NET_OPTIONS];
};

static struct stream stream[STREAMS]; /* [0]: the default, never closed */

static void stream_agrees(const struct stream *one)
{
    for (enum net_option option = 0; option < NET_OPTIONS; option++)
        CHECK(value_of(one->id, option) ==
              (option == NET_OPTION_TIME_WAIT_NS || option == NET_OPTION_SYN_COOKIES
                   ? stream[0].value[option]
                   : one->value[option]));
}

static void random_change(struct harness_random *random, struct stream *one)
{
    const struct range *range = &ranges[harness_below(random, NET_OPTIONS)];
    uint64_t value = harness_below(random, 4) == 0 ? range->high : range->low;
    int code;

    if (one == &stream[0])
        code = ewi_net_settings_change_default(&table, range->option, value);
    else
        code = change(&one->id, range->option, value);
    if (code == 0)
        one->value[range->option] = value;
    else if (code == -ENOBUFS)
        CHECK_EQ(sets_in_use(), NET_SETTINGS_MAX);
    else
        CHECK(code == -ENOPROTOOPT && one != &stream[0]);
    stream[0].id = table.standard;
}

static void users_agree(void)
{
    uint32_t users[NET_SETTINGS_MAX] = {0};

    for (uint32_t i = 0; i < STREAMS; i++)
        if (stream[i].is_open)
            users[stream[i].id] += 1;
    CHECK(memcmp(users, table.users, sizeof(users)) == 0);
    for (uint32_t a = 0; a < NET_SETTINGS_MAX; a++)
        for (uint32_t b = 0; users[a] > 0 && b < a; b++)
            CHECK(users[b] == 0 || memcmp(&table.set[a], &table.set[b], sizeof(table.set[a])) != 0);
}

static void random_changes_agree_with_private_values(uint64_t seed)
{
    struct harness_random random = {seed};

    start();
    memset(stream, 0, sizeof(stream));
    stream[0].is_open = true;
    memcpy(stream[0].value, standards, sizeof(standards));
    for (int i = 0; i < ROUNDS; i++) {
        struct stream *one = &stream[harness_below(&random, STREAMS)];

        if (!one->is_open) {
            *one = stream[0];
            one->id = ewi_net_settings_default(&table);
        } else if (one != &stream[0] && harness_below(&random, 16) == 0) {
            ewi_net_settings_drop(&table, one->id);
            one->is_open = false;
            continue;
        }
        random_change(&random, one);
        stream_agrees(one);
        if (i % 64 == 0)
            users_agree();
    }
    for (uint32_t i = 0; i < STREAMS; i++)
        if (stream[i].is_open)
            stream_agrees(&stream[i]);
}

int main(int argc, char **argv)
{
    RUN(defaults_are_those_of_the_interface);
    RUN(every_option_takes_its_range_and_nothing_else);
    RUN(the_bits_of_ecn_are_not_in_the_class);
    RUN(unknown_options_are_refused);
    RUN(options_of_the_stack_are_not_of_a_stream);
    RUN(one_stream_changes_and_the_others_do_not);
    RUN(the_way_to_a_set_does_not_matter);
    RUN(a_set_without_users_is_used_again);
    RUN(a_set_without_users_may_live_again);
    RUN(a_new_default_is_of_new_streams_only);
    RUN(a_full_table_refuses_and_recovers);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_changes_agree_with_private_values(seed);
    return 0;
}
