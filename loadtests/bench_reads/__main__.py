"""Ways from rows to JSON bytes: `python -m loadtests.bench_reads`.

Each way answers the same page, list and course, in one process with one connection, so that what is
measured is the work for one answer: the statement, the rows, the bytes. A B A B, medians.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson

from api.schemas.responses import CourseOut
from deploy.embedded.servers import servers
from infra.database import database, migrate
from infra.settings import load_settings
from models import Course
from services import images, shelf
from services.shelf import Filters
from services.tasks import rows
from worker.seed import seed

COURSES = 10_000
ROUNDS = 5
SECONDS = 1.0
RESULTS = Path(__file__).parents[1] / "results"
BASE = "https://images.example.org/"

Way = Callable[[int], Awaitable[bytes]]

_PICTURES = """
    INSERT INTO image_variants (id, course_id, width, height, format, bytes, key)
    SELECT gen_random_uuid(), id, width, width * 3 / 4, 'webp', width * 60,
        'courses/' || id || '/' || width || '.webp'
    FROM (SELECT id FROM courses ORDER BY id LIMIT $1) AS pictured, unnest($2::int[]) AS width
"""
_TIME = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_AGGREGATED = f"""
    SELECT json_agg(json_strip_nulls(json_build_object(
        'id', id, 'title', title, 'description', description, 'difficulty', difficulty,
        'image_url', coalesce(variants->0->>'url', image_url),
        'image', CASE WHEN variants IS NOT NULL
            THEN json_build_object('status', 'ready', 'variants', variants) END,
        'created_at', {_TIME.format("created_at")}, 'updated_at', {_TIME.format("updated_at")}
    )) ORDER BY created_at DESC, id DESC)::text AS body,
        (SELECT sum(total) FROM course_totals)::int AS total
    FROM (
        SELECT *, (
            SELECT json_agg(json_build_object('width', width, 'height', height, 'format', format,
                'bytes', bytes, 'url', $2::text || key) ORDER BY width DESC)
            FROM image_variants WHERE course_id = courses.id) AS variants
        FROM courses ORDER BY created_at DESC, id DESC LIMIT $1
    ) AS page
"""  # noqa: S608  constants


def url_of(key: str) -> str:
    """Return an object's address."""
    return BASE + key


async def objects(limit: int) -> bytes:
    """Build Tortoise's objects, then Pydantic's, then JSON; the total is a second statement."""
    chosen = Course.all().order_by("-created_at", "-id").limit(limit)
    found = [
        CourseOut.of(course, url_of) for course in await chosen.annotate(shown_image=images.SHOWN)
    ]
    await rows("SELECT sum(total)::int FROM course_totals")
    return b"[" + b",".join(each.model_dump_json().encode() for each in found) + b"]"


async def values(limit: int) -> bytes:
    """Build Tortoise's dictionaries, then JSON; the total is a second statement."""
    chosen = Course.all().order_by("-created_at", "-id").limit(limit)
    found = await chosen.annotate(shown_image=images.SHOWN).values(
        *("id", "title", "description", "difficulty", "image_url"),
        *("created_at", "updated_at", "shown_image"),
    )
    for each in found:
        variants = [
            {**variant, "url": url_of(variant.pop("key"))}
            for variant in orjson.loads(each.pop("shown_image"))["variants"]
        ]
        if variants:
            each["image_url"] = variants[0]["url"]
            each["image"] = {"status": "ready", "variants": variants}
    await rows("SELECT sum(total)::int FROM course_totals")
    return orjson.dumps(found, default=str, option=orjson.OPT_UTC_Z)


async def raw(limit: int) -> bytes:
    """Build JSON of rows: what services/shelf.py does."""
    return (await shelf.page(Filters(), 1, limit, url_of)).body


async def aggregated(limit: int) -> bytes:
    """Have PostgreSQL build the JSON."""
    (row,) = await rows(_AGGREGATED, limit, BASE)
    return str(row["body"]).encode()


OURS = "rows, orjson (ours)"
WAYS: dict[str, Way] = {
    "ORM objects, Pydantic": objects,
    "ORM `.values()`, orjson": values,
    OURS: raw,
    "`json_agg` in PostgreSQL": aggregated,
}


async def measure(way: Way, limit: int) -> float:
    """Return how many answers a second."""
    answered, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < SECONDS:
        await way(limit)
        answered += 1
    return answered / elapsed


async def course(course_id: UUID) -> float:
    """Return how many single courses a second, by rows."""

    async def one(_limit: int) -> bytes:
        return (await shelf.course(course_id, url_of)).body

    return await measure(one, 1)


async def main() -> None:
    """Measure, print, and write the table down."""
    lines = [
        f"# From rows to JSON, {datetime.now(UTC):%Y-%m-%d}",
        "",
        "Answers a second of one process with one connection; in brackets, against ours.",
        "",
        "| way | 20 courses | 100 | 1,000 |",
        "|---|---|---|---|",
    ]
    sizes = (20, 100, 1000)
    with tempfile.TemporaryDirectory() as folder:
        async with servers(Path(folder) / "data", {"postgres"}) as environment:
            url = environment["DATABASE_URL"]
            await migrate(url)
            await seed(load_settings(database_url=url), COURSES, 0)
            async with database(url, pool_size=1):
                await rows(_PICTURES, COURSES // 2, [1280, 640, 320])
                await rows("ANALYZE")
                seen: dict[tuple[str, int], list[float]] = {}
                for _ in range(ROUNDS):
                    for size in sizes:
                        for name, way in WAYS.items():
                            seen.setdefault((name, size), []).append(await measure(way, size))
                some = await Course.all().first()
                single = (
                    statistics.median([await course(some.id) for _ in range(ROUNDS)]) if some else 0
                )
    medians = {place: statistics.median(found) for place, found in seen.items()}
    for name in WAYS:
        ours = {size: medians["rows, orjson (ours)", size] for size in sizes}
        cells = [
            f"{medians[name, size]:,.0f} ({medians[name, size] / ours[size]:.2f})" for size in sizes
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"One course by its id, by rows: {single:,.0f} a second."]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    (RESULTS / f"reads-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
