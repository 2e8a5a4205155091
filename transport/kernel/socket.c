#include "transport/kernel/socket.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SOCKET_SPANS_MAX = 8,
    SOCKET_NOTSENT_BYTES = 128 << 10,
    KEEP_SECONDS_MAX = 15,
    KEEP_PROBES = 4,
    NS_PER_MS = 1000 * 1000,
    NS_PER_S = 1000 * NS_PER_MS,
};

union sockaddr_any {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
};

/* ---- addresses ---- */

static int to_sockaddr(const struct stack_addr *addr, union sockaddr_any *out, socklen_t *bytes)
{
    memset(out, 0, sizeof(*out));
    if (addr->family == 4) {
        out->ip4.sin_family = AF_INET;
        out->ip4.sin_port = htons(addr->port);
        memcpy(&out->ip4.sin_addr, addr->ip, 4);
        *bytes = sizeof(out->ip4);
        return 0;
    }
    if (addr->family == 6) {
        out->ip6.sin6_family = AF_INET6;
        out->ip6.sin6_port = htons(addr->port);
        out->ip6.sin6_scope_id = addr->scope;
        memcpy(&out->ip6.sin6_addr, addr->ip, 16);
        *bytes = sizeof(out->ip6);
        return 0;
    }
    return -EAFNOSUPPORT;
}

static void from_sockaddr(const union sockaddr_any *from, struct stack_addr *out)
{
    *out = (struct stack_addr){0};
    if (from->any.sa_family == AF_INET) {
        out->family = 4;
        out->port = ntohs(from->ip4.sin_port);
        memcpy(out->ip, &from->ip4.sin_addr, 4);
    } else {
        out->family = 6;
        out->port = ntohs(from->ip6.sin6_port);
        out->scope = from->ip6.sin6_scope_id;
        memcpy(out->ip, &from->ip6.sin6_addr, 16);
    }
}

int ewi_socket_local(int fd, struct stack_addr *out)
{
    union sockaddr_any name;
    socklen_t bytes = sizeof(name);

    if (getsockname(fd, &name.any, &bytes) < 0)
        return -errno;
    from_sockaddr(&name, out);
    return 0;
}

int ewi_socket_remote(int fd, struct stack_addr *out)
{
    union sockaddr_any name;
    socklen_t bytes = sizeof(name);

    if (getpeername(fd, &name.any, &bytes) < 0)
        return -errno;
    from_sockaddr(&name, out);
    return 0;
}

/* ---- errors ---- */

int ewi_socket_error(struct slot *slot)
{
    return atomic_load_explicit(&slot->error, memory_order_relaxed); /* just a number */
}

int ewi_socket_fail(struct slot *slot, int error)
{
    int none = 0;

    if (atomic_compare_exchange_strong_explicit(&slot->error, &none, error,
                                                memory_order_relaxed,  /* just a number */
                                                memory_order_relaxed)) /* just a number */
        return error;
    return none;
}

int ewi_socket_fetch_error(struct slot *slot)
{
    int error = ewi_socket_error(slot);
    socklen_t bytes = sizeof(error);

    if (error != 0)
        return error;
    if (getsockopt(ewi_socket_fd(slot), SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        error = errno;
    return error != 0 ? ewi_socket_fail(slot, -error) : ewi_socket_error(slot);
}

bool ewi_socket_may_believe(struct slot *slot)
{
    return ewi_slots_is_alone(slot) || ewi_socket_error(slot) != 0;
}

/* A send or receive failed. EPIPE and ENOTCONN mean that somebody else was told the reason. */
static int failed_with(struct slot *slot, int error)
{
    if (error == EAGAIN || error == EINTR)
        return ewi_socket_error(slot) != 0 ? ewi_socket_error(slot) : -EAGAIN;
    if ((error == EPIPE || error == ENOTCONN) && !ewi_socket_may_believe(slot))
        return -EAGAIN;
    return ewi_socket_fail(slot, -error);
}

/* A socket connected to itself (simultaneous open, RFC 9293 section 3.5) found no listener. */
int ewi_socket_settle(struct slot *slot)
{
    struct stack_addr local, remote;
    int error = ewi_socket_fetch_error(slot);

    if (error != 0)
        return error;
    if (ewi_socket_remote(ewi_socket_fd(slot), &remote) == 0 &&
        ewi_socket_local(ewi_socket_fd(slot), &local) == 0) {
        if (memcmp(&local, &remote, sizeof(local)) == 0)
            return ewi_socket_fail(slot, -ECONNREFUSED);
        atomic_store_explicit(&slot->phase, SLOT_CONNECTED,
                              memory_order_relaxed); /* orders nothing */
        return 1;
    }
    return ewi_socket_may_believe(slot) ? ewi_socket_fail(slot, -ENOTCONN) : 0;
}

/* ---- making ---- */

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int ewi_socket_set_options(int fd)
{
    int result = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);

    if (result < 0)
        return result;
    return set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, SOCKET_NOTSENT_BYTES);
}

