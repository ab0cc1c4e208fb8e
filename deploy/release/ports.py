"""What a release needs of the world: a router of traffic, metrics, and the time."""

from collections.abc import Callable
from typing import Protocol

from deploy.release.counts import Reading
from deploy.release.plan import Track
from infra.errors import DeclaredError

# Returns seconds since 1970.
Clock = Callable[[], float]


class RouterFault(DeclaredError):
    """The router can't be steered or read"""


class MetricsFault(DeclaredError):
    """There are no usable metrics"""


class Router(Protocol):
    """Divides the requests between the two revisions."""

    def set_weight(self, weight: int) -> None:
        """Give the canary a percentage of the requests; it may take effect later.

        Raises:
            RouterFault: the router did not take it.

        """

    def weight(self) -> int | None:
        """Return the percentage that the router is seen to apply; None while it is in between.

        Raises:
            RouterFault: it can't be read.

        """

    def ready(self, track: Track) -> float:
        """Return the share of a revision's instances that are ready for requests.

        Raises:
            RouterFault: that is unknown.

        """


class Metrics(Protocol):
    """Has the counters of both revisions."""

    def read(self) -> Reading:
        """Return them as they are now.

        Raises:
            MetricsFault: they can't be had.

        """
