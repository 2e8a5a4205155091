#include "transport/shell/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "transport/shell/ask_row.h"

enum {
    NEXT_BYTES = 32, /* {"next":18446744073709551615}\n */
    ADDRESS_BYTES = 64,
    BATCHES = 256,
    PING_BYTES_DEFAULT = 56,
};
#define SECOND UINT64_C(1000000000)

/* ---- words of a question ---- */

/* Past the word and the blank behind it; NULL: another word. */
static const char *behind(const char *question, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(question, word, length) != 0)
        return NULL;
    if (question[length] == '\0')
        return question + length;
    return question[length] == ' ' ? question + length + 1 : NULL;
}

/* 1 to 20 digits up to a blank or the end; *at is then behind it. */
static bool take_number(const char **at, uint64_t *out)
{
    const char *from = *at;
    uint64_t value = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
            return false;
    if (*at == from || (**at != '\0' && **at != ' '))
        return false;
    *at += **at == ' ';
    *out = value;
    return true;
}

static int64_t refuse(struct text *text, const char *word, const char *detail)
{
    ewi_text_begin(text);
    ewi_text_string(text, "error", word, SIZE_MAX);
    ewi_text_string(text, "detail", detail, SIZE_MAX);
    ewi_text_end(text);
    return text->full ? -ENOBUFS : (int64_t)text->used;
}

static void put_next(struct text *text, uint64_t next)
{
    ewi_text_begin(text);
    ewi_text_u64(text, "next", next);
    ewi_text_end(text);
}

/* ---- lists ---- */

union row {
    struct ask_conn conn;
    struct net_look_listener listener;
    struct net_look_neighbour neighbour;
    struct net_look_route route;
    struct net_look_address address;
    struct net_look_path path;
    struct net_look_limit limit;
    struct ask_port port;
};

struct list {
    const char *word;
    bool (*take)(struct ewi_stack *stack, uint32_t *at, union row *out); /* under the guard */
    void (*put)(struct text *text, const union row *row);
};

static bool take_conn(struct ewi_stack *stack, uint32_t *at, union row *out)
{
    struct net_look_conn *look = &out->conn.look;

    if (!ewi_net_look_conn(stack->net, at, look))
        return false;
    out->conn.age_ns = 0;
    if (!look->is_pending) { /* its user is a record of ours */
        const uint64_t since = stack->stream[look->user].since_ns, now = ewi_now_ns();

        out->conn.age_ns = now > since ? now - since : 0;
    }
    return true;
}

static bool take_listener(struct ewi_stack *stack, uint32_t *at, union row *out)
{
    return ewi_net_look_listener(stack->net, at, &out->listener);
}

static bool take_neighbour(struct ewi_stack *stack, uint32_t *at, union row *out)
{
    return ewi_net_look_neighbour(stack->net, at, &out->neighbour);
}

static bool take_route(struct ewi_stack *stack, uint32_t *at, union row *out)
{
    return ewi_net_look_route(stack->net, at, &out->route);
}

static bool take_address(struct ewi_stack *stack, uint32_t *at, union row *out)
{
    return ewi_net_look_address(stack->net, at, &out->address);
}

static bool take_path(struct ewi_stack *stack, uint32_t *at, union row *out)
{
    return ewi_net_look_path(stack->net, at, &out->path);
}

static bool take_limit(struct ewi_stack *stack, uint32_t *at, union row *out)
{
    return ewi_net_look_limit(stack->net, at, &out->limit);
}

static bool take_port(struct ewi_stack *stack, uint32_t *at, union row *out)
{
    if (!ewi_net_look_port(stack->net, at, &out->port.look))
        return false;
    out->port.facts = stack->facts;
    out->port.is_down = stack->is_down || stack->away_since != 0;
    stack->ops->counts(stack->device, &out->port.counts);
    return true;
}

static void put_conn(struct text *text, const union row *row)
{
    ewi_ask_put_conn(text, &row->conn);
}

static void put_listener(struct text *text, const union row *row)
{
    ewi_ask_put_listener(text, &row->listener);
}

static void put_neighbour(struct text *text, const union row *row)
{
    ewi_ask_put_neighbour(text, &row->neighbour);
}

