/* Does the rule of transport/stream/window.h double what limits, and nothing else? */
#include "tests/c/harness.h"
#include "transport/stream/window.h"

#define MS UINT64_C(1000000)

enum { KIB = 1024, INBOX = 256 * KIB, RING = 256 * KIB, TRIP_MS = 40 };

/* ---- receiving ---- */

struct receiver {
    struct window_receiving window;
    struct window_received now;
    uint64_t now_ns;
};

static struct receiver begin(void)
{
    return (struct receiver){.now = {.inbox_bytes = INBOX}, .now_ns = 1000 * MS};
}

/* So much arrives and is consumed; then an ACK is made. True: the inbox limits. */
static bool arrives(struct receiver *receiver, uint64_t bytes, uint64_t after_ns)
{
    struct window_receiving *window = &receiver->window;

    receiver->now.taken += bytes;
    receiver->now.consumed = receiver->now.taken;
    receiver->now_ns += after_ns;
    return window->measuring && ewi_window_judge(window, &receiver->now, receiver->now_ns);
}

static bool is_due(const struct receiver *receiver)
{
    return ewi_window_is_due(&receiver->window, &receiver->now);
}

static uint64_t ask(struct receiver *receiver)
{
    CHECK(is_due(receiver));
    return ewi_window_ask(&receiver->window, &receiver->now, receiver->now_ns);
}

static void answer(struct receiver *receiver, uint64_t token)
{
    ewi_window_answered(&receiver->window, token, receiver->now_ns);
}

/* Until what arrives is measured; one round trip is trip_ns. */
static void warm_up(struct receiver *receiver, uint64_t trip_ns)
{
    for (int i = 0; i < WINDOW_ANSWERS; i++) {
        CHECK(!receiver->window.measuring);
        CHECK(!arrives(receiver, INBOX / 2, 0));
        uint64_t token = ask(receiver);

        CHECK(!arrives(receiver, 0, trip_ns));
        answer(receiver, token);
    }
}

/* catches: an inbox that does not grow over a long way */
static void an_inbox_that_fills_in_each_round_trip_limits(void)
{
    struct receiver receiver = begin();

    warm_up(&receiver, TRIP_MS * MS);
    CHECK(receiver.window.measuring);
    CHECK(!arrives(&receiver, INBOX, TRIP_MS * MS));
    CHECK(arrives(&receiver, INBOX, TRIP_MS * MS));
    CHECK(!receiver.window.measuring);
    CHECK(is_due(&receiver));
}

/* catches: bytes that are counted without the time that they took */
static void a_sender_that_needs_less_than_half_of_it_does_not(void)
{
    struct receiver receiver = begin();

    warm_up(&receiver, TRIP_MS * MS);
    CHECK(!arrives(&receiver, INBOX / 2, TRIP_MS * MS));
    CHECK(!arrives(&receiver, INBOX / 2, TRIP_MS * MS));
    CHECK(!receiver.window.measuring);
}

/* catches: a measure that ends at an ACK much later, and takes the time for a round trip */
static void a_slow_sender_that_fills_it_in_a_minute_does_not(void)
{
    struct receiver receiver = begin();

    warm_up(&receiver, TRIP_MS * MS);
    CHECK(!arrives(&receiver, 16 * INBOX, 60000 * MS));
    CHECK(!receiver.window.measuring);
}

/* catches: consumed not looked at */
static void an_application_that_does_not_read_does_not(void)
{
    struct receiver receiver = begin();

    warm_up(&receiver, TRIP_MS * MS);
    receiver.now.taken += 4 * INBOX;
    receiver.now.consumed = receiver.window.taken - 8;
    receiver.now_ns += 3 * TRIP_MS * MS;
    CHECK(!ewi_window_judge(&receiver.window, &receiver.now, receiver.now_ns));
}

/* catches: the first, cold answer believed; a near peer that is measured again and again */
static void one_short_round_trip_and_nobody_asks_again(void)
{
    struct receiver receiver = begin();

    for (int i = 0; i + 1 < WINDOW_ANSWERS; i++) {
        uint64_t token;

        arrives(&receiver, INBOX / 2, 0);
        token = ask(&receiver);
        receiver.now_ns += i + 2 == WINDOW_ANSWERS ? WINDOW_TRIP_NS_MIN - 1 : TRIP_MS * MS;
        answer(&receiver, token);
        CHECK(!receiver.window.measuring);
    }
    CHECK(!arrives(&receiver, 100 * INBOX, 1000 * MS));
    CHECK(!is_due(&receiver));
}

static void a_round_trip_of_the_least_length_counts(void)
{
    struct receiver receiver = begin();

    warm_up(&receiver, WINDOW_TRIP_NS_MIN);
    CHECK(receiver.window.measuring);
}

