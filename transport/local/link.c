#include "transport/local/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/local/process_watch.h"
#include "transport/local/open.h"
#include "transport/process.h"
#include "transport/retired.h"

enum { DRAIN_MAX = 64, MESSAGE_BYTES_MAX = 64 };

static struct local_link *link_of(ew_channel *channel)
{
    return &channel->link->local;
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
    fds[1] = (struct pollfd){.fd = channel->context->nudge_fd, .events = POLLIN};
    return 2;
}

static void announce(ew_channel *channel, uint32_t wants)
{
    ewi_bell_announce(&link_of(channel)->bell, wants);
}

/* With fileno() in use wants-data stays announced. */
static void retract(ew_channel *channel, uint32_t wants)
{
    if (ewi_channel_note_fd(channel) >= 0)
        wants &= ~(uint32_t)BELL_DATA;
    if (wants != 0)
        ewi_bell_retract(&link_of(channel)->bell, wants);
}

static void look_for_drain(ew_channel *channel)
{
    if (atomic_load_explicit(&link_of(channel)->theirs->draining, memory_order_relaxed) != 0) /* a hint */
        ewi_channel_drained(channel);
}

/* Take kicks out of the socket. A hang-up may hide behind them, and ECONNRESET in front of them. */
static void drain(ew_channel *channel)
{
    uint8_t message[MESSAGE_BYTES_MAX];

    look_for_drain(channel);
    for (int i = 0; i < DRAIN_MAX; i++) {
        ssize_t length = recv(link_of(channel)->bell.fd, message, sizeof(message),
                              MSG_DONTWAIT | MSG_TRUNC);

        if (length == 1 || (length < 0 && (errno == EINTR || errno == ECONNRESET)))
            continue;
        if (length == 0 && !link_of(channel)->quiet) /* else it is our own SHUT_RD */
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

    EWI_ASSERT(count == 2); /* the nudge is for one look */
    if (fds[0].revents & POLLIN)
        drain(channel);
    ewi_channel_note(channel); /* the kick may have been for others */
    if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        ewi_channel_link_down(channel, LINK_HUNG_UP);
}

/* With fileno() in use: the ring was found empty, so the kicks up to now are answered. */
static void rearm(ew_channel *channel)
{
    if (ewi_channel_note_fd(channel) < 0)
        return;
    ewi_channel_quieten(channel);
    drain(channel);
    ewi_bell_announce(&link_of(channel)->bell, BELL_DATA);
}

static int watch_fd(ew_channel *channel)
{
    struct local_link *link = link_of(channel);

    ewi_bell_announce(&link->bell, BELL_DATA);
    return link->bell.fd;
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
    atomic_store_explicit(&link_of(channel)->quiet, true, memory_order_relaxed); /* before it is seen */
    shutdown(link_of(channel)->bell.fd, SHUT_RD); /* wakes our pollers; the peer sees nothing */
}

static void nudge(ew_channel *channel)
{
    ewi_context_nudge(channel->context);
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

/* All but the socket. */
static void release_memory(ew_channel *channel, struct local_link *link)
{
    ew_context *context = channel->context;

    ewi_reactor_remove(context->reactor, link->source);
    ewi_process_unwatch(context, link->process);
    ewi_access_discharge(context, link->uid, link->peers_region.bytes);
    ewi_region_release(&ewi_os_default, &link->peers_region);
}

static void release(ew_channel *channel, struct channel_link *of)
{
    release_memory(channel, &of->local);
    ewi_process_close_fd(of->local.bell.fd);
}

static void retire(ew_channel *channel, struct channel_link *of)
{
    release_memory(channel, &of->local);
    ewi_retire_socket(channel, of->local.bell.fd);
}

static void say_drain(ew_channel *channel)
{
    atomic_store_explicit(&channel->outbox->draining, 1, memory_order_relaxed); /* the kick orders it */
    ewi_bell_kick(&link_of(channel)->bell); /* who waits there looks, and who has fileno() in a loop */
}

static void describe(ew_channel *channel, ew_channel_info *out)
{
    struct local_link *link = link_of(channel);

    if (link->peers_region.base != NULL) /* else the channel is closed here */
        look_for_drain(channel);
    out->peer_pid = link->pid;
    out->peer_uid = link->uid;
    out->generation = channel->session.generation;
    out->peer_outbox_bytes = link->peers_region.bytes;
    snprintf(out->death_watch, sizeof(out->death_watch), "%s",
             link->process != NULL ? "socket, pidfd" : "socket");
}

/* ---- the reactor: a hang-up while nobody waits ---- */

static void on_hang_up(void *object, uint32_t events, uint64_t now_ns)
{
    struct local_link *link = object;

    (void)events, (void)now_ns;
    link->hung_up = true;
    if (link->channel->ops == &ewi_local_link && &link->channel->link->local == link)
        ewi_channel_link_down(link->channel, LINK_HUNG_UP); /* else it is not adopted yet */
}

void ewi_local_link_look(ew_channel *channel)
{
    const struct local_link *link = link_of(channel);

    if (link->hung_up || ewi_process_is_dead(link->process))
        ewi_channel_link_down(channel, LINK_HUNG_UP);
}

int ewi_local_link_prepare(ew_channel *channel, struct channel_link *of,
                           const struct local_link_parts *parts)
{
    struct local_link *link = &of->local;
    ew_context *context = channel->context;
    int code;

    *link = (struct local_link){.channel = channel,
                                .theirs = parts->peers.base,
                                .peers_region = parts->peers,
                                .pid = parts->peer.pid,
                                .uid = parts->peer.uid,
                                .start = parts->start,
                                .offset = parts->offset};
    link->bell.peers = &link->theirs->sleep;
    link->bell.fd = parts->fd;
    link->process = ewi_process_watch(context, parts->fd, &parts->peer);
    code = ewi_reactor_add(context->reactor, parts->fd, EPOLLET, on_hang_up, link,
                           &link->source); /* EPOLLHUP and EPOLLERR come unasked */
    if (code == EW_OK)
        return EW_OK;
    ewi_process_unwatch(context, link->process);
    return ewi_fail(EW_EMEMORY, "no memory for a link: %s", ewi_error_name(code));
}

void ewi_local_link_open(ew_channel *channel)
{
    ewi_local_link_reader(channel->link, &channel->reader);
    ewi_local_link_adopt(channel, channel->link);
    ewi_local_link_look(channel);
}

void ewi_local_link_abandon(ew_channel *channel, struct channel_link *of)
{
    ewi_reactor_remove(channel->context->reactor, of->local.source);
    ewi_process_unwatch(channel->context, of->local.process);
}

void ewi_local_link_adopt(ew_channel *channel, struct channel_link *of)
{
    struct local_link *link = &of->local;

    link->bell.mine = &channel->outbox->sleep;
    channel->link = of;
    channel->ops = &ewi_local_link;
    channel->freed_word = &link->theirs->taken;
    channel->ended_word = &link->theirs->ended;
    channel->taken_word = &channel->outbox->taken;
}

void ewi_local_link_reader(const struct channel_link *of, struct ring_reader *out)
{
    const struct local_link *link = &of->local;

    ewi_ring_reader_init(out, link->theirs->ring, ewi_outbox_ring_bytes(link->peers_region.bytes),
                         link->offset, link->start);
}

const struct link_ops ewi_local_link = {
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
    .watch_fd = watch_fd,
    .peer_held = peer_held,
    .peer_consumed = peer_consumed,
    .closing = closing,
    .wake = wake,
    .nudge = nudge,
    .hang_up = hang_up,
    .release = release,
    .retire = retire,
    .drain = say_drain,
    .describe = describe,
};
