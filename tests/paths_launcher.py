"""An API for tests of the fast path: without it, or with a file that counts its responses.

PATH_COUNT names the file; without it every request takes the normal path.
"""

import os

from api.protocol.fast_path import FastPath
from cli.main import main

COUNT = os.environ.get("PATH_COUNT")
answer = FastPath.respond


def counted(self: FastPath, data: bytes, peer: str) -> tuple[bytes, bytes] | None:
    """Answer on the fast path, and count it."""
    response = answer(self, data, peer)
    if response is not None:
        with open(COUNT, "ab") as file:  # noqa: PTH123  appends in one call
            file.write(b".")
    return response


def refused(_self: FastPath, _data: bytes, _peer: str) -> None:
    """Leave every request to the normal path."""


# Server processes are spawned: they import this module and apply its patch as well.
FastPath.respond = counted if COUNT else refused
if __name__ == "__main__":
    main()
