"""Registration opens: 64 clients enrol in one course while other clients read."""

import asyncio
import time
from dataclasses import dataclass, replace
from secrets import token_hex
from statistics import median, quantiles
from urllib.parse import urlsplit

from loadtests.bench.compare.cases import DETAIL, ENROLL
from loadtests.bench.environment import LIST, NO_CACHE, environment
from loadtests.bench.load import Figures, Target
from loadtests.bench.load import measure as measure_load
from loadtests.bench.results import print_progress, verdict

A_SECOND = 50
WANTED_RATE, WANTED_SLOWER = 2000, 2.0
COURSES, ENROLLMENTS = 1_000, 50_000


@dataclass(frozen=True)
class HotCourse:
    """The rate of enrolments, and the P95 of other requests in milliseconds: {name: (idle, busy)}.

    `failed` counts the other requests without a 200.
    """

    enrolling: Figures
    others: dict[str, tuple[float, float]]
    failed: int = 0


async def measure(rounds: int, seconds: float) -> HotCourse:
    """Measure two server processes, idle and busy in turns; medians."""
    async with environment() as servers:
        database = await servers.database("hot_course", COURSES, ENROLLMENTS)
        ours = await servers.ours("hot_course", database, API_WORKERS="2")
        uncached = await servers.ours("hot_course_uncached", database, **NO_CACHE)
        known = database.ids.read_text("ascii").split()[0]
        others = {
            "cached list": ours.url + LIST,
            "a student's courses": f"{ours.url}/api/v1/students/unknown@example.org/enrollments",
            "health": f"{ours.url}/health/ready",
            "a course without cache, another instance": f"{uncached.url}{DETAIL}/{known}",
        }
        one = str(servers.one_of(database))
        groups = {"server": ours.pid, **servers.groups}
        taken: list[Figures] = []
        idle: dict[str, list[float]] = {who: [] for who in others}
        busy: dict[str, list[float]] = {who: [] for who in others}
        failed = 0
        for number in range(rounds):
            failed += await _probe(others, seconds, idle)
            target = Target(ours.url + ENROLL, mode=("enroll", one, token_hex(6)))
            load = asyncio.create_task(measure_load(target, seconds + 1, groups))
            await asyncio.sleep(0.5)
            failed += await _probe(others, seconds, busy)
            taken.append(await load)
            print_progress(
                f"hot course {number + 1}: {taken[-1].rps:,.0f} enrolments/s, {busy}, idle {idle}"
            )
    both = {who: (median(idle[who]), median(busy[who])) for who in others}
    middle = sorted(taken, key=lambda each: each.rps)[rounds // 2]
    return HotCourse(replace(middle, errors=sum(each.errors for each in taken)), both, failed)


async def _probe(urls: dict[str, str], seconds: float, p95: dict[str, list[float]]) -> int:
    """Add the P95 of each address, at a fixed pace of requests; return the failures."""
    found = await asyncio.gather(*(_paced(url, seconds) for url in urls.values()))
    for who, (times, _) in zip(urls, found, strict=True):
        p95[who].append(round(quantiles(times, n=20)[18], 2))
    return sum(failed for _, failed in found)


async def _paced(url: str, seconds: float) -> tuple[list[float], int]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    asked = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    times, failed = [], 0
    began = time.perf_counter()
    for number in range(int(seconds * A_SECOND)):
        due = began + number / A_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        failed += not head.startswith(b"HTTP/1.1 200 ")
        lines = head.lower().split(b"\r\n")
        length = next(line[15:] for line in lines if line.startswith(b"content-length:"))
        await reader.readexactly(int(length))
        # From when it was due: a late response makes the next request late, too.
        times.append((time.perf_counter() - due) * 1000)
    writer.close()
    return times, failed


def table(found: HotCourse) -> str:
    """Render both aims."""
    rate = found.enrolling.rps
    cores = ", ".join(f"{who} {used:.2f}" for who, used in found.enrolling.cores.items())
    reached = verdict(rate >= WANTED_RATE, found.enrolling.errors)
    first = (
        f"{rate:,.0f} enrolments a second in one course at 64 clients, P95 "
        f"{found.enrolling.p95:.1f} ms, {found.enrolling.errors} errors "
        f"(aim: {WANTED_RATE:,}; {reached}). Cores: {cores}."
    )
    lines = [
        first,
        "",
        "| others' P95 | idle ms | busy ms | times | aim | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for who, (idle, busy) in found.others.items():
        slower = busy / idle
        # Enrolments that fail put no load on the other clients.
        held = verdict(slower <= WANTED_SLOWER, found.enrolling.errors + found.failed)
        lines.append(f"| {who} | {idle} | {busy} | {slower:.1f} | {WANTED_SLOWER:g} | {held} |")
    return "\n".join(lines)
