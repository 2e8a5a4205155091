/* Eastwest: channels over shared memory, kernel TCP, or our TCP on DPDK, by the C API.
 *
 * wait= is the context's policy. A server of many links that spins goes round, as all do. Else it
 * is an event loop, as an application would write it: it takes what is here, and before it sleeps
 * in epoll_wait it asks the channels to wake it (ew_channel_arm), over shared memory after it has
 * looked for as long as the library itself would (spin_ns_max: wait=adaptive only). The client of
 * many links receives from one after the other: each will answer.
 *
 * Options: outbox_bytes, pages: settings, as in Python; bind=HOST or HOST:PORT of a TCP server
 * (127.0.0.1:0); fabric_network, _device, _addresses (with commas), _gateway, _mtu, _mac, _port,
 * _plugin: as in Python, each "CLIENT|SERVER" or one for both. The plug-in is the one of this build
 * unless it is named.
 */
#include <poll.h>
#include <sys/epoll.h>

#include "bench/c/pair/pair.h"

enum { EVENTS = 64, TEXT_BYTES = 4096, OPEN_S = 15 };

#define OPEN_NS (OPEN_S * INT64_C(1000000000))

struct end {
    ew_channel *channel;
    bool is_armed;   /* its descriptor will tell of a message */
    bool is_awaited; /* recv_each wants one */
};

struct channels {
    const char *folder; /* of the local socket, gone when all are connected */
    ew_context *context;
    struct end *end;
    int epoll; /* -1: not used */
    uint64_t spin_ns;
};

static struct channels channels;

static const struct {
    ew_path path;
    const char *name, *system;
} paths[] = {{EW_PATH_SHM, "shm", "eastwest-shm"},
             {EW_PATH_TCP, "tcp", "eastwest-tcp"},
             {EW_PATH_DPDK, "dpdk", "eastwest-dpdk"}};

static ew_path path_of(const struct pair *pair)
{
    int i = 0;

    while (strcmp(paths[i].system, pair->system->name) != 0)
        i++;
    return paths[i].path;
}

/* ---- messages ---- */

static void check(int code, const char *what)
{
    if (code != EW_OK)
        pair_fail("%s: %s: %s", what, ew_error_name(code), ew_error_text());
}

/* Is it a signal, the guard's? */
static bool is_interrupted(int code)
{
    return code == EW_EINTR;
}

static void channel_send(struct pair *pair, uint32_t link, const uint8_t *data, size_t bytes)
{
    int code;

    (void)pair;
    do
        code = ew_channel_send(channels.end[link].channel, data, bytes, -1, NULL);
    while (is_interrupted(code));
    check(code, "send");
}

static void check_received(int code, size_t got, size_t bytes)
{
    check(code, "recv");
    if (got != bytes)
        pair_fail("recv: %zu B of %zu", got, bytes);
}

static void channel_recv(struct pair *pair, uint32_t link, uint8_t *data, size_t bytes)
{
    size_t got = 0;
    int code;

    do
        code = ew_channel_recv(channels.end[link].channel, data, pair->room, &got, -1, NULL);
    while (is_interrupted(code));
    check_received(code, got, bytes);
}

/* ---- many links ---- */

/* A message that has begun is taken whole: the client sends one after the other. */
static bool try_recv(struct pair *pair, ew_channel *channel, size_t bytes)
{
    size_t got = 0;
    int code;

    if (bytes <= PAIR_ANSWER_AT_ONCE) {
        code = ew_channel_recv(channel, pair->sink, pair->room, &got, 0, NULL);
    } else {
        code = ew_channel_recv_begin(channel, &got, 0, NULL);
        if (code == EW_OK)
            while (is_interrupted(code = ew_channel_recv_copy(channel, pair->sink, -1, NULL)))
                continue;
    }
    if (code == EW_EAGAIN || is_interrupted(code))
        return false;
    check_received(code, got, bytes);
    return true;
}

/* Take what is there of a link, if its message is awaited. */
static uint32_t serve(struct pair *pair, uint32_t link, size_t bytes, bool is_answered)
{
    struct end *end = &channels.end[link];

    if (!end->is_awaited || !try_recv(pair, end->channel, bytes))
        return 0;
    end->is_awaited = false;
    end->is_armed = false; /* it may have told of the message, too */
    if (is_answered)
        channel_send(pair, link, pair->source, bytes);
    pair->progress += 1;
    return 1;
}

/* Whatever is here already, without a system call. */
static uint32_t serve_here(struct pair *pair, size_t bytes, bool is_answered)
{
    uint32_t taken = 0;

    for (uint32_t link = 0; link < pair->links; link++)
        if (channels.end[link].is_awaited && ew_channel_spin(channels.end[link].channel, 0) != 0)
            taken += serve(pair, link, bytes, is_answered);
    return taken;
}

