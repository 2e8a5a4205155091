/* What the control socket answers. Runs on the reactor's thread: it takes no lock of a channel that
 * somebody may hold for long, and looks at a bounded number of channels. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "transport/channel/channel.h"
#include "transport/control/control.h"
#include "transport/control/text.h"
#include "transport/listener.h"

#ifndef EW_VERSION
#error "the build defines EW_VERSION"
#endif

enum { ADDRESS_SHOWN = 512 };

/* ---- requests ---- */

static const struct {
    const char *word;
    bool needs_number;
} verbs[] = {
    [CONTROL_CONTEXT] = {"context", false},
    [CONTROL_LISTENERS] = {"listeners", false},
    [CONTROL_CHANNELS] = {"channels", false},
    [CONTROL_CHANNEL] = {"channel", true},
};

/* 1 to 20 digits without a leading zero, up to 2^64 - 1. */
static bool take_number(const char *at, const char *end, uint64_t *out)
{
    uint64_t value = 0;

    if (at == end || (*at == '0' && end - at > 1))
        return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

int ewi_control_parse(const char *bytes, size_t length, struct control_request *out)
{
    static const char prefix[] = "eastwest/", greeting[] = "eastwest/1 ";
    const char *at = bytes + strlen(greeting), *end = bytes + length, *word_end;

    if (length > CONTROL_REQUEST_BYTES_MAX || length < strlen(greeting) ||
        memcmp(bytes, prefix, strlen(prefix)) != 0)
        return EW_EPROTO;
    if (memcmp(bytes, greeting, strlen(greeting)) != 0)
        return EW_EVERSION;
    word_end = memchr(at, ' ', (size_t)(end - at));
    if (word_end == NULL)
        word_end = end;
    *out = (struct control_request){0};
    if (word_end < end && !take_number(word_end + 1, end, &out->number))
        return EW_EPROTO;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        size_t bytes_of_word = strlen(verbs[i].word);

        if ((size_t)(word_end - at) != bytes_of_word || memcmp(at, verbs[i].word, bytes_of_word) != 0)
            continue;
        out->verb = (enum control_verb)i;
        return verbs[i].needs_number && word_end == end ? EW_EPROTO : EW_OK;
    }
    return EW_EPROTO;
}

/* ---- rows ---- */

static const char *path_word(int32_t path)
{
    static const char *const words[] = {[EW_PATH_NONE] = "none",
                                        [EW_PATH_SHM] = "shm",
                                        [EW_PATH_TCP] = "tcp",
                                        [EW_PATH_DPDK] = "dpdk"};

    return path >= EW_PATH_NONE && path <= EW_PATH_DPDK ? words[path] : "none";
}

static const char *wait_word(int32_t wait)
{
    static const char *const words[] = {[EW_WAIT_ADAPTIVE] = "adaptive",
                                        [EW_WAIT_BLOCK] = "block",
                                        [EW_WAIT_SPIN] = "spin"};

    return wait >= EW_WAIT_ADAPTIVE && wait <= EW_WAIT_SPIN ? words[wait] : "?";
}

static void put_head(struct text *text, const char *verb)
{
    ewi_text_begin(text);
    ewi_text_u64(text, "control", CONTROL_VERSION);
    ewi_text_string(text, "reply", verb, SIZE_MAX);
    ewi_text_string(text, "version", EW_VERSION, SIZE_MAX);
    ewi_text_u64(text, "pid", (uint64_t)getpid());
    ewi_text_u64(text, "now_ns", ewi_now_ns());
    ewi_text_end(text);
}

static void put_next(struct text *text, uint64_t next)
{
    ewi_text_begin(text);
    ewi_text_u64(text, "next", next);
    ewi_text_end(text);
}

static void put_fabric(struct text *text, ew_context *context)
{
    static const char *const words[] = {[EW_FABRIC_NONE] = "none",
                                        [EW_FABRIC_ABSENT] = "absent",
                                        [EW_FABRIC_CLOSED] = "closed",
                                        [EW_FABRIC_UP] = "up",
                                        [EW_FABRIC_LOST] = "lost"};
    ew_fabric_info info;

    if (ew_context_get_fabric(context, &info) != EW_OK)
        return; /* forked: this thread is not in a child */
    ewi_text_string(text, "fabric", words[info.state], SIZE_MAX);
    if (info.state == EW_FABRIC_NONE)
        return;
    ewi_text_string(text, "fabric_network", info.network, SIZE_MAX);
    ewi_text_string(text, "fabric_device", info.device, SIZE_MAX);
    ewi_text_string(text, "fabric_reason", info.reason, SIZE_MAX);
    ewi_text_u64(text, "fabric_poll_interval_ns", (uint64_t)info.poll_interval_ns);
    ewi_text_u64(text, "fabric_losses", info.losses);
}

