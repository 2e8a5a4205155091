/* transport/dpdk/sockets.h - the kernel sockets of drivers that do not tell which they are.
 *
 * Purpose    af_packet and af_xdp can be slept upon through their sockets; a forked child has to close
 *            what its parent's peer watches.
 * Shape      descriptors of this process are listed (getdents64, no allocation) and asked what they are:
 *            an AF_PACKET socket bound to the interface, an AF_XDP socket, a Unix socket with the path
 * Owner      descriptors stay the driver's
 * Threads    any; close_all in a child of fork: async-signal-safe
 * Trust      none
 * Errors     -1: not found
 * Invariants I1  a socket that was there before the driver opened its own is never taken for it.
 * Ordering   none
 * Source     packet(7), unix(7), linux/if_xdp.h
 */
#ifndef EWI_TRANSPORT_DPDK_SOCKETS_H
#define EWI_TRANSPORT_DPDK_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/dpdk/kind.h"

enum { DPDK_BEFORE_MAX = 64 };

struct dpdk_before { /* sockets of the kind that were there before */
    uint64_t inodes[DPDK_BEFORE_MAX];
    uint32_t count;
};

void ewi_dpdk_sockets_before(const struct dpdk_text *text, const char *iface, struct dpdk_before *out);
int ewi_dpdk_sockets_find(const struct dpdk_text *text, const char *iface,
                          const struct dpdk_before *before);
void ewi_dpdk_sockets_close(const struct dpdk_text *text, const char *iface, int known);

/* An AF_PACKET socket that receives nothing, but asks the interface for all multicast. Or -errno. */
int ewi_dpdk_iface_join(const char *iface);
/* The kernel's number of an interface, in the namespace of fd; 0: there is none. */
int ewi_dpdk_iface_index(int fd, const char *iface);
/* Of that number: one that was made again has the name, and is another. */
bool ewi_dpdk_iface_is_up(int fd, const char *iface, int index);
/* Of IP; or negative errno. */
int ewi_dpdk_iface_mtu(const char *iface);

#endif
