/* bindings/python/message.c - eastwest._message: the message path of a channel, for Python.
 *
 * Purpose    send and recv at the cost of a C method. cffi serves everything else: it releases the
 *            GIL on every call, and one busy Python thread then stops a sender for milliseconds.
 * Shape      class Port: owns one ew_channel; a subclass adds the rest. set_error(): turns an error
 *            code and its text into an exception. wait_readable(): poll one descriptor.
 * Owner      Port(address) takes the channel over; dealloc frees it. The error function belongs to
 *            the module's state, which lives as long as the type.
 * Threads    Any. A call is tried with the GIL held, and then libeastwest never blocks, not even on
 *            its locks; only a call that has to wait releases it (message_wait.h).
 * Trust      arguments come from the user; sizes of messages were checked by libeastwest
 * Errors     through the error function; TypeError and ValueError for arguments; MemoryError
 * Invariants see message_port.h
 * Ordering   none
 * Source     docs/adr/0005-two-bindings.md; Python/C API, "Stable Application Binary Interface"
 */
#include <Python.h>

#include <errno.h>

#include "bindings/python/message_port.h"

/* Some 1.5 us: releasing the GIL, masking signals and the way back cost about a third of that. */
enum { LOOKS_MEMORY = 24, LOOKS_STREAM = 2 };

static PyModuleDef module_def;

/* ---- the rest of a channel's life ---- */

static int64_t run_flush(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    return ew_channel_flush(call->channel, timeout_ns, sigmask);
}

static int64_t run_close(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    int code = ew_channel_close(call->channel, timeout_ns, sigmask);

    call->bytes = code != EW_EINTR; /* it is over */
    return code;
}

static PyObject *port_flush(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *names)
{
    static const struct signature signature = {"flush", NULL, false};
    struct port *port = port_of(self);
    struct message_call call = {
        .run = run_flush, .channel = port->channel, .spins = port->spins, .repeatable = true};
    struct arguments arguments;
    int64_t code;

    if (!ewi_message_parse(port, &signature, args, nargs, names, &arguments))
        return NULL;
    code = run_flush(&call, 0, NULL);
    if (code == EW_EAGAIN && arguments.timeout_ns != 0)
        code = ewi_message_wait(&call, ewi_message_until(arguments.timeout_ns));
    if (code == EW_ETIMEOUT || code == EW_EAGAIN)
        Py_RETURN_FALSE;
    if (code != EW_OK)
        return ewi_message_raise(port->state, code);
    Py_RETURN_TRUE;
}

/* These may wait for a thread that sends or receives, so they never hold the GIL. */
static PyObject *port_send_eof(PyObject *self, PyObject *unused)
{
    struct port *port = port_of(self);
    int code;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    code = ew_channel_send_eof(port->channel);
    Py_END_ALLOW_THREADS
    if (code != EW_OK)
        return ewi_message_raise(port->state, code);
    Py_RETURN_NONE;
}

