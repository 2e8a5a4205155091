/* tests/sim/test_net_pair.c - two stacks on one wire that can be cut: what TCP and the link owe each other.
 *
 * RFC 9293 section 3.8.3 (MUST-20), section 3.9.1.1 (MUST-46); RFC 4861 section 7.3.1 for ARP too. */
#include "tests/c/net_two_base.h"
#include "transport/net/header.h"

#define DAY (24 * 3600 * S)

enum { PORT = 80, WAKES_MAX = 10000 };

static struct {
    struct ewi_net *net[NODES];
    void *memory[NODES];
    uint64_t now;
    bool is_cut;
    uint32_t arps;
    ewi_stream listener, client, server;
} pair;

/* ---- the wire ---- */

static void carry(int from)
{
    struct net_frame frames[FRAMES];
    uint32_t count = two_take(pair.net[from], pair.now, frames);

    for (uint32_t i = 0; i < count; i++) {
        struct net_rx rx = {.data = frames[i].room, .bytes = frames[i].bytes, .charge = ROOM};

        pair.arps += frames[i].room[12] == 8 && frames[i].room[13] == 6;
        if (!pair.is_cut)
            ewi_net_input(pair.net[!from], pair.now, &rx, 1);
    }
}

static void settle(void)
{
    for (int i = 0; i < 2 * FRAMES; i++)
        carry(i % NODES);
    for (int i = 0; i < NODES; i++)
        CHECK(ewi_net_check(pair.net[i]) == NULL);
}

static void pass(uint64_t ns)
{
    uint64_t until = pair.now + ns, next;
    uint32_t wakes = 0;

    for (settle(); pair.now < until; settle()) {
        CHECK(wakes++ < WAKES_MAX); /* a deadline that is always now */
        next = ewi_min_u64(ewi_net_deadline(pair.net[0]), ewi_net_deadline(pair.net[1]));
        pair.now = ewi_min_u64(ewi_max_u64(next, pair.now + MS), until);
        for (int i = 0; i < NODES; i++)
            ewi_net_tick(pair.net[i], pair.now);
    }
}

/* ---- the ends ---- */

static struct stack_addr address(uint8_t last, uint16_t port)
{
    return (struct stack_addr){.family = 4, .port = port, .ip = {10, 0, 0, last}};
}

static struct ewi_net *make(uint8_t number, void **memory)
{
    struct stack_addr own = address(number, 0);
    struct ewi_net *net = two_make(number, 8, pair.now, memory);

    CHECK_EQ(ewi_net_address_add(net, 0, &own, 24, NET_ADDRESS_SURE), 0);
    return net;
}

static void begin(void)
{
    struct stack_addr local = address(2, PORT);

    memset(&pair, 0, sizeof(pair));
    pair.now = 1 * S;
    for (int i = 0; i < NODES; i++)
        pair.net[i] = make((uint8_t)(i + 1), &pair.memory[i]);
    CHECK_EQ(ewi_net_listen(pair.net[1], &local, 4, 0, &pair.listener), 0);
    pass(3 * S);
    pair.arps = 0; /* they have announced themselves */
}

static void end(void)
{
    for (int i = 0; i < NODES; i++)
        free(pair.memory[i]);
}

static void open_connection(void)
{
    struct stack_addr remote = address(2, PORT);

    CHECK_EQ(ewi_net_connect(pair.net[0], NULL, &remote, 0, pair.now, &pair.client), 0);
    pass(100 * MS);
    CHECK_EQ(ewi_net_accept(pair.net[1], pair.listener, 0, &pair.server), 0);
}

static void say(int from, ewi_stream stream, const char *text)
{
    struct stack_span span = {(void *)(uintptr_t)text, strlen(text)};

    CHECK_EQ(ewi_net_send(pair.net[from], stream, &span, 1), (int64_t)strlen(text));
}

static struct net_tcp_info look_at_client(void)
{
    struct net_tcp_info info;

    CHECK_EQ(ewi_net_tcp_info(pair.net[0], pair.client, &info), 0);
    return info;
}

/* ---- a neighbour that was gone ---- */

/* The client has nothing in flight, and its neighbour is forgotten while the wire is cut. */
static void lose_the_neighbour(void)
{
    begin();
    open_connection();
    pass(120 * S);
    say(1, pair.server, "news");
    pass(200 * MS); /* acknowledged, by an entry that was stale: it is probed from now on */
    pair.is_cut = true;
    pass(20 * S);
    say(0, pair.client, "question");
    pass(5 * S); /* asked three times in vain */
    CHECK_EQ(look_at_client().unsent, 8);
    CHECK_EQ(look_at_client().soft_error, -EHOSTUNREACH);
}

static void rfc_9293_must_20_what_waited_for_a_neighbour_leaves_when_it_is_back(void)
{
    lose_the_neighbour();
    pair.is_cut = false;
    pass(10 * S);
    CHECK_EQ(look_at_client().bytes_acked, 8);
    CHECK_EQ(look_at_client().soft_error, 0);
    end();
}

