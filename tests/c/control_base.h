/* tests/c/control_base.h - a context that can be looked into, and a client made by hand.
 *
 * Purpose    What the tests of transport/control share.
 * Shape      directory: a runtime directory of this run, removed by control_end()
 * Owner      file-scope variables, one source file for each test program
 * Threads    one; children made by fork have their own
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants I1  a client waits at most 5 s for an answer.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_CONTROL_BASE_H
#define TESTS_C_CONTROL_BASE_H

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "bindings/c/eastwest.h"
#include "tests/c/harness.h"
#include "transport/control/control.h"

#define SECOND INT64_C(1000000000)

enum { SMALL_OUTBOX = 16 * 1024 };

static char directory[64] = "/tmp/ew-control-XXXXXX";

static inline ew_context *open_context(int64_t hello_ns)
{
    const ew_context_options options = {.control_dir = directory,
                                        .hello_ns = hello_ns,
                                        .outbox_bytes = SMALL_OUTBOX,
                                        .inbox_bytes = 64 * 1024,
                                        .pages = EW_PAGES_SMALL};
    ew_context *context;

    CHECK_EQ(ew_context_open(&options, &context), EW_OK);
    return context;
}

static inline ew_listener *open_listener(ew_context *context, const char *service, bool tcp)
{
    ew_listen_options options = {.service = service, .runtime_dir = directory};
    ew_listener *listener;

    if (tcp)
        options = (ew_listen_options){.service = service, .bind = "tcp://127.0.0.1:0"};
    CHECK_EQ(ew_listen(context, &options, &listener), EW_OK);
    return listener;
}

static inline void open_channel(ew_context *context, ew_listener *listener, const char *service,
                                ew_channel **opened, ew_channel **accepted)
{
    ew_connect_options options = {
        .service = service, .runtime_dirs = directory, .timeout_ns = 5 * SECOND};
    ew_listener_info info;

    CHECK_EQ(ew_listener_get_info(listener, &info), EW_OK);
    if (info.tcp_address[0] != '\0')
        options.address = info.tcp_address;
    CHECK_EQ(ew_connect(context, &options, opened), EW_OK);
    CHECK_EQ(ew_listener_accept(listener, 5 * SECOND, NULL, accepted), EW_OK);
}

/* Connected to the context's control socket; -errno. */
static inline int try_look(const char *path)
{
    const struct timeval patience = {.tv_sec = 5};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    CHECK(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -errno;
}

static inline int look(ew_context *context)
{
    char path[4224];
    int fd;

    CHECK_EQ(ew_context_control_address(context, path), EW_OK);
    fd = try_look(path);
    CHECK(fd >= 0);
    return fd;
}

/* Bytes of the reply, 0: it hung up. */
static inline size_t hear(int fd, char reply[CONTROL_PACKET_BYTES + 1])
{
    ssize_t length = recv(fd, reply, CONTROL_PACKET_BYTES, 0);

    if (length < 0 && errno == ECONNRESET) /* what we said and it did not read */
        length = recv(fd, reply, CONTROL_PACKET_BYTES, 0);
    CHECK(length >= 0);
    reply[length] = '\0';
    return (size_t)length;
}

static inline const char *ask(int fd, const char *request)
{
    static char reply[CONTROL_PACKET_BYTES + 1];

    CHECK_EQ(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    hear(fd, reply);
    return reply;
}

/* The number behind "key": in the first line of text that has it; the last one has no comma. */
static inline uint64_t number_of(const char *text, const char *key)
{
    char quoted[64];
    const char *at;

    snprintf(quoted, sizeof(quoted), "\"%s\":", key);
    at = strstr(text, quoted);
    if (at == NULL)
        fprintf(stderr, "no %s in %s\n", quoted, text);
    CHECK(at != NULL);
    return strtoull(at + strlen(quoted), NULL, 10);
}

static inline int count_of(const char *text, const char *what)
{
    int count = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        count += 1;
    return count;
}

/* Names in a folder, without dot files. */
static inline int files_in(const char *folder)
{
    DIR *list = opendir(folder);
    struct dirent *entry;
    int count = 0;

    CHECK(list != NULL);
    while ((entry = readdir(list)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(list);
    return count;
}

static inline int control_sockets(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/proc", directory);
    return files_in(path);
}

static inline void control_begin(void)
{
    CHECK(mkdtemp(directory) != NULL);
}

static inline void control_end(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/proc", directory);
    CHECK_EQ(rmdir(path), 0); /* so nothing is left in it */
    CHECK_EQ(rmdir(directory), 0);
}

#endif
