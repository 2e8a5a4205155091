/* transport/stack.h - what a stream link needs from "something that gives byte streams".
 *
 * Purpose    One table of functions for each stack: kernel sockets, our TCP/IP on DPDK, TLS over
 *            either, a test double. The whole stack is swapped above TCP.
 * Shape      stack   one driver context: an epoll set; a DPDK port with its TCP instance.
 *            stream  a connection or a listener, a 64-bit handle: slot in the low half, generation
 *                    in the high half. A stale handle gives -ESTALE, never another stream; 0 is
 *                    never valid.
 *            Times are u64 nanoseconds of one monotonic clock, passed in.
 * Owner      The stack owns streams; the caller owns what spans point to, and keeps it valid and
 *            unchanged until `released` has reached it.
 * Threads    Nothing blocks, calls back, or allocates after open(). One thread at a time drives a
 *            stack, except: kick() from anywhere, and with STACK_PARALLEL send, recv_into, ready,
 *            released, error, shutdown, watch, stream_fd and stream_arm on distinct streams, and
 *            connect and accept, beside the driver. One thread at a time uses one stream in each direction.
 * Trust      Bytes, addresses and lengths that arrive are hostile. The caller is not.
 * Errors     negative errno. -EAGAIN: nothing now. A stream that failed keeps answering the same
 *            error until it is closed; recv_into gives what had arrived first. -ENOTSUP: this
 *            stack cannot; `info` says why. -ENETDOWN: the device has no carrier; connect and listen
 *            look again. A listener says FAILED when that happens, and goes on when it is over.
 * Invariants I1  bytes are sent in order and once; a send takes a prefix and says how much.
 *            I2  CLOSED is a stream's last event, and nothing of the caller's is referenced then.
 * Ordering   the caller's locks; a handle passed between threads carries everything before it.
 * Source     design, section 6; RFC 9293 section 3.9 (user calls)
 */
#ifndef EWI_TRANSPORT_STACK_H
#define EWI_TRANSPORT_STACK_H

#include "shm/base.h"

enum { STACK_ABI = 3, STACK_REASON_BYTES = 512 };

typedef uint64_t ewi_stream;
struct ewi_stack; /* private to the implementation */

enum stack_caps {
    STACK_PARALLEL = 1u << 0,  /* see Threads */
    STACK_STREAM_FD = 1u << 1, /* a stream has a descriptor of its own to sleep on */
    STACK_TX_REF = 1u << 2,    /* send may keep references; else released == accepted on return */
    STACK_WAKE = 1u << 3,      /* wait_fd becomes readable for every watched arrival */
};

struct stack_addr {
    uint8_t family; /* 4 or 6 */
    uint16_t port;  /* host order */
    uint32_t scope; /* IPv6 link-local interface index */
    uint8_t ip[16]; /* network order; IPv4 in the first four bytes */
};

struct stack_span {
    const void *base;
    size_t bytes;
};

struct stack_room { /* for what arrives */
    void *base;
    size_t bytes;
};

enum stack_event_bits {
    STACK_CONNECTED = 1u << 0,
    STACK_ACCEPT = 1u << 1,   /* listener: accept() until -EAGAIN */
    STACK_READABLE = 1u << 2, /* recv_into() until -EAGAIN */
    STACK_WRITABLE = 1u << 3, /* send() has room */
    STACK_RELEASED = 1u << 4, /* released() moved */
    STACK_PEER_FIN = 1u << 5, /* no more bytes after those readable */
    STACK_FAILED = 1u << 6,   /* error() says why */
    STACK_CLOSED = 1u << 7,
    STACK_ASIDE = 1u << 8,    /* watch only: report nothing, not even FAILED; the caller drives */
};

enum stack_silence {
    STACK_QUIET = 0,   /* nothing is on its way */
    STACK_WAITS = 1,   /* something is, and may be answered yet, or the peer has no room for it */
    STACK_REPEATS = 2, /* it was repeated, or the peer was asked, and that has no answer */
};

struct stack_event {
    uint64_t user; /* given to listen, connect, accept */
    ewi_stream stream;
    uint32_t bits;
};

struct stack_info {
    char name[16];      /* "kernel" */
    char device[48];    /* "" */
    char reason[128];   /* why a capability is missing, for explain */
    uint32_t caps;      /* enum stack_caps */
    uint32_t streams, streams_max;
    uint64_t poll_interval_ns; /* 0: the device wakes who sleeps. Else it is looked at so often while streams
                                * are open: wait_fd wakes for it or, without STACK_WAKE, the caller drives */
};

struct stack_options {
    uint32_t streams_max;  /* 1..2^20 */
    const uint8_t *seed;   /* 32 bytes: ISNs, ports, hash keys; same seed, same run */
    const char *text;      /* the implementation's own, "" for the kernel */
    uint64_t silence_ns;   /* ask an idle peer after so long, give it up after as long again; 0: never */
    char *reason;          /* STACK_REASON_BYTES or NULL: why open() failed, with value, limit, way out */
};

struct stack_ops {
    uint32_t abi;   /* STACK_ABI */
    uint32_t bytes; /* sizeof this table: functions are only appended; an absent one is NULL */
    const char *name;

    /* -- life -- */
    int (*open)(const struct stack_options *options, struct ewi_stack **out);
    void (*close)(struct ewi_stack *stack); /* aborts what is left */

    /* -- streams: user comes back in events -- */
    int (*listen)(struct ewi_stack *stack, const struct stack_addr *local, uint32_t backlog,
                  uint64_t user, ewi_stream *out);
    /* Starts; ready() or an event says CONNECTED or FAILED. local may be NULL. */
    int (*connect)(struct ewi_stack *stack, const struct stack_addr *local,
                   const struct stack_addr *remote, uint64_t user, uint64_t now, ewi_stream *out);
    int (*accept)(struct ewi_stack *stack, ewi_stream listener, uint64_t user, ewi_stream *out);

