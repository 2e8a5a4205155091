/* poll and epoll over what the stack says is ready. */
#include "tests/pkt/packetdrill/adapter.h"

/* The bits of poll, which are those of epoll. */
uint32_t pd_ready(struct adapter *adapter, struct pd_socket *socket)
{
    uint32_t ready, bits = 0;

    if (socket->kind == PD_TCP)
        return POLLOUT | POLLHUP; /* as Linux says of a socket that is not connected */
    if (socket->kind == PD_EPOLL)
        return 0;
    if (socket->stream == 0)
        return POLLOUT;
    ready = ewi_net_ready(adapter->net, socket->stream);
    if ((ready & (STACK_READABLE | STACK_ACCEPT | STACK_PEER_FIN | STACK_FAILED)) != 0 ||
        socket->peeked_bytes > 0 || socket->read_shut)
        bits |= POLLIN | POLLRDNORM;
    if ((ready & (STACK_WRITABLE | STACK_FAILED)) != 0 || socket->write_shut ||
        socket->kind == PD_UDP)
        bits |= POLLOUT | POLLWRNORM;
    if ((ready & (STACK_PEER_FIN | STACK_FAILED)) != 0 || socket->read_shut)
        bits |= POLLRDHUP;
    if ((ready & STACK_FAILED) != 0 ||
        ((ready & STACK_PEER_FIN) != 0 && socket->write_shut))
        bits |= POLLHUP;
    if ((ready & STACK_FAILED) != 0 && !socket->error_taken)
        bits |= POLLERR;
    return socket->kind == PD_LISTENER ? bits & (POLLIN | POLLRDNORM | POLLERR) : bits;
}

static uint64_t end_of(const struct adapter *adapter, int timeout_ms)
{
    return timeout_ms < 0 ? NET_NEVER : adapter->now + (uint64_t)timeout_ms * PD_MS;
}

static int poll_now(struct adapter *adapter, struct pollfd *fds, nfds_t count)
{
    int found = 0;

    for (nfds_t i = 0; i < count; i++) {
        struct pd_socket *socket = pd_socket_of(adapter, fds[i].fd);

        fds[i].revents = 0;
        if (fds[i].fd < 0)
            continue;
        if (socket == NULL)
            fds[i].revents = POLLNVAL;
        else
            fds[i].revents = (short)(pd_ready(adapter, socket) &
                                     ((uint16_t)fds[i].events | (uint32_t)(POLLERR | POLLHUP)));
        found += fds[i].revents != 0;
    }
    return found;
}

int pd_poll(struct adapter *adapter, struct pollfd *fds, nfds_t count, int timeout_ms)
{
    uint64_t until = end_of(adapter, timeout_ms);
    int found;

    while ((found = poll_now(adapter, fds, count)) == 0)
        if (!pd_wait(adapter, until))
            break;
    return found;
}

/* ---- epoll ---- */

static struct pd_watched *find_watched(struct pd_socket *epoll, int fd)
{
    for (uint32_t i = 0; i < epoll->watches; i++)
        if (epoll->watched[i].fd == fd)
            return &epoll->watched[i];
    return NULL;
}

int pd_epoll_ctl(struct adapter *adapter, struct pd_socket *epoll, int operation, int fd,
                 struct epoll_event *event)
{
    struct pd_watched *watched = find_watched(epoll, fd);

    if (epoll->kind != PD_EPOLL || pd_socket_of(adapter, fd) == epoll)
        return -EINVAL;
    if (pd_socket_of(adapter, fd) == NULL)
        return -EBADF;
    if (operation != EPOLL_CTL_ADD && watched == NULL)
        return operation == EPOLL_CTL_MOD || operation == EPOLL_CTL_DEL ? -ENOENT : -EINVAL;
    if (operation == EPOLL_CTL_DEL) {
        *watched = epoll->watched[--epoll->watches];
        return 0;
    }
    if (operation == EPOLL_CTL_ADD) {
        if (watched != NULL)
            return -EEXIST;
        if (epoll->watched == NULL)
            epoll->watched = calloc(PD_WATCHED, sizeof(*epoll->watched));
        if (epoll->watched == NULL || epoll->watches == PD_WATCHED)
            return -ENOSPC;
        watched = &epoll->watched[epoll->watches++];
    }
    *watched = (struct pd_watched){.fd = fd, .event = *event};
    return 0;
}

/* What is new of one descriptor: with EPOLLET only what was not reported since it was last absent. */
static uint32_t news(struct adapter *adapter, struct pd_watched *watched)
{
    struct pd_socket *socket = pd_socket_of(adapter, watched->fd);
    uint32_t all, fresh;

    if (socket == NULL)
        return 0; /* closed: as the kernel, forgotten */
    all = pd_ready(adapter, socket) & (watched->event.events | EPOLLERR | EPOLLHUP);
    if (watched->event.events == EPOLLONESHOT)
        return 0; /* had its one */
    fresh = (watched->event.events & EPOLLET) != 0 ? all & ~watched->reported : all;
    watched->reported = all;
    if (fresh != 0 && (watched->event.events & EPOLLONESHOT) != 0)
        watched->event.events = EPOLLONESHOT;
    return fresh != 0 ? all : 0;
}

static int epoll_now(struct adapter *adapter, struct pd_socket *epoll, struct epoll_event *events,
                     int count)
{
    int found = 0;

    for (uint32_t i = 0; i < epoll->watches && found < count; i++) {
        uint32_t bits = news(adapter, &epoll->watched[i]);

        if (bits == 0)
            continue;
        events[found].events = bits;
        events[found++].data = epoll->watched[i].event.data;
    }
    return found;
}

int pd_epoll_wait(struct adapter *adapter, struct pd_socket *epoll, struct epoll_event *events,
                  int count, int timeout_ms)
{
    uint64_t until = end_of(adapter, timeout_ms);
    int found;

    if (epoll->kind != PD_EPOLL || count <= 0)
        return -EINVAL;
    while ((found = epoll_now(adapter, epoll, events, count)) == 0)
        if (!pd_wait(adapter, until))
            break;
    return found;
}
