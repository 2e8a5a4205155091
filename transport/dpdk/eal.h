/* transport/dpdk/eal.h - DPDK's environment layer (EAL) as a library inside somebody else's process.
 *
 * Purpose    EAL wants to be main(): it pins the caller, takes all memory, scans all of PCI, listens for
 *            telemetry. Here it is started by the first device, once, and takes none of that.
 * Shape      memory   huge pages (anonymous, on demand) when enough are free, else small pages: a memfd of
 *                     a fixed size, which becomes real page by page.
 *            pages    EASTWEST_DPDK_PAGES=auto|huge|small
 *            log      kept in a ring of DPDK_LOG_TAIL bytes for error texts; also written to the file
 *                     EASTWEST_DPDK_LOG ("-": standard error), or to a callback
 * Owner      one per process and copy of this code; it is never ended, because DPDK cannot be started
 *            again: one sleeping thread and untouched memory stay behind the last device.
 * Threads    any; one mutex around start, open and close
 * Trust      none
 * Errors     negative errno and a sentence with the end of EAL's own log. After a failed start DPDK
 *            refuses another one: the first error is repeated.
 * Invariants I1  the caller's affinity, signal mask and signal handlers are as before.
 *            I2  no thread of DPDK takes a signal of the process: all are blocked while it makes one.
 *            I3  a child made by fork opens nothing, and does not wait for the mutex: whoever has it is
 *                not there.
 * Ordering   the mutex. E1 relaxed: the owner's own number; a child has what its parent had
 * Source     reference/stack-interface.md, section 1.3; docs/reference/network.md
 */
#ifndef EWI_TRANSPORT_DPDK_EAL_H
#define EWI_TRANSPORT_DPDK_EAL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dpdk_needs {
    bool pci;
    uint64_t bytes; /* of memory, of this device */
};

/* Lock, block signals, start EAL if this is the first time. 0: *before is for ewi_dpdk_leave, which
 * must follow; else negative errno and a reason, nothing is locked. */
int ewi_dpdk_enter(const struct dpdk_needs *needs, sigset_t *before, char *reason);
void ewi_dpdk_leave(const sigset_t *before);
/* For close(): lock and block signals, without a start. */
void ewi_dpdk_enter_again(sigset_t *before);

/* Between enter and leave: EAL's thread stands still, outside of all drivers, until it is let go. A driver
 * that is closed while its interrupt is being handled keeps the handler (rte_intr_callback_unregister says
 * -EAGAIN, net_virtio does not ask again), which then looks at a device that is gone. False: it could not be
 * asked to. */
bool ewi_dpdk_stop_thread(void);
void ewi_dpdk_let_thread_go(bool stopped);

bool ewi_dpdk_has_huge_pages(void);
/* Pages that were promised to the device that starts EAL are free for its pools from now on. */
void ewi_dpdk_let_pages_go(void);
/* The process that started EAL, not a child of it. */
bool ewi_dpdk_is_ours(void);
/* A number that no other device of this process has. */
unsigned ewi_dpdk_next_number(void);

/* reason: DEVICE_REASON_BYTES, or NULL. Returns code. */
__attribute__((format(printf, 3, 4))) int ewi_dpdk_refuse(char *reason, int code,
                                                          const char *format, ...);

#endif
