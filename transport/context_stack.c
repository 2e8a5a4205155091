#include "transport/context_stack.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "transport/context.h"

static uint64_t next_turn(struct context_stack *on, uint64_t now_ns, uint64_t deadline)
{
    struct stack_info info = {0};

    if (on->poll_interval_ns == 0 || on->ops->info(on->stack, &info) != 0 || info.streams == 0)
        return deadline;
    return ewi_min_u64(deadline, now_ns + on->poll_interval_ns);
}

static void turn(struct context_stack *on, uint64_t now_ns)
{
    uint64_t deadline = EWI_NEVER;
    int turns = 0;

    on->ops->disarm(on->stack);
    do {
        ewi_stream_dispatch(on, now_ns, &deadline);
        now_ns = ewi_now_ns();
        on->ops->flush(on->stack, now_ns);
    } while (++turns < STACK_TURNS && on->ops->arm(on->stack, now_ns) == 1);
    if (turns == STACK_TURNS) /* not armed, perhaps */
        deadline = now_ns;
    ewi_reactor_set_deadline(on->context->reactor, on->source, next_turn(on, now_ns, deadline));
}

static void on_stack(void *object, uint32_t events, uint64_t now_ns)
{
    struct context_stack *on = object;
    ew_context *context = on->context;

    (void)events;
    if (!ewi_context_take_if_alive(context)) /* the last guest may go while we are at it */
        return; /* destroy waits for us and does the rest */
    turn(on, now_ns);
    ewi_context_give(context);
}

int ewi_context_stack_start(struct context_stack *on, struct ewi_stack *stack)
{
    struct stack_info info = {0};
    int code = on->ops->info(stack, &info);

    if (code == 0)
        code = ewi_reactor_add(on->context->reactor, on->ops->wait_fd(stack), EPOLLIN, on_stack, on,
                               &on->source);
    if (code != 0)
        return code;
    on->poll_interval_ns = info.caps & STACK_WAKE ? 0 : info.poll_interval_ns;
    on->stack = stack;
    ewi_reactor_set_deadline(on->context->reactor, on->source, 0); /* I2: armed by its first turn */
    return EW_OK;
}

void ewi_context_stack_stop(struct context_stack *on)
{
    uint64_t deadline;

    ewi_reactor_remove(on->context->reactor, on->source);
    on->source = NULL;
    if (on->stack == NULL)
        return;
    while (ewi_stream_dispatch(on, ewi_now_ns(), &deadline) > 0)
        ; /* the last CLOSED events free their users */
    on->ops->close(on->stack);
    while (on->users != NULL) /* of streams that were still ending */
        ewi_stream_user_free(on, on->users);
}

void ewi_context_stack_stir(struct context_stack *on)
{
    if (on->poll_interval_ns != 0)
        ewi_reactor_set_deadline(on->context->reactor, on->source, 0);
    else if (on->path != EW_PATH_TCP) /* its deadline may be nearer now */
        on->ops->kick(on->stack);
}
