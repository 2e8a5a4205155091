/* tests/c/test_move_end.c - a channel that is closed, or whose peer is slow, while it moves. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "tests/c/pair_base.h"

/* ---- a TCP port at which nobody answers, until it is opened ---- */

struct shut_door {
    int fd, queued[4];
    char address[64];
};

static struct shut_door shut_door(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t length = sizeof(name);
    struct shut_door door;

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    door.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(door.fd, (struct sockaddr *)&name, sizeof(name)), 0);
    CHECK_EQ(listen(door.fd, 0), 0);
    CHECK_EQ(getsockname(door.fd, (struct sockaddr *)&name, &length), 0);
    snprintf(door.address, sizeof(door.address), "tcp://127.0.0.1:%d", ntohs(name.sin_port));
    for (int i = 0; i < 4; i++) { /* more than the queue has room for */
        door.queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(door.queued[i], (struct sockaddr *)&name, sizeof(name));
    }
    return door;
}

/* Whoever knocks is let in. */
static void open_door(struct shut_door *door)
{
    for (int i = 0; i < 4; i++)
        close(door->queued[i]);
    CHECK_EQ(listen(door->fd, 16), 0);
    close(accept(door->fd, NULL, NULL));
}

/* ---- a switch in a thread ---- */

struct mover {
    pthread_t thread;
    ew_channel *channel;
    const char *address;
    int64_t timeout_ns;
    int code;
};

static void *move_it(void *object)
{
    struct mover *mover = object;

    mover->code = ew_channel_switch(mover->channel, mover->address, mover->timeout_ns, NULL);
    return NULL;
}

static void start_move(struct mover *mover)
{
    CHECK_EQ(pthread_create(&mover->thread, NULL, move_it, mover), 0);
}

static void sleep_ms(int ms)
{
    usleep((unsigned)ms * 1000);
}

/* catches: a look at the peer's memory, which is not there any more */
static void a_closed_channel_is_not_switched(void)
{
    struct pair pair = open_both(-1);

    ew_channel_abort(pair.end[0]);
    CHECK_EQ(ew_channel_switch(pair.end[0], pair.info.tcp_address, 0, NULL), EW_ECLOSED);
    close_both(&pair);
}

/* catches: a mover that brings to rest what was released while it dialled; one that dials on */
static void a_channel_may_be_aborted_while_it_is_dialled(void)
{
    struct pair pair = open_both(-1);
    struct shut_door door = shut_door();
    struct mover mover = {
        .channel = pair.end[0], .address = door.address, .timeout_ns = PATIENCE_MS * MS};

    CHECK_EQ(ew_channel_send(pair.end[0], "x", 1, 0, NULL), EW_OK);
    start_move(&mover);
    sleep_ms(100);
    ew_channel_abort(pair.end[0]);
    pthread_join(mover.thread, NULL); /* nobody has opened the door */
    CHECK_EQ(mover.code, EW_ECLOSED);
    open_door(&door);
    close(door.fd);
    close_both(&pair);
}

/* catches: a channel that rests from the first SYN on */
static void a_channel_is_used_while_it_is_dialled(void)
{
    struct pair pair = open_both(-1);
    struct shut_door door = shut_door();
    struct mover mover = {.channel = pair.end[0], .address = door.address, .timeout_ns = 500 * MS};
    uint8_t byte;
    size_t length;

    start_move(&mover);
    sleep_ms(100);
    CHECK_EQ(ew_channel_switch(pair.end[0], pair.info.tcp_address, 0, NULL), EW_EAGAIN);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(ew_channel_send(pair.end[0], "x", 1, 0, NULL), EW_OK);
        CHECK_EQ(ew_channel_recv(pair.end[1], &byte, 1, &length, 0, NULL), EW_OK);
        CHECK_EQ(ew_channel_send(pair.end[1], "y", 1, 0, NULL), EW_OK);
        CHECK_EQ(ew_channel_recv(pair.end[0], &byte, 1, &length, 0, NULL), EW_OK);
    }
    pthread_join(mover.thread, NULL);
    CHECK_EQ(mover.code, EW_ETIMEOUT);
    open_door(&door);
    close(door.fd);
    close_both(&pair);
}

/* catches: a switch that fails because another one is on its way */
static void switches_wait_for_each_other(void)
{
    struct pair pair = open_both(-1);
    struct shut_door door = shut_door();
    struct mover slow = {.channel = pair.end[0], .address = door.address, .timeout_ns = 300 * MS};
    struct mover next = {
        .channel = pair.end[0], .address = pair.info.tcp_address, .timeout_ns = PATIENCE_MS * MS};
    ew_channel_stats stats;

    start_move(&slow);
    sleep_ms(100);
    start_move(&next);
    pthread_join(slow.thread, NULL);
    pthread_join(next.thread, NULL);
    CHECK_EQ(slow.code, EW_ETIMEOUT);
    CHECK_EQ(next.code, EW_OK);
    CHECK_EQ(ew_channel_get_stats(pair.end[0], &stats), EW_OK);
    CHECK_EQ(stats.path_changes, 1);
    open_door(&door);
    close(door.fd);
    close_both(&pair);
}

