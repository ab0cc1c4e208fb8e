"""Fields of validated models: what they say of themselves, and the faults of their values."""

from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from models import Difficulty
from services.errors import Code, Fault, Invalid

# The characters of a field's name that a fault quotes.
MAX_NAME = 64
DIFFICULTY_MESSAGE = "Difficulty must be one of: " + ", ".join(Difficulty)

Model = TypeVar("Model", bound=BaseModel)

_LABELS = {
    "course_id": "Course ID",
    "enrollment_id": "Enrollment ID",
    "task_id": "Task ID",
    "flag_name": "Flag name",
    "image_url": "Image URL",
    "sort": "Sort order",
}
_REQUIRED_MESSAGES = {"difficulty": DIFFICULTY_MESSAGE}

# Error types that our own validators raise; `_EXPLANATIONS` translates those of Pydantic.
_OUR_CODES = frozenset(code.value for code in Code)
_NOT_VALID = (Code.INVALID_FORMAT, "{label} is not valid")
_NUMBER = (Code.INVALID_TYPE, "{label} must be a whole number")
_CHOICE = (Code.NOT_ALLOWED, "{label} must be one of: {choices}")
_EXPLANATIONS = {
    "missing": (Code.REQUIRED, "{label} is required"),
    "string_too_short": (Code.REQUIRED, "{label} is required"),
    "string_too_long": (Code.TOO_LONG, "{label} must have at most {max_length} characters"),
    "string_type": (Code.INVALID_TYPE, "{label} must be text"),
    "extra_forbidden": (Code.UNKNOWN_FIELD, "There is no field called {label}"),
    "enum": _CHOICE,
    "literal_error": _CHOICE,
    "greater_than_equal": (Code.OUT_OF_RANGE, "{label} must be at least {ge}"),
    "less_than_equal": (Code.OUT_OF_RANGE, "{label} must be at most {le}"),
    "int_type": _NUMBER,
    "int_parsing": _NUMBER,
    "int_parsing_size": _NUMBER,
    "int_from_float": _NUMBER,
    "bool_type": (Code.INVALID_TYPE, "{label} must be true or false"),
    "list_type": (Code.INVALID_TYPE, "{label} must be a list"),
    "too_long": (Code.TOO_LONG, "{label} may have at most {max_length} elements"),
    "model_type": (Code.INVALID_TYPE, "{label} must be {noun}"),
}
# What a model stands for where another value is given; most are objects.
_NOUNS = {"FilePart": "a file"}


def described(description: str, example: Any = None, **limits: Any) -> Any:
    """Return a field with its description and an example for the documentation."""
    examples = None if example is None else [example]
    return Field(description=description, examples=examples, **limits)


def refuse(code: Code, message: str) -> PydanticCustomError:
    """Return the validation error that becomes a fault with this code and message."""
    # Pydantic treats braces in a message as placeholders.
    return PydanticCustomError(code, message.replace("{", "(").replace("}", ")"))


def validated(model: type[Model], content: dict[str, Any]) -> Model:
    """Return the content as a model.

    Raises:
        Invalid: it does not fit the model; each fault names its field.

    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Invalid(*(fault_of(detail) for detail in error.errors())) from None


def fault_of(detail: ErrorDetails, field: str | None = None) -> Fault:
    """Return a fault; its field is `field`, or a path such as strategies.0.name."""
    field = (field or ".".join(map(str, detail["loc"])))[:MAX_NAME]
    label = _LABELS.get(field, field.replace("_", " ").capitalize())
    if detail["type"] == "extra_forbidden":
        label = repr(field)
    code, message = _explain(detail, label)
    if code is Code.REQUIRED:
        message = _REQUIRED_MESSAGES.get(field, message)
    return Fault(field, code, message)


def _explain(detail: ErrorDetails, label: str) -> tuple[Code, str]:
    if detail["type"] in _OUR_CODES:
        return Code(detail["type"]), detail["msg"]
    if detail["input"] is None:
        return _EXPLANATIONS["missing"][0], f"{label} is required"
    limits = detail.get("ctx", {})
    code, template = _EXPLANATIONS.get(detail["type"], _NOT_VALID)
    noun = _NOUNS.get(str(limits.get("class_name")), "an object")
    choices = str(limits.get("expected", "")).replace("'", "").replace(" or ", ", ")
    return code, template.format(**limits, label=label, noun=noun, choices=choices)
