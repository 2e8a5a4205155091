/* tests/net/peer_streams.h - streams of a peer that is driven by lines: what does not depend on its stack.
 *
 * Purpose    Roles, bytes and lines of tun_peer (over struct ewi_net) and of stack_peer (over transport/stack.h).
 * Shape      role   ECHO   sends back what comes
 *                   SINK   reads; after the peer's FIN it sends `total` bytes, then its own FIN
 *                   SOURCE sends `total` bytes and a FIN at once, and reads meanwhile
 *                   ASK    sends `unit` bytes, waits for as many, `total` bytes in all, then a FIN
 *                   TOLD   reads; sends what a command says; no FIN by itself
 *            What is sent is a part of `pattern`, whose length is a prime: a shifted stream differs.
 *            Each end of a stream is told as a line of JSON with CRC-32 of both directions.
 * Owner      one array; a slot is used once, its index is the user word of the stack
 * Threads    one
 * Trust      none: test code only
 * Errors     of the stack, by name, in the lines "done" and "end"
 * Invariants none
 * Ordering   none
 * Source     CRC-32: ISO/IEC 13239, as zlib's
 */
#ifndef TESTS_NET_PEER_STREAMS_H
#define TESTS_NET_PEER_STREAMS_H

#include <errno.h>

#include "tests/c/harness.h"
#include "transport/stack.h"

enum { PATTERN_BYTES = 1048583, ECHO_BYTES = 1 << 16, PIECE_BYTES = 1 << 16, STREAMS_MAX = 8192 };
enum role { ECHO, SINK, SOURCE, ASK, TOLD, ROLES };

struct stream {
    ewi_stream handle;
    enum role role;
    uint64_t total, unit;
    uint64_t sent, received;
    uint32_t sent_crc, received_crc;
    uint32_t listener;   /* index, of an accepted stream */
    bool is_listener, is_connected, peer_ended, was_shut, is_over;
    bool stands_still;   /* does not read, does not accept */
    uint8_t *echo;       /* of an echo: ECHO_BYTES */
    int error;
    /* of stack_peer */
    uint32_t from, to;   /* bytes [from, to) of `echo` have not been taken yet */
    /* of tun_peer */
    bool is_udp;
    uint64_t opened_at, ended_at; /* of ended_at: the peer's FIN and all of ours were seen */
};

struct streams {
    const struct stack_ops *ops; /* of stack_peer */
    struct ewi_stack *stack;
    struct ewi_net *net;         /* of tun_peer */
    uint64_t now;
    bool is_quiet;       /* no crc, no line for accepted and connected streams */
    uint8_t *pattern;
    uint32_t crc_table[256];
    struct stream stream[STREAMS_MAX];
    uint32_t count;
};

void streams_open(struct streams *all, uint64_t seed);
/* The handles are stale by now. */
void streams_close(struct streams *all);
uint32_t crc_add(const struct streams *all, uint32_t crc, const uint8_t *from, size_t bytes);

/* A fresh slot; its number is how commands and lines name it. */
struct stream *stream_new(struct streams *all, enum role role);
/* One that a listener accepts: it does as the listener was told. */
struct stream *stream_accepted(struct streams *all, const struct stream *listener, ewi_stream handle);
uint32_t stream_id(const struct streams *all, const struct stream *stream);
/* CLOSED was told: nothing refers to the handle, or to an echo's memory. */
void stream_over(struct stream *stream);

/* How many bytes may have been sent by now. */
uint64_t wanted(const struct stream *stream);
/* All was sent, and the role says that a FIN follows. */
bool is_done(const struct stream *stream);

/* ---- lines ---- */

const char *name_of(int error);
void print_addresses(const struct streams *all, const char *event, const struct stream *stream,
                     const struct stack_addr *local, const struct stack_addr *remote);
void answer(const char *command, uint32_t id, int code);
/* The answer to a command that made this stream, which is gone if the code says so. */
void answer_opened(struct streams *all, const char *command, const struct stream *stream, int code);

#endif
