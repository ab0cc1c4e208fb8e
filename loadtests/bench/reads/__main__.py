"""Ways from rows to JSON bytes: `python -m loadtests.bench.reads`.

Each way answers the same pages and courses, in one process with one connection, so that what is
measured is the work for one answer: the statement, the rows, the bytes. A B A B, medians.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from cli.seed import seed
from deploy.embedded.servers import servers
from infra.db.engine import database
from infra.db.migrations import migrate
from infra.db.sql import rows
from infra.settings import load_settings
from loadtests.bench import pages, results
from loadtests.bench.reads.ways import AGGREGATED, OBJECTS, OURS, VALUES, WAYS
from loadtests.bench.results import machine, verdict
from models import Course

COURSES, SIZES, ROUNDS, SECONDS = 10_000, (20, 100, 1000), 5, 1.0
PLACES = ("one course", *(f"{size:,} courses" for size in SIZES))
# Numbers of courses with pictures: PostgreSQL reads a small table whole.
PICTURED = (80, COURSES // 2)
# Every eighth of the newest courses has an image that is not ready, half of those for good.
UNFINISHED, EVERY = 1_000, 8
# At least so many times as fast as each of these, everywhere.
AIM, SLOWER_WAYS = 1.0, (OBJECTS, VALUES)

HOW = (
    "Answers a second of one process with one connection; in brackets, against ours. "
    "All were compared before: they say the same. `json_agg` looks for the pictures of each course "
    "by itself."
)

Rates = dict[str, dict[str, float]]
TokenRequest = Callable[[], Awaitable[bytes]]

_PICTURES = """
    INSERT INTO image_variants (id, course_id, width, height, format, bytes, key)
    SELECT gen_random_uuid(), id, width, width * 3 / 4, 'webp', width * 60,
        'courses/' || id || '/' || width || '.webp'
    FROM (SELECT id FROM courses ORDER BY id LIMIT $1) AS pictured, unnest($2::int[]) AS width
"""
_UNFINISHED = """
    WITH numbered AS (
        SELECT id, row_number() OVER (ORDER BY created_at DESC, id DESC) AS number
        FROM courses ORDER BY created_at DESC, id DESC LIMIT $1
    ), chosen AS (
        SELECT id, number, gen_random_uuid() AS task_id FROM numbered WHERE number % $2 = 0
    ), added AS (
        INSERT INTO tasks (id, name, args, state, error, finished_at, available_at)
        SELECT task_id, 'bench.noop', '{}',
            CASE WHEN number % (2 * $2) = 0 THEN 'failed' ELSE 'queued' END,
            CASE WHEN number % (2 * $2) = 0 THEN 'The image is damaged' END,
            CASE WHEN number % (2 * $2) = 0 THEN now() END, now() + interval '1 day'
        FROM chosen
    )
    UPDATE courses SET image_task_id = task_id FROM chosen WHERE courses.id = chosen.id
"""


async def main() -> None:
    """Measure, print, and write the table down."""
    with tempfile.TemporaryDirectory() as folder:
        async with servers(Path(folder) / "data", {"postgres"}) as environment:
            url = environment["DATABASE_URL"]
            await migrate(url)
            await seed(load_settings(database_url=url), COURSES, 0)
            async with database(url, pool_size=1):
                await rows(_UNFINISHED, UNFINISHED, EVERY)
                (version,) = await rows("SELECT current_setting('server_version') AS postgres")
                compared = {pictured: await _compare(pictured) for pictured in PICTURED}
    where = machine(f"PostgreSQL {version['postgres'].split()[0]}").partition(", load by")[0]
    parts = [f"{where}. {HOW}"]
    for pictured, rates in compared.items():
        parts += [f"{COURSES:,} courses, {pictured:,} with pictures:", table(rates), aims(rates)]
    text = "\n\n".join(parts)
    sys.stdout.write(text + "\n")
    results.write("reads", "From rows to JSON", text)
    pages.refresh()


async def _compare(pictured: int) -> Rates:
    """Return the answers a second of each way in each place."""
    await rows("DELETE FROM image_variants")
    await rows(_PICTURES, pictured, [1280, 640, 320])
    await rows("ANALYZE")
    known = await Course.all().order_by("id").first()
    if known is None:
        raise SystemExit("there are no courses")
    asks = {name: _asks(name, known.id) for name in WAYS}
    for place in PLACES:
        expected = content(await asks[OURS][place]())
        for name in WAYS:
            if content(await asks[name][place]()) != expected:
                raise SystemExit(f"{name} answers {place} otherwise than {OURS}")
    seen: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for place in PLACES:
            for name, each in asks.items():
                seen.setdefault((name, place), []).append(await measure(each[place]))
    return {
        name: {place: statistics.median(seen[name, place]) for place in PLACES} for name in WAYS
    }


def _asks(name: str, course_id: UUID) -> dict[str, TokenRequest]:
    page, one = WAYS[name]
    listed = {f"{size:,} courses": (lambda size=size: page(size)) for size in SIZES}
    return {"one course": lambda: one(course_id), **listed}


def content(body: bytes) -> Any:
    """Return the content of a response, with its times parsed."""
    return _timed(orjson.loads(body))


def _timed(value: Any) -> Any:
    if isinstance(value, list):
        return [_timed(each) for each in value]
    if isinstance(value, dict):
        return {
            name: datetime.fromisoformat(each) if name.endswith("_at") else _timed(each)
            for name, each in value.items()
        }
    return value


async def measure(ask: TokenRequest) -> float:
    """Return the responses a second."""
    answered, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < SECONDS:
        await ask()
        answered += 1
    return answered / elapsed


def table(rates: Rates) -> str:
    """Render the rates, and how they stand to ours."""
    lines = [
        f"| way | {' | '.join(PLACES)} |",
        "|---" + "|---:" * len(PLACES) + "|",
    ]
    for name, found in rates.items():
        cells = [f"{rate:,.0f} ({rate / rates[OURS][place]:.2f})" for place, rate in found.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def aims(rates: Rates) -> str:
    """Compare this service with the rejected ways, where it does worst."""
    lines = ["| ours, times as fast as | wanted | where least | |", "|---|---:|---:|---|"]
    for name in (*SLOWER_WAYS, AGGREGATED):
        ratios = {place: rate / rates[name][place] for place, rate in rates[OURS].items()}
        place = min(ratios, key=lambda each: ratios[each])
        seen = f"{ratios[place]:.2f}, {place}"
        if name in SLOWER_WAYS:
            lines.append(f"| {name} | {AIM:g} | {seen} | {verdict(ratios[place] >= AIM)} |")
        else:
            lines.append(f"| {name} | no aim: its work is the database's | {seen} | |")
    return "\n".join(lines)


if __name__ == "__main__":
    asyncio.run(main())
