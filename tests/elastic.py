"""Interprets Elasticsearch's ingest pipelines and strict mappings, as far as ours use them."""

from __future__ import annotations

import ipaddress
import json
from datetime import datetime
from typing import Any

Document = dict[str, Any]
_TYPES: dict[str, type | tuple[type, ...]] = {
    "keyword": str,
    "text": str,
    "date": str,
    "long": int,
    "double": (int, float),
    "boolean": bool,
    "flattened": dict,
}


class RefusedError(Exception):
    """A processor or the mapping refuses the document"""


def ingest(pipeline: Document, source: Document) -> Document:
    """Return the document that a pipeline makes; the `on_failure` of the pipeline included."""
    document = json.loads(json.dumps(source))
    try:
        for processor in pipeline["processors"]:
            _process(document, processor)
    except RefusedError as error:
        for processor in pipeline["on_failure"]:
            _process(document, processor, str(error))
    return document


def _process(document: Document, processor: Document, failure: str = "") -> None:
    ((kind, options),) = processor.items()
    field = options["field"]
    match kind:
        case "json":
            try:
                parsed = json.loads(_get(document, field))
            except ValueError as error:
                raise RefusedError(str(error)) from None
            _put(document, options["target_field"], parsed)
        case "remove":
            _take(document, field)
        case "rename":
            if options.get("ignore_missing") and not _has(document, field):
                return
            if _has(document, options["target_field"]):
                raise RefusedError(f"field [{options['target_field']}] already exists")
            _put(document, options["target_field"], _take(document, field))
        case "date":
            assert options["formats"] == ["ISO8601"]
            try:
                datetime.fromisoformat(_get(document, field))
            except ValueError as error:
                raise RefusedError(str(error)) from None
            _put(document, options["target_field"], _get(document, field))
        case "set":
            value = options["value"].replace("{{{ _ingest.on_failure_message }}}", failure)
            _put(document, field, value)
        case _:
            raise AssertionError(f"the test does not know {kind}")


def _get(document: Document, field: str) -> Any:
    value: Any = document
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            raise RefusedError(f"field [{field}] not present")
        value = value[name]
    return value


def _has(document: Document, field: str) -> bool:
    try:
        _get(document, field)
    except RefusedError:
        return False
    return True


def _take(document: Document, field: str) -> Any:
    value = _get(document, field)
    *parents, name = field.split(".")
    parent = _get(document, ".".join(parents)) if parents else document
    del parent[name]
    return value


def _put(document: Document, field: str, value: Any) -> None:
    *parents, name = field.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    document[name] = value


def check(mapping: Document, document: Document, path: str = "") -> None:
    """Check a document against a mapping that is `dynamic: strict` at each level.

    Raises:
        RefusedError: a field is not mapped, or its value does not fit its type.

    """
    assert mapping["dynamic"] == "strict", path
    for name, value in document.items():
        here = f"{path}{name}"
        if name not in mapping["properties"]:
            raise RefusedError(f"[{here}] is not mapped")
        field = mapping["properties"][name]
        if "properties" in field:
            check(field, value, f"{here}.")
        elif value is not None and not _fits(field, value):
            raise RefusedError(f"[{here}] is no {field['type']}: {value!r}")


def _fits(field: Document, value: Any) -> bool:
    kind = field["type"]
    if kind == "ip":
        return bool(ipaddress.ip_address(value))
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
