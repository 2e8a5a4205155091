/* tests/sim/net_watch.h - somebody who sees every segment and knows what TCP may do.
 *
 * Purpose    Judge what the stacks send from outside, without looking into them.
 * Shape      watch_sent(frame)    as a stack gave it to its device, behind offloads
 *            watch_given(frame)   as a stack got it, whole
 * Owner      as tests/sim/net_seen.h
 * Threads    one
 * Trust      the stacks are under test: what they send has to be perfect
 * Errors     SIM_CHECK fails
 * Invariants I1  every header and checksum that is sent is right, and no packet is above the MTU.
 *            I2  the right edge of the window, the ACK number and TSval never go back.
 *            I3  nothing leaves beyond the edge that was given, but for one byte of a probe;
 *                nothing with a gap in front, behind the FIN, or longer than the peer's MSS.
 *            I4  what leaves is what the application gave, at its place in the stream.
 *            I5  what was negotiated is kept: timestamps in every segment but RST, scale, SACK.
 * Ordering   none
 * Source     RFC 9293 sections 3.4, 3.7.1, 3.8.6; RFC 7323 sections 2.2, 3.2; RFC 2018; RFC 6691
 */
#ifndef TESTS_SIM_NET_WATCH_H
#define TESTS_SIM_NET_WATCH_H

#include "tests/sim/net_seen.h"

/* ---- rules for what is sent ---- */

void watch_about(const struct watch_segment *s, const char *what);

#define WATCH_CHECK(segment, condition, what)                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            watch_about(segment, what);                                                            \
            harness_fail(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

/* A stack sends this IP packet. */
void watch_sent(const uint8_t *ip, uint32_t bytes, bool blank);
/* A stack is given this IP packet, as somebody sent it. */
void watch_given(const uint8_t *ip, uint32_t bytes, bool blank);

#endif
