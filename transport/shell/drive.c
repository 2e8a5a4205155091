/* One drive: packets in, what is due, events out, frames out. */
#include <errno.h>

#include "transport/shell/shell.h"

enum { GUARD_TRIES = 64, GUARD_PAUSES = 8, EVENTS = 64 };

/* ---- the guard ---- */

bool ewi_shell_try(struct ewi_stack *stack)
{
    for (int try = 0; try < GUARD_TRIES; try++) {
        if (ewi_lock_try(&stack->guard))
            return true;
        for (int pause = 0; pause < GUARD_PAUSES; pause++)
            ewi_relax();
    }
    atomic_fetch_add_explicit(&stack->tries_lost, 1, memory_order_relaxed); /* a count */
    return false;
}

/* The thread that polled last. */
static bool is_reactor(const struct ewi_stack *stack)
{
    return stack->reactor == ewi_shell_self();
}

bool ewi_shell_turn(struct ewi_stack *stack, uint64_t now)
{
    if (stack->is_armed)
        ewi_shell_awake(stack);
    return ewi_shell_drive(stack, now);
}

void ewi_shell_leave(struct ewi_stack *stack, uint64_t now)
{
    ewi_shell_settle(stack, now);
    if (!is_reactor(stack)) { /* which arms before it sleeps, and sees both there */
        stack->is_driven = true;
        ewi_shell_timer(stack, now + SHELL_TICK_NS);
        if (stack->first_event != 0)
            ewi_shell_kick(stack);
    }
    ewi_lock_give(&stack->guard);
}

/* ---- packets ---- */

static uint32_t receive(struct ewi_stack *stack, uint64_t now)
{
    struct net_rx packets[DEVICE_BURST];
    uint32_t count = stack->ops->receive(stack->device, packets, DEVICE_BURST);
    void *back[DEVICE_BURST];
    uint32_t returned = 0;

    if (count == 0)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        packets[i].port = (uint16_t)stack->port;
    for (uint32_t i = 0; stack->capture.is_on && i < count; i++)
        ewi_capture_write(&stack->capture, packets[i].data, packets[i].bytes, now);
    ewi_net_input(stack->net, now, packets, count);
    for (uint32_t i = 0; i < count; i++) {
        if (packets[i].flags & NET_RX_KEPT)
            stack->packets_kept += 1;
        else if (packets[i].ref != NULL)
            back[returned++] = packets[i].ref;
    }
    if (returned != 0)
        stack->ops->give_back(stack->device, back, returned);
    return count;
}

static void reclaim(struct ewi_stack *stack)
{
    void *refs[DEVICE_BURST];
    uint32_t count;

    while ((count = ewi_net_reclaim(stack->net, refs, DEVICE_BURST)) != 0) {
        stack->packets_kept -= count;
        stack->ops->give_back(stack->device, refs, count);
    }
}

/* True: all that was filled is on its way. A device that takes nothing for long has lost them. */
static bool push(struct ewi_stack *stack, uint32_t filled, uint64_t now)
{
    uint32_t taken = stack->ops->transmit(stack->device, stack->frames, filled);
    uint32_t left = filled - taken;

    if (taken != 0 || stack->frames_left == 0)
        stack->frames_since = now;
    for (uint32_t i = 0; taken != 0 && i < left; i++) {
        stack->frames[i] = stack->frames[i + taken];
        stack->frames[i + taken].room = NULL;
    }
    if (left != 0 && now >= stack->frames_since + SHELL_STUCK_NS) { /* now may be the older one */
        stack->counts.frames_lost += left;
        left = 0;
    }
    stack->frames_left = left;
    return left == 0;
}

/* True: there may be more. */
static bool transmit(struct ewi_stack *stack, uint64_t now)
{
    uint32_t filled;

    if (stack->frames_left != 0 && !push(stack, stack->frames_left, now))
        return false;
    stack->frames_armed = stack->ops->arm(stack->device, stack->frames, SHELL_FRAMES);
    filled = ewi_net_output(stack->net, now, stack->frames, stack->frames_armed);
    if (filled == 0)
        return false;
    for (uint32_t i = 0; stack->capture.is_on && i < filled; i++)
        ewi_capture_write(&stack->capture, stack->frames[i].room, stack->frames[i].bytes, now);
    return push(stack, filled, now) && filled == stack->frames_armed;
}

void ewi_shell_flush(struct ewi_stack *stack, uint64_t now)
{
    stack->latest = ewi_max_u64(stack->latest, now);
    for (int round = 0; round < SHELL_ROUNDS && transmit(stack, now); round++)
        ;
    reclaim(stack);
    stack->deadline = ewi_net_deadline(stack->net);
    if (stack->frames_left != 0 || (stack->deadline == 0 && stack->frames_armed == 0))
        stack->deadline = now + (stack->device == NULL ? SHELL_LOOK_NS : SHELL_RETRY_NS); /* no room */
}

