#include "transport/net/runs.h"

#include "transport/net/run_list.h"

void ewi_net_runs_init(struct net_runs *runs, uint64_t nxt)
{
    *runs = (struct net_runs){.una = nxt, .nxt = nxt, .fack = nxt};
}

void ewi_net_runs_fini(struct net_run_pool *pool, struct net_runs *runs)
{
    while (runs->head != 0)
        ewi_net_run_remove(pool, runs, runs->head);
    runs->una = runs->nxt;
}

/* ---- sent ---- */

static void check_sent(const struct net_run_pool *pool, const struct net_runs *runs,
                       const struct net_sent *sent)
{
    EWI_ASSERT(sent->bytes > 0 && sent->segment_bytes > 0);
    EWI_ASSERT(runs->newest == 0 || sent->now_ns >= ewi_net_run(pool, runs->newest)->tx_ns);
}

/* Does new data continue the burst that the last run is? */
static bool continues(const struct net_runs *runs, const struct net_run *tail,
                      const struct net_sent *sent)
{
    return tail->flags == sent->flags && tail->tx_ns == sent->now_ns &&
           tail->delivered == runs->delivered && tail->bytes % tail->segment_bytes == 0 &&
           (sent->segment_bytes == tail->segment_bytes ||
            (sent->bytes <= sent->segment_bytes && sent->bytes <= tail->segment_bytes));
}

static void extend(struct net_run_pool *pool, struct net_runs *runs, const struct net_sent *sent)
{
    struct net_run *tail = ewi_net_run(pool, runs->tail);

    tail->bytes += sent->bytes; /* never sent again, so in no sum */
    tail->segments += ewi_net_segments(sent->bytes, tail->segment_bytes);
}

/* I5: new data shares the last run, whose earlier times are forgotten. */
static void mix(struct net_run_pool *pool, struct net_runs *runs, const struct net_sent *sent)
{
    struct net_run *tail = ewi_net_run(pool, runs->tail);
    uint32_t segments = tail->segments + ewi_net_segments(sent->bytes, sent->segment_bytes);
    uint8_t resent = tail->flags & NET_RUN_RESENT;

    pool->mixed += 1;
    if (resent)
        runs->resent_bytes += sent->bytes;
    tail->bytes += sent->bytes;
    ewi_net_run_send(pool, runs, runs->tail, sent,
                     (uint8_t)(sent->flags | resent | NET_RUN_MIXED));
    tail->segments = segments;
}

int ewi_net_runs_sent(struct net_run_pool *pool, struct net_runs *runs,
                      const struct net_sent *sent)
{
    struct net_run run = {.from = runs->nxt,
                          .tx_ns = sent->now_ns,
                          .delivered = runs->delivered,
                          .bytes = sent->bytes,
                          .segment_bytes = sent->segment_bytes,
                          .segments = ewi_net_segments(sent->bytes, sent->segment_bytes),
                          .flags = sent->flags};
    struct net_run *tail = ewi_net_run(pool, runs->tail);

    check_sent(pool, runs, sent);
    EWI_ASSERT(runs->nxt - runs->una + sent->bytes <= NET_WINDOW_BYTES_MAX);
    if (runs->tail != 0 && continues(runs, tail, sent)) {
        extend(pool, runs, sent);
    } else if (ewi_net_run_add(pool, runs, runs->tail, &run) == 0) {
        if (runs->tail == 0 || (tail->flags & NET_RUN_AWAY)) {
            pool->refused += 1;
            return EW_EAGAIN;
        }
        mix(pool, runs, sent);
    }
    runs->nxt += sent->bytes;
    return EW_OK;
}

/* ---- sent again ---- */

static bool may_give_left(const struct net_run_pool *pool, const struct net_runs *runs,
                          const struct net_run *run, const struct net_sent *sent)
{
    const struct net_run *left = ewi_net_run(pool, run->prev);

    return run->prev != 0 && left->flags == (sent->flags | NET_RUN_RESENT) &&
           left->tx_ns == sent->now_ns && left->delivered == runs->delivered &&
           left->segment_bytes == sent->segment_bytes && left->bytes % left->segment_bytes == 0;
}

