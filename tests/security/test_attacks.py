"""The corpus of hostile images against the running service: refused, failed, or made harmless."""

import asyncio
import json
import time
from functools import partial
from pathlib import PurePosixPath

import psutil
import pytest

from tests import photos
from tests.attacks import CORPUS, SCRIPT
from tests.factories import COURSE, TITLES, eventually
from tests.processes import commands_of, peaks_of

MEGABYTE = 1 << 20
MOST_MEGABYTES = 300
MOST_SECONDS = 2.0
WALL_SECONDS = 10.0  # the machine that runs the tests may have other work
# Those that take the most memory or time, of the API or of a decoder.
HEAVIEST = (
    "as large as a PNG may be",
    "60 scans of 24 million pixels",
    "two million blocks",
    "300 zTXt of a megabyte",
    "huge iCCP",
)
DECODER = "services.images.sandbox_process"


def workers(service) -> list[psutil.Process]:
    """Return the processes of the worker, its decoders too."""
    return _running(service, "worker", DECODER)


def decoders(service) -> list[psutil.Process]:
    """Return the processes that fork decoders."""
    found = _running(service, DECODER)
    return [each for each in found if each.ppid() not in {one.pid for one in found}]


def _running(service, *words: str) -> list[psutil.Process]:
    ours = commands_of(psutil.Process(service.process.pid), recursive=True)
    return [process for process, command in ours.items() if set(words) & set(command)]


def decodings(service) -> list[dict]:
    """Return what the worker wrote about each image that it decoded."""
    log = (service.data_dir / "logs" / "worker-images.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines() if '"image_decoded"' in line]
    return [line for line in lines if "task_id" in line]


@pytest.mark.parametrize("title", CORPUS)
async def test_each_attack_gets_its_fate(service, api, title):
    attack = CORPUS[title]
    data = attack.make()
    files = {"image": (attack.name, data, attack.kind)}
    started = time.perf_counter()
    answer = await api.call("POST", "/courses/upload", data=COURSE, files=files)
    if isinstance(attack.fate, tuple):
        status, code = attack.fate
        content = answer.json()
        assert (answer.status_code, content["error"]) == (status, TITLES[status]), answer.text
        assert content["details"]["code"] == code
        assert content["message"].startswith("The image")
        assert answer.elapsed.total_seconds() < MOST_SECONDS
        return
    assert answer.status_code == 201, answer.text
    task_id = answer.json()["image"]["task_id"]
    course = await api.settled(answer.json()["id"])
    seconds = time.perf_counter() - started
    assert course["image"]["status"] == attack.fate, course
    assert seconds < WALL_SECONDS
    if attack.fate == "failed":
        assert course["image"]["error"] == "The image is damaged and can't be decoded"
    for variant in course["image"].get("variants", []):
        # What a client calls its file is no part of where it is, with whatever ending.
        name = PurePosixPath(attack.name.replace("\\", "/")).stem
        assert name not in {PurePosixPath(part).stem for part in variant["url"].split("/")}
        shown = await api.client.get(variant["url"])
        assert shown.headers["content-type"] == "image/webp"
        assert shown.content[8:12] == b"WEBP"
        for trace in (SCRIPT, b"PK\x03\x04", b"GPS", b"Exif"):
            assert trace not in shown.content
    (decoding,) = [one for one in decodings(service) if one["task_id"] == task_id]
    assert decoding["core_seconds"] < MOST_SECONDS
    assert decoding["megabytes"] < MOST_MEGABYTES


async def test_no_worker_has_grown_by_it(service, api):
    for title in HEAVIEST:
        answer = await api.upload(CORPUS[title].make())
        if answer.status_code == 201:  # else it was refused, as is asserted above
            await api.settled(answer.json()["id"], within=60)
    assert len(decodings(service)) >= 2
    peaks = peaks_of(workers(service))
    assert peaks
    assert max(peaks.values()) < MOST_MEGABYTES * MEGABYTE


def with_file(name: bytes) -> bytes:
    """Return a form with an image of this name, as no client would send it."""
    fields = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (key.encode(), value.encode())
        for key, value in COURSE.items()
    )
    file = b'--b\r\nContent-Disposition: form-data; name="image"; filename="%b"\r\n\r\n' % name
    return fields + file + photos.jpeg(64, 48) + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"x\r\n.jpg", "The form is malformed: "),
        (b"x\n.jpg", "The character U+000A is not allowed in a file's name"),
        (b"x\0.jpg", "The character U+0000 is not allowed in a file's name"),
        (b"x\x1b[31m.jpg", "The character U+001B is not allowed in a file's name"),
        ("x\u202egpj.exe".encode(), "The character U+202E is not allowed in a file's name"),
        (b"x" * 50_000, "The form is malformed: "),
    ],
    ids=["CRLF", "LF", "NUL", "escape", "right to left", "long"],
)
async def test_a_file_name_that_is_an_attack_is_refused(api, name, message):
    headers = api.headers | {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await api.client.post(
        "/api/v1/courses/upload", content=with_file(name), headers=headers
    )
    assert (answer.status_code, answer.json()["error"]) == (400, TITLES[400]), answer.text
    assert answer.json()["message"].startswith(message)


async def test_a_killed_decoder_takes_nothing_else_with_it(service, api):
    await api.pictured(photos.jpeg(64, 48))
    before = {process.pid for process in workers(service)}
    slow = photos.scan_bomb_jpeg(4890, 55)
    uploads = [(await api.upload(slow)).json() for _ in range(2)]

    async def decoding():
        return [child for parent in decoders(service) for child in parent.children()]

    for child in await eventually(partial(decoding)):
        child.kill()
    small = await api.pictured(photos.jpeg(64, 48))
    assert small["image"]["status"] == "ready"
    for course in await asyncio.gather(*(api.settled(each["id"], 60) for each in uploads)):
        assert course["image"]["status"] == "ready"
    attempts = [
        (await api.client.get(f"/api/v1/tasks/{each['image']['task_id']}")).json()["attempts"]
        for each in uploads
    ]
    assert max(attempts) == 2
    assert before <= {process.pid for process in workers(service)}


async def test_a_decoder_has_no_secret_of_the_service(service, api):
    await api.pictured(photos.jpeg(64, 48))
    found = decoders(service)
    assert found
    assert all(process.environ() == {} for process in found)
