/* The control socket of a context: what it says, who may ask, and what hostile clients cost. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/c/control_base.h"
#include "transport/channel/channel.h"

enum { CHANNELS = 100 };

static const char junk[] = "junk";

struct world {
    ew_context *context;
    ew_listener *listener;
    ew_channel *opened, *accepted;
};

static struct world open_world(bool tcp)
{
    struct world world = {.context = open_context(0)};

    world.listener = open_listener(world.context, "echo", tcp);
    open_channel(world.context, world.listener, "echo", &world.opened, &world.accepted);
    return world;
}

static void close_world(struct world *world)
{
    ew_channel_free(world->opened);
    ew_channel_free(world->accepted);
    ew_listener_free(world->listener);
    ew_context_close(world->context);
    CHECK_EQ(control_sockets(), 0);
}

static int descriptors(void)
{
    return files_in("/proc/self/fd");
}

/* The reactor hangs up after we have: until no more descriptors are open than before. */
static void settle(int before)
{
    uint64_t deadline = ewi_now_ns() + 5 * (uint64_t)SECOND;

    while (descriptors() != before)
        CHECK(ewi_now_ns() < deadline);
}

/* ---- what it says ---- */

/* catches: counters of the other direction; the opener's row for both; no channel->number */
static void counters_are_right(bool tcp)
{
    struct world world = open_world(tcp);
    const char *reply, *accepted, *opened;
    char message[10];
    size_t bytes;
    int fd = look(world.context);

    for (int i = 0; i < 3; i++)
        CHECK_EQ(ew_channel_send(world.opened, junk, 4, SECOND, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(world.accepted, message, 10, &bytes, SECOND, NULL), EW_OK);
    reply = ask(fd, "eastwest/1 channels");
    CHECK_EQ(number_of(reply, "control"), 1);
    CHECK_EQ(number_of(reply, "pid"), getpid());
    CHECK_EQ(count_of(reply, "\"id\":"), 2);
    opened = strstr(reply, "\"opener\":true");
    accepted = strstr(reply, "\"opener\":false");
    CHECK(opened != NULL && accepted != NULL);
    CHECK_EQ(number_of(opened, "messages_sent"), 3);
    CHECK_EQ(number_of(opened, "bytes_sent"), 12);
    CHECK_EQ(number_of(opened, "messages_received"), 0);
    CHECK(strstr(opened, tcp ? "\"path\":\"tcp\"" : "\"path\":\"shm\"") != NULL);
    CHECK_EQ(number_of(accepted, "messages_received"), 1);
    CHECK_EQ(number_of(accepted, "bytes_received"), 4);
    if (!tcp)
        CHECK_EQ(number_of(opened, "send_unread_bytes"), 2 * 16); /* records of 8 + 4, 8-aligned */
    CHECK_EQ(number_of(reply, "next"), 0);
    CHECK(strstr(reply, junk) == NULL); /* never payload */
    close(fd);
    close_world(&world);
}

static void counters_are_right_over_shm(void)
{
    counters_are_right(false);
}

static void counters_are_right_over_tcp(void)
{
    counters_are_right(true);
}

/* catches: listeners shown before they are ready; counters of the context left out */
static void context_and_listeners_are_described(void)
{
    struct world world = open_world(false);
    ew_listener *second = open_listener(world.context, "other", true);
    int fd = look(world.context);
    const char *reply = ask(fd, "eastwest/1 context");

    CHECK_EQ(number_of(reply, "channels"), 2);
    CHECK_EQ(number_of(reply, "listeners"), 2);
    CHECK_EQ(number_of(reply, "accepted"), 1);
    reply = ask(fd, "eastwest/1 listeners");
    CHECK_EQ(count_of(reply, "\"instance\":"), 2);
    CHECK(strstr(reply, "\"service\":\"echo\"") > strstr(reply, "\"service\":\"other\""));
    CHECK(strstr(reply, "tcp://127.0.0.1:") != NULL);
    CHECK_EQ(number_of(reply, "next"), 0);
    reply = ask(fd, "eastwest/1 listeners 2");
    CHECK_EQ(count_of(reply, "\"instance\":"), 1);
    close(fd);
    ew_listener_free(second);
    close_world(&world);
}

/* catches: the note cut in half, kept after NULL, or shown in lists; no recv_unread_bytes */
static void one_channel_is_told_whole_with_its_note(void)
{
    struct world world = open_world(false);
    char long_note[CHANNEL_NOTE_BYTES_MAX + 2];
    uint64_t number = world.accepted->number;
    char request[64];
    const char *reply;
    int fd = look(world.context);

    CHECK_EQ(ew_channel_send(world.opened, junk, 4, SECOND, NULL), EW_OK);
    snprintf(request, sizeof(request), "eastwest/1 channel %llu", (unsigned long long)number);
    memset(long_note, '"', sizeof(long_note));
    long_note[CHANNEL_NOTE_BYTES_MAX + 1] = '\0';
    CHECK_EQ(ew_channel_set_note(world.accepted, "{\"chosen\":1}"), EW_OK);
    CHECK_EQ(ew_channel_set_note(world.accepted, long_note), EW_EINVAL);
    CHECK_EQ(ew_channel_set_note(world.accepted, "a\nb"), EW_EINVAL);
    reply = ask(fd, request);
    CHECK_EQ(count_of(reply, "\"id\":"), 1);
    CHECK(strstr(reply, "\"note\":\"{\\\"chosen\\\":1}\"") != NULL);
    CHECK_EQ(number_of(reply, "recv_unread_bytes"), 16);
    CHECK(strstr(ask(fd, "eastwest/1 channels"), "note") == NULL);
    long_note[CHANNEL_NOTE_BYTES_MAX] = '\0';
    CHECK_EQ(ew_channel_set_note(world.accepted, long_note), EW_OK);
    CHECK_EQ(count_of(ask(fd, request), "\\\""), CHANNEL_NOTE_BYTES_MAX); /* it fits, escaped */
    CHECK_EQ(ew_channel_set_note(world.accepted, NULL), EW_OK);
    CHECK(strstr(ask(fd, request), "\"note\":\"\"") != NULL);
    CHECK_EQ(count_of(ask(fd, "eastwest/1 channel 999"), "\"id\":"), 0);
    CHECK_EQ(count_of(ask(fd, "eastwest/1 channel 18446744073709551615"), "\"id\":"), 0);
    close(fd);
    close_world(&world);
}

/* catches: `<=` for `<` in pin_channels (a row twice), next = 0 after a full packet (rows missing) */
static void many_channels_come_in_pages_each_once(void)
{
    ew_context *context = open_context(0);
    ew_listener *listener = open_listener(context, "echo", false);
    ew_channel *opened[CHANNELS], *accepted[CHANNELS];
    uint64_t next = 0, seen = 0, last = UINT64_MAX;
    int fd, pages = 0;

    for (int i = 0; i < CHANNELS; i++)
        open_channel(context, listener, "echo", &opened[i], &accepted[i]);
    fd = look(context);
    do {
        char request[64] = "eastwest/1 channels";
        const char *reply;

        if (next != 0)
            snprintf(request, sizeof(request), "eastwest/1 channels %llu",
                     (unsigned long long)next);
        reply = ask(fd, request);
        for (const char *at = reply; (at = strstr(at, "\"number\":")) != NULL; at++) {
            uint64_t number = number_of(at, "number");

            CHECK(number < last);
            last = number;
            seen += 1;
        }
        next = number_of(reply, "next");
        pages += 1;
    } while (next != 0);
    CHECK_EQ(seen, 2 * CHANNELS);
    CHECK(pages > 2 * CHANNELS / CONTROL_ROWS_MAX);
    close(fd);
    for (int i = 0; i < CHANNELS; i++) {
        ew_channel_free(opened[i]);
        ew_channel_free(accepted[i]);
    }
    ew_listener_free(listener);
    ew_context_close(context);
}

/* ---- nobody is held up ---- */

/* A thread that ends a channel holds facts_lock and waits for the reactor.
 * catches: ewi_lock_enter instead of ewi_lock_take in ewi_channel_look */
static void a_channel_whose_facts_are_locked_is_told_as_busy(void)
{
    struct world world = open_world(false);
    const char *reply;
    int fd = look(world.context);

    ewi_lock_enter(&world.opened->facts_lock);
    reply = ask(fd, "eastwest/1 channels");
    CHECK_EQ(count_of(reply, "\"busy\":true"), 1);
    CHECK_EQ(count_of(reply, "\"busy\":false"), 1);
    ewi_lock_give(&world.opened->facts_lock);
    CHECK_EQ(count_of(ask(fd, "eastwest/1 channels"), "\"busy\":false"), 2);
    close(fd);
    close_world(&world);
}

/* catches: whole = true for a list */
static void a_list_does_not_take_the_lock_of_a_receiver(void)
{
    struct world world = open_world(false);
    int fd = look(world.context);

    CHECK_EQ(ew_channel_send(world.opened, junk, 4, SECOND, NULL), EW_OK);
    CHECK(strstr(ask(fd, "eastwest/1 channels"), "recv_unread_bytes") == NULL);
    close(fd);
    close_world(&world);
}

static void *open_and_close(void *argument)
{
    struct world *world = argument;

    for (int i = 0; i < 100; i++) {
        ew_channel *opened, *accepted;

        open_channel(world->context, world->listener, "echo", &opened, &accepted);
        CHECK_EQ(ew_channel_set_note(opened, "{}"), EW_OK);
        ew_channel_free(i % 2 ? opened : accepted);
        ew_channel_free(i % 2 ? accepted : opened);
    }
    return NULL;
}

/* catches: no pin (use after free under ASan), a race with release under TSan */
static void channels_may_come_and_go_meanwhile(void)
{
    struct world world = open_world(false);
    pthread_t thread;
    int fd = look(world.context);

    CHECK_EQ(pthread_create(&thread, NULL, open_and_close, &world), 0);
    do {
        char request[64];

        CHECK(count_of(ask(fd, "eastwest/1 channels"), "\"id\":") >= 2);
        snprintf(request, sizeof(request), "eastwest/1 channel %llu",
                 (unsigned long long)number_of(ask(fd, "eastwest/1 channels"), "number"));
        ask(fd, request);
    } while (pthread_tryjoin_np(thread, NULL) != 0);
    close(fd);
    close_world(&world);
}

/* ---- hostile clients ---- */

static void send_with_descriptor(int fd, const char *text)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec span = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &span,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    CHECK_EQ(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* catches: no drop after a bad request, no sentence before it; descriptors that are kept */
static void junk_gets_a_sentence_and_the_end(void)
{
    struct world world = open_world(false);
    char reply[CONTROL_PACKET_BYTES + 1], long_one[CONTROL_REQUEST_BYTES_MAX + 1];
    int before = descriptors(), fd;

    memset(long_one, ' ', sizeof(long_one));
    memcpy(long_one, "eastwest/1 context", 18);
    for (int i = 0; i < 4; i++) {
        fd = look(world.context);
        if (i == 0)
            CHECK_EQ(send(fd, "GET /", 5, 0), 5);
        else if (i == 1)
            CHECK_EQ(send(fd, long_one, sizeof(long_one), 0), (ssize_t)sizeof(long_one));
        else if (i == 2)
            send_with_descriptor(fd, junk);
        else
            CHECK_EQ(send(fd, "eastwest/9 context", 18, 0), 18);
        CHECK(hear(fd, reply) > 0);
        CHECK(strstr(reply, i == 3 ? "\"error\":\"version\"" : "\"error\":\"request\"") != NULL);
        CHECK_EQ(hear(fd, reply), 0);
        close(fd);
    }
    fd = look(world.context);
    send_with_descriptor(fd, "eastwest/1 context"); /* a good request: it is answered, */
    CHECK(hear(fd, reply) > 0);
    close(fd);
    settle(before); /* and what came along is closed */
    close_world(&world);
}

/* catches: the kernel's stack is asked, which has no such function; who asks is hung up on */
static void a_context_without_a_stack_of_its_own_says_so(void)
{
    struct world world = open_world(false);
    int fd = look(world.context);
    const char *reply = ask(fd, "eastwest/1 net conn");

    CHECK(strstr(reply, "\"error\":\"none\"") != NULL);
    CHECK_EQ(number_of(ask(fd, "eastwest/1 context"), "channels"), 2);
    close(fd);
    close_world(&world);
}

/* catches: an answer() that keeps who cannot be told; send without MSG_DONTWAIT */
static void who_asks_and_does_not_read_is_dropped(void)
{
    static const char request[] = "eastwest/1 channels";
    struct world world = open_world(false);
    int flood = look(world.context), other = look(world.context);
    int sent = 0;

    while (send(flood, request, strlen(request), MSG_NOSIGNAL) > 0) {
        CHECK(++sent < 100000);
        if (sent % 64 == 0) /* everybody else is answered meanwhile */
            CHECK_EQ(count_of(ask(other, request), "\"id\":"), 2);
    }
    CHECK(errno == EPIPE || errno == ECONNRESET);
    CHECK_EQ(count_of(ask(other, request), "\"id\":"), 2);
    close(flood);
    close(other);
    close_world(&world);
}

/* catches: no limit of clients; a place that is not given back */
static void clients_have_a_limit_and_give_their_place_back(void)
{
    struct world world = open_world(false);
    int fds[CONTROL_CLIENTS_MAX], before = descriptors(), fd;
    char reply[CONTROL_PACKET_BYTES + 1];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
            fds[i] = look(world.context);
            CHECK(strstr(ask(fds[i], "eastwest/1 context"), "\"uid\":") != NULL);
        }
        fd = look(world.context);
        CHECK(hear(fd, reply) > 0);
        CHECK(strstr(reply, "\"error\":\"full\"") != NULL);
        CHECK_EQ(hear(fd, reply), 0);
        close(fd);
        for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
            close(fds[i]);
        settle(before); /* their places are free */
    }
    close_world(&world);
}

