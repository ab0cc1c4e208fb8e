"""On a full disk under DATA_DIR changes wait, reads and probes succeed, and no process ends."""

import asyncio
import time

import httpx
import psutil
import pytest
from uuid_utils.compat import uuid7

from deploy.embedded.service import start_service
from tests import photos
from tests.disks import fill, small_disk
from tests.factories import ADMIN, COURSE, Api, bearer, eventually, free_ports, scrape
from tests.instances import instance
from tests.processes import commands_of

ENVIRONMENT = {"RATE_LIMIT_EXEMPT": "127.0.0.1"}
FULL_SECONDS = 8.0
LOGIN = "/api/v1/auth/login"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The complete service on a disk of its own."""
    folder = tmp_path_factory.mktemp("disk") / "data"
    with small_disk(folder, 400) as disk:
        running = start_service(
            disk, *free_ports(2), environment={"RATE_LIMIT_EXEMPT": "127.0.0.1"}
        )
        try:
            yield running
        finally:
            running.stop()


def servers_of(service):
    """Return the processes of the API."""
    everything = commands_of(psutil.Process(service.process.pid), recursive=True)
    return {each.pid for each, command in everything.items() if command[-1:] == ["api"]}


async def calls(client, admin, course):
    """Make each kind of call once; return the statuses of reads and of changes."""
    enrolment = {"student_email": f"{uuid7().hex}@example.org", "course_id": course["id"]}
    reads = [
        await client.get(path)
        for path in (
            "/api/v1/courses",
            f"/api/v1/courses/{course['id']}",
            "/api/v1/courses?page=1&search=react",
            "/health/live",
            "/health/ready",
            "/health",
        )
    ]
    image = {"image": ("a.jpg", photos.jpeg(600, 400))}
    changes = [
        await client.post("/api/v1/enrollments", json=enrolment),
        await client.post(LOGIN, json=ADMIN),
        await client.post("/api/v1/courses", json=COURSE, headers=admin),
        await client.post("/api/v1/courses/upload", data=COURSE, files=image, headers=admin),
    ]
    return reads, changes


async def test_the_service_on_a_full_disk(small):
    async with httpx.AsyncClient(base_url=small.base_url, timeout=20) as client:
        api = await Api.log_in(client)
        course = await api.new_course()
        await calls(client, api.headers, course)
        # It writes more than a server that is in use.
        await eventually(lambda: said(small, "demo: done"), within=30)
        before = servers_of(small)
        assert len(before) >= 2

        filler = fill(small.data_dir)
        await eventually(lambda: said(small, "disk full: "), within=10)
        # What becomes free is filled again.
        filler = fill(small.data_dir)
        started, refused = time.monotonic(), 0
        while time.monotonic() - started < FULL_SECONDS:
            reads, changes = await calls(client, api.headers, course)
            assert {each.status_code for each in reads} == {200}, [each.text for each in reads]
            for answer in changes:
                assert answer.status_code in {200, 201, 503}, answer.text
                refused += answer.status_code == 503
            assert "cache_entries" in await scrape(client)
        assert refused
        assert servers_of(small) == before
        assert "disk full" in (small.data_dir / "logs" / "disk.log").read_text()

        filler.unlink()
        await eventually(lambda: said(small, "the disk has space again"), within=10)

        async def all_is_well():
            reads, changes = await calls(client, api.headers, course)
            return {each.status_code for each in (*reads, *changes)} <= {200, 201}

        await eventually(all_is_well, within=30)
        made = await api.new_course()
        assert (await client.get(f"/api/v1/courses/{made['id']}")).status_code == 200
        assert (await api.pictured(photos.jpeg(600, 400)))["image"]["status"] == "ready"
        assert servers_of(small) == before


async def said(service, words):
    return words in service.output.read_text()


async def test_an_api_whose_data_folder_and_log_are_on_a_full_disk(service, api, tmp_path):
    """All servers are on another disk, so all calls succeed; the log reports lost lines later."""
    course = await api.new_course()
    with small_disk(tmp_path / "small", 8) as disk:
        async with (
            instance(disk, service.env) as base,
            httpx.AsyncClient(base_url=base, timeout=20) as client,
        ):
            filler = fill(disk)
            admin = bearer((await client.post(LOGIN, json=ADMIN)).json()["token"])
            for _ in range(3):
                for answers in await calls(client, admin, course):
                    assert {each.status_code for each in answers} <= {200, 201}
                # More lines than the buffer holds.
                await asyncio.gather(*(client.get("/api/v1/courses") for _ in range(600)))
            assert "cache_entries" in await scrape(client)
            filler.unlink()

            async def is_told():
                await client.get("/health/live")
                [log] = disk.glob("api-*.log")
                return '"log_lines_lost"' in (text := log.read_text()) and "disk full" in text

            await eventually(is_told, within=10)
