/* Is every release paired with its acquire, where a lock is lent to a mover, and where ring space is
 * given back by a stream? As test_order_shm.c. */
#include <sys/eventfd.h>

#include "tests/c/order_base.h"
#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/stream/pump.h"

static ew_context context;
static ew_channel channel;

static void begin(void)
{
    memset(&channel, 0, sizeof(channel));
    if (context.nudge_fd == 0)
        context.nudge_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    channel.context = &context;
    channel.note_fd = -1;
    channel.link = &channel.first_link;
    channel.shut = CHANNEL_CLOSED; /* no link to nudge */
}

static bool borrow(void)
{
    channel.freeze.taken[FREEZE_SEND] = channel.freeze.taken[FREEZE_DRAIN] = true; /* before */
    return ewi_freeze_try(&channel) == EW_OK;
}

/* ---- Z1, Z2: what a lender did is seen by the mover ---- */

static void work_and_lend(void)
{
    plain = 1;
    ewi_freeze_offer(&channel, FREEZE_RECV);
}

static void borrow_and_look(void)
{
    while (!borrow())
        ewi_relax();
    CHECK_EQ(plain, 1);
}

/* catches: Z1 or Z2 relaxed */
static void a_mover_sees_what_the_lender_did(void)
{
    begin();
    CHECK(ewi_lock_try(&channel.recv_lock)); /* by the lender */
    beside(work_and_lend, borrow_and_look);
}

/* ---- Z3, Z4: what a mover did is seen by the lender ---- */

static void move_and_thaw(void)
{
    plain = 2;
    atomic_store_explicit(&channel.freeze.lent[FREEZE_SEND], 0, memory_order_relaxed); /* not lent */
    channel.freeze.taken[FREEZE_SEND] = channel.freeze.taken[FREEZE_DRAIN] = false;
    ewi_freeze_thaw(&channel);
}

static void reclaim_and_look(void)
{
    while (!ewi_freeze_try_reclaim(&channel, FREEZE_RECV))
        ewi_relax();
    CHECK_EQ(plain, 2);
}

/* catches: Z3 or Z4 relaxed */
static void a_lender_sees_what_the_mover_did(void)
{
    begin();
    CHECK(ewi_lock_try(&channel.recv_lock));
    ewi_freeze_offer(&channel, FREEZE_RECV);
    CHECK(borrow());
    beside(move_and_thaw, reclaim_and_look);
}

/* ---- Z5, Z6: one mover after another ---- */

static void claim_and_look(void)
{
    while (ewi_freeze_claim(&channel) != EW_OK)
        ewi_relax();
    CHECK_EQ(plain, 2);
}

/* catches: Z5 or Z6 relaxed */
static void a_mover_sees_what_the_one_before_did(void)
{
    begin();
    CHECK_EQ(ewi_freeze_claim(&channel), EW_OK);
    beside(move_and_thaw, claim_and_look);
}

/* ---- F1, F2: space of the ring that a stream has read ---- */

static void read_and_release(void)
{
    plain = 1;
    channel.session.peer_taken = 64;
    channel.link->stream.out.position = 64;
    CHECK(ewi_pump_release(&channel));
}

static void reuse(void)
{
    while (atomic_load_explicit(&channel.released, memory_order_relaxed) == 0) /* as O1 */
        ewi_relax();
    ewi_channel_refresh_room(&channel);
    CHECK_EQ(channel.writer.freed, 64);
    CHECK_EQ(plain, 1);
}

/* catches: F1 of released, or F2 in refresh_room relaxed */
static void who_uses_space_again_comes_after_who_read_it(void)
{
    begin();
    channel.freed_word = &channel.released;
    channel.writer.position = 64;
    beside(read_and_release, reuse);
}

int main(void)
{
    RUN(a_mover_sees_what_the_lender_did);
    RUN(a_lender_sees_what_the_mover_did);
    RUN(a_mover_sees_what_the_one_before_did);
    RUN(who_uses_space_again_comes_after_who_read_it);
    return 0;
}