/* catches: no deadline */
static void a_silent_client_is_dropped_in_time(void)
{
    ew_context *context = open_context(SECOND / 100);
    ew_listener *listener = open_listener(context, "echo", false);
    char reply[CONTROL_PACKET_BYTES + 1];
    int fd = look(context);

    CHECK_EQ(hear(fd, reply), 0);
    close(fd);
    ew_listener_free(listener);
    ew_context_close(context);
}

/* catches: drop() left out of ewi_control_close (a callback on freed memory) */
static void closing_the_context_hangs_up(void)
{
    struct world world = open_world(false);
    char reply[CONTROL_PACKET_BYTES + 1], path[4224];
    int fd = look(world.context);

    CHECK_EQ(ew_context_control_address(world.context, path), EW_OK);
    ask(fd, "eastwest/1 context");
    close_world(&world);
    CHECK_EQ(hear(fd, reply), 0);
    CHECK_EQ(try_look(path), -ENOENT);
    close(fd);
}

/* ---- processes ---- */

static pid_t forked(int *told)
{
    int ends[2];
    pid_t pid;

    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* when a CHECK of the test fails */
    close(ends[pid == 0 ? 0 : 1]);
    *told = ends[pid == 0 ? 1 : 0];
    return pid;
}

/* catches: has_control_form left out of should_sweep */
static void a_killed_process_leaves_a_socket_that_the_next_one_sweeps(void)
{
    struct world world;
    char byte, path[4224];
    int told, status;
    pid_t pid = forked(&told);

    if (pid == 0) {
        ew_context *context = open_context(0);

        open_listener(context, "echo", true);
        CHECK_EQ(write(told, "x", 1), 1);
        for (;;)
            pause();
    }
    CHECK_EQ(read(told, &byte, 1), 1);
    CHECK_EQ(control_sockets(), 1);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(control_sockets(), 1);
    world = open_world(false);
    CHECK_EQ(control_sockets(), 1); /* ours */
    CHECK_EQ(ew_context_control_address(world.context, path), EW_OK);
    CHECK_EQ(ew_rundir_sweep_control(directory), 0); /* it lives */
    CHECK_EQ(access(path, F_OK), 0);
    close_world(&world);
    close(told);
}

