/* Ports that the shell chooses, and connections of a stack that shares its device: their answers have to come
 * here. */
#include <errno.h>
#include <string.h>

#include "transport/shell/shell.h"
#include "transport/shell/steer.h"
#include "transport/siphash.h"

/* RFC 6335 section 6: 49152 .. 65535. */
enum { DYNAMIC_FIRST = 49152, DYNAMIC_COUNT = 16384 };

static bool is_any(const struct stack_addr *at)
{
    static const uint8_t any[16];

    return memcmp(at->ip, any, at->family == 4 ? 4 : 16) == 0;
}

uint16_t ewi_shell_draw_port(struct ewi_stack *stack)
{
    uint64_t number = stack->ports_drawn++;

    return (uint16_t)(DYNAMIC_FIRST +
                      ewi_siphash(stack->port_key, &number, sizeof(number)) % DYNAMIC_COUNT);
}

static bool is_here(const struct ewi_stack *stack, const struct stack_addr *local,
                    const struct stack_addr *remote)
{
    return ewi_steer_shard(local, remote, stack->facts.shards) == stack->facts.shard;
}

static int begin_on_some_port(struct ewi_stack *stack, struct shell_stream *stream,
                              struct stack_addr *local, const struct stack_addr *remote, uint64_t now)
{
    const uint64_t slot = (uint64_t)(stream - stack->stream);

    for (int draw = 0; draw < SHELL_DRAWS; draw++) {
        int code = -EADDRINUSE;

        local->port = ewi_shell_draw_port(stack);
        if (is_here(stack, local, remote))
            code = ewi_net_connect(stack->net, local, remote, slot, now, &stream->inner);
        if (code != -EADDRINUSE)
            return code;
    }
    return -EADDRNOTAVAIL;
}

int ewi_shell_begin(struct ewi_stack *stack, struct shell_stream *stream,
                    const struct stack_addr *local, const struct stack_addr *remote, uint64_t now)
{
    struct stack_addr here = {.family = remote->family}, there = *remote;
    int code;

    if (local != NULL && local->family != 0)
        here = *local;
    if (stack->facts.shards < 2 || (remote->family != 4 && remote->family != 6) || is_any(remote) ||
        remote->port == 0)
        return ewi_net_connect(stack->net, local, remote, (uint64_t)(stream - stack->stream), now,
                               &stream->inner);
    if (is_any(&here)) {
        code = ewi_net_source(stack->net, remote, &here);
        if (code != 0)
            return code;
        there.scope = here.scope;
    }
    if (here.port == 0)
        return begin_on_some_port(stack, stream, &here, &there, now);
    if (!is_here(stack, &here, &there))
        return -EADDRNOTAVAIL; /* the answer would come to another shard */
    return ewi_net_connect(stack->net, &here, &there, (uint64_t)(stream - stack->stream), now,
                           &stream->inner);
}
