/* transport/stream/silence.h - a peer whose host has vanished is noticed within the grace time.
 *
 * Purpose    A host that loses power, or an interface that stays down, sends no reset. What was sent is
 *            repeated for a quarter of an hour before TCP gives up (RFC 9293 section 3.8.3).
 * Shape      a context's look at its streams, SILENCE_LOOKS times in the limit and only while one is in
 *            use or something sent has no answer; the kernel's keepalive asks idle ones.
 * Owner      the context
 * Threads    look_soon, on_look: under the reactor's lock
 * Trust      a peer whose TCP answers may be as slow as it likes, with a closed window too: its process
 *            may be stopped. Only one that does not answer at all is given up.
 * Errors     none: the stream is broken off, and the channel finds it lost
 * Invariants I1  idle, there is no look.
 *            I2  a batch of SILENCE_BATCH channels is looked at in one turn of the reactor.
 * Ordering   the reactor's lock
 * Source     docs/adr/0012-moving.md; tcp(7), TCP_USER_TIMEOUT and why it is not used
 */
#ifndef EWI_TRANSPORT_STREAM_SILENCE_H
#define EWI_TRANSPORT_STREAM_SILENCE_H

#include "shm/base.h"

enum { SILENCE_LOOKS = 8, SILENCE_BATCH = 128 };

struct source;

struct stream_silence {
    struct source *source;
    uint64_t limit_ns;
    uint64_t below; /* the number of the channel at which the next batch begins */
    bool looking, busy;
};

/* For a grace time; 0: none. */
uint64_t ewi_silence_limit(uint64_t grace_ns);
int ewi_silence_open(ew_context *context);
void ewi_silence_close(ew_context *context);
/* A stream is in use from now on. */
void ewi_silence_look_soon(ew_context *context);

#endif
