/* tests/pkt/packetdrill/adapter.h - a stack, a virtual clock, and the sockets over them.
 *
 * Purpose    What the files of this folder share: packetdrill's calls on top of transport/net.
 * Shape      engine.c   flags, clock, packets in and out, waiting
 *            sockets.c  from socket() to close()
 *            data.c     send and receive        options.c  socket options
 *            ready.c    poll and epoll          table.c    the exported table
 *            A descriptor is FD_BASE + index of a struct pd_socket; the base is far above those that
 *            a process gets from its kernel.
 * Owner      struct adapter, one per init; a socket's record lives until its stream is CLOSED, because
 *            what was sent lies in it
 * Threads    two; every entry of the table takes `lock`. A call that blocks waits on `changed`,
 *            which is signalled whenever time or a packet has moved the stack.
 * Trust      none: test code only
 * Errors     -1 and errno, at the table; functions between the files return -errno
 * Invariants I1  time moves from one deadline of the stack to the next, so that each packet bears
 *                the time at which it really left.
 * Ordering   the lock
 * Source     transport/net/net.h; POSIX.1-2017 for the calls, tcp(7) where Linux has its own
 */
#ifndef TESTS_PKT_PACKETDRILL_ADAPTER_H
#define TESTS_PKT_PACKETDRILL_ADAPTER_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pkt/packetdrill/abi.h"
#include "transport/net/block.h"
#include "transport/net/net.h"

enum {
    FD_BASE = 1 << 24,
    PD_SOCKETS = 256,
    PD_OPTIONS = 16,
    PD_FRAMES = 1024,
    PD_ROOM_BYTES = 65536,
    PD_WATCHED = 64,
    PD_IOVS = 1024,
};

#define PD_MS  UINT64_C(1000000)
#define PD_SEC UINT64_C(1000000000)

enum pd_kind { PD_FREE, PD_TCP, PD_LISTENER, PD_STREAM, PD_UDP, PD_EPOLL };

struct pd_piece { /* accepted by the stack and not yet released */
    struct pd_piece *next;
    uint64_t end;
    uint8_t bytes[];
};

struct pd_frame {
    uint64_t at;
    uint32_t bytes;
    uint8_t *packet;
};

struct pd_watched { /* of an epoll descriptor */
    int fd;
    uint32_t reported; /* for EPOLLET */
    struct epoll_event event;
};

struct pd_socket {
    enum pd_kind kind;
    bool is_open;     /* there is a descriptor; else the stream still ends */
    bool is_nonblock, is_connecting, error_taken, read_shut, write_shut, resets, is_corked;
    uint8_t family;
    struct stack_addr local, remote; /* bind's; connect's of UDP */
    bool is_bound, is_udp_connected;
    ewi_stream stream;
    int linger_s, keepalive, keepidle_s;
    struct {
        enum net_option option;
        uint64_t value;
    } set[PD_OPTIONS]; /* before there is a stream */
    uint32_t sets;
    struct pd_piece *pieces, **pieces_end;
    uint64_t sent;
    uint8_t *peeked; /* taken from the stack, not yet by the program */
    size_t peeked_bytes;
    struct pd_watched *watched;
    uint32_t watches;
};

struct adapter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t changes; /* calls of other threads that may have moved something */
    struct ewi_net *net;
    void *memory;
    uint64_t now;
    struct pd_socket socket[PD_SOCKETS];
    struct pd_frame frame[PD_FRAMES]; /* from first on */
    uint32_t frame_first, frames;
    uint8_t *room;
    uint64_t patience_ns; /* of real time, for a call that nothing will ever end */
};

/* ---- engine.c ---- */

int pd_open(const char *flags, struct adapter **out);
void pd_close(struct adapter *adapter);
/* Time passes up to `to`: all that is due on the way happens when it is due. */
void pd_advance(struct adapter *adapter, uint64_t to);
/* After every call that may have made the stack send or report something. */
void pd_run(struct adapter *adapter);
/* Sleep until something changed. until: of virtual time; false: it has come, or patience is over. */
bool pd_wait(struct adapter *adapter, uint64_t until);
int pd_packet_in(struct adapter *adapter, const void *packet, size_t bytes);
int pd_packet_out(struct adapter *adapter, void *packet, size_t *bytes, long long *time_us);
bool pd_address_is_ours(struct adapter *adapter, const struct stack_addr *address);
int pd_address_add(struct adapter *adapter, const struct stack_addr *address);

/* ---- sockets.c ---- */

struct pd_socket *pd_socket_of(struct adapter *adapter, int fd); /* NULL: not ours */
int pd_fd_of(const struct adapter *adapter, const struct pd_socket *socket);
struct pd_socket *pd_socket_new(struct adapter *adapter, enum pd_kind kind);
void pd_socket_free(struct pd_socket *socket);
int pd_addr_in(const struct sockaddr *address, socklen_t bytes, struct stack_addr *out);
void pd_addr_out(const struct stack_addr *address, struct sockaddr *out, socklen_t *bytes);
int pd_socket(struct adapter *adapter, int domain, int type, int protocol);
int pd_bind(struct adapter *adapter, struct pd_socket *socket, const struct stack_addr *address);
int pd_listen(struct adapter *adapter, struct pd_socket *socket, int backlog);
int pd_accept(struct adapter *adapter, struct pd_socket *socket, struct sockaddr *address,
              socklen_t *bytes);
int pd_connect(struct adapter *adapter, struct pd_socket *socket, const struct stack_addr *remote);
int pd_shutdown(struct adapter *adapter, struct pd_socket *socket, int how);
int pd_close_fd(struct adapter *adapter, struct pd_socket *socket);
int pd_udp_open(struct adapter *adapter, struct pd_socket *socket);
/* Of a stream that failed: its error once, then 0. */
int pd_error(struct adapter *adapter, struct pd_socket *socket);
/* Memory of what the peer has acknowledged. */
void pd_release(struct adapter *adapter, struct pd_socket *socket, uint64_t released);

/* ---- data.c: bytes, or -errno ---- */

ssize_t pd_send(struct adapter *adapter, struct pd_socket *socket, const struct iovec *spans,
                size_t count, int flags, const struct stack_addr *to);
ssize_t pd_recv(struct adapter *adapter, struct pd_socket *socket, const struct iovec *rooms,
                size_t count, int flags, struct stack_addr *from);

/* ---- options.c ---- */

int pd_setsockopt(struct adapter *adapter, struct pd_socket *socket, int level, int name,
                  const void *value, socklen_t bytes);
int pd_getsockopt(struct adapter *adapter, struct pd_socket *socket, int level, int name, void *value,
                  socklen_t *bytes);
int pd_ioctl(struct adapter *adapter, struct pd_socket *socket, unsigned long request, int *value);
/* What was set before there was a stream becomes the default of new ones, and is taken back. */
void pd_options_begin(struct adapter *adapter, struct pd_socket *socket, uint64_t saved[PD_OPTIONS]);
void pd_options_end(struct adapter *adapter, struct pd_socket *socket,
                    const uint64_t saved[PD_OPTIONS]);

/* ---- ready.c ---- */

uint32_t pd_ready(struct adapter *adapter, struct pd_socket *socket); /* POLLIN .. */
int pd_poll(struct adapter *adapter, struct pollfd *fds, nfds_t count, int timeout_ms);
int pd_epoll_ctl(struct adapter *adapter, struct pd_socket *epoll, int operation, int fd,
                 struct epoll_event *event);
int pd_epoll_wait(struct adapter *adapter, struct pd_socket *epoll, struct epoll_event *events,
                  int count, int timeout_ms);

#endif
