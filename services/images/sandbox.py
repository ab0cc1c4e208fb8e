"""Images decoded in a process of their own, with limits on memory, time and secrets.

What an image does to its decoder ends there: the worker, its task and the other images go on.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from infra.observability import logs
from services.images import headers, variants
from services.images.headers import BrokenImage, ImageTooCostly, ImageTooLarge
from services.images.sandbox_process import ENDED, JOB, Ended
from services.images.variants import Rendition

COMMAND = (sys.executable, "-I", "-m", "services.images.sandbox_process")

# Every image that `imaging.inspect` lets pass needs less.
MEMORY_BYTES = 256 * 1024 * 1024
# Three times what the worst of them takes on a busy machine.
CPU_SECONDS = 3
# For a machine that is so busy that the child does not get those.
WALL_SECONDS = 30.0

_MOST_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK = 256 * 1024

# What a child says of an image is a name and two numbers, never a text.
_ERRORS = {
    kind.__name__: kind
    for kind in (
        BrokenImage,
        ImageTooCostly,
        headers.TooManyFrames,
        headers.TooManyScans,
        headers.UnreadableHeader,
        headers.UnsupportedImage,
    )
}


log = logs.get_logger(__name__)


class DecoderFailed(Exception):
    """The decoder was killed or did not answer; another try may succeed"""


async def render(data: bytes, max_pixels: int) -> list[Rendition]:
    """Make the variants as `imaging.render` does, in a child.

    Raises:
        BrokenImage: the image can't be decoded, or crashes its decoder.
        ImageTooCostly: decoding takes more memory or time than it may.
        ImageTooLarge, TooManyFrames, UnsupportedImage: as `imaging.render`.
        DecoderFailed: the decoder was killed, or got no time from the machine.

    """
    process = _take()
    try:
        async with asyncio.timeout(WALL_SECONDS):
            job = JOB.pack(max_pixels, MEMORY_BYTES, CPU_SECONDS)
            answer, ended = await process.do(job + data)
    except (OSError, TimeoutError) as error:
        process.kill()
        raise DecoderFailed(repr(error)) from error
    except BaseException:
        process.kill()
        raise
    _idle.append(process)
    log.info(
        "image_decoded",
        status=ended.status,
        megabytes=ended.memory >> 20,
        core_seconds=round(ended.seconds, 3),
    )
    _check(ended.status)
    try:
        return understood(answer)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DecoderFailed("the decoder's answer makes no sense") from error


def _take() -> "_DecoderProcess":
    while _idle:
        process = _idle.pop()
        if process.is_alive():
            return process
        process.kill()
    return _DecoderProcess()


class _DecoderProcess:
    """A process that forks decoders, and the socket by which it takes jobs."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(0)
        with theirs:
            self._process = subprocess.Popen(
                [*COMMAND, str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={},
                # A group of its own: it is killed together with its child. And a session, which is
                # what Linux shares the processor among.
                start_new_session=True,
            )

    async def do(self, job: bytes) -> tuple[bytes, Ended]:
        """Have a child work; return what it answered, and its end."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            with suppress(ConnectionError):  # it ended before it had read all
                writer.write(job)
                writer.write_eof()
                await writer.drain()
            answer = await _read(reader)
        finally:
            writer.close()
        ended = await asyncio.get_running_loop().sock_recv(self._control, ENDED.size)
        if len(ended) < ENDED.size:
            raise ConnectionResetError("the decoder's parent has ended")
        return answer, Ended(*ENDED.unpack(ended))

    def is_alive(self) -> bool:
        """Tell whether it can take a job."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it and its child at once."""
        self._control.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


# Started when one is needed, kept for the next image; they end with this process.
_idle: list[_DecoderProcess] = []


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            answer += chunk
            if len(answer) > _MOST_ANSWER_BYTES:
                raise OSError("the decoder answers without end")
    return bytes(answer)


def _check(status: int) -> None:
    """Raise what the end of a child means, if it was not a good one."""
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        raise ImageTooCostly
    if code > 0 or code in {-signal.SIGKILL, -signal.SIGTERM}:
        raise DecoderFailed(f"the decoder ended with {code}")
    if code:
        raise BrokenImage  # it crashed


def understood(answer: bytes) -> list[Rendition]:
    """Return the variants of a child's answer, or raise what it says is wrong."""
    line, _, body = answer.partition(b"\n")
    content = json.loads(line)
    if error := content.get("error"):
        raise ImageTooLarge(*content["numbers"]) if error == "ImageTooLarge" else _ERRORS[error]
    renditions, position = [], 0
    for width, height, size in content["renditions"]:
        data = body[position : position + size]
        if not variants.is_variant(data):
            raise ValueError(data[:12])
        renditions.append(Rendition(int(width), int(height), data))
        position += size
    return renditions
