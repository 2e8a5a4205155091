#include "transport/dpdk/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

struct entry { /* of getdents64(2) */
    uint64_t inode;
    int64_t offset;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

struct wanted {
    int domain;
    int ifindex;      /* AF_PACKET */
    const char *path; /* AF_UNIX */
};

static struct wanted wanted_of(const struct dpdk_text *text, const char *iface)
{
    struct wanted wanted = {.domain = AF_UNIX, .ifindex = 0};

    if (strcmp(text->kind->name, "af_packet") == 0)
        wanted.domain = AF_PACKET;
    else if (strcmp(text->kind->name, "af_xdp") == 0)
        wanted.domain = AF_XDP;
    if (wanted.domain == AF_PACKET)
        wanted.ifindex = (int)if_nametoindex(iface);
    wanted.path = ewi_dpdk_text_value(text, "socket");
    if (wanted.path == NULL)
        wanted.path = ewi_dpdk_text_value(text, "path");
    return wanted;
}

static bool has_path(int fd, const char *path)
{
    struct sockaddr_un name;
    socklen_t bytes = sizeof(name);

    memset(&name, 0, sizeof(name));
    if (path == NULL)
        return false;
    if (getsockname(fd, (struct sockaddr *)&name, &bytes) == 0 &&
        strncmp(name.sun_path, path, sizeof(name.sun_path)) == 0)
        return true;
    memset(&name, 0, sizeof(name));
    bytes = sizeof(name);
    return getpeername(fd, (struct sockaddr *)&name, &bytes) == 0 &&
           strncmp(name.sun_path, path, sizeof(name.sun_path)) == 0;
}

static bool fits(int fd, const struct wanted *wanted)
{
    struct sockaddr_ll name = {.sll_ifindex = -1};
    socklen_t bytes = sizeof(int);
    int domain;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) != 0 || domain != wanted->domain)
        return false;
    if (domain == AF_UNIX)
        return has_path(fd, wanted->path);
    bytes = sizeof(name);
    return domain == AF_XDP ||
           (getsockname(fd, (struct sockaddr *)&name, &bytes) == 0 &&
            name.sll_ifindex == wanted->ifindex);
}

static int number_of(const char *name)
{
    int number = 0;

    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + *name - '0';
    return *name == '\0' ? number : -1;
}

/* At most `room` descriptors that fit; how many. Nothing here allocates or locks. */
static uint32_t list(const struct wanted *wanted, int *fds, uint32_t room)
{
    _Alignas(struct entry) char buffer[4096];
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t count = 0;
    long bytes;

    if (folder < 0)
        return 0;
    while ((bytes = syscall(SYS_getdents64, folder, buffer, sizeof(buffer))) > 0) {
        for (long at = 0; at < bytes;) {
            const struct entry *entry = (const struct entry *)(const void *)(buffer + at);
            int fd = number_of(entry->name);

            at += entry->bytes;
            if (fd >= 0 && fd != folder && count < room && fits(fd, wanted))
                fds[count++] = fd;
        }
    }
    close(folder);
    return count;
}

static uint64_t inode_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

void ewi_dpdk_sockets_before(const struct dpdk_text *text, const char *iface, struct dpdk_before *out)
{
    struct wanted wanted = wanted_of(text, iface);
    int fds[DPDK_BEFORE_MAX];

    out->count = list(&wanted, fds, DPDK_BEFORE_MAX);
    for (uint32_t i = 0; i < out->count; i++)
        out->inodes[i] = inode_of(fds[i]);
}

int ewi_dpdk_sockets_find(const struct dpdk_text *text, const char *iface,
                          const struct dpdk_before *before)
{
    struct wanted wanted = wanted_of(text, iface);
    int fds[DPDK_BEFORE_MAX];
    uint32_t count = list(&wanted, fds, DPDK_BEFORE_MAX);

    for (uint32_t i = 0; i < count; i++) {
        bool is_old = false;

        for (uint32_t k = 0; k < before->count; k++)
            is_old = is_old || before->inodes[k] == inode_of(fds[i]);
        if (!is_old)
            return fds[i];
    }
    return -1;
}

void ewi_dpdk_sockets_close(const struct dpdk_text *text, const char *iface, int known)
{
    struct wanted wanted = wanted_of(text, iface);
    int fds[DPDK_BEFORE_MAX];
    uint32_t count;

    if (known >= 0) {
        close(known);
    } else if (wanted.domain == AF_UNIX && wanted.path != NULL) {
        count = list(&wanted, fds, DPDK_BEFORE_MAX);
        for (uint32_t i = 0; i < count; i++)
            close(fds[i]);
    }
}

/* ---- interfaces ---- */

static int ask(int fd, const char *iface, unsigned long what, struct ifreq *request)
{
    int own = fd >= 0 ? fd : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int code;

    snprintf(request->ifr_name, sizeof(request->ifr_name), "%.15s", iface);
    code = own < 0 || ioctl(own, what, request) != 0 ? -errno : 0;
    if (fd < 0 && own >= 0)
        close(own);
    return code;
}

int ewi_dpdk_iface_join(const char *iface)
{
    struct packet_mreq request = {.mr_ifindex = (int)if_nametoindex(iface),
                                  .mr_type = PACKET_MR_ALLMULTI};
    int code, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) == 0)
        return fd;
    code = -errno;
    close(fd);
    return code;
}

int ewi_dpdk_iface_index(int fd, const char *iface)
{
    struct ifreq request = {.ifr_ifindex = 0};

    return ask(fd, iface, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

bool ewi_dpdk_iface_is_up(int fd, const char *iface, int index)
{
    struct ifreq request = {.ifr_ifindex = 0};

    return ewi_dpdk_iface_index(fd, iface) == index && ask(fd, iface, SIOCGIFFLAGS, &request) == 0 &&
           (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

int ewi_dpdk_iface_mtu(const char *iface)
{
    struct ifreq request = {.ifr_ifindex = 0};
    int code = ask(-1, iface, SIOCGIFMTU, &request);

    return code != 0 ? code : request.ifr_mtu < UINT16_MAX ? request.ifr_mtu : UINT16_MAX;
}
