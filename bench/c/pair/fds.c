/* What the kernel gives: Unix stream and seqpacket sockets, pipes, TCP.
 *
 * wait=block  blocking calls; a server of many links asks epoll which of them has something
 * wait=spin   non-blocking calls until it is done
 * wait=epoll  epoll_wait, then a non-blocking call; who has no room to send waits by poll, which
 *             costs a receiver nothing
 *
 * Buffers are as the kernel makes them. A message of a stream has the length that both know. Unix
 * sockets and pipes are made before the fork, so there is no name to leave behind.
 *
 * Options of tcp: bind=HOST of the server, an address (127.0.0.1); busy_poll=US, SO_BUSY_POLL of
 * both sides.
 */
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench/c/pair/pair.h"

enum { SEQPACKET_RESERVE = 32, EVENTS = 64 }; /* unix_dgram_sendmsg: SO_SNDBUF - 32 */

struct fd_link {
    int in, out;
    size_t have; /* of the message that recv_each is about */
};

struct fds {
    struct fd_link *link;
    bool is_socket, is_stream;
    int epoll; /* of every `in`; -1: not used */
};

static struct fds fds;

/* ---- calls ---- */

static bool shall_retry(const struct pair *pair)
{
    if (errno == EINTR || (errno == EAGAIN && pair->wait != PAIR_BLOCK))
        return true;
    pair_fail("%s: %s", pair->system->name, strerror(errno));
}

/* Some bytes, or 0: not now. */
static size_t give(const struct pair *pair, int fd, const uint8_t *data, size_t bytes)
{
    ssize_t now = fds.is_socket ? send(fd, data, bytes, MSG_NOSIGNAL) : write(fd, data, bytes);

    if (now < 0 && shall_retry(pair))
        return 0;
    return (size_t)now;
}

static size_t take(const struct pair *pair, int fd, uint8_t *data, size_t bytes)
{
    const int flags = pair->wait == PAIR_BLOCK ? MSG_WAITALL : 0;
    ssize_t now = fds.is_socket ? recv(fd, data, bytes, flags) : read(fd, data, bytes);

    if (now == 0)
        pair_fail("%s: the other end is gone", pair->system->name);
    if (now < 0 && shall_retry(pair))
        return 0;
    if (!fds.is_stream && (size_t)now != bytes)
        pair_fail("%s: %zd B of %zu", pair->system->name, now, bytes);
    return (size_t)now;
}

static int wait_any(struct epoll_event *events, int room)
{
    int found = epoll_wait(fds.epoll, events, room, -1);

    if (found < 0 && errno != EINTR)
        pair_fail("epoll_wait: %s", strerror(errno));
    return found < 0 ? 0 : found;
}

static void wait_for_room(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLOUT};

    if (poll(&one, 1, -1) < 0 && errno != EINTR)
        pair_fail("poll: %s", strerror(errno));
}

static void fd_send(struct pair *pair, uint32_t link, const uint8_t *data, size_t bytes)
{
    const int fd = fds.link[link].out;
    size_t done = give(pair, fd, data, bytes);

    while (done < bytes) {
        if (pair->wait == PAIR_EPOLL)
            wait_for_room(fd);
        done += give(pair, fd, data + done, bytes - done);
    }
}

static void fd_recv(struct pair *pair, uint32_t link, uint8_t *data, size_t bytes)
{
    struct epoll_event event;

    for (size_t have = 0; have < bytes;) {
        if (pair->wait == PAIR_EPOLL && wait_any(&event, 1) == 0)
            continue;
        have += take(pair, fds.link[link].in, data + have, bytes - have);
    }
}

/* ---- many links ---- */

static void recv_ready(struct pair *pair, size_t bytes, bool is_answered)
{
    struct epoll_event events[EVENTS];
    uint32_t left = pair->links;

    for (uint32_t link = 0; link < pair->links; link++)
        fds.link[link].have = 0;
    while (left > 0) {
        int found = wait_any(events, EVENTS);

        for (int i = 0; i < found; i++) {
            uint32_t which = events[i].data.u32;
            struct fd_link *link = &fds.link[which];

            link->have += take(pair, link->in, pair->sink + link->have, bytes - link->have);
            if (link->have < bytes)
                continue;
            if (is_answered)
                fd_send(pair, which, pair->source, bytes);
            left -= 1;
            pair->progress += 1;
        }
    }
}

static void fd_recv_each(struct pair *pair, size_t bytes, bool is_answered)
{
    if (fds.epoll >= 0) {
        recv_ready(pair, bytes, is_answered);
        return;
    }
    for (uint32_t link = 0; link < pair->links; link++) {
        fd_recv(pair, link, pair->sink, bytes);
        if (is_answered)
            fd_send(pair, link, pair->source, bytes);
        pair->progress += 1;
    }
}

