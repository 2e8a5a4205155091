/* eastwest/eastwest.h - one channel API for peers on this host and on others.
 *
 * Purpose    The C ABI of libeastwest. Every language binding sits on it. A program listens for a
 *            service or connects to one and exchanges messages; whether they cross shared memory
 *            or a byte stream is decided when the channel is made, shown by ew_channel_get_info().
 * Shape      ew_context: configuration, memory budget, a share of the process's reactor thread.
 *            ew_listener: one published instance of a service. ew_channel: a full-duplex, ordered,
 *            message-preserving connection. Sizes are bytes, times nanoseconds (int64, < 0: no
 *            limit, 0: do not wait). Addresses: "shm:DIRECTORY/SOCKET", "tcp://A.B.C.D:PORT",
 *            "tcp://[A::B]:PORT", and "dpdk://NETWORK/..." likewise for who has a port there.
 * Owner      Handles are owned by the caller and given back by the matching _close or _free.
 *            Option structs and the strings in them are only read during the call.
 * Threads    Everything may be called from any thread at the same time, except _free, which must
 *            be the last call on its handle. A message is sent and received whole by one thread.
 *            After fork every handle of the parent answers EW_EFORKED in the child.
 * Trust      The peer may be buggy, hostile or dead: it can end its own channel and nothing else.
 * Errors     0 or a count on success; negative: enum ew_err or -errno of the system call that
 *            failed. ew_error_text() has the sentence, with the value, the limit and the way out.
 * Invariants I1  a call happens whole or changes nothing.
 *            I2  messages arrive in order, each once, or the channel ends with EW_ELOST.
 * Ordering   internal; a message received happens after everything before its send.
 * Source     docs/adr/0002-record-is-the-frame.md, docs/adr/0005-two-bindings.md
 */
#ifndef EASTWEST_H
#define EASTWEST_H

#include <stddef.h>
#include <stdint.h>

#ifdef EW_SHARED
#define EW_API __attribute__((visibility("default")))
#else
#define EW_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* cffi:begin */

/* What went wrong: one value for each thing that a caller can do about it. */
typedef enum ew_err {
    EW_OK = 0,
    EW_EAGAIN = -1000,       /* would have to wait; nothing changed */
    EW_ETIMEOUT = -1001,     /* the time is up; nothing changed */
    EW_EINTR = -1002,        /* a signal arrived while waiting; nothing changed, call again */
    EW_ECLOSED = -1003,      /* this end was closed here */
    EW_EEND = -1004,         /* the peer ended the channel, and everything it sent was received */
    EW_ELOST = -1005,        /* the peer died or vanished; what had arrived was delivered first */
    EW_EPROTO = -1006,       /* the peer broke the protocol; the channel is over */
    EW_ETOOBIG = -1007,      /* message longer than the limit or the buffer; nothing changed */
    EW_EINVAL = -1008,       /* an argument is wrong; the text says which */
    EW_ENOTFOUND = -1009,    /* no such service here */
    EW_EUNREACHABLE = -1010, /* nobody answers at that address */
    EW_EACCESS = -1011,      /* refused: not on the access list */
    EW_EVERSION = -1012,     /* refused: no common protocol version or feature set */
    EW_EAPPLICATION = -1013, /* refused: the application protocol names differ */
    EW_EFULL = -1014,        /* refused: the listener has as many channels as it takes */
    EW_EDRAINING = -1015,    /* refused: the listener is going away */
    EW_EMEMORY = -1016,      /* the memory budget or the system's memory is used up */
    EW_EFORKED = -1017,      /* the handle belongs to the parent process */
    EW_EINUSE = -1018,       /* the address is in use */
    EW_EBUG = -1019          /* our bug: please report the text */
} ew_err;

typedef enum ew_wait_policy { EW_WAIT_ADAPTIVE = 0, EW_WAIT_BLOCK = 1, EW_WAIT_SPIN = 2 } ew_wait_policy;

typedef enum ew_pages { EW_PAGES_AUTO = 0, EW_PAGES_HUGE = 1, EW_PAGES_SMALL = 2 } ew_pages;

typedef enum ew_path { EW_PATH_NONE = 0, EW_PATH_SHM = 1, EW_PATH_TCP = 2, EW_PATH_DPDK = 3 } ew_path;

typedef struct ew_context ew_context;
typedef struct ew_listener ew_listener;
typedef struct ew_channel ew_channel;

/* ---- the library ---- */

EW_API const char *ew_version(void);
/* This thread's text of the last call that failed in it; "" if none did. Valid until the next call. */
EW_API const char *ew_error_text(void);
/* "EW_EAGAIN" for -1000, "ENOENT" for -2, "?" for what is neither. */
EW_API const char *ew_error_name(int code);

