"""What is said of a program that is not here."""

import pytest

from tests.absent import is_absent

REASON = "there is no faketime here: apt-get install faketime"


@pytest.mark.parametrize("setting", ["", "0"])
def test_what_is_absent_is_skipped_with_the_reason(monkeypatch, setting):
    monkeypatch.setenv("REQUIRE_ALL", setting)
    with pytest.raises(pytest.skip.Exception, match=f"^{REASON}$"):
        is_absent("faketime", "faketime")


def test_it_fails_where_all_must_run(monkeypatch):
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match=f"^{REASON}"):
        is_absent("faketime", "faketime")
