/* tests/c/test_kernel_threads.c - transport/kernel: many threads, and a child made by fork. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/c/kernel_pair.h"
#include "transport/kernel/socket.h"

enum { ROUNDS = 200, STREAM_BYTES = 1 << 20 };

struct worker {
    struct pair *pair;
    ewi_stream stream;
    _Atomic bool *stop;
};

static void *look_again_and_again(void *context)
{
    struct worker *worker = context;

    while (!atomic_load(worker->stop)) {
        ops->ready(worker->pair->stack, worker->stream);
        send_text(worker->pair, worker->stream, "x");
    }
    return NULL;
}

/* catches: a close under a call that is still inside, and none or two by those that leave */
static void last_one_out_of_a_retired_slot_closes_it(void)
{
    static struct slot memory[1];
    struct slots slots;
    struct slot *slot;
    ewi_stream stream;

    ewi_slots_init(&slots, memory, 1);
    slot = ewi_slots_claim(&slots);
    CHECK(ewi_slots_claim(&slots) == NULL);
    stream = ewi_slots_publish(&slots, slot);
    CHECK(ewi_slots_enter(&slots, stream) == slot);
    CHECK(ewi_slots_enter(&slots, stream) == slot);
    CHECK(!ewi_slots_leave(slot)); /* open: nobody closes it */
    CHECK(ewi_slots_retire(slot));
    CHECK(!ewi_slots_retire(slot));
    CHECK(ewi_slots_enter(&slots, stream) == NULL);
    CHECK(!ewi_slots_leave(slot));
    CHECK(ewi_slots_leave(slot));
}

/* A second thread has been told the reset, and has not stored it yet.
 * catches: may_believe always true */
static void end_is_not_believed_while_another_thread_may_know_better(void)
{
    static struct slot memory[1];
    struct pair pair = pair_open();
    struct stack_span span = {"x", 1};
    int fd = ops->stream_fd(pair.stack, pair.accepted), told;
    socklen_t bytes = sizeof(told);
    struct slots slots;
    struct slot *slot;
    char byte;
    const struct stack_room room = {&byte, 1};

    ewi_slots_init(&slots, memory, 1);
    slot = ewi_slots_claim(&slots);
    atomic_store(&slot->fd, fd);
    atomic_store(&slot->phase, SLOT_CONNECTED);
    CHECK(ewi_slots_enter(&slots, ewi_slots_publish(&slots, slot)) == slot); /* two inside */
    reset_from_peer(&pair);
    until_hangup(&pair, pair.accepted);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ERROR, &told, &bytes), 0);
    CHECK_EQ(told, ECONNRESET);
    CHECK_EQ(ewi_socket_receive(slot, &room, 1), -EAGAIN);
    CHECK_EQ(ewi_socket_send(slot, &span, 1), -EAGAIN);
    CHECK_EQ(ewi_socket_levels(slot), STACK_CONNECTED | STACK_READABLE);
    CHECK_EQ(ewi_socket_fail(slot, -told), -ECONNRESET);
    CHECK(!ewi_slots_leave(slot));
    CHECK_EQ(ewi_socket_receive(slot, &room, 1), -ECONNRESET);
    CHECK_EQ(ewi_socket_send(slot, &span, 1), -ECONNRESET);
    CHECK_EQ(ewi_socket_levels(slot), STACK_FAILED | STACK_READABLE);
    pair_close(&pair);
}

/* catches: an end that is returned without a look at the slot's error */
static void reset_told_to_one_thread_is_no_fin_for_another(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct pair pair = pair_open();
        _Atomic bool stop = false;
        struct worker worker = {&pair, pair.accepted, &stop};
        pthread_t thread;
        char byte;

        CHECK_EQ(pthread_create(&thread, NULL, look_again_and_again, &worker), 0);
        CHECK_EQ(ops->finish(pair.stack, pair.opener, true, 0), 0);
        CHECK_EQ(receive(&pair, pair.accepted, &byte, 1), -ECONNRESET);
        atomic_store(&stop, true);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        pair_close(&pair);
    }
}

