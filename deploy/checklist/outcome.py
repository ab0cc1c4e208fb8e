"""The outcome of a line, and of the commands and tests below it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from deploy.verdict import Verdict

# The worst decides: a line that is half checked has not passed.
_WORST_FIRST = (Verdict.FAILED, Verdict.NOT_CHECKED, Verdict.PASSED)


@dataclass(frozen=True)
class Outcome:
    """A verdict and what it rests on."""

    verdict: Verdict
    note: str

    @classmethod
    def of_all(cls, outcomes: Iterable["Outcome"]) -> Self:
        """Return the worst verdict, with the notes of all that have it."""
        found = list(outcomes)
        worst = next(each for each in _WORST_FIRST if any(each is had.verdict for had in found))
        return cls(worst, "; ".join(had.note for had in found if had.verdict is worst))
