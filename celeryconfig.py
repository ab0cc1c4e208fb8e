"""Celery's settings. The broker only carries messages; PostgreSQL has the tasks (docs/tasks.md).

The settings of acknowledgement and visibility belong together: a message is acknowledged when its
task has ended or its process was lost. The relay publishes lost messages again.
"""

from urllib.parse import urlsplit

from kombu.entity import Queue
from kombu.transport import TRANSPORT_ALIASES

from infra import plugins
from infra.settings import SettingsError, Use, load_settings
from infra.tls import broker_tls
from tasks.registry import queues

_VISIBILITY_TIMEOUT_SECONDS = 3600
# Few retries, because kombu's defaults block the relay, which retries itself.
_FEW_RETRIES = {
    "max_retries": 1,
    "interval_start": 0.2,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
# Timeouts of one wait; on a frozen broker a failed publication takes two or three of them.
_REDIS: dict[str, object] = {
    "visibility_timeout": _VISIBILITY_TIMEOUT_SECONDS,
    # The table `tasks` has the leases, so kombu's bookkeeping is not needed.
    "ack_emulation": False,
    # Priorities apply in the table, so each queue is one list.
    "priority_steps": [0],
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "health_check_interval": 10,
    "retry_on_timeout": True,
}
# Without confirms, a message to a frozen or dying RabbitMQ counts as sent.
_RABBITMQ: dict[str, object] = {"confirm_publish": True, "read_timeout": 3, "write_timeout": 3}
_BY_SCHEME = {"redis": _REDIS, "rediss": _REDIS, "amqp": _RABBITMQ, "amqps": _RABBITMQ}


def transport_options(url: str) -> dict[str, object]:
    """Return the transport options for the broker of this URL."""
    return {**_FEW_RETRIES, **_BY_SCHEME.get(urlsplit(url).scheme, {})}


def register_transport(url: str) -> None:
    """Tell kombu of the transport of a package that the URL names.

    Raises:
        SettingsError: neither kombu nor a package has one of this scheme.

    """
    scheme = urlsplit(url).scheme
    if point := plugins.installed(plugins.BROKERS).get(scheme):
        TRANSPORT_ALIASES[scheme] = point.value
    if scheme not in TRANSPORT_ALIASES:
        known = ", ".join(f"{each}://" for each in sorted(TRANSPORT_ALIASES))
        raise SettingsError(f"BROKER_URL: there is no transport {scheme}://, but {known}")


_settings = load_settings(uses=Use.BROKER)
broker_url, broker_use_ssl = broker_tls(_settings.broker or "redis://127.0.0.1:6379/0")
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
register_transport(broker_url)
broker_transport_options = transport_options(broker_url) | (_settings.broker_options or {})
visibility_timeout = _VISIBILITY_TIMEOUT_SECONDS
result_backend_transport_options = {"visibility_timeout": _VISIBILITY_TIMEOUT_SECONDS}

task_queues = [Queue(name) for name in queues()]
task_default_queue = "default"
task_create_missing_queues = True
task_ignore_result = True
task_store_errors_even_if_ignored = False
task_acks_late = True
task_reject_on_worker_lost = True
task_track_started = True
task_serializer = "json"
accept_content = ["json"]

# Events are expensive; Flower enables them while it runs.
worker_send_task_events = False
# A prefetched message waits for a busy worker while others are idle; `enroll worker --prefetch` is
# for workers of short tasks.
worker_prefetch_multiplier = 1
worker_cancel_long_running_tasks_on_connection_loss = False
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_proc_alive_timeout = 30
