"""The authorization matrix: every route and method with every kind of caller.

A route that is not in the table fails the test, so that each new route needs an entry.
"""

import asyncio
import base64
import hmac
import json
import os
import re
import time

import httpx
import jwt
import pytest
from sanic import Sanic
from uuid_utils.compat import uuid7

from api.app import create_app
from infra.settings import Settings
from tests import forkserver
from tests.factories import ADMIN, KID, NO_ID, SECRET, bearer, eventually, refused, token
from tests.security.servers import own_api

NO_TOKEN = (401, "MISSING_TOKEN", "Authorization header is required")
NO_ADMIN = (403, "FORBIDDEN", "Only an admin may do this")
INVALID = "JWT token is invalid or expired"
PASSWORD = "a-password-of-an-account-that-will-go"
FOR_ANYONE = {
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
    ("GET", "/api/v1/courses"),
    ("GET", "/api/v1/courses/<course_id>"),
    ("POST", "/api/v1/enrollments"),
    ("GET", "/api/v1/students/<email>/enrollments"),
    ("GET", "/api/v1/tasks/<task_id>"),
    ("GET", "/api/v1/tasks/<task_id>/events"),
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/openapi.json"),
    ("GET", "/swagger"),
    ("GET", "/swagger/doc.json"),
    ("GET", "/swagger/index.html"),
    ("GET", "/swagger/swagger-initializer.js"),
    *(
        (method, f"/swagger/{file}")
        for method in ("GET", "HEAD")
        for file in (
            "favicon-16x16.png",
            "favicon-32x32.png",
            "index.css",
            "swagger-ui-bundle.js",
            "swagger-ui-standalone-preset.js",
            "swagger-ui.css",
        )
    ),
}
LOGOUT = ("POST", "/api/v1/auth/logout")
# For any logged-in user, where ENROLLMENT_ACCESS requires it.
FOR_STUDENTS = {
    ("POST", "/api/v1/enrollments"),
    ("GET", "/api/v1/students/<email>/enrollments"),
}
# Where the image store is a folder.
MEDIA = {("GET", "/media/<quoted>"), ("HEAD", "/media/<quoted>")}
FOR_USERS = {LOGOUT, ("GET", "/api/v1/auth/profile")}
FOR_ADMINS = {
    ("POST", "/api/v1/courses"),
    ("POST", "/api/v1/courses/upload"),
    ("PUT", "/api/v1/courses/<course_id>"),
    ("PATCH", "/api/v1/courses/<course_id>"),
    ("PUT", "/api/v1/courses/<course_id>/image"),
    ("DELETE", "/api/v1/courses/<course_id>/image"),
    ("DELETE", "/api/v1/courses/<course_id>"),
    ("GET", "/api/v1/courses/<course_id>/students"),
    ("DELETE", "/api/v1/courses/<course_id>/students/<email>"),
    ("GET", "/api/v1/admin/students"),
    ("GET", "/api/v1/admin/enrollments"),
    ("DELETE", "/api/v1/admin/enrollments/<enrollment_id>"),
    ("GET", "/api/v1/admin/tasks"),
    ("POST", "/api/v1/admin/tasks/<task_id>/retry"),
    ("POST", "/api/v1/admin/tasks/<task_id>/cancel"),
    ("GET", "/api/v1/workflows/<workflow_id>"),
    ("GET", "/api/v1/admin/flags"),
    ("GET", "/api/v1/admin/flags/<flag_name>"),
    ("PUT", "/api/v1/admin/flags/<flag_name>"),
    ("DELETE", "/api/v1/admin/flags/<flag_name>"),
    ("POST", "/api/v1/admin/flags/<flag_name>/kill"),
    ("GET", "/api/v1/admin/flags/<flag_name>/history"),
}
# Its pages have a session of their own: test_console.py.
CONSOLE = {
    ("GET", "/console/login"),
    ("POST", "/console/login"),
    ("POST", "/console/logout"),
    ("GET", "/console/tasks"),
    ("GET", "/console/tasks/<task_id>"),
    ("POST", "/console/tasks/<task_id>/retry"),
    ("POST", "/console/tasks/<task_id>/cancel"),
    ("GET", "/console/tasks/bulk"),
    ("POST", "/console/tasks/bulk"),
    ("GET", "/console/queues/<queue>"),
    ("POST", "/console/queues/<queue>/pause"),
    ("POST", "/console/queues/<queue>/resume"),
    ("GET", "/console/workflows/<workflow_id>"),
    ("GET", "/console/workflows/<workflow_id>/retry"),
    ("POST", "/console/workflows/<workflow_id>/retry"),
    ("GET", "/console/workflows/<workflow_id>/cancel"),
    ("POST", "/console/workflows/<workflow_id>/cancel"),
    *(
        (method, f"/console/assets/{file}")
        for method in ("GET", "HEAD")
        for file in ("console.css", "htmx.min.js", "icon.svg")
    ),
}
EVERY_ROUTE = FOR_ANYONE | FOR_USERS | FOR_ADMINS


