#include "transport/shell/steer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/lock.h"

enum { ALL = -1, LEAD = -2, LOCK_TRIES = 256 };

struct device { /* an end */
    struct steer *steer;
    struct device_facts facts;
    uint32_t shard;
    int bell_fd, set_fd; /* an eventfd; the set with that and the device's descriptor */
    struct lock lock;    /* of the queue */
    uint32_t first, count;
    struct net_rx queue[STEER_QUEUE];
    bool is_asleep;      /* ring the bell */
    bool is_closed;      /* nobody takes what lies there */
    uint64_t missed;
    uint32_t copies_in, copies_out, copies_lent; /* a ring; lent: until the next receive */
    uint8_t copy[STEER_COPIES][STEER_COPY_BYTES];
};

struct steer {
    const struct device_ops *ops;
    struct device *inner;
    uint32_t caps, shards;
    struct lock lock;     /* of the device */
    uint32_t open, armed; /* a bit for each end; armed: it sleeps */
    bool is_inner_armed;
    pthread_mutex_t life; /* of references; another kind of lock: it may go as soon as it is free */
    uint32_t references;
    struct device end[];
};

/* Somebody has it for a burst at most; to sleep costs more than that. */
static void enter(struct lock *lock)
{
    for (int try = 0; try < LOCK_TRIES; try++) {
        if (ewi_lock_try(lock))
            return;
        ewi_relax();
    }
    ewi_lock_enter(lock);
}

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
enum { ETHER_ARP = 0x0806, ETHER_IP4 = 0x0800, ETHER_IP6 = 0x86dd, ARP_BYTES = 28, ARP_ANSWER = 2 };

static bool is_nobody(const uint8_t *address, uint32_t bytes)
{
    static const uint8_t nobody[16];

    return memcmp(address, nobody, bytes) == 0;
}

static int by_ports(const uint8_t *a, const uint8_t *b, uint32_t bytes, const uint8_t *transport,
                    uint32_t shards)
{
    return (int)shard_of(a, b, bytes, mix(get16(transport)) + mix(get16(transport + 2)), shards);
}

/* A probe or an announcement is heard by all who have that address, or know its last owner. */
static int judge_arp(const uint8_t *arp, uint32_t bytes)
{
    const uint8_t *sender = arp + 14, *target = arp + 24;

    if (bytes < ARP_BYTES)
        return LEAD;
    if (get16(arp + 6) == ARP_ANSWER || is_nobody(sender, 4) || memcmp(sender, target, 4) == 0)
        return ALL;
    return LEAD;
}

static int judge4(const uint8_t *ip, uint32_t bytes, uint32_t shards)
{
    uint32_t header;

    if (bytes < 20 || ip[0] >> 4 != 4)
        return LEAD;
    header = (ip[0] & 15u) * 4;
    if (header < 20 || bytes < header + 4 || (get16(ip + 6) & 0x3fff) != 0)
        return LEAD; /* fragments are put together there */
    if (ip[9] == ICMP4)
        return ip[header] == ICMP4_ECHO ? LEAD : ALL;
    if (ip[9] != TCP && ip[9] != UDP)
        return LEAD;
    return by_ports(ip + 12, ip + 16, 4, ip + header, shards);
}

static int judge6(const uint8_t *ip, uint32_t bytes, uint32_t shards)
{
    if (bytes < 44 || ip[0] >> 4 != 6)
        return LEAD;
    if (ip[6] == ICMP6 && ip[40] == SOLICITATION)
        return is_nobody(ip + 8, 16) ? ALL : LEAD; /* a probe, as in ARP */
    if (ip[6] == ICMP6)
        return ip[40] == ICMP6_ECHO ? LEAD : ALL;
    if (ip[6] != TCP && ip[6] != UDP)
        return LEAD;
    return by_ports(ip + 8, ip + 24, 16, ip + 40, shards);
}

