/* tests/plugin/stack.c - a plug-in for tests: kernel sockets behind the table of a fabric's stack.
 *
 * Purpose    Everything that channels do with a plug-in, without a device: ports that cannot be had, are
 *            lost and come back, a stack that has to be armed, or has to be polled.
 * Shape      built three times: TEST_ARMS says whether stream_fd has to be armed, TEST_ABI is wrong once.
 *            text: "device=test[,poll][,looks][,late][,fails_while=PATH]": poll: it cannot wake, looks: but wakes
 *            for each look by itself; late: a stream's end takes longer than
 *            the stack lives; while that file exists, open fails with what it says; address, gateway, mtu, mac are not looked at; deadline_ns=N: poll wants to be called again after so long.
 *            ask: "test lost", "test back", "test broken" (lost until it is opened again, which fails
 *            once), "test polls" (how often poll and stream_arm were called).
 * Owner      its ewi_stack; the kernel's stack inside it
 * Threads    as stack.h
 * Trust      none: test code only
 * Errors     -ENETDOWN of every stream that was there when the port was lost
 * Invariants I1  with TEST_ARMS, stream_fd is readable only after stream_arm.
 * Ordering   a mutex for each stream's descriptors; lost and epoch: only the value counts
 * Source     transport/stack.h
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/stack.h"

enum { STREAMS_MAX = 1024 };

struct entry { /* what is known of a stream beside its socket; by its slot */
    pthread_mutex_t mutex;
    _Atomic uint32_t epoch; /* of the port, when it was made */
    _Atomic ewi_stream stream;
    int epoll_fd; /* TEST_ARMS: what is slept on, -1 */
    bool armed, wants_room;
};

struct ewi_stack {
    struct ewi_stack *kernel;
    bool polled, looks, late;
    uint64_t deadline_ns;
    char device[48];
    int kick_fd; /* "poll": the one descriptor that ever wakes */
    _Atomic uint64_t polls, arms;
    _Atomic uint32_t epoch;
    _Atomic bool lost;
    _Atomic int broken; /* how often it is to be opened */
    struct entry entries[STREAMS_MAX];
};

static const struct stack_ops *const kernel = &ewi_kernel_stack;

static struct entry *entry_of(struct ewi_stack *stack, ewi_stream stream)
{
    return &stack->entries[(uint32_t)stream % STREAMS_MAX];
}

static bool is_gone(struct ewi_stack *stack, ewi_stream stream)
{
    return atomic_load(&entry_of(stack, stream)->epoch) != atomic_load(&stack->epoch);
}

/* ---- life ---- */

static int fails_while(const char *path, const struct stack_options *options)
{
    FILE *file = fopen(path, "r");
    char text[256] = "";

    if (file == NULL)
        return 0;
    if (fgets(text, sizeof(text), file) != NULL)
        snprintf(options->reason, STACK_REASON_BYTES, "%s", text);
    fclose(file);
    return -ENODEV;
}

static int take_word(struct ewi_stack *stack, const char *key, const char *value,
                     const struct stack_options *options)
{
    if (strcmp(key, "device") == 0) {
        snprintf(stack->device, sizeof(stack->device), "%s", value);
        stack->polled = strstr(value, ",poll") != NULL;
        stack->looks = strstr(value, ",looks") != NULL;
        stack->late = strstr(value, ",late") != NULL;
        value = strstr(value, ",fails_while=");
        return value != NULL ? fails_while(value + strlen(",fails_while="), options) : 0;
    }
    if (strcmp(key, "deadline_ns") == 0) {
        stack->deadline_ns = strtoull(value, NULL, 10);
        return 0;
    }
    if (strcmp(key, "address") == 0 || strcmp(key, "gateway") == 0 || strcmp(key, "mtu") == 0 ||
        strcmp(key, "mac") == 0)
        return 0;
    snprintf(options->reason, STACK_REASON_BYTES, "unknown key \"%s\"", key);
    return -EINVAL;
}

static int take_text(struct ewi_stack *stack, const struct stack_options *options)
{
    char *text = strdup(options->text), *rest = NULL;
    int code = 0;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL && code == 0;
         line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');

        *equals = '\0';
        code = take_word(stack, line, equals + 1, options);
    }
    free(text);
    return code;
}

