"""Two Valkeys: one that forgets at its limit, for the cache, and one that never does, for tasks."""

import signal
from typing import ClassVar

from deploy.embedded import probe
from deploy.embedded.binaries import WHEELS, Binaries, Version, check_written_by, find_valkey
from deploy.embedded.data_dir import DataDir, write_private
from deploy.embedded.process import ProcessSpec
from infra.process.private_files import private_folder
from infra.settings import Settings

# What data of Valkey 9 start with, which Redis can't read.
VALKEY_MAGIC = b"VALKEY"


class Valkey:
    """What both have in common."""

    name: ClassVar[str]
    title: ClassVar[str]
    variable: ClassVar[str]
    options: ClassVar[dict[str, str]]

    def __init__(self, home: DataDir, binaries: Binaries = WHEELS) -> None:
        self._home = home
        self._password = home.secrets[f"{self.name}_password"]
        self._folder = home.root / f"valkey-{self.name}"
        self._program = find_valkey(binaries.redis)
        self.port = home.ports.take(self.name)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return {self.variable: f"redis://:{self._password}@127.0.0.1:{self.port}/0"}

    async def prepare(self) -> ProcessSpec:
        """Write the configuration: in a file, for a command line shows its password."""
        private_folder(self._folder)
        check_written_by(self._folder, self._program, self._writer())
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
        return ProcessSpec(
            self.name,
            (str(self._program.path), str(configuration)),
            is_ready=self._is_ready,
            folder=self._folder,
            stop_signal=signal.SIGTERM,
        )

    def _writer(self) -> Version | None:
        """Return who wrote the folder, by the first letters of its data; None: any Redis 7."""
        for base in self._folder.glob("appendonlydir/*.base.rdb"):
            with base.open("rb") as file:
                if file.read(len(VALKEY_MAGIC)) == VALKEY_MAGIC:
                    return Version("Valkey", (9,))
        return None

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
        return settings.broker is None
