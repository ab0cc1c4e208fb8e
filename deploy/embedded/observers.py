"""What watches the service with OBSERVE=1: Prometheus, Alertmanager and exporters.

All listen on the loopback address. Exporters require Prometheus's client certificate, Alertmanager
a password. Prometheus is open, as the metrics are, but no page of another site can read it.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import bcrypt

from deploy.embedded import probe
from deploy.embedded.certificates import make_certificates
from deploy.embedded.data_dir import DataDir
from deploy.embedded.errors import NoBinaryError
from deploy.embedded.exporters import Exporter, exporters
from deploy.embedded.plan import Addresses
from deploy.embedded.ports import LOOPBACK
from deploy.embedded.process import ProcessSpec
from deploy.embedded.servers import Servers
from deploy.observe import runbooks
from deploy.observe.alerting import local_config
from infra.identity import qualified
from infra.process.private_files import PRIVATE_FOLDER, private_folder, write_private_file
from infra.settings import Settings

ASSETS = Path(__file__).resolve().parent.parent / "observe"
RUNBOOKS = ASSETS.parent.parent / "docs" / "runbooks.md"
PROMETHEUS, ALERTMANAGER = "prometheus", "prometheus-alertmanager"
USER = "operator"
EXPORTER_TLS = """tls_server_config:
  cert_file: exporters.pem
  key_file: exporters.key
  client_ca_file: exporters.ca.pem
  client_auth_type: RequireAndVerifyClientCert
