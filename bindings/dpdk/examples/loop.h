/* bindings/dpdk/examples/loop.h - what both examples share: load the plug-in, open a stack, run it.
 *
 * Purpose    Show transport/stack.h, the table that our TCP/IP has, without anything of channels.
 * Shape      loop_open, loop_listen, then loop_run calls `handle` for each event until SIGINT or SIGTERM
 * Owner      struct loop is the program's
 * Threads    one
 * Trust      what arrives is hostile: each example judges it
 * Errors     a sentence on stderr, and exit code 2
 * Invariants I1  whoever finds the stack idle sleeps; nothing spins.
 *            I2  a device that is gone is opened again, once a second; the listener stays.
 * Ordering   none
 * Source     docs/guide/dpdk.md
 */
#ifndef EASTWEST_EXAMPLES_LOOP_H
#define EASTWEST_EXAMPLES_LOOP_H

#include "transport/stack.h"

struct loop {
    const struct stack_ops *ops;
    struct ewi_stack *stack;
    ewi_stream listener;
    bool is_lost; /* the device has no carrier */
};

typedef void loop_handler(struct loop *loop, const struct stack_event *event);

/* settings: lines "key=value" (transport/shell/settings.h); devices are in docs/reference/network.md. */
void loop_open(struct loop *loop, const char *plugin, const char *settings);
void loop_listen(struct loop *loop, const char *port);
void loop_run(struct loop *loop, loop_handler *handle);
uint64_t loop_now(void);

#endif
