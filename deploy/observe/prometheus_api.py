"""Asks Prometheus for the present values of an expression."""

import base64
import json
import urllib.request
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit

from infra.errors import DeclaredError

TIMEOUT_SECONDS = 10


class PrometheusAway(DeclaredError):
    """Prometheus does not answer"""


class Sample(NamedTuple):
    """A series' labels and its value, which may be NaN."""

    labels: dict[str, str]
    value: float


def query(url: str, expression: str, *, timeout: float = TIMEOUT_SECONDS) -> list[Sample]:
    """Return the vector of an expression, at the present time of Prometheus's own clock.

    Args:
        url: The address, with `user:password@` if it needs them.
        expression: What is asked, as PromQL.
        timeout: Seconds for the connection, and for each read.

    Raises:
        PrometheusAway: it can't be asked, or its answer is incomplete.

    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PrometheusAway(f"{url!r} is no URL of a Prometheus")
    account, _, server = parts.netloc.rpartition("@")
    base = parts._replace(netloc=server).geturl().rstrip("/")
    request = urllib.request.Request(f"{base}/api/v1/query?query={quote(expression)}")  # noqa: S310  checked above
    if account:
        secret = base64.b64encode(unquote(account).encode()).decode()
        request.add_header("Authorization", f"Basic {secret}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310  checked above  # nosec B310
            return _samples(base, json.load(response))
    except HTTPError as error:
        with error:
            raise PrometheusAway(f"{base} answers with {error.code}") from None
    except (OSError, HTTPException) as error:
        raise PrometheusAway(f"{base} does not answer: {error}") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise PrometheusAway(f"{base} is no Prometheus") from None


def _samples(base: str, answer: dict[str, Any]) -> list[Sample]:
    if warnings := answer.get("warnings"):
        raise PrometheusAway(f"{base} has only a part of the data: {'; '.join(warnings)}")
    return [Sample(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]
