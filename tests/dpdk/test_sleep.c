/* A device that can sleep wakes for what came while it was armed, and for nothing else. */
#include <poll.h>
#include <sys/epoll.h>

#include "tests/dpdk/dpdk_base.h"

enum { ROUNDS = 50 };

static char folder[32];

static bool is_readable(int fd, int timeout)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};

    return poll(&pollfd, 1, timeout) == 1;
}

/* Sleeps until frame `number` is there. */
static void sleep_until(struct device *device, uint32_t number)
{
    uint64_t end = dpdk_now() + DPDK_SOON_NS;
    uint32_t bytes;

    for (;;) {
        int fd = dpdk_ops->sleep_fd(device), code = dpdk_ops->sleep_arm(device);

        CHECK(code == 0 || code == 1);
        if (code == 0)
            CHECK(is_readable(fd, 10000)); /* a lost wake-up ends here */
        dpdk_ops->sleep_disarm(device);
        if (dpdk_take(device, &bytes) == (int64_t)number)
            return;
        CHECK(dpdk_now() < end);
    }
}

/* Both ends sleep; each frame wakes one of them. */
static void play(const char *text, bool serves)
{
    struct device *device = dpdk_open(text);
    uint64_t end;
    uint32_t bytes;

    CHECK(dpdk_ops->facts(device)->can_sleep);
    dpdk_until_up(device);
    if (serves) { /* the first frames of a new link may be lost */
        end = dpdk_now() + DPDK_SOON_NS;
        for (dpdk_send(device, 0, 60); dpdk_take(device, &bytes) != 0; usleep(20000)) {
            dpdk_send(device, 0, 60);
            CHECK(dpdk_now() < end);
        }
    } else {
        sleep_until(device, 0);
        dpdk_send(device, 0, 60);
    }
    for (uint32_t number = 1; number < ROUNDS; number++) {
        if (serves) {
            usleep(number % 3 * 1000); /* so that the other end is asleep, or not yet */
            dpdk_send(device, number, 60);
            sleep_until(device, number);
        } else {
            sleep_until(device, number);
            dpdk_send(device, number, 60);
        }
    }
    usleep(100000);
    dpdk_ops->close(device);
}

static void play_server(const char *text)
{
    play(text, true);
}

static void play_client(const char *text)
{
    play(text, false);
}

static void both_sleep(const char *server, const char *client)
{
    dpdk_both(folder, "s", (struct dpdk_end){server, play_server},
              (struct dpdk_end){client, play_client});
}

static void vhost_and_virtio_user_wake_each_other(void)
{
    both_sleep("vhost:path=%s", "virtio_user:path=%s");
}

static void virtio_user_as_the_server_too(void)
{
    both_sleep("virtio_user:path=%s,server=1", "vhost:path=%s,client=1");
}

static void watch_idle(const char *text)
{
    struct device *device = dpdk_open(text);
    struct epoll_event event = {.events = EPOLLIN};
    int fd = dpdk_ops->sleep_fd(device), outer = epoll_create1(0), quiet = 0;

    CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, fd, &event) == 0); /* it nests */
    for (int i = 0; i < 20 && quiet < 3; i++) { /* the link may still come up */
        if (dpdk_ops->sleep_arm(device) != 0)
            continue;
        quiet = epoll_wait(outer, &event, 1, 50) == 0 ? quiet + 1 : 0;
        dpdk_ops->sleep_disarm(device);
        CHECK(epoll_wait(outer, &event, 1, 0) == 0); /* not armed: never readable */
    }
    CHECK_EQ(quiet, 3);
    close(outer);
    dpdk_ops->close(device);
}

static void nothing_wakes_an_idle_device(void)
{
    char text[128], path[64];

    snprintf(path, sizeof(path), "%s/i", folder);
    snprintf(text, sizeof(text), "vhost:path=%s", path);
    dpdk_ends_well(dpdk_child(watch_idle, text));
    unlink(path);
}

static void ask_what_cannot(const char *text)
{
    struct device *device = dpdk_open(text);

    CHECK(!dpdk_ops->facts(device)->can_sleep);
    CHECK(strstr(dpdk_ops->facts(device)->why, "no wake-up") != NULL);
    CHECK(dpdk_ops->sleep_fd(device) == -ENOTSUP && dpdk_ops->sleep_arm(device) == -ENOTSUP);
    dpdk_ops->sleep_disarm(device);
    dpdk_ops->close(device);
}

static void what_cannot_sleep_says_why(void)
{
    char text[128];

    snprintf(text, sizeof(text), "memif:socket=%s/m,role=server", folder);
    dpdk_ends_well(dpdk_child(ask_what_cannot, text));
    dpdk_ends_well(dpdk_child(ask_what_cannot, "ring:name=a"));
}

int main(void)
{
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    snprintf(folder, sizeof(folder), "%s", dpdk_folder());
    RUN(vhost_and_virtio_user_wake_each_other);
    RUN(virtio_user_as_the_server_too);
    RUN(nothing_wakes_an_idle_device);
    RUN(what_cannot_sleep_says_why);
    rmdir(folder);
    return 0;
}
