#include "tests/shell/wire_parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/shell/shell.h"

static pthread_mutex_t wires_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wire *wires[WIRES_MAX];

_Noreturn void wire_die(const char *what)
{
    fprintf(stderr, "wire: %s\n", what);
    abort();
}

/* ---- buffers ---- */

static void move(struct wire *wire, uint32_t buffer, uint8_t from, uint8_t to)
{
    static const char *const names[] = {"free", "armed", "flying", "held"};

    if (atomic_exchange_explicit(&wire->state[buffer], to, memory_order_relaxed) != from) /* Y6 */
        wire_die(names[from]);
}

static uint8_t *memory_of(const struct wire *wire, uint32_t buffer)
{
    return wire->memory + (size_t)buffer * WIRE_BUFFER_BYTES;
}

static uint32_t buffer_of(const struct wire *wire, const void *memory)
{
    size_t offset = (size_t)((const uint8_t *)memory - wire->memory);

    if (offset % WIRE_BUFFER_BYTES != 0 || offset / WIRE_BUFFER_BYTES >= 2 * (size_t)wire->each)
        wire_die("no buffer of this wire");
    return (uint32_t)(offset / WIRE_BUFFER_BYTES);
}

/* ---- rings ---- */

static bool push(struct ring *ring, struct frame_at frame)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed); /* Y1: our own */

    if (tail - atomic_load_explicit(&ring->head, memory_order_acquire) > ring->mask) /* Y4 */
        return false;
    ring->at[tail & ring->mask] = frame;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release); /* Y1 */
    return true;
}

static bool is_empty(const struct ring *ring)
{
    return atomic_load_explicit(&ring->tail, memory_order_acquire) == /* Y2 */
           atomic_load_explicit(&ring->head, memory_order_relaxed);   /* Y3: our own */
}

static bool pop(struct ring *ring, struct frame_at *out)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed); /* Y3: our own */

    if (is_empty(ring))
        return false;
    *out = ring->at[head & ring->mask];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release); /* Y3 */
    return true;
}

static void open_ring(struct ring *ring, uint32_t frames)
{
    uint32_t size = 1;

    while (size < frames)
        size *= 2;
    ring->mask = size - 1;
    ring->at = calloc(size, sizeof(*ring->at));
    if (ring->at == NULL)
        wire_die("no memory");
}

/* ---- the list of wires ---- */

static struct wire **slot_of(const char *name)
{
    struct wire **empty = NULL;

    for (int i = 0; i < WIRES_MAX; i++) {
        if (wires[i] == NULL)
            empty = empty == NULL ? &wires[i] : empty;
        else if (strcmp(wires[i]->name, name) == 0)
            return &wires[i];
    }
    return empty;
}

static struct wire *make_wire(const char *name, uint32_t ring, uint32_t packets)
{
    struct wire *wire = aligned_alloc(EWI_CACHE_LINE, ewi_align_up(sizeof(*wire), EWI_CACHE_LINE));

    if (wire == NULL)
        wire_die("no memory");
    memset(wire, 0, sizeof(*wire));
    snprintf(wire->name, sizeof(wire->name), "%s", name);
    wire->each = packets + 2 * ring + DEVICE_BURST;
    wire->memory = calloc(2 * (size_t)wire->each, WIRE_BUFFER_BYTES);
    wire->state = calloc(2 * (size_t)wire->each, sizeof(*wire->state));
    if (wire->memory == NULL || wire->state == NULL)
        wire_die("no memory");
    for (int end = 0; end < 2; end++) {
        struct device *device = &wire->end[end];

        device->wire = wire;
        device->end = end;
        device->fd = -1;
        open_ring(&device->in, ring);
        open_ring(&device->back, wire->each);
        device->free = calloc(wire->each, sizeof(*device->free));
        if (device->free == NULL)
            wire_die("no memory");
        for (uint32_t i = wire->each; i-- > 0;)
            device->free[device->free_count++] = (uint32_t)end * wire->each + i;
    }
    return wire;
}

static void free_wire(struct wire *wire)
{
    for (int end = 0; end < 2; end++) {
        free(wire->end[end].in.at);
        free(wire->end[end].back.at);
        free(wire->end[end].free);
    }
    free(wire->memory);
    free((void *)wire->state);
    free(wire);
}

