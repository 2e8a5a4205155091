/* A stack from a text: the device, the memory, the addresses; and its end. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transport/shell/shell.h"

enum { MTU_DEFAULT = 1500, PROBES = 2 };

__attribute__((format(printf, 3, 4))) static int fail(char *reason, int code, const char *format,
                                                      ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, STACK_REASON_BYTES, format, arguments);
    va_end(arguments);
    return code;
}

/* ---- memory ---- */

struct places {
    size_t streams, chunks, net, bytes;
};

static uint32_t chunks_of(const struct shell_settings *settings)
{
    return settings->send_pool_bytes / CHUNK_BYTES;
}

static void config_of(const struct shell_settings *settings, struct net_config *config)
{
    ewi_net_config_for(config, settings->streams);
    config->packets_max = settings->packets;
    config->ports_max = 1;
}

static struct places place(const struct shell_settings *settings, const struct net_config *config)
{
    struct places places = {.streams = ewi_align_up(sizeof(struct ewi_stack), EWI_CACHE_LINE)};
    uint64_t records = settings->streams + config->listeners_max;

    places.chunks = ewi_align_up(places.streams + records * sizeof(struct shell_stream), 4096);
    places.net = ewi_align_up(places.chunks + ewi_chunks_bytes(chunks_of(settings)), 4096);
    places.bytes = places.net + ewi_net_bytes(config);
    return places;
}

/* Zero pages, which cost nothing until they are used. */
static struct ewi_stack *make(const struct shell_settings *settings, const uint8_t *seed)
{
    struct net_config config;
    struct places places;
    struct ewi_stack *stack;
    uint8_t *memory;

    config_of(settings, &config);
    places = place(settings, &config);
    memory = mmap(NULL, places.bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    stack = (struct ewi_stack *)(void *)memory;
    stack->bytes = places.bytes;
    stack->settings = *settings;
    stack->stream = (struct shell_stream *)(void *)(memory + places.streams);
    stack->streams_max = settings->streams + config.listeners_max;
    stack->wait_fd = stack->kick.fd = stack->timer_fd = stack->home_fd = -1;
    ewi_chunks_init(&stack->chunks, memory + places.chunks, chunks_of(settings));
    stack->net = ewi_net_init(memory + places.net, &config, seed, ewi_now_ns());
    EWI_ASSERT(stack->net != NULL);
    return stack;
}

/* ---- addresses ---- */

static void set_options(struct ewi_stack *stack)
{
    const uint64_t silence_ns = stack->silence_ns;

    ewi_net_set(stack->net, 0, NET_OPTION_NODELAY, 1); /* a message is not held back for another */
    ewi_net_set(stack->net, 0, NET_OPTION_RECV_BYTES, stack->settings.recv_bytes);
    ewi_net_set(stack->net, 0, NET_OPTION_SEND_BYTES, stack->settings.send_bytes);
    if (silence_ns == 0)
        return;
    ewi_net_set(stack->net, 0, NET_OPTION_KEEPALIVE_NS, silence_ns);
    ewi_net_set(stack->net, 0, NET_OPTION_KEEPALIVE_INTERVAL_NS, silence_ns / PROBES);
    ewi_net_set(stack->net, 0, NET_OPTION_KEEPALIVE_COUNT, PROBES);
}

static int add_port(struct ewi_stack *stack, char *reason)
{
    const struct device_facts *facts = stack->facts;
    struct net_port_config port = {
        .mtu = facts->mtu, .caps = facts->caps, .tso_max = facts->tso_max};

    memcpy(port.mac, facts->mac, sizeof(port.mac));
    stack->port = ewi_net_port_add(stack->net, &port);
    if (stack->port < 0)
        return fail(reason, stack->port, "%s: a device with an MTU of %u and capabilities %#x is none "
                    "that our TCP/IP takes", facts->name, facts->mtu, facts->caps);
    return 0;
}

static int add_gateway(struct ewi_stack *stack, const struct stack_addr *via, char *reason)
{
    const struct stack_addr all = {.family = via->family};
    int code;

    if (via->family == 0)
        return 0;
    code = ewi_net_route_add(stack->net, &all, 0, stack->port, via);
    return code == 0 ? 0 : fail(reason, -EINVAL, "the IPv%u gateway cannot be used: %s; is it in the "
                                "network of an address?", via->family, strerror(-code));
}

static int add_addresses(struct ewi_stack *stack, char *reason)
{
    const struct shell_settings *settings = &stack->settings;
    int code = 0;

    for (uint32_t i = 0; i < settings->addresses_count && code == 0; i++) {
        code = ewi_net_address_add(stack->net, stack->port, &settings->addresses[i].at,
                                   settings->addresses[i].prefix,
                                   settings->detect ? NET_ADDRESS_QUICK : NET_ADDRESS_SURE);
        if (code != 0)
            return fail(reason, -EINVAL, "address number %u of the port cannot be used: %s", i + 1,
                        strerror(-code));
    }
    for (int i = 0; i < 2 && code == 0; i++)
        code = add_gateway(stack, &settings->gateways[i], reason);
    return code;
}

/* ---- life ---- */

static int open_device(struct ewi_stack *stack, const uint8_t *seed, char *reason)
{
    struct device_options options = {.text = stack->settings.device,
                                     .mtu = stack->settings.mtu,
                                     .mac_given = stack->settings.mac_given,
                                     .packets = stack->settings.packets,
                                     .reason = reason};
    int code;

    memcpy(options.mac, stack->settings.mac, sizeof(options.mac));
    memcpy(&options.seed, seed, sizeof(options.seed));
    code = stack->ops->open(&options, &stack->device);
    if (code == 0)
        stack->facts = stack->ops->facts(stack->device);
    return code;
}

static int start(struct ewi_stack *stack, const uint8_t *seed, char *reason)
{
    int code = open_device(stack, seed, reason);

    if (code == 0)
        code = add_port(stack, reason);
    if (code == 0)
        set_options(stack);
    if (code == 0)
        code = add_addresses(stack, reason);
    if (code != 0)
        return code;
    code = ewi_shell_sleep_open(stack);
    if (code != 0)
        return fail(reason, code, "no descriptors for a stack: %s", strerror(-code));
    ewi_shell_kick(stack); /* the first look is the reactor's */
    return 0;
}

int ewi_shell_open(const struct device_ops *ops, const struct stack_options *options,
                   struct ewi_stack **out)
{
    char ignored[STACK_REASON_BYTES];
    char *reason = options->reason != NULL ? options->reason : ignored;
    struct shell_settings settings;
    struct ewi_stack *stack;
    int code = ewi_shell_parse(options->text, &settings, reason);

