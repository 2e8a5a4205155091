/* A link through shared memory, from its socket to an open channel: what may come in between? */
#include <poll.h>
#include <sys/socket.h>

#include "tests/c/harness.h"
#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/local/open.h"
#include "transport/process.h"

static ew_context *context;

static ew_channel *create_channel(void)
{
    const struct channel_options options = {.outbox = REGION_SHARED,
                                            .opener = true,
                                            .service = "link",
                                            .protocol = "",
                                            .peer_address = "shm:nowhere"};
    ew_channel *channel;

    CHECK_EQ(ewi_channel_create(context, &options, &channel), EW_OK);
    return channel;
}

/* To a peer that is us; the peer's end of the socket. */
static int prepare(ew_channel *channel)
{
    const struct hello hello = {.outbox_bytes = channel->outbox_region.bytes};
    struct local_link_parts parts = {0};
    int ends[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_EQ(ewi_process_add_fd(ends[0]), EW_OK);
    CHECK_EQ(ewi_access_peer_of(ends[0], &parts.peer), EW_OK);
    CHECK_EQ(ewi_local_attach(context, &parts.peer, &hello, channel->outbox_region.fd, &parts.peers),
             EW_OK);
    parts.fd = ends[0];
    CHECK_EQ(ewi_local_link_prepare(channel, channel->link, &parts), EW_OK);
    return ends[1];
}

static bool has_hung_up(ew_channel *channel)
{
    bool hung_up;

    ewi_reactor_lock(context->reactor);
    hung_up = channel->link->local.hung_up;
    ewi_reactor_unlock(context->reactor);
    return hung_up;
}

/* catches: the reactor takes a link down that the channel has not got yet: a call through no table */
static void a_peer_that_dies_before_the_channel_is_open_is_gone_when_it_is(void)
{
    ew_channel *channel = create_channel();

    close(prepare(channel));
    while (!has_hung_up(channel))
        poll(NULL, 0, 1);
    CHECK_EQ(ewi_channel_link_state(channel), LINK_UP);
    ewi_reactor_lock(context->reactor);
    ewi_local_link_open(channel);
    ewi_channel_open(channel);
    ewi_reactor_unlock(context->reactor);
    CHECK_EQ(ewi_channel_link_state(channel), LINK_HUNG_UP);
    ew_channel_free(channel);
}

static int packets_in(int fd)
{
    char byte;
    int count = 0;

    while (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
        count++;
    return count;
}

/* catches: a peer that kicks as fast as it can, and is read until it stops */
static void a_flood_of_kicks_costs_a_bounded_number_of_calls_per_wake_up(void)
{
    enum { A_WAKE_UP = 64 }; /* DRAIN_MAX */
    ew_channel *channel = create_channel();
    int peer = prepare(channel), sent = 0;
    struct pollfd seen[2] = {{.revents = POLLIN}, {.fd = -1}};

    ewi_reactor_lock(context->reactor);
    ewi_local_link_open(channel);
    ewi_channel_open(channel);
    ewi_reactor_unlock(context->reactor);
    while (send(peer, "k", 1, MSG_DONTWAIT) == 1)
        sent++;
    CHECK(sent > 2 * A_WAKE_UP);
    channel->ops->seen(channel, seen, 2);
    CHECK_EQ(packets_in(channel->link->local.bell.fd), sent - A_WAKE_UP);
    CHECK_EQ(ewi_channel_link_state(channel), LINK_UP);
    close(peer);
    ew_channel_free(channel);
}

int main(void)
{
    alarm(60);
    CHECK_EQ(ew_context_open(NULL, &context), EW_OK);
    RUN(a_peer_that_dies_before_the_channel_is_open_is_gone_when_it_is);
    RUN(a_flood_of_kicks_costs_a_bounded_number_of_calls_per_wake_up);
    ew_context_close(context);
    return 0;
}
