/* Is every release paired with its acquire, in shm/? For the thread sanitizer, and for tests/weaken,
 * which makes each atomic weaker in turn and expects a race here.
 *
 * Two threads go through the code under test once, over memory of their own: `left` does a plain
 * store and then what releases it, `right` what acquires it and then a plain load. Nothing else may
 * order the two, so they tell each other how far they are by relaxed stores only. */
#include <stdatomic.h>

#include "shm/bell.h"
#include "shm/lock.h"
#include "shm/ring.h"
#include "shm/waitroom.h"
#include "tests/c/order_base.h"

enum { RING_BYTES = RING_BYTES_MIN, ROUNDS = 300 };

/* ---- the ring: R1, R2 ---- */

static struct {
    alignas(64) uint8_t bytes[RING_BYTES];
    struct ring_writer writer;
    struct ring_reader reader;
} ring;

static void commit_one(void)
{
    uint8_t *room = ewi_ring_reserve(&ring.writer, 8);

    memcpy(room, "eastwest", 8);
    ewi_ring_commit(&ring.writer, 8, 0);
}

static void read_one(void)
{
    char text[8];
    const uint8_t *payload = NULL;
    struct record record;

    while (ewi_ring_peek(&ring.reader, &record, &payload) == EW_EAGAIN)
        ewi_relax();
    memcpy(text, payload, 8);
    CHECK(memcmp(text, "eastwest", 8) == 0);
}

/* catches: R1 or R2 relaxed */
static void a_record_that_is_seen_is_whole(void)
{
    ewi_ring_writer_init(&ring.writer, ring.bytes, RING_BYTES, 0);
    ewi_ring_reader_init(&ring.reader, ring.bytes, RING_BYTES, 0, 0);
    beside(commit_one, read_one);
}

/* ---- the lock: L1, L2 ---- */

static struct lock lock;

static void write_under_lock(void)
{
    ewi_lock_enter(&lock);
    plain = 1;
    ewi_lock_give(&lock);
    tell_left_is_done();
}

static void read_under_lock(void)
{
    await_left();
    ewi_lock_enter(&lock);
    CHECK_EQ(plain, 1);
    ewi_lock_give(&lock);
}

/* catches: L1 or L2 relaxed */
static void what_was_done_under_the_lock_is_seen_under_it(void)
{
    lock = (struct lock){0};
    beside(write_under_lock, read_under_lock);
}

/* ---- the waitroom: V1, V2, V3 ---- */

static struct waitroom room;

static void write_and_tell(void)
{
    plain = 1;
    ewi_waitroom_tell(&room);
}

static void await_event(void)
{
    while (ewi_waitroom_events(&room) == 0)
        ewi_relax();
    CHECK_EQ(plain, 1);
}

/* catches: V1 in tell or V2 relaxed */
static void what_happened_before_a_tell_is_seen_after_it(void)
{
    room = (struct waitroom){0};
    beside(write_and_tell, await_event);
}

static bool write_as_poller(void *unused, struct pollfd *fds)
{
    (void)unused, (void)fds;
    plain += 1;
    return true; /* found: do not poll */
}

static void poll_once(void)
{
    const struct waitroom_poller poller = {.look = write_as_poller};
    const struct wait never = {.deadline_ns = EWI_NEVER};

    CHECK_EQ(ewi_waitroom_sleep(&room, 0, NULL, 0, never, &poller), EW_OK);
}

static void poll_first(void)
{
    poll_once();
    tell_left_is_done();
}

static void poll_second(void)
{
    await_left();
    poll_once();
    CHECK_EQ(plain, 2);
}

/* catches: V3 relaxed, in the exchange or in the store */
static void one_poller_sees_what_the_one_before_it_did(void)
{
    room = (struct waitroom){0};
    beside(poll_first, poll_second);
}

/* catches: V1 of the poller that leaves relaxed: the add before its role is given back. The one
 * after it says the same a moment later, so this takes a reader who is fast, some of many times. */
static void what_a_poller_saw_is_seen_with_the_first_event(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        room = (struct waitroom){0};
        beside(poll_once, await_event);
    }
}

int main(void)
{
    alarm(100);
    RUN(a_record_that_is_seen_is_whole);
    RUN(what_was_done_under_the_lock_is_seen_under_it);
    RUN(what_happened_before_a_tell_is_seen_after_it);
    RUN(one_poller_sees_what_the_one_before_it_did);
    RUN(what_a_poller_saw_is_seen_with_the_first_event);
    return 0;
}
