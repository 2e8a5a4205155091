/* tests/c/test_net_look.c - what a stack tells of itself, and its echo requests: two stacks on a wire. */
#include "tests/c/net_two_base.h"
#include "transport/net/header_icmp.h"
#include "transport/net/look.h"
#include "transport/net/path.h"
#include "transport/net/ping.h"

enum { SERVICE = 80, CONNS = 600 };

static struct {
    struct ewi_net *net[NODES];
    void *memory[NODES];
    uint64_t now;
    bool is_cut;
    uint8_t last[NODES][ROOM]; /* the last frame that each sent */
    uint32_t last_bytes[NODES];
} two;

/* ---- the wire ---- */

static void arrive(int at, uint8_t *bytes, uint32_t length)
{
    struct net_rx rx = {.data = bytes, .bytes = length, .charge = ROOM};

    ewi_net_input(two.net[at], two.now, &rx, 1);
}

static void carry(int from)
{
    struct net_frame frames[FRAMES];
    uint32_t count = two_take(two.net[from], two.now, frames);

    for (uint32_t i = 0; i < count; i++) {
        memcpy(two.last[from], frames[i].room, frames[i].bytes);
        two.last_bytes[from] = frames[i].bytes;
        if (!two.is_cut)
            arrive(!from, frames[i].room, frames[i].bytes);
    }
}

static void pass(uint64_t ns)
{
    for (uint64_t until = two.now + ns; two.now <= until; two.now += MS) {
        for (int i = 0; i < NODES; i++) {
            ewi_net_tick(two.net[i], two.now);
            carry(i);
        }
    }
    for (int i = 0; i < NODES; i++)
        CHECK(ewi_net_check(two.net[i]) == NULL);
}

/* ---- the ends ---- */

static struct stack_addr host(uint8_t family, uint8_t last, uint16_t port)
{
    struct stack_addr address = {.family = family, .port = port};

    if (family == 4)
        memcpy(address.ip, ((uint8_t[4]){10, 0, 0, last}), 4);
    else
        memcpy(address.ip, ((uint8_t[16]){0xfd, [15] = last}), 16);
    return address;
}

static struct ewi_net *make(uint8_t number, uint32_t conns, uint32_t flags, void **memory)
{
    struct stack_addr own4 = host(4, number, 0), own6 = host(6, number, 0);
    struct ewi_net *net = two_make(number, conns, two.now, memory);

    CHECK_EQ(ewi_net_address_add(net, 0, &own4, 24, flags), 0);
    CHECK_EQ(ewi_net_address_add(net, 0, &own6, 64, flags), 0);
    return net;
}

static void begin_with(uint32_t conns, uint32_t flags)
{
    memset(&two, 0, sizeof(two));
    two.now = 1000 * S;
    for (int i = 0; i < NODES; i++)
        two.net[i] = make((uint8_t)(i + 1), conns, flags, &two.memory[i]);
}

static void begin(void)
{
    begin_with(8, NET_ADDRESS_SURE);
}

static void end(void)
{
    for (int i = 0; i < NODES; i++)
        free(two.memory[i]);
}

static ewi_stream listening(uint32_t backlog)
{
    struct stack_addr any = {.family = 4, .port = SERVICE};
    ewi_stream listener;

    CHECK_EQ(ewi_net_listen(two.net[1], &any, backlog, 7, &listener), 0);
    return listener;
}

static ewi_stream connecting(uint64_t user)
{
    struct stack_addr to = host(4, 2, SERVICE);
    ewi_stream stream;

    CHECK_EQ(ewi_net_connect(two.net[0], NULL, &to, user, two.now, &stream), 0);
    return stream;
}

/* ---- connections ---- */

static uint32_t conns_of(struct ewi_net *net, struct net_look_conn *rows, uint32_t room)
{
    uint32_t at = 0, count = 0;

    while (at != NET_NONE)
        if (ewi_net_look_conn(net, &at, &rows[count])) {
            count += 1;
            CHECK(count < room);
        }
    return count;
}

