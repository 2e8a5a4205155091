#include "tests/shell/impair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MILLION = 1000000, BEHIND = 64 };

enum slot_state { FREE, WAITS, HELD };

struct slot {
    uint64_t at, order;
    enum slot_state state;
    struct net_frame frame; /* out: everything but the room */
    uint32_t bytes;
    uint16_t flags; /* in */
    uint8_t *data;
};

struct lane {
    struct impair_lane bad;
    struct impair_counts counts;
    struct slot *slots;
    uint32_t waiting;
    uint64_t random, order, free_at, last_at;
};

struct device {
    const struct device_ops *inner_ops;
    struct device *inner;
    struct device_ops ops;
    struct device_facts facts;
    struct lane out, in;
    uint32_t slots, slot_bytes;
    uint64_t now;
    struct net_frame spare[DEVICE_BURST]; /* rooms of frames that were copied */
    uint32_t spares;
    uint8_t *memory;
};

static uint64_t next(struct lane *lane)
{
    uint64_t z = lane->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number is drawn each time: a rate of 0 changes nothing else of the run. */
static bool happens(struct lane *lane, uint32_t ppm)
{
    return next(lane) % MILLION < ppm;
}

/* ---- lanes ---- */

static struct slot *find_free(const struct device *device, struct lane *lane)
{
    for (uint32_t i = 0; i < device->slots; i++)
        if (lane->slots[i].state == FREE)
            return &lane->slots[i];
    return NULL;
}

static uint64_t due_time(const struct device *device, struct lane *lane, uint32_t bytes)
{
    uint64_t at = device->now + lane->bad.delay_ns;
    bool is_held = happens(lane, lane->bad.reorder_ppm);
    uint64_t hold = next(lane);

    if (lane->bad.bytes_per_s != 0) {
        uint64_t start = lane->free_at > device->now ? lane->free_at : device->now;

        lane->free_at = start + (uint64_t)bytes * 1000000000 / lane->bad.bytes_per_s;
        at = lane->free_at + lane->bad.delay_ns;
    }
    if (is_held && lane->bad.hold_ns != 0) {
        lane->counts.reordered += 1;
        return at + 1 + hold % lane->bad.hold_ns;
    }
    lane->last_at = at > lane->last_at ? at : lane->last_at;
    return lane->last_at;
}

static struct slot *put(struct device *device, struct lane *lane, const uint8_t *data, uint32_t bytes)
{
    struct slot *slot = find_free(device, lane);

    if (slot == NULL || bytes > device->slot_bytes) {
        lane->counts.full += 1;
        return NULL;
    }
    slot->state = WAITS;
    slot->at = due_time(device, lane, bytes);
    slot->order = lane->order++;
    slot->bytes = bytes;
    memcpy(slot->data, data, bytes);
    lane->waiting += 1;
    return slot;
}

static void damage(struct lane *lane, struct slot *slot)
{
    uint64_t bit = next(lane) % ((uint64_t)slot->bytes * 8);

    slot->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    lane->counts.corrupted += 1;
}

/* What becomes of one frame. */
static void judge(struct device *device, struct lane *lane, const uint8_t *data, uint32_t bytes,
                  const struct net_frame *frame, uint16_t flags)
{
    bool lost = happens(lane, lane->bad.loss_ppm), twice = happens(lane, lane->bad.duplicate_ppm);
    bool damaged = happens(lane, lane->bad.corrupt_ppm);

    lane->counts.lost += lost;
    lane->counts.duplicated += !lost && twice;
    for (int copies = lost ? 0 : 1 + twice; copies > 0; copies--) {
        struct slot *slot = put(device, lane, data, bytes);

        if (slot == NULL)
            return;
        if (frame != NULL)
            slot->frame = *frame;
        slot->flags = damaged ? 0 : flags;
        if (damaged && copies == 1 && bytes > 0)
            damage(lane, slot);
    }
}

/* The first that waits, by time and then by order; NULL: none. */
static struct slot *first(const struct device *device, const struct lane *lane)
{
    struct slot *found = NULL;

    for (uint32_t i = 0; lane->waiting > 0 && i < device->slots; i++) {
        struct slot *slot = &lane->slots[i];

        if (slot->state == WAITS && (found == NULL || slot->at < found->at ||
                                     (slot->at == found->at && slot->order < found->order)))
            found = slot;
    }
    return found;
}

/* ---- out ---- */

static bool take_room(struct device *device, struct net_frame *frame)
{
    if (device->spares > 0) {
        *frame = device->spare[--device->spares];
        return true;
    }
    *frame = (struct net_frame){.room = NULL};
    return device->inner_ops->arm(device->inner, frame, 1) == 1;
}

static void send_due(struct device *device)
{
    struct slot *slot;
    struct net_frame frame;

    while ((slot = first(device, &device->out)) != NULL && slot->at <= device->now) {
        struct net_frame room;

        if (!take_room(device, &room))
            return;
        frame = slot->frame;
        frame.room = room.room;
        frame.room_bytes = room.room_bytes;
        memcpy(frame.room, slot->data, slot->bytes);
        if (device->inner_ops->transmit(device->inner, &frame, 1) == 0) {
            device->spare[device->spares++] = room; /* it was taken from there, or there is space */
            return;
        }
        slot->state = FREE;
        device->out.waiting -= 1;
        device->out.counts.passed += 1;
    }
}

static uint32_t transmit(struct device *device, struct net_frame *frames, uint32_t count)
{
    uint32_t taken = 0;

    for (; taken < count; taken++) {
        struct net_frame *frame = &frames[taken];

        if (device->spares == DEVICE_BURST - 1) /* one place stays for send_due */
            break;
        judge(device, &device->out, frame->room, frame->bytes, frame, 0);
        device->spare[device->spares++] =
            (struct net_frame){.room = frame->room, .room_bytes = frame->room_bytes};
        frame->room = NULL;
    }
    send_due(device);
    return taken;
}

static uint32_t arm(struct device *device, struct net_frame *frames, uint32_t count)
{
    uint32_t armed = 0;

    for (; armed < count; armed++) {
        if (frames[armed].room != NULL)
            continue;
        if (device->spares == 0)
            break;
        frames[armed] = device->spare[--device->spares];
    }
    return armed + device->inner_ops->arm(device->inner, frames + armed, count - armed);
}

/* ---- in ---- */

static void take_in(struct device *device)
{
    struct net_rx packets[DEVICE_BURST];
    uint32_t got = device->inner_ops->receive(device->inner, packets, DEVICE_BURST);

    for (uint32_t i = 0; i < got; i++) {
        judge(device, &device->in, packets[i].data, packets[i].bytes, NULL, packets[i].flags);
        device->inner_ops->give_back(device->inner, &packets[i].ref, 1);
    }
}

static uint32_t receive(struct device *device, struct net_rx *packets, uint32_t count)
{
    uint32_t got = 0;
    struct slot *slot;

    send_due(device);
    take_in(device);
    while (got < count && (slot = first(device, &device->in)) != NULL && slot->at <= device->now) {
        slot->state = HELD;
        device->in.waiting -= 1;
        device->in.counts.passed += 1;
        packets[got++] = (struct net_rx){.data = slot->data,
                                         .ref = slot,
                                         .bytes = slot->bytes,
                                         .room = device->slot_bytes - slot->bytes + BEHIND,
                                         .charge = device->facts.packet_charge,
                                         .flags = slot->flags};
    }
    return got;
}

static void give_back(struct device *device, void **refs, uint32_t count)
{
    (void)device;
    for (uint32_t i = 0; i < count; i++)
        ((struct slot *)refs[i])->state = FREE;
}

/* ---- the rest ---- */

static const struct device_facts *facts(const struct device *device)
{
    return &device->facts;
}

static int sleep_fd(struct device *device)
{
    return device->inner_ops->sleep_fd(device->inner);
}

static int sleep_arm(struct device *device)
{
    return impair_deadline(device) <= device->now ? 1 : device->inner_ops->sleep_arm(device->inner);
}

static void sleep_disarm(struct device *device)
{
    device->inner_ops->sleep_disarm(device->inner);
}

static bool carrier(struct device *device)
{
    return device->inner_ops->carrier(device->inner);
}

static void counts(struct device *device, struct device_counts *out)
{
    device->inner_ops->counts(device->inner, out);
}

static void forked(struct device *device)
{
    device->inner_ops->forked(device->inner);
}

static void close_both(struct device *device)
{
    device->inner_ops->close(device->inner); /* spare rooms are armed frames: freed by it */
    free(device->out.slots);
    free(device->in.slots);
    free(device->memory);
    free(device);
}

static bool make_lanes(struct device *device)
{
    size_t stride = device->slot_bytes + (size_t)BEHIND;

    device->out.slots = calloc(device->slots, sizeof(struct slot));
    device->in.slots = calloc(device->slots, sizeof(struct slot));
    device->memory = calloc(2 * (size_t)device->slots, stride);
    if (device->out.slots == NULL || device->in.slots == NULL || device->memory == NULL)
        return false;
    for (uint32_t i = 0; i < device->slots; i++) {
        device->out.slots[i].data = device->memory + i * stride;
        device->in.slots[i].data = device->memory + (device->slots + i) * stride;
    }
    return true;
}

static void set_facts(struct device *device, const struct impair_options *options)
{
    device->facts = *device->inner_ops->facts(device->inner);
    device->slot_bytes = device->facts.frame_bytes;
    device->facts.packet_charge = device->slot_bytes + BEHIND;
    if (options->out.corrupt_ppm != 0 || options->in.corrupt_ppm != 0)
        device->facts.caps &= NET_PORT_ETHERNET;
}

int impair_wrap(const struct device_ops *inner_ops, struct device *inner,
                    const struct impair_options *options, const struct device_ops **ops,
                    struct device **out)
{
    bool sleeps = inner_ops->sleep_fd != NULL;
    struct device *device;

    if (options->slots == 0 || options->slots > IMPAIR_SLOTS_MAX)
        return -EINVAL;
    device = calloc(1, sizeof(*device));
    if (device == NULL)
        return -ENOMEM;
    device->inner_ops = inner_ops;
    device->inner = inner;
    device->slots = options->slots;
    device->out = (struct lane){.bad = options->out, .random = options->seed};
    device->in = (struct lane){.bad = options->in, .random = ~options->seed};
    set_facts(device, options);
    device->ops = (struct device_ops){
        .name = inner_ops->name,
        .close = close_both,
        .facts = facts,
        .receive = receive,
        .give_back = give_back,
        .arm = arm,
        .transmit = transmit,
        .sleep_fd = sleeps ? sleep_fd : NULL,
        .sleep_arm = sleeps ? sleep_arm : NULL,
        .sleep_disarm = sleeps ? sleep_disarm : NULL,
        .carrier = carrier,
        .counts = counts,
        .forked = forked,
    };
    if (!make_lanes(device)) {
        free(device->out.slots);
        free(device->in.slots);
        free(device->memory);
        free(device);
        return -ENOMEM;
    }
    *ops = &device->ops;
    *out = device;
    return 0;
}

void impair_set_time(struct device *device, uint64_t now)
{
    device->now = now > device->now ? now : device->now;
    send_due(device);
}

uint64_t impair_deadline(const struct device *device)
{
    const struct slot *out = first(device, &device->out), *in = first(device, &device->in);
    uint64_t at = out != NULL ? out->at : UINT64_MAX;

    return in != NULL && in->at < at ? in->at : at;
}

void impair_counts(const struct device *device, struct impair_counts *out, struct impair_counts *in)
{
    *out = device->out.counts;
    *in = device->in.counts;
}
