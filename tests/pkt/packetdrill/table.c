/* What packetdrill sees: each call takes the lock, finds the socket, and turns -errno into -1. */
#include "tests/pkt/packetdrill/adapter.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

static struct adapter *enter(void *userdata)
{
    struct adapter *adapter = userdata;

    pthread_mutex_lock(&adapter->lock);
    return adapter;
}

static ssize_t leave(struct adapter *adapter, ssize_t result)
{
    pthread_mutex_unlock(&adapter->lock);
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static int leave_int(struct adapter *adapter, int result)
{
    return (int)leave(adapter, result);
}

static void call_free(void *userdata)
{
    pd_close(userdata);
}

/* ---- sockets ---- */

static int call_socket(void *userdata, int domain, int type, int protocol)
{
    struct adapter *adapter = enter(userdata);

    return leave_int(adapter, pd_socket(adapter, domain, type, protocol));
}

static int call_bind(void *userdata, int fd, const struct sockaddr *address, socklen_t bytes)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);
    struct stack_addr local;
    int code = socket == NULL ? -EBADF : pd_addr_in(address, bytes, &local);

    return leave_int(adapter, code != 0 ? code : pd_bind(adapter, socket, &local));
}

static int call_listen(void *userdata, int fd, int backlog)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);

    return leave_int(adapter, socket == NULL ? -EBADF : pd_listen(adapter, socket, backlog));
}

static int call_accept(void *userdata, int fd, struct sockaddr *address, socklen_t *bytes)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);

    return leave_int(adapter,
                     socket == NULL ? -EBADF : pd_accept(adapter, socket, address, bytes));
}

static int call_connect(void *userdata, int fd, const struct sockaddr *address, socklen_t bytes)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);
    struct stack_addr remote;
    int code = socket == NULL ? -EBADF : pd_addr_in(address, bytes, &remote);

    return leave_int(adapter, code != 0 ? code : pd_connect(adapter, socket, &remote));
}

static int call_close(void *userdata, int fd)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);

    return leave_int(adapter, socket == NULL ? -EBADF : pd_close_fd(adapter, socket));
}

static int call_shutdown(void *userdata, int fd, int how)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);

    return leave_int(adapter, socket == NULL ? -EBADF : pd_shutdown(adapter, socket, how));
}

static int call_fcntl(void *userdata, int fd, int command, ...)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);
    va_list rest;
    int code = -EINVAL;

    if (socket == NULL)
        return leave_int(adapter, -EBADF);
    va_start(rest, command);
    if (command == F_GETFL)
        code = O_RDWR | (socket->is_nonblock ? O_NONBLOCK : 0);
    if (command == F_SETFL) {
        socket->is_nonblock = (va_arg(rest, int) & O_NONBLOCK) != 0;
        code = 0;
    }
    va_end(rest);
    return leave_int(adapter, code);
}

static int call_ioctl(void *userdata, int fd, unsigned long request, ...)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);
    va_list rest;
    int *value;

    va_start(rest, request);
    value = va_arg(rest, int *);
    va_end(rest);
    return leave_int(adapter,
                     socket == NULL ? -EBADF : pd_ioctl(adapter, socket, request, value));
}

static int call_getsockopt(void *userdata, int fd, int level, int name, void *value,
                           socklen_t *bytes)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);

    return leave_int(adapter, socket == NULL
                                  ? -EBADF
                                  : pd_getsockopt(adapter, socket, level, name, value, bytes));
}

static int call_setsockopt(void *userdata, int fd, int level, int name, const void *value,
                           socklen_t bytes)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);

    return leave_int(adapter, socket == NULL
                                  ? -EBADF
                                  : pd_setsockopt(adapter, socket, level, name, value, bytes));
}

/* ---- data ---- */

