/* transport/shell/capture.h - a device around a device that writes what passes to a pcap file.
 *
 * Purpose    Wireshark for devices that no kernel sees. Started and stopped while the stack runs.
 * Shape      classic pcap, nanoseconds, Ethernet; whole frames, both directions in the order they passed.
 *            What the device would finish (sums) is not finished in the file.
 * Owner      The capture owns the inner device: its close() closes both. Buffer: CAPTURE_BUFFER_BYTES.
 * Threads    as the inner device; start, stop and set_time too
 * Trust      none
 * Errors     start: negative errno; -EBUSY: it runs. A write that fails stops it, and stop() returns why.
 * Invariants I1  the file is never longer than bytes_max, and ends with a whole frame.
 *            I2  a frame is in the file once, when the device has taken it.
 *            I3  stopped, it costs one comparison for each burst.
 * Ordering   none
 * Source     draft-ietf-opsawg-pcap
 */
#ifndef EWI_TRANSPORT_SHELL_CAPTURE_H
#define EWI_TRANSPORT_SHELL_CAPTURE_H

#include "transport/shell/device.h"

enum { CAPTURE_BUFFER_BYTES = 256 * 1024, CAPTURE_BYTES_MIN = 4096 };

/* The table of a capture is made from that of the inner device; both outputs live until close(). */
int ewi_capture_wrap(const struct device_ops *inner_ops, struct device *inner,
                     const struct device_ops **ops, struct device **out);
/* Of the next frames; since 1970 for other programs to understand it. */
void ewi_capture_set_time(struct device *device, uint64_t now_ns);
/* A new file, or an old one made empty. Writing waits for the file system, not for more. */
int ewi_capture_start(struct device *device, const char *path, uint64_t bytes_max);
/* 0, or why not all was written; -EFBIG: bytes_max was reached. */
int ewi_capture_stop(struct device *device);
uint64_t ewi_capture_frames(const struct device *device); /* written since the start */

#endif
