"""How many machine instructions a cached read takes: a figure without noise, by callgrind.

python -m loadtests.bench.profile.instructions [TIMES]: reads both ways so often, in this process.

Sanic's protocol gets its bytes from here and writes them to nowhere, so that nothing but the work
of the process is counted: no socket, no kernel. `count` runs that under callgrind, which writes
down what was executed between two calls of `getsid`.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack, redirect_stderr
from math import inf
from pathlib import Path
from typing import Any

from api.app import create_app
from api.context import Application
from api.protocol.fast_path import FastPathProtocol
from api.security.rate_limits import Limits
from infra.cache import Entry, ResponseCache, SecondLevel
from infra.settings import Settings
from infra.storage import open_storage
from loadtests.bench.profile.costs import ASKED, BODY_BYTES, CLIENT, fast_path_of
from services.catalogue import read as catalogue_read
from services.catalogue.queries import Filters
from services.flags.evaluate import Flags

TIMES, WARM = 100, 10
LIMIT_SECONDS = 170.0
# As the requests of `cases.NORMAL_PATH`.
NORMAL = ASKED.replace(b"\r\n\r\n", b"\r\nX-Not-Plain: 1\r\n\r\n")
PATHS = {"the fast path": ASKED, "the normal path": NORMAL}
MARK = "getsid"
_PARTS = re.compile(r"callgrind\.out\.\d+\.(\d+)$")
_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


def count(times: int = TIMES) -> dict[str, int] | str:
    """Return the instructions of a read each way, or why they can't be counted."""
    if shutil.which("valgrind") is None:
        return "no valgrind here: apt-get install valgrind"
    with tempfile.TemporaryDirectory(prefix="callgrind-") as folder:
        command = [
            *("valgrind", "--tool=callgrind", f"--dump-before={MARK}"),
            f"--callgrind-out-file={folder}/callgrind.out.1",
            *(sys.executable, "-m", "loadtests.bench.profile.instructions", str(times)),
        ]
        # A fixed seed keeps the collisions of dictionaries the same.
        env = os.environ | {"PYTHONHASHSEED": "0"}
        try:
            subprocess.run(command, env=env, check=True, capture_output=True, timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return f"callgrind was not done within {LIMIT_SECONDS:.0f} s"
        except subprocess.CalledProcessError as error:
            return f"callgrind failed: {error.stderr.decode(errors='replace')[-300:]}"
        totals = totals_of(Path(folder))
    if len(totals) <= len(PATHS):
        return f"callgrind saw {len(totals)} marks"
    # The instructions before the first mark start Python.
    return {way: total // times for way, total in zip(PATHS, totals[1:], strict=False)}


def table(counted: dict[str, int] | str) -> str:
    """Render the instructions, or why there are none."""
    if isinstance(counted, str):
        return f"Instructions were not counted: {counted}."
    each = " and ".join(f"{number:,} by {way}" for way, number in counted.items())
    return f"Instructions of a cached read, by callgrind over {TIMES} of each, no kernel: {each}."


def totals_of(folder: Path) -> list[int]:
    """Return the instructions of each part, in order."""
    found = {}
    for path in folder.iterdir():
        part = _PARTS.search(path.name)
        total = _TOTAL.findall(path.read_text("utf-8"))
        if part and total:
            found[int(part[1])] = int(total[-1])
    return [found[number] for number in sorted(found)]


class Nowhere(asyncio.Transport):
    """A transport that counts responses and discards them."""

    def __init__(self) -> None:
        super().__init__({"peername": (CLIENT, 1), "sockname": (CLIENT, 2)})
        self.written = 0
        self.closed = False
        self.status = b""

    def write(self, data: Any) -> None:
        """Count a response by its head."""
        if data.startswith(b"HTTP/1.1 "):
            self.written += 1
            self.status = bytes(data[9:12])

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: there is no buffer."""

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Do nothing: it never reads."""

    def resume_reading(self) -> None:
        """Do nothing: it never reads."""


async def read(times: int) -> None:
    """Read so many times on each path, with a mark before each and at the end."""
    app = create_app(
        Settings(_env_file=None, rate_limit_reads=100_000_000, storage_url="memory://")
    )
    async with AsyncExitStack() as resources:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # noqa: ASYNC230, PTH123  nothing else runs
            transport = await _open(app, resources)
            protocol = FastPathProtocol(loop=asyncio.get_running_loop(), app=app)
            protocol.connection_made(transport)
            await asyncio.sleep(0)
            for data in (NORMAL, ASKED):
                # The first plain one takes the normal path and leaves its head for the others.
                await _ask(protocol, transport, data, WARM)
            if app.ctx.fast_path.respond(ASKED, CLIENT) is None:
                raise SystemExit("the fast path was not taken")
            for data in PATHS.values():
                os.getsid(0)
                await _ask(protocol, transport, data, times)
            os.getsid(0)


async def _open(app: Application, resources: AsyncExitStack) -> Nowhere:
    """Give the application what a cached read needs of its resources."""
    context = app.ctx
    context.limits = await Limits.open(context.settings, None, context.streams, resources)
    context.storage = open_storage(context.settings)
    context.flags = Flags()
    context.cache = ResponseCache(SecondLevel("memory://"), memory_bytes=1 << 24)
    context.cache.trust.until = inf
    context.fast_path = fast_path_of(app, context.cache)
    context.limits.reads.take(CLIENT)
    await context.limits.reads.lease_tokens()
    key = catalogue_read.key_of_page(Filters(), 1, 20)
    if key is None:
        raise SystemExit("the first page is not kept")
    await context.cache.get(key, _make)
    if slot := context.cache.memory.get(key.name):
        slot.expires = inf
    await app._startup()  # noqa: SLF001  Sanic's server has no other way either
    return Nowhere()


async def _make() -> Entry:
    return Entry.of(b"x" * BODY_BYTES)


async def _ask(protocol: FastPathProtocol, transport: Nowhere, data: bytes, times: int) -> None:
    """Send requests one by one; run the event loop only while a response is missing."""
    for _ in range(times):
        answered = transport.written
        protocol.data_received(data)
        if transport.written == answered:
            while transport.written == answered:  # noqa: ASYNC110  it is to turn, not to wait
                await asyncio.sleep(0)
            # Until Sanic waits for the next one.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if transport.status != b"200":
            raise SystemExit(f"answered with {transport.status.decode()}")


if __name__ == "__main__":
    asyncio.run(read(int(sys.argv[1]) if sys.argv[1:] else TIMES))
