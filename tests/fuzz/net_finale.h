/* tests/fuzz/net_finale.h - the end of a program of fuzz_net_stack.c: a peer that answers.
 *
 * Purpose    Nothing crashes in a stack that stands still. After whatever happened, time and a peer
 *            that acknowledges must bring every byte across.
 * Shape      rounds: the user reads and gives back, the peer acknowledges, time goes to the deadline
 * Owner      the program that includes it, whose functions it calls
 * Threads    one
 * Trust      the stack is judged
 * Errors     peer_check() aborts, which the fuzzer reports
 * Invariants none
 * Ordering   none
 * Source     RFC 9293 sections 3.8.1, 3.8.6.1
 */
#ifndef TESTS_FUZZ_NET_FINALE_H
#define TESTS_FUZZ_NET_FINALE_H

enum { GAP_MAX = 60000, HEARINGS = 20 };

/* Bytes that the peer sent and that have not all arrived: its numbers count as old until they have. */
static uint32_t gap(const struct shell_stream *stream)
{
    const struct peer_flow *flow = &peer.flow[stream->flow];
    uint32_t sent = flow->our_iss + flow->sent;

    if (flow->sent == UINT32_MAX) /* some lay far away: it is not known */
        return GAP_MAX;
    return ewi_net_seq_before(flow->want, sent) ? sent - flow->want : 0;
}

/* Open, and the peer knows where it is. */
static bool is_lively(const struct shell_stream *stream)
{
    const struct peer_flow *flow = &peer.flow[stream->flow % PEER_FLOWS];
    bool is_ether = (shell.port.caps & NET_PORT_ETHERNET) != 0;
    struct stack_addr local, remote;
    struct net_tcp_info info;

    if (stream->is_udp || stream->is_listener || stream->is_finished || stream->flow >= PEER_FLOWS)
        return false;
    return ewi_net_error(shell.net, stream->handle) == 0 && !peer.is_wild &&
           !is_fickle[stream->flow] && !(is_ether && peer_end(stream->flow).ip[3] == 3) &&
           ewi_net_tcp_info(shell.net, stream->handle, &info) == 0 &&
           info.state >= NET_TCP_ESTABLISHED && gap(stream) < GAP_MAX &&
           (info.state <= NET_TCP_FIN_WAIT_2 || gap(stream) == 0) && /* spoke behind its own FIN */
           ewi_net_addresses(shell.net, stream->handle, &local, &remote) == 0 &&
           local.port == flow->local_port;
}

/* What the peer says in order is taken: with everything read and given back there is room. */
static void hear(struct shell_stream *stream)
{
    uint32_t before = peer.flow[stream->flow % PEER_FLOWS].want;
    struct net_tcp_info info;

    for (uint32_t round = 0; is_lively(stream) && !is_short; round++) {
        if (ewi_net_tcp_info(shell.net, stream->handle, &info) != 0 ||
            info.state < NET_TCP_ESTABLISHED || info.state > NET_TCP_FIN_WAIT_2)
            return;
        peer_check(round < HEARINGS);
        says_flags(stream->flow, NET_TCP_ACK, 1);
        if (peer.flow[stream->flow].want != before)
            return;
        receives(stream, 20000, 20000);
        time_passes(SECOND);
        shell_rests();
    }
}

/* With a peer that answers, nothing that was sent stays: not for want of memory, not for ever. */
static void finale(void)
{
    enum { ROUNDS = 200 };
    uint32_t waiting = 1;

    for (uint32_t round = 0; waiting > 0; round++) {
        uint64_t deadline = ewi_net_deadline(shell.net);

        peer_check(round < ROUNDS);
        waiting = 0;
        while (shell.tokens > 0)
            shell_give_token(0);
        for (uint32_t i = 0; i < shell.streams; i++) {
            struct shell_stream *stream = &shell.stream[i];

            if (!is_lively(stream))
                continue;
            receives(stream, 20000, 20000);
            says_flags(stream->flow, NET_TCP_ACK, gap(stream) > 0 ? 1448 : 0);
            shell_looks_released(stream);
            waiting += is_lively(stream) && stream->released < stream->sent;
        }
        if (deadline != NET_NEVER && deadline > shell.now)
            time_passes(ewi_min_u64(deadline - shell.now, SECOND * UINT64_C(120)));
        shell_rests();
    }
    shell_judge();
    for (uint32_t i = 0; i < shell.streams; i++)
        hear(&shell.stream[i]);
}

#endif
