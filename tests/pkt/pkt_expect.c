/* What a script may ask of the stack, beside packets. */
#include <stdlib.h>
#include <string.h>

#include "tests/pkt/pkt_script.h"

const struct pkt_name pkt_states[] = {
    {"CLOSED", NET_TCP_CLOSED},           {"LISTEN", NET_TCP_LISTEN},
    {"SYN_SENT", NET_TCP_SYN_SENT},       {"SYN_RECEIVED", NET_TCP_SYN_RECEIVED},
    {"ESTABLISHED", NET_TCP_ESTABLISHED}, {"FIN_WAIT_1", NET_TCP_FIN_WAIT_1},
    {"FIN_WAIT_2", NET_TCP_FIN_WAIT_2},   {"CLOSE_WAIT", NET_TCP_CLOSE_WAIT},
    {"CLOSING", NET_TCP_CLOSING},         {"LAST_ACK", NET_TCP_LAST_ACK},
    {"TIME_WAIT", NET_TCP_TIME_WAIT},     {NULL, 0},
};

const struct pkt_name pkt_bits[] = {
    {"CONNECTED", STACK_CONNECTED}, {"ACCEPT", STACK_ACCEPT},     {"READABLE", STACK_READABLE},
    {"WRITABLE", STACK_WRITABLE},   {"RELEASED", STACK_RELEASED}, {"PEER_FIN", STACK_PEER_FIN},
    {"FAILED", STACK_FAILED},       {"CLOSED", STACK_CLOSED},     {NULL, 0},
};

static const struct pkt_name recoveries[] = {
    {"OPEN", NET_OPEN}, {"DISORDER", NET_DISORDER}, {"CWR", NET_CWR}, {"RECOVERY", NET_RECOVERY},
    {"LOSS", NET_LOSS}, {NULL, 0},
};

static struct net_tcp_info info_of(const struct pkt_flow *flow)
{
    struct net_tcp_info info;
    int result;

    if (flow->stream == 0)
        pkt_fail("script: flow %c has no stream", flow->name);
    result = ewi_net_tcp_info(pkt_world.net, flow->stream, &info);
    if (result != 0)
        pkt_fail("tcp_info failed: %s", pkt_name_of(pkt_errors, -result));
    return info;
}

static bool info_number(const struct net_tcp_info *info, const char *name, int64_t *value)
{
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"timestamps", info->timestamps}, {"sack", info->sack}, {"ecn", info->ecn},
        {"scaled", info->scaled}, {"send_scale", info->send_scale},
        {"receive_scale", info->receive_scale}, {"backoff", info->backoff},
        {"probes", info->probes}, {"send_mss", info->send_mss}, {"receive_mss", info->receive_mss},
        {"cwnd", info->cwnd}, {"ssthresh", info->ssthresh}, {"send_window", info->send_window},
        {"receive_window", info->receive_window}, {"in_flight", info->in_flight},
        {"lost", info->lost}, {"sacked", info->sacked}, {"unsent", info->unsent},
        {"readable", info->readable}, {"charged", info->charged}, {"rto", info->rto},
        {"srtt", info->srtt}, {"rttvar", info->rttvar}, {"min_rtt", info->min_rtt},
        {"bytes_sent", info->bytes_sent}, {"bytes_acked", info->bytes_acked},
        {"bytes_received", info->bytes_received}, {"segments_resent", info->segments_resent},
        {"timeouts", info->timeouts}, {"undone", info->undone}, {"spurious", info->spurious},
        {"since_heard", info->since_heard},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].name, name) == 0) {
            *value = (int64_t)fields[i].value;
            return true;
        }
    }
    return false;
}

static void judge_number(const char *what, struct pkt_words *words, int64_t have)
{
    const char *word = pkt_next(words, "a number");

    if (!pkt_in(pkt_range(word), have))
        pkt_fail("%s is %lld, want %s", what, (long long)have, word);
}

static void expect_counter(struct pkt_words *words)
{
    const char *name = pkt_next(words, "a counter");
    const struct net_counters *counters = ewi_net_counters(pkt_world.net);
    const struct net_counters_name *row;

    for (uint32_t i = 0; (row = ewi_net_counters_name(i)) != NULL; i++) {
        if (strcmp(row->name, name) == 0) {
            judge_number(name, words, (int64_t)ewi_net_counters_value(counters, i));
            return;
        }
    }
    pkt_fail("script: '%s' is no counter", name);
}

static void expect_name(const char *what, const struct pkt_name *table, int64_t have,
                        struct pkt_words *words)
{
    const char *word = pkt_next(words, "a name");
    int64_t want;

