/* tests/c/test_kernel_sleep.c - transport/kernel: what wakes wait_fd, and what does not. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "tests/c/kernel_pair.h"

/* catches: EPOLLIN or EPOLLRDHUP registered for a stream that nobody watches */
static void unwatched_stream_does_not_wake(void)
{
    struct pair pair = pair_open();

    CHECK_EQ(send_text(&pair, pair.opener, "x"), 1);
    CHECK_EQ(ops->shutdown(pair.stack, pair.opener), 0);
    sleep_on(ops->stream_fd(pair.stack, pair.accepted), POLLRDHUP);
    expect_quiet(pair.stack);
    pair_close(&pair);
}

/* catches: an edge where a level is needed: bytes that were there before watch() */
static void watched_stream_wakes_until_it_is_unwatched(void)
{
    struct pair pair = pair_open();

    CHECK_EQ(send_text(&pair, pair.opener, "x"), 1);
    sleep_on(ops->stream_fd(pair.stack, pair.accepted), POLLIN);
    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    for (int i = 0; i < 3; i++)
        expect_event(pair.stack, USER_ACCEPTED, pair.accepted, STACK_READABLE);
    CHECK_EQ(ops->watch(pair.stack, pair.accepted, 0), 0);
    expect_quiet(pair.stack);
    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE | STACK_WRITABLE), 0);
    expect_event(pair.stack, USER_ACCEPTED, pair.accepted, STACK_READABLE | STACK_WRITABLE);
    pair_close(&pair);
}

static void watched_fin_is_reported(void)
{
    struct pair pair = pair_open();

    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    expect_quiet(pair.stack);
    CHECK_EQ(ops->shutdown(pair.stack, pair.opener), 0);
    expect_event(pair.stack, USER_ACCEPTED, pair.accepted, STACK_READABLE | STACK_PEER_FIN);
    pair_close(&pair);
}

/* catches: WRITABLE for a full stream, none when there is room again */
static void watched_full_stream_wakes_when_the_peer_reads(void)
{
    static char block[1 << 16];
    struct pair pair = pair_open();
    struct stack_span span = {block, sizeof(block)};

    while (ops->send(pair.stack, pair.opener, &span, 1) != -EAGAIN)
        ;
    CHECK_EQ(ops->watch(pair.stack, pair.opener, STACK_WRITABLE), 0);
    expect_quiet(pair.stack);
    while (!is_readable(ops->wait_fd(pair.stack)))
        CHECK(receive(&pair, pair.accepted, block, sizeof(block)) > 0);
    expect_event(pair.stack, USER_OPENER, pair.opener, STACK_WRITABLE);
    pair_close(&pair);
}

/* catches: a failure nobody hears of, a level-triggered HUP that keeps the reactor awake */
static void failure_of_an_unwatched_stream_wakes_and_does_not_spin(void)
{
    struct pair pair = pair_open();

    reset_from_peer(&pair);
    expect_end_then_quiet(pair.stack, pair.accepted, STACK_FAILED);
    pair_close(&pair);
}

/* catches: as above, for the level-triggered registration of a watched stream */
static void failure_of_a_watched_stream_does_not_spin(void)
{
    struct pair pair = pair_open();

    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    reset_from_peer(&pair);
    expect_end_then_quiet(pair.stack, pair.accepted, STACK_READABLE | STACK_FAILED);
    pair_close(&pair);
}

/* As the kernel says it: proc(5), fdinfo of an epoll descriptor. */
static bool is_in_epoll(int epoll_fd, int fd)
{
    char path[64], line[256];
    bool found = false;
    FILE *file;
    int each;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll_fd);
    file = fopen(path, "re");
    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL)
        found |= sscanf(line, "tfd: %d", &each) == 1 && each == fd;
    fclose(file);
    return found;
}

/* catches: aside without EPOLL_CTL_DEL; watch after it without EPOLL_CTL_ADD */
static void a_stream_set_aside_is_not_reported_until_it_is_watched(void)
{
    struct pair pair = pair_open();

    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_ASIDE), 0);
    reset_from_peer(&pair);
    sleep_on(ops->stream_fd(pair.stack, pair.accepted), POLLIN);
    expect_quiet(pair.stack);
    CHECK(!is_in_epoll(ops->wait_fd(pair.stack), ops->stream_fd(pair.stack, pair.accepted)));
    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_ASIDE), 0);
    CHECK_EQ(ops->watch(pair.stack, pair.accepted, STACK_READABLE), 0);
    expect_end_then_quiet(pair.stack, pair.accepted, STACK_READABLE | STACK_FAILED);
    pair_close(&pair);
}

