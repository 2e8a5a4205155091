/* tests/c/steer_base.h - a device in a test's hand below a steer, packets for it, and what each end gets.
 *
 * Purpose    What tests of transport/shell/steer.h share.
 * Shape      put_*() let a packet arrive; collect() asks every end; expect_*() say where one went
 * Owner      One device, `fake`, and its ends; close_ends() checks that every packet came back once.
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants I1  a packet is given back once, after it was received.
 * Ordering   none
 * Source     transport/shell/device.h
 */
#ifndef TESTS_C_STEER_BASE_H
#define TESTS_C_STEER_BASE_H

#include <errno.h>
#include <sys/eventfd.h>

#include "tests/c/harness.h"
#include "transport/shell/steer.h"

enum { PACKETS = 4096, BYTES = 4096 };

/* The device under the steer: what a test puts in comes out, and each packet goes back once. */
struct device {
    struct device_facts facts;
    uint8_t memory[PACKETS][BYTES];
    uint32_t bytes[PACKETS];
    uint32_t head, tail;
    uint8_t returned[PACKETS];
    uint32_t returned_count;
    int fd;
    bool is_open, is_armed, is_up;
    uint32_t arms, disarms, forks, transmitted;
};

static struct device fake;
static struct device *ends[STEER_SHARDS_MAX];
static const struct device_ops *const steer = &ewi_steer_device;

static inline void ring(int fd)
{
    CHECK(write(fd, &(uint64_t){1}, 8) == 8);
}

static int fake_open(const struct device_options *options, struct device **out)
{
    if (strcmp(options->text, "none") == 0)
        return -ENODEV;
    fake.is_open = fake.is_up = true;
    fake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(fake.fd >= 0);
    *out = &fake;
    return 0;
}

static inline void fake_close(struct device *device)
{
    CHECK(device->is_open);
    device->is_open = false;
    close(device->fd);
}

static const struct device_facts *fake_facts(const struct device *device)
{
    return &device->facts;
}

static uint32_t fake_receive(struct device *device, struct net_rx *packets, uint32_t count)
{
    uint32_t done = 0;

    for (; done < count && device->head < device->tail; done++) {
        uint32_t at = device->head++;

        packets[done] = (struct net_rx){.data = device->memory[at],
                                        .ref = device->memory[at],
                                        .bytes = device->bytes[at],
                                        .charge = BYTES};
    }
    return done;
}

static inline void fake_give_back(struct device *device, void **refs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t at = (size_t)((uint8_t *)refs[i] - device->memory[0]) / BYTES;

        CHECK(at < device->head && !device->returned[at]);
        device->returned[at] = 1;
        device->returned_count += 1;
    }
}

static uint32_t fake_arm(struct device *device, struct net_frame *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        frames[i].room = device->memory[i];
    return count;
}

static uint32_t fake_transmit(struct device *device, struct net_frame *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        frames[i].room = NULL;
    device->transmitted += count;
    return count;
}

static int fake_sleep_fd(struct device *device)
{
    return device->fd;
}

static int fake_sleep_arm(struct device *device)
{
    CHECK(!device->is_armed);
    device->arms += 1;
    device->is_armed = device->head == device->tail;
    return device->is_armed ? 0 : 1;
}

static inline void fake_sleep_disarm(struct device *device)
{
    uint64_t ignored;

    CHECK(read(device->fd, &ignored, 8) == 8 || errno == EAGAIN);
    device->is_armed = false;
    device->disarms += 1;
}

static bool fake_carrier(struct device *device)
{
    return device->is_up;
}

static inline void fake_counts(struct device *device, struct device_counts *out)
{
    *out = (struct device_counts){.rx_packets = device->tail, .rx_missed = 7};
}

static inline void fake_forked(struct device *device)
{
    device->forks += 1;
}

static const struct device_ops fake_device = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .facts = fake_facts,
    .receive = fake_receive,
    .give_back = fake_give_back,
    .arm = fake_arm,
    .transmit = fake_transmit,
    .sleep_fd = fake_sleep_fd,
    .sleep_arm = fake_sleep_arm,
    .sleep_disarm = fake_sleep_disarm,
    .carrier = fake_carrier,
    .counts = fake_counts,
    .forked = fake_forked,
};

