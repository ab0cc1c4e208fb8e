"""`make failover`: two drills, with a synchronous and an asynchronous standby."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from deploy.embedded.ports import Ports
from loadtests import page
from loadtests.failover import drill, report

SYNCHRONOUS, ASYNCHRONOUS = "Synchronous standby", "Asynchronous standby"


def main() -> int:
    """Run the drills and print their tables; return 1 if acknowledged writes are lost."""
    parser = argparse.ArgumentParser(prog="make failover", description=__doc__)
    parser.add_argument("--rate", type=float, default=120.0, help="Requests a second.")
    parser.add_argument("--calm", type=float, default=10.0, help="Seconds between two steps.")
    parser.add_argument("--page", type=Path, help="The page whose table is replaced.")
    options = parser.parse_args()
    results = {}
    for name in (SYNCHRONOUS, ASYNCHRONOUS):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            root.chmod(0o755)  # PostgreSQL runs as another user
            results[name] = asyncio.run(_drill(root, name, options))
    text = report.section(results, options.rate)
    sys.stdout.write(text)
    if options.page:
        page.write(options.page, report.COMMAND, text)
    return 1 if results[SYNCHRONOUS].lost else 0


async def _drill(root: Path, name: str, options: argparse.Namespace) -> drill.Result:
    synchronous = name == SYNCHRONOUS
    ports = Ports(root / "ports.json")
    at = (ports.assign("api"), ports.assign("flower"))
    async with drill.running_site(root, at, synchronous=synchronous) as site:
        return await drill.run(
            site, synchronous=synchronous, rate=options.rate, calm_seconds=options.calm
        )


if __name__ == "__main__":
    sys.exit(main())
