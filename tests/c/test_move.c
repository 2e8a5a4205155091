/* tests/c/test_move.c - does a channel that changes its link lose, repeat or reorder a message?
 *
 * Both ends in one process, a listener on shared memory and on TCP; the opener switches between the
 * two. A message carries its number, and its length follows from it. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/c/pair_base.h"
#include "transport/channel/channel.h"

enum {
    SWITCHES = IS_SLOW ? 40 : 400,
    MESSAGE_MAX = 100 * 1024,
};

static int32_t path_of(ew_channel *channel)
{
    ew_channel_info info;

    CHECK_EQ(ew_channel_get_info(channel, &info), EW_OK);
    return info.path;
}

static void move_to(struct pair *pair, ew_path path)
{
    const char *address = path == EW_PATH_TCP ? pair->info.tcp_address : pair->info.local_address;
    int code = ew_channel_switch(pair->end[0], address, PATIENCE_MS * MS, NULL);

    if (code != EW_OK)
        printf("(%s) ", ew_error_text());
    CHECK_EQ(code, EW_OK);
    CHECK_EQ(path_of(pair->end[0]), path);
    CHECK_EQ(path_of(pair->end[1]), path);
}

/* ---- numbered messages ---- */

static size_t length_of(uint64_t number)
{
    struct harness_random random = {the_seed + number * 977};

    switch (harness_below(&random, 8)) {
    case 0:
        return 8 + (size_t)harness_below(&random, MESSAGE_MAX);
    case 1:
        return 8 + (size_t)harness_below(&random, 4096);
    default:
        return 8 + (size_t)harness_below(&random, 100);
    }
}

static void fill(uint8_t *bytes, size_t length, uint64_t number)
{
    memset(bytes, (int)(number % 251), length);
    memcpy(bytes, &number, sizeof(number));
}

static void send_number(ew_channel *channel, uint64_t number)
{
    static _Thread_local uint8_t bytes[MESSAGE_MAX + 8];
    size_t length = length_of(number);

    fill(bytes, length, number);
    CHECK_EQ(ew_channel_send(channel, bytes, length, PATIENCE_MS * MS, NULL), EW_OK);
}

static void receive_number(ew_channel *channel, uint64_t number)
{
    static _Thread_local uint8_t bytes[MESSAGE_MAX + 8], wanted[MESSAGE_MAX + 8];
    size_t length;

    CHECK_EQ(ew_channel_recv(channel, bytes, sizeof(bytes), &length, PATIENCE_MS * MS, NULL), EW_OK);
    CHECK_EQ(length, length_of(number));
    fill(wanted, length, number);
    CHECK(memcmp(bytes, wanted, length) == 0);
}

/* ---- without threads ---- */

/* catches: records not copied to the new outbox; START that is not the peer's taken; an inbox that
 * is left before it is empty; positions that a move sets back */
static void what_lies_unread_moves_along(void)
{
    struct pair pair = open_both(-1);
    static const ew_path paths[] = {EW_PATH_TCP, EW_PATH_SHM, EW_PATH_SHM, EW_PATH_TCP,
                                    EW_PATH_TCP, EW_PATH_SHM};
    uint64_t there = 0, back = 0, there_got = 0, back_got = 0;

    for (int turn = 0; turn < 60; turn++) {
        for (int i = 0; i < turn % 5 + 1; i++)
            send_number(pair.end[0], there++), send_number(pair.end[1], back++);
        move_to(&pair, paths[turn % 6]);
        for (int i = 0; i < 3 && there_got < there; i++)
            receive_number(pair.end[1], there_got++), receive_number(pair.end[0], back_got++);
    }
    while (there_got < there)
        receive_number(pair.end[1], there_got++), receive_number(pair.end[0], back_got++);
    close_both(&pair);
}

