"""The load tests' HTTP client parses the bytes of a server."""

import pytest
from httptools import HttpParserError

from loadtests.load.connection import Response

JSON = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "x"\r\n\r\n{}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("sent", [JSON, CHUNKED])
def test_a_response_is_complete_in_any_chunks_and_the_connection_stays_open(sent, size):
    response = Response()
    for start in range(0, len(sent), size):
        assert not response.complete
        response.feed(sent[start : start + size])
    assert (response.complete, response.lasts) == (True, True)
    assert (response.status, response.body) == (200, b"{}")


def test_headers_are_found_by_their_lower_case_names():
    response = Response()
    response.feed(JSON)
    assert (response.header("etag"), response.header("vary")) == ('"x"', None)


def test_a_response_without_a_body_ends_with_its_head():
    response = Response()
    response.feed(b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n')
    assert (response.complete, response.lasts, response.status) == (True, True, 304)


def test_connection_close_is_respected():
    response = Response()
    response.feed(JSON.replace(b"ETag", b"Connection: close\r\nETag"))
    assert (response.complete, response.lasts) == (True, False)


def test_malformed_http_is_refused():
    with pytest.raises(HttpParserError):
        Response().feed(b"SSH-2.0\r\n")
