#include "transport/proof.h"

#include <string.h>

#include "transport/siphash.h"

enum { NONCE_BYTES = 16, MAC_BYTES = 16 };

static void compute(const uint8_t message[WIRE_HELLO_BYTES], const uint8_t secret[16],
                    const uint8_t nonce[NONCE_BYTES], uint8_t mac[MAC_BYTES])
{
    uint8_t text[WIRE_HELLO_BYTES + NONCE_BYTES];

    memcpy(text, message, WIRE_HELLO_BYTES);
    memset(text + WIRE_AT_MAC, 0, MAC_BYTES);
    memcpy(text + WIRE_HELLO_BYTES, nonce, NONCE_BYTES);
    for (uint8_t half = 0; half < 2; half++) {
        uint8_t key[16];
        uint64_t sum;

        memcpy(key, secret, sizeof(key));
        key[0] ^= (uint8_t)(half + 1); /* two keys, neither of them the secret */
        sum = ewi_siphash(key, text, sizeof(text));
        for (int byte = 0; byte < 8; byte++)
            mac[half * 8 + byte] = (uint8_t)(sum >> 8 * byte);
    }
}

void ewi_proof_put(uint8_t message[WIRE_HELLO_BYTES], const uint8_t secret[16],
                   const uint8_t nonce[16])
{
    compute(message, secret, nonce, message + WIRE_AT_MAC);
}

bool ewi_proof_holds(const uint8_t message[WIRE_HELLO_BYTES], const uint8_t secret[16],
                     const uint8_t nonce[16])
{
    uint8_t mac[MAC_BYTES], differs = 0;

    compute(message, secret, nonce, mac);
    for (int at = 0; at < MAC_BYTES; at++)
        differs |= mac[at] ^ message[WIRE_AT_MAC + at];
    return differs == 0;
}
