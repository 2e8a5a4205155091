/* tests/shell/wire_parts.h - the insides of a wire in memory.
 *
 * Purpose    What the device (wire.c) and the test's switches and looks (wire_look.c) share.
 * Shape      see wire.h
 * Owner      see wire.h
 * Threads    see wire.h
 * Trust      none: test code only
 * Errors     wire_die() ends the process
 * Invariants see wire.h
 * Ordering   see wire.h
 * Source     none
 */
#ifndef TESTS_SHELL_WIRE_PARTS_H
#define TESTS_SHELL_WIRE_PARTS_H

#include <stdatomic.h>

#include "tests/shell/wire.h"

enum { WIRES_MAX = 16, RING_DEFAULT = 512, RING_MAX = 4096, MTU = 1500, FREE = 0, ARMED, FLYING, HELD };

struct frame_at {
    uint32_t buffer, bytes;
};

struct ring {
    _Alignas(EWI_CACHE_LINE) _Atomic uint32_t tail;
    _Alignas(EWI_CACHE_LINE) _Atomic uint32_t head;
    uint32_t mask;
    struct frame_at *at;
};

struct device { /* one end */
    struct wire *wire;
    int end;
    _Atomic bool is_open;
    struct device_facts facts;
    struct device_counts counts;
    uint64_t random;
    int fd;
    uint32_t *free;         /* buffers of ours that are nobody's */
    uint32_t free_count;
    _Alignas(EWI_CACHE_LINE) _Atomic bool armed;
    _Atomic bool is_full;
    _Atomic bool is_broken; /* until it is opened again */
    _Atomic uint32_t loss;
    _Atomic uint64_t sent, lost, wakes;
    struct ring in;         /* from the other end */
    struct ring back;       /* our buffers that the other end has read */
};

struct wire {
    char name[WIRE_NAME_BYTES];
    uint32_t each; /* buffers of one end */
    uint8_t *memory;
    _Atomic uint8_t *state;
    _Atomic bool is_down;
    struct device end[2];
};

_Noreturn void wire_die(const char *what);
/* NULL: there is none of that name. */
struct wire *wire_find(const char *name);

#endif
