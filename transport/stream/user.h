/* transport/stream/user.h - where a stack's events go.
 *
 * Purpose    An event may still be on its way when a stream is finished: what it names lives until
 *            the stack has said CLOSED.
 * Shape      a function and its object, in an allocation of its own
 * Owner      made with the stream, handed from guest to channel, freed by the CLOSED event
 * Threads    events: the reactor's thread. finish: any.
 * Trust      none of it comes from outside
 * Errors     NULL: no memory
 * Invariants I1  after finish has returned the object is not used any more.
 * Ordering   the reactor's lock
 * Source     transport/stack.h I2
 */
#ifndef EWI_TRANSPORT_STREAM_USER_H
#define EWI_TRANSPORT_STREAM_USER_H

#include "transport/reactor.h"
#include "transport/stack.h"

typedef void stream_user_fn(void *object, uint32_t bits, uint64_t now_ns);

struct stream_user {
    stream_user_fn *fn;
    void *object;
};

struct stream_user *ewi_stream_user_create(stream_user_fn *fn, void *object);
/* Events go to another object from now on. */
void ewi_stream_user_set(struct reactor *reactor, struct stream_user *user, stream_user_fn *fn,
                         void *object);
/* One poll of the stack; events go to their users. Returns how many there were. */
int ewi_stream_dispatch(const struct stack_ops *ops, struct ewi_stack *stack, uint64_t now_ns);
/* The stream is over, its user's object may go. */
void ewi_stream_finish(struct reactor *reactor, const struct stack_ops *ops,
                       struct ewi_stack *stack, ewi_stream stream, struct stream_user *user,
                       bool reset);

#endif
