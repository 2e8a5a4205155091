/* One end of a channel, for tests/crash/test_matrix.py: what is killed, and what is left behind.
 *
 *   party opener ADDRESS|- PATH FOLDER PROGRESS      party acceptor - PATH FOLDER PROGRESS
 *
 * The opener sends message 0, the acceptor answers with its own message 0, and so on; each eighth
 * message is a long one. Over PATH shm or tcp; with "move" the channel begins over shared memory and
 * the opener switches it to TCP and back, while the answer is on its way. ADDRESS is then two, with a
 * comma in between. With "cut" it is over TCP, and the opener's connection is lost now and then. With --last the first end to close is this one. Every end checks that the
 * other's messages come numbered, without a gap or a repeat, and says how far it is in PROGRESS, a
 * mapped file that outlives it: a message is begun before send and done after it.
 *
 * On its standard output, one line each:
 *   at ADDRESS          an acceptor listens
 *   over GOT CODE       a conversation ended: messages received whole, why (ew_err, 0: as planned)
 *   left FDS MAPS BYTES after everything was closed: more than before the first conversation
 * On its standard input, a line each: "again [ADDRESS]" one more conversation, "nobody" for one who
 * waits in accept: the other end is dead; "end" no more. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "bindings/c/eastwest.h"
#include "tests/c/harness.h"
#include "transport/channel/channel.h"

enum {
    ROUNDS = 24,
    LONG_BYTES = 80 * 1024, /* more than any record: fragments */
    LONG_EVERY = 8,
    PATIENCE_MS = 20,
    SWITCH_EVERY = 5, /* an even number of switches in all: the last one leads back */
};

#define MS INT64_C(1000000)
#define LONG_NS (20000 * MS)
#define GRACE_NS (200 * MS) /* a dead peer is dialled again and again, for that long */
#define GRACE_CUT_NS (1000 * MS) /* ... a living one, on a busy machine, is found */

struct progress { /* read by the test */
    _Atomic uint64_t begun, done, got, closing;
};

static struct {
    bool opener, tcp, moves, cuts, closes_first;
    const char *folder;
    char addresses[2][128]; /* of the acceptor, to move between */
    unsigned switches_failed;
    ew_context *context;
    ew_listener *listener;
    struct progress *progress;
    uint8_t message[LONG_BYTES], expected[LONG_BYTES];
} self;

/* ---- what is held ---- */

struct held {
    long long descriptors, mappings, bytes;
};

static long long count_entries(const char *path)
{
    DIR *list = opendir(path);
    long long count = 0;

    CHECK(list != NULL);
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

/* Memory that was shared with a peer; the process's own heap and stacks may grow. */
static long long count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    long long count = 0;

    CHECK(maps != NULL);
    while (fgets(line, sizeof(line), maps) != NULL)
        count += strstr(line, "memfd:") != NULL;
    fclose(maps);
    return count;
}

static struct held look(void)
{
    ew_context_stats stats;

    CHECK_EQ(ew_context_get_stats(self.context, &stats), EW_OK);
    return (struct held){.descriptors = count_entries("/proc/self/fd"),
                         .mappings = count_mappings(),
                         .bytes = (long long)stats.memory_bytes};
}

/* What a hang-up sets free is freed by the reactor a moment later: wait for it, not for ever. Before
 * there is anything to compare with: until it stays as it is. */
static struct held look_until(const struct held *before)
{
    long long most = before != NULL ? before->descriptors : 0;
    struct held now = look();

    for (int i = 0; i < 100 && (now.descriptors > most || now.bytes > 0); i++) {
        most = before != NULL ? most : now.descriptors;
        poll(NULL, 0, PATIENCE_MS);
        now = look();
    }
    return now;
}

/* ---- messages ---- */

static size_t length_of(uint64_t number)
{
    return number % LONG_EVERY == LONG_EVERY - 1 ? LONG_BYTES : 8 + number * 13 % 200;
}

static size_t make(uint8_t *to, uint64_t number)
{
    size_t length = length_of(number);

    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
    memcpy(to, &number, sizeof(number));
    return length;
}

static int say(ew_channel *channel, uint64_t number)
{
    size_t length = make(self.message, number);
    int code;

    atomic_store(&self.progress->begun, number + 1);
    code = ew_channel_send(channel, self.message, length, LONG_NS, NULL);
    if (code == EW_OK)
        atomic_store(&self.progress->done, number + 1);
    return code;
}