    /* -- data -- */
    /* Takes a prefix of the spans (at most 8); the bytes taken, or -EAGAIN. */
    int64_t (*send)(struct ewi_stack *stack, ewi_stream stream, const struct stack_span *spans,
                    uint32_t count);
    /* Stream bytes, from 0, acknowledged by the peer and no longer read by a device. */
    int (*released)(struct ewi_stack *stack, ewi_stream stream, uint64_t *out);
    /* Copies what has arrived into the rooms (at most 8, none empty), one after the other; the bytes
     * copied, 0: the peer's FIN. Tried before any poll. */
    int64_t (*recv_into)(struct ewi_stack *stack, ewi_stream stream, const struct stack_room *rooms,
                         uint32_t count);
    uint32_t (*ready)(struct ewi_stack *stack, ewi_stream stream); /* levels now, enum stack_event_bits */
    int (*error)(struct ewi_stack *stack, ewi_stream stream);      /* why FAILED, 0: it did not */

    /* -- end -- */
    int (*shutdown)(struct ewi_stack *stack, ewi_stream stream); /* FIN behind what was accepted */
    /* Wakes whoever sleeps on stream_fd and makes every later call fail: any thread. */
    int (*break_off)(struct ewi_stack *stack, ewi_stream stream);
    /* reset: RST, else an orderly end in the background. The handle is stale afterwards; poll
     * reports CLOSED with it, and nothing else, later. */
    int (*finish)(struct ewi_stack *stack, ewi_stream stream, bool reset, uint64_t now);

    /* -- progress -- */
    /* Which of READABLE, WRITABLE the stack reports by poll; FAILED always, but for ASIDE. Listeners:
     * always. */
    int (*watch)(struct ewi_stack *stack, ewi_stream stream, uint32_t bits);
    /* At most count events; *deadline: when to call again even if nothing arrives. */
    int (*poll)(struct ewi_stack *stack, uint64_t now, struct stack_event *events, uint32_t count,
                uint64_t *deadline);
    void (*flush)(struct ewi_stack *stack, uint64_t now);

    /* -- sleep -- */
    int (*wait_fd)(struct ewi_stack *stack);  /* one for life; nests in epoll */
    int (*stream_fd)(struct ewi_stack *stack, ewi_stream stream); /* for poll(2) only, or -ENOTSUP */
    int (*arm)(struct ewi_stack *stack, uint64_t now); /* before sleeping on wait_fd; 1: work, poll now */
    void (*disarm)(struct ewi_stack *stack);
    void (*kick)(struct ewi_stack *stack); /* any thread: makes wait_fd readable */

    /* -- look -- */
    /* What is not asked for is NULL; a listener has no remote: -ENOTCONN to who asks for it. */
    int (*addresses)(struct ewi_stack *stack, ewi_stream stream, struct stack_addr *local,
                     struct stack_addr *remote);
    int (*info)(struct ewi_stack *stack, struct stack_info *out);
    /* Does the peer's host answer? *since_ns: for how long nothing was heard of it. */
    enum stack_silence (*silence)(struct ewi_stack *stack, ewi_stream stream, uint64_t *since_ns);

    /* -- fork -- */
    /* In the child, from its atfork handler: close()s its descriptors, touches nothing of the
     * parent's. Nothing else may be called there. */
    void (*forked)(struct ewi_stack *stack);

    /* -- since ABI 3; may be NULL -- */
    /* Before each sleep on stream_fd: it becomes readable (POLLIN, for writing, too) when something may
     * be possible again. 1: something is now, do not sleep. The next recv_into or ready ends it. Where it
     * is NULL, stream_fd is a descriptor as any other, with POLLIN and POLLOUT. */
    int (*stream_arm)(struct ewi_stack *stack, ewi_stream stream, uint64_t now);
    /* A tool's question ("port", "conn" ...); the answer is JSON. Bytes written, -EINVAL: no such
     * question, -ENOBUFS. Any thread. */
    int64_t (*ask)(struct ewi_stack *stack, const char *question, char *answer, size_t room);
    /* After ENETDOWN: where the device cannot come back by itself, open another in its place. Any thread,
     * which may have to wait (an open takes 150 ms); streams and listeners may be used meanwhile. 0: done,
     * or no need. -EAGAIN: it is there without a carrier. -EBUSY: not yet; else as open(). reason:
     * STACK_REASON_BYTES. */
    int (*reopen)(struct ewi_stack *stack, char *reason);
};

extern const struct stack_ops ewi_kernel_stack;

/* The one symbol of a plug-in, "ewi_stack_plugin". */
struct stack_plugin {
    uint32_t abi;        /* STACK_ABI */
    uint32_t bytes;      /* sizeof this */
    const char *version; /* of the release it belongs to */
    const struct stack_ops *ops;
    /* One device as `count` stacks with the same addresses, each for one thread; closed one by one. May be
     * NULL, or missing: bytes says whether it is there. */
    int (*open_shards)(const struct stack_options *options, uint32_t count, struct ewi_stack **out);
};

/* "A.B.C.D:PORT" or "[A::B%scope]:PORT"; numeric only, no name look-up. 0 or EW_EINVAL. */
int ewi_addr_parse(const char *text, struct stack_addr *out);
/* The same form back; room: at least 72. */
void ewi_addr_format(const struct stack_addr *addr, char *out, size_t room);
bool ewi_addr_is_loopback(const struct stack_addr *addr);

#endif
