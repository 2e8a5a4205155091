#include "transport/fabric.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/context.h"
#include "transport/error.h"
#include "transport/hello.h"
#include "transport/listener.h"
#include "transport/plugin.h"

enum {
    FABRIC_STREAMS_MAX = 16384,
    NS_PER_MS = 1000 * 1000,
    OPEN_MS_MIN = 1000, /* pauses between two attempts to open, and to have a lost port again */
    OPEN_MS_MAX = 30 * 1000,
    FIND_MS_MIN = 50,
    FIND_MS_MAX = 1000,
    DOUBLINGS_MAX = 6,
};

struct fabric {
    struct context_stack *on;
    struct fabric_text text;
    char plugin_version[32];
    uint32_t state; /* enum ew_fabric_state; this and all below: under the reactor's lock */
    char reason[STACK_REASON_BYTES];
    uint64_t losses;
    uint32_t attempts;
    bool opening, closing;
    struct source *again; /* the next attempt */
};

/* ---- attempts ---- */

static uint64_t pause_of(const struct fabric *fabric)
{
    bool lost = fabric->state == EW_FABRIC_LOST;
    uint64_t pause = (uint64_t)(lost ? FIND_MS_MIN : OPEN_MS_MIN) * NS_PER_MS
                     << ewi_min_u64(fabric->attempts, DOUBLINGS_MAX);
    uint32_t jitter = 0;

    (void)ewi_random(&jitter, sizeof(jitter)); /* no stampede: half to all of it */
    pause = ewi_min_u64(pause, (uint64_t)(lost ? FIND_MS_MAX : OPEN_MS_MAX) * NS_PER_MS);
    return pause / 2 + pause / 2 * (jitter % 1024) / 1024;
}

static void try_again(struct fabric *fabric)
{
    if (fabric->closing)
        return;
    ewi_reactor_set_deadline(fabric->on->context->reactor, fabric->again,
                             ewi_now_ns() + pause_of(fabric));
    fabric->attempts += 1;
}

/* Who waits for news looks at the fabric as well. */
static void enter(struct fabric *fabric, ew_fabric_state state, const char *reason)
{
    bool news = fabric->state != (uint32_t)state;

    fabric->state = state;
    snprintf(fabric->reason, sizeof(fabric->reason), "%s", reason);
    if (news)
        (void)ew_context_wake(fabric->on->context);
}

/* ---- opening ---- */

static int open_stack(struct fabric *fabric, char reason[STACK_REASON_BYTES],
                      struct ewi_stack **out)
{
    uint8_t seed[32];
    const struct stack_options options = {
        .streams_max = FABRIC_STREAMS_MAX,
        .seed = seed,
        .text = fabric->text.rest,
        .silence_ns = ewi_silence_limit(fabric->on->context->grace_ns),
        .reason = reason};
    int code = ewi_random(seed, sizeof(seed));

    reason[0] = '\0';
    if (code == EW_OK)
        code = fabric->on->ops->open(&options, out);
    if (code != EW_OK && reason[0] == '\0')
        snprintf(reason, STACK_REASON_BYTES, "the plug-in could not open its device: %s",
                 ewi_error_name(code));
    return code;
}

/* What a channel needs of a stack, whatever it is. */
static int check_caps(struct fabric *fabric, struct ewi_stack *stack,
                      char reason[STACK_REASON_BYTES])
{
    const uint32_t needed = STACK_PARALLEL | STACK_STREAM_FD;
    struct stack_info info = {0};
    int code = fabric->on->ops->info(stack, &info);

    if (code == 0 && ((info.caps & needed) != needed || (info.caps & STACK_TX_REF) != 0))
        code = -ENOTSUP;
    if (code != 0)
        snprintf(reason, STACK_REASON_BYTES,
                 "the plug-in's stack has caps %#x: channels need PARALLEL and STREAM_FD, and no TX_REF",
                 info.caps);
    return code;
}

