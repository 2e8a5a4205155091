#include "transport/reactor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "transport/process.h"

enum { REACTOR_EVENTS = 64, REACTOR_GONE_MAX = 256, TIMER_SLACK_NS = 1000 };

static const uint64_t NS_PER_MS = 1000 * 1000, NS_PER_S = 1000 * 1000 * 1000;

struct source {
    source_fn *fn;
    void *object;
    int fd;
    bool gone; /* removed; freed when no event of this round can name it */
    uint64_t deadline_ns;
    size_t timed_index; /* in reactor->timed, SIZE_MAX: no deadline */
    struct source *next_gone;
};

struct reactor {
    pthread_mutex_t mutex;
    pthread_t thread;
    int epoll_fd, wake_fd;
    _Atomic uint32_t added; /* sources, ever: A1, A2 */
    bool stop;
    bool only_ms; /* the kernel's epoll takes no shorter times; of the thread */
    bool orphan; /* released by its own thread, which cleans up at its end */
    struct source **timed; /* sources with a deadline, unordered: few */
    size_t timed_count, timed_room;
    uint64_t sleeping_until; /* what the thread's epoll_wait was told; 0: it is awake */
    struct source *gone;
    unsigned gone_count;
};

/* The process's reactor and its users; under the mutex. Part of docs/adr/0008-two-globals.md. */
static struct {
    pthread_mutex_t mutex;
    struct reactor *reactor;
    unsigned users;
    pid_t pid;
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- the thread ---- */

static uint64_t next_deadline(const struct reactor *reactor)
{
    uint64_t next = EWI_NEVER;

    for (size_t i = 0; i < reactor->timed_count; i++)
        next = ewi_min_u64(next, reactor->timed[i]->deadline_ns);
    return next;
}

static void clear_deadline(struct reactor *reactor, struct source *source)
{
    struct source *last;

    if (source->timed_index == SIZE_MAX)
        return;
    last = reactor->timed[--reactor->timed_count];
    reactor->timed[source->timed_index] = last;
    last->timed_index = source->timed_index;
    source->timed_index = SIZE_MAX;
    source->deadline_ns = EWI_NEVER;
}

static void run_deadlines(struct reactor *reactor)
{
    uint64_t now = ewi_now_ns();

    for (size_t i = 0; i < reactor->timed_count;) {
        struct source *source = reactor->timed[i];

        if (source->deadline_ns > now) {
            i++;
            continue;
        }
        clear_deadline(reactor, source); /* another one takes its place at i */
        source->fn(source->object, 0, now);
    }
}

static void run_events(struct reactor *reactor, const struct epoll_event *events, int count)
{
    uint64_t now = ewi_now_ns();

    (void)atomic_load_explicit(&reactor->added, memory_order_acquire); /* A2, pairs with A1 */
    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;
        uint64_t ignored;

        if (source == NULL) { /* wake_fd */
            if (read(reactor->wake_fd, &ignored, sizeof(ignored)) < 0)
                continue;
        } else if (!source->gone) {
            source->fn(source->object, events[i].events, now);
        }
    }
}

static void free_gone(struct reactor *reactor)
{
    while (reactor->gone != NULL) {
        struct source *source = reactor->gone;

        reactor->gone = source->next_gone;
        free(source);
    }
    reactor->gone_count = 0;
}

/* 0: at once; else at most a minute. */
static uint64_t time_left(uint64_t deadline_ns)
{
    uint64_t now = ewi_now_ns();

    return deadline_ns <= now ? 0 : ewi_min_u64(deadline_ns - now, 60 * NS_PER_S);
}

