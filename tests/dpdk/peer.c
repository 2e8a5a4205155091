/* Our stack on a device: answers echoes, and whatever connects to TCP port 7 gets its bytes back.
 *
 * usage: dpdk_peer TEXT MTU [ADDRESS/BITS...]   until standard input ends or says something
 *
 * Says what it is on one line, waits as an application would (asleep when the device can), and at the
 * end what it counted and how many buffers are not back. */
#include <arpa/inet.h>
#include <poll.h>

#include "shm/base.h"
#include "tests/dpdk/dpdk_base.h"

enum { CONNS = 64, NAP_NS = 200000, ECHO_PORT = 7, REST = 1 << 17 };

static struct {
    struct device *device;
    struct ewi_net *net;
    struct net_frame frames[DEVICE_BURST];
    uint64_t sleeps;
    uint8_t bytes[REST]; /* of one connection: what came back is sent from here */
    uint64_t taken, given, released; /* of this round through bytes; the stream's, before it */
    ewi_stream stream;
} peer;

static void give_back(void)
{
    void *refs[DEVICE_BURST];
    uint32_t count;

    while ((count = ewi_net_reclaim(peer.net, refs, DEVICE_BURST)) != 0)
        dpdk_ops->give_back(peer.device, refs, count);
}

static bool receive(uint64_t now)
{
    struct net_rx packets[DEVICE_BURST];
    uint32_t count = dpdk_ops->receive(peer.device, packets, DEVICE_BURST);

    ewi_net_input(peer.net, now, packets, count);
    for (uint32_t i = 0; i < count; i++)
        if (!(packets[i].flags & NET_RX_KEPT))
            dpdk_ops->give_back(peer.device, &packets[i].ref, 1);
    give_back();
    return count > 0;
}

static bool transmit(uint64_t now)
{
    uint32_t armed = dpdk_ops->arm(peer.device, peer.frames, DEVICE_BURST);
    uint32_t count = ewi_net_output(peer.net, now, peer.frames, armed);
    uint32_t sent = dpdk_ops->transmit(peer.device, peer.frames, count);

    /* what was not taken is lost, as on any wire; its rooms are used again */
    memmove(peer.frames, peer.frames + sent, (DEVICE_BURST - sent) * sizeof(peer.frames[0]));
    memset(peer.frames + DEVICE_BURST - sent, 0, sent * sizeof(peer.frames[0]));
    return count > 0;
}

/* One connection at a time; memory is reused when the peer has acknowledged all of it. */
static void echo(uint64_t now)
{
    struct stack_room room = {.base = peer.bytes + peer.taken, .bytes = REST - peer.taken};
    struct stack_span span = {.base = peer.bytes + peer.given, .bytes = peer.taken - peer.given};
    int64_t sent, got = room.bytes == 0 ? -EAGAIN : ewi_net_recv_into(peer.net, peer.stream, &room, 1);

    if (got > 0) {
        peer.taken += (uint64_t)got;
        span.bytes += (size_t)got;
    }
    if (span.bytes > 0 && (sent = ewi_net_send(peer.net, peer.stream, &span, 1)) > 0)
        peer.given += (uint64_t)sent;
    if (got == 0 && peer.given == peer.taken)
        (void)ewi_net_finish(peer.net, peer.stream, false, now);
}

static void reuse(void)
{
    uint64_t released = 0;

    if (peer.taken < REST || ewi_net_released(peer.net, peer.stream, &released) != 0)
        return;
    if (released - peer.released == REST) {
        peer.released = released;
        peer.taken = peer.given = 0;
    }
}

static void handle_events(uint64_t now)
{
    struct stack_event events[DEVICE_BURST];
    uint32_t count;

    while ((count = ewi_net_events(peer.net, events, DEVICE_BURST)) != 0)
        for (uint32_t i = 0; i < count; i++)
            if ((events[i].bits & STACK_ACCEPT) &&
                ewi_net_accept(peer.net, events[i].stream, 1, &peer.stream) == 0)
                peer.taken = peer.given = peer.released = 0;
    if (peer.stream != 0) {
        reuse();
        echo(now);
    }
}

static bool is_over(int timeout, int fd)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    CHECK(poll(fds, fd >= 0 ? 2 : 1, timeout) >= 0);
    return fds[0].revents != 0;
}

