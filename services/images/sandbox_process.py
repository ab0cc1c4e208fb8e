"""The process that decodes images: it has no secrets, and forks a child with limits for each.

Started by `services.images.sandbox` with an empty environment. It never looks at an image itself,
so what the next child inherits is as clean as at its start; a fork is far cheaper than an
interpreter.
"""

import json
import os
import resource
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from infra.process.system import die_with_parent, lower_priority
from services.errors import ServiceError
from services.images import variants
from services.images.headers import ImageTooCostly, ImageTooLarge
from services.images.variants import ENCODINGS, WEBP, Encoding

# Before the image: its most pixels, the memory in bytes beyond what a child starts with, the
# seconds of one core that it may take, and the variants' format.
JOB = struct.Struct("QQI4s")
_KILOBYTE = 1024 if sys.platform == "linux" else 1  # of `ru_maxrss`
_FILES = 32


class Ended(NamedTuple):
    """How a child ended, as `os.wait` says it, its most memory in bytes, its seconds of a core."""

    status: int
    memory: int
    seconds: float


ENDED = struct.Struct("iQd")


def main() -> None:  # pragma: no cover  nothing tells a process without environment to measure
    """Take jobs, each a socket, from the socket that is standard input, until that is closed."""
    die_with_parent(parent=int(sys.argv[1]))
    lower_priority()
    Image.preinit()
    control = socket.socket(fileno=0)
    parent = os.getpid()
    while sockets := socket.recv_fds(control, 1, 1)[1]:
        child = os.fork()
        if not child:
            control.close()
            _work(socket.socket(fileno=sockets[0]), parent)
        os.close(sockets[0])
        _, status, usage = os.wait4(child, 0)
        seconds = usage.ru_utime + usage.ru_stime
        control.send(ENDED.pack(status, usage.ru_maxrss * _KILOBYTE, seconds))


def _work(job: socket.socket, parent: int) -> None:  # pragma: no cover  see above
    """Handle one job and end; whatever goes wrong ends with the process."""
    try:
        die_with_parent(parent=parent)
        with job, job.makefile("rwb") as stream:
            max_pixels, memory, seconds, form = JOB.unpack(stream.read(JOB.size))
            _limit(memory, seconds)
            stream.write(handle(stream.read(), max_pixels, ENCODINGS[form.decode()]))
    except BaseException:  # noqa: BLE001  a child must never come back into its parent's loop
        os._exit(1)
    os._exit(0)


def handle(data: bytes, max_pixels: int, encoding: Encoding = WEBP) -> bytes:
    """Return a line of JSON about the variants, or about what is wrong, and the variants."""
    try:
        renditions = variants.render(data, max_pixels, encoding)
    except MemoryError:
        return _fault(ImageTooCostly())
    except ServiceError as error:
        return _fault(error)
    shown = [[each.width, each.height, len(each.data)] for each in renditions]
    return _line({"renditions": shown}) + b"".join(each.data for each in renditions)


def _fault(error: ServiceError) -> bytes:
    numbers = [error.pixels, error.allowed] if isinstance(error, ImageTooLarge) else []
    return _line({"error": type(error).__name__, "numbers": numbers})


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _limit(memory: int, seconds: int) -> None:  # pragma: no cover  see above
    """Take away what decoding does not need."""
    limits = {
        # The first ends it by a signal of its own; the second is for who ignores that.
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NOFILE: (_FILES, _FILES),
        resource.RLIMIT_NPROC: (0, 0),
    }
    with suppress(FileNotFoundError):  # Linux has it; elsewhere the other limits have to do
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + memory
        limits[resource.RLIMIT_AS] = (most, most)
    for limit, (soft, hard) in limits.items():
        _, ceiling = resource.getrlimit(limit)
        bounded = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        resource.setrlimit(limit, (min(soft, bounded), bounded))


if __name__ == "__main__":  # pragma: no cover  see above
    main()
