"""An API that is killed between commit and response."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress

import httpx

from tests import photos
from tests.factories import ADMIN, COURSE, free_ports
from tests.faults.harness import TASKS, Site
from tests.faults.verdict import bucket_keys, settle

ROUNDS = 4 if TASKS >= 500 else 2
CLIENTS = 8


class Uploads:
    """An API that can be killed, and clients that upload to it continuously."""

    def __init__(self, site: Site) -> None:
        port = free_ports(1)[0]
        self.environment = site.environment | {"PORT": str(port), "API_WORKERS": "1"}
        self.log = site.folder / "api.log"
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.headers = {}
        self.answered = set()

    async def start(self) -> None:
        """Start the API and wait until it is ready."""
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli", "api"),
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        async with asyncio.timeout(30):
            while not await self._is_ready():  # noqa: ASYNC110  another process: only asking tells
                await asyncio.sleep(0.05)

    async def _is_ready(self) -> bool:
        try:
            return (await self.client.get("/health/ready")).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """Kill all its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def log_in(self) -> None:
        """Get an admin's token."""
        answer = await self.client.post("/api/v1/auth/login", json=ADMIN)
        self.headers = {"Authorization": f"Bearer {answer.json()['token']}"}

    async def upload_on_and_on(self, photo: bytes) -> None:
        """Upload courses until the API is gone; record the ids of the responses."""
        with suppress(httpx.TransportError):
            while True:
                answer = await self.client.post(
                    "/api/v1/courses/upload",
                    data=COURSE,
                    files={"image": ("photo.jpg", photo)},
                    headers=self.headers,
                )
                self.answered.add(answer.json()["id"])


async def test_api_killed_between_commit_and_response(site):
    """An answered upload exists; an unanswered one exists completely or not at all."""
    photo, uploads = photos.jpeg(400, 300), Uploads(site)
    courses, unanswered = [], 0
    listener = await site.database.acquire()
    # The notification is sent at commit; after it the API reads the course and responds.
    committed = []

    def hear(*_: object) -> None:
        """Kill the API at the commit that completes the round."""
        committed.append(None)
        if len(committed) == TASKS // ROUNDS:
            uploads.kill()

    await listener.add_listener("tasks", hear)
    while len(courses) < TASKS or not unanswered:
        await uploads.start()
        await uploads.log_in()
        committed.clear()
        await asyncio.gather(*(uploads.upload_on_and_on(photo) for _ in range(CLIENTS)))
        await uploads.process.wait()
        courses = await site.database.fetch("SELECT id::text, image_task_id::text FROM courses")
        unanswered = len(courses) - len(uploads.answered)
    await listener.remove_listener("tasks", hear)
    await uploads.client.aclose()
    assert uploads.answered <= {course["id"] for course in courses}
    site.accepted |= {course["image_task_id"] for course in courses}
    since = time.monotonic()
    site.start_worker()
    fault = f"API killed between commit and answer ({unanswered} unanswered)"
    outcome = await settle(site, fault, since)
    assert outcome.done == outcome.accepted
    rows = await site.database.fetch(
        "SELECT image_task_id, count(key) AS variants FROM courses "
        "LEFT JOIN image_variants ON course_id = courses.id GROUP BY courses.id"
    )
    assert {(row["image_task_id"], row["variants"]) for row in rows} == {(None, 2)}
    assert await site.database.fetchval("SELECT count(*) FROM uploads") == 0
    keys = {row["key"] for row in await site.database.fetch("SELECT key FROM image_variants")}
    stored = await asyncio.to_thread(bucket_keys, site, "courses/")
    assert {f"courses/{key}" for key in stored} == keys
