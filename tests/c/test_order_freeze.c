/* Is every release paired with its acquire, where a channel is brought to rest and its link replaced?
 * As test_order_shm.c. The link is one that does nothing. */
#include "tests/c/order_base.h"
#include "transport/channel/channel.h"
#include "transport/context.h"

static ew_context *context;
static ew_channel channel;

static void nothing(ew_channel *unused)
{
    (void)unused;
}

static const struct link_ops no_link = {.nudge = nothing};

/* The application holds the lock that it lends. */
static void begin(void)
{
    channel = (ew_channel){.context = context,
                           .ops = &no_link,
                           .epoll_fd = -1,
                           .note_fd = -1,
                           .resume.cancel_fd = -1};
    channel.link = &channel.links[0];
    ewi_lock_enter(&channel.send_lock);
}

static bool is_lent(uint32_t lent)
{
    return atomic_load_explicit(&channel.freeze.lent[FREEZE_SEND], memory_order_relaxed) == lent; /* O1 */
}

/* ---- lend and borrow: Z1, Z2 ---- */

static void offer(void)
{
    plain = 1;
    ewi_freeze_offer(&channel, FREEZE_SEND);
}

static void borrow(void)
{
    while (is_lent(0))
        ewi_relax(); /* no look before it: a failed one would nudge, under locks */
    CHECK_EQ(ewi_freeze_try(&channel), EW_OK);
    CHECK_EQ(plain, 1);
}

/* catches: Z1 or Z2 relaxed */
static void what_a_lender_did_is_seen_by_the_mover(void)
{
    begin();
    CHECK_EQ(ewi_freeze_claim(&channel), EW_OK);
    beside(offer, borrow);
}

/* ---- thaw and reclaim: Z3, Z4 ---- */

static void thaw(void)
{
    plain = 1;
    ewi_freeze_thaw(&channel);
}

static void reclaim(void)
{
    ewi_freeze_reclaim(&channel, FREEZE_SEND);
    CHECK_EQ(plain, 1);
}

/* catches: Z3 or Z4 relaxed */
static void what_the_mover_did_is_seen_by_the_lender(void)
{
    begin();
    CHECK_EQ(ewi_freeze_claim(&channel), EW_OK);
    ewi_freeze_offer(&channel, FREEZE_SEND);
    CHECK_EQ(ewi_freeze_try(&channel), EW_OK);
    beside(thaw, reclaim);
}

/* ---- one move after another: Z5 ---- */

static void claim_next(void)
{
    while (ewi_freeze_claim(&channel) != EW_OK)
        ewi_relax();
    CHECK_EQ(plain, 1);
    CHECK(!channel.freeze.taken[FREEZE_RECV]); /* the last thing that the mover before it wrote */
}

/* catches: Z5 of claim or of thaw relaxed: two movers share what one writes without a lock */
static void the_next_mover_sees_what_the_one_before_it_did(void)
{
    begin();
    CHECK_EQ(ewi_freeze_claim(&channel), EW_OK);
    ewi_freeze_offer(&channel, FREEZE_SEND);
    CHECK_EQ(ewi_freeze_try(&channel), EW_OK);
    beside(thaw, claim_next);
}

int main(void)
{
    alarm(100);
    CHECK_EQ(ew_context_open(NULL, &context), EW_OK);
    RUN(what_a_lender_did_is_seen_by_the_mover);
    RUN(what_the_mover_did_is_seen_by_the_lender);
    RUN(the_next_mover_sees_what_the_one_before_it_did);
    ew_context_close(context);
    return 0;
}
