/* bench/c/net_relay.c - a wire between two stacks: rate, delay, queue, seeded loss and reordering.
 *
 * net_relay [OPTIONS] END END
 * An END is the path of a network namespace, where a TUN device is made (its name: -n), or a number: a
 * descriptor of a socket that keeps the boundaries of packets. Packets go both ways through a queue of
 * -q bytes that leaves at -r bits/s, and arrive -d microseconds later. -l and -o are parts of a million
 * that are lost, or late by up to -h microseconds more, from the first end to the second; -L and -O the
 * other way. It prints "ready", and at the end of stdin one line of JSON.
 */
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include "tests/net/tun_device.h"

enum { PACKET_BYTES = 2048, PACKETS = 1 << 15, BURST = 32 };

struct late {
    uint64_t at;
    uint32_t bytes;
    uint8_t *buffer;
};

struct way { /* from one end to the other */
    struct tun_wire wire;
    uint64_t busy_until; /* the last packet of the queue leaves then */
    uint64_t packets, queue_drops;
    struct late late[PACKETS]; /* on their way, oldest first */
    uint32_t first, count;
};

static struct {
    int fd[2];
    struct way way[2];
    struct tun_buffers buffers;
    uint64_t bits_per_s, delay_ns, queue_bytes;
} relay;

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- a packet ---- */

static void put_late(struct way *way, uint64_t at, uint8_t *buffer, uint32_t bytes)
{
    if (way->count == PACKETS) {
        way->queue_drops += 1;
        tun_give(&relay.buffers, buffer);
        return;
    }
    way->late[(way->first + way->count++) % PACKETS] = (struct late){at, bytes, buffer};
}

static void take(struct way *way, uint64_t now, uint8_t *buffer, uint32_t bytes)
{
    uint64_t start = ewi_max_u64(now, way->busy_until), queued;

    way->packets += 1;
    queued = (start - now) * relay.bits_per_s / 8 / 1000000000;
    if (queued + bytes > relay.queue_bytes) {
        way->queue_drops += 1;
        tun_give(&relay.buffers, buffer);
        return;
    }
    way->busy_until = start + (uint64_t)bytes * 8 * 1000000000 / relay.bits_per_s;
    switch (tun_wire_judge(&way->wire, way->busy_until + relay.delay_ns, buffer, bytes)) {
    case TUN_PASSES:
        put_late(way, way->busy_until + relay.delay_ns, buffer, bytes);
        break;
    case TUN_LOST:
        tun_give(&relay.buffers, buffer);
        break;
    case TUN_HELD:
        break;
    }
}

static void deliver(int fd, uint8_t *buffer, uint32_t bytes)
{
    (void)!write(fd, buffer, bytes); /* an end that is gone or full loses it */
    tun_give(&relay.buffers, buffer);
}

static void receive(int from, uint64_t now)
{
    for (int i = 0; i < BURST; i++) {
        uint8_t *buffer = tun_take(&relay.buffers);
        ssize_t got;

        if (buffer == NULL)
            return;
        got = read(relay.fd[from], buffer, PACKET_BYTES);
        if (got <= 0) {
            tun_give(&relay.buffers, buffer);
            return;
        }
        take(&relay.way[from], now, buffer, (uint32_t)got);
    }
}

static void release(int from, uint64_t now)
{
    struct way *way = &relay.way[from];
    struct tun_held held;

    while (way->count != 0 && way->late[way->first].at <= now) {
        deliver(relay.fd[1 - from], way->late[way->first].buffer, way->late[way->first].bytes);
        way->first = (way->first + 1) % PACKETS;
        way->count -= 1;
    }
    while (tun_wire_due(&way->wire, now, &held))
        deliver(relay.fd[1 - from], held.buffer, held.bytes);
}

static uint64_t deadline(void)
{
    uint64_t at = UINT64_MAX;

    for (int i = 0; i < 2; i++) {
        if (relay.way[i].count != 0)
            at = ewi_min_u64(at, relay.way[i].late[relay.way[i].first].at);
        at = ewi_min_u64(at, tun_wire_deadline(&relay.way[i].wire));
    }
    return at;
}