/* ---- open, close ---- */

struct words {
    char name[WIRE_NAME_BYTES];
    uint32_t ring;
    bool can_sleep;
};

static int refuse(const struct device_options *options, int code, const char *why)
{
    snprintf(options->reason, DEVICE_REASON_BYTES, "%.60s: %s", options->text, why);
    return code;
}

static int read_words(const struct device_options *options, struct words *words)
{
    char text[256], *word, *rest = text;

    *words = (struct words){.ring = RING_DEFAULT, .can_sleep = true};
    if (strncmp(options->text, "wire:", 5) != 0 || strlen(options->text) >= sizeof(text))
        return refuse(options, -EINVAL, "want wire:name=NAME[,sleep=off][,ring=FRAMES]");
    snprintf(text, sizeof(text), "%s", options->text + 5);
    while ((word = strsep(&rest, ",")) != NULL) {
        if (strncmp(word, "name=", 5) == 0 && word[5] != '\0' && strlen(word + 5) < WIRE_NAME_BYTES)
            memcpy(words->name, word + 5, strlen(word + 5) + 1);
        else if (strcmp(word, "sleep=off") == 0)
            words->can_sleep = false;
        else if (strncmp(word, "ring=", 5) == 0)
            words->ring = (uint32_t)strtoul(word + 5, NULL, 10);
        else
            return refuse(options, -EINVAL, "want wire:name=NAME[,sleep=off][,ring=FRAMES]");
    }
    if (words->name[0] == '\0' || words->ring < 2 || words->ring > RING_MAX)
        return refuse(options, -EINVAL, "no name, or a ring that is not 2..4096");
    return 0;
}

static void set_facts(struct device *device, const struct device_options *options, bool can_sleep)
{
    const uint8_t mac[6] = {2, 'w', 'i', 'r', 'e', (uint8_t)(device->end + 1)};
    struct device_facts *facts = &device->facts;

    *facts = (struct device_facts){.driver = "wire",
                                   .mtu = options->mtu != 0 ? options->mtu : MTU,
                                   .caps = NET_PORT_ETHERNET,
                                   .frame_bytes = WIRE_BUFFER_BYTES,
                                   .packet_charge = WIRE_BUFFER_BYTES,
                                   .can_sleep = can_sleep,
                                   .any_mac = true};
    snprintf(facts->name, sizeof(facts->name), "%s.%d", device->wire->name, device->end);
    memcpy(facts->mac, options->mac_given ? options->mac : mac, sizeof(facts->mac));
    if (!can_sleep)
        snprintf(facts->why, sizeof(facts->why), "this wire was told not to sleep");
}

static int join(struct wire *wire, const struct device_options *options, const struct words *words,
                struct device **out)
{
    struct device *device = &wire->end[wire->end[0].is_open];

    if (device->is_open)
        return refuse(options, -EBUSY, "this wire has two ends already");
    device->fd = words->can_sleep ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (words->can_sleep && device->fd < 0)
        return refuse(options, -errno, "no descriptor");
    device->is_open = true;
    atomic_store_explicit(&device->is_broken, false, memory_order_relaxed); /* Y6 */
    device->random = options->seed;
    set_facts(device, options, words->can_sleep);
    *out = device;
    return 0;
}

static int wire_open(const struct device_options *options, struct device **out)
{
    struct words words;
    struct wire **slot;
    int code = read_words(options, &words);

    if (code != 0)
        return code;
    if (options->mtu > MTU)
        return refuse(options, -EINVAL, "a wire has an MTU of at most 1500");
    pthread_mutex_lock(&wires_lock);
    slot = slot_of(words.name);
    if (slot == NULL)
        wire_die("too many wires");
    if (*slot == NULL)
        *slot = make_wire(words.name, words.ring, options->packets);
    code = join(*slot, options, &words, out);
    if (code != 0 && !(*slot)->end[0].is_open && !(*slot)->end[1].is_open) {
        free_wire(*slot);
        *slot = NULL;
    }
    pthread_mutex_unlock(&wires_lock);
    return code;
}

static uint32_t wire_receive(struct device *device, struct net_rx *packets, uint32_t count);

