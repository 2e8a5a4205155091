/* tests/fuzz/net_starts.h - the machines and states in which fuzz_net_stack.c starts.
 *
 * Purpose    Random packets hardly ever open a connection, and never one with a full window. A
 *            script of right ones reaches each state of RFC 9293 figure 5, and states within them.
 * Shape      start() reads three bytes of the input: state, machine, sizes
 * Owner      the program that includes it, whose functions it calls
 * Threads    one
 * Trust      none: test code only
 * Errors     peer_check(): a state that the script does not reach is an error of the stack
 * Invariants none
 * Ordering   none
 * Source     RFC 9293 section 3.3.2
 */
#ifndef TESTS_FUZZ_NET_STARTS_H
#define TESTS_FUZZ_NET_STARTS_H

enum { FLOW = 0 }; /* of the scripts */

static struct shell_stream *the_listener, *the_stream;

static void expect_state(enum net_tcp_state state)
{
    struct net_tcp_info info;

    peer_check(ewi_net_tcp_info(shell.net, the_stream->handle, &info) == 0);
    peer_check(info.state == state);
}

static void start_closed(void)
{
}

static void start_listen(void)
{
    the_listener = listens(peer_is_ip6(FLOW), PEER_LISTEN_PORT, 3);
    peer_check(the_listener != NULL);
}

static void start_syn_sent(void)
{
    the_stream = connects(FLOW, false);
    peer_check(the_stream != NULL);
    shell_rests();
    expect_state(NET_TCP_SYN_SENT);
}

static void start_syn_queue(void)
{
    start_listen();
    says_flags(FLOW, NET_TCP_SYN, 0);
    peer_check(peer.flow[FLOW].has_syn);
}

static void start_both_syn(void) /* RFC 9293 figure 7 */
{
    start_syn_sent();
    says_flags(FLOW, NET_TCP_SYN, 0);
    expect_state(NET_TCP_SYN_RECEIVED);
}

static void start_accepted(void)
{
    start_syn_queue();
    says_flags(FLOW, NET_TCP_ACK, 0);
    the_stream = accepts(the_listener);
    peer_check(the_stream != NULL);
    expect_state(NET_TCP_ESTABLISHED);
}

static void start_connected(void)
{
    start_syn_sent();
    says_flags(FLOW, NET_TCP_SYN | NET_TCP_ACK, 0);
    expect_state(NET_TCP_ESTABLISHED);
}

static void start_backlog(void) /* connections that nobody has accepted */
{
    start_syn_queue();
    says_flags(FLOW, NET_TCP_ACK, 0);
    says_flags(FLOW, NET_TCP_ACK, 500);
    says_flags(FLOW + 2, NET_TCP_SYN, 0);
    says_flags(FLOW + 2, NET_TCP_ACK, 0);
}

static void shut_down(void)
{
    peer_check(ewi_net_shutdown(shell.net, the_stream->handle) == 0);
    shell_rests();
}

static void start_fin_wait_1(void)
{
    start_accepted();
    shut_down();
    expect_state(NET_TCP_FIN_WAIT_1);
}

static void start_fin_wait_2(void)
{
    start_fin_wait_1();
    says_flags(FLOW, NET_TCP_ACK, 0);
    expect_state(NET_TCP_FIN_WAIT_2);
}

static void start_close_wait(void)
{
    start_accepted();
    says_flags(FLOW, NET_TCP_ACK | NET_TCP_FIN, 100);
    expect_state(NET_TCP_CLOSE_WAIT);
}

static void start_closing(void)
{
    struct peer_segment fin;

    start_fin_wait_1();
    fin = expected(FLOW, NET_TCP_ACK | NET_TCP_FIN);
    fin.tcp.acknowledgment -= 1;
    says(&fin);
    expect_state(NET_TCP_CLOSING);
}

static void start_last_ack(void)
{
    start_close_wait();
    shut_down();
    expect_state(NET_TCP_LAST_ACK);
}

static void start_time_wait(void)
{
    start_fin_wait_2();
    says_flags(FLOW, NET_TCP_ACK | NET_TCP_FIN, 0);
    expect_state(NET_TCP_TIME_WAIT);
}

static void start_flight(void)
{
    static const uint32_t lengths[] = {3000, 5000};

    start_connected();
    sends(the_stream, lengths, 2);
    shell_rests();
}

/* A segment is lost, SACK (or the third duplicate) says so. */
static void start_recovery(void)
{
    struct peer_segment again;

    start_flight();
    for (uint32_t i = 1; i <= 3; i++) {
        again = expected(FLOW, NET_TCP_ACK);
        again.tcp.acknowledgment = peer.flow[FLOW].iss + 1;
        again.tcp.sacks = has_sack ? 1 : 0;
        again.tcp.sack[0].left = peer.flow[FLOW].iss + 1 + 1448;
        again.tcp.sack[0].right = again.tcp.sack[0].left + 1200 * i;
        says(&again);
    }
}

