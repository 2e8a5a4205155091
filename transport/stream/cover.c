#include "transport/stream/cover.h"

#include "transport/channel/channel.h"
#include "transport/context.h"

/* What the stack shall report: level-triggered, so room only while we want it. */
static void watch(ew_channel *channel, uint32_t bits)
{
    struct stream_link *link = &channel->link->stream;

    if (bits != link->watched)
        link->ops->watch(link->stack, link->stream, bits);
    link->watched = bits;
}

void ewi_cover_watch(ew_channel *channel)
{
    uint32_t bits = STACK_READABLE;

    ewi_silence_look_soon(channel->context);
    if (atomic_load_explicit(&channel->link->stream.cover, memory_order_relaxed) != COVER_REACTOR)
        return; /* the application took it back meanwhile */
    if (ewi_channel_link_state(channel) != LINK_UP ||
        atomic_load_explicit(&channel->link->stream.lost, memory_order_relaxed)) /* a hint */
        bits = STACK_ASIDE;
    else if (ewi_stream_link_is_blocked(channel))
        bits |= STACK_WRITABLE;
    watch(channel, bits);
}

static void set_cover(ew_channel *channel, enum stream_cover cover)
{
    atomic_store_explicit(&channel->link->stream.cover, cover, memory_order_relaxed);
    if (cover != COVER_REACTOR)
        watch(channel, STACK_ASIDE); /* who drives sees for itself */
}

/* What becomes of a link that was not driven since the last tick. */
static enum stream_cover next_cover(ew_channel *channel)
{
    if (ewi_channel_link_state(channel) != LINK_UP ||
        atomic_load_explicit(&channel->link->stream.lost, memory_order_relaxed)) /* a hint */
        return COVER_NONE;
    if (ewi_waitroom_has_poller(&channel->room))
        return COVER_NONE; /* a thread sleeps on the stream itself */
    return COVER_REACTOR;
}

static void on_tick(void *object, uint32_t events, uint64_t now_ns)
{
    struct stream_cover_list *list = object;
    struct stream_link **at = &list->first;

    (void)events;
    while (*at != NULL) {
        struct stream_link *link = *at;
        ew_channel *channel = link->channel;
        uint32_t driven = atomic_load_explicit(&link->driven, memory_order_relaxed);
        enum stream_cover cover = COVER_TICK;

        if (driven == link->driven_seen)
            cover = next_cover(channel);
        link->driven_seen = driven;
        if (cover == COVER_TICK) {
            at = &link->cover_next;
            continue;
        }
        *at = link->cover_next;
        link->cover_listed = false;
        set_cover(channel, cover);
        atomic_thread_fence(memory_order_seq_cst); /* G1, pairs with G2 */
        if (cover == COVER_NONE && next_cover(channel) == COVER_REACTOR)
            set_cover(channel, cover = COVER_REACTOR); /* the poller left just now */
        if (cover == COVER_REACTOR) {
            ewi_stream_link_cover(channel); /* what came before it was watched */
            ewi_cover_watch(channel);
        }
    }
    list->ticking = list->first != NULL;
    ewi_reactor_set_deadline(list->reactor, list->tick,
                             list->ticking ? now_ns + COVER_TICK_NS : EWI_NEVER);
}

int ewi_cover_open(struct stream_cover_list *list, struct reactor *reactor)
{
    list->reactor = reactor;
    return ewi_reactor_add(reactor, -1, 0, on_tick, list, &list->tick);
}

void ewi_cover_close(struct stream_cover_list *list)
{
    ewi_reactor_remove(list->reactor, list->tick);
    list->tick = NULL;
}

void ewi_cover_activate(ew_channel *channel)
{
    struct stream_cover_list *list = &channel->context->cover;
    struct stream_link *link = &channel->link->stream;
    bool start = false;

    ewi_reactor_lock(list->reactor);
    if (!link->cover_listed && !link->cover_gone) {
        link->cover_listed = true;
        link->cover_next = list->first;
        list->first = link;
        set_cover(channel, COVER_TICK);
        ewi_silence_look_soon(channel->context);
        start = !list->ticking;
        list->ticking = true;
    }
    ewi_reactor_unlock(list->reactor);
    if (start)
        ewi_reactor_set_deadline(list->reactor, list->tick, ewi_now_ns() + COVER_TICK_NS);
}

void ewi_cover_forget(struct stream_link *link)
{
    struct stream_cover_list *list = &link->channel->context->cover;
    struct stream_link **at;

    ewi_reactor_lock(list->reactor);
    link->cover_gone = true;
    for (at = &list->first; link->cover_listed && *at != NULL; at = &(*at)->cover_next) {
        if (*at == link) {
            *at = link->cover_next;
            link->cover_listed = false;
            break;
        }
    }
    ewi_reactor_unlock(list->reactor);
}
