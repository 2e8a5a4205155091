"""The MAC of RESUME and WELCOME, written down again from docs/reference/wire.md and the paper.

SipHash-2-4: Aumasson and Bernstein, "SipHash: a fast short-input PRF", section 2.
"""

import struct

from tests.crash.hostile import HELLO_BYTES, OFFSETS

WORD = (1 << 64) - 1
MAC = slice(OFFSETS["mac"][0], OFFSETS["mac"][0] + 16)
SECRET = slice(OFFSETS["secret"][0], OFFSETS["secret"][0] + 16)
NONCE = slice(OFFSETS["nonce"][0], OFFSETS["nonce"][0] + 16)
NO_NONCE = bytes(16)


def siphash(key: bytes, text: bytes) -> int:
    k0, k1 = struct.unpack("<QQ", key)
    v: list[int] = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D]
    v += [k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 255
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        for one, two, turn in ((0, 1, 13), (2, 3, 16)):
            v[one] = v[one] + v[two] & WORD
            v[two] = _turned(v[two], turn) ^ v[one]
        v[0] = _turned(v[0], 32)
        for one, two, turn in ((2, 1, 17), (0, 3, 21)):
            v[one] = v[one] + v[two] & WORD
            v[two] = _turned(v[two], turn) ^ v[one]
        v[2] = _turned(v[2], 32)


def _turned(word: int, by: int) -> int:
    return (word << by | word >> 64 - by) & WORD


def mac(message: bytes, secret: bytes, nonce: bytes = NO_NONCE) -> bytes:
    """Return the MAC of a HELLO, or of the WELCOME to a hello with this *nonce*."""
    text = message[: MAC.start] + bytes(16) + message[MAC.stop : HELLO_BYTES] + nonce
    keys = (bytes([secret[0] ^ half]) + secret[1:] for half in (1, 2))
    return b"".join(struct.pack("<Q", siphash(key, text)) for key in keys)


def signed(message: bytes, secret: bytes, nonce: bytes = NO_NONCE) -> bytes:
    return message[: MAC.start] + mac(message, secret, nonce) + message[MAC.stop :]
