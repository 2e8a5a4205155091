/* Receiving: the message is copied once, from the ring into the bytes object that is returned. */
#include "bindings/python/message_buffer.h"
#include "bindings/python/message_port.h"

enum {
    /* Longer messages are copied without the GIL: a copy of so many bytes takes some 10 us, and
     * they may arrive in several parts, which only a receive that may wait collects in place. */
    COPY_BYTES_MAX = 64 * 1024,
    RECV_LIMIT = 64,
    INTO_CUT_MAX = 256 * 1024, /* so much may be copied once more, when a wait is cut */
    LOOKS_PAY_NS = 3000, /* a wait as short as that would have been shorter with looks */
};

static int64_t run_begin(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    return ew_channel_recv_begin(call->channel, &call->bytes, timeout_ns, sigmask);
}

static int64_t run_copy(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    return ew_channel_recv_copy(call->channel, call->out, timeout_ns, sigmask);
}

static int64_t run_recv(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    return ew_channel_recv(call->channel, call->out, call->size, &call->bytes, timeout_ns, sigmask);
}

/* With the receiving side held: a bytes object of that size, or the side is given back (I1). */
static PyObject *allocate(ew_channel *channel, size_t bytes)
{
    PyObject *object = NULL;

    if (bytes <= PY_SSIZE_T_MAX)
        object = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
    else
        PyErr_NoMemory();
    if (object == NULL)
        ew_channel_recv_cancel(channel);
    return object;
}

/* Look a little longer: a peer that answers at once is faster than the way into a wait and back.
 * How long pays is learnt, unless the policy is to spin. */
static int64_t look_again(struct port *port, size_t *bytes)
{
    int64_t code = EW_EAGAIN;

    for (int look = 0; look < port->looks && code == EW_EAGAIN; look++)
        code = ew_channel_recv_begin(port->channel, bytes, 0, NULL);
    if (code == EW_OK)
        port->looks = port->looks_max;
    else if (!port->spins)
        port->looks /= 2;
    return code;
}

/* Wait until a message begins; EW_OK: the receiving side is held. */
static int64_t wait_begin(struct port *port, size_t *bytes, int64_t until_ns)
{
    struct message_call call = {.run = run_begin,
                                .channel = port->channel,
                                .spins = port->spins,
                                .repeatable = true};
    int64_t code = look_again(port, bytes);
    int64_t paid_ns;

    if (code != EW_EAGAIN)
        return code;
    paid_ns = ewi_message_until(LOOKS_PAY_NS);
    code = ewi_message_wait(&call, until_ns);
    if (code == EW_OK && ewi_message_left(paid_ns) > 0)
        port->looks = port->looks_max;
    *bytes = call.bytes;
    return code;
}

/* With the GIL: take the receiving side again, and an object of the size found now. */
static int64_t prepare_copy(struct message_call *call)
{
    int code = ew_channel_recv_begin(call->channel, &call->bytes, 0, NULL);

    Py_CLEAR(call->object); /* of a run that a signal ended: another thread may have the message */
    if (code != EW_OK)
        return code;
    call->object = allocate(call->channel, call->bytes);
    if (call->object == NULL)
        return MESSAGE_RAISED;
    call->out = PyBytes_AsString(call->object);
    return EW_OK;
}

/* A message that is long, or not all here: filled without the GIL. */
static int64_t wait_copy(const struct port *port, PyObject **object, int64_t until_ns)
{
    struct message_call call = {.run = run_copy,
                                .prepare = prepare_copy,
                                .channel = port->channel,
                                .spins = port->spins};
    int64_t code = ewi_message_wait(&call, until_ns);

    if (code != EW_OK)
        Py_CLEAR(call.object);
    *object = call.object;
    return code;
}

/* With the receiving side held: fill an object and give the side back. */
static int64_t copy_now(ew_channel *channel, size_t bytes, PyObject **object)
{
    int code;

    *object = allocate(channel, bytes);
    if (*object == NULL)
        return MESSAGE_RAISED;
    code = ew_channel_recv_copy(channel, PyBytes_AsString(*object), 0, NULL);
    if (code != EW_OK)
        Py_CLEAR(*object);
    return code == EW_ETIMEOUT ? MESSAGE_LATER : code; /* EW_EAGAIN: the sender gave it up */
}

/* As copy_now, but a long message is for a receive that may wait. */
static int64_t copy_short(ew_channel *channel, size_t bytes, PyObject **object)
{
    if (bytes <= COPY_BYTES_MAX)
        return copy_now(channel, bytes, object);
    ew_channel_recv_cancel(channel);
    return MESSAGE_LATER;
}