/* ---- context ---- */

/* All fields 0 or NULL: the default. */
typedef struct ew_context_options {
    const char *namespace_name;  /* "default"; peers of another namespace are never reached */
    uint64_t outbox_bytes;       /* memory of one end of a channel, 16 KiB..1 GiB; 256 KiB */
    uint64_t inbox_bytes;        /* receive buffer of a stream, 64 KiB..1 GiB; 256 KiB */
    uint64_t stream_bytes_max;   /* to what the two may grow over a stream, no less than either and at
                                    most 1 GiB; 4 MiB or the larger of them */
    uint64_t message_bytes_max;  /* longest message we accept, 1..2^40; 64 MiB */
    uint64_t memory_bytes_max;   /* budget of the context; 1 GiB */
    uint64_t peer_bytes_max;     /* shared memory that peers of one uid may make us map; a quarter
                                    of memory_bytes_max */
    uint64_t huge_bytes_max;     /* huge pages this context may use; 64 MiB */
    int32_t pages;               /* enum ew_pages */
    int32_t wait;                /* enum ew_wait_policy */
    const uint32_t *allow_uids;  /* who may connect over shm; NULL: own uid (see allow_any) */
    uint32_t allow_uids_count;
    const uint32_t *allow_gids;
    uint32_t allow_gids_count;
    uint32_t allow_any;          /* 1: every local uid except the overflow uid */
    int64_t hello_ns;            /* how long a new connection may take to say hello; 1 s */
    int64_t grace_ns;            /* a lost stream: how long to try for another; 10 s, < 0: not at all */
    uint32_t shm_stays;          /* 1: what was opened over shared memory never moves to a stream */
    const char *control_dir;     /* runtime directory in whose folder `proc` the first listener or
                                    channel opens a socket for tools that look in; NULL: none */
    const char *fabric;          /* a port on a network that is not the kernel's, as lines "key=value":
                                    network=NAME, address=IP/PREFIX (1 to 8), port=N (of listeners, 0:
                                    any); all but network and port is for the plug-in. NULL: none */
    const char *fabric_plugin;   /* path of the plug-in; NULL: it is not installed */
} ew_context_options;

EW_API int ew_context_open(const ew_context_options *options, ew_context **out);
/* Withdraws listeners and aborts channels that are still open; free them before or after. */
EW_API void ew_context_close(ew_context *context);

typedef struct ew_context_stats {
    uint64_t channels, listeners, half_open;
    uint64_t memory_bytes, memory_bytes_max, huge_bytes;
    uint64_t accepted, refused, dropped; /* connections since the context was opened */
    int64_t spin_ns_max;                 /* what a sleep costs more than a spin here, the adaptive
                                            spin's cap; 0: one CPU only */
    uint32_t cpus;                       /* that the calling thread may use now, quota included */
    uint32_t seal_huge;                  /* 1: this kernel enforces seals on huge pages */
} ew_context_stats;

EW_API int ew_context_get_stats(ew_context *context, ew_context_stats *out);
/* Path of the context's control socket; EW_ENOTFOUND: there is none yet; else the text says why it
 * could not be opened. Nothing else fails because of that. */
EW_API int ew_context_control_address(ew_context *context, char out[4224]);

typedef enum ew_fabric_state { /* ABSENT: no plug-in that fits. CLOSED, LOST: it is tried again */
    EW_FABRIC_NONE = 0, EW_FABRIC_ABSENT = 1, EW_FABRIC_CLOSED = 2, EW_FABRIC_UP = 3, EW_FABRIC_LOST = 4
} ew_fabric_state;

typedef struct ew_fabric_info {
    int32_t state;             /* enum ew_fabric_state */
    uint32_t streams;          /* open now, listeners included */
    char network[64], device[48], plugin_version[32];
    char reason[512];          /* why it is not UP; while it is, what its device cannot do, or "" */
    int64_t poll_interval_ns;  /* a device that cannot sleep is looked at so often; 0: it sleeps */
    uint64_t losses;
} ew_fabric_info;

EW_API int ew_context_get_fabric(ew_context *context, ew_fabric_info *out);
/* A tool's question to its stack; how long the answer is, which is JSON. EW_ENOTFOUND: no stack. */
EW_API int64_t ew_context_ask_fabric(ew_context *context, const char *question, char *answer,
                                     size_t room);

/* Readable when a channel of the context has news: its link was lost or replaced, or its peer asks us
 * to go elsewhere; when the last one has ended; when the fabric has another state. Same for life. */
