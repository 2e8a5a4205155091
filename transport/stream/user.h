/* transport/stream/user.h - where a stack's events go.
 *
 * Purpose    An event may still be on its way when a stream is finished: what it names lives until
 *            the stack has said CLOSED, or is closed itself.
 * Shape      a function and its object, in an allocation of its own, on the list of its stack
 * Owner      made with the stream, handed from guest to channel, freed by the CLOSED event
 * Threads    events: the reactor's thread. create, free, finish: any.
 * Trust      none of it comes from outside
 * Errors     NULL: no memory
 * Invariants I1  after finish has returned the object is not used any more.
 * Ordering   the reactor's lock
 * Source     transport/stack.h I2
 */
#ifndef EWI_TRANSPORT_STREAM_USER_H
#define EWI_TRANSPORT_STREAM_USER_H

#include "transport/stack.h"

struct context_stack;

typedef void stream_user_fn(void *object, uint32_t bits, uint64_t now_ns);

struct stream_user {
    stream_user_fn *fn;
    void *object;
    struct stream_user *next, **previous; /* of the stack's */
};

struct stream_user *ewi_stream_user_create(struct context_stack *on, stream_user_fn *fn,
                                           void *object);
/* Its stream was never made. */
void ewi_stream_user_free(struct context_stack *on, struct stream_user *user);
/* Events go to another object from now on. */
void ewi_stream_user_set(struct context_stack *on, struct stream_user *user, stream_user_fn *fn,
                         void *object);
/* One poll of the stack; events go to their users. Returns how many there were. */
int ewi_stream_dispatch(struct context_stack *on, uint64_t now_ns, uint64_t *deadline);
/* The stream is over, its user's object may go. */
void ewi_stream_finish(struct context_stack *on, ewi_stream stream, struct stream_user *user,
                       bool reset);

#endif