static int wait_for_events(struct reactor *reactor, struct epoll_event *events, uint64_t deadline_ns)
{
    uint64_t left = time_left(deadline_ns);

    if (deadline_ns == EWI_NEVER)
        return epoll_wait(reactor->epoll_fd, events, REACTOR_EVENTS, -1);
#ifdef SYS_epoll_pwait2
    if (!reactor->only_ms) { /* since Linux 5.11; glibc has it since 2.35 */
        const struct timespec wait = {.tv_sec = (time_t)(left / NS_PER_S),
                                      .tv_nsec = (long)(left % NS_PER_S)};
        long count = syscall(SYS_epoll_pwait2, reactor->epoll_fd, events, REACTOR_EVENTS, &wait, NULL,
                             (size_t)0);

        if (count >= 0 || errno == EINTR)
            return (int)count;
        reactor->only_ms = true; /* ENOSYS, or EPERM from a container that does not know it */
    }
#endif
    return epoll_wait(reactor->epoll_fd, events, REACTOR_EVENTS,
                      (int)((left + NS_PER_MS - 1) / NS_PER_MS));
}

static void destroy(struct reactor *reactor)
{
    ewi_process_close_fd(reactor->epoll_fd);
    ewi_process_close_fd(reactor->wake_fd);
    free_gone(reactor);
    free(reactor->timed);
    pthread_mutex_destroy(&reactor->mutex);
    free(reactor);
}

static void *run(void *argument)
{
    struct reactor *reactor = argument;
    struct epoll_event events[REACTOR_EVENTS];

    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0); /* else a deadline is 50 us late */
    pthread_mutex_lock(&reactor->mutex);
    while (!reactor->stop) {
        uint64_t deadline = next_deadline(reactor);
        int count;

        reactor->sleeping_until = deadline;
        pthread_mutex_unlock(&reactor->mutex);
        count = wait_for_events(reactor, events, deadline);
        pthread_mutex_lock(&reactor->mutex);
        reactor->sleeping_until = 0;
        run_events(reactor, events, count);
        run_deadlines(reactor);
        free_gone(reactor);
    }
    pthread_mutex_unlock(&reactor->mutex);
    if (reactor->orphan)
        destroy(reactor);
    return NULL;
}

/* ---- life ---- */

static void wake(struct reactor *reactor)
{
    const uint64_t one = 1;

    if (write(reactor->wake_fd, &one, sizeof(one)) < 0)
        return; /* full: it is awake anyway */
}

static int start_thread(struct reactor *reactor)
{
    sigset_t all, before;
    int code;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&reactor->thread, NULL, run, reactor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        pthread_setname_np(reactor->thread, "eastwest");
    return -code;
}

static int create(struct reactor **out)
{
    struct reactor *reactor = calloc(1, sizeof(*reactor));
    struct epoll_event event = {.events = EPOLLIN};
    pthread_mutexattr_t recursive;
    int code;

    if (reactor == NULL)
        return EW_EMEMORY;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE); /* callbacks call us */
    pthread_mutex_init(&reactor->mutex, &recursive);
    pthread_mutexattr_destroy(&recursive);
    reactor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    reactor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    code = -errno;
    if (reactor->epoll_fd >= 0 && reactor->wake_fd >= 0 &&
        epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, reactor->wake_fd, &event) == 0) {
        ewi_process_add_fd(reactor->epoll_fd);
        ewi_process_add_fd(reactor->wake_fd);
        code = start_thread(reactor);
        if (code == 0) {
            *out = reactor;
            return EW_OK;
        }
    }
    ewi_process_close_fd(reactor->epoll_fd);
    ewi_process_close_fd(reactor->wake_fd);
    free(reactor);
    return code;
}

int ewi_reactor_acquire(struct reactor **out)
{
    int code = EW_OK;

    pthread_mutex_lock(&shared.mutex);
    if (shared.pid != getpid()) { /* a child of a fork: the parent's thread is not here */
        shared.reactor = NULL;
        shared.users = 0;
        shared.pid = getpid();
    }
    if (shared.reactor == NULL)
        code = create(&shared.reactor);
    if (code == EW_OK) {
        shared.users += 1;
        *out = shared.reactor;
    }
    pthread_mutex_unlock(&shared.mutex);
    return code;
}

void ewi_reactor_before_fork(void)
{
    pthread_mutex_lock(&shared.mutex);
}

