/* A small HTTP/1.1 server on our own TCP/IP: GET and HEAD of "/", keep-alive and pipelining.
 *
 *   ew_example_http PLUGIN.so PORT "device=af_packet:iface=veth1
 *   address=10.77.0.1/24"
 *
 * Bad input: a request line or header block beyond REQUEST_BYTES gets 431, what is no request 400, another
 * method 405, another path 404; then the connection is closed. A body is refused with 413.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bindings/dpdk/examples/loop.h"

enum { REQUEST_BYTES = 8 * 1024, ANSWER_BYTES = 512 };

static const char body[] = "Hello from a TCP/IP stack of our own.\n";

struct client {
    size_t have;             /* of the request */
    size_t from, to;         /* of the answer that the peer has no room for yet */
    bool ends;               /* with this answer */
    char request[REQUEST_BYTES + 1];
    char answer[ANSWER_BYTES];
};

/* ---- answers ---- */

static void answer(struct client *client, const char *status, const char *text, bool is_head)
{
    int length = snprintf(client->answer, ANSWER_BYTES,
                          "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                          "Connection: %s\r\n\r\n%s",
                          status, strlen(text), client->ends ? "close" : "keep-alive",
                          is_head ? "" : text);

    client->from = 0;
    client->to = (size_t)length;
}

static void refuse(struct client *client, const char *status)
{
    client->ends = true;
    answer(client, status, "", false);
}

/* ---- requests ---- */

/* The value of a header in a block that ends with an empty line; NULL: it is not there. */
static const char *header(const char *block, const char *name)
{
    const size_t length = strlen(name);

    for (const char *line = strstr(block, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

static void judge(struct client *client, const char *request)
{
    char method[8], path[256], version[16];
    const char *connection = header(request, "Connection"), *bytes = header(request, "Content-Length");
    bool is_head;

    if (sscanf(request, "%7s %255s %15[^\r\n]", method, path, version) != 3 ||
        strncmp(version, "HTTP/1.", 7) != 0) {
        refuse(client, "400 Bad Request");
        return;
    }
    is_head = strcmp(method, "HEAD") == 0;
    if (!is_head && strcmp(method, "GET") != 0) {
        refuse(client, "405 Method Not Allowed");
        return;
    }
    if (header(request, "Transfer-Encoding") != NULL || (bytes != NULL && atoll(bytes) != 0)) {
        refuse(client, "413 Content Too Large");
        return;
    }
    client->ends = strcmp(version, "HTTP/1.0") == 0;
    if (connection != NULL)
        client->ends = strncasecmp(connection, "close", 5) == 0 ||
                       (client->ends && strncasecmp(connection, "keep-alive", 10) != 0);
    if (strcmp(path, "/") == 0)
        answer(client, "200 OK", body, is_head);
    else
        answer(client, "404 Not Found", "no such page\n", is_head);
}

/* Takes one request from the front, if one is whole; false: more has to come. */
static bool next_request(struct client *client)
{
    char *end;
    size_t used;
    char behind;

    client->request[client->have] = '\0';
    end = strstr(client->request, "\r\n\r\n");
    if (end == NULL) {
        if (strlen(client->request) < client->have)
            refuse(client, "400 Bad Request"); /* a NUL */
        else if (client->have == REQUEST_BYTES)
            refuse(client, "431 Request Header Fields Too Large");
        return client->ends;
    }
    used = (size_t)(end - client->request) + 4;
    behind = client->request[used];
    client->request[used] = '\0';
    judge(client, client->request);
    client->request[used] = behind;
    client->have -= used;
    memmove(client->request, client->request + used, client->have);
    return true;
}

/* ---- the connection ---- */

static void end(struct loop *loop, ewi_stream stream, struct client *client, bool reset)
{
    loop->ops->finish(loop->stack, stream, reset, loop_now());
    free(client);
}

static bool put_out(struct loop *loop, ewi_stream stream, struct client *client)
{
    while (client->from < client->to) {
        const struct stack_span rest = {client->answer + client->from, client->to - client->from};
        int64_t sent = loop->ops->send(loop->stack, stream, &rest, 1);

        if (sent < 0)
            return false;
        client->from += (size_t)sent;
    }
    return true;
}

static void serve(struct loop *loop, ewi_stream stream, struct client *client)
{
    while (put_out(loop, stream, client)) {
        const struct stack_room room = {client->request + client->have,
                                        REQUEST_BYTES - client->have};
        int64_t got;

        if (client->ends) {
            end(loop, stream, client, false);
            return;
        }
        if (next_request(client))
            continue;
        got = loop->ops->recv_into(loop->stack, stream, &room, 1);
        if (got == -EAGAIN) {
            loop->ops->watch(loop->stack, stream, STACK_READABLE);
            return;
        }
        if (got <= 0) {
            end(loop, stream, client, got < 0);
            return;
        }
        client->have += (size_t)got;
    }
    loop->ops->watch(loop->stack, stream, STACK_WRITABLE);
}

static void welcome(struct loop *loop)
{
    for (;;) {
        struct client *client = calloc(1, sizeof(*client));
        ewi_stream stream;

        if (client == NULL)
            return;
        if (loop->ops->accept(loop->stack, loop->listener, (uint64_t)(uintptr_t)client, &stream) !=
            0) {
            free(client);
            return;
        }
        serve(loop, stream, client);
    }
}

static void handle(struct loop *loop, const struct stack_event *event)
{
    struct client *client = (struct client *)(uintptr_t)event->user;

    if (event->bits & STACK_CLOSED)
        return;
    if (event->bits & STACK_ACCEPT)
        welcome(loop);
    else if (event->bits & STACK_FAILED)
        end(loop, event->stream, client, true);
    else
        serve(loop, event->stream, client);
}

int main(int argc, char **argv)
{
    struct loop loop;

    if (argc != 4) {
        fprintf(stderr, "usage: ew_example_http PLUGIN.so PORT SETTINGS\n");
        return 2;
    }
    loop_open(&loop, argv[1], argv[3]);
    loop_listen(&loop, argv[2]);
    loop_run(&loop, handle);
    return 0;
}