EW_API int ew_context_fileno(ew_context *context);
/* Makes it unreadable and writes the numbers (ew_channel_info) of channels with news, each once; how
 * many. As many as there is room for: call again, there may be more. */
EW_API int ew_context_news(ew_context *context, uint64_t *numbers, uint32_t room);
/* Makes it readable, for who waits there. */
EW_API int ew_context_wake(ew_context *context);

/* ---- listening ---- */

typedef struct ew_listen_options {
    const char *service;      /* dot-separated DNS labels, 1..200 bytes */
    const char *protocol;     /* application protocol name, 0..63 bytes; "" matches only "" */
    const char *runtime_dir;  /* where the local socket goes; NULL: no local peers */
    const char *bind;         /* "tcp://ADDR:PORT" of the kernel, port 0: any; NULL: no port is opened */
    const char *facts;        /* text for whoever asks (labels, zone ...), at most 1024 bytes */
    uint32_t max_channels;    /* 0: 1024 */
    uint32_t fabric;          /* 1: also on the context's fabric, on a port that its listeners share */
} ew_listen_options;

EW_API int ew_listen(ew_context *context, const ew_listen_options *options, ew_listener **out);
/* The next channel. sigmask: NULL, or a sigset_t in force during the sleep, as in ppoll(2). */
EW_API int ew_listener_accept(ew_listener *listener, int64_t timeout_ns, const void *sigmask,
                              ew_channel **out);
/* Readable while a channel waits to be accepted; the same for life; owned by the listener. */
EW_API int ew_listener_fileno(ew_listener *listener);

typedef struct ew_listener_info {
    uint8_t instance[16];
    char local_address[4224]; /* "shm:DIRECTORY/SOCKET" or "" */
    char tcp_address[80];    /* "tcp://ADDR:PORT" as bound, or "" */
    uint64_t accepted, refused, dropped, channels, waiting;
    char fabric_address[160]; /* "dpdk://NETWORK/ADDR:PORT", or "" until it was open once */
} ew_listener_info;

EW_API int ew_listener_get_info(ew_listener *listener, ew_listener_info *out);
/* Replaces the text that the listener gives to whoever asks. */
EW_API int ew_listener_set_facts(ew_listener *listener, const char *facts);
/* Stop accepting, remove the socket; wakes accept() with EW_ECLOSED. Channels live on. */
EW_API void ew_listener_close(ew_listener *listener);
EW_API void ew_listener_free(ew_listener *listener);

/* ---- connecting ---- */

typedef struct ew_connect_options {
    const char *service;
    const char *protocol;
    const char *address;       /* of any of the forms above; NULL: search runtime_dirs */
    const char *runtime_dirs;  /* colon-separated, for address == NULL */
    const uint8_t *instance;   /* 16 bytes that the peer must have, or NULL */
    int64_t timeout_ns;
    const void *sigmask;       /* as in ew_listener_accept */
} ew_connect_options;

EW_API int ew_connect(ew_context *context, const ew_connect_options *options, ew_channel **out);

/* Who listens at an address: asked with a hello that opens no channel. service: which one, needed
 * where a port serves several; "" or NULL at a local socket: whichever it is. */
typedef struct ew_query_info {
    uint8_t instance[16];
    char namespace_name[64];
    char service[208];
    char protocol[64];
    char facts[1032];
    uint32_t pid, uid;       /* as the kernel says; 0 over a stream */
    uint64_t channels, message_bytes_max;
    int64_t rtt_ns;
} ew_query_info;

EW_API int ew_query(ew_context *context, const char *address, const char *service,
                    int64_t timeout_ns, const void *sigmask, ew_query_info *out);

/* Check a runtime directory: 0, or -errno / EW_EACCESS with the text saying what is wrong with it.
 * create != 0 makes a missing last component with mode 0700. */
EW_API int ew_rundir_check(const char *directory, int create);
/* The first part of the socket names of a service in a namespace: 16 hex digits and '-'. */
EW_API int ew_rundir_prefix(const char *namespace_name, const char *service, char out[24]);
/* Remove the control sockets of dead processes from the directory's folder `proc`; how many. */
EW_API int ew_rundir_sweep_control(const char *directory);
/* Does the name of a file in a runtime directory belong to a listener of this boot? */
EW_API int ew_rundir_is_socket_name(const char *name);

/* ---- sending ---- */

typedef struct ew_part { const void *data; size_t bytes; } ew_part;

/* Returning: the library owns a copy (ADR 22: when a process dies). timeout_ns == 0, no room: EW_EAGAIN. */
EW_API int ew_channel_send(ew_channel *channel, const void *data, size_t bytes, int64_t timeout_ns,
                           const void *sigmask);