static void *send_all(void *context)
{
    struct worker *worker = context;
    struct pair *pair = worker->pair;
    static const char block[4096];

    for (int64_t left = STREAM_BYTES; left > 0;) {
        int64_t step = ops->send(pair->stack, worker->stream, &(struct stack_span){block, 4096}, 1);

        CHECK(step > 0 || step == -EAGAIN);
        if (step > 0)
            left -= step;
        else
            sleep_on(ops->stream_fd(pair->stack, worker->stream), POLLOUT);
    }
    CHECK_EQ(ops->shutdown(pair->stack, worker->stream), 0);
    return NULL;
}

static void *receive_all(void *context)
{
    struct worker *worker = context;
    struct pair *pair = worker->pair;
    char block[4096];
    int64_t step, got = 0;

    while ((step = receive(pair, worker->stream, block, sizeof(block))) > 0) {
        got += step;
        CHECK_EQ(ops->watch(pair->stack, worker->stream, got & 1 ? STACK_READABLE : 0), 0);
    }
    CHECK_EQ(step, 0);
    CHECK(got >= STREAM_BYTES);
    return NULL;
}

/* catches (with ThreadSanitizer): a slot field that is shared without its pair */
static void streams_work_beside_the_driver(void)
{
    enum { PAIRS = 3 };
    struct pair pair = pair_open();
    struct worker workers[2 * PAIRS];
    struct stack_event events[64];
    pthread_t threads[2 * PAIRS];

    for (int i = 0; i < PAIRS; i++) {
        workers[2 * i] = (struct worker){&pair, connect_to(&pair), NULL};
        workers[2 * i + 1] = (struct worker){&pair, accept_one(&pair), NULL};
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, i % 2 ? receive_all : send_all, &workers[i]), 0);
    for (int i = 0; i < 500; i++) {
        ewi_stream opener = connect_to(&pair), accepted = accept_one(&pair);

        poll_now(pair.stack, events, 64);
        CHECK_EQ(ops->finish(pair.stack, opener, true, 0), 0);
        CHECK_EQ(ops->finish(pair.stack, accepted, true, 0), 0);
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    pair_close(&pair);
}

struct mailbox {
    struct ewi_stack *stack;
    _Atomic ewi_stream stream; /* 0: empty, 1: the end */
};

static void *finish_what_comes(void *context)
{
    struct mailbox *box = context;
    struct stack_event events[8];
    ewi_stream stream;

    do {
        poll_now(box->stack, events, 8);
        stream = atomic_exchange_explicit(&box->stream, 0, memory_order_relaxed);
        if (stream > 1)
            CHECK_EQ(ops->finish(box->stack, stream, true, 0), 0);
    } while (stream != 1);
    return NULL;
}

static void put(struct mailbox *box, ewi_stream stream)
{
    ewi_stream empty = 0;

    while (!atomic_compare_exchange_weak_explicit(&box->stream, &empty, stream,
                                                  memory_order_relaxed, memory_order_relaxed))
        empty = 0;
}