def encoded(part: object) -> str:
    """Return a part of a token."""
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def claims(**others) -> dict:
    """Return the claims of an admin's token."""
    return jwt.decode(token(role="admin", **others), options={"verify_signature": False})


def unsigned(algorithm: str) -> str:
    """Return an admin's token whose header claims that it needs no signature."""
    return f"{encoded({'alg': algorithm, 'typ': 'JWT', 'kid': KID})}.{encoded(claims())}."


def promoted() -> str:
    """Return a student's token whose payload was changed to an admin's."""
    header, _, signature = token().split(".")
    return f"{header}.{encoded(claims())}.{signature}"


def handmade(header: dict, secret: bytes = SECRET.encode(), digest: str = "sha256") -> str:
    """Return an admin's token with any header, signed by a library without checks."""
    signed = f"{encoded({'typ': 'JWT', 'kid': KID} | header)}.{encoded(claims())}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), digest))}"


def admins(**others) -> str:
    """Return an admin's token with other claims, signed by the right key."""
    return token(role="admin", **others)


NOW = int(time.time())
# What a service with public keys would publish; this service has no public key.
PUBLIC_KEY = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
FORGED = {
    "alg none": lambda: unsigned("none"),
    "alg NoNe": lambda: unsigned("NoNe"),
    "no signature": lambda: admins().rpartition(".")[0] + ".",
    "cut signature": lambda: admins()[:-4],
    "changed payload": promoted,
    "another secret": lambda: handmade({"alg": "HS256"}, b"not-the-secret-but-quite-as-long-as-it"),
    "empty secret": lambda: handmade({"alg": "HS256"}, b""),
    "HS512 with the right secret": lambda: handmade({"alg": "HS512"}, digest="sha512"),
    "HS256 with a public key": lambda: handmade({"alg": "HS256"}, PUBLIC_KEY),
    "RS256, signed as HS256": lambda: handmade({"alg": "RS256"}),
    "RS256, signed with a public key": lambda: handmade({"alg": "RS256"}, PUBLIC_KEY),
    "a key of its own": lambda: handmade(
        {"alg": "HS256", "jwk": {"kty": "oct", "k": encoded(b"mine" * 8)}}, b"mine" * 8
    ),
    "an address of its key": lambda: handmade(
        {"alg": "HS256", "jku": "https://evil.example/keys"}, b"mine" * 8
    ),
    "no algorithm": lambda: handmade({}),
    "algorithm that is a list": lambda: handmade({"alg": ["HS256"]}),
    "no kid": lambda: token(role="admin", kid=None),
    "unknown kid": lambda: token(role="admin", kid="another"),
    "kid that is a path": lambda: handmade({"alg": "HS256", "kid": "../../../../dev/null"}, b""),
    "kid that is SQL": lambda: handmade({"alg": "HS256", "kid": f"{KID}' UNION SELECT 'x"}, b"x"),
    "kid that is a list": lambda: f"{encoded({'alg': 'HS256', 'kid': [KID]})}.{encoded({})}.x",
    "critical header": lambda: handmade({"alg": "HS256", "crit": ["exp"]}),
    "another issuer": lambda: admins(iss="https://evil.example"),
    "another audience": lambda: admins(aud="another-api"),
    "several audiences": lambda: admins(aud=["course-enrollment-api", "another-api"]),
    "another type": lambda: admins(typ="refresh"),
    "not yet valid": lambda: admins(nbf=NOW + 3600),
    "issued in the future": lambda: admins(iat=NOW + 3600),
    "unknown role": lambda: token(role="root"),
    "role in capitals": lambda: token(role="ADMIN"),
    "several roles": lambda: token(role=["admin"]),
    **{
        f"no {claim}": lambda claim=claim: token(**({"role": "admin"} | {claim: None}))
        for claim in ("typ", "iss", "aud", "sub", "role", "sid", "iat", "nbf", "exp", "jti")
    },
    "a refresh token": lambda: encoded(os.urandom(32)),
    "not a token": lambda: "a.b.c",
    "NUL": lambda: "a%00b",
    "long": lambda: "a" * 5000,
}


def routes_of(app) -> set[tuple[str, str]]:
    """Return each method and path of the router, as the table writes them."""
    return {
        (method, re.sub(r"<(\w+):\w+>", r"<\1>", f"/{route.path}"))
        for route in app.router.routes
        for method in route.methods
    }


