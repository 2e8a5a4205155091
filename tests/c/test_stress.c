/* The whole library under threads: many on one channel, ends at any moment, everything freed in any
 * order. Both paths, both ends in one process; meant for the sanitizers.
 *
 * A message of 32 bytes or more says who sent it, the how-manieth it is and what its bytes add up
 * to; of shorter ones only the number counts. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/c/pair_base.h"

enum {
    ROUNDS = IS_SLOW ? 12 : 40,
    CROWD_MS = IS_SLOW ? 800 : 1500,
    SENDERS = 3,
    RECEIVERS = 2,
    HEAD_BYTES = 32,
    MESSAGE_MAX = 300 * 1024,
    SEQUENCES_MAX = 1 << 20,
};

/* Handles go in any order, contexts before or after what was made from them. */
static void free_in_any_order(struct pair *pair, struct harness_random *random)
{
    bool gone[5] = {false};

    for (int left = 5; left > 0;) {
        uint64_t which = harness_below(random, 5);

        if (gone[which])
            continue;
        gone[which] = true;
        left--;
        if (which < 2)
            ew_channel_free(pair->end[which]);
        else if (which == 2)
            ew_listener_free(pair->listener);
        else
            ew_context_close(which == 3 ? pair->server : pair->client);
    }
}

/* ---- messages ---- */

struct traffic { /* one direction */
    ew_channel *from, *to;
    _Atomic uint64_t sent[SENDERS], short_sent, short_got, got;
    _Atomic uint32_t senders, over; /* over: an error may come now */
    atomic_uchar *seen[SENDERS];
};

struct worker {
    pthread_t thread;
    struct traffic *traffic;
    ew_channel *channel;
    uint32_t id;
    _Atomic bool *stop;
};

static uint64_t sum_of(const uint8_t *bytes, size_t length)
{
    uint64_t sum = length, word;

    for (size_t at = 0; at + sizeof(word) <= length; at += sizeof(word)) {
        memcpy(&word, bytes + at, sizeof(word));
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15) + (sum >> 29);
    }
    return sum;
}

static void write_head(uint8_t *bytes, size_t length, uint64_t id, uint64_t sequence)
{
    const uint64_t head[3] = {id, sequence, length};
    uint64_t sum;

    memcpy(bytes, head, sizeof(head));
    memcpy(bytes + HEAD_BYTES + (sequence * 64) % (length - HEAD_BYTES + 1) / 2, "mark",
           length >= HEAD_BYTES + 8 ? 4 : 0);
    sum = sum_of(bytes + HEAD_BYTES, length - HEAD_BYTES) ^ sum_of(bytes, 24);
    memcpy(bytes + 24, &sum, sizeof(sum));
}

/* last: what this receiver has got from each sender; order is kept for each. */
static void check_message(struct traffic *traffic, const uint8_t *bytes, size_t length,
                          int64_t last[SENDERS])
{
    uint64_t head[3], sum;

    atomic_fetch_add(&traffic->got, 1);
    if (length < HEAD_BYTES) {
        atomic_fetch_add(&traffic->short_got, 1);
        return;
    }
    memcpy(head, bytes, sizeof(head));
    memcpy(&sum, bytes + 24, sizeof(sum));
    CHECK(head[0] < SENDERS && head[1] < SEQUENCES_MAX);
    CHECK_EQ(head[2], length);
    CHECK(sum == (sum_of(bytes + HEAD_BYTES, length - HEAD_BYTES) ^ sum_of(bytes, 24)));
    CHECK((int64_t)head[1] > last[head[0]]);
    last[head[0]] = (int64_t)head[1];
    CHECK_EQ(atomic_exchange(&traffic->seen[head[0]][head[1]], 1), 0);
}

static size_t pick_length(struct harness_random *random)
{
    switch (harness_below(random, 8)) {
    case 0:
        return harness_below(random, HEAD_BYTES);
    case 1:
        return harness_between(random, HEAD_BYTES, MESSAGE_MAX);
    case 2:
        return harness_between(random, 30 * 1024, 70 * 1024);
    default:
        return harness_between(random, HEAD_BYTES, 2000);
    }
}

static int64_t pick_timeout(struct harness_random *random)
{
    switch (harness_below(random, 4)) {
    case 0:
        return 0;
    case 1:
        return (int64_t)harness_below(random, 300 * 1000);
    default:
        return (int64_t)harness_below(random, 50) * MS;
    }
}

static bool try_again(int code)
{
    return code == EW_EAGAIN || code == EW_ETIMEOUT;
}

static void check_end_code(const struct traffic *traffic, int64_t code)
{
    CHECK(code == EW_ECLOSED || code == EW_ELOST || code == EW_EEND);
    CHECK(code == EW_EEND || atomic_load(&traffic->over));
}

