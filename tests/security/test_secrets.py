"""Secrets of all kinds appear in no output of the service."""

import json
from base64 import b64encode
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from deploy.embedded.service import start_service
from tests import photos
from tests.factories import Api, bearer, eventually, free_ports, new_email, scrape
from tests.security.conftest import ADMIN, CANARIES

TYPED = {
    "a wrong password": "canary-typed-into-the-wrong-field-91c4",
    "an Idempotency-Key": "canary-of-idempotency-5b27",
    "what is no token": "canary.of.no-token-3e8d",
    "what is no refresh token": "canary-of-no-refresh-token-77aa",
}
MARKED = {"X-Request-ID": "run-of-the-canaries"}
FLOWER_USER = "operator-of-flower"
PLANTED = {
    "JWT_SECRET": "canary-of-the-watched-tokens-secret-2b8d6e",
    "ADMIN_PASSWORD": "canary-of-the-watched-admins-password-71fa",
    "FLOWER_BASIC_AUTH": "canary-of-flowers-password-c03e5d",
}
FLOWER_PAGES = ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/workers", "/api/tasks")
TABLES = (
    "tasks",
    "audit_log",
    "idempotent_responses",
    "courses",
    "sessions",
    "refresh_tokens",
    "users",
)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A complete service with verbose logs and canaries as secrets."""
    port, flower_port = free_ports(2)
    environment = PLANTED | {
        "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{PLANTED['FLOWER_BASIC_AUTH']}",
        "LOG_LEVEL": "DEBUG",
        "API_WORKERS": "1",
    }
    folder = tmp_path_factory.mktemp("watched")
    running = start_service(folder, port, flower_port, environment=environment)
    yield running
    running.stop()


def secrets_of(service):
    """Return the secrets of the servers by name."""
    urls = {name: service.env[name] for name in ("DATABASE_URL", "CACHE_URL", "BROKER_URL")}
    found = {name: unquote(urlsplit(url).password or "") for name, url in urls.items()}
    return found | {"AWS_SECRET_ACCESS_KEY": service.env["AWS_SECRET_ACCESS_KEY"]}


def spellings(secret):
    """Return a secret as it is, and the middle of its base64 form at each offset."""
    shifted = (b64encode(b" " * offset + secret.encode()).decode() for offset in range(3))
    return [secret, *(text[4:-4] for text in shifted)]


def leaks(secrets, said):
    """Return the names of the secrets that appear in the output."""
    assert all(len(secret) > 15 for secret in secrets.values())
    assert all(said.values())
    return [
        f"{secret} is in {place}"
        for secret, value in secrets.items()
        for place, text in said.items()
        if any(spelling in text for spelling in spellings(value))
    ]


async def run_through(client, admin):
    """Log in, get refused, enrol, upload; return the tokens and the bodies of refusals."""
    response = (await client.post("/api/v1/auth/login", json=admin)).json()
    renewed = await client.post(
        "/api/v1/auth/refresh", json={"refresh_token": response["refresh_token"]}
    )
    headers = bearer(response["token"])
    api = Api(client, headers)
    course = await api.settled((await api.upload(photos.jpeg(60, 40))).json()["id"])
    content = {"student_email": new_email(), "course_id": course["id"]}
    keyed = headers | {"Idempotency-Key": TYPED["an Idempotency-Key"]}
    for _ in range(2):
        enrolled = await client.post("/api/v1/enrollments", json=content, headers=keyed)
        assert enrolled.status_code == 201
    wrong = {"username": admin["username"], "password": TYPED["a wrong password"]}
    refused = [
        await client.post("/api/v1/auth/login", json=wrong, headers=MARKED),
        await client.post("/api/v1/auth/login", json=admin | {"password": [admin["password"]]}),
        await client.post("/api/v1/auth/login", content=json.dumps(admin)[:-1]),
        await client.post("/api/v1/auth/login", json={"username": "x", "token": response["token"]}),
        await client.get("/api/v1/auth/profile", headers=bearer(TYPED["what is no token"])),
        await client.post(
            "/api/v1/auth/refresh",
            json={"refresh_token": TYPED["what is no refresh token"]},
            headers=MARKED,
        ),
        await client.post(
            "/api/v1/enrollments", json=content | {"student_email": new_email()}, headers=keyed
        ),
        await client.get("/nope", headers=headers),
        await client.post("/api/v1/courses", json={}, headers=headers),
    ]
    assert all(response.status_code >= 400 for response in refused)
    tokens = {
        "a token": response["token"],
        "a refresh token": response["refresh_token"],
        "its successor": renewed.json()["refresh_token"],
    }
    return tokens, "\n".join(response.text for response in refused)


async def contents(url):
    """Return all keys and values of a Redis."""
    async with Redis.from_url(url, decode_responses=True, encoding_errors="replace") as redis:
        readers = {
            "string": redis.get,
            "hash": redis.hgetall,
            "list": lambda key: redis.lrange(key, 0, -1),
            "set": redis.smembers,
            "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
            "stream": redis.xrange,
            "none": lambda _key: _nothing(),
        }
        found = [
            f"{key} {await readers[await redis.type(key)](key)}" async for key in redis.scan_iter()
        ]
        return "\n".join(found)


async def _nothing():
    """Stand for a key that has just expired."""


async def flower_says(url):
    """Return each of Flower's pages; without its password there are none."""
    said = {}
    auth = (FLOWER_USER, PLANTED["FLOWER_BASIC_AUTH"])
    async with httpx.AsyncClient(base_url=url, follow_redirects=True) as flower:
        for page in FLOWER_PAGES:
            response = await flower.get(page, auth=auth)
            assert response.status_code == 200, page
            said[f"Flower's {page}"] = response.text
            if page != "/metrics":
                assert (await flower.get(page)).status_code == 401, page
                wrong = await flower.get(page, auth=(FLOWER_USER, "wrong"))
                assert wrong.status_code == 401, page
    return said