static void put_context(struct text *text, ew_context *context)
{
    ew_context_stats stats;

    if (ew_context_get_stats(context, &stats) != EW_OK)
        return; /* forked: this thread is not in a child */
    ewi_text_begin(text);
    ewi_text_string(text, "namespace", context->namespace_name, SIZE_MAX);
    ewi_text_u64(text, "uid", geteuid());
    ewi_text_u64(text, "channels", stats.channels);
    ewi_text_u64(text, "listeners", stats.listeners);
    ewi_text_u64(text, "half_open", stats.half_open);
    ewi_text_u64(text, "accepted", stats.accepted);
    ewi_text_u64(text, "refused", stats.refused);
    ewi_text_u64(text, "dropped", stats.dropped);
    ewi_text_u64(text, "memory_bytes", stats.memory_bytes);
    ewi_text_u64(text, "memory_bytes_max", stats.memory_bytes_max);
    ewi_text_u64(text, "huge_bytes", stats.huge_bytes);
    put_fabric(text, context);
    ewi_text_end(text);
}

static void put_counters(struct text *text, const ew_channel_stats *stats)
{
    ewi_text_u64(text, "messages_sent", stats->messages_sent);
    ewi_text_u64(text, "messages_received", stats->messages_received);
    ewi_text_u64(text, "bytes_sent", stats->bytes_sent);
    ewi_text_u64(text, "bytes_received", stats->bytes_received);
    ewi_text_u64(text, "send_unread_bytes", stats->send_unread_bytes);
    ewi_text_i64(text, "send_blocked_ns", stats->send_blocked_ns);
    ewi_text_u64(text, "send_waiting", stats->send_waiting);
    ewi_text_u64(text, "recv_waiting", stats->recv_waiting);
    ewi_text_u64(text, "spins_paid", stats->spins_paid);
    ewi_text_u64(text, "spins_lost", stats->spins_lost);
    ewi_text_u64(text, "sleeps", stats->sleeps);
    ewi_text_u64(text, "wakeups", stats->wakeups);
    ewi_text_u64(text, "kicks", stats->kicks);
    ewi_text_u64(text, "path_changes", stats->path_changes);
}

static void put_details(struct text *text, const struct channel_look *look)
{
    const ew_channel_info *info = &look->info;

    ewi_text_string(text, "wait", wait_word(info->wait), SIZE_MAX);
    ewi_text_u64(text, "generation", info->generation);
    ewi_text_hex(text, "instance", info->instance, sizeof(info->instance));
    ewi_text_u64(text, "message_bytes_max", info->message_bytes_max);
    ewi_text_u64(text, "outbox_bytes", info->outbox_bytes);
    ewi_text_u64(text, "peer_outbox_bytes", info->peer_outbox_bytes);
    ewi_text_u64(text, "record_bytes_max", info->record_bytes_max);
    ewi_text_u64(text, "inbox_bytes", info->inbox_bytes);
    ewi_text_u64(text, "outbox_growths", info->outbox_growths);
    ewi_text_u64(text, "inbox_growths", info->inbox_growths);
    ewi_text_string(text, "pages", info->pages, SIZE_MAX);
    ewi_text_string(text, "death_watch", info->death_watch, SIZE_MAX);
    ewi_text_u64(text, "send_free_bytes", look->stats.send_free_bytes);
    ewi_text_u64(text, "recv_unread_bytes", look->stats.recv_unread_bytes);
    ewi_text_u64(text, "position_sent", look->stats.position_sent);
    ewi_text_u64(text, "position_peer_taken", look->stats.position_peer_taken);
    ewi_text_u64(text, "position_peer_consumed", look->stats.position_peer_consumed);
    ewi_text_u64(text, "position_taken", look->stats.position_taken);
    ewi_text_string(text, "note", look->note, SIZE_MAX);
}

/* whole: with what takes the channel's locks for a moment, and its note. */
static void put_channel(struct text *text, ew_channel *channel, bool whole)
{
    struct channel_look look;
    int code = ewi_channel_look(channel, whole, &look);

    ewi_text_begin(text);
    ewi_text_u64(text, "number", channel->number);
    ewi_text_hex(text, "id", channel->id, sizeof(channel->id));
    ewi_text_string(text, "service", channel->service, SIZE_MAX);
    ewi_text_bool(text, "opener", channel->opener);
    ewi_text_bool(text, "busy", code != EW_OK); /* being closed, or looked at by somebody else */
    if (code == EW_OK) {
        ewi_text_string(text, "protocol", look.info.protocol, SIZE_MAX);
        ewi_text_string(text, "path", path_word(look.info.path), SIZE_MAX);
        ewi_text_string(text, "peer_address", look.info.peer_address, ADDRESS_SHOWN);
        ewi_text_u64(text, "peer_pid", look.info.peer_pid);
        ewi_text_u64(text, "peer_uid", look.info.peer_uid);
        ewi_text_i64(text, "end_code", look.info.end_code);
        ewi_text_string(text, "end", look.info.end, SIZE_MAX);
        put_counters(text, &look.stats);
        if (whole)
            put_details(text, &look);
    }
    ewi_text_end(text);
}

