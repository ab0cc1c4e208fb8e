"""The documents' links have targets, and the decisions are numbered without gaps."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
HALF_A_PAGE = 30
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def _documents() -> list[Path]:
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).exists()]


@pytest.mark.parametrize("page", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_have_targets(page):
    targets = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]
    missing = [link for link in targets if not (page.parent / link).exists()]
    assert missing == []


def test_each_name_of_the_glossary_is_in_the_code():
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    names = set(re.findall(r"`(\w+)(?:\(\))?`", glossary))
    assert len(names) > 20
    command = ("git", "grep", "-howF", *(f"-e{name}" for name in names), "--", "*.py", "*.sql")
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert names - set(found.stdout.split()) == set()


def test_decisions_are_numbered_without_gaps_and_are_in_the_index():
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))
    index = (ROOT / "docs" / "adr" / "README.md").read_text("utf-8")
    assert re.findall(r"\((\d{4}-[\w-]+\.md)\)", index) == [path.name for path in ADRS]


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_a_decision_is_half_a_page_with_context_decision_and_consequences(path):
    text = path.read_text("utf-8")
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= HALF_A_PAGE
