"""A missing program skips a test, or fails it."""

import os

import pytest


def is_absent(what: str, package: str, installer: str = "apt-get install") -> None:
    """Skip the running test and name the package to install; with REQUIRE_ALL=1 fail it."""
    reason = f"there is no {what} here: {installer} {package}"
    if os.environ.get("REQUIRE_ALL", "0") not in {"", "0"}:
        pytest.fail(f"{reason} (REQUIRE_ALL is set)", pytrace=False)
    pytest.skip(reason)
