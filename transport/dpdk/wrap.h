/* transport/dpdk/wrap.h - functions that DPDK's drivers call through ours.
 *
 * Purpose    What cannot be configured away: net_tap takes a real-time signal of the process, EAL calls
 *            openlog(), net_af_packet and net_af_xdp wait in poll() inside a burst, and net_memif unmaps
 *            rings from EAL's thread while a burst may read them. The linker (--wrap) puts these in
 *            between.
 * Shape      sigaction           SIGRTMIN and above are refused; net_tap then looks at its queue each time
 *            openlog             does nothing: DPDK's log does not go to syslog
 *            poll                inside a burst: does not wait
 *            memif_free_regions  waits until no thread is inside a burst
 * Owner      one lock per process, one flag per thread
 * Threads    enter and leave around a burst; they wait for memif's unmapping only
 * Trust      none
 * Errors     none
 * Invariants I1  no signal handler is installed for DPDK but EAL's for SIGBUS, which EAL takes away.
 *            I2  rings of memif stay mapped while a burst runs.
 *            I3  a burst does not wait.
 * Ordering   the lock
 * Source     reference/tcp-stacks.md, section 6; ld(1), --wrap
 */
#ifndef EWI_TRANSPORT_DPDK_WRAP_H
#define EWI_TRANSPORT_DPDK_WRAP_H

void ewi_dpdk_memif_enter(void);
void ewi_dpdk_memif_leave(void);

void ewi_dpdk_burst_enter(void);
void ewi_dpdk_burst_leave(void);

#endif
