/* Questions to the context's own TCP/IP. Runs on the reactor's thread: the stack's guard is held for a burst
 * of packets at most, and nobody who has it waits for the reactor. */
#include <errno.h>
#include <string.h>

#include "transport/control/control.h"
#include "transport/control/text.h"

static bool is_about(const char *question, const char *word)
{
    size_t length = strlen(word);

    return strncmp(question, word, length) == 0 &&
           (question[length] == ' ' || question[length] == '\0');
}

static enum control_right right_for(const char *question)
{
    if (is_about(question, "capture"))
        return CONTROL_MAY_WRITE;
    return is_about(question, "ping") ? CONTROL_MAY_SEND : CONTROL_MAY_LOOK;
}

static const char *why_not(enum control_right right)
{
    return right == CONTROL_MAY_WRITE
               ? "a capture is for the user that this process runs as: ask as that one"
               : "echo requests are for the user that this process runs as, and for root";
}

size_t ewi_control_ask(const struct stack_ops *ops, struct ewi_stack *stack, const char *question,
                       enum control_right right, char out[CONTROL_PACKET_BYTES])
{
    struct text text = {.bytes = out, .room = CONTROL_PACKET_BYTES};
    int64_t length;

    if (stack == NULL)
        return ewi_control_refuse("none", "this context has no TCP/IP of its own: its settings name no "
                                  "network, or the device is not open", out, CONTROL_PACKET_BYTES);
    if (ops->bytes <= offsetof(struct stack_ops, ask) || ops->ask == NULL)
        return ewi_control_refuse("none", "the stack of this context answers no questions", out,
                                  CONTROL_PACKET_BYTES);
    if (right < right_for(question))
        return ewi_control_refuse("access", why_not(right_for(question)), out, CONTROL_PACKET_BYTES);
    ewi_control_put_head(&text, "net");
    length = ops->ask(stack, question, out + text.used, CONTROL_PACKET_BYTES - text.used);
    if (length < 0)
        return ewi_control_refuse("question", length == -EINVAL
                                                  ? "no such question, or its arguments are wrong"
                                                  : "the answer does not fit a packet",
                                  out, CONTROL_PACKET_BYTES);
    return text.used + (size_t)length;
}

size_t ewi_control_net(ew_context *context, const char *question, enum control_right right,
                       char out[CONTROL_PACKET_BYTES])
{
    const struct context_stack *on = &context->stacks[CONTEXT_FABRIC];

    return ewi_control_ask(on->ops, on->stack, question, right, out);
}
