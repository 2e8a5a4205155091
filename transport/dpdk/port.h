/* transport/dpdk/port.h - one DPDK port with one queue each way, as struct device_ops want it.
 *
 * Purpose    What the files of this folder share about an open device.
 * Shape      open.c    driver, queues, start, and all of it backwards
 *            memory.c  its buffers
 *            device.c  bursts: packets in, frames out
 *            sleep.c   the descriptor
 *            sockets.c the driver's sockets, which it does not tell
 * Owner      open() allocates, close() frees. Pools are of DPDK's memory: only whoever holds the caller's
 *            guard touches them.
 * Threads    as device.h; DPDK's own threads touch only what is said to be atomic
 * Trust      as device.h
 * Errors     as device.h
 * Invariants I1  every buffer is linear and long enough for a frame: no chains are made, those that
 *                arrive are dropped and counted.
 *            I2  a pool has buffers for everything that can hold one at a time.
 * Ordering   link_news is a hint: relaxed. What it hints at DPDK keeps in an atomic of its own
 * Source     transport/shell/device.h
 */
#ifndef EWI_TRANSPORT_DPDK_PORT_H
#define EWI_TRANSPORT_DPDK_PORT_H

#include <stdatomic.h>

#include <rte_mbuf.h>

#include "transport/dpdk/kind.h"
#include "transport/shell/device.h"

enum { DPDK_STASH = 32, DPDK_SOCKETS = 4, DPDK_CARRIER_NS = 10000000 };

struct dpdk_wire; /* of a ring device */

struct dpdk_sleeper {
    int epoll; /* what the caller waits for; -1: cannot sleep */
    int news;  /* an eventfd, written when the link changes */
    int source; /* the driver's, -1: looked for when it is armed */
    bool is_armed;
};

struct device {
    struct device_facts facts;
    struct dpdk_text text;
    uint16_t port;
    bool has_port, is_started;
    char vdev[48]; /* "": not a virtual device */
    struct rte_mempool *rx_pool, *tx_pool; /* may be the same */
    struct rte_mempool *small_pool;        /* of one with tso=1: memory.h */
    uint32_t large_kept;
    struct dpdk_wire *wire;
    struct xsk_umem *umem; /* of an AF_XDP device */
    struct rte_mbuf *stash[DPDK_STASH]; /* received by sleep_arm */
    uint16_t stashed, stash_next;
    struct device_counts counts;
    struct dpdk_sleeper sleeper;
    int socket;     /* the driver's, -1: not known. Not ours to close, but in a child */
    int iface;      /* the kernel's number of its interface; 0: it has none */
    int membership; /* ours: asks an interface for multicast */
    bool carrier;
    int refused; /* a vhost's peer, its number and 1, of which it was said why it has no carrier */
    uint64_t carrier_at;
    _Atomic bool link_news;
};

int ewi_dpdk_open(const struct device_options *options, struct device **out);
void ewi_dpdk_close(struct device *device);

/* Linear packets only; at most DEVICE_BURST. */
uint16_t ewi_dpdk_burst(struct device *device, struct rte_mbuf **packets, uint16_t count);

int ewi_dpdk_sleep_prepare(struct device *device); /* before the driver's start: 0 or -errno */
void ewi_dpdk_sleep_open(struct device *device);   /* behind it: facts say whether it can */
void ewi_dpdk_sleep_close(struct device *device);
int ewi_dpdk_sleep_fd(struct device *device);
int ewi_dpdk_sleep_arm(struct device *device);
void ewi_dpdk_sleep_disarm(struct device *device);

#endif
