/* What a test may do to a wire, and see of it. */
#include "tests/shell/wire_parts.h"

static struct wire *must_find(const char *name)
{
    struct wire *wire = wire_find(name);

    if (wire == NULL)
        wire_die("there is no such wire");
    return wire;
}

void wire_set_carrier(const char *name, bool is_up)
{
    atomic_store_explicit(&must_find(name)->is_down, !is_up, memory_order_relaxed); /* Y6 */
}

void wire_break(const char *name, int end)
{
    atomic_store_explicit(&must_find(name)->end[end].is_broken, true, memory_order_relaxed); /* Y6 */
}

void wire_set_full(const char *name, int end, bool is_full)
{
    atomic_store_explicit(&must_find(name)->end[end].is_full, is_full, memory_order_relaxed); /* Y6 */
}

void wire_set_loss(const char *name, int end, uint32_t per_million)
{
    atomic_store_explicit(&must_find(name)->end[end].loss, per_million, memory_order_relaxed); /* Y6 */
}

bool wire_look_at(const char *name, struct wire_look *out)
{
    struct wire *wire = wire_find(name);
    uint32_t number[4] = {0};

    *out = (struct wire_look){0};
    if (wire == NULL)
        return false;
    for (uint32_t i = 0; i < 2 * wire->each; i++)
        number[atomic_load_explicit(&wire->state[i], memory_order_relaxed)] += 1; /* Y6 */
    for (int end = 0; end < 2; end++) {
        struct device *device = &wire->end[end];

        out->ends += device->is_open;
        out->sent += atomic_load_explicit(&device->sent, memory_order_relaxed);   /* Y6 */
        out->lost += atomic_load_explicit(&device->lost, memory_order_relaxed);   /* Y6 */
        out->wakes += atomic_load_explicit(&device->wakes, memory_order_relaxed); /* Y6 */
    }
    out->free = number[FREE];
    out->armed = number[ARMED];
    out->flying = number[FLYING];
    out->held = number[HELD];
    out->all = 2 * wire->each;
    return true;
}

uint32_t wire_held_by(const char *name, int end)
{
    struct wire *wire = must_find(name);
    uint32_t held = 0;

    for (uint32_t i = 0; i < wire->each; i++)
        held += atomic_load_explicit(&wire->state[(uint32_t)!end * wire->each + i],
                                     memory_order_relaxed) == HELD; /* Y6 */
    return held;
}

bool wire_is_armed(const char *name, int end)
{
    return atomic_load_explicit(&must_find(name)->end[end].armed, memory_order_relaxed); /* Y6 */
}