/* catches: ewi_process_add_fd left out for the control socket or for a client's */
static void a_forked_child_does_not_answer_for_its_parent(void)
{
    struct world world = open_world(false);
    char path[4224], kept[96], byte, reply[CONTROL_PACKET_BYTES + 1];
    int told, status, fd = look(world.context);
    pid_t pid;

    CHECK_EQ(ew_context_control_address(world.context, path), EW_OK);
    snprintf(kept, sizeof(kept), "%s/kept", directory);
    CHECK_EQ(link(path, kept), 0); /* a name that stays */
    ask(fd, "eastwest/1 context");
    pid = forked(&told);
    if (pid == 0) {
        close(fd); /* the test's own */
        CHECK_EQ(ew_context_control_address(world.context, path), EW_EFORKED);
        CHECK_EQ(ew_channel_set_note(world.opened, "{}"), EW_EFORKED);
        CHECK_EQ(write(told, "x", 1), 1);
        for (;;)
            pause();
    }
    CHECK_EQ(read(told, &byte, 1), 1);
    CHECK(count_of(ask(fd, "eastwest/1 channels"), "\"id\":") == 2);
    close_world(&world);
    CHECK_EQ(hear(fd, reply), 0);
    CHECK_EQ(try_look(kept), -ECONNREFUSED); /* the child does not hold it open */
    CHECK_EQ(unlink(kept), 0);
    close(fd);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    close(told);
}

