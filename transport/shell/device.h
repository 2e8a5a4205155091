/* transport/shell/device.h - what the shell around our TCP/IP needs from a network device.
 *
 * Purpose    One table of functions for each kind of device: DPDK's ports, a wire in memory for tests,
 *            a shim that loses and delays. The stack plug-in above knows only this.
 * Shape      receive  packets by reference, given back by give_back
 *            arm      empty frames in the device's own memory, filled by ewi_net_output, taken by
 *                     transmit in the same order
 *            sleep    a descriptor, armed only while nobody drives
 * Owner      The device owns packets and frames; a packet is the shell's between receive and
 *            give_back, a frame between arm and transmit. close() may be called with packets
 *            outstanding only if nothing touches them afterwards.
 * Threads    one caller at a time (the guard), except: facts, which never change after open
 * Trust      bytes and lengths of packets are hostile; of a device whose other end is a process
 *            (memif, virtio) the descriptors too, as far as the driver checks them
 * Errors     open: negative errno and a sentence with the value, the limit and the way out.
 *            Otherwise counters.
 * Invariants I1  no call blocks.
 *            I2  every packet of receive is given back once; every frame of arm is transmitted,
 *                armed again or freed by close.
 * Ordering   the caller's lock
 * Source     design, section 6; reference/stack-interface.md, section 1
 */
#ifndef EWI_TRANSPORT_SHELL_DEVICE_H
#define EWI_TRANSPORT_SHELL_DEVICE_H

#include "transport/net/net.h"

enum { DEVICE_BURST = 64, DEVICE_REASON_BYTES = 256 };

struct device; /* private to the implementation */

struct device_options {
    const char *text;      /* "KIND:key=value,...", docs/reference/network.md */
    uint16_t mtu;          /* of IP, 0: the device's own, at most 1500 */
    bool mac_given;
    uint8_t mac[6];
    uint32_t packets;      /* buffers for packets that are kept: 1024 .. 2^20; receive rings come on top */
    uint64_t seed;         /* of shims */
    char *reason;          /* DEVICE_REASON_BYTES, written on failure */
};

struct device_facts {
    char name[48];         /* as `ip` or the driver calls it */
    char driver[24];       /* "net_memif" */
    uint8_t mac[6];
    uint16_t mtu;
    uint32_t caps;         /* enum net_port_caps, after the quirk table */
    uint32_t tso_max;
    uint32_t frame_bytes;  /* room of each armed frame: mtu + 18, or tso_max and its headers */
    uint32_t packet_charge; /* bytes of memory that one kept packet pins */
    bool can_sleep;
    bool remote_driver;    /* the other end is another program on this host: its death is a lost carrier */
    bool any_mac;          /* the address is ours to choose */
    uint32_t shard, shards; /* of one device that several stacks share (steer.h); shards 0: it is not shared */
    char why[128];         /* why it cannot sleep, or which capability was taken away, for explain */
};

struct device_counts { /* since open */
    uint64_t rx_packets, rx_bytes, rx_missed, rx_errors, rx_no_buffer;
    uint64_t tx_packets, tx_bytes, tx_dropped; /* the device did not take them */
};

struct device_ops {
    const char *name;
    int (*open)(const struct device_options *options, struct device **out);
    void (*close)(struct device *device);
    const struct device_facts *(*facts)(const struct device *device);

    /* At most count; data, ref, bytes, room, charge and flags are filled, port is 0. */
    uint32_t (*receive)(struct device *device, struct net_rx *packets, uint32_t count);
    void (*give_back)(struct device *device, void **refs, uint32_t count);

    /* Fills room and room_bytes of the entries whose room is NULL; how many at the front are armed. */
    uint32_t (*arm)(struct device *device, struct net_frame *frames, uint32_t count);
    /* The first `count` frames, filled. Returns how many the device took, from the front; their room is NULL
     * afterwards. The others stay the shell's, which tries again. */
    uint32_t (*transmit)(struct device *device, struct net_frame *frames, uint32_t count);

    /* May be NULL together: the device cannot sleep. The descriptor lives as long as the device and is
     * readable when something came while it was armed; it nests in epoll. */
    int (*sleep_fd)(struct device *device);
    int (*sleep_arm)(struct device *device);  /* 1: something is there, or came meanwhile: not armed */
    void (*sleep_disarm)(struct device *device);

    bool (*carrier)(struct device *device);   /* the link is up; may cost a system call */
    void (*counts)(struct device *device, struct device_counts *out);
    /* In the child of a fork: close()s descriptors, frees nothing. */
    void (*forked)(struct device *device);
    /* It has no carrier and will not get one again: only another device, opened from the same text, may.
     * NULL: it never is. A few system calls. */
    bool (*is_lost)(struct device *device);
};

#endif
