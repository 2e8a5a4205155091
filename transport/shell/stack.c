/* A stack from a text: the device, the memory, the addresses; and its end. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transport/shell/shell.h"
#include "transport/shell/steer.h"
#include "transport/siphash.h"

enum { PROBES = 2, SEED_BYTES = 32, DEVICE_PACKETS_MAX = 1 << 20 };

int ewi_shell_refuse(char *reason, int code, const char *format, ...)
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
    ewi_capture_init(&stack->capture);
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
    const struct device_facts *facts = &stack->facts;
    struct net_port_config port = {
        .mtu = facts->mtu, .caps = facts->caps, .tso_max = facts->tso_max};

    memcpy(port.mac, facts->mac, sizeof(port.mac));
    stack->port = ewi_net_port_add(stack->net, &port);
    if (stack->port < 0)
        return ewi_shell_refuse(reason, stack->port, "%s: a device with an MTU of %u and capabilities "
                                "%#x is none that our TCP/IP takes", facts->name, facts->mtu, facts->caps);
    return 0;
}

static int add_gateway(struct ewi_stack *stack, const struct stack_addr *via, char *reason)
{
    const struct stack_addr all = {.family = via->family};
    int code;

    if (via->family == 0)
        return 0;
    code = ewi_net_route_add(stack->net, &all, 0, stack->port, via);
    if (code == 0)
        return 0;
    return ewi_shell_refuse(reason, -EINVAL, "the IPv%u gateway cannot be used: %s; is it in the network "
                            "of an address?", via->family, strerror(-code));
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
            return ewi_shell_refuse(reason, -EINVAL, "address number %u of the port cannot be used: %s",
                                    i + 1, strerror(-code));
    }
    for (int i = 0; i < 2 && code == 0; i++)
        code = add_gateway(stack, &settings->gateways[i], reason);
    return code;
}

/* ---- life ---- */

struct device_options ewi_shell_device_options(const struct shell_settings *settings, uint64_t seed,
                                               char *reason)
{
    struct device_options options = {.text = settings->device,
                                     .mtu = settings->mtu,
                                     .mac_given = settings->mac_given,
                                     .packets = settings->packets,
                                     .seed = seed,
                                     .reason = reason};

    memcpy(options.mac, settings->mac, sizeof(options.mac));
    return options;
}

static int start(struct ewi_stack *stack, char *reason)
{
    int code;

    stack->facts = *stack->ops->facts(stack->device);
    code = add_port(stack, reason);
    if (code == 0)
        set_options(stack);
    if (code == 0)
        code = add_addresses(stack, reason);
    if (code != 0)
        return code;
    code = ewi_shell_sleep_open(stack);
    if (code != 0)
        return ewi_shell_refuse(reason, code, "no descriptors for a stack: %s", strerror(-code));
    ewi_shell_kick(stack); /* the first look is the reactor's */
    return 0;
}

static int read_settings(const struct stack_options *options, struct shell_settings *settings,
                         char *reason)
{
    int code = ewi_shell_parse(options->text, settings, reason);

    if (code != 0)
        return code;
    if (options->streams_max == 0 || options->streams_max > 1 << 20)
        return ewi_shell_refuse(reason, -EINVAL, "%u streams: want 1..%u", options->streams_max,
                                1u << 20);
    settings->streams = ewi_min_u32(settings->streams, options->streams_max);
    return 0;
}

static void draw_key(struct ewi_stack *stack, const uint8_t *seed)
{
    uint8_t text[SEED_BYTES + 1];

    memcpy(text, seed, SEED_BYTES);
    for (uint8_t half = 0; half < 2; half++) {
        uint64_t drawn;

        text[SEED_BYTES] = half;
        drawn = ewi_siphash(seed, text, sizeof(text));
        memcpy(stack->port_key + half * sizeof(drawn), &drawn, sizeof(drawn));
    }
}

static struct ewi_stack *make_for(const char *name, const struct shell_settings *settings,
                                  const struct stack_options *options, uint32_t shard, char *reason)
{
    uint8_t seed[SEED_BYTES];
    struct ewi_stack *stack;

    memcpy(seed, options->seed, SEED_BYTES);
    seed[SEED_BYTES - 1] ^= (uint8_t)shard; /* every stack has its own secrets */
    stack = make(settings, seed);
    if (stack == NULL) {
        ewi_shell_refuse(reason, -ENOMEM, "no address space for a stack of %u streams",
                         settings->streams);
        return NULL;
    }
    stack->name = name;
    stack->patient_until = ewi_now_ns() + SHELL_MEET_NS;
    stack->silence_ns = options->silence_ns;
    memcpy(&stack->device_seed, seed, sizeof(stack->device_seed));
    draw_key(stack, seed);
    return stack;
}

