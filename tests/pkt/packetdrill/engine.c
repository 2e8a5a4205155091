/* A stack on a port without Ethernet, a clock that only calls move, and packets with their times. */
#include "tests/pkt/packetdrill/adapter.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include "transport/net/cc.h"
#include "transport/net/rows.h"

enum { LOOK_AGAIN_MS = 2, FLAG_BYTES = 128, ADDRESSES = 16, IP6_MTU_MIN = 1280 };

struct flags {
    uint16_t mtu;
    uint32_t order, timeouts, congestion, cookies;
    struct stack_addr local[2];
    uint64_t patience_ns;
};

/* ---- flags: key=value, with commas or spaces between them ---- */

static bool is_choice(const char *value, const char *const *names, uint32_t count, uint32_t *out)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(value, names[i]) != 0)
            continue;
        *out = i;
        return true;
    }
    return false;
}

static bool is_address(const char *value, struct stack_addr *out)
{
    out->family = strchr(value, ':') != NULL ? 6 : 4;
    return inet_pton(out->family == 6 ? AF_INET6 : AF_INET, value, out->ip) == 1;
}

static bool take_flag(struct flags *flags, const char *key, const char *value)
{
    static const char *const orders[] = {"linux", "plain"}, *const timeouts[] = {"fabric", "spin",
                                                                                  "rfc"};
    static const char *const kinds[] = {"newreno", "cubic", "dctcp"};
    unsigned long number = strtoul(value, NULL, 0);

    if (strcmp(key, "order") == 0)
        return is_choice(value, orders, 2, &flags->order);
    if (strcmp(key, "timeouts") == 0)
        return is_choice(value, timeouts, 3, &flags->timeouts);
    if (strcmp(key, "congestion") == 0)
        return is_choice(value, kinds, 3, &flags->congestion);
    if (strcmp(key, "local") == 0)
        return is_address(value, &flags->local[0]) && flags->local[0].family == 4;
    if (strcmp(key, "local6") == 0)
        return is_address(value, &flags->local[1]) && flags->local[1].family == 6;
    if (strcmp(key, "mtu") == 0) {
        flags->mtu = (uint16_t)number;
        return number >= 576 && number <= 65535;
    }
    if (strcmp(key, "cookies") == 0) {
        flags->cookies = (uint32_t)number;
        return number <= 2;
    }
    if (strcmp(key, "patience_ms") == 0) {
        flags->patience_ns = number * PD_MS;
        return number > 0;
    }
    return false;
}

static bool read_flags(const char *text, struct flags *flags)
{
    char one[FLAG_BYTES];

    while (text != NULL && *text != '\0') {
        size_t bytes = strcspn(text, ", \n");
        char *value;

        if (bytes >= sizeof(one))
            return false;
        memcpy(one, text, bytes);
        one[bytes] = '\0';
        text += bytes + (text[bytes] != '\0');
        if (bytes == 0)
            continue;
        value = strchr(one, '=');
        if (value == NULL)
            return false;
        *value++ = '\0';
        if (!take_flag(flags, one, value)) {
            fprintf(stderr, "ew_packetdrill: flag not understood: %s=%s\n", one, value);
            return false;
        }
    }
    return true;
}

/* ---- start ---- */

