"""`python -m loadtests.bench.warming`: the first seconds after a restart, with warming and without.

Courses are read as students read them, few of them by most (Zipf), until the service knows which.
Then Redis loses its answers, an API starts, and the same reading begins at a steady pace. A B A B.
"""

import asyncio
import os
import random
import re
import signal
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass

import httpx
import redis

from infra.cache.response_cache import COUNT_SECONDS
from loadtests.bench import pages, results
from loadtests.bench.environment import Database, Environment, Instance, environment
from loadtests.bench.results import verdict
from loadtests.load.exposition import origin_of_metrics

COURSES, READ_COURSES = 10_000, 300
RATE, SECONDS, ROUNDS = 300, 3.0, 5
WARM = 100
PAUSE_SECONDS = 1.0
LISTS = ("/api/v1/courses", "/api/v1/courses?page=1", "/api/v1/courses?page=2&limit=20")


@dataclass
class Seen:
    """The first seconds of an instance; milliseconds."""

    hits: float
    p50: float
    p99: float
    worst: float


class Reader:
    """Asks for courses and lists, the first ones most."""

    def __init__(self, ids: list[str]) -> None:
        self._random = random.Random(1)  # noqa: S311  the same reading each time
        if len(ids) < READ_COURSES:
            raise SystemExit(f"{len(ids)} courses to read, and {READ_COURSES} are wanted")
        self._paths = [*LISTS, *(f"/api/v1/courses/{each}" for each in ids[:READ_COURSES])]
        self._weights = [1 / rank for rank in range(1, len(self._paths) + 1)]

    def path(self) -> str:
        """Return what to ask for next."""
        return self._random.choices(self._paths, self._weights)[0]

    async def read(self, client: httpx.AsyncClient, seconds: float) -> list[float]:
        """Read at RATE, in Poisson's time, whatever the answers take; return their times."""
        times: list[float] = []

        async def once(path: str, due: float) -> None:
            (await client.get(path)).raise_for_status()
            times.append((time.perf_counter() - due) * 1000)

        started = due = time.perf_counter()
        async with asyncio.TaskGroup() as reads:
            while due < started + seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                reads.create_task(once(self.path(), due))
                due += self._random.expovariate(RATE)
        return times


async def _answers(client: httpx.AsyncClient) -> dict[str, float]:
    text = (await client.get(f"{origin_of_metrics(str(client.base_url))}/metrics")).text
    found = re.findall(r'^cache_requests_total\{tier="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return defaultdict(float, {answer: float(count) for answer, count in found})


async def _first_seconds(instance: Instance, reader: Reader) -> Seen:
    async with httpx.AsyncClient(base_url=instance.url, timeout=10) as client:
        # Both get the time that a load balancer takes to find out about an instance.
        await asyncio.sleep(PAUSE_SECONDS)
        before = await _answers(client)
        times = sorted(await reader.read(client, SECONDS))
        after = await _answers(client)
    grown = {answer: after[answer] - before[answer] for answer in ("memory", "redis", "database")}
    hits = 1 - grown["database"] / sum(grown.values())
    return Seen(hits, times[len(times) // 2], times[int(len(times) * 0.99)], times[-1])


async def _restarted(at: Environment, database: Database, name: str, warm: int) -> Seen:
    """Measure an instance that starts with nothing in memory nor in Redis."""
    with redis.Redis.from_url(database.cache_url) as server:
        for key in server.scan_iter("enroll:*:a:*"):
            server.delete(key)
    instance = await at.ours(name, database, CACHE_WARM_RESPONSES=str(warm))
    reader = Reader(database.ids.read_text("ascii").split())
    seen = await _first_seconds(instance, reader)
    os.kill(instance.pid, signal.SIGTERM)
    return seen


async def main() -> None:
    """Measure, print, and write the table down."""
    seen: dict[int, list[Seen]] = {WARM: [], 0: []}
    async with environment() as at:
        database = await at.database("warming", COURSES, 0, ids_of=READ_COURSES)
        teacher = await at.ours("teacher", database)
        reader = Reader(database.ids.read_text("ascii").split())
        async with httpx.AsyncClient(base_url=teacher.url, timeout=10) as client:
            await reader.read(client, 2 * COUNT_SECONDS)
            await asyncio.sleep(COUNT_SECONDS)
        os.kill(teacher.pid, signal.SIGTERM)
        for number in range(ROUNDS):
            for warm, found in seen.items():
                found.append(await _restarted(at, database, f"started-{warm}-{number}", warm))
    text = f"{_table(seen)}\n{verdicts(seen)}\n"
    sys.stdout.write(text)
    results.write("warming", f"The first {SECONDS:g} s after a restart", text)
    pages.refresh()


def verdicts(seen: dict[int, list[Seen]]) -> str:
    """Tell, by the medians, whether warming gains what it is for."""
    warmed, cold = seen[WARM], seen[0]
    more = statistics.median(each.hits for each in warmed) > statistics.median(
        each.hits for each in cold
    )
    sooner = statistics.median(each.p99 for each in warmed) < statistics.median(
        each.p99 for each in cold
    )
    lines = [
        "| with warming | |",
        "|---|---|",
        f"| a higher hit ratio | {verdict(more)} |",
        f"| a lower P99 | {verdict(sooner)} |",
    ]
    return "\n".join(lines)


def _table(seen: dict[int, list[Seen]]) -> str:
    lines = [
        (
            "One API process, memory and Redis empty; reads in Poisson's time, by Zipf over "
            f"{len(LISTS)} lists (one of 1,000 courses) and {READ_COURSES} of {COURSES:,} courses, "
            f"{RATE} a second; medians of {ROUNDS} restarts each, in turns."
        ),
        "",
        "| | hit ratio | P50 | P99 | worst |",
        "|---|---|---|---|---|",
    ]
    for warm, found in seen.items():
        name = f"the {warm} most read warmed" if warm else "nothing warmed"
        hits = statistics.median(each.hits for each in found)
        times = [
            statistics.median(getattr(each, which) for each in found)
            for which in ("p50", "p99", "worst")
        ]
        cells = [f"{hits:.1%}", *(f"{each:.1f} ms" for each in times)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    asyncio.run(main())
