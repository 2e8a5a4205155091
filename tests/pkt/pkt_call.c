/* The user's calls: net.h's words. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pkt/pkt_script.h"

const struct pkt_name pkt_options[] = {
    {"nodelay", NET_OPTION_NODELAY},
    {"cork", NET_OPTION_CORK},
    {"quick_ack", NET_OPTION_QUICK_ACK},
    {"recv_bytes", NET_OPTION_RECV_BYTES},
    {"send_bytes", NET_OPTION_SEND_BYTES},
    {"congestion", NET_OPTION_CONGESTION},
    {"timeouts", NET_OPTION_TIMEOUTS},
    {"ecn", NET_OPTION_ECN},
    {"timestamps", NET_OPTION_TIMESTAMPS},
    {"sack", NET_OPTION_SACK},
    {"scale", NET_OPTION_SCALE},
    {"mss", NET_OPTION_MSS},
    {"keepalive", NET_OPTION_KEEPALIVE_NS},
    {"keepalive_interval", NET_OPTION_KEEPALIVE_INTERVAL_NS},
    {"keepalive_count", NET_OPTION_KEEPALIVE_COUNT},
    {"user_timeout", NET_OPTION_USER_TIMEOUT_NS},
    {"syn_retries", NET_OPTION_SYN_RETRIES},
    {"fin_wait", NET_OPTION_FIN_WAIT_NS},
    {"time_wait", NET_OPTION_TIME_WAIT_NS},
    {"delay_ack", NET_OPTION_DELAY_ACK_NS},
    {"syn_order", NET_OPTION_SYN_ORDER},
    {"syn_cookies", NET_OPTION_SYN_COOKIES},
    {"hystart", NET_OPTION_HYSTART},
    {"class", NET_OPTION_CLASS},
    {"hop_limit", NET_OPTION_HOP_LIMIT},
    {NULL, 0},
};

static const struct pkt_name option_words[] = {
    {"newreno", 0}, {"cubic", 1}, {"dctcp", 2}, {"fabric", NET_TIMEOUTS_FABRIC},
    {"spin", NET_TIMEOUTS_SPIN}, {"rfc", NET_TIMEOUTS_RFC}, {"linux", NET_TCP_ORDER_LINUX},
    {"plain", NET_TCP_ORDER_PLAIN}, {NULL, 0},
};

/* `fails ENAME` behind a call; what it returned otherwise must be `wanted`. */
static void judge_range(struct pkt_words *words, const char *call, int64_t result,
                        struct pkt_range wanted)
{
    int64_t error;

    if (pkt_take(words, "fails")) {
        const char *name = pkt_next(words, "an error's name");

        if (!pkt_lookup(pkt_errors, name, &error))
            pkt_fail("script: '%s' is no error", name);
        if (result != -error)
            pkt_fail("%s gave %lld (%s), want %s", call, (long long)result,
                     result < 0 ? pkt_name_of(pkt_errors, -result) : "no error", name);
        return;
    }
    if (result < 0)
        pkt_fail("%s failed: %s", call, pkt_name_of(pkt_errors, -result));
    if (!pkt_in(wanted, result))
        pkt_fail("%s gave %lld, want %lld..%lld", call, (long long)result, (long long)wanted.low,
                 (long long)wanted.high);
}

static void judge_result(struct pkt_words *words, const char *call, int64_t result, int64_t wanted)
{
    judge_range(words, call, result, (struct pkt_range){wanted, wanted});
}

static ewi_stream stream_of(const struct pkt_flow *flow)
{
    if (flow->stream != 0)
        return flow->stream;
    if (flow->finished != 0)
        return flow->finished; /* a stale handle: the script says what comes of it */
    pkt_fail("script: flow %c has no stream", flow->name);
}

/* ------------------------------------------------------------------ opening */

static void call_listen(struct pkt_words *words)
{
    struct pkt_world *world = &pkt_world;
    struct stack_addr local = world->stack_address;
    uint32_t backlog = 128;
    int result;

    local.port = PKT_LISTEN_PORT;
    if (pkt_take(words, "any"))
        memset(local.ip, 0, sizeof(local.ip));
    if (pkt_take(words, "backlog"))
        backlog = (uint32_t)pkt_number(pkt_next(words, "a number"));
    result = ewi_net_listen(world->net, &local, backlog, PKT_LISTENER, &world->listener);
    judge_result(words, "listen", result, 0);
}

