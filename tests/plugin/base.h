/* tests/plugin/base.h - contexts with a fabric, by the test plug-in.
 *
 * Purpose    What the tests of channels over a plug-in begin with.
 * Shape      struct fabric_kind: one build of tests/plugin/stack.c and the device it is given. The first
 *            argument of a test program is the folder where the plug-ins are.
 * Owner      the test
 * Threads    as tests/c/pair_base.h
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants none
 * Ordering   none
 * Source     transport/fabric.h
 */
#ifndef TESTS_PLUGIN_BASE_H
#define TESTS_PLUGIN_BASE_H

#include <poll.h>

#include "tests/c/pair_base.h"

struct fabric_kind {
    const char *plugin, *device;
};

static const struct fabric_kind kinds[] = {
    {"ew_stack_plain", "test"}, {"ew_stack_arms", "test"}, {"ew_stack_arms", "test,poll"}};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const char *plugin_folder;
static const struct fabric_kind *kind = kinds; /* of the claim that runs */

static inline const char *plugin_path(const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s.so", plugin_folder, name);
    return out;
}

/* more: further lines, or "". */
static inline int open_on(const char *network, const char *more, int64_t grace_ns, ew_context **out)
{
    char path[512], text[1024];
    const ew_context_options options = {.grace_ns = grace_ns,
                                        .fabric = text,
                                        .fabric_plugin = plugin_path(kind->plugin, path)};

    snprintf(text, sizeof(text), "network=%s\ndevice=%s\naddress=127.0.0.1/8\n%s", network,
             kind->device, more);
    return ew_context_open(&options, out);
}

static inline ew_fabric_info fabric_of(ew_context *context)
{
    ew_fabric_info info;

    CHECK_EQ(ew_context_get_fabric(context, &info), EW_OK);
    return info;
}

/* Until the context says that its fabric has changed to this. */
static inline void await_state(ew_context *context, int32_t state)
{
    struct pollfd news = {.fd = ew_context_fileno(context), .events = POLLIN};
    uint64_t numbers[8];

    while (fabric_of(context).state != state) {
        CHECK_EQ(poll(&news, 1, PATIENCE_MS), 1);
        CHECK(ew_context_news(context, numbers, 8) >= 0);
    }
}

static inline uint64_t ask(ew_context *context, const char *question)
{
    unsigned long long polls = 0;
    char answer[128];

    CHECK(ew_context_ask_fabric(context, question, answer, sizeof(answer)) > 0);
    CHECK_EQ(sscanf(answer, "{\"polls\": %llu}", &polls), 1);
    return polls;
}

static inline int32_t path_of(ew_channel *channel)
{
    ew_channel_info info;

    CHECK_EQ(ew_channel_get_info(channel, &info), EW_OK);
    return info.path;
}

/* A listener on all three paths, a channel over the fabric. */
static inline struct pair open_fabric_pair(int64_t grace_ns)
{
    const ew_listen_options listen = {.service = "storm",
                                      .runtime_dir = directory,
                                      .bind = "tcp://127.0.0.1:0",
                                      .fabric = 1};
    struct pair pair = {0};

    CHECK_EQ(open_on("rack", "", grace_ns, &pair.server), EW_OK);
    CHECK_EQ(open_on("rack", "", grace_ns, &pair.client), EW_OK);
    CHECK_EQ(ew_listen(pair.server, &listen, &pair.listener), EW_OK);
    CHECK_EQ(ew_listener_get_info(pair.listener, &pair.info), EW_OK);
    return pair;
}

static inline void connect_pair(struct pair *pair, const char *address)
{
    pair->connect = (ew_connect_options){
        .service = "storm", .address = address, .timeout_ns = PATIENCE_MS * MS};
    CHECK_EQ(ew_connect(pair->client, &pair->connect, &pair->end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair->listener, PATIENCE_MS * MS, NULL, &pair->end[1]), EW_OK);
}

static inline void begin_plugin(int argc, char **argv)
{
    if (argc < 2)
        harness_skip("needs the folder of the plug-ins as its first argument");
    plugin_folder = argv[1];
    begin_stress(argc, argv);
}

/* A claim about a fabric, with each kind of it. */
#define EACH_KIND(claim)                                                                           \
    do {                                                                                           \
        for (kind = kinds; kind < kinds + KINDS; kind++) {                                         \
            printf("%s %s: ", kind->plugin, kind->device);                                         \
            RUN(claim);                                                                            \
        }                                                                                          \
        kind = kinds;                                                                              \
    } while (0)

#endif
