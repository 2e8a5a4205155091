/* RFC 9293 section 3.4: do comparison and unwrapping hold at every wrap? */
#include "tests/c/harness.h"
#include "transport/net/seq.h"

static void rfc9293_3_4_before_is_modulo_the_space(void)
{
    CHECK(ewi_net_seq_before(0, 1));
    CHECK(!ewi_net_seq_before(1, 1));
    CHECK(!ewi_net_seq_before(2, 1));
    CHECK(ewi_net_seq_before(UINT32_MAX, 0));
    CHECK(ewi_net_seq_before(0xfffffff0u, 0x10));
    CHECK(!ewi_net_seq_before(0x10, 0xfffffff0u));
    CHECK(ewi_net_seq_before(0, 0x7fffffff));
    CHECK(!ewi_net_seq_before(0x7fffffff, 0));
}

static void unwrapping_finds_the_nearest_position(void)
{
    uint64_t near = NET_SEQ_FIRST;

    CHECK(ewi_net_seq_unwrap(near, 0) == near);
    CHECK(ewi_net_seq_unwrap(near, 1) == near + 1);
    CHECK(ewi_net_seq_unwrap(near, UINT32_MAX) == near - 1);
    CHECK(ewi_net_seq_unwrap(near, 0x7fffffff) == near + 0x7fffffff);
    CHECK(ewi_net_seq_unwrap(near, 0x80000000) == near - 0x80000000);
    CHECK(ewi_net_seq_unwrap(3 * near - 5, 10) == 3 * near + 10);
    CHECK(ewi_net_seq_unwrap(3 * near + 5, 0xfffffff0u) == 3 * near - 16);
}

static void unwrapping_undoes_wrapping(struct harness_random *random)
{
    for (int i = 0; i < 100000; i++) {
        uint64_t near = NET_SEQ_FIRST + harness_below(random, UINT64_C(1) << 40);
        uint64_t position = near - 0x80000000u + harness_below(random, UINT64_C(1) << 32);
        uint32_t seq = ewi_net_seq_wrap(position);

        CHECK(ewi_net_seq_unwrap(near, seq) == position);
        if (position != near - 0x80000000u)
            CHECK(ewi_net_seq_before((uint32_t)near, seq) == (position > near));
    }
}

int main(int argc, char **argv)
{
    RUN(rfc9293_3_4_before_is_modulo_the_space);
    RUN(unwrapping_finds_the_nearest_position);
    HARNESS_FOR_EACH_SEED(argc, argv, seed) {
        struct harness_random random = {seed};

        unwrapping_undoes_wrapping(&random);
    }
    return 0;
}
