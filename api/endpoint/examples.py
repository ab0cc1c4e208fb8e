"""Examples of an operation's errors: what the service itself says, not what somebody wrote down."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from sanic.compat import Header

from api.endpoint import binding
from api.endpoint.operation import Access, Operation
from api.errors import content_of, status_of
from api.security import cors, tokens
from infra.errors import DeclaredError
from services import errors
from services.errors import ServiceError

_TOKEN_ERRORS = (
    tokens.MissingToken,
    tokens.MalformedToken,
    tokens.InvalidToken,
    tokens.ExpiredToken,
)


def error_examples(operation: Operation) -> dict[int, dict[str, Any]]:
    """Return OpenAPI's examples of what can go wrong, by status and name."""
    examples: dict[int, dict[str, Any]] = defaultdict(dict)
    for name, error in (_bad_input(operation) | _raised(operation)).items():
        value = content_of(error).model_dump(mode="json")
        examples[status_of(type(error))][name] = {"summary": error.message, "value": value}
    return dict(sorted(examples.items()))


def _bad_input(operation: Operation) -> dict[str, DeclaredError]:
    """Return what the binding itself says to bad values."""
    calls: dict[str, Callable[[], object]] = {
        f"bad_{name}": partial(binding.path_value, name, kind, "?")
        for name, kind in operation.parameters.items()
    }
    for name, kind in operation.takes.items():
        if not isinstance(kind, str):
            calls[f"bad_{name}"] = partial(binding.path_value, name, kind, "")
    if operation.query:
        values = "&".join(f"{name}=?" for name in operation.query.model_fields)
        request: Any = SimpleNamespace(query_string=values)
        calls["bad_query"] = partial(binding.query, request, operation.query)
    if fields := operation.body or operation.form:
        calls["empty"] = partial(binding.json_body, b"{}", fields)
    if operation.body:
        calls["malformed"] = partial(binding.json_body, b"{", operation.body)
    if operation.media_types:
        foreign: Any = SimpleNamespace(headers=Header(origin="null"))
        calls["foreign_page"] = partial(cors.check_media_type, foreign, operation.media_types)
    refusals: dict[str, DeclaredError] = {}
    for name, call in calls.items():
        try:
            call()
        except ServiceError as error:
            refusals[name] = error
    return refusals


def _raised(operation: Operation) -> dict[str, DeclaredError]:
    kinds = [*operation.errors]
    if operation.access is not Access.ANYONE:
        kinds += _TOKEN_ERRORS
    if operation.access is Access.ADMIN:
        kinds.append(tokens.AdminsOnly)
    if operation.access is Access.STUDENT:
        kinds.append(tokens.NotYours)
    if operation.body:
        kinds.append(errors.TooLarge)
    if operation.kind:
        kinds.append(errors.RateLimited)
    found = {kind.__name__: _example(kind) for kind in kinds}
    found["Unforeseen"] = ServiceError("Something went wrong on our side")
    if operation.tag != "system":
        found["Unavailable"] = errors.Unavailable("The database is unavailable; try again soon")
    return found


def _example(kind: type[DeclaredError]) -> DeclaredError:
    if issubclass(kind, errors.Invalid):
        return kind()
    # Its docstring is its message; what else it wants to know, nobody knows here.
    error = kind.__new__(kind)
    DeclaredError.__init__(error)
    return error