/* catches: got_eof and got_close that a session does not learn; a move that forgets eof_sent */
static void ends_cross_a_move(void)
{
    struct pair pair = open_both(-1);
    uint8_t byte;
    size_t length;

    send_number(pair.end[0], 1);
    CHECK_EQ(ew_channel_send_eof(pair.end[0]), EW_OK);
    move_to(&pair, EW_PATH_TCP);
    receive_number(pair.end[1], 1);
    CHECK_EQ(ew_channel_recv(pair.end[1], &byte, 1, &length, PATIENCE_MS * MS, NULL), EW_EEND);
    move_to(&pair, EW_PATH_SHM);
    CHECK_EQ(ew_channel_recv(pair.end[1], &byte, 1, &length, 0, NULL), EW_EEND);
    CHECK_EQ(ew_channel_send(pair.end[0], "x", 1, 0, NULL), EW_ECLOSED);
    move_to(&pair, EW_PATH_TCP);
    send_number(pair.end[1], 2);
    receive_number(pair.end[0], 2);
    CHECK_EQ(ew_channel_close(pair.end[1], PATIENCE_MS * MS, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(pair.end[0], &byte, 1, &length, PATIENCE_MS * MS, NULL), EW_EEND);
    close_both(&pair);
}

/* catches: a failed dial that leaves the old link, or the channel frozen */
static void a_switch_that_fails_changes_nothing(void)
{
    struct pair pair = open_both(-1);

    CHECK_EQ(ew_channel_switch(pair.end[0], "tcp://127.0.0.1:1", PATIENCE_MS * MS, NULL),
             EW_EUNREACHABLE);
    CHECK_EQ(ew_channel_switch(pair.end[0], "nowhere", 0, NULL), EW_EINVAL);
    CHECK_EQ(ew_channel_switch(pair.end[1], pair.info.tcp_address, 0, NULL), EW_EINVAL);
    CHECK_EQ(path_of(pair.end[0]), EW_PATH_SHM);
    for (uint64_t number = 0; number < 10; number++) {
        send_number(pair.end[0], number), send_number(pair.end[1], number);
        receive_number(pair.end[1], number), receive_number(pair.end[0], number);
    }
    close_both(&pair);
}

static struct pair open_one_that_stays(int end)
{
    const ew_context_options stays = {.grace_ns = -1, .shm_stays = 1}, moves = {.grace_ns = -1};
    struct pair pair = {0};

    CHECK_EQ(ew_context_open(end == 0 ? &stays : &moves, &pair.client), EW_OK);
    CHECK_EQ(ew_context_open(end == 1 ? &stays : &moves, &pair.server), EW_OK);
    open_listener(&pair, true);
    return pair;
}

/* catches: either end's word that what was opened over shared memory stays there, not kept; and kept
 * too well, by a channel that was opened over TCP */
static void either_end_may_keep_a_channel_on_shared_memory(void)
{
    for (int end = 0; end < 2; end++) {
        struct pair pair = open_one_that_stays(end);
        const char *first[] = {pair.info.local_address, pair.info.tcp_address};

        for (int began = 0; began < 2; began++) {
            pair.connect.address = first[began];
            CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
            CHECK_EQ(ew_listener_accept(pair.listener, PATIENCE_MS * MS, NULL, &pair.end[1]), EW_OK);
            move_to(&pair, EW_PATH_SHM);
            if (began == 0) {
                CHECK_EQ(ew_channel_switch(pair.end[0], pair.info.tcp_address, PATIENCE_MS * MS, NULL),
                         EW_EACCESS);
                CHECK(strstr(ew_error_text(), "opened over shared memory stays there") != NULL);
                CHECK_EQ(path_of(pair.end[0]), EW_PATH_SHM);
                CHECK_EQ(path_of(pair.end[1]), EW_PATH_SHM);
            } else {
                move_to(&pair, EW_PATH_TCP);
            }
            send_number(pair.end[0], 1), receive_number(pair.end[1], 1);
            ew_channel_free(pair.end[0]);
            ew_channel_free(pair.end[1]);
            pair.end[0] = pair.end[1] = NULL;
        }
        close_both(&pair);
    }
}

static void changes_are_remembered(void)
{
    struct pair pair = open_both(-1);
    ew_path_change changes[EW_PATH_CHANGES_KEPT];
    ew_channel_stats stats;

    CHECK_EQ(ew_channel_get_path_changes(pair.end[0], changes, EW_PATH_CHANGES_KEPT), 0);
    for (int i = 0; i < 5; i++)
        move_to(&pair, EW_PATH_TCP), move_to(&pair, EW_PATH_SHM);
    for (int end = 0; end < 2; end++) {
        CHECK_EQ(ew_channel_get_stats(pair.end[end], &stats), EW_OK);
        CHECK_EQ(stats.path_changes, 10);
        CHECK_EQ(ew_channel_get_path_changes(pair.end[end], changes, EW_PATH_CHANGES_KEPT), 8);
        CHECK_EQ(changes[7].from, EW_PATH_TCP);
        CHECK_EQ(changes[7].to, EW_PATH_SHM);
        CHECK_EQ(changes[7].generation, 11);
        CHECK(changes[7].took_ns > 0 && changes[6].at_ns < changes[7].at_ns);
    }
    close_both(&pair);
}

/* ---- under load ---- */

struct flow {
    pthread_t thread;
    ew_channel *channel;
    _Atomic uint64_t count;
    _Atomic bool *stop;
};

static void *send_all(void *object)
{
    struct flow *flow = object;

    while (!atomic_load(flow->stop))
        send_number(flow->channel, flow->count++);
    return NULL;
}

static void *receive_all(void *object)
{
    struct flow *flow = object;
    size_t length;
    int code;

    while ((code = ew_channel_recv(flow->channel, NULL, 0, &length, PATIENCE_MS * MS, NULL)) ==
           EW_ETOOBIG) /* it stays */
        receive_number(flow->channel, flow->count++);
    if (code != EW_EEND)
        printf("(%s) ", ew_error_text());
    CHECK_EQ(code, EW_EEND);
    return NULL;
}

/* catches: a sleeper that does not lend its lock; a mover that does not wait for it; a receiver that
 * stays on the old ring; an ACK or a kick lost with its link */
static void nothing_is_lost_while_four_threads_use_it(void)
{
    struct pair pair = open_both(-1);
    _Atomic bool stop = false;
    struct flow senders[2], receivers[2];
    struct harness_random random = {the_seed};
    ew_path path = EW_PATH_SHM;

    for (int end = 0; end < 2; end++) {
        senders[end] = (struct flow){.channel = pair.end[end], .stop = &stop};
        receivers[end] = (struct flow){.channel = pair.end[!end], .stop = &stop};
        CHECK_EQ(pthread_create(&senders[end].thread, NULL, send_all, &senders[end]), 0);
        CHECK_EQ(pthread_create(&receivers[end].thread, NULL, receive_all, &receivers[end]), 0);
    }
    for (int i = 0; i < SWITCHES; i++) {
        if (harness_below(&random, 4) != 0) /* else to another link of the same kind */
            path = path == EW_PATH_SHM ? EW_PATH_TCP : EW_PATH_SHM;
        move_to(&pair, path);
    }
    atomic_store(&stop, true);
    for (int end = 0; end < 2; end++) {
        pthread_join(senders[end].thread, NULL);
        CHECK_EQ(ew_channel_send_eof(pair.end[end]), EW_OK);
    }
    for (int end = 0; end < 2; end++) {
        pthread_join(receivers[end].thread, NULL);
        CHECK_EQ(receivers[end].count, senders[end].count);
    }
    printf("(%d switches, %llu messages) ", SWITCHES,
           (unsigned long long)(senders[0].count + senders[1].count));
    close_both(&pair);
}

struct waiter {
    pthread_t thread;
    ew_channel *channel;
    int code;
};

static void *wait_for_one(void *object)
{
    struct waiter *waiter = object;
    uint8_t bytes[64];
    size_t length;

    waiter->code = ew_channel_recv(waiter->channel, bytes, sizeof(bytes), &length, PATIENCE_MS * MS,
                                   NULL);
    return NULL;
}

/* catches: a sleeper that is not nudged; a wake-up that goes to the old link */
static void who_sleeps_through_a_move_hears_the_next_message(void)
{
    struct pair pair = open_both(-1);

    for (int turn = 0; turn < 20; turn++) {
        struct waiter waiter = {.channel = pair.end[turn % 2]};
        ew_channel_stats stats;

        CHECK_EQ(pthread_create(&waiter.thread, NULL, wait_for_one, &waiter), 0);
        do
            CHECK_EQ(ew_channel_get_stats(waiter.channel, &stats), EW_OK);
        while (stats.recv_waiting == 0);
        move_to(&pair, turn % 3 == 0 ? EW_PATH_TCP : EW_PATH_SHM);
        CHECK_EQ(ew_channel_send(pair.end[!(turn % 2)], "x", 1, 0, NULL), EW_OK);
        pthread_join(waiter.thread, NULL);
        CHECK_EQ(waiter.code, EW_OK);
    }
    close_both(&pair);
}

/* As if the network were cut, for good. */
static void cut(struct pair *pair)
{
    struct stream_link *link = &pair->end[1]->link->stream;

    ew_listener_close(pair->listener);
    link->ops->break_off(link->stack, link->stream);
}

/* catches: a poller that only its time limit wakes, when the grace time is over */
static void who_sleeps_hears_that_a_lost_link_stays_lost(void)
{
    struct pair pair = open_both(100 * MS);
    struct waiter waiters[2];

    move_to(&pair, EW_PATH_TCP);
    for (int end = 0; end < 2; end++) {
        waiters[end] = (struct waiter){.channel = pair.end[end]};
        CHECK_EQ(pthread_create(&waiters[end].thread, NULL, wait_for_one, &waiters[end]), 0);
    }
    cut(&pair);
    for (int end = 0; end < 2; end++) {
        uint64_t began = ewi_now_ns();

        pthread_join(waiters[end].thread, NULL);
        CHECK_EQ(waiters[end].code, EW_ELOST);
        CHECK(ewi_now_ns() - began < (uint64_t)(PATIENCE_MS / 2 * MS));
    }
    close_both(&pair);
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(what_lies_unread_moves_along);
    RUN(ends_cross_a_move);
    RUN(a_switch_that_fails_changes_nothing);
    RUN(either_end_may_keep_a_channel_on_shared_memory);
    RUN(changes_are_remembered);
    RUN(who_sleeps_through_a_move_hears_the_next_message);
    RUN(who_sleeps_hears_that_a_lost_link_stays_lost);
    RUN(nothing_is_lost_while_four_threads_use_it);
    rmdir(directory);
    return 0;
}
