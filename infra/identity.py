"""What this service calls itself in logs, metrics, traces and responses."""

from functools import cache
from importlib import metadata

SERVICE = "course-enrollment-service"
# The wheel has all our packages inside one, so that no name of theirs is taken (deploy/wheel.py).
_PREFIX = __package__.removesuffix("infra")


def qualified(module: str) -> str:
    """Return the name that a module of ours has here, by the one that it has in a checkout."""
    return f"{_PREFIX}{module}"


@cache
def version() -> str:
    """Return the version of the installed package."""
    return metadata.version(SERVICE)
