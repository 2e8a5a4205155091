#include "bindings/dpdk/examples/loop.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { STREAMS = 4096, BACKLOG = 256, EVENTS = 64 };

static volatile sig_atomic_t is_over;

static void stop(int signal_number)
{
    (void)signal_number;
    is_over = 1;
}

__attribute__((format(printf, 1, 2))) static _Noreturn void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

uint64_t loop_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static const struct stack_ops *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct stack_plugin *plugin;

    if (library == NULL)
        give_up("%s", dlerror());
    plugin = dlsym(library, "ewi_stack_plugin");
    if (plugin == NULL)
        give_up("%s is no stack plug-in: it has no symbol ewi_stack_plugin", path);
    if (plugin->abi != STACK_ABI)
        give_up("%s speaks version %u of the interface, this program %d", path, plugin->abi, STACK_ABI);
    if (plugin->ops->bytes < sizeof(struct stack_ops))
        give_up("%s is older than this program: build both from the same source", path);
    return plugin->ops;
}

void loop_open(struct loop *loop, const char *plugin, const char *settings)
{
    char reason[STACK_REASON_BYTES] = "";
    uint8_t seed[32];
    const struct stack_options options = {
        .streams_max = STREAMS, .seed = seed, .text = settings, .reason = reason};

    if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
        give_up("no randomness: %s", strerror(errno));
    loop->ops = load(plugin);
    if (loop->ops->open(&options, &loop->stack) != 0)
        give_up("%s", reason);
}

static uint16_t read_port(const char *text)
{
    const size_t digits = strspn(text, "0123456789");
    const unsigned long port = strtoul(text, NULL, 10);

    if (digits == 0 || text[digits] != '\0' || port == 0 || port > UINT16_MAX)
        give_up("port %s: want 1..%d", text, UINT16_MAX);
    return (uint16_t)port;
}

void loop_listen(struct loop *loop, const char *port)
{
    const struct stack_addr any = {.family = 4, .port = read_port(port)};
    int code = loop->ops->listen(loop->stack, &any, BACKLOG, 0, &loop->listener);

    if (code != 0)
        give_up("port %s: %s", port, strerror(-code));
    fprintf(stderr, "listening on port %s\n", port);
}

static void sleep_if_idle(struct loop *loop, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};
    struct pollfd wait = {.fd = loop->ops->wait_fd(loop->stack), .events = POLLIN};

    if (loop->ops->arm(loop->stack, loop_now()) != 0)
        return; /* something has come meanwhile */
    if (ppoll(&wait, 1, loop->is_lost ? &second : NULL, signals) < 0 && errno != EINTR)
        give_up("ppoll: %s", strerror(errno));
    loop->ops->disarm(loop->stack);
}

static void open_again(struct loop *loop)
{
    char reason[STACK_REASON_BYTES];

    loop->is_lost = loop->ops->reopen(loop->stack, reason) != 0;
    if (loop->is_lost)
        fprintf(stderr, "the device is lost: %s\n", reason);
}

static void tell(struct loop *loop, loop_handler *handle, const struct stack_event *event)
{
    if (event->stream == loop->listener && (event->bits & STACK_FAILED))
        loop->is_lost = true;
    else
        handle(loop, event);
}

void loop_run(struct loop *loop, loop_handler *handle)
{
    const struct sigaction action = {.sa_handler = stop};
    struct stack_event events[EVENTS];
    sigset_t ends, before;
    uint64_t deadline;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, &before); /* they arrive while we sleep */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (!is_over) {
        int count = loop->ops->poll(loop->stack, loop_now(), events, EVENTS, &deadline);

        for (int i = 0; i < count; i++)
            tell(loop, handle, &events[i]);
        loop->ops->flush(loop->stack, loop_now());
        if (count == 0)
            sleep_if_idle(loop, &before);
        if (count == 0 && loop->is_lost)
            open_again(loop);
    }
    loop->ops->close(loop->stack);
}