/* Will all that are awaited wake us up? */
static bool arm_all(const struct pair *pair)
{
    for (uint32_t link = 0; link < pair->links; link++) {
        struct end *end = &channels.end[link];
        int found;

        if (!end->is_awaited || end->is_armed)
            continue;
        if ((found = ew_channel_arm(end->channel, EW_ARM_RECV, 0)) < 0)
            check(found, "arm");
        if (found != 0)
            return false;
        end->is_armed = true;
    }
    return true;
}

static uint32_t serve_woken(struct pair *pair, size_t bytes, bool is_answered)
{
    struct epoll_event events[EVENTS];
    int found = epoll_wait(channels.epoll, events, EVENTS, -1);
    uint32_t taken = 0;

    if (found < 0 && errno != EINTR)
        pair_fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < found; i++) {
        channels.end[events[i].data.u32].is_armed = false;
        taken += serve(pair, events[i].data.u32, bytes, is_answered);
    }
    return taken;
}

static void recv_as_they_come(struct pair *pair, size_t bytes, bool is_answered)
{
    uint32_t left = pair->links;
    uint64_t until_ns = 0;

    for (uint32_t link = 0; link < pair->links; link++)
        channels.end[link].is_awaited = true;
    while (left > 0) {
        uint32_t taken = serve_here(pair, bytes, is_answered);

        if (taken == 0 && (channels.spin_ns == 0 || duo_ns() >= until_ns) && arm_all(pair))
            taken = serve_woken(pair, bytes, is_answered);
        if (taken > 0 && channels.spin_ns > 0)
            until_ns = duo_ns() + channels.spin_ns;
        left -= taken;
    }
}

static void channel_recv_each(struct pair *pair, size_t bytes, bool is_answered)
{
    if (channels.epoll >= 0) {
        recv_as_they_come(pair, bytes, is_answered);
        return;
    }
    for (uint32_t link = 0; link < pair->links; link++) {
        channel_recv(pair, link, pair->sink, bytes);
        if (is_answered)
            channel_send(pair, link, pair->source, bytes);
        pair->progress += 1;
    }
}

/* How the channels were left by another work says nothing. Only over shared memory is a look at all
 * of them so cheap that it pays to look for a while. */
static const char *channel_prepare(struct pair *pair, size_t bytes)
{
    ew_channel_info info;

    for (uint32_t link = 0; link < pair->links; link++)
        channels.end[link].is_armed = false;
    check(ew_channel_get_info(channels.end[0].channel, &info), "info");
    channels.spin_ns = info.path == EW_PATH_SHM ? (uint64_t)info.spin_ns_max : 0;
    if (bytes > info.message_bytes_max)
        return pair_text("a message of %zu B; the peer takes %" PRIu64, bytes,
                         info.message_bytes_max);
    return NULL;
}

static const char *channel_hold(struct pair *pair, size_t bytes)
{
    enum { RECORD_BYTES = 64 }; /* a header, and what an end keeps free */
    const uint64_t wanted = pair->order.in_flight * (bytes + RECORD_BYTES);
    ew_channel_info info;

    check(ew_channel_get_info(channels.end[0].channel, &info), "info");
    if (wanted > info.outbox_bytes)
        return pair_text("%" PRIu64 " answers need %" PRIu64 " B, an outbox has %" PRIu64,
                         pair->order.in_flight, wanted, info.outbox_bytes);
    return NULL;
}

/* ---- opening ---- */

/* This side's part of a fabric_ option, written to `part`; NULL: not given. */
static const char *fabric_part(const struct pair *pair, const char *name, char *part, size_t room)
{
    const char *both = pair_option(pair, name, NULL), *bar;

    if (both == NULL)
        return NULL;
    bar = strchr(both, '|');
    if (bar != NULL && pair->duo.is_peer)
        both = bar + 1;
    snprintf(part, room, "%.*s", bar != NULL && !pair->duo.is_peer ? (int)(bar - both) : TEXT_BYTES,
             both);
    return part;
}

/* The settings as lines "key=value", each address in its own. */
static void fabric_text(const struct pair *pair, char *text, size_t room)
{
    static const struct {
        const char *option, *key;
    } keys[] = {{"fabric_network", "network"}, {"fabric_device", "device"},
                {"fabric_addresses", "address"}, {"fabric_gateway", "gateway"},
                {"fabric_mtu", "mtu"}, {"fabric_mac", "mac"}, {"fabric_port", "port"}};
    size_t used = 0;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const bool is_list = strcmp(keys[i].key, "address") == 0;
        char part[TEXT_BYTES], *rest = NULL;

        if (fabric_part(pair, keys[i].option, part, sizeof(part)) == NULL)
            continue;
        for (char *one = is_list ? strtok_r(part, ", ", &rest) : part; one != NULL && used < room;
             one = is_list ? strtok_r(NULL, ", ", &rest) : NULL)
            used += (size_t)snprintf(text + used, room - used, "%s%s=%s", used > 0 ? "\n" : "",
                                     keys[i].key, one);
    }
    if (used >= room)
        pair_refuse("the settings of the fabric are longer than %zu B", room);
}

