/* tests/c/test_move_hostile.c - a peer that knows the channel's secret and lies when it comes back:
 * an opener made by hand, over TCP. */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/c/pair_base.h"
#include "transport/proof.h"
#include "transport/retired.h"
#include "transport/wire.h"

static const uint8_t the_channel[16] = {1}, the_secret[16] = {2};

static int dial(const struct pair *pair)
{
    const struct timeval patience = {.tv_sec = 5};
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)atoi(strrchr(pair->info.tcp_address, ':') + 1));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const void *bytes, size_t length)
{
    CHECK_EQ(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
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
                          .service = "storm"};

    memcpy(hello.channel, the_channel, sizeof(the_channel));
    return hello;
}

/* What the listener answers to a hello: RECORD_WELCOME or RECORD_REFUSE. */
static int greet(int fd, const struct hello *hello)
{
    static const uint8_t none[16];
    uint8_t bytes[WIRE_HELLO_BYTES];
    struct record record;

    ewi_wire_put_hello(bytes, RECORD_HELLO, hello);
    if (hello->intent == WIRE_RESUME)
        ewi_proof_put(bytes, the_secret, none);
    say(fd, bytes, sizeof(bytes));
    CHECK_EQ(recv(fd, bytes, RECORD_HEADER_BYTES, MSG_WAITALL), RECORD_HEADER_BYTES);
    record = ewi_record_decode(ewi_wire_get_header(bytes));
    CHECK(record.bytes <= sizeof(bytes));
    CHECK(recv(fd, bytes + RECORD_HEADER_BYTES, record.bytes - RECORD_HEADER_BYTES, MSG_WAITALL) > 0);
    return record.kind;
}

static int open_by_hand(struct pair *pair)
{
    struct hello hello = hello_of(WIRE_OPEN, 1);
    uint8_t start[WIRE_START_BYTES];
    int fd = dial(pair);

    memcpy(hello.secret, the_secret, sizeof(the_secret));
    CHECK_EQ(greet(fd, &hello), RECORD_WELCOME);
    say(fd, start, ewi_wire_put_u64(start, RECORD_START, 0));
    CHECK_EQ(ew_listener_accept(pair->listener, PATIENCE_MS * MS, NULL, &pair->end[1]), EW_OK);
    return fd;
}

static void say_taken(int fd, uint64_t taken)
{
    const struct wire_ack ack = {.taken = taken, .limit = 1 << 20};
    uint8_t bytes[WIRE_ACK_BYTES];

    say(fd, bytes, ewi_wire_put_ack(bytes, &ack));
}

static struct pair open_server(void)
{
    struct pair pair = {0};

    CHECK_EQ(ew_context_open(NULL, &pair.server), EW_OK);
    open_listener(&pair, true);
    return pair;
}

static void close_server(struct pair *pair)
{
    ew_channel_free(pair->end[1]);
    ew_listener_free(pair->listener);
    check_empty(pair->server);
    ew_context_close(pair->server);
}

static uint64_t peer_taken(ew_channel *channel)
{
    ew_channel_stats stats;

    CHECK_EQ(ew_channel_get_stats(channel, &stats), EW_OK);
    return stats.position_peer_taken;
}

/* catches: our own ring read from the middle of a record, because the peer says it took so much;
 * an assertion fails then, and the process of an innocent is gone */
static void a_peer_that_took_half_a_record_breaks_its_channel(void)
{
    static const char message[40];
    struct pair pair = open_server();
    struct hello hello = hello_of(WIRE_RESUME, 2);
    uint8_t junk[2 * sizeof(message)];
    size_t length;
    int fd = open_by_hand(&pair);

    CHECK_EQ(ew_channel_send(pair.end[1], message, sizeof(message), 0, NULL), EW_OK);
    CHECK_EQ(ew_channel_send(pair.end[1], message, sizeof(message), 0, NULL), EW_OK);
    CHECK_EQ(recv(fd, junk, sizeof(junk), MSG_WAITALL), sizeof(junk));
    say_taken(fd, 16);
    while (peer_taken(pair.end[1]) == 0)
        ;
    close(fd);
    fd = dial(&pair);
    hello.taken = 16;
    CHECK_EQ(greet(fd, &hello), RECORD_REFUSE);
    CHECK_EQ(ew_channel_recv(pair.end[1], junk, sizeof(junk), &length, PATIENCE_MS * MS, NULL),
             EW_EPROTO);
    close(fd);
    close_server(&pair);
}

/* catches: a replay, whose MAC is right, that brings the channel to rest again and again */
static void a_replay_is_refused(void)
{
    struct pair pair = open_server();
    const struct hello hello = hello_of(WIRE_RESUME, 2);
    size_t length;
    char text[8];
    int fds[4] = {open_by_hand(&pair)};

    fds[1] = dial(&pair);
    CHECK_EQ(greet(fds[1], &hello), RECORD_WELCOME);
    for (int i = 2; i < 4; i++) {
        fds[i] = dial(&pair);
        CHECK_EQ(greet(fds[i], &hello), RECORD_REFUSE);
    }
    CHECK_EQ(ew_channel_recv(pair.end[1], text, sizeof(text), &length, 10 * MS, NULL),
             EW_ETIMEOUT);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close_server(&pair);
}

