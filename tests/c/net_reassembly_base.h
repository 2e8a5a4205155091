/* tests/c/net_reassembly_base.h - a table of reassemblies, and fragments of one numbered payload.
 *
 * Purpose    What the tests of transport/net/reassembly.h begin with.
 * Shape      begin(); piece_of(at, bytes, more) is a fragment of IPv4 with its payload in `source`.
 * Owner      static memory of the test program
 * Threads    one
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_REASSEMBLY_BASE_H
#define TESTS_C_NET_REASSEMBLY_BASE_H

#include "tests/c/harness.h"
#include "tests/c/net_pieces.h"
#include "transport/net/wheel.h"

enum { PIECES_CAPACITY = 16 };
#define SECONDS UINT64_C(1000000000)

static const uint8_t key[16] = {9, 8, 7};
static struct net_reassemblies all;
static void *memory;
static uint8_t source[65536], header[NET_REASSEMBLY_HEADER_ROOM];

static inline void begin_with(uint32_t capacity)
{
    struct net_reassembly_places places;
    struct net_block block;
    size_t bytes;

    free(memory);
    ewi_net_block_layout(&block);
    ewi_net_reassembly_place(&block, capacity, &places);
    bytes = ewi_net_block_bytes(&block);
    CHECK(bytes != 0);
    memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    CHECK(memory != NULL);
    ewi_net_block_fill(&block, memory, bytes);
    ewi_net_reassembly_place(&block, capacity, &places);
    CHECK_EQ(ewi_net_block_bytes(&block), bytes);
    ewi_net_reassembly_init(&all, capacity, &places, key);
}

static inline void begin(void)
{
    if (source[1] == 0)
        for (uint32_t i = 0; i < sizeof(source); i++)
            source[i] = (uint8_t)(i * 7 + i / 256 * 3);
    begin_with(PIECES_CAPACITY);
}

static inline void sound(void)
{
    const char *wrong = ewi_net_reassembly_check(&all);

    if (wrong != NULL)
        fprintf(stderr, "    %s\n", wrong);
    CHECK(wrong == NULL);
}

static inline struct net_fragment piece_of(uint32_t at, uint32_t bytes, bool more)
{
    struct net_fragment piece = {
        .header = header,
        .payload = source + at,
        .header_bytes = 20,
        .at = at,
        .bytes = bytes,
        .protocol = NET_UDP,
        .more = more,
    };

    piece.name = (struct net_tuple){
        .local = {10, 0, 0, 1}, .remote = {10, 0, 0, 2}, .remote_port = 77, .family = 4};
    return piece;
}

#endif
