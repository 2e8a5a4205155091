/* A capture writes each frame that passes once, ends with a whole one, and can be turned on and off. */
#include <errno.h>
#include <sys/stat.h>

#include "tests/c/harness.h"
#include "tests/shell/wire.h"
#include "transport/shell/capture.h"

static struct device *one, *other, *wrapped;
static const struct device_ops *ops;
static char path[64];

static struct device *open_end(void)
{
    char reason[DEVICE_REASON_BYTES];
    struct device_options options = {.text = "wire:name=c", .packets = 1024, .reason = reason};
    struct device *device = NULL;

    CHECK_EQ(wire_device.open(&options, &device), 0);
    return device;
}

static void begin(void)
{
    one = open_end();
    other = open_end();
    CHECK_EQ(ewi_capture_wrap(&wire_device, one, &ops, &wrapped), 0);
}

static void end(void)
{
    ops->close(wrapped);
    wire_device.close(other);
    unlink(path);
}

static uint32_t send(const struct device_ops *by, struct device *device, uint8_t value, uint32_t bytes)
{
    struct net_frame frame = {.room = NULL};
    uint32_t sent;

    CHECK_EQ(by->arm(device, &frame, 1), 1);
    memset(frame.room, value, bytes);
    frame.bytes = bytes;
    sent = by->transmit(device, &frame, 1);
    CHECK((frame.room == NULL) == (sent == 1));
    return sent;
}

static void take(const struct device_ops *by, struct device *device)
{
    struct net_rx packet;

    CHECK_EQ(by->receive(device, &packet, 1), 1);
    by->give_back(device, &packet.ref, 1);
}

struct found {
    uint32_t seconds, nanoseconds, bytes, length;
};

/* Reads the file; how many frames, the last of them. */
static uint32_t read_file(struct found *last, uint8_t *value)
{
    FILE *file = fopen(path, "rb");
    uint32_t head[6], frames = 0;
    uint8_t data[2048];

    CHECK(file != NULL && fread(head, sizeof(head), 1, file) == 1);
    CHECK(head[0] == 0xa1b23c4d && head[1] == (2 | 4 << 16) && head[5] == 1);
    while (fread(last, sizeof(*last), 1, file) == 1) {
        CHECK(last->bytes == last->length && last->bytes <= sizeof(data));
        CHECK(fread(data, last->bytes, 1, file) == 1);
        *value = data[0];
        frames += 1;
    }
    CHECK(feof(file));
    fclose(file);
    return frames;
}

static void frames_of_both_directions_are_written_with_their_time(void)
{
    struct found last;
    uint8_t value;

    begin();
    CHECK_EQ(ewi_capture_start(wrapped, path, 1 << 20), 0);
    CHECK_EQ(ewi_capture_start(wrapped, path, 1 << 20), -EBUSY);
    CHECK_EQ(send(ops, wrapped, 1, 60), 1);
    take(&wire_device, other);
    ewi_capture_set_time(wrapped, UINT64_C(1700000000123456789));
    CHECK_EQ(send(&wire_device, other, 2, 100), 1);
    take(ops, wrapped);
    CHECK_EQ(ewi_capture_frames(wrapped), 2);
    CHECK_EQ(ewi_capture_stop(wrapped), 0);
    CHECK_EQ(read_file(&last, &value), 2);
    CHECK(value == 2 && last.bytes == 100);
    CHECK(last.seconds == 1700000000 && last.nanoseconds == 123456789);
    end();
}

static void nothing_is_written_while_it_is_stopped(void)
{
    struct found last;
    uint8_t value;

    begin();
    CHECK_EQ(send(ops, wrapped, 1, 60), 1);
    CHECK_EQ(ewi_capture_start(wrapped, path, 1 << 20), 0);
    CHECK_EQ(send(ops, wrapped, 2, 60), 1);
    CHECK_EQ(ewi_capture_stop(wrapped), 0);
    CHECK_EQ(ewi_capture_stop(wrapped), 0);
    CHECK_EQ(send(ops, wrapped, 3, 60), 1);
    CHECK_EQ(read_file(&last, &value), 1);
    CHECK_EQ(value, 2);
    end();
}

static void a_frame_that_was_not_taken_is_written_once_it_is(void)
{
    struct net_frame frame = {.room = NULL};
    struct found last;
    uint8_t value;

    begin();
    CHECK_EQ(ewi_capture_start(wrapped, path, 1 << 20), 0);
    CHECK_EQ(ops->arm(wrapped, &frame, 1), 1);
    memset(frame.room, 9, 60);
    frame.bytes = 60;
    wire_set_full("c", 0, true);
    CHECK_EQ(ops->transmit(wrapped, &frame, 1), 0);
    CHECK(ewi_capture_frames(wrapped) == 0 && frame.room != NULL);
    wire_set_full("c", 0, false);
    CHECK_EQ(ops->transmit(wrapped, &frame, 1), 1);
    CHECK_EQ(ewi_capture_stop(wrapped), 0);
    CHECK_EQ(read_file(&last, &value), 1);
    end();
}

static void the_file_stays_below_its_limit_and_the_wire_goes_on(void)
{
    struct found last;
    struct stat status;
    uint8_t value;
    uint32_t frames = 5000 / (1000 + 16);

    begin();
    CHECK_EQ(ewi_capture_start(wrapped, path, 100), -EINVAL);
    CHECK_EQ(ewi_capture_start(wrapped, path, 5000), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(send(ops, wrapped, (uint8_t)i, 1000), 1);
        take(&wire_device, other);
    }
    CHECK_EQ(ewi_capture_stop(wrapped), -EFBIG);
    CHECK(stat(path, &status) == 0 && status.st_size <= 5000);
    CHECK_EQ(read_file(&last, &value), frames);
    end();
}

static void a_long_capture_is_whole(void)
{
    struct found last;
    uint8_t value;

    begin();
    CHECK_EQ(ewi_capture_start(wrapped, path, 64 << 20), 0);
    for (int i = 0; i < 1000; i++) { /* several times the buffer */
        CHECK_EQ(send(ops, wrapped, (uint8_t)i, 1500), 1);
        take(&wire_device, other);
    }
    ops->close(wrapped); /* stops it */
    CHECK_EQ(read_file(&last, &value), 1000);
    CHECK_EQ(value, (uint8_t)999);
    wire_device.close(other);
    unlink(path);
}

static void a_path_that_cannot_be_is_refused(void)
{
    begin();
    CHECK_EQ(ewi_capture_start(wrapped, "/nowhere/at/all", 1 << 20), -ENOENT);
    CHECK_EQ(ewi_capture_start(wrapped, path, 1 << 20), 0);
    end();
}

int main(void)
{
    snprintf(path, sizeof(path), "/tmp/ew-capture-%d.pcap", (int)getpid());
    RUN(frames_of_both_directions_are_written_with_their_time);
    RUN(nothing_is_written_while_it_is_stopped);
    RUN(a_frame_that_was_not_taken_is_written_once_it_is);
    RUN(the_file_stays_below_its_limit_and_the_wire_goes_on);
    RUN(a_long_capture_is_whole);
    RUN(a_path_that_cannot_be_is_refused);
    return 0;
}
