/* From socket() to close(), over transport/net. */
#include "tests/pkt/packetdrill/adapter.h"

#include <netinet/in.h>
#include <poll.h>

struct pd_socket *pd_socket_of(struct adapter *adapter, int fd)
{
    struct pd_socket *socket;

    if (fd < FD_BASE || fd >= FD_BASE + PD_SOCKETS)
        return NULL;
    socket = &adapter->socket[fd - FD_BASE];
    return socket->is_open ? socket : NULL;
}

int pd_fd_of(const struct adapter *adapter, const struct pd_socket *socket)
{
    return FD_BASE + (int)(socket - adapter->socket);
}

struct pd_socket *pd_socket_new(struct adapter *adapter, enum pd_kind kind)
{
    for (struct pd_socket *each = adapter->socket; each < adapter->socket + PD_SOCKETS; each++) {
        if (each->kind != PD_FREE)
            continue;
        *each = (struct pd_socket){.kind = kind, .is_open = true, .keepidle_s = 7200};
        each->pieces_end = &each->pieces;
        return each;
    }
    return NULL;
}

void pd_release(struct adapter *adapter, struct pd_socket *socket, uint64_t released)
{
    (void)adapter;
    while (socket->pieces != NULL && socket->pieces->end <= released) {
        struct pd_piece *first = socket->pieces;

        socket->pieces = first->next;
        free(first);
    }
    if (socket->pieces == NULL)
        socket->pieces_end = &socket->pieces;
}

void pd_socket_free(struct pd_socket *socket)
{
    if (socket->kind == PD_FREE)
        return;
    pd_release(NULL, socket, UINT64_MAX);
    free(socket->peeked);
    free(socket->watched);
    *socket = (struct pd_socket){.kind = PD_FREE};
}

/* ---- addresses ---- */

int pd_addr_in(const struct sockaddr *address, socklen_t bytes, struct stack_addr *out)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    *out = (struct stack_addr){0};
    if (address == NULL || bytes < sizeof(four.sin_family))
        return -EINVAL;
    if (address->sa_family == AF_INET && bytes >= sizeof(four)) {
        memcpy(&four, address, sizeof(four));
        out->family = 4;
        out->port = ntohs(four.sin_port);
        memcpy(out->ip, &four.sin_addr, 4);
        return 0;
    }
    if (address->sa_family != AF_INET6 || bytes < sizeof(six))
        return address->sa_family == AF_INET || address->sa_family == AF_INET6 ? -EINVAL
                                                                               : -EAFNOSUPPORT;
    memcpy(&six, address, sizeof(six));
    out->family = 6;
    out->port = ntohs(six.sin6_port);
    memcpy(out->ip, &six.sin6_addr, 16);
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) { /* a program's, never a packet's */
        out->family = 4;
        memmove(out->ip, out->ip + 12, 4);
        memset(out->ip + 4, 0, 12);
    }
    return 0;
}

void pd_addr_out(const struct stack_addr *address, struct sockaddr *out, socklen_t *bytes)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    bool is_ip6 = address->family == 6;
    socklen_t own = is_ip6 ? sizeof(six) : sizeof(four);

    if (out == NULL || bytes == NULL)
        return;
    memcpy(&four.sin_addr, address->ip, 4);
    memcpy(&six.sin6_addr, address->ip, 16);
    memcpy(out, is_ip6 ? (const void *)&six : (const void *)&four, *bytes < own ? *bytes : own);
    *bytes = own;
}

static bool is_any(const struct stack_addr *address)
{
    static const uint8_t zero[16];

    return memcmp(address->ip, zero, sizeof(zero)) == 0;
}

/* ---- the calls ---- */

int pd_socket(struct adapter *adapter, int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct pd_socket *socket;

    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if ((kind != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) &&
        (kind != SOCK_DGRAM || (protocol != 0 && protocol != IPPROTO_UDP)))
        return -EPROTONOSUPPORT;
    socket = pd_socket_new(adapter, kind == SOCK_STREAM ? PD_TCP : PD_UDP);
    if (socket == NULL)
        return -EMFILE;
    socket->family = domain == AF_INET6 ? 6 : 4;
    socket->is_nonblock = (type & SOCK_NONBLOCK) != 0;
    return pd_fd_of(adapter, socket);
}

