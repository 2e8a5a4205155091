/* Payload that goes straight into a buffer while others are at work: the
 * reactor drives, a second thread receives, a link breaks or is replaced, the channel is closed. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "tests/c/pair_base.h"
#include "transport/channel/channel.h"
#include "transport/context.h"

enum { KIB = 1024, BYTES_MAX = 1024 * KIB, TIMES = IS_SLOW ? 60 : 300 };

static struct pair pair;
static _Atomic bool stop;
static _Atomic int messages_left;

static void fill(uint8_t *bytes, size_t length, uint32_t number)
{
    for (size_t at = 0; at < length; at++)
        bytes[at] = (uint8_t)((at >> 3) * 31 + number);
}

static size_t length_of(uint32_t number)
{
    return 20 * KIB + (size_t)(number * 2654435761u) % (BYTES_MAX - 20 * KIB);
}

/* Its number is found by its length, which differ. */
static void check_message(const uint8_t *bytes, size_t length)
{
    uint32_t number = 0;

    while (number < TIMES && length_of(number) != length)
        number++;
    CHECK(number < TIMES);
    for (size_t at = 0; at < length; at++)
        if (bytes[at] != (uint8_t)((at >> 3) * 31 + number))
            CHECK_EQ(at, length); /* where it differs */
}

static void *send_all(void *channel)
{
    uint8_t *bytes = malloc(BYTES_MAX);

    for (uint32_t number = 0; number < TIMES; number++) {
        fill(bytes, length_of(number), number);
        CHECK_EQ(ew_channel_send(channel, bytes, length_of(number), PATIENCE_MS * MS, NULL), EW_OK);
    }
    free(bytes);
    return NULL;
}

/* With all kinds of patience, and a fresh buffer each time: ASan knows when it is not ours any more. */
static void *receive_some(void *channel)
{
    uint32_t turn = 0;
    size_t length;

    while (atomic_load(&messages_left) > 0) {
        const int64_t timeouts[] = {1, 100 * 1000, MS, 20 * MS};
        uint8_t *bytes = malloc(BYTES_MAX);
        int code = ew_channel_recv(channel, bytes, BYTES_MAX, &length, timeouts[turn++ % 4], NULL);

        CHECK(code == EW_OK || code == EW_ETIMEOUT);
        if (code == EW_OK) {
            check_message(bytes, length);
            atomic_fetch_sub(&messages_left, 1);
        }
        free(bytes);
    }
    return NULL;
}

/* As the reactor does for an application that is away. */
static void *drive_as_reactor(void *channel)
{
    while (!atomic_load(&stop)) {
        ewi_stream_link_cover(channel);
        ewi_relax();
    }
    return NULL;
}

static void open_tcp(ew_wait_policy policy, int64_t grace_ns)
{
    const ew_context_options options = {.wait = (int32_t)policy, .grace_ns = grace_ns};

    pair = (struct pair){0};
    CHECK_EQ(ew_context_open(&options, &pair.server), EW_OK);
    CHECK_EQ(ew_context_open(&options, &pair.client), EW_OK);
    open_listener(&pair, true);
    CHECK_EQ(ew_connect(pair.client, &pair.connect, &pair.end[0]), EW_OK);
    CHECK_EQ(ew_listener_accept(pair.listener, PATIENCE_MS * MS, NULL, &pair.end[1]), EW_OK);
}

/* catches: a buffer that is written after its receive has returned, a part that is lost between two */
static void two_receivers_and_who_drives_beside_them(ew_wait_policy policy)
{
    pthread_t sender, receivers[2], driver;

    open_tcp(policy, -1);
    atomic_store(&stop, false);
    atomic_store(&messages_left, TIMES);
    pthread_create(&sender, NULL, send_all, pair.end[1]);
    pthread_create(&driver, NULL, drive_as_reactor, pair.end[0]);
    for (int i = 0; i < 2; i++)
        pthread_create(&receivers[i], NULL, receive_some, pair.end[0]);
    for (int i = 0; i < 2; i++)
        pthread_join(receivers[i], NULL);
    atomic_store(&stop, true);
    pthread_join(driver, NULL);
    pthread_join(sender, NULL);
    CHECK_EQ(atomic_load(&messages_left), 0);
    close_both(&pair);
}

static void two_receivers_sleep_while_the_reactor_drives(void)
{
    two_receivers_and_who_drives_beside_them(EW_WAIT_BLOCK);
}

static void two_receivers_spin_while_the_reactor_drives(void)
{
    two_receivers_and_who_drives_beside_them(EW_WAIT_ADAPTIVE);
}

/* ---- a link that breaks ---- */

static struct stack_ops breaking;
static int64_t until_broken; /* under the drive lock */

static int64_t receive_or_break(struct ewi_stack *stack, ewi_stream stream,
                                const struct stack_room *rooms, uint32_t count)
{
    int64_t got = until_broken <= 0 ? -ECONNRESET
                                    : ewi_kernel_stack.recv_into(stack, stream, rooms, count);

    if (got > 0)
        until_broken -= got;
    return got;
}

