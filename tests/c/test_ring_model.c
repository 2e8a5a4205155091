/* tests/c/test_ring_model.c - does the ring do what a list of records would do, at any size, at
 * any alignment, between threads and between processes? */
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "shm/outbox.h"
#include "shm/region.h"
#include "tests/c/harness.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { IS_SLOW = 1 };
#else
enum { IS_SLOW = 0 };
#endif

enum {
    STEPS = IS_SLOW ? 20000 : 100000,     /* of the random walk, for each ring size and seed */
    RECORDS = IS_SLOW ? 300000 : 3000000, /* between two threads and two processes */
    LIST_MAX = 8192,                      /* records that the model holds */
};

/* The byte at a place of a record: another one for each record and place. */
static uint8_t byte_of(uint64_t position, uint32_t at)
{
    return (uint8_t)(position / 8 * 31 + at * 7 + 1);
}

static void fill(uint8_t *payload, uint64_t position, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        payload[i] = byte_of(position, i);
}

static bool is_filled(const uint8_t *payload, uint64_t position, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        if (payload[i] != byte_of(position, i))
            return false;
    return true;
}

/* ---- the model: a list of records ---- */

struct entry {
    uint64_t position;
    uint32_t bytes, offset;
    uint8_t kind, flags;
};

struct walk {
    struct harness_random random;
    struct ring_writer writer;
    struct ring_reader reader;
    uint8_t *memory;
    struct entry list[LIST_MAX]; /* first .. last - 1: committed and not freed */
    uint64_t first, read, last;
};

static struct entry *entry_at(struct walk *walk, uint64_t index)
{
    return &walk->list[index % LIST_MAX];
}

static uint64_t position_at(struct walk *walk, uint64_t index)
{
    return index == walk->last ? walk->writer.position : entry_at(walk, index)->position;
}

static void note(struct walk *walk, uint64_t position, uint32_t bytes, uint8_t kind, uint8_t flags)
{
    uint32_t span = ewi_record_span(bytes);
    uint32_t end = walk->writer.offset != 0 ? walk->writer.offset : walk->writer.ring_bytes;

    CHECK(walk->last - walk->first < LIST_MAX);
    CHECK(walk->writer.position == position + span);
    *entry_at(walk, walk->last++) = (struct entry){
        .position = position, .bytes = bytes, .offset = end - span, .kind = kind, .flags = flags};
}

static uint32_t pick_payload(struct walk *walk)
{
    uint32_t most = walk->writer.record_bytes_max - RECORD_HEADER_BYTES;

    switch (harness_below(&walk->random, 4)) {
    case 0:
        return (uint32_t)harness_below(&walk->random, 32);
    case 1:
        return most - (uint32_t)harness_below(&walk->random, 32);
    default:
        return (uint32_t)harness_between(&walk->random, 0, most);
    }
}

static void write_one(struct walk *walk)
{
    uint32_t payload_bytes = pick_payload(walk);
    uint32_t room = ewi_ring_room(&walk->writer);
    bool fits = ewi_ring_fits(&walk->writer, payload_bytes);
    uint64_t position = walk->writer.position;
    uint8_t flags = (uint8_t)harness_below(&walk->random, 8);
    uint8_t *payload = ewi_ring_reserve(&walk->writer, payload_bytes);

    CHECK_EQ(payload != NULL, fits);
    if (payload_bytes > 0)
        CHECK_EQ(fits, payload_bytes <= room);
    CHECK(walk->writer.position == position);
    if (payload == NULL)
        return;
    memset(payload, 0xff, payload_bytes);
    if (harness_below(&walk->random, 8) == 0)
        return; /* reserved and forgotten */
    if (harness_below(&walk->random, 8) == 0)
        payload_bytes = (uint32_t)harness_between(&walk->random, 0, payload_bytes);
    fill(payload, position, payload_bytes);
    ewi_ring_commit(&walk->writer, payload_bytes, flags);
    note(walk, position, RECORD_HEADER_BYTES + payload_bytes, RECORD_DATA, flags);
}

static void append_one(struct walk *walk)
{
    static uint8_t payload[RECORD_BYTES_MAX];
    uint32_t payload_bytes = pick_payload(walk);
    uint64_t position = walk->writer.position;
    struct record record = {.bytes = RECORD_HEADER_BYTES + payload_bytes, .kind = RECORD_DATA};

    fill(payload, position, payload_bytes);
    if (ewi_ring_append(&walk->writer, record, payload) == EW_OK)
        note(walk, position, record.bytes, RECORD_DATA, 0);
    else
        CHECK(walk->writer.position == position);
}

