/* tests/c/test_shell_reopen.c - transport/shell: a device that is lost for good, and another in its place. */
#include <pthread.h>

#include "tests/c/stack_pair.h"

enum { MS = 1000 * 1000 };

static char reason[STACK_REASON_BYTES];

static int reopen(struct duo *duo)
{
    memset(reason, 'x', sizeof(reason));
    return duo->side[0].ops->reopen(duo->side[0].stack, reason);
}

static void until_lost(struct duo *duo)
{
    await_event(duo, 0, duo->opener, STACK_FAILED, USER_OPENER);
    CHECK_EQ(duo->side[0].ops->error(duo->side[0].stack, duo->opener), -ENETDOWN);
}

static void finish_opener(struct duo *duo)
{
    CHECK_EQ(duo->side[0].ops->finish(duo->side[0].stack, duo->opener, true, ewi_now_ns()), 0);
    await_event(duo, 0, duo->opener, STACK_CLOSED, USER_OPENER);
}

static void expect_dialogue(struct duo *duo)
{
    duo->opener = connect_to(duo);
    await_event(duo, 0, duo->opener, STACK_CONNECTED, USER_OPENER);
    duo->accepted = accept_one(duo);
    CHECK_EQ(send_text(duo, 0, "there"), 5);
    expect_text(duo, 1, "there");
    CHECK_EQ(send_text(duo, 1, "and back"), 8);
    expect_text(duo, 0, "and back");
}

/* ---- an opener that fails, or is slow ---- */

static struct device_ops moody;
static int moody_code;
static uint16_t moody_mtu; /* 0: what is asked for */
static _Atomic bool is_waiting, may_go_on;
static uint8_t moody_mac[6];

static int moody_open(const struct device_options *options, struct device **out)
{
    struct device_options asked;

    atomic_store(&is_waiting, true);
    while (!atomic_load(&may_go_on))
        ewi_relax();
    memcpy(moody_mac, options->mac, sizeof(moody_mac));
    if (moody_code != 0) {
        snprintf(options->reason, DEVICE_REASON_BYTES, "not in the mood");
        return moody_code;
    }
    if (moody_mtu == 0)
        return wire_device.open(options, out);
    asked = *options;
    asked.mtu = moody_mtu;
    return wire_device.open(&asked, out);
}

static void make_moody(struct duo *duo, int code)
{
    moody = wire_device;
    moody.open = moody_open;
    moody_code = code;
    atomic_store(&may_go_on, true);
    atomic_store(&is_waiting, false);
    duo->side[0].stack->opener = &moody;
}

/* ---- */

/* catches: a device that works and is closed; one whose cable is out and is not waited for */
static void device_that_can_come_back_is_left_alone(void)
{
    struct duo duo = duo_open();
    struct ewi_stack *stack = duo.side[0].stack;
    struct device *device = stack->device;

    CHECK_EQ(reopen(&duo), 0);
    CHECK(reason[0] == '\0');
    wire_set_carrier(WIRE, false);
    until_lost(&duo);
    CHECK_EQ(reopen(&duo), -EAGAIN);
    CHECK(strstr(reason, "no carrier") != NULL);
    wire_set_carrier(WIRE, true);
    CHECK_EQ(reopen(&duo), 0);
    CHECK(stack->device == device && stack->counts.reopens == 0 && stack->ops == &wire_device);
    duo_close(&duo);
}

