#include "transport/context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/channel/channel.h"
#include "transport/control/control.h"
#include "transport/error.h"
#include "transport/fabric.h"
#include "transport/hello.h"
#include "transport/listener.h"
#include "transport/machine.h"
#include "transport/process.h"
#include "transport/quota.h"
#include "transport/retired.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum { STREAMS_MAX = 65536, NS_PER_S = 1000 * 1000 * 1000 };

/* ---- shares ---- */

int ewi_context_forked_error(void)
{
    return ewi_fail(EW_EFORKED, "this handle belongs to the parent process: make a new context "
                                "after fork");
}

void ewi_context_take(ew_context *context)
{
    atomic_fetch_add_explicit(&context->shares, 1, memory_order_relaxed); /* whoever calls has one */
}

bool ewi_context_take_if_alive(ew_context *context)
{
    uint32_t shares = atomic_load_explicit(&context->shares, memory_order_relaxed); /* then compared */

    do {
        if (shares == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&context->shares, &shares, shares + 1,
                                                    memory_order_relaxed,   /* as ewi_context_take */
                                                    memory_order_relaxed)); /* compared again */
    return true;
}

static void destroy(ew_context *context)
{
    ewi_process_remove_context(context);
    ewi_process_close_fd(context->news_fd);
    ewi_process_close_fd(context->nudge_fd);
    ewi_control_close(context); /* it is, unless opening the context failed */
    ewi_control_free(context->control);
    ewi_tombs_free(&context->tombs);
    if (context->reactor != NULL) {
        ewi_cover_close(&context->cover);
        ewi_burst_close(&context->bursts);
        ewi_silence_close(context);
        for (int i = 0; i < CONTEXT_STACKS; i++)
            ewi_context_stack_stop(&context->stacks[i]);
        ewi_fabric_free(context);
        ewi_reactor_release(context->reactor);
    }
    free(context);
}

void ewi_context_give(ew_context *context)
{
    if (atomic_fetch_sub_explicit(&context->shares, 1, memory_order_acq_rel) == 1) /* the last */
        destroy(context);
}

void ewi_context_add_channel(ew_context *context, ew_channel *channel)
{
    ewi_lock_enter(&context->lock);
    channel->number = ++context->channels_made;
    channel->next = context->channels;
    channel->previous = &context->channels;
    if (channel->next != NULL)
        channel->next->previous = &channel->next;
    context->channels = channel;
    ewi_lock_give(&context->lock);
    atomic_fetch_add_explicit(&context->channels_count, 1, memory_order_relaxed);
}

static void ring(int event_fd)
{
    const uint64_t one = 1;

    if (write(event_fd, &one, sizeof(one)) < 0)
        EWI_ASSERT(errno == EAGAIN); /* readable already */
}

static void quieten(int event_fd)
{
    uint64_t ignored;

    if (read(event_fd, &ignored, sizeof(ignored)) < 0)
        EWI_ASSERT(errno == EAGAIN);
}

void ewi_context_forget_channel(ew_context *context, ew_channel *channel)
{
    bool last = false;

    ewi_lock_enter(&context->lock);
    if (channel->previous != NULL) {
        *channel->previous = channel->next;
        if (channel->next != NULL)
            channel->next->previous = channel->previous;
        channel->previous = NULL;
        last = atomic_fetch_sub_explicit(&context->channels_count, 1, memory_order_relaxed) == 1;
    }
    ewi_lock_give(&context->lock);
    if (last)
        ring(context->news_fd);
}

ew_channel *ewi_context_find_channel(ew_context *context, const uint8_t id[16])
{
    ew_channel *channel;

    ewi_lock_enter(&context->lock);
    for (channel = context->channels; channel != NULL; channel = channel->next)
        if (!channel->opener && memcmp(channel->id, id, sizeof(channel->id)) == 0)
            break;
    if (channel != NULL)
        atomic_fetch_add_explicit(&channel->pins, 1, memory_order_relaxed); /* under the lock */
    ewi_lock_give(&context->lock);
    return channel;
}

void ewi_context_nudge(ew_context *context)
{
    ring(context->nudge_fd);
}

void ewi_context_calm(ew_context *context)
{
    quieten(context->nudge_fd);
}

/* ---- news ---- */

void ewi_context_tell(ew_channel *channel)
{
    atomic_store_explicit(&channel->has_news, true, memory_order_relaxed); /* the write orders it */
    ring(channel->context->news_fd);
}

int ew_context_fileno(ew_context *context)
{
    return ewi_context_is_forked(context) ? ewi_context_forked_error() : context->news_fd;
}

