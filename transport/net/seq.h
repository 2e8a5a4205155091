/* transport/net/seq.h - TCP sequence numbers, on the wire and in memory.
 *
 * Purpose    Compare 32-bit numbers that wrap, and turn them into 64-bit positions that do not, so
 *            that everything behind the parser compares with < and nothing else.
 * Shape      sequence number: u32, as on the wire, modulo 2^32.
 *            position: u64 whose low half is the sequence number. The first is NET_SEQ_FIRST + ISN,
 *            so that a position half the space below it is still positive. It never wraps:
 *            2^63 bytes take 2900 years at 100 Gbyte/s.
 * Owner      values
 * Threads    any
 * Trust      a sequence number may be anything; a position made from it may be anywhere within
 *            2^31 of `near`, below and above: its user judges it.
 * Errors     none
 * Invariants I1  (u32)ewi_net_seq_unwrap(near, seq) == seq.
 *            I2  -2^31 <= ewi_net_seq_unwrap(near, seq) - near < 2^31.
 * Ordering   none
 * Source     RFC 9293 section 3.4 (comparison modulo 2^32)
 */
#ifndef EWI_TRANSPORT_NET_SEQ_H
#define EWI_TRANSPORT_NET_SEQ_H

#include <stdbool.h>
#include <stdint.h>

#define NET_SEQ_FIRST (UINT64_C(1) << 32) /* position of sequence number 0 before the first wrap */

/* The widest that a window may be: RFC 7323 section 2.3. */
#define NET_WINDOW_BYTES_MAX (UINT32_C(1) << 30)

/* Is a before b, at most half the space away? RFC 9293 section 3.4. */
static inline bool ewi_net_seq_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* The position of a sequence number that is nearest to `near`. */
static inline uint64_t ewi_net_seq_unwrap(uint64_t near, uint32_t seq)
{
    return near + (uint64_t)(int64_t)(int32_t)(seq - (uint32_t)near);
}

static inline uint32_t ewi_net_seq_wrap(uint64_t position)
{
    return (uint32_t)position;
}

#endif