void ewi_socket_keep_alive(int fd, uint64_t silence_ns)
{
    int seconds = (int)ewi_min_u64(silence_ns / NS_PER_S, KEEP_SECONDS_MAX);
    int interval = seconds < KEEP_PROBES ? 1 : seconds / KEEP_PROBES;

    if (seconds == 0)
        return;
    /* Without them a vanished peer is noticed later: no reason to refuse the stream. */
    (void)set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
    (void)set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval);
    (void)set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, seconds / interval);
    (void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* tcpi_retransmits and tcpi_probes count what was repeated or asked since the last answer. A peer with
 * a closed window answers, however far apart we ask. */
enum stack_silence ewi_socket_silence(struct slot *slot, uint64_t *since_ns)
{
    struct tcp_info info;
    socklen_t bytes = sizeof(info);
    int queued = 0;

    *since_ns = 0;
    if (getsockopt(ewi_socket_fd(slot), IPPROTO_TCP, TCP_INFO, &info, &bytes) < 0)
        return STACK_QUIET;
    if (info.tcpi_retransmits > 0 || info.tcpi_probes > 0) {
        *since_ns = (uint64_t)info.tcpi_last_ack_recv * NS_PER_MS;
        return STACK_REPEATS;
    }
    if (ioctl(ewi_socket_fd(slot), SIOCOUTQ, &queued) < 0 || queued == 0)
        return STACK_QUIET;
    return STACK_WAITS;
}

static int make_socket(const struct stack_addr *addr, int *out)
{
    int fd = socket(addr->family == 4 ? AF_INET : AF_INET6,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    int result;

    if (fd < 0)
        return -errno;
    result = ewi_socket_set_options(fd);
    if (result == 0 && addr->family == 6)
        result = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (result < 0) {
        close(fd);
        return result;
    }
    *out = fd;
    return 0;
}

static int start_listening(int fd, const struct stack_addr *local, uint32_t backlog)
{
    union sockaddr_any name;
    socklen_t bytes;
    int result = to_sockaddr(local, &name, &bytes);

    if (result == 0)
        result = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (result < 0)
        return result;
    if (bind(fd, &name.any, bytes) < 0)
        return -errno;
    return listen(fd, (int)ewi_min_u64(backlog, INT_MAX)) < 0 ? -errno : 0;
}

/* The port is chosen by connect(2), which knows the peer, so that few addresses go a long way. */
static int bind_local(int fd, const struct stack_addr *local)
{
    union sockaddr_any name;
    socklen_t bytes;
    int result = to_sockaddr(local, &name, &bytes);

    if (result == 0 && local->port == 0)
        result = set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (result < 0)
        return result;
    return bind(fd, &name.any, bytes) < 0 ? -errno : 0;
}

int ewi_socket_listen(const struct stack_addr *local, uint32_t backlog, int *out)
{
    int fd, result;

    if (local->family != 4 && local->family != 6)
        return -EAFNOSUPPORT;
    result = make_socket(local, &fd);
    if (result < 0)
        return result;
    result = start_listening(fd, local, backlog);
    if (result < 0) {
        close(fd);
        return result;
    }
    *out = fd;
    return 0;
}

int ewi_socket_connect(const struct stack_addr *local, const struct stack_addr *remote, int *out)
{
    union sockaddr_any name;
    socklen_t bytes;
    int fd, result = to_sockaddr(remote, &name, &bytes);

    if (result == 0 && local != NULL && local->family != remote->family)
        result = -EINVAL;
    if (result == 0)
        result = make_socket(remote, &fd);
    if (result < 0)
        return result;
    if (local != NULL)
        result = bind_local(fd, local);
    if (result == 0 && connect(fd, &name.any, bytes) < 0 && errno != EINPROGRESS)
        result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    *out = fd;
    return 0;
}

/* ---- data ---- */

int64_t ewi_socket_send(struct slot *slot, const struct stack_span *spans, uint32_t count)
{
    struct iovec parts[SOCKET_SPANS_MAX];
    struct msghdr message = {.msg_iov = parts};
    uint64_t sent;
    ssize_t taken;

    if (ewi_socket_error(slot) != 0)
        return ewi_socket_error(slot);
    if (count > SOCKET_SPANS_MAX)
        count = SOCKET_SPANS_MAX;
    for (uint32_t i = 0; i < count; i++)
        parts[i] = (struct iovec){(void *)(uintptr_t)spans[i].base, spans[i].bytes};
    message.msg_iovlen = count;
    taken = sendmsg(ewi_socket_fd(slot), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (taken < 0)
        return failed_with(slot, errno);
    sent = atomic_load_explicit(&slot->sent, memory_order_relaxed) + /* one sender at a time */
           (uint64_t)taken;
    atomic_store_explicit(&slot->sent, sent, memory_order_release); /* K5, pairs with K6 */
    return taken;
}

static ssize_t receive_parts(int fd, const struct stack_room *rooms, uint32_t count)
{
    struct iovec parts[SOCKET_SPANS_MAX];
    struct msghdr message = {.msg_iov = parts};

    if (count > SOCKET_SPANS_MAX)
        count = SOCKET_SPANS_MAX;
    for (uint32_t i = 0; i < count; i++)
        parts[i] = (struct iovec){rooms[i].base, rooms[i].bytes};
    message.msg_iovlen = count;
    return recvmsg(fd, &message, MSG_DONTWAIT);
}

/* What had arrived before an error is still there, and comes first. */
int64_t ewi_socket_receive(struct slot *slot, const struct stack_room *rooms, uint32_t count)
{
    int fd = ewi_socket_fd(slot);
    ssize_t got;

    if (atomic_load_explicit(&slot->is_broken, memory_order_relaxed)) /* a flag */
        return ewi_socket_error(slot) != 0 ? ewi_socket_error(slot) : -EAGAIN;
    if (count == 1) /* the usual one: without a message header for the kernel to copy */
        got = recv(fd, rooms[0].base, rooms[0].bytes, MSG_DONTWAIT);
    else
        got = receive_parts(fd, rooms, count);
    if (got > 0)
        return got;
    if (got < 0)
        return failed_with(slot, errno);
    if (!ewi_socket_may_believe(slot))
        return -EAGAIN;
    return ewi_socket_error(slot);
}

static uint32_t connected_levels(struct slot *slot, short now)
{
    uint32_t bits = 0;

    if (now & (POLLERR | POLLHUP))
        ewi_socket_fetch_error(slot);
    if (now & POLLIN && !atomic_load_explicit(&slot->is_broken, memory_order_relaxed)) /* a hint */
        bits |= STACK_READABLE;
    if (now & (POLLRDHUP | POLLHUP) && !ewi_socket_may_believe(slot))
        return bits | STACK_CONNECTED;
    if (ewi_socket_error(slot) != 0)
        return bits | STACK_FAILED;
    if (now & POLLOUT)
        bits |= STACK_WRITABLE;
    if (now & (POLLRDHUP | POLLHUP))
        bits |= STACK_PEER_FIN;
    return bits | STACK_CONNECTED;
}

uint32_t ewi_socket_levels(struct slot *slot)
{
    struct pollfd look = {.fd = ewi_socket_fd(slot), .events = POLLIN | POLLOUT | POLLRDHUP};
    uint32_t phase = atomic_load_explicit(&slot->phase, memory_order_relaxed); /* orders nothing */
    int settled;

    if (poll(&look, 1, 0) < 0)
        look.revents = 0;
    if (phase == SLOT_LISTENING) {
        if (ewi_socket_error(slot) != 0)
            return STACK_FAILED;
        return look.revents & POLLIN ? STACK_ACCEPT : 0;
    }
    if (phase == SLOT_CONNECTING) {
        if (ewi_socket_error(slot) != 0)
            return STACK_FAILED;
        if ((look.revents & (POLLOUT | POLLERR | POLLHUP)) == 0)
            return 0;
        settled = ewi_socket_settle(slot);
        if (settled != 1)
            return settled < 0 ? STACK_FAILED : 0;
    }
    return connected_levels(slot, look.revents);
}

