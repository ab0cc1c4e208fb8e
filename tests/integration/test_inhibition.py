"""One cause makes one page: Alertmanager itself says which alerts a cause silences."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import yaml

from deploy.observe.slo import rules
from tests.alerting import alertmanager
from tests.factories import eventually
from tests.prometheus import RULES

pytestmark = pytest.mark.debian
# Alertmanager learns of a source a moment after it has accepted it.
SOURCE_SECONDS = 0.5

BUDGETS = {
    *("AvailabilityBudgetBurn", "LatencyBudgetBurn", "DatabaseBudgetBurn", "ImagesBudgetBurn"),
    *("CacheBudgetBurn", "PoolBudgetBurn", "TasksBudgetBurn"),
}
# What a cause must not silence is as important: those are faults of their own.
SILENCED = {
    "DatabaseUnreachable": BUDGETS
    | {"PoolExhausted", "PoolLeak", "WorkersAway", "BrokerUnreachable", "TargetDown"}
    | {"CacheStale", "QueueOld", "TasksFailed", "FeatureFlagsStale"},
    "DiskFull": BUDGETS
    | {"DatabaseUnreachable", "PoolExhausted", "WorkersAway", "BrokerUnreachable", "BucketErrors"}
    | {"InstanceDown", "TargetDown", "CacheUnreachable", "CacheStale", "QueueOld", "TasksFailed"}
    | {"DiskFilling", "LogLinesDropped", "FeatureFlagsStale"},
    "PoolExhausted": BUDGETS | {"PoolLeak"},
    "InstanceDown": BUDGETS | {"TargetDown"},
    "BrokerUnreachable": {"TasksBudgetBurn", "LatencyBudgetBurn"}
    | {"WorkersAway", "TargetDown", "QueueOld"},
    "WorkersAway": {"TasksBudgetBurn", "LatencyBudgetBurn", "TargetDown", "QueueOld"},
    "BucketErrors": {"ImagesBudgetBurn", "AvailabilityBudgetBurn", "LatencyBudgetBurn"}
    | {"TasksBudgetBurn", "TargetDown", "TasksFailed"},
    "CacheUnreachable": {"CacheBudgetBurn", "LatencyBudgetBurn", "TargetDown"},
    "Watchdog": set(),
}


def all_alerts() -> dict[str, dict[str, str]]:
    """Return the labels of an alert of each name: the fast burn where there are several."""
    found: dict[str, dict[str, str]] = {}
    for file in (RULES / "alerts.yml", rules.FILE):
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], {"alertname": rule["alert"], **rule["labels"]})
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Alertmanager with the local configuration; nobody hears of anything."""
    with alertmanager(tmp_path_factory.mktemp("inhibition"), "http://127.0.0.1:1") as url:
        yield url


@pytest.mark.parametrize("cause", SILENCED)
async def test_a_cause_silences_what_follows_from_it_and_nothing_else(running, cause):
    alerts = all_alerts()
    # These silence others themselves, so each is tried alone.
    sources = {name for name, labels in alerts.items() if "cause" in labels}
    sources = (sources | {"AvailabilityBudgetBurn"}) - {cause}
    plain = alerts.keys() - sources - {cause, "RecentCause"}
    silent = set()
    async with httpx.AsyncClient(base_url=f"{running}/api/v2") as client:
        await post(client, [alerts[cause]], minutes=5)
        await asyncio.sleep(SOURCE_SECONDS)
        for names in (plain, *({name} for name in sources)):
            silent |= await silenced(client, [alerts[name] for name in names])
        await post(client, [alerts[cause]], minutes=0)
    assert silent == SILENCED[cause]


async def post(client: httpx.AsyncClient, alerts: list[dict], minutes: int) -> None:
    """Let alerts fire for so long; 0 ends them."""
    now = datetime.now(UTC)
    times = {
        "startsAt": (now - timedelta(seconds=1)).isoformat(),
        "endsAt": (now + timedelta(minutes=minutes)).isoformat(),
    }
    body = [{"labels": labels, **times} for labels in alerts]
    (await client.post("/alerts", json=body)).raise_for_status()


async def silenced(client: httpx.AsyncClient, alerts: list[dict]) -> set[str]:
    """Return the names of those that are not sent, and end them."""
    names = {labels["alertname"] for labels in alerts}
    found: list[dict] = []

    async def are_known() -> bool:
        shown = (await client.get("/alerts")).json()
        found[:] = [each for each in shown if each["labels"]["alertname"] in names]
        return len(found) == len(alerts)

    await post(client, alerts, minutes=5)
    await eventually(are_known)
    await post(client, alerts, minutes=0)
    return {each["labels"]["alertname"] for each in found if each["status"]["inhibitedBy"]}
