"""Builds the OpenAPI document from the operations' declarations."""

import re
from collections import defaultdict
from inspect import getdoc
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from api.endpoint.examples import error_examples
from api.endpoint.operation import EVENT_STREAM, FORM, OPERATIONS, Access, Events, Operation
from api.errors import TITLES
from api.schemas.responses import ErrorOut
from infra.identity import version

JsonObject = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_JSON = "application/json"
_ABOUT = """\
The university's catalogue of courses and its enrollments.

Times are RFC 3339 in UTC, ids are UUIDs, emails are stored in lower case. Every error has one
shape: a program looks at the status and at `details.code`, a person at `message`. To call what
needs a token, log in and send the token as `Authorization: Bearer <token>`."""
_TAGS = {
    "auth": "Logging in, and who is logged in.",
    "courses": "The catalogue: anyone reads it, admins change it.",
    "enrollments": "Enrolling students, and what they are enrolled in.",
    "tasks": "The slow work behind an upload.",
    "admin-tasks": "The slow work, as admins steer it.",
    "workflows": "Tasks that wait for each other, as admins see them.",
    "admin": "What admins see and do across courses.",
    "admin-flags": "Feature flags: what is on, and for whom.",
    "system": "What operators and monitors ask.",
}
_SUCCESSES = {
    200: "Done",
    201: "Created",
    202: "Taken; a task does the rest",
    204: "Done, and there is nothing to say",
    304: "Unchanged since the version that If-None-Match names",
}
_REQUEST_ID = {"X-Request-ID": "The request's id, in all log lines: the caller's, or a new one."}
_ERROR_HEADERS = {
    401: {"WWW-Authenticate": "The scheme of the tokens: Bearer."},
    429: {
        "Retry-After": "How many seconds to wait before trying again.",
        "RateLimit-Limit": "How many a minute there may be.",
        "RateLimit-Remaining": "How many there may be now: none.",
        "RateLimit-Reset": "In how many seconds there may be all of them again.",
    },
    503: {"Retry-After": "How many seconds to wait before trying again."},
}
# A blank query parameter counts as missing.
_BLANK = {"type": "string", "maxLength": 0}
_NUMBERS = {"X-Total-Count", *_ERROR_HEADERS[429]}


