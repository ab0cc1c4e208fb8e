"""How fast this machine is: what bare Sanic makes of a core, before the load begins.

python -m loadtests.load.baseline DESCRIPTOR   the server, on a socket that listens already
"""

import asyncio
import socket
import sys
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from sanic import HTTPResponse, Request, Sanic
from sanic.response import raw

from loadtests.bench.load import Target, measure

ROOT = Path(__file__).resolve().parents[2]
BODY = b"x" * 10_000
# What the same answered, in one process, on the machine for which the targets were set.
TARGETS_SET_AT = 23_700
START_SECONDS = 30.0
ROUNDS, ROUND_SECONDS = 3, 2.0
SERVER = "server"


def bare_sanic() -> float:
    """Return the requests that it answers in a second of processor, 64 connections, 10 KB each."""
    return asyncio.run(_measured())


async def _measured() -> float:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        descriptor = listening.fileno()
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadtests.load.baseline", str(descriptor)),
            pass_fds=[descriptor],
            cwd=ROOT,
        )
        try:
            target = Target(f"http://{host}:{port}/")
            # It listens before it answers.
            await asyncio.to_thread(_ask, target.url)
            found = [
                await measure(target, ROUND_SECONDS, {SERVER: server.pid}) for _ in range(ROUNDS)
            ]
        finally:
            server.terminate()
            await server.wait()
    return median(each.rps / each.cores[SERVER] for each in found)


def _ask(url: str) -> None:
    urlopen(url, timeout=START_SECONDS).close()  # noqa: S310  ours


def _serve(descriptor: int) -> None:
    app = Sanic("baseline", configure_logging=False)

    @app.get("/")
    async def constant(_request: Request) -> HTTPResponse:
        return raw(BODY, content_type="application/json")

    listening = socket.socket(fileno=descriptor)
    app.run(sock=listening, single_process=True, access_log=False, motd=False)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