/* Its port may have gone again: then it is looked for. */
static void listen_again(struct fabric *fabric)
{
    int code = ewi_port_open_all(fabric->on);
    char reason[STACK_REASON_BYTES];

    if (code == EW_OK) {
        fabric->attempts = 0;
        enter(fabric, EW_FABRIC_UP, "");
        return;
    }
    snprintf(reason, sizeof(reason), "listening on the fabric failed: %s", ewi_error_name(code));
    enter(fabric, EW_FABRIC_LOST, reason);
    try_again(fabric);
}

/* Under the reactor's lock; the stack is taken or closed. */
static void opened(struct fabric *fabric, struct ewi_stack *stack, char reason[STACK_REASON_BYTES])
{
    int code = check_caps(fabric, stack, reason);

    if (code == 0)
        code = ewi_context_stack_start(fabric->on, stack);
    if (code == 0) {
        fabric->attempts = 0;
        listen_again(fabric);
        return;
    }
    fabric->on->ops->close(stack);
    enter(fabric, EW_FABRIC_ABSENT, reason[0] != '\0' ? reason : ewi_error_name(code));
}

/* Under the reactor's lock: what an attempt came to. */
static void attempted(struct fabric *fabric, int code, struct ewi_stack *stack,
                      char reason[STACK_REASON_BYTES])
{
    if (code == 0) {
        opened(fabric, stack, reason);
        return;
    }
    enter(fabric, EW_FABRIC_CLOSED, reason);
    try_again(fabric);
}

static void *open_again(void *object)
{
    struct fabric *fabric = object;
    ew_context *context = fabric->on->context;
    char reason[STACK_REASON_BYTES];
    struct ewi_stack *stack = NULL;
    int code = open_stack(fabric, reason, &stack);

    ewi_reactor_lock(context->reactor);
    fabric->opening = false;
    attempted(fabric, code, stack, reason);
    ewi_reactor_unlock(context->reactor);
    ewi_context_give(context);
    return NULL;
}

/* A device that cannot come back by itself: another in its place. */
static void *reopen(void *object)
{
    struct fabric *fabric = object;
    struct context_stack *on = fabric->on;
    char reason[STACK_REASON_BYTES], said[STACK_REASON_BYTES];
    int code = on->ops->reopen(on->stack, reason);

    ewi_reactor_lock(on->context->reactor);
    fabric->opening = false;
    snprintf(said, sizeof(said), "the port was lost: %.480s", reason);
    if (code != 0)
        enter(fabric, EW_FABRIC_LOST, said);
    else
        fabric->attempts = 0; /* its listeners are put back in a moment */
    try_again(fabric);
    ewi_reactor_unlock(on->context->reactor);
    ewi_context_give(on->context);
    return NULL;
}

/* Under the reactor's lock. A plug-in's threads take their stack from who starts them: ours is as large
 * as any. */
static bool start_opening(struct fabric *fabric, void *(*how)(void *))
{
    ew_context *context = fabric->on->context;
    sigset_t all, before;
    pthread_t thread;
    bool started;

    if (!ewi_context_take_if_alive(context))
        return true; /* destroy waits for us */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&thread, NULL, how, fabric) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(thread);
    else
        ewi_context_give(context); /* not the last: the reactor's caller has one, or will see zero */
    fabric->opening = started;
    return started;
}

/* A port that nobody listens on is looked for with a listener of our own. */
static int probe(struct context_stack *on, const struct stack_addr *address)
{
    struct stack_addr any = *address;
    struct stream_user *user = ewi_stream_user_create(on, NULL, NULL);
    ewi_stream stream;
    int code;

    any.port = 0;
    if (user == NULL)
        return EW_EMEMORY;
    code = on->ops->listen(on->stack, &any, 1, (uint64_t)(uintptr_t)user, &stream);
    if (code == 0)
        ewi_stream_finish(on, stream, user, true);
    else
        ewi_stream_user_free(on, user);
    return code;
}

