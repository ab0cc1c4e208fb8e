"""Requests at a steady rate, whose outcomes are kept with their times."""

import itertools
import time
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

import httpx

from loadtests.steady import Requests

ENROLLMENT = "enrolment"
LIST = "list from the database"
CACHED_COURSE = "course from memory"
KINDS = (ENROLLMENT, LIST, CACHED_COURSE)
# A client waits longer than the service needs to give up.
ANSWER_SECONDS = 60.0
_OK = range(200, 300)


class Outcome(NamedTuple):
    """What became of a request; `status` 0 is no answer. Times are monotonic, in seconds."""

    kind: str
    sent_at: float
    answered_at: float
    status: int

    @property
    def is_ok(self) -> bool:
        """Whether the service did what was asked."""
        return self.status in _OK


@dataclass
class Load:
    """Enrolments, lists and courses in turn."""

    client: httpx.AsyncClient
    course_ids: tuple[str, ...]
    outcomes: list[Outcome] = field(default_factory=list)
    # The students whose enrolment the service has acknowledged.
    acknowledged: set[str] = field(default_factory=set)

    def requests(self) -> Requests:
        """Yield the requests, for `sending`."""
        for number, kind in enumerate(itertools.cycle(KINDS)):
            yield self._send(kind, self.course_ids[number % len(self.course_ids)])

    async def _send(self, kind: str, course_id: str) -> None:
        email, sent_at = f"{uuid4().hex}@example.org", time.monotonic()
        try:
            response = await self._ask(kind, course_id, email)
            status = response.status_code
        except httpx.TransportError:
            status = 0
        outcome = Outcome(kind, sent_at, time.monotonic(), status)
        self.outcomes.append(outcome)
        if kind == ENROLLMENT and outcome.is_ok:
            self.acknowledged.add(email)

    async def _ask(self, kind: str, course_id: str, email: str) -> httpx.Response:
        if kind == CACHED_COURSE:
            return await self.client.get(f"/courses/{course_id}")
        if kind == LIST:
            return await self.client.get(f"/students/{email}/enrollments")
        body = {"student_email": email, "course_id": course_id}
        return await self.client.post("/enrollments", json=body)