/* The link of our end breaks when it has brought so much: the rest comes over the next one. */
static void break_after(ew_channel *channel, int64_t bytes)
{
    struct stream_link *link = &channel->link->stream;

    ewi_lock_enter(&link->drive_lock);
    until_broken = bytes;
    ewi_reactor_lock(channel->context->reactor); /* it watches the stream with the same table */
    link->ops = &breaking;
    ewi_reactor_unlock(channel->context->reactor);
    ewi_lock_give(&link->drive_lock);
}

static void receive_all(ew_channel *channel)
{
    uint8_t *bytes = malloc(BYTES_MAX);
    size_t length;

    for (uint32_t number = 0; number < TIMES; number++) {
        if (number % 10 == 3)
            break_after(channel, 1 + (int64_t)(number * 7919u) % (600 * KIB));
        CHECK_EQ(ew_channel_recv(channel, bytes, BYTES_MAX, &length, PATIENCE_MS * MS, NULL), EW_OK);
        CHECK_EQ(length, length_of(number));
        check_message(bytes, length);
    }
    free(bytes);
}

/* catches: a part of a record that counts twice, or is missing, on the next link */
static void a_link_that_breaks_in_the_middle_of_a_record_is_resumed_there(void)
{
    pthread_t sender;

    breaking = ewi_kernel_stack;
    breaking.recv_into = receive_or_break;
    open_tcp(EW_WAIT_ADAPTIVE, 0);
    pthread_create(&sender, NULL, send_all, pair.end[1]);
    receive_all(pair.end[0]);
    pthread_join(sender, NULL);
    CHECK(pair.end[0]->session.generation > 1);
    close_both(&pair);
}

/* ---- a link that is replaced ---- */

static void *receive_in_order(void *channel)
{
    uint8_t *bytes = malloc(BYTES_MAX);
    size_t length;

    for (uint32_t number = 0; number < TIMES; number++) {
        CHECK_EQ(ew_channel_recv(channel, bytes, BYTES_MAX, &length, PATIENCE_MS * MS, NULL), EW_OK);
        CHECK_EQ(length, length_of(number));
        check_message(bytes, length);
    }
    atomic_store(&stop, true);
    free(bytes);
    return NULL;
}

/* catches: a receiver that lends its lock, and not its buffer's end; records in the wrong memory */
static void a_channel_moves_while_a_message_comes(void)
{
    const char *addresses[2];
    pthread_t sender, receiver;

    pair = open_both(0);
    addresses[0] = pair.info.tcp_address;
    addresses[1] = pair.info.local_address;
    atomic_store(&stop, false);
    pthread_create(&sender, NULL, send_all, pair.end[1]);
    pthread_create(&receiver, NULL, receive_in_order, pair.end[0]);
    for (int i = 0; !atomic_load(&stop); i++) {
        int code = ew_channel_switch(pair.end[0], addresses[i % 2], PATIENCE_MS * MS, NULL);

        CHECK_EQ(code, EW_OK);
        usleep(3000);
    }
    pthread_join(sender, NULL);
    pthread_join(receiver, NULL);
    close_both(&pair);
}

/* ---- a channel that is closed ---- */

static void *receive_until_closed(void *channel)
{
    uint8_t *bytes = malloc(BYTES_MAX);
    size_t length;
    int code = ew_channel_recv(channel, bytes, BYTES_MAX, &length, PATIENCE_MS * MS, NULL);

    CHECK(code == EW_ECLOSED);
    free(bytes); /* ASan: nobody writes there any more */
    return NULL;
}

static void *send_until_lost(void *channel)
{
    uint8_t *bytes = calloc(1, BYTES_MAX);

    while (ew_channel_send(channel, bytes, BYTES_MAX, 50 * MS, NULL) == EW_OK)
        ;
    free(bytes);
    return NULL;
}

/* The sender is held up in the middle of the message: its peer takes nothing after a few records. */
static void a_receive_in_the_middle_of_a_message_ends_with_the_channel(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t sender, receiver;
        ew_part parts[1];
        uint8_t *half = calloc(1, BYTES_MAX);

        open_tcp(i % 2 == 0 ? EW_WAIT_BLOCK : EW_WAIT_ADAPTIVE, -1);
        parts[0] = (ew_part){half, BYTES_MAX};
        CHECK_EQ(ew_channel_send_step(pair.end[1], parts, 1, 0, NULL), EW_EAGAIN); /* as much as there is room */
        pthread_create(&receiver, NULL, receive_until_closed, pair.end[0]);
        usleep(1000 * (useconds_t)(i % 5));
        ew_channel_abort(pair.end[0]);
        pthread_join(receiver, NULL);
        ew_channel_send_cancel(pair.end[1], parts);
        pthread_create(&sender, NULL, send_until_lost, pair.end[1]);
        pthread_join(sender, NULL);
        close_both(&pair);
        free(half);
    }
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(two_receivers_sleep_while_the_reactor_drives);
    RUN(two_receivers_spin_while_the_reactor_drives);
    RUN(a_link_that_breaks_in_the_middle_of_a_record_is_resumed_there);
    RUN(a_channel_moves_while_a_message_comes);
    RUN(a_receive_in_the_middle_of_a_message_ends_with_the_channel);
    rmdir(directory);
    return 0;
}