static int test_open(const struct stack_options *options, struct ewi_stack **out)
{
    struct stack_options inner = *options;
    struct ewi_stack *stack = calloc(1, sizeof(*stack));
    int code = take_text(stack, options);

    inner.streams_max = STREAMS_MAX;
    inner.text = "";
    stack->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (code == 0)
        code = kernel->open(&inner, &stack->kernel);
    for (int i = 0; i < STREAMS_MAX; i++) {
        pthread_mutex_init(&stack->entries[i].mutex, NULL);
        stack->entries[i].epoll_fd = -1;
    }
    if (code == 0) {
        *out = stack;
        return 0;
    }
    close(stack->kick_fd);
    free(stack);
    return code;
}

static void test_close(struct ewi_stack *stack)
{
    kernel->close(stack->kernel);
    for (int i = 0; i < STREAMS_MAX; i++)
        if (stack->entries[i].epoll_fd >= 0)
            close(stack->entries[i].epoll_fd);
    close(stack->kick_fd);
    free(stack);
}

static void test_forked(struct ewi_stack *stack)
{
    kernel->forked(stack->kernel);
    for (int i = 0; i < STREAMS_MAX; i++)
        if (stack->entries[i].epoll_fd >= 0)
            close(stack->entries[i].epoll_fd);
    close(stack->kick_fd);
}

/* ---- streams ---- */

static int adopt(struct ewi_stack *stack, int code, const ewi_stream *made)
{
    const ewi_stream stream = code == 0 ? *made : 0;
    struct entry *entry = entry_of(stack, stream);

    if (code != 0)
        return code;
    pthread_mutex_lock(&entry->mutex);
    if (entry->epoll_fd >= 0) /* of a stream before it in this slot */
        close(entry->epoll_fd);
    entry->epoll_fd = TEST_ARMS ? epoll_create1(EPOLL_CLOEXEC) : -1;
    entry->armed = entry->wants_room = false;
    atomic_store(&entry->epoch, atomic_load(&stack->epoch));
    atomic_store(&entry->stream, stream);
    pthread_mutex_unlock(&entry->mutex);
    return 0;
}

static int test_listen(struct ewi_stack *stack, const struct stack_addr *local, uint32_t backlog,
                       uint64_t user, ewi_stream *out)
{
    if (atomic_load(&stack->lost))
        return -ENETDOWN;
    return adopt(stack, kernel->listen(stack->kernel, local, backlog, user, out), out);
}

static int test_connect(struct ewi_stack *stack, const struct stack_addr *local,
                        const struct stack_addr *remote, uint64_t user, uint64_t now,
                        ewi_stream *out)
{
    if (atomic_load(&stack->lost))
        return -ENETDOWN;
    return adopt(stack, kernel->connect(stack->kernel, local, remote, user, now, out), out);
}

static int test_accept(struct ewi_stack *stack, ewi_stream listener, uint64_t user, ewi_stream *out)
{
    if (is_gone(stack, listener))
        return -ENETDOWN;
    return adopt(stack, kernel->accept(stack->kernel, listener, user, out), out);
}

/* With the entry's mutex. */
static void set_epoll(struct ewi_stack *stack, struct entry *entry, ewi_stream stream, int how)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (entry->wants_room ? EPOLLOUT : 0)};

    epoll_ctl(entry->epoll_fd, how, kernel->stream_fd(stack->kernel, stream), &event);
    entry->armed = how != EPOLL_CTL_DEL;
}

static void disarm_stream(struct ewi_stack *stack, ewi_stream stream)
{
    struct entry *entry = entry_of(stack, stream);

    if (!TEST_ARMS)
        return;
    pthread_mutex_lock(&entry->mutex);
    if (entry->armed)
        set_epoll(stack, entry, stream, EPOLL_CTL_DEL);
    pthread_mutex_unlock(&entry->mutex);
}

/* Armed already, it tells of room as well. */
static void want_room(struct ewi_stack *stack, ewi_stream stream)
{
    struct entry *entry = entry_of(stack, stream);

    pthread_mutex_lock(&entry->mutex);
    entry->wants_room = true;
    if (entry->armed)
        set_epoll(stack, entry, stream, EPOLL_CTL_MOD);
    pthread_mutex_unlock(&entry->mutex);
}

static int64_t test_send(struct ewi_stack *stack, ewi_stream stream, const struct stack_span *spans,
                         uint32_t count)
{
    uint64_t wanted = 0;
    int64_t sent;

    if (is_gone(stack, stream))
        return -ENETDOWN;
    for (uint32_t i = 0; i < count; i++)
        wanted += spans[i].bytes;
    sent = kernel->send(stack->kernel, stream, spans, count);
    if (TEST_ARMS && (sent == -EAGAIN || (sent >= 0 && (uint64_t)sent < wanted)))
        want_room(stack, stream);
    return sent;
}

