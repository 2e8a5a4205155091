#include "tests/sim/net_wire.h"

struct sim sim;

bool chance(uint32_t of_a_million)
{
    return of_a_million != 0 && harness_below(&sim.random, SIM_CHANCE) < of_a_million;
}

uint64_t sim_below(uint64_t bound)
{
    return bound == 0 ? 0 : harness_below(&sim.random, bound);
}

uint64_t sim_between(uint64_t low, uint64_t high)
{
    return harness_between(&sim.random, low, high);
}

/* ---- bytes that say where they belong ---- */

uint64_t pattern_word(uint64_t seed, uint64_t index)
{
    struct harness_random random = {seed + index * UINT64_C(0xd1342543de82ef95)};

    return harness_next(&random);
}

void pattern_fill(uint8_t *to, uint64_t seed, uint64_t at, size_t bytes)
{
    uint64_t word = pattern_word(seed, at / 8) >> (at % 8 * 8);

    for (size_t i = 0; i < bytes; i++) {
        if ((at + i) % 8 == 0)
            word = pattern_word(seed, (at + i) / 8);
        to[i] = (uint8_t)word;
        word >>= 8;
    }
}

size_t pattern_wrong(const uint8_t *have, uint64_t seed, uint64_t at, size_t bytes)
{
    uint64_t word = pattern_word(seed, at / 8) >> (at % 8 * 8);

    for (size_t i = 0; i < bytes; i++) {
        if ((at + i) % 8 == 0)
            word = pattern_word(seed, (at + i) / 8);
        if (have[i] != (uint8_t)word)
            return i;
        word >>= 8;
    }
    return bytes;
}

/* ---- the heap ---- */

