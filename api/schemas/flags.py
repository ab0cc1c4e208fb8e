"""The schemas of feature flags in responses; that of a request is `services.flags.definitions`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from models import AuditEntry
from services.fields import described
from services.flags.store import StoredFlag

Definition = Annotated[
    dict[str, Any] | None,
    Field(
        description="Unleash's feature JSON; null: the flag has its default.",
        examples=[{"name": "avif-variants", "enabled": True, "strategies": [], "variants": []}],
    ),
]


class FlagOut(BaseModel):
    """A feature flag."""

    name: str = described("What it is called.", "avif-variants")
    description: str = described("What it turns on; blank if the code has no such flag.")
    owner: str = described("Who answers for it.", "images")
    subject: str | None = described(
        "Whose id decides a rollout; null: it is the same for all.", "the course"
    )
    properties: list[str] = described("What constraints may test beside the subject's id.")
    default: bool = described("Its value without a definition.")
    state: str = described("The definition in short.", "on for 25 %")
    definition: Definition
    version: int = described("Of the definition; 0: there is none.", 1764440000000000)
    updated_at: datetime | None = described("When the definition was changed last; null: never.")
    last_evaluated_at: datetime | None = described(
        "When a process evaluated it last, to the minute; null: never."
    )
    stale: bool = described("Whether nobody has evaluated it for 30 days: it can go.")

    @classmethod
    def of(cls, flag: StoredFlag) -> Self:
        """Return the response for a flag."""
        declared = flag.declared
        return cls(
            name=flag.name,
            description=declared.description if declared else "",
            owner=declared.owner if declared else "",
            subject=declared.subject if declared else None,
            properties=sorted(declared.properties) if declared else [],
            default=declared.default if declared else False,
            state=flag.state,
            definition=flag.definition,
            version=flag.version,
            updated_at=flag.updated_at,
            last_evaluated_at=flag.last_evaluated_at,
            stale=flag.is_stale,
        )


class FlagsOut(BaseModel):
    """All feature flags."""

    flags: list[FlagOut] = described("By name.")


class FlagChangeOut(BaseModel):
    """A change of a feature flag."""

    at: datetime = described("When it was made.")
    actor: str | None = described("Who made it; null: not known.", "admin")
    action: str = described("What was done.", "flags.kill")
    before: Definition
    after: Definition

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """Return the response for an entry of the audit log."""
        details = entry.details or {}
        return cls(
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            before=details.get("before"),
            after=details.get("after"),
        )


class FlagChangesOut(BaseModel):
    """One page of a flag's changes, and how many there are."""

    changes: list[FlagChangeOut] = described("Those of this page, the latest first.")
    total: int = described("How many there are on all pages.", 1)

    @classmethod
    def of(cls, changes: Sequence[AuditEntry], total: int) -> Self:
        """Return the response for entries of the audit log."""
        return cls(changes=[FlagChangeOut.of(each) for each in changes], total=total)