static void write_control(struct walk *walk)
{
    uint64_t position = walk->writer.position;
    enum record_kind kind =
        (enum record_kind)harness_between(&walk->random, RECORD_ABORT, RECORD_CLOSE);

    if (ewi_ring_commit_control(&walk->writer, kind) == EW_OK)
        note(walk, position, RECORD_HEADER_BYTES, (uint8_t)kind, 0);
}

static void read_one(struct walk *walk)
{
    struct record record = {0};
    const uint8_t *payload = NULL;
    struct entry *entry = entry_at(walk, walk->read);
    int code = ewi_ring_peek(&walk->reader, &record, &payload);

    CHECK(walk->reader.position == position_at(walk, walk->read));
    if (walk->read == walk->last) {
        CHECK_EQ(code, EW_EAGAIN);
        return;
    }
    CHECK_EQ(code, EW_OK);
    CHECK(record.bytes == entry->bytes && record.kind == entry->kind &&
          record.flags == entry->flags);
    CHECK(is_filled(payload, entry->position, record.bytes - RECORD_HEADER_BYTES));
    ewi_ring_consume(&walk->reader, record);
    walk->read++;
}

static void read_run(struct walk *walk)
{
    uint64_t until_index = harness_between(&walk->random, walk->read, walk->last);
    uint64_t until = position_at(walk, until_index) + harness_below(&walk->random, 8);
    uint32_t room = (uint32_t)harness_below(&walk->random, walk->writer.ring_bytes);
    const uint8_t *at = NULL;
    int64_t run = ewi_ring_take_run(&walk->reader, until, room, &at);
    int64_t seen = 0;

    CHECK(run >= 0 && run <= (int64_t)room);
    while (seen < run) { /* the span is the records of the list, one after the other */
        struct entry *entry = entry_at(walk, walk->read);
        uint64_t header;

        CHECK(walk->read < until_index);
        CHECK(at + seen == walk->memory + entry->offset);
        memcpy(&header, at + seen, sizeof(header));
        CHECK(header ==
              ewi_record_encode(entry->bytes, (enum record_kind)entry->kind, entry->flags));
        seen += ewi_record_span(entry->bytes);
        walk->read++;
    }
    CHECK_EQ(seen, run);
    CHECK(walk->reader.position == position_at(walk, walk->read));
}

static void free_some(struct walk *walk)
{
    uint64_t index = harness_between(&walk->random, walk->first, walk->read);

    CHECK_EQ(ewi_ring_free(&walk->writer, position_at(walk, index)), EW_OK);
    walk->first = index;
}

/* At every record boundary a new reader finds what the list says. */
static void check_boundaries(struct walk *walk)
{
    struct walk again = {.first = 0};

    for (uint64_t index = walk->first; index < walk->last; index++)
        CHECK_EQ(ewi_ring_offset_of(&walk->writer, position_at(walk, index)),
                 entry_at(walk, index)->offset);
    again.read = harness_between(&walk->random, walk->first, walk->last);
    ewi_ring_reader_init(&again.reader, walk->memory, walk->writer.ring_bytes,
                         ewi_ring_offset_of(&walk->writer, position_at(walk, again.read)),
                         position_at(walk, again.read));
    for (; again.read < walk->last; again.read++) {
        struct record record;
        const uint8_t *payload;

        CHECK_EQ(ewi_ring_peek(&again.reader, &record, &payload), EW_OK);
        CHECK(record.bytes == entry_at(walk, again.read)->bytes);
        ewi_ring_consume(&again.reader, record);
    }
    CHECK(again.reader.position == walk->writer.position);
}

static void step(struct walk *walk)
{
    switch (harness_below(&walk->random, 16)) {
    case 0:
        write_control(walk);
        break;
    case 1:
        append_one(walk);
        break;
    case 2:
        read_run(walk);
        break;
    case 3:
    case 4:
        free_some(walk);
        break;
    case 5:
        if (harness_below(&walk->random, 64) == 0)
            check_boundaries(walk);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        read_one(walk);
        break;
    default:
        write_one(walk);
    }
}

static void walk_randomly(uint64_t seed, uint32_t ring_bytes)
{
    static struct walk walk;
    uint64_t start;

    walk = (struct walk){.random = {seed ^ ring_bytes}};
    walk.memory = aligned_alloc(64, ring_bytes);
    CHECK(walk.memory != NULL);
    memset(walk.memory, 0xff, ring_bytes); /* only the first header has to be zero */
    memset(walk.memory, 0, 8);
    start = harness_next(&walk.random) & ~UINT64_C(7) & (UINT64_MAX >> 1);
    ewi_ring_writer_init(&walk.writer, walk.memory, ring_bytes, start);
    ewi_ring_reader_init(&walk.reader, walk.memory, ring_bytes, 0, start);
    for (int i = 0; i < STEPS; i++)
        step(&walk);
    while (walk.read < walk.last)
        read_one(&walk);
    read_one(&walk); /* and then it is empty */
    free(walk.memory);
}

