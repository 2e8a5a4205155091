/* tests/shell/host/net_host.c - a process with a TCP/IP of its own, for tests of `eastwest net`.
 *
 * Two stacks on a wire in memory, a connection between them, and the control socket of the first; what it
 * answers is the library's. Usage: net_host DIRECTORY; says "ready" and ends when its input does. A line of
 * input sends a kilobyte over the connection, and is answered "sent".
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/shell/wire.h"
#include "transport/control/control.h"
#include "transport/shell/shell.h"

enum { CLIENTS_MAX = 32, TURN_MS = 1, EVENTS = 16, PIECE = 1024, PORT = 7000 };

static struct {
    struct ewi_stack *stack[2];
    ewi_stream opener, listener, accepted;
    int listening, client[CLIENTS_MAX];
    char path[128];
} host;

static void die(const char *what)
{
    fprintf(stderr, "net_host: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- stacks ---- */

static void turn(void)
{
    const struct stack_ops *ops = wire_stack();
    struct stack_event events[EVENTS];
    uint64_t deadline;
    uint8_t bytes[PIECE];

    for (int i = 0; i < 2; i++)
        (void)ops->poll(host.stack[i], ewi_now_ns(), events, EVENTS, &deadline);
    if (host.accepted == 0)
        (void)ops->accept(host.stack[1], host.listener, 1, &host.accepted);
    if (host.accepted != 0)
        (void)ops->recv_into(host.stack[1], host.accepted, &(struct stack_room){bytes, PIECE}, 1);
}

static struct ewi_stack *open_one(int number)
{
    uint8_t seed[32] = {(uint8_t)number};
    char text[128], reason[STACK_REASON_BYTES] = "";
    struct stack_options options = {
        .streams_max = 64, .seed = seed, .text = text, .reason = reason};
    struct ewi_stack *stack;

    snprintf(text, sizeof(text), "device=wire:name=host\naddress=10.0.0.%d/24\ndetect=off", number);
    if (wire_stack()->open(&options, &stack) != 0)
        die(reason);
    return stack;
}

static void open_stacks(void)
{
    const struct stack_addr at = {.family = 4, .port = PORT, .ip = {10, 0, 0, 2}};
    const struct stack_ops *ops = wire_stack();

    for (int i = 0; i < 2; i++)
        host.stack[i] = open_one(i + 1);
    if (ops->listen(host.stack[1], &at, 4, 1, &host.listener) != 0 ||
        ops->connect(host.stack[0], NULL, &at, 1, ewi_now_ns(), &host.opener) != 0)
        die("connect");
    while (host.accepted == 0)
        turn();
}

/* ---- the control socket ---- */

static void open_control(const char *directory)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    snprintf(host.path, sizeof(host.path), "%s/proc", directory);
    (void)mkdir(host.path, 0700);
    snprintf(host.path, sizeof(host.path), "%s/proc/%d-0123456789abcdef.sock", directory, getpid());
    if (strlen(host.path) >= sizeof(name.sun_path))
        die("a long path");
    memcpy(name.sun_path, host.path, strlen(host.path) + 1);
    host.listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (host.listening < 0 || bind(host.listening, (struct sockaddr *)&name, sizeof(name)) != 0 ||
        listen(host.listening, CLIENTS_MAX) != 0)
        die("control socket");
    memset(host.client, 0xff, sizeof(host.client));
}

static void take_client(void)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (host.client[i] < 0) {
            host.client[i] = accept4(host.listening, NULL, NULL, SOCK_CLOEXEC);
            return;
        }
}

static void serve(int *fd)
{
    char bytes[CONTROL_REQUEST_BYTES_MAX], reply[CONTROL_PACKET_BYTES];
    struct control_request request;
    ssize_t length = recv(*fd, bytes, sizeof(bytes), MSG_TRUNC);
    size_t answer;

    if (length <= 0 || ewi_control_parse(bytes, (size_t)length, &request) != EW_OK ||
        request.verb != CONTROL_NET) {
        close(*fd);
        *fd = -1;
        return;
    }
    answer = ewi_control_ask(wire_stack(), host.stack[0], request.question, CONTROL_MAY_WRITE, reply);
    (void)send(*fd, reply, answer, MSG_NOSIGNAL);
}

/* ---- all ---- */

/* False: the input has ended. */
static bool take_line(void)
{
    static const uint8_t piece[PIECE];
    char line[64];

    if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
        return false;
    (void)wire_stack()->send(host.stack[0], host.opener, &(struct stack_span){piece, PIECE}, 1);
    puts("sent");
    fflush(stdout);
    return true;
}

static bool wait_and_serve(void)
{
    struct pollfd fds[CLIENTS_MAX + 2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                          {.fd = host.listening, .events = POLLIN}};

    for (int i = 0; i < CLIENTS_MAX; i++)
        fds[i + 2] = (struct pollfd){.fd = host.client[i], .events = POLLIN};
    (void)poll(fds, CLIENTS_MAX + 2, TURN_MS);
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (fds[i + 2].revents != 0)
            serve(&host.client[i]);
    if (fds[1].revents != 0)
        take_client();
    return fds[0].revents == 0 || take_line();
}

int main(int argc, char **argv)
{
    if (argc != 2)
        die("want a directory");
    open_stacks();
    open_control(argv[1]);
    puts("ready");
    fflush(stdout);
    while (wait_and_serve())
        turn();
    unlink(host.path);
    for (int i = 0; i < 2; i++)
        wire_stack()->close(host.stack[i]);
    return 0;
}