/* catches: a listener that does not survive, another address, a device that is opened twice */
static void lost_device_gives_way_to_another(void)
{
    struct duo duo = duo_open();
    struct ewi_stack *stack = duo.side[0].stack;
    const struct stack_addr any = {.family = 4, .port = 80};
    uint8_t mac[6];
    ewi_stream listener;
    struct wire_look look;

    CHECK_EQ(duo.side[0].ops->listen(stack, &any, 1, 7, &listener), 0);
    memcpy(mac, stack->facts.mac, sizeof(mac));
    make_moody(&duo, 0);
    wire_break(WIRE, 0);
    until_lost(&duo);
    finish_opener(&duo);
    CHECK_EQ(reopen(&duo), 0);
    CHECK(reason[0] == '\0');
    CHECK_EQ(stack->counts.reopens, 1);
    CHECK(memcmp(moody_mac, mac, sizeof(mac)) == 0 && memcmp(stack->facts.mac, mac, sizeof(mac)) == 0);
    CHECK(wire_look_at(WIRE, &look) && look.ends == 2);
    CHECK_EQ(reopen(&duo), 0); /* it has a carrier */
    CHECK_EQ(stack->counts.reopens, 1);
    expect_dialogue(&duo);

    /* The other way: the listener of before. */
    duo.address = (struct stack_addr){.family = 4, .port = 80, .ip = {10, 0, 0, 1}};
    CHECK_EQ(duo.side[1].ops->connect(duo.side[1].stack, NULL, &duo.address, 9, ewi_now_ns(),
                                      &duo.accepted), 0);
    await_event(&duo, 1, duo.accepted, STACK_CONNECTED, 9);
    await_event(&duo, 0, listener, STACK_ACCEPT, 7);
    duo_close(&duo);
}

/* catches: packets given back to a device that is closed */
static void old_device_stays_while_packets_of_it_are_unread(void)
{
    struct duo duo = duo_open();

    CHECK_EQ(send_text(&duo, 1, "before"), 6);
    until_ready(&duo, 0, STACK_READABLE);
    wire_break(WIRE, 0);
    until_lost(&duo);
    CHECK_EQ(duo.side[0].stack->packets_kept, 1);
    CHECK_EQ(wire_held_by(WIRE, 0), 1);
    CHECK_EQ(reopen(&duo), -EBUSY);
    CHECK(strstr(reason, "1 packets") != NULL);
    expect_text(&duo, 0, "before");
    finish_opener(&duo);
    CHECK_EQ(duo.side[0].stack->packets_kept, 0);
    CHECK_EQ(reopen(&duo), 0);
    expect_dialogue(&duo);
    duo_close(&duo);
}

/* catches: calls that use a device that is not there; a reactor that spins meanwhile */
static void stack_lives_without_a_device(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    const struct stack_addr any = {.family = 4, .port = 80};
    char answer[1 << 16];
    struct stack_info info;
    struct stack_event event;
    uint64_t deadline, now, end;
    ewi_stream stream;

    make_moody(&duo, -ENODEV);
    wire_break(WIRE, 0);
    until_lost(&duo);
    CHECK_EQ(reopen(&duo), -ENODEV);
    CHECK(strcmp(reason, "not in the mood") == 0);
    CHECK(a->stack->device == NULL);
    CHECK_EQ(a->ops->connect(a->stack, NULL, &duo.address, 0, ewi_now_ns(), &stream), -ENETDOWN);
    CHECK_EQ(a->ops->listen(a->stack, &any, 1, 0, &stream), -ENETDOWN);
    CHECK_EQ(a->ops->info(a->stack, &info), 0);
    CHECK(strcmp(info.device, "wire pair.0") == 0);
    CHECK(a->ops->ask(a->stack, "port", answer, sizeof(answer)) > 0);
    CHECK(a->ops->ask(a->stack, "stats", answer, sizeof(answer)) > 0);
    finish_opener(&duo);
    for (end = ewi_now_ns() + WAIT_NS;;) { /* looks four times a second */
        now = ewi_now_ns();
        (void)a->ops->poll(a->stack, now, &event, 1, &deadline);
        if (deadline >= now + 100 * MS)
            break;
        CHECK(now < end);
    }
    CHECK_EQ(reopen(&duo), -ENODEV);
    moody_code = 0;
    CHECK_EQ(reopen(&duo), 0);
    expect_dialogue(&duo);
    duo_close(&duo);
}

