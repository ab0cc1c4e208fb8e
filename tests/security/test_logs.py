"""Every line of every process is JSON, and has no data of persons but the listed."""

import asyncio
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.embedded.service import ROOT, start_service
from infra.observability.events import Event
from tests import elastic, forkserver, photos
from tests.absent import is_absent
from tests.factories import COURSE, NO_ID, Api, eventually, free_ports
from tests.personal_data import ADDRESS, MARKS, NAME, send_broken, use, use_all_routes
from tests.processes import commands_of

# Their logs are their own.
SERVERS = {"postgres", "initdb", "cache", "broker", "storage"}
FIELDS = {"timestamp", "level", "logger", "event", "service", "version", "process", "pid"}
LISTED = {NAME: {"actor"}, ADDRESS: {"client", "address"}}
ELK = ROOT / "deploy" / "observe" / "elk"


@dataclass
class Told:
    """The lines of a service: of each log, and of commands."""

    texts: dict[str, list[str]]
    # The lines of the time before processes were killed.
    undisturbed: int
    upload_id: str
    folder: Path
    lines: list[dict] = field(init=False)

    def __post_init__(self) -> None:
        torn = {text for texts in self.texts.values() for text in texts if text[:1] != "{"}
        assert not torn
        self.lines = [json.loads(line) for texts in self.texts.values() for line in texts]

    def of(self, event: Event) -> list[dict]:
        """Return the lines of an event."""
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture(scope="module")
async def told(tmp_path_factory):
    """The lines of a service that is used, broken, restarted and stopped."""
    folder = tmp_path_factory.mktemp("talkative") / "data"
    environment = {
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
        "API_WORKERS": "2",
        "TRUSTED_PROXIES": "127.0.0.1",
        "RATE_LIMIT_EXEMPT": "127.0.0.1",
        "RATE_LIMIT_LOGINS": "5",
    }
    service = start_service(folder, *free_ports(2), environment=environment)
    try:
        async with httpx.AsyncClient(base_url=service.base_url, timeout=30) as client:
            admin = await Api.log_in(client)
            upload_id = await upload(client, admin)
            await use(client, admin)
            assert await use_all_routes(client, admin) > 200
            send_broken(service.base_url)
            await all_tasks_end(client, admin)
            await client.get(f"{service.flower_url}/tasks")
            undisturbed = len(read(folder)["api"])
            await disturb(service, client, admin)
        commands = await run_commands(service.env | environment)
    finally:
        service.stop()
    # The second start says other things: nothing is migrated, and there are courses.
    start_service(folder, *free_ports(2), environment=environment).stop()
    return Told(read(folder) | {"commands": commands}, undisturbed, upload_id, folder)


def read(folder: Path) -> dict[str, list[str]]:
    """Return all log lines of each process of ours."""
    logs = {path.stem: path.read_text().splitlines() for path in (folder / "logs").glob("*.log")}
    return {name: lines for name, lines in logs.items() if name not in SERVERS}


async def upload(client: httpx.AsyncClient, admin: Api) -> str:
    """Upload a course with an image; return the id of the request."""
    response = await client.post(
        "/api/v1/courses/upload",
        data=COURSE,
        files={"image": ("x.jpg", photos.jpeg(), "image/jpeg")},
        headers=admin.headers,
    )
    assert response.status_code == 201
    return response.headers["x-request-id"]


async def all_tasks_end(client: httpx.AsyncClient, admin: Api) -> None:
    """Wait until no task is queued or running."""

    async def have_ended():
        found = (await client.get("/api/v1/admin/tasks", headers=admin.headers)).text
        return '"queued"' not in found and '"running"' not in found

    await eventually(have_ended)


async def disturb(service, client: httpx.AsyncClient, admin: Api) -> None:
    """Kill processes of each kind and the database, and use the service meanwhile."""
    supervisor = psutil.Process(service.process.pid)
    parts = commands_of(supervisor)

    def of(*words: str) -> list[psutil.Process]:
        return [part for part, command in parts.items() if set(words) <= set(command)]

    (postgres,) = of("-D", str(service.data_dir / "postgres"))
    postgres.kill()
    assert 503 in await use_while_away(client, admin)
    await all_is_back(client)
    for part in (*of("cli", "api"), *of("cli", "worker")):
        for child in part.children():
            child.kill()
    of("cli", "worker")[0].kill()
    await use_while_away(client, admin)
    await all_is_back(client)


async def all_is_back(client: httpx.AsyncClient) -> None:
    """Wait until the service has its database and a worker."""

    async def is_back():
        try:
            return '"tasks":"connected"' in (await client.get("/health")).text.replace(" ", "")
        except httpx.TransportError:
            return False

    await eventually(is_back)


async def use_while_away(client: httpx.AsyncClient, admin: Api) -> set[int]:
    """Send marks while a part is away; return the statuses of the responses."""
    email, password, text = (MARKS[each] for each in ("an email", "a password", "a text"))
    statuses = set()
    for _ in range(10):
        try:
            for method, path, body in (
                ("GET", f"/api/v1/students/{email}/enrollments", None),
                ("POST", "/api/v1/auth/login", {"username": NAME, "password": password}),
                ("POST", "/api/v1/enrollments", {"student_email": email, "course_id": NO_ID}),
                ("POST", "/api/v1/courses", COURSE | {"description": text}),
            ):
                headers = admin.headers if body and "title" in body else {}
                response = await client.request(method, path, json=body, headers=headers)
                statuses.add(response.status_code)
        except httpx.TransportError:
            await asyncio.sleep(0.05)
    return statuses


