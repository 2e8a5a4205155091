/* Sending: tried with the GIL; what found no room waits without it. */
#include "bindings/python/message_buffer.h"
#include "bindings/python/message_port.h"

static int64_t run_send_parts(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    return ew_channel_send_parts(call->channel, call->data, call->size, timeout_ns, sigmask);
}

static int64_t run_send_many(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    return ew_channel_send_many(call->channel, call->data, call->size, timeout_ns, sigmask);
}

/* One long message: the next run goes on where this one was. */
static int64_t run_step(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    int64_t code = ew_channel_send_step(call->channel, call->data, call->size, timeout_ns, sigmask);

    return code == EW_EAGAIN ? EW_ETIMEOUT : code;
}

/* Wait with a send that found no room. */
static int64_t wait_send(const struct port *port, struct message_call *call, int64_t timeout_ns)
{
    int64_t result;

    call->channel = port->channel;
    call->spins = port->spins;
    call->repeatable = true;
    result = ewi_message_wait(call, ewi_message_until(timeout_ns));
    if (result == MESSAGE_RAISED || result == EW_ETIMEOUT)
        ew_channel_send_cancel(port->channel, call->data);
    return result;
}

PyObject *ewi_port_send(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const struct signature signature = {"send", "message", false};
    struct port *port = port_of(self);
    struct arguments arguments;
    struct message_view view;
    int64_t code;

    if (!ewi_message_parse(port, &signature, args, nargs, names, &arguments) ||
        !ewi_message_view_open(&view, arguments.first))
        return NULL;
    code = ew_channel_send(port->channel, view.data, view.bytes, 0, NULL);
    if (code == EW_EAGAIN && arguments.timeout_ns != 0) {
        const ew_part part = {.data = view.data, .bytes = view.bytes};
        bool is_long = view.bytes > port->single_bytes_max;
        struct message_call call = {
            .run = is_long ? run_step : run_send_parts, .data = &part, .size = 1};

        code = wait_send(port, &call, arguments.timeout_ns);
    }
    ewi_message_view_close(&view);
    if (code != EW_OK)
        return ewi_message_raise_call(port, code, arguments.timeout_ns, "send: no room");
    Py_RETURN_NONE;
}

PyObject *ewi_port_try_send(PyObject *self, PyObject *message)
{
    struct port *port = port_of(self);
    struct message_view view;
    int code;

    if (!ewi_message_view_open(&view, message))
        return NULL;
    code = ew_channel_send(port->channel, view.data, view.bytes, 0, NULL);
    ewi_message_view_close(&view);
    if (code == EW_EAGAIN)
        Py_RETURN_FALSE;
    if (code != EW_OK)
        return ewi_message_raise(port->state, code);
    Py_RETURN_TRUE;
}

PyObject *ewi_port_send_parts(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *names)
{
    static const struct signature signature = {"send_parts", "parts", false};
    struct port *port = port_of(self);
    struct arguments arguments;
    struct message_batch batch;
    int64_t code;

    if (!ewi_message_parse(port, &signature, args, nargs, names, &arguments) ||
        !ewi_message_batch_open(&batch, arguments.first))
        return NULL;
    code = ew_channel_send_parts(port->channel, batch.parts, batch.count, 0, NULL);
    if (code == EW_EAGAIN && arguments.timeout_ns != 0) {
        bool is_long = batch.bytes > port->single_bytes_max;
        struct message_call call = {
            .run = is_long ? run_step : run_send_parts, .data = batch.parts, .size = batch.count};

        code = wait_send(port, &call, arguments.timeout_ns);
    }
    ewi_message_batch_close(&batch);
    if (code != EW_OK)
        return ewi_message_raise_call(port, code, arguments.timeout_ns, "send_parts: no room");
    Py_RETURN_NONE;
}

PyObject *ewi_port_send_many(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *names)
{
    static const struct signature signature = {"send_many", "messages", false};
    struct port *port = port_of(self);
    struct arguments arguments;
    struct message_batch batch;
    int64_t sent;

    if (!ewi_message_parse(port, &signature, args, nargs, names, &arguments) ||
        !ewi_message_batch_open(&batch, arguments.first))
        return NULL;
    sent = ew_channel_send_many(port->channel, batch.parts, batch.count, 0, NULL);
    if (sent == EW_EAGAIN && arguments.timeout_ns != 0) {
        bool is_long = batch.parts[0].bytes > port->single_bytes_max; /* goes alone */
        struct message_call call = {.run = is_long ? run_step : run_send_many,
                                    .data = batch.parts,
                                    .size = is_long ? 1 : batch.count};

        sent = wait_send(port, &call, arguments.timeout_ns);
        if (is_long && sent == EW_OK)
            sent = 1;
    }
    ewi_message_batch_close(&batch);
    if (sent < 0)
        return ewi_message_raise_call(port, sent, arguments.timeout_ns, "send_many: no room");
    return PyLong_FromLongLong(sent);
}
