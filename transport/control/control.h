/* transport/control/control.h - the socket where others look in: counters and verdicts, no payload.
 *
 * Purpose    Answer `eastwest top`, `ls --channels` and `explain PID` without the application.
 * Shape      DIRECTORY/proc/PID-RANDOM.sock, SOCK_SEQPACKET, one for each context. A request is one
 *            packet of ASCII, "eastwest/1 VERB[ NUMBER]"; the reply is one packet of JSON lines:
 *            a head, rows, and {"next":N} for lists (ask again with N; 0: that was all).
 *              context            counters of the context
 *              listeners [N]      its listeners with a number below N, highest first
 *              channels [N]       its channels likewise
 *              channel N          everything about one channel, with its note
 *              net QUESTION       a question to the context's own TCP/IP: transport/shell/ask.h
 *            A request that is wrong, or a uid that may not look, gets {"error":...} and the end.
 * Owner      the context: made with it, opened by its first listener or channel, closed with it
 * Threads    ensure, close, address: the application's. Clients: the reactor's thread.
 * Trust      Requests are hostile. Who may connect a channel, and root, may look; it costs one small
 *            packet in, one out per wake-up, and what does not fit the client's buffer ends it: we
 *            never wait for a reader. Clients are counted and have a deadline. Questions that make our
 *            TCP/IP send (ping) are for our own uid and root, those that write files (capture) for our
 *            own only.
 * Errors     never of a channel or listener: what failed is kept for ewi_control_address
 * Invariants I1  the reactor waits for no lock whose holder may wait for the reactor
 *                (ewi_channel_look tries).
 *            I2  a name in the directory was listening from its first moment (local/rundir.h).
 *            I3  clients of other uids never have more than half of the places.
 * Ordering   S1 relaxed load of state: a hint, looked at again under the lock.
 * Source     design, section 5; docs/reference/control.md
 */
#ifndef EWI_TRANSPORT_CONTROL_CONTROL_H
#define EWI_TRANSPORT_CONTROL_CONTROL_H

#include "transport/context.h"

enum {
    CONTROL_VERSION = 1,
    CONTROL_REQUEST_BYTES_MAX = 640,
    CONTROL_PLAIN_BYTES_MAX = 64, /* of a request that is not "net" */
    CONTROL_PACKET_BYTES = 32 * 1024, /* of a reply: a row whose every text is escaped takes half */
    CONTROL_ROWS_MAX = 32,            /* channels looked at for one request */
    CONTROL_CLIENTS_MAX = 16,
    CONTROL_PATIENCE = 10, /* times the context's hello_ns: for all that a client asks */
    CONTROL_FOREIGN_MAX = CONTROL_CLIENTS_MAX / 2,
};

struct control_socket;
struct text; /* transport/control/text.h */

/* ---- control.c: the socket ---- */

/* Nothing is opened yet. directory: the runtime directory; copied. */
int ewi_control_create(ew_context *context, const char *directory, struct control_socket **out);
/* Open it if it is not, and may be; a missing directory is looked for again next time. */
void ewi_control_ensure(ew_context *context);
/* For good; waits for a running callback. */
void ewi_control_close(ew_context *context);
void ewi_control_free(struct control_socket *control);

/* ---- answer.c: requests and replies ---- */

enum control_verb {
    CONTROL_CONTEXT,
    CONTROL_LISTENERS,
    CONTROL_CHANNELS,
    CONTROL_CHANNEL,
    CONTROL_NET,
};

enum control_right { /* the more, the later */
    CONTROL_MAY_LOOK,
    CONTROL_MAY_SEND, /* root */
    CONTROL_MAY_WRITE /* our own uid */
};

struct control_request {
    enum control_verb verb;
    uint64_t number; /* 0: not given */
    char question[CONTROL_REQUEST_BYTES_MAX]; /* of net; printable */
};

/* EW_OK, EW_EVERSION (it speaks another version) or EW_EPROTO. */
int ewi_control_parse(const char *bytes, size_t length, struct control_request *out);
/* Bytes of the reply. */
size_t ewi_control_answer(ew_context *context, const struct control_request *request,
                          enum control_right right, char out[CONTROL_PACKET_BYTES]);
/* The first line of every reply. */
void ewi_control_put_head(struct text *text, const char *verb);
/* {"error":"word","detail":"..."} */
size_t ewi_control_refuse(const char *word, const char *detail, char *out, size_t room);

/* ---- net.c: questions to the context's own TCP/IP ---- */

/* The reply, as of ewi_control_answer. */
size_t ewi_control_net(ew_context *context, const char *question, enum control_right right,
                       char out[CONTROL_PACKET_BYTES]);
/* The same of any stack; NULL: there is none. */
size_t ewi_control_ask(const struct stack_ops *ops, struct ewi_stack *stack, const char *question,
                       enum control_right right, char out[CONTROL_PACKET_BYTES]);

#endif
