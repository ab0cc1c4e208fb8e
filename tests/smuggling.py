"""Requests whose end two servers may see at different places (request smuggling), as bytes.

`PREFIX` is a request that an attacker hides behind the end of the first one. Its id is
`smuggled-000`, that of the first is `attack-000`; `Attack.numbered` gives both another number.
"""

from dataclasses import dataclass, replace

from tests.http2 import Fields

PATH = b"/api/v1/courses"
PREFIX = b"GET /api/v1/courses HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: smuggled-000\r\n\r\n"


@dataclass(frozen=True)
class Attack:
    """The bytes of an attack; `is_second` if the hidden request is a second one by RFC 9112."""

    data: bytes
    is_second: bool = False

    def numbered(self, number: int) -> bytes:
        """Return the bytes with the number in the ids."""
        return self.data.replace(b"-000", b"-%03d" % number)


def _request(
    *headers: bytes, body: bytes = b"", method: bytes = b"POST", line: bytes | None = None
) -> bytes:
    first = line or method + b" " + PATH + b" HTTP/1.1"
    block = (first, b"Host: localhost", b"X-Request-ID: attack-000", *headers)
    return b"\r\n".join((*block, b"", b"")) + body


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
# A body that ends at once if it is chunked, and else includes the hidden request.
BEHIND = END + PREFIX
# A body that is one chunk if it is chunked, and else ends before the hidden request.
INSIDE = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PREFIX), PREFIX)
LINE = INSIDE.partition(b"\r\n")[0] + b"\r\n"

OBSCURED = {
    "blank before the colon": b"Transfer-Encoding : chunked",
    "tab": b"Transfer-Encoding:\tchunked",
    "vertical tab": b"Transfer-Encoding:\x0bchunked",
    "null": b"Transfer-Encoding: chunked\x00",
    "leading blank": b" Transfer-Encoding: chunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded name": b"X: x\r\n Transfer-Encoding: chunked",
    "bare LF before": b"X: x\nTransfer-Encoding: chunked",
    "bare CR before": b"X: x\rTransfer-Encoding: chunked",
    "bare LF after": b"Transfer-Encoding: chunked\nX: x",
    "unknown": b"Transfer-Encoding: xchunked",
    "quoted": b'Transfer-Encoding: "chunked"',
    "upper case": b"TRANSFER-ENCODING: CHUNKED",
    "identity first": b"Transfer-Encoding: identity, chunked",
    "identity last": b"Transfer-Encoding: chunked, identity",
    "gzip": b"Transfer-Encoding: gzip, chunked",
    "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "another after": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "another before": b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "underscore": b"Transfer_Encoding: chunked",
    "trailing comma": b"Transfer-Encoding: chunked,",
    "parameter": b"Transfer-Encoding: chunked;x=1",
    "split name": b"Transfer-\r\nEncoding: chunked",
    "high byte": b"Transfer-Encoding: chunked\xa0",
}
LENGTHS = {
    "twice, different": (b"Content-Length: 0", b"Content-Length: %d"),
    "twice, the other way": (b"Content-Length: %d", b"Content-Length: 0"),
    "list": (b"Content-Length: 0, %d",),
    "plus": (b"Content-Length: +%d",),
    "minus": (b"Content-Length: -%d",),
    "zeros": (b"Content-Length: 000%d",),
    "hexadecimal": (b"Content-Length: 0x%x",),
    "blank before the colon": (b"Content-Length : %d",),
    "underscore": (b"Content_Length: %d",),
    "digits with a blank": (b"Content-Length: 0 %d",),
    "underscored digits": (b"Content-Length: 0_%d",),
    "arabic digits": ("Content-Length: \u0660".encode() + b"%d",),
    "empty": (b"Content-Length:", b"X-Length: %d"),
    "named by Connection": (b"Connection: keep-alive, Content-Length", b"Content-Length: %d"),
    "overflow": (b"Content-Length: 18446744073709551616", b"X-Length: %d"),
}
CHUNKS = {
    "extension": b"0;x=1\r\n\r\n",
    "extension with a bare LF": b"2;x\nab\r\n0\r\n\r\n",
    "extension with a bare CR": b"2;x\rab\r\n0\r\n\r\n",
    "quoted extension with a line": b'0;x="\r\n\r\n"\r\n\r\n',
    "long extension": b"0;" + b"x" * 5000 + b"\r\n\r\n",
    "bare LF": b"0\n\n",
    "hexadecimal": b"0x0\r\n\r\n",
    "plus": b"+0\r\n\r\n",
    "minus": b"-0\r\n\r\n",
    "underscore": b"0_0\r\n\r\n",
    "blank before": b" 0\r\n\r\n",
    "overflow": b"10000000000000000\r\n\r\n",
    "empty size": b"\r\n\r\n",
    "data longer than its size": b"1\r\nabc\r\n0\r\n\r\n",
    "data without a line end": b"2\r\nab0\r\n\r\n",
    "line end of two other bytes": b"2\r\nabXX0\r\n\r\n",
    "trailer": b"0\r\nContent-Length: 99\r\n\r\n",
    "trailer with a bare LF": b"0\r\nX: x\n\r\n",
    "many zeros": b"0000000000000000000000\r\n\r\n",
}

