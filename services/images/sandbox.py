"""Decodes images in a child process that has limits on memory and time, and no secrets.

An image that crashes its decoder affects neither the worker nor other tasks.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from infra.observability import logs, tracing
from infra.observability.events import Event
from services.images import headers, sandbox_process, variants
from services.images.headers import BrokenImage, ImageTooCostly, ImageTooLarge
from services.images.sandbox_process import ENDED, JOB, Ended
from services.images.variants import WEBP, Encoding, Rendition

COMMAND = (sys.executable, "-I", "-W", "ignore", "-m", sandbox_process.__name__)

# Every image that `headers.opened` accepts needs less.
MEMORY_BYTES = 256 * 1024 * 1024
# Three times the most expensive accepted image on a slow and busy machine.
CPU_SECONDS = 10
# Bounds the wait if a busy machine does not give the child its CPU seconds.
WALL_SECONDS = 30.0

_MOST_RESPONSE_BYTES = 32 * 1024 * 1024
_CHUNK = 256 * 1024
# What a pipe holds.
_MOST_OUTPUT_BYTES = 64 * 1024

# A child reports an error by a name and two numbers, never by text.
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
    """The decoder was killed or did not respond; another attempt may succeed"""


async def render(data: bytes, max_pixels: int, encoding: Encoding = WEBP) -> list[Rendition]:
    """Make the variants as `variants.render` does, in a child.

    Raises:
        BrokenImage: the image can't be decoded, or crashes its decoder.
        ImageTooCostly: decoding takes more memory or time than it may.
        ImageTooLarge, TooManyFrames, UnsupportedImage: as `variants.render`.
        DecoderFailed: the decoder was killed, or got no time from the machine.

    """
    with tracing.span("decode"):
        response = await _decode(data, max_pixels, encoding)
    try:
        return parse(response, encoding)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DecoderFailed("the decoder's response is malformed") from error


async def _decode(data: bytes, max_pixels: int, encoding: Encoding) -> bytes:
    """Return the response of a child."""
    process = _take()
    try:
        async with asyncio.timeout(WALL_SECONDS):
            form = encoding.format.encode()
            job = JOB.pack(max_pixels, MEMORY_BYTES, CPU_SECONDS, form)
            response, ended = await process.run(job + data)
    except (OSError, TimeoutError) as error:
        process.kill()
        raise DecoderFailed(repr(error)) from error
    except BaseException:
        process.kill()
        raise
    _idle.append(process)
    log.info(
        Event.IMAGE_DECODED,
        format=encoding.format,
        exit_status=ended.status,
        megabytes=ended.memory >> 20,
        core_seconds=round(ended.seconds, 3),
    )
    _check(ended.status)
    return response


def _take() -> "_DecoderProcess":
    while _idle:
        process = _idle.pop()
        if process.is_alive():
            return process
        process.kill()
    return _DecoderProcess()


class _DecoderProcess:
    """A process that forks decoders, and the socket that carries its jobs."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(0)
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        with theirs:
            self._process = subprocess.Popen(
                [*COMMAND, str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=output,
                env={},
                # Its own group, to kill it together with its child. Its own session, which is
                # what Linux shares the processor among.
                start_new_session=True,
            )
        os.close(output)

    async def run(self, job: bytes) -> tuple[bytes, Ended]:
        """Run a job in a child; return its response and how it ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            with suppress(ConnectionError):  # the child ended before it read all
                writer.write(job)
                writer.write_eof()
                await writer.drain()
            response = await _read(reader)
        finally:
            writer.close()
        ended = await asyncio.get_running_loop().sock_recv(self._control, ENDED.size)
        if len(ended) < ENDED.size:
            raise ConnectionResetError("the decoder's parent has ended")
        self._log_output()
        return response, Ended(*ENDED.unpack(ended))

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process and its child."""
        self._control.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log_output()
        os.close(self._output)

    def _log_output(self) -> None:
        """Log what the process wrote: it is no log line itself."""
        with suppress(BlockingIOError):
            if text := os.read(self._output, _MOST_OUTPUT_BYTES):
                log.warning(Event.DECODER_OUTPUT, text=text.decode(errors="replace"))


# Started on demand and reused; they end with this process.
_idle: list[_DecoderProcess] = []


async def _read(reader: asyncio.StreamReader) -> bytes:
    response = bytearray()
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            response += chunk
            if len(response) > _MOST_RESPONSE_BYTES:
                raise OSError("the decoder's response is too long")
    return bytes(response)


def _check(status: int) -> None:
    """Raise an error if the child's exit status is one."""
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        raise ImageTooCostly
    if code > 0 or code in {-signal.SIGKILL, -signal.SIGTERM}:
        raise DecoderFailed(f"the decoder ended with {code}")
    if code:
        raise BrokenImage  # a crash


def parse(response: bytes, encoding: Encoding = WEBP) -> list[Rendition]:
    """Return the variants of a child's response, or raise the error that it reports."""
    line, _, body = response.partition(b"\n")
    content = json.loads(line)
    if error := content.get("error"):
        raise ImageTooLarge(*content["numbers"]) if error == "ImageTooLarge" else _ERRORS[error]
    renditions, position = [], 0
    for width, height, size in content["renditions"]:
        data = body[position : position + size]
        if not variants.is_variant(data, encoding):
            raise ValueError(data[:12])
        renditions.append(Rendition(int(width), int(height), data))
        position += size
    return renditions
