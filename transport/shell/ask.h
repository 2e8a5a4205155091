/* transport/shell/ask.h - questions of tools about a running stack, and what a few of them make it do.
 *
 * Purpose    `eastwest net ...` asks by the control socket of the process; here are the answers.
 * Shape      A question is a word and its arguments; the answer is JSON lines, as of the control socket:
 *            rows, and behind a list {"next":N}: ask again with N for the rest, 0: that was all. A page
 *            may have no rows.
 *              port, addr, route, stats, limits       everything
 *              neigh [N]  path [N]  conn [N]  listen [N]    from cursor N on
 *              ping ADDR [BYTES]     one echo request; {"ping":HANDLE}
 *              pong HANDLE           {"state":"waiting" | "answered" | "gone"}, with its round trip
 *              capture state | stop | start BYTES SECONDS PATH
 *            What was asked rightly and cannot be is {"error":WORD,"detail":TEXT}.
 * Owner      the caller's buffer
 * Threads    any: rows are copied under the guard, some at a time, and written outside
 * Trust      Questions are checked; who may ask what is for the control socket to say: capture writes
 *            files of this process's user.
 * Errors     -EINVAL  no such question, or its arguments are wrong
 *            -ENOBUFS  the room is too small for one row
 * Invariants I1  the guard is held for ASK_ROWS rows at most, and never while text is made or a file opened.
 *            I2  an answer is whole lines.
 * Ordering   the guard
 * Source     transport/stack.h (ask); docs/reference/control.md
 */
#ifndef EWI_TRANSPORT_SHELL_ASK_H
#define EWI_TRANSPORT_SHELL_ASK_H

#include "transport/stack.h"

enum { ASK_ROWS = 16, ASK_ROOM_MIN = 4096 };

int64_t ewi_shell_ask(struct ewi_stack *stack, const char *question, char *answer, size_t room);

#endif
