"""The headers of a browser on a page of another origin, as it sent them (`headers.json`)."""

import json
from pathlib import Path
from typing import cast

CAPTURED = Path(__file__).parent / "headers.json"
PAGE_PORT = 3000


def headers(kind: str) -> dict[str, str]:
    """Return the headers of a kind of request: `fetch`, `reload`, `image`, `post`, `preflight`."""
    captured = json.loads(CAPTURED.read_text("utf-8"))
    return cast("dict[str, str]", captured[kind])


def lines(kind: str) -> tuple[str, ...]:
    """Return the same as lines of a head."""
    return tuple(f"{name}: {value}" for name, value in headers(kind).items())