static void rfc_9293_must_20_what_waits_for_one_who_never_comes_back_fails(void)
{
    lose_the_neighbour();
    for (int i = 0; i < 3600 && ewi_net_error(pair.net[0], pair.client) == 0; i++)
        pass(1 * S);
    CHECK_EQ(ewi_net_error(pair.net[0], pair.client), -EHOSTUNREACH);
    end();
}

/* RFC 1122 section 2.3.2.1: it goes on asking, but the longer it waits the more rarely. */
static void one_who_never_comes_back_is_asked_for_more_and_more_rarely(void)
{
    uint32_t first, all;

    lose_the_neighbour();
    first = pair.arps;
    pass(60 * S);
    first = pair.arps - first;
    CHECK(first >= 6 && first <= 30);
    pass(180 * S);
    all = pair.arps;
    pass(180 * S);
    CHECK(pair.arps - all >= 6 && pair.arps - all <= 20); /* three in a minute, and not three in four seconds */
    CHECK_EQ(ewi_net_error(pair.net[0], pair.client), 0);
    end();
}

/* ---- what TCP tells the link ---- */

static void rfc_4861_7_3_1_a_neighbour_that_tcp_hears_from_is_not_asked(void)
{
    uint32_t before;

    begin();
    open_connection();
    before = pair.arps;
    for (int i = 0; i < 300; i++) {
        say(0, pair.client, "x");
        say(1, pair.server, "y");
        pass(1 * S);
    }
    CHECK(pair.arps - before <= 2); /* one each may have begun before TCP had said anything */
    end();
}

/* ---- a SYN that waits for its turn ---- */

/* catches: the timer was due, the device had no room, and the answer came before the SYN left again. */
static void a_syn_is_not_sent_again_behind_its_answer(void)
{
    struct stack_addr remote = address(2, PORT);
    char got[8] = "";
    struct stack_room room = {got, sizeof(got)};

    begin();
    open_connection(); /* they know each other */
    CHECK_EQ(ewi_net_connect(pair.net[0], NULL, &remote, 0, pair.now, &pair.client), 0);
    carry(0);
    pair.now += 1100 * MS;
    ewi_net_tick(pair.net[0], pair.now);
    carry(1);
    pass(100 * MS);
    CHECK_EQ(look_at_client().state, NET_TCP_ESTABLISHED);
    CHECK_EQ(look_at_client().in_flight, 0);
    CHECK_EQ(ewi_net_accept(pair.net[1], pair.listener, 0, &pair.server), 0);
    say(0, pair.client, "question");
    pass(100 * MS);
    CHECK_EQ(ewi_net_recv_into(pair.net[1], pair.server, &room, 1), 8);
    CHECK(memcmp(got, "question", 8) == 0);
    end();
}

/* ---- keepalive ---- */

static void set(enum net_option option, uint64_t value)
{
    CHECK_EQ(ewi_net_set(pair.net[0], pair.client, option, value), 0);
}

/* Three requests for each probe, as for any packet, and none between; the probes that nobody could send count. */
static void keepalive_to_one_who_is_gone_asks_for_him_by_probes_only(void)
{
    uint32_t before;

    begin();
    open_connection();
    set(NET_OPTION_KEEPALIVE_NS, 60 * S);
    set(NET_OPTION_KEEPALIVE_INTERVAL_NS, 60 * S);
    set(NET_OPTION_KEEPALIVE_COUNT, 5);
    pair.is_cut = true;
    pass(100 * S); /* the first one is lost, then he is asked himself, and forgotten */
    before = pair.arps;
    pass(240 * S);
    CHECK_EQ(pair.arps - before, 4 * 3);
    CHECK_EQ(look_at_client().probes, 5);
    CHECK_EQ(ewi_net_error(pair.net[0], pair.client), 0);
    pass(60 * S);
    CHECK_EQ(ewi_net_error(pair.net[0], pair.client), -ETIMEDOUT);
    end();
}

static void ask_often(int i, ewi_stream stream)
{
    CHECK_EQ(ewi_net_set(pair.net[i], stream, NET_OPTION_KEEPALIVE_NS, 400 * MS), 0);
    CHECK_EQ(ewi_net_set(pair.net[i], stream, NET_OPTION_KEEPALIVE_INTERVAL_NS, 200 * MS), 0);
    CHECK_EQ(ewi_net_set(pair.net[i], stream, NET_OPTION_KEEPALIVE_COUNT, 2), 0);
}

/* Both hosts stand still, and each finds the other's question when its own is due.
 * catches: a probe that is taken for the answer, so that a peer that lives is given up */
static void keepalive_questions_that_cross_are_both_answered(void)
{
    begin();
    open_connection();
    ask_often(0, pair.client);
    ask_often(1, pair.server);
    for (int i = 0; i < 20; i++) {
        pair.now += 450 * MS;
        ewi_net_tick(pair.net[i % 2], pair.now);
        carry(i % 2);
        ewi_net_tick(pair.net[!(i % 2)], pair.now);
        settle();
        CHECK_EQ(look_at_client().since_heard, 0);
    }
    CHECK_EQ(ewi_net_error(pair.net[0], pair.client), 0);
    CHECK_EQ(ewi_net_error(pair.net[1], pair.server), 0);
    end();
}

