"""A missing program skips a test with the reason, or fails it."""

import pytest

from tests.absent import is_absent

REASON = "there is no faketime here: apt-get install faketime"


@pytest.mark.parametrize("setting", ["", "0"])
def test_a_missing_program_skips_the_test_with_the_reason(monkeypatch, setting):
    monkeypatch.setenv("REQUIRE_ALL", setting)
    with pytest.raises(pytest.skip.Exception, match=f"^{REASON}$"):
        is_absent("faketime", "faketime")


def test_with_require_all_a_missing_program_fails_the_test(monkeypatch):
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match=f"^{REASON}"):
        is_absent("faketime", "faketime")