static int64_t send_somehow(struct worker *worker, struct harness_random *random,
                            const uint8_t *bytes, size_t length)
{
    int64_t timeout = pick_timeout(random);
    size_t cut = harness_below(random, length + 1);
    const ew_part parts[2] = {{bytes, cut}, {bytes + cut, length - cut}};
    const ew_part whole = {bytes, length};

    switch (harness_below(random, 3)) {
    case 0:
        return ew_channel_send_parts(worker->channel, parts, 2, timeout, NULL);
    case 1:
        timeout = ew_channel_send_many(worker->channel, &whole, 1, timeout, NULL);
        return timeout == 1 ? EW_OK : timeout;
    default:
        return ew_channel_send(worker->channel, bytes, length, timeout, NULL);
    }
}

static void *send_all(void *argument)
{
    struct worker *worker = argument;
    struct traffic *traffic = worker->traffic;
    struct harness_random random = {the_seed + worker->id * 7919};
    uint8_t *bytes = calloc(1, MESSAGE_MAX);
    uint64_t sequence = 0;
    int64_t code = EW_OK;

    while (!atomic_load(worker->stop) && code == EW_OK && sequence < SEQUENCES_MAX) {
        size_t length = pick_length(&random);

        if (length >= HEAD_BYTES)
            write_head(bytes, length, worker->id, sequence);
        do {
            code = send_somehow(worker, &random, bytes, length);
        } while (try_again((int)code) && !atomic_load(worker->stop));
        if (code == EW_OK && length >= HEAD_BYTES)
            atomic_store(&traffic->sent[worker->id], ++sequence);
        else if (code == EW_OK)
            atomic_fetch_add(&traffic->short_sent, 1);
    }
    if (!try_again((int)code) && code != EW_OK)
        check_end_code(traffic, code);
    if (atomic_fetch_sub(&traffic->senders, 1) == 1)
        ew_channel_send_eof(worker->channel);
    free(bytes);
    return NULL;
}

static int receive_somehow(ew_channel *channel, struct harness_random *random, uint8_t *bytes,
                           size_t *length)
{
    int64_t timeout = pick_timeout(random);
    int code;

    switch (harness_below(random, 4)) {
    case 0:
        code = ew_channel_recv_begin(channel, length, timeout, NULL);
        if (code != EW_OK)
            return code;
        if (harness_below(random, 3) > 0) {
            CHECK(*length <= MESSAGE_MAX);
            return ew_channel_recv_copy(channel, bytes, timeout, NULL);
        }
        ew_channel_recv_cancel(channel);
        return EW_EAGAIN;
    case 1:
        code = ew_channel_recv(channel, bytes, 100, length, timeout, NULL);
        if (code == EW_ETOOBIG)
            CHECK(*length > 100);
        return code == EW_ETOOBIG ? EW_EAGAIN : code;
    default:
        return ew_channel_recv(channel, bytes, MESSAGE_MAX, length, timeout, NULL);
    }
}

static void *receive_all(void *argument)
{
    struct worker *worker = argument;
    struct harness_random random = {the_seed + worker->id * 104729 + 1};
    uint8_t *bytes = malloc(MESSAGE_MAX);
    int64_t last[SENDERS] = {-1, -1, -1};
    int code = EW_EAGAIN;

    while (code == EW_OK || try_again(code)) {
        size_t length = 0;

        code = receive_somehow(worker->channel, &random, bytes, &length);
        if (code == EW_OK)
            check_message(worker->traffic, bytes, length, last);
    }
    check_end_code(worker->traffic, code);
    free(bytes);
    return NULL;
}

static void *look_on(void *argument)
{
    struct worker *worker = argument;
    struct harness_random random = {the_seed + worker->id};
    ew_channel_stats stats;
    ew_channel_info info;
    int code;

    while (!atomic_load(worker->stop)) {
        CHECK_EQ(ew_channel_get_stats(worker->channel, &stats), EW_OK);
        CHECK(stats.position_peer_consumed <= stats.position_peer_taken ||
              stats.position_peer_taken == stats.position_sent);
        CHECK_EQ(ew_channel_get_info(worker->channel, &info), EW_OK);
        code = ew_channel_flush(worker->channel, pick_timeout(&random), NULL);
        CHECK(code == EW_OK || try_again(code) || atomic_load(&worker->traffic->over) ||
              code == EW_EEND || code == EW_ELOST);
        if (harness_below(&random, 4) == 0)
            code = ew_channel_fileno(worker->channel);
        if (code >= 0 && harness_below(&random, 4) == 0)
            code = ew_channel_arm(worker->channel, (uint32_t)harness_below(&random, 4), 100);
        if (code >= 0 && harness_below(&random, 4) == 0)
            code = ew_channel_spin(worker->channel, 1000);
        CHECK(code >= 0 || code > EW_EPROTO || try_again(code));
        sched_yield();
    }
    return NULL;
}

/* ---- a crowd on one channel ---- */

enum { CROWD = 2 * (SENDERS + RECEIVERS + 1) };

struct crowd {
    struct traffic traffic[2];
    struct worker worker[CROWD];
    _Atomic bool stop, stop_looking;
};

static struct crowd crowd;