async def run_commands(environment: dict[str, str]) -> list[str]:
    """Return what commands write to standard error."""
    said = []
    for call, code, settings in (
        (("tasks", "retry", NO_ID), 1, {}),
        (("nothing",), 2, {}),
        (("api",), 2, {"PORT": "no-number"}),
        (("users", "list"), 0, {}),
    ):
        done = await forkserver.enroll(*call, env=os.environ | environment | settings)
        assert done.code == code, done.errors
        said += done.errors.splitlines()
    assert len(said) >= 3
    return said


def test_every_line_has_the_fields_and_an_event(told):
    assert {"api", "flower", "migrate", "demo", "worker-images"} <= told.texts.keys()
    assert all(told.texts.values())
    for line in told.lines:
        assert line.keys() >= FIELDS, line
        assert line["event"] in set(Event), line
    assert len({line["pid"] for line in told.lines}) > 10


def test_the_logs_have_no_personal_data_that_is_not_listed(told):
    found = [
        f"{what} is in {name}: {line[:600]}"
        for name, lines in told.texts.items()
        for line in lines
        for what, mark in MARKS.items()
        if mark in line
    ]
    assert not found, "\n".join(found)
    for line in told.lines:
        for mark, fields in LISTED.items():
            assert {key for key, value in line.items() if mark in str(value)} <= fields, line
    for mark in LISTED:
        assert any(mark in line for lines in told.texts.values() for line in lines)


def test_a_request_and_its_task_have_the_same_id(told):
    lines = [line for line in told.lines if line.get("request_id") == told.upload_id]
    events = {line["event"]: line for line in lines}
    assert {"request", "audit", "image_decoded", "image_processed", "task_succeeded"} <= set(events)
    assert events["request"]["logger"] == "access"
    assert events["audit"]["logger"] == "audit"
    ended = {line["task_id"] for line in lines if line["event"] == "task_succeeded"}
    assert events["image_decoded"]["task_id"] in ended
    assert events["image_decoded"]["process"] == "worker"


def test_refusals_are_lines_of_the_logger_security(told):
    for event in (Event.LOGIN_REFUSED, Event.TOKEN_REFUSED, Event.RATE_LIMITED):
        lines = told.of(event)
        assert lines, event
        assert {line["logger"] for line in lines} == {"security"}
        audits = [{**each, "event": event, "logger": "security"} for each in told.of(Event.AUDIT)]
        kept = {"actor", "address", "target", "request_id", "count", "details"}
        known = [{key: each[key] for key in kept} for each in audits]
        assert all({key: line[key] for key in kept} in known for line in lines)


def test_a_declared_error_has_no_traceback_and_nothing_else_fails(told):
    before = [json.loads(line) for line in told.texts["api"][: told.undisturbed]]
    assert not [line for line in before if line["level"] in {"error", "critical"}]
    failed = [line for line in told.of(Event.TASK_ATTEMPT_FAILED) if line["state"] == "failed"]
    assert failed
    assert all("exception" not in line and line["error"] for line in failed)
    assert told.of(Event.PROCESS_ENDED)
    assert told.of(Event.COMMAND_FAILED)


def test_elasticsearch_takes_every_line(told):
    pipeline = json.loads((ELK / "ingest-pipeline.json").read_text())
    template = json.loads((ELK / "index-template.json").read_text())["template"]
    shipped = {"log": {"file": {"path": "api.log"}, "offset": 1}, "host": {"name": "host"}}
    for name, lines in told.texts.items():
        for line in lines:
            document = elastic.ingest(pipeline, {"message": line, **shipped})
            assert "kind" not in document.get("event", {}), (name, document)
            elastic.check(template["mappings"], document)
            assert document["@timestamp"] == json.loads(line)["timestamp"]
            assert document["service"]["name"] == "course-enrollment-service"
    broken = elastic.ingest(pipeline, {"message": "no JSON", **shipped})
    assert (broken["message"], broken["event"]["kind"]) == ("no JSON", "pipeline_error")
    elastic.check(template["mappings"], broken)


def test_lnav_reads_every_line(told, tmp_path):
    if (program := shutil.which("lnav")) is None:
        is_absent("lnav", "lnav")
    formats = tmp_path / "formats" / "enroll"
    formats.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "observe" / "lnav" / "enroll.json", formats)
    api = tmp_path / "api.log"
    api.write_text("".join(f"{line}\n" for line in told.texts["api"]))
    query = "SELECT event, logger, log_level, request_id, status FROM enroll_log"
    command = [program, "-n", "-I", str(tmp_path)]
    for arguments in (["-C"], ["-c", f";{query}", "-c", ":write-json-to -", str(api)]):
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stderr == ""
    wanted = [json.loads(line) for line in told.texts["api"]]
    found = json.loads(done.stdout)
    assert sorted(each["event"] for each in found) == sorted(each["event"] for each in wanted)
    warned = [each for each in found if each["log_level"] == "warning"]
    assert len(warned) == len([each for each in wanted if each["level"] == "warning"])
    shown = {each["request_id"]: str(each["status"]) for each in found if each["status"]}
    assert shown[told.upload_id] == "201"