static void create_folder(struct pair *pair)
{
    static char made[] = "/tmp/eastwest-pair-XXXXXX";

    channels.folder = pair_option(pair, "folder", NULL);
    if (channels.folder == NULL)
        DUO_CHECK((channels.folder = mkdtemp(made)) != NULL);
}

static void remove_folder(const struct pair *pair)
{
    DIR *folder = opendir(channels.folder);
    struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL)
        unlinkat(dirfd(folder), entry->d_name, 0); /* its lock; "." and ".." refuse */
    if (folder != NULL)
        closedir(folder);
    if (pair_option(pair, "folder", NULL) == NULL)
        rmdir(channels.folder);
}

/* The number of a word among those that an option may have. */
static int32_t choice_of(const char *name, const char *word, const char *const words[], int count)
{
    for (int32_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    pair_refuse("%s has no '%s'", name, word);
}

static int open_context(const struct pair *pair)
{
    static const char *const pages[] = {"auto", "huge", "small"}; /* enum ew_pages */
    static const int32_t waits[] = {EW_WAIT_ADAPTIVE, EW_WAIT_SPIN, EW_WAIT_BLOCK};
    const char *outbox = pair_option(pair, "outbox_bytes", "0"); /* 0: as it is */
    ew_context_options options = {.wait = waits[pair->wait],
                                  .outbox_bytes = pair_number("outbox_bytes", outbox, 0, 1 << 30),
                                  .pages = choice_of("pages", pair_option(pair, "pages", "auto"),
                                                     pages, 3),
                                  .shm_stays = path_of(pair) == EW_PATH_SHM};
    char text[TEXT_BYTES], plugin[TEXT_BYTES];

    if (path_of(pair) == EW_PATH_DPDK) {
        fabric_text(pair, text, sizeof(text));
        options.fabric = text;
        options.fabric_plugin = fabric_part(pair, "fabric_plugin", plugin, sizeof(plugin));
#ifdef PAIR_PLUGIN
        if (options.fabric_plugin == NULL)
            options.fabric_plugin = PAIR_PLUGIN;
#endif
    }
    return ew_context_open(&options, &channels.context);
}

static const char *fabric_missing(struct pair *pair)
{
    uint64_t until_ns = duo_ns() + OPEN_NS, numbers[1];
    ew_fabric_info info;

    while (ew_context_get_fabric(channels.context, &info) == EW_OK && info.state != EW_FABRIC_UP) {
        struct pollfd news = {.fd = ew_context_fileno(channels.context), .events = POLLIN};
        uint64_t now_ns = duo_ns();

        if (info.state == EW_FABRIC_NONE) {
            pair->fix = "name fabric_network, fabric_device and fabric_addresses";
            return "no port on a fabric was asked for";
        }
        if (info.state == EW_FABRIC_ABSENT || now_ns >= until_ns) {
            pair->fix = info.state == EW_FABRIC_ABSENT ? "install libdpdk-dev; ./dev build" : "";
            return pair_text("no port on a fabric: %s", info.reason);
        }
        poll(&news, 1, (int)((until_ns - now_ns) / 1000000) + 1); /* a signal: look again */
        ew_context_news(channels.context, numbers, 1);
    }
    return NULL;
}

/* "tcp://HOST:PORT"; a port that was not given is any. */
static const char *bind_of(const struct pair *pair, char *text, size_t room)
{
    const char *host = pair_option(pair, "bind", "127.0.0.1:0"), *colon = strrchr(host, ':');
    const bool has_port = colon != NULL && (host[0] == '[' ? colon[-1] == ']'
                                                           : strchr(host, ':') == colon);
    const bool is_bare = colon != NULL && !has_port && host[0] != '['; /* IPv6 */

    snprintf(text, room, "tcp://%s%s%s%s", is_bare ? "[" : "", host, is_bare ? "]" : "",
             has_port ? "" : ":0");
    return text;
}

static const char *listen_at(struct pair *pair, ew_listener **listener)
{
    const ew_path path = path_of(pair);
    ew_listener_info info;
    char bind[TEXT_BYTES];
    ew_listen_options listen = {
        .service = "bench",
        .runtime_dir = path == EW_PATH_SHM ? channels.folder : NULL,
        .bind = path == EW_PATH_TCP ? bind_of(pair, bind, sizeof(bind)) : NULL,
        .fabric = path == EW_PATH_DPDK,
        .max_channels = pair->links};
    int code = ew_listen(channels.context, &listen, listener);

    if (code != EW_OK)
        return pair_text("listen: %s: %s", ew_error_name(code), ew_error_text());
    check(ew_listener_get_info(*listener, &info), "listener");
    snprintf(pair->duo.shared->text, sizeof(pair->duo.shared->text), "%s",
             path == EW_PATH_SHM   ? info.local_address
             : path == EW_PATH_TCP ? info.tcp_address
                                   : info.fabric_address);
    return pair->duo.shared->text[0] != '\0' ? NULL : "the listener has no address";
}

static const char *meet_as_server(struct pair *pair)
{
    ew_listener *listener = NULL;
    const char *why = pair_agree(pair, listen_at(pair, &listener));

    for (uint32_t link = 0; link < pair->links && why == NULL; link++)
        check(ew_listener_accept(listener, OPEN_NS, NULL, &channels.end[link].channel), "accept");
    if (listener != NULL)
        ew_listener_free(listener);
    if (channels.folder != NULL)
        remove_folder(pair);
    return why;
}

static const char *meet_as_client(struct pair *pair)
{
    const ew_connect_options connect = {
        .service = "bench", .address = pair->duo.shared->text, .timeout_ns = OPEN_NS};
    const char *why = pair_agree(pair, NULL);

    for (uint32_t link = 0; link < pair->links && why == NULL; link++)
        check(ew_connect(channels.context, &connect, &channels.end[link].channel), "connect");
    return why;
}

/* The path must be what is said of it. */
static void check_paths(const struct pair *pair)
{
    for (uint32_t link = 0; link < pair->links; link++) {
        ew_channel_info info;

        check(ew_channel_get_info(channels.end[link].channel, &info), "info");
        if (info.path != (int32_t)path_of(pair))
            pair_fail("link %u has path %d, not %d", link, info.path, path_of(pair));
    }
}

static void watch_channels(const struct pair *pair)
{
    channels.epoll = -1;
    if (pair->links == 1 || !pair->duo.is_peer || pair->wait == PAIR_SPIN)
        return;
    DUO_CHECK((channels.epoll = epoll_create1(EPOLL_CLOEXEC)) >= 0);
    for (uint32_t link = 0; link < pair->links; link++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = link};
        int fd = ew_channel_fileno(channels.end[link].channel);

        DUO_CHECK(epoll_ctl(channels.epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    }
}

static const char *open_channels(struct pair *pair)
{
    static const char *const waits[] = {"adaptive", "spin", "block"};
    const char *why = NULL;
    int code;

    channels.end = calloc(pair->links, sizeof(*channels.end));
    DUO_CHECK(channels.end != NULL);
    if ((code = open_context(pair)) != EW_OK)
        why = pair_text("context: %s: %s", ew_error_name(code), ew_error_text());
    else if (path_of(pair) == EW_PATH_DPDK)
        why = fabric_missing(pair);
    if ((why = pair_agree(pair, why)) != NULL)
        return why;
    if ((why = (pair->duo.is_peer ? meet_as_server : meet_as_client)(pair)) != NULL)
        return why;
    check_paths(pair);
    watch_channels(pair);
    snprintf(pair->detail, sizeof(pair->detail), "%s, path %s", waits[pair->wait],
             strchr(pair->system->name, '-') + 1);
    return NULL;
}

static void close_channels(struct pair *pair)
{
    for (uint32_t link = 0; link < pair->links && channels.end != NULL; link++) {
        if (channels.end[link].channel == NULL)
            continue;
        ew_channel_abort(channels.end[link].channel);
        ew_channel_free(channels.end[link].channel);
    }
    if (channels.context != NULL)
        ew_context_close(channels.context);
}

#define CHANNELS(title, own, before)                                                               \
    {                                                                                              \
        .name = (title), .options = (own),                                                         \
        .waits = 1u << PAIR_ADAPTIVE | 1u << PAIR_SPIN | 1u << PAIR_BLOCK, .works = UINT32_MAX,    \
        .version = ew_version, .create = (before), .open = open_channels,                          \
        .prepare = channel_prepare, .hold = channel_hold, .send = channel_send,                    \
        .recv = channel_recv, .recv_each = channel_recv_each, .close = close_channels              \
    }

const struct pair_system pair_eastwest_shm = CHANNELS("eastwest-shm", " outbox_bytes pages ", create_folder);
const struct pair_system pair_eastwest_tcp = CHANNELS("eastwest-tcp", " bind outbox_bytes ", NULL);
const struct pair_system pair_eastwest_dpdk =
    CHANNELS("eastwest-dpdk", " fabric_* outbox_bytes ", NULL);
