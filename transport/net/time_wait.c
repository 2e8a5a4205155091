#include "transport/net/time_wait.h"

#include "transport/net/seq.h"
#include "transport/net/wheel.h"

enum { SECOND_BITS = 30 }; /* about a second of ns */

/* ---- memory ---- */

static size_t pool_bytes(uint32_t capacity)
{
    return ewi_align_up(ewi_net_pool_bytes(capacity, sizeof(struct net_time_wait)), NET_ALIGN);
}

static size_t table_bytes(uint32_t capacity)
{
    return ewi_align_up(ewi_net_table_bytes(capacity), NET_ALIGN);
}

size_t ewi_net_time_waits_bytes(uint32_t capacity)
{
    if (pool_bytes(capacity) == 0)
        return 0;
    return pool_bytes(capacity) + table_bytes(capacity) +
           capacity * sizeof(struct net_time_wait_line);
}

void ewi_net_time_waits_init(struct net_time_waits *waits, void *memory, uint32_t capacity,
                             uint64_t duration_ns)
{
    uint8_t *table = (uint8_t *)memory + pool_bytes(capacity);

    EWI_ASSERT(ewi_net_time_waits_bytes(capacity) != 0);
    *waits = (struct net_time_waits){
        .line = (void *)(table + table_bytes(capacity)),
        .oldest = NET_NONE,
        .newest = NET_NONE,
        .duration_ns = duration_ns,
    };
    ewi_net_pool_init(&waits->pool, memory, capacity, sizeof(struct net_time_wait));
    ewi_net_table_init(&waits->table, table, capacity, waits->pool.objects);
}
static_assert(offsetof(struct net_time_wait, tuple) == 0, "the table looks for it there");

/* ---- time ---- */

static uint64_t ticks_of(uint64_t ns)
{
    return ns >> NET_TIME_WAIT_TICK_BITS;
}

/* Ticks from a moment to the first one that is surely so long after it. */
static uint64_t ticks_until(uint64_t ns)
{
    return ticks_of(ns + (1u << NET_TIME_WAIT_TICK_BITS) - 1) + 1;
}

static uint32_t age(const struct net_time_waits *waits, uint32_t index, uint64_t now)
{
    return (uint32_t)ticks_of(now) - waits->line[index].since;
}

static void note_time(struct net_time_waits *waits, uint64_t now)
{
    EWI_ASSERT(now >= waits->now);
    waits->now = now;
}

/* ---- the queue ---- */

static void append(struct net_time_waits *waits, uint32_t index)
{
    struct net_time_wait_line *line = &waits->line[index];

    line->since = (uint32_t)ticks_of(waits->now);
    line->older = waits->newest;
    line->newer = NET_NONE;
    *(waits->newest != NET_NONE ? &waits->line[waits->newest].newer : &waits->oldest) = index;
    waits->newest = index;
}

static void unlink_line(struct net_time_waits *waits, uint32_t index)
{
    uint32_t older = waits->line[index].older, newer = waits->line[index].newer;

    *(older != NET_NONE ? &waits->line[older].newer : &waits->oldest) = newer;
    *(newer != NET_NONE ? &waits->line[newer].older : &waits->newest) = older;
}

/* ---- records ---- */

uint32_t ewi_net_time_wait_find(const struct net_time_waits *waits, uint64_t hash,
                                const struct net_tuple *tuple)
{
    return ewi_net_table_find(&waits->table, hash, tuple);
}

void ewi_net_time_wait_remove(struct net_time_waits *waits, uint32_t index)
{
    uint64_t hash = (uint64_t)waits->line[index].tag << 32;
    bool was_there = ewi_net_table_remove(&waits->table, hash, index);

    EWI_ASSERT(was_there);
    unlink_line(waits, index);
    ewi_net_pool_give(&waits->pool, index);
}

int ewi_net_time_wait_add(struct net_time_waits *waits, uint64_t hash,
                          const struct net_time_wait *values, uint64_t now)
{
    struct net_time_wait *record;
    uint32_t index;
    int code;

    note_time(waits, now);
    if (ewi_net_table_find(&waits->table, hash, &values->tuple) != NET_NONE)
        return EW_EINUSE;
    if (waits->pool.used == waits->pool.slots) {
        ewi_net_time_wait_remove(waits, waits->oldest);
        waits->early += 1;
    }
    index = ewi_net_pool_take(&waits->pool);
    record = ewi_net_pool_at(&waits->pool, index);
    *record = *values;
    record->challenges = 0;
    waits->line[index].tag = (uint32_t)(hash >> 32);
    code = ewi_net_table_insert(&waits->table, hash, index);
    if (code != EW_OK)
        ewi_net_pool_give(&waits->pool, index);
    else
        append(waits, index);
    return code;
}

uint32_t ewi_net_time_wait_expire(struct net_time_waits *waits, uint64_t now, uint32_t most)
{
    uint64_t life = ticks_until(waits->duration_ns);
    uint32_t gone = 0;

    note_time(waits, now);
    while (gone < most && waits->oldest != NET_NONE && age(waits, waits->oldest, now) >= life) {
        ewi_net_time_wait_remove(waits, waits->oldest);
        gone += 1;
    }
    return gone;
}

uint64_t ewi_net_time_wait_next(const struct net_time_waits *waits)
{
    uint64_t life = ticks_until(waits->duration_ns);

    if (waits->oldest == NET_NONE)
        return NET_NEVER;
    return (ticks_of(waits->now) - age(waits, waits->oldest, waits->now) + life)
           << NET_TIME_WAIT_TICK_BITS;
}

/* ---- segments ---- */

