/* transport/wire.h - what crosses a link besides records with a position.
 *
 * Purpose    The exact bytes of hello, welcome, refusal and of the control records, in one place;
 *            the same on a local socket and on a stream.
 * Shape      little-endian; every message is a record (shm/record.h) with a kind >= 16.
 *              HELLO, WELCOME  WIRE_HELLO_BYTES, fields at the offsets of enum wire_at;
 *                              WELCOME to a query has up to WIRE_FACTS_BYTES_MAX of text behind it
 *              REFUSE          u32 code (an ew_err, two's complement), u32 0, text
 *              START           u64 position of the first record of this direction
 *              ACK             u64 taken, u64 consumed, u64 limit
 *              PING, PONG      u64 token
 *              DRAIN           nothing: go elsewhere
 *              FINAL           u64 taken: the channel ended cleanly and this is how far it got
 *            Strings are padded with zeros and shorter than their field.
 * Owner      values; nothing is owned
 * Threads    pure functions
 * Trust      decoders get bytes from outside and judge all of them
 * Errors     EW_EPROTO   malformed; EW_EVERSION  from a version or with a required feature that we
 *            do not speak
 * Invariants I1  decode(encode(x)) == x.
 *            I2  fields that are not used are zero, and refused if they are not.
 * Ordering   none
 * Source     docs/reference/wire.md; tests/c/test_wire.c has golden bytes
 */
#ifndef EWI_TRANSPORT_WIRE_H
#define EWI_TRANSPORT_WIRE_H

#include "shm/record.h"

enum {
    WIRE_MAGIC = 0x31485745, /* "EWH1" */
    WIRE_VERSION = 1,
    WIRE_HELLO_BYTES = 528,
    WIRE_FACTS_BYTES_MAX = 1024,
    WIRE_TEXT_BYTES_MAX = 240,
    WIRE_REFUSE_BYTES_MAX = 16 + WIRE_TEXT_BYTES_MAX,
    WIRE_MESSAGE_BYTES_MAX = WIRE_HELLO_BYTES + WIRE_FACTS_BYTES_MAX,
    WIRE_START_BYTES = 16,
    WIRE_ACK_BYTES = 32,
    WIRE_PING_BYTES = 16,
    WIRE_DRAIN_BYTES = 8,
    WIRE_FINAL_BYTES = 16,
    WIRE_CONTROL_BYTES_MAX = WIRE_ACK_BYTES,
    WIRE_NAMESPACE_BYTES = 64,
    WIRE_SERVICE_BYTES = 208,
    WIRE_PROTOCOL_BYTES = 64,
};

enum wire_at { /* offsets in HELLO and WELCOME */
    WIRE_AT_MAGIC = 8,
    WIRE_AT_VERSION = 12,
    WIRE_AT_VERSION_MIN = 14,
    WIRE_AT_FEATURES = 16,
    WIRE_AT_REQUIRED = 24,
    WIRE_AT_INTENT = 32,
    WIRE_AT_GENERATION = 40,
    WIRE_AT_CHANNEL = 48,
    WIRE_AT_INSTANCE = 64,
    WIRE_AT_SECRET = 80,
    WIRE_AT_NONCE = 96,
    WIRE_AT_MAC = 112,
    WIRE_AT_START = 128,
    WIRE_AT_TAKEN = 136,
    WIRE_AT_OUTBOX = 144,
    WIRE_AT_OFFSET = 152,
    WIRE_AT_PID = 156,
    WIRE_AT_MESSAGE_MAX = 160,
    WIRE_AT_LIMIT = 168,
    WIRE_AT_CHANNELS = 176,
    WIRE_AT_RESERVED = 184,
    WIRE_AT_NAMESPACE = 192,
    WIRE_AT_SERVICE = 256,
    WIRE_AT_PROTOCOL = 464,
};

enum wire_intent { WIRE_OPEN = 1, WIRE_RESUME = 2, WIRE_QUERY = 3 };

/* Features, a bit each; none yet. A required bit that the other side does not know ends the hello. */
#define WIRE_FEATURES_KNOWN UINT64_C(0)

struct hello {
    uint16_t version, version_min; /* the newest and the oldest that the sender speaks */
    uint64_t features, required;
    uint8_t intent;
    uint64_t generation;
    uint8_t channel[16], instance[16], secret[16], nonce[16], mac[16];
    uint64_t start;        /* position of the first record that the sender will send */
    uint64_t taken;        /* of the other direction */
    uint64_t outbox_bytes; /* of the descriptor sent along; 0 over a stream */
    uint32_t offset;       /* in that outbox's ring, of the record at start */
    uint32_t pid;          /* for show; the kernel's word counts */
    uint64_t message_bytes_max;
    uint64_t limit;        /* over a stream: position up to which the sender of this may be sent */
    uint64_t channels;     /* WELCOME: open at the listener */
    char namespace_name[WIRE_NAMESPACE_BYTES];
    char service[WIRE_SERVICE_BYTES];
    char protocol[WIRE_PROTOCOL_BYTES];
};

struct wire_ack {
    uint64_t taken, consumed, limit;
};

/* Encoders return how many bytes they wrote. */
uint32_t ewi_wire_put_hello(uint8_t out[WIRE_HELLO_BYTES], enum record_kind kind,
                            const struct hello *hello);
uint32_t ewi_wire_put_welcome_facts(uint8_t out[WIRE_MESSAGE_BYTES_MAX], const struct hello *hello,
                                    const char *facts);
uint32_t ewi_wire_put_refuse(uint8_t out[WIRE_REFUSE_BYTES_MAX], int code, const char *text);
uint32_t ewi_wire_put_ack(uint8_t out[WIRE_ACK_BYTES], const struct wire_ack *ack);
/* START, PING, PONG, FINAL. */
uint32_t ewi_wire_put_u64(uint8_t out[WIRE_PING_BYTES], enum record_kind kind, uint64_t value);
uint32_t ewi_wire_put_drain(uint8_t out[WIRE_DRAIN_BYTES]);

uint64_t ewi_wire_get_header(const uint8_t *bytes);
uint64_t ewi_wire_get_u64(const uint8_t *bytes);

/* Judge the header of what may come before the welcome: 0 or EW_EPROTO. */
int ewi_wire_check_greeting(struct record record);
/* Judge the header of a control record on a stream: exactly the length of its kind. */
int ewi_wire_check_control(struct record record);
/* bytes: the whole message, record header included. facts: WIRE_FACTS_BYTES_MAX + 1, or NULL. */
int ewi_wire_get_hello(const uint8_t *bytes, uint32_t length, enum record_kind kind,
                       struct hello *out, char *facts);
/* Returns the code that the peer gave (< 0 always); text: WIRE_TEXT_BYTES_MAX + 1, printable. */
int ewi_wire_get_refuse(const uint8_t *bytes, uint32_t length, char *text);
struct wire_ack ewi_wire_get_ack(const uint8_t *payload);

#endif
