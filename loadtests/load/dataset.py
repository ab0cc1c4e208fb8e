"""What all users of one Locust process share, as the environment describes it.

`LOADTEST_SHAPE` (smoke), `LOADTEST_SECONDS`, `LOADTEST_SHARE` and `LOADTEST_UPLOADS`
(a minute; all three the shape's own), `LOADTEST_START` (by the monotonic clock),
`LOADTEST_RECORDS` (a folder), `LOADTEST_USER` and `LOADTEST_PASSWORD` (the admin's),
`LOADTEST_PHOTO` (what admins upload; left out, one is made).
"""

import os
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from threading import Lock
from uuid import uuid4

from loadtests.load import catalogue
from loadtests.load.arrivals import Arrivals
from loadtests.load.catalogue import Catalogue
from loadtests.load.photo import photograph
from loadtests.load.recorder import Recorder
from loadtests.load.shapes import SHAPES, Role, Shape

START_DELAY_SECONDS = 3.0


@dataclass
class Dataset:
    """The shape, the clock, the catalogue and the record."""

    shape: Shape
    recorder: Recorder
    username: str
    password: str
    photo_file: Path | None

    def __post_init__(self) -> None:
        self.run = uuid4().hex[:8]
        self.random = Random()  # noqa: S311  not a secret
        self.arrivals: dict[Role, Arrivals] = {role: self.shape.arrivals(role) for role in Role}
        self._catalogue: Catalogue | None = None
        self._reading = Lock()  # gevent's
        self._students = 0

    def catalogue(self, host: str) -> Catalogue:
        """Return the service's courses, read once a process however many users ask."""
        with self._reading:
            if self._catalogue is None:
                self._catalogue = catalogue.read(host)
            return self._catalogue

    @cached_property
    def photo(self) -> bytes:
        """What admins upload."""
        return self.photo_file.read_bytes() if self.photo_file else photograph()

    def new_email(self) -> str:
        """Return the address of a new student."""
        self._students += 1
        return f"s{self._students}.{self.run}{os.getpid()}@students.example.edu"


def from_environment() -> Dataset:
    """Return the dataset that the environment describes."""
    get = os.environ.get
    shape = SHAPES[get("LOADTEST_SHAPE", "smoke")]
    if seconds := get("LOADTEST_SECONDS"):
        shape = shape.lasting(float(seconds))
    if share := get("LOADTEST_SHARE"):
        shape = shape.of_students(float(share))
    if uploads := get("LOADTEST_UPLOADS"):
        shape = shape.uploading(float(uploads))
    folder, photo = get("LOADTEST_RECORDS"), get("LOADTEST_PHOTO")
    start = float(get("LOADTEST_START", time.monotonic() + START_DELAY_SECONDS))
    return Dataset(
        shape,
        Recorder(start, Path(folder) if folder else None),
        get("LOADTEST_USER", "admin"),
        get("LOADTEST_PASSWORD", "admin!dev"),
        Path(photo) if photo else None,
    )