/* ---- the longest times ---- */

static void open_with_the_longest_keepalive(void)
{
    begin();
    open_connection();
    set(NET_OPTION_KEEPALIVE_NS, 20 * DAY);
    set(NET_OPTION_KEEPALIVE_INTERVAL_NS, DAY / 12);
    set(NET_OPTION_KEEPALIVE_COUNT, 255);
    set(NET_OPTION_FIN_WAIT_NS, 20 * DAY);
}

/* catches: a deadline so far away that it looks like the past */
static void the_longest_keepalive_is_neither_early_nor_always_due(void)
{
    open_with_the_longest_keepalive();
    pass(20 * DAY - 10 * MS);
    CHECK(look_at_client().since_heard >= 20 * DAY - 10 * MS); /* an early probe is answered, too */
    pass(20 * MS);
    CHECK(look_at_client().since_heard <= 20 * MS);
    pass(20 * DAY);
    CHECK_EQ(ewi_net_error(pair.net[0], pair.client), 0);
    end();
}

/* catches: the time when the peer was heard last comes around, and it seems to be alive */
static void the_longest_keepalive_gives_up(void)
{
    struct stack_addr peer = address(2, 0);

    open_with_the_longest_keepalive();
    CHECK_EQ(ewi_net_neighbour_add(pair.net[0], 0, &peer, (const uint8_t[6]){2, 0, 0, 0, 0, 2}), 0);
    pair.is_cut = true;
    pass(27 * DAY);
    CHECK(look_at_client().probes > 80);
    CHECK(look_at_client().since_heard >= 26 * DAY);
    CHECK_EQ(ewi_net_error(pair.net[0], pair.client), 0);
    pass(20 * DAY + 256 * (DAY / 12) - 27 * DAY);
    CHECK_EQ(ewi_net_error(pair.net[0], pair.client), -ETIMEDOUT);
    end();
}

/* The stack is silent about it, so nobody else would end it. */
static void the_longest_fin_wait_ends(void)
{
    open_with_the_longest_keepalive();
    CHECK_EQ(ewi_net_finish(pair.net[0], pair.client, false, pair.now), 0);
    pass(20 * DAY - 2 * S);
    CHECK_EQ(ewi_net_ready(pair.net[1], pair.server) & STACK_FAILED, 0);
    say(1, pair.server, "late"); /* CLOSED by now: the answer is a RST */
    pass(10 * S);
    CHECK_EQ(ewi_net_error(pair.net[1], pair.server), -ECONNRESET);
    end();
}

/* ---- whom one can connect to ---- */

static int connect_to(struct stack_addr remote)
{
    ewi_stream stream;

    return ewi_net_connect(pair.net[0], NULL, &remote, 0, pair.now, &stream);
}

static void rfc_9293_must_46_nobody_connects_to_many(void)
{
    begin();
    CHECK_EQ(connect_to(address(255, PORT)), -EINVAL); /* everybody on 10.0.0.0/24 */
    CHECK_EQ(connect_to((struct stack_addr){.family = 4, .port = PORT, .ip = {255, 255, 255, 255}}),
             -EINVAL);
    CHECK_EQ(connect_to((struct stack_addr){.family = 4, .port = PORT, .ip = {224, 0, 0, 1}}), -EINVAL);
    CHECK_EQ(connect_to((struct stack_addr){.family = 4, .port = PORT}), -EINVAL);
    CHECK_EQ(connect_to((struct stack_addr){.family = 6, .port = PORT, .ip = {0xff, 2, [15] = 1}}),
             -EINVAL);
    CHECK_EQ(connect_to((struct stack_addr){.family = 6, .port = PORT}), -EINVAL);
    CHECK(connect_to(address(1, PORT)) < 0); /* ourselves, by a wire */
    pass(1 * S);
    CHECK_EQ(pair.arps, 0);
    end();
}

int main(void)
{
    RUN(rfc_9293_must_20_what_waited_for_a_neighbour_leaves_when_it_is_back);
    RUN(rfc_9293_must_20_what_waits_for_one_who_never_comes_back_fails);
    RUN(one_who_never_comes_back_is_asked_for_more_and_more_rarely);
    RUN(rfc_4861_7_3_1_a_neighbour_that_tcp_hears_from_is_not_asked);
    RUN(a_syn_is_not_sent_again_behind_its_answer);
    RUN(keepalive_to_one_who_is_gone_asks_for_him_by_probes_only);
    RUN(keepalive_questions_that_cross_are_both_answered);
    RUN(the_longest_keepalive_is_neither_early_nor_always_due);
    RUN(the_longest_keepalive_gives_up);
    RUN(the_longest_fin_wait_ends);
    RUN(rfc_9293_must_46_nobody_connects_to_many);
    return 0;
}
