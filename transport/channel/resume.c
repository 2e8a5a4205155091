/* A stream was lost: the opener dials again until it has another link or the grace time is over, the
 * acceptor waits as long. In doubt, the link is there and it is not known whether the peer still uses
 * it: the opener dials for as long as that link lives; a peer that has left it closes it some time
 * later (retired.h). The dialling blocks, so it is done by a thread of its own. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/channel/move.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/hello.h"
#include "transport/process.h"

enum {
    BACKOFF_NS_MIN = 5 * 1000 * 1000,
    BACKOFF_NS_MAX = 1000 * 1000 * 1000,
    BACKOFF_DOUBLINGS = 8,
    ATTEMPT_NS = 2000 * 1000 * 1000, /* for one dial */
    STACK_BYTES = 256 * 1024,
};

static const char why[] = "the link was lost";

static bool over(const ew_channel *channel, uint64_t now_ns)
{
    uint64_t lost_ns = atomic_load_explicit(&channel->lost_ns, memory_order_relaxed);

    return !channel->resume.doubt && now_ns >= lost_ns + channel->context->grace_ns;
}

/* Under the reactor's lock. */
static void look_again(ew_channel *channel, uint64_t at_ns)
{
    uint64_t end = atomic_load_explicit(&channel->lost_ns, memory_order_relaxed) +
                   channel->context->grace_ns;

    if (!channel->resume.stopped)
        ewi_reactor_set_deadline(channel->context->reactor, channel->resume.source,
                                 channel->resume.doubt ? at_ns : ewi_min_u64(at_ns, end));
}

static uint64_t back_off(ew_channel *channel)
{
    uint32_t doublings = channel->resume.attempts++;
    uint64_t pause = (uint64_t)BACKOFF_NS_MIN
                     << (doublings < BACKOFF_DOUBLINGS ? doublings : BACKOFF_DOUBLINGS);
    uint32_t jitter = 0;

    (void)ewi_random(&jitter, sizeof(jitter)); /* no stampede: half to all of it */
    pause = ewi_min_u64(pause, BACKOFF_NS_MAX);
    return pause / 2 + pause / 2 * (jitter % 1024) / 1024;
}

static void end_as_lost(ew_channel *channel)
{
    ewi_channel_link_down(channel, LINK_HUNG_UP);
    ewi_channel_note(channel);
}

/* Under the reactor's lock. */
static void cancel_dial(ew_channel *channel)
{
    const uint64_t one = 1;
    int cancel_fd = channel->resume.cancel_fd;

    if (cancel_fd >= 0 && write(cancel_fd, &one, sizeof(one)) < 0)
        EWI_ASSERT(errno == EAGAIN); /* readable already */
}

/* ---- dialling ---- */

static void after_dial(ew_channel *channel, int code)
{
    struct reactor *reactor = channel->context->reactor;

    ewi_reactor_lock(reactor);
    channel->resume.dialling = false;
    if (code == EW_OK)
        channel->resume.attempts = 0;
    if (!channel->resume.stopped && atomic_load_explicit(&channel->lost_ns, memory_order_relaxed) != 0)
        look_again(channel, ewi_now_ns() + back_off(channel));
    ewi_reactor_unlock(reactor);
    if (code == EW_ELOST) { /* it answers, and does not know the channel */
        ewi_lock_enter(&channel->facts_lock); /* the link is neither released nor replaced meanwhile */
        if (atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_CLOSED) /* the lock */
            end_as_lost(channel);
        ewi_lock_give(&channel->facts_lock);
    }
    ewi_context_unpin_channel(channel);
}

static bool is_in_doubt(ew_channel *channel)
{
    bool doubt;

    ewi_reactor_lock(channel->context->reactor);
    doubt = channel->resume.doubt;
    ewi_reactor_unlock(channel->context->reactor);
    return doubt;
}

int ewi_resume_may_cancel(ew_channel *channel, int *fd)
{
    struct reactor *reactor = channel->context->reactor;
    int code = EW_OK;

    *fd = ewi_process_eventfd();
    if (*fd < 0)
        return ewi_fail(EW_EMEMORY, "no descriptor for a move: %s", ewi_error_name(*fd));
    ewi_reactor_lock(reactor);
    if (channel->resume.stopped || ewi_channel_link_state(channel) != LINK_UP)
        code = EW_ECLOSED; /* nobody would cancel it any more */
    else
        channel->resume.cancel_fd = *fd;
    ewi_reactor_unlock(reactor);
    if (code == EW_OK)
        return EW_OK;
    ewi_process_close_fd(*fd);
    return ewi_fail(code, "the channel ended while it moved");
}

