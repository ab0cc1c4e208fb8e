"""Requests to one instance, each on a new connection."""

from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from infra.errors import DeclaredError

TIMEOUT_SECONDS = 2
HTTP_OK = 200


class Unreachable(DeclaredError):
    """The instance does not answer"""


class Answer(NamedTuple):
    """A response; the names of its headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


def get(address: str, path: str) -> Answer:
    """Return the response to a GET.

    Args:
        address: host:port.
        path: The path, with its query.

    Raises:
        Unreachable: there is none; the message names the address.

    """
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
    except (OSError, HTTPException) as error:
        raise Unreachable(f"http://{address}{path} does not answer: {error}") from None
    finally:
        connection.close()
