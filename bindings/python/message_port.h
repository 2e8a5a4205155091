/* bindings/python/message_port.h - what every method of eastwest._message.Port shares.
 *
 * Purpose    The object, its arguments parsed by hand (a send costs some 20 ns besides
 *            libeastwest), its failures turned into Python exceptions. The methods: message_send.c,
 *            message_recv.c, message_loop.c, message.c.
 * Shape      struct port: one channel. struct arguments: one positional argument or none, and
 *            timeout in nanoseconds.
 * Owner      A port owns its ew_channel, and the buffers of a send that is made in steps. The module's state lives as long as the type, and the type
 *            as long as its objects.
 * Threads    with the GIL held
 * Trust      arguments come from the user: anything may be passed
 * Errors     false or NULL: a Python exception is set
 * Invariants I1  what raises has changed nothing: a message not returned can be received again.
 *            I2  between recv_begin and the end of a receive no Python code runs.
 * Ordering   none
 * Source     Python/C API, "METH_FASTCALL | METH_KEYWORDS"
 */
#ifndef EASTWEST_MESSAGE_PORT_H
#define EASTWEST_MESSAGE_PORT_H

#include <Python.h>

#include "bindings/python/message_wait.h"

struct state {
    PyObject *error;   /* callable(code, text) -> exception, or NULL */
    PyObject *timeout; /* the interned name */
};

struct port {
    PyObject ob_base;
    ew_channel *channel;
    struct state *state;
    size_t single_bytes_max; /* longest message of one record: sent in one step or not at all */
    bool spins;              /* wait policy: spin */
    uint8_t looks_max;       /* how often a receive looks, with the GIL, before it waits */
    uint8_t looks;           /* of that, how often it has paid to look lately */
    size_t into_bytes;       /* of the last message that recv_into received */
    struct message_batch *pending; /* of _send_step; NULL: none */
};

static inline struct port *port_of(PyObject *self)
{
    return (struct port *)(void *)self;
}

/* Raise what the error function makes of a code and this thread's error text; returns NULL. */
PyObject *ewi_message_raise(const struct state *state, int64_t code);
/* The same for a call that may have timed out; `lacked` says in words what it waited for. */
PyObject *ewi_message_raise_call(const struct port *port, int64_t code, int64_t timeout_ns,
                                 const char *lacked);

struct signature {
    const char *method;
    const char *first; /* name of the positional argument, NULL: none */
    bool first_optional;
};

struct arguments {
    PyObject *first; /* NULL: not given */
    int64_t timeout_ns;
};

bool ewi_message_parse_slowly(const struct port *port, const struct signature *signature,
                              PyObject *const *args, Py_ssize_t nargs, PyObject *names,
                              struct arguments *out);

static inline bool ewi_message_parse(const struct port *port, const struct signature *signature,
                                     PyObject *const *args, Py_ssize_t nargs, PyObject *names,
                                     struct arguments *out)
{
    out->first = nargs > 0 ? args[0] : NULL;
    out->timeout_ns = WAIT_FOREVER;
    if (names == NULL && nargs == (signature->first != NULL ? 1 : 0))
        return true;
    return ewi_message_parse_slowly(port, signature, args, nargs, names, out);
}

/* ---- methods ---- */

PyObject *ewi_port_send(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
PyObject *ewi_port_send_parts(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *names);
PyObject *ewi_port_send_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *names);
PyObject *ewi_port_try_send(PyObject *self, PyObject *message);

PyObject *ewi_port_recv(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
PyObject *ewi_port_recv_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *names);
PyObject *ewi_port_recv_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *names);
PyObject *ewi_port_try_recv(PyObject *self, PyObject *unused);
PyObject *ewi_port_next(PyObject *self);

/* For event loops: none of them waits. */
PyObject *ewi_port_look(PyObject *self, PyObject *spin_ns);
PyObject *ewi_port_spin(PyObject *self, PyObject *spin_ns);
PyObject *ewi_port_arm(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *ewi_port_send_step(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *ewi_port_send_cancel(PyObject *self, PyObject *unused);
PyObject *ewi_port_positions(PyObject *self, PyObject *unused);
void ewi_port_drop_pending(struct port *port);

#endif