/* What this end had: armed frames are free again, and so is what it had kept, or had not received. */
static void let_go(struct device *device)
{
    struct wire *wire = device->wire;
    struct device *other = &wire->end[!device->end];
    struct net_rx packet;

    while (wire_receive(device, &packet, 1) == 1)
        ;
    for (uint32_t i = 0; i < wire->each; i++) {
        uint32_t own = (uint32_t)device->end * wire->each + i;
        uint32_t others = (uint32_t)other->end * wire->each + i;

        if (atomic_load_explicit(&wire->state[own], memory_order_relaxed) == ARMED) { /* Y6 */
            move(wire, own, ARMED, FREE);
            device->free[device->free_count++] = own;
        }
        if (atomic_load_explicit(&wire->state[others], memory_order_relaxed) == HELD) { /* Y6 */
            move(wire, others, HELD, FREE);
            if (!push(&other->back, (struct frame_at){.buffer = others}))
                wire_die("more buffers than there are");
        }
    }
}

static void wire_close(struct device *device)
{
    struct wire *wire = device->wire;

    pthread_mutex_lock(&wires_lock);
    let_go(device);
    if (device->fd >= 0)
        close(device->fd);
    device->fd = -1;
    device->is_open = false;
    atomic_store_explicit(&device->armed, false, memory_order_relaxed); /* Y6 */
    if (!wire->end[0].is_open && !wire->end[1].is_open) {
        *slot_of(wire->name) = NULL;
        free_wire(wire);
    }
    pthread_mutex_unlock(&wires_lock);
}

static const struct device_facts *wire_facts(const struct device *device)
{
    return &device->facts;
}

/* ---- packets in ---- */

static uint32_t wire_receive(struct device *device, struct net_rx *packets, uint32_t count)
{
    struct frame_at frame;
    uint32_t done = 0;

    while (done < count && pop(&device->in, &frame)) {
        uint8_t *memory = memory_of(device->wire, frame.buffer);

        move(device->wire, frame.buffer, FLYING, HELD);
        packets[done++] = (struct net_rx){.data = memory,
                                          .ref = memory,
                                          .bytes = frame.bytes,
                                          .room = WIRE_BUFFER_BYTES - frame.bytes,
                                          .charge = WIRE_BUFFER_BYTES};
        device->counts.rx_packets += 1;
        device->counts.rx_bytes += frame.bytes;
    }
    return done;
}

static void wire_give_back(struct device *device, void **refs, uint32_t count)
{
    struct wire *wire = device->wire;
    struct device *other = &wire->end[!device->end];

    for (uint32_t i = 0; i < count; i++) {
        uint32_t buffer = buffer_of(wire, refs[i]);

        if (buffer / wire->each != (uint32_t)other->end)
            wire_die("given back by the end that sent it");
        move(wire, buffer, HELD, FREE);
        if (!push(&other->back, (struct frame_at){.buffer = buffer}))
            wire_die("more buffers than there are");
    }
}

/* ---- frames out ---- */

static uint32_t wire_arm(struct device *device, struct net_frame *frames, uint32_t count)
{
    struct frame_at frame;

    while (pop(&device->back, &frame))
        device->free[device->free_count++] = frame.buffer;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t buffer;

        if (frames[i].room != NULL)
            continue;
        if (device->free_count == 0)
            return i;
        buffer = device->free[--device->free_count];
        move(device->wire, buffer, FREE, ARMED);
        frames[i].room = memory_of(device->wire, buffer);
        frames[i].room_bytes = WIRE_BUFFER_BYTES;
    }
    return count;
}

