/* tests/c/test_siphash.c - transport/siphash.h against the paper and the reference vectors. */
#include "tests/c/harness.h"
#include "transport/siphash.h"

static uint64_t hash_of_count(size_t bytes)
{
    uint8_t key[16], input[64];

    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)i;
    CHECK(bytes <= sizeof(input));
    return ewi_siphash(key, input, bytes);
}

/* Appendix A of the paper. catches: a wrong rotation, round count, constant or length byte */
static void fifteen_bytes_give_the_number_in_the_paper(void)
{
    CHECK(hash_of_count(15) == UINT64_C(0xa129ca6149be45e5));
}

/* catches: whole words mishandled at a block boundary. Numbers: openssl mac SIPHASH, size 8 */
static void block_boundaries_give_the_reference_numbers(void)
{
    CHECK(hash_of_count(0) == UINT64_C(0x726fdb47dd0e0e31));
    CHECK(hash_of_count(1) == UINT64_C(0x74f839c593dc67fd));
    CHECK(hash_of_count(7) == UINT64_C(0xab0200f58b01d137));
    CHECK(hash_of_count(8) == UINT64_C(0x93f5f5799a932462));
    CHECK(hash_of_count(9) == UINT64_C(0x9e0082df0ba9e4b0));
    CHECK(hash_of_count(16) == UINT64_C(0x3f2acc7f57c29bdb));
    CHECK(hash_of_count(63) == UINT64_C(0x958a324ceb064572));
}

/* catches: the second half of the key ignored */
static void every_bit_of_the_key_matters(void)
{
    uint8_t key[16] = {0};
    uint64_t first = ewi_siphash(key, "x", 1);

    for (int bit = 0; bit < 128; bit++) {
        key[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        CHECK(ewi_siphash(key, "x", 1) != first);
        key[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    }
}

int main(void)
{
    RUN(fifteen_bytes_give_the_number_in_the_paper);
    RUN(block_boundaries_give_the_reference_numbers);
    RUN(every_bit_of_the_key_matters);
    return 0;
}
