/* A bad wire loses, delays, repeats, damages and slows as it is told, and the same each time. */
#include <errno.h>

#include "tests/c/harness.h"
#include "tests/shell/impair.h"
#include "tests/shell/wire.h"

enum { FRAMES = 2000, BYTES = 100, MS = 1000000 };

static struct device *one, *other, *wrapped;
static const struct device_ops *ops;
static uint64_t now;

static struct device *open_end(void)
{
    char reason[DEVICE_REASON_BYTES];
    struct device_options options = {.text = "wire:name=i", .packets = 1024, .reason = reason};
    struct device *device = NULL;

    CHECK_EQ(wire_device.open(&options, &device), 0);
    return device;
}

static void begin(uint64_t seed, struct impair_lane bad)
{
    struct impair_options options = {.seed = seed, .slots = 128, .out = bad};

    now = 0;
    one = open_end();
    other = open_end();
    CHECK_EQ(impair_wrap(&wire_device, one, &options, &ops, &wrapped), 0);
}

static void end(void)
{
    struct wire_look look;

    CHECK(wire_look_at("i", &look));
    CHECK_EQ(look.held, 0);
    ops->close(wrapped);
    wire_device.close(other);
}

static void send(uint32_t number)
{
    struct net_frame frame = {.room = NULL};

    CHECK_EQ(ops->arm(wrapped, &frame, 1), 1);
    memset(frame.room, 0, BYTES);
    memcpy(frame.room, &number, sizeof(number));
    frame.bytes = BYTES;
    CHECK_EQ(ops->transmit(wrapped, &frame, 1), 1);
    CHECK(frame.room == NULL);
}

/* What arrives at the other end now; -1: nothing. damaged: a byte that should be 0 is not. */
static int64_t take(bool *damaged)
{
    struct net_rx packet;
    uint32_t number;

    if (wire_device.receive(other, &packet, 1) == 0)
        return -1;
    CHECK_EQ(packet.bytes, BYTES);
    memcpy(&number, packet.data, sizeof(number));
    *damaged = false;
    for (uint32_t i = 4; i < BYTES; i++)
        *damaged = *damaged || packet.data[i] != 0;
    wire_device.give_back(other, &packet.ref, 1);
    return number;
}

struct result {
    uint32_t arrived, damaged, backwards, again;
    uint64_t hash;
};

static struct result run(uint64_t seed, struct impair_lane bad, uint32_t frames)
{
    struct result result = {.arrived = 0};
    int64_t last = -1, number;
    bool damaged;

    begin(seed, bad);
    for (uint32_t i = 0; i < frames || impair_deadline(wrapped) != UINT64_MAX; i++) {
        now += MS / 100;
        impair_set_time(wrapped, now);
        if (i < frames)
            send(i);
        while ((number = take(&damaged)) >= 0) {
            result.arrived += 1;
            result.damaged += damaged;
            result.backwards += number < last;
            result.again += number == last;
            result.hash = result.hash * 31 + (uint64_t)number * 2 + damaged;
            last = number;
        }
    }
    end();
    return result;
}

static void a_good_wire_passes_everything_at_once(void)
{
    struct result result = run(1, (struct impair_lane){.loss_ppm = 0}, FRAMES);

    CHECK(result.arrived == FRAMES && result.damaged + result.backwards + result.again == 0);
}

static void loss_is_what_was_asked_for(void)
{
    struct result result = run(2, (struct impair_lane){.loss_ppm = 100000}, FRAMES);

    CHECK(result.arrived > FRAMES * 87 / 100 && result.arrived < FRAMES * 93 / 100);
    CHECK_EQ(run(2, (struct impair_lane){.loss_ppm = 1000000}, FRAMES).arrived, 0);
}

static void the_same_seed_is_the_same_run(void)
{
    struct impair_lane bad = {.loss_ppm = 50000, .duplicate_ppm = 50000, .corrupt_ppm = 50000,
                              .reorder_ppm = 50000, .hold_ns = MS, .delay_ns = MS / 10};

    CHECK(run(3, bad, FRAMES).hash == run(3, bad, FRAMES).hash);
    CHECK(run(3, bad, FRAMES).hash != run(4, bad, FRAMES).hash);
}

static void duplicates_follow_their_original(void)
{
    struct result result = run(5, (struct impair_lane){.duplicate_ppm = 1000000}, FRAMES);

    CHECK(result.arrived == 2 * FRAMES && result.again == FRAMES && result.backwards == 0);
}

static void reordered_frames_come_late(void)
{
    struct result result =
        run(6, (struct impair_lane){.reorder_ppm = 100000, .hold_ns = MS / 4}, FRAMES);

    CHECK(result.arrived == FRAMES && result.backwards > FRAMES / 20);
}

