/* transport/error.h - the sentence that goes with an error code.
 *
 * Purpose    Say what happened once, where it happened, with the value, the limit and the way out.
 * Shape      one text of at most ERROR_TEXT_BYTES for each thread
 * Owner      the thread
 * Threads    each has its own; the one piece of state outside of handles besides
 *            transport/process.c (docs/adr/0008-two-globals.md)
 * Trust      text that came from a peer is printable by the time it gets here (transport/wire.h)
 * Errors     none
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef EWI_TRANSPORT_ERROR_H
#define EWI_TRANSPORT_ERROR_H

#include "shm/base.h"

enum { ERROR_TEXT_BYTES = 512 };

/* Returns the code, so that `return ewi_fail(EW_EINVAL, "...", ...)` reads well. */
int ewi_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "what: strerror": for -errno. */
int ewi_fail_os(int negative_errno, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *ewi_error_text(void);
const char *ewi_error_name(int code);

#endif
