/* transport/siphash.h - SipHash-2-4: a keyed 64-bit hash of short inputs.
 *
 * Purpose    Hash names and tables so that nobody without the key can make collisions, and
 *            authenticate resumption; with a fixed key, a plain well-mixed hash.
 * Shape      key 16 bytes, input any bytes, output u64 (the paper's little-endian number).
 * Owner      values
 * Threads    any
 * Trust      input may be hostile; the key is not
 * Errors     none
 * Invariants I1  the same key and bytes give the same number on every machine.
 * Ordering   none
 * Source     Aumasson, Bernstein: "SipHash: a fast short-input PRF" (2012), section 2, appendix A
 */
#ifndef EWI_TRANSPORT_SIPHASH_H
#define EWI_TRANSPORT_SIPHASH_H

#include "shm/base.h"

uint64_t ewi_siphash(const uint8_t key[16], const void *data, size_t bytes);

#endif
