"""Prometheus and Alertmanager with the rules and routes of the repository, and short times."""

import asyncio
import json
import math
import re
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from deploy.observe.alerting import local_config
from tests.factories import WAIT_SECONDS, eventually, free_ports
from tests.prometheus import RULES, program
from tests.stub_server import Handler, serving

CAUSES = {
    rule["alert"]
    for group in yaml.safe_load((RULES / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
    if "cause" in rule["labels"]
}
DOCS = "https://git.example.org/enrollment/blob/main/"
# All times of the rules by this; a range needs some scrapes.
FASTER, LEAST_RANGE = 20, 4
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FOR = re.compile(r"(for: |interval: )(\d+)([smhd])$", re.MULTILINE)
_RANGE = re.compile(r"\[(\d+)([smhd])(:\d+[smhd])?\]")


def faster(text: str) -> str:
    """Return rules with all their times shortened."""

    def wait(match: re.Match) -> str:
        return f"{match[1]}{max(1, math.ceil(int(match[2]) * UNITS[match[3]] / FASTER))}s"

    def span(match: re.Match) -> str:
        seconds = max(LEAST_RANGE, math.ceil(int(match[1]) * UNITS[match[2]] / FASTER))
        return f"[{seconds}s{':1s' if match[3] else ''}]"

    return _RANGE.sub(span, _FOR.sub(wait, text))


@dataclass
class Webhook:
    """What Alertmanager has sent: the alerts, and when each came."""

    url: str
    alerts: list[tuple[float, dict]] = field(default_factory=list)
    heartbeats: list[float] = field(default_factory=list)

    def pages(self, since: float, status: str) -> dict[str, dict]:
        """Return the pages of a status since a moment, by the alert's name."""
        return {
            alert["labels"]["alertname"]: alert
            for at, alert in list(self.alerts)
            if at >= since and alert["status"] == status and alert["labels"]["severity"] == "page"
        }


@contextmanager
def webhook():
    """Receive notifications during the block."""

    class Notifications(Handler):
        def do_POST(self):
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            now = time.monotonic()
            if self.path == "/heartbeat":
                received.heartbeats.append(now)
            else:
                received.alerts.extend((now, alert) for alert in document["alerts"])
            self.send_response(200)
            self.end_headers()

    with serving(Notifications) as address:
        received = Webhook(f"http://{address}")
        yield received


@dataclass
class Monitoring:
    """The running programs."""

    prometheus: str
    alertmanager: str
    webhook: Webhook

    async def value(self, query: str) -> float | None:
        """Return the value of an instant query with one result at most."""
        async with httpx.AsyncClient(base_url=self.prometheus) as client:
            response = await client.get("/api/v1/query", params={"query": query})
        result = response.json()["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    async def firing(self) -> set[str]:
        """Return the names of the alerts on causes that fire now; budgets remember them longer."""
        async with httpx.AsyncClient(base_url=self.prometheus) as client:
            found = (await client.get("/api/v1/alerts")).json()["data"]["alerts"]
        return {
            each["labels"]["alertname"]
            for each in found
            if each["state"] == "firing" and each["labels"]["alertname"] in CAUSES
        }


@contextmanager
def _process(folder: Path, name: str, *arguments: object):
    command = [program(name), *map(str, arguments)]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _alertmanager_config(url: str) -> str:
    document = yaml.safe_load(local_config(url))
    receivers = {each["name"]: each for each in document["receivers"]}
    receivers["dead-mans-switch"]["webhook_configs"] = [{"url": f"{url}/heartbeat"}]
    route = document["route"]
    route |= {"group_wait": "1s", "group_interval": "1s"}
    for each in route["routes"]:
        each.update({"group_interval": "1s"} if "group_interval" in each else {})
        each.update({"repeat_interval": "1s"} if each["receiver"] == "dead-mans-switch" else {})
    return yaml.safe_dump(document)


def _prometheus_config(targets: dict[str, str], alertmanager: str, disk: Path | None) -> str:
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [target]}]}
        for job, target in targets.items()
    ]
    for job in jobs:
        if job["job_name"] == "node":
            # Other disks of the machine are not the test's.
            keep = {"source_labels": ["mountpoint"], "regex": f"{disk}|", "action": "keep"}
            job["metric_relabel_configs"] = [keep]
    return yaml.safe_dump(
        {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
                "external_labels": {"docs": DOCS},
            },
            "rule_files": ["*.rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": jobs,
        }
    )


def _alertmanager(folder: Path, address: str):
    return _process(
        folder,
        *("prometheus-alertmanager", "--config.file=alertmanager.yml"),
        *("--storage.path=alertmanager", "--cluster.listen-address="),
        f"--web.listen-address={address}",
    )


@contextmanager
def alertmanager(folder: Path, webhook_url: str):
    """Run Alertmanager alone; yield its URL when it answers."""
    (port,) = free_ports(1)
    (folder / "alertmanager.yml").write_text(_alertmanager_config(webhook_url))
    url = f"http://127.0.0.1:{port}"
    with _alertmanager(folder, f"127.0.0.1:{port}"):
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                httpx.get(f"{url}/-/ready").raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield url


@contextmanager
def started(folder: Path, targets: dict[str, str], disk: Path | None):
    """Run both programs, and the node exporter if there is a disk to watch."""
    prometheus, alertmanager, node = (f"127.0.0.1:{port}" for port in free_ports(3))
    with ExitStack() as stack:
        received = stack.enter_context(webhook())
        if disk:
            targets = targets | {"node": node}
        for rules in RULES.glob("*.yml"):
            name = f"{rules.name.removesuffix('.yml').removesuffix('.rules')}.rules.yml"
            (folder / name).write_text(faster(rules.read_text("utf-8")))
        (folder / "alertmanager.yml").write_text(_alertmanager_config(received.url))
        config = folder / "prometheus.yml"
        config.write_text(_prometheus_config(targets, alertmanager, disk))
        stack.enter_context(_alertmanager(folder, alertmanager))
        stack.enter_context(
            _process(
                folder,
                *("prometheus", f"--config.file={config}", "--storage.tsdb.path=prometheus"),
                f"--web.listen-address={prometheus}",
            )
        )
        if disk:
            stack.enter_context(
                _process(
                    folder,
                    *("prometheus-node-exporter", f"--web.listen-address={node}"),
                    *("--collector.disable-defaults", "--collector.filesystem"),
                    *("--collector.filesystem.mount-points-exclude=^$",),
                    *("--collector.filesystem.fs-types-exclude=^$",),
                )
            )
        yield Monitoring(f"http://{prometheus}", f"http://{alertmanager}", received)


async def all_ready(monitoring: Monitoring) -> None:
    """Wait until both programs answer."""
    async with httpx.AsyncClient() as client:

        async def ready() -> bool:
            try:
                urls = (monitoring.prometheus, monitoring.alertmanager)
                found = await asyncio.gather(*(client.get(f"{url}/-/ready") for url in urls))
            except httpx.TransportError:
                return False
            return all(each.status_code == 200 for each in found)

        await eventually(ready)
