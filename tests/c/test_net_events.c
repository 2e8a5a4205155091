/* tests/c/test_net_events.c - transport/net/events.h: nothing lost, nothing twice, oldest first. */
#include "tests/c/harness.h"
#include "transport/net/events.h"

enum { OBJECTS = 50, A = 1u << 0, B = 1u << 1, C = 1u << 7 };

static _Alignas(NET_ALIGN) uint8_t memory[1024];
static struct net_events events;
static struct net_event out[OBJECTS];

static void start(uint32_t objects)
{
    CHECK(ewi_net_events_bytes(objects) <= sizeof(memory));
    memset(memory, 0xa5, sizeof(memory)); /* init must not rely on zeros */
    ewi_net_events_init(&events, memory, objects);
}

static void expect(uint32_t at, uint32_t index, uint32_t bits)
{
    CHECK_EQ(out[at].index, index);
    CHECK_EQ(out[at].bits, bits);
}

static void sizes_out_of_range_are_refused(void)
{
    CHECK_EQ(ewi_net_events_bytes(0), 0);
    CHECK_EQ(ewi_net_events_bytes(NET_ROWS_MAX + 1), 0);
    CHECK_EQ(ewi_net_events_bytes(UINT32_MAX), 0);
    CHECK_EQ(ewi_net_events_bytes(NET_ROWS_MAX), (size_t)NET_ROWS_MAX * 8);
}

static void nothing_is_pending_at_first(void)
{
    start(OBJECTS);
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 0);
    for (uint32_t i = 0; i < OBJECTS; i++)
        CHECK_EQ(ewi_net_events_of(&events, i), 0);
}

static void events_of_one_object_come_together(void)
{
    start(OBJECTS);
    ewi_net_events_raise(&events, 3, A);
    ewi_net_events_raise(&events, 4, A);
    ewi_net_events_raise(&events, 3, B | A);
    CHECK_EQ(ewi_net_events_of(&events, 3), A | B);
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 2);
    expect(0, 3, A | B);
    expect(1, 4, A);
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 0);
}

static void what_is_taken_can_be_raised_again(void)
{
    start(OBJECTS);
    for (int i = 0; i < 200; i++) { /* several laps of the queue */
        ewi_net_events_raise(&events, 3, A);
        CHECK_EQ(ewi_net_events_take(&events, out, 1), 1);
        expect(0, 3, A);
    }
}

static void a_small_room_leaves_the_rest_in_order(void)
{
    start(OBJECTS);
    for (uint32_t i = 0; i < 10; i++)
        ewi_net_events_raise(&events, 9 - i, A);
    CHECK_EQ(ewi_net_events_take(&events, out, 0), 0);
    for (uint32_t i = 0; i < 10; i++) {
        CHECK_EQ(ewi_net_events_take(&events, out, 1), 1);
        expect(0, 9 - i, A);
        ewi_net_events_raise(&events, 9 - i, B); /* to the end: the others come first */
    }
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 10);
    expect(0, 9, B);
}

static void every_object_at_once_fits(void)
{
    start(OBJECTS);
    for (int lap = 0; lap < 3; lap++) {
        for (uint32_t i = 0; i < OBJECTS; i++) {
            ewi_net_events_raise(&events, i, A);
            ewi_net_events_raise(&events, i, C);
        }
        CHECK_EQ(events.places, OBJECTS);
        CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), OBJECTS);
        for (uint32_t i = 0; i < OBJECTS; i++)
            expect(i, i, A | C);
    }
}

static void no_bits_are_no_event(void)
{
    start(OBJECTS);
    ewi_net_events_raise(&events, 3, 0);
    CHECK_EQ(events.places, 0);
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 0);
}

/* catches: bit 30 mistaken for the mark, or a mark that leaves with the bits */
static void all_bits_of_the_caller_are_kept(void)
{
    start(OBJECTS);
    ewi_net_events_raise(&events, 3, UINT32_MAX >> 1);
    CHECK_EQ(ewi_net_events_of(&events, 3), UINT32_MAX >> 1);
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 1);
    expect(0, 3, UINT32_MAX >> 1);
}

