#include "transport/stream/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/process.h"
#include "transport/retired.h"
#include "transport/stream/pump.h"

enum bells { BELL_OUT = 1, BELL_IN = 2 };

enum { ARM_LOOKS = 4 }; /* at a stream that has something again whenever it is armed */

static struct stream_link *link_of(ew_channel *channel)
{
    return &channel->link->stream;
}

/* ---- driving ---- */

static void note_progress(ew_channel *channel)
{
    ewi_channel_note(channel);
    ewi_waitroom_tell(&channel->room);
}

static void wake_poller(struct stream_link *link)
{
    const uint64_t one = 1;

    if (write(link->wake_fd, &one, sizeof(one)) < 0)
        EWI_ASSERT(errno == EAGAIN); /* readable already */
}

/* Both directions, with the lock held. While a thread polls, only that thread reads; and it is the
 * one who sees that there is room again, so it is told to look for it. */
static bool pump(ew_channel *channel, uint32_t bells, bool is_poller)
{
    bool was_blocked = ewi_stream_link_is_blocked(channel);
    bool progress = false;

    if ((bells & BELL_IN) && (is_poller || !ewi_waitroom_has_poller(&channel->room)))
        progress = ewi_pump_in(channel);
    ewi_pump_out(channel);
    progress |= ewi_pump_release(channel);
    if (__builtin_expect(atomic_load_explicit(&channel->growth.no_room, memory_order_relaxed), 0))
        ewi_grow_look(channel);
    if (!is_poller && !was_blocked && ewi_stream_link_is_blocked(channel) &&
        ewi_waitroom_has_poller(&channel->room))
        wake_poller(link_of(channel));
    return progress;
}

/* Ask for a drive; do it if nobody else is at it, else whoever is will. The last look at the bells
 * writes them: a plain load would pass the plain store that gives the lock back, and then a bell
 * that rings in between is heard by nobody. */
static void ring(ew_channel *channel, uint32_t bells)
{
    struct stream_link *link = link_of(channel);
    uint32_t rung = atomic_fetch_or_explicit(&link->bells, bells,
                                             memory_order_acq_rel); /* D1, pairs with D2 */

    for (rung |= bells; rung != 0 && ewi_lock_try(&link->drive_lock);) {
        bells = atomic_exchange_explicit(&link->bells, 0, memory_order_acquire); /* D2, with D1 */
        if (pump(channel, bells, false))
            note_progress(channel); /* before another one can find the stream empty, and sleep */
        ewi_lock_give(&link->drive_lock);
        rung = atomic_fetch_or_explicit(&link->bells, 0, memory_order_release); /* D2, with D1 */
    }
}

static void note_driven(ew_channel *channel)
{
    struct stream_link *link = link_of(channel);
    uint32_t driven = atomic_load_explicit(&link->driven, memory_order_relaxed);

    atomic_store_explicit(&link->driven, driven + 1, memory_order_relaxed); /* a hint for the tick */
    if (__builtin_expect(atomic_load_explicit(&link->cover, memory_order_relaxed) != COVER_TICK, 0))
        ewi_cover_activate(channel);
}

static void ring_as_application(ew_channel *channel, uint32_t bells)
{
    note_driven(channel);
    ring(channel, bells);
}

static void committed(ew_channel *channel)
{
    struct stream_link *link = link_of(channel);
    uint64_t began = link->burst.possible ? ewi_now_ns() : 0;

    if (ewi_burst_holds(channel, began)) {
        note_driven(channel);
        return;
    }
    ring_as_application(channel, BELL_OUT);
    if (link->burst.possible)
        ewi_burst_rung(channel, began, ewi_now_ns());
}

static void drive(ew_channel *channel)
{
    (void)ewi_burst_over(channel);
    ring_as_application(channel, BELL_IN | BELL_OUT);
}

/* A message that the reactor had stored was taken without a drive: the ACK is due soon. */
static void published(ew_channel *channel)
{
    if (ewi_burst_over(channel)) /* who receives may wait for the answer to what is held */
        ring(channel, BELL_OUT);
    if (atomic_load_explicit(&link_of(channel)->cover, memory_order_relaxed) != COVER_TICK)
        ewi_cover_activate(channel);
}

/* Nothing that the peer waits for stays here while we wait: say how far we are. */
static void settle(ew_channel *channel)
{
    atomic_store_explicit(&link_of(channel)->ack_wanted, 1, memory_order_relaxed); /* by the lock */
    (void)ewi_burst_over(channel);
    ring_as_application(channel, BELL_IN | BELL_OUT);
}

