/* tests/fuzz/net_calls.h - the user of a stack that is fuzzed: calls, and what each may answer.
 *
 * Purpose    User calls whose answers are judged at once: bytes that arrive are those of their place
 *            in the stream, a send takes a prefix, readiness is not a lie.
 * Shape      the verbs of net.h on a struct shell_stream; shell_end() takes everything down
 * Owner      spans of a send are allocated here and freed by net_shell.h when they are released
 * Threads    one
 * Trust      the stack is judged
 * Errors     peer_check() aborts, which the fuzzer reports
 * Invariants none
 * Ordering   none
 * Source     transport/net/net.h
 */
#ifndef TESTS_FUZZ_NET_CALLS_H
#define TESTS_FUZZ_NET_CALLS_H

#include "tests/fuzz/net_shell.h"

static inline struct shell_stream *shell_new_stream(void)
{
    return shell.streams < SHELL_STREAMS ? &shell.stream[shell.streams] : NULL;
}

static inline uint64_t shell_user(const struct shell_stream *stream)
{
    return 1000 + (uint64_t)(stream - shell.stream);
}

static inline struct shell_stream *shell_keep_stream(ewi_stream handle)
{
    struct shell_stream *stream = &shell.stream[shell.streams++];

    peer_check(handle != 0);
    for (struct shell_stream *other = shell.stream; other < stream; other++)
        peer_check(other->handle != handle);
    *stream = (struct shell_stream){.handle = handle};
    return stream;
}

/* Bytes that arrived are those of their place in the stream. */
static inline void shell_judge_bytes(struct shell_stream *stream, const uint8_t *bytes, uint32_t count)
{
    struct peer_flow *flow = stream->flow < PEER_FLOWS ? &peer.flow[stream->flow] : NULL;

    if (flow != NULL && !stream->knows_start && stream->received == 0) {
        stream->start = flow->start;
        stream->knows_start = flow->knows_start;
    }
    if (flow == NULL || flow->is_wild || peer.is_wild || !stream->knows_start)
        return;
    for (uint32_t i = 0; i < count; i++)
        peer_check(bytes[i] == peer_byte(stream->start + (uint32_t)stream->received + i));
}

static inline void shell_give_token(uint32_t which)
{
    struct net_token token = shell.token[which];

    if (shell.token_copy[which] != NULL) /* nobody else wrote there */
        peer_check(memcmp(shell.token_copy[which], token.data, token.bytes) == 0);
    free(shell.token_copy[which]);
    shell.tokens -= 1;
    shell.token[which] = shell.token[shell.tokens];
    shell.token_copy[which] = shell.token_copy[shell.tokens];
    ewi_net_release(shell.net, &token, 1);
}

static inline struct shell_stream *listens(bool is_ip6, uint16_t port, uint32_t backlog)
{
    struct shell_stream *stream = shell_new_stream();
    const struct stack_addr local = {.family = is_ip6 ? 6 : 4, .port = port};
    ewi_stream handle = 0;

    if (stream == NULL ||
        ewi_net_listen(shell.net, &local, backlog, shell_user(stream), &handle) != 0)
        return NULL;
    stream = shell_keep_stream(handle);
    stream->is_listener = true;
    stream->flow = PEER_FLOWS;
    return stream;
}

static inline struct shell_stream *connects(uint32_t flow, bool from_known_port)
{
    struct shell_stream *stream = shell_new_stream();
    struct stack_addr remote = peer_end(flow);
    struct stack_addr local = peer_host(1, peer_is_ip6(flow), (uint16_t)(1000 + flow));
    ewi_stream handle = 0;

    if (stream == NULL || ewi_net_connect(shell.net, from_known_port ? &local : NULL, &remote,
                                          shell_user(stream), shell.now, &handle) != 0)
        return NULL;
    stream = shell_keep_stream(handle);
    stream->flow = flow;
    return stream;
}

static inline struct shell_stream *accepts(const struct shell_stream *listener)
{
    struct shell_stream *stream = shell_new_stream();
    struct stack_addr local, remote;
    ewi_stream handle = 0;

    if (stream == NULL || listener->is_finished ||
        ewi_net_accept(shell.net, listener->handle, shell_user(stream), &handle) != 0)
        return NULL;
    stream = shell_keep_stream(handle);
    stream->flow = PEER_FLOWS;
    peer_check(ewi_net_addresses(shell.net, handle, &local, &remote) == 0);
    if (remote.port >= PEER_PORT && remote.port < PEER_PORT + PEER_FLOWS &&
        local.port == peer.flow[remote.port - PEER_PORT].local_port)
        stream->flow = remote.port - PEER_PORT;
    return stream;
}