void ewi_shell_settle(struct ewi_stack *stack, uint64_t now)
{
    if (ewi_net_deadline(stack->net) == 0) {
        ewi_shell_flush(stack, now);
        return;
    }
    reclaim(stack);
    if (stack->frames_left == 0) /* else it is when to try again, however often we are called */
        stack->deadline = ewi_net_deadline(stack->net);
}

/* ---- events ---- */

static void release(struct ewi_stack *stack, struct shell_stream *stream)
{
    uint64_t position;

    if (ewi_net_released(stack->net, stream->inner, &position) == 0)
        (void)ewi_chunks_release(&stack->chunks, &stream->out, position);
}

static void over(struct ewi_stack *stack, struct shell_stream *stream)
{
    stream->inner = 0;
    (void)ewi_chunks_release(&stack->chunks, &stream->out, UINT64_MAX);
    ewi_shell_tell(stack, stream, STACK_CLOSED);
}

static void take(struct ewi_stack *stack, const struct stack_event *event)
{
    struct shell_stream *stream = &stack->stream[event->user];

    if (event->bits & STACK_CLOSED) {
        over(stack, stream);
        return;
    }
    if (event->bits & STACK_RELEASED)
        release(stack, stream);
    ewi_shell_tell(stack, stream, event->bits & (STACK_CONNECTED | STACK_FAILED | STACK_PEER_FIN));
}

/* Chunks came back: who was refused for want of them may go on. */
static void share_chunks(struct ewi_stack *stack)
{
    if (!stack->is_short || stack->chunks.free == 0)
        return;
    stack->is_short = false;
    for (uint32_t i = 0; i < stack->streams_used; i++)
        if (stack->stream[i].kind == SHELL_CONNECTION)
            ewi_shell_tell(stack, &stack->stream[i], 0);
}

static bool distribute(struct ewi_stack *stack)
{
    struct stack_event events[EVENTS];
    uint32_t count, all = 0;

    do {
        count = ewi_net_events(stack->net, events, EVENTS);
        for (uint32_t i = 0; i < count; i++)
            take(stack, &events[i]);
        all += count;
    } while (count == EVENTS);
    share_chunks(stack);
    return all != 0;
}

/* ---- the carrier ---- */

static void set_down(struct ewi_stack *stack)
{
    stack->is_down = true;
    stack->counts.downs += 1;
    for (uint32_t i = 0; i < stack->streams_used; i++) {
        struct shell_stream *stream = &stack->stream[i];

        if (stream->kind == SHELL_FREE || stream->finished || stream->error != 0)
            continue;
        if (stream->kind == SHELL_CONNECTION)
            stream->error = -ENETDOWN;
        ewi_shell_tell(stack, stream, STACK_FAILED); /* a listener goes on when the carrier is back */
    }
}

static void look_at_carrier(struct ewi_stack *stack, uint64_t now)
{
    if (now < stack->carrier_at)
        return;
    stack->carrier_at = now + SHELL_LOOK_NS;
    if (stack->ops->carrier(stack->device)) {
        if (stack->away_since != 0) /* others may have another station in mind for our addresses */
            ewi_net_port_is_back(stack->net, stack->port);
        stack->away_since = stack->patient_until = 0;
        stack->is_down = false;
        return;
    }
    if (stack->is_down)
        return;
    if (stack->away_since == 0)
        stack->away_since = now;
    if (now >= stack->patient_until && now - stack->away_since >= SHELL_DOWN_NS)
        set_down(stack);
    else
        stack->carrier_at = now + SHELL_TICK_NS;
}

/* ---- all of it ---- */

bool ewi_shell_drive(struct ewi_stack *stack, uint64_t now)
{
    bool any = false;

    if (now < stack->latest) /* who waited for the guard brings an older one: a round trip of nothing */
        now = ewi_now_ns();
    stack->latest = now;
    stack->counts.drives += 1;
    for (int round = 0; round < SHELL_ROUNDS; round++) {
        uint32_t count = receive(stack, now);

        any |= count != 0;
        if (count < DEVICE_BURST)
            break;
    }
    if (any || now >= stack->deadline) {
        ewi_net_tick(stack->net, now);
        any = true;
        ewi_shell_flush(stack, now);
    }
    any |= distribute(stack); /* a connection may end by sending, or by a call */
    if (ewi_shell_start_waiting(stack, now)) {
        any = true;
        ewi_shell_flush(stack, now);
    }
    look_at_carrier(stack, now);
    return any;
}