static PyObject *port_abort(PyObject *self, PyObject *unused)
{
    struct port *port = port_of(self);

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    ew_channel_abort(port->channel);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *port_close(PyObject *self, PyObject *linger)
{
    struct port *port = port_of(self);
    struct message_call call = {.run = run_close, .channel = port->channel};
    int64_t linger_ns, code;

    if (!ewi_message_timeout(linger, &linger_ns))
        return NULL;
    code = ewi_message_wait(&call, ewi_message_until(linger_ns));
    if (code == EW_ETIMEOUT && call.bytes == 0) { /* the time was up before C was asked */
        Py_BEGIN_ALLOW_THREADS
        code = run_close(&call, 0, NULL);
        Py_END_ALLOW_THREADS
    }
    if (code != EW_OK)
        return ewi_message_raise(port->state, code);
    Py_RETURN_NONE;
}

static PyObject *port_fileno(PyObject *self, PyObject *unused)
{
    struct port *port = port_of(self);
    int fd;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    fd = ew_channel_fileno(port->channel);
    Py_END_ALLOW_THREADS
    if (fd < 0)
        return ewi_message_raise(port->state, fd);
    return PyLong_FromLong(fd);
}

static PyObject *port_handle(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(port_of(self)->channel);
}

/* ---- the type ---- */

/* The module that made Port, seen from Port or from a subclass of it. */
static struct state *state_of_type(PyTypeObject *type)
{
    while (type != NULL) {
        PyObject *module = NULL;

        if ((PyType_GetFlags(type) & Py_TPFLAGS_HEAPTYPE) != 0)
            module = PyType_GetModule(type);
        if (module != NULL && PyModule_GetDef(module) == &module_def)
            return PyModule_GetState(module);
        PyErr_Clear(); /* a class made in Python has no module */
        type = PyType_GetSlot(type, Py_tp_base);
    }
    PyErr_SetString(PyExc_SystemError, "Port: not a subclass of eastwest._message.Port");
    return NULL;
}

static void learn_facts(struct port *port, const ew_channel_info *info)
{
    port->spins = info->wait == EW_WAIT_SPIN;
    port->single_bytes_max = info->record_bytes_max - sizeof(uint64_t); /* without its header */
    if (info->wait != EW_WAIT_BLOCK)
        port->looks_max = info->path == EW_PATH_SHM ? LOOKS_MEMORY : LOOKS_STREAM;
    port->looks = port->looks_max;
    port->into_bytes = SIZE_MAX; /* a large buffer is for a large message */
}

static PyObject *port_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct state *state = state_of_type(type);
    allocfunc allocate_object = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    ew_channel_info info;
    ew_channel *channel;
    PyObject *self;

    if (state == NULL)
        return NULL;
    if (PyTuple_Size(args) != 1 || (kwargs != NULL && PyDict_Size(kwargs) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Port() takes one argument, the address of an ew_channel");
        return NULL;
    }
    channel = PyLong_AsVoidPtr(PyTuple_GetItem(args, 0));
    if (channel == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "Port: address of an ew_channel is 0");
        return NULL;
    }
    self = allocate_object(type, 0);
    if (self == NULL)
        return NULL;
    port_of(self)->channel = channel;
    port_of(self)->state = state;
    if (ew_channel_get_info(channel, &info) == EW_OK)
        learn_facts(port_of(self), &info);
    return self;
}

static void port_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    ew_channel *channel = port_of(self)->channel;

    ewi_port_drop_pending(port_of(self));
    if (channel != NULL) {
        Py_BEGIN_ALLOW_THREADS /* it may wait for the reactor, and unmaps memory */
        ew_channel_free(channel);
        Py_END_ALLOW_THREADS
    }
    free_object(self);
    Py_DECREF(type);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))
