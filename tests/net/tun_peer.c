/* tests/net/tun_peer.c - struct ewi_net on a TUN or TAP device, driven by lines on stdin.
 *
 * tests/python/test_net_kernel.py and bench/net_goodput.py talk to it; `help` lists the commands. One
 * thread, poll(2), the real clock. What happens is told in lines of JSON on stdout; at the end of
 * stdin, or with `quit`, the counters are told.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>

#include "shm/sleep.h"
#include "tests/net/tun_commands.h"

/* ---- frames ---- */

static void hand_in(uint64_t now, uint8_t *buffer, uint32_t bytes)
{
    struct net_rx rx = {.data = buffer,
                        .ref = peer.copies ? NULL : buffer,
                        .bytes = bytes,
                        .room = peer.buffers.bytes - bytes,
                        .charge = peer.buffers.bytes,
                        .port = (uint16_t)peer.port};

    tun_pcap(peer.pcap, now, buffer, bytes);
    ewi_net_input(peer.net, now, &rx, 1);
    if (!(rx.flags & NET_RX_KEPT))
        tun_give(&peer.buffers, buffer);
}

static void device_failed(void)
{
    if (errno != EAGAIN && errno != EINTR && errno != EIO && errno != ENOBUFS)
        peer.is_device_gone = true; /* EBADFD: the device was deleted. EIO: it is down */
}

/* True: there may be more. */
static bool receive(uint64_t now)
{
    struct tun_held held;

    while (tun_wire_due(&peer.in, now, &held))
        hand_in(now, held.buffer, held.bytes);
    for (int i = 0; i < BURST; i++) {
        uint8_t *buffer = tun_take(&peer.buffers);
        ssize_t got;

        if (buffer == NULL)
            return false; /* the stack has them all: the kernel waits */
        got = read(peer.fd, buffer, peer.buffers.bytes - ROOM);
        if (got <= 0) {
            device_failed();
            tun_give(&peer.buffers, buffer);
            return false;
        }
        switch (tun_wire_judge(&peer.in, now, buffer, (uint32_t)got)) {
        case TUN_PASSES:
            hand_in(now, buffer, (uint32_t)got);
            break;
        case TUN_LOST:
            tun_give(&peer.buffers, buffer);
            break;
        case TUN_HELD:
            break;
        }
    }
    return true;
}

static void put_out(uint64_t now, const uint8_t *frame, uint32_t bytes)
{
    tun_pcap(peer.pcap, now, frame, bytes);
    if (write(peer.fd, frame, bytes) < 0)
        device_failed(); /* a frame that the device does not take is lost */
}

static void send_frame(uint64_t now, struct net_frame *frame)
{
    switch (tun_wire_judge(&peer.out, now, frame->room, frame->bytes)) {
    case TUN_PASSES:
        put_out(now, frame->room, frame->bytes);
        break;
    case TUN_LOST:
        break;
    case TUN_HELD: /* the buffer is the wire's now */
        frame->room = tun_take(&peer.buffers);
        CHECK(frame->room != NULL);
        break;
    }
}

/* True: there may be more. */
static bool transmit(uint64_t now)
{
    struct tun_held held;
    uint32_t count;

    while (tun_wire_due(&peer.out, now, &held)) {
        put_out(now, held.buffer, held.bytes);
        tun_give(&peer.buffers, held.buffer);
    }
    count = ewi_net_output(peer.net, now, peer.frames, BURST);
    for (uint32_t i = 0; i < count; i++)
        send_frame(now, &peer.frames[i]);
    return count == BURST;
}

static void reclaim(void)
{
    void *refs[BURST];
    uint32_t count;

    while ((count = ewi_net_reclaim(peer.net, refs, BURST)) != 0)
        for (uint32_t i = 0; i < count; i++)
            tun_give(&peer.buffers, refs[i]);
}

/* ---- the loop ---- */

static void handle_events(void)
{
    struct stack_event events[BURST];
    uint32_t count;

    while ((count = ewi_net_events(peer.net, events, BURST)) != 0)
        for (uint32_t i = 0; i < count; i++)
            stream_event(&peer.streams, &events[i]);
}

static void sleep_until(uint64_t deadline)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = peer.is_device_gone ? -1 : peer.fd, .events = POLLIN}};
    uint64_t now = ewi_now_ns();
    uint64_t wait = deadline > now ? deadline - now : 0;
    struct timespec timeout = {(time_t)(wait / 1000000000), (long)(wait % 1000000000)};

    fflush(stdout);
    if (peer.buffers.count == 0)
        fds[1].fd = -1;
    if (ppoll(fds, 2, deadline == UINT64_MAX ? NULL : &timeout, NULL) > 0 && fds[0].revents != 0)
        lines_read(&peer.lines, commands, sizeof(commands) / sizeof(commands[0]));
}

static void check(void)
{
    const char *broken = peer.checks && ++peer.loops % CHECK_EVERY == 0 ? ewi_net_check(peer.net)
                                                                       : NULL;

    if (broken != NULL) {
        fprintf(stderr, "tun_peer: broken: %s\n", broken);
        exit(3);
    }
}

