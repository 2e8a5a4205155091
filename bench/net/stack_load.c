/* bench/net/stack_load.c - one load, any stack: what transport/stack.h is given is all that differs.
 *
 *   stack_load server|client|both MODE [OPTION=VALUE...]
 *
 *   MODE     echo     the client sends BYTES on each of CONNS connections and waits for them to come back
 *            connect  connect, one exchange, close; again
 *            bulk     the client sends as fast as it may, the server reads
 *   stack=kernel|PLUGIN.so  text=TEXT (lines, separated by ';')  at=ADDR:PORT  conns=1  bytes=64
 *   look=QUESTION (of stack_ops.ask, at the end; the answer goes to stderr)
 *   seconds=2 (of the client; a server ends when its stdin does)  from=ADDR (connect rotates through
 *   `sources` of them, so that ports in TIME_WAIT are no limit)  sources=1  text2=TEXT: of the server's
 *   stack, for `both`: one thread drives both ends.  shards=1: of a server, each driven by a thread on
 *   a core of its own, of those that the process may use.
 *
 * Everything spins, for at most LIFE_S. Prints one line of JSON: requests (or bytes) a second, median
 * and tails in ns, CPU time of this process in ns for each request.
 */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench/c/duo.h"
#include "transport/stack.h"

enum {
    LIFE_S = 120,
    CONNS_MAX = 4096,
    BYTES_MAX = 1 << 20,
    EVENTS = 64,
    SAMPLES_MAX = 1 << 20,
    SHARDS_MAX = 8,
    LOOKS = 256, /* at one stream, between two polls */
    BULK_BYTES = 256 * 1024,
};

struct end { /* one stack and what it talks about */
    const struct stack_ops *ops;
    struct ewi_stack *stack;
    ewi_stream only; /* the only connection, or 0 */
    uint32_t open;
    uint64_t received;
    uint8_t *bytes_in; /* BYTES_MAX */
};

struct conn {
    ewi_stream stream;
    uint64_t since;
    uint32_t have;
    bool is_open;
};

static struct {
    const char *role, *mode, *plugin, *text, *text2, *look;
    struct stack_addr at, from;
    uint32_t conns, bytes, sources, shards;
    double seconds;
    struct end client, server, shard[SHARDS_MAX];
    _Atomic bool is_over;
    struct conn conn[CONNS_MAX];
    uint64_t done, failed;
    uint32_t *samples;
    uint8_t bytes_out[BYTES_MAX];
    uint64_t began_cpu;
} load;

static uint64_t clock_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

/* ---- stacks ---- */

static const struct stack_plugin *plugin_of(const char *name)
{
    static const struct stack_plugin kernel = {.ops = &ewi_kernel_stack, .bytes = sizeof(kernel)};
    const struct stack_plugin *plugin;
    void *library;

    if (strcmp(name, "kernel") == 0)
        return &kernel;
    library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "stack_load: %s\n", dlerror());
        exit(2);
    }
    plugin = dlsym(library, "ewi_stack_plugin");
    DUO_CHECK(plugin != NULL && plugin->abi == STACK_ABI);
    return plugin;
}

static int open_stacks(const struct stack_plugin *plugin, const struct stack_options *options,
                       uint32_t count, struct ewi_stack **out)
{
    if (count == 1)
        return plugin->ops->open(options, out);
    DUO_CHECK(plugin->bytes >= sizeof(*plugin) && plugin->open_shards != NULL);
    return plugin->open_shards(options, count, out);
}

/* One device as `count` stacks. */
static void open_ends(struct end *ends, uint32_t count, const char *text)
{
    const struct stack_plugin *plugin = plugin_of(load.plugin);
    struct ewi_stack *stacks[SHARDS_MAX];
    char lines[4096], reason[STACK_REASON_BYTES] = "";
    uint8_t seed[32] = {1};
    const struct stack_options options = {
        .streams_max = 65536, .seed = seed, .text = lines, .reason = reason};

    snprintf(lines, sizeof(lines), "%s", text);
    for (char *at = lines; *at != '\0'; at++)
        if (*at == ';')
            *at = '\n';
    if (open_stacks(plugin, &options, count, stacks) != 0) {
        fprintf(stderr, "stack_load: %s\n", reason);
        exit(2);
    }
    for (uint32_t i = 0; i < count; i++) {
        ends[i] = (struct end){
            .ops = plugin->ops, .stack = stacks[i], .bytes_in = malloc(BYTES_MAX)};
        DUO_CHECK(ends[i].bytes_in != NULL);
    }
}

