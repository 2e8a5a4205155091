/* transport/shell/capture.h - what goes over the device, into a file.
 *
 * Purpose    `eastwest net capture`: packets of a running process for tcpdump and wireshark.
 * Shape      classic pcap, ns resolution, Ethernet, in the byte order of this machine. A frame is written as
 *            it is given to, or comes from, the device: with offloads its checksum may not be finished and
 *            it may be longer than the MTU.
 * Owner      the stack; the file belongs to whoever runs the process
 * Threads    open: any. All others: the guard.
 * Trust      the path comes from whoever may ask for a capture: control socket, same uid. A file that is
 *            there is never touched: O_EXCL, no link is followed, mode 0600.
 * Errors     negative errno; a write that fails ends the capture, and `error` keeps why
 * Invariants I1  the file is never longer than `bytes_max`.
 *            I2  it ends with a whole record, unless the disk is full.
 * Ordering   the guard
 * Source     draft-ietf-opsawg-pcap, sections 4 and 5
 */
#ifndef EWI_TRANSPORT_SHELL_CAPTURE_H
#define EWI_TRANSPORT_SHELL_CAPTURE_H

#include "shm/base.h"

enum { CAPTURE_PATH_BYTES = 448, CAPTURE_BYTES_DEFAULT = 64 << 20, CAPTURE_BYTES_MIN = 1024 };

enum capture_end { CAPTURE_NONE, CAPTURE_STOPPED, CAPTURE_FULL, CAPTURE_FAILED };

struct capture {
    char path[CAPTURE_PATH_BYTES];
    uint64_t bytes, bytes_max, packets;
    uint64_t until;  /* ns of the clock of now; when it ends by itself */
    int fd;          /* -1: closed */
    int error;
    uint8_t end;     /* enum capture_end, of the last one */
    bool is_on;
};

void ewi_capture_init(struct capture *capture);
/* A file with its header, into *out, which is on. path: absolute. -EEXIST: the file is there. */
int ewi_capture_open(struct capture *out, const char *path, uint64_t bytes_max, uint64_t until);
void ewi_capture_stop(struct capture *capture, enum capture_end end);
/* It is on. */
void ewi_capture_write(struct capture *capture, const uint8_t *bytes, uint32_t length, uint64_t now);

#endif
