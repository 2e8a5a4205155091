/* What does transport/net cost by itself, with both ends on one core?
 *
 *   rtt 1, rtt 64      requests and responses of 64 bytes on so many connections; round trips a second
 *   open               connect, one exchange of 64 bytes, close; connections a second
 *   bulk 1500, 9000    one stream, copied out by recv_into; bit/s of payload. Checksums in software
 *   lent 1500, 9000    the same without that copy: tokens that are released
 *   ... cycles         of the time stamp counter, for one round trip, connection, or KiB
 *                      All of these in CPU time: rates of a core that does nothing else
 *   bytes              of memory for one more idle connection, of each stack
 *
 * Modes:  --million [N]   open N (1,048,576) connections and show time and memory; then ask on one of
 *                         them again and again, on any of them (none is in a cache any more, and each
 *                         acknowledges by itself later), and on 64 at once
 *         --count WORK N ...  only do it: bench/c/count.h
 */
#include <sys/resource.h>

#include "bench/c/count.h"
#include "bench/c/wire.h"

enum {
    MESSAGE = 64,
    PORTS_OF_ADDRESS = 60000,
    CLIENT_ADDRESSES = 32,
    SPAN_BYTES = 256 * 1024,
    INTO_BYTES = 64 * 1024,
    MILLION = 1 << 20,
};

static struct wire wire;
static ewi_stream clients[WIRE_STREAMS_MAX], servers[WIRE_STREAMS_MAX];
static uint8_t message[MESSAGE], into[INTO_BYTES], span[SPAN_BYTES];

static void open_wire(uint16_t mtu, uint32_t conns, uint64_t time_wait_ns)
{
    const struct wire_options options = {
        .conns = conns, .addresses = CLIENT_ADDRESSES, .mtu = mtu, .time_wait_ns = time_wait_ns};

    wire_open(&wire, &options);
}

/* ---- round trips ---- */

static void send_message(enum wire_side side, ewi_stream stream)
{
    const struct stack_span one = {message, MESSAGE};

    DUO_CHECK(ewi_net_send(wire.net[side], stream, &one, 1) == MESSAGE);
}

/* Is there one? */
static bool take_message(enum wire_side side, ewi_stream stream)
{
    const struct stack_room room = {into, INTO_BYTES};
    int64_t got = ewi_net_recv_into(wire.net[side], stream, &room, 1);

    DUO_CHECK(got == MESSAGE || got == -EAGAIN);
    return got == MESSAGE;
}

/* What a shell does at one end: time, events, calls, frames. Returns messages that arrived. */
static uint32_t serve(enum wire_side side)
{
    struct stack_event events[WIRE_BATCH];
    uint32_t count, taken = 0;

    ewi_net_tick(wire.net[side], wire.now);
    do {
        count = ewi_net_events(wire.net[side], events, WIRE_BATCH);
        for (uint32_t i = 0; i < count; i++) {
            if ((events[i].bits & STACK_READABLE) == 0 || !take_message(side, events[i].stream))
                continue;
            send_message(side, events[i].stream);
            taken += 1;
        }
    } while (count == WIRE_BATCH);
    while (wire_move(&wire, side) == WIRE_BATCH)
        continue;
    wire.now += WIRE_STEP_NS;
    return taken;
}

static void watch_all(const ewi_stream *ours, const ewi_stream *theirs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        DUO_CHECK(ewi_net_watch(wire.net[WIRE_CLIENT], ours[i], STACK_READABLE) == 0);
        DUO_CHECK(ewi_net_watch(wire.net[WIRE_SERVER], theirs[i], STACK_READABLE) == 0);
    }
}

static void open_round_trips(uint32_t streams)
{
    open_wire(1500, 1024, 0);
    wire_connect(&wire, clients, servers, 0, streams, PORTS_OF_ADDRESS);
    watch_all(clients, servers, streams);
    for (uint32_t i = 0; i < streams; i++)
        send_message(WIRE_CLIENT, clients[i]);
}

static void round_trips(uint64_t count)
{
    uint32_t idle = 0;

    for (uint64_t done = 0; done < count;) {
        uint32_t more = serve(WIRE_CLIENT);

        serve(WIRE_SERVER);
        done += more;
        idle = more != 0 ? 0 : idle + 1;
        DUO_CHECK(idle < WIRE_TRIES);
    }
}

/* ---- connect, exchange, close ---- */

struct opening {
    uint32_t next, closed; /* of all connections */
};

