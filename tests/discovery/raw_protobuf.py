"""Bytes that look like protobuf, with any fields: what strangers may send as a message."""

import struct

from hypothesis import strategies as st


def varint(number: int) -> bytes:
    """Return *number*, not negative, as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def embedded(number: int, content: bytes) -> bytes:
    """Return a field that holds bytes, a text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def counted(number: int, value: int) -> bytes:
    """Return a field that holds a number."""
    return varint(number << 3) + varint(value)


numbers = st.integers(1, 12)
numeric = st.builds(counted, numbers, st.integers(0, 2**64 - 1) | st.integers(0, 3))
fixed = st.builds(
    lambda n, v: varint(n << 3 | 1) + struct.pack("<Q", v), numbers, st.integers(0, 9)
)
texts = st.binary(max_size=12) | st.sampled_from(
    [b"default", b"pricing", b"a", b"\xff", b"8bytes!!"]
)


def _fields(content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    one = numeric | fixed | st.builds(embedded, numbers, content)
    return st.lists(one, max_size=6).map(b"".join)


messages = st.recursive(texts, _fields, max_leaves=12)