static void start_timed_out(void)
{
    start_flight();
    shell.now += UINT64_C(3) * SECOND;
    peer.clock += 3000;
    shell_rests();
}

static void start_gap(void)
{
    struct peer_segment ahead;

    start_accepted();
    for (uint32_t i = 1; i <= 3; i++) {
        ahead = expected(FLOW, NET_TCP_ACK);
        ahead.tcp.sequence += i * 1000;
        ahead.payload_bytes = i == 2 ? 300 : 500;
        says(&ahead);
    }
}

static void start_unread(void)
{
    start_accepted();
    for (uint32_t i = 0; i < 6; i++)
        says_flags(FLOW, NET_TCP_ACK, 1000);
}

static void start_zero_window(void)
{
    static const uint32_t length = 5000;
    struct peer_segment full;

    start_connected();
    full = expected(FLOW, NET_TCP_ACK);
    full.tcp.window = 0;
    says(&full);
    sends(the_stream, &length, 1);
    shell_rests();
}

static void start_failed(void)
{
    start_unread();
    says_flags(FLOW, NET_TCP_RST, 0);
    peer_check(ewi_net_error(shell.net, the_stream->handle) != 0);
}

static void start_udp(void)
{
    struct shell_stream *stream;

    step_udp_open(); /* asks for arguments */
    stream = shell.streams > 0 ? &shell.stream[0] : NULL;
    peer_check(stream != NULL && stream->is_udp);
}

static void (*const starts[])(void) = {
    start_closed,     start_listen,     start_syn_sent,   start_syn_queue, start_both_syn,
    start_accepted,   start_connected,  start_backlog,    start_fin_wait_1, start_fin_wait_2,
    start_close_wait, start_closing,    start_last_ack,   start_time_wait, start_flight,
    start_recovery,   start_timed_out,  start_gap,        start_unread,    start_zero_window,
    start_failed,     start_udp,
};

static struct net_config tiny(uint32_t sizes)
{
    struct net_config config = {
        .conns_max = 6,
        .listeners_max = 2,
        .half_open_max = 2,
        .time_waits_max = 2,
        .packets_max = 10,
        .runs_max = 12,
        .spans_max = 10,
        .troubles_max = 2,
        .copies_max = 8,
        .udp_max = 2,
        .ports_max = 1,
        .addresses_max = 6,
        .routes_max = 8,
        .neighbours_max = 5,
        .paths_max = 2,
        .slots_max = 16,
        .slot_bytes = 1500,
        .reassemblies_max = 2,
        .rx_bytes_max = 24 * 1024,
    };

    if ((sizes & 1) != 0) {
        config.conns_max = config.half_open_max = config.time_waits_max = config.troubles_max = 16;
        config.packets_max = config.runs_max = config.spans_max = config.copies_max = 64;
        config.slots_max = 32;
        config.rx_bytes_max = 1 << 20;
    }
    return config;
}

static void add_addresses(void)
{
    for (uint32_t is_ip6 = 0; is_ip6 < 2; is_ip6++) {
        struct stack_addr own = peer_host(1, is_ip6 != 0, 0), router = peer_host(2, is_ip6 != 0, 0);
        struct stack_addr far = peer_host(4, is_ip6 != 0, 0);

        memset(far.ip + 3, 0, sizeof(far.ip) - 3); /* its network */
        peer_check(ewi_net_address_add(shell.net, 0, &own, is_ip6 != 0 ? 64 : 24,
                                       NET_ADDRESS_SURE) == 0);
        peer_check(ewi_net_route_add(shell.net, &far, is_ip6 != 0 ? 64 : 24, 0, &router) == 0);
        if ((shell.port.caps & NET_PORT_ETHERNET) != 0)
            peer_check(ewi_net_neighbour_add(shell.net, 0, &router, peer_mac) == 0);
    }
}

static void start(void)
{
    uint32_t state = u8(), machine = u8(), sizes = u8();
    struct net_config config = tiny(sizes);
    struct net_port_config port = {.mtu = (const uint16_t[]){1500, 1280, 4000, 9000}[sizes >> 6],
                                   .tso_max = 20000};

    has_times = (machine & 16) == 0;
    has_sack = (machine & 32) == 0;
    memcpy(port.mac, stack_mac, sizeof(port.mac));
    port.caps = ((machine & 2) != 0 ? NET_PORT_ETHERNET : 0u) |
                ((machine & 12) != 0 ? NET_PORT_TX_SUM : 0u) |
                ((machine & 8) != 0 ? NET_PORT_TX_TSO : 0u);
    peer_begin((machine & 1) != 0);
    shell_begin(&config, &port);
    add_addresses();
    peer_check(ewi_net_set(shell.net, 0, NET_OPTION_SYN_COOKIES, machine >> 6 == 3 ? 2 : 1) == 0);
    starts[state % (sizeof(starts) / sizeof(starts[0]))]();
}

#endif
