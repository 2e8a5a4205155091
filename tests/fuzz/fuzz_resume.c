/* tests/fuzz/fuzz_resume.c - can a peer that knows the secret hurt us when it comes back?
 *
 * A real listener with both doors. The input opens a channel by hand and then plays moves of MOVE_BYTES:
 * RESUME over TCP and shared memory, its MAC right and its positions, sizes and rings from the input;
 * frames on the link that there is; messages both ways. Whatever it does, the listener lives, and
 * nothing of the channel is left behind it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bindings/c/eastwest.h"
#include "shm/outbox.h"
#include "tests/fuzz/fuzz_base.h"
#include "transport/local/open.h"
#include "transport/proof.h"
#include "transport/wire.h"

enum { ANSWER_MS = 8000, LINKS_MAX = 32, OUTBOX_BYTES = 16384, MOVES_MAX = 24 };

static const uint8_t the_channel[16] = {7}, the_secret[16] = {9};
static char directory[] = "/tmp/ew-fuzz-XXXXXX";
static ew_context *context;
static ew_listener *listener;
static ew_listener_info info;

/* Users of streams that are on their way out are known to the stack's own mapping only, where the leak
 * detector does not look; it runs between two inputs, in the middle of the reactor's work. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

struct play { /* one input */
    ew_channel *channel;
    uint64_t generation;
    int links[LINKS_MAX]; /* all that were made, the newest is in use */
    int count;
};

static void check(bool condition)
{
    if (!condition) {
        perror("fuzz_resume: the last error");
        abort();
    }
}

static void clean_up(void)
{
    char path[256];

    ew_listener_free(listener);
    ew_context_close(context);
    snprintf(path, sizeof(path), "rm -r %s", directory);
    check(system(path) == 0);
}

static void set_up(void)
{
    const ew_context_options options = {.outbox_bytes = OUTBOX_BYTES, .pages = EW_PAGES_SMALL};
    const ew_listen_options listen = {
        .service = "fuzz", .runtime_dir = directory, .bind = "tcp://127.0.0.1:0"};

    if (context != NULL)
        return;
    check(mkdtemp(directory) != NULL);
    check(ew_context_open(&options, &context) == EW_OK);
    check(ew_listen(context, &listen, &listener) == EW_OK);
    check(ew_listener_get_info(listener, &info) == EW_OK);
    atexit(clean_up);
}

/* ---- the doors ---- */

/* libFuzzer's alarm, which looks for slow inputs, interrupts a connect once in a while; TCP goes on. */
static void dial(int fd, const struct sockaddr *to, socklen_t bytes)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};
    int code = connect(fd, to, bytes);

    while (code < 0 && (errno == EINTR || errno == EALREADY)) {
        (void)poll(&wanted, 1, 1000);
        code = connect(fd, to, bytes);
    }
    check(code == 0 || errno == EISCONN);
}

static int dial_tcp(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)atoi(strrchr(info.tcp_address, ':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(fd >= 0);
    dial(fd, (struct sockaddr *)&to, sizeof(to));
    return fd;
}

static int dial_local(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    check(snprintf(to.sun_path, sizeof(to.sun_path), "%s", info.local_address + 4) <
          (int)sizeof(to.sun_path));
    check(fd >= 0);
    dial(fd, (struct sockaddr *)&to, sizeof(to));
    return fd;
}

/* The listener answers or hangs up, always. */
static bool is_welcome(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    uint8_t bytes[WIRE_MESSAGE_BYTES_MAX];
    ssize_t length;
    int ready;

    do
        ready = poll(&wanted, 1, ANSWER_MS);
    while (ready < 0); /* the fuzzer has a timer */
    check(ready == 1);
    length = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT); /* a memfd that comes along is closed */
    return length >= RECORD_HEADER_BYTES &&
           ewi_record_decode(ewi_wire_get_header(bytes)).kind == RECORD_WELCOME;
}

static struct hello hello_of(enum wire_intent intent, uint64_t generation)
{
    struct hello hello = {.version = WIRE_VERSION,
                          .version_min = WIRE_VERSION,
                          .intent = (uint8_t)intent,
                          .generation = generation,
                          .message_bytes_max = 1 << 20,
                          .limit = 1 << 20,
                          .namespace_name = "default",
                          .service = "fuzz"};

    memcpy(hello.channel, the_channel, sizeof(the_channel));
    return hello;
}

static bool greet(int fd, const struct hello *hello, int memory_fd)
{
    static const uint8_t no_nonce[16];
    uint8_t bytes[WIRE_HELLO_BYTES];

    ewi_wire_put_hello(bytes, RECORD_HELLO, hello);
    if (hello->intent == WIRE_RESUME)
        ewi_proof_put(bytes, the_secret, no_nonce);
    if (ewi_local_send(fd, bytes, sizeof(bytes), memory_fd) < 0)
        return false;
    return is_welcome(fd);
}