/* An address that is bound becomes ours: a script says by this which one it uses. */
int pd_bind(struct adapter *adapter, struct pd_socket *socket, const struct stack_addr *address)
{
    if (socket->is_bound || (socket->kind != PD_TCP && socket->kind != PD_UDP))
        return -EINVAL;
    if (!is_any(address) && !pd_address_is_ours(adapter, address) &&
        pd_address_add(adapter, address) < 0)
        return -EADDRNOTAVAIL;
    socket->local = *address;
    socket->is_bound = true;
    return 0;
}

int pd_listen(struct adapter *adapter, struct pd_socket *socket, int backlog)
{
    uint64_t saved[PD_OPTIONS];
    int code;

    if (socket->kind == PD_LISTENER)
        return 0;
    if (socket->kind != PD_TCP)
        return socket->kind == PD_UDP ? -EOPNOTSUPP : -EINVAL;
    if (!socket->is_bound)
        socket->local.family = socket->family;
    pd_options_begin(adapter, socket, saved);
    code = ewi_net_listen(adapter->net, &socket->local, backlog > 0 ? (uint32_t)backlog : 1,
                          (uint64_t)(socket - adapter->socket), &socket->stream);
    pd_options_end(adapter, socket, saved);
    if (code == 0)
        socket->kind = PD_LISTENER;
    return code;
}

int pd_accept(struct adapter *adapter, struct pd_socket *listener, struct sockaddr *address,
              socklen_t *bytes)
{
    struct pd_socket *socket;
    struct stack_addr local;
    int code;

    if (listener->kind != PD_LISTENER)
        return listener->kind == PD_UDP ? -EOPNOTSUPP : -EINVAL;
    socket = pd_socket_new(adapter, PD_STREAM);
    if (socket == NULL)
        return -EMFILE;
    do
        code = ewi_net_accept(adapter->net, listener->stream, (uint64_t)(socket - adapter->socket),
                              &socket->stream);
    while (code == -EAGAIN && !listener->is_nonblock && pd_wait(adapter, NET_NEVER) &&
           listener->is_open);
    if (code == 0)
        code = ewi_net_addresses(adapter->net, socket->stream, &local, &socket->remote);
    if (code != 0) {
        pd_socket_free(socket);
        return code;
    }
    socket->family = listener->family;
    pd_addr_out(&socket->remote, address, bytes);
    return pd_fd_of(adapter, socket);
}

int pd_error(struct adapter *adapter, struct pd_socket *socket)
{
    int error = ewi_net_error(adapter->net, socket->stream);

    if (error == 0 || socket->error_taken)
        return 0;
    socket->error_taken = true;
    return error < 0 ? error : -error;
}

static int start_connect(struct adapter *adapter, struct pd_socket *socket,
                         const struct stack_addr *remote)
{
    uint64_t saved[PD_OPTIONS];
    int code;

    if (!is_any(&socket->local) && socket->local.family != remote->family)
        return -EINVAL;
    socket->local.family = remote->family;
    pd_options_begin(adapter, socket, saved);
    code = ewi_net_connect(adapter->net, socket->is_bound ? &socket->local : NULL, remote,
                           (uint64_t)(socket - adapter->socket), adapter->now, &socket->stream);
    pd_options_end(adapter, socket, saved);
    if (code != 0)
        return code;
    socket->kind = PD_STREAM;
    socket->is_connecting = true;
    socket->remote = *remote;
    pd_run(adapter);
    return 0;
}

