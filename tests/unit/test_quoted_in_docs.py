"""Commands, targets and messages in README, CONTRIBUTING and docs exist in the program."""

import ast
import re
from pathlib import Path

import pytest
import typer

from cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = ("api", "deploy", "infra", "models", "services", "tasks", "worker")
# These stand for the variable parts of a message, as its fields do.
FIELD = re.compile(r"…|\d+|\bPORT\b")


def literals() -> str:
    """Return all text literals of the code, one a line, without the fields of f-strings."""
    found = set()
    for folder in SOURCES:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return "\n".join(found)


def commands() -> dict[str, set[str]]:
    """Return the names of the commands, and of those of each group."""
    group = typer.main.get_group(app)
    names = group.list_commands(None)
    return {name: set(getattr(group.get_command(None, name), "commands", ())) for name in names}


def quoted_messages() -> list[str]:
    """Return the messages in README's table: `…` in the first column."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| what you see |")[2]
    rows = table.partition("\n\n")[0].splitlines()[2:]
    quotes = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    return [quote for quote in quotes if " " in quote and not quote.startswith('"')]


@pytest.mark.parametrize("quote", quoted_messages())
def test_a_quoted_message_exists(quote: str) -> None:
    texts = literals()
    for part in FIELD.split(quote):
        assert part.strip(" :") in texts, part


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_quoted_command_exists(page: Path) -> None:
    known = commands()
    text = page.read_text(encoding="utf-8")
    for name, rest in re.findall(r"\benroll ([a-z]+)((?: [a-z|\\]+)?)", text):
        if f"`enroll {name}" not in text and f"/enroll {name}" not in text:
            continue
        assert name in known, f"enroll {name}"
        for part in filter(None, re.split(r"[\\|\s]+", rest)):
            if known[name] and "|" in rest:
                assert part in known[name], f"enroll {name} {part}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_quoted_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for name in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")):
        assert name in targets, f"make {name}"
