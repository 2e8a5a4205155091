/* One thread receives on a stream and another one drives it: who is told of what was stored, and when?
 * The file is included, so that its functions can be called as the other thread would. */
#include <fcntl.h>
#include <pthread.h>

#include "tests/c/pair_base.h"
#include "transport/stream/link.c"

static struct pair pair;
static ew_channel *channel;
static struct link_ops slow;
static pthread_t driver;
static int note[2]; /* a pipe that is full: who writes to it stands still until it is emptied */
static _Atomic bool stored, received;

static void fill_the_pipe(void)
{
    const uint64_t one = 1;

    CHECK(pipe2(note, O_CLOEXEC | O_NONBLOCK) == 0);
    while (write(note[1], &one, sizeof(one)) > 0)
        ;
    CHECK(fcntl(note[1], F_SETFL, 0) == 0);
}

static void empty_the_pipe(void)
{
    char bytes[4096];

    while (read(note[0], bytes, sizeof(bytes)) > 0)
        ;
}

/* What a thread does that sends, or waits for room: it takes in what has arrived. It stands still
 * where it tells the others. */
static void *drive_until_stored(void *unused)
{
    (void)unused;
    while (!atomic_load(&stored))
        ring(channel, BELL_IN);
    return NULL;
}

/* The receiver has looked and found nothing, and is about to sleep: now the message comes, and the
 * other thread stores it. */
static nfds_t store_then_sleep(ew_channel *unused, struct pollfd fds[LINK_FDS_MAX])
{
    (void)unused;
    if (channel->note_fd < 0) { /* the first time */
        CHECK_EQ(ew_channel_send(pair.end[1], "12345678", 8, -1, NULL), EW_OK);
        channel->note_fd = note[1];
        CHECK_EQ(pthread_create(&driver, NULL, drive_until_stored, NULL), 0);
        while (!ewi_ring_has_record(&channel->reader))
            ewi_relax();
        atomic_store(&stored, true);
    }
    return sleep_fds(channel, fds);
}

static void *receive(void *unused)
{
    char bytes[8];
    size_t length;

    (void)unused;
    CHECK_EQ(ew_channel_recv(channel, bytes, sizeof(bytes), &length, 5000 * MS, NULL), EW_OK);
    atomic_store(&received, true);
    return NULL;
}

static void nothing(void *object, uint32_t bits, uint64_t now_ns)
{
    (void)object, (void)bits, (void)now_ns;
}

/* It would drive as well, and stand still with its mutex, for which a receiver waits: neither in its turn,
 * nor for an event that is under way. */
static void keep_the_reactor_out(void)
{
    struct stream_link *link = &channel->link->stream;

    ewi_stream_user_set(link->on, link->user, nothing, NULL);
    ewi_cover_forget(link);
}

/* catches: the drive lock given back before the others are told: the receiver finds the stream empty
 * and nothing told, and sleeps beside its message */
static void a_message_that_another_thread_stored_wakes_the_receiver(void)
{
    const ew_context_options options = {.wait = EW_WAIT_BLOCK};
    pthread_t receiver;

    fill_the_pipe();
    CHECK_EQ(ew_context_open(NULL, &pair.server), EW_OK);
    CHECK_EQ(ew_context_open(&options, &pair.client), EW_OK);
    open_listener(&pair, true);
    CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, -1, NULL, &pair.end[1]), EW_OK);
    channel = pair.end[0];
    keep_the_reactor_out();
    slow = ewi_stream_link;
    slow.sleep_fds = store_then_sleep;
    channel->ops = &slow;
    CHECK_EQ(pthread_create(&receiver, NULL, receive, NULL), 0);
    while (!atomic_load(&received) && channel->link->stream.drive_lock.waiters == 0)
        ewi_relax(); /* until it waits for the one who stands still */
    empty_the_pipe();
    CHECK_EQ(pthread_join(receiver, NULL), 0);
    CHECK_EQ(pthread_join(driver, NULL), 0);
    channel->note_fd = -1;
    ew_channel_free(pair.end[0]);
    ew_channel_free(pair.end[1]);
    ew_listener_free(pair.listener);
    ew_context_close(pair.client);
    ew_context_close(pair.server);
    close(note[0]);
    close(note[1]);
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(a_message_that_another_thread_stored_wakes_the_receiver);
    rmdir(directory);
    return 0;
}