/* A shard, LEAD or ALL. */
static int judge(const struct steer *steer, const struct net_rx *packet)
{
    const uint8_t *at = packet->data;
    uint32_t bytes = packet->bytes;

    if (!(steer->caps & NET_PORT_ETHERNET))
        return bytes != 0 && at[0] >> 4 == 4 ? judge4(at, bytes, steer->shards)
                                             : judge6(at, bytes, steer->shards);
    if (bytes < 14)
        return LEAD;
    switch (get16(at + 12)) {
    case ETHER_ARP:
        return judge_arp(at + 14, bytes - 14);
    case ETHER_IP4:
        return judge4(at + 14, bytes - 14, steer->shards);
    case ETHER_IP6:
        return judge6(at + 14, bytes - 14, steer->shards);
    default:
        return LEAD;
    }
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
    if (end->is_closed || end->count == STEER_QUEUE) {
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

    enter(&end->lock);
    fits = append(end, packet);
    ewi_lock_give(&end->lock);
    return fits;
}

/* The same bytes for another shard; a copy is never kept, so its memory is ours again. */
static void put_copy(struct device *end, const struct net_rx *packet)
{
    struct net_rx copy = *packet;

    enter(&end->lock);
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

    enter(&end->lock);
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

/* The first that is open; with the device's lock. */
static uint32_t lead_of(const struct steer *steer)
{
    return (uint32_t)__builtin_ctz(steer->open);
}

static void put_copies(struct device *end, const struct net_rx *packet)
{
    struct steer *steer = end->steer;

    for (uint32_t other = 0; other < steer->shards; other++)
        if (other != end->shard)
            put_copy(&steer->end[other], packet);
}

/* With the device's lock. Ours are moved to the front; how many. */
static uint32_t sort(struct device *end, struct net_rx *packets, uint32_t count)
{
    struct steer *steer = end->steer;
    uint32_t ours = 0, lead = lead_of(steer);

    for (uint32_t i = 0; i < count; i++) {
        int verdict = judge(steer, &packets[i]);
        uint32_t shard = verdict == LEAD  ? lead
                         : verdict == ALL ? end->shard
                                          : (uint32_t)verdict;

        if (verdict == ALL)
            put_copies(end, &packets[i]);
        if (shard == end->shard)
            packets[ours++] = packets[i];
        else if (!put(&steer->end[shard], &packets[i]))
            steer->ops->give_back(steer->inner, &packets[i].ref, 1);
    }
    return ours;
}

/* The queue first, under the device's lock: what lies there is older than what the device has. */
static uint32_t steer_receive(struct device *end, struct net_rx *packets, uint32_t count)
{
    struct steer *steer = end->steer;
    uint32_t taken, more;

    if (!ewi_lock_try(&steer->lock))
        return take(end, packets, count); /* whoever has it may bring more; who sleeps looks again */
    taken = take(end, packets, count);
    if (taken < count) {
        more = steer->ops->receive(steer->inner, packets + taken, count - taken);
        taken += sort(end, packets + taken, more);
    }
    ewi_lock_give(&steer->lock);
    return taken;
}

static void steer_give_back(struct device *end, void **refs, uint32_t count)
{
    enter(&end->steer->lock);
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
    enter(&end->steer->lock);
    armed = end->steer->ops->arm(end->steer->inner, frames, count);
    ewi_lock_give(&end->steer->lock);
    return armed;
}

static uint32_t steer_transmit(struct device *end, struct net_frame *frames, uint32_t count)
{
    uint32_t taken;

    enter(&end->steer->lock);
    taken = end->steer->ops->transmit(end->steer->inner, frames, count);
    ewi_lock_give(&end->steer->lock);
    return taken;
}

static bool steer_carrier(struct device *end)
{
    bool up;

    enter(&end->steer->lock);
    up = end->steer->ops->carrier(end->steer->inner);
    ewi_lock_give(&end->steer->lock);
    return up;
}

/* What the device counts is counted once: by the lead. */
static void steer_counts(struct device *end, struct device_counts *out)
{
    struct steer *steer = end->steer;

    *out = (struct device_counts){0};
    enter(&steer->lock);
    if (end->shard == lead_of(steer))
        steer->ops->counts(steer->inner, out);
    ewi_lock_give(&steer->lock);
    enter(&end->lock);
    out->rx_missed += end->missed;
    ewi_lock_give(&end->lock);
}

static const struct device_facts *steer_facts(const struct device *end)
{
    return &end->facts;
}

/* ---- sleeping: on the device, and on the bell ---- */

static int steer_sleep_fd(struct device *end)
{
    return end->set_fd;
}

/* The device is armed as long as somebody sleeps, and wakes all of them: whoever is first sorts for the
 * others. With the device's lock; false: it has something. */
static bool arm_inner(struct steer *steer)
{
    if (!steer->is_inner_armed)
        steer->is_inner_armed = steer->ops->sleep_arm(steer->inner) == 0;
    return steer->is_inner_armed;
}

static void wake_all(struct steer *steer)
{
    for (uint32_t i = 0; i < steer->shards; i++) {
        enter(&steer->end[i].lock);
        wake(&steer->end[i]);
        ewi_lock_give(&steer->end[i].lock);
    }
}

/* With the device's lock: this end is awake. An event of the device is over with that, so for the others
 * it is armed anew. */
static void get_up(struct device *end)
{
    struct steer *steer = end->steer;

    if (!(steer->armed & 1u << end->shard))
        return;
    steer->armed &= ~(1u << end->shard);
    if (steer->is_inner_armed)
        steer->ops->sleep_disarm(steer->inner);
    steer->is_inner_armed = false;
    if (steer->armed != 0 && !arm_inner(steer))
        wake_all(steer);
}

static void quiet(struct device *end)
{
    uint64_t ignored;

    enter(&end->lock);
    end->is_asleep = false;
    if (read(end->bell_fd, &ignored, sizeof(ignored)) < 0)
        EWI_ASSERT(errno == EAGAIN);
    ewi_lock_give(&end->lock);
}

static int steer_sleep_arm(struct device *end)
{
    struct steer *steer = end->steer;
    bool is_armed;

    enter(&end->lock);
    end->is_asleep = end->count == 0;
    is_armed = end->is_asleep;
    ewi_lock_give(&end->lock);
    if (!is_armed)
        return 1;
    enter(&steer->lock);
    is_armed = arm_inner(steer);
    if (is_armed)
        steer->armed |= 1u << end->shard;
    ewi_lock_give(&steer->lock);
    if (!is_armed)
        quiet(end);
    return is_armed ? 0 : 1;
}

static void steer_sleep_disarm(struct device *end)
{
    struct steer *steer = end->steer;

    quiet(end);
    enter(&steer->lock);
    get_up(end);
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
    if (end->facts.can_sleep && epoll_ctl(end->set_fd, EPOLL_CTL_ADD,
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

static bool let_go(struct steer *steer)
{
    bool is_last;

    pthread_mutex_lock(&steer->life);
    is_last = --steer->references == 0;
    pthread_mutex_unlock(&steer->life);
    return is_last;
}

/* From now on its packets are dropped; what its stack still has goes with the device. */
static void steer_close(struct device *end)
{
    struct steer *steer = end->steer;

    enter(&end->lock);
    end->is_closed = true;
    end->is_asleep = false;
    ewi_lock_give(&end->lock);
    free_queue(end);
    enter(&steer->lock);
    get_up(end);
    steer->open &= ~(1u << end->shard);
    ewi_lock_give(&steer->lock);
    close_fds(end);
    if (!let_go(steer))
        return;
    steer->ops->close(steer->inner);
    pthread_mutex_destroy(&steer->life);
    free(steer);
}

static void steer_forked(struct device *end)
{
    close_fds(end);
    if (end->shard == lead_of(end->steer))
        end->steer->ops->forked(end->steer->inner);
}

static int open_end(struct steer *steer, uint32_t shard)
{
    struct device *end = &steer->end[shard];

    end->steer = steer;
    end->shard = shard;
    end->bell_fd = end->set_fd = -1;
    end->facts = *steer->ops->facts(steer->inner);
    end->facts.shard = shard;
    end->facts.shards = steer->shards;
    end->facts.can_sleep &= steer->ops->sleep_fd != NULL;
    return open_fds(end);
}

int ewi_steer_open(const struct device_ops *ops, const struct device_options *options,
                   uint32_t shards, struct device **ends)
{
    struct steer *steer;
    int code, failed = 0;

    EWI_ASSERT(shards >= 2 && shards <= STEER_SHARDS_MAX);
    steer = calloc(1, sizeof(*steer) + shards * sizeof(steer->end[0]));
    if (steer == NULL) {
        snprintf(options->reason, DEVICE_REASON_BYTES, "no memory for %u shards", shards);
        return -ENOMEM;
    }
    code = ops->open(options, &steer->inner);
    if (code != 0) {
        free(steer);
        return code;
    }
    steer->ops = ops;
    steer->caps = ops->facts(steer->inner)->caps;
    steer->shards = steer->references = shards;
    steer->open = (1u << shards) - 1;
    pthread_mutex_init(&steer->life, NULL);
    for (uint32_t i = 0; i < shards; i++) {
        ends[i] = &steer->end[i];
        code = open_end(steer, i);
        failed = failed != 0 ? failed : code;
    }
    if (failed != 0)
        snprintf(options->reason, DEVICE_REASON_BYTES, "no descriptors for %u shards: %s", shards,
                 strerror(-failed));
    for (uint32_t i = 0; failed != 0 && i < shards; i++)
        steer_close(ends[i]);
    return failed;
}

const struct device_ops ewi_steer_device = {
    .name = "steer",
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
