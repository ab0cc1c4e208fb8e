"""Celery's settings. The broker only carries messages; PostgreSQL knows the tasks (docs/tasks.md).

The ones about acknowledgement and visibility belong together: a message is acknowledged when its
task has ended, or its process was lost; whatever the broker loses, the relay publishes again.
"""

from kombu import Queue

from infra.settings import load_settings

_settings = load_settings()
_VISIBILITY_TIMEOUT_SECONDS = 3600

broker_url = _settings.broker_url or "redis://127.0.0.1:6379/0"
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_transport_options = {
    "visibility_timeout": _VISIBILITY_TIMEOUT_SECONDS,
    "unacked_restore_interval": 10,
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "health_check_interval": 10,
    "retry_on_timeout": True,
}
visibility_timeout = _VISIBILITY_TIMEOUT_SECONDS
result_backend_transport_options = {"visibility_timeout": _VISIBILITY_TIMEOUT_SECONDS}

task_queues = [Queue(name) for name in ("default", "images", "cache", "maintenance")]
task_default_queue = "default"
task_create_missing_queues = True
task_ignore_result = True
task_store_errors_even_if_ignored = False
task_acks_late = True
task_reject_on_worker_lost = True
task_track_started = True
task_serializer = "json"
accept_content = ["json"]
task_send_sent_event = True

worker_send_task_events = True
worker_prefetch_multiplier = 1
worker_cancel_long_running_tasks_on_connection_loss = False
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_proc_alive_timeout = 30
