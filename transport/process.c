#include "transport/process.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/context.h"

enum { FDS_STEP = 64 };

/* One of the two pieces of mutable state outside of handles (docs/adr/0008-two-globals.md). */
static struct {
    pthread_mutex_t mutex;
    ew_context *contexts;
    int *fds;
    size_t fds_count, fds_room;
    bool atfork_installed;
} process = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void before_fork(void)
{
    ewi_reactor_before_fork();
    pthread_mutex_lock(&process.mutex);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&process.mutex);
    ewi_reactor_after_fork();
}

static void after_fork_in_child(void)
{
    for (ew_context *context = process.contexts; context != NULL; context = context->next) {
        atomic_store_explicit(&context->forked, 1, memory_order_relaxed); /* Q1 */
        for (int i = 0; i < CONTEXT_STACKS; i++)
            if (context->stacks[i].stack != NULL)
                context->stacks[i].ops->forked(context->stacks[i].stack); /* closes its sockets (I1) */
    }
    for (size_t i = 0; i < process.fds_count; i++)
        close(process.fds[i]); /* I1 */
    process.contexts = NULL;
    process.fds_count = 0;
    pthread_mutex_unlock(&process.mutex);
    ewi_reactor_after_fork();
}

void ewi_process_add_context(ew_context *context)
{
    pthread_mutex_lock(&process.mutex);
    if (!process.atfork_installed)
        process.atfork_installed =
            pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    context->next = process.contexts;
    process.contexts = context;
    pthread_mutex_unlock(&process.mutex);
}

void ewi_process_remove_context(ew_context *context)
{
    ew_context **at;

    pthread_mutex_lock(&process.mutex);
    for (at = &process.contexts; *at != NULL; at = &(*at)->next) {
        if (*at == context) {
            *at = context->next;
            break;
        }
    }
    pthread_mutex_unlock(&process.mutex);
}

int ewi_process_add_fd(int fd)
{
    int code = EW_OK;

    pthread_mutex_lock(&process.mutex);
    if (process.fds_count == process.fds_room) {
        int *more = realloc(process.fds, (process.fds_room + FDS_STEP) * 2 * sizeof(int));

        if (more == NULL) {
            code = EW_EMEMORY;
        } else {
            process.fds = more;
            process.fds_room = (process.fds_room + FDS_STEP) * 2;
        }
    }
    if (code == EW_OK)
        process.fds[process.fds_count++] = fd;
    pthread_mutex_unlock(&process.mutex);
    return code;
}

int ewi_process_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (ewi_process_add_fd(fd) == EW_OK)
        return fd;
    close(fd);
    return EW_EMEMORY;
}

void ewi_process_close_fd(int fd)
{
    if (fd < 0)
        return;
    pthread_mutex_lock(&process.mutex);
    for (size_t i = process.fds_count; i-- > 0;) { /* young ones go first, mostly */
        if (process.fds[i] == fd) {
            process.fds[i] = process.fds[--process.fds_count];
            break;
        }
    }
    close(fd); /* under the mutex: a fork sees it either listed or closed (I2) */
    pthread_mutex_unlock(&process.mutex);
}