static void client_events(void)
{
    struct stack_event events[WIRE_BATCH];
    uint32_t count;

    do {
        count = ewi_net_events(wire.net[WIRE_CLIENT], events, WIRE_BATCH);
        for (uint32_t i = 0; i < count; i++) {
            if ((events[i].bits & STACK_CONNECTED) != 0)
                send_message(WIRE_CLIENT, events[i].stream);
            if ((events[i].bits & STACK_READABLE) == 0 ||
                !take_message(WIRE_CLIENT, events[i].stream))
                continue;
            DUO_CHECK(ewi_net_finish(wire.net[WIRE_CLIENT], events[i].stream, false, wire.now) == 0);
        }
    } while (count == WIRE_BATCH);
}

/* Connections that were served and closed. */
static uint32_t server_events(void)
{
    struct stack_event events[WIRE_BATCH];
    uint32_t count, closed = 0;

    do {
        count = ewi_net_events(wire.net[WIRE_SERVER], events, WIRE_BATCH);
        for (uint32_t i = 0; i < count; i++) {
            ewi_stream stream = events[i].stream;

            if ((events[i].bits & STACK_ACCEPT) != 0) {
                while (ewi_net_accept(wire.net[WIRE_SERVER], wire.listener, 1, &stream) == 0)
                    DUO_CHECK(ewi_net_watch(wire.net[WIRE_SERVER], stream, STACK_READABLE) == 0);
                continue;
            }
            closed += (events[i].bits & STACK_CLOSED) != 0;
            if ((events[i].bits & STACK_PEER_FIN) != 0) {
                DUO_CHECK(ewi_net_finish(wire.net[WIRE_SERVER], stream, false, wire.now) == 0);
            } else if ((events[i].bits & STACK_READABLE) != 0 &&
                       take_message(WIRE_SERVER, stream)) {
                send_message(WIRE_SERVER, stream);
            }
        }
    } while (count == WIRE_BATCH);
    return closed;
}

static void connect_next(uint32_t which)
{
    struct stack_addr remote = wire_address(WIRE_SERVER, 0, WIRE_PORT);
    struct stack_addr local = wire_address(WIRE_CLIENT, which % CLIENT_ADDRESSES,
                                           (uint16_t)(1024 + which / CLIENT_ADDRESSES % 60000));
    ewi_stream stream;

    DUO_CHECK(ewi_net_connect(wire.net[WIRE_CLIENT], &local, &remote, which, wire.now, &stream) ==
              0);
    DUO_CHECK(ewi_net_watch(wire.net[WIRE_CLIENT], stream, STACK_READABLE) == 0);
}

/* Some are always under way, in all stages. */
static void openings(struct opening *opening, uint64_t count)
{
    enum { AT_ONCE = 32 };
    uint32_t target = opening->closed + (uint32_t)count, idle = 0;

    while (opening->closed < target) {
        uint32_t closed;

        while (opening->next < target && opening->next - opening->closed < AT_ONCE)
            connect_next(opening->next++);
        wire_step(&wire);
        client_events();
        closed = server_events();
        opening->closed += closed;
        idle = closed != 0 ? 0 : idle + 1;
        DUO_CHECK(idle < WIRE_TRIES);
    }
}

/* ---- bulk ---- */

static void open_bulk(uint16_t mtu)
{
    open_wire(mtu, 64, 0);
    wire_connect(&wire, clients, servers, 0, 1, PORTS_OF_ADDRESS);
}

static uint64_t take_copied(void)
{
    const struct stack_room room = {into, INTO_BYTES};
    uint64_t taken = 0;
    int64_t got;

    while ((got = ewi_net_recv_into(wire.net[WIRE_SERVER], servers[0], &room, 1)) > 0)
        taken += (uint64_t)got;
    DUO_CHECK(got == -EAGAIN);
    return taken;
}

static uint64_t take_lent(void)
{
    struct net_token tokens[WIRE_BATCH];
    uint64_t taken = 0;
    int got;

    while ((got = ewi_net_recv(wire.net[WIRE_SERVER], servers[0], tokens, WIRE_BATCH)) > 0) {
        for (int i = 0; i < got; i++)
            taken += tokens[i].bytes;
        ewi_net_release(wire.net[WIRE_SERVER], tokens, (uint32_t)got);
    }
    DUO_CHECK(got == -EAGAIN);
    return taken;
}

