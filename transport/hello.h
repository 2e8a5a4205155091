/* transport/hello.h - what both kinds of connection say first, and how the answer is judged.
 *
 * Purpose    One hello for shared memory and streams: fill it, check the reply.
 * Shape      struct dial: whom we want and how long we wait
 * Owner      strings and the dial belong to the caller
 * Threads    any
 * Trust      the reply is hostile until ewi_hello_judge has said 0
 * Errors     EW_EPROTO, EW_EVERSION, the refusals, EW_EUNREACHABLE (another instance answers)
 * Invariants I1  a welcome echoes service, namespace, channel and generation, and the instance that
 *                was asked for.
 * Ordering   none
 * Source     docs/reference/wire.md
 */
#ifndef EWI_TRANSPORT_HELLO_H
#define EWI_TRANSPORT_HELLO_H

#include "transport/channel/move.h"
#include "transport/context.h"

struct dial {
    const char *address; /* as given, for texts */
    const char *service, *protocol;
    const uint8_t *instance; /* NULL: any */
    enum wire_intent intent;
    struct wait wait;
    int cancel_fd;     /* -1, or readable: give up */
    struct move *move; /* RESUME: for this channel, which the caller has claimed; else NULL */
};

int ewi_random(void *out, size_t bytes);
/* The part that every hello has; OPEN with fresh id, secret and nonce. */
int ewi_hello_fill(const ew_context *context, const struct dial *dial, struct hello *out);
/* bytes: the reply. EW_OK and *out for a good welcome, else the code, text set. facts: or NULL. */
int ewi_hello_judge(const struct dial *dial, const struct hello *said, const uint8_t *bytes,
                    uint32_t length, struct hello *out, char *facts);
/* RESUME: bring the channel to rest; the positions and, encoded, the hello with its MAC. */
int ewi_hello_resume(const struct dial *dial, struct hello *out, uint8_t bytes[WIRE_HELLO_BYTES]);
/* ... and the MAC of the welcome to it. */
int ewi_hello_resumed(const struct dial *dial, const struct hello *said, const uint8_t *bytes);
/* Wait for a descriptor; 0, EW_ETIMEOUT, EW_EINTR. */
int ewi_hello_await(int fd, short events, const struct dial *dial);

/* The two ways to dial; EW_OK and *out, and for a query *query. */
int ewi_local_connect(ew_context *context, const char *directory, const char *name,
                      const struct dial *dial, ew_channel **out, ew_query_info *query);
int ewi_stream_connect(struct context_stack *on, const struct stack_addr *address,
                       const struct dial *dial, ew_channel **out, ew_query_info *query);
void ewi_query_fill(const struct hello *welcome, const char *facts, uint64_t began_ns,
                    ew_query_info *out);

#endif
