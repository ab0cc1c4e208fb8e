"""The OpenAPI document, made of what the operations declare."""

import re
from collections import defaultdict
from http import HTTPStatus
from importlib.metadata import version
from inspect import getdoc
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from api import security
from api.errors import TITLES, status_of
from api.operation import OPERATIONS, Access, Operation
from api.schemas.responses import ErrorOut
from services import errors
from services.errors import Code, ServiceError

JsonObject = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_JSON = "application/json"
_TAGS = {
    "auth": "Logging in.",
    "courses": "The catalogue.",
    "enrollments": "Enrolling.",
    "tasks": "The slow work behind an upload.",
    "admin-tasks": "The slow work, as admins steer it.",
    "admin": "What admins see and do across courses.",
    "system": "What operators and monitors ask.",
}


class BadInput(errors.Invalid):
    """Title is required"""

    code = Code.REQUIRED


class PartAway(errors.Unavailable):
    """The database is away; try again soon"""


class Unforeseen(ServiceError):
    """Something went wrong on our side"""


def build_document() -> JsonObject:
    """Return the whole document, OpenAPI 3.1."""
    schemas: JsonObject = {}
    paths: dict[str, JsonObject] = defaultdict(dict)
    for operation in OPERATIONS:
        path = re.sub(r"<(\w+)>", r"{\1}", operation.path)
        paths[path][operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Course Enrollment Service",
            "version": version("course-enrollment-service"),
            "description": "The university's catalogue of courses and its enrollments.",
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
        "tags": [operation.tag],
        "summary": summary,
        "parameters": _parameters(operation, schemas),
        "responses": _successes(operation, schemas) | _failures(operation, schemas),
    }
    if description:
        content["description"] = " ".join(description.split())
    if operation.access is not Access.ANYONE:
        content["security"] = [{"bearer": []}]
    if operation.body:
        content["requestBody"] = _body(_JSON, operation.body, schemas)
    if operation.form:
        content["requestBody"] = _body("multipart/form-data", operation.form, schemas)
    return content


def _body(media_type: str, model: type[BaseModel], schemas: JsonObject) -> JsonObject:
    content = {"schema": _schema(model, "validation", schemas)}
    return {"required": True, "content": {media_type: content}}


def _parameters(operation: Operation, schemas: JsonObject) -> list[JsonObject]:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _schema(kind, "validation", schemas),
        }
        for name, kind in operation.parameters.items()
    ]
    if operation.query:
        whole = TypeAdapter(operation.query).json_schema(ref_template=_REFERENCE)
        schemas.update(whole.pop("$defs", {}))
        for name, schema in whole["properties"].items():
            parameter = {"name": name, "in": "query", "schema": schema}
            if text := schema.pop("description", None):
                parameter["description"] = text
            if schema.get("type") == "array":
                parameter |= {"style": "form", "explode": False}
            parameters.append(parameter)
    return parameters


def _successes(operation: Operation, schemas: JsonObject) -> JsonObject:
    responses: JsonObject = {}
    for status, kind in operation.responses.items():
        response: JsonObject = {"description": HTTPStatus(status).phrase}
        if isinstance(kind, str):
            response["content"] = {kind: {"schema": {"type": "string"}}}
        elif kind is not None:
            schema = _schema(kind, "serialization", schemas)
            response["content"] = {_JSON: {"schema": schema}}
        headers = {"X-Request-ID": "The request's id, in all log lines."} | operation.headers
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
        responses[str(status)] = response
    return responses


def _failures(operation: Operation, schemas: JsonObject) -> JsonObject:
    kinds: dict[int, list[type[ServiceError]]] = defaultdict(list)
    for kind in [*_implied(operation), *operation.errors]:
        kinds[status_of(kind)].append(kind)
    schema = _schema(ErrorOut, "serialization", schemas)
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {
                _JSON: {
                    "schema": schema,
                    "examples": {kind.__name__: _example(status, kind) for kind in group},
                }
            },
        }
        for status, group in sorted(kinds.items())
    }


def _implied(operation: Operation) -> list[type[ServiceError]]:
    implied: list[type[ServiceError]] = [Unforeseen]
    if operation.query or operation.body or operation.form or operation.parameters:
        implied.append(BadInput)
    if operation.access is not Access.ANYONE:
        implied += [security.MissingToken, security.InvalidToken, security.ExpiredToken]
    if operation.access is Access.ADMIN:
        implied.append(security.AdminsOnly)
    if operation.body or operation.form:
        implied.append(errors.TooLarge)
    if operation.tag != "system":
        implied.append(PartAway)
    return implied


def _example(status: int, kind: type[ServiceError]) -> JsonObject:
    message = (kind.__doc__ or "").strip()
    details = {"code": kind.code.value}
    if issubclass(kind, BadInput):
        details["field"] = "title"
    return {
        "summary": message,
        "value": {"error": TITLES[status], "message": message, "details": details},
    }


def _schema(kind: Any, mode: JsonSchemaMode, schemas: JsonObject) -> JsonObject:
    schema = TypeAdapter(kind).json_schema(mode=mode, ref_template=_REFERENCE)
    schemas.update(schema.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schemas[kind.__name__] = schema
        return {"$ref": _REFERENCE.format(model=kind.__name__)}
    return schema