/* catches: a control socket that cannot be had makes listen or connect fail */
static void without_a_directory_everything_else_works(void)
{
    const ew_context_options missing = {.control_dir = "/nonexistent/eastwest"}, none = {0};
    const ew_context_options *options[] = {&missing, &none};

    for (int i = 0; i < 2; i++) {
        ew_context *context;
        ew_listener *listener;
        char path[4224];

        CHECK_EQ(ew_context_open(options[i], &context), EW_OK);
        listener = open_listener(context, "echo", false);
        CHECK_EQ(ew_context_control_address(context, path), EW_ENOTFOUND);
        CHECK(strstr(ew_error_text(), i == 0 ? "does not exist" : "control_dir") != NULL);
        ew_listener_free(listener);
        ew_context_close(context);
    }
}

int main(void)
{
    control_begin();
    RUN(counters_are_right_over_shm);
    RUN(counters_are_right_over_tcp);
    RUN(context_and_listeners_are_described);
    RUN(one_channel_is_told_whole_with_its_note);
    RUN(many_channels_come_in_pages_each_once);
    RUN(a_channel_whose_facts_are_locked_is_told_as_busy);
    RUN(a_list_does_not_take_the_lock_of_a_receiver);
    RUN(channels_may_come_and_go_meanwhile);
    RUN(junk_gets_a_sentence_and_the_end);
    RUN(a_context_without_a_stack_of_its_own_says_so);
    RUN(who_asks_and_does_not_read_is_dropped);
    RUN(clients_have_a_limit_and_give_their_place_back);
    RUN(a_silent_client_is_dropped_in_time);
    RUN(closing_the_context_hangs_up);
    RUN(a_killed_process_leaves_a_socket_that_the_next_one_sweeps);
    RUN(a_forked_child_does_not_answer_for_its_parent);
    RUN(without_a_directory_everything_else_works);
    control_end();
    return 0;
}
