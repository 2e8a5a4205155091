/* Connections that come and go: a listener that closes under them, a queue that nobody empties, and
 * nothing that stays behind. Both paths, both ends in one process; meant for the sanitizers. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/c/pair_base.h"

enum { STORM_MS = IS_SLOW ? 500 : 1000, CONNECTS = 200 };

/* ---- a storm ---- */

struct storm {
    pthread_t thread;
    const struct pair *pair;
    _Atomic bool *stop;
    uint64_t seed;
};

static void *connect_and_leave(void *argument)
{
    struct storm *storm = argument;
    struct harness_random random = {storm->seed};
    ew_connect_options connect = storm->pair->connect;
    ew_channel *channel;

    while (!atomic_load(storm->stop)) {
        int code;

        connect.timeout_ns = (int64_t)harness_below(&random, 100) * MS;
        code = ew_connect(storm->pair->client, &connect, &channel);
        if (code != EW_OK) {
            CHECK(code == EW_EUNREACHABLE || code == EW_ENOTFOUND || code == EW_EFULL ||
                  code == EW_EDRAINING || code == EW_EAGAIN || code == EW_ETIMEOUT ||
                  code == EW_EMEMORY); /* peer_bytes_max, when the queue is long */
            continue;
        }
        code = ew_channel_send(channel, "hello", 5, 0, NULL);
        CHECK(code == EW_OK || code == EW_ELOST || code == EW_EEND);
        if (harness_below(&random, 2) == 0)
            ew_channel_close(channel, (int64_t)harness_below(&random, 3) * MS, NULL);
        ew_channel_free(channel);
    }
    return NULL;
}

static void *accept_some(void *argument)
{
    struct storm *storm = argument;
    struct harness_random random = {storm->seed};
    ew_channel *channel;
    char text[8];
    size_t bytes;
    int code;

    while ((code = ew_listener_accept(storm->pair->listener, MS, NULL, &channel)) != EW_ECLOSED) {
        if (code != EW_OK)
            continue;
        code = ew_channel_recv(channel, text, sizeof(text), &bytes, MS, NULL);
        CHECK(code == EW_OK || code == EW_ELOST || code == EW_EEND || code == EW_ETIMEOUT);
        ew_channel_free(channel);
        if (harness_below(&random, 8) == 0)
            usleep(5000); /* the queue grows */
    }
    return NULL;
}

static void a_listener_closes_during_a_storm(bool tcp)
{
    _Atomic bool stop = false;
    struct storm storms[4];
    struct pair pair;

    open_contexts(&pair, tcp);
    for (uint64_t i = 0; i < 4; i++) {
        storms[i] = (struct storm){.pair = &pair, .stop = &stop, .seed = the_seed + i};
        pthread_create(&storms[i].thread, NULL, i == 3 ? accept_some : connect_and_leave,
                       &storms[i]);
    }
    usleep(STORM_MS * 1000);
    ew_listener_close(pair.listener); /* waiting channels go with it */
    pthread_join(storms[3].thread, NULL);
    usleep(20 * 1000);
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(storms[i].thread, NULL);
    ew_listener_free(pair.listener);
    check_empty(pair.client);
    check_empty(pair.server);
    ew_context_close(pair.server);
    ew_context_close(pair.client);
}

static void who_is_never_accepted_is_told_when_the_listener_goes(bool tcp)
{
    struct pair pair;
    ew_channel *channels[8];
    char text[8];
    size_t bytes;

    open_contexts(&pair, tcp);
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(ew_connect(pair.client, &pair.connect, &channels[i]), EW_OK);
        CHECK_EQ(ew_channel_send(channels[i], "hello", 5, 0, NULL), EW_OK);
    }
    ew_context_close(pair.server); /* with a listener that lives, and its queue */
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(ew_channel_recv(channels[i], text, sizeof(text), &bytes, 20000 * MS, NULL),
                 EW_ELOST);
        ew_channel_free(channels[i]);
    }
    ew_listener_free(pair.listener);
    check_empty(pair.client);
    ew_context_close(pair.client);
}

/* ---- nothing stays ---- */

static int open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void after_many_connections_nothing_stays(bool tcp)
{
    int before = open_descriptors();
    struct pair pair;

    open_contexts(&pair, tcp);
    for (int i = 0; i < CONNECTS; i++) {
        CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
        CHECK_EQ(ew_listener_accept(pair.listener, 20000 * MS, NULL, &pair.end[1]), EW_OK);
        CHECK(ew_channel_fileno(pair.end[i % 2]) >= 0);
        CHECK_EQ(ew_channel_close(pair.end[i % 2], 20000 * MS, NULL), EW_OK);
        ew_channel_free(pair.end[i / 2 % 2]);
        ew_channel_free(pair.end[!(i / 2 % 2)]);
    }
    check_empty(pair.client);
    check_empty(pair.server);
    ew_listener_free(pair.listener);
    ew_context_close(pair.server);
    ew_context_close(pair.client);
    CHECK_EQ(open_descriptors(), before);
}

BOTH(a_listener_closes_during_a_storm)
BOTH(who_is_never_accepted_is_told_when_the_listener_goes)
BOTH(after_many_connections_nothing_stays)

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(over_shm_after_many_connections_nothing_stays);
    RUN(over_tcp_after_many_connections_nothing_stays);
    RUN(over_shm_a_listener_closes_during_a_storm);
    RUN(over_tcp_a_listener_closes_during_a_storm);
    RUN(over_shm_who_is_never_accepted_is_told_when_the_listener_goes);
    RUN(over_tcp_who_is_never_accepted_is_told_when_the_listener_goes);
    rmdir(directory);
    return 0;
}