static ssize_t receive(void *userdata, int fd, const struct iovec *rooms, size_t count, int flags,
                       struct sockaddr *address, socklen_t *address_bytes)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);
    struct stack_addr from = {.family = 4};
    ssize_t got = socket == NULL ? -EBADF
                                 : pd_recv(adapter, socket, rooms, count, flags, &from);

    if (got >= 0)
        pd_addr_out(&from, address, address_bytes);
    return leave(adapter, got);
}

static ssize_t transmit(void *userdata, int fd, const struct iovec *spans, size_t count, int flags,
                        const struct sockaddr *address, socklen_t address_bytes)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *socket = pd_socket_of(adapter, fd);
    struct stack_addr to;
    int code = socket == NULL ? -EBADF : 0;

    if (code == 0 && address != NULL)
        code = pd_addr_in(address, address_bytes, &to);
    return leave(adapter, code != 0 ? code
                                    : pd_send(adapter, socket, spans, count, flags,
                                              address != NULL ? &to : NULL));
}

static ssize_t call_recvfrom(void *userdata, int fd, void *room, size_t bytes, int flags,
                             struct sockaddr *address, socklen_t *address_bytes)
{
    const struct iovec one = {room, bytes};

    return receive(userdata, fd, &one, 1, flags, address, address_bytes);
}

static ssize_t call_recv(void *userdata, int fd, void *room, size_t bytes, int flags)
{
    return call_recvfrom(userdata, fd, room, bytes, flags, NULL, NULL);
}

static ssize_t call_read(void *userdata, int fd, void *room, size_t bytes)
{
    return call_recvfrom(userdata, fd, room, bytes, 0, NULL, NULL);
}

static ssize_t call_readv(void *userdata, int fd, const struct iovec *rooms, int count)
{
    if (count >= 0 && count <= PD_IOVS)
        return receive(userdata, fd, rooms, (size_t)count, 0, NULL, NULL);
    errno = EINVAL;
    return -1;
}

static ssize_t call_recvmsg(void *userdata, int fd, struct msghdr *message, int flags)
{
    message->msg_controllen = 0;
    message->msg_flags = 0;
    return receive(userdata, fd, message->msg_iov, message->msg_iovlen, flags, message->msg_name,
                   message->msg_name != NULL ? &message->msg_namelen : NULL);
}

static ssize_t call_sendto(void *userdata, int fd, const void *data, size_t bytes, int flags,
                           const struct sockaddr *address, socklen_t address_bytes)
{
    const struct iovec one = {(void *)(uintptr_t)data, bytes};

    return transmit(userdata, fd, &one, 1, flags, address, address_bytes);
}

static ssize_t call_send(void *userdata, int fd, const void *data, size_t bytes, int flags)
{
    return call_sendto(userdata, fd, data, bytes, flags, NULL, 0);
}

static ssize_t call_write(void *userdata, int fd, const void *data, size_t bytes)
{
    return call_sendto(userdata, fd, data, bytes, 0, NULL, 0);
}

static ssize_t call_writev(void *userdata, int fd, const struct iovec *spans, int count)
{
    if (count >= 0 && count <= PD_IOVS)
        return transmit(userdata, fd, spans, (size_t)count, 0, NULL, 0);
    errno = EINVAL;
    return -1;
}

static ssize_t call_sendmsg(void *userdata, int fd, const struct msghdr *message, int flags)
{
    return transmit(userdata, fd, message->msg_iov, message->msg_iovlen, flags, message->msg_name,
                    message->msg_namelen);
}

/* ---- waiting ---- */

static int call_poll(void *userdata, struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct adapter *adapter = enter(userdata);

    return leave_int(adapter, pd_poll(adapter, fds, count, timeout_ms));
}

static int call_epoll_create(void *userdata, int size)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *epoll = size > 0 ? pd_socket_new(adapter, PD_EPOLL) : NULL;

    return leave_int(adapter, size <= 0       ? -EINVAL
                              : epoll == NULL ? -EMFILE
                                              : pd_fd_of(adapter, epoll));
}

