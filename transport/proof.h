/* transport/proof.h - who resumes a channel proves that it knows the channel's secret.
 *
 * Purpose    A RESUME, and the WELCOME to it, carry a MAC over everything that they say, so that
 *            nobody takes a channel over by its id, which is no secret.
 * Shape      128 bits: SipHash-2-4 twice, with two keys made from the secret, over the message with
 *            its MAC field zero, and the nonce of the other side's message
 * Owner      values
 * Threads    pure functions
 * Trust      the message was judged by transport/wire.h; the comparison takes the same time whatever
 *            the bytes are
 * Errors     false: not the same secret, or not what was sent
 * Invariants I1  no byte of the message can change unnoticed. A recorded RESUME is of no use: its
 *                generation is not higher any more.
 * Ordering   none
 * Source     design, section 5; docs/reference/wire.md
 */
#ifndef EWI_TRANSPORT_PROOF_H
#define EWI_TRANSPORT_PROOF_H

#include "transport/wire.h"

/* Fill in the MAC of an encoded HELLO or WELCOME. nonce: of the hello that is answered; for a HELLO
 * zeros. */
void ewi_proof_put(uint8_t message[WIRE_HELLO_BYTES], const uint8_t secret[16],
                   const uint8_t nonce[16]);
bool ewi_proof_holds(const uint8_t message[WIRE_HELLO_BYTES], const uint8_t secret[16],
                     const uint8_t nonce[16]);

#endif
