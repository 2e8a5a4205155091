#include "transport/stream/user.h"

#include <stdlib.h>

#include "transport/context.h"

enum { DISPATCH_EVENTS = 64 };

struct stream_user *ewi_stream_user_create(struct context_stack *on, stream_user_fn *fn,
                                           void *object)
{
    struct stream_user *user = malloc(sizeof(*user));

    if (user == NULL)
        return NULL;
    *user = (struct stream_user){.fn = fn, .object = object, .previous = &on->users};
    ewi_reactor_lock(on->context->reactor);
    user->next = on->users;
    if (user->next != NULL)
        user->next->previous = &user->next;
    on->users = user;
    ewi_reactor_unlock(on->context->reactor);
    return user;
}

void ewi_stream_user_free(struct context_stack *on, struct stream_user *user)
{
    if (user == NULL)
        return;
    ewi_reactor_lock(on->context->reactor);
    *user->previous = user->next;
    if (user->next != NULL)
        user->next->previous = user->previous;
    ewi_reactor_unlock(on->context->reactor);
    free(user);
}

void ewi_stream_user_set(struct context_stack *on, struct stream_user *user, stream_user_fn *fn,
                         void *object)
{
    ewi_reactor_lock(on->context->reactor);
    user->fn = fn;
    user->object = object;
    ewi_reactor_unlock(on->context->reactor);
}

int ewi_stream_dispatch(struct context_stack *on, uint64_t now_ns, uint64_t *deadline)
{
    struct stack_event events[DISPATCH_EVENTS];
    int count = on->ops->poll(on->stack, now_ns, events, DISPATCH_EVENTS, deadline);

    for (int i = 0; i < count; i++) {
        struct stream_user *user = (struct stream_user *)(uintptr_t)events[i].user;

        if (user->fn != NULL)
            user->fn(user->object, events[i].bits, now_ns);
        if (events[i].bits & STACK_CLOSED)
            ewi_stream_user_free(on, user);
    }
    return count;
}

void ewi_stream_finish(struct context_stack *on, ewi_stream stream, struct stream_user *user,
                       bool reset)
{
    struct reactor *reactor = on->context->reactor;

    ewi_reactor_lock(reactor); /* no event for it is being handled */
    user->fn = NULL;
    on->ops->finish(on->stack, stream, reset, ewi_now_ns());
    ewi_reactor_unlock(reactor);
    on->ops->kick(on->stack); /* so that CLOSED is reported, and the user freed, soon */
}
