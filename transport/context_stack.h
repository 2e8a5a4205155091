/* transport/context_stack.h - one of the stacks of a context, and who drives it.
 *
 * Purpose    A context has the kernel's stack, and perhaps one from a plug-in: what makes, uses and ends
 *            streams is the same code for both.
 * Shape      the stack, its table, its source in the reactor, the users of its streams
 * Owner      the context; opened once, closed with it
 * Threads    start, turn, stop: the reactor's lock. stir: any.
 * Trust      a plug-in is code of this process: its table is checked, what it does is not
 * Errors     of the stack
 * Invariants I1  `stack` is stored once: whoever saw it may use it for the life of the context.
 *            I2  while the reactor sleeps the stack is armed, or a deadline is set.
 * Ordering   the reactor's lock: `stack` is read with it, or handed over with what was made on it
 * Source     transport/stack.h; docs/adr/0018-fabric-stack.md
 */
#ifndef EWI_TRANSPORT_CONTEXT_STACK_H
#define EWI_TRANSPORT_CONTEXT_STACK_H

#include "transport/reactor.h"
#include "transport/stack.h"
#include "transport/stream/user.h"

enum { STACK_TURNS = 8 }; /* polls of one turn of the reactor; then others have theirs */

struct context_stack {
    ew_context *context;
    const struct stack_ops *ops;
    struct ewi_stack *stack; /* NULL: it is not there (yet) */
    ew_path path;
    uint64_t poll_interval_ns; /* it cannot wake us: to be driven so often while streams are open; 0: it can */
    struct source *source;
    struct stream_user *users;
};

/* The reactor drives it from now on. On failure the stack is the caller's. */
int ewi_context_stack_start(struct context_stack *on, struct ewi_stack *stack);
/* Nothing uses it any more; what is left is aborted. */
void ewi_context_stack_stop(struct context_stack *on);
/* A stream was opened beside the reactor. */
void ewi_context_stack_stir(struct context_stack *on);

#endif
