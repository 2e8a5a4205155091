/* tests/dpdk/impaired/impaired.c - the plug-in with a bad wire in front of its device.
 *
 *   device=impair:delay_us=N,hold_us=N,reorder_ppm=N,loss_ppm=N,duplicate_ppm=N,corrupt_ppm=N/DEVICE
 *
 * Both directions alike; each setting may be left out. tests/dpdk/test_stack_impaired.py. What is due wakes
 * who sleeps: the descriptor is a set of the device's own and a timer. The port's counts rx_missed and
 * tx_dropped tell how many frames of a direction were treated badly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/shell/impair.h"
#include "transport/dpdk/device.h"
#include "transport/shell/shell.h"

enum { SLOTS = 2048, WORDS_BYTES = 256 };

struct device {
    const struct device_ops *ops; /* of bad */
    struct device *bad;           /* the impairment, which owns the real one */
    int epoll, timer;
};

/* ---- the text ---- */

static int refuse(const struct device_options *options, const char *why, const char *word)
{
    snprintf(options->reason, DEVICE_REASON_BYTES, "%s: %s", why, word);
    return -EINVAL;
}

static uint64_t *setting(struct impair_options *bad, uint64_t *ppm, const char *key)
{
    static const char *const rates[] = {"loss_ppm", "duplicate_ppm", "corrupt_ppm", "reorder_ppm"};

    for (int i = 0; i < 4; i++)
        if (strcmp(key, rates[i]) == 0)
            return &ppm[i];
    if (strcmp(key, "delay_us") == 0)
        return &bad->out.delay_ns;
    return strcmp(key, "hold_us") == 0 ? &bad->out.hold_ns : NULL;
}

static int read_words(const struct device_options *options, char *words, struct impair_options *bad)
{
    uint64_t ppm[4] = {0};
    char *rest = words, *word;

    while ((word = strsep(&rest, ",")) != NULL) {
        char *value = strchr(word, '=');
        uint64_t *number;

        if (value == NULL)
            return refuse(options, "want key=value", word);
        *value++ = '\0';
        number = setting(bad, ppm, word);
        if (number == NULL)
            return refuse(options, "no such setting", word);
        *number = strtoull(value, NULL, 10);
    }
    bad->out.delay_ns *= 1000;
    bad->out.hold_ns *= 1000;
    bad->out.loss_ppm = (uint32_t)ppm[0];
    bad->out.duplicate_ppm = (uint32_t)ppm[1];
    bad->out.corrupt_ppm = (uint32_t)ppm[2];
    bad->out.reorder_ppm = (uint32_t)ppm[3];
    bad->in = bad->out;
    return 0;
}

static const char *read_text(const struct device_options *options, struct impair_options *bad)
{
    const char *inner = strchr(options->text, '/');
    char words[WORDS_BYTES];
    size_t bytes;

    if (strncmp(options->text, "impair:", 7) != 0 || inner == NULL) {
        refuse(options, "want impair:key=value,.../DEVICE", options->text);
        return NULL;
    }
    bytes = (size_t)(inner - options->text) - 7;
    if (bytes >= sizeof(words)) {
        refuse(options, "too long", options->text);
        return NULL;
    }
    memcpy(words, options->text + 7, bytes);
    words[bytes] = '\0';
    return read_words(options, words, bad) == 0 ? inner + 1 : NULL;
}

/* ---- life ---- */

static void impaired_close(struct device *device)
{
    if (device->bad != NULL)
        device->ops->close(device->bad);
    if (device->epoll >= 0)
        close(device->epoll);
    if (device->timer >= 0)
        close(device->timer);
    free(device);
}

static int open_descriptors(struct device *device)
{
    struct epoll_event event = {.events = EPOLLIN};

    device->epoll = epoll_create1(EPOLL_CLOEXEC);
    device->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (device->epoll < 0 || device->timer < 0 ||
        epoll_ctl(device->epoll, EPOLL_CTL_ADD, device->timer, &event) != 0 ||
        epoll_ctl(device->epoll, EPOLL_CTL_ADD, device->ops->sleep_fd(device->bad), &event) != 0)
        return -errno;
    return 0;
}

