"""The verdict of a check before a release. What can't be checked has not passed."""

from enum import StrEnum

# The exit code of a check whose tool or data is not there.
EXIT_NOT_CHECKED = 3


class Verdict(StrEnum):
    """What a check found; NOT_CHECKED: something it needs could not run."""

    PASSED = "passed"
    FAILED = "FAILED"
    NOT_CHECKED = "NOT CHECKED"
