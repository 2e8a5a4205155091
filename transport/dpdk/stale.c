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

enum { UNIX_LISTENS = 0x10000 }; /* __SO_ACCEPTCON of the kernel */

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
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += 1) {
        if (waited >= DPDK_LOCK_MS) {
            close(fd);
            return ewi_dpdk_refuse(reason, -EAGAIN, "%s: locked by another process for %d ms",
                                   folder, DPDK_LOCK_MS);
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return fd;
}

/* Of our network namespace. A peer is not connected to without need: some DPDK does not survive it. */
static bool is_listed(const char *path)
{
    FILE *file = fopen("/proc/net/unix", "re");
    char line[256], found[128];
    unsigned flags;
    bool listens = false;

    if (file == NULL)
        return false;
    while (!listens && fgets(line, sizeof(line), file) != NULL)
        listens = sscanf(line, "%*s %*s %*s %x %*s %*s %*s %127s", &flags, found) == 2 &&
                  (flags & UNIX_LISTENS) != 0 && strcmp(found, path) == 0;
    fclose(file);
    return listens;
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
    if (is_listed(path) || try_connect(path, type) != 0)
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
