/* transport/net/sum.h - the Internet checksum, in pieces that can be joined.
 *
 * Purpose    Each byte is looked at once: the payload is summed while it is copied into a frame,
 *            headers and pseudo-headers are added to that.
 * Shape      a partial sum is a u32 in 0 .. 0xffff: the ones' complement sum of a span read as
 *            big-endian 16-bit words, an odd last byte padded with zero. A checksum is a u16 in
 *            host order, as header fields hold it.
 *              addresses   partial sum of both addresses: constant for a connection
 *              pseudo      addresses + protocol + length: RFC 9293 section 3.1, RFC 8200 section 8.1
 * Owner      none
 * Threads    any
 * Trust      the bytes may be hostile: any contents, any alignment, any length < 2^32
 * Errors     none; a wrong checksum is a false
 * Invariants I1  a partial sum is 0 only if all bytes of the span are 0.
 *            I2  join(sum(a), sum(b), length of a) == sum(a followed by b), at odd lengths too.
 *            I3  copy_sum(to, from, n) == sum(from, n).
 * Ordering   none
 * Source     RFC 1071
 */
#ifndef EWI_TRANSPORT_NET_SUM_H
#define EWI_TRANSPORT_NET_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the place of a partial sum: the device has judged the checksum (parse) or will fill it in
 * (build: the pseudo-header's sum is stored where the checksum goes). */
#define NET_SUM_BY_DEVICE UINT32_MAX

uint32_t ewi_net_sum(const void *bytes, size_t length);

/* The two must not overlap. */
uint32_t ewi_net_copy_sum(void *to, const void *from, size_t bytes);

static inline uint32_t ewi_net_sum_fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

static inline uint32_t ewi_net_sum_add(uint32_t sum, uint32_t other)
{
    sum += other;
    return (sum & 0xffff) + (sum >> 16);
}

/* Add the sum of a span that begins `offset` bytes into the whole: RFC 1071 section 2 (B). */
static inline uint32_t ewi_net_sum_join(uint32_t sum, uint32_t next, size_t offset)
{
    if ((offset & 1) != 0)
        next = (next & 0xff) << 8 | next >> 8;
    return ewi_net_sum_add(sum, next);
}

static inline uint32_t ewi_net_sum_ip4(uint32_t source, uint32_t destination)
{
    return ewi_net_sum_fold((uint64_t)source + destination);
}

static inline uint32_t ewi_net_sum_ip6(const uint8_t source[16], const uint8_t destination[16])
{
    return ewi_net_sum_add(ewi_net_sum(source, 16), ewi_net_sum(destination, 16));
}

/* length: of the transport header and its payload. */
static inline uint32_t ewi_net_sum_pseudo(uint32_t addresses, uint8_t protocol, uint32_t length)
{
    return ewi_net_sum_fold((uint64_t)addresses + protocol + length);
}

static inline uint16_t ewi_net_sum_finish(uint32_t sum)
{
    return (uint16_t)~sum;
}

/* RFC 768: a checksum that comes out as 0 is sent as 0xffff, because 0 says that there is none. */
static inline uint16_t ewi_net_sum_finish_udp(uint32_t sum)
{
    return sum == 0xffff ? 0xffff : (uint16_t)~sum;
}

/* The sum of everything the checksum covers, itself included. */
static inline bool ewi_net_sum_is_good(uint32_t sum)
{
    return sum == 0xffff;
}

#endif
