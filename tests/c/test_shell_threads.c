/* tests/c/test_shell_threads.c - transport/shell: many threads on two stacks, and nothing is stranded. */
#include <sched.h>

#include "tests/c/shell_threads.h"

enum { STREAMS = 3, STREAM_BYTES = 1 << 20, PIECE_MAX = 40000 };

/* One direction of one stream. A full duplex stream has two threads on each side; only one at a time sleeps
 * on its descriptor, as threads of a channel do (shm/waitroom.h). */
struct end {
    pthread_mutex_t poller;
    _Atomic uint64_t moved;
};

struct worker {
    struct duo *duo;
    int which;
    ewi_stream stream;
    struct end *end;
    uint64_t seed, slept;
    pthread_t thread;
};

static uint8_t byte_at(ewi_stream stream, int which, uint64_t position)
{
    return (uint8_t)((position >> 8) ^ position * 7 ^ stream * 13 ^ (uint64_t)which);
}

/* Nothing could be done: sleep, or let the one who sleeps wake up. */
static void rest(struct worker *worker)
{
    if (pthread_mutex_trylock(&worker->end->poller) == 0) {
        worker->slept += sleep_on_stream(worker->duo, worker->which, worker->stream);
        CHECK_EQ(pthread_mutex_unlock(&worker->end->poller), 0);
    } else {
        sched_yield();
    }
}

static uint64_t key_of(const struct worker *worker) /* both ends know it */
{
    return (uint32_t)worker->seed & 0xff;
}

static void *send_all(void *context)
{
    struct worker *worker = context;
    struct side *side = &worker->duo->side[worker->which];
    struct harness_random random = {worker->seed};
    uint8_t *piece = malloc(PIECE_MAX);

    for (uint64_t sent = 0; sent < STREAM_BYTES;) {
        uint64_t bytes = harness_between(&random, 1, PIECE_MAX), half;
        struct stack_span spans[2];
        int64_t step;

        bytes = ewi_min_u64(bytes, STREAM_BYTES - sent);
        half = harness_below(&random, bytes + 1);
        for (uint64_t i = 0; i < bytes; i++)
            piece[i] = byte_at(key_of(worker), worker->which, sent + i);
        spans[0] = (struct stack_span){piece, half};
        spans[1] = (struct stack_span){piece + half, bytes - half};
        step = side->ops->send(side->stack, worker->stream, spans, 2);
        CHECK(step > 0 || step == -EAGAIN);
        if (step > 0)
            sent += (uint64_t)step;
        else
            rest(worker);
    }
    free(piece);
    return NULL;
}

static void *receive_all(void *context)
{
    struct worker *worker = context;
    struct side *side = &worker->duo->side[worker->which];
    struct harness_random random = {worker->seed + 99};
    uint8_t *piece = malloc(PIECE_MAX);

    for (uint64_t got = 0; got < STREAM_BYTES;) {
        struct stack_room room = {piece, harness_between(&random, 1, PIECE_MAX)};
        int64_t step = side->ops->recv_into(side->stack, worker->stream, &room, 1);

        CHECK(step > 0 || step == -EAGAIN);
        for (int64_t i = 0; i < step; i++)
            CHECK_EQ(piece[i], byte_at(key_of(worker), !worker->which, got + (uint64_t)i));
        if (step > 0)
            got += (uint64_t)step;
        else
            rest(worker);
    }
    free(piece);
    return NULL;
}