static void call_unlisten(struct pkt_words *words)
{
    struct pkt_world *world = &pkt_world;

    judge_result(words, "unlisten",
                 ewi_net_finish(world->net, world->listener, false, world->now), 0);
    world->listener = 0;
}

static void opened(struct pkt_flow *flow)
{
    flow->closed = false;
    if (ewi_net_watch(pkt_world.net, flow->stream, STACK_READABLE | STACK_WRITABLE) != 0)
        pkt_fail("watch failed");
}

static void call_connect(struct pkt_flow *flow, struct pkt_words *words)
{
    struct pkt_world *world = &pkt_world;
    struct stack_addr local = world->stack_address, remote = world->peer_address;
    bool bound = pkt_take(words, "from");
    ewi_stream stream = 0;
    int result;

    pkt_flow_use(flow, true);
    if (bound)
        flow->stack_port = local.port = (uint16_t)pkt_number(pkt_next(words, "a port"));
    else if (flow->stack_port != 0) /* once more: the same name */
        bound = true, local.port = flow->stack_port;
    remote.port = flow->peer_port;
    if (pkt_take(words, "nowhere")) /* a network without a route */
        remote.ip[0] = 203, remote.ip[1] = 0, remote.ip[2] = 113;
    result = ewi_net_connect(world->net, bound ? &local : NULL, &remote,
                             (uint64_t)(flow - world->flow) + 1, world->now, &stream);
    if (result == 0) {
        flow->stream = stream;
        opened(flow);
        if (ewi_net_addresses(world->net, stream, &local, &remote) != 0)
            pkt_fail("addresses failed");
        flow->stack_port = local.port;
    }
    judge_result(words, "connect", result, 0);
}

static void call_accept(struct pkt_flow *flow, struct pkt_words *words)
{
    struct pkt_world *world = &pkt_world;
    struct stack_addr local, remote;
    ewi_stream stream = 0;
    int result = ewi_net_accept(world->net, world->listener, (uint64_t)(flow - world->flow) + 1,
                                &stream);

    if (result == 0) {
        flow->stream = stream;
        opened(flow);
        if (ewi_net_addresses(world->net, stream, &local, &remote) != 0)
            pkt_fail("addresses failed");
        if (remote.port != flow->peer_port)
            pkt_fail("accept gave the connection of port %u, flow %c is port %u", remote.port,
                     flow->name, flow->peer_port);
    }
    judge_result(words, "accept", result, 0);
}

/* ------------------------------------------------------------------ data */

static void call_send(struct pkt_flow *flow, struct pkt_words *words)
{
    uint32_t bytes = (uint32_t)pkt_number(pkt_next(words, "a number of bytes"));
    struct stack_span span = {.base = pkt_send_memory(flow, bytes), .bytes = bytes};
    int64_t taken = ewi_net_send(pkt_world.net, stream_of(flow), &span, 1);
    int64_t wanted = bytes;

    if (taken > (int64_t)bytes)
        pkt_fail("send took %lld of %u bytes", (long long)taken, bytes);
    pkt_send_cut(flow, taken > 0 ? (uint32_t)taken : 0);
    if (pkt_take(words, "takes"))
        wanted = pkt_number(pkt_next(words, "a number of bytes"));
    judge_result(words, "send", taken, wanted);
}

static void judge_bytes(struct pkt_flow *flow, const uint8_t *data, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++)
        if (data[i] != pkt_byte(pkt_side(flow, false), flow->received + i))
            pkt_fail("byte %llu of what arrived has another value than the peer sent",
                     (unsigned long long)(flow->received + i));
    flow->received += bytes;
}