static int test_released(struct ewi_stack *stack, ewi_stream stream, uint64_t *out)
{
    return kernel->released(stack->kernel, stream, out);
}

static int64_t test_recv_into(struct ewi_stack *stack, ewi_stream stream,
                              const struct stack_room *rooms, uint32_t count)
{
    disarm_stream(stack, stream);
    if (is_gone(stack, stream))
        return -ENETDOWN;
    return kernel->recv_into(stack->kernel, stream, rooms, count);
}

static uint32_t test_ready(struct ewi_stack *stack, ewi_stream stream)
{
    disarm_stream(stack, stream);
    return is_gone(stack, stream) ? STACK_FAILED : kernel->ready(stack->kernel, stream);
}

static int test_error(struct ewi_stack *stack, ewi_stream stream)
{
    return is_gone(stack, stream) ? -ENETDOWN : kernel->error(stack->kernel, stream);
}

static int test_shutdown(struct ewi_stack *stack, ewi_stream stream)
{
    return kernel->shutdown(stack->kernel, stream);
}

static int test_break_off(struct ewi_stack *stack, ewi_stream stream)
{
    return kernel->break_off(stack->kernel, stream);
}

static int test_finish(struct ewi_stack *stack, ewi_stream stream, bool reset, uint64_t now)
{
    disarm_stream(stack, stream);
    atomic_store(&entry_of(stack, stream)->stream, 0);
    return kernel->finish(stack->kernel, stream, reset, now);
}

/* ---- progress and sleep ---- */

static int test_watch(struct ewi_stack *stack, ewi_stream stream, uint32_t bits)
{
    return kernel->watch(stack->kernel, stream, bits);
}

static int test_poll(struct ewi_stack *stack, uint64_t now, struct stack_event *events,
                     uint32_t count, uint64_t *deadline)
{
    uint64_t kicks;
    int got;

    atomic_fetch_add(&stack->polls, 1);
    if (stack->polled && read(stack->kick_fd, &kicks, sizeof(kicks)) < 0)
        kicks = 0;
    got = kernel->poll(stack->kernel, now, events, count, deadline);
    if (stack->deadline_ns != 0)
        *deadline = now + stack->deadline_ns;
    for (int i = 0; stack->late && i < got; i++) {
        if (events[i].bits & STACK_CLOSED)
            events[i--] = events[--got];
    }
    return got;
}

static void test_flush(struct ewi_stack *stack, uint64_t now)
{
    kernel->flush(stack->kernel, now);
}

static int test_wait_fd(struct ewi_stack *stack)
{
    return stack->polled ? stack->kick_fd : kernel->wait_fd(stack->kernel);
}

static int test_stream_fd(struct ewi_stack *stack, ewi_stream stream)
{
    return TEST_ARMS ? entry_of(stack, stream)->epoll_fd
                       : kernel->stream_fd(stack->kernel, stream);
}

static int test_arm(struct ewi_stack *stack, uint64_t now)
{
    return kernel->arm(stack->kernel, now);
}

static void test_disarm(struct ewi_stack *stack)
{
    kernel->disarm(stack->kernel);
}

static void test_kick(struct ewi_stack *stack)
{
    const uint64_t one = 1;

    if (stack->polled && write(stack->kick_fd, &one, sizeof(one)) < 0)
        return;
    kernel->kick(stack->kernel);
}

static int test_stream_arm(struct ewi_stack *stack, ewi_stream stream, uint64_t now)
{
    struct entry *entry = entry_of(stack, stream);
    struct pollfd look = {.events = POLLIN};
    bool found;

    (void)now;
    atomic_fetch_add(&stack->arms, 1);
    if (is_gone(stack, stream))
        return 1;
    pthread_mutex_lock(&entry->mutex);
    set_epoll(stack, entry, stream, entry->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD);
    entry->wants_room = false; /* until a send finds none again */
    look.fd = entry->epoll_fd;
    found = poll(&look, 1, 0) > 0;
    if (found) /* whoever is told so must not sleep: nothing would wake it */
        set_epoll(stack, entry, stream, EPOLL_CTL_DEL);
    pthread_mutex_unlock(&entry->mutex);
    return found;
}