static uint64_t seed_now;

/* catches: no zero_next; pad_is_live always false; offset_of without pad; room with need - 8; a run
 * that passes the wrap */
static void a_random_walk_in_the_smallest_ring_agrees_with_a_list(void)
{
    walk_randomly(seed_now, RING_BYTES_MIN);
}

static void a_random_walk_in_rings_of_odd_sizes_agrees_with_a_list(void)
{
    walk_randomly(seed_now, RING_BYTES_MIN + 64);
    walk_randomly(seed_now, 9 * 1024 + 192);
}

static void a_random_walk_in_a_larger_ring_agrees_with_a_list(void)
{
    walk_randomly(seed_now, 16 * 1024 - OUTBOX_HEAD_BYTES);
}

/* Every payload size at every offset of the ring's end: each pair wraps once. */
static void every_size_wraps_at_every_alignment(void)
{
    static _Alignas(64) uint8_t memory[RING_BYTES_MIN];
    const uint32_t most = RING_BYTES_MIN / 8 - RECORD_HEADER_BYTES;

    for (uint32_t left = 8; left <= 1032; left += 8) {
        for (uint32_t bytes = 0; bytes <= most; bytes += left % 16 == 0 ? 1 : 7) {
            struct ring_writer writer;
            struct ring_reader reader;
            struct record record;
            const uint8_t *payload;
            uint8_t *room;

            ewi_ring_writer_init(&writer, memory, sizeof(memory), 0);
            writer.offset = RING_BYTES_MIN - left; /* as after a lap */
            memset(memory + writer.offset, 0, 8);
            ewi_ring_reader_init(&reader, memory, sizeof(memory), writer.offset, 0);
            room = ewi_ring_reserve(&writer, bytes);
            CHECK(room != NULL);
            fill(room, 0, bytes);
            ewi_ring_commit(&writer, bytes, 0);
            CHECK_EQ(ewi_ring_peek(&reader, &record, &payload), EW_OK);
            CHECK(record.bytes == bytes + RECORD_HEADER_BYTES && is_filled(payload, 0, bytes));
            ewi_ring_consume(&reader, record);
            CHECK_EQ(ewi_ring_peek(&reader, &record, &payload), EW_EAGAIN);
            CHECK_EQ(ewi_ring_free(&writer, reader.position), EW_OK);
        }
    }
}

/* ---- two threads, two processes ---- */

struct pair { /* one direction: the ring in its outbox, taken in the other's */
    uint8_t *ring;
    uint32_t ring_bytes;
    _Atomic uint64_t *taken;
    uint64_t seed;
};

static uint32_t next_bytes(struct harness_random *random, uint32_t most)
{
    return harness_below(random, 16) == 0 ? (uint32_t)harness_between(random, 0, most)
                                          : (uint32_t)harness_below(random, 80);
}

static void *write_all(void *argument)
{
    const struct pair *pair = argument;
    struct harness_random random = {pair->seed};
    struct ring_writer writer;

    ewi_ring_writer_init(&writer, pair->ring, pair->ring_bytes, 0);
    for (int i = 0; i < RECORDS; i++) {
        uint32_t bytes = next_bytes(&random, writer.record_bytes_max - RECORD_HEADER_BYTES);
        uint8_t *payload;

        while ((payload = ewi_ring_reserve(&writer, bytes)) == NULL) {
            uint64_t taken = atomic_load_explicit(pair->taken, memory_order_acquire); /* T2 */

            if (taken == writer.freed)
                sched_yield();
            CHECK_EQ(ewi_ring_free(&writer, taken), EW_OK);
        }
        fill(payload, writer.position, bytes);
        ewi_ring_commit(&writer, bytes, 0);
    }
    return NULL;
}