/* recv N: exactly so many. recv eof: 0. recv N gives M. */
static void call_recv(struct pkt_flow *flow, struct pkt_words *words)
{
    bool eof = pkt_take(words, "eof");
    int64_t room = eof || pkt_peek(words) == NULL || !pkt_is_number(pkt_peek(words))
                       ? 1000
                       : pkt_number(pkt_next(words, "a number of bytes"));
    uint8_t *memory = malloc((size_t)room);
    struct stack_room into = {.base = memory, .bytes = (size_t)room};
    struct pkt_range wanted;
    int64_t got = ewi_net_recv_into(pkt_world.net, stream_of(flow), &into, 1);

    if (got > room)
        pkt_fail("recv gave %lld of %lld bytes", (long long)got, (long long)room);
    if (got > 0)
        judge_bytes(flow, memory, (uint64_t)got);
    free(memory);
    wanted.low = wanted.high = eof ? 0 : room;
    if (pkt_take(words, "gives"))
        wanted = pkt_range(pkt_next(words, "a number of bytes"));
    judge_range(words, "recv", got, wanted);
}

/* lend N: tokens of N bytes in all are taken and kept. */
static void call_lend(struct pkt_flow *flow, struct pkt_words *words)
{
    int64_t wanted = pkt_number(pkt_next(words, "a number of bytes")), bytes = 0;
    int count;

    do {
        struct net_token *tokens = &flow->tokens[flow->token_count];

        count = ewi_net_recv(pkt_world.net, stream_of(flow), tokens,
                             (uint32_t)(PKT_TOKENS - flow->token_count));
        for (int i = 0; i < count; i++) {
            judge_bytes(flow, tokens[i].data, tokens[i].bytes);
            bytes += tokens[i].bytes;
        }
        flow->token_count += count > 0 ? count : 0;
    } while (count > 0 && bytes < wanted && flow->token_count < PKT_TOKENS);
    judge_result(words, "lend", count < 0 && bytes == 0 ? count : bytes, wanted);
}

static void call_release(struct pkt_flow *flow)
{
    ewi_net_release(pkt_world.net, flow->tokens, (uint32_t)flow->token_count);
    flow->token_count = 0;
}

/* ------------------------------------------------------------------ the rest */

static void call_shutdown(struct pkt_flow *flow, struct pkt_words *words)
{
    flow->stack_fin = true;
    judge_result(words, "shutdown", ewi_net_shutdown(pkt_world.net, stream_of(flow)), 0);
}

static void call_finish(struct pkt_flow *flow, struct pkt_words *words, bool reset)
{
    int result = ewi_net_finish(pkt_world.net, stream_of(flow), reset, pkt_world.now);

    flow->stack_fin = true;
    if (result == 0) {
        flow->finished = flow->stream;
        flow->stream = 0;
    }
    judge_result(words, reset ? "reset" : "finish", result, 0);
}

static void call_set(struct pkt_flow *flow, struct pkt_words *words)
{
    ewi_stream stream = flow->stream;
    const char *name, *text;
    int64_t option, value;

    if (pkt_take(words, "all"))
        stream = 0;
    else if (pkt_take(words, "listener"))
        stream = pkt_world.listener;
    name = pkt_next(words, "an option");
    if (!pkt_lookup(pkt_options, name, &option))
        pkt_fail("script: '%s' is no option", name);
    text = pkt_next(words, "a value");
    if (!pkt_lookup(option_words, text, &value))
        value = pkt_number(text);
    judge_result(words, "set",
                 ewi_net_set(pkt_world.net, stream, (enum net_option)option, (uint64_t)value), 0);
}

bool pkt_call(struct pkt_flow *flow, const char *word, struct pkt_words *words)
{
    if (strcmp(word, "listen") == 0)
        call_listen(words);
    else if (strcmp(word, "unlisten") == 0)
        call_unlisten(words);
    else if (strcmp(word, "connect") == 0)
        call_connect(flow, words);
    else if (strcmp(word, "accept") == 0)
        call_accept(flow, words);
    else if (strcmp(word, "send") == 0)
        call_send(flow, words);
    else if (strcmp(word, "recv") == 0)
        call_recv(flow, words);
    else if (strcmp(word, "lend") == 0)
        call_lend(flow, words);
    else if (strcmp(word, "release") == 0)
        call_release(flow);
    else if (strcmp(word, "shutdown") == 0)
        call_shutdown(flow, words);
    else if (strcmp(word, "finish") == 0 || strcmp(word, "reset") == 0)
        call_finish(flow, words, *word == 'r');
    else if (strcmp(word, "set") == 0)
        call_set(flow, words);
    else
        return false;
    return true;
}
