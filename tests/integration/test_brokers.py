"""The contract of every broker: published messages arrive, and an outage has a bounded cost."""

import time
from collections.abc import Iterable
from contextlib import closing
from types import SimpleNamespace
from uuid import UUID

import pytest
from celery import Celery
from kombu import Queue
from uuid_utils.compat import uuid7

import celeryconfig
from course_enrollment.testing.brokers import BrokerContract
from infra.cache import ResponseCache, SecondLevel
from infra.db.engine import database, direct_connection
from infra.queue import queries
from infra.queue.enqueue import enqueue
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Task, TaskState
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from services.task_names import TaskName
from tasks.registry import Registration
from tests.absent import is_absent
from tests.factories import eventually
from tests.plugins.brokers import RabbitMQ, Redis, running, worker
from worker.execution import Backends, execute
from worker.heartbeat import Heartbeat
from worker.relay import BrokerAway, Relay

# The bounds for a dead broker, and for a silent one whose waits end after a second.
GIVE_UP_SECONDS = 3.5
GIVE_UP_WAITING_SECONDS = 7
BOUNDS = ("socket_timeout", "read_timeout", "write_timeout")
TASK = "test.task"
OTHER = "test.other"

SERVERS = (
    pytest.param(Redis, id="redis"),
    pytest.param(RabbitMQ, id="rabbitmq", marks=pytest.mark.rabbitmq),
)
on_servers = pytest.mark.parametrize("broker", SERVERS, indirect=True, scope="module")