static void both_ends_of_a_connection_are_told(void)
{
    struct stack_span span = {"hello", 5};
    struct net_look_conn rows[4];
    ewi_stream stream;

    begin();
    listening(4);
    stream = connecting(42);
    pass(50 * MS);
    CHECK_EQ(ewi_net_send(two.net[0], stream, &span, 1), 5);
    pass(50 * MS);
    CHECK_EQ(conns_of(two.net[0], rows, 4), 1);
    CHECK_EQ(rows[0].user, 42);
    CHECK_EQ(rows[0].stream, stream);
    CHECK(!rows[0].is_pending && !rows[0].is_finished && !rows[0].is_passive);
    CHECK_EQ(rows[0].remote.port, SERVICE);
    CHECK_EQ(rows[0].remote.ip[3], 2);
    CHECK_EQ(rows[0].local.ip[3], 1);
    CHECK_EQ(rows[0].info.state, NET_TCP_ESTABLISHED);
    CHECK_EQ(rows[0].info.bytes_sent, 5);
    CHECK_EQ(rows[0].info.bytes_acked, 5);
    CHECK_EQ(conns_of(two.net[1], rows, 4), 1);
    CHECK(rows[0].is_pending && rows[0].is_passive);
    CHECK_EQ(rows[0].user, 0); /* of nobody yet */
    CHECK_EQ(rows[0].info.bytes_received, 5);
    CHECK_EQ(rows[0].info.readable, 5);
    end();
}

/* catches: a connection whose user is gone is left out, and nobody knows what holds the port */
static void a_finished_connection_is_told_until_it_is_over(void)
{
    struct net_look_conn rows[4];
    ewi_stream stream;

    begin();
    listening(4);
    stream = connecting(42);
    pass(50 * MS);
    CHECK_EQ(ewi_net_finish(two.net[0], stream, false, two.now), 0);
    pass(50 * MS);
    CHECK_EQ(conns_of(two.net[0], rows, 4), 1);
    CHECK(rows[0].is_finished);
    CHECK_EQ(rows[0].info.state, NET_TCP_FIN_WAIT_2);
    end();
}

/* catches: the age is counted from the last packet, so it stands still */
static void silence_grows_while_nobody_drives(void)
{
    struct net_look_conn rows[4];

    begin();
    listening(4);
    connecting(42);
    pass(50 * MS);
    ewi_net_look_at(two.net[0], two.now + 100 * S);
    CHECK_EQ(conns_of(two.net[0], rows, 4), 1);
    CHECK(rows[0].info.since_heard >= 100 * S);
    end();
}

/* catches: a call that walks over the whole table; rows lost where a call ends */
static void a_long_table_is_read_in_pieces(void)
{
    static struct net_look_conn row;
    static bool seen[CONNS];
    static struct stack_event events[CONNS];
    uint32_t at = 0, calls = 0, count = 0;

    begin_with(CONNS, NET_ADDRESS_SURE);
    two.is_cut = true;
    for (uint32_t i = 0; i < CONNS; i++) {
        ewi_stream stream = connecting(i);

        if (i != 0 && i != CONNS - 1)
            CHECK_EQ(ewi_net_finish(two.net[0], stream, true, two.now), 0);
    }
    CHECK_EQ(ewi_net_events(two.net[0], events, CONNS), CONNS - 2); /* CLOSED: the slots are free */
    while (at != NET_NONE) {
        uint32_t before = at;

        calls += 1;
        if (ewi_net_look_conn(two.net[0], &at, &row)) {
            count += 1;
            seen[row.user] = true;
        }
        CHECK(at == NET_NONE || at - before <= NET_LOOK_SLOTS);
    }
    CHECK_EQ(count, 2);
    CHECK(seen[0] && seen[CONNS - 1]);
    CHECK(calls > CONNS / NET_LOOK_SLOTS);
    end();
}

static void any_cursor_is_harmless(void)
{
    const uint32_t cursors[] = {1, 7, 8, 1 << 24, UINT32_MAX - 1, UINT32_MAX};
    struct net_look_conn conn;
    struct net_look_route route;
    struct net_look_limit limit;

    begin();
    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        uint32_t at = cursors[i];

        CHECK(!ewi_net_look_conn(two.net[0], &at, &conn));
        CHECK_EQ(at, NET_NONE);
        at = cursors[i] | 64;
        CHECK(!ewi_net_look_route(two.net[0], &at, &route));
        CHECK_EQ(at, NET_NONE);
        at = cursors[i] | 64;
        CHECK(!ewi_net_look_limit(two.net[0], &at, &limit));
    }
    end();
}

static void listeners_are_told_with_who_waits(void)
{
    struct net_look_listener row;
    uint32_t at = 0;

    begin();
    listening(4);
    connecting(1);
    connecting(2);
    pass(50 * MS);
    CHECK(ewi_net_look_listener(two.net[1], &at, &row));
    CHECK_EQ(row.local.port, SERVICE);
    CHECK_EQ(row.local.family, 4);
    CHECK_EQ(row.waiting, 2);
    CHECK_EQ(row.backlog, 4);
    CHECK(!ewi_net_look_listener(two.net[1], &at, &row));
    CHECK_EQ(at, NET_NONE);
    end();
}