int ew_context_news(ew_context *context, uint64_t *numbers, uint32_t room)
{
    uint32_t count = 0;

    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    quieten(context->news_fd);
    ewi_lock_enter(&context->lock);
    for (ew_channel *each = context->channels; each != NULL && count < room; each = each->next)
        if (atomic_load_explicit(&each->has_news, memory_order_relaxed) && /* after the read */
            atomic_exchange_explicit(&each->has_news, false, memory_order_relaxed)) /* still true */
            numbers[count++] = each->number;
    ewi_lock_give(&context->lock);
    return (int)count;
}

int ew_context_wake(ew_context *context)
{
    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    ring(context->news_fd);
    return EW_OK;
}

/* Pinned, so that a free beside us waits until the abort is done. */
static ew_channel *pin_first(ew_context *context)
{
    ew_channel *channel;

    ewi_lock_enter(&context->lock);
    channel = context->channels;
    if (channel != NULL)
        atomic_fetch_add_explicit(&channel->pins, 1, memory_order_relaxed); /* under the lock */
    ewi_lock_give(&context->lock);
    return channel;
}

/* The next channel of a listener below that number, pinned, or NULL. */
static ew_channel *pin_next(ew_context *context, const ew_listener *listener, uint64_t below)
{
    ew_channel *channel;

    ewi_lock_enter(&context->lock);
    for (channel = context->channels; channel != NULL; channel = channel->next)
        if (channel->number < below && channel->listener == listener)
            break;
    if (channel != NULL)
        atomic_fetch_add_explicit(&channel->pins, 1, memory_order_relaxed); /* under the lock */
    ewi_lock_give(&context->lock);
    return channel;
}

/* Without the lock: who drives a stream may find it lost, and then waits for the reactor, whose thread
 * waits for our lock. */
void ewi_context_drain(ew_context *context, const ew_listener *listener)
{
    uint64_t below = UINT64_MAX;
    ew_channel *channel;

    while ((channel = pin_next(context, listener, below)) != NULL) {
        const struct wait none = {.deadline_ns = 0};

        below = channel->number;
        if (ewi_lock_take(&channel->facts_lock, none) == EW_OK) { /* else it ends or moves: a hint only */
            if (ewi_channel_link_state(channel) == LINK_UP)
                channel->ops->drain(channel);
            ewi_lock_give(&channel->facts_lock);
        }
        ewi_context_unpin_channel(channel);
    }
}

size_t ewi_context_pin_channels(ew_context *context, uint64_t below, ew_channel **out, size_t max)
{
    size_t count = 0;

    ewi_lock_enter(&context->lock);
    for (ew_channel *each = context->channels; each != NULL && count < max; each = each->next) {
        if (each->number >= below)
            continue;
        atomic_fetch_add_explicit(&each->pins, 1, memory_order_relaxed); /* under the lock */
        out[count++] = each;
    }
    ewi_lock_give(&context->lock);
    return count;
}

void ewi_context_unpin_channel(ew_channel *channel)
{
    atomic_fetch_sub_explicit(&channel->pins, 1, memory_order_release); /* P1, pairs with P2 */
}

static void abort_channels(ew_context *context)
{
    ew_channel *channel;

    while ((channel = pin_first(context)) != NULL) {
        ew_channel_abort(channel);
        ewi_context_forget_channel(context, channel);
        ewi_context_unpin_channel(channel);
    }
}

/* ---- options ---- */

static int take_size(uint64_t *out, const char *name, uint64_t value, uint64_t normal, uint64_t least,
                     uint64_t most)
{
    *out = value != 0 ? value : normal;
    if (*out >= least && *out <= most)
        return EW_OK;
    return ewi_fail(EW_EINVAL, "%s = %llu: must be %llu to %llu", name, (unsigned long long)*out,
                    (unsigned long long)least, (unsigned long long)most);
}

static int take_list(uint32_t *out, uint32_t *out_count, const char *name, const uint32_t *list,
                     uint32_t count)
{
    if (count > CONTEXT_ALLOW_MAX)
        return ewi_fail(EW_EINVAL, "%s has %u entries, at most %d", name, count, CONTEXT_ALLOW_MAX);
    if (count > 0)
        memcpy(out, list, count * sizeof(*list));
    *out_count = count;
    return EW_OK;
}

/* To what a stream's memory may grow; by default no less than what it begins with. */
static int take_cap(ew_context *context, uint64_t value)
{
    uint64_t least = ewi_max_u64(context->outbox_bytes, context->inbox_bytes);

    return take_size(&context->stream_bytes_max, "stream_bytes_max", ewi_align_up(value, 4 * KIB),
                     ewi_max_u64(4 * MIB, least), least, GIB);
}

