"""The two embedded Valkeys: the cache evicts at its limit, the broker never does."""

import signal
from typing import ClassVar

from deploy.embedded import probe
from deploy.embedded.binaries import WHEELS, Binaries, Version, check_data_version, find_valkey
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import ProcessSpec
from infra.process.private_files import private_folder, write_private_file

# The first bytes of data of Valkey 9, which Redis can't read.
VALKEY_MAGIC = b"VALKEY"


class Valkey:
    """The base of both."""

    name: ClassVar[str]
    title: ClassVar[str]
    variable: ClassVar[str]
    options: ClassVar[dict[str, str]]

    def __init__(self, data_dir: DataDir, binaries: Binaries = WHEELS) -> None:
        self._data_dir = data_dir
        self._password = data_dir.secrets[f"{self.name}_password"]
        self._folder = data_dir.root / f"valkey-{self.name}"
        self._program = find_valkey(binaries.redis)
        self.port = data_dir.ports.assign(self.name)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a client."""
        return {self.variable: f"redis://:{self._password}@127.0.0.1:{self.port}/0"}

    async def prepare(self) -> ProcessSpec:
        """Write the configuration to a file, because a command line would show its password."""
        private_folder(self._folder)
        check_data_version(self._folder, self._program, self._data_version())
        configuration = self._data_dir.run / f"{self.name}.conf"
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self._password,
            "save": '""',
            "tcp-backlog": "511",
            **self.options,
        }
        lines = [f"{key} {value}\n" for key, value in options.items()]
        write_private_file(configuration, "".join(lines))
        return ProcessSpec(
            self.name,
            (str(self._program.path), str(configuration)),
            is_ready=self._is_ready,
            folder=self._folder,
            stop_signal=signal.SIGTERM,
        )

    def _data_version(self) -> Version | None:
        """Return the version that wrote the folder, by its first bytes; None: any Redis 7."""
        for base in self._folder.glob("appendonlydir/*.base.rdb"):
            with base.open("rb") as file:
                if file.read(len(VALKEY_MAGIC)) == VALKEY_MAGIC:
                    return Version("Valkey", (9,))
        return None

    async def _is_ready(self) -> bool:
        return await probe.is_redis_ready(self.port, self._password)


class Cache(Valkey):
    """The cache: bounded in size, empty after a restart."""

    name = "cache"
    title = "Valkey (cache)"
    variable = "CACHE_URL"
    options: ClassVar[dict[str, str]] = {
        "maxmemory": "256mb",
        "maxmemory-policy": "allkeys-lru",
        "appendonly": "no",
    }


class Broker(Valkey):
    """The broker: evicts nothing, stores its queues on disk."""

    name = "broker"
    title = "Valkey (broker)"
    variable = "BROKER_URL"
    options: ClassVar[dict[str, str]] = {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
    }
