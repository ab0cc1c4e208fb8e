"""`make rehearsal`: an installation's life on one machine, under load, and what each step harms.

The image is built; two versions run behind nginx with TLS; a backup is made, the standby is
promoted, a good and a bad version are released, and the backup is restored.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.containers import NoContainersError, engine
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import Launcher
from deploy.image.__main__ import build, image_name
from loadtests import page
from loadtests.bench.backup.site import public_folder
from loadtests.bench.results import print_progress
from loadtests.rehearsal import report
from loadtests.rehearsal.script import Rehearsed, perform
from loadtests.rehearsal.stage import running_stage
from loadtests.rehearsal.versions import (
    Processes,
    RehearsalError,
    Versions,
    containers,
    run_program,
)


def main() -> int:
    """Rehearse, and print the table; return 1 if something that was acknowledged is lost."""
    parser = argparse.ArgumentParser(prog="make rehearsal", description=__doc__)
    parser.add_argument("--rate", type=float, default=120.0, help="requests a second")
    parser.add_argument("--calm", type=float, default=5.0, help="seconds between two steps")
    parser.add_argument("--base", help="the image to build on (default: the Dockerfile's)")
    parser.add_argument("--wheels", type=Path, help="podman: a folder of wheels for the image")
    parser.add_argument("--no-image", action="store_true", help="run this checkout's processes")
    parser.add_argument("--page", type=Path, help="the page whose table is replaced")
    options = parser.parse_args()
    try:
        rehearsed, image = asyncio.run(_rehearse(options))
    except RehearsalError as error:
        sys.stderr.write(f"rehearsal: {error}\n")
        return 1
    text = report.section(rehearsed, image, options.rate)
    sys.stdout.write(text)
    if options.page:
        page.write(options.page, report.COMMAND, text)
    uploads = rehearsed.uploads
    kept = not rehearsed.drill.result.lost and not rehearsed.missing
    return 0 if kept and uploads.ready == len(uploads.accepted) else 1


async def _rehearse(options: argparse.Namespace) -> tuple[Rehearsed, str]:
    with public_folder() as folder:
        async with (
            Launcher(DataDir(folder / "processes")) as launcher,
            _versions(options, folder, launcher) as (versions, image),
            running_stage(folder, launcher, versions) as stage,
        ):
            return await perform(stage, options.rate, options.calm), image


@asynccontextmanager
async def _versions(
    options: argparse.Namespace, folder: Path, launcher: Launcher
) -> AsyncIterator[tuple[Versions, str]]:
    """Build the image and run it, or else processes; yield that, and a line that says so."""
    try:
        name = "" if options.no_image else engine()
    except NoContainersError as error:
        print_progress(f"no image: {error}")
        name = ""
    if not name:
        yield Processes(launcher), "not built: nothing here runs containers"
        return
    began = time.monotonic()
    await asyncio.to_thread(build, options.base, options.wheels)
    seconds = time.monotonic() - began
    size = await run_program(name, "image", "inspect", "--format", "{{.Size}}", image_name())
    async with containers(name, image_name(), folder / "faults") as made:
        yield made, f"built by {name} in {seconds:.0f} s, {int(size) / 1e6:.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
