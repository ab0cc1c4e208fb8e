"""A folder as a stream of chunks, and back: a tar in a pipe, so that memory is bounded."""

import asyncio
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from infra.backup.errors import BackupError


async def pack(folder: Path, chunk_bytes: int) -> AsyncIterator[bytes]:
    """Return the content of a folder in chunks of this size; the last one is smaller.

    Raises:
        BackupError: a file can't be read.

    """
    source, sink = _pipe()
    packing = asyncio.create_task(asyncio.to_thread(_pack, folder, sink))
    try:
        while chunk := await asyncio.to_thread(source.read, chunk_bytes):
            yield chunk
        await packing
    except OSError as error:
        raise BackupError(f"{folder} can't be read: {error}") from error
    finally:
        # The thread sees a broken pipe and ends.
        source.close()
        with suppress(OSError):
            await packing


async def unpack(chunks: AsyncIterator[bytes], folder: Path) -> None:
    """Write the content that `pack` returned into a folder.

    Raises:
        BackupError: the stream is no tar, or a file can't be written.

    """
    source, sink = _pipe()
    unpacking = asyncio.create_task(asyncio.to_thread(_unpack, source, folder))
    try:
        with suppress(BrokenPipeError), sink:  # the thread has the reason
            async for chunk in chunks:
                await asyncio.to_thread(sink.write, chunk)
    except BaseException:
        # A stream that was cut is no fault of the folder.
        with suppress(OSError, tarfile.TarError):
            await unpacking
        raise
    try:
        await unpacking
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{folder} can't be written: {error}") from error


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb"), os.fdopen(writer, "wb")


def _pack(folder: Path, sink: BinaryIO) -> None:
    with sink, tarfile.open(fileobj=sink, mode="w|") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)


def _unpack(source: BinaryIO, folder: Path) -> None:
    with source, tarfile.open(fileobj=source, mode="r|") as tar:
        tar.extractall(folder, filter="data")
