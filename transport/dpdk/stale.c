#include "transport/dpdk/stale.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "transport/dpdk/eal.h"

static int lock_folder(const char *path, char *reason)
{
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    const char *slash = strrchr(path, '/');
    int fd;

    snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ewi_dpdk_refuse(reason, -errno, "%s: %s; the folder of the socket has to exist", folder,
                               strerror(errno));
    for (int64_t waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += 1000000) {
        if (waited >= DPDK_LOCK_NS) {
            close(fd);
            return ewi_dpdk_refuse(reason, -EAGAIN, "%s: locked by another process for a second",
                                   folder);
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return fd;
}

/* 0: refused, nobody listens. */
static int try_connect(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int code, fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    code = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
    close(fd);
    return code == ECONNREFUSED ? 0 : -EADDRINUSE;
}

static int clear(const char *path, int type, char *reason)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno == ENOENT ? 0
                               : ewi_dpdk_refuse(reason, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return ewi_dpdk_refuse(reason, -ENOTSOCK, "%s exists and is no socket: remove it, or choose "
                               "another path", path);
    if (try_connect(path, type) != 0)
        return ewi_dpdk_refuse(reason, -EADDRINUSE, "%s: another process listens there; end it, be "
                               "the client, or choose another path", path);
    return unlink(path) == 0 || errno == ENOENT
               ? 0
               : ewi_dpdk_refuse(reason, -errno, "%s is left over and cannot be removed: %s", path,
                                 strerror(errno));
}

int ewi_dpdk_stale_socket(const char *path, int type, char *reason)
{
    int code, lock = lock_folder(path, reason);

    if (lock < 0)
        return lock;
    code = clear(path, type, reason);
    if (code == 0)
        return lock;
    close(lock);
    return code;
}

void ewi_dpdk_stale_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}
