#include "transport/local/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/local/process_watch.h"
#include "transport/local/open.h"
#include "transport/process.h"

enum { DRAIN_MAX = 64, MESSAGE_BYTES_MAX = 64 };

static struct local_link *link_of(ew_channel *channel)
{
    return &channel->link.local;
}

/* ---- telling the peer ---- */

static void committed(ew_channel *channel)
{
    struct bell *bell = &link_of(channel)->bell;

    if (ewi_bell_is_wanted(bell, BELL_DATA))
        ewi_bell_kick(bell);
}

static void tell_space(ew_channel *channel)
{
    struct bell *bell = &link_of(channel)->bell;

    if (ewi_bell_is_wanted(bell, BELL_SPACE))
        ewi_bell_kick(bell);
}

static void drive(ew_channel *channel)
{
    (void)channel; /* the peer writes to memory that we read */
}

/* ---- sleeping ---- */

static nfds_t sleep_fds(ew_channel *channel, struct pollfd fds[LINK_FDS_MAX])
{
    fds[0] = (struct pollfd){.fd = link_of(channel)->bell.fd, .events = POLLIN};
    return 1;
}

static void announce(ew_channel *channel, uint32_t wants)
{
    ewi_bell_announce(&link_of(channel)->bell, wants);
}

static int note_fd_of(ew_channel *channel)
{
    return atomic_load_explicit(&link_of(channel)->note_fd, memory_order_acquire); /* set once */
}

static void retract(ew_channel *channel, uint32_t wants)
{
    struct local_link *link = link_of(channel);

    if (note_fd_of(channel) >= 0)
        wants &= ~(uint32_t)BELL_DATA;
    if (wants != 0)
        ewi_bell_retract(&link->bell, wants);
}

/* Take kicks out of the socket. A hang-up may hide behind them, and ECONNRESET in front of them. */
static void drain(ew_channel *channel)
{
    uint8_t message[MESSAGE_BYTES_MAX];

    for (int i = 0; i < DRAIN_MAX; i++) {
        ssize_t length = recv(link_of(channel)->bell.fd, message, sizeof(message),
                              MSG_DONTWAIT | MSG_TRUNC);

        if (length == 1 || (length < 0 && (errno == EINTR || errno == ECONNRESET)))
            continue;
        if (length == 0 && atomic_load_explicit(&channel->shut, memory_order_acquire) ==
                               CHANNEL_OPEN) /* C4; else it is our own SHUT_RD */
            ewi_channel_link_down(channel, LINK_HUNG_UP);
        else if (length > 1)
            ewi_channel_break(channel, EW_EPROTO, "the peer sent a message that this version does "
                                                  "not know on the local socket");
        return;
    }
}

static void seen(void *context, const struct pollfd *fds, nfds_t count)
{
    ew_channel *channel = context;
    int note_fd = note_fd_of(channel);
    const uint64_t one = 1;

    EWI_ASSERT(count == 1);
    if (fds[0].revents & POLLIN)
        drain(channel);
    if (note_fd >= 0 && write(note_fd, &one, sizeof(one)) < 0) /* the kick may have been for others */
        EWI_ASSERT(errno == EAGAIN);
    if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        ewi_channel_link_down(channel, LINK_HUNG_UP);
}

/* With fileno() in use: the ring was found empty, so the kicks up to now are answered. */
static void rearm(ew_channel *channel)
{
    int note_fd = note_fd_of(channel);
    uint64_t ignored;

    if (note_fd < 0)
        return;
    if (read(note_fd, &ignored, sizeof(ignored)) < 0)
        EWI_ASSERT(errno == EAGAIN);
    drain(channel);
    ewi_bell_announce(&link_of(channel)->bell, BELL_DATA);
}

static int watch_fds(ew_channel *channel, int fds[LINK_FDS_MAX])
{
    struct local_link *link = link_of(channel);
    int note_fd = note_fd_of(channel);

    if (note_fd < 0)
        note_fd = ewi_process_eventfd();
    if (note_fd < 0)
        return note_fd;
    atomic_store_explicit(&link->note_fd, note_fd, memory_order_release); /* set once */
    ewi_bell_announce(&link->bell, BELL_DATA);
    fds[0] = link->bell.fd;
    fds[1] = note_fd;
    return 2;
}