/* catches: PINGs on a channel that says little; two of them at once */
static void a_ping_waits_for_half_an_inbox_and_for_the_one_before(void)
{
    struct receiver receiver = begin();
    uint64_t token;

    CHECK(!is_due(&receiver));
    arrives(&receiver, INBOX / 2 - 8, 0);
    CHECK(!is_due(&receiver));
    arrives(&receiver, 8, 0);
    token = ask(&receiver);
    arrives(&receiver, INBOX, TRIP_MS * MS);
    CHECK(!is_due(&receiver));
    answer(&receiver, token);
    CHECK(is_due(&receiver));
    ask(&receiver);
    answer(&receiver, token + 1);
    CHECK(!is_due(&receiver));
}

/* catches: a token not compared; 0 taken for one */
static void an_answer_that_nobody_asked_for_changes_nothing(void)
{
    struct receiver receiver = begin();
    uint64_t token;

    answer(&receiver, 0);
    answer(&receiver, 7);
    CHECK_EQ(receiver.window.answers, 0);
    arrives(&receiver, INBOX / 2, 0);
    token = ask(&receiver);
    answer(&receiver, token + 1);
    answer(&receiver, 0);
    CHECK_EQ(receiver.window.answers, 0);
    answer(&receiver, token);
    answer(&receiver, token);
    CHECK_EQ(receiver.window.answers, 1);
}

/* ---- sending ---- */

static const struct window_sent full = {.ring_bytes = RING,
                                        .sent = 10 * RING,
                                        .released = 9 * RING,
                                        .peer_consumed = 9 * RING,
                                        .limit = 11 * RING};

/* The same, one ring further. */
static struct window_sent after(struct window_sent sent)
{
    sent.sent += RING;
    sent.released += RING;
    sent.peer_consumed += RING;
    sent.limit += RING;
    return sent;
}

static void a_ring_that_is_full_twice_limits(void)
{
    struct window_sending window = {0};

    CHECK(!ewi_window_full(&window, &full));
    CHECK(!ewi_window_full(&window, &full)); /* the same time still */
    struct window_sent again = after(full);

    again.peer_consumed -= 8;
    CHECK(!ewi_window_full(&window, &again)); /* the application has not taken it all */
    again.peer_consumed += 8;
    CHECK(ewi_window_full(&window, &again));
    again = after(again);
    CHECK(!ewi_window_full(&window, &again)); /* it is larger by now */
}

/* catches: a ring that grows because the peer does not read */
static void a_ring_behind_a_limit_does_not(void)
{
    struct window_sending window = {0};
    struct window_sent small = full, reached = full;

    small.released = small.peer_consumed = small.sent - RING / 2;
    small.limit = small.peer_consumed + RING + RING / 4 - 8; /* the peer's inbox: no larger */
    reached.peer_consumed -= RING;
    reached.limit = reached.sent + RING / 4 - 8;
    CHECK(!ewi_window_full(&window, &full));
    for (int i = 0; i < 4; i++) {
        small = after(small), reached = after(reached);
        CHECK(!ewi_window_full(&window, i % 2 == 0 ? &small : &reached));
    }
    CHECK(!window.marked); /* what was seen before the limit is forgotten */
}

static void a_ring_that_is_half_empty_by_now_does_not(void)
{
    struct window_sending window = {0};
    struct window_sent now = full;

    now.released = now.sent - RING / 2 + 8;
    for (int i = 0; i < 4; i++, now = after(now))
        CHECK(!ewi_window_full(&window, &now));
}

/* ---- sizes ---- */

static void sizes_double_up_to_the_cap(void)
{
    CHECK_EQ(ewi_window_next(64, 1000), 128);
    CHECK_EQ(ewi_window_next(512, 1000), 1000);
    CHECK_EQ(ewi_window_next(1000, 1000), 0);
    CHECK_EQ(ewi_window_next(2000, 1000), 0);
}

int main(void)
{
    RUN(an_inbox_that_fills_in_each_round_trip_limits);
    RUN(a_sender_that_needs_less_than_half_of_it_does_not);
    RUN(a_slow_sender_that_fills_it_in_a_minute_does_not);
    RUN(an_application_that_does_not_read_does_not);
    RUN(one_short_round_trip_and_nobody_asks_again);
    RUN(a_round_trip_of_the_least_length_counts);
    RUN(a_ping_waits_for_half_an_inbox_and_for_the_one_before);
    RUN(an_answer_that_nobody_asked_for_changes_nothing);
    RUN(a_ring_that_is_full_twice_limits);
    RUN(a_ring_behind_a_limit_does_not);
    RUN(a_ring_that_is_half_empty_by_now_does_not);
    RUN(sizes_double_up_to_the_cap);
    return 0;
}
