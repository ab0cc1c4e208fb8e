"""Images are decoded in a sandboxed process; its crashes and limits do not affect the worker."""

import asyncio
import os
import signal
import sys
from io import BytesIO

import psutil
import pytest
import structlog
from PIL import Image, ImageChops, ImageStat
from structlog.testing import capture_logs

from infra.process.system import NICENESS
from services.errors import ServiceError
from services.images import headers, pipeline, sandbox, variants
from services.images.headers import BrokenImage, ImageTooCostly, ImageTooLarge, UnsupportedImage
from services.images.sandbox_process import handle
from services.images.variants import AVIF
from tests import photos
from tests.factories import eventually
from tests.processes import commands_of, is_over, session_niceness

LIMIT = 50_000_000
HARMLESS = photos.jpeg(64, 48)


@pytest.fixture(autouse=True)
def own_processes(monkeypatch):
    """Starts decoders of the test's own and ends them."""
    # Those of other tests of this process.
    others = sandbox._idle  # noqa: SLF001  it has no public name
    while others:
        others.pop().kill()
    idle = []
    monkeypatch.setattr(sandbox, "_idle", idle)
    yield idle
    for process in idle:
        process.kill()


@pytest.fixture
def malicious_decoder(monkeypatch):
    """Runs a line of Python in the decoder's process in place of the decoding."""

    def use(line: str) -> None:
        program = (
            "import json, os, signal, sys, time\n"
            "import services.images.sandbox_process\n"
            f"services.images.sandbox_process.handle = lambda data, limit, encoding: {line}\n"
            "services.images.sandbox_process.main()\n"
        )
        monkeypatch.setattr(sandbox, "COMMAND", (sys.executable, "-I", "-c", program))

    return use


def own_decoders() -> list[psutil.Process]:
    """Return the processes that fork decoders."""
    children = commands_of(psutil.Process()).items()
    return [
        each for each, command in children if "services.images.sandbox_process" in " ".join(command)
    ]


async def test_decoders_have_a_low_priority():
    await sandbox.render(HARMLESS, LIMIT)
    (process,) = own_decoders()
    assert process.nice() == max(os.nice(0), NICENESS)
    assert session_niceness(process.pid) in {None, NICENESS}


async def test_the_sandbox_returns_the_same_variants_as_a_direct_call():
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
async def test_a_decoders_error_reaches_the_caller(make, error):
    with pytest.raises(error) as caught:
        await sandbox.render(make(), LIMIT)
    with pytest.raises(error) as ours:
        variants.render(make(), LIMIT)
    assert str(caught.value) == str(ours.value)
    assert type(caught.value) is error


async def test_one_parent_serves_images_in_turn_and_concurrently(own_processes):
    for _ in range(3):
        await sandbox.render(HARMLESS, LIMIT)
    assert len(own_decoders()) == len(own_processes) == 1
    results = await asyncio.gather(*(sandbox.render(HARMLESS, LIMIT) for _ in range(3)))
    assert results == [variants.render(HARMLESS, LIMIT)] * 3
    assert len(own_processes) == 3


async def test_a_killed_decoder_is_retried(malicious_decoder, monkeypatch):
    malicious_decoder("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(sandbox.DecoderFailed, match="ended with -9"):
        await sandbox.render(HARMLESS, LIMIT)
    (parent,) = own_decoders()
    assert parent.is_running()


@pytest.mark.parametrize("line", ["os.abort()", "os.kill(os.getpid(), signal.SIGSEGV)"])
async def test_an_image_that_crashes_its_decoder_is_broken(malicious_decoder, line):
    malicious_decoder(line)
    with pytest.raises(BrokenImage):
        await sandbox.render(HARMLESS, LIMIT)


async def test_a_decoder_has_a_limit_of_cpu_time(malicious_decoder, monkeypatch):
    monkeypatch.setattr(sandbox, "CPU_SECONDS", 1)
    malicious_decoder("sum(0 for _ in iter(int, 1))")
    with pytest.raises(ImageTooCostly):
        await sandbox.render(HARMLESS, LIMIT)


async def test_a_decoder_has_a_limit_of_wall_time(malicious_decoder, monkeypatch):
    monkeypatch.setattr(sandbox, "WALL_SECONDS", 1.0)
    malicious_decoder("time.sleep(60)")
    async with asyncio.timeout(10):
        with pytest.raises(sandbox.DecoderFailed):
            await sandbox.render(HARMLESS, LIMIT)
    assert own_decoders() == []


async def test_a_decoder_has_a_limit_of_memory(monkeypatch):
    picture = photos.encoded(photos.photograph(1600, 1200), "PNG", compress_level=1)
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 64 * 1024 * 1024)
    assert await sandbox.render(picture, LIMIT)
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 8 * 1024 * 1024)
    with pytest.raises(ImageTooCostly):
        await sandbox.render(picture, LIMIT)


async def test_a_decoder_cannot_write_files(malicious_decoder, tmp_path):
    malicious_decoder(f"open({str(tmp_path / 'left')!r}, 'w').write('x' * 100000)")
    with pytest.raises((sandbox.DecoderFailed, BrokenImage)):
        await sandbox.render(HARMLESS, LIMIT)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


