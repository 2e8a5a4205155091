#include "transport/shell/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PCAP_NS = 0xa1b23c4d, PCAP_VERSION = 2 | 4 << 16, PCAP_LONGEST = 262144, PCAP_ETHERNET = 1 };

struct record {
    uint32_t seconds, nanoseconds, bytes, length;
};

struct device {
    const struct device_ops *inner_ops;
    struct device *inner;
    struct device_ops ops;
    int fd;     /* -1: stopped */
    int code;   /* why it stopped by itself */
    uint64_t now, frames, bytes, bytes_max; /* of the file, with what is in the buffer */
    uint32_t used;
    uint8_t buffer[CAPTURE_BUFFER_BYTES];
};

static void flush(struct device *device)
{
    uint32_t done = 0;

    while (done < device->used) {
        ssize_t wrote = write(device->fd, device->buffer + done, device->used - done);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            device->code = -errno;
            break;
        }
        done += (uint32_t)wrote;
    }
    device->used = 0;
}

static void append(struct device *device, const uint8_t *data, uint32_t bytes)
{
    struct record record = {(uint32_t)(device->now / 1000000000), (uint32_t)(device->now % 1000000000),
                            bytes, bytes};

    if (device->bytes + sizeof(record) + bytes > device->bytes_max)
        device->code = -EFBIG;
    if (device->code != 0)
        return;
    if (device->used + sizeof(record) + bytes > CAPTURE_BUFFER_BYTES)
        flush(device);
    memcpy(device->buffer + device->used, &record, sizeof(record));
    memcpy(device->buffer + device->used + sizeof(record), data, bytes);
    device->used += (uint32_t)sizeof(record) + bytes;
    device->bytes += sizeof(record) + bytes;
    device->frames += 1;
}

static bool runs(const struct device *device)
{
    return device->fd >= 0 && device->code == 0;
}

static uint32_t receive(struct device *device, struct net_rx *packets, uint32_t count)
{
    uint32_t got = device->inner_ops->receive(device->inner, packets, count);

    for (uint32_t i = 0; i < got && runs(device); i++)
        append(device, packets[i].data, packets[i].bytes);
    return got;
}

/* One by one, while it runs: what the device does not take has to come out of the buffer again. */
static uint32_t transmit(struct device *device, struct net_frame *frames, uint32_t count)
{
    uint32_t sent = 0;

    for (; sent < count && runs(device); sent++) {
        uint32_t bytes = (uint32_t)sizeof(struct record) + frames[sent].bytes;
        uint64_t before = device->frames;

        append(device, frames[sent].room, frames[sent].bytes);
        if (device->inner_ops->transmit(device->inner, frames + sent, 1) == 1)
            continue;
        if (device->frames == before)
            return sent;
        device->used -= bytes;
        device->bytes -= bytes;
        device->frames -= 1;
        return sent;
    }
    return sent + (sent < count ? device->inner_ops->transmit(device->inner, frames + sent, count - sent)
                                : 0);
}

static void give_back(struct device *device, void **refs, uint32_t count)
{
    device->inner_ops->give_back(device->inner, refs, count);
}

static uint32_t arm(struct device *device, struct net_frame *frames, uint32_t count)
{
    return device->inner_ops->arm(device->inner, frames, count);
}

static const struct device_facts *facts(const struct device *device)
{
    return device->inner_ops->facts(device->inner);
}

static int sleep_fd(struct device *device)
{
    return device->inner_ops->sleep_fd(device->inner);
}

static int sleep_arm(struct device *device)
{
    return device->inner_ops->sleep_arm(device->inner);
}

static void sleep_disarm(struct device *device)
{
    device->inner_ops->sleep_disarm(device->inner);
}

static bool carrier(struct device *device)
{
    return device->inner_ops->carrier(device->inner);
}

static void counts(struct device *device, struct device_counts *out)
{
    device->inner_ops->counts(device->inner, out);
}

static void forked(struct device *device)
{
    if (device->fd >= 0)
        close(device->fd); /* what is in the buffer is the parent's to write */
    device->fd = -1;
    device->inner_ops->forked(device->inner);
}

static void close_both(struct device *device)
{
    (void)ewi_capture_stop(device);
    device->inner_ops->close(device->inner);
    free(device);
}

int ewi_capture_wrap(const struct device_ops *inner_ops, struct device *inner,
                     const struct device_ops **ops, struct device **out)
{
    struct device *device = calloc(1, sizeof(*device));
    bool sleeps = inner_ops->sleep_fd != NULL;

    if (device == NULL)
        return -ENOMEM;
    device->inner_ops = inner_ops;
    device->inner = inner;
    device->fd = -1;
    device->ops = (struct device_ops){
        .name = inner_ops->name,
        .close = close_both,
        .facts = facts,
        .receive = receive,
        .give_back = give_back,
        .arm = arm,
        .transmit = transmit,
        .sleep_fd = sleeps ? sleep_fd : NULL,
        .sleep_arm = sleeps ? sleep_arm : NULL,
        .sleep_disarm = sleeps ? sleep_disarm : NULL,
        .carrier = carrier,
        .counts = counts,
        .forked = forked,
    };
    *ops = &device->ops;
    *out = device;
    return 0;
}

void ewi_capture_set_time(struct device *device, uint64_t now_ns)
{
    device->now = now_ns;
}

int ewi_capture_start(struct device *device, const char *path, uint64_t bytes_max)
{
    const uint32_t head[6] = {PCAP_NS, PCAP_VERSION, 0, 0, PCAP_LONGEST, PCAP_ETHERNET};

    if (device->fd >= 0)
        return -EBUSY;
    if (bytes_max < CAPTURE_BYTES_MIN)
        return -EINVAL;
    device->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (device->fd < 0)
        return -errno;
    memcpy(device->buffer, head, sizeof(head));
    device->used = sizeof(head);
    device->bytes = sizeof(head);
    device->bytes_max = bytes_max;
    device->frames = 0;
    device->code = 0;
    return 0;
}

int ewi_capture_stop(struct device *device)
{
    int code;

    if (device->fd < 0)
        return 0;
    flush(device);
    code = device->code;
    if (close(device->fd) != 0 && code == 0)
        code = -errno;
    device->fd = -1;
    return code;
}

uint64_t ewi_capture_frames(const struct device *device)
{
    return device->frames;
}
