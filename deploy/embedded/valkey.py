"""Two Valkeys: one that forgets at its limit, for the cache, and one that never does, for tasks."""

import signal
from typing import ClassVar

from deploy.embedded import probe
from deploy.embedded.binaries import find_valkey
from deploy.embedded.home import Home, write_private
from deploy.embedded.process import Part
from infra.settings import Settings


class Valkey:
    """What both have in common."""

    name: ClassVar[str]
    title: ClassVar[str]
    variable: ClassVar[str]
    options: ClassVar[dict[str, str]]

    def __init__(self, home: Home) -> None:
        self._home = home
        self._password = home.secrets[f"{self.name}_password"]
        self._folder = home.root / f"valkey-{self.name}"
        self._program = find_valkey()
        self.port = home.ports.take(self.name)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return {self.variable: f"redis://:{self._password}@127.0.0.1:{self.port}/0"}

    async def prepare(self) -> Part:
        """Write the configuration: in a file, for a command line shows its password."""
        self._folder.mkdir(exist_ok=True)
        configuration = self._home.run / f"{self.name}.conf"
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self._password,
            "save": '""',
            "tcp-backlog": "511",
            **self.options,
        }
        lines = [f"{key} {value}\n" for key, value in options.items()]
        write_private(configuration, "".join(lines))
        return Part(
            self.name,
            (str(self._program), str(configuration)),
            is_ready=self._is_ready,
            folder=self._folder,
            stop_signal=signal.SIGTERM,
        )

    async def _is_ready(self) -> bool:
        return await probe.redis_answers(self.port, self._password)


class Cache(Valkey):
    """The cache: bounded, and empty after a restart."""

    name = "cache"
    title = "Valkey (cache)"
    variable = "CACHE_URL"
    options: ClassVar[dict[str, str]] = {
        "maxmemory": "256mb",
        "maxmemory-policy": "allkeys-lru",
        "appendonly": "no",
    }

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Tell whether no cache is named in the settings."""
        return settings.cache is None


class Broker(Valkey):
    """The broker: evicts nothing, keeps its queues on disk."""

    name = "broker"
    title = "Valkey (broker)"
    variable = "BROKER_URL"
    options: ClassVar[dict[str, str]] = {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
    }

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Tell whether no broker is named in the settings."""
        return settings.broker_url is None