/* ---- start and end ---- */

_Noreturn static void usage(const char *what)
{
    fprintf(stderr, "net_relay: %s\n"
                    "net_relay [-s SEED] [-r BITS/S] [-d DELAY_US] [-q QUEUE_BYTES] [-l LOSS_PPM] "
                    "[-o REORDER_PPM] [-L LOSS_PPM] [-O REORDER_PPM] [-h HOLD_US] [-n DEVICE] END END\n",
            what);
    exit(2);
}

static int open_end(const char *text, const char *device)
{
    char *end;
    long number = strtol(text, &end, 10);
    int space, fd;

    if (*end == '\0' && end != text) {
        fcntl((int)number, F_SETFL, fcntl((int)number, F_GETFL) | O_NONBLOCK);
        return (int)number;
    }
    space = open(text, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) != 0)
        usage(text);
    close(space);
    fd = tun_open(device, false);
    if (fd < 0)
        usage(strerror(-fd));
    return fd;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

static void parse(int argc, char **argv)
{
    const char *device = "t0";
    uint64_t seed = 1, hold_us = 0;
    int c;

    relay.bits_per_s = 200000000;
    relay.queue_bytes = 1 << 20;
    while ((c = getopt(argc, argv, "s:r:d:q:l:o:L:O:h:n:")) != -1) {
        switch (c) {
        case 's': seed = number(optarg); break;
        case 'r': relay.bits_per_s = number(optarg); break;
        case 'd': relay.delay_ns = number(optarg) * 1000; break;
        case 'q': relay.queue_bytes = number(optarg); break;
        case 'l': relay.way[0].wire.loss_ppm = (uint32_t)number(optarg); break;
        case 'o': relay.way[0].wire.reorder_ppm = (uint32_t)number(optarg); break;
        case 'L': relay.way[1].wire.loss_ppm = (uint32_t)number(optarg); break;
        case 'O': relay.way[1].wire.reorder_ppm = (uint32_t)number(optarg); break;
        case 'h': hold_us = number(optarg); break;
        case 'n': device = optarg; break;
        default: usage("what?");
        }
    }
    if (argc - optind != 2 || relay.bits_per_s == 0)
        usage("two ends, and a rate");
    for (int i = 0; i < 2; i++) {
        relay.way[i].wire.random.state = seed * 2 + (uint64_t)i;
        relay.way[i].wire.longest = UINT32_MAX;
        relay.way[i].wire.hold_ns = hold_us * 1000 + 1;
        relay.fd[i] = open_end(argv[optind + i], device);
    }
}

static void report(void)
{
    printf("{");
    for (int i = 0; i < 2; i++)
        printf("%s\"%s\":{\"packets\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"late\":%" PRIu64
               ",\"queue_drops\":%" PRIu64 "}",
               i == 0 ? "" : ",", i == 0 ? "there" : "back", relay.way[i].packets,
               relay.way[i].wire.lost, relay.way[i].wire.reordered, relay.way[i].queue_drops);
    printf("}\n");
}

int main(int argc, char **argv)
{
    struct pollfd fds[3] = {{.fd = STDIN_FILENO, .events = POLLIN}};

    parse(argc, argv);
    tun_buffers_open(&relay.buffers, 2 * PACKETS + 2 * TUN_HELD_MAX + 2, PACKET_BYTES);
    prctl(PR_SET_TIMERSLACK, 1);
    printf("ready\n");
    fflush(stdout);
    for (int i = 0; i < 2; i++)
        fds[i + 1] = (struct pollfd){.fd = relay.fd[i], .events = POLLIN};
    while (fds[0].revents == 0) {
        uint64_t now = clock_ns(), at;
        struct timespec wait = {0};

        for (int i = 0; i < 2; i++) {
            receive(i, now);
            release(i, now);
        }
        at = deadline();
        now = clock_ns();
        if (at > now)
            wait = (struct timespec){(time_t)((at - now) / 1000000000), (long)((at - now) % 1000000000)};
        ppoll(fds, 3, at == UINT64_MAX ? NULL : &wait, NULL);
    }
    report();
    return 0;
}
