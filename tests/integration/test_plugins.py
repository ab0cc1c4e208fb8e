"""Plug-ins in real processes: valid and broken packages of tasks, and a file store."""

import json
from uuid import uuid4

import httpx
import pytest

from deploy.embedded.servers import running
from deploy.embedded.service import start_service
from infra.db.engine import database
from infra.db.migrations import migrate
from infra.queue import queries
from infra.queue.enqueue import enqueue
from models import Course, Difficulty, Task, TaskState
from services.task_names import TaskName
from tests import photos
from tests.factories import Api, eventually, free_ports
from tests.plugins.brokers import worker
from tests.plugins.packages import EXAMPLE, pip_install, write_package

BROKEN = {
    "unimportable": "import no_such_module",
    "halfway": """
from tasks.registry import task

@task("halfway.made")
async def made(context):
    pass

raise RuntimeError("no license file")
""",
    "usurper": """
from tasks.registry import task

@task("maintenance.analyze")
async def analyze(context):
    raise SystemExit
""",
}
# Adds one of each kind, to what is there by other names.
EACH_KIND = """
import os
from pathlib import Path
from urllib.parse import urlsplit

from kombu.transport.redis import Transport

from course_enrollment.infra.cache import SecondLevel
from course_enrollment.infra.storage.file import FileStorage
from course_enrollment.queue import Hooks, PermanentError, enqueue, rows, task


class Broker(Transport):
    pass


def open_folder(url, public):
    return FileStorage(Path(urlsplit(url).path), public)


def open_nothing(url, namespace):
    assert url == "nothing://"
    return SecondLevel("memory://", namespace)


def note(*words):
    with Path(os.environ["NOTES"]).open("a") as file:
        print(*words, file=file)


async def notify(task, error):
    note("notified", task.name, error)


class Noting(Hooks):
    async def enqueued(self, task, args):
        note("enqueued", task.name, args)
        if args == '{"reason":"refused"}':
            raise PermanentError("refused")
        await rows("UPDATE tasks SET priority = 7 WHERE id = $1", task.id)

    async def before(self, task):
        note("before", task.name)

    async def after(self, task):
        note("after", task.name)
        raise RuntimeError("this is logged")

    async def failed(self, task, error, state):
        note("failed", task.name, error, state)

    async def state_changed(self, task, state):
        note("is", task.name, state)


@task("kinds.parent", queue="catalogue")
async def parent(context, reason: str):
    await enqueue("kinds.child", {"reason": reason})


@task("kinds.child", queue="catalogue")
async def child(context, reason: str):
    raise PermanentError(reason)
"""
POINTS = {
    "course_enrollment.tasks": "kinds = each_kind",
    "course_enrollment.hooks": "noting = each_kind:Noting",
    "course_enrollment.notifiers": "file = each_kind:notify",
    "course_enrollment.storage": "folder = each_kind:open_folder",
    "course_enrollment.cache": "nothing = each_kind:open_nothing",
    "course_enrollment.brokers": "again = each_kind:Broker",
}


@pytest.fixture(scope="module")
async def servers(tmp_path_factory):
    """A database and a broker that no other worker uses."""
    folder = tmp_path_factory.mktemp("servers")
    async with running(folder, {"postgres", "broker"}, fsync=False) as chosen:
        environment = chosen.environment
        await migrate(environment["DATABASE_URL"])
        async with database(environment["DATABASE_URL"], pool_size=3):
            yield environment


@pytest.fixture(scope="module")
async def plugged(servers, tmp_path_factory):
    """A worker with all these packages: its media folder and its log."""
    folder = tmp_path_factory.mktemp("plugged")
    packages = folder / "packages"
    pip_install(EXAMPLE, packages)
    for name, code in BROKEN.items():
        write_package(packages, name, code)
    write_package(packages, "each_kind", EACH_KIND, POINTS)
    environment = {
        **servers,
        "BROKER_URL": servers["BROKER_URL"].replace("redis:", "again:"),
        "CACHE_URL": "nothing://",
        "STORAGE_URL": f"folder://{folder}/media",
        "PYTHONPATH": str(packages),
        "NOTES": str(folder / "notes"),
    }
    async with worker(folder, environment) as log:
        yield folder / "media", log


async def _succeeded(task_id) -> Task:
    async def ended() -> Task | None:
        task = await queries.get(task_id)
        return task if task.state in {TaskState.SUCCEEDED, TaskState.FAILED} else None

    task = await eventually(ended)
    assert task.state == TaskState.SUCCEEDED, task.traceback
    return task


async def test_a_task_of_an_installed_package_runs_on_its_own_queue(plugged):
    objects, _ = plugged
    for title in ("Optics", "Algebra"):
        await Course.create(title=title, description="-", difficulty=Difficulty.BEGINNER)
    task = await _succeeded(await enqueue("catalogue.export", {"partner": "acme"}))
    assert (objects / f"exports/acme/{task.id}.txt").read_text() == "Algebra\nOptics\n"
    assert (task.queue, task.attempts, task.max_attempts) == ("catalogue", 1, 3)