/* catches: generation + 1 that begins at 0 again; an incoming link forgotten when another comes */
static void the_last_generation_is_the_last(void)
{
    static const uint64_t generations[] = {UINT64_MAX - 1, UINT64_MAX, 2, UINT64_MAX};
    static const int wanted[] = {RECORD_WELCOME, RECORD_WELCOME, RECORD_REFUSE, RECORD_REFUSE};
    struct pair pair = open_server();
    int fds[5] = {open_by_hand(&pair)};

    for (int i = 0; i < 4; i++) {
        const struct hello hello = hello_of(WIRE_RESUME, generations[i]);

        fds[i + 1] = dial(&pair);
        CHECK_EQ(greet(fds[i + 1], &hello), wanted[i]);
    }
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close_server(&pair);
}

/* catches: a position believed */
static void positions_that_cannot_be_are_refused(void)
{
    static const uint64_t taken[] = {8, 16, 1000, UINT64_MAX - 7, UINT64_C(1) << 63};
    static const char message[40];
    struct pair pair = open_server();
    int fd = open_by_hand(&pair), again;

    CHECK_EQ(ew_channel_send(pair.end[1], message, sizeof(message), 0, NULL), EW_OK);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct hello hello = hello_of(WIRE_RESUME, 2 + i);

        hello.taken = taken[i];
        again = dial(&pair);
        CHECK_EQ(greet(again, &hello), RECORD_REFUSE);
        close(again);
    }
    CHECK_EQ(ew_channel_send(pair.end[1], message, sizeof(message), PATIENCE_MS * MS, NULL),
             EW_OK);
    close(fd);
    close_server(&pair);
}

static int descriptors(void)
{
    DIR *directory_of_ours = opendir("/proc/self/fd");
    int count = 0;

    CHECK(directory_of_ours != NULL);
    while (readdir(directory_of_ours) != NULL)
        count++;
    closedir(directory_of_ours);
    return count;
}

/* catches: a descriptor for each resume of a peer that knows the secret and closes nothing */
static void a_peer_that_resumes_for_ever_takes_a_few_descriptors(void)
{
    enum { RESUMES = 100, A_FEW = 16 };
    struct pair pair = open_server();
    int fds[RESUMES] = {open_by_hand(&pair)}, before = descriptors();

    for (int i = 1; i < RESUMES; i++) {
        const struct hello hello = hello_of(WIRE_RESUME, 1 + (uint64_t)i);

        fds[i] = dial(&pair);
        CHECK_EQ(greet(fds[i], &hello), RECORD_WELCOME);
    }
    CHECK(descriptors() - before < RESUMES + A_FEW); /* ours, and the few at the other end */
    CHECK_EQ(ew_channel_send(pair.end[1], "x", 1, PATIENCE_MS * MS, NULL), EW_OK);
    for (int i = 0; i < RESUMES; i++)
        close(fds[i]);
    close_server(&pair);
}

static bool is_closed(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};

    return poll(&look, 1, 0) > 0 && (look.revents & POLLRDHUP) != 0;
}

/* catches: a replaced link that the peer leaves open, kept for ever; one that is closed before a
 * dialler without an answer has dialled again */
static void a_replaced_link_is_closed_when_its_time_is_over(void)
{
    const uint64_t times_ns[] = {RETIRED_NS, 1}; /* "never", and at once */
    struct pair pair = open_server();
    int fds[3] = {open_by_hand(&pair)};
    char junk[256];

    for (int i = 0; i < 2; i++) {
        const struct hello hello = hello_of(WIRE_RESUME, 2 + (uint64_t)i);

        ewi_reactor_lock(pair.server->reactor); /* a link retires after its welcome was sent */
        pair.server->retired_ns = times_ns[i];
        ewi_reactor_unlock(pair.server->reactor);
        fds[i + 1] = dial(&pair);
        CHECK_EQ(greet(fds[i + 1], &hello), RECORD_WELCOME);
    }
    while (recv(fds[1], junk, sizeof(junk), 0) > 0) /* its own START came first */
        ;
    CHECK(is_closed(fds[1]));
    CHECK(!is_closed(fds[0]) && !is_closed(fds[2]));
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close_server(&pair);
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(positions_that_cannot_be_are_refused);
    RUN(a_replay_is_refused);
    RUN(the_last_generation_is_the_last);
    RUN(a_peer_that_resumes_for_ever_takes_a_few_descriptors);
    RUN(a_replaced_link_is_closed_when_its_time_is_over);
    RUN(a_peer_that_took_half_a_record_breaks_its_channel);
    rmdir(directory);
    return 0;
}
