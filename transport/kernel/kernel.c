/* Streams from kernel sockets: handles, descriptors, events. Two traps shape this file:
 *
 * - A child made by fork holds the same sockets: a descriptor leaves the epoll set by
 *   EPOLL_CTL_DEL, because closing it is not enough then.
 * - A connection that cannot be accepted keeps its listener readable: it has to go.
 *
 * Ordering   K1 .. K4 are in slots.h, K5 in socket.h, K7 and K8 in interest.h.
 *            K5 release store (send)  pairs with  K6 acquire load (released).
 */
#include "transport/stack.h"

#include <errno.h>
#include <fcntl.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/kernel/interest.h"
#include "transport/kernel/socket.h"

enum {
    KERNEL_EVENTS_MAX = 64,
    KERNEL_STREAMS_MAX = 1 << 20,
    KERNEL_ACCEPT_TRIES = 8,
};

struct ewi_stack {
    int epoll_fd;
    int kick_fd;
    int spare_fd; /* given up to drop a connection when descriptors run out; under slots.lock */
    uint64_t silence_ns;
    size_t bytes; /* of this mapping: the struct, then the slots */
    struct slots slots;
};

/* ---- slots and epoll ---- */

static void kernel_kick(struct ewi_stack *stack)
{
    uint64_t one = 1;
    ssize_t ignored = write(stack->kick_fd, &one, sizeof(one)); /* EAGAIN: it is readable already */

    (void)ignored;
}

static void leave(struct ewi_stack *stack, struct slot *slot)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    bool is_silent;
    int fd;

    if (!ewi_slots_leave(slot))
        return;
    is_silent = slot->is_silent;
    fd = ewi_socket_fd(slot);
    atomic_store_explicit(&slot->fd, -1, memory_order_relaxed); /* first: see kernel_forked */
    epoll_ctl(stack->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    if (slot->with_reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    ewi_slots_release(&stack->slots, slot);
    if (!is_silent)
        kernel_kick(stack);
}

struct birth {
    int fd;
    enum slot_phase phase;
    uint32_t interest;
    uint64_t user;
};

/* Give a socket a slot; on failure it is closed. Its first event may reach poll before the
 * caller of connect or accept has got the handle; `user` is there from the start. */
static int adopt(struct ewi_stack *stack, struct birth birth, ewi_stream *out)
{
    struct slot *slot = ewi_slots_claim(&stack->slots);
    struct epoll_event event = {.events = ewi_interest_epoll(birth.interest)};
    int result = 0;

    if (slot == NULL) {
        close(birth.fd);
        return -EMFILE;
    }
    atomic_store_explicit(&slot->fd, birth.fd, memory_order_relaxed);       /* K2 publishes */
    atomic_store_explicit(&slot->phase, birth.phase, memory_order_relaxed); /* K2 publishes */
    atomic_store_explicit(&slot->interest, birth.interest, memory_order_relaxed); /* K2 publishes */
    slot->user = birth.user;
    *out = event.data.u64 = ewi_slots_publish(&stack->slots, slot);
    if (epoll_ctl(stack->epoll_fd, EPOLL_CTL_ADD, birth.fd, &event) < 0) {
        result = -errno;
        slot->is_silent = true;
        ewi_slots_retire(slot);
        *out = 0;
    }
    leave(stack, slot);
    return result;
}

/* ---- life ---- */

static int open_descriptors(struct ewi_stack *stack)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0}; /* 0: no stream, the kick */
    int error;

    stack->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (stack->epoll_fd < 0)
        return -errno;
    stack->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stack->kick_fd < 0)
        goto fail_epoll;
    stack->spare_fd = fcntl(stack->kick_fd, F_DUPFD_CLOEXEC, 0);
    if (stack->spare_fd < 0)
        goto fail_kick;
    if (epoll_ctl(stack->epoll_fd, EPOLL_CTL_ADD, stack->kick_fd, &event) < 0)
        goto fail_spare;
    return 0;

fail_spare:
    error = errno;
    close(stack->spare_fd);
    errno = error;
fail_kick:
    error = errno;
    close(stack->kick_fd);
    errno = error;
fail_epoll:
    error = errno;
    close(stack->epoll_fd);
    return -error;
}

/* A stream that is on its way out is known to its slot only; the leak detector looks there, too. */
static void show_to_leak_detector(void *memory, size_t bytes, bool show)
{
#if defined(__SANITIZE_ADDRESS__)
    (show ? __lsan_register_root_region : __lsan_unregister_root_region)(memory, bytes);
#else
    (void)memory, (void)bytes, (void)show;
#endif
}

