/* bindings/python/message_wait.h - wait in C for a Python caller: without the GIL, open to Ctrl-C.
 *
 * Purpose    Every call of the message path is tried first without waiting, with the GIL held. Only
 *            what has to wait comes here: the GIL is released and signals still interrupt.
 * Shape      struct message_call: one call of libeastwest and its arguments. timeout: nanoseconds,
 *            < 0 forever, 0 do not wait. until: CLOCK_MONOTONIC nanoseconds, INT64_MAX never.
 * Owner      the caller's stack; nothing is allocated
 * Threads    any thread that holds the GIL; the GIL is released while `run` runs.
 * Trust      none of the arguments come from outside
 * Errors     what `run` returned; EW_ETIMEOUT: the time is up; MESSAGE_RAISED: a Python exception
 *            is set (a signal handler raised, or an argument was wrong).
 * Invariants I1  on the main thread every signal is blocked from the last look at tripped handlers
 *                until the call sleeps with the caller's own mask: none is missed.
 *            I2  the kernel gives a signal of the process to another thread while the main thread
 *                blocks it. So a wait of the main thread returns after WAIT_SLICE_NS, later after
 *                twice as long and so on, and looks again; one whose repetition costs a copy begins
 *                with WAIT_SLICE_LONG_NS. One that spins is awake anyway: if it is repeatable it
 *                blocks nothing and looks every WAIT_SLICE_SPIN_NS.
 *            I3  Python code (signal handlers) runs with the caller's own mask in force, but for a
 *                signal that arrived between two system calls.
 * Ordering   none
 * Source     signal(7), sigprocmask(2), ppoll(2); complete_signal() in Linux kernel/signal.c
 */
#ifndef EASTWEST_MESSAGE_WAIT_H
#define EASTWEST_MESSAGE_WAIT_H

#include <Python.h>

#include <stdbool.h>

#include "bindings/c/eastwest.h"

enum {
    MESSAGE_RAISED = -2000, /* beside enum ew_err: a Python exception is set */
    MESSAGE_LATER = -2001,  /* a message has begun, but it is long, or not all here */
    WAIT_SLICE_NS = 50 * 1000 * 1000,
    WAIT_SLICE_SPIN_NS = 10 * 1000 * 1000,
    WAIT_SLICE_LONG_NS = 400 * 1000 * 1000,
    WAIT_FOREVER = -1,
};

struct message_call {
    int64_t (*run)(struct message_call *call, int64_t timeout_ns, const void *sigmask);
    /* Before each run, with the GIL held and after the last look at signals; NULL: nothing to do.
     * What is not EW_OK ends the wait. */
    int64_t (*prepare)(struct message_call *call);
    ew_channel *channel;
    const void *data; /* or const ew_part * */
    void *out;        /* a buffer */
    size_t size;      /* of data: bytes or parts; of out: room */
    size_t bytes;     /* result of a receive */
    PyObject *object; /* that prepare made for run to fill */
    int fd;
    bool spins;      /* the wait never sleeps: it needs no mask, and looking at signals is cheap */
    bool repeatable; /* giving up and calling again costs nothing; else: what came is copied again */
};

/* None, int or float seconds. False: an exception is set. */
bool ewi_message_timeout(PyObject *seconds, int64_t *timeout_ns);
/* When a wait of so long that begins now ends. */
int64_t ewi_message_until(int64_t timeout_ns);
/* What is left of it, as a timeout: 0 when it is over. */
int64_t ewi_message_left(int64_t until_ns);

/* Run the call, waiting until then. */
int64_t ewi_message_wait(struct message_call *call, int64_t until_ns);
/* A run: is call->fd readable, hung up or broken? EW_OK, EW_ETIMEOUT, EW_EINTR or -errno. */
int64_t ewi_message_poll(struct message_call *call, int64_t timeout_ns, const void *sigmask);
/* Once at import: a fork makes the calling thread the main thread of the child. */
int ewi_message_wait_init(void);

#endif