static void add(int at, struct traffic *traffic, ew_channel *channel, uint32_t id,
                void *(*work)(void *))
{
    struct worker *worker = &crowd.worker[at];

    *worker = (struct worker){
        .traffic = traffic, .channel = channel, .id = id, .stop = &crowd.stop};
    if (work == look_on)
        worker->stop = &crowd.stop_looking;
    CHECK_EQ(pthread_create(&worker->thread, NULL, work, worker), 0);
}

static void start_crowd(const struct pair *pair)
{
    int at = 0;

    atomic_store(&crowd.stop, false);
    atomic_store(&crowd.stop_looking, false);
    for (int way = 0; way < 2; way++) {
        struct traffic *traffic = &crowd.traffic[way];

        memset(traffic, 0, sizeof(*traffic));
        traffic->from = pair->end[way];
        traffic->to = pair->end[!way];
        atomic_store(&traffic->senders, SENDERS);
        for (int i = 0; i < SENDERS; i++)
            traffic->seen[i] = calloc(SEQUENCES_MAX, 1);
        for (uint32_t i = 0; i < SENDERS; i++)
            add(at++, traffic, traffic->from, i, send_all);
        for (uint32_t i = 0; i < RECEIVERS; i++)
            add(at++, traffic, traffic->to, i, receive_all);
        add(at++, traffic, traffic->from, 99, look_on);
    }
}

static void join_crowd(bool all_arrived)
{
    for (int i = 0; i < CROWD; i++)
        if (crowd.worker[i].stop == &crowd.stop)
            pthread_join(crowd.worker[i].thread, NULL);
    atomic_store(&crowd.stop_looking, true);
    for (int i = 0; i < CROWD; i++)
        if (crowd.worker[i].stop != &crowd.stop)
            pthread_join(crowd.worker[i].thread, NULL);
    for (int way = 0; way < 2; way++) {
        struct traffic *traffic = &crowd.traffic[way];
        uint64_t sent = atomic_load(&traffic->short_sent);

        for (int i = 0; i < SENDERS; i++) {
            sent += atomic_load(&traffic->sent[i]);
            free(traffic->seen[i]);
        }
        if (all_arrived)
            CHECK_EQ(atomic_load(&traffic->got), sent);
        if (all_arrived)
            CHECK_EQ(atomic_load(&traffic->short_got), atomic_load(&traffic->short_sent));
    }
}

static void a_crowd_gets_every_message_once_and_in_order(bool tcp)
{
    struct harness_random random = {the_seed};
    struct pair pair;

    open_pair(&pair, tcp);
    start_crowd(&pair);
    usleep(CROWD_MS * 1000);
    atomic_store(&crowd.stop, true);
    join_crowd(true);
    CHECK(atomic_load(&crowd.traffic[0].got) > 100);
    free_in_any_order(&pair, &random);
}

/* ---- ends at any moment ---- */

struct ender {
    pthread_t thread;
    ew_channel *channel;
    ew_context *context;
    uint64_t how, after_us;
};

static void *end_it(void *argument)
{
    struct ender *ender = argument;

    usleep((useconds_t)ender->after_us);
    if (ender->how == 0)
        ew_channel_abort(ender->channel);
    else if (ender->how == 1)
        ew_channel_close(ender->channel, (int64_t)ender->after_us * 1000, NULL);
    else if (ender->how == 2)
        ew_channel_close(ender->channel, 0, NULL);
    else
        ew_context_close(ender->context);
    return NULL;
}

static void whoever_ends_it_everybody_leaves(bool tcp)
{
    struct harness_random random = {the_seed};

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t moment = harness_below(&random, 20 * 1000);
        struct ender enders[3];
        ew_context *closed = NULL;
        struct pair pair;

        open_pair(&pair, tcp);
        start_crowd(&pair);
        atomic_store(&crowd.traffic[0].over, 1);
        atomic_store(&crowd.traffic[1].over, 1);
        for (int i = 0; i < 3; i++) {
            uint64_t side = harness_below(&random, 2);

            enders[i] = (struct ender){.channel = pair.end[side],
                                       .how = harness_below(&random, 3),
                                       .after_us = moment + harness_below(&random, 30)};
            if (i == 2 && harness_below(&random, 3) == 0) {
                enders[i].how = 3;
                closed = enders[i].context = side == 0 ? pair.client : pair.server;
            }
            pthread_create(&enders[i].thread, NULL, end_it, &enders[i]);
        }
        for (int i = 0; i < 3; i++)
            pthread_join(enders[i].thread, NULL);
        atomic_store(&crowd.stop, true);
        join_crowd(false);
        if (closed == pair.client)
            pair.client = NULL;
        if (closed == pair.server)
            pair.server = NULL;
        free_in_any_order(&pair, &random);
    }
}

BOTH(a_crowd_gets_every_message_once_and_in_order)
BOTH(whoever_ends_it_everybody_leaves)

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(over_shm_a_crowd_gets_every_message_once_and_in_order);
    RUN(over_tcp_a_crowd_gets_every_message_once_and_in_order);
    RUN(over_shm_whoever_ends_it_everybody_leaves);
    RUN(over_tcp_whoever_ends_it_everybody_leaves);
    rmdir(directory);
    return 0;
}
