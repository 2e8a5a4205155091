/* transport/local/open.h - from a connected Unix socket to a local link.
 *
 * Purpose    What opener and listener share: packets with one descriptor, mapping the peer's
 *            outbox, starting the link.
 * Shape      one packet each way: HELLO or WELCOME with the sender's outbox, or REFUSE with none
 * Owner      a received descriptor is the caller's; parts pass to the link on success
 * Threads    any
 * Trust      a packet is judged by transport/wire.h; at most one descriptor is taken, the others
 *            closed
 * Errors     EW_EPROTO, EW_EMEMORY, -errno
 * Invariants I1  descriptors that arrive are close-on-exec from the first moment.
 * Ordering   none
 * Source     unix(7) SCM_RIGHTS
 */
#ifndef EWI_TRANSPORT_LOCAL_OPEN_H
#define EWI_TRANSPORT_LOCAL_OPEN_H

#include "shm/ring.h"
#include "transport/context.h"

struct channel_link;

struct local_link_parts {
    int fd; /* listed in transport/process.h */
    struct local_peer peer;
    struct region peers;
    uint64_t start;  /* position of the peer's first record ... */
    uint32_t offset; /* ... and where it lies in the peer's ring */
};

/* > 0: sent. -EAGAIN, -errno. fd < 0: no descriptor goes along. */
int ewi_local_send(int socket, const void *bytes, size_t length, int fd);
/* The length, 0: hang-up, -EAGAIN, -errno, EW_EPROTO (cut off, or several descriptors).
 * *fd: -1 or a descriptor that came along. */
int64_t ewi_local_receive(int socket, void *bytes, size_t room, int *fd);
/* Check and map what the peer's hello announced; charges its uid. Text set on failure. */
int ewi_local_attach(ew_context *context, const struct local_peer *peer, const struct hello *hello,
                     int fd, struct region *out);
void ewi_local_detach(ew_context *context, const struct local_peer *peer, struct region *region);
/* On success the parts belong to the link; on failure they stay the caller's. Nothing of the channel
 * changes before adopt, which cannot fail. */
int ewi_local_link_prepare(ew_channel *channel, struct channel_link *of,
                           const struct local_link_parts *parts);
void ewi_local_link_adopt(ew_channel *channel, struct channel_link *of);
/* Adopt, of a new channel; with the reactor's lock until the channel is on its context's list. */
void ewi_local_link_open(ew_channel *channel);
/* It was prepared and is not adopted: the parts are the caller's again. */
void ewi_local_link_abandon(ew_channel *channel, struct channel_link *of);
/* After adopt: did it end before? Then the link goes down. */
void ewi_local_link_look(ew_channel *channel);
/* A view of the peer's ring, from its first record on. */
void ewi_local_link_reader(const struct channel_link *of, struct ring_reader *out);

#endif
