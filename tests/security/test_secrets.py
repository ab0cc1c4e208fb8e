"""Canaries: after a run with secrets of all kinds, nothing that the service says has one."""

import json
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx

from tests import photos
from tests.factories import bearer, eventually, new_email
from tests.security.conftest import ADMIN, CANARIES

TYPED = {
    "a wrong password": "canary-typed-into-the-wrong-field-91c4",
    "an Idempotency-Key": "canary-of-idempotency-5b27",
    "what is no token": "canary.of.no-token-3e8d",
    "what is no refresh token": "canary-of-no-refresh-token-77aa",
}
MARKED = {"X-Request-ID": "run-of-the-canaries"}
FLOWER_PAGES = ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/workers", "/api/tasks")
TABLES = ("tasks", "audit_log", "kept_answers", "courses", "sessions", "refresh_tokens", "users")


def secrets_of(service):
    """Return the secrets of the servers by name."""
    urls = {name: service.env[name] for name in ("DATABASE_URL", "CACHE_URL", "BROKER_URL")}
    found = {name: unquote(urlsplit(url).password or "") for name, url in urls.items()}
    return found | {"AWS_SECRET_ACCESS_KEY": service.env["AWS_SECRET_ACCESS_KEY"]}


async def run_through(production, api):
    """Log in, be refused, enrol, upload; return the tokens, and what was answered to faults."""
    client = production.client
    answer = (await client.post("/api/v1/auth/login", json=ADMIN)).json()
    renewed = await client.post(
        "/api/v1/auth/refresh", json={"refresh_token": answer["refresh_token"]}
    )
    headers = bearer(answer["token"])
    course = await api.settled((await api.upload(photos.jpeg(60, 40))).json()["id"])
    content = {"student_email": new_email(), "course_id": course["id"]}
    keyed = headers | {"Idempotency-Key": TYPED["an Idempotency-Key"]}
    for _ in range(2):
        enrolled = await client.post("/api/v1/enrollments", json=content, headers=keyed)
        assert enrolled.status_code == 201
    wrong = {"username": ADMIN["username"], "password": TYPED["a wrong password"]}
    refused = [
        await client.post("/api/v1/auth/login", json=wrong, headers=MARKED),
        await client.post("/api/v1/auth/login", json=ADMIN | {"password": [ADMIN["password"]]}),
        await client.post("/api/v1/auth/login", content=json.dumps(ADMIN)[:-1]),
        await client.post("/api/v1/auth/login", json={"username": "x", "token": answer["token"]}),
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
    assert all(answer.status_code >= 400 for answer in refused)
    tokens = {
        "a token": answer["token"],
        "a refresh token": answer["refresh_token"],
        "its successor": renewed.json()["refresh_token"],
    }
    return tokens, "\n".join(answer.text for answer in refused)


async def test_no_secret_is_in_anything_that_the_service_says(service, production, api):
    tokens, refusals = await run_through(production, api)
    connection = await asyncpg.connect(service.env["DATABASE_URL"])

    async def refusals_are_noted():
        query = "SELECT count(*) FROM audit_log WHERE request_id = $1"
        return await connection.fetchval(query, MARKED["X-Request-ID"]) == 2

    await eventually(refusals_are_noted)
    said = {"the answers to faults": refusals, "production's log": production.output.read_text()}
    for path in sorted((service.data_dir / "logs").iterdir()):
        said[path.name] = path.read_text(errors="replace")
    said["/metrics"] = (await production.client.get("/metrics")).text
    said["/health"] = (await production.client.get("/health")).text
    said["/openapi.json"] = (await production.client.get("/openapi.json")).text
    async with httpx.AsyncClient(base_url=service.flower_url, follow_redirects=True) as flower:
        for page in FLOWER_PAGES:
            said[f"Flower's {page}"] = (await flower.get(page)).text
    for table in TABLES:
        found = await connection.fetch(f"SELECT t::text AS row FROM {table} t")
        said[f"the table {table}"] = "\n".join(each["row"] for each in found)
    await connection.close()

    assert "audit" in said["production's log"]
    assert "images.process" in said["the table tasks"]
    assert {"api.log", "worker.log", "flower.log"} <= set(said)
    secrets = CANARIES | TYPED | tokens | secrets_of(service)
    assert all(len(secret) > 15 for secret in secrets.values())
    leaked = [
        f"{secret} is in {place}"
        for secret, value in secrets.items()
        for place, text in said.items()
        if value in text
    ]
    assert leaked == []