"""
# The password is random and long, so a slow hash adds no safety.
BCRYPT_ROUNDS = 4
# Bounds on the data that are kept; the error budgets look back for 30 days.
KEPT_SAMPLES = ("--storage.tsdb.retention.time=35d", "--storage.tsdb.retention.size=512MB")
KEPT_ALERTS = "--data.retention=120h"
HTTP_OK = 200


def listening(settings: Settings) -> dict[str, int]:
    """Return the chosen ports by their settings; none without OBSERVE."""
    if not settings.observe:
        return {}
    ports = {
        "PROMETHEUS_PORT": settings.prometheus_port,
        "ALERTMANAGER_PORT": settings.alertmanager_port,
    }
    return {**ports, "TRACES_PORT": settings.traces_port} if _receives_traces(settings) else ports


def pages(settings: Settings) -> dict[str, str]:
    """Return what a browser can open; nothing without OBSERVE."""
    if not settings.observe:
        return {}
    base = f"http://{LOOPBACK}:{settings.prometheus_port}"
    shown = {"Dashboards": f"{base}/consoles/service.html", "Alerts": f"{base}/classic/alerts"}
    if _receives_traces(settings):
        shown["Traces"] = f"{_traces_address(settings)}/traces"
    return shown


def _receives_traces(settings: Settings) -> bool:
    return settings.otel_exporter_otlp_endpoint is None


def _traces_address(settings: Settings) -> str:
    return f"http://{LOOPBACK}:{settings.traces_port}"


class Observers:
    """The observers of one data folder and its embedded servers."""

    def __init__(
        self,
        settings: Settings,
        data_dir: DataDir,
        servers: Servers,
        worker_metrics: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._folder = data_dir.run / "observe"
        given = (settings, data_dir.ports, servers.environment, self._folder)
        self._exporters = tuple(exporters(*given))
        programs = {PROMETHEUS, ALERTMANAGER, *(each.program for each in self._exporters)}
        self._programs = find_programs(programs)
        self._prometheus_at = f"{LOOPBACK}:{settings.prometheus_port}"
        self._alertmanager_at = f"{LOOPBACK}:{settings.alertmanager_port}"
        self._targets = {
            **_own_targets(settings, servers),
            "worker": [urlsplit(address).netloc for address in worker_metrics.values()],
            **{each.job: [f"{LOOPBACK}:{each.port}"] for each in self._exporters},
            "prometheus": [self._prometheus_at],
            "alertmanager": [self._alertmanager_at],
        }
        self._password = data_dir.secrets["alertmanager_password"]

    @property
    def service_environment(self) -> dict[str, str]:
        """What the service's processes need to be observed."""
        if not _receives_traces(self._settings):
            return {}
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": _traces_address(self._settings)}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of an operator's commands."""
        return {"ALERTMANAGER_URL": f"http://{USER}:{self._password}@{self._alertmanager_at}"}

    def prepare(self, flower_auth: str) -> list[ProcessSpec]:
        """Write the configuration, and return the processes."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for folder in (self._folder, self._folder / "targets"):
            folder.mkdir(mode=PRIVATE_FOLDER)
        shutil.copytree(ASSETS / "rules", self._folder / "rules")
        shutil.copytree(ASSETS / "assets", self._folder / "user")
        # The address of a section ends with that of the source: docs/runbooks.md#name.
        page = self._folder / "user" / "docs" / RUNBOOKS.name / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(runbooks.page(RUNBOOKS.read_text(encoding="utf-8")), encoding="utf-8")
        for job, addresses in self._targets.items():
            self._write(f"targets/{job}.json", json.dumps([{"targets": addresses}]))
        flower_user, _, flower_password = flower_auth.partition(":")
        prometheus = Template((ASSETS / "prometheus.yml").read_text(encoding="utf-8"))
        names = {
            "FLOWER_USER": json.dumps(flower_user),
            "DOCS": json.dumps(f"http://{self._prometheus_at}/user/"),
        }
        hashed = bcrypt.hashpw(self._password.encode(), bcrypt.gensalt(BCRYPT_ROUNDS)).decode()
        texts = {
            "prometheus.yml": prometheus.substitute(names),
            "flower.password": flower_password,
            "alertmanager.yml": local_config(self._settings.alert_webhook_url),
            "alertmanager.password": self._password,
            "alertmanager.web.yml": f"basic_auth_users: {{{USER}: {json.dumps(hashed)}}}\n",
            "exporters.web.yml": EXPORTER_TLS,
            **{name: text for each in self._exporters for name, text in each.files.items()},
        }
        for name, text in texts.items():
            self._write(name, text)
        make_certificates(self._folder, "exporters")
        watched = [self._exporter(each) for each in self._exporters]
        traces = [self._traces()] if _receives_traces(self._settings) else []
        return [self._prometheus(), self._alertmanager(), *watched, *traces]

    def _write(self, name: str, text: str) -> None:
        write_private_file(self._folder / name, text)

    def _exporter(self, exporter: Exporter) -> ProcessSpec:
        async def is_ready() -> bool:
            return await probe.listens(exporter.port)

        command = (self._programs[exporter.program], *exporter.options)
        environment = exporter.environment
        return ProcessSpec(f"{exporter.job}-exporter", command, is_ready, environment)

    def _prometheus(self) -> ProcessSpec:
        async def is_ready() -> bool:
            return (await probe.http(f"http://{self._prometheus_at}/-/ready"))[0] == HTTP_OK

        options = (
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={private_folder(self._data_dir.root / 'prometheus')}",
            *KEPT_SAMPLES,
            f"--web.listen-address={self._prometheus_at}",
            f"--web.console.templates={ASSETS / 'consoles'}",
            f"--web.console.libraries={ASSETS / 'consoles'}",
            f"--web.user-assets={self._folder / 'user'}",
            "--web.cors.origin=none",
            # The first alert may fire before Alertmanager is found.
            "--rules.alert.resend-delay=10s",
            "--log.level=warn",
        )
        return ProcessSpec("prometheus", (self._programs[PROMETHEUS], *options), is_ready)

    def _traces(self) -> ProcessSpec:
        async def is_ready() -> bool:
            return await probe.listens(self._settings.traces_port)

        folder = private_folder(self._data_dir.root / "traces")
        options = ("--port", str(self._settings.traces_port), "--data", str(folder))
        command = (sys.executable, "-m", qualified("deploy.observe.traces"), *options)
        return ProcessSpec("traces", command, is_ready)

    def _alertmanager(self) -> ProcessSpec:
        async def is_ready() -> bool:
            return await probe.listens(self._settings.alertmanager_port)

        options = (
            f"--config.file={self._folder / 'alertmanager.yml'}",
            f"--storage.path={private_folder(self._data_dir.root / 'alertmanager')}",
            KEPT_ALERTS,
            f"--web.listen-address={self._alertmanager_at}",
            f"--web.config.file={self._folder / 'alertmanager.web.yml'}",
            "--cluster.listen-address=",
            "--log.level=warn",
        )
        return ProcessSpec("alertmanager", (self._programs[ALERTMANAGER], *options), is_ready)


def _own_targets(settings: Settings, servers: Servers) -> dict[str, list[str]]:
    """Return the addresses of those that have metrics without an exporter, by job."""
    at = Addresses.of(settings)
    targets = {"flower": [urlsplit(at.flower).netloc]}
    if settings.metrics_at:
        targets["api"] = [urlsplit(at.metrics).netloc]
    if servers.storage_metrics_port:
        targets["s3"] = [f"{LOOPBACK}:{servers.storage_metrics_port}"]
    return targets


def find_programs(names: set[str]) -> dict[str, str]:
    """Return the paths of programs that have the names of their Debian packages.

    Raises:
        NoBinaryError: some are not on PATH; the message names their packages.

    """
    found = {name: shutil.which(name) for name in sorted(names)}
    missing = " ".join(name for name, path in found.items() if path is None)
    if missing:
        raise NoBinaryError(f"OBSERVE=1 needs programs of Debian: apt-get install {missing}")
    return {name: path for name, path in found.items() if path}