/* 0: connected, -EINPROGRESS, or why it is not. */
static int connect_result(struct adapter *adapter, struct pd_socket *socket)
{
    struct net_tcp_info info;
    uint32_t ready = ewi_net_ready(adapter->net, socket->stream);

    if ((ready & STACK_FAILED) != 0) {
        socket->is_connecting = false;
        return pd_error(adapter, socket);
    }
    if (ewi_net_tcp_info(adapter->net, socket->stream, &info) == 0 &&
        (info.state == NET_TCP_SYN_SENT || info.state == NET_TCP_SYN_RECEIVED))
        return -EINPROGRESS;
    socket->is_connecting = false;
    return 0;
}

int pd_connect(struct adapter *adapter, struct pd_socket *socket, const struct stack_addr *remote)
{
    bool was_connecting = socket->is_connecting;
    int code;

    if (socket->kind == PD_UDP) {
        socket->remote = *remote;
        socket->is_udp_connected = true;
        return pd_udp_open(adapter, socket);
    }
    if (socket->kind == PD_LISTENER || (socket->kind == PD_STREAM && !was_connecting))
        return -EISCONN;
    if (socket->kind != PD_TCP && socket->kind != PD_STREAM)
        return -EINVAL;
    if (socket->kind == PD_TCP && (code = start_connect(adapter, socket, remote)) != 0)
        return code;
    while ((code = connect_result(adapter, socket)) == -EINPROGRESS) {
        if (socket->is_nonblock)
            return was_connecting ? -EALREADY : -EINPROGRESS;
        if (!pd_wait(adapter, NET_NEVER))
            return -EDEADLK; /* nothing will ever happen */
        if (!socket->is_open)
            return -EBADF;
    }
    return code;
}

int pd_udp_open(struct adapter *adapter, struct pd_socket *socket)
{
    struct stack_addr local = socket->local;

    if (socket->stream != 0) { /* its peer is another now */
        ewi_net_udp_close(adapter->net, socket->stream);
        socket->stream = 0;
    }
    local.family = socket->is_udp_connected ? socket->remote.family
                   : local.family != 0      ? local.family
                                            : socket->family;
    return ewi_net_udp_open(adapter->net, &local, socket->is_udp_connected ? &socket->remote : NULL,
                            (uint64_t)(socket - adapter->socket), adapter->now, &socket->stream);
}

int pd_shutdown(struct adapter *adapter, struct pd_socket *socket, int how)
{
    int code = 0;

    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    if (socket->kind != PD_STREAM)
        return -ENOTCONN;
    if (how != SHUT_WR)
        socket->read_shut = true;
    if (how != SHUT_RD && !socket->write_shut) {
        socket->write_shut = true;
        code = ewi_net_shutdown(adapter->net, socket->stream);
    }
    pd_run(adapter);
    return code;
}

/* SO_LINGER: wait until everything is acknowledged; then, or without, the rest happens behind us. */
static int linger(struct adapter *adapter, struct pd_socket *socket)
{
    uint64_t until = adapter->now + (uint64_t)socket->linger_s * PD_SEC;

    if (socket->linger_s <= 0 || socket->is_nonblock)
        return 0;
    ewi_net_shutdown(adapter->net, socket->stream);
    pd_run(adapter);
    while (socket->pieces != NULL && ewi_net_error(adapter->net, socket->stream) == 0)
        if (!pd_wait(adapter, until))
            return -EWOULDBLOCK;
    return 0;
}

int pd_close_fd(struct adapter *adapter, struct pd_socket *socket)
{
    int code = 0;

    if (socket->kind == PD_UDP && socket->stream != 0)
        ewi_net_udp_close(adapter->net, socket->stream);
    if (socket->kind != PD_STREAM && socket->kind != PD_LISTENER) {
        pd_socket_free(socket);
        return 0;
    }
    if (socket->kind == PD_STREAM && !socket->resets)
        code = linger(adapter, socket);
    socket->is_open = false;
    free(socket->peeked); /* bytes that nobody read: RFC 9293 section 3.10.4 */
    socket->resets |= socket->peeked_bytes > 0;
    socket->peeked = NULL;
    if (ewi_net_finish(adapter->net, socket->stream, socket->resets, adapter->now) != 0)
        pd_socket_free(socket);
    pd_run(adapter);
    return code;
}