/* Sends again what of [from, end) is in this run; returns where to go on. */
static uint64_t resend_in(struct net_run_pool *pool, struct net_runs *runs, uint64_t from,
                          uint64_t end, const struct net_sent *sent)
{
    uint32_t index = ewi_net_run_find(pool, runs, from);
    struct net_run *run = ewi_net_run(pool, index);
    uint64_t run_end = ewi_net_run_end(run), go_on = ewi_min_u64(run_end, end);
    uint8_t flags = (uint8_t)(sent->flags | NET_RUN_RESENT);
    uint32_t right;

    if (run->flags & NET_RUN_SACKED)
        return go_on;
    if (run->from == from && run_end > end && may_give_left(pool, runs, run, sent)) {
        ewi_net_run_give_left(pool, runs, index, (uint32_t)(end - from));
        return go_on;
    }
    if (run->from < from) {
        right = ewi_net_run_split(pool, runs, index, from);
        if (right == 0)
            flags |= NET_RUN_LATE;
        else
            index = right;
    }
    if (run_end > end && ewi_net_run_split(pool, runs, index, end) == 0)
        flags |= NET_RUN_LATE; /* I5: the rest was not sent, but RACK or RTO will find it */
    if (flags & NET_RUN_LATE)
        pool->mixed += 1;
    ewi_net_run_send(pool, runs, index, sent, flags);
    ewi_net_run_merge(pool, runs, index);
    return go_on;
}

void ewi_net_runs_resent(struct net_run_pool *pool, struct net_runs *runs, uint64_t from,
                         const struct net_sent *sent)
{
    uint64_t end = from + sent->bytes;

    check_sent(pool, runs, sent);
    EWI_ASSERT(from >= runs->una && end <= runs->nxt);
    while (from < end)
        from = resend_in(pool, runs, from, end, sent);
}

/* ---- loss ---- */

void ewi_net_runs_lose(struct net_run_pool *pool, struct net_runs *runs, uint32_t index)
{
    struct net_run *run = ewi_net_run(pool, index);

    EWI_ASSERT(!(run->flags & NET_RUN_AWAY));
    ewi_net_run_change(pool, runs, index, (uint8_t)(run->flags | NET_RUN_LOST));
    ewi_net_run_merge(pool, runs, index);
}

void ewi_net_runs_lose_first(struct net_run_pool *pool, struct net_runs *runs)
{
    struct net_run *run = ewi_net_run(pool, runs->head);

    if (runs->head == 0 || (run->flags & NET_RUN_AWAY))
        return;
    if (run->bytes > run->segment_bytes &&
        ewi_net_run_split(pool, runs, runs->head, run->from + run->segment_bytes) == 0)
        pool->mixed += 1; /* I5: more is sent again than need be */
    ewi_net_runs_lose(pool, runs, runs->head);
}

void ewi_net_runs_lose_all(struct net_run_pool *pool, struct net_runs *runs)
{
    while (runs->oldest != 0)
        ewi_net_runs_lose(pool, runs, runs->oldest);
}

void ewi_net_runs_lose_older(struct net_run_pool *pool, struct net_runs *runs, uint64_t before_ns)
{
    while (runs->oldest != 0 && ewi_net_run(pool, runs->oldest)->tx_ns < before_ns)
        ewi_net_runs_lose(pool, runs, runs->oldest);
}

void ewi_net_runs_forget_sacks(struct net_run_pool *pool, struct net_runs *runs)
{
    for (uint32_t index = runs->head; index != 0; index = ewi_net_run(pool, index)->next) {
        struct net_run *run = ewi_net_run(pool, index);

        if (!(run->flags & NET_RUN_SACKED))
            continue;
        /* Its times may be those of another part, and the original did arrive: no sample of it. */
        ewi_net_run_change(pool, runs, index,
                           (uint8_t)((run->flags & ~NET_RUN_SACKED) | NET_RUN_LOST |
                                     NET_RUN_LATE | NET_RUN_RESENT));
        index = ewi_net_run_merge(pool, runs, index);
    }
}

