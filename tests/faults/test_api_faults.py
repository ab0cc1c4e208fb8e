"""An API that is killed between commit and response."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from urllib.parse import urlsplit

import httpx

from tests import photos
from tests.factories import ADMIN, COURSE, free_ports
from tests.faults.harness import TASKS, Site
from tests.faults.verdict import bucket_keys, settle
from tests.forkserver import start
from tests.streams import CHUNK, carry

ROUNDS = 4 if TASKS >= 500 else 2
CLIENTS = 8
# The message by which PostgreSQL says that a transaction has committed.
COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"


class Uploads:
    """An API that is killed at a commit, and clients that upload to it continuously."""

    def __init__(self, site: Site) -> None:
        port = free_ports(1)[0]
        self.environment = site.environment | {"PORT": str(port), "API_WORKERS": "1"}
        self.commits = 0
        self.log = site.folder / "api.log"
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.headers = {}
        self.answered = set()

    async def start(self) -> None:
        """Start the API and wait until it is ready."""
        self.commits = 0
        with self.log.open("ab") as output:
            self.process = start(
                *("-m", "cli", "api"),
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

    @asynccontextmanager
    async def line_to_database(self) -> AsyncIterator[None]:
        """Give the API a line to its database, on which it never hears of the round's last commit.

        It is killed instead.
        """
        address = urlsplit(self.environment["DATABASE_URL"])

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answers, requests = await asyncio.open_connection(address.hostname, address.port)
            await asyncio.gather(carry(reader, requests), self._answer(answers, writer))

        async with await asyncio.start_server(connect, "127.0.0.1", 0) as line:
            port = line.sockets[0].getsockname()[1]
            host = address.netloc.replace(f":{address.port}", f":{port}")
            self.environment |= {"DATABASE_URL": address._replace(netloc=host).geturl()}
            yield

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError):
            while data := await reader.read(CHUNK):
                self.commits += data.count(COMMITTED)
                if COMMITTED in data and self.commits >= TASKS // ROUNDS:
                    os.killpg(self.process.pid, signal.SIGKILL)
                    await asyncio.to_thread(self.process.wait)
                    break
                writer.write(data)

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
    async with uploads.line_to_database():
        while len(courses) < TASKS or not unanswered:
            await uploads.start()
            await uploads.log_in()
            uploads.commits = 0
            await asyncio.gather(*(uploads.upload_on_and_on(photo) for _ in range(CLIENTS)))
            await asyncio.to_thread(uploads.process.wait)
            courses = await site.database.fetch("SELECT id::text, image_task_id::text FROM courses")
            unanswered = len(courses) - len(uploads.answered)
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
