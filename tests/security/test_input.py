"""Hostile bodies, headers, queries and paths: each gets a 4xx that names the fault."""

import asyncio
import json
import time
from urllib.parse import quote, urlsplit

import pytest

from tests.factories import COURSE, NO_ID, refused, refused_for

NOT_JSON = "The request body is not valid JSON: "
OVERRIDES = ["\u202a", "\u202b", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"]
CONTROLS = ["\x00", "\x01", "\x07", "\x1b", "\x7f", "\x80", "\x9f"]


def course(**fields: str) -> bytes:
    """Return a course's body with the given fields as JSON text."""
    known = {name: json.dumps(value) for name, value in COURSE.items()} | fields
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in known.items()) + "}").encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (course(title='"a", "title": "b"'), "The request body has the field 'title' twice"),
        (course(x='{"a": 1, "a": 2}'), "The request body has the field 'a' twice"),
        (course(title="NaN"), NOT_JSON),
        (course(title="-Infinity"), NOT_JSON),
        (course(title="1e400"), NOT_JSON),
        (course(title="9" * 4000), NOT_JSON),
        (course(title='"\\ud800"'), NOT_JSON),
        (course(title='"\\udc00\\ud800"'), NOT_JSON),
        (course().replace(b"Advanced", b"\xed\xa0\x80"), NOT_JSON),
        (course().replace(b"Advanced", b"\xff\xfe"), NOT_JSON),
        (course(title="[" * 50_000), NOT_JSON),
        (course(x="[" * 500 + "]" * 500), "The request body may be nested at most 8 deep"),
        (course(x='{"a":' * 500 + "1" + "}" * 500), "The request body may be nested at most"),
        (course(**{f"x{n}": "1" for n in range(100)}), "The request body may have at most 50"),
        (course(x=str(list(range(1000)))), "The request body may have at most 1000 values in all"),
        (
            course(x="[" + "[[], []]," * 400 + "{}]"),
            "The request body may have at most 1000 values",
        ),
        (course() + b"{}", NOT_JSON),
        (b"\xef\xbb\xbf" + course(), NOT_JSON),
        (course().decode().encode("utf-16"), NOT_JSON),
        (b"\x1f\x8b\x08\0\0\0\0\0", NOT_JSON),
        (b"title=a&description=b", NOT_JSON),
        (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>", NOT_JSON),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_hostile_json_is_refused(api, body, message):
    response = await api.call("POST", "/courses", content=body)
    said = response.json()["message"]
    assert said.startswith(message)
    refused(response, 400, "MALFORMED_JSON", said, "body")


def many(members: int) -> str:
    """Return an object with that many members."""
    return "{" + ",".join(f'"{n:x}":1' for n in range(members)) + "}"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (many(90_000), "The request body may have at most 1000 values in all"),
        (many(90_000)[:-1] + ',"fff":1}', "The request body may have at most 1000 values in all"),
        ("[" + "1," * 500_000 + "1]", "The request body may have at most 1000 values in all"),
        (f"[[{many(90_000)}]]", "The request body may have at most 1000 values in all"),
        ("{" + '"a":1,' * 100_000 + '"b":1}', "The request body has the field 'a' twice"),
        (many(900)[:-1] + ',"0":1' * 100_000 + "}", "The request body has the field '0' twice"),
    ],
    ids=["object", "twice in an object", "list", "deep", "one field", "few fields"],
)
async def test_a_body_with_too_many_values_is_refused_fast(client, field, message):
    body = course(x=field)
    assert len(body) > 600_000
    started = time.monotonic()
    # The body is checked before the authorization.
    response = await client.post("/api/v1/auth/login", content=body)
    assert time.monotonic() - started < 2
    refused(response, 400, "MALFORMED_JSON", message, "body")


async def test_a_body_may_have_a_thousand_values(api):
    fields = len(COURSE) + 1
    response = await api.call("POST", "/courses", content=course(x=str([1] * (1000 - fields))))
    refused_for(response, ("x", "UNKNOWN_FIELD", "There is no field called 'x'"))


