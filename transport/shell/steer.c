#include "transport/shell/steer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/lock.h"

enum { ALL = UINT32_MAX };

struct device { /* an end */
    struct steer *steer;
    uint32_t shard;
    int bell_fd, set_fd; /* an eventfd; the set with that and the device's descriptor */
    struct lock lock;    /* of the queue */
    uint32_t first, count;
    struct net_rx queue[STEER_QUEUE];
    bool is_asleep;      /* ring the bell */
    uint64_t missed;
    uint32_t copies_in, copies_out, copies_lent; /* a ring; lent: until the next receive */
    uint8_t copy[STEER_COPIES][STEER_COPY_BYTES];
};

struct steer {
    const struct device_ops *ops;
    struct device *inner;
    struct device_facts facts;
    struct lock lock; /* of the device */
    uint32_t shards, open, armed;
    struct device end[];
};

/* ---- whose is a packet? ---- */

static uint32_t mix(uint32_t value)
{
    value ^= value >> 16;
    value *= UINT32_C(0x7feb352d);
    value ^= value >> 15;
    value *= UINT32_C(0x846ca68b);
    return value ^ value >> 16;
}

/* Sums do not care which side is which (I2). */
static uint32_t shard_of(const uint8_t *a, const uint8_t *b, uint32_t bytes, uint32_t ports,
                         uint32_t shards)
{
    uint32_t sum = mix(ports);

    for (uint32_t i = 0; i < bytes; i += 4) {
        uint32_t x, y;

        memcpy(&x, a + i, 4);
        memcpy(&y, b + i, 4);
        sum += mix(x + i) + mix(y + i);
    }
    return (uint32_t)(((uint64_t)mix(sum) * shards) >> 32);
}

uint32_t ewi_steer_shard(const struct stack_addr *local, const struct stack_addr *remote,
                         uint32_t shards)
{
    return shard_of(local->ip, remote->ip, local->family == 4 ? 4 : 16,
                    mix(local->port) + mix(remote->port), shards);
}

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

enum { TCP = 6, UDP = 17, ICMP4 = 1, ICMP6 = 58, ICMP4_ECHO = 8, ICMP6_ECHO = 128, SOLICITATION = 135 };

static uint32_t by_ports(const uint8_t *a, const uint8_t *b, uint32_t bytes, const uint8_t *transport,
                         uint32_t shards)
{
    return shard_of(a, b, bytes, mix(get16(transport)) + mix(get16(transport + 2)), shards);
}

static uint32_t judge4(const uint8_t *ip, uint32_t bytes, uint32_t shards)
{
    uint32_t header = (ip[0] & 15u) * 4;

    if (bytes < 20 || header < 20 || bytes < header + 4)
        return 0;
    if (ip[9] == ICMP4)
        return ip[header] == ICMP4_ECHO ? 0 : ALL;
    if ((ip[9] != TCP && ip[9] != UDP) || (get16(ip + 6) & 0x3fff) != 0)
        return 0; /* fragments are put together there */
    return by_ports(ip + 12, ip + 16, 4, ip + header, shards);
}

static uint32_t judge6(const uint8_t *ip, uint32_t bytes, uint32_t shards)
{
    if (bytes < 44)
        return 0;
    if (ip[6] == ICMP6)
        return ip[40] == ICMP6_ECHO || ip[40] == SOLICITATION ? 0 : ALL;
    if (ip[6] != TCP && ip[6] != UDP)
        return 0;
    return by_ports(ip + 8, ip + 24, 16, ip + 40, shards);
}

/* A shard, or ALL. */
static uint32_t judge(const struct steer *steer, const struct net_rx *packet)
{
    const uint8_t *at = packet->data;
    uint32_t bytes = packet->bytes, type = 0;

    if (steer->facts.caps & NET_PORT_ETHERNET) {
        if (bytes < 14 + 20)
            return 0;
        type = get16(at + 12);
        at += 14;
        bytes -= 14;
    }
    if (type == 0x0806) /* ARP; 2: an answer */
        return bytes >= 8 && get16(at + 6) == 2 ? (uint32_t)ALL : 0;
    if (bytes < 20)
        return 0;
    return at[0] >> 4 == 4 ? judge4(at, bytes, steer->shards) : judge6(at, bytes, steer->shards);
}

/* ---- queues ---- */

static void wake(struct device *end)
{
    const uint64_t one = 1;

    if (!end->is_asleep)
        return;
    end->is_asleep = false;
    if (write(end->bell_fd, &one, sizeof(one)) < 0)
        EWI_ASSERT(errno == EAGAIN);
}

/* With the queue's lock. */
static bool append(struct device *end, const struct net_rx *packet)
{
    if (end->count == STEER_QUEUE) {
        end->missed += 1;
        return false;
    }
    end->queue[(end->first + end->count++) % STEER_QUEUE] = *packet;
    wake(end);
    return true;
}

