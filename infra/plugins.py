"""What installed packages add, by their entry points (docs/plugging-in.md)."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from infra.errors import SelfDescribed

TASKS = "course_enrollment.tasks"
HOOKS = "course_enrollment.hooks"
# The names of these are the schemes of URLs.
STORAGE = "course_enrollment.storage"
CACHE = "course_enrollment.cache"
BROKERS = "course_enrollment.brokers"
NOTIFIERS = "course_enrollment.notifiers"


class PluginError(SelfDescribed):
    """A package that is installed can't be used"""


@cache
def installed(group: str) -> Mapping[str, EntryPoint]:
    """Return what the installed packages add to a group, by name; the first of a name counts."""
    return {each.name: each for each in reversed(list(entry_points(group=group)))}


def load(point: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        PluginError: that fails; the message has the package and the error.

    """
    try:
        return point.load()
    except Exception as error:
        raise PluginError(f"{package_of(point)}: {point.value} fails: {error!r}") from error


def package_of(point: EntryPoint) -> str | None:
    """Return the name of the package that has the entry point."""
    return point.dist.name if point.dist else None