@pytest.mark.parametrize("number", ["12345678901234567890123", "-1", "1.5", "true", "[]", "{}"])
async def test_a_title_that_is_not_text_is_refused(api, number):
    response = await api.call("POST", "/courses", content=course(title=number))
    refused_for(response, ("title", "INVALID_TYPE", "Title must be text"))


@pytest.mark.parametrize("character", CONTROLS + OVERRIDES + ["\u2028", "\u2029"])
async def test_a_title_may_not_have_control_characters(api, character):
    body = COURSE | {"title": f"Safe{character}txt.exe"}
    message = f"The character U+{ord(character):04X} is not allowed"
    fault = ("title", "INVALID_FORMAT", message)
    refused_for(await api.call("POST", "/courses", json=body), fault)
    files = {name: (None, value) for name, value in body.items()}
    refused_for(await api.call("POST", "/courses/upload", files=files), fault)


@pytest.mark.parametrize("character", CONTROLS + OVERRIDES)
async def test_a_description_and_a_search_may_not_have_control_characters(api, client, character):
    message = f"The character U+{ord(character):04X} is not allowed"
    response = await api.call("POST", "/courses", json=COURSE | {"description": f"a{character}b"})
    refused_for(response, ("description", "INVALID_FORMAT", message))
    response = await client.get("/api/v1/courses", params={"search": f"a{character}b"})
    refused_for(response, ("search", "INVALID_FORMAT", message))
    response = await api.call("GET", "/admin/tasks", params={"name": f"a{character}b"})
    refused_for(response, ("name", "INVALID_FORMAT", message))


@pytest.mark.parametrize(
    "title",
    [
        "Übung für Anfänger",
        "مقدمة في البرمجة",
        "\u05e9\u05dc\u05d5\u05dd \u200f",
        "數學 101",
        "👩‍🔬 Science",
        "é",
    ],
)
async def test_titles_of_every_script_are_accepted(api, title):
    assert (await api.new_course(title=title))["title"] == title


async def test_a_description_may_have_several_lines(api):
    text = "First:\tone\r\nSecond:\ttwo\n\n- and a list"
    assert (await api.new_course(description=text))["description"] == text


