#include "transport/net/wheel.h"

#include <string.h>

enum { BUCKET_BITS = 10, NO_BUCKET = (1 << BUCKET_BITS) - 1 };

static const uint64_t tick_never = (UINT64_C(1) << (64 - NET_TICK_BITS)) - 1;

static_assert((int)NET_WHEEL_BUCKETS < (int)NO_BUCKET, "a bucket fits its part of the key");
static_assert(NET_WHEEL_LEVELS * NET_WHEEL_LEVEL_BITS >= 64 - NET_TICK_BITS, "every u64 time");
static_assert((int)NET_TICK_BITS >= (int)BUCKET_BITS, "a tick fits its part of the key");

static struct net_timer *timer_at(const struct net_wheel *wheel, uint32_t index)
{
    return ewi_net_row(wheel->timers, index);
}

static uint32_t bucket_of(const struct net_timer *timer)
{
    return (uint32_t)timer->key & NO_BUCKET;
}

static uint64_t due_of(const struct net_timer *timer)
{
    return timer->key >> BUCKET_BITS;
}

/* Rounded up: late, never early. The last tick of all is "never". */
static uint64_t tick_of_deadline(uint64_t deadline_ns)
{
    uint64_t tick = deadline_ns >> NET_TICK_BITS;

    if ((deadline_ns & ((UINT64_C(1) << NET_TICK_BITS) - 1)) != 0)
        tick += 1;
    return ewi_min_u64(tick, tick_never);
}

/* First tick of a bucket; for one that is being emptied, at or before the cursor. */
static uint64_t start_of(const struct net_wheel *wheel, uint32_t bucket)
{
    uint32_t level = bucket / NET_WHEEL_SLOTS, slot = bucket % NET_WHEEL_SLOTS;
    uint32_t shift = level * NET_WHEEL_LEVEL_BITS;
    uint64_t above = wheel->cursor >> shift >> NET_WHEEL_LEVEL_BITS;

    return (above << NET_WHEEL_LEVEL_BITS | slot) << shift;
}

/* The level of the highest digit that differs from the cursor, and that digit of the tick. */
static uint32_t bucket_for(const struct net_wheel *wheel, uint64_t tick)
{
    uint64_t differ = tick ^ wheel->cursor;
    uint32_t level = 0, slot;

    if (differ != 0)
        level = (uint32_t)(63 - __builtin_clzll(differ)) / NET_WHEEL_LEVEL_BITS;
    slot = (uint32_t)(tick >> (level * NET_WHEEL_LEVEL_BITS)) % NET_WHEEL_SLOTS;
    return level * NET_WHEEL_SLOTS + slot;
}

void ewi_net_timer_init(struct net_timer *timer)
{
    *timer = (struct net_timer){
        .key = tick_never << BUCKET_BITS | NO_BUCKET,
        .next = NET_NONE,
        .prev = NET_NONE,
    };
}

void ewi_net_wheel_init(struct net_wheel *wheel, struct net_rows timers, uint64_t now_ns)
{
    *wheel = (struct net_wheel){
        .timers = timers,
        .cursor = ewi_min_u64(now_ns >> NET_TICK_BITS, tick_never - 1),
        .moving = NET_NONE,
    };
    memset(wheel->first, 0xff, sizeof(wheel->first));
    memset(wheel->last, 0xff, sizeof(wheel->last));
}

static void link_last(struct net_wheel *wheel, uint32_t index, struct net_timer *timer, uint64_t due)
{
    uint32_t bucket = bucket_for(wheel, due), level = bucket / NET_WHEEL_SLOTS;
    uint32_t last = wheel->last[bucket];

    timer->key = due << BUCKET_BITS | bucket;
    timer->next = NET_NONE;
    timer->prev = last;
    if (last == NET_NONE)
        wheel->first[bucket] = index;
    else
        timer_at(wheel, last)->next = index;
    wheel->last[bucket] = index;
    wheel->filled[level] |= UINT64_C(1) << bucket % NET_WHEEL_SLOTS;
    wheel->levels |= 1u << level;
    wheel->linked += 1;
}

static void empty(struct net_wheel *wheel, uint32_t bucket)
{
    uint32_t level = bucket / NET_WHEEL_SLOTS;

    wheel->filled[level] &= ~(UINT64_C(1) << bucket % NET_WHEEL_SLOTS);
    if (wheel->filled[level] == 0)
        wheel->levels &= ~(1u << level);
    if (wheel->moving == bucket)
        wheel->moving = NET_NONE;
}