static bool put(struct device *end, const struct net_rx *packet)
{
    bool fits;

    ewi_lock_enter(&end->lock);
    fits = append(end, packet);
    ewi_lock_give(&end->lock);
    return fits;
}

/* The same bytes for another shard; a copy is never kept, so its memory is ours again. */
static void put_copy(struct device *end, const struct net_rx *packet)
{
    struct net_rx copy = *packet;

    ewi_lock_enter(&end->lock);
    if (end->copies_in - end->copies_out == STEER_COPIES || packet->bytes > STEER_COPY_BYTES) {
        end->missed += 1;
    } else {
        copy.data = end->copy[end->copies_in % STEER_COPIES];
        copy.ref = NULL;
        copy.room = STEER_COPY_BYTES - packet->bytes;
        memcpy(copy.data, packet->data, packet->bytes);
        end->copies_in += append(end, &copy);
    }
    ewi_lock_give(&end->lock);
}

static uint32_t take(struct device *end, struct net_rx *packets, uint32_t count)
{
    uint32_t taken;

    ewi_lock_enter(&end->lock);
    end->copies_out += end->copies_lent;
    end->copies_lent = 0;
    for (taken = 0; taken < count && end->count != 0; taken++) {
        packets[taken] = end->queue[end->first];
        end->copies_lent += packets[taken].ref == NULL;
        end->first = (end->first + 1) % STEER_QUEUE;
        end->count -= 1;
    }
    ewi_lock_give(&end->lock);
    return taken;
}

/* ---- the device's side ---- */

/* With the device's lock. Ours are moved to the front; how many. */
static uint32_t sort(struct device *end, struct net_rx *packets, uint32_t count)
{
    struct steer *steer = end->steer;
    uint32_t ours = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t shard = judge(steer, &packets[i]);

        if (shard == ALL) {
            for (uint32_t other = 0; other < steer->shards; other++)
                if (other != end->shard)
                    put_copy(&steer->end[other], &packets[i]);
            shard = end->shard;
        }
        if (shard == end->shard)
            packets[ours++] = packets[i];
        else if (!put(&steer->end[shard], &packets[i]))
            steer->ops->give_back(steer->inner, &packets[i].ref, 1);
    }
    return ours;
}

static uint32_t steer_receive(struct device *end, struct net_rx *packets, uint32_t count)
{
    struct steer *steer = end->steer;
    uint32_t taken = take(end, packets, count), more;

    if (taken == count || !ewi_lock_try(&steer->lock))
        return taken; /* whoever has it brings ours */
    more = steer->ops->receive(steer->inner, packets + taken, count - taken);
    more = sort(end, packets + taken, more);
    ewi_lock_give(&steer->lock);
    return taken + more;
}

static void steer_give_back(struct device *end, void **refs, uint32_t count)
{
    ewi_lock_enter(&end->steer->lock);
    end->steer->ops->give_back(end->steer->inner, refs, count);
    ewi_lock_give(&end->steer->lock);
}

static uint32_t steer_arm(struct device *end, struct net_frame *frames, uint32_t count)
{
    uint32_t armed = 0;

    while (armed < count && frames[armed].room != NULL)
        armed++;
    if (armed == count)
        return count;
    ewi_lock_enter(&end->steer->lock);
    armed = end->steer->ops->arm(end->steer->inner, frames, count);
    ewi_lock_give(&end->steer->lock);
    return armed;
}

static uint32_t steer_transmit(struct device *end, struct net_frame *frames, uint32_t count)
{
    uint32_t taken;

    ewi_lock_enter(&end->steer->lock);
    taken = end->steer->ops->transmit(end->steer->inner, frames, count);
    ewi_lock_give(&end->steer->lock);
    return taken;
}

static bool steer_carrier(struct device *end)
{
    bool up;

    ewi_lock_enter(&end->steer->lock);
    up = end->steer->ops->carrier(end->steer->inner);
    ewi_lock_give(&end->steer->lock);
    return up;
}

/* What the device counts is shard 0's. */
static void steer_counts(struct device *end, struct device_counts *out)
{
    *out = (struct device_counts){0};
    if (end->shard == 0) {
        ewi_lock_enter(&end->steer->lock);
        end->steer->ops->counts(end->steer->inner, out);
        ewi_lock_give(&end->steer->lock);
    }
    ewi_lock_enter(&end->lock);
    out->rx_missed += end->missed;
    ewi_lock_give(&end->lock);
}

static const struct device_facts *steer_facts(const struct device *end)
{
    return &end->steer->facts;
}

/* ---- sleeping: on the device, and on the bell ---- */

static int steer_sleep_fd(struct device *end)
{
    return end->set_fd;
}

/* The device wakes all who sleep: whoever is first sorts for the others. */
static void count_armed(struct steer *steer, struct device *end, bool sleeps)
{
    steer->armed = sleeps ? steer->armed | 1u << end->shard : steer->armed & ~(1u << end->shard);
}

