/* Do the runs agree with one flag per byte, whatever is sent, lost and acknowledged, also by a liar? */
#include "tests/c/net_runs_base.h"

enum { SPACE = 6000, ROUNDS = 20, SMALL_CONNECTIONS = 3 };

enum byte_state { GONE, FLIGHT, LOST, SACKED };

struct byte {
    uint8_t state;
    bool resent;
    bool vague;      /* was lost or mixed: its time may be forgotten */
    uint64_t tx_ns;
};

struct model {
    struct byte byte[SPACE];
    uint32_t una, nxt, fack;
    uint64_t delivered;
};

/* ---- the slow and obvious way ---- */

static void model_send(struct model *m, uint32_t bytes, uint64_t now_ns)
{
    for (; bytes > 0; bytes--)
        m->byte[m->nxt++] = (struct byte){.state = FLIGHT, .tx_ns = now_ns};
}

static void model_resend(struct model *m, uint32_t from, uint32_t bytes, uint64_t now_ns)
{
    for (uint32_t i = from; i < from + bytes; i++)
        if (m->byte[i].state != SACKED)
            m->byte[i] = (struct byte){.state = FLIGHT, .resent = true, .tx_ns = now_ns};
}

struct expected {
    uint32_t delivered, sacked;
    bool reordered;
    uint64_t sure_ns, sure_end; /* newest among those whose time must be known */
    uint64_t any_ns, any_end;   /* newest of all */
};

static void model_deliver(struct model *m, uint32_t at, const struct net_ack *ack,
                          struct expected *e, uint32_t fack)
{
    const struct byte *byte = &m->byte[at];
    uint64_t end = START + at + 1;

    e->delivered += 1;
    m->delivered += 1;
    if (!byte->resent && at + 1 < fack)
        e->reordered = true;
    if (byte->resent &&
        (byte->tx_ns > ack->sent_by_ns || ack->now_ns - byte->tx_ns < ack->min_rtt_ns))
        return;
    if (byte->tx_ns > e->any_ns || (byte->tx_ns == e->any_ns && end > e->any_end)) {
        e->any_ns = byte->tx_ns;
        e->any_end = end;
    }
    if (!byte->vague &&
        (byte->tx_ns > e->sure_ns || (byte->tx_ns == e->sure_ns && end > e->sure_end))) {
        e->sure_ns = byte->tx_ns;
        e->sure_end = end;
    }
}

static bool model_is_dsack(const struct model *m, const struct net_ack *ack, const int64_t at[8],
                           int64_t position)
{
    if (ack->sacks_count == 0 || at[0] >= at[1] || at[1] > m->nxt ||
        at[0] < (int64_t)m->una - NET_WINDOW_BYTES_MAX)
        return false;
    if (at[1] <= position)
        return true;
    return ack->sacks_count > 1 && at[0] >= position && at[0] >= at[2] && at[1] <= at[3] &&
           at[3] <= m->nxt;
}

/* The blocks are judged against una after the cumulative part. */
static struct expected model_ack(struct model *m, const struct net_ack *ack, const int64_t at[8],
                                 bool *dsack, uint32_t *bad)
{
    struct expected e = {0};
    int64_t position = (int64_t)(ack->position - START);
    uint32_t fack = m->fack;

    for (; m->una < position; m->una++) {
        if (m->byte[m->una].state != SACKED)
            model_deliver(m, m->una, ack, &e, fack);
        m->byte[m->una].state = GONE;
    }
    if (m->fack < m->una)
        m->fack = m->una;
    *bad = 0;
    *dsack = model_is_dsack(m, ack, at, position);
    for (uint32_t i = *dsack; i < ack->sacks_count; i++) {
        int64_t from = at[2 * i], end = at[2 * i + 1];

        if (from >= end || end > m->nxt || from < position) {
            *bad += 1;
            continue;
        }
        for (from = from < m->una ? m->una : from; from < end; from++) {
            if (m->byte[from].state != SACKED) {
                model_deliver(m, (uint32_t)from, ack, &e, fack);
                e.sacked += 1;
            }
            m->byte[from].state = SACKED;
            if (m->fack < from + 1)
                m->fack = (uint32_t)from + 1;
        }
    }
    return e;
}

