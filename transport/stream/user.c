#include "transport/stream/user.h"

#include <stdlib.h>

enum { DISPATCH_EVENTS = 64 };

struct stream_user *ewi_stream_user_create(stream_user_fn *fn, void *object)
{
    struct stream_user *user = malloc(sizeof(*user));

    if (user != NULL)
        *user = (struct stream_user){.fn = fn, .object = object};
    return user;
}

void ewi_stream_user_set(struct reactor *reactor, struct stream_user *user, stream_user_fn *fn,
                         void *object)
{
    ewi_reactor_lock(reactor);
    *user = (struct stream_user){.fn = fn, .object = object};
    ewi_reactor_unlock(reactor);
}

int ewi_stream_dispatch(const struct stack_ops *ops, struct ewi_stack *stack, uint64_t now_ns)
{
    struct stack_event events[DISPATCH_EVENTS];
    uint64_t deadline;
    int count = ops->poll(stack, now_ns, events, DISPATCH_EVENTS, &deadline);

    for (int i = 0; i < count; i++) {
        struct stream_user *user = (struct stream_user *)(uintptr_t)events[i].user;

        if (user->fn != NULL)
            user->fn(user->object, events[i].bits, now_ns);
        if (events[i].bits & STACK_CLOSED)
            free(user);
    }
    return count;
}

void ewi_stream_finish(struct reactor *reactor, const struct stack_ops *ops,
                       struct ewi_stack *stack, ewi_stream stream, struct stream_user *user,
                       bool reset)
{
    ewi_reactor_lock(reactor); /* no event for it is being handled */
    user->fn = NULL;
    ops->finish(stack, stream, reset, ewi_now_ns());
    ewi_reactor_unlock(reactor);
    ops->kick(stack); /* so that CLOSED is reported, and the user freed, soon */
}
