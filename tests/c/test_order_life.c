/* Is every release paired with its acquire, where handles are shared and freed: contexts, listeners,
 * channels, slots of the kernel stack, and the measurement of a wake-up? As test_order_shm.c. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "tests/c/order_base.h"
#include "tests/c/pair_base.h"
#include "transport/channel/move.h"
#include "transport/context.h"
#include "transport/kernel/kernel.c" /* kernel_released is its own */
#include "transport/listener.h"
#include "transport/machine.h"

static struct pair pair;
static struct slot slot_memory[4];
static struct slots slots;
static struct slot *slot;
static ewi_stream handle;

/* ---- shares of a context and of a listener ---- */

static void use_and_give_context(void)
{
    pair.client->quota_cpus = 1;
    ewi_context_give(pair.client);
    tell_left_is_done();
}

static void give_context_last(void)
{
    await_left();
    ewi_context_give(pair.client); /* frees it */
}

/* catches: either half of the fetch_sub in ewi_context_give */
static void who_gives_the_last_share_sees_what_the_others_did(void)
{
    CHECK_EQ(ew_context_open(NULL, &pair.client), EW_OK);
    ewi_context_take(pair.client);
    beside(use_and_give_context, give_context_last);
}

static void use_and_give_listener(void)
{
    pair.listener->max_channels = 1;
    ewi_listener_give(pair.listener);
    tell_left_is_done();
}

static void give_listener_last(void)
{
    await_left();
    ewi_listener_give(pair.listener);
}

/* catches: either half of the fetch_sub in ewi_listener_give */
static void who_gives_a_listener_back_last_sees_what_the_others_did(void)
{
    open_contexts(&pair, false);
    ew_listener_close(pair.listener);
    ewi_listener_take(pair.listener);
    beside(use_and_give_listener, give_listener_last);
    ew_context_close(pair.client);
    ew_context_close(pair.server);
}

/* ---- a context that closes pins its channels: P1, P2 ---- */

static void close_context(void)
{
    ew_context_close(pair.client);
    tell_left_is_done();
}

static void free_channel(void)
{
    await_left();
    ew_channel_free(pair.end[0]);
}

/* catches: P1 or P2 relaxed */
static void a_channel_is_freed_after_the_context_is_through_with_it(void)
{
    open_pair(&pair, false);
    beside(close_context, free_channel);
    ew_channel_free(pair.end[1]);
    ew_listener_free(pair.listener);
    ew_context_close(pair.server);
}

/* A peer that resumes names the channel while it is freed. */
static void find_channel(void)
{
    const uint8_t bytes[WIRE_HELLO_BYTES] = {0};
    struct hello hello = {0};
    char text[WIRE_TEXT_BYTES_MAX];
    struct incoming_found found;

    memcpy(hello.channel, pair.end[1]->id, sizeof(hello.channel));
    CHECK_EQ(ewi_incoming_find(pair.server, &hello, bytes, &found, text), EW_ELOST); /* no proof */
    CHECK(found.channel == pair.end[1]);
    tell_left_is_done();
}

static void free_accepted(void)
{
    await_left();
    ew_channel_free(pair.end[1]);
}

/* catches: P1 relaxed, where a resume looks for its channel */
static void a_channel_is_freed_after_who_looked_for_it_is_through_with_it(void)
{
    open_pair(&pair, false);
    beside(find_channel, free_accepted);
    ew_channel_free(pair.end[0]);
    ew_listener_free(pair.listener);
    ew_context_close(pair.client);
    ew_context_close(pair.server);
}

static int listen_without_answers(char **address)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(name);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_EQ(bind(fd, (struct sockaddr *)&name, length), 0);
    CHECK_EQ(listen(fd, 1), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    CHECK(asprintf(address, "tcp://127.0.0.1:%d", ntohs(name.sin_port)) > 0);
    return fd;
}

static bool is_dialling(ew_channel *channel)
{
    bool dialling;

    ewi_reactor_lock(channel->context->reactor);
    dialling = channel->resume.dialling;
    ewi_reactor_unlock(channel->context->reactor);
    return dialling;
}