# By RFC 9112 the first request ends before the hidden one, which is a second one.
_SECOND = {"TE.CL, underscore", "length, underscore", "chunk, extension", "chunk, trailer"}
# nginx takes more than the API, sees a second request in these, and passes on both with a length.
SECOND_BY_NGINX = {
    *("TE.CL, split name", "chunk, extension with a bare LF", "chunk, long extension"),
    *("chunk, bare LF", "chunk, trailer with a bare LF", "chunk, many zeros"),
}


def _attacks() -> dict[str, Attack]:
    found = {
        "CL.TE": Attack(_request(_length(BEHIND), CHUNKED, body=BEHIND)),
        "TE.CL": Attack(_request(CHUNKED, _length(LINE), body=INSIDE)),
        "CL.0": Attack(_request(_length(PREFIX), body=PREFIX)),
        "0.CL of GET": Attack(_request(_length(PREFIX), body=PREFIX, method=b"GET")),
        "HEAD with a body": Attack(_request(_length(PREFIX), body=PREFIX, method=b"HEAD")),
        "Expect": Attack(_request(_length(PREFIX), b"Expect: 100-continue", body=PREFIX)),
        "Expect, obscured": Attack(
            _request(_length(PREFIX), b"Expect: y 100-continue", body=PREFIX)
        ),
        "Upgrade to h2c": Attack(
            _request(
                *(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
                *(b"HTTP2-Settings: AAMAAABk", _length(PREFIX)),
                body=PREFIX,
            )
        ),
        "Upgrade to a WebSocket": Attack(
            _request(
                *(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 99"),
                *(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", _length(PREFIX)),
                body=PREFIX,
                method=b"GET",
            )
        ),
        "chunked in HTTP/1.0": Attack(
            _request(CHUNKED, _length(BEHIND), body=BEHIND, line=b"POST " + PATH + b" HTTP/1.0")
        ),
        "pipelined": Attack(_request(method=b"GET") + PREFIX, is_second=True),
        "pipelined behind a body": Attack(
            _request(_length(b"{}"), body=b"{}") + PREFIX, is_second=True
        ),
        "absolute form": Attack(
            _request(line=b"GET http://localhost" + PATH + b" HTTP/1.1") + PREFIX, is_second=True
        ),
        "absolute form of another host": Attack(
            _request(line=b"GET http://evil.example" + PATH + b" HTTP/1.1") + PREFIX, is_second=True
        ),
        "line in the target": Attack(
            _request(line=b"GET " + PATH + b"?x=%0d%0a%0d%0a" + PREFIX[:30] + b" HTTP/1.1")
        ),
        "two versions": Attack(_request(line=b"GET " + PATH + b" HTTP/1.1 HTTP/1.1")),
        "huge headers": Attack(_request(b"X: " + b"x" * 7000, b"Y: " + b"y" * 7000, method=b"GET")),
        "larger headers": Attack(_request(b"X: " + b"x" * 70_000, method=b"GET")),
        "1,000 headers": Attack(_request(*[b"X: x"] * 1000, method=b"GET")),
        "head of bare LF": Attack(_request(_length(PREFIX)).replace(b"\r\n", b"\n") + PREFIX),
        "a line before": Attack(b"\r\n" + _request(method=b"GET")),
        "null in a value": Attack(_request(b"X: a\x00b", method=b"GET")),
        "empty name": Attack(_request(b": x", method=b"GET")),
        "two hosts": Attack(_request(b"Host: evil.example", method=b"GET")),
    }
    for name, header in OBSCURED.items():
        found[f"CL.TE, {name}"] = Attack(_request(_length(BEHIND), header, body=BEHIND))
        found[f"TE.CL, {name}"] = Attack(_request(header, _length(LINE), body=INSIDE))
        found[f"TE alone, {name}"] = Attack(_request(header, body=END))
    for name, headers in LENGTHS.items():
        given = [each % len(PREFIX) if b"%" in each else each for each in headers]
        found[f"length, {name}"] = Attack(_request(*given, body=PREFIX))
    for name, body in CHUNKS.items():
        found[f"chunk, {name}"] = Attack(_request(CHUNKED, body=body + PREFIX))
    return found | {name: replace(found[name], is_second=True) for name in _SECOND}


ATTACKS = _attacks()


def _fields(*others: tuple[bytes, bytes], **pseudo: bytes) -> Fields:
    first = {
        "method": b"POST",
        "scheme": b"https",
        "authority": b"localhost",
        "path": PATH,
    } | pseudo
    fields = [(f":{name}".encode(), value) for name, value in first.items()]
    return [*fields, (b"x-request-id", b"attack-000"), *others]


_LINE = b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + PREFIX
HTTP2_ATTACKS: dict[str, tuple[Fields, bytes]] = {
    "H2.CL": (_fields((b"content-length", b"0")), PREFIX),
    "H2.CL, too long": (_fields((b"content-length", b"999")), PREFIX),
    "H2.TE": (_fields((b"transfer-encoding", b"chunked")), BEHIND),
    "H2.TE, in a value": (_fields((b"x", b"x\r\ntransfer-encoding: chunked")), BEHIND),
    "H2.TE, in a name": (_fields((b"x: x\r\ntransfer-encoding", b"chunked")), BEHIND),
    "request in a value": (_fields((b"x", b"x\r\n\r\n" + PREFIX)), b""),
    "bare LF in a value": (_fields((b"x", b"x\n\n" + PREFIX)), b""),
    "request in a name": (_fields((b"x: x\r\n\r\n" + PREFIX, b"x")), b""),
    "request in the path": (_fields(path=PATH + _LINE, method=b"GET"), b""),
    "request in the method": (_fields(method=b"GET " + PATH + _LINE), b""),
    "request in the host": (_fields(authority=b"localhost\r\n\r\n" + PREFIX), b""),
    "request in the scheme": (_fields(scheme=b"https\r\n\r\n" + PREFIX), b""),
    "blank in the path": (_fields(path=PATH + b" HTTP/1.1", method=b"GET"), b""),
    "upper case": (_fields((b"Content-Length", b"0")), PREFIX),
    "colon in a name": (_fields((b"content-length:", b"0")), PREFIX),
    "hop-by-hop": (_fields((b"connection", b"content-length")), PREFIX),
    "upgrade": (_fields((b"connection", b"upgrade"), (b"upgrade", b"h2c")), PREFIX),
    "two hosts": (_fields((b"host", b"evil.example"), method=b"GET"), b""),
    "two paths": ([*_fields(method=b"GET"), (b":path", b"/nope")], b""),
    "unknown pseudo-header": ([(b":x", b"x"), *_fields(method=b"GET")], b""),
}
