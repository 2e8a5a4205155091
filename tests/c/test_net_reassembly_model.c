/* tests/c/test_net_reassembly_model.c - every order, repetition, overlap and lie, against a slow model. */
#include "tests/c/net_reassembly_base.h"

static struct slow slow;

/* Both say the same of this fragment, and when it is whole, of all bytes. */
static enum net_reassembly_code both(const struct net_fragment *piece)
{
    uint32_t slot, total, bytes;
    enum net_reassembly_code code = slow_add(&slow, piece, &total);
    const uint8_t *packet;

    CHECK_EQ(ewi_net_reassembly_add(&all, piece, 0, &slot), code);
    sound();
    if (code != NET_FRAGMENT_WHOLE)
        return code;
    packet = ewi_net_reassembly_packet(&all, slot, &bytes);
    CHECK(memcmp(packet + bytes - total, slow.payload, total) == 0);
    ewi_net_reassembly_give(&all, slot);
    slow.count = 0;
    return code;
}

static void every_order_of_four_with_every_repetition_and_every_overlap(void)
{
    static const uint32_t ends[5] = {0, 16, 24, 48, 53};
    static const struct {
        uint32_t at, bytes;
        bool more;
    } extras[] = {{0, 16, true},  {24, 24, true}, {48, 5, false}, {0, 8, true},
                  {8, 8, true},   {16, 16, true}, {40, 16, true}, {48, 8, true},
                  {56, 8, false}, {40, 8, false}, {0, 53, false}, {48, 4, false}};
    uint32_t orders = 0, wholes = 0;

    for (uint32_t order = 0; order < 256; order++) {
        uint32_t place[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};

        if ((1u << place[0] | 1u << place[1] | 1u << place[2] | 1u << place[3]) != 15)
            continue;
        orders++;
        for (size_t extra = 0; extra < sizeof(extras) / sizeof(extras[0]); extra++) {
            for (uint32_t when = 0; when < 5; when++) {
                begin();
                slow.count = 0;
                slow.is_spoilt = false;
                for (uint32_t i = 0; i < 5; i++) {
                    uint32_t p = i > when ? place[i - 1] : place[i & 3];
                    struct net_fragment piece =
                        i == when ? piece_of(extras[extra].at, extras[extra].bytes,
                                             extras[extra].more)
                                  : piece_of(ends[p], ends[p + 1] - ends[p], p != 3);

                    wholes += both(&piece) == NET_FRAGMENT_WHOLE;
                }
            }
        }
    }
    CHECK_EQ(orders, 24);
    CHECK(wholes >= 24 * 5 * 3); /* the repetitions at least */
}

/* Cut `bytes` at random places, mix, repeat, and sometimes lie. */
static void any_fragments_agree_with_the_model(struct harness_random *random)
{
    static struct net_fragment piece[PIECES_MAX];
    uint32_t wholes = 0, spoilt = 0;

    begin();
    for (int run = 0; run < 300; run++) {
        uint32_t bytes = (uint32_t)harness_between(random, 1, harness_below(random, 4) ? 400 : 65515);
        uint32_t longest = bytes < 500 ? 5 : 2000, count = 0, at = 0;
        uint8_t ecn = (uint8_t)harness_below(random, 4);

        slow.count = 0;
        slow.is_spoilt = false;
        while (at < bytes) {
            uint32_t units = (uint32_t)harness_between(random, 1, longest) * 8;

            units = units > bytes - at ? bytes - at : units;
            piece[count] = piece_of(at, units, at + units < bytes);
            piece[count].name.remote_port = (uint16_t)run;
            piece[count++].traffic_class = ecn;
            at += units;
        }
        for (uint32_t extra = (uint32_t)harness_below(random, 4); extra > 0; extra--) {
            piece[count] = piece[harness_below(random, count)];
            if (harness_below(random, 4) == 0)
                piece[count].at = (uint32_t)harness_below(random, bytes / 8 + 2) * 8;
            if (harness_below(random, 6) == 0)
                piece[count].bytes = (uint32_t)harness_below(random, 64);
            if (harness_below(random, 8) == 0)
                piece[count].more = !piece[count].more;
            if (harness_below(random, 8) == 0)
                piece[count].traffic_class ^= (uint8_t)harness_below(random, 4);
            piece[count].payload = source + piece[count].at % 65000;
            if (piece[count].at + piece[count].bytes > sizeof(source) ||
                piece[count].at % 65000 + piece[count].bytes > sizeof(source))
                continue;
            count++;
        }
        for (uint32_t i = count; i > 1; i--) {
            uint32_t other = (uint32_t)harness_below(random, i);
            struct net_fragment keep = piece[i - 1];

            piece[i - 1] = piece[other];
            piece[other] = keep;
        }
        for (uint32_t i = 0; i < count; i++)
            wholes += both(&piece[i]) == NET_FRAGMENT_WHOLE;
        spoilt += slow.is_spoilt;
    }
    CHECK(wholes > 50 && spoilt > 20);
}

int main(int argc, char **argv)
{
    RUN(every_order_of_four_with_every_repetition_and_every_overlap);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        struct harness_random random = {seed};

        any_fragments_agree_with_the_model(&random);
    }
    free(memory);
    return 0;
}