static uint64_t next_random(struct device *device) /* splitmix64 */
{
    uint64_t z = device->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool is_lost(struct device *device)
{
    uint32_t loss = atomic_load_explicit(&device->loss, memory_order_relaxed); /* Y6 */

    return atomic_load_explicit(&device->wire->is_down, memory_order_relaxed) || /* Y6 */
           !device->wire->end[!device->end].is_open ||
           (loss != 0 && next_random(device) % 1000000 < loss);
}

/* False: the ring is full. */
static bool send_one(struct device *device, const struct net_frame *frame)
{
    struct wire *wire = device->wire;
    uint32_t buffer = buffer_of(wire, frame->room);

    if (frame->bytes == 0 || frame->bytes > WIRE_BUFFER_BYTES)
        wire_die("a frame without bytes, or with too many");
    if (is_lost(device)) {
        move(wire, buffer, ARMED, FREE);
        device->free[device->free_count++] = buffer;
        atomic_fetch_add_explicit(&device->lost, 1, memory_order_relaxed); /* Y6 */
        device->counts.tx_dropped += 1;
        return true;
    }
    move(wire, buffer, ARMED, FLYING);
    if (push(&wire->end[!device->end].in, (struct frame_at){buffer, frame->bytes}))
        return true;
    move(wire, buffer, FLYING, ARMED);
    return false;
}

static void write_one(int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        wire_die("a bell that cannot be rung");
}

static void wake(struct device *from)
{
    struct device *other = &from->wire->end[!from->end];

    atomic_thread_fence(memory_order_seq_cst); /* Y5 */
    if (!atomic_load_explicit(&other->armed, memory_order_relaxed) || /* Y5 */
        !atomic_exchange_explicit(&other->armed, false, memory_order_relaxed))
        return;
    atomic_fetch_add_explicit(&from->wakes, 1, memory_order_relaxed); /* Y6 */
    write_one(other->fd);
}

static uint32_t wire_transmit(struct device *device, struct net_frame *frames, uint32_t count)
{
    uint32_t done = 0;

    if (atomic_load_explicit(&device->is_full, memory_order_relaxed)) /* Y6 */
        return 0;
    while (done < count && send_one(device, &frames[done])) {
        device->counts.tx_packets += 1;
        device->counts.tx_bytes += frames[done].bytes;
        frames[done++].room = NULL;
    }
    if (done != 0) {
        atomic_fetch_add_explicit(&device->sent, done, memory_order_relaxed); /* Y6 */
        wake(device);
    }
    return done;
}

/* ---- sleep ---- */

static int wire_sleep_fd(struct device *device)
{
    return device->fd;
}

static void wire_disarm(struct device *device)
{
    uint64_t ignored;

    atomic_store_explicit(&device->armed, false, memory_order_relaxed); /* Y5: a wake-up too many */
    if (read(device->fd, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
        wire_die("a bell that cannot be read");
}

static int wire_sleep_arm(struct device *device)
{
    wire_disarm(device);
    atomic_store_explicit(&device->armed, true, memory_order_relaxed); /* Y5 */
    atomic_thread_fence(memory_order_seq_cst);                         /* Y5 */
    if (is_empty(&device->in))
        return 0;
    wire_disarm(device);
    return 1;
}

/* ---- looks ---- */

static bool is_broken(const struct device *device)
{
    return atomic_load_explicit(&device->is_broken, memory_order_relaxed); /* Y6 */
}

static bool wire_carrier(struct device *device)
{
    const struct wire *wire = device->wire;

    return !atomic_load_explicit(&wire->is_down, memory_order_relaxed) && /* Y6 */
           !is_broken(&wire->end[0]) && !is_broken(&wire->end[1]);
}

static bool wire_is_lost(struct device *device)
{
    return is_broken(device);
}

static void wire_counts(struct device *device, struct device_counts *out)
{
    *out = device->counts;
}

static void wire_forked(struct device *device)
{
    if (device->fd >= 0)
        close(device->fd);
}

const struct device_ops wire_device = {
    .name = "wire",
    .open = wire_open,
    .close = wire_close,
    .facts = wire_facts,
    .receive = wire_receive,
    .give_back = wire_give_back,
    .arm = wire_arm,
    .transmit = wire_transmit,
    .sleep_fd = wire_sleep_fd,
    .sleep_arm = wire_sleep_arm,
    .sleep_disarm = wire_disarm,
    .carrier = wire_carrier,
    .is_lost = wire_is_lost,
    .counts = wire_counts,
    .forked = wire_forked,
};

static int open_on_wire(const struct stack_options *options, struct ewi_stack **out)
{
    return ewi_shell_open(&wire_device, options, out);
}

static struct stack_ops table;

static void fill_table(void)
{
    table = ewi_shell_ops;
    table.open = open_on_wire;
}

const struct stack_ops *wire_stack(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill_table);
    return &table;
}

struct wire *wire_find(const char *name)
{
    struct wire **slot;

    pthread_mutex_lock(&wires_lock);
    slot = slot_of(name);
    pthread_mutex_unlock(&wires_lock);
    return slot == NULL ? NULL : *slot;
}
