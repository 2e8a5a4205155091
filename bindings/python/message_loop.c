/* For event loops: looking, arming, and sending in steps. With the GIL held; nothing here waits. */
#include "bindings/python/message_buffer.h"
#include "bindings/python/message_port.h"

enum { SPIN_NS_MAX = 1000 * 1000 }; /* with the GIL held: no other thread runs Python meanwhile */

/* Look for so many ns, a Python int: 1 there is something, 0 not yet, < 0 an exception is set. */
static int spin(const struct port *port, PyObject *object)
{
    int64_t spin_ns = PyLong_AsLongLong(object);
    int found;

    if (spin_ns == -1 && PyErr_Occurred())
        return -1;
    if (spin_ns > SPIN_NS_MAX) {
        PyErr_Format(PyExc_ValueError, "spin of %lld ns, at most %d", (long long)spin_ns,
                     SPIN_NS_MAX);
        return -1;
    }
    found = ew_channel_spin(port->channel, spin_ns);
    if (found < 0)
        ewi_message_raise(port->state, found);
    return found;
}

PyObject *ewi_port_spin(PyObject *self, PyObject *object)
{
    int found = spin(port_of(self), object);

    return found < 0 ? NULL : PyBool_FromLong(found);
}

PyObject *ewi_port_look(PyObject *self, PyObject *object)
{
    int found = spin(port_of(self), object);

    if (found < 0)
        return NULL;
    if (found == 0)
        Py_RETURN_NONE;
    return ewi_port_try_recv(self, NULL);
}

/* Room for this many bytes is what the send in steps needs to go on: half a record (send.c). */
static size_t step_bytes(const struct port *port)
{
    if (port->pending == NULL)
        return 0;
    return port->pending->bytes <= port->single_bytes_max ? port->pending->bytes
                                                          : port->single_bytes_max / 2;
}

PyObject *ewi_port_arm(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct port *port = port_of(self);
    Py_ssize_t bytes;
    long wants;
    int found;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "_arm() takes wants and send_bytes");
        return NULL;
    }
    wants = PyLong_AsLong(args[0]);
    bytes = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred())
        return NULL;
    found = ew_channel_arm(port->channel, (uint32_t)wants,
                           bytes < 0 ? step_bytes(port) : (size_t)bytes);
    return found < 0 ? ewi_message_raise(port->state, found) : PyLong_FromLong(found);
}

void ewi_port_drop_pending(struct port *port)
{
    struct message_batch *batch = port->pending;

    port->pending = NULL;
    if (batch == NULL)
        return;
    ew_channel_send_cancel(port->channel, batch->parts);
    ewi_message_batch_close(batch);
    PyMem_Free(batch);
}

static bool open_pending(struct port *port, PyObject *message, bool is_parts)
{
    struct message_batch *batch = PyMem_Malloc(sizeof(*batch));
    PyObject *parts = NULL;
    bool opened = false;

    if (batch == NULL) {
        PyErr_NoMemory();
        return false;
    }
    parts = is_parts ? Py_NewRef(message) : PyTuple_Pack(1, message);
    if (parts != NULL)
        opened = ewi_message_batch_open(batch, parts);
    Py_XDECREF(parts);
    if (opened && port->pending == NULL) {
        port->pending = batch;
        return true;
    }
    if (opened) { /* Python code of a buffer called us again */
        ewi_message_batch_close(batch);
        PyErr_SetString(PyExc_RuntimeError, "_send_step: another send has begun");
    }
    PyMem_Free(batch);
    return false;
}

PyObject *ewi_port_send_step(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct port *port = port_of(self);
    int code;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "_send_step() takes a message and is_parts");
        return NULL;
    }
    if (port->pending == NULL && !open_pending(port, args[0], PyObject_IsTrue(args[1]) == 1))
        return NULL;
    code = ew_channel_send_step(port->channel, port->pending->parts, port->pending->count, 0, NULL);
    if (code == EW_EAGAIN)
        Py_RETURN_FALSE;
    ewi_port_drop_pending(port); /* not suspended any more: there is nothing to cancel */
    if (code != EW_OK)
        return ewi_message_raise(port->state, code);
    Py_RETURN_TRUE;
}

PyObject *ewi_port_send_cancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    ewi_port_drop_pending(port_of(self));
    Py_RETURN_NONE;
}

PyObject *ewi_port_positions(PyObject *self, PyObject *unused)
{
    struct port *port = port_of(self);
    ew_channel_stats stats;
    int code = ew_channel_get_stats(port->channel, &stats);

    (void)unused;
    if (code != EW_OK)
        return ewi_message_raise(port->state, code);
    return Py_BuildValue("KK", (unsigned long long)stats.position_sent,
                         (unsigned long long)stats.position_peer_consumed);
}
