"""Hostile images against the running service: refused, failed, or made harmless."""

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
REFUSED_SECONDS = 2.0
# The test machine may be slow and busy.
MOST_SECONDS, WALL_SECONDS = 5.0, 30.0
# The attacks that cost the API or a decoder the most memory or time.
HEAVIEST = (
    "as large as a PNG may be",
    "60 scans of 24 million pixels",
    "two million blocks",
    "300 zTXt of a megabyte",
    "huge iCCP",
)
DECODER = "services.images.sandbox_process"


def workers(service) -> list[psutil.Process]:
    """Return the processes of the worker, including its decoders."""
    return _running(service, "worker", DECODER)


def decoders(service) -> list[psutil.Process]:
    """Return the processes that fork decoders."""
    found = _running(service, DECODER)
    return [each for each in found if each.ppid() not in {one.pid for one in found}]


def _running(service, *words: str) -> list[psutil.Process]:
    ours = commands_of(psutil.Process(service.process.pid), recursive=True)
    return [process for process, command in ours.items() if set(words) & set(command)]


def decodings(service) -> list[dict]:
    """Return the worker's log lines about decoded images."""
    log = (service.data_dir / "logs" / "worker-images.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines() if '"image_decoded"' in line]
    return [line for line in lines if "task_id" in line]


@pytest.mark.parametrize("title", CORPUS)
async def test_each_attack_has_its_expected_outcome(service, api, title):
    attack = CORPUS[title]
    data = attack.make()
    files = {"image": (attack.name, data, attack.kind)}
    started = time.perf_counter()
    response = await api.call("POST", "/courses/upload", data=COURSE, files=files)
    if isinstance(attack.fate, tuple):
        status, code = attack.fate
        content = response.json()
        assert (response.status_code, content["error"]) == (status, TITLES[status]), response.text
        assert content["details"]["code"] == code
        assert content["message"].startswith("The image")
        assert response.elapsed.total_seconds() < REFUSED_SECONDS
        return
    assert response.status_code == 201, response.text
    task_id = response.json()["image"]["task_id"]
    course = await api.settled(response.json()["id"])
    seconds = time.perf_counter() - started
    assert course["image"]["status"] == attack.fate, course
    assert seconds < WALL_SECONDS
    if attack.fate == "failed":
        assert course["image"]["error"] == "The image is damaged and can't be decoded"
    for variant in course["image"].get("variants", []):
        # The name of the client's file is not part of the object's key.
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


async def test_attacks_do_not_grow_the_worker(service, api):
    for title in HEAVIEST:
        response = await api.upload(CORPUS[title].make())
        if response.status_code == 201:  # otherwise the upload was refused, as asserted above
            await api.settled(response.json()["id"])
    assert len(decodings(service)) >= 2
    peaks = peaks_of(workers(service))
    assert peaks
    assert max(peaks.values()) < MOST_MEGABYTES * MEGABYTE


def with_file(name: bytes) -> bytes:
    """Return a form with an image of this name, which no client would send."""
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
async def test_a_hostile_file_name_is_refused(api, name, message):
    headers = api.headers | {"Content-Type": "multipart/form-data; boundary=b"}
    response = await api.client.post(
        "/api/v1/courses/upload", content=with_file(name), headers=headers
    )
    assert (response.status_code, response.json()["error"]) == (400, TITLES[400]), response.text
    assert response.json()["message"].startswith(message)


async def test_a_killed_decoder_affects_no_other_image(service, api):
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
    for course in await asyncio.gather(*(api.settled(each["id"]) for each in uploads)):
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
