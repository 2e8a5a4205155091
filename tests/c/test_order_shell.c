/* tests/c/test_order_shell.c - memory order of transport/shell: what a kick leaves is seen by who takes it. */
#include <sys/eventfd.h>

#include "tests/c/order_base.h"
#include "transport/shell/kick.h"

static struct kick kick;

/* Somebody else's kick is on its way: nothing is written, only the mark goes from one to the other. */
static void leave_and_ring(void)
{
    plain = 1;
    ewi_kick_ring(&kick);
    tell_left_is_done();
}

static void take_and_look(void)
{
    await_left();
    ewi_kick_take(&kick);
    CHECK_EQ(plain, 1);
}

/* catches: N1 or N2 relaxed */
static void what_is_left_before_a_kick_that_is_not_written_is_seen(void)
{
    kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(kick.fd >= 0);
    for (int i = 0; i < 50; i++) {
        ewi_kick_ring(&kick);
        beside(leave_and_ring, take_and_look);
        CHECK(!ewi_kick_read(kick.fd));
    }
    close(kick.fd);
}

int main(void)
{
    RUN(what_is_left_before_a_kick_that_is_not_written_is_seen);
    return 0;
}