static void on_again(void *object, uint32_t events, uint64_t now_ns)
{
    struct fabric *fabric = object;

    (void)events, (void)now_ns;
    if (fabric->closing || fabric->opening)
        return;
    if (fabric->on->stack != NULL && probe(fabric->on, &fabric->text.addresses[0]) == EW_OK)
        listen_again(fabric);
    else if (fabric->on->stack != NULL && fabric->on->ops->reopen == NULL)
        try_again(fabric);
    else if (!start_opening(fabric, fabric->on->stack == NULL ? open_again : reopen))
        try_again(fabric);
}

/* ---- life ---- */

static int first_open(struct fabric *fabric)
{
    ew_context *context = fabric->on->context;
    char reason[STACK_REASON_BYTES];
    struct ewi_stack *stack = NULL;
    int code = ewi_reactor_add(context->reactor, -1, 0, on_again, fabric, &fabric->again);

    if (code != EW_OK)
        return code;
    code = open_stack(fabric, reason, &stack);
    if (code == -EINVAL)
        return ewi_fail(EW_EINVAL, "fabric %s: %s", fabric->text.network, reason);
    ewi_reactor_lock(context->reactor);
    attempted(fabric, code, stack, reason);
    ewi_reactor_unlock(context->reactor);
    return EW_OK;
}

