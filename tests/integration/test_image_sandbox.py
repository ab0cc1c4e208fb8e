"""Images are decoded by a process of their own, and nothing that happens there happens to us."""

import asyncio
import os
import signal
import sys

import psutil
import pytest

from infra.process.system import NICENESS
from services.errors import ServiceError
from services.images import headers, sandbox, variants
from services.images.headers import BrokenImage, ImageTooCostly, ImageTooLarge, UnsupportedImage
from services.images.sandbox_process import answer
from tests import photos
from tests.factories import eventually
from tests.processes import commands_of, is_over, session_niceness

LIMIT = 50_000_000
HARMLESS = photos.jpeg(64, 48)


@pytest.fixture(autouse=True)
def own_processes(monkeypatch):
    """Start decoders of our own, and end them."""
    idle = []
    monkeypatch.setattr(sandbox, "_idle", idle)
    yield idle
    for process in idle:
        process.kill()


@pytest.fixture
def evil(monkeypatch):
    """Put a line of Python in the place of decoding, in the decoder's own process."""

    def use(line: str) -> None:
        program = (
            "import json, os, signal, sys, time\n"
            "import services.images.sandbox_process\n"
            f"services.images.sandbox_process.answer = lambda data, limit: {line}\n"
            "services.images.sandbox_process.main()\n"
        )
        monkeypatch.setattr(sandbox, "COMMAND", (sys.executable, "-I", "-c", program))

    return use


def our_decoders() -> list[psutil.Process]:
    """Return the processes that fork decoders."""
    children = commands_of(psutil.Process()).items()
    return [
        each for each, command in children if "services.images.sandbox_process" in " ".join(command)
    ]


async def test_whoever_decodes_leaves_the_processor_to_others():
    await sandbox.render(HARMLESS, LIMIT)
    (process,) = our_decoders()
    assert process.nice() == max(os.nice(0), NICENESS)
    assert session_niceness(process.pid) in {None, NICENESS}


async def test_a_child_makes_what_we_would_make():
    for make in (photos.jpeg, photos.png_alpha, photos.animated_gif, photos.webp):
        assert await sandbox.render(make(), LIMIT) == variants.render(make(), LIMIT)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (photos.bomb_png, ImageTooLarge),
        (photos.bomb_webp, ImageTooLarge),
        (photos.truncated_jpeg, BrokenImage),
        (photos.scan_bomb_jpeg, headers.TooManyScans),
        (photos.profile_bomb_png, headers.UnreadableHeader),
        (lambda: photos.SVG, UnsupportedImage),
        (lambda: b"", UnsupportedImage),
    ],
)
async def test_a_child_says_what_is_wrong(make, error):
    with pytest.raises(error) as caught:
        await sandbox.render(make(), LIMIT)
    with pytest.raises(error) as ours:
        variants.render(make(), LIMIT)
    assert str(caught.value) == str(ours.value)
    assert type(caught.value) is error


async def test_one_process_serves_one_image_after_the_other_and_several_at_once(own_processes):
    for _ in range(3):
        await sandbox.render(HARMLESS, LIMIT)
    assert len(our_decoders()) == len(own_processes) == 1
    results = await asyncio.gather(*(sandbox.render(HARMLESS, LIMIT) for _ in range(3)))
    assert results == [variants.render(HARMLESS, LIMIT)] * 3
    assert len(own_processes) == 3


async def test_a_decoder_that_was_killed_is_another_try(evil, monkeypatch):
    evil("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(sandbox.DecoderFailed, match="ended with -9"):
        await sandbox.render(HARMLESS, LIMIT)
    (parent,) = our_decoders()
    assert parent.is_running()


@pytest.mark.parametrize("line", ["os.abort()", "os.kill(os.getpid(), signal.SIGSEGV)"])
async def test_an_image_that_crashes_its_decoder_is_broken(evil, line):
    evil(line)
    with pytest.raises(BrokenImage):
        await sandbox.render(HARMLESS, LIMIT)


async def test_a_decoder_has_so_much_time_of_a_core(evil, monkeypatch):
    monkeypatch.setattr(sandbox, "CPU_SECONDS", 1)
    evil("sum(0 for _ in iter(int, 1))")
    with pytest.raises(ImageTooCostly):
        await sandbox.render(HARMLESS, LIMIT)


async def test_a_decoder_has_so_much_time_of_ours(evil, monkeypatch):
    monkeypatch.setattr(sandbox, "WALL_SECONDS", 1.0)
    evil("time.sleep(60)")
    async with asyncio.timeout(10):
        with pytest.raises(sandbox.DecoderFailed):
            await sandbox.render(HARMLESS, LIMIT)
    assert our_decoders() == []


async def test_a_decoder_has_so_much_memory(monkeypatch):
    picture = photos.encoded(photos.photograph(1600, 1200), "PNG", compress_level=1)
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 64 * 1024 * 1024)
    assert await sandbox.render(picture, LIMIT)
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 8 * 1024 * 1024)
    with pytest.raises(ImageTooCostly):
        await sandbox.render(picture, LIMIT)


