"""What this service calls itself in logs, metrics, traces and responses."""

from functools import cache
from importlib import metadata

SERVICE = "course-enrollment-service"


@cache
def version() -> str:
    """Return the version of the installed package."""
    return metadata.version(SERVICE)