static void transfer(const char *more0, const char *more1, uint32_t loss, uint64_t seed)
{
    struct duo duo = duo_with(more0, more1);
    struct reactor reactor[2] = {{0}};
    struct worker workers[STREAMS * 4];
    struct end ends[2][STREAMS];
    uint64_t slept = 0;

    for (int i = 0; i < STREAMS; i++) {
        ewi_stream stream[2] = {duo.opener, duo.accepted};

        if (i != 0)
            connect_more(&duo, &stream[0], &stream[1]);
        for (int which = 0; which < 2; which++) {
            ends[which][i] = (struct end){.poller = PTHREAD_MUTEX_INITIALIZER};
            CHECK(duo.side[which].ops->stream_fd(duo.side[which].stack, stream[which]) >= 0);
            for (int direction = 0; direction < 2; direction++)
                workers[4 * i + 2 * which + direction] = (struct worker){.duo = &duo,
                                                                         .which = which,
                                                                         .stream = stream[which],
                                                                         .end = &ends[which][i],
                                                                         .seed = seed + (uint64_t)i};
        }
    }
    for (int which = 0; which < 2; which++) {
        wire_set_loss(WIRE, which, loss);
        reactor_start(&reactor[which], &duo.side[which]);
    }
    for (int i = 0; i < 4 * STREAMS; i++)
        CHECK_EQ(pthread_create(&workers[i].thread, NULL, i % 2 ? receive_all : send_all, &workers[i]), 0);
    for (int i = 0; i < 4 * STREAMS; i++) {
        CHECK_EQ(pthread_join(workers[i].thread, NULL), 0);
        slept += workers[i].slept;
    }
    printf("\n  %" PRIu64 " sleeps", slept);
    for (int which = 0; which < 2; which++)
        reactor_stop(&reactor[which]);
    duo_close(&duo);
}

static uint64_t seed_now;

static void threads_on_streams_and_directions_move_every_byte(void)
{
    transfer("", "", 0, seed_now);
}

static void small_buffers_make_everybody_sleep(void)
{
    transfer("send_bytes=16384\nrecv_bytes=16384\nsend_pool_bytes=1048576", "send_bytes=32768\nrecv_bytes=65536",
             0, seed_now);
}

static void loss_is_repaired_by_whoever_drives(void)
{
    transfer("send_bytes=65536", "send_bytes=65536", 5000, seed_now);
}

/* ---- finish beside calls ---- */

struct breaker {
    struct duo *duo;
    _Atomic bool stop;
};

static void *call_again_and_again(void *context)
{
    struct breaker *breaker = context;
    struct side *side = &breaker->duo->side[1];
    char byte;

    while (!atomic_load(&breaker->stop)) {
        recv_once(breaker->duo, 1, &byte, 1);
        send_text(breaker->duo, 1, "x");
        side->ops->ready(side->stack, breaker->duo->accepted);
        side->ops->break_off(side->stack, breaker->duo->accepted);
    }
    return NULL;
}

/* catches (with ThreadSanitizer): a record that is cleared beside a hint for it; two CLOSED, none */
static void finish_beside_other_calls_is_told_once(void)
{
    for (int i = 0; i < 20; i++) {
        struct duo duo = duo_open();
        struct side *b = &duo.side[1];
        struct breaker breaker = {.duo = &duo};
        pthread_t thread;
        int closed = 0;

        CHECK_EQ(pthread_create(&thread, NULL, call_again_and_again, &breaker), 0);
        CHECK_EQ(b->ops->finish(b->stack, duo.accepted, true, ewi_now_ns()), 0);
        for (int turns = 0; turns < 20; turns++) {
            ewi_stream ignored;

            turn_side(b);
            for (int k = 0; k < b->kept_count; k++)
                closed += b->kept[k].bits == STACK_CLOSED;
            b->kept_count = 0;
            duo.side[0].kept_count = 0;
            turn_side(&duo.side[0]);
            if (turns == 10)
                CHECK(b->ops->connect(b->stack, NULL, &duo.address, 0, ewi_now_ns(), &ignored) <
                      0); /* to itself: takes the slot for a moment */
        }
        atomic_store(&breaker.stop, true);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(closed, 1);
        duo_close(&duo);
    }
}

int main(int argc, char **argv)
{
    int before = open_descriptors();

    seed_now = harness_seed(argc, argv);
    RUN(threads_on_streams_and_directions_move_every_byte);
    RUN(small_buffers_make_everybody_sleep);
    RUN(loss_is_repaired_by_whoever_drives);
    RUN(finish_beside_other_calls_is_told_once);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
