/* tests/fuzz/fuzz_outbox.c - can a hostile peer hurt us by the words and records of its outbox?
 *
 * A channel over shared memory whose peer's outbox the attacker owns: it stores positions, the sleep
 * word, the end and headers at any moment, and writes what it likes to the socket, while we send,
 * receive, flush and ask for facts. ASan watches the outbox: it is allocated at exactly its size.
 */
#include "tests/fuzz/fuzz_base.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
    MOVES_MAX = 600,
    OUTBOX = OUTBOX_BYTES_MIN,
    RING = OUTBOX - OUTBOX_HEAD_BYTES,
    MESSAGE_MAX = 64 * 1024,
};

static ew_channel *channel;
static struct outbox_shared *theirs, *ours;
static int peer; /* its end of the socket */
static int over; /* the code by which it ended, EW_OK: it lives */
static uint8_t message[MESSAGE_MAX];

/* The ring begins where the peer says, and its end is soon reached. */
static void begin(uint32_t offset)
{
    struct local_link *link;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) != 0)
        abort();
    peer = ends[1];
    theirs = take(OUTBOX_HEAD_BYTES, OUTBOX);
    ours = take(OUTBOX_HEAD_BYTES, OUTBOX);
    channel = take_channel(&ewi_local_link, MESSAGE_MAX);
    link = &channel->link->local;
    link->channel = channel;
    channel->outbox = ours;
    channel->epoll_fd = -1;
    link->theirs = theirs;
    link->bell.fd = ends[0];
    link->bell.mine = &ours->sleep;
    link->bell.peers = &theirs->sleep;
    channel->freed_word = &theirs->taken;
    channel->ended_word = &theirs->ended;
    channel->taken_word = &ours->taken;
    ewi_ring_writer_init(&channel->writer, ours->ring, RING, 0);
    channel->record_bytes_max = channel->writer.record_bytes_max;
    ewi_ring_reader_init(&channel->reader, theirs->ring, RING, offset, 0);
    over = EW_OK;
}

static void end(void)
{
    close(peer);
    close(channel->link->local.bell.fd);
    free(channel->partial.bytes);
    free(channel->end_text);
    free(theirs);
    free(ours);
    free(channel);
}

/* ---- the attacker ---- */

static void store_header(const uint8_t *move)
{
    uint32_t offset = (move[1] & 0x80) ? channel->reader.offset : u32_at(move + 4) % RING & ~7u;
    uint32_t bytes = 8 + u32_at(move + 2) % (move[1] & 0x40 ? RING / 7 : 200);
    uint64_t header = ewi_record_encode(bytes, (enum record_kind)(1 + move[1] % 6), move[6] & 7);

    if ((move[7] & 3) == 3)
        header = ewi_record_encode(RING - offset, RECORD_PAD, 0);
    if ((move[7] & 0x70) == 0x70)
        header |= (uint64_t)move[7] << 48;
    if (bytes >= 16 && offset + 16 <= RING) /* a total, perhaps */
        theirs->ring[offset + 8] = move[3];
    atomic_store((_Atomic uint64_t *)(void *)(theirs->ring + offset), header);
}

static void store_word(const uint8_t *move)
{
    uint64_t taken = channel->writer.freed + u32_at(move + 2) % 4096;

    switch (move[1] % 4) {
    case 0:
        atomic_store(&theirs->taken, taken & ~UINT64_C(7));
        break;
    case 1: /* far away, or back */
        atomic_store(&theirs->taken, taken - (uint64_t)u32_at(move + 3) * (move[7] & 1 ? 8 : 1));
        break;
    case 2:
        atomic_store(&theirs->sleep, u32_at(move + 2));
        break;
    default:
        atomic_store(&theirs->ended, move[7] < 16 ? move[2] % 4 : OUTBOX_OPEN);
    }
}

/* A kick, many, or a packet that is none; and what a poll would see of it. */
static void write_to_the_socket(const uint8_t *move)
{
    struct pollfd seen[] = {{.fd = channel->link->local.bell.fd, .revents = POLLIN}, {.fd = -1}};

    for (int i = 0; i <= move[1] % 8; i++)
        (void)send(peer, move, move[2] < 250 ? 1 : 1 + move[3] % 8, MSG_NOSIGNAL | MSG_DONTWAIT);
    channel->ops->seen(channel, seen, 2);
}

/* ---- we ---- */

static void note(int code)
{
    if (code == EW_EPROTO || code == EW_ELOST) {
        if (over != EW_OK && code != over)
            abort(); /* the first reason stays */
        over = code;
    }
}

static void ask(void)
{
    ew_channel_stats stats;

    if (ew_channel_get_stats(channel, &stats) != EW_OK || stats.recv_unread_bytes > RING + RING / 8)
        abort();
    note(ew_channel_flush(channel, 0, NULL));
}

static void play(const uint8_t *move)
{
    switch (move[0] & 7) {
    case 0:
    case 1:
        store_header(move);
        break;
    case 2:
        store_word(move);
        break;
    case 3:
        memcpy(theirs->ring + (u32_at(move + 4) % RING & ~7u), move, MOVE_BYTES);
        break;
    case 4:
        note(receive(channel, move[1] & 1 ? sizeof(message) : u32_at(move + 2) % 2000, 0));
        break;
    case 5:
        note(ew_channel_send(channel, message, u32_at(move + 1) % 5000, 0, NULL));
        break;
    case 6:
        write_to_the_socket(move);
        break;
    default:
        ask();
    }
    if (channel->writer.freed > channel->writer.position || channel->reader.offset >= RING)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t moves = size / MOVE_BYTES < MOVES_MAX ? size / MOVE_BYTES : MOVES_MAX;

    begin(size > 0 ? RING - 8 - data[size - 1] % 64 * 8 : 0);
    for (size_t i = 0; i < moves; i++)
        play(data + i * MOVE_BYTES);
    end();
    return 0;
}