/* After a first try without waiting, which left EW_EAGAIN or MESSAGE_LATER. */
static int64_t receive_patiently(struct port *port, int64_t code, int64_t timeout_ns,
                                 PyObject **object)
{
    int64_t until_ns = ewi_message_until(timeout_ns);

    while (code == EW_EAGAIN || code == MESSAGE_LATER) {
        size_t bytes = 0;

        if (code == MESSAGE_LATER)
            code = wait_copy(port, object, until_ns);
        else
            code = wait_begin(port, &bytes, until_ns);
        if (code == EW_OK && *object == NULL)
            code = copy_short(port->channel, bytes, object);
    }
    return code;
}

/* Receive one message into a new object; *object is NULL before, and stays so on failure. */
static int64_t receive(struct port *port, int64_t timeout_ns, PyObject **object)
{
    size_t bytes = 0;
    int64_t code = ew_channel_recv_begin(port->channel, &bytes, 0, NULL);

    if (timeout_ns == 0) {
        if (code == EW_OK)
            code = copy_now(port->channel, bytes, object);
        return code == MESSAGE_LATER ? EW_EAGAIN : code;
    }
    if (code == EW_OK)
        code = copy_short(port->channel, bytes, object);
    if (code == EW_EAGAIN || code == MESSAGE_LATER)
        code = receive_patiently(port, code, timeout_ns, object);
    return code;
}

PyObject *ewi_port_recv(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const struct signature signature = {"recv", NULL, false};
    struct port *port = port_of(self);
    struct arguments arguments;
    PyObject *object = NULL;
    int64_t code;

    if (!ewi_message_parse(port, &signature, args, nargs, names, &arguments))
        return NULL;
    code = receive(port, arguments.timeout_ns, &object);
    if (code != EW_OK)
        return ewi_message_raise_call(port, code, arguments.timeout_ns, "recv: no message");
    return object;
}

PyObject *ewi_port_try_recv(PyObject *self, PyObject *unused)
{
    struct port *port = port_of(self);
    PyObject *object = NULL;
    int64_t code = receive(port, 0, &object);

    (void)unused;
    if (code == EW_EAGAIN)
        Py_RETURN_NONE;
    if (code != EW_OK)
        return ewi_message_raise(port->state, code);
    return object;
}

PyObject *ewi_port_next(PyObject *self)
{
    struct port *port = port_of(self);
    PyObject *object = NULL;
    int64_t code = receive(port, WAIT_FOREVER, &object);

    if (code == EW_EEND)
        return NULL; /* StopIteration */
    if (code != EW_OK)
        return ewi_message_raise(port->state, code);
    return object;
}

/* Without waiting, for a receive that may wait if this leaves EW_EAGAIN. A long message is not begun
 * here: what is not all there yet would be kept elsewhere, and then copied once more. */
static int64_t into_now(struct message_call *call)
{
    int64_t code;

    if (call->size <= COPY_BYTES_MAX)
        return run_recv(call, 0, NULL);
    code = run_begin(call, 0, NULL);
    if (code != EW_OK)
        return code;
    ew_channel_recv_cancel(call->channel);
    return call->bytes <= COPY_BYTES_MAX ? run_recv(call, 0, NULL) : EW_EAGAIN;
}

/* A wait that is repeated every now and then would cut a long message, as above. So one that is here
 * is received without, and one that is likely is first waited for. */
static int64_t into_patiently(const struct port *port, struct message_call *call, int64_t until_ns)
{
    int64_t code = EW_OK;

    if (call->bytes == 0 && call->size > INTO_CUT_MAX && port->into_bytes > INTO_CUT_MAX) {
        struct message_call begin = {.run = run_begin,
                                     .channel = call->channel,
                                     .spins = call->spins,
                                     .repeatable = true};

        code = ewi_message_wait(&begin, until_ns);
        if (code == EW_OK)
            ew_channel_recv_cancel(call->channel);
        call->bytes = begin.bytes;
    }
    call->repeatable = call->bytes <= COPY_BYTES_MAX;
    return code == EW_OK ? ewi_message_wait(call, until_ns) : code;
}

