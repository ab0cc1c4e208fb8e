"""Rules for every endpoint: error envelope, request id, methods, size limits."""

import asyncio
import json
import re
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from tests.factories import ADMIN, NIL_ID, NO_ID, eventually, refused, refused_for, scrape

JSON_CALLS = [
    ("POST", "/auth/login"),
    ("POST", "/courses"),
    ("PUT", f"/courses/{NO_ID}"),
    ("POST", "/enrollments"),
]
FORM_CALLS = [("POST", "/courses/upload"), ("PUT", f"/courses/{NO_ID}/image")]
ID_CALLS = [
    ("GET", "/courses/{}", "Course ID"),
    ("PUT", "/courses/{}", "Course ID"),
    ("DELETE", "/courses/{}", "Course ID"),
    ("PUT", "/courses/{}/image", "Course ID"),
    ("GET", "/courses/{}/students", "Course ID"),
    ("DELETE", "/courses/{}/students/a@example.org", "Course ID"),
    ("DELETE", "/admin/enrollments/{}", "Enrollment ID"),
    ("GET", "/tasks/{}", "Task ID"),
]
READABLE = ["/api/v1/courses", "/api/v1/courses?page=1", "/health", "/health/live"]
MEGABYTE = 1024 * 1024


async def raw_answer(service, *lines: bytes) -> tuple[bytes, dict[str, str], dict]:
    """Send bytes that no HTTP client would send; return status line, headers and body."""
    address = urlsplit(service.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"\r\n".join([*lines, b"Host: x", b"Connection: close", b"", b""]))
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *headers = head.decode().split("\r\n")
    named = dict(line.lower().split(": ", 1) for line in headers)
    return status, named, json.loads(body or b"{}")


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/nope", "/api/v2/courses", "/%00", "/é"])
async def test_an_unknown_path_is_404(client, path):
    response = await client.get(path)
    shown = response.request.url.raw_path.decode()
    refused(response, 404, "NOT_FOUND", f"There is nothing at {shown}")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/v1/courses", {"GET", "POST"}),
        ("DELETE", "/api/v1/courses", {"GET", "POST"}),
        ("POST", f"/api/v1/courses/{NO_ID}", {"GET", "PUT", "PATCH", "DELETE"}),
        ("GET", "/api/v1/auth/login", {"POST"}),
        ("GET", "/api/v1/enrollments", {"POST"}),
        ("POST", "/health", {"GET"}),
        ("BREW", "/api/v1/admin/students", {"GET"}),
    ],
)
async def test_an_unsupported_method_is_405_with_allow(client, method, path, allowed):
    response = await client.request(method, path)
    message = f"{method} is not possible at {path}"
    refused(response, 405, "METHOD_NOT_ALLOWED", message)
    named = {name.strip() for name in response.headers["allow"].split(",")}
    assert named - {"HEAD", "OPTIONS"} == allowed


@pytest.mark.parametrize("path", READABLE)
async def test_head_has_the_headers_of_get_and_no_body(client, path):
    response, whole = await client.head(path), await client.get(path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == whole.headers["content-type"]


async def test_head_of_an_unknown_course_is_404(client):
    response = await client.head(f"/api/v1/courses/{NO_ID}")
    assert (response.status_code, response.content) == (404, b"")


@pytest.mark.parametrize("given", ["abc-123.X_y", "a", "x" * 128, NO_ID])
async def test_a_valid_request_id_is_returned(client, given):
    response = await client.get("/health/live", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", 'a"b', "a\tb", "né"])
async def test_an_invalid_request_id_is_replaced(client, given):
    header = (b"X-Request-ID", given.encode())
    response = await client.get("/health/live", headers=[header])
    assert UUID(response.headers["x-request-id"]).version == 7


async def test_generated_request_ids_differ(client):
    responses = [await client.get("/health/live") for _ in range(3)]
    assert len({response.headers["x-request-id"] for response in responses}) == 3


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        (200, "GET", "/api/v1/courses"),
        (200, "GET", "/swagger/index.html"),
        (200, "GET", "/swagger/swagger-ui.css"),
        (400, "POST", "/api/v1/enrollments"),
        (401, "GET", "/api/v1/admin/students"),
        (404, "GET", "/nope"),
        (405, "PATCH", "/api/v1/courses"),
    ],
)
async def test_every_response_has_a_request_id(client, status, method, path):
    response = await client.request(method, path, headers={"X-Request-ID": "mine"})
    assert (response.status_code, response.headers["x-request-id"]) == (status, "mine")


@pytest.mark.parametrize(("method", "path"), JSON_CALLS)
@pytest.mark.parametrize("body", [b"", b"{", b"{'title': 1}", b'{"a": NaN}', b'{"a": "\xff"}'])
async def test_a_body_that_is_not_json_is_400(api, method, path, body):
    response = await api.call(method, path, content=body)
    message = response.json()["message"]
    assert message.startswith("The request body is not valid JSON: ")
    refused(response, 400, "MALFORMED_JSON", message, "body")