void ewi_reactor_after_fork(void)
{
    pthread_mutex_unlock(&shared.mutex);
}

void ewi_reactor_release(struct reactor *reactor)
{
    bool last;

    pthread_mutex_lock(&shared.mutex);
    EWI_ASSERT(reactor == shared.reactor && shared.users > 0);
    last = --shared.users == 0;
    if (last)
        shared.reactor = NULL;
    pthread_mutex_unlock(&shared.mutex);
    if (!last)
        return;
    if (pthread_equal(pthread_self(), reactor->thread)) { /* the last share was a guest's */
        pthread_detach(reactor->thread);
        reactor->orphan = reactor->stop = true;
        return;
    }
    pthread_mutex_lock(&reactor->mutex);
    reactor->stop = true;
    pthread_mutex_unlock(&reactor->mutex);
    wake(reactor);
    pthread_join(reactor->thread, NULL);
    destroy(reactor);
}

/* ---- sources ---- */

void ewi_reactor_lock(struct reactor *reactor)
{
    pthread_mutex_lock(&reactor->mutex);
}

bool ewi_reactor_try_lock(struct reactor *reactor)
{
    return pthread_mutex_trylock(&reactor->mutex) == 0;
}

void ewi_reactor_unlock(struct reactor *reactor)
{
    pthread_mutex_unlock(&reactor->mutex);
}

int ewi_reactor_add(struct reactor *reactor, int fd, uint32_t events, source_fn *fn, void *object,
                    struct source **out)
{
    struct source *source = calloc(1, sizeof(*source));
    struct epoll_event event = {.events = events};

    if (source == NULL)
        return EW_EMEMORY;
    *source = (struct source){.fn = fn,
                              .object = object,
                              .fd = fd,
                              .deadline_ns = EWI_NEVER,
                              .timed_index = SIZE_MAX};
    *out = source; /* before an event can come */
    event.data.ptr = source;
    atomic_fetch_add_explicit(&reactor->added, 1, memory_order_release); /* A1, pairs with A2 */
    if (fd >= 0 && epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        int code = -errno;

        *out = NULL;
        free(source);
        return code;
    }
    return EW_OK;
}

void ewi_reactor_remove(struct reactor *reactor, struct source *source)
{
    bool many;

    if (source == NULL)
        return;
    ewi_reactor_lock(reactor); /* waits for a running callback (I1) */
    if (source->fd >= 0)
        epoll_ctl(reactor->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    clear_deadline(reactor, source);
    source->gone = true; /* an event of this round may still name it */
    source->next_gone = reactor->gone;
    reactor->gone = source;
    many = ++reactor->gone_count > REACTOR_GONE_MAX;
    ewi_reactor_unlock(reactor);
    if (many)
        wake(reactor); /* only its own thread knows when nothing names them any more */
}

void ewi_reactor_change(struct reactor *reactor, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    epoll_ctl(reactor->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

static bool make_room(struct reactor *reactor)
{
    size_t room = reactor->timed_room * 2 + 16;
    struct source **more;

    if (reactor->timed_count < reactor->timed_room)
        return true;
    more = realloc(reactor->timed, room * sizeof(*more));
    if (more == NULL)
        return false;
    reactor->timed = more;
    reactor->timed_room = room;
    return true;
}

bool ewi_reactor_set_deadline(struct reactor *reactor, struct source *source, uint64_t at_ns)
{
    bool sooner, is_set = at_ns == EWI_NEVER;

    ewi_reactor_lock(reactor);
    clear_deadline(reactor, source);
    if (at_ns != EWI_NEVER && make_room(reactor)) {
        source->deadline_ns = at_ns;
        source->timed_index = reactor->timed_count;
        reactor->timed[reactor->timed_count++] = source;
        is_set = true;
    }
    sooner = at_ns < reactor->sleeping_until;
    ewi_reactor_unlock(reactor);
    if (sooner)
        wake(reactor);
    return is_set;
}