@pytest.fixture(scope="module", params=[*SERVERS, pytest.param(None, id="memory")])
async def broker(request, tmp_path_factory):
    """Each kind of broker, running; the memory broker needs no server."""
    if request.param is None:
        yield SimpleNamespace(url="memory://")
        return
    if request.param is RabbitMQ and RabbitMQ.program() is None:
        is_absent("rabbitmq-server", "rabbitmq-server")
    async with running(request.param, tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture
async def database_url(new_database):
    """A database of the test's own; Tortoise is open on it."""
    url = await new_database()
    async with database(url, pool_size=3):
        yield url


def _celery(url: str, queues: Iterable[str] = ()) -> Celery:
    options = celeryconfig.transport_options(url)
    options |= {name: 1 for name in BOUNDS if name in options}
    config = {"broker_transport_options": options, "task_queues": [Queue(name) for name in queues]}
    return Celery(broker=url, config_source=config)


async def _do_nothing(_context, **_arguments) -> None:
    """Does nothing."""


@pytest.fixture
async def relay(broker, database_url):
    """A relay from that database to that broker, with two queues of its own."""
    queues = {name: f"{name}-{uuid7().hex}" for name in (TASK, OTHER)}
    kinds = {
        name: Registration(name, _do_nothing, queue, 4, 10, (), None)
        for name, queue in queues.items()
    }
    with _celery(broker.url, queues.values()) as celery:
        with celery.connection_for_write() as link:
            # As in a worker that serves both: the queues share an exchange, and no message.
            for queue in celery.amqp.queues.values():
                queue(link.default_channel).declare()
        async with direct_connection(database_url) as connection:
            with closing(Relay(connection, celery, kinds)) as made:
                yield made
        with celery.connection_for_write() as link:
            for queue in queues.values():
                link.default_channel.queue_delete(queue)


def _drain_queue(relay, name: str = TASK) -> list[dict]:
    """Take all messages off a kind's queue; return their headers."""
    found = []
    with relay.celery.connection_for_read() as link:
        while message := link.default_channel.basic_get(relay.registry[name].queue, no_ack=True):
            found.append(message.headers)
    return found


class TestEachBroker(BrokerContract):
    """The contract that packages run, too."""

    @pytest.fixture
    def broker_url(self, broker):
        return broker.url

    @pytest.fixture
    async def queue_database(self, new_database):
        return await new_database(migrated=False)


class TestAnotherTransportOfKombu(BrokerContract):
    """One that nothing here knows, named by its scheme."""

    @pytest.fixture
    def broker_url(self):
        return "filesystem://"

    @pytest.fixture
    def broker_options(self, tmp_path):
        folders = {name: str(tmp_path) for name in ("data_folder_in", "data_folder_out")}
        return folders | {"control_folder": str(tmp_path / "control")}

    @pytest.fixture
    async def queue_database(self, new_database):
        return await new_database(migrated=False)


async def test_a_message_is_enough_to_run_its_task(relay):
    """Relay, broker and execution in one process, as a unit test may use them."""
    task_id = await enqueue(TASK, {"n": 1})
    await relay.publish()
    (headers,) = _drain_queue(relay)
    storage, settings = MemoryStorage("/media"), Settings(_env_file=None)
    cache = ResponseCache(SecondLevel("memory://"), memory_bytes=0)
    parts = settings, storage, cache, FlagFeed(Flags()), relay.registry
    backends = Backends(*parts, "this", Heartbeat("unused"))
    assert await execute(backends, UUID(headers["id"])) == "succeeded"
    assert (await queries.get(task_id)).state == TaskState.SUCCEEDED


@on_servers
async def test_a_broker_that_is_down_costs_no_attempt_and_its_return_is_noticed(broker, relay):
    await relay.publish()
    first = await enqueue(TASK, {})
    assert await relay.publish() == 1  # an open connection that breaks
    assert [each["id"] for each in _drain_queue(relay)] == [str(first)]
    await broker.stop()
    made = [await enqueue(TASK, {}) for _ in range(3)]
    try:
        for _ in range(2):
            await _assert_unavailable(relay.publish)
            await _assert_unavailable(relay.recover)
    finally:
        await broker.start()
    assert await Task.filter(id__in=made, published_at=None, lease_until=None).count() == 3

    async def is_back() -> int:
        try:
            return await relay.publish()
        except BrokerAway:
            return 0

    assert await eventually(is_back) == 3
    assert [each["id"] for each in _drain_queue(relay)] == [str(each) for each in made]


@on_servers
async def test_a_frozen_broker_costs_no_attempt(broker, relay):
    first = await enqueue(TASK, {})
    await relay.publish()
    assert [each["id"] for each in _drain_queue(relay)] == [str(first)]
    made = await enqueue(TASK, {})
    broker.freeze()
    try:
        await _assert_unavailable(relay.publish, GIVE_UP_WAITING_SECONDS)
        assert (await queries.get(made)).published_at is None
        await _assert_unavailable(relay.recover, GIVE_UP_WAITING_SECONDS)
    finally:
        broker.thaw()
    assert await relay.publish() == 1
    assert str(made) in [each["id"] for each in _drain_queue(relay)]


async def _assert_unavailable(act, within: float = GIVE_UP_SECONDS) -> None:
    started = time.monotonic()
    with pytest.raises(BrokerAway):
        await act()
    assert time.monotonic() - started < within


@on_servers
async def test_a_broker_that_refuses_the_credentials_counts_as_unavailable(broker, relay):
    wrong = broker.url.replace("guest:guest", "guest:wrong").replace("redis://:", "redis://:wrong")
    task_id = await enqueue(TASK, {})
    with _celery(wrong) as celery:
        stranger = Relay(relay.connection, celery, relay.registry)
        await _assert_unavailable(stranger.publish)
        await _assert_unavailable(stranger.recover)
    assert (await queries.get(task_id)).published_at is None


@on_servers
async def test_a_worker_runs_a_task_end_to_end(broker, database_url, tmp_path):
    environment = {
        "DATABASE_URL": database_url,
        "BROKER_URL": broker.url,
        "STORAGE_URL": f"file://{tmp_path}/media",
    }
    async with worker(tmp_path, environment) as log:
        made = await enqueue(TaskName.ANALYZE, {})

        async def is_done() -> bool:
            return (await queries.get(made)).state == TaskState.SUCCEEDED

        await eventually(is_done)
        assert (await queries.get(made)).attempts == 1
    assert "relay_lost_broker" not in log.read_text()


@pytest.mark.parametrize(
    ("url", "has", "has_not"),
    [
        ("redis://h", {"visibility_timeout", "socket_timeout"}, {"confirm_publish"}),
        ("rediss://h", {"visibility_timeout", "socket_timeout"}, {"confirm_publish"}),
        ("amqp://h", {"confirm_publish", "read_timeout"}, {"visibility_timeout", "socket_timeout"}),
        ("amqps://h", {"confirm_publish", "read_timeout"}, {"visibility_timeout"}),
        ("memory://", {"max_retries"}, {"visibility_timeout", "confirm_publish"}),
        ("sqs://", {"max_retries"}, {"visibility_timeout", "confirm_publish"}),
    ],
)
def test_each_transport_gets_its_own_options(url, has, has_not):
    options = celeryconfig.transport_options(url).keys()
    assert has <= options
    assert not has_not & options
