/* tests/dpdk/dpdk_base.h - open devices, send numbered frames, know them again.
 *
 * Purpose    What every test of transport/dpdk needs.
 * Shape      a frame: two addresses, a type nobody uses, number, bytes that follow from the number
 *            EAL starts once in a process: what needs two processes, or another start, forks first
 * Owner      the caller
 * Threads    one
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants I1  every wait ends after DPDK_SOON_NS.
 * Ordering   none
 * Source     transport/shell/device.h
 */
#ifndef TESTS_DPDK_DPDK_BASE_H
#define TESTS_DPDK_DPDK_BASE_H

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/c/harness.h"
#include "transport/dpdk/device.h"

#define DPDK_SOON_NS UINT64_C(20000000000)

enum { DPDK_HEAD = 14 + 4, DPDK_PACKETS = 1024 };

static const struct device_ops *const dpdk_ops = &ewi_dpdk_device;

static inline uint64_t dpdk_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline struct device *dpdk_open_with(const char *text, uint16_t mtu)
{
    char reason[DEVICE_REASON_BYTES] = "";
    struct device_options options = {
        .text = text, .mtu = mtu, .packets = DPDK_PACKETS, .reason = reason};
    struct device *device = NULL;
    int code = dpdk_ops->open(&options, &device);

    if (code != 0)
        fprintf(stderr, "%s: %d: %s\n", text, code, reason);
    CHECK_EQ(code, 0);
    return device;
}

static inline struct device *dpdk_open(const char *text)
{
    return dpdk_open_with(text, 0);
}

static inline void dpdk_refused(const char *text, uint16_t mtu, const char *says)
{
    char reason[DEVICE_REASON_BYTES] = "";
    struct device_options options = {
        .text = text, .mtu = mtu, .packets = DPDK_PACKETS, .reason = reason};
    struct device *device = NULL;

    CHECK(dpdk_ops->open(&options, &device) < 0);
    if (strstr(reason, says) == NULL)
        fprintf(stderr, "%s: '%s', want '%s'\n", text, reason, says);
    CHECK(strstr(reason, says) != NULL);
    CHECK(device == NULL);
}

static inline void dpdk_until_up(struct device *device)
{
    uint64_t end = dpdk_now() + DPDK_SOON_NS;

    while (!dpdk_ops->carrier(device)) {
        CHECK(dpdk_now() < end);
        usleep(100);
    }
}

/* Is there a Unix socket at this path that listens? Who asked by connecting would be its client. */
static inline bool dpdk_listens(const char *path)
{
    FILE *sockets = fopen("/proc/net/unix", "r");
    char line[256], at[128];
    unsigned flags;
    bool found = false;

    CHECK(sockets != NULL);
    while (!found && fgets(line, sizeof(line), sockets) != NULL)
        found = sscanf(line, "%*s %*s %*s %x %*s %*s %*s %127s", &flags, at) == 2 &&
                (flags & 0x10000) != 0 && strcmp(at, path) == 0; /* __SO_ACCEPTCON */
    fclose(sockets);
    return found;
}

static inline void dpdk_until_listens(const char *path)
{
    for (uint64_t end = dpdk_now() + DPDK_SOON_NS; !dpdk_listens(path); usleep(1000))
        CHECK(dpdk_now() < end);
}

/* ---- frames ---- */

static inline uint8_t dpdk_byte(uint32_t number, uint32_t at)
{
    return (uint8_t)(number * 31 + at * 7 + 1);
}

static inline uint32_t dpdk_write(uint8_t *room, uint32_t number, uint32_t bytes)
{
    memset(room, 0xff, 6);
    memcpy(room + 6, "\x02\0\0\0\0\1\x88\xb5", 8); /* IEEE: for local experiments */
    memcpy(room + 14, &number, sizeof(number));
    for (uint32_t i = DPDK_HEAD; i < bytes; i++)
        room[i] = dpdk_byte(number, i);
    return bytes;
}

static inline bool dpdk_is_ours(const struct net_rx *packet)
{
    return packet->bytes >= DPDK_HEAD && memcmp(packet->data + 12, "\x88\xb5", 2) == 0;
}

