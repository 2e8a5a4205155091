/* Does the receiver's queue agree with one number per byte: which packet brought it first? */
#include "tests/c/harness.h"
#include "transport/net/reorder.h"

#define START (2 * NET_SEQ_FIRST - 1500)

enum { SPACE = 4000, WINDOW = 1200, PACKETS = 4000, RECORDS = 200, CHARGE = 256 };

struct model {
    uint16_t held[SPACE];      /* packet that brought the byte, 0: none */
    uint16_t source[PACKETS];  /* offset 0 of packet i is stream byte source[i] */
    uint32_t next, packets;
    uint8_t buffer[PACKETS][CHARGE]; /* packet memory: the stream byte's low bits */
    bool owned[PACKETS];       /* by the queue */
    bool marked[SPACE];        /* delivered: once */
};

static struct model m;
static struct net_reorder_pool pool;
static struct net_reorder queue;
static union net_reorder_record memory[RECORDS + 1];

/* What the wire carries at a stream position; a second packet may bring something else. */
static uint8_t content(uint32_t at, uint32_t packet)
{
    return (uint8_t)(at * 31 + packet * 7 + 1);
}

static void deliver(uint64_t from, const uint8_t *data, uint32_t bytes)
{
    CHECK(from == START + m.next);
    for (uint32_t i = 0; i < bytes; i++, m.next++) {
        CHECK(!m.marked[m.next]);
        m.marked[m.next] = true;
        CHECK(m.held[m.next] != 0);
        CHECK_EQ(data[i], content(m.next, m.held[m.next])); /* the first arrival's byte */
    }
}

static void take_all(void)
{
    struct net_taken taken;

    while (ewi_net_reorder_take(&pool, &queue, &taken)) {
        CHECK(m.owned[taken.buffer]);
        m.owned[taken.buffer] = false; /* given back once: I3 */
        CHECK_EQ(taken.charge, CHARGE);
        deliver(taken.from, &m.buffer[taken.buffer][taken.offset], taken.bytes);
        CHECK_EQ(ewi_net_reorder_check(&pool, &queue), 0);
    }
    CHECK(queue.next == START + m.next);
}

static void note_held(const struct net_taken *part, uint32_t packet)
{
    uint32_t from = (uint32_t)(part->from - START);

    for (uint32_t at = from; at < from + part->bytes; at++) {
        CHECK_EQ(m.held[at], 0);
        m.held[at] = (uint16_t)packet;
    }
}

/* What is new of an arrival: the first stretch that nobody brought before. */
static struct net_taken expected_part(uint32_t from, uint32_t bytes)
{
    uint32_t end = from + bytes, first;

    while (from < end && m.held[from] != 0)
        from++;
    for (first = from; from < end && m.held[from] == 0;)
        from++;
    return (struct net_taken){.from = START + first, .bytes = from - first};
}

static void arrive(struct harness_random *random, uint32_t from, uint32_t bytes)
{
    uint32_t packet = ++m.packets, room, offset = (uint32_t)harness_below(random, 20);
    struct net_taken taken, part = expected_part(from, bytes);
    struct net_arrival arrival = {.from = START + from,
                                  .bytes = bytes,
                                  .window_end = START + m.next + WINDOW,
                                  .buffer = packet,
                                  .offset = offset,
                                  .charge = CHARGE,
                                  .charge_max = WINDOW * 4};
    enum net_reorder_code code;

    room = CHARGE - offset - bytes;
    arrival.room = (uint32_t)harness_below(random, room + 1);
    for (uint32_t i = 0; i < bytes; i++)
        m.buffer[packet][offset + i] = content(from + i, packet);
    code = ewi_net_reorder_arrive(&pool, &queue, &arrival, &taken);
    CHECK_EQ(code == NET_REORDER_DUPLICATE, part.bytes == 0);
    if (code == NET_REORDER_IN_ORDER || code == NET_REORDER_COPY) {
        CHECK(taken.from == part.from && taken.bytes == part.bytes);
        CHECK_EQ(taken.skip, part.from - arrival.from);
    }
    CHECK_EQ(code == NET_REORDER_IN_ORDER, part.bytes > 0 && part.from == START + m.next);
    CHECK(queue.charged_bytes <= arrival.charge_max); /* I2 */
    switch (code) {
    case NET_REORDER_IN_ORDER:
        note_held(&part, packet);
        deliver(part.from, &m.buffer[packet][offset + taken.skip], part.bytes);
        take_all();
        break;
    case NET_REORDER_HELD:
        note_held(&part, packet);
        m.owned[packet] = true;
        break;
    case NET_REORDER_COPY: /* may not overwrite a byte in use, nor leave its buffer */
        note_held(&part, packet);
        CHECK(m.owned[taken.buffer] && taken.offset + taken.bytes <= CHARGE);
        memcpy(&m.buffer[taken.buffer][taken.offset], &m.buffer[packet][offset + taken.skip],
               taken.bytes);
        break;
    default:
        CHECK(code != NET_REORDER_OUTSIDE);
        break;
    }
    CHECK_EQ(ewi_net_reorder_check(&pool, &queue), 0);
}

