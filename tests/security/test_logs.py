"""The processes log JSON lines, with only the personal data that docs/operations.md lists."""

import json
import socket
from urllib.parse import quote, urlsplit

import httpx
import pytest

from deploy.embedded.service import start_service
from tests import photos
from tests.factories import COURSE, Api, bearer, eventually, free_ports

EMAIL = "marked.student.5d1c@example.org"
MARKS = {
    "an email": EMAIL,
    "an email in an address": quote(EMAIL, safe=""),
    "a password": "marked-password-a81f",
    "a token": "marked.token.77c0",
    "a refresh token": "marked-refresh-token-e2b4",
    "a name of a file": "marked-file-name-19ab",
    "a search": "marked-search-c55e",
    "a text": "marked-description-04d7",
    "a key": "marked-idempotency-key-3f6a",
}

SERVERS = {"postgres", "initdb", "cache", "broker", "storage"}
# Their output is their result.
ONE_SHOT = {"migrate", "demo"}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory):
    """A complete service that logs JSON."""
    folder = tmp_path_factory.mktemp("talkative") / "data"
    environment = {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO", "API_WORKERS": "1"}
    running = start_service(folder, *free_ports(2), environment=environment)
    yield running
    running.stop()


def lines_of(service):
    """Return all log lines of each process of the service."""
    logs = service.data_dir / "logs"
    said = {path.stem: path.read_text().splitlines() for path in logs.glob("*.log")}
    return {name: lines for name, lines in said.items() if name not in SERVERS}


async def use(client: httpx.AsyncClient, admin: Api) -> None:
    """Send personal marks in every field that the service reads, including a damaged image."""
    await client.post("/api/v1/auth/login", json={"username": "x", "password": MARKS["a password"]})
    await client.post("/api/v1/auth/login", json={"username": EMAIL[:5], "password": "", EMAIL: 1})
    await client.post("/api/v1/auth/refresh", json={"refresh_token": MARKS["a refresh token"]})
    await client.get("/api/v1/auth/profile", headers=bearer(MARKS["a token"]))
    await client.get("/api/v1/courses", params={"search": MARKS["a search"]})
    await client.get("/api/v1/courses", params={"limit": MARKS["a search"]})
    course = await admin.client.post(
        "/api/v1/courses", json=COURSE | {"description": MARKS["a text"]}, headers=admin.headers
    )
    course_id = course.json()["id"]
    enrollment = {"student_email": EMAIL, "course_id": course_id}
    for _ in range(2):  # the second is refused by a constraint whose error quotes the row
        await client.post("/api/v1/enrollments", json=enrollment)
    headers = {"Idempotency-Key": MARKS["a key"]}
    await client.post("/api/v1/enrollments", json=enrollment, headers=headers)
    for path in (
        f"/api/v1/students/{EMAIL}/enrollments",
        f"/api/v1/nothing/{EMAIL}",
        f"/media/{EMAIL}",
        f"/api/v1/tasks/{EMAIL}",
    ):
        for method in ("GET", "HEAD", "POST", "DELETE"):
            await client.request(method, path)
    for path in (
        "/api/v1/admin/enrollments",
        f"/api/v1/admin/enrollments?email={quote(EMAIL)}",
        "/api/v1/admin/students",
        f"/api/v1/courses/{course_id}/students",
    ):
        await client.get(path, headers=admin.headers)
    await client.delete(f"/api/v1/courses/{course_id}/students/{EMAIL}", headers=admin.headers)
    name = f"{MARKS['a name of a file']}.jpg"
    await client.put(
        f"/api/v1/courses/{course_id}/image",
        files={"image": (name, photos.truncated_jpeg(), "image/jpeg")},
        headers=admin.headers,
    )


def send_empty_bodies(url: str) -> None:
    """Send requests with an empty body that no handler reads."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 5) as connection:
        for method in ("GET", "DELETE", "POST"):
            head = f"{method} /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(65536)


async def test_the_logs_have_only_the_listed_personal_data(talkative):
    async with httpx.AsyncClient(base_url=talkative.base_url, timeout=30) as client:
        admin = await Api.log_in(client)
        await use(client, admin)
        send_empty_bodies(talkative.base_url)

        async def has_ended():
            found = (await client.get("/api/v1/admin/tasks", headers=admin.headers)).text
            return '"queued"' not in found and '"running"' not in found

        await eventually(has_ended, within=40)
        await client.get(f"{talkative.flower_url}/tasks")
    talkative.stop()
    said = lines_of(talkative)
    assert {"api", "flower", "migrate", "demo"} <= said.keys()
    found = [
        f"{what} is in {name}: {line[:600]}"
        for name, lines in said.items()
        for line in lines
        for what, mark in MARKS.items()
        if mark in line
    ]
    assert not found, "\n".join(found)
    lines = {
        name: [json.loads(line) for line in lines]
        for name, lines in said.items()
        if name not in ONE_SHOT
    }
    assert all({"event", "level", "timestamp", "process"} <= line.keys() for line in lines["api"])
    wrong = [
        line for each in lines.values() for line in each if line["level"] in {"error", "critical"}
    ]
    assert not wrong
    failed = [
        line for each in lines.values() for line in each if line["event"] == "task_attempt_failed"
    ]
    assert all("exception" not in line for line in failed), failed
    assert [line["error"] for line in failed]
