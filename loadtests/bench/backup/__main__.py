"""`python -m loadtests.bench.backup`: backups and restores of a database of a size, RTO and RPO.

RPO: rows are written until the server is killed and its folder deleted; what a restore of the
archive's end lacks is what a lost disk costs. The worst moment for it is found from the archive.
RTO: the time of `enroll restore`, and until the restored server answers.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import asyncpg

from infra.backup import wal
from infra.backup.archive import open_archive
from loadtests.bench import results
from loadtests.bench.backup.site import Site, archiving, public_folder, site
from loadtests.bench.results import machine, print_progress

ROWS_A_GB = 3_300_000
ARCHIVE_TIMEOUT = 60
WRITES_A_SECOND = 50
WRITE_SECONDS = 150.0
CHANGE = "UPDATE enrollments SET id = id WHERE abs(hashtext(id::text)) % 100 < 5"
SIZE = "SELECT sum(pg_database_size(oid))::bigint FROM pg_database"


@dataclass
class Measured:
    """The steps with their sizes and seconds, and what was lost."""

    steps: list[tuple[str, str, float]] = field(default_factory=list)
    database: int = 0
    written: list[datetime] = field(default_factory=list)
    kept_until: datetime | None = None
    worst: float = 0.0

    async def step(self, name: str, here: Site, *arguments: object) -> None:
        """Run a command, and note its time."""
        print_progress(name)
        started = time.perf_counter()
        await here.done(*arguments)
        self.steps.append((name, "", time.perf_counter() - started))

    def of_size(self, size: str) -> None:
        """Note the size of the last step."""
        name, _, seconds = self.steps[-1]
        self.steps[-1] = (name, size, seconds)


async def _back_up(here: Site, measured: Measured, kind: str) -> None:
    await measured.step(f"{kind} backup, verified and stored", here, "backup", f"--{kind}")
    made = json.loads((await here.done("backup", "list", "--json")).output)
    measured.of_size(f"{made[-1]['size'] / 1e6:,.0f} MB")


async def _write(here: Site, written: list[datetime]) -> None:
    """Write a row at a steady pace; note the time of each commit."""
    connection = await asyncpg.connect(here.url)
    await connection.execute("CREATE TABLE beats (at timestamptz)")
    while True:
        beat = "INSERT INTO beats VALUES (clock_timestamp()) RETURNING at"
        written.append(await connection.fetchval(beat))
        await asyncio.sleep(1 / WRITES_A_SECOND)


async def _worst(here: Site) -> float:
    """Return the longest time for which a commit was not in the archive."""
    connection = await asyncpg.connect(here.url)
    cluster = await connection.fetchval("SELECT system_identifier::text FROM pg_control_system()")
    archive, seen, worst, before = open_archive(here.settings), "", 0.0, None
    try:
        while True:
            row = await connection.fetchrow("SELECT * FROM pg_stat_archiver")
            if row["last_archived_wal"] != seen:
                seen = row["last_archived_wal"]
                if before:
                    worst = max(worst, (row["last_archived_time"] - before).total_seconds())
                found = await wal.get_file(archive, cluster, seen)
                before = found and found.written_at
            await asyncio.sleep(0.2)
    except asyncio.CancelledError:
        return worst


async def _measure(gigabytes: float, folder: Path, seconds: float) -> Measured:
    measured = Measured()
    async with site(folder, str(ARCHIVE_TIMEOUT), archives=False) as here:
        print_progress("filling the database")
        # What is before the first backup needs no archive.
        await here.archive("true")
        await here.done("migrate")
        rows = int(ROWS_A_GB * gigabytes)
        await here.done("seed", "--courses", 10_000, "--enrollments", rows)
        await here.archived()
        await here.archive(archiving()["archive_command"])
        measured.database = await here.query(SIZE)
        await _back_up(here, measured, "full")
        await here.query(CHANGE)
        await _back_up(here, measured, "incremental")
        moment = await here.query("SELECT clock_timestamp()")
        await here.archived()
        print_progress("writing until the disk is lost")
        watching = asyncio.create_task(_worst(here))
        writing = asyncio.create_task(_write(here, measured.written))
        await asyncio.sleep(seconds)
        watching.cancel()
        measured.worst = await watching
        await here.lose()
        await asyncio.gather(writing, return_exceptions=True)
        for name, to in (("a time", moment), ("the archive's end", "latest")):
            into = folder / f"restored-{name.replace(' ', '-')}"
            await measured.step(f"restore to {name}", here, *here.restoring(to, into))
            started = time.perf_counter()
            async with here.server(into) as url:
                measured.steps.append((f"its start, {name}", "", time.perf_counter() - started))
                if to == "latest":
                    last = await here.query("SELECT max(at) FROM beats", url=url)
                    measured.kept_until = last
    return measured


def _text(measured: Measured) -> str:
    lost = [each for each in measured.written if each > (measured.kept_until or each)]
    seconds = (measured.written[-1] - (measured.kept_until or measured.written[0])).total_seconds()
    rows = [f"| {name} | {size} | {seconds:.1f} s |" for name, size, seconds in measured.steps]
    by_name = {name: seconds for name, _, seconds in measured.steps}
    rto = by_name["restore to the archive's end"] + by_name["its start, the archive's end"]
    lost_rows = f"{len(lost):,} of {len(measured.written):,} rows"
    versions = "PostgreSQL 18 and SeaweedFS from the wheels, fsync off"
    return f"""\
{machine(versions)}. A database of {measured.database / 1e9:.2f} GB, its backups in a bucket on the
same disk; `archive_timeout` is {ARCHIVE_TIMEOUT} s. Between the backups 5 % of the rows change.

| step | size | time |
|---|---:|---:|
{chr(10).join(rows)}

| | |
|---|---:|
| RTO: restore to the archive's end, until the server answers | {rto:.1f} s |
| RPO: writes lost with the disk, after {WRITE_SECONDS:.0f} s | {seconds:.1f} s ({lost_rows}) |
| RPO at the worst moment: commit to archive | {measured.worst:.1f} s |
"""


async def main() -> None:
    """Measure, print, and write the table down."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.backup")
    parser.add_argument("--gb", type=float, default=1.0, help="size of the database")
    parser.add_argument("--seconds", type=float, default=WRITE_SECONDS, help="of writes")
    parser.add_argument("--dry", action="store_true", help="write no result")
    options = parser.parse_args()
    with public_folder() as folder:
        text = _text(await _measure(options.gb, folder, options.seconds))
    sys.stdout.write(text)
    if not options.dry:
        results.write("backup", "Backups and restores", text)


if __name__ == "__main__":
    asyncio.run(main())