/* ---- how far the peer is ---- */

static uint64_t peer_held(ew_channel *channel)
{
    (void)channel;
    return UINT64_MAX; /* it has our memory mapped: whatever was committed is held */
}

static uint64_t peer_consumed(ew_channel *channel)
{
    return atomic_load_explicit(channel->freed_word, memory_order_acquire); /* T2, pairs with T1 */
}

/* ---- end ---- */

static void closing(ew_channel *channel)
{
    shutdown(link_of(channel)->bell.fd, SHUT_RD); /* wakes our pollers; the peer sees nothing */
}

static void wake(ew_channel *channel)
{
    shutdown(link_of(channel)->bell.fd, SHUT_RDWR);
}

static void hang_up(ew_channel *channel, bool clean)
{
    atomic_store_explicit(&channel->outbox->ended, clean ? OUTBOX_CLOSED : OUTBOX_ABORTED,
                          memory_order_release); /* E1, pairs with E2 */
    EWI_CRASH_POINT("end.after_ended");
}

static void release(ew_channel *channel)
{
    struct local_link *link = link_of(channel);
    ew_context *context = channel->context;

    ewi_reactor_remove(context->reactor, link->source);
    ewi_process_unwatch(context, link->process);
    ewi_process_close_fd(link->bell.fd);
    ewi_process_close_fd(note_fd_of(channel));
    ewi_access_discharge(context, link->uid, link->peers_region.bytes);
    ewi_region_release(&ewi_os_default, &link->peers_region);
}

static void describe(ew_channel *channel, ew_channel_info *out)
{
    struct local_link *link = link_of(channel);

    out->peer_pid = link->pid;
    out->peer_uid = link->uid;
    out->generation = 1;
    out->peer_outbox_bytes = link->peers_region.bytes;
    snprintf(out->death_watch, sizeof(out->death_watch), "%s",
             link->process != NULL ? "socket, pidfd" : "socket");
}

/* ---- the reactor: a hang-up while nobody waits ---- */

static void on_hang_up(void *object, uint32_t events, uint64_t now_ns)
{
    (void)events, (void)now_ns;
    ewi_channel_link_down(object, LINK_HUNG_UP);
}

int ewi_local_link_start(ew_channel *channel, const struct local_link_parts *parts)
{
    struct local_link *link = link_of(channel);
    ew_context *context = channel->context;
    int code;

    channel->link.local = (struct local_link){.note_fd = -1};
    link->theirs = parts->peers.base;
    link->peers_region = parts->peers;
    link->pid = parts->peer.pid;
    link->uid = parts->peer.uid;
    link->bell.mine = &channel->outbox->sleep;
    link->bell.peers = &link->theirs->sleep;
    link->bell.fd = parts->fd;
    channel->ops = &ewi_local_link;
    channel->freed_word = &link->theirs->taken;
    channel->ended_word = &link->theirs->ended;
    channel->taken_word = &channel->outbox->taken;
    ewi_ring_reader_init(&channel->reader, link->theirs->ring,
                         ewi_outbox_ring_bytes(parts->peers.bytes), parts->offset, 0);
    link->process = ewi_process_watch(context, parts->fd, &parts->peer);
    code = ewi_reactor_add(context->reactor, parts->fd, EPOLLET, on_hang_up, channel,
                           &link->source); /* EPOLLHUP and EPOLLERR come unasked */
    if (code != EW_OK)
        ewi_process_unwatch(context, link->process);
    return code;
}

const struct link_ops ewi_local_link = {
    .path = EW_PATH_SHM,
    .committed = committed,
    .taken = tell_space,
    .settle = tell_space,
    .drive = drive,
    .sleep_fds = sleep_fds,
    .announce = announce,
    .retract = retract,
    .look = NULL,
    .seen = seen,
    .rearm = rearm,
    .watch_fds = watch_fds,
    .peer_held = peer_held,
    .peer_consumed = peer_consumed,
    .closing = closing,
    .wake = wake,
    .hang_up = hang_up,
    .release = release,
    .describe = describe,
};
