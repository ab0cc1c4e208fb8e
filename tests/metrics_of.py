"""What instances of the service serve to Prometheus."""

from __future__ import annotations

import json

import httpx
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from infra.metrics_server import OPENMETRICS
from infra.settings import default_metrics_port

Key = tuple[str, frozenset[tuple[str, str]]]


def key(name: str, **labels: str) -> Key:
    """Return the key of a series."""
    return name, frozenset(labels.items())


def addresses(service) -> dict[str, str]:
    """Return where a service of `make run` serves its metrics, by the names of its processes."""
    ports = json.loads((service.data_dir / "run" / "ports.json").read_bytes())
    workers = {
        name.removesuffix("-metrics"): f"http://127.0.0.1:{port}/metrics"
        for name, port in ports.items()
        if name.endswith("-metrics")
    }
    return {"api": api_address(service.base_url)} | workers


def api_address(base_url: str) -> str:
    """Return where an API serves its metrics."""
    url = httpx.URL(base_url)
    return str(url.copy_with(port=default_metrics_port(url.port), path="/metrics"))


async def fetch(address: str, accept: str | None = None) -> httpx.Response:
    """Return a page of metrics."""
    headers = {} if accept is None else {"Accept": accept}
    async with httpx.AsyncClient(timeout=30, headers=headers) as client:
        response = await client.get(address)
    assert response.status_code == 200
    return response


async def families(address: str, accept: str | None = None) -> list:
    """Return the families of a page, whichever its format."""
    page = await fetch(address, accept)
    is_openmetrics = page.headers["content-type"].startswith(OPENMETRICS)
    return list((parse_openmetrics if is_openmetrics else parse_text)(page.text))


async def series(address: str, accept: str | None = None) -> dict[Key, float]:
    """Return the series of a page."""
    return {
        key(sample.name, **sample.labels): sample.value
        for family in await families(address, accept)
        for sample in family.samples
    }