/* The receiver takes what came after every batch, as an application that polls does. */
static void bulk(uint64_t bytes, uint64_t (*take)(void))
{
    const struct stack_span whole = {span, SPAN_BYTES};
    uint64_t taken = 0;
    uint32_t idle = 0;

    while (taken < bytes) {
        uint64_t more;

        while (ewi_net_send(wire.net[WIRE_CLIENT], clients[0], &whole, 1) == SPAN_BYTES)
            continue;
        wire.now += WIRE_STEP_NS;
        ewi_net_tick(wire.net[WIRE_CLIENT], wire.now);
        wire_move(&wire, WIRE_CLIENT);
        ewi_net_tick(wire.net[WIRE_SERVER], wire.now);
        taken += more = take();
        wire_reclaim(&wire, WIRE_SERVER);
        wire_move(&wire, WIRE_SERVER);
        idle = more != 0 ? 0 : idle + 1;
        DUO_CHECK(idle < WIRE_TRIES);
    }
    wire_forget_events(&wire);
}

/* ---- results ---- */

/* What others run on this processor does not count; nothing here waits. */
static uint64_t begin(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void end(struct duo *duo, const char *name, int round, uint64_t since, double count,
                double value_of_one, double cycles_for)
{
    double ns = (double)(begin() - since);
    char cycles[DUO_NAME_BYTES];

    duo_case(duo, name)->value[round] = count * value_of_one * 1e9 / ns;
    snprintf(cycles, sizeof(cycles), "%s cycles", name);
    duo_case(duo, cycles)->value[round] = ns / duo_ns_per_tick(duo) / count * cycles_for;
}

static void measure_round_trips(struct duo *duo, int round, uint32_t streams, uint64_t count)
{
    uint64_t since;
    char name[DUO_NAME_BYTES];

    snprintf(name, sizeof(name), "rtt %u", streams);
    open_round_trips(streams);
    round_trips(count / 10);
    since = begin();
    round_trips(count);
    end(duo, name, round, since, (double)count, 1, 1);
    wire_close(&wire);
}

static void measure_openings(struct duo *duo, int round, uint64_t count)
{
    struct opening opening = {0};
    uint64_t since;

    open_wire(1500, 4096, 10000000);
    openings(&opening, count / 10);
    since = begin();
    openings(&opening, count);
    end(duo, "open", round, since, (double)count, 1, 1);
    wire_close(&wire);
}

static void measure_bulk(struct duo *duo, int round, uint16_t mtu, bool is_lent, uint64_t bytes)
{
    uint64_t since;
    char name[DUO_NAME_BYTES];

    snprintf(name, sizeof(name), "%s %u", is_lent ? "lent" : "bulk", mtu);
    open_bulk(mtu);
    bulk(bytes / 4, is_lent ? take_lent : take_copied);
    since = begin();
    bulk(bytes, is_lent ? take_lent : take_copied);
    end(duo, name, round, since, (double)bytes, 8, 1024);
    wire_close(&wire);
}

static double bytes_of_one_more(void)
{
    struct net_config few, many;

    ewi_net_config_for(&few, MILLION);
    many = few;
    many.conns_max *= 2;
    return (double)(ewi_net_bytes(&many) - ewi_net_bytes(&few)) / few.conns_max;
}

/* ---- the other modes ---- */

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    DUO_CHECK(file != NULL && fscanf(file, "%lu %lu", &pages, &resident) == 2);
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The client asks once, and takes the answer. */
static void ask(ewi_stream stream)
{
    struct stack_event event;

    send_message(WIRE_CLIENT, stream);
    for (uint32_t tries = 0;; tries++) {
        DUO_CHECK(tries < WIRE_TRIES);
        ewi_net_tick(wire.net[WIRE_CLIENT], wire.now);
        while (wire_move(&wire, WIRE_CLIENT) == WIRE_BATCH)
            continue;
        serve(WIRE_SERVER);
        while (ewi_net_events(wire.net[WIRE_CLIENT], &event, 1) == 1)
            if (event.stream == stream && take_message(WIRE_CLIENT, stream))
                return;
    }
}

static double ns_to_ask(const ewi_stream *streams, uint32_t count)
{
    enum { TRIPS = 50000 };
    uint32_t which = 1;
    uint64_t from = 0;

    for (uint32_t i = 0; i < TRIPS + TRIPS / 10; i++) {
        if (i == TRIPS / 10)
            from = begin();
        which = which * 1664525 + 1013904223; /* a period of 2^32, the upper bits are good */
        ask(streams[(uint64_t)which * count >> 32]);
    }
    return (double)(begin() - from) / TRIPS;
}

/* Handles of all connections: the clients', then the servers'. They count for nobody's memory. */
static ewi_stream *streams_of(uint32_t count)
{
    size_t bytes = sizeof(ewi_stream) * 2 * count;

    return memset(wire_memory(bytes), 0xff, bytes);
}

static void open_a_million(struct duo *duo, uint32_t count)
{
    ewi_stream *all;
    uint64_t before, from, resident;

    count -= count % WIRE_STREAMS_MAX;
    DUO_CHECK(count > 0);
    all = streams_of(count);
    before = resident_bytes();
    open_wire(1500, count + 64, 0);
    from = begin();
    for (uint32_t first = 0; first < count; first += WIRE_STREAMS_MAX)
        wire_connect(&wire, all + first, all + count + first, first, WIRE_STREAMS_MAX,
                     PORTS_OF_ADDRESS);
    duo_case(duo, "open, s")->value[0] = (double)(begin() - from) / 1e9;
    wire_settle(&wire);
    resident = resident_bytes() - before;
    duo_case(duo, "connections")->value[0] = count;
    duo_case(duo, "reserved, MB of both")->value[0] = 2e-6 * (double)wire.memory_bytes;
    duo_case(duo, "resident, MB of both")->value[0] = 1e-6 * (double)resident;
    duo_case(duo, "resident bytes of one end")->value[0] = (double)resident / 2 / count;
    watch_all(all, all + count, count);
    duo_case(duo, "rtt of one, ns")->value[0] = ns_to_ask(all, 1);
    duo_case(duo, "rtt of any, ns")->value[0] = ns_to_ask(all, count);
    memcpy(clients, all, sizeof(clients));
    for (uint32_t i = 0; i < WIRE_STREAMS_MAX; i++)
        send_message(WIRE_CLIENT, clients[i]);
    from = begin();
    round_trips(100000);
    duo_case(duo, "rtt 64 among them")->value[0] = 1e14 / (double)(begin() - from);
}

/* ---- counting: bench/c/count.h ---- */

static struct opening counted;

static void count_openings(uint64_t count)
{
    openings(&counted, count);
}

static void count_bulk(uint64_t kib)
{
    bulk(kib * 1024, take_copied);
}

/* Set up, and what to do so often then. */
static void (*open_work(const char *work))(uint64_t count)
{
    if (strcmp(work, "round trip") == 0 || strcmp(work, "round trip of 64") == 0) {
        open_round_trips(strcmp(work, "round trip") == 0 ? 1 : 64);
        return round_trips;
    }
    if (strcmp(work, "open and close") == 0) {
        counted = (struct opening){0};
        open_wire(1500, 4096, 10000000);
        return count_openings;
    }
    if (strcmp(work, "KiB at 1500") == 0 || strcmp(work, "KiB at 9000") == 0) {
        open_bulk(strcmp(work, "KiB at 1500") == 0 ? 1500 : 9000);
        return count_bulk;
    }
    fprintf(stderr, "no work '%s'\n", work);
    exit(2);
}

static void count_works(int count, char **arguments)
{
    for (int i = 0; i + 1 < count; i += 2) {
        void (*work)(uint64_t) = open_work(arguments[i]);
        uint64_t times = strtoull(arguments[i + 1], NULL, 0);

        work(times / COUNT_WARM_SHARE);
        count_mark();
        work(times);
        count_mark();
        wire_close(&wire);
    }
}

static void measure_all(struct duo *duo)
{
    uint64_t scale = duo->quick ? 1 : 4;

    for (int round = 0; round < duo->rounds; round++) {
        measure_round_trips(duo, round, 1, 200000 * scale);
        measure_round_trips(duo, round, 64, 200000 * scale);
        measure_openings(duo, round, 20000 * scale);
        for (int is_lent = 0; is_lent < 2; is_lent++) {
            measure_bulk(duo, round, 1500, is_lent != 0, (UINT64_C(64) << 20) * scale);
            measure_bulk(duo, round, 9000, is_lent != 0, (UINT64_C(128) << 20) * scale);
        }
        duo_case(duo, "bytes")->value[round] = bytes_of_one_more();
    }
}

int main(int argc, char **argv)
{
    static struct duo duo;
    bool is_million = argc > 1 && strcmp(argv[1], "--million") == 0;

    for (uint32_t i = 0; i < SPAN_BYTES; i++)
        span[i] = (uint8_t)(i * 7);
    if (argc >= 4 && strcmp(argv[1], "--count") == 0) {
        count_works(argc - 2, argv + 2);
        return 0;
    }
    duo_start(&duo, argc, argv, is_million ? 1 : 7, is_million ? 1 : 3);
    duo_stop(&duo); /* one process is enough */
    if (is_million) {
        uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;

        open_a_million(&duo, count > 0 ? (uint32_t)count : MILLION);
    } else {
        measure_all(&duo);
    }
    duo_print(&duo, is_million ? "net-million" : "net-wire", "as named");
    return 0;
}