def address(path: str) -> str:
    """Return a path without a resource, so that an allowed call does no harm."""
    return re.sub(r"<\w+_id>", NO_ID, path).replace("<email>", "nobody@example.org")


async def ask(client, route: tuple[str, str], headers: dict[str, str]) -> httpx.Response:
    """Call a route, with no body."""
    method, path = route
    return await client.request(method, address(path), headers=headers)


async def is_open(client, route: tuple[str, str], headers: dict[str, str]) -> None:
    """Assert that a route is public or accepts the caller."""
    response = await ask(client, route, headers)
    assert response.status_code not in {401, 403, 405, 429, 500, 503}, (route, response.text)
    await heads_alike(client, route, headers, response.status_code)


async def is_shut(client, route, headers: dict[str, str], status: int, *error: str) -> None:
    """Assert that a route refuses the caller with this code and message."""
    response = await ask(client, route, headers)
    refused(response, status, *error)
    assert ("www-authenticate" in response.headers) is (status == 401)
    await heads_alike(client, route, headers, status)


async def heads_alike(client, route, headers: dict[str, str], status: int) -> None:
    """Assert that HEAD, which no route declares, has the access rules of GET and no body."""
    method, path = route
    if method == "GET":
        response = await ask(client, ("HEAD", path), headers)
        assert (response.status_code, response.content) == (status, b""), route


@pytest.fixture(scope="module")
def enroll(service):
    """Runs the command line of the running service."""

    async def call(*arguments: str, said: str = "") -> None:
        environment = os.environ | service.env | {"DATA_DIR": str(service.data_dir)}
        done = await forkserver.enroll(*arguments, env=environment, typed=said)
        assert done.code == 0, done.output + done.errors

    return call


async def log_in(client, username: str, password: str) -> str:
    """Return a token of a login."""
    account = {"username": username, "password": password}
    response = await client.post("/api/v1/auth/login", json=account)
    assert response.status_code == 200, response.text
    return response.json()["token"]


async def is_dead(client, headers: dict[str, str]) -> None:
    """Wait at most a second until every process refuses a token."""

    async def refuses():
        responses = [await client.get("/api/v1/auth/profile", headers=headers) for _ in range(4)]
        return {response.status_code for response in responses} == {401}

    await eventually(refuses, within=1.5)
    await asyncio.sleep(0.6)  # a process that was missed by chance has queried the database by now


async def test_every_route_is_in_the_access_table(app):
    assert routes_of(app) == EVERY_ROUTE | CONSOLE
    assert not FOR_ANYONE & FOR_USERS | FOR_ANYONE & FOR_ADMINS | FOR_USERS & FOR_ADMINS


async def test_the_routes_of_a_file_store_are_in_the_access_table(tmp_path):
    app = create_app(Settings(_env_file=None, storage_url=tmp_path.as_uri()))
    try:
        assert routes_of(app) == EVERY_ROUTE | CONSOLE | MEDIA
    finally:
        Sanic.unregister_app(app)


async def test_options_returns_methods_only(client):
    for path in {path for _, path in EVERY_ROUTE}:
        response = await ask(client, ("OPTIONS", path), {})
        assert (response.status_code, response.content) == (204, b""), path
        methods = {method for method, of in EVERY_ROUTE if of == path}
        assert set(response.headers["allow"].split(",")) - {"HEAD", "OPTIONS"} == methods - {"HEAD"}


async def test_access_without_a_token(client):
    for route in FOR_ANYONE:
        await is_open(client, route, {})
    for route in FOR_USERS | FOR_ADMINS:
        await is_shut(client, route, {}, *NO_TOKEN)


async def test_access_of_a_student(client):
    for route in FOR_ANYONE:
        await is_open(client, route, bearer(token()))
    for route in FOR_ADMINS:
        await is_shut(client, route, bearer(token()), *NO_ADMIN)


async def test_access_of_a_student_with_an_account(client, enroll):
    name = f"student-{uuid7().hex}@example.org"
    await enroll("users", "add", name, said=f"{PASSWORD}\n{PASSWORD}\n")
    theirs = bearer(await log_in(client, name, PASSWORD))
    for route in FOR_ADMINS:
        await is_shut(client, route, theirs, *NO_ADMIN)
    for route in sorted(FOR_USERS - {LOGOUT}):
        await is_open(client, route, theirs)
    await is_open(client, LOGOUT, theirs)


async def test_access_of_an_admin(client):
    ours = bearer(await log_in(client, *ADMIN.values()))
    for route in sorted(EVERY_ROUTE - {LOGOUT}):
        await is_open(client, route, ours)
    await is_open(client, LOGOUT, ours)


