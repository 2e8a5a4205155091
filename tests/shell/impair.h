/* tests/shell/impair.h - a device around a device that is a bad wire, the same each time.
 *
 * Purpose    Loss, delay, disorder, duplicates, damage and a slow link for tests of what is above.
 * Shape      Two lanes, out and in. Each frame is copied into a slot with the time when it is due; what is
 *            due goes on at the next call. A lane keeps its order except for frames held back.
 *            parts per million; bytes_per_s counts frames as they are given, 0: no limit
 * Owner      The impairment owns the inner device and all slots. A received packet is a slot.
 * Threads    as the inner device
 * Trust      none
 * Errors     wrap: -ENOMEM, -EINVAL (slots 0 or above IMPAIR_SLOTS_MAX). A full lane loses, and counts.
 * Invariants I1  the same seed, calls and times give the same frames.
 *            I2  a slot is free, waits, or is held by whoever received it.
 *            I3  damage is never hidden: with corrupt_ppm the device offers no sums.
 * Ordering   none
 * Source     splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
 *            OOPSLA 2014, figure 17; tc-netem(8)
 */
#ifndef TESTS_SHELL_IMPAIR_H
#define TESTS_SHELL_IMPAIR_H

#include "transport/shell/device.h"

enum { IMPAIR_SLOTS_MAX = 65536 };

struct impair_lane {
    uint32_t loss_ppm, duplicate_ppm, corrupt_ppm, reorder_ppm;
    uint64_t delay_ns;
    uint64_t hold_ns; /* of reordered frames: at most so much more */
    uint64_t bytes_per_s;
};

struct impair_options {
    uint64_t seed;
    uint32_t slots; /* of each lane: what is delayed; in: what is kept as well */
    struct impair_lane out, in;
};

struct impair_counts {
    uint64_t passed, lost, duplicated, corrupted, reordered, full;
};

int impair_wrap(const struct device_ops *inner_ops, struct device *inner,
                    const struct impair_options *options, const struct device_ops **ops,
                    struct device **out);
/* Never falls. What is due goes out. */
void impair_set_time(struct device *device, uint64_t now);
/* When the next frame of either lane is due; UINT64_MAX: none waits. */
uint64_t impair_deadline(const struct device *device);
void impair_counts(const struct device *device, struct impair_counts *out, struct impair_counts *in);

#endif
