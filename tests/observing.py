"""The service with OBSERVE=1, and what Prometheus tells of it."""

import asyncio
import math
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from deploy.embedded.service import Service, start_service
from tests import photos
from tests.absent import is_absent
from tests.factories import Api, free_ports

PACKAGES = (
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "prometheus-redis-exporter",
    "prometheus-nginx-exporter",
)
PAUSE_SECONDS = 0.2
NGINX = """
daemon off;
pid nginx.pid;
error_log nginx.log;
worker_processes 1;
events {{}}
http {{
    access_log off;
    # No files of its own: its workers may not write here.
    client_body_buffer_size 8m;
    client_max_body_size 8m;
    proxy_max_temp_file_size 0;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        location /stub_status {{ stub_status; }}
        location / {{ proxy_pass {behind}; }}
    }}
}}
"""


class Observed(NamedTuple):
    """A running service, its Prometheus, and the nginx in front of it."""

    service: Service
    prometheus: str
    alertmanager: str
    nginx: str
    traces: str


@contextmanager
def nginx(folder: Path, port: int, behind: str) -> Iterator[str]:
    """Run Debian's nginx as a proxy; yield its address."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        is_absent("nginx", "nginx-light")
    folder.mkdir()
    (folder / "nginx.conf").write_text(NGINX.format(port=port, behind=behind))
    process = subprocess.Popen((program, "-p", f"{folder}/", "-c", "nginx.conf"))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(10)


@contextmanager
def observed_service(folder: Path) -> Iterator[Observed]:
    """Run the complete service with OBSERVE=1, behind an nginx."""
    for package in PACKAGES:
        if shutil.which(package) is None:
            is_absent(package, package)
    port, flower_port, prometheus, alertmanager, traces, proxy = free_ports(6)
    base = f"http://127.0.0.1:{port}"
    environment = {
        "OBSERVE": "true",
        "PROMETHEUS_PORT": str(prometheus),
        "ALERTMANAGER_PORT": str(alertmanager),
        "TRACES_PORT": str(traces),
        "NGINX_STATUS_URL": f"http://127.0.0.1:{proxy}/stub_status",
        "RATE_LIMIT_EXEMPT": "127.0.0.1",
    }
    with nginx(folder / "nginx", proxy, base) as address:
        service = start_service(folder / "data", port, flower_port, environment=environment)
        try:
            yield Observed(
                service,
                f"http://127.0.0.1:{prometheus}",
                service.env["ALERTMANAGER_URL"],
                address,
                f"http://127.0.0.1:{traces}",
            )
        finally:
            service.stop()


def targets(prometheus: str) -> dict[str, str]:
    """Return the health of all targets by job and address; empty while one is not yet known."""
    found = httpx.get(f"{prometheus}/api/v1/targets").json()["data"]["activeTargets"]
    return {
        f"{each['labels']['job']} {urlsplit(each['scrapeUrl']).netloc}": (
            each["health"] if each["health"] != "down" else each["lastError"]
        )
        for each in found
    }


def query(prometheus: str, expression: str) -> list[float]:
    """Return the values of an expression that are numbers."""
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", (expression, answer)
    values = [float(each["value"][1]) for each in answer["data"]["result"]]
    return [value for value in values if not math.isnan(value)]


@asynccontextmanager
async def load(observed: Observed) -> AsyncIterator[None]:
    """Make every kind of call, a few a second, for the duration of the block."""
    async with httpx.AsyncClient(base_url=observed.nginx, timeout=30) as client:
        api = await Api.log_in(client)
        photo = photos.jpeg(400, 300)

        async def again() -> None:
            while True:
                await _each_call(api, photo)
                await asyncio.sleep(PAUSE_SECONDS)

        running = asyncio.create_task(again())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running  # raises what failed


async def _each_call(api: Api, photo: bytes) -> None:
    wrong = {"username": "admin", "password": "wrong"}
    assert (await api.client.post("/api/v1/auth/login", json=wrong)).status_code == 401
    course = await api.settled((await api.upload(photo)).json()["id"], within=90)
    one = f"/courses/{course['id']}"
    for _ in range(5):
        assert (await api.call("GET", "/courses")).is_success
        assert (await api.call("GET", one)).is_success
    assert (await api.client.get(urlsplit(course["image_url"]).path)).is_success
    assert (await api.call("GET", "/courses/none")).is_error
    enrollment = {"course_id": course["id"], "student_email": "ada@example.org"}
    assert (await api.client.post("/api/v1/enrollments", json=enrollment)).is_success
    assert (await api.client.post("/api/v1/enrollments", json=enrollment)).status_code == 409
    assert (await api.call("PATCH", one, json={"title": "Changed"})).is_success
    assert (await api.call("DELETE", one)).is_success
