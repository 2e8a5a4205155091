/* tests/net/tun_device.h - a TUN or TAP device, buffers for its frames, and a seeded bad wire.
 *
 * Purpose    What a shell of struct ewi_net needs to talk with the Linux kernel of this machine.
 * Shape      device    one descriptor, IFF_NO_PI, without offloads; the name is the caller's
 *            buffers   a stack of free ones; the whole of each is charged
 *            wire      one for each direction: what is lost, what is held back so that others overtake
 *            A device that is full makes the caller wait: writes to TUN do not fail for want of room.
 * Owner      whoever opened it; all is given back when the process ends
 * Threads    one
 * Trust      the kernel is not hostile; frames are judged by the stack
 * Errors     negative errno from tun_open; CHECK for everything else
 * Invariants I1  a buffer is free, or has one holder: the stack, or a wire that holds it back.
 *            I2  the same seed drops and holds the same frames of the same sequence.
 * Ordering   none
 * Source     Linux Documentation/networking/tuntap.rst; pcap: draft-ietf-opsawg-pcap
 */
#ifndef TESTS_NET_TUN_DEVICE_H
#define TESTS_NET_TUN_DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "shm/base.h"
#include "tests/c/harness.h"

enum { TUN_HELD_MAX = 256, TUN_PCAP_RAW = 101, TUN_PCAP_ETHERNET = 1 };

/* A descriptor, or negative errno. The kernel's side has to be configured by somebody else. */
static inline int tun_open(const char *name, bool is_tap)
{
    struct ifreq request = {.ifr_flags = (short)((is_tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI)};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int code = -errno;

        close(fd);
        return code;
    }
    return fd;
}

/* ---- buffers ---- */

struct tun_buffers {
    uint8_t **free; /* a stack */
    uint32_t count, bytes;
};

static inline void tun_buffers_open(struct tun_buffers *buffers, uint32_t count, uint32_t bytes)
{
    uint8_t *memory = malloc((size_t)count * bytes);

    buffers->free = calloc(count, sizeof(*buffers->free));
    CHECK(memory != NULL && buffers->free != NULL);
    buffers->bytes = bytes;
    for (buffers->count = 0; buffers->count < count; buffers->count++)
        buffers->free[buffers->count] = memory + (size_t)buffers->count * bytes;
}

static inline uint8_t *tun_take(struct tun_buffers *buffers)
{
    return buffers->count == 0 ? NULL : buffers->free[--buffers->count];
}

static inline void tun_give(struct tun_buffers *buffers, void *buffer)
{
    buffers->free[buffers->count++] = buffer;
}

/* ---- a bad wire ---- */

struct tun_held {
    uint64_t at;
    uint8_t *buffer;
    uint32_t bytes;
};

struct tun_wire {
    struct harness_random random;
    uint32_t loss_ppm, reorder_ppm;
    uint64_t hold_ns;      /* at most so long */
    uint32_t longest;      /* longer frames vanish: a black hole of path MTU discovery */
    uint32_t mark_ppm;     /* of bare IP packets whose transport knows ECN: marked as a router does */
    uint64_t lost, reordered, marked;
    struct tun_held held[TUN_HELD_MAX];
    uint32_t held_count;
};

enum tun_fate { TUN_PASSES, TUN_LOST, TUN_HELD };

static inline bool tun_happens(struct tun_wire *wire, uint32_t ppm)
{
    return ppm != 0 && harness_next(&wire->random) % 1000000 < ppm;
}

/* RFC 3168 section 5: CE, if it is a packet of an ECN-capable transport. The sum: RFC 1624. */
static inline bool tun_mark(uint8_t *packet)
{
    uint32_t sum;

    if (packet[0] >> 4 == 6) {
        if ((packet[1] & 0x30) == 0)
            return false;
        packet[1] |= 0x30;
        return true;
    }
    if ((packet[1] & 3) == 0)
        return false;
    sum = (uint32_t)(packet[10] << 8 | packet[11]) + (packet[1] & 3) + 0xffff - 3;
    sum = (sum & 0xffff) + (sum >> 16);
    packet[1] |= 3;
    packet[10] = (uint8_t)(sum >> 8);
    packet[11] = (uint8_t)sum;
    return true;
}

/* HELD: the buffer is the wire's until tun_wire_due. */
static inline enum tun_fate tun_wire_judge(struct tun_wire *wire, uint64_t now, uint8_t *buffer,
                                           uint32_t bytes)
{
    if (tun_happens(wire, wire->loss_ppm) || bytes > wire->longest) {
        wire->lost += 1;
        return TUN_LOST;
    }
    if (tun_happens(wire, wire->mark_ppm) && tun_mark(buffer))
        wire->marked += 1;
    if (!tun_happens(wire, wire->reorder_ppm) || wire->held_count == TUN_HELD_MAX)
        return TUN_PASSES;
    wire->reordered += 1;
    wire->held[wire->held_count++] = (struct tun_held){
        .at = now + harness_next(&wire->random) % wire->hold_ns, .buffer = buffer, .bytes = bytes};
    return TUN_HELD;
}

static inline uint64_t tun_wire_deadline(const struct tun_wire *wire)
{
    uint64_t at = UINT64_MAX;

    for (uint32_t i = 0; i < wire->held_count; i++)
        at = ewi_min_u64(at, wire->held[i].at);
    return at;
}

/* One that was held long enough. */
static inline bool tun_wire_due(struct tun_wire *wire, uint64_t now, struct tun_held *out)
{
    for (uint32_t i = 0; i < wire->held_count; i++) {
        if (wire->held[i].at > now)
            continue;
        *out = wire->held[i];
        wire->held[i] = wire->held[--wire->held_count];
        return true;
    }
    return false;
}

/* ---- a record of frames ---- */

struct tun_pcap_frame {
    uint32_t seconds, micros, bytes, length;
};

static inline FILE *tun_pcap_open(const char *path, bool is_tap)
{
    const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535,
                              is_tap ? TUN_PCAP_ETHERNET : TUN_PCAP_RAW};
    FILE *file = fopen(path, "w");

    CHECK(file != NULL && fwrite(head, sizeof(head), 1, file) == 1);
    return file;
}

static inline void tun_pcap(FILE *file, uint64_t now, const uint8_t *frame, uint32_t bytes)
{
    struct tun_pcap_frame head = {(uint32_t)(now / 1000000000), (uint32_t)(now / 1000 % 1000000),
                                  bytes, bytes};

    if (file != NULL)
        CHECK(fwrite(&head, sizeof(head), 1, file) == 1 && fwrite(frame, bytes, 1, file) == 1);
}

#endif
