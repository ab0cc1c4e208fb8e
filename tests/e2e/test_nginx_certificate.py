"""nginx's certificate: issued and renewed over ACME, and graded by sslyze."""

import asyncio
import configparser
import re
import shutil
import ssl
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from deploy.embedded.service import ROOT
from tests import acme
from tests.absent import is_absent
from tests.factories import eventually, free_ports
from tests.proxy import nginx
from tests.steady_load import Connection

pytestmark = pytest.mark.debian
NAME = "app.test"
SYSTEMD = ROOT / "deploy" / "nginx" / "systemd"
# A certificate that the test has signed itself.
OF_THE_TEST = {"certificate_path_validation"}


def unit(name):
    """Return a unit of systemd by its sections; the last of several equal keys."""
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.read(SYSTEMD / name)
    return parsed


def test_the_timer_renews_without_a_sleep_of_certbots_own():
    command = unit("enroll-certificate.service")["Service"]["ExecStart"]
    assert command == "/usr/bin/certbot renew --quiet --no-random-sleep-on-renew"
    assert unit("enroll-certificate.timer")["Timer"]["RandomizedDelaySec"] == "6h"


def test_systemd_accepts_the_units(tmp_path):
    if (program := shutil.which("systemd-analyze")) is None:
        is_absent("systemd-analyze", "systemd")
    for path in SYSTEMD.iterdir():
        shutil.copy(path, tmp_path)
    # The program and the file of the environment are those of a host.
    service = tmp_path / "enroll-certificate.service"
    service.write_text(service.read_text().replace("/usr/bin/certbot", "/bin/true"))
    units = [str(service), str(tmp_path / "enroll-certificate.timer")]
    done = subprocess.run([program, "verify", *units], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
async def issued(service, tmp_path):
    """nginx with a certificate of an authority, and how certbot is run."""
    acme.certbot()
    (plain,) = free_ports(1)
    folders = [f"--{name}-dir={tmp_path}/certbot/{name}" for name in ("config", "work", "logs")]
    (port,) = free_ports(1)
    given = {"origin": f"https://{NAME}:{port}", "http_listen": f"127.0.0.1:{plain}"}
    given["https_listen"] = f"127.0.0.1:{port}"
    async with (
        nginx(tmp_path / "nginx", [service.base_url], **given) as proxy,
        acme.pebble(tmp_path / "acme", plain) as authority,
    ):
        before = await _peer(proxy, None)
        environment = proxy.environment | {"REQUESTS_CA_BUNDLE": str(authority.bundle)}
        command = [sys.executable, "-m", "deploy.nginx", "issue", "--email", "ops@example.org"]
        command += ["--server", authority.directory, *folders]
        await asyncio.to_thread(acme.run, command, environment)
        root = await authority.root(tmp_path)

        # The old processes still accept connections for a moment after the reload.
        async def is_replaced():
            return before not in [await _peer(proxy, None) for _ in range(5)]

        await eventually(is_replaced)
        yield proxy, root, environment, folders


async def _peer(proxy, root):
    """Return the certificate that a new connection gets, verified by a root unless that is None."""
    context = ssl.create_default_context(cafile=root)
    if root is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(
        "127.0.0.1", urlsplit(proxy.address).port, ssl=context, server_hostname=NAME
    )
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


async def _challenges(proxy):
    """Return how often the authority has fetched a challenge."""
    lines = await proxy.lines()
    route = "/.well-known/acme-challenge/<token:str>"
    return sum((line["route"], line["status"]) == (route, 200) for line in lines)


async def test_a_certificate_is_issued_and_renewed_while_clients_are_served(issued):
    proxy, root, environment, folders = issued
    assert await _challenges(proxy) >= 1
    first = await _peer(proxy, root)
    parts = urlsplit(proxy.address)
    context = ssl.create_default_context(cafile=root)
    statuses = []
    is_renewed = asyncio.Event()

    async def ask():
        while not is_renewed.is_set():
            streams = await asyncio.open_connection(
                "127.0.0.1", parts.port, ssl=context, server_hostname=NAME
            )
            connection = Connection(*streams, parts.netloc)
            try:
                statuses.append((await connection.exchange("GET", "/health/live")).status)
            finally:
                connection.close()
            await asyncio.sleep(0.02)

    asking = asyncio.create_task(ask())
    renew = unit("enroll-certificate.service")["Service"]["ExecStart"].split()[1:]
    command = [acme.certbot(), *renew, "--force-renewal", *folders]
    await asyncio.to_thread(acme.run, command, environment)

    async def is_replaced():
        return await _peer(proxy, root) != first

    await eventually(is_replaced)
    is_renewed.set()
    await asking  # raises what failed
    assert set(statuses) == {200}
    assert len(statuses) > 20
    assert await _challenges(proxy) >= 1


async def test_a_certificate_that_nginx_refuses_changes_nothing(service, tmp_path):
    async with nginx(tmp_path, [service.base_url]) as proxy:
        certificate = tmp_path / "tls.pem"
        before = certificate.read_bytes()
        lineage = tmp_path / "lineage"
        lineage.mkdir()
        (lineage / "fullchain.pem").write_text("no certificate")
        (lineage / "privkey.pem").write_text("no key")
        command = [sys.executable, "-m", "deploy.nginx", "install"]
        environment = proxy.environment | {"RENEWED_LINEAGE": str(lineage)}
        with pytest.raises(AssertionError, match=r"nginx failed with 1: .*PEM"):
            await asyncio.to_thread(acme.run, command, environment)
        assert certificate.read_bytes() == before


def sslyze(proxy, profile):
    """Return the names of what a profile of Mozilla does not allow, as sslyze finds it."""
    if (program := shutil.which("sslyze")) is None:
        is_absent("sslyze", "pipx && pipx install sslyze")
    port = urlsplit(proxy.address).port
    command = [program, f"--mozilla_config={profile}", f"localhost:{port}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=170)
    _, heading, report = done.stdout.partition("COMPLIANCE AGAINST")
    assert heading, done.stdout + done.stderr
    return set(re.findall(r"^ *\* (\w+): ", report, re.MULTILINE))


@pytest.mark.parametrize(
    ("profile", "protocols"), [("modern", "TLSv1.3"), ("intermediate", "TLSv1.2 TLSv1.3")]
)
async def test_sslyze_finds_nothing_but_the_certificate(service, tmp_path, profile, protocols):
    async with nginx(tmp_path, [service.base_url], tls_protocols=protocols) as proxy:
        found = await asyncio.to_thread(sslyze, proxy, profile)
    assert found <= OF_THE_TEST
