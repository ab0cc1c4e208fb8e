"""Fails the database over under load, and counts what that harms."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deploy.embedded import probe
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import Launcher
from deploy.embedded.service import start_service
from deploy.failover.pair import Pair, running_pair
from infra.db.engine import direct_connection
from loadtests.failover.load import ANSWER_SECONDS, ENROLLMENT, Load, Outcome
from loadtests.load.stack import ADMIN
from loadtests.steady import sending

COURSE = {"title": "Failover", "description": "A course of the drill", "difficulty": "Beginner"}
COURSES = 8
BACK_SECONDS = 30.0
KILLED = "primary killed, standby promoted"
STOPPED = "primary stopped, standby promoted"
FROZEN = "primary frozen, standby promoted"
REJOINED = "old primary rejoined"
ANY_ADDRESS_EXEMPT = {"RATE_LIMIT_EXEMPT": "127.0.0.1", "OBSERVE": "false"}


@dataclass
class Step:
    """A part of the drill, from its action until the next one's; times are monotonic."""

    name: str
    began_at: float
    # When the action was done.
    acted_at: float = float("inf")
    ended_at: float = float("inf")

    def gap(self, outcomes: list[Outcome], kind: str) -> float:
        """Return the longest time in seconds without a successful answer of a kind."""
        times = sorted(each.answered_at for each in outcomes if each.kind == kind and each.is_ok)
        before = [at for at in times if at < self.began_at][-1:]
        within = [at for at in times if self.began_at <= at < self.ended_at]
        points = before + within
        return max((b - a for a, b in itertools.pairwise(points)), default=float("inf"))

    def answered(self, outcomes: list[Outcome], kind: str) -> list[Outcome]:
        """Return the requests of a kind that were answered, or given up, in this part."""
        return [
            each
            for each in outcomes
            if each.kind == kind and self.began_at <= each.answered_at < self.ended_at
        ]


@dataclass
class Result:
    """The steps of a drill, the outcomes of its requests, and acknowledged enrolments lost."""

    steps: list[Step] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    acknowledged: int = 0
    lost: set[str] = field(default_factory=set)


class Drill:
    """A pair of databases, the service on it, and the load."""

    def __init__(self, pair: Pair, load: Load, calm_seconds: float) -> None:
        self.pair = pair
        self.load = load
        self.result = Result(outcomes=load.outcomes)
        self._calm_seconds = calm_seconds

    async def step(self, name: str, action: Callable[[], Awaitable[object]]) -> None:
        """Do something to the databases, wait until writes work again, then for a while."""
        began_at = time.monotonic()
        if self.result.steps:
            self.result.steps[-1].ended_at = began_at
        self.result.steps.append(step := Step(name, began_at))
        await action()
        step.acted_at = time.monotonic()
        async with asyncio.timeout(BACK_SECONDS):
            await probe.wait_until(lambda: self._is_back(step.acted_at))
        await asyncio.sleep(self._calm_seconds)

    async def _is_back(self, since: float) -> bool:
        latest = self.load.outcomes[-10:]
        return any(e.kind == ENROLLMENT and e.is_ok and e.sent_at > since for e in latest)

    async def count_lost(self) -> None:
        """Compare what was acknowledged with what the primary has now."""
        async with direct_connection(self.pair.primary.url()) as connection:
            rows = await connection.fetch("SELECT student_email FROM enrollments")
        self.result.acknowledged = len(self.load.acknowledged)
        self.result.lost = self.load.acknowledged - {row["student_email"] for row in rows}


@dataclass(frozen=True)
class Site:
    """A pair of databases, and the service on it by a client with an admin's token."""

    pair: Pair
    client: httpx.AsyncClient


@asynccontextmanager
async def running_site(
    folder: Path, ports: tuple[int, int], *, synchronous: bool
) -> AsyncIterator[Site]:
    """Run a pair and the service during the block; `ports` are those of the API and of Flower."""
    async with (
        Launcher(DataDir(folder / "databases")) as launcher,
        running_pair(launcher, synchronous=synchronous) as pair,
        _service(folder, ports, pair) as client,
    ):
        yield Site(pair, client)


async def run(site: Site, *, synchronous: bool, rate: float, calm_seconds: float) -> Result:
    """Kill, stop and freeze the primary, and rejoin it after each; return what that harms."""
    pair = site.pair
    load = Load(site.client, await create_courses(site.client))
    async with sending(load.requests(), rate):
        drill = Drill(pair, load, calm_seconds)
        await asyncio.sleep(calm_seconds)
        await drill.step(KILLED, lambda: _crash(pair))
        await drill.step(REJOINED, lambda: pair.rejoin(synchronous=synchronous))
        await drill.step(STOPPED, lambda: _switch(pair))
        await drill.step(REJOINED, lambda: pair.rejoin(synchronous=synchronous))
        await drill.step(FROZEN, lambda: _freeze(pair))
        await drill.step(REJOINED, lambda: pair.rejoin(synchronous=synchronous))
    await drill.count_lost()
    return drill.result


async def _crash(pair: Pair) -> None:
    await pair.primary.kill()
    await pair.fail_over()


async def _freeze(pair: Pair) -> None:
    pair.primary.freeze()
    await pair.fail_over()


async def _switch(pair: Pair) -> None:
    await pair.primary.stop()
    await pair.fail_over()


@asynccontextmanager
async def _service(
    folder: Path, ports: tuple[int, int], pair: Pair
) -> AsyncIterator[httpx.AsyncClient]:
    environment = ANY_ADDRESS_EXEMPT | {"DATABASE_URL": pair.url, "WORKER_QUEUES": "*:1"}
    service = await asyncio.to_thread(
        start_service, folder / "service", *ports, environment=environment
    )
    try:
        async with admin_client(service.base_url) as client:
            yield client
    finally:
        await asyncio.to_thread(service.stop)


@asynccontextmanager
async def admin_client(origin: str, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Connect to the API with an admin's token; `options` are httpx's."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=f"{origin}/api/v1", timeout=ANSWER_SECONDS, limits=limits, **options
    ) as client:
        login = (await client.post("/auth/login", json=ADMIN)).raise_for_status()
        client.headers["Authorization"] = f"Bearer {login.json()['token']}"
        yield client


async def create_courses(client: httpx.AsyncClient) -> tuple[str, ...]:
    """Create the courses of a load; return their ids."""
    made = [await client.post("/courses", json=COURSE) for _ in range(COURSES)]
    return tuple(response.raise_for_status().json()["id"] for response in made)