async def test_the_hooks_and_the_notifier_of_a_package_are_called(plugged):
    objects, log = plugged
    notes = objects.with_name("notes")
    notes.unlink(missing_ok=True)
    await _succeeded(await enqueue("kinds.parent", {"reason": "no"}))

    async def child() -> Task | None:
        return await Task.get_or_none(name="kinds.child", state=TaskState.FAILED)

    assert (await eventually(child)).priority == 7

    async def told() -> list[str] | None:
        lines = notes.read_text().splitlines()
        return lines if "is kinds.child failed" in lines else None

    lines = [each for each in await eventually(told) if "kinds." in each]
    assert [each for each in lines if "child" in each] == [
        'enqueued kinds.child {"reason":"no"}',
        "is kinds.child running",
        "before kinds.child",
        "failed kinds.child no failed",
        "notified kinds.child no",
        "is kinds.child failed",
    ]
    assert [each for each in lines if "parent" in each] == [
        "is kinds.parent running",
        "before kinds.parent",
        "after kinds.parent",
        "is kinds.parent succeeded",
    ]
    assert '"hook_failed"' in log.read_text()


async def test_a_hook_that_refuses_a_task_rolls_back_its_enqueuing(plugged):
    refused = await enqueue("kinds.parent", {"reason": "refused"}, task_id=uuid4())

    async def is_refused() -> bool:
        return (await queries.get(refused)).state == TaskState.FAILED

    await eventually(is_refused)
    assert await Task.filter(name="kinds.child").count() == 1


async def test_the_services_tasks_run_beside_broken_packages(plugged):
    await _succeeded(await enqueue(TaskName.ANALYZE, {}))


async def test_a_broken_package_is_logged_once(plugged):
    _, log = plugged
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    failed = [line for line in lines if line["event"] == "plugin_failed"]
    named = {line["package"]: line for line in failed}
    assert named.keys() == BROKEN.keys()
    assert len(failed) == len(BROKEN)
    assert all(line["level"] == "error" for line in failed)
    assert named["halfway"]["plugin"] == "halfway-tasks"
    assert "no license file" in named["halfway"]["exception"]
    assert "No module named 'no_such_module'" in named["unimportable"]["exception"]
    assert "two tasks are called 'maintenance.analyze'" in named["usurper"]["exception"]


async def test_a_task_of_a_partly_loaded_package_waits(plugged):
    waiting = await enqueue("halfway.made", {})
    await _succeeded(await enqueue(TaskName.ANALYZE, {}))
    task = await queries.get(waiting)
    assert (task.state, task.published_at) == (TaskState.QUEUED, None)


@pytest.fixture(scope="module")
async def file_api(tmp_path_factory):
    """The API of a service with a file store, and the store's directory."""
    folder = tmp_path_factory.mktemp("files")
    port, flower_port = free_ports(2)
    storage = {"STORAGE_URL": f"file://{folder}/media", "IMAGE_MEMORY_SECONDS": "1"}
    service = start_service(folder / "data", port, flower_port, environment=storage)
    async with httpx.AsyncClient(base_url=service.base_url, timeout=30) as client:
        yield await Api.log_in(client), folder / "media"
    service.stop()


async def test_an_image_in_a_file_store_is_served_at_its_url(file_api):
    api, objects = file_api
    course = await api.pictured(photos.jpeg())
    addresses = [variant["url"] for variant in course["image"]["variants"]]
    assert addresses
    for address in addresses:
        response = await api.client.get(address)
        assert response.status_code == 200
        # A complete URL, so that a page of another origin finds it.
        key = address.removeprefix(f"{api.client.base_url}/media/")
        assert response.content == (objects / key).read_bytes()
        assert response.headers["content-type"] == "image/webp"
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        head = await api.client.head(address)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(response.content))
    await api.call("DELETE", f"/courses/{course['id']}")

    async def is_gone() -> bool:
        return (await api.client.get(addresses[0])).status_code == 404

    await eventually(is_gone)


async def test_other_objects_have_the_type_of_their_name(file_api):
    api, objects = file_api
    (objects / "exports").mkdir()
    for name, content_type in (("ä b.txt", "text/plain"), ("none", "application/octet-stream")):
        (objects / "exports" / name).write_bytes(b"x")
        response = await api.client.get(f"/media/exports/{name}")
        assert (response.status_code, response.content) == (200, b"x")
        assert response.headers["content-type"].startswith(content_type)


async def test_only_objects_are_served(file_api):
    api, objects = file_api
    (objects.parent / "secret").write_text("secret")
    (objects / ".incoming/half.webp").write_text("half")
    (objects / "out").symlink_to(objects.parent)
    (objects / "link").symlink_to(objects.parent / "secret")
    for path in (
        "no/such.webp",
        "",
        "out",
        "out/secret",
        "link",
        ".incoming/half.webp",
        "%2e%2e/secret",
        "..%2fsecret",
        "a%2f..%2f..%2fsecret",
        "%2fetc%2fpasswd",
        "%00",
        "a" * 300,
        "%ff",
    ):
        response = await api.client.get(f"/media/{path}")
        assert response.status_code == 404, path
        assert response.json()["details"] == {"code": "NOT_FOUND"}
        assert "immutable" not in response.headers.get("cache-control", "")
    assert (await api.client.post("/media/link")).status_code == 405
