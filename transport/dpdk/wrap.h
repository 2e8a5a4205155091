/* transport/dpdk/wrap.h - functions that DPDK's drivers call through ours.
 *
 * Purpose    What cannot be configured away: net_tap takes a real-time signal of the process, EAL calls
 *            openlog(), a virtio_user server waits for its client, net_af_packet and net_af_xdp wait in
 *            poll() inside a burst, net_memif unmaps rings from EAL's thread while a burst may read them,
 *            and net_af_xdp forgets its umem, a socket with all buffers pinned, as it is closed. The
 *            linker (--wrap) puts these in between.
 * Shape      sigaction           SIGRTMIN and above seem to be in use; net_tap then looks at its queue each time
 *            accept              while a device is opened: waits DPDK_ACCEPT_MS at most
 *            epoll_ctl           adding a closed descriptor is no error, which EAL would die of
 *            setsockopt          PACKET_FANOUT does nothing: in net_af_packet's group of one the kernel would
 *                                put IPv4 fragments together, to packets that a slot does not hold
 *            openlog             does nothing: DPDK's log does not go to syslog
 *            poll                inside a burst: does not wait
 *            xsk_umem__create, xsk_umem__delete   are written down
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

#include <stdbool.h>

enum { DPDK_ACCEPT_MS = 3000 }; /* a vhost client tries each second */

void ewi_dpdk_memif_enter(void);
void ewi_dpdk_memif_leave(void);

void ewi_dpdk_burst_enter(void);
void ewi_dpdk_burst_leave(void);

/* Around the driver's start. */
void ewi_dpdk_open_enter(void);
void ewi_dpdk_open_leave(void);
bool ewi_dpdk_accept_timed_out(void); /* since the last enter, in this thread */

struct xsk_umem;
/* From now on, in this thread: this one may be deleted, or another made. */
void ewi_dpdk_umem_watch(struct xsk_umem *umem);
struct xsk_umem *ewi_dpdk_umem_left(void); /* the last that was made and is not deleted */

#endif