class _Schema(GenerateJsonSchema):
    """Pydantic's schemas without titles such as "Image Url", which only repeat the field's name."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  Pydantic's hook
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonObject:
        """Omit the default: type generators treat a field with a default as required."""
        return self.generate_inner(schema["schema"])


def build_document() -> JsonObject:
    """Return the OpenAPI 3.1 document."""
    schemas: JsonObject = {}
    paths: dict[str, JsonObject] = defaultdict(dict)
    for operation in OPERATIONS:
        path = re.sub(r"<(\w+)>", r"{\1}", operation.path)
        paths[path][operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Course Enrollment Service",
            "version": version(),
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": dict(paths),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `token` that `POST /api/v1/auth/login` answers.",
                }
            },
        },
    }


def _operation(operation: Operation, schemas: JsonObject) -> JsonObject:
    summary, _, description = (getdoc(operation.handler) or "").partition("\n\n")
    content: JsonObject = {
        "operationId": operation.name,
        "tags": [operation.blueprint.name],
        "summary": summary,
        "parameters": [
            *_path(operation),
            *_query(operation, schemas),
            *_taken_headers(operation),
        ],
        "responses": _successes(operation, schemas) | _failures(operation, schemas),
    }
    if description:
        content["description"] = " ".join(description.split())
    content["security"] = [] if operation.access is Access.ANYONE else [{"bearer": []}]
    if operation.access is Access.STUDENT:
        content["security"].insert(0, {})
    if model := operation.body or operation.form:
        content["requestBody"] = _body(operation.media_types, model, schemas)
    if operation.form:
        for field in schemas[operation.form.__name__]["properties"].values():
            _drop_null(field)
    return content


def _body(media_types: tuple[str, ...], model: type[BaseModel], schemas: JsonObject) -> JsonObject:
    content = {"schema": _schema(model, "validation", schemas)}
    fields = schemas[model.__name__]["properties"]
    if FORM not in media_types:
        content["example"] = {
            name: about["examples"][0] for name, about in fields.items() if "examples" in about
        }
    bodies = dict.fromkeys(media_types, content)
    return {"description": getdoc(model), "required": True, "content": bodies}


def _path(operation: Operation) -> list[JsonObject]:
    parameters = []
    for name, kind in operation.parameters.items():
        schema = _json_schema(kind, "validation")
        about = {"description": schema.pop("description"), "example": schema.pop("examples")[0]}
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema, **about})
    return parameters


def _query(operation: Operation, schemas: JsonObject) -> list[JsonObject]:
    if not operation.query:
        return []
    whole = _json_schema(operation.query, "validation")
    schemas.update(whole.pop("$defs", {}))
    parameters = []
    for name, schema in whole["properties"].items():
        _drop_null(schema)
        # Tools send examples, and any parameter changes the response of `GET /courses`.
        schema.pop("examples", None)
        # The server accepts repeated values and counts each once.
        schema.pop("uniqueItems", None)
        about = {"description": schema.pop("description")}
        if schema.get("type") == "array":
            # Clients send an empty array as a blank value.
            about |= {"schema": schema, "style": "form", "explode": False}
        else:
            about["schema"] = {"anyOf": [schema, _BLANK]}
        parameters.append({"name": name, "in": "query", **about})
    return parameters


def _taken_headers(operation: Operation) -> list[JsonObject]:
    parameters = []
    for name, kind in operation.takes.items():
        about: JsonObject = {"description": kind, "schema": {"type": "string"}}
        if not isinstance(kind, str):
            schema = _json_schema(kind, "validation")
            # Tools send examples, and an idempotency key belongs to one request.
            schema.pop("examples")
            about = {"description": schema.pop("description"), "schema": schema}
        parameters.append({"name": name, "in": "header", **about})
    return parameters


def _drop_null(schema: JsonObject) -> None:
    """Remove null from the types of a query or form field, which is optional but never null."""
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        # The field's own keywords override those of its type.
        schema.update(kinds[0] | schema)


def _successes(operation: Operation, schemas: JsonObject) -> JsonObject:
    responses: JsonObject = {}
    for status, kind in operation.responses.items():
        response: JsonObject = {"description": _SUCCESSES.get(status) or TITLES[status]}
        if isinstance(kind, str):
            response["content"] = {kind: {"schema": {"type": "string"}}}
        elif isinstance(kind, Events):
            response["content"] = {EVENT_STREAM: {"schema": _stream(kind.data, schemas)}}
        elif kind is not None:
            schema = _schema(kind, "serialization", schemas)
            response["content"] = {_JSON: {"schema": schema}}
        response["headers"] = _headers(_REQUEST_ID | operation.headers)
        if operation.links and kind is not None:
            response["links"] = {
                name: {"operationId": name, "parameters": parameters}
                for name, parameters in operation.links.items()
            }
        responses[str(status)] = response
    return responses


def _stream(data: type[BaseModel], schemas: JsonObject) -> JsonObject:
    """Return the schema of a stream; some tools apply it to the text, others to each event."""
    event = {
        "type": "object",
        "description": "Each event, by its fields.",
        "properties": {
            "id": {"type": "string", "description": "To send as `Last-Event-ID`."},
            "data": {
                "type": "string",
                "description": "JSON.",
                "contentMediaType": _JSON,
                "contentSchema": _schema(data, "serialization", schemas),
            },
        },
    }
    return {"anyOf": [{"type": "string", "description": "The stream, as text."}, event]}


def _failures(operation: Operation, schemas: JsonObject) -> JsonObject:
    schema = _schema(ErrorOut, "serialization", schemas)
    return {
        str(status): {
            "description": TITLES[status],
            "headers": _headers(_REQUEST_ID | _ERROR_HEADERS.get(status, {})),
            "content": {_JSON: {"schema": schema, "examples": examples}},
        }
        for status, examples in error_examples(operation).items()
    }


def _headers(about: dict[str, str]) -> JsonObject:
    kinds = {name: "integer" if name in _NUMBERS else "string" for name in about}
    return {
        name: {"description": text, "schema": {"type": kinds[name]}} for name, text in about.items()
    }


def _schema(kind: Any, mode: JsonSchemaMode, schemas: JsonObject) -> JsonObject:
    schema = _json_schema(kind, mode)
    schemas.update(schema.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schemas[kind.__name__] = schema
        return {"$ref": _REFERENCE.format(model=kind.__name__)}
    return schema


def _json_schema(kind: Any, mode: JsonSchemaMode) -> JsonObject:
    return TypeAdapter(kind).json_schema(
        mode=mode, ref_template=_REFERENCE, schema_generator=_Schema
    )