/* In the middle of a message its rest is read when the receiver says where to: sink.h. */
static void taken(ew_channel *channel)
{
    atomic_store_explicit(&link_of(channel)->ack_wanted, 1, memory_order_relaxed); /* by the lock */
    ring_as_application(channel, channel->partial.begun ? BELL_OUT : BELL_IN | BELL_OUT);
}

bool ewi_stream_link_cover(ew_channel *channel)
{
    if (ewi_waitroom_has_poller(&channel->room))
        return false;
    atomic_store_explicit(&link_of(channel)->ack_wanted, 1, memory_order_relaxed); /* by the lock */
    ring(channel, BELL_IN | BELL_OUT);
    return true;
}

void ewi_stream_link_poke(ew_channel *channel)
{
    ring(channel, BELL_OUT);
}

bool ewi_stream_link_is_blocked(ew_channel *channel)
{
    return atomic_load_explicit(&link_of(channel)->blocked, memory_order_relaxed); /* a hint */
}

static void open_sink(ew_channel *channel, uint8_t *into, uint64_t room)
{
    struct stream_link *link = link_of(channel);

    ewi_lock_enter(&link->drive_lock);
    ewi_sink_open(channel, into, room);
    ewi_lock_give(&link->drive_lock);
    ring(channel, 0); /* bells that rang meanwhile */
}

static void close_sink(ew_channel *channel)
{
    struct stream_link *link = link_of(channel);

    ewi_lock_enter(&link->drive_lock);
    ewi_sink_close(channel);
    ewi_lock_give(&link->drive_lock);
    ring(channel, 0); /* bells that rang meanwhile */
}

/* ---- sleeping ---- */

static nfds_t sleep_fds(ew_channel *channel, struct pollfd fds[LINK_FDS_MAX])
{
    struct stream_link *link = link_of(channel);

    fds[0] = (struct pollfd){.fd = link->fd, .events = POLLIN}; /* look may add POLLOUT */
    if (atomic_load_explicit(&link->lost, memory_order_relaxed)) /* a hint: poll returns at once */
        fds[0].fd = -1; /* it is wake_fd that tells of another link */
    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_OPEN) /* a value */
        return 1;
    fds[1] = (struct pollfd){.fd = link->wake_fd, .events = POLLIN};
    return 2;
}

static void nothing_to_announce(ew_channel *channel, uint32_t wants)
{
    (void)channel, (void)wants; /* the stream itself wakes us */
}

/* Nobody polls any more, perhaps without a drive: somebody must see to the stream. */
static void stop_polling(ew_channel *channel, uint32_t wants)
{
    (void)wants;
    atomic_thread_fence(memory_order_seq_cst); /* G2, pairs with G1 */
    published(channel);
}

/* Before each sleep on the stream. True: something is possible again, do not sleep. */
static bool arm(ew_channel *channel)
{
    struct stream_link *link = link_of(channel);

    return link->ops->stream_arm != NULL &&
           !atomic_load_explicit(&link->lost, memory_order_relaxed) && /* a hint: it never sleeps */
           ewi_channel_link_state(channel) == LINK_UP &&
           link->ops->stream_arm(link->stack, link->stream, ewi_now_ns()) == 1;
}

static bool drive_as_poller(ew_channel *channel)
{
    struct stream_link *link = link_of(channel);
    bool progress;

    atomic_fetch_add_explicit(&link->driven, 1, memory_order_relaxed); /* a hint for the tick */
    if (atomic_load_explicit(&link->cover, memory_order_relaxed) != COVER_TICK)
        ewi_cover_activate(channel);
    ewi_lock_enter(&link->drive_lock);
    atomic_exchange_explicit(&link->bells, 0, memory_order_acquire); /* D2, pairs with D1 */
    progress = pump(channel, BELL_IN | BELL_OUT, true);
    ewi_lock_give(&link->drive_lock);
    ring(channel, BELL_OUT); /* bells that rang meanwhile */
    return progress || ewi_channel_link_state(channel) != LINK_UP;
}

/* From here on whoever is blocked wakes us: see pump. */
static bool look(void *channel, struct pollfd *fds)
{
    bool found = drive_as_poller(channel);

    for (int looks = 0; !found && arm(channel); looks++)
        found = drive_as_poller(channel) || looks == ARM_LOOKS;
    if (link_of(channel)->ops->stream_arm == NULL && ewi_stream_link_is_blocked(channel))
        fds[0].events |= POLLOUT;
    return found;
}