/* catches: events of a dead connection told about the next one in its slot */
static void what_is_cleared_is_not_told(void)
{
    start(OBJECTS);
    ewi_net_events_raise(&events, 3, A | B);
    ewi_net_events_raise(&events, 4, A);
    ewi_net_events_clear(&events, 3, A | B);
    ewi_net_events_clear(&events, 3, A);
    CHECK_EQ(ewi_net_events_of(&events, 3), 0);
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 1);
    expect(0, 4, A);
}

static void some_bits_can_be_cleared(void)
{
    start(OBJECTS);
    ewi_net_events_raise(&events, 3, A | B | C);
    ewi_net_events_clear(&events, 3, B);
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 1);
    expect(0, 3, A | C);
}

/* catches: a place for each life of a slot, which overflows the queue */
static void a_thousand_lives_have_one_place(void)
{
    start(OBJECTS);
    for (int life = 0; life < 1000; life++) {
        ewi_net_events_raise(&events, 3, A);
        ewi_net_events_clear(&events, 3, UINT32_MAX >> 1);
    }
    CHECK_EQ(events.places, 1);
    CHECK_EQ(events.pending, 0);
    ewi_net_events_raise(&events, 4, A);
    ewi_net_events_raise(&events, 3, B);
    CHECK_EQ(ewi_net_events_take(&events, out, OBJECTS), 2);
    expect(0, 3, B); /* in its old place */
    expect(1, 4, A);
}

/* The queue as a list of indices, searched from the front. */
struct events_model {
    uint32_t bits[OBJECTS];
    uint32_t list[OBJECTS];
    uint32_t places;
};

static void model_raise(struct events_model *model, uint32_t index, uint32_t bits)
{
    uint32_t at = 0;

    if (bits == 0)
        return;
    model->bits[index] |= bits;
    while (at < model->places && model->list[at] != index)
        at += 1;
    if (at == model->places)
        model->list[model->places++] = index;
}

static void model_take(struct events_model *model, uint32_t count)
{
    uint32_t found = ewi_net_events_take(&events, out, count), seen = 0, next = 0, pending = 0;

    for (uint32_t i = 0; i < OBJECTS; i++)
        pending += model->bits[i] != 0;
    CHECK_EQ(found, pending < count ? pending : count);
    while (seen < found) {
        uint32_t index = model->list[next++];

        if (model->bits[index] == 0)
            continue;
        expect(seen++, index, model->bits[index]);
        model->bits[index] = 0;
    }
    memmove(model->list, model->list + next, (model->places - next) * sizeof(model->list[0]));
    model->places -= next;
    CHECK_EQ(events.places, model->places);
}

static void random_events_agree_with_a_list(uint64_t seed)
{
    struct harness_random random = {seed};
    struct events_model model = {.places = 0};

    start(OBJECTS);
    for (int step = 0; step < 20000; step++) {
        uint32_t index = (uint32_t)harness_below(&random, OBJECTS);
        uint32_t bits = (uint32_t)harness_next(&random) >> harness_between(&random, 1, 31);

        switch (harness_below(&random, step / 1000 % 2 == 0 ? 12 : 4)) {
        case 0:
            model_take(&model, (uint32_t)harness_below(&random, OBJECTS));
            break;
        case 1:
            ewi_net_events_clear(&events, index, bits);
            model.bits[index] &= ~bits;
            break;
        default:
            ewi_net_events_raise(&events, index, bits);
            model_raise(&model, index, bits);
        }
        CHECK_EQ(ewi_net_events_of(&events, index), model.bits[index]);
    }
}

int main(int argc, char **argv)
{
    RUN(sizes_out_of_range_are_refused);
    RUN(nothing_is_pending_at_first);
    RUN(events_of_one_object_come_together);
    RUN(what_is_taken_can_be_raised_again);
    RUN(a_small_room_leaves_the_rest_in_order);
    RUN(every_object_at_once_fits);
    RUN(no_bits_are_no_event);
    RUN(all_bits_of_the_caller_are_kept);
    RUN(what_is_cleared_is_not_told);
    RUN(some_bits_can_be_cleared);
    RUN(a_thousand_lives_have_one_place);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
        random_events_agree_with_a_list(seed);
    return 0;
}