async def test_access_of_a_disabled_admin(client, enroll):
    name = f"admin-{uuid7().hex}"
    await enroll("users", "add", name, "--role", "admin", said=f"{PASSWORD}\n{PASSWORD}\n")
    theirs = bearer(await log_in(client, name, PASSWORD))
    await is_open(client, ("GET", "/api/v1/admin/students"), theirs)
    await enroll("users", "disable", name)
    await is_dead(client, theirs)
    await stands_outside(client, theirs, "INVALID_TOKEN")
    account = {"username": name, "password": PASSWORD}
    response = await client.post("/api/v1/auth/login", json=account)
    refused(response, 401, "INVALID_CREDENTIALS", "Invalid username or password")


async def test_access_of_a_revoked_admin(client):
    theirs = bearer(await log_in(client, *ADMIN.values()))
    assert (await client.post("/api/v1/auth/logout", headers=theirs)).status_code == 204
    await is_dead(client, theirs)
    await stands_outside(client, theirs, "INVALID_TOKEN")


async def test_access_of_an_expired_admin(client):
    old = bearer(admins(iat=NOW - 7200, nbf=NOW - 7200, exp=NOW - 3600))
    await stands_outside(client, old, "TOKEN_EXPIRED")


@pytest.mark.parametrize("forgery", FORGED)
async def test_access_with_a_forged_admin_token(client, forgery):
    await stands_outside(client, bearer(FORGED[forgery]()), "INVALID_TOKEN")


async def stands_outside(client, headers: dict[str, str], code: str) -> None:
    """Assert that a token gives no access, and public routes stay public."""
    for route in FOR_USERS | FOR_ADMINS:
        await is_shut(client, route, headers, 401, code, INVALID)
    for route in sorted(FOR_ANYONE):
        await is_open(client, route, headers)


@pytest.fixture
async def shut(service, tmp_path):
    """An API where students only enrol and read themselves."""
    settings = {"ENROLLMENT_ACCESS": "authenticated", "RATE_LIMIT_EXEMPT": "127.0.0.1"}
    async with (
        own_api(service, tmp_path, **settings) as server,
        httpx.AsyncClient(base_url=server.address) as client,
    ):
        yield client


async def test_invalid_tokens_where_students_have_to_log_in(shut, enroll):
    name = f"student-{uuid7().hex}@example.org"
    await enroll("users", "add", name, said=f"{PASSWORD}\n{PASSWORD}\n")
    revoked, disabled = [bearer(await log_in(shut, name, PASSWORD)) for _ in range(2)]
    for route in FOR_STUDENTS:
        await is_shut(shut, route, {}, *NO_TOKEN)
        for alive in (bearer(token()), revoked, disabled):
            # The token is checked before the email's owner.
            assert (await ask(shut, route, alive)).status_code in {400, 403}
    await shut.post("/api/v1/auth/logout", headers=revoked)
    await is_dead(shut, revoked)
    await enroll("users", "disable", name)
    await is_dead(shut, disabled)
    old = bearer(admins(iat=NOW - 7200, nbf=NOW - 7200, exp=NOW - 3600))
    for route in FOR_STUDENTS:
        await is_shut(shut, route, revoked, 401, "INVALID_TOKEN", INVALID)
        await is_shut(shut, route, disabled, 401, "INVALID_TOKEN", INVALID)
        await is_shut(shut, route, old, 401, "TOKEN_EXPIRED", INVALID)
        for forgery in FORGED.values():
            await is_shut(shut, route, bearer(forgery()), 401, "INVALID_TOKEN", INVALID)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/admin/students/",
        "//api/v1/admin/students",
        "/api/v1//admin/students",
        "/api/v1/courses/../admin/students",
        "/api/v1/courses/%2e%2e/admin/students",
        "/api/v1/admin/students;x=1",
        "/api/v1/admin/students%00",
        "/api/v1/admin%2fstudents",
        "/API/V1/ADMIN/STUDENTS",
        "/api/v1/admin/students.json",
        "/api/v1/admin/students?role=admin",
    ],
)
async def test_no_other_spelling_of_a_path_gives_access(client, path):
    url = httpx.URL(str(client.base_url)).copy_with(raw_path=path.encode())
    for method in ("GET", "HEAD", "POST"):
        for headers in (
            {},
            bearer(token()),
            {"X-Original-URL": "/api/v1/courses", "X-Rewrite-URL": "/health"},
            {"X-HTTP-Method-Override": "GET", "X-Forwarded-User": "admin"},
        ):
            response = await client.request(method, url, headers=headers)
            assert response.status_code in {400, 401, 403, 404, 405}, response.text
