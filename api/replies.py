"""Answers of success."""

from collections.abc import Iterator
from functools import lru_cache

from pydantic import BaseModel
from sanic import HTTPResponse

JSON = "application/json"


def reply(
    content: BaseModel, status: int = 200, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """Return a model as JSON."""
    return Reply(content.model_dump_json().encode(), status, headers, JSON)


class Reply(HTTPResponse):
    """A body that is ready; the same headers as ever are encoded once, not once an answer."""

    @property
    def processed_headers(self) -> Iterator[tuple[bytes, bytes]]:
        """Return the headers as they are sent."""
        self.headers.setdefault("content-type", self.content_type)
        return (_encoded(name, str(value)) for name, value in self.headers.items())


@lru_cache(maxsize=1024)
def _encoded(name: str, value: str) -> tuple[bytes, bytes]:
    """Encode as Sanic does: nothing that is said may begin another line."""
    sanitize = HTTPResponse._sanitize_header_value  # noqa: SLF001
    return sanitize(name).encode("ascii"), sanitize(value).encode(errors="surrogateescape")
