/* A channel between two processes, over the plug-in as it is loaded by its path: what the sanitizer sees of it.
 *
 * usage: test_channel PLUGIN */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "bindings/c/eastwest.h"
#include "tests/c/harness.h"

#define PATIENCE_NS INT64_C(30000000000)

enum { ROUNDS = 300, BULKS = 6, BULK = 3 * 1024 * 1024 + 7 };

static const char *plugin_path;
static char folder[32];

struct end {
    const char *device; /* with %s for a path */
    const char *address;
    void (*work)(ew_context *context);
};

static void came_well(int code)
{
    if (code != EW_OK)
        fprintf(stderr, "%s\n", ew_error_text());
    CHECK_EQ(code, EW_OK);
}

/* ---- messages ---- */

static uint8_t byte_of(uint64_t number, size_t at)
{
    return (uint8_t)(number + at + (at >> 11));
}

static void send_one(ew_channel *channel, uint64_t number, size_t bytes)
{
    uint8_t *message = malloc(bytes); /* exactly: a byte too many is seen */

    CHECK(message != NULL);
    for (size_t at = 0; at < bytes; at++)
        message[at] = byte_of(number, at);
    came_well(ew_channel_send(channel, message, bytes, PATIENCE_NS, NULL));
    free(message);
}

static void receive_one(ew_channel *channel, uint64_t number, size_t bytes)
{
    uint8_t *message = malloc(bytes);
    size_t length, wrong = 0;

    CHECK(message != NULL);
    came_well(ew_channel_recv(channel, message, bytes, &length, PATIENCE_NS, NULL));
    CHECK_EQ(length, bytes);
    for (size_t at = 0; at < bytes; at++)
        wrong += message[at] != byte_of(number, at);
    CHECK_EQ(wrong, 0);
    free(message);
}

static size_t size_of(uint64_t number)
{
    return 1 + number * 37 % 4000;
}

static void check_path(ew_channel *channel)
{
    ew_channel_info info;

    CHECK_EQ(ew_channel_get_info(channel, &info), EW_OK);
    CHECK_EQ(info.path, EW_PATH_DPDK);
}

/* ---- the two ends ---- */

/* Ping-pong; then it is given long messages; then the end, that the other one makes. */
static void serve(ew_context *context)
{
    const ew_listen_options options = {.service = "storm", .fabric = 1};
    ew_listener *listener;
    ew_channel *channel;
    uint8_t byte;
    size_t length;

    came_well(ew_listen(context, &options, &listener));
    came_well(ew_listener_accept(listener, PATIENCE_NS, NULL, &channel));
    check_path(channel);
    for (uint64_t number = 0; number < ROUNDS; number++) {
        receive_one(channel, number, size_of(number));
        send_one(channel, number + 1, size_of(number));
    }
    for (uint64_t number = 0; number < BULKS; number++)
        receive_one(channel, number, BULK);
    CHECK_EQ(ew_channel_recv(channel, &byte, 1, &length, PATIENCE_NS, NULL), EW_EEND);
    came_well(ew_channel_close(channel, PATIENCE_NS, NULL));
    ew_channel_free(channel);
    ew_listener_close(listener);
    ew_listener_free(listener);
}

static void dial(ew_context *context)
{
    const ew_connect_options options = {
        .service = "storm", .address = "dpdk://lab/10.77.0.1:7411", .timeout_ns = PATIENCE_NS};
    ew_channel *channel;

    came_well(ew_connect(context, &options, &channel));
    check_path(channel);
    for (uint64_t number = 0; number < ROUNDS; number++) {
        send_one(channel, number, size_of(number));
        receive_one(channel, number + 1, size_of(number));
    }
    for (uint64_t number = 0; number < BULKS; number++)
        send_one(channel, number, BULK);
    came_well(ew_channel_close(channel, PATIENCE_NS, NULL));
    ew_channel_free(channel);
}

/* In a process of its own. */
static pid_t started(const struct end *end)
{
    char device[96], text[192];
    const ew_context_options options = {
        .grace_ns = -1, .fabric = text, .fabric_plugin = plugin_path};
    ew_context *context;
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid != 0)
        return pid;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    snprintf(device, sizeof(device), end->device, folder);
    snprintf(text, sizeof(text), "network=lab\ndevice=%s\naddress=%s/24\nport=7411\n", device,
             end->address);
    came_well(ew_context_open(&options, &context));
    end->work(context);
    ew_context_close(context);
    exit(0); /* the leak sanitizer looks now */
}

static void ends_well(pid_t pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

static void talk(const char *server, const char *client, const char *socket)
{
    const struct end ends[] = {{server, "10.77.0.1", serve}, {client, "10.77.0.2", dial}};
    char path[64];
    pid_t one, other;

    snprintf(path, sizeof(path), "%s/%s", folder, socket);
    one = started(&ends[0]);
    for (int i = 0; access(path, F_OK) != 0; i++) {
        CHECK(i < 20000);
        usleep(1000);
    }
    other = started(&ends[1]);
    ends_well(other);
    ends_well(one);
    unlink(path);
}

static void a_channel_over_virtio_user_and_vhost(void)
{
    talk("vhost:path=%s/v", "virtio_user:path=%s/v", "v");
}

static void a_channel_over_memif(void)
{
    talk("memif:socket=%s/m,role=server", "memif:socket=%s/m,role=client", "m");
}

int main(int argc, char **argv)
{
    CHECK(argc >= 2);
    plugin_path = argv[1];
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    snprintf(folder, sizeof(folder), "/tmp/ew-dpdk-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    RUN(a_channel_over_virtio_user_and_vhost);
    RUN(a_channel_over_memif);
    rmdir(folder);
    return 0;
}
