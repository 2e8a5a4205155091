#include "bindings/python/message_port.h"

#include <string.h>

/* ---- errors ---- */

/* Raise what the error function makes of a code. Always returns NULL. */
static PyObject *raise_text(const struct state *state, int64_t code, PyObject *text)
{
    PyObject *error;

    if (text == NULL)
        return NULL;
    if (state->error == NULL) {
        PyErr_Format(PyExc_RuntimeError, "%s: %U", ew_error_name((int)code), text);
        Py_DECREF(text);
        return NULL;
    }
    error = PyObject_CallFunction(state->error, "iN", (int)code, text);
    if (error == NULL)
        return NULL;
    if (PyExceptionInstance_Check(error))
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    else
        PyErr_Format(PyExc_TypeError, "set_error: function returned %R, not an exception", error);
    Py_DECREF(error);
    return NULL;
}

PyObject *ewi_message_raise(const struct state *state, int64_t code)
{
    const char *text = ew_error_text();

    if (code == MESSAGE_RAISED)
        return NULL;
    return raise_text(state, code,
                      PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace"));
}

PyObject *ewi_message_raise_call(const struct port *port, int64_t code, int64_t timeout_ns,
                                 const char *lacked)
{
    PyObject *seconds, *text;

    if (code != EW_ETIMEOUT && code != EW_EAGAIN)
        return ewi_message_raise(port->state, code);
    seconds = PyFloat_FromDouble((double)timeout_ns / 1e9);
    if (seconds == NULL)
        return NULL;
    text = PyUnicode_FromFormat("%s within %R s", lacked, seconds);
    Py_DECREF(seconds);
    return raise_text(port->state, EW_ETIMEOUT, text);
}

/* ---- arguments ---- */

static bool is_name(PyObject *name, const char *text)
{
    return text != NULL && PyUnicode_CompareWithASCIIString(name, text) == 0;
}

/* One keyword argument. */
static bool parse_named(const struct port *port, const struct signature *signature, PyObject *name,
                        PyObject *value, struct arguments *out)
{
    if (name == port->state->timeout || is_name(name, "timeout"))
        return ewi_message_timeout(value, &out->timeout_ns);
    if (!is_name(name, signature->first)) {
        PyErr_Format(PyExc_TypeError, "%s() has no argument '%U'", signature->method, name);
        return false;
    }
    if (out->first != NULL) {
        PyErr_Format(PyExc_TypeError, "%s() got '%U' twice", signature->method, name);
        return false;
    }
    out->first = value;
    return true;
}

bool ewi_message_parse_slowly(const struct port *port, const struct signature *signature,
                              PyObject *const *args, Py_ssize_t nargs, PyObject *names,
                              struct arguments *out)
{
    Py_ssize_t names_count = names == NULL ? 0 : PyTuple_Size(names);
    Py_ssize_t nargs_max = signature->first != NULL ? 1 : 0;

    if (nargs > nargs_max) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most %zd positional argument(s), %zd were given; "
                     "timeout is passed by name",
                     signature->method, nargs_max, nargs);
        return false;
    }
    for (Py_ssize_t i = 0; i < names_count; i++)
        if (!parse_named(port, signature, PyTuple_GetItem(names, i), args[nargs + i], out))
            return false;
    if (out->first == NULL && signature->first != NULL && !signature->first_optional) {
        PyErr_Format(PyExc_TypeError, "%s() needs '%s'", signature->method, signature->first);
        return false;
    }
    return true;
}
