"""An API process of a test's own, beside the session's service and on its servers."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.factories import eventually, free_ports
from tests.forkserver import start


@dataclass
class Server:
    """A running API."""

    address: str
    process: psutil.Process


@asynccontextmanager
async def own_api(
    service,
    folder: Path,
    *,
    module: str = "cli",
    within: tuple[str, ...] = (),
    stderr: int | None = None,
    **settings: str,
) -> AsyncIterator[Server]:
    """Run an API with these settings and one server process; `module` starts it.

    The command `within` becomes that process. Its log is the file `log`, or `stderr`.
    """
    port = settings.get("PORT") or str(free_ports(1)[0])
    places = {"PORT": port, "DATA_DIR": str(folder), "API_WORKERS": "1", "DRAIN_SECONDS": "0"}
    with (folder / "log").open("ab") as log:
        process = start(
            *("-m", module, "api"),
            env=os.environ | service.env | places | settings,
            stderr=log if stderr is None else stderr,
            within=within,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=address) as client:

            async def responses():
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    return (await client.get("/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(responses)
        yield Server(address, psutil.Process(process.pid))
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
