"""Free ports on the loopback address; a later start gets the same ones if they are still free."""

import json
import random
import socket
from contextlib import suppress
from pathlib import Path

from deploy.embedded.errors import NoFreePortError

LOOPBACK = "127.0.0.1"
# Below the kernel's range for outgoing connections, which could take the port of a server that is
# restarting.
FIRST, LAST = 20_000, 32_000
ATTEMPTS = 200
GRPC_OFFSET = 10_000


class Ports:
    """The ports of one data folder by name, stored in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int] = {}
        if path.exists():
            with suppress(ValueError, TypeError):  # damaged: new ports are assigned
                self._known = dict(json.loads(path.read_bytes()))
        self._reserved: set[int] = set()

    def reserve(self, *ports: int) -> None:
        """Never assign these ports."""
        self._reserved |= set(ports)

    def assign(self, name: str, *, with_grpc: bool = False) -> int:
        """Return the port of this name; `with_grpc` needs the one 10,000 above it free as well."""
        remembered = self._known.get(name)
        port = remembered if remembered and self._free(remembered, with_grpc=with_grpc) else None
        if port is None:
            port = self._find(with_grpc=with_grpc)
            self._known[name] = port
            self._path.write_text(json.dumps(self._known, indent=2), encoding="utf-8")
        self._reserved |= {port, port + GRPC_OFFSET} if with_grpc else {port}
        return port

    def _find(self, *, with_grpc: bool) -> int:
        lower = GRPC_OFFSET if with_grpc else 0
        for _ in range(ATTEMPTS):
            port = random.randint(FIRST - lower, LAST - lower)  # noqa: S311  # a port is no secret
            if port not in self._known.values() and self._free(port, with_grpc=with_grpc):
                return port
        raise NoFreePortError(NoFreePortError.__doc__)

    def _free(self, port: int, *, with_grpc: bool) -> bool:
        wanted = {port, port + GRPC_OFFSET} if with_grpc else {port}
        return not wanted & self._reserved and all(is_free(each) for each in wanted)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server can listen on the port."""
    return listen_error(port, host) is None


def listen_error(port: int, host: str) -> OSError | None:
    """Return the error of listening on the port, if there is one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as candidate:
        # Connections in TIME_WAIT don't keep a server from listening.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
            candidate.listen(1)
        except OSError as error:
            return error
    return None
