#include "transport/local/process_watch.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transport/channel/channel.h"
#include "transport/process.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

struct peer_process {
    struct peer_process *next;
    ew_context *context;
    struct source *source;
    uint32_t pid;
    uint32_t users;
    int fd;
    bool dead;
};

static int open_pidfd(int socket, uint32_t pid)
{
    struct local_peer again;
    socklen_t length = sizeof(int);
    int fd = -1;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) == 0)
        return fd;
    if (pid == 0)
        return -1;
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    /* The pid may have been used again meanwhile, but not if the socket's peer still is who it was:
     * its hang-up would show. Good enough where SO_PEERPIDFD is missing; the socket is watched too. */
    if (fd >= 0 && (ewi_access_peer_of(socket, &again) != EW_OK || again.pid != pid)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void on_death(void *object, uint32_t events, uint64_t now_ns)
{
    struct peer_process *process = object;
    ew_context *context = process->context;

    (void)events, (void)now_ns;
    if (process->dead)
        return;
    process->dead = true;
    ewi_reactor_remove(context->reactor, process->source);
    process->source = NULL;
    ewi_lock_enter(&context->lock);
    for (ew_channel *channel = context->channels; channel != NULL; channel = channel->next)
        if (channel->ops == &ewi_local_link && channel->link->local.process == process)
            ewi_channel_link_down(channel, LINK_HUNG_UP);
    ewi_lock_give(&context->lock);
}

bool ewi_process_is_dead(const struct peer_process *process)
{
    return process != NULL && process->dead;
}

static struct peer_process *find(ew_context *context, uint32_t pid)
{
    struct peer_process *process;

    for (process = context->processes; process != NULL; process = process->next)
        if (process->pid == pid && !process->dead)
            return process;
    return NULL;
}

static struct peer_process *create(ew_context *context, uint32_t pid, int fd)
{
    struct peer_process *process = calloc(1, sizeof(*process));

    if (process == NULL || ewi_process_add_fd(fd) != EW_OK) {
        free(process);
        close(fd);
        return NULL;
    }
    *process = (struct peer_process){.context = context, .pid = pid, .fd = fd};
    if (ewi_reactor_add(context->reactor, fd, EPOLLIN, on_death, process, &process->source) != 0) {
        ewi_process_close_fd(fd);
        free(process);
        return NULL;
    }
    process->next = context->processes;
    context->processes = process;
    return process;
}

struct peer_process *ewi_process_watch(ew_context *context, int socket,
                                       const struct local_peer *peer)
{
    struct peer_process *process = NULL;
    int fd;

    if (peer->pid == (uint32_t)getpid())
        return NULL; /* both ends are ours */
    ewi_reactor_lock(context->reactor);
    if (peer->pid != 0) /* 0: of another pid namespace, many have it */
        process = find(context, peer->pid);
    if (process == NULL) {
        fd = open_pidfd(socket, peer->pid);
        if (fd >= 0)
            process = create(context, peer->pid, fd);
    }
    if (process != NULL)
        process->users += 1;
    ewi_reactor_unlock(context->reactor);
    return process;
}

void ewi_process_unwatch(ew_context *context, struct peer_process *process)
{
    struct peer_process **at;

    if (process == NULL)
        return;
    ewi_reactor_lock(context->reactor);
    if (--process->users == 0) {
        for (at = &context->processes; *at != process; at = &(*at)->next)
            ;
        *at = process->next;
        ewi_reactor_remove(context->reactor, process->source);
        ewi_process_close_fd(process->fd);
        free(process);
    }
    ewi_reactor_unlock(context->reactor);
}