static int start(struct adapter *adapter, const struct flags *flags)
{
    static const uint8_t seed[32] = "packetdrill";
    struct net_port_config port = {.mtu = flags->mtu};
    struct net_config config;
    struct ewi_net *net;
    size_t bytes;

    ewi_net_config_for(&config, PD_SOCKETS);
    config.ports_max = 1;
    config.addresses_max = config.addresses_max > ADDRESSES ? config.addresses_max : ADDRESSES;
    config.routes_max = config.routes_max > ADDRESSES + 4 ? config.routes_max : ADDRESSES + 4;
    bytes = ewi_net_bytes(&config);
    adapter->memory = aligned_alloc(NET_BLOCK_ALIGN_MAX, ewi_align_up(bytes, NET_BLOCK_ALIGN_MAX));
    adapter->room = malloc(PD_ROOM_BYTES);
    if (bytes == 0 || adapter->memory == NULL || adapter->room == NULL)
        return -ENOMEM;
    memset(adapter->memory, 0, bytes);
    adapter->now = 1000 * PD_SEC;
    adapter->net = net = ewi_net_init(adapter->memory, &config, seed, adapter->now);
    if (net == NULL || ewi_net_port_add(net, &port) < 0)
        return -EINVAL;
    for (int i = 0; i < 2; i++) {
        struct stack_addr all = {.family = flags->local[i].family};

        if (all.family == 6 && flags->mtu < IP6_MTU_MIN)
            continue; /* RFC 8200 section 5: no IPv6 on such a link */
        if (ewi_net_route_add(net, &all, 0, 0, NULL) < 0 ||
            pd_address_add(adapter, &flags->local[i]) < 0)
            return -EINVAL;
    }
    if (ewi_net_set(net, 0, NET_OPTION_SYN_ORDER, flags->order) != 0 ||
        ewi_net_set(net, 0, NET_OPTION_TIMEOUTS, flags->timeouts) != 0 ||
        ewi_net_set(net, 0, NET_OPTION_CONGESTION, flags->congestion) != 0 ||
        ewi_net_set(net, 0, NET_OPTION_SYN_COOKIES, flags->cookies) != 0)
        return -EINVAL;
    return 0;
}

int pd_open(const char *text, struct adapter **out)
{
    struct flags flags = {
        .mtu = 1500,
        .order = NET_TCP_ORDER_LINUX,
        .timeouts = NET_TIMEOUTS_RFC,
        .congestion = NET_CC_CUBIC,
        .cookies = 1,
        .local = {{.family = 4, .ip = {192, 168, 0, 1}}, /* the tool's defaults */
                  {.family = 6, .ip = {0xfd, 0x3d, 0x0a, 0x0b, 0x17, 0xd6, [15] = 1}}},
        .patience_ns = 5 * PD_SEC,
    };
    struct adapter *adapter = calloc(1, sizeof(*adapter));
    int code;

    *out = adapter;
    if (adapter == NULL)
        return -ENOMEM;
    pthread_mutex_init(&adapter->lock, NULL);
    pthread_cond_init(&adapter->changed, NULL);
    code = read_flags(text, &flags) ? start(adapter, &flags) : -EINVAL;
    adapter->patience_ns = flags.patience_ns;
    if (code != 0) {
        pd_close(adapter);
        *out = NULL;
    }
    return code;
}

void pd_close(struct adapter *adapter)
{
    for (uint32_t i = 0; i < adapter->frames; i++)
        free(adapter->frame[(adapter->frame_first + i) % PD_FRAMES].packet);
    for (uint32_t i = 0; i < PD_SOCKETS; i++)
        pd_socket_free(&adapter->socket[i]);
    pthread_cond_destroy(&adapter->changed);
    pthread_mutex_destroy(&adapter->lock);
    free(adapter->memory);
    free(adapter->room);
    free(adapter);
}

bool pd_address_is_ours(struct adapter *adapter, const struct stack_addr *address)
{
    return ewi_net_address_state(adapter->net, 0, address) != NET_ADDRESS_NONE;
}

int pd_address_add(struct adapter *adapter, const struct stack_addr *address)
{
    return ewi_net_address_add(adapter->net, 0, address, address->family == 6 ? 128 : 32,
                               NET_ADDRESS_SURE);
}

/* ---- progress ---- */

static void keep_frame(struct adapter *adapter, const struct net_frame *frame)
{
    struct pd_frame *kept = &adapter->frame[(adapter->frame_first + adapter->frames) % PD_FRAMES];

    if (adapter->frames == PD_FRAMES)
        return; /* nobody listens: as a full device would */
    kept->packet = malloc(frame->bytes);
    if (kept->packet == NULL)
        return;
    memcpy(kept->packet, frame->room, frame->bytes);
    kept->bytes = frame->bytes;
    kept->at = adapter->now;
    adapter->frames += 1;
}

static void take_frames(struct adapter *adapter)
{
    struct net_frame frame = {.room = adapter->room, .room_bytes = PD_ROOM_BYTES};

    while (ewi_net_output(adapter->net, adapter->now, &frame, 1) == 1) {
        keep_frame(adapter, &frame);
        frame = (struct net_frame){.room = adapter->room, .room_bytes = PD_ROOM_BYTES};
    }
}

