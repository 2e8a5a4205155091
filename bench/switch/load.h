/* bench/switch/load.h - two ends driven by one thread.
 *
 * Purpose    What a message costs between two devices of this host, when one core drives both ends and
 *            another is the switch's: with three that spin on two cores the scheduler is measured.
 * Shape      end 0 asks or sends, end 1 answers or receives. A kind of ends is a table of functions.
 * Owner      a kind's state is its file's: a program has one
 * Threads    one
 * Trust      none: measures only our own devices
 * Errors     DUO_CHECK
 * Invariants I1  no function waits for more than it is allowed to.
 *            I2  put() comes after as many take() of the other end that at most `window` are under way.
 * Ordering   none
 * Source     bench/compare/ovs.py
 */
#ifndef BENCH_SWITCH_LOAD_H
#define BENCH_SWITCH_LOAD_H

#include "bench/c/duo.h"

enum {
    LOAD_BATCH = 32,
    LOAD_BYTES_MAX = 64 * 1024,
    LOAD_STAMP_BYTES = 4, /* at the begin of a message: of a frame that was given up it is another one */
};

struct load_options {
    const char *device[2]; /* docs/reference/network.md; end 1 is opened first */
    const char *plugin;    /* path */
};

struct load_kind {
    const char *name;
    uint32_t bytes_max;
    uint32_t window; /* messages under way, so that nothing is lost for want of room */
    bool may_lose;   /* so that a message that does not come is sent again */
    void (*open)(const struct load_options *options);
    /* At most count messages, LOAD_BATCH at most: how many. */
    uint32_t (*put)(int end, const uint8_t *message, uint32_t bytes, uint32_t count);
    /* Of those that begin as this one, see LOAD_STAMP_BYTES. wait_ns: what looks for the first one for a
     * while itself may do so. */
    uint32_t (*take)(int end, const uint8_t *message, uint32_t bytes, uint32_t count,
                     int64_t wait_ns);
    void (*close)(void);
};

extern const struct load_kind load_channels, load_frames;

#endif