static int kernel_open(const struct stack_options *options, struct ewi_stack **out)
{
    size_t head = ewi_align_up(sizeof(struct ewi_stack), EWI_CACHE_LINE);
    size_t bytes;
    struct ewi_stack *stack;
    void *memory;
    int result;

    if (options->streams_max == 0 || options->streams_max > KERNEL_STREAMS_MAX)
        return -EINVAL;
    if (options->text != NULL && options->text[0] != '\0')
        return -EINVAL;
    bytes = head + (size_t)options->streams_max * sizeof(struct slot);
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    stack = memory;
    stack->bytes = bytes;
    stack->silence_ns = options->silence_ns;
    ewi_slots_init(&stack->slots, (void *)((char *)memory + head), options->streams_max);
    result = open_descriptors(stack);
    if (result < 0) {
        munmap(memory, bytes);
        return result;
    }
    show_to_leak_detector(memory, bytes, true);
    *out = stack;
    return 0;
}

static void kernel_close(struct ewi_stack *stack)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    for (uint32_t i = 0; i < stack->slots.slots_used; i++) {
        int fd = ewi_socket_fd(&stack->slots.slot[i]);

        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
    }
    close(stack->epoll_fd);
    close(stack->kick_fd);
    if (stack->spare_fd >= 0)
        close(stack->spare_fd);
    show_to_leak_detector(stack, stack->bytes, false);
    munmap(stack, stack->bytes);
}

/* Only close: setsockopt and epoll_ctl would reach the parent's sockets and its epoll set. A slot
 * gives up its descriptor before closing it, so no number is closed that means something else. */
static void kernel_forked(struct ewi_stack *stack)
{
    for (uint32_t i = 0; i < stack->slots.slots_used; i++) {
        int fd = atomic_exchange_explicit(&stack->slots.slot[i].fd, -1,
                                          memory_order_relaxed); /* one thread in the child */

        if (fd >= 0)
            close(fd);
    }
    close(stack->epoll_fd);
    close(stack->kick_fd);
    if (stack->spare_fd >= 0)
        close(stack->spare_fd);
}

/* ---- streams ---- */

static int kernel_listen(struct ewi_stack *stack, const struct stack_addr *local, uint32_t backlog,
                         uint64_t user, ewi_stream *out)
{
    int fd, result = ewi_socket_listen(local, backlog, &fd);

    if (result < 0)
        return result;
    return adopt(stack, (struct birth){fd, SLOT_LISTENING, STACK_ACCEPT, user}, out);
}

static int kernel_connect(struct ewi_stack *stack, const struct stack_addr *local,
                          const struct stack_addr *remote, uint64_t user, uint64_t now,
                          ewi_stream *out)
{
    int fd, result = ewi_socket_connect(local, remote, &fd);

    (void)now;
    if (result < 0)
        return result;
    ewi_socket_keep_alive(fd, stack->silence_ns);
    return adopt(stack, (struct birth){fd, SLOT_CONNECTING, STACK_CONNECTED, user}, out);
}

/* No descriptor or memory for the connection at the head of the queue: it has to go, or the
 * listener stays readable and the driver spins. If even that fails, wait for the next arrival. */
static int drop_connection(struct ewi_stack *stack, ewi_stream listener, struct slot *slot)
{
    int fd, error;

    ewi_lock_enter(&stack->slots.lock);
    if (stack->spare_fd >= 0)
        close(stack->spare_fd);
    fd = accept4(ewi_socket_fd(slot), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    error = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    stack->spare_fd = fcntl(stack->kick_fd, F_DUPFD_CLOEXEC, 0);
    ewi_lock_give(&stack->slots.lock);
    if (error == EAGAIN)
        return -EAGAIN; /* accept4 takes a descriptor before it looks into the queue */
    if (error != 0)
        ewi_interest_set(stack->epoll_fd, listener, slot, INTEREST_EDGE, 0);
    return -EMFILE;
}

static int accept_socket(struct ewi_stack *stack, ewi_stream listener, struct slot *slot)
{
    for (int i = 0; i < KERNEL_ACCEPT_TRIES; i++) {
        int fd = accept4(ewi_socket_fd(slot), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            ewi_interest_set(stack->epoll_fd, listener, slot, 0, INTEREST_EDGE);
            return fd;
        }
        switch (errno) {
        case EAGAIN:
            return -EAGAIN;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return drop_connection(stack, listener, slot);
        case EBADF:
        case EINVAL:
        case ENOTSOCK:
            return ewi_socket_fail(slot, -errno); /* not listening any more */
        default:
            break; /* of that one connection: accept(2), "Error handling" */
        }
    }
    return -EAGAIN; /* the listener is still readable */
}

static int kernel_accept(struct ewi_stack *stack, ewi_stream listener, uint64_t user,
                         ewi_stream *out)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, listener);
    int fd;

    if (slot == NULL)
        return -ESTALE;
    fd = ewi_socket_error(slot);
    if (fd == 0)
        fd = accept_socket(stack, listener, slot);
    leave(stack, slot);
    if (fd < 0)
        return fd;
    ewi_socket_set_options(fd); /* fails only if it was reset meanwhile: the first call says so */
    ewi_socket_keep_alive(fd, stack->silence_ns);
    return adopt(stack, (struct birth){fd, SLOT_CONNECTED, 0, user}, out);
}