static void put_listener(struct text *text, ew_listener *listener)
{
    ew_listener_info info;

    if (ew_listener_get_info(listener, &info) != EW_OK)
        return; /* forked: this thread is not in a child */
    ewi_text_begin(text);
    ewi_text_u64(text, "number", listener->number);
    ewi_text_string(text, "service", listener->service, SIZE_MAX);
    ewi_text_string(text, "protocol", listener->protocol, SIZE_MAX);
    ewi_text_hex(text, "instance", info.instance, sizeof(info.instance));
    ewi_text_string(text, "local_address", info.local_address, ADDRESS_SHOWN);
    ewi_text_string(text, "tcp_address", info.tcp_address, SIZE_MAX);
    ewi_text_string(text, "fabric_address", info.fabric_address, SIZE_MAX);
    ewi_text_u64(text, "max_channels", listener->max_channels);
    ewi_text_u64(text, "accepted", info.accepted);
    ewi_text_u64(text, "refused", info.refused);
    ewi_text_u64(text, "dropped", info.dropped);
    ewi_text_u64(text, "channels", info.channels);
    ewi_text_u64(text, "waiting", info.waiting);
    ewi_text_end(text);
}

/* ---- lists ---- */

enum { NEXT_BYTES = 32 }; /* {"next":18446744073709551615}\n */

static void put_channels(struct text *text, ew_context *context, uint64_t below)
{
    ew_channel *channels[CONTROL_ROWS_MAX];
    size_t count = ewi_context_pin_channels(context, below, channels, CONTROL_ROWS_MAX);
    uint64_t next = 0;

    text->room -= NEXT_BYTES;
    for (size_t i = 0; i < count; i++) {
        size_t mark = ewi_text_mark(text);

        if (!text->full)
            put_channel(text, channels[i], false);
        if (text->full)
            text->used = mark; /* it and those behind it: next time */
        else
            next = channels[i]->number;
        ewi_context_unpin_channel(channels[i]);
    }
    if (!text->full && count < CONTROL_ROWS_MAX)
        next = 0;
    text->full = false;
    text->room += NEXT_BYTES;
    put_next(text, next);
}

/* The one with the highest number below `below`; they are few, and not in order. */
static ew_listener *listener_below(ew_context *context, uint64_t below)
{
    ew_listener *found = NULL;

    for (ew_listener *each = context->listeners; each != NULL; each = each->next)
        if (each->number != 0 && each->number < below &&
            (found == NULL || each->number > found->number))
            found = each;
    return found;
}

static void put_listeners(struct text *text, ew_context *context, uint64_t below)
{
    uint64_t next = 0;
    ew_listener *listener;

    text->room -= NEXT_BYTES;
    ewi_lock_enter(&context->lock);
    listener = listener_below(context, below);
    for (int i = 0; listener != NULL && i < CONTROL_ROWS_MAX; i++) {
        size_t mark = ewi_text_mark(text);

        put_listener(text, listener);
        if (text->full) {
            ewi_text_back(text, mark);
            break;
        }
        next = listener->number;
        listener = listener_below(context, next);
    }
    ewi_lock_give(&context->lock);
    text->room += NEXT_BYTES;
    put_next(text, listener == NULL ? 0 : next);
}

static void put_one(struct text *text, ew_context *context, uint64_t number)
{
    ew_channel *channel = NULL;
    size_t count = number == UINT64_MAX
                       ? 0
                       : ewi_context_pin_channels(context, number + 1, &channel, 1);

    if (count == 1 && channel->number == number)
        put_channel(text, channel, true);
    if (count == 1)
        ewi_context_unpin_channel(channel);
}

/* ---- replies ---- */

size_t ewi_control_answer(ew_context *context, const struct control_request *request,
                          char out[CONTROL_PACKET_BYTES])
{
    struct text text = {.bytes = out, .room = CONTROL_PACKET_BYTES};
    uint64_t below = request->number != 0 ? request->number : UINT64_MAX;

    put_head(&text, verbs[request->verb].word);
    switch (request->verb) {
    case CONTROL_CONTEXT:
        put_context(&text, context);
        break;
    case CONTROL_LISTENERS:
        put_listeners(&text, context, below);
        break;
    case CONTROL_CHANNELS:
        put_channels(&text, context, below);
        break;
    case CONTROL_CHANNEL:
        put_one(&text, context, request->number);
        break;
    }
    if (text.full) /* cannot be: see CONTROL_PACKET_BYTES */
        return ewi_control_refuse("size", "a row longer than a packet", out, CONTROL_PACKET_BYTES);
    return text.used;
}

size_t ewi_control_refuse(const char *word, const char *detail, char *out, size_t room)
{
    struct text text = {.bytes = out, .room = room};

    ewi_text_begin(&text);
    ewi_text_string(&text, "error", word, SIZE_MAX);
    ewi_text_string(&text, "detail", detail, SIZE_MAX);
    ewi_text_end(&text);
    return text.full ? 0 : text.used;
}