/* The next message, which must be the next number. */
static int hear(ew_channel *channel)
{
    uint64_t number = atomic_load(&self.progress->got);
    size_t length;
    int code = ew_channel_recv(channel, self.message, LONG_BYTES, &length, LONG_NS, NULL);

    if (code != EW_OK)
        return code;
    CHECK_EQ(length, make(self.expected, number)); /* neither a gap nor a repeat */
    CHECK(memcmp(self.message, self.expected, length) == 0);
    atomic_store(&self.progress->got, number + 1);
    return EW_OK;
}

/* ---- moving ---- */

static void take_addresses(const char *both)
{
    const char *comma = strchr(both, ',');

    CHECK(comma != NULL);
    snprintf(self.addresses[0], sizeof(self.addresses[0]), "%.*s", (int)(comma - both), both);
    snprintf(self.addresses[1], sizeof(self.addresses[1]), "%s", comma + 1);
}

/* There, and the next time back. Of a peer that dies meanwhile the conversation will tell. */
static void move(ew_channel *channel, bool to_tcp)
{
    ew_channel_info info;
    int code = ew_channel_switch(channel, self.addresses[to_tcp], LONG_NS, NULL);

    if (code != EW_OK) {
        self.switches_failed += 1;
        return;
    }
    CHECK_EQ(ew_channel_get_info(channel, &info), EW_OK);
    CHECK_EQ(info.path, to_tcp ? EW_PATH_TCP : EW_PATH_SHM);
}

static bool is_to_move(uint64_t number)
{
    return self.opener && (self.moves || self.cuts) && number > 0 && number % SWITCH_EVERY == 0;
}

/* As if the network were. The link is lost, and the opener dials again. */
static void cut(ew_channel *channel)
{
    struct stream_link *link;

    ewi_lock_enter(&channel->facts_lock); /* it is not replaced meanwhile */
    link = &channel->link->stream;
    link->ops->break_off(link->stack, link->stream);
    ewi_lock_give(&channel->facts_lock);
}

/* Until all is said or the other end is gone; 0 or why. */
static int converse(ew_channel *channel)
{
    int code = EW_OK;

    self.switches_failed = 0;
    for (uint64_t number = 0; number < ROUNDS && code == EW_OK; number++) {
        code = self.opener ? say(channel, number) : hear(channel);
        if (code == EW_OK && is_to_move(number))
            self.cuts ? cut(channel) : move(channel, number / SWITCH_EVERY % 2 == 1);
        if (code == EW_OK)
            code = self.opener ? hear(channel) : say(channel, number);
    }
    CHECK(code != EW_OK || self.switches_failed == 0); /* nobody died */
    if (code == EW_OK && self.closes_first)
        return EW_OK;
    do /* what came before the end */
        code = hear(channel);
    while (code == EW_OK);
    return code;
}

static void finish(ew_channel *channel, int code)
{
    atomic_store(&self.progress->closing, 1);
    ew_channel_close(channel, LONG_NS, NULL);
    ew_channel_free(channel);
    printf("over %llu %d\n", (unsigned long long)atomic_load(&self.progress->got), code);
    fflush(stdout);
}

static void start_progress(void)
{
    atomic_store(&self.progress->begun, 0);
    atomic_store(&self.progress->done, 0);
    atomic_store(&self.progress->got, 0);
}

/* ---- the two roles ---- */

static bool was_told(char line[256])
{
    struct pollfd look_at = {.fd = STDIN_FILENO, .events = POLLIN};

    if (poll(&look_at, 1, 0) == 0)
        return false;
    CHECK(fgets(line, 256, stdin) != NULL);
    return true;
}

/* One conversation with whoever comes, unless the test says that nobody will. */
static void accept_one(void)
{
    ew_channel *channel;
    char line[256];
    int code;

    start_progress();
    do
        code = ew_listener_accept(self.listener, PATIENCE_MS * MS, NULL, &channel);
    while (code == EW_ETIMEOUT && !was_told(line));
    if (code == EW_ETIMEOUT) /* it may have come at the last moment */
        code = ew_listener_accept(self.listener, 0, NULL, &channel);
    if (code == EW_OK) {
        finish(channel, converse(channel));
        return;
    }
    CHECK(code == EW_EAGAIN || code == EW_ETIMEOUT);
    printf("over 0 %d\n", code);
    fflush(stdout);
}

