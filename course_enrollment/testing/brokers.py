"""The contract of brokers."""

from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
import pytest_asyncio
from celery import Celery
from kombu.entity import Queue
from uuid_utils.compat import uuid7

from celeryconfig import register_transport, transport_options
from infra.db.engine import database, direct_connection
from infra.db.migration_files import Tables
from infra.db.migrations import migrate
from infra.db.sql import rows
from infra.queue import queries
from infra.queue.enqueue import enqueue
from tasks.registry import Registration
from worker.relay import Relay

TASK = "test.task"
OTHER = "test.other"


class BrokerContract:
    """Every broker passes these, between a relay and a worker.

    The fixture `broker_url` returns its URL, `queue_database` that of a new, empty database of
    PostgreSQL. `broker_options` returns what the transport needs beyond the URL.
    """

    @pytest.fixture
    def broker_options(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    @pytest_asyncio.fixture
    async def relay(
        self, broker_url: str, broker_options: dict[str, Any], queue_database: str
    ) -> AsyncIterator[Relay]:
        """Return a relay from that database to that broker, with two queues of its own."""
        queues = {name: f"{name}-{uuid7().hex}" for name in (TASK, OTHER)}
        kinds = {
            name: Registration(name, _do_nothing, queue, 4, 10, (), None)
            for name, queue in queues.items()
        }
        register_transport(broker_url)
        config = {
            "broker_transport_options": transport_options(broker_url) | broker_options,
            "task_queues": [Queue(name) for name in queues.values()],
        }
        await migrate(queue_database, tables=Tables.QUEUE)
        async with database(queue_database, pool_size=2), direct_connection(queue_database) as own:
            with Celery(broker=broker_url, config_source=config) as celery:
                with celery.connection_for_write() as link:
                    # As in a worker that serves both.
                    for queue in celery.amqp.queues.values():
                        queue(link.default_channel).declare()
                with closing(Relay(own, celery, kinds)) as made:
                    yield made
                with celery.connection_for_write() as link:
                    for name in queues.values():
                        link.default_channel.queue_delete(name)

    async def test_messages_arrive_in_their_queues_with_the_ids_of_their_rows(
        self, relay: Relay
    ) -> None:
        made = [await enqueue(TASK, {"n": n}) for n in range(3)]
        other = await enqueue(OTHER, {})
        assert await relay.publish() == 4
        # A transport may give them in another order.
        arrived = {(each["id"], each["task"]) for each in _drained(relay)}
        assert arrived == {(str(each), TASK) for each in made}
        assert [each["id"] for each in _drained(relay, OTHER)] == [str(other)]

    async def test_the_depth_of_each_queue_is_known(self, relay: Relay) -> None:
        mine, other = (relay.registry[name].queue for name in (TASK, OTHER))
        assert _depths(relay) == {mine: 0, other: 0}
        for _ in range(3):
            await enqueue(TASK, {})
        await relay.publish()
        assert _depths(relay) == {mine: 3, other: 0}
        _drained(relay)
        assert _depths(relay) == {mine: 0, other: 0}

    async def test_a_lost_message_is_published_again_and_a_waiting_one_is_not(
        self, relay: Relay
    ) -> None:
        lost, waits = await enqueue(TASK, {}), await enqueue(OTHER, {})
        assert await relay.publish() == 2
        _drained(relay)
        await rows("UPDATE tasks SET published_at = now() - interval '6 s'")
        assert await relay.recover() == 1
        assert await relay.publish() == 1
        assert [each["id"] for each in _drained(relay)] == [str(lost)]
        assert [each["id"] for each in _drained(relay, OTHER)] == [str(waits)]
        assert (await queries.get(lost)).attempts == 0


async def _do_nothing(_context: object, **_arguments: object) -> None:
    """Do nothing."""


def _depths(relay: Relay) -> dict[str, int]:
    return relay._depths()  # noqa: SLF001  it has no public name


def _drained(relay: Relay, name: str = TASK) -> list[dict[str, Any]]:
    """Take all messages off a kind's queue; return their headers."""
    found = []
    with relay.celery.connection_for_read() as link:
        while message := link.default_channel.basic_get(relay.registry[name].queue, no_ack=True):
            found.append(message.headers)
    return found