EW_API int ew_channel_send_parts(ew_channel *channel, const ew_part *parts, size_t parts_count,
                                 int64_t timeout_ns, const void *sigmask);
/* After EW_EINTR the thread either calls send_parts again with the same `parts` (it goes on where it was)
 * or this (nothing was sent). ew_channel_send of more than one record does not look at signals. */
EW_API void ew_channel_send_cancel(ew_channel *channel, const ew_part *parts);
/* As send_parts, in steps; an event loop does not wait (timeout_ns 0). EW_EAGAIN: the time is up, a long
 * message may have been begun. When there is room (ew_channel_arm) the same thread calls again with the
 * same parts, or gives it up with ew_channel_send_cancel; no other message is sent in between. */
EW_API int ew_channel_send_step(ew_channel *channel, const ew_part *parts, size_t parts_count,
                                int64_t timeout_ns, const void *sigmask);
/* One message per part: waits for room for the first, sends as many as fit; returns how many. */
EW_API int64_t ew_channel_send_many(ew_channel *channel, const ew_part *messages, size_t count,
                                    int64_t timeout_ns, const void *sigmask);
/* All leaves; wait until the peer's application has taken everything sent before the call. */
EW_API int ew_channel_flush(ew_channel *channel, int64_t timeout_ns, const void *sigmask);
/* No more will be sent; receiving goes on. */
EW_API int ew_channel_send_eof(ew_channel *channel);

/* ---- receiving ---- */

/* Copies the next message to data. Longer than room: EW_ETOOBIG, *bytes says how long, it stays.
 * While the call waits, what comes may be written to data at once, by any thread of the process; so
 * after another failure its contents are undefined. */
EW_API int ew_channel_recv(ew_channel *channel, void *data, size_t room, size_t *bytes,
                           int64_t timeout_ns, const void *sigmask);
/* In two steps, for callers that allocate when they know the size. After begin returned 0 the
 * calling thread has the receiving side: it must call copy (data: *bytes long) or cancel. A copy
 * that fails keeps the message for the next receive and gives the receiving side back; EW_EAGAIN
 * from copy means that the sender gave the message up: begin again. */
EW_API int ew_channel_recv_begin(ew_channel *channel, size_t *bytes, int64_t timeout_ns,
                                 const void *sigmask);
EW_API int ew_channel_recv_copy(ew_channel *channel, void *data, int64_t timeout_ns,
                                const void *sigmask);
EW_API void ew_channel_recv_cancel(ew_channel *channel);
/* After begin, for batches: copies the message and begins the next. 1: *bytes is the next one's
 * length, the caller still has the receiving side; 0: copied, nothing more is here, the receiving
 * side was given back; EW_EAGAIN: this message is not all here, nothing changed: use copy. */
EW_API int ew_channel_recv_next(ew_channel *channel, void *data, size_t *bytes);

/* ---- moving ---- */

/* Put the channel on another link to the same instance, while it is in use: nothing is lost, repeated
 * or reordered. The end that connected calls it. The old link is left when the new one is there; on
 * failure the channel goes on as before, or tries for its grace time if the peer may have moved. */
EW_API int ew_channel_switch(ew_channel *channel, const char *address, int64_t timeout_ns,
                             const void *sigmask);

typedef struct ew_move_options {
    const char *address;
    const char *reason;    /* for ew_path_change, at most 79 bytes; NULL: "asked for" */
    uint32_t only_if_lost; /* 1: a channel that has a link stays on it, and that is no error */
    int64_t timeout_ns;
    const void *sigmask;   /* as in ew_listener_accept */
} ew_move_options;

/* As ew_channel_switch, for who decides in the name of the program. */
EW_API int ew_channel_move(ew_channel *channel, const ew_move_options *options);
/* Tell the peers of all channels of a listener to go elsewhere, and refuse new ones. */
EW_API int ew_listener_drain(ew_listener *listener);

enum { EW_PATH_CHANGES_KEPT = 8 };

typedef struct ew_path_change {
    uint64_t generation; /* of the link that it led to */
    int32_t from, to;    /* enum ew_path */
    uint32_t lost;       /* 1: the link before it was lost */
    int64_t at_ns;       /* CLOCK_MONOTONIC */
    int64_t took_ns;     /* from the beginning of the switch, or from the loss of the old link */
    char reason[80];
} ew_path_change;

/* The last changes, oldest first; how many were written, at most room. */
EW_API int ew_channel_get_path_changes(ew_channel *channel, ew_path_change *out, uint32_t room);

/* ---- end ---- */