static void unlink_timer(struct net_wheel *wheel, struct net_timer *timer)
{
    uint32_t bucket = bucket_of(timer);

    if (timer->prev == NET_NONE)
        wheel->first[bucket] = timer->next;
    else
        timer_at(wheel, timer->prev)->next = timer->next;
    if (timer->next == NET_NONE)
        wheel->last[bucket] = timer->prev;
    else
        timer_at(wheel, timer->next)->prev = timer->prev;
    if (wheel->first[bucket] == NET_NONE)
        empty(wheel, bucket);
    wheel->linked -= 1;
    ewi_net_timer_init(timer);
}

void ewi_net_wheel_arm(struct net_wheel *wheel, uint32_t index, uint64_t deadline_ns)
{
    struct net_timer *timer = timer_at(wheel, index);
    uint64_t due = ewi_max_u64(tick_of_deadline(deadline_ns), wheel->cursor);
    uint32_t bucket = bucket_of(timer);

    if (bucket != NO_BUCKET) {
        if (due >= start_of(wheel, bucket)) { /* I3: the usual case */
            timer->key = due << BUCKET_BITS | bucket;
            return;
        }
        unlink_timer(wheel, timer);
    }
    if (due != tick_never)
        link_last(wheel, index, timer, due);
}

void ewi_net_wheel_remove(struct net_wheel *wheel, uint32_t index)
{
    struct net_timer *timer = timer_at(wheel, index);

    if (bucket_of(timer) != NO_BUCKET)
        unlink_timer(wheel, timer);
}

uint64_t ewi_net_wheel_deadline(const struct net_wheel *wheel, uint32_t index)
{
    uint64_t due = due_of(timer_at(wheel, index));

    return due == tick_never ? NET_NEVER : due << NET_TICK_BITS;
}

/* The bucket to empty next, and the tick to be at then. Buckets of a level come before those of the
 * next one, because they share with the cursor every digit above their own. */
static uint32_t next_bucket(const struct net_wheel *wheel, uint64_t *tick)
{
    uint32_t level, bucket;

    *tick = wheel->cursor;
    if (wheel->moving != NET_NONE)
        return wheel->moving;
    if (wheel->levels == 0)
        return NET_NONE;
    level = (uint32_t)__builtin_ctz(wheel->levels);
    bucket = level * NET_WHEEL_SLOTS + (uint32_t)__builtin_ctzll(wheel->filled[level]);
    *tick = start_of(wheel, bucket);
    return bucket;
}

/* Take timers out of a bucket that begins at or before the cursor: due ones are reported, the others
 * go where they belong now. Returns how many it looked at. */
static uint32_t empty_bucket(struct net_wheel *wheel, uint32_t bucket, uint32_t visits_max,
                             uint32_t *due, uint32_t room, uint32_t *found)
{
    uint32_t visits = 0;

    while (wheel->first[bucket] != NET_NONE && visits < visits_max && *found < room) {
        uint32_t index = wheel->first[bucket];
        struct net_timer *timer = timer_at(wheel, index);
        uint64_t tick = due_of(timer);

        visits += 1;
        if (timer->next != NET_NONE)
            __builtin_prefetch(timer_at(wheel, timer->next));
        unlink_timer(wheel, timer);
        if (tick <= wheel->cursor)
            due[(*found)++] = index;
        else if (tick != tick_never)
            link_last(wheel, index, timer, tick);
    }
    return visits;
}

uint32_t ewi_net_wheel_advance(struct net_wheel *wheel, uint64_t now_ns, uint32_t *due,
                               uint32_t room)
{
    uint64_t target = ewi_min_u64(now_ns >> NET_TICK_BITS, tick_never - 1);
    uint32_t found = 0, visits = 0;

    while (visits < NET_WHEEL_VISITS && found < room) {
        uint64_t tick;
        uint32_t bucket = next_bucket(wheel, &tick);

        if (bucket == NET_NONE || tick > ewi_max_u64(target, wheel->cursor)) {
            wheel->cursor = ewi_max_u64(target, wheel->cursor);
            break;
        }
        wheel->cursor = tick;
        if (bucket >= NET_WHEEL_SLOTS)
            wheel->moving = bucket;
        visits += empty_bucket(wheel, bucket, NET_WHEEL_VISITS - visits, due, room, &found);
    }
    return found;
}

uint64_t ewi_net_wheel_next(const struct net_wheel *wheel)
{
    uint64_t tick;

    if (next_bucket(wheel, &tick) == NET_NONE)
        return NET_NEVER;
    return tick << NET_TICK_BITS;
}