/* catches: a dialler that has no room for the peer's memory, hangs up, and kills the channel at the
 * end that has gone over */
static void a_switch_that_fails_after_the_welcome_is_undone(void)
{
    const ew_context_options little = {.peer_bytes_max = 4096, .grace_ns = -1};
    struct pair pair = {0};
    uint8_t byte;
    size_t length;

    CHECK_EQ(ew_context_open(NULL, &pair.server), EW_OK);
    CHECK_EQ(ew_context_open(&little, &pair.client), EW_OK);
    open_listener(&pair, true);
    CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, PATIENCE_MS * MS, NULL, &pair.end[1]), EW_OK);
    for (int turn = 0; turn < 3; turn++) {
        CHECK_EQ(ew_channel_send(pair.end[0], "x", 1, 0, NULL), EW_OK);
        CHECK_EQ(ew_channel_send(pair.end[1], "y", 1, 0, NULL), EW_OK);
        CHECK_EQ(ew_channel_switch(pair.end[0], pair.info.local_address, PATIENCE_MS * MS, NULL),
                 EW_EMEMORY);
        CHECK_EQ(ew_channel_recv(pair.end[1], &byte, 1, &length, PATIENCE_MS * MS, NULL), EW_OK);
        CHECK_EQ(ew_channel_recv(pair.end[0], &byte, 1, &length, PATIENCE_MS * MS, NULL), EW_OK);
    }
    close_both(&pair);
}

/* ---- closing ---- */

struct closer {
    pthread_t thread;
    ew_channel *channel;
    int code;
};

static void *close_it(void *object)
{
    struct closer *closer = object;

    closer->code = ew_channel_close(closer->channel, PATIENCE_MS * MS, NULL);
    return NULL;
}

static void await_end(ew_channel *channel)
{
    ew_channel_info info;

    do
        CHECK_EQ(ew_channel_get_info(channel, &info), EW_OK);
    while (info.end_code == EW_OK);
}

/* catches: an inbox that a closing end does not fill any more, taken for one that is where the
 * session is */
static void a_closing_end_drops_what_arrives_and_moves_all_the_same(void)
{
    static uint8_t message[4000];
    struct pair pair = open_both(-1);
    struct closer closer = {.channel = pair.end[1]};
    size_t length;
    int sent = 0, got = 0, code;

    CHECK_EQ(ew_channel_switch(pair.end[0], pair.info.tcp_address, PATIENCE_MS * MS, NULL), EW_OK);
    while (ew_channel_send(pair.end[1], message, sizeof(message), 200 * MS, NULL) == EW_OK)
        sent++;
    CHECK_EQ(pthread_create(&closer.thread, NULL, close_it, &closer), 0);
    await_end(pair.end[1]);
    sleep_ms(50); /* now its link knows, too */
    for (int turn = 0; turn < 4; turn++) {
        ew_channel_stats stats;

        for (int i = 0; i < 5; i++)
            CHECK_EQ(ew_channel_send(pair.end[0], message, 100, 0, NULL), EW_OK);
        do
            CHECK_EQ(ew_channel_get_stats(pair.end[0], &stats), EW_OK);
        while (turn % 2 == 0 && stats.position_peer_taken < stats.position_sent);
        CHECK_EQ(ew_channel_switch(pair.end[0], pair.info.tcp_address, PATIENCE_MS * MS, NULL), EW_OK);
    }
    while ((code = ew_channel_recv(pair.end[0], message, sizeof(message), &length, PATIENCE_MS * MS,
                                   NULL)) == EW_OK)
        got++;
    CHECK_EQ(code, EW_EEND);
    CHECK_EQ(got, sent);
    pthread_join(closer.thread, NULL);
    CHECK_EQ(closer.code, EW_OK);
    close_both(&pair);
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(a_closed_channel_is_not_switched);
    RUN(a_channel_may_be_aborted_while_it_is_dialled);
    RUN(a_channel_is_used_while_it_is_dialled);
    RUN(switches_wait_for_each_other);
    RUN(a_switch_that_fails_after_the_welcome_is_undone);
    RUN(a_closing_end_drops_what_arrives_and_moves_all_the_same);
    rmdir(directory);
    return 0;
}