/* catches (with ThreadSanitizer): K2 relaxed. The handle itself orders nothing here. */
static void stream_made_here_can_be_finished_by_the_driver(void)
{
    struct pair pair = pair_open();
    struct mailbox box = {.stack = pair.stack};
    pthread_t thread;

    CHECK_EQ(pthread_create(&thread, NULL, finish_what_comes, &box), 0);
    for (int i = 0; i < ROUNDS; i++)
        put(&box, connect_to(&pair));
    put(&box, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    pair_close(&pair);
}

enum { SENDS = 4000, SEND_BYTES = 16 };

struct sender {
    struct pair *pair;
    char bytes[SENDS][SEND_BYTES];
};

static void *send_one_by_one(void *context)
{
    struct sender *sender = context;

    for (int i = 0; i < SENDS; i++)
        CHECK_EQ(ops->send(sender->pair->stack, sender->pair->opener,
                           &(struct stack_span){sender->bytes[i], SEND_BYTES}, 1), SEND_BYTES);
    return NULL;
}

/* catches (with ThreadSanitizer): K5 relaxed: memory written while it is still being sent */
static void released_memory_may_be_written(void)
{
    static struct sender sender;
    struct pair pair = pair_open();
    uint64_t released = 0;
    pthread_t thread;

    sender.pair = &pair;
    CHECK_EQ(pthread_create(&thread, NULL, send_one_by_one, &sender), 0);
    for (uint64_t i = 0; i < SENDS; i++) {
        while (released < (i + 1) * SEND_BYTES)
            CHECK_EQ(ops->released(pair.stack, pair.opener, &released), 0);
        memset(sender.bytes[i], 1, SEND_BYTES);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    for (char byte; recv_once(pair.stack, pair.accepted, &byte, 1) == 1;)
        CHECK_EQ(byte, 0);
    pair_close(&pair);
}

static void *break_many(void *context)
{
    struct worker *worker = context;
    char byte;

    while (ops->break_off(worker->pair->stack, worker->stream) != -ESTALE)
        recv_once(worker->pair->stack, worker->stream, &byte, 1);
    return NULL;
}

/* The same with real threads. catches: two CLOSED, none */
static void finish_waits_for_calls_that_are_inside(void)
{
    struct stack_event events[8];

    for (int i = 0; i < ROUNDS; i++) {
        struct pair pair = pair_open();
        struct worker worker = {&pair, pair.accepted, NULL};
        pthread_t thread;
        int closed = 0;

        CHECK_EQ(pthread_create(&thread, NULL, break_many, &worker), 0);
        CHECK_EQ(ops->finish(pair.stack, pair.accepted, true, 0), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        for (int found = poll_now(pair.stack, events, 8); found > 0; found--)
            closed += events[found - 1].bits == STACK_CLOSED;
        CHECK_EQ(closed, 1);
        pair_close(&pair);
    }
}

/* catches: a child whose clean-up resets the parent's connections or empties its epoll set */
static void forked_child_closes_only_its_own(void)
{
    struct pair pair = pair_open();
    int status, wait_fd = ops->wait_fd(pair.stack);
    int fd = ops->stream_fd(pair.stack, pair.opener);
    pid_t child = fork();

    if (child == 0) {
        ops->forked(pair.stack);
        _exit(fcntl(fd, F_GETFD) < 0 && fcntl(wait_fd, F_GETFD) < 0 ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    CHECK_EQ(send_text(&pair, pair.opener, "still here"), 10);
    expect_event(pair.stack, USER_ACCEPTED, pair.accepted, STACK_READABLE);
    expect_text(&pair, pair.accepted, "still here");
    pair_close(&pair);
}

/* catches: EPOLL_CTL_DEL left out: the set goes on reporting a socket that a child still has */
static void finished_stream_is_silent_while_a_child_holds_its_socket(void)
{
    struct pair pair = pair_open();
    int hold[2];
    char byte;
    pid_t child;

    CHECK_EQ(pipe2(hold, O_CLOEXEC), 0);
    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    child = fork();
    if (child == 0) {
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    CHECK_EQ(ops->finish(pair.stack, pair.accepted, false, 0), 0);
    expect_event(pair.stack, USER_ACCEPTED, pair.accepted, STACK_CLOSED);
    CHECK_EQ(send_text(&pair, pair.opener, "x"), 1);
    expect_quiet(pair.stack);
    close(hold[1]);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    close(hold[0]);
    pair_close(&pair);
}

int main(void)
{
    int before = open_descriptors();

    RUN(last_one_out_of_a_retired_slot_closes_it);
    RUN(end_is_not_believed_while_another_thread_may_know_better);
    RUN(reset_told_to_one_thread_is_no_fin_for_another);
    RUN(streams_work_beside_the_driver);
    RUN(stream_made_here_can_be_finished_by_the_driver);
    RUN(released_memory_may_be_written);
    RUN(finish_waits_for_calls_that_are_inside);
    RUN(forked_child_closes_only_its_own);
    RUN(finished_stream_is_silent_while_a_child_holds_its_socket);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
