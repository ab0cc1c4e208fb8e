"""The guarantee and the comparison of the queue rest on tests that exist."""

import re

import pytest

from tests.named_tests import NAMED, ROOT, missing_tests

PAGES = {
    name: (ROOT / "docs" / name).read_text("utf-8")
    for name in ("guarantee.md", "queue-comparison.md")
}
STEP = re.compile(r"^\d+\. \*\*.*?(?=^\d+\. \*\*|^#|\Z)", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_each_named_test_exists(page):
    assert len(NAMED.findall(PAGES[page])) > 20
    assert not missing_tests(PAGES[page])


def test_each_step_of_the_proof_has_a_test():
    steps = STEP.findall(PAGES["guarantee.md"])
    assert len(steps) > 5
    assert all(NAMED.search(step) for step in steps)


@pytest.mark.parametrize("page", PAGES)
def test_each_line_of_a_table_has_a_test(page):
    lines = [line for line in PAGES[page].splitlines() if line.startswith("| ")]
    claims = [line for line in lines if not line.startswith(("| what |", "| feature |"))]
    assert len(claims) > 5
    assert [line for line in claims if not NAMED.search(line)] == []
