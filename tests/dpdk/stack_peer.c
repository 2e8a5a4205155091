/* tests/dpdk/stack_peer.c - a stack behind a plug-in, driven by lines on stdin.
 *
 *   dpdk_stack_peer PLUGIN.so SETTINGS [SEED]      SETTINGS: lines "key=value", or joined by ';'
 *
 * tests/dpdk/stack.py talks to it; the table `commands` is the reference. One thread, which is application
 * and reactor, and sleeps on wait_fd when nothing goes on. What happens is told in lines of JSON on stdout;
 * `quit` or the end of stdin closes the stack, which resets what is open.
 */
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>

#include "shm/sleep.h"
#include "tests/dpdk/stack_streams.h"
#include "tests/net/peer_words.h"

enum { EVENTS = 64, ANSWER_BYTES = 16384, SAY_BYTES = 4096 };

static struct {
    struct streams streams;
    uint64_t loops, sleeps;
    struct lines lines;
    bool has_event; /* of the last turn */
} peer;

/* ---- commands ---- */

static struct stream *new_stream(const char *role)
{
    static const char *const names[ROLES] = {"echo", "sink", "source", "ask", "talk"};

    return stream_new(&peer.streams, (enum role)choice(role, names, ROLES));
}

static void do_listen(char **words)
{
    const struct stack_addr local = address(words[0]);
    struct stream *stream = new_stream(words[1]);
    uint32_t backlog = words[2] != NULL && words[3] != NULL ? (uint32_t)number(words[3]) : 1024;

    stream->is_listener = true;
    stream->total = number(words[2]);
    answer_opened(&peer.streams, "listen", stream,
                  peer.streams.ops->listen(peer.streams.stack, &local, backlog,
                                           stream_id(&peer.streams, stream), &stream->handle));
}

static void do_connect(char **words)
{
    const struct stack_addr remote = address(words[0]);
    struct stream *stream = new_stream(words[1]);

    stream->total = number(words[2]);
    stream->unit = words[2] != NULL && words[3] != NULL ? number(words[3]) : 1;
    answer_opened(&peer.streams, "connect", stream,
                  peer.streams.ops->connect(peer.streams.stack, NULL, &remote,
                                            stream_id(&peer.streams, stream), peer.streams.now,
                                            &stream->handle));
}

static unsigned digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a' + 10);
    usage("no hexadecimal digit");
}

/* A line's worth fits into an idle connection. */
static void do_say(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);
    uint8_t bytes[SAY_BYTES];
    size_t count = strlen(words[1]) / 2;
    int64_t taken;

    if (count > SAY_BYTES)
        usage("too long to say");
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(digit(words[1][2 * i]) << 4 | digit(words[1][2 * i + 1]));
    taken = put(&peer.streams, stream, bytes, count);
    answer("say", stream_id(&peer.streams, stream), taken < 0 ? (int)taken : 0);
    CHECK(taken < 0 || (size_t)taken == count);
}

static void do_stop(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);

    stream->stands_still = true;
    stream_drive(&peer.streams, stream);
    answer("stop", stream_id(&peer.streams, stream), 0);
}

static void do_go(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);

    stream->stands_still = false;
    stream_drive(&peer.streams, stream);
    answer("go", stream_id(&peer.streams, stream), 0);
}

static void do_shutdown(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);

    stream_shut(&peer.streams, stream);
    stream_drive(&peer.streams, stream);
    answer("shutdown", stream_id(&peer.streams, stream), stream->error);
}

static void do_finish(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);

    stream_finish(&peer.streams, stream, false);
    answer("finish", stream_id(&peer.streams, stream), 0);
}

static void do_abort(char **words)
{
    struct stream *stream = stream_at(&peer.streams, words[0]);

    stream_finish(&peer.streams, stream, true);
    answer("abort", stream_id(&peer.streams, stream), 0);
}

static void do_info(char **words)
{
    print_stream(&peer.streams, "info", stream_at(&peer.streams, words[0]));
}

static void do_stack(char **words)
{
    struct stack_info info;

    (void)words;
    CHECK_EQ(peer.streams.ops->info(peer.streams.stack, &info), 0);
    printf("{\"event\":\"stack\",\"name\":\"%s\",\"device\":\"%s\",\"reason\":\"%s\",\"caps\":%u,"
           "\"streams\":%u,\"poll_interval_ns\":%" PRIu64 ",\"loops\":%" PRIu64 ",\"sleeps\":%" PRIu64
           "}\n",
           info.name, info.device, info.reason, info.caps, info.streams, info.poll_interval_ns,
           peer.loops, peer.sleeps);
}

