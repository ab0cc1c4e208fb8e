"""Validates a request's parts and converts them to values; each invalid part becomes a fault."""

from functools import cache, lru_cache
from typing import Any, cast, get_origin
from urllib.parse import unquote_plus

from pydantic import BaseModel, TypeAdapter, ValidationError
from sanic import Request

from api.endpoint import bodies
from api.schemas.requests import FilePart, PageQuery
from infra.cache import Page
from services.catalogue.queries import PLAIN_LIST_LIMIT
from services.errors import Code, Fault, Invalid
from services.fields import Model, fault_of, validated

MAX_PARAMETERS = 50
MAX_QUERIES = 256
_FILES = (FilePart, FilePart | None)


def json_body(body: bytes, model: type[Model]) -> Model:
    """Return a JSON body as a model.

    Raises:
        Invalid: the body is not a JSON object, or its fields do not fit the model.

    """
    return validated(model, bodies.json_object(body))


def query(request: Request, model: type[Model]) -> Model:
    """Return the query as a model; ignores parameters that the model lacks.

    The last value of a repeated parameter counts; a list parameter joins all its values.

    Raises:
        Invalid: a parameter has an invalid value.

    """
    return cast("Model", _query_of(request.query_string, model))


# Clients repeat the same queries.
@lru_cache(maxsize=MAX_QUERIES)
def _query_of(query: str, model: type[BaseModel]) -> BaseModel:
    if query.count("&") >= MAX_PARAMETERS:
        message = f"The query may have at most {MAX_PARAMETERS} parameters"
        raise Invalid(Fault("query", Code.TOO_LONG, message))
    given: dict[str, str] = {}
    fields = model.model_fields
    for name, value in _parameters(query):
        if value and name in fields:
            several = name in given and get_origin(fields[name].annotation) is frozenset
            given[name] = f"{given[name]},{value}" if several else value
    return validated(model, given)


def has_query(request: Request, model: type[BaseModel]) -> bool:
    """Return whether the query has any of the model's parameters, including blank ones."""
    return any(name in model.model_fields for name, _ in _parameters(request.query_string))


def _parameters(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a query, or the fields of a form.

    Raises:
        Invalid: they are not UTF-8.

    """
    pairs = (part.partition("=") for part in query.split("&") if part)
    try:
        return [(_decoded(name), _decoded(value)) for name, _, value in pairs]
    except UnicodeDecodeError:
        raise Invalid(Fault("query", Code.INVALID_FORMAT, "The query must be UTF-8")) from None


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="strict") if "%" in text or "+" in text else text


def page(request: Request, query: PageQuery) -> Page:
    """Return the requested page; without parameters, one page of `PLAIN_LIST_LIMIT` rows."""
    if not query.model_fields_set and not has_query(request, type(query)):
        return Page(1, PLAIN_LIST_LIMIT)
    return query.position()


def header(request: Request, name: str, kind: Any) -> Any:
    """Return a header validated as `kind`; None if it is missing.

    Raises:
        Invalid: the header occurs twice, or is not of that type.

    """
    given = request.headers.getall(name, [])
    if not given:
        return None
    if len(given) > 1:
        raise Invalid(Fault(name, Code.INVALID_FORMAT, f"{name} may be there once"))
    return path_value(name, kind, given[0].strip(" \t"))


def path_value(name: str, kind: Any, value: str) -> Any:
    """Return a path parameter or a header validated as `kind`.

    Raises:
        Invalid: the value is not of that type.

    """
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise Invalid(*(fault_of(detail, name) for detail in error.errors())) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    # Cached because constructing an adapter takes longer than the rest of a request.
    return TypeAdapter(kind)


def urlencoded_form(body: bytes, model: type[Model]) -> Model:
    """Return the body of an HTML form as a model; empty fields are missing.

    Raises:
        Invalid: the form is malformed, or its fields do not fit the model.

    """
    fields = body.decode("latin-1")
    if fields.count("&") >= MAX_PARAMETERS:
        message = f"The form may have at most {MAX_PARAMETERS} fields"
        raise Invalid(Fault("body", Code.TOO_LONG, message))
    return validated(model, {name: value for name, value in _parameters(fields) if value})


def multipart_form(body: bytes, content_type: str, model: type[Model]) -> Model:
    """Return a `multipart/form-data` body as a model; files are `{name, data}`.

    Raises:
        Invalid: the form is malformed, or its fields do not fit the model.

    """
    return validated(model, bodies.form_parts(body, content_type, _file_fields(model)))


@cache
def _file_fields(model: type[BaseModel]) -> frozenset[str]:
    fields = model.model_fields.items()
    return frozenset(name for name, field in fields if field.annotation in _FILES)