static inline uint32_t pieces_of_all(void)
{
    uint32_t pieces = 0;

    for (uint32_t i = 0; i < shell.streams; i++)
        pieces += shell.stream[i].pieces;
    return pieces;
}

static inline void sends(struct shell_stream *stream, const uint32_t *lengths, uint32_t count)
{
    struct stack_span spans[4];
    uint32_t ready = ewi_net_ready(shell.net, stream->handle);
    int64_t taken;

    if (stream->pieces + count > SHELL_PIECES)
        return;
    for (uint32_t i = 0, at = 0; i < count; at += lengths[i++]) {
        uint8_t *bytes = malloc(lengths[i]);

        for (uint32_t k = 0; k < lengths[i]; k++)
            bytes[k] = user_byte(stream->sent + at + k);
        spans[i] = (struct stack_span){bytes, lengths[i]};
    }
    taken = ewi_net_send(shell.net, stream->handle, spans, count);
    peer_check(taken != 0);
    if ((ready & STACK_WRITABLE) != 0 && pieces_of_all() < shell.config.spans_max / 2)
        peer_check(taken != -EAGAIN);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t part = taken <= 0                    ? 0
                        : (uint64_t)taken < lengths[i] ? (uint64_t)taken
                                                       : lengths[i];

        if (part == 0) {
            free((void *)(uintptr_t)spans[i].base);
            continue;
        }
        taken -= (int64_t)part;
        stream->sent += part;
        stream->piece[stream->pieces++] =
            (struct shell_piece){(uint8_t *)(uintptr_t)spans[i].base, stream->sent};
    }
    peer_check(taken <= 0);
}

static inline void receives(struct shell_stream *stream, uint32_t first, uint32_t second)
{
    uint8_t *one = malloc(first), *two = malloc(second);
    struct stack_room rooms[2] = {{one, first}, {two, second}};
    uint32_t ready = ewi_net_ready(shell.net, stream->handle);
    int64_t got = ewi_net_recv_into(shell.net, stream->handle, rooms, 2);

    peer_check(got <= (int64_t)first + second);
    if ((ready & STACK_READABLE) != 0)
        peer_check(got != -EAGAIN);
    if (got == 0)
        peer_check((ready & STACK_PEER_FIN) != 0);
    if (got > 0) {
        uint32_t in_first = got < (int64_t)first ? (uint32_t)got : first;

        shell_judge_bytes(stream, one, in_first);
        stream->received += in_first;
        shell_judge_bytes(stream, two, (uint32_t)got - in_first);
        stream->received += (uint32_t)got - in_first;
    }
    free(one);
    free(two);
}

/* All streams are reset: everything comes back. */
static inline void shell_end(void)
{
    if (shell.batch_count > 0)
        shell_give_batch();
    while (shell.tokens > 0)
        shell_give_token(0);
    if (shell.has_datagram)
        ewi_net_udp_release(shell.net, &shell.datagram);
    for (struct shell_stream *stream = shell.stream; stream < shell.stream + shell.streams; stream++) {
        if (stream->is_finished)
            continue;
        if (stream->is_udp)
            peer_check(ewi_net_udp_close(shell.net, stream->handle) == 0);
        else
            peer_check(ewi_net_finish(shell.net, stream->handle, true, shell.now) == 0);
        stream->is_finished = true;
    }
    for (uint32_t i = 0; i < SHELL_END_ROUNDS; i++) { /* each lets one more timer of each stream come */
        shell_rests();
        shell_judge();
        shell.now += SHELL_END_STEP_NS;
        peer.clock = (uint32_t)(shell.now / 1000000);
    }
    shell_rests();
    shell_judge();
    peer_check(shell.packets_count == 0);
    for (uint32_t i = 0; i < shell.streams; i++)
        peer_check(shell.stream[i].is_closed || shell.stream[i].is_udp);
    free(shell.memory);
    free(shell.room);
}

#endif
