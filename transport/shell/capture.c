#include "transport/shell/capture.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    VERSION_MAJOR = 2,
    VERSION_MINOR = 4,
    SNAP_BYTES = 1 << 18,
    ETHERNET = 1,
};

struct file_head {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zero[2], snap, link;
};
static_assert(sizeof(struct file_head) == 24, "as in the file");

struct record_head {
    uint32_t seconds, ns, bytes, whole;
};
static_assert(sizeof(struct record_head) == 16, "as in the file");

void ewi_capture_init(struct capture *capture)
{
    *capture = (struct capture){.fd = -1};
}

int ewi_capture_open(struct capture *out, const char *path, uint64_t bytes_max, uint64_t until)
{
    const struct file_head head = {.magic = UINT32_C(0xa1b23c4d),
                                   .major = VERSION_MAJOR,
                                   .minor = VERSION_MINOR,
                                   .snap = SNAP_BYTES,
                                   .link = ETHERNET};
    int code = 0;

    if (path[0] != '/' || strlen(path) >= sizeof(out->path) || bytes_max < CAPTURE_BYTES_MIN)
        return -EINVAL;
    *out = (struct capture){.bytes = sizeof(head), .bytes_max = bytes_max, .until = until};
    memcpy(out->path, path, strlen(path) + 1);
    out->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out->fd < 0)
        return -errno;
    if (write(out->fd, &head, sizeof(head)) != sizeof(head)) {
        code = errno != 0 ? -errno : -EIO;
        ewi_capture_stop(out, CAPTURE_FAILED);
    }
    out->is_on = code == 0;
    return code;
}

void ewi_capture_stop(struct capture *capture, enum capture_end end)
{
    if (capture->fd < 0)
        return;
    close(capture->fd);
    capture->fd = -1;
    capture->is_on = false;
    capture->end = (uint8_t)end;
}

static bool put(struct capture *capture, struct iovec *parts, uint64_t bytes)
{
    ssize_t done = writev(capture->fd, parts, 2);

    capture->error = done < 0 ? -errno : done == (ssize_t)bytes ? 0 : -ENOSPC;
    return capture->error == 0;
}

void ewi_capture_write(struct capture *capture, const uint8_t *bytes, uint32_t length, uint64_t now)
{
    const uint32_t kept = ewi_min_u32(length, SNAP_BYTES);
    const uint64_t added = sizeof(struct record_head) + kept;
    struct record_head head = {.bytes = kept, .whole = length};
    struct iovec parts[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)bytes, kept}};
    struct timespec at;

    if (now >= capture->until) {
        ewi_capture_stop(capture, CAPTURE_STOPPED);
        return;
    }
    if (added > capture->bytes_max - capture->bytes) {
        ewi_capture_stop(capture, CAPTURE_FULL);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &at);
    head.seconds = (uint32_t)at.tv_sec;
    head.ns = (uint32_t)at.tv_nsec;
    if (!put(capture, parts, added)) {
        ewi_capture_stop(capture, CAPTURE_FAILED);
        return;
    }
    capture->bytes += added;
    capture->packets += 1;
}
