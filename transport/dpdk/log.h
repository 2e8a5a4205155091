/* transport/dpdk/log.h - where DPDK's log goes: nowhere, but its end is remembered.
 *
 * Purpose    A library does not print; yet when DPDK refuses, its log is the only explanation.
 * Shape      a ring of the last DPDK_LOG_TAIL bytes; a sink: none, a file, or a callback
 * Owner      one per process; the stream is never closed
 * Threads    any; a mutex. The callback runs in whichever thread DPDK logs from.
 * Trust      none
 * Errors     what cannot be written is lost
 * Invariants I1  nothing is written to standard output, standard error or syslog unless asked for.
 * Ordering   the mutex
 * Source     rte_log.h, rte_openlog_stream
 */
#ifndef EWI_TRANSPORT_DPDK_LOG_H
#define EWI_TRANSPORT_DPDK_LOG_H

#include <stddef.h>

enum { DPDK_LOG_TAIL = 1024 };

/* Before EAL's start. 0, or negative errno. */
int ewi_dpdk_log_open(void);
/* libbpf and libxdp print; between these two, in the same thread, into the log instead. */
void ewi_dpdk_log_catch(void);
void ewi_dpdk_log_release(void);
/* write NULL: as before. */
void ewi_dpdk_log_to(void (*write)(void *context, const char *text, size_t bytes), void *context);
/* What was logged so far does not matter for the next tail. */
void ewi_dpdk_log_mark(void);
/* The last lines since the mark in one line, "; " between them; at most bytes with the 0. */
void ewi_dpdk_log_tail(char *text, size_t bytes);

#endif
