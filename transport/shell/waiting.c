/* Connections that are asked for before the port has looked whether its addresses are free: they wait. */
#include <errno.h>
#include <stdio.h>

#include "transport/shell/shell.h"

static enum net_address_state state_of(const struct ewi_stack *stack, uint32_t index)
{
    return ewi_net_address_state(stack->net, stack->port, &stack->settings.addresses[index].at);
}

bool ewi_shell_is_settling(const struct ewi_stack *stack)
{
    for (uint32_t i = 0; i < stack->settings.addresses_count; i++)
        if (state_of(stack, i) == NET_ADDRESS_TENTATIVE)
            return true;
    return false;
}

uint32_t ewi_shell_lost_address(const struct ewi_stack *stack)
{
    for (uint32_t i = 0; i < stack->settings.addresses_count; i++)
        if (state_of(stack, i) == NET_ADDRESS_TWICE)
            return i + 1;
    return 0;
}

static uint32_t number_of(const struct ewi_stack *stack, const struct shell_stream *stream)
{
    return (uint32_t)(stream - stack->stream) + 1;
}

void ewi_shell_wait(struct ewi_stack *stack, struct shell_stream *stream,
                    const struct stack_addr *local, const struct stack_addr *remote)
{
    stream->local = local == NULL ? (struct stack_addr){.family = 0} : *local;
    stream->remote = *remote;
    stream->is_waiting = true;
    stream->next_waiting = stack->first_waiting;
    stack->first_waiting = number_of(stack, stream);
}

void ewi_shell_forget_waiting(struct ewi_stack *stack, struct shell_stream *stream)
{
    uint32_t *at = &stack->first_waiting;

    if (!stream->is_waiting)
        return;
    while (*at != number_of(stack, stream))
        at = &stack->stream[*at - 1].next_waiting;
    *at = stream->next_waiting;
    stream->is_waiting = false;
}

static void start(struct ewi_stack *stack, struct shell_stream *stream, uint64_t now)
{
    const struct stack_addr *local = stream->local.family == 0 ? NULL : &stream->local;
    int code;

    ewi_shell_forget_waiting(stack, stream);
    if (stream->error != 0)
        return; /* it has failed meanwhile, and that stays */
    code = ewi_shell_begin(stack, stream, local, &stream->remote, now);
    if (code == 0)
        return;
    stream->error = ewi_shell_lost_address(stack) != 0 ? -EADDRINUSE : code;
    ewi_shell_tell(stack, stream, STACK_FAILED);
}

/* True: some were started. */
bool ewi_shell_start_waiting(struct ewi_stack *stack, uint64_t now)
{
    if (stack->first_waiting == 0 || ewi_shell_is_settling(stack))
        return false;
    while (stack->first_waiting != 0)
        start(stack, &stack->stream[stack->first_waiting - 1], now);
    return true;
}