static void put_route(struct text *text, const union row *row)
{
    ewi_ask_put_route(text, &row->route);
}

static void put_address(struct text *text, const union row *row)
{
    ewi_ask_put_address(text, &row->address);
}

static void put_path(struct text *text, const union row *row)
{
    ewi_ask_put_path(text, &row->path);
}

static void put_limit(struct text *text, const union row *row)
{
    ewi_ask_put_limit(text, &row->limit);
}

static void put_port(struct text *text, const union row *row)
{
    ewi_ask_put_port(text, &row->port);
}

static const struct list lists[] = {
    {"conn", take_conn, put_conn},
    {"listen", take_listener, put_listener},
    {"neigh", take_neighbour, put_neighbour},
    {"route", take_route, put_route},
    {"addr", take_address, put_address},
    {"path", take_path, put_path},
    {"limits", take_limit, put_limit},
    {"port", take_port, put_port},
};

struct batch {
    union row row[ASK_ROWS];
    uint32_t after[ASK_ROWS]; /* the cursor behind each */
    uint32_t count;
};

/* One hold of the guard. */
static void take_batch(struct ewi_stack *stack, const struct list *list, uint32_t *at,
                       struct batch *out)
{
    bool found = true;

    out->count = 0;
    ewi_shell_enter(stack);
    ewi_net_look_at(stack->net, ewi_now_ns());
    while (found && out->count < ASK_ROWS && *at != NET_NONE) {
        found = list->take(stack, at, &out->row[out->count]);
        out->after[out->count] = *at;
        out->count += found;
    }
    ewi_lock_give(&stack->guard);
}

/* False: a row did not fit; *at is where it is. */
static bool put_batch(const struct list *list, const struct batch *batch, uint32_t *at,
                      struct text *text)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        size_t mark = ewi_text_mark(text);

        list->put(text, &batch->row[i]);
        if (text->full) {
            ewi_text_back(text, mark);
            return false;
        }
        *at = batch->after[i];
    }
    return true;
}

/* All that fits, or as much as may be looked at for one question. */
static int64_t answer_list(struct ewi_stack *stack, const struct list *list, uint32_t from,
                           struct text *text)
{
    uint32_t at = from; /* what is behind it was not written */
    struct batch batch;
    bool fits = true;

    text->room -= NEXT_BYTES;
    for (int i = 0; i < BATCHES && fits && at != NET_NONE; i++) {
        uint32_t behind_all = at;

        take_batch(stack, list, &behind_all, &batch);
        fits = put_batch(list, &batch, &at, text);
        if (fits)
            at = behind_all;
    }
    text->room += NEXT_BYTES;
    if (!fits && text->used == 0)
        return -ENOBUFS;
    put_next(text, at == NET_NONE ? 0 : at);
    return (int64_t)text->used;
}

static int64_t ask_list(struct ewi_stack *stack, const struct list *list, const char *arguments,
                        struct text *text)
{
    uint64_t from = 0;

    if (*arguments != '\0' && (!take_number(&arguments, &from) || *arguments != '\0'))
        return -EINVAL;
    return answer_list(stack, list, from > NET_NONE ? NET_NONE : (uint32_t)from, text);
}

/* ---- stats ---- */

struct stats {
    struct net_counters net;
    struct shell_counts shell;
    uint64_t tries_lost;
    uint32_t shard, shards;
};

static void take_stats(struct ewi_stack *stack, struct stats *out)
{
    ewi_shell_enter(stack);
    out->net = *ewi_net_counters(stack->net);
    out->shell = stack->counts;
    out->shard = stack->facts.shard; /* of the device, which may be another now */
    out->shards = stack->facts.shards;
    ewi_lock_give(&stack->guard);
    out->tries_lost = atomic_load_explicit(&stack->tries_lost, memory_order_relaxed); /* a count */
}

static void put_count(struct text *text, const char *name, uint64_t value, const char *meaning)
{
    ewi_text_begin(text);
    ewi_text_string(text, "name", name, SIZE_MAX);
    ewi_text_u64(text, "value", value);
    ewi_text_string(text, "text", meaning, SIZE_MAX);
    ewi_text_end(text);
}