/* RFC 6191 section 2. The sequence number last seen is that of the FIN, before rcv_nxt. */
static bool is_new_incarnation(const struct net_time_wait *record, const struct net_tcp *syn)
{
    bool is_higher = ewi_net_seq_before(record->rcv_nxt - 1, syn->sequence);

    if ((syn->has & NET_TCP_HAS_TIMES) == 0)
        return is_higher;
    if (!record->has_times)
        return true;
    if (syn->time == record->ts_recent)
        return is_higher;
    return ewi_net_seq_before(record->ts_recent, syn->time);
}

/* What is not a new incarnation is dropped in silence: RFC 6191 section 2. RFC 9293 section 3.6.1
 * (MAY-2): our new number is above the largest that we used. */
static enum net_time_wait_verdict take_syn(const struct net_time_wait *record,
                                           const struct net_tcp *syn, uint32_t *least_isn)
{
    if ((syn->flags & NET_TCP_ACK) != 0) /* RFC 5961 section 4 */
        return NET_TW_CHALLENGE;
    if (!is_new_incarnation(record, syn))
        return NET_TW_IGNORE;
    *least_isn = record->snd_nxt;
    return NET_TW_OPEN;
}

/* RFC 5961 section 5, with the widest window there is: the one that we had is forgotten. */
static bool is_ack_good(const struct net_time_wait *record, const struct net_tcp *segment)
{
    return (segment->flags & NET_TCP_ACK) != 0 &&
           record->snd_nxt - segment->acknowledgment <= NET_WINDOW_BYTES_MAX;
}

/* RFC 9293 section 3.10.7.4: the only thing that should arrive here. */
static bool is_last_fin(const struct net_time_wait *record, const struct net_tcp *segment,
                        uint32_t payload_bytes)
{
    return (segment->flags & NET_TCP_FIN) != 0 &&
           segment->sequence + payload_bytes + 1 == record->rcv_nxt && is_ack_good(record, segment);
}

/* With a window of 0, because behind the FIN there is nothing: only an empty segment is acceptable. */
static bool is_acceptable(const struct net_time_wait *record, const struct net_tcp *segment,
                          uint32_t payload_bytes)
{
    return (segment->flags & NET_TCP_FIN) == 0 && payload_bytes == 0 &&
           segment->sequence == record->rcv_nxt;
}

static void start_again(struct net_time_waits *waits, uint32_t index)
{
    unlink_line(waits, index);
    append(waits, index);
}

static enum net_time_wait_verdict take_rest(struct net_time_waits *waits, uint32_t index,
                                            const struct net_tcp *segment, uint32_t payload_bytes)
{
    struct net_time_wait *record = ewi_net_pool_at(&waits->pool, index);
    bool is_fin = is_last_fin(record, segment, payload_bytes);

    if (!is_fin && !is_acceptable(record, segment, payload_bytes))
        return NET_TW_CHALLENGE;
    if ((segment->flags & NET_TCP_ACK) == 0)
        return NET_TW_IGNORE;
    if (!is_ack_good(record, segment))
        return NET_TW_CHALLENGE;
    if (record->has_times) /* RFC 7323 section 4.3; PAWS has passed, so it is not before ts_recent */
        record->ts_recent = segment->time;
    if (!is_fin)
        return NET_TW_IGNORE;
    start_again(waits, index);
    return NET_TW_ACK;
}

static enum net_time_wait_verdict judge(struct net_time_waits *waits, uint32_t index,
                                        const struct net_tcp *segment, uint32_t payload_bytes,
                                        uint32_t *least_isn)
{
    const struct net_time_wait *record = ewi_net_pool_at(&waits->pool, index);

    if ((segment->flags & NET_TCP_RST) != 0)
        return NET_TW_IGNORE;
    if ((segment->flags & NET_TCP_SYN) != 0)
        return take_syn(record, segment, least_isn);
    if (record->has_times && (segment->has & NET_TCP_HAS_TIMES) == 0) /* RFC 7323 section 3.2 */
        return NET_TW_IGNORE;
    if (record->has_times && ewi_net_seq_before(segment->time, record->ts_recent))
        return NET_TW_CHALLENGE; /* RFC 7323 section 5.3 R1 */
    return take_rest(waits, index, segment, payload_bytes);
}

/* RFC 5961 section 7: two ends that challenge each other must come to rest. */
static bool may_challenge(struct net_time_waits *waits, uint32_t index)
{
    struct net_time_wait *record = ewi_net_pool_at(&waits->pool, index);
    uint16_t second = (uint16_t)(waits->now >> SECOND_BITS);

    if (record->challenged != second) {
        record->challenged = second;
        record->challenges = 0;
    }
    if (record->challenges == NET_TIME_WAIT_CHALLENGES) {
        waits->limited += 1;
        return false;
    }
    record->challenges += 1;
    return true;
}

enum net_time_wait_verdict ewi_net_time_wait_segment(struct net_time_waits *waits, uint32_t index,
                                                     const struct net_tcp *segment,
                                                     uint32_t payload_bytes, uint64_t now,
                                                     uint32_t *least_isn)
{
    enum net_time_wait_verdict verdict;

    note_time(waits, now);
    verdict = judge(waits, index, segment, payload_bytes, least_isn);
    if (verdict == NET_TW_CHALLENGE && !may_challenge(waits, index))
        return NET_TW_IGNORE;
    return verdict;
}

bool ewi_net_time_wait_may_reuse(const struct net_time_waits *waits, uint32_t index,
                                 bool with_times, uint64_t now, uint32_t *least_isn)
{
    const struct net_time_wait *record = ewi_net_time_wait_at(waits, index);

    if (!with_times || !record->has_times)
        return false;
    if (age(waits, index, now) < ticks_until(NET_TIME_WAIT_REUSE_NS))
        return false;
    *least_isn = record->snd_nxt;
    return true;
}
