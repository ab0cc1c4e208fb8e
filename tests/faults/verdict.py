"""The state of the tasks after a fault: all settled, each effect once, no message left."""

import asyncio
import hashlib
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3
import redis
from asyncpg import Record
from botocore.config import Config
from celery import Celery

from tests.factories import WAIT_SECONDS
from tests.faults.harness import POLL_SECONDS, TASKS, Site
from tests.faults.plugin.fault_effects import EFFECTS, TICK, body

DRAIN_SECONDS, DELIVER_AGAIN_SECONDS = WAIT_SECONDS + TASKS / 10, 10 + TASKS / 30


@dataclass
class Outcome:
    """The outcome of the tasks of one fault."""

    fault: str
    accepted: int
    done: int
    failed: int
    lost: int
    duplicated: int
    seconds: float


WITH_EFFECT = [
    *("fault.effect", "fault.limited", "fault.snoozing", "fault.blocking", "fault.plain"),
    *("fault.versioned", "fault.beside", TICK),
]

OUTCOMES: list[Outcome] = []


async def settle(site: Site, fault: str, since: float) -> Outcome:
    """Wait until no task waits or runs; count, record and assert: no task lost, no effect twice."""
    await site.until("count(*) FILTER (WHERE state IN ('queued', 'running')) = 0")
    seconds = time.monotonic() - since
    await _drain(site)
    states = {str(r["id"]): r["state"] for r in await site.database.fetch("SELECT * FROM tasks")}
    accepted = site.accepted | (site.uncertain & states.keys())
    succeeded = {each for each in accepted if states.get(each) == "succeeded"}
    failed = {each for each in accepted if states.get(each) == "failed"}
    effects = Counter(
        str(row["task_id"]) for row in await site.database.fetch("SELECT task_id FROM effects")
    )
    with_effect = {
        str(row["id"])
        for row in await site.database.fetch(
            "SELECT id FROM tasks WHERE name = ANY($1)", WITH_EFFECT
        )
    } & succeeded
    objects = await asyncio.to_thread(_objects, site)
    whole = {each for each, tag in objects.items() if tag == _md5(body(each))}
    outcome = Outcome(
        fault,
        len(accepted),
        len(succeeded),
        len(failed),
        len(accepted - succeeded - failed) + len(with_effect - (effects.keys() & whole)),
        effects.total() - len(effects) + len((effects.keys() | objects.keys()) - with_effect),
        seconds,
    )
    OUTCOMES.append(outcome)
    assert outcome.done + outcome.failed == outcome.accepted
    assert (outcome.lost, outcome.duplicated) == (0, 0)
    # The attempt that committed was the last one, not one that was given up.
    assert not await site.database.fetch(
        "SELECT FROM effects JOIN tasks ON id = task_id AND attempts <> attempt"
    )
    return outcome


async def _drain(site: Site) -> None:
    """Deliver every task again: each claim is refused, and the broker is empty afterwards."""
    before = Counter(_refused(site))
    rows = await site.database.fetch(
        "SELECT id, name, queue FROM tasks WHERE id = ANY($1::uuid[])",
        [*site.accepted, *site.uncertain],
    )
    left = {str(row["id"]): row for row in rows}
    deadline = time.monotonic() + DRAIN_SECONDS
    with Celery(broker=site.environment["BROKER_URL"]) as celery:
        while left:
            await asyncio.to_thread(_deliver, celery, list(left.values()))
            # A worker that just died may have lost some messages, so these are sent again.
            again = time.monotonic() + DELIVER_AGAIN_SECONDS
            while left and time.monotonic() < again:
                refused = Counter(_refused(site)) - before
                left = {each: row for each, row in left.items() if each not in refused}
                await asyncio.sleep(POLL_SECONDS)
            assert not left or time.monotonic() < deadline, f"not refused: {sorted(left)[:5]}"
    while held := _held(site.broker):
        assert time.monotonic() < deadline, f"the broker still holds {held}"
        await asyncio.sleep(POLL_SECONDS)


def _refused(site: Site) -> list[str]:
    return [*site.refused("succeeded"), *site.refused("failed")]


def _deliver(celery: Celery, rows: list[Record]) -> None:
    for row in rows:
        celery.send_task(row["name"], task_id=str(row["id"]), queue=row["queue"])


def _held(broker: redis.Redis) -> dict[str, int]:
    """Return the number of messages of each queue."""
    lists = (key for key in broker.scan_iter() if broker.type(key) == b"list")
    return {key.decode(): size for key in lists if (size := broker.llen(key))}


def bucket_keys(site: Site, prefix: str) -> dict[str, str]:
    """Return the keys below a prefix of the site's, without it, and the digests of the objects."""
    store = urlsplit(site.environment["STORAGE_URL"])
    client = boto3.client(
        "s3",
        endpoint_url=site.environment["S3_ENDPOINT_URL"],
        aws_access_key_id=site.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=site.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=site.environment["AWS_REGION"],
        config=Config(s3={"addressing_style": "path"}),
    )
    whole = f"{store.path.strip('/')}/{prefix}"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=store.netloc, Prefix=whole)
    items = [item for page in pages for item in page.get("Contents", ())]
    return {item["Key"].removeprefix(whole): item["ETag"].strip('"') for item in items}


def _objects(site: Site) -> dict[str, str]:
    return bucket_keys(site, EFFECTS)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
