#include "bindings/python/message_buffer.h"

/* Replace Python's BufferError by what to do about it. */
static void explain_refusal(PyObject *object, int flags)
{
    Py_buffer any;
    bool contiguous;

    if (!PyErr_ExceptionMatches(PyExc_BufferError))
        return; /* TypeError names the type */
    PyErr_Clear();
    if (PyObject_GetBuffer(object, &any, PyBUF_FULL_RO) != 0)
        return;
    contiguous = PyBuffer_IsContiguous(&any, 'C') != 0;
    PyBuffer_Release(&any);
    if (!contiguous)
        PyErr_Format(PyExc_ValueError,
                     "buffer of %R is not contiguous; pass bytes(...) of it to copy it",
                     (PyObject *)Py_TYPE(object));
    else if ((flags & PyBUF_WRITABLE) != 0)
        PyErr_Format(PyExc_TypeError, "a writable buffer is needed, %R is read-only",
                     (PyObject *)Py_TYPE(object));
    else
        PyErr_Format(PyExc_ValueError, "buffer of %R cannot be used as plain bytes",
                     (PyObject *)Py_TYPE(object));
}

bool ewi_message_view_buffer(struct message_view *view, PyObject *object, int flags)
{
    if (PyObject_GetBuffer(object, &view->buffer, flags) != 0) {
        explain_refusal(object, flags);
        return false;
    }
    view->data = view->buffer.buf;
    view->bytes = (size_t)view->buffer.len;
    view->has_buffer = true;
    return true;
}

static bool reserve_parts(struct message_batch *batch)
{
    if (batch->count <= BATCH_INLINE)
        return true;
    batch->parts = NULL;
    if (batch->count <= PY_SSIZE_T_MAX / sizeof(Py_buffer)) /* the larger of the two arrays */
        batch->parts = PyMem_Malloc(batch->count * sizeof(*batch->parts));
    if (batch->parts == NULL)
        PyErr_NoMemory();
    return batch->parts != NULL;
}

static bool open_buffer(struct message_batch *batch, PyObject *object, ew_part *part)
{
    Py_buffer *buffer;

    if (batch->buffers == NULL)
        batch->buffers = PyMem_Malloc(batch->count * sizeof(*buffer));
    if (batch->buffers == NULL) {
        PyErr_NoMemory();
        return false;
    }
    buffer = &batch->buffers[batch->buffers_count]; /* a Py_buffer must not be moved */
    if (PyObject_GetBuffer(object, buffer, PyBUF_SIMPLE) != 0) {
        explain_refusal(object, PyBUF_SIMPLE);
        return false;
    }
    batch->buffers_count += 1;
    *part = (ew_part){.data = buffer->buf, .bytes = (size_t)buffer->len};
    return true;
}

static bool open_part(struct message_batch *batch, size_t index)
{
    PyObject *object = PyTuple_GetItem(batch->objects, (Py_ssize_t)index);
    ew_part *part = &batch->parts[index];

    if (!PyBytes_CheckExact(object))
        return open_buffer(batch, object, part);
    *part = (ew_part){.data = PyBytes_AsString(object), .bytes = (size_t)Py_SIZE(object)};
    return true;
}

bool ewi_message_batch_open(struct message_batch *batch, PyObject *sequence)
{
    batch->buffers = NULL;
    batch->buffers_count = 0;
    batch->bytes = 0;
    batch->parts = batch->parts_inline;
    batch->objects = PySequence_Tuple(sequence); /* a tuple is returned as it is */
    if (batch->objects == NULL)
        return false;
    batch->count = (size_t)PyTuple_Size(batch->objects);
    if (!reserve_parts(batch)) {
        Py_DECREF(batch->objects);
        return false;
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (!open_part(batch, i)) {
            ewi_message_batch_close(batch);
            return false;
        }
        batch->bytes += batch->parts[i].bytes;
    }
    return true;
}

void ewi_message_batch_close(struct message_batch *batch)
{
    for (size_t i = 0; i < batch->buffers_count; i++)
        PyBuffer_Release(&batch->buffers[i]);
    PyMem_Free(batch->buffers);
    if (batch->parts != batch->parts_inline)
        PyMem_Free(batch->parts);
    Py_DECREF(batch->objects);
}
