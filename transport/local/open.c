#include "transport/local/open.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/outbox.h"
#include "transport/error.h"

enum { FDS_MAX = 4 }; /* looked at, so that surplus ones can be closed */

union control {
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

int ewi_local_send(int socket, const void *bytes, size_t length, int fd)
{
    union control control;
    struct iovec span = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &span, .msg_iovlen = 1};
    struct cmsghdr *header;
    ssize_t sent;

    memset(&control, 0, sizeof(control));
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(int));
    }
    sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : (int)sent;
}

/* Keep one descriptor, close the others; how many there were. */
static size_t take_descriptors(struct msghdr *message, int *fd)
{
    size_t count = 0;
    struct cmsghdr *header;

    for (header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        size_t here;

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++, count++) {
            int one;

            memcpy(&one, CMSG_DATA(header) + i * sizeof(int), sizeof(one));
            if (count == 0)
                *fd = one;
            else
                close(one);
        }
    }
    return count;
}

int64_t ewi_local_receive(int socket, void *bytes, size_t room, int *fd)
{
    union control control;
    struct iovec span = {.iov_base = bytes, .iov_len = room};
    struct msghdr message = {.msg_iov = &span,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t length = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    size_t count;

    *fd = -1;
    if (length < 0)
        return -errno;
    count = take_descriptors(&message, fd);
    if (count <= 1 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return length;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return EW_EPROTO;
}

int ewi_local_attach(ew_context *context, const struct local_peer *peer, const struct hello *hello,
                     int fd, struct region *out)
{
    char error[160];
    int code;

    if (fd < 0)
        return ewi_fail(EW_EPROTO, "the peer sent no memory");
    if (!ewi_outbox_bytes_valid(hello->outbox_bytes) ||
        hello->offset >= ewi_outbox_ring_bytes(hello->outbox_bytes) ||
        (hello->start != 0 && hello->intent != WIRE_RESUME))
        return ewi_fail(EW_EPROTO, "the peer's memory has %llu bytes, ring offset %u: not possible",
                        (unsigned long long)hello->outbox_bytes, hello->offset);
    code = ewi_access_charge(context, peer->uid, hello->outbox_bytes);
    if (code != EW_OK)
        return code;
    code = ewi_region_attach(&ewi_os_default, &context->budget, fd, hello->outbox_bytes, out, error);
    if (code != EW_OK) {
        ewi_access_discharge(context, peer->uid, hello->outbox_bytes);
        return ewi_fail(code, "%s", error);
    }
    return EW_OK;
}

void ewi_local_detach(ew_context *context, const struct local_peer *peer, struct region *region)
{
    ewi_access_discharge(context, peer->uid, region->bytes);
    ewi_region_release(&ewi_os_default, region);
}
