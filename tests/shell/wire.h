/* tests/shell/wire.h - a network device in memory: two ends of one cable, in one process.
 *
 * Purpose    A device for transport/shell that needs no driver and no privilege, and that a test can cut,
 *            fill and make lossy. Also what a benchmark of the shell runs over.
 * Shape      "wire:name=NAME[,sleep=off][,ring=FRAMES]": the first end that opens a name makes the wire,
 *            the second joins. Ethernet, no offloads. Each direction is a ring of frames; a buffer goes
 *            across without a copy and comes back to its owner by a second ring.
 *            Ends are 0 and 1, in order of opening; a lower free number is taken first.
 * Owner      The wire has the buffers of both ends; it goes with the last end.
 * Threads    One caller for each end (its stack's guard), ends beside each other; switches from anywhere.
 * Trust      none: test code only
 * Errors     open: negative errno and a sentence. A buffer given back twice, transmitted without being
 *            armed, or one that is not ours: the process ends.
 * Invariants I1  each buffer is free, armed, flying or held; each change is checked.
 *            I2  a frame is told once, or counted as lost.
 * Ordering   Y1 release-store of a ring's tail     pairs with  Y2 acquire-load of it by the reader.
 *            Y3 release-store of a ring's head     pairs with  Y4 acquire-load of it by the writer.
 *            Y5 the sleeper stores armed, passes a full fence and looks at the ring; the sender stores
 *            the tail, passes a full fence and looks at armed: one of them sees the other.
 *            Y6 switches and the states of buffers: relaxed, values only.
 * Source     transport/shell/device.h
 */
#ifndef TESTS_SHELL_WIRE_H
#define TESTS_SHELL_WIRE_H

#include "transport/shell/device.h"

enum { WIRE_BUFFER_BYTES = 2048, WIRE_NAME_BYTES = 32 };

extern const struct device_ops wire_device;

/* The shell on this device: all calls of transport/stack.h. */
const struct stack_ops *wire_stack(void);

/* ---- switches; the wire must exist ---- */

void wire_set_carrier(const char *name, bool is_up);
/* The end has no carrier, and nor has the other; and it gets none until it is closed and opened again. */
void wire_break(const char *name, int end);
/* The end's device takes nothing. */
void wire_set_full(const char *name, int end, bool is_full);
/* Of a million frames that the end transmits, so many are lost. */
void wire_set_loss(const char *name, int end, uint32_t per_million);

/* ---- looks ---- */

struct wire_look {
    uint32_t ends, free, armed, flying, held, all; /* buffers */
    uint64_t sent, lost, wakes;                    /* since the wire was made */
};
/* False: there is no such wire. */
bool wire_look_at(const char *name, struct wire_look *out);
/* Packets that this end has received and not given back. */
uint32_t wire_held_by(const char *name, int end);
bool wire_is_armed(const char *name, int end);

#endif