/* ---- data ---- */

static int64_t kernel_send(struct ewi_stack *stack, ewi_stream stream,
                           const struct stack_span *spans, uint32_t count)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    int64_t result;

    if (slot == NULL)
        return -ESTALE;
    result = ewi_socket_send(slot, spans, count);
    leave(stack, slot);
    return result;
}

static int kernel_released(struct ewi_stack *stack, ewi_stream stream, uint64_t *out)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);

    if (slot == NULL)
        return -ESTALE;
    *out = atomic_load_explicit(&slot->sent, memory_order_acquire); /* K6, pairs with K5 */
    leave(stack, slot);
    return 0;
}

static int64_t kernel_recv_into(struct ewi_stack *stack, ewi_stream stream,
                                const struct stack_room *rooms, uint32_t count)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    int64_t result;

    EWI_ASSERT(count > 0 && rooms[0].bytes > 0); /* recv(2) would answer 0, which means FIN here */
    if (slot == NULL)
        return -ESTALE;
    result = ewi_socket_receive(slot, rooms, count);
    leave(stack, slot);
    return result;
}

static uint32_t kernel_ready(struct ewi_stack *stack, ewi_stream stream)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    uint32_t bits;

    if (slot == NULL)
        return STACK_FAILED; /* error() says -ESTALE */
    bits = ewi_socket_levels(slot);
    leave(stack, slot);
    return bits;
}

static int kernel_error(struct ewi_stack *stack, ewi_stream stream)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    int error;

    if (slot == NULL)
        return -ESTALE;
    error = ewi_socket_error(slot);
    leave(stack, slot);
    return error;
}

/* ---- end ---- */

static int kernel_shutdown(struct ewi_stack *stack, ewi_stream stream)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    int result;

    if (slot == NULL)
        return -ESTALE;
    result = ewi_socket_error(slot);
    if (result == 0 && shutdown(ewi_socket_fd(slot), SHUT_WR) < 0)
        result = -errno;
    leave(stack, slot);
    return result;
}

static int kernel_break_off(struct ewi_stack *stack, ewi_stream stream)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);

    if (slot == NULL)
        return -ESTALE;
    ewi_socket_fail(slot, -ECONNABORTED);
    atomic_store_explicit(&slot->is_broken, true, memory_order_relaxed); /* for later calls */
    shutdown(ewi_socket_fd(slot), SHUT_RDWR); /* ENOTCONN wakes sleepers as well */
    leave(stack, slot);
    return 0;
}

static int kernel_finish(struct ewi_stack *stack, ewi_stream stream, bool reset, uint64_t now)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    bool was_open;

    (void)now;
    if (slot == NULL)
        return -ESTALE;
    slot->with_reset = reset; /* only the driver finishes */
    was_open = ewi_slots_retire(slot);
    leave(stack, slot);
    return was_open ? 0 : -ESTALE;
}

/* ---- progress ---- */

static int kernel_watch(struct ewi_stack *stack, ewi_stream stream, uint32_t bits)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    int result = 0;

    if (slot == NULL)
        return -ESTALE;
    bits &= STACK_READABLE | STACK_WRITABLE | STACK_ASIDE;
    if (atomic_load_explicit(&slot->phase, memory_order_relaxed) != SLOT_LISTENING) /* for life */
        result = ewi_interest_set(stack->epoll_fd, stream, slot, bits,
                              (STACK_READABLE | STACK_WRITABLE | STACK_ASIDE | INTEREST_EDGE) & ~bits);
    leave(stack, slot);
    return result;
}

static uint32_t take_closed(struct ewi_stack *stack, struct stack_event *events, uint32_t count)
{
    uint32_t taken = 0;

    while (taken < count && ewi_slots_next_closed(&stack->slots, &events[taken].stream,
                                                  &events[taken].user))
        events[taken++].bits = STACK_CLOSED;
    return taken;
}

