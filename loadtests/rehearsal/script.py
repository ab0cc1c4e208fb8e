"""The script: what is done to the installation under load, and what is checked at its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx

from cli.release import EXIT_ROLLED_BACK
from deploy.embedded import probe
from infra.db.engine import direct_connection
from loadtests.bench.backup.site import OWNER, archive_all
from loadtests.bench.results import print_progress
from loadtests.failover.drill import COURSE, Drill, admin_client, create_courses
from loadtests.failover.load import Load
from loadtests.load.photo import photograph
from loadtests.rehearsal.stage import BAD, GOOD, STABLE, Stage, Version
from loadtests.rehearsal.versions import RehearsalError
from loadtests.steady import sending

BAD_ERRORS = 0.05
UPLOAD_SECONDS = 2.0
READY_SECONDS = 120
PHOTO = (1200, 900)
ENDED = ("ready", "failed")


@dataclass
class Uploads:
    """Courses with a picture, one after the other; what was accepted has to get ready."""

    client: httpx.AsyncClient
    photo: bytes
    accepted: list[str] = field(default_factory=list)
    refused: int = 0
    ready: int = 0

    async def run(self) -> None:
        """Upload until this is cancelled."""
        while True:
            await asyncio.gather(self._upload(), asyncio.sleep(UPLOAD_SECONDS))

    async def _upload(self) -> None:
        files = {"image": ("photo.jpg", self.photo)}
        try:
            response = await self.client.post("/courses/upload", data=COURSE, files=files)
        except httpx.TransportError:
            self.refused += 1
            return
        if response.is_success:
            self.accepted.append(response.json()["id"])
        else:
            self.refused += 1

    async def count_ready(self) -> None:
        """Wait until all have ended; count those that show their picture."""

        async def have_ended() -> bool:
            courses = [await self.client.get(f"/courses/{each}") for each in self.accepted]
            states = [each.json()["image"]["status"] for each in courses]
            self.ready = states.count("ready")
            return all(state in ENDED for state in states)

        async with asyncio.timeout(READY_SECONDS):
            await probe.wait_until(have_ended)


@dataclass
class Rehearsed:
    """What came of it."""

    drill: Drill
    uploads: Uploads
    redirect: str
    restored: int = 0
    missing: int = 0
    restore_seconds: float = 0.0


async def perform(stage: Stage, rate: float, calm_seconds: float) -> Rehearsed:
    """Run the script.

    Raises:
        RehearsalError: a step did not do what it is for.

    """
    await stage.migrate()
    stable = await stage.start_version(STABLE)
    await stage.start_front(stable)
    async with admin_client(stage.nginx.origin, verify=stage.trusted) as client:
        load = Load(client, await create_courses(client))
        drill = Drill(stage.pair, load, calm_seconds)
        uploads = Uploads(client, await asyncio.to_thread(photograph, *PHOTO))
        rehearsed = Rehearsed(drill, uploads, await _redirect(stage))
        async with sending(load.requests(), rate), _running(uploads.run()):
            await asyncio.sleep(calm_seconds)
            await _disturb(stage, drill, stable)
        await uploads.count_ready()
        await drill.count_lost()
        await _restore(stage, rehearsed)
    return rehearsed


async def _disturb(stage: Stage, drill: Drill, stable: Version) -> None:
    async def fail_over() -> None:
        await stage.pair.primary.kill()
        await stage.pair.fail_over()

    async def step(name: str, action: Callable[[], Awaitable[object]]) -> None:
        print_progress(name)
        await drill.step(name, action)

    await step("full backup, verified and stored", lambda: stage.enroll("backup", "--full"))
    await step("primary killed, standby promoted", fail_over)
    await step("old primary rejoined", lambda: stage.pair.rejoin(synchronous=True))
    await step(f"{GOOD} started beside {STABLE}", lambda: stage.start_version(GOOD))
    good = stage.running[GOOD]
    await step(f"{GOOD} released in four steps", lambda: _release(stage, stable, good))
    await step(f"{STABLE} stopped", lambda: stage.stop_version(STABLE))
    await step(
        f"{BAD} started, of whose responses 5 % are errors",
        lambda: stage.start_version(BAD, errors=BAD_ERRORS),
    )
    bad = stage.running[BAD]
    await step(f"{BAD} rolled back", lambda: _release(stage, good, bad, EXIT_ROLLED_BACK))
    await step(f"{BAD} stopped", lambda: stage.stop_version(BAD))


async def _release(stage: Stage, old: Version, new: Version, expected: int = 0) -> None:
    code = await stage.release(old, new)
    if code != expected:
        raise RehearsalError(f"the release of {new.revision} ended with {code}:\n{stage.said(new)}")


async def _restore(stage: Stage, rehearsed: Rehearsed) -> None:
    """Restore the end of the archive; count the acknowledged enrolments that it has."""
    await archive_all(stage.pair.primary.url("postgres"))
    into = stage.folder / "restored"
    began = time.monotonic()
    await stage.enroll("restore", "--to", "latest", "--into", into, *OWNER)
    rehearsed.restore_seconds = time.monotonic() - began
    async with stage.restored(into) as url, direct_connection(url) as connection:
        rows = await connection.fetch("SELECT student_email FROM enrollments")
    known = {row["student_email"] for row in rows}
    acknowledged = rehearsed.drill.load.acknowledged
    rehearsed.missing = len(acknowledged - known)
    rehearsed.restored = len(acknowledged & known)


async def _redirect(stage: Stage) -> str:
    """Return what a client of the old service sees, which speaks HTTP."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{stage.nginx.http_listen[0]}/api/v1/courses")
    return f"{answer.status_code} {answer.headers.get('location', '')}"


@asynccontextmanager
async def _running(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