/* ---- link ---- */

static bool neighbour_of(struct ewi_net *net, struct net_look_neighbour *row)
{
    uint32_t at = 0;

    while (at != NET_NONE)
        if (ewi_net_look_neighbour(net, &at, row))
            return true;
    return false;
}

static void neighbours_are_told_as_they_are_now(void)
{
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 2}, fixed[6] = {2, 0, 0, 0, 0, 9};
    struct stack_addr at = host(4, 2, 0);
    struct net_look_neighbour row;

    begin();
    two.is_cut = true;
    connecting(1);
    pass(MS);
    CHECK(neighbour_of(two.net[0], &row));
    CHECK(!row.is_known);
    CHECK(strcmp(ewi_net_look_neighbour_state(&row), "incomplete") == 0);
    two.is_cut = false;
    pass(2 * S);
    CHECK(neighbour_of(two.net[0], &row));
    CHECK(row.is_known && memcmp(row.mac, mac, 6) == 0);
    CHECK_EQ(row.at.ip[3], 2);
    CHECK(strcmp(ewi_net_look_neighbour_state(&row), "reachable") == 0);
    ewi_net_look_at(two.net[0], two.now + 100 * S); /* RFC 4861 section 10: 45 s at most */
    CHECK(neighbour_of(two.net[0], &row));
    CHECK(strcmp(ewi_net_look_neighbour_state(&row), "stale") == 0);
    CHECK_EQ(ewi_net_neighbour_add(two.net[0], 0, &at, fixed), 0);
    CHECK(neighbour_of(two.net[0], &row));
    CHECK(strcmp(ewi_net_look_neighbour_state(&row), "static") == 0);
    CHECK(memcmp(row.mac, fixed, 6) == 0);
    end();
}

static void routes_and_ports_are_told(void)
{
    struct stack_addr all = {.family = 4}, via = host(4, 2, 0);
    struct net_look_route route;
    struct net_look_port port;
    uint32_t at = 0;

    begin();
    CHECK_EQ(ewi_net_route_add(two.net[0], &all, 0, 0, &via), 0);
    CHECK(ewi_net_look_route(two.net[0], &at, &route));
    CHECK_EQ(route.prefix, 24);
    CHECK_EQ(route.to.ip[0], 10);
    CHECK_EQ(route.via.family, 0);
    CHECK(ewi_net_look_route(two.net[0], &at, &route));
    CHECK_EQ(route.prefix, 0);
    CHECK_EQ(route.via.ip[3], 2);
    CHECK(ewi_net_look_route(two.net[0], &at, &route));
    CHECK_EQ(route.to.family, 6);
    CHECK(!ewi_net_look_route(two.net[0], &at, &route));
    at = 0;
    CHECK(ewi_net_look_port(two.net[0], &at, &port));
    CHECK_EQ(port.config.mtu, 1500);
    CHECK_EQ(port.config.caps, NET_PORT_ETHERNET);
    CHECK_EQ(port.config.mac[5], 1);
    CHECK(!ewi_net_look_port(two.net[0], &at, &port));
    end();
}

static struct net_look_address address_of(struct ewi_net *net, uint8_t family)
{
    struct net_look_address row;
    uint32_t at = 0;

    while (ewi_net_look_address(net, &at, &row))
        if (row.at.family == family)
            return row;
    CHECK(false);
    return row;
}

static void addresses_are_told_with_their_state(void)
{
    begin_with(8, 0);
    CHECK_EQ(address_of(two.net[0], 4).state, NET_ADDRESS_TENTATIVE);
    CHECK_EQ(address_of(two.net[0], 4).prefix, 24);
    pass(10 * S);
    CHECK_EQ(address_of(two.net[0], 4).state, NET_ADDRESS_GOOD);
    CHECK_EQ(address_of(two.net[0], 6).state, NET_ADDRESS_GOOD);
    CHECK(!address_of(two.net[0], 4).has_other);
    end();
}

