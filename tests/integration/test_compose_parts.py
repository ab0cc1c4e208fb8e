"""Commands and files of `deploy/compose.yaml`, with the programs that are to be had here."""

import asyncio
import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from deploy.compose.prepare import prepare
from deploy.embedded import probe
from deploy.embedded.binaries import find_weed
from tests.absent import is_absent
from tests.factories import eventually, free_ports

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))
SECRETS = "/run/secrets/"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """The folder of secrets as containers have it."""
    folder = tmp_path_factory.mktemp("compose")
    prepare({}, folder / "run")
    mounted = folder / "secrets"
    mounted.mkdir()
    for name, secret in DOCUMENT["secrets"].items():
        source = folder / secret["file"].removeprefix("./compose/")
        shutil.copyfile(source, mounted / name)
    return mounted


def program(name, package):
    found = shutil.which(name)
    if found is None:
        is_absent(name, package)
    return found


@contextmanager
def running(command, folder):
    """Run a server for the length of the block; it ends with its output, if the block fails."""
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        except AssertionError:
            output.seek(0)
            raise AssertionError(output.read()[-2000:]) from None
        finally:
            process.terminate()
            process.wait()


async def succeeds(script):
    """Return whether a shell script does."""
    shell = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
    await shell.communicate()
    return shell.returncode == 0


@pytest.mark.parametrize(("name", "policy"), [("cache", "allkeys-lru"), ("broker", "noeviction")])
async def test_redis_serves_tls_to_the_health_check_only_with_its_password(
    secrets, tmp_path, name, policy
):
    (port,) = free_ports(1)
    service = DOCUMENT["services"][name]
    names = {
        SECRETS: f"{secrets}/", "--tls-port 6379": f"--tls-port {port}",
        "$$": "$", "valkey-cli": f"redis-cli -p {port}",
    }  # fmt: skip

    def here(text):
        for old, new in names.items():
            text = text.replace(old, new)
        return text

    server = program("redis-server", "redis-server")
    check = here(service["healthcheck"]["test"][1])

    with running([server, *map(here, service["command"][1:])], tmp_path):
        await eventually(lambda: succeeds(check))
        shown = check.replace("ping | grep -q PONG", f"config get maxmemory-policy | grep {policy}")
        assert await succeeds(shown)
        assert not await succeeds(check.replace("REDISCLI_AUTH", "NO_AUTH"))
        assert not await succeeds(check.replace("--tls", ""))


async def test_the_s3_server_starts_with_its_options(secrets, tmp_path):
    names = ("master", "volume", "filer", "s3", "admin")
    ports = dict(zip((*names, "metrics"), free_ports(len(names) + 1), strict=True))
    command = [
        argument.replace(SECRETS, f"{secrets}/").replace("/data", str(tmp_path))
        for argument in DOCUMENT["services"]["s3"]["entrypoint"]
        if not argument.startswith("-metricsPort")
    ]
    command += [f"-{name}.port={ports[name]}" for name in names]
    command += [f"-metricsPort={ports['metrics']}", "-s3.localSocket=s3", "-filer.localSocket=f"]

    async def is_healthy():
        return (await probe.http(f"http://127.0.0.1:{ports['s3']}/healthz"))[0] == 200

    with running([str(find_weed().path), *command[1:]], tmp_path):
        await eventually(is_healthy)


def test_prometheus_accepts_the_rendered_configuration(tmp_path):
    promtool = program("promtool", "prometheus")
    prepare({"DOCS": "https://docs.example.org/"}, tmp_path / "run")
    folder = tmp_path / "run" / "prometheus"
    shutil.copytree(ROOT / "deploy" / "observe" / "rules", folder / "rules", dirs_exist_ok=True)
    ran = subprocess.run(
        (promtool, "check", "config", folder / "prometheus.yml"),
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads((folder / "targets" / "api.json").read_text())