/* wake_fd is for one look; once this end is closing it stays readable. */
static void quieten(ew_channel *channel)
{
    struct stream_link *link = link_of(channel);
    uint64_t ignored;

    if (read(link->wake_fd, &ignored, sizeof(ignored)) < 0)
        EWI_ASSERT(errno == EAGAIN);
    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) != CHANNEL_OPEN) /* a value */
        wake_poller(link);
}

static void seen(void *channel, const struct pollfd *fds, nfds_t count)
{
    if (count == 2 && (fds[1].revents & POLLIN))
        quieten(channel);
    if (drive_as_poller(channel))
        note_progress(channel);
}

/* With fileno() in use. The end of a lost stream stays readable: only another link is worth a wake-up, and
 * that is noted. */
static void rearm(ew_channel *channel)
{
    settle(channel);
    if (ewi_channel_note_fd(channel) < 0)
        return;
    ewi_channel_quieten(channel);
    for (int looks = 0; arm(channel); looks++) {
        if (looks == ARM_LOOKS) {
            ewi_channel_note(channel); /* who waits on fileno() looks again */
            break;
        }
        settle(channel);
    }
    if (atomic_load_explicit(&link_of(channel)->lost, memory_order_relaxed)) /* a hint: or the next time */
        ewi_channel_unwatch(channel, link_of(channel)->fd);
}

static int watch_fd(ew_channel *channel)
{
    return link_of(channel)->fd;
}

/* ---- how far the peer is ---- */

static uint64_t peer_held(ew_channel *channel)
{
    return atomic_load_explicit(&channel->peer_taken, memory_order_acquire); /* F2, F1 */
}

static uint64_t peer_consumed(ew_channel *channel)
{
    return atomic_load_explicit(&channel->peer_consumed, memory_order_acquire); /* F2, F1 */
}

/* ---- end ---- */

static void closing(ew_channel *channel)
{
    struct stream_link *link = link_of(channel);

    ewi_lock_enter(&link->drive_lock);
    link->discarding = true;
    ewi_lock_give(&link->drive_lock);
    wake_poller(link);
    ring(channel, BELL_OUT); /* bells that rang meanwhile */
}

static void wake(ew_channel *channel)
{
    struct stream_link *link = link_of(channel);

    link->ops->break_off(link->stack, link->stream);
    wake_poller(link); /* of a lost link: it does not poll the stream any more */
}

/* Between two records there is room for a last word; else the peer finds out when it dials. */
static void hang_up(ew_channel *channel, bool clean)
{
    struct stream_link *link = link_of(channel);

    link->clean = clean;
    ewi_lock_enter(&link->drive_lock);
    ewi_pump_last_word(channel);
    ewi_lock_give(&link->drive_lock);
}

/* The reactor has nothing more to do for it. */
static void forget(struct stream_link *link)
{
    ewi_cover_forget(link);
    ewi_burst_forget(link);
}

/* All but the stream. */
static void release_rest(struct stream_link *link)
{
    ewi_process_close_fd(link->wake_fd);
    ewi_region_release(&ewi_os_default, &link->memory);
}

static void release(ew_channel *channel, struct channel_link *of)
{
    struct stream_link *link = &of->stream;

    (void)channel;
    forget(link);
    ewi_stream_finish(link->on, link->stream, link->user, !link->clean);
    release_rest(link);
}

static void retire(ew_channel *channel, struct channel_link *of)
{
    struct stream_link *link = &of->stream;

    forget(link);
    release_rest(link);
    ewi_retire_stream(channel, link->on, link->stream, link->user);
}

static void nudge(ew_channel *channel)
{
    wake_poller(link_of(channel));
}

static void say_drain(ew_channel *channel)
{
    atomic_store_explicit(&link_of(channel)->drain_wanted, true, memory_order_relaxed); /* by the lock */
    ring(channel, BELL_OUT);
}

static void describe(ew_channel *channel, ew_channel_info *out)
{
    out->generation = channel->session.generation;
    out->peer_outbox_bytes = channel->session.inbox_bytes;
    snprintf(out->death_watch, sizeof(out->death_watch), "TCP connection");
}

/* ---- start ---- */

static void on_event(void *object, uint32_t bits, uint64_t now_ns)
{
    (void)bits, (void)now_ns;
    if (ewi_stream_link_cover(object)) /* the application is away */
        ewi_cover_watch(object);
}

uint64_t ewi_stream_link_memory_bytes(uint64_t inbox_bytes)
{
    return ewi_align_up(inbox_bytes + STREAM_INBOX_SLACK_BYTES, 4096) + STREAM_STAGING_BYTES;
}