/* catches: nobody remembers who the other one is */
static void a_duplicate_says_whose_it_is(void)
{
    const uint8_t other[6] = {2, 0, 0, 0, 0, 2};
    const struct stack_addr twice4 = host(4, 1, 0), twice6 = host(6, 1, 0);

    begin_with(8, 0);
    CHECK_EQ(ewi_net_address_add(two.net[1], 0, &twice4, 24, NET_ADDRESS_SURE), 0);
    CHECK_EQ(ewi_net_address_add(two.net[1], 0, &twice6, 64, NET_ADDRESS_SURE), 0);
    pass(10 * S);
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct net_look_address row = address_of(two.net[0], family);

        CHECK_EQ(row.state, NET_ADDRESS_TWICE);
        CHECK(row.has_other && memcmp(row.other, other, 6) == 0);
    }
    end();
}

/* ---- IP, limits ---- */

static void limits_are_told_with_what_was_refused(void)
{
    struct net_look_limit row;
    uint32_t at = 0, seen = 0;
    struct stack_addr to = host(4, 2, SERVICE);
    ewi_stream stream;

    begin_with(2, NET_ADDRESS_SURE);
    connecting(1);
    connecting(2);
    CHECK(ewi_net_connect(two.net[0], NULL, &to, 3, two.now, &stream) < 0);
    while (ewi_net_look_limit(two.net[0], &at, &row)) {
        CHECK(row.name != NULL && row.text != NULL && row.max != 0 && row.used <= row.max);
        if (strcmp(row.name, "connections") == 0) {
            CHECK(row.used == 2 && row.max == 2 && row.used_max == 2 && row.refused == 1);
            seen += 1;
        }
        if (strcmp(row.name, "addresses") == 0) {
            CHECK(row.used == 2 && row.refused == UINT64_MAX);
            seen += 1;
        }
    }
    CHECK_EQ(seen, 2);
    end();
}

/* ---- echo requests ---- */

static uint64_t asking(uint8_t family, uint32_t bytes)
{
    struct stack_addr to = host(family, 2, 0);
    uint64_t ping = 0;

    CHECK_EQ(ewi_net_ping(two.net[0], &to, bytes, two.now, &ping), 0);
    return ping;
}

static void ping(uint8_t family, uint32_t bytes)
{
    struct net_ping_answer answer;
    uint64_t handle;

    begin();
    (void)asking(family, bytes); /* finds the neighbour */
    pass(50 * MS);
    handle = asking(family, bytes);
    CHECK_EQ(ewi_net_ping_answer(two.net[0], handle, &answer), -EAGAIN);
    carry(0);
    two.now += 3 * MS;
    carry(1);
    CHECK_EQ(ewi_net_ping_answer(two.net[0], handle, &answer), 0);
    CHECK_EQ(answer.rtt_ns, 3 * MS);
    CHECK_EQ(answer.hop_limit, 64);
    CHECK_EQ(ewi_net_ping_answer(two.net[0], handle, &answer), -ESTALE); /* once */
    CHECK_EQ(ewi_net_counters(two.net[0])->ping_sent, 2);
    CHECK_EQ(ewi_net_counters(two.net[0])->ping_answered, 2);
    CHECK_EQ(ewi_net_counters(two.net[0])->drop_icmp, 0);
    end();
}

static void a_host_answers(void)
{
    ping(4, 56);
    ping(6, 56);
    ping(4, NET_PING_BYTES_MIN);
    ping(6, NET_PING_BYTES_MAX);
}

/* catches: an answer without what only the asked one knows; one answer that counts twice */
static void a_forged_or_repeated_answer_does_not_count(void)
{
    const uint32_t icmp = NET_ETHER_BYTES + NET_IP6_BYTES;
    struct net_ping_answer answer;
    uint64_t handle;
    uint8_t copy[ROOM];
    uint32_t bytes;

    begin();
    (void)asking(6, 56);
    pass(50 * MS);
    handle = asking(6, 56);
    carry(0);
    two.is_cut = true;
    carry(1); /* the answer, which we have now */
    bytes = two.last_bytes[1];
    CHECK_EQ(two.last[1][icmp], NET_ICMP6_ECHO_REPLY);
    memcpy(copy, two.last[1], bytes);
    for (uint32_t i = 0; i < 8; i += 2) { /* the checksum stays right: two words are exchanged */
        uint8_t *secret = copy + icmp + NET_ICMP_BYTES, word[2];

        if (memcmp(secret + i, secret + 8, 2) == 0)
            continue;
        memcpy(word, secret + i, 2);
        memcpy(secret + i, secret + 8, 2);
        memcpy(secret + 8, word, 2);
    }
    arrive(0, copy, bytes);
    CHECK_EQ(ewi_net_ping_answer(two.net[0], handle, &answer), -EAGAIN);
    CHECK_EQ(ewi_net_counters(two.net[0])->drop_icmp, 1);
    memcpy(copy, two.last[1], bytes);
    arrive(0, copy, bytes);
    memcpy(copy, two.last[1], bytes);
    arrive(0, copy, bytes);
    CHECK_EQ(ewi_net_counters(two.net[0])->ping_answered, 2);
    CHECK_EQ(ewi_net_counters(two.net[0])->drop_icmp, 2);
    CHECK_EQ(ewi_net_ping_answer(two.net[0], handle, &answer), 0);
    end();
}

