"""Success responses, and the headers of pages."""

from functools import lru_cache

from pydantic import BaseModel
from sanic import HTTPResponse
from sanic.response import raw

from infra.cache import Page

JSON = "application/json"
MAX_LIMIT = 100
PAGE_HEADERS = {
    "X-Total-Count": "How many there are on all pages.",
    "Link": "The addresses of the pages: `first`, `prev`, `next` and `last`, those that there are.",
}


@lru_cache(maxsize=1024)
def page_headers(path: str, page: Page, total: int) -> dict[str, str]:
    """Return the headers of a page of a listing of `total` rows; `path` has no query.

    The links of a page longer than `MAX_LIMIT` lead to pages of `MAX_LIMIT` rows.
    """
    limit = min(page.limit, MAX_LIMIT)
    last = max(1, -(-total // limit))
    ahead, behind = page.number - 1, page.number * page.limit // limit + 1
    numbers = {"first": 1, "prev": min(ahead, last), "next": behind, "last": last}
    shared = f"&{page.query}" if page.query else ""
    queries = {
        relation: f"page={number}&limit={limit}{shared}"
        for relation, number in numbers.items()
        if 1 <= number <= last
    }
    return link_headers(path, queries, total)


def link_headers(path: str, queries: dict[str, str], total: int) -> dict[str, str]:
    """Return the headers of a page; `queries` maps each link relation to its query."""
    links = (f'<{path}?{query}>; rel="{relation}"' for relation, query in queries.items())
    return {"X-Total-Count": str(total), "Link": ", ".join(links)}


def reply(
    content: BaseModel, status: int = 200, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """Return a model as JSON."""
    return reply_json(content.model_dump_json().encode(), status, headers)


def reply_json(
    content: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """Return rendered JSON."""
    return raw(content, status, headers, JSON)