    if (code != 0)
        return code;
    if (options->streams_max == 0 || options->streams_max > 1 << 20)
        return fail(reason, -EINVAL, "%u streams: want 1..%u", options->streams_max, 1u << 20);
    settings.streams = ewi_min_u32(settings.streams, options->streams_max);
    stack = make(&settings, options->seed);
    if (stack == NULL)
        return fail(reason, -ENOMEM, "no address space for a stack of %u streams", settings.streams);
    stack->ops = ops;
    stack->silence_ns = options->silence_ns;
    code = start(stack, options->seed, reason);
    if (code != 0) {
        ewi_shell_close(stack);
        return code;
    }
    *out = stack;
    return 0;
}

/* Resets are on their way when the device goes. */
static void abort_streams(struct ewi_stack *stack)
{
    const uint64_t now = ewi_now_ns();

    for (uint32_t i = 0; i < stack->streams_used; i++) {
        struct shell_stream *stream = &stack->stream[i];

        if (stream->kind == SHELL_FREE)
            continue;
        if (!stream->finished)
            ewi_net_finish(stack->net, stream->inner, true, now);
        ewi_shell_close_fds(stack, stream);
    }
    ewi_shell_flush(stack, now);
}

void ewi_shell_close(struct ewi_stack *stack)
{
    if (stack->wait_fd >= 0)
        abort_streams(stack);
    if (stack->device != NULL)
        stack->ops->close(stack->device);
    ewi_shell_sleep_close(stack);
    munmap(stack, stack->bytes);
}

/* Only close(2), and the guard may be held by a thread that is not here. */
void ewi_shell_forked(struct ewi_stack *stack)
{
    for (uint32_t i = 0; i < stack->streams_used; i++) {
        struct shell_stream *stream = &stack->stream[i];

        if (stream->kind == SHELL_FREE)
            continue;
        if (stream->sleep_fd >= 0)
            close(stream->sleep_fd);
        if (stream->bell_fd >= 0)
            close(stream->bell_fd);
        stream->sleep_fd = stream->bell_fd = -1;
    }
    ewi_shell_sleep_close(stack);
    stack->ops->forked(stack->device);
}

int ewi_shell_info(struct ewi_stack *stack, struct stack_info *out)
{
    const struct device_facts *facts = stack->facts;

    ewi_shell_enter(stack);
    *out = (struct stack_info){.caps = STACK_PARALLEL | STACK_STREAM_FD | STACK_WAKE,
                               .streams = stack->streams_open,
                               .streams_max = stack->streams_max};
    ewi_lock_give(&stack->guard);
    snprintf(out->name, sizeof(out->name), "%s", "dpdk");
    snprintf(out->device, sizeof(out->device), "%.23s %.23s", facts->driver, facts->name);
    snprintf(out->reason, sizeof(out->reason), "%s", facts->why);
    if (!facts->can_sleep)
        out->poll_interval_ns = SHELL_TICK_NS;
    return 0;
}