static int take_sizes(ew_context *context, const ew_context_options *options)
{
    struct budget *budget = &context->budget;
    int code = take_size(&context->outbox_bytes, "outbox_bytes", options->outbox_bytes, 256 * KIB,
                         OUTBOX_BYTES_MIN, OUTBOX_BYTES_MAX);

    if (code == EW_OK)
        code = take_size(&context->inbox_bytes, "inbox_bytes", options->inbox_bytes, 256 * KIB,
                         RECORD_BYTES_MAX, GIB);
    if (code == EW_OK)
        code = take_size(&context->message_bytes_max, "message_bytes_max",
                         options->message_bytes_max, 64 * MIB, 1, UINT64_C(1) << 40);
    if (code == EW_OK)
        code = take_size(&budget->bytes_max, "memory_bytes_max", options->memory_bytes_max, GIB, MIB,
                         UINT64_C(1) << 40);
    if (code == EW_OK)
        code = take_size(&context->peer_bytes_max, "peer_bytes_max", options->peer_bytes_max,
                         budget->bytes_max / 4, 4 * KIB, UINT64_C(1) << 40);
    if (code == EW_OK)
        code = take_size(&budget->huge_bytes_max, "huge_bytes_max", options->huge_bytes_max,
                         64 * MIB, 4 * KIB, UINT64_C(1) << 40);
    context->outbox_bytes = ewi_align_up(context->outbox_bytes, 4 * KIB);
    context->inbox_bytes = ewi_align_up(context->inbox_bytes, 4 * KIB);
    if (code == EW_OK)
        code = take_cap(context, options->stream_bytes_max);
    return code;
}

static int take_options(ew_context *context, const ew_context_options *options)
{
    const char *name = options->namespace_name != NULL ? options->namespace_name : "default";
    int code = take_sizes(context, options);

    if (code != EW_OK)
        return code;
    if (name[0] == '\0' || strlen(name) >= sizeof(context->namespace_name))
        return ewi_fail(EW_EINVAL, "namespace name of %zu bytes, must be 1 to 63", strlen(name));
    snprintf(context->namespace_name, sizeof(context->namespace_name), "%s", name);
    if (options->pages < EW_PAGES_AUTO || options->pages > EW_PAGES_SMALL)
        return ewi_fail(EW_EINVAL, "pages = %d: not one of enum ew_pages", options->pages);
    if (options->wait < EW_WAIT_ADAPTIVE || options->wait > EW_WAIT_SPIN)
        return ewi_fail(EW_EINVAL, "wait = %d: not one of enum ew_wait_policy", options->wait);
    context->pages = (ew_pages)options->pages;
    context->wait = (ew_wait_policy)options->wait;
    context->hello_ns = options->hello_ns > 0 ? (uint64_t)options->hello_ns : NS_PER_S;
    context->grace_ns = options->grace_ns > 0 ? (uint64_t)options->grace_ns : 10 * (uint64_t)NS_PER_S;
    if (options->grace_ns < 0)
        context->grace_ns = 0;
    context->retired_ns = RETIRED_NS;
    context->shm_stays = options->shm_stays != 0;
    context->allow_any = options->allow_any != 0;
    code = take_list(context->allow_uids, &context->allow_uids_count, "allow_uids",
                     options->allow_uids, options->allow_uids_count);
    if (code == EW_OK)
        code = take_list(context->allow_gids, &context->allow_gids_count, "allow_gids",
                         options->allow_gids, options->allow_gids_count);
    if (options->allow_uids == NULL && options->allow_gids == NULL && !context->allow_any)
        context->allow_uids[context->allow_uids_count++] = (uint32_t)geteuid();
    return code;
}

/* ---- life ---- */

static int start_kernel(ew_context *context)
{
    struct context_stack *kernel = &context->stacks[CONTEXT_KERNEL];
    struct ewi_stack *stack;
    uint8_t seed[32];
    const struct stack_options options = {.streams_max = STREAMS_MAX,
                                          .seed = seed,
                                          .text = "",
                                          .silence_ns = ewi_silence_limit(context->grace_ns)};
    int code = ewi_random(seed, sizeof(seed));

    if (code == EW_OK)
        code = ewi_kernel_stack.open(&options, &stack);
    if (code != EW_OK)
        return code;
    code = ewi_context_stack_start(kernel, stack);
    if (code != EW_OK)
        ewi_kernel_stack.close(stack);
    return code;
}

