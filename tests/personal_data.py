"""Marked data of persons, sent to each route of the service in every place that it reads."""

import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from api.endpoint.openapi import build_document
from tests import photos
from tests.factories import COURSE, NO_ID, Api, bearer

EMAIL = "marked.student.5d1c@example.org"
PASSWORD = "marked-password-a81f"
SEARCH = "marked-search-c55e"
TEXT = "marked-description-04d7"
FILE = "marked-file-name-19ab"
# In no line.
MARKS = {
    "an email": EMAIL,
    "an email in an address": quote(EMAIL, safe=""),
    "a password": PASSWORD,
    "a token": "marked.token.77c0",
    "a refresh token": "marked-refresh-token-e2b4",
    "a name of a file": FILE,
    "a search": SEARCH,
    "a text": TEXT,
    "a key": "marked-idempotency-key-3f6a",
    "a header": "marked-header-8b2c",
}
# In the fields that docs/operations.md lists, and in no other.
NAME, ADDRESS = "marked-name-6e0d", "203.0.113.77"
_LOGOUT = "/api/v1/auth/logout"


async def use(client: httpx.AsyncClient, admin: Api) -> None:
    """Send marks as persons do, including a damaged image."""
    login = {"username": NAME, "password": PASSWORD}
    for _ in range(8):  # the last ones are over the limit
        await client.post("/api/v1/auth/login", json=login, headers={"X-Forwarded-For": ADDRESS})
    await client.post("/api/v1/auth/login", json={"username": EMAIL[:5], "password": "", EMAIL: 1})
    refresh = {"refresh_token": MARKS["a refresh token"]}
    await client.post("/api/v1/auth/refresh", json=refresh)
    await client.get("/api/v1/auth/profile", headers=bearer(MARKS["a token"]))
    await client.get("/api/v1/courses", params={"search": SEARCH})
    await client.get("/api/v1/courses", params={"limit": SEARCH})
    course = await admin.client.post(
        "/api/v1/courses", json=COURSE | {"description": TEXT}, headers=admin.headers
    )
    course_id = course.json()["id"]
    enrollment = {"student_email": EMAIL, "course_id": course_id}
    for _ in range(2):  # the second is refused by a constraint whose error quotes the row
        await client.post("/api/v1/enrollments", json=enrollment)
    headers = {"Idempotency-Key": MARKS["a key"]}
    await client.post("/api/v1/enrollments", json=enrollment, headers=headers)
    for path in (f"/api/v1/nothing/{EMAIL}", f"/media/{EMAIL}"):
        for method in ("GET", "HEAD", "POST", "DELETE"):
            await client.request(method, path)
    await client.get(f"/api/v1/courses/{course_id}/students", headers=admin.headers)
    await client.delete(f"/api/v1/courses/{course_id}/students/{EMAIL}", headers=admin.headers)
    await client.put(
        f"/api/v1/courses/{course_id}/image",
        files={"image": (f"{FILE}.jpg", photos.truncated_jpeg(), "image/jpeg")},
        headers=admin.headers,
    )


async def use_all_routes(client: httpx.AsyncClient, admin: Api) -> int:
    """Send marks to each operation, with and without a token; return how many requests."""
    count = 0
    for method, path, operation, schemas in _operations():
        marked = {"X-Marked": MARKS["a header"], "Cookie": f"session={MARKS['a token']}"}
        params = {
            each["name"]: EMAIL if "email" in each["name"] else SEARCH
            for each in operation.get("parameters", ())
            if each.get("in") == "query"
        }
        bodies = [*_bodies(operation, schemas)]
        for value in (NO_ID, EMAIL):
            url = re.sub(r"\{(\w+)\}", lambda found: _in_path(found[1], value), path)  # noqa: B023  called in the same pass
            for headers in ({}, admin.headers):
                if headers and path == _LOGOUT:
                    continue
                for body in bodies:
                    own = headers | marked | body.get("headers", {})
                    about = {"params": params, **body, "headers": own}
                    await client.request(method, url, **about)
                    count += 1
    return count


def _operations() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    document = build_document()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "responses" in operation:
                yield method.upper(), path, operation, document["components"]["schemas"]


def _in_path(name: str, value: str) -> str:
    return quote(EMAIL) if name == "email" else value


def _bodies(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield bodies: as declared, cut off, and of another type."""
    yield {}
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        fields = {name: _mark(name, each) for name, each in schema.get("properties", {}).items()}
        if kind == "application/json":
            yield {"json": fields}
            yield {"json": fields | {EMAIL: TEXT}}
            head = {"Content-Type": "application/json"}
            yield {"content": f'{{"password": "{PASSWORD}", "email": "{EMAIL}', "headers": head}
        else:
            texts = {name: str(value) for name, value in fields.items() if name != "image"}
            file = (f"{FILE}.jpg", TEXT.encode(), "image/jpeg")
            yield {"data": texts, "files": {"image": file}}
            yield {"data": texts, "files": {"image": file, FILE: file}}


def _mark(name: str, schema: dict[str, Any]) -> Any:
    """Return a value that is marked, if the schema allows any text."""
    if "email" in name:
        return EMAIL
    if "password" in name:
        return PASSWORD
    if name == "username":
        return NAME
    known = {"integer": 1, "number": 1, "boolean": True, "array": [TEXT], "object": {TEXT: TEXT}}
    if schema.get("type") in known:
        return known[schema["type"]]
    if schema.get("format") == "uuid":
        return NO_ID
    return schema["enum"][0] if "enum" in schema else TEXT


def send_broken(url: str) -> None:
    """Send what is no request, with marks, and requests with an empty body that nobody reads."""
    parts = urlsplit(url)
    for broken in (
        f"GET /{EMAIL} HTTP/9\r\n\r\n",
        f"{SEARCH}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{PASSWORD}\r\n\r\n",
        f"POST /{EMAIL} HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n{TEXT}",
        f"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{TEXT}\r\n",
    ):
        with socket.create_connection((parts.hostname, parts.port), 5) as connection:
            connection.sendall(broken.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    with socket.create_connection((parts.hostname, parts.port), 5) as connection:
        for method in ("GET", "DELETE", "POST"):
            head = f"{method} /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(65536)
