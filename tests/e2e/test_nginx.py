"""nginx in front of the API: what clients, operators and logs see of it."""

import asyncio
import json
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from api.schemas.responses import ErrorOut
from deploy.embedded.service import ROOT
from deploy.nginx.parameters import BROTLI_MODULE, MODULES
from tests import elastic, photos
from tests.absent import is_absent
from tests.factories import NO_ID, Api, free_ports, new_email, refused
from tests.proxy import nginx

pytestmark = pytest.mark.debian
FRONT_END = "https://app.example.org"
OTHER_ORIGIN = "https://evil.example"
ELK = ROOT / "deploy" / "observe" / "elk"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
async def proxy(service, tmp_path_factory):
    """nginx with TLS in front of the running service."""
    folder = tmp_path_factory.mktemp("nginx")
    async with nginx(folder, [service.base_url], cors_origins=FRONT_END) as proxy:
        yield proxy


@asynccontextmanager
async def client_of(proxy):
    """Yield a client that trusts nginx's certificate and asks for no compression."""
    verify = proxy.tls() if proxy.parameters.tls else True
    plain = {"Accept-Encoding": "identity"}
    async with httpx.AsyncClient(
        base_url=proxy.address, verify=verify, headers=plain, timeout=30
    ) as client:
        yield client


@pytest.fixture(scope="module")
async def through(proxy):
    """A client of the service through nginx."""
    async with client_of(proxy) as client:
        yield client


@pytest.fixture(scope="module")
async def admin(through):
    """The API with an admin's token, through nginx."""
    return await Api.log_in(through)


def api_lines(service):
    """Return the lines of the API's access log by request id."""
    texts = (service.data_dir / "logs" / "api.log").read_text().splitlines()
    lines = (json.loads(text) for text in texts)
    return {line["request_id"]: line for line in lines if line["event"] == "request"}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_http_is_redirected_to_https(proxy, method):
    async with httpx.AsyncClient(base_url=proxy.plain) as client:
        found = await client.request(method, "/api/v1/courses?page=2", headers={"Host": "evil"})
    assert (found.status_code, found.headers["location"]) == (
        308,
        f"{proxy.address}/api/v1/courses?page=2",
    )


async def test_http_on_the_port_of_https_is_redirected(proxy):
    plain = proxy.address.replace("https:", "http:")
    async with httpx.AsyncClient(base_url=plain) as client:
        found = await client.get("/health/live")
    assert (found.status_code, found.headers["location"]) == (308, f"{proxy.address}/health/live")


async def test_http2_is_offered_with_both_versions_of_tls(proxy):
    port = urlsplit(proxy.address).port

    async def connect(**options):
        context = proxy.tls()
        context.set_alpn_protocols(["h2", "http/1.1"])
        for name, value in options.items():
            setattr(context, name, value)
        _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        found = writer.get_extra_info("ssl_object")
        writer.close()
        return found.version(), found.selected_alpn_protocol()

    assert await connect() == ("TLSv1.3", "h2")
    assert await connect(maximum_version=ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", "h2")


def test_courses_are_read_over_http2(proxy):
    if (curl := shutil.which("curl")) is None:
        is_absent("curl", "curl")
    told = ("-w", "%{http_version} %{http_code}", "-o", "/dev/null", "--silent", "--http2")
    trusted = ("--cacert", proxy.parameters.certificate)
    command = (curl, *told, *trusted, f"{proxy.address}/api/v1/courses")
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout == "2 200"


async def test_another_name_gets_no_certificate(proxy):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = urlsplit(proxy.address).port
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="other.example"
        )


