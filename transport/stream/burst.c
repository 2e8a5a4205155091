#include "transport/stream/burst.h"

#include "transport/channel/channel.h"
#include "transport/context.h"

static void on_time(void *object, uint32_t events, uint64_t now_ns)
{
    struct stream_burst_list *list = object;
    struct stream_link *link;

    (void)events, (void)now_ns;
    while ((link = list->first) != NULL) {
        list->first = link->burst.next;
        link->burst.listed = false;
        atomic_exchange_explicit(&link->burst.asked, false, memory_order_acquire); /* B2, with B1 */
        ewi_stream_link_poke(link->channel);
    }
}

int ewi_burst_open(struct stream_burst_list *list, struct reactor *reactor)
{
    list->reactor = reactor;
    return ewi_reactor_add(reactor, -1, 0, on_time, list, &list->source);
}

void ewi_burst_close(struct stream_burst_list *list)
{
    ewi_reactor_remove(list->reactor, list->source);
    list->source = NULL;
}

/* A send does not wait: not for who has the reactor's mutex, either. */
static bool ask_reactor(ew_channel *channel, uint64_t now_ns)
{
    struct stream_burst_list *list = &channel->context->bursts;
    struct stream_link *link = &channel->link->stream;
    bool will_come;

    if (!ewi_reactor_try_lock(list->reactor))
        return false;
    will_come = link->burst.listed ||
                (!link->burst.gone &&
                 (list->first != NULL ||
                  ewi_reactor_set_deadline(list->reactor, list->source, now_ns + BURST_NS)));
    if (will_come && !link->burst.listed) {
        link->burst.listed = true;
        link->burst.next = list->first;
        list->first = link;
    }
    ewi_reactor_unlock(list->reactor);
    return will_come;
}

static uint64_t blocked(ew_channel *channel)
{
    return atomic_load_explicit(&channel->send_blocked_ns, memory_order_relaxed); /* by the send lock */
}

/* Is this send one of a sender that is bound by what sending costs? */
static bool is_close(ew_channel *channel, uint64_t now_ns)
{
    const struct stream_burst *burst = &channel->link->stream.burst;
    uint64_t between = now_ns - burst->ended_ns - (blocked(channel) - burst->blocked_ns);

    return burst->cost_ns >= BURST_COST_NS_MIN && 2 * between < burst->cost_ns;
}

static void note_end(ew_channel *channel, uint64_t now_ns)
{
    struct stream_burst *burst = &channel->link->stream.burst;

    burst->ended_ns = now_ns;
    burst->blocked_ns = blocked(channel);
}

bool ewi_burst_holds(ew_channel *channel, uint64_t now_ns)
{
    struct stream_burst *burst = &channel->link->stream.burst;
    uint64_t position = channel->writer.position, bytes = position - burst->position;

    if (!burst->possible)
        return false;
    burst->position = position;
    if (bytes > BURST_RECORD_BYTES_MAX || !is_close(channel, now_ns)) {
        (void)ewi_burst_over(channel);
        return false;
    }
    if (atomic_load_explicit(&burst->in_a_row, memory_order_relaxed) < BURST_DIRECT || /* a hint */
        position - burst->rung >= ewi_min_u64(BURST_BYTES_MAX, channel->writer.ring_bytes / 4))
        return false;
    if (!atomic_exchange_explicit(&burst->asked, true, memory_order_release) && /* B1, with B2 */
        !ask_reactor(channel, now_ns)) {
        atomic_store_explicit(&burst->asked, false, memory_order_relaxed); /* it is not coming */
        return false;
    }
    note_end(channel, now_ns);
    return true;
}

void ewi_burst_rung(ew_channel *channel, uint64_t began_ns, uint64_t now_ns)
{
    struct stream_burst *burst = &channel->link->stream.burst;
    uint32_t in_a_row = atomic_load_explicit(&burst->in_a_row, memory_order_relaxed); /* a hint */

    if (in_a_row < BURST_DIRECT) { /* else it was a whole burst */
        burst->cost_ns = ewi_min_u64(now_ns - began_ns, BURST_COST_NS_MAX);
        atomic_store_explicit(&burst->in_a_row, in_a_row + 1, memory_order_relaxed); /* a hint */
    }
    note_end(channel, now_ns);
    burst->rung = burst->position;
}

bool ewi_burst_over(ew_channel *channel)
{
    struct stream_burst *burst = &channel->link->stream.burst;

    if (atomic_load_explicit(&burst->in_a_row, memory_order_relaxed) != 0 && /* hints */
        atomic_load_explicit(&channel->send_waiting, memory_order_relaxed) == 0)
        atomic_store_explicit(&burst->in_a_row, 0, memory_order_relaxed);
    return atomic_load_explicit(&burst->asked, memory_order_relaxed); /* until the reactor has come */
}

void ewi_burst_forget(struct stream_link *link)
{
    struct stream_burst_list *list = &link->channel->context->bursts;
    struct stream_link **at;

    ewi_reactor_lock(list->reactor);
    link->burst.gone = true;
    for (at = &list->first; link->burst.listed && *at != NULL; at = &(*at)->burst.next) {
        if (*at == link) {
            *at = link->burst.next;
            link->burst.listed = false;
            break;
        }
    }
    ewi_reactor_unlock(list->reactor);
}
