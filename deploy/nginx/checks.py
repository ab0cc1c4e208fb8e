"""Checks of parameters, so that no value can become another directive of nginx."""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])"
_ADDRESS = re.compile(rf"(?:(?:{_HOST}|\*):)?[0-9]{{1,5}}|unix:/[\w./-]+", re.IGNORECASE)
_ORIGIN = re.compile(rf"https?://{_HOST}(?::[0-9]{{1,5}})?")
_PATH = re.compile(r"/[\w./@+-]*")
_WORD = re.compile(r"[\w.-]+")
_COMMAND = re.compile(r"[\w./@:=+ -]+")
MAX_PORT = 65535


class ParameterError(ValueError):
    """A parameter that nginx can't use; the message names it and its value."""


def address(text: str) -> str:
    """Return `host:port`, a port, or `unix:/path`."""
    port = text.rpartition(":")[2]
    if not _ADDRESS.fullmatch(text) or (port.isdigit() and not 0 < int(port) <= MAX_PORT):
        raise ParameterError("must be host:port, a port, or unix:/path")
    return text


def origin(text: str) -> str:
    """Return an origin as browsers send it."""
    if not _ORIGIN.fullmatch(text):
        raise ParameterError("must be an origin in lower case, such as https://api.example.org")
    return text


def https_origin(text: str) -> str:
    """Return an origin of HTTPS, as browsers send it."""
    if urlsplit(origin(text)).scheme != "https":
        raise ParameterError("must begin with https://")
    return text


def network(text: str) -> str:
    """Return an address or a network."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ParameterError("must be an address or a network, such as 10.0.0.0/16") from None


def path(text: str) -> str:
    """Return an absolute path without characters that mean something to nginx."""
    if not _PATH.fullmatch(text):
        raise ParameterError("must be an absolute path of letters, digits and ./@+-_")
    return text


def word(text: str) -> str:
    """Return a name."""
    if not _WORD.fullmatch(text):
        raise ParameterError("must be a name of letters, digits and .-_")
    return text


def command(text: str) -> str:
    """Return a command whose arguments have no quotes."""
    if not _COMMAND.fullmatch(text):
        raise ParameterError("must be a command of plain words")
    return text


def boolean(text: str) -> bool:
    """Return true or false."""
    if text not in {"true", "false"}:
        raise ParameterError("must be true or false")
    return text == "true"


def number(text: str) -> int:
    """Return a number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ParameterError("must be a number from 1 on")
    return int(text)


def one_of(*known: str) -> Callable[[str], str]:
    """Return a check that the value is one of these."""

    def check(text: str) -> str:
        if text not in known:
            raise ParameterError(f"must be one of {', '.join(known)}")
        return text

    return check