/* ---- moves ---- */

static void say(const struct play *play, const void *bytes, size_t length)
{
    (void)send(play->links[play->count - 1], bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Near to what could be, or far from it. */
static uint64_t position_of(uint8_t choice, uint8_t value)
{
    if (choice % 4 == 0)
        return UINT64_MAX - value;
    return choice % 4 == 1 ? (uint64_t)value << (choice / 4) : 8 * (uint64_t)value;
}

static int memory_of(const uint8_t *data, size_t size, const uint8_t move[MOVE_BYTES])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct outbox_shared *outbox;

    check(fd >= 0 && posix_fallocate(fd, 0, OUTBOX_BYTES) == 0);
    outbox = mmap(NULL, OUTBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(outbox != MAP_FAILED);
    ewi_outbox_init(outbox, OUTBOX_BYTES);
    memcpy(outbox->ring + 8 * (move[5] % 4), data, size < 4096 ? size : 4096);
    if (move[6] & 1)
        atomic_store_explicit(&outbox->taken, position_of(move[6], move[7]), memory_order_relaxed);
    munmap(outbox, OUTBOX_BYTES);
    if (move[6] % 16 != 15)
        (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | 0x10 | F_SEAL_SEAL);
    return fd;
}

static void resume(struct play *play, const uint8_t move[MOVE_BYTES], const uint8_t *data, size_t size)
{
    bool local = move[1] & 1;
    struct hello hello = hello_of(WIRE_RESUME, play->generation + move[1] / 64);
    int fd, memory_fd = -1;

    if (play->count == LINKS_MAX)
        return;
    hello.taken = position_of(move[2], move[3]) & ~UINT64_C(7);
    hello.start = position_of(move[4], move[5]) & ~UINT64_C(7);
    if (local) {
        memory_fd = memory_of(data, size, move);
        hello.limit = 0;
        hello.outbox_bytes = move[1] & 2 ? (uint64_t)OUTBOX_BYTES : (uint64_t)OUTBOX_BYTES << (move[7] % 40);
        hello.offset = move[1] & 4 ? 0 : 8u * move[7];
    }
    fd = local ? dial_local() : dial_tcp();
    if (greet(fd, &hello, memory_fd)) {
        play->generation = hello.generation + 1;
        play->links[play->count++] = fd;
    } else {
        close(fd);
    }
    if (memory_fd >= 0)
        close(memory_fd);
}

static void say_frame(const struct play *play, const uint8_t move[MOVE_BYTES])
{
    const struct wire_ack ack = {.taken = position_of(move[2], move[3]),
                                 .consumed = position_of(move[4], move[5]),
                                 .limit = position_of(move[6], move[7])};
    uint8_t bytes[WIRE_CONTROL_BYTES_MAX];

    if (move[1] & 1)
        say(play, bytes, ewi_wire_put_ack(bytes, &ack));
    else
        say(play, bytes, ewi_wire_put_u64(bytes, move[1] & 2 ? RECORD_START : RECORD_FINAL, ack.taken));
}

static void make_move(struct play *play, const uint8_t move[MOVE_BYTES], const uint8_t *data, size_t size)
{
    switch (move[0] % 5) {
    case 0:
        resume(play, move, data, size);
        break;
    case 1:
        say_frame(play, move);
        break;
    case 2:
        say(play, data, size);
        break;
    case 3:
        (void)ew_channel_send(play->channel, data, size, 0, NULL);
        break;
    default:
        (void)receive(play->channel, 1 << 16, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hello hello = hello_of(WIRE_OPEN, 1);
    struct play play = {.generation = 2, .count = 1};
    ew_context_stats stats;

    set_up();
    memcpy(hello.secret, the_secret, sizeof(the_secret));
    play.links[0] = dial_tcp();
    check(greet(play.links[0], &hello, -1));
    check(ew_listener_accept(listener, -1, NULL, &play.channel) == EW_OK);
    for (int moves = 0; size >= MOVE_BYTES && moves < MOVES_MAX; moves++) {
        make_move(&play, data, data + MOVE_BYTES, size - MOVE_BYTES);
        data += MOVE_BYTES;
        size -= MOVE_BYTES;
    }
    ew_channel_free(play.channel);
    check(ew_context_get_stats(context, &stats) == EW_OK);
    check(stats.memory_bytes == 0 && stats.channels == 0);
    for (int i = 0; i < play.count; i++)
        close(play.links[i]);
    return 0;
}
