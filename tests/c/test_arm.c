/* What event loops use of a channel: arm, spin, and sending in steps; both paths. */
#include <poll.h>

#include "tests/c/pair_base.h"

enum { LONG_BYTES = 6 * 1000 * 1000 + 7, SMALL_BYTES = 1000 };

static void close_pair(struct pair *pair)
{
    ew_channel_free(pair->end[0]);
    ew_channel_free(pair->end[1]);
    check_empty(pair->client);
    check_empty(pair->server);
    ew_listener_free(pair->listener);
    ew_context_close(pair->server);
    ew_context_close(pair->client);
}

static bool is_readable(ew_channel *channel, int timeout_ms)
{
    struct pollfd fd = {.fd = ew_channel_fileno(channel), .events = POLLIN};

    CHECK(fd.fd >= 0);
    return poll(&fd, 1, timeout_ms) == 1;
}

static int fill(ew_channel *channel, const void *message)
{
    int count = 0;

    while (ew_channel_send(channel, message, SMALL_BYTES, 50 * MS, NULL) == EW_OK)
        count++;
    return count;
}

static void receive(ew_channel *channel, size_t want)
{
    uint8_t data[SMALL_BYTES];
    size_t bytes;

    CHECK_EQ(ew_channel_recv(channel, data, sizeof(data), &bytes, 20000 * MS, NULL), EW_OK);
    CHECK_EQ(bytes, want);
}

static void arming_tells_of_a_message(bool tcp)
{
    struct pair pair;

    open_pair(&pair, tcp);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(ew_channel_arm(pair.end[1], EW_ARM_RECV, 0), 0);
        CHECK(tcp || !is_readable(pair.end[1], 0));
        CHECK_EQ(ew_channel_send(pair.end[0], "hello", 5, 20000 * MS, NULL), EW_OK);
        CHECK(is_readable(pair.end[1], 20000));
        while (ew_channel_arm(pair.end[1], EW_ARM_RECV, 0) == 0)
            CHECK(is_readable(pair.end[1], 20000));
        receive(pair.end[1], 5);
    }
    ew_channel_abort(pair.end[0]);
    CHECK(is_readable(pair.end[1], 20000));
    CHECK_EQ(ew_channel_arm(pair.end[1], EW_ARM_RECV | EW_ARM_SEND, 1),
             EW_ARM_RECV | EW_ARM_SEND);
    ew_channel_abort(pair.end[1]);
    CHECK_EQ(ew_channel_arm(pair.end[1], EW_ARM_RECV, 0), EW_ECLOSED);
    CHECK_EQ(ew_channel_spin(pair.end[1], 0), EW_ECLOSED);
    close_pair(&pair);
}

static void arming_tells_of_room(bool tcp)
{
    static const uint8_t message[SMALL_BYTES];
    struct pair pair;
    int count;

    open_pair(&pair, tcp);
    count = fill(pair.end[0], message);
    CHECK_EQ(ew_channel_arm(pair.end[0], EW_ARM_SEND, SMALL_BYTES), 0);
    for (int i = 0; i < count; i++)
        receive(pair.end[1], SMALL_BYTES);
    CHECK(is_readable(pair.end[0], 20000));
    while (ew_channel_arm(pair.end[0], EW_ARM_SEND, SMALL_BYTES) == 0)
        CHECK(is_readable(pair.end[0], 20000));
    CHECK_EQ(ew_channel_send(pair.end[0], message, SMALL_BYTES, 0, NULL), EW_OK);
    CHECK_EQ(ew_channel_arm(pair.end[0], 0, 0), 0);
    close_pair(&pair);
}

static void spinning_finds_a_message_and_leaves_it(bool tcp)
{
    struct pair pair;
    size_t bytes;

    open_pair(&pair, tcp);
    CHECK_EQ(ew_channel_spin(pair.end[1], 0), 0);
    CHECK_EQ(ew_channel_spin(pair.end[1], 20000), 0);
    CHECK_EQ(ew_channel_send(pair.end[0], "", 0, 20000 * MS, NULL), EW_OK);
    while (ew_channel_spin(pair.end[1], 1000 * 1000) == 0)
        CHECK(tcp);
    receive(pair.end[1], 0);
    ew_channel_send_eof(pair.end[0]);
    while (ew_channel_spin(pair.end[1], 1000 * 1000) == 0)
        CHECK(tcp);
    CHECK_EQ(ew_channel_recv(pair.end[1], NULL, 0, &bytes, 20000 * MS, NULL), EW_EEND);
    CHECK_EQ(ew_channel_spin(pair.end[1], 0), 1); /* the end stays the end */
    close_pair(&pair);
}