static void take_events(struct adapter *adapter)
{
    struct stack_event event;

    while (ewi_net_events(adapter->net, &event, 1) == 1) {
        struct pd_socket *socket = &adapter->socket[event.user % PD_SOCKETS];

        if ((event.bits & STACK_CLOSED) != 0 && socket->stream == event.stream)
            pd_socket_free(socket);
    }
}

static void release_all(struct adapter *adapter)
{
    uint64_t released;

    for (struct pd_socket *each = adapter->socket; each < adapter->socket + PD_SOCKETS; each++)
        if (each->pieces != NULL && each->is_open &&
            ewi_net_released(adapter->net, each->stream, &released) == 0)
            pd_release(adapter, each, released);
}

void pd_run(struct adapter *adapter)
{
    ewi_net_tick(adapter->net, adapter->now);
    take_frames(adapter);
    take_events(adapter);
    release_all(adapter);
    adapter->changes += 1;
    pthread_cond_broadcast(&adapter->changed);
}

void pd_advance(struct adapter *adapter, uint64_t to)
{
    uint64_t deadline;

    pd_run(adapter);
    while ((deadline = ewi_net_deadline(adapter->net)) <= to && adapter->now < to) {
        adapter->now = deadline > adapter->now ? deadline : adapter->now + 1;
        pd_run(adapter);
    }
    adapter->now = to > adapter->now ? to : adapter->now;
    pd_run(adapter);
}

/* The other thread gets a moment of real time to do something. */
static bool others_moved(struct adapter *adapter, uint64_t real_ns)
{
    uint64_t seen = adapter->changes;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    real_ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(real_ns / PD_SEC);
    until.tv_nsec = (long)(real_ns % PD_SEC);
    while (adapter->changes == seen)
        if (pthread_cond_timedwait(&adapter->changed, &adapter->lock, &until) == ETIMEDOUT)
            break;
    return adapter->changes != seen;
}

/* The script's thread moves the time, or, if it is the one that waits here, we do. */
bool pd_wait(struct adapter *adapter, uint64_t until)
{
    if (adapter->now >= until)
        return false;
    if (others_moved(adapter, until == NET_NEVER ? adapter->patience_ns : 100 * PD_MS))
        return true;
    if (until == NET_NEVER)
        return false;
    pd_advance(adapter, until);
    return true;
}

int pd_packet_in(struct adapter *adapter, const void *packet, size_t bytes)
{
    struct net_rx rx = {.bytes = (uint32_t)bytes, .charge = (uint32_t)bytes};

    if (bytes == 0 || bytes > PD_ROOM_BYTES)
        return -EINVAL;
    rx.data = malloc(bytes); /* writable, and of its size */
    if (rx.data == NULL)
        return -ENOMEM;
    memcpy(rx.data, packet, bytes);
    ewi_net_input(adapter->net, adapter->now, &rx, 1);
    free(rx.data);
    pd_run(adapter);
    return 0;
}

/* The next packet that leaves. Time passes until there is one; none: nothing will ever be sent. */
int pd_packet_out(struct adapter *adapter, void *packet, size_t *bytes, long long *time_us)
{
    struct pd_frame *first;

    pd_run(adapter);
    while (adapter->frames == 0) {
        uint64_t deadline = ewi_net_deadline(adapter->net);

        if (others_moved(adapter, LOOK_AGAIN_MS * PD_MS))
            continue;
        if (deadline == NET_NEVER) {
            *bytes = 0;
            *time_us = (long long)(adapter->now / 1000);
            return 0;
        }
        pd_advance(adapter, deadline > adapter->now ? deadline : adapter->now + 1);
    }
    first = &adapter->frame[adapter->frame_first];
    *bytes = first->bytes < *bytes ? first->bytes : *bytes;
    memcpy(packet, first->packet, *bytes);
    *time_us = (long long)(first->at / 1000);
    free(first->packet);
    adapter->frame_first = (adapter->frame_first + 1) % PD_FRAMES;
    adapter->frames -= 1;
    return 0;
}