async def test_a_decoder_may_not_write_files(evil, tmp_path):
    evil(f"open({str(tmp_path / 'left')!r}, 'w').write('x' * 100000)")
    with pytest.raises((sandbox.DecoderFailed, BrokenImage)):
        await sandbox.render(HARMLESS, LIMIT)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


async def test_a_decoder_knows_no_secret(monkeypatch):
    monkeypatch.setenv("JWT_SECRET", "canary")
    await sandbox.render(HARMLESS, LIMIT)
    (parent,) = our_decoders()
    assert parent.environ() == {}
    # Of ours it has standard error alone: no socket, no file.
    assert parent.open_files() == []
    assert parent.net_connections(kind="inet") == []


@pytest.mark.parametrize(
    "line",
    [
        "b''",
        "b'trash'",
        "b'[]\\n'",
        "b'{}\\n'",
        'b\'{"error": "SystemExit"}\\n\'',
        'b\'{"error": "ImageTooLarge", "numbers": ["<b>", 1]}\\n\'',
        "b'{\"renditions\": [[1, 1, 9]]}\\n<script>'",
        'b\'{"renditions": [["a", 1, 12]]}\\nRIFF0000WEBP\'',
        "b'x' * (40 << 20)",
        "sys.exit(3)",
    ],
)
async def test_an_answer_that_makes_no_sense_is_none(evil, line):
    evil(line)
    with pytest.raises(sandbox.DecoderFailed):
        await sandbox.render(HARMLESS, LIMIT)


async def test_a_parent_that_died_is_replaced(own_processes):
    await sandbox.render(HARMLESS, LIMIT)
    (parent,) = our_decoders()
    parent.kill()
    parent.wait(5)
    assert await sandbox.render(HARMLESS, LIMIT) == variants.render(HARMLESS, LIMIT)


async def test_a_parent_that_dies_with_its_child_is_another_try(evil):
    evil("os.killpg(0, signal.SIGKILL)")
    with pytest.raises(sandbox.DecoderFailed):
        await sandbox.render(HARMLESS, LIMIT)


async def test_whoever_is_cancelled_leaves_no_decoder(evil):
    evil("time.sleep(60)")
    work = asyncio.create_task(sandbox.render(HARMLESS, LIMIT))

    async def sleeping():
        return [child for parent in our_decoders() for child in parent.children()]

    (child,) = await eventually(sleeping)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert our_decoders() == []

    async def gone():
        return is_over(child)

    await eventually(gone)


async def test_decoders_end_with_who_started_them():
    program = (
        "import asyncio, os, sys, time\n"
        "from services.images import sandbox\n"
        "from tests import photos\n"
        "asyncio.run(sandbox.render(photos.jpeg(64, 48), 10**6))\n"
        "print('its', sandbox._idle[0]._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    while not (line := await worker.stdout.readline()).startswith(b"its "):
        assert line, "it ended"
    parent = psutil.Process(int(line.split()[1]))
    worker.send_signal(signal.SIGKILL)
    await worker.wait()

    async def gone():
        return is_over(parent)

    await eventually(gone, within=5)


@pytest.mark.parametrize(
    ("make", "error"), [(photos.truncated_jpeg, BrokenImage), (photos.bomb_png, ImageTooLarge)]
)
def test_answers_read_as_they_were_meant(make, error):
    # In this process, where coverage is measured.
    with pytest.raises(error):
        sandbox.parse(answer(make(), LIMIT))
    whole = photos.jpeg()
    assert sandbox.parse(answer(whole, LIMIT)) == variants.render(whole, LIMIT)


def test_memory_that_runs_out_is_a_costly_image(monkeypatch):
    def starve(_data, _limit):
        raise MemoryError

    monkeypatch.setattr(variants, "render", starve)
    with pytest.raises(ServiceError, match="too much memory or time"):
        sandbox.parse(answer(b"", LIMIT))
