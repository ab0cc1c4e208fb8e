"""A client of HTTP/2 that sends what no library would: frames and header blocks as bytes."""

import asyncio
import ssl
from urllib.parse import urlsplit

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x7
END_STREAM, END_HEADERS = 0x1, 0x4
# Of these each ends a stream, if its flags say so or always.
_ENDS = {RST_STREAM, GOAWAY}

Fields = list[tuple[bytes, bytes]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def block(fields: Fields) -> bytes:
    """Return a header block of literals (RFC 7541, 6.2.2), of any bytes."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    """Return a string without Huffman coding; the length is an integer with a prefix of 7 bits."""
    size, prefix = len(text), 127
    if size < prefix:
        return bytes((size,)) + text
    rest, digits = size - prefix, bytearray((prefix,))
    while rest >= 128:
        digits.append(rest % 128 + 128)
        rest //= 128
    return bytes((*digits, rest)) + text


async def exchange(address: str, tls: ssl.SSLContext, fields: Fields, body: bytes = b"") -> bool:
    """Send a request on a connection of its own; return whether it had a response.

    Without one the server has reset the stream or closed the connection.
    """
    tls.set_alpn_protocols(["h2"])
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
    head = frame(HEADERS, END_HEADERS | (0 if body else END_STREAM), 1, block(fields))
    sent = frame(DATA, END_STREAM, 1, body) if body else b""
    writer.write(PREFACE + frame(SETTINGS, 0, 0) + head + sent)
    has_response = False
    try:
        async with asyncio.timeout(5):
            while True:
                size, kind, flags = await _head(reader)
                await reader.readexactly(size)
                has_response = has_response or kind == HEADERS
                if kind in _ENDS or (kind in {HEADERS, DATA} and flags & END_STREAM):
                    break
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
        pass
    writer.close()
    return has_response


async def _head(reader: asyncio.StreamReader) -> tuple[int, int, int]:
    head = await reader.readexactly(9)
    return int.from_bytes(head[:3]), head[3], head[4]
