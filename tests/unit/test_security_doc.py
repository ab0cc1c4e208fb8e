"""docs/security.md is true: each item has a defence, each defence has a test that exists."""

import re

import pytest

from tests.named_tests import NAMED, ROOT, found_in, missing_tests

DOC = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ITEM = re.compile(r"^### (\S+) ([^\n]+)\n(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)
ITEMS = {number: text for number, _, text in ITEM.findall(DOC)}


def test_the_top_ten_are_complete() -> None:
    found = [number for number in ITEMS if number.startswith("API")]
    assert found == [f"API{number}:2023" for number in range(1, 11)]


def test_each_item_is_there_once_and_in_order() -> None:
    numbers = [
        tuple(int(part) for part in number[1:].split("."))
        for number, _, _ in ITEM.findall(DOC)
        if number.startswith("V")
    ]
    assert len(numbers) > 10
    assert all(len(number) == 3 for number in numbers)
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("number", ITEMS)
def test_each_item_has_defences_and_each_defence_has_a_test(number: str) -> None:
    lines = [line for line in ITEMS[number].splitlines() if line]
    assert lines
    for line in lines:
        assert line.startswith("- "), line
        assert NAMED.search(line), line


def test_each_named_test_exists() -> None:
    assert len(NAMED.findall(DOC)) > 20
    assert not missing_tests(DOC)


def test_each_security_test_is_named() -> None:
    named = set(NAMED.findall(DOC))
    there = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / "tests/security").glob("test_*.py")
        for name in found_in(path)
    }
    assert there
    assert not there - named
