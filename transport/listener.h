/* transport/listener.h - one published instance of a service, and who waits to be accepted.
 *
 * Purpose    Take connections in the reactor, judge their hello, queue the channels for accept().
 * Shape      a local socket in a runtime directory, shares of TCP ports, or both; a queue
 * Owner      counted: the caller's handle and every channel accepted from it hold a share
 * Threads    accept, close, info: any. Guests (connections before their hello) belong to the
 *            reactor's thread.
 * Trust      nothing is allocated for a guest beyond a small struct before credentials and hello
 *            pass; guests are counted, per uid and in all, and have a deadline.
 * Errors     see bindings/c/eastwest.h
 * Invariants I1  a guest can end its own connection and nothing else.
 *            I2  channels + waiting <= max_channels.
 * Ordering   N1 the queue's lock; its eventfd is readable while the queue is not empty or closed
 * Source     design, section 5
 */
#ifndef EWI_TRANSPORT_LISTENER_H
#define EWI_TRANSPORT_LISTENER_H

#include "transport/context.h"
#include "transport/fabric.h"
#include "transport/local/rundir.h"

struct tcp_port;

struct ew_listener {
    ew_context *context;
    ew_listener *next;
    uint64_t number; /* in the context, 1, 2 ...; 0: not ready. Under the context's lock */
    _Atomic uint32_t shares;
    uint8_t instance[16];
    char service[WIRE_SERVICE_BYTES], protocol[WIRE_PROTOCOL_BYTES];
    uint32_t max_channels;

    int directory, socket; /* -1: not local */
    struct source *source;
    char name[RUNDIR_NAME_BYTES];
    char local_address[4224];
    struct tcp_port *ports[CONTEXT_STACKS]; /* NULL: not on this stack */

    struct lock lock; /* the rest */
    bool closed, draining;
    char facts[WIRE_FACTS_BYTES_MAX + 8];
    ew_channel *first, **last; /* waiting; linked by channel->queued */
    uint32_t channels;         /* alive, waiting ones included */
    uint64_t waiting, accepted, refused, dropped;
    int event_fd;
};

/* Find and judge: EW_OK with *out (one more channel is counted for OPEN), or the code and text of
 * a refusal. local: the listener whose socket it came to; NULL: any that is on this stack. */
int ewi_listener_judge(struct context_stack *on, ew_listener *local, const struct hello *hello,
                       ew_listener **out, char text[WIRE_TEXT_BYTES_MAX]);
void ewi_listener_take(ew_listener *listener);
void ewi_listener_give(ew_listener *listener);
/* A channel that judge counted is gone or was never made. */
/* Its peers are to go elsewhere. */
bool ewi_listener_is_draining(ew_listener *listener);
void ewi_listener_give_channel(ew_listener *listener);
void ewi_listener_queue(ew_listener *listener, ew_channel *channel);
/* The answer to a hello, from this listener. */
void ewi_listener_welcome(ew_listener *listener, const struct hello *hello, struct hello *out,
                          char facts[WIRE_FACTS_BYTES_MAX + 8]);
void ewi_listener_count_refused(ew_listener *listener);

/* ---- transport/local/accept.c ---- */
int ewi_local_listen(ew_listener *listener, const char *directory);
void ewi_local_unlisten(ew_listener *listener);

/* ---- transport/stream/accept.c ---- */
/* bind NULL: the one port that all listeners share on the fabric. */
int ewi_port_share(struct context_stack *on, const char *bind, struct tcp_port **out);
void ewi_port_give(struct tcp_port *port);
/* Of its first address; "": it was never open, the fabric's device has not come yet. */
void ewi_port_address(struct tcp_port *port, char out[STREAM_ADDRESS_BYTES]);
/* The fabric's port is (perhaps) there again: open what is closed; the first error. Under the reactor's
 * lock. */
int ewi_port_open_all(struct context_stack *on);

#endif
