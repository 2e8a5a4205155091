/* tests/c/test_shell_smoke.c - transport/shell on a wire: connect, bytes both ways, ends. */
#include "tests/c/stack_pair.h"

static void two_stacks_on_a_wire_talk_and_part(void)
{
    struct duo duo = duo_open();
    char byte;

    CHECK_EQ(send_text(&duo, 0, "ping"), 4);
    expect_text(&duo, 1, "ping");
    CHECK_EQ(send_text(&duo, 1, "pong!"), 5);
    expect_text(&duo, 0, "pong!");
    CHECK_EQ(duo.side[0].ops->shutdown(duo.side[0].stack, duo.opener), 0);
    CHECK_EQ(receive(&duo, 1, &byte, 1), 0);
    CHECK_EQ(duo.side[1].ops->finish(duo.side[1].stack, duo.accepted, false, ewi_now_ns()), 0);
    CHECK_EQ(receive(&duo, 0, &byte, 1), 0);
    await_event(&duo, 1, duo.accepted, STACK_CLOSED, USER_ACCEPTED);
    CHECK_EQ(duo.side[0].ops->finish(duo.side[0].stack, duo.opener, false, ewi_now_ns()), 0);
    await_event(&duo, 0, duo.opener, STACK_CLOSED, USER_OPENER);
    CHECK_EQ(wire_held_by(WIRE, 0) + wire_held_by(WIRE, 1), 0);
    duo_close(&duo);
}

int main(void)
{
    int before = open_descriptors();

    RUN(two_stacks_on_a_wire_talk_and_part);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