/* ---- opening ---- */

static const char *fd_prepare(struct pair *pair, size_t bytes)
{
    int room = 0;
    socklen_t room_bytes = sizeof(room);

    (void)pair;
    if (fds.is_stream)
        return NULL;
    DUO_CHECK(getsockopt(fds.link[0].out, SOL_SOCKET, SO_SNDBUF, &room, &room_bytes) == 0);
    if (bytes <= (size_t)(room - SEQPACKET_RESERVE))
        return NULL;
    return pair_text("a message of %zu B; the kernel's SO_SNDBUF lets %d through", bytes,
                     room - SEQPACKET_RESERVE);
}

static void watch_links(const struct pair *pair)
{
    const bool is_many = pair->links > 1 && pair->duo.is_peer && pair->wait == PAIR_BLOCK;

    fds.epoll = -1;
    if (!is_many && pair->wait != PAIR_EPOLL)
        return;
    DUO_CHECK((fds.epoll = epoll_create1(EPOLL_CLOEXEC)) >= 0);
    for (uint32_t link = 0; link < pair->links; link++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = link};

        DUO_CHECK(epoll_ctl(fds.epoll, EPOLL_CTL_ADD, fds.link[link].in, &event) == 0);
    }
}

static void finish_links(struct pair *pair)
{
    static const char *const how[] = {"", "non-blocking calls", "blocking calls", "epoll_wait"};

    for (uint32_t link = 0; link < pair->links && pair->wait != PAIR_BLOCK; link++) {
        DUO_CHECK(fcntl(fds.link[link].in, F_SETFL, O_NONBLOCK) == 0);
        DUO_CHECK(fcntl(fds.link[link].out, F_SETFL, O_NONBLOCK) == 0);
    }
    watch_links(pair);
    snprintf(pair->detail, sizeof(pair->detail), "%s", how[pair->wait]);
}

static void new_links(const struct pair *pair, bool is_socket, bool is_stream)
{
    fds = (struct fds){.is_socket = is_socket, .is_stream = is_stream};
    fds.link = calloc(2 * (size_t)pair->links, sizeof(*fds.link)); /* of client, then of server */
    DUO_CHECK(fds.link != NULL);
}

static void made(bool is_made, uint32_t link)
{
    if (!is_made)
        pair_fail("link %u: %s", link, strerror(errno));
}

static void create_sockets(const struct pair *pair, int type)
{
    for (uint32_t link = 0; link < pair->links; link++) {
        int both[2];

        made(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, both) == 0, link);
        fds.link[link] = (struct fd_link){.in = both[0], .out = both[0]};
        fds.link[link + pair->links] = (struct fd_link){.in = both[1], .out = both[1]};
    }
}

static void create_stream(struct pair *pair)
{
    new_links(pair, true, true);
    create_sockets(pair, SOCK_STREAM);
}

static void create_seqpacket(struct pair *pair)
{
    new_links(pair, true, false);
    create_sockets(pair, SOCK_SEQPACKET);
}

static void create_pipes(struct pair *pair)
{
    new_links(pair, false, true);
    for (uint32_t link = 0; link < pair->links; link++) {
        int there[2], back[2];

        made(pipe2(there, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC) == 0, link);
        fds.link[link] = (struct fd_link){.in = back[0], .out = there[1]};
        fds.link[link + pair->links] = (struct fd_link){.in = there[0], .out = back[1]};
    }
}

static void close_links(const struct fd_link *first, uint32_t count)
{
    for (uint32_t link = 0; link < count; link++) {
        close(first[link].in);
        if (first[link].out != first[link].in)
            close(first[link].out);
    }
}

/* What was made before the fork: keep one half. */
static const char *open_half(struct pair *pair)
{
    struct fd_link *half = fds.link + pair->links;

    close_links(pair->duo.is_peer ? fds.link : half, pair->links);
    if (pair->duo.is_peer)
        memcpy(fds.link, half, pair->links * sizeof(*half));
    finish_links(pair);
    return NULL;
}

static void fd_close(struct pair *pair)
{
    if (fds.link != NULL)
        close_links(fds.link, pair->links);
}

/* ---- TCP ---- */

struct door { /* of the server */
    struct sockaddr_storage at;
    socklen_t at_bytes;
    int busy_us; /* -1: no busy polling */
};

static struct door door;

static const char *set_options(int fd)
{
    const int on = 1;

    DUO_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    if (door.busy_us < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &door.busy_us, sizeof(door.busy_us)) == 0)
        return NULL;
    return pair_text("SO_BUSY_POLL of %d us: %s", door.busy_us, strerror(errno));
}

