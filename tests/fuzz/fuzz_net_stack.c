/* tests/fuzz/fuzz_net_stack.c - can any sequence of packets, calls and delays hurt the whole stack?
 *
 * An input is a program. Its first bytes choose a state in which to start, which a script reaches,
 * and the machine: family, link, offloads, size of the pools. Then come steps of a byte and its
 * arguments: packets that are nearly right, user calls, time. After each step everything of
 * net_shell.h holds; at the end all streams are reset and every reference must have come back.
 */
#include <stdio.h>

#include "tests/fuzz/net_calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 400, MS = 1000000, SECOND = 1000000000 };

#define LATER 0x80u /* of a step: nothing else happens before the next one */

static struct {
    const uint8_t *at, *end;
} input;

static bool has_times, has_sack;
static bool is_short; /* an option may have left less room than a segment takes */
static bool is_fickle[PEER_FLOWS]; /* its timestamps went back, forward or away */
static uint8_t last[PEER_PACKET_BYTES_MAX]; /* packet of ours */
static uint32_t last_bytes;

static uint8_t u8(void) /* 0 behind the end */
{
    return input.at < input.end ? *input.at++ : 0;
}

static uint32_t u16(void)
{
    uint32_t high = u8();

    return high << 8 | u8();
}

static uint32_t of(const uint32_t *values, uint32_t count)
{
    return values[u8() % count];
}
#define ONE_OF(...)                                                                                \
    of((const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* ---- packets ---- */

static void gives(uint32_t bytes, uint32_t how)
{
    last_bytes = bytes;
    shell_gives(last, bytes, last[0] >> 4 == 6 ? NET_ETHER_IP6 : NET_ETHER_IP4, how);
}

/* What the peer would say now. */
static struct peer_segment expected(uint32_t which, uint8_t flags)
{
    const struct peer_flow *flow = &peer.flow[which];
    struct peer_segment segment = {.flow = which};

    segment.tcp = (struct net_tcp){
        .sequence = flow->knows_start ? flow->want : flow->our_iss,
        .acknowledgment = flow->next,
        .flags = flags,
        .window = 0xffff,
        .time = peer.clock,
        .time_echo = (flags & NET_TCP_ACK) != 0 ? flow->time : 0,
    };
    if (has_times)
        segment.tcp.has |= NET_TCP_HAS_TIMES;
    if ((flags & NET_TCP_SYN) != 0) {
        segment.tcp.sequence = flow->our_iss;
        segment.tcp.mss = 1460;
        segment.tcp.scale = 7;
        segment.tcp.has |= NET_TCP_HAS_MSS | NET_TCP_HAS_SCALE;
        segment.tcp.has |= has_sack ? NET_TCP_HAS_SACK_PERMITTED : 0;
    }
    return segment;
}

static void says(struct peer_segment *segment)
{
    gives(peer_tcp(last, segment), SHELL_REF);
    shell_rests();
}

static void says_flags(uint32_t flow, uint8_t flags, uint32_t payload)
{
    struct peer_segment segment = expected(flow, flags);

    segment.payload_bytes = payload;
    says(&segment);
}

static void add_options(struct net_tcp *tcp, const struct peer_flow *flow, uint32_t which)
{
    is_fickle[flow - peer.flow] |= (which & 7) != 0;
    if ((which & 1) != 0)
        tcp->has ^= NET_TCP_HAS_TIMES;
    if ((which & 2) != 0)
        tcp->time -= ONE_OF(1, 1000, 0x80000000u, 0xffffff00u);
    if ((which & 4) != 0)
        tcp->time_echo += ONE_OF(1, 0xffffffffu, 0x80000000u, 5000);
    if ((which & 8) != 0)
        tcp->mss = (uint16_t)ONE_OF(1, 2, 64, 536, 1460, 65535);
    if ((which & 16) != 0)
        tcp->scale = u8() % (NET_TCP_SCALE_MAX + 1);
    if ((which & 32) == 0)
        return;
    tcp->sacks = (uint8_t)(1 + u8() % NET_TCP_SACK_MAX);
    for (uint32_t i = 0; i < tcp->sacks; i++) {
        tcp->sack[i].left = flow->acked + u16();
        tcp->sack[i].right = tcp->sack[i].left + ONE_OF(1, 536, 1448, 2896, 14480, 0xffffffffu);
    }
}

static void segment_arrives(void)
{
    uint32_t which = u8(), how = u8();
    struct peer_segment segment = expected(which % PEER_FLOWS, u8());
    struct peer_flow *flow = &peer.flow[segment.flow];
    struct net_tcp *tcp = &segment.tcp;

    if ((how & 1) != 0)
        tcp->sequence += ONE_OF(1, 0xffffffffu, 536, 1448, 2896, 0xfffff000u, flow->window,
                                flow->window - 1, flow->window + 1, 0x80000000u, u16());
    if ((how & 2) != 0)
        tcp->acknowledgment = flow->acked + ONE_OF(0, 1, 0xffffffffu, 536, 1448, 0xffff0000u,
                                                   0x7fffffffu, flow->next - flow->acked + 1,
                                                   u16());
    if ((how & 4) != 0)
        tcp->window = (uint16_t)ONE_OF(0, 1, 10, 536, 2000, 0x7fff);
    if ((how & 8) != 0)
        segment.payload_bytes = ONE_OF(1, 2, 8, 100, 536, 1000, 1400, 1448, 3000);
    if ((how & 16) != 0)
        add_options(tcp, flow, u8());
    segment.traffic_class = (how & 32) != 0 ? u8() & 3 : 0;
    segment.is_garbage = (how & 64) != 0 && u8() % 8 == 0;
    segment.plain_order = (how & 64) != 0;
    if ((tcp->flags & NET_TCP_SYN) == 0)
        tcp->has &= NET_TCP_HAS_TIMES;
    gives(peer_tcp(last, &segment), which >> 4);
}

/* SYNs, or ACKs that might be cookies, from ends that say nothing else. */
static void flood_arrives(void)
{
    uint32_t count = 1 + u8() % 32, how = u8(), port = 10000 + u16() % 20000;
    bool is_ip6 = (how & 1) != 0;
    struct stack_addr from = peer_host(2, is_ip6, 0);
    struct stack_addr to = peer_host(1, is_ip6, PEER_LISTEN_PORT);
    uint8_t *bytes = last + peer_header_bytes(&from);
    struct net_tcp tcp = {.destination_port = to.port,
                          .sequence = port,
                          .acknowledgment = peer.flow[0].iss + 1,
                          .flags = (how & 2) != 0 ? NET_TCP_ACK : NET_TCP_SYN,
                          .has = (how & 4) != 0 ? NET_TCP_HAS_TIMES : NET_TCP_HAS_MSS,
                          .mss = 1000};

    while (count-- > 0) {
        tcp.source_port = (uint16_t)port++;
        gives(peer_ip(last, &from, &to, NET_TCP, 0,
                      (uint32_t)ewi_net_tcp_build(bytes, &tcp, NET_TCP_ORDER_LINUX,
                                                  peer_addresses(&from, &to), 0, 0)),
              how >> 4 & 15);
    }
}

static void packet_again(void)
{
    if (last_bytes > 0)
        gives(last_bytes, u8() & 31);
}

static void packet_changed(void)
{
    uint32_t changes = 1 + u8() % 4;

    if (last_bytes < NET_IP4_BYTES)
        return;
    while (changes-- > 0) {
        uint32_t at = u8() % (last_bytes < 120 ? last_bytes : 120);

        last[at] = (uint8_t)(last[at] ^ u8());
    }
    if (last[0] >> 4 == 4 && (last[0] & 15) == 5) {
        ewi_net_put_u16(last + 10, 0);
        ewi_net_put_u16(last + 10, ewi_net_sum_finish(ewi_net_sum(last, NET_IP4_BYTES)));
    }
    peer.is_wild = true;
    gives(last_bytes - u8() % 8, (u8() & 31) | SHELL_GOOD);
}

static void bytes_arrive(void)
{
    uint32_t how = u8(), bytes = u8(), left;
    uint16_t type = (uint16_t)u16();

    left = (uint32_t)(input.end - input.at);
    bytes = bytes < left ? bytes : left;
    peer.is_wild = true;
    shell_gives(input.at, bytes, (how & 64) != 0 ? NET_ETHER_IP4 : type, how & 31);
    input.at += bytes;
}

static void error_arrives(void)
{
    uint32_t slot = u8() % PEER_QUOTES, bytes = peer.quote_bytes[slot], cut = u8();
    bool is_ip6 = peer.quote[slot][0] >> 4 == 6;
    uint32_t head = is_ip6 ? NET_IP6_BYTES : NET_IP4_BYTES;
    struct net_icmp icmp = {.code = u8() % 16};

    if (bytes == 0)
        return;
    icmp.type = (uint8_t)(is_ip6 ? ONE_OF(NET_ICMP6_TOO_BIG, NET_ICMP6_UNREACHABLE,
                                          NET_ICMP6_TIME_EXCEEDED, NET_ICMP6_PARAMETER)
                                 : ONE_OF(NET_ICMP4_UNREACHABLE, NET_ICMP4_TIME_EXCEEDED,
                                          NET_ICMP4_PARAMETER, NET_ICMP4_SOURCE_QUENCH,
                                          NET_ICMP4_REDIRECT));
    icmp.code = is_ip6 && icmp.type == NET_ICMP6_TOO_BIG ? 0 : icmp.code;
    icmp.rest = ONE_OF(0, 68, 296, 576, 1000, 1279, 1280, 1400, 1499, 65535, 0x80000500u);
    bytes = cut != 0 && cut < bytes ? cut : bytes;
    memcpy(last + head + NET_ICMP_BYTES, peer.quote[slot], bytes);
    gives(peer_icmp(last, 2 + u8() % 3, is_ip6, &icmp, bytes), u8() & 1);
}

static void echo_arrives(void)
{
    bool is_ip6 = (u8() & 1) != 0;
    uint32_t bytes = ONE_OF(0, 1, 56, 1000, 1472, 2000), how = u8();
    struct net_icmp icmp = {.type = is_ip6 ? NET_ICMP6_ECHO : NET_ICMP4_ECHO, .rest = u16()};

    memset(last + (is_ip6 ? NET_IP6_BYTES : NET_IP4_BYTES) + NET_ICMP_BYTES, 7, bytes);
    gives(peer_icmp(last, 2 + u8() % 3, is_ip6, &icmp, bytes), how & 31);
}

/* Some pieces of a datagram or segment; the id makes them fit to those of another step, or not. */
static void pieces_arrive(void)
{
    static uint8_t whole[PEER_PACKET_BYTES_MAX];
    uint32_t which = u8(), count = 1 + u8() % 4, step = 8 * (1u + u8() % 64), bytes;
    uint32_t head = peer_is_ip6(which % PEER_FLOWS) ? NET_IP6_BYTES : NET_IP4_BYTES;

    if ((which & 8) != 0) {
        bytes = peer_udp(whole, which % PEER_FLOWS, 7000, ONE_OF(0, 8, 100, 1000, 3000));
    } else {
        struct peer_segment segment = expected(which % PEER_FLOWS, NET_TCP_ACK);

        segment.payload_bytes = ONE_OF(0, 8, 100, 1000, 3000);
        bytes = peer_tcp(whole, &segment);
    }
    while (count-- > 0) {
        uint32_t place = u8(), at = place % 16 * step, length = (place & 16) != 0 ? step : step * 16;
        uint32_t written = peer_piece(last, whole, bytes, at, length,
                                      (place & 32) != 0 || head + at + length < bytes,
                                      (uint16_t)(which >> 4));

        if (written != 0)
            gives(written, which >> 6);
    }
}

static void neighbour_speaks(void)
{
    uint32_t how = u8(), host = 1 + u8() % 4;
    struct stack_addr from = peer_host(host, (how & 1) != 0, 0), to = peer_host(1, (how & 1) != 0, 0);
    struct net_arp arp = {.operation = (how & 2) != 0 ? NET_ARP_REPLY : NET_ARP_REQUEST};
    struct net_ndp ndp = {.type = (uint8_t)(NET_NDP_RS + u8() % 5),
                          .flags = u8(),
                          .hop_limit = 64,
                          .has = u8() & 7,
                          .mtu = ONE_OF(0, 1280, 1500, 9000),
                          .router_s = (uint16_t)u16(),
                          .prefixes = u8() % 3};
    uint8_t mac[PEER_MAC_BYTES] = {2, 0, 0, 0, 0, (uint8_t)(host ^ (how >> 4))};

    if ((how & 1) == 0) {
        memcpy(arp.sender_mac, mac, sizeof(mac));
        arp.sender = ewi_net_get_u32(from.ip);
        arp.target = ewi_net_get_u32(to.ip);
        last_bytes = (uint32_t)ewi_net_arp_build(last, &arp);
        shell_gives(last, last_bytes, NET_ETHER_ARP, (how & 4) | (how & 8));
        return;
    }
    memcpy(ndp.source_link, mac, sizeof(mac));
    memcpy(ndp.target_link, mac, sizeof(mac));
    memcpy(ndp.target, (how & 4) != 0 ? to.ip : from.ip, 16);
    memcpy(ndp.destination, from.ip, 16);
    last_bytes = (uint32_t)ewi_net_ndp_build(last + NET_IP6_BYTES, &ndp, peer_addresses(&from, &to));
    gives(peer_ip(last, &from, &to, NET_ICMP6, 0, last_bytes), how & 8);
}

/* ---- user calls ---- */

static struct shell_stream *some_stream(void)
{
    uint32_t which = u8();

    return shell.streams == 0 ? NULL : &shell.stream[which % shell.streams];
}

/* A connection that is open; of one that was finished every call must say so. */
static struct shell_stream *some_connection(void)
{
    struct shell_stream *stream = some_stream();
    struct net_tcp_info info;
    uint64_t released;

    if (stream == NULL || stream->is_udp || stream->is_listener)
        return NULL;
    if (!stream->is_finished)
        return stream;
    peer_check(ewi_net_released(shell.net, stream->handle, &released) == -ESTALE);
    peer_check(ewi_net_shutdown(shell.net, stream->handle) == -ESTALE);
    peer_check(ewi_net_finish(shell.net, stream->handle, true, shell.now) == -ESTALE);
    peer_check(ewi_net_tcp_info(shell.net, stream->handle, &info) == -ESTALE);
    return NULL;
}

static void step_send(void)
{
    struct shell_stream *stream = some_connection();
    uint32_t lengths[4], count = 1 + u8() % 4;

    for (uint32_t i = 0; i < count; i++)
        lengths[i] = ONE_OF(1, 7, 100, 536, 1448, 5000, 20000, 1u + u8());
    if (stream != NULL)
        sends(stream, lengths, count);
}

static void step_receive(void)
{
    struct shell_stream *stream = some_connection();
    uint32_t first = 1 + u8(), second = ONE_OF(1, 100, 1448, 65536);

    if (stream != NULL)
        receives(stream, first, second);
}

static void step_tokens(void)
{
    struct shell_stream *stream = some_connection();
    struct net_token *tokens = shell.token + shell.tokens;
    uint32_t most = SHELL_TOKENS - shell.tokens, wanted = 1 + u8() % 4;
    int got;

    if (stream == NULL || most == 0)
        return;
    got = ewi_net_recv(shell.net, stream->handle, tokens, wanted < most ? wanted : most);
    peer_check(got <= (int)most);
    for (int i = 0; i < got; i++) {
        shell_judge_bytes(stream, tokens[i].data, tokens[i].bytes);
        stream->received += tokens[i].bytes;
        shell.token_copy[shell.tokens] = malloc(tokens[i].bytes);
        memcpy(shell.token_copy[shell.tokens++], tokens[i].data, tokens[i].bytes);
    }
}

static void step_release(void)
{
    uint32_t which = u8();

    if (shell.tokens > 0)
        shell_give_token(which % shell.tokens);
}

static void step_listen(void)
{
    uint32_t how = u8();

    listens((how & 1) != 0, (uint16_t)(PEER_LISTEN_PORT + (how >> 1 & 1)), 1 + (how >> 4));
}

static void step_connect(void)
{
    uint32_t how = u8();

    connects(how % PEER_FLOWS, (how & 64) != 0);
}

static void step_accept(void)
{
    struct shell_stream *stream = some_stream();

    if (stream != NULL && stream->is_listener)
        accepts(stream);
}

static void step_shutdown(void)
{
    struct shell_stream *stream = some_connection();

    if (stream != NULL)
        ewi_net_shutdown(shell.net, stream->handle);
}

static void step_finish(void)
{
    bool reset = (u8() & 1) != 0;
    struct shell_stream *stream = some_stream();

    if (stream == NULL || stream->is_udp || stream->is_finished)
        return;
    peer_check(ewi_net_finish(shell.net, stream->handle, reset, shell.now) == 0);
    stream->is_finished = true;
}

static void step_option(void)
{
    enum net_option option = (enum net_option)(u8() % NET_OPTIONS);
    uint64_t value = ONE_OF(0, 1, 2, 5, 64, 536, 1000, 65535, 1u << 20, 1u << 30);
    struct shell_stream *stream = (u8() & 1) != 0 ? some_connection() : NULL;
    ewi_stream handle = stream != NULL ? stream->handle : 0;
    uint64_t read;

    value *= (u8() & 3) == 3 ? 1000 : 1;
    is_short |= option == NET_OPTION_RECV_BYTES;
    if (ewi_net_set(shell.net, handle, option, value) == 0)
        peer_check(ewi_net_get(shell.net, handle, option, &read) == 0);
}

static void step_look(void)
{
    struct shell_stream *stream = some_connection();
    struct net_tcp_info info;
    uint64_t since;

    if (stream == NULL)
        return;
    peer_check(ewi_net_tcp_info(shell.net, stream->handle, &info) == 0);
    peer_check(info.state < NET_TCP_STATES && info.bytes_acked <= stream->sent);
    ewi_net_silence(shell.net, stream->handle, &since);
    ewi_net_watch(shell.net, stream->handle, u8() & (STACK_READABLE | STACK_WRITABLE));
    peer_check(!stream->has_failed || ewi_net_error(shell.net, stream->handle) != 0);
}

static void step_udp(void)
{
    struct shell_stream *stream = some_stream();
    uint32_t how = u8(), flow = u8() % PEER_FLOWS;
    uint8_t *bytes;
    struct net_datagram datagram = {.remote = peer_end(flow), .bytes = ONE_OF(0, 1, 100, 1472, 3000)};

    if (shell.has_datagram) {
        ewi_net_udp_release(shell.net, &shell.datagram);
        shell.has_datagram = false;
    }
    if (stream == NULL || !stream->is_udp || stream->is_finished)
        return;
    if ((how & 3) == 0) {
        shell.has_datagram = ewi_net_udp_recv(shell.net, stream->handle, &shell.datagram) == 0;
        for (uint32_t i = 0; shell.has_datagram && !peer.is_wild && i < shell.datagram.bytes; i++)
            peer_check(shell.datagram.data[i] == user_byte(i));
    } else if ((how & 3) == 3 && (how & 0x70) == 0x70) {
        peer_check(ewi_net_udp_close(shell.net, stream->handle) == 0);
        stream->is_finished = true;
    } else {
        datagram.data = bytes = calloc(1, datagram.bytes + 1);
        ewi_net_udp_send(shell.net, stream->handle, &datagram, shell.now);
        free(bytes);
    }
}

static void step_udp_open(void)
{
    struct shell_stream *stream = shell_new_stream();
    uint32_t how = u8(), flow = how % PEER_FLOWS;
    struct stack_addr local = {.family = peer_is_ip6(flow) ? 6 : 4, .port = 7000};
    struct stack_addr remote = peer_end(flow);
    ewi_stream handle;

    if (stream == NULL ||
        ewi_net_udp_open(shell.net, &local, (how & 16) != 0 ? &remote : NULL, shell_user(stream),
                         shell.now, &handle) != 0)
        return;
    stream = shell_keep_stream(handle);
    stream->is_udp = true;
}

static void datagram_arrives(void)
{
    uint32_t flow = u8() % PEER_FLOWS, how = u8();

    gives(peer_udp(last, flow, (how & 32) != 0 ? 7001 : 7000, ONE_OF(0, 1, 100, 1400, 3000)),
          how & 31);
}

/* ---- time and frames ---- */

static void time_passes(uint64_t ns)
{
    shell.now += ns;
    peer.clock = (uint32_t)(shell.now / MS);
}

static void step_time(void)
{
    uint64_t deadline = ewi_net_deadline(shell.net), scale = u8(), ahead = 0;

    if (deadline != NET_NEVER && deadline > shell.now)
        ahead = deadline - shell.now;
    time_passes((const uint64_t[]){ahead, ahead > 0 ? ahead - 1 : 0, scale * 1000, scale * MS,
                                   scale * MS * 10, scale / 16 * SECOND, UINT64_C(61) * SECOND,
                                   ahead}[u8() % 8]);
    ewi_net_tick(shell.net, shell.now);
}

static void step_output(void)
{
    shell_outputs(1 + u8() % SHELL_FRAMES);
}

static void step_events(void)
{
    shell_events(1 + u8() % 8);
}

static void step_mtu(void)
{
    uint16_t mtu = (uint16_t)ONE_OF(1280, 1500, 4000, 9000);

    shell_rests(); /* what waits already was made for the old one */
    if (ewi_net_port_set_mtu(shell.net, 0, mtu) == 0)
        shell.port.mtu = mtu;
}

/* A peer that plays along for a while; each round takes some time, and the user may send more. */
static void step_obliging(void)
{
    uint32_t flow = u8() % PEER_FLOWS, rounds = 1 + u8() % 32, payload = ONE_OF(0, 1, 1000, 1448);
    uint64_t delay = (uint64_t)ONE_OF(0, 10000, 1, 200) * 1000;
    struct shell_stream *stream = (u8() & 1) != 0 ? some_connection() : NULL;
    const uint32_t length = 20000;

    while (rounds-- > 0) {
        if (stream != NULL)
            sends(stream, &length, 1);
        shell_rests();
        time_passes(delay);
        says_flags(flow, NET_TCP_ACK, payload);
    }
}

#include "tests/fuzz/net_finale.h"
#include "tests/fuzz/net_starts.h"

static void (*const step[])(void) = {
    segment_arrives, segment_arrives, segment_arrives, segment_arrives, segment_arrives,
    segment_arrives, step_time,       step_time,       step_send,       step_receive,
    step_tokens,     step_release,    step_accept,     step_connect,    step_listen,
    step_shutdown,   step_finish,     step_option,     step_look,       step_udp,
    step_udp_open,   step_output,     step_events,     step_mtu,        step_obliging,
    error_arrives,   error_arrives,   echo_arrives,    pieces_arrive,   pieces_arrive,
    bytes_arrive,    packet_changed,  packet_again,    neighbour_speaks, datagram_arrives,
    flood_arrives,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t steps = 0;

    input.at = data;
    input.end = data + size;
    last_bytes = 0;
    memset(is_fickle, 0, sizeof(is_fickle));
    is_short = false;
    start();
    shell_judge();
    while (input.at < input.end && steps++ < STEPS_MAX) {
        uint8_t chosen = u8();

        step[(chosen & ~LATER) % (sizeof(step) / sizeof(step[0]))]();
        if ((chosen & LATER) == 0)
            shell_rests();
        shell_judge();
    }
    if (shell.batch_count > 0)
        shell_give_batch();
    finale();
    shell_end();
    return 0;
}