static void turn(void)
{
    uint64_t now = ewi_now_ns(), deadline;
    bool more;

    peer.streams.now = now;
    more = receive(now);
    ewi_net_tick(peer.net, now);
    handle_events();
    more = transmit(now) || more;
    handle_events(); /* a connection may end by sending */
    reclaim();
    check();
    deadline = ewi_min_u64(ewi_net_deadline(peer.net), ewi_min_u64(tun_wire_deadline(&peer.in),
                                                                   tun_wire_deadline(&peer.out)));
    sleep_until(more ? 0 : deadline);
}

/* ---- start ---- */

static void open_net(void)
{
    struct net_config config;
    struct net_port_config port = {.mac = {2, 0, 0x5e, 0, 0, 2},
                                   .mtu = peer.mtu,
                                   .caps = peer.is_tap ? NET_PORT_ETHERNET : 0};
    uint8_t seed[32] = {0};
    void *memory;

    ewi_net_config_for(&config, peer.conns);
    config.slot_bytes = UINT16_MAX; /* datagrams of any length */
    config.slots_max = 128;
    memcpy(seed, &peer.seed, sizeof(peer.seed));
    memory = aligned_alloc(4096, (ewi_net_bytes(&config) + 4095) / 4096 * 4096);
    CHECK(memory != NULL);
    peer.net = ewi_net_init(memory, &config, seed, ewi_now_ns());
    CHECK(peer.net != NULL);
    peer.port = ewi_net_port_add(peer.net, &port);
    CHECK(peer.port >= 0);
    peer.link_bytes = peer.is_tap ? 14 : 0;
    tun_buffers_open(&peer.buffers, config.packets_max + 2 * TUN_HELD_MAX + 2 * BURST,
                     (uint32_t)(peer.mtu + ROOM + 511) / 512 * 512);
    for (int i = 0; i < BURST; i++)
        peer.frames[i] = (struct net_frame){.room = tun_take(&peer.buffers),
                                            .room_bytes = peer.buffers.bytes};
    peer.streams.net = peer.net;
    streams_open(&peer.streams, peer.seed);
}

static void wire_open(struct tun_wire *wire, uint64_t seed)
{
    wire->random.state = seed;
    wire->longest = UINT32_MAX;
    wire->hold_ns = 1;
}

static void add_address(const char *text)
{
    bool is_sure = text[0] != '?';
    unsigned bits;
    struct stack_addr at = network(text + !is_sure, &bits);
    int code = ewi_net_address_add(peer.net, peer.port, &at, bits, is_sure ? NET_ADDRESS_SURE : 0);

    if (code != 0)
        usage(text);
}

/* NETWORK/BITS,GATEWAY */
static void add_route(char *text)
{
    char *comma = strchr(text, ',');
    char via_text[96];
    unsigned bits, ignored;
    struct stack_addr to, via;

    if (comma == NULL)
        usage(text);
    *comma = '\0';
    snprintf(via_text, sizeof(via_text), "%s/0", comma + 1);
    to = network(text, &bits);
    via = network(via_text, &ignored);
    if (ewi_net_route_add(peer.net, &to, bits, peer.port, &via) != 0)
        usage(text);
}

/* Twice: first what the device needs, then what needs the stack. */
static void parse(int argc, char **argv, bool is_second, const char **device)
{
    int c;

    optind = 1;
    while ((c = getopt(argc, argv, "t:e:f:m:a:r:s:n:p:ckq")) != -1) {
        if ((c == 'a' || c == 'r') != is_second)
            continue;
        switch (c) {
        case 'a': add_address(optarg); break;
        case 'r': add_route(optarg); break;
        case 't': *device = optarg; break;
        case 'f': peer.fd = (int)number(optarg); break;
        case 'e': *device = optarg; peer.is_tap = true; break;
        case 'm': peer.mtu = (uint16_t)number(optarg); break;
        case 's': peer.seed = number(optarg); break;
        case 'n': peer.conns = (uint32_t)number(optarg); break;
        case 'p': peer.pcap = tun_pcap_open(optarg, peer.is_tap); break;
        case 'c': peer.copies = true; break;
        case 'k': peer.checks = true; break;
        case 'q': peer.streams.is_quiet = true; break;
        default:
            usage("(-t TUN | -e TAP | -f DESCRIPTOR) [-m MTU] [-a [?]ADDRESS/BITS]... [-r NETWORK/BITS,GATEWAY]... "
                  "[-s SEED] [-n CONNECTIONS] [-p PCAP] [-c: copy] [-k: check] [-q: quiet]");
        }
    }
}

int main(int argc, char **argv)
{
    const char *device = NULL;

    peer.fd = -1;
    peer.mtu = 1500;
    peer.conns = 1024;
    parse(argc, argv, false, &device);
    if (device != NULL)
        peer.fd = tun_open(device, peer.is_tap);
    if (peer.fd < 0)
        usage(device == NULL ? "no device" : strerror(-peer.fd));
    fcntl(peer.fd, F_SETFL, fcntl(peer.fd, F_GETFL) | O_NONBLOCK);
    wire_open(&peer.in, peer.seed * 2 + 1);
    wire_open(&peer.out, peer.seed * 2 + 2);
    open_net();
    parse(argc, argv, true, &device);
    signal(SIGPIPE, SIG_IGN);
    lines_open();
    printf("{\"event\":\"ready\"}\n");
    while (!peer.lines.is_ending)
        turn();
    do_counters(NULL);
    return 0;
}