/* catches: a net that goes on with the MTU, or the offloads, of the device before */
static void device_that_is_another_kind_is_refused(void)
{
    struct duo duo = duo_open();

    make_moody(&duo, 0);
    moody_mtu = 1280;
    wire_break(WIRE, 0);
    until_lost(&duo);
    finish_opener(&duo);
    CHECK_EQ(reopen(&duo), -ENOTSUP);
    CHECK(strstr(reason, "MTU 1280, was 1500") != NULL);
    CHECK(duo.side[0].stack->device == NULL);
    moody_mtu = 0;
    CHECK_EQ(reopen(&duo), 0);
    expect_dialogue(&duo);
    duo_close(&duo);
}

static void *reopen_in_a_thread(void *object)
{
    CHECK_EQ(reopen(object), 0);
    return NULL;
}

/* catches: an open under the guard; a second one at the same time */
static void stack_can_be_used_while_a_device_is_opened(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    char other[STACK_REASON_BYTES];
    pthread_t thread;
    ewi_stream stream;

    make_moody(&duo, 0);
    atomic_store(&may_go_on, false);
    wire_break(WIRE, 0);
    until_lost(&duo);
    finish_opener(&duo);
    CHECK_EQ(pthread_create(&thread, NULL, reopen_in_a_thread, &duo), 0);
    while (!atomic_load(&is_waiting))
        turn_side(a);
    CHECK_EQ(a->ops->connect(a->stack, NULL, &duo.address, 0, ewi_now_ns(), &stream), -ENETDOWN);
    CHECK_EQ(a->ops->reopen(a->stack, other), -EBUSY);
    CHECK(strstr(other, "another thread") != NULL);
    atomic_store(&may_go_on, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    expect_dialogue(&duo);
    duo_close(&duo);
}

/* catches: a set that still has the old device's descriptor; a sleeper that nobody wakes */
static void sleepers_are_told_and_sleep_on_the_new_device(void)
{
    struct duo duo = duo_open();
    struct side *a = &duo.side[0];
    int fd = a->ops->stream_fd(a->stack, duo.opener);

    CHECK(fd >= 0);
    arm_stream(&duo, 0, duo.opener); /* it watches the device */
    wire_break(WIRE, 0);
    until_lost(&duo);
    CHECK(is_readable(fd));
    finish_opener(&duo);
    CHECK_EQ(reopen(&duo), 0);
    expect_dialogue(&duo);
    fd = a->ops->stream_fd(a->stack, duo.opener);
    arm_stream(&duo, 0, duo.opener);
    CHECK(wire_is_armed(WIRE, 0));
    CHECK(!is_readable(fd));
    CHECK_EQ(send_text(&duo, 1, "wake up"), 7);
    CHECK(is_readable(fd));
    expect_text(&duo, 0, "wake up");
    duo_close(&duo);
}

/* catches: a listener that hears of a lost carrier never, or again and again, or is dead afterwards */
static void listeners_hear_of_it_once_and_go_on(void)
{
    struct duo duo = duo_open();
    struct side *b = &duo.side[1];

    for (int round = 0; round < 2; round++) {
        wire_set_carrier(WIRE, false);
        await_event(&duo, 1, duo.listener, STACK_FAILED, USER_LISTENER);
        expect_quiet(&duo, 1);
        wire_set_carrier(WIRE, true);
        CHECK_EQ(b->ops->error(b->stack, duo.listener), 0);
        finish_opener(&duo);
        CHECK_EQ(b->ops->finish(b->stack, duo.accepted, true, ewi_now_ns()), 0);
        forget_events(&duo);
        run_for(&duo, 300 * MS);
        expect_dialogue(&duo);
    }
    duo_close(&duo);
}

int main(void)
{
    int before = open_descriptors();

    RUN(device_that_can_come_back_is_left_alone);
    RUN(lost_device_gives_way_to_another);
    RUN(old_device_stays_while_packets_of_it_are_unread);
    RUN(stack_lives_without_a_device);
    RUN(device_that_is_another_kind_is_refused);
    RUN(stack_can_be_used_while_a_device_is_opened);
    RUN(sleepers_are_told_and_sleep_on_the_new_device);
    RUN(listeners_hear_of_it_once_and_go_on);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
