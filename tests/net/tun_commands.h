/* tests/net/tun_commands.h - what tun_peer is told on stdin, and what it answers.
 *
 * Purpose    A line is a command: its name and words. The table `commands` is the reference.
 * Shape      struct peer   everything that tun_peer has
 *            Streams are named by the numbers that listen, connect, udp and accept tell.
 * Owner      tests/net/tun_peer.c, which includes this once
 * Threads    one
 * Trust      commands are our own tests': a wrong one ends the program
 * Errors     of the stack, by name, in the line "done"
 * Invariants I1  a command that is not send, shutdown, finish of a stream or quit is answered by one
 *                line: done, info, counters or address.
 * Ordering   none
 * Source     transport/net/net.h
 */
#ifndef TESTS_NET_TUN_COMMANDS_H
#define TESTS_NET_TUN_COMMANDS_H

#include "tests/net/peer_words.h"
#include "tests/net/tun_device.h"
#include "tests/net/tun_streams.h"

enum { BURST = 32, CHECK_EVERY = 64, ROOM = 128 };

struct peer {
    struct ewi_net *net;
    struct streams streams;
    struct tun_buffers buffers;
    struct tun_wire in, out;
    FILE *pcap;
    int fd, port;
    uint32_t link_bytes;
    uint16_t mtu;
    uint32_t conns;
    uint64_t seed, loops;
    bool is_tap, copies, checks, is_device_gone;
    struct net_frame frames[BURST];
    struct lines lines;
};

static struct peer peer;

/* ---- commands ---- */

static const char *const options[NET_OPTIONS] = {
    [NET_OPTION_NODELAY] = "nodelay",
    [NET_OPTION_CORK] = "cork",
    [NET_OPTION_QUICK_ACK] = "quick_ack",
    [NET_OPTION_RECV_BYTES] = "recv_bytes",
    [NET_OPTION_SEND_BYTES] = "send_bytes",
    [NET_OPTION_CONGESTION] = "congestion",
    [NET_OPTION_TIMEOUTS] = "timeouts",
    [NET_OPTION_ECN] = "ecn",
    [NET_OPTION_TIMESTAMPS] = "timestamps",
    [NET_OPTION_SACK] = "sack",
    [NET_OPTION_SCALE] = "scale",
    [NET_OPTION_MSS] = "mss",
    [NET_OPTION_KEEPALIVE_NS] = "keepalive_ns",
    [NET_OPTION_KEEPALIVE_INTERVAL_NS] = "keepalive_interval_ns",
    [NET_OPTION_KEEPALIVE_COUNT] = "keepalive_count",
    [NET_OPTION_USER_TIMEOUT_NS] = "user_timeout_ns",
    [NET_OPTION_SYN_RETRIES] = "syn_retries",
    [NET_OPTION_FIN_WAIT_NS] = "fin_wait_ns",
    [NET_OPTION_TIME_WAIT_NS] = "time_wait_ns",
    [NET_OPTION_DELAY_ACK_NS] = "delay_ack_ns",
    [NET_OPTION_SYN_ORDER] = "syn_order",
    [NET_OPTION_SYN_COOKIES] = "syn_cookies",
    [NET_OPTION_HYSTART] = "hystart",
    [NET_OPTION_CLASS] = "class",
    [NET_OPTION_HOP_LIMIT] = "hop_limit",
};

/* "A.B.C.D/BITS", "A::B/BITS" */
static struct stack_addr network(const char *text, unsigned *bits)
{
    char copy[80], with_port[96];
    char *slash;

    snprintf(copy, sizeof(copy), "%s", text);
    slash = strchr(copy, '/');
    if (slash == NULL)
        usage(text);
    *slash = '\0';
    *bits = (unsigned)number(slash + 1);
    snprintf(with_port, sizeof(with_port), strchr(copy, ':') != NULL ? "[%s]:0" : "%s:0", copy);
    return address(with_port);
}

static struct stream *new_stream(const char *role)
{
    static const char *const names[ROLES] = {"echo", "sink", "source", "ask", "hold"};

    return stream_begins(&peer.streams,
                         stream_new(&peer.streams, (enum role)choice(role, names, ROLES)));
}

static void do_listen(char **words)
{
    struct stack_addr local = address(words[0]);
    struct stream *stream = new_stream(words[1]);
    uint32_t backlog = words[2] != NULL && words[3] != NULL ? (uint32_t)number(words[3]) : 1024;

    stream->total = number(words[2]);
    stream->is_listener = true;
    answer_opened(&peer.streams, "listen", stream,
                  ewi_net_listen(peer.net, &local, backlog, stream_id(&peer.streams, stream),
                                 &stream->handle));
}

static void do_connect(char **words)
{
    struct stack_addr remote = address(words[0]), local = {0};
    struct stream *stream = new_stream(words[1]);
    bool has_unit = words[2] != NULL && words[3] != NULL;

    if (has_unit && words[4] != NULL)
        local = address(words[4]);
    stream->total = number(words[2]);
    stream->unit = has_unit && words[3][0] != '-' ? number(words[3]) : 1;
    answer_opened(&peer.streams, "connect", stream,
                  ewi_net_connect(peer.net, local.family != 0 ? &local : NULL, &remote,
                                  stream_id(&peer.streams, stream), peer.streams.now,
                                  &stream->handle));
}