static inline uint32_t dpdk_read(const struct net_rx *packet)
{
    uint32_t number;

    memcpy(&number, packet->data + 14, sizeof(number));
    for (uint32_t i = DPDK_HEAD; i < packet->bytes; i++)
        CHECK_EQ(packet->data[i], dpdk_byte(number, i));
    return number;
}

static inline void dpdk_send(struct device *device, uint32_t number, uint32_t bytes)
{
    struct net_frame frame = {.room = NULL};
    uint64_t end = dpdk_now() + DPDK_SOON_NS;

    CHECK_EQ(dpdk_ops->arm(device, &frame, 1), 1);
    CHECK(frame.room != NULL && frame.room_bytes >= bytes);
    frame.bytes = dpdk_write(frame.room, number, bytes);
    while (dpdk_ops->transmit(device, &frame, 1) == 0) {
        CHECK(frame.room != NULL && dpdk_now() < end);
        usleep(100);
    }
    CHECK(frame.room == NULL);
}

/* The next of ours, given back; its number and length. -1: none now. */
static inline int64_t dpdk_take(struct device *device, uint32_t *bytes)
{
    struct net_rx packet;
    int64_t number = -1;

    if (dpdk_ops->receive(device, &packet, 1) == 0)
        return -1;
    if (dpdk_is_ours(&packet)) {
        number = dpdk_read(&packet);
        *bytes = packet.bytes;
        CHECK(packet.charge >= packet.bytes && packet.port == 0);
    }
    dpdk_ops->give_back(device, &packet.ref, 1);
    return number;
}

/* Send each frame and wait for it to come back from an echo. The first may be lost: both ends do not
 * see the link at the same moment. */
static inline void dpdk_converse(struct device *device, uint32_t count, uint32_t bytes_max)
{
    for (uint32_t number = 0; number < count; number++) {
        uint32_t bytes = 60 + number * 37 % (bytes_max - 59), came = 0;
        uint64_t start = dpdk_now(), again = start + 50000000;

        dpdk_send(device, number, bytes);
        while (dpdk_take(device, &came) != (int64_t)number) {
            CHECK(dpdk_now() < start + DPDK_SOON_NS);
            if (number == 0 && dpdk_now() > again) {
                dpdk_send(device, number, bytes);
                again = dpdk_now() + 50000000;
            }
        }
        CHECK_EQ(came, bytes);
    }
}

/* Send back everything, until a frame with this number was. */
static inline void dpdk_echo(struct device *device, uint32_t last)
{
    uint64_t end = dpdk_now() + DPDK_SOON_NS;

    for (int64_t number = -1; number != (int64_t)last;) {
        uint32_t bytes;

        number = dpdk_take(device, &bytes);
        if (number >= 0)
            dpdk_send(device, (uint32_t)number, bytes);
        CHECK(dpdk_now() < end);
    }
}

/* ---- processes ---- */

static inline pid_t dpdk_child(void (*work)(const char *), const char *argument)
{
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid != 0)
        return pid;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); /* a test that fails leaves nobody behind */
    work(argument);
    exit(0); /* with everything that happens at the end of a program */
}

static inline void dpdk_ends_well(pid_t pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

static inline void dpdk_kill(pid_t pid)
{
    int status;

    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it was alive until now */
}

struct dpdk_end {
    const char *text; /* of the device; %s: the path of the socket */
    void (*work)(const char *text);
};

/* Both to their ends, each in a process of its own, with a socket of this name in the folder. */
static inline void dpdk_both(const char *folder, const char *name, struct dpdk_end server,
                             struct dpdk_end client)
{
    char path[64], server_text[128], client_text[128];
    pid_t one, other;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(server_text, sizeof(server_text), server.text, path);
    snprintf(client_text, sizeof(client_text), client.text, path);
    one = dpdk_child(server.work, server_text);
    dpdk_until_listens(path);
    other = dpdk_child(client.work, client_text);
    dpdk_ends_well(other);
    dpdk_ends_well(one);
    unlink(path);
}

/* A folder for sockets, removed by dpdk_folder_end. */
static inline const char *dpdk_folder(void)
{
    static char path[32];

    snprintf(path, sizeof(path), "/tmp/ew-dpdk-XXXXXX");
    CHECK(mkdtemp(path) != NULL);
    return path;
}

#endif