static inline void open_ends(uint32_t shards)
{
    char reason[DEVICE_REASON_BYTES];
    const struct device_options options = {.text = "fake", .reason = reason};

    memset(&fake, 0, sizeof(fake));
    fake.facts = (struct device_facts){.caps = NET_PORT_ETHERNET, .can_sleep = true, .mtu = 1500};
    CHECK_EQ(ewi_steer_open(&fake_device, &options, shards, ends), 0);
    for (uint32_t i = 0; i < shards; i++) {
        CHECK_EQ(steer->facts(ends[i])->shard, i);
        CHECK_EQ(steer->facts(ends[i])->shards, shards);
        CHECK_EQ(steer->facts(ends[i])->mtu, 1500);
    }
}

/* The ends from `from` on; nothing of the device is left anywhere. */
static inline void close_ends(uint32_t from, uint32_t shards)
{
    for (uint32_t i = from; i < shards; i++) {
        CHECK(fake.is_open);
        steer->close(ends[i]);
    }
    CHECK(!fake.is_open);
    CHECK_EQ(fake.returned_count, fake.head);
}

/* ---- packets ---- */

static inline uint8_t *put(uint32_t bytes, uint16_t type)
{
    uint8_t *frame = fake.memory[fake.tail];

    CHECK(fake.tail < PACKETS);
    memset(frame, 0, BYTES);
    fake.bytes[fake.tail++] = bytes;
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
    return frame + 14;
}

static inline uint8_t *put_ip4(uint8_t protocol, uint32_t bytes)
{
    uint8_t *ip = put(14 + bytes, 0x0800);

    ip[0] = 0x45;
    ip[9] = protocol;
    return ip;
}

static inline uint8_t *put_ip6(uint8_t protocol)
{
    uint8_t *ip = put(14 + 64, 0x86dd);

    ip[0] = 0x60;
    ip[6] = protocol;
    ip[8] = 0xfd; /* somebody */
    return ip;
}

static inline uint8_t *put_arp(uint8_t operation, uint8_t sender, uint8_t target)
{
    uint8_t *arp = put(60, 0x0806);

    arp[7] = operation;
    arp[17] = sender;
    arp[27] = target;
    return arp;
}

static inline void put_flow(const struct stack_addr *from, const struct stack_addr *to, uint8_t protocol)
{
    uint32_t bytes = from->family == 4 ? 4 : 16;
    uint8_t *ip = from->family == 4 ? put_ip4(protocol, 40) : put_ip6(protocol);
    uint8_t *at = ip + (from->family == 4 ? 12 : 8);

    memcpy(at, from->ip, bytes);
    memcpy(at + bytes, to->ip, bytes);
    at = ip + (from->family == 4 ? 20 : 40);
    at[0] = (uint8_t)(from->port >> 8);
    at[1] = (uint8_t)from->port;
    at[2] = (uint8_t)(to->port >> 8);
    at[3] = (uint8_t)to->port;
}

static inline struct stack_addr draw(struct harness_random *random, uint8_t family)
{
    struct stack_addr addr = {.family = family, .port = (uint16_t)harness_next(random)};

    for (int i = 0; i < (family == 4 ? 4 : 16); i++)
        addr.ip[i] = (uint8_t)harness_next(random);
    return addr;
}

/* What each end has; all is given back, as a stack does. Ends are asked from `first` on. */
static inline void collect(uint32_t shards, uint32_t first, uint32_t *have, uint32_t *copies)
{
    struct net_rx packets[DEVICE_BURST];

    memset(have, 0, shards * sizeof(*have));
    *copies = 0;
    for (uint32_t i = 0; i < 2 * shards; i++) {
        uint32_t shard = (first + i) % shards, count;

        while ((count = steer->receive(ends[shard], packets, DEVICE_BURST)) != 0) {
            have[shard] += count;
            for (uint32_t each = 0; each < count; each++) {
                *copies += packets[each].ref == NULL;
                if (packets[each].ref != NULL)
                    steer->give_back(ends[shard], &packets[each].ref, 1);
            }
        }
    }
}

/* Whoever takes it from the device, one packet goes to shard 0, or a packet and copies to all. */
static inline void expect_lead(void)
{
    uint32_t have[3], copies;

    collect(3, fake.tail % 3, have, &copies);
    CHECK_EQ(have[0], 1);
    CHECK_EQ(have[1] + have[2] + copies, 0);
}

static inline void expect_all(void)
{
    uint32_t have[3], copies;

    collect(3, fake.tail % 3, have, &copies);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(have[i], 1);
    CHECK_EQ(copies, 2);
}

#endif