static void do_udp(char **words)
{
    struct stack_addr local = address(words[0]), remote = {0};
    struct stream *stream = new_stream(words[1]);

    if (words[2] != NULL)
        remote = address(words[2]);
    stream->is_udp = true;
    answer_opened(&peer.streams, "udp", stream,
                  ewi_net_udp_open(peer.net, &local, words[2] != NULL ? &remote : NULL,
                                   stream_id(&peer.streams, stream), peer.streams.now,
                                   &stream->handle));
}

static void do_udp_send(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);
    struct net_datagram datagram = {.remote = address(words[1]),
                                    .data = peer.streams.pattern,
                                    .bytes = (uint32_t)number(words[2]),
                                    .hop_limit = words[3] != NULL ? (uint8_t)number(words[3]) : 0};

    answer("udp-send", stream_id(&peer.streams, stream),
           ewi_net_udp_send(peer.net, stream->handle, &datagram, peer.streams.now));
}

/* "*": the default of new streams */
static void do_set(char **words)
{
    ewi_stream handle = words[0][0] == '*' ? 0 : stream_at(&peer.streams, words[0])->handle;
    enum net_option option = (enum net_option)choice(words[1], options, NET_OPTIONS);

    answer("set", 0, ewi_net_set(peer.net, handle, option, number(words[2])));
}

static void do_send(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);

    stream->total += number(words[1]);
    stream_drive(&peer.streams, stream);
}

static void do_still(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);

    stream->stands_still = number(words[1]) != 0;
    if (stream->is_listener)
        stream_accept(&peer.streams, stream);
    else
        stream_drive(&peer.streams, stream);
    answer("still", stream_id(&peer.streams, stream), 0);
}

static void do_shutdown(char **words)
{
    stream_shut(&peer.streams, stream_at(&peer.streams, words[0]));
}

static void do_finish(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);

    if (stream->is_udp) {
        stream->is_over = true;
        answer("finish", stream_id(&peer.streams, stream),
               ewi_net_udp_close(peer.net, stream->handle));
        return;
    }
    stream_finish(&peer.streams, stream, words[1] != NULL);
}

static void do_info(char **words)
{
    print_stream(&peer.streams, "info", stream_at(&peer.streams, words[0]));
}

static void do_wire(char **words)
{
    struct tun_wire *wire = strcmp(words[0], "in") == 0 ? &peer.in : &peer.out;

    wire->loss_ppm = (uint32_t)number(words[1]);
    wire->reorder_ppm = (uint32_t)number(words[2]);
    wire->hold_ns = number(words[3]) * 1000 + 1;
    wire->longest = words[4] != NULL ? (uint32_t)number(words[4]) : UINT32_MAX;
    wire->mark_ppm = words[4] != NULL && words[5] != NULL ? (uint32_t)number(words[5]) : 0;
    answer("wire", 0, 0);
}

static void do_mtu(char **words)
{
    answer("mtu", 0, ewi_net_port_set_mtu(peer.net, peer.port, (uint16_t)number(words[0])));
}

static void do_state(char **words)
{
    unsigned bits;
    struct stack_addr at = network(words[0], &bits);

    printf("{\"event\":\"address\",\"state\":%d}\n",
           (int)ewi_net_address_state(peer.net, peer.port, &at));
}

static void do_counters(char **words)
{
    const struct net_counters *counters = ewi_net_counters(peer.net);
    const char *broken = ewi_net_check(peer.net);

    printf("{\"event\":\"%s\",\"check\":\"%s\",\"wire_lost\":%" PRIu64 ",\"wire_reordered\":%" PRIu64
           ",\"wire_marked\":%" PRIu64 ",\"free_buffers\":%u,\"open\":{",
           words == NULL ? "bye" : "counters", broken != NULL ? broken : "",
           peer.in.lost + peer.out.lost, peer.in.reordered + peer.out.reordered,
           peer.in.marked + peer.out.marked, peer.buffers.count);
    for (uint32_t i = 0, first = 1; i < peer.streams.count; i++)
        if (!peer.streams.stream[i].is_over) {
            printf("%s\"%u\":%d", first ? "" : ",", i, (int)peer.streams.stream[i].role);
            first = 0;
        }
    printf("},\"counters\":{");
    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++)
        printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", ewi_net_counters_name(i)->name,
               ewi_net_counters_value(counters, i));
    printf("}}\n");
}

static void do_quit(char **words)
{
    (void)words;
    peer.lines.is_ending = true;
}

static const struct command commands[] = {
    {"listen", "ADDRESS ROLE [TOTAL [BACKLOG]]", 2, do_listen},
    {"connect", "ADDRESS ROLE [TOTAL [UNIT|- [LOCAL]]]", 2, do_connect},
    {"udp", "LOCAL echo|sink [REMOTE]", 2, do_udp},
    {"udp-send", "ID REMOTE BYTES [HOP_LIMIT]", 3, do_udp_send},
    {"set", "*|ID OPTION VALUE", 3, do_set},
    {"send", "ID BYTES: so many more", 2, do_send},
    {"still", "ID 0|1: read or accept nothing", 2, do_still},
    {"shutdown", "ID", 1, do_shutdown},
    {"finish", "ID [reset]", 1, do_finish},
    {"info", "ID", 1, do_info},
    {"wire", "in|out LOSS_PPM REORDER_PPM HOLD_US [LONGEST [MARK_PPM]]", 4, do_wire},
    {"mtu", "MTU", 1, do_mtu},
    {"address", "ADDRESS/BITS: its state", 1, do_state},
    {"counters", "", 0, do_counters},
    {"quit", "", 0, do_quit},
};

#endif
