"""The names of the tasks that services enqueue; a test asserts that each is registered."""

from enum import StrEnum


class TaskName(StrEnum):
    """A kind of task."""

    PROCESS_IMAGE = "images.process"
    REMOVE_IMAGES = "images.remove"
    WARM_CACHE = "cache.warm"
    PRUNE_TASKS = "maintenance.prune_tasks"
    PRUNE_SESSIONS = "maintenance.prune_sessions"
    PRUNE_UPLOADS = "maintenance.prune_uploads"
    REMOVE_ORPHANS = "maintenance.remove_orphans"
    PRUNE_AUDIT_LOG = "maintenance.prune_audit_log"
    PRUNE_IDEMPOTENT_RESPONSES = "maintenance.prune_idempotent_responses"
    PRUNE_CHANGES = "maintenance.prune_changes"
    ANALYZE = "maintenance.analyze"
    BACK_UP = "maintenance.back_up"
    REPORT_STALE_FLAGS = "maintenance.report_stale_flags"