/* ---- agreement ---- */

static uint8_t state_of(const struct net_run *run)
{
    return run->flags & NET_RUN_SACKED ? SACKED : run->flags & NET_RUN_LOST ? LOST : FLIGHT;
}

static void agree(const struct sender *s, const struct model *m)
{
    uint32_t at = m->una;

    sound(s);
    CHECK(s->runs.una == START + m->una && s->runs.nxt == START + m->nxt);
    CHECK(s->runs.delivered == m->delivered);
    CHECK(s->runs.fack == START + m->fack);
    for (uint32_t i = s->runs.head; i != 0; i = s->pool.run[i].next) {
        const struct net_run *run = &s->pool.run[i];

        for (uint32_t k = 0; k < run->bytes; k++, at++) {
            CHECK_EQ(state_of(run), m->byte[at].state);
            if (m->byte[at].state == SACKED)
                continue;
            CHECK_EQ(!!(run->flags & NET_RUN_RESENT), m->byte[at].resent);
            if (m->byte[at].state == FLIGHT)
                CHECK(run->tx_ns == m->byte[at].tx_ns);
        }
    }
    CHECK_EQ(at, m->nxt);
}

/* ---- random steps ---- */

/* With a big pool the runs are exact; the cap of the test is never reached, or the step is left out. */
static bool has_room(const struct sender *s)
{
    return s->pool.free > s->pool.reserve + 12;
}

static void send_step(struct sender *s, struct model *m, struct harness_random *random)
{
    uint32_t bytes = (uint32_t)harness_between(random, 1, 300);

    if (m->nxt + bytes > SPACE || !has_room(s))
        return;
    s->mss = (uint16_t)harness_between(random, 50, 120);
    departs(s, bytes);
    model_send(m, bytes, s->now_ns);
}

static void resend_step(struct sender *s, struct model *m, struct harness_random *random)
{
    uint64_t from;
    uint32_t bytes, lost = m->una;

    if (m->una == m->nxt || !has_room(s))
        return;
    if (ewi_net_runs_next_lost(&s->pool, &s->runs, &from, &bytes)) {
        while (m->byte[lost].state != LOST)
            lost++;
        CHECK(from == START + lost);
        bytes = (uint32_t)harness_between(random, 1, bytes);
    } else { /* a probe, anywhere */
        lost = (uint32_t)harness_between(random, m->una, m->nxt - 1);
        bytes = (uint32_t)harness_between(random, 1, m->nxt - lost);
    }
    departs_again(s, lost, bytes);
    model_resend(m, lost, bytes, s->now_ns);
}

static void lose_step(struct sender *s, struct model *m, struct harness_random *random)
{
    uint64_t age_ns = harness_below(random, 4);

    if (harness_below(random, 50) == 0) {
        ewi_net_runs_forget_sacks(&s->pool, &s->runs);
        for (uint32_t i = m->una; i < m->nxt; i++)
            if (m->byte[i].state == SACKED)
                m->byte[i] = (struct byte){.state = LOST, .resent = true, .vague = true};
        return;
    }
    while (s->runs.oldest != 0 && s->pool.run[s->runs.oldest].tx_ns + age_ns < s->now_ns)
        ewi_net_runs_lose(&s->pool, &s->runs, s->runs.oldest);
    for (uint32_t i = m->una; i < m->nxt; i++)
        if (m->byte[i].state == FLIGHT && m->byte[i].tx_ns + age_ns < s->now_ns) {
            m->byte[i].state = LOST;
            m->byte[i].vague = true;
        }
}

/* A block: honest half of the time, else a liar's. Relative to START. */
static void draw_block(const struct model *m, struct harness_random *random, int64_t position,
                       int64_t *left, int64_t *right)
{
    int64_t a = (int64_t)harness_between(random, (uint64_t)position, m->nxt + 1u);
    int64_t b = (int64_t)harness_between(random, (uint64_t)position, m->nxt + 1u);

    switch (harness_below(random, 12)) {
    case 0: /* any two numbers */
        *left = (int32_t)harness_next(random);
        *right = (int32_t)harness_next(random);
        return;
    case 1: /* reversed or empty */
        *left = a > b ? a : b;
        *right = a > b ? b : a;
        return;
    case 2: /* below */
        *left = (int64_t)harness_below(random, (uint64_t)position + 1) - 5;
        *right = *left + (int64_t)harness_below(random, 100);
        return;
    default:
        *left = a < b ? a : b;
        *right = a < b ? b : a;
        if (*right - *left > 400)
            *right = *left + 400;
    }
}