/* Commits CLOSE, discards input, waits until the peer holds everything; EW_ETIMEOUT: aborted. */
EW_API int ew_channel_close(ew_channel *channel, int64_t linger_ns, const void *sigmask);
/* At once; the peer sees EW_ELOST. */
EW_API void ew_channel_abort(ew_channel *channel);
EW_API void ew_channel_free(ew_channel *channel);

/* ---- looking ---- */

/* An epoll descriptor, the same for life: readable when a message, the end or an error is there.
 * Level-triggered, may be readable without reason; cleared by a receive that finds nothing. */
EW_API int ew_channel_fileno(ew_channel *channel);

typedef enum ew_arm_wants { EW_ARM_RECV = 1, EW_ARM_SEND = 2 } ew_arm_wants;

/* Ask for a wake-up: makes fileno() unreadable until one of `wants` (enum ew_arm_wants) may be
 * possible, and looks. Returns those that are possible now, in spite of which nobody shall wait: a
 * message, the end or an error; room for a message of send_bytes. 0: wait until fileno() is
 * readable. Room: a reader tells of it every eighth of its ring and before it waits, and a receive
 * of ours that finds nothing may take the news; so look again after 5 ms. wants == 0: room is of
 * no interest any more. */
EW_API int ew_channel_arm(ew_channel *channel, uint32_t wants, size_t send_bytes);
/* Look for something to receive for at most so long, without sleeping; leaves fileno() as it is,
 * so that a peer that answers at once needs no system call. 1: it is there; 0: not yet. */
EW_API int ew_channel_spin(ew_channel *channel, int64_t spin_ns);

typedef struct ew_channel_info {
    int32_t path;                  /* enum ew_path */
    int32_t wait;                  /* enum ew_wait_policy */
    uint32_t opener;               /* 1: this end connected, 0: it accepted */
    uint32_t peer_pid, peer_uid;   /* as the kernel says; 0 if it does not */
    uint64_t number;               /* in its context: 1, 2 ... */
    uint64_t generation;           /* of the link */
    uint8_t instance[16];          /* of the listener */
    uint8_t channel_id[16];
    char service[208];
    char protocol[64];
    char peer_address[1024];        /* cut off if it is longer */
    uint64_t message_bytes_max;    /* that the peer takes */
    uint64_t outbox_bytes, record_bytes_max;
    uint64_t peer_outbox_bytes;    /* memory in which the peer's messages wait for us */
    uint64_t inbox_bytes;          /* ... of a stream, kept while there is none; 0: there was none */
    uint64_t outbox_growths, inbox_growths; /* how often each was doubled */
    char pages[96];                /* "4 KiB: no huge pages are free" */
    char death_watch[64];          /* "socket, pidfd" */
    char end[256];                 /* why the channel ended, or "" */
    int32_t end_code;              /* enum ew_err, 0 while it lives */
    uint32_t draining;             /* 1: the peer asks us to go elsewhere */
    int64_t lost_ns;               /* without a link for so long, 0: it has one */
    int64_t spin_ns_max;           /* what an adaptive spin is worth now, by the CPUs of both ends;
                                      0: it is not, or the policy is not to */
} ew_channel_info;

EW_API int ew_channel_get_info(ew_channel *channel, ew_channel_info *out);

typedef struct ew_channel_stats {
    uint64_t messages_sent, messages_received, bytes_sent, bytes_received;
    uint64_t send_free_bytes;   /* of our ring; 0 while a sender is at work */
    uint64_t send_unread_bytes; /* that the peer's application has not taken */
    uint64_t recv_unread_bytes; /* here and not received; 0 while a receiver is at work */
    int64_t send_blocked_ns;
    uint64_t spins_paid, spins_lost, sleeps, wakeups, kicks;
    int64_t spin_lost_ns;       /* CPU time of the spins that were lost */
    int64_t spin_ns_max;        /* cap of an adaptive spin; 0: none, no CPU is left for the peer, or
                                   it was not tried yet */
    uint32_t send_waiting, recv_waiting; /* threads waiting now */
    uint64_t path_changes;
    uint64_t position_sent, position_peer_taken, position_peer_consumed, position_taken;
} ew_channel_stats;

EW_API int ew_channel_get_stats(ew_channel *channel, ew_channel_stats *out);

/* A text that the control socket gives to who looks at the channel, as why it is on its path. At
 * most 4096 bytes, no control characters, else EW_EINVAL and the old one stays; copied. NULL: none. */
EW_API int ew_channel_set_note(ew_channel *channel, const char *json);

/* cffi:end */

#ifdef __cplusplus
}
#endif
#endif
