"""What students, admins and operators share: requests at times drawn beforehand."""

import time

from locust import User

from loadtests.load.arrivals import Pace
from loadtests.load.client import Client
from loadtests.load.dataset import Dataset
from loadtests.load.shapes import Role


class Arriving(User):
    """A user whose requests are due at times drawn beforehand, however slow the answers are.

    The users of a role share the shape's rate. A late request starts at once and is measured
    from when it was due: no coordinated omission.
    """

    abstract = True
    role: Role
    dataset: Dataset

    def on_start(self) -> None:
        """Connect, and wait until the first request is due."""
        dataset, host = self.dataset, self.host or ""  # Locust does not start without it
        self.random = dataset.random
        self.catalogue = dataset.catalogue(host)
        self.client = self.connect(host)
        shared = dataset.shape.count(self.role)
        self._pace = Pace(dataset.arrivals[self.role], shared, dataset.recorder.start, self.random)
        self._pace.begin(time.monotonic())
        self.wait()

    @property
    def due(self) -> float:
        """When the request is due that is to be sent."""
        return self._pace.due

    def wait_time(self) -> float:
        """Draw when the next request is due; return the seconds until then."""
        return self._pace.wait(time.monotonic())

    def connect(self, origin: str) -> Client:
        """Return a connection to another origin."""
        return Client(origin, self.dataset.recorder, self.environment.events.request, self.random)