static void a_long_message_goes_in_steps(bool tcp)
{
    uint8_t *sent = malloc(LONG_BYTES), *got = malloc(LONG_BYTES);
    const ew_part parts[2] = {{sent, 1000}, {sent + 1000, LONG_BYTES - 1000}};
    struct pair pair;
    int steps = 0, code = EW_EAGAIN;
    bool done = false;
    size_t bytes;

    open_pair(&pair, tcp);
    for (int i = 0; i < LONG_BYTES; i++)
        sent[i] = (uint8_t)(i * 7 + i / 256);
    while (!done) {
        if (code == EW_EAGAIN) {
            code = ew_channel_send_step(pair.end[0], parts, 2, 0, NULL);
            steps++;
        }
        if (code == EW_EAGAIN) /* nobody else gets in between */
            CHECK_EQ(ew_channel_send(pair.end[0], "x", 1, 0, NULL), EW_EAGAIN);
        done = ew_channel_recv(pair.end[1], got, LONG_BYTES, &bytes, 0, NULL) == EW_OK;
        if (code == EW_EAGAIN && ew_channel_arm(pair.end[0], EW_ARM_SEND, 1) == 0)
            is_readable(pair.end[0], 5);
    }
    CHECK_EQ(code, EW_OK);
    CHECK(steps > 1);
    CHECK_EQ(bytes, LONG_BYTES);
    CHECK(memcmp(sent, got, LONG_BYTES) == 0);
    CHECK_EQ(ew_channel_send(pair.end[0], "x", 1, 0, NULL), EW_OK);
    receive(pair.end[1], 1);
    free(sent);
    free(got);
    close_pair(&pair);
}

static void a_step_that_is_cancelled_has_sent_nothing(bool tcp)
{
    uint8_t *data = calloc(1, LONG_BYTES);
    const ew_part part = {data, LONG_BYTES};
    struct pair pair;

    open_pair(&pair, tcp);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ew_channel_send_step(pair.end[0], &part, 1, 0, NULL), EW_EAGAIN);
        ew_channel_send_cancel(pair.end[0], &part);
        ew_channel_send_cancel(pair.end[0], &part);
    }
    CHECK_EQ(ew_channel_send_eof(pair.end[0]), EW_OK);
    for (;;) { /* a receiver with room takes in the pieces that came, and gets no message */
        size_t bytes;
        int code = ew_channel_recv(pair.end[1], data, LONG_BYTES, &bytes, 0, NULL);

        CHECK(code == EW_EAGAIN || code == EW_EEND);
        if (code == EW_EEND)
            break;
    }
    CHECK_EQ(ew_channel_send_step(pair.end[1], &part, 1, 0, NULL), EW_EAGAIN);
    ew_channel_abort(pair.end[1]); /* with a send half done */
    free(data);
    close_pair(&pair);
}

BOTH(arming_tells_of_a_message)
BOTH(arming_tells_of_room)
BOTH(spinning_finds_a_message_and_leaves_it)
BOTH(a_long_message_goes_in_steps)
BOTH(a_step_that_is_cancelled_has_sent_nothing)

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(over_shm_arming_tells_of_a_message);
    RUN(over_tcp_arming_tells_of_a_message);
    RUN(over_shm_arming_tells_of_room);
    RUN(over_tcp_arming_tells_of_room);
    RUN(over_shm_spinning_finds_a_message_and_leaves_it);
    RUN(over_tcp_spinning_finds_a_message_and_leaves_it);
    RUN(over_shm_a_long_message_goes_in_steps);
    RUN(over_tcp_a_long_message_goes_in_steps);
    RUN(over_shm_a_step_that_is_cancelled_has_sent_nothing);
    RUN(over_tcp_a_step_that_is_cancelled_has_sent_nothing);
    rmdir(directory);
    return 0;
}
