"""The arguments of a kind of task: the annotations of its function decide what a row may hold.

Enqueueing refuses what the function cannot get back from JSON, so a worker of the same code refuses
nothing.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NotRequired, get_type_hints

import orjson
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError, with_config
from pydantic_core import PydanticSerializationError, to_json
from typing_extensions import TypedDict

from infra.queue.errors import InvalidArguments

NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_UNTYPED = Any
# mypy knows those with a literal name only.
_typed_dict: Any = TypedDict


class Arguments:
    """The parameters of a task's function after its first, which is the context."""

    def __init__(self, name: str, body: Callable[..., object]) -> None:
        """Read the annotations.

        Raises:
            TypeError: a parameter can't be an argument, or its annotation can't be validated.

        """
        self._name = name
        parameters = _parameters(name, body)
        try:
            self._types = _types(body, parameters)
            self._adapter = _adapter(name, parameters, self._types)
        except (PydanticUserError, NameError) as error:
            reason = str(error).splitlines()[0]
            raise TypeError(f"the arguments of {name!r} can't be validated: {reason}") from None
        self.required = [
            each.name
            for each in parameters
            if each.default is each.empty and each.kind is not each.VAR_KEYWORD
        ]

    def dump(self, args: Mapping[str, object]) -> str:
        """Return the arguments as the JSON of a row.

        Raises:
            InvalidArguments: an argument is missing, unknown, of another type, or is not what the
                function would get after JSON and PostgreSQL.

        """
        try:
            valid = self._adapter.validate_python(dict(args))
            text = self._adapter.dump_json(valid)
        except ValidationError as error:
            raise self._invalid(error) from None
        except PydanticSerializationError as error:
            field = next(key for key, value in valid.items() if not _is_json(value))
            raise InvalidArguments(f"{self._name}: {field}: {error}") from None
        restored = self.load(text)
        for field, kind in self._types.items():
            if kind is not _UNTYPED and restored.get(field) != valid.get(field):
                raise InvalidArguments(f"{self._name}: {field}: JSON cannot hold it as it is")
        if b"\\u0000" in text and NUL.search(text):
            has_nul = (key for key in args if NUL.search(orjson.dumps(orjson.loads(text)[key])))
            raise InvalidArguments(f"{self._name}: {next(has_nul)}: PostgreSQL stores no NUL")
        return text.decode()

    def load(self, text: str | bytes) -> dict[str, Any]:
        """Return the keyword arguments of the function, of its types, from the JSON of a row.

        Raises:
            InvalidArguments: the row is of other code, whose function had other parameters.

        """
        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            raise self._invalid(error) from None

    def _invalid(self, error: ValidationError) -> InvalidArguments:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults)
        return InvalidArguments(f"{self._name}: {told}")


def _is_json(value: object) -> bool:
    try:
        to_json(value)
    except PydanticSerializationError:
        return False
    return True


def _parameters(name: str, body: Callable[..., object]) -> list[inspect.Parameter]:
    own = list(inspect.signature(body).parameters.values())
    if not own or own[0].kind in {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
        raise TypeError(f"the function of {name!r} takes no context")
    for each in own[1:]:
        if each.kind in {each.POSITIONAL_ONLY, each.VAR_POSITIONAL}:
            raise TypeError(f"{each.name!r} of {name!r} can't be given by name")
    return own[1:]


def _types(body: Callable[..., object], parameters: list[inspect.Parameter]) -> dict[str, Any]:
    """Return the types of the parameters; the context's name may be for type checkers only."""
    plain = inspect.unwrap(body)
    named = [each for each in parameters if each.kind is not each.VAR_KEYWORD]
    hinted = {each.name: each.annotation for each in named if each.annotation is not each.empty}
    hints = get_type_hints(
        SimpleNamespace(__annotations__=hinted), plain.__globals__, include_extras=True
    )
    return {each.name: hints.get(each.name, _UNTYPED) for each in named}


def _adapter(
    name: str, parameters: list[inspect.Parameter], types: dict[str, Any]
) -> TypeAdapter[dict[str, Any]]:
    fields = {
        each.name: types[each.name] if each.default is each.empty else NotRequired[types[each.name]]
        for each in parameters
        if each.name in types
    }
    takes_more = any(each.kind is each.VAR_KEYWORD for each in parameters)
    config = ConfigDict(extra="allow" if takes_more else "forbid")
    # No model: its fields could not have the names of its methods, or begin with an underscore.
    return TypeAdapter(with_config(config)(_typed_dict(name, fields)))