/* Every block is bytes that are here, between bytes that are not; all differ. A DSACK came before. */
static void sacks_are_true(struct harness_random *random)
{
    struct net_sack sacks[NET_SACKS_MAX];
    bool has_dsack = ewi_net_reorder_has_dsack(&queue);
    uint32_t max = (uint32_t)harness_below(random, 5);
    uint32_t count = ewi_net_reorder_sacks(&pool, &queue, sacks, max);

    CHECK(count <= max);
    CHECK_EQ(count, queue.islands + has_dsack < max || max == 0
                        ? (max == 0 ? 0 : queue.islands + has_dsack)
                        : max);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t left = ewi_net_seq_unwrap(queue.next, sacks[i].left) - START;
        uint64_t right = ewi_net_seq_unwrap(queue.next, sacks[i].right) - START;

        CHECK(left < right && right <= SPACE);
        for (uint64_t at = left; at < right; at++)
            CHECK(m.held[at] != 0);
        if (i == 0 && has_dsack)
            continue;
        CHECK(left > m.next && m.held[left - 1] == 0);
        CHECK(right == SPACE || m.held[right] == 0);
        for (uint32_t k = has_dsack; k < i; k++)
            CHECK(sacks[k].left != sacks[i].left);
    }
}

static void drop_one(void)
{
    struct net_taken taken;

    if (!ewi_net_reorder_drop(&pool, &queue, &taken))
        return;
    CHECK(m.owned[taken.buffer]);
    m.owned[taken.buffer] = false;
    for (uint32_t i = 0; i < taken.bytes; i++)
        m.held[taken.from - START + i] = 0;
    queue.dsack_left = queue.dsack_right; /* it may be about these bytes */
    CHECK_EQ(ewi_net_reorder_check(&pool, &queue), 0);
}

static void begin(uint32_t records, uint32_t islands)
{
    memset(&m, 0, sizeof(m));
    memset(memory, 0xa5, sizeof(memory));
    ewi_net_reorder_pool_init(&pool, memory, records, islands);
    ewi_net_reorder_init(&queue, START);
}

static void step(struct harness_random *random, uint32_t bytes_max)
{
    uint32_t back = m.next < 50 ? m.next : 50;
    uint32_t from = (uint32_t)harness_between(random, m.next - back, m.next + WINDOW - bytes_max);
    uint32_t bytes = (uint32_t)harness_between(random, 1, bytes_max);

    if (harness_below(random, 4) == 0)
        from = m.next;
    if (harness_below(random, 3) == 0 && queue.tail != 0)
        from = (uint32_t)(memory[queue.tail].island.end - START);
    if (from + bytes > SPACE || from + bytes > m.next + WINDOW)
        return;
    arrive(random, from, bytes);
}

static void random_arrivals_agree(struct harness_random *random, uint32_t records,
                                  uint32_t islands)
{
    begin(records, islands);
    while (m.packets < PACKETS - 1 && m.next < SPACE - 200) {
        step(random, harness_below(random, 2) ? 3 : 200);
        sacks_are_true(random);
        if (harness_below(random, 40) == 0)
            drop_one();
    }
    while (queue.head != 0)
        drop_one();
    CHECK_EQ(pool.free, records);
    CHECK_EQ(queue.charged_bytes, 0);
    for (uint32_t i = 0; i < PACKETS; i++)
        CHECK(!m.owned[i]);
}

/* The peer wants to pin memory: one byte, anywhere, always new. */
static void a_hostile_peer_pins_no_more_than_the_window(struct harness_random *random)
{
    begin(RECORDS, 64);
    while (m.packets < PACKETS - 1 && m.next < SPACE / 2) {
        uint32_t from = m.next + 1 + (uint32_t)harness_below(random, WINDOW - 2);

        if (m.held[from] == 0 && from < SPACE)
            arrive(random, from, 1);
        else
            m.packets += 1;
    }
    CHECK(queue.charged_bytes <= WINDOW * 4 && queue.pieces <= WINDOW * 4 / CHARGE);
}

int main(int argc, char **argv)
{
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        struct harness_random random = {seed};

        for (int i = 0; i < 20; i++) {
            random_arrivals_agree(&random, RECORDS, 64);
            random_arrivals_agree(&random, (uint32_t)harness_between(&random, 1, 20),
                                  (uint32_t)harness_between(&random, 1, 6));
        }
        a_hostile_peer_pins_no_more_than_the_window(&random);
    }
    return 0;
}
