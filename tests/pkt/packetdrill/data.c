/* Send and receive. What is sent is copied: the stack wants its memory unchanged until the peer has
 * acknowledged it, a program takes its buffer back at once. */
#include "tests/pkt/packetdrill/adapter.h"

static size_t total(const struct iovec *vec, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += vec[i].iov_len;
    return bytes;
}

/* ---- send ---- */

static struct pd_piece *gather(const struct iovec *spans, size_t count, size_t bytes)
{
    struct pd_piece *piece = malloc(sizeof(*piece) + bytes);
    size_t at = 0;

    if (piece == NULL)
        return NULL;
    for (size_t i = 0; i < count; at += spans[i++].iov_len)
        if (spans[i].iov_len != 0)
            memcpy(piece->bytes + at, spans[i].iov_base, spans[i].iov_len);
    return piece;
}

static void keep_piece(struct pd_socket *socket, struct pd_piece *piece)
{
    piece->next = NULL;
    piece->end = socket->sent;
    *socket->pieces_end = piece;
    socket->pieces_end = &piece->next;
}

/* Until all is taken, or as much as is without waiting. The piece is the stack's then. */
static ssize_t send_piece(struct adapter *adapter, struct pd_socket *socket, struct pd_piece *piece,
                          size_t bytes, bool is_nonblock)
{
    ssize_t taken = 0;
    int64_t code = 0;

    while ((size_t)taken < bytes) {
        struct stack_span span = {piece->bytes + taken, bytes - (size_t)taken};

        code = ewi_net_send(adapter->net, socket->stream, &span, 1);
        if (code > 0) {
            taken += code;
            socket->sent += (uint64_t)code;
            pd_run(adapter);
        } else if (code != -EAGAIN || is_nonblock || !pd_wait(adapter, NET_NEVER) ||
                   !socket->is_open) {
            break;
        }
    }
    return taken > 0 ? taken : (ssize_t)code;
}

static ssize_t send_stream(struct adapter *adapter, struct pd_socket *socket,
                           const struct iovec *spans, size_t count, int flags)
{
    size_t bytes = total(spans, count);
    struct pd_piece *piece;
    ssize_t taken;
    int error;

    if (socket->kind != PD_STREAM)
        return -EPIPE;
    if ((error = pd_error(adapter, socket)) != 0)
        return error;
    if (socket->write_shut || ewi_net_error(adapter->net, socket->stream) != 0)
        return -EPIPE;
    if ((flags & MSG_OOB) != 0)
        return -EOPNOTSUPP;
    if (bytes == 0)
        return 0;
    if (!socket->is_corked) /* MSG_MORE: a cork until the next send without it */
        ewi_net_set(adapter->net, socket->stream, NET_OPTION_CORK, (flags & MSG_MORE) != 0);
    piece = gather(spans, count, bytes);
    if (piece == NULL)
        return -ENOMEM;
    taken = send_piece(adapter, socket, piece, bytes,
                       socket->is_nonblock || (flags & MSG_DONTWAIT) != 0);
    if (taken > 0 && socket->kind == PD_STREAM) /* nobody closed it meanwhile */
        keep_piece(socket, piece);
    else
        free(piece);
    pd_run(adapter);
    return taken;
}

static ssize_t send_datagram(struct adapter *adapter, struct pd_socket *socket,
                             const struct iovec *spans, size_t count, const struct stack_addr *to)
{
    size_t bytes = total(spans, count);
    struct net_datagram datagram = {.bytes = (uint32_t)bytes};
    struct pd_piece *piece;
    int code;

    if (to == NULL && !socket->is_udp_connected)
        return -EDESTADDRREQ;
    if (bytes > PD_ROOM_BYTES)
        return -EMSGSIZE;
    if (socket->stream == 0 && (code = pd_udp_open(adapter, socket)) != 0)
        return code;
    piece = gather(spans, count, bytes);
    if (piece == NULL)
        return -ENOMEM;
    datagram.remote = to != NULL ? *to : socket->remote;
    datagram.data = piece->bytes;
    code = ewi_net_udp_send(adapter->net, socket->stream, &datagram, adapter->now);
    free(piece);
    pd_run(adapter);
    return code != 0 ? code : (ssize_t)bytes;
}

ssize_t pd_send(struct adapter *adapter, struct pd_socket *socket, const struct iovec *spans,
                size_t count, int flags, const struct stack_addr *to)
{
    if (socket->kind == PD_UDP)
        return send_datagram(adapter, socket, spans, count, to);
    if (socket->kind == PD_EPOLL)
        return -EINVAL;
    return send_stream(adapter, socket, spans, count, flags);
}

/* ---- receive ---- */