async def has_seen_a_task(url, api):
    """Upload until Flower shows a task: it receives events only some seconds after its start."""
    auth = (FLOWER_USER, PLANTED["FLOWER_BASIC_AUTH"])
    async with httpx.AsyncClient(base_url=url, auth=auth) as flower:

        async def shows_one():
            await api.pictured(photos.jpeg(60, 40))
            return "images.process" in (await flower.get("/api/tasks")).text

        await eventually(shows_one, within=30)


async def public_pages(client):
    """Return all public pages."""
    pages = {path: (await client.get(path)).text for path in ("/health", "/openapi.json")}
    return pages | {"/metrics": await scrape(client)}


async def tables(url, request_id):
    """Return all rows of all tables when a request's denials are stored."""
    connection = await asyncpg.connect(url)

    async def refusals_are_noted():
        query = "SELECT count(*) FROM audit_log WHERE request_id = $1"
        return await connection.fetchval(query, request_id) == 2

    await eventually(refusals_are_noted)
    said = {}
    for table in TABLES:
        found = await connection.fetch(f"SELECT t::text AS row FROM {table} t")
        said[f"the table {table}"] = "\n".join(each["row"] for each in found)
    await connection.close()
    return said


async def test_no_secret_is_in_any_output_of_the_service(watched):
    admin = {"username": "admin", "password": PLANTED["ADMIN_PASSWORD"]}
    async with httpx.AsyncClient(base_url=watched.base_url, timeout=30) as client:
        tokens, refusals = await run_through(client, admin)
        said = {"the answers to faults": refusals} | await public_pages(client)
        await has_seen_a_task(watched.flower_url, Api(client, bearer(tokens["a token"])))
    said |= await tables(watched.env["DATABASE_URL"], MARKED["X-Request-ID"])
    said |= await flower_says(watched.flower_url)
    said["the broker"] = await contents(watched.env["BROKER_URL"])
    said["the cache"] = await contents(watched.env["CACHE_URL"])
    for path in sorted((watched.data_dir / "logs").iterdir()):
        said[path.name] = path.read_text(errors="replace") or "empty"

    assert "images.process" in said["the table tasks"]
    assert "images.process" in said["Flower's /tasks"] + said["Flower's /api/tasks"]
    assert {"api.log", "worker.log", "flower.log"} <= set(said)
    assert '"level": "debug"' in said["api.log"] + said["worker.log"]
    assert leaks(PLANTED | TYPED | tokens | secrets_of(watched), said) == []


async def test_no_secret_is_in_any_output_of_production(service, production):
    tokens, refusals = await run_through(production.client, ADMIN)
    said = {"the answers to faults": refusals} | await public_pages(production.client)
    said |= await tables(service.env["DATABASE_URL"], MARKED["X-Request-ID"])
    said["the broker"] = await contents(service.env["BROKER_URL"])
    said["production's log"] = production.output.read_text()
    assert "audit" in said["production's log"]
    assert leaks(CANARIES | TYPED | tokens | secrets_of(service), said) == []
