"""The service under test on this machine: started, filled, and ready."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from cli.demo import picture
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.service import Service, start_service
from loadtests.load.catalogue import by_popularity

ROOT = Path(__file__).resolve().parents[2]
DATA_DIR = ROOT / "loadtests" / ".data"
SERVICE_DIR = DATA_DIR / "service"
COURSES, ENROLLMENTS = 1_000, 200_000
# Beside the demo courses: the most popular ones, and some of the others.
PICTURED_FROM_TOP, PICTURED_EVERY = 30, 25
PICTURES = 8
SETTLE_SECONDS = 180.0
ADMIN = {"username": "admin", "password": "admin!dev"}

# All students have one address here, so its limits are higher. Not exempt: the cost of the limits
# is measured, too.
ENVIRONMENT = {
    "RATE_LIMIT_READS": "100000000",
    "RATE_LIMIT_WRITES": "100000000",
    "RATE_LIMIT_UPLOADS": "100000",
    "RATE_LIMIT_LOGINS": "100000",
}

Progress = Callable[[str], None]


class StackError(Exception):
    """The service under test can't be set up; the message says why."""


@contextmanager
def running(progress: Progress, environment: Mapping[str, str]) -> Iterator[Service]:
    """Run the service on an empty folder of its own, filled; its logs stay in DATA_DIR.

    Raises:
        StackError: another load test runs here, or the service can't be started or filled.

    """
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    with _alone(), ExitStack() as life:
        shutil.rmtree(SERVICE_DIR, ignore_errors=True)
        try:
            service = _start(progress, environment)
            life.callback(service.stop)
            _fill(service, progress)
        except (EmbeddedError, subprocess.SubprocessError, httpx.HTTPError, TimeoutError) as error:
            raise StackError(f"the service can't be set up: {error}") from None
        yield service


@contextmanager
def _alone() -> Iterator[None]:
    with (DATA_DIR / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("another load test runs in this checkout") from None
        yield


def _start(progress: Progress, environment: Mapping[str, str]) -> Service:
    progress("starting the service")
    # Only the default account is known here.
    own = {"ADMIN_USERNAME": ADMIN["username"], "ADMIN_PASSWORD": ADMIN["password"]}
    settings = {**ENVIRONMENT, **own, **environment}
    return start_service(SERVICE_DIR, *_free_ports(2), environment=settings)


def _fill(service: Service, progress: Progress) -> None:
    with httpx.Client(base_url=f"{service.base_url}/api/v1", timeout=30) as client:
        _until("the demo courses are there", lambda: _total(client) > 0)
        progress(f"adding {COURSES:,} courses and {ENROLLMENTS:,} enrolments")
        amounts = ["--courses", str(COURSES), "--enrollments", str(ENROLLMENTS)]
        subprocess.run(
            [sys.executable, "-m", "cli", "seed", *amounts],
            cwd=ROOT,
            env={**os.environ, **service.env},
            check=True,
        )
        ids = by_popularity(course["id"] for course in client.get("/courses").json())
        pictured = [*ids[:PICTURED_FROM_TOP], *ids[PICTURED_FROM_TOP::PICTURED_EVERY]]
        progress(f"giving {len(pictured)} courses a picture")
        token = client.post("/auth/login", json=ADMIN).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        _upload(client, pictured)


def _upload(client: httpx.Client, course_ids: list[str]) -> None:
    pictures = [picture(f"Course {number}", number) for number in range(PICTURES)]

    def upload(numbered: tuple[int, str]) -> None:
        number, course_id = numbered
        files = {"image": ("picture.jpg", pictures[number % PICTURES])}
        client.put(f"/courses/{course_id}/image", files=files).raise_for_status()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(upload, enumerate(course_ids)))
    _until("the pictures are ready", lambda: _are_pictured(client, course_ids))


def _are_pictured(client: httpx.Client, course_ids: list[str]) -> bool:
    courses = {course["id"]: course for course in client.get("/courses").json()}
    states = {courses[each]["image"]["status"] for each in course_ids}
    if "failed" in states:
        raise StackError("a picture of the set-up failed; the worker's log says why")
    return states == {"ready"}


def _total(client: httpx.Client) -> int:
    total: int = client.get("/courses", params={"limit": 1}).json()["pagination"]["total_count"]
    return total


def _until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {SETTLE_SECONDS:.0f} s: {what}")
        time.sleep(0.25)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def account() -> dict[str, str]:
    """Return the admin's account of a service that is given by its address."""
    return {
        "username": os.environ.get("ADMIN_USERNAME", ADMIN["username"]),
        "password": os.environ.get("ADMIN_PASSWORD", ADMIN["password"]),
    }