static int64_t ask_stats(struct ewi_stack *stack, struct text *text)
{
    struct stats stats;
    const struct net_counters_name *name;

    take_stats(stack, &stats);
    for (uint32_t i = 0; (name = ewi_net_counters_name(i)) != NULL; i++)
        put_count(text, name->name, ewi_net_counters_value(&stats.net, i), name->text);
    put_count(text, "drives", stats.shell.drives, "times that somebody drove the stack");
    put_count(text, "tries_lost", stats.tries_lost, "calls that found another thread driving");
    put_count(text, "ticks", stats.shell.ticks, "looks by the reactor while an application drives");
    put_count(text, "covers", stats.shell.covers, "times that the reactor took over from one");
    put_count(text, "signals", stats.shell.signals, "sleeping threads that were woken");
    put_count(text, "arms", stats.shell.arms, "times that the device was asked to wake us");
    put_count(text, "downs", stats.shell.downs, "times that the carrier was lost");
    put_count(text, "reopens", stats.shell.reopens, "times that another device was opened in its place");
    put_count(text, "frames_lost", stats.shell.frames_lost, "frames that the device did not take");
    if (stats.shards > 1)
        put_count(text, "shard", stats.shard, "which of the stacks that share the device this is");
    return text->full ? -ENOBUFS : (int64_t)text->used;
}

/* ---- ping ---- */

static const char *why_no_ping(int code)
{
    switch (code) {
    case -EINVAL:
        return "that is a group, everybody, or an address of our own";
    case -EHOSTUNREACH:
        return "no route and no address of ours for it, or its neighbour does not answer: see addr, route "
               "and neigh";
    case -EAGAIN:
        return "as many echo requests as may leave in a second";
    default:
        return "as many echo requests without an answer as there may be";
    }
}

static bool take_ip(const char **at, struct stack_addr *out)
{
    char shown[ADDRESS_BYTES], whole[ADDRESS_BYTES + 8];
    size_t length = strcspn(*at, " ");

    if (length == 0 || length >= sizeof(shown))
        return false;
    memcpy(shown, *at, length);
    shown[length] = '\0';
    *at += length + ((*at)[length] == ' ');
    snprintf(whole, sizeof(whole), strchr(shown, ':') != NULL ? "[%s]:7" : "%s:7", shown);
    return ewi_addr_parse(whole, out) == 0;
}

static int64_t ask_ping(struct ewi_stack *stack, const char *arguments, struct text *text)
{
    uint64_t bytes = PING_BYTES_DEFAULT, handle = 0;
    const uint64_t now = ewi_now_ns();
    struct stack_addr to;
    int code;

    if (!take_ip(&arguments, &to) ||
        (*arguments != '\0' && (!take_number(&arguments, &bytes) || *arguments != '\0')) ||
        bytes < NET_PING_BYTES_MIN || bytes > NET_PING_BYTES_MAX)
        return -EINVAL;
    ewi_shell_enter(stack);
    code = ewi_net_ping(stack->net, &to, (uint32_t)bytes, now, &handle);
    ewi_shell_leave(stack, now);
    if (code != 0)
        return refuse(text, code == -EAGAIN || code == -ENOBUFS ? "limit" : "unreachable",
                      why_no_ping(code));
    ewi_text_begin(text);
    ewi_text_u64(text, "ping", handle);
    ewi_text_end(text);
    return text->full ? -ENOBUFS : (int64_t)text->used;
}

static int64_t ask_pong(struct ewi_stack *stack, const char *arguments, struct text *text)
{
    struct net_ping_answer answer = {0};
    uint64_t handle;
    int code;

    if (!take_number(&arguments, &handle) || *arguments != '\0')
        return -EINVAL;
    ewi_shell_enter(stack);
    code = ewi_net_ping_answer(stack->net, handle, &answer);
    ewi_lock_give(&stack->guard);
    ewi_text_begin(text);
    ewi_text_string(text, "state", code == 0 ? "answered" : code == -EAGAIN ? "waiting" : "gone",
                    SIZE_MAX);
    if (code == 0) {
        ewi_text_u64(text, "rtt_ns", answer.rtt_ns);
        ewi_text_u64(text, "hop_limit", answer.hop_limit);
    }
    ewi_text_end(text);
    return text->full ? -ENOBUFS : (int64_t)text->used;
}