#define FAST_FLAGS (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef port_methods[] = {
    {"send", FAST(ewi_port_send), FAST_FLAGS,
     "send($self, message, *, timeout=None)\n--\n\n"
     "Send one message, waiting for room."},
    {"send_parts", FAST(ewi_port_send_parts), FAST_FLAGS,
     "send_parts($self, parts, *, timeout=None)\n--\n\n"
     "Send one message gathered from several buffers."},
    {"send_many", FAST(ewi_port_send_many), FAST_FLAGS,
     "send_many($self, messages, *, timeout=None)\n--\n\n"
     "Wait for room for one, then send as many as fit; return how many."},
    {"try_send", ewi_port_try_send, METH_O,
     "try_send($self, message, /)\n--\n\n"
     "Send if there is room now; False changed nothing."},
    {"recv", FAST(ewi_port_recv), FAST_FLAGS,
     "recv($self, *, timeout=None)\n--\n\n"
     "Return the next message."},
    {"recv_into", FAST(ewi_port_recv_into), FAST_FLAGS,
     "recv_into($self, buffer, *, timeout=None)\n--\n\n"
     "Copy the next message into buffer; too small raises ValueError and keeps the message."},
    {"recv_many", FAST(ewi_port_recv_many), FAST_FLAGS,
     "recv_many($self, limit=64, *, timeout=None)\n--\n\n"
     "Wait for one, then take what is there, at most limit."},
    {"try_recv", ewi_port_try_recv, METH_NOARGS,
     "try_recv($self, /)\n--\n\n"
     "The next message if it is here, else None."},
    {"flush", FAST(port_flush), FAST_FLAGS,
     "flush($self, *, timeout=None)\n--\n\n"
     "Wait until the peer's application has taken everything sent; False on timeout.\n\n"
     "With a timeout of 0 it sees to it that all of it leaves (ADR 22), and looks."},
    {"send_eof", port_send_eof, METH_NOARGS,
     "send_eof($self, /)\n--\n\n"
     "Say that no more will be sent; receiving goes on."},
    {"abort", port_abort, METH_NOARGS,
     "abort($self, /)\n--\n\n"
     "End the channel at once; the peer sees that it is lost."},
    {"_close", port_close, METH_O,
     "_close($self, linger, /)\n--\n\n"
     "Send the end and wait until the peer holds everything; after linger seconds, abort."},
    {"fileno", port_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\n"
     "A descriptor, the same for life, readable when something can be received."},
    {"_look", ewi_port_look, METH_O,
     "_look($self, spin_ns, /)\n--\n\n"
     "The next message if it is here within spin_ns, else None."},
    {"_spin", ewi_port_spin, METH_O,
     "_spin($self, spin_ns, /)\n--\n\n"
     "Whether something can be received within spin_ns."},
    {"_arm", FAST(ewi_port_arm), METH_FASTCALL,
     "_arm($self, wants, send_bytes, /)\n--\n\n"
     "Ask for a wake-up; what of it is possible now. Bits: 1 receive, 2 send."},
    {"_send_step", FAST(ewi_port_send_step), METH_FASTCALL,
     "_send_step($self, message, is_parts, /)\n--\n\n"
     "Send, or go on with the send that was begun; False: there is no room for all of it yet."},
    {"_send_cancel", ewi_port_send_cancel, METH_NOARGS,
     "_send_cancel($self, /)\n--\n\n"
     "Give up the send that was begun: nothing was sent."},
    {"_positions", ewi_port_positions, METH_NOARGS,
     "_positions($self, /)\n--\n\n"
     "(sent, consumed by the peer's application)."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef port_getset[] = {
    {"_handle", port_handle, NULL, "Address of the ew_channel, for cffi.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot port_slots[] = {
    {Py_tp_doc, "Port(address, /)\n--\n\n"
                "The message path of one channel. Takes over the ew_channel at that address."},
    {Py_tp_new, port_new},
    {Py_tp_dealloc, port_dealloc},
    {Py_tp_methods, port_methods},
    {Py_tp_getset, port_getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, ewi_port_next},
    {0, NULL},
};

static PyType_Spec port_spec = {
    .name = "eastwest._message.Port",
    .basicsize = sizeof(struct port),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = port_slots,
};

/* ---- the module ---- */

static PyObject *set_error(PyObject *module, PyObject *function)
{
    struct state *state = PyModule_GetState(module);
    PyObject *before = state->error;

    if (!PyCallable_Check(function)) {
        PyErr_Format(PyExc_TypeError, "set_error: %R is not callable", function);
        return NULL;
    }
    Py_INCREF(function);
    state->error = function;
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static PyObject *wait_readable(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct message_call call = {.run = ewi_message_poll, .repeatable = true};
    int64_t timeout_ns, code;

    (void)module;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "wait_readable() takes a descriptor and a timeout");
        return NULL;
    }
    call.fd = PyObject_AsFileDescriptor(args[0]);
    if (call.fd < 0 || !ewi_message_timeout(args[1], &timeout_ns))
        return NULL;
    code = ewi_message_poll(&call, 0, NULL);
    if (code == EW_ETIMEOUT && timeout_ns != 0)
        code = ewi_message_wait(&call, ewi_message_until(timeout_ns));
    if (code == MESSAGE_RAISED)
        return NULL;
    if (code != EW_OK && code != EW_ETIMEOUT) {
        errno = (int)-code;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyBool_FromLong(code == EW_OK);
}

static PyMethodDef module_methods[] = {
    {"set_error", set_error, METH_O,
     "set_error(function, /)\n--\n\n"
     "From now on failures raise what function(code, text) returns."},
    {"wait_readable", FAST(wait_readable), METH_FASTCALL,
     "wait_readable(fd, timeout, /)\n--\n\n"
     "Wait until a descriptor is readable or at its end; False when the timeout passed."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module)
{
    struct state *state = PyModule_GetState(module);
    PyObject *type;
    int code;

    if (ewi_message_wait_init() != 0)
        return -1;
    state->timeout = PyUnicode_InternFromString("timeout");
    if (state->timeout == NULL)
        return -1;
    type = PyType_FromModuleAndSpec(module, &port_spec, NULL);
    if (type == NULL)
        return -1;
    code = PyModule_AddType(module, (PyTypeObject *)(void *)type);
    Py_DECREF(type);
    return code;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct state *state = PyModule_GetState(module);

    if (state != NULL)
        Py_VISIT(state->error);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct state *state = PyModule_GetState(module);

    if (state != NULL) {
        Py_CLEAR(state->error);
        Py_CLEAR(state->timeout);
    }
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "eastwest._message",
    .m_doc = "The message path of eastwest.Channel.",
    .m_size = sizeof(struct state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__message(void)
{
    return PyModuleDef_Init(&module_def);
}
