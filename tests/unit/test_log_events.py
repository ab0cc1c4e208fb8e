"""Log events are members of one enum, and the documentation explains each."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from infra.observability.events import Event

ROOT = Path(__file__).parents[2]
SOURCES = ("api", "cli", "deploy", "infra", "models", "services", "tasks", "worker")
LOGGERS = re.compile(r"\b(log(ger|ging)?|security)\b|[gG]et_?[lL]ogger")
# Expressions of the type `Event`; mypy checks them.
ELSEWHERE = {"event", "outage.event"}
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Yield the syntax tree of each module."""
    for folder in SOURCES:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file.relative_to(ROOT), ast.parse(file.read_text(encoding="utf-8"))


def log_calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls of loggers, however these are named."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in METHODS
            and re.search(LOGGERS, ast.unparse(node.func.value))
        ):
            yield node


def is_event(node: ast.expr) -> bool:
    """Return whether an argument is `Event.NAME`, or the event of an outage."""
    text = ast.unparse(node)
    return text.removeprefix("Event.") in Event.__members__ or text in ELSEWHERE


def test_every_line_has_an_event_of_the_enum():
    calls = [(file, call) for file, tree in trees() for call in log_calls(tree)]
    assert len(calls) > 50, "the test finds the calls"
    wrong = [
        f"{file}:{call.lineno}: {ast.unparse(call)}"
        for file, call in calls
        if not any(map(is_event, call.args[:2]))
    ]
    assert wrong == []


def test_every_event_is_used():
    used = Counter(
        node.attr
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Event"
    )
    assert set(Event.__members__) - set(used) == set()


def test_the_documentation_explains_every_event():
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.partition("| event | meaning |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)
    assert [name for name, _ in rows] == [event.value for event in Event]
    assert all(meaning.strip() for _, meaning in rows)


def test_every_field_has_a_type_in_elasticsearch():
    """A test with a running service checks the lines that it writes; this one all others."""
    elk = ROOT / "deploy" / "observe" / "elk"
    processors = json.loads((elk / "ingest-pipeline.json").read_text())["processors"]
    template = json.loads((elk / "index-template.json").read_text())["template"]
    known = {each["rename"]["field"] for each in processors if "rename" in each}
    known |= {
        f"enroll.{name}" for name in template["mappings"]["properties"]["enroll"]["properties"]
    }
    fields = {
        f"enroll.{keyword.arg}"
        for _, tree in trees()
        for call in log_calls(tree)
        for keyword in call.keywords
        if keyword.arg not in {None, "exc_info"}
    }
    assert len(fields) > 30
    assert fields - known == set()
    # These say which program wrote the line.
    assert fields & {f"enroll.{name}" for name in ("service", "version", "process", "pid")} == set()