static void unmake(struct ewi_stack *stack)
{
    munmap(stack, stack->bytes);
}

int ewi_shell_open(const struct device_ops *ops, const struct stack_options *options,
                   struct ewi_stack **out)
{
    return ewi_shell_open_shards(ops, options, 1, out);
}

static int open_devices(const struct device_ops *ops, const struct shell_settings *settings,
                        uint64_t seed, uint32_t shards, struct device **devices, char *reason)
{
    struct device_options device = ewi_shell_device_options(settings, seed, reason);

    if (shards == 1)
        return ops->open(&device, devices);
    device.packets = ewi_min_u32(shards * (settings->packets + STEER_QUEUE), DEVICE_PACKETS_MAX);
    return ewi_steer_open(ops, &device, shards, devices);
}

/* All or none. */
static int start_all(const struct device_ops *ops, struct device **devices, uint32_t shards,
                     struct ewi_stack **stacks, char *reason)
{
    int code = 0;

    for (uint32_t i = 0; i < shards; i++) {
        stacks[i]->ops = ops; /* closed with its stack, whether that was started or not */
        stacks[i]->opener = shards == 1 ? ops : NULL;
        stacks[i]->device = devices[i];
    }
    for (uint32_t i = 0; i < shards && code == 0; i++)
        code = start(stacks[i], reason);
    for (uint32_t i = 0; i < shards && code != 0; i++)
        ewi_shell_close(stacks[i]);
    return code;
}

int ewi_shell_open_shards(const struct device_ops *ops, const struct stack_options *options,
                          uint32_t shards, struct ewi_stack **out)
{
    char ignored[STACK_REASON_BYTES];
    char *reason = options->reason != NULL ? options->reason : ignored;
    struct device *devices[STEER_SHARDS_MAX];
    struct ewi_stack *stacks[STEER_SHARDS_MAX];
    struct shell_settings settings;
    uint32_t made = 0;
    int code = read_settings(options, &settings, reason);

    if (code == 0 && (shards == 0 || shards > STEER_SHARDS_MAX))
        code = ewi_shell_refuse(reason, -EINVAL, "%u shards: want 1..%d", shards, STEER_SHARDS_MAX);
    while (code == 0 && made < shards) {
        stacks[made] = make_for(ops->name, &settings, options, made, reason);
        code = stacks[made] == NULL ? -ENOMEM : 0;
        made += code == 0;
    }
    if (code == 0)
        code = open_devices(ops, &settings, stacks[0]->device_seed, shards, devices, reason);
    if (code != 0) {
        while (made > 0)
            unmake(stacks[--made]);
        return code;
    }
    code = start_all(shards == 1 ? ops : &ewi_steer_device, devices, shards, stacks, reason);
    if (code == 0)
        memcpy((void *)out, (const void *)stacks, shards * sizeof(*out));
    return code;
}

/* Resets are on their way when the device goes, as far as it takes them. */
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
    for (uint32_t sent = 0; sent <= stack->streams_used; sent += SHELL_FRAMES)
        ewi_shell_flush(stack, now);
}

void ewi_shell_close(struct ewi_stack *stack)
{
    if (stack->wait_fd >= 0)
        abort_streams(stack);
    ewi_capture_stop(&stack->capture, CAPTURE_STOPPED);
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
    ewi_capture_stop(&stack->capture, CAPTURE_STOPPED);
    ewi_shell_sleep_close(stack);
    stack->ops->forked(stack->device);
}

int ewi_shell_info(struct ewi_stack *stack, struct stack_info *out)
{
    struct device_facts facts; /* another device may have others */
    uint32_t lost;

    ewi_shell_enter(stack);
    facts = stack->facts;
    lost = ewi_shell_lost_address(stack);
    *out = (struct stack_info){.caps = STACK_PARALLEL | STACK_STREAM_FD | STACK_WAKE,
                               .streams = stack->streams_open,
                               .streams_max = stack->streams_max};
    ewi_lock_give(&stack->guard);
    snprintf(out->name, sizeof(out->name), "%s", stack->name);
    snprintf(out->device, sizeof(out->device), "%.23s %.23s", facts.driver, facts.name);
    if (lost != 0)
        snprintf(out->reason, sizeof(out->reason),
                 "address number %u of this port is used by another station: choose another one", lost);
    else
        snprintf(out->reason, sizeof(out->reason), "%s", facts.why);
    if (!facts.can_sleep)
        out->poll_interval_ns = SHELL_TICK_NS;
    return 0;
}