static int64_t put(struct end *end, ewi_stream stream, const void *bytes, size_t count)
{
    const struct stack_span span = {bytes, count};

    return end->ops->send(end->stack, stream, &span, 1);
}

static int64_t get(struct end *end, ewi_stream stream)
{
    const struct stack_room room = {end->bytes_in, BYTES_MAX};

    return end->ops->recv_into(end->stack, stream, &room, 1);
}

/* ---- the server: sends back what comes, or counts it ---- */

static void answer(struct end *end, ewi_stream stream)
{
    const bool echoes = strcmp(load.mode, "bulk") != 0;
    int64_t got;

    while ((got = get(end, stream)) > 0) {
        end->received += (uint64_t)got;
        for (int64_t sent = 0; echoes && sent < got;) {
            int64_t now = put(end, stream, end->bytes_in + sent, (size_t)(got - sent));

            if (now < 0 && now != -EAGAIN)
                return;
            sent += now < 0 ? 0 : now;
        }
        if ((size_t)got < (size_t)BYTES_MAX)
            return;
    }
    if (got == -EAGAIN)
        return;
    if (end->only == stream)
        end->only = 0;
    end->open -= 1;
    end->ops->finish(end->stack, stream, got < 0, now_ns());
}

static void welcome(struct end *end, ewi_stream listener)
{
    ewi_stream stream;

    while (end->ops->accept(end->stack, listener, 1, &stream) == 0) {
        end->only = end->open++ == 0 ? stream : 0;
        end->ops->watch(end->stack, stream, STACK_READABLE);
        answer(end, stream);
    }
}

static void serve(struct end *end)
{
    struct stack_event events[EVENTS];
    uint64_t deadline;
    int count;

    for (int look = 0; look < LOOKS && end->only != 0 && load.client.ops == NULL; look++)
        answer(end, end->only);
    count = end->ops->poll(end->stack, now_ns(), events, EVENTS, &deadline);
    for (int i = 0; i < count; i++) {
        if (events[i].bits & STACK_ACCEPT)
            welcome(end, events[i].stream);
        else if (events[i].bits & (STACK_READABLE | STACK_PEER_FIN | STACK_FAILED))
            answer(end, events[i].stream);
    }
    end->ops->flush(end->stack, now_ns());
}

static void start_server(struct end *ends, uint32_t count)
{
    open_ends(ends, count, load.text2 != NULL ? load.text2 : load.text);
    for (uint32_t i = 0; i < count; i++) {
        ewi_stream listener;
        int code = ends[i].ops->listen(ends[i].stack, &load.at, 1024, 0, &listener);

        if (code != 0) {
            fprintf(stderr, "stack_load: listen: %s\n", strerror(-code));
            exit(2);
        }
    }
    printf("{\"ready\": true}\n");
    fflush(stdout);
}

/* ---- the client ---- */

static void beside(void)
{
    if (load.server.ops != NULL)
        serve(&load.server);
}

static void start_conn(struct conn *conn)
{
    struct stack_addr local = load.from;
    int code;

    *conn = (struct conn){.since = now_ns()};
    if (local.family == 4)
        local.ip[3] = (uint8_t)(local.ip[3] + load.done % load.sources);
    code = load.client.ops->connect(load.client.stack, local.family != 0 ? &local : NULL, &load.at,
                                    (uint64_t)(conn - load.conn), conn->since, &conn->stream);
    if (code != 0) {
        fprintf(stderr, "stack_load: connect: %s after %llu\n", strerror(-code),
                (unsigned long long)load.done);
        exit(3);
    }
}

static void ask(struct conn *conn)
{
    conn->have = 0;
    if (strcmp(load.mode, "connect") != 0)
        conn->since = now_ns();
    DUO_CHECK(put(&load.client, conn->stream, load.bytes_out, load.bytes) == (int64_t)load.bytes);
}

static void count_one(struct conn *conn)
{
    if (load.done < SAMPLES_MAX)
        load.samples[load.done] = (uint32_t)ewi_min_u64(now_ns() - conn->since, UINT32_MAX);
    load.done += 1;
}

static bool is_over(uint64_t until)
{
    return now_ns() >= until;
}

/* False: nothing came. */
static bool hear(struct conn *conn, uint64_t until)
{
    int64_t got = get(&load.client, conn->stream);

    if (got == -EAGAIN)
        return false;
    DUO_CHECK(got > 0);
    conn->have += (uint32_t)got;
    if (conn->have < load.bytes)
        return true;
    count_one(conn);
    if (strcmp(load.mode, "connect") != 0) {
        if (!is_over(until))
            ask(conn);
        return true;
    }
    load.client.ops->finish(load.client.stack, conn->stream, false, now_ns());
    if (!is_over(until))
        start_conn(conn);
    return true;
}

