/* tests/sim/pipe.h - one direction of a simulated link: bytes in, bytes out, as late as one likes.
 *
 * Purpose    What the simulations of byte streams send over.
 * Shape      put >= arrived >= got: bytes since it was opened; at most `room` between put and got.
 *            Who simulates moves `arrived`, and sets `put` back to lose what is under way.
 * Owner      the simulation; plain memory
 * Threads    one
 * Trust      none: test code only
 * Errors     none: a put takes a prefix, a get gives what has arrived
 * Invariants I1  bytes come out in order and once.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_SIM_PIPE_H
#define TESTS_SIM_PIPE_H

#include <stdint.h>
#include <string.h>

#include "shm/base.h"

enum { PIPE_BYTES = 16384 };

struct pipe {
    uint8_t bytes[PIPE_BYTES];
    uint32_t room;
    uint64_t put, arrived, got;
};

static inline void pipe_open(struct pipe *pipe, uint32_t room)
{
    pipe->room = room;
    pipe->put = pipe->arrived = pipe->got = 0;
}

static inline uint32_t pipe_put(struct pipe *pipe, const void *bytes, uint32_t length)
{
    length = (uint32_t)ewi_min_u64(length, pipe->room - (pipe->put - pipe->got));
    for (uint32_t done = 0, piece; done < length; done += piece) {
        uint32_t at = (uint32_t)((pipe->put + done) % PIPE_BYTES);

        piece = (uint32_t)ewi_min_u64(length - done, PIPE_BYTES - at);
        memcpy(pipe->bytes + at, (const uint8_t *)bytes + done, piece);
    }
    pipe->put += length;
    return length;
}

static inline uint32_t pipe_get(struct pipe *pipe, uint8_t *bytes, uint32_t room)
{
    uint32_t length = (uint32_t)ewi_min_u64(pipe->arrived - pipe->got, room);

    for (uint32_t done = 0, piece; done < length; done += piece) {
        uint32_t at = (uint32_t)((pipe->got + done) % PIPE_BYTES);

        piece = (uint32_t)ewi_min_u64(length - done, PIPE_BYTES - at);
        memcpy(bytes + done, pipe->bytes + at, piece);
    }
    pipe->got += length;
    return length;
}

#endif
