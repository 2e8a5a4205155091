/* tests/c/net_udp_base.h - endpoints and datagrams for the tests of UDP's input.
 *
 * Purpose    Open endpoints, let datagrams arrive, read them.
 * Shape      numbered bytes from the peer of net_ip_base.h
 * Owner      static memory of the test program
 * Threads    one
 * Trust      none: test code only
 * Errors     CHECK
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_NET_UDP_BASE_H
#define TESTS_C_NET_UDP_BASE_H

#include <errno.h>

#include "tests/c/net_ip_packets.h"

static struct made packet;

static inline struct stack_addr address(const uint8_t *ip, uint8_t family, uint16_t port)
{
    struct stack_addr addr = {.family = family, .port = port};

    if (ip != NULL)
        memcpy(addr.ip, ip, family == 4 ? 4 : 16);
    return addr;
}

static inline ewi_stream open_bound(const uint8_t *ip, uint8_t family, uint16_t port, uint64_t user)
{
    struct stack_addr local = address(ip, family, port);
    ewi_stream stream = 0;

    CHECK_EQ(ewi_net_udp_open(net, &local, NULL, user, 0, &stream), 0);
    CHECK(stream != 0 && (uint32_t)stream >> 30 == 2);
    return stream;
}

static inline ewi_stream open_connected(const uint8_t *ip, uint8_t family, uint16_t local_port,
                                 uint16_t port, uint64_t user)
{
    struct stack_addr local = address(NULL, family, local_port), remote = address(ip, family, port);
    ewi_stream stream = 0;

    CHECK_EQ(ewi_net_udp_open(net, &local, &remote, user, 0, &stream), 0);
    return stream;
}

/* A datagram of numbered bytes from the peer's `from` to our `to`. */
static inline void datagram(uint8_t family, uint16_t from, uint16_t to, uint32_t bytes)
{
    struct net_tuple tuple = base_tuple(family);

    tuple.remote_port = from;
    tuple.local_port = to;
    make_udp(&packet, &tuple, bytes);
    arrives_made(&packet, family);
}

static inline void expect_next(ewi_stream stream, uint32_t bytes)
{
    struct net_datagram got;

    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), 0);
    CHECK_EQ(got.bytes, bytes);
    for (uint32_t i = 0; i < bytes; i++)
        CHECK_EQ(got.data[i], (uint8_t)(i * 7 + i / 256));
    ewi_net_udp_release(net, &got);
    base_check();
}

static inline void expect_none(ewi_stream stream)
{
    struct net_datagram got;

    CHECK_EQ(ewi_net_udp_recv(net, stream, &got), -EAGAIN);
}

#endif