async def test_a_decoder_has_no_secret(monkeypatch):
    monkeypatch.setenv("JWT_SECRET", "canary")
    await sandbox.render(HARMLESS, LIMIT)
    (parent,) = own_decoders()
    assert parent.environ() == {}
    # It inherits standard error only: no socket, no file.
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
async def test_an_invalid_result_is_an_error(malicious_decoder, line):
    malicious_decoder(line)
    with pytest.raises(sandbox.DecoderFailed):
        await sandbox.render(HARMLESS, LIMIT)


async def test_a_parent_that_died_is_replaced(own_processes):
    await sandbox.render(HARMLESS, LIMIT)
    (parent,) = own_decoders()
    parent.kill()
    parent.wait(5)
    assert await sandbox.render(HARMLESS, LIMIT) == variants.render(HARMLESS, LIMIT)


async def test_a_parent_that_dies_with_its_child_is_retried(malicious_decoder):
    malicious_decoder("os.killpg(0, signal.SIGKILL)")
    with pytest.raises(sandbox.DecoderFailed):
        await sandbox.render(HARMLESS, LIMIT)


async def test_a_cancelled_caller_leaves_no_decoder(malicious_decoder):
    malicious_decoder("time.sleep(60)")
    work = asyncio.create_task(sandbox.render(HARMLESS, LIMIT))

    async def sleeping():
        return [child for parent in own_decoders() for child in parent.children()]

    (child,) = await eventually(sleeping)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert own_decoders() == []

    async def is_gone():
        return is_over(child)

    await eventually(is_gone)


async def test_decoders_end_with_the_process_that_started_them():
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

    async def is_gone():
        return is_over(parent)

    await eventually(is_gone, within=5)


@pytest.mark.parametrize(
    ("make", "error"), [(photos.truncated_jpeg, BrokenImage), (photos.bomb_png, ImageTooLarge)]
)
def test_results_are_serialized_without_loss(make, error):
    # In this process, where coverage is measured.
    with pytest.raises(error):
        sandbox.parse(handle(make(), LIMIT))
    whole = photos.jpeg()
    assert sandbox.parse(handle(whole, LIMIT)) == variants.render(whole, LIMIT)


def test_a_memory_error_means_that_the_image_is_too_costly(monkeypatch):
    def starve(_data, _limit, _encoding):
        raise MemoryError

    monkeypatch.setattr(variants, "render", starve)
    with pytest.raises(ServiceError, match="too much memory or time"):
        sandbox.parse(handle(b"", LIMIT))


@pytest.mark.parametrize("make", [photos.jpeg, photos.png_alpha, photos.animated_gif])
async def test_variants_in_avif_have_the_sizes_and_pixels_of_those_in_webp(make):
    data = make()
    found, others = await sandbox.render(data, LIMIT, AVIF), variants.render(data, LIMIT)
    assert [(each.width, each.height) for each in found] == [
        (each.width, each.height) for each in others
    ]
    for avif, webp in zip(found, others, strict=True):
        shown, expected = (Image.open(BytesIO(each.data)) for each in (avif, webp))
        assert (shown.format, shown.mode, shown.size) == ("AVIF", expected.mode, expected.size)
        assert not shown.getexif()
        assert not [key for key in ("exif", "xmp", "icc_profile") if shown.info.get(key)]
        apart = ImageChops.difference(shown.convert("RGBA"), expected.convert("RGBA"))
        assert max(ImageStat.Stat(apart).mean) < 6


async def test_the_largest_variants_fit_into_the_limits_in_avif():
    tall = photos.encoded(photos.photograph(1280, 4096), "PNG", compress_level=1)
    assert len(await sandbox.render(tall, LIMIT, AVIF)) == 3


async def test_an_image_that_is_too_costly_in_avif_has_its_variants_in_webp(monkeypatch):
    render = sandbox.render

    async def costly(data, limit, encoding=variants.WEBP):
        if encoding is AVIF:
            raise ImageTooCostly
        return await render(data, limit, encoding)

    monkeypatch.setattr(sandbox, "render", costly)
    made = await pipeline._made(photos.jpeg(400, 300), LIMIT, has_avif=True)  # noqa: SLF001  it has no public name
    assert [(encoding.format, each.width) for encoding, each in made] == [
        ("webp", 400),
        ("webp", 320),
    ]


async def test_what_a_decoder_writes_is_a_log_line(monkeypatch):
    code = "import os; os.write(2, b'Fatal: marked'); os._exit(1)"
    monkeypatch.setattr(sandbox, "COMMAND", (sys.executable, "-c", code))
    monkeypatch.setattr(sandbox, "log", structlog.get_logger())
    with capture_logs() as lines, pytest.raises(sandbox.DecoderFailed):
        await sandbox.render(photos.jpeg(), LIMIT)
    [line] = [line for line in lines if line["event"] == "decoder_output"]
    assert line["text"] == "Fatal: marked"
