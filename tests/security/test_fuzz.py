"""Schemathesis: what the document allows is done, what it does not is refused, nothing breaks.

Small here; `make fuzz EXAMPLES=2000` runs 2,000 examples an operation, as either role.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.embedded.service import start_service
from tests.factories import free_ports
from tests.security import fuzz_report
from tests.security.servers import own_api

ROOT = Path(__file__).parents[2]
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "")
PHASES = {"admin": "examples,coverage,fuzzing,stateful", "student": "examples,fuzzing"}
SMALL = "8"
# Where `make fuzz` keeps what came of it; the runs of this process by role.
REPORT = os.environ.get("FUZZ_REPORT", "")
RUNS: dict[str, fuzz_report.Run] = {}


@asynccontextmanager
async def target(service, new_database, folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Give an address and options; what is there may be deleted, for it is nobody else's."""
    exempt = {"RATE_LIMIT_EXEMPT": "127.0.0.1"}
    if EXAMPLES:
        running = start_service(folder / "service", *free_ports(2), environment=exempt)
        yield running.base_url, ["--max-examples", EXAMPLES, "--phases", PHASES["admin"]]
        running.stop()
    else:
        database = {"DATABASE_URL": await new_database()}
        async with own_api(service, folder, **database, **exempt) as server:
            # No worker serves that database: whoever watches a task would wait for its end.
            yield server.address, ["--max-examples", SMALL, "--exclude-operation-id", "watch_task"]


@pytest.mark.timeout(0 if EXAMPLES else 180)
@pytest.mark.parametrize("role", PHASES)
async def test_schemathesis_finds_nothing(service, new_database, tmp_path, role):
    seed = random.randrange(1 << 32)
    counts = tmp_path / "counts.json"
    started = time.monotonic()
    async with target(service, new_database, tmp_path) as (address, options):
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("schemathesis"), "--config-file"),
            *(ROOT / "schemathesis.toml", "run", f"{address}/openapi.json"),
            *("--phases", PHASES[role], *options, "--generation-database", "none"),
            *("--seed", str(seed), "--warnings", "off", "--no-color", "--continue-on-failure"),
            cwd=tmp_path,
            env=os.environ
            | {
                "SCHEMATHESIS_HOOKS": "tests.security.fuzz_hooks",
                "FUZZ_ROLE": role,
                "FUZZ_COUNTS": str(counts),
                "PYTHONPATH": str(ROOT),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    said = output.decode()
    print(said)  # noqa: T201  how many cases there were, for who runs it whole
    passed = process.returncode == 0 and "No issues found" in said
    requests = json.loads(counts.read_text())
    if REPORT:
        RUNS[role] = fuzz_report.Run(requests, seed, time.monotonic() - started, passed, said)
        fuzz_report.write(ROOT / REPORT, EXAMPLES or SMALL, RUNS)
    assert passed, said
    # Whom nobody answers nothing is found about.
    assert len(requests) > 20
    assert all(sum(found.values()) for found in requests.values())