static int call_epoll_ctl(void *userdata, int epfd, int operation, int fd, struct epoll_event *event)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *epoll = pd_socket_of(adapter, epfd);

    return leave_int(adapter,
                     epoll == NULL ? -EBADF : pd_epoll_ctl(adapter, epoll, operation, fd, event));
}

static int call_epoll_wait(void *userdata, int epfd, struct epoll_event *events, int count,
                           int timeout_ms)
{
    struct adapter *adapter = enter(userdata);
    struct pd_socket *epoll = pd_socket_of(adapter, epfd);

    return leave_int(adapter, epoll == NULL
                                  ? -EBADF
                                  : pd_epoll_wait(adapter, epoll, events, count, timeout_ms));
}

static int call_pipe(void *userdata, int fds[2])
{
    (void)userdata, (void)fds;
    errno = ENOSYS;
    return -1;
}

static int call_splice(void *userdata, int from, loff_t *from_at, int to, loff_t *to_at,
                       size_t bytes, unsigned int flags)
{
    (void)userdata, (void)from, (void)from_at, (void)to, (void)to_at, (void)bytes, (void)flags;
    errno = ENOSYS;
    return -1;
}

/* ---- the device and the clock ---- */

static int call_netdev_send(void *userdata, const void *packet, size_t bytes)
{
    struct adapter *adapter = enter(userdata);

    return leave_int(adapter, pd_packet_in(adapter, packet, bytes));
}

static int call_netdev_receive(void *userdata, void *packet, size_t *bytes, long long *time_us)
{
    struct adapter *adapter = enter(userdata);

    return leave_int(adapter, pd_packet_out(adapter, packet, bytes, time_us));
}

static int call_usleep(void *userdata, useconds_t us)
{
    struct adapter *adapter = enter(userdata);

    pd_advance(adapter, adapter->now + (uint64_t)us * 1000);
    return leave_int(adapter, 0);
}

/* Whoever reads the clock again and again must see it move. */
static int call_gettimeofday(void *userdata, struct timeval *time, struct timezone *zone)
{
    struct adapter *adapter = enter(userdata);

    pd_advance(adapter, adapter->now + 1000);
    time->tv_sec = (time_t)(adapter->now / PD_SEC);
    time->tv_usec = (suseconds_t)(adapter->now % PD_SEC / 1000);
    if (zone != NULL)
        *zone = (struct timezone){0};
    return leave_int(adapter, 0);
}

__attribute__((visibility("default"))) void
packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface)
{
    struct adapter *adapter;

    if (pd_open(flags, &adapter) != 0) { /* the interface has no way to say it */
        fprintf(stderr, "ew_packetdrill: cannot start with flags '%s'\n",
                flags != NULL ? flags : "");
        exit(1);
    }
    *interface = (struct packetdrill_interface){
        .userdata = adapter,
        .free = call_free,
        .socket = call_socket,
        .bind = call_bind,
        .listen = call_listen,
        .accept = call_accept,
        .connect = call_connect,
        .read = call_read,
        .readv = call_readv,
        .recv = call_recv,
        .recvfrom = call_recvfrom,
        .recvmsg = call_recvmsg,
        .write = call_write,
        .writev = call_writev,
        .send = call_send,
        .sendto = call_sendto,
        .sendmsg = call_sendmsg,
        .fcntl = call_fcntl,
        .ioctl = call_ioctl,
        .close = call_close,
        .shutdown = call_shutdown,
        .getsockopt = call_getsockopt,
        .setsockopt = call_setsockopt,
        .poll = call_poll,
        .netdev_send = call_netdev_send,
        .netdev_receive = call_netdev_receive,
        .usleep = call_usleep,
        .gettimeofday = call_gettimeofday,
        .epoll_create = call_epoll_create,
        .epoll_ctl = call_epoll_ctl,
        .epoll_wait = call_epoll_wait,
        .pipe = call_pipe,
        .splice = call_splice,
    };
}