static void client_poll(uint64_t until)
{
    struct stack_event events[EVENTS];
    uint64_t deadline;
    int count = load.client.ops->poll(load.client.stack, now_ns(), events, EVENTS, &deadline);

    for (int i = 0; i < count; i++) {
        struct conn *conn = &load.conn[events[i].user];

        if (events[i].bits & STACK_CLOSED || events[i].stream != conn->stream)
            continue;
        if (events[i].bits & STACK_FAILED) {
            int code = load.client.ops->error(load.client.stack, conn->stream);

            fprintf(stderr, "stack_load: a connection failed: %s\n", strerror(-code));
            exit(3);
        }
        if (!conn->is_open && events[i].bits & STACK_CONNECTED) {
            conn->is_open = true;
            load.client.ops->watch(load.client.stack, conn->stream, STACK_READABLE);
            if (strcmp(load.mode, "bulk") != 0)
                ask(conn);
        }
        if (events[i].bits & STACK_READABLE)
            (void)hear(conn, until);
    }
    load.client.ops->flush(load.client.stack, now_ns());
}

static bool all_open(void)
{
    for (uint32_t i = 0; i < load.conns; i++)
        if (!load.conn[i].is_open)
            return false;
    return true;
}

static void exchange(uint64_t until)
{
    const bool is_alone = load.conns == 1 && strcmp(load.mode, "echo") == 0;

    while (!is_over(until)) {
        for (int look = 0; is_alone && look < LOOKS; look++) {
            beside();
            (void)hear(&load.conn[0], until);
        }
        client_poll(until);
        beside();
    }
}

static void stream_out(uint64_t until)
{
    while (!is_over(until)) {
        for (int look = 0; look < LOOKS; look++) {
            int64_t sent = put(&load.client, load.conn[0].stream, load.bytes_out, BULK_BYTES);

            beside();
            DUO_CHECK(sent > 0 || sent == -EAGAIN);
            if (sent > 0)
                load.done += (uint64_t)sent;
        }
        client_poll(until);
        beside();
    }
}

/* ---- what comes out ---- */