static void ack_step(struct sender *s, struct model *m, struct harness_random *random)
{
    struct net_sack sacks[NET_SACKS_MAX];
    int64_t at[8];
    struct net_ack ack = {.now_ns = s->now_ns, .sacks = sacks};
    uint64_t low = m->una >= 200 ? m->una - 200 : 0;
    uint32_t position = m->una, bad;
    bool dsack;

    if (harness_below(random, 3) == 0)
        position = (uint32_t)harness_between(random, low, m->una + (m->nxt - m->una) / 3);
    ack.position = START + position;
    ack.sent_by_ns = harness_below(random, 2) ? UINT64_MAX : s->now_ns - harness_below(random, 9);
    ack.min_rtt_ns = harness_below(random, 4);
    ack.sacks_count = has_room(s) ? (uint32_t)harness_below(random, 5) : 0;
    for (uint32_t i = 0; i < ack.sacks_count; i++) {
        draw_block(m, random, position, &at[2 * i], &at[2 * i + 1]);
        sacks[i].left = ewi_net_seq_wrap(START + (uint64_t)at[2 * i]);
        sacks[i].right = ewi_net_seq_wrap(START + (uint64_t)at[2 * i + 1]);
    }
    uint64_t una_before = m->una;
    struct expected e = model_ack(m, &ack, at, &dsack, &bad);

    CHECK_EQ(ewi_net_runs_ack(&s->pool, &s->runs, &ack, &s->acked), EW_OK);
    CHECK_EQ(s->acked.acked_bytes, m->una - una_before);
    CHECK_EQ(s->acked.delivered_bytes, e.delivered);
    CHECK_EQ(s->acked.sacked_bytes, e.sacked);
    CHECK_EQ(s->acked.reordered, e.reordered);
    CHECK_EQ(s->acked.dsack_end != 0, dsack);
    CHECK_EQ(s->acked.sacks_bad, bad);
    CHECK_EQ(s->acked.reneged, m->una < m->nxt && m->byte[m->una].state == SACKED);
    CHECK(s->acked.newest_tx_ns >= e.sure_ns && s->acked.newest_tx_ns <= e.any_ns);
    if (s->acked.newest_tx_ns == e.sure_ns)
        CHECK(s->acked.newest_end >= e.sure_end);
}

static void step(struct sender *s, struct model *m, struct harness_random *random)
{
    s->now_ns += harness_below(random, 3);
    switch (harness_below(random, 8)) {
    case 0:
    case 1:
    case 2:
        send_step(s, m, random);
        break;
    case 3:
    case 4:
        resend_step(s, m, random);
        break;
    case 5:
        lose_step(s, m, random);
        break;
    default:
        ack_step(s, m, random);
    }
    agree(s, m);
}

static void random_traffic_agrees_with_a_flag_per_byte(struct harness_random *random)
{
    static struct model m;
    struct sender s;

    sender_init(&s, SENDER_RUNS, SENDER_RUNS);
    memset(&m, 0, sizeof(m));
    while (m.una < SPACE - 300) /* near the end nothing is sent any more */
        step(&s, &m, random);
    ARRIVES(&s, m.nxt, 0);
    CHECK_EQ(s.pool.free, SENDER_RUNS);
}

/* ---- too few runs ---- */

struct small {
    struct net_runs runs;
    bool sacked[SPACE]; /* what the peer said that it has */
    uint32_t una, nxt;
};

/* I5: never thought acknowledged or sacked unless the peer said so, and no byte missing. */
static void is_cautious(const struct net_run_pool *pool, const struct small *c)
{
    CHECK_EQ(ewi_net_runs_check(pool, &c->runs), 0);
    CHECK(c->runs.una == START + c->una && c->runs.nxt == START + c->nxt);
    for (uint32_t i = c->runs.head; i != 0; i = pool->run[i].next) {
        const struct net_run *run = &pool->run[i];

        for (uint64_t at = run->from; at < ewi_net_run_end(run); at++)
            if (run->flags & NET_RUN_SACKED)
                CHECK(c->sacked[at - START]);
    }
}

