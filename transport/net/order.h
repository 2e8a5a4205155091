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
#include <string.h>

/* One load or store and one swap: gcc 12 sees it in byte-wise loads, in stores it does not. */
static inline uint16_t ewi_net_swap_u16(uint16_t value)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap16(value) : value;
}

static inline uint32_t ewi_net_swap_u32(uint32_t value)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap32(value) : value;
}

static inline uint16_t ewi_net_get_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return ewi_net_swap_u16(value);
}

static inline uint32_t ewi_net_get_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return ewi_net_swap_u32(value);
}

static inline void ewi_net_put_u16(uint8_t *at, uint16_t value)
{
    value = ewi_net_swap_u16(value);
    memcpy(at, &value, sizeof(value));
}

static inline void ewi_net_put_u32(uint8_t *at, uint32_t value)
{
    value = ewi_net_swap_u32(value);
    memcpy(at, &value, sizeof(value));
}

#endif
