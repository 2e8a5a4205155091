/* transport/net/order.h - numbers as they lie in packets: big-endian, at any alignment.
 *
 * Purpose    One pair of functions for each width, instead of ntohs and a cast of the pointer.
 * Shape      u16, u32 at an address of uint8_t
 * Owner      none
 * Threads    any
 * Trust      the caller has judged that the bytes are there
 * Errors     none
 * Invariants I1  get(put(x)) == x.
 * Ordering   none
 * Source     RFC 791 appendix B
 */
#ifndef EWI_TRANSPORT_NET_ORDER_H
#define EWI_TRANSPORT_NET_ORDER_H

#include <stdint.h>

static inline uint16_t ewi_net_get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t ewi_net_get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void ewi_net_put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void ewi_net_put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

#endif