@pytest.mark.parametrize(("method", "path"), JSON_CALLS)
@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"5"])
async def test_a_body_that_is_not_an_object_is_400(api, method, path, body):
    response = await api.call(method, path, content=body)
    message = "The request body must be a JSON object"
    refused(response, 400, "MALFORMED_JSON", message, "body")


@pytest.mark.parametrize(("method", "path"), FORM_CALLS)
@pytest.mark.parametrize("request_", [{"json": ADMIN}, {"data": ADMIN}, {"content": b""}])
async def test_a_body_that_is_not_a_form_is_400(api, method, path, request_):
    response = await api.call(method, path, **request_)
    message = "The request body must be multipart/form-data"
    refused(response, 400, "INVALID_FORMAT", message, "body")


@pytest.mark.parametrize(("method", "path", "label"), ID_CALLS)
@pytest.mark.parametrize("bad", ["1", "not-a-uuid", NO_ID[:-1], f"{NO_ID}0", "%27%20OR%201=1"])
async def test_a_bad_id_in_the_path_is_400(api, method, path, label, bad):
    response = await api.call(method, path.format(bad))
    field = label.lower().replace(" ", "_")
    refused_for(response, (field, "INVALID_FORMAT", f"{label} must be a valid UUID"))


@pytest.mark.parametrize(("method", "path", "label"), ID_CALLS)
async def test_the_nil_id_counts_as_missing(api, method, path, label):
    response = await api.call(method, path.format(NIL_ID))
    field = label.lower().replace(" ", "_")
    refused_for(response, (field, "REQUIRED", f"{label} is required"))


@pytest.mark.parametrize("megabytes", [7, 20])
@pytest.mark.parametrize(("method", "path"), FORM_CALLS)
async def test_a_body_over_the_servers_limit_is_413(api, method, path, megabytes):
    response = await api.call(method, path, content=bytes(megabytes * MEGABYTE))
    message = "An image may have at most 5242880 bytes"
    refused(response, 413, "PAYLOAD_TOO_LARGE", message, field="image")


async def test_a_content_length_over_the_limit_is_413_before_the_body(service, api):
    authorization = f"Authorization: {api.headers['Authorization']}".encode()
    head = b"POST /api/v1/courses/upload HTTP/1.1"
    lines = [head, authorization, b"Content-Length: 7340032"]
    status, headers, content = await raw_answer(service, *lines)
    assert status.split()[1] == "413"
    assert content == {
        "error": "Payload too large",
        "message": "An image may have at most 5242880 bytes",
        "details": {"code": "PAYLOAD_TOO_LARGE", "field": "image"},
    }
    assert UUID(headers["x-request-id"]).version == 7


@pytest.mark.parametrize(("method", "path"), JSON_CALLS)
async def test_a_json_body_over_its_limit_is_413(api, method, path):
    response = await api.call(method, path, content=b" " * MEGABYTE + b"{}")
    refused(response, 413, "PAYLOAD_TOO_LARGE", "The request body may have at most 1048576 bytes")


@pytest.mark.parametrize(
    "lines",
    [
        [b"GARBAGE"],
        [b"GET / HTTP/9.9"],
        [b"GET /api/v1/courses?search=\xff HTTP/1.1"],
        [b"POST /api/v1/auth/login HTTP/1.1", b"Content-Length: abc"],
    ],
    ids=str,
)
async def test_malformed_http_gets_the_error_envelope(service, lines):
    status, headers, content = await raw_answer(service, *lines)
    assert status == "HTTP/1.1 400 Bad Request"
    assert content == {
        "error": "Validation failed",
        "message": "The request is malformed",
        "details": {"code": "INVALID_FORMAT"},
    }
    assert UUID(headers["x-request-id"]).version == 7


async def test_responses_have_security_headers(client):
    for path in ("/api/v1/courses", "/nope"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("sent", "labels"),
    [
        (b"GET /api/v1/cou", 'method="NONE",route="unknown"'),
        (
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
            'method="POST",route="/api/v1/auth/login"',
        ),
    ],
)
async def test_a_client_disconnect_is_counted_as_499_and_not_as_500(service, client, sent, labels):
    async def counted(status):
        text = await scrape(client)
        line = rf"^http_request_duration_seconds_count{{{labels},status=\"{status}\"}} (\S+)$"
        return sum(map(float, re.findall(line, text, re.MULTILINE)))

    before = await counted(499), await counted(500)
    address = urlsplit(service.base_url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    await asyncio.sleep(0.1)
    writer.close()

    async def noticed():
        return await counted(499) == before[0] + 1

    await eventually(noticed)
    assert await counted(500) == before[1]
