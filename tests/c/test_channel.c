/* One channel end to end, both paths, both ends in one process: the public C interface. */
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

#include "bindings/c/eastwest.h"
#include "tests/c/harness.h"

enum { SECOND = 1000 * 1000 * 1000, LONG_BYTES = 3 * 1000 * 1000 + 7 };

static char directory[64] = "/tmp/ew-test-XXXXXX";

struct pair {
    ew_context *server, *client;
    ew_listener *listener;
    ew_channel *accepted, *opened;
};

static ew_context *open_context(void)
{
    ew_context_options options = {0};
    ew_context *context;

    CHECK_EQ(ew_context_open(&options, &context), EW_OK);
    return context;
}

static struct pair connect_pair(bool tcp)
{
    struct pair pair = {.server = open_context(), .client = open_context()};
    ew_listen_options listen = {.service = "echo", .runtime_dir = directory};
    ew_connect_options connect = {
        .service = "echo", .runtime_dirs = directory, .timeout_ns = 5LL * SECOND};
    ew_listener_info info;
    int code;

    if (tcp)
        listen.bind = "tcp://127.0.0.1:0";
    code = ew_listen(pair.server, &listen, &pair.listener);
    if (code != EW_OK)
        fprintf(stderr, "%s\n", ew_error_text());
    CHECK_EQ(code, EW_OK);
    CHECK_EQ(ew_listener_get_info(pair.listener, &info), EW_OK);
    if (tcp)
        connect.address = info.tcp_address;
    code = ew_connect(pair.client, &connect, &pair.opened);
    if (code != EW_OK)
        fprintf(stderr, "%s\n", ew_error_text());
    CHECK_EQ(code, EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, 5LL * SECOND, NULL, &pair.accepted), EW_OK);
    return pair;
}

static void free_pair(struct pair *pair)
{
    ew_context_stats stats;

    ew_channel_free(pair->opened);
    ew_channel_free(pair->accepted);
    ew_listener_free(pair->listener);
    CHECK_EQ(ew_context_get_stats(pair->client, &stats), EW_OK);
    CHECK_EQ(stats.memory_bytes, 0);
    CHECK_EQ(stats.channels, 0);
    CHECK_EQ(ew_context_get_stats(pair->server, &stats), EW_OK);
    CHECK_EQ(stats.memory_bytes, 0);
    ew_context_close(pair->client);
    ew_context_close(pair->server);
}

