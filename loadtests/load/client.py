"""A user's HTTP client, which measures from when a request was due."""

import gzip
import itertools
import json
import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from random import Random
from typing import Any

from locust.event import EventHook

from loadtests import browser
from loadtests.load.connection import FAILURES, Connection, Response
from loadtests.load.endpoints import Endpoint
from loadtests.load.recorder import Recorder

# A browser's, but for the encodings that are not read here.
_HEADERS = browser.headers("fetch") | {"Accept-Encoding": "gzip"}
_OK = frozenset({HTTPStatus.OK})
_CHECKED_SHARE = 0.01
# The report counts all; the paths of a process's first ones are in locust.log.
_LOGGED_FAILURES = 20
_failures = itertools.count()

log = logging.getLogger(__name__)


class RequestFailed(Exception):
    """No answer, or another one than expected."""


class Answer:
    """A response that was read."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.body = response.body
        self.header = response.header

    def json(self) -> Any:
        """Parse the body; only where few are sent, or of a sample."""
        packed = self.header("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


class Client:
    """One origin's connection, kept alive."""

    def __init__(
        self, origin: str, recorder: Recorder, request_event: EventHook, random: Random
    ) -> None:
        self._recorder = recorder
        self._event = request_event
        self._random = random
        self._connection = Connection(origin, _HEADERS)

    def send(  # noqa: PLR0913  a request has these parts
        self,
        endpoint: Endpoint,
        path: str,
        *,
        due: float | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        expected: frozenset[int] = _OK,
        is_right: Callable[[Answer], bool] | None = None,
    ) -> Answer | None:
        """Send a request and measure it from when it was due; left out, that is now.

        Return the answer; None, and an error is counted, when there is none, when its status is
        not an expected one, or when it is in the sample that is looked into and is not right.
        """
        started = time.monotonic()
        answer, error = None, ""
        try:
            answer = Answer(self._connection.exchange(endpoint.method, path, body, headers))
        except FAILURES as failure:
            error = f"{type(failure).__name__}: {failure}"
        ended = time.monotonic()
        if answer and answer.status not in expected:
            error = f"status {answer.status}"
        elif answer and is_right and self._random.random() < _CHECKED_SHARE:
            error = _look_into(answer, is_right)
        if error and next(_failures) < _LOGGED_FAILURES:
            log.warning("%s %s: %s", endpoint.method, path, error)
        code = answer.status if answer else 0
        size = len(answer.body) if answer else 0
        waited = ended - (due or started)
        self.report(endpoint, waited, ended - started, code=code, size=size, error=error)
        return None if error else answer

    def report(  # noqa: PLR0913  what is known of a request
        self,
        endpoint: Endpoint,
        response_seconds: float,
        service_seconds: float | None = None,
        *,
        code: int = 0,
        size: int = 0,
        error: str = "",
    ) -> None:
        """Tell our record and Locust's of a request, or of something else that took time."""
        service_seconds = response_seconds if service_seconds is None else service_seconds
        self._recorder.note(endpoint, response_seconds, service_seconds, code, error)
        self._event.fire(
            request_type=endpoint.method,
            name=endpoint.name,
            response_time=response_seconds * 1000,
            response_length=size,
            exception=RequestFailed(error) if error else None,
            context={},
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _look_into(answer: Answer, is_right: Callable[[Answer], bool]) -> str:
    try:
        return "" if is_right(answer) else "wrong content"
    except (ValueError, LookupError, TypeError, OSError):
        return "malformed content"