static int order(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void print_client(uint64_t took, uint64_t cpu)
{
    uint64_t count = ewi_min_u64(load.done, SAMPLES_MAX);

    if (strcmp(load.mode, "bulk") == 0) {
        printf("{\"gbit_per_s\": %.3f, \"cpu_ns_per_kib\": %.1f}\n",
               (double)load.done * 8 / (double)took, (double)cpu * 1024 / (double)load.done);
        return;
    }
    DUO_CHECK(count > 0);
    qsort(load.samples, count, sizeof(load.samples[0]), order);
    printf("{\"per_second\": %.0f, \"median_ns\": %u, \"p99_ns\": %u, \"p999_ns\": %u, "
           "\"cpu_ns_per_request\": %.1f}\n",
           (double)load.done * 1e9 / (double)took, load.samples[count / 2],
           load.samples[count * 99 / 100], load.samples[count * 999 / 1000],
           (double)cpu / (double)load.done);
}

static void look_at(const struct end *end)
{
    static char answer[1 << 16];

    if (load.look != NULL && end->ops->ask != NULL &&
        end->ops->ask(end->stack, load.look, answer, sizeof(answer)) > 0)
        fprintf(stderr, "%s\n", answer);
}

static void run_client(void)
{
    uint64_t began, cpu, until;

    open_ends(&load.client, 1, load.text);
    load.samples = calloc(SAMPLES_MAX, sizeof(load.samples[0]));
    DUO_CHECK(load.samples != NULL);
    for (uint32_t i = 0; i < load.conns; i++)
        start_conn(&load.conn[i]);
    until = now_ns() + UINT64_C(10) * 1000000000;
    while (strcmp(load.mode, "connect") != 0 && !all_open()) {
        client_poll(until);
        beside();
        DUO_CHECK(!is_over(until));
    }
    load.done = 0;
    began = now_ns();
    cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    until = began + (uint64_t)(load.seconds * 1e9);
    (strcmp(load.mode, "bulk") == 0 ? stream_out : exchange)(until);
    print_client(now_ns() - began, clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    look_at(&load.client);
    load.client.ops->close(load.client.stack);
}

/* To one of the cores that the process may use. */
static void pin(uint32_t number)
{
    cpu_set_t may, one;

    DUO_CHECK(sched_getaffinity(getpid(), sizeof(may), &may) == 0);
    number %= (uint32_t)CPU_COUNT(&may);
    for (size_t core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &may) || number-- != 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        DUO_CHECK(pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0);
        return;
    }
}

static void *run_shard(void *context)
{
    struct end *end = context;

    pin((uint32_t)(end - load.shard));
    while (!atomic_load_explicit(&load.is_over, memory_order_relaxed)) /* a flag */
        serve(end);
    return NULL;
}

static void run_server(void)
{
    struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
    pthread_t thread[SHARDS_MAX];
    uint64_t received = 0;

    start_server(load.shard, load.shards);
    for (uint32_t i = 0; load.shards > 1 && i < load.shards; i++)
        DUO_CHECK(pthread_create(&thread[i], NULL, run_shard, &load.shard[i]) == 0);
    if (load.shards > 1)
        (void)poll(&end, 1, -1);
    else
        for (uint32_t turn = 1; turn % 1024 != 0 || poll(&end, 1, 0) == 0; turn++)
            serve(&load.shard[0]);
    atomic_store_explicit(&load.is_over, true, memory_order_relaxed); /* a flag */
    for (uint32_t i = 0; load.shards > 1 && i < load.shards; i++)
        pthread_join(thread[i], NULL);
    for (uint32_t i = 0; i < load.shards; i++) {
        received += load.shard[i].received;
        look_at(&load.shard[i]);
        load.shard[i].ops->close(load.shard[i].stack);
    }
    printf("{\"received\": %llu, \"cpu_ns\": %llu}\n", (unsigned long long)received,
           (unsigned long long)(clock_of(CLOCK_PROCESS_CPUTIME_ID) - load.began_cpu));
}

/* ---- arguments ---- */

static void take_address(const char *text, struct stack_addr *out)
{
    if (ewi_addr_parse(text, out) != 0) {
        fprintf(stderr, "stack_load: %s: want ADDR:PORT\n", text);
        exit(2);
    }
}

static void take(const char *argument)
{
    const char *value = strchr(argument, '=');
    size_t key = value == NULL ? 0 : (size_t)(value - argument);

    if (value == NULL) {
        fprintf(stderr, "stack_load: %s: want OPTION=VALUE\n", argument);
        exit(2);
    }
    value += 1;
    if (strncmp(argument, "stack", key) == 0)
        load.plugin = value;
    else if (strncmp(argument, "text2", ewi_max_u64(key, 5)) == 0)
        load.text2 = value;
    else if (strncmp(argument, "text", key) == 0)
        load.text = value;
    else if (strncmp(argument, "look", key) == 0)
        load.look = value;
    else if (strncmp(argument, "at", key) == 0)
        take_address(value, &load.at);
    else if (strncmp(argument, "from", key) == 0)
        take_address(value, &load.from);
    else if (strncmp(argument, "conns", key) == 0)
        load.conns = ewi_min_u32((uint32_t)atoi(value), CONNS_MAX);
    else if (strncmp(argument, "bytes", key) == 0)
        load.bytes = ewi_min_u32((uint32_t)atoi(value), BYTES_MAX);
    else if (strncmp(argument, "shards", ewi_max_u64(key, 2)) == 0)
        load.shards = ewi_max_u32(1, ewi_min_u32((uint32_t)atoi(value), SHARDS_MAX));
    else if (strncmp(argument, "sources", key) == 0)
        load.sources = (uint32_t)atoi(value);
    else if (strncmp(argument, "seconds", key) == 0)
        load.seconds = atof(value);
    else
        fprintf(stderr, "stack_load: %s: no such option\n", argument), exit(2);
}

int main(int argc, char **argv)
{
    load.plugin = "kernel";
    load.text = "";
    load.conns = load.sources = load.shards = 1;
    load.bytes = 64;
    load.seconds = 2;
    if (argc < 3) {
        fprintf(stderr, "usage: stack_load server|client|both echo|connect|bulk [OPTION=VALUE...]\n");
        return 2;
    }
    load.role = argv[1];
    load.mode = argv[2];
    for (int i = 3; i < argc; i++)
        take(argv[i]);
    alarm(LIFE_S);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    load.began_cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    if (strcmp(load.role, "server") == 0) {
        run_server();
        return 0;
    }
    if (strcmp(load.role, "both") == 0)
        start_server(&load.server, 1);
    run_client();
    if (load.server.ops != NULL)
        load.server.ops->close(load.server.stack);
    return 0;
}