static bool is_sooner(const struct happening *a, const struct happening *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void heap_swap(uint32_t i, uint32_t j)
{
    struct happening kept = sim.heap[i];

    sim.heap[i] = sim.heap[j];
    sim.heap[j] = kept;
}

void post(struct happening what)
{
    uint32_t i = sim.happenings;

    CHECK(what.at >= sim.now);
    if (i == sim.heap_room) {
        sim.heap_room = i == 0 ? 256 : i * 2;
        sim.heap = realloc(sim.heap, sim.heap_room * sizeof(*sim.heap));
        CHECK(sim.heap != NULL);
    }
    what.order = ++sim.order;
    sim.heap[i] = what;
    sim.happenings += 1;
    for (; i > 0 && is_sooner(&sim.heap[i], &sim.heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap_swap(i, (i - 1) / 2);
}

struct happening take_next(void)
{
    struct happening next = sim.heap[0];
    uint32_t i = 0;

    sim.heap[0] = sim.heap[--sim.happenings];
    for (;;) {
        uint32_t least = i, left = 2 * i + 1;

        if (left < sim.happenings && is_sooner(&sim.heap[left], &sim.heap[least]))
            least = left;
        if (left + 1 < sim.happenings && is_sooner(&sim.heap[left + 1], &sim.heap[least]))
            least = left + 1;
        if (least == i)
            return next;
        heap_swap(i, least);
        i = least;
    }
}

void call_at(uint64_t at, void (*call)(int), int argument)
{
    post((struct happening){.at = at, .kind = CALL, .who = argument, .call = call});
}

/* ---- frames ---- */

struct frame *frame_new(const uint8_t *data, uint32_t bytes)
{
    struct frame *frame = malloc(sizeof(*frame) + bytes);

    CHECK(frame != NULL);
    *frame = (struct frame){.bytes = bytes};
    if (data != NULL)
        memcpy(frame->data, data, bytes);
    return frame;
}

struct frame *frame_copy(const struct frame *frame)
{
    struct frame *copy = frame_new(frame->data, frame->bytes);

    copy->from = frame->from;
    copy->corrupt = frame->corrupt;
    copy->blank = frame->blank;
    return copy;
}

uint16_t frame_type(const struct frame *frame)
{
    return (uint16_t)(frame->data[12] << 8 | frame->data[13]);
}

bool frame_is_ip(const struct frame *frame)
{
    return frame_type(frame) == NET_ETHER_IP4 || frame_type(frame) == NET_ETHER_IP6;
}

uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

bool frame_mark(struct frame *frame)
{
    uint8_t *ip = frame->data + NET_ETHER_BYTES;

    if (frame_type(frame) == NET_ETHER_IP4) {
        uint16_t word = get16(ip), sum = (uint16_t)~get16(ip + 10), without = (uint16_t)~word;

        if ((word & 3) == 0)
            return false;
        put16(ip, word | 3);
        /* RFC 1624 equation 3 */
        put16(ip + 10, ewi_net_sum_finish(ewi_net_sum_fold((uint64_t)sum + without + (word | 3u))));
        return true;
    }
    if (frame_type(frame) != NET_ETHER_IP6 || (ip[1] & 0x30) == 0)
        return false;
    ip[1] |= 0x30;
    return true;
}

void frame_corrupt(struct frame *frame)
{
    uint32_t at;
    uint16_t flip;

    if (!frame_is_ip(frame) || frame->bytes < 40)
        return;
    at = (uint32_t)sim_below(frame->bytes - 1);
    if (at >= NET_ETHER_BYTES)
        at &= ~1u; /* the words that IP sums */
    flip = (uint16_t)(chance(SIM_CHANCE / 2) ? 1u << sim_below(16) : sim_between(1, 0xfffe));
    put16(frame->data + at, get16(frame->data + at) ^ flip);
    frame->corrupt = true;
}

/* ---- wires ---- */

uint64_t wire_time(const struct wire *wire, uint64_t bytes)
{
    return wire->plan.rate == 0 ? 0 : bytes * 8 * SEC / wire->plan.rate;
}

uint64_t wire_queued(const struct wire *wire)
{
    if (wire->busy_until <= sim.now || wire->plan.rate == 0)
        return 0;
    return (wire->busy_until - sim.now) * (wire->plan.rate / 8000) / MS;
}

/* No room for it: the tail is dropped. */
static bool wire_is_full(struct wire *wire, struct frame *frame)
{
    uint64_t queued = wire_queued(wire);

    if (wire->plan.queue != 0 && queued + frame->bytes > wire->plan.queue)
        return true;
    if (wire->plan.mark != 0 && queued > wire->plan.mark && frame_mark(frame))
        wire->marked += 1;
    if (queued > wire->queue_most)
        wire->queue_most = queued;
    return false;
}

static bool wire_is_dark(const struct wire *wire)
{
    return sim.now >= wire->dark_from && sim.now < wire->dark_to;
}

static void frame_drop(struct frame *frame, uint64_t *counter)
{
    *counter += 1;
    free(frame);
}

void wire_send(struct wire *wire, int index, struct frame *frame, struct happening to)
{
    const struct wire_plan *plan = &wire->plan;

    wire->frames += 1;
    wire->bytes += frame->bytes;
    if (wire_is_dark(wire) || (sim.judge != NULL && sim.judge(index, frame)) ||
        chance(plan->loss)) {
        frame_drop(frame, &wire->lost);
        return;
    }
    if (wire_is_full(wire, frame)) {
        frame_drop(frame, &wire->dropped);
        return;
    }
    if (chance(plan->corrupt)) {
        frame_corrupt(frame);
        wire->flipped += frame->corrupt;
    }
    if (wire->busy_until < sim.now)
        wire->busy_until = sim.now;
    wire->busy_until += wire_time(wire, frame->bytes);
    to.at = wire->busy_until + plan->delay;
    if (chance(plan->twice)) {
        struct happening again = to;

        again.frame = frame_copy(frame);
        again.at += sim_below(plan->late_by + 1);
        wire->doubled += 1;
        post(again);
    }
    if (chance(plan->late))
        to.at += sim_below(plan->late_by + 1);
    to.frame = frame;
    post(to);
}
