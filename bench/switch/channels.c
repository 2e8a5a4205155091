/* One of our channels, both ends in this process: each end is a context with a device of its own. A message is
 * one send, as in the pairs that it is compared with. */
#include "bench/switch/load.h"

#define PATIENCE_NS INT64_C(20000000000)

static struct end {
    ew_context *context;
    ew_channel *channel;
} ends[2];

static ew_listener *listener;
static uint8_t room[LOAD_BYTES_MAX];

static void open_context(struct end *end, int host, const struct load_options *options)
{
    char text[512];
    const ew_context_options context = {
        .wait = EW_WAIT_SPIN, .grace_ns = -1, .fabric = text, .fabric_plugin = options->plugin};
    ew_fabric_info fabric;

    snprintf(text, sizeof(text), "network=bench\ndevice=%s\naddress=10.79.0.%d/24\nport=7411\n",
             options->device[host - 1], host);
    DUO_CHECK(ew_context_open(&context, &end->context) == EW_OK);
    DUO_CHECK(ew_context_get_fabric(end->context, &fabric) == EW_OK);
    if (fabric.state != EW_FABRIC_UP) {
        fprintf(stderr, "switch_load: %s: %s\n", options->device[host - 1], fabric.reason);
        _exit(1);
    }
}

static void check_path(ew_channel *channel)
{
    ew_channel_info info;

    DUO_CHECK(ew_channel_get_info(channel, &info) == EW_OK && info.path == EW_PATH_DPDK);
}

static void open_both(const struct load_options *options)
{
    const ew_listen_options listen = {.service = "bench", .fabric = 1};
    const ew_connect_options connect = {
        .service = "bench", .address = "dpdk://bench/10.79.0.2:7411", .timeout_ns = PATIENCE_NS};

    open_context(&ends[1], 2, options);
    open_context(&ends[0], 1, options);
    DUO_CHECK(ew_listen(ends[1].context, &listen, &listener) == EW_OK);
    DUO_CHECK(ew_connect(ends[0].context, &connect, &ends[0].channel) == EW_OK);
    DUO_CHECK(ew_listener_accept(listener, PATIENCE_NS, NULL, &ends[1].channel) == EW_OK);
    check_path(ends[0].channel);
    check_path(ends[1].channel);
}

static uint32_t put(int end, const uint8_t *message, uint32_t bytes, uint32_t count)
{
    uint32_t sent;

    for (sent = 0; sent < ewi_min_u32(count, LOAD_BATCH); sent++) {
        int code = ew_channel_send(ends[end].channel, message, bytes, 0, NULL);

        if (code == EW_EAGAIN)
            break;
        DUO_CHECK(code == EW_OK);
    }
    return sent;
}

static uint32_t take(int end, const uint8_t *message, uint32_t bytes, uint32_t count,
                     int64_t wait_ns)
{
    size_t length;
    uint32_t taken;

    (void)message; /* none is given up */
    for (taken = 0; taken < count; taken++) {
        int code = ew_channel_recv(ends[end].channel, room, sizeof(room), &length,
                                   taken == 0 ? wait_ns : 0, NULL);

        if (code == EW_EAGAIN || code == EW_ETIMEOUT)
            break;
        DUO_CHECK(code == EW_OK && length == bytes);
    }
    return taken;
}

static void close_both(void)
{
    for (int end = 0; end < 2; end++) {
        ew_channel_abort(ends[end].channel);
        ew_channel_free(ends[end].channel);
    }
    ew_listener_close(listener);
    ew_listener_free(listener);
    for (int end = 0; end < 2; end++)
        ew_context_close(ends[end].context);
}

const struct load_kind load_channels = {
    .name = "channels",
    .bytes_max = LOAD_BYTES_MAX,
    .window = UINT32_MAX, /* a channel refuses what it has no room for */
    .open = open_both,
    .put = put,
    .take = take,
    .close = close_both,
};