static void open_one(const char *address)
{
    ew_connect_options options = {.service = "matrix", .address = address, .timeout_ns = LONG_NS};
    ew_channel *channel;
    int code;

    if (self.moves) {
        take_addresses(address);
        options.address = self.addresses[0];
    }
    start_progress();
    code = ew_connect(self.context, &options, &channel);
    if (code == EW_OK) {
        finish(channel, converse(channel));
        return;
    }
    printf("over 0 %d\n", code);
    fflush(stdout);
}

static void listen_as(const char *service, ew_listener_info *info)
{
    const ew_listen_options options = {.service = service,
                                       .runtime_dir = self.tcp ? NULL : self.folder,
                                       .bind = self.tcp || self.moves ? "tcp://127.0.0.1:0" : NULL};

    CHECK_EQ(ew_listen(self.context, &options, &self.listener), EW_OK);
    CHECK_EQ(ew_listener_get_info(self.listener, info), EW_OK);
}

/* A channel to ourselves: whatever is made once and kept is there before we count. */
static void warm_up(void)
{
    ew_listener_info info;
    ew_channel *ends[2];
    uint64_t number;
    size_t length;

    listen_as("warm", &info);
    const ew_connect_options options = {.service = "warm",
                                        .address = self.tcp ? info.tcp_address : info.local_address,
                                        .timeout_ns = LONG_NS};
    CHECK_EQ(ew_connect(self.context, &options, &ends[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(self.listener, LONG_NS, NULL, &ends[1]), EW_OK);
    CHECK_EQ(ew_channel_send(ends[0], "12345678", 8, LONG_NS, NULL), EW_OK);
    CHECK_EQ(ew_channel_recv(ends[1], &number, sizeof(number), &length, LONG_NS, NULL), EW_OK);
    if (self.moves) {
        CHECK_EQ(ew_channel_switch(ends[0], info.tcp_address, LONG_NS, NULL), EW_OK);
        CHECK_EQ(ew_channel_switch(ends[0], info.local_address, LONG_NS, NULL), EW_OK);
    }
    for (int i = 0; i < 2; i++) {
        ew_channel_abort(ends[i]);
        ew_channel_free(ends[i]);
    }
    ew_listener_close(self.listener);
    ew_listener_free(self.listener);
    self.listener = NULL;
}

static void open_progress(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && ftruncate(fd, sizeof(struct progress)) == 0);
    self.progress = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(self.progress != MAP_FAILED);
    close(fd);
}

static void run(const char *address)
{
    char line[256] = "";
    ew_listener_info info;
    struct held before, after;

    if (getenv("EWI_CRASH_AT") == NULL) /* who is killed dies in the conversation that counts */
        warm_up();
    before = look_until(NULL);
    if (!self.opener) {
        listen_as("matrix", &info);
        printf("at %s%s%s\n", self.tcp ? info.tcp_address : info.local_address,
               self.moves ? "," : "", self.moves ? info.tcp_address : "");
        fflush(stdout);
    }
    self.opener ? open_one(address) : accept_one();
    while (fgets(line, sizeof(line), stdin) != NULL && strcmp(line, "end\n") != 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "again", 5) == 0) /* else "nobody", which came too late */
            self.opener ? open_one(line + 6) : accept_one();
    }
    if (!self.opener) {
        ew_listener_close(self.listener);
        ew_listener_free(self.listener);
    }
    after = look_until(&before);
    printf("left %lld %lld %lld\n", after.descriptors - before.descriptors,
           after.mappings - before.mappings, after.bytes);
    fflush(stdout);
    ew_context_close(self.context);
}

int main(int argc, char **argv)
{
    ew_context_options options = {.wait = EW_WAIT_BLOCK, .grace_ns = GRACE_NS}; /* bells ring */

    CHECK(argc >= 6);
    alarm(60);
    self.opener = strcmp(argv[1], "opener") == 0;
    self.cuts = strcmp(argv[3], "cut") == 0;
    self.tcp = strcmp(argv[3], "tcp") == 0 || self.cuts;
    if (self.cuts)
        options.grace_ns = GRACE_CUT_NS;
    self.moves = strcmp(argv[3], "move") == 0;
    self.folder = argv[4];
    self.closes_first = argc > 6;
    open_progress(argv[5]);
    CHECK_EQ(ew_context_open(&options, &self.context), EW_OK);
    run(argv[2]);
    return 0;
}
