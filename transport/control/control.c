/* The control socket of a context: opening it, and its clients. */
#include "transport/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/lock.h"
#include "transport/error.h"
#include "transport/local/rundir.h"
#include "transport/process.h"

enum { ACCEPT_MAX = 16, BACKLOG = 64, PATH_BYTES = 4096, REST_NS = 100 * 1000 * 1000 };

#define FOLDER "/proc"

enum control_state { CONTROL_UNTRIED, CONTROL_OPEN, CONTROL_FAILED, CONTROL_CLOSED };

struct client {
    struct control_socket *control;
    struct source *source;
    int socket; /* -1: the place is free */
    bool foreign;
    enum control_right right;
};

struct control_socket {
    ew_context *context;
    struct lock lock; /* of whoever opens or closes it: outside of all others */
    _Atomic uint32_t state;
    int code; /* why it is not open */
    char error[RUNDIR_ERROR_BYTES];
    int directory, socket;
    char name[RUNDIR_NAME_BYTES];
    struct source *source;
    struct client clients[CONTROL_CLIENTS_MAX]; /* the reactor's */
    unsigned foreign;
    char path[]; /* of the runtime directory */
};

/* ---- clients ---- */

static void drop(struct client *client)
{
    struct control_socket *control = client->control;

    if (client->socket < 0)
        return;
    ewi_reactor_remove(control->context->reactor, client->source);
    ewi_process_close_fd(client->socket);
    control->foreign -= client->foreign;
    client->socket = -1;
}

/* False: it did not fit. Whoever asks and does not read is not waited for. */
static bool say(int socket, const char *bytes, size_t length)
{
    return send(socket, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
}

static void refuse(int socket, const char *word, const char *detail)
{
    char bytes[256];
    size_t length = ewi_control_refuse(word, detail, bytes, sizeof(bytes));

    (void)say(socket, bytes, length); /* whether it hears it or not, it is out */
}

static bool answer(struct client *client, const char *bytes, size_t length)
{
    char reply[CONTROL_PACKET_BYTES];
    struct control_request request;
    int code = ewi_control_parse(bytes, length, &request);

    if (code != EW_OK) {
        refuse(client->socket, code == EW_EVERSION ? "version" : "request",
               code == EW_EVERSION ? "this process speaks eastwest/1" : "not a request");
        return false;
    }
    length = ewi_control_answer(client->control->context, &request, client->right, reply);
    return say(client->socket, reply, length);
}

/* One request for each wake-up: a flood of them shares the reactor with everybody else. */
static void on_client(void *object, uint32_t events, uint64_t now_ns)
{
    struct client *client = object;
    char bytes[CONTROL_REQUEST_BYTES_MAX];
    ssize_t length;

    (void)now_ns;
    if (events == 0) { /* its time is up */
        drop(client);
        return;
    }
    /* Descriptors that come along are closed by the kernel: there is no room for them. */
    length = recv(client->socket, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0 || !answer(client, bytes, (size_t)length))
        drop(client);
}

static struct client *free_place(struct control_socket *control)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].socket < 0)
            return &control->clients[i];
    return NULL;
}

static void admit(struct control_socket *control, int socket)
{
    struct reactor *reactor = control->context->reactor;
    struct client *client = free_place(control);
    struct local_peer peer;
    bool foreign;

    if (ewi_process_add_fd(socket) != EW_OK) {
        close(socket);
        return;
    }
    if (ewi_access_peer_of(socket, &peer) != EW_OK)
        goto drop;
    if (!ewi_access_trusts(control->context, &peer) &&
        !ewi_access_allows(control->context, socket, &peer)) {
        refuse(socket, "access", "your uid is not on the access list of this process");
        goto drop;
    }
    foreign = peer.uid != 0 && peer.uid != geteuid();
    if (client == NULL || (foreign && control->foreign >= CONTROL_FOREIGN_MAX)) {
        refuse(socket, "full", "too many are looking at this process");
        goto drop;
    }
    if (ewi_reactor_add(reactor, socket, EPOLLIN, on_client, client, &client->source) != EW_OK)
        goto drop;
    client->socket = socket;
    client->foreign = foreign;
    client->right = peer.uid == geteuid() ? CONTROL_MAY_WRITE
                    : peer.uid == 0       ? CONTROL_MAY_SEND
                                          : CONTROL_MAY_LOOK;
    control->foreign += foreign;
    ewi_reactor_set_deadline(reactor, client->source,
                             ewi_now_ns() + CONTROL_PATIENCE * control->context->hello_ns);
    return;

drop:
    ewi_process_close_fd(socket);
}