/* Bytes from `from`, which are those behind `skip`, into the rooms. */
static size_t scatter(const struct iovec *rooms, size_t count, size_t skip, const uint8_t *from,
                      size_t bytes)
{
    size_t done = 0;

    for (size_t i = 0; i < count && done < bytes; i++) {
        size_t part = rooms[i].iov_len;

        if (skip >= part) {
            skip -= part;
            continue;
        }
        part -= skip;
        part = part < bytes - done ? part : bytes - done;
        memcpy((uint8_t *)rooms[i].iov_base + skip, from + done, part);
        done += part;
        skip = 0;
    }
    return done;
}

/* At least `wanted` bytes are taken from the stack, if they are there; 0: FIN, or -errno. */
static int64_t look_ahead(struct adapter *adapter, struct pd_socket *socket, size_t wanted)
{
    uint8_t *more;
    struct stack_room room;
    int64_t got;

    if (socket->peeked_bytes >= wanted)
        return (int64_t)wanted;
    more = realloc(socket->peeked, wanted);
    if (more == NULL)
        return -ENOMEM;
    socket->peeked = more;
    room = (struct stack_room){more + socket->peeked_bytes, wanted - socket->peeked_bytes};
    got = ewi_net_recv_into(adapter->net, socket->stream, &room, 1);
    if (got > 0)
        socket->peeked_bytes += (size_t)got;
    return got;
}

static ssize_t take(struct pd_socket *socket, const struct iovec *rooms, size_t count, size_t skip,
                    size_t wanted, int flags)
{
    size_t bytes = socket->peeked_bytes < wanted ? socket->peeked_bytes : wanted;

    if ((flags & MSG_TRUNC) == 0)
        scatter(rooms, count, skip, socket->peeked, bytes);
    if ((flags & MSG_PEEK) == 0) {
        socket->peeked_bytes -= bytes;
        memmove(socket->peeked, socket->peeked + bytes, socket->peeked_bytes);
    }
    return (ssize_t)bytes;
}

static ssize_t recv_stream(struct adapter *adapter, struct pd_socket *socket,
                           const struct iovec *rooms, size_t count, int flags)
{
    size_t wanted = total(rooms, count);
    bool is_nonblock = socket->is_nonblock || (flags & MSG_DONTWAIT) != 0;
    ssize_t done = 0;
    int64_t got = 0;

    if (socket->kind != PD_STREAM || socket->is_connecting)
        return -ENOTCONN;
    if ((flags & (MSG_OOB | MSG_ERRQUEUE)) != 0)
        return (flags & MSG_OOB) != 0 ? -EINVAL : -EAGAIN;
    if (socket->read_shut || wanted == 0)
        return 0;
    while ((size_t)done < wanted) {
        got = look_ahead(adapter, socket, wanted - (size_t)done);
        if (socket->peeked_bytes > 0) {
            done += take(socket, rooms, count, (size_t)done, wanted - (size_t)done, flags);
            pd_run(adapter); /* the window may have opened */
            if ((flags & MSG_WAITALL) == 0 || (flags & MSG_PEEK) != 0)
                break;
        } else if (got == 0 || (got < 0 && got != -EAGAIN) || is_nonblock ||
                   !pd_wait(adapter, NET_NEVER) || !socket->is_open) {
            break;
        }
    }
    if (done > 0 || got == 0)
        return done;
    if (got == -EAGAIN)
        return is_nonblock ? -EAGAIN : -EDEADLK;
    return pd_error(adapter, socket); /* once; then 0 */
}

static ssize_t recv_datagram(struct adapter *adapter, struct pd_socket *socket,
                             const struct iovec *rooms, size_t count, int flags,
                             struct stack_addr *from)
{
    struct net_datagram datagram;
    size_t bytes;
    int code;

    if (socket->stream == 0 && (code = pd_udp_open(adapter, socket)) != 0)
        return code;
    while ((code = ewi_net_udp_recv(adapter->net, socket->stream, &datagram)) == -EAGAIN)
        if (socket->is_nonblock || (flags & MSG_DONTWAIT) != 0 || !pd_wait(adapter, NET_NEVER))
            return -EAGAIN;
    if (code != 0)
        return code;
    bytes = scatter(rooms, count, 0, datagram.data, datagram.bytes);
    if ((flags & MSG_TRUNC) != 0)
        bytes = datagram.bytes;
    if (from != NULL)
        *from = datagram.remote;
    ewi_net_udp_release(adapter->net, &datagram);
    return (ssize_t)bytes;
}

ssize_t pd_recv(struct adapter *adapter, struct pd_socket *socket, const struct iovec *rooms,
                size_t count, int flags, struct stack_addr *from)
{
    if (socket->kind == PD_UDP)
        return recv_datagram(adapter, socket, rooms, count, flags, from);
    if (socket->kind == PD_EPOLL)
        return -EINVAL;
    if (from != NULL)
        *from = socket->remote;
    return recv_stream(adapter, socket, rooms, count, flags);
}