    if (!pkt_lookup(table, word, &want))
        pkt_fail("script: '%s' is no name of a %s", word, what);
    if (have != want)
        pkt_fail("%s is %s, want %s", what, pkt_name_of(table, have), word);
}

/* expect event A B: all of these were seen; they are forgotten then. expect event not A. */
static void expect_events(uint32_t *seen, struct pkt_words *words)
{
    bool not = pkt_take(words, "not");

    while (pkt_peek(words) != NULL) {
        const char *word = pkt_next(words, "an event");
        int64_t bit;

        if (!pkt_lookup(pkt_bits, word, &bit))
            pkt_fail("script: '%s' is no event", word);
        if (((*seen & bit) != 0) == not)
            pkt_fail("event %s was %s", word, not ? "reported" : "not reported");
        *seen &= ~(uint32_t)bit;
    }
}

/* expect ready A B: exactly the bits named, or not, are there now. */
static void expect_ready(const struct pkt_flow *flow, struct pkt_words *words)
{
    uint32_t have = ewi_net_ready(pkt_world.net, flow->stream);
    bool not = false;

    while (pkt_peek(words) != NULL) {
        const char *word = pkt_next(words, "a bit");
        int64_t bit;

        if (strcmp(word, "not") == 0) {
            not = true;
            continue;
        }
        if (!pkt_lookup(pkt_bits, word, &bit))
            pkt_fail("script: '%s' is no bit of ready", word);
        if (((have & bit) != 0) == not)
            pkt_fail("ready: %s is %s", word, not ? "set" : "not set");
        not = false;
    }
}

static void expect_released(const struct pkt_flow *flow, struct pkt_words *words)
{
    uint64_t released = 0;
    int result = ewi_net_released(pkt_world.net, flow->stream, &released);

    if (result != 0)
        pkt_fail("released failed: %s", pkt_name_of(pkt_errors, -result));
    judge_number("released", words, (int64_t)released);
}

static void expect_option(const struct pkt_flow *flow, struct pkt_words *words)
{
    const char *name = pkt_next(words, "an option");
    uint64_t value = 0;
    int64_t option;
    int result;

    if (!pkt_lookup(pkt_options, name, &option))
        pkt_fail("script: '%s' is no option", name);
    result = ewi_net_get(pkt_world.net, flow->stream, (enum net_option)option, &value);
    if (result != 0)
        pkt_fail("get failed: %s", pkt_name_of(pkt_errors, -result));
    judge_number(name, words, (int64_t)value);
}

static void expect_congestion(struct pkt_flow *flow, struct pkt_words *words)
{
    const char *word = pkt_next(words, "a name");
    struct net_tcp_info info = info_of(flow);

    if (info.congestion == NULL || strcmp(info.congestion, word) != 0)
        pkt_fail("congestion is %s, want %s", info.congestion, word);
}

void pkt_expect(struct pkt_flow *flow, struct pkt_words *words)
{
    const char *word = pkt_next(words, "what is expected");
    struct net_tcp_info info;
    int64_t value;

    if (strcmp(word, "state") == 0)
        expect_name("state", pkt_states, (int64_t)info_of(flow).state, words);
    else if (strcmp(word, "recovery") == 0)
        expect_name("recovery", recoveries, (int64_t)info_of(flow).recovery, words);
    else if (strcmp(word, "error") == 0)
        expect_name("error", pkt_errors, llabs(ewi_net_error(pkt_world.net, flow->stream)), words);
    else if (strcmp(word, "event") == 0)
        expect_events(&flow->events, words);
    else if (strcmp(word, "listener") == 0)
        expect_events(&pkt_world.listener_events, words);
    else if (strcmp(word, "ready") == 0)
        expect_ready(flow, words);
    else if (strcmp(word, "released") == 0)
        expect_released(flow, words);
    else if (strcmp(word, "counter") == 0)
        expect_counter(words);
    else if (strcmp(word, "congestion") == 0)
        expect_congestion(flow, words);
    else if (strcmp(word, "option") == 0)
        expect_option(flow, words);
    else if (strcmp(word, "iss_grew") == 0) /* since `again` */
        judge_number("iss_grew", words, (int32_t)(flow->stack_iss - flow->stack_iss_before));
    else if (strcmp(word, "icmp_sent") == 0)
        judge_number("icmp_sent", words, pkt_world.icmp_out);
    else {
        info = info_of(flow);
        if (!info_number(&info, word, &value))
            pkt_fail("script: cannot expect '%s'", word);
        judge_number(word, words, value);
    }
    pkt_end(words);
}
