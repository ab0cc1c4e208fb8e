"""Flame graphs of a cached read, the fast path and the normal path, its instructions and parts.

python -m loadtests.bench.profile: writes docs/images/flame-*.svg and results/profile-DATE.md
"""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import psutil

from loadtests.bench import pages, results
from loadtests.bench.compare.cases import NORMAL_PATH
from loadtests.bench.environment import LIST, Instance, environment
from loadtests.bench.load import Target, measure
from loadtests.bench.profile import costs, instructions
from loadtests.bench.venv import bench_python

SECONDS = 6.0
WARM_SECONDS = 3.0
_TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*<')


async def main() -> None:
    """Load the service while py-spy samples it 500 times a second."""
    async with environment() as servers:
        where = results.machine(await servers.versions())
        database = await servers.database("profile", 1_000, 1_000)
        ours = await servers.ours("profile", database)
        await _flame(ours, (), "flame-fast-path")
        await _flame(ours, NORMAL_PATH, "flame-normal-path")
    # Separately: counting and sampling slow the process down.
    counted = instructions.table(instructions.count())
    results.print_progress(counted)
    parts = f"{costs.table(*await costs.costs())}\n\n{counted}"
    how = f"Microseconds of processor, {costs.BODY_BYTES:,} bytes of body, tracing off."
    results.write("profile", "What a cached read costs", f"{where}. {how}\n\n{parts}")
    sys.stdout.write(parts + "\n")
    pages.refresh()


async def _flame(ours: Instance, headers: tuple[str, ...], name: str) -> None:
    target = Target(ours.url + LIST, headers=headers)
    # A warm-up: the first requests do more.
    await measure(target, WARM_SECONDS, {"server": ours.pid})
    load = asyncio.create_task(measure(target, SECONDS + 3, {"server": ours.pid}))
    await asyncio.sleep(1)
    server = max(
        psutil.Process(ours.pid).children(recursive=True), key=lambda each: each.cpu_times().user
    )
    spy = await asyncio.create_subprocess_exec(
        *(str(Path(bench_python()).with_name("py-spy")), "record", "--pid", str(server.pid)),
        *(
            "--rate",
            "500",
            "--duration",
            str(int(SECONDS)),
            "--output",
            str(results.picture(name)),
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if await spy.wait() != 0:
        raise SystemExit("py-spy failed: it needs the right to look into other processes")
    picture = results.picture(name)
    # py-spy's title is its command line, with this machine's paths.
    text = _TITLE.sub(rf"\g<1>{name.replace('-', ' ')}<", picture.read_text("utf-8"))
    picture.write_text(text.replace(f"{results.ROOT}/", ""), "utf-8")
    results.print_progress(f"{name}: {(await load).rps:,.0f} requests/s while watched")


if __name__ == "__main__":
    asyncio.run(main())
