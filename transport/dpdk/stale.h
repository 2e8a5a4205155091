/* transport/dpdk/stale.h - what a killed process left where a device is to be opened.
 *
 * Purpose    A server of memif, vhost or virtio_user that was killed leaves its socket file, and the
 *            next start fails with "address in use"; AF_XDP leaves its program on the interface.
 * Shape      the folder of the socket is locked (flock) from the check until the driver has bound
 * Owner      the lock is the caller's until ewi_dpdk_stale_unlock
 * Threads    any; waits at most DPDK_LOCK_MS for the lock
 * Trust      whoever may write to the folder can do anything to the socket anyway
 * Errors     -EADDRINUSE: somebody answers; -ENOTSOCK: another kind of file, which is never removed;
 *            -EAGAIN: the lock is held too long
 * Invariants I1  only a socket that refuses connections is removed.
 * Ordering   the lock
 * Source     unix(7)
 */
#ifndef EWI_TRANSPORT_DPDK_STALE_H
#define EWI_TRANSPORT_DPDK_STALE_H

#include <stdbool.h>
#include <stdint.h>

enum { DPDK_LOCK_MS = 5000 };

/* type: of the socket. mine: this process listens there already, so that an answer is no obstacle. A
 * descriptor to unlock, or negative errno and a reason. */
int ewi_dpdk_stale_socket(const char *path, int type, char *reason);
void ewi_dpdk_stale_unlock(int lock);

#endif