static void *read_all(void *argument)
{
    const struct pair *pair = argument;
    struct harness_random random = {pair->seed};
    struct ring_reader reader;
    static uint8_t copy[RECORD_BYTES_MAX];

    ewi_ring_reader_init(&reader, pair->ring, pair->ring_bytes, 0, 0);
    for (int i = 0; i < RECORDS; i++) {
        uint32_t bytes = next_bytes(&random, reader.record_bytes_max - RECORD_HEADER_BYTES);
        struct record record;
        const uint8_t *payload;
        int code;

        while ((code = ewi_ring_peek(&reader, &record, &payload)) == EW_EAGAIN)
            sched_yield();
        CHECK_EQ(code, EW_OK);
        CHECK_EQ(record.bytes, RECORD_HEADER_BYTES + bytes);
        memcpy(copy, payload, bytes);
        CHECK(is_filled(copy, reader.position, bytes));
        ewi_ring_consume(&reader, record);
        atomic_store_explicit(pair->taken, reader.position, memory_order_release); /* T1 */
    }
    return NULL;
}

/* catches (tsan): R1 relaxed, R2 relaxed; T1 or T2 relaxed here */
static void one_writer_and_one_reader_thread_agree_on_every_byte(void)
{
    static _Alignas(64) uint8_t memory[RING_BYTES_MIN * 2];
    static _Atomic uint64_t taken;
    struct pair pair = {memory, sizeof(memory), &taken, seed_now};
    pthread_t reader;

    memset(memory, 0, sizeof(memory));
    atomic_store(&taken, 0);
    CHECK_EQ(pthread_create(&reader, NULL, read_all, &pair), 0);
    write_all(&pair);
    CHECK_EQ(pthread_join(reader, NULL), 0);
}

static struct outbox_shared *outbox_of(struct region *region, struct budget *budget)
{
    char error[160];

    CHECK_EQ(ewi_region_create(&ewi_os_default, budget, REGION_SHARED, OUTBOX_BYTES_MIN,
                               EW_PAGES_SMALL, region, error),
             EW_OK);
    return ewi_outbox_init(region->base, OUTBOX_BYTES_MIN);
}

static void send_fd(int socket, int fd)
{
    char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec one = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    CHECK_EQ(sendmsg(socket, &message, 0), 1);
}

static int receive_fd(int socket)
{
    char byte, room[CMSG_SPACE(sizeof(int))];
    struct iovec one = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    int fd;

    CHECK_EQ(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
    CHECK(CMSG_FIRSTHDR(&message) != NULL);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    return fd;
}

/* Make an outbox, hand it over, map what the other side hands over. */
static void meet(int socket, struct budget *budget, struct region *mine, struct region *its)
{
    char error[160];
    int fd;

    outbox_of(mine, budget);
    send_fd(socket, mine->fd);
    fd = receive_fd(socket);
    CHECK_EQ(ewi_region_attach(&ewi_os_default, budget, fd, OUTBOX_BYTES_MIN, its, error), EW_OK);
    CHECK_EQ(close(fd), 0);
    ewi_region_forget_fd(&ewi_os_default, mine);
}

static void part(struct budget *budget, struct region *mine, struct region *its)
{
    ewi_region_release(&ewi_os_default, mine);
    ewi_region_release(&ewi_os_default, its);
    CHECK_EQ(atomic_load(&budget->used), 0);
}

static struct pair pair_of(struct region *ring, struct region *taken)
{
    struct outbox_shared *writers = ring->base, *readers = taken->base;

    return (struct pair){writers->ring, ewi_outbox_ring_bytes(OUTBOX_BYTES_MIN), &readers->taken,
                         seed_now};
}

static void two_processes_over_real_regions_agree_on_every_byte(void)
{
    struct budget budget = {.bytes_max = 2 * OUTBOX_BYTES_MIN};
    struct region mine, its;
    struct pair pair;
    int sockets[2], status;
    pid_t child;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    child = fork();
    CHECK(child >= 0);
    meet(sockets[child == 0], &budget, &mine, &its);
    if (child == 0) {
        pair = pair_of(&its, &mine);
        read_all(&pair);
        part(&budget, &mine, &its);
        _exit(0);
    }
    pair = pair_of(&mine, &its);
    write_all(&pair);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    part(&budget, &mine, &its);
    close(sockets[0]);
    close(sockets[1]);
}

int main(int argc, char **argv)
{
    RUN(every_size_wraps_at_every_alignment);
    HARNESS_FOR_EACH_SEED(argc, argv, seed)
    {
        seed_now = seed;
        RUN(a_random_walk_in_the_smallest_ring_agrees_with_a_list);
        RUN(a_random_walk_in_rings_of_odd_sizes_agrees_with_a_list);
        RUN(a_random_walk_in_a_larger_ring_agrees_with_a_list);
    }
    RUN(one_writer_and_one_reader_thread_agree_on_every_byte);
    RUN(two_processes_over_real_regions_agree_on_every_byte);
    return 0;
}