static void do_ask(char **words)
{
    static char text[ANSWER_BYTES];
    int64_t code = -ENOTSUP;

    if (peer.streams.ops->ask != NULL)
        code = peer.streams.ops->ask(peer.streams.stack, words[0], text, sizeof(text));
    for (int64_t i = 0; i + 1 < code; i++) /* rows, each with a line: an event is one */
        if (text[i] == '\n')
            text[i] = ',';
    if (code < 0)
        printf("{\"event\":\"answer\",\"error\":\"%s\"}\n", name_of((int)code));
    else
        printf("{\"event\":\"answer\",\"error\":\"\",\"rows\":[%.*s]}\n", (int)code - 1, text);
}

static void do_reopen(char **words)
{
    char reason[STACK_REASON_BYTES];
    int code = peer.streams.ops->reopen(peer.streams.stack, reason);

    (void)words;
    printf("{\"event\":\"reopened\",\"error\":\"%s\",\"reason\":\"%s\"}\n", name_of(code), reason);
}

static void do_quit(char **words)
{
    (void)words;
    peer.lines.is_ending = true;
}

static const struct command commands[] = {
    {"listen", "ADDRESS ROLE [TOTAL [BACKLOG]]", 2, do_listen},
    {"connect", "ADDRESS ROLE [TOTAL [UNIT]]", 2, do_connect},
    {"say", "ID HEX", 2, do_say},
    {"stop", "ID: read or accept nothing", 1, do_stop},
    {"go", "ID: after stop", 1, do_go},
    {"shutdown", "ID", 1, do_shutdown},
    {"finish", "ID", 1, do_finish},
    {"abort", "ID", 1, do_abort},
    {"info", "ID", 1, do_info},
    {"stack", "", 0, do_stack},
    {"ask", "QUESTION", 1, do_ask},
    {"reopen", "", 0, do_reopen},
    {"quit", "", 0, do_quit},
};

/* ---- the loop ---- */

static bool sleeps_now(void)
{
    if (peer.has_event || peer.streams.ops->arm(peer.streams.stack, ewi_now_ns()) != 0)
        return false;
    peer.sleeps += 1;
    return true;
}

static void rest(void)
{
    struct pollfd fds[2] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = peer.streams.ops->wait_fd(peer.streams.stack), .events = POLLIN},
    };
    bool sleeps = sleeps_now();

    fflush(stdout);
    CHECK(poll(fds, 2, sleeps ? -1 : 0) >= 0 || errno == EINTR);
    if (sleeps)
        peer.streams.ops->disarm(peer.streams.stack);
    peer.streams.now = ewi_now_ns();
    if (fds[0].revents != 0)
        lines_read(&peer.lines, commands, sizeof(commands) / sizeof(commands[0]));
}

static void turn(void)
{
    struct streams *all = &peer.streams;
    struct stack_event events[EVENTS];
    uint64_t deadline;
    int count;

    all->now = ewi_now_ns();
    peer.loops += 1;
    count = all->ops->poll(all->stack, all->now, events, EVENTS, &deadline);
    CHECK(count >= 0);
    peer.has_event = count > 0;
    for (int i = 0; i < count; i++)
        stream_event(all, &events[i]);
    all->ops->flush(all->stack, ewi_now_ns());
    rest();
}

/* ---- start ---- */

static void load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct stack_plugin *plugin = library == NULL ? NULL : dlsym(library, "ewi_stack_plugin");

    if (plugin == NULL)
        usage(dlerror());
    CHECK_EQ(plugin->abi, STACK_ABI);
    peer.streams.ops = plugin->ops;
}

static void open_stack(char *settings, uint64_t seed)
{
    char reason[STACK_REASON_BYTES] = "";
    uint8_t bytes[32] = {0};
    const struct stack_options options = {
        .streams_max = STREAMS_MAX, .seed = bytes, .text = settings, .reason = reason};
    struct stack_info info;

    memcpy(bytes, &seed, sizeof(seed));
    for (char *at = settings; *at != '\0'; at++)
        if (*at == ';')
            *at = '\n';
    if (peer.streams.ops->open(&options, &peer.streams.stack) != 0)
        usage(reason);
    CHECK_EQ(peer.streams.ops->info(peer.streams.stack, &info), 0);
    CHECK((info.caps & STACK_TX_REF) == 0); /* stack_streams.h I1 */
}

int main(int argc, char **argv)
{
    uint64_t seed = argc == 4 ? number(argv[3]) : 1;

    if (argc != 3 && argc != 4)
        usage("PLUGIN.so SETTINGS [SEED]");
    load(argv[1]);
    streams_open(&peer.streams, seed);
    open_stack(argv[2], seed);
    signal(SIGPIPE, SIG_IGN);
    lines_open();
    printf("{\"event\":\"ready\"}\n");
    while (!peer.lines.is_ending)
        turn();
    peer.streams.ops->close(peer.streams.stack);
    streams_close(&peer.streams);
    printf("{\"event\":\"bye\",\"check\":\"\"}\n");
    fflush(stdout); /* LeakSanitizer may end us */
    return 0;
}
