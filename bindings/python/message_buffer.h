/* bindings/python/message_buffer.h - see the bytes behind a Python object, one or many.
 *
 * Purpose    bytes are used as they are; anything else through the buffer protocol; what is not
 *            contiguous is refused with a sentence instead of a copy nobody asked for.
 * Shape      struct message_view: one message. struct message_batch: a sequence of them, as the
 *            array that ew_channel_send_many takes; up to BATCH_INLINE without allocation.
 * Owner      The caller's stack. Every successful open is followed by one close; a failed open
 *            leaves nothing to close. The objects must stay alive in between: a batch keeps its own
 *            tuple, so that a list changed by another thread does no harm.
 * Threads    with the GIL held; opening may run Python code of the object's class
 * Trust      the arguments come from the user: anything may be passed
 * Errors     false and a Python exception: TypeError (no buffer), ValueError (not contiguous),
 *            MemoryError
 * Invariants I1  data is valid, and its memory does not move, until close.
 * Ordering   none
 * Source     Python/C API, "Buffer Protocol"
 */
#ifndef EASTWEST_MESSAGE_BUFFER_H
#define EASTWEST_MESSAGE_BUFFER_H

#include <Python.h>

#include <stdbool.h>

#include "bindings/c/eastwest.h"

enum { BATCH_INLINE = 32 };

struct message_view {
    void *data;
    size_t bytes;
    bool has_buffer; /* buffer is to be released */
    Py_buffer buffer;
};

bool ewi_message_view_buffer(struct message_view *view, PyObject *object, int flags);

static inline bool ewi_message_view_open(struct message_view *view, PyObject *object)
{
    if (!PyBytes_CheckExact(object))
        return ewi_message_view_buffer(view, object, PyBUF_SIMPLE);
    view->data = PyBytes_AsString(object);
    view->bytes = (size_t)Py_SIZE(object);
    view->has_buffer = false;
    return true;
}

static inline void ewi_message_view_close(struct message_view *view)
{
    if (view->has_buffer)
        PyBuffer_Release(&view->buffer);
}

struct message_batch {
    PyObject *objects; /* tuple */
    ew_part *parts;
    size_t count;
    size_t bytes; /* of all parts */
    Py_buffer *buffers; /* of the parts that are not bytes, NULL: all are */
    size_t buffers_count;
    ew_part parts_inline[BATCH_INLINE];
};

bool ewi_message_batch_open(struct message_batch *batch, PyObject *sequence);
void ewi_message_batch_close(struct message_batch *batch);

#endif