/* catches: P1 relaxed, where a dial ends; a free that does not wait for the thread that dials */
static void a_channel_is_freed_after_the_dial_for_it_is_over(void)
{
    const struct stream_link *link;
    int fd;

    open_pair(&pair, true);
    pair.client->grace_ns = 20000 * MS;
    free(pair.end[0]->peer_address);
    fd = listen_without_answers(&pair.end[0]->peer_address);
    link = &pair.end[1]->link->stream;
    link->ops->break_off(link->stack, link->stream);
    while (!is_dialling(pair.end[0]))
        ewi_relax();
    ew_channel_free(pair.end[0]);
    close(fd);
    ew_channel_free(pair.end[1]);
    ew_listener_free(pair.listener);
    ew_context_close(pair.client);
    ew_context_close(pair.server);
}

/* ---- slots: K1 to K4 ---- */

static void begin_slots(void)
{
    memset(slot_memory, 0, sizeof(slot_memory));
    ewi_slots_init(&slots, slot_memory, 4);
    slot = ewi_slots_claim(&slots);
    handle = 0;
}

static void publish(void)
{
    slot->user = 7;
    handle = ewi_slots_publish(&slots, slot);
}

static void enter_published(void)
{
    struct slot *found;

    while ((found = ewi_slots_enter(&slots, UINT64_C(1) << 32)) == NULL)
        ewi_relax();
    CHECK_EQ(found->user, 7);
}

/* catches: K1 or K2 relaxed */
static void what_is_in_a_slot_is_seen_by_who_enters(void)
{
    begin_slots();
    beside(publish, enter_published);
}

static void leave_first(void)
{
    plain = 1;
    CHECK(!ewi_slots_leave(slot));
    tell_left_is_done();
}

static void leave_last(void)
{
    await_left();
    CHECK(ewi_slots_leave(slot));
    CHECK_EQ(plain, 1);
}

static void two_inside(void)
{
    begin_slots();
    publish();
    CHECK(ewi_slots_enter(&slots, handle) == slot);
}

/* catches: either half of K3 */
static void the_last_one_out_sees_what_the_others_did(void)
{
    two_inside();
    CHECK(ewi_slots_retire(slot));
    beside(leave_first, leave_last);
}

static void await_alone(void)
{
    while (!ewi_slots_is_alone(slot))
        ewi_relax();
    CHECK_EQ(plain, 1);
}

/* catches: the release of K3, K4 relaxed */
static void who_is_alone_sees_what_the_others_did(void)
{
    two_inside();
    beside(leave_first, await_alone);
}

/* ---- bytes that the kernel has: K5, K6 ---- */

static struct ewi_stack stack;

static void send_bytes(void)
{
    const struct stack_span span = {"12345678", 8};

    plain = 1;
    CHECK_EQ(ewi_socket_send(&stack.slots.slot[0], &span, 1), 8);
}

static void await_released(void)
{
    uint64_t released = 0;

    while (released == 0) {
        CHECK_EQ(kernel_released(&stack, handle, &released), 0);
        ewi_relax();
    }
    CHECK_EQ(plain, 1);
}

/* catches: K5 or K6 relaxed */
static void memory_is_used_again_after_it_was_sent(void)
{
    int ends[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    begin_slots();
    slot->fd = ends[0];
    publish();
    stack.slots = slots;
    beside(send_bytes, await_released);
    close(ends[0]);
    close(ends[1]);
}

/* ---- what a wake-up costs ---- */

/* catches: any order of `turn` in machine.c relaxed */
static void a_wake_up_is_measured_by_two_who_take_turns(void)
{
    CHECK(ewi_machine_wake_ns() > 0);
}

int main(int argc, char **argv)
{
    begin_stress(argc, argv);
    RUN(who_gives_the_last_share_sees_what_the_others_did);
    RUN(who_gives_a_listener_back_last_sees_what_the_others_did);
    RUN(a_channel_is_freed_after_the_context_is_through_with_it);
    RUN(a_channel_is_freed_after_who_looked_for_it_is_through_with_it);
    RUN(a_channel_is_freed_after_the_dial_for_it_is_over);
    RUN(what_is_in_a_slot_is_seen_by_who_enters);
    RUN(the_last_one_out_sees_what_the_others_did);
    RUN(who_is_alone_sees_what_the_others_did);
    RUN(memory_is_used_again_after_it_was_sent);
    RUN(a_wake_up_is_measured_by_two_who_take_turns);
    rmdir(directory);
    return 0;
}
