/* tests/pkt/packetdrill/abi.h - the table that packetdrill asks a shared object to fill.
 *
 * Purpose    packetdrill --so_filename=X.so replays its scripts against a stack in a shared object.
 * Shape      the object exports packetdrill_interface_init, which fills the table. Every function
 *            takes `userdata` first and is otherwise the system call of its name.
 * Owner      userdata is ours; the tool calls free(userdata) at its end
 * Threads    two: the script, and one more for a call that the script says blocks
 * Trust      none: test code only
 * Errors     as the system calls: -1 and errno; ENOSYS for what is absent
 * Invariants I1  order and types of the fields are the tool's.
 * Ordering   none
 * Source     the tool's documentation of --so_filename; packetdrill is not part of this project
 */
#ifndef TESTS_PKT_PACKETDRILL_ABI_H
#define TESTS_PKT_PACKETDRILL_ABI_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct packetdrill_interface {
    void *userdata;
    void (*free)(void *userdata);
    int (*socket)(void *userdata, int domain, int type, int protocol);
    int (*bind)(void *userdata, int fd, const struct sockaddr *address, socklen_t bytes);
    int (*listen)(void *userdata, int fd, int backlog);
    int (*accept)(void *userdata, int fd, struct sockaddr *address, socklen_t *bytes);
    int (*connect)(void *userdata, int fd, const struct sockaddr *address, socklen_t bytes);
    ssize_t (*read)(void *userdata, int fd, void *room, size_t bytes);
    ssize_t (*readv)(void *userdata, int fd, const struct iovec *rooms, int count);
    ssize_t (*recv)(void *userdata, int fd, void *room, size_t bytes, int flags);
    ssize_t (*recvfrom)(void *userdata, int fd, void *room, size_t bytes, int flags,
                        struct sockaddr *address, socklen_t *address_bytes);
    ssize_t (*recvmsg)(void *userdata, int fd, struct msghdr *message, int flags);
    ssize_t (*write)(void *userdata, int fd, const void *data, size_t bytes);
    ssize_t (*writev)(void *userdata, int fd, const struct iovec *spans, int count);
    ssize_t (*send)(void *userdata, int fd, const void *data, size_t bytes, int flags);
    ssize_t (*sendto)(void *userdata, int fd, const void *data, size_t bytes, int flags,
                      const struct sockaddr *address, socklen_t address_bytes);
    ssize_t (*sendmsg)(void *userdata, int fd, const struct msghdr *message, int flags);
    int (*fcntl)(void *userdata, int fd, int command, ...);
    int (*ioctl)(void *userdata, int fd, unsigned long request, ...);
    int (*close)(void *userdata, int fd);
    int (*shutdown)(void *userdata, int fd, int how);
    int (*getsockopt)(void *userdata, int fd, int level, int name, void *value, socklen_t *bytes);
    int (*setsockopt)(void *userdata, int fd, int level, int name, const void *value,
                      socklen_t bytes);
    int (*poll)(void *userdata, struct pollfd *fds, nfds_t count, int timeout_ms);
    int (*netdev_send)(void *userdata, const void *packet, size_t bytes);
    int (*netdev_receive)(void *userdata, void *packet, size_t *bytes, long long *time_us);
    int (*usleep)(void *userdata, useconds_t us);
    int (*gettimeofday)(void *userdata, struct timeval *time, struct timezone *zone);
    int (*epoll_create)(void *userdata, int size);
    int (*epoll_ctl)(void *userdata, int epfd, int operation, int fd, struct epoll_event *event);
    int (*epoll_wait)(void *userdata, int epfd, struct epoll_event *events, int count,
                      int timeout_ms);
    int (*pipe)(void *userdata, int fds[2]);
    int (*splice)(void *userdata, int from, loff_t *from_at, int to, loff_t *to_at, size_t bytes,
                  unsigned int flags);
};

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface);

#endif
