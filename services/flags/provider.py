"""The OpenFeature provider over Unleash's engine: the one module that knows both libraries."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partialmethod
from typing import Any

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata
from yggdrasil_engine.engine import UnleashEngine

# Fields of Unleash's context; all other attributes are properties.
_FIELDS = frozenset({"sessionId", "remoteAddress", "environment", "appName", "currentTime"})
PAYLOAD = "payload"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The value of a flag for a subject; `is_default` if the flag has no definition."""

    is_on: bool
    is_default: bool
    variant: str | None = None
    payload: str | None = None


class FlagClient:
    """OpenFeature's client of a provider of its own."""

    def __init__(self) -> None:
        self.provider = FlagProvider()
        domain = f"flags-{id(self)}"
        api.set_provider_and_wait(self.provider, domain)
        self.openfeature = api.get_client(domain)

    def evaluate(
        self, name: str, subject: str, properties: Mapping[str, str], *, default: bool
    ) -> Evaluation:
        """Evaluate a flag for a subject."""
        context = EvaluationContext(subject, properties)
        found = self.openfeature.get_boolean_details(name, default, context)
        payload = found.flag_metadata.get(PAYLOAD)
        return Evaluation(
            found.value,
            is_default=found.reason is Reason.DEFAULT,
            variant=found.variant,
            payload=None if payload is None else str(payload),
        )


class FlagProvider(AbstractProvider):
    """Evaluates the definitions of the last `load`; without a definition, the caller's default."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = UnleashEngine()

    def load(self, features: Sequence[Mapping[str, Any]]) -> list[str]:
        """Replace all definitions at once; return the names of those that the engine refuses."""
        engine, sound = engine_of(_state(features)), [*features]
        if len(engine.list_known_toggles()) < len(features):
            # The engine takes all or none, so each is tried alone.
            sound = [one for one in features if engine_of(_state([one])).list_known_toggles()]
            engine = engine_of(_state(sound))
        self.engine = engine
        return [str(each["name"]) for each in features if each not in sound]

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata("unleash-engine")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001  the protocol's
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Return whether the flag is on, its variant, and the variant's payload as metadata."""
        found = self.engine.check_variant(flag_key, _context(evaluation_context))
        if not found.is_found:
            return FlagResolutionDetails(default_value, reason=Reason.DEFAULT)
        variant = found.variant
        return FlagResolutionDetails(
            variant.feature_enabled,
            reason=Reason.TARGETING_MATCH if variant.feature_enabled else Reason.DISABLED,
            variant=variant.name if variant.enabled else None,
            flag_metadata={PAYLOAD: variant.payload["value"]} if variant.payload else {},
        )

    def _resolve(
        self,
        read: Callable[[str], Any],
        flag_key: str,
        default_value: Any,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Any]:
        """Return the payload of the subject's variant, as `read` parses it."""
        found = self.resolve_boolean_details(flag_key, False, evaluation_context)  # noqa: FBT003  the protocol's
        payload = found.flag_metadata.get(PAYLOAD)
        if payload is None:
            return FlagResolutionDetails(
                default_value, reason=Reason.DEFAULT, variant=found.variant
            )
        try:
            value = read(str(payload))
        except ValueError as error:
            raise TypeMismatchError(f"the payload of {flag_key} is no {read.__name__}") from error
        return FlagResolutionDetails(value, reason=found.reason, variant=found.variant)

    # OpenFeature has a method for each type of value.
    resolve_string_details = partialmethod(_resolve, str)
    resolve_integer_details = partialmethod(_resolve, int)
    resolve_float_details = partialmethod(_resolve, float)
    resolve_object_details = partialmethod(_resolve, json.loads)


def _state(features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"version": 2, "features": features}


def engine_of(state: Mapping[str, Any]) -> UnleashEngine:
    """Return an engine with the definitions of Unleash's client state, or with none of them."""
    engine = UnleashEngine()
    try:
        engine.take_state(json.dumps(state))
    except (LookupError, TypeError):  # it looks for strategies in malformed definitions, too
        return UnleashEngine()
    return engine


def _context(given: EvaluationContext | None) -> dict[str, Any]:
    """Return Unleash's context; the targeting key is its `userId`."""
    if given is None:
        return {}
    fields = {name: str(value) for name, value in given.attributes.items() if name in _FIELDS}
    if given.targeting_key is not None:
        fields["userId"] = given.targeting_key
    properties = {name: str(v) for name, v in given.attributes.items() if name not in _FIELDS}
    return {**fields, "properties": properties}