static void drain_kick(struct ewi_stack *stack)
{
    uint64_t kicks;
    ssize_t ignored = read(stack->kick_fd, &kicks, sizeof(kicks));

    (void)ignored;
}

static int kernel_poll(struct ewi_stack *stack, uint64_t now, struct stack_event *events,
                       uint32_t count, uint64_t *deadline)
{
    struct epoll_event got[KERNEL_EVENTS_MAX];
    uint32_t taken = take_closed(stack, events, count);
    int found;

    (void)now;
    *deadline = UINT64_MAX;
    if (taken == count)
        return (int)taken;
    found = epoll_wait(stack->epoll_fd, got, (int)ewi_min_u64(count - taken, KERNEL_EVENTS_MAX), 0);
    for (int i = 0; i < found; i++) {
        ewi_stream stream = got[i].data.u64;
        struct slot *slot;

        if (stream == 0) {
            drain_kick(stack);
            continue;
        }
        slot = ewi_slots_enter(&stack->slots, stream);
        if (slot == NULL)
            continue; /* finished meanwhile */
        events[taken] = (struct stack_event){
            .user = slot->user,
            .stream = stream,
            .bits = ewi_interest_event(stack->epoll_fd, stream, slot, got[i].events),
        };
        taken += events[taken].bits != 0;
        leave(stack, slot);
    }
    return (int)taken;
}

static void kernel_flush(struct ewi_stack *stack, uint64_t now)
{
    (void)stack;
    (void)now;
}

/* ---- sleep ---- */

static int kernel_wait_fd(struct ewi_stack *stack)
{
    return stack->epoll_fd;
}

static int kernel_stream_fd(struct ewi_stack *stack, ewi_stream stream)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    int fd;

    if (slot == NULL)
        return -ESTALE;
    fd = ewi_socket_fd(slot);
    leave(stack, slot);
    return fd;
}

static int kernel_arm(struct ewi_stack *stack, uint64_t now)
{
    (void)stack; /* epoll is always armed, and whoever closes a stream kicks */
    (void)now;
    return 0;
}

static void kernel_disarm(struct ewi_stack *stack)
{
    (void)stack;
}

/* ---- look ---- */

static int kernel_addresses(struct ewi_stack *stack, ewi_stream stream, struct stack_addr *local,
                            struct stack_addr *remote)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    int result = 0;

    if (slot == NULL)
        return -ESTALE;
    if (local != NULL)
        result = ewi_socket_local(ewi_socket_fd(slot), local);
    if (result == 0 && remote != NULL)
        result = ewi_socket_remote(ewi_socket_fd(slot), remote);
    leave(stack, slot);
    return result;
}

static int kernel_info(struct ewi_stack *stack, struct stack_info *out)
{
    *out = (struct stack_info){
        .name = "kernel",
        .caps = STACK_PARALLEL | STACK_STREAM_FD | STACK_WAKE,
        .streams_max = stack->slots.slots_max,
    };
    ewi_lock_enter(&stack->slots.lock);
    out->streams = stack->slots.slots_open;
    ewi_lock_give(&stack->slots.lock);
    return 0;
}

static enum stack_silence kernel_silence(struct ewi_stack *stack, ewi_stream stream,
                                         uint64_t *since_ns)
{
    struct slot *slot = ewi_slots_enter(&stack->slots, stream);
    enum stack_silence silence;

    *since_ns = 0;
    if (slot == NULL)
        return STACK_QUIET;
    silence = ewi_socket_silence(slot, since_ns);
    leave(stack, slot);
    return silence;
}

const struct stack_ops ewi_kernel_stack = {
    .abi = STACK_ABI,
    .bytes = sizeof(struct stack_ops),
    .name = "kernel",
    .open = kernel_open,
    .close = kernel_close,
    .listen = kernel_listen,
    .connect = kernel_connect,
    .accept = kernel_accept,
    .send = kernel_send,
    .released = kernel_released,
    .recv_into = kernel_recv_into,
    .ready = kernel_ready,
    .error = kernel_error,
    .shutdown = kernel_shutdown,
    .break_off = kernel_break_off,
    .finish = kernel_finish,
    .watch = kernel_watch,
    .poll = kernel_poll,
    .flush = kernel_flush,
    .wait_fd = kernel_wait_fd,
    .stream_fd = kernel_stream_fd,
    .arm = kernel_arm,
    .disarm = kernel_disarm,
    .kick = kernel_kick,
    .addresses = kernel_addresses,
    .info = kernel_info,
    .silence = kernel_silence,
    .forked = kernel_forked,
};