static bool rest(uint64_t now)
{
    uint64_t deadline = ewi_net_deadline(peer.net), left = deadline > now ? deadline - now : 0;
    int fd = dpdk_ops->sleep_fd(peer.device), timeout = left > 1000000000 ? 1000 : (int)(left / 1000000);
    bool over;

    if (fd < 0) {
        usleep(NAP_NS / 1000);
        return is_over(0, -1);
    }
    if (timeout == 0 || dpdk_ops->sleep_arm(peer.device) != 0)
        return is_over(0, -1);
    peer.sleeps += 1;
    over = is_over(timeout, fd);
    dpdk_ops->sleep_disarm(peer.device);
    return over;
}

static void add_address(char *text)
{
    struct stack_addr address = {.family = strchr(text, ':') != NULL ? 6 : 4};
    char *bits = strchr(text, '/');

    CHECK(bits != NULL);
    *bits++ = '\0';
    CHECK(inet_pton(address.family == 4 ? AF_INET : AF_INET6, text, address.ip) == 1);
    CHECK_EQ(ewi_net_address_add(peer.net, 0, &address, (unsigned)atoi(bits), NET_ADDRESS_SURE), 0);
    address.port = ECHO_PORT;
    CHECK_EQ(ewi_net_listen(peer.net, &address, 8, 1, &peer.stream), 0);
    peer.stream = 0;
}

static void open_net(void)
{
    const struct device_facts *facts = dpdk_ops->facts(peer.device);
    struct net_port_config port = {.mtu = facts->mtu, .caps = facts->caps};
    uint8_t seed[32] = {1};
    struct net_config config;
    void *memory;

    memcpy(port.mac, facts->mac, sizeof(port.mac));
    ewi_net_config_for(&config, CONNS);
    config.packets_max = DPDK_PACKETS;
    config.slot_bytes = facts->mtu < 1280 ? 1280 : facts->mtu; /* of echoes */
    config.rx_bytes_max = (uint64_t)DPDK_PACKETS * facts->packet_charge;
    memory = aligned_alloc(4096, (ewi_net_bytes(&config) + 4095) / 4096 * 4096);
    CHECK(memory != NULL && ewi_net_bytes(&config) != 0);
    peer.net = ewi_net_init(memory, &config, seed, dpdk_now());
    CHECK_EQ(ewi_net_port_add(peer.net, &port), 0);
    printf("{\"event\":\"ready\",\"name\":\"%s\",\"driver\":\"%s\",\"mtu\":%u,\"caps\":%u,"
           "\"can_sleep\":%s,\"why\":\"%s\",\"charge\":%u}\n",
           facts->name, facts->driver, facts->mtu, facts->caps, facts->can_sleep ? "true" : "false",
           facts->why, facts->packet_charge);
}

static void say_end(void)
{
    struct device_counts counts;
    uint32_t rx, tx;

    dpdk_ops->counts(peer.device, &counts);
    ewi_dpdk_buffers(peer.device, &rx, &tx);
    printf("{\"event\":\"bye\",\"rx\":%llu,\"tx\":%llu,\"dropped\":%llu,\"missed\":%llu,\"errors\":%llu,"
           "\"no_buffer\":%llu,\"sleeps\":%llu,\"rx_used\":%u,\"tx_used\":%u}\n",
           (unsigned long long)counts.rx_packets, (unsigned long long)counts.tx_packets,
           (unsigned long long)counts.tx_dropped, (unsigned long long)counts.rx_missed,
           (unsigned long long)counts.rx_errors, (unsigned long long)counts.rx_no_buffer,
           (unsigned long long)peer.sleeps, rx, tx);
}

int main(int argc, char **argv)
{
    bool more = true, over = false;

    CHECK(argc >= 3);
    setvbuf(stdout, NULL, _IOLBF, 0);
    peer.device = dpdk_open_with(argv[1], (uint16_t)atoi(argv[2]));
    open_net();
    for (int i = 3; i < argc; i++)
        add_address(argv[i]);
    while (!over) {
        uint64_t now = dpdk_now();

        more = receive(now);
        ewi_net_tick(peer.net, now);
        handle_events(now);
        more = transmit(now) || more;
        handle_events(now);
        give_back();
        over = more ? is_over(0, -1) : rest(now);
    }
    say_end();
    dpdk_ops->close(peer.device);
    return 0;
}