static int impaired_open(const struct device_options *options, struct device **out)
{
    struct impair_options bad = {.seed = options->seed, .slots = SLOTS};
    struct device_options inner = *options;
    struct device *device, *real;
    int code;

    inner.text = read_text(options, &bad);
    if (inner.text == NULL)
        return -EINVAL;
    code = ewi_dpdk_device.open(&inner, &real);
    if (code != 0)
        return code;
    device = calloc(1, sizeof(*device));
    if (device == NULL) {
        ewi_dpdk_device.close(real);
        return -ENOMEM;
    }
    device->epoll = device->timer = -1;
    code = impair_wrap(&ewi_dpdk_device, real, &bad, &device->ops, &device->bad);
    if (code != 0)
        ewi_dpdk_device.close(real);
    else
        code = open_descriptors(device);
    if (code != 0)
        impaired_close(device);
    else
        *out = device;
    return code;
}

/* ---- all else: as it is now ---- */

static struct device *now_of(struct device *device)
{
    impair_set_time(device->bad, ewi_now_ns());
    return device->bad;
}

static const struct device_facts *impaired_facts(const struct device *device)
{
    return device->ops->facts(device->bad);
}

static uint32_t impaired_receive(struct device *device, struct net_rx *packets, uint32_t count)
{
    return device->ops->receive(now_of(device), packets, count);
}

static void impaired_give_back(struct device *device, void **refs, uint32_t count)
{
    device->ops->give_back(device->bad, refs, count);
}

static uint32_t impaired_arm(struct device *device, struct net_frame *frames, uint32_t count)
{
    return device->ops->arm(device->bad, frames, count);
}

static uint32_t impaired_transmit(struct device *device, struct net_frame *frames, uint32_t count)
{
    return device->ops->transmit(now_of(device), frames, count);
}

static int impaired_sleep_fd(struct device *device)
{
    return device->epoll;
}

static void set_timer(struct device *device, uint64_t at)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000)}};

    (void)timerfd_settime(device->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static int impaired_sleep_arm(struct device *device)
{
    uint64_t due;

    if (device->ops->sleep_arm(now_of(device)) != 0)
        return 1;
    due = impair_deadline(device->bad);
    set_timer(device, due == UINT64_MAX ? 0 : due);
    return 0;
}

static void impaired_sleep_disarm(struct device *device)
{
    set_timer(device, 0);
    device->ops->sleep_disarm(device->bad);
}

static bool impaired_carrier(struct device *device)
{
    return device->ops->carrier(now_of(device));
}

static uint64_t treated_badly(const struct impair_counts *counts)
{
    return counts->lost + counts->duplicated + counts->corrupted + counts->reordered;
}

static void impaired_counts(struct device *device, struct device_counts *out)
{
    struct impair_counts sent, received;

    device->ops->counts(device->bad, out);
    impair_counts(device->bad, &sent, &received);
    out->tx_dropped = treated_badly(&sent);
    out->rx_missed = treated_badly(&received);
}

static void impaired_forked(struct device *device)
{
    device->ops->forked(device->bad);
    close(device->epoll);
    close(device->timer);
}

static const struct device_ops impaired = {
    .name = "impaired",
    .open = impaired_open,
    .close = impaired_close,
    .facts = impaired_facts,
    .receive = impaired_receive,
    .give_back = impaired_give_back,
    .arm = impaired_arm,
    .transmit = impaired_transmit,
    .sleep_fd = impaired_sleep_fd,
    .sleep_arm = impaired_sleep_arm,
    .sleep_disarm = impaired_sleep_disarm,
    .carrier = impaired_carrier,
    .counts = impaired_counts,
    .forked = impaired_forked,
};

/* ---- the plug-in ---- */

static struct stack_ops table;

static int plugin_open(const struct stack_options *options, struct ewi_stack **out)
{
    return ewi_shell_open(&impaired, options, out);
}

__attribute__((constructor)) static void make_table(void)
{
    table = ewi_shell_ops;
    table.name = "impaired";
    table.open = plugin_open;
}

__attribute__((visibility("default"))) extern const struct stack_plugin ewi_stack_plugin;
const struct stack_plugin ewi_stack_plugin = {
    .abi = STACK_ABI, .bytes = sizeof(ewi_stack_plugin), .version = EW_VERSION, .ops = &table};