async def test_hsts_is_sent_once_with_each_response(through):
    for path in ("/api/v1/courses", "/nope", "/status/x"):
        found = (await through.get(path)).headers.get_list("strict-transport-security")
        assert found == ["max-age=63072000; includeSubDomains"]


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_json_is_compressed_and_its_tag_still_names_the_version(admin, through, coding):
    if coding == "br" and not (MODULES / BROTLI_MODULE).exists():
        is_absent("brotli of nginx", "libnginx-mod-http-brotli-filter")
    course = await admin.new_course(description="long " * 400)
    path = f"/courses/{course['id']}"
    plain = await through.get(f"/api/v1{path}")
    packed = await through.get(f"/api/v1{path}", headers={"Accept-Encoding": coding})
    assert packed.headers["content-encoding"] == coding
    assert packed.json() == plain.json()
    tag = packed.headers["etag"]
    assert tag == f"W/{plain.headers['etag']}"
    assert {"Origin", "Accept-Encoding"} <= set(
        ", ".join(packed.headers.get_list("vary")).split(", ")
    )
    known = await through.get(f"/api/v1{path}", headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    admin_headers = admin.headers | {"If-Match": tag}
    change = {"title": "Changed"}
    first, second = [
        await through.patch(f"/api/v1{path}", json=change, headers=admin_headers) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (200, 412)


async def test_a_forged_address_is_dropped(proxy, through, service):
    forged = {"X-Request-ID": f"forged-{uuid7()}", "X-Real-IP": "203.0.113.9"}
    forged["X-Forwarded-For"] = "203.0.113.9"
    assert (await through.get("/api/v1/courses", headers=forged)).status_code == 200
    own = {line["request_id"]: line for line in await proxy.lines()}[forged["X-Request-ID"]]
    assert own["client"] == "127.0.0.1"
    assert api_lines(service)[forged["X-Request-ID"]]["client"] == "127.0.0.1"


async def test_an_address_from_a_load_balancer_is_believed(service, tmp_path):
    balanced = {"tls": "false", "trusted_proxies": "127.0.0.1"}
    async with (
        nginx(tmp_path, [service.base_url], **balanced) as proxy,
        httpx.AsyncClient(base_url=proxy.address) as client,
    ):
        told = {"X-Request-ID": f"told-{uuid7()}", "X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        found = await client.get("/api/v1/courses", headers=told)
        assert found.status_code == 200
        (line,) = await proxy.lines()
    assert line["client"] == "203.0.113.9"
    assert api_lines(service)[told["X-Request-ID"]]["client"] == "203.0.113.9"


async def test_the_log_has_the_lines_of_the_api(proxy, through, admin, service):
    course = await admin.new_course()
    email = new_email()
    enrolled = {"student_email": email, "course_id": course["id"]}
    calls = [
        ("GET", "/api/v1/courses?search=secret-search", None),
        ("POST", "/api/v1/enrollments", enrolled),
        ("GET", f"/api/v1/students/{email}/enrollments", None),
        ("DELETE", f"/api/v1/courses/{course['id']}/students/{email}", None),
        ("GET", f"/api/v1/courses/{NO_ID}", None),
        ("GET", f"/nope/{email}", None),
    ]
    ids = []
    for method, path, content in calls:
        found = await through.request(method, path, json=content, headers=admin.headers)
        ids.append(found.headers["x-request-id"])
    lines = {line["request_id"]: line for line in await proxy.lines()}
    own = api_lines(service)
    for request_id in ids:
        shared = {
            name: value
            for name, value in own[request_id].items()
            if name in {"request_id", "method", "route", "status", "client", "service", "event"}
        }
        assert lines[request_id].items() >= shared.items()
        assert lines[request_id]["upstream_address"] == urlsplit(service.base_url).netloc
    assert email not in proxy.log.read_text()
    assert "secret-search" not in proxy.log.read_text()
    errors = Path(proxy.parameters.logs) / "error.log"
    assert email not in errors.read_text()


async def test_elasticsearch_takes_the_log(proxy, through):
    assert (await through.get("/health/live")).status_code == 200
    await _raw(proxy, b"GET /\r\n\r\n")  # HTTP/0.9 has a status that is no number of JSON
    pipeline = json.loads((ELK / "ingest-pipeline.json").read_text())
    mappings = json.loads((ELK / "index-template.json").read_text())["template"]["mappings"]
    lines = await proxy.lines()
    for line in lines:
        document = elastic.ingest(pipeline, {"message": json.dumps(line)})
        assert "kind" not in document["event"], document
        elastic.check(mappings, document)
        age = datetime.now(UTC) - datetime.fromisoformat(document["@timestamp"])
        assert abs(age.total_seconds()) < 600
    assert {type(line["status"]) for line in lines} == {int}


async def _raw(proxy, data):
    """Send bytes over TLS; return the response."""
    port = urlsplit(proxy.address).port
    reader, writer = await asyncio.open_connection("localhost", port, ssl=proxy.tls())
    writer.write(data)
    async with asyncio.timeout(10):
        found = await reader.read()
    writer.close()
    return found


def is_own_error(response, status, code):
    """Assert that nginx's own response is an envelope that the front end can read."""
    assert response.status_code == status, response.text
    found = ErrorOut.model_validate_json(response.content)
    assert found.details.code == code
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == FRONT_END
    assert response.headers["x-request-id"]
    return found


async def test_errors_of_nginx_have_the_headers_of_the_apis(through):
    large = {"Origin": FRONT_END, "X-Request-ID": "large", "Content-Type": "application/json"}
    own = await through.post("/api/v1/enrollments", content=b"x" * 9 * MIB, headers=large)
    is_own_error(own, 413, "PAYLOAD_TOO_LARGE")
    assert own.headers["x-request-id"] == "large"
    api = await through.get("/nope", headers={"Origin": FRONT_END})
    differing = {"content-length", "date", "x-request-id", "access-control-allow-origin"}
    # The API of development allows no such origin.
    differing |= {"access-control-expose-headers", "connection"}
    assert own.headers.keys() - differing == api.headers.keys() - differing
    same = own.headers.keys() - differing
    assert {name: own.headers[name] for name in same} == {name: api.headers[name] for name in same}
    other = large | {"Origin": OTHER_ORIGIN}
    own = await through.post("/api/v1/enrollments", content=b"x" * 9 * MIB, headers=other)
    assert own.status_code == 413
    assert "access-control-allow-origin" not in own.headers


async def test_a_body_over_the_apis_limit_gets_its_own_error(admin, through):
    body = b"x" * (2 * MIB)
    found = await through.post("/api/v1/courses", content=body, headers=admin.headers)
    assert found.json()["message"] == f"The request body may have at most {MIB} bytes"
    found = await admin.upload(b"x" * (7 * MIB))
    assert (found.status_code, found.json()["details"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert found.json()["message"] == "An image may have at most 5242880 bytes"


MALFORMED = {
    "a header without a name": (b"GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n", 400),
    "an unknown coding": (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\n\r\n",
        400,
    ),
    "headers that are too large": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        413,
    ),
    "a target that is too large": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 413),
    "no version": (b"GET / HTTP/9.x\r\n\r\n", 400),
    "bytes": (b"\x16\x03\x01\r\n\r\n", 400),
    "a method of none": (b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "another host": (b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", 421),
}


@pytest.mark.parametrize(("data", "status"), MALFORMED.values(), ids=MALFORMED)
async def test_what_nginx_refuses_gets_an_envelope(proxy, data, status):
    closing = data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    head, _, body = (await _raw(proxy, closing)).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    assert b"\r\nContent-Type: application/json\r\n" in head
    ErrorOut.model_validate_json(body)


async def test_a_flood_of_one_address_is_limited(service, tmp_path):
    slow = {"limit_rate": "1", "limit_burst": "2", "cors_origins": FRONT_END}
    async with nginx(tmp_path, [service.base_url], **slow) as proxy, client_of(proxy) as client:
        asked = [client.get("/health/live", headers={"Origin": FRONT_END}) for _ in range(6)]
        found = await asyncio.gather(*asked)
        assert sorted(each.status_code for each in found) == [200, 200, 200, 429, 429, 429]
        limited = next(each for each in found if each.status_code == 429)
        is_own_error(limited, 429, "RATE_LIMITED")
        assert limited.headers["retry-after"] == "1"
        assert limited.headers["ratelimit-limit"] == "60"
        assert limited.headers["ratelimit-remaining"] == "0"


async def test_without_an_instance_the_error_is_an_envelope(tmp_path):
    (port,) = free_ports(1)
    options = {"cors_origins": FRONT_END}
    async with (
        nginx(tmp_path, [f"127.0.0.1:{port}"], **options) as proxy,
        client_of(proxy) as client,
    ):
        found = await client.get("/api/v1/courses", headers={"Origin": FRONT_END})
        is_own_error(found, 502, "UNAVAILABLE")
        assert found.headers["retry-after"] == "1"


async def test_operators_alone_read_the_status(service, tmp_path):
    balanced = {"tls": "false", "trusted_proxies": "127.0.0.1", "operators": "203.0.113.0/24"}
    async with (
        nginx(tmp_path, [service.base_url], **balanced) as proxy,
        httpx.AsyncClient(base_url=proxy.address) as client,
    ):
        theirs = {"X-Forwarded-For": "203.0.113.9"}
        assert "Active connections" in (await client.get("/status", headers=theirs)).text
        refused(
            await client.get("/status", headers={"X-Forwarded-For": "198.51.100.1"}),
            *(403, "FORBIDDEN", "This is for operators"),
        )
        assert "Active connections" in (await client.get(proxy.status)).text


async def test_events_of_a_task_come_at_once(service, through):
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    task_id = uuid7()
    insert = "INSERT INTO tasks (id, name, args) VALUES ($1, 'test.unknown', '{}')"
    await connection.execute(insert, task_id)
    try:
        path = f"/api/v1/tasks/{task_id}/events"
        packed = {"Accept-Encoding": "gzip, br"}
        async with through.stream("GET", path, headers=packed) as stream:
            assert "content-encoding" not in stream.headers
            lines = stream.aiter_lines()
            async with asyncio.timeout(5):
                assert await anext(lines) == ": watching"
            await connection.execute("UPDATE tasks SET progress = 40 WHERE id = $1", task_id)
            async with asyncio.timeout(5):
                while '"progress":40' not in await anext(lines):
                    pass
    finally:
        await connection.execute("DELETE FROM tasks WHERE id = $1", task_id)
        await connection.close()


async def test_images_are_cached_but_not_what_differs_by_request(proxy, through, admin):
    course = await admin.pictured(photos.jpeg(400, 300))
    path = urlsplit(course["image_url"]).path
    seen = []
    for origin in (FRONT_END, OTHER_ORIGIN, None):
        headers = {"Origin": origin} if origin else {}
        seen.append(await through.get(path, headers=headers))
    assert [each.status_code for each in seen] == [200, 200, 200]
    assert len({each.content for each in seen}) == 1
    assert len({each.headers["x-request-id"] for each in seen}) == 3
    allowed = [each.headers.get("access-control-allow-origin") for each in seen]
    assert allowed == [FRONT_END, None, None]
    assert all("immutable" in each.headers["cache-control"] for each in seen)
    ids = {each.headers["x-request-id"]: each for each in seen}
    cached = [line["cache_status"] for line in await proxy.lines() if line["request_id"] in ids]
    assert cached == ["MISS", "HIT", "HIT"]
    tag = seen[0].headers["etag"]
    assert (await through.get(path, headers={"If-None-Match": tag})).status_code == 304
    part = await through.get(path, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, seen[0].content[:10])


@asynccontextmanager
async def broken_instance():
    """Run a server that reads a request and closes the connection; yield its address and count."""
    taken = []

    async def take(reader, writer):
        taken.append(await reader.readuntil(b"\r\n"))
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"127.0.0.1:{port}", taken


async def test_only_idempotent_requests_are_repeated(service, tmp_path):
    async with (
        broken_instance() as (broken, taken),
        nginx(tmp_path, [broken, service.base_url]) as proxy,
        client_of(proxy) as client,
    ):
        read = [await client.get("/health/live") for _ in range(6)]
        assert {each.status_code for each in read} == {200}
        assert taken
        taken.clear()
        body = {"username": "admin", "password": "wrong"}
        sent = [await client.post("/api/v1/auth/login", json=body) for _ in range(6)]
        # Those of the broken instance failed, and reached no other.
        assert sorted({each.status_code for each in sent}) == [401, 502]
        assert len(taken) == sum(each.status_code == 502 for each in sent)
        lines = await proxy.lines()
        tried = [line["upstream_status"] for line in lines if line["method"] == "POST"]
        assert set(tried) == {"401", "502"}