static void damage_is_one_bit_and_is_not_hidden_behind_sums(void)
{
    struct result result = run(7, (struct impair_lane){.corrupt_ppm = 1000000}, FRAMES);

    CHECK(result.arrived == FRAMES && result.damaged > FRAMES * 9 / 10); /* or it hit the number */
    begin(7, (struct impair_lane){.corrupt_ppm = 1});
    CHECK_EQ(ops->facts(wrapped)->caps & ~(uint32_t)NET_PORT_ETHERNET, 0);
    end();
}

static void a_delayed_frame_comes_at_its_time(void)
{
    bool damaged;

    begin(8, (struct impair_lane){.delay_ns = 5 * MS});
    send(1);
    CHECK_EQ(impair_deadline(wrapped), 5 * MS);
    impair_set_time(wrapped, 5 * MS - 1);
    CHECK_EQ(take(&damaged), -1);
    impair_set_time(wrapped, 5 * MS);
    CHECK_EQ(take(&damaged), 1);
    CHECK(impair_deadline(wrapped) == UINT64_MAX);
    end();
}

static void a_slow_link_takes_the_time_of_the_bytes(void)
{
    bool damaged;
    uint32_t arrived = 0;

    begin(9, (struct impair_lane){.bytes_per_s = 100 * BYTES}); /* a frame each 10 ms */
    for (uint32_t i = 0; i < 20; i++)
        send(i);
    for (int step = 1; step <= 20; step++) {
        impair_set_time(wrapped, (uint64_t)step * 10 * MS);
        while (take(&damaged) >= 0)
            arrived += 1;
        CHECK_EQ(arrived, step);
    }
    end();
}

static void a_full_lane_loses_and_counts(void)
{
    struct impair_counts out, in;

    begin(10, (struct impair_lane){.delay_ns = MS});
    for (uint32_t i = 0; i < 200; i++)
        send(i);
    impair_counts(wrapped, &out, &in);
    CHECK(out.full == 200 - 128 && in.full == 0);
    end();
}

static void a_device_that_takes_nothing_loses_nothing(void)
{
    bool damaged;

    begin(11, (struct impair_lane){.loss_ppm = 0});
    wire_set_full("i", 0, true);
    for (uint32_t i = 0; i < 50; i++)
        send(i);
    CHECK_EQ(take(&damaged), -1);
    wire_set_full("i", 0, false);
    impair_set_time(wrapped, 1);
    for (uint32_t i = 0; i < 50; i++)
        CHECK_EQ(take(&damaged), i);
    end();
}

static void what_comes_in_is_delayed_and_kept_in_slots(void)
{
    struct impair_options options = {.seed = 1, .slots = 4, .in = {.delay_ns = MS}};
    struct net_frame frame = {.room = NULL};
    struct net_rx packets[8];
    void *ref;

    one = open_end();
    other = open_end();
    CHECK_EQ(impair_wrap(&wire_device, one, &options, &ops, &wrapped), 0);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(wire_device.arm(other, &frame, 1), 1);
        memset(frame.room, i, BYTES);
        frame.bytes = BYTES;
        CHECK_EQ(wire_device.transmit(other, &frame, 1), 1);
    }
    CHECK_EQ(ops->receive(wrapped, packets, 8), 0);
    impair_set_time(wrapped, MS);
    CHECK_EQ(ops->receive(wrapped, packets, 8), 4); /* two found no slot */
    CHECK(packets[3].data[0] == 3 && packets[3].charge >= packets[3].bytes);
    ref = packets[3].ref;
    ops->give_back(wrapped, &ref, 1);
    CHECK_EQ(wire_held_by("i", 0), 0); /* the wire's own went back at once */
    end();
}

static void slots_out_of_range_are_refused(void)
{
    struct impair_options options = {.slots = 0};

    one = open_end();
    CHECK_EQ(impair_wrap(&wire_device, one, &options, &ops, &wrapped), -EINVAL);
    options.slots = IMPAIR_SLOTS_MAX + 1;
    CHECK_EQ(impair_wrap(&wire_device, one, &options, &ops, &wrapped), -EINVAL);
    wire_device.close(one);
}

int main(void)
{
    RUN(a_good_wire_passes_everything_at_once);
    RUN(loss_is_what_was_asked_for);
    RUN(the_same_seed_is_the_same_run);
    RUN(duplicates_follow_their_original);
    RUN(reordered_frames_come_late);
    RUN(damage_is_one_bit_and_is_not_hidden_behind_sums);
    RUN(a_delayed_frame_comes_at_its_time);
    RUN(a_slow_link_takes_the_time_of_the_bytes);
    RUN(a_full_lane_loses_and_counts);
    RUN(a_device_that_takes_nothing_loses_nothing);
    RUN(what_comes_in_is_delayed_and_kept_in_slots);
    RUN(slots_out_of_range_are_refused);
    return 0;
}