/* Options are refused before there are two to do it. */
static void create_tcp(struct pair *pair)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    const char *host = pair_option(pair, "bind", "127.0.0.1");
    const char *us = pair_option(pair, "busy_poll", NULL);
    struct addrinfo *found;

    new_links(pair, true, true);
    door.busy_us = us != NULL ? (int)pair_number("busy_poll", us, 0, INT32_MAX) : -1;
    if (getaddrinfo(host, NULL, &want, &found) != 0)
        pair_refuse("bind='%s': want an address", host);
    door.at_bytes = found->ai_addrlen;
    memcpy(&door.at, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
}

static int new_socket(void)
{
    int fd = socket(door.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    made(fd >= 0, 0);
    return fd;
}

static const char *accept_all(struct pair *pair)
{
    struct sockaddr *at = (struct sockaddr *)&door.at;
    const char *why = NULL;
    int listener = new_socket();

    if (bind(listener, at, door.at_bytes) != 0 || listen(listener, SOMAXCONN) != 0 ||
        getsockname(listener, at, &door.at_bytes) != 0)
        why = pair_text("bind: %s", strerror(errno));
    memcpy(pair->duo.shared->text, at, door.at_bytes);
    why = pair_agree(pair, why);
    for (uint32_t link = 0; link < pair->links && why == NULL; link++) {
        int fd = accept(listener, NULL, NULL);

        made(fd >= 0, link);
        fds.link[link] = (struct fd_link){.in = fd, .out = fd};
        why = set_options(fd);
    }
    close(listener);
    return why;
}

static const char *connect_all(struct pair *pair)
{
    struct sockaddr *at = (struct sockaddr *)&door.at;
    const char *why = pair_agree(pair, NULL);

    memcpy(at, pair->duo.shared->text, door.at_bytes);
    for (uint32_t link = 0; link < pair->links && why == NULL; link++) {
        int fd = new_socket();

        if (connect(fd, at, door.at_bytes) != 0)
            pair_fail("connect: %s", strerror(errno));
        fds.link[link] = (struct fd_link){.in = fd, .out = fd};
        why = set_options(fd);
    }
    return why;
}

static const char *open_tcp(struct pair *pair)
{
    const char *why = (pair->duo.is_peer ? accept_all : connect_all)(pair);
    size_t used;

    if (why != NULL)
        return why;
    finish_links(pair);
    used = strlen(pair->detail);
    if (door.busy_us >= 0)
        snprintf(pair->detail + used, sizeof(pair->detail) - used, ", SO_BUSY_POLL %d us",
                 door.busy_us);
    return NULL;
}

/* What the kernel counts for a short message is more than its bytes. */
static const char *fd_hold(struct pair *pair, size_t bytes)
{
    enum { ANSWER_BYTES = 1024 };
    const uint64_t wanted = pair->order.in_flight * (bytes + ANSWER_BYTES);
    const int half = (int)ewi_min_u64(wanted / 2 + 1, INT32_MAX), fd = fds.link[0].out;
    int have = 0;
    socklen_t room = sizeof(have);

    if (!fds.is_socket)
        return pair_text("%s has no window", pair->system->name);
    DUO_CHECK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &have, &room) == 0);
    if ((uint64_t)have < wanted) { /* it takes twice as much as it is told */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &half, sizeof(half)) != 0)
            DUO_CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof(half)) == 0);
        DUO_CHECK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &have, &room) == 0);
    }
    if ((uint64_t)have < wanted)
        return pair_text("%" PRIu64 " answers need %" PRIu64 " B, the kernel has %d",
                         pair->order.in_flight, wanted, have);
    return NULL;
}

#define FDS(title, own, before, after)                                                             \
    {                                                                                              \
        .name = (title), .options = (own),                                                         \
        .waits = 1u << PAIR_BLOCK | 1u << PAIR_SPIN | 1u << PAIR_EPOLL, .works = UINT32_MAX,       \
        .version = pair_kernel, .create = (before), .open = (after), .prepare = fd_prepare,        \
        .hold = fd_hold, .send = fd_send, .recv = fd_recv, .recv_each = fd_recv_each,              \
        .close = fd_close                                                                          \
    }

const struct pair_system pair_unix_stream = FDS("unix-stream", "", create_stream, open_half);
const struct pair_system pair_unix_seqpacket =
    FDS("unix-seqpacket", "", create_seqpacket, open_half);
const struct pair_system pair_pipe = FDS("pipe", "", create_pipes, open_half);
const struct pair_system pair_tcp = FDS("tcp", " bind busy_poll ", create_tcp, open_tcp);
