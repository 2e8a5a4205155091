/* tests/pkt/packetdrill/tool.h - packetdrill's part, for the test of the object: packets and sockets.
 *
 * Purpose    A test reads like a script: arrives(), departs(), calls through the table.
 * Shape      one remote end, 192.0.2.1 or 2001:db8::1, port REMOTE_PORT; begin() loads the object
 *            with flags, end() frees it
 * Owner      file-scope variables of the one program that includes it
 * Threads    the table may be called from two; the rest is for one
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants none
 * Ordering   none
 * Source     tests/pkt/packetdrill/abi.h
 */
#ifndef TESTS_PKT_PACKETDRILL_TOOL_H
#define TESTS_PKT_PACKETDRILL_TOOL_H

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/c/harness.h"
#include "tests/c/net_dissect.h"
#include "tests/pkt/packetdrill/abi.h"
#include "transport/net/order.h"

enum { LOCAL_PORT = 8080, REMOTE_PORT = 40000, ISS = 1000, PACKET_BYTES = 2048 };

typedef void (*init_fn)(const char *flags, struct packetdrill_interface *interface);

static init_fn init;
static struct packetdrill_interface tool;
static bool is_ip6;
static uint8_t packet[PACKET_BYTES]; /* what arrived last */
static struct dissected seen;
static long long seen_us;
static const uint8_t local4[4] = {192, 168, 0, 1}, remote4[4] = {192, 0, 2, 1};
static const uint8_t local6[16] = {0xfd, 0x3d, 0x0a, 0x0b, 0x17, 0xd6, [15] = 1};
static const uint8_t remote6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static void begin(const char *flags)
{
    memset(&tool, 0, sizeof(tool));
    is_ip6 = false;
    init(flags, &tool);
}

static void end(void)
{
    tool.free(tool.userdata);
}

/* ---- packets ---- */

static uint32_t addresses(void)
{
    return is_ip6 ? ewi_net_sum_ip6(remote6, local6)
                  : ewi_net_sum_ip4(ewi_net_get_u32(remote4), ewi_net_get_u32(local4));
}

/* The peer sends: behind room for its IP header there are `bytes` bytes. */
static void arrives_ip(uint8_t *out, uint8_t protocol, size_t bytes)
{
    struct net_ip4 four = {.source = ewi_net_get_u32(remote4),
                           .destination = ewi_net_get_u32(local4),
                           .payload_bytes = (uint16_t)bytes,
                           .hop_limit = 64,
                           .protocol = protocol};
    struct net_ip6 six = {.payload_bytes = (uint16_t)bytes, .hop_limit = 64, .next = protocol};

    memcpy(six.source, remote6, 16);
    memcpy(six.destination, local6, 16);
    bytes += is_ip6 ? ewi_net_ip6_build(out, &six) : ewi_net_ip4_build(out, &four);
    CHECK_EQ(tool.netdev_send(tool.userdata, out, bytes), 0);
}

static size_t head(void)
{
    return is_ip6 ? NET_IP6_BYTES : NET_IP4_BYTES;
}

static void arrives(struct net_tcp tcp, const char *payload)
{
    uint8_t out[PACKET_BYTES];
    size_t length = strlen(payload), bytes;

    tcp.source_port = REMOTE_PORT;
    tcp.destination_port = seen.tcp.source_port != 0 ? seen.tcp.source_port : LOCAL_PORT;
    tcp.window = 1000;
    bytes = ewi_net_tcp_build(out + head(), &tcp, NET_TCP_ORDER_LINUX, addresses(),
                              ewi_net_sum(payload, length), length);
    memcpy(out + head() + bytes, payload, length);
    arrives_ip(out, NET_TCP, bytes + length);
}

/* The next packet of the stack; false: it will never send one. */
static bool anything_departs(void)
{
    size_t bytes = sizeof(packet);

    CHECK_EQ(tool.netdev_receive(tool.userdata, packet, &bytes, &seen_us), 0);
    if (bytes == 0)
        return false;
    memset(&seen, 0, sizeof(seen));
    CHECK_EQ(is_ip6 ? dissect_ip6(packet, bytes, &seen) : dissect_ip4(packet, bytes, &seen), NET_OK);
    return true;
}

static void departs(uint8_t flags)
{
    CHECK(anything_departs());
    CHECK_EQ(seen.tcp.flags & ~NET_TCP_PSH, flags);
}

static struct net_tcp segment(uint8_t flags, uint32_t sequence, uint32_t acknowledgment)
{
    return (struct net_tcp){
        .flags = flags, .sequence = sequence, .acknowledgment = acknowledgment};
}

static struct net_tcp syn(uint8_t flags, uint32_t acknowledgment)
{
    struct net_tcp tcp = segment(flags, ISS, acknowledgment);

    tcp.has = NET_TCP_HAS_MSS | NET_TCP_HAS_SCALE | NET_TCP_HAS_SACK_PERMITTED;
    tcp.mss = 1460;
    tcp.scale = 7;
    return tcp;
}

static long long clock_us(void)
{
    struct timeval now;

    CHECK_EQ(tool.gettimeofday(tool.userdata, &now, NULL), 0);
    return (long long)now.tv_sec * 1000000 + now.tv_usec;
}

/* ---- sockets ---- */

static socklen_t address(struct sockaddr_storage *out, bool is_local, uint16_t port)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    if (is_ip6) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        memcpy(&six->sin6_addr, is_local ? local6 : remote6, 16);
        return sizeof(*six);
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    memcpy(&four->sin_addr, is_local ? local4 : remote4, 4);
    return sizeof(*four);
}

static int new_socket(int type)
{
    int fd = tool.socket(tool.userdata, is_ip6 ? AF_INET6 : AF_INET, type, 0);

    CHECK(fd > 1 << 20); /* no descriptor of a process's own */
    return fd;
}

static int listener(void)
{
    struct sockaddr_storage local;
    int fd = new_socket(SOCK_STREAM);

    memset(&seen, 0, sizeof(seen));
    CHECK_EQ(tool.bind(tool.userdata, fd, (void *)&local, address(&local, true, LOCAL_PORT)), 0);
    CHECK_EQ(tool.listen(tool.userdata, fd, 1), 0);
    return fd;
}

static uint32_t our_next(void) /* what the stack has sent, acknowledged */
{
    return seen.tcp.sequence + (uint32_t)seen.payload_bytes +
           ((seen.tcp.flags & (NET_TCP_SYN | NET_TCP_FIN)) != 0);
}

static int accepted(void)
{
    struct sockaddr_storage from;
    socklen_t bytes = sizeof(from);
    int fd = listener(), stream;

    arrives(syn(NET_TCP_SYN, 0), "");
    departs(NET_TCP_SYN | NET_TCP_ACK);
    CHECK_EQ(seen.tcp.acknowledgment, ISS + 1);
    arrives(segment(NET_TCP_ACK, ISS + 1, our_next()), "");
    stream = tool.accept(tool.userdata, fd, (void *)&from, &bytes);
    CHECK(stream > fd && from.ss_family == (is_ip6 ? AF_INET6 : AF_INET));
    return stream;
}

#endif
