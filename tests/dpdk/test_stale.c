/* What a killed server leaves behind is replaced; what is alive, or no socket, is not touched. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/dpdk/dpdk_base.h"

static char folder[32], path[64];

static void hold(const char *text)
{
    struct device *device = dpdk_open(text);

    (void)device;
    for (;;)
        pause();
}

static void open_once(const char *text)
{
    dpdk_ops->close(dpdk_open(text));
}

static void refuse_living(const char *text)
{
    dpdk_refused(text, 0, "another process listens there");
}

static void refuse_file(const char *text)
{
    dpdk_refused(text, 0, "is no socket");
}

/* A peer that connects and leaves at once does no harm. */
static void visit(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    for (int i = 0; i < 20; i++) {
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        close(fd);
        usleep(1000);
    }
    usleep(100000);
}

static void replaced(const char *form, int type)
{
    char text[128];
    struct stat status;
    pid_t holder;

    snprintf(text, sizeof(text), form, path);
    holder = dpdk_child(hold, text);
    dpdk_until_listens(path);
    dpdk_ends_well(dpdk_child(refuse_living, text));
    CHECK(stat(path, &status) == 0);
    visit(type);
    dpdk_kill(holder);
    CHECK(stat(path, &status) == 0); /* left over */
    dpdk_ends_well(dpdk_child(open_once, text));
    unlink(path);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    dpdk_ends_well(dpdk_child(refuse_file, text));
    CHECK(stat(path, &status) == 0 && S_ISREG(status.st_mode));
    unlink(path);
}

static void memif_sockets_are_replaced(void)
{
    replaced("memif:socket=%s,role=server", SOCK_SEQPACKET);
}

static void vhost_sockets_are_replaced(void)
{
    replaced("vhost:path=%s", SOCK_STREAM);
}

static void find_no_client(const char *text)
{
    struct stat status;

    CHECK(stat(path, &status) == 0);
    dpdk_refused(text, 0, "no vhost client came within");
    CHECK(stat(path, &status) != 0); /* it was replaced, and what replaced it is gone */
}

/* As a server it waits for its client while it is opened, so what a killed one leaves is made here. */
static void virtio_user_sockets_are_replaced(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[128];

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    snprintf(text, sizeof(text), "virtio_user:path=%s,server=1", path);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0);
    dpdk_ends_well(dpdk_child(refuse_living, text));
    close(fd);
    CHECK(access(path, F_OK) == 0);
    dpdk_ends_well(dpdk_child(find_no_client, text));
    unlink(path);
}

static void open_nowhere(const char *text)
{
    dpdk_refused(text, 0, "the folder of the socket has to exist");
}

static void a_missing_folder_is_named(void)
{
    char text[128];

    snprintf(text, sizeof(text), "vhost:path=%s/none/s", folder);
    dpdk_ends_well(dpdk_child(open_nowhere, text));
}

static void connect_nowhere(const char *text)
{
    dpdk_refused(text, 0, "start its server first");
}

static void connect_to_no_memif(const char *text)
{
    dpdk_refused(text, 0, "start its server first");
}

static void a_client_without_a_server_is_refused(void)
{
    char text[128];

    snprintf(text, sizeof(text), "memif:socket=%s,role=client", path);
    dpdk_ends_well(dpdk_child(connect_to_no_memif, text));

    snprintf(text, sizeof(text), "virtio_user:path=%s", path);
    dpdk_ends_well(dpdk_child(connect_nowhere, text));
}

int main(void)
{
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    snprintf(folder, sizeof(folder), "%s", dpdk_folder());
    snprintf(path, sizeof(path), "%s/s", folder);
    RUN(memif_sockets_are_replaced);
    RUN(vhost_sockets_are_replaced);
    RUN(virtio_user_sockets_are_replaced);
    RUN(a_missing_folder_is_named);
    RUN(a_client_without_a_server_is_refused);
    rmdir(folder);
    return 0;
}