static void *kick_from_thread(void *stack)
{
    ops->kick(stack);
    return NULL;
}

/* catches: a kick that stays, one that is lost between arm and sleep */
static void kick_wakes_once(void)
{
    struct ewi_stack *stack = open_stack(8);
    pthread_t thread;

    CHECK_EQ(ops->arm(stack, 0), 0);
    CHECK_EQ(pthread_create(&thread, NULL, kick_from_thread, stack), 0);
    sleep_on(ops->wait_fd(stack), POLLIN);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    ops->disarm(stack);
    expect_quiet(stack);
    ops->close(stack);
}

struct sleeper {
    struct pair *pair;
    _Atomic int tid;
};

static void *sleep_on_stream(void *context)
{
    struct sleeper *sleeper = context;
    int fd = ops->stream_fd(sleeper->pair->stack, sleeper->pair->accepted);

    atomic_store(&sleeper->tid, (int)syscall(SYS_gettid));
    sleep_on(fd, POLLIN);
    return NULL;
}

/* Until the kernel says that the thread sleeps. */
static void until_asleep(_Atomic int *tid)
{
    char path[64], line[256] = "";

    while (atomic_load(tid) == 0)
        sched_yield();
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(tid));
    while (strstr(line, ") S ") == NULL) {
        FILE *file = fopen(path, "r");

        CHECK(file != NULL && fgets(line, sizeof(line), file) != NULL);
        fclose(file);
        sched_yield();
    }
}

/* catches: break_off that only sets a flag; one after which old bytes are still delivered */
static void break_off_wakes_a_sleeper_and_fails_every_later_call(void)
{
    struct pair pair = pair_open();
    struct sleeper sleeper = {.pair = &pair};
    pthread_t thread;
    char byte;

    CHECK_EQ(pthread_create(&thread, NULL, sleep_on_stream, &sleeper), 0);
    until_asleep(&sleeper.tid);
    CHECK_EQ(ops->break_off(pair.stack, pair.accepted), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(recv_once(pair.stack, pair.accepted, &byte, 1), -ECONNABORTED);
    CHECK_EQ(send_text(&pair, pair.accepted, "x"), -ECONNABORTED);
    CHECK_EQ(ops->ready(pair.stack, pair.accepted), STACK_FAILED);
    expect_end_then_quiet(pair.stack, pair.accepted, STACK_FAILED);
    pair_close(&pair);

    pair = pair_open();
    CHECK_EQ(send_text(&pair, pair.opener, "arrived"), 7);
    sleep_on(ops->stream_fd(pair.stack, pair.accepted), POLLIN);
    CHECK_EQ(ops->break_off(pair.stack, pair.accepted), 0);
    CHECK_EQ(recv_once(pair.stack, pair.accepted, &byte, 1), -ECONNABORTED);
    pair_close(&pair);
}

static void break_off_ends_a_connect(void)
{
    struct pair pair = {.stack = open_stack(8)};

    listen_on(&pair, "127.0.0.1:0");
    pair.opener = connect_to(&pair);
    CHECK_EQ(ops->break_off(pair.stack, pair.opener), 0);
    CHECK_EQ(ops->ready(pair.stack, pair.opener), STACK_FAILED);
    CHECK_EQ(ops->error(pair.stack, pair.opener), -ECONNABORTED);
    pair_close(&pair);
}

int main(void)
{
    int before = open_descriptors();

    RUN(unwatched_stream_does_not_wake);
    RUN(watched_stream_wakes_until_it_is_unwatched);
    RUN(watched_fin_is_reported);
    RUN(watched_full_stream_wakes_when_the_peer_reads);
    RUN(failure_of_an_unwatched_stream_wakes_and_does_not_spin);
    RUN(failure_of_a_watched_stream_does_not_spin);
    RUN(a_stream_set_aside_is_not_reported_until_it_is_watched);
    RUN(kick_wakes_once);
    RUN(break_off_wakes_a_sleeper_and_fails_every_later_call);
    RUN(break_off_ends_a_connect);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