static int make_region(ew_channel *channel, uint64_t bytes, const char *what, struct region *out)
{
    char error[160];
    int code = ewi_region_create(&ewi_os_default, &channel->context->budget, REGION_PRIVATE, bytes,
                                 EW_PAGES_SMALL, out, error);

    return code == EW_OK ? code : ewi_fail(code, "a stream's %s: %s", what, error);
}

/* The first stream of a channel brings the inbox, which stays. */
static int set_up_inbox(ew_channel *channel)
{
    uint64_t bytes = ewi_align_up(channel->context->inbox_bytes + STREAM_INBOX_SLACK_BYTES, 4096);
    struct channel_inbox *inbox = &channel->inbox;
    int code;

    if (inbox->region.base != NULL)
        return EW_OK;
    code = make_region(channel, bytes, "inbox", &inbox->region);
    if (code != EW_OK)
        return code; /* there is no link to break yet */
    ewi_ring_writer_init(&inbox->writer, inbox->region.base, (uint32_t)bytes, 0);
    inbox->writer.record_bytes_max = RECORD_BYTES_MAX; /* of the peer's ring, whatever our size */
    return EW_OK;
}

int ewi_stream_link_prepare(ew_channel *channel, struct channel_link *of,
                            const struct stream_link_parts *parts)
{
    struct stream_link *link = &of->stream;
    int code = set_up_inbox(channel);

    *link = (struct stream_link){.channel = channel,
                                 .on = parts->on,
                                 .ops = parts->on->ops,
                                 .stack = parts->on->stack,
                                 .stream = parts->stream,
                                 .user = parts->user};
    if (code == EW_OK)
        code = make_region(channel, STREAM_STAGING_BYTES, "staging", &link->memory);
    if (code != EW_OK)
        return code;
    link->wake_fd = ewi_process_eventfd();
    if (link->wake_fd < 0) {
        ewi_region_release(&ewi_os_default, &link->memory);
        return ewi_fail(EW_EMEMORY, "no descriptor for a stream: %s", ewi_error_name(link->wake_fd));
    }
    link->fd = link->ops->stream_fd(link->stack, link->stream);
    link->staging = link->memory.base;
    memcpy(link->staging, parts->early, parts->early_bytes);
    link->staged_to = parts->early_bytes;
    link->burst.possible = link->ops->stream_arm == NULL; /* burst.h I2 */
    return EW_OK;
}

void ewi_stream_link_open(ew_channel *channel, uint64_t peer_limit)
{
    const struct channel_inbox *inbox = &channel->inbox;

    ewi_ring_reader_init(&channel->reader, inbox->writer.bytes, inbox->writer.ring_bytes, 0, 0);
    channel->reader.record_bytes_max = RECORD_BYTES_MAX;
    ewi_stream_link_adopt(channel, channel->link, peer_limit);
}

void ewi_stream_link_abandon(struct channel_link *of)
{
    ewi_process_close_fd(of->stream.wake_fd);
    ewi_region_release(&ewi_os_default, &of->stream.memory);
}

void ewi_stream_link_adopt(ew_channel *channel, struct channel_link *of, uint64_t peer_limit)
{
    struct stream_link *link = &of->stream;
    uint64_t start;

    channel->link = of;
    channel->ops = &ewi_stream_link;
    channel->freed_word = &channel->released;
    channel->ended_word = &channel->peer_ended;
    channel->taken_word = &channel->consumed;
    start = ewi_session_attach(&channel->session, channel->writer.freed, peer_limit);
    ewi_ring_reader_init(&link->out, channel->writer.bytes, channel->writer.ring_bytes,
                         ewi_ring_offset_of(&channel->writer, start), start);
    link->out.record_bytes_max = channel->writer.record_bytes_max;
    link->control_to = ewi_wire_put_u64(link->control, RECORD_START, start);
    ewi_stream_user_set(link->on, link->user, on_event, channel);
    ewi_cover_activate(channel); /* what came early is parsed by the next drive */
}

const struct link_ops ewi_stream_link = {
    .drives = true,
    .committed = committed,
    .published = published,
    .taken = taken,
    .settle = settle,
    .drive = drive,
    .open_sink = open_sink,
    .close_sink = close_sink,
    .sleep_fds = sleep_fds,
    .announce = nothing_to_announce,
    .retract = stop_polling,
    .look = look,
    .seen = seen,
    .rearm = rearm,
    .watch_fd = watch_fd,
    .peer_held = peer_held,
    .peer_consumed = peer_consumed,
    .closing = closing,
    .wake = wake,
    .nudge = nudge,
    .hang_up = hang_up,
    .release = release,
    .retire = retire,
    .drain = say_drain,
    .describe = describe,
};
