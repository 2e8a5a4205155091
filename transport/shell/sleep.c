/* Who sleeps where, and who wakes whom.
 *
 * wait_fd, the reactor's: the kick, the timer, and the device's descriptor if no thread watches it.
 * A stream's descriptor: its bell, and the device's if this thread is the watcher. Whoever drives takes
 * the device's wake-ups away (they cost the peer a system call for each packet); who goes to sleep asks
 * for them again, and otherwise the reactor does, at the next tick without a drive.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "transport/shell/shell.h"

enum { ARM_TRIES = 3, IDLE_POLL_NS = 20 * 1000 * 1000 };

static bool can_sleep(const struct ewi_stack *stack)
{
    return stack->facts.can_sleep && stack->ops->sleep_fd != NULL;
}

/* ---- descriptors ---- */

static int add(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int ewi_shell_sleep_open(struct ewi_stack *stack)
{
    int code;

    stack->home_fd = -1;
    stack->timer_at = NET_NEVER;
    stack->wait_fd = epoll_create1(EPOLL_CLOEXEC);
    stack->kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    stack->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (stack->wait_fd < 0 || stack->kick.fd < 0 || stack->timer_fd < 0)
        return -errno;
    code = add(stack->wait_fd, stack->kick.fd);
    if (code == 0)
        code = add(stack->wait_fd, stack->timer_fd);
    return code;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void ewi_shell_sleep_close(struct ewi_stack *stack)
{
    close_fd(&stack->wait_fd);
    close_fd(&stack->kick.fd);
    close_fd(&stack->timer_fd);
}

static void tell_home(struct ewi_stack *stack, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events};

    if (stack->home_fd >= 0)
        epoll_ctl(stack->home_fd, operation, stack->ops->sleep_fd(stack->device), &event);
}

/* This set, and no other, is told of the device. */
static int move_device(struct ewi_stack *stack, int set)
{
    int code;

    if (stack->home_fd == set) {
        tell_home(stack, EPOLL_CTL_MOD, EPOLLIN);
        return 0;
    }
    tell_home(stack, EPOLL_CTL_DEL, 0);
    code = add(set, stack->ops->sleep_fd(stack->device));
    stack->home_fd = code == 0 ? set : -1;
    return code;
}

void ewi_shell_sleep_detach(struct ewi_stack *stack)
{
    ewi_shell_awake(stack);
    tell_home(stack, EPOLL_CTL_DEL, 0);
    stack->home_fd = -1;
}

void ewi_shell_close_fds(struct ewi_stack *stack, struct shell_stream *stream)
{
    if (stream->sleep_fd >= 0 && stack->home_fd == stream->sleep_fd)
        ewi_shell_sleep_detach(stack);
    close_fd(&stream->sleep_fd);
    close_fd(&stream->bell_fd);
    stream->sleeping = false;
}

int ewi_shell_stream_fd(struct ewi_stack *stack, ewi_stream handle)
{
    struct shell_stream *stream;
    int result;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    if (stream != NULL && stream->sleep_fd < 0) {
        stream->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        stream->sleep_fd = epoll_create1(EPOLL_CLOEXEC);
        if (stream->bell_fd < 0 || stream->sleep_fd < 0 ||
            add(stream->sleep_fd, stream->bell_fd) != 0) {
            result = -errno;
            ewi_shell_close_fds(stack, stream);
            ewi_lock_give(&stack->guard);
            return result;
        }
    }
    result = stream == NULL ? -ESTALE : stream->sleep_fd;
    ewi_lock_give(&stack->guard);
    return result;
}

/* ---- bells, kick, timer ---- */

void ewi_shell_signal(struct ewi_stack *stack, struct shell_stream *stream)
{
    stream->sleeping = false;
    if (stream->signalled || stream->bell_fd < 0)
        return;
    stream->signalled = true;
    stack->counts.signals += 1;
    ewi_kick_write(stream->bell_fd);
}

void ewi_shell_hush(struct ewi_stack *stack, struct shell_stream *stream)
{
    if (stream->sleeper != ewi_shell_self())
        return;
    stream->sleeper = 0;
    stream->sleeping = false;
    if (stream->signalled) {
        stream->signalled = false;
        (void)ewi_kick_read(stream->bell_fd);
    }
    if (stack->watcher == (uint32_t)(stream - stack->stream) + 1)
        ewi_shell_awake(stack);
}

void ewi_shell_kick(struct ewi_stack *stack)
{
    ewi_kick_ring(&stack->kick);
}

void ewi_shell_timer(struct ewi_stack *stack, uint64_t at)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at / 1000000000),
                                           .tv_nsec = (long)(at % 1000000000)}};

    if (at >= stack->timer_at)
        return;
    if (at == 0)
        when.it_value.tv_nsec = 1; /* 0 would stop it */
    stack->timer_at = at;
    if (timerfd_settime(stack->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        EWI_ASSERT(!"a timer that cannot be set");
}

/* ---- the device ---- */

void ewi_shell_awake(struct ewi_stack *stack)
{
    stack->watcher = SHELL_NOBODY;
    if (!stack->is_armed)
        return;
    stack->is_armed = false;
    stack->ops->sleep_disarm(stack->device);
    tell_home(stack, EPOLL_CTL_MOD, 0); /* a socket stays readable */
}

/* False: something is there already. */
static bool arm_device(struct ewi_stack *stack, int set)
{
    if (!can_sleep(stack))
        return true;
    if (move_device(stack, set) != 0)
        return false;
    stack->counts.arms += 1;
    stack->is_armed = true;
    if (stack->ops->sleep_arm(stack->device) == 0)
        return true;
    ewi_shell_awake(stack);
    return false;
}

/* When the reactor has to look though nothing wakes it. */
static uint64_t next_look(const struct ewi_stack *stack, uint64_t now)
{
    uint64_t look = stack->away_since != 0 ? 0 : SHELL_SLEEP_LOOK_NS - SHELL_LOOK_NS;
    uint64_t at = ewi_min_u64(stack->deadline, stack->carrier_at + look);

    if (!can_sleep(stack) && stack->device != NULL)
        at = ewi_min_u64(at, now + (stack->streams_open != 0 ? SHELL_TICK_NS : IDLE_POLL_NS));
    return at;
}

/* Room is told once to the thread that was refused, and once to another that sleeps for it: it may be that
 * nobody wants it any more. */
static bool is_for_room(struct shell_stream *stream)
{
    uintptr_t wants = atomic_load_explicit(&stream->wants_room, memory_order_relaxed); /* a hint */

    return wants != 0 && ((wants & SHELL_OTHER_TOLD) == 0 ||
                          (wants & ~(uintptr_t)SHELL_OTHER_TOLD) == stream->sleeper);
}

static void tell_room(struct shell_stream *stream)
{
    uintptr_t wants = atomic_load_explicit(&stream->wants_room, memory_order_relaxed); /* a hint */
    bool is_own = (wants & ~(uintptr_t)SHELL_OTHER_TOLD) == stream->sleeper;

    if (wants != 0) /* unless it is refused again just now */
        atomic_compare_exchange_strong_explicit(&stream->wants_room, &wants,
                                                is_own ? 0 : wants | SHELL_OTHER_TOLD,
                                                memory_order_relaxed,  /* a hint */
                                                memory_order_relaxed); /* a hint */
}

static bool is_worth_waking(struct ewi_stack *stack, struct shell_stream *stream)
{
    uint32_t levels = ewi_shell_levels(stack, stream);

    return (levels & (STACK_READABLE | STACK_FAILED | STACK_PEER_FIN)) ||
           ((levels & STACK_WRITABLE) && is_for_room(stream));
}

void ewi_shell_rouse(struct ewi_stack *stack, struct shell_stream *stream)
{
    if (stream->sleeping && is_worth_waking(stack, stream))
        ewi_shell_signal(stack, stream);
}

/* False: the device has something. Another thread may watch it for all. */
static bool watch_device(struct ewi_stack *stack, struct shell_stream *stream)
{
    if (stack->is_armed && stack->watcher != SHELL_NOBODY)
        return true;
    ewi_shell_awake(stack);
    if (!arm_device(stack, stream->sleep_fd))
        return false;
    stack->watcher = (uint32_t)(stream - stack->stream) + 1;
    return true;
}

/* True: there is something for it. */
static bool look_for(struct ewi_stack *stack, struct shell_stream *stream, uint64_t now)
{
    (void)ewi_shell_drive(stack, now);
    if (!is_worth_waking(stack, stream))
        return false;
    tell_room(stream);
    return true;
}

/* From whoever slept there before: one thread at a time does. */
static void take_sleep(struct ewi_stack *stack, struct shell_stream *stream)
{
    stream->sleeper = ewi_shell_self();
    ewi_shell_hush(stack, stream);
    stream->sleeper = ewi_shell_self();
}

static int arm_stream(struct ewi_stack *stack, struct shell_stream *stream, uint64_t now)
{
    if (stream->sleep_fd < 0)
        return -EINVAL; /* there is nothing to sleep on */
    take_sleep(stack, stream);
    if (stack->reactor == ewi_shell_self())
        stack->reactor = 0; /* it may not come back to arm */
    for (int try = 0; try < ARM_TRIES; try++) {
        if (look_for(stack, stream, try == 0 ? now : ewi_now_ns()))
            return 1;
        if (watch_device(stack, stream)) {
            stream->sleeping = true;
            return 0;
        }
    }
    return 1; /* the device is too busy to sleep on */
}

int ewi_shell_stream_arm(struct ewi_stack *stack, ewi_stream handle, uint64_t now)
{
    struct shell_stream *stream;
    int ready;

    ewi_shell_enter(stack);
    stream = ewi_shell_find(stack, handle);
    ready = stream == NULL ? 1 : arm_stream(stack, stream, now);
    if (stack->first_event != 0)
        ewi_shell_kick(stack);
    ewi_shell_timer(stack, next_look(stack, now));
    ewi_lock_give(&stack->guard);
    return ready;
}

/* ---- the reactor ---- */

static void calm(struct ewi_stack *stack, uint64_t now)
{
    ewi_kick_take(&stack->kick);
    if (now < stack->timer_at)
        return;
    stack->timer_at = NET_NEVER;
    (void)ewi_kick_read(stack->timer_fd);
}

/* One stream's events; none: it leaves the list until it is told again. */
static uint32_t bits_of(struct ewi_stack *stack, struct shell_stream *stream)
{
    uint32_t bits = ewi_shell_news(stack, stream);

    stream->pending &= ~bits;
    stream->told_failed |= (bits & STACK_FAILED) != 0;
    return bits;
}

static struct shell_stream *unlist(struct ewi_stack *stack)
{
    struct shell_stream *stream = &stack->stream[stack->first_event - 1];

    stack->first_event = stream->next_event;
    if (stack->first_event == 0)
        stack->last_event = 0;
    stream->listed = false;
    return stream;
}

/* Levels stay in the list: who does not take all of it is told again. */
static uint32_t report(struct ewi_stack *stack, struct stack_event *events, uint32_t count)
{
    uint32_t last = stack->last_event, done = 0;
    bool was_last = last == 0;

    while (done < count && !was_last && stack->first_event != 0) {
        struct shell_stream *stream;
        uint32_t bits;

        was_last = stack->first_event == last;
        stream = unlist(stack);
        bits = bits_of(stack, stream);
        if (bits == 0)
            continue;
        events[done++] = (struct stack_event){
            .user = stream->user, .stream = ewi_shell_handle(stack, stream), .bits = bits};
        if (bits & STACK_CLOSED)
            ewi_shell_free(stack, stream);
        else
            ewi_shell_list(stack, stream);
    }
    return done;
}

int ewi_shell_poll(struct ewi_stack *stack, uint64_t now, struct stack_event *events, uint32_t count,
                   uint64_t *deadline)
{
    uint32_t done;

    ewi_shell_enter(stack);
    stack->reactor = ewi_shell_self();
    calm(stack, now);
    if (stack->is_armed && stack->watcher == SHELL_NOBODY)
        ewi_shell_awake(stack);
    (void)ewi_shell_drive(stack, now);
    done = report(stack, events, count);
    ewi_shell_settle(stack, now);
    *deadline = ewi_min_u64(next_look(stack, now), stack->timer_at);
    ewi_lock_give(&stack->guard);
    return (int)done;
}

/* An application has driven since the last time: look again in a moment whether it still does. Else the
 * reactor sleeps on the device for all. */
int ewi_shell_arm(struct ewi_stack *stack, uint64_t now)
{
    bool ready;

    ewi_shell_enter(stack);
    ready = stack->first_event != 0;
    stack->reactor = ewi_shell_self();
    if (stack->is_driven) {
        stack->counts.ticks += 1;
        stack->is_driven = false;
        ewi_shell_timer(stack, now + SHELL_TICK_NS);
    } else if (!ready && !stack->is_armed) {
        stack->counts.covers += 1;
        ready = !arm_device(stack, stack->wait_fd);
    }
    ewi_shell_timer(stack, next_look(stack, now));
    ewi_lock_give(&stack->guard);
    return ready;
}

/* Whoever drives disarms. */
void ewi_shell_disarm(struct ewi_stack *stack)
{
    (void)stack;
}