static void requests_are_limited(void)
{
    struct stack_addr to = host(4, 2, 0);
    uint64_t handle, first = 0;
    struct net_ping_answer answer;
    uint32_t count = 0;
    int code;

    begin();
    two.is_cut = true;
    while ((code = ewi_net_ping(two.net[0], &to, 56, two.now, &handle)) == 0) {
        first = count++ == 0 ? handle : first;
        CHECK(count <= NET_PING_BURST);
    }
    CHECK_EQ(code, -EAGAIN);
    CHECK_EQ(count, NET_PING_BURST);
    while (code != -ENOBUFS) {
        two.now += S / NET_PING_EACH_SECOND;
        code = ewi_net_ping(two.net[0], &to, 56, two.now, &handle);
        count += code == 0;
        CHECK(code == 0 || code == -ENOBUFS);
        CHECK(count <= NET_PINGS_MAX);
    }
    CHECK_EQ(count, NET_PINGS_MAX);
    two.now += NET_PING_NS;
    CHECK_EQ(ewi_net_ping(two.net[0], &to, 56, two.now, &handle), 0); /* the oldest gives way */
    CHECK_EQ(ewi_net_ping_answer(two.net[0], first, &answer), -ESTALE);
    end();
}

static void what_cannot_be_asked_is_said(void)
{
    const struct stack_addr far = {.family = 4, .ip = {192, 0, 2, 1}}, own = host(4, 1, 0),
                            group = {.family = 4, .ip = {224, 0, 0, 1}},
                            all = {.family = 6, .ip = {0xff, 2, [15] = 1}}, none = {.family = 5};
    struct net_ping_answer answer;
    struct stack_addr to = host(4, 2, 0);
    uint64_t handle = 0;

    begin();
    CHECK_EQ(ewi_net_ping(two.net[0], &far, 56, two.now, &handle), -EHOSTUNREACH);
    CHECK_EQ(ewi_net_ping(two.net[0], &own, 56, two.now, &handle), -EINVAL);
    CHECK_EQ(ewi_net_ping(two.net[0], &group, 56, two.now, &handle), -EINVAL);
    CHECK_EQ(ewi_net_ping(two.net[0], &all, 56, two.now, &handle), -EINVAL);
    CHECK_EQ(ewi_net_ping(two.net[0], &none, 56, two.now, &handle), -EINVAL);
    CHECK_EQ(ewi_net_ping(two.net[0], &to, NET_PING_BYTES_MIN - 1, two.now, &handle), -EINVAL);
    CHECK_EQ(ewi_net_ping(two.net[0], &to, NET_PING_BYTES_MAX + 1, two.now, &handle), -EINVAL);
    CHECK_EQ(ewi_net_ping_answer(two.net[0], 0, &answer), -ESTALE);
    CHECK_EQ(ewi_net_ping_answer(two.net[0], UINT64_MAX, &answer), -ESTALE);
    CHECK_EQ(ewi_net_counters(two.net[0])->ping_sent, 0);
    end();
}

int main(void)
{
    RUN(both_ends_of_a_connection_are_told);
    RUN(a_finished_connection_is_told_until_it_is_over);
    RUN(silence_grows_while_nobody_drives);
    RUN(a_long_table_is_read_in_pieces);
    RUN(any_cursor_is_harmless);
    RUN(listeners_are_told_with_who_waits);
    RUN(neighbours_are_told_as_they_are_now);
    RUN(routes_and_ports_are_told);
    RUN(addresses_are_told_with_their_state);
    RUN(a_duplicate_says_whose_it_is);
    RUN(limits_are_told_with_what_was_refused);
    RUN(a_host_answers);
    RUN(a_forged_or_repeated_answer_does_not_count);
    RUN(requests_are_limited);
    RUN(what_cannot_be_asked_is_said);
    return 0;
}
