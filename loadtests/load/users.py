"""What students, admins and operators have in common: they come when they come."""

import time

from locust import User

from loadtests.load.client import Client
from loadtests.load.shapes import Role
from loadtests.load.world import World

_A_LONG_WAIT = 3600.0


class Arriving(User):
    """A user whose requests are due at times drawn beforehand, however slow the answers are.

    The users of a role share the shape's rate. Whoever is late starts at once, and is measured
    from when the request was due: no coordinated omission.
    """

    abstract = True
    role: Role
    world: World
    due = 0.0

    def on_start(self) -> None:
        """Connect, and wait until the first request is due."""
        self.random = self.world.random
        host = self.host or ""  # Locust has refused to run without
        self.catalogue = self.world.catalogue(host)
        self.client = self.connect(host)
        # A user that Locust starts late missed nothing: it was not there.
        self._second = max(0.0, time.monotonic() - self.world.recorder.start)
        self.wait()

    def connect(self, origin: str) -> Client:
        """Return a connection to another origin."""
        return Client(origin, self.world.recorder, self.environment.events.request, self.random)

    def wait_time(self) -> float:
        """Draw when the next request is due; return the seconds until then."""
        world = self.world
        gap = self.random.expovariate(1.0) * world.shape.count(self.role)
        self._second = world.arrivals[self.role].after(self._second, gap)
        self.due = world.recorder.start + self._second
        return min(_A_LONG_WAIT, max(0.0, self.due - time.monotonic()))