static int steer_sleep_arm(struct device *end)
{
    struct steer *steer = end->steer;
    int ready;

    ewi_lock_enter(&end->lock);
    ready = end->count != 0;
    end->is_asleep = !ready;
    ewi_lock_give(&end->lock);
    if (ready)
        return 1;
    ewi_lock_enter(&steer->lock);
    ready = steer->armed == 0 ? steer->ops->sleep_arm(steer->inner) : 0;
    if (ready == 0)
        count_armed(steer, end, true);
    ewi_lock_give(&steer->lock);
    return ready;
}

static void steer_sleep_disarm(struct device *end)
{
    struct steer *steer = end->steer;
    uint64_t ignored;

    ewi_lock_enter(&end->lock);
    end->is_asleep = false;
    if (read(end->bell_fd, &ignored, sizeof(ignored)) < 0)
        EWI_ASSERT(errno == EAGAIN);
    ewi_lock_give(&end->lock);
    ewi_lock_enter(&steer->lock);
    if (steer->armed == 1u << end->shard)
        steer->ops->sleep_disarm(steer->inner);
    count_armed(steer, end, false);
    ewi_lock_give(&steer->lock);
}

/* ---- life ---- */

static int open_fds(struct device *end)
{
    struct epoll_event event = {.events = EPOLLIN};
    const struct steer *steer = end->steer;

    end->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    end->set_fd = epoll_create1(EPOLL_CLOEXEC);
    if (end->bell_fd < 0 || end->set_fd < 0 ||
        epoll_ctl(end->set_fd, EPOLL_CTL_ADD, end->bell_fd, &event) < 0)
        return -errno;
    if (steer->facts.can_sleep && epoll_ctl(end->set_fd, EPOLL_CTL_ADD,
                                            steer->ops->sleep_fd(steer->inner), &event) < 0)
        return -errno;
    return 0;
}

static void close_fds(struct device *end)
{
    if (end->bell_fd >= 0)
        close(end->bell_fd);
    if (end->set_fd >= 0)
        close(end->set_fd);
    end->bell_fd = end->set_fd = -1;
}

static void free_queue(struct device *end)
{
    struct net_rx packet;

    while (take(end, &packet, 1) == 1)
        if (packet.ref != NULL)
            steer_give_back(end, &packet.ref, 1);
}

/* Nobody takes this shard's packets from now on; they go when the device does. */
static void steer_close(struct device *end)
{
    struct steer *steer = end->steer;
    bool is_last;

    free_queue(end);
    ewi_lock_enter(&steer->lock);
    count_armed(steer, end, false);
    is_last = --steer->open == 0;
    ewi_lock_give(&steer->lock);
    close_fds(end);
    if (!is_last)
        return;
    for (uint32_t i = 0; i < steer->shards; i++)
        free_queue(&steer->end[i]);
    steer->ops->close(steer->inner);
    free(steer);
}

static void steer_forked(struct device *end)
{
    close_fds(end);
    if (end->shard == 0)
        end->steer->ops->forked(end->steer->inner);
}

int ewi_steer_open(const struct device_ops *ops, const struct device_options *options,
                   uint32_t shards, struct device **ends)
{
    struct steer *steer;
    int code = 0;

    EWI_ASSERT(shards >= 2 && shards <= STEER_SHARDS_MAX);
    steer = calloc(1, sizeof(*steer) + shards * sizeof(steer->end[0]));
    if (steer == NULL)
        return -ENOMEM;
    code = ops->open(options, &steer->inner);
    if (code != 0) {
        free(steer);
        return code;
    }
    steer->ops = ops;
    steer->facts = *ops->facts(steer->inner);
    steer->shards = shards;
    for (uint32_t i = 0; i < shards; i++) {
        struct device *end = &steer->end[i];

        *end = (struct device){.steer = steer, .shard = i, .bell_fd = -1, .set_fd = -1};
        ends[i] = end;
        if (code == 0)
            code = open_fds(end);
        steer->open += 1;
    }
    for (uint32_t i = 0; code != 0 && i < shards; i++)
        steer_close(&steer->end[i]);
    return code;
}

static int steer_open(const struct device_options *options, struct device **out)
{
    (void)options, (void)out;
    return -ENOTSUP; /* ewi_steer_open gives all of them at once */
}

const struct device_ops ewi_steer_device = {
    .name = "steer",
    .open = steer_open,
    .close = steer_close,
    .facts = steer_facts,
    .receive = steer_receive,
    .give_back = steer_give_back,
    .arm = steer_arm,
    .transmit = steer_transmit,
    .sleep_fd = steer_sleep_fd,
    .sleep_arm = steer_sleep_arm,
    .sleep_disarm = steer_sleep_disarm,
    .carrier = steer_carrier,
    .counts = steer_counts,
    .forked = steer_forked,
};
