"""CORS, security headers of all responses, and information that responses must not have."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from api.endpoint.operation import FORM, OPERATIONS, Access
from tests import photos
from tests.factories import ADMIN, COURSE, NO_ID
from tests.security.conftest import FRONT_END, OTHER_FRONT_END

ALLOWED = "access-control-allow-origin"
PATHS = [
    ("GET", "/api/v1/courses", 200),
    ("GET", f"/api/v1/courses/{NO_ID}", 404),
    ("GET", "/api/v1/admin/students", 401),
    ("POST", "/api/v1/enrollments", 401),
    ("PATCH", "/api/v1/courses", 405),
    ("GET", "/nope", 404),
    ("GET", "/health/live", 200),
    ("GET", "/swagger/index.html", 200),
    ("GET", "/swagger/swagger-ui.css", 200),
    ("GET", "/openapi.json", 200),
]
NOT_OURS = [
    "https://app.example.org.evil.example",
    "https://evil-app.example.org",
    "https://appXexample.org",
    "https://sub.app.example.org",
    "https://app.example.org:8443",
    "http://app.example.org",
    "https://APP.example.org",
    "https://app.example.org/",
    "https://app.example.org, https://evil.example",
    f"{FRONT_END},{OTHER_FRONT_END}",
    "https://app.example.or",
    "null",
    "*",
    "",
    "file://",
]
NOT_LOOPBACK = [
    "http://localhost.evil.example",
    "http://localhost:3000.evil.example",
    "http://evil.example#localhost",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.12",
    "http://127x0x0x1",
    "http://[::11]",
    "http://[::1]:",
    "http://localhost:3000/",
    "http://user@localhost",
    "http://LOCALHOST",
    "ftp://localhost",
    "localhost",
    "null",
]
TAKEN = (
    "Authorization Content-Type Idempotency-Key If-Match If-None-Match If-Modified-Since "
    "Last-Event-ID X-Request-ID X-Requested-With Cache-Control Pragma traceparent tracestate "
    "baggage sentry-trace"
)


@pytest.mark.parametrize("origin", [FRONT_END, OTHER_FRONT_END])
@pytest.mark.parametrize(("method", "path", "status"), PATHS)
async def test_a_listed_origin_may_read_every_response(production, method, path, status, origin):
    response = await production.client.request(method, path, headers={"Origin": origin})
    assert (response.status_code, response.headers[ALLOWED]) == (status, origin)
    assert "X-Request-ID" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("origin", NOT_OURS)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_another_origin_may_read_nothing(production, method, origin):
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    response = await production.client.request(method, "/api/v1/courses", headers=asked)
    assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_two_origins_at_once_may_read_nothing(production):
    asked = [("Origin", FRONT_END), ("Origin", "https://evil.example")]
    response = await production.client.get("/api/v1/courses", headers=asked)
    assert ALLOWED not in response.headers


@pytest.mark.parametrize("headers", [{}, {"Origin": FRONT_END}, {"Origin": "https://evil.example"}])
@pytest.mark.parametrize(("method", "path", "status"), PATHS)
async def test_every_response_varies_by_origin(production, method, path, status, headers):
    response = await production.client.request(method, path, headers=headers)
    assert response.status_code == status
    assert "Origin" in [name.strip() for name in response.headers["vary"].split(",")]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/v1/enrollments", "POST"),
        (f"/api/v1/courses/{NO_ID}", "PUT"),
        (f"/api/v1/courses/{NO_ID}", "DELETE"),
    ],
)
async def test_a_preflight_is_answered(production, path, method):
    asked = {
        "Origin": FRONT_END,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, idempotency-key",
    }
    response = await production.client.options(path, headers=asked)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers[ALLOWED] == FRONT_END
    assert method in response.headers["access-control-allow-methods"].split(",")
    taken = response.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "idempotency-key"} <= set(taken.split(", "))
    assert int(response.headers["access-control-max-age"]) > 0
    assert "Access-Control-Request-Method" in response.headers["vary"]


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("origin", [FRONT_END, *NOT_LOOPBACK])
async def test_without_listed_origins_no_other_site_may_read(client, origin, method):
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    response = await client.request(method, "/api/v1/courses", headers=asked)
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("port", ["", ":80", ":3000", ":5173", ":65535"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_in_development_loopback_origins_are_allowed(client, scheme, host, port):
    origin = f"{scheme}://{host}{port}"
    response = await client.get("/api/v1/courses", headers={"Origin": origin})
    assert (response.status_code, response.headers[ALLOWED]) == (200, origin)
    assert "Origin" in response.headers["vary"].split(", ")
    exposed = set(response.headers["access-control-expose-headers"].split(", "))
    assert exposed >= {"ETag", "Link", "X-Total-Count", "Location", "Retry-After", "X-Request-ID"}
    assert exposed >= {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    preflight = await client.options(f"/api/v1/courses/{NO_ID}", headers=asked)
    assert (preflight.status_code, preflight.headers[ALLOWED]) == (204, origin)
    taken = set(preflight.headers["access-control-allow-headers"].split(", "))
    assert taken == set(TAKEN.split())


@pytest.mark.parametrize("host", ["localhost:3001", "127.0.0.1", "[::1]:5173"])
async def test_in_production_loopback_origins_are_refused(production, host):
    response = await production.client.get("/health/live", headers={"Origin": f"http://{host}"})
    assert ALLOWED not in response.headers


BODIES = [
    ("POST", "/api/v1/auth/login", ADMIN),
    ("POST", "/api/v1/auth/refresh", {"refresh_token": "x"}),
    ("POST", "/api/v1/enrollments", {"student_email": "a@example.org", "course_id": NO_ID}),
    ("POST", "/api/v1/courses", COURSE),
    ("PUT", f"/api/v1/courses/{NO_ID}", COURSE),
]
# Media types that a page sends without a preflight, and types that no operation accepts.
SIMPLE = [
    "text/plain",
    "text/plain;charset=UTF-8",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain; application/json",
    "application/json, text/plain",
    "application/jsonp",
    "",
    None,
]
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


def typed(media_type):
    return {} if media_type is None else {"Content-Type": media_type}


@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
@pytest.mark.parametrize("media_type", SIMPLE)
async def test_a_cross_site_page_cannot_send_json_as_another_type(api, client, foreign, media_type):
    for method, path, content in BODIES:
        headers = api.headers | foreign | typed(media_type)
        body = json.dumps(content).encode()
        response = await client.request(method, path, content=body, headers=headers)
        assert response.status_code == 415, (method, path, response.text)
        assert response.json()["details"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
        assert response.json()["message"].endswith("application/json")


@pytest.mark.parametrize("foreign", [*FOREIGN, {"Sec-Fetch-Site": "same-origin"}], ids=str)
@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8"])
async def test_a_cross_site_page_can_send_json(api, client, foreign, media_type):
    for method, path, content in BODIES:
        headers = api.headers | foreign | typed(media_type)
        body = json.dumps(content).encode()
        response = await client.request(method, path, content=body, headers=headers)
        assert response.status_code in {200, 201, 400, 401, 404}, (method, path, response.text)


@pytest.mark.parametrize("own", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
@pytest.mark.parametrize("media_type", SIMPLE)
async def test_same_site_and_non_browser_requests_need_no_media_type(client, own, media_type):
    body = json.dumps(ADMIN).encode()
    headers = own | typed(media_type)
    response = await client.post("/api/v1/auth/login", content=body, headers=headers)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
async def test_a_cross_site_page_can_send_a_form(api, client, foreign):
    path = "/api/v1/courses/upload"
    files = {"image": ("a.jpg", photos.jpeg(10, 10))}
    headers = api.headers | foreign
    response = await client.post(path, data=COURSE, files=files, headers=headers)
    assert response.status_code == 201
    response = await client.post(path, content=b"{}", headers=headers | typed("text/plain"))
    assert response.status_code == 415


async def test_every_operation_with_a_body_checks_the_media_type(app):
    with_body = [one for one in OPERATIONS if one.body or one.form]
    assert len(with_body) >= 7
    assert [one.name for one in with_body if not one.media_types] == []
    simple = {"text/plain", "application/x-www-form-urlencoded"}
    assert not any(simple & set(one.media_types) for one in OPERATIONS)
    # A page can send a form without a preflight, but without a token.
    assert {one.access for one in with_body if FORM in one.media_types} == {Access.ADMIN}


@pytest.mark.parametrize(("method", "path", "status"), PATHS)
async def test_every_response_of_production_has_security_headers(production, method, path, status):
    response = await production.client.request(method, path)
    headers = response.headers
    assert response.status_code == status
    assert headers["strict-transport-security"].startswith("max-age=31536000")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "default-src 'none'" in policy or path.startswith("/swagger/")
    assert "unsafe-eval" not in policy
    script = [part for part in policy.split(";") if part.strip().startswith("script-src")]
    assert not script
    kept = {"cache-control", "etag", "last-modified"} & set(headers)
    assert kept


@pytest.mark.parametrize("path", ["/api/v1/students/a@example.org/enrollments", "/api/v1/nope"])
async def test_responses_with_personal_data_are_not_cached(client, path):
    assert (await client.get(path)).headers["cache-control"] == "no-store"


async def test_development_over_plain_http_sends_no_hsts(client):
    assert "strict-transport-security" not in (await client.get("/health/live")).headers


@pytest.mark.parametrize(("method", "path", "status"), PATHS)
async def test_no_response_names_the_server_software(production, method, path, status):
    response = await production.client.request(method, path)
    assert response.status_code == status
    assert not {"server", "x-powered-by", "via"} & set(response.headers)
    assert b"sanic" not in response.content.lower() or path.startswith("/swagger")


MALFORMED = {
    "an address": b"GET http://[::1 HTTP/1.1",
    "a port": b"GET http://x:999999/ HTTP/1.1",
    "no address": b"GET  HTTP/1.1",
    "a version": b"GET / HTTP/3.7",
    "bytes": b"\x16\x03\x01\x02\x00",
}


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_requests_get_an_envelope_with_security_headers(service, line):
    address = urlsplit(service.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert b"X-Content-Type-Options: nosniff".lower() in head.lower()
    assert b"x-request-id: " in head.lower()
    assert b'"code":"INVALID_FORMAT"' in body