static void on_connection(void *object, uint32_t events, uint64_t now_ns)
{
    struct control_socket *control = object;
    struct reactor *reactor = control->context->reactor;

    if (events == 0) /* rested */
        ewi_reactor_change(reactor, control->source, EPOLLIN);
    for (int i = 0; i < ACCEPT_MAX; i++) {
        int socket = accept4(control->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (socket >= 0) {
            admit(control, socket);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            ewi_reactor_set_deadline(reactor, control->source, now_ns + REST_NS);
            ewi_reactor_change(reactor, control->source, 0); /* take a rest instead of spinning */
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

/* ---- opening ---- */

static int open_folder(struct control_socket *control)
{
    char path[PATH_BYTES];
    int runtime, code;

    code = ewi_rundir_open(control->path, false, &runtime, control->error);
    if (code != EW_OK)
        return code;
    close(runtime);
    if (snprintf(path, sizeof(path), "%s" FOLDER, control->path) >= (int)sizeof(path)) {
        snprintf(control->error, sizeof(control->error), "the runtime directory's path is too long");
        return -ENAMETOOLONG;
    }
    code = ewi_rundir_open(path, true, &control->directory, control->error);
    if (code != EW_OK)
        return code;
    if (ewi_process_add_fd(control->directory) == EW_OK)
        return EW_OK;
    close(control->directory);
    control->directory = -1;
    return EW_EMEMORY;
}

static int bind_socket(struct control_socket *control)
{
    int code = ewi_rundir_control_name((uint32_t)getpid(), control->name);

    if (code == EW_OK)
        code = ewi_rundir_bind(control->directory, control->name, BACKLOG, &control->socket,
                               control->error);
    if (code != EW_OK)
        return code;
    if (ewi_process_add_fd(control->socket) == EW_OK)
        return EW_OK;
    ewi_rundir_unlink(control->directory, control->name);
    close(control->socket);
    control->socket = -1;
    return EW_EMEMORY;
}

static void give_back(struct control_socket *control)
{
    if (control->socket >= 0)
        ewi_rundir_unlink(control->directory, control->name);
    ewi_process_close_fd(control->socket);
    ewi_process_close_fd(control->directory);
    control->socket = control->directory = -1;
}

static int open_all(struct control_socket *control)
{
    int code;

    snprintf(control->error, sizeof(control->error), "no memory for a control socket");
    code = open_folder(control);
    if (code != EW_OK)
        return code;
    ewi_rundir_sweep(control->directory); /* of those who were killed */
    code = bind_socket(control);
    if (code == EW_OK)
        code = ewi_reactor_add(control->context->reactor, control->socket, EPOLLIN, on_connection,
                               control, &control->source);
    if (code != EW_OK)
        give_back(control);
    return code;
}

static uint32_t state_of(const struct control_socket *control)
{
    return atomic_load_explicit(&control->state, memory_order_relaxed); /* S1 */
}

static void set_state(struct control_socket *control, enum control_state state)
{
    atomic_store_explicit(&control->state, state, memory_order_relaxed); /* S1 */
}

void ewi_control_ensure(ew_context *context)
{
    const struct wait none = {.deadline_ns = 0};
    struct control_socket *control = context->control;

    if (control == NULL || state_of(control) != CONTROL_UNTRIED ||
        ewi_lock_take(&control->lock, none) != EW_OK) /* another thread is at it */
        return;
    if (state_of(control) == CONTROL_UNTRIED) {
        control->code = open_all(control);
        if (control->code == EW_OK)
            set_state(control, CONTROL_OPEN);
        else if (control->code != EW_ENOTFOUND) /* a listener may still make the directory */
            set_state(control, CONTROL_FAILED);
    }
    ewi_lock_give(&control->lock);
}

/* ---- life ---- */

int ewi_control_create(ew_context *context, const char *directory, struct control_socket **out)
{
    size_t bytes = strlen(directory) + 1;
    struct control_socket *control = calloc(1, sizeof(*control) + bytes);

    if (control == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a control socket");
    memcpy(control->path, directory, bytes);
    control->context = context;
    control->directory = control->socket = -1;
    control->code = EW_ENOTFOUND;
    snprintf(control->error, sizeof(control->error),
             "the context has had neither a listener nor a channel");
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control->clients[i] = (struct client){.control = control, .socket = -1};
    *out = control;
    return EW_OK;
}

void ewi_control_close(ew_context *context)
{
    struct control_socket *control = context->control;

    if (control == NULL)
        return;
    ewi_lock_enter(&control->lock);
    if (state_of(control) == CONTROL_OPEN) {
        ewi_reactor_lock(context->reactor);
        ewi_reactor_remove(context->reactor, control->source);
        for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
            drop(&control->clients[i]);
        ewi_reactor_unlock(context->reactor);
        give_back(control);
    }
    set_state(control, CONTROL_CLOSED);
    ewi_lock_give(&control->lock);
}

void ewi_control_free(struct control_socket *control)
{
    free(control);
}

int ew_context_control_address(ew_context *context, char out[4224])
{
    struct control_socket *control = context->control;
    int code = EW_OK;

    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    if (control == NULL)
        return ewi_fail(EW_ENOTFOUND, "the context was opened without control_dir");
    ewi_lock_enter(&control->lock);
    if (state_of(control) == CONTROL_OPEN)
        snprintf(out, 4224, "%s" FOLDER "/%s", control->path, control->name);
    else
        code = ewi_fail(control->code < 0 ? control->code : EW_ECLOSED, "%s", control->error);
    ewi_lock_give(&control->lock);
    return code;
}

int ew_rundir_sweep_control(const char *directory)
{
    char path[PATH_BYTES], error[RUNDIR_ERROR_BYTES];
    int fd, code, removed;

    if (snprintf(path, sizeof(path), "%s" FOLDER, directory) >= (int)sizeof(path))
        return ewi_fail(EW_EINVAL, "the path of the runtime directory is too long");
    code = ewi_rundir_open(path, false, &fd, error);
    if (code != EW_OK)
        return ewi_fail(code, "%s", error);
    removed = ewi_rundir_sweep(fd);
    close(fd);
    return removed < 0 ? ewi_fail(removed, "%s: %s", path, ewi_error_name(removed)) : removed;
}
