"""A program that a test needs and that may be missing: the test is skipped, or fails."""

import os

import pytest


def is_absent(what: str, package: str) -> None:
    """Skip the running test and say what would help; with REQUIRE_ALL=1 let it fail."""
    reason = f"there is no {what} here: apt-get install {package}"
    if os.environ.get("REQUIRE_ALL", "0") not in {"", "0"}:
        pytest.fail(f"{reason} (REQUIRE_ALL is set)", pytrace=False)
    pytest.skip(reason)
