"""The exporters of Prometheus for the machine and for the embedded servers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy.embedded.ports import LOOPBACK, Ports
from infra.settings import Settings

QUERIES = Path(__file__).resolve().parent.parent / "observe" / "postgres.yml"
# Those that the dashboards show.
COLLECTORS = (
    *("cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo"),
    *("netdev", "pressure", "stat", "uname", "vmstat"),
)


@dataclass(frozen=True)
class Exporter:
    """A program that Prometheus reads in the place of another; named as its Debian package."""

    job: str
    program: str
    port: int
    options: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    # Further files beside Prometheus's configuration, by name.
    files: Mapping[str, str] = field(default_factory=dict)


def exporters(
    settings: Settings, ports: Ports, servers: Mapping[str, str], folder: Path
) -> Iterator[Exporter]:
    """Yield those of the machine, the embedded `servers`, and the nginx of the settings."""
    tls = f"--web.config.file={folder / 'exporters.web.yml'}"
    port = ports.assign("node_exporter")
    listen = f"--web.listen-address={LOOPBACK}:{port}"
    collectors = [f"--collector.{name}" for name in COLLECTORS]
    options = (listen, tls, "--log.level=warn", "--collector.disable-defaults", *collectors)
    yield Exporter("node", "prometheus-node-exporter", port, options)
    if url := servers.get("DATABASE_URL"):
        port = ports.assign("postgres_exporter")
        listen = f"--web.listen-address={LOOPBACK}:{port}"
        # PostgreSQL 17 moved columns that this collector reads.
        queries = ("--no-collector.bgwriter", f"--extend.query-path={QUERIES}")
        options = (listen, tls, "--log.level=error", *queries)
        environment = {"DATA_SOURCE_NAME": url}
        yield Exporter("postgres", "prometheus-postgres-exporter", port, options, environment)
    for name in ("cache", "broker"):
        if url := servers.get(f"{name.upper()}_URL"):
            yield _redis(name, url, ports.assign(f"{name}_exporter"), folder)
    if settings.nginx_status_url:
        port = ports.assign("nginx_exporter")
        options = (
            f"-web.listen-address={LOOPBACK}:{port}",
            f"-nginx.scrape-uri={settings.nginx_status_url}",
        )
        yield Exporter("nginx", "prometheus-nginx-exporter", port, options)


def _redis(name: str, url: str, port: int, folder: Path) -> Exporter:
    server = urlsplit(url)
    address = f"redis://{server.hostname}:{server.port}"
    # The password in a file is sent to this address only, others to any that a client names.
    password = f"{name}.password.json"
    options = (
        f"-web.listen-address={LOOPBACK}:{port}",
        f"-redis.addr={address}",
        f"-redis.password-file={folder / password}",
        f"-tls-server-cert-file={folder / 'exporters.pem'}",
        f"-tls-server-key-file={folder / 'exporters.key'}",
        f"-tls-server-ca-cert-file={folder / 'exporters.ca.pem'}",
    )
    files = {password: json.dumps({address: server.password})}
    return Exporter(f"redis-{name}", "prometheus-redis-exporter", port, options, files=files)
