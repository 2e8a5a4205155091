#include "transport/stream/silence.h"

#include "transport/channel/channel.h"
#include "transport/context.h"

#define SILENCE_NS_MIN (UINT64_C(1000) * 1000 * 1000)
#define SILENCE_NS (10 * SILENCE_NS_MIN) /* without a grace time a loss is final: not sooner */

uint64_t ewi_silence_limit(uint64_t grace_ns)
{
    return grace_ns == 0 ? SILENCE_NS : ewi_max_u64(grace_ns, SILENCE_NS_MIN);
}

/* Whether to look again. */
static bool look_at(ew_channel *channel, uint64_t now_ns)
{
    struct stream_link *link = &channel->link->stream;
    enum stack_silence silence;
    uint64_t since_ns;

    if (channel->ops != &ewi_stream_link || ewi_channel_link_state(channel) != LINK_UP ||
        ewi_channel_is_lost(channel))
        return false;
    silence = link->ops->silence(link->stack, link->stream, &since_ns);
    if (silence != STACK_REPEATS) {
        link->repeats_since_ns = 0;
        return silence == STACK_WAITS ||
               atomic_load_explicit(&link->cover, memory_order_relaxed) == COVER_TICK; /* the lock */
    }
    if (link->repeats_since_ns == 0)
        link->repeats_since_ns = now_ns;
    /* It may have answered since, and the next is being repeated. */
    if (ewi_min_u64(now_ns - link->repeats_since_ns, since_ns) < channel->context->silence.limit_ns)
        return true;
    link->ops->break_off(link->stack, link->stream);
    return false;
}

static void on_look(void *object, uint32_t events, uint64_t now_ns)
{
    ew_context *context = object;
    struct stream_silence *silence = &context->silence;
    ew_channel *channels[SILENCE_BATCH];
    size_t count = ewi_context_pin_channels(context, silence->below, channels, SILENCE_BATCH);

    (void)events;
    for (size_t i = 0; i < count; i++) {
        silence->busy |= look_at(channels[i], now_ns);
        silence->below = channels[i]->number;
        ewi_context_unpin_channel(channels[i]);
    }
    if (count == SILENCE_BATCH) {
        ewi_reactor_set_deadline(context->reactor, silence->source, now_ns);
        return;
    }
    silence->looking = silence->busy;
    silence->busy = false;
    silence->below = UINT64_MAX;
    if (silence->looking) /* I1 */
        ewi_reactor_set_deadline(context->reactor, silence->source,
                                 now_ns + silence->limit_ns / SILENCE_LOOKS);
}

int ewi_silence_open(ew_context *context)
{
    context->silence.limit_ns = ewi_silence_limit(context->grace_ns);
    context->silence.below = UINT64_MAX;
    return ewi_reactor_add(context->reactor, -1, 0, on_look, context, &context->silence.source);
}

void ewi_silence_close(ew_context *context)
{
    ewi_reactor_remove(context->reactor, context->silence.source);
    context->silence.source = NULL;
}

void ewi_silence_look_soon(ew_context *context)
{
    struct stream_silence *silence = &context->silence;

    if (silence->looking)
        return;
    silence->looking = true;
    ewi_reactor_set_deadline(context->reactor, silence->source,
                             ewi_now_ns() + silence->limit_ns / SILENCE_LOOKS);
}
