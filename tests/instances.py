"""Further instances of the API on the servers of the running service."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.factories import eventually, free_ports
from tests.forkserver import start


@asynccontextmanager
async def instance(
    folder: Path, environment: dict[str, str], **settings: str
) -> AsyncIterator[str]:
    """Run `enroll api` with a DATA_DIR and thus a shared memory of its own; yield its URL."""
    (port,) = free_ports(1)
    own = {
        "PORT": str(port),
        "DATA_DIR": str(folder / f"api-{port}"),
        "SKIP_MIGRATION": "true",
        "DRAIN_SECONDS": "0",
    }
    output = folder / f"api-{port}.log"
    with output.open("wb") as log:
        process = start(
            *("-m", "cli", "api"),
            env=os.environ | environment | own | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    base = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as client:

            async def is_ready() -> bool:
                assert process.poll() is None, output.read_text()
                try:
                    return (await client.get(f"{base}/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(is_ready)
        yield base
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait)