/* ---- capture ---- */

static int64_t put_capture(const struct capture *capture, struct text *text)
{
    static const char *const ends[] = {[CAPTURE_NONE] = "never",
                                       [CAPTURE_STOPPED] = "stopped",
                                       [CAPTURE_FULL] = "full",
                                       [CAPTURE_FAILED] = "failed"};

    ewi_text_begin(text);
    ewi_text_string(text, "capture", capture->is_on ? "on" : ends[capture->end], SIZE_MAX);
    ewi_text_string(text, "file", capture->path, sizeof(capture->path));
    ewi_text_u64(text, "packets", capture->packets);
    ewi_text_u64(text, "bytes", capture->bytes);
    ewi_text_u64(text, "bytes_max", capture->bytes_max);
    if (capture->error != 0)
        ewi_text_string(text, "detail", strerror(-capture->error), SIZE_MAX);
    ewi_text_end(text);
    return text->full ? -ENOBUFS : (int64_t)text->used;
}

static int64_t state_of_capture(struct ewi_stack *stack, bool stop, struct text *text)
{
    struct capture copy;

    ewi_shell_enter(stack);
    if (stop || ewi_now_ns() >= stack->capture.until)
        ewi_capture_stop(&stack->capture, CAPTURE_STOPPED);
    copy = stack->capture;
    ewi_lock_give(&stack->guard);
    return put_capture(&copy, text);
}

/* The file is opened outside of the guard; of two who start at one time one has none. */
static int64_t start_capture(struct ewi_stack *stack, const char *arguments, struct text *text)
{
    uint64_t bytes, seconds;
    struct capture new;
    bool was_on;
    int code;

    if (!take_number(&arguments, &bytes) || !take_number(&arguments, &seconds) ||
        seconds > UINT32_MAX)
        return -EINVAL;
    ewi_shell_enter(stack);
    was_on = stack->capture.is_on;
    ewi_lock_give(&stack->guard);
    if (was_on)
        return refuse(text, "busy", "a capture is on: 'capture stop' ends it");
    code = ewi_capture_open(&new, arguments, bytes,
                            seconds == 0 ? UINT64_MAX : ewi_now_ns() + seconds * SECOND);
    if (code != 0)
        return refuse(text, "file", strerror(-code));
    ewi_shell_enter(stack);
    was_on = stack->capture.is_on;
    if (!was_on)
        stack->capture = new;
    ewi_lock_give(&stack->guard);
    if (was_on) {
        ewi_capture_stop(&new, CAPTURE_STOPPED);
        return refuse(text, "busy", "somebody else began a capture at this moment");
    }
    return put_capture(&new, text);
}

static int64_t ask_capture(struct ewi_stack *stack, const char *arguments, struct text *text)
{
    const char *rest = behind(arguments, "start");

    if (rest != NULL)
        return start_capture(stack, rest, text);
    if (strcmp(arguments, "stop") == 0)
        return state_of_capture(stack, true, text);
    return strcmp(arguments, "state") == 0 ? state_of_capture(stack, false, text) : -EINVAL;
}

/* ---- all ---- */

int64_t ewi_shell_ask(struct ewi_stack *stack, const char *question, char *answer, size_t room)
{
    struct text text = {.bytes = answer, .room = room};
    const char *rest;

    if (room < ASK_ROOM_MIN)
        return -ENOBUFS;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if ((rest = behind(question, lists[i].word)) != NULL)
            return ask_list(stack, &lists[i], rest, &text);
    if (strcmp(question, "stats") == 0)
        return ask_stats(stack, &text);
    if ((rest = behind(question, "ping")) != NULL)
        return ask_ping(stack, rest, &text);
    if ((rest = behind(question, "pong")) != NULL)
        return ask_pong(stack, rest, &text);
    if ((rest = behind(question, "capture")) != NULL)
        return ask_capture(stack, rest, &text);
    return -EINVAL;
}