static int start(ew_context *context, const ew_context_options *options)
{
    int code = context->nudge_fd = ewi_process_eventfd();

    context->stacks[CONTEXT_KERNEL] =
        (struct context_stack){.context = context, .ops = &ewi_kernel_stack, .path = EW_PATH_TCP};
    context->stacks[CONTEXT_FABRIC] =
        (struct context_stack){.context = context, .path = EW_PATH_DPDK};
    if (code >= 0)
        code = context->news_fd = ewi_process_eventfd();
    if (code >= 0)
        code = ewi_reactor_acquire(&context->reactor);
    if (code == EW_OK)
        code = ewi_cover_open(&context->cover, context->reactor);
    if (code == EW_OK)
        code = ewi_burst_open(&context->bursts, context->reactor);
    if (code == EW_OK)
        code = ewi_silence_open(context);
    if (code == EW_OK)
        code = start_kernel(context);
    if (code == EW_OK)
        code = ewi_fabric_open(context, options->fabric, options->fabric_plugin);
    return code;
}

static uint64_t spin_cap(uint64_t wake_ns)
{
    return ewi_min_u64(ewi_max_u64(wake_ns, SPIN_CAP_NS_MIN), SPIN_CAP_NS_MAX);
}

int ew_context_open(const ew_context_options *options, ew_context **out)
{
    static const ew_context_options defaults;
    ew_context *context = calloc(1, sizeof(*context));
    int code;

    if (context == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a context");
    if (options == NULL)
        options = &defaults;
    code = take_options(context, options);
    if (code == EW_OK && options->control_dir != NULL)
        code = ewi_control_create(context, options->control_dir, &context->control);
    if (code != EW_OK) {
        free(context);
        return code;
    }
    context->shares = 1;
    context->news_fd = context->nudge_fd = -1;
    context->budget.huge_sealable = ewi_region_probe_huge_seals(&ewi_os_default);
    context->quota_cpus = ewi_quota_cpus(QUOTA_ROOT, QUOTA_MEMBERSHIP);
    context->spin_ns = context->quota_cpus == 1 ? 0 : spin_cap(ewi_machine_wake_ns());
    ewi_process_add_context(context);
    code = start(context, options);
    if (code != EW_OK) {
        ewi_context_give(context);
        return code < EW_EAGAIN ? code : ewi_fail(code, "the context could not be opened: %s",
                                                  ewi_error_name(code));
    }
    *out = context;
    return EW_OK;
}

void ew_context_close(ew_context *context)
{
    if (context == NULL || ewi_context_is_forked(context))
        return;
    ewi_control_close(context);
    for (;;) {
        ew_listener *listener;

        ewi_lock_enter(&context->lock);
        listener = context->listeners;
        if (listener != NULL)
            ewi_listener_take(listener);
        ewi_lock_give(&context->lock);
        if (listener == NULL)
            break;
        ew_listener_close(listener);
        ewi_listener_give(listener);
    }
    abort_channels(context);
    ewi_fabric_close(context);
    ewi_context_give(context);
}

/* By affinity, which may change at any time, and by quota. */
static uint32_t cpus_now(const ew_context *context)
{
    uint32_t cpus = ewi_machine_cpus(), quota = context->quota_cpus;

    return quota != 0 && quota < cpus ? quota : cpus;
}

int ew_context_get_stats(ew_context *context, ew_context_stats *out)
{
    const uint32_t cpus = cpus_now(context);

    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    *out = (ew_context_stats){
        .channels = atomic_load_explicit(&context->channels_count, memory_order_relaxed),
        .accepted = atomic_load_explicit(&context->accepted, memory_order_relaxed),
        .refused = atomic_load_explicit(&context->refused, memory_order_relaxed),
        .dropped = atomic_load_explicit(&context->dropped, memory_order_relaxed),
        .memory_bytes = atomic_load_explicit(&context->budget.used, memory_order_relaxed),
        .huge_bytes = atomic_load_explicit(&context->budget.huge_used, memory_order_relaxed),
        .memory_bytes_max = context->budget.bytes_max,
        .cpus = cpus,
        .seal_huge = context->budget.huge_sealable,
    };
    if (cpus > 1)
        out->spin_ns_max =
            (int64_t)atomic_load_explicit(&context->spin_ns, memory_order_relaxed); /* a value */
    ewi_lock_enter(&context->lock);
    for (ew_listener *listener = context->listeners; listener != NULL; listener = listener->next)
        out->listeners += 1;
    out->half_open = context->half_open;
    ewi_lock_give(&context->lock);
    return EW_OK;
}