/* ---- look ---- */

static int test_addresses(struct ewi_stack *stack, ewi_stream stream, struct stack_addr *local,
                          struct stack_addr *remote)
{
    struct stack_addr ours, theirs;
    int code = kernel->addresses(stack->kernel, stream, &ours, remote == NULL ? NULL : &theirs);

    if (code == 0 && local != NULL)
        *local = ours;
    if (code == 0 && remote != NULL)
        *remote = theirs;
    return code; /* and nothing is told to who asks for too much */
}

static int test_info(struct ewi_stack *stack, struct stack_info *out)
{
    int code = kernel->info(stack->kernel, out);

    snprintf(out->name, sizeof(out->name), "test");
    snprintf(out->device, sizeof(out->device), "%s", stack->device);
    if (stack->polled)
        out->caps &= ~(uint32_t)STACK_WAKE;
    if (stack->polled || stack->looks) {
        out->poll_interval_ns = 1000 * 1000;
        snprintf(out->reason, sizeof(out->reason), "a test device cannot sleep");
    }
    return code;
}

static enum stack_silence test_silence(struct ewi_stack *stack, ewi_stream stream,
                                       uint64_t *since_ns)
{
    return kernel->silence(stack->kernel, stream, since_ns);
}

static void lose(struct ewi_stack *stack)
{
    atomic_store(&stack->lost, true);
    atomic_fetch_add(&stack->epoch, 1);
    for (int i = 0; i < STREAMS_MAX; i++) {
        ewi_stream stream = atomic_load(&stack->entries[i].stream);

        if (stream != 0)
            kernel->break_off(stack->kernel, stream); /* whoever sleeps on it looks */
    }
    test_kick(stack);
}

static int64_t test_ask(struct ewi_stack *stack, const char *question, char *answer, size_t room)
{
    int bytes = 0;

    if (strcmp(question, "test broken") == 0)
        atomic_store(&stack->broken, 2);
    if (strcmp(question, "test lost") == 0 || strcmp(question, "test broken") == 0)
        lose(stack);
    else if (strcmp(question, "test back") == 0)
        atomic_store(&stack->lost, false);
    else if (strcmp(question, "test polls") != 0)
        return -EINVAL;
    bytes = snprintf(answer, room, "{\"polls\": %llu, \"arms\": %llu}",
                     (unsigned long long)atomic_load(&stack->polls),
                     (unsigned long long)atomic_load(&stack->arms));
    return bytes < (int)room ? bytes : -ENOBUFS;
}

static int test_reopen(struct ewi_stack *stack, char *reason)
{
    reason[0] = '\0';
    if (!atomic_load(&stack->lost))
        return 0;
    if (atomic_load(&stack->broken) == 0) {
        snprintf(reason, STACK_REASON_BYTES, "no carrier");
        return -EAGAIN;
    }
    if (atomic_fetch_sub(&stack->broken, 1) > 1) {
        snprintf(reason, STACK_REASON_BYTES, "nobody listens there yet");
        return -ENOENT;
    }
    atomic_store(&stack->lost, false);
    return 0;
}

static const struct stack_ops ops = {
    .abi = TEST_ABI,
    .bytes = sizeof(struct stack_ops),
    .name = "test",
    .open = test_open,
    .close = test_close,
    .listen = test_listen,
    .connect = test_connect,
    .accept = test_accept,
    .send = test_send,
    .released = test_released,
    .recv_into = test_recv_into,
    .ready = test_ready,
    .error = test_error,
    .shutdown = test_shutdown,
    .break_off = test_break_off,
    .finish = test_finish,
    .watch = test_watch,
    .poll = test_poll,
    .flush = test_flush,
    .wait_fd = test_wait_fd,
    .stream_fd = test_stream_fd,
    .arm = test_arm,
    .disarm = test_disarm,
    .kick = test_kick,
    .addresses = test_addresses,
    .info = test_info,
    .silence = test_silence,
    .forked = test_forked,
    .stream_arm = TEST_ARMS ? test_stream_arm : NULL,
    .ask = test_ask,
    .reopen = test_reopen,
};

extern const struct stack_plugin ewi_stack_plugin;
__attribute__((visibility("default"))) const struct stack_plugin ewi_stack_plugin = {
    .abi = TEST_ABI, .bytes = offsetof(struct stack_plugin, open_shards), .version = "0.0.0-test", .ops = &ops};
