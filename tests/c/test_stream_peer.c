/* A stream link and its peer: one that lies or dawdles (bytes from a socket of our own), one whose
 * application is away, one for whom there is no memory. */
#include <pthread.h>

#include "bindings/c/eastwest.h"
#include "tests/c/raw_peer.h"

#define MS INT64_C(1000000)

enum { KIB = 1024, MIB = 1024 * KIB };

struct server {
    ew_context *context;
    ew_listener *listener;
    ew_listener_info info;
};

static struct server open_server(const ew_context_options *options)
{
    ew_context_options used = options != NULL ? *options : (ew_context_options){0};
    const ew_listen_options listen = {.service = "echo", .bind = "tcp://127.0.0.1:0"};
    struct server server;

    used.grace_ns = -1; /* these peers do not come back */
    CHECK_EQ(ew_context_open(&used, &server.context), EW_OK);
    CHECK_EQ(ew_listen(server.context, &listen, &server.listener), EW_OK);
    CHECK_EQ(ew_listener_get_info(server.listener, &server.info), EW_OK);
    return server;
}

static void close_server(struct server *server)
{
    ew_context_stats stats;

    ew_listener_free(server->listener);
    CHECK_EQ(ew_context_get_stats(server->context, &stats), EW_OK);
    CHECK_EQ(stats.memory_bytes, 0);
    CHECK_EQ(stats.channels, 0);
    ew_context_close(server->context);
}

static int connect_to(const struct server *server, ew_channel **out)
{
    const ew_connect_options options = {
        .service = "echo", .address = server->info.tcp_address, .timeout_ns = 5000 * MS};

    return ew_connect(server->context, &options, out);
}

static ew_channel *accept_one(const struct server *server)
{
    ew_channel *channel;

    CHECK_EQ(ew_listener_accept(server->listener, 5000 * MS, NULL, &channel), EW_OK);
    return channel;
}

/* ---- a peer made by hand ---- */

static int raw_peer(const struct server *server, int receive_bytes)
{
    return raw_connect(server->info.tcp_address, "echo", receive_bytes);
}

static void a_fragment_after_which_nothing_is_missing_breaks_the_channel(void)
{
    struct server server = open_server(NULL);
    const uint64_t total = 0;
    ew_channel *channel;
    char text[8];
    size_t bytes;
    int fd = raw_peer(&server, 0);

    channel = accept_one(&server);
    say_start(fd);
    say_record(fd, &total, sizeof(total), RECORD_MORE | RECORD_TOTAL);
    CHECK_EQ(ew_channel_recv(channel, text, sizeof(text), &bytes, 5000 * MS, NULL), EW_EPROTO);
    ew_channel_free(channel);
    close(fd);
    close_server(&server);
}

/* ---- who writes the rest ---- */

static void *receive_one(void *channel)
{
    char text[8];
    size_t bytes;
    int code = ew_channel_recv(channel, text, sizeof(text), &bytes, -1, NULL);

    CHECK(code == EW_OK || code == EW_ECLOSED || code == EW_ELOST);
    return NULL;
}

/* A sender leaves more than the stack takes and goes; all that is left is a thread in recv. */
static void what_the_stack_did_not_take_is_written_while_a_thread_receives(void)
{
    const ew_context_options options = {.outbox_bytes = 2 * MIB};
    struct server server = open_server(&options);
    const size_t length = 600 * KIB;
    char *bytes = calloc(1, length);
    ew_channel *channel;
    pthread_t thread;
    size_t got = 0;
    int fd = raw_peer(&server, 4 * KIB);

    channel = accept_one(&server);
    pthread_create(&thread, NULL, receive_one, channel);
    usleep(50 * 1000);
    CHECK_EQ(ew_channel_send(channel, bytes, length, 5000 * MS, NULL), EW_OK);
    usleep(50 * 1000);
    while (got < length) {
        ssize_t more = recv(fd, bytes, length, 0);

        CHECK(more > 0);
        got += (size_t)more;
    }
    close(fd);
    pthread_join(thread, NULL);
    ew_channel_free(channel);
    free(bytes);
    close_server(&server);
}