void ewi_resume_may_not_cancel(ew_channel *channel)
{
    struct reactor *reactor = channel->context->reactor;
    int fd;

    ewi_reactor_lock(reactor);
    fd = channel->resume.cancel_fd;
    channel->resume.cancel_fd = -1;
    ewi_reactor_unlock(reactor);
    ewi_process_close_fd(fd);
}

static void *dial(void *object)
{
    ew_channel *channel = object;
    struct move_wish wish = {.reason = why,
                             .wait = {.deadline_ns = ewi_now_ns() + ATTEMPT_NS},
                             .ask = is_in_doubt(channel),
                             .only_if_lost = true};
    int code = EW_EMEMORY;
    bool doubtful; /* it is in doubt already, or has no link at all */
    char *address;

    ewi_lock_enter(&channel->facts_lock);
    address = strdup(channel->peer_address);
    ewi_lock_give(&channel->facts_lock);
    wish.address = address;
    if (address != NULL)
        code = ewi_move_dial(channel, &wish, &doubtful);
    free(address);
    after_dial(channel, code);
    return NULL;
}

/* Under the reactor's lock. False: look again later. */
static bool start_dial(ew_channel *channel)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    bool started;

    atomic_fetch_add_explicit(&channel->pins, 1, memory_order_relaxed); /* it is on the list */
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&thread, &attributes, dial, channel) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!started)
        ewi_context_unpin_channel(channel);
    channel->resume.dialling = started;
    return started;
}

static void on_due(void *object, uint32_t events, uint64_t now_ns)
{
    ew_channel *channel = object;

    (void)events;
    if (channel->resume.stopped ||
        atomic_load_explicit(&channel->lost_ns, memory_order_relaxed) == 0 || /* the lock */
        ewi_channel_link_state(channel) != LINK_UP)
        return;
    if (over(channel, now_ns)) {
        cancel_dial(channel); /* who has lent it a lock waits for it */
        end_as_lost(channel);
    } else if (!channel->opener || channel->resume.dialling || start_dial(channel)) {
        look_again(channel, UINT64_MAX); /* a dial looks again at its end, too */
    } else {
        look_again(channel, now_ns + back_off(channel));
    }
}

/* ---- what the channel calls ---- */

/* Under the reactor's lock. */
static bool make_source(ew_channel *channel)
{
    struct channel_resume *resume = &channel->resume;

    return resume->source != NULL ||
           ewi_reactor_add(channel->context->reactor, -1, 0, on_due, channel, &resume->source) == 0;
}

/* Lost without a doubt: it had a link, and has none. */
static bool is_lost(ew_channel *channel)
{
    return atomic_load_explicit(&channel->lost_ns, memory_order_relaxed) != 0 && /* the lock */
           !channel->resume.doubt;
}

static bool begin(ew_channel *channel, bool doubt)
{
    struct reactor *reactor = channel->context->reactor;
    bool waits;

    ewi_reactor_lock(reactor);
    waits = !channel->resume.stopped && make_source(channel);
    if (waits && !(doubt && is_lost(channel))) { /* its old link has ended meanwhile */
        atomic_store_explicit(&channel->lost_ns, ewi_now_ns(), memory_order_relaxed);
        channel->resume.doubt = doubt;
        channel->resume.attempts = 0;
        look_again(channel, channel->opener ? 0 : UINT64_MAX);
    }
    ewi_reactor_unlock(reactor);
    return waits;
}

bool ewi_resume_lost(ew_channel *channel)
{
    return channel->context->grace_ns != 0 && begin(channel, false);
}

void ewi_resume_doubt(ew_channel *channel)
{
    if (begin(channel, true))
        return;
    ewi_lock_enter(&channel->facts_lock); /* the link is neither released nor replaced meanwhile */
    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_CLOSED) /* the lock */
        ewi_channel_break(channel, EW_ELOST, "the peer was lost while the channel moved, and there is "
                                             "no memory to find it again");
    ewi_lock_give(&channel->facts_lock);
}

void ewi_resume_found(ew_channel *channel)
{
    atomic_store_explicit(&channel->lost_ns, 0, memory_order_relaxed);
    ewi_reactor_lock(channel->context->reactor);
    if (channel->resume.source != NULL)
        ewi_reactor_set_deadline(channel->context->reactor, channel->resume.source, EWI_NEVER);
    ewi_reactor_unlock(channel->context->reactor);
}

void ewi_resume_stop(ew_channel *channel)
{
    struct channel_resume *resume = &channel->resume;

    ewi_reactor_lock(channel->context->reactor);
    resume->stopped = true;
    ewi_reactor_remove(channel->context->reactor, resume->source);
    resume->source = NULL;
    cancel_dial(channel);
    ewi_reactor_unlock(channel->context->reactor);
}
