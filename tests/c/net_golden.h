/* tests/c/net_golden.h - the golden frames of net_golden4.h and net_golden6.h as one list. */
#ifndef TESTS_C_NET_GOLDEN_H
#define TESTS_C_NET_GOLDEN_H

#include "tests/c/net_golden4.h"
#include "tests/c/net_golden6.h"

struct golden {
    const char *name;
    const uint8_t *bytes;
    size_t length;
};

#define GOLDEN(name)                                                                               \
    {                                                                                              \
        #name, golden_##name, sizeof(golden_##name)                                                \
    }

static const struct golden golden_frames[] = {
    GOLDEN(arp_request),
    GOLDEN(arp_reply_tagged),
    GOLDEN(tcp_syn_linux),
    GOLDEN(tcp_syn_plain),
    GOLDEN(tcp_sack),
    GOLDEN(tcp_ack),
    GOLDEN(tcp_reset),
    GOLDEN(udp4),
    GOLDEN(udp4_unsummed),
    GOLDEN(udp4_all_ones),
    GOLDEN(ip4_options),
    GOLDEN(ip4_fragment),
    GOLDEN(icmp4_echo),
    GOLDEN(icmp4_too_big),
    GOLDEN(tcp6_syn),
    GOLDEN(udp6),
    GOLDEN(ip6_extensions),
    GOLDEN(ip6_fragment),
    GOLDEN(icmp6_echo_reply),
    GOLDEN(icmp6_too_big),
    GOLDEN(ndp_rs),
    GOLDEN(ndp_ra),
    GOLDEN(ndp_ns),
    GOLDEN(ndp_ns_probe),
    GOLDEN(ndp_na),
    GOLDEN(ndp_redirect),
};

enum { GOLDEN_FRAMES = sizeof(golden_frames) / sizeof(golden_frames[0]) };

#endif
