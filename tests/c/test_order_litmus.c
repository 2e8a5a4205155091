/* A store, then a load of something else, on two sides: does one of them see the other? The thread
 * sanitizer cannot tell, but a processor of this kind does it wrongly now and then when a fence is
 * missing. Each round two threads pass the code under test at the same moment; many rounds.
 *
 * Built as the product is, without sanitizers: under them it proves nothing and is short. */
#include <sched.h>

#include "tests/c/order_base.h"
#include "tests/c/pair_base.h"
#include "shm/bell.h"
#include "shm/ring.h"
#include "transport/stream/link.c"

enum {
    LITMUS_ROUNDS = IS_SLOW ? 2000 : 400 * 1000,
    SPINS_MAX = 2000,
    SECONDS_MAX = 15, /* of each: the two meet seldom where others want the processors too */
};

/* ---- two threads that start each round together ---- */

static _Atomic uint32_t turn[2]; /* rounds begun by each */
static _Atomic uint32_t rounds;  /* to come */
static uint64_t until_ns;

static void begin_rounds(void)
{
    atomic_store(&turn[0], 0);
    atomic_store(&turn[1], 0);
    atomic_store(&rounds, LITMUS_ROUNDS);
    until_ns = ewi_now_ns() + SECONDS_MAX * UINT64_C(1000000000);
}

/* Of a round there are two: before, and after what is under test. */
static bool goes_on(int self, uint32_t number)
{
    if (self == 0 && number % 1024 == 1 && ewi_now_ns() > until_ns)
        atomic_store(&rounds, (number + 1) / 2); /* not after this one: the other may be in it already */
    return number < 2 * atomic_load(&rounds);
}

static void await_round(int self, uint32_t number)
{
    atomic_store(&turn[self], number);
    for (int spins = 0; atomic_load(&turn[!self]) < number; spins++)
        if (spins > SPINS_MAX) /* fewer processors than threads */
            sched_yield();
}

/* ---- the bell: S1, S2 ---- */

static struct {
    alignas(EWI_CACHE_LINE) uint8_t bytes[RING_BYTES_MIN];
    struct ring_writer writer;
    alignas(EWI_CACHE_LINE) struct ring_reader reader;
    alignas(EWI_CACHE_LINE) _Atomic uint32_t word;
    alignas(EWI_CACHE_LINE) bool kicks;
    alignas(EWI_CACHE_LINE) bool finds;
    struct bell sleeper, kicker;
} ring_and_word;

static void commit_and_look(void)
{
    for (uint32_t number = 1; goes_on(0, number); number += 2) {
        await_round(0, number);
        (void)ewi_ring_reserve(&ring_and_word.writer, 0);
        ewi_ring_commit(&ring_and_word.writer, 0, 0);
        ring_and_word.kicks = ewi_bell_is_wanted(&ring_and_word.kicker, BELL_DATA);
        await_round(0, number + 1);
        CHECK_EQ(ewi_ring_free(&ring_and_word.writer, ring_and_word.writer.position), EW_OK);
    }
}

static void announce_and_look(void)
{
    const uint8_t *payload;
    struct record record;

    for (uint32_t number = 1; goes_on(1, number); number += 2) {
        await_round(1, number);
        ewi_bell_announce(&ring_and_word.sleeper, BELL_DATA);
        ring_and_word.finds = ewi_ring_peek(&ring_and_word.reader, &record, &payload) == EW_OK;
        await_round(1, number + 1);
        CHECK(ring_and_word.kicks || ring_and_word.finds); /* else it sleeps and nobody wakes it */
        CHECK_EQ(ewi_ring_peek(&ring_and_word.reader, &record, &payload), EW_OK);
        ewi_ring_consume(&ring_and_word.reader, record);
        ewi_bell_retract(&ring_and_word.sleeper, BELL_DATA);
    }
}

/* catches: S2 removed. S1 stands behind a locked instruction: here nothing can see it missing */
static void who_announces_finds_the_record_or_is_kicked(void)
{
    ewi_ring_writer_init(&ring_and_word.writer, ring_and_word.bytes, RING_BYTES_MIN, 0);
    ewi_ring_reader_init(&ring_and_word.reader, ring_and_word.bytes, RING_BYTES_MIN, 0, 0);
    ring_and_word.sleeper.mine = &ring_and_word.word;
    ring_and_word.kicker.peers = &ring_and_word.word;
    begin_rounds();
    beside(commit_and_look, announce_and_look);
}

/* ---- a stream's drive: D1, D2 ---- */

static ew_channel *channel;

static void ring_and_check(int self)
{
    for (uint32_t number = 1; goes_on(self, number); number += 2) {
        await_round(self, number);
        ring(channel, BELL_OUT);
        await_round(self, number + 1);
        CHECK_EQ(atomic_load(&channel->link->stream.bells), 0); /* else nobody drives for it */
    }
}

static void ring_on_the_left(void)
{
    ring_and_check(0);
}

static void ring_on_the_right(void)
{
    ring_and_check(1);
}

/* catches: a bell that is left while the lock is given back: D1 or D2 weaker, no fence between the
 * lock and the last look */
static void whoever_rings_is_driven_by_one_of_the_two(void)
{
    struct pair pair;

    open_pair(&pair, true);
    channel = pair.end[0];
    ewi_cover_forget(&channel->link->stream); /* the reactor would ring as well */
    begin_rounds();
    beside(ring_on_the_left, ring_on_the_right);
    ew_channel_free(pair.end[0]);
    ew_channel_free(pair.end[1]);
    ew_listener_free(pair.listener);
    ew_context_close(pair.client);
    ew_context_close(pair.server);
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(who_announces_finds_the_record_or_is_kicked);
    RUN(whoever_rings_is_driven_by_one_of_the_two);
    rmdir(directory);
    return 0;
}