bool ewi_net_runs_next_lost(const struct net_run_pool *pool, struct net_runs *runs,
                            uint64_t *from, uint32_t *bytes)
{
    uint32_t index = runs->lost_hint != 0 ? runs->lost_hint : runs->head;

    if (runs->lost_bytes == 0)
        return false;
    while (!(ewi_net_run(pool, index)->flags & NET_RUN_LOST))
        index = ewi_net_run(pool, index)->next;
    runs->lost_hint = index;
    *from = ewi_net_run(pool, index)->from;
    *bytes = ewi_net_run(pool, index)->bytes;
    return true;
}

/* ---- the tail ---- */

bool ewi_net_runs_last_segment(const struct net_run_pool *pool, const struct net_runs *runs,
                               uint64_t *from, uint32_t *bytes)
{
    const struct net_run *tail = ewi_net_run(pool, runs->tail);
    uint32_t rest;

    if (runs->tail == 0 || (tail->flags & NET_RUN_SACKED))
        return false;
    rest = tail->bytes % tail->segment_bytes;
    *bytes = rest != 0 ? rest : tail->segment_bytes;
    *from = runs->nxt - *bytes;
    return true;
}

bool ewi_net_runs_is_one_segment(const struct net_run_pool *pool, const struct net_runs *runs)
{
    return runs->head != 0 && runs->head == runs->tail &&
           ewi_net_run(pool, runs->head)->segments == 1;
}

/* ---- invariants ---- */

struct sums {
    uint32_t runs, in_flight, sacked, lost, resent, segments;
};

static bool sums_agree(const struct net_runs *runs, const struct sums *sums)
{
    return runs->sacked_bytes == sums->sacked && runs->lost_bytes == sums->lost &&
           runs->resent_bytes == sums->resent && runs->sacked_segments == sums->segments &&
           runs->nxt - runs->una >= (uint64_t)sums->sacked + sums->lost + sums->resent;
}

static void add_up(struct sums *sums, const struct net_run *run)
{
    sums->runs += 1;
    if (run->flags & NET_RUN_SACKED) {
        sums->sacked += run->bytes;
        sums->segments += run->segments;
    } else if (run->flags & NET_RUN_LOST) {
        sums->lost += run->bytes;
    } else {
        sums->in_flight += 1;
        if (run->flags & NET_RUN_RESENT)
            sums->resent += run->bytes;
    }
}

/* Is the list by age sorted, whole, and of runs in flight only? */
static bool ages_hold(const struct net_run_pool *pool, const struct net_runs *runs,
                      uint32_t in_flight)
{
    uint32_t index = runs->oldest, older = 0, count = 0;
    uint64_t tx_ns = 0;

    for (; index != 0 && count <= in_flight; count++) {
        const struct net_run *run = ewi_net_run(pool, index);

        if ((run->flags & NET_RUN_AWAY) || run->older != older || run->tx_ns < tx_ns)
            return false;
        tx_ns = run->tx_ns;
        older = index;
        index = run->newer;
    }
    return count == in_flight && runs->newest == older;
}

int ewi_net_runs_check(const struct net_run_pool *pool, const struct net_runs *runs)
{
    uint64_t position = runs->una;
    uint32_t prev = 0;
    struct sums sums = {0};
    bool hint_passed = runs->lost_hint == 0;

    for (uint32_t index = runs->head; index != 0; index = ewi_net_run(pool, index)->next) {
        const struct net_run *run = ewi_net_run(pool, index);

        hint_passed |= index == runs->lost_hint;
        if (run->from != position || run->bytes == 0 || run->prev != prev ||
            sums.runs >= runs->runs)
            return 1;
        if ((run->flags & NET_RUN_AWAY) == NET_RUN_AWAY || run->segments == 0 ||
            (!hint_passed && (run->flags & NET_RUN_LOST)))
            return 3;
        add_up(&sums, run);
        position += run->bytes;
        prev = index;
    }
    if (position != runs->nxt || runs->tail != prev)
        return 1;
    if (!sums_agree(runs, &sums))
        return 2;
    if (!hint_passed || !ages_hold(pool, runs, sums.in_flight))
        return 3;
    if (sums.runs != runs->runs || runs->runs > pool->runs_each_max ||
        pool->free > pool->runs_all - runs->runs)
        return 4;
    return 0;
}
