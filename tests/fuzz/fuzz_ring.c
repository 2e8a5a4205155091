/* tests/fuzz/fuzz_ring.c - can a hostile writer or reader make us look outside the ring?
 *
 * The input is a list of moves of 8 bytes: the attacker stores headers and payload anywhere while
 * we peek, consume, take runs and look for extensions; another attacker tells our writer lies about
 * what it has taken. ASan watches the ring's ends: it is allocated at exactly its size.
 */
#include "tests/fuzz/fuzz_base.h"

#include "shm/ring.h"

enum { MOVES_MAX = 2000, RING = RING_BYTES_MIN };

struct game {
    uint8_t *attacked; /* the peer's ring: the attacker writes, we read */
    uint8_t *own;      /* ours: we write, the attacker says what it has taken */
    struct ring_reader reader;
    struct ring_writer writer;
    uint8_t copy[RECORD_BYTES_MAX];
};

/* Store a header at the reader's offset or anywhere; small kinds and lengths are likely. */
static void attack(struct game *game, const uint8_t *move)
{
    uint32_t offset = (move[0] & 0x80) ? game->reader.offset : (u32_at(move + 4) % RING) & ~7u;
    uint64_t header = (uint64_t)(u32_at(move + 2) & 0x7ff) | (uint64_t)(move[1] & 0x3f) << 32 |
                      (uint64_t)(move[6] & 0x0f) << 40 | (uint64_t)(move[7] >> 7) << 48;

    if ((move[7] & 0x60) == 0x60) /* a PAD that is right */
        header = ewi_record_encode(RING - offset, RECORD_PAD, 0);
    atomic_store_explicit((_Atomic uint64_t *)(void *)(game->attacked + offset), header,
                          memory_order_release);
}

/* Copy what lies at the front as a channel does; the header changes in between. */
static void read_one(struct game *game, const uint8_t *move)
{
    struct record record;
    const uint8_t *payload;
    uint32_t skip, payload_bytes;

    if (ewi_ring_peek(&game->reader, &record, &payload) != EW_OK)
        return;
    if (move[1] & 1)
        attack(game, move);
    payload_bytes = record.bytes - RECORD_HEADER_BYTES;
    memcpy(game->copy, payload, payload_bytes);
    if (record.flags & RECORD_EXT) {
        if (ewi_record_skip_ext(game->copy, payload_bytes, &skip) == EW_OK && skip > payload_bytes)
            abort();
    }
    ewi_ring_consume(&game->reader, record);
    if (game->reader.offset >= RING || game->reader.offset % 8 != 0)
        abort();
}

static void read_run(struct game *game, const uint8_t *move)
{
    const uint8_t *at = NULL;
    uint32_t room = u32_at(move + 1) % (2 * RING);
    uint64_t until = game->reader.position + u32_at(move + 4) % (2 * RING);
    int64_t run = ewi_ring_take_run(&game->reader, until, room, &at);

    if (run > (int64_t)room)
        abort();
    if (run > 0) /* as a stream would send it; a run never passes the end */
        memcpy(game->copy, at, (size_t)run);
}

static void write_one(struct game *game, const uint8_t *move)
{
    uint32_t payload_bytes = u32_at(move + 1) % (game->writer.record_bytes_max - 7);
    uint8_t *payload = ewi_ring_reserve(&game->writer, payload_bytes);

    if (payload == NULL)
        return;
    memset(payload, move[5], payload_bytes);
    ewi_ring_commit(&game->writer, payload_bytes, move[6] & 7);
}

/* The attacker says what it has taken: a little more, far away, or back. */
static void lie(struct game *game, const uint8_t *move)
{
    uint64_t taken = game->writer.freed + u32_at(move + 1) % (RING + 64);

    if (move[6] & 1)
        taken &= ~UINT64_C(7);
    if (move[6] & 2)
        taken -= u32_at(move + 3);
    if (ewi_ring_free(&game->writer, taken) == EW_OK &&
        (taken > game->writer.position || taken % 8 != 0))
        abort();
    if (ewi_ring_offset_of(&game->writer, game->writer.freed) >= RING)
        abort();
}

static void play(struct game *game, const uint8_t *move)
{
    switch (move[0] & 7) {
    case 0:
    case 1:
        attack(game, move);
        break;
    case 2:
        memcpy(game->attacked + ((u32_at(move + 4) % RING) & ~7u), move, MOVE_BYTES);
        break;
    case 3:
        read_one(game, move);
        break;
    case 4:
        read_run(game, move);
        break;
    case 5:
        write_one(game, move);
        break;
    case 6:
        lie(game, move);
        break;
    default:
        (void)ewi_ring_commit_control(&game->writer, RECORD_ABORT + move[1] % 3);
        (void)ewi_ring_room(&game->writer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct game game;
    size_t moves = size / MOVE_BYTES < MOVES_MAX ? size / MOVE_BYTES : MOVES_MAX;

    game.attacked = take(64, RING);
    game.own = take(64, RING);
    ewi_ring_reader_init(&game.reader, game.attacked, RING, 0, 0);
    ewi_ring_writer_init(&game.writer, game.own, RING, 0);
    for (size_t i = 0; i < moves; i++)
        play(&game, data + i * MOVE_BYTES);
    free(game.attacked);
    free(game.own);
    return 0;
}