@pytest.mark.parametrize(
    "email",
    [
        "ü" * 65 + "@example.org",
        "a@" + "ü" * 64 + ".org",
        "a@" + ".".join(["ü" * 20] * 20) + ".org",
        "\u202ea@example.org",
        "a\0@example.org",
        "a\r\nBcc: b@example.org",
        "a@exa\u200bmple.org",
        "a@[127.0.0.1]",
        "\U0001f4a9" * 300 + "@example.org",
        "x" * 100_000 + "@example.org",
        "a@example.org\x00",
        "\uff41@localhost",
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_hostile_emails_are_refused(client, api, email):
    body = {"student_email": email, "course_id": NO_ID}
    response = await client.post("/api/v1/enrollments", json=body)
    refused_for(response, ("student_email", "INVALID_FORMAT", "Invalid email format"))
    if len(email) < 1000:
        path = f"/api/v1/students/{quote(email, safe='')}/enrollments"
        response = await client.get(path)
        refused_for(response, ("email", "INVALID_FORMAT", "Invalid email format"))


async def test_the_number_of_query_parameters_is_limited(client):
    most = "&".join(["page=1"] * 50)
    assert (await client.get(f"/api/v1/courses?{most}")).status_code == 200
    response = await client.get(f"/api/v1/courses?{most}&page=1")
    message = "The query may have at most 50 parameters"
    refused_for(response, ("query", "TOO_LONG", message))


@pytest.mark.parametrize("value", ["9" * 4000, "1e400", "-1", "0x10", "1_0", "٣٣٣٣٣٣٣٣", "NaN"])
async def test_hostile_numbers_of_a_query_are_refused(client, value):
    response = await client.get("/api/v1/courses", params={"page": value})
    assert response.status_code == 400
    assert response.json()["details"]["field"] == "page"


async def test_the_size_of_url_and_headers_is_limited(client):
    for request in (
        {"params": {"search": "x" * 9000}},
        {"headers": {"X-Long": "x" * 9000}},
    ):
        response = await client.get("/api/v1/courses", **request)
        refused(response, 413, "PAYLOAD_TOO_LARGE", "The request's headers are too large")
        assert response.headers["connection"] == "close"


async def test_the_number_of_headers_is_limited(client):
    many = {f"X-{number}": "1" for number in range(101)}
    response = await client.get("/api/v1/courses", headers=many)
    refused_for(response, ("headers", "TOO_LONG", "There may be at most 100 headers"))
    few = {f"X-{number}": "1" for number in range(90)}
    assert (await client.get("/api/v1/courses", headers=few)).status_code == 200


async def test_the_number_of_form_parts_is_limited(api):
    files = {f"x{number}": (None, "1") for number in range(21)}
    response = await api.call("POST", "/courses/upload", files=files)
    assert response.json()["message"].startswith("The form is malformed: ")
    assert response.status_code == 400


SMUGGLED = b"GET /api/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}" + SMUGGLED,
        POST + b"Content-Length : 50\r\n\r\n" + SMUGGLED,
        POST + b"Content-Length: +2\r\n\r\n{}" + SMUGGLED,
        POST + b"Content-Length: -2\r\n\r\n{}" + SMUGGLED,
        POST + b"Content-Length: 2,2\r\n\r\n{}" + SMUGGLED,
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + "Content-Length: \uff12\r\n\r\n{}".encode() + SMUGGLED,
        POST + "Content-Length: ٢\r\n\r\n{}".encode() + SMUGGLED,
        POST + "Content-Length: \u00a02\r\n\r\n{}".encode() + SMUGGLED,
        POST + b"Content-Length: 2\xc2\x85\r\n\r\n{}" + SMUGGLED,
        POST + "Transfer-Encoding: \u2003chunked\r\n\r\n0\r\n\r\n".encode() + SMUGGLED,
        CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"-1\r\n\r\n" + SMUGGLED,
        CHUNKED + b"0\r\nX: y\r\n\r\n" + SMUGGLED,
        CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        CHUNKED + b" 2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"\n2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        CHUNKED + "\uff12\r\n{}\r\n0\r\n\r\n".encode() + SMUGGLED,
        CHUNKED + b"2\r\n{}XX0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"2\r\n{}\n00\r\n\r\n" + SMUGGLED,
        CHUNKED + b"2;a\nb\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"2;a\rb\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"2;" + b"a" * 1000 + b"\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        b"GET /api/v1/courses HTTP/1.1\r\nHost: x\r\nX\x00Y: z\r\n\r\n" + SMUGGLED,
        b"GET /api/v1/courses HTTP/1.1\r\nHost: x\r\n folded: z\r\n\r\n" + SMUGGLED,
    ],
    ids=lambda value: repr(value[52:90]),
)
async def test_no_request_can_be_smuggled_in_another(service, sent):
    address = urlsplit(service.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    async with asyncio.timeout(10):
        whole = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert whole.startswith(b"HTTP/1.1 400 ")
    assert whole.count(b"HTTP/1.1 ") == 1
    assert b"smuggled" not in whole


@pytest.mark.parametrize("at_once", [True, False])
async def test_chunked_bodies_are_read_by_the_rfc(service, at_once):
    address = urlsplit(service.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = b'{"username": "x", "password": "y"}'
    chunks = b'1;a="b"\r\n%b\r\n00%X ; c\r\n%b\r\n000\r\n\r\n' % (body[:1], 33, body[1:])
    sent = CHUNKED + chunks + b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for piece in [sent] if at_once else [sent[at : at + 1] for at in range(len(sent))]:
        writer.write(piece)
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        whole = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert whole.startswith(b"HTTP/1.1 401 ")
    assert b"HTTP/1.1 200 " in whole