static void a_message_goes_there_and_back(bool tcp)
{
    struct pair pair = connect_pair(tcp);
    char text[64];
    size_t bytes = 0;
    ew_channel_info info;

    CHECK_EQ(ew_channel_get_info(pair.opened, &info), EW_OK);
    CHECK_EQ(info.path, tcp ? EW_PATH_TCP : EW_PATH_SHM);
    CHECK_EQ(ew_channel_send(pair.opened, "hello", 5, SECOND, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(pair.accepted, text, sizeof(text), &bytes, SECOND, NULL), EW_OK);
    CHECK_EQ(bytes, 5);
    CHECK(memcmp(text, "hello", 5) == 0);
    CHECK_EQ(ew_channel_send(pair.accepted, "", 0, SECOND, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(pair.opened, text, sizeof(text), &bytes, SECOND, NULL), EW_OK);
    CHECK_EQ(bytes, 0);
    CHECK_EQ(ew_channel_recv(pair.opened, text, sizeof(text), &bytes, 0, NULL), EW_EAGAIN);
    CHECK_EQ(ew_channel_recv(pair.opened, text, sizeof(text), &bytes, 1000000, NULL), EW_ETIMEOUT);
    CHECK_EQ(ew_channel_close(pair.opened, SECOND, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(pair.accepted, text, sizeof(text), &bytes, SECOND, NULL), EW_EEND);
    CHECK_EQ(ew_channel_send(pair.accepted, "x", 1, SECOND, NULL), EW_EEND);
    free_pair(&pair);
}

static void over_shm_a_message_goes_there_and_back(void)
{
    a_message_goes_there_and_back(false);
}

static void over_tcp_a_message_goes_there_and_back(void)
{
    a_message_goes_there_and_back(true);
}

static void *send_long(void *argument)
{
    uint8_t *bytes = malloc(LONG_BYTES);
    int code;

    for (int i = 0; i < LONG_BYTES; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (int i = 0; i < 5; i++) {
        code = ew_channel_send(argument, bytes, LONG_BYTES, 20LL * SECOND, NULL);
        if (code != EW_OK)
            fprintf(stderr, "send: %s %s\n", ew_error_name(code), ew_error_text());
        CHECK_EQ(code, EW_OK);
    }
    CHECK_EQ(ew_channel_send(argument, "end", 3, SECOND, NULL), EW_OK);
    CHECK_EQ(ew_channel_send_eof(argument), EW_OK);
    free(bytes);
    return NULL;
}

static void a_message_longer_than_the_ring_crosses(bool tcp)
{
    struct pair pair = connect_pair(tcp);
    uint8_t *bytes = malloc(LONG_BYTES);
    pthread_t thread;
    size_t length;
    int code;

    pthread_create(&thread, NULL, send_long, pair.opened);
    for (int i = 0; i < 5; i++) {
        code = ew_channel_recv(pair.accepted, bytes, LONG_BYTES, &length, 20LL * SECOND, NULL);
        if (code != EW_OK)
            fprintf(stderr, "recv: %s %s\n", ew_error_name(code), ew_error_text());
        CHECK_EQ(code, EW_OK);
        CHECK_EQ(length, LONG_BYTES);
        for (int at = 0; at < LONG_BYTES; at++)
            CHECK_EQ(bytes[at], (uint8_t)(at * 7));
    }
    CHECK_EQ(ew_channel_recv(pair.accepted, bytes, LONG_BYTES, &length, SECOND, NULL), EW_OK);
    CHECK_EQ(length, 3);
    CHECK_EQ(ew_channel_recv(pair.accepted, bytes, LONG_BYTES, &length, SECOND, NULL), EW_EEND);
    pthread_join(thread, NULL);
    CHECK_EQ(ew_channel_flush(pair.opened, SECOND, NULL), EW_OK);
    free(bytes);
    free_pair(&pair);
}

static void over_shm_a_message_longer_than_the_ring_crosses(void)
{
    a_message_longer_than_the_ring_crosses(false);
}

static void over_tcp_a_message_longer_than_the_ring_crosses(void)
{
    a_message_longer_than_the_ring_crosses(true);
}

static void fileno_is_readable_when_a_message_is_there(bool tcp)
{
    struct pair pair = connect_pair(tcp);
    struct pollfd fd = {.fd = ew_channel_fileno(pair.accepted), .events = POLLIN};
    char text[8];
    size_t bytes;

    CHECK(fd.fd >= 0);
    CHECK_EQ(ew_channel_recv(pair.accepted, text, sizeof(text), &bytes, 0, NULL), EW_EAGAIN);
    CHECK_EQ(ew_channel_recv(pair.accepted, text, sizeof(text), &bytes, 0, NULL), EW_EAGAIN);
    CHECK_EQ(poll(&fd, 1, 0), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(ew_channel_send(pair.opened, "hello", 5, SECOND, NULL), EW_OK);
        CHECK_EQ(poll(&fd, 1, 1000), 1);
        while (ew_channel_recv(pair.accepted, text, sizeof(text), &bytes, 0, NULL) == EW_EAGAIN)
            CHECK_EQ(poll(&fd, 1, 1000), 1);
        CHECK_EQ(ew_channel_recv(pair.accepted, text, sizeof(text), &bytes, 0, NULL), EW_EAGAIN);
    }
    ew_channel_abort(pair.opened);
    CHECK_EQ(poll(&fd, 1, 1000), 1);
    CHECK_EQ(ew_channel_recv(pair.accepted, text, sizeof(text), &bytes, SECOND, NULL), EW_ELOST);
    free_pair(&pair);
}

static void over_shm_fileno_is_readable_when_a_message_is_there(void)
{
    fileno_is_readable_when_a_message_is_there(false);
}

static void over_tcp_fileno_is_readable_when_a_message_is_there(void)
{
    fileno_is_readable_when_a_message_is_there(true);
}

int main(int argc, char **argv)
{
    harness_seed(argc, argv);
    CHECK(mkdtemp(directory) != NULL);
    RUN(over_shm_a_message_goes_there_and_back);
    RUN(over_tcp_a_message_goes_there_and_back);
    RUN(over_shm_a_message_longer_than_the_ring_crosses);
    RUN(over_tcp_a_message_longer_than_the_ring_crosses);
    RUN(over_shm_fileno_is_readable_when_a_message_is_there);
    RUN(over_tcp_fileno_is_readable_when_a_message_is_there);
    rmdir(directory);
    return 0;
}