static void a_peer_whose_wait_timed_out_still_takes_what_comes(void)
{
    struct server server = open_server(NULL);
    ew_channel *opened, *accepted;
    char text[8];
    size_t bytes;

    CHECK_EQ(connect_to(&server, &opened), EW_OK);
    accepted = accept_one(&server);
    CHECK_EQ(ew_channel_recv(accepted, text, sizeof(text), &bytes, 30 * MS, NULL), EW_ETIMEOUT);
    usleep(20 * 1000);
    CHECK_EQ(ew_channel_send(opened, "late", 4, 0, NULL), EW_OK);
    CHECK_EQ(ew_channel_close(opened, 3000 * MS, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(accepted, text, sizeof(text), &bytes, 0, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(accepted, text, sizeof(text), &bytes, 0, NULL), EW_EEND);
    ew_channel_free(opened);
    ew_channel_free(accepted);
    close_server(&server);
}

static void *send_much(void *channel)
{
    char *bytes = calloc(1, 2 * MIB);

    CHECK_EQ(ew_channel_send(channel, bytes, 2 * MIB, 20000 * MS, NULL), EW_OK);
    free(bytes);
    return NULL;
}

/* The other end receives it, and then all its threads are stuck in send: flush ends nevertheless,
 * as it does over shared memory. */
static void what_was_received_is_told_while_a_thread_waits_for_room(ew_wait_policy policy)
{
    const ew_context_options options = {.wait = (int32_t)policy};
    struct server server = open_server(&options);
    char *bytes = malloc(2 * MIB);
    ew_channel *opened, *accepted;
    pthread_t sender, receiver;
    size_t length;

    CHECK_EQ(connect_to(&server, &opened), EW_OK);
    accepted = accept_one(&server);
    pthread_create(&sender, NULL, send_much, accepted);
    usleep(100 * 1000);
    pthread_create(&receiver, NULL, receive_one, accepted);
    usleep(50 * 1000);
    CHECK_EQ(ew_channel_send(opened, "news", 4, 0, NULL), EW_OK);
    CHECK_EQ(ew_channel_flush(opened, 3000 * MS, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(opened, bytes, 2 * MIB, &length, 20000 * MS, NULL), EW_OK);
    pthread_join(sender, NULL);
    pthread_join(receiver, NULL);
    ew_channel_free(opened);
    ew_channel_free(accepted);
    free(bytes);
    close_server(&server);
}

static void what_was_received_is_told_while_a_thread_sleeps_for_room(void)
{
    what_was_received_is_told_while_a_thread_waits_for_room(EW_WAIT_BLOCK);
}

static void what_was_received_is_told_while_a_thread_spins_for_room(void)
{
    what_was_received_is_told_while_a_thread_waits_for_room(EW_WAIT_SPIN);
}

/* ---- no memory ---- */

static void a_connection_for_which_there_is_no_memory_is_refused(void)
{
    const ew_context_options options = {.memory_bytes_max = MIB, .outbox_bytes = 64 * KIB};
    struct server server = open_server(NULL), poor = open_server(&options);
    ew_connect_options connect = {
        .service = "echo", .address = poor.info.tcp_address, .timeout_ns = 5000 * MS};
    ew_channel *opened[16], *accepted;
    int count = 0, code;

    while ((code = ew_connect(server.context, &connect, &opened[count])) == EW_OK)
        CHECK(++count < 16);
    CHECK_EQ(code, EW_EMEMORY);
    CHECK(count > 0);
    while (count > 0) {
        accepted = accept_one(&poor);
        ew_channel_free(accepted);
        ew_channel_free(opened[--count]);
    }
    close_server(&poor);
    close_server(&server);
}

int main(void)
{
    RUN(a_fragment_after_which_nothing_is_missing_breaks_the_channel);
    RUN(what_the_stack_did_not_take_is_written_while_a_thread_receives);
    RUN(a_peer_whose_wait_timed_out_still_takes_what_comes);
    RUN(what_was_received_is_told_while_a_thread_sleeps_for_room);
    RUN(what_was_received_is_told_while_a_thread_spins_for_room);
    RUN(a_connection_for_which_there_is_no_memory_is_refused);
    return 0;
}
