"""A PostgreSQL of a test's own that can be killed and restarted."""

import signal
from contextlib import asynccontextmanager
from dataclasses import replace

from deploy.embedded import probe
from deploy.embedded.data_dir import DataDir
from deploy.embedded.postgres import Postgres
from deploy.embedded.process import Launcher


class OwnPostgres:
    """The embedded server; `url` stays the same after a restart."""

    def __init__(self, server: Postgres, launcher: Launcher) -> None:
        self._server = server
        self._launcher = launcher
        self.url = server.environment["DATABASE_URL"]

    async def start(self) -> None:
        # An immediate shutdown drops all sessions, as in a crash.
        part = replace(await self._server.prepare(), stop_signal=signal.SIGQUIT)
        self._process = await self._launcher.start(part)
        await probe.wait_until(part.is_ready)

    async def kill(self) -> None:
        await self._process.stop()


@asynccontextmanager
async def own_postgres(folder):
    """Run one for the duration of the block."""
    async with Launcher(home := DataDir(folder)) as launcher:
        server = OwnPostgres(Postgres(home, launcher, fsync=False), launcher)
        await server.start()
        yield server
        await server.kill()