int ewi_fabric_open(ew_context *context, const char *text, const char *plugin_path)
{
    const struct stack_plugin *plugin;
    struct fabric *fabric;
    int code;

    if (text == NULL || text[0] == '\0')
        return EW_OK;
    fabric = calloc(1, sizeof(*fabric));
    if (fabric == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a fabric");
    fabric->on = &context->stacks[CONTEXT_FABRIC];
    code = ewi_fabric_parse(text, &fabric->text);
    if (code != EW_OK) {
        free(fabric);
        return code;
    }
    context->fabric = fabric;
    if (ewi_plugin_load(plugin_path, &plugin) != EW_OK) { /* I1 */
        enter(fabric, EW_FABRIC_ABSENT, ewi_error_text());
        return EW_OK;
    }
    fabric->on->ops = plugin->ops;
    snprintf(fabric->plugin_version, sizeof(fabric->plugin_version), "%s", plugin->version);
    return first_open(fabric);
}

void ewi_fabric_close(ew_context *context)
{
    struct fabric *fabric = context->fabric;

    if (fabric == NULL || fabric->again == NULL)
        return;
    ewi_reactor_lock(context->reactor);
    fabric->closing = true;
    ewi_reactor_set_deadline(context->reactor, fabric->again, EWI_NEVER);
    ewi_reactor_unlock(context->reactor);
}

void ewi_fabric_free(ew_context *context)
{
    struct fabric *fabric = context->fabric;

    if (fabric == NULL)
        return;
    ewi_reactor_remove(context->reactor, fabric->again);
    free(fabric->text.rest);
    free(fabric);
    context->fabric = NULL;
}

/* ---- for channels and listeners ---- */

void ewi_fabric_lost(struct context_stack *on)
{
    ew_context *context = on->context;
    struct fabric *fabric = context->fabric;

    if (fabric == NULL || on != fabric->on)
        return; /* the kernel says it of a route */
    ewi_reactor_lock(context->reactor);
    if (fabric->state == EW_FABRIC_UP) {
        fabric->losses += 1;
        enter(fabric, EW_FABRIC_LOST, "the port was lost: the device or its carrier is gone");
        fabric->attempts = 0;
        try_again(fabric);
    }
    ewi_reactor_unlock(context->reactor);
}

static const char *state_text(uint32_t state)
{
    static const char *const texts[] = {[EW_FABRIC_NONE] = "there is none",
                                        [EW_FABRIC_ABSENT] = "there is no stack for it",
                                        [EW_FABRIC_CLOSED] = "its device is not open",
                                        [EW_FABRIC_UP] = "",
                                        [EW_FABRIC_LOST] = "its device is lost"};

    return texts[state];
}

int ewi_fabric_find(ew_context *context, const char *network, struct context_stack **out)
{
    struct fabric *fabric = context->fabric;
    char reason[STACK_REASON_BYTES];
    uint32_t state;

    if (fabric == NULL)
        return ewi_fail(EW_EUNREACHABLE, "no port on network %s: no fabric_network is configured",
                        network);
    if (strcmp(network, fabric->text.network) != 0)
        return ewi_fail(EW_EUNREACHABLE, "no port on network %s: this context's is on %s", network,
                        fabric->text.network);
    ewi_reactor_lock(context->reactor);
    state = fabric->state;
    *out = fabric->on->stack != NULL ? fabric->on : NULL;
    snprintf(reason, sizeof(reason), "%s", fabric->reason);
    ewi_reactor_unlock(context->reactor);
    if (*out == NULL)
        return ewi_fail(EW_EUNREACHABLE, "no port on network %s, %s: %s", network, state_text(state),
                        reason);
    return EW_OK; /* a lost one answers for itself */
}

uint32_t ewi_fabric_addresses(ew_context *context, struct stack_addr out[FABRIC_ADDRESSES_MAX])
{
    const struct fabric *fabric = context->fabric;

    memcpy(out, fabric->text.addresses, sizeof(fabric->text.addresses));
    return fabric->text.addresses_count;
}

void ewi_fabric_format(const struct context_stack *on, const struct stack_addr *addr,
                       char out[STREAM_ADDRESS_BYTES])
{
    const struct fabric *fabric = on->context->fabric;
    char text[72];

    ewi_addr_format(addr, text, sizeof(text));
    if (on->path == EW_PATH_TCP)
        snprintf(out, STREAM_ADDRESS_BYTES, "tcp://%s", text);
    else
        snprintf(out, STREAM_ADDRESS_BYTES, "dpdk://%s/%s", fabric->text.network, text);
}

/* ---- for who looks in ---- */

static void fill(struct fabric *fabric, ew_fabric_info *out)
{
    struct context_stack *on = fabric->on;
    struct stack_info info = {0};

    out->state = (int32_t)fabric->state;
    out->losses = fabric->losses;
    snprintf(out->network, sizeof(out->network), "%s", fabric->text.network);
    snprintf(out->plugin_version, sizeof(out->plugin_version), "%s", fabric->plugin_version);
    snprintf(out->reason, sizeof(out->reason), "%s", fabric->reason);
    if (on->stack == NULL || on->ops->info(on->stack, &info) != 0)
        return;
    snprintf(out->device, sizeof(out->device), "%s", info.device);
    out->poll_interval_ns = (int64_t)info.poll_interval_ns;
    out->streams = info.streams;
    if (fabric->reason[0] == '\0')
        snprintf(out->reason, sizeof(out->reason), "%s", info.reason);
}

int ew_context_get_fabric(ew_context *context, ew_fabric_info *out)
{
    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    *out = (ew_fabric_info){0};
    if (context->fabric == NULL)
        return EW_OK;
    ewi_reactor_lock(context->reactor);
    fill(context->fabric, out);
    ewi_reactor_unlock(context->reactor);
    return EW_OK;
}

int64_t ew_context_ask_fabric(ew_context *context, const char *question, char *answer, size_t room)
{
    struct fabric *fabric = context->fabric;
    struct ewi_stack *stack = NULL;
    int64_t got;

    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    if (fabric != NULL) {
        ewi_reactor_lock(context->reactor);
        stack = fabric->on->stack;
        ewi_reactor_unlock(context->reactor);
    }
    if (stack == NULL || fabric->on->ops->ask == NULL)
        return ewi_fail(EW_ENOTFOUND, "the context has no fabric stack that answers");
    got = fabric->on->ops->ask(stack, question, answer, room);
    if (got == -EINVAL)
        return ewi_fail(EW_EINVAL, "the fabric stack does not know the question \"%s\"", question);
    return got >= 0 ? got : ewi_fail_os((int)got, "asking the fabric stack \"%s\"", question);
}