PyObject *ewi_port_recv_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *names)
{
    static const struct signature signature = {"recv_into", "buffer", false};
    struct port *port = port_of(self);
    struct message_call call = {.run = run_recv, .channel = port->channel, .spins = port->spins};
    struct arguments arguments;
    struct message_view view;
    int64_t code;

    if (!ewi_message_parse(port, &signature, args, nargs, names, &arguments) ||
        !ewi_message_view_buffer(&view, arguments.first, PyBUF_WRITABLE))
        return NULL;
    call.out = view.data;
    call.size = view.bytes;
    code = arguments.timeout_ns == 0 ? run_recv(&call, 0, NULL) : into_now(&call);
    if (code == EW_EAGAIN && arguments.timeout_ns != 0)
        code = into_patiently(port, &call, ewi_message_until(arguments.timeout_ns));
    ewi_message_view_close(&view);
    if (code != EW_OK)
        return ewi_message_raise_call(port, code, arguments.timeout_ns, "recv_into: no message");
    port->into_bytes = call.bytes;
    return PyLong_FromSize_t(call.bytes);
}

/* Take the messages that are here. The receiving side is held; `bytes` is the size of the first.
 * EW_OK: the list may still be empty, the first message being not all here. */
static int64_t take_batch(const struct port *port, PyObject *list, size_t bytes, Py_ssize_t limit)
{
    int more = 1;

    for (Py_ssize_t taken = 0; more == 1 && taken < limit; taken++) {
        PyObject *object = allocate(port->channel, bytes);

        if (object == NULL)
            return MESSAGE_RAISED;
        if (PyList_Append(list, object) != 0) { /* before it is taken: nothing can fail after */
            Py_DECREF(object);
            more = MESSAGE_RAISED;
            break;
        }
        more = ew_channel_recv_next(port->channel, PyBytes_AsString(object), &bytes);
        Py_DECREF(object);
        if (more == EW_EAGAIN) /* not taken */
            PyList_SetSlice(list, taken, taken + 1, NULL);
    }
    if (more != 0) /* else recv_next has given it back */
        ew_channel_recv_cancel(port->channel);
    return more == MESSAGE_RAISED ? MESSAGE_RAISED : EW_OK;
}

/* As many as are here, at least one; what cannot be taken now stays for the next call. */
static int64_t receive_many(struct port *port, PyObject *list, Py_ssize_t limit,
                            int64_t timeout_ns)
{
    PyObject *object = NULL;
    size_t bytes = 0;
    int64_t code = ew_channel_recv_begin(port->channel, &bytes, 0, NULL);

    if (code == EW_EAGAIN && timeout_ns != 0) {
        int64_t until_ns = ewi_message_until(timeout_ns);

        code = wait_begin(port, &bytes, until_ns);
        if (until_ns != INT64_MAX) /* what is left of it is for a message that is not all here */
            timeout_ns = ewi_message_left(until_ns);
    }
    if (code == EW_OK)
        code = take_batch(port, list, bytes, limit);
    if (PyList_Size(list) > 0) {
        PyErr_Clear(); /* no memory for the next one: what was taken is not lost */
        return EW_OK;
    }
    if (code != EW_OK)
        return code;
    code = receive(port, timeout_ns, &object);
    if (code != EW_OK)
        return code;
    code = PyList_Append(list, object) == 0 ? EW_OK : MESSAGE_RAISED;
    Py_DECREF(object);
    return code;
}

static bool parse_limit(PyObject *object, Py_ssize_t *limit)
{
    *limit = RECV_LIMIT;
    if (object == NULL)
        return true;
    *limit = PyNumber_AsSsize_t(object, PyExc_OverflowError);
    if (*limit == -1 && PyErr_Occurred())
        return false;
    if (*limit < 1)
        PyErr_Format(PyExc_ValueError, "recv_many: limit of %zd, must be 1 or more", *limit);
    return *limit >= 1;
}

PyObject *ewi_port_recv_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *names)
{
    static const struct signature signature = {"recv_many", "limit", true};
    struct port *port = port_of(self);
    struct arguments arguments;
    Py_ssize_t limit;
    PyObject *list;
    int64_t code;

    if (!ewi_message_parse(port, &signature, args, nargs, names, &arguments) ||
        !parse_limit(arguments.first, &limit))
        return NULL;
    list = PyList_New(0); /* may collect garbage: before the receiving side is held (I2) */
    if (list == NULL)
        return NULL;
    code = receive_many(port, list, limit, arguments.timeout_ns);
    if (code == EW_OK)
        return list;
    Py_DECREF(list);
    return ewi_message_raise_call(port, code, arguments.timeout_ns, "recv_many: no message");
}