static void small_send(struct net_run_pool *pool, struct small *c, struct harness_random *random,
                       uint64_t now_ns)
{
    struct net_sent sent = {.now_ns = now_ns,
                            .bytes = (uint32_t)harness_between(random, 1, 50),
                            .segment_bytes = 20};
    uint64_t from;
    uint32_t bytes;

    if (ewi_net_runs_next_lost(pool, &c->runs, &from, &bytes)) {
        sent.bytes = (uint32_t)harness_between(random, 1, bytes);
        ewi_net_runs_resent(pool, &c->runs, from, &sent);
    } else if (c->nxt + sent.bytes <= SPACE &&
               ewi_net_runs_sent(pool, &c->runs, &sent) == EW_OK) {
        c->nxt += sent.bytes;
    }
}

static void small_ack(struct net_run_pool *pool, struct small *c, struct harness_random *random,
                      uint64_t now_ns)
{
    struct net_sack sacks[NET_SACKS_MAX];
    struct net_ack ack = {.now_ns = now_ns, .sent_by_ns = UINT64_MAX, .sacks = sacks};
    struct net_acked acked;

    if (harness_below(random, 4) == 0)
        c->una = (uint32_t)harness_between(random, c->una, c->una + (c->nxt - c->una) / 2);
    ack.position = START + c->una;
    ack.sacks_count = (uint32_t)harness_below(random, 5);
    for (uint32_t i = 0; i < ack.sacks_count; i++) {
        uint32_t left = (uint32_t)harness_between(random, c->una, c->nxt);
        uint32_t right = (uint32_t)harness_between(random, left, c->nxt);

        for (uint32_t at = left; at < right; at++)
            c->sacked[at] = true;
        sacks[i] = (struct net_sack){ewi_net_seq_wrap(START + left),
                                     ewi_net_seq_wrap(START + right)};
    }
    CHECK_EQ(ewi_net_runs_ack(pool, &c->runs, &ack, &acked), EW_OK);
}

static void small_lose(struct net_run_pool *pool, struct small *c, struct harness_random *random)
{
    if (harness_below(random, 3) == 0)
        ewi_net_runs_lose_all(pool, &c->runs);
    else
        ewi_net_runs_lose_first(pool, &c->runs);
}

static void an_empty_pool_loses_no_byte(struct harness_random *random)
{
    static struct small all[SMALL_CONNECTIONS];
    static struct net_run memory[SENDER_RUNS + 1];
    struct net_run_pool pool;
    uint32_t runs_all = (uint32_t)harness_between(random, 1, 12), used = 0;
    uint64_t now_ns = MS;

    memset(all, 0, sizeof(all));
    ewi_net_run_pool_init(&pool, memory, runs_all, (uint32_t)harness_between(random, 4, 8));
    for (int i = 0; i < SMALL_CONNECTIONS; i++)
        ewi_net_runs_init(&all[i].runs, START);
    for (int i = 0; i < 800; i++) {
        struct small *c = &all[harness_below(random, SMALL_CONNECTIONS)];
        uint64_t what = harness_below(random, 8);

        now_ns += harness_below(random, 3);
        if (what < 5)
            small_send(&pool, c, random, now_ns);
        else if (what < 7)
            small_ack(&pool, c, random, now_ns);
        else
            small_lose(&pool, c, random);
        is_cautious(&pool, c);
    }
    for (int i = 0; i < SMALL_CONNECTIONS; i++)
        used += all[i].runs.runs;
    CHECK_EQ(used + pool.free, runs_all); /* I4 */
    for (int i = 0; i < SMALL_CONNECTIONS; i++)
        ewi_net_runs_fini(&pool, &all[i].runs);
    CHECK_EQ(pool.free, runs_all);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        struct harness_random random = {seed};

        for (int i = 0; i < ROUNDS; i++) {
            random_traffic_agrees_with_a_flag_per_byte(&random);
            for (int k = 0; k < 3; k++)
                an_empty_pool_loses_no_byte(&random);
        }
    }
    return 0;
}
