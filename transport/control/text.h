/* transport/control/text.h - compact JSON lines into a buffer of fixed size.
 *
 * Purpose    Say facts about channels to whoever looks in, without allocating.
 * Shape      one object a line: {"key":value,...}\n. Keys are plain ASCII literals of ours.
 * Owner      the caller's buffer
 * Threads    one
 * Trust      strings may hold anything: quotes, backslashes and control characters are escaped;
 *            bytes above 127 go through as they are (the reader replaces what is not UTF-8).
 * Errors     none: what does not fit sets `full`, and the caller goes back to its mark.
 * Invariants I1  used <= room.
 *            I2  after ewi_text_back the buffer is as it was at the mark.
 * Ordering   none
 * Source     RFC 8259, section 7
 */
#ifndef EWI_TRANSPORT_CONTROL_TEXT_H
#define EWI_TRANSPORT_CONTROL_TEXT_H

#include "shm/base.h"

struct text {
    char *bytes;
    size_t room, used;
    bool full; /* something did not fit since the last ewi_text_back */
};

static inline size_t ewi_text_mark(const struct text *text)
{
    return text->used;
}

static inline void ewi_text_back(struct text *text, size_t mark)
{
    text->used = mark;
    text->full = false;
}

/* "{" */
void ewi_text_begin(struct text *text);
/* "}\n" */
void ewi_text_end(struct text *text);
/* bytes_max: of the value, the rest is left out. */
void ewi_text_string(struct text *text, const char *key, const char *value, size_t bytes_max);
void ewi_text_u64(struct text *text, const char *key, uint64_t value);
void ewi_text_i64(struct text *text, const char *key, int64_t value);
void ewi_text_bool(struct text *text, const char *key, bool value);
void ewi_text_hex(struct text *text, const char *key, const uint8_t *bytes, size_t count);

#endif
